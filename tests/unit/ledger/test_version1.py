"""A ledger of the first version is carried over, and nothing is sent twice by that.

``version1.sql`` was written by the first version: five runs of the exports below, one of them pruned, one killed in
the midst of a delivery.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from importer.errors import LedgerError
from importer.ledger.database import file_lock
from importer.ledger.ledger import Ledger
from importer.mapping.load import load
from importer.model import Pause, PauseKind, Run, RunState, State
from importer.pipeline.options import ReadOptions
from importer.pipeline.prepare import prepare_stored
from importer.plan import plan
from tests.support.ledgers import open_ledger

PLAIN = """\
version: 1
subscriber: {email: email}
type: {const: purchase}
value: total
value_currency: {const: EUR}
"""
MAPPINGS = {
    "old": PLAIN,
    "plain": PLAIN,
    "keyed": PLAIN + "key: order\n",
    "grouped": PLAIN.replace("value: total", "value: {column: total, aggregate: sum}") + "group_by: order\n",
    "ordered": PLAIN + "order_by: {column: at, as: integer}\n",
}
HEAD = "order,email,total,at\n"
EXPORTS = {
    "old": HEAD + "1,old@example.org,1,1\n",
    "plain": HEAD + "".join(f"{i},p{i}@example.org,{i}.50,{10 - i}\n" for i in range(1, 9)),
    "keyed": HEAD + "1001.0,a@example.org,1,1\n1002,b@example.org,2,2\n1003,c@example.org,nonsense,3\n",
    "grouped": HEAD + "1,a@example.org,1,1\n1,a@example.org,2,2\n2,b@example.org,3,3\n",
    "ordered": HEAD + "1,x@example.org,1,3\n2,y@example.org,2,1\n3,z@example.org,3,2\n",
}
BEFORE = {
    "old": ["sent"],
    "plain": ["sent", "refused", "failed", "in_doubt", "pending", "pending", "pending", "pending"],
    "keyed": ["sent", "sent", "invalid"],
    "grouped": ["sent", "grouped", "pending"],
    "ordered": ["pending", "sent", "pending"],
}


def restore(path: Path) -> None:
    with sqlite3.connect(path) as old:
        old.executescript(Path(__file__).with_name("version1.sql").read_text(encoding="utf-8"))
    old.close()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    restore(tmp_path / "ledger.db")
    with open_ledger(tmp_path) as ledger:
        yield ledger


def run_of(ledger: Ledger, export: str) -> Run:
    return next(run for run in ledger.runs() if ledger.sources(run)[0].source.name == f"{export}.csv")


def states(ledger: Ledger, run: Run) -> list[str]:
    return [state for batch in ledger.batches(run) for state in batch.table.column("state").to_pylist()]


def planned(ledger: Ledger, home: Path, export: str, content: str = "", mapping: str = "") -> Run:
    """A run of today's over an export."""
    (home / f"{export}.csv").write_text(content or EXPORTS[export], encoding="utf-8")
    (home / "m.yaml").write_text(mapping or MAPPINGS[export], encoding="utf-8")
    run = ledger.create_run(mapping_name="m", mapping_text="", mapping_digest="new", options={})
    chosen = load(str(home / "m.yaml")).mapping
    read = prepare_stored([str(home / f"{export}.csv")], chosen, ReadOptions(), lambda _: None, ledger.hasher)
    plan(ledger, run, read, lambda _: None)
    return ledger.seal(run)


