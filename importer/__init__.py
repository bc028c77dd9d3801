"""Import CSV, JSONL and Parquet exports into Sender as custom events, with a report for every row.

    import importer

    result = importer.check("orders.csv", "orders.yaml")
    result.report.query("state == 'invalid'")
    importer.run("orders.csv", "orders.yaml", sandbox=True)

Names are loaded when they are first used, so that the command line starts in a blink.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importer.library import Result, Settings, check, run

__version__ = "0.1.0"
TOKEN_VARIABLE = "SENDER_API_TOKEN"  # noqa: S105  # the variable's name
"""The environment variable that holds the API token; in no other process than the sender's."""
DEFAULT_ENDPOINT = "https://api.sender.net/v2"
"""The real API's base URL (https://api.sender.net)."""
__all__ = ["Result", "Settings", "__version__", "check", "run"]


def __dir__() -> list[str]:
    return [*__all__, "__doc__", "__file__", "__name__", "__path__"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("importer.library"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
