"""From the files that the user names to encoded chunks: read → convert → (group →) validate → encode.

All of it is lazy, a chunk at a time; only groups wait until everything is read. Of a file on the disk one chunk is
read, another one is converted, and a third one is used at the same time. A file that cannot be used stops no other.
Where a cluster's workers prepare the rows, they do with each part of a source what this process does otherwise.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from importer.convert import RowMapper
from importer.convert.row_mapper import MOST_KEYS, with_known_accounts
from importer.encode import encode
from importer.errors import ImporterError, SourceError, UsageError
from importer.lookups import content_of, read_lookups
from importer.mapping.columns import MissingColumn, UnusedColumns, check_columns
from importer.mapping.errors import nearest
from importer.mapping.model import ImportMapping
from importer.model import (
    NO_ACCOUNT,
    Chunk,
    EncodedChunk,
    Events,
    PlannedChunk,
    RoutedChunk,
    Source,
    SourceStream,
    StoredChunk,
)
from importer.pipeline.options import ReadOptions
from importer.read import Input, Part, Reader, chunk_of, expand, open_source, text_of
from importer.roundtrip import origin_columns, with_origins
from importer.validate import fitted, validate
from importer.wording import brief, counted, shown

if TYPE_CHECKING:
    from importer.convert.lookups import Lookups
    from importer.ledger.identities import Hasher
    from importer.ledger.planning import Place
    from importer.model import Bools
    from importer.transform import Transform

T = TypeVar("T")
PrepareParts: TypeAlias = "Callable[[Iterator[Part]], Iterator[Any]]"
Places: TypeAlias = "Mapping[str, Place]"
"""Where workers write the rows of each account, or all, by an empty name; empty if they do not."""


class Preparer:
    """Makes events and encoded chunks of a mapping's rows, one thread at a time."""

    def __init__(
        self, mapping: ImportMapping, reading: ReadOptions, lookups: Mapping[str, Lookups], code: bytes | None = None
    ) -> None:
        """``code`` is what is in the file of `ReadOptions.transform`, where another machine has it."""
        self.mapping = mapping
        self.reading = reading
        self.mapper = RowMapper(mapping, lookups, reading.accounts)
        self.transform = _transform(reading.transform, code) if reading.transform else None

    @cached_property
    def named(self) -> tuple[str, ...]:
        """The columns that the mapping names, and the one that names the account."""
        account = self.reading.accounts.column if self.reading.accounts else None
        return tuple(dict.fromkeys([*self.mapping.columns(), *([account] if account else [])]))

    @cached_property
    def names_files(self) -> bool:
        """Whether the mapping takes facts of the file, which of rejects is not their own."""
        return '"file"' in self.mapping.model_dump_json(exclude={"tests", "lookups"}, exclude_none=True)

    def columns(self, source: Source) -> Sequence[str]:
        """The columns that are converted."""
        wanted = self.named
        return wanted if self.transform is None else self.transform.columns(source.columns, wanted)

    def origins(self, source: Source) -> Sequence[str]:
        """The columns that say which row a row corrects."""
        return origin_columns(source) if self.reading.raw_rows or self.names_files else ()

    def parts(self, reader: Reader) -> Generator[Part, None, None]:
        """What is read of a source."""
        wanted = dict.fromkeys((*self.columns(reader.source), *self.origins(reader.source)))
        unused = None if self.mapping.more_properties is None else UnusedColumns(self.mapping)
        return reader.parts(list(wanted), raw_rows=self.reading.raw_rows, unused=unused)

    def events(self, chunk: Chunk) -> Events:
        """A chunk's rows as events, before groups are made."""
        source, mapping = chunk.source, self.mapping
        if origins := self.origins(source):
            chunk = with_origins(chunk, origins, self.columns(source))
        if self.transform is not None:
            changed, kept = self.transform(chunk)
            if chunk.table.num_rows:
                names = changed.table.column_names
                _check_columns(source, mapping, names, names.__contains__, lambda _: None)
                _check_account(source, self.reading, names, names.__contains__)
            return self.mapper(changed, kept)
        return self.mapper(chunk)

    def encoded(self, events: Events) -> EncodedChunk:
        """Events with their requests' bodies, and what is wrong with the others."""
        judged = fitted(events)
        if self.reading.accounts is not None:
            judged = with_known_accounts(judged, self.reading.accounts)
        return encode(judged, validate(judged, strict=self.reading.strict), bodies=self.reading.bodies)


