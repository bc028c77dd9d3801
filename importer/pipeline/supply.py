"""From what the user named to prepared chunks: read → shape → (group →) validate → encode.

This module owns the middle of the pipeline, lazily, a chunk at a time; only groups wait until all is read. Of a file
on the disk one chunk is read, another one made of events, and a third one used at the same time. It decides
what a missing column means for a file, and that a file which cannot be used does not stop the others.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from importer.convert import RowMapper
from importer.encode import encode
from importer.errors import SourceError
from importer.group import ConvertedSource, grouped
from importer.mapping.columns import MissingColumn, check_columns
from importer.mapping.model import ImportMapping
from importer.model import Bools, Chunk, EncodedChunk, Events, Source, Violations
from importer.pipeline.ahead import ahead
from importer.pipeline.memory import give_back_soon
from importer.plan import PreparedSource, unreadable
from importer.read import Reader, expand, open_source, text_of
from importer.validate import validate
from importer.without_pandas import want_pandas

if TYPE_CHECKING:
    from importer.transform import Transform


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How rows are to be prepared."""

    strict: bool = False
    raw_rows: bool = False
    """Keep the original records, for rejects."""
    transform: str = ""
    """``file.py:function``, or empty."""
    bodies: bool = True
    """Make the requests' bodies."""


def supplies(
    arguments: Sequence[str], mapping: ImportMapping, reading: ReadOptions, say: Callable[[str], None]
) -> Generator[PreparedSource, None, None]:
    """Each source that the arguments name, in order. Raises `UsageError` where they name nothing.

    Files that cannot be used come as supplies without chunks, with their error; ``say`` hears of it.
    """
    give_back_soon()
    shaper = RowMapper(mapping)
    sources = _shaped(arguments, mapping, shaper, reading, say)
    if mapping.group_by is not None:
        sources = grouped(sources, mapping, shaper.absent())
    with closing(sources):
        for one in sources:
            prepared = _prepared(one.chunks, reading)
            # Closed before the source is, which may be at work on a chunk on its way.
            with closing(_telling(ahead(prepared) if one.ahead else prepared, say)) as chunks:
                yield PreparedSource(one.source, chunks, one.digest, one.error)


def _shaped(
    arguments: Sequence[str],
    mapping: ImportMapping,
    shaper: RowMapper,
    reading: ReadOptions,
    say: Callable[[str], None],
) -> Generator[ConvertedSource, None, None]:
    """Each source with its rows as they are, before groups are made."""
    inputs = expand(arguments)
    transform = _loaded(reading.transform) if reading.transform else None
    for each in inputs:
        try:
            with open_source(each, mapping.source) as reader:
                if transform is None:
                    _check_columns(reader.source, mapping, reader.source.columns, reader.available, say)
                with closing(_events(reader, mapping, shaper, transform, reading)) as events:
                    # The user's own function stays on the thread that loaded it.
                    may_run_ahead = bool(reader.size) and transform is None
                    yield ConvertedSource(
                        reader.source, events, partial(getattr, reader, "digest"), ahead=may_run_ahead
                    )
        except SourceError as error:
            say(str(error))
            yield ConvertedSource(unreadable(error.source), (), str, error.message)


def _loaded(spec: str) -> Transform:
    """The user's function, and with it pandas, which hardly anybody else needs."""
    want_pandas()
    from importer.transform import Transform

    return Transform(spec, text_of)


def _events(
    reader: Reader, mapping: ImportMapping, shaper: RowMapper, transform: Transform | None, reading: ReadOptions
) -> Generator[Events, None, None]:
    if transform is not None:
        yield from _transformed(reader, mapping, shaper, transform, reading)
        return
    with closing(_chunks(reader, mapping.columns(), reading)) as chunks:
        for chunk in chunks:
            yield shaper(chunk)


def _chunks(reader: Reader, columns: Sequence[str], reading: ReadOptions) -> Generator[Chunk, None, None]:
    """A file's chunks are read ahead; a pipe may keep one waiting, and Ctrl-C must end that."""
    chunks = reader.chunks(columns, raw_rows=reading.raw_rows)
    yield from ahead(chunks) if reader.size else chunks


def _prepared(shaped: Iterable[Events], reading: ReadOptions) -> Iterator[EncodedChunk]:
    for events in shaped:
        yield encode(events, validate(events, strict=reading.strict), bodies=reading.bodies)


def _transformed(
    reader: Reader, mapping: ImportMapping, shaper: RowMapper, transform: Transform, reading: ReadOptions
) -> Iterator[Events]:
    """Events of the rows that the user's function leaves; the others are filtered."""
    columns = transform.columns(reader.source.columns, mapping.columns())
    with closing(_chunks(reader, columns, reading)) as chunks:
        for chunk in chunks:
            changed, kept = transform(chunk)
            if chunk.table.num_rows:
                names = changed.table.column_names
                _check_columns(reader.source, mapping, names, names.__contains__, lambda _: None)
            events = shaper(changed)
            yield replace(
                events,
                passes_filter=events.passes_filter & kept,
                violations=tuple(_of_kept(problems, kept) for problems in events.violations),
            )


def _of_kept(problems: Violations, kept: Bools) -> Violations:
    there = kept[problems.positions]
    return replace(problems, positions=problems.positions[there], values=problems.values.filter(pa.array(there)))


def _telling(chunks: Iterator[EncodedChunk], say: Callable[[str], None]) -> Generator[EncodedChunk, None, None]:
    """The same chunks; a source that breaks off is told of when they are at their end."""
    try:
        yield from chunks
    except SourceError as error:
        say(str(error))
        raise


def _check_columns(
    source: Source,
    mapping: ImportMapping,
    columns: Sequence[str] | None,
    has: Callable[[str], bool],
    say: Callable[[str], None],
) -> None:
    if columns is None:
        return
    missing = check_columns(mapping, columns, has)
    if not missing:
        return
    if mapping.missing_columns == "refuse":
        raise SourceError(
            source.name,
            "the mapping needs columns that the file lacks: " + "; ".join(_lack(one) for one in missing),
            hint="correct the names in the mapping, give the picks a `default`, or say `missing_columns: warn`",
        )
    for one in missing:
        say(f"warning: {source.name} lacks {_lack(one)}")


def _lack(missing: MissingColumn) -> str:
    meant = f" (did you mean {missing.nearest!r}?)" if missing.nearest else ""
    return f"{missing.name!r} for {', '.join(missing.targets)}{meant}"
