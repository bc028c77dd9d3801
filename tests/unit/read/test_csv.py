"""CSV: dialects, headers, encodings, spoiled rows."""

from __future__ import annotations

import time
from typing import Any

import pytest

from importer.errors import SourceError
from importer.model import UnreadableRow
from importer.read import Limits
from tests.unit.read.helpers import SMALL, read_bytes


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_recognised(delimiter: str) -> None:
    text = "id;name;total\n00123;a;1\n9;b;2\n".replace(";", delimiter)
    outcome = read_bytes(text.encode())
    assert outcome.source.dialect.delimiter == delimiter
    assert outcome.rows[0] == {"id": "00123", "name": "a", "total": "1"}


def test_decimal_commas_do_not_make_the_comma_the_delimiter() -> None:
    assert read_bytes(b"name;gross, net;fee\na;1,50;2,50\nb;3,00;4,00\n").column("gross, net") == ["1,50", "3,00"]


def test_excels_separator_line_is_obeyed() -> None:
    outcome = read_bytes(b"sep=|\r\na,b|c\r\n1|2\r\n")
    assert outcome.rows == [{"a,b": "1", "c": "2"}]
    assert outcome.lines == [3]


def test_one_column_needs_no_delimiter() -> None:
    outcome = read_bytes(b'email\na@example.com\n\n""\n  \nb@example.com')
    assert outcome.column("email") == ["a@example.com", "", "  ", "b@example.com"]
    assert outcome.lines == [2, 4, 5, 6]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
@pytest.mark.parametrize("limits", [SMALL, Limits()])
def test_the_encoding_is_recognised(encoding: str, limits: Limits) -> None:
    text = "Währung,Ort,note\r\nEUR,Köln,“ja” – 5 €\r\nEUR,Zürich,Café\r\nSEK,Malmö,plain text\r\n"
    outcome = read_bytes(text.encode(encoding), limits=limits)
    assert [list(row.values()) for row in outcome.rows] == [line.split(",") for line in text.split("\r\n")[1:-1]]
    assert outcome.source.columns == ("Währung", "Ort", "note")
    assert outcome.source.dialect.has_bom == (encoding in {"utf-8-sig", "utf-16", "utf-32"})
    assert outcome.source.dialect.encoding.replace("-", "").startswith(encoding.replace("-", "").removesuffix("sig"))


@pytest.mark.parametrize(
    "body",
    [b"caf\xe9\x81", b"\xff", b"a\xc3", "Zürich é".encode() + b" \xe9t\xe9"],
    ids=["no word", "no letter", "cut-off", "mostly UTF-8"],
)
def test_a_doubtful_byte_does_not_turn_the_file_into_cp1252(body: bytes) -> None:
    outcome = read_bytes(b"id,name\n1,ok\n2," + body + b"\n3,ok\n")
    assert outcome.source.dialect.encoding == "utf-8"
    assert [row.code for row in outcome.unreadable] == ["row.undecodable"]
    assert outcome.column("id") == ["1", "3"]


def test_an_undecodable_byte_is_shown_with_its_line() -> None:
    outcome = read_bytes(b'id,name\n1,"a\nb"\n2,bad \xff\xc3 byte\n3,c\n', raw_rows=True)
    assert outcome.unreadable == [UnreadableRow(2, 4, "row.undecodable", r"2,bad \xff\xc3 byte")]
    assert (
        outcome.raw_rows()[1].decode("utf-8", "surrogatepass").encode("utf-8", "surrogateescape")
        == b"2,bad \xff\xc3 byte"
    )


@pytest.mark.parametrize(("encoding", "bad"), [("cp1252", b"\x81"), ("ascii", b"\xe9"), ("utf-16-le", b"\x00\xd8")])
def test_undecodable_bytes_are_found_in_every_encoding(encoding: str, bad: bytes) -> None:
    parts = ["id,name\n1,", "\n2,c\n"]
    outcome = read_bytes(bad.join(part.encode(encoding) for part in parts), encoding=encoding, raw_rows=True)
    assert [(row.row, row.line, row.code) for row in outcome.unreadable] == [(1, 2, "row.undecodable")]
    assert r"\x" in outcome.unreadable[0].value
    assert outcome.rows == [{"id": "2", "name": "c"}]
    if encoding != "utf-16-le":
        raw = outcome.raw_rows()[0].decode("utf-8", "surrogatepass").encode(encoding, "surrogateescape")
        assert raw == b"1," + bad


