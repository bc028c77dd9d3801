"""Whether a file may be sent, what became of it, and the user's own commands after it.

Whether it may be sent is found out before anything of it is: a night whose file breaks off, lacks a column, has only
rows that ``where`` leaves out, too few rows or too many invalid ones is for a person to look at; it is no success.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from importer import child
from importer.errors import ExitCode, SourceError, UsageError
from importer.mapping.load import load
from importer.model import Counts, RunState, State
from importer.pipeline.console import AccountsResult, Result
from importer.pipeline.options import RunOptions
from importer.read import expand, open_source
from importer.remote import RemotePath
from importer.report import Written
from importer.watch.drops import FileRule
from importer.wording import brief, counted, shown

_HOOK_SECONDS = 300.0
"""A command may take this long; deliveries wait for it."""
_HOOK_LINES, _HOOK_OUTPUT = 100, 64 << 10
"""So many lines, and bytes, of what a command prints are shown."""
_UNDELIVERED = (State.INVALID, State.REFUSED, State.FAILED, State.IN_DOUBT)
_ANSWERED = (State.SENT, State.REFUSED, State.FAILED, State.IN_DOUBT, State.PENDING)


class Place(StrEnum):
    """Where a file is; the names of the directories."""

    PROCESSING = "processing"
    """It is being worked on, or waits for what stopped it: the API, the token, a mapping with a mistake."""
    DONE = "done"
    """Every row has its final state; rows that were not delivered are in its rejects."""
    FAILED = "failed"
    """It cannot be used as it is, and a person has to look at it."""


class WatchOptions(msgspec.Struct, frozen=True):
    """What to watch, and how."""

    directory: Path | RemotePath
    rules: tuple[FileRule, ...]
    run: RunOptions
    """What every run has in common; its sources and its mapping are filled in for each file."""
    min_rows: int = 0
    """A file with fewer is not sent."""
    max_invalid: str = "100%"
    """A number of rows, or a share of them: ``20``, ``5%``; a file with more is not sent."""
    accounts_file: str | None = None
    """The accounts of the rows, where there are several."""
    marker: str = ""
    """A file NAME is complete when NAME + marker is there, and only then; empty: when it has not changed for
    ``stable_for``, or NAME.done is there."""
    stable_for: float = 10.0
    """Seconds between two scans of the directory."""
    retry: float = 300.0
    """Seconds to wait before a stopped file is tried again."""
    on_finish: str = ""
    """A shell command to run after each file."""
    on_success: str = ""
    """A shell command to run after each file of which every row was delivered."""

    def __post_init__(self) -> None:
        """Raises `UsageError` for a share that is none."""
        number = self.max_invalid.removesuffix("%")
        if not (number.replace(".", "", 1).isdecimal() and number.isascii()):
            raise UsageError(f"--max-invalid {self.max_invalid}: not a number of rows", hint="write 20, or 5%")

    def allows(self, invalid: int, rows: int) -> bool:
        """Whether so many of a file's rows may be invalid."""
        number = float(self.max_invalid.removesuffix("%"))
        return invalid <= (number * rows / 100 if self.max_invalid.endswith("%") else number)


class FileOutcome(msgspec.Struct, frozen=True):
    """What became of one file."""

    place: Place
    code: ExitCode
    reason: str = ""
    """Why it failed or waits, or what else is worth a word."""
    run: str = ""
    rows: Mapping[str, int] = {}
    """As in ``summary.json``; empty if no run was made."""
    name: str = ""
    """As it was dropped."""
    path: Path | RemotePath = Path()
    """Where it is now."""
    at: float = 0.0
    """Seconds since the epoch."""

    @property
    def counts(self) -> Counts | None:
        """The run's totals; None without a run."""
        return Counts(self.rows["read"], {state: self.rows[state] for state in State}) if self.rows else None

    def line(self) -> str:
        """One line for the log."""
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.at))
        repeated = self.rows.get(State.DUPLICATE) and not any(self.rows.get(state) for state in _ANSWERED)
        reason = self.reason or ("nothing new: every row was delivered before" if repeated else "")
        words = [
            f"{moment}  {self.place.value:<10}  {shown(self.name)}",
            _totals(self.rows) if self.rows else "",
            f"run {self.run}" if self.run else "",
            " ".join(shown(part) for part in reason.split()),
        ]
        return "  ".join(word for word in words if word)


