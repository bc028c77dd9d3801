"""Presets: every YAML in the folder is whole, explained, tested, recognised and documented, without code of its own."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from importer.errors import MappingError
from importer.mapping.load import load, load_preset, loads, preset_names, recognise
from importer.pipeline.examples import run_tests
from tests.docs import presets_page
from tests.support.program import importer

ROOT = Path(__file__).parents[3]


@pytest.fixture(params=preset_names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def cases(name: str) -> list[Path]:
    """The golden cases of a preset: folders of tests/cases that extend it."""
    wanted = re.compile(rf"^extends: {name}$", re.MULTILINE)
    folders = sorted(ROOT.glob("tests/cases/preset-*"))
    return [folder for folder in folders if wanted.search((folder / "mapping.yaml").read_text(encoding="utf-8"))]


def header(folder: Path) -> list[str]:
    """The columns of a case's file; the outermost names of JSON lines."""
    (source,) = folder.glob("source.*")
    with source.open(newline="", encoding="utf-8-sig") as file:
        if source.suffix == ".csv":
            return next(csv.reader(file))
        return sorted({column for line in file for column in json.loads(line)})


def test_its_examples_come_out_as_they_say(name: str) -> None:
    assert run_tests(load(name, partial=True)) >= 1


def test_it_begins_with_what_it_is_and_what_to_adapt(name: str) -> None:
    text = load_preset(name).text
    comment = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    assert text.startswith("#")
    assert "# To adapt" in comment
    assert f"extends: {name}" in comment


def test_it_says_what_it_makes_of_a_row_in_a_sentence(name: str) -> None:
    about = load_preset(name).mapping.about
    assert about is not None
    assert about.startswith("One ")
    assert about.endswith(".")


def test_it_tolerates_columns_that_come_and_go(name: str) -> None:
    assert load_preset(name).mapping.missing_columns == "warn"


def test_it_has_a_golden_case(name: str) -> None:
    assert cases(name), f"add a folder tests/cases/preset-{name}"


def test_its_own_files_are_recognised_above_all_others(name: str) -> None:
    """Presets that only say what else to make of the same files (refunds) leave the recognising to the other one."""
    mapping = load_preset(name).mapping
    base = name if mapping.recognised_by else mapping.extends
    for folder in cases(name):
        assert recognise(header(folder))[0] == base, folder.name


def test_columns_that_no_platform_writes_are_nobodys() -> None:
    assert recognise(["email", "total", "date", "name", "id", "currency", "status"]) == []
    assert recognise([]) == []


def test_the_outermost_part_of_a_path_is_recognised_too() -> None:
    paths = ["event", "properties.time", "properties.distinct_id", "properties.$insert_id"]
    assert recognise(paths) == recognise(["event", "properties"]) == ["mixpanel-events"]


def test_what_it_needs_must_be_said_before_anything_is_read(name: str) -> None:
    """No currency and no subscriber is guessed: the preset alone is refused, with the line to write."""
    needed = load_preset(name).mapping.needs
    if not needed:
        load(name)
        return
    with pytest.raises(MappingError) as caught:
        load(name)
    for key in needed:
        assert f"write a mapping with `extends: {name}` and `{key}`" in str(caught.value)
    with pytest.raises(MappingError) as caught:
        loads(f"extends: {name}", "m.yaml")
    assert [str(one).partition(" must be set here: ")[0] for one in caught.value.problems] == [
        f"m.yaml:1:10: `{key}`" for key in needed
    ]
    lines = {"value_currency": "value_currency: {const: EUR}", "subscriber": "subscriber: {email: Email}"}
    loads("\n".join([f"extends: {name}", *(lines[key] for key in needed)]), "m.yaml")


def test_the_page_is_current() -> None:
    written = (ROOT / "docs" / "presets.md").read_text(encoding="utf-8")
    assert written == presets_page.page(), "run `python -m tests.docs.presets_page > docs/presets.md`"


def test_the_page_tells_of_it(name: str) -> None:
    """docs/presets.md has a section for each, with every column that it reads."""
    page = (ROOT / "docs" / "presets.md").read_text(encoding="utf-8")
    assert f"### `{name}`\n" in page
    section = page.split(f"### `{name}`\n")[1].split("\n### ")[0]
    preset = load_preset(name).mapping
    assert (preset.about or "") in section
    assert [column for column in preset.columns() if f"`{column}`" not in section] == []


def test_the_command_lists_them_all() -> None:
    outcome = importer("presets")
    assert outcome.exit_code == 0
    assert outcome.stderr == ""
    assert [line.split()[0] for line in outcome.stdout.splitlines() if not line.startswith(" ")] == list(preset_names())
    assert "square-items         One purchase per transaction of a known customer" in outcome.stdout
    assert "To be added: value_currency." in " ".join(outcome.stdout.split())


def test_the_command_prints_one_as_it_is(name: str) -> None:
    outcome = importer("presets", name)
    assert (outcome.exit_code, outcome.stdout) == (0, load_preset(name).text)


UNKNOWN: dict[str, Any] = {
    "shopify_order": "did you mean shopify-orders or shopify-customers or shopify-refunds?",
    "stripe": "did you mean stripe-refunds or stripe-payments?",
    "prestashop": "the presets are amplitude-events, bigcommerce-orders,",
}


@pytest.mark.parametrize("word", UNKNOWN)
def test_an_unknown_name_is_told_the_nearest_ones(word: str) -> None:
    outcome = importer("presets", word)
    assert outcome.exit_code == 2
    assert outcome.stderr.startswith(f"error: there is no preset {word}\n\nhint: {UNKNOWN[word]}")
