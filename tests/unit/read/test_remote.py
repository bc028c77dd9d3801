"""Objects behind addresses are read as files are: in ranges, with the same rows, digests and errors."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import socket
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import asyncssh
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import FileType
from sshfs import SSHFileSystem

from importer.errors import SourceError, UsageError
from importer.mapping.model import SourceOptions
from importer.read import Limits, expand, open_source
from importer.remote import RemoteFile, RemotePath, _explained
from tests.support.azure_blobs import KEY, SAS, Blob, BlobServer
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


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_an_object_is_read_as_the_same_file_is(any_store: ObjectStore, tmp_path: Path, name: str) -> None:
    data = CSV if name == "a.csv" else parquet()
    (tmp_path / name).write_bytes(data)
    there, here = read_file(any_store.put(f"same/{name}", data)), read_file(tmp_path / name)
    assert (there.rows, there.digest, there.lines) == (here.rows, here.digest, here.lines)
    assert (there.source.name, there.source.path) == (any_store.address(f"same/{name}"),) * 2


def test_what_directories_are_called_becomes_columns(any_store: ObjectStore) -> None:
    for shop in ("north", "south east"):
        any_store.put(f"branches/shop={shop}/day=2026-01-31/part-0.parquet", parquet(2))
    found = expand([any_store.address("branches/")])
    read = [read_file(each.path or "", ["id", "shop", "day"]) for each in found]
    assert [each.column("shop") for each in read] == [["north"] * 2, ["south east"] * 2]
    assert read[0].column("day") == ["2026-01-31"] * 2


def test_what_is_packed_is_unpacked_and_has_the_content_s_digest(store: ObjectStore) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("b.csv", CSV)
    packed = read_file(store.put("packed/a.csv.gz", gzip.compress(CSV)))
    member = read_file(store.put("packed/a.zip", archive.getvalue()))
    assert packed.digest == member.digest == read_file(store.put("packed/a.csv", CSV)).digest
    assert member.source.name == "s3://exports/packed/a.zip/b.csv"


def test_a_prefix_and_a_glob_stand_for_the_data_files_in_order(any_store: ObjectStore) -> None:
    for key in ("deep/b.csv", "a.csv", "notes.md", ".hidden/c.csv", "[1].csv", "é ü+&.csv"):
        any_store.put(f"many/{key}", b"x\n1\n")
    any_store.put("many-more.csv", b"x\n1\n")

    def names(argument: str) -> list[str]:
        found = [each.name for each in expand([any_store.address("many") + argument])]
        assert all(name.startswith(any_store.address("many/")) for name in found)
        return [name.removeprefix(any_store.address("many/")) for name in found]

    everything = ["[1].csv", "a.csv", "deep/b.csv", "é ü+&.csv"]
    assert names("/") == names("") == names("/**/*.csv") == everything
    assert names("/*.csv") == ["[1].csv", "a.csv", "é ü+&.csv"]
    assert names("/de*") == ["deep/b.csv"]
    assert names("/no*.md") == ["notes.md"]
    assert names("/[1].csv") == ["[1].csv"]
    assert len(read_file(any_store.address("many/é ü+&.csv")).rows) == 1
    assert any_store.address("many/a.csv") in [each.name for each in expand([any_store.address("")])]


def test_an_object_named_twice_is_read_once(store: ObjectStore) -> None:
    address = store.put("twice/a.csv", CSV)
    assert len(expand([address, "s3://exports/twice/", address])) == 1


@pytest.mark.parametrize(
    ("argument", "error", "words"),
    [
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


@pytest.mark.parametrize(
    ("key", "bucket", "error", "words"),
    [
        ("none/", "exports", UsageError, "no object there"),
        ("none/*.csv", "exports", UsageError, "no object matches"),
        ("none.csv", "exports", UsageError, "no object there"),
        ("none/", "nowhere", SourceError, "no such bucket"),
        ("none.csv", "nowhere", SourceError, "no such bucket"),
        ("", "nowhere", SourceError, "no such bucket"),
    ],
)
def test_an_object_or_a_bucket_that_is_not_there_is_named(
    any_store: ObjectStore, key: str, bucket: str, error: type[Exception], words: str
) -> None:
    address = any_store.address(key, bucket)
    with pytest.raises(error) as raised:
        expand([address])
    assert str(raised.value).startswith(f"error: {address}: {words}\n")


def test_an_object_that_has_gone_is_named(any_store: ObjectStore) -> None:
    (source,) = expand([any_store.put("gone/a.csv", CSV)])
    any_store.files.delete_file("exports/gone/a.csv")
    assert source.version() is None
    with pytest.raises(SourceError, match=r"gone/a.csv: no such object\n"):
        open_source(source, SourceOptions())


def test_a_store_that_cannot_be_reached_is_named_with_the_reason(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(SourceError, match=r"^error: s3://exports/a.csv: cannot be reached \("):
        expand(["s3://exports/a.csv"])


@pytest.mark.parametrize("status", [401, 403])
def test_google_s_refusal_is_said_at_once(web: WebServer, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    web.refusing = status
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", web.address)
    for address in ("gs://exports/a.csv", "gs://exports/", "gs://exports/*.csv"):
        with pytest.raises(SourceError, match=rf"^error: {re.escape(address)}: access denied\n"):
            expand([address])
    with pytest.raises(SourceError, match="access denied"):
        RemotePath("gs://exports/out").is_dir()
    assert len(web.requests) <= 5


def test_who_may_not_ask_for_a_google_bucket_may_use_the_objects_in_it(
    web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the roles "Storage Object …" have it."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", web.address)
    web.refused = frozenset({"/storage/v1/b/exports"})
    web.files["/storage/v1/b/exports/o"] = b'{"kind": "storage#objects"}'
    assert RemotePath("gs://exports/drops").is_dir()
    with pytest.raises(UsageError, match="no object there"):
        expand(["gs://exports/none/"])


def test_google_s_credentials_come_from_the_file_that_the_environment_names(
    web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    account = {
        "type": "service_account",
        "client_email": "importer@project.iam.gserviceaccount.com",
        "private_key_id": "1",
        "private_key": key.export_private_key("pkcs8-pem").decode(),
        "token_uri": f"{web.address}/token",
    }
    (tmp_path / "account.json").write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
    monkeypatch.setenv("CLOUD_STORAGE_EMULATOR_ENDPOINT", web.address)
    web.files["/storage/v1/b/exports/o/a.csv"] = json.dumps({"name": "a.csv", "bucket": "exports"}).encode()
    assert [each.name for each in expand(["gs://exports/a.csv"])] == ["gs://exports/a.csv"]
    claims = web.credentials[0].removeprefix("Bearer ").split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(claims + "=="))["iss"] == account["client_email"]


@pytest.mark.parametrize("named", ["", "account.json"])
def test_google_s_credentials_that_are_nowhere_are_missed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    """The library alone looks for a machine's account for half a minute."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", named)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("APPDATA", raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", Mock(side_effect=socket.gaierror))
    with pytest.raises(SourceError) as raised:
        expand(["gs://exports/a.csv"])
    file = named or tmp_path / ".config" / "gcloud" / "application_default_credentials.json"
    words = f"error: gs://exports/a.csv: no credentials found: there is no {file}\n\nhint: run `gcloud auth "
    assert str(raised.value).startswith(words)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"AZURE_STORAGE_KEY": KEY}, ""),
        ({"AZURE_STORAGE_SAS_TOKEN": SAS}, ""),
        ({"AZURE_STORAGE_SAS_TOKEN": f"?{SAS}"}, ""),
        ({"AZURE_STORAGE_KEY": "d3Jvbmc="}, "access denied"),
        ({"AZURE_STORAGE_SAS_TOKEN": f"{SAS}-of-another"}, "access denied"),
    ],
)
def test_azure_s_key_or_signature_decides(
    azure_server: ObjectStore, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: str
) -> None:
    """By a connection string, with the account in it or in the address."""
    names = {"AZURE_STORAGE_KEY": "AccountKey", "AZURE_STORAGE_SAS_TOKEN": "SharedAccessSignature"}
    given = "".join(f";{names[name]}={value}" for name, value in variables.items())
    endpoint = azure_server.environment["AZURE_STORAGE_CONNECTION_STRING"].rpartition(";")[2]
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", endpoint + given)
    azure_server.put("403/secret of 401.csv", CSV)
    for place in ("exports", "exports@tests.dfs.core.windows.net"):
        for key in ("403/secret of 401.csv", "403/", "403/*.csv"):
            address = f"abfs://{place}/{key}"
            if not words:
                assert [each.name for each in expand([address])] == [f"abfs://{place}/403/secret of 401.csv"]
                continue
            with pytest.raises(SourceError) as raised:
                expand([address])
            assert str(raised.value).startswith(f"error: {address}: {words}\n\nhint: run `az login`")


