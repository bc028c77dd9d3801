"""Every folder in tests/cases is a file, a mapping, and what must become of it; see the README there."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from importer import sandbox
from tests.support.program import importer

CASES = sorted(path.parent for path in Path(__file__).parent.glob("cases/*/mapping.yaml"))


@dataclass(frozen=True, slots=True)
class Case:
    """A folder's files."""

    source: str
    mapping: str
    bodies: list[str]
    report: list[dict[str, str]]

    @classmethod
    def of(cls, folder: Path) -> Case:
        (source,) = folder.glob("source.*")
        with (folder / "expected-report.csv").open(newline="", encoding="utf-8") as file:
            report = list(csv.DictReader(file))
        bodies = (folder / "expected.jsonl").read_text(encoding="utf-8").splitlines()
        return cls(str(source), str(folder / "mapping.yaml"), bodies, report)

    @property
    def exit_code(self) -> int:
        """0 when all was delivered, or there was nothing to do for it; else 1."""
        return int(any(row["state"] not in {"sent", "filtered", "grouped", "duplicate"} for row in self.report))


@pytest.fixture(params=CASES, ids=[folder.name for folder in CASES])
def case(request: pytest.FixtureRequest) -> Case:
    return Case.of(request.param)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A sandbox's URL, and the file in which it records what it accepted."""
    events = tmp_path_factory.mktemp("sandbox") / "events.jsonl"
    with sandbox.start(sandbox.SandboxOptions(tokens=("cases",), events=str(events))) as running:
        yield running.url, events


def by_subscriber(bodies: list[str]) -> dict[str, list[str]]:
    """Bodies in order, apart for each subscriber: the order that delivery promises."""
    lanes: dict[str, list[str]] = defaultdict(list)
    for body in bodies:
        lanes[json.dumps(json.loads(body)["subscriber"])].append(body)
    return dict(lanes)


def received(events: Path, skip: int) -> list[str]:
    """The bodies after the first ``skip``, as the sandbox got them."""
    lines = events.read_text(encoding="utf-8").splitlines()[skip:]
    return [line[line.index('"event":') + len('"event":') : -1] for line in lines]


def test_check_previews_the_very_bodies(case: Case) -> None:
    """`check` shows what `run` would send; only what was delivered before is known to the ledger alone."""
    outcome = importer("check", case.source, "-m", case.mapping, "--preview", "1000")
    assert outcome.exit_code == 0, outcome.stderr
    previewed = outcome.stdout.splitlines()
    duplicates = sum(row["state"] == "duplicate" for row in case.report)
    assert len(previewed) == len(case.bodies) + duplicates
    assert set(previewed) == set(case.bodies)


def test_run_delivers_them_and_accounts_for_every_row(
    case: Case, endpoint: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sandbox gets the expected bodies, and the report and the summary say the same of every row."""
    url, events = endpoint
    before = len(received(events, 0))
    monkeypatch.setenv("SENDER_API_TOKEN", "cases")
    monkeypatch.setenv("IMPORTER_LEDGER", str(tmp_path / "ledger.db"))
    out = tmp_path / "out"

    outcome = importer("run", case.source, "-m", case.mapping, "--endpoint", url, "--yes", "--out", str(out))

    assert outcome.exit_code == case.exit_code, outcome.stderr
    assert by_subscriber(received(events, before)) == by_subscriber(case.bodies)
    with (out / "report.csv").open(newline="", encoding="utf-8") as file:
        report = [{name: row[name] for name in ("row", "line", "state", "code")} for row in csv.DictReader(file)]
    assert report == case.report
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary["balanced"] is True
    assert summary["rows"]["read"] == len(case.report) == sum(n for s, n in summary["rows"].items() if s != "read")
