"""A delivery against a scripted API, on virtual time, with a real ledger."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import time
from pathlib import Path

import pytest

from importer.deliver import DeliveryOptions, Progress, Schedule, StopReason
from importer.deliver.circuit_breaker import CircuitBreaker
from importer.deliver.client import Distrust
from importer.deliver.delivery import ApiSession, Delivery
from importer.deliver.options import Watch
from importer.deliver.rate_limit import RateLimiter
from importer.deliver.responses import distrusted
from importer.errors import DiskFullError, LedgerError, UsageError
from importer.ledger.ledger import Ledger
from importer.model import Claim, Outcome, Response, ResponseKind, Run, State
from tests.support.ledgers import chunk, open_ledger, planned
from tests.support.virtual_time import VirtualClock, virtual_time

SENT = Response(ResponseKind.SENT, 200, "", 0.05)
REFUSED = Response(ResponseKind.REFUSED, 422, "type: no such event", 0.05)
LOST = Response(ResponseKind.IN_DOUBT, None, "connection lost", 0.05)
UNREACHABLE = Response(ResponseKind.NOT_ACCEPTED, None, "connection refused", 0.05)
EXPIRED = Response(ResponseKind.UNAUTHORIZED, 401, "Unauthenticated.", 0.05)
THROTTLED = Response(ResponseKind.NOT_ACCEPTED, 429, "Too Many Attempts.", 0.05, retry_after=5.0)


class Api:
    """Answers each row as the script says, the last answer for ever; remembers what it was asked, and when."""

    def __init__(self, script: Callable[[int, int], Response]) -> None:
        self._script = script
        self.clock = VirtualClock()
        self.asked: list[tuple[float, int]] = []
        self.attempts: Counter[int] = Counter()
        self.accepted: list[int] = []
        self.probes: list[float] = []
        self.in_flight = self.most_in_flight = 0
        self.latency = 0.05
        self.distrust: dict[int, Distrust | None] = {}
        self.alive = SENT

    async def post(self, body: bytes, distrust: Distrust | None = None) -> Response:
        row = int(body)
        self.distrust[row] = distrust
        self.asked.append((self.clock.monotonic(), row))
        self.attempts[row] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await self.clock.sleep(self.latency)
        self.in_flight -= 1
        answer = self._script(row, self.attempts[row])
        if answer.kind is ResponseKind.SENT:
            self.accepted.append(row)
        return answer

    async def probe(self) -> Response:
        self.probes.append(self.clock.monotonic())
        return self.alive


class Setting:
    """A ledger with a plan, an API, and what delivers between them."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.breaker = CircuitBreaker(jitter=lambda: 0.5)
        self.said: list[str] = []

    @property
    def limiter(self) -> RateLimiter:
        return RateLimiter(jitter=lambda: 0.5)

    async def deliver(
        self,
        run: Run,
        api: Api,
        options: DeliveryOptions | None = None,
        meanwhile: Callable[[Delivery], None] | None = None,
        watch: Watch | None = None,
    ) -> StopReason:
        options = options or DeliveryOptions()
        session = ApiSession(api, self.limiter, self.breaker, api.clock)
        delivery = Delivery(
            self.ledger,
            run,
            session,
            options,
            pending=self.ledger.pending_summary(run).events,
            blocked=self.ledger.doubtful_lanes(run) if options.strict_order else set(),
            say=self.said.append,
        )
        if meanwhile:
            meanwhile(delivery)
        return await delivery.run(watch)

    def states(self, run: Run) -> dict[str, int]:
        return {state.value: count for state, count in self.ledger.counts(run).by_state.items() if count}


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    with open_ledger(tmp_path) as ledger:
        yield Setting(ledger)


def people(count: int, each: int = 1) -> list[str]:
    return [f"s{i % (count // each)}@example.com" for i in range(count)]


@virtual_time
async def test_everything_is_sent_once_and_each_subscriber_in_order(setting: Setting) -> None:
    """500 events of 50 subscribers, many in flight."""
    emails = people(500, each=10)
    run = planned(setting.ledger, chunk(emails))
    api = Api(lambda row, attempt: SENT)
    assert await setting.deliver(run, api) == StopReason("")
    assert setting.states(run) == {"sent": 500}
    assert sorted(api.accepted) == list(range(1, 501))
    for person in set(emails):
        mine = [row for row in api.accepted if emails[row - 1] == person]
        assert mine == sorted(mine)
    assert api.most_in_flight > 4


