"""A mapping compiled once, then applied chunk by chunk: cells in, event columns and violations out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import repeat

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from importer.columns import absent, among, mask_of, violations, without
from importer.convert.cells import EMPTY, Cells
from importer.convert.datetimes import TimeForm
from importer.convert.filters import ColumnForms, Test, TimeReading, filtered
from importer.convert.lookups import Lookups
from importer.convert.more_properties import more_properties
from importer.convert.numbers import NumberForm, from_minor_units, signs_of, sortable
from importer.convert.values import Field, Filled, code_of, kind_of, picker
from importer.currencies import contradicting, decimals
from importer.mapping.columns import UnusedColumns
from importer.mapping.model import Case, ImportMapping, ValueMapping
from importer.model import (
    AccountColumn,
    ArrowArray,
    Bools,
    Chunk,
    Events,
    Membership,
    Property,
    Violations,
)
from importer.roundtrip import is_rejects

MOST_KEYS = 100_000
"""Missing keys of a lookup that are counted."""
_LAST = ("order_by", "key")
"""Their violations come last in a row's reasons."""
_COMMA_DECIMALS = r"^\s*[-+]?[0-9]+,(?:[0-9]{1,2}|[0-9]{4,})\s*$"
"""No other number is written so: between groups of three digits a comma may be a thousands sign."""


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
        self._tests = [Test(one, forms) for one in mapping.where if one not in of_groups]
        self._group_tests = [Test(one, forms) for one in of_groups]
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

    @cached_property
    def _lenient(self) -> RowMapper:
        """The same for a file that has a decimal comma where the mapping has a dot."""
        other = RowMapper(_with_both_signs(self._mapping), self._lookups, self._accounts)
        other.not_found = self.not_found
        return other

    def __call__(self, chunk: Chunk, remaining: Bools | None = None) -> Events:
        """Convert one chunk; nothing in a row raises. ``remaining``: the rows that the user's function has left."""
        if remaining is None and _was_resaved(chunk, self._mapping):
            return self._lenient(chunk)
        cells = Cells(chunk, self._lookups)
        passes, filters = filtered(self._tests, cells)
        if remaining is not None:
            gone = violations("filtered.transform", "--transform", pa.array(~remaining), pa.repeat("", cells.count))
            filters = [*among(filters, remaining), *gone]
            passes &= remaining
        found: list[Violations] = []
        by_recipe: dict[str, Filled] = {}
        columns: dict[str, Filled] = {}
        for target, field in self._fields.items():
            if field.recipe not in by_recipe:
                by_recipe[field.recipe] = field(cells)
            columns[target] = by_recipe[field.recipe]
            found += _errors(target, columns[target], is_omitted=target in self._omit)
            found += columns[target].violations
        values = {target: filled.converted.values for target, filled in columns.items()}
        for target, default in self._omit.items():
            # A part of an event waits for its default until the group is whole.
            values[target] = _replaced_errors(columns[target], None if self._groups else default)
        signs, broken = self._check_money(values, columns, cells.count)
        found += broken
        order_value = self._order_value(columns)
        needed = {"order_by": ("order_by.invalid", order_value), "key": ("key.missing", values.get("key"))}
        for target, (code, made) in needed.items():
            if made is not None:
                lacking = _unexplained(made, columns[target], is_part=self._groups is not None)
                found += violations(code, target, lacking, columns[target].found)
        more = None
        if self._unused is not None:
            more, broken = more_properties(chunk, cells, self._unused, values)
            found += broken
        membership = None
        if self._groups is not None:
            membership, broken = self._membership(self._groups, cells, signs)
            found += broken
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
            passes_filter=passes,
            key=values.get("key"),
            order_value=order_value,
            event_time=columns[self._clock].converted.instants if self._clock else None,
            account=None if self._accounts is None else _account_names(cells, chunk.source.name, self._accounts),
            membership=membership,
            violations=(*filters, *self._each_key_once(among(found, passes))),
            omit=self._omit,
            max_bytes=self._max_bytes,
        )

    def _each_key_once(self, found: Iterable[Violations]) -> Iterator[Violations]:
        """The violations, without keys that several targets look up for one row; keys are noted in `not_found`."""
        seen: set[tuple[str, int, str]] = set()
        for each in found:
            one = each
            if one.code == "lookup.not_found":
                keys = [*zip(repeat(one.field), one.positions.tolist(), one.values.to_pylist(), strict=False)]
                new = np.array([key not in seen for key in keys])
                seen.update(keys)
                self.add_not_found({one.field: {key for _, _, key in keys}})
                one = Violations(one.code, one.field, one.positions[new], one.values.filter(pa.array(new)))
            if len(one.positions):
                yield one

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
        self, field: Field, cells: Cells, signs: Mapping[str, ArrowArray]
    ) -> tuple[Membership, list[Violations]]:
        filled = field(cells)
        keys = filled.converted.values
        lacking = violations("group.missing", "group_by", _unexplained(keys, filled, is_part=False), filled.found)
        asked = [one.of_groups(cells) for one in self._group_tests]
        unreadable = (one for _, cells_unread in asked for one in cells_unread)
        found = [*_errors("group_by", filled), *filled.violations, *lacking, *unreadable]
        return Membership(keys, tuple(test for test, _ in asked), signs), found

    def _check_money(
        self, values: dict[str, ArrowArray], columns: dict[str, Filled], count: int
    ) -> tuple[dict[str, ArrowArray], list[Violations]]:
        """Amounts in minor units → major ones; amounts that name another currency than their row.

        Returns, by targets, what parts of an event say of the currency of their numbers.
        """
        currencies: ArrowArray = values.get("value_currency", absent(count))
        if "value_currency" in self._omit:  # those that will be left out are none
            unknown = [code for code in pc.unique(currencies).drop_null().to_pylist() if decimals(code) is None]
            currencies = without(currencies, pc.is_in(currencies, pa.array(unknown, pa.string())))
        if self._currency is not None and currencies.null_count:
            currencies = pc.fill_null(currencies, self._currency)
        said: dict[str, ArrowArray] = {}
        found: list[Violations] = []
        for target in self._minor_units:
            values[target] = from_minor_units(values[target], currencies)
            without_currency = pc.and_(pc.is_valid(values[target]), pc.is_null(currencies))
            found += violations("currency.missing", target, without_currency, columns[target].texts)
        for target in self._amounts:
            texts = columns[target].texts
            signs = signs_of(texts, columns[target].converted.values)
            if target == "value" and signs is not None:
                others = pa.array(mask_of(contradicting(signs, currencies), count))
                found += violations("value.other_currency", "value", others, texts)
                signs = without(signs, others)
            if target in self._minor_units:
                signs = currencies if signs is None else pc.coalesce(signs, currencies)
                signs = without(signs, pc.is_null(values[target]))
            if signs is not None:
                said[target] = signs
        return said, found

    def _order_value(self, columns: dict[str, Filled]) -> ArrowArray | None:
        """The place in order: instants and integers as int64, else texts in byte order."""
        if "order_by" not in columns:
            return None
        converted, kind = columns["order_by"].converted, self._fields["order_by"].kind
        if kind in ("date", "datetime"):
            return converted.instants
        if kind == "integer":
            return _int64s(converted.values)
        return sortable(converted.values) if kind == "number" else converted.values


