"""Nightly drops for many accounts: a column or the file's name says whose a row is, and none waits for another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from importer.sandbox import SandboxOptions, process
from tests.support.object_store import ObjectStore
from tests.support.program import Outcome, importer

NAMES = ("shop-a", "shop-b")
TOKENS = {name: f"token-of-{name}-{'x' * 20}" for name in NAMES}
BY_COLUMN = """\
version: 1
column: Store
accounts:
  shop-a: {token_env: A_TOKEN, values: [A]}
  shop-b: {token_env: B_TOKEN, values: [B]}
"""
BY_FILES = """\
version: 1
accounts:
  shop-a: {token_env: A_TOKEN, files: a.csv}
  shop-b: {token_env: B_TOKEN, files: "b*.csv"}
"""
MAPPING = "version: 1\nsubscriber: {email: Email}\ntype: {const: purchase}\nvalue: Total\nkey: Order\n"


class Night:
    """Drops, a ledger, and the API of two accounts."""

    def __init__(self, home: Path, url: str) -> None:
        self.home = home
        self.drops = home / "drops"
        self.drops.mkdir()
        self.address = str(self.drops)
        self.url = url
        (home / "m.yaml").write_text(MAPPING)
        (home / "accounts.yaml").write_text(BY_COLUMN)

    def drop(self, name: str, *rows: str) -> None:
        (self.drops / name).write_text("\n".join(["Store,Order,Email,Total", *rows, ""]))

    def watch(self, *more: str) -> Outcome:
        words = ("--once", "--yes", "--stable-for", "0", "--endpoint", self.url, "--ledger", str(self.home / "l.db"))
        return importer("watch", self.address, "-m", "m.yaml", "--accounts", "accounts.yaml", *words, *more)

    def arrived(self) -> dict[str, list[str]]:
        """The values that each account got, in their order."""
        found: dict[str, list[str]] = {}
        path = self.home / "arrived.jsonl"
        for line in path.read_text().splitlines() if path.exists() else ():
            one = json.loads(line)
            found.setdefault(one["account"], []).append(str(one["event"]["value"]))
        return found

    def lies(self) -> set[str]:
        return {str(path.relative_to(self.drops)) for path in self.drops.rglob("*.csv")}


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Night]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for variable, name in (("A_TOKEN", "shop-a"), ("B_TOKEN", "shop-b")):
        monkeypatch.setenv(variable, TOKENS[name])
    options = SandboxOptions(
        tokens=tuple(TOKENS.values()),
        accounts=tuple((name, None) for name in NAMES),
        events=str(tmp_path / "arrived.jsonl"),
    )
    with process.start(options) as running:
        yield Night(tmp_path, running.url)


def test_the_rows_of_a_file_go_to_their_accounts(night: Night) -> None:
    """Keys repeat within an account only; the reports of all lie beside the file."""
    night.drop("orders.csv", "A,1,ada@example.org,10", "B,1,bob@example.org,20", "A,2,ann@example.org,30")
    done = night.watch("--max-invalid", "0", "--metrics", "m.prom")
    assert done.exit_code == 0, done.stderr
    assert "done        orders.csv  3 rows: 3 sent  run " in done.stdout
    assert "2 accounts are about to send to the API:" in done.stderr
    assert night.arrived() == {"shop-a": ["10", "30"], "shop-b": ["20"]}
    assert night.lies() == {"done/orders.csv"} | {
        f"done/orders.csv.report/{name}/{kind}.csv" for name in NAMES for kind in ("report", "rejects")
    }
    page = (night.drops / "done/orders.csv.report/report.html").read_text()
    assert "shop-a/report.html" in page
    metrics = (night.home / "m.prom").read_text()
    assert 'importer_rows{account="shop-a",state="sent"} 2.0' in metrics
    assert 'importer_rows{account="shop-b",state="sent"} 1.0' in metrics
    night.drop("orders.csv", "B,1,bob@example.org,20")
    assert "nothing new: every row was delivered before" in night.watch().stdout


def test_a_token_that_is_wrong_stops_its_account_alone_night_after_night(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files wait, those of others do not; with the right token the next round goes on, in order."""
    monkeypatch.setenv("B_TOKEN", "wrong-token")
    night.drop("1.csv", "A,1,ada@example.org,10", "B,1,bob@example.org,20")
    night.drop("2.csv", "A,2,ada@example.org,11")
    night.drop("3.csv", "B,2,bob@example.org,21")
    done = night.watch()
    assert done.exit_code == 3
    assert "processing  1.csv  2 rows: 1 sent, 1 pending" in done.stdout
    assert "stopped: shop-b: the API answered 401" in done.stdout
    assert night.arrived() == {"shop-a": ["10", "11"]}
    assert night.lies() >= {"processing/1.csv", "done/2.csv", "processing/3.csv"}
    monkeypatch.setenv("B_TOKEN", TOKENS["shop-b"])
    done = night.watch()
    assert done.exit_code == 0, done.stderr
    assert night.arrived() == {"shop-a": ["10", "11"], "shop-b": ["20", "21"]}
    assert night.lies() >= {"done/1.csv", "done/2.csv", "done/3.csv"}


