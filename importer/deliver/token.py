"""The API token: read from the environment or a file, and never shown."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from importer import TOKEN_VARIABLE
from importer.errors import UsageError
from importer.wording import shown

VARIABLE = TOKEN_VARIABLE
MASK = "[token]"
"""Shown in place of the token."""
MAX_LENGTH = 8192
"""Longer tokens fit into no server's header."""
_TELLING = 8
"""So many first characters of a token are masked as well, with what follows: others cut what they repeat."""
_SHORT_NAME = 20
"""A file name of that length, or with digits but no ending, in no directory that exists, may be a pasted token."""


class Token:
    """An opaque secret: printing, formatting, comparing or pickling it does not reveal it."""

    __slots__ = ("__pattern", "__secret")

    def __init__(self, secret: str) -> None:
        """Take a token as it was pasted, white space around it stripped; raises `UsageError` if it cannot be one."""
        secret = secret.strip()
        if not secret:
            raise UsageError("the API token is empty", hint=_WHERE)
        if secret.lower().startswith("bearer "):
            raise UsageError("the API token begins with the word Bearer", hint="leave the word out; importer adds it")
        if len(secret) > MAX_LENGTH:
            raise UsageError(f"the API token has {len(secret):,} characters", hint="is this the right file? " + _WHERE)
        if not all("!" <= character <= "~" for character in secret):
            raise UsageError(
                "the API token holds spaces, line breaks or other characters that no token has",
                hint="paste it again, on one line and without quotes around it",
            )
        self.__secret = secret
        in_json = json.dumps(secret)[1:-1]
        forms = [re.escape(form) for form in (in_json.replace("/", "\\/"), in_json, secret)]
        if len(secret) >= 2 * _TELLING:
            forms.append(re.escape(secret[:_TELLING]) + r"[\w.~+/=|-]*")
        self.__pattern = re.compile("|".join(forms))

    def header(self) -> str:
        """The value of the ``Authorization`` header."""
        return f"Bearer {self.__secret}"

    def redact(self, text: str) -> str:
        """``text``, which came from elsewhere, with the token masked, or as much of its beginning as is there."""
        return self.__pattern.sub(MASK, text)

    def __repr__(self) -> str:
        return f"Token({MASK})"

    def __str__(self) -> str:
        return MASK

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Token is never pickled or copied; hand on where it is read from instead")


_WHERE = (
    f"make one in Sender under Settings, API access tokens; then set {VARIABLE}, or put it into a file for --token-file"
)


def read_token(env: Mapping[str, str], token_file: Path | None, variable: str = VARIABLE) -> Token:
    """The token from ``token_file`` if one is given, else from the ``variable``; raises `UsageError`."""
    if token_file is None:
        if variable not in env:
            named = "" if variable == VARIABLE else f": the variable {variable} is not set"
            raise UsageError(f"no API token{named}", hint=_WHERE + "; --sandbox needs none")
        return Token(env[variable])
    try:
        # A byte more than any token has: what is larger is refused without being read.
        with token_file.open("rb") as file:
            content = file.read(MAX_LENGTH * 2)
        return Token(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UsageError(f"--token-file {shown(str(token_file))}: this is not a text file", hint=_WHERE) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _unreadable(token_file, getattr(error, "strerror", None) or "not a file name") from None
    except UsageError as error:
        raise UsageError(f"--token-file {shown(str(token_file))}: {error.message}", hint=error.hint) from None


def _unreadable(token_file: Path, why: str) -> UsageError:
    """The error names the file, unless its name may be the token itself."""
    name = str(token_file)
    parent = token_file.parent
    in_directory = parent != Path() and parent.is_dir()
    is_word = len(name) < _SHORT_NAME and (bool(token_file.suffix) or not re.search(r"\d", name))
    if is_word or (in_directory and len(token_file.name) < 4 * _SHORT_NAME):
        return UsageError(f"--token-file {shown(str(token_file))}: {why}", hint=_WHERE)
    return UsageError(
        f"--token-file: {why} (the name is not shown: it may be the token itself)",
        hint=f"--token-file takes the name of a file; put the token into that file, or into {VARIABLE}",
    )


def exposure(token_file: Path) -> str | None:
    """A warning if others on this machine can read the token's file, with what to do; None if all is well."""
    try:
        mode = token_file.stat().st_mode
    except OSError:
        return None
    if stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH):
        return f"other users of this machine can read {token_file}; run: chmod 600 {token_file}"
    return None
