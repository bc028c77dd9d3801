"""Rejects mended in a spreadsheet and run again: only what was not delivered is sent, as the original would have been.

Each test runs the program on a real file, rewrites its rejects as another program would (csv, json, pyarrow), and runs
them with the same mapping and ledger.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.program import importer

ROWS = [
    {"Bestellung": "007", "E-Mail": "anna@example.com", "Betrag": "1.234,50", "Ort": "Köln"},
    {"Bestellung": "008", "E-Mail": "ben-at-example.com", "Betrag": "12,00", "Ort": "Görlitz; Süd"},
    {"Bestellung": "009", "E-Mail": "cleo@example.com", "Betrag": "7,25", "Ort": "=Ö"},
]
WRONG, RIGHT = "ben-at-example.com", "ben@example.com"
MAPPING = """\
version: 1
subscriber: {email: E-Mail}
type: {const: purchase}
value: {column: Betrag, decimal: ",", thousands: "."}
properties: {order: Bestellung, place: Ort}
"""


def write_csv(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="cp1252") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)


def mend_csv(path: Path) -> None:
    with path.open(newline="", encoding="cp1252") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    write_csv(path, [{name: RIGHT if cell == WRONG else cell for name, cell in row.items()} for row in rows])


def write_jsonl(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def mend_jsonl(path: Path) -> None:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    write_jsonl(path, [{**row, "E-Mail": RIGHT if row["E-Mail"] == WRONG else row["E-Mail"]} for row in rows])


def write_parquet(path: Path, rows: list[dict[str, str]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


def mend_parquet(path: Path) -> None:
    table = pq.read_table(path)
    mended = [RIGHT if cell == WRONG else cell for cell in table["E-Mail"].to_pylist()]
    at = table.column_names.index("E-Mail")
    pq.write_table(table.set_column(at, "E-Mail", pa.array(mended)), path)


@dataclass(frozen=True, slots=True)
class Format:
    """A format of sources, and how another program writes and mends it."""

    ending: str
    write: Callable[[Path, list[dict[str, str]]], None]
    mend: Callable[[Path], None]
    source: str = ""
    """What the mapping says about the file."""


FORMATS = (
    Format("csv", write_csv, mend_csv, "source: {encoding: cp1252}\n"),
    Format("jsonl", write_jsonl, mend_jsonl),
    Format("parquet", write_parquet, mend_parquet),
)


def run(source: str, out: str) -> tuple[int, list[object]]:
    """The exit code, and the events that the sandbox accepted."""
    outcome = importer("run", source, "-m", "m.yaml", "--sandbox", "--ledger", "l.db", "--out", out)
    arrived = Path(out, "sandbox-events.jsonl")
    lines = arrived.read_text(encoding="utf-8").splitlines() if arrived.exists() else []
    return outcome.exit_code, [json.loads(line)["event"] for line in lines]


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def expected(rows: list[dict[str, str]], kind: Format) -> list[object]:
    """The events of rows that were right from the beginning."""
    kind.write(Path(f"right.{kind.ending}"), rows)
    outcome = importer("check", f"right.{kind.ending}", "-m", "m.yaml", "--preview", "9")
    return [json.loads(line) for line in outcome.stdout.splitlines()]


@pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.ending)
def test_a_mended_row_is_sent_as_it_would_have_been_and_nothing_else_is(there: Path, kind: Format) -> None:
    (there / "m.yaml").write_text(kind.source + MAPPING, encoding="utf-8")
    source, rejects = f"in.{kind.ending}", Path("first", f"rejects.{kind.ending}")
    kind.write(Path(source), ROWS)
    right = [{**row, "E-Mail": RIGHT if row["E-Mail"] == WRONG else row["E-Mail"]} for row in ROWS]
    events = expected(right, kind)

    code, arrived = run(source, "first")
    assert (code, sorted(map(str, arrived))) == (1, sorted(map(str, [events[0], events[2]])))
    kind.mend(rejects)
    assert run(str(rejects), "second") == (0, [events[1]])
    assert run(str(rejects), "third") == (0, [])


def test_csv_rejects_keep_the_sources_bytes_delimiter_and_encoding(there: Path) -> None:
    (there / "m.yaml").write_text(FORMATS[0].source + MAPPING, encoding="utf-8")
    write_csv(Path("in.csv"), ROWS)
    run("in.csv", "first")
    header, reject = Path("first", "rejects.csv").read_bytes().splitlines()
    assert header.startswith(b"Bestellung;E-Mail;Betrag;Ort;importer_state;")
    assert reject.startswith('008;ben-at-example.com;12,00;"Görlitz; Süd";'.encode("cp1252"))


@pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.ending)
def test_of_a_group_all_rows_come_back_and_become_the_one_event(there: Path, kind: Format) -> None:
    """The group's other order was delivered, and stays delivered once."""
    (there / "m.yaml").write_text(
        kind.source
        + MAPPING.replace('"."}', '".", aggregate: sum}').replace("place: Ort", "place: {column: Ort, aggregate: join}")
        + "group_by: Bestellung\n",
        encoding="utf-8",
    )
    rows = [ROWS[0], ROWS[1], {**ROWS[1], "Betrag": "3,50", "Ort": "Zürich"}]
    right = [{**row, "E-Mail": RIGHT if row["E-Mail"] == WRONG else row["E-Mail"]} for row in rows]
    source, rejects = f"in.{kind.ending}", Path("first", f"rejects.{kind.ending}")
    kind.write(Path(source), rows)
    events = expected(right, kind)
    assert len(events) == 2

    assert run(source, "first") == (1, [events[0]])
    kind.mend(rejects)
    assert run(str(rejects), "second") == (0, [events[1]])
