"""Excel workbooks: cells arrive as a person sees them, and rejects come back as they were corrected."""

from __future__ import annotations

import datetime as dt
import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from importer.read.excel import number_text
from tests.support.program import Outcome, importer

MAPPING = """\
version: 1
key: Order
subscriber: {email: Email}
type: {const: purchase}
value: Total
value_currency: {const: EUR}
properties: {at: At, day: Day, code: Code, share: Share, note: Note, paid: Paid}
"""
HEADER = ["Order", "Email", "Total", "At", "Day", "Code", "Share", "Note", "Paid"]
FORMATS = {"Total": '#,##0.00 "€"', "Code": "00000", "Share": "0%"}
ROW: dict[str, Any] = {
    "Order": 1001,
    "Email": "ada@example.com",
    "Total": 0.1 + 0.2,
    "At": dt.datetime(2026, 3, 1, 10, 30),
    "Day": dt.date(2026, 3, 1),
    "Code": 42,
    "Share": 0.25,
    "Note": "two\nlines",
    "Paid": True,
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.yaml").write_text(MAPPING, encoding="utf-8")
    return tmp_path


def book(*rows: dict[str, Any], above: int = 0, name: str = "orders.xlsx") -> None:
    """Write a workbook whose first sheet is called Orders."""
    made = openpyxl.Workbook()
    sheet = made.worksheets[0]
    sheet.title = "Orders"
    for _ in range(above):
        sheet.append([None])
    sheet.append(HEADER)
    for row in rows:
        sheet.append([(ROW | row)[column] for column in HEADER])
        for at, column in enumerate(HEADER, start=1):
            if column in FORMATS:
                sheet.cell(sheet.max_row, at).number_format = FORMATS[column]
    made.save(name)


def run(*arguments: str) -> Outcome:
    return importer("run", *arguments, "-m", "m.yaml", "--sandbox", "--yes", "--ledger", "l.db", "--out", "out")


def arrived() -> list[dict[str, Any]]:
    lines = Path("out/sandbox-events.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["event"] for line in lines]


def test_every_cell_is_the_text_that_a_person_sees() -> None:
    book({}, {"Order": "007", "At": dt.datetime(2026, 3, 2), "Total": 1206, "Note": None, "Paid": False})
    assert run("orders.xlsx").exit_code == 0
    first, second = arrived()
    assert (first["value"], second["value"]) == (0.3, 1206)
    assert first["properties"] == {
        "at": "2026-03-01T10:30:00",
        "day": "2026-03-01",
        "code": "00042",
        "share": "25%",
        "note": "two\nlines",
        "paid": "TRUE",
    }
    assert second["properties"]["at"] == "2026-03-02T00:00:00" or second["properties"]["at"] == "2026-03-02"


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (0.1 + 0.2, "General", "0.3"),
        (12.0, "General", "12"),
        (1e-7, "General", "0.0000001"),
        (1234.5, '#,##0.00\\ "€"', "1234.50"),
        (-1234.5, "_-* #,##0.00\\ [$€-407]_-;\\-* #,##0.00\\ [$€-407]_-", "-1234.50"),
        (12.345, "0.00", "12.35"),
        (2.5, "0", "3"),
        (7, "00000", "00007"),
        (-7, "00", "-07"),
        (0.125, "0.0%", "12.5%"),
        (0.5, "# ?/?", "0.5"),
        (1_234_567, "#,##0,", "1234567"),
        (5550123, "000-0000", "5550123"),
        (1.5, "0.###", "1.5"),
        (12.5, "@", "12.5"),
        (1234567890123456789, "0", "1234567890123456789"),
        (1.2345678901234567e18, "0", "1.23456789012346E+18"),
    ],
)
def test_a_number_is_written_as_its_format_shows_it(value: float, form: str, text: str) -> None:
    assert number_text(value, form)[0] == text


def test_what_a_spreadsheet_rounds_is_said() -> None:
    book({"Total": 12.345, "Note": 12345678901234567890})
    said = importer("check", "orders.xlsx", "-m", "m.yaml").stderr
    assert "column 'Total' has 1 number with more decimals than it shows; they are taken as it shows them" in said
    assert (
        "column 'Note' has 1 number of more than 15 digits, which spreadsheets round; have ids written as text" in said
    )


