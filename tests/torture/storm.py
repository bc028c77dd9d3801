"""SIGKILL at random moments: while it starts, reads, plans, sends, commits or writes its report.

Owns the moments, and what a crash may leave behind. The case and its ending are ``scenario``'s.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from pathlib import Path

from importer.model import RunState
from tests.torture.scenario import Case, Tally, draw_case, end_well, no_run_to_resume, run_through
from tests.torture.world import BrokenPromiseError, Importer, Weather, World

LIVES = 5.0
"""Seconds after which an importer that sends is killed in any case …"""
STARTS = 45.0
"""… and one that does not come so far, as on a machine with much else to do."""


def storm(home: Path, rng: random.Random, kills: int = 6) -> Tally:
    """One import, killed again and again; then carried to its end, audited and settled."""
    with World(home / "world") as world:
        case = draw_case(world.home / "exports", rng, kills=True)
        world.change(case.weather)
        tally = Tally()
        command = case.run
        for _ in range(kills):
            importer = world.launch(*command)
            if importer.kill_when(_in_any_case(moment(rng, importer), importer), patience=STARTS):
                tally.kills += 1
                tally.doubts.append(doubt(world, case))
                tally.moments[world.state() or "no run yet"] += 1
            elif no_run_to_resume(importer.wait()):
                command = case.run
                continue
            else:
                importer.wait().expect(0, 1, 3)
            if world.state() == RunState.FINISHED:
                break
            command = rng.choice((case.run, ("resume", *case.options)))
        if "hang" in case.weather.faults:
            world.change(Weather(limit=case.weather.limit, latency=case.weather.latency))
        waits = world.state() != RunState.FINISHED and run_through(world, case, command).code == 3
        tally.runs += 1
        tally.add(end_well(world, case, rng, waits=waits, thorough=0.6))
        return tally


def doubt(world: World, case: Case) -> int:
    """How many rows the crash put in doubt; complains if they are too many."""
    claimed = world.claimed()
    if claimed > case.most_in_doubt():
        raise BrokenPromiseError(f"a crash put {claimed} rows in doubt, {case.most_in_doubt()} at the most are due")
    return claimed


def moment(rng: random.Random, importer: Importer) -> Callable[[], bool]:
    """When to kill: some time after the start, after some arrivals, amid commits, or while the report is written."""
    world = importer.world
    kind = rng.choice(("time", "arrivals", "arrivals", "commits", "report"))
    delay = rng.choice((0.0, rng.uniform(0, 0.005), rng.uniform(0, 0.05)))
    if kind == "time":
        return _later(lambda: True, rng.uniform(0.02, 2.5))
    if kind == "arrivals":
        wanted = world.arrived() + rng.choice((1, 150, 1_500, 15_000, rng.randrange(1, 150_000)))
        return _later(lambda: world.arrived() >= wanted, delay)
    if kind == "commits" and isinstance(world.ledger, Path):
        return _later(_changes(world.ledger.with_name("ledger.db-wal"), rng.randrange(1, 60)), delay)
    return _later(lambda: "is about to send" in importer.stderr and any(world.out.glob(".importer-*")), delay)


def _in_any_case(due: Callable[[], bool], importer: Importer) -> Callable[[], bool]:
    """At that moment, or when the importer has had its time; how fast the machine starts a process does not count."""
    enough = _later(lambda: "is about to send" in importer.stderr, LIVES)
    return lambda: due() or enough()


def _later(due: Callable[[], bool], delay: float) -> Callable[[], bool]:
    """The same, so many seconds later."""
    since: list[float] = []

    def is_due() -> bool:
        if not since and due():
            since.append(time.monotonic())
        return bool(since) and time.monotonic() - since[0] >= delay

    return is_due


def _changes(path: Path, wanted: int) -> Callable[[], bool]:
    """When a file has been seen to change that often."""
    seen: set[int] = set()

    def is_due() -> bool:
        with contextlib.suppress(FileNotFoundError):  # a checkpoint takes the log away
            seen.add(path.stat().st_mtime_ns)
        return len(seen) >= wanted

    return is_due


def fair_weather_or_foul(home: Path, rng: random.Random) -> Tally:
    """One import under random faults, run to its end in one go; audited and settled."""
    with World(home / "world") as world:
        case = draw_case(world.home / "exports", rng, kills=False)
        world.change(case.weather)
        waits = run_through(world, case, case.run).code == 3
        tally = Tally(runs=1)
        tally.add(end_well(world, case, rng, waits=waits, thorough=0.15))
        return tally