@virtual_time
async def test_where_no_limit_is_told_the_first_requests_do_not_wait_for_one_another(setting: Setting) -> None:
    """Half a second for 200 events at 10 ms each: the first eight in flight claim as fast as they are answered."""
    run = planned(setting.ledger, chunk(people(200)))
    api = Api(lambda row, attempt: SENT)
    api.latency = 0.01
    assert await setting.deliver(run, api) == StopReason("")
    times = [moment for moment, _ in api.asked]
    assert times[-1] - times[0] < 0.5


@virtual_time
async def test_nothing_follows_until_the_first_event_is_accepted(setting: Setting) -> None:
    """The first events go one by one; the fourth is accepted, and then the others follow."""
    run = planned(setting.ledger, chunk(people(100)))
    api = Api(lambda row, attempt: REFUSED if row <= 3 else SENT)
    at_acceptance: list[int] = []
    post = api.post

    async def watched(body: bytes, distrust: Distrust | None = None) -> Response:
        if not api.accepted:
            at_acceptance.append(api.in_flight)
        return await post(body, distrust)

    api.post = watched  # type: ignore[method-assign]  # the test looks over the client's shoulder
    assert await setting.deliver(run, api) == StopReason("")
    assert at_acceptance == [0, 0, 0, 0]
    assert setting.states(run) == {"sent": 97, "refused": 3}


@virtual_time
async def test_five_refusals_from_the_start_stop_the_run(setting: Setting) -> None:
    """Not one event more than five is risked, and the rest is pending."""
    run = planned(setting.ledger, chunk(people(100)))
    api = Api(lambda row, attempt: REFUSED)
    ended = await setting.deliver(run, api)
    assert ended.reason == "the API refused the first 5 events; none was accepted"
    assert ended.hint == (
        "the API says: type: no such event. If the cause is in Sender or --endpoint, correct it, and `importer retry` "
        "sends the refused rows again; otherwise correct the mapping and run it again"
    )
    assert setting.states(run) == {"pending": 95, "refused": 5}


@virtual_time
async def test_refusals_of_what_had_failed_stop_the_run_as_well(setting: Setting) -> None:
    """`importer retry`, with an API that takes none of them: the other rows are not tried."""
    run = planned(setting.ledger, chunk(people(20)))
    api = Api(lambda row, attempt: LOST if attempt <= 2 else REFUSED)
    await setting.deliver(run, api, DeliveryOptions(resend_doubtful=True, max_attempts=2))
    assert setting.states(run) == {"failed": 20}
    assert setting.ledger.retry(run) == (20, 0)
    ended = await setting.deliver(run, api)
    assert ended.reason == "the API refused the first 5 events; none was accepted"
    assert [sum(table["attempts"].to_pylist()) for table in (b.table for b in setting.ledger.batches(run))] == [45]
    assert setting.states(run) == {"failed": 5, "pending": 15}


@virtual_time
async def test_a_long_streak_of_refusals_stops_the_run_later(setting: Setting) -> None:
    """``--max-refused``: what was good once may go bad."""
    run = planned(setting.ledger, chunk(people(400)))
    api = Api(lambda row, attempt: SENT if row <= 50 else REFUSED)
    ended = await setting.deliver(run, api, DeliveryOptions(max_refused=30))
    assert ended.reason == "the API refused 30 events in a row"
    counts = setting.states(run)
    assert counts["refused"] < 30 + 128
    assert counts["pending"] > 0


@virtual_time
async def test_scattered_refusals_do_not_stop_a_run(setting: Setting) -> None:
    """Every second row is refused; all are tried."""
    run = planned(setting.ledger, chunk(people(300)))
    api = Api(lambda row, attempt: SENT if row % 2 else REFUSED)
    assert await setting.deliver(run, api, DeliveryOptions(max_refused=30)) == StopReason("")
    assert setting.states(run) == {"sent": 150, "refused": 150}


