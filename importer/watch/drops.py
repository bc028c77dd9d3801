"""``drops.yaml``: which mapping, and whose account, a file gets by its name.

This module owns the little language of that file. What the mappings say is ``mapping``'s; they are loaded when a file
needs them, so that a mended one counts at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from importer.errors import MappingProblem, UsageError
from importer.mapping.errors import did_you_mean
from importer.mapping.load import preset_names
from importer.mapping.positions import Document, parse
from importer.mapping.positions import Path as Place
from importer.wording import counted

_EXAMPLE = "write `version: 1`, then `drops:` with entries such as `- {pattern: orders-*.csv, mapping: orders.yaml}`"
_KEYS = ("version", "drops")
_DROP_KEYS = ("pattern", "mapping", "account")


@dataclass(frozen=True, slots=True)
class Drop:
    """Files of one kind."""

    pattern: str
    """A shell pattern for the whole name, case and all: ``orders-*.csv``."""
    mapping: str
    """A path or a preset's name, as ``-m`` takes it."""
    account: str | None = None
    """None: the command line's."""

    def fits(self, name: str) -> bool:
        """Whether a file of this name is of this kind."""
        return fnmatchcase(name, self.pattern)


def only(mapping: str) -> tuple[Drop, ...]:
    """All files with one mapping, as ``-m`` asks."""
    return (Drop("*", mapping),)


def load_drops(path: Path) -> tuple[Drop, ...]:
    """The kinds of files, in the file's order; relative mappings lie beside it.

    Raises `UsageError` with every mistake and its line.
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
    return tuple(Drop(one["pattern"], _beside(path, one["mapping"]), one.get("account")) for one in drops)


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
        path: Place = ("drops", number)
        if not isinstance(drop, dict):
            yield document.problem(path, "a drop has a `pattern` and a `mapping`", at_value=True)
            continue
        yield from _unknown(document, path, drop, _DROP_KEYS)
        for key in _DROP_KEYS:
            value = drop.get(key)
            if (key != "account" and value is None) or (value is not None and not (isinstance(value, str) and value)):
                yield document.problem((*path, key), f"`{key}` must be a text", at_value=True)


def _unknown(document: Document, path: Place, data: dict[str, Any], known: tuple[str, ...]) -> Iterator[MappingProblem]:
    for key in data:
        if key not in known:
            hint = did_you_mean(key, known) or f"the keys here are {', '.join(known)}"
            yield document.problem((*path, key), f'unknown key "{key}"', hint)
