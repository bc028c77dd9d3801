"""Measures what users wait for: ``make bench``; ``python -m tests.bench --help`` tells how to make it shorter.

Everything that is compared runs in turn, round after round in one go, and medians and ratios are told: figures of
different hours or machines say nothing. Loopback only; it stops by itself. The table goes to stdout, and into
docs/speed.md between its markers.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.bench import delivery, waiting
from tests.bench.table import Bench, Size

PAGE = Path(__file__).parents[2] / "docs" / "speed.md"
BEGIN, END = "<!-- bench: written by `make bench` -->", "<!-- end of bench -->"


def bench(found: Bench) -> None:
    """All of it, the short things first."""
    waiting.small(found)
    waiting.checks(found)
    waiting.plans(found)
    delivery.plain(found)
    delivery.encrypted(found)
    if found.size.minute:
        delivery.minute(found)


def publish(lines: list[str]) -> None:
    """Print the table, and put it between the page's markers."""
    head = ["| what | rows | s | CPU µs/row | peak MiB | beside |", "|---|---|---|---|---|---|"]
    table = "\n".join([*head, *lines])
    print(table)  # noqa: T201 - its output
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--large", type=int, default=3_000_000, help="0: leave it out")
    parser.add_argument("--events", type=int, default=30_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-minute", dest="minute", action="store_false")
    size = Size(**vars(parser.parse_args()))
    with tempfile.TemporaryDirectory() as name:
        found = Bench(Path(name), size)
        bench(found)
    publish(found.lines)


if __name__ == "__main__":
    main()
