"""From what a run left behind to where its file belongs.

This module owns that judgement, be the run's result at hand or, after a crash, only its ``summary.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from importer.errors import ExitCode
from importer.model import RunState, State
from importer.pipeline.program import Result
from importer.watch.inbox import Inbox
from importer.watch.outcome import Place

_UNDELIVERED = (State.INVALID, State.REFUSED, State.FAILED, State.IN_DOUBT)


@dataclass(frozen=True, slots=True)
class Settled:
    """Where a file goes, and why."""

    place: Place
    code: ExitCode
    reason: str = ""
    run: str = ""
    rows: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, result: Result) -> Settled:
        """What a run's end means for its file."""
        summary = result.written.summary
        code = result.exit_code
        place = Place.DONE
        reason = ""
        if code is ExitCode.STOPPED:
            place, reason = Place.PROCESSING, f"stopped: {result.ended.reason}"
        elif broken := [one.error for one in summary.sources if one.error]:
            place, code, reason = Place.FAILED, ExitCode.UNUSABLE, "; ".join(broken)
        elif not result.written.balanced:
            place, reason = Place.FAILED, "the books of the run do not balance; please report this as a bug"
        return cls(place, code, reason, result.run.id, summary.rows)


def settled_before(inbox: Inbox, own: str) -> Settled | None:
    """What became of a file whose importer died after its run had finished; None if there is still something to do."""
    place = inbox.half_moved(own) or Place.PROCESSING
    try:
        summary: dict[str, Any] = msgspec.json.decode((inbox.report(own, place) / "summary.json").read_bytes())
    except (OSError, msgspec.DecodeError):
        summary = {}
    if place is Place.FAILED:
        return _failed(inbox, own, summary)
    if summary.get("state") != RunState.FINISHED:
        return None
    rows = {str(name): int(count) for name, count in summary["rows"].items()}
    whole = summary["balanced"] and not any(rows[state] for state in _UNDELIVERED)
    return Settled(Place.DONE, ExitCode.DELIVERED if whole else ExitCode.INCOMPLETE, "", str(summary["run"]), rows)


def _failed(inbox: Inbox, own: str, summary: Mapping[str, Any]) -> Settled:
    try:
        reason = (inbox.report(own, Place.FAILED) / "reason.txt").read_text(encoding="utf-8").strip()
    except OSError:
        reason = "see its report"
    return Settled(Place.FAILED, ExitCode.UNUSABLE, reason, str(summary.get("run") or ""), summary.get("rows", {}))