class _Recipe(msgspec.Struct, frozen=True):
    """What a worker needs to make a `Preparer` like ours, and to finish what it prepares."""

    finish: Callable[[EncodedChunk], Any]
    mapping: ImportMapping
    reading: ReadOptions
    code: bytes | None
    """Of the user's own function."""
    lookups: list[list[str]]
    """The content of the lookups' files, which a worker reads itself."""
    versions: dict[str, str]

    def preparer(self) -> Preparer:
        """Raises `UsageError` where this machine is not like the one that the recipe comes from."""
        from importer.pipeline.cluster import refuse_other_versions

        refuse_other_versions(self.versions, "the machine that plans")
        if content_of(self.mapping) != self.lookups:
            raise UsageError(
                "a worker finds other lookups than the machine that plans",
                hint="give their files, in the mapping, a path or an address at which every worker has them too",
            )
        return Preparer(self.mapping, self.reading, read_lookups(self.mapping, lambda _: None), self.code)


_here = threading.local()
"""Of a worker's thread: the last recipe, and the `Preparer` made by it."""


def _on_worker(recipe: bytes, item: tuple[Part, Places]) -> tuple[Any, dict[str, set[str]]]:
    """A part as events if these are to be grouped, else finished; and the keys that lookups did not have.

    Where there is a place for all of it, it is written, and what planning must know of it comes instead.
    """
    part, places = item
    if getattr(_here, "recipe", None) != recipe:
        unpacked: _Recipe = pickle.loads(recipe)  # noqa: S301  # the scheduler runs any code it is given
        _here.preparer, _here.finish = unpacked.preparer(), unpacked.finish
        _here.recipe = recipe
    preparer: Preparer = _here.preparer
    preparer.mapper.not_found.clear()
    events = preparer.events(chunk_of(part))
    not_found = dict(preparer.mapper.not_found)
    if preparer.mapping.group_by is None:
        made = _here.finish(preparer.encoded(events))
        return _written(made, places) if places else made, not_found
    return replace(events, chunk=replace(events.chunk, table=events.chunk.table.select([]), nested={})), not_found


def _written(stored: StoredChunk, places: Places) -> PlannedChunk:
    from importer.ledger.planning import write_there

    if "" in places:
        return write_there(places[""], stored)
    rows = by_account(stored)
    if not rows.keys() <= places.keys():
        return stored
    return RoutedChunk(stored.count, {name: write_there(places[name], stored, mine) for name, mine in rows.items()})


def by_account(stored: StoredChunk) -> dict[str, Bools]:
    """Which rows belong to each account that has some, shape (count,)."""
    names = pc.fill_null(stored.accounts, NO_ACCOUNT)
    return {name: np.asarray(pc.equal(names, pa.scalar(name))) for name in pc.unique(names).to_pylist()}


def prepare_sources(
    arguments: Sequence[str | Input], mapping: ImportMapping, reading: ReadOptions, say: Callable[[str], None]
) -> Generator[SourceStream[EncodedChunk], None, None]:
    """Each source that the arguments name, in order. Raises `UsageError` where they name none.

    A file that cannot be used comes as a stream without chunks, with its error, and `say` gets that error.
    """
    return _prepared(arguments, mapping, reading, say, _as_it_is)


def prepare_stored(  # what is read, and what becomes of it
    arguments: Sequence[str | Input],
    mapping: ImportMapping,
    reading: ReadOptions,
    say: Callable[[str], None],
    hasher: Hasher,
    places: Callable[[], Places] = dict,
) -> Generator[SourceStream[PlannedChunk], None, None]:
    """The same as the ledger with that hasher stores it.

    ``places`` says, while the chunks of a source are asked for, where workers write them.
    """
    from importer.ledger.planning import store  # with the ledger, which a check does not need

    return _prepared(arguments, mapping, reading, say, partial(store, hasher=hasher), places)


def _as_it_is(prepared: EncodedChunk) -> EncodedChunk:
    return prepared


def _prepared(
    arguments: Sequence[str | Input],
    mapping: ImportMapping,
    reading: ReadOptions,
    say: Callable[[str], None],
    finish: Callable[[EncodedChunk], Any],
    places: Callable[[], Places] = dict,
) -> Generator[SourceStream[Any], None, None]:
    preparer = Preparer(mapping, reading, read_lookups(mapping, say))
    finished = reading.here or mapping.group_by is not None

    def make(events: Any) -> Any:
        return finish(preparer.encoded(events)) if finished else events

    with _prepare_parts(preparer, finish, places) as prepare_parts:
        sources = _opened(arguments, preparer, prepare_parts, say)
        if mapping.group_by is not None:
            from importer.group import grouped  # which most mappings do without

            sources = grouped(sources, mapping, preparer.mapper.absent())
        with closing(sources):
            for one in sources:
                encoded = _guarded(one.source.name, map(make, one.chunks))
                # Closed before the source is, which may be at work on a chunk on its way.
                with closing(_reported(prefetch(encoded) if one.threaded else encoded, say)) as chunks:
                    yield SourceStream(one.source, chunks, one.digest, one.error)
    for name, keys in preparer.mapper.not_found.items():
        count = f"{'at least ' if len(keys) >= MOST_KEYS else ''}{counted(len(keys), 'key')}"
        say(f"warning: the lookup `{name}` has no row for {count}, such as {shown(min(keys))}")


