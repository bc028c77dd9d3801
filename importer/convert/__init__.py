"""The stage *convert*: a chunk and the mapping in, event columns out.

    row_mapper.py   a mapping compiled once, then applied chunk by chunk
    fields.py       one target: its value mapping, its conversion, and the codes of what goes wrong
    values.py       column, first_of, const, template, product_of, and the text steps
    filters.py      ``where``
    numbers.py      numbers as people write them → exact JSON number tokens;  money.py  amounts and their currency
    datetimes.py    dates and times → ISO 8601
    identities.py   ids, keys, e-mail addresses and phones, each in one spelling
    arrays.py       what Arrow lacks, and what a conversion gives back

Everything works on whole Arrow columns; Python sees only the distinct values that a vectorised step cannot read.
"""

from __future__ import annotations

from importer.convert.row_mapper import RowMapper
from importer.mapping.model import ImportMapping
from importer.model import Chunk, Events

__all__ = ["RowMapper", "convert"]


def convert(chunk: Chunk, mapping: ImportMapping) -> Events:
    """Convert one chunk; for many chunks compile once with `RowMapper(mapping)` and call that."""
    return RowMapper(mapping)(chunk)
