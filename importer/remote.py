"""Files behind an address: ``s3://``, ``gs://`` and ``abfs://`` by pyarrow, ``https://`` and ``sftp://`` by fsspec.

Bytes are read in ranges, nothing is copied to this machine. Credentials are found as each ecosystem's own tools find
them; those in an address are never shown (`public_name`). The libraries' errors have no common fields, so that
`_as_source_error` goes by their words.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple, Self
from urllib.parse import unquote, urlsplit

import msgspec

from importer.errors import ImporterError, SourceError, UsageError
from importer.wording import is_remote, public_name, shorten, shown, without_secrets

_KINDS = {"s3": "s3", "gs": "gs", "abfs": "abfs", "abfss": "abfs", "sftp": "sftp", "https": "https",
          "http": "https"}  # fmt: skip
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_BLOCK = 4 << 20
"""Bytes asked for at a time over HTTPS."""
_PATIENCE = timedelta(seconds=20)
"""How long Google's library tries again; 15 minutes by itself."""

_NO_CREDENTIALS = {
    "s3": "check the credentials, as `aws s3 ls` finds them (AWS_PROFILE, AWS_ACCESS_KEY_ID, `aws sso login`), and the "
    "rights s3:GetObject and s3:ListBucket; to write also s3:PutObject and s3:DeleteObject",
    "gs": "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS; the account needs the "
    "role Storage Object Viewer on the bucket, to write also Storage Object User",
    "abfs": "run `az login` for an account with the role Storage Blob Data Reader (to write: Contributor), or set "
    "AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN",
    "sftp": "check that `sftp` of this machine gets in without a question: by a key or an agent, and ~/.ssh/config",
    "https": "check the address; one that was signed may have expired, and ~/.netrc holds passwords",
}
_WRAPPING = re.compile(r".* last message of | error_info=.*|.* Azure Error: \[\w*\] ", re.DOTALL)
"""What Google's and Azure's libraries, and pyarrow, put around the words of a failure."""
_MISSING = re.compile(r"NO_SUCH_KEY|RESOURCE_NOT_FOUND|Path does not exist|\b404\b")
_NO_BUCKET = re.compile(r"NO_SUCH_BUCKET|NoSuchBucket|Bucket '.*' not found|ContainerNotFound")
_DENIED = re.compile(
    r"ACCESS_DENIED|INVALID_ACCESS_KEY|SIGNATURE|TOKEN|CREDENTIAL|[Cc]redential|OAuth2 access token|"
    r"Base64|\b40[13]\b|PERMISSION_DENIED|Permission denied|UNAUTHENTICATED"
)
_UNREACHABLE = re.compile(r"NETWORK_CONNECTION|[Cc]ould ?n.t resolve|[Cc]annot connect|Could not|Timeout|Disconnected")


class RemoteStatus(NamedTuple):
    """Of an object, named as in `os.stat_result`."""

    st_ino: str
    """What changes when it is replaced: its ETag, else the time of change; empty where a server says neither."""
    st_size: int | None
    """Bytes; None where a server does not say."""
    st_mtime_ns: int = 0


