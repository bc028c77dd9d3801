"""What the user asks for, as frozen objects that travel whole from the command line to the rooms."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from importer import DEFAULT_ENDPOINT, TOKEN_VARIABLE
from importer.deliver.options import DeliveryOptions
from importer.errors import UsageError
from importer.ledger.location import LedgerLocation, parse_location
from importer.model import AccountColumn, Format, RejectsFormat, Run
from importer.remote import RemotePath
from importer.wording import public_name, shown

if TYPE_CHECKING:
    from importer.mapping.load import LoadedMapping
    from importer.read import Input
    from importer.sandbox.options import SandboxOptions


class TargetOptions(msgspec.Struct, frozen=True):
    """Where events go, and which ledger remembers it."""

    ledger: LedgerLocation
    account: str = "default"
    endpoint: str = DEFAULT_ENDPOINT
    token_file: Path | None = None
    token_variable: str = TOKEN_VARIABLE
    """The variable that holds the token, if no file does."""
    cap: int | None = None
    """Requests a minute at the most, if the API grants more."""
    environment: Mapping[str, str] = {}
    """Where the token is looked up."""
    sandbox: SandboxOptions | None = None
    """Rehearse: start a sandbox for this run; endpoint and token are its own."""
    reserve: int = 0
    outage_limit: float | None = None
    proxy: str | None = None
    """A proxy's URL, ``environment`` for what HTTPS_PROXY says, or None for none."""
    ca_file: Path | None = None
    """Certificates in PEM form that are trusted beside the system's."""

    def __repr__(self) -> str:
        """Without the environment, which may hold the token."""
        return f"TargetOptions({self.account!r}, {self.endpoint!r}, sandbox={self.sandbox!r})"

    def addressed(self, hint: str, run: Run) -> str:
        """A hint whose commands (`importer resume` …) name the run, and look for it in this ledger."""
        named = hint.replace("`importer resume`", f"`importer resume {run.id}`")
        return re.sub(
            r"`(importer (?:resume|resolve|runs)[^`]*)`", lambda found: f"`{found[1]}{self.ledger_option}`", named
        )

    @property
    def ledger_option(self) -> str:
        """The option by which a command finds the ledger; empty for the usual one. A run's id says the rest."""
        usual = self.ledger == default_ledger(self.environment)
        return "" if usual else f" --ledger {shlex.quote(str(self.ledger))}"


def default_ledger(environment: Mapping[str, str]) -> LedgerLocation:
    """``IMPORTER_LEDGER``, or ``ledger.db`` in the user's state directory."""
    if named := environment.get("IMPORTER_LEDGER"):
        return parse_location(named)
    import platformdirs

    return platformdirs.user_state_path("importer") / "ledger.db"


class ReadOptions(msgspec.Struct, frozen=True):
    """How rows are to be prepared."""

    strict: bool = False
    raw_rows: bool = False
    """Keep the original records, for rejects."""
    transform: str = ""
    """``file.py:function``, or empty."""
    bodies: bool = True
    """Make the requests' bodies."""
    workers: int | None = None
    """How many processes on this machine prepare the rows; None: this one alone."""
    scheduler: str | None = None
    """The address of the Dask scheduler whose workers prepare the rows."""
    accounts: AccountColumn | None = None
    """How rows name their account; None: there is one for all."""

    @property
    def here(self) -> bool:
        """Whether this process prepares the rows."""
        return self.workers is None and self.scheduler is None

    @classmethod
    def of_run(cls, run: Run) -> ReadOptions:
        """As the run was begun."""
        return cls(strict=bool(run.options.get("strict")), transform=run.options.get("transform", ""))


class RunOptions(msgspec.Struct, frozen=True):
    """What is to be delivered, and how."""

    sources: tuple[str, ...]
    mapping: str | LoadedMapping
    """A file's path, a preset's name, or a mapping made in Python."""
    strict: bool = False
    transform: str = ""
    """``file.py:function``: the user's own function, called before the mapping."""
    again: bool = False
    """Send delivered rows again."""
    out: Path | RemotePath | None = None
    """None: ``importer-runs/RUN``."""
    out_afterwards: Path | RemotePath | None = None
    """Where the outputs are moved to, by which the report names them; None: they stay."""
    report_format: Format = "csv"
    rejects_format: RejectsFormat = "source"
    keep_bodies: bool = False
    first: int | None = None
    """Send so many, then ask again."""
    inputs: tuple[Input, ...] = ()
    """What is read in the place of the sources: corrected rows, or files with names of their own."""
    routes: Mapping[str, Any] | None = None
    """What decides which account a row belongs to; None: there is one for all."""
    workers: int | None = None
    """How many processes of this machine prepare the rows; None: this one."""
    scheduler: str | None = None
    """The address of the Dask scheduler whose workers prepare the rows."""
    wait: bool = False
    """Wait for another process that works on the run, or sends for the account."""
    brief: bool = False
    """One of many runs: the sandbox's address, which ends with the run, is not shown."""
    delivery: DeliveryOptions = DeliveryOptions()

    def __post_init__(self) -> None:
        """Raises `UsageError` where ``out`` is no path."""
        if isinstance(self.out, Path) and re.match(r"[a-z][a-z0-9+.-]+:/", str(self.out)):
            words = f"out={shown(repr(self.out))}: an address is no path"
            raise UsageError(words, hint="give it as a text, or as RemotePath.parse makes it")

    @property
    def readable(self) -> tuple[str | Input, ...]:
        """What to read."""
        return self.inputs or self.sources

    def reading(self, *, raw_rows: bool = False, bodies: bool = True) -> ReadOptions:
        """How the rows are to be prepared."""
        return ReadOptions(self.strict, raw_rows, self.transform, bodies, self.workers, self.scheduler)

    def load_mapping(self) -> LoadedMapping:
        """Raises `MappingError` with all that is wrong with it."""
        from importer.mapping.load import load

        return load(self.mapping) if isinstance(self.mapping, str) else self.mapping

    def kept(self) -> dict[str, Any]:
        """What `importer resume` must still know, as JSON values."""
        return {
            "sources": list(map(public_name, self.sources)),
            "strict": self.strict,
            "again": self.again,
            "transform": self.transform,
            "out": None if self.out is None else str(self.out),
            "report_format": self.report_format,
            "rejects_format": self.rejects_format,
            "keep_bodies": self.keep_bodies,
            "resend_doubtful": bool(self.delivery.resend_doubtful),
            "strict_order": self.delivery.strict_order,
            **({} if self.routes is None else {"accounts": self.routes}),
        }

    def of_run(self, run: Run) -> RunOptions:
        """This order, with what the run was begun with where the command line says nothing."""
        kept = run.options
        out = self.out or (RemotePath.parse(kept["out"]) if kept["out"] else None)
        asked = self.delivery.resend_doubtful
        delivery = replace(
            self.delivery,
            resend_doubtful=kept["resend_doubtful"] if asked is None else asked,
            strict_order=self.delivery.strict_order or kept["strict_order"],
        )
        return replace(
            self,
            sources=tuple(kept["sources"]),
            mapping=run.mapping_name,
            strict=kept["strict"],
            out=out,
            report_format=kept["report_format"],
            rejects_format=kept.get("rejects_format", "source"),
            keep_bodies=kept["keep_bodies"],
            delivery=delivery,
        )