def test_an_encoding_that_is_set_wins() -> None:
    assert read_bytes("id,name\n1,ė\n".encode("cp1257"), encoding="cp1257").column("name") == ["ė"]
    assert read_bytes("id,name\n1,日本\n".encode("shift_jis"), encoding="shift_jis", limits=SMALL).column("name") == [
        "日本"
    ]


def test_ragged_rows_are_spoiled_and_counted() -> None:
    outcome = read_bytes(b"a,b,c\n1,2,3\n1,2\n\n1,2,3,4\n4,5,6\nx\n")
    assert outcome.unreadable == [
        UnreadableRow(2, 3, "row.ragged", "2 fields instead of 3"),
        UnreadableRow(3, 5, "row.ragged", "4 fields instead of 3"),
        UnreadableRow(5, 7, "row.ragged", "1 field instead of 3"),
    ]
    assert (outcome.numbers, outcome.lines) == ([1, 4], [2, 6])


def test_short_rows_are_filled_up_where_that_is_meant() -> None:
    outcome = read_bytes(b'a,b,c\n1\n1,"x\ny"\n1,2,3,4\n7,8,9\n', ragged="pad")
    assert [list(row.values()) for row in outcome.rows] == [["1", "", ""], ["1", "x\ny", ""], ["7", "8", "9"]]
    assert outcome.unreadable == [UnreadableRow(3, 5, "row.ragged", "4 fields instead of 3")]
    assert outcome.lines == [2, 3, 6]


def test_a_quote_that_is_never_closed_spoils_its_line_alone() -> None:
    outcome = read_bytes(b'a,b\n1,"open\n2,x\n3,"y"\n4,z\n')
    assert outcome.unreadable == [UnreadableRow(1, 2, "row.unclosed_quote", '1,"open')]
    assert outcome.column("b") == ["x", "y", "z"]
    assert outcome.lines == [3, 4, 5]


def test_a_quote_open_to_the_end_swallows_nothing() -> None:
    body = b"".join(b"%d,x\n" % at for at in range(300_000))
    outcome = read_bytes(b'a,b\n1,"open\n' + body)
    assert [(row.row, row.line, row.code) for row in outcome.unreadable] == [(1, 2, "row.unclosed_quote")]
    assert outcome.count == 300_001


def test_a_cell_of_many_lines_is_one_row() -> None:
    cell = "\n".join(f"line {at}" for at in range(5000))
    outcome = read_bytes(f'a,b\n1,"{cell}"\n2,x\n'.encode(), limits=Limits(block=1000))
    assert outcome.column("b") == [cell, "x"]
    assert outcome.lines == [2, 5002]


def test_an_endless_line_is_given_up() -> None:
    limits = Limits(block=1000, line=5000)
    outcome = read_bytes(b"a,b\n1,x\n2," + b"y" * 20_000 + b"\r\n3,z\n", limits=limits, raw_rows=True)
    assert [(row.row, row.line, row.code) for row in outcome.unreadable] == [(2, 3, "row.unreadable")]
    assert outcome.unreadable[0].value.startswith("a line of more than 5,000 bytes: 2,yyy")
    assert (outcome.column("b"), outcome.lines) == (["x", "z"], [2, 4])


def test_nul_bytes_are_text() -> None:
    assert read_bytes(b"a,b\n1,x\x00y\n").column("b") == ["x\x00y"]


def test_text_after_a_closing_quote_belongs_to_the_field() -> None:
    assert read_bytes(b'a,b\n"5"" pipe",1\n"x"y,2\n6" tube,3\n').column("a") == ['5" pipe', "xy", '6" tube']


def test_lines_before_the_header_are_skipped_and_counted() -> None:
    outcome = read_bytes(b'Report "May\nmade today\n\nid;name\n1;a\n', skip_lines=3)
    assert (outcome.rows, outcome.lines) == ([{"id": "1", "name": "a"}], [5])
    assert outcome.source.dialect.skip_lines == 3


def test_a_file_without_a_header_counts_its_columns() -> None:
    outcome = read_bytes(b"00123,a\n9,b\n", header=False)
    assert outcome.source.columns == ("1", "2")
    assert (outcome.column("1"), outcome.lines) == (["00123", "9"], [1, 2])


def test_names_for_columns_make_the_first_line_data() -> None:
    outcome = read_bytes(b"00123,a\n9,b\n", header=("id", "name"))
    assert outcome.rows[0] == {"id": "00123", "name": "a"}
    assert not outcome.source.dialect.has_header


