"""What the program says when something cannot be done: word for word, with the exit code, and on one screen."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest

from importer.cli.console import on_screen
from importer.wording import counted, shown_lines
from tests.support.program import Outcome, importer

MAPPING = "version: 1\nsubscriber: {email: email}\ntype: {const: purchase}\n"
CSV = "email\na@example.com\nb@example.com\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a mapping, a file, and things that are no files of data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMPORTER_LEDGER", str(tmp_path / "ledger.db"))
    monkeypatch.delenv("SENDER_API_TOKEN", raising=False)
    (tmp_path / "m.yaml").write_text(MAPPING)
    (tmp_path / "bad.yaml").write_text(MAPPING.replace("subscriber", "subscribr"))
    (tmp_path / "other.yaml").write_text(MAPPING.replace("email}", "Emial}"))
    (tmp_path / "o.csv").write_text(CSV)
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "binary.csv").write_bytes(b"\x7fELF\x00\x01\x02\x80\n" * 50)
    (tmp_path / "junk.parquet").write_bytes(b"\xbc1\x81\xdf\n" + b"\x00\x01\x02\x80\n" * 50)
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(CSV.encode() * 500)[:-12])
    (tmp_path / "nothing").mkdir()
    return tmp_path


def run(*arguments: str) -> Outcome:
    return importer("run", *arguments, "--sandbox", "--out", "out")


REFUSED = [
    (
        ("rnu",),
        ("error: importer: no such command 'rnu'\n\nhint: did you mean run? `importer --help` shows what it takes\n"),
    ),
    (
        ("run",),
        (
            "error: importer run: missing argument 'SOURCE...'\n\n"
            "hint: name one or more files, directories or patterns, or - for standard input\n"
        ),
    ),
    (
        ("run", "o.csv"),
        (
            "error: importer run: missing option -m / --mapping\n\n"
            "hint: `importer init FILE` writes a mapping, `importer presets` lists ready ones\n"
        ),
    ),
    (
        ("run", "o.csv", "--sandbax"),
        (
            "error: importer run: no such option '--sandbax'\n\n"
            "hint: did you mean '--sandbox', '--sandbox-limit', '--sandbox-seed'? "
            "`importer run --help` shows what it takes\n"
        ),
    ),
    (
        ("check", "o.csv", "-m", "m.yaml", "--preview", "0"),
        (
            "error: importer check: invalid value for '--preview': 0 is not in the range x>=1\n\n"
            "hint: `importer check --help` shows what it takes\n"
        ),
    ),
    (
        ("run", "gone.csv", "-m", "m.yaml", "--sandbox"),
        "error: gone.csv: no such file or directory\n\nhint: check the path: ls .\n",
    ),
    (
        ("run", "x*.csv", "-m", "m.yaml", "--sandbox"),
        "error: x*.csv: no file matches\n\nhint: check the path: ls .\n",
    ),
    (
        ("run", "o.csv", "-m", "m.yaml"),
        (
            "error: no API token\n\n"
            "hint: make one in Sender under Settings, API access tokens; then set SENDER_API_TOKEN, "
            "or put it into a file for --token-file; --sandbox needs none\n"
        ),
    ),
    (
        ("run", "o.csv", "-m", "m.yml", "--sandbox"),
        "error: the mapping m.yml does not exist\n\nhint: did you mean m.yaml?\n",
    ),
    (
        ("run", "o.csv", "-m", "bad.yaml", "--sandbox"),
        (
            "error: the mapping has 1 problem; nothing was read or sent\n"
            '  bad.yaml:2:1: unknown key "subscribr" in the mapping; did you mean subscriber?\n\n'
            "hint: correct the lines above, then run the command again\n"
        ),
    ),
    (
        ("run", "o.csv", "-m", "m.yaml", "--endpoint", "http://example.org/v2"),
        (
            "error: --endpoint http://example.org/v2: plain http would show the token to the network\n\n"
            "hint: use https; http is for loopback only\n"
        ),
    ),
    (
        ("run", "o.csv", "-m", "m.yaml", "--sandbox", "--until", "yesterday"),
        (
            "error: --until yesterday: not a time\n\n"
            "hint: write 06:00 or 2026-11-30 06:00, in this machine's zone, or 8h\n"
        ),
    ),
    (
        ("run", "o.csv", "-m", "m.yaml", "--sandbox", "--ledger", "o.csv"),
        (
            "error: o.csv is not a readable ledger (file is not a database)\n\n"
            "hint: restore it from a backup; a new ledger would know nothing of earlier deliveries\n"
        ),
    ),
    (
        ("run", "o.csv", "-m", "m.yaml", "--sandbox", "--out", "m.yaml/x"),
        (
            "error: m.yaml/x: cannot be written: not a directory; nothing half-written is left there\n\n"
            "hint: choose a directory you can write to with --out, then run the same command again\n"
        ),
    ),
    (
        ("resume", "--sandbox"),
        "error: there is no run to resume here\n\nhint: see `importer runs`\n",
    ),
    (
        ("runs", "r1", "--ledger", "ledger.db"),
        (
            "error: there is no run r1 in the ledger ledger.db\n\n"
            "hint: `importer runs` lists the runs; --ledger chooses where to look\n"
        ),
    ),
]


@pytest.mark.parametrize(("arguments", "told"), REFUSED, ids=[" ".join(arguments) for arguments, _ in REFUSED])
def test_what_cannot_be_done_is_refused_with_what_where_and_what_next(arguments: tuple[str, ...], told: str) -> None:
    outcome = importer(*arguments)
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (2, "", told)


@pytest.mark.parametrize(
    ("source", "mapping", "told"),
    [
        ("empty.csv", "m.yaml", "error: empty.csv: is empty\n\nhint: a CSV file needs at least a header line\n"),
        (
            "binary.csv",
            "m.yaml",
            (
                "error: binary.csv: holds binary data, which is neither text nor Parquet\n\n"
                "hint: copy or download it again, or export it as CSV, JSONL or Parquet\n"
            ),
        ),
        (
            "junk.parquet",
            "m.yaml",
            (
                "error: junk.parquet: holds binary data, which is neither text nor Parquet\n\n"
                "hint: copy or download it again, or export it as CSV, JSONL or Parquet\n"
            ),
        ),
        (
            "o.csv",
            "other.yaml",
            (
                "error: o.csv: the mapping needs columns that the file lacks: 'Emial' "
                "for subscriber.email (did you mean 'email'?)\n\n"
                "hint: correct the names in the mapping, give the values a `default`, or set `missing_columns: warn`\n"
            ),
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_said_to_be_so_and_nothing_is_sent(source: str, mapping: str, told: str) -> None:
    outcome = run(source, "-m", mapping)
    assert outcome.exit_code == 2
    assert outcome.stderr.startswith(told)
    assert ": nothing could be read, nothing was sent\n" in outcome.stderr
    assert f"{source}: not read: " in outcome.stderr


def test_a_directory_without_data_names_the_known_endings() -> None:
    outcome = run("nothing", "-m", "m.yaml")
    assert outcome.exit_code == 2
    assert outcome.stderr.startswith("error: nothing: the directory holds no data file\n\nhint: known endings: .csv ")


def test_a_file_that_breaks_off_is_named_and_nothing_of_it_is_sent() -> None:
    outcome = run("cut.csv.gz", "-m", "m.yaml")
    assert outcome.exit_code == 1
    assert outcome.stderr.startswith("error: cut.csv.gz: the gzip data is cut off")
    assert "\nhint: copy or download the file again\n" in outcome.stderr
    assert "source.incomplete" in outcome.stderr


def test_a_header_without_rows_is_no_mistake_and_is_said(here: Path) -> None:
    """A night without orders is a night like any other."""
    (here / "quiet.csv").write_text("email\n")
    outcome = run("quiet.csv", "-m", "m.yaml")
    assert outcome.exit_code == 0
    assert "quiet.csv: has a header but no rows\n" in outcome.stderr


def test_the_same_file_again_sends_nothing_and_says_why() -> None:
    first, second = run("o.csv", "-m", "m.yaml"), run("o.csv", "-m", "m.yaml")
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "2 rows will not be sent: already in run " in second.stderr
    assert "--again sends delivered rows again" in second.stderr


def test_an_expired_token_stops_with_3_and_the_same_command_goes_on() -> None:
    """With --again too: what the first command sent is not sent once more by the second."""
    assert run("o.csv", "-m", "m.yaml").exit_code == 0
    stopped = run("o.csv", "-m", "m.yaml", "--again", "--sandbox-fault", "token-after=2")
    assert stopped.exit_code == 3
    assert (
        "stopped: the API answered 401: the token is missing, wrong, revoked or expired\n\n"
        "hint: put a valid token into SENDER_API_TOKEN or the --token-file, then run the same command again\n\n"
    ) in stopped.stderr
    done = run("o.csv", "-m", "m.yaml", "--again")
    assert done.exit_code == 0
    assert " of the same files and mapping was interrupted; it goes on from there\n" in done.stderr
    assert "  events       1" in done.stderr


def test_a_row_that_is_not_in_doubt_cannot_be_settled() -> None:
    run("o.csv", "-m", "m.yaml", "--sandbox-fault", "drop-after-accept=1")
    run_id = importer("runs", "--sandbox").stdout.split()[0]
    outcome = importer("resolve", run_id, "--sandbox", "--assume-sent", "--row", "9")
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert outcome.stderr == "error: --row 9 is not in doubt\n\nhint: `importer resolve RUN` lists the rows in doubt\n"
    outcome = importer("resolve", run_id, "--sandbox", "--assume-sent", "--row", "1", "--yes")
    assert "1 row to count as sent\n1 row resolved\n" in outcome.stderr


@pytest.mark.parametrize("delimiter", [",", ";"], ids=["as written", "saved by a European spreadsheet"])
def test_rows_in_doubt_are_decided_in_the_file_that_lists_them(here: Path, delimiter: str) -> None:
    run("o.csv", "-m", "m.yaml", "--sandbox-fault", "drop-after-accept=1")
    run_id = importer("runs", "--sandbox").stdout.split()[0]
    file = here / "out" / "in-doubt.csv"
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert [row["arrived"] for row in rows] == ["", ""]
    assert all(row["importer_sent_at"].endswith("Z") for row in rows)
    rows[0]["arrived"] = "perhaps"
    save(file, rows, delimiter)
    unclear = importer("resolve", run_id, "--from", str(file), "--yes")
    assert unclear.exit_code == 2
    assert "record 2: arrived is 'perhaps'\n\nhint: write yes or no, or leave it empty\n" in unclear.stderr
    foreign = importer("resolve", run_id, "--from", "o.csv", "--yes")
    assert foreign.exit_code == 2
    assert foreign.stderr.startswith("error: o.csv is no file of rows in doubt: it lacks importer_source")
    rows[0]["arrived"] = ""
    save(file, rows, delimiter)
    undecided = importer("resolve", run_id, "--from", str(file), "--yes")
    assert (undecided.exit_code, undecided.stderr) == (0, f"{file} decides on none of them\n")
    rows[0]["arrived"], rows[1]["arrived"] = "Yes", "no"
    save(file, rows, delimiter)
    decided = importer("resolve", run_id, "--from", str(file), "--yes")
    assert [line.rpartition(": ")[2] for line in decided.stdout.splitlines()] == ["arrived", "did not arrive"]
    assert decided.stderr.endswith(
        "\n1 row to count as sent\n1 row to go back into the queue, and perhaps to arrive twice\n"
        f"2 rows resolved; `importer resume {run_id}` sends them\n"
    )


def save(file: Path, rows: list[dict[str, str]], delimiter: str) -> None:
    with file.open("w", newline="") as saved:
        writer = csv.DictWriter(saved, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def test_rows_in_doubt_are_given_up_with_a_note(here: Path) -> None:
    run("o.csv", "-m", "m.yaml", "--sandbox-fault", "drop-after-accept=1")
    run_id = importer("runs", "--sandbox").stdout.split()[0]
    assert importer("resolve", run_id, "--resend", "--note", "x").exit_code == 2
    assert importer("resolve", run_id, "--resend", "--give-up").exit_code == 2
    done = importer("resolve", run_id, "--give-up", "--note", "too old", "--yes")
    assert "2 rows to be given up\n2 rows resolved\n" in done.stderr
    report = importer("report", run_id, "-o", "again.csv")
    assert report.exit_code == 0
    assert (here / "again.csv").read_text().count("too old") == 2


def test_runs_are_listed_by_the_files_that_they_delivered(here: Path) -> None:
    (here / "p.csv").write_text(CSV.replace("a@", "c@"))
    run("o.csv", "-m", "m.yaml")
    run(str(here / "p.csv"), "o.csv", "-m", "m.yaml")
    newest, oldest = importer("runs", "--sandbox").stdout.splitlines()
    assert newest.endswith("4 read  2 sent, 2 duplicate  p.csv and 1 more")
    assert oldest.endswith("2 read  2 sent  o.csv")


def test_rows_in_doubt_are_settled_by_the_very_commands_that_are_shown() -> None:
    """They name a ledger that is not the usual one; a run's id says the rest."""
    run("o.csv", "-m", "m.yaml", "--sandbox-fault", "drop-after-accept=1", "--ledger", "my.db")
    run_id = importer("runs", "--sandbox", "--ledger", "my.db").stdout.split()[0]
    listed = importer("resolve", run_id, "--ledger", "my.db")
    place = "--ledger my.db"
    assert listed.stderr.splitlines()[1:] == [
        "2 rows in doubt; if they are in Sender:",
        f"  importer resolve {run_id} {place} --assume-sent",
        "if not:",
        f"  importer resolve {run_id} {place} --resend",
    ]
    resent = importer(*listed.stderr.splitlines()[-1].split()[1:], "--yes")
    assert resent.stderr.endswith(f"2 rows resolved; `importer resume {run_id} {place}` sends them\n")