@virtual_time
async def test_an_expired_token_stops_the_run_with_nothing_lost(setting: Setting) -> None:
    """A 401 leaves its row pending, and says what to do."""
    run = planned(setting.ledger, chunk(people(100)))
    api = Api(lambda row, attempt: SENT if row <= 20 else EXPIRED)
    api.alive = EXPIRED
    ended = await setting.deliver(run, api)
    assert ended.unauthorized
    assert ended.hint == "put a valid token into SENDER_API_TOKEN or the --token-file, then run the same command again"
    assert setting.states(run) == {"sent": 20, "pending": 80}
    api = Api(lambda row, attempt: SENT)
    assert await setting.deliver(run, api) == StopReason("")
    assert setting.states(run) == {"sent": 100}


@virtual_time
async def test_a_row_in_doubt_is_not_sent_again_and_its_lane_goes_on(setting: Setting) -> None:
    """The default, ``--on-doubt hold``."""
    run = planned(setting.ledger, chunk(["a@example.com"] * 4))
    api = Api(lambda row, attempt: LOST if row == 2 else SENT)
    assert await setting.deliver(run, api) == StopReason("")
    assert api.accepted == [1, 3, 4]
    assert api.attempts[2] == 1
    assert [one[2:] for one in setting.ledger.doubtful(run)] == [(2, 3, "a@example.com", "doubt.no_answer")]


@virtual_time
async def test_with_strict_order_a_row_in_doubt_holds_back_its_lane_alone(setting: Setting) -> None:
    """The others are sent; after the user's word the lane goes on where it stood."""
    run = planned(setting.ledger, chunk(["a@example.com", "b@example.com"] * 3))
    options = DeliveryOptions(strict_order=True)
    await setting.deliver(run, Api(lambda row, attempt: LOST if row == 3 else SENT), options)
    assert setting.states(run) == {"sent": 4, "in_doubt": 1, "pending": 1}
    api = Api(lambda row, attempt: SENT)
    await setting.deliver(run, api, options)
    assert api.accepted == []
    setting.ledger.resolve(run, State.PENDING)
    await setting.deliver(run, api, options)
    assert api.accepted == [3, 5]


@virtual_time
async def test_on_doubt_resend_sends_until_it_is_sure(setting: Setting) -> None:
    """At least once: a row in doubt goes again, later and later, and its lane waits."""
    run = planned(setting.ledger, chunk(["a@example.com"] * 2 + ["b@example.com"]))
    api = Api(lambda row, attempt: LOST if row == 1 and attempt < 3 else SENT)
    assert await setting.deliver(run, api, DeliveryOptions(resend_doubtful=True)) == StopReason("")
    assert api.attempts == {1: 3, 2: 1, 3: 1}
    assert api.accepted.index(1) < api.accepted.index(2)
    times = [at for at, row in api.asked if row == 1]
    assert times[1] - times[0] >= 2
    assert times[2] - times[1] >= 4


@virtual_time
async def test_on_doubt_resend_gives_up_after_the_last_attempt(setting: Setting) -> None:
    """A row that never gets a clear answer has failed, by name."""
    run = planned(setting.ledger, chunk(people(10)))
    api = Api(lambda row, attempt: LOST if row == 5 else SENT)
    assert await setting.deliver(run, api, DeliveryOptions(resend_doubtful=True, max_attempts=3)) == StopReason("")
    assert setting.states(run) == {"sent": 9, "failed": 1}
    assert api.attempts[5] == 3


@virtual_time
async def test_a_row_that_is_refused_after_an_attempt_in_doubt_may_have_been_accepted(setting: Setting) -> None:
    """So it has failed, by name, and no other run sends it by itself; a refusal after a mere 429 is final."""
    ends = {(1, 1): LOST, (2, 1): THROTTLED}
    run = planned(setting.ledger, chunk(people(3), keys=["k", "l", "m"]))
    api = Api(lambda row, attempt: SENT if row == 3 else ends.get((row, attempt), REFUSED))
    await setting.deliver(run, api, DeliveryOptions(resend_doubtful=True))
    table = next(iter(setting.ledger.batches(run))).table
    assert table.select(["state", "code", "attempts"]).to_pylist() == [
        {"state": "failed", "code": "failed.refused", "attempts": 2},
        {"state": "refused", "code": "api.refused", "attempts": 1},
        {"state": "sent", "code": None, "attempts": 1},
    ]
    again = planned(setting.ledger, chunk(people(3), keys=["k", "l", "m"]), digest="2")
    assert setting.states(again) == {"duplicate": 2, "pending": 1}


