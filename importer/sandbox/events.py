"""What arrived: the file of accepted events, and the newest requests in memory for the dashboard."""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeAlias

import msgspec

from importer.clock import Clock
from importer.errors import UsageError
from importer.sandbox.options import Fault


class EventLog:
    """Counts accepted events, and appends them to ``path`` if there is one.

    A line is ``{"n":1,"received_at":"2026-03-18T13:02:00.123456Z","event":…}``; ``event`` is the request's body byte
    for byte (put on one line if it has several); with several accounts, ``account`` comes before it. It is written
    before the answer leaves, so no event that a client may believe accepted is missing. Lines that the file already has
    are kept, and ``n`` goes on from there.

    Raises `UsageError` if the file cannot be opened.
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
                # Customers' data: readable by its owner alone.
                self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as problem:
                raise UsageError(
                    f"--events: cannot write to {path}: {problem.strerror}",
                    hint="name a file in a directory that exists and that you may write to",
                ) from problem

    def append(self, body: bytes, account: str | None = None) -> None:
        """Record an accepted event, and whose it is.

        Raises:
            OSError: the file cannot take it; it does not count as accepted.
        """
        if self._file is not None:
            moment = datetime.fromtimestamp(self._clock.time(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()
            event = msgspec.json.format(body, indent=-1) if b"\n" in body or b"\r" in body else body
            number = self._before + self.accepted + 1
            whose = b"" if account is None else b'"account":%b,' % msgspec.json.encode(account)
            line = b'{"n":%d,"received_at":"%b",%b"event":%b}\n' % (number, moment, whose, event)
            _write_whole(self._file, line)
        self.accepted += 1

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _write_whole(file: int, data: bytes) -> None:
    """Write all of ``data``; if that fails, remove the part that was written."""
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


Row: TypeAlias = dict[str, Any]
"""An arrival as the dashboard lists it, with what the event says of its subscriber, type and value."""


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """One request to create an event."""

    n: int
    """1 for the first since the sandbox began."""
    at: float
    """Seconds since the epoch."""
    status: int
    """Of the answer; 0: none was given."""
    accepted: bool
    """The event was recorded, whatever became of the answer."""
    fault: str
    """The fault that it met; empty mostly."""
    body: bytes
    """As it came, or its beginning."""


class RecentEvents:
    """The newest arrivals, in bounded memory. Bodies are parsed only when they are looked at."""

    MAX_EVENTS = 10_000
    MAX_BYTES = 32 << 20
    """Of all bodies together."""
    MAX_BODY = 16_384
    """Bytes kept of one body; an acceptable event has hardly more."""

    def __init__(self, clock: Clock) -> None:
        self.total = 0
        """Arrivals so far, kept or not."""
        self._clock = clock
        self._kept: deque[Arrival] = deque()
        self._bytes = 0

    def add(self, body: bytes, status: int, fault: Fault | None, *, accepted: bool) -> None:
        """Keep one more; the oldest go if there is no room."""
        self.total += 1
        body = body[: self.MAX_BODY]
        self._kept.append(Arrival(self.total, self._clock.time(), status, accepted, fault or "", body))
        self._bytes += len(body)
        while len(self._kept) > self.MAX_EVENTS or self._bytes > self.MAX_BYTES:
            self._bytes -= len(self._kept.popleft().body)

    def find(self, n: int) -> Arrival | None:
        """An arrival by its number, if it is still kept."""
        position = n - self._kept[0].n if self._kept else -1
        return self._kept[position] if 0 <= position < len(self._kept) else None

    def newest(self, limit: int, subscriber: str = "", kind: str = "", after: int = 0, before: int = 0) -> list[Row]:
        """The newest, newest first, at most ``limit``, as the dashboard lists them.

        ``subscriber`` and ``kind`` are parts of the id, e-mail or phone, and of the type, in any case. ``after`` and
        ``before`` are numbers; without ``before`` all later ones count.
        """
        found: list[Row] = []
        for one in reversed(self._kept):
            if one.n <= after or len(found) >= limit:
                break
            event = _object(one.body)
            subscribers = event.get("subscriber")
            said = subscribers if isinstance(subscribers, dict) else {}
            names = [text for name in ("email", "phone", "id") if (text := _text(said.get(name)))]
            type_ = _text(event.get("type"))
            is_wanted = any(subscriber.casefold() in name.casefold() for name in names or ("",))
            if is_wanted and kind.casefold() in type_.casefold() and (one.n < before or not before):
                value = f"{_text(event.get('value'))} {_text(event.get('value_currency'))}".strip()
                facts = {name: getattr(one, name) for name in ("n", "at", "status", "accepted", "fault")}
                found.append({**facts, "subscriber": names[0] if names else "", "type": type_, "value": value})
        return found


def _object(body: bytes) -> dict[str, Any]:
    try:
        event = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def _text(value: Any) -> str:
    """A value in a few words; empty for objects and lists."""
    return str(value)[:200] if isinstance(value, str | int | float) else ""
