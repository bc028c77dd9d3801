"""What a user's own code puts into its errors is shown without the token."""

import pytest

from importer.cli.console import on_screen


def test_the_token_is_masked_whoever_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENDER_API_TOKEN", "sekrit-0123456789")
    assert on_screen("ValueError: sekrit-0123456789 is no good") == "ValueError: (the token) is no good"