@virtual_time
async def test_a_429_is_waited_for_and_the_row_sent_later(setting: Setting) -> None:
    """Never retried at once: nothing leaves for as long as Retry-After says."""
    run = planned(setting.ledger, chunk(people(40)))
    api = Api(lambda row, attempt: THROTTLED if row == 11 and attempt == 1 else SENT)
    assert await setting.deliver(run, api) == StopReason("")
    assert setting.states(run) == {"sent": 40}
    told = next(at for at, row in api.asked if row == 11) + api.latency
    assert not [at for at, _ in api.asked if told < at < told + 5.0]


@virtual_time
async def test_an_outage_opens_the_breaker_and_is_waited_for(setting: Setting) -> None:
    """Few rows are put in doubt; the harmless probe finds out when the API is back."""
    run = planned(setting.ledger, chunk(people(300)))
    api = Api(lambda row, attempt: LOST if 2 < api.clock.monotonic() < 62 else SENT)
    api.latency = 0.3

    async def heal() -> None:
        api.alive = LOST
        await api.clock.sleep(62)
        api.alive = SENT

    healing = asyncio.create_task(heal())
    assert await setting.deliver(run, api) == StopReason("")
    await healing
    counts = setting.states(run)
    assert counts["sent"] + counts["in_doubt"] == 300
    assert counts["in_doubt"] <= 5 + 16
    assert len(api.probes) >= 3


@virtual_time
async def test_a_host_out_of_reach_puts_nothing_in_doubt(setting: Setting) -> None:
    """No connection, no doubt; the run ends when --outage-limit is over."""
    setting.breaker = CircuitBreaker(outage_limit=120.0, jitter=lambda: 0.5)
    run = planned(setting.ledger, chunk(people(50)))
    api = Api(lambda row, attempt: UNREACHABLE)
    api.alive = UNREACHABLE
    ended = await setting.deliver(run, api)
    assert ended.reason == "the API could not be reached for as long as --outage-limit allows (connection refused)"
    assert setting.states(run) == {"pending": 50}


@virtual_time
async def test_a_stop_waits_for_the_answers_under_way_and_gives_back_the_rest(setting: Setting) -> None:
    """After the first Ctrl-C nothing is in doubt, and nothing stays claimed."""
    run = planned(setting.ledger, chunk(people(1000)))
    api = Api(lambda row, attempt: SENT)

    def later(delivery: Delivery) -> None:
        asyncio.get_running_loop().call_later(1.0, lambda: delivery.stop(StopReason("interrupted")))

    assert await setting.deliver(run, api, meanwhile=later) == StopReason("interrupted")
    counts = setting.states(run)
    assert counts["sent"] == len(api.accepted) == len(api.asked)
    assert counts["pending"] == 1000 - counts["sent"]
    assert max(at for at, _ in api.asked) <= 1.0
    assert setting.ledger.recover(run) == 0


@virtual_time
async def test_max_events_is_never_exceeded(setting: Setting) -> None:
    """Not by one, however many are in flight."""
    run = planned(setting.ledger, chunk(people(200)))
    api = Api(lambda row, attempt: SENT)
    ended = await setting.deliver(run, api, DeliveryOptions(most=77))
    assert ended.limited
    assert len(api.asked) == 77
    assert setting.states(run) == {"sent": 77, "pending": 123}


@virtual_time
async def test_until_stops_and_between_pauses(setting: Setting) -> None:
    """``--until`` ends a run; outside ``--between`` it only waits."""
    run = planned(setting.ledger, chunk(people(200)))
    api = Api(lambda row, attempt: SENT)
    now = api.clock.time()
    ended = await setting.deliver(run, api, DeliveryOptions(schedule=Schedule(until=now + 0.5)))
    assert ended.reason == "the time given with --until or --for is over"
    assert 0 < setting.states(run)["pending"] < 200

    api = Api(lambda row, attempt: SENT)
    closed = Schedule(between=(time(3, 0), time(4, 0)))
    wait = closed.wait(api.clock.time())
    began = api.clock.monotonic()
    assert await setting.deliver(run, api, DeliveryOptions(schedule=closed)) == StopReason("")
    assert min(at for at, _ in api.asked) >= began + wait - 1
    assert setting.states(run) == {"sent": 200}


