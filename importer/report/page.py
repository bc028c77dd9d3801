"""``report.html``: a run in one page for people, in one file that loads nothing from anywhere.

The page is a Jinja2 template with autoescape. Every value that enters it is shown on one line with its control
characters escaped (`shown`), before it is escaped as HTML; the policy in its head lets a browser load nothing, run
nothing and send nothing, for any text in a cell, and names the style by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from importlib.resources import files as package_files
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup, escape

from importer.model import SANDBOX_ENDPOINT, Pause, PauseKind, Run, State
from importer.report.model import CHECK, Step, Summary
from importer.report.totals import OUTCOMES, UNSURE, Series, Totals
from importer.report.words import amount, label_of, source_facts, sources_name, states_in_words
from importer.wording import counted, duration, shown

_SOURCES = 200
_MAPPING = 65_536
"""Characters of the mapping that are shown."""
_LONGEST = 300
"""Characters of any other value."""
_UNBROKEN = 40
"""Characters of an address that fit a phone's line."""
_PAUSES = 20
_MONEY = 50
_REASONS = 100
_TONES = ("sent", "unsure", "problem", "waiting")
"""Of `OUTCOMES`, in their order."""
_HOLDS = {
    "report": "one line per row of the sources",
    "rejects": "rows that were not delivered, to be corrected and run again",
    "in_doubt": "rows that may have been accepted; do not run this file",
    "page": "this page",
}
_WHY = {
    PauseKind.OUTAGE: "the API was unreachable",
    PauseKind.LIMIT: "the limit was reached",
    PauseKind.STOPPED: "the run was stopped",
    PauseKind.HOURS: "outside the hours of --between",
}
_UNITS = ((604_800, "week"), (86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def render_page(
    run: Run, summary: Summary, totals: Totals, steps: Sequence[Step], pauses: Sequence[Pause] = ()
) -> bytes:
    """The page as UTF-8; well below 1 MB, however long the run."""
    rows, name, checked = summary.rows, sources_name(summary), run.id == CHECK
    rehearsal = run.endpoint == SANDBOX_ENDPOINT
    if checked:
        title = f"{name}: {rows['pending'] + rows['grouped']:,} of {counted(rows['read'], 'row')} ready"
    else:
        delivered = rows["sent"] + totals.grouped_sent
        title = f"{name} → {'sandbox' if rehearsal else 'Sender'}: {delivered:,} of {rows['read']:,} delivered"
    errors = [
        {"reason": one, "rows": totals.rows_of(one.code, one.field), "is_unsure": one.code.startswith(UNSURE)}
        for one in summary.reasons
        if one.severity == "error"
    ]
    # Rows in doubt have a part of their own: the user decides there, and corrects here.
    fixes = [one for one in errors if not one["is_unsure"]]
    samples = summary.check.samples if summary.check else ()
    # What there is to show of the money: a heading, and the names of its count and its sum.
    columns = zip(("Sent", "Unconfirmed", "Not sent", "Ready" if checked else "Waiting"), OUTCOMES, strict=True)
    return rendered(
        "report.html",
        run=run,
        checked=checked,
        rehearsal=rehearsal,
        summary=summary,
        title=title,
        parts=list(_parts(summary, checked=checked)),
        undelivered=rows["invalid"] + rows["refused"],
        fixes=fixes[:_REASONS],
        more_fixes=max(0, len(fixes) - _REASONS),
        unsure=[one for one in errors if one["is_unsure"]],
        warnings=[one for one in summary.reasons if one.severity == "warning"],
        rejects=[one.name for one in summary.files if one.holds == "rejects" and one.rows],
        steps=steps,
        money=summary.totals[:_MONEY],
        money_columns=[
            (heading, one, f"{one}_total")
            for heading, one in columns
            if any(getattr(row, one) for row in summary.totals)
        ],
        timeline=_timeline(totals.timeline.series(), pauses),
        pauses=list(_pauses(pauses)),
        sources=source_facts(summary, _SOURCES),
        samples=[json.dumps(json.loads(one), indent=2, ensure_ascii=False) for one in samples],
        files=[(one.name, _HOLDS.get(one.holds, ""), one.rows) for one in summary.files],
    )


def rendered(template: str, **values: Any) -> bytes:
    """A page by one of the templates, with its style and the policy that lets nothing else in."""
    style = package_files("importer.report").joinpath("templates/page.css").read_text(encoding="utf-8")
    hashed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{hashed}'; base-uri 'none'; form-action 'none'"
    own = Markup(style)  # noqa: S704 - the package's own file
    page = _environment().get_template(template).render(style=own, policy=policy, **values)
    return page.encode("utf-8", "backslashreplace")


@cache
def _environment() -> jinja2.Environment:
    own: dict[str, Callable[..., Any]] = {
        "lines": _lines,
        "ticked": _ticked,
        "href": lambda name: "./" + quote(name),
        "utc": _utc,
        "moment": _moment,
        "unbroken": _unbroken,
    }
    return environment("importer.report", own, _LONGEST)


def environment(package: str, filters: Mapping[str, Callable[..., Any]], most: int = sys.maxsize) -> jinja2.Environment:
    """The templates of a package, which escape everything and show at most so many characters of any text."""
    found = jinja2.Environment(
        autoescape=True,
        extensions=["jinja2.ext.loopcontrols"],
        loader=jinja2.PackageLoader(package),
        finalize=partial(_finalized, most=most),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"amount": amount, "duration": duration, "counted": counted, "states": states_in_words, **filters}
    return found


def _finalized(value: object, most: int = _LONGEST) -> object:
    """Numbers with their thousands apart; text from anywhere made harmless, shortened, on one line."""
    if isinstance(value, Markup):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, str):
        return shown(value if len(value) <= most else f"{value[:most]}…")
    return "" if value is None else value


def _lines(text: str) -> Markup:
    """A text of several lines, which it keeps, each made harmless."""
    cut = text if len(text) <= _MAPPING else f"{text[:_MAPPING]}\n…"
    return Markup("\n").join(shown(line) for line in cut.splitlines())


def _ticked(words: str) -> Markup:
    """Words with `commands` in them."""
    pieces = shown(words).split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if number % 2 else escape(piece) for number, piece in enumerate(pieces)
    )


