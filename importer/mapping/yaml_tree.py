"""YAML 1.2 text → plain data, with the line and column of every word and value.

ruamel.yaml parses; this module turns its nodes into data by the rules of a mapping file: keys are text as they are
written; an unquoted value is null, true, false or a number only as JSON would write it (so ``NO``, ``0123``, ``+370…``
and dates stay text); nothing else is ever made from a tag. It knows no word of the mapping language.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from importer.mapping.yaml_errors import Fault, explain, explain_character

_MAX_VALUES = 100_000
"""Values in one file, those behind an alias counted as often as it is used: beyond any mapping, below any harm."""
_MAX_DEPTH = 50

_NUMBER = re.compile(r"-?(?:(?:0|[1-9][0-9]{0,99})(?P<fraction>\.[0-9]+)?|\.[0-9]+)(?P<exponent>[eE][+-]?[0-9]{1,3})?")
_CONSTANTS = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_FLAGS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_TAG_PREFIX = "tag:yaml.org,2002:"
_TAGS = frozenset(_TAG_PREFIX + name for name in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp"))

Path = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in the text, 1-based."""

    line: int
    column: int


@dataclass(slots=True)
class Tree:
    """The data and where it stands; filled by `parse`, then only read."""

    data: Any = None
    keys: dict[Path, Spot] = field(default_factory=dict)
    """Where each word stands; members of lists have none."""
    values: dict[Path, Spot] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    """What cannot be, in the order of the text."""


class _TooMuchError(Exception):
    """The text stands for more than any mapping does."""


def parse(text: str) -> Tree:
    """Parse one document; ``data`` is None if there is none, or if it is not YAML (then ``faults`` says why)."""
    tree = Tree()
    try:
        node = YAML(typ="safe", pure=True).compose(text)
        if node is not None:
            tree.data = _Walk(tree).value(node, ())
    except MarkedYAMLError as error:
        tree.faults = [explain(error)]
    except ReaderError as error:
        tree.faults = [explain_character(error, text)]
    except (RecursionError, _TooMuchError):
        hint = (
            f"a mapping has at most {_MAX_VALUES:,} values, nested {_MAX_DEPTH} deep, aliases counted as often as used"
        )
        tree = Tree(faults=[Fault(1, 1, "the file stands for more than a mapping can be", hint)])
    return tree


class _Walk:
    """One walk over the nodes; the mutable state is the tree it fills and the number of values so far."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._count = 0

    def value(self, node: Node, path: Path) -> Any:
        """The node's data; registers where it stands."""
        self._count += 1
        if self._count > _MAX_VALUES or len(path) > _MAX_DEPTH:
            raise _TooMuchError
        self._tree.values[path] = _spot(node)
        if node.tag not in _TAGS:
            name = str(node.tag).replace(_TAG_PREFIX, "!!", 1)
            self._fault(node, f"the tag `{name}` means nothing in a mapping", "leave it out; a mapping is plain data")
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.value(member, (*path, position)) for position, member in enumerate(node.value)]
        assert isinstance(node, ScalarNode)
        return self._scalar(node)

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self._fault(key, "a list or a set of words stands where a word is expected", "quote a text with braces")
                continue
            word = str(key.value)
            place = (*path, word)
            if word in data:
                first = self._tree.keys[place].line
                self._fault(key, f"`{word}` is set twice, first in line {first}", "keep one of them")
                continue
            self._tree.keys[place] = _spot(key)
            data[word] = self.value(value, place)
        return data

    def _scalar(self, node: ScalarNode) -> Any:
        text = str(node.value)
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            self._fault(node, "half a surrogate pair is not a character", "write the character itself")
        return text if node.style or node.tag == f"{_TAG_PREFIX}str" else _plain(text)

    def _fault(self, node: Node, message: str, hint: str) -> None:
        spot = _spot(node)
        self._tree.faults.append(Fault(spot.line, spot.column, message, hint))


def _plain(text: str) -> Any:
    """An unquoted scalar: null, true, false, a number as JSON writes it, or text."""
    if text in _CONSTANTS:
        return None
    if text in _FLAGS:
        return _FLAGS[text]
    number = _NUMBER.fullmatch(text)
    if number is None:
        return text
    if "." not in text and number["exponent"] is None:
        return int(text)
    value = float(text)
    # What a float cannot hold stays text, so that no digit is lost.
    return value if Decimal(repr(value)) == Decimal(text) else text


def _spot(node: Node) -> Spot:
    return Spot(node.start_mark.line + 1, node.start_mark.column + 1)
