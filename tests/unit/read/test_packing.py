"""Compression and archives, recognised by their content."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from backports import zstd

from importer.errors import SourceError
from importer.mapping.model import SourceOptions
from importer.read import Input, expand, open_source
from tests.unit.read.helpers import SMALL, read_bytes, read_file

TABLE = b"id,name\n" + b"".join(b"%05d,name %d\n" % (at, at * 7919) for at in range(20_000))


def zipped(data: bytes, name: str = "orders.csv", compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr(name, data)
    return file.getvalue()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd.compress,
    "zip": zipped,
}


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("name", ["data.csv", "data.bin"])
def test_compression_is_recognised_whatever_the_name(kind: str, name: str) -> None:
    outcome = read_bytes(PACKERS[kind](TABLE), name=name)
    assert outcome.source.dialect.compression == kind
    assert outcome.count == 20_000
    assert outcome.rows[-1] == {"id": "19999", "name": f"name {19999 * 7919}"}
    assert outcome.digest == hashlib.sha256(TABLE).hexdigest()


@pytest.mark.parametrize("kind", ["gzip", "bz2", "xz", "zstd"])
def test_several_compressed_parts_in_one_file_are_all_read(kind: str) -> None:
    parts = PACKERS[kind](TABLE[:50_000]) + PACKERS[kind](TABLE[50_000:])
    assert read_bytes(parts).count == 20_000


@pytest.mark.parametrize("kind", ["gzip", "bz2", "xz", "zstd"])
def test_a_file_cut_off_gives_its_whole_rows_and_then_an_error(kind: str) -> None:
    """The row at the cut is not among them: what is left of it may be any part of a row."""
    packed = PACKERS[kind](TABLE * 5)

    outcome = read_bytes(packed[: len(packed) // 2])

    assert outcome.error is not None
    assert f"the {kind} data is cut off" in outcome.error.message
    assert "the rows before that point were read" in outcome.error.message
    assert outcome.error.hint == "copy or download the file again"
    assert outcome.count > 1000
    assert all(len(one or "") == 5 for one in outcome.column("id") if one != "id")


def test_a_file_cut_off_in_its_first_line_does_not_speak_of_rows() -> None:
    with pytest.raises(SourceError, match="the gzip data is cut off") as caught:
        read_bytes(gzip.compress(TABLE)[:15])
    assert "rows" not in caught.value.message


@pytest.mark.parametrize("kind", ["gzip", "bz2", "xz"])
def test_damage_in_the_middle_is_told(kind: str) -> None:
    packed = bytearray(PACKERS[kind](TABLE * 5))
    packed[len(packed) // 2 : len(packed) // 2 + 64] = b"\x00" * 64
    try:
        error = read_bytes(bytes(packed)).error
    except SourceError as at_once:  # the whole table is one block of xz
        error = at_once
    assert error is not None
    assert f"the {kind} data is" in error.message


def test_a_compressed_member_of_an_archive_is_read() -> None:
    """As Amplitude exports come."""
    packed = zipped(gzip.compress(b'{"a": 1}\n{"a": 2}\n'), "2024.json.gz")
    outcome = read_bytes(packed, ["a"], name="export.zip")
    assert outcome.column("a") == ["1", "2"]
    assert outcome.source.name.endswith("export.zip/2024.json.gz")


def test_an_archive_cut_off_is_damaged() -> None:
    with pytest.raises(SourceError, match="damaged zip archive") as caught:
        read_bytes(zipped(TABLE)[:-40])
    assert caught.value.hint == "copy or download it again"


def test_an_archive_without_data_says_so() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "x")
        archive.writestr("b.txt", "x")
    with pytest.raises(SourceError, match="the zip archive holds no data file"):
        read_bytes(file.getvalue())


def test_a_document_is_named_as_one() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", "x")
        archive.writestr("word/document.xml", "x")
    with pytest.raises(SourceError, match="is a spreadsheet or document") as caught:
        read_bytes(file.getvalue(), name="orders.docx")
    assert caught.value.hint == "save it as CSV (UTF-8) first"


def test_compression_that_is_set_but_not_there_is_an_error() -> None:
    with pytest.raises(SourceError, match="is not gzip data"):
        read_bytes(TABLE, compression="gzip")


def test_compression_can_be_switched_off() -> None:
    outcome = read_bytes(b"BZh,b\n1,2\n", compression="none")
    assert outcome.rows == [{"BZh": "1", "b": "2"}]


def test_a_compressed_parquet_is_read() -> None:
    file = io.BytesIO()
    pq.write_table(pa.table({"a": [1, 2]}), file)
    outcome = read_bytes(gzip.compress(file.getvalue()), name="x.parquet.gz")
    assert outcome.column("a") == ["1", "2"]
    assert outcome.digest == hashlib.sha256(file.getvalue()).hexdigest()


READ_STDIN = """
import sys
from importer.mapping.model import SourceOptions
from importer.read import expand, open_source
with open_source(expand(["-"])[0], SourceOptions()) as reader:
    ids = [one for chunk in reader.chunks(["id"], raw_rows=False) for one in chunk.table.column("id").to_pylist()]
    print(reader.source.name, reader.size, ids[:2], len(ids))
"""


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zipped])
def test_standard_input_is_read_like_a_file(pack: Callable[[bytes], bytes]) -> None:
    """Also an archive, which needs to be sought in."""
    done = subprocess.run([sys.executable, "-c", READ_STDIN], input=pack(TABLE), capture_output=True, check=True)
    assert done.stdout.decode() == "<stdin> None ['00000', '00001'] 20000\n"


def test_a_missing_file_is_a_source_error(tmp_path: Path) -> None:
    """It may vanish between the listing and its turn."""
    with pytest.raises(SourceError, match=r"gone\.csv: no such file"):
        open_source(Input("gone.csv", str(tmp_path / "gone.csv")), SourceOptions())


def test_progress_counts_the_bytes_on_disk(tmp_path: Path) -> None:

    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(TABLE))
    with open_source(expand([str(path)])[0], SourceOptions()) as reader:
        assert reader.size == path.stat().st_size
        assert reader.digest == ""
        assert sum(chunk.count for chunk in reader.chunks([], raw_rows=False)) == 20_000
        assert reader.bytes_read == reader.size


def test_small_blocks_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(TABLE[:3000]))
    assert read_file(path, limits=SMALL).rows == read_file(path).rows
