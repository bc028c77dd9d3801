"""The breaker: few rows at risk, harmless probes, and back again."""

import re

import pytest

from importer.deliver.circuit_breaker import CircuitBreaker, Gate
from importer.model import Response, ResponseKind


def answer(
    kind: ResponseKind, status: int | None, *, latency: float = 0.1, retry_after: float | None = None
) -> Response:
    message = "" if kind is ResponseKind.SENT else f"HTTP {status}"
    return Response(kind=kind, status=status, message=message, latency=latency, retry_after=retry_after)


SENT = answer(ResponseKind.SENT, 200)
REFUSED = answer(ResponseKind.REFUSED, 422)
LIMITED = answer(ResponseKind.NOT_ACCEPTED, 429)
BROKEN = answer(ResponseKind.IN_DOUBT, 503)
LOST = answer(ResponseKind.IN_DOUBT, None)
AWAY = answer(ResponseKind.NOT_ACCEPTED, None)


def breaker(**options: float) -> CircuitBreaker:
    return CircuitBreaker(**options, jitter=lambda: 0.5)


def opened(**options: float) -> CircuitBreaker:
    """A breaker that has just opened, at 100."""
    it = breaker(**options)
    for _ in range(5):
        it.record(BROKEN, 100.0)
    return it


@pytest.mark.parametrize("failure", [BROKEN, LOST, AWAY])
def test_five_failures_in_a_row_open_it(failure: Response) -> None:
    """Whichever kind: no connection, a lost one, a failing server."""
    it = breaker()
    for _ in range(4):
        it.record(failure, 100.0)
        assert it.gate(100.0) is Gate.SEND
    it.record(failure, 100.0)
    assert it.gate(100.0) is Gate.WAIT
    assert not it.is_closed


@pytest.mark.parametrize("word", [SENT, REFUSED])
def test_any_word_on_a_row_breaks_the_streak(word: Response) -> None:
    """An API that refuses is there."""
    it = breaker()
    for _ in range(20):
        for failure in (BROKEN, LOST):
            it.record(failure, 100.0)
        it.record(word, 100.0)
        it.record(word, 100.0)
        it.record(word, 100.0)
    assert it.is_closed


def test_a_429_neither_counts_nor_comforts() -> None:
    it = breaker()
    for _ in range(100):
        it.record(LIMITED, 100.0)
    assert it.is_closed
    for _ in range(5):
        it.record(LIMITED, 100.0)
        it.record(BROKEN, 100.0)
    assert not it.is_closed


def test_more_than_half_of_the_last_twenty_open_it() -> None:
    """An API that lets every third event pass is still too dangerous."""
    it = breaker()
    for number in range(20):
        assert it.is_closed
        it.record(SENT if number % 3 == 0 else BROKEN, 100.0)
    assert not it.is_closed


def test_while_open_it_probes_at_growing_intervals() -> None:
    it = opened()
    now, waits = 100.0, []
    for _ in range(6):
        wait = it.wait(now)
        waits.append(round(wait))
        assert it.gate(now + wait - 0.01) is Gate.WAIT
        now += wait
        assert it.gate(now) is Gate.PROBE
        it.probing()
        assert it.gate(now) is Gate.WAIT
        it.probed(AWAY, now)
    assert waits == [5, 10, 20, 40, 60, 60]
    assert not it.is_closed


def test_jitter_spreads_the_probes() -> None:
    """Many importers do not knock in step."""
    waits = set()
    for share in (0.0, 0.5, 0.99):
        it = CircuitBreaker(jitter=lambda share=share: share)  # type: ignore[misc]  # bound at once
        for _ in range(5):
            it.record(BROKEN, 0.0)
        waits.add(round(it.wait(0.0), 2))
    assert waits == {4.0, 5.0, 5.98}


