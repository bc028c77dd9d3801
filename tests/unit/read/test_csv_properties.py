"""Any table that can be written as CSV reads back as it was; whatever is broken in it spoils itself alone."""

from __future__ import annotations

import csv
import io
import random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from importer.read import Limits
from tests.unit.read.helpers import Outcome, read_bytes

CELLS = st.text(
    st.sampled_from(["a", "b", "1", '"', ",", ";", "\t", "|", " ", "\n", "\r", "'", "é", "€", "日", "=", "\x00"]),
    max_size=6,
)
TABLES = st.integers(2, 4).flatmap(
    lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=12)
)
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
LIMITS = st.sampled_from([Limits(block=64), Limits(block=67, rows=3), Limits()])


def written(rows: list[list[str]], delimiter: str, quoting: int, line_end: str) -> tuple[str, list[int]]:
    """The rows below a header as CSV, and the physical line on which each begins."""
    text = io.StringIO()
    if quoting == csv.QUOTE_MINIMAL:
        line_end = "\r\n"  # the writer quotes only what its own line end consists of
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=line_end)  # type: ignore[arg-type] # one of csv's constants
    writer.writerow([f"h{at}" for at in range(len(rows[0]))])
    lines = []
    for row in rows:
        lines.append(1 + len(text.getvalue().replace("\r\n", "\n").replace("\r", "\n").split("\n")) - 1)
        writer.writerow(row)
    return text.getvalue(), lines


def cells(outcome: Outcome) -> list[list[str]]:
    return [list(row.values()) for row in outcome.rows]


@settings(deadline=None, max_examples=60)
@given(
    TABLES,
    st.sampled_from(",;\t|"),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    ENCODINGS,
    LIMITS,
)
@example([["a\r", "\nb"], ["", ""]], ",", csv.QUOTE_ALL, "\r", "utf-8", Limits(block=64))
@example([['"', '""'], ['a"', '"a"\n"']], ",", csv.QUOTE_MINIMAL, "\r\n", "utf-16", Limits(block=64))
def test_what_csv_writes_reads_back(
    rows: list[list[str]], delimiter: str, quoting: int, line_end: str, encoding: str, limits: Limits
) -> None:
    """Cells, row numbers, physical lines and raw records are exact, whatever the block size."""
    text, lines = written(rows, delimiter, quoting, line_end)
    # UTF-16 without a mark is told by its zero bytes, which other scripts lack; said so here.
    named = {"encoding": encoding} if encoding.endswith(("le", "be")) else {}

    outcome = read_bytes(
        text.encode(encoding),
        delimiter="tab" if delimiter == "\t" else delimiter,
        limits=limits,
        raw_rows=True,
        **named,
    )

    assert cells(outcome) == rows
    assert outcome.numbers == list(range(1, len(rows) + 1))
    assert outcome.lines == lines
    assert outcome.unreadable == []
    raw = [next(csv.reader([record.decode()], delimiter=delimiter)) for record in outcome.raw_rows()]
    assert raw == rows or any("\n" in cell or "\r" in cell for row in rows for cell in row)


BROKEN = {
    "row.ragged": b"too,few",
    "row.undecodable": b"a,\xff\xfe,c",
    "row.unclosed_quote": b'a,"never closed,c',
}


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.sampled_from(
            [
                b"a,b,c",
                b'"a","b","c"',
                b'a,"b\nb",c',
                b'a,"b ""x"" b",c',
                b',"",',
                b'5" x,b "y" z,c',
                b'"a"x,b,c',
                "é,ü,日".encode(),
            ]
        )
        | st.sampled_from(sorted(BROKEN.values())),
        max_size=25,
    ),
    LIMITS,
    st.randoms(use_true_random=False),
)
def test_a_broken_row_spoils_itself_alone(records: list[bytes], limits: Limits, chance: random.Random) -> None:
    """Each row keeps its number and line, whatever stands before it; blank lines are lines but no rows."""
    records.append(b"z,z,z")
    body, lines, line = b"x,y,z\n", [], 2
    for record in records:
        if chance.random() < 0.2:
            body, line = body + b"\n", line + 1
        lines.append(line)
        line += record.count(b"\n") + 1
        body += record + b"\n"
    codes = {record: code for code, record in BROKEN.items()}

    outcome = read_bytes(body, encoding="utf-8", limits=limits, raw_rows=True)

    expected = [(at + 1, lines[at], codes[record]) for at, record in enumerate(records) if record in codes]
    assert [(row.row, row.line, row.code) for row in outcome.unreadable] == expected
    assert outcome.numbers == [at + 1 for at, record in enumerate(records) if record not in codes]
    assert outcome.lines == [lines[at] for at, record in enumerate(records) if record not in codes]
    assert outcome.count == len(records)
    assert all(row["z"] in {"c", "日", "", "z"} for row in outcome.rows)
    kept = [record.decode("utf-8", "surrogatepass").encode("utf-8", "surrogateescape") for record in outcome.raw_rows()]
    assert kept == records


@settings(deadline=None, max_examples=80)
@given(st.lists(st.sampled_from(list(b'a"",\n\r;\xff\x00\xc3\xa9')), max_size=120).map(bytes))
def test_whatever_the_bytes_are_the_block_size_changes_nothing(body: bytes) -> None:
    """No bytes crash the reader, every row is accounted for, and small blocks give what one large block gives."""
    data = b"x,y\n" + body

    whole = read_bytes(data, ["x", "y"], encoding="utf-8", delimiter=",", raw_rows=True)
    pieces = read_bytes(data, ["x", "y"], encoding="utf-8", delimiter=",", raw_rows=True, limits=Limits(block=64))

    for get in (lambda o: o.rows, lambda o: o.numbers, lambda o: o.lines, lambda o: o.unreadable, Outcome.raw_rows):
        assert get(whole) == get(pieces)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(list(b'a"",\n\r')), max_size=150).map(bytes), st.integers(8, 60))
def test_the_bound_of_quoted_records_does_not_depend_on_blocks(body: bytes, bound: int) -> None:
    """Where the bound of a record of several lines takes effect is a matter of the file alone."""
    data = b"x,y\n" + body

    whole = read_bytes(data, ["x", "y"], delimiter=",", limits=Limits(quoted=bound, line=80))
    pieces = read_bytes(data, ["x", "y"], delimiter=",", limits=Limits(quoted=bound, line=80, block=7))

    assert (whole.rows, whole.lines, whole.unreadable) == (pieces.rows, pieces.lines, pieces.unreadable)
