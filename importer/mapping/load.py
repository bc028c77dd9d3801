"""A mapping's name in, the mapping out; or every problem in it at once, each with its file, line and column.

A preset's name is that preset (``./name`` is a file of that name), anything else is a path; a name in `extends` is
looked for beside the file that has it. Keys at the left margin replace those of the extended mapping; `properties`,
`needs` and `lookups` are merged name by name; null removes what is inherited. What describes a single file (`about`,
`recognised_by`, `tests`) is not inherited.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from itertools import takewhile
from pathlib import Path
from typing import Any

import msgspec
from pydantic import ValidationError

from importer.errors import MappingError, MappingProblem, UsageError
from importer.mapping.errors import Problem, problems_of
from importer.mapping.model import ImportMapping
from importer.mapping.positions import Document, parse
from importer.mapping.positions import Path as DataPath
from importer.mapping.rules import problems_between
from importer.wording import is_remote, shown

MAX_SIZE = 256 << 10
"""Bytes of a mapping file: thousands of keys, read in seconds. A larger file is refused before it is read."""
BY_NAME = ("properties", "needs", "lookups")
"""Keys whose members are inherited one by one."""
OWN = ("extends", "about", "recognised_by", "tests")
"""Keys that describe the file they are in, and are not inherited."""

_OPEN = re.compile(r"\s*# OPEN: (.*)")
_OPEN_MORE = re.compile(r"\s*#       (.*)")
_MAX_LAYERS = 20
"""Mappings in a chain of `extends`."""
_MAX_PROBLEMS = 100
"""Problems that are reported; a file with more is no mapping."""
_ENOUGH = 0.75
"""The share of a preset's `recognised_by` that a header must have."""


class Place(msgspec.Struct, frozen=True):
    """A line of a mapping, or of one that it extends."""

    file: str
    line: int


class LoadedMapping(msgspec.Struct, frozen=True):
    """A mapping with the text that it came from."""

    name: str
    """As the user gave it: a path, or a preset's name."""
    text: str
    """Comments and all, as the ledger and the report keep it; without what it extends."""
    mapping: ImportMapping
    """With all that it inherits."""
    test_lines: tuple[int, ...] = ()
    """The line of each of its `tests`."""
    places: Mapping[str, Place] = {}
    """The line of each target, by the names that reports use: ``value``, ``properties.total`` …"""


def load(name: str, *, partial: bool = False) -> LoadedMapping:
    """Load a mapping file or a preset; a ``partial`` one may lack what it `needs`.

    Raises:
        UsageError: there is no such file, or it cannot be read.
        MappingError: it is not a mapping, or one with problems; all of them.
    """
    return loads(_located(name)[1], name, partial=partial)


def loads(text: str, name: str, *, partial: bool = False) -> LoadedMapping:
    """Load a mapping from its text; ``name`` is the file in messages, and what it extends is beside it.

    Raises:
        MappingError: it is not a mapping, or one with problems; all of them.
    """
    chain = _Chain.read(text, name)
    if not partial and (asked := list(_open_questions(text, name))):
        raise MappingError(tuple(asked[:_MAX_PROBLEMS]), total=len(asked))
    problems = list(chain.problems)
    mapping = None
    if isinstance(chain.data, dict):
        mapping, found = _validated(chain.data)
        problems += [chain.problem(one) for one in found if not chain.may_inherit(one)]
    elif not problems:
        problems.append(_not_a_mapping(chain.documents[0]))
    if mapping is not None and not partial:
        problems += [_need(key, why, chain) for key, why in mapping.needs.items() if not chain.meets(key, mapping)]
    if mapping is None or problems:
        # What an alias repeats is reported once.
        distinct = sorted(dict.fromkeys(problems), key=chain.order)
        raise MappingError(tuple(distinct[:_MAX_PROBLEMS]), total=len(distinct))
    own = chain.documents[0]
    mapping = chain.with_paths(mapping)
    lines = tuple(own.values["tests", number].line for number in range(len(mapping.tests)))
    return LoadedMapping(name, text, mapping, lines, chain.places(mapping))


