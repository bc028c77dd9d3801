"""The stage *convert*: a chunk and the mapping in, event columns out.

This package owns what each word of the mapping language does to a column: which cell a target is picked from, the
steps on the way, and the canonical form of numbers, booleans, dates and phones. It leaves the API's rules (is this an
e-mail address, a currency, too long?) to ``validate``, and the mapping's own mistakes to ``mapping``.

    row_mapper.py the whole: a mapping compiled once, then chunk by chunk; collects what is wrong
    fields.py    one target: its pick, its conversion, and what could not be converted
    picks.py     column, first_of, const, template, and the text steps
    kinds.py     which conversion `as` means
    numbers.py   numbers as the world writes them → exact JSON number tokens
    times.py     dates and times, whole columns at once;  moments.py  the same for one odd text;  zones.py  offsets
    formats.py   the forms of dates → ISO 8601
    phones.py    phone numbers → E.164;  ids.py  what spreadsheets do to ids
    where.py     which rows are kept
    arrays.py    what Arrow lacks: distinct leftovers, scattered back

Everything works on whole Arrow columns; Python sees only the *distinct* values that a fast path does not know.
"""

from __future__ import annotations

from importer.convert.row_mapper import RowMapper
from importer.mapping.model import ImportMapping
from importer.model import Chunk, Events

__all__ = ["RowMapper", "convert"]


def convert(chunk: Chunk, mapping: ImportMapping) -> Events:
    """Convert one chunk; for many chunks compile once with `RowMapper(mapping)` and call that."""
    return RowMapper(mapping)(chunk)
