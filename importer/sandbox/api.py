"""The API's two resources: a request in, an answer or a fault out, and everything counted on the way."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from itertools import groupby, repeat
from typing import Any

import msgspec
from aiohttp import web
from msgspec.structs import replace

from importer.clock import Clock
from importer.sandbox.events import EventLog, RecentEvents
from importer.sandbox.options import AFTER_ACCEPT, BEFORE_ACCEPT, Fault, Faults, SandboxOptions
from importer.sandbox.responses import CREATED, RateLimit, ResponseFactory, json_body, send
from importer.sandbox.rules import NotJsonError, check, parse

_SUBSCRIBERS = msgspec.json.encode(
    {
        "data": [],
        "links": {"first": None, "last": None, "prev": None, "next": None},
        "meta": {"current_page": 1, "from": None, "last_page": 1, "per_page": 10, "to": None, "total": 0},
    }
)
_NO_ANSWER = frozenset({Fault.DROP_BEFORE, Fault.DROP_AFTER_ACCEPT, Fault.HANG})
_log = logging.getLogger(__name__)


def by_chance(faults: Faults, seed: int) -> Iterator[Fault | None]:
    """Each event's fault, mostly None; the same seed gives the same sequence."""
    chances = [chance for _, chance in faults.chances]
    choose = random.Random(seed).choices  # noqa: S311 - a rehearsal must be repeatable, not secret
    while True:
        (fault,) = choose([*(fault for fault, _ in faults.chances), None], [*chances, max(0.0, 1 - sum(chances))])
        yield fault


class FaultQueue:
    """Faults that were ordered on the dashboard for the next so many events, the oldest order first."""

    MAX_EVENTS = 10_000
    """That may wait for a fault."""
    OFFERED: Mapping[Fault, str] = {
        Fault.ERROR: "answer 500 (not accepted)",
        Fault.TOO_MANY: "answer 429, try again in 1 s",
        Fault.DROP_BEFORE: "drop the connection (not accepted)",
        Fault.DROP_AFTER_ACCEPT: "accept, then drop the connection",
        Fault.ERROR_AFTER_ACCEPT: "accept, then answer 500",
        Fault.GARBAGE: "accept, then send an answer that is not JSON",
        Fault.HTML: "answer 502 with a page of HTML",
    }

    def __init__(self) -> None:
        self._faults: deque[Fault] = deque()

    @property
    def waiting(self) -> tuple[tuple[Fault, int], ...]:
        """What is still to come: fault and number of events."""
        return tuple((fault, len(list(those))) for fault, those in groupby(self._faults))

    def add(self, fault: Fault, count: int) -> bool:
        """Order a fault for ``count`` events, after those of earlier orders; False if that cannot be ordered."""
        if fault not in self.OFFERED or not 1 <= count <= self.MAX_EVENTS - len(self._faults):
            return False
        self._faults.extend(repeat(fault, count))
        return True

    def clear(self) -> None:
        """Forget all orders."""
        self._faults.clear()

    def next(self) -> Fault | None:
        """The next event's fault; None, mostly."""
        return self._faults.popleft() if self._faults else None


class _Answer(msgspec.Struct, frozen=True):
    response: web.Response
    accepted: bool = False
    fault: Fault | None = None

    @property
    def status(self) -> int:
        """As the client sees it; 0: no answer."""
        return 0 if self.fault in _NO_ANSWER else self.response.status


_Route = Callable[[web.Request, bytes], _Answer]


