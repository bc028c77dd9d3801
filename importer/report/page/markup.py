"""HTML from text: everything that enters the page goes through here.

This module owns escaping, shortening and the few elements that the page is made of. `Html` is text that is markup
already; plain ``str`` is never put on the page but through `text`.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NewType

from importer.report.wording import shown

Html = NewType("Html", str)

_UNITS = ((3_600, 60, "min", 1, "s"), (86_400, 3_600, "h", 60, "min"), (float("inf"), 86_400, "d", 3_600, "h"))
"""Below so many seconds: the unit and the smaller one beside it, each with its seconds."""

LONGEST = 300
"""Characters of a value that the page shows."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    title: str
    number: bool = False
    """Set in figures, to the right."""


def text(value: str, most: int = LONGEST) -> Html:
    """A value from a file, a mapping or the API: shortened, on one line, without direction marks, escaped."""
    cut = value if len(value) <= most else f"{value[:most]}…"
    return Html(html.escape(shown(cut)))


def own(value: str, most: int = LONGEST) -> Html:
    """As `text`, set apart, so that a value written from right to left leaves the rest of the line alone."""
    return Html(f"<bdi>{text(value, most)}</bdi>") if value else Html("")


def lines(value: str, most: int) -> Html:
    """A text of several lines, which it keeps, each made harmless."""
    cut = value if len(value) <= most else f"{value[:most]}\n…"
    return Html("\n".join(html.escape(shown(line)) for line in cut.splitlines()))


def join(parts: Iterable[str]) -> Html:
    """Markup, one piece below the other."""
    return Html("\n".join(parts))


def section(name: str, title: str, *parts: str) -> Html:
    """A part of the page with a heading of its own."""
    return Html(
        f'<section id="{name}" aria-labelledby="{name}-h">\n<h2 id="{name}-h">{title}</h2>\n{join(parts)}\n</section>'
    )


def paragraph(words: str, kind: str = "") -> Html:
    """A paragraph of markup."""
    return Html(f'<p class="{kind}">{words}</p>' if kind else f"<p>{words}</p>")


def table(caption: str, columns: Sequence[Column], rows: Iterable[Sequence[str]], foot: Sequence[str] = ()) -> Html:
    """A table of markup; the first cell of each row is the row's heading. On a phone rows become blocks."""
    head = "".join(f'<th scope="col"{_class(column)}>{column.title}</th>' for column in columns)
    body = "\n".join(_row(columns, row) for row in rows)
    footer = f"\n<tfoot>\n{_row(columns, foot)}\n</tfoot>" if foot else ""
    above = f"<caption>{caption}</caption>\n<thead><tr>{head}</tr></thead>"
    return Html(f"<table>\n{above}\n<tbody>\n{body}\n</tbody>{footer}\n</table>")


def details(title: str, content: str) -> Html:
    """Something to be opened by whoever wants it."""
    return Html(f"<details>\n<summary>{title}</summary>\n{content}\n</details>")


def _row(columns: Sequence[Column], cells: Sequence[str]) -> str:
    first = f'<th scope="row"{_class(columns[0])}>{cells[0]}</th>'
    rest = "".join(
        f'<td data-label="{column.title}"{_class(column)}><div>{cell}</div></td>' if cell else '<td class="none"></td>'
        for column, cell in zip(columns[1:], cells[1:], strict=True)
    )
    return f"<tr>{first}{rest}</tr>"


def _class(column: Column) -> str:
    return ' class="n"' if column.number else ""


def count(number: int) -> str:
    """A number with its thousands told apart."""
    return f"{number:,}"


def moment(seconds: float, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A time in UTC; empty for one that no calendar has."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        return ""


def duration(seconds: float) -> str:
    """A length of time in at most two units."""
    if seconds < 10:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    _, size, unit, small, rest_unit = next(one for one in _UNITS if seconds < one[0])
    whole, rest = divmod(round(seconds / small), size // small)
    return f"{whole:,} {unit} {rest} {rest_unit}" if rest else f"{whole:,} {unit}"
