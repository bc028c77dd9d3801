"""``summary.json`` and the summary on the screen: figures that add up."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow as pa
from msgspec.structs import replace

from importer.ledger.ledger import Ledger
from importer.model import EncodedChunk, RunSource, RunState, State
from importer.report import (
    Checked,
    ReportOptions,
    check_run,
    count_run,
    render_reasons,
    render_summary,
    write,
    write_check,
)
from tests.support.story import RUN, Row, batch, csv_source, ledger

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "schemas/summary.schema.json").read_text())
SOURCE = csv_source("Email")
STARTED = 1_795_457_035.0
BAD = [("email.invalid", "subscriber.email", "foo@")]
WORTH: list[dict[str, str]] = [
    *[{"type": "purchase", "value": value, "currency": "EUR"} for value in ("1000", "200", "40", "9.00")],
    {"type": "refund", "value": "-9", "currency": "EUR"},
    {},
]
ROWS = [
    *[Row(b"s", told={"sent_at": STARTED + at, "attempts": 1} | worth) for at, worth in enumerate(WORTH)],
    Row(b"i", State.INVALID, BAD),
    Row(b"i", State.INVALID, [("email.invalid", "subscriber.email", "bar"), ("type.missing", "type", "")]),
    Row(b"r", State.REFUSED, told={"code": "api.refused", "message": "No such type.", "sent_at": STARTED + 6}),
    Row(b"d", State.DUPLICATE, told={"code": "duplicate.key", "message": "already in run X", "key": "A1"}),
]


def summary(out: Path, told: Ledger, **changes: Any) -> dict[str, Any]:
    write(told, replace(RUN, **changes), ReportOptions(out))
    found: dict[str, Any] = json.loads((out / "summary.json").read_text())
    jsonschema.validate(found, SCHEMA, jsonschema.Draft202012Validator)
    return found


def test_the_schema_names_every_state() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["rows"]["required"] == ["read", *(state.value for state in State)]
    assert SCHEMA["properties"]["state"]["enum"] == [*(state.value for state in RunState), "checked"]


def test_rows_add_up(tmp_path: Path) -> None:
    found = summary(tmp_path, ledger(batch(SOURCE, ROWS)))
    assert found["balanced"] is True
    assert found["rows"] == {
        "read": 10, "sent": 6, "invalid": 2, "filtered": 0, "grouped": 0, "duplicate": 1, "refused": 1, "failed": 0,
        "in_doubt": 0, "pending": 0,
    }  # fmt: skip
    assert found["files"] == [
        {"name": "report.csv", "holds": "report", "rows": 10},
        {"name": "rejects.csv", "holds": "rejects", "rows": 3},
        {"name": "report.html", "holds": "page", "rows": 10},
    ]


def test_times_are_utc_and_rates_are_of_answers(tmp_path: Path) -> None:
    found = summary(tmp_path, ledger(batch(SOURCE, ROWS)))
    assert (found["started_at"], found["finished_at"]) == ("2026-11-23T18:03:55.000Z", "2026-11-23T18:04:05.500Z")
    assert (found["seconds"], found["seconds_delivering"], found["events_per_second"]) == (10.5, 6.0, 1.0)


def test_answers_within_a_moment_have_no_rate(tmp_path: Path) -> None:
    at_once = [Row(b"s", told={"sent_at": STARTED + at / 1000, "attempts": 1}) for at in range(2)]
    found = summary(tmp_path, ledger(batch(SOURCE, at_once)))
    assert (found["seconds_delivering"], found["events_per_second"]) == (0.001, None)


def test_a_run_that_sent_nothing_has_no_times(tmp_path: Path) -> None:
    found = summary(tmp_path, ledger(batch(SOURCE, ROWS[6:8])), started_at=None, finished_at=None, state=RunState.READY)
    assert [found[name] for name in ("started_at", "finished_at", "seconds", "events_per_second")] == [None] * 4


def test_each_reason_has_its_count_its_first_example_and_its_fix(tmp_path: Path) -> None:
    reasons = summary(tmp_path, ledger(batch(SOURCE, ROWS)))["reasons"]
    assert [(r["code"], r["field"], r["count"], r["severity"]) for r in reasons] == [
        ("email.invalid", "subscriber.email", 2, "error"),
        ("api.refused", "", 1, "error"),
        ("duplicate.key", "", 1, "warning"),
        ("type.missing", "type", 1, "error"),
    ]
    assert reasons[0]["example"] == {"source": "orders.csv", "row": 7, "line": 8, "value": "foo@"}
    assert reasons[0]["message"] == "foo@ is not an e-mail address"
    assert reasons[1]["example"]["value"] == "No such type."
    assert reasons[2]["example"]["value"] == "A1"
    assert reasons[3]["fix"] == "fill the column, or use `type: {const: purchase}`"


def test_reasons_are_counted_across_batches(tmp_path: Path) -> None:
    told = ledger(batch(SOURCE, ROWS), batch(SOURCE, ROWS, first=11))
    assert [reason["count"] for reason in summary(tmp_path, told)["reasons"]] == [4, 2, 2, 2]


def test_a_row_that_went_missing_unbalances_the_books(tmp_path: Path) -> None:
    told = ledger(batch(SOURCE, ROWS), missing=1)
    done = write(told, RUN, ReportOptions(tmp_path))
    assert (done.balanced, done.counts.read, done.summary.rows["read"]) == (False, 11, 11)
    shown = render_summary(done)
    assert "THE TOTALS DO NOT ADD UP" in shown
    assert "the states above add up to 10" in shown


def test_secrets_in_an_endpoint_stay_out(tmp_path: Path) -> None:
    told = ledger(batch(SOURCE, ROWS))
    found = summary(tmp_path, told, endpoint="https://me:hush@api.example.com:8443/v2/events?token=hush#x")
    assert found["endpoint"] == "https://api.example.com:8443/v2/events"


def test_an_unreadable_source_is_named(tmp_path: Path) -> None:
    told = ledger(batch(SOURCE, ROWS), errors={"orders.csv": "the archive is cut off"})
    done = write(told, RUN, ReportOptions(tmp_path))
    assert done.summary.sources[0].error == "the archive is cut off"
    assert "orders.csv: not read to its end: the archive is cut off" in render_summary(done)


def test_the_screen_shows_figures_that_add_up(tmp_path: Path) -> None:
    done = write(ledger(batch(SOURCE, ROWS)), RUN, ReportOptions(tmp_path))
    shown = render_summary(done).replace(str(tmp_path), "OUT")
    assert shown == (
        """\
