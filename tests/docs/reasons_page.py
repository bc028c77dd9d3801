"""docs/reasons.md: the reason codes as the program has them, so that page and program cannot differ.

``python -m tests.docs.reasons_page > docs/reasons.md`` writes it; a test keeps it current.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from importer.reasons import LIFTED_BY_STRICT, REASONS

_SECTIONS = {
    "Rows that cannot be read": ("row", "source"),
    "The subscriber": ("subscriber", "id", "email", "phone"),
    "Type, value and currency": ("type", "value", "currency"),
    "Properties": ("property", "properties", "field"),
    "The account": ("account",),
    "Order and key": ("order_by", "key"),
    "The filter and the lookups": ("filtered", "where", "lookup"),
    "Groups": ("group",),
    "The outcome of sending": ("api", "duplicate", "doubt", "failed"),
}
"""The documentation's headings, and the first words of the codes below each."""

_PREAMBLE = """\
# Reason codes

<!-- Written by `python -m tests.docs.reasons_page > docs/reasons.md`; do not edit. -->

Every row that is not sent, and every row that is sent with a warning, carries at least one of these codes in
`report.csv`, `rejects.csv` and `summary.json`. Codes are stable: they may be added to, but none changes its meaning.
An *error* keeps the row from being sent, a *warning* does not, and *info* says why a row is not wanted.
{lifted} becomes an error with `--strict`.

Where a rule comes from: **E** the endpoint's page, **A** the API's other public pages, **D** a decision of ours
where the documentation is silent, else the standard that is named.
"""


def page() -> str:
    """The whole page, Markdown that ends in a line break."""
    lifted = ", ".join(f"`{code}`" for code in sorted(LIFTED_BY_STRICT))
    return "\n".join([_PREAMBLE.format(lifted=lifted), *(line for title in _SECTIONS for line in _section(title))])


def _section(title: str) -> Iterator[str]:
    yield f"## {title}\n"
    yield "| code | severity | what it says | what to do | source |"
    yield "|---|---|---|---|---|"
    for code, reason in REASONS.items():
        if code.split(".")[0] in _SECTIONS[title]:
            says, fix = (text.format(field="*field*", value="*value*") for text in (reason.message, reason.fix))
            source = reason.source.replace("[", "**").replace("]", "**")
            yield f"| `{code}` | {reason.severity} | {says} | {fix} | {source} |"
    yield ""


if __name__ == "__main__":
    sys.stdout.write(page())