@virtual_time
async def test_a_row_taken_over_by_another_run_is_not_sent(setting: Setting) -> None:
    """What is no longer pending when it is claimed belongs to somebody else."""
    run = planned(setting.ledger, chunk(people(20)))
    first = setting.ledger.queue(run, after=None, count=3)
    commit = setting.ledger.commit

    def overtaken(outcomes: Sequence[Outcome], claims: Sequence[int]) -> list[Claim]:
        return [claim for claim in commit(outcomes, claims) if claim.id not in {row_id for _, row_id, _ in first}]

    setting.ledger.commit = overtaken  # type: ignore[method-assign]  # stands in for a takeover between read and claim
    api = Api(lambda row, attempt: SENT)
    assert await setting.deliver(run, api) == StopReason("")
    assert sorted(api.accepted) == list(range(4, 21))


@virtual_time
async def test_a_full_disk_stops_the_run_and_loses_nothing(setting: Setting) -> None:
    """The error reaches the user; what has no outcome is in doubt, never pending."""
    run = planned(setting.ledger, chunk(people(300)))
    commit = setting.ledger.commit
    calls = 0

    def failing(outcomes: Sequence[Outcome], claims: Sequence[int]) -> list[Claim]:
        nonlocal calls
        calls += 1
        if calls > 10:
            raise DiskFullError("no room left")
        return commit(outcomes, claims)

    setting.ledger.commit = failing  # type: ignore[method-assign]  # a disk that fills up in mid-run
    api = Api(lambda row, attempt: SENT)
    with pytest.raises(DiskFullError, match="no room left"):
        await setting.deliver(run, api)
    setting.ledger.commit = commit  # type: ignore[method-assign]  # room was made
    setting.ledger.recover(run)
    done = setting.states(run)
    unsure = {row for _, _, row, *_ in setting.ledger.doubtful(run)}
    assert len(api.accepted) <= done["sent"] + len(unsure)
    again = Api(lambda row, attempt: SENT)
    assert await setting.deliver(run, again) == StopReason("")
    assert not set(again.accepted) & set(api.accepted)
    assert set(again.accepted) | set(api.accepted) | unsure == set(range(1, 301))


@virtual_time
@pytest.mark.parametrize("failure", [DiskFullError("no room left"), LedgerError("locked for too long")])
async def test_a_ledger_that_fails_for_a_moment_leaves_nothing_in_doubt(setting: Setting, failure: LedgerError) -> None:
    """The run stops all the same, but the answers under way are waited for, and what they said is kept."""
    run = planned(setting.ledger, chunk(people(300)))
    commit = setting.ledger.commit
    calls = 0

    def failing(outcomes: Sequence[Outcome], claims: Sequence[int]) -> list[Claim]:
        nonlocal calls
        calls += 1
        if calls == 10:
            raise failure
        return commit(outcomes, claims)

    setting.ledger.commit = failing  # type: ignore[method-assign]  # as while another importer seals a large plan
    api = Api(lambda row, attempt: SENT)
    with pytest.raises(LedgerError, match=failure.message):
        await setting.deliver(run, api)
    assert setting.ledger.recover(run) == 0
    assert setting.states(run) == {"sent": len(api.asked), "pending": 300 - len(api.asked)}


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (BrokenPipeError(), "BrokenPipeError"),
        (
            UsageError("--metrics gone/x.prom: No such file or directory"),
            "--metrics gone/x.prom: No such file or directory",
        ),
        (ZeroDivisionError("division by zero"), "division by zero"),
    ],
)
@virtual_time
async def test_progress_that_cannot_be_shown_stops_the_run_as_ctrl_c_does(
    setting: Setting, failure: Exception, words: str
) -> None:
    """Whatever its watcher raises: the answers under way are waited for, nothing is in doubt, nothing stays claimed."""
    run = planned(setting.ledger, chunk(people(300)))
    api = Api(lambda row, attempt: SENT)

    def told(progress: Progress) -> None:
        if progress.sent:
            raise failure

    ended = await setting.deliver(run, api, watch=told)
    assert ended.reason == f"progress cannot be shown any more: {words}"
    assert 0 < len(api.asked) < 300
    assert setting.ledger.recover(run) == 0
    assert setting.states(run) == {"sent": len(api.asked), "pending": 300 - len(api.asked)}


