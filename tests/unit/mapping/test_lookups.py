"""Values looked up in another file: the right answer, none, or a refusal that names the lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from importer.errors import MappingError
from importer.mapping.load import loads
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
    ],
)
def test_what_a_lookup_needs_is_told(value: str, problem: str) -> None:
    with pytest.raises(MappingError, match=problem):
        loads(MAPPING + f"key: {value}\n", "m.yaml")
