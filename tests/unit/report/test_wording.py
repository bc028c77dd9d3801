"""Reasons in the user's words."""

from __future__ import annotations

import pytest

from importer.report.wording import message_of


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
    assert said == (
        f"properties.at: {text} may have the day or the month first, and the mapping does not say which{readings}"
    )
    assert message_of("order_by.ambiguous_date", "order_by", text).endswith(readings)