@contextmanager
def _prepare_parts(
    preparer: Preparer, finish: Callable[[EncodedChunk], Any], places: Callable[[], Places]
) -> Iterator[PrepareParts]:
    """What makes events of parts, or encodes them at once, in their order: this process, or a cluster's workers."""
    reading = preparer.reading
    if reading.here:
        yield lambda parts: map(preparer.events, map(chunk_of, parts))
        return
    from importer.pipeline.cluster import connected, versions

    code = None if preparer.transform is None else preparer.transform.code
    there = replace(reading, workers=None, scheduler=None)
    recipe = _Recipe(finish, preparer.mapping, there, code, content_of(preparer.mapping), versions())
    with connected(reading.workers, reading.scheduler) as cluster:
        work = partial(_on_worker, pickle.dumps(recipe))

        private = reading.scheduler is None or reading.scheduler.startswith("tls:")

        def placed(part: Part) -> tuple[Part, Places]:
            return part, {name: one if private else one.without_password() for name, one in places().items()}

        def killed(item: tuple[Part, Places], workers: int) -> SourceError:
            row = item[0].first_row if isinstance(item[0], Chunk) else item[0].row
            return SourceError(
                item[0].source.name,
                f"the part that begins with row {row} cannot be prepared: {counted(workers, 'worker')} died of it",
                hint="the workers' logs say why; often memory runs out, or a --transform function ends its process",
            )

        def on_workers(parts: Iterator[Part]) -> Iterator[Any]:
            with closing(cluster.map(work, map(placed, parts), killed)) as results:
                for made, not_found in results:
                    preparer.mapper.add_not_found(not_found)
                    yield made

        yield on_workers


def prefetch(items: Iterator[T]) -> Generator[T, None, None]:
    """The same items, each made on a thread while the one before is used; an exception comes where it belongs.

    Not for items that may be waited for without end, such as a terminal's: to close this is to wait for the next item.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch") as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item


def _opened(
    arguments: Sequence[str | Input], preparer: Preparer, prepare_parts: PrepareParts, say: Callable[[str], None]
) -> Generator[SourceStream[Any], None, None]:
    """Each source with its rows as events, before groups are made; or, where that can be, encoded."""
    mapping, local = preparer.mapping, preparer.reading.here
    for each in expand(arguments):
        try:
            with open_source(each, mapping.source, columns=preparer.named, each=mapping.each) as reader:
                for note in reader.notes:
                    say(f"warning: {shown(reader.source.name)}: {note}")
                if preparer.transform is None:
                    _check_columns(reader.source, mapping, reader.source.columns, reader.available, say)
                    _check_account(reader.source, preparer.reading, reader.source.columns, reader.available)
                with closing(preparer.parts(reader)) as parts:
                    read: Iterator[Part] = map(chunk_of, parts) if local else parts
                    with closing(_read(read, ahead=bool(reader.size))) as ahead:
                        events = _guarded(reader.source.name, prepare_parts(ahead))
                        with closing(events):
                            # The user's own function stays on the thread that loaded it.
                            threaded = bool(reader.size) and not (local and preparer.transform)
                            yield SourceStream(
                                reader.source, events, partial(getattr, reader, "digest"), threaded=threaded
                            )
        except Exception as error:  # whatever a file can do to us, the other files go on
            if isinstance(error, ImporterError) and not isinstance(error, SourceError):
                raise
            known = error if isinstance(error, SourceError) else _unexpected(each.name, error)
            say(str(known))
            yield SourceStream.unopened(known.source, known.message)


def _read(items: Iterator[T], *, ahead: bool) -> Generator[T, None, None]:
    """A file is read ahead; a pipe may keep one waiting, and Ctrl-C must end that."""
    yield from prefetch(items) if ahead else items


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


def _transform(spec: str, code: bytes | None) -> Transform:
    """The user's function. It brings pandas, which no other run needs."""
    from importer.transform import Transform

    return Transform(spec, text_of, code)


def _reported(chunks: Iterator[T], say: Callable[[str], None]) -> Generator[T, None, None]:
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
