"""``summary.json`` and the summary on the screen: figures that add up."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pyarrow as pa

from importer.ledger.interface import Ledger
from importer.model import EncodedChunk, RunSource, RunState, State
from importer.report import CHECK, Checked, Facts, ReportOptions, count_check, render_summary, write, write_check
from tests.support.story import RUN, Row, batch, csv_source, ledger

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "schemas/summary.schema.json").read_text())
SOURCE = csv_source("Email")
STARTED = 1_795_457_035.0
BAD = [("email.invalid", "subscriber.email", "foo@")]
ROWS = [
    *[Row(b"s", told={"sent_at": STARTED + at, "attempts": 1}) for at in range(6)],
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
    assert "THE BOOKS DO NOT BALANCE" in shown
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
run 20261123-180355-k7: finished in 10.5 s (1.0 events a second)

  sent        6  accepted by the API
  invalid     2  break a rule; never sent
  duplicate   1  delivered or claimed before
  refused     1  refused by the API for good
  -------------
  rows read  10  every row is accounted for

reasons:
  2 x email.invalid (subscriber.email)
    orders.csv, row 7, line 8: foo@ is not an e-mail address
    fix: mend the address, or leave the cell empty if the row has an id or a
      phone
  1 x api.refused
    orders.csv, row 9, line 10: the API refused the event: No such type.
    fix: mend the row as the API says, then run the rejects again
  1 x duplicate.key, a warning
    orders.csv, row 10, line 11: the key A1 was delivered or is in doubt
      already: already in run X
    fix: nothing to do; --again sends it once more
  1 x type.missing (type)
    orders.csv, row 8, line 9: the event has no type
    fix: fill the column, or use `type: {const: purchase}`

written to
  OUT
    report.csv    10 rows
    rejects.csv    3 rows
    report.html
    summary.json

next
  mend the 3 rows not delivered, in the rejects; nothing else is sent then
    importer run OUT/rejects.csv -m orders.yaml --endpoint https://api.example.com/v2
  if the fault was not in the rows: send the row refused as before
    importer retry 20261123-180355-k7 --endpoint https://api.example.com/v2
"""
    )


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
    assert "  and 4 more, in summary.json" in shown


def test_durations_are_for_people(tmp_path: Path) -> None:
    told = ledger(batch(SOURCE, ROWS))
    for seconds, words in ((75, "1 min 15 s"), (7_260, "2 h 1 min"), (1_000_000, "11 d 13 h 46 min")):
        done = write(told, replace(RUN, finished_at=STARTED + seconds), ReportOptions(tmp_path))
        assert f"finished in {words} (" in render_summary(done)


def prepared() -> EncodedChunk:
    """Two rows as `check` sees them."""
    nothing = pa.nulls(2, pa.string())
    return EncodedChunk(
        source=SOURCE, first_row=1, count=2, lines=np.array([2, 3]), states=pa.array(["pending", "invalid"]),
        group_heads=None, bodies=pa.array([b"{}", None]), subscribers=pa.array(["a@example.com", None]),
        identities=(nothing, nothing, nothing), types=nothing, values=nothing, currencies=nothing, keys=None,
        places=None, event_time=None,
        reasons=pa.table({"row": [2], "code": ["type.missing"], "field": ["type"], "value": [""]}),
        raw_rows=pa.table({"record": pa.array([b"a", b"b"])}),
    )  # fmt: skip


def test_a_check_writes_the_same_files_without_a_ledger(tmp_path: Path) -> None:
    facts = Facts(run=CHECK, state="checked", account="", endpoint="", mapping_name="m.yaml", mapping_digest="0")
    sources = [RunSource(1, SOURCE, "", 2, "")]
    done = write_check([Checked()(prepared())], lambda: sources, facts, ReportOptions(tmp_path))
    jsonschema.validate(json.loads((tmp_path / "summary.json").read_text()), SCHEMA)
    assert done.balanced
    assert (tmp_path / "report.csv").read_text().splitlines()[1:] == [
        "check,orders.csv,1,2,pending,,,,,0,,a@example.com,,,",
        "check,orders.csv,2,3,invalid,type.missing,type,the event has no type,,0,,,,,",
    ]
    assert (tmp_path / "rejects.csv").read_text().splitlines()[1].startswith("b,invalid,type.missing")
    assert "check: checked" in render_summary(done)
    assert "  valid      1  would be sent" in render_summary(done)


def test_a_check_without_files_counts_the_same(tmp_path: Path) -> None:
    facts = Facts(run=CHECK, state="checked", account="", endpoint="", mapping_name="m.yaml", mapping_digest="0")
    sources = [RunSource(1, SOURCE, "", 2, "")]
    counted = count_check([Checked()(prepared())], lambda: sources, facts)
    written = write_check([Checked()(prepared())], lambda: sources, facts, ReportOptions(tmp_path))
    assert counted == replace(written, paths=(), summary=replace(written.summary, files=()))
    assert "written to" not in render_summary(counted)
