"""Lanes: rows that share an identifier, directly or through others, whatever chunk they stand in, share a lane."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from importer.ledger.identities import NO_IDENTIFIER
from tests.support.ledgers import add_chunk, chunk, open_ledger, planned

pytestmark = pytest.mark.usefixtures("each_database")

Row = tuple[str | None, str | None, str | None]

NAMES = st.none() | st.sampled_from([str(n) for n in range(12)])
ROWS = st.lists(st.tuples(NAMES, NAMES, NAMES), max_size=30)


def components(rows: Sequence[Row]) -> list[int | None]:
    """The oracle: for each row the first row of its component, by union-find; None for rows without an identifier."""
    parents: dict[tuple[int, str], tuple[int, str]] = {}

    def find(one: tuple[int, str]) -> tuple[int, str]:
        while parents.setdefault(one, one) != one:
            one = parents[one]
        return one

    named = [[(kind, name) for kind, name in enumerate(row) if name is not None] for row in rows]
    for names in named:
        for name in names:
            parents[find(name)] = find(names[0])
    roots = [find(names[0]) if names else None for names in named]
    return [None if root is None else roots.index(root) for root in roots]


def partition(lanes: Sequence[int]) -> list[int | None]:
    return [None if lane == NO_IDENTIFIER else lanes.index(lane) for lane in lanes]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chunks=st.lists(ROWS.filter(bool), min_size=1, max_size=4), ordered=st.booleans())
def test_a_sealed_run_has_the_final_lanes(tmp_path: Path, chunks: list[list[Row]], ordered: bool) -> None:
    prepared, first = [], 1
    for rows in chunks:
        ids, emails, phones = zip(*rows, strict=True)
        places = list(range(first, first + len(rows))) if ordered else None
        prepared.append(chunk(emails, first_row=first, ids=ids, phones=phones, places=places))
        first += len(rows)
    with open_ledger(tmp_path) as ledger:
        run = planned(ledger, *prepared, digest="")
        lanes = [lane for _, _, lane in ledger.queue(run, after=None, count=1000)]
        pending_summary = ledger.pending_summary(run)
    expected = components([row for rows in chunks for row in rows])
    assert partition(lanes) == expected
    shown = {email or phone or own for rows in chunks for own, email, phone in rows}
    assert pending_summary.subscribers == len(shown - {None})
    assert pending_summary.most_for_one == max(expected.count(one) for one in expected)


def test_an_id_and_a_phone_that_look_alike_are_two_subscribers(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        run = planned(ledger, chunk([None, None], ids=["37060000000", None], phones=[None, "37060000000"]))
        (_, _, one), (_, _, other) = ledger.queue(run, after=None, count=9)
    assert one != other


def test_lanes_are_settled_in_a_run_of_several_sources(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        run = ledger.create_run(mapping_name="", mapping_text="", mapping_digest="", options={})
        parts = (
            chunk(["a@example.org"]),
            chunk([None], phones=["+37060000000"]),
            chunk(["a@example.org"], phones=["+37060000000"]),
        )
        for part in parts:
            number = ledger.add_source(run, part.source)
            add_chunk(ledger, run, number, part)
            ledger.close_source(run, number, digest="")
        run = ledger.seal(run)
        assert len({lane for _, _, lane in ledger.queue(run, after=None, count=9)}) == 1


def test_ties_of_a_plan_are_gone_with_it(tmp_path: Path) -> None:
    ids = [str(n) for n in range(5)]
    emails = [f"{n}@example.org" for n in range(5)]
    with open_ledger(tmp_path) as ledger:
        for digest in ("1", "2"):
            run = planned(ledger, *[chunk(emails, ids=ids, places=range(5))] * 2, digest=digest)
            assert len({lane for _, _, lane in ledger.queue(run, after=None, count=99)}) == 5


def test_a_chunk_without_rows_leaves_no_trace(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        run = planned(ledger, chunk([]), chunk([]), chunk([None]))
        assert len(list(ledger.batches(run))) == 1
        assert [lane for _, _, lane in ledger.queue(run, after=None, count=9)] == [NO_IDENTIFIER]
