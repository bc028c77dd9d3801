"""The way to the API, put together: endpoint, token, client, pace, breaker; or a sandbox in their place.

This module owns which of them belong together. Everything it makes is closed when its context ends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from importer.clock import SystemClock
from importer.deliver.circuit_breaker import Breaker, BreakerOptions
from importer.deliver.client import Client
from importer.deliver.endpoint import Endpoint
from importer.deliver.line import Line
from importer.deliver.quota import SharedQuota
from importer.deliver.rate_limit import Pacer, PacerOptions
from importer.deliver.token import Token, exposure, read_token
from importer.deliver.workers import Workers
from importer.ledger.sqlite import SqliteLedger
from importer.model import SANDBOX_ENDPOINT, Response
from importer.pipeline.options import TargetOptions


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send, and with what."""

    endpoint: Endpoint
    token: Token
    rehearsal: bool
    page: str = ""
    """Of a rehearsal: where a browser shows what arrives."""


@contextmanager
def open_ledger(target: TargetOptions) -> Iterator[SqliteLedger]:
    """The ledger, scoped to the destination's account and endpoint."""
    endpoint = SANDBOX_ENDPOINT if target.sandbox else Endpoint.parse(target.endpoint).events_url
    with SqliteLedger(target.ledger, account=target.account, endpoint=endpoint) as ledger:
        yield ledger


def check(target: TargetOptions, say: Callable[[str], None]) -> None:
    """Find out before any file is read whether there is a token; raises `UsageError` if not."""
    if target.sandbox is not None:
        return
    Endpoint.parse(target.endpoint)
    read_token(target.environment, target.token_file)
    if target.token_file and (warning := exposure(target.token_file)):
        say(f"warning: {warning}")


@contextmanager
def open_way(target: TargetOptions, events: Path) -> Iterator[Target]:
    """The endpoint and its token; a rehearsal's sandbox lives as long as the context and records into ``events``.

    Raises `UsageError` where there is no token or the endpoint cannot be used.
    """
    if target.sandbox is None:
        endpoint = Endpoint.parse(target.endpoint)
        yield Target(endpoint, read_token(target.environment, target.token_file), rehearsal=False)
        return
    options = target.sandbox
    if options.events is None:
        events.parent.mkdir(parents=True, exist_ok=True)
        options = replace(options, events=str(events))
    from importer.sandbox import process

    with process.start(options) as running:
        yield Target(Endpoint.parse(running.url), Token(running.token), rehearsal=True, page=running.page)


@asynccontextmanager
async def open_line(
    way: Target, target: TargetOptions, say: Callable[[str], None]
) -> AsyncIterator[tuple[Line, Response]]:
    """A line to the API, and its answer to a first harmless question, which tells the limit and proves the token."""
    clock = SystemClock()
    breaker = Breaker(BreakerOptions(outage_limit=target.outage_limit))
    many = target.processes
    poster = Workers(way.endpoint, way.token, many) if many > 1 else Client(way.endpoint, way.token, clock=clock)
    async with poster as client:
        with _quota(way, target) as quota:
            if quota is not None and quota.trouble:
                say(f"warning: importers on this machine cannot share the limit: {quota.trouble}")
            pacer = Pacer(PacerOptions(reserve=target.reserve), quota=quota)
            answer = await client.probe()
            pacer.observe(answer, clock.monotonic())
            yield Line(client, pacer, breaker, clock), answer


@contextmanager
def _quota(way: Target, target: TargetOptions) -> Iterator[SharedQuota | None]:
    """The quota that all importers of the account on this machine share; a rehearsal's sandbox has its own."""
    if way.rehearsal:
        yield None
        return
    scope = way.endpoint.scope(target.account)
    with closing(SharedQuota(target.ledger.with_name("quota.db"), scope, target.reserve)) as quota:
        yield quota