@virtual_time
async def test_progress_adds_up_at_every_moment(setting: Setting) -> None:
    """Done and left are all there is."""
    run = planned(setting.ledger, chunk(people(200)))
    seen: list[int] = []

    def look(delivery: Delivery) -> None:
        def now() -> None:
            progress = delivery.progress()
            seen.append(progress.sent)
            assert progress.sent + progress.refused + progress.failed + progress.in_doubt + progress.left == 200

        for tenth in range(1, 10):
            asyncio.get_running_loop().call_later(tenth / 10, now)

    await setting.deliver(run, Api(lambda row, attempt: SENT), meanwhile=look)
    assert seen == sorted(seen)


DENIED = Response(ResponseKind.UNAUTHORIZED, 403, "This address is blocked.", 0.05)


@virtual_time
async def test_a_403_for_one_row_is_that_rows_refusal_if_the_token_is_good(setting: Setting) -> None:
    """Others go first, it is tried again twice; the order of its subscriber is kept."""
    run = planned(setting.ledger, chunk(["a@example.com", "b@example.com", "a@example.com", *people(7)]))
    api = Api(lambda row, attempt: DENIED if row == 1 else SENT)
    assert await setting.deliver(run, api) == StopReason("")
    assert setting.states(run) == {"sent": 9, "refused": 1}
    assert (api.attempts[1], api.attempts[3]) == (3, 1)
    assert [row for _, row in api.asked].index(2) < 2
    table = next(iter(setting.ledger.batches(run))).table
    assert table.select(["http_status", "message"]).to_pylist()[0] == {
        "http_status": 403, "message": "This address is blocked.",
    }  # fmt: skip


@virtual_time
async def test_a_403_for_every_row_stops_the_run_and_refuses_none(setting: Setting) -> None:
    """A token that may ask but not post, for one."""
    run = planned(setting.ledger, chunk(people(30)))
    ended = await setting.deliver(run, Api(lambda row, attempt: DENIED))
    assert ended.reason == "the API refused the first 5 events; none was accepted"
    assert ended.hint.startswith("the API says: This address is blocked. If the cause is in Sender")
    assert setting.states(run) == {"pending": 30}


@virtual_time
async def test_a_429_for_one_row_leaves_it_and_sends_the_others(setting: Setting) -> None:
    """It stays pending, with the API's words; a later run tries it again."""
    run = planned(setting.ledger, chunk(["a@example.com", *people(39), "a@example.com"]))
    api = Api(lambda row, attempt: THROTTLED if row == 1 else SENT)
    ended = await setting.deliver(run, api)
    assert ended.reason == "the API turned 1 row away each time (429: Too Many Attempts.), while it took others"
    assert setting.states(run) == {"sent": 39, "pending": 2}
    assert 5 <= api.attempts[1] <= 6
    assert api.attempts[41] == 0, "a later row of the same subscriber must not overtake"


@virtual_time
async def test_a_429_for_the_only_row_is_tried_some_times_while_probes_are_well(setting: Setting) -> None:
    run = planned(setting.ledger, chunk(people(1)))
    api = Api(lambda row, attempt: THROTTLED)
    ended = await setting.deliver(run, api)
    assert ended.reason.startswith("the API turned 1 row away each time")
    assert 25 < api.clock.monotonic() < 70
    assert (api.attempts[1], len(api.probes)) == (6, 5)
    assert setting.states(run) == {"pending": 1}
    assert next(iter(setting.ledger.batches(run))).table["attempts"].to_pylist() == [0]


