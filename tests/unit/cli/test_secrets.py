"""What a user's own code puts into its errors is shown without the token."""

import pytest

from importer.cli.wording import safe


def test_the_token_is_masked_whoever_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENDER_API_TOKEN", "sekrit-0123456789")
    assert safe("ValueError: sekrit-0123456789 is no good") == "ValueError: (the token) is no good"
