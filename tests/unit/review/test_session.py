"""Rejected rows are corrected, settled, given up, and sent: what a review does, without its page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from importer.model import State
from importer.review.session import Review, Work
from importer.sandbox import Running, SandboxOptions, start
from tests.support.reviews import HEADER, MAPPING, Import, shown

ROWS = ("1,ada@example.com,10,A", "2,bo@,20,B", "3,cy@example.com,many,C", "4,bo@,40,D", "5,eve@example.com,50,E")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with start(SandboxOptions(events=str(tmp_path_factory.mktemp("sandbox") / "events.jsonl"))) as running:
        yield running


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Running) -> Import:
    """An import whose events go to a sandbox as to the real API, by someone who says yes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Work, "confirm", lambda work, forecast: True)
    return Import(tmp_path, sandbox=sandbox)


def begun(imported: Import) -> Review:
    """Of five rows two have a bad address, one a bad amount, and one is refused by the API."""
    imported.run(imported.csv(*ROWS), [State.SENT, State.REFUSED])
    return imported.review()


def test_every_undelivered_row_is_there_with_its_bad_cell(imported: Import) -> None:
    lines = shown(begun(imported))
    assert [(line.row, line.code, [one.columns for one in line.problems]) for line in lines] == [
        (2, "email.invalid", [("Email",)]),
        (3, "value.not_a_number", [("Total",)]),
        (4, "email.invalid", [("Email",)]),
        (5, "api.refused", [()]),
    ]


def test_a_cell_is_checked_by_the_stages_as_it_is_typed(imported: Import) -> None:
    review = begun(imported)
    number = shown(review)[0].no
    (line,) = review.type_cell(number, "Email", "bo@example")
    assert (line.status, line.problems[0].message) == ("open", "bo@example is not an e-mail address")
    (line,) = review.type_cell(number, "Email", "bo@example.com")
    assert (line.status, line.problems) == ("ready", ())
    (line,) = review.type_cell(number, "Total", "x")
    assert (line.status, line.problems[0].columns) == ("open", ("Total",))


def test_the_same_wrong_text_in_the_same_column_is_corrected_everywhere_and_taken_back_at_once(
    imported: Import,
) -> None:
    review = begun(imported)
    review.type_cell(shown(review)[0].no, "Email", "bo@example.com")
    assert review.type_like("Email", "bo@", "bo@example.com") == 1
    assert review.desk.counts() == {"open": 2, "ready": 2, "given_up": 0, "doubt": 0}
    assert review.undo() == 1
    assert review.desk.counts()["ready"] == 1
    assert review.undo() == 1
    assert review.desk.counts()["ready"] == 0
    assert not review.desk.can_undo()
    assert shown(review)[0].problems[0].code == "email.invalid"


def test_letters_typed_into_one_cell_are_one_step(imported: Import) -> None:
    review = begun(imported)
    for text in ("b", "bo", "bo@example.com"):
        review.type_cell(shown(review)[0].no, "Email", text)
    review.undo()
    assert not review.desk.can_undo()


def test_what_was_typed_survives_a_restart(imported: Import) -> None:
    review = begun(imported)
    review.type_cell(shown(review)[0].no, "Email", "bo@example.com")
    review.desk.close()
    assert (imported.directory / "out" / "review.db").stat().st_mode & 0o077 == 0
    review = imported.review()
    assert [line.edits for line in shown(review, "ready")] == [{"Email": "bo@example.com"}]
    review.undo()
    review.desk.close()
    assert not (imported.directory / "out" / "review.db").exists(), "nothing is left to be kept"


def test_corrected_rows_are_sent_once_and_count_in_the_import(imported: Import) -> None:
    """A corrected row, a refused one as it is, and one given up; the rest stays."""
    review = begun(imported)
    by_row = {line.row: line.no for line in shown(review)}
    review.type_cell(by_row[2], "Email", "bo@example.com")
    review.word([by_row[5]], "as_is")
    review.word([by_row[4]], "given_up a test order")
    review.finish()
    assert review.work.error == ""
    counts = {state.value: count for state, count in review.counts.by_state.items() if count}
    assert (review.counts.read, counts) == (5, {"sent": 3, "invalid": 1, "filtered": 1})
    assert [line.row for line in shown(review)] == [3]
    assert not review.desk.can_undo()
    with imported.ledger as ledger:
        second, first = ledger.runs()
        assert [one.source.name for one in ledger.sources(second)] == [str(imported.directory / "orders.csv")]
        assert ledger.retry(first) == (0, 1), "the refused row was sent by the review"
        messages = [m for batch in ledger.batches(first) for m in batch.table.column("message").to_pylist()]
        assert "a test order" in messages


