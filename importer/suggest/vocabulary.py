"""The words of ``vocabulary.yaml``: how well a column's name fits a role, what a state says, what a table is."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from ruamel.yaml import YAML


class Fit(IntEnum):
    """How well a column's name fits a role."""

    NO = 0
    LIKELY = 1
    EXACT = 2


@dataclass(frozen=True, slots=True)
class Kind:
    """What the rows of a table are."""

    name: str
    type: str
    """The event's type; empty where only a column can say it."""
    file: re.Pattern[str] | None
    signs: tuple[re.Pattern[str], ...]
    need: int
    without: tuple[str, ...]
    has_value: bool


@cache
def _words() -> dict[str, Any]:
    text = files("importer.suggest").joinpath("vocabulary.yaml").read_text(encoding="utf-8")
    words: dict[str, Any] = YAML(typ="safe").load(re.sub(r"\|\n\s+", "|", text))  # patterns of several lines
    return words


@lru_cache(maxsize=4096)
def plain(name: str) -> str:
    """A name in small ASCII letters, its words apart: ``InvoiceNo`` and ``invoice_no`` are ``invoice no``."""
    ascii_ = unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode()
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", ascii_)
    return " ".join(re.findall("[a-z0-9]+", apart.lower()))


@lru_cache(maxsize=65_536)
def fit(name: str, role: str) -> Fit:
    """How well a column's name fits a role; of a dotted path, the last name counts too."""
    whole, last = plain(name), plain(name.rpartition(".")[2])
    unless = _role(role, "unless")
    if is_never(name, role) and (unless is None or not unless.fullmatch(whole)):
        return Fit.NO
    for grade, word in ((Fit.EXACT, "exact"), (Fit.LIKELY, "likely")):
        pattern = _role(role, word)
        if pattern is not None and (pattern.fullmatch(whole) or (last != whole and pattern.fullmatch(last))):
            return grade
    return Fit.NO


def is_never(name: str, role: str) -> bool:
    """Whether a name has a word that no column of that role has: the `person` is no cashier, and no supplier."""
    never = _role(role, "never")
    return never is not None and re.search(rf"\b(?:{never.pattern})\b", plain(name)) is not None


@cache
def _role(role: str, word: str) -> re.Pattern[str] | None:
    return _pattern(_words()["roles"][role].get(word))


def _pattern(found: Any) -> re.Pattern[str] | None:
    """One expression of several, the fragments filled in."""
    if not found:
        return None
    text = "|".join(f"(?:{one})" for one in ([found] if isinstance(found, str) else found))
    for name, fragment in _words()["fragments"].items():
        text = text.replace(f"<{name}>", fragment)
    return re.compile(text, re.IGNORECASE)


@cache
def kinds() -> tuple[Kind, ...]:
    """The kinds of tables, the surest first."""
    return tuple(
        Kind(
            name,
            words["type"],
            _pattern(words.get("file")),
            tuple(one for sign in words.get("signs", ()) if (one := _pattern(sign)) is not None),
            words.get("need", 1),
            tuple(words.get("without", ())),
            words.get("value", True),
        )
        for name, words in _words()["kinds"].items()
    )


@cache
def _states(word: str) -> dict[str, re.Pattern[str]]:
    prefix = _words()["state_prefix"]
    return {
        language: re.compile(rf"(?i)(?:{prefix})?(?:{words[word]})") for language, words in _words()["states"].items()
    }


def state(cell: str) -> bool | None:
    """Whether a state says that something was bought; None if it is not known."""
    if any(pattern.fullmatch(cell) for pattern in _states("unpaid").values()):
        return False
    return True if any(pattern.fullmatch(cell) for pattern in _states("paid").values()) else None


def paid_pattern(cells: Iterable[str], more: Iterable[str] = ()) -> str:
    """A regular expression for the states that say that something was bought, and for those of `more`."""
    seen = list(cells)
    languages = [
        name
        for name, words in _words()["states"].items()
        if name == "english" or any(_states(word)[name].fullmatch(cell) for cell in seen for word in ("paid", "unpaid"))
    ]
    words = [_words()["states"][name]["paid"] for name in languages]
    return f"(?i)^(?:{_words()['state_prefix']})?(?:{'|'.join([*words, *map(re.escape, more)])})$"


def flag(name: str, word: str) -> bool:
    """Whether a column is called like a flag of that kind: ``must``, ``must_not`` or ``called_off``."""
    pattern = _pattern(_words()["flags"][word])
    return pattern is not None and pattern.fullmatch(plain(name)) is not None


def is_warehouse(name: str) -> bool:
    """Whether a loader of a warehouse adds a column of this name."""
    pattern = _pattern(_words()["warehouse"])
    return name.startswith("_") and pattern is not None and pattern.fullmatch(plain(name)) is not None


def is_minor(name: str) -> bool:
    """Whether the name says that amounts are in minor units."""
    return re.fullmatch(_words()["minor_units"], plain(name)) is not None


def is_nothing(cell: str) -> bool:
    """Whether a cell holds a word for no value."""
    return re.fullmatch(_words()["nothing"], cell.strip(), re.IGNORECASE) is not None


def meant(cell: str) -> bool | None:
    """What another language's word for true or false means; None if it is none."""
    words = _words()["yes_no"]
    return next((value for value in (True, False) if cell.lower() in words[value]), None)
