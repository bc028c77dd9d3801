"""What to do when a run or a check is over, as commands to paste."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from importer.model import State
from importer.remote import RemotePath
from importer.report.model import RunInfo, Step, Summary
from importer.wording import counted, shell_quoted


def next_steps(info: RunInfo, summary: Summary, rejects: Sequence[Path | RemotePath]) -> Iterator[Step]:
    """What is left to do; ``rejects`` are the files to be corrected."""
    if info.is_check:
        yield from _after_check(info, summary)
        return
    rows, options = summary.rows, info.scope_options
    left = rows[State.PENDING.value]
    if left:
        words = f"{rows[State.SENT.value]:,} sent, {left:,} left; continue with"
        yield Step(words, (f"importer resume {info.run}{options}",))
    # While rows wait, the others can wait too: they are all said when the run is over.
    undelivered = 0 if left else rows[State.INVALID.value] + rows[State.REFUSED.value]
    if undelivered and rejects:
        files = " ".join(shell_quoted(str(path)) for path in rejects)
        names = (
            " and ".join(path.name for path in rejects[:2]) if len(rejects) <= 2 else f"{len(rejects)} rejects files"
        )
        yield Step(
            f"fix the {_rows(undelivered)} in {names}, then run this (it sends only those); or fix them on a page",
            (
                f"importer run {files} -m {shell_quoted(info.mapping_name)}{_transform(info)}{options}",
                f"importer review {info.run}{options}",
            ),
        )
    failed = 0 if left else rows[State.FAILED.value] - summary.given_up
    if (refused := rows[State.REFUSED.value]) and not failed and not left:  # the same command sends what failed, too
        yield Step(
            f"if the rows are right as they are: send the {_rows(refused)} that the API refused again",
            (f"importer retry {info.run}{options}",),
        )
    if failed:
        yield Step(
            f"look in Sender for the {_rows(failed)} that failed; if not there, send what failed or was refused again",
            (f"importer retry {info.run}{options}",),
        )
    if doubtful := rows[State.IN_DOUBT.value]:
        yield Step(
            f"look in Sender for the {_rows(doubtful)} in doubt, then say: arrived, or not",
            tuple(f"importer resolve {info.run}{options} {word}" for word in ("--assume-sent", "--resend")),
            about_doubt=True,
        )


def _after_check(info: RunInfo, summary: Summary) -> Iterator[Step]:
    ready = summary.rows[State.PENDING.value]
    if not ready:
        return
    given = info.given or tuple(source.name for source in summary.sources)
    files = " ".join(shell_quoted(one) for one in given)
    command = f"importer run {files} -m {shell_quoted(info.mapping_name)}{_transform(info)}"
    yield Step(
        f"rehearse {counted(ready, 'event')} on this machine, then send for real",
        (f"{command} --sandbox", command),
    )


def _transform(info: RunInfo) -> str:
    return f" --transform {shell_quoted(info.transform)}" if info.transform else ""


def _rows(count: int) -> str:
    return "row" if count == 1 else f"{count:,} rows"
