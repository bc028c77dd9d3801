"""From the files that the user names to encoded chunks: read → convert → (group →) validate → encode.

All of it is lazy, a chunk at a time; only groups wait until everything is read. Of a file on the disk one chunk is
read, another one is converted, and a third one is used at the same time. A file that cannot be used stops no other.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from importer.convert import RowMapper
from importer.convert.accounts import with_known_accounts
from importer.convert.resaved import has_comma_decimals, may_be_resaved, number_columns, with_both_signs
from importer.convert.row_mapper import MOST_KEYS
from importer.encode import encode
from importer.errors import ImporterError, SourceError
from importer.group import grouped
from importer.lookups import read_lookups
from importer.mapping.columns import MissingColumn, check_columns
from importer.mapping.errors import nearest
from importer.mapping.model import ImportMapping
from importer.mapping.unused import UnusedColumns
from importer.model import AccountColumn, Chunk, EncodedChunk, Events, Source, SourceStream
from importer.read import Input, Reader, expand, open_source, text_of
from importer.roundtrip import origin_columns, with_origins
from importer.validate import fitted, validate
from importer.wording import brief, counted, shown

if TYPE_CHECKING:
    from importer.transform import Transform

T = TypeVar("T")


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
    accounts: AccountColumn | None = None
    """How rows name their account; None: there is one for all."""

    def columns(self, mapping: ImportMapping) -> tuple[str, ...]:
        """The columns that are needed of a source."""
        named = self.accounts.column if self.accounts else None
        return tuple(dict.fromkeys([*mapping.columns(), *([named] if named else [])]))


def prepare_sources(
    arguments: Sequence[str | Input], mapping: ImportMapping, reading: ReadOptions, say: Callable[[str], None]
) -> Generator[SourceStream[EncodedChunk], None, None]:
    """Each source that the arguments name, in order. Raises `UsageError` where they name none.

    A file that cannot be used comes as a stream without chunks, with its error, and `say` gets that error.
    """
    mapper = RowMapper(mapping, read_lookups(mapping, say), reading.accounts)
    sources = _converted(arguments, mapping, mapper, reading, say)
    if mapping.group_by is not None:
        sources = grouped(sources, mapping, mapper.absent())
    with closing(sources):
        for one in sources:
            encoded = _guarded(one.source.name, _encoded(one.chunks, reading))
            # Closed before the source is, which may be at work on a chunk on its way.
            with closing(_reported(prefetch(encoded) if one.threaded else encoded, say)) as chunks:
                yield SourceStream(one.source, chunks, one.digest, one.error)
    for name, keys in mapper.not_found.items():
        count = f"{'at least ' if len(keys) >= MOST_KEYS else ''}{counted(len(keys), 'key')}"
        say(f"warning: the lookup `{name}` has no row for {count}, such as {shown(min(keys))}")


def prefetch(items: Iterator[T]) -> Iterator[T]:
    """The same items, each made on a thread while the one before is used; an exception comes where it belongs.

    Not for items that may be waited for without end, such as a terminal's: to close this is to wait for the next item.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch") as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item


def _converted(
    arguments: Sequence[str | Input],
    mapping: ImportMapping,
    mapper: RowMapper,
    reading: ReadOptions,
    say: Callable[[str], None],
) -> Generator[SourceStream[Events], None, None]:
    """Each source with its rows as events, before groups are made."""
    transform = _transform(reading.transform) if reading.transform else None
    for each in expand(arguments):
        try:
            with open_source(each, mapping.source, columns=reading.columns(mapping), each=mapping.each) as reader:
                for note in reader.notes:
                    say(f"warning: {shown(reader.source.name)}: {note}")
                if transform is None:
                    _check_columns(reader.source, mapping, reader.source.columns, reader.available, say)
                    _check_account(reader.source, reading, reader.source.columns, reader.available)
                events = _guarded(reader.source.name, _events(reader, mapping, mapper, transform, reading))
                with closing(events):
                    # The user's own function stays on the thread that loaded it.
                    threaded = bool(reader.size) and transform is None
                    yield SourceStream(reader.source, events, partial(getattr, reader, "digest"), threaded=threaded)
        except ImporterError as error:
            if not isinstance(error, SourceError):
                raise
            say(str(error))
            yield SourceStream.unopened(error.source, error.message)
        except Exception as error:  # noqa: BLE001  # whatever a file can do to us, the other files go on
            unknown = _unexpected(each.name, error)
            say(str(unknown))
            yield SourceStream.unopened(unknown.source, unknown.message)


def _guarded(name: str, items: Iterator[T]) -> Generator[T, None, None]:
    """The same items; any unknown exception becomes the error of this source, so that the other sources go on."""
    try:
        yield from items
    except ImporterError:
        raise
    except Exception as error:
        raise _unexpected(name, error) from error


