"""Every target with the inputs that once failed, and with a few invented ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import CASES, TARGETS, cases

WORDS = st.sampled_from(
    [b",", b";", b"\t", b"\n", b"\r\n", b'"', b"\\", b"\xef\xbb\xbf", b"\xff\xfe", b"{", b"}", b"[", b":", b"- ", b"  ",
     b"id", b"version: 1\n", b"https://", b"@", b".", b"-", b"+", b"1e9", b"99999999999999999999", b"2026-02-30",
     b"24:00", b"Z", b"%Y", b"\x1f\x8b", b"PK\x03\x04", b"PAR1", b"\x00", b"\x80", b"\xed\xa0\x80", b"null", b"NaN",
     b"\xe2\x80\xae", b"&a", b"*a", b"!!python", b"true", b'{"success":'])  # fmt: skip
BYTES = st.one_of(st.binary(max_size=120), st.lists(WORDS, max_size=25).map(b"".join))


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=40, deadline=None)
@given(data=BYTES)
def test_a_parser_returns_or_says_what_is_wrong(name: str, data: bytes) -> None:
    TARGETS[name](data)


@pytest.mark.parametrize(
    ("name", "file"), list(cases()), ids=lambda value: value.name if isinstance(value, Path) else value
)
def test_a_kept_case_fails_no_more(name: str, file: Path) -> None:
    TARGETS[name](file.read_bytes())


def test_every_case_has_a_target() -> None:
    assert {folder.name for folder in CASES.iterdir()} <= TARGETS.keys()