def test_currencies_and_rows_that_only_the_sheet_shows_are_said() -> None:
    """An amount's sign is in its format, and a filter hides rows: neither is in the text of the cells."""
    book({}, {"Order": 1002}, {"Order": 1003})
    said = importer("check", "orders.xlsx", "-m", "m.yaml").stderr
    assert "currencies" not in said
    assert "hidden" not in said
    made = openpyxl.load_workbook("orders.xlsx")
    sheet = made.worksheets[0]
    sheet["C3"].number_format = "[$EUR] 0.00"
    sheet["C4"].number_format = '"$"#,##0.00_);[Red]("$"#,##0.00)'
    sheet.row_dimensions[3].hidden = True
    made.save("orders.xlsx")
    said = importer("check", "orders.xlsx", "-m", "m.yaml").stderr
    words = "column 'Total' has 3 numbers that it shows in several currencies (1 in € and 1 in EUR and 1 in $)"
    assert words in said
    assert "its sheets have 1 hidden row, as behind a filter; what is hidden is read, too" in said


def test_lines_are_the_rows_of_the_sheet_whatever_is_in_the_cells() -> None:
    book({}, {"Order": 2, "Email": "nobody"}, above=3)
    outcome = importer("check", "orders.xlsx", "-m", "m.yaml", "--out", "out")
    assert "orders.xlsx, row 2, line 6: nobody is not an e-mail address" in outcome.stderr
    assert "orders.xlsx: 2 rows (XLSX)" in outcome.stderr


def test_a_sheet_is_named_by_the_mapping() -> None:
    book({})
    made = openpyxl.load_workbook("orders.xlsx")
    other = made.create_sheet("March 2026")
    other.append(HEADER)
    other.append([2, "bo@example.com", 5])
    made.save("orders.xlsx")
    said = importer("check", "orders.xlsx", "-m", "m.yaml").stderr
    assert "its first sheet 'Orders' is read; `source: {sheet: …}` names another one (March 2026)" in said
    Path("m.yaml").write_text(MAPPING + "source: {sheet: March 2026}\n", encoding="utf-8")
    assert run("orders.xlsx").exit_code == 0
    assert arrived()[0]["subscriber"] == {"email": "bo@example.com"}
    Path("m.yaml").write_text(MAPPING + "source: {sheet: April}\n", encoding="utf-8")
    outcome = importer("check", "orders.xlsx", "-m", "m.yaml")
    assert (outcome.exit_code, "has no sheet 'April'" in outcome.stderr) == (2, True)
    assert "its sheets are Orders, March 2026" in outcome.stderr


