"""How commands that deliver end: the summary on stderr, the figures, and the exit code."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from importer.cli.manner import Manner
from importer.errors import ImporterError

if TYPE_CHECKING:
    from importer.pipeline.job import Console
    from importer.pipeline.program import Result


def finish(work: Callable[[Console], Result], manner: Manner) -> int:
    """Do the work with a user at hand, then say what became of it."""
    desk = manner.desk()
    metrics = None
    try:
        metrics = manner.measure()
        result = work(metrics.desk(desk) if metrics else desk)
    except ImporterError as error:
        desk.close()
        if metrics:
            metrics.end(error.exit_code)
        desk.fail(error)
        return int(error.exit_code)
    finally:
        desk.close()
    if metrics:
        metrics.end(result.exit_code, result.written.counts)
    desk.conclude(result)
    return int(result.exit_code)
