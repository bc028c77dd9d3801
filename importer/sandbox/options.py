"""How a sandbox behaves: one frozen object from the command line to the socket."""

from __future__ import annotations

import re

import msgspec

from importer.errors import UsageError
from importer.sandbox.faults import Faults

_TOKEN = re.compile(r"[\x21-\x7e]{1,512}")


class SandboxOptions(msgspec.Struct, frozen=True):
    """Everything that can be set. Raises `UsageError` for a port, a token or a number that cannot be used."""

    port: int = 0
    """On 127.0.0.1, and nowhere else; 0 takes a free one."""
    tokens: tuple[str, ...] = ()
    """The bearer tokens that are accepted; none: one is made up. ``Faults.token_after`` lets the first one expire."""
    events: str | None = None
    """The file to append accepted events to, as JSON lines; None: they are only counted."""
    accounts: tuple[tuple[str, int | None], ...] = ()
    """Name and limit of each token's own account, in the order of ``tokens``; events are recorded with the name. None:
    the tokens are of one account."""
    limit: int | None = None
    """Requests per minute; None or 0: no limit, and no headers about one."""
    latency: float = 0.0
    """Seconds by which every answer is late; events are recorded at once."""
    refuse_retired: bool = False
    """Refuse currencies that are no longer in use; what the real API does is not documented."""
    faults: Faults = Faults()
    seed: int = 0
    """Of the faults: the same seed and the same order of requests give the same faults."""

    def __post_init__(self) -> None:
        """Check every value."""
        if not 0 <= self.port <= 65_535:
            raise UsageError(f"--port: {self.port} is not a port", hint="1 to 65535, or 0 for any that is free")
        if self.limit is not None and self.limit < 0:
            raise UsageError(f"--limit: {self.limit} is below zero", hint="requests per minute, or 0 for no limit")
        if self.latency < 0:
            raise UsageError(f"--latency: {self.latency} is below zero", hint="a duration such as 50ms")
        if not all(_TOKEN.fullmatch(token) for token in self.tokens):
            raise UsageError("--token: it holds a blank or a character that no HTTP header can carry",
                             hint="letters, digits and punctuation, at most 512")  # fmt: skip