Run 20261123-180355-k7 finished in 10 s (60 events a minute)
  orders.csv: 10 rows (CSV, utf-8)

  2 x email.invalid (subscriber.email): foo@ is not an e-mail address
  1 x api.refused: the API refused the event: No such type.
  1 x type.missing (type): the event has no type
  and 1 more reason: importer runs 20261123-180355-k7

  written to OUT
    report.csv, rejects.csv (3 rows), report.html, summary.json

  purchase   4 events sent, 1,249.00 EUR
  (no type)  1 event sent
  refund     1 event sent, -9.00 EUR

  sent        6  accepted by the API
  invalid     2  not sent: problem in the data
  duplicate   1  already sent, or repeated in this file
  refused     1  not sent: the API refused them for good
  -------------
  rows read  10  every row is accounted for

next
  fix the 3 rows in rejects.csv, then run this (it sends only those); or fix
  them on a page
    importer run OUT/rejects.csv -m orders.yaml --endpoint https://api.example.com/v2
    importer review 20261123-180355-k7
  if the rows are right as they are: send the row that the API refused again
    importer retry 20261123-180355-k7
"""
    )


def test_four_colours_mark_four_states_where_they_are_wanted(tmp_path: Path) -> None:
    every = [Row(b"", state) for state in State]
    done = write(ledger(batch(SOURCE, every)), RUN, ReportOptions(tmp_path))
    assert "\x1b" not in render_summary(done)
    painted = render_summary(done, colour=True)
    for colour, states in (
        ("32", ["sent"]),
        ("31", ["invalid", "refused"]),
        ("33", ["failed", "in doubt"]),
        ("36", ["pending"]),
    ):
        assert [
            line.split("m", 1)[1].split("  ")[0].strip() for line in painted.splitlines() if f"\x1b[{colour}m" in line
        ] == states
    assert re.sub("\x1b\\[[0-9]*m", "", painted) == render_summary(done)


def test_rows_that_a_filter_leaves_out_are_counted_with_their_value_per_test(tmp_path: Path) -> None:
    def left_out(test: str, cell: str, value: str | None, currency: str = "EUR") -> Row:
        return Row(b"", State.FILTERED, [("filtered.where", test, cell)], told={"value": value, "currency": currency})

    rows = [
        *ROWS,
        *[left_out("Total above 0", f"-{at}.5", f"-{at}.5") for at in range(4)],
        left_out("Total above 0", "0", "0", "USD"),
        left_out("Status is paid", "voi\x1bd", None),
        Row(b"", State.FILTERED, [("filtered.transform", "--transform", "")]),
    ]
    done = write(ledger(batch(SOURCE, rows)), RUN, ReportOptions(tmp_path))
    found = json.loads((tmp_path / "summary.json").read_text())
    jsonschema.validate(found, SCHEMA, jsonschema.Draft202012Validator)
    assert [(one["test"], one["rows"]) for one in found["filters"]] == [
        ("Total above 0", 5), ("Status is paid", 1), ("filtered.transform", 1),
    ]  # fmt: skip
    assert found["filters"][0]["totals"] == [
        {"currency": "EUR", "events": 4, "total": "-8"}, {"currency": "USD", "events": 1, "total": "0"},
    ]  # fmt: skip
    assert "filtered.where" not in {one["code"] for one in found["reasons"]}
    shown = " ".join(render_summary(done).split())
    assert "5 rows skipped by your filter `Total above 0`, worth -8.00 EUR, 0.00 USD; it saw “" in shown
    assert "1 row skipped by your filter `Status is paid`; it saw “voi\\x1bd”" in shown
    assert "1 row skipped by your filter (--transform)" in shown
    assert "(--transform); it saw" not in shown, "a function sees whole rows, not a cell"
    page = (tmp_path / "report.html").read_text()
    assert "<code>Total above 0</code>, worth -8.00 EUR" in page


def test_a_filter_that_leaves_nothing_is_said(tmp_path: Path) -> None:
    rows = [Row(b"", State.FILTERED, [("filtered.where", "Status in paid", cell)]) for cell in ("Paid", "PAID", "Paid")]
    shown = " ".join(render_summary(write(ledger(batch(SOURCE, rows)), RUN, ReportOptions(tmp_path))).split())
    assert "warning: every row is skipped by your filter, so there is nothing to send" in shown
    assert "3 rows skipped by your filter `Status in paid`; it saw “Paid”, “PAID”" in shown


def test_warnings_are_counted_by_code(tmp_path: Path) -> None:
    assert summary(tmp_path, ledger(batch(SOURCE, ROWS)))["warnings"] == {"duplicate.key": 1}


def test_every_source_names_its_encoding(tmp_path: Path) -> None:
    told = ledger(batch(csv_source("Email", encoding="cp1257"), ROWS))
    found = summary(tmp_path, told)
    assert [(one["format"], one["encoding"]) for one in found["sources"]] == [("csv", "cp1257")]


def test_money_is_exact_and_kinds_are_never_added_together(tmp_path: Path) -> None:
    def event(state: State, value: str, kind: str, currency: str = "EUR") -> Row:
        return Row(b"", state, told={"type": kind, "value": value, "currency": currency})

    rows = [
        event(State.SENT, "0.1", "a"), event(State.SENT, "0.2", "a"), event(State.IN_DOUBT, "1e300", "a"),
        event(State.FAILED, "-5", "a"), event(State.SENT, "-3", "refund"), event(State.SENT, "5", "a", "USD"),
        event(State.INVALID, "12 euro", "a"), event(State.SENT, "123456789012345678.123456789012", "b"),
        event(State.DUPLICATE, "77", "a"), event(State.FILTERED, "88", "a"),
    ]  # fmt: skip
    totals = summary(tmp_path, ledger(batch(SOURCE, rows)))["totals"]
    found = {(one["type"], one["currency"]): one for one in totals}
    assert found["a", "EUR"] == {
        "type": "a", "currency": "EUR", "sent": 2, "sent_total": "0.3", "unconfirmed": 2,
        "unconfirmed_total": str(10**300 - 5), "not_sent": 1, "not_sent_total": "0", "pending": 0, "pending_total": "0",
    }  # fmt: skip
    assert found["refund", "EUR"]["sent_total"] == "-3"
    assert found["a", "USD"]["sent_total"] == "5"
    assert found["b", "EUR"]["sent_total"] == "123456789012345678.123456789012"


def test_types_without_end_are_added_up_as_others(tmp_path: Path) -> None:
    rows = [Row(b"", told={"type": f"type {at}", "value": "1", "currency": "EUR"}) for at in range(1_500)]
    totals = summary(tmp_path, ledger(batch(SOURCE, rows)))["totals"]
    assert len(totals) == 1_001
    assert (totals[0]["type"], totals[0]["sent"], totals[0]["sent_total"]) == ("(others)", 500, "500")


def test_all_reasons_of_a_run_can_be_shown(tmp_path: Path) -> None:
    shown = render_reasons(count_run(ledger(batch(SOURCE, ROWS)), RUN).summary)
    assert shown.count(" x ") == 4
    assert "fix: " in shown


def test_a_warning_that_strict_makes_an_error_is_one(tmp_path: Path) -> None:
    retired = [("currency.retired", "value_currency", "LTL")]
    rows = [Row(b"", State.INVALID, retired), Row(b"", State.SENT)]
    found = summary(tmp_path, ledger(batch(SOURCE, rows)))
    assert [one["severity"] for one in found["reasons"]] == ["error"]


def test_the_screen_is_plain_and_80_columns_wide(tmp_path: Path) -> None:
    """Long and hostile values neither widen the table nor reach the terminal as control characters."""
    long = "x" * 60 + "\x1b[31m\r\n\u202e" + " y" * 10
    rows = [Row(b"", State.INVALID, [("property.nested", f"properties.p{at}", long)]) for at in range(12)]
    stopped = replace(
        RUN, state=RunState.STOPPED, stop_reason="the API answered 401: " + "token " * 20, finished_at=None
    )
    done = write(ledger(batch(csv_source("a", name="n" * 70 + ".csv"), rows)), stopped, ReportOptions(tmp_path))
    shown = render_summary(done)
    assert shown.replace("\n", "").isprintable()
    assert max(len(line) for line in shown.splitlines() if str(tmp_path) not in line) <= 80
    assert "importer resume" in shown or "more reasons: importer runs" in shown


def prepared() -> EncodedChunk:
    """Two rows as `check` sees them."""
    nothing = pa.nulls(2, pa.string())
    rows = {
        "line": [2, 3], "state": ["pending", "invalid"], "body": [b"{}", None], "subscriber": ["a@example.com", None],
        "type": nothing, "value": nothing, "currency": nothing,
    }  # fmt: skip
    return EncodedChunk(
        SOURCE, 1, 2, pa.table(rows), identities=(nothing, nothing, nothing),
        reasons=pa.table({"row": [2], "code": ["type.missing"], "field": ["type"], "value": [""]}),
        raw_rows=pa.table({"record": pa.array([b"a", b"b"])}),
    )  # fmt: skip


def test_a_check_writes_the_same_files_without_a_ledger(tmp_path: Path) -> None:
    facts = check_run("m.yaml", mapping_digest="0")
    sources = [RunSource(1, SOURCE, "", 2, "")]
    done = write_check([Checked()(prepared())], lambda: sources, facts, ReportOptions(tmp_path))
    jsonschema.validate(json.loads((tmp_path / "summary.json").read_text()), SCHEMA)
    assert done.balanced
    assert (tmp_path / "report.csv").read_text().splitlines()[1:] == [
        "check,orders.csv,1,2,pending,,,,,0,,a@example.com,,,",
        "check,orders.csv,2,3,invalid,type.missing,type,the event has no type,,0,,,,,",
    ]
    assert (tmp_path / "rejects.csv").read_text().splitlines()[1].startswith("b,invalid,type.missing")
    assert "Check finished: 1 of 2 rows are ready" in render_summary(done)
    assert "  ready      1  would be sent" in render_summary(done)


def test_a_check_without_files_counts_the_same(tmp_path: Path) -> None:
    facts = check_run("m.yaml", mapping_digest="0")
    sources = [RunSource(1, SOURCE, "", 2, "")]
    counted = write_check([Checked()(prepared())], lambda: sources, facts, None)
    written = write_check([Checked()(prepared())], lambda: sources, facts, ReportOptions(tmp_path))
    assert counted == replace(written, paths=(), summary=replace(written.summary, files=()))
    assert "written to" not in render_summary(counted)
