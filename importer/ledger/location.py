"""Where a ledger is: a SQLite file, or a PostgreSQL database by its URI. Light, for the command line."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from importer.errors import UsageError

_SCHEMES = ("postgresql", "postgres")
_SECRETS = ("password", "sslpassword")


class PostgresLocation(msgspec.Struct, frozen=True):
    """A database of a PostgreSQL server. Its text, everywhere, is the URI without any password."""

    uri: str
    """As given: ``postgresql://user@host:5432/database?sslmode=verify-full``."""

    def __str__(self) -> str:
        parts = urlsplit(self.uri)
        user, at, server = parts.netloc.rpartition("@")
        query = "&".join(one for one in parts.query.split("&") if one.partition("=")[0] not in _SECRETS)
        address = f"{parts.scheme}://{user.partition(':')[0]}{at}{server}{parts.path}"
        return f"{address}?{query}" if query else address

    def __repr__(self) -> str:
        return f"<PostgresLocation {self}>"

    @property
    def has_password(self) -> bool:
        """Whether the URI itself holds a password."""
        return bool(self.secrets())

    def secrets(self) -> list[str]:
        """The passwords in the URI, as written and as meant."""
        parts = urlsplit(self.uri)
        user = parts.netloc.rpartition("@")[0]
        found = [user.partition(":")[2], *(value for name, value in parse_qsl(parts.query) if name in _SECRETS)]
        return [form for one in found if one for form in (one, unquote(one))]

    def redacted(self, text: str) -> str:
        """The text without the URI's passwords."""
        for secret in self.secrets():
            text = text.replace(secret, "***")
        return text

    def exists(self) -> bool:
        """Whether it is worth a connection: it always is."""
        return True

    @property
    def beside(self) -> Path:
        """Where this machine keeps its locks and its counter for this database."""
        parts = urlsplit(self.uri)
        server = parts.netloc.rpartition("@")[2]
        same = "\0".join([server, parts.path, *sorted(f"{name}={value}" for name, value in parse_qsl(parts.query)
                                                      if name in ("host", "port", "dbname"))])  # fmt: skip
        digest = hashlib.sha256(same.encode()).hexdigest()[:16]
        import platformdirs

        return platformdirs.user_state_path("importer") / f"postgresql-{digest}"


LedgerLocation: TypeAlias = Path | PostgresLocation


def parse_location(text: str) -> LedgerLocation:
    """A file, or a database by its URI. Raises `UsageError` for a URI of another kind of database."""
    scheme, colon, _ = text.partition("://")
    if not colon or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]+", scheme):
        return Path(text)
    if scheme.lower() not in _SCHEMES:
        raise UsageError(
            f"a ledger is a file or a PostgreSQL database, not {scheme}://…",
            hint="write a path, or postgresql://user@host/database",
        )
    return PostgresLocation(text)