def file_outcome(result: Result | AccountsResult) -> FileOutcome:
    """What a run's end means for its file."""
    parts = result.results if isinstance(result, AccountsResult) else {"": result}
    summary = result.report.summary if isinstance(result, AccountsResult) else result.written.summary
    stopped = [f"{name and f'{name}: '}{one.ended.reason}" for name, one in parts.items() if one.ended.reason]
    place, code, reason = Place.DONE, result.exit_code, ""
    if code is ExitCode.STOPPED:
        place, reason = Place.PROCESSING, f"stopped: {'; '.join(stopped)}"
    elif broken := broken_sources([one.written for one in parts.values()]):
        place, code, reason = Place.FAILED, ExitCode.UNUSABLE, broken
    elif not summary.balanced:
        place, reason = Place.FAILED, "the totals of the run do not add up; please report this as a bug"
    elif not summary.rows["read"]:
        reason = "no rows: there is nothing after the header"
    return FileOutcome(place, code, reason, summary.run or "", summary.rows)


def broken_sources(found: Sequence[Written]) -> str:
    """Why a file cannot be read to its end; empty if it can."""
    return "; ".join(dict.fromkeys(source.error for one in found for source in one.summary.sources if source.error))


def recorded_outcome(report: Path, place: Place) -> FileOutcome | None:
    """What became of a file whose importer died after its run had finished; None if its run has not.

    ``report`` is the directory of its reports, which is in ``place``.
    """
    try:
        summary: dict[str, Any] = msgspec.json.decode((report / "summary.json").read_bytes())
    except (OSError, msgspec.DecodeError):
        summary = {}
    if place is Place.FAILED:
        try:
            reason = (report / "reason.txt").read_text(encoding="utf-8").strip()
        except OSError:
            reason = "see its report"
        return FileOutcome(place, ExitCode.UNUSABLE, reason, str(summary.get("run") or ""), summary.get("rows", {}))
    if summary.get("state") != RunState.FINISHED:
        return None
    rows = {str(name): int(count) for name, count in summary["rows"].items()}
    whole = summary["balanced"] and not any(rows[state] for state in _UNDELIVERED)
    code = ExitCode.DELIVERED if whole else ExitCode.INCOMPLETE
    return FileOutcome(Place.DONE, code, "", str(summary["run"]), rows)


def failed(outcome: FileOutcome, reason: str) -> FileOutcome:
    """The same for a person to look at."""
    return replace(outcome, place=Place.FAILED, code=ExitCode.UNUSABLE, reason=reason)


def in_all(outcomes: Sequence[FileOutcome]) -> str:
    """The totals of a whole round, in a line: ``3 files: 2 done, 1 failed; 5 rows: 3 sent, 2 invalid``."""
    places = Counter(one.place for one in outcomes)
    rows: Counter[str] = Counter()
    for one in outcomes:
        rows.update(one.rows)
    where = ", ".join(f"{places[place]:,} {place.value}" for place in Place if places[place])
    return f"{counted(len(outcomes), 'file')}: {where}; {_totals(rows)}"


def _totals(rows: Mapping[str, int]) -> str:
    states = [f"{rows[state]:,} {state.value.replace('_', ' ')}" for state in State if rows.get(state)]
    return counted(rows.get("read", 0), "row") + (": " + ", ".join(states) if states else "")


