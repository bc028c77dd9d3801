"""The documented reason codes, ``reasons.toml``: why a row is invalid, refused, in doubt, left out, or warned of.

``docs/reasons.md`` is written from it by ``python -m tests.docs.reasons_page > docs/reasons.md``.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

import msgspec


class ReasonCode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of the list."""

    severity: Literal["error", "warning", "info"]
    """An error keeps the row from being sent, a warning does not; info says why a row is not wanted."""
    message: str
    """What is wrong, a format string over ``field`` and ``value``."""
    fix: str
    """What to do next, in the user's words; a format string too."""
    source: str
    """Where the rule comes from."""


REASONS = msgspec.convert(
    tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")), dict[str, ReasonCode]
)
"""Every code, in the order of the documentation."""

LIFTED_BY_STRICT = frozenset({"currency.retired"})
"""Warnings that ``--strict`` makes errors."""


def is_error(code: str, *, strict: bool) -> bool:
    """Whether a reason keeps its row from being sent; raises `KeyError` for a code that is not in the list."""
    return REASONS[code].severity == "error" or (strict and code in LIFTED_BY_STRICT)
