"""The queue: what is next, what was claimed, what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from importer.ledger.database import Database
from importer.ledger.ledger import Ledger
from importer.model import Claim, Outcome, Run, State
from tests.support.ledgers import chunk, open_ledger, planned

pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path) as ledger:
        yield ledger


def paged(ledger: Ledger, run: Run, count: int) -> list[tuple[Any, int, int]]:
    """The whole queue, read page by page."""
    rows: list[tuple[Any, int, int]] = []
    while page := ledger.queue(run, after=rows[-1][:2] if rows else None, count=count):
        rows += page
    return rows


def numbers(run: Run, rows: Sequence[tuple[Any, int, int]]) -> list[int]:
    """Row numbers over the whole run, from 1."""
    return [row_id - (run.no << 40) for _, row_id, _ in rows]


def outcome(row_id: int, state: State, **given: Any) -> Outcome:
    usual = Outcome(row_id, state, attempts=1, http_status=200, code="", message="", at=5.0, latency=0.25)
    return msgspec.structs.replace(usual, **given)


def test_rows_come_in_the_order_they_were_read_over_chunks_and_pages(ledger: Ledger) -> None:
    emails = [f"{n}@example.org" for n in range(5)]
    run = planned(ledger, chunk(emails), chunk(emails, first_row=6), chunk(emails[:1], first_row=11))
    rows = paged(ledger, run, 3)
    assert numbers(run, rows) == list(range(1, 12))
    assert {place for place, _, _ in rows} == {None}
    lanes = [lane for _, _, lane in rows]
    assert lanes[:5] == lanes[5:10]
    assert lanes[10] == lanes[0]


def test_rows_that_are_not_pending_are_not_in_it(ledger: Ledger) -> None:
    states = ["invalid", "pending", "filtered", "pending"]
    run = planned(ledger, chunk([f"{n}@example.org" for n in range(4)], states=states))
    assert numbers(run, paged(ledger, run, 10)) == [2, 4]


def test_another_runs_rows_are_not_in_it(ledger: Ledger) -> None:
    one = planned(ledger, chunk(["a@example.org"], places=[3]), digest="1")
    other = planned(ledger, chunk(["a@example.org", "b@example.org"], places=[2, 1]), digest="2")
    third = planned(ledger, chunk(["a@example.org"]), digest="3")
    assert [numbers(run, paged(ledger, run, 1)) for run in (one, other, third)] == [[1], [2, 1], [1]]


PLACES = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 2), min_size=1, max_size=12),
    st.lists(st.floats(allow_nan=False) | st.sampled_from([0.5, 1.0]), min_size=1, max_size=12),
    st.lists(st.text(max_size=3), min_size=1, max_size=12),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=PLACES, page=st.integers(1, 4), cut=st.integers(0, 12))
def test_places_order_rows_across_chunks_and_ties_go_by_row(
    ledger: Ledger, places: list[Any], page: int, cut: int
) -> None:
    """Integers, numbers and texts; read in pages of any size."""
    emails = [f"{n}@example.org" for n in range(len(places))]
    chunks = [chunk(emails[:cut], places=places[:cut])] if places[:cut] else []
    if places[cut:]:
        chunks.append(chunk(emails[cut:], places=places[cut:], first_row=len(places[:cut]) + 1))
    run = planned(ledger, *chunks, digest="")
    # UTF-8, whose bytes are compared, keeps the order of code points.
    assert numbers(run, paged(ledger, run, page)) == [
        row for _, row in sorted((place, row) for row, place in enumerate(places, 1))
    ]


def test_many_rows_at_one_place_are_paged_without_loss(ledger: Ledger) -> None:
    emails = [f"{n}@example.org" for n in range(50)]
    run = planned(ledger, chunk(emails, places=[7] * 50))
    assert numbers(run, paged(ledger, run, 7)) == list(range(1, 51))


@pytest.mark.parametrize("count", [1, 300])
def test_a_commit_takes_as_many_statements_however_many_rows_it_holds(
    ledger: Ledger, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On each database: BEGIN (and a lock), outcomes that are alike but for time and message, the claims, COMMIT."""
    run = planned(ledger, chunk([f"{n}@example.org" for n in range(2 * count)]))
    rows = [row_id for _, row_id, _ in paged(ledger, run, 1000)]
    ledger.commit([], rows[:count])
    statements: list[tuple[str, int]] = []
    bind = Database._bind

    def counted(database: Database, statement: Any, sql: str, values: Any, table: Any) -> None:
        statements.append((sql, 1 if table is None else table.num_rows))
        bind(database, statement, sql, values, table)

    monkeypatch.setattr(Database, "_bind", counted)
    ended = [outcome(row_id, State.SENT, at=float(row_id), message=str(row_id)) for row_id in rows[:count]]
    claims = ledger.commit(ended, rows[count:])
    assert [claim.id for claim in claims] == rows[count:]
    assert sum(number for _, number in statements) == (6 if ledger._db.dialect.shared else 4), statements
    assert ledger.counts(run)[State.SENT] == count


