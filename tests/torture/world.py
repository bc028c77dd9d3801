"""Where a scenario takes place: a sandbox that outlives importers, and importers that can be killed.

Owns processes, their files and their end; only processes that it started are ever signalled. What is done with them is
the scenarios' business, whether all went well is ``audit``'s.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import importer
from importer.errors import UsageError
from importer.ledger.database import Database
from importer.ledger.ledger import dialect_of
from importer.ledger.location import LedgerLocation, PostgresLocation
from importer.ledger.tables import CLAIMED
from importer.sandbox.options import SandboxOptions, parse_faults
from importer.sandbox.process import Running, start
from tests.support.processes import Process, start_importer

TOKENS = ("torture-token-1", "torture-token-2")
"""The first is the one that ``token-after`` lets expire."""
PATIENCE = 180.0
"""Seconds that any one importer may take."""
POLL = 0.001
"""Seconds between two looks for the moment of a kill."""
ROOT = Path(importer.__file__).parents[1]


_RUNS = "SELECT {} FROM run WHERE scope IN (SELECT no FROM scope WHERE account = '{}') ORDER BY no DESC"


class BrokenPromiseError(AssertionError):
    """Something that must never happen did."""


@dataclass(frozen=True, slots=True)
class Weather:
    """How the sandbox behaves."""

    faults: str = ""
    limit: int | None = None
    latency: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    """The exit code; negative: the signal."""
    stdout: str
    stderr: str

    def expect(self, *codes: int) -> Done:
        """Complain unless it ended with one of these, and without a traceback."""
        if self.code not in codes or "Traceback" in self.stderr:
            raise BrokenPromiseError(f"exit code {self.code} where one of {codes} was due:\n{self.stderr[-3000:]}")
        return self


class Importer:
    """One importer's process."""

    def __init__(self, world: World, process: Process, number: int) -> None:
        self.world = world
        self._process = process
        self._number = number
        self.started = time.monotonic()

    @property
    def stderr(self) -> str:
        """What it has said so far."""
        file = self.world.home / f"stderr-{self._number}"
        return file.read_text(encoding="utf-8") if file.exists() else ""  # it has not begun yet

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def until(self, due: Callable[[], bool], *, patience: float = PATIENCE, pause: float = 0.01) -> bool:
        """Wait until something is the case; False if the importer ended, or patience did, before."""
        limit = time.monotonic() + patience
        while self.running and time.monotonic() < limit:
            if due():
                return True
            time.sleep(pause)
        return False

    def kill_when(self, due: Callable[[], bool], *, patience: float) -> bool:
        """SIGKILL it at that moment, or when patience ends; False if it ended by itself before."""
        self.until(due, patience=patience, pause=POLL)
        if not self.running:
            return False
        self._process.kill()
        return self._process.wait() == -signal.SIGKILL

    def wait(self) -> Done:
        """Its end. Raises `BrokenPromiseError` if it takes too long."""
        try:
            code = self._process.wait(self.world.patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise BrokenPromiseError(
                f"an importer was not done after {self.world.patience:.0f} s:\n{self.stderr[-3000:]}"
            ) from None
        return Done(code, (self.world.home / f"stdout-{self._number}").read_text(encoding="utf-8"), self.stderr)


def sqlite_file(home: Path) -> LedgerLocation:
    """A world's ledger, unless `new_ledger` makes others."""
    return home / "ledger.db"


new_ledger: Callable[[Path], LedgerLocation] = sqlite_file
"""Makes the ledger of a world."""


class World:
    """A home directory with a ledger, a sandbox and its record; a context manager that ends what it started."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.ledger = new_ledger(home)
        self.reached_by: LedgerLocation | None = None
        """How importers reach the ledger, if not as the audit does."""
        self.account = "default"
        self.shops: tuple[str, ...] = ()
        """The accounts of one command, with a token each; ``account`` is then that of no account."""
        self.environment: dict[str, str] = {}
        """What importers see besides."""
        self.patience = PATIENCE
        self.before = ""
        """Python that importers run first, such as to set their clocks wrong."""
        self.machine = "state"
        """Importers that see the same state directory are on one machine."""
        self.events = home / "events.jsonl"
        self.out = home / "out"
        self.token = TOKENS[0]
        self.weather = Weather()
        self._sandbox = contextlib.ExitStack()
        self._running: Running | None = None
        self._importers: list[Process] = []

    def __enter__(self) -> Self:
        self.home.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._importers:
            if process.poll() is None:
                process.kill()
                process.wait()
        self._sandbox.close()

    @property
    def url(self) -> str:
        """The sandbox's address; the same however often it is restarted."""
        assert self._running is not None
        return self._running.url

    def change(self, weather: Weather) -> None:
        """Start the sandbox anew, on the same port and with the same record."""
        self.weather = weather
        port = self._running.port if self._running else 0
        self._sandbox.close()
        options = SandboxOptions(
            port=port,
            tokens=tuple(f"token-of-{shop}" for shop in self.shops) or TOKENS,
            accounts=tuple((shop, weather.limit) for shop in self.shops),
            events=str(self.events),
            limit=weather.limit,
            latency=weather.latency,
            faults=parse_faults(weather.faults),
            seed=weather.seed,
        )
        for attempt in range(50):
            try:
                self._running = self._sandbox.enter_context(start(options))
            except UsageError:  # the port is not free yet
                if attempt == 49:
                    raise
                time.sleep(0.1)
            else:
                return

    @staticmethod
    def variable(shop: str) -> str:
        """The variable that holds the token of one of `shops`."""
        return f"TOKEN_OF_{shop}".upper().replace("-", "_")

    def launch(self, *arguments: str, prefix: tuple[str, ...] = ()) -> Importer:
        """Start ``importer ARGUMENTS`` on this world's ledger and sandbox, and do not wait for it."""
        number = len(self._importers) + 1
        ledger = self.reached_by or self.ledger
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.home),
            "XDG_STATE_HOME": str(self.home / self.machine),
            "PYTHONPATH": str(ROOT),
            "IMPORTER_LEDGER": ledger.uri if isinstance(ledger, PostgresLocation) else str(ledger),
            "IMPORTER_ENDPOINT": self.url,
            **({} if self.shops else {"IMPORTER_ACCOUNT": self.account, "SENDER_API_TOKEN": self.token}),
            **{self.variable(shop): f"token-of-{shop}" for shop in self.shops},
            **self.environment,
        }
        out, err = self.home / f"stdout-{number}", self.home / f"stderr-{number}"
        if self.before:
            first = self.home / f"before-{number}"
            first.mkdir()
            (first / "sitecustomize.py").write_text(self.before, encoding="ascii")
            environment["PYTHONPATH"] = f"{first}{os.pathsep}{ROOT}"
            prefix = prefix or ("env",)
        process: Process
        if prefix:
            with out.open("wb") as stdout, err.open("wb") as stderr:
                process = subprocess.Popen(
                    [*prefix, sys.executable, "-P", "-m", "importer", *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    env=environment,
                    cwd=self.home,
                )
        else:
            process = start_importer(arguments, environment, self.home, stdout=out, stderr=err)
        self._importers.append(process)
        return Importer(self, process, number)

    def importer(self, *arguments: str) -> Done:
        """Run ``importer ARGUMENTS`` to its end."""
        return self.launch(*arguments).wait()

    def accepted(self) -> list[int]:
        """The row numbers of the events that the sandbox accepted, in order."""
        if not self.events.exists():
            return []
        lines = self.events.read_bytes().splitlines()
        return [json.loads(line)["event"]["properties"]["row"] for line in lines]

    def arrived(self) -> int:
        """How much the sandbox has recorded so far, in bytes."""
        return self.events.stat().st_size if self.events.exists() else 0

    def claimed(self) -> int:
        """Rows that a killed importer had claimed: the next one puts them in doubt."""
        runs = _RUNS.format("no", self.account)
        count = self._ask(f"SELECT COUNT(*) FROM row WHERE state = '{CLAIMED}' AND id >> 40 IN ({runs})")  # noqa: S608
        return count if isinstance(count, int) else 0

    def state(self) -> str:
        """How far the newest run has come; empty if there is none."""
        return str(self._ask(_RUNS.format("state", self.account) + " LIMIT 1") or "")

    def _ask(self, question: str) -> object:
        """Ask the ledger as a killed importer left it, and change nothing in it; None if it has no answer."""
        if isinstance(self.ledger, PostgresLocation):
            with contextlib.closing(Database(dialect_of(self.ledger))) as database:
                answer: object = database.value(question)
                return answer
        if not self.ledger.exists():
            return None
        try:
            with contextlib.closing(sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True, timeout=5)) as ledger:
                found = ledger.execute(question).fetchone()
        except sqlite3.OperationalError as error:
            # Killed while it made the ledger: before its tables, or before it had a write-ahead log.
            if "no such table" in str(error) or error.sqlite_errorname == "SQLITE_READONLY_ROLLBACK":
                return None
            raise
        return found and found[0]
