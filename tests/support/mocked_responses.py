"""aioresponses on an aiohttp that it does not know yet.

aioresponses 0.7.9 makes answers without the ``stream_writer`` that aiohttp 3.14 asks for (its issue 289): hand
`BridgedResponse` to it as ``response_class``.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

from aiohttp import ClientResponse


class BridgedResponse(ClientResponse):
    """An answer whose request was written by nobody."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("stream_writer", Mock(output_size=0))
        super().__init__(*args, **kwargs)