class RemoteFile(io.RawIOBase):
    """An object as a binary file; every failure is a `SourceError` in the user's words."""

    def __init__(self, address: str) -> None:
        self._address = address
        with _explained(address):
            self._file, self.version, self._is_seekable = _opened(address)

    def check_unchanged(self) -> None:
        """Raise `SourceError` if the object is not what it was when it was opened."""
        now, was = version_of(self._address), self.version
        if now != was:
            sizes = None not in {now.st_size, was.st_size} and now.st_size != was.st_size
            how = f": it had {was.st_size:,} bytes and has {now.st_size:,}" if sizes else ""
            hint = "run it again when nothing writes to the object any more"
            raise SourceError(public_name(self._address), f"has changed while it was read{how}", hint=hint)

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Whether the server gives parts of the object."""
        return self._is_seekable

    def readinto(self, buffer: Any, /) -> int:
        """See `io.RawIOBase.readinto`."""
        with memoryview(buffer).cast("B") as room, _explained(self._address, self.check_unchanged):
            data = self._file.read(len(room))
            room[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """See `io.RawIOBase.seek`."""
        self._file.seek(offset, whence)
        return self.tell()

    def tell(self) -> int:
        """See `io.RawIOBase.tell`."""
        return int(self._file.tell())

    def close(self) -> None:
        """Release the connection."""
        if not self.closed:
            self._file.close()
        super().close()


class RemotePath(msgspec.Struct, frozen=True):
    """An object, or what is below a prefix, with the methods of `pathlib.Path` that outputs and drops need.

    Raises `FileNotFoundError` for an object that is not there, `SourceError` for every other failure.
    """

    address: str

    @classmethod
    def parse(cls, place: str) -> Self | Path:
        """An address, or else a path on this machine; raises `UsageError` for an address that cannot be written to."""
        if not is_remote(place):
            return Path(place)
        if _kind(place) == "https":
            words = f"{shown(public_name(place))}: can be read, but nothing can be written there"
            raise UsageError(words, hint="known are directories here, s3://, gs://, abfs:// and sftp://")
        return cls(place.rstrip("/"))

    def __str__(self) -> str:
        return public_name(self.address)

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(f"{self.address}/{name}")

    @property
    def name(self) -> str:
        """Behind the last slash."""
        return self.address.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The name's ending: ``.csv``."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> RemotePath:
        """Before the last slash."""
        return RemotePath(self.address.rpartition("/")[0])

    def with_name(self, name: str) -> RemotePath:
        """Another object beside it."""
        return self.parent / name

    def exists(self) -> bool:
        """Whether there is an object, or anything below the prefix."""
        return bool(self._info().type.name != "NotFound")

    def is_file(self) -> bool:
        """Whether there is an object."""
        return bool(self._info().is_file)

    def is_dir(self) -> bool:
        """Whether it can be listed, as any prefix in a bucket can; raises `SourceError` if there is no bucket."""
        with _connected(self.address) as (store, path):
            if _kind(self.address) == "sftp":
                return bool(store.get_file_info(path).type.name == "Directory")
            _check_bucket(self.address)
        self.files()  # raises where it cannot be listed
        return True

    def stat(self) -> RemoteStatus:
        """Version, size and time of change."""
        info = self._info()
        if not info.is_file:
            raise FileNotFoundError(str(self))
        return version_of(self.address)._replace(st_mtime_ns=info.mtime_ns or 0)

    def files(self) -> list[tuple[str, RemoteStatus]]:
        """The objects directly below the prefix, hidden names as well; an object store's listing has no ETags."""
        from pyarrow.fs import FileSelector

        with _connected(self.address) as (store, path):
            infos = store.get_file_info(FileSelector(path, allow_not_found=True))
        return [(info.base_name, RemoteStatus("", info.size, info.mtime_ns or 0)) for info in infos if info.is_file]

    def read_bytes(self) -> bytes:
        """The whole object."""
        self.stat()
        with _connected(self.address) as (store, path), store.open_input_stream(path) as stream:
            return bytes(stream.read())

    def write_bytes(self, data: bytes) -> None:
        """Store an object, in the place of one that was there."""
        self.write(io.BytesIO(data))

    def write(self, source: IO[bytes]) -> None:
        """Store what is read from a file."""
        with _connected(self.address) as (store, path):
            self._make_parent(store, path)
            try:
                with store.open_output_stream(path) as stream:
                    shutil.copyfileobj(source, stream, _BLOCK)
            except FileNotFoundError:
                _check_bucket(self.address)
                raise

    def rename(self, target: RemotePath) -> None:
        """Copy the object and delete it, or move it where the server can."""
        self.stat()
        with _connected(self.address) as (store, path), _connected(target.address) as (_, there):
            self._make_parent(store, there)
            if _kind(self.address) == "sftp":
                store.move(path, there)
            else:
                store.copy_file(path, there)
                store.delete_file(path)

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Delete the object."""
        if missing_ok and not self.is_file():
            return
        self.stat()
        with _connected(self.address) as (store, path):
            store.delete_file(path)

    def mkdir(self, mode: int = 0o777, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Object stores need no directories; `write` and `rename` make those of an SFTP server."""

    def _info(self) -> Any:
        with _connected(self.address) as (store, path):
            return store.get_file_info(path)

    def _make_parent(self, store: Any, path: str) -> None:
        if _kind(self.address) == "sftp":
            store.create_dir(path.rpartition("/")[0], recursive=True)


