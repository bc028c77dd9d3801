"""One quota for several importers: on simulated time, over a real file, and between real processes."""

import multiprocessing
import sqlite3
import time
from collections import Counter
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from importer.deliver.quota import SharedQuota
from importer.deliver.rate_limit import Pacer, PacerOptions
from importer.model import Response, ResponseKind
from tests.support.quota_simulation import EPOCH, FixedWindow, Server, Simulation, SlidingWindow, Tally, Wire


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


def together(
    server: Server, wire: Wire, path: Path, *, starts: tuple[float, ...], reserve: int = 0, seconds: float = 185.0
) -> list[Tally]:
    """Importers of one account that start at these times."""
    simulation = Simulation(server, wire)
    clock = SimulatedClock(simulation)
    tallies = []
    for start in starts:
        quota = SharedQuota(path, "shop", reserve, clock=clock, jitter=simulation.random.random)
        tallies.append(simulation.sender(Pacer(PacerOptions(reserve=reserve), quota=quota), start=start))
        assert quota.trouble == ""
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
    tallies = together(FixedWindow(limit), Wire(latency=latency), tmp_path / "quota.db", starts=(0.0, 0.01))
    assert [tally.rejected for tally in tallies] == [0, 0]
    assert min(total(tallies)[:3]) >= 0.95 * limit
    assert min(tally.accepted for tally in tallies) >= 0.25 * sum(total(tallies))


@pytest.mark.parametrize("latency", [0.0, 0.02])
def test_importers_that_run_in_step_get_their_shares_too(tmp_path: Path, latency: float) -> None:
    """Timers that are never late, a wire that is always as quick: whoever asked first would always ask first."""
    wire = Wire(latency=(latency, latency), lateness=0.0)
    tallies = together(FixedWindow(6000), wire, tmp_path / "quota.db", starts=(0.0, 0.01), seconds=10.0)
    assert [tally.rejected for tally in tallies] == [0, 0]
    assert min(tally.accepted for tally in tallies) >= 0.4 * sum(total(tallies))


def test_one_that_comes_later_starts_knowing_the_quota(tmp_path: Path) -> None:
    """Three on a server whose windows are on the minute: no 429, and no second of doubt."""
    server = FixedWindow(600, aligned=True)
    tallies = together(server, Wire(latency=(0.05, 0.5)), tmp_path / "quota.db", starts=(0.0, 0.01, 30.0))
    assert [tally.rejected for tally in tallies] == [0, 0, 0]
    assert tallies[2].times[0] < 31.5
    assert min(total(tallies)[1:3]) >= 0.97 * 600


def test_a_sliding_window_is_shared_too(tmp_path: Path) -> None:
    tallies = together(SlidingWindow(600), Wire(latency=(0.05, 0.5)), tmp_path / "quota.db", starts=(0.0, 10.0))
    assert [tally.rejected for tally in tallies] == [0, 0]
    assert sum(total(tallies)) >= 0.9 * 1800


def test_the_reserve_is_reserved_once(tmp_path: Path) -> None:
    tallies = together(FixedWindow(600), Wire(), tmp_path / "quota.db", starts=(0.0, 5.0), reserve=100)
    assert max(total(tallies)) <= 500
    assert min(total(tallies)[:3]) >= 480


def answer(status: int, **fields: float) -> Response:
    fate = ResponseKind.SENT if status == 200 else ResponseKind.NOT_ACCEPTED
    return Response(fate=fate, status=status, message="", latency=0.1, **fields)  # type: ignore[arg-type]  # numbers


def pair(path: Path, scopes: tuple[str, str] = ("shop", "shop")) -> tuple[Pacer, Pacer, SimulatedClock]:
    clock = SimulatedClock(Simulation(FixedWindow(1)))
    one, other = (Pacer(quota=SharedQuota(path, scope, clock=clock)) for scope in scopes)
    return one, other, clock


def test_a_429_stops_them_all(tmp_path: Path) -> None:
    one, other, _ = pair(tmp_path / "quota.db")
    assert one.ask(0.0) == 0.0
    one.learn(answer(429, retry_after=30.0), 0.1)
    assert other.ask(0.2) > 0
    assert other.ask(29.0) > 0
    assert min(one.ask(32.5), other.ask(32.5)) == 0.0
    assert max(one.ask(32.5), other.ask(32.5)) > 0, "one alone tries"


def test_the_first_request_on_an_account_goes_alone_whoever_sends_it(tmp_path: Path) -> None:
    one, other, _ = pair(tmp_path / "quota.db")
    assert one.ask(0.0) == 0.0
    assert other.ask(0.1) > 0
    one.learn(answer(200, limit=60, remaining=59, reset_in=60.0), 0.3)
    assert other.ask(2.0) == 0.0
    assert other.pace(2.0, 0.0).limit == 60


def test_accounts_do_not_mix(tmp_path: Path) -> None:
    one, other, _ = pair(tmp_path / "quota.db", ("shop", "other"))
    one.ask(0.0)
    one.learn(answer(429, retry_after=30.0), 0.1)
    assert other.ask(0.2) == 0.0


def test_a_crashed_importer_holds_nothing_for_longer_than_a_window(tmp_path: Path) -> None:
    """It died with the account's first request under way; after a minute another tries."""
    one, other, clock = pair(tmp_path / "quota.db")
    assert one.ask(0.0) == 0.0
    clock._simulation.now = 59.0
    assert other.ask(59.0) > 0
    clock._simulation.now = 61.0
    assert other.ask(61.0) == 0.0