def test_a_fault_that_is_none_is_told_by_the_option_that_was_typed() -> None:
    told = run("o.csv", "-m", "m.yaml", "--sandbox-fault", "refuse=1").stderr
    assert told.startswith('error: --sandbox-fault: "refuse" is not a fault\n')
    assert importer("sandbox", "--fault", "refuse=1").stderr.startswith('error: --fault: "refuse" is not a fault\n')


def test_control_characters_of_files_and_servers_never_reach_the_terminal() -> None:
    assert shown_lines("a\x1b[31mb\x00\r\nc\u202e") == "a\\x1b[31mb\\x00\\r\nc\\u202e"


def test_a_terminal_gets_lines_that_break_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log gets the paragraph in one line, to be searched."""
    monkeypatch.setenv("COLUMNS", "20")
    assert on_screen("error: no such file or directory") == "error: no such file or directory"
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert on_screen("error: no such file or directory\n\nhint: ls") == "error: no such file\nor directory\n\nhint: ls"


@pytest.mark.parametrize(("count", "words"), [(0, "0 rows"), (1, "1 row"), (1234, "1,234 rows")])
def test_things_are_counted_as_people_do(count: int, words: str) -> None:
    assert counted(count, "row") == words


def test_rows_that_another_run_holds_are_not_called_done() -> None:
    """The exit code says so, and the message says whose they are and what to do."""
    run("o.csv", "-m", "m.yaml", "--sandbox-fault", "drop-after-accept=1")
    run_id = importer("runs").stdout.split()[0]
    Path("copy.csv").write_bytes(Path("o.csv").read_bytes())
    again = run("copy.csv", "-m", "m.yaml")
    assert again.exit_code == 1
    waits = f"warning: 2 rows of these files wait in run {run_id}, which has stopped: `importer resolve {run_id}`"
    assert waits in again.stderr
    assert importer("resolve", run_id, "--assume-sent", "--yes").exit_code == 0
    assert run("copy.csv", "-m", "m.yaml", "--out", "third").exit_code == 0


@pytest.mark.parametrize(
    ("rows", "code", "words"),
    [
        ("Email\nada@example.com\nx\n", 0, ""),
        ("Email\nx\ny\n", 1, "error: none of 2 rows makes an event; without --preview, `importer check` says why"),
        ("Mail\nada@example.com\n", 2, "the mapping needs columns that the file lacks: 'Email'"),
        ("Email\n", 0, ""),
    ],
)
def test_a_preview_that_shows_nothing_says_so(here: Path, rows: str, code: int, words: str) -> None:
    (here / "o.csv").write_text(rows)
    (here / "m.yaml").write_text("version: 1\nsubscriber: {email: Email}\ntype: {const: purchase}\n")
    outcome = importer("check", "o.csv", "-m", "m.yaml", "--preview", "1")
    assert (outcome.exit_code, words in outcome.stderr) == (code, True)
