"""What to do when a run or a check is over, as commands to paste; a run's id alone says its account and endpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from importer import DEFAULT_ENDPOINT
from importer.model import SANDBOX_ENDPOINT, Run, State, scope_options
from importer.remote import RemotePath
from importer.report.model import CHECK, Step, Summary
from importer.wording import counted, shell_quoted


def next_steps(run: Run, summary: Summary, rejects: Sequence[Path | RemotePath], ledger_option: str) -> Iterator[Step]:
    """What is left to do; ``rejects`` are the files to be corrected, ``ledger_option`` names an unusual ledger."""
    rows, this = summary.rows, f"{run.id}{ledger_option}"
    transform = run.options.get("transform", "")
    mapping = f"-m {shell_quoted(run.mapping_name)}" + (f" --transform {shell_quoted(transform)}" if transform else "")
    left = rows[State.PENDING.value]
    if run.id == CHECK:
        if left:
            given = run.options.get("sources") or [source.name for source in summary.sources]
            command = f"importer run {' '.join(map(shell_quoted, given))} {mapping}"
            if file := run.options.get("accounts_file"):
                command += f" --accounts {shell_quoted(file)}"
            words = f"rehearse {counted(left, 'event')} on this machine, then send for real"
            yield Step(words, (f"{command} --sandbox", command))
        return
    if left:
        words = f"{rows[State.SENT.value]:,} sent, {left:,} left; continue with"
        yield Step(words, (f"importer resume {this}",))
    # While rows wait, the others can wait too: they are all said when the run is over.
    undelivered = 0 if left else rows[State.INVALID.value] + rows[State.REFUSED.value]
    failed = 0 if left else rows[State.FAILED.value] - summary.given_up
    refused = 0 if left else rows[State.REFUSED.value]
    if undelivered and rejects:
        files = " ".join(shell_quoted(str(path)) for path in rejects)
        names = " and ".join(path.name for path in rejects)
        names = names if len(rejects) <= 2 else f"{len(rejects)} rejects files"
        yield Step(
            f"fix the {_rows(undelivered)} in {names}, then run this (it sends only those); or fix them on a page",
            (
                f"importer run {files} {mapping}{_goal(run)}{ledger_option}",
                f"importer review {this}",
            ),
        )
    if failed:
        words = (
            f"check in Sender for the {_rows(failed)} that failed; if not there, send what failed or was refused again"
        )
        yield Step(words, (f"importer retry {this}",))
    elif refused:  # the same command sends what failed, too
        words = f"if the rows are right as they are: send the {_rows(refused)} that the API refused again"
        yield Step(words, (f"importer retry {this}",))
    if doubtful := rows[State.IN_DOUBT.value]:
        yield Step(
            f"check in Sender for the {_rows(doubtful)} in doubt, then say: arrived, or not",
            tuple(f"importer resolve {this} {word}" for word in ("--assume-sent", "--resend")),
            about_doubt=True,
        )


def _goal(run: Run) -> str:
    """The options by which corrected rows go to the same account and endpoint."""
    file = run.options.get("accounts_file")
    if file is None:
        return scope_options(run.account, run.endpoint)
    one = run.account if run.options["accounts"]["column"] is None and "batch" in run.options else "default"
    scope = scope_options(one, run.endpoint if run.endpoint == SANDBOX_ENDPOINT else DEFAULT_ENDPOINT)
    return f" --accounts {shell_quoted(file)}{scope}"


def _rows(count: int) -> str:
    return "row" if count == 1 else f"{count:,} rows"