def version_of(address: str) -> RemoteStatus:
    """The object as it is now, but for its time of change; raises `SourceError`."""
    with _explained(address):
        if _kind(address) == "https":
            return _web(address)[1]
        file, version, _ = _opened(address)
        file.close()
        return version


def find_remote(address: str) -> list[tuple[str, bool]]:
    """The objects that an address names, sorted, each with whether it was named itself: all below a prefix, or by glob.

    Raises `UsageError` where there is none, and `SourceError` where they cannot be listed.
    """
    if _kind(address) == "https":
        return [(address, True)]
    with _connected(address) as (store, path):
        from pyarrow.fs import FileType

        if not path.endswith("/") and store.get_file_info(path).type == FileType.File:
            return [(address, True)]
        bucket = address[: len(address) - len(path.partition("/")[2])].rstrip("/")
        return sorted(
            (f"{bucket}/{key.partition('/')[2]}", is_named) for key, is_named in _listed(store, path, address)
        )


def _listed(store: Any, path: str, address: str) -> list[tuple[str, bool]]:
    """The keys below a prefix, or those that match a glob; with whether the glob names the key and no prefix of it."""
    from pyarrow.fs import FileSelector, FileType

    pattern = path.rstrip("/").split("/")
    fixed = next((at for at, part in enumerate(pattern) if set(part) & set("*?[")), len(pattern))
    root = "/".join(pattern[:fixed])
    if not fixed:
        raise UsageError(f"{shown(address)}: names no bucket", hint="a pattern may follow the bucket's name")
    found = []
    for info in store.get_file_info(FileSelector(root, recursive=True, allow_not_found=True)):
        parts = info.path.split("/")[fixed:]
        if info.type == FileType.File and not any(part.startswith(".") for part in parts):
            named = _matches(parts, pattern[fixed:]) if fixed < len(pattern) else None
            if fixed == len(pattern) or named is not None:
                found.append((info.path, bool(named)))
    if not found:
        _check_bucket(address)
        what = "no object there" if fixed == len(pattern) else "no object matches"
        raise UsageError(f"{shown(public_name(address))}: {what}", hint=_look(address))
    return found


def _check_bucket(address: str) -> None:
    """Raise `SourceError` if there is none, as far as this may be asked: rights to objects need not include it."""
    store, path = _store(address)
    with suppress(OSError):
        if _kind(address) != "sftp" and store.get_file_info(path.partition("/")[0]).type.name == "NotFound":
            raise SourceError(public_name(address), "no such bucket", hint="check its name")


