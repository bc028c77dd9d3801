"""A mapping compiled once, then applied chunk by chunk: cells in, event columns and violations out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from importer.columns import absent, mask_of, where_true, without
from importer.convert.cells import EMPTY, Cells
from importer.convert.datetimes import TimeForm
from importer.convert.fields import Field, Filled, code_of, kind_of
from importer.convert.filters import ColumnForms, Filter, GroupFilter, TimeReading
from importer.convert.lookups import Lookups
from importer.convert.more_properties import more_properties
from importer.convert.numbers import NumberForm, from_minor_units, signs_of, sortable
from importer.convert.values import picker
from importer.currencies import contradicting
from importer.mapping.columns import UnusedColumns
from importer.mapping.model import Case, ImportMapping, ValueMapping
from importer.model import (
    AccountColumn,
    ArrowArray,
    Bools,
    Chunk,
    Events,
    Int64s,
    Membership,
    Property,
    Violations,
)

MOST_KEYS = 100_000
"""Missing keys of a lookup that are counted."""
_LAST = ("order_by", "key")
"""Their violations come last in a row's reasons."""


class RowMapper:
    """A compiled mapping. Calling it is pure: chunks can be converted in any order, however the rows are cut into them.

    With ``group_by`` a row is a part of an event only: its ``default`` words wait until the group is whole (`absent`),
    and so does whatever it lacks that another row may have.
    """

    def __init__(
        self,
        mapping: ImportMapping,
        lookups: Mapping[str, Lookups] | None = None,
        accounts: AccountColumn | None = None,
    ) -> None:
        self._mapping = mapping
        self._accounts = accounts
        self._lookups = lookups
        self.not_found: dict[str, set[str]] = {}
        """Per lookup, the keys that it did not have, of rows that are not filtered; at most `MOST_KEYS`."""
        picks = {target: _in_part(pick) if mapping.group_by else pick for target, pick in mapping.fields()}
        forms = _forms(picks)
        self._groups = None if mapping.group_by is None else Field("group_by", mapping.group_by, forms)
        self._fields = {target: Field(target, picks[target], forms) for target in sorted(picks, key=_LAST.__contains__)}
        """Per target, in the order of the mapping's documentation."""
        of_groups = [test for test in mapping.where if self._groups and test.rows != "each"]
        self._filter = Filter([test for test in mapping.where if test not in of_groups], forms)
        self._group_filters = [GroupFilter(test, forms) for test in of_groups]
        times = [target for target in self._fields if target == "order_by" or target.startswith("properties.")]
        times.sort(key=lambda target: target != "order_by")
        self._clock = next((one for one in times if self._fields[one].kind in ("date", "datetime")), None)
        """The target that says when the event happened."""
        self._max_bytes = {target: pick.max_bytes for target, pick in mapping.fields() if pick.max_bytes is not None}
        omitted = {target: pick for target, pick in mapping.fields() if pick.on_invalid == "omit"}
        self._omit = {target: self._fields[target].converted(pick.default) for target, pick in omitted.items()}
        """Targets that an event can do without where they are invalid, each with its default."""
        self._unused = None if mapping.more_properties is None else UnusedColumns(mapping)
        self._minor_units = tuple(target for target, pick in picks.items() if pick.minor_units)
        self._amounts = [target for target, pick in picks.items() if target == "value" or _is_mixed(target, pick)]
        """Targets whose amounts must not be of several currencies."""
        currency = mapping.value_currency
        said = None if currency is None else currency.const or currency.default
        self._currency = None if said is None else str(said).upper()
        """The currency of rows that name none."""

    def with_mapping(self, mapping: ImportMapping) -> RowMapper:
        """A mapper of another mapping over the same lookups."""
        other = RowMapper(mapping, self._lookups, self._accounts)
        other.not_found = self.not_found
        return other

    def __call__(self, chunk: Chunk, remaining: Bools | None = None) -> Events:
        """Convert one chunk; nothing in a row raises. ``remaining``: the rows that the user's function has left."""
        cells = Cells(chunk, self._lookups)
        passes_filter, found = self._filter(cells)
        if remaining is not None:
            found = _dropped(remaining, found)
            passes_filter &= remaining
        findings = _Findings(passes_filter, found)
        by_recipe: dict[str, Filled] = {}
        columns: dict[str, Filled] = {}
        seen: set[tuple[str, int, str]] = set()
        for target, field in self._fields.items():
            if field.recipe not in by_recipe:
                by_recipe[field.recipe] = field(cells)
            columns[target] = by_recipe[field.recipe]
            findings.add_errors(target, columns[target], is_omitted=target in self._omit)
            findings.extend(self._new(columns[target].violations, seen))
        values = {target: filled.converted.values for target, filled in columns.items()}
        for target, default in self._omit.items():
            # A part of an event waits for its default until the group is whole.
            instead = None if self._groups else default
            values[target] = _replaced_errors(columns[target], instead)
        signs = self._check_money(values, columns, findings)
        order_value = self._order_value(columns, findings)
        if "key" in values:
            findings.add("key.missing", "key", self._unexplained(values["key"], columns["key"]), columns["key"].found)
        more = None
        if self._unused is not None:
            more, broken = more_properties(chunk, cells, self._unused, values)
            findings.extend(broken)
        for one in findings.all():
            if one.code == "lookup.not_found":
                self.add_not_found({one.field: set(pc.unique(one.values).to_pylist())})
        none = absent(cells.count)
        return Events(
            chunk=chunk,
            subscriber_id=values.get("subscriber.id", none),
            email=values.get("subscriber.email", none),
            phone=values.get("subscriber.phone", none),
            type=values.get("type", none),
            value=values.get("value", none),
            value_currency=values.get("value_currency", none),
            properties=tuple(
                Property(name, self._fields[target].kind, values[target], columns[target].converted.instants)
                for name in self._mapping.properties
                for target in (f"properties.{name}",)
            ),
            more_properties=more,
            passes_filter=findings.passes_filter,
            key=values.get("key"),
            order_value=order_value,
            event_time=columns[self._clock].converted.instants if self._clock else None,
            account=None if self._accounts is None else _account_names(cells, chunk.source.name, self._accounts),
            membership=None if self._groups is None else self._membership(self._groups, cells, signs, findings),
            violations=findings.all(),
            omit=self._omit,
            max_bytes=self._max_bytes,
        )

    @staticmethod
    def _new(violations: Sequence[Violations], seen: set[tuple[str, int, str]]) -> list[Violations]:
        """Those that no other target of the chunk had: several take columns of one lookup by one key."""
        found = []
        for one in violations:
            if one.code == "lookup.not_found":
                keys = [*zip(repeat(one.field), one.positions.tolist(), one.values.to_pylist(), strict=False)]
                new = np.array([key not in seen for key in keys])
                seen.update(keys)
                one = Violations(one.code, one.field, one.positions[new], one.values.filter(pa.array(new)))  # noqa: PLW2901
            found.append(one)
        return found

    def add_not_found(self, found: Mapping[str, set[str]]) -> None:
        """Note keys that lookups do not have."""
        for name, more in found.items():
            keys = self.not_found.setdefault(name, set())
            if len(keys) < MOST_KEYS:
                keys.update(more)

    def absent(self) -> Events:
        """One row without a cell, as if it stood alone: constants, defaults, and what cannot be lacking."""
        alone = self._mapping.model_copy(update={"group_by": None, "where": ()})
        return RowMapper(alone, accounts=self._accounts)(EMPTY)

    def _membership(
        self, field: Field, cells: Cells, signs: Mapping[str, ArrowArray], findings: _Findings
    ) -> Membership:
        filled = field(cells)
        keys = filled.converted.values
        findings.add_errors("group_by", filled)
        findings.add("group.missing", "group_by", _unexplained(keys, filled), filled.found)
        tests = []
        for one in self._group_filters:
            test, unreadable = one(cells)
            tests.append(test)
            findings.extend(unreadable)
        return Membership(keys, tuple(tests), signs)

    def _check_money(
        self, values: dict[str, ArrowArray], columns: dict[str, Filled], findings: _Findings
    ) -> dict[str, ArrowArray]:
        """Amounts in minor units → major ones; amounts that name another currency than their row.

        Returns, by targets, what parts of an event say of the currency of their numbers.
        """
        currencies: ArrowArray = values.get("value_currency", absent(len(findings.passes_filter)))
        if self._currency is not None and currencies.null_count:
            currencies = pc.fill_null(currencies, self._currency)
        for target in self._minor_units:
            values[target], without_currency = from_minor_units(values[target], currencies)
            findings.add("currency.missing", target, without_currency, columns[target].texts)
        said: dict[str, ArrowArray] = {}
        for target in self._amounts:
            signs = signs_of(columns[target].texts, values[target])
            if target == "value" and signs is not None:
                others = contradicting(signs, currencies)
                findings.add("value.other_currency", "value", others, columns["value"].texts)
                signs = without(signs, pa.array(mask_of(others, len(signs))))
            if target in self._minor_units:
                signs = currencies if signs is None else pc.coalesce(signs, currencies)
                signs = without(signs, pc.is_null(values[target]))
            if signs is not None:
                said[target] = signs
        return said

    def _order_value(self, columns: dict[str, Filled], findings: _Findings) -> ArrowArray | None:
        """The place in order: instants and integers as int64, else texts in byte order."""
        if "order_by" not in columns:
            return None
        filled = columns["order_by"]
        values, kind = filled.converted.values, self._fields["order_by"].kind
        if kind in ("date", "datetime"):
            values = filled.converted.instants
        elif kind == "integer":
            values = _int64s(values)
        elif kind == "number":
            values = sortable(values)
        findings.add("order_by.invalid", "order_by", self._unexplained(values, filled), filled.texts)
        return values

    def _unexplained(self, values: ArrowArray, filled: Filled) -> Int64s:
        """Positions that came out null without an error that says why; an absent cell is none in a part of an event."""
        positions = _unexplained(values, filled)
        if self._groups is None or not len(positions):
            return positions
        return np.intersect1d(positions, where_true(pc.is_valid(filled.texts)), assume_unique=True)