def test_a_row_that_the_api_refuses_again_comes_back_as_it_was_corrected(imported: Import) -> None:
    first = imported.run(imported.csv(*ROWS), [State.SENT, State.REFUSED])
    review = imported.review()
    review.type_cell(shown(review)[0].no, "Email", "bo@example.com")
    review.finish()
    review.desk.close()
    with imported.ledger as ledger:
        second = ledger.runs()[0]
    review = imported.review(second.id)
    assert review.run.id == first.id
    assert [line.row for line in shown(review)] == [3, 4, 5]


def test_a_run_that_is_declined_leaves_nothing_behind(imported: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a run that waits nor a report: the corrected rows are still on the page, and can be sent later."""
    review = begun(imported)
    review.type_cell(shown(review)[0].no, "Email", "bo@example.com")
    monkeypatch.setattr(Work, "confirm", lambda work, forecast: False)
    review.finish()
    assert review.work.words[-1] == "nothing was sent; what you corrected is still here"
    assert [line.edits for line in shown(review, "ready")] == [{"Email": "bo@example.com"}]
    with imported.ledger as ledger:
        assert len(ledger.runs()) == 1
    assert list((imported.directory / "importer-runs").iterdir()) == []
    monkeypatch.setattr(Work, "confirm", lambda work, forecast: True)
    review.finish()
    assert review.counts[State.SENT] == 2


def test_what_waits_in_an_interrupted_run_is_sent_too(imported: Import) -> None:
    imported.run(imported.csv(*ROWS))
    review = imported.review()
    assert review.waiting == 2
    review.finish()
    assert review.counts[State.SENT] == 2


def test_an_error_is_said_and_what_was_typed_stays(imported: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    review = begun(imported)
    review.type_cell(shown(review)[0].no, "Email", "bo@example.com")
    review.target.environment["SENDER_API_TOKEN"] = ""  # type: ignore[index]  # a test's own dict
    review.finish()
    assert "token" in review.work.error
    assert review.desk.counts()["ready"] == 1


@pytest.mark.parametrize("word", ["arrived", "lost"])
def test_rows_in_doubt_are_settled(imported: Import, word: str) -> None:
    imported.run(imported.csv(*ROWS), [State.SENT, State.IN_DOUBT])
    review = imported.review()
    (line,) = shown(review, "doubt")
    assert (line.key, line.value, line.currency, line.sent_at) == ("5", "50", "EUR", 1e9)
    review.word([line.no], word)
    assert review.desk.decided() == {word: 1}
    review.undo()
    assert review.desk.decided() == {}
    review.word([line.no], word)
    review.finish()
    assert review.counts[State.SENT] == 2
    assert review.desk.counts()["doubt"] == 0


FORMS = {
    "headerless": (
        MAPPING.replace("key: Order", "source: {header: [Order, Email, Total, Coupon]}\nkey: Order"),
        "\n".join(ROWS) + "\n",
    ),
    "whitespace": (
        MAPPING.replace("key: Order", "source: {delimiter: whitespace}\nkey: Order"),
        "\n".join(row.replace(",", "  ") for row in (HEADER, *ROWS)) + "\n",
    ),
    "semicolons, cp1257, notes above": (
        MAPPING.replace("key: Order", "source: {encoding: cp1257, skip_lines: 2}\nkey: Order"),
        "a note\n;;\n" + "\n".join(row.replace(",", ";").replace(";B", ";Žalia") for row in (HEADER, *ROWS)) + "\n",
    ),
    "escapes": (
        MAPPING.replace("key: Order", "source: {escape: '\\'}\nkey: Order"),
        "\n".join((HEADER, *ROWS)).replace(",B", ',"B\\"5"') + "\n",
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_any_form_of_text_is_corrected_and_never_sent_twice(imported: Import, form: str) -> None:
    imported.mapping, text = FORMS[form]
    path = imported.directory / "orders.csv"
    path.write_bytes(text.encode("cp1257" if "cp1257" in form else "utf-8"))
    first = imported.run(path, [State.SENT, State.REFUSED])
    review = imported.review()
    lines = shown(review)
    assert [line.row for line in lines] == [2, 3, 4, 5]
    review.type_cell(lines[0].no, "Email", "bo@example.com")
    review.word([lines[3].no], "as_is")
    assert review.desk.counts()["ready"] == 2, shown(review)
    review.finish()
    assert review.work.error == ""
    assert review.counts[State.SENT] == 3
    with imported.ledger as ledger:
        assert ledger.retry(first) == (0, 1)


def test_json_lines_keep_all_but_what_was_corrected(imported: Import) -> None:
    imported.mapping = MAPPING.replace("Email}", "customer.email}").replace("Coupon", "items")
    rows = [
        {"Order": 12345678901234567890, "customer": {"email": "ada@", "age": 1.50}, "Total": 10, "items": "x"},
        {"Order": 2, "customer": {"email": "bo@example.com"}, "Total": "many", "items": None},
    ]
    path = imported.directory / "orders.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "no json\n", encoding="utf-8")
    imported.run(path)
    review = imported.review()
    first, second, third = shown(review)
    assert [line.problems[0].columns for line in (first, second, third)] == [("customer.email",), ("Total",), ("",)]
    (line,) = review.type_cell(first.no, "customer.email", "ada@example.com")
    assert line.status == "ready"
    content = line.content.corrected(review.desk.forms[line.form], line.edits)
    assert content.text == (
        '{"Order":12345678901234567890,"customer":{"email":"ada@example.com","age":1.5},"Total":10,"items":"x"}'
    )
    assert review.type_cell(second.no, "Total", "20.5")[0].status == "ready"
    text = '{"Order": 3, "customer": {"email": "cy@example.com"}, "Total": 1}'
    assert review.type_cell(third.no, "", "{")[0].status == "open"
    assert review.type_cell(third.no, "", text)[0].status == "ready"
    review.finish()
    assert review.is_done


def test_a_json_row_gets_a_member_that_it_lacks(imported: Import) -> None:
    imported.mapping = MAPPING.replace("Email}", "customer.email}")
    path = imported.directory / "orders.jsonl"
    path.write_text('{"Order": 1, "Total": 5}\n', encoding="utf-8")
    imported.run(path)
    review = imported.review()
    (line,) = shown(review)
    assert line.problems[0].columns == ("customer.email",)
    assert review.type_cell(line.no, "customer.email", "ada@example.com")[0].status == "ready"


def test_parquet_rows_are_corrected(imported: Import) -> None:
    table = pa.table(
        {
            "Order": pa.array([1, 2], pa.int64()),
            "Email": ["ada@", "bo@example.com"],
            "Total": pa.array([10.5, None], pa.float64()),
            "Coupon": [None, "B"],
        }
    )
    path = imported.directory / "orders.parquet"
    pq.write_table(table, path)
    imported.mapping = MAPPING.replace("value: Total", "value: {column: Total}")
    imported.run(path)
    review = imported.review()
    review.type_cell(shown(review)[0].no, "Email", "ada@example.com")
    review.finish()
    assert review.work.error == ""
    assert review.counts[State.INVALID] == 0


def test_a_record_that_could_not_be_told_into_cells_is_corrected_as_a_whole(imported: Import) -> None:
    imported.run(imported.csv("1,ada@example.com,10", "2,bo@example.com,20,B"))
    review = imported.review()
    (line,) = shown(review)
    assert (line.content.shape, line.content.text) == ("record", "1,ada@example.com,10")
    assert review.type_cell(line.no, "", "1,ada@example.com,10,A,B")[0].status == "open"
    assert review.type_cell(line.no, "", "1,ada@example.com,10,A")[0].status == "ready"
    review.finish()
    assert review.is_done


def test_rows_of_one_event_go_together(imported: Import) -> None:
    """Where one line of an order is wrong, none is sent until it is right; then the order is one event."""
    imported.mapping = MAPPING.replace("key: Order", "group_by: Order").replace(
        "value: Total", "value: {column: Total, aggregate: sum}"
    )
    imported.run(imported.csv("1,ada@example.com,10,A", "1,ada@example.com,x,B", "2,bo@example.com,1,C"))
    review = imported.review()
    lines = shown(review)
    assert [line.row for line in lines] == [1, 2]
    changed = review.type_cell(lines[0].no, "Coupon", "Z")
    assert [line.status for line in changed] == ["open", "open"]
    wrong = next(line for line in lines if any("Total" in one.columns for one in line.problems))
    assert [line.status for line in review.type_cell(wrong.no, "Total", "5")] == ["ready", "ready"]
    review.finish()
    assert (review.counts[State.SENT], review.counts[State.GROUPED]) == (2, 1)


def test_a_transform_sees_every_column_of_the_file(imported: Import) -> None:
    (imported.directory / "t.py").write_text(
        "def tidy(frame):\n    frame['Total'] = frame['Gross']\n    return frame\n"
    )
    path = imported.csv("1,ada@,10,A,99", header=f"{HEADER},Gross")
    imported.run(path, transform=f"{imported.directory / 't.py'}:tidy")
    review = imported.review()
    assert review.type_cell(shown(review)[0].no, "Email", "ada@example.com")[0].status == "ready"


def test_the_files_own_name_is_what_the_mapping_sees(
    imported: Import, tmp_path_factory: pytest.TempPathFactory
) -> None:
    imported.mapping = MAPPING.replace("{coupon: Coupon}", "{shop: {file: stem}, folder: {file: directory}}")
    imported.run(imported.csv("1,ada@,10,A", name="north.csv"))
    review = imported.review()
    review.type_cell(shown(review)[0].no, "Email", "ada@example.com")
    review.finish()
    events = max(tmp_path_factory.getbasetemp().glob("sandbox*/events.jsonl"))
    arrived = json.loads(events.read_text().splitlines()[-1])["event"]
    assert arrived["properties"] == {"shop": "north", "folder": imported.directory.name}
