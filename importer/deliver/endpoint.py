"""Where events go: a base URL that is safe to send a token to, written in one way only."""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from importer import DEFAULT_ENDPOINT
from importer.errors import UsageError
from importer.wording import brief


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An API's base URL, canonical: two ways to write one place are equal here, for what was sent is remembered by it.

    Lower-case scheme and host, no dot behind the host, no default port, no empty path segments, IP addresses in their
    shortest form.
    """

    url: str
    host: str
    """The host's name or address alone, for people."""

    @classmethod
    def parse(cls, url: str = DEFAULT_ENDPOINT) -> Endpoint:
        """Check and canonicalise ``url``; raises `UsageError`.

        The base or the full address of the events. HTTPS only; plain HTTP is for this machine alone (127.0.0.0/8, ::1,
        localhost). No user, password, query or fragment.
        """
        parts, host, port = _split(url)
        if parts.scheme not in ("http", "https"):
            raise _refusal(url, "it must begin with https://", DEFAULT_ENDPOINT)
        if not host:
            raise _refusal(url, "it names no host", DEFAULT_ENDPOINT)
        if parts.username is not None or parts.password is not None:
            raise _refusal(
                url, "it holds a user name or password", f"the token belongs into the environment; {DEFAULT_ENDPOINT}"
            )
        if "?" in url or "#" in url:
            raise _refusal(url, "it holds a query or a fragment", DEFAULT_ENDPOINT)
        if parts.scheme == "http" and not _is_loopback(host):
            raise _refusal(
                url, "plain http would show the token to the network", "use https; http is for loopback only"
            )
        segments = [segment for segment in parts.path.split("/") if segment]
        if "." in segments or ".." in segments:
            raise _refusal(url, "its path holds . or ..", DEFAULT_ENDPOINT)
        if segments[-1:] == ["events"]:
            segments.pop()
        if port == _DEFAULT_PORTS[parts.scheme]:
            port = None
        netloc = (f"[{host}]" if ":" in host else host) + (f":{port}" if port is not None else "")
        return cls(url="/".join([f"{parts.scheme}://{netloc}", *segments]), host=host)

    @property
    def events_url(self) -> str:
        """``POST`` creates one event."""
        return f"{self.url}/events"

    @property
    def subscribers_url(self) -> str:
        """``GET`` is the harmless probe."""
        return f"{self.url}/subscribers"

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine."""
        return _is_loopback(self.host)

    def scope(self, account: str) -> str:
        """The name of this account at this endpoint, for importers that share its limit."""
        return f"{account}@{self.url}"


_DEFAULT_PORTS = {"https": 443, "http": 80}


def _split(url: str) -> tuple[SplitResult, str, int | None]:
    # What one parser reads as a host, another may read as a user name or a path: refuse whatever invites that.
    if not all("!" <= character <= "~" for character in url) or any(character in url for character in '\\"<>^`{|}%'):
        raise _refusal(url, "it holds characters that no URL has", DEFAULT_ENDPOINT)
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").removesuffix("."), parts.port
        with suppress(ValueError):
            host = str(ipaddress.ip_address(host))
    except ValueError as error:
        raise _refusal(url, str(error), DEFAULT_ENDPOINT) from None
    return parts, host, port


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _refusal(url: str, why: str, hint: str) -> UsageError:
    address = url.rsplit("@", 1)[-1] if "@" in url else url
    return UsageError(f"--endpoint {brief(address, 200)}: {why}", hint=hint)
