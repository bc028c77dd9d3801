"""Values looked up in another file: the right answer, none, or a refusal that names the lines."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from importer.errors import MappingError
from importer.mapping.load import loads
from importer.pipeline.find import fingerprint
from importer.pipeline.options import RunOptions
from tests.support.program import importer

MAPPING = """\
version: 1
lookups: {customers: {file: customers.csv, key: Customer ID}}
subscriber: {email: {lookup: customers, by: Customer, column: Email}}
type: {const: purchase}
properties: {order: Order, name: {lookup: customers, by: {column: Customer, extract: "[0-9]+"}, column: Name}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "m.yaml").write_text(MAPPING, encoding="utf-8")
    customers = "Customer ID,Name,Email\n17850,Ada,ada@example.com\n17851,,bo@example.com\n17850,Ada,ada@example.com\n"
    (tmp_path / "maps" / "customers.csv").write_text(customers, encoding="utf-8")
    (tmp_path / "orders.csv").write_text("Order,Customer\n1,17850.0\n2,17851\n3,99\n4,\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_value_is_what_the_row_of_its_key_has(folder: Path) -> None:
    """Equal rows are one answer; a path counts from the mapping; a key that is not there leaves the value out."""
    outcome = importer("check", "orders.csv", "-m", "maps/m.yaml", "--preview", "9")
    assert [json.loads(line) for line in outcome.stdout.splitlines()] == [
        {"subscriber": {"email": "ada@example.com"}, "type": "purchase", "properties": {"order": "1", "name": "Ada"}},
        {"subscriber": {"email": "bo@example.com"}, "type": "purchase", "properties": {"order": "2"}},
    ]
    outcome = importer("check", "orders.csv", "-m", "maps/m.yaml")
    assert outcome.exit_code == 1
    assert "subscriber.missing" in outcome.stderr + outcome.stdout


def test_different_answers_for_one_key_are_refused_with_their_lines(folder: Path) -> None:
    with (folder / "maps" / "customers.csv").open("a", encoding="utf-8") as file:
        file.write("17851,,zoe@example.com\n")
    outcome = importer("check", "orders.csv", "-m", "maps/m.yaml")
    assert outcome.exit_code == 2
    assert "different answers for one key: maps/customers.csv, line 3 and maps/customers.csv, line 5" in outcome.stderr


def test_a_file_without_the_column_is_refused_with_those_it_has(folder: Path) -> None:
    (folder / "maps" / "customers.csv").write_text("Customer ID,Mail\n1,a@example.com\n", encoding="utf-8")
    outcome = importer("check", "orders.csv", "-m", "maps/m.yaml")
    assert outcome.exit_code == 2
    assert "needs its column 'Email', 'Name'" in outcome.stderr
    assert "it has 'Customer ID', 'Mail'" in outcome.stderr


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("{lookup: custmers, by: A, column: B}", 'unknown lookup "custmers"; did you mean customers?'),
        ("{lookup: customers, column: B}", "`lookup` needs `by`"),
        ("{lookup: customers, by: A, const: B}", "`lookup` needs `column`"),
        ("{by: A, column: B}", "`by` needs `lookup`"),
        ("{lookup: customers, by: {column: A, as: integer}, column: B}", "a lookup's `key` can be `as: integer`"),
    ],
)
def test_what_a_lookup_needs_is_told(value: str, problem: str) -> None:
    with pytest.raises(MappingError, match=problem):
        loads(MAPPING + f"key: {value}\n", "m.yaml")


