"""What a live run is about to do, in words: shown before it asks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from decimal import Decimal

from importer.model import Counts, State
from importer.pipeline.console import Forecast
from importer.report.words import amount
from importer.wording import brief, counted, duration, event_in_words, shown

_VALUES = 6
"""Types and currencies whose values are shown."""
_REAL = "Each event is recorded as happening now, and can start automations:\ne-mails to real people."


def forecast_line(forecast: Forecast) -> str:
    """One run of many in one line."""
    outlook = forecast.outlook
    time_needed = "" if forecast.seconds is None else f", about {duration(forecast.seconds)}"
    people = counted(outlook.subscribers, "subscriber")
    return f"run {forecast.run.id}: {counted(outlook.events, 'event')} to {people}{time_needed}"


def forecast_lines(forecast: Forecast) -> Iterator[str]:
    """Events, subscribers, types, values, source times, how long it takes, and an example."""
    outlook, rehearsal = forecast.outlook, forecast.rehearsal
    events, first, limit = outlook.events, forecast.first, forecast.most
    left_out = _left_out(forecast)
    most = f"; most for one: {outlook.most_for_one:,} ({shown(outlook.most_subscriber)})" if events else ""
    yield f"run {forecast.run.id} is about to send to {_place(forecast.endpoint, rehearsal=rehearsal)}:"
    yield f"  events       {events:,}" + (
        f" of {counted(forecast.counts.read, 'row')}; not sent: {left_out}" if left_out else ""
    )
    if limit is not None and limit < events:
        yield f"  in all now   {limit:,} of them (--max-events); {events - limit:,} wait for `importer resume`"
    if first is not None and first < min(events, limit or events):
        yield f"  at first     {first:,} of them (--first); then it asks again"
    yield f"  subscribers  {outlook.subscribers:,}{most}"
    yield "  types        " + ", ".join(f"{shown(name)} ({count:,})" for name, count in outlook.types)
    for kind, currency, count, total in outlook.totals[:_VALUES]:
        worth = f"{amount(total, currency, named=False)} {shown(currency) or '(no currency)'}"
        yield f"  value        {worth} in {counted(count, 'event')} of type {shown(kind)}"
    if (more := len(outlook.totals) - _VALUES) > 0:
        yield f"               … and {more:,} more types or currencies"
    if outlook.oldest is not None and outlook.newest is not None:
        days = (time.strftime("%Y-%m-%d", time.gmtime(moment)) for moment in (outlook.oldest, outlook.newest))
        yield f"  source time  {' to '.join(days)}"
    if forecast.limit is not None and forecast.seconds is not None:
        yield f"  will take    about {duration(forecast.seconds)} at {counted(forecast.limit, 'request')} a minute"
    elif not rehearsal:
        yield "  will take    unknown: the API did not name its limit"
    if not rehearsal:
        yield "  one of them"
        yield from (f"    {brief(line, 74)}" for line in (event_in_words(outlook.example) if outlook.example else []))
        yield _REAL


def accounts_lines(accounts: Sequence[tuple[str, Forecast | str]], *, rehearsal: bool) -> Iterator[str]:
    """What each account is about to send: events, subscribers, value per currency, and how long it takes."""
    ready = sum(not isinstance(forecast, str) for _, forecast in accounts)
    verb = "is" if ready == 1 else "are"
    yield f"{counted(ready, 'account')} {verb} about to send to {_place('the API', rehearsal=rehearsal)}:"
    wide = max(len(name) for name, _ in accounts)
    for name, forecast in accounts:
        if isinstance(forecast, str):
            yield f"  {name:<{wide}}  sends nothing: {shown(forecast)}"
            continue
        outlook, sums = forecast.outlook, dict[str, Decimal]()
        for _, currency, _, total in outlook.totals:
            sums[currency] = sums.get(currency, Decimal()) + Decimal(total)
        worth = [amount(str(total), currency) if currency else str(total) for currency, total in sums.items()]
        needed = "" if forecast.seconds is None else f"about {duration(forecast.seconds)}"
        parts = [counted(outlook.events, "event"), counted(outlook.subscribers, "subscriber"), *worth, needed]
        left_out = _left_out(forecast)
        yield f"  {name:<{wide}}  {', '.join(filter(None, parts))}" + (f" (not sent: {left_out})" if left_out else "")
    if not rehearsal:
        yield _REAL


def counts_in_words(counts: Counts, *states: State) -> str:
    """``400 invalid, 30 filtered``: those of the states that have rows."""
    return ", ".join(f"{counts[state]:,} {state.value.replace('_', ' ')}" for state in states if counts[state])


def _left_out(forecast: Forecast) -> str:
    return counts_in_words(forecast.counts, State.INVALID, State.FILTERED, State.GROUPED, State.DUPLICATE)


def _place(endpoint: str, *, rehearsal: bool) -> str:
    return "the sandbox on this machine" if rehearsal else endpoint
