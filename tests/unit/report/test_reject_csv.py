"""Rejects of CSV sources: the rows as they were, with the reasons, fit to be mended and run again."""

import csv
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importer.model import Source, State
from importer.report import ReportOptions, write
from importer.roundtrip import APPENDED, ORIGINAL, original_cell
from tests.support.story import RUN, Row, batch, csv_source, ledger

BAD = [("email.invalid", "subscriber.email", "x")]


def invalid(record: bytes) -> Row:
    return Row(record, State.INVALID, BAD)


HEADER = "Email,Total," + ",".join(APPENDED) + ",importer_original"
NOTE = "invalid,email.invalid,subscriber.email,x is not an e-mail address,orders.csv"


def written(out: Path, source: Source, rows: list[Row], name: str = "rejects.csv") -> bytes:
    write(ledger(batch(source, rows)), RUN, ReportOptions(out))
    return (out / name).read_bytes()


def cells(data: bytes, encoding: str = "utf-8", **how: Any) -> list[list[str]]:
    return list(csv.reader(StringIO(data.decode(encoding), newline=""), **how))


def test_a_reject_is_its_record_byte_for_byte_with_the_reasons_behind(tmp_path: Path) -> None:
    found = written(tmp_path, csv_source("Email", "Total"), [invalid(b'"x", 1.50 ')])
    assert found.decode() == f'{HEADER}\n"x", 1.50 ,{NOTE},1,2,{RUN.id},\n'


def test_only_what_was_not_delivered_is_a_reject(tmp_path: Path) -> None:
    rows = [Row(f"{state}@x,1".encode(), state) for state in State]
    found = cells(written(tmp_path, csv_source("Email", "Total"), rows))
    assert [row[0] for row in found[1:]] == ["invalid@x", "refused@x"]
    doubted = cells((tmp_path / "in-doubt.csv").read_bytes())
    assert [row[0] for row in doubted[1:]] == ["failed@x", "in_doubt@x"], (
        "a row that may have been accepted is never run again by itself"
    )


def test_rejects_are_written_even_if_there_are_none(tmp_path: Path) -> None:
    assert written(tmp_path, csv_source("Email", "Total"), [Row(b"a,1")]).decode() == HEADER + "\n"
    assert not (tmp_path / "in-doubt.csv").exists()


def test_delimiter_quote_encoding_and_mark_are_the_sources(tmp_path: Path) -> None:
    source = csv_source("Größe", "B;C", delimiter=";", quote="'", encoding="utf-16", has_bom=True)
    found = written(tmp_path, source, [invalid("ž;'a;b'".encode())])
    assert found[:2] == b"\xff\xfe"
    rows = cells(found, "utf-16", delimiter=";", quotechar="'")
    assert rows[0][:2] == ["Größe", "B;C"]
    assert rows[1][:2] == ["ž", "a;b"]


def test_a_mark_is_kept(tmp_path: Path) -> None:
    assert written(tmp_path, csv_source("Email", "Total", has_bom=True), [invalid(b"x,1")])[:8] == b"\xef\xbb\xbfEmail"


def test_bytes_that_are_not_text_come_back_as_they_were(tmp_path: Path) -> None:
    record = b"caf\xe9@x,1".decode("utf-8", "surrogateescape").encode("utf-8", "surrogatepass")
    row = Row(record, State.INVALID, [("row.undecodable", "utf-8", "0xe9")])
    assert b"\ncaf\xe9@x,1,invalid,row.undecodable," in written(tmp_path, csv_source("Email", "Total"), [row])


def test_words_that_the_encoding_lacks_are_question_marks(tmp_path: Path) -> None:
    row = Row("é,1".encode(), State.REFUSED, told={"code": "api.refused", "message": "žalias"})
    found = written(tmp_path, csv_source("Email", "Total", encoding="cp1252"), [row, Row(b"", State.SENT)])
    assert b"\n\xe9,1,refused,api.refused,,the API refused the event: \x9ealias," in found
    row = Row(b"e,1", State.REFUSED, told={"code": "api.refused", "message": "žalias"})
    assert b"event: ?alias," in written(tmp_path, csv_source("Email", "Total", encoding="latin-1"), [row])


@pytest.mark.parametrize(
    ("record", "code"),
    [(b"x", "row.ragged"), (b"x,1,2", "row.ragged"), (b'x,"1\n2', "row.unclosed_quote"), (b'"x,1', "email.invalid")],
)
def test_a_record_that_is_no_row_is_kept_whole_in_a_column_of_its_own(tmp_path: Path, record: bytes, code: str) -> None:
    """Filled up or cut off, it would be a row that can be read, and a re-run would deliver it unmended."""
    found = cells(written(tmp_path, csv_source("Email", "Total"), [Row(record, State.INVALID, [(code, "", "v")])]))
    row = dict(zip(*found, strict=True))
    assert (row["Email"], row["Total"], row[ORIGINAL]) == ("", "", record.decode())


