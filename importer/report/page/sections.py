"""The page's parts that say what became of the rows: books, doubts, reasons, sources, mapping, files.

This module owns their words. What happens over time, and what events are worth, is ``over_time``'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import quote

from importer.model import State
from importer.report.labels import label_of
from importer.report.model import CHECK, Facts, ReasonSummary, SourceSummary, Step, Summary
from importer.report.page.charts import Part, bar
from importer.report.page.figures import Doubt
from importer.report.page.markup import Column, Html, count, details, join, lines, own, paragraph, section, table, text

REASONS = 100
"""Reasons listed; the rest are in ``summary.json``."""
OPEN = 10
"""Rows in doubt that are seen at once; the others have to be opened."""
SOURCES = 200
"""Sources listed."""
_MAPPING = 65_536
"""Characters of the mapping that are shown."""
_HOLDS = {
    "report": "one line per row of the sources",
    "rejects": "rows that were not delivered, to be mended and run again",
    "in_doubt": "rows that may have been accepted; do not run this file",
    "page": "this page",
}


def books(summary: Summary) -> Html:
    """What was read, and what became of it, so that the sum is seen to add up."""
    there = [(state, summary.rows[state.value]) for state in State if summary.rows[state.value]]
    total = sum(number for _, number in there)
    read = summary.rows["read"]
    rows = []
    for state, number in there:
        label, meaning = label_of(summary.run, state)
        swatch = f'<span class="swatch {state.value}" aria-hidden="true"></span>'
        rows.append((f"{swatch}{label}", _ticked(meaning), count(number), _share(number, read)))
    columns = (Column("State"), Column("What it means"), Column("Rows", number=True), Column("Share", number=True))
    sum_of = " + ".join(count(number) for _, number in there) or "0"
    if summary.balanced:
        verdict = paragraph(
            f'<span class="equation">{sum_of} = {count(read)}</span>: <span class="good">every row is accounted for'
            "</span>."
        )
    else:
        verdict = paragraph(
            f'<span class="bad">The books do not balance.</span> The states add up to {count(total)}, but {count(read)}'
            " rows were read. Please report this as a bug."
        )
    parts = [Part(label_of(summary.run, state)[0], state.value, number) for state, number in there]
    foot = ("rows read", "", count(read), "")
    return section(
        "books",
        "What became of every row",
        bar("books-bar", "Rows by state", parts) if there else paragraph("No row was read."),
        table("Rows by state", columns, rows, foot) if there else "",
        verdict,
    )


def _share(number: int, whole: int) -> str:
    share = 100 * number / whole if whole else 0.0
    return "under 0.1 %" if 0 < share < 0.1 else f"{share:.1f} %"


def _ticked(words: str) -> str:
    """Words with `commands` in them."""
    pieces = text(words).split("`")
    return "".join(f"<code>{piece}</code>" if number % 2 else piece for number, piece in enumerate(pieces))


def doubts(summary: Summary, found: Sequence[Doubt], place: str) -> Html:
    """The rows in doubt, and what to do about them; empty if there are none."""
    total = summary.rows[State.IN_DOUBT.value]
    if not total:
        return Html("")
    rows = [_doubt(one) for one in found]
    columns = [Column(title) for title in ("Row", "Subscriber", "Type", "Why")]
    rest = rows[OPEN:]
    further = details(
        f"{count(len(rest))} more rows in doubt", table("Further rows in doubt", columns, rest) if rest else ""
    )
    more = paragraph(f"… and {count(total - len(rows))} more, in the in-doubt file.") if total > len(rows) else ""
    run = f"{text(summary.run)}{text(place)}"
    return section(
        "in-doubt",
        f"{count(total)} {'row' if total == 1 else 'rows'} in doubt: your decision",
        paragraph(
            "These events left, but no clear answer came. They may be in Sender or not, so they are not sent again by"
            " themselves. Look there (a subscriber's activity log shows each event), then say which it is:"
        ),
        paragraph("They did arrive; count them as sent:", "label"),
        f'<pre class="copy" tabindex="0">importer resolve {run} --assume-sent</pre>',
        paragraph("They did not; send them again with the next <code>importer resume</code>:", "label"),
        f'<pre class="copy" tabindex="0">importer resolve {run} --resend</pre>',
        paragraph("A single row: add <code>--row SOURCE:ROW</code>, as often as needed.", "soft"),
        table("The first rows in doubt" if rest else "Rows in doubt", columns, rows[:OPEN]),
        further if rest else "",
        more,
    )


def _doubt(one: Doubt) -> tuple[str, ...]:
    line = f'<br><span class="soft">line {count(one.line)}</span>' if one.line else ""
    return f"{own(one.source)}, row {count(one.row)}{line}", own(one.subscriber), own(one.type), own(one.message)


def reasons(summary: Summary) -> Html:
    """Why rows were not sent, or what they were warned of."""
    if not summary.reasons:
        return section("reasons", "Reasons", paragraph("No row has an error or a warning."))
    columns = (Column("Reason"), Column("Rows", number=True), Column("Example"), Column("What to do"))
    rows = [_reason(one) for one in summary.reasons[:REASONS]]
    rest = len(summary.reasons) - len(rows)
    more = paragraph(f"… and {count(rest)} more reasons, in summary.json.") if rest else ""
    caption = "Errors and warnings, most frequent first; a row may have several"
    return section("reasons", "Reasons", table(caption, columns, rows), more)


def what_next(steps: Sequence[Step]) -> Html:
    """The commands that settle what was not delivered; the doubts have theirs where they stand."""
    parts = [
        paragraph(f"{text(step.words[:1].upper() + step.words[1:])}:", "label")
        + "".join(f'<pre class="copy" tabindex="0">{text(command, _MAPPING)}</pre>' for command in step.commands)
        for step in steps
        if not step.told_with_rows
    ]
    return section("next", "What to do next", *parts) if parts else Html("")


def _reason(one: ReasonSummary) -> tuple[str, ...]:
    field = f'<br><span class="soft">{own(one.field)}</span>' if one.field else ""
    warning = '<br><span class="soft">a warning</span>' if one.severity == "warning" else ""
    example = one.example
    line = f", line {count(example.line)}" if example.line else ""
    place = f'<span class="soft">{own(example.source)}, row {count(example.row)}{line}</span>'
    name = f"<code>{text(one.code)}</code>{field}{warning}"
    return name, count(one.count), f"{own(one.message)}<br>{place}", _ticked(one.fix)


def sources(summary: Summary) -> Html:
    """The files that were read."""
    troubled = any(one.error for one in summary.sources)
    columns = [Column("Source"), Column("Rows", number=True), Column("Trouble")][: 3 if troubled else 2]
    rows = [_source(one)[: len(columns)] for one in summary.sources[:SOURCES]]
    rest = len(summary.sources) - len(rows)
    more = paragraph(f"… and {count(rest)} more, in summary.json.") if rest else ""
    if not rows:
        return section("sources", "Sources", paragraph("No source was read."))
    return section("sources", "Sources", table("What was read", columns, rows), more)


def _source(one: SourceSummary) -> tuple[str, str, str]:
    trouble = one.error.removeprefix(f"{one.name}: ")
    said = f'<span class="bad">not read to its end</span>: {own(trouble)}' if trouble else ""
    return own(one.name), count(one.rows), said


def mapping(summary: Summary, facts: Facts) -> Html:
    """The mapping that was used, word for word."""
    words = f"{own(summary.mapping.name)}; digest <code>{text(summary.mapping.digest[:12])}</code>"
    shown = details("Show the mapping", f'<pre tabindex="0">{lines(facts.mapping_text, _MAPPING)}</pre>')
    return section("mapping", "Mapping", paragraph(words), shown if facts.mapping_text else "")


def files(summary: Summary) -> Html:
    """What was written beside the page."""
    rows = [
        (_link(one.name), _HOLDS.get(one.holds, ""), count(one.rows) if one.holds != "page" else "")
        for one in summary.files
    ]
    rows.append((_link("summary.json"), "the books and the reasons, for programs", ""))
    columns = (Column("File"), Column("What it holds"), Column("Rows", number=True))
    lost = summary.without_originals
    note = f"{count(lost)} undelivered rows are in the report only: the ledger no longer keeps their original cells."
    return section(
        "files", "Files beside this page", table("Written together", columns, rows), paragraph(note) if lost else ""
    )


def _link(name: str) -> str:
    return f'<a href="./{text(quote(name))}">{own(name)}</a>'


def heading(summary: Summary) -> str:
    """The page's title, as plain text."""
    return "Check" if summary.run == CHECK else f"Run {summary.run}"


def next_steps(summary: Summary, place: str) -> Html:
    """What to do now, if anything."""
    return join(paragraph(words, "lead") for words in _next_steps(summary, place))


def _next_steps(summary: Summary, place: str) -> Iterator[str]:
    rows = summary.rows
    if rows[State.IN_DOUBT.value]:
        yield f'<a href="#in-doubt">{count(rows[State.IN_DOUBT.value])} in doubt</a>: they need your decision.'
    if rows[State.PENDING.value] and summary.run != CHECK:
        left = count(rows[State.PENDING.value])
        yield f"{left} still to be sent: <code>importer resume {text(summary.run + place)}</code> goes on."
    if (known := rows[State.DUPLICATE.value]) and not rows[State.SENT.value]:
        yield f"{count(known)} had been delivered before, and are not sent twice."
    if failed := rows[State.FAILED.value]:
        yield f'{count(failed)} failed, and may have been accepted: <a href="#reasons">what to do</a>.'
    undelivered = rows[State.INVALID.value] + rows[State.REFUSED.value]
    if undelivered:
        verb = "cannot be" if summary.run == CHECK else "were not"
        yield f'{count(undelivered)} {verb} delivered: <a href="#reasons">why, and what to do</a>.'
