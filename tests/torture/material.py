"""What a scenario imports: seeded exports, their mapping, and what must become of each row.

Owns the rows and the truth about them: which are valid, which belong to one subscriber as far as rows show it, in
which order they must arrive. It knows nothing of how they are delivered.
"""

from __future__ import annotations

import csv
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MAPPING = """\
version: 1
{extras}subscriber: {{id: id, email: email, phone: phone}}
type: {{const: purchase}}
value: value
value_currency: {{const: EUR}}
properties:
  row: {{column: n, as: integer}}
  kind: {{const: {kind}}}
"""
SHOWN = (
    ("id",),
    ("email",),
    ("phone",),
    ("id", "email"),
    ("email", "phone"),
    ("id", "phone"),
    ("id", "email", "phone"),
)
"""What a row may name its subscriber by."""
COLUMNS = ("n", "id", "email", "phone", "value", "at", "key")


@dataclass(frozen=True, slots=True)
class Shape:
    """What kind of export it is."""

    rows: int
    sources: int = 1
    people: int = 40
    ordered: bool = False
    """With ``order_by``, over all sources."""
    keyed: bool = False
    """With ``key``; some keys repeat."""
    busy: float = 0.5
    """The share of events that a few subscribers have, as in real exports; each of them gets one at a time."""
    unreadable: float = 0.02
    """The share of rows that break a rule."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an export."""

    number: int
    """Unique within the scenario; the event carries it as a property."""
    source: str
    row: int
    """1 is the first data row."""
    names: tuple[str, ...]
    """What it shows of its subscriber."""
    valid: bool
    at: int
    key: str


@dataclass(frozen=True, slots=True)
class Material:
    """Exports, as files, and the truth about their rows in the order in which they are read."""

    shape: Shape
    sources: tuple[Path, ...]
    mapping: Path
    rows: tuple[Row, ...]

    def deliverable(self) -> set[int]:
        """Numbers of the rows that must arrive: valid, and alone with their key, for no two rows are the same event."""
        valid = [row for row in self.rows if row.valid]
        rows_of = Counter(row.key if self.shape.keyed else str(row.number) for row in valid)
        return {row.number for row in valid if rows_of[row.key if self.shape.keyed else str(row.number)] == 1}

    def places(self) -> dict[int, int]:
        """Each row's place in the order of delivery."""
        if not self.shape.ordered:
            return {row.number: place for place, row in enumerate(self.rows)}
        numbered = sorted(enumerate(self.rows), key=lambda pair: (pair[1].at, pair[0]))
        return {row.number: place for place, (_, row) in enumerate(numbered)}

    def lanes(self) -> dict[int, str]:
        """The subscriber of each valid row: rows that share a name, directly or through others, share a lane."""
        parents: dict[str, str] = {}

        def root(name: str) -> str:
            while parents.setdefault(name, name) != name:
                name = parents[name]
            return name

        valid = [row for row in self.rows if row.valid]
        for row in valid:
            for name in row.names[1:]:
                parents[root(name)] = root(row.names[0])
        return {row.number: root(row.names[0]) for row in valid}


def make(home: Path, shape: Shape, rng: random.Random, *, first: int = 0) -> Material:
    """Write the exports and their mapping; row numbers count from ``first``."""
    home.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    sources = []
    for source in range(shape.sources):
        path = home / f"export-{source + 1}.csv"
        share = shape.rows // shape.sources
        numbers = range(first + source * share, first + (source + 1) * share)
        rows += write(path, [_draw(shape, rng, number) for number in numbers])
        sources.append(path)
    mapping = home / "mapping.yaml"
    write_mapping(mapping, shape)
    return Material(shape, tuple(sources), mapping, tuple(rows))


def write_mapping(path: Path, shape: Shape, *, kind: str = "purchase") -> None:
    """The mapping of such exports; another ``kind``, a property, makes it another mapping."""
    extras = ("order_by: {column: at, as: integer}\n" if shape.ordered else "") + ("key: key\n" if shape.keyed else "")
    path.write_text(MAPPING.format(extras=extras, kind=kind), encoding="utf-8")


def write(path: Path, drawn: Iterable[dict[str, str]], columns: tuple[str, ...] = COLUMNS) -> list[Row]:
    """Write one export of rows as `_draw` makes them."""
    rows = []
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        for place, cells in enumerate(drawn, start=1):
            writer.writerow(cells)
            rows.append(
                Row(
                    number=int(cells["n"]),
                    source=str(path),
                    row=place,
                    names=tuple(cells["names"].split()),
                    valid=cells["valid"] == "yes",
                    at=int(cells["at"]),
                    key=cells["key"],
                )
            )
    return rows


def draw(shape: Shape, rng: random.Random, numbers: Iterable[int]) -> list[dict[str, str]]:
    """Rows for `write`, before any file has them."""
    return [_draw(shape, rng, number) for number in numbers]


def _draw(shape: Shape, rng: random.Random, number: int) -> dict[str, str]:
    person = rng.randrange(shape.people)
    person = person if rng.random() >= shape.busy else person % 3
    shown = rng.choice(SHOWN)
    digits = f"3706{1_000_000 + person:07d}"
    cells = {
        "n": str(number),
        "id": f"{person:05d}" if "id" in shown else "",
        "email": _in_any_case(f"person{person}@example.com", rng) if "email" in shown else "",
        "phone": rng.choice((f"+{digits}", f"00{digits}", f"+{digits[:3]} {digits[3:6]} {digits[6:]}"))
        if "phone" in shown
        else "",
        "value": f"{rng.randrange(1, 99_999) / 100}",
        "at": str(rng.randrange(max(1, shape.rows // 2))),
        "key": f"k{number if rng.random() < 0.97 else number // 2}",
        "names": " ".join(f"{kind}:{person}" for kind in shown),
        "valid": "yes",
    }
    if rng.random() < shape.unreadable:
        cells["valid"] = "no"
        cells |= rng.choice(({"value": "twelve"}, {"id": "", "email": "", "phone": ""}, {"email": "nobody(at)example"}))
    return cells


def _in_any_case(text: str, rng: random.Random) -> str:
    return rng.choice((text, text.upper(), text.title(), "".join(rng.choice((c, c.upper())) for c in text)))
