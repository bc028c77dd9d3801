"""Reading: files into chunks of text columns, in one pass, at flat memory.

``expand`` turns the SOURCE arguments into inputs; ``open_source`` turns an input into a `Reader`, whose ``chunks`` are
what the rest of the product works on.
"""

from __future__ import annotations

from collections.abc import Collection

from importer.errors import SourceError
from importer.mapping.model import SourceOptions
from importer.read.arrow import text_of
from importer.read.delimited import DelimitedReader
from importer.read.detect import PARQUET_MAGIC, recognise_format, refuse_foreign
from importer.read.encoding import EncodingError, recognise_encoding, utf8_blocks
from importer.read.excel import is_workbook, open_workbook
from importer.read.files import MAX_RATIO, Content, Input, Limits, is_data_name
from importer.read.inputs import expand
from importer.read.jsonl import JsonLinesReader
from importer.read.parquet import ParquetReader
from importer.read.reader import Part, Reader, TextSample, as_source_error, chunk_of

__all__ = [
    "EncodingError",
    "Input",
    "Limits",
    "Part",
    "Reader",
    "chunk_of",
    "expand",
    "is_data_name",
    "open_source",
    "text_of",
]

_DEFAULT = Limits()


def open_source(
    source: Input,
    options: SourceOptions,
    limits: Limits = _DEFAULT,
    *,
    columns: Collection[str] = (),
    each: str | None = None,
) -> Reader:
    """Open an input and recognise what the options leave open: workbook, compression, encoding, format, in this order.

    ``columns`` are the names that the mapping wants: the header of a CSV file is the line that has them. ``each``: the
    list whose elements are the rows. Raises
    `SourceError` if the input cannot be read at all: missing, damaged, encrypted, or of a foreign format.
    """
    try:
        if is_workbook(source):
            return open_workbook(source, options, limits, columns)
        content = Content(source, options.compression, options.max_ratio or MAX_RATIO)
        try:
            return _reader(content, options, limits, columns, each or "")
        except BaseException:
            content.close()
            raise
    except Exception as error:
        raise as_source_error(source.name, error) from error


def _reader(content: Content, options: SourceOptions, limits: Limits, columns: Collection[str], each: str) -> Reader:
    sample, complete = content.peek(limits.sample)
    if options.format == "parquet" or (options.format is None and sample.startswith(PARQUET_MAGIC)):
        return ParquetReader(content, limits, options.max_ratio or MAX_RATIO, each)
    # A header may be longer than a sample; a line that is longer than any may be is none.
    while not complete and len(sample) < limits.line and not (b"\n" in sample or b"\r" in sample):
        sample, complete = content.peek(len(sample) * 2)
    refuse_foreign(content.name, sample)
    encoding = recognise_encoding(content.name, options.encoding, sample, complete=complete)
    pieces = iter([sample, b""])
    text = b"".join(utf8_blocks(lambda: next(pieces), encoding, partial=not complete))
    text_sample = TextSample(text, complete, encoding)
    kind = options.format or recognise_format(content.name, text)
    if kind == "jsonl":
        return JsonLinesReader(content, text_sample, options, limits, columns, each)
    if each:
        hint = "`group_by` makes one event of several rows; every row of CSV is one already"
        raise SourceError(content.name, f"is CSV, which has no lists for `each: {each}`", hint=hint)
    return DelimitedReader(content, text_sample, options, limits, columns)
