"""`accounts.yaml`: the accounts that a command sends for, and which rows go to which of them.

The file holds no token: it names the variables or the files that hold them. A row belongs to the account that its
``column`` names, or whose ``files`` fit the name of its file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import Annotated, Any, ClassVar

import msgspec
from pydantic import AfterValidator, BeforeValidator, Field, Strict, ValidationError, WithJsonSchema

from importer.errors import MappingError, UsageError
from importer.mapping import checks
from importer.mapping.errors import Expects, Model, Problem, invalid, problems_of
from importer.mapping.model import Column, Text
from importer.mapping.positions import parse
from importer.model import AccountColumn
from importer.wording import original_name, shown

UNASSIGNED = "unassigned"
"""The directory of their report."""

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]{0,39}"
_MAX_SIZE = 1 << 20
_TEXT: dict[str, Any] = {"type": ["string", "integer"]}


def _variable(name: str) -> str:
    if not re.fullmatch(_VARIABLE, name):
        raise invalid(
            "`token_env` must be the name of an environment variable (it is not shown: it may be the token itself)",
            "write a name such as SHOP_A_TOKEN, of at most 40 letters, digits and _, and put the token into it",
        )
    return name


def _several(value: object) -> object:
    return [value] if isinstance(value, str | int) else value


_Patterns = Annotated[
    tuple[str, ...],
    BeforeValidator(_several),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
    Expects('a pattern such as "shop-a-*", or a list of them'),
]


class AccountEntry(Model):
    """An account: where its token is, and where its events go."""

    called: ClassVar[str] = "an account"
    looks_like: ClassVar[str] = "keys such as {token_env: SHOP_A_TOKEN}"
    belongs: ClassVar[str] = "under the name of an account"

    token_env: Annotated[
        Annotated[str, AfterValidator(_variable), WithJsonSchema({"type": "string", "pattern": f"^{_VARIABLE}$"})]
        | None,
        Expects("the name of an environment variable"),
    ] = None
    """The environment variable that holds the account's API token."""
    token_file: Annotated[str | None, Expects("a file's path")] = None
    """The file that holds the account's API token; a relative path counts from this file."""
    endpoint: Annotated[str | None, Expects("an address such as https://api.sender.net/v2")] = None
    """The API's base address, if it is another than that of `--endpoint`."""
    limit: Annotated[Annotated[int, Strict(), Field(ge=1)] | None, Expects("a whole number from 1")] = None
    """Events a minute at the most, below what the API grants. A rehearsal's sandbox grants so many."""
    values: Annotated[
        tuple[Text, ...],
        BeforeValidator(_several),
        WithJsonSchema({"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}),
        Expects("a list of texts, such as [EU, Europe]"),
    ] = ()
    """What the column says of the account's rows, beside the account's own name; compared exactly, blanks around it
    left out."""
    files: Annotated[_Patterns | None, Expects('a pattern such as "shop-a-*", or a list of them')] = None
    """Patterns that fit the names of the account's files, without their directories."""


class AccountsFile(Model):
    """The accounts of one command."""

    called: ClassVar[str] = "the file of accounts"
    looks_like: ClassVar[str] = "lines of `key: value`, beginning with `version: 1`"
    missing: ClassVar[Mapping[str, str]] = {
        "version": "begin the file with `version: 1`",
        "accounts": "such as `accounts: {shop-a: {token_env: SHOP_A_TOKEN}}`",
    }

    version: Annotated[int, BeforeValidator(checks.one), WithJsonSchema({"const": 1}), Expects("1")]
    """The version of this language: 1."""
    column: Column | None = None
    """The column that names each row's account, or has one of its `values`. Without it, accounts have `files`."""
    accounts: Annotated[Mapping[str, AccountEntry], Field(min_length=1), Expects("accounts by their names")]
    """The accounts by name: the ledger counts by them, and their reports are in directories, by these names."""


class Accounts(msgspec.Struct, frozen=True):
    """A file of accounts that is valid."""

    name: str
    """The file, as the user named it."""
    column: str | None
    """The column that names each row's account."""
    entries: Mapping[str, AccountEntry]
    """The accounts by name, in the file's order."""

    def token_file(self, account: str) -> Path | None:
        """The file of an account's token, if it is in one."""
        found = self.entries[account].token_file
        return None if found is None else Path(self.name).parent / found

    def token_source(self, account: str) -> str:
        """Where an account's token is, in words."""
        variable = self.entries[account].token_env
        return f"the variable {variable}" if variable else f"the file {shown(str(self.token_file(account)))}"

    def by_column(self) -> AccountColumn | None:
        """How a row's cell names its account; None where its file does."""
        if self.column is None:
            return None
        names = {text: name for name, entry in self.entries.items() for text in (name, *entry.values)}
        return AccountColumn(self.column, names)

    def of_file(self, name: str) -> str | None:
        """The account whose patterns fit a file's name; None if there is none. Raises `UsageError` for several."""
        base = original_name(PurePath(name).name)
        found = [
            account
            for account, entry in self.entries.items()
            if any(fnmatchcase(base, pattern) for pattern in entry.files or ())
        ]
        if len(found) > 1:
            raise UsageError(
                f"{shown(name)} fits the `files` of {' and of '.join(found)}; nothing was read or sent",
                hint=f"change the patterns in {self.name}, so that each file fits one account",
            )
        return found[0] if found else None

    def routes(self) -> dict[str, Any]:
        """What decides which account a row belongs to, as JSON values: where it changes, a plan must be made anew."""
        entries = {name: [sorted(one.values), list(one.files or ())] for name, one in self.entries.items()}
        return {"column": self.column, "accounts": entries}


def load_accounts(name: str) -> Accounts:
    """Load a file of accounts.

    Raises:
        UsageError: there is no such file, or it cannot be read.
        MappingError: it has problems; all of them, each with its line.
    """
    try:
        with Path(name).open("rb") as opened:
            content = opened.read(_MAX_SIZE + 1)
        text = content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise UsageError(f"--accounts {shown(name)}: {why}", hint="docs/accounts.md shows such a file") from None
    if len(content) > _MAX_SIZE:
        raise UsageError(f"--accounts {shown(name)}: it is too large", hint="name a file of accounts, not of data")
    document = parse(text, name)
    problems = list(document.problems)
    made = None
    if isinstance(document.data, dict):
        made, found = _validated(document.data)
        problems += [document.problem(one.path, one.message, one.hint, at_value=one.at_value) for one in found]
    elif not problems:
        hint = "begin with `version: 1`; docs/accounts.md shows the rest"
        problems.append(document.problem((), "this is no file of accounts, which is lines of `key: value`", hint))
    if made is None or problems:
        raise MappingError(tuple(sorted(problems, key=lambda one: (one.line, one.column))), what=shown(name))
    return Accounts(name, made.column, made.accounts)


def _validated(data: dict[str, Any]) -> tuple[AccountsFile | None, list[Problem]]:
    entries = data.get("accounts")
    tokens = [
        Problem(
            ("accounts", name, "token"),
            "the token itself is never written in this file",
            "write `token_env` or `token_file`, and make a new token: this one may have been read by others",
        )
        for name, entry in (entries.items() if isinstance(entries, dict) else ())
        if isinstance(entry, dict) and "token" in entry
    ]
    try:
        made = AccountsFile.model_validate(data, by_alias=True, by_name=False)
    except ValidationError as error:
        known = {one.path for one in tokens}
        return None, tokens + [one for one in problems_of(AccountsFile, data, error) if one.path not in known]
    return made, list(_problems_between(made))


def _problems_between(file: AccountsFile) -> Iterator[Problem]:
    known: dict[str, str] = {}
    names: dict[str, str] = {}
    for name, entry in file.accounts.items():
        path = ("accounts", name)
        if not re.fullmatch(NAME, name) or name.lower() == UNASSIGNED:
            hint = "use letters, digits, dots, _ and -; `unassigned` is where rows without an account are"
            yield Problem(path, f'"{shown(name)[:80]}" cannot be an account\'s name', hint)
        elif (other := names.setdefault(name.lower(), name)) != name:
            yield Problem(path, f"`{name}` and `{other}` would have one directory", "choose another name")
        if (entry.token_env is None) == (entry.token_file is None):
            yield Problem(path, f"`{name}` needs its token's place", "write one of `token_env` and `token_file`")
        if file.column is None and entry.values:
            yield Problem((*path, "values"), "`values` belong to a `column`", "name the column, or write `files`")
        if file.column is None and entry.files is None:
            hint = "name the rows' `column` above `accounts`, or give each account its `files`"
            yield Problem(path, f"nothing says which rows go to `{name}`", hint)
        if file.column is not None and entry.files is not None:
            yield Problem((*path, "files"), "`column` and `files` exclude each other", "leave one of them out")
        for text in (name, *entry.values):
            if (other := known.setdefault(text.strip(), name)) != name:
                yield Problem(path, f'"{shown(text)[:80]}" means both `{other}` and `{name}`', "leave one of them out")
