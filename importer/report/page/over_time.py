"""The page's parts with an axis: delivery, answer times, value, and the source's own days.

This module owns what is drawn there and what is said beside it. Adding up is done before it is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

from babel.numbers import get_currency_precision

from importer.report.model import CHECK, Summary
from importer.report.page.buckets import Series
from importer.report.page.charts import Chart, chart, legend
from importer.report.page.figures import Figures
from importer.report.page.latencies import EDGES, AnswerTimes
from importer.report.page.markup import (
    Column,
    Html,
    count,
    details,
    duration,
    moment,
    own,
    paragraph,
    section,
    table,
    text,
)
from importer.report.page.pauses import MARKED, Still, kinds, longest, stills, told
from importer.report.page.values import Worth

PAUSE = 90.0
"""Seconds without an answer that count as a pause: more than the window of a limit per minute."""
_KINDS = ("sent", "in_doubt", "refused", "pending")
_ANSWERS = ("delivered", "in doubt", "refused or failed", "to be sent again")
_EVENTS = ("delivered", "in doubt", "not delivered", "still to be sent")
_CHECKED = ("delivered", "in doubt", "cannot be sent", "valid")
_CLASSES = 6
"""Least classes of a histogram."""
_VALUES = 50
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def delivery(summary: Summary, figures: Figures) -> Html:
    """Answers over the time of the run, with the times in which none came."""
    series = figures.delivery.series(PAUSE)
    if series is None:
        words = "A check sends nothing." if summary.run == CHECK else "Nothing was sent."
        return section("delivery", "Delivery", paragraph(words))
    most = max(map(sum, series.counts))
    end = series.begin + series.width * len(series.counts)
    top = f"{60 * most / series.width:,.0f} a minute" if series.width >= 60 else f"{most:,} {_each(series.width)}"
    still = stills(figures.halts, series.pauses, (series.begin, end))
    drawn = replace(
        _chart("delivery-chart", "Answers over time", series, _ANSWERS),
        description=f"{_span(series.begin, end)}; at most {top}; {len(still)} pauses",
        top=top,
        shaded=[_shade(one, series) for one in longest(still, MARKED)],
    )
    colours = _legend(series, _ANSWERS) + kinds(still)
    rate = summary.events_per_second
    fast = f" On average {rate * 60:,.0f} a minute." if rate else ""
    return section(
        "delivery",
        "Delivery",
        paragraph(f"{_answers(series)} {_span(series.begin, end)} (UTC).{fast}"),
        chart(drawn),
        legend(colours),
        told(still),
        details(f"As a table, by {_step(series.width)}", _as_table(series, _ANSWERS)),
    )


def _answers(series: Series) -> str:
    total = sum(map(sum, series.counts))
    return f"{count(total)} rows got their last answer," if total != 1 else "One row got its last answer,"


def answer_times(times: AnswerTimes | None) -> Html:
    """How long the API took."""
    if times is None:
        return Html("")
    middle = ", ".join(f"{percent} % within {_ms(value)}" for percent, value in times.percentiles)
    names = [f"up to {_ms(edge)}" for edge in EDGES] + [f"over {_ms(EDGES[-1])}"]
    there = [number for number, answers in enumerate(times.classes) if answers]
    last = min(max(there[-1] + 1, there[0] + _CLASSES), len(names))
    shown = range(min(there[0], last - _CLASSES), last)
    columns = [(times.classes[number],) for number in shown]
    drawn = Chart(
        name="times-chart",
        title="Answer times",
        description=middle,
        kinds=("pending",),
        columns=columns,
        labels=[f"{names[number]}: {times.classes[number]:,}" for number in shown],
        scale=_thinned([_ms(EDGES[n]) if n < len(EDGES) else "more" for n in shown], 8),
        top=count(max(times.classes)),
        centred=len(shown) <= 8,
    )
    rows = [(names[number], count(times.classes[number])) for number in shown]
    heads = (Column("Answered within"), Column("Answers", number=True))
    return section(
        "answer-times",
        "Answer times",
        paragraph(
            f"Of {count(times.answers)} answers {middle}; {_ms(times.least)} at least, {_ms(times.most)} at most."
        ),
        chart(drawn),
        details("As a table", table("Answers by the time they took", heads, rows)),
    )


def _ms(milliseconds: float) -> str:
    if milliseconds >= 1_000:
        return f"{milliseconds / 1_000:,.3g} s"
    return f"{milliseconds:.3g} ms"


def values(summary: Summary, figures: Figures) -> Html:
    """What the events are worth, per type and currency."""
    kinds = figures.values.by_kind
    if not kinds:
        return Html("")
    ranked = sorted(kinds.items(), key=lambda one: (-(one[1].delivered + one[1].other), one[0]))
    rows = [_worth(name, currency, worth) for (name, currency), worth in ranked[:_VALUES]]
    rest = len(ranked) - len(rows)
    more = f"{count(rest)} more types and currencies are not shown." if rest else ""
    beyond = figures.values.rest
    if beyond.delivered or beyond.other:
        more = f"{count(rest)} more types and currencies, and {count(beyond.delivered + beyond.other)} events of others"
    checked = summary.run == CHECK
    titles = ("Type", "Currency", "Delivered", "Value", "Valid" if checked else "Not delivered", "Value")
    columns = [Column(title, number=place > 1) for place, title in enumerate(titles)]
    return section(
        "values",
        "Value per type and currency",
        table("Sums are exact; amounts without a currency stand apart", columns, rows),
        paragraph(more) if more else "",
    )


def _worth(name: str, currency: str, worth: Worth) -> tuple[str, ...]:
    return (
        own(name) or "(no type)",
        own(currency),
        count(worth.delivered),
        _amount(worth.delivered_sum, currency) if worth.delivered else "",
        count(worth.other),
        _amount(worth.other_sum, currency) if worth.other else "",
    )


def _amount(value: Decimal, currency: str) -> str:
    """All its digits, and at least as many behind the point as the currency's money has."""
    exponent = value.adjusted()
    if exponent > 20 or (value and exponent < -10):
        return f"{value:.6e}"
    plain = f"{value:,f}"
    whole, _, fraction = plain.partition(".")
    fraction = fraction.rstrip("0")
    fraction = fraction.ljust(max(2 if fraction else 0, get_currency_precision(currency) if currency else 0), "0")
    return f"{whole}.{fraction}" if fraction else whole


