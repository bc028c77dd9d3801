"""The whole page, in one file that needs nothing but itself.

This module owns the frame: title, head, style, order of the parts. The policy in its head lets a browser load nothing,
run nothing and send nothing, whatever a customer wrote into a cell; it names the style by its hash.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files as package_files

from importer.report.model import CHECK, Facts, Step, Summary
from importer.report.page import over_time, sections
from importer.report.page.figures import Figures
from importer.report.page.markup import Html, count, duration, join, own, text

_STYLE = package_files("importer.report.page").joinpath("page.css").read_text(encoding="utf-8")
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'"

_FRAME = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="robots" content="noindex">
<title>{title} – importer</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the report</a>
<header>
<h1>{title}: {state}</h1>
{lead}
<dl>{facts}</dl>
<nav aria-label="Parts of this report"><ul>{links}</ul></nav>
</header>
<main id="main">
{parts}
</main>
<footer>
<p>Written by importer {version}. This page holds customers' data; it loads nothing from the network.</p>
</footer>
</body>
</html>
"""


def render_page(facts: Facts, summary: Summary, figures: Figures, steps: Sequence[Step] = ()) -> bytes:
    """The page as UTF-8; well below 1 MB, however long the run."""
    parts = (
        ("books", "Rows", sections.books(summary)),
        ("in-doubt", "In doubt", sections.doubts(summary, figures.doubts, facts.place)),
        ("reasons", "Reasons", sections.reasons(summary)),
        ("next", "What next", sections.what_next(steps)),
        ("delivery", "Delivery", over_time.delivery(summary, figures)),
        ("answer-times", "Answer times", over_time.answer_times(figures.latencies.result())),
        ("values", "Value", over_time.values(summary, figures)),
        ("days", "By day", over_time.days(summary, figures)),
        ("sources", "Sources", sections.sources(summary)),
        ("mapping", "Mapping", sections.mapping(summary, facts)),
        ("files", "Files", sections.files(summary)),
    )
    page = _FRAME.format(
        policy=_POLICY,
        style=_STYLE,
        title=text(sections.heading(summary)),
        state=text(summary.state),
        lead=join((_lead(summary), sections.next_steps(summary, facts.place))),
        facts=_facts(summary),
        links="".join(f'<li><a href="#{name}">{title}</a></li>' for name, title, part in parts if part),
        parts=join(part for *_, part in parts if part),
        version=text(summary.versions["importer"]),
    )
    return page.encode("utf-8", "backslashreplace")


def _lead(summary: Summary) -> Html:
    rows = summary.rows
    what = (
        f"{count(rows['pending'])} would be sent" if summary.run == CHECK else f"{count(rows['sent'])} were delivered"
    )
    verdict = "" if summary.balanced else ' <span class="bad">The books do not balance.</span>'
    return Html(f'<p class="lead">{count(rows["read"])} rows were read; {what}.{verdict}</p>')


def _facts(summary: Summary) -> str:
    found = [
        ("Begun", _time(summary.started_at)),
        ("Ended", _time(summary.finished_at)),
        ("Took", duration(summary.seconds) if summary.seconds is not None else ""),
        ("Stopped because", own(summary.stop_reason)),
        ("Account", own(summary.account)),
        ("Sent to", own(summary.endpoint)),
    ]
    return "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in found if value)


def _time(iso: str | None) -> str:
    return f'<time datetime="{iso}">{iso[:10]} {iso[11:19]} UTC</time>' if iso else ""
