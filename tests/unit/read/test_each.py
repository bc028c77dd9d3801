"""`each`: the elements of a nested list are the rows, in JSON and in Parquet; the books count them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.program import importer

ORDERS: list[dict[str, Any]] = [
    {"id": "7", "mail": "a@example.com", "items": [{"sku": "A", "price": 1.5}, {"sku": "B", "price": None}]},
    {"id": "8", "mail": "no address", "items": [{"sku": "A", "price": 2.0}, {"sku": "C", "price": 3.0}]},
    {"id": "9", "mail": "c@example.com", "items": []},
    {"id": "10", "mail": "d@example.com", "items": None},
]
MAPPING = """\
version: 1
each: items
key: {template: "{id} {items.sku}"}
subscriber: {email: mail}
type: {const: line}
value: items.price
properties: {order: id, sku: items.sku}
where: [{column: items.sku, empty: false}]
"""


@pytest.fixture(params=["jsonl", "parquet"])
def source(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("m.yaml").write_text(MAPPING, encoding="utf-8")
    name = f"orders.{request.param}"
    if request.param == "jsonl":
        Path(name).write_text("".join(json.dumps(one) + "\n" for one in ORDERS), encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(ORDERS), name)
    return name


def test_every_element_is_a_row_with_its_own_line_and_state(source: str) -> None:
    outcome = importer("check", source, "-m", "m.yaml", "--out", "out", "--report-format", "jsonl")
    assert outcome.exit_code == 1, outcome.stderr
    rows = [json.loads(line) for line in Path("out/report.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["row"], row["line"], row["state"], row["key"]) for row in rows] == [
        (1, 1, "pending", "7 A"),
        (2, 1, "pending", "7 B"),
        (3, 2, "invalid", "8 A"),
        (4, 2, "invalid", "8 C"),
        (5, 3, "filtered", None),
        (6, 4, "filtered", None),
    ]
    summary = json.loads(Path("out/summary.json").read_text(encoding="utf-8"))
    assert (summary["balanced"], summary["rows"]["read"]) == (True, 6)


def test_rejects_hold_each_element_with_its_object_and_can_be_run_again(source: str) -> None:
    importer("check", source, "-m", "m.yaml", "--out", "out")
    (rejects,) = Path("out").glob("rejects.*")
    if rejects.suffix == ".jsonl":
        text = rejects.read_text(encoding="utf-8").replace("no address", "b@example.com")
        assert [json.loads(line)["items"]["sku"] for line in text.splitlines()] == ["A", "C"]
        rejects.write_text(text, encoding="utf-8")
        outcome = importer("check", str(rejects), "-m", "m.yaml", "--preview", "9")
        assert [json.loads(line)["value"] for line in outcome.stdout.splitlines()] == [2, 3]


def test_a_list_within_an_object_is_found_by_its_path(source: str) -> None:
    """Also where the object is missing; what lies beside the list keeps its place."""
    rows: list[dict[str, Any]] = [
        {"id": one["id"], "mail": one["mail"], "order": {"n": one["id"], "lines": {"all": one["items"]}}}
        for one in ORDERS
    ]
    rows.append({"id": "11", "mail": "e@example.com", "order": None})
    if source.endswith("jsonl"):
        Path(source).write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(rows), source)
    mapping = MAPPING.replace("each: items", "each: order.lines.all").replace("items.", "order.lines.all.")
    Path("m.yaml").write_text(mapping.replace("order: id", "order: order.n"), encoding="utf-8")
    outcome = importer("check", source, "-m", "m.yaml", "--preview", "9")
    assert [json.loads(line) for line in outcome.stdout.splitlines()] == [
        {
            "subscriber": {"email": "a@example.com"},
            "type": "line",
            "value": 1.5,
            "properties": {"order": "7", "sku": "A"},
        },
        {"subscriber": {"email": "a@example.com"}, "type": "line", "properties": {"order": "7", "sku": "B"}},
    ]
    Path("m.yaml").write_text(MAPPING.replace("items.sku}", "mail}").replace("items.price", "id").split("prop")[0])
    outcome = importer("check", source, "-m", "m.yaml")
    assert ("has no column 'items' for `each`" in outcome.stderr) is source.endswith("parquet")


def test_elements_are_rows_though_nothing_of_them_is_mapped(source: str) -> None:
    Path("m.yaml").write_text(
        "version: 1\neach: items\nsubscriber: {email: mail}\ntype: {const: line}\n", encoding="utf-8"
    )
    outcome = importer("check", source, "-m", "m.yaml", "--preview", "9")
    assert len(outcome.stdout.splitlines()) == 4  # two of a@, and the orders without a list


def test_csv_has_no_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.yaml").write_text(MAPPING, encoding="utf-8")
    Path("a.csv").write_text("id,mail,items.sku,items.price\n1,a@example.com,A,1\n", encoding="utf-8")
    outcome = importer("check", "a.csv", "-m", "m.yaml")
    assert outcome.exit_code == 2
    assert "is CSV, which has no lists for `each: items`" in outcome.stderr
