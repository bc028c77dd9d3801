"""What a command says while it works: progress, --quiet, --verbose, --log-format json."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from importer.cli.console import ConsoleOptions, ProgressThrottle, TerminalConsole, progress_line
from importer.deliver import Progress
from importer.model import Counts, Pace, PendingSummary, State
from importer.pipeline.console import Forecast
from tests.support.program import Outcome, importer
from tests.support.story import RUN

SENDING = Progress(
    sent=12,
    refused=3,
    failed=0,
    in_doubt=1,
    left=3600,
    in_flight=1,
    pace=Pace(rate=1.0, limit=60, remaining=12, waiting_for="", wait_until=None),
)


def waiting(words: str, until: float | None = None) -> Progress:
    return replace(SENDING, pace=replace(SENDING.pace, waiting_for=words, wait_until=until))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """`importer run` of a small file with a flaw, in a rehearsal."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.yaml").write_text("version: 1\nsubscriber: {email: email}\ntype: {const: t}\n")
    (tmp_path / "o.csv").write_text("email\na@example.com\nb@example.com\nnobody\n")
    return lambda *more: importer("run", "o.csv", "-m", "m.yaml", "--sandbox", "--ledger", "l.db", *more)


def test_a_run_of_a_day_leaves_dozens_of_lines() -> None:
    throttle, now, lines = ProgressThrottle(0.0), 0.0, 0
    while now < 28 * 3600:
        now += 0.5
        lines += throttle.due(now)
    assert 20 < lines < 60


def test_verbose_tells_every_five_seconds() -> None:
    throttle = ProgressThrottle(0.0, verbose=True)
    assert sum(throttle.due(now / 2) for now in range(201)) == 20


def test_an_outage_is_told_of_as_it_begins_and_ends_and_not_in_between() -> None:
    throttle = ProgressThrottle(0.0)
    told = [
        throttle.turned(progress)
        for progress in (
            SENDING,
            waiting("API unreachable since 12:03, next try in 8 s"),
            waiting("API unreachable since 12:03, next try in 7 s"),
            SENDING,
            SENDING,
        )
    ]
    assert told == [None, "API unreachable since 12:03, next try in 8 s", None, "", None]


def test_the_limit_is_reached_every_minute_and_not_told_each_time() -> None:
    throttle = ProgressThrottle(0.0)
    assert [throttle.turned(waiting("limit reached")), throttle.turned(SENDING)] == [None, None]
    assert ProgressThrottle(0.0, verbose=True).turned(waiting("limit reached")) == "limit reached"


def test_a_day_of_429s_tells_of_them_in_the_lines_that_are_due_and_no_others() -> None:
    throttle, refused = ProgressThrottle(0.0), waiting("the API said 429, too many requests", until=9e9)
    assert [throttle.turned(progress) for _ in range(500) for progress in (refused, SENDING)] == [None] * 1000
    assert " · the API said 429, too many requests, " in progress_line(refused)


def test_a_line_says_how_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1000.0)
    assert progress_line(SENDING) == ("16 of 3,616 · 60 a minute of 60 allowed · 1 h left · 3 refused · 1 in doubt")
    told = progress_line(waiting("limit reached", 1034.0))
    assert told == "16 of 3,616 · limit reached, 34 s · 3 refused · 1 in doubt"
    told = progress_line(waiting("API unreachable since 12:03, next try in 8 s", 1008.0))
    assert " · API unreachable since 12:03, next try in 8 s · 3 refused" in told


