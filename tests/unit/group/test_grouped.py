"""Grouping against the same worked out row by row, and what a group means for each of its rows."""

from __future__ import annotations

from datetime import datetime
from decimal import Context, Decimal, localcontext
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from importer.mapping.model import ImportMapping
from tests.unit.group.building import File, Made, Row, group, plain

ROW: Row = {"id": "1"}


def mapping(**words: Any) -> ImportMapping:
    whole: dict[str, Any] = {
        "version": 1,
        "group_by": "g",
        "subscriber": {"id": "id"},
        "type": {"const": "purchase"},
        "missing_columns": "warn",
    }
    return ImportMapping.model_validate(whole | words)


EVERY = mapping(
    where=[
        {"column": "s", "in": ["paid"]},
        {"column": "t", "not_equals": "never", "rows": "all"},
        {"column": "q", "not_equals": "9", "rows": "each"},
        {"column": "p", "not_equals": "13", "rows": "any"},
    ],
    value={"product_of": ["q", "p"], "aggregate": "sum"},
    key={"column": "t", "default": "none"},
    properties={
        "first": "t",
        "last": {"column": "t", "aggregate": "last"},
        "count": {"column": "t", "aggregate": "count"},
        "join": {"column": "t", "aggregate": "join", "separator": "+"},
        "sum": {"column": "q", "as": "number", "aggregate": "sum", "default": "0"},
        "least": {"column": "p", "as": "number", "aggregate": "min"},
        "most": {"column": "p", "as": "number", "aggregate": "max"},
        "early": {"column": "at", "as": "datetime", "aggregate": "min"},
        "late": {"column": "at", "as": "date", "aggregate": "max"},
    },
)

NUMBERS = ["0", "1", "9", "2.5", "-0.1", "0.30", "13", "1e3", "99999999999999999999.01", "x"]
TIMES = ["2026-01-31T08:00:00+02:00", "2026-01-31T07:00:00Z", "2026-02-01T00:30:00+09:00", "2025-12-31T23:00:00Z"]
ROWS = st.fixed_dictionaries(
    {
        "g": st.sampled_from(["a", "b", "c", "d", " ", None]),
        "id": st.sampled_from(["1", "2", None]),
        "q": st.sampled_from([*NUMBERS, None]),
        "p": st.sampled_from([*NUMBERS, None]),
        "t": st.sampled_from(["mug", "soap", "never", " ", None]),
        "s": st.sampled_from(["paid", "paid", "pending", None]),
        "at": st.sampled_from([*TIMES, None]),
    }
)
FILES = st.lists(
    st.builds(
        File,
        st.sampled_from(["a.csv", "b.csv"]),
        st.lists(st.one_of(ROWS, ROWS, ROWS, st.none()), max_size=12),
        st.lists(st.integers(1, 5), min_size=1, max_size=3),
    ),
    min_size=1,
    max_size=3,
)


def filled(row: Row, column: str) -> str | None:
    return (row.get(column) or "").strip() or None


def number(text: str | None) -> Decimal | None:
    try:
        return None if text is None else Decimal(text)
    except ArithmeticError:
        return None


def product(row: Row) -> Decimal | None:
    quantity, price = number(filled(row, "q")), number(filled(row, "p"))
    return None if quantity is None or price is None else quantity * price


def whole(rows: list[Row], made: dict[str, Any]) -> None:
    """Hold one event against its rows."""
    ids, texts, times = ([text for row in rows if (text := filled(row, name))] for name in ("id", "t", "at"))
    products = [total for row in rows if (total := product(row)) is not None]
    prices = [price for row in rows if (price := number(filled(row, "p"))) is not None]
    quantities = [quantity for row in rows if (quantity := number(filled(row, "q"))) is not None]
    assert made["id"] == (ids[0] if ids else None)
    assert made["first"] == (texts[0] if texts else None)
    assert made["key"] == (texts[0] if texts else "none")
    assert made["last"] == (texts[-1] if texts else None)
    assert made["count"] == str(len(texts))
    assert made["join"] == ("+".join(texts) or None)
    assert made["value"] == (plain(sum(products, Decimal())) if products else None)
    assert made["sum"] == plain(sum(quantities, Decimal()))
    assert made["least"] == (plain(min(prices)) if prices else None)
    assert made["most"] == (plain(max(prices)) if prices else None)
    assert (made["early"] and datetime.fromisoformat(made["early"])) == min(
        map(datetime.fromisoformat, times), default=None
    )
    assert made["late"] == max((text[:10] for text in times), default=None)


