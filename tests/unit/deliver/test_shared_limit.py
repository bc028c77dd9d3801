"""One limit for several importers: on simulated time, over real files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from importer.deliver.rate_limit import RateLimiter
from importer.deliver.shared_limit import SharedState
from importer.model import Response, ResponseKind
from tests.support.quota_simulation import EPOCH, FixedWindow, Server, Simulation, SlidingWindow, Tally, Wire


class SimulatedClock:
    """A simulation's time, as one machine's clocks show it."""

    set_by = 0.0
    """Seconds by which the wall clock of the machine was set."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def time(self) -> float:
        return EPOCH + self.set_by + self._simulation.now

    def monotonic(self) -> float:
        return self._simulation.now

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here sleeps")


def together(
    server: Server, wire: Wire, path: Path, *, starts: tuple[float, ...], reserve: int = 0, seconds: float = 185.0
) -> list[Tally]:
    """Importers of one account that start at these times."""
    simulation = Simulation(server, wire)
    clock = SimulatedClock(simulation)
    tallies = []
    for start in starts:
        shared = SharedState(path, "shop", clock)
        limiter = RateLimiter(reserve=reserve, jitter=simulation.random.random, shared=shared)

        def beat(limiter: RateLimiter = limiter) -> None:
            limiter.exchange(simulation.now)
            simulation.at(simulation.now + 1.0, lambda: beat(limiter))

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
    assert [tally.rejected for tally in tallies] == [0, 0]
    assert min(total(tallies)[:4]) >= 0.95 * limit
    assert min(tally.accepted for tally in tallies) >= 0.25 * sum(total(tallies))


def test_one_that_comes_later_is_counted_within_a_second(tmp_path: Path) -> None:
    server = FixedWindow(600, aligned=True)
    tallies = together(server, Wire(latency=(0.05, 0.5)), tmp_path, starts=(0.0, 0.01, 30.0))
    assert sum(tally.rejected for tally in tallies) == 0
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


def pair(path: Path, scopes: tuple[str, str] = ("shop", "shop")) -> tuple[Simulation, RateLimiter, RateLimiter]:
    simulation = Simulation(FixedWindow(1))
    clock = SimulatedClock(simulation)
    one, other = (RateLimiter(shared=SharedState(path, scope, clock)) for scope in scopes)
    return simulation, one, other


@pytest.mark.parametrize("scope", ["shop", "other"])
def test_a_429_stops_all_importers_of_the_account_and_no_other(tmp_path: Path, scope: str) -> None:
    """At once, not a second later."""
    _, one, other = pair(tmp_path, ("shop", scope))
    assert one.ask(0.0) == 0.0
    one.record(answer(429, retry_after=30.0), 0.1)
    assert (other.ask(0.2) > 25) == (scope == "shop")


def test_a_pause_that_the_api_asked_for_outlives_the_importer(tmp_path: Path) -> None:
    _, one, other = pair(tmp_path)
    one.ask(0.0)
    one.record(answer(429, retry_after=3000.0), 0.1)
    one.leave(0.1)
    assert other.ask(0.2) > 2990


