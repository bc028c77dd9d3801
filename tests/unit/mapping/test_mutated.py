"""Mappings that somebody, or something, has spoiled: always problems in words, never a traceback or a hang."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from importer.convert import RowMapper
from importer.errors import MappingError, UsageError
from importer.mapping.load import loads, preset_names, preset_text
from importer.mapping.positions import parse

ROOT = Path(__file__).parents[3]
HEAD = "version: 1\nsubscriber: {email: Email}\ntype: Type\n"
TEXTS = [preset_text(name) for name in preset_names()] + [
    path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("samples/*.yaml"))
]
NASTY = [
    "%Y%Y", "%Y-%m-%d %", "idna", "punycode", "undefined", "unicode_escape", "utf-7", "(" * 50,
    "a{1000}{1000}", "{", "{}",
    "\N{ZERO WIDTH SPACE}", "\N{RIGHT-TO-LEFT OVERRIDE}x", "x" * 5_000, "../../etc/passwd", "Europe", "/etc", "",
    " ", "column", 10**30, -(10**18), 2**63, 0, -1, 1.5, 1e308, True, False, None, [], {}, [[]], [None], {"": ""},
    {"column": "A"}, {"first_of": []}, {"column": {"column": "A"}}, [1, 2, 3], {"a": {"b": {"c": {"d": {}}}}},
]  # fmt: skip
PIECES = ["&a ", "*a", "<<: ", "!!binary ", "\t", "- ", ": ", "'", '"', "{", "]", "\0", "%", "? "]


def paths(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in the data."""
    members = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(one for key, value in members for one in paths(value, (*path, key)))]


def put(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The data with another value at a place."""
    if not path:
        return value
    if isinstance(data, dict):
        return {key: put(one, path[1:], value) if key == path[0] else one for key, one in data.items()}
    return [put(one, path[1:], value) if number == path[0] else one for number, one in enumerate(data)]


def dumped(data: Any) -> str:
    """The data as YAML, by another writer than ours."""
    from io import StringIO

    text = StringIO()
    YAML(typ="safe", pure=True).dump(data, text)
    return text.getvalue()


def tried(text: str) -> None:
    """Load it, and convert a row without cells by it if it is a mapping; anything but problems in words is raised."""
    try:
        loaded = loads(text, "m.yaml", partial=True)
    except (MappingError, UsageError):
        return
    RowMapper(loaded.mapping).absent()


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_spoiled_mapping_is_told_what_is_wrong(data: st.DataObject) -> None:
    mapping = parse(data.draw(st.sampled_from(TEXTS)), "m.yaml").data
    mapping.pop("tests", None)
    for _ in range(data.draw(st.integers(1, 3))):
        mapping = put(mapping, data.draw(st.sampled_from(paths(mapping))), data.draw(st.sampled_from(NASTY)))
        if not isinstance(mapping, dict):
            break
    tried(dumped(mapping))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_text_with_bytes_changed_is_told_what_is_wrong(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(TEXTS))[:1_500]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        inserted = data.draw(
            st.sampled_from(["&a ", "*a", "<<: ", "!!binary ", "\t", "- ", ": ", "'", '"', "{", "]", "\0", "%", "? "])
        )
        text = text[:at] + inserted + text[at + data.draw(st.integers(0, 3)) :]
    tried(text)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("extends: null", "`extends` has no value"),
        ("extends: 7", "`extends` must be a preset's name"),
        ("extends: [a]", "`extends` must be a preset's name"),
        ("order_by: {column: A, format: '%Y%Y'}", "the time format has `%Y` twice"),
        ("order_by: {column: A, format: '%d.%m.'}", "has no year"),
        ("source: {skip_lines: 99999999999999999999}", "`skip_lines` must be a number of lines"),
        ("source: {encoding: idna}", "unknown encoding"),
        ("source: {encoding: punycode}", "unknown encoding"),
        ("source: {encoding: unicode-escape}", "unknown encoding"),
        ("key: {const: !!binary aGk=}", "the tag !!binary has no meaning"),
        ("value: {column: A, scale: 99999999999999999999}", "`scale` must be a whole number"),
        ("where: [{column: A, above: 1e999}]", "`above` must be a number"),
        ("key: {column: A, extract: '" + "(" * 5_000 + "'}", "invalid regular expression"),
        ("properties: {? [a] : b}", "a list or a mapping cannot be a key"),
        ("key: &a {first_of: [*a]}", "no anchor|too deeply nested"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_a_problem_in_words(line: str, problem: str) -> None:
    with pytest.raises(MappingError, match=problem):
        loads(f"{HEAD}{line}\n", "m.yaml")


def test_a_great_many_problems_are_counted_and_the_first_are_shown() -> None:
    lines = "".join(f"  p{number}: {{colum: A}}\n" for number in range(5_000))
    with pytest.raises(MappingError) as caught:
        loads(f"{HEAD}properties:\n{lines}", "m.yaml")
    assert len(caught.value.problems) == 100
    assert "the mapping has 5,000 problems" in str(caught.value)
    assert "… and 4,900 more" in str(caught.value)
