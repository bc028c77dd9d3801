"""Ids: what tells subscribers, keys and groups apart.

Owns what spreadsheets do to ids: the apostrophe before digits that should stay text is dropped, and a number of which
only the first digits are left (``9.23E+11``) is a fault, since many ids become the same one. All else stays as it
is; ``as: integer`` makes ``17850.0`` an id again.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow.compute as pc

from importer.convert.arrays import holds, where_true, without
from importer.convert.faults import Converted, Fault
from importer.convert.numbers import NumberReader
from importer.model import ArrowArray

_ROUNDED = r"(?:^|[-_:#|, ])'?[0-9](?:[.,][0-9]+)?[eE]\+[0-9]{2,}(?:$|[-_:#|, ])"
"""Alone, or set off from the rest by what templates put between ids."""
_EXPONENT = "[0-9][eE][+-]?[0-9]+$"


@dataclass(frozen=True, slots=True)
class IdReader:
    """Texts → ids."""

    numbers: NumberReader | None = None
    """Reads ids that are numbers; without it they are text."""

    def __call__(self, texts: ArrowArray) -> Converted:
        """Convert a column; a rounded number is a fault."""
        if self.numbers is None and not holds(pc.match_substring(texts, "+")):  # nearly every column, and quickly told
            return self._converted(texts)
        rounded = pc.match_substring_regex(texts, _EXPONENT if self.numbers else _ROUNDED)
        if not holds(rounded):
            return self._converted(texts)
        made = self._converted(without(texts, rounded))
        return Converted(made.values, ((Fault.ROUNDED, where_true(rounded)), *made.faults))

    def _converted(self, texts: ArrowArray) -> Converted:
        if self.numbers is not None:
            return self.numbers(texts)
        if not holds(pc.starts_with(texts, "'")):
            return Converted(texts)
        return Converted(pc.replace_substring_regex(texts, r"^'([0-9]+)$", r"\1"))
