"""What became of a file, and how the watching is to be done; the types of this room.

This module owns the line that each file leaves in the log.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from importer.errors import ExitCode
from importer.model import Counts, State
from importer.pipeline.options import RunOptions
from importer.watch.drops import Drop
from importer.wording import counted


class Place(StrEnum):
    """Where a file lies; the names of the directories."""

    PROCESSING = "processing"
    """It is being worked on, or waits for what stopped it: the API, the token, a mapping to be mended."""
    DONE = "done"
    """Every row has its final state; rows that were not delivered are in its rejects."""
    FAILED = "failed"
    """It cannot be used as it is, and a person has to look at it."""


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """What to watch, and how."""

    directory: Path
    drops: tuple[Drop, ...]
    order: RunOptions
    """What every run has in common; its sources and its mapping are filled in for each file."""
    marker: str = ""
    """A file NAME is complete when NAME + marker is there, and only then; empty: when it has not changed for
    ``settle``, or NAME.done is there."""
    settle: float = 10.0
    """Seconds between two looks at the directory."""
    retry: float = 300.0
    """Seconds to wait before what was stopped is tried again."""
    on_finish: str = ""
    """A shell command to run after each file."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file."""

    name: str
    """As it was dropped."""
    place: Place
    code: ExitCode
    path: Path
    """Where it lies now."""
    reason: str = ""
    """Why it failed or waits."""
    run: str = ""
    rows: Mapping[str, int] = field(default_factory=dict)
    """As in ``summary.json``; empty where no run was made."""
    at: float = 0.0
    """Seconds since the epoch."""

    @property
    def repeated(self) -> bool:
        """Whether all that could have been sent was delivered before."""
        answered = (State.SENT, State.REFUSED, State.FAILED, State.IN_DOUBT, State.PENDING)
        return bool(self.rows.get(State.DUPLICATE)) and not any(self.rows.get(state) for state in answered)

    @property
    def counts(self) -> Counts | None:
        """The run's books; None without a run."""
        return Counts(self.rows["read"], {state: self.rows[state] for state in State}) if self.rows else None

    def line(self) -> str:
        """One line for the log."""
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.at))
        words = [f"{moment}  {self.place.value:<10}  {self.name}", self._books(), f"run {self.run}" * bool(self.run)]
        if self.repeated:
            words.append("nothing new: every row was delivered before")
        elif self.reason:
            words.append(" ".join(self.reason.split()))
        return "  ".join(word for word in words if word)

    def _books(self) -> str:
        return _books(self.rows) if self.rows else ""


def in_all(outcomes: Sequence[Outcome]) -> str:
    """The books of a whole round, in a line: ``3 files: 2 done, 1 failed; 5 rows: 3 sent, 2 invalid``."""
    places = Counter(one.place for one in outcomes)
    rows: Counter[str] = Counter()
    for one in outcomes:
        rows.update(one.rows)
    where = ", ".join(f"{places[place]:,} {place.value}" for place in Place if places[place])
    return f"{counted(len(outcomes), 'file')}: {where}; {_books(rows)}"


def _books(rows: Mapping[str, int]) -> str:
    states = [f"{rows[state]:,} {state.value.replace('_', ' ')}" for state in State if rows.get(state)]
    return counted(rows.get("read", 0), "row") + (": " + ", ".join(states) if states else "")
