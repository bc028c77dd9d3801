"""What happens before the first request: starting, reading, checking, planning."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median

from tests.bench.processes import Measured
from tests.bench.table import Bench, part


def small(found: Bench) -> None:
    """How long nothing takes."""
    ten, rounds = found.exports(10)["csv"], range(found.size.rounds + 2)
    found.add("`importer --help`", 1, [found.importer("--help") for _ in rounds])
    found.add("`check`, ten rows", 10, [check(found, ten) for _ in rounds])
    found.add("`run --sandbox`, ten rows", 10, [found.run(ten, "--sandbox") for _ in rounds])


def check(found: Bench, path: Path) -> Measured:
    """`importer check` as a user starts it."""
    return found.importer("check", str(path), "-m", str(found.mapping))


def stages(found: Bench) -> None:
    """Each stage alone, and the whole check, beside the raw reader, by format."""
    rows = found.size.rows
    for kind, path in found.exports(rows).items():
        rounds, checks = [], []
        for _ in range(found.size.rounds):
            rounds.append(json.loads(found.python("stages", str(path), str(found.mapping)).output)["stages"])
            checks.append(check(found, path))
        for stage in rounds[0]:
            ratio = median(each["raw reader"][1] / each[stage][1] for each in rounds)
            found.add(
                f"{kind}: {stage}", rows, [part(each[stage]) for each in rounds], f"{ratio:.2f} of the raw reader"
            )
        speed = median(each["raw reader"][0] / one.seconds for each, one in zip(rounds, checks, strict=True))
        found.add(f"`check` of {kind}", rows, checks, f"{speed:.2f} of the raw reader")


def memory(found: Bench) -> None:
    """Peaks at two sizes: of checks, and of runs that stop after their first event, which plans everything."""
    for rows in (found.size.rows, found.size.large):
        for kind, path in found.exports(rows).items():
            found.add(f"`check` of {kind}", rows, [check(found, path)], "for its peak")
            if kind == "csv":
                planned = found.run(path, "--sandbox", "--max-events", "1", ends=3)
                found.add("`run --max-events 1` of csv", rows, [planned], "for its peak; it plans and reports all rows")
            path.unlink()
