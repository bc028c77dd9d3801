"""Pacing against servers of every kind, on simulated time."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from importer.deliver.rate_limit import RateLimiter
from importer.model import Response, ResponseKind
from tests.support.quota_simulation import FixedWindow, Server, Simulation, SlidingWindow, Tally, TokenBucket, Wire

QUICK = (0.05, 0.05)
MIXED = (0.05, 2.0)
SLOW = (2.0, 2.0)

KINDS: dict[str, Callable[[int], Server]] = {
    "from the first request": FixedWindow,
    "on the minute": lambda limit: FixedWindow(limit, aligned=True),
    "sliding, reset at the next slot": SlidingWindow,
    "sliding, reset in a minute": lambda limit: SlidingWindow(limit, reset_is_next_slot=False),
    "a token bucket": TokenBucket,
}


def run(server: Server, wire: Wire | None = None, *, reserve: int = 0, seconds: float = 182.0, seed: int = 1) -> Tally:
    simulation = Simulation(server, wire, seed=seed)
    tally = simulation.sender(RateLimiter(reserve=reserve, jitter=simulation.random.random))
    simulation.run(seconds)
    return tally


def whole_windows(tally: Tally) -> list[int]:
    """Accepted requests in each window but the first and the last, of which only a part was seen."""
    return [tally.by_window[window] for window in sorted(tally.by_window)][1:-1]


def within_three_minutes(tally: Tally) -> int:
    return sum(time < 180 for time in tally.times)


@pytest.mark.parametrize("latency", [QUICK, MIXED], ids=["quick", "mixed"])
@pytest.mark.parametrize("limit", [1, 60, 600])
@pytest.mark.parametrize("kind", KINDS)
def test_no_server_that_tells_its_limit_is_ever_provoked(kind: str, limit: int, latency: tuple[float, float]) -> None:
    """Not one 429 in three minutes, and a good part of the quota used."""
    tally = run(KINDS[kind](limit), Wire(latency=latency))
    assert tally.rejected == 0
    assert within_three_minutes(tally) >= (0.95 if kind in tuple(KINDS)[:2] else 0.5) * 3 * limit


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", ["from the first request", "on the minute"])
def test_the_quota_is_used_up(kind: str, seed: int) -> None:
    """At 600 a minute, 98% of three windows, and of each whole window."""
    tally = run(KINDS[kind](600), Wire(latency=(0.02, 0.3)), seconds=245, seed=seed)
    assert tally.rejected == 0
    assert within_three_minutes(tally) >= 0.98 * 1800
    assert min(whole_windows(tally)) >= 0.98 * 600


def test_at_a_hundred_a_second_too() -> None:
    tally = run(FixedWindow(6000), Wire(latency=QUICK), seconds=125)
    assert tally.rejected == 0
    assert min(whole_windows(tally)) >= 0.98 * 6000


@pytest.mark.parametrize("limit", [10, 60])
def test_a_small_limit_is_used_up_as_well(limit: int) -> None:
    """One request lost at a window's end would be a tenth of the quota."""
    tally = run(FixedWindow(limit), seconds=650)
    assert tally.rejected == 0
    assert sum(whole_windows(tally)) >= 0.98 * limit * len(whole_windows(tally))


def test_requests_are_spread_evenly() -> None:
    """No bursts: neither at a window's beginning nor at its end."""
    tally = run(FixedWindow(60), Wire(latency=(0.05, 0.05)))
    gaps = [later - earlier for earlier, later in pairwise(tally.times)]
    assert min(gaps) > 0.8
    assert max(gaps) < 2.2


@pytest.mark.parametrize("skew", [-300.0, -0.5, 0.7, 300.0])
def test_the_servers_clock_may_be_wrong(skew: float) -> None:
    tally = run(FixedWindow(600, aligned=True, skew=skew), Wire(latency=(0.05, 0.5), skew=skew))
    assert tally.rejected == 0
    assert within_three_minutes(tally) >= 0.98 * 1800


