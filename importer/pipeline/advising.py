"""What to change in a mapping, from the values that a check's rows offend with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from importer.mapping.load import LoadedMapping, preset_names
from importer.model import EncodedChunk
from importer.report.model import MappingAdvice, ReasonSummary

if TYPE_CHECKING:
    from importer.suggest.advice import Advice

_MOST_VALUES = 200
"""Offending values kept of one reason."""
_MOST_PHONES = 500


class Advisor:
    """Looks at a check's chunks, then advises on each reason; memory is bounded."""

    def __init__(self, loaded: LoadedMapping) -> None:
        self._loaded = loaded
        self._rows = 0
        self._columns: dict[str, None] = {}
        self._values: dict[tuple[str, str], dict[str, None]] = {}
        self._phones: dict[str, None] = {}

    def add(self, prepared: EncodedChunk) -> None:
        """Look at a chunk."""
        self._rows += prepared.count
        self._columns |= dict.fromkeys(prepared.source.columns or ())
        phones = prepared.identities[2]
        if len(self._phones) < _MOST_PHONES and phones.null_count < len(phones):
            self._phones |= dict.fromkeys(phones.drop_null().slice(0, _MOST_PHONES).to_pylist())
        distinct = prepared.reasons.select(["code", "field", "value"]).slice(0, 50 * _MOST_VALUES)
        for one in distinct.group_by(["code", "field", "value"]).aggregate([]).to_pylist():
            values = self._values.setdefault((one["code"], one["field"]), {})
            if len(values) < _MOST_VALUES:
                values[one["value"]] = None

    def __call__(self, reasons: Sequence[ReasonSummary]) -> Sequence[MappingAdvice | None]:
        """What to write for each reason; None where nothing in the mapping would help."""
        if not reasons:
            return ()
        from importer.suggest.advice import Context, Finding, advise

        mapped = self._loaded.mapping.columns()
        unmapped = tuple(name for name in self._columns if name.strip() and name not in mapped)
        context = Context(tuple(one for one in self._phones if one.startswith("+")), unmapped)
        found = []
        for one in reasons:
            values = tuple(self._values.get((one.code, one.field), ()))
            finding = Finding(one.code, one.field, values, one.count * 2 >= self._rows)
            advice = advise(self._loaded.mapping, finding, context)
            found.append(None if advice is None else self._placed(advice))
        return found

    def _placed(self, advice: Advice) -> MappingAdvice:
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
