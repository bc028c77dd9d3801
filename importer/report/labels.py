"""Words for states and sums, and which states share a colour; the same on the screen and on the page."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import PurePath

from importer.currencies import decimals
from importer.model import State
from importer.report.model import Summary
from importer.wording import counted, shown

_LABELS = {
    State.SENT: ("sent", "accepted by the API"),
    State.INVALID: ("invalid", "not sent: problem in the data"),
    State.FILTERED: ("filtered", "skipped by your filter"),
    State.GROUPED: ("grouped", "part of another row's event"),
    State.DUPLICATE: ("duplicate", "already sent, or repeated in this file"),
    State.REFUSED: ("refused", "not sent: the API refused them for good"),
    State.FAILED: ("failed", "given up; may have been accepted"),
    State.IN_DOUBT: ("in doubt", "may have been accepted; your decision"),
    State.PENDING: ("pending", "still to be sent"),
}
_READY = ("ready", "would be sent")

TONES = {
    State.SENT: "sent",
    State.INVALID: "problem",
    State.REFUSED: "problem",
    State.IN_DOUBT: "unsure",
    State.FAILED: "unsure",
    State.PENDING: "waiting",
}
"""What colours mean: four meanings, and none for rows that need no care."""


def label_of(state: State, *, checked: bool) -> tuple[str, str]:
    """A state's label, and what it means; in a check pending rows are those that would be sent."""
    return _READY if checked and state is State.PENDING else _LABELS[state]


def states_in_words(rows: Mapping[str, int], *, checked: bool = False) -> str:
    """The states that have rows: ``264 sent, 36 invalid``."""
    found = [f"{rows[state]:,} {label_of(state, checked=checked)[0]}" for state in State if rows[state]]
    return ", ".join(found) or "no rows"


def sources_name(summary: Summary) -> str:
    """``orders.csv``, ``orders.csv and 3 more``."""
    names = [PurePath(one.name).name or one.name for one in summary.sources]
    if not names:
        return "nothing"
    return shown(names[0]) + (f" and {len(names) - 1:,} more" if len(names) > 1 else "")


def source_facts(summary: Summary, most: int) -> list[str]:
    """A line per source: name, rows, format and encoding, or why it was not read to its end."""
    lines = []
    for one in summary.sources[:most]:
        how = ", ".join(part for part in (one.format.upper() if one.format else "", shown(one.encoding)) if part)
        if one.error:
            end = "not read to its end" if one.rows else "not read"
            first, *rest = one.error.removeprefix(f"{one.name}: ").splitlines() or [""]
            why = " ".join([first, *(["; ".join(map(str.strip, rest))] if rest else [])])
            lines.append(f"{shown(one.name)}: {end}: {shown(why)}")
        elif not one.rows:
            lines.append(
                f"{shown(one.name)}: {'has a header but no rows' if one.format in ('csv', 'xlsx') else 'has no rows'}"
            )
        else:
            lines.append(f"{shown(one.name)}: {counted(one.rows, 'row')}" + (f" ({how})" if how else ""))
    return lines


def amount(total: str, currency: str, *, named: bool = True) -> str:
    """A sum with its thousands apart, all its digits, at least as many decimals as the currency has, and its name."""
    value = Decimal(total)
    name = f" {shown(currency)}" if named and currency else ""
    exponent = value.adjusted()
    if exponent > 20 or (value and exponent < -10):
        return f"{value:.6e}{name}"
    whole, _, fraction = f"{value:,f}".partition(".")
    fraction = fraction.rstrip("0")
    fraction = fraction.ljust(max(2 if fraction else 0, decimals(currency) or 0), "0")
    return f"{whole}{'.' if fraction else ''}{fraction}{name}"
