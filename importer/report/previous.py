"""What an earlier report left in the same directory.

This module owns two cares. An output of the earlier report that the new one does not have (an ``in-doubt.csv`` after
everything was resolved) is removed, for it would ask for work that is done. And nothing that people wrote is lost: a
file that the earlier report did not write, or that was changed since, say a ``rejects.csv`` that was mended in its
place, is set aside as ``rejects.kept.csv`` instead of being replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import msgspec

SUMMARY = "summary.json"


class _File(msgspec.Struct):
    name: str


class _Summary(msgspec.Struct):
    files: list[_File]


@dataclass(frozen=True, slots=True)
class Previous:
    """The files of the earlier report; none if there was none."""

    directory: Path
    names: frozenset[str]
    written_at: int
    """When its summary, the last of its files, was written; nanoseconds."""

    @classmethod
    def of(cls, directory: Path) -> Previous:
        """Read the directory's ``summary.json``; one that is not ours counts as none."""
        path = directory / SUMMARY
        try:
            files = msgspec.json.decode(path.read_bytes(), type=_Summary).files
            # Only plain names: a summary from elsewhere must not lead out of the directory.
            names = frozenset(file.name for file in files if Path(file.name).name == file.name)
            return cls(directory, names, path.stat().st_mtime_ns)
        except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
            return cls(directory, frozenset(), 0)

    def give_way(self, coming: Iterable[str]) -> None:
        """Make room for files of these names; raises `OSError` where the file system refuses."""
        fresh = frozenset(coming)
        for name in sorted(fresh | self.names):
            path = self.directory / name
            if not path.is_file():
                continue
            if name not in self.names or path.stat().st_mtime_ns > self.written_at:
                path.rename(next(aside for aside in _asides(path) if not aside.exists()))
            elif name not in fresh:
                path.unlink()


def _asides(path: Path) -> Iterator[Path]:
    yield path.with_name(f"{path.stem}.kept{path.suffix}")
    for number in count(2):
        yield path.with_name(f"{path.stem}.kept-{number}{path.suffix}")
