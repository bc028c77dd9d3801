"""Puts the way to the API together: endpoint, token, client, limit, circuit breaker; or a sandbox in their place."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgspec
import platformdirs
from msgspec.structs import replace

from importer.clock import SystemClock
from importer.deliver.circuit_breaker import CircuitBreaker
from importer.deliver.client import Client, ClientOptions, connections_possible, trust
from importer.deliver.delivery import ApiSession
from importer.deliver.endpoint import Endpoint, choose_proxy, unused_proxy
from importer.deliver.rate_limit import RateLimiter
from importer.deliver.shared_limit import SharedState
from importer.deliver.token import Token, exposure, read_token
from importer.ledger.ledger import Ledger
from importer.model import SANDBOX_ENDPOINT, Response
from importer.pipeline.options import TargetOptions


class Target(msgspec.Struct, frozen=True):
    """Where to send, and with what."""

    endpoint: Endpoint
    token: Token
    rehearsal: bool
    options: ClientOptions = ClientOptions()
    page: str = ""
    """Of a rehearsal: where a browser shows what arrives."""

    def client(self) -> Client:
        """A client for it, to be opened."""
        return Client(self.endpoint, self.token, self.options)


@contextmanager
def open_ledger(target: TargetOptions, say: Callable[[str], None] | None = None) -> Iterator[Ledger]:
    """The ledger, for the target's account and endpoint; ``say`` gets what opening it has changed."""
    endpoint = SANDBOX_ENDPOINT if target.sandbox else Endpoint.parse(target.endpoint).events_url
    with Ledger(target.ledger, account=target.account, endpoint=endpoint) as ledger:
        if say is not None:
            for note in ledger.notes:
                say(note)
        yield ledger


def check(target: TargetOptions, say: Callable[[str], None]) -> None:
    """Find out before any file is read whether there is a token; raises `UsageError` if not."""
    if target.sandbox is not None:
        return
    live_target(target)
    if target.token_file and (warning := exposure(target.token_file)):
        say(f"warning: {warning}")


def live_target(target: TargetOptions) -> Target:
    """The endpoint and its token. Raises `UsageError` where there is no token, or endpoint or proxy cannot be used."""
    endpoint = Endpoint.parse(target.endpoint)
    token = read_token(target.environment, target.token_file, target.token_variable)
    options = ClientOptions(
        proxy=choose_proxy(target.proxy, endpoint, target.environment),
        tls=None if target.ca_file is None else trust(target.ca_file),
    )
    return Target(endpoint, token, rehearsal=False, options=options)


@contextmanager
def resolve_target(target: TargetOptions, events: Path) -> Iterator[Target]:
    """The endpoint and its token; a rehearsal's sandbox lives as long as the context and records into ``events``.

    Raises `UsageError` where there is no token, or endpoint, proxy or certificates cannot be used.
    """
    if target.sandbox is None:
        yield live_target(target)
        return
    options = target.sandbox
    if options.events is None:
        events.parent.mkdir(parents=True, exist_ok=True)
        options = replace(options, events=str(events))
    from importer.sandbox import process

    with process.start(options) as running:
        yield Target(Endpoint.parse(running.url), Token(running.token), rehearsal=True, page=running.page)


@asynccontextmanager
async def connect(
    api: Target, target: TargetOptions, say: Callable[[str], None], *, among: int = 1
) -> AsyncIterator[tuple[ApiSession, Response]]:
    """A session with the API, and its answer to a first harmless question, which names the limit.

    ``among``: so many sessions share this process's file handles.
    """
    clock = SystemClock()
    shared = None
    if not api.rehearsal:
        # Beside no ledger: importers of one account share its limit, whichever ledger each of them uses.
        directory = platformdirs.user_state_path("importer") / "limits"
        shared = SharedState(directory, api.endpoint.scope(target.account), clock)
    handles = max(1, connections_possible() // among)
    limiter = RateLimiter(reserve=target.reserve, cap=target.cap, max_in_flight=handles, shared=shared)
    breaker = CircuitBreaker(outage_limit=target.outage_limit)
    async with api.client() as client:
        session = ApiSession(client, limiter, breaker, clock)
        response = await client.probe()
        limiter.observe(response, clock.monotonic())
        if response.status is None:
            say(f"warning: {response.message}")
            if words := unused_proxy(target.proxy, api.endpoint, target.environment):
                say(f"note: {words}")
        try:
            yield session, response
        finally:
            limiter.leave(clock.monotonic())
