"""Memory does not grow with the file, whatever is in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

READ = r"""
import os, re, sys
from importer.mapping.model import SourceOptions
from importer.read import expand, open_source
for path in sys.argv[1:]:
    if os.fork():
        assert os.wait()[1] == 0
        continue
    count = 0
    with open_source(expand([path])[0], SourceOptions()) as reader:
        for chunk in reader.chunks(["a", "b"], raw_rows=True):
            count += chunk.count
    print(count, int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) // 1024)
    break
"""

MEBIBYTE = 1 << 20
FILES = {
    "plain rows": (b"a,b\n", b"00123,some text that is neither short nor long\n"),
    "quoted rows": (b"a,b\n", b'"00123","some ""text"" of\ntwo lines"\n'),
    "an open quote": (b'a,b\n1,"open\n', b"00123,some text that is neither short nor long\n"),
    "one endless line": (b"a,b\n", b"x" * MEBIBYTE),
}


def peaks(*paths: Path) -> list[tuple[int, int]]:
    """Of each file its rows, and the peak memory in MiB of the process that reads it."""
    done = subprocess.run([sys.executable, "-c", READ, *map(str, paths)], capture_output=True, check=True)
    return [(int(count), int(mebibytes)) for count, mebibytes in map(bytes.split, done.stdout.splitlines())]


@pytest.mark.parametrize(("head", "piece"), FILES.values(), ids=FILES.keys())
def test_a_long_file_takes_no_more_memory_than_a_short_one(tmp_path: Path, head: bytes, piece: bytes) -> None:
    """The short one has 8 MiB: as much as is ever held, twice. The long one would add its 48 MiB, were it held."""
    short, long = tmp_path / "short.csv", tmp_path / "long.csv"
    short.write_bytes(head + piece * (8 * MEBIBYTE // len(piece)))
    long.write_bytes(head + piece * (48 * MEBIBYTE // len(piece)))

    (_, least), (rows, most) = peaks(short, long)

    assert rows >= 1
    assert most < least + 25