def with_known_accounts(events: Events, accounts: AccountColumn) -> Events:
    """The events with null for the account of rows that belong to none, and the reasons of those that would be sent."""
    assert events.account is not None
    unknown = pc.invert(pc.is_in(events.account, value_set=pa.array(set(accounts.names.values()), pa.string())))
    judged = events.passes_filter if events.group_heads is None else events.passes_filter & (events.group_heads < 0)
    found = list(events.violations)
    empty = pc.is_null(events.account)
    for code, rows in (("account.missing", empty), ("account.unknown", pc.and_not(unknown, empty))):
        positions = where_true(pc.and_(rows, pa.array(judged)))
        if len(positions):
            values = pc.fill_null(events.account.take(pa.array(positions)), "")
            found.append(Violations(code, "account", positions, values))
    names = pc.if_else(unknown, pa.scalar(None, pa.string()), events.account)
    return replace(events, account=names, violations=tuple(found))


def _account_names(cells: Cells, source: str, accounts: AccountColumn) -> ArrowArray:
    """The name of each row's account; a text that means none as it is, null where there is nothing.

    ``source`` is the file's name, which all rows have where no account has the file.
    """
    if accounts.column is None:
        return pa.repeat(source, cells.count)
    texts = cells.column(accounts.column).texts
    known = pc.index_in(texts, value_set=pa.array(accounts.names, pa.string()))
    return pc.coalesce(pa.array(accounts.names.values(), pa.string()).take(known), texts)


