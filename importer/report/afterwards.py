"""What to do when a run is over, as commands to paste.

This module owns those commands. Why a row was not delivered, and how
it is mended, the reasons say; when a run that stopped goes on, delivery says.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from importer.model import State
from importer.report.model import Facts, Step, Summary


def steps(facts: Facts, summary: Summary, rejects: Sequence[Path]) -> Iterator[Step]:
    """What is left to do about rows that were not delivered; ``rejects`` are the files to be mended."""
    rows, place = summary.rows, facts.place
    undelivered = rows[State.INVALID.value] + rows[State.REFUSED.value]
    if undelivered and rejects:
        files = " ".join(shlex.quote(str(path)) for path in rejects)
        transform = f" --transform {shlex.quote(facts.transform)}" if facts.transform else ""
        yield Step(
            f"mend the {_rows(undelivered)} not delivered, in the rejects; nothing else is sent then",
            (f"importer run {files} -m {shlex.quote(facts.mapping_name)}{transform}{place}",),
        )
    failed = rows[State.FAILED.value]
    if (refused := rows[State.REFUSED.value]) and not failed:  # the same command sends what failed, too
        yield Step(
            f"if the fault was not in the rows: send the {_rows(refused)} refused as before",
            (f"importer retry {facts.run}{place}",),
        )
    if failed:
        yield Step(
            f"look in Sender for the {_rows(failed)} failed; if not there: send what failed or was refused again",
            (f"importer retry {facts.run}{place}",),
        )
    if doubtful := rows[State.IN_DOUBT.value]:
        yield Step(
            f"look in Sender for the {_rows(doubtful)} in doubt, then say: arrived, or not",
            tuple(f"importer resolve {facts.run}{place} {word}" for word in ("--assume-sent", "--resend")),
            told_with_rows=True,
        )


def _rows(count: int) -> str:
    return "row" if count == 1 else f"{count:,} rows"
