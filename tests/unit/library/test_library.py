"""The importer as a library: typed results from paths and DataFrames, also where an event loop is running."""

import asyncio
import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import importer
from importer.errors import ExitCode, MappingError, SourceError, UsageError
from importer.library import Settings
from importer.model import Format
from importer.pipeline.options import TargetOptions

MAPPING = """\
version: 1
key: order
subscriber: {email: email}
type: {const: purchase}
value: total
properties: {order: order, gift: {column: gift, as: boolean}, at: {column: at, as: datetime}}
"""


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    path = tmp_path / "m.yaml"
    path.write_text(MAPPING)
    return path


@pytest.fixture
def frame() -> pd.DataFrame:
    """What an analyst has at hand: gaps, floats where there were gaps, an index of its own."""
    return pd.DataFrame(
        {
            "order": [1, 2, 3],
            "email": ["ada@example.com", None, "cy@example.com"],
            "total": [12.5, 7.0, np.nan],
            "gift": [1.0, np.nan, 0.0],
            "at": [pd.Timestamp("2026-01-31 08:15"), pd.NaT, pd.Timestamp("2026-02-01")],
        },
        index=[7, 7, 9],
    )


def settings(tmp_path: Path) -> Settings:
    return Settings(target=TargetOptions(ledger=tmp_path / "ledger.db", environment={}))


def test_a_dataframe_is_checked_and_every_row_is_in_the_report(frame: pd.DataFrame, mapping: Path) -> None:
    result = importer.check(frame, mapping)
    assert result.exit_code == ExitCode.INCOMPLETE
    assert (result.summary.rows["read"], result.summary.rows["invalid"]) == (3, 1)
    assert result.report["source"].tolist() == ["DataFrame"] * 3
    assert result.report.index.tolist() == [7, 7, 9], "the frame's own index"
    assert result.report["code"].fillna("").tolist() == ["", "subscriber.missing", ""]
    assert result.files == ()


def test_it_runs_where_an_event_loop_is_running_as_in_a_notebook(
    frame: pd.DataFrame, mapping: Path, tmp_path: Path
) -> None:
    async def cell() -> importer.Result:
        return importer.run(frame, mapping, sandbox=True, out=tmp_path / "out", settings=settings(tmp_path))

    result = asyncio.run(cell())
    assert result.report["state"].tolist() == ["sent", "invalid", "sent"]
    assert result.summary.balanced
    assert {path.name for path in result.files} >= {"report.csv", "rejects.parquet", "summary.json"}


def test_paths_are_taken_as_text_as_paths_and_in_lists(mapping: Path, tmp_path: Path) -> None:
    source = tmp_path / "orders.csv"
    source.write_text("order,email,total,gift,at\n1,ada@example.com,5,yes,2026-01-31\n")
    for sources in (source, str(source), [source], str(tmp_path / "*.csv")):
        assert importer.check(sources, mapping).report["source"].tolist() == [str(source)]


def test_a_presets_name_is_a_mapping() -> None:
    frame = pd.DataFrame({"Email": ["ada@example.com"], "Total Spent": ["12.50"]})
    assert importer.check(frame, "shopify-customers").report["type"].tolist() == ["customer_imported"]


def test_a_dataframe_with_a_column_twice_is_refused_with_what_to_do(frame: pd.DataFrame, mapping: Path) -> None:
    with pytest.raises(UsageError) as caught:
        importer.check(pd.concat([frame, frame[["total"]]], axis=1), mapping)
    assert str(caught.value) == (
        "error: the DataFrame has more than one column of the name total\n\n"
        "hint: rename or drop one: df = df.loc[:, ~df.columns.duplicated()]"
    )


def test_a_live_run_is_refused_unless_it_was_confirmed(frame: pd.DataFrame, mapping: Path, tmp_path: Path) -> None:
    place = TargetOptions(ledger=tmp_path / "ledger.db", environment={"SENDER_API_TOKEN": "t"})
    with pytest.raises(UsageError, match="a live run sends real events, and was not confirmed"):
        importer.run(frame, mapping, settings=Settings(target=place))


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_check_reads_its_source_once_whatever_it_writes(form: Format, mapping: Path, tmp_path: Path) -> None:
    source = tmp_path / "orders.csv"
    source.write_text('order,email,total,gift,at\n=1,ada@example.com,5,,\n2,"bo, at\nexample",1,,2026-01-31\n')
    alone = importer.check(source, mapping)
    written = importer.check(source, mapping, out=tmp_path / "out", report_format=form)
    pd.testing.assert_frame_equal(written.report, alone.report)
    assert f"report.{form}" in {path.name for path in written.files}
    assert alone.files == ()


