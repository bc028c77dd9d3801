"""From the name of a mapping to its text: a file, or one of the presets that come with the product.

This module owns what a name means: a preset's name is that preset (``./name`` is a file of that name), anything else
is a path; what `extends` names is looked for beside the file that it stands in. It reads no YAML.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from importer.errors import MappingError, MappingProblem, UsageError

MAX_SIZE = 256 << 10
"""Bytes of a mapping file: thousands of words, read in seconds. What is larger is refused before it is read."""


@dataclass(frozen=True, slots=True)
class Located:
    """A mapping's text, and whose it is."""

    name: str
    """As messages name it: the path, or the preset's name."""
    identity: str
    """The same for every way to name the same file."""
    text: str


@cache
def presets() -> tuple[str, ...]:
    """The names of all presets, sorted."""
    folder = files("importer.mapping").joinpath("presets")
    return tuple(sorted(one.name.removesuffix(".yaml") for one in folder.iterdir() if one.name.endswith(".yaml")))


def preset(name: str) -> Located:
    """One of `presets`.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in presets():
        near = near_presets(name)
        hint = f"did you mean {' or '.join(near)}?" if near else f"the presets are {', '.join(presets())}"
        raise UsageError(f"there is no preset {name}", hint=hint)
    text = files("importer.mapping").joinpath("presets", f"{name}.yaml").read_text(encoding="utf-8")
    return Located(name, f"preset {name}", text)


def near_presets(name: str) -> list[str]:
    """The presets that were probably meant, the nearest first; at most three."""
    plain = name.lower().replace("_", "-").replace(" ", "-")
    platform = plain.partition("-")[0]
    close = difflib.get_close_matches(plain, presets(), n=3, cutoff=0.6)
    family = [one for one in presets() if platform and one.startswith(platform)]
    return list(dict.fromkeys([*close, *family]))[:3]


def locate(name: str, *, beside: str | None = None) -> Located:
    """The mapping of that name; a relative path counts from where the file ``beside`` lies, or from here.

    Raises:
        UsageError: there is none, or it cannot be read.
        MappingError: it is too large, or no text.
    """
    if name in presets():
        return preset(name)
    path = Path(name)
    if beside is not None and beside not in presets():
        path = Path(beside).parent / path
        name = str(path)
    text = _text(path, name)
    return Located(name, str(path.resolve()), text)


def _text(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SIZE + 1)
    except FileNotFoundError:
        raise UsageError(f"the mapping {name} does not exist", hint=_neighbour(path)) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        hint = "-m takes the path of a YAML file that you may read"
        raise UsageError(f"the mapping {name} cannot be read: {reason}", hint=hint) from None
    if len(content) > MAX_SIZE:
        hint = "is this the data instead of the mapping?"
        raise MappingError(
            (MappingProblem(name, 0, 0, "a mapping has at most 256 KiB, and this file is larger", hint),)
        )
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
        near = near_presets(path.name)
        if near:
            return f"did you mean the preset {' or '.join(near)}?"
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    except OSError:
        return f"there is no folder {path.parent}"
    close = difflib.get_close_matches(path.name, names, n=1)
    if close:
        return f"did you mean {path.parent / close[0]}?"
    return "-m takes the path of a YAML file, or a preset's name; `importer presets` lists them"
