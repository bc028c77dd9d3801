"""What is said where temporary files find no room.

This module owns those words. What is kept in such a file, and for how long, is its users' business; the directory is
the system's choice, and ``TMPDIR`` overrules it.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator

from importer.errors import ImporterError


@contextlib.contextmanager
def room_for(what: str, kind: type[ImporterError], *, size: str, safe: str = "", then: str = "") -> Iterator[None]:
    """Raise ``kind`` where the block meets an `OSError`: ``what`` cannot be kept, for want of ``size`` in a directory.

    ``safe``: what is not lost by it; ``then``: what to do once there is room.
    """
    try:
        yield
    except OSError as error:
        where = tempfile.tempdir or "a temporary file"  # not known if it was looked for in vain
        raise kind(
            f"{what} cannot be kept in {where}: {error.strerror or error}{safe}",
            hint=f"make room there, or name a directory with {size}: TMPDIR=/that/directory{then}",
        ) from error