def test_outputs_that_cannot_be_written_are_told(frame: pd.DataFrame, mapping: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "report.csv" / "taken").mkdir(parents=True)
    result = importer.run(frame, mapping, sandbox=True, out=tmp_path / "out", settings=settings(tmp_path))
    assert result.exit_code == ExitCode.INCOMPLETE
    assert any(said.startswith("error: ") and "report.csv" in said for said in result.messages)


def test_a_dict_is_a_mapping_and_its_problems_name_its_keys(frame: pd.DataFrame) -> None:
    data = {"version": 1, "subscriber": {"email": "email"}, "type": {"const": "purchase"}, "key": "order"}
    assert importer.check(frame, data).summary.rows["invalid"] == 1
    with pytest.raises(MappingError, match=r"mapping\.sbscriber: .*did you mean subscriber\?"):
        importer.check(frame, {"version": 1, "sbscriber": {"email": "email"}, "type": {"const": "t"}})
    extended = {"extends": "shopify-customers", "properties": {"city": "City"}}
    customers = pd.DataFrame({"Email": ["ada@example.com"], "Total Spent": ["12.50"], "City": ["Turin"]})
    assert importer.check(customers, extended).exit_code == ExitCode.DELIVERED


def test_a_source_that_cannot_be_read_raises(mapping: Path, tmp_path: Path) -> None:
    (tmp_path / "junk.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(SourceError, match=r"junk\.parquet"):
        importer.check(tmp_path / "junk.parquet", mapping)


def test_a_result_shows_itself_in_a_line_and_as_a_page(frame: pd.DataFrame, mapping: Path) -> None:
    frame.loc[7, "email"] = "<b>nobody</b>"
    result = importer.check(frame, mapping)
    assert repr(result) == "<Result 3 rows: 2 invalid, 1 pending>"
    page = result._repr_html_()
    assert "3 rows: 2 invalid, 1 pending" in page
    assert "<b>nobody" not in page


def test_a_whole_float_in_a_frame_is_that_whole_number_and_a_long_id_keeps_its_digits(mapping: Path) -> None:
    frame = pd.DataFrame({"order": [1001.0, np.nan], "email": ["a@example.com", "b@example.com"]})
    data = {"version": 1, "subscriber": {"email": "email"}, "type": {"const": "t"}, "key": "order"}
    report = importer.check(frame, data).report
    assert report["key"].tolist()[0] == "1001"
    assert report["code"].tolist()[1] == "key.missing"
    frame = pd.DataFrame({"order": [1234567890123456789, 1234567890123456788], "email": ["a@example.com"] * 2})
    assert importer.check(frame, data).report["key"].tolist() == ["1234567890123456789", "1234567890123456788"]


def test_a_column_of_several_types_has_the_text_of_each_value() -> None:
    naive = pd.Timestamp("2026-01-31 08:15")
    properties = {"at": "at", "what": "what"}
    data = {
        "version": 1,
        "subscriber": {"email": "email"},
        "type": {"const": "t"},
        "key": "at",
        "properties": properties,
    }
    values = [naive, naive.tz_localize("Europe/Vilnius"), dt.date(2026, 1, 31), "\ud800", b"\xff", pd.NaT]
    column = pd.Series(values, dtype=object)
    frame = pd.DataFrame({"email": "ada@example.com", "at": column, "what": pd.period_range("2026-01", periods=6)})
    report = importer.check(frame, data).report
    assert report["key"].tolist()[:3] == ["2026-01-31T08:15:00", "2026-01-31T08:15:00+02:00", "2026-01-31"]
    assert report["code"].tolist()[3:] == ["row.unreadable", "row.unreadable", "key.missing"]


def test_objects_and_lists_in_a_column_of_several_types_are_no_text() -> None:
    data = {"version": 1, "subscriber": {"email": "email"}, "type": {"const": "t"}, "key": "what"}
    values = ['["a" is no list]', ["a"], {"b": 1}, ("a", 1), 7, dt.date(2026, 1, 31), None, '{"x": 1}']
    frame = pd.DataFrame({"email": "ada@example.com", "what": pd.Series(values, dtype=object)})
    report = importer.check(frame, data).report
    assert report["code"].tolist()[1:4] == ["property.nested"] * 3
    assert report["key"].dropna().tolist() == ['["a" is no list]', "7", "2026-01-31", '{"x": 1}']


def test_the_package_lists_what_it_offers() -> None:
    assert {"check", "run", "Result", "Settings"} <= set(dir(importer))
    assert "annotations" not in dir(importer)
