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

    def __repr__(self) -> str:
        return f"<Overtime after {self.seconds:g} s, {len(self._under_way)} under way>"

    def begin(self) -> asyncio.Task[Any]:
        """The current task's request begins; returns the task, for `end`."""
        loop = self._loop = self._loop or asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None
        self._under_way[task] = loop.time() + self.seconds, task.cancelling()
        if self._timer is None:
            self._timer = loop.call_later(self.seconds, self._look)
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

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        for task, (deadline, before) in list(self._under_way.items()):
            if deadline > loop.time():
                self._timer = loop.call_at(deadline, self._look)
                return
            del self._under_way[task]
            self._over[task] = before
            task.cancel()
