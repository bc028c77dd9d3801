"""Times as users type them, as a delivery's schedule.

This module owns the forms of ``--until``, ``--for`` and ``--between``.
"""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

from importer.errors import UsageError

if TYPE_CHECKING:
    from importer.deliver import Schedule


def schedule(until: str | None, lasting: float | None, between: str | None, now: datetime) -> Schedule:
    """The schedule; ``now`` is the present in the machine's zone. Raises `UsageError` for what cannot be meant."""
    from importer.deliver import Schedule

    ends = []
    if until:
        ends.append(_until(until, now).timestamp())
    if lasting is not None:
        ends.append(now.timestamp() + lasting)
    return Schedule(until=min(ends) if ends else None, between=_between(between) if between else None)


def _until(text: str, now: datetime) -> datetime:
    if clock := _clock(text):
        moment = now.replace(hour=clock.hour, minute=clock.minute, second=0, microsecond=0)
        return moment if moment > now else moment + timedelta(days=1)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--until {text}: not a time", hint="write 06:00, or 2026-11-30 06:00, in this machine's zone"
        ) from None
    moment = moment.astimezone() if moment.tzinfo is None else moment
    if moment <= now:
        raise UsageError(f"--until {text}: that time has passed", hint="give a time to come")
    return moment


def _between(text: str) -> tuple[time, time]:
    begin, _, end = text.partition("-")
    first, second = _clock(begin.strip()), _clock(end.strip())
    if first is None or second is None or first == second:
        raise UsageError(f"--between {text}: not two times of day", hint="write 22:00-06:00, in this machine's zone")
    return first, second


def _clock(text: str) -> time | None:
    match = re.fullmatch(r"(\d{1,2}):(\d{2})", text)
    if not match or int(match[1]) > 23 or int(match[2]) > 59:
        return None
    return time(int(match[1]), int(match[2]))
