"""The truth of a rehearsal: every event that the sandbox accepted, in order, one JSON line each.

Owns the ``--events`` file. A line is ``{"n":1,"received_at":"2026-03-18T13:02:00.123456Z","event":…}``, the event being
the request's body byte for byte (put on one line if it ran over several). It is written before the answer leaves, so
that nothing a client was told, or was about to be told, is missing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from importer.clock import Clock
from importer.errors import UsageError
from importer.sandbox.payload import on_one_line


class Record:
    """Appends to the file, and counts; without a file it only counts.

    Raises `UsageError` if the file cannot be opened. What it holds already is kept, and ``n`` goes on from there.
    """

    def __init__(self, path: str | None, clock: Clock) -> None:
        self.accepted = 0
        """Events accepted by this sandbox."""
        self._clock = clock
        self._file: int | None = None
        self._before = 0
        if path is not None:
            try:
                self._before = _count_lines(path)
                # Customers' data: for its owner's eyes.
                self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as problem:
                raise UsageError(
                    f"--events: cannot write to {path}: {problem.strerror}",
                    hint="name a file in a directory that exists and that you may write to",
                ) from problem

    def append(self, bodies: Sequence[bytes]) -> None:
        """Record accepted events, all or none.

        Raises:
            OSError: the file cannot take them; none of them counts as accepted.

        """
        if self._file is not None:
            moment = datetime.fromtimestamp(self._clock.time(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()
            first = self._before + self.accepted + 1
            lines = [
                b'{"n":%d,"received_at":"%b","event":%b}\n' % (number, moment, on_one_line(body))
                for number, body in enumerate(bodies, first)
            ]
            _write_whole(self._file, b"".join(lines))
        self.accepted += len(bodies)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _write_whole(file: int, data: bytes) -> None:
    """Write all of ``data``, or take back what was written of it."""
    size = os.fstat(file).st_size
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(file, view) :]
    except OSError:
        with suppress(OSError):  # a device has no size
            os.ftruncate(file, size)
        raise


def _count_lines(path: str) -> int:
    if not os.path.isfile(path):  # noqa: PTH113 - the user's own text, for `os.open` as for this
        return 0
    with open(path, "rb") as file:  # noqa: PTH123 - as above
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