def _open_questions(text: str, name: str) -> Iterator[MappingProblem]:
    """What `importer init` left to the user: comments that begin with ``# OPEN:``, and their indented next lines."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if found := _OPEN.fullmatch(line):
            rest = takewhile(bool, (_OPEN_MORE.fullmatch(one) for one in lines[number + 1 :]))
            question = " ".join([found[1], *(one[1] for one in rest if one)])
            hint = "take the # away from the line below it that is right, or write one; then delete the line with OPEN"
            yield MappingProblem(name, number + 1, line.index("#") + 1, f"this is open: {question}", hint)


def from_data(data: Any, name: str = "mapping") -> ImportMapping:
    """A mapping made in Python as a dict, by the rules of a file.

    Raises:
        MappingError: it has problems; all of them, each with its path.
    """
    if not isinstance(data, dict):
        raise MappingError((MappingProblem(name, 0, 0, "a mapping is a dict such as {'version': 1, …}"),))
    mapping, found = _validated(data)
    if mapping is None or found:
        problems = [MappingProblem(".".join([name, *map(str, one.path)]), 0, 0, one.message, one.hint) for one in found]
        raise MappingError(tuple(problems))
    return mapping


def _validated(data: dict[str, Any]) -> tuple[ImportMapping | None, list[Problem]]:
    empty = [Problem(path, f"`{path[-1]}` has no value", "write one, or leave the line out") for path in _empty(data)]
    places = {one.path for one in empty}
    mapping = None
    found: list[Problem] = []
    try:
        mapping = ImportMapping.model_validate(data, by_alias=True, by_name=False)
    except ValidationError as error:
        found = [one for one in problems_of(ImportMapping, data, error) if one.path not in places]
    found = empty + found
    return mapping, found + list(problems_between(data, {one.path for one in found}))


def _empty(data: Any, path: DataPath = ()) -> Iterator[DataPath]:
    """Keys without a value; null means something in `map` and in rows alone."""
    members = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in members:
        if value is None and isinstance(data, dict):
            yield (*path, key)
        elif key not in ("map", "rows") or path == ("properties",):
            yield from _empty(value, (*path, key))


class _Chain(msgspec.Struct, frozen=True):
    """A mapping's keys, merged with those that it extends, and the files that they come from."""

    documents: tuple[Document, ...]
    """The file itself, then what it extends, then what that extends …"""
    data: Any
    """The merged keys; the file's data, if that is no mapping."""
    origins: dict[DataPath, Document]
    """Which file sets a key, and each member of `BY_NAME`."""
    problems: tuple[MappingProblem, ...]
    """What is not YAML, and what cannot be extended."""
    is_whole: bool
    """Everything that is extended could be read."""

    @classmethod
    def read(cls, text: str, name: str) -> _Chain:
        """Read a mapping and everything it extends."""
        documents = [parse(text, name)]
        problems = list(documents[0].problems)
        identities = {_identity(name)}
        while ("extends",) in documents[-1].values:
            here = documents[-1]
            wanted = here.data["extends"]
            if not isinstance(wanted, str) or not wanted.strip():
                break  # the model reports it
            try:
                name, text = _located(wanted, beside=here.name)
            except UsageError as error:
                problems.append(here.problem(("extends",), error.message, error.hint, at_value=True))
                break
            except MappingError as error:
                problems += error.problems
                break
            if _identity(name) in identities or len(documents) >= _MAX_LAYERS:
                way = ", which extends ".join([*(one.name for one in documents), name])
                hint = "remove one of these `extends`"
                problems.append(here.problem(("extends",), f"`extends` goes in a circle: {way}", hint, at_value=True))
                break
            identities.add(_identity(name))
            documents.append(parse(text, name))
            problems += documents[-1].problems
            if not isinstance(documents[-1].data, dict) and not documents[-1].problems:
                problems.append(here.problem(("extends",), f"{name} is not a mapping", at_value=True))
        last = documents[-1].data
        is_whole = isinstance(last, dict) and last.get("extends") is None
        data, origins = _merged(documents)
        return cls(tuple(documents), data, origins, tuple(problems), is_whole)

    def may_inherit(self, one: Problem) -> bool:
        """Whether it is a problem only because what is extended could not be read: a lack, or a null."""
        return not self.is_whole and (not one.path or self.data.get(one.path[0], one) is None)

    def with_paths(self, mapping: ImportMapping) -> ImportMapping:
        """The mapping with the paths of its lookups counted from the files that name them."""
        if not mapping.lookups:
            return mapping
        found = {}
        for name, lookup in mapping.lookups.items():
            folder = Path(self.origin(("lookups", name)).name).parent
            several = [lookup.file] if isinstance(lookup.file, str) else lookup.file
            found[name] = lookup.model_copy(
                update={"file": tuple(one if is_remote(one) else str(folder / one) for one in several)}
            )
        return mapping.model_copy(update={"lookups": found})

    def meets(self, key: str, mapping: ImportMapping) -> bool:
        """Whether a key that is needed is set; the subscriber, which no mapping lacks, by an extending mapping."""
        if key == "subscriber":
            return self.origin((key,)) is not self.origin(("needs", key))
        return getattr(mapping, key) is not None

    def problem(self, one: Problem) -> MappingProblem:
        """A problem with its file, line and column."""
        return self.origin(one.path).problem(one.path, one.message, one.hint, at_value=one.at_value)

    def origin(self, path: DataPath) -> Document:
        """The file that sets a key."""
        return self.origins.get(path[:2]) or self.origins.get(path[:1]) or self.documents[0]

    def order(self, problem: MappingProblem) -> tuple[int, int, int]:
        """Problems are reported file by file, the file itself first, and by line."""
        names = [document.name for document in self.documents]
        file = names.index(problem.file) if problem.file in names else len(names)
        return file, problem.line, problem.column

    def places(self, mapping: ImportMapping) -> dict[str, Place]:
        """The line of each target."""
        found = {}
        for target, _ in mapping.fields():
            key, _, name = target.partition(".")
            path = (key, name) if name else (key,)
            document = self.origin(path)
            if path in document.keys:
                found[target] = Place(document.name, document.keys[path].line)
        return found


