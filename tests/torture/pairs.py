"""Two importers of one account at the same time, over files that overlap.

Owns their meeting: the same file under two names, or two files that share keys; one of them may be killed. Whatever
happens, no row and no key is accepted twice, and none is lost.
"""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from pathlib import Path

from tests.torture.material import Material, Row, Shape, draw, write, write_mapping
from tests.torture.scenario import MOST_AHEAD, MOST_IN_FLIGHT, Tally
from tests.torture.world import BrokenPromiseError, Importer, Weather, World


def pair(home: Path, rng: random.Random) -> Tally:
    """One such meeting, carried to its end."""
    with World(home / "world") as world:
        exports = _exports(world.home / "exports", rng)
        world.change(Weather(latency=rng.choice((0.0, 0.01)), seed=rng.randrange(1 << 30)))
        commands = [_command(each, number) for number, each in enumerate(exports)]
        importers: list[Importer] = []
        for command in commands:
            importers.append(world.launch(*command))
            time.sleep(rng.choice((0.0, 0.0, rng.uniform(0, 0.1), rng.uniform(0, 1.5))))
        tally = Tally(rows=sum(len(each.rows) for each in exports))
        if rng.random() < 0.5:
            wanted = world.arrived() + rng.randrange(1, 30_000)
            tally.kills += rng.choice(importers).kill_when(lambda: world.arrived() >= wanted, patience=5.0)
            tally.doubts += [world.claimed()] if tally.kills else []
        for importer in importers:
            importer.wait()
        for command in commands:
            world.importer(*command).expect(0, 1)
        tally.runs = len(commands)
        _look(world, exports, most_in_doubt=tally.kills * (MOST_AHEAD + MOST_IN_FLIGHT))
        return tally


def _exports(home: Path, rng: random.Random) -> list[Material]:
    """The same rows twice; or, by key, two files of which the second begins amid the first."""
    home.mkdir(parents=True)
    keyed = rng.random() < 0.5
    shape = Shape(rows=rng.randrange(200, 1000), keyed=keyed, unreadable=0.0)
    mapping = home / "mapping.yaml"
    write_mapping(mapping, shape)
    drawn = draw(shape, rng, range(shape.rows))
    first, second = home / "first.csv", home / "second.csv"
    rows = write(first, drawn)
    if keyed:
        later = write(second, drawn[rng.randrange(shape.rows) :] + draw(shape, rng, range(shape.rows, shape.rows + 50)))
    else:
        shutil.copy(first, second)
        later = [Row(r.number, str(second), r.row, r.names, r.valid, r.at, r.key) for r in rows]
    return [Material(shape, (path,), mapping, tuple(each)) for path, each in ((first, rows), (second, later))]


def _command(material: Material, number: int) -> tuple[str, ...]:
    sources = map(str, material.sources)
    return ("run", *sources, "-m", str(material.mapping), "--yes", "--out", f"out-{number}")


def _look(world: World, exports: list[Material], most_in_doubt: int) -> None:
    """Each row, or key that is one event in a file, once; at most the rows that a crash put in doubt are missing."""
    rows = {row.number: row for each in exports for row in each.rows}
    keyed = exports[0].shape.keyed
    deliverable = set().union(*(each.deliverable() for each in exports))
    wanted = {rows[number].key if keyed else str(number) for number in deliverable}
    accepted = Counter(rows[number].key if keyed else str(number) for number in world.accepted())
    twice = {name: count for name, count in accepted.items() if count > 1}
    if twice:
        raise BrokenPromiseError(f"sent by both: {len(twice)}, such as {sorted(twice.items())[:5]}")
    missing = wanted - set(accepted)
    said = world.importer("runs").expect(0).stdout
    doubtful = sum(int(words[words.index("in_doubt") - 1].replace(",", "")) for words in _words(said))
    if len(missing) > doubtful or doubtful > most_in_doubt:
        raise BrokenPromiseError(f"{len(missing)} rows are missing and {doubtful} in doubt:\n{said}")


def _words(said: str) -> list[list[str]]:
    lines = (line.replace(",", " ").split() for line in said.splitlines())
    return [words for words in lines if "in_doubt" in words]