def test_quiet_says_nothing_where_nothing_is_wrong(run: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text("email\na@example.com\n")
    outcome = run("--quiet")
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (0, "", "")


def test_quiet_says_in_one_line_which_rows_were_not_delivered_and_where_to_look(run: Callable[..., Outcome]) -> None:
    outcome = run("--quiet", "--out", "here")
    assert outcome.exit_code == 1
    assert re.fullmatch(r"warning: run \S+: of 3 rows 1 invalid; see here\n", outcome.stderr)


def test_quiet_still_says_what_is_wrong(run: Callable[..., Outcome]) -> None:
    outcome = run("--quiet", "--out", "m.yaml/x")
    assert outcome.exit_code == 2
    assert outcome.stderr.startswith("error: ")


def test_quiet_and_verbose_exclude_each_other(run: Callable[..., Outcome]) -> None:
    outcome = run("--quiet", "--verbose")
    assert outcome.exit_code == 2
    assert "error: --quiet and --verbose exclude each other" in outcome.stderr


def test_a_log_of_json_is_json_in_every_line(run: Callable[..., Outcome]) -> None:
    outcome = run("--log-format", "json", "--verbose")
    lines = [json.loads(line) for line in outcome.stderr.splitlines()]
    assert [line["event"] for line in lines if line["event"] not in ("said", "progress")] == ["plan", "summary"]
    assert all({"time", "level", "event", "message"} <= line.keys() for line in lines)
    assert lines[-1]["rows"]["sent"] == 2
    assert lines[-1]["exit_code"] == outcome.exit_code == 1
    assert lines[-1]["level"] == "warning"


def test_a_log_of_json_has_errors_in_json_too(run: Callable[..., Outcome]) -> None:
    outcome = run("--log-format", "json", "--out", "m.yaml/x")
    error = json.loads(outcome.stderr.splitlines()[-1])
    assert (outcome.exit_code, error["exit_code"], error["level"]) == (2, 2, "error")
    assert error["hint"]


def test_nothing_that_is_piped_has_control_characters(run: Callable[..., Outcome]) -> None:
    outcome = run()
    assert outcome.exit_code == 1
    assert not {character for character in outcome.stdout + outcome.stderr if character < " "} - {"\n"}


def test_the_summary_also_goes_to_stdout_if_asked_for(run: Callable[..., Outcome]) -> None:
    outcome = run("--format", "json", "--quiet")
    summary = json.loads(outcome.stdout)
    assert (outcome.exit_code, summary["rows"]["sent"], summary["balanced"]) == (1, 2, True)


def test_the_question_shows_an_event_whole_the_parts_and_what_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    event = b'{"subscriber":{"email":"ada@example.com","phone":"+37060000000"},"type":"purchase","value":1206.50,'
    event += b'"value_currency":"EUR","properties":{"order_id":"1001","items":"Mug, blue\\u001b[2J","quantity":3}}'
    totals = (("purchase", "EUR", 260, "39564"),)
    pending = PendingSummary(2600, 1200, 4, "ada@example.com", (("purchase", 2600),), totals, None, None, event)
    counts = Counts(3030, {State.PENDING: 2600, State.INVALID: 400, State.FILTERED: 30})
    forecast = Forecast(
        RUN, pending, 60, 2600.0, "https://api.example.com", rehearsal=False, counts=counts, first=2, most=1500
    )
    assert TerminalConsole(ConsoleOptions(yes=True)).confirm(forecast)
    assert capsys.readouterr().err.split("\n")[1:-1] == [
        "  events       2,600 of 3,030 rows; not sent: 400 invalid, 30 filtered",
        "  in all now   1,500 of them (--max-events); 1,100 wait for `importer resume`",
        "  at first     2 of them (--first); then it asks again",
        "  subscribers  1,200; most for one: 4 (ada@example.com)",
        "  types        purchase (2,600)",
        "  value        39,564.00 EUR in 260 events of type purchase",
        "  will take    about 43 min 20 s at 60 requests a minute",
        "  one of them",
        "    purchase of 1,206.50 EUR for ada@example.com / +37060000000",
        "      order_id: 1001",
        "      items: Mug, blue\\x1b[2J",
        "      quantity: 3",
        "Each event is recorded as happening now, and can start automations:",
        "e-mails to real people.",
    ]
