"""The tree of errors a user can meet; each knows what happened, what to do next, and its exit code.

    ImporterError                  2
    ├── UsageError                 2   the command line asks for something that cannot be
    ├── MappingError               2   the mapping has problems; carries all of them at once
    ├── TransformError             2   the user's --transform function failed
    ├── FailedTestsError           2   the mapping does not do what its own `tests` say
    ├── SourceError                2   a file cannot be read as a whole (a bad row never raises)
    ├── SpaceError                 2   no room on a disk for what must wait before anything is sent
    ├── LedgerError                2   the ledger cannot be opened, read or written
    │   └── DiskFullError          3   no room left; the run stops cleanly and can be resumed
    ├── ReportError                1   an output cannot be written; what was delivered is in the ledger
    └── StoppedError               3   the run stopped before its end; `importer resume` goes on

Each is printed as ``error:`` …, a blank line, ``hint:`` ….
"""

from __future__ import annotations

import copyreg
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from importer.wording import counted, shown


class ExitCode(IntEnum):
    """The process's exit codes; the table in the design's "Command line"."""

    DELIVERED = 0
    """All delivered, or nothing new to do."""
    INCOMPLETE = 1
    """Finished, but some rows were not delivered, or the numbers do not add up."""
    UNUSABLE = 2
    """Usage, mapping or input cannot be used; nothing was sent."""
    STOPPED = 3
    """Stopped before the end; `importer resume` goes on."""
    ABORTED = 130
    """A second Ctrl-C."""


class ImporterError(Exception):
    """Something the user can cause and can correct.

    ``message`` says what is wrong and where; ``hint`` says what to do next.
    """

    exit_code: ExitCode = ExitCode.UNUSABLE

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"error: {self.message}" + (f"\n\nhint: {self.hint}" if self.hint else "")

    def __reduce__(self) -> tuple[Any, ...]:
        """A pickled error keeps its attributes, though its class takes other arguments."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined] # typeshed lacks it


class UsageError(ImporterError):
    """The command line asks for something that cannot be done."""


@dataclass(frozen=True, slots=True)
class MappingProblem:
    """One problem in a mapping file."""

    file: str
    line: int
    """1-based line in the YAML text; 0 where no line can be named (an empty file)."""
    column: int
    """1-based column of the wrong word."""
    message: str
    """What was found and what was expected, in the user's words."""
    hint: str | None = None
    """The nearest known name, or the line to write instead."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message}" + (f"; {self.hint}" if self.hint else "")


class MappingError(ImporterError):
    """The mapping, or ``what`` it is, cannot be used; every problem in it, in the file's order."""

    def __init__(self, problems: tuple[MappingProblem, ...], *, total: int = 0, what: str = "the mapping") -> None:
        total = max(total, len(problems))
        lines = "\n".join(f"  {problem}" for problem in problems)
        more = f"\n  … and {total - len(problems):,} more" if total > len(problems) else ""
        super().__init__(
            f"{what} has {counted(total, 'problem')}; nothing was read or sent\n{lines}{more}",
            hint="correct the lines above, then run the command again",
        )
        self.problems = problems


class TransformError(ImporterError):
    """The user's own function, given with --transform, failed or returned something unusable."""


class FailedTestsError(ImporterError):
    """The mapping does not do what its own `tests` say; every test that fails, with what was expected and what came."""

    def __init__(self, problems: tuple[MappingProblem, ...], total: int) -> None:
        noun = "test" if total == 1 else "tests"
        fail = "fails" if len(problems) == 1 else "fail"
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(
            f"{len(problems)} of {total} {noun} of the mapping {fail}; no file was read\n{lines}",
            hint="correct the mapping, or the test if the test is wrong",
        )
        self.problems = problems


class SourceError(ImporterError):
    """One source cannot be read at all; the other sources of the run go on."""

    def __init__(self, source: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(f"{shown(source)}: {message}", hint=hint)
        self.source = source


class SpaceError(ImporterError):
    """No room on a disk for what must be kept until it can be planned; nothing was sent."""


class LedgerError(ImporterError):
    """The ledger cannot be opened, read or written."""


class DiskFullError(LedgerError):
    """The disk of the ledger, or of its temporary files, is full; what was acknowledged is safe."""

    exit_code = ExitCode.STOPPED


class ReportError(ImporterError):
    """A report cannot be written; what was delivered is safe in the ledger, and `importer report` tries again."""

    exit_code = ExitCode.INCOMPLETE


class StoppedError(ImporterError):
    """The run stopped before its end, with nothing lost."""

    exit_code = ExitCode.STOPPED