@pytest.mark.parametrize("limits", [SMALL, Limits()])
def test_runs_of_blanks_can_be_the_delimiter(limits: Limits) -> None:
    text = b" 00004  0001 19970101\t2   29.33 \r\n\r\n  \r\n00021 0002 19970101  3   63.34\r\nx y\r\n"
    outcome = read_bytes(text, delimiter="whitespace", header=False, limits=limits, raw_rows=True)
    assert [list(row.values()) for row in outcome.rows] == [
        ["00004", "0001", "19970101", "2", "29.33"],
        ["00021", "0002", "19970101", "3", "63.34"],
    ]
    assert outcome.lines == [1, 4]
    assert outcome.unreadable == [UnreadableRow(3, 5, "row.ragged", "2 fields instead of 5")]
    assert outcome.raw_rows()[0] == b" 00004  0001 19970101\t2   29.33 "


def test_another_quote_can_be_set() -> None:
    assert read_bytes(b"a,b\n'x,''y',2\n", quote="'").column("a") == ["x,'y"]


def test_only_wanted_columns_are_in_the_table_under_the_names_asked_for() -> None:
    outcome = read_bytes(b" Email ,id,Name\na@example.com,1,A\n", ["Name", "Email", "phone"])
    assert outcome.rows == [{"Name": "A", "Email": "a@example.com"}]


def test_rows_count_even_if_no_column_is_wanted() -> None:
    assert read_bytes(b"a,b\n1,2\n3,4\n", ["none"]).count == 2


def test_a_wanted_name_that_stands_twice_in_the_header_is_ambiguous() -> None:
    outcome = read_bytes(b"id,name,id\n1,a,2\n", ["id"])
    assert outcome.error is not None
    assert "the header has 'id' more than once, as columns 1 and 3" in outcome.error.message
    assert read_bytes(b"id,name,id\n1,a,2\n", ["name"]).column("name") == ["a"]


@pytest.mark.parametrize(
    ("data", "how", "words"),
    [
        (b'"id,na,me\n1,2\n', {}, "the header cannot be read (row.unclosed_quote"),
        (b"id,\xff\xfe\n1,2\n", {"encoding": "utf-8"}, "line 1: the header cannot be read (row.undecodable"),
        (b"id\n1\n", {"format": "parquet"}, "is not a readable Parquet file"),
        (b"%PDF-1.7\n", {}, "is a PDF, not CSV, JSONL or Parquet"),
    ],
)
def test_a_file_that_cannot_be_read_at_all_says_why(data: bytes, how: dict[str, Any], words: str) -> None:
    with pytest.raises(SourceError) as caught:
        read_bytes(data, **how)
    assert words in caught.value.message
    assert caught.value.hint


def test_a_header_alone_is_no_row_and_no_error() -> None:
    assert read_bytes(b"id,name\n").count == 0


def test_originals_are_the_raw_records() -> None:
    outcome = read_bytes(b'a,b\r\n1,"x\r\ny"\r\n\r\n2\r\n3,z', raw_rows=True)
    assert outcome.raw_rows() == [b'1,"x\r\ny"', b"2", b"3,z"]


def test_a_mended_rejects_file_loses_the_apostrophes_that_made_it_harmless() -> None:
    outcome = read_bytes(b"id,note,importer_code\n1,'=1+1,x\n2,'plain,x\n")
    assert outcome.column("note") == ["=1+1", "'plain"]


def test_narrow_rows_come_in_several_chunks() -> None:
    outcome = read_bytes(b"a\n" + b"1\n" * 150_000, raw_rows=True)
    assert [chunk.count for chunk in outcome.chunks] == [65_536, 65_536, 18_928]
    assert outcome.lines[-1] == 150_001


@pytest.mark.parametrize("line", [b'1,"a"b,2\n', b'1,5" pipe,2\n', b'1,"open,2\n', b"1,\xff,2\n", b"1,2\n"])
def test_a_file_full_of_broken_rows_is_read_in_time_that_grows_with_its_length_alone(line: bytes) -> None:
    """Four times the rows take less than ten times as long: linear with room for noise, not quadratic."""

    def seconds(rows: int) -> float:
        begin = time.process_time()
        assert read_bytes(b"a,b,c\n" + line * rows, encoding="utf-8").count == rows
        return time.process_time() - begin

    assert any(seconds(40_000) < 10 * seconds(10_000) + 0.1 for _ in range(3))
