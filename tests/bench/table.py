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
key: {key}
subscriber: {{email: {email}}}
type: {{const: purchase}}
value: total
value_currency: currency
properties:
  order: order
  items: items
  quantity: {{column: quantity, as: integer}}
  gift: {{column: gift, as: boolean}}
  ordered_at: {{column: ordered_at, as: datetime, timezone: Europe/Vilnius}}
{more}"""


def mapping(email: str, more: str = "", key: str = "order") -> str:
    """A mapping of the exports, which takes the address from ``email``."""
    return MAPPING.format(key=key, email=email, more=more)


@dataclass(frozen=True, slots=True)
class Size:
    """How much to measure."""

    rows: int
    """Of stages and `check`."""
    large: int
    """Of what shows flat memory; 0: none."""
    events: int
    rounds: int
    minute: bool
    """Whether to watch a delivery at 60 a minute, which takes a minute and a half."""


@dataclass(slots=True)
class Bench:
    """A place for files, and the lines of the table so far."""

    home: Path
    size: Size
    lines: list[str] = field(default_factory=list)

    def mapping(self, name: str, text: str) -> Path:
        """A mapping's file."""
        path = self.home / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    def add(self, what: str, count: int, found: list[Measured], *ratio: str) -> None:
        """A line of medians."""
        seconds, peak = median(one.seconds for one in found), max(one.peak for one in found) >> 20
        self.lines.append(
            f"| {what} | {count:,} | {seconds:.2f} | {cost(found, count):,.1f} | {peak:,} | {''.join(ratio)} |"
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

    def check(self, file: Path, mapped: Path | None = None, *, ends: int = 0) -> Measured:
        """`importer check` as a user starts it."""
        mapped = mapped or self.mapping("mapping", mapping("email"))
        return self.importer("check", str(file), "-m", str(mapped), ends=ends)

    def run(self, file: Path, *words: str, url: str = "", **how: object) -> Measured:
        """`importer run` of a file, to its report."""
        out, mapped = str(self.home / "out"), self.mapping("mapping", mapping("email"))
        return self.importer("run", str(file), "-m", str(mapped), "--yes", "--out", out, *words, url=url, **how)  # type: ignore[arg-type]  # handed on as they came

    def exports(self, rows: int) -> dict[str, Path]:
        """The same rows in each format."""
        paths = {kind: self.home / f"export-{rows}.{kind}" for kind in FORMATS}
        if not all(path.exists() for path in paths.values()):
            self.python("exports", str(self.home), str(rows))
        return paths

    def python(self, module: str, *words: str) -> Measured:
        """A module of this folder."""
        return measure([sys.executable, "-m", f"tests.bench.{module}", *words], self.home)


def cost(found: list[Measured], count: int) -> float:
    """The median of CPU per row, in microseconds."""
    return median(one.cpu for one in found) / count * 1e6


def beside(these: list[Measured], those: list[Measured], name: str, *, of: str = "speed") -> str:
    """The ratio of speed or of wall time, and of CPU, pair by pair."""
    pairs = list(zip(these, those, strict=True))
    walls = [one.seconds / other.seconds for one, other in pairs]
    wall = median(walls if of == "wall time" else [1 / one for one in walls])
    return f"{wall:.2f} of the {of} and {median(one.cpu / other.cpu for one, other in pairs):.2f} of the CPU of {name}"