def test_formulas_without_results_are_refused_and_results_are_read() -> None:
    book({"Total": "=1+1"})  # a library writes the formula, and computes nothing
    outcome = importer("check", "orders.xlsx", "-m", "m.yaml")
    assert outcome.exit_code == 2
    assert "the formula in cell C2 has no result" in outcome.stderr
    computed = io.BytesIO()
    with zipfile.ZipFile("orders.xlsx") as old, zipfile.ZipFile(computed, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(
                name,
                data.replace(b"<f>1+1</f><v></v>", b"<f>1+1</f><v>2</v>").replace(
                    b"<f>1+1</f><v />", b"<f>1+1</f><v>2</v>"
                ),
            )
    Path("orders.xlsx").write_bytes(computed.getvalue())
    assert run("orders.xlsx").exit_code == 0
    assert arrived()[0]["value"] == 2


def test_without_the_extra_a_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    book({})
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    outcome = importer("check", "orders.xlsx", "-m", "m.yaml")
    assert outcome.exit_code == 2
    assert 'pip install "sender-importer[excel]"' in outcome.stderr


def test_a_damaged_workbook_is_an_error_in_words() -> None:
    book({})
    whole = Path("orders.xlsx").read_bytes()
    with zipfile.ZipFile("orders.xlsx") as old, zipfile.ZipFile("bad.xlsx", "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) if "sheet1" not in name else b"<worksheet><sheetData><row>")
    Path("cut.xlsx").write_bytes(whole[: len(whole) // 2])
    for name in ("bad.xlsx", "cut.xlsx"):
        outcome = importer("check", name, "-m", "m.yaml")
        assert outcome.exit_code == 2, outcome.stderr
        assert f"error: {name}: " in outcome.stderr


def test_rejects_of_a_workbook_are_one_with_the_bad_cells_coloured_and_come_back_corrected() -> None:
    book({}, {"Order": 2, "Email": "nobody", "Code": 7}, {"Order": 3, "Total": "much"})
    assert run("orders.xlsx").exit_code == 1
    made = openpyxl.load_workbook("out/rejects.xlsx")
    sheet = made["Orders"]
    header = [cell.value for cell in sheet[1]]
    assert header[:3] == ["importer_message", "Order", "Email"]
    coloured = [
        [header[at] for at, cell in enumerate(row) if cell.fill.fgColor.rgb == "FFFFC7CE"]
        for row in sheet.iter_rows(min_row=2)
    ]
    assert coloured == [["importer_message", "Email"], ["importer_message", "Total"]]
    assert sheet["A2"].value == "nobody is not an e-mail address"
    assert [sheet.cell(2, header.index(name) + 1).value for name in ("Order", "Code", "Note")] == [
        "2",
        "00007",
        "two\nlines",
    ]
    sheet.cell(2, header.index("Email") + 1).value = "bo@example.com"
    sheet.cell(3, header.index("Total") + 1).value = 12.5
    made.save("corrected.xlsx")
    outcome = run("corrected.xlsx")
    assert outcome.exit_code == 0, outcome.stderr
    assert [(one["subscriber"]["email"], one["value"]) for one in arrived()[-2:]] == [
        ("bo@example.com", 0.3),
        ("ada@example.com", 12.5),
    ]
    assert arrived()[-2]["properties"]["code"] == "00007"
    assert "one import of 2 runs" in outcome.stderr


def test_rejects_of_a_csv_file_are_a_workbook_if_asked(folder: Path) -> None:
    rows = "Order;Email;Total;At;Day;Code;Share;Note;Paid\n1;nobody;5,50;;;00007;;=cmd;x\n"
    (folder / "orders.csv").write_text(rows, encoding="cp1252")
    Path("m.yaml").write_text(MAPPING.replace("value: Total", 'value: {column: Total, decimal: ","}'))
    assert run("orders.csv", "--rejects-format", "xlsx").exit_code == 1
    made = openpyxl.load_workbook("out/rejects.xlsx")
    sheet = made.worksheets[0]
    header = [cell.value for cell in sheet[1]]
    sheet.cell(2, header.index("Email") + 1).value = "bo@example.com"
    made.save("corrected.xlsx")
    assert run("corrected.xlsx").exit_code == 0
    (event,) = arrived()
    assert (event["value"], event["properties"]["code"], event["properties"]["note"]) == (5.5, "00007", "=cmd")


def test_init_and_watch_read_workbooks(folder: Path) -> None:
    book({}, {"Order": 2})
    outcome = importer("init", "orders.xlsx", "--answer", "currency=EUR", "-o", "made.yaml", "--yes")
    assert outcome.exit_code == 0, outcome.stderr
    assert "orders.xlsx: 2 rows, 9 columns, Excel, sheet Orders\n" in outcome.stderr
    (folder / "drops").mkdir()
    (folder / "orders.xlsx").rename(folder / "drops" / "orders.xlsx")
    watched = importer(
        "watch", "drops", "-m", "m.yaml", "--once", "--sandbox", "--ledger", "l.db", "--stable-for", "0s"
    )
    assert watched.exit_code == 0, watched.stderr
    assert "done        orders.xlsx  2 rows: 2 sent" in watched.stdout


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252"])
def test_rejects_that_a_european_spreadsheet_saved_are_read_back(folder: Path, encoding: str) -> None:
    """Semicolons, decimal commas, a byte order mark or the system's code page, quotes only where they must be."""
    (folder / "orders.csv").write_text(
        "Order,Email,Total,At,Day,Code,Share,Note,Paid\n"
        "1,nobody,5.50,,,00007,,Käse & Brot,x\n2,ada@example.com,1.5,,,,,,\n",
        encoding="utf-8",
    )
    assert run("orders.csv").exit_code == 1
    text = (folder / "out" / "rejects.csv").read_text(encoding="utf-8")
    saved = text.replace(",", ";").replace("5.50", "5,50").replace("nobody;", "bo@example.com;", 1)
    (folder / "corrected.csv").write_bytes(saved.replace("\n", "\r\n").encode(encoding))
    outcome = run("corrected.csv")
    assert outcome.exit_code == 0, outcome.stderr
    event = arrived()[-1]
    assert (event["value"], event["properties"]["note"], event["properties"]["code"]) == (5.5, "Käse & Brot", "00007")
