"""Rows that come back from rejects take the place of the rows they correct."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from importer.ledger.ledger import Ledger
from importer.mapping.load import load
from importer.model import Outcome, Run, RunState, State
from importer.pipeline.options import ReadOptions
from importer.pipeline.prepare import prepare_stored
from importer.plan import plan
from importer.report import ReportOptions, write
from importer.sandbox import SandboxOptions, process
from importer.sandbox.options import parse_faults
from tests.support.ledgers import open_ledger
from tests.support.program import importer


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


ROWS = [{"email": f"{name}@example.org", "total": "1"} for name in ("ada", "bo", "cy")]
MAPPING = "version: 1\nsubscriber: {email: email}\ntype: {const: purchase}\nvalue: total\n"


def write_rows(path: Path) -> None:
    if path.suffix == ".csv":
        lines = ["email,total", *(",".join(row.values()) for row in ROWS)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(ROWS), path)


def planned(ledger: Ledger, path: Path) -> Run:
    (path.parent / "m.yaml").write_text(MAPPING, encoding="utf-8")
    run = ledger.create_run(mapping_name="m", mapping_text="", mapping_digest="m", options={})
    mapping = load(str(path.parent / "m.yaml")).mapping
    plan(
        ledger,
        run,
        prepare_stored([str(path)], mapping, ReadOptions(raw_rows=True), lambda _: None, ledger.hasher),
        lambda _: None,
    )
    return ledger.seal(run)


def deliver(ledger: Ledger, run: Run, *states: State) -> None:
    rows = [row_id for _, row_id, _ in ledger.queue(run, after=None, count=len(states))]
    ledger.commit([], rows)
    ledger.commit([Outcome(r, s, 1, 422, "api.refused", "no", 1.0, 0.1) for r, s in zip(rows, states, strict=True)], [])
    ledger.set_state(run, RunState.FINISHED)
    ledger.lock(run).release()


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_reject_that_was_accepted_is_not_sent_again_by_retry_or_by_the_first_file(tmp_path: Path, form: str) -> None:
    """Of three refused rows two come back corrected; the API takes one of them."""
    export = tmp_path / f"orders.{form}"
    write_rows(export)
    with open_ledger(tmp_path) as ledger:
        first = planned(ledger, export)
        deliver(ledger, first, State.SENT, State.REFUSED, State.REFUSED)
        write(ledger, first, ReportOptions(tmp_path / "out"))
        deliver(ledger, planned(ledger, tmp_path / "out" / f"rejects.{form}"), State.SENT, State.REFUSED)
        again = planned(ledger, export)
        assert [state for batch in ledger.batches(again) for state in batch.table.column("state").to_pylist()] == [
            "duplicate",
            "duplicate",
            "pending",
        ]
        deliver(ledger, again, State.REFUSED)
        assert ledger.retry(first) == (1, 1)


@pytest.mark.parametrize("keyed", [False, True], ids=["by row", "by key"])
def test_whatever_is_run_again_each_order_arrives_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keyed: bool
) -> None:
    """Rejects twice, `retry`, the first file, a copy of it: over a real ledger and a real sandbox."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMPORTER_LEDGER", str(tmp_path / "ledger.db"))
    monkeypatch.setenv("SENDER_API_TOKEN", "rehearsal-token")
    wrong = {3: "not an address", 7: ""}
    rows = [f"{number},{wrong.get(number, f'c{number}@example.org')},1\n" for number in range(20)]
    for name in ("orders.csv", "copy.csv"):  # the same content
        Path(name).write_text("".join(["order,email,total\n", *rows]))
    key = "key: order\n" if keyed else ""
    Path("m.yaml").write_text(f"{MAPPING}{key}properties: {{order: order}}\n")

    def arrived() -> Counter[str]:
        lines = Path("events.jsonl").read_text().splitlines() if Path("events.jsonl").exists() else []
        return Counter(json.loads(line)["event"]["properties"]["order"] for line in lines)

    def at_the_api(faults: str, *commands: tuple[str, ...]) -> list[int]:
        options = SandboxOptions(
            tokens=("rehearsal-token",), events="events.jsonl", faults=parse_faults(faults), port=port[0], seed=1
        )
        with process.start(options) as running:
            port[0] = running.port
            monkeypatch.setenv("IMPORTER_ENDPOINT", running.url)
            return [importer(*command).exit_code for command in commands]

    port = [0]
    send = ("-m", "m.yaml", "--yes", "--max-refused", "0")
    assert at_the_api("lie=0.4", ("run", "orders.csv", *send, "--out", "one")) == [1]
    first = importer("runs").stdout.split()[0]
    missing = 20 - len(arrived())
    assert 5 < missing < 15
    rejects = Path("one/rejects.csv").read_text()
    assert rejects.count("\n") == missing + 1
    Path("fixed.csv").write_text(rejects.replace("not an address", "c3@example.org"))
    assert at_the_api("lie=0.3", ("run", "fixed.csv", *send, "--out", "two")) == [1]
    assert missing > 20 - len(arrived()) > 1
    again = [
        *(("retry", first, "--yes", "--out", "three"), ("run", "copy.csv", *send, "--out", "four")),
        *(("run", "fixed.csv", *send, "--out", "five"), ("run", "two/rejects.csv", *send, "--out", "six")),
    ]
    assert set(at_the_api("", *again)) <= {0, 1, 2}
    assert sorted(arrived(), key=int) == [str(number) for number in range(20) if number != 7]
    assert set(arrived().values()) == {1}


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("in.csv", ["order,email,total", "1,ada@example.org,5", "2,bo@example.org", "3,cy@example.org,7"]),
        ("in.jsonl", ['{"order":1,"email":"ada@example.org"}', '{"order":2', '{"order":3,"email":"cy@example.org"}']),
    ],
)
def test_rejects_that_are_run_as_they_are_send_no_group_that_may_lack_a_row(
    here: Path, name: str, rows: list[str]
) -> None:
    """A row that was no row is still none, and may belong to its neighbours."""
    (here / name).write_text("\n".join(rows), encoding="utf-8")
    (here / "m.yaml").write_text(MAPPING + "group_by: order\n", encoding="utf-8")
    rejects = f"o/rejects.{name.partition('.')[2]}"
    made: list[dict[str, str]] = []
    for source, out in ((name, "o"), (rejects, "again")):
        importer("check", source, "-m", "m.yaml", "--out", out, "--report-format", "jsonl")
        made = [json.loads(line) for line in (here / out / "report.jsonl").read_text("utf-8").splitlines()]
        assert [row["state"] for row in made] == ["invalid"] * 3
    assert [row["code"] for row in made] == ["group.incomplete", "row.unreadable", "group.incomplete"]
    kept = (here / "again" / Path(rejects).name).read_text("utf-8")
    assert rows[-2] in kept or json.dumps(rows[-2]) in kept


