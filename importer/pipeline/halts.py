"""Notes a delivery's longer pauses in the ledger, so that the report can say why nothing was sent."""

from __future__ import annotations

import time
from collections.abc import Callable

from importer.deliver import Progress
from importer.deliver.options import Watch
from importer.ledger.ledger import Ledger
from importer.model import Pause, PauseKind, Run

LEAST = 5.0
"""Seconds; shorter waits belong to the ordinary course of a limit per minute."""


class Halts:
    """Watches a delivery for a run, and hands what it sees on."""

    def __init__(self, ledger: Ledger, run: Run, watch: Watch, now: Callable[[], float] = time.time) -> None:
        self._ledger = ledger
        self._run = run
        self._watch = watch
        self._now = now
        self._kind: PauseKind | None = None
        self._since = 0.0

    def begin(self) -> None:
        """The run goes on; since it stopped, nothing was sent."""
        if self._run.started_at is not None and self._run.finished_at is not None:
            self._note(PauseKind.STOPPED, self._run.finished_at, self._now())

    def watch(self, progress: Progress) -> None:
        """Delivery's progress now."""
        if progress.pace.halt is not self._kind:
            self.end()
            self._kind, self._since = progress.pace.halt, self._now()
        self._watch(progress)

    def end(self) -> None:
        """Nothing is waited for any longer."""
        if self._kind is not None:
            self._note(self._kind, self._since, self._now())
            self._kind = None

    def _note(self, kind: PauseKind, begun: float, ended: float) -> None:
        if ended - begun >= LEAST:
            self._ledger.note_halt(self._run, Pause(kind, begun, ended))
