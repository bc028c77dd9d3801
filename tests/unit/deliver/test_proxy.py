"""Which proxy is used: only one that the user asks for."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from importer.deliver.endpoint import Endpoint, choose_proxy, shown_proxy, unused_proxy
from importer.errors import UsageError

API = Endpoint.parse("https://api.example.com/v2")
HERE = Endpoint.parse("http://127.0.0.1:8080/v2")
NAMED = {"HTTPS_PROXY": "http://user:pass@proxy.example.com:3128"}


def test_a_proxy_that_is_only_in_the_environment_is_mentioned_and_not_used() -> None:
    assert choose_proxy(None, API, NAMED) is None
    words = "HTTPS_PROXY names a proxy, which is not used; --proxy environment uses it"
    assert unused_proxy(None, API, NAMED) == words
    assert (
        unused_proxy(None, API, {}) == unused_proxy("environment", API, NAMED) == unused_proxy(None, HERE, NAMED) == ""
    )


@pytest.mark.parametrize(
    ("proxy", "environment", "url"),
    [
        ("http://proxy:3128", {}, "http://proxy:3128"),
        ("proxy:3128", {}, "http://proxy:3128"),
        ("environment", NAMED, NAMED["HTTPS_PROXY"]),
        ("environment", {"https_proxy": "a:1", "HTTPS_PROXY": "b:2"}, "http://a:1"),
        ("environment", {"ALL_PROXY": "http://c:3"}, "http://c:3"),
        ("environment", {"HTTP_PROXY": "http://plain:1"}, None),
        ("environment", {}, None),
        ("environment", NAMED | {"NO_PROXY": "localhost, example.com"}, None),
        ("environment", NAMED | {"NO_PROXY": "*"}, None),
        ("environment", NAMED | {"NO_PROXY": ".example.com"}, None),
        ("environment", NAMED | {"NO_PROXY": "ample.com,"}, NAMED["HTTPS_PROXY"]),
    ],
)
def test_the_proxy_that_is_asked_for_is_used(proxy: str, environment: Mapping[str, str], url: str | None) -> None:
    assert choose_proxy(proxy, API, environment) == url
    assert choose_proxy(proxy, HERE, environment) is None


@pytest.mark.parametrize("proxy", ["socks5://proxy:1080", "http://", "http://proxy:port", "", "http://[::1"])
def test_what_is_no_address_of_a_proxy_is_refused_without_its_password(proxy: str) -> None:
    with pytest.raises(UsageError, match="--proxy: this is not the address of an HTTP proxy"):
        choose_proxy(proxy, API, {})
    with pytest.raises(UsageError, match="HTTPS_PROXY: this is not") as caught:
        choose_proxy("environment", API, {"HTTPS_PROXY": "socks5://user:secret@proxy"})
    assert "secret" not in str(caught.value)


def test_a_proxy_is_shown_without_user_and_password() -> None:
    assert shown_proxy(NAMED["HTTPS_PROXY"]) == "http://proxy.example.com:3128"
