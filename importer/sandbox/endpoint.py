"""What the API answers: a request in, a reply out, without a socket.

Owns the routes, the order of checks (quota, path, token, fault, body, rules), every status and its words. It leaves the
rules to ``rules``, what faults do to ``mischief``, and sending, recording, waiting and hanging up to ``connection``.
All state is here and belongs to the event loop's thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from importer.clock import Clock
from importer.sandbox.arrivals import Arrivals
from importer.sandbox.faults import Dice, Fault
from importer.sandbox.http import BadRequestError, Head
from importer.sandbox.injection import Injection
from importer.sandbox.limits import RateLimit
from importer.sandbox.mischief import INSTEAD, LOSE, obstruct
from importer.sandbox.options import SandboxOptions
from importer.sandbox.page import Books
from importer.sandbox.payload import NotJsonError, parse
from importer.sandbox.reply import CREATED, Composer, End, Reply, say
from importer.sandbox.rules import check

_SUBSCRIBERS = msgspec.json.encode(
    {
        "data": [],
        "links": {"first": None, "last": None, "prev": None, "next": None},
        "meta": {"current_page": 1, "from": None, "last_page": 1, "per_page": 10, "to": None, "total": 0},
    }
)


class Endpoint:
    """The API's two resources. ``requests``, ``statuses`` and ``faults`` count what happened.

    ``pages`` are answered beside them and count as nothing.
    """

    def __init__(self, options: SandboxOptions, tokens: tuple[str, ...], clock: Clock) -> None:
        self.requests = 0
        self.statuses: Counter[int] = Counter()
        self.faults: Counter[Fault] = Counter()
        self.pages: Mapping[str, Callable[[Head, bytes], Reply]] = {}
        self._arrivals = Arrivals(clock)
        self._injection = Injection()
        self._tokens = frozenset(tokens)
        self._mortal_token = tokens[0]
        self._mortal_token_uses = 0
        self._options = options
        self._outage_at = options.faults.outage_at
        self._limit = RateLimit(options.limit or None, clock)
        self._composer = Composer(self._limit, clock, options.latency)
        self._dice = Dice(options.faults, options.seed)
        self._obstruct = obstruct(options.faults)
        self._routes: dict[tuple[str, str], Callable[[Head, bytes], Reply]] = {
            ("POST", "/v2/events"): self._create_event,
            ("GET", "/v2/subscribers"): self._list_subscribers,
        }

    def answer(self, head: Head, body: bytes) -> Reply:
        """Judge one request; every request of the API counts, whatever it asks for."""
        page = self.pages.get(head.path)
        if page is not None:
            return page(head, body)
        if self._outage_at is not None and self.requests >= self._outage_at:
            self._outage_at = None
            return Reply(0, b"", end=End.OUTAGE, outage=self._options.faults.outage_for)
        return self._counted(self._answer(head, body))

    def refuse_malformed(self, problem: BadRequestError) -> Reply:
        """The answer to bytes that are no request; the connection ends with it."""
        self._limit.take()
        return self._counted(self._composer.last(problem.status, problem.message))

    def books(self, accepted: Callable[[], int]) -> Books:
        """What a page shows; ``accepted`` counts what was recorded."""
        return Books(
            requests=lambda: self.requests,
            accepted=accepted,
            statuses=self.statuses,
            faults=self.faults,
            limit=self._limit,
            arrivals=self._arrivals,
            injection=self._injection,
        )

    def not_recorded(self) -> Reply:
        """The answer where an event was acceptable but its record could not be written."""
        return self._composer.last(500, "The sandbox cannot write its record of events.")

    def _counted(self, reply: Reply) -> Reply:
        self.requests += 1
        self.statuses[reply.status] += 1
        return reply

    def _answer(self, head: Head, body: bytes) -> Reply:
        if not self._limit.take():
            return self._composer.too_many(head)
        route = self._routes.get((head.method, head.path))
        if route is None:
            return self._composer.refuse(head, 404, "Resource not found.")
        if not self._is_welcome(head.token):
            return self._composer.refuse(head, 401, "Unauthenticated.")
        return route(head, body)

    def _is_welcome(self, token: str | None) -> bool:
        expires_after = self._options.faults.token_after
        if expires_after is not None and token == self._mortal_token:
            self._mortal_token_uses += 1
            return self._mortal_token_uses <= expires_after
        return token in self._tokens

    def _list_subscribers(self, head: Head, body: bytes) -> Reply:  # noqa: ARG002 - a route's signature
        return self._composer.reply(head, 200, _SUBSCRIBERS)

    def _create_event(self, head: Head, body: bytes) -> Reply:
        fault = self._injection.take() or self._dice.throw()
        reply = self._judge(head, body) if fault is None else self._spoilt(head, body, fault)
        self._arrivals.note(body, reply.status, fault, recorded=reply.event is not None)
        return reply

    def _spoilt(self, head: Head, body: bytes, fault: Fault) -> Reply:
        if instead := INSTEAD.get(fault):
            self.faults[fault] += 1
            return instead(self._composer, head)
        right = self._judge(head, body)
        disturb = self._obstruct.get(fault) or LOSE[fault]
        if right.event is None and fault in LOSE:
            return right
        self.faults[fault] += 1
        return disturb(self._composer, head, right)

    def _judge(self, head: Head, body: bytes) -> Reply:
        if not head.is_json:
            return self._composer.refuse(head, 400, "The Content-Type must be application/json.")
        try:
            payload: Any = parse(body)
        except NotJsonError as problem:
            return self._composer.refuse(head, 400, f"The body is not JSON: {problem}.")
        if not isinstance(payload, dict):
            return self._composer.refuse(head, 400, "The body must be a JSON object.")
        if errors := check(payload, refuse_retired=self._options.refuse_retired):
            return self._composer.reply(head, 422, say(message="The given data was invalid.", errors=errors))
        return self._composer.reply(head, 200, CREATED, event=body)
