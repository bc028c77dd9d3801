"""What `importer doctor` looks at: everything that a live run needs, without sending anything.

The only request it makes is the harmless ``GET /v2/subscribers``.
"""

from __future__ import annotations

import asyncio
import platform
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path

import msgspec

from importer import __version__
from importer.deliver.endpoint import shown_proxy, unused_proxy
from importer.deliver.token import VARIABLE, exposure
from importer.errors import ImporterError
from importer.ledger.copy import health
from importer.model import Response, ResponseKind, RunState, State
from importer.pipeline.connect import Target, open_ledger, resolve_target
from importer.pipeline.options import TargetOptions
from importer.wording import counted

SKEW = 30.0
"""Seconds by which the machine's clock may be wrong before it is worth a word."""
LITTLE_SPACE = 1 << 30
NO_SPACE = 100 << 20
"""Bytes. A row takes some hundred bytes in the ledger, its body included."""
_LIBRARIES = ("aiohttp", "pyarrow", "pandas")


class Severity(StrEnum):
    """How a finding is to be taken."""

    OK = "ok"
    WARN = "warn"
    """A run is possible, but this deserves a look."""
    FAIL = "fail"
    """A run will not do."""


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at."""

    name: str
    verdict: Severity
    text: str
    advice: str = ""
    """What to do; empty if all is well."""


def examine(target: TargetOptions) -> Iterator[Finding]:
    """Look at one thing after the other; raises nothing that the user can cause."""
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    python = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    yield Finding("versions", Severity.OK, f"importer {__version__}, {python}, {libraries}")
    try:
        yield from _api(target)
    except ImporterError as error:
        yield Finding("token", Severity.FAIL, error.message, error.hint or "")
    try:
        yield from _ledger(target)
    except ImporterError as error:
        yield Finding("ledger", Severity.FAIL, error.message, error.hint or "")
    if isinstance(target.ledger, Path):
        yield _space(target.ledger)


def _api(target: TargetOptions) -> Iterator[Finding]:
    with (
        tempfile.TemporaryDirectory() as scratch,
        resolve_target(target, Path(scratch) / "events.jsonl") as api,
    ):
        yield _token(target)
        if api.options.proxy:
            yield Finding("proxy", Severity.OK, f"requests go through {shown_proxy(api.options.proxy)}")
        elif words := unused_proxy(target.proxy, api.endpoint, target.environment):
            name, _, advice = words.partition("; ")
            yield Finding("proxy", Severity.OK, f"{name} ({advice})")
        began = time.time()
        answer = asyncio.run(_ask(api))
        yield from _answered(answer, api, (began + time.time()) / 2)


async def _ask(api: Target) -> Response:
    async with api.client() as client:
        return await client.probe()


def _token(target: TargetOptions) -> Finding:
    if target.sandbox is not None:
        return Finding("token", Severity.OK, "not needed: this is a rehearsal")
    if target.token_file is None:
        return Finding("token", Severity.OK, f"there, in the variable {VARIABLE}")
    if warning := exposure(target.token_file):
        problem, _, advice = warning.partition("; ")
        return Finding("token", Severity.WARN, problem, advice)
    return Finding("token", Severity.OK, f"there, in {target.token_file}")


def _answered(answer: Response, api: Target, now: float) -> Iterator[Finding]:
    where = api.endpoint.host
    if answer.kind is ResponseKind.SENT:
        yield Finding("API", Severity.OK, f"{where} accepts the token; it answered in {answer.latency * 1000:,.0f} ms")
    elif answer.kind is ResponseKind.UNAUTHORIZED:
        advice = "make a new one in Sender under Settings, API access tokens; they can expire"
        yield Finding("API", Severity.FAIL, f"{where} does not accept the token: {answer.message}", advice)
    else:
        advice = "check the network, and --endpoint if you gave one"
        yield Finding("API", Severity.FAIL, f"{where}: {answer.message}", advice)
    if answer.status is None:
        return
    limit = "the API did not say; importer begins slowly and learns it"
    if answer.limit is not None:
        limit = f"{counted(answer.limit, 'request')} a minute, {answer.remaining} left in this one"
    yield Finding("limit", Severity.OK, limit)
    if answer.date is not None:
        yield _clock(now - answer.date)


def _clock(skew: float) -> Finding:
    if abs(skew) <= SKEW:
        return Finding("clock", Severity.OK, "agrees with the API's")
    text = f"this machine is {abs(skew):,.0f} s {'ahead of' if skew > 0 else 'behind'} the API"
    advice = "set it (timedatectl set-ntp true): --between, --until and the times in reports follow it"
    return Finding("clock", Severity.WARN, text, advice)


def _ledger(target: TargetOptions) -> Iterator[Finding]:
    path = target.ledger
    if not path.exists():
        yield Finding("ledger", Severity.OK, f"none yet; the first run makes {path}")
        return
    found = health(path)
    if found.trouble:
        advice = "stop all importers and keep a copy; restore a backup, or keep what can be kept with --repair"
        yield Finding("ledger", Severity.FAIL, f"{path} is damaged: {found.trouble}", advice)
        return
    text = f"{path} is whole; {counted(found.rows, 'row')}, {found.size / 1e6:,.1f} MB"
    yield Finding("ledger", Severity.OK, text)
    with open_ledger(target) as ledger:
        runs = ledger.runs()
        unfinished = [run for run in runs if run.state in (RunState.READY, RunState.STOPPED)]
        doubtful = {run.id: count for run in runs if (count := ledger.counts(run)[State.IN_DOUBT])}
    if unfinished:
        text = f"{len(unfinished)} stopped before the end, {unfinished[0].id} the last"
        yield Finding("runs", Severity.WARN, text, f"importer resume {unfinished[0].id}{target.ledger_option}")
    if doubtful:
        rows, among = counted(sum(doubtful.values()), "row"), counted(len(doubtful), "run")
        advice = f"importer resolve {next(iter(doubtful))}{target.ledger_option} lists them"
        yield Finding("in doubt", Severity.WARN, f"{rows} may or may not have arrived, in {among}", advice)


def _space(ledger: Path) -> Finding:
    directory = next(path for path in (ledger.absolute().parent, *ledger.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(directory).free
    text = f"{free / 1e9:,.1f} GB free for the ledger in {directory}"
    if free >= LITTLE_SPACE:
        return Finding("disk", Severity.OK, text)
    verdict = Severity.WARN if free >= NO_SPACE else Severity.FAIL
    return Finding("disk", verdict, text, "make room; `importer prune` shrinks the ledger, --ledger puts it elsewhere")
