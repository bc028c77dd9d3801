"""What a ledger tells of a run: its books, every row in source order, and the outlook before a delivery."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from importer.ledger.ledger import Ledger
from importer.model import Dialect, Outcome, PendingSummary, Run, RunSource, Source, State
from tests.support.ledgers import SOURCE, add_chunk, chunk, new_run, open_ledger, planned, with_columns

pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path) as ledger:
        yield ledger


def text(*values: str | None) -> pa.Array:
    return pa.array(values, pa.string())


def test_the_books_balance_whatever_becomes_of_rows(ledger: Ledger) -> None:
    prepared = chunk(
        [f"{n}@example.org" for n in range(9)],
        states=["pending"] * 6 + ["invalid", "filtered", "grouped"],
        keys=["k", "k", *"abcdefg"],
        bodies=["k", "k", *"abcdefg"],
    )
    run = planned(ledger, prepared)
    rows = [row_id for _, row_id, _ in ledger.queue(run, after=None, count=9)]
    ledger.commit([], rows[:4])
    fates = (State.SENT, State.REFUSED, State.FAILED, State.IN_DOUBT)
    ledger.commit([Outcome(r, s, 1, None, "", "", 1.0, None) for r, s in zip(rows, fates, strict=False)], [])
    counts = ledger.counts(run)
    assert counts.by_state == dict.fromkeys(State, 1)
    assert (counts.read, counts.balanced) == (9, True)


def test_a_lost_row_unbalances_the_books(ledger: Ledger) -> None:
    """Rows read are not counted in the table whose rows are."""
    run = planned(ledger, chunk(["a@example.org", "b@example.org"]))
    ledger._db.execute("DELETE FROM row WHERE id = (SELECT MAX(id) FROM row)")
    assert not ledger.counts(run).balanced


def test_sources_are_told_as_they_were_opened(ledger: Ledger) -> None:
    first = Source("a.csv", "/a.csv", Dialect("csv", encoding="cp1252", delimiter=";", skip_lines=2), ("é", "b"))
    second = Source("<stdin>", None, Dialect("jsonl", compression="zstd"), None)
    run = new_run(ledger)
    numbers = [ledger.add_source(run, source) for source in (first, second)]
    add_chunk(ledger, run, numbers[1], chunk(["a@example.org"]))
    ledger.close_source(run, numbers[0], digest="", error="is damaged")
    ledger.close_source(run, numbers[1], digest="d")
    assert ledger.sources(run) == [
        RunSource(numbers[0], first, "", 0, "is damaged"),
        RunSource(numbers[1], second, "d", 1, ""),
    ]


def test_batches_tell_all_that_was_planned(ledger: Ledger) -> None:
    reasons = pa.table({"row": [4], "code": ["email.invalid"], "field": ["subscriber.email"], "value": ["b@"]})
    records = pa.table({"record": pa.array([b"a", b"b"])})
    first = chunk(["x@example.org", "y@example.org"])
    made = chunk(["a@example.org", None], ids=[None, "7"], first_row=3, states=["pending", "invalid"], keys=["k", None])
    second = replace(
        with_columns(made, line=np.array([5, 9]), type=text("purchase", None)), reasons=reasons, raw_rows=records
    )
    run = planned(ledger, first, second)
    batch = list(ledger.batches(run, raw_rows=True))[1]
    common = dict.fromkeys(("http_status", "sent_at", "latency_ms", "code", "message", "leader"))
    columns = ["row", "line", "state", "attempts", "key", "subscriber", "type", *common]
    assert batch.table.select(columns).to_pylist() == [
        {"row": 3, "line": 5, "state": "pending", "attempts": 0, "key": "k", "subscriber": "a@example.org",
         "type": "purchase", **common},
        {"row": 4, "line": 9, "state": "invalid", "attempts": 0, "key": None, "subscriber": "7", "type": None,
         **common},
    ]  # fmt: skip
    assert batch.reasons == reasons
    assert batch.source == SOURCE
    assert batch.raw_rows == records
    assert next(iter(ledger.batches(run))).raw_rows is None


def test_columns_have_the_types_that_reports_count_on(ledger: Ledger) -> None:
    run = planned(ledger, chunk(["a@example.org"]))
    schema = {field.name: str(field.type) for field in next(iter(ledger.batches(run))).table.schema}
    assert schema.items() >= {
        "row": "int64", "line": "int64", "state": "string", "http_status": "int16", "attempts": "int32",
        "key": "string", "subscriber": "string", "type": "string", "sent_at": "double", "latency_ms": "double",
        "code": "string", "message": "string", "leader": "int64", "leader_source": "string",
        "leader_state": "string",
    }.items()  # fmt: skip


def test_a_grouped_row_names_its_leader_wherever_that_stands(ledger: Ledger) -> None:
    """By its row number, its source if it is another, and what became of it."""
    run = new_run(ledger)
    parts = {
        "one.csv": chunk(["a@example.org", "b@example.org"]),
        "none.csv": chunk([]),
        "two.csv": with_columns(
            chunk([None, "c@example.org", None], states=["grouped", "pending", "grouped"]),
            group_head=pa.array([1, None, 3]),
        ),
    }
    for name, part in parts.items():
        number = ledger.add_source(run, replace(SOURCE, name=name))
        add_chunk(ledger, run, number, part)
        ledger.close_source(run, number, digest="")
    run = ledger.seal(run)
    row_id = ledger.queue(run, after=None, count=9)[1][1]
    ledger.commit([Outcome(row_id, State.SENT, 1, 200, "", "", 1.0, 0.1)], [])
    table = list(ledger.batches(run))[1].table
    assert table.select(["leader", "leader_source", "leader_state"]).to_pylist() == [
        {"leader": 2, "leader_source": "one.csv", "leader_state": "sent"},
        {"leader": None, "leader_source": None, "leader_state": None},
        {"leader": 2, "leader_source": None, "leader_state": "pending"},
    ]


MONEY = st.sampled_from(["0.1", "-0", "99999999999999999999.999999999999", "12345678901234567890123456789", "1e-7"])


def outlook_of(ledger: Ledger) -> tuple[Run, PendingSummary]:
    emails = ["a@example.org", "b@example.org", "b@example.org", "c@example.org", "d@example.org"]
    prepared = with_columns(
        chunk(emails, states=["pending"] * 4 + ["invalid"]),
        type=text("purchase", "refund", "refund", "visit", "visit"),
        value=text("0.1", "0.2", "1e2", None, "5"),
        currency=text("EUR", "EUR", None, "USD", "USD"),
        event_time=pa.array([1_500_000, -2_000_000, None, 7_000_000, 9_000_000], pa.int64()),
    )
    # A number with more digits than a float has, far away from the others.
    more = with_columns(
        chunk(["b@example.org"], first_row=6), value=text("90071992547409930000000000000000000000000001")
    )
    run = planned(ledger, prepared, more)
    return run, ledger.pending_summary(run)


def test_the_outlook_counts_what_is_pending_and_sums_exactly(ledger: Ledger) -> None:
    run, seen = outlook_of(ledger)
    assert seen == PendingSummary(
        events=5,
        subscribers=3,
        most_for_one=3,
        most_subscriber="b@example.org",
        types=(("purchase", 2), ("refund", 2), ("visit", 1)),
        totals=(
            ("purchase", "EUR", 2, "90071992547409930000000000000000000000000001.1"),
            ("refund", "", 1, "100"),
            ("refund", "EUR", 1, "0.2"),
        ),
        oldest=-2.0,
        newest=7.0,
        example=b"1",
        counts=ledger.counts(run),
    )


def test_the_outlook_is_the_same_from_the_plan_and_from_the_ledger(ledger: Ledger, tmp_path: Path) -> None:
    """What comes by while rows are planned is not what will be sent where keys or lanes say otherwise."""
    plain, seen = outlook_of(ledger)
    repeated = planned(ledger, chunk(["a@example.org"] * 3, keys=["k", "k", "l"], bodies=["b", "b", "c"]), digest="2")
    phones = ["+37060000001", "+37060000001", None]
    one_lane = planned(ledger, chunk(["x@example.org", None, "x@example.org"], phones=phones), digest="3")
    with open_ledger(tmp_path) as other:
        for run in (plain, repeated, one_lane):
            assert other.pending_summary(run) == ledger.pending_summary(run)
        assert other.pending_summary(plain) == seen
        assert other.pending_summary(repeated).events == 2
        assert other.pending_summary(one_lane).most_for_one == 3


def test_the_outlook_of_a_resumed_run_leaves_out_what_was_sent(ledger: Ledger) -> None:
    run, _ = outlook_of(ledger)
    rows = [row_id for _, row_id, _ in ledger.queue(run, after=None, count=9)]
    ledger.commit([Outcome(row_id, State.SENT, 1, 200, "", "", 1.0, 0.1) for row_id in rows[:-1]], [])
    seen = ledger.pending_summary(run)
    assert (seen.events, seen.subscribers, seen.types) == (1, 1, (("purchase", 1),))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=None).map(str) | MONEY, min_size=1))
def test_sums_are_exact_whatever_the_numbers(ledger: Ledger, values: list[str]) -> None:
    """Also where Arrow's decimals would overflow in silence."""
    prepared = chunk([f"{n}@example.org" for n in range(len(values))])
    run = planned(ledger, with_columns(prepared, value=text(*values)), digest="")
    ((_, currency, count, total),) = ledger.pending_summary(run).totals
    assert (currency, count) == ("EUR", len(values))
    assert Fraction(total) == sum(map(Fraction, values))


def test_the_outlook_of_nothing_is_empty(ledger: Ledger) -> None:
    run = planned(ledger, chunk(["a@example.org"], states=["invalid"]))
    nothing = PendingSummary(0, 0, 0, "", (), (), None, None, counts=ledger.counts(run))
    assert ledger.pending_summary(run) == nothing
