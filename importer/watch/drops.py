"""``drops.yaml``: which mapping, and whose account, a file gets by its name.

This module owns the little language of that file. What the mappings say is ``mapping``'s; they are loaded when a file
needs them, so that a mended one counts at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from importer.errors import MappingProblem, UsageError
from importer.mapping.locate import presets
from importer.mapping.words import did_you_mean
from importer.mapping.yaml_tree import Spot, Tree, parse

_EXAMPLE = "write `version: 1`, then `drops:` with entries such as `- {pattern: orders-*.csv, mapping: orders.yaml}`"
_WORDS = ("version", "drops")
_DROP_WORDS = ("pattern", "mapping", "account")


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
    tree = parse(text)
    problems = [MappingProblem(str(path), one.line, one.column, one.message, one.hint) for one in tree.faults]
    if not problems:
        problems = list(_mistakes(tree, str(path)))
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        noun = "mistake" if len(problems) == 1 else "mistakes"
        raise UsageError(f"{path} has {len(problems)} {noun}; no file was taken\n{lines}", hint=_EXAMPLE)
    return tuple(Drop(one["pattern"], _beside(path, one["mapping"]), one.get("account")) for one in tree.data["drops"])


def _beside(path: Path, mapping: str) -> str:
    return mapping if mapping in presets() else str(path.parent / mapping)


def _mistakes(tree: Tree, name: str) -> Iterator[MappingProblem]:
    if not isinstance(tree.data, dict):
        yield MappingProblem(name, 0, 0, "this is no list of drops", None)
        return
    yield from _strangers(tree, name, (), tree.data, _WORDS)
    if tree.data.get("version") != 1:
        yield _problem(tree, name, ("version",), "`version: 1` is expected")
    drops = tree.data.get("drops")
    if not isinstance(drops, list) or not drops:
        yield _problem(tree, name, ("drops",), "`drops` is expected, a list with at least one entry")
        return
    for number, drop in enumerate(drops):
        place = ("drops", number)
        if not isinstance(drop, dict):
            yield _problem(tree, name, place, "a drop is a `pattern` and a `mapping`")
            continue
        yield from _strangers(tree, name, place, drop, _DROP_WORDS)
        for word in _DROP_WORDS:
            value = drop.get(word)
            if (word != "account" and value is None) or (value is not None and not (isinstance(value, str) and value)):
                yield _problem(tree, name, (*place, word), f"`{word}` is expected, a text")


def _strangers(
    tree: Tree, name: str, place: tuple[int | str, ...], data: dict[str, Any], known: Iterable[str]
) -> Iterator[MappingProblem]:
    for word in data:
        if word not in known:
            spot = tree.keys[(*place, word)]
            hint = did_you_mean(word, known) or f"the words here are {', '.join(known)}"
            yield MappingProblem(name, spot.line, spot.column, f"there is no word `{word}` here", hint)


def _problem(tree: Tree, name: str, place: tuple[int | str, ...], message: str) -> MappingProblem:
    spot = tree.values.get(place) or tree.values.get(place[:-1]) or Spot(1, 1)
    return MappingProblem(name, spot.line, spot.column, message)
