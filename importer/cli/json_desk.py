"""A desk that is read by programs: one JSON object a line, on stderr.

This module owns their shape: ``time`` (ISO 8601, UTC), ``level``, ``event`` and ``message``, and the figures of each.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from importer.cli.console import progress_line, refuse_silence
from importer.cli.rhythm import Rhythm

if TYPE_CHECKING:
    from importer.cli.manner import Manner
    from importer.deliver import Progress
    from importer.errors import ImporterError
    from importer.pipeline.options import Forecast
    from importer.pipeline.program import Result


class JsonConsole:
    """See `importer.pipeline.options.Console`. It asks nobody: without --yes only rehearsals go on."""

    def __init__(self, manner: Manner) -> None:
        self._manner = manner
        self._rows = 0
        self._rhythm = Rhythm(time.monotonic(), verbose=manner.verbose)

    def say(self, text: str) -> None:
        """Tell something."""
        level, _, rest = text.partition(": ")
        if level in ("warning", "error"):
            self._write(level, "said", rest)
        else:
            self._write("info", "said", text)

    def read(self, rows: int) -> None:
        """Count rows as they are read."""
        self._rows += rows
        if self._rhythm.due(time.monotonic()):
            self._write("info", "reading", f"{self._rows:,} rows so far", rows=self._rows)

    def require_answer(self) -> None:
        """Refuse unless --yes was given."""
        if not self._manner.yes:
            refuse_silence()

    def confirm(self, forecast: Forecast) -> bool:
        """Tell what is about to be sent."""
        outlook = forecast.outlook
        self._write(
            "info",
            "plan",
            f"{outlook.events:,} events to {outlook.subscribers:,} subscribers",
            run=forecast.run.id,
            events=outlook.events,
            subscribers=outlook.subscribers,
            most_for_one=outlook.most_for_one,
            limit=forecast.limit,
            seconds=forecast.seconds,
            rehearsal=forecast.rehearsal,
        )
        return self._manner.yes or forecast.rehearsal

    def confirm_more(self, sent: int) -> bool:
        """Nobody has looked at the first events yet."""
        del sent
        return False

    def watch(self, progress: Progress) -> None:
        """Tell how delivery stands, now and then."""
        if (turned := self._rhythm.turned(progress)) is not None:
            self._write("warning" if turned else "info", "wait", turned or "going on", **_figures(progress))
        elif self._rhythm.due(time.monotonic()):
            self._write("info", "progress", progress_line(progress), **_figures(progress))

    def close(self) -> None:
        """Nothing is left open."""

    def fail(self, error: ImporterError) -> None:
        """Tell why nothing more can be done."""
        self._write("error", "error", error.message, hint=error.hint, exit_code=int(error.exit_code))

    def conclude(self, result: Result) -> None:
        """Tell what became of every row."""
        summary = result.written.summary
        code = int(result.exit_code)
        message = f"run {summary.run}: {summary.state}"
        self._write(
            "info" if code == 0 else "warning",
            "summary",
            message,
            run=summary.run,
            rows=dict(summary.rows),
            balanced=summary.balanced,
            stopped=result.ended.reason or None,
            hint=result.ended.hint or None,
            reports=[str(path) for path in result.written.paths],
            exit_code=code,
        )

    def _write(self, level: str, event: str, message: str, **more: Any) -> None:
        if self._manner.quiet and level == "info":
            return
        moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"time": moment, "level": level, "event": event, "message": message, **more}
        click.echo(json.dumps(line, ensure_ascii=False), file=sys.stderr)


def _figures(progress: Progress) -> dict[str, Any]:
    figures = dataclasses.asdict(progress)
    pace = figures.pop("pace")
    return {**figures, **{name: pace[name] for name in ("rate", "limit", "remaining", "waiting_for")}}