def test_a_short_row_that_the_mapping_allows_is_filled_up(tmp_path: Path) -> None:
    found = cells(written(tmp_path, csv_source("Email", "Total"), [invalid(b"x")]))
    assert found[1][:3] == ["x", "", "invalid"]
    assert found[1][-1] == ""


def test_a_formula_is_harmless_and_everything_else_untouched(tmp_path: Path) -> None:
    rows = [invalid(b'"=HYPERLINK(""x"")",+37061234567'), invalid(b"-5.00,'=1")]
    found = cells(written(tmp_path, csv_source("Email", "Total"), rows))
    assert [row[:2] for row in found[1:]] == [['\'=HYPERLINK("x")', "+37061234567"], ["-5.00", "''=1"]]
    assert [[original_cell(cell) for cell in row[:2]] for row in found[1:]] == [
        ['=HYPERLINK("x")', "+37061234567"],
        ["-5.00", "'=1"],
    ]


def test_a_column_whose_name_is_a_formula_is_harmless_too(tmp_path: Path) -> None:
    found = written(tmp_path, csv_source("Email", '=HYPERLINK("x")'), [invalid(b"x,1")])
    assert cells(found)[0][:2] == ["Email", '\'=HYPERLINK("x")']


def test_rejects_of_rejects_replace_the_columns(tmp_path: Path) -> None:
    """However often a file goes round, its cells stay what they were."""
    first = written(
        tmp_path / "1",
        csv_source("Email", "Total"),
        [invalid(b"=x,1"), Row(b"a,b,c", State.INVALID, [("row.ragged", "", "3 fields")])],
    )
    columns, *records = first.decode().splitlines()
    again = [invalid(record.encode()) for record in records]
    second = written(tmp_path / "2", csv_source(*columns.split(",")), again)
    assert second.decode().splitlines()[0] == HEADER
    found = cells(second)
    assert found[1][:2] == ["'=x", "1"]
    assert found[2][:2] == ["", ""]
    assert found[2][-1] == "a,b,c", "what was not corrected is still there"


def test_columns_may_stand_anywhere_when_rejects_come_back(tmp_path: Path) -> None:
    source = csv_source("importer_code", "Email", "importer_note", "Total")
    found = cells(written(tmp_path, source, [invalid(b"old,x,mine,1")]))
    assert found[0] == ["Email", "importer_note", "Total", *APPENDED, ORIGINAL]
    assert found[1][:5] == ["x", "mine", "1", "invalid", "email.invalid"]


@pytest.mark.parametrize(
    ("dialect", "head"),
    [
        ({"has_header": False}, b""),
        ({"delimiter": "whitespace"}, b"Email Total\n"),
        ({"quote": ""}, b"Email,Total\n"),
        ({"escape": "\\"}, b"Email,Total\n"),
    ],
)
def test_where_no_cell_can_be_added_the_rejects_are_the_bare_records(
    tmp_path: Path, dialect: dict[str, Any], head: bytes
) -> None:
    rows = [Row(b'=x,"y', State.INVALID, [("row.unclosed_quote", "", "y")]), invalid(b"  a   1")]
    assert written(tmp_path, csv_source("Email", "Total", **dialect), rows) == head + b'  a   1\n=x,"y\n'


def test_lines_that_the_mapping_skips_are_there_to_be_skipped(tmp_path: Path) -> None:
    found = written(tmp_path, csv_source("Email", "Total", skip_lines=2), [invalid(b"x,1")])
    assert found.splitlines()[:3] == [b"skipped", b"skipped", HEADER.encode()]


CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
SPICY = st.text("=+-@'\",;\r\n\t 19aé", max_size=8)


@settings(deadline=None, max_examples=50)  # each writes real files; a shared machine stalls now and then
@given(
    st.integers(1, 4).flatmap(
        lambda width: st.lists(st.lists(CELL | SPICY, min_size=width, max_size=width), min_size=1, max_size=5)
    ),
    st.sampled_from(",;\t|"),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.data(),
)
def test_any_csv_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[str]], delimiter: str, quoting: Any, data: st.DataObject
) -> None:
    """Whatever rows of whatever file are rejected, the rejects read back as the original cells, in order."""
    records = []
    for row in table:
        text = StringIO(newline="")
        csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator="\r\n").writerow(row)
        records.append(text.getvalue()[:-2])
    states = data.draw(st.lists(st.sampled_from(list(State)), min_size=len(table), max_size=len(table)))
    rows = [Row(record.encode(), state) for record, state in zip(records, states, strict=True)]
    source = csv_source(*(f"c{at}" for at in range(len(table[0]))), delimiter=delimiter)
    found = cells(written(tmp_path_factory.mktemp("out"), source, rows), delimiter=delimiter)
    expected = [row for row, state in zip(table, states, strict=True) if state in {"invalid", "refused"}]
    width = len(table[0])
    assert [[original_cell(cell) for cell in row[:width]] for row in found[1:]] == expected
    assert all(len(row) == width + len(APPENDED) + 1 and row[-1] == "" for row in found[1:])
