"""Files of accounts: what they say, and what is wrong with them, with its line."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from importer.errors import MappingError, UsageError
from importer.mapping.accounts import Accounts, load_accounts
from importer.mapping.positions import parse
from tests.docs import schema_files as schema


def loaded(folder: Path, text: str) -> Accounts:
    path = folder / "accounts.yaml"
    path.write_text(text)
    return load_accounts(str(path))


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(MappingError) as caught:
        loaded(folder, text)
    return [str(one).removeprefix(f"{folder}/") for one in caught.value.problems]


BY_COLUMN = """\
version: 1
column: Store
accounts:
  shop-a: {token_env: SHOP_A_TOKEN, limit: 60, values: [EU, "Europe & more"]}
  shop-b: {token_file: secrets/b, endpoint: "https://sender.example/v2", values: 17}
"""
BY_FILES = """\
version: 1
accounts:
  shop-a: {token_env: SHOP_A_TOKEN, files: "shop-a-*"}
  shop-b: {token_env: SHOP_B_TOKEN, files: ["b-*.csv", "shop-b-*"]}
"""


def test_a_row_names_its_account_or_one_of_its_values(tmp_path: Path) -> None:
    accounts = loaded(tmp_path, BY_COLUMN)
    column = accounts.by_column()
    assert column is not None
    assert column.column == "Store"
    assert dict(column.names) == {
        "shop-a": "shop-a", "EU": "shop-a", "Europe & more": "shop-a", "shop-b": "shop-b", "17": "shop-b",
    }  # fmt: skip
    assert accounts.token_file("shop-b") == tmp_path / "secrets/b"
    assert accounts.token_source("shop-a") == "the variable SHOP_A_TOKEN"


def test_a_file_has_the_account_whose_pattern_fits_its_name(tmp_path: Path) -> None:
    accounts = loaded(tmp_path, BY_FILES)
    assert accounts.by_column() is None
    names = ["in/shop-a-1.csv", "b-2.csv", "shop-b-3.csv.gz", "other.csv"]
    assert [accounts.of_file(name) for name in names] == ["shop-a", "shop-b", "shop-b", None]
    both = loaded(tmp_path, BY_FILES.replace("b-*.csv", "*.csv"))
    with pytest.raises(UsageError, match=r"shop-a-1.csv fits the `files` of shop-a and of shop-b"):
        both.of_file("shop-a-1.csv")


@pytest.mark.parametrize("text", [BY_COLUMN, BY_FILES])
def test_the_schema_takes_what_the_loader_takes(text: str) -> None:
    document = schema.accounts_schema()
    jsonschema.Draft202012Validator.check_schema(document)
    jsonschema.validate(parse(text, "a.yaml").data, document, jsonschema.Draft202012Validator)
    assert schema.ACCOUNTS_PATH.read_text(encoding="utf-8") == schema.text(schema.accounts_schema())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("  a: {token_evn: A}", 'unknown key "token_evn" in an account; did you mean token_env?'),
        ("  a: {}", "`a` needs its token's place; write one of `token_env` and `token_file`"),
        ("  a: {token_env: A, token_file: b}", "`a` needs its token's place; write one of"),
        ("  unassigned: {token_env: A}", '"unassigned" cannot be an account\'s name'),
        ("  a/b: {token_env: A}", '"a/b" cannot be an account\'s name'),
        ("  A: {token_env: A}\n  a: {token_env: B}", "`a` and `A` would have one directory"),
        ("  a: {token_env: A, files: x}", "`column` and `files` exclude each other"),
        ("  a: {token_env: A, values: b}\n  b: {token_env: B}", '"b" means both `a` and `b`'),
        ('  a: {token_env: A, limit: "6"}', '`limit` must be a whole number from 1, not "6"; leave the quotes out'),
    ],
)
def test_a_problem_is_named_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    (found,) = problems(tmp_path, f"version: 1\ncolumn: Store\naccounts:\n{line}\n")
    assert found.startswith(f"accounts.yaml:{4 + line.count(chr(10))}:")
    assert said in found


def test_without_a_column_each_account_needs_files(tmp_path: Path) -> None:
    found = problems(tmp_path, BY_COLUMN.replace("column: Store\n", ""))
    assert [one.partition(": ")[2].partition(";")[0] for one in found] == [
        "nothing says which rows go to `shop-a`",
        "`values` belong to a `column`",
        "nothing says which rows go to `shop-b`",
        "`values` belong to a `column`",
    ]


@pytest.mark.parametrize("entry", ["{token: SECRET}", "{token_env: SECRET}", "{token_env: A, token: SECRET}"])
def test_a_token_in_the_file_is_refused_and_never_shown(tmp_path: Path, entry: str) -> None:
    secret = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.abcdefghijklmnop"
    (found,) = problems(tmp_path, f"version: 1\ncolumn: S\naccounts:\n  a: {entry.replace('SECRET', secret)}\n")
    assert secret[:8] not in found
    assert "token" in found


def test_what_is_no_file_of_accounts_is_said(tmp_path: Path) -> None:
    assert "this is no file of accounts" in problems(tmp_path, "just text\n")[0]
    assert "the file of accounts needs `accounts`" in problems(tmp_path, "version: 1\n")[0]
    with pytest.raises(UsageError, match=r"--accounts nowhere\.yaml: No such file"):
        load_accounts("nowhere.yaml")
