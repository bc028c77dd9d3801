"""The summary that people see when a run ends: plain text, at most 80 columns, nothing that needs colour.

This module owns layout only; every figure comes from `Summary`, so that screen and ``summary.json`` cannot differ.
Printing is the command line's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from importer.model import State
from importer.report.labels import label_of
from importer.report.layout import duration, wrapped
from importer.report.model import CHECK, ReasonSummary, SourceSummary, Step, Summary, Written
from importer.report.terminal_check import advice, foreseen
from importer.report.wording import shown

_TOP = 8
"""Reasons shown; the rest are in ``summary.json``."""


def render_summary(written: Written) -> str:
    """The whole summary, ending in a line break."""
    summary = written.summary
    blocks = [_title(summary), *_sources(summary), "\n".join(_books(summary)), *_reasons(summary)]
    if summary.check is not None:
        blocks += foreseen(summary.check)
    if written.paths:
        blocks.append(_files(written))
    if written.steps:
        blocks.append("\n".join(_steps(written.steps)))
    return "\n\n".join(blocks) + "\n"


def _steps(steps: Iterable[Step]) -> Iterator[str]:
    """Commands stand alone and unbroken, to be copied."""
    yield "next"
    for step in steps:
        yield wrapped(step.words, "  ")
        yield from (f"    {shown(command)}" for command in step.commands)


def _title(summary: Summary) -> str:
    unread = not summary.rows["read"] and any(source.error for source in summary.sources)
    state = "nothing could be read, nothing was sent" if unread else summary.state
    words = [f"{'check' if summary.run == CHECK else f'run {summary.run}'}: {state}"]
    if summary.seconds is not None:
        words.append(f"in {duration(summary.seconds)}")
    if summary.events_per_second is not None:
        words.append(f"({summary.events_per_second:,.1f} events a second)")
    title = wrapped(" ".join(words))
    return title + ("\n" + wrapped(shown(summary.stop_reason), "  ") if summary.stop_reason else "")


def _sources(summary: Summary) -> Iterator[str]:
    broken = [source for source in summary.sources if source.error]
    if empty := [source for source in summary.sources if not source.rows and not source.error]:
        yield "\n".join(wrapped(f"{shown(source.name)}: holds no rows", rest="  ") for source in empty)
    if broken:
        yield "\n".join(wrapped(f"{shown(s.name)}: {_end(s)}: {_trouble(s)}", rest="  ") for s in broken)


def _end(source: SourceSummary) -> str:
    return "not read to its end" if source.rows else "not read"


def _trouble(source: SourceSummary) -> str:
    return shown(source.error.removeprefix(f"{source.name}: "))


def _books(summary: Summary) -> Iterator[str]:
    """The states that have rows, and below the line what they add up to."""
    width = max(len(f"{count:,}") for count in summary.rows.values())
    total = sum(summary.rows[state.value] for state in State)
    for state in State:
        if count := summary.rows[state.value]:
            label, meaning = label_of(summary.run, state)
            yield f"  {label:<9}  {count:>{width},}  {meaning}"
    yield f"  {'-' * (11 + width)}"
    read = summary.rows["read"]
    verdict = "every row is accounted for" if summary.balanced else "THE BOOKS DO NOT BALANCE"
    yield f"  {'rows read':<9}  {read:>{width},}  {verdict}"
    if not summary.balanced:
        yield wrapped(f"the states above add up to {total:,}; please report this as a bug", "  ")


def _reasons(summary: Summary) -> Iterator[str]:
    if not summary.reasons:
        return
    lines = ["reasons:"]
    for reason in summary.reasons[:_TOP]:
        lines.extend(_reason(reason))
    if len(summary.reasons) > _TOP:
        lines.append(f"  and {len(summary.reasons) - _TOP} more, in summary.json")
    yield "\n".join(lines)


def _reason(reason: ReasonSummary) -> Iterator[str]:
    where = f" ({shown(reason.field)})" if reason.field else ""
    warning = ", a warning" if reason.severity == "warning" else ""
    yield wrapped(f"{reason.count:,} x {reason.code}{where}{warning}", "  ", "    ")
    example = reason.example
    place = f"{shown(example.source)}, row {example.row}" + (f", line {example.line}" if example.line else "")
    yield wrapped(f"{place}: {reason.message}", "    ", "      ")
    if reason.advice is not None:
        yield from advice(reason.advice)
    elif reason.fix:
        yield wrapped(f"fix: {reason.fix}", "    ", "      ")


def _files(written: Written) -> str:
    rows = {file.name: file.rows for file in written.summary.files if file.holds != "page"}
    names = max(len(path.name) for path in written.paths)
    counts = max((len(f"{count:,}") for count in rows.values()), default=0)
    # The directory stands alone and unbroken, to be copied.
    lines = ["written to", f"  {shown(str(written.paths[0].parent))}"]
    for path in written.paths:
        noun = "row" if rows.get(path.name) == 1 else "rows"
        count = f"{path.name:<{names}}  {rows[path.name]:>{counts},} {noun}" if path.name in rows else path.name
        lines.append(f"    {shown(count)}")
    if lost := written.summary.without_originals:
        text = f"{lost:,} undelivered rows are in the report only: the ledger no longer keeps their original cells"
        lines.append(wrapped(text, "  "))
    return "\n".join(lines)