@pytest.mark.parametrize("share", [0.5, 0.05])
def test_answers_without_headers_are_bridged(share: float) -> None:
    tally = run(FixedWindow(600), Wire(latency=(0.05, 0.5), headers=share), seed=3)
    assert tally.rejected == 0
    assert within_three_minutes(tally) >= 0.96 * 1800


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("latency", [QUICK, MIXED], ids=["quick", "mixed"])
@pytest.mark.parametrize("even", [True, False], ids=["evenly", "at random"])
@pytest.mark.parametrize("kind", ["from the first request", "on the minute"])
def test_it_gives_way_to_a_second_program(kind: str, even: bool, latency: tuple[float, float], seed: int) -> None:
    """One that takes a third: it gets its third, we most of the rest, and at most one 429 a window falls to either."""
    simulation = Simulation(KINDS[kind](600), Wire(latency=latency), seed=seed)
    tally = simulation.sender(RateLimiter(jitter=simulation.random.random))

    def arrivals() -> Iterator[float]:
        time = 0.3
        while True:
            time += 0.3 if even else simulation.random.expovariate(1 / 0.3)
            yield time

    other = simulation.other_program(arrivals())
    simulation.run(245)
    assert max(tally.rejected_by_window.values(), default=0) <= 1
    assert other.rejected <= 3
    both = [
        tally.by_window[window] + other.by_window[window] for window in sorted(tally.by_window | other.by_window)[1:-1]
    ]
    assert min(both) >= 0.93 * 600


@pytest.mark.parametrize("latency", [QUICK, MIXED], ids=["quick", "mixed"])
@pytest.mark.parametrize("kind", ["from the first request", "on the minute"])
def test_the_reserve_is_left_alone(kind: str, latency: tuple[float, float]) -> None:
    tally = run(KINDS[kind](600), Wire(latency=latency), reserve=100)
    assert max(tally.by_window.values()) <= 500
    assert max(whole_windows(tally)) >= 0.95 * 500
    assert tally.rejected == 0


def test_what_others_take_of_the_reserve_is_not_reserved_twice() -> None:
    simulation = Simulation(FixedWindow(600), Wire(latency=QUICK))
    tally = simulation.sender(RateLimiter(reserve=300, jitter=simulation.random.random))
    simulation.other_program(number * 0.3 for number in range(1, 10_000))
    simulation.run(185)
    assert max(tally.by_window.values()) <= 300
    assert min(whole_windows(tally)) >= 0.95 * 300


def test_a_reserve_of_everything_leaves_one_a_minute() -> None:
    tally = run(FixedWindow(60), reserve=100, seconds=250)
    assert 3 <= tally.accepted <= 5


def answer(
    kind: ResponseKind,
    status: int | None,
    *,
    retry_after: float | None = None,
    limit: int | None = None,
    latency: float = 0.1,
) -> Response:
    remaining = None if limit is None else limit - 1
    return Response(
        kind=kind, status=status, message="", latency=latency, retry_after=retry_after, limit=limit,
        remaining=remaining, reset_in=None if limit is None else 60.0,
    )  # fmt: skip


def test_the_first_request_on_an_unknown_account_goes_alone() -> None:
    limiter = RateLimiter()
    assert limiter.concurrency == 1
    assert limiter.ask(0.0) == 0.0
    assert limiter.ask(0.0) > 0
    assert limiter.ask(5.0) > 0
    limiter.record(answer(ResponseKind.SENT, 200), 5.1)
    assert limiter.ask(5.1) == 0.0
    assert limiter.ask(5.1) == 0.0


@pytest.mark.parametrize(
    ("retry_after", "least", "most"), [(30.0, 30.0, 32.0), (0.0, 1.0, 3.0), (3600.0, 3600.0, 3602.0)]
)
def test_after_a_429_nothing_leaves_until_it_may(retry_after: float, least: float, most: float) -> None:
    """Then one request alone tries."""
    limiter = RateLimiter()
    limiter.ask(0.0)
    limiter.record(answer(ResponseKind.NOT_ACCEPTED, 429, retry_after=retry_after), 0.1)
    wait = limiter.ask(0.1)
    assert least <= wait <= most
    assert limiter.ask(0.1 + wait - 0.01) > 0
    assert limiter.ask(0.1 + wait) == 0.0
    assert limiter.ask(0.1 + wait) > 0
    pace = limiter.pace(0.2, 1000.0)
    said = f"the API said 429 and to wait {retry_after:,.0f} s (Retry-After)"
    assert pace.waiting_for == (said if wait - 0.1 >= 1 else "")


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (
            {"retry_after": 99_999_999.0},
            "the API said 429 and to wait 99,999,999 s (Retry-After); trying again after 60 min",
        ),
        ({"limit": 60}, "the API said 429, and its limit starts again then (X-RateLimit-Reset)"),
        ({}, "the API said 429 without a time; the wait is doubled each time, up to a minute"),
    ],
)
def test_a_pause_says_where_its_length_came_from(response: dict[str, Any], words: str) -> None:
    limiter = RateLimiter(jitter=lambda: 0.5)
    limiter.ask(0.0)
    limiter.record(answer(ResponseKind.NOT_ACCEPTED, 429, **response), 0.1)
    assert limiter.pace(0.2, 1000.0).waiting_for == words
    assert limiter.ask(0.2) <= 3601


