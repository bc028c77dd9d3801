"""Parquet: exact text of every type, paths, damage."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from importer.errors import SourceError
from importer.mapping.model import SourceOptions
from importer.read import Limits, expand, open_source
from tests.unit.read.helpers import Outcome, read_bytes, read_file


def packed(table: Any, **how: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, **how)
    return file.getvalue()


def read(columns: dict[str, Any], *wanted: str, **how: Any) -> Outcome:
    return read_bytes(packed(pa.table(columns)), wanted or None, name="x.parquet", **how)


UTC = dt.UTC
KEY = uuid.UUID("12345678-1234-5678-1234-567812345678")


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pa.array(["00123", "", None]), ["00123", "", None]),
        (pa.array([1234567890123456789, -1]), ["1234567890123456789", "-1"]),
        (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
        (
            pa.array([0.1, 17850.0, -0.0, 1e15, 1e300, 1e-5]),
            ["0.1", "17850", "0", "1000000000000000", "1e+300", "1e-05"],
        ),
        (pa.array([float("nan"), None]), [None, None]),
        (pa.array([np.float32(0.1)], pa.float32()), ["0.1"]),
        (pa.array([np.float16(0.5)], pa.float16()), ["0.5"]),
        (pa.array([True, False, None]), ["true", "false", None]),
        (pa.array([Decimal("12.50"), Decimal("0.00")]), ["12.50", "0.00"]),
        (
            pa.array([Decimal(0), Decimal("1E-18")], pa.decimal128(38, 18)),
            ["0.000000000000000000", "0.000000000000000001"],
        ),
        (pa.array([dt.date(2024, 2, 29)]), ["2024-02-29"]),
        (pa.array([dt.datetime(2024, 1, 1, 10)]), ["2024-01-01T10:00:00"]),
        (pa.array([dt.datetime(2024, 1, 1, 10, 0, 0, 500_000)]), ["2024-01-01T10:00:00.500"]),
        (pa.array([dt.datetime(2024, 1, 1, 10, 0, 0, 1)]), ["2024-01-01T10:00:00.000001"]),
        (pa.array([1], pa.timestamp("ns")), ["1970-01-01T00:00:00.000000001"]),
        (
            pa.array([dt.datetime(2024, 7, 1, 10, tzinfo=UTC)], pa.timestamp("ms", "Europe/Vilnius")),
            ["2024-07-01T13:00:00+03:00"],
        ),
        (pa.array([dt.time(9, 30)]), ["09:30:00"]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        (pa.array(["a"], pa.large_string()), ["a"]),
        (pa.array([b"bytes"]), ["bytes"]),
        (pa.array([None, None], pa.null()), [None, None]),
        (pa.array([KEY.bytes], pa.uuid()), [str(KEY)]),
    ],
    ids=lambda value: str(value.type) if hasattr(value, "type") else "",
)
def test_every_type_becomes_exact_text(values: Any, texts: list[str | None]) -> None:
    assert read({"a": values}).column("a") == texts


NESTED = pa.table(
    {
        "user": [{"email": "a@example.com", "age": 7}, None],
        "items": [[{"name": "cup"}, {"name": "pot"}], []],
        "params": [
            [{"key": "total", "value": {"d": Decimal("9.90")}}, {"key": "coupon", "value": {"d": None}}],
            [{"key": "x", "value": None}],
        ],
        "tags": [["a", "b"], None],
        "attributes": pa.array([[("size", "L")], []], pa.map_(pa.string(), pa.string())),
        "user.email": ["exact", "exact"],
    }
)


@pytest.mark.parametrize(
    ("path", "texts"),
    [
        ("user.age", ["7", None]),
        ("user.email", ["exact", "exact"]),
        ("items.0.name", ["cup", None]),
        ("items.1.name", ["pot", None]),
        ("params[total].value.d", ["9.90", None]),
        ("params[coupon].value.d", [None, None]),
        ("tags.1", ["b", None]),
        ("attributes.size", ["L", None]),
    ],
)
def test_a_path_reaches_into_structs_lists_and_maps(path: str, texts: list[str | None]) -> None:
    assert read_bytes(packed(NESTED), [path], name="x.parquet").column(path) == texts


def test_a_struct_or_list_is_its_json_text_and_marked() -> None:
    outcome = read_bytes(packed(NESTED), ["user", "params", "attributes"], name="x.parquet")
    assert outcome.column("user") == ['{"email":"a@example.com","age":7}', None]
    assert outcome.column("params")[0] == '[{"key":"total","value":{"d":9.90}},{"key":"coupon","value":{"d":null}}]'
    assert outcome.column("attributes") == ['{"size":"L"}', "{}"]
    assert outcome.chunks[0].nested["user"].to_pylist() == [True, False]


@pytest.mark.parametrize("path", ["none", "user.none", "items.name", "user.email.more", "tags[x]", "tags.0.more"])
def test_a_path_that_the_types_forbid_is_not_available(tmp_path: Path, path: str) -> None:
    (tmp_path / "x.parquet").write_bytes(packed(NESTED.drop_columns(["user.email"])))
    with open_source(expand([str(tmp_path / "x.parquet")])[0], SourceOptions()) as reader:
        assert not reader.available(path)
        assert reader.available("params[total].value.d")
        (chunk,) = reader.chunks([path, "user.age"], raw_rows=False)
        assert chunk.table.column_names == ["user.age"]


def test_rows_are_numbered_over_all_batches_and_lines_equal_rows() -> None:
    outcome = read({"a": list(range(1000)), "b": ["x"] * 1000}, "a", limits=Limits(rows=300), raw_rows=True)
    assert [chunk.count for chunk in outcome.chunks] == [300, 300, 300, 100]
    assert outcome.numbers == outcome.lines == list(range(1, 1001))
    assert outcome.chunks[-1].raw_rows is not None
    assert outcome.chunks[-1].raw_rows.column_names == ["a", "b"]


def test_bytes_that_are_no_text_spoil_their_row_alone() -> None:
    outcome = read({"a": pa.array([b"x", b"\xff", b"y"]), "n": [[1], [2], [3]]})
    assert [(row.row, row.code, row.value) for row in outcome.unreadable] == [
        (2, "row.unreadable", r"a holds binary data, not text: \xff")
    ]
    assert (outcome.column("a"), outcome.numbers) == (["x", "y"], [1, 3])


def test_views_are_read_and_can_be_taken_for_rejects() -> None:
    """As polars writes them; nested ones too."""
    columns = {
        "a": pa.array(["x", None], pa.string_view()),
        "b": pa.array([{"c": "y"}, None], pa.struct([("c", pa.string_view())])),
        "d": pa.array([[("e", b"z")], None], pa.map_(pa.string_view(), pa.binary_view())),
    }
    outcome = read(columns, "a", "b.c", "d.e", raw_rows=True)
    assert [outcome.column(name) for name in ("a", "b.c", "d.e")] == [["x", None], ["y", None], ["z", None]]
    assert outcome.chunks[0].raw_rows is not None
    assert outcome.chunks[0].raw_rows.take([0]).to_pylist() == [{"a": "x", "b": {"c": "y"}, "d": [("e", b"z")]}]


def test_rows_count_even_if_no_column_is_wanted() -> None:
    assert read({"a": [1, 2]}, "none").count == 2


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    data = packed(pa.table({"a": [1]}))
    (tmp_path / "x").write_bytes(data)
    outcome = read_file(tmp_path / "x")
    assert outcome.digest == hashlib.sha256(data).hexdigest()
    assert outcome.source.dialect.format == "parquet"


def test_what_is_no_parquet_file_is_refused() -> None:
    with pytest.raises(SourceError, match="is not a readable Parquet file"):
        read_bytes(b"PAR1 and then nothing", name="x.parquet")
    with pytest.raises(SourceError, match="is not a readable Parquet file"):
        read_bytes(packed(pa.table({"a": [1]}))[:-20], name="x.parquet")


def test_an_encrypted_file_is_named_as_one() -> None:
    with pytest.raises(SourceError, match="is encrypted"):
        read_bytes(b"PARE" + bytes(40) + b"PARE", name="x.parquet")


def test_damage_in_the_middle_is_told_after_the_rows_before_it() -> None:
    data = bytearray(
        packed(
            pa.table({"a": [f"text {at}" for at in range(3000)]}),
            row_group_size=1000,
            use_dictionary=False,
            compression="none",
        )
    )
    at = data.index(b"text 1500") - 4000
    data[at : at + 7000] = b"\xff" * 7000
    outcome = read_bytes(bytes(data), ["a"], name="x.parquet", limits=Limits(rows=1000))
    assert outcome.error is not None
    assert "is damaged after row 1,000" in outcome.error.message
    assert outcome.count == 1000


def test_two_columns_of_the_wanted_name_are_ambiguous() -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    outcome = read_bytes(packed(table), ["a"], name="x.parquet")
    assert outcome.error is not None
    assert "has more than one column 'a'" in outcome.error.message


def test_periods_are_refused_as_their_counts_are_no_dates() -> None:
    name = {b"ARROW:extension:name": b"pandas.period", b"ARROW:extension:metadata": b'{"freq": "M"}'}
    schema = pa.schema([pa.field("a", pa.int64(), metadata=name), pa.field("b", pa.int64())])
    table = pa.table([pa.array([674]), pa.array([1])], schema=schema)
    outcome = read_bytes(packed(table), ["a"], name="x.parquet")
    assert outcome.error is not None
    assert "column 'a' has pandas' periods" in outcome.error.message
    assert "df['a'].astype(str)" in str(outcome.error.hint)
    assert read_bytes(packed(table), ["b"], name="x.parquet").column("b") == ["1"], "nothing else needs the column"


def test_a_column_of_json_has_its_texts_and_marks_its_objects() -> None:
    cells = ['"a"', "7", ' {"b": 1}', "[2]", "null", None, '"[x]"']
    column = pa.ExtensionArray.from_storage(pa.json_(), pa.array(cells))
    outcome = read_bytes(packed(pa.table({"a": column})), ["a"], name="x.parquet")
    assert outcome.column("a") == ["a", "7", ' {"b": 1}', "[2]", None, None, "[x]"]
    assert outcome.chunks[0].nested["a"].to_pylist() == [False, False, True, True, None, None, False]


@pytest.mark.parametrize(
    ("values", "kind", "good"),
    [
        ([2**62, 0], pa.timestamp("us"), "1970-01-01T00:00:00"),
        ([-(2**62), 0], pa.timestamp("ms", "Europe/Vilnius"), "1970-01-01T03:00:00+03:00"),
        ([253402300800, 253402300799], pa.timestamp("s"), "9999-12-31T23:59:59"),
        ([2**30, 0], pa.date32(), "1970-01-01"),
        ([2_932_897, 2_932_896], pa.date32(), "9999-12-31"),
    ],
)
def test_times_that_no_calendar_has_spoil_their_row_alone(values: list[int], kind: Any, good: str) -> None:
    narrow = pa.int32() if pa.types.is_date32(kind) else pa.int64()
    array = pa.array(values, narrow).cast(kind)
    outcome = read({"a": array, "n": [[at] for at in (1, 2)]}, "a")
    assert [(row.row, row.code) for row in outcome.unreadable] == [(1, "row.unreadable")]
    assert "outside of the years 1 to 9999" in outcome.unreadable[0].value
    assert outcome.column("a") == [good]
    inside = read({"a": pa.ListArray.from_arrays([0, 1, 2], array)}, "a")
    assert [row.row for row in inside.unreadable] == [1]
    assert inside.column("a") == [f'["{good}"]']


def test_int96_reaches_the_year_9999() -> None:
    """As other systems write "for ever"; in nanoseconds it would be a year long gone."""
    moments = pa.array([dt.datetime(9999, 12, 31), dt.datetime(2024, 1, 1, 10, 0, 0, 5)], pa.timestamp("us"))
    data = packed(pa.table({"a": moments}), use_deprecated_int96_timestamps=True)
    outcome = read_bytes(data, name="x.parquet")
    assert outcome.column("a") == ["9999-12-31T00:00:00", "2024-01-01T10:00:00.000005"]


@pytest.mark.parametrize(
    ("zone", "text"),
    [("Europe/Vilnius", "2024-07-02T01:30:00+03:00"), ("America/New_York", "2024-07-01T18:30:00-04:00"),
     ("+05:30", "2024-07-02T04:00:00+05:30"), ("UTC", "2024-07-01T22:30:00Z")],
)  # fmt: skip
def test_a_time_with_a_zone_has_the_date_of_the_zone(zone: str, text: str) -> None:
    moment = pa.array([dt.datetime(2024, 7, 1, 22, 30, tzinfo=UTC)], pa.timestamp("us", zone))
    assert read({"a": moment}).column("a") == [text]


def test_nested_values_keep_what_they_are() -> None:
    table = {
        "bytes": pa.array([[b"x"], [b"\xff"]]),
        "floats": pa.array([[1.5, float("nan"), 2.0], []]),
        "times": pa.array([{"at": 1}, {"at": None}], pa.struct([("at", pa.timestamp("ns"))])),
        "dates": pa.array([[("d", dt.date(2024, 1, 31))], None], pa.map_(pa.string(), pa.date32())),
        "sizes": pa.array([[{"a": Decimal("1.50")}], None]),
    }
    outcome = read(table)
    assert outcome.rows == [
        {
            "bytes": '["x"]', "floats": "[1.5,null,2.0]", "times": '{"at":"1970-01-01T00:00:00.000000001"}',
            "dates": '{"d":"2024-01-31"}', "sizes": '[{"a":1.50}]',
        }
    ]  # fmt: skip
    assert [row.row for row in outcome.unreadable] == [2]


def test_a_column_of_whole_floats_with_a_hole_is_one_of_whole_numbers() -> None:
    assert read({"a": [17.0, None, 1234567890.0]}).column("a") == ["17", None, "1234567890"]
    assert read({"a": [float(2**53), 2.0**53 - 1]}).column("a") == ["9007199254740992.0", "9007199254740991"]


def test_a_page_whose_checksum_is_wrong_is_damaged() -> None:
    data = bytearray(
        packed(pa.table({"a": ["first", "second"]}), compression="none", use_dictionary=False,
               write_page_checksum=True, write_statistics=False)
    )  # fmt: skip
    at = data.index(b"second")
    data[at : at + 6] = b"SECOND"
    outcome = read_bytes(bytes(data), ["a"], name="x.parquet")
    assert outcome.error is not None
    assert "is damaged (could not verify page integrity" in outcome.error.message


def test_rows_that_the_footer_announces_and_that_do_not_come_are_told() -> None:
    data = packed(pa.table({"a": [1, 2, 3]}))
    announced = data.replace(b"\x16\x06\x19\x1c", b"\x16\x10\x19\x1c")  # the footer's number of rows, 3 and 8
    assert announced != data
    outcome = read_bytes(announced, ["a"], name="x.parquet")
    assert outcome.error is not None
    assert "it announces 8 rows and holds 3" in outcome.error.message


def partitioned(folder: Path, *directories: str, **columns: list[Any]) -> list[Path]:
    """The same file in each directory."""
    paths = []
    for directory in directories:
        paths.append(folder / directory / "part-0.parquet")
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        paths[-1].write_bytes(packed(pa.table(columns or {"id": [1, 2]})))
    return paths


def test_the_directories_of_a_partitioned_dataset_are_columns(tmp_path: Path) -> None:
    partitioned(tmp_path, "shop=north%20side/day=2026-01-31", "shop=__HIVE_DEFAULT_PARTITION__/day=")
    rows = []
    for source in expand([str(tmp_path)]):
        with open_source(source, SourceOptions()) as reader:
            assert reader.source.columns == ("id", "shop", "day")
            assert reader.available("day")
            for chunk in reader.chunks(["id", "day", "shop"], raw_rows=True):
                assert chunk.raw_rows is not None
                assert chunk.raw_rows.column_names == ["id", "shop", "day"]
                rows += chunk.table.to_pylist()
    nothing = {"shop": None, "day": None}
    north = {"shop": "north side", "day": "2026-01-31"}
    assert rows == [{"id": "1"} | nothing, {"id": "2"} | nothing, {"id": "1"} | north, {"id": "2"} | north]


def test_a_partition_alone_can_be_read_without_any_column_of_the_file(tmp_path: Path) -> None:
    (path,) = partitioned(tmp_path, "shop=north")
    assert read_file(path, ["shop"]).column("shop") == ["north", "north"]


def test_a_column_of_the_file_counts_more_than_a_directory_of_its_name(tmp_path: Path) -> None:
    (path,) = partitioned(tmp_path, "shop=north", shop=["south"])
    assert read_file(path).column("shop") == ["south"]


def test_the_same_rows_in_another_partition_are_other_content_if_the_mapping_reads_it(tmp_path: Path) -> None:
    north, south = partitioned(tmp_path, "shop=north", "shop=south")
    (again,) = partitioned(tmp_path / "copy", "shop=north")
    columns = ["id", "shop"]
    assert read_file(north, columns).digest == read_file(again, columns).digest != read_file(south, columns).digest
    moved = tmp_path / "part-0.parquet"
    moved.write_bytes(north.read_bytes())
    assert len({read_file(path, ["id"]).digest for path in (north, south, moved)}) == 1


def test_a_null_among_lists_of_one_length_hides_no_other_list() -> None:
    lists = pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int64(), 2))
    outcome = read({"a": lists, "b": [1, 2, 3]}, "a", "a.1")
    assert outcome.column("a") == ["[1,2]", None, "[3,4]"]
    assert outcome.column("a.1") == ["2", None, "4"]
