"""The lines of the table, and how a command comes to be measured for one."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.bench.processes import Measured, measure

IMPORTER = str(Path(sys.executable).with_name("importer"))
FORMATS = ("csv", "jsonl", "parquet")
MAPPING = """\
version: 1
key: order
subscriber: {id: customer, email: email}
type: {const: purchase}
value: total
value_currency: currency
properties:
  order: order
  items: items
  quantity: {column: quantity, as: integer}
  gift: {column: gift, as: boolean}
  ordered_at: {column: ordered_at, as: datetime, timezone: Europe/Vilnius}
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How much to measure."""

    rows: int
    """Of stages and `check`."""
    large: int
    """Of what shows flat memory; 0: none."""
    events: int
    rounds: int
    peers: bool
    minute: bool
    """Whether to watch a delivery at 60 a minute, which takes a minute and a half."""


@dataclass(slots=True)
class Bench:
    """A place for files, and the lines of the table so far."""

    home: Path
    size: Size
    lines: list[str] = field(default_factory=list)

    @property
    def mapping(self) -> Path:
        """The mapping for all exports, as a file."""
        path = self.home / "mapping.yaml"
        if not path.exists():
            path.write_text(MAPPING, encoding="utf-8")
        return path

    def add(self, what: str, count: int, found: list[Measured], *ratio: str) -> None:
        """A line of medians."""
        seconds, cpu = median(one.seconds for one in found), median(one.cpu for one in found)
        peak = max(one.peak for one in found) >> 20
        self.lines.append(
            f"| {what} | {count:,} | {seconds:.2f} | {count / seconds:,.0f} | {cpu / count * 1e6:.1f}"
            f" | {f'{peak:,}' if peak else ''} | {''.join(ratio)} |"
        )

    def importer(
        self, *words: str, url: str = "", ends: int = 0, environment: Mapping[str, str] | None = None
    ) -> Measured:
        """A whole command with a ledger of its own, which ends with the exit code ``ends``."""
        ledger = self.home / "ledger"
        shutil.rmtree(ledger, ignore_errors=True)
        ours = {"IMPORTER_LEDGER": str(ledger / "ledger.db"), "SENDER_API_TOKEN": "bench", **(environment or {})}
        where = ("--endpoint", url) if url else ()
        return measure([IMPORTER, *words, *where], self.home, ours, ends=ends)

    def run(self, file: Path, *words: str, url: str = "", **how: object) -> Measured:
        """`importer run` of a file, to its report."""
        out = str(self.home / "out")
        return self.importer("run", str(file), "-m", str(self.mapping), "--yes", "--out", out, *words, url=url, **how)  # type: ignore[arg-type]  # handed on as they came

    def exports(self, rows: int) -> dict[str, Path]:
        """The same rows in each format."""
        paths = {kind: self.home / f"export-{rows}.{kind}" for kind in FORMATS}
        if not all(path.exists() for path in paths.values()):
            self.python("exports", str(self.home), str(rows))
        return paths

    def python(self, module: str, *words: str) -> Measured:
        """A module of this folder."""
        return measure([sys.executable, "-m", f"tests.bench.{module}", *words], self.home)


def part(figure: list[float]) -> Measured:
    """Of a process that measured itself: wall seconds and CPU seconds."""
    return Measured(figure[0], figure[1], 0, "")


def beside(these: list[Measured], those: list[Measured], name: str) -> str:
    """The ratio of speed and of CPU, pair by pair."""
    pairs = list(zip(these, those, strict=True))
    speed = median(other.seconds / one.seconds for one, other in pairs)
    return f"{speed:.2f} of {name}, {median(one.cpu / other.cpu for one, other in pairs):.2f} of its CPU"
