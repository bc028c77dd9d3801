"""Whether the promises were kept: the sandbox's own record against the ledger, the report and the summary.

Owns the comparison; every finding is a sentence, and any finding at all raises `BrokenPromiseError`.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pyarrow import parquet

from importer.deliver.endpoint import Endpoint
from importer.ledger.ledger import Ledger
from importer.model import State
from tests.torture.material import Material
from tests.torture.world import BrokenPromiseError, World

SHOWN = 12
"""Findings that are shown."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the audit allows."""

    resend: bool = False
    """An event may arrive more than once."""
    strict: bool = False
    """``--strict-order``: rows in doubt keep the order, too."""
    stopped: bool = False
    """Rows may be pending."""
    settled: bool = False
    """Everything is resolved: each row that can be delivered arrived exactly once."""
    aside: frozenset[int] = frozenset()
    """Rows that were in doubt or refused before: their followers did not wait for them."""


@dataclass(frozen=True, slots=True)
class Audit:
    """A run's books, as its report tells them."""

    run: str
    states: dict[int, str]
    """By row number."""
    twice: int
    """Events accepted more than once."""

    def numbers(self, *states: State) -> set[int]:
        """The numbers of the rows in these states."""
        return {number for number, state in self.states.items() if state in states}


def audit(world: World, material: Material, expected: Expected, out: Path | None = None) -> Audit:
    """Compare everything; raises `BrokenPromiseError` that says what does not agree."""
    out = out or world.out
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    numbers = {(row.source, row.row): row.number for row in material.rows}
    with (out / "report.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    states = {numbers[line["source"], int(line["row"])]: line["state"] for line in lines}
    accepted = Counter(world.accepted())
    found = _books(summary, states, lines, material)
    found += _ledger(world, summary)
    found += _named(out, {number for number, state in states.items() if state in {"in_doubt", "failed"}})
    found += _rows(material, states, accepted, expected)
    found += _order(world, material, states, expected)
    if found:
        more = [f"… and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
        raise BrokenPromiseError("\n".join([f"run {summary['run']}:", *found[:SHOWN], *more]))
    return Audit(summary["run"], states, sum(count > 1 for count in accepted.values()))


def _books(
    summary: dict[str, object], states: dict[int, str], lines: list[dict[str, str]], material: Material
) -> list[str]:
    rows = summary["rows"]
    assert isinstance(rows, dict)
    found = []
    if not summary["balanced"] or sum(rows[state] for state in State) != rows["read"]:
        found.append(f"the books do not balance: {rows}")
    if rows["read"] != len(material.rows) or len(lines) != len(material.rows) or len(states) != len(material.rows):
        found.append(f"{len(material.rows)} rows, but {rows['read']} read and {len(lines)} reported")
    counted = Counter(states.values())
    if any(rows[state] != counted[state] for state in State):
        found.append(f"the summary says {rows}, the report {dict(counted)}")
    return found


def _ledger(world: World, summary: dict[str, object]) -> list[str]:
    """The ledger's own books, read anew."""
    endpoint = Endpoint.parse(world.url).events_url
    with Ledger(world.ledger, account=world.account, endpoint=endpoint) as ledger:
        run = ledger.run(str(summary["run"]))
        counts = ledger.counts(run)
        doubtful = len(ledger.doubtful(run))
    rows = summary["rows"]
    assert isinstance(rows, dict)
    found = []
    if any(rows[state] != counts[state] for state in State) or rows["read"] != counts.read or not counts.balanced:
        found.append(f"the summary says {rows}, the ledger {counts}")
    if doubtful != rows["in_doubt"]:
        found.append(f"{rows['in_doubt']} rows in doubt, of which the ledger names {doubtful}")
    return found


def audit_command(world: World, seen: Audit) -> None:
    """What `importer runs RUN` says."""
    said = world.importer("runs", seen.run).expect(0).stdout
    lines = re.findall(r"^[a-z ]{10}([\d,]+) (\w+)$", said, re.MULTILINE)
    counts = {name: int(number.replace(",", "")) for number, name in lines}
    doubtful = len(re.findall(r"^in doubt ", said, re.MULTILINE))
    right = dict(Counter(seen.states.values())) | {"read": len(seen.states)}
    if counts != right or doubtful != right.get("in_doubt", 0):
        raise BrokenPromiseError(f"the report says {right}, `importer runs`\n{said}")


def _named(out: Path, doubtful: set[int]) -> list[str]:
    named: list[int] = []
    for path in out.glob("in-doubt*"):
        table = parquet.read_table(path) if path.suffix == ".parquet" else None
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            named += [int(line["n"]) for line in (csv.DictReader(file) if table is None else table.to_pylist())]
    if sorted(named) != sorted(doubtful):
        return [f"in doubt or failed: {sorted(doubtful)}, but in-doubt.* names {sorted(named)}"]
    return []


def _rows(material: Material, states: dict[int, str], accepted: Counter[int], expected: Expected) -> list[str]:
    """Each row's state against what the sandbox has of it."""
    deliverable = material.deliverable()
    found = [f"an event of no row arrived: {number}" for number in accepted if number not in states]
    for row in material.rows:
        state, count = State(states.get(row.number, "pending")), accepted[row.number]
        if row.number not in deliverable:
            right = state is State.INVALID and not count
        elif expected.settled:
            right = state is State.SENT and (count == 1 or (expected.resend and count > 1))
        else:
            right = _agrees(state, count, expected)
        if not right:
            found.append(f"row {row.number} is {state} and was accepted {count} times")
    return found


def _agrees(state: State, count: int, expected: Expected) -> bool:
    most = 1_000 if expected.resend else 1
    match state:
        case State.SENT:
            return 1 <= count <= most
        case State.IN_DOUBT:
            return count <= most
        case State.REFUSED:
            return count == 0 or expected.resend
        case State.FAILED:
            return expected.resend
        case State.PENDING:
            return expected.stopped and (count == 0 or expected.resend)
        case _:
            return False


def _order(world: World, material: Material, states: dict[int, str], expected: Expected) -> list[str]:
    places, lanes = material.places(), material.lanes()
    ignored = set(expected.aside)
    if not expected.strict:
        ignored |= {number for number, state in states.items() if state == "in_doubt"}
    last: dict[str, int] = {}
    found = []
    for number in world.accepted():
        if number in ignored or number not in lanes:
            continue
        before = last.get(lanes[number])
        if before is not None and places[number] < places[before]:
            found.append(f"row {number} of {lanes[number]} arrived behind row {before}")
        last[lanes[number]] = number
    return found