def _merged(documents: list[Document]) -> tuple[Any, dict[DataPath, Document]]:
    if len(documents) == 1 or not all(isinstance(one.data, dict) for one in documents):
        return documents[0].data, {}
    merged: dict[str, Any] = {}
    origins: dict[DataPath, Document] = {}
    for document in reversed(documents):
        for key, value in document.data.items():
            if key in OWN and document is not documents[0]:
                continue
            by_name = isinstance(value, dict) and key in BY_NAME
            if by_name and isinstance(merged.get(key), dict):
                merged[key] = dict(merged[key])
                for name, one in value.items():
                    _set(merged[key], name, one)
            else:
                _set(merged, key, value)
                origins = {path: one for path, one in origins.items() if path[0] != key}
            origins |= {(key,): document} | {(key, name): document for name in (value if by_name else ())}
    return merged, origins


def _set(keys: dict[str, Any], key: str, value: Any) -> None:
    """Override; null removes what is inherited, and is a problem where nothing is."""
    if value is None and key in keys:
        del keys[key]
    else:
        keys[key] = value


def _need(key: str, why: str, chain: _Chain) -> MappingProblem:
    """A key that the mapping, or one that it extends, leaves to its users."""
    own = chain.documents[0]
    message = f"`{key}` must be set here: {why}"
    if own is chain.origin(("needs", key)):
        return own.problem(("needs", key), message, f"write a mapping with `extends: {own.name}` and `{key}`")
    return own.problem(("extends",), message, f"add a line with `{key}`", at_value=True)


def _not_a_mapping(document: Document) -> MappingProblem:
    hint = "begin with `version: 1`; docs/mapping.md shows the rest"
    if document.data is None:
        return MappingProblem(document.name, 0, 0, "the mapping is empty", hint)
    found = "a list" if isinstance(document.data, list) else "plain text"
    message = f"this is {found}, not a mapping; a mapping is lines of `key: value`"
    return document.problem((), message, f"{hint}; if this is the data, give it without -m")


@cache
def preset_names() -> tuple[str, ...]:
    """The names of all presets, sorted."""
    folder = files("importer.mapping").joinpath("presets")
    return tuple(sorted(one.name.removesuffix(".yaml") for one in folder.iterdir() if one.name.endswith(".yaml")))