def _unbroken(address: str) -> Markup:
    """An address: of ordinary length it stays on one line, on the narrowest screen too."""
    usual = "address" if len(address) <= _UNBROKEN else ""
    return Markup('<bdi class="{}">{}</bdi>').format(usual, _finalized(address))


def _utc(iso: str | None) -> Markup:
    if not iso:
        return Markup("")
    return Markup('<time datetime="{}">{} {} UTC</time>').format(iso, iso[:10], iso[11:19])


def _moment(seconds: float, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):  # no calendar has it
        return ""


def _parts(summary: Summary, *, checked: bool) -> Iterator[dict[str, object]]:
    """The pieces of the bar, a state each; a tone is empty for a state that needs no care, a share is in percent."""
    for state in State:
        if count := summary.rows[state.value]:
            label, meaning, tone = label_of(state, checked=checked)
            share = 100 * count / summary.rows["read"] if summary.rows["read"] else 0.0
            yield {"label": label, "meaning": meaning, "tone": tone, "count": count, "share": share}


def _timeline(series: Series | None, pauses: Sequence[Pause]) -> dict[str, object] | None:
    """Answers over time, in percent of the chart; None where there is nothing to show: under three steps with any."""
    if series is None or sum(any(counts) for counts in series.counts) < 3:
        return None
    most, step, whole = max(map(sum, series.counts)), 100 / len(series.counts), series.end - series.begin
    form = "%Y-%m-%d" if series.width >= 86_400 else "%Y-%m-%d %H:%M" if series.width >= 60 else "%H:%M:%S"
    rects = []
    for number, counts in enumerate(series.counts):
        base = 100.0
        begin = _moment(series.begin + number * series.width, form)
        words = ", ".join(f"{n:,} {name.replace('_', ' ')}" for n, name in zip(counts, OUTCOMES, strict=True) if n)
        for count, tone in zip(counts, _TONES, strict=True):
            if count:
                height = max(100 * count / most, 0.8)
                base -= height
                rects.append((number * step, max(base, 0.0), step * 0.86, height, tone, f"{begin}: {words}"))
    shaded = []
    for pause in pauses:
        left, right = (pause.begun - series.begin) / whole, (pause.ended - series.begin) / whole
        left, right = max(0.0, left), min(1.0, right)
        if right - left >= 0.005:  # else too narrow to be seen
            words = f"{_WHY[pause.kind]}, {duration(pause.ended - pause.begun)}"
            shaded.append((100 * left, 100 * (right - left), words))
    size, unit = next((size, unit) for size, unit in _UNITS if series.width % size == 0)
    highest = f"{most:,} " + (f"a {unit}" if series.width == size else f"in {series.width // size} {unit}s")
    return {
        "rects": rects,
        "shaded": shaded,
        "ticks": [_moment(at, form) for at in (series.begin, series.begin + whole / 2, series.end)],
        "top": highest,
        "description": f"{_moment(series.begin)} to {_moment(series.end)}, at most {highest}",
    }


def _pauses(pauses: Sequence[Pause]) -> Iterator[tuple[str, str, Sequence[Pause]]]:
    """By kind: why, how often and how long in all, and the longest of them."""
    for kind, why in _WHY.items():
        if those := [one for one in pauses if one.kind == kind]:
            times = "once" if len(those) == 1 else f"{len(those):,} times"
            length = duration(sum(one.ended - one.begun for one in those))
            yield why, f"{times}, {length} in all", sorted(those, key=lambda one: one.begun - one.ended)[:_PAUSES]
