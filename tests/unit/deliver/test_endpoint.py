"""Where a token may be sent."""

import pytest

from importer.deliver.endpoint import Endpoint
from importer.errors import UsageError


def test_the_default_is_the_real_api() -> None:
    endpoint = Endpoint.parse()
    assert endpoint.events_url == "https://api.sender.net/v2/events"
    assert endpoint.subscribers_url == "https://api.sender.net/v2/subscribers"
    assert endpoint.host == "api.sender.net"
    assert not endpoint.is_loopback
    assert endpoint.scope("shop") == "shop@https://api.sender.net/v2"


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("https://API.Example.COM/v2/", "https://api.example.com/v2"),
        ("https://example.com:8443", "https://example.com:8443"),
        ("http://127.0.0.1:8080/v2", "http://127.0.0.1:8080/v2"),
        ("http://127.8.9.1/v2", "http://127.8.9.1/v2"),
        ("http://[::1]:80/v2", "http://[::1]/v2"),
        ("http://[0:0:0:0:0:0:0:1]:8080/v2", "http://[::1]:8080/v2"),
        ("https://h/v2", "https://h/v2"),
        ("https://h:443/v2", "https://h/v2"),
        ("https://h./v2", "https://h/v2"),
        ("https://H.:443//v2//", "https://h/v2"),
        ("https://h/v2/events", "https://h/v2"),
        ("https://h/v2/events/", "https://h/v2"),
        ("https://h:444/v2", "https://h:444/v2"),
        ("http://localhost:9/v2", "http://localhost:9/v2"),
    ],
)
def test_https_anywhere_and_http_on_this_machine_are_fine(url: str, canonical: str) -> None:
    assert Endpoint.parse(url).url == canonical


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://api.sender.net/v2", "plain http would show the token to the network"),
        ("http://localhost.example.com/v2", "plain http"),
        ("http://127.0.0.1.example.com/v2", "plain http"),
        ("http://2130706433/v2", "plain http"),
        ("http://0x7f.1/v2", "plain http"),
        ("http://0.0.0.0/v2", "plain http"),
        ("ftp://api.sender.net/v2", "must begin with https://"),
        ("api.sender.net/v2", "must begin with https://"),
        ("https:///v2", "names no host"),
        ("https://someone:secret@example.com/v2", "holds a user name or password"),
        ("https://@example.com/v2", "holds a user name or password"),
        ("https://example.com/v2?x=1", "holds a query or a fragment"),
        ("https://example.com/v2?", "holds a query or a fragment"),
        ("https://example.com/v2#x", "holds a query or a fragment"),
        ("https://example.com:port/v2", "Port could not be cast"),
        ("https://example.com:99999/v2", "Port out of range"),
        ("https://[::1/v2", "Invalid IPv6"),
        ("https://example.com\\@evil.example.org/v2", "characters that no URL has"),
        ("https://example.com/ v2", "characters that no URL has"),
        ("https://example.com/v2\n", "characters that no URL has"),
        ("https://exämple.com/v2", "characters that no URL has"),
        ("https://example.com/%76%32", "characters that no URL has"),
        ("https://example.com/v1/../v2", "its path holds . or .."),
    ],
)
def test_whatever_could_leak_the_token_is_refused(url: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        Endpoint.parse(url)
    assert words in caught.value.message
    assert caught.value.message.startswith("--endpoint ")
    assert caught.value.hint
    assert "secret" not in str(caught.value)
