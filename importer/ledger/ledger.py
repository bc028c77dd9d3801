"""The ledger: the durable queue between plan and deliver, and the memory of what was ever delivered."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from importer.errors import LedgerError
from importer.ledger import counter
from importer.ledger.database import Database, Dialect
from importer.ledger.location import LedgerLocation, PostgresLocation
from importer.ledger.locks import Leases
from importer.ledger.planning import Place
from importer.ledger.postgres import PostgresDialect, lock_number
from importer.ledger.queue import DeliveryQueue
from importer.ledger.repeats import Repeats
from importer.ledger.resolve import Resolver
from importer.ledger.sqlite import SqliteDialect
from importer.ledger.tables import MIGRATIONS, TABLES, VERSION
from importer.ledger.upkeep import Upkeep
from importer.ledger.version1 import carry_over
from importer.model import Run


class Ledger(Upkeep, Resolver, Repeats, DeliveryQueue):
    """A ledger, for one account at one endpoint; each base is what one kind of caller needs of it.

    All methods are synchronous and may block on the disk or the network; they may be called from any thread, and one
    call waits for the other. Raises `LedgerError` where the database cannot be used, `DiskFullError` where its disk
    has no room; what a method acknowledged by returning is durable.
    """

    def __init__(
        self,
        location: LedgerLocation,
        *,
        account: str,
        endpoint: str,
        now: Callable[[], float] = time.time,
        leases: Leases | None = None,
    ) -> None:
        database = Database(dialect_of(location))
        self.location = location
        self.notes: list[str] = database.dialect.notes
        """Sentences to say to the user, on what opening the ledger has changed."""
        try:
            prepare(database)
            database.writer = lock_number(f"{account}\0{endpoint}")
            counter.refuse_older(database)
        except BaseException:
            database.close()
            raise
        if leases is None and database.dialect.shared:
            leases = Leases(lambda: Database(dialect_of(location)), database.dialect.beside)
        super().__init__(database, account, endpoint, leases, now)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def database(self) -> Database:
        """The database, to copy all of it."""
        return self._db

    def places(self, run: Run) -> dict[str, Place]:
        """Where a worker writes the rows of the source that was added last; empty where no other machine can."""
        newest = self._planning(run).newest
        return {"": Place(self.location, *newest)} if isinstance(self.location, PostgresLocation) else {}

    def close(self) -> None:
        """Leave the ledger; a second call does nothing."""
        try:
            self._end_planning()
        finally:
            if self._leases is not None:
                self._leases.close()
            self._db.close()


def dialect_of(location: LedgerLocation) -> Dialect:
    """What is special about the database at that place."""
    return PostgresDialect(location) if isinstance(location, PostgresLocation) else SqliteDialect(location)


def prepare(database: Database) -> None:
    """Make the tables of a new database; bring older ones up to date. Raises `LedgerError` for another program's."""
    dialect = database.dialect
    if dialect.version(database) < VERSION:
        # Two processes that turn a new file to WAL at once get "database is locked" without any waiting.
        with database.exclusive("new", "making its tables"):
            version = dialect.version(database)
            if version == -1:
                raise LedgerError(
                    f"{dialect.name} is a database of another program", hint="name another file with --ledger FILE"
                )
            if version == 0:
                create(database)
            elif version == 1:
                dialect.notes.insert(0, carry_over(database))
            elif version < VERSION:
                _migrate(database, version)
    if (version := dialect.version(database)) != VERSION:
        raise LedgerError(
            f"{dialect.name} was written by a newer version of importer (ledger version {version}, not {VERSION})",
            hint="use the importer that wrote it",
        )


def create(database: Database, *, secret: bytes | None = None) -> None:
    """Make the tables of an empty database."""
    for statement in database.dialect.prepare:
        database.run(statement)
    with database.transaction():
        database.create(TABLES)
        database.execute(
            "INSERT INTO ledger (version, secret) VALUES ($1, $2)", VERSION, secret or secrets.token_bytes(16)
        )
        database.run(database.dialect.note_version(VERSION))


def _migrate(database: Database, version: int) -> None:
    """Bring the tables up to date, a version at a time, each in one transaction."""
    for number in range(version, VERSION):
        with database.transaction():
            database.create(MIGRATIONS[number])
            database.execute("UPDATE ledger SET version = $1", number + 1)
            database.run(database.dialect.note_version(number + 1))