def with_known_accounts(events: Events, accounts: AccountColumn) -> Events:
    """The events with null for the account of rows that belong to none, and the reasons of those that would be sent."""
    assert events.account is not None
    unknown = pc.invert(pc.is_in(events.account, value_set=pa.array(set(accounts.names.values()), pa.string())))
    judged = events.passes_filter if events.group_heads is None else events.passes_filter & (events.group_heads < 0)
    found = list(events.violations)
    empty = pc.is_null(events.account)
    for code, rows in (("account.missing", empty), ("account.unknown", pc.and_not(unknown, empty))):
        found += violations(code, "account", pc.and_(rows, pa.array(judged)), events.account)
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


def _forms(picks: Mapping[str, ValueMapping]) -> ColumnForms:
    """How the targets write the numbers and the times of each column."""
    numbers: list[tuple[str, NumberForm]] = []
    times: list[tuple[str, TimeReading]] = []
    for target, pick in picks.items():
        kind = kind_of(target, pick)
        if kind in ("integer", "number"):
            numbers += _number_forms(pick, NumberForm.of(pick).unchanged)
        elif kind in ("date", "datetime"):
            zones = picker(pick.timezone) if isinstance(pick.timezone, ValueMapping) else None
            reading = TimeReading(TimeForm.of(pick, dates=kind == "date"), zones)
            columns = (one.column for one in (pick, *(pick.first_of or ())) if one.lookup is None)
            times += [(name, reading) for name in columns if name is not None]
    return ColumnForms(numbers, times)


