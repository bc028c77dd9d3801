"""The times in which nothing came: what is known of them, and what only shows.

This module owns which of them are told, and their words. How they are drawn is ``charts``'.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from importer.model import Pause, PauseKind
from importer.report.page.buckets import Gap
from importer.report.page.markup import Column, Html, count, duration, moment, paragraph, table

_TOLD = 50
MARKED = 300
"""Times that a chart marks; beyond that the longest."""
UNKNOWN = "gap"
_WORDS = {
    PauseKind.OUTAGE: ("the API was away", "outage", "outages"),
    PauseKind.LIMIT: ("the limit was reached", "wait for the limit", "waits for the limit"),
    PauseKind.STOPPED: ("the run was stopped", "stop", "stops"),
    PauseKind.HOURS: ("outside the hours of --between", "wait for the hours", "waits for the hours"),
    UNKNOWN: ("unknown: nobody noted why", "pause", "pauses"),
}
"""By kind: why nothing came, and one and several of it."""


@dataclass(frozen=True, slots=True)
class Still:
    """A time without answers; seconds since the epoch."""

    kind: str
    """A `PauseKind`, or `UNKNOWN`; also the class that gives it its colour."""
    begin: float
    end: float

    @property
    def why(self) -> str:
        """In words."""
        return _WORDS[self.kind][0]


def stills(halts: Iterable[Pause], pauses: Iterable[Gap], span: tuple[float, float]) -> list[Still]:
    """The halts within the chart's ``span``, and those pauses that they do not explain, in their order."""
    known = [
        Still(one.kind, max(one.begun, span[0]), min(one.ended, span[1]))
        for one in halts
        if one.ended > span[0] and one.begun < span[1]
    ]
    unknown = [Still(UNKNOWN, one.begin, one.end) for one in pauses if not _explained(one, known)]
    return sorted([*known, *unknown], key=lambda one: (one.begin, one.end))


def _explained(pause: Gap, known: Sequence[Still]) -> bool:
    covered = sum(max(0.0, min(one.end, pause.end) - max(one.begin, pause.begin)) for one in known)
    return 2 * covered >= pause.end - pause.begin


def longest(found: Sequence[Still], most: int) -> list[Still]:
    """The longest of them, longest first."""
    return sorted(found, key=lambda one: one.begin - one.end)[:most]


def kinds(found: Iterable[Still]) -> list[tuple[str, str]]:
    """Each kind there is, with its words."""
    there = {one.kind for one in found}
    return [(kind, words[0]) for kind, words in _WORDS.items() if kind in there]


def told(found: Sequence[Still]) -> Html:
    """How often and how long nothing came, and why; empty if that never was."""
    if not found:
        return Html("")
    sums = []
    for kind, (_, one, several) in _WORDS.items():
        if spans := [still.end - still.begin for still in found if still.kind == kind]:
            sums.append(f"{count(len(spans))} {one if len(spans) == 1 else several}, {duration(sum(spans))} in all")
    rows = [
        (moment(one.begin), moment(one.end), duration(one.end - one.begin), one.why) for one in longest(found, _TOLD)
    ]
    more = f" The longest {_TOLD} are shown." if len(found) > _TOLD else ""
    columns = (Column("From (UTC)"), Column("To"), Column("Length", number=True), Column("Why nothing came"))
    return Html(paragraph(f"{'; '.join(sums)}.{more}") + table("Pauses, longest first", columns, rows))
