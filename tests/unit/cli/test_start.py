"""`importer start`: from a file to a rehearsal and on, with the same mapping and the same commands as by hand."""

from __future__ import annotations

import os
import pty
import re
import sys
from pathlib import Path

import pytest

from importer import TOKEN_VARIABLE
from tests.support.program import Outcome, importer

IMPORTER = Path(sys.executable).with_name("importer")
ORDERS = """\
Order ID;Email;Date;Total;Status;Product
1001;ada@example.com;03/04/2026 10:00;5,50;paid;Blue mug
1002;bo@example.com;05/06/2026 11:00;1.206,00;paid;Teapot
1003;cy@example.com;05/06/2026 13:00;8,00;waiting;Cup
"""
ANSWERS = ("--answer", "currency=EUR", "--answer", "date-order=dmy", "--answer", "status=none")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    (tmp_path / "orders.csv").write_text(ORDERS, encoding="utf-8")
    return tmp_path


def start(*arguments: str) -> Outcome:
    return importer("start", "orders.csv", *arguments, "--ledger", "l.db")


def test_it_recognises_asks_checks_and_rehearses(folder: Path) -> None:
    outcome = start(*ANSWERS)
    assert outcome.exit_code == 0, outcome.stderr
    said = outcome.stderr
    assert "orders.csv: 3 rows, 6 columns, CSV, delimiter semicolon, utf-8\n" in said
    first = said[said.index("the first 2 events:\n") :].split("\n")[1:6]
    assert first == [
        "  purchase of 5.5 EUR for ada@example.com",
        "    occurred_at: 2026-04-03T10:00:00",
        "    order_id: 1001",
        "    product: Blue mug",
        "    status: paid",
    ]
    assert "purchase of 1,206 EUR for bo@example.com" in said
    assert "Check finished: 2 of 3 rows are ready" in said
    assert "is about to send to the sandbox on this machine:" in said
    assert re.search(r"sent +2  accepted by the API", said)
    assert "no token is set" in said
    assert said.endswith("\n  importer run orders.csv -m orders.yaml --ledger l.db\n")


def test_the_commands_that_it_shows_write_the_same_mapping_and_run(folder: Path) -> None:
    said = start(*ANSWERS).stderr
    commands = re.findall(r"^\$ importer (.*)$", said, re.MULTILINE)
    assert [one.split()[0] for one in commands] == ["init", "check", "run"]
    written = (folder / "orders.yaml").read_text(encoding="utf-8")
    (folder / "orders.yaml").unlink()
    outcomes = [importer(*command.split()) for command in commands]
    assert [one.exit_code for one in outcomes] == [0, 0, 0], outcomes
    assert (folder / "orders.yaml").read_text(encoding="utf-8") == written
    assert outcomes[-1].stderr.count("already delivered") == 1  # the second rehearsal of the same rows


def test_what_only_the_user_knows_is_asked_and_no_mapping_is_left_behind(folder: Path) -> None:
    outcome = start()
    assert outcome.exit_code == 2
    assert "error: 3 questions must be answered before there is a mapping\n" in outcome.stderr
    assert "--answer date-order=dmy|mdy  Does the day (dmy) or the month (mdy) come first in `Date`?" in outcome.stderr
    assert "--answer currency=…  Which currency are the amounts in" in outcome.stderr
    assert (
        "--answer status=none|all  Which words in `Status` mean that something was bought: waiting?" in outcome.stderr
    )
    assert sorted(path.name for path in folder.iterdir()) == ["orders.csv"]


def test_a_guess_about_the_subscriber_is_never_written_without_asking(folder: Path) -> None:
    (folder / "orders.csv").write_text(ORDERS.replace("bo@example.com", "bo at work"), encoding="utf-8")
    outcome = start(*ANSWERS)
    assert outcome.exit_code == 2
    assert "--answer subscriber=Email|none  Which column has the subscriber's e-mail address?" in outcome.stderr
    assert not (folder / "orders.yaml").exists()
    assert start(*ANSWERS, "--answer", "subscriber=Email").exit_code == 1  # bo's row is not sent


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("currency=Euros", "'Euros' is neither a column nor a currency code"),
        ("date-order=ymd", "'ymd' is none of dmy, mdy"),
        ("time-zone=Nowhere/Land", 'that cannot be: unknown time zone "Nowhere/Land"'),
        ("colour=red", "there is no question colour about this file"),
        ("currency", "'currency' is not QUESTION=ANSWER"),
    ],
)
def test_an_answer_that_cannot_be_is_refused(answer: str, words: str) -> None:
    outcome = start(*ANSWERS[2:], "--answer", answer)
    assert outcome.exit_code == 2
    assert words in outcome.stderr


