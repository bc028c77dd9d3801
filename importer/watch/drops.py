"""``drops.yaml``: which mapping, and which account, a file gets by its name.

Mappings are loaded when a file needs them, so a corrected one counts at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

from importer.errors import MappingProblem, UsageError
from importer.mapping.errors import did_you_mean
from importer.mapping.load import preset_names
from importer.mapping.positions import Document, parse
from importer.mapping.positions import Path as KeyPath
from importer.wording import counted

_EXAMPLE = "write `version: 1`, then `drops:` with entries such as `- {pattern: orders-*.csv, mapping: orders.yaml}`"
_KEYS = ("version", "drops")
_DROP_KEYS = ("pattern", "mapping", "account")


class FileRule(msgspec.Struct, frozen=True):
    """Files of one kind, and how they are delivered."""

    pattern: str
    """A shell pattern for the whole name, case and all: ``orders-*.csv``."""
    mapping: str
    """A path or a preset's name, as ``-m`` takes it."""
    account: str | None = None
    """None: the command line's."""

    def fits(self, name: str) -> bool:
        """Whether a file of this name is of this kind."""
        return fnmatchcase(name, self.pattern)


def one_rule(mapping: str) -> tuple[FileRule, ...]:
    """One mapping for all files, as ``-m`` asks."""
    return (FileRule("*", mapping),)


def load_rules(path: Path) -> tuple[FileRule, ...]:
    """The kinds of files, in the file's order; relative mappings are beside it.

    Raises `UsageError` with every problem and its line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"{path} cannot be read: {reason}", hint="--drops takes a YAML file; " + _EXAMPLE) from None
    document = parse(text, str(path))
    problems = document.problems or list(_problems(document))
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise UsageError(f"{path} has {counted(len(problems), 'problem')}; no file was taken\n{lines}", hint=_EXAMPLE)
    drops = document.data["drops"]
    return tuple(FileRule(one["pattern"], _beside(path, one["mapping"]), one.get("account")) for one in drops)


def _beside(path: Path, mapping: str) -> str:
    return mapping if mapping in preset_names() else str(path.parent / mapping)


def _problems(document: Document) -> Iterator[MappingProblem]:
    if not isinstance(document.data, dict):
        yield MappingProblem(document.name, 0, 0, "this is not a list of drops")
        return
    yield from _unknown(document, (), document.data, _KEYS)
    if document.data.get("version") != 1:
        yield document.problem(("version",), "`version: 1` is expected", at_value=True)
    drops = document.data.get("drops")
    if not isinstance(drops, list) or not drops:
        yield document.problem(("drops",), "`drops` must be a list with at least one entry", at_value=True)
        return
    for number, drop in enumerate(drops):
        path: KeyPath = ("drops", number)
        if not isinstance(drop, dict):
            yield document.problem(path, "a drop has a `pattern` and a `mapping`", at_value=True)
            continue
        yield from _unknown(document, path, drop, _DROP_KEYS)
        for key in _DROP_KEYS:
            value = drop.get(key)
            if (key != "account" and value is None) or (value is not None and not (isinstance(value, str) and value)):
                yield document.problem((*path, key), f"`{key}` must be a text", at_value=True)


def _unknown(
    document: Document, path: KeyPath, data: dict[str, Any], known: tuple[str, ...]
) -> Iterator[MappingProblem]:
    for key in data:
        if key not in known:
            hint = did_you_mean(key, known) or f"the keys here are {', '.join(known)}"
            yield document.problem((*path, key), f'unknown key "{key}"', hint)
