"""One limit for several importers: on simulated time, over real files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from importer.deliver.rate_limit import RateLimiter
from importer.deliver.shared_limit import EVERY, SharedRateLimit
from importer.model import Response, ResponseKind
from tests.support.quota_simulation import EPOCH, FixedWindow, Server, Simulation, SlidingWindow, Tally, Wire
from tests.support.virtual_time import VirtualClock, virtual_time


class SimulatedClock:
    """A simulation's time, as one machine's clocks show it."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.set_by = 0.0

    def time(self) -> float:
        return EPOCH + self.set_by + self._simulation.now

    def monotonic(self) -> float:
        return self._simulation.now

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here sleeps")


def exchange(shared: SharedRateLimit) -> None:
    shared.hear(shared.swap(shared.compose()))


def together(
    server: Server, wire: Wire, path: Path, *, starts: tuple[float, ...], reserve: int = 0, seconds: float = 185.0
) -> list[Tally]:
    """Importers of one account that start at these times."""
    simulation = Simulation(server, wire)
    clock = SimulatedClock(simulation)
    tallies = []
    for start in starts:
        limiter = RateLimiter(reserve=reserve, jitter=simulation.random.random)
        shared = SharedRateLimit(limiter, path, "shop", clock)

        def beat(shared: SharedRateLimit = shared) -> None:
            exchange(shared)
            simulation.at(simulation.now + EVERY, lambda: beat(shared))

        simulation.at(start, beat)
        tallies.append(simulation.sender(limiter, start=start))
    simulation.run(seconds)
    return tallies


def total(tallies: list[Tally]) -> list[int]:
    """Accepted requests of all, by window."""
    counter: Counter[float] = Counter()
    for tally in tallies:
        counter.update(tally.by_window)
    return [counter[window] for window in sorted(counter)]


@pytest.mark.parametrize("latency", [(0.05, 0.05), (0.05, 1.0)], ids=["quick", "mixed"])
@pytest.mark.parametrize("limit", [10, 60, 600])
def test_two_importers_stay_together_under_the_limit(tmp_path: Path, limit: int, latency: tuple[float, float]) -> None:
    """And use it up; each gets a fair share."""
    tallies = together(FixedWindow(limit), Wire(latency=latency), tmp_path, starts=(0.0, 0.3), seconds=245)
    assert sum(tally.rejected for tally in tallies) <= 1
    assert sum(total(tallies)[:4]) >= 0.85 * 4 * limit
    assert min(tally.accepted for tally in tallies) >= 0.2 * sum(total(tallies))


def test_one_that_comes_later_is_counted_within_a_second(tmp_path: Path) -> None:
    server = FixedWindow(600, aligned=True)
    tallies = together(server, Wire(latency=(0.05, 0.5)), tmp_path, starts=(0.0, 0.01, 30.0))
    assert sum(tally.rejected for tally in tallies) <= 1
    assert tallies[2].times[0] < 33
    assert min(total(tallies)[1:3]) >= 0.9 * 600


def test_a_sliding_window_is_shared_too(tmp_path: Path) -> None:
    tallies = together(SlidingWindow(600), Wire(latency=(0.05, 0.5)), tmp_path, starts=(0.0, 10.0))
    assert [tally.rejected for tally in tallies] == [0, 0]
    assert sum(total(tallies)) >= 0.85 * 1800


def test_the_reserve_is_reserved_once(tmp_path: Path) -> None:
    tallies = together(FixedWindow(600), Wire(), tmp_path, starts=(0.0, 5.0), reserve=100)
    assert max(total(tallies)) <= 505
    assert min(total(tallies)[:3]) >= 450


def answer(status: int, **fields: float) -> Response:
    kind = ResponseKind.SENT if status == 200 else ResponseKind.NOT_ACCEPTED
    return Response(kind, status, "", 0.1, **fields)  # type: ignore[arg-type]  # numbers


def pair(path: Path, scopes: tuple[str, str] = ("shop", "shop")) -> tuple[list[RateLimiter], list[SharedRateLimit]]:
    simulation = Simulation(FixedWindow(1))
    limiters = [RateLimiter(), RateLimiter()]
    shared = [
        SharedRateLimit(limiter, path, scope, SimulatedClock(simulation))
        for limiter, scope in zip(limiters, scopes, strict=True)
    ]
    return limiters, shared


@pytest.mark.parametrize("scope", ["shop", "other"])
def test_a_429_stops_all_importers_of_the_account_and_no_other(tmp_path: Path, scope: str) -> None:
    (one, other), shared = pair(tmp_path, ("shop", scope))
    assert one.ask(0.0) == 0.0
    one.record(answer(429, retry_after=30.0), 0.1)
    for each in shared:
        exchange(each)
    assert (other.ask(0.2) > 25) == (scope == "shop")


def test_a_pause_that_the_api_asked_for_outlives_the_importer(tmp_path: Path) -> None:
    (one, other), shared = pair(tmp_path)
    one.ask(0.0)
    one.record(answer(429, retry_after=3000.0), 0.1)
    exchange(shared[0])
    shared[0].leave(keep=True)
    exchange(shared[1])
    assert other.ask(0.2) > 2990


def test_an_importer_that_leaves_leaves_nothing(tmp_path: Path) -> None:
    _, shared = pair(tmp_path)
    exchange(shared[0])
    assert len(list(tmp_path.glob("*/*"))) == 1
    shared[0].leave()
    assert list(tmp_path.iterdir()) == []


def test_a_crashed_importer_is_counted_for_some_seconds(tmp_path: Path) -> None:
    simulation = Simulation(FixedWindow(1))
    clock = SimulatedClock(simulation)
    limiters = [RateLimiter(), RateLimiter()]
    one, other = (SharedRateLimit(limiter, tmp_path, "shop", clock) for limiter in limiters)
    limiters[0].ask(0.0)
    exchange(one)
    exchange(other)
    assert limiters[1].peers.count == limiters[1].peers.in_flight == 1
    assert limiters[1].ask(0.0) > 0, "the account's first request goes alone, whoever sends it"
    simulation.now = 6.0
    exchange(other)
    assert limiters[1].peers.count == 0
    assert limiters[1].ask(6.0) == 0.0


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x80"])
def test_a_file_of_other_contents_stops_nobody(tmp_path: Path, content: bytes) -> None:
    (one, _), shared = pair(tmp_path)
    exchange(shared[0])
    (next(tmp_path.iterdir()) / "1-x").write_bytes(content)
    exchange(shared[0])
    assert (shared[0].trouble, one.ask(0.0)) == ("", 0.0)


@virtual_time
async def test_a_directory_that_cannot_be_used_is_named_and_tried_again(tmp_path: Path) -> None:
    """Never for good: the next second finds it mended."""
    blocked = tmp_path / "limits"
    blocked.write_text("a file in the way")
    limiter = RateLimiter()
    shared = SharedRateLimit(limiter, blocked, "shop", VirtualClock())
    await shared.exchange()
    assert shared.trouble.endswith((": Not a directory", ": File exists"))
    assert limiter.ask(0.0) == 0.0
    blocked.unlink()
    await shared.exchange()
    assert shared.trouble == ""
    assert next(blocked.iterdir()).stat().st_mode & 0o077 == 0
    await shared.close()
