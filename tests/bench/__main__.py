"""Measures what users wait for: ``make bench``; ``python -m tests.bench --help`` tells how to make it shorter.

Everything that is compared runs in turn, round after round in one go, and medians and ratios are told: figures of
different hours or machines say nothing. Loopback only; it stops by itself. The table goes to stdout, and into
docs/speed.md between its markers.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench import peers
from tests.bench.processes import Measured, measure, sink

PAGE = Path(__file__).parents[2] / "docs" / "speed.md"
BEGIN, END = "<!-- bench: written by `make bench` -->", "<!-- end of bench -->"
IMPORTER = str(Path(sys.executable).with_name("importer"))
CONNECTIONS = 16
FORMATS = ("csv", "jsonl", "parquet")
MAPPING = """\
version: 1
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
    """Of the check that shows flat memory; 0: none."""
    events: int
    rounds: int
    peers: bool


@dataclass(slots=True)
class Bench:
    """A place for files, and the lines of the table so far."""

    home: Path
    size: Size
    lines: list[str]

    def add(self, what: str, count: int, found: list[Measured], *ratio: str) -> None:
        """A line of medians."""
        seconds, cpu = median(one.seconds for one in found), median(one.cpu for one in found)
        peak = max(one.peak for one in found) >> 20
        self.lines.append(
            f"| {what} | {count:,} | {seconds:.2f} | {count / seconds:,.0f} | {cpu / count * 1e6:.1f}"
            f" | {f'{peak:,}' if peak else ''} | {''.join(ratio)} |"
        )

    def importer(self, *words: str, url: str = "") -> Measured:
        """A whole command with a ledger of its own."""
        ledger = self.home / "ledger"
        shutil.rmtree(ledger, ignore_errors=True)
        environment = {"IMPORTER_LEDGER": str(ledger / "ledger.db"), "SENDER_API_TOKEN": "bench"}
        where = ("--endpoint", url) if url else ()
        return measure([IMPORTER, *words, *where], self.home, environment)

    def exports(self, rows: int) -> dict[str, Path]:
        """The same rows in each format."""
        self.python("exports", str(self.home), str(rows))
        return {kind: self.home / f"export-{rows}.{kind}" for kind in FORMATS}

    def python(self, module: str, *words: str) -> Measured:
        """A module of this folder."""
        return measure([sys.executable, "-m", f"tests.bench.{module}", *words], self.home)


def bench(found: Bench) -> None:
    """All of it, the short things first."""
    mapping = found.home / "mapping.yaml"
    mapping.write_text(MAPPING, encoding="utf-8")
    small(found, mapping)
    files = found.exports(found.size.rows)
    stages(found, files, mapping)
    checks(found, files, mapping)
    with sink() as port:
        delivery(found, mapping, f"http://127.0.0.1:{port}/v2")


def small(found: Bench, mapping: Path) -> None:
    """How long nothing takes."""
    ten, rounds = found.exports(10)["csv"], range(found.size.rounds + 2)
    out = ("--out", str(found.home / "out"))
    found.add("`importer --help`", 1, [found.importer("--help") for _ in rounds])
    found.add("`check`, ten rows", 10, [found.importer("check", str(ten), "-m", str(mapping)) for _ in rounds])
    rehearsal = ("run", str(ten), "-m", str(mapping), "--sandbox", "--yes", *out)
    found.add("`run --sandbox`, ten rows", 10, [found.importer(*rehearsal) for _ in rounds])


def stages(found: Bench, files: dict[str, Path], mapping: Path) -> None:
    """Each stage alone, beside the raw reader, by format."""
    for kind, path in files.items():
        rounds = [json.loads(found.python("stages", str(path), str(mapping)).output) for _ in range(found.size.rounds)]
        rows = rounds[0]["rows"]
        for stage in rounds[0]["stages"]:
            figures = [_part(each["stages"][stage]) for each in rounds]
            ratio = median(each["stages"]["raw reader"][1] / each["stages"][stage][1] for each in rounds)
            found.add(f"{kind}: {stage}", rows, figures, f"{ratio:.2f} of the raw reader")