class ApiHandlers:
    """Answers ``POST /v2/events`` and ``GET /v2/subscribers``; anything else is 404.

    Checks come in this order: quota, path, token, fault, body, rules. ``requests``, ``statuses`` (0: no answer) and
    ``faults`` count what happened.
    """

    def __init__(self, options: SandboxOptions, tokens: tuple[str, ...], log: EventLog, clock: Clock) -> None:
        self.requests = 0
        self.statuses: Counter[int] = Counter()
        self.faults: Counter[Fault] = Counter()
        self.log = log
        self.recent = RecentEvents(clock)
        self.queue = FaultQueue()
        self.closing = asyncio.Event()
        """Set when the sandbox ends: it releases requests that hang."""
        self._options = options
        self._clock = clock
        self._tokens = frozenset(tokens)
        self._accounts = dict(zip(tokens, (name for name, _ in options.accounts), strict=False))
        self._common = ResponseFactory(RateLimit(options.limit or None, clock), clock)
        self._of_accounts = {
            token: ResponseFactory(RateLimit(limit or None, clock), clock)
            for token, (_, limit) in zip(tokens, options.accounts, strict=False)
        }
        """Each account has a quota of its own."""
        self._responses = self._common
        """Of the request that is judged now."""
        self._by_chance = by_chance(options.faults, options.seed)
        self._expiring_token = tokens[0]
        self._expiring_token_uses = 0
        self._outage_at = options.faults.outage_at

    @property
    def limit(self) -> RateLimit:
        """The quota of the account that asked last."""
        return self._responses.limit

    def routes(self, begin_outage: Callable[[float], None]) -> list[web.RouteDef]:
        """What to register; ``begin_outage`` closes the port for so many seconds."""

        def handler(route: _Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
            async def handle(request: web.Request) -> web.StreamResponse:
                body = await request.read()
                faults = self._options.faults
                if self._outage_at is not None and self.requests >= self._outage_at:
                    self._outage_at = None
                    begin_outage(faults.outage_for)
                    return web.Response()  # goes nowhere
                self._responses = self._of_accounts.get(_token(request), self._common)
                answer = route(request, body) if self.limit.take() else _Answer(self._responses.too_many())
                self.requests += 1
                self.statuses[answer.status] += 1
                if delay := self._options.latency + (faults.slow_for if answer.fault is Fault.SLOW else 0.0):
                    await self._clock.sleep(delay)
                return await send(request, answer.response, answer.fault, self.closing)

            return handle

        return [
            web.post("/v2/events", handler(self._create_event)),
            web.get("/v2/subscribers", handler(self._list_subscribers), allow_head=False),
            web.route("*", "/{path:.*}", handler(lambda _, __: self._refuse(404, "Resource not found."))),
        ]

    def _list_subscribers(self, request: web.Request, body: bytes) -> _Answer:  # noqa: ARG002 - a route's signature
        if not self._authorized(request):
            return self._refuse(401, "Unauthenticated.")
        return _Answer(self._responses.response(200, _SUBSCRIBERS))

    def _create_event(self, request: web.Request, body: bytes) -> _Answer:
        if not self._authorized(request):
            return self._refuse(401, "Unauthenticated.")
        fault = self.queue.next() or next(self._by_chance)
        if fault in BEFORE_ACCEPT:
            answer = _Answer(self._responses.response(200, b""), fault=fault)
        else:
            answer = self._record(request, body, fault)
        if answer.fault is not None:
            self.faults[answer.fault] += 1
            answer = replace(answer, response=self._responses.spoiled(answer.fault, answer.response))
        self.recent.add(body, answer.status, answer.fault, accepted=answer.accepted)
        return answer

    def _authorized(self, request: web.Request) -> bool:
        token = _token(request)
        expires_after = self._options.faults.token_after
        if expires_after is not None and token == self._expiring_token:
            self._expiring_token_uses += 1
            return self._expiring_token_uses <= expires_after
        return token in self._tokens

    def _record(self, request: web.Request, body: bytes, fault: Fault | None) -> _Answer:
        """The right answer; an acceptable event is recorded. Only those meet the faults that lose an answer."""
        refusal = self._problem(request, body)
        if refusal is not None:
            return _Answer(refusal, fault=None if fault in AFTER_ACCEPT else fault)
        try:
            self.log.append(body, self._accounts.get(_token(request)))
        except OSError as problem:
            _log.error("the sandbox cannot write its record: %s", problem.strerror)
            return self._refuse(500, "The sandbox cannot write its record of events.")
        return _Answer(self._responses.response(200, CREATED), accepted=True, fault=fault)

    def _problem(self, request: web.Request, body: bytes) -> web.Response | None:
        """The API's refusal of a body; None: it is an event."""
        if request.content_type.lower() != "application/json":
            return self._responses.refusal(400, "The Content-Type must be application/json.")
        try:
            payload: Any = parse(body)
        except NotJsonError as problem:
            return self._responses.refusal(400, f"The body is not JSON: {problem}.")
        if not isinstance(payload, dict):
            return self._responses.refusal(400, "The body must be a JSON object.")
        if errors := check(payload, refuse_retired=self._options.refuse_retired):
            return self._responses.response(422, json_body(message="The given data was invalid.", errors=errors))
        return None

    def _refuse(self, status: int, message: str) -> _Answer:
        return _Answer(self._responses.refusal(status, message))


def _token(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
