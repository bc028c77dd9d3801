"""What every scenario does: draw a case from its seed, run it to its end, settle what is in doubt, look once more.

Owns the drawing of cases and the common ending. When importers are killed is ``storm``'s, how two of them meet
``pairs``'.
"""

from __future__ import annotations

import math
import random
import shutil
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from importer.model import State
from tests.torture.audit import Audit, Expected, audit, audit_command
from tests.torture.material import Material, Shape, make
from tests.torture.world import BrokenPromiseError, Done, Weather, World

LOSING = ("drop-after-accept", "error-after-accept", "garbage", "truncate", "oversize")
TURNING_AWAY = ("drop-before", "error", "html", "lie", "redirect")
ODD = ("early", "close", "stray", "slow")
MOST_IN_FLIGHT, MOST_AHEAD = 128, 256
"""Where there is no limit; the pacer's own bounds."""


@dataclass(slots=True)
class Tally:
    """What was seen; adds up over scenarios."""

    kills: int = 0
    runs: int = 0
    """Importers that delivered to their end under faults."""
    rows: int = 0
    moments: Counter[str] = field(default_factory=Counter)
    """How far the runs had come that were killed."""
    doubts: list[int] = field(default_factory=list)
    """Rows that each crash put in doubt."""
    unanswered: int = 0
    """Rows that faults put in doubt."""
    repeated: int = 0
    """Events accepted more than once where ``--on-doubt resend`` allows it."""

    def add(self, other: Tally) -> None:
        """Add another scenario's."""
        self.kills += other.kills
        self.runs += other.runs
        self.rows += other.rows
        self.moments += other.moments
        self.doubts += other.doubts
        self.unanswered += other.unanswered
        self.repeated += other.repeated


@dataclass(frozen=True, slots=True)
class Case:
    """One import, its weather and how it is asked for."""

    material: Material
    weather: Weather
    resend: bool
    strict: bool
    out: str = "out"

    @property
    def run(self) -> tuple[str, ...]:
        """The command that begins it, and that goes on with it when it is given again."""
        return ("run", *map(str, self.material.sources), "-m", str(self.material.mapping), *self.options)

    @property
    def options(self) -> tuple[str, ...]:
        """Options for whichever command delivers."""
        doubt = ("--on-doubt", "resend") if self.resend else ()
        strict = ("--strict-order",) if self.strict else ()
        return ("--yes", "--out", self.out, "--max-refused", "0", *doubt, *strict)

    def expected(self, *, stopped: bool) -> Expected:
        """What its audit allows."""
        return Expected(resend=self.resend, strict=self.strict, stopped=stopped)

    def most_in_doubt(self) -> int:
        """In flight and one claimed window: what a single crash may put in doubt."""
        if self.weather.limit is None:
            return MOST_IN_FLIGHT + MOST_AHEAD
        rate = 1.1 * self.weather.limit / 60
        slowest = 1.0 if "slow" in self.weather.faults else max(4 * self.weather.latency, 0.1)
        return math.ceil(rate * slowest) + 1 + max(1, int(rate / 10))


