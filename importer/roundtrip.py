"""What rejects files and readers agree on: a corrected reject becomes the event its original would have been.

Two rules: which columns rejects append, and how a cell that a spreadsheet would take for a formula is made harmless in
CSV outputs and restored when they are read: for a CSV whose header `is_rejects`, a reader applies `original`.

The rule for formulas: a cell that starts with ``=``, ``@``, a tab, a line break, a full-width ``＝ ＋ － ＠``, or with
``+`` or ``-`` before anything but a plain number or phone (``-12.50``, ``+370 612 34567``, a lone ``-``) gets an
apostrophe in front. A cell that looks so behind apostrophes of its own gets one more, so that taking one away always
restores what was there. Source: OWASP, "CSV Injection".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from importer.columns import text_bounds, text_bytes
from importer.model import ArrowArray, Chunk, Source

APPENDED = (
    "importer_state",
    "importer_code",
    "importer_field",
    "importer_message",
    "importer_source",
    "importer_row",
    "importer_line",
    "importer_run",
)
"""The columns that rejects append to the original ones, in this order."""

DOUBT = ("importer_key", "importer_value", "importer_sent_at", "arrived")
"""The columns that files of rows in doubt append as well: the event's key and value, when it was sent, and an empty one
for the user's word, which `importer resolve --from` reads."""

ORIGINAL = "importer_original"
"""CSV rejects append this too: the whole raw record of a row that could not be told into cells, else empty."""

_ORIGIN = ("run", "source", "row", "line")

JSON_KEY = "_importer"
"""The key that JSONL rejects add to each object."""

FORMULA_START = re.compile(r"'*[=@\t\r\n＝＋－＠+\-]")  # full-width signs are what the rule is about
"""How a cell begins that may be a formula; plain numbers and phones begin so too."""
_SUSPECT = np.isin(np.arange(256), list("'=@\t\r\n＝+-".encode()))
"""By a cell's first byte, whether it may begin so."""
_HARMLESS = re.compile(r"'*[+\-][0-9., ]*(?:[eE][+\-]?[0-9]+)?")


def is_rejects(columns: Iterable[str]) -> bool:
    """Whether a header is that of a CSV rejects file."""
    return "importer_code" in columns


def origin_columns(source: Source) -> tuple[str, ...]:
    """The columns of a rejects file that say which row each of its rows corrects: run, source, row and line.

    None where the file cannot be one. JSON lines have no header, so that each of them is asked.
    """
    if source.dialect.format == "jsonl":
        return tuple(f"{JSON_KEY}.{name}" for name in _ORIGIN)
    names = tuple(f"importer_{name}" for name in _ORIGIN)
    found = tuple(name for name in names if name in (source.columns or ()))
    return found if found[:3] == names[:3] else ()  # the line may have been taken out


def with_origins(chunk: Chunk, names: Sequence[str], wanted: Collection[str]) -> Chunk:
    """The chunk with its origins from the columns ``names``, which it keeps only where they are ``wanted``."""
    table = chunk.table
    if not set(names) <= set(table.column_names):
        return chunk
    places = np.full(chunk.count, -1, np.int64)
    places[chunk.rows - chunk.first_row] = np.arange(len(chunk.rows))
    found = [table.column(name).combine_chunks().take(pa.array(places, mask=places < 0)) for name in names]
    run, source, row, *line = (pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts) for texts in found)
    row = pc.if_else(pc.match_substring_regex(row, r"^[0-9]{1,18}$"), row, pa.scalar(None, pa.string()))
    lines = line[0] if line else pa.nulls(len(run), pa.string())
    origins = pa.table({"run": run, "source": source, "row": row.cast(pa.int64()), "line": lines})
    kept = table.drop_columns([name for name in names if name not in wanted])
    return replace(chunk, table=kept, origins=None if source.null_count == chunk.count else origins)


def is_formula(cell: str) -> bool:
    """Whether a spreadsheet would take the cell for a formula, or would if an apostrophe were taken from it."""
    return FORMULA_START.match(cell) is not None and _HARMLESS.fullmatch(cell) is None


def harmless(cell: str) -> str:
    """The cell as it may stand in a CSV output."""
    return "'" + cell if is_formula(cell) else cell


def original_cell(cell: str) -> str:
    """The cell that `harmless` was given."""
    return cell[1:] if cell.startswith("'") and is_formula(cell) else cell


def harmless_column(cells: ArrowArray) -> ArrowArray:
    """`harmless` for a ``string`` array; nulls stay null."""
    return _changed(cells, harmless)


def original(cells: ArrowArray) -> ArrowArray:
    """`original_cell` for a ``string`` array; nulls stay null."""
    return _changed(cells, original_cell)


def _changed(cells: ArrowArray, change: Callable[[str], str]) -> ArrowArray:
    starts = text_bounds(cells)
    if not _SUSPECT[text_bytes(cells)[starts[:-1][starts[1:] > starts[:-1]]]].any():  # nothing begins so: a quick look
        return cells
    suspects = pc.match_substring_regex(cells, f"^{FORMULA_START.pattern}")
    if not suspects.true_count:
        return cells
    changed = pa.array(map(change, cells.filter(suspects).to_pylist()), pa.string())
    return pc.replace_with_mask(cells, pc.fill_null(suspects, fill_value=False), changed)
