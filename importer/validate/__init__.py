"""The API's rules over a chunk's event columns.

This package owns which rows may be sent and every reason why not, as the endpoint's page says (``[E]`` in
`importer.reasons`): a rule is a vectorised look at a column, never a loop over rows. Reading cells is ``shape``'s,
whose problems are taken over; building bodies is ``encode``'s.

    subscriber    subscriber.missing  email.invalid  phone.invalid
    money         type.missing  value.not_finite  currency.unknown  currency.not_money  currency.retired
    properties    property.text_too_long  property.not_finite  properties.too_large
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from importer.model import Bools, Events, ValidationResult, Violations
from importer.reasons import is_error
from importer.validate import money, properties, subscriber

__all__ = ["validate"]


def validate(events: Events, *, strict: bool) -> ValidationResult:
    """Judge every row of a chunk; a row gets all its reasons, one per rule and field.

    Rows that ``where`` left out get none, and a row that is part of another row's event none of the API's rules, which
    are about events. Where shaping already found fault with a field, the rules on that field are
    silent: one cell, one reason. ``strict`` makes errors of the warnings that `importer.reasons` says it lifts.
    """
    shaped = tuple(_among(events.violations, events.passes_filter))
    of_own = events.passes_filter if events.group_heads is None else events.passes_filter & (events.group_heads < 0)
    found: list[Violations] = []
    for problems in (*subscriber.check(events), *money.check(events), *properties.check(events)):
        blamed = [earlier for earlier in shaped if _is_about(earlier.field, problems.field)]
        found.extend(_among([problems], of_own & ~_rows(blamed, len(events.passes_filter))))

    problems_of_all = (*shaped, *found)
    errors = [problems for problems in problems_of_all if is_error(problems.code, strict=strict)]
    return ValidationResult(
        violations=problems_of_all, valid=events.passes_filter & ~_rows(errors, len(events.passes_filter))
    )


def _is_about(shaped: str, field: str) -> bool:
    """Whether shaping's fault with one field answers for a rule on another; a bad phone is not a missing subscriber."""
    return shaped == field or (field == "subscriber" and shaped.startswith("subscriber."))


def _among(problems: Iterable[Violations], rows: Bools) -> Iterable[Violations]:
    """The problems of the rows that are true; those of none are left out."""
    for one in problems:
        stays = rows[one.positions]
        if stays.all():
            yield one
        elif stays.any():
            yield Violations(one.code, one.field, one.positions[stays], one.values.filter(pa.array(stays)))


def _rows(problems: Iterable[Violations], count: int) -> Bools:
    """True for every row that is concerned, shape (count,)."""
    concerned = np.zeros(count, np.bool_)
    for one in problems:
        concerned[one.positions] = True
    return concerned
