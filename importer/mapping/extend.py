"""A mapping and those it extends, as one: what overrides what, and where each word stands.

This module owns `extends`: the words at the left margin replace those of the extended mapping; `properties` and
`needs` are merged name by name; null takes away what was inherited. What describes a single file (`about`,
`recognised_by`, `tests`) is not inherited. What words mean, and whether they are right, is ``model``'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from importer.errors import MappingError, MappingProblem, UsageError
from importer.mapping.locate import Located, locate
from importer.mapping.mistakes import Mistake, Place
from importer.mapping.yaml_tree import Path, Spot, Tree, parse

BY_NAME = ("properties", "needs")
"""Words whose members are inherited one by one."""
OWN = ("extends", "about", "recognised_by", "tests")
"""Words that speak of the file they stand in, and are not inherited."""

_MOST = 20
"""Mappings in a chain: beyond any use, below any harm."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One file of a chain, with the place of every word."""

    name: str
    tree: Tree


@dataclass(frozen=True, slots=True)
class Stack:
    """A mapping's words, merged, and the files that they come from."""

    layers: tuple[Layer, ...]
    """The file itself, then what it extends, then what that extends …"""
    data: Any
    """The merged words; what the file holds, if that is no mapping."""
    origins: dict[Path, Layer]
    """Which layer says a word, and each member of `BY_NAME`."""
    problems: tuple[MappingProblem, ...]
    """What is not YAML, and what cannot be extended."""
    is_whole: bool = True
    """Everything that is extended could be read."""

    def may_inherit(self, one: Mistake) -> bool:
        """Whether it is a mistake only because what is extended could not be read: a lack, or a null."""
        return not self.is_whole and (not one.place or self.data.get(one.place[0], one) is None)

    def problem(self, one: Mistake) -> MappingProblem:
        """A mistake with the place of what is at fault, or of the nearest thing around it that has a place."""
        layer = self.origin(one.place)
        place = one.place
        spot = layer.tree.values.get(place) if one.at == "value" else None
        while spot is None:
            spot = layer.tree.keys.get(place) or layer.tree.values.get(place)
            place = place[:-1]
        return MappingProblem(layer.name, spot.line, spot.column, one.message, one.hint)

    def origin(self, place: Place) -> Layer:
        """The layer in which a word stands."""
        return self.origins.get(place[:2]) or self.origins.get(place[:1]) or self.layers[0]

    def order(self, problem: MappingProblem) -> tuple[int, int, int]:
        """Problems are told file by file, the file itself first, and by line."""
        names = [layer.name for layer in self.layers]
        file = names.index(problem.file) if problem.file in names else len(names)
        return file, problem.line, problem.column


def stack(text: str, name: str) -> Stack:
    """Read a mapping and everything it extends."""
    first = Layer(name, parse(text))
    layers = [first]
    problems = _faults(first)
    seen = {_identity(name): name}
    base: Located | None
    while (spot := layers[-1].tree.values.get(("extends",))) is not None:
        here = layers[-1]
        wanted = here.tree.data["extends"]
        if not isinstance(wanted, str) or not wanted.strip():
            break  # the model says what is wrong
        try:
            base = locate(wanted, beside=here.name)
        except UsageError as error:
            problems.append(MappingProblem(here.name, spot.line, spot.column, error.message, error.hint))
            break
        except MappingError as error:
            problems += error.problems
            break
        if base.identity in seen or len(layers) >= _MOST:
            problems.append(_circle(here, spot, base, [layer.name for layer in layers]))
            break
        seen[base.identity] = base.name
        layers.append(Layer(base.name, parse(base.text)))
        problems += _faults(layers[-1])
        if not isinstance(layers[-1].tree.data, dict) and not layers[-1].tree.faults:
            problems.append(MappingProblem(here.name, spot.line, spot.column, f"{base.name} is no mapping"))
    last = layers[-1].tree.data
    is_whole = isinstance(last, dict) and "extends" not in last
    data, origins = _merge(layers)
    return Stack(tuple(layers), data, origins, tuple(problems), is_whole)


def _merge(layers: list[Layer]) -> tuple[Any, dict[Path, Layer]]:
    if len(layers) == 1 or not all(isinstance(layer.tree.data, dict) for layer in layers):
        return layers[0].tree.data, {}
    merged: dict[str, Any] = {}
    origins: dict[Path, Layer] = {}
    for layer in reversed(layers):
        for word, value in layer.tree.data.items():
            if word in OWN and layer is not layers[0]:
                continue
            if word in BY_NAME and isinstance(value, dict) and isinstance(merged.get(word), dict):
                inherited = dict(merged[word])
                for name, one in value.items():
                    _set(inherited, name, one)
                    origins[word, name] = layer
                merged[word] = inherited
            else:
                _set(merged, word, value)
                for place in [place for place in origins if place[0] == word]:
                    del origins[place]
            origins[word,] = layer
            if word in BY_NAME and isinstance(value, dict):
                origins |= {(word, name): layer for name in value}
    return merged, origins


def _set(words: dict[str, Any], word: str, value: Any) -> None:
    """Override; null takes away what is inherited, and is the model's to refuse where nothing is."""
    if value is None and word in words:
        del words[word]
    else:
        words[word] = value


def _identity(name: str) -> str:
    try:
        return locate(name).identity
    except (UsageError, MappingError):
        return name  # a text that is no file, as in tests


def _faults(layer: Layer) -> list[MappingProblem]:
    return [MappingProblem(layer.name, one.line, one.column, one.message, one.hint) for one in layer.tree.faults]


def _circle(here: Layer, spot: Spot, base: Located, names: list[str]) -> MappingProblem:
    way = ", which extends ".join([*names, base.name])
    return MappingProblem(
        here.name, spot.line, spot.column, f"this goes in a circle: {way}", "leave one `extends` of them out"
    )