def _unexpected(name: str, error: Exception) -> SourceError:
    words = brief(str(error), 200)
    return SourceError(
        name,
        f"cannot be read; importer failed on it: {type(error).__name__}: {words}",
        hint="check that the file is whole; if it is, report this message and the file's first lines",
    )


def _transform(spec: str) -> Transform:
    """The user's function. It brings pandas, which no other run needs."""
    from importer.transform import Transform

    return Transform(spec, text_of)


def _events(
    reader: Reader, mapping: ImportMapping, mapper: RowMapper, transform: Transform | None, reading: ReadOptions
) -> Generator[Events, None, None]:
    if transform is not None:
        yield from _transformed(reader, mapping, mapper, transform, reading)
        return
    numbers = number_columns(mapping) if may_be_resaved(reader.source) else ()
    lenient = mapper.with_mapping(with_both_signs(mapping)) if numbers else mapper
    with closing(_chunks(reader, reading.columns(mapping), mapping, reading)) as chunks:
        for chunk in chunks:
            yield (lenient if has_comma_decimals(chunk, numbers) else mapper)(chunk)


def _chunks(
    reader: Reader, columns: Sequence[str], mapping: ImportMapping, reading: ReadOptions
) -> Generator[Chunk, None, None]:
    """A file's chunks are read ahead; a pipe may keep one waiting, and Ctrl-C must end that."""
    origins = origin_columns(reader.source) if reading.raw_rows else ()
    wanted = [*columns, *(name for name in origins if name not in columns)]
    unused = None if mapping.more_properties is None else UnusedColumns(mapping)
    chunks = reader.chunks(wanted, raw_rows=reading.raw_rows, unused=unused)
    for chunk in prefetch(chunks) if reader.size else chunks:
        yield with_origins(chunk, origins, columns) if origins else chunk


def _encoded(converted: Iterable[Events], reading: ReadOptions) -> Iterator[EncodedChunk]:
    for events in converted:
        judged = fitted(events)
        if reading.accounts is not None:
            judged = with_known_accounts(judged, reading.accounts)
        yield encode(judged, validate(judged, strict=reading.strict), bodies=reading.bodies)


def _transformed(
    reader: Reader, mapping: ImportMapping, mapper: RowMapper, transform: Transform, reading: ReadOptions
) -> Iterator[Events]:
    """Events of the rows that the user's function leaves; the others are filtered."""
    columns = transform.columns(reader.source.columns, reading.columns(mapping))
    with closing(_chunks(reader, columns, mapping, reading)) as chunks:
        for chunk in chunks:
            changed, kept = transform(chunk)
            if chunk.table.num_rows:
                names = changed.table.column_names
                _check_columns(reader.source, mapping, names, names.__contains__, lambda _: None)
                _check_account(reader.source, reading, names, names.__contains__)
            yield mapper(changed, kept)


def _reported(chunks: Iterator[EncodedChunk], say: Callable[[str], None]) -> Generator[EncodedChunk, None, None]:
    """The same chunks; ``say`` gets the error of a source that breaks off."""
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
    if source.columns == ():
        raise SourceError(source.name, "is empty", hint="a CSV file needs at least a header line")
    missing = check_columns(mapping, columns, has)
    if not missing:
        return
    if mapping.missing_columns == "refuse":
        raise SourceError(
            source.name,
            "the mapping needs columns that the file lacks: " + "; ".join(_lack(one) for one in missing),
            hint="correct the names in the mapping, give the values a `default`, or set `missing_columns: warn`",
        )
    decisive = [one for one in missing if one.is_decisive]
    if decisive:
        there = ", ".join(repr(brief(name)) for name in columns[:30])
        raise SourceError(
            source.name,
            f"no row can become an event, for the file lacks columns: {'; '.join(_lack(one) for one in decisive)}",
            hint=f"the file has the columns {there}; correct the names in the mapping",
        )
    for one in missing:
        say(f"warning: {shown(source.name)} lacks {_lack(one)}")


def _check_account(
    source: Source, reading: ReadOptions, columns: Sequence[str] | None, has: Callable[[str], bool]
) -> None:
    """Raise `SourceError` for a file without the column that names each row's account."""
    name = reading.accounts.column if reading.accounts else None
    if name is None or columns is None or has(name):
        return
    near = nearest(name, columns)
    raise SourceError(
        source.name,
        f"it lacks the column {brief(name)!r}, which names the account of each row",
        hint=(f"did you mean {brief(near)!r}? " if near else "") + "correct `column` in the file of accounts",
    )


def _lack(missing: MissingColumn) -> str:
    meant = f" (did you mean {missing.nearest!r}?)" if missing.nearest else ""
    return f"{brief(missing.name)!r} for {', '.join(missing.targets)}{meant}"
