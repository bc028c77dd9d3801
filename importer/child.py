"""Starts this package's own modules as processes beside this one, without the API token."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from importer.model import TOKEN_VARIABLE

_ROOT = Path(__file__).parents[1]
"""Where the package lies."""


def start(module: str, *arguments: str, **popen: Any) -> subprocess.Popen[bytes]:
    """Run ``python -m module`` in a session of its own, so that Ctrl-C in the terminal does not reach it."""
    return subprocess.Popen(  # noqa: S603  # this interpreter, this package
        [sys.executable, "-P", "-m", module, *arguments], env=_environment(), start_new_session=True, **popen
    )


def _environment() -> dict[str, str]:
    """Ours without the token; a child finds the package also where it is not installed (a checkout)."""
    environment = {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}
    if _ROOT.name not in {"site-packages", "dist-packages"}:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_ROOT), environment.get("PYTHONPATH")]))
    return environment