def _forms(picks: dict[str, ValueMapping]) -> ColumnForms:
    """How the targets write the numbers and the times of each column."""
    forms: dict[str, set[NumberForm]] = {}
    times: dict[str, list[TimeReading]] = {}

    def add(pick: ValueMapping, form: NumberForm) -> None:
        if pick.column is not None and pick.lookup is None:
            forms.setdefault(pick.column, set()).add(form)
        for inner in pick.first_of or ():
            add(inner, form)
        for factor in pick.operands():
            add(factor, NumberForm.of(factor).unchanged)

    for target, pick in picks.items():
        kind = kind_of(target, pick)
        if kind in ("integer", "number"):
            add(pick, NumberForm.of(pick).unchanged)
        elif kind in ("date", "datetime"):
            zones = picker(pick.timezone) if isinstance(pick.timezone, ValueMapping) else None
            reading = TimeReading(TimeForm.of(pick, dates=kind == "date"), zones)
            for one in (pick, *(pick.first_of or ())):
                if one.column is not None and one.lookup is None:
                    times.setdefault(one.column, []).append(reading)
    return ColumnForms(forms, times)


def _int64s(tokens: ArrowArray) -> ArrowArray:
    """Integer tokens as int64, null outside its range."""
    try:
        return tokens.cast(pa.int64())
    except pa.ArrowInvalid:
        fits = [None if one is None or not -(2**63) <= int(one) < 2**63 else int(one) for one in tokens.to_pylist()]
        return pa.array(fits, pa.int64())


