"""The two things that are only ever read whole, packed: raw records, and lists of reasons."""

from __future__ import annotations

import pyarrow as pa

from importer.model import ArrowTable

_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)  # handing small pieces to threads costs more
_READ_OPTIONS = pa.ipc.IpcReadOptions(use_threads=False)


def pack(table: ArrowTable) -> bytes:
    """A table as a compressed Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_OPTIONS) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def unpack(blob: bytes) -> ArrowTable:
    """What `pack` packed."""
    return pa.ipc.open_stream(blob, options=_READ_OPTIONS).read_all()
