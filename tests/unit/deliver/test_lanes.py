"""Which row may leave next: one at a time in each lane, in order, in bounded memory."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from importer.deliver.lanes import Lanes

Row = tuple[Any, int, int]


class Queue:
    """The ledger's queue in memory: rows in order of delivery, pending until they are done."""

    def __init__(self, lanes: list[int], places: list[Any] | None = None) -> None:
        rows = [(places[i] if places else None, i + 1, lane) for i, lane in enumerate(lanes)]
        self.rows: list[Row] = sorted(rows, key=lambda row: (row[0] or 0, row[1]))
        self.gone: set[int] = set()

    def page(self, lanes: Lanes) -> list[Row]:
        after = lanes.cursor
        behind = [row for row in self.rows if after is None or (row[0] or 0, row[1]) > (after[0] or 0, after[1])]
        return [row for row in behind if row[1] not in self.gone][: lanes.page]


def fill(lanes: Lanes, queue: Queue) -> None:
    while lanes.wants_rows():
        lanes.add_rows(queue.page(lanes))


def drain(lanes: Lanes, queue: Queue, dice: random.Random, *, give_back: float = 0.0) -> list[int]:
    """Send everything, finishing rows in random order; the ids in the order in which they were done."""
    order: list[int] = []
    out: list[int] = []
    lane_of = {row_id: lane for _, row_id, lane in queue.rows}
    for _ in range(100 * len(queue.rows) + 100):
        fill(lanes, queue)
        out += lanes.take(dice.randint(0, 5))
        assert len({lane_of[row_id] for row_id in out}) == len(out), "two rows of one lane are out together"
        if out:
            row_id = out.pop(dice.randrange(len(out)))
            if dice.random() < give_back:
                lanes.give_back(row_id)
            else:
                queue.gone.add(row_id)
                order.append(row_id)
                lanes.done(row_id)
        elif lanes.idle:
            return order
    raise AssertionError(f"never idle: {lanes!r}")


@given(
    st.lists(st.integers(1, 6), max_size=200),
    st.integers(0, 2**32),
    st.sampled_from([0.0, 0.3]),
    st.integers(2, 300),
    st.booleans(),
)
def test_every_row_leaves_once_and_each_lane_in_order(
    rows: list[int], seed: int, give_back: float, lookahead: int, placed: bool
) -> None:
    """However small the memory, however the answers come, and whether or not rows have places."""
    dice = random.Random(seed)
    places = [dice.randint(0, 5) for _ in rows] if placed else None
    queue = Queue(rows, places)
    lanes = Lanes(page=max(2, lookahead // 4), lookahead=lookahead)
    order = drain(lanes, queue, dice, give_back=give_back)
    assert sorted(order) == sorted(row_id for _, row_id, _ in queue.rows)
    by_lane: dict[int, list[int]] = defaultdict(list)
    wanted: dict[int, list[int]] = defaultdict(list)
    lane_of = {row_id: lane for _, row_id, lane in queue.rows}
    for row_id in order:
        by_lane[lane_of[row_id]].append(row_id)
    for _, row_id, lane in queue.rows:
        wanted[lane].append(row_id)
    assert by_lane == wanted


def test_a_long_lane_does_not_hold_up_the_others() -> None:
    """A subscriber's 5,000 events stand before everybody else's: the others are found all the same."""
    queue = Queue([1] * 5_000 + list(range(2, 102)))
    lanes = Lanes(page=100)
    fill(lanes, queue)
    assert len(lanes.take(1_000)) == 101


def test_memory_is_bounded_by_the_lookahead() -> None:
    queue = Queue([i % 3 for i in range(20_000)])
    lanes = Lanes(page=100, lookahead=500)
    fill(lanes, queue)
    assert len(lanes.take(9)) == 3
    assert lanes.cursor is not None
    assert lanes.cursor[1] <= 600


@given(st.lists(st.integers(1, 4), max_size=80), st.integers(0, 2**32), st.integers(2, 100))
def test_a_blocked_lane_sends_nothing_more(rows: list[int], seed: int, lookahead: int) -> None:
    """A row in doubt under --strict-order holds back its own lane, and no other."""
    dice = random.Random(seed)
    queue = Queue(rows)
    lanes = Lanes(page=max(2, lookahead // 2), lookahead=lookahead)
    lane_of = {row_id: lane for _, row_id, lane in queue.rows}
    blocked: set[int] = set()
    sent: list[int] = []
    while not lanes.idle:
        fill(lanes, queue)
        for row_id in lanes.take(3):
            assert lane_of[row_id] not in blocked
            queue.gone.add(row_id)
            sent.append(row_id)
            if dice.random() < 0.2:
                blocked.add(lane_of[row_id])
                lanes.block(row_id)
            else:
                lanes.done(row_id)
        fill(lanes, queue)
    for lane in set(rows) - blocked:
        assert [row_id for row_id in sent if lane_of[row_id] == lane] == [
            row_id for _, row_id, one in queue.rows if one == lane
        ]


def test_older_rows_leave_first() -> None:
    """Among rows that may leave, the order of the queue decides."""
    queue = Queue([5, 4, 3, 2, 1])
    lanes = Lanes()
    fill(lanes, queue)
    assert lanes.take(5) == [1, 2, 3, 4, 5]


def test_lanes_blocked_from_the_start_are_never_read() -> None:
    """On resume, lanes with a row in doubt wait for the user."""
    queue = Queue([1, 2, 1, 2])
    lanes = Lanes(blocked={1})
    assert drain(lanes, queue, random.Random(1)) == [2, 4]


def test_a_deferred_row_lets_those_go_first_that_are_ready() -> None:
    """But none of its own lane."""
    queue = Queue([1, 1, 2, 3])
    lanes = Lanes()
    fill(lanes, queue)
    assert lanes.take(1) == [1]
    lanes.defer(1)
    assert lanes.take(4) == [3, 4, 1]