def _matches(parts: list[str], pattern: list[str]) -> bool | None:
    """Whether a glob names the whole key (True) or a prefix of it (False); None if neither."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        found = {_matches(parts[at:], pattern[1:]) for at in range(len(parts))}
        return True if not pattern[1:] or True in found else None
    if parts and fnmatchcase(parts[0], pattern[0]):
        return _matches(parts[1:], pattern[1:])
    return None


def _kind(address: str) -> str:
    """``s3``, ``gs``, ``abfs`` or ``https``; raises `UsageError` for an address that cannot be read."""
    name = shown(public_name(address))
    parts = urlsplit(address)
    if parts.scheme not in _KINDS:
        raise UsageError(
            f"{name}: cannot be read from here; known are s3://, gs://, abfs://, sftp:// and https://",
            hint="download it first, or pipe it: `… | importer run - …`",
        )
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        hint = "anyone on the way could change what is read; use https://"
        raise UsageError(f"{name}: plain HTTP is for this machine alone", hint=hint)
    kind = _KINDS[parts.scheme]
    if kind in {"s3", "gs"} and "@" in parts.netloc:
        raise UsageError(f"{name}: credentials do not belong in the address", hint=_NO_CREDENTIALS[kind])
    return kind


def _opened(address: str) -> tuple[Any, RemoteStatus, bool]:
    if _kind(address) != "https":
        store, path = _store(address)
        file = store.open_input_file(path)
        facts = {key.lower(): value.decode() for key, value in (file.metadata() or {}).items()}
        mark = next((facts[name] for name in ("etag", "generation", "last-modified") if facts.get(name)), "")
        return file, RemoteStatus(mark or str(store.get_file_info(path).mtime_ns or ""), file.size()), True
    client, version = _web(address)
    in_ranges = _gives_parts(client, address, version.st_size)
    file = client.open(address, block_size=_BLOCK if in_ranges else 0, size=version.st_size)
    return file, version, in_ranges


def _store(address: str) -> tuple[Any, str]:
    """The file system of an object store, and the path in it: the bucket and the key as they are written."""
    from pyarrow import fs

    kind, path, environment = _kind(address), address.split("://", 1)[1], os.environ
    if kind == "s3":
        endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
        region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
        if endpoint:
            plain, _, host = endpoint.rpartition("://")
            return fs.S3FileSystem(endpoint_override=host.rstrip("/"), scheme=plain or "https", region=region), path
        return fs.S3FileSystem(region=region or fs.resolve_s3_region(path.split("/")[0])), path
    if kind == "gs":
        if endpoint := environment.get("STORAGE_EMULATOR_HOST"):
            plain, _, host = endpoint.rpartition("://")
            there = {"scheme": plain or "http", "endpoint_override": host.rstrip("/")}
            return fs.GcsFileSystem(anonymous=True, retry_time_limit=_PATIENCE, **there), path
        _check_google_credentials(address)
        return fs.GcsFileSystem(retry_time_limit=_PATIENCE), path
    return _over_ssh(address) if kind == "sftp" else _in_azure(address, path)


def _check_google_credentials(address: str) -> None:
    """Raise `SourceError` if there are none: the library would ask a machine that there is not for half a minute."""
    settings, named = Path(os.environ.get("APPDATA") or "~/.config"), os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    file = Path(named or settings.expanduser() / "gcloud" / "application_default_credentials.json")
    with suppress(OSError):
        if not (named or file.exists()):
            socket.getaddrinfo(os.environ.get("GCE_METADATA_ROOT", "metadata.google.internal").partition(":")[0], 80)
        if not named or file.exists():
            return
    words = f"no credentials found: there is no {shown(str(file))}"
    raise SourceError(public_name(address), words, hint=_NO_CREDENTIALS["gs"])


def _in_azure(address: str, path: str) -> tuple[Any, str]:
    """Of the address's account, else of a connection string's (Azure: "Configure Azure Storage connection strings")."""
    from pyarrow import fs

    place, _, name = path.partition("/")
    container, _, host = place.partition("@")
    account, _, domain = host.partition(".")
    kept = {key: os.environ.get(f"AZURE_STORAGE_{key}", "") for key in ("CONNECTION_STRING", "ACCOUNT")}
    given = dict(each.split("=", 1) for each in kept["CONNECTION_STRING"].split(";") if "=" in each)
    endpoint = urlsplit(given.get("BlobEndpoint", ""))
    named = given.get("AccountName") or endpoint.path.strip("/") or endpoint.netloc.partition(".")[0]
    if not named or account not in {"", named}:
        names = {"AccountKey": "AZURE_STORAGE_KEY", "SharedAccessSignature": "AZURE_STORAGE_SAS_TOKEN"}
        given = {name: os.environ.get(variable, "") for name, variable in names.items()}
        endpoint, named = urlsplit(""), kept["ACCOUNT"]
    if not (account := account or named):
        hint = "set AZURE_STORAGE_ACCOUNT or AZURE_STORAGE_CONNECTION_STRING"
        raise UsageError(f"{shown(address)}: names no storage account", hint=hint)
    key, token = given.get("AccountKey"), given.get("SharedAccessSignature", "").removeprefix("?")
    suffix = re.sub(r"^(dfs|blob)\.", "", domain) or given.get("EndpointSuffix", "core.windows.net")
    authority = endpoint.netloc.removeprefix(account) or f".blob.{suffix}"
    options = {"sas_token": f"?{token}"} if token and not key else {"account_key": key or None}
    for kind in ("blob", "dfs"):
        options[f"{kind}_storage_authority"] = authority.replace(".blob.", f".{kind}.")
        options[f"{kind}_storage_scheme"] = endpoint.scheme or given.get("DefaultEndpointsProtocol", "https")
    return fs.AzureFileSystem(account, **options), f"{container}/{name}"


def _over_ssh(address: str) -> tuple[Any, str]:
    """The file system of an SFTP server, as ~/.ssh says; a server that is not among the known hosts is refused."""
    from pyarrow import fs

    try:
        from sshfs import SSHFileSystem
    except ImportError:
        raise _lacking(address) from None
    parts = urlsplit(address)
    login = {"port": parts.port, "username": parts.username, "password": parts.password}
    known = {name: unquote(value) if isinstance(value, str) else value for name, value in login.items() if value}
    client = SSHFileSystem(parts.hostname or "", known_hosts=(), timeout=_PATIENCE.total_seconds(), **known)
    return fs.PyFileSystem(fs.FSSpecHandler(client)), address.split("://", 1)[1].partition("/")[2] and parts.path


def _lacking(address: str) -> UsageError:
    words = f"{shown(public_name(address))}: {urlsplit(address).scheme}:// needs a package that is not installed"
    return UsageError(words, hint="pip install 'sender-importer[remote]'")


def _web(address: str) -> tuple[Any, RemoteStatus]:
    """The HTTP client, and the object's version."""
    try:
        import fsspec
    except ImportError:
        raise _lacking(address) from None
    # Proxies and ~/.netrc, as other programs use them.
    client = fsspec.filesystem("https", client_kwargs={"trust_env": True})
    facts = client.info(address)
    _kind(facts.get("url") or address)  # refuses a redirect to plain HTTP
    mark = facts.get("ETag") or facts.get("Last-Modified") or ""
    return client, RemoteStatus(str(mark), facts.get("size"))


