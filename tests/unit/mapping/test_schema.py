"""The JSON Schema of mappings: current, valid, and of one mind with the loader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from importer.errors import MappingError
from importer.mapping.load import loads
from importer.mapping.positions import parse
from tests.docs import schema_files as schema
from tests.support.program import importer

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
HEAD = "version: 1\nsubscriber: {email: Email}\ntype: Type\n"

BEYOND = (
    "invalid regular expression",
    "is not a date or time",
    "`timezone` needs `since`",
    "`decimal` needs `above`",
    "the template names no column",
    "unknown time zone",
    "not a time format",
    "is not a directive",
    "`format` has both dmy and mdy",
    "`%Z` is read at the end only",
    "unknown encoding",
    'names the column "A" twice',
    "is read like a cell",
    "`thousands` and `decimal` are both",
    "`quote` and `delimiter` are the same",
    "has no meaning for `format:",
    "`format` needs",
    "`format` does not fit",
    "`timezone` needs",
    "`scale` needs",
    "a currency cannot be",
    "`value` cannot be",
    "is for `subscriber.phone` only",
    "in the template",
    "needs groups",
    "is about groups",
    "`aggregate` is not for",
    "`separator` needs",
    "does not fit `",
    "a value that is calculated with cannot be",
    "`product_of` is not for a value inside",
    "`product_of` is a number",
)
"""What needs an engine, the place of a pick, or two values at once; these mistakes are the loader's alone."""


@pytest.fixture(scope="module")
def validator() -> Any:
    jsonschema.Draft202012Validator.check_schema(schema.mapping_schema())
    return jsonschema.Draft202012Validator(schema.mapping_schema())


def test_the_file_in_the_tree_is_current() -> None:
    assert schema.PATH.read_text(encoding="utf-8") == schema.text(schema.mapping_schema()), (
        "run `python -m tests.docs.schema_files`"
    )


def test_every_word_is_explained() -> None:
    document = schema.mapping_schema()
    for part in (
        document,
        *(document["$defs"][name] for name in ("ValueKeys", "Condition", "SourceOptions", "Subscriber")),
    ):
        for word, about in part["properties"].items():
            assert about.get("description") or "$ref" in about, word


def test_it_refuses_what_the_loader_refuses_as_far_as_a_schema_can(validator: Any) -> None:
    lines = (HERE / "mistakes.txt").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line and not line.startswith("#")]
    for line, message in zip(kept[::2], kept[1::2], strict=True):
        able = not any(part in message for part in BEYOND)
        assert validator.is_valid(parse(HEAD + line, "m.yaml").data) is not able, line


ACCEPTED = [
    "key: A",
    "key: 3",
    "key: {first_of: [A, 2, {column: B, upper: true, lower: false}], as: integer}",
    "key: {const: 1.5}",
    "key: {template: 'a {A}'}",
    "value: {column: A, map: {a: null, b: 2, c: true}, decimal: ',', thousands: '.', scale: -2}",
    "order_by: {column: A, format: [s, '%Y-%m-%d'], timezone: Europe/Vilnius}",
    'source: {format: csv, compression: zip, encoding: cp1252, delimiter: tab, quote: "\'", header: [A, 2]}\nkey: A',
    "source: {header: false, ragged: pad, skip_lines: 3}",
    "where: [{column: A, in: ['', 1, true]}, {column: 2, empty: false}, {column: B, above: 1}]",
    "where: [{any: [{column: A, since: 30d}, {column: B, before: 2026-01-31}]}]",
    "properties: {a: {column: A, as: datetime, default: '2024-01-31'}}\nmissing_columns: warn",
]


@pytest.mark.parametrize("line", ACCEPTED)
def test_it_accepts_what_the_loader_accepts(validator: Any, line: str) -> None:
    loads(HEAD + line, "m.yaml")
    validator.validate(parse(HEAD + line, "m.yaml").data)


def test_it_accepts_every_mapping_of_the_samples_and_cases(validator: Any) -> None:
    paths = [*ROOT.glob("samples/*.yaml"), *ROOT.glob("tests/cases/*/mapping.yaml")]
    assert paths
    for path in paths:
        text = path.read_text(encoding="utf-8")
        try:
            loads(text, str(path.relative_to(ROOT)))
        except MappingError as error:
            pytest.fail(str(error))
        validator.validate(parse(text, "m.yaml").data)


def test_the_command_prints_it() -> None:
    outcome = importer("schema")
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (0, schema.text(schema.mapping_schema()), "")


def test_for_a_file_it_offers_the_files_columns_and_accepts_no_less(tmp_path: Path, validator: Any) -> None:
    (tmp_path / "orders.jsonl").write_text('{"Email": "ada@example.com", "order": {"no": 1}}\n', encoding="utf-8")
    outcome = importer("schema", "--for", str(tmp_path / "orders.jsonl"))
    assert outcome.exit_code == 0
    made = json.loads(outcome.stdout)
    jsonschema.Draft202012Validator.check_schema(made)
    offered = made["$defs"]["ValueMapping"]["anyOf"][0]["anyOf"][0]["enum"]
    assert {"Email", "order.no"} <= set(offered)
    for line in ACCEPTED:
        jsonschema.Draft202012Validator(made).validate(parse(HEAD + line, "m.yaml").data)


def test_a_file_that_is_not_there_has_no_columns(tmp_path: Path) -> None:
    outcome = importer("schema", "--for", str(tmp_path / "orders.csv"))
    assert (outcome.exit_code, outcome.stdout) == (2, "")