def test_an_importer_that_leaves_holds_nothing(tmp_path: Path) -> None:
    clock = SimulatedClock(Simulation(FixedWindow(1)))
    quota = SharedQuota(tmp_path / "quota.db", "shop", clock=clock)
    assert quota.ask(0.0, 0) == 0.0
    quota.close()
    assert SharedQuota(tmp_path / "quota.db", "shop", clock=clock).ask(0.1, 0) == 0.0


def test_yesterdays_limit_is_forgotten(tmp_path: Path) -> None:
    """But not that the API asked for an hour of peace."""
    one, other, clock = pair(tmp_path / "quota.db")
    one.ask(0.0)
    one.learn(answer(200, limit=60, remaining=59, reset_in=60.0), 0.1)
    clock._simulation.now = 86_400.0
    assert other.ask(86_400.0) == 0.0
    assert other.pace(86_400.0, 0.0).limit is None
    other.learn(answer(429, retry_after=3600.0), 86_400.1)
    clock._simulation.now = 88_000.0
    assert one.ask(88_000.0) > 0


@pytest.mark.parametrize("set_by", [-3600.0, -5.0, 3600.0])
def test_a_clock_that_is_set_stops_nobody_for_long(tmp_path: Path, set_by: float) -> None:
    one, other, clock = pair(tmp_path / "quota.db")
    one.ask(0.0)
    one.learn(answer(200, limit=600, remaining=599, reset_in=60.0), 0.1)
    clock.set_by = set_by
    clock._simulation.now = 1.0
    assert other.ask(1.0) <= 0.2
    assert one.ask(1.3) <= 0.2


@pytest.mark.parametrize("spoil", ["a directory", "not a database", "read-only"])
def test_a_file_that_cannot_be_used_stops_nobody(tmp_path: Path, spoil: str) -> None:
    """The importer paces for itself, and says why."""
    path = tmp_path / "quota.db"
    if spoil == "a directory":
        path.mkdir()
    elif spoil == "not a database":
        path.write_bytes(b"x" * 10_000)
    quota = SharedQuota(path, "shop")
    if spoil == "read-only":
        assert quota._connection is not None
        quota._connection.execute("PRAGMA query_only = ON")
    pacer = Pacer(quota=quota)
    assert pacer.ask(0.0) == 0.0
    assert pacer.ask(0.0) > 0
    pacer.learn(answer(200, limit=600, remaining=599, reset_in=60.0), 0.1)
    assert pacer.ask(1.0) == 0.0
    assert quota.trouble.startswith("the account's quota is not shared with other importers: ")
    quota.close()


def test_a_file_that_another_keeps_locked_stops_nobody(tmp_path: Path) -> None:
    path = tmp_path / "quota.db"
    quota = SharedQuota(path, "shop")
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    assert Pacer(quota=quota).ask(0.0) == 0.0
    assert "locked" in quota.trouble
    blocker.close()


def test_without_a_limit_the_file_is_left_alone(tmp_path: Path) -> None:
    """In the sandbox, sharing costs nothing."""
    quota = SharedQuota(tmp_path / "quota.db", "sandbox")
    pacer = Pacer(quota=quota)
    pacer.ask(0.0)
    pacer.learn(answer(200), 0.1)
    assert quota._connection is not None
    changes = quota._connection.total_changes
    for number in range(100):
        assert pacer.ask(1.0 + number) == 0.0
        pacer.learn(answer(200), 1.01 + number)
    assert quota._connection.total_changes == changes


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "quota.db"
    SharedQuota(path, "shop").close()
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


SECONDS = 2.0


Taken = tuple[str, list[float]]
"""Why a process could not share, if so, and when it took its slots, by the machine's one monotonic clock."""


def take_slots(path: Path, ready: Barrier, slots: "multiprocessing.Queue[Taken]") -> None:
    """A process that sends as fast as it may; its API says nothing but that all is well."""
    quota = SharedQuota(path, "shop")
    pacer = Pacer(PacerOptions(start_concurrency=64), quota=quota)
    taken: list[float] = []
    ready.wait(timeout=60)
    until = time.monotonic() + SECONDS
    while (now := time.monotonic()) < until:
        if pacer.ask(now) == 0.0:
            taken.append(now)
            pacer.learn(Response(fate=ResponseKind.SENT, status=200, message="", latency=0.0), now)
    slots.put((quota.trouble, taken))


def test_two_processes_share_one_file(tmp_path: Path) -> None:
    """While both are at it, they never take more than one alone may; how much that is, the machine's load decides."""
    path = tmp_path / "quota.db"
    context = multiprocessing.get_context("spawn")
    slots: multiprocessing.Queue[Taken] = context.Queue()
    ready = context.Barrier(3)
    processes = [context.Process(target=take_slots, args=(path, ready, slots)) for _ in range(2)]
    for process in processes:
        process.start()
    first = Pacer(quota=SharedQuota(path, "shop"))
    first.ask(time.monotonic())
    first.learn(answer(200, limit=6000, remaining=5999, reset_in=60.0), time.monotonic() + 0.1)
    ready.wait(timeout=60)
    told = [slots.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(timeout=30)
    if any(trouble for trouble, _ in told):
        pytest.skip(
            "a process was stopped for so long, amid a transaction, that the other gave up sharing, as it should"
        )
    taken = [times for _, times in told]
    begin, end = max(times[0] for times in taken), min(times[-1] for times in taken)
    together = sum(begin <= moment <= end for times in taken for moment in times)
    assert together <= max(end - begin, 0.0) * 100 * 1.1 + 12
