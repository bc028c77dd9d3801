"""Text for a screen of 80 columns.

This module owns wrapping and how long a time is in words; what is said is ``terminal``'s and ``terminal_check``'s.
"""

from __future__ import annotations

import textwrap

WIDTH = 80


def wrapped(text: str, first: str = "", rest: str | None = None) -> str:
    """A paragraph; ``first`` and ``rest`` are what its lines begin with."""
    return textwrap.fill(text, WIDTH, initial_indent=first, subsequent_indent=first if rest is None else rest)


def duration(seconds: float) -> str:
    """A time in words: ``4.2 s``, ``3 h 5 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if not hours:
        return f"{minutes} min {rest} s"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h {minutes} min" if days else f"{hours} h {minutes} min"
