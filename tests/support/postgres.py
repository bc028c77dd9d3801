"""A real PostgreSQL server: started when the first test asks, ended with the process, however that ends.

It is made of the programs of the system's package, which may lie outside PATH. It has its data in a temporary
directory, listens on a Unix socket alone, and waits for no disk. As it refuses to run as root, root's tests run it as
another user.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import adbc_driver_manager
import adbc_driver_postgresql
import pytest

from importer.ledger.database import Database
from importer.ledger.ledger import prepare
from importer.ledger.location import PostgresLocation
from importer.ledger.postgres import PostgresDialect

_EMPTIED = """
DO $$ BEGIN
  SET LOCAL lock_timeout = '1s';
  DELETE FROM importer.lease; DELETE FROM importer.pause; DELETE FROM importer.delivered_key;
  DELETE FROM importer.place; DELETE FROM importer.row; DELETE FROM importer.chunk; DELETE FROM importer.source;
  DELETE FROM importer.run; DELETE FROM importer.scope; UPDATE importer.ledger SET generation = 0;
END $$"""
_PATIENCE = 30.0
_SETTINGS = ("listen_addresses=", "fsync=off", "shared_buffers=32MB", "max_connections=60", "autovacuum=off")


def programs() -> Path | None:
    """The directory of PostgreSQL's programs, the newest; None where there are none."""
    if found := shutil.which("postgres"):
        return Path(found).parent
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda one: float(one.parts[-3]))
    return packaged[-1].parent if packaged else None


class Server:
    """A running server. `database` makes an empty ledger in a database of its own."""

    def __init__(self) -> None:
        found = programs()
        if found is None:
            words = "PostgreSQL is not installed (Debian: apt install postgresql)"
            if os.environ.get("CI"):
                pytest.fail(words)
            pytest.skip(words)
        self._programs = found
        self.home = Path(tempfile.mkdtemp(prefix="importer-postgres-"))
        self._as: list[str] = []
        if os.geteuid() == 0:
            user = next(one for one in pwd.getpwall() if one.pw_name in ("postgres", "nobody"))
            os.chown(self.home, user.pw_uid, user.pw_gid)
            self._as = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._template = ""
        self._free: list[PostgresLocation] = []
        self._opened: dict[str, adbc_driver_manager.AdbcDatabase] = {}
        subprocess.run(
            [*self._as, found / "initdb", "-D", self.home / "data", "-U", "importer", "-A", "trust", "-N",
             "--no-instructions", "-E", "UTF8", "--locale=C.UTF-8"],
            check=True, cwd="/", stdout=subprocess.DEVNULL,
        )  # fmt: skip
        self.start()

    def start(self, *, tied: bool = True) -> None:
        """Start it; ``tied``: it ends with the thread that calls this."""
        ties = ["setpriv", "--pdeathsig", "QUIT"] if tied and shutil.which("setpriv") else []
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*(self._as or ties[:1]), *ties[1:], self._programs / "postgres", "-D", self.home / "data", "-k",
                 self.home, *itertools.chain.from_iterable(("-c", one) for one in _SETTINGS)],
                cwd="/", stdout=log, stderr=log,
            )  # fmt: skip
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                self.execute("SELECT 1")
            except adbc_driver_manager.Error:
                if time.monotonic() > until or self._process.poll() is not None:
                    raise
                time.sleep(0.01)  # a process of its own starts
            else:
                return

    def stop(self) -> None:
        """End it at once; what was committed stays."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(_PATIENCE)

    def remove(self) -> None:
        """End it, and remove its data."""
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def uri(self, database: str, user: str = "importer") -> str:
        """The URI of one of its databases."""
        return f"postgresql://{user}@/{database}?host={self.home}"

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Run a statement."""
        if database not in self._opened:
            self._opened[database] = adbc_driver_postgresql.connect(self.uri(database))
        with (
            contextlib.closing(adbc_driver_manager.AdbcConnection(self._opened[database])) as connection,
            contextlib.closing(adbc_driver_manager.AdbcStatement(connection)) as prepared,
        ):
            prepared.set_sql_query(statement)
            prepared.execute_update()

    def release(self, location: PostgresLocation) -> None:
        """A ledger that a test is done with is emptied for the next one, which is quicker than a new database."""
        with contextlib.suppress(adbc_driver_manager.Error):  # still in use: the next test gets a new one
            self.execute(_EMPTIED, self._name(location))
            self._free.append(location)

    @staticmethod
    def _name(location: PostgresLocation) -> str:
        return location.uri.partition("?")[0].rpartition("/")[2]

    def empty(self) -> PostgresLocation:
        """A new database without any table."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return PostgresLocation(self.uri(name))

    def database(self) -> PostgresLocation:
        """A database with an empty ledger in it; see `release`."""
        if self._free:
            return self._free.pop()
        if not self._template:
            location = self.empty()
            database = Database(PostgresDialect(location))
            prepare(database)
            database.close()
            self._template = self._name(location)
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {self._template}")
        return PostgresLocation(self.uri(name))
