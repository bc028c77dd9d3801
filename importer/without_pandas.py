"""A process that does without pandas, until somebody wants it.

This module owns one fact about pyarrow: whenever it makes an array of Python's values it imports pandas, if there is
one, only to recognise a Series, which takes a quarter of the time and a seventh of the memory with which a command
starts. pyarrow does as well where pandas is not installed; so the command line has none, until `want_pandas` is called
by who hands pandas' objects to pyarrow, or takes some from it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class _Nowhere:
    """Where Python looks for modules, and does not find pandas."""

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name=name)


@contextmanager
def without_pandas() -> Iterator[None]:
    """Keep pandas from being imported in this block, before `want_pandas`; what was imported already stays."""
    sys.meta_path.insert(0, _Nowhere)
    try:
        yield
    finally:
        _find_pandas()


def want_pandas() -> None:
    """Let pandas be imported, and pyarrow know it."""
    import pyarrow as pa

    _find_pandas()
    pa.nulls(0).to_pandas()  # where pyarrow looked for pandas in vain, this makes it look again


def _find_pandas() -> None:
    while _Nowhere in sys.meta_path:
        sys.meta_path.remove(_Nowhere)
