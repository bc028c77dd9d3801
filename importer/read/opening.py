"""Which reader an input gets.

This module owns the order of recognition: compression, Parquet, encoding, JSONL or CSV.
"""

from __future__ import annotations

import codecs

from importer.mapping.model import SourceOptions
from importer.read.content import Content
from importer.read.delimited import DelimitedReader
from importer.read.jsonl import JsonLinesReader
from importer.read.parquet import ParquetReader
from importer.read.reader import Limits, Reader
from importer.read.sniff import PARQUET_MAGIC, TextSample, recognise_format, refuse_foreign
from importer.read.storage import Input
from importer.read.text import settle_encoding, utf8_blocks

_DEFAULT = Limits()


def open_source(source: Input, options: SourceOptions, limits: Limits = _DEFAULT) -> Reader:
    """Open an input and recognise what the options leave open.

    Raises `SourceError` if it cannot be read at all: missing, empty, damaged, encrypted, or of a foreign format.
    """
    content = Content(source, options.compression)
    try:
        return _reader(content, options, limits)
    except BaseException:
        content.close()
        raise


def _reader(content: Content, options: SourceOptions, limits: Limits) -> Reader:
    sample, complete = content.peek(limits.sample)
    if options.format == "parquet" or (options.format is None and sample.startswith(PARQUET_MAGIC)):
        return ParquetReader(content, limits)
    refuse_foreign(content.name, sample)
    encoding, bom = settle_encoding(content.name, options.encoding, sample, complete=complete)
    text = TextSample(_as_utf8(sample, encoding, bom, complete=complete), complete, encoding, bom)
    if (options.format or recognise_format(content.name, text.data)) == "jsonl":
        return JsonLinesReader(content, text, options, limits)
    return DelimitedReader(content, text, options, limits)


def _as_utf8(sample: bytes, encoding: str, bom: bytes, *, complete: bool) -> bytes:
    if complete or encoding == "utf-8":
        pieces = iter([sample, b""])
        return b"".join(utf8_blocks(lambda: next(pieces), encoding, bom))
    # A character that is cut off at the sample's end is no undecodable one.
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    return decoder.decode(sample[len(bom) :]).encode("utf-8", "surrogatepass")