def test_an_api_that_names_a_time_is_left_alone_until_then() -> None:
    """But no longer than the longest interval."""
    it = opened()
    it.probed(answer(ResponseKind.NOT_ACCEPTED, 503, retry_after=30.0), 105.0)
    assert it.wait(105.0) == 30.0
    it.probed(answer(ResponseKind.NOT_ACCEPTED, 503, retry_after=86400.0), 135.0)
    assert it.wait(135.0) == 60.0


@pytest.mark.parametrize("probe", [SENT, LIMITED, answer(ResponseKind.NOT_ACCEPTED, 404)])
def test_a_good_probe_lets_one_event_try_alone(probe: Response) -> None:
    it = opened()
    it.probed(probe, 105.0)
    assert it.gate(105.0) is Gate.SEND
    it.sending()
    assert it.gate(106.0) is Gate.WAIT
    it.record(SENT, 106.0)
    assert it.is_closed
    assert it.gate(106.0) is Gate.SEND


def test_the_one_event_may_be_refused() -> None:
    it = opened()
    it.probed(SENT, 105.0)
    it.sending()
    it.record(REFUSED, 106.0)
    assert it.is_closed


def test_the_one_event_that_meets_the_limit_is_followed_by_another() -> None:
    it = opened()
    it.probed(SENT, 105.0)
    it.sending()
    it.record(LIMITED, 106.0)
    assert it.gate(106.0) is Gate.SEND
    assert not it.is_closed


def test_the_one_event_that_fails_opens_it_again_for_longer() -> None:
    """One more row in doubt, not five."""
    it = opened()
    it.probed(SENT, 105.0)
    it.sending()
    it.record(LOST, 106.0)
    assert it.gate(106.0) is Gate.WAIT
    assert it.wait(106.0) == 10.0
    assert not it.is_closed


def test_late_answers_decide_nothing() -> None:
    """They left before the outage; neither their success nor their failure is news."""
    it = opened()
    it.record(SENT, 101.0)
    assert it.gate(101.0) is Gate.WAIT
    it.probed(SENT, 105.0)
    it.sending()
    for late in (answer(ResponseKind.SENT, 200, latency=30.0), answer(ResponseKind.IN_DOUBT, None, latency=90.0)):
        it.record(late, 106.0)
        assert it.gate(106.0) is Gate.WAIT
    it.record(SENT, 107.0)
    assert it.is_closed


def test_a_probe_without_a_token_does_not_close_it() -> None:
    it = opened()
    it.probed(answer(ResponseKind.UNAUTHORIZED, 401), 105.0)
    assert it.gate(105.0) is Gate.WAIT


def test_an_api_that_flaps_is_left_alone_for_longer_and_longer() -> None:
    it = opened()
    it.probed(SENT, 105.0)
    it.sending()
    it.record(SENT, 106.0)
    for _ in range(5):
        it.record(BROKEN, 107.0)
    assert it.wait(107.0) == 10.0


def test_an_outage_long_after_the_last_starts_anew() -> None:
    it = opened()
    it.probed(SENT, 105.0)
    it.sending()
    it.record(SENT, 106.0)
    for _ in range(5):
        it.record(BROKEN, 1000.0)
    assert it.wait(1000.0) == 5.0
    assert not it.is_closed


def test_an_outage_is_waited_for_as_long_as_the_user_wants() -> None:
    it = opened(outage_limit=600.0)
    assert not it.expired(699.9)
    assert it.expired(700.0)
    it.probed(SENT, 650.0)
    assert it.expired(700.0), "half-open is not over"
    assert not opened().expired(1e9)
    assert not breaker(outage_limit=0.0).expired(1e9)


def test_it_says_since_when_and_until_when() -> None:
    it = opened()
    assert re.fullmatch(r"HTTP 503 \(since \d\d:\d\d\), next try in 5 s", it.status(100.0, 1_800_000_000.0))
    assert it.status(104.5, 1_800_000_000.0).endswith(", trying now")
    it.probed(SENT, 105.0)
    it.sending()
    assert it.status(105.0, 1_800_000_000.0).endswith(", trying now")
    it.record(SENT, 106.0)
    assert it.status(106.0, 1_800_000_000.0) == ""