GLOBAL, CHINA, GOVERNMENT = "core.windows.net", "core.chinacloudapi.cn", "core.usgovcloudapi.net"
OF_B = "DefaultEndpointsProtocol=https;AccountName=b;AccountKey=kk=="
SIGNED = "BlobEndpoint=https://b.blob.core.windows.net/;SharedAccessSignature=sv=1&sig=s"


@pytest.mark.parametrize(
    ("address", "connection", "variables", "made"),
    [
        ("abfs://c@a.dfs.core.windows.net/x", "", {}, ("a", None, None, GLOBAL)),
        ("abfss://c@a.blob.core.windows.net/x", "", {}, ("a", None, None, GLOBAL)),
        ("abfs://c@a/x", "", {"KEY": "k"}, ("a", "k", None, GLOBAL)),
        ("abfs://c@a.dfs.core.chinacloudapi.cn/x", "", {"SAS_TOKEN": "s"}, ("a", None, "?s", CHINA)),
        ("abfs://c/x", "", {"ACCOUNT": "a", "KEY": "k", "SAS_TOKEN": "s"}, ("a", "k", None, GLOBAL)),
        ("abfs://c/x", OF_B, {"ACCOUNT": "a", "KEY": "k"}, ("b", "kk==", None, GLOBAL)),
        ("abfs://c/x", f"{OF_B};EndpointSuffix={GOVERNMENT}", {}, ("b", "kk==", None, GOVERNMENT)),
        ("abfs://c@a.dfs.core.windows.net/x", OF_B, {"KEY": "k"}, ("a", "k", None, GLOBAL)),
        ("abfs://c/x", SIGNED, {}, ("b", None, "?sv=1&sig=s", GLOBAL)),
    ],
)
def test_an_azure_account_is_the_address_s_or_the_environment_s(
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    connection: str,
    variables: dict[str, str],
    made: tuple[str, str | None, str | None, str],
) -> None:
    """Account, key, signature and cloud; nothing goes to another account or cloud than is named."""
    for name, value in {"CONNECTION_STRING": connection, **variables}.items():
        monkeypatch.setenv(f"AZURE_STORAGE_{name}", value)
    store = Mock()
    store.return_value.get_file_info.return_value.type = FileType.File
    monkeypatch.setattr("pyarrow.fs.AzureFileSystem", store)
    expand([address])
    ((account,), given) = store.call_args
    *credentials, suffix = made
    assert [account, given.get("account_key"), given.get("sas_token")] == credentials
    places = {f"{kind}_storage_authority": f".{kind}.{suffix}" for kind in ("blob", "dfs")}
    schemes = {"blob_storage_scheme": "https", "dfs_storage_scheme": "https"}
    assert given.items() >= {**places, **schemes}.items()


