"""What a check shows on the screen besides the books and the reasons: events foreseen, columns, lines to write.

This module owns layout only, as ``terminal`` does; every figure comes from `CheckSummary`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from importer.report.check_model import CheckSummary, ForeseenEvents, MappingAdvice, SourceColumns
from importer.report.layout import duration, wrapped
from importer.report.wording import shown

_TOP = 8


def advice(given: MappingAdvice) -> Iterator[str]:
    """Where to write what; the line stands alone and unbroken, to be copied."""
    yield wrapped(f"fix: {given.why}; in {shown(given.place)}, write", "    ", "      ")
    yield f"      {shown(given.write)}"


def foreseen(check: CheckSummary) -> Iterator[str]:
    """Blocks of text."""
    if check.foreseen.events:
        yield "\n".join(_events(check.foreseen))
    lines = [line for header in check.columns for line in _columns(header, len(check.columns) > 1)]
    if lines:
        yield "\n".join(lines)


def _events(events: ForeseenEvents) -> Iterator[str]:
    about = "" if events.subscribers_exact else "about "
    yield wrapped(
        f"{_count(events.events, 'event')} for {about}{_count(events.subscribers, 'subscriber')} "
        "(told apart by e-mail, else phone, else id)",
        rest="  ",
    )
    types = [(f"{one.events:,}", f"x {shown(one.type)}") for one in events.types[:_TOP]]
    rest = events.other_types + sum(one.events for one in events.types[_TOP:])
    yield from _table([*types, (f"{rest:,}", "x other types")] if rest else types)
    if events.totals:
        yield "value:"
        yield from _table([(shown(one.total), _currency(one.currency, one.events)) for one in events.totals])
    if events.oldest is not None and events.newest is not None:
        yield wrapped(
            f"from {_minute(events.oldest)} to {_minute(events.newest)} by the source's own time (UTC)", rest="  "
        )
    yield wrapped(
        f"delivery takes about {duration(events.seconds)} at {events.rate:,} events a minute, an assumption: the API "
        "tells its limit when it is asked (--rate N assumes another)",
        rest="  ",
    )


def _currency(name: str, events: int) -> str:
    return f"{name or 'without a currency'}, {_count(events, 'event')}"


def _table(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    width = max((len(number) for number, _ in rows), default=0)
    for number, words in rows:
        yield f"  {number:>{width}} {words}"


def _columns(header: SourceColumns, several: bool) -> Iterator[str]:
    more = f" and {_count(len(header.sources) - 1, 'file')} like it" if len(header.sources) > 1 else ""
    name = f" of {shown(header.sources[0])}{more}" if several else ""
    if header.unmapped:
        yield wrapped(f"columns{name} that nothing maps: {', '.join(map(shown, header.unmapped))}", rest="  ")
    if header.missing:
        yield f"columns that the mapping names and the file{name} lacks:"
    for one in header.missing:
        meant = f" (did you mean {shown(one.nearest)}?)" if one.nearest else ""
        yield wrapped(f"{shown(one.name)}, for {', '.join(map(shown, one.targets))}{meant}", "  ", "    ")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")
