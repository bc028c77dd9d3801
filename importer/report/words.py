"""Words of reports, the same on the screen and on the page: for states and sums, for sources, and for reasons.

A reason's message is its code's template in `importer.reasons`, filled for one value or for a whole column. Values from
files and the API are shown with their control characters escaped, so that no cell can forge a line of the report or
steer a terminal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import PurePath

import pyarrow as pa
import pyarrow.compute as pc

from importer.currencies import decimals
from importer.model import ArrowArray, State
from importer.reasons import REASONS
from importer.report.model import Summary
from importer.wording import counted, shown

_LABELS = {
    State.SENT: ("sent", "accepted by the API", "sent"),
    State.INVALID: ("invalid", "not sent: problem in the data", "problem"),
    State.FILTERED: ("filtered", "skipped by your filter", ""),
    State.GROUPED: ("grouped", "part of another row's event", ""),
    State.DUPLICATE: ("duplicate", "already sent, or repeated in this file", ""),
    State.REFUSED: ("refused", "not sent: the API refused them for good", "problem"),
    State.FAILED: ("failed", "given up; may have been accepted", "unsure"),
    State.IN_DOUBT: ("in doubt", "may have been accepted; your decision", "unsure"),
    State.PENDING: ("pending", "still to be sent", "waiting"),
}
_READY = ("ready", "would be sent", "waiting")


def label_of(state: State, *, checked: bool) -> tuple[str, str, str]:
    """A state's label, its meaning and its tone; in a check pending rows are those that would be sent.

    Tones are what colours mean: four meanings, and an empty one for rows that need no care.
    """
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


# Reasons

_EMPTY = "an empty cell"
_FIELD, _VALUE = "\ufffa", "\ufffb"
"""Placeholders of field and value while a template is filled for a whole column; `shown` lets neither through."""


def message_of(code: str, field: str, value: str) -> str:
    """What is wrong: the code's template filled; the value alone for a code that this version does not know."""
    message: str = messages_of(code, pa.array([field]), pa.array([value]))[0].as_py()
    return message


def messages_of(code: str, fields: ArrowArray, values: ArrowArray) -> ArrowArray:
    """`message_of` for ``string`` arrays of one code; a null counts as empty."""
    texts = pc.fill_null(values, "")
    values = shown_column(texts)
    if code not in REASONS:
        return values
    values = pc.if_else(pc.equal(pc.utf8_trim_whitespace(values), ""), _EMPTY, values)
    columns = {_FIELD: shown_column(pc.fill_null(fields, "")), _VALUE: values}
    template = REASONS[code].message.format(field=_FIELD, value=_VALUE)
    pieces = [columns.get(piece, piece) for piece in re.split(f"([{_FIELD}{_VALUE}])", template) if piece]
    if code.endswith(".ambiguous_date"):
        pieces.append(pa.array(map(_readings, texts.to_pylist()), pa.string()))
    if all(isinstance(piece, str) for piece in pieces):
        return pa.repeat(pa.scalar(template, pa.string()), len(values))
    return pc.binary_join_element_wise(*pieces, "")


def shown_column(texts: ArrowArray) -> ArrowArray:
    """`shown` for a ``string`` array; nulls stay null."""
    printable = pc.utf8_is_printable(texts)
    if pc.all(printable, min_count=0).as_py():
        return texts
    # Arrow's table of letters may be newer than Python's: the few that it doubts are asked one by one.
    doubted = [shown(text) for text in texts.filter(pc.invert(printable)).to_pylist()]
    return pc.replace_with_mask(
        texts, pc.invert(pc.fill_null(printable, fill_value=True)), pa.array(doubted, pa.string())
    )


def fix_of(code: str) -> str:
    """What to do next; empty for a code that this version does not know."""
    reason = REASONS.get(code)
    return reason.fix.format() if reason else ""


def severity_of(code: str) -> str:
    """``error`` or ``warning``."""
    reason = REASONS.get(code)
    return reason.severity if reason else "error"


def _readings(text: str) -> str:
    """What a date of digits would be if the day came first, and if the month did."""
    parts = re.match(r"([0-9]{1,2})([./-])([0-9]{1,2})\2([0-9]{4}|[0-9]{2})", text)
    if not parts:
        return ""
    first, second, year = int(parts[1]), int(parts[3]), int(parts[4])
    if len(parts[4]) == 2:  # as `strptime` reads %y
        year += 2000 if year < 69 else 1900
    return f" (day first: {_long(year, second, first)}; month first: {_long(year, first, second)})"


def _long(year: int, month: int, day: int) -> str:
    try:
        return f"{day} {date(year, month, day):%B} {year}"
    except ValueError:
        return "no date"