@pytest.mark.parametrize(
    ("address", "error", "words"),
    [
        ("s3://b/403.csv", OSError("for key '403.csv': AWS Error X: Couldn't resolve host 'h'"), "cannot be reached"),
        (
            "s3://b/a.csv",
            OSError("AWS Error ACCESS_DENIED during HeadObject operation"),
            "access denied\n\nhint: check",
        ),
        ("s3://b/a.csv", OSError("Bucket 'b' not found"), "no such bucket"),
        ("gs://b/a.csv", OSError("Could not create a OAuth2 access token"), "access denied\n\nhint: run `gcloud"),
        ("abfs://c@a/a.csv", OSError("DefaultAzureCredential failed"), "access denied\n\nhint: run `az login`"),
        (
            "gs://b/a.csv",
            OSError("google::cloud::Status(UNAVAILABLE: with a last message of Could not connect error_info={a=b})"),
            "cannot be reached (Could not connect)",
        ),
        (
            "abfs://c@a/a.csv",
            OSError(f"GetProperties failed for 'http://h/{'x' * 300}'. Azure Error: [] Could not resolve host"),
            "cannot be reached (Could not resolve host)",
        ),
        (
            "abfs://c@a/403.csv",
            OSError(f"GetProperties failed for 'http://h/403{'x' * 300}'. Azure Error: [AuthorizationFailure] 403 No."),
            "access denied",
        ),
        ("abfs://c@a/403.csv", OSError("for 'http://h/403.csv'. Azure Error: [X] 500 No."), "cannot be read (500 No.)"),
        ("https://h/a.csv", TimeoutError(), "cannot be reached"),
        ("https://h/a.csv", ValueError("bad https://me:pw@h/a.csv?s=pw here"), "read (bad https://h/a.csv here)\n"),
    ],
)
def test_what_libraries_raise_becomes_words_and_a_hint(address: str, error: Exception, words: str) -> None:
    with pytest.raises(SourceError) as raised, _explained(address):
        raise error
    assert words in str(raised.value)


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_an_object_that_changes_while_it_is_read_is_noticed(any_store: ObjectStore, name: str) -> None:
    """Also where its size stays the same."""
    data = CSV if name == "a.csv" else parquet()
    (source,) = expand([any_store.put(f"changing/{name}", data)])
    with open_source(source, SourceOptions(), Limits(block=1 << 10, rows=100)) as reader:
        chunks = reader.chunks(reader.source.columns or (), raw_rows=False)
        next(chunks)
        any_store.put(f"changing/{name}", data.replace(b"9", b"8", 1))
        with pytest.raises(SourceError, match=r"has changed while it was read\n"):
            list(chunks)


