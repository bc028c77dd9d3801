"""How commands that deliver end: the summary on stderr, the figures, and the exit code."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from importer.cli.manner import Manner
from importer.errors import ImporterError

if TYPE_CHECKING:
    from importer.pipeline.options import Console
    from importer.pipeline.program import Result


def finish(work: Callable[[Console], Result], manner: Manner) -> int:
    """Do the work with a user at hand, then say what became of it."""
    console = manner.console()
    metrics = None
    try:
        metrics = manner.measure()
        result = work(metrics.console(console) if metrics else console)
    except ImporterError as error:
        console.close()
        if metrics:
            metrics.end(error.exit_code)
        console.fail(error)
        return int(error.exit_code)
    finally:
        console.close()
    if metrics:
        metrics.end(result.exit_code, result.written.counts)
    console.conclude(result)
    return int(result.exit_code)
