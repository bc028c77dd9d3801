"""The long proof: ``make torture``, or ``python -m tests.torture --kills N --faults N --pairs N …``.

Kills real importers with SIGKILL until N of them died while they ran, lets N runs go through random faults and N pairs
of importers meet over the same rows; stops and continues others, hangs up on them, and locks and damages ledgers; all
on loopback and in a temporary directory alone. It is bounded in count and time and ends only what it started. A failure
prints its seed; ``--replay SEED`` runs that scenario alone: the same files, faults and choices, although no two
processes are ever scheduled alike.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

from tests.support.postgres import Server
from tests.torture import world
from tests.torture.cluster import on_a_cluster
from tests.torture.hindrance import ledgers, signals
from tests.torture.pairs import pair
from tests.torture.scenario import Tally
from tests.torture.servers import servers
from tests.torture.soak import soak
from tests.torture.storm import fair_weather_or_foul, storm
from tests.torture.world import BrokenPromiseError

KINDS: dict[str, Callable[[Path, random.Random], Tally]] = {
    "kills": storm,
    "faults": fair_weather_or_foul,
    "pairs": pair,
    "signals": signals,
    "ledgers": ledgers,
    "servers": servers,
}
MINUTES = 40
"""No new scenario begins after so long."""
ENOUGH = 8
"""Failures after which no new scenario begins."""


@dataclass(slots=True)
class Torture:
    """Scenarios on a few threads, until enough was seen of each kind."""

    base: Path
    deadline: float
    tallies: dict[str, Tally] = field(default_factory=lambda: {kind: Tally() for kind in KINDS})
    done: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    failures: list[str] = field(default_factory=list)

    def run(self, kind: str, seed: int, wanted: int) -> None:
        """Run scenarios of a kind until ``wanted`` kills, or scenarios where killing is not the point, were seen."""
        if not wanted:
            return
        seeds = (f"{kind}-{seed}-{number}" for number in count())
        at_once = min(wanted, (os.cpu_count() or 1) + 1)
        with ThreadPoolExecutor(at_once) as threads:
            waiting = {threads.submit(self.one, next(seeds)) for _ in range(at_once)}
            while waiting:
                waiting.remove(next(as_completed(waiting)))
                seen = (
                    self.tallies[kind].kills + 4 * len(waiting) if kind == "kills" else self.done[kind] + len(waiting)
                )
                if seen < wanted and time.monotonic() < self.deadline and len(self.failures) < ENOUGH:
                    waiting.add(threads.submit(self.one, next(seeds)))

    def one(self, seed: str) -> None:
        """Run one scenario; a failure is told at once and its files are kept."""
        kind = seed.partition("-")[0]
        home = self.base / seed
        home.mkdir()
        try:
            tally = KINDS[kind](home, random.Random(seed))
        except Exception as problem:  # noqa: BLE001 - whatever went wrong, the seed must be told
            words = str(problem) if isinstance(problem, BrokenPromiseError) else repr(problem)
            self.failures.append(seed)
            _say(f"FAILED {seed}: {words}\nfiles: {home}\nreplay: python -m tests.torture --replay {seed}\n")
            tally = Tally()
        else:
            shutil.rmtree(home)
        self.done[kind] += 1
        self.tallies[kind].add(tally)
        if sum(self.done.values()) % 20 == 0:
            _say(self.line(kind))

    def line(self, kind: str) -> str:
        """What was seen of one kind."""
        tally = self.tallies[kind]
        doubts = tally.doubts or [0]
        done = ", ".join(f"{state} {count}" for state, count in tally.moments.most_common()) or "none"
        return (
            f"{kind} {self.done[kind]} imports, {tally.rows:,} rows, {tally.kills} SIGKILLs ({done}), {tally.runs}"
            f" runs to their end; in doubt by a crash: most {max(doubts)}, mean {sum(doubts) / len(doubts):.1f};"
            f" in doubt at an end: {tally.unanswered}; twice where allowed: {tally.repeated}"
        )


def main() -> int:
    """Run it all; 0 if every promise was kept."""
    parser = argparse.ArgumentParser("python -m tests.torture")
    parser.add_argument("--kills", type=int, default=200, metavar="N", help="SIGKILLs")
    parser.add_argument("--faults", type=int, default=200, metavar="N", help="runs under random faults")
    parser.add_argument("--pairs", type=int, default=15, metavar="N", help="pairs of importers over the same rows")
    parser.add_argument("--signals", type=int, default=15, metavar="N", help="imports stopped, continued, hung up on")
    parser.add_argument("--ledgers", type=int, default=15, metavar="N", help="imports with a locked or damaged ledger")
    parser.add_argument("--servers", type=int, default=4, metavar="N", help="imports whose PostgreSQL is in trouble")
    parser.add_argument("--soak", type=int, metavar="DAYS", help="nothing but simulated days, of 300 rows each")
    parser.add_argument("--cluster", type=int, metavar="ROWS", help="nothing but three accounts' rows on a cluster")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30), metavar="S")
    parser.add_argument("--ledger", choices=["sqlite", "postgresql"], default="sqlite", help="where ledgers are kept")
    parser.add_argument("--replay", metavar="SEED", help="run the one scenario that a failure named")
    asked = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="torture-"))
    server = Server() if asked.ledger == "postgresql" else None
    os.environ["XDG_STATE_HOME"] = str(base / "state")
    if server is not None:
        world.new_ledger = lambda _: server.database()
    torture = Torture(base, time.monotonic() + 60 * MINUTES)
    began = time.monotonic()
    if asked.replay:
        torture.one(asked.replay)
    elif asked.cluster:
        KINDS["cluster"] = partial(on_a_cluster, rows=asked.cluster)
        torture.tallies["cluster"], torture.done["cluster"] = Tally(), 0
        torture.one(f"cluster-{asked.seed}")
    elif asked.soak:
        _say(soak(base, asked.soak, rows=300))
    else:
        _say(f"seed {asked.seed}")
        for kind in KINDS:
            torture.run(kind, asked.seed, getattr(asked, kind))
    for kind, done in torture.done.items():
        if done:
            _say(torture.line(kind))
    failed = f"FAILED: {len(torture.failures)} scenarios" if torture.failures else "twice 0, lost 0, out of order 0"
    _say(f"{failed}; {time.monotonic() - began:.0f} s")
    if not torture.failures:
        shutil.rmtree(base)
    if server is not None:
        server.remove()
    return bool(torture.failures)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
