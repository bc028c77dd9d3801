"""A soak: simulated days of nightly imports to a faulty sandbox, in which nothing may grow that should not.

One process, one ledger; the clock of both sides is virtual, the connections are real. Each day a file is planned,
delivered through outages and faults, resolved and reported, and what is a few days old is pruned.
"""

from __future__ import annotations

import gc
import json
import os
import resource
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from importer import report
from importer.deliver import DeliveryOptions
from importer.deliver.circuit_breaker import CircuitBreaker
from importer.deliver.client import Client
from importer.deliver.delivery import ApiSession, Delivery
from importer.deliver.endpoint import Endpoint
from importer.deliver.rate_limit import RateLimiter
from importer.deliver.shared_limit import SharedState
from importer.deliver.token import Token
from importer.ledger.ledger import Ledger
from importer.model import Run, RunState, State
from importer.sandbox import SandboxOptions
from importer.sandbox.options import parse_faults
from importer.sandbox.server import Sandbox
from tests.support.ledgers import chunk, planned
from tests.support.virtual_time import VirtualClock, run_virtual
from tests.torture.world import BrokenPromiseError

DAY = 86_400.0
KEPT_DAYS = 1
"""Days after which a run is pruned."""
WARM_UP = 1 + KEPT_DAYS
"""Days after which nothing grows any more."""
FAULTS = (
    "drop-after-accept=0.01,error-after-accept=0.01,drop-before=0.01,error=0.01,429=0.01,lie=0.02,truncate=0.01,"
    "close=0.02,stray=0.01,slow=0.02:3s,outage=3m@{outage}"
)
MAX_BYTES_A_ROW = 220
"""Of the ledger, for a row that is pruned: its state and hashes stay."""
MAX_OBJECTS = 2_000
"""Python objects that may come on top after the warm-up …"""
MAX_MEMORY = 24 << 20
"""… and bytes of memory."""


@dataclass(frozen=True, slots=True)
class Evening:
    """How things are when a day is over."""

    objects: int
    """Of Python, that can hold others."""
    memory: int
    """Bytes, at the most so far."""
    files: int
    """That this process has open."""
    ledger: int
    """Bytes on the disk."""


async def _day(home: Path, ledger: Ledger, clock: VirtualClock, day: int, rows: int) -> Counter[str]:
    """One day; returns the states of its rows."""
    began, events = clock.monotonic(), home / "events.jsonl"
    bodies = [
        json.dumps({"subscriber": {"email": f"s{n % 40}@example.org"}, "type": "purchase", "properties": {"n": n}})
        for n in range(day * rows, day * rows + rows)
    ]
    run = planned(ledger, chunk([f"s{n % 40}@example.org" for n in range(rows)], bodies=bodies), digest=f"day {day}")
    events.unlink(missing_ok=True)
    faults = parse_faults(FAULTS.format(outage=rows // 2))
    options = SandboxOptions(limit=60, events=str(events), faults=faults, seed=day)
    async with Sandbox(options, clock=clock) as sandbox:
        endpoint = Endpoint.parse(sandbox.url)
        async with Client(endpoint, Token(sandbox.token), clock=clock) as client:
            limiter = RateLimiter(shared=SharedState(home / "limits", "soak", clock), jitter=lambda: 0.5)
            session = ApiSession(client, limiter, CircuitBreaker(jitter=lambda: 0.5), clock)
            ledger.set_state(run, RunState.DELIVERING)
            ended = await Delivery(
                ledger, run, session, DeliveryOptions(max_refused=0), pending=rows, say=lambda _: None
            ).run(lambda _: None)
            limiter.leave(clock.monotonic())
    if ended.reason:
        raise BrokenPromiseError(f"day {day} ended early: {ended.reason}")
    ledger.set_state(run, RunState.FINISHED)
    states = _states(ledger, run)
    _audit(states, events, day * rows)
    ledger.resolve(run, State.SENT)
    report.write(ledger, run, report.ReportOptions(home / "out"))
    ledger.drop_bodies(run)
    ledger.lock(run).release()
    for old in ledger.runs()[KEPT_DAYS:]:
        if old.state is not RunState.PRUNED:
            ledger.prune(old)
    ledger.shrink()
    await clock.sleep(max(began + DAY - clock.monotonic(), 0.0))
    return Counter(states)


def _states(ledger: Ledger, run: Run) -> list[str]:
    return [state for batch in ledger.batches(run) for state in batch.table.column("state").to_pylist()]


def _audit(states: list[str], events: Path, first: int) -> None:
    """Each row that arrived arrived once, and is sent or in doubt; each that is sent has arrived."""
    lines = events.read_text(encoding="utf-8").splitlines()
    arrived = Counter(json.loads(line)["event"]["properties"]["n"] - first for line in lines)
    twice = {row: count for row, count in arrived.items() if count > 1}
    wrong = [
        (row, state)
        for row, state in enumerate(states)
        if state not in ({"sent", "in_doubt"} if arrived[row] else {"refused", "in_doubt"})
    ]
    if twice or wrong:
        raise BrokenPromiseError(f"arrived twice: {twice}; not as the ledger has it: {wrong}")


def _evening(ledger: Ledger) -> Evening:
    gc.collect()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Evening(len(gc.get_objects()), memory, len(os.listdir("/dev/fd")), ledger.size())  # noqa: PTH208


def soak(home: Path, days: int, rows: int) -> str:
    """Live through so many days of so many rows; a sentence about them. Raises `BrokenPromiseError`."""

    async def live() -> tuple[list[Evening], Counter[str]]:
        clock, evenings, states = VirtualClock(), list[Evening](), Counter[str]()
        with Ledger(home / "ledger.db", account="soak", endpoint="http://127.0.0.1/v2/events") as ledger:
            for day in range(days):
                states += await _day(home, ledger, clock, day, rows)
                evenings.append(_evening(ledger))
        return evenings, states

    evenings, states = run_virtual(live())
    early, late = evenings[min(WARM_UP, days - 1)], evenings[-1]
    pruned = max(days - 1 - WARM_UP, 0) * rows
    objects, memory = late.objects - early.objects, late.memory - early.memory
    files, ledger = late.files - early.files, late.ledger - early.ledger
    words = (
        f"{days} days of {rows} rows ({', '.join(f'{state} {count}' for state, count in states.most_common())}):"
        f" objects {objects:+,}, memory {memory >> 20:+} MiB, open files {files:+}, ledger {ledger >> 10:+,} KiB for"
        f" {pruned:,} rows more that it remembers"
    )
    bound = pruned * MAX_BYTES_A_ROW + (64 << 10)
    if objects > MAX_OBJECTS or memory > MAX_MEMORY or files > 0 or ledger > bound:
        raise BrokenPromiseError(f"something grows: {words}")
    return words
