"""The whole of shaping: a mapping compiled once, then applied chunk by chunk.

Owns which field fills which column of `Events`, the key, the place in order, the source's own time, and the
collecting of problems. What a field is and does is ``fields``'s.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.convert.arrays import absent, where_true
from importer.convert.fields import Field, Filled, code_of, id_field, phone_field
from importer.convert.kinds import kind_of
from importer.convert.picks import Cells
from importer.convert.where import group_tests, keeper
from importer.mapping.model import ImportMapping, Pick
from importer.model import (
    ArrowArray,
    Bools,
    Chunk,
    Dialect,
    Events,
    Int64s,
    Kind,
    Membership,
    Property,
    Source,
    Violations,
)

_IMPLIED: dict[str, Kind] = {"value": "number", "order_by": "datetime"}
"""The kinds of targets that are not text if the mapping says nothing."""
_LAST = ("order_by", "key")
"""Their problems come last in a row's reasons."""


class RowMapper:
    """A compiled mapping. Calling it is pure: chunks can be shaped in any order, however the rows are cut into them.

    With ``group_by`` a row is a part of an event only: its ``default`` words wait until the group is whole (`absent`),
    and so does whatever it lacks that another row may have.
    """

    def __init__(self, mapping: ImportMapping) -> None:
        self._mapping = mapping
        self._groups = None if mapping.group_by is None else _field("group_by", mapping.group_by)
        in_part = {"default": None} if self._groups else {}
        fields = {target: _field(target, pick.model_copy(update=in_part)) for target, pick in mapping.picks()}
        of_groups = tuple(test for test in mapping.where if self._groups and test.rows != "each")
        self._where = keeper(tuple(test for test in mapping.where if test not in of_groups))
        self._tests = group_tests(of_groups)
        self._fields = {target: fields[target] for target in sorted(fields, key=_LAST.__contains__)}
        """Per target, in the order of the mapping's documentation."""
        self._properties = {name: self._fields[f"properties.{name}"] for name in mapping.properties}
        candidates = [self._fields.get("order_by"), *self._properties.values()]
        self._clock = next((one for one in candidates if one is not None and one.kind in ("date", "datetime")), None)
        """The field that tells when the event happened."""

    def __call__(self, chunk: Chunk) -> Events:
        """Shape one chunk; nothing in a row raises."""
        cells = Cells(chunk)
        findings = _Findings(self._where(cells))
        known = {field: field(cells) for field in set(self._fields.values())}
        columns = {target: known[field] for target, field in self._fields.items()}
        for target, filled in columns.items():
            findings.add_faults(target, filled)
        place = self._place(columns, findings)
        key = columns["key"].converted.values if "key" in columns else None
        if key is not None:
            findings.add("key.missing", "key", self._unexplained(key, columns["key"]), columns["key"].texts)
        membership = None if self._groups is None else self._membership(self._groups, cells, findings)

        def values(target: str) -> ArrowArray:
            return columns[target].converted.values if target in columns else absent(cells.count)

        return Events(
            chunk=chunk,
            subscriber_id=values("subscriber.id"),
            email=values("subscriber.email"),
            phone=values("subscriber.phone"),
            type=values("type"),
            value=values("value"),
            value_currency=values("value_currency"),
            properties=tuple(
                Property(name, field.kind, known[field].converted.values, known[field].converted.instants)
                for name, field in self._properties.items()
            ),
            passes_filter=findings.passes_filter,
            key=key,
            order_value=place,
            event_time=known[self._clock].converted.instants if self._clock else None,
            violations=findings.problems(),
            membership=membership,
        )

    def absent(self) -> Events:
        """One row without a cell, shaped as if it stood alone: constants, defaults, and what cannot be lacking."""
        alone = RowMapper(self._mapping.model_copy(update={"group_by": None, "where": ()}))
        row = np.ones(1, np.int64)
        table = pa.table({"": absent(1)}).select([])
        return alone(Chunk(Source("", None, Dialect("csv"), None), 1, 1, table, row, row, (), {}, None))

    def _membership(self, field: Field, cells: Cells, findings: _Findings) -> Membership:
        filled = field(cells)
        keys = filled.converted.values
        findings.add_faults("group_by", filled)
        findings.add("group.missing", "group_by", _unexplained(keys, filled), filled.texts)
        return Membership(keys, tuple(test(cells) for test in self._tests))

    def _place(self, columns: dict[str, Filled], findings: _Findings) -> ArrowArray | None:
        """The place in order: instants as int64, integers as int64, numbers as float64, else text."""
        if "order_by" not in columns:
            return None
        filled = columns["order_by"]
        place, kind = filled.converted.values, self._fields["order_by"].kind
        if kind in ("date", "datetime"):
            place = filled.converted.instants
        elif kind == "integer":
            place = _int64s(place)
        elif kind == "number":
            place = place.cast(pa.float64())
        findings.add("order_by.invalid", "order_by", self._unexplained(place, filled), filled.texts)
        return place

    def _unexplained(self, values: ArrowArray, filled: Filled) -> Int64s:
        """Positions that came out null without a fault that says why; an absent cell is none in a part of an event."""
        positions = _unexplained(values, filled)
        if self._groups is None or not len(positions):
            return positions
        return np.intersect1d(positions, where_true(pc.is_valid(filled.texts)), assume_unique=True)


def _field(target: str, pick: Pick) -> Field:
    kind = pick.as_ or ("number" if pick.product_of else _IMPLIED.get(target, "text"))
    if target == "subscriber.phone":
        return phone_field(pick)
    if target in ("subscriber.id", "key", "group_by"):
        return id_field(pick, kind)
    return Field(pick, kind_of(pick) if target.startswith("properties.") else kind)


def _int64s(tokens: ArrowArray) -> ArrowArray:
    """Integer tokens as int64, null beyond its range."""
    try:
        return tokens.cast(pa.int64())
    except pa.ArrowInvalid:
        fits = [None if one is None or not -(2**63) <= int(one) < 2**63 else int(one) for one in tokens.to_pylist()]
        return pa.array(fits, pa.int64())


def _unexplained(values: ArrowArray, filled: Filled) -> Int64s:
    """Positions that came out null without a fault that says why."""
    positions = where_true(pc.is_null(values))
    explained = [found for _, found in filled.converted.faults]
    return np.setdiff1d(positions, np.concatenate(explained), assume_unique=True) if explained else positions


class _Findings:
    """The problems of one chunk, as they are found; rows that are not kept have none."""

    def __init__(self, kept: Bools) -> None:
        self.passes_filter = kept
        self._all_kept = bool(kept.all())
        self._found: list[Violations] = []

    def add(self, code: str, field: str, positions: Int64s, texts: ArrowArray) -> None:
        """Note a problem; ``texts`` is the whole column."""
        if not self._all_kept:
            positions = positions[self.passes_filter[positions]]
        if len(positions):
            values = pc.fill_null(texts.take(pa.array(positions)), "")
            self._found.append(Violations(code, field, positions, values))

    def add_faults(self, target: str, filled: Filled) -> None:
        """Note what could not be converted, one problem per code."""
        by_code: dict[str, list[Int64s]] = {}
        shown: dict[str, ArrowArray] = {}
        for fault, positions in filled.converted.faults:
            code = code_of(target, fault)
            by_code.setdefault(code, []).append(positions)
            shown[code] = filled.shown(fault)
        for code, found in by_code.items():
            self.add(code, target, np.sort(np.concatenate(found)), shown[code])

    def problems(self) -> tuple[Violations, ...]:
        """All, in the order in which they were found."""
        return tuple(self._found)
