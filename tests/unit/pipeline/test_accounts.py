"""Many accounts at once: each row goes to its own account, and what stops one account stops no other."""

from __future__ import annotations

import csv
import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from importer.ledger.ledger import Ledger
from importer.sandbox import SandboxOptions, process
from tests.support.postgres import Server
from tests.support.processes import start_importer
from tests.support.program import Outcome, importer

NAMES = ("shop-a", "shop-b", "shop-c")
TOKENS = {name: f"token-of-{name}-{'x' * 20}" for name in NAMES}
ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "schemas/accounts-summary.schema.json").read_text())
MAPPING = "version: 1\nsubscriber: {email: Email}\ntype: {const: purchase}\nvalue: Total\nkey: Order\n"
BY_COLUMN = """\
version: 1
column: Store
accounts:
  shop-a: {token_env: A_TOKEN, values: [A, Shop A]}
  shop-b: {token_env: B_TOKEN, values: [B]}
  shop-c: {token_env: C_TOKEN, values: [C]}
"""
BY_FILES = """\
version: 1
accounts:
  shop-a: {token_env: A_TOKEN, files: "shop-a-*"}
  shop-b: {token_env: B_TOKEN, files: ["shop-b-*", "b-*"]}
  shop-c: {token_env: C_TOKEN, files: "shop-c-*"}
"""


