"""Where events go: a base URL that is safe to send a token to, written in one way only; and the proxy on the way.

No proxy is used unless the user asks for one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import SplitResult, urlsplit

import msgspec

from importer import DEFAULT_ENDPOINT
from importer.errors import UsageError
from importer.wording import brief


class Endpoint(msgspec.Struct, frozen=True):
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
        segments = [segment for segment in parts.path.split("/") if segment]
        user = parts.username is not None or parts.password is not None
        plain = parts.scheme == "http" and not _is_loopback(host)
        for wrong, why, hint in (
            (parts.scheme not in _DEFAULT_PORTS, "it must begin with https://", ""),
            (not host, "it names no host", ""),
            (user, "it holds a user name or password", f"the token belongs into the environment; {DEFAULT_ENDPOINT}"),
            ("?" in url or "#" in url, "it holds a query or a fragment", ""),
            (plain, "plain http would show the token to the network", "use https; http is for loopback only"),
            (not {".", ".."}.isdisjoint(segments), "its path holds . or ..", ""),
        ):
            if wrong:
                raise _refusal(url, why, hint)
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
    # What one parser reads as a host, another may read as a user name or a path: such texts are refused.
    if not all("!" <= character <= "~" for character in url) or any(character in url for character in '\\"<>^`{|}%'):
        raise _refusal(url, "it holds characters that no URL has")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").removesuffix("."), parts.port
        with suppress(ValueError):
            host = str(ipaddress.ip_address(host))
    except ValueError as error:
        raise _refusal(url, str(error)) from None
    return parts, host, port


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _refusal(url: str, why: str, hint: str = "") -> UsageError:
    address = url.rsplit("@", 1)[-1] if "@" in url else url
    return UsageError(f"--endpoint {brief(address, 200)}: {why}", hint=hint or DEFAULT_ENDPOINT)


ENVIRONMENT = "environment"
"""``--proxy environment``: as HTTPS_PROXY and NO_PROXY say."""
_VARIABLES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


def named_in(environment: Mapping[str, str], host: str) -> tuple[str, str] | None:
    """The variable that names a proxy for this host, and its value."""
    exempt = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    for suffix in (each.strip().lstrip("*").lstrip(".") for each in exempt.split(",")):
        if suffix == "" and "*" not in exempt:
            continue
        if suffix in ("", host) or host.endswith("." + suffix):
            return None
    return next(((name, environment[name]) for name in _VARIABLES if environment.get(name)), None)


def choose_proxy(proxy: str | None, endpoint: Endpoint, environment: Mapping[str, str]) -> str | None:
    """The proxy's URL, or None; raises `UsageError`. An endpoint on this machine is never reached through one."""
    if proxy is None or endpoint.is_loopback:
        return None
    origin = "--proxy"
    if proxy == ENVIRONMENT:
        named = named_in(environment, endpoint.host)
        if named is None:
            return None
        origin, proxy = named
    url = proxy if "://" in proxy else f"http://{proxy}"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(
            f"{origin}: this is not the address of an HTTP proxy",
            hint="write http://proxy.example.com:3128, or --proxy environment for what HTTPS_PROXY says",
        )
    return url


def shown_proxy(url: str) -> str:
    """A proxy's URL without the user name and password that it may hold."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def unused_proxy(proxy: str | None, endpoint: Endpoint, environment: Mapping[str, str]) -> str:
    """What to say where the environment names a proxy that is not used; empty if it names none."""
    if proxy is not None or endpoint.is_loopback or not (named := named_in(environment, endpoint.host)):
        return ""
    return f"{named[0]} names a proxy, which is not used; --proxy environment uses it"
