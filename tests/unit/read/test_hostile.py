"""Nothing that a file does breaks the reader: no traceback, no hang, flat memory, nothing missing without a word."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import threading
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from importer.errors import SourceError
from importer.mapping.model import SourceOptions
from importer.read import Input, Limits, expand, files, open_source
from tests.unit.read.helpers import peaks, read_bytes, read_file

TABLE = b"id,name\n" + b"".join(b"%05d,name %d\n" % (at, at * 7919) for at in range(20_000))
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    # With a checksum, as the zstd program writes one: without it, damage may be another text.
    "zstd": partial(zstd.compress, options={zstd.CompressionParameter.checksum_flag: 1}),
}


def parquet(**columns: object) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def test_a_pipe_that_is_given_as_a_path_is_read_from_its_beginning(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(TABLE))
    writer.start()
    outcome = read_file(pipe)
    writer.join()
    assert outcome.count == 20_000
    assert outcome.rows[0] == {"id": "00000", "name": "name 0"}


def test_parquet_comes_through_a_pipe_as_well(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    data = parquet(a=[1, 2])
    writer = threading.Thread(target=lambda: pipe.write_bytes(data))
    writer.start()
    assert read_file(pipe).column("a") == ["1", "2"]
    writer.join()


def test_pipes_and_devices_in_a_directory_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.csv")
    (tmp_path / "null.csv").symlink_to("/dev/zero")
    (tmp_path / "y.csv").write_bytes(TABLE)
    assert [source.name for source in expand([str(tmp_path)])] == [str(tmp_path / "y.csv")]


def test_a_device_is_no_file() -> None:
    with pytest.raises(SourceError, match="/dev/zero: is a device, not a file"):
        open_source(Input("/dev/zero", "/dev/zero"), SourceOptions())


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.csv").write_bytes(TABLE)
    (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "again.csv").symlink_to(tmp_path / "elsewhere" / "a.csv")
    assert len(expand([str(tmp_path / "in")])) == 1
    assert len(expand([str(tmp_path / "in" / "**" / "*.csv")])) == 1


def test_a_name_that_is_not_utf8_is_shown_and_read(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.csv"
    Path(os.fsdecode(path)).write_bytes(TABLE)
    (source,) = expand([os.fsdecode(path)])
    assert source.name == f"{tmp_path}/\\xff.csv"
    with open_source(source, SourceOptions()) as reader:
        assert reader.source.path is None
        assert sum(chunk.count for chunk in reader.chunks([], raw_rows=False)) == 20_000


@pytest.mark.parametrize("change", [b"", TABLE + b"1,2\n", TABLE[:-4] + b"9,9\n"], ids=["shrunk", "grown", "changed"])
def test_a_file_that_changes_while_it_is_read_is_no_whole_one(tmp_path: Path, change: bytes) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(TABLE)
    os.utime(path, ns=(0, 0))
    with open_source(expand([str(path)])[0], SourceOptions(), Limits(block=1000)) as reader:
        chunks = reader.chunks(["id"], raw_rows=False)
        next(chunks)
        path.write_bytes(change)
        with pytest.raises(SourceError, match="has changed while it was read"):
            list(chunks)


@pytest.mark.parametrize("kind", PACKERS)
def test_damage_to_a_second_stream_is_told(kind: str) -> None:
    """The standard library's files take it for rubbish and say nothing."""
    pack = PACKERS[kind]
    second = bytearray(pack(TABLE))
    second[2:4] = b"\xff\xff"
    outcome = read_bytes(pack(TABLE) + bytes(second))
    assert outcome.error is not None
    assert f"the {kind} data is damaged" in outcome.error.message
    assert outcome.count >= 20_000 - 1
    assert read_bytes(pack(TABLE) + b"\0" * 512).error is None


@pytest.mark.parametrize("kind", PACKERS)
def test_an_archive_cut_off_at_its_beginning_is_damaged_and_not_empty(kind: str) -> None:
    with pytest.raises(SourceError, match=f"the {kind} data is cut off"):
        read_bytes(PACKERS[kind](TABLE)[:12])


def test_an_archive_cut_off_within_its_header_is_damaged_and_lacks_no_columns(tmp_path: Path) -> None:
    header = b",".join(b"column %d" % (at * 7919) for at in range(500))
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(header + b"\n")[:300])
    (cut,) = expand([str(tmp_path / "x.csv.gz")])
    with (
        pytest.raises(SourceError, match="the gzip data is cut off"),
        open_source(cut, SourceOptions(), columns=["id"]),
    ):
        pass


def test_a_row_whose_end_is_cut_off_is_no_row() -> None:
    read = read_bytes(gzip.compress(TABLE)[:-2_000])
    assert read.error is not None
    whole = TABLE.decode().splitlines()
    assert read.count
    assert [f"{row['id']},{row['name']}" for row in read.rows] == whole[1 : read.count + 1]