def test_values_typed_beside_the_record_that_was_no_row_are_kept(here: Path) -> None:
    (here / "in.csv").write_text("email,total\nada@example.org\n", encoding="utf-8")
    (here / "m.yaml").write_text(MAPPING, encoding="utf-8")
    importer("check", "in.csv", "-m", "m.yaml", "--out", "o")
    filled = (here / "o" / "rejects.csv").read_text("utf-8").replace("\n,,", "\nada@example.org,five,")
    (here / "filled.csv").write_text(filled, encoding="utf-8")
    importer("check", "filled.csv", "-m", "m.yaml", "--out", "again")
    assert "\nada@example.org,five,invalid," in (here / "again" / "rejects.csv").read_text("utf-8")


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_corrected_row_has_the_name_and_the_line_of_its_own_file(here: Path, form: str) -> None:
    write_rows(here / f"north.{form}")
    facts = "key: {template: '{shop} {total}', parts: {shop: {file: stem}}}\nproperties: {line: {file: line}}\n"
    (here / "m.yaml").write_text(MAPPING + facts + "where: [{column: email, not_equals: x}]\n", encoding="utf-8")
    strict = (here / "m.yaml").read_text("utf-8").replace("value: total", "value: email")
    (here / "strict.yaml").write_text(strict, encoding="utf-8")
    importer("check", f"north.{form}", "-m", "strict.yaml", "--out", "o")
    (here / "o" / f"rejects.{form}").rename(here / f"fixed.{form}")
    bodies = importer("check", f"fixed.{form}", "-m", "m.yaml", "--preview", "9").stdout.splitlines()
    first = 2 if form == "csv" else 1
    assert [json.loads(one)["properties"]["line"] for one in bodies] == [str(first + row) for row in range(3)]
    importer("check", f"fixed.{form}", "-m", "m.yaml", "--out", "again", "--report-format", "jsonl")
    report = [json.loads(line) for line in (here / "again" / "report.jsonl").read_text("utf-8").splitlines()]
    assert {row["key"] for row in report} == {"north 1"}