def _number_forms(pick: ValueMapping, form: NumberForm) -> Iterator[tuple[str, NumberForm]]:
    if pick.column is not None and pick.lookup is None:
        yield pick.column, form
    for inner in pick.first_of or ():
        yield from _number_forms(inner, form)
    for factor in pick.operands():
        yield from _number_forms(factor, NumberForm.of(factor).unchanged)


def _int64s(tokens: ArrowArray) -> ArrowArray:
    """Integer tokens as int64, null outside its range."""
    try:
        return tokens.cast(pa.int64())
    except pa.ArrowInvalid:
        fits = [None if one is None or not -(2**63) <= int(one) < 2**63 else int(one) for one in tokens.to_pylist()]
        return pa.array(fits, pa.int64())


def _errors(target: str, filled: Filled, *, is_omitted: bool = False) -> Iterator[Violations]:
    """What could not be converted; or that it ``is_omitted``."""
    for error, positions in filled.converted.errors:
        code = code_of(target, error)
        texts = pc.fill_null(filled.shown(error).take(positions), "")
        if is_omitted:
            texts, code = pc.binary_join_element_wise(f"{code}: ", texts, ""), "field.omitted"
        yield Violations(code, target, positions, texts)


def _unexplained(values: ArrowArray, filled: Filled, *, is_part: bool) -> ArrowArray:
    """What came out null without an error that says why; an absent cell is none in a part of an event."""
    mask = pc.is_null(values)
    if is_part:
        mask = pc.and_(mask, pc.is_valid(filled.texts))
    for _, positions in filled.converted.errors:
        mask = pc.and_not(mask, pa.array(mask_of(positions, len(values))))
    return mask


def _replaced_errors(filled: Filled, instead: str | None) -> ArrowArray:
    """A target's values, with another one in place of those that could not be converted."""
    values = filled.converted.values
    for _, positions in filled.converted.errors:
        values = pc.if_else(mask_of(positions, len(values)), pa.scalar(instead, pa.string()), values)
    return values


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


def _was_resaved(chunk: Chunk, mapping: ImportMapping) -> bool:
    """Whether a European spreadsheet saved these rejects: with semicolons, and a comma where the mapping has a dot."""
    dialect = chunk.source.dialect
    if dialect.delimiter != ";" or dialect.sheet or not is_rejects(chunk.source.columns or ()):
        return False
    names = {name for target, one in mapping.fields() if _has_dot(target, one) for name in one.own_columns()}
    there = (chunk.table.column(name) for name in names & {*chunk.table.column_names})
    return any(pc.any(pc.match_substring_regex(cells, _COMMA_DECIMALS)).as_py() for cells in there)


def _with_both_signs(mapping: ImportMapping) -> ImportMapping:
    """The mapping, taking either decimal sign where it takes a dot; what can be read in two ways is no number then."""
    properties = {name: _both(f"properties.{name}", one) for name, one in mapping.properties.items()}
    value = None if mapping.value is None else _both("value", mapping.value)
    return mapping.model_copy(update={"value": value, "properties": properties})


def _has_dot(target: str, one: ValueMapping) -> bool:
    is_number = target == "value" or one.as_ in ("number", "integer")
    return is_number and one.decimal in (None, ".") and one.thousands is None


def _both(target: str, one: ValueMapping) -> ValueMapping:
    """The value, and those that it chooses from or calculates with, with either sign."""
    inner = {
        name: tuple(_both("value" if target == "value" or name != "first_of" else target, part) for part in parts)
        for name in ("first_of", "product_of", "sum_of", "difference_of")
        if (parts := getattr(one, name, None))
    }
    signs = {"decimal": (".", ",")} if _has_dot(target, one) else {}
    return one.model_copy(update={**inner, **signs})
