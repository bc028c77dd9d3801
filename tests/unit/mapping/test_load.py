"""Reading mapping files: what YAML means here, and what files that are no mappings are told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.errors import ImporterError, MappingError, UsageError
from importer.mapping.load import MAX_SIZE, LoadedMapping, Place, load, loads

HEAD = "version: 1\nsubscriber: {email: Email}\ntype: Type\n"


def told(text: str) -> list[str]:
    """The mistakes of a mapping, as printed."""
    with pytest.raises(MappingError) as caught:
        loads(text, "m.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_a_file_is_loaded_with_its_name_and_its_text(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(HEAD + "# why\nkey: Name\n", encoding="utf-8")
    loaded = load(str(path))
    places = {"key": 5, "subscriber.email": 2, "type": 3}
    assert loaded == LoadedMapping(
        str(path),
        path.read_text(encoding="utf-8"),
        loaded.mapping,
        places={target: Place(str(path), line) for target, line in places.items()},
    )
    assert loaded.mapping.key is not None
    assert loaded.mapping.key.column == "Name"


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + HEAD.replace("\n", "\r\n").encode())
    assert load(str(path)).mapping.type.column == "Type"


def test_unquoted_values_are_what_yaml_1_2_and_json_say() -> None:
    values = "NO, yes, on, 0123, +37061234567, 2024-01-31, 1:30, 0x1F, 1_000, .inf, 1e999, 0.12345678901234567890"
    loaded = loads(f"{HEAD}where:\n- {{column: A, in: [{values}, 7, -7, 1.50, 1e3, .5, true, '7']}}\n", "m.yaml")
    assert loaded.mapping.where[0].in_ == (*values.split(", "), 7, -7, 1.5, 1000.0, 0.5, True, "7")


def test_keys_are_text_as_they_are_written() -> None:
    loaded = loads(HEAD + "properties: {1: A, 007: B, true: C, null: D, 2024-01-31: E}\n", "m.yaml")
    assert list(loaded.mapping.properties) == ["1", "007", "true", "null", "2024-01-31"]


def test_null_in_map_makes_absent_and_numbers_name_columns_without_a_header() -> None:
    loaded = loads(HEAD + "source: {header: false}\nkey: 3\nvalue: {column: 2, map: {none: ~, free: 0}}\n", "m.yaml")
    assert loaded.mapping.columns() == ("3", "Email", "Type", "2")
    assert loaded.mapping.value is not None
    assert loaded.mapping.value.map == {"none": None, "free": 0}


def test_anchors_spare_repetition() -> None:
    text = HEAD + "properties:\n  a: &at {column: A, as: datetime, timezone: Europe/Vilnius}\n  b: *at\n"
    properties = loads(text, "m.yaml").mapping.properties
    assert properties["a"] == properties["b"]


NOT_YAML = {
    "version: 1\n\tkey: A": "2:1: a tab where only spaces are allowed; indent with spaces",
    "version: 1\ntype: A: b": "2:8: a second `:` in one line, or an indented line below a finished one; "
    "put a text that contains `: ` in quotes",
    "version: 1\n  type: A": "2:7: a second `:` in one line, or an indented line below a finished one; "
    "put a text that contains `: ` in quotes",
    "version: 1\ntype: 'A\nkey: B\n": "2:7: this quote is never closed; close it",
    "version: 1\ntype: {column: A\nkey: B\n": "2:7: this bracket is not closed with `}`; "
    "close it, or put a comma between",
    "version: 1\nwhere: [1, 2\nkey: B\n": "2:8: this bracket is not closed with `]`; close it, or put a comma between",
    "version: 1\ntype\nkey: A": "2:1: a line without `:`; write `key: value`",
    "source:\n  quote: x\n delimiter: x": "3:2: the line is not indented like those above it; "
    "indent it like its neighbours",
    "type: {const: @x}": "1:15: a text that begins with `@` must be in quotes; put the text in quotes",
    "type: %d": "1:7: a text that begins with `%` must be in quotes; put the text in quotes",
    "type: *x": "1:7: no anchor `&x` above this line; define it with & further up",
    "type: [A,,B]": "1:10: a value is missing here; write one, or remove the comma",
    "version: 1\n---\nversion: 1": "2:1: a second document begins here; "
    "a mapping file is one document; leave out the `---`",
    'type: "\\q"': "1:9: this is not YAML: found unknown escape character 'q'; see docs/mapping.md for examples",
    "type: A\nkey: \x07": "2:6: the control character U+0007 is not allowed; remove it",
}


@pytest.mark.parametrize("text", NOT_YAML)
def test_text_that_is_not_yaml_is_told_so_with_its_place(text: str) -> None:
    assert told(text) == [f"m.yaml:{NOT_YAML[text]}"]


def test_a_word_that_is_set_twice_is_told_with_both_lines_beside_the_other_mistakes() -> None:
    text = HEAD + "key: A\nproperties:\n  a: {colum: B}\nkey: C\n"
    assert told(text) == [
        'm.yaml:6:7: unknown key "colum" in a value; did you mean column?',
        "m.yaml:7:1: `key` is set twice, first in line 4; keep one of them",
    ]


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!!python/name:os.system", "!secret", "!!binary"])
def test_tags_make_nothing(tag: str) -> None:
    assert told(f"{HEAD}key: {{const: {tag} echo}}\n") == [
        f"m.yaml:4:14: the tag {tag} has no meaning in a mapping; leave it out; a mapping is plain data"
    ]


def test_a_tag_for_text_makes_text() -> None:
    assert loads(f"{HEAD}key: {{const: !!str 12}}\n", "m.yaml").mapping.key.const == "12"  # type: ignore[union-attr]  # it is set


def test_a_list_cannot_be_a_word() -> None:
    [line] = told(HEAD + "? [a, b]\n: c\n")
    assert line.startswith("m.yaml:4:3: a list or a mapping cannot be a key")


def test_half_a_surrogate_pair_is_no_text() -> None:
    assert told(HEAD + 'key: {const: "\\ud83d"}\n') == [
        "m.yaml:4:14: half of a surrogate pair is not a character; write the character itself"
    ]


TOO_MUCH = (
    "m.yaml:1:1: the file is too large or too deeply nested; "
    "a mapping has at most 100,000 values, nested at most 50 deep (aliases are expanded)"
)


@pytest.mark.parametrize(
    "text",
    [
        "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)),
        "a: &a [*a]\n",
        "a: &a {b: *a}\n",
        "[" * 1_000,
        "{a: " * 1_000,
        "- " * 1_000,
    ],
    ids=["billion laughs", "endless list", "endless words", "deep list", "deep words", "deep dashes"],
)
def test_a_file_that_stands_for_too_much_is_refused_at_once(text: str) -> None:
    assert told(text) == [TOO_MUCH]


BEGIN = "begin with `version: 1`; docs/mapping.md shows the rest"
NOT_A_MAPPING = f"not a mapping; a mapping is lines of `key: value`; {BEGIN}; if this is the data, give it without -m"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"m.yaml: the mapping is empty; {BEGIN}"),
        ("# only words\n", f"m.yaml: the mapping is empty; {BEGIN}"),
        ("\n- version: 1\n", f"m.yaml:2:1: this is a list, {NOT_A_MAPPING}"),
        ("Email,Total\nada@example.com,12\n", f"m.yaml:1:1: this is plain text, {NOT_A_MAPPING}"),
    ],
)
def test_what_is_no_mapping_at_all_is_told_how_one_begins(text: str, message: str) -> None:
    assert told(text) == [message]


def failing(path: Path) -> str:
    """What loading the file says, without its folder."""
    with pytest.raises(ImporterError) as caught:
        load(str(path))
    return str(caught.value).replace(f"{path.parent}/", "")


def test_a_binary_file_is_not_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "orders.parquet"
    path.write_bytes(b"PAR1\x15\x00\x15\xe8\xff")
    assert "orders.parquet: this is a binary file, not a mapping; is this the data instead of the mapping?" in failing(
        path
    )


def test_a_file_in_another_encoding_is_told_the_place_of_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_bytes("version: 1\n# é wie\nkey: Straße, Währung\n".encode("cp1252").replace(b"\xe9", "é".encode()))
    assert "  m.yaml:3:10: the byte 0xDF is not UTF-8 text; save the mapping as UTF-8\n" in failing(path)


def test_utf_16_is_told_to_be_saved_as_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(HEAD, encoding="utf-16")
    assert "  m.yaml:1:1: the byte 0xFF is not UTF-8 text; save the mapping as UTF-8\n" in failing(path)


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_bytes(b"a" * (10 * MAX_SIZE))
    assert "m.yaml: a mapping has at most 256 KiB, and this file is larger; is this the data" in failing(path)


def test_a_missing_file_is_told_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "purchases.yaml").write_text(HEAD, encoding="utf-8")
    assert failing(tmp_path / "purchase.yaml") == (
        "error: the mapping purchase.yaml does not exist\n\nhint: did you mean purchases.yaml?"
    )
    assert failing(tmp_path / "zzz") == (
        "error: the mapping zzz does not exist\n\n"
        "hint: -m takes the path of a YAML file, or a preset's name; `importer presets` lists them"
    )


def test_a_missing_folder_and_a_folder_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="hint: there is no directory"):
        load(str(tmp_path / "no" / "m.yaml"))
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        load(str(tmp_path))
    with pytest.raises(UsageError, match="cannot be read: embedded null byte"):
        load("m\0.yaml")


@given(st.text(max_size=200))
def test_a_text_that_is_no_mapping_is_told_its_mistakes_whatever_it_is(text: str) -> None:
    assert told(text)


WORDS = st.sampled_from(
    [
        "version",
        "subscriber",
        "type",
        "where",
        "column",
        "in",
        "as",
        "email",
        "format",
        "const",
        "map",
        "zzz",
        "",
        "a b",
    ]
)
VALUES = st.recursive(
    st.sampled_from(
        ["1", "true", "", "null", "Email", '"x"', "-3.5", "datetime", "'%Y'", "UTC", "'('", "0123", "[]", "{}"]
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: f"[{', '.join(part or 'null' for part in parts)}]"),
        st.lists(st.tuples(WORDS, inner), max_size=4).map(
            lambda pairs: "{" + ", ".join(f'"{word}": {value or "null"}' for word, value in pairs) + "}"
        ),
    ),
    max_leaves=12,
)


@given(st.lists(st.tuples(WORDS, VALUES), min_size=1, max_size=6))
def test_whatever_is_wrong_is_told_in_the_users_words_and_inside_the_text(lines: list[tuple[str, str]]) -> None:
    text = "".join(f'"{word}": {value or "null"}\n' for word, value in lines)
    try:
        loads(text, "m.yaml")
    except MappingError as error:
        for problem in error.problems:
            assert 1 <= problem.line <= len(lines)
            assert problem.column >= 1
            for jargon in (
                "Input should",
                "valid dictionary",
                "pydantic",
                "NoneType",
                "tuple",
                "Extra inputs",
                "str type",
            ):
                assert jargon not in f"{problem.message} {problem.hint}"


def test_loading_stays_light() -> None:
    """Neither pandas nor the engines of rules that this mapping does not use are imported."""
    code = (
        "import sys; from importer.mapping.load import loads;"
        f"loads({HEAD!r}, 'm'); print([name for name in ('pandas', 'pyarrow', 'phonenumbers') if name in sys.modules]);"
        f"loads({HEAD!r} + 'key: {{column: A, extract: \"x\"}}', 'm'); print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\nFalse\n"


@pytest.mark.parametrize("default", ["purchase", "{const: purchase}"])
def test_a_default_is_a_text_or_a_constant(default: str) -> None:
    """As `cases` and `use` are written."""
    text = "version: 1\nsubscriber: {email: e}\ntype: {cases: [{when: [{column: n, below: 0}], use: {const: refund}}], "
    assert loads(text + f"default: {default}}}\n", "m.yaml").mapping.type.default == "purchase"