def test_it_is_said_that_it_was_carried_over_once(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    assert ledger.notes[0] == f"the ledger {path} was carried over from an earlier version, with 18 rows"
    with open_ledger(tmp_path) as again:
        assert again.notes == []


@pytest.mark.parametrize("export", ["plain", "keyed", "grouped", "ordered"])
def test_every_row_stands_as_it_did(ledger: Ledger, export: str) -> None:
    run = run_of(ledger, export)
    assert states(ledger, run) == BEFORE[export]
    assert ledger.counts(run).balanced
    assert run.options["sources"] == [f"{export}.csv"]


def test_what_was_packed_is_in_columns(ledger: Ledger) -> None:
    plain = run_of(ledger, "plain")
    (batch,) = ledger.batches(plain, raw_rows=True)
    assert batch.table.select(["row", "line", "subscriber", "type", "value", "currency"]).to_pylist()[1] == {
        "row": 2, "line": 3, "subscriber": "p2@example.org", "type": "purchase", "value": "2.5", "currency": "EUR",
    }  # fmt: skip
    assert batch.raw_rows is not None
    assert batch.raw_rows.column("record")[0].as_py() == b"1,p1@example.org,1.50,9"
    assert ledger.pauses(plain) == [Pause(PauseKind.OUTAGE, 1.0, 9.0)]
    (batch,) = ledger.batches(run_of(ledger, "keyed"))
    assert batch.table.column("key").to_pylist() == ["1001.0", "1002", "1003"]
    assert [reason["code"] for reason in batch.reasons.to_pylist()] == ["value.not_a_number"]
    (batch,) = ledger.batches(run_of(ledger, "grouped"))
    assert batch.table.column("leader").to_pylist() == [None, 1, None]


def test_what_a_killed_importer_had_claimed_is_in_doubt(ledger: Ledger) -> None:
    plain = run_of(ledger, "plain")
    assert plain.state is RunState.DELIVERING
    assert ledger.recover(plain) == 1
    assert [(row, code) for _, _, row, _, _, code in ledger.doubtful(plain)] == [
        (4, "doubt.server_error"),
        (6, "doubt.crash"),
    ]


def test_what_is_left_goes_out_in_its_order_with_its_bodies(ledger: Ledger) -> None:
    ordered = run_of(ledger, "ordered")
    rows = [row_id for _, row_id, _ in ledger.queue(ordered, after=None, count=9)]
    assert [claim.body for claim in ledger.commit([], rows)] == [
        b'{"subscriber":{"email":"z@example.org"},"type":"purchase","value":3,"value_currency":"EUR"}',
        b'{"subscriber":{"email":"x@example.org"},"type":"purchase","value":1,"value_currency":"EUR"}',
    ]


def test_what_may_have_been_accepted_is_known_to_be(ledger: Ledger) -> None:
    plain = run_of(ledger, "plain")
    ledger.retry(plain)
    rows = [row_id for _, row_id, _ in ledger.queue(plain, after=None, count=9)]
    claims = ledger.commit([], rows)
    assert [(claim.id - (plain.no << 40), claim.maybe_sent) for claim in claims] == [
        (2, False), (3, True), (5, True), (7, False), (8, False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("export", "now"),
    [
        ("old", ["duplicate"]),
        ("plain", ["duplicate", "pending", "duplicate", "duplicate", "duplicate", "duplicate", "pending", "pending"]),
        ("keyed", ["duplicate", "duplicate", "invalid"]),
        ("grouped", ["duplicate", "grouped", "pending"]),
        ("ordered", ["pending", "duplicate", "pending"]),
    ],
)
def test_the_same_files_again_send_only_what_was_not_delivered(
    ledger: Ledger, tmp_path: Path, export: str, now: list[str]
) -> None:
    for run in ledger.runs():
        ledger.recover(run)
    assert states(ledger, planned(ledger, tmp_path, export)) == now


def test_keys_are_known_in_whatever_file_they_come_and_however_they_are_read_now(
    ledger: Ledger, tmp_path: Path
) -> None:
    other = HEAD + "1001,a@example.org,1,1\n1002,b@example.org,2,2\n1004,d@example.org,4,4\n"
    assert states(ledger, planned(ledger, tmp_path, "keyed", other)) == ["duplicate", "duplicate", "pending"]


def test_another_key_in_the_mapping_does_not_send_delivered_rows_again(ledger: Ledger, tmp_path: Path) -> None:
    """A preset of today may make its keys of another column than the first version's did."""
    mapping = MAPPINGS["keyed"].replace("key: order", 'key: {template: "purchase {order}"}')
    assert states(ledger, planned(ledger, tmp_path, "keyed", mapping=mapping)) == ["duplicate", "duplicate", "invalid"]


def test_a_ledger_that_the_first_version_is_working_on_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    restore(path)
    with sqlite3.connect(path) as old:
        (run_id,) = old.execute("SELECT id FROM run WHERE state = 'delivering'").fetchone()
    old.close()
    with file_lock(path, run_id), pytest.raises(LedgerError) as caught:
        open_ledger(tmp_path)
    assert caught.value.message == (
        f"the ledger {path} is of an earlier version of importer, and its run {run_id} is being delivered by that"
        " version now"
    )
    with open_ledger(tmp_path) as ledger:
        assert ledger.counts(run_of(ledger, "plain"))[State.SENT] == 1