def test_a_skippable_frame_may_come_first() -> None:
    assert read_bytes(b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + zstd.compress(TABLE)).count == 20_000


def test_two_members_of_one_name_are_told(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
            archive.writestr("a.csv", TABLE)
            archive.writestr("a.csv", TABLE[:100])
    with pytest.raises(SourceError, match=r"holds more than one file called a\.csv"):
        read_file(tmp_path / "x.zip")


@pytest.mark.parametrize("kind", PACKERS)
def test_a_bomb_is_refused_unless_the_mapping_allows_it(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_SMALL", 1 << 18)
    bomb = PACKERS[kind](b"a,b\n" + b"1,2\n" * (1 << 18))
    outcome = read_bytes(bomb, ["a"])
    assert outcome.error is not None
    assert "unpacks to more than 200 times its size" in outcome.error.message
    assert "max_ratio" in (outcome.error.hint or "")
    assert read_bytes(bomb, ["a"], max_ratio=50_000).count == 1 << 18


def repeated(path: Path) -> int:
    """800 MB of text in 120 KB."""
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 8_000, pa.int32()), pa.array(["x" * 100_000]))
    pq.write_table(pa.table({"id": list(range(8_000)), "a": texts}), path, store_schema=False)
    return 8_000


def repeated_inside(path: Path) -> int:
    """The same within lists."""
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 6_000, pa.int32()), pa.array(["x" * 100_000]))
    lists = pa.ListArray.from_arrays(pa.array(range(6_001), pa.int32()), texts)
    pq.write_table(pa.table({"id": list(range(6_000)), "a": lists}), path, store_schema=False)
    return 6_000


def different(path: Path) -> int:
    """Short texts, hardly one of them twice, in one row group: the writer gives its dictionaries up in mid-column."""
    numbers = pa.array(range(300_000)).cast(pa.string())
    columns = {name: pc.binary_join_element_wise(name, numbers, "@example.com", "") for name in "abcdefghi"}
    pq.write_table(pa.table(columns), path)
    return 300_000


def many(path: Path, text: str, rows: int, **how: object) -> int:
    """Long texts, each another one."""
    with pq.ParquetWriter(path, pa.schema({"a": pa.string()}), use_dictionary=False, **how) as writer:
        for first in range(0, rows, 500):
            writer.write_table(pa.table({"a": [f"{text}{at}" for at in range(first, first + 500)]}))
    return rows


def one_line(path: Path) -> int:
    path.write_bytes(b'{"id": 1, "a": [' + b"[]," * (5 << 20) + b"1]}\n" + b'{"id": 2}\n')
    return 2


def bomb(path: Path) -> int:
    """Half a gigabyte of zeros in 16 KB, refused within the first line."""
    compressor = zstd.ZstdCompressor()
    zeros = bytes(8 << 20)
    path.write_bytes(compressor.compress(b"id,a\n") + b"".join(compressor.compress(zeros) for _ in range(64)))
    return 1


HOSTILE: dict[str, Callable[[Path], int]] = {
    "repeated.parquet": repeated,
    "repeated_inside.parquet": repeated_inside,
    "long.parquet": lambda path: many(path, "y" * 20_000, 8_000),
    "shared.parquet": lambda path: many(path, "x" * 100_000, 4_000, column_encoding={"a": "DELTA_BYTE_ARRAY"}),
    "line.jsonl": one_line,
    "bomb.csv.zst": bomb,
}


def test_hostile_files_stay_under_400_megabytes_and_an_ordinary_parquet_under_250(tmp_path: Path) -> None:
    files = HOSTILE | {"ordinary.parquet": different}
    rows = [write(tmp_path / name) for name, write in files.items()]
    seen = dict(zip(files, peaks(*map(tmp_path.joinpath, files)), strict=True))
    assert [count for count, _ in seen.values()] == rows
    too_much = {name: most for name, (_, most) in seen.items() if most >= (400 if name in HOSTILE else 250)}
    assert not too_much


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_damaged_parquet_is_an_error_in_words(data: st.DataObject) -> None:
    whole = bytearray(parquet(a=[1, 2, 3], b=["x", "y", None], c=[[1], [], None]))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        outcome = read_bytes(bytes(whole), name="x.parquet")
    except SourceError:
        return
    assert outcome.error is not None or outcome.count == 3


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(PACKERS)), st.data())
def test_damaged_archives_are_an_error_or_whole(kind: str, data: st.DataObject) -> None:
    packed = bytearray(PACKERS[kind](TABLE[:2000]))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        outcome = read_bytes(bytes(packed), name="x.csv")
    except SourceError:
        return
    assert outcome.error is not None or outcome.count > 0


@settings(deadline=None, max_examples=80)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_in_words(data: bytes) -> None:
    with suppress(SourceError):
        read_bytes(data, name="x")
