"""Which proxy requests go through: none, unless the user asks for one."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from importer.deliver.endpoint import Endpoint
from importer.errors import UsageError

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


def choose(proxy: str | None, endpoint: Endpoint, environment: Mapping[str, str]) -> str | None:
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


def shown(url: str) -> str:
    """A proxy's URL without the user name and password that it may hold."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def unused(proxy: str | None, endpoint: Endpoint, environment: Mapping[str, str]) -> str:
    """What to say where the environment names a proxy that is not used; empty if it names none."""
    if proxy is not None or endpoint.is_loopback or not (named := named_in(environment, endpoint.host)):
        return ""
    return f"{named[0]} names a proxy, which is not used; --proxy environment uses it"