def run_hook(option: str, command: str, outcome: FileOutcome, summary: Path, say: Callable[[str], None]) -> str:
    """Run the command of ``--on-finish`` or ``--on-success`` in a shell; returns what went wrong, in words, or nothing.

    It gets ``summary.json`` on its standard input and the rest in ``IMPORTER_…`` variables, never the token. ``say``
    gets the lines that it prints, as any foreign text. One that fails changes nothing.
    """
    try:
        content = summary.read_bytes()
    except OSError:
        content = msgspec.json.encode({"run": None, "state": outcome.place.value, "stop_reason": outcome.reason})
    added = {
        "IMPORTER_FILE": str(outcome.path),
        "IMPORTER_NAME": outcome.name,
        "IMPORTER_OUTCOME": outcome.place.value,
        "IMPORTER_EXIT_CODE": str(int(outcome.code)),
        "IMPORTER_RUN": outcome.run,
        "IMPORTER_REASON": outcome.reason,
    }
    # A file, not a pipe: what the command leaves running in the background must not keep this process waiting.
    with tempfile.TemporaryFile() as output:
        try:
            done = subprocess.run(  # noqa: S603  # the user's own command, from the command line
                ["/bin/sh", "-c", command],
                input=content,
                env=child.environment() | added,
                timeout=_HOOK_SECONDS,
                check=False,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        except subprocess.TimeoutExpired:
            return f"{option} took longer than {_HOOK_SECONDS:.0f} seconds and was stopped"
        except (OSError, ValueError) as error:
            return f"{option} cannot be run: {error}"
        finally:
            output.seek(0)
            printed = output.read(_HOOK_OUTPUT).decode("utf-8", "backslashreplace").splitlines()
            for line in printed[:_HOOK_LINES]:
                say(f"{option}: {brief(line, 500)}")
    return f"{option} ended with exit code {done.returncode}" if done.returncode else ""


def refusal(found: Sequence[Written], options: WatchOptions) -> str:
    """Why a file must not be sent, by what a check found of it, for each account; empty if it may."""
    read = sum(one.counts.read for one in found)
    invalid, filtered = (sum(one.counts[state] for one in found) for state in (State.INVALID, State.FILTERED))
    reasons = [reason for one in found for reason in one.summary.reasons]
    if broken := broken_sources(found):
        return broken
    if read < options.min_rows:
        return f"it has {counted(read, 'row')}, fewer than --min-rows {options.min_rows:,} asks for"
    if read and filtered == read:
        tests = [f"{one.field} ({counted(one.count, 'row')}, such as {one.example.value!r})" for one in reasons
                 if one.code.startswith("filtered.")]  # fmt: skip
        return "the mapping's filter leaves out every row" + (": " + "; ".join(tests) if tests else "")
    if options.allows(invalid, read):
        return ""
    codes = Counter[str]()
    for one in reasons:
        codes[one.code] += one.count if one.severity == "error" else 0
    return (
        f"{invalid:,} of {counted(read, 'row')} are invalid, more than --max-invalid {options.max_invalid} allows: "
        + ", ".join(f"{count:,} {code}" for code, count in codes.items() if count)
    )


class KnownColumns:
    """The columns of the last file of each kind, remembered in a small file of the watched directory."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "columns.json"

    def changes(self, rule: FileRule, found: list[str]) -> str:
        """What differs from the last file of this kind, in words; empty if nothing does."""
        known = self._known().get(_kind(rule))
        if not (known and found) or known == found:
            return ""
        lists = {"added": _without(found, known), "gone": _without(known, found)}
        return "; ".join(f"{verb}: {names}" for verb, names in lists.items() if names) or "their order has changed"

    def remember(self, rule: FileRule, found: list[str]) -> None:
        """These are the columns now; without room on the disk nothing is remembered."""
        known = self._known()
        if found and known.get(_kind(rule)) != found:
            part = self._path.with_suffix(".part")
            with suppress(OSError):
                part.write_bytes(msgspec.json.encode({**known, _kind(rule): found}))
                part.replace(self._path)

    def _known(self) -> dict[str, list[str]]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, list[str]])
        except (OSError, msgspec.DecodeError):
            return {}


def columns_of(source: str, rule: FileRule) -> list[str]:
    """The columns of a file, of an archive's first member; empty if it has no header or cannot be read."""
    mapping = load(rule.mapping).mapping
    with suppress(SourceError, UsageError):
        for each in expand([source]):
            with open_source(each, mapping.source, columns=mapping.columns(), each=mapping.each) as reader:
                return list(reader.source.columns or ())
    return []


def _kind(rule: FileRule) -> str:
    return f"{rule.pattern} {rule.mapping}"


def _without(names: list[str], others: list[str]) -> str:
    return ", ".join(f"'{shown(name)}'" for name in names if name not in others)
