"""Reasons in the user's words, for one value and for whole columns."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importer.reasons import REASONS
from importer.report.words import message_of, messages_of, shown_column
from importer.wording import duration, shown

TEXT = st.text(max_size=8) | st.text("\x00\x1b\n\r\t\x85\u2028\u202e\u200b\ufeff\u00ad\u0301aé😀", max_size=6)


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        ("03/04/2024 10:15", " (day first: 3 April 2024; month first: 4 March 2024)"),
        ("25.12.24", " (day first: 25 December 2024; month first: no date)"),
        ("2-29-1999", " (day first: no date; month first: no date)"),
    ],
)
def test_an_ambiguous_date_is_shown_with_both_its_readings(text: str, readings: str) -> None:
    said = message_of("property.ambiguous_date", "properties.at", text)
    assert said.startswith(f"properties.at: {text} ")
    assert said.endswith(readings)
    assert message_of("order_by.ambiguous_date", "order_by", text).endswith(readings)


@settings(deadline=None)  # a shared machine stalls now and then
@given(st.sampled_from(sorted(REASONS)), st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5))
def test_a_column_of_messages_says_what_each_message_says(code: str, cells: list[tuple[str, str]]) -> None:
    valid = [
        (field.encode("utf-8", "replace").decode(), value.encode("utf-8", "replace").decode()) for field, value in cells
    ]
    fields, values = (pa.array(column, pa.string()) for column in zip(*valid, strict=True))
    assert messages_of(code, fields, values).to_pylist() == [message_of(code, *cell) for cell in valid]


@settings(deadline=None)
@given(st.lists(st.none() | TEXT, max_size=6))
def test_a_column_is_shown_as_each_text_is(texts: list[str | None]) -> None:
    valid = [text and text.encode("utf-8", "replace").decode() for text in texts]
    assert shown_column(pa.array(valid, pa.string())).to_pylist() == [text and shown(text) for text in valid]


@given(TEXT)
def test_nothing_that_is_shown_steers_a_terminal_or_hides(text: str) -> None:
    found = shown(text)
    assert found.isprintable()
    assert shown(found) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Žilvinas 😀 €", "Žilvinas 😀 €"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("one\r\ntwo", "one\\r\\ntwo"),
        ("ada@example.com\u200b", "ada@example.com\\u200b"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("caf\udce9", "caf\\udce9"),
    ],
)
def test_what_cannot_be_seen_is_shown_as_an_escape(text: str, found: str) -> None:
    assert shown(text) == found


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.25, "0.2 s"), (1, "1 s"), (41, "41 s"), (59.6, "1 min"), (61, "1 min 1 s"), (266, "4 min 26 s"),
     (3_600, "1 h"), (101_400, "28 h 10 min"), (1_000_000, "11 d 13 h"), (8_640_000, "100 d")],
)  # fmt: skip
def test_durations_have_at_most_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text
