"""Bytes to a JSON value, and the size of a value as JSON.

Owns the decoding of a request's body; what the value must look like is ``rules``'.
"""

from __future__ import annotations

from typing import Any, Self

import msgspec


class Number(float):
    """A JSON number with a fraction or an exponent, that remembers how it was written.

    ``1e400`` is infinite here, which lets ``rules`` name the field at fault.
    """

    __slots__ = ("token",)
    token: str

    def __new__(cls, token: str) -> Self:
        """From the digits as they came."""
        number = super().__new__(cls, token)
        number.token = token
        return number


class NotJsonError(ValueError):
    """The body is not JSON; the message says why."""


_decoder = msgspec.json.Decoder(float_hook=Number)
_encode = msgspec.json.Encoder().encode


def parse(body: bytes) -> Any:
    """Decode a body: str, int, `Number`, bool, None, list and dict; of a repeated key the last value counts.

    Raises:
        NotJsonError: malformed, not UTF-8, a lone surrogate, NaN, nested a thousand deep, or an integer of thousands
            of digits.

    """
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise NotJsonError(str(problem)) from problem
    except RecursionError as problem:
        raise NotJsonError("it is nested too deep") from problem


def compact_size(value: str | float | bool) -> int:
    """Bytes that a value takes in compact UTF-8 JSON, a number as it was written."""
    return len(value.token) if isinstance(value, Number) else len(_encode(value))


def on_one_line(body: bytes) -> bytes:
    """The body itself, or, if it runs over several lines, the same JSON on one."""
    if b"\n" in body or b"\r" in body:
        return msgspec.json.format(body, indent=-1)
    return body