def test_the_last_of_two_outcomes_of_a_row_counts(ledger: Ledger) -> None:
    """As where an answer proves unreliable before it was committed."""
    run = planned(ledger, chunk(["a@example.org"]))
    row_id = paged(ledger, run, 1)[0][1]
    ledger.commit([], [row_id])
    doubt = outcome(row_id, State.IN_DOUBT, code="doubt.unreadable", message='It\'s "two"; $1 \u2028 🙂')
    ledger.commit([outcome(row_id, State.SENT), doubt], [])
    (batch,) = ledger.batches(run)
    assert batch.table.select(["state", "message"]).to_pylist() == [{"state": "in_doubt", "message": doubt.message}]


def test_a_claim_brings_the_very_bytes_of_its_body(ledger: Ledger) -> None:
    """Whichever rows are claimed together, over groups and chunks, in the order they were asked for."""
    emails = [f"{n}@example.org" for n in range(775)]
    states = ["invalid" if n % 5 == 0 or 256 <= n < 512 else "pending" for n in range(len(emails))]
    run = planned(ledger, chunk(emails, states=states), chunk(emails, first_row=len(emails) + 1, states=states))
    wanted = [row_id for _, row_id, _ in paged(ledger, run, 1000)][::-3]
    claims = ledger.commit([], wanted)
    assert [claim.id for claim in claims] == wanted
    assert [claim.body for claim in claims] == [str(row_id - (run.no << 40)).encode() for row_id in wanted]


def test_what_is_claimed_is_not_claimed_again(ledger: Ledger) -> None:
    run = planned(ledger, chunk(["a@example.org"]))
    row_id = paged(ledger, run, 1)[0][1]
    assert ledger.commit([], [row_id]) == [Claim(row_id, b"1", 0)]
    assert ledger.commit([], [row_id]) == []
    assert ledger.queue(run, after=None, count=9) == []
    assert ledger.counts(run)[State.PENDING] == 1


def test_a_row_that_another_run_took_over_is_not_claimed(ledger: Ledger) -> None:
    old = planned(ledger, chunk(["a@example.org", "b@example.org"]))
    wanted = [row_id for _, row_id, _ in paged(ledger, old, 9)]
    ledger.commit([], wanted[:1])
    ledger.lock(old).release()
    new = planned(ledger, chunk(["a@example.org", "b@example.org"]), mapping="other")
    assert numbers(new, paged(ledger, new, 9)) == [2], "the row that may have arrived is left to the old run"
    assert ledger.commit([], wanted[1:]) == []


def test_outcomes_come_before_claims(ledger: Ledger) -> None:
    """A row given back and claimed in one commit goes out with the attempts that the outcome tells."""
    run = planned(ledger, chunk(["a@example.org"]))
    row_id = paged(ledger, run, 1)[0][1]
    ledger.commit([], [row_id])
    assert ledger.commit([outcome(row_id, State.PENDING, attempts=3)], [row_id]) == [Claim(row_id, b"1", 3)]


@pytest.mark.parametrize("state", [State.SENT, State.REFUSED, State.FAILED, State.IN_DOUBT])
def test_an_outcome_is_durable_and_final(tmp_path: Path, state: State) -> None:
    with open_ledger(tmp_path) as ledger:
        run = planned(ledger, chunk(["a@example.org"]))
        row_id = paged(ledger, run, 1)[0][1]
        ledger.commit([], [row_id])
        ledger.commit([outcome(row_id, state, code="api.refused", message="no", http_status=422, attempts=2)], [])
    with open_ledger(tmp_path) as ledger:
        assert not ledger.has_pending(run)
        (row,) = next(iter(ledger.batches(run))).table.to_pylist()
        told = {name: row[name] for name in ("state", "attempts", "http_status", "code", "message", "sent_at")}
        assert told == {
            "state": state.value,
            "attempts": 2,
            "http_status": 422,
            "code": "api.refused",
            "message": "no",
            "sent_at": 5.0,
        }
        assert row["latency_ms"] == 250.0


def test_lanes_with_a_row_in_doubt_are_named(ledger: Ledger) -> None:
    run = planned(ledger, chunk(["a@example.org", "b@example.org", "a@example.org"]))
    rows = paged(ledger, run, 9)
    assert ledger.doubtful_lanes(run) == set()
    ledger.commit([], [rows[2][1]])
    ledger.commit([outcome(rows[2][1], State.IN_DOUBT)], [])
    assert ledger.doubtful_lanes(run) == {rows[0][2]}
