"""The stage *convert*: a chunk and the mapping in, event columns out.

    row_mapper.py   a mapping compiled once, then applied chunk by chunk
    values.py       a target: column, first_of, const, template, product_of, the text steps, and its conversion
    filters.py      ``where``
    numbers.py      numbers as people write them → exact JSON number tokens
    datetimes.py    dates and times → ISO 8601
    identities.py   ids, keys, e-mail addresses and phones, each in one spelling
    lookups.py      another file's answers by a key
    arrays.py       what a conversion gives back

Everything works on whole Arrow columns; Python sees only the distinct values that a vectorised step cannot read.
"""

from importer.convert.row_mapper import RowMapper

__all__ = ["RowMapper"]