def test_keys_that_are_not_there_are_warned_of_and_counted(folder: Path) -> None:
    """One warning a row, however many columns are taken by its key, and none where another value comes first."""
    mapping = MAPPING.replace("{email: {lookup", "{email: {first_of: [Mail, {lookup").replace(
        "column: Email}}", "column: Email}]}}"
    )
    (folder / "maps" / "m.yaml").write_text(mapping, encoding="utf-8")
    orders = "Order,Customer,Mail\n1,17850,\n2,99,\n3,99,x@example.com\n4,98,\n5,,y@example.com\n"
    (folder / "orders.csv").write_text(orders, encoding="utf-8")
    outcome = importer("check", "orders.csv", "-m", "maps/m.yaml", "--out", "out", "--report-format", "jsonl")
    assert "warning: the lookup `customers` has no row for 2 keys, such as 98" in outcome.stderr
    rows = [json.loads(line) for line in (folder / "out" / "report.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["row"], row["state"], row["code"]) for row in rows] == [
        (1, "pending", None),
        (2, "invalid", "subscriber.missing; lookup.not_found"),
        (3, "pending", "lookup.not_found"),
        (4, "invalid", "subscriber.missing; lookup.not_found"),
        (5, "pending", None),
    ]


def test_an_identity_that_is_looked_up_has_one_spelling_and_a_word_for_none_is_none(folder: Path) -> None:
    customers = "Customer ID,Name,Email\n17850,17850.0,Ada <ada@example.com>\n17851,NULL,bo@example.com\n"
    (folder / "maps" / "customers.csv").write_text(customers, encoding="utf-8")
    key = "key: {lookup: customers, by: Customer, column: Name}\n"
    (folder / "maps" / "m.yaml").write_text(MAPPING + key, encoding="utf-8")
    importer("check", "orders.csv", "-m", "maps/m.yaml", "--out", "out", "--report-format", "jsonl")
    rows = [json.loads(line) for line in (folder / "out" / "report.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["key"], row["code"]) for row in rows[:2]] == [("17850", None), (None, "key.missing")]
    assert rows[0]["subscriber"] == "ada@example.com"


def test_a_row_whose_key_cannot_be_told_is_not_in_the_lookup(folder: Path) -> None:
    key = "{cases: [{when: [{column: Name, above: 0}], use: Customer ID}, {use: {const: 99}}]}"
    (folder / "maps" / "m.yaml").write_text(MAPPING.replace("key: Customer ID", f"key: {key}"), encoding="utf-8")
    outcome = importer("check", "orders.csv", "-m", "maps/m.yaml")
    assert "warning: maps/customers.csv, line 2: not in the lookup `customers`: a cell of its key" in outcome.stderr
    assert "line 3" not in outcome.stderr


def test_a_calculation_warns_of_what_its_lookups_lack(folder: Path) -> None:
    (folder / "maps" / "customers.csv").write_text(
        "Customer ID,Name,Email\n17850,2,ada@example.com\n", encoding="utf-8"
    )
    words = "value: {product_of: [Order, {lookup: customers, by: Customer, column: Name}]}\n"
    mapping = MAPPING.replace(
        "subscriber: {email: {lookup: customers, by: Customer, column: Email}}", "subscriber: {id: Order}"
    )
    (folder / "maps" / "m.yaml").write_text(mapping.rsplit("properties", 1)[0] + words, encoding="utf-8")
    outcome = importer("check", "orders.csv", "-m", "maps/m.yaml")
    assert "warning: the lookup `customers` has no row for 2 keys, such as 17851" in outcome.stderr


def test_a_lookup_beyond_the_bound_answers_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The temporary database gives the answers, and finds the contradictions, of the table in memory."""
    plain = importer("check", "orders.csv", "-m", "maps/m.yaml", "--preview", "9")
    monkeypatch.setattr("importer.convert.lookups._MOST_IN_MEMORY", 0)
    assert importer("check", "orders.csv", "-m", "maps/m.yaml", "--preview", "9") == plain
    with (folder / "maps" / "customers.csv").open("a", encoding="utf-8") as file:
        file.write("17851,,zoe@example.com\n")
    outcome = importer("check", "orders.csv", "-m", "maps/m.yaml")
    assert "different answers for one key: maps/customers.csv, line 3 and maps/customers.csv, line 5" in outcome.stderr


def test_the_content_of_lookups_is_part_of_what_a_run_is(folder: Path) -> None:
    """A command with another list of customers is another run; a list that is merely copied is the same one."""
    options = RunOptions(("orders.csv",), "maps/m.yaml")
    loaded = options.load_mapping()
    before = fingerprint(options, loaded)
    customers = folder / "maps" / "customers.csv"
    customers.write_bytes(customers.read_bytes())
    os.utime(customers, (1, 1))
    assert fingerprint(options, loaded) == before
    customers.write_text("Customer ID,Name,Email\n17850,Ada,other@example.com\n", encoding="utf-8")
    assert fingerprint(options, loaded) != before


@pytest.mark.parametrize("bound", [0, 1 << 20])
def test_zeros_in_front_of_a_key_that_is_an_integer_do_not_count(
    folder: Path, monkeypatch: pytest.MonkeyPatch, bound: int
) -> None:
    """On either side; a number that a spreadsheet has rounded is still no key."""
    monkeypatch.setattr("importer.convert.lookups._MOST_IN_MEMORY", bound)
    (folder / "maps" / "m.yaml").write_text(
        MAPPING.replace("key: Customer ID", "key: {column: Customer ID, as: integer}")
    )
    customers = (
        "Customer ID,Name,Email\n0017850,Ada,ada@example.com\n0,Bo,bo@example.com\n178500000000,Cy,cy@example.com\n"
    )
    (folder / "maps" / "customers.csv").write_text(customers, encoding="utf-8")
    (folder / "orders.csv").write_text("Order,Customer\n1,17850.0\n2,000\n3,1.785E+11\n4,00017850\n", encoding="utf-8")
    outcome = importer("check", "orders.csv", "-m", "maps/m.yaml", "--preview", "9")
    sent = [json.loads(line) for line in outcome.stdout.splitlines()]
    found = {one["properties"]["order"]: one["subscriber"]["email"] for one in sent}
    assert found == {"1": "ada@example.com", "2": "bo@example.com", "4": "ada@example.com"}


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_files_of_any_format_and_groups(folder: Path, kind: str) -> None:
    rows = [{"Order": 1, "Customer": 17850, "Item": "a"}, {"Order": 1, "Customer": 17850, "Item": "b"}]
    customers = [{"Customer ID": 17850, "Name": "Ada", "Email": "ada@example.com"}]
    for name, content in (("orders", rows), ("maps/customers", customers)):
        if kind == "jsonl":
            (folder / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in content), encoding="utf-8")
        else:
            pq.write_table(pa.Table.from_pylist(content), folder / f"{name}.parquet")
    mapping = MAPPING.replace("customers.csv", f"customers.{kind}")
    mapping = mapping.replace("{order:", "{items: {column: Item, aggregate: join}, order:")
    (folder / "maps" / "m.yaml").write_text(mapping + "group_by: Order\n", encoding="utf-8")
    (folder / "x.yaml").write_text("version: 1\nextends: maps/m.yaml\n", encoding="utf-8")
    outcome = importer("check", f"orders.{kind}", "-m", "x.yaml", "--preview", "9")
    assert json.loads(outcome.stdout) == {
        "subscriber": {"email": "ada@example.com"},
        "type": "purchase",
        "properties": {"items": "a, b", "order": "1", "name": "Ada"},
    }


def test_lookups_that_are_no_names_are_the_only_problem_of_values_that_use_them() -> None:
    for wrong in ("1.5", "customers", "[customers]"):
        with pytest.raises(MappingError) as caught:
            loads(MAPPING.replace("{customers: {file: customers.csv, key: Customer ID}}", wrong), "m.yaml")
        assert [problem.message.partition(" must be ")[0] for problem in caught.value.problems] == ["`lookups`"]