def test_a_file_without_rows_is_no_beginning(folder: Path) -> None:
    (folder / "orders.csv").write_text(ORDERS.partition("\n")[0] + "\n", encoding="utf-8")
    outcome = start(*ANSWERS)
    assert (outcome.exit_code, outcome.stderr.startswith("error: orders.csv has no rows\n")) == (2, True)


def test_a_mapping_that_is_there_is_used_and_never_overwritten(folder: Path) -> None:
    (folder / "orders.yaml").write_text("version: 1\nsubscriber: {email: Email}\ntype: {const: order_paid}\n")
    outcome = start()
    assert outcome.exit_code == 0
    assert "orders.yaml exists already, and is used as it is" in outcome.stderr
    assert "  order_paid for ada@example.com\n" in outcome.stderr
    refused = start("--answer", "currency=EUR")
    assert (refused.exit_code, "so nothing is asked" in refused.stderr) == (2, True)


def test_with_a_token_it_still_sends_nothing_unless_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "secret-token")
    outcome = start(*ANSWERS, "--endpoint", "http://127.0.0.1:9/v2")
    assert outcome.exit_code == 0
    assert outcome.stderr.endswith(
        "nothing was sent. Once the rehearsal looks right\n"
        "  importer run orders.csv -m orders.yaml --endpoint http://127.0.0.1:9/v2 --ledger l.db\n"
    )


def test_going_live_without_a_terminal_needs_live_and_yes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "secret-token")
    outcome = start(*ANSWERS, "--live")
    assert outcome.exit_code == 2
    assert "a live run asks before it sends, and there is no terminal to ask on" in outcome.stderr


@pytest.mark.parametrize("line", ["live = true", 'answer = ["subscriber=Email"]'])
def test_no_settings_file_goes_live_or_says_whom_the_events_are_about(folder: Path, line: str) -> None:
    (folder / "importer.toml").write_text(f"[start]\n{line}\n")
    (folder / "importer.toml").chmod(0o600)
    outcome = start(*ANSWERS)
    assert (outcome.exit_code, "cannot be set here" in outcome.stderr) == (2, True), outcome.stderr


class Terminal:
    """`importer start orders.csv` on a terminal of its own."""

    def __init__(self, here: Path) -> None:
        self.shown = ""
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.chdir(here)
            os.environ["NO_COLOR"] = "1"
            os.environ[TOKEN_VARIABLE] = "secret-token"
            arguments = ["start", "orders.csv", "--ledger", "l.db", "--endpoint", "http://127.0.0.1:9/v2"]
            os.execv(IMPORTER, [str(IMPORTER), *arguments])  # noqa: S606 # the product itself

    def until(self, words: str) -> None:
        """Read on until the screen ends so."""
        while not self.shown.endswith(words):
            said = os.read(self.terminal, 65_536)
            assert said, self.shown
            self.shown += said.decode().replace("\r\n", "\n")

    def type(self, text: str) -> None:
        os.write(self.terminal, f"{text}\n".encode())
        self.until(f"{text}\n")

    def close(self) -> int:
        """The exit code; what is left is read first."""
        try:
            while said := os.read(self.terminal, 65_536):
                self.shown += said.decode().replace("\r\n", "\n")
        except OSError:  # Linux's way to say that the other side has gone
            pass
        os.close(self.terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # the child executes at once
def test_on_a_terminal_it_asks_shows_the_sandbox_until_enter_and_does_not_go_live_by_enter(folder: Path) -> None:
    terminal = Terminal(folder)
    choice = "Your choice, a number; Enter leaves it open: "
    terminal.until(choice)
    terminal.type("1")
    terminal.until(" [1]: ")  # the time zone: none
    terminal.type("")
    terminal.until(" [1]: ")  # the type: purchase
    terminal.type("")
    terminal.until("Enter leaves it open: ")
    terminal.type("EUR")
    terminal.until("Enter leaves it open: ")
    terminal.type("none")
    terminal.until(" shows what arrived; Enter closes it\n")
    assert re.search(r"sent +2  accepted by the API", terminal.shown)
    assert terminal.shown.rindex("accepted by the API") < terminal.shown.index("shows what arrived")
    terminal.type("")
    terminal.until("Go live? You see what will be sent, and are asked again [y/N]: ")
    terminal.type("")
    assert terminal.close() == 0, terminal.shown
    assert "nothing was sent. Once the rehearsal looks right" in terminal.shown
