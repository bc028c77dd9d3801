"""``report.html``: a run in one page for people, in one file that loads nothing from anywhere.

The page is a Jinja2 template with autoescape. Every value that enters it is shown on one line with its control
characters escaped (`shown`), before it is escaped as HTML; the policy in its head lets a browser load nothing, run
nothing and send nothing, whatever a customer wrote into a cell, and names the style by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files as package_files
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup, escape

from importer.model import SANDBOX_ENDPOINT, Pause, PauseKind, Run, State
from importer.report.labels import TONES, amount, label_of, source_facts, sources_name, states_in_words
from importer.report.model import CHECK, ReasonSummary, Step, Summary
from importer.report.totals import OUTCOMES, UNSURE, Series, Totals
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


def render_page(
    run: Run, summary: Summary, totals: Totals, steps: Sequence[Step], pauses: Sequence[Pause] = ()
) -> bytes:
    """The page as UTF-8; well below 1 MB, however long the run."""
    errors = [one for one in summary.reasons if one.severity == "error"]
    # Rows in doubt have a part of their own: the user decides there, and corrects here.
    unsure = [one for one in errors if one.code.startswith(UNSURE)]
    fixes = [one for one in errors if one not in unsure]
    checked = run.id == CHECK
    samples = summary.check.samples if summary.check else ()
    return rendered(
        "report.html",
        run=run,
        checked=checked,
        rehearsal=run.endpoint == SANDBOX_ENDPOINT,
        summary=summary,
        title=_title(run, summary, totals),
        parts=list(_parts(summary, checked=checked)),
        undelivered=summary.rows["invalid"] + summary.rows["refused"],
        fixes=[_fix(one, totals) for one in fixes[:_REASONS]],
        more_fixes=max(0, len(fixes) - _REASONS),
        unsure=[_fix(one, totals) for one in unsure],
        warnings=[one for one in summary.reasons if one.severity == "warning"],
        rejects=[one.name for one in summary.files if one.holds == "rejects" and one.rows],
        steps=steps,
        money=summary.totals[:_MONEY],
        money_columns=_money_columns(summary),
        timeline=_timeline(totals.timeline.series(), pauses),
        pauses=_pauses(pauses),
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
    environment = jinja2.Environment(
        autoescape=True,
        extensions=["jinja2.ext.loopcontrols"],
        loader=jinja2.PackageLoader("importer.report"),
        finalize=_finalized,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "amount": amount,
        "duration": duration,
        "counted": counted,
        "lines": _lines,
        "ticked": _ticked,
        "href": lambda name: "./" + quote(name),
        "states": states_in_words,
        "utc": _utc,
        "moment": _moment,
        "unbroken": _unbroken,
    }
    return environment


def _finalized(value: object) -> object:
    """Numbers with their thousands apart; text from anywhere made harmless, shortened, on one line."""
    if isinstance(value, Markup):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, str):
        return shown(value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…")
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


def _title(run: Run, summary: Summary, totals: Totals) -> str:
    rows, name = summary.rows, sources_name(summary)
    if run.id == CHECK:
        ready = rows[State.PENDING.value] + rows[State.GROUPED.value]
        return f"{name}: {ready:,} of {counted(rows['read'], 'row')} ready"
    goal = "sandbox" if run.endpoint == SANDBOX_ENDPOINT else "Sender"
    return f"{name} → {goal}: {rows[State.SENT.value] + totals.grouped_sent:,} of {rows['read']:,} delivered"


def _parts(summary: Summary, *, checked: bool) -> Iterator[dict[str, object]]:
    """The pieces of the bar, a state each; a tone is empty for a state that needs no care, a share is in percent."""
    for state in State:
        if count := summary.rows[state.value]:
            label, meaning = label_of(state, checked=checked)
            share, tone = 100 * count / summary.rows["read"] if summary.rows["read"] else 0.0, TONES.get(state, "")
            yield {"label": label, "meaning": meaning, "tone": tone, "count": count, "share": share}


def _fix(reason: ReasonSummary, totals: Totals) -> dict[str, object]:
    return {"reason": reason, "rows": totals.rows_of(reason.code, reason.field)}


def _money_columns(summary: Summary) -> list[tuple[str, str, str]]:
    """What there is to show of the money: a heading, and the names of its count and its sum."""
    names = ("Sent", "Unconfirmed", "Not sent", "Ready" if summary.check else "Waiting")
    there = zip(names, OUTCOMES, strict=True)
    return [(name, one, f"{one}_total") for name, one in there if any(getattr(row, one) for row in summary.totals)]


def _timeline(series: Series | None, pauses: Sequence[Pause]) -> dict[str, object] | None:
    """Answers over time, in percent of the chart; None where there is nothing to show: under three steps with any."""
    if series is None or sum(any(counts) for counts in series.counts) < 3:
        return None
    most = max(map(sum, series.counts))
    step = 100 / len(series.counts)
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
    middle = (series.begin + series.end) / 2
    highest = f"{most:,} {_each(series.width)}"
    return {
        "rects": rects,
        "shaded": [shade for pause in pauses if (shade := _shade(pause, series))],
        "ticks": [_moment(at, form) for at in (series.begin, middle, series.end)],
        "top": highest,
        "description": f"{_moment(series.begin)} to {_moment(series.end)}, at most {highest}",
    }


def _shade(pause: Pause, series: Series) -> tuple[float, float, str] | None:
    whole = series.end - series.begin
    left = max(0.0, (pause.begun - series.begin) / whole)
    right = min(1.0, (pause.ended - series.begin) / whole)
    if right - left < 0.005:  # too narrow to be seen
        return None
    return 100 * left, 100 * (right - left), f"{_WHY[pause.kind]}, {duration(pause.ended - pause.begun)}"


def _each(width: int) -> str:
    units = ((604_800, "week"), (86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
    size, unit = next((size, unit) for size, unit in units if width % size == 0)
    return f"a {unit}" if width == size else f"in {width // size} {unit}s"


def _pauses(pauses: Sequence[Pause]) -> list[tuple[str, str, Sequence[Pause]]]:
    """By kind: why, how often and how long in all, and the longest of them."""
    found: list[tuple[str, str, Sequence[Pause]]] = []
    for kind, why in _WHY.items():
        those = [one for one in pauses if one.kind == kind]
        if those:
            times = "once" if len(those) == 1 else f"{len(those):,} times"
            length = duration(sum(one.ended - one.begun for one in those))
            longest = sorted(those, key=lambda one: one.begun - one.ended)[:_PAUSES]
            found.append((why, f"{times}, {length} in all", longest))
    return found
