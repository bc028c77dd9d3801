"""What a mapping with mistakes is told: all of them, word for word, at the right places."""

from __future__ import annotations

from pathlib import Path

import pytest

from importer.errors import MappingError
from importer.mapping.load import loads

HERE = Path(__file__).parent
HEAD = "version: 1\nsubscriber: {email: Email}\ntype: Type\n"


def told(text: str) -> list[str]:
    """The mistakes of a mapping, as printed."""
    with pytest.raises(MappingError) as caught:
        loads(text, "m.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_a_mapping_with_twelve_mistakes_gets_a_message_for_each_with_its_line_and_column() -> None:
    text = (HERE / "twelve.yaml").read_text(encoding="utf-8")
    assert told(text) == (HERE / "twelve.txt").read_text(encoding="utf-8").splitlines()


def test_the_error_as_a_whole_counts_the_mistakes_and_says_what_to_do() -> None:
    with pytest.raises(MappingError) as caught:
        loads(HEAD + "kye: Name\n", "m.yaml")
    assert str(caught.value) == (
        "error: the mapping has 1 problem; nothing was read or sent\n"
        '  m.yaml:4:1: unknown key "kye" in the mapping; did you mean key?\n\n'
        "hint: correct the lines above, then run the command again"
    )


def cases() -> list[tuple[str, str]]:
    """Lines and what they are told, of ``mistakes.txt``."""
    lines = (HERE / "mistakes.txt").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line and not line.startswith("#")]
    return [(line, message.strip()) for line, message in zip(kept[::2], kept[1::2], strict=True)]


@pytest.mark.parametrize(("line", "message"), cases())
def test_a_mistake_is_told_once_at_its_place(line: str, message: str) -> None:
    assert told(f"{HEAD}{line}\n") == [f"m.yaml:{message}"]


def test_mistakes_in_one_pick_do_not_hide_each_other() -> None:
    text = HEAD + "key: {column: [], as: int, lower: true, upper: true, country: US, scale: x, zzz: 1}\n"
    assert [line.partition(": ")[0] for line in told(text)] == [
        "m.yaml:4:15",
        "m.yaml:4:23",
        "m.yaml:4:41",
        "m.yaml:4:54",
        "m.yaml:4:74",
        "m.yaml:4:77",
    ]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("us", '`country` must be a country\'s two capital letters, such as US, or {column: …}, not "us"'),
        ("UK", 'no country with phones has the code "UK"; the United Kingdom is GB'),
        ("XX", 'no country with phones has the code "XX"; ISO 3166 lists the codes'),
    ],
)
def test_a_phones_country_is_one_that_has_phones(code: str, message: str) -> None:
    text = f"version: 1\nsubscriber:\n  phone: {{column: Phone, country: {code}}}\ntype: T\n"
    assert told(text) == [f"m.yaml:3:35: {message}"]


def test_what_is_missing_is_told_where_it_should_stand() -> None:
    assert told("version: 1\nsubscriber: {}\n") == [
        "m.yaml:1:1: the mapping needs `type`; name a column, or give every event one with `type: {const: purchase}`",
        "m.yaml:2:1: `subscriber` needs at least one of id, email, phone; such as `email: Email`",
    ]


def test_a_misspelt_word_is_not_also_told_to_be_missing() -> None:
    assert told("versoin: 1\nsubcriber: {email: Email}\ntype: T\n") == [
        'm.yaml:1:1: unknown key "versoin" in the mapping; did you mean version?',
        'm.yaml:2:1: unknown key "subcriber" in the mapping; did you mean subscriber?',
    ]


@pytest.mark.parametrize("version", ["true", "1.0", "'1'", "one"])
def test_only_the_number_one_is_the_version(version: str) -> None:
    [line] = told(f"version: {version}\nsubscriber: {{email: Email}}\ntype: T\n")
    assert line.startswith("m.yaml:1:10: `version` must be 1, not ")


def test_what_an_alias_repeats_is_told_once() -> None:
    text = HEAD + "key: &a {column: A, as: int}\nproperties: {b: *a, c: *a}\n"
    assert [line.partition(": ")[0] for line in told(text)] == ["m.yaml:4:25"]


def test_a_time_test_of_a_column_with_two_readings_says_its_own() -> None:
    readings = "properties: {a: {column: A, as: date, format: dmy}, b: {column: A, as: date, format: mdy}}\n"
    (message,) = told(f"{HEAD}{readings}where: [{{column: A, since: 30d}}]\n")
    assert "is read as a time in several ways, and the test does not say in which" in message
    loads(f"{HEAD}{readings}where: [{{column: A, since: 30d, format: dmy}}]\n", "m.yaml")