def expected(files: list[File]) -> tuple[dict[int, int], dict[str, list[int]], list[Row | None]]:
    """Leaders by place, the kept groups' places by key, and all rows."""
    rows = [row for one in files for row in one.rows]
    groups: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        if row is not None and number(filled(row, "q")) != 9 and (key := filled(row, "g")):
            groups.setdefault(key, []).append(place)
    kept = {key: places for key, places in groups.items() if taken([rows[at] for at in places])}
    return {at: places[0] for places in groups.values() for at in places}, kept, rows


def taken(rows: list[Any]) -> bool:
    status = next((one for row in rows if (one := filled(row, "s"))), None)
    never = any(filled(row, "t") == "never" for row in rows)
    return status == "paid" and not never and any(number(filled(row, "p")) != 13 for row in rows)


def against_the_oracle(files: list[File], made: Made) -> None:
    with localcontext(Context(prec=200)):
        _against_the_oracle(files, made)


def _against_the_oracle(files: list[File], made: Made) -> None:
    group_heads, kept, rows = expected(files)
    of_rows = ("group.invalid_row", "group.conflict", "group.incomplete", "group.repeated", "group.differs")
    faulty = {place for place, code, *_ in made.violations if code not in (*of_rows, "filtered.where")}
    blamed = {code: {place for place, one, *_ in made.violations if one == code} for code in of_rows}
    assert blamed["group.conflict"] == {
        place
        for places in kept.values()
        for place in places
        if len({filled(rows[at] or {}, "id") for at in places} - {None}) > 1
    }
    starts = [sum(len(one.rows) for one in files[:at]) for at in range(len(files))]
    for places in kept.values():  # which of those that several files have, test_sources says
        several = any(places[0] < start <= places[-1] for start in starts)
        assert several or not blamed["group.repeated"].intersection(places)
        differ = len({filled(rows[at] or {}, "t") for at in places} - {None}) > 1
        differs = differ and places[0] not in blamed["group.repeated"]
        assert (places[0] in blamed["group.differs"]) == differs, "of `first` and `key`"
        assert blamed["group.differs"].isdisjoint(places[1:])
    doubtful = touched(files, sorted(group_heads))
    assert blamed["group.incomplete"] == {
        place
        for places in kept.values()
        for place in places
        if doubtful.intersection(places) or any(rows[at] is None for at in range(places[0], places[-1]))
    }
    for place, row in enumerate(rows):
        if row is None:
            assert made.group_heads[place] == -2
        else:
            leads = group_heads.get(place, place) == place
            assert made.group_heads[place] == (-1 if leads else group_heads[place])
            inside = any(place in places for places in kept.values())
            alone = place not in group_heads and number(filled(row, "q")) != 9 and taken([row])
            assert made.passes_filter[place] == (inside or alone)
            bad = any(filled(row, column) == "x" for column in ("q", "p"))
            # A product needs both of its factors, a sum, a minimum and a maximum theirs alone.
            assert (place in faulty) == (made.passes_filter[place] and (bad or alone))
    for places in kept.values():
        mine = {place: rows[place] for place in places}
        if not faulty.intersection(places):
            whole([row for row in mine.values() if row is not None], made.events[places[0]])
        elif places[0] not in faulty:
            first = min(faulty.intersection(places))
            told = [
                value for place, code, _, value in made.violations if (place, code) == (places[0], "group.invalid_row")
            ]
            assert any(value.endswith(f"row {row_number(files, first)}") for value in told)


def touched(files: list[File], in_groups: list[int]) -> set[int]:
    """The rows of groups that stand next to a row that could not be read."""
    found, start = set(), 0
    for one in files:
        mine = [place for place in in_groups if start <= place < start + len(one.rows)]
        for place in (start + at for at, row in enumerate(one.rows) if row is None):
            found |= {*[at for at in mine if at < place][-1:], *[at for at in mine if at > place][:1]}
        start += len(one.rows)
    return found


def row_number(files: list[File], place: int) -> int:
    for one in files:
        if place < len(one.rows):
            return place + 1
        place -= len(one.rows)
    raise AssertionError


@settings(deadline=None, max_examples=25)
@given(FILES)
def test_events_are_what_their_rows_come_to_however_files_and_chunks_are_cut(files: list[File]) -> None:
    against_the_oracle(files, group(EVERY, *files))
