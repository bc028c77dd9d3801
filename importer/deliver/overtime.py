"""One timer for all requests in flight, where a timeout for each would cost more than all else that is done for it.

Owns the end of requests that take too long: their tasks are cancelled, and told apart from those that others cancel.
Times are the running loop's seconds.
"""

from __future__ import annotations

import asyncio
from typing import Any


class Overtime:
    """Cancels the tasks that have been under way for ``seconds``; belongs to one event loop."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._under_way: dict[asyncio.Task[Any], tuple[float, int]] = {}
        """Deadlines, in their order; and how often others had asked the task to cancel itself when it began."""
        self._over: dict[asyncio.Task[Any], int] = {}
        """What was cancelled here, with the same count."""
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._grace = seconds / 30
        """If the timer comes later than that, the process has stood still (Ctrl-Z, a paused machine): what came in the
        meantime gets as long to be read."""
        self._graced = False

    def __repr__(self) -> str:
        return f"<Overtime after {self.seconds:g} s, {len(self._under_way)} under way>"

    def begin(self) -> asyncio.Task[Any]:
        """The current task's request begins; returns the task, for `end`."""
        loop = self._loop = self._loop or asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None
        self._under_way[task] = loop.time() + self.seconds, task.cancelling()
        if self._timer is None:
            self._look_at(loop, loop.time() + self.seconds)
        return task

    def end(self, task: asyncio.Task[Any]) -> bool:
        """The task's request has ended; whether it was cancelled for being too long under way, and for nothing else."""
        if self._under_way.pop(task, None):
            return False
        before = self._over.pop(task, None)
        return before is not None and task.uncancel() <= before

    def close(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_at(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._due = due
        self._timer = loop.call_at(due, self._look)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        self._graced = not self._graced and loop.time() > self._due + self._grace
        if self._graced:
            self._look_at(loop, loop.time() + self._grace)
            return
        for task, (deadline, before) in list(self._under_way.items()):
            if deadline > loop.time():
                self._look_at(loop, deadline)
                return
            del self._under_way[task]
            self._over[task] = before
            task.cancel()
