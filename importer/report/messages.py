"""Reasons in the user's words: a code's template, filled for one value or for a whole column.

The templates are those of `importer.reasons`. Values from files and the API are shown with their control characters
escaped, so that no cell can forge a line of the report or steer a terminal.
"""

from __future__ import annotations

import re
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from importer.model import ArrowArray
from importer.reasons import REASONS
from importer.wording import shown

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
