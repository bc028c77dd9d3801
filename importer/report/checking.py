"""A check's part of the summary: what is foreseen, the columns, and advice for every reason that the mapping can mend.

This module owns putting these together. Counting is ``foresight``'s, comparing headers ``columns``'s, and what to
change in a mapping ``suggest.advice``'s.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from importer.mapping.load import LoadedMapping, preset_names
from importer.model import EncodedChunk, Source
from importer.report.check_model import CheckSummary, MappingAdvice
from importer.report.columns import Columns
from importer.report.foresight import Foresight
from importer.report.model import ReasonSummary, Summary

if TYPE_CHECKING:
    from importer.suggest.advice import Advice

ASSUMED_RATE = 60
"""Events a minute: the limit of the API's own example, as none is stated (its pages on rate limits)."""


class Checking:
    """Looks at everything that a check reads, and adds it to the summary in the end."""

    def __init__(self, loaded: LoadedMapping, rate: int) -> None:
        self._loaded = loaded
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
        unmapped = tuple(dict.fromkeys(name for header in columns for name in header.unmapped))
        reasons = self._advised(summary, unmapped) if summary.reasons else ()
        return replace(summary, reasons=reasons, check=CheckSummary(self._foresight.events(self._rate), columns))

    def _advised(self, summary: Summary, unmapped: tuple[str, ...]) -> tuple[ReasonSummary, ...]:
        """The reasons with what can be done about them in the mapping."""
        from importer.suggest.advice import advise

        context = self._foresight.context(unmapped)
        findings = self._foresight.findings(summary.reasons, summary.rows["read"])
        advice = [advise(self._loaded.mapping, finding, context) for finding in findings]
        return tuple(
            one if found is None else replace(one, advice=self._advice(found))
            for one, found in zip(summary.reasons, advice, strict=True)
        )

    def _advice(self, advice: Advice) -> MappingAdvice:
        """Where to write it: over the line that says it now, or into the mapping that extends another."""
        loaded = self._loaded
        if loaded.name in preset_names():
            write = f"{advice.restated(loaded.mapping)}"
            return MappingAdvice(advice.why, write, f"a mapping of your own that begins with `extends: {loaded.name}`")
        place = loaded.places.get(advice.target)
        if place is not None and place.file == loaded.name:
            return MappingAdvice(advice.why, advice.line, f"{place.file}, line {place.line}")
        if place is None and not loaded.mapping.extends:
            word = advice.target.partition(".")[0]
            return MappingAdvice(advice.why, advice.line, f"{loaded.name}, below `{word}`")
        return MappingAdvice(advice.why, advice.restated(loaded.mapping), f"{loaded.name}, over what it extends")