@pytest.mark.parametrize(("kind", "status"), [(ResponseKind.NOT_ACCEPTED, 425), (ResponseKind.IN_DOUBT, 503)])
def test_a_retry_after_is_heeded_whatever_the_status(kind: ResponseKind, status: int) -> None:
    limiter = RateLimiter()
    limiter.ask(0.0)
    limiter.record(answer(kind, status, retry_after=20.0), 0.1)
    assert limiter.ask(0.2) >= 19.9
    limiter = RateLimiter()
    limiter.ask(0.0)
    limiter.record(answer(ResponseKind.IN_DOUBT, 503), 0.1)
    assert limiter.ask(0.2) == 0.0


def test_a_probe_that_leaves_nothing_holds_the_first_event() -> None:
    limiter = RateLimiter()
    limiter.observe(Response(ResponseKind.SENT, 200, "", 0.1, limit=60, remaining=0, reset_in=40.0), 0.1)
    assert limiter.ask(0.2) == pytest.approx(40.9, abs=1.1)
    assert limiter.ask(41.2) == 0.0
    assert limiter.ask(41.3) > 0, "one alone shows what the new window holds"


@pytest.mark.parametrize("limit", [2**31, 10**15])
def test_a_limit_beyond_all_measure_is_no_limit(limit: int) -> None:
    limiter = RateLimiter()
    limiter.observe(Response(ResponseKind.SENT, 200, "", 0.01, limit=limit, remaining=limit - 1, reset_in=60.0), 0.0)
    gone = 0
    for tick in range(1000):
        while limiter.ask(tick / 1000) <= 0:
            gone += 1
            limiter.record(Response(ResponseKind.SENT, 200, "", 0.01), tick / 1000)
    assert 5_000 < gone < 20_000


@pytest.mark.parametrize("reset_in", [7200.0, 86_400.0])
def test_a_reset_that_is_hours_away_does_not_slow_the_minute_down(reset_in: float) -> None:
    """The limit is per minute: what is left is spread over a minute at the most."""
    limiter = RateLimiter()
    limiter.observe(Response(ResponseKind.SENT, 200, "", 0.1, limit=60, remaining=59, reset_in=reset_in), 0.0)
    assert limiter.ask(0.0) == 0.0
    limiter.record(Response(ResponseKind.SENT, 200, "", 0.1, limit=60, remaining=58, reset_in=reset_in), 0.1)
    assert limiter.ask(0.1) <= 1.1


def test_retry_after_0_without_a_limit_costs_a_second_not_a_minute() -> None:
    """A server of twenty a second that names no limit: more than half of it is used, and few are turned away."""
    limiter = RateLimiter(jitter=lambda: 0.5)
    tokens, accepted, refused = 20.0, 0, 0
    for tick in range(6000):
        now = tick / 100
        tokens = min(tokens + 0.2, 20.0)
        while limiter.ask(now) <= 0:
            if tokens >= 1:
                tokens -= 1
                accepted += 1
                limiter.record(answer(ResponseKind.SENT, 200, latency=0.01), now)
            else:
                refused += 1
                limiter.record(answer(ResponseKind.NOT_ACCEPTED, 429, retry_after=0.0, latency=0.01), now)
    assert accepted > 600
    assert refused < 20


@pytest.mark.parametrize("status", [425, 429, 503])
def test_a_few_answers_with_a_retry_after_do_not_make_the_rest_crawl(status: int) -> None:
    """Three in a row that ask for 2 seconds, from a server that names no limit, and then takes everything."""
    limiter = RateLimiter(jitter=lambda: 0.5)
    limiter.observe(answer(ResponseKind.SENT, 200), 0.0)
    refused, accepted = 0, 0
    for tick in range(3000):
        now = tick / 100
        if limiter.ask(now) > 0:
            continue
        if refused < 3:
            refused += 1
            limiter.record(answer(ResponseKind.NOT_ACCEPTED, status, retry_after=2.0, latency=0.01), now)
        else:
            accepted += 1
            limiter.record(answer(ResponseKind.SENT, 200, latency=0.01), now)
    assert accepted >= 12


def test_429s_that_name_no_time_are_met_with_growing_patience() -> None:
    limiter = RateLimiter(jitter=lambda: 0.5)
    now, waits = 0.0, []
    for _ in range(7):
        assert limiter.ask(now) == 0.0
        limiter.record(answer(ResponseKind.NOT_ACCEPTED, 429), now + 0.1)
        waits.append(round(limiter.ask(now + 0.1)))
        now += 0.1 + limiter.ask(now + 0.1)
    assert waits == [2, 4, 8, 16, 32, 60, 60]


