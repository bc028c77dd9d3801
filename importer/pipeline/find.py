"""Which run a command is about: a new one, or the one that the same command began before.

Two commands are the same if they name the same, unchanged files and the same mapping. A lock keeps two processes from
working on one run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from importer.child import SECRETS
from importer.errors import StoppedError, UsageError
from importer.ledger.ledger import Ledger
from importer.ledger.locks import ANOTHER
from importer.lookups import content_of
from importer.mapping.load import LoadedMapping
from importer.model import SANDBOX_ENDPOINT, Run, RunState
from importer.pipeline.connect import open_ledger
from importer.pipeline.options import RunOptions, TargetOptions
from importer.read import Input, expand
from importer.sandbox.options import SandboxOptions

LOCK_TIMEOUT = 2.0
"""Seconds to wait for a lock: `importer runs` holds each for a moment."""

_AT_ONCE = 16
_SAME = ("again", "strict", "transform", "accounts")
"""The options in which two commands agree that are the same."""
_UNFINISHED = (RunState.READY, RunState.DELIVERING, RunState.STOPPED)


def fingerprint(options: RunOptions, loaded: LoadedMapping) -> list[list[Any]]:
    """The files as they are now (`Input.version`); empty where one has none (stdin).

    The files of lookups follow, each with the digest of its content; then the file of ``--transform``.
    """
    with ThreadPoolExecutor(_AT_ONCE) as threads:  # each address is a question to a server
        files = list(threads.map(Input.version, expand(options.readable)))
    if None in files:
        return []
    return [
        *map(list, filter(None, files)),
        *content_of(loaded.mapping),
        *([[options.transform, *_digest_of_function(options.transform)]] if options.transform else []),
    ]


def _digest_of_function(spec: str) -> list[str]:
    with suppress(OSError), Path(spec.rpartition(":")[0]).open("rb") as opened:
        return [hashlib.file_digest(opened, "sha256").hexdigest()]
    return []


def create(ledger: Ledger, options: RunOptions, loaded: LoadedMapping, **more: Any) -> Run:
    """A new run with these options; it keeps ``more``, too."""
    return ledger.create_run(
        mapping_name=loaded.name,
        mapping_text=loaded.text,
        mapping_digest=loaded.mapping.digest(),
        options={**options.kept(), **({} if "files" in more else {"files": fingerprint(options, loaded)}), **more},
    )


def find_unfinished(ledger: Ledger, options: RunOptions, loaded: LoadedMapping) -> Run | None:
    """The newest run that the same command began and that has rows left, or None.

    Runs that were interrupted while they were planned have sent nothing and are forgotten.
    """
    files, kept = fingerprint(options, loaded), options.kept()
    for run in ledger.runs():
        if run.state is RunState.PLANNING:
            _forget(ledger, run)
        elif (
            files
            and run.state in _UNFINISHED
            and run.options.get("files") == files
            and run.mapping_digest == loaded.mapping.digest()
            and all((run.options.get(name) or None) == (kept.get(name) or None) for name in _SAME)
        ):
            return run
    return None


def planned(ledger: Ledger, run_id: str) -> Run:
    """The run of that id; raises `UsageError` if its plan is not complete: what it holds may have been sent before."""
    run = ledger.run(run_id)
    if run.state is RunState.PLANNING:
        raise UsageError(
            f"run {run.id} was interrupted while its files were read; nothing was sent",
            hint="run the same `importer run …` command again",
        )
    refuse_pruned(run)
    return run


def refuse_pruned(run: Run) -> None:
    """Raise `UsageError` for a run of which only the states of its rows are kept."""
    if run.state is RunState.PRUNED:
        raise UsageError(
            f"run {run.id} was pruned: what its rows held and how they were answered is no longer known",
            hint=f"its totals remain (`importer runs {run.id}`), and nothing it sent is ever sent again",
        )


def newest_unfinished(ledger: Ledger) -> Run:
    """The run that `importer resume` without a run means: the newest of this account and endpoint."""
    for run in ledger.runs():
        if run.state in _UNFINISHED:
            return run
    others = [run for run in ledger.runs(everywhere=True) if run.state in _UNFINISHED]
    hint = f"`importer resume {others[0].id}` is of another account or endpoint" if others else "see `importer runs`"
    raise UsageError("there is no run to resume here", hint=hint)


def newest(ledger: Ledger, *, anywhere: bool = False) -> Run:
    """The newest run of this account and endpoint, for a command without a run; ``anywhere``: if none, of all."""
    if found := ledger.runs() or (ledger.runs(everywhere=True) if anywhere else []):
        return found[0]
    raise UsageError("there is no run here yet", hint="`importer runs` lists the runs of all accounts and endpoints")


def file_of_accounts(target: TargetOptions, run_id: str) -> str | None:
    """The file of accounts that a run of several accounts was begun with; None for other runs."""
    with open_ledger(target) as ledger:
        run = ledger.run(run_id, everywhere=True)
    return None if "batch" in run.options else run.options.get("accounts_file")


@contextmanager
def open_run(target: TargetOptions, run_id: str | None) -> Iterator[tuple[Ledger, Run]]:
    """The ledger, and the run of that id, of any account and endpoint; without an id the newest run."""
    if run_id is None:
        with open_ledger(target) as ledger:
            run_id = newest(ledger, anywhere=True).id
    with open_ledger(target_of(target, run_id)) as ledger:
        yield ledger, recover_if_dead(ledger, ledger.run(run_id))


def target_of(target: TargetOptions, run_id: str) -> TargetOptions:
    """The target with the run's own account and endpoint: a run's id alone is enough to name it.

    Raises `UsageError` for an unknown id, and for ``--sandbox`` with a run that was sent for real.
    """
    with open_ledger(target) as ledger:
        run = ledger.run(run_id, everywhere=True)
    rehearsal = run.endpoint == SANDBOX_ENDPOINT
    if target.sandbox and not rehearsal:
        raise UsageError(f"run {run.id} is no rehearsal", hint="leave out --sandbox: a run stays at its endpoint")
    sandbox = (target.sandbox or SandboxOptions()) if rehearsal else None
    endpoint = target.endpoint if rehearsal else run.endpoint
    target = replace(target, account=run.account, endpoint=endpoint, sandbox=sandbox)
    if (place := run.options.get("token")) and target.token_file is None:  # of a file of accounts
        SECRETS.add(place["variable"])
        file = None if place["file"] is None else Path(place["file"])
        target = replace(target, token_variable=place["variable"], token_file=file, cap=place["cap"])
    return target


@contextmanager
def locked(
    ledger: Ledger, run: Run, *, wait: bool = False, say: Callable[[str], None] = lambda _: None
) -> Iterator[None]:
    """Work on a run, alone; what a killed process had claimed is put in doubt first.

    While another process works on it: waits with ``--wait``, else raises `UsageError`, or `StoppedError` where the
    other one is on another machine.
    """
    lock = ledger.lock(run)
    if not (lock.held or lock.try_acquire(patience=LOCK_TIMEOUT)):
        holder = lock.holder()
        words = f"run {run.id} is being delivered by {holder}"
        hint = f"wait for it (--wait), or stop it; `importer runs {run.id}` shows its progress"
        if not wait:
            raise UsageError(words, hint=hint) if holder == ANOTHER else StoppedError(words, hint=hint)
        say(f"{words}; waiting for it")
        lock.try_acquire(patience=float("inf"))
    try:
        ledger.recover(run)
        yield
    finally:
        lock.release()


@contextmanager
def sending(ledger: Ledger, run: Run, *, wait: bool, say: Callable[[str], None]) -> Iterator[str]:
    """Be the only sender of the account, where several machines may send; returns who else is at it, empty if no one.

    A rehearsal has a sandbox of its own, and blocks no other.
    """
    lock = None if run.endpoint == SANDBOX_ENDPOINT else ledger.sender_lock(run)
    if lock is None:
        yield ""
        return
    other = ""
    if not lock.try_acquire(patience=LOCK_TIMEOUT):
        other = lock.holder()
        if wait:
            say(f"{other} sends for this account now; waiting for it")
            other = "" if lock.try_acquire(patience=float("inf")) else other
    try:
        yield other
    finally:
        lock.release()


def _forget(ledger: Ledger, run: Run) -> None:
    lock = ledger.lock(run)
    if lock.try_acquire():
        ledger.discard(run)
        lock.release()


def recover_if_dead(ledger: Ledger, run: Run) -> Run:
    """The run as it is now; if the process that worked on it was killed, its claimed rows are put in doubt first."""
    if run.state not in _UNFINISHED:
        return run
    lock = ledger.lock(run)
    if lock.held or not lock.try_acquire():
        return run
    try:
        ledger.recover(run)
    finally:
        lock.release()
    return ledger.run(run.id, everywhere=True)
