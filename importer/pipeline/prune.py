"""Which runs are old enough to be pruned, and the pruning."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from importer.ledger.ledger import Ledger
from importer.model import Run, RunState, State

_DONE = (RunState.FINISHED, RunState.SUPERSEDED)


class Choice(msgspec.Struct, frozen=True):
    """What is to be forgotten."""

    runs: tuple[Run, ...]
    rows: int
    undelivered: int
    """Rows of them that were refused or failed, and cannot be retried afterwards."""
    kept: tuple[Run, ...]
    """Old enough, but with rows in doubt or still to be sent."""


def choose(ledger: Ledger, before: float) -> Choice:
    """The runs of this account that finished before that time, in seconds since the epoch."""
    old = [run for run in ledger.runs() if run.state is not RunState.PRUNED and _ended(run) < before]
    chosen = [run for run in old if run.state in _DONE and not ledger.is_open(run)]
    counts = [ledger.counts(run) for run in chosen]
    return Choice(
        runs=tuple(chosen),
        rows=sum(one.read for one in counts),
        undelivered=sum(one[State.REFUSED] + one[State.FAILED] for one in counts),
        kept=tuple(run for run in old if run not in chosen),
    )


def forget(ledger: Ledger, runs: Sequence[Run]) -> int:
    """Forget them, and give the space back; returns how many bytes that were.

    A run that a process works on now is left. Raises `LedgerError` where the ledger is in use and cannot shrink:
    then the space is free within it, for the next runs.
    """
    before = ledger.size()
    for run in runs:
        lock = ledger.lock(run)
        if lock.try_acquire():
            try:
                ledger.prune(run)
            finally:
                lock.release()
    ledger.shrink()
    return before - ledger.size()


def _ended(run: Run) -> float:
    return run.finished_at or run.created_at