def test_a_pause_outlives_a_start_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The monotonic clock begins again; the wall clock goes on."""
    simulation, one, other = pair(tmp_path)
    simulation.now = 5000.0
    one.ask(5000.0)
    one.record(answer(429, retry_after=3000.0), 5000.0)
    one.leave(5000.0)
    simulation.now = 10.0
    monkeypatch.setattr(SimulatedClock, "set_by", 5990.0)
    assert other.ask(10.0) == pytest.approx(2001, abs=2)


@pytest.mark.parametrize("set_by", [-86_400.0, 86_400.0])
def test_a_clock_that_is_set_stalls_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, set_by: float) -> None:
    simulation, one, other = pair(tmp_path)
    one.ask(0.0)
    one.record(answer(200, limit=60, remaining=59, reset_in=60.0), 0.1)
    monkeypatch.setattr(SimulatedClock, "set_by", set_by)
    simulation.now = 2.0
    assert other.ask(2.0) <= 1.1


def test_what_was_known_long_ago_is_not_relied_on(tmp_path: Path) -> None:
    simulation, one, other = pair(tmp_path)
    one.observe(answer(200, limit=60, remaining=0, reset_in=60.0), 0.1)
    assert other.ask(0.2) > 59
    simulation.now = 400.0
    assert other.state.limit == 60
    assert other.ask(400.0) == 0.0
    assert other.state.limit is None


def test_an_importer_that_has_left_is_not_counted(tmp_path: Path) -> None:
    _, one, other = pair(tmp_path)
    assert one.ask(0.0) == 0.0
    other.exchange(0.1)
    assert other.state.active(0.1) == other.state.in_flight == 1
    one.record(answer(200), 0.2)
    one.leave(0.2)
    assert other.ask(0.3) == 0.0
    assert list(other.state.members) == [other.name]


def test_a_crashed_importer_is_counted_for_some_seconds(tmp_path: Path) -> None:
    """What it had in flight counts as used."""
    simulation, one, other = pair(tmp_path)
    one.observe(answer(200, limit=60, remaining=50, reset_in=60.0), 0.0)
    assert one.ask(0.0) == 0.0
    assert other.ask(0.0) > 0, "one request leaves, whoever sends it"
    assert other.state.in_flight == 1
    simulation.now = 11.0
    assert other.ask(11.0) == 0.0
    assert (other.state.in_flight, other.state.remaining) == (1, 49)


def test_an_importer_that_is_stopped_amid_a_step_holds_the_others_up_for_some_seconds(tmp_path: Path) -> None:
    """Then they pace for themselves, and say so; what they have learnt is not lost."""
    simulation, one, other = pair(tmp_path)
    assert other.ask(0.0) == 0.0
    assert one.shared is not None
    with one.shared.hold(one.state):
        other.record(answer(200, limit=60, remaining=9, reset_in=60.0), 0.1)
        assert other.ask(0.1) > 0
        assert other.trouble == ""
        simulation.now = 11.0
        other.ask(11.0)
        assert other.trouble.endswith("another importer holds it; is that one stopped?")
        assert other.state.limit == 60
    other.exchange(11.1)
    assert other.trouble == ""


def test_where_no_limit_is_known_importers_look_at_one_another_now_and_then(tmp_path: Path) -> None:
    """Some times in a tenth of a second; one that was turned away, or leaves, says so at once."""
    simulation, one, other = pair(tmp_path)
    third = RateLimiter(shared=SharedState(tmp_path, "shop", SimulatedClock(simulation)))
    for limiter in (one, other, third):
        assert limiter.ask(0.0) == 0.0
        limiter.record(answer(200), 0.0)
        limiter.exchange(0.0)
    assert [limiter.ask(0.005) for limiter in (one, other, third)] == [0.0, 0.0, 0.0]
    third.leave(0.006)
    other.record(answer(429, retry_after=30.0), 0.006)
    assert one.ask(0.015) == 0.0
    assert one.ask(0.021) > 25
    assert set(one.state.members) == {one.name, other.name}


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x80", b"\xff" * 5000])
def test_a_file_of_other_contents_stops_nobody(tmp_path: Path, content: bytes) -> None:
    _, one, _ = pair(tmp_path)
    one.exchange(0.0)
    next(tmp_path.iterdir()).write_bytes(content)
    assert (one.ask(0.0), one.trouble) == (0.0, "")


def test_a_file_that_is_removed_is_made_again(tmp_path: Path) -> None:
    _, one, other = pair(tmp_path)
    one.exchange(0.0)
    next(tmp_path.iterdir()).unlink()
    assert other.ask(0.0) == 0.0
    assert one.ask(0.1) > 0


def test_a_directory_that_cannot_be_used_is_named_and_tried_again(tmp_path: Path) -> None:
    """Never for good: the next step finds it mended."""
    blocked = tmp_path / "limits"
    blocked.write_text("a file in the way")
    _, one, _ = pair(blocked)
    assert one.ask(0.0) == 0.0
    assert one.trouble.endswith((": Not a directory", ": File exists"))
    blocked.unlink()
    one.exchange(0.1)
    assert one.trouble == ""
    assert next(blocked.iterdir()).stat().st_mode & 0o077 == 0
    one.leave(0.2)