def _unexplained(values: ArrowArray, filled: Filled) -> Int64s:
    """Positions that came out null without an error that says why."""
    positions = where_true(pc.is_null(values))
    explained = [found for _, found in filled.converted.errors]
    return np.setdiff1d(positions, np.concatenate(explained)) if explained else positions


def _replaced_errors(filled: Filled, instead: str | None) -> ArrowArray:
    """A target's values, with another one in place of those that could not be converted."""
    values = filled.converted.values
    if not filled.converted.errors:
        return values
    mask = mask_of(np.concatenate([positions for _, positions in filled.converted.errors]), len(values))
    return pc.if_else(mask, pa.scalar(instead, pa.string()), values)


def _dropped(remaining: Bools, found: list[Violations]) -> list[Violations]:
    """The filter's findings for the rows that the user's function has left, and the rows that it has not."""
    rows = np.flatnonzero(~remaining)
    if not len(rows):
        return found
    values = pa.repeat("", len(rows))
    mine = [one.among(remaining) for one in found]
    return [*(one for one in mine if len(one.positions)), Violations("filtered.transform", "--transform", rows, values)]


def _is_mixed(target: str, pick: ValueMapping) -> bool:
    """Whether the numbers of several rows make one."""
    return pick.aggregate in ("sum", "min", "max") and kind_of(target, pick) in ("integer", "number")


def _in_part(pick: ValueMapping) -> ValueMapping:
    """The value of a row that is a part of an event: its default waits until the group is whole.

    That of `cases` is the row's own where it has something to test: a sale is no refund because of a later row.
    """
    cases = pick.cases
    if cases and pick.default is not None and pick.aggregate in (None, "first", "last"):
        tested = dict.fromkeys(name for case in cases for test in case.when for name in test.columns())
        filled = {"any": [{"column": name, "empty": False} for name in tested]}
        cases = (*cases, Case.model_validate({"when": [filled], "use": {"const": pick.default}})) if tested else cases
    return pick.model_copy(update={"default": None, "cases": cases})


class _Findings:
    """The violations of one chunk, as they are found; filtered rows have none but the filter's."""

    def __init__(self, passes_filter: Bools, found: list[Violations]) -> None:
        self.passes_filter = passes_filter
        self._all_pass = bool(passes_filter.all())
        self._found = found

    def add(self, code: str, field: str, positions: Int64s, texts: ArrowArray) -> None:
        """Note a violation; ``texts`` is the whole column."""
        if not self._all_pass:
            positions = positions[self.passes_filter[positions]]
        if len(positions):
            self._found.append(Violations(code, field, positions, texts.take(positions).fill_null("")))

    def extend(self, found: Iterable[Violations]) -> None:
        """Note violations of some rows, which may be filtered ones."""
        among = (one.among(self.passes_filter) for one in found)
        self._found.extend(one for one in among if len(one.positions))

    def add_errors(self, target: str, filled: Filled, *, is_omitted: bool = False) -> None:
        """Note what could not be converted, one violation per code; or that it ``is_omitted``."""
        by_code: dict[str, list[Int64s]] = {}
        shown: dict[str, ArrowArray] = {}
        for error, positions in filled.converted.errors:
            code = code_of(target, error)
            by_code.setdefault(code, []).append(positions)
            shown[code] = filled.shown(error)
        for code, found in by_code.items():
            positions, texts = np.sort(np.concatenate(found)), shown[code]
            if is_omitted:
                texts = pc.binary_join_element_wise(f"{code}: ", pc.fill_null(texts, ""), "")
            self.add("field.omitted" if is_omitted else code, target, positions, texts)

    def all(self) -> tuple[Violations, ...]:
        """All, in the order in which they were found."""
        return tuple(self._found)
