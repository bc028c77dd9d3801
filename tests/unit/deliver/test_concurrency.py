"""The search for the best number in flight, against servers that gain from more up to a point."""

import heapq
import statistics
from collections.abc import Callable

import pytest

from importer.deliver.concurrency import Concurrency


def settle(throughput: Callable[[int], float], *, seconds: float = 20.0, supply: int = 10_000) -> float:
    """Where it stays for most of the time with a server that does ``throughput(in flight)`` requests a second.

    At most ``supply`` are in flight.
    """
    climb = Concurrency(8, 128)
    now = 0.0
    ends: list[float] = []
    sizes = []
    while now < seconds:
        while len(ends) < min(climb.size, supply):
            heapq.heappush(ends, now + min(climb.size, supply) / throughput(min(climb.size, supply)))
        now = heapq.heappop(ends)
        climb.learn(failed=False, in_flight=len(ends) + 1, now=now)
        sizes.append(climb.size)
    return statistics.median(sizes[len(sizes) // 2 :])


@pytest.mark.parametrize("best", [4, 16, 32, 64])
def test_it_stops_where_more_gains_nothing(best: int) -> None:
    """Each row in flight is in doubt after a crash: of what does equally well, the smaller."""
    size = settle(lambda in_flight: 100.0 * min(in_flight, best))
    assert best * 0.7 <= size <= best * 1.6


def test_it_does_not_go_where_more_costs() -> None:
    """As measured on loopback: flat from 16 to 64, a third lost at 256."""
    size = settle(lambda in_flight: 12_000 * min(in_flight, 16) / 16 * (1 if in_flight <= 64 else 0.7))
    assert 10 <= size <= 40


def test_it_never_exceeds_its_bound() -> None:
    assert settle(lambda in_flight: 10.0 * in_flight, seconds=60) == 128


def test_it_follows_a_server_that_changes() -> None:
    best = [64]
    climb = Concurrency(8, 128)
    now = 0.0
    ends: list[float] = []
    sizes = {}
    while now < 120:
        best[0] = 64 if now < 60 else 8
        while len(ends) < climb.size:
            heapq.heappush(ends, now + climb.size / (100.0 * min(climb.size, best[0])))
        now = heapq.heappop(ends)
        climb.learn(failed=False, in_flight=len(ends) + 1, now=now)
        sizes[int(now)] = climb.size
    assert sizes[50] >= 45
    assert sizes[119] <= sizes[50]


def test_what_is_never_used_is_not_grown() -> None:
    """With one lane only, nothing is learnt about many in flight."""
    assert settle(lambda in_flight: 100.0 * in_flight, supply=1) == 8


def test_a_suffering_server_gets_half_of_it() -> None:
    climb = Concurrency(64, 128)
    for number in range(600):
        climb.learn(failed=number % 5 == 0, in_flight=64, now=number / 1000)
    assert climb.size <= 32


def test_a_few_failures_are_no_suffering() -> None:
    climb = Concurrency(64, 128)
    for number in range(600):
        climb.learn(failed=number % 50 == 0, in_flight=64, now=number / 1000)
    assert climb.size >= 64


def test_a_429_sends_it_back_to_one() -> None:
    climb = Concurrency(64, 128)
    climb.throttled()
    assert climb.size == 1
    assert repr(climb).startswith("<Concurrency 1, ")
