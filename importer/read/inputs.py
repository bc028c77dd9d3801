"""From the command line's SOURCE arguments to the list of inputs."""

# Names stay exactly as the user wrote them, which pathlib would normalise.
# ruff: noqa: PTH100, PTH110, PTH112, PTH113, PTH118, PTH120, PTH207

from __future__ import annotations

import glob
import io
import os
import zipfile
from collections.abc import Iterator, Sequence

from importer.errors import SourceError, UsageError
from importer.read.files import ENDINGS, Input, data_members, is_data_name, recognise_compression
from importer.remote import find_remote
from importer.wording import is_remote, public_name, shown

STDIN = "<stdin>"


def expand(arguments: Sequence[str | Input]) -> list[Input]:
    """Files, globs, directories and ``-`` as inputs, in the order given; sorted within a glob or a directory.

    A directory is searched to its bottom, links followed, for regular files with known endings; hidden files, and
    those that Excel puts beside an open workbook (``~$``), are left out. An address means an object, or all below a
    prefix, or is a glob. A zip archive means its members; an `Input` for itself. A file
    that is named twice is read once. Raises `UsageError` where an argument matches nothing.
    """
    found: dict[tuple[str, str | None], Input] = {}
    for argument in arguments:
        for source in [argument] if isinstance(argument, Input) else _expand_one(argument):
            path = source.path or STDIN
            found.setdefault((path if source.is_remote else os.path.realpath(path), source.member), source)
    return list(found.values())


def _expand_one(argument: str) -> Iterator[Input]:
    if argument == "-":
        yield Input(STDIN, None)
    elif os.path.isdir(argument):
        yield from _directory(argument)
    elif os.path.lexists(argument):
        yield from _file(argument)
    elif is_remote(argument):
        yield from _remote(argument)
    elif glob.has_magic(argument):
        matches = sorted(glob.glob(argument, recursive=True))
        if not matches:
            raise UsageError(f"{shown(argument)}: no file matches", hint=_look(argument))
        for match in matches:
            if not os.path.isdir(match):
                yield from _file(match)
            elif "**" not in argument:
                yield from _directory(match)
    else:
        raise UsageError(f"{shown(argument)}: no such file or directory", hint=_look(argument))


def _remote(argument: str) -> Iterator[Input]:
    for address, is_named in find_remote(argument):
        name = public_name(address)
        if is_named or is_data_name(name):
            yield from _members(Input(name, address), look=name.lower().endswith(".zip"))


def _look(argument: str) -> str:
    return f"check the path: ls {shown(_parent(argument))}"


def _parent(argument: str) -> str:
    head = os.path.dirname(argument)
    while glob.has_magic(head) or (head and not os.path.isdir(head)):
        head = os.path.dirname(head)
    return head or "."


def _directory(directory: str) -> Iterator[Input]:
    found = False
    seen: set[str] = set()
    for parent, children, names in os.walk(directory, followlinks=True):
        here = os.path.realpath(parent)
        if here in seen:  # a link that leads back
            children.clear()
            continue
        seen.add(here)
        children[:] = sorted(child for child in children if not child.startswith("."))
        for name in sorted(names):
            path = os.path.join(parent, name)
            if (
                is_data_name(name)
                and not name.startswith((".", "~$"))
                and (os.path.isfile(path) or not os.path.exists(path))
            ):
                found = True
                yield from _file(path)
    if not found:
        raise UsageError(
            f"{shown(directory)}: the directory holds no data file",
            hint=f"known endings: {' '.join(ENDINGS)}, also with .gz .bz2 .xz .zst, and .zip; name others directly",
        )


def _file(path: str) -> Iterator[Input]:
    """A file, or an archive's members. A file that cannot be opened is found out when its turn to be read comes."""
    name = os.fsencode(path).decode("utf-8", "backslashreplace")
    # What was read of a pipe would be gone.
    yield from _members(Input(name, os.path.abspath(path)), look=os.path.isfile(path))


def _members(whole: Input, *, look: bool) -> Iterator[Input]:
    """The members of an archive, if it is worth a look whether it is one; else the file itself."""
    members: list[str] = []
    if look:
        try:
            with io.BufferedReader(whole.open()) as file:
                if recognise_compression(file.peek(6)) == "zip":
                    with zipfile.ZipFile(file) as archive:
                        members = data_members(archive)
        except (OSError, ValueError, RuntimeError, SourceError, zipfile.BadZipFile):
            members = []
    if not members or len(set(members)) < len(members):
        yield whole
        return
    for member in members:
        yield Input(f"{whole.name}/{member}", whole.path, member)
