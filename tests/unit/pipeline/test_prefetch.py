"""Reading ahead changes nothing but the thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any, cast

import pytest

from importer.errors import SourceError
from importer.pipeline.prepare import prefetch


def numbers(made: list[int], upto: int) -> Iterator[int]:
    for number in range(upto):
        made.append(number)
        yield number


def test_items_come_in_order_and_from_another_thread() -> None:
    threads: set[int] = set()

    def items() -> Iterator[int]:
        for number in range(100):
            threads.add(threading.get_ident())
            yield number

    assert list(prefetch(items())) == list(range(100))
    assert threads.isdisjoint({threading.get_ident()})


def test_no_more_than_one_item_is_made_ahead() -> None:
    made: list[int] = []
    with closing(cast("Any", prefetch(numbers(made, 100)))) as items:
        assert [next(items), next(items)] == [0, 1]
    assert made in ([0, 1], [0, 1, 2])


def test_what_reading_raises_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise SourceError("a.csv", "breaks off")

    seen: list[int] = []
    with pytest.raises(SourceError, match="breaks off"):
        seen.extend(prefetch(items()))
    assert seen == [1]


def test_closing_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    with closing(cast("Any", prefetch(numbers([], 10)))) as items:
        next(items)
    assert threading.active_count() == before
