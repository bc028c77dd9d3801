"""A night of drops: a dozen files, a kill in the middle, a duplicate, a broken file, one that is still written."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from importer.sandbox.options import SandboxOptions
from importer.sandbox.process import Running, start

MAPPING = "version: 1\nsubscriber: {email: email}\ntype: {const: purchase}\nproperties: {order: order}\n"
FILES = 6
ROWS = 8
INVALID = 2
"""Of each file's rows."""


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Running]:
    options = SandboxOptions(tokens=("night-token",), events=str(tmp_path / "arrived.jsonl"), latency=0.005)
    with start(options) as running:
        yield running


def table(number: int, *, columns: str = "email,order") -> bytes:
    good = [f"p{number}-{row}@example.com,{number}-{row}" for row in range(ROWS - INVALID)]
    return "\n".join([columns, *good, *[f"not an address,{number}-x"] * INVALID, ""]).encode()


def drop(directory: Path, name: str, content: bytes, age: float) -> None:
    (directory / name).write_bytes(content)
    os.utime(directory / name, (time.time() - age,) * 2)


def fill(directory: Path) -> None:
    for number in range(FILES):
        drop(directory, f"orders-{number:02}.csv", table(number), 1000 - number)
    drop(directory, "orders-same-again.csv", table(3), 10)
    drop(directory, "orders-broken.csv.gz", gzip.compress(table(90))[:-20], 9)
    drop(directory, "orders-other-columns.csv", table(91, columns="mail,order"), 8)
    drop(directory, "orders-late.csv.part", table(92), 7)
    (directory / "notes.txt").write_text("not to be delivered")


def watch(directory: Path, sandbox: Running, *, settle: str) -> subprocess.Popen[str]:
    home = directory.parent
    options = ("--once", "--yes", "--stable-for", settle, "--endpoint", sandbox.url, "--ledger", home / "ledger.db")
    hook = ("--on-finish", f"cat > {home}/hook-$IMPORTER_NAME; env > {home}/hook-environment")
    return subprocess.Popen(
        (sys.executable, "-m", "importer", "watch", directory, "-m", home / "orders.yaml", *options, *hook),
        env={**os.environ, "SENDER_API_TOKEN": sandbox.token},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def kill_at_work(watcher: subprocess.Popen[str], directory: Path) -> None:
    """Kill it while it works on a file: it is stopped for every look, so that it cannot be done before the blow."""
    while watcher.poll() is None:
        watcher.send_signal(signal.SIGSTOP)
        if list((directory / "processing").glob("*.csv")):
            break
        watcher.send_signal(signal.SIGCONT)
    watcher.kill()
    watcher.communicate()


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir() if path.is_file()}


def summaries(directory: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for place in ("done", "failed"):
        for path in (directory / place).glob("*.report/summary.json"):
            found[path.parent.name.removesuffix(".report")] = json.loads(path.read_text())
    return found


def test_every_file_ends_where_it_belongs_and_the_books_of_the_night_balance(tmp_path: Path, sandbox: Running) -> None:
    """After a SIGKILL in the middle, the next call does the rest; no event arrives twice, and each is accounted for."""
    directory = tmp_path / "drops"
    directory.mkdir()
    (tmp_path / "orders.yaml").write_text(MAPPING)
    fill(directory)

    first = watch(directory, sandbox, settle="0.05s")
    assert first.stdout
    told = [first.stdout.readline() for _ in range(FILES // 2)]
    kill_at_work(first, directory)
    assert all("done" in line for line in told)
    assert len(names(directory / "processing")) == 1

    (directory / "orders-late.csv.part").rename(directory / "orders-late.csv")
    second = watch(directory, sandbox, settle="2s")  # much longer than this test may be kept from writing
    with (directory / "orders-growing.csv").open("ab", buffering=0) as growing:
        while second.poll() is None:
            growing.write(b"email,order\n")
            time.sleep(0.01)
    out, err = second.communicate()

    assert second.returncode == 2, err
    done = {f"orders-{number:02}.csv" for number in range(FILES)} | {"orders-late.csv", "orders-same-again.csv"}
    assert names(directory / "done") == done
    assert names(directory / "failed") == {"orders-broken.csv.gz", "orders-other-columns.csv"}
    assert names(directory / "processing") == set()
    assert names(directory) == {"orders-growing.csv", "notes.txt"}
    assert "orders-growing.csv is not complete yet; it is left for the next time" in err
    assert "nothing new: every row was delivered before" in next(line for line in out.splitlines() if "again" in line)
    assert "the mapping needs columns that the file lacks: 'email'" in out
    assert "warning: orders-other-columns.csv: its columns differ" in err

    books: Counter[str] = Counter()
    for summary in summaries(directory).values():
        assert summary["balanced"]
        books.update(summary["rows"])
    arrived = Counter(
        json.loads(line)["event"]["properties"]["order"]
        for line in (tmp_path / "arrived.jsonl").read_text().splitlines()
    )
    files = FILES + 2
    assert books["read"] == files * ROWS == sum(count for state, count in books.items() if state != "read")
    assert books["invalid"] == files * INVALID
    assert books["duplicate"] == ROWS - INVALID
    assert set(arrived.values()) == {1}, "nothing twice"
    assert books["sent"] <= len(arrived) <= books["sent"] + books["in_doubt"]
    assert books["sent"] + books["in_doubt"] == (files - 1) * (ROWS - INVALID)
    hooks = {path.name.removeprefix("hook-") for path in tmp_path.glob("hook-*")}
    assert hooks == done | names(directory / "failed") | {"environment"}
    assert "night-token" not in (tmp_path / "hook-environment").read_text()
