"""A check's part of the summary: the forecast, the columns, and advice for every reason that the mapping can fix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from importer.mapping.load import LoadedMapping
from importer.model import EncodedChunk, Source
from importer.report.check_model import CheckSummary, MappingAdvice
from importer.report.columns import Columns
from importer.report.foresight import Foresight
from importer.report.model import ReasonSummary, Summary

Advise = Callable[[Sequence[ReasonSummary]], Sequence[MappingAdvice | None]]
"""For each reason the line of the mapping that helps; None where there is none."""
ASSUMED_RATE = 60
"""Events a minute: the limit of the API's own example, as none is stated (its pages on rate limits)."""


class Checking:
    """Looks at everything that a check reads, and adds it to the summary in the end."""

    def __init__(self, loaded: LoadedMapping, rate: int, advise: Advise) -> None:
        self._advise = advise
        self._rate = rate
        self._foresight = Foresight()
        self._columns = Columns(loaded.mapping)

    def add(self, prepared: EncodedChunk) -> None:
        """Look at a chunk."""
        self._foresight.add(prepared)

    def close_source(self, source: Source) -> None:
        """Look at the header of a source that was read."""
        self._columns.add(source)

    def explain(self, summary: Summary) -> Summary:
        """The summary with all that was found."""
        columns = self._columns.told()
        advice = self._advise(summary.reasons)
        reasons = tuple(replace(one, advice=found) for one, found in zip(summary.reasons, advice, strict=True))
        return replace(summary, reasons=reasons, check=CheckSummary(self._foresight.events(self._rate), columns))
