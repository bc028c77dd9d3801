"""What is known of an account's limit, and the file in which its importers on this machine share it.

Every decision and every answer is one short step under the file's lock, whichever ledger each importer uses: they read
what all know, change it and write it back, and so pace together as one would. The lock is held for microseconds; an
importer that crashes loses it, and stops being counted after a few seconds. Where the file cannot be used, an importer
paces for itself, says so, and tries again.
"""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from importer.clock import Clock

MAX_PAUSE = 3600.0
"""Seconds after which one request tries again, however long the API asks to wait."""
FRESH = 10.0
"""Seconds after which an importer that has written nothing, or has had nothing to send, is not counted."""
_STALE = 300.0
"""Seconds after which the state is not relied on; only a pause that the API asked for lasts."""
_SIZE = 4
_MOST = 1 << 16
"""Bytes of the file: that of hundreds of importers."""


class Member(msgspec.Struct):
    """One importer of the account."""

    seen: float = -math.inf
    """When it last wrote."""
    asked: float = -math.inf
    """When it last had something to send."""
    in_flight: int = 0


class RateLimitState(msgspec.Struct):
    """What is known of the account's limit. Times are monotonic seconds."""

    limit: int | None = None
    """Requests a minute; None where the API names none."""
    remaining: int = 0
    """The lowest of this window, less answers that said nothing; of a moving limit, the newest."""
    reset_lo: float = -math.inf
    reset_hi: float = -math.inf
    """The window ends between these two, and up to a second later if the header was cut to seconds."""
    rolling: bool = False
    """The reset moves with every answer. Once seen, for good."""
    assumed: bool = False
    """The window is known from the clock only; no answer has spoken of it."""
    newest: float = -math.inf
    """When the latest request left whose answer has been read."""
    blocked_until: float = -math.inf
    blocked_why: str = ""
    blocked_at: float = -math.inf
    """When the API last turned a request away."""
    sent: int = 0
    """Requests that this window has counted, or may yet."""
    alone: bool = True
    """The next request goes alone: nothing is known yet, or what was known is stale."""
    last_sent: float = -math.inf
    last_sender: str = ""
    began: float = -math.inf
    """When this window is taken to have begun …"""
    first: float = math.inf
    """… and when its first answer came, if the window before was seen to end: it cannot have begun later."""
    previous_end: float = -math.inf
    """The latest end of the window before: answers that speak of it are stale."""
    others: float = 0.0
    """Requests a second of other programs, estimated; in ``others_before`` of the window before."""
    others_before: float = 0.0
    others_base: int = 0
    """What others had used of this window before it was watched."""
    strikes: int = 0
    """429s in a row that named no time."""
    own_pace: float | None = None
    """Requests a second, where no limit is named, but answers show one."""
    accepted: int = 0
    """Answers since the last 429, or the beginning, which was at ``accepted_since``."""
    accepted_since: float = math.nan
    latency: float = 0.0
    members: dict[str, Member] = {}

    @property
    def in_flight(self) -> int:
        """Requests of all importers that have not ended."""
        return sum([member.in_flight for member in self.members.values()])

    @property
    def is_free(self) -> bool:
        """Whether nothing is known to hold requests back."""
        return self.limit is None and self.own_pace is None and not self.alone

    def active(self, now: float) -> int:
        """How many importers have something to send."""
        if len(self.members) == 1:
            return 1
        return max(sum(now - member.asked < FRESH for member in self.members.values()), 1)

    def drop_lost(self, now: float) -> None:
        """Count importers no more that have crashed; what they had in flight counts as used."""
        for name in [name for name, member in self.members.items() if now - member.seen >= FRESH]:
            self.remaining -= self.members.pop(name).in_flight

    def moved(self, seconds: float) -> RateLimitState:
        """The same, its times moved."""
        moved = {name: getattr(self, name) + seconds for name in _TIMES}
        return msgspec.structs.replace(self, **moved, members={})


_TIMES = (
    *("reset_lo", "reset_hi", "newest", "blocked_until", "blocked_at"),
    *("last_sent", "began", "first", "previous_end", "accepted_since"),
)


class _Content(msgspec.Struct):
    """The file's content; both clocks, for a machine that was started again has a new monotonic one."""

    monotonic: float
    wall: float
    state: RateLimitState


class SharedState:
    """The file of an account."""

    def __init__(self, directory: Path, scope: str, clock: Clock) -> None:
        self.trouble = ""
        """Why the file cannot be used at the moment; empty if it can."""
        self.name = f"{os.getpid()}-{secrets.token_hex(4)}"
        """Of this importer among the members."""
        self._path = directory / f"{hashlib.sha256(scope.encode()).hexdigest()[:16]}.limit"
        self._clock = clock
        self._handle: int | None = None
        self._held_up_since = math.inf
        self._known: tuple[bytes, _Content] = (b"", _Content(0.0, 0.0, RateLimitState()))
        """The file as this importer left it."""

    @contextmanager
    def hold(self, own: RateLimitState) -> Iterator[RateLimitState | None]:
        """The state of all, for the caller alone; written back at the end.

        Where the file cannot be used, ``own``; None while another importer has it.
        """
        now = self._clock.monotonic()
        try:
            handle = self._open()
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._held_up_since = min(self._held_up_since, now)
            if now - self._held_up_since < FRESH:
                yield None
            else:
                self.trouble = f"{self._path}: another importer holds it; is that one stopped?"
                yield own
            return
        except OSError as error:
            self.trouble = f"{self._path.parent}: {error.strerror}"
            yield own
            return
        try:
            self._held_up_since = math.inf
            state = self._read(handle, now) or own
            yield state
            self._write(handle, _Content(now, self._clock.time(), state))
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let the file go."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _open(self) -> int:
        if self._handle is not None and os.fstat(self._handle).st_nlink == 0:
            self.close()  # the file was deleted
        if self._handle is None:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        return self._handle

    def _write(self, handle: int, content: _Content) -> None:
        packed = msgspec.msgpack.encode(content)
        packed = len(packed).to_bytes(_SIZE) + packed
        try:
            os.pwrite(handle, packed, 0)
            self.trouble, self._known = "", (packed, content)
        except OSError as error:
            self.trouble = f"{self._path}: {error.strerror}"

    def _read(self, handle: int, now: float) -> RateLimitState | None:
        """What all know, on this machine's clock of now; None where the file holds nothing of use."""
        try:
            packed, content = self._known
            raw = os.pread(handle, _MOST, 0)
            if not packed or not raw.startswith(packed):
                content = msgspec.msgpack.decode(raw[_SIZE : _SIZE + int.from_bytes(raw[:_SIZE])], type=_Content)
        except (OSError, msgspec.DecodeError):
            return None  # new, or of another version
        elapsed = now - content.monotonic
        state = content.state
        slept = self._clock.time() - content.wall - elapsed
        if slept > 1.0 or elapsed < 0:  # the machine slept or was started again, and only its wall clock went on
            elapsed = max(elapsed + slept, 0.0)
            state = state.moved(now - elapsed - content.monotonic)
        if state.blocked_until > now + MAX_PAUSE + FRESH:
            state.blocked_until = -math.inf
        if elapsed > _STALE:
            return RateLimitState(blocked_until=state.blocked_until, blocked_why=state.blocked_why)
        return state