@dataclass
class Place:
    """A directory with a mapping, a file of accounts, and the API of all three accounts."""

    home: Path
    url: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, *rows: str, header: str = "Store,Order,Email,Total") -> str:
        (self.home / name).write_text("\n".join([header, *rows]) + "\n")
        return name

    def run(self, *sources: str, out: str = "out", more: tuple[str, ...] = ()) -> Outcome:
        return importer(*self.command(*sources, out=out), *more)

    def command(self, *sources: str, out: str = "out") -> list[str]:
        goal = ["--endpoint", self.url, "--yes"] if self.url else ["--sandbox"]
        return ["run", *sources, "-m", "m.yaml", "--accounts", "accounts.yaml", "--out", out, *goal]

    def arrived(self) -> dict[str, list[str]]:
        """The e-mail addresses that each account got, in their order."""
        found: dict[str, list[str]] = {}
        path = self.home / "arrived.jsonl"
        for line in path.read_text().splitlines() if path.exists() else ():
            one = json.loads(line)
            found.setdefault(one["account"], []).append(one["event"]["subscriber"]["email"])
        return found

    def summary(self, out: str = "out") -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / out / "summary.json").read_text())
        jsonschema.validate(found, SCHEMA, jsonschema.Draft202012Validator)
        assert found["balanced"]
        assert found["rows"]["read"] == sum(count for name, count in found["rows"].items() if name != "read")
        return found

    def account(self, name: str, out: str = "out") -> dict[str, Any]:
        found: dict[str, Any] = next(one for one in self.summary(out)["accounts"] if one["account"] == name)
        return found

    def report(self, directory: str, out: str = "out") -> list[dict[str, str]]:
        with (self.home / out / directory / "report.csv").open(newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMPORTER_LEDGER", str(tmp_path / "ledger.db"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for variable, name in zip(("A_TOKEN", "B_TOKEN", "C_TOKEN"), NAMES, strict=True):
        monkeypatch.setenv(variable, TOKENS[name])
    (tmp_path / "m.yaml").write_text(MAPPING)
    (tmp_path / "accounts.yaml").write_text(BY_COLUMN)
    return Place(tmp_path)


@pytest.fixture
def live(place: Place) -> Iterator[Place]:
    """The three accounts at a server on loopback, each with its own limit."""
    options = SandboxOptions(
        tokens=tuple(TOKENS.values()),
        accounts=(("shop-a", 600), ("shop-b", 1200), ("shop-c", None)),
        events=str(place.home / "arrived.jsonl"),
    )
    with process.start(options) as running:
        place.url = running.url
        yield place


ROWS = [
    "A,1,ada@example.org,10",
    "B,1,bob@example.org,20",
    "Shop A,2,ann@example.org,30",
    "nowhere,9,nat@example.org,1",
    "C,1,cyd@example.org,5",
    ",8,eve@example.org,2",
    "B,2,ben@example.org,4",
]


def test_a_wrong_token_stops_its_account_alone(live: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows wait, the hint names where its token is, and the same command sends them with the right one."""
    live.write("o.csv", *ROWS)
    monkeypatch.setenv("B_TOKEN", "a-wrong-token-of-some-length")
    done = live.run("o.csv")
    assert done.exit_code == 3
    assert live.arrived() == {"shop-a": ["ada@example.org", "ann@example.org"], "shop-c": ["cyd@example.org"]}
    stopped = live.account("shop-b")
    assert (stopped["rows"]["pending"], stopped["state"], stopped["exit_code"]) == (2, "stopped", 3)
    assert "put a valid token of shop-b into the variable B_TOKEN" in stopped["hint"]
    assert [live.account(name)["exit_code"] for name in ("shop-a", "shop-c")] == [0, 0]
    monkeypatch.setenv("B_TOKEN", TOKENS["shop-b"])
    again = live.run("o.csv")
    assert "it goes on" in again.stderr
    assert again.exit_code == 1, "two rows belong to no account"
    assert live.arrived()["shop-b"] == ["bob@example.org", "ben@example.org"]
    assert sum(map(len, live.arrived().values())) == 5


def test_rows_of_no_account_are_in_one_place_with_their_reason(place: Place) -> None:
    place.write("o.csv", *ROWS)
    assert place.run("o.csv").exit_code == 1
    rows = place.report("unassigned")
    assert [(row["row"], row["line"], row["code"], row["field"]) for row in rows] == [
        ("4", "5", "account.unknown", "account"),
        ("6", "7", "account.missing", "account"),
    ]
    assert {row["message"] for row in rows} == {
        "nowhere is none of the accounts",
        "the column that names the account is empty",
    }
    assert [(row["row"], row["key"], row["state"]) for row in place.report("shop-a")] == [
        ("1", "1", "sent"), ("3", "2", "sent"),
    ]  # fmt: skip
    rejects = (place.home / "out/unassigned/rejects.csv").read_text()
    (place.home / "fixed.csv").write_text(rejects.replace("nowhere,9", "C,9"))
    place.run("fixed.csv", out="second")
    assert [row["key"] for row in place.report("shop-c", "second")] == ["9"]


def test_keys_and_rows_are_known_by_account(place: Place) -> None:
    """One shop's order 1 is not another's; the second time, none of them is sent."""
    place.write("o.csv", *(row for row in ROWS if row[0] not in "n,"))
    assert place.run("o.csv").exit_code == 0
    assert place.summary()["rows"]["sent"] == 5
    assert place.run("o.csv", out="again").exit_code == 0
    assert place.summary("again")["rows"]["duplicate"] == 5


def test_files_belong_to_accounts_by_their_names(live: Place) -> None:
    (live.home / "accounts.yaml").write_text(BY_FILES)
    live.write("shop-a-1.csv", "1,ada@example.org,1", header="Order,Email,Total")
    live.write("b-1.csv", "1,bob@example.org,1", header="Order,Email,Total")
    live.write("other.csv", "1,nat@example.org,1", header="Order,Email,Total")
    done = live.run("shop-a-1.csv", "b-1.csv", "other.csv")
    assert done.exit_code == 1
    assert live.arrived() == {"shop-a": ["ada@example.org"], "shop-b": ["bob@example.org"]}
    ((row,), summary) = (live.report("unassigned"), live.summary())
    assert (row["source"], row["code"]) == ("other.csv", "account.unknown")
    assert row["message"] == "other.csv is none of the accounts"
    assert summary["without_rows"] == ["shop-c"]
    assert "no rows for shop-c" in done.stderr


def test_rejects_of_an_account_go_back_to_it(place: Place) -> None:
    """The command that the report shows names the account, where no column does."""
    (place.home / "accounts.yaml").write_text(BY_FILES)
    place.write("shop-a-1.csv", "1,ada@example,1", header="Order,Email,Total")
    place.run("shop-a-1.csv")
    page = (place.home / "out/shop-a/report.html").read_text()
    command = "importer run out/shop-a/rejects.csv -m m.yaml --accounts accounts.yaml --sandbox --account shop-a"
    assert command in page
    rejects = place.home / "out/shop-a/rejects.csv"
    rejects.write_text(rejects.read_text().replace("ada@example,", "ada@example.org,"))
    assert importer(*command.split()[1:], "--out", "second").exit_code == 0
    found = json.loads((place.home / "second/summary.json").read_text())
    assert (found["account"], found["rows"]["sent"]) == ("shop-a", 1)


def test_a_group_of_rows_with_different_accounts_is_sent_to_none(place: Place) -> None:
    """A row without an account belongs to its group's; a group with two accounts is a conflict in both."""
    (place.home / "m.yaml").write_text(MAPPING + "group_by: Order\n")
    place.write(
        "o.csv",
        "A,1,ada@example.org,10",
        ",1,,",
        "B,2,bob@example.org,20",
        "C,2,bob@example.org,20",
        "x,3,nat@example.org,1",
        ",3,,",
        "B,4,ben@example.org,7",
    )
    assert place.run("o.csv").exit_code == 1
    found = {
        name: [(row["row"], row["state"], row["code"]) for row in place.report(name)] for name in (*NAMES, "unassigned")
    }
    assert found == {
        "shop-a": [("1", "sent", ""), ("2", "grouped", "")],
        "shop-b": [("3", "invalid", "group.conflict"), ("7", "sent", "")],
        "shop-c": [("4", "invalid", "group.conflict")],
        "unassigned": [("5", "invalid", "account.unknown"), ("6", "grouped", "")],
    }
    assert "shop-b in row 3, shop-c in row 4" in place.report("shop-b")[0]["message"]


def test_an_account_without_a_token_waits_and_the_others_go_on(live: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    live.write("o.csv", *(row for row in ROWS if row[0] not in "n,"))
    monkeypatch.delenv("C_TOKEN")
    done = live.run("o.csv")
    assert done.exit_code == 3
    assert "shop-c: no API token: the variable C_TOKEN is not set" in done.stderr
    assert set(live.arrived()) == {"shop-a", "shop-b"}
    assert live.account("shop-c")["rows"]["pending"] == 1
    for variable in ("A_TOKEN", "B_TOKEN"):
        monkeypatch.delenv(variable)
    refused = live.run("o.csv")
    assert refused.exit_code == 2
    assert "no account can send" in refused.stderr


def test_a_run_of_one_account_goes_on_by_its_id_with_its_own_token(
    live: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger knows where the token is, and never the token."""
    live.write("o.csv", *ROWS)
    monkeypatch.delenv("B_TOKEN")
    live.run("o.csv")
    monkeypatch.setenv("B_TOKEN", TOKENS["shop-b"])
    monkeypatch.setenv("SENDER_API_TOKEN", TOKENS["shop-a"])
    assert importer("resume", live.account("shop-b")["run"], "--yes").exit_code == 0
    assert live.arrived()["shop-b"] == ["bob@example.org", "ben@example.org"]
    assert len(live.arrived()["shop-a"]) == 2


def test_resume_goes_on_with_all_accounts(live: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    live.write("o.csv", *ROWS)
    monkeypatch.setenv("B_TOKEN", "wrong-token-number-1")
    monkeypatch.setenv("C_TOKEN", "wrong-token-number-2")
    live.run("o.csv")
    monkeypatch.setenv("B_TOKEN", TOKENS["shop-b"])
    monkeypatch.setenv("C_TOKEN", TOKENS["shop-c"])
    done = importer("resume", live.summary()["run"], "--yes")
    assert done.exit_code == 1
    assert Counter({name: len(found) for name, found in live.arrived().items()}) == {
        "shop-a": 2, "shop-b": 2, "shop-c": 1,
    }  # fmt: skip


def test_no_token_is_written_or_said_anywhere(live: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    live.write("o.csv", *ROWS)
    wrong = "a-wrong-token-of-some-length"
    monkeypatch.setenv("B_TOKEN", wrong)
    done = live.run("o.csv", more=("--log-format", "json", "--format", "json"))
    said = done.stdout + done.stderr
    written = [one for one in live.home.rglob("*") if one.is_file()]
    for secret in (wrong, *TOKENS.values()):
        assert secret not in said
        assert not [one for one in written if secret.encode() in one.read_bytes()]
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert {line["account"] for line in lines if line["event"] == "plan"} == {"shop-a", "shop-c"}
    assert json.loads(done.stdout)["rows"] == live.summary()["rows"]


def test_an_interrupted_plan_leaves_nothing_and_a_crash_between_seals_loses_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write("o.csv", *ROWS)
    seal, sealed = Ledger.seal, []

    def interrupted(ledger: Ledger, run: Any, **options: Any) -> Any:
        sealed.append(run.id)
        if len(sealed) == 2:
            raise KeyboardInterrupt
        return seal(ledger, run, **options)

    monkeypatch.setattr(Ledger, "seal", interrupted)
    # As a process leaves them that is killed at that moment.
    monkeypatch.setattr(Ledger, "discard", lambda *_: None)
    assert place.run("o.csv").exit_code == 3
    monkeypatch.undo()
    monkeypatch.chdir(place.home)
    monkeypatch.setenv("IMPORTER_LEDGER", str(place.home / "ledger.db"))
    assert place.run("o.csv").exit_code == 1
    assert place.summary()["rows"] | {"invalid": 2} == place.summary()["rows"]
    assert place.summary()["rows"]["sent"] == 5


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_what_ends_the_process_loses_nothing_and_sends_nothing_twice(place: Place, sign: signal.Signals) -> None:
    count = 40
    place.write("o.csv", *(f"{'ABC'[n % 3]},{n},p{n % 6}@example.org,{n}" for n in range(count)))
    options = SandboxOptions(
        tokens=tuple(TOKENS.values()),
        accounts=tuple((name, None) for name in NAMES),
        events=str(place.home / "arrived.jsonl"),
        latency=0.05,
    )
    environment = {
        "IMPORTER_LEDGER": str(place.home / "ledger.db"),
        "HOME": str(place.home),
        **{variable: TOKENS[name] for variable, name in zip(("A_TOKEN", "B_TOKEN", "C_TOKEN"), NAMES, strict=True)},
    }
    with process.start(options) as running:
        place.url = running.url
        said = (place.home / "stdout", place.home / "stderr")
        command = place.command("o.csv")
        begun = start_importer(command, environment, place.home, stdout=said[0], stderr=said[1])
        until = time.monotonic() + 30
        while sum(map(len, place.arrived().values())) < 5:
            assert time.monotonic() < until, said[1].read_text()
            assert begun.poll() is None, said[1].read_text()
        begun.send_signal(sign)
        code = begun.wait(30)
        if sign is signal.SIGINT:
            assert code == 3
            assert place.summary()["rows"]["in_doubt"] == 0
        done = place.run("o.csv")
    lines = [json.loads(line) for line in (place.home / "arrived.jsonl").read_text().splitlines()]
    values = [line["event"]["value"] for line in lines]
    rows = place.summary()["rows"]
    assert len(set(values)) == len(values), "nothing twice"
    assert rows["sent"] + rows["in_doubt"] == count, f"nothing lost: {rows}, {done}"
    assert rows["in_doubt"] <= 12, "those in flight and one window, of three accounts"
    assert done.exit_code == (1 if rows["in_doubt"] else 0)
    assert all(line["account"] == NAMES[line["event"]["value"] % 3] for line in lines)
    by_subscriber: dict[str, list[int]] = {}
    for line in lines:
        by_subscriber.setdefault(line["event"]["subscriber"]["email"], []).append(line["event"]["value"])
    assert all(found == sorted(found) for found in by_subscriber.values()), "in order"


def test_an_account_for_which_another_machine_sends_waits_and_the_others_go_on(
    live: Place, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the ledger in PostgreSQL each account has a lease of its own; the rest is as with a file."""
    location = postgres.database()
    monkeypatch.setenv("IMPORTER_LEDGER", location.uri)
    live.write("first.csv", "B,0,bea@example.org,9")
    assert live.run("first.csv", out="first").exit_code == 0
    live.write("o.csv", *(row for row in ROWS if row[0] not in "n,"))
    with Ledger(location, account="shop-b", endpoint=live.account("shop-b", "first")["endpoint"]) as there:
        lock = there.sender_lock(there.runs()[0])
        assert lock is not None
        assert lock.try_acquire()
        done = live.run("o.csv")
        assert done.exit_code == 3
        assert "shop-b: stopped: run " in done.stderr
        assert "sends for this account now" in done.stderr
        assert set(live.arrived()) == {"shop-a", "shop-b", "shop-c"}
        assert live.account("shop-b")["rows"]["pending"] == 2
        lock.release()
    assert live.run("o.csv").exit_code == 0
    assert live.arrived()["shop-b"] == ["bea@example.org", "bob@example.org", "ben@example.org"]
    postgres.release(location)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["A", "Shop A", "shop-b", "B", "C", "nobody", "", " C "]), min_size=1, max_size=12))
def test_each_row_is_in_exactly_one_report(
    tmp_path_factory: pytest.TempPathFactory, place: Place, stores: list[str]
) -> None:
    home = tmp_path_factory.mktemp("rows")
    source = home / "o.csv"
    source.write_text("Store,Order,Email,Total\n" + "".join(f"{s},{n},p@example.org,1\n" for n, s in enumerate(stores)))
    done = importer(
        "run", str(source), "-m", "m.yaml", "--accounts", "accounts.yaml", "--sandbox", "--out", str(home / "out")
    )  # fmt: skip
    expected = {"A": "shop-a", "Shop A": "shop-a", "shop-b": "shop-b", "B": "shop-b", "C": "shop-c"}
    found = {
        int(row["row"]): report.parent.name
        for report in (home / "out").glob("*/report.csv")
        for row in csv.DictReader(report.read_text().splitlines())
    }
    assert found == {n: expected.get(store.strip(), "unassigned") for n, store in enumerate(stores, start=1)}
    assert done.exit_code == int("unassigned" in found.values())


def test_a_column_that_the_file_lacks_is_named(place: Place) -> None:
    place.write("o.csv", "A,1,ada@example.org,1", header="Stores,Order,Email,Total")
    done = place.run("o.csv")
    assert done.exit_code == 2
    assert "lacks the column 'Store', which names the account of each row" in done.stderr
    assert "did you mean 'Stores'?" in done.stderr


def test_declining_sends_nothing_to_anyone(live: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    live.write("o.csv", *ROWS)
    monkeypatch.setattr("importer.cli.console.TerminalConsole.require_answer", lambda _: None)
    monkeypatch.setattr("importer.cli.console._agreed", lambda _: False)
    done = importer(*[word for word in live.command("o.csv") if word != "--yes"])
    assert done.exit_code == 3
    assert "shop-a  2 events, 2 subscribers" in done.stderr
    assert live.arrived() == {}
    assert live.summary()["rows"]["pending"] == 5


def test_one_account_of_a_file_can_be_named_where_files_tell_them(place: Place) -> None:
    place.write("o.csv", *ROWS)
    done = place.run("o.csv", more=("--account", "shop-a"))
    assert done.exit_code == 2
    assert "a column names the account of each row" in done.stderr
    (place.home / "accounts.yaml").write_text(BY_FILES)
    done = place.run("o.csv", more=("--account", "nobody"))
    assert "accounts.yaml has no account nobody" in done.stderr


def test_check_says_for_each_account_what_a_run_would_do(place: Place) -> None:
    """By the rules of a run: keys repeat within an account only; nothing is sent, and nothing is left in the ledger."""
    place.write("o.csv", *ROWS, "A,1,ada@example.org,11")
    command = ("check", "o.csv", "-m", "m.yaml", "--accounts", "accounts.yaml")
    done = importer(*command, "--out", "out", "--format", "json")
    assert done.exit_code == 1
    assert json.loads(done.stdout) == place.summary()
    assert place.summary()["state"] == "checked"
    found = {one["account"]: (one["rows"]["pending"], one["rows"]["invalid"]) for one in place.summary()["accounts"]}
    assert found == {"shop-a": (1, 2), "shop-b": (2, 0), "shop-c": (1, 0), "(no account)": (0, 2)}
    assert {row["code"] for row in place.report("shop-a") if row["key"] == "1"} == {"key.conflict"}
    page = (place.home / "out/shop-b/report.html").read_text()
    assert "importer run o.csv -m m.yaml --accounts accounts.yaml --sandbox" in page
    assert importer("runs").stdout == ""
    assert importer(*command, "--preview", "1").exit_code == 2


def test_runs_lists_those_of_the_accounts_of_a_file(place: Place) -> None:
    place.write("o.csv", *ROWS)
    place.run("o.csv")
    place.write("mine.csv", "A,1,ada@example.org,10")
    importer("run", "mine.csv", "-m", "m.yaml", "--sandbox", "--out", "mine")
    listed = importer("runs", "--accounts", "accounts.yaml").stdout
    assert [listed.count(f"{name}, rehearsal") for name in (*NAMES, "(no account)", "default")] == [1, 1, 1, 1, 0]
    assert importer("runs").stdout.count("default, rehearsal") == 1


def test_a_limit_of_ones_own_is_kept_below_that_of_the_api(place: Place) -> None:
    (place.home / "accounts.yaml").write_text(BY_COLUMN.replace("C_TOKEN,", "C_TOKEN, limit: 6000,"))
    place.write("o.csv", *(f"C,{n},p{n}@example.org,1" for n in range(3)))
    done = place.run("o.csv", more=("--log-format", "json"))
    (plan,) = (json.loads(line) for line in done.stderr.splitlines() if '"plan"' in line)
    assert (plan["account"], plan["limit"]) == ("shop-c", 6000)