def days(summary: Summary, figures: Figures) -> Html:
    """Events by the source's own time."""
    series = figures.event_time.series(float("inf"))
    if series is None:
        return Html("")
    names = _CHECKED if summary.run == CHECK else _EVENTS
    drawn = _chart("days-chart", "Events by the source's own time", series, names)
    step = _step(series.width)
    end = series.begin + series.width * (len(series.counts) - 1)
    words = (
        f"When it happened, as the source tells it: {moment(series.begin, '%Y-%m-%d')} to {moment(end, '%Y-%m-%d')}."
    )
    return section(
        "days",
        f"Events per {step}",
        paragraph(words),
        chart(drawn),
        legend(_legend(series, names)),
        details("As a table", _as_table(series, names)),
    )


def _chart(name: str, title: str, series: Series, names: Sequence[str]) -> Chart:
    labels = [
        f"{_when(begin, series.width)}: " + (", ".join(_named(counts, names)) or "nothing")
        for begin, counts in _steps(series)
    ]
    ends = [moment(begin, "%Y-%m-%d" if series.width >= 86_400 else "%m-%d %H:%M:%S") for begin, _ in _steps(series)]
    if series.width < 86_400 and ends[0][:5] == ends[-1][:5]:
        ends = [end[6:] for end in ends]
    return Chart(
        name=name,
        title=title,
        description=f"{ends[0]} to {ends[-1]}, by {_step(series.width)}",
        kinds=_KINDS,
        columns=series.counts,
        labels=[text(label) for label in labels],
        scale=_thinned(ends, 3),
        top=count(max(map(sum, series.counts))),
    )


def _steps(series: Series) -> Iterator[tuple[float, tuple[int, ...]]]:
    return ((series.begin + number * series.width, counts) for number, counts in enumerate(series.counts))


def _named(counts: Sequence[int], names: Sequence[str]) -> Iterator[str]:
    return (f"{number:,} {name}" for number, name in zip(counts, names, strict=True) if number)


def _as_table(series: Series, names: Sequence[str]) -> Html:
    used = [place for place in range(len(names)) if any(counts[place] for counts in series.counts)]
    columns = [Column("From (UTC)"), *(Column(names[place].capitalize(), number=True) for place in used)]
    rows = [
        (_when(begin, series.width), *(count(counts[place]) for place in used))
        for begin, counts in _steps(series)
        if any(counts)
    ]
    return table(f"By {_step(series.width)}; steps without anything are left out", columns, rows)


def _legend(series: Series, names: Sequence[str]) -> list[tuple[str, str]]:
    there = [any(counts[place] for counts in series.counts) for place in range(len(names))]
    return [(kind, name) for kind, name, used in zip(_KINDS, names, there, strict=True) if used]


def _when(seconds: float, width: int) -> str:
    return moment(seconds, "%Y-%m-%d" if width >= 86_400 else "%Y-%m-%d %H:%M:%S")


def _span(begin: float, end: float) -> str:
    return f"from {moment(begin)} to {moment(end)}"


def _each(width: int) -> str:
    return "a second" if width == 1 else f"in {_step(width)}"


def _step(width: int) -> str:
    size, unit = next((size, unit) for size, unit in _UNITS if width % size == 0)
    if width == 7 * 86_400:
        return "week"
    if width % (7 * 86_400) == 0:
        return f"{width // (7 * 86_400)} weeks"
    return unit if width == size else f"{width // size} {unit}s"


def _shade(one: Still, series: Series) -> tuple[float, float, str, str]:
    length = series.width * len(series.counts)
    begin, end = max(0.0, (one.begin - series.begin) / length), min(1.0, (one.end - series.begin) / length)
    return begin, end, one.kind, f"{one.why}, {duration(one.end - one.begin)} from {moment(one.begin)}"


def _thinned(words: Sequence[str], most: int) -> list[str]:
    """At most so many of them, the first and the last among them, evenly apart."""
    if len(words) <= most:
        return list(words)
    return [words[round(place * (len(words) - 1) / (most - 1))] for place in range(most)]
