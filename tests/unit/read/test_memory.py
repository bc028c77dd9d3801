"""Memory does not grow with the file, whatever is in it."""

from __future__ import annotations

from pathlib import Path

from tests.unit.read.helpers import peaks

MEBIBYTE = 1 << 20
FILES = {
    "plain rows": (b"a,b\n", b"00123,some text that is neither short nor long\n"),
    "quoted rows": (b"a,b\n", b'"00123","some ""text"" of\ntwo lines"\n'),
    "an open quote": (b'a,b\n1,"open\n', b"00123,some text that is neither short nor long\n"),
    "one endless line": (b"a,b\n", b"x" * MEBIBYTE),
}


def test_a_long_file_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    """The short one has 8 MiB: as much as is ever held, twice. The long one would add its 40 MiB, were it held."""
    for kind, (head, piece) in FILES.items():
        for name, size in (("short", 8), ("long", 40)):
            (tmp_path / f"{kind}, {name}.csv").write_bytes(head + piece * (size * MEBIBYTE // len(piece)))
    found = peaks(*(tmp_path / f"{kind}, {name}.csv" for kind in FILES for name in ("short", "long")))
    assert all(rows >= 1 for rows, _ in found)
    grown = {kind: long - short for kind, (_, short), (_, long) in zip(FILES, found[::2], found[1::2], strict=True)}
    assert not {kind: mebibytes for kind, mebibytes in grown.items() if mebibytes >= 25}
