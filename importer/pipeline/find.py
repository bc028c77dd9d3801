"""Which run a command is about: a new one, or the one that the same command began before.

This module owns the likeness of two commands (the same files, unchanged, and the same mapping), and the lock that keeps
two processes from working on one run.
"""

from __future__ import annotations

import os
import stat as stat_module
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from importer.errors import UsageError
from importer.ledger.sqlite import SqliteLedger
from importer.mapping.load import LoadedMapping
from importer.model import Run, RunState
from importer.pipeline.options import RunOptions
from importer.read import expand

LOOKERS_ON = 2.0
"""Seconds to wait for a lock: `importer runs` holds each for a moment."""

_UNFINISHED = (RunState.READY, RunState.DELIVERING, RunState.STOPPED)


def fingerprint(options: RunOptions) -> list[list[Any]]:
    """The files as they are now: path, member, size and time of change; empty where one cannot be told (stdin)."""
    files: list[list[Any]] = []
    for each in expand(options.sources):
        if each.path is None:
            return []
        try:
            stat = os.stat(each.path)  # noqa: PTH116  # a path that open() could not read either is told of later
        except OSError:
            return []
        if not stat_module.S_ISREG(stat.st_mode):
            return []
        files.append([each.path, each.member, stat.st_size, stat.st_mtime_ns])
    return files


def create(ledger: SqliteLedger, options: RunOptions, loaded: LoadedMapping) -> Run:
    """A new run of the order."""
    return ledger.create_run(
        mapping_name=loaded.name,
        mapping_text=loaded.text,
        mapping_digest=loaded.mapping.digest(),
        options={**options.kept(), "files": fingerprint(options)},
    )


def find_unfinished(ledger: SqliteLedger, options: RunOptions, loaded: LoadedMapping) -> Run | None:
    """The newest run that the same command began and that has rows left, or None.

    Runs that were interrupted while they were planned have sent nothing and are forgotten.
    """
    files = fingerprint(options)
    for run in ledger.runs():
        if run.state is RunState.PLANNING:
            _forget(ledger, run)
        elif (
            options.again
            == bool(run.options.get("again"))  # neither thrice, nor twice where the user thought better of it
            and files
            and run.state in _UNFINISHED
            and run.options.get("files") == files
            and run.mapping_digest == loaded.mapping.digest()
            and run.options.get("strict") == options.strict
            and run.options.get("transform") == options.transform
        ):
            return run
    return None


def planned(ledger: SqliteLedger, run_id: str) -> Run:
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
            hint=f"its books remain (`importer runs {run.id}`), and nothing it sent is ever sent again",
        )


def newest_unfinished(ledger: SqliteLedger) -> Run:
    """The run that `importer resume` without a run means."""
    for run in ledger.runs():
        if run.state in _UNFINISHED:
            return run
    raise UsageError(
        "there is no run to resume",
        hint="`importer runs` lists the runs; give --account, --endpoint or --sandbox as the run had them",
    )


@contextmanager
def locked(ledger: SqliteLedger, run: Run) -> Iterator[None]:
    """Work on a run, alone; what a killed process had claimed is put in doubt first.

    Raises `UsageError` while another process works on it.
    """
    lock = ledger.lock(run)
    if not (lock.held or lock.try_acquire(patience=LOOKERS_ON)):
        raise UsageError(
            f"run {run.id} is being delivered by another process",
            hint=f"wait for it, or stop it; `importer runs {run.id}` shows how it stands",
        )
    try:
        ledger.recover(run)
        yield
    finally:
        lock.release()


def _forget(ledger: SqliteLedger, run: Run) -> None:
    lock = ledger.lock(run)
    if lock.try_acquire():
        ledger.discard(run)
        lock.release()


def settled(ledger: SqliteLedger, run: Run) -> Run:
    """The run as it stands; what a killed process had claimed is put in doubt, if no other works on it now."""
    lock = ledger.lock(run)
    if lock.held or lock.try_acquire():
        ledger.recover(run)
        lock.release()
    return run
