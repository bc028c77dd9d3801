"""Working ahead: the next chunk is made on a thread of its own while the one before is worked on.

This module owns that thread and nothing else. Order and content stay as they are, and no more than one item is ahead;
Arrow's kernels and file reads leave Python's lock to the other thread, so two cores share the work.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items; what making one raises comes where it would have come.

    Not for items that may have to be waited for without end, such as a terminal's: whoever closes this waits for the
    item on its way.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="ahead") as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item