def test_no_token_at_all_is_found_before_a_file_is_taken(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    night.drop("1.csv", "A,1,ada@example.org,10")
    monkeypatch.delenv("A_TOKEN")
    monkeypatch.delenv("B_TOKEN")
    done = night.watch()
    assert done.exit_code == 2
    assert "no account can send" in done.stderr
    assert night.lies() == {"1.csv"}


def test_files_belong_to_accounts_by_the_names_under_which_they_were_dropped(night: Night) -> None:
    """Also a second file of that name, which gets the time of its arrival; one that fits two accounts waits."""
    (night.home / "accounts.yaml").write_text(BY_FILES)
    for value in ("10", "11"):
        night.drop("a.csv", f"x,{value},ada@example.org,{value}")
        assert night.watch().exit_code == 0
    assert night.arrived() == {"shop-a": ["10", "11"]}
    (night.home / "accounts.yaml").write_text(BY_FILES.replace("b*.csv", "*.csv"))
    night.drop("a.csv", "x,12,ada@example.org,12")
    night.drop("b.csv", "x,20,bob@example.org,20")
    done = night.watch()
    assert "fits the `files` of shop-a and of shop-b" in done.stdout
    assert night.arrived() == {"shop-a": ["10", "11"], "shop-b": ["20"]}


def test_a_file_with_rows_of_no_account_is_held_back_as_asked(night: Night) -> None:
    night.drop("1.csv", "A,1,ada@example.org,10", "nobody,2,ann@example.org,20")
    done = night.watch("--max-invalid", "20%")
    assert done.exit_code == 2
    assert "1 of 2 rows are invalid, more than --max-invalid 20% allows: 1 account.unknown" in done.stdout
    assert night.lies() == {"failed/1.csv"}
    assert not night.arrived()


def test_one_account_can_be_named_for_all_files_or_by_drops(night: Night) -> None:
    (night.home / "accounts.yaml").write_text(BY_FILES)
    night.drop("other.csv", "x,1,ada@example.org,10")
    assert night.watch("--account", "shop-b").exit_code == 0
    assert night.arrived() == {"shop-b": ["10"]}
    (night.home / "accounts.yaml").write_text(BY_COLUMN)
    night.drop("more.csv", "A,1,ada@example.org,10")
    done = night.watch("--account", "shop-b")
    assert done.exit_code == 2
    assert "a column names the account of each row" in done.stderr
    assert "more.csv" in night.lies()


def test_the_drops_of_an_object_store_get_the_reports_of_each_account(
    night: Night, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    night.address = f"s3://exports/{night.home.name}"
    store.put(f"{night.home.name}/1.csv", b"Store,Order,Email,Total\nA,1,ada@example.org,10\nB,1,bob@example.org,20\n")
    done = night.watch()
    assert done.exit_code == 0, done.stderr
    there = f"{night.home.name}/done/1.csv.report"
    names = {key.removeprefix(f"{there}/") for key in store.keys(there)}
    assert {"report.html", "summary.json", "shop-a/report.csv", "shop-b/report.html"} <= names
