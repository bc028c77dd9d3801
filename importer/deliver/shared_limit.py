"""One limit for all importers of an account on this machine, whichever ledger each of them uses.

Each importer keeps one small file in a directory of the account and endpoint: what it knows of the limit, and how much
of it it is using. Once a second it writes its own file and reads the others', on a thread, so that the event loop waits
for no disk and nobody for a lock. An importer that has crashed stops being counted after a few seconds. Where the
directory cannot be used, this importer paces for itself, says so, and goes on trying.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from contextlib import suppress
from pathlib import Path

import msgspec

from importer.clock import Clock
from importer.deliver.rate_limit import MAX_PAUSE, Peers, RateLimiter, RateLimitState

EVERY = 1.0
"""Seconds between two exchanges."""
_FRESH = 5.0
"""Seconds after which an importer that says nothing, or has had nothing to send, is not counted."""
_TIMES = ("reset_lo", "reset_hi", "newest", "blocked_until")
"""The moments in a `RateLimitState`: monotonic in each process, wall-clock in the files."""


class _Note(msgspec.Struct):
    """One importer's file. Times are wall-clock seconds."""

    at: float
    active: bool
    """It has had something to send just now."""
    in_flight: int
    sent: int
    state: RateLimitState


class SharedRateLimit:
    """Keeps a `RateLimiter` informed of the others."""

    def __init__(self, limiter: RateLimiter, directory: Path, scope: str, clock: Clock) -> None:
        self.trouble = ""
        """Why the directory cannot be used at the moment; empty if it can."""
        self._limiter = limiter
        self._clock = clock
        self._directory = directory / hashlib.sha256(scope.encode()).hexdigest()[:16]
        self._own = self._directory / f"{os.getpid()}-{secrets.token_hex(4)}"
        self._told = float("-inf")

    def __repr__(self) -> str:
        return f"<SharedRateLimit {self._directory.name}, {self._limiter.peers.count} others>"

    async def keep_up(self) -> None:
        """Exchange once a second, and at once after a 429; until it is cancelled."""
        while True:
            await self.exchange()
            until = self._clock.monotonic() + EVERY
            told = self._limiter.state.blocked_until
            while self._clock.monotonic() < until and self._limiter.state.blocked_until == told:
                await self._clock.sleep(EVERY / 4)

    async def exchange(self) -> None:
        """Write what this importer knows, and take over what the others know."""
        note = self.compose()
        self.hear(await asyncio.to_thread(self.swap, note))

    async def close(self) -> None:
        """Leave: only a pause that the API asked for outlives this importer."""
        waits = self._limiter.state.blocked_until > self._clock.monotonic()
        await asyncio.to_thread(self.leave, keep=waits)

    def compose(self) -> bytes:
        """This importer's note."""
        now, limiter = self._clock.monotonic(), self._limiter
        offset = self._clock.time() - now
        note = _Note(
            at=now + offset,
            active=now - limiter.asked_at < _FRESH,
            in_flight=limiter.in_flight,
            sent=limiter.sent,
            state=_shifted(limiter.state, offset),
        )
        return msgspec.msgpack.encode(note)

    def swap(self, note: bytes) -> list[tuple[str, bytes]]:
        """Write the own note and read the others', by name; blocks on the disk."""
        found = []
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            partial = self._own.with_name(f".{self._own.name}")
            partial.touch(mode=0o600)
            partial.write_bytes(note)
            partial.replace(self._own)
            for path in self._directory.iterdir():
                if path.name != self._own.name and not path.name.startswith("."):
                    with suppress(FileNotFoundError):  # that importer has just left
                        found.append((path.name, path.read_bytes()))
            self.trouble = ""
        except OSError as error:
            self.trouble = f"{self._directory}: {error.strerror}"
        return found

    def hear(self, notes: list[tuple[str, bytes]]) -> None:
        """Take over what others have written."""
        now, wall, limiter = self._clock.monotonic(), self._clock.time(), self._limiter
        others: list[tuple[str, _Note]] = []
        for name, content in notes:
            try:
                note = msgspec.msgpack.decode(content, type=_Note)
            except msgspec.DecodeError:
                continue  # of another version, or half written by a machine that crashed
            heard = _shifted(note.state, now - wall)
            if heard.blocked_until <= now + MAX_PAUSE + _FRESH:
                limiter.hear_block(heard)
            if abs(wall - note.at) < _FRESH:
                limiter.hear(heard, now)
                if note.active:
                    others.append((name, note))
            elif wall - note.at > 2 * MAX_PAUSE:
                with suppress(OSError):
                    (self._directory / name).unlink()
        mine = limiter.state.reset_hi
        limiter.peers = Peers(
            count=len(others),
            rank=sum(name < self._own.name for name, _ in others),
            in_flight=sum(note.in_flight for _, note in others),
            sent=sum(note.sent for _, note in others if abs(note.state.reset_hi - wall + now - mine) < _FRESH),
        )

    def leave(self, *, keep: bool = False) -> None:
        """As `close`; blocks on the disk."""
        with suppress(OSError):
            if not keep:
                self._own.unlink(missing_ok=True)
            self._directory.rmdir()


def _shifted(state: RateLimitState, offset: float) -> RateLimitState:
    moved = {name: getattr(state, name) + offset for name in _TIMES}
    return msgspec.structs.replace(state, **moved)
