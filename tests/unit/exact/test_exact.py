"""Columns of decimals against Python's own."""

from __future__ import annotations

from decimal import Context, Decimal, localcontext
from operator import mul

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from importer.exact import Decimals, calculated, decimals_of, sums, tokens_of
from tests.unit.group.building import plain

ORDINARY = st.decimals(-100_000, 100_000, places=2)
LARGE = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**60), max_value=10**60, places=30)
EDGES = st.sampled_from([Decimal(2**63 - 1), Decimal(-(2**63)), Decimal(2**63), Decimal("1e-18"), Decimal(0)])
NUMBERS = st.one_of(st.lists(ORDINARY, max_size=20), st.lists(st.one_of(ORDINARY, LARGE, EDGES), max_size=20))
UNLIMITED = Context(prec=1000)


def exact(numbers: list[Decimal]) -> Decimals:
    return decimals_of(pa.array([plain(one) for one in numbers], pa.string()))


@settings(deadline=None)
@given(NUMBERS)
def test_tokens_come_back_as_they_were(numbers: list[Decimal]) -> None:
    assert tokens_of(exact(numbers)).to_pylist() == [plain(one) for one in numbers]


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.one_of(ORDINARY, LARGE, EDGES)] * 3), max_size=10))
def test_products_are_exact(rows: list[tuple[Decimal, ...]]) -> None:
    with localcontext(UNLIMITED):
        expected = [plain(a * b * c) for a, b, c in rows]
    columns = [exact([row[at] for row in rows]) for at in range(3)]
    assert tokens_of(calculated(mul, columns)).to_pylist() == expected


@settings(deadline=None)
@given(st.lists(NUMBERS.filter(bool), max_size=6))
def test_sums_are_exact(groups: list[list[Decimal]]) -> None:
    with localcontext(UNLIMITED):
        expected = [plain(sum(group, Decimal())) for group in groups]
    starts = np.cumsum([0, *map(len, groups)])[:-1].astype(np.int64)
    tokens = pa.array([plain(one) for group in groups for one in group], pa.string())
    assert sums(tokens, starts).to_pylist() == expected


def test_a_product_of_a_thousand_digits_does_not_raise() -> None:
    long = exact([Decimal("9" * 300)])
    assert len(tokens_of(calculated(mul, [long] * 20))[0].as_py()) == 6000


def test_what_is_nearer_to_nothing_than_any_double_is_nothing() -> None:
    tiny = exact([Decimal("1e-200")])
    assert tokens_of(calculated(mul, [tiny, tiny])).to_pylist() == ["0"]
