"""Other tools from PyPI, each in an environment of its own, on the same file and sink."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import Measured, measure


@dataclass(frozen=True, slots=True)
class Peer:
    """A tool that a user might take instead."""

    package: str
    command: tuple[str, ...] = ()
    """Its arguments; ``{file}`` and ``{url}`` are filled in. None: it has no command for this."""
    why_not: str = ""


PEERS = (
    Peer("csv2http", ("csv2http", "{file}", "{url}", "-n", "-t", "60")),
    Peer("bulk-post"),
    Peer("drt-core", why_not="it reads databases and warehouses, no files"),
    Peer("dlt", why_not="it loads into databases and files; posting would be code of one's own"),
)


def measure_peer(peer: Peer, file: Path, url: str, home: Path) -> Measured | str:
    """What it took, or why it could not be measured."""
    place = home / peer.package
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    install = [str(place / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", peer.package]
    installed = subprocess.run(install, capture_output=True, text=True, timeout=300, check=False)
    if installed.returncode:
        last = installed.stderr.strip().splitlines()
        return f"cannot be installed: {last[-1].removeprefix('ERROR: ') if last else 'pip says nothing'}"
    if not peer.command:
        return peer.why_not
    program, *rest = peer.command
    command = [str(place / "bin" / program), *(word.format(file=file, url=url) for word in rest)]
    try:
        return measure(command, home)
    except subprocess.CalledProcessError as error:
        return f"ended with exit code {error.returncode}"
