"""Starts this package's own modules as processes beside this one, without the API token."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from importer import TOKEN_VARIABLE

if TYPE_CHECKING:
    import subprocess

_LONG = 16
"""Characters of a token that is looked for in other variables; a shorter text may be in any of them."""
SECRETS = {TOKEN_VARIABLE}
"""The variables that hold tokens; who reads a token from another one adds it here first."""
_ROOT = Path(__file__).parents[1]
"""The directory that has the package."""


def start(module: str, *arguments: str, **popen: Any) -> subprocess.Popen[bytes]:
    """Run ``python -m module`` in a session of its own, so that Ctrl-C in the terminal does not reach it."""
    import subprocess

    return subprocess.Popen(  # noqa: S603  # this interpreter, this package
        [sys.executable, "-P", "-m", module, *arguments], env=_environment(), start_new_session=True, **popen
    )


@contextmanager
def token_hidden() -> Iterator[None]:
    """Take the token out of the environment, while a library starts processes that inherit it, such as a browser."""
    hidden = {name: value for name, value in os.environ.items() if name not in environment()}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)


def environment() -> dict[str, str]:
    """This process's environment without the tokens, in variables of any name."""
    long = [token for token in tokens() if len(token) >= _LONG]
    return {
        name: value
        for name, value in os.environ.items()
        if name not in SECRETS and not any(token in value for token in long)
    }


def tokens() -> list[str]:
    """The tokens that are in variables."""
    return list(filter(None, (os.environ.get(name, "").strip() for name in sorted(SECRETS))))


def _environment() -> dict[str, str]:
    """A child finds the package also where it is not installed (a checkout)."""
    found = environment()
    if _ROOT.name not in {"site-packages", "dist-packages"}:
        found["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_ROOT), found.get("PYTHONPATH")]))
    return found
