"""Rejects of orders that are made of several rows: mended and run again, the whole order comes back as one event."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.program import importer

MAPPING = """\
version: 1
group_by: order
subscriber: {id: id}
type: {const: purchase}
value: {product_of: [quantity, price], aggregate: sum}
properties: {items: {column: item, aggregate: join}}
"""
LINE = st.tuples(st.sampled_from("abc"), st.integers(-9, 9), st.integers(0, 999), st.booleans())


@settings(deadline=None, max_examples=10)  # each runs the program three times
@given(lines=st.lists(LINE, min_size=1, max_size=12))
def test_what_is_sent_at_last_is_what_would_have_been_sent_at_once(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[str, int, int, bool]]
) -> None:
    home = tmp_path_factory.mktemp("orders")
    mapping = home / "m.yaml"
    mapping.write_text(MAPPING, encoding="utf-8")
    rows = [[order, "7", quantity, f"{cents / 100}", f"i{at}"] for at, (order, quantity, cents, _) in enumerate(lines)]
    spoilt = [[*row[:3], "?" if bad else row[3], row[4]] for row, (*_, bad) in zip(rows, lines, strict=True)]
    sound = events(written(home / "sound.csv", rows), mapping)
    sent = events(written(home / "spoilt.csv", spoilt), mapping)
    importer("check", str(home / "spoilt.csv"), "-m", str(mapping), "--out", str(home / "out"))
    prices = {row[4]: row[3] for row in rows}
    with (home / "out" / "rejects.csv").open(newline="", encoding="utf-8") as file:
        mended = [[r["order"], r["id"], r["quantity"], prices[r["item"]], r["item"]] for r in csv.DictReader(file)]
    sent += events(written(home / "mended.csv", mended), mapping)
    assert sorted(sent) == sorted(sound)


def written(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["order", "id", "quantity", "price", "item"], *rows])
    return path


def events(path: Path, mapping: Path) -> list[str]:
    outcome = importer("check", str(path), "-m", str(mapping), "--preview", "100")
    return [json.dumps(json.loads(line)) for line in outcome.stdout.splitlines()]