def draw_case(home: Path, rng: random.Random, *, kills: bool) -> Case:
    """A case to be killed in, or one to be run through in one go."""
    slow = kills and rng.random() < 0.15
    limit = 60 * rng.choice((1, 2, 5)) if slow else rng.choice((None, None, None, 60 * rng.choice((40, 100, 300))))
    if slow:
        rows = 4 * (limit or 60) // 60 + 8
    elif limit:
        rows = rng.randrange(60, min(limit // 60 * 4, 600) + 61)
    else:
        rows = rng.randrange(150, 1500 if kills else 600)
    shape = Shape(
        rows=rows,
        sources=rng.choice((1, 1, 2, 3)),
        people=max(4, rows // rng.choice((2, 6, 20))),
        ordered=rng.random() < 0.4,
        keyed=rng.random() < 0.4,
    )
    weather = Weather(
        faults=draw_faults(rng, kills=kills, limited=limit is not None),
        limit=limit,
        latency=rng.choice((0.0, 0.002, 0.01, 0.03)),
        seed=rng.randrange(1 << 30),
    )
    mode = rng.random()
    if resend := mode < 0.15:  # each row sent again waits for some seconds, and its subscriber's others with it
        shape = replace(shape, rows=min(shape.rows, 150))
    return Case(make(home, shape, rng), weather, resend=resend, strict=0.15 <= mode < 0.3)


def draw_faults(rng: random.Random, *, kills: bool, limited: bool) -> str:
    """Up to five kinds of faults, each rare enough that the breaker seldom opens."""
    kinds = rng.sample(LOSING + TURNING_AWAY + ODD, rng.randrange(6))
    items = [f"{kind}={rng.uniform(0.005, 0.04):.3f}{':100ms' if kind == 'slow' else ''}" for kind in kinds]
    if rng.random() < 0.2 and not limited:  # with a limit, a 429 asks for the rest of the minute
        items.append("429=0.002")
    if kills and rng.random() < 0.15:
        items.append("hang=0.005")
    if rng.random() < 0.1:
        items.append(f"outage=300ms@{rng.randrange(5, 200)}")
    return ",".join(items)


def calm(weather: Weather) -> Weather:
    """The same, without any fault."""
    return Weather(limit=weather.limit if weather.limit and weather.limit >= 600 else None)


def run_through(world: World, case: Case, command: tuple[str, ...]) -> Done:
    """Run, and resume as often as needed, until the run is at its end or waits for the user."""
    done = world.importer(*command)
    for _ in range(6):
        if no_run_to_resume(done):
            done = world.importer(*case.run)
        elif done.expect(0, 1, 3).code != 3 or "wait behind rows in doubt" in done.stderr:
            return done
        else:
            done = world.importer("resume", *case.options)
    raise BrokenPromiseError(f"the run does not come to its end:\n{done.stderr[-2000:]}")


def no_run_to_resume(done: Done) -> bool:
    """Whether an importer found none: the one before was killed while it planned."""
    return done.code == 2 and "there is no run to resume" in done.stderr


def end_well(world: World, case: Case, rng: random.Random, *, waits: bool, thorough: float) -> Tally:
    """Audit; resolve by what the sandbox knows, and audit that all arrived once; then send everything again in vain.

    ``waits``: rows wait behind rows in doubt. ``thorough`` is the chance of each of the latter two, which take long.
    """
    seen = audit(world, case.material, case.expected(stopped=waits))
    tally = Tally(rows=len(seen.states), unanswered=len(seen.numbers(State.IN_DOUBT)))
    if rng.random() < thorough:
        audit_command(world, seen)
    if rng.random() < thorough or case.strict:
        world.change(calm(case.weather))
        aside = settle(world, case, seen)
        expected = Expected(resend=case.resend, strict=case.strict, settled=True, aside=aside)
        seen = audit(world, case.material, expected)
    tally.repeated = seen.twice
    if rng.random() < thorough:
        send_in_vain(world, case, rng)
    return tally


def settle(world: World, case: Case, seen: Audit) -> frozenset[int]:
    """Tell the importer what became of the rows in doubt, and retry what was refused; returns the rows concerned."""
    resolve(world, case.material, seen)
    pending = seen.numbers(State.IN_DOUBT, State.PENDING)
    if pending:
        world.importer("resume", seen.run, *case.options).expect(0, 1)
    refused = seen.numbers(State.REFUSED, State.FAILED)
    if refused:
        world.importer("retry", seen.run, *case.options).expect(0, 1)
    return frozenset(refused if case.strict else refused | seen.numbers(State.IN_DOUBT))


def resolve(world: World, material: Material, seen: Audit) -> None:
    """Settle each row in doubt by what the sandbox has recorded."""
    accepted = Counter(world.accepted())
    doubtful = seen.numbers(State.IN_DOUBT)
    for word, settled in (("--assume-sent", True), ("--resend", False)):
        chosen = [row for row in material.rows if row.number in doubtful and bool(accepted[row.number]) is settled]
        rows = [argument for row in chosen for argument in ("--row", f"{row.source}:{row.row}")]
        if rows:
            said = world.importer("resolve", seen.run, word, *rows, "--yes").expect(0).stdout
            if said.count("\n") != len(chosen):
                raise BrokenPromiseError(f"{len(chosen)} rows resolved, but it names others:\n{said}")


def send_in_vain(world: World, case: Case, rng: random.Random) -> None:
    """The same command again, or copies under other names: no row that arrived, or may have, arrives once more."""
    before = Counter(world.accepted())
    sources = case.material.sources
    if rng.random() < 0.5:
        copies = tuple(source.with_name(f"copy-of-{source.name}") for source in sources)
        for source, copy in zip(sources, copies, strict=True):
            shutil.copy(source, copy)
        sources = copies
    command = ("run", *map(str, sources), "-m", str(case.material.mapping), "--yes", "--out", "out-again")
    world.importer(*command).expect(0, 1, 3)
    after = Counter(world.accepted())
    again = {number: count for number, count in after.items() if count > before[number] > 0}
    if again:
        raise BrokenPromiseError(f"sent again by a second run: {again}")
