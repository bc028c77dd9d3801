"""Rows that are part of another row's event: how the ledger tells of them, and that no event is sent twice."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from importer.ledger.ledger import Ledger
from importer.mapping.load import load
from importer.model import Outcome, Run, State
from importer.pipeline.options import ReadOptions
from importer.pipeline.prepare import prepare_stored
from importer.plan import plan
from importer.report import ReportOptions, write
from tests.support.ledgers import open_ledger

pytestmark = pytest.mark.usefixtures("each_database")

MAPPING = """\
version: 1
group_by: order
{key}subscriber: {{id: id}}
type: {{const: purchase}}
value: {{column: total, aggregate: sum}}
"""
FIRST = "order,id,total\n1,ada,1\n2,bo,1\n1,ada,2\n"
SECOND = "order,id,total\n3,cy,1\n1,ada,3\n2,bo,x\n"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path) as ledger:
        yield ledger


def planned(ledger: Ledger, home: Path, *contents: str, grouped: bool = True, keyed: bool = False) -> Run:
    """A sealed run of files with these contents; its process is gone."""
    text = MAPPING.format(key="key: order\n" if keyed else "")
    if not grouped:
        text = text.replace("group_by: order\n", "").replace(", aggregate: sum", "")
    (home / "m.yaml").write_text(text, encoding="utf-8")
    run = ledger.create_run(mapping_name="m", mapping_text="", mapping_digest=text, options={})
    paths = [home / f"{run.no}-{at}.csv" for at in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_text(content, encoding="utf-8")
    mapping = load(str(home / "m.yaml")).mapping
    plan(
        ledger,
        run,
        prepare_stored(
            [str(path) for path in paths], mapping, ReadOptions(raw_rows=True), lambda _: None, ledger.hasher
        ),
        lambda _: None,
    )
    run = ledger.seal(run)
    ledger.lock(run).release()
    return run


def end(ledger: Ledger, run: Run, state: State, count: int = 9) -> None:
    """Claim so many rows and let them end like this."""
    claims = ledger.commit((), [row_id for _, row_id, _ in ledger.queue(run, after=None, count=count)])
    ledger.commit([Outcome(claim.id, state, 1, 200, "", "", 0.0, 0.1) for claim in claims], ())


def states(ledger: Ledger, run: Run) -> list[str]:
    return [state for one in ledger.batches(run) for state in one.table.column("state").to_pylist()]


def test_every_row_points_to_the_row_that_carries_its_event(ledger: Ledger, tmp_path: Path) -> None:
    run = planned(ledger, tmp_path, FIRST, "order,id,total\n", SECOND)
    end(ledger, run, State.SENT)
    names = ("state", "leader", "leader_source", "leader_state")
    told = [row for one in ledger.batches(run) for row in zip(*(one.table[n].to_pylist() for n in names), strict=True)]
    first = str(tmp_path / f"{run.no}-0.csv")
    assert told == [
        ("sent", None, None, None),
        ("invalid", None, None, None),
        ("grouped", 1, None, "sent"),
        ("sent", None, None, None),
        ("grouped", 1, first, "sent"),
        ("invalid", 2, first, "invalid"),
    ]


def test_an_event_that_was_sent_is_not_sent_again_though_only_a_part_of_it_comes_back(
    ledger: Ledger, tmp_path: Path
) -> None:
    end(ledger, planned(ledger, tmp_path, FIRST, "order,id,total\n1,ada,4\n"), State.SENT)
    assert states(ledger, planned(ledger, tmp_path, "order,id,total\n1,ada,4\n")) == ["duplicate"]


def test_a_part_of_an_event_that_still_waits_is_left_to_it(ledger: Ledger, tmp_path: Path) -> None:
    earlier = planned(ledger, tmp_path, FIRST, "order,id,total\n1,ada,4\n")
    assert states(ledger, planned(ledger, tmp_path, "order,id,total\n1,ada,4\n")) == ["duplicate"]
    assert states(ledger, earlier) == ["pending", "pending", "grouped", "grouped"]


def test_rows_that_wait_alone_are_taken_over_by_the_event_that_they_become_part_of(
    ledger: Ledger, tmp_path: Path
) -> None:
    earlier = planned(ledger, tmp_path, FIRST, grouped=False)
    assert states(ledger, planned(ledger, tmp_path, FIRST)) == ["pending", "pending", "grouped"]
    assert states(ledger, earlier) == ["duplicate"] * 3


def test_another_grouping_takes_over_what_waits(ledger: Ledger, tmp_path: Path) -> None:
    """Its events begin with other rows; none of them counts as part of an event that it has taken over itself."""
    earlier = planned(ledger, tmp_path, FIRST)
    again = planned(ledger, tmp_path, FIRST, grouped=False)
    assert states(ledger, earlier) == ["duplicate", "duplicate", "grouped"]
    assert states(ledger, again) == ["pending", "pending", "pending"]


def test_a_copy_in_the_same_run_is_a_duplicate_and_changes_no_sum(ledger: Ledger, tmp_path: Path) -> None:
    run = planned(ledger, tmp_path, FIRST, FIRST)
    assert states(ledger, run) == ["pending", "pending", "grouped", "duplicate", "duplicate", "grouped"]
    claims = ledger.commit((), [row_id for _, row_id, _ in ledger.queue(run, after=None, count=9)])
    assert [claim.body for claim in claims] == [
        b'{"subscriber":{"id":"ada"},"type":"purchase","value":3}',
        b'{"subscriber":{"id":"bo"},"type":"purchase","value":1}',
    ]


@pytest.mark.parametrize(("state", "name"), [(State.REFUSED, "rejects.csv"), (State.IN_DOUBT, "in-doubt.csv")])
def test_an_event_that_was_not_delivered_is_rejected_with_all_its_rows(
    ledger: Ledger, tmp_path: Path, state: State, name: str
) -> None:
    """Also after the run is over and all that nobody needs any more was dropped."""
    run = planned(ledger, tmp_path, FIRST, "order,id,total\n1,ada,4\n")
    end(ledger, run, state, count=1)
    end(ledger, run, State.SENT)
    ledger.drop_bodies(run)
    write(ledger, run, ReportOptions(tmp_path / "out"))
    with (tmp_path / "out" / name).open(newline="", encoding="utf-8") as file:
        rejected = [
            (row["order"], row["total"], row["importer_state"], row["importer_message"]) for row in csv.DictReader(file)
        ]
    assert rejected == [
        ("1", "1", state.value, ""),
        ("1", "2", "grouped", "part of row 1's event"),
        ("1", "4", "grouped", f"part of {tmp_path / f'{run.no}-0.csv'}, row 1's event"),
    ]


def test_a_key_holds_for_an_event_whichever_rows_it_is_made_of(ledger: Ledger, tmp_path: Path) -> None:
    end(ledger, planned(ledger, tmp_path, FIRST, keyed=True), State.SENT)
    grown = FIRST + "1,ada,5\n4,di,1\n"
    assert states(ledger, planned(ledger, tmp_path, grown, keyed=True)) == [
        "duplicate", "duplicate", "grouped", "grouped", "pending",
    ]  # fmt: skip
