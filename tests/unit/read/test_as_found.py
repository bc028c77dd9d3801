"""CSV as people's systems write it: every kind reads as a careful person would read it, or says what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from importer.model import UnreadableRow
from importer.read import Limits
from tests.unit.read.helpers import SMALL, read_bytes

BODY = "".join(f"u{at}@example.com,{at}.50,Vilnius\n" for at in range(30))
TABLE = f"email,total,city\n{BODY}"


def rows(data: str | bytes, *columns: str, **how: Any) -> list[dict[str, Any]]:
    return read_bytes(data.encode() if isinstance(data, str) else data, columns or None, **how).rows


@pytest.mark.parametrize("limits", [SMALL, Limits()])
def test_backslashes_before_quotes_are_recognised(limits: Limits) -> None:
    data = 'email,note,total\na,"says \\"hi\\"",12.5\nb,"5\\" x 3\\"",3\nc,"C:\\\\dir\\\\",4\nd,"\\"two\nlines\\"",5\n'
    outcome = read_bytes(data.encode(), limits=limits)
    assert outcome.column("note") == ['says "hi"', '5" x 3"', "C:\\dir\\", '"two\nlines"']
    assert outcome.source.dialect.escape == "\\"
    assert outcome.notes == ("read with `source: {escape: '\\'}`",)
    assert outcome.lines == [2, 3, 4, 5]


def test_a_backslash_is_a_character_where_quotes_are_doubled() -> None:
    outcome = read_bytes(b'path,note\n"C:\\dir\\",x\n"a ""b"" \\n",y\n')
    assert outcome.column("path") == ["C:\\dir\\", 'a "b" \\n']
    assert outcome.source.dialect.escape == ""


def test_the_escape_character_can_be_set() -> None:
    assert rows('a,b\n1^,5,x\n^^,^"\n', escape="^") == [{"a": "1,5", "b": "x"}, {"a": "^", "b": '"'}]


@pytest.mark.parametrize("sign", [",", ";", "|"])
def test_a_blank_behind_every_delimiter_belongs_to_it(sign: str) -> None:
    data = 'email, total, city\n"a@example.com", "12.50", "Vilnius, LT"\nb@example.com, 3, \n'.replace(", ", f"{sign} ")
    outcome = read_bytes(data.encode())
    assert outcome.rows == [
        {"email": "a@example.com", "total": "12.50", "city": f"Vilnius{sign} LT"},
        {"email": "b@example.com", "total": "3", "city": ""},
    ]
    assert outcome.source.dialect.delimiter == f"{sign} "


def test_blanks_before_some_quotes_are_none_of_the_cell() -> None:
    assert rows('a,b,c\n1, "x, y",3\n1,"z" ,3\n1, w,3\n') == [
        {"a": "1", "b": "x, y", "c": "3"}, {"a": "1", "b": "z", "c": "3"}, {"a": "1", "b": " w", "c": "3"},
    ]  # fmt: skip


def test_a_delimiter_at_every_end_is_an_empty_column_of_nobody() -> None:
    outcome = read_bytes(b"email,total\na,1,\nb,2,\nc,3,x\nd,4\n")
    assert outcome.source.columns == ("email", "total")
    assert outcome.column("total") == ["1", "2"]
    assert outcome.unreadable == [
        UnreadableRow(3, 4, "row.ragged", "3 fields instead of 2"),
        UnreadableRow(4, 5, "row.ragged", "2 fields instead of 3"),
    ]


def test_a_row_with_an_empty_field_too_many_is_ragged_where_the_others_have_none() -> None:
    """`Smith, John` without quotes and an empty last cell look the same."""
    outcome = read_bytes(b"name,total\nAda,1\nSmith,John,\nBo,2\n")
    assert [row.row for row in outcome.unreadable] == [2]


@pytest.mark.parametrize("sign", ["||", "::", "^", "~", "\x01", "\x1f"])
def test_unusual_delimiters_are_recognised(sign: str) -> None:
    outcome = read_bytes(TABLE.replace(",", sign).encode())
    assert outcome.source.dialect.delimiter == sign
    assert outcome.rows[1] == {"email": "u1@example.com", "total": "1.50", "city": "Vilnius"}
    assert outcome.notes


def test_delimiters_of_two_characters_can_be_set_and_quoted() -> None:
    assert rows('a~|b\n"x~|y"~|1\nz|~|2\n', delimiter="~|") == [{"a": "x~|y", "b": "1"}, {"a": "z|", "b": "2"}]


def test_a_table_of_blanks_with_a_header_is_recognised() -> None:
    outcome = read_bytes(b"id   date      total\n00004  19970101  29.33\n00021  19970102   63.34\n")
    assert outcome.rows[1] == {"id": "00021", "date": "19970102", "total": "63.34"}
    assert outcome.source.dialect.delimiter == "whitespace"


@pytest.mark.parametrize("data", ["email  total\na@e.lt  1\nb@e.lt     2\n", "  email total\n  a@e.lt 1\n  b@e.lt 2\n"])
def test_two_columns_between_blanks_are_a_table_where_the_mapping_names_them(data: str) -> None:
    assert rows(data, "email", "total")[1] == {"email": "b@e.lt", "total": "2"}


def test_sentences_are_no_table_of_blanks() -> None:
    outcome = read_bytes(b"comment\nvery good\nnot so very good\n")
    assert outcome.column("comment") == ["very good", "not so very good"]


@pytest.mark.parametrize(
    "above",
    [
        "Orders of May\n",
        "Orders of May\n\n",
        "Orders of May,,\n,,\n",
        "Report,Orders\nmade,2026-05-31\n",
        "# export 2026\n",
        "\n\n",
        '"sep=,"\n',
        "sep=,\n",
    ],
)
@pytest.mark.parametrize("columns", [(), ("email", "total")])
def test_what_is_above_the_header_is_left_out(above: str, columns: tuple[str, ...]) -> None:
    outcome = read_bytes((above + TABLE).encode(), columns)
    assert outcome.source.columns == ("email", "total", "city")
    assert outcome.count == 30
    assert outcome.lines[0] == above.count("\n") + 2


def test_lines_left_out_above_the_header_are_told() -> None:
    notes = read_bytes(f"Orders of May\n\n{TABLE}".encode()).notes
    assert notes == ("the header is on line 3; the lines above it are left out",)


def test_the_header_is_the_line_that_has_the_columns_of_the_mapping() -> None:
    data = "Order,Customer,Customer\nGroup A,Group B,Group B\nnumber,email,city\n1,a@example.com,Riga\n"
    outcome = read_bytes(data.encode(), ["number", "email"])
    assert outcome.rows == [{"number": "1", "email": "a@example.com"}]


def test_a_first_row_without_digits_is_a_row_and_no_second_header() -> None:
    assert len(rows("name,city,note\nAda,Riga,hello\nBo,Oslo,\n")) == 2


def test_a_second_header_that_says_what_columns_hold_is_no_row() -> None:
    """Units, types or other names: texts where all rows have data."""
    body = "1,a@example.com,5.50,2026-01-02\n2,b@example.com,6.50,2026-01-03\n"
    for second in (",,EUR,yyyy-mm-dd", "integer,text,decimal,date", "Bestellung,E-Mail,Summe,Datum"):
        outcome = read_bytes(f"order,email,total,date\n{second}\n{body}".encode())
        assert [(row.row, row.code) for row in outcome.unreadable] == [(1, "row.repeated_header")]
        assert outcome.column("order") == ["1", "2"]


def test_names_below_what_groups_them_are_the_header() -> None:
    body = "1,5.50,a@example.com,Ada\n2,6.50,b@example.com,Bo\n"
    for above in ("Order,Order,Customer,Customer", "Order,,Customer,"):
        outcome = read_bytes(f"{above}\nId,Total,Email,Name\n{body}".encode())
        assert outcome.source.columns == ("Id", "Total", "Email", "Name")
        assert outcome.notes == ("the header is on line 2; the lines above it are left out",)


def test_a_header_once_more_in_quotes_is_no_row() -> None:
    assert read_bytes(b'email,total\n"email","total"\na,1\n').column("email") == ["a"]


def test_a_header_once_more_is_no_row() -> None:
    """At the top it belongs to the header; below, files were joined, the second perhaps with a byte order mark."""
    outcome = read_bytes(b"email,total\nemail,total\na,1\nemail,total\nb,2\n\xef\xbb\xbfemail,total\nc,3\n")
    assert outcome.column("email") == ["a", "b", "c"]
    assert [(row.row, row.line, row.code) for row in outcome.unreadable] == [
        (2, 4, "row.repeated_header"), (4, 6, "row.repeated_header"),
    ]  # fmt: skip


def test_comment_lines_are_no_rows() -> None:
    data = "# export 2026\nemail,total\na,1\n# bo was here\n#1001,2\n"
    assert [row["email"] for row in rows(data)] == ["a", "#1001"]
    assert [row["email"] for row in rows('email,total\na,1\n;x,"y\nb,2\n', comment=";")] == ["a", "b"]


def test_apostrophes_for_quotes_are_recognised() -> None:
    outcome = read_bytes(b"id,note\n1,'a, b'\n2,'c, d'\n3,'it''s'\n")
    assert outcome.column("note") == ["a, b", "c, d", "it's"]
    assert outcome.source.dialect.quote == "'"
    assert read_bytes(b"id,note\n1,'plain'\n2,'words'\n").column("note") == ["plain", "words"]


def test_apostrophes_in_names_are_no_quotes() -> None:
    assert read_bytes(b"id,name\n1,'t Hart\n2,O'Hara\n3,Ada\n").column("name") == ["'t Hart", "O'Hara", "Ada"]


def test_headers_that_differ_from_the_rows() -> None:
    """An empty name too many, an open quote, another delimiter than in the rows: each is said."""
    assert rows("a,,b\n1,2\n3,4\n")[0] == {"a": "1", "b": "2"}
    assert rows("a,b,,,\n1,2\n3,4\n")[1] == {"a": "3", "b": "4"}
    assert rows('id,"name,city\n1,x,y\n2,z,w\n')[0] == {"id": "1", '"name': "x", "city": "y"}
    assert rows("id name city\n1,x,y\n2,z,w\n")[0] == {"id": "1", "name": "x", "city": "y"}
    assert read_bytes(b"a,,b\n1,2\n3,4\n").notes


def test_a_header_may_be_longer_than_a_sample() -> None:
    name = "y" * 300_000
    assert rows(f"id,a,{name}\n1,2,3\n", "id", name) == [{"id": "1", name: "3"}]


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.txt"])
def test_json_lines_are_read_whatever_the_name(name: str) -> None:
    outcome = read_bytes(b'{"email": "a", "total": 1}\n{"email": "b", "total": 2}\n', ["email"], name=name)
    assert outcome.column("email") == ["a", "b"]
    assert outcome.source.dialect.format == "jsonl"


def test_byte_order_marks_inside_of_a_file_are_text_wherever_they_are() -> None:
    outcome = read_bytes(b"id,a\n\xef\xbb\xbf1,x\n\xef\xbb\xbf2,y\n")
    assert outcome.column("id") == ["\ufeff1", "\ufeff2"]


def test_an_empty_file_has_no_columns() -> None:
    for data in (b"", b"\xef\xbb\xbf\n \n"):
        outcome = read_bytes(data)
        assert (outcome.source.columns, outcome.count) == ((), 0)


def test_odd_rows_between_others_keep_their_places() -> None:
    body = "".join(f'{at},"x ""{at}""",5" pipe\n' if at % 3 else f"{at},y,z\n" for at in range(200))
    outcome = read_bytes(f"a,b,c\n{body}".encode(), limits=Limits(block=500))
    assert outcome.column("a") == [str(at) for at in range(200)]
    assert outcome.rows[1] == {"a": "1", "b": 'x "1"', "c": '5" pipe'}


def test_rows_that_all_are_broken_stop_no_file_whatever_the_delimiter() -> None:
    data = 'email||total\n"never closed||1\n'
    outcome = read_bytes(data.encode())
    assert outcome.error is None
    assert [row.code for row in outcome.unreadable] == ["row.unclosed_quote"]