def test_429s_that_were_under_way_together_count_once() -> None:
    limiter = RateLimiter(jitter=lambda: 0.5)
    limiter.ask(0.0)
    limiter.record(answer(ResponseKind.SENT, 200), 0.1)
    for _ in range(8):
        assert limiter.ask(0.2) == 0.0
    for number in range(8):
        limiter.record(answer(ResponseKind.NOT_ACCEPTED, 429, latency=0.1 + number / 100), 0.3 + number / 100)
    assert round(limiter.ask(0.4)) == 2


@pytest.mark.parametrize("retry_after", [True, False])
def test_a_limit_that_is_not_told_is_not_hammered(retry_after: bool) -> None:
    """Each 429 is heeded: after the first salvo, no more than a few in each minute."""
    wire = Wire(latency=(0.05, 0.5), headers=0.0, retry_after=retry_after)
    tally = run(FixedWindow(600), wire, seconds=365)
    first, *later = (tally.rejected_by_window[window] for window in sorted(tally.rejected_by_window))
    assert first <= 128
    assert sum(later) <= 130


def test_an_idle_hour_makes_it_careful_again() -> None:
    """Others may have come: the first request goes alone, the next after its answer."""
    limiter = RateLimiter()
    limiter.ask(0.0)
    limiter.record(answer(ResponseKind.SENT, 200, limit=600), 0.1)
    assert limiter.ask(1.0) == 0.0
    limiter.record(answer(ResponseKind.SENT, 200, limit=600), 1.1)
    assert limiter.ask(3600.0) == 0.0
    assert limiter.ask(3600.5) > 0
    limiter.record(answer(ResponseKind.SENT, 200, limit=600), 3600.6)
    assert limiter.ask(3600.7) == 0.0


def test_a_request_that_did_not_leave_gives_its_slot_back() -> None:
    limiter = RateLimiter()
    limiter.ask(0.0)
    assert limiter.in_flight == 1
    limiter.give_back(0.0)
    assert limiter.in_flight == 0
    assert limiter.ask(0.0) == 0.0


@pytest.mark.parametrize(("limit", "window"), [(1, 1), (60, 1), (600, 1), (1200, 2), (6000, 10), (600_000, 256)])
def test_the_claimed_window_follows_the_rate(limit: int, window: int) -> None:
    """One row up to ten a second, a tenth of a second's worth beyond, never more than 256."""
    limiter = RateLimiter()
    assert limiter.window(0.0) == 1
    limiter.ask(0.0)
    limiter.record(answer(ResponseKind.SENT, 200, limit=limit), 0.1)
    assert window * 0.9 <= limiter.window(0.2) <= window * 1.2


def test_where_no_limit_is_told_half_a_second_is_claimed_ahead() -> None:
    limiter = RateLimiter()
    for tick in range(300):
        assert limiter.ask(tick / 100) == 0.0
        limiter.record(answer(ResponseKind.SENT, 200), tick / 100)
    assert 45 <= limiter.window(3.0) <= 55


def test_the_number_in_flight_follows_from_rate_and_latency() -> None:
    assert run(FixedWindow(60), Wire(latency=QUICK)).most_in_flight == 1
    assert 18 <= run(FixedWindow(600), Wire(latency=SLOW)).most_in_flight <= 26


def test_a_high_limit_and_a_slow_server_do_not_use_up_the_files_a_process_may_open() -> None:
    limiter = RateLimiter()
    limiter.ask(0.0)
    limiter.record(answer(ResponseKind.SENT, 200, limit=60_000, latency=2.0), 2.0)
    assert limiter.concurrency == 256


REACHED = "limit reached; it starts again when the API says (X-RateLimit-Reset)"


def test_progress_says_what_it_waits_for() -> None:
    limiter = RateLimiter()
    assert limiter.pace(0.0, 1000.0).rate is None
    limiter.ask(0.0)
    limiter.record(answer(ResponseKind.SENT, 200, limit=1), 0.1)
    pace = limiter.pace(0.2, 1000.0)
    assert (pace.limit, pace.remaining, pace.rate, pace.waiting_for) == (
        1,
        0,
        0.0,
        "limit reached; it starts again when the API says (X-RateLimit-Reset)",
    )
    assert pace.wait_until == pytest.approx(1061, abs=0.5)


def test_a_probe_counts_against_the_quota_but_not_as_in_flight() -> None:
    limiter = RateLimiter()
    limiter.observe(answer(ResponseKind.SENT, 200, limit=60), 0.1)
    assert limiter.in_flight == 0
    assert limiter.pace(0.2, 1000.0).remaining == 59
    limiter.observe(answer(ResponseKind.NOT_ACCEPTED, None), 0.3)
    assert limiter.pace(0.4, 1000.0).remaining == 59
