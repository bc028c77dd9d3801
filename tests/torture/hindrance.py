"""What else befalls an importer: it is stopped and continued, hung up on, or its ledger is locked or damaged.

Each scenario says what it did (``Tally.moments``), so that the summary shows what was tried.
"""

from __future__ import annotations

import contextlib
import random
import signal
import sqlite3
import time
from collections import Counter
from pathlib import Path

from importer.ledger.location import PostgresLocation
from importer.model import RunState
from tests.torture.scenario import Tally, draw_case, end_well, run_through
from tests.torture.servers import servers
from tests.torture.storm import STARTS
from tests.torture.world import BrokenPromiseError, World

ENDINGS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
PAGE = 16384


def signals(home: Path, rng: random.Random) -> Tally:
    """One import that is stopped and continued, then ended in an orderly way, then carried to its end."""
    with World(home / "world") as world:
        case = draw_case(world.home / "exports", rng, kills=False)
        world.change(case.weather)
        tally = Tally()
        importer = world.launch(*case.run)
        importer.until(lambda: world.arrived() > 0, patience=STARTS)
        for _ in range(rng.randrange(1, 4)):
            if importer.running:
                importer.signal(signal.SIGSTOP)
                time.sleep(rng.uniform(0, 0.3))
                importer.signal(signal.SIGCONT)
                tally.moments["STOP/CONT"] += 1
        ending = rng.choice(ENDINGS)
        if importer.running:
            importer.signal(ending)
            tally.moments[ending.name.removeprefix("SIG")] += 1
        importer.wait().expect(0, 1, 3)
        waits = world.state() != RunState.FINISHED and run_through(world, case, case.run).code == 3
        tally.runs += 1
        tally.add(end_well(world, case, rng, waits=waits, thorough=0.4))
        return tally


def ledgers(home: Path, rng: random.Random) -> Tally:
    """One import whose ledger another process locks for a while, or finds damaged afterwards; see `servers`, too."""
    with World(home / "world") as world:
        if isinstance(world.ledger, PostgresLocation):
            return servers(world.home, rng)
        file = world.ledger
        case = draw_case(world.home / "exports", rng, kills=False)
        world.change(case.weather)
        importer = world.launch(*case.run)
        importer.until(lambda: world.arrived() > 0, patience=STARTS)
        if rng.random() < 0.5:
            tally = Tally(moments=Counter(locked=1))
            _lock(file, rng.uniform(0.1, 2.0))
            importer.wait().expect(0, 1, 3)
            waits = world.state() != RunState.FINISHED and run_through(world, case, case.run).code == 3
            tally.add(end_well(world, case, rng, waits=waits, thorough=0.4))
        else:
            tally = Tally(moments=Counter(damaged=1))
            importer.wait().expect(0, 1, 3)
            _damage(file, rng)
            world.importer("doctor", "--repair").expect(0, 1, 2)
            world.importer(*case.run).expect(0, 1, 2, 3)
            twice = {row: count for row, count in Counter(world.accepted()).items() if count > 1}
            if twice and not case.resend:
                raise BrokenPromiseError(f"sent again from a repaired ledger: {sorted(twice.items())[:5]}")
            tally.rows = len(case.material.rows)
        tally.runs += 1
        return tally


def _lock(ledger: Path, seconds: float) -> None:
    """Hold the ledger's write lock for so long."""
    with contextlib.closing(sqlite3.connect(ledger, isolation_level=None, timeout=10)) as other:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        other.execute("ROLLBACK")


def _damage(ledger: Path, rng: random.Random) -> None:
    """Overwrite a few pages behind the first."""
    with ledger.open("r+b") as file:
        pages = file.seek(0, 2) // PAGE
        for _ in range(rng.randrange(1, 4)):
            file.seek(PAGE * rng.randrange(1, max(pages, 2)))
            file.write(rng.randbytes(PAGE // 2))