def preset_text(name: str) -> str:
    """The YAML of one of the presets, comments and all.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in preset_names():
        near = _near_presets(name)
        hint = f"did you mean {' or '.join(near)}?" if near else f"the presets are {', '.join(preset_names())}"
        raise UsageError(f"there is no preset {name}", hint=hint)
    return files("importer.mapping").joinpath("presets", f"{name}.yaml").read_text(encoding="utf-8")


def _near_presets(name: str) -> list[str]:
    """The presets that were probably meant, the nearest first; at most three."""
    plain = name.lower().replace("_", "-").replace(" ", "-")[:100]
    platform = plain.partition("-")[0]
    close = difflib.get_close_matches(plain, preset_names(), n=3, cutoff=0.6)
    family = [one for one in preset_names() if platform and one.startswith(platform)]
    return list(dict.fromkeys([*close, *family]))[:3]


@cache
def load_preset(name: str) -> LoadedMapping:
    """The preset of that name; it may lack what it `needs`.

    Raises:
        UsageError: there is none; the hint has the nearest names.
    """
    return loads(preset_text(name), name, partial=True)


def recognise(columns: Iterable[str]) -> list[str]:
    """The presets that a file with these columns fits, the best first.

    What identifies the platform counts most, then how much of what the mapping reads is there. White space around a
    name does not count, as it does not where columns are read. For nested formats ``columns`` are dotted paths; the
    outermost names alone do too, and make less sure.
    """
    there = {column.strip() for column in columns}
    objects = {outer for column in there for outer in _around(column)}

    def evidence(name: str) -> float:
        return 1.0 if name in there or name in objects else 0.5 * (not (there - objects).isdisjoint(_around(name)))

    found = [(-_confidence(load_preset(name).mapping, evidence), name) for name in preset_names()]
    return [name for doubt, name in sorted(found) if doubt]


def _around(path: str) -> list[str]:
    """The objects around what a dotted path leads to."""
    return [path[: dot.start()] for dot in re.finditer(r"\.", path)]


def _confidence(mapping: ImportMapping, evidence: Callable[[str], float]) -> float:
    """From 0, for a file that is none of this platform, to 1."""
    marks = [max(map(evidence, (mark,) if isinstance(mark, str) else mark)) for mark in mapping.recognised_by]
    if not marks or sum(map(bool, marks)) / len(marks) < _ENOUGH:
        return 0.0
    wanted = mapping.columns()
    return round(0.8 * sum(marks) / len(marks) + 0.2 * sum(map(evidence, wanted)) / len(wanted), 3)


def _located(name: str, *, beside: str | None = None) -> tuple[str, str]:
    """A mapping's name in messages, and its text; a relative path counts from the file ``beside``, or from here.

    Raises:
        UsageError: there is none, or it cannot be read.
        MappingError: it is too large, or no text.
    """
    if name in preset_names():
        return name, preset_text(name)
    path = Path(name)
    if beside is not None and beside not in preset_names():
        path = Path(beside).parent / path
        name = str(path)
    return name, _text(path, name)


def _identity(name: str) -> str:
    """The same for every way to name the same file."""
    return name if name in preset_names() else str(Path(name).resolve())


def _text(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SIZE + 1)
    except FileNotFoundError:
        raise UsageError(f"the mapping {shown(name)} does not exist", hint=_neighbour(path)) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        hint = "-m takes the path of a YAML file that you may read"
        raise UsageError(f"the mapping {shown(name)} cannot be read: {reason}", hint=hint) from None
    if len(content) > MAX_SIZE:
        message = "a mapping has at most 256 KiB, and this file is larger"
        raise MappingError((MappingProblem(name, 0, 0, message, "is this the data instead of the mapping?"),))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MappingError((_not_utf8(name, content, error.start),)) from None


def _not_utf8(name: str, content: bytes, position: int) -> MappingProblem:
    if b"\0" in content and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        hint = "is this the data instead of the mapping?"
        return MappingProblem(name, 0, 0, "this is a binary file, not a mapping", hint)
    before = content[:position]
    line = before.count(b"\n") + 1
    column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8-sig")) + 1
    message = f"the byte 0x{content[position]:02X} is not UTF-8 text"
    return MappingProblem(name, line, column, message, "save the mapping as UTF-8")


def _neighbour(path: Path) -> str:
    """The hint for a file that is not there: one that is, or a preset, of nearly the same name."""
    if path.name == str(path) and not path.suffix:
        near = _near_presets(path.name)
        if near:
            return f"did you mean the preset {' or '.join(near)}?"
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    except OSError:
        return f"there is no directory {shown(str(path.parent))}"
    close = difflib.get_close_matches(path.name, names, n=1)
    if close:
        return f"did you mean {shown(str(path.parent / close[0]))}?"
    return "-m takes the path of a YAML file, or a preset's name; `importer presets` lists them"
