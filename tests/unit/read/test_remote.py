"""Objects behind addresses are read as files are: in ranges, with the same rows, digests and errors."""

from __future__ import annotations

import gzip
import io
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sshfs import SSHFileSystem

from importer.errors import SourceError, UsageError
from importer.mapping.model import SourceOptions
from importer.read import Limits, expand, open_source
from importer.remote import RemoteFile, _explained
from tests.support.object_store import ObjectStore, WebServer
from tests.support.sftp import sftp_server
from tests.unit.read.helpers import read_file

CSV = b"id,email\n" + b"".join(b"%d,a%d@example.com\n" % (n, n) for n in range(2000))


def parquet(rows: int = 4_000) -> bytes:
    """Two columns, of which one takes nearly all the room."""
    file = io.BytesIO()
    filler = [f"{n * 2_654_435_761 % 2**64:x}" * 8 for n in range(rows)]
    pq.write_table(pa.table({"id": list(map(str, range(rows))), "filler": filler}), file, row_group_size=1_000)
    return file.getvalue()


@pytest.fixture
def web() -> Iterator[WebServer]:
    with WebServer().running() as server:
        yield server


def test_an_object_is_read_as_the_same_file_is(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(CSV)
    there, here = read_file(store.put("same/a.csv", CSV)), read_file(tmp_path / "a.csv")
    assert (there.rows, there.digest, there.lines) == (here.rows, here.digest, here.lines)
    assert (there.source.name, there.source.path) == ("s3://exports/same/a.csv",) * 2


def test_what_is_packed_is_unpacked_and_has_the_content_s_digest(store: ObjectStore) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("b.csv", CSV)
    packed = read_file(store.put("packed/a.csv.gz", gzip.compress(CSV)))
    member = read_file(store.put("packed/a.zip", archive.getvalue()))
    assert packed.digest == member.digest == read_file(store.put("packed/a.csv", CSV)).digest
    assert member.source.name == "s3://exports/packed/a.zip/b.csv"


def test_a_prefix_and_a_glob_stand_for_the_data_files_in_order(store: ObjectStore) -> None:
    for key in ("deep/b.csv", "a.csv", "notes.md", ".hidden/c.csv", "[1].csv"):
        store.put(f"many/{key}", b"x\n1\n")

    def names(argument: str) -> list[str]:
        return [each.name.removeprefix("s3://exports/many/") for each in expand([argument])]

    assert names("s3://exports/many/") == names("s3://exports/many") == ["[1].csv", "a.csv", "deep/b.csv"]
    assert names("s3://exports/many/*.csv") == ["[1].csv", "a.csv"]
    assert names("s3://exports/many/**/*.csv") == ["[1].csv", "a.csv", "deep/b.csv"]
    assert names("s3://exports/many/de*") == ["deep/b.csv"]
    assert names("s3://exports/many/no*.md") == ["notes.md"]
    assert names("s3://exports/many/[1].csv") == ["[1].csv"]


def test_an_object_named_twice_is_read_once(store: ObjectStore) -> None:
    address = store.put("twice/a.csv", CSV)
    assert len(expand([address, "s3://exports/twice/", address])) == 1


@pytest.mark.parametrize(
    ("argument", "error", "words"),
    [
        ("s3://exports/none/", UsageError, "s3://exports/none/: no object there"),
        ("s3://exports/none/*.csv", UsageError, "s3://exports/none/*.csv: no object matches"),
        ("s3://exports/none.csv", UsageError, "s3://exports/none.csv: no object there"),
        ("s3://nowhere/none/", SourceError, "s3://nowhere/none/: no such bucket"),
        ("s3://me:secret@exports/a.csv", UsageError, "credentials do not belong in the address"),
        ("ftp://example.com/a.csv", UsageError, "ftp://example.com/a.csv: cannot be read from here"),
        ("http://example.com/a.csv", UsageError, "plain HTTP is for this machine alone"),
    ],
)
def test_what_cannot_be_found_is_said_in_the_user_s_words(
    store: ObjectStore, argument: str, error: type[Exception], words: str
) -> None:
    store.put("there.csv", CSV)
    with pytest.raises(error) as raised:
        expand([argument])
    assert words in str(raised.value)
    assert "hint: " in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_store_that_cannot_be_reached_is_named_with_the_reason(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(SourceError, match=r"^error: s3://exports/a.csv: cannot be reached \("):
        expand(["s3://exports/a.csv"])


@pytest.mark.parametrize(
    ("address", "error", "words"),
    [
        (
            "s3://b/a.csv",
            OSError("AWS Error ACCESS_DENIED during HeadObject operation"),
            "access denied\n\nhint: check",
        ),
        ("s3://b/a.csv", OSError("Bucket 'b' not found"), "no such bucket"),
        ("gs://b/a.csv", OSError("Could not create a OAuth2 access token"), "access denied\n\nhint: run `gcloud"),
        ("abfs://c@a/a.csv", OSError("DefaultAzureCredential failed"), "access denied\n\nhint: run `az login`"),
        ("https://h/a.csv", TimeoutError(), "cannot be reached"),
        ("https://h/a.csv", ValueError("bad https://me:pw@h/a.csv?s=pw here"), "read (bad https://h/a.csv here)\n"),
    ],
)
def test_what_libraries_raise_becomes_words_and_a_hint(address: str, error: Exception, words: str) -> None:
    with pytest.raises(SourceError) as raised, _explained(address):
        raise error
    assert words in str(raised.value)


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_an_object_that_changes_while_it_is_read_is_noticed(store: ObjectStore, name: str) -> None:
    """Also where its size stays the same."""
    data = CSV if name == "a.csv" else parquet()
    (source,) = expand([store.put(f"changing/{name}", data)])
    with open_source(source, SourceOptions(), Limits(block=1 << 10, rows=100)) as reader:
        chunks = reader.chunks(reader.source.columns or (), raw_rows=False)
        next(chunks)
        store.put(f"changing/{name}", data.replace(b"9", b"8", 1))
        with pytest.raises(SourceError, match=r"has changed while it was read\n"):
            list(chunks)


def test_a_changed_object_has_another_version(store: ObjectStore) -> None:
    (source,) = expand([store.put("version.csv", CSV)])
    before = source.version()
    assert source.version() == before
    store.put("version.csv", CSV.replace(b"a1@", b"b1@"))
    assert before is not None
    assert source.version() != before


def test_of_parquet_only_the_columns_that_are_wanted_are_read_before_its_digest(web: WebServer) -> None:
    web.files["/a.parquet"] = parquet()
    (source,) = expand([f"{web.address}/a.parquet"])
    with open_source(source, SourceOptions()) as reader:
        assert reader.source.columns == ("id", "filler")
    asked = [part for method, _, part in web.requests if method == "GET"]
    assert asked
    assert all(part.startswith("bytes=") for part in asked)
    assert read_file(f"{web.address}/a.parquet", ["id"]).column("id")[-1] == "3999"


@pytest.mark.parametrize("in_ranges", [True, False])
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet"])
def test_a_web_server_s_file_is_read_with_and_without_ranges(
    web: WebServer, tmp_path: Path, name: str, in_ranges: bool
) -> None:
    data = {"a.csv": CSV, "a.csv.gz": gzip.compress(CSV), "a.parquet": parquet(50)}[name]
    web.files[f"/{name}"], web.in_ranges = data, in_ranges
    (tmp_path / name).write_bytes(data)
    there, here = read_file(f"{web.address}/{name}?X-Signature=secret"), read_file(tmp_path / name)
    assert (there.rows, there.digest) == (here.rows, here.digest)
    assert there.source.name == there.source.path == f"{web.address}/{name}"


@pytest.mark.parametrize(
    ("status", "words"), [(403, "access denied"), (404, "no such object"), (401, "access denied"), (500, "cannot be")]
)
def test_what_a_web_server_refuses_is_said_without_secrets(web: WebServer, status: int, words: str) -> None:
    web.refusing = status
    address = web.address.replace("://", "://me:pass@") + "/a.csv?X-Signature=secret"
    (source,) = expand([address])
    with pytest.raises(SourceError, match=words) as raised:
        open_source(source, SourceOptions())
    assert str(raised.value).startswith(f"error: {web.address}/a.csv: ")
    assert not any(secret in str(raised.value) for secret in ("me:", "pass@", "secret"))


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    (source,) = expand(["https://example.com/a.csv"])
    with pytest.raises(UsageError, match=r"pip install 'sender-importer\[remote\]'"):
        open_source(source, SourceOptions())


def test_files_of_an_sftp_server_are_read_as_others_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the user's own key and known hosts; whole, by glob, in ranges, and with what is wrong in words."""
    with sftp_server(tmp_path, monkeypatch) as server:
        (tmp_path / "a.csv").write_bytes(CSV)
        there, here = read_file(server.put("in/a.csv", CSV)), read_file(tmp_path / "a.csv")
        assert (there.rows, there.digest, there.lines) == (here.rows, here.digest, here.lines)
        server.put("in/deep/b.parquet", parquet())
        host = server.address("")
        names = [each.name.removeprefix(host) for each in expand([f"{host}in/"])]
        assert names == ["in/a.csv", "in/deep/b.parquet"]
        assert [each.name for each in expand([f"{host}in/*.csv"])] == [f"{host}in/a.csv"]
        assert len(read_file(f"{host}in/deep/b.parquet").rows) == 4_000
        with pytest.raises(UsageError, match="no object there"):
            expand([f"{host}none/"])
        with RemoteFile(f"{host}in/a.csv") as file:
            assert file.read(8) == CSV[:8]
            server.put("in/a.csv", CSV + b"2000,more\n")
            with pytest.raises(SourceError, match=r"has changed while it was read: it had .* bytes and has"):
                file.check_unchanged()
        (tmp_path / "sftp-home" / ".ssh" / "known_hosts").write_text("")
        SSHFileSystem.clear_instance_cache()  # connections that are open already
        with pytest.raises(SourceError, match="not among the hosts that this machine knows"):
            expand([f"{host}in/a.csv"])
