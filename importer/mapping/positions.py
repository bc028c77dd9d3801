"""YAML 1.2 text → plain data, with the line and column of every key and value.

ruamel.yaml parses. Its nodes become data by the rules of a mapping file: keys are text as they are written; an unquoted
value is null, true, false or a number only as JSON would write it (so ``NO``, ``0123``, ``+370…`` and dates stay text);
nothing is ever made from a tag.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeAlias

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from importer.errors import MappingProblem

_MAX_VALUES = 100_000
"""Values in one file; those behind an alias count as often as it is used."""
_MAX_DEPTH = 50

_NUMBER = re.compile(r"-?(?:(?:0|[1-9][0-9]{0,99})(?P<fraction>\.[0-9]+)?|\.[0-9]+)(?P<exponent>[eE][+-]?[0-9]{1,3})?")
_CONSTANTS = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_FLAGS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_TAG_PREFIX = "tag:yaml.org,2002:"
_TAGS = frozenset(_TAG_PREFIX + name for name in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp"))

Path: TypeAlias = tuple[int | str, ...]
"""Keys and list positions that lead from a file's top to a value."""


class Position(msgspec.Struct, frozen=True):
    """A place in the text, 1-based."""

    line: int
    column: int


class Document(msgspec.Struct):
    """A file's data and where each part of it is."""

    name: str
    """The file, as messages name it."""
    data: Any = None
    """None if there is none, or if the text is not YAML."""
    keys: dict[Path, Position] = {}
    """Where each key is; members of lists have none."""
    values: dict[Path, Position] = {}
    problems: list[MappingProblem] = []
    """What is not YAML, or means nothing in a mapping, in the order of the text."""

    def problem(self, path: Path, message: str, hint: str | None = None, *, at_value: bool = False) -> MappingProblem:
        """A problem at a key or its value, or at the nearest thing around it that has a position."""
        position = self.values.get(path) if at_value else None
        while position is None and path:
            position = self.keys.get(path) or self.values.get(path)
            path = path[:-1]
        position = position or self.values.get(()) or Position(1, 1)
        return MappingProblem(self.name, position.line, position.column, message, hint)


class _TooMuchError(Exception):
    """The text expands to more than any mapping needs."""


@lru_cache(maxsize=32)  # a run reads its mapping several times: for its rows, its report and its advice
def parse(text: str, name: str) -> Document:
    """Parse one document; its ``problems`` say what cannot be read."""
    document = Document(name)
    try:
        node = YAML(typ="safe", pure=True).compose(text)
        if node is not None:
            document.data = _Walk(document).value(node, ())
    except MarkedYAMLError as error:
        return Document(name, problems=[_explained(error, name)])
    except ReaderError as error:
        return Document(name, problems=[_bad_character(error, text, name)])
    except (RecursionError, _TooMuchError):
        hint = f"a mapping has at most {_MAX_VALUES:,} values, nested at most {_MAX_DEPTH} deep (aliases are expanded)"
        return Document(name, problems=[MappingProblem(name, 1, 1, "the file is too large or too deeply nested", hint)])
    except (YAMLError, ValueError, AttributeError) as error:  # what ruamel raises for a broken directive
        message = f"this is not YAML: {' '.join(str(error).split())}"
        return Document(name, problems=[MappingProblem(name, 1, 1, message, _EXAMPLES)])
    return document


class _Walk:
    """One walk over the nodes, which fills a document and counts its values."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._count = 0

    def value(self, node: Node, path: Path) -> Any:
        """The node's data; records where it is."""
        self._count += 1
        if self._count > _MAX_VALUES or len(path) > _MAX_DEPTH:
            raise _TooMuchError
        self._document.values[path] = _position(node)
        if node.tag not in _TAGS:
            name = str(node.tag).replace(_TAG_PREFIX, "!!", 1)
            self._problem(node, f"the tag {name} has no meaning in a mapping", "leave it out; a mapping is plain data")
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
                self._problem(
                    key, "a list or a mapping cannot be a key", "put a text with brackets or braces in quotes"
                )
                continue
            word = str(self._scalar(key, is_key=True))
            place = (*path, word)
            if word in data:
                first = self._document.keys[place].line
                self._problem(key, f"`{word}` is set twice, first in line {first}", "keep one of them")
                continue
            self._document.keys[place] = _position(key)
            data[word] = self.value(value, place)
        return data

    def _scalar(self, node: ScalarNode, *, is_key: bool = False) -> Any:
        text = str(node.value)
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            self._problem(node, "half of a surrogate pair is not a character", "write the character itself")
            text = text.encode("utf-8", "replace").decode()
        return text if is_key or node.style or node.tag == f"{_TAG_PREFIX}str" else _plain(text)

    def _problem(self, node: Node, message: str, hint: str) -> None:
        at = _position(node)
        self._document.problems.append(MappingProblem(self._document.name, at.line, at.column, message, hint))


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


def _position(node: Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)


_EXAMPLES = "see docs/mapping.md for examples"
_WORDINGS: tuple[tuple[str, str, str, bool], ...] = (
    (r"found character '\\t'|found a tab character", "a tab where only spaces are allowed",
     "indent with spaces", False),
    (r"found character '(.)' that cannot start", "a text that begins with `{0}` must be in quotes",
     "put the text in quotes", False),
    (r"mapping values are not allowed here", "a second `:` in one line, or an indented line below a finished one",
     "put a text that contains `: ` in quotes", False),
    (r"found unexpected end of stream", "this quote is never closed", "close it", True),
    (r"found undefined alias '(.*)'", "no anchor `&{0}` above this line", "define it with & further up", False),
    (r"could not find expected ':'", "a line without `:`", "write `key: value`", True),
    (r"expected the node content", "a value is missing here", "write one, or remove the comma", False),
    (r"expected <block end>, but found", "the line is not indented like those above it",
     "indent it like its neighbours", False),
    (r"expected ',' or '([\]}])'", "this bracket is not closed with `{0}`", "close it, or put a comma between", True),
    (r"found another document", "a second document begins here",
     "a mapping file is one document; leave out the `---`", False),
    (r"found duplicate anchor '(.*)'", "the anchor `&{0}` is defined twice", "choose another name", False),
)  # fmt: skip
"""What the parser says, our message and hint, and whether the position where the construct began helps more."""


def _explained(error: MarkedYAMLError, name: str) -> MappingProblem:
    """A parser's error in plain words."""
    said = str(error.problem)
    mark: Any = error.problem_mark or error.context_mark
    message, hint = f"this is not YAML: {said}", _EXAMPLES
    for pattern, wording, advice, at_beginning in _WORDINGS:
        match = re.search(pattern, said)
        if match:
            mark = (error.context_mark if at_beginning else None) or mark
            message, hint = wording.format(*match.groups()), advice
            break
    # Marks count from 0; an error without one is at the text's beginning.
    return MappingProblem(name, getattr(mark, "line", 0) + 1, getattr(mark, "column", 0) + 1, message, hint)


def _bad_character(error: ReaderError, text: str, name: str) -> MappingProblem:
    before = text[: error.position]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    message = f"the control character U+{ord(text[error.position]):04X} is not allowed"
    return MappingProblem(name, line, column, message, "remove it")
