"""What to do when a run is over: commands that find the run again."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from importer.model import RunSource, RunState, State, scope_options
from importer.report import ReportOptions, check_run, render_summary, write, write_check
from tests.support.story import RUN, Row, batch, csv_source, ledger

REHEARSAL = replace(RUN, endpoint="sandbox", account="shop eu", options={"transform": "own.py:fix"})
ROWS = [
    Row(b"a"),
    Row(b"b", State.INVALID, [("email.invalid", "subscriber.email", "b")]),
    Row(b"c", State.REFUSED, told={"code": "api.refused", "message": "No such type."}),
    Row(b"d", State.IN_DOUBT, told={"code": "doubt.no_answer"}),
]
FAILED = Row(b"f", State.FAILED, told={"code": "failed.attempts", "message": "no answer"})


@pytest.mark.parametrize(
    ("account", "endpoint", "options"),
    [
        ("default", "https://api.sender.net/v2/events", ""),
        ("default", "sandbox", " --sandbox"),
        ("eu", "https://api.sender.net/v2/events", " --account eu"),
        ("default", "http://127.0.0.1:8025/v2/events", " --endpoint http://127.0.0.1:8025/v2"),
    ],
)
def test_a_command_looks_where_the_run_is_remembered(account: str, endpoint: str, options: str) -> None:
    assert scope_options(account, endpoint) == options


def test_the_summary_ends_in_commands_that_go_on_from_here(tmp_path: Path) -> None:
    out = tmp_path / "my out"
    shown = render_summary(write(ledger(batch(csv_source("email"), ROWS)), REHEARSAL, ReportOptions(out)))
    commands = f"""\
  fix the 2 rows in rejects.csv, then run this (it sends only those); or fix
  them on a page
    importer run '{out}/rejects.csv' -m orders.yaml --transform own.py:fix --sandbox --account 'shop eu'
    importer review {RUN.id}
  if the rows are right as they are: send the row that the API refused again
    importer retry {RUN.id}
  check in Sender for the row in doubt, then say: arrived, or not
    importer resolve {RUN.id} --assume-sent
    importer resolve {RUN.id} --resend
"""
    assert shown.partition("\nnext\n")[2] == commands


def test_an_interrupted_run_says_what_is_left_and_how_to_go_on(tmp_path: Path) -> None:
    """Rows to be corrected can wait; rows in doubt are said at once."""
    stopped = replace(RUN, state=RunState.STOPPED, stop_reason="interrupted")
    rows = [*ROWS, *[Row(b"p", State.PENDING)] * 98]
    shown = render_summary(write(ledger(batch(csv_source("email"), rows)), stopped, ReportOptions(tmp_path)))
    assert "email.invalid" not in shown
    assert (
        shown.partition("\nnext\n")[2]
        == f"""\
  1 sent, 98 left; continue with
    importer resume {RUN.id}
  check in Sender for the row in doubt, then say: arrived, or not
    importer resolve {RUN.id} --assume-sent
    importer resolve {RUN.id} --resend
"""
    )


def test_the_command_that_sends_what_failed_is_not_shown_as_one_for_refused_rows(tmp_path: Path) -> None:
    """`importer retry` sends both: a user who thinks of the refused ones alone would send the others twice."""
    shown = render_summary(write(ledger(batch(csv_source("email"), [*ROWS, FAILED])), RUN, ReportOptions(tmp_path)))
    assert "right as they are" not in shown
    assert shown.partition("\nnext\n")[2].count("importer retry") == 1


def test_what_failed_may_have_been_accepted_and_is_no_reject(tmp_path: Path) -> None:
    """The user is not advised to correct it and run it again: that could send it twice."""
    told = ledger(batch(csv_source("email"), [FAILED]))
    shown = render_summary(write(told, RUN, ReportOptions(tmp_path)))
    commands = f"""\
  check in Sender for the row that failed; if not there, send what failed or was
  refused again
    importer retry {RUN.id}
"""
    assert shown.partition("\nnext\n")[2] == commands
    assert (tmp_path / "in-doubt.csv").read_text().count("failed.attempts") == 1
    assert "1 row may have arrived: your decision" in (tmp_path / "report.html").read_text()


def test_the_page_has_the_same_commands(tmp_path: Path) -> None:
    write(ledger(batch(csv_source("email"), ROWS)), replace(REHEARSAL, account="eu"), ReportOptions(tmp_path))
    page = (tmp_path / "report.html").read_text()
    for command in ("run", f"review {RUN.id}", f"retry {RUN.id}", f"resolve {RUN.id}"):
        assert f">importer {command}" in page, command
    assert page.count(" --sandbox --account eu") == 1, "a run's id says the rest"


def test_another_ledger_than_the_usual_one_is_named_in_every_command(tmp_path: Path) -> None:
    options = ReportOptions(tmp_path, ledger_option=" --ledger my.db")
    shown = render_summary(write(ledger(batch(csv_source("email"), ROWS)), RUN, options))
    assert shown.count(" --ledger my.db") == 5
    page = (tmp_path / "report.html").read_text()
    assert page.count(" --ledger my.db") == 5


def test_a_run_that_delivered_everything_leaves_nothing_to_do(tmp_path: Path) -> None:
    written = write(ledger(batch(csv_source("email"), ROWS[:1])), RUN, ReportOptions(tmp_path))
    assert written.steps == ()
    assert "Next</h2>" not in (tmp_path / "report.html").read_text()


def test_after_a_check_the_next_step_is_the_run(tmp_path: Path) -> None:
    info = check_run("my orders.yaml", sources=("drops/*.csv",))
    source = csv_source("email")
    rows = [Row(b"a", State.PENDING)]
    done = write_check([batch(source, rows)], lambda: [RunSource(1, source, "", 1, "")], info, None)
    assert (
        render_summary(done).partition("\nnext\n")[2]
        == """\
  rehearse 1 event on this machine, then send for real
    importer run 'drops/*.csv' -m 'my orders.yaml' --sandbox
    importer run 'drops/*.csv' -m 'my orders.yaml'
"""
    )