@pytest.mark.parametrize("any_store", ["google", "azure"], indirect=True)
def test_a_large_object_is_written_in_parts_and_read_from_anywhere(any_store: ObjectStore) -> None:
    """Larger than the 8 MiB that are uploaded at a time, and replaced by a shorter one while it is open."""
    data = b"0123456789abcdef" * (9 << 16)
    place = RemotePath(any_store.address("large.bin"))
    place.write_bytes(data)
    with RemoteFile(place.address) as file:
        assert file.seek(-20, io.SEEK_END) == len(data) - 20
        assert file.read() == data[-20:]
        assert file.seek(5 << 20) == 5 << 20
        assert file.read(20) == data[:20]
        place.write_bytes(b"short")
        file.seek(6 << 20)
        with pytest.raises(SourceError, match="has changed while it was read: it had 9,437,184 bytes and has 5"):
            file.check_unchanged()
    place.unlink()
    assert not place.exists()


def test_a_changed_object_has_another_version(any_store: ObjectStore) -> None:
    (source,) = expand([any_store.put("version.csv", CSV)])
    before = source.version()
    assert source.version() == before
    any_store.put("version.csv", CSV.replace(b"a1@", b"b1@"))
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


def test_of_azure_s_parquet_only_the_parts_that_are_wanted_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    data = parquet(40_000)
    with BlobServer({"exports": {"a.parquet": Blob(data, {})}}).running() as server:
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", f"BlobEndpoint={server.endpoint};AccountKey={KEY}")
        with open_source(expand(["abfs://exports/a.parquet"])[0], SourceOptions()) as reader:
            assert reader.source.columns == ("id", "filler")
    ranges = [each.split("bytes=")[1] for each in server.requests if each.startswith("GET /tests/exports/a.parquet")]
    sizes = [int(last) - int(first) + 1 for first, last in (each.split("-") for each in ranges)]
    assert 0 < sum(sizes) < len(data) / 2


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
