"""The long search: ``python -m tests.fuzz TARGET [SECONDS]``; coverage guides it where atheris is installed.

Atheris is optional and no dependency (``pip install atheris``). Without it hypothesis invents the input. What fails is
kept in ``tests/fuzz/cases/TARGET/``.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.util
import sys
import time

from hypothesis import given, settings

from tests.fuzz.targets import CASES, TARGETS
from tests.fuzz.test_targets import BYTES


def main() -> int:
    """Try one target; 0 if nothing failed."""
    parser = argparse.ArgumentParser("python -m tests.fuzz")
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("seconds", type=int, nargs="?", default=60)
    asked = parser.parse_args()
    if importlib.util.find_spec("atheris"):
        _guided(asked.target, asked.seconds)
        return 0
    deadline, tried = time.monotonic() + asked.seconds, 0
    while time.monotonic() < deadline:
        tried += _invented(asked.target)
    sys.stdout.write(f"{asked.target}: {tried:,} inputs, none failed\n")
    return 0


def _guided(name: str, seconds: int) -> None:
    atheris = importlib.import_module("atheris")
    folder = CASES / name
    folder.mkdir(parents=True, exist_ok=True)
    atheris.instrument_all()
    arguments = [sys.argv[0], f"-max_total_time={seconds}", f"-artifact_prefix={folder}/", str(folder)]
    atheris.Setup(arguments, lambda data: _kept(name, data))
    atheris.Fuzz()


def _invented(name: str) -> int:
    count = 0

    @settings(max_examples=500, deadline=None, database=None)
    @given(BYTES)
    def attempt(data: bytes) -> None:
        nonlocal count
        count += 1
        _kept(name, data)

    attempt()
    return count


def _kept(name: str, data: bytes) -> None:
    try:
        TARGETS[name](data)
    except Exception:
        folder = CASES / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)
        raise


if __name__ == "__main__":
    sys.exit(main())
