"""A mapping file in, the mapping out; or every mistake in it at once, each with its file, line and column.

This module brings the parts together: the text (``locate``), its data and places (``yaml_tree``), what it extends
(``extend``), the language (``model``). It leaves the wording to those that find a mistake, and comparing with real
files to ``columns``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from importer.errors import MappingError, MappingProblem
from importer.mapping import mistakes
from importer.mapping.extend import Stack, stack
from importer.mapping.locate import MAX_SIZE, Located, locate
from importer.mapping.model import ImportMapping
from importer.mapping.yaml_tree import Spot

__all__ = ["MAX_SIZE", "LoadedMapping", "Place", "load", "loads"]


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a mapping, or of one that it extends."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class LoadedMapping:
    """A mapping with the text that it came from."""

    name: str
    """As the user gave it: a path, or a preset's name."""
    text: str
    """Comments and all, as the ledger and the report keep it; without what it extends."""
    mapping: ImportMapping
    """With all that it inherits."""
    test_lines: tuple[int, ...] = ()
    """Where each of its `tests` stands."""
    places: Mapping[str, Place] = field(default_factory=dict)
    """Where each target's pick stands, by the names that reports use: ``value``, ``properties.total`` …"""


def load(path: str, *, partial: bool = False) -> LoadedMapping:
    """Load a mapping file or a preset; a ``partial`` one may lack what it says that it `needs`.

    Raises:
        UsageError: there is no such file, or it cannot be read.
        MappingError: it is not a mapping, or one with mistakes; all of them.
    """
    found: Located = locate(path)
    return loads(found.text, path, partial=partial)


def loads(text: str, name: str, *, partial: bool = False) -> LoadedMapping:
    """Load a mapping from its text; ``name`` stands for the file in messages, and what it extends lies beside it.

    Raises:
        MappingError: it is not a mapping, or one with mistakes; all of them.
    """
    whole = stack(text, name)
    problems = list(whole.problems)
    mapping = None
    if isinstance(whole.data, dict):
        try:
            mapping = ImportMapping.model_validate(whole.data, context=mistakes.FROM_FILE, by_alias=True, by_name=False)
        except ValidationError as error:
            problems += [whole.problem(one) for one in mistakes.read(error) if not whole.may_inherit(one)]
    elif not problems:
        problems.append(_not_a_mapping(name, whole))
    if mapping is not None and not partial:
        problems += [_need(word, why, whole) for word, why in mapping.unmet()]
    if mapping is None or problems:
        # What an alias repeats is said once.
        distinct = dict.fromkeys(problems)
        raise MappingError(tuple(sorted(distinct, key=whole.order)))
    tree = whole.layers[0].tree
    lines = tuple(tree.values["tests", number].line for number in range(len(mapping.tests)))
    return LoadedMapping(name, text, mapping, lines, _places(whole, mapping))


def _places(whole: Stack, mapping: ImportMapping) -> dict[str, Place]:
    found = {}
    for target, _ in mapping.picks():
        word, _, name = target.partition(".")
        place = (word, name) if name else (word,)
        layer = whole.origin(place)
        spot = layer.tree.keys.get(place)
        if spot is not None:
            found[target] = Place(layer.name, spot.line)
    return found


def _need(word: str, why: str, whole: Stack) -> MappingProblem:
    """What the mapping, or one that it extends, leaves to those who use it."""
    file = whole.layers[0]
    spot = file.tree.values.get(("extends",)) or file.tree.keys.get(("needs", word)) or Spot(1, 1)
    message = f"`{word}` must be said here: {why}"
    if file is whole.origin(("needs", word)):
        return MappingProblem(
            file.name, spot.line, spot.column, message, f"write a mapping with `extends: {file.name}` and `{word}`"
        )
    return MappingProblem(file.name, spot.line, spot.column, message, f"add a line with `{word}`")


def _not_a_mapping(name: str, whole: Stack) -> MappingProblem:
    hint = "begin with `version: 1`; docs/mapping.md shows the rest"
    if whole.data is None:
        return MappingProblem(name, 0, 0, "the mapping is empty", hint)
    found = "a list" if isinstance(whole.data, list) else "plain text"
    spot = whole.layers[0].tree.values[()]
    message = f"this is {found}, not a mapping; a mapping is lines of `word: value`"
    return MappingProblem(name, spot.line, spot.column, message, f"{hint}; if this is the data, give it without -m")
