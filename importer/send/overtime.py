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
        self._deadlines: dict[asyncio.Task[Any], float] = {}
        """In the order of their beginning, and so of their deadlines."""
        self._cancelling: dict[asyncio.Task[Any], int] = {}
        """How often each had been asked to cancel itself when it began, by others."""
        self._over: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Overtime after {self.seconds:g} s, {len(self._deadlines)} under way>"

    def begin(self) -> asyncio.Task[Any]:
        """The current task's request begins; returns the task, for `end`."""
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        self._deadlines[task] = loop.time() + self.seconds
        self._cancelling[task] = task.cancelling()
        if self._timer is None:
            self._timer = loop.call_later(self.seconds, self._look)
        return task

    def end(self, task: asyncio.Task[Any]) -> bool:
        """The task's request has ended; whether it was cancelled for being too long under way, and for nothing else."""
        self._deadlines.pop(task, None)
        before = self._cancelling.pop(task, 0)
        if task not in self._over:
            return False
        self._over.discard(task)
        return task.uncancel() <= before

    def close(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        for task, deadline in list(self._deadlines.items()):
            if deadline > loop.time():
                self._timer = loop.call_at(deadline, self._look)
                return
            del self._deadlines[task]
            self._over.add(task)
            task.cancel()