@virtual_time
async def test_a_limit_that_probes_meet_as_well_is_waited_for(setting: Setting) -> None:
    """It is the account's, however long it lasts."""
    run = planned(setting.ledger, chunk(people(2)))
    api = Api(lambda row, attempt: SENT if api.clock.monotonic() > 1000 else THROTTLED)
    api.alive = THROTTLED
    assert await setting.deliver(run, api) == StopReason("")
    assert setting.states(run) == {"sent": 2}


@virtual_time
async def test_neither_429s_nor_refused_connections_count_as_attempts(setting: Setting) -> None:
    """A row that waited for the limit five times is sent again after its first doubt all the same."""
    ends = [THROTTLED, UNREACHABLE, THROTTLED, UNREACHABLE, THROTTLED, LOST, SENT]
    run = planned(setting.ledger, chunk(people(1)))
    api = Api(lambda row, attempt: ends[attempt - 1])
    assert await setting.deliver(run, api, DeliveryOptions(resend_doubtful=True)) == StopReason("")
    assert setting.states(run) == {"sent": 1}
    assert next(iter(setting.ledger.batches(run))).table["attempts"].to_pylist() == [2]


@virtual_time
async def test_an_answer_that_proves_unreliable_puts_its_row_in_doubt(setting: Setting) -> None:
    """However long ago it came, within the run; the books stay balanced."""
    run = planned(setting.ledger, chunk(people(60)))
    api = Api(lambda row, attempt: REFUSED if row == 30 else SENT)

    def later(delivery: Delivery) -> None:
        def take_back() -> None:
            for row in (2, 30):
                distrust = api.distrust[row]
                assert distrust is not None
                distrust(distrusted(REFUSED if row == 30 else SENT))

        asyncio.get_running_loop().call_later(0.35, take_back)

    seen: list[Progress] = []
    assert await setting.deliver(run, api, meanwhile=later, watch=seen.append) == StopReason("")
    assert setting.states(run) == {"sent": 58, "in_doubt": 2}
    assert (seen[-1].sent, seen[-1].in_doubt, seen[-1].refused, seen[-1].left) == (58, 2, 0, 0)
    assert {one[2] for one in setting.ledger.doubtful(run)} == {2, 30}


@virtual_time
async def test_trouble_on_the_way_is_told_at_once_and_once_a_minute(setting: Setting) -> None:
    run = planned(setting.ledger, chunk(people(3)))
    api = Api(lambda row, attempt: SENT if api.clock.monotonic() > 200 else UNREACHABLE)
    api.alive = UNREACHABLE

    async def heal() -> None:
        await api.clock.sleep(200)
        api.alive = SENT

    healing = asyncio.create_task(heal())
    assert await setting.deliver(run, api) == StopReason("")
    await healing
    assert set(setting.said) == {"warning: connection refused; trying again"}
    assert 3 <= len(setting.said) <= 5


@virtual_time
async def test_without_file_handles_fewer_requests_are_in_flight(setting: Setting) -> None:
    """The API is not to blame: no outage, and all is sent in the end."""
    none_left = Response(ResponseKind.NOT_ACCEPTED, None, "no file handle left", 0.0, local=True)
    run = planned(setting.ledger, chunk(people(200)))
    api = Api(lambda row, attempt: SENT)
    post = api.post

    async def limited(body: bytes, distrust: Distrust | None = None) -> Response:
        return none_left if api.in_flight >= 6 else await post(body, distrust)

    api.post = limited  # type: ignore[method-assign]  # a process with few handles
    assert await setting.deliver(run, api) == StopReason("")
    assert setting.states(run) == {"sent": 200}
    assert api.probes == []
    assert setting.said[0] == "warning: no file handle left; trying again"


@virtual_time
async def test_a_sender_whose_lease_ends_sends_nothing_more(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers under way are waited for and recorded; what is left waits for `importer resume`."""
    run = planned(setting.ledger, chunk(people(100)))
    api = Api(lambda row, attempt: SENT)
    monkeypatch.setattr(
        setting.ledger, "sending_stops", lambda: "another machine may send now" if len(api.asked) >= 10 else ""
    )
    stopped = await setting.deliver(run, api)
    assert stopped.reason == "another machine may send now"
    assert "importer resume" in stopped.hint
    asked = len(api.asked)
    assert 10 <= asked < 30
    assert setting.states(run) == {"sent": asked, "pending": 100 - asked}