def _gives_parts(client: Any, address: str, size: int | None) -> bool:
    """Ask for the second byte: not every server says whether it gives parts."""
    if size is None or size < 2:
        return False
    with client.open(address, block_size=_BLOCK, cache_type="none", size=size) as file:
        file.seek(1)
        try:
            return len(file.read(1)) == 1
        except ValueError:  # the whole came
            return False


@contextmanager
def _explained(address: str, look_first: Any = None) -> Iterator[None]:
    """Turn a library's errors into a `SourceError`; ``look_first`` may raise a better one."""
    try:
        yield
    except ImporterError:
        raise
    except Exception as error:  # noqa: BLE001 - the libraries' errors have no common root
        if look_first is not None:
            look_first()
        if address.startswith("sftp:"):
            from sshfs import SSHFileSystem

            SSHFileSystem.clear_instance_cache()  # the next one connects anew
        raise _as_source_error(address, error) from None


@contextmanager
def _connected(address: str) -> Iterator[tuple[Any, str]]:
    """The file system of an address and the path in it; what fails there is a `SourceError`."""
    with _explained(address):
        yield _store(address)


def _as_source_error(address: str, error: Exception) -> SourceError:
    # fsspec calls everything that a request can end in a missing file.
    cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
    name, said = public_name(address), without_secrets(str(cause))
    words, said = shorten(_WRAPPING.sub("", said), 200), re.sub(r"(?<!\w)'[^']*'", "''", said)  # names say nothing
    status = getattr(cause, "status", None)
    if "Host key is not trusted" in words:
        hint = "connect with `sftp` once, and compare the key that it shows with the server's"
        return SourceError(
            name, "the server is not among the hosts that this machine knows (~/.ssh/known_hosts)", hint=hint
        )
    if status in {401, 403} or _DENIED.search(said):
        return SourceError(name, "access denied", hint=_NO_CREDENTIALS[_kind(address)])
    if _NO_BUCKET.search(said):
        return SourceError(name, "no such bucket", hint="check its name")
    if isinstance(cause, FileNotFoundError) or status in {404, 410} or _MISSING.search(said):
        return SourceError(name, "no such object", hint=_look(address))
    if _UNREACHABLE.search(said) or isinstance(cause, TimeoutError):
        return SourceError(
            name, f"cannot be reached ({words})", hint="check the name and the network, then run it again"
        )
    return SourceError(name, f"cannot be read ({words})", hint="run it again; if it fails again, download it first")


def _look(address: str) -> str:
    if address.startswith("s3://"):
        head = re.split(r"[*?\[]", address)[0].rpartition("/")[0]
        return f"check the name: aws s3 ls {shown(head)}/"
    return "check the address"
