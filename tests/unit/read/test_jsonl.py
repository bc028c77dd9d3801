"""JSON lines: types as text, paths, lines that are no object."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importer.errors import SourceError
from importer.read import Limits
from tests.unit.read.helpers import SMALL, Outcome, read_bytes


def read(data: bytes | str, *columns: str, **how: Any) -> Outcome:
    raw = data.encode() if isinstance(data, str) else data
    return read_bytes(raw, columns, name=how.pop("name", "data.jsonl"), **how)


def test_every_scalar_becomes_its_exact_text() -> None:
    values = [
        '"00123"',
        "1234567890123456789",
        "1" * 40,
        "1.10",
        "0.1",
        "1e5",
        "-0.0",
        "true",
        "false",
        "null",
        '""',
        '"é\\n"',
    ]
    outcome = read("\n".join(f'{{"a": {value}}}' for value in values), "a")
    assert outcome.column("a") == [
        "00123", "1234567890123456789", "1" * 40, "1.10", "0.1", "1e5", "-0.0", "true", "false", None, "", "é\n",
    ]  # fmt: skip


def test_columns_may_mix_types_and_appear_late() -> None:
    lines = ['{"a": 1}'] * 3000 + ['{"a": "x", "late": 7}']
    outcome = read("\n".join(lines), "a", "late", "never", limits=Limits(block=1000))
    assert outcome.rows[0] == {"a": "1", "late": None, "never": None}
    assert outcome.rows[-1] == {"a": "x", "late": "7", "never": None}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("user.email", "a@example.com"),
        ("user.address.city", "Vilnius"),
        ("items.0.name", "cup"),
        ("items.1.name", "pot"),
        ("items.2.name", None),
        ("params[coupon].value.s", "MAY"),
        ("params[total].value.double_value", "9.90"),
        ("params[none].value", None),
        ("dotted.key", "exact"),
        ("dotted.key.more", None),
        ("half.way.there", "found"),
        ("user.email.more", None),
        ("$value", "5"),
        ("N. Revenue", "1"),
        ("tags.1", "b"),
    ],
)
def test_a_path_reaches_into_objects_and_lists(path: str, expected: str | None) -> None:
    document = """{"user": {"email": "a@example.com", "address": {"city": "Vilnius"}},
        "items": [{"name": "cup"}, {"name": "pot"}], "tags": ["a", "b"], "$value": 5, "N. Revenue": 1,
        "params": [{"key": "total", "value": {"double_value": 9.90}}, {"key": "coupon", "value": {"s": "MAY"}}],
        "dotted.key": "exact", "dotted": {"key": "path"}, "half.way": {"there": "found"}, "half": {"way": {}}}"""
    line = document.replace("\n", " ")
    assert read(f"{line}\n{line}\n", path).column(path) == [expected] * 2


def test_an_object_or_list_is_its_json_text_and_marked() -> None:
    outcome = read('{"a": {"x": [1.50, 1e400, "é", null]}, "b": 1}\n{"a": "plain"}\n{"a": []}', "a", "b")
    assert outcome.column("a") == ['{"x":[1.50,1e400,"é",null]}', "plain", "[]"]
    assert outcome.chunks[0].nested["a"].to_pylist() == [True, False, True]
    assert "b" not in outcome.chunks[0].nested


BROKEN = [
    '{"a": 1',
    '{"a": NaN}',
    '{"a": 1} {"a": 2}',
    "[1, 2]",
    '"text"',
    "{'a': 1}",
    '{"a":',
    "1}",
    '{"a": "\\ud800"}',
    "x",
]


@pytest.mark.parametrize("line", BROKEN)
def test_a_line_that_is_no_object_spoils_itself_alone(line: str) -> None:
    outcome = read(f'{{"a": 1}}\n\n{line}\n{{"a": 3}}', "a", raw_rows=True)
    assert [(row.row, row.line, row.code) for row in outcome.unreadable] == [(2, 3, "row.not_json")]
    assert outcome.unreadable[0].value.startswith(line)
    assert (outcome.column("a"), outcome.lines) == (["1", "3"], [1, 4])
    assert outcome.raw_rows()[1].decode() == line


def test_halves_of_objects_on_neighbouring_lines_are_not_joined() -> None:
    outcome = read('{"a": 0}\n{"a":\n1}\n{"a": 2} {"a": 3}\n', "a")
    assert [row.row for row in outcome.unreadable] == [2, 3, 4]


def test_hostile_depth_and_length_spoil_their_lines_alone() -> None:
    lines = ['{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", '{"a": ' + "9" * 5000 + "}", '{"a": 1}']
    outcome = read("\n".join(lines), "a")
    assert outcome.column("a")[-1] == "1"
    assert outcome.count == 3


def test_an_undecodable_byte_spoils_its_line_alone() -> None:
    outcome = read(b'{"a": "x"}\n{"a": "\xff"}\n{"a": "y"}', "a")
    assert [(row.line, row.code, row.value) for row in outcome.unreadable] == [(2, "row.undecodable", r'{"a": "\xff"}')]


def test_an_endless_line_spoils_itself_alone() -> None:
    outcome = read('{"a": 1}\n{"a": "' + "x" * 9000 + '"}\n{"a": 3}', "a", limits=Limits(block=1000, line=4000))
    assert [(row.line, row.code) for row in outcome.unreadable] == [(2, "row.unreadable")]
    assert outcome.column("a") == ["1", "3"]


def test_the_last_of_repeated_keys_counts() -> None:
    assert read('{"a": 1, "a": 2}', "a").column("a") == ["2"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_the_encoding_is_recognised(encoding: str) -> None:
    assert read('{"name": "Å"}\r\n{"name": "日"}\r\n'.encode(encoding), "name", limits=SMALL).column("name") == [
        "Å",
        "日",
    ]


@pytest.mark.parametrize("name", ["export", "export.txt"])
def test_json_lines_are_recognised_without_an_ending(name: str) -> None:
    assert read('{"a": 1}\n', "a", name=name).source.dialect.format == "jsonl"


@pytest.mark.parametrize("name", ["export.json", "export.csv"])
@pytest.mark.parametrize(
    ("data", "what"),
    [
        ('[{"a": 1}, {"a": 2}]', "an array of objects"),
        ('[\n  {"a": 1},\n  {"a": 2}\n]\n', "an array of objects"),
        ('{\n  "a": 1\n}\n', "an object spread over several lines"),
        ('{"data": [\n  {"a": 1}\n]}\n', "one object with a list of objects in 'data'"),
    ],
)
def test_one_json_document_is_refused_with_the_way_out(data: str, what: str, name: str) -> None:
    with pytest.raises(SourceError, match=f"holds {what}, not one JSON object a line") as caught:
        read(data, "a", name=name)
    assert "jq -c '." in (caught.value.hint or "")


def test_an_empty_file_has_no_rows() -> None:
    outcome = read("", "a")
    assert (outcome.count, outcome.digest) == (0, hashlib.sha256(b"").hexdigest())


def test_a_name_no_key_can_be_looked_up_by_is_told() -> None:
    outcome = read('{"a": 1}', 'a"b')
    assert outcome.error is not None
    assert "cannot be looked up by the name 'a\"b'" in outcome.error.message


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
OBJECTS = st.dictionaries(
    st.sampled_from(["a", "b", "a.b", "c"]), SCALARS | st.dictionaries(st.just("b"), SCALARS), max_size=3
)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.none() | OBJECTS, max_size=15), st.booleans())
def test_any_objects_read_back_between_broken_lines(objects: list[dict[str, Any] | None], ascii_only: bool) -> None:
    """None stands for a broken line."""
    lines = ["{broken" if item is None else json.dumps(item, ensure_ascii=ascii_only) for item in objects]

    outcome = read("{}\n" + "\n".join(lines), "c", "a.b", limits=SMALL)

    good = [{}, *(item for item in objects if item is not None)]
    assert outcome.column("c") == [as_text(item.get("c")) for item in good]
    inner = [item["a"] if isinstance(item.get("a"), dict) else {} for item in good]
    assert outcome.column("a.b") == [
        as_text(item["a.b"] if "a.b" in item else below.get("b")) for item, below in zip(good, inner, strict=True)
    ]
    assert [row.line for row in outcome.unreadable] == [at + 2 for at, item in enumerate(objects) if item is None]


def as_text(value: Any) -> str | None:
    if isinstance(value, str | None):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