def checks(found: Bench, files: dict[str, Path], mapping: Path) -> None:
    """`importer check` as a user starts it; once more on a file so large that memory would show."""
    for kind, path in files.items():
        rounds = [found.importer("check", str(path), "-m", str(mapping)) for _ in range(found.size.rounds)]
        found.add(f"`check` of {kind}", found.size.rows, rounds)
        path.unlink() if kind != "csv" else None
    if found.size.large:
        for path in found.exports(found.size.large).values():
            if path.suffix == ".csv":
                once = found.importer("check", str(path), "-m", str(mapping))
                found.add("`check` of csv", found.size.large, [once], "for its peak")
            path.unlink()


def delivery(found: Bench, mapping: Path, url: str) -> None:
    """`importer run` to its report, in turn with the bare loops over the same connections."""
    count, file = found.size.events, found.exports(found.size.events)["csv"]
    run = ("run", str(file), "-m", str(mapping), "--yes", "--out", str(found.home / "out"))
    loops = ("asyncio", "uvloop") if _has("uvloop") else ("asyncio",)
    bare: dict[str, list[Measured]] = {loop: [] for loop in loops}
    runs, rehearsals, delivered = [], [], []
    for _ in range(found.size.rounds):
        for loop in loops:
            told = found.python("posting", f"{url}/events", str(count), str(CONNECTIONS), loop)
            figures = json.loads(told.output)
            bare[loop].append(Measured(figures["seconds"], figures["cpu"], told.peak, ""))
        runs.append(found.importer(*run, url=url))
        rehearsals.append(found.importer(*run, "--sandbox"))
        parts = json.loads(found.python("stages", str(file), str(mapping), url).output)["stages"]
        delivered.append({name: _part(parts[name]) for name in ("plan", "deliver", "report")})
    same = bare[loops[-1]]

    def ratio(these: list[Measured]) -> str:
        pairs = list(zip(these, same, strict=True))
        speed = median(loop.seconds / one.seconds for one, loop in pairs)
        return f"{speed:.2f} of the bare loop, {median(one.cpu / loop.cpu for one, loop in pairs):.2f} of its CPU"

    for loop in loops:
        found.add(f"bare aiohttp loop, {loop}", count, bare[loop], ratio(bare[loop]))
    for name in ("plan", "deliver", "report"):
        figures = [each[name] for each in delivered]
        found.add(f"{name} alone", count, figures, ratio(figures))
    found.add("`run`, whole, to a sink", count, runs, ratio(runs))
    found.add("`run --sandbox`, whole", count, rehearsals, ratio(rehearsals))
    if shutil.which("wrk"):
        found.lines.append(f"| wrk, same sink | | 3 | {_wrk(url):,.0f} | | | |")
    if found.size.peers:
        others(found, file, url)


def others(found: Bench, file: Path, url: str) -> None:
    """The peers, once each."""
    for peer in peers.PEERS:
        told = peers.measure_peer(peer, file, f"{url}/events", found.home)
        if isinstance(told, str):
            found.lines.append(f"| {peer.package} | | | | | | {told} |")
        else:
            found.add(peer.package, found.size.events, [told])


def _part(figure: list[float]) -> Measured:
    """Of a process that measured itself: wall seconds and CPU seconds."""
    return Measured(figure[0], figure[1], 0, "")


def _has(module: str) -> bool:
    return subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


def _wrk(url: str) -> float:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", "-d3", f"{url}/events"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    return float(re.findall(r"Requests/sec:\s+([\d.]+)", told)[0])


def publish(lines: list[str]) -> None:
    """Print the table, and put it between the page's markers."""
    head = ["| what | rows | s | rows/s | CPU µs/row | peak MiB | beside |", "|---|---|---|---|---|---|---|"]
    table = "\n".join([*head, *lines])
    print(table)  # noqa: T201 - its output
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--large", type=int, default=5_000_000, help="0: leave it out")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-peers", dest="peers", action="store_false")
    size = Size(**vars(parser.parse_args()))
    with tempfile.TemporaryDirectory() as name:
        found = Bench(Path(name), size, [])
        bench(found)
    publish(found.lines)


if __name__ == "__main__":
    main()
