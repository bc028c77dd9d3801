"""The words of ``vocabulary.yaml``: how well a column's name fits a role, what a state says, what a table is."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from enum import IntEnum
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import msgspec
from ruamel.yaml import YAML

_NEVER = "(?!)"
"""An expression that matches nothing."""


class Fit(IntEnum):
    """How well a column's name fits a role."""

    NO = 0
    LIKELY = 1
    EXACT = 2


class Kind(msgspec.Struct, frozen=True):
    """What the rows of a table are; the rest is as in ``vocabulary.yaml``."""

    name: str
    type: str
    """The event's type; empty where only a column can say it."""
    file: str = _NEVER
    signs: tuple[str, ...] = ()
    need: int = 1
    without: tuple[str, ...] = ()
    value: bool = True


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


@cache
def _role(role: str, word: str) -> re.Pattern[str]:
    """One expression of a role's several, the fragments filled in."""
    text = "|".join(f"(?:{one})" for one in _words()["roles"][role].get(word, [_NEVER]))
    for name, fragment in _words()["fragments"].items():
        text = text.replace(f"<{name}>", fragment)
    return re.compile(rf"\b(?:{text})\b" if word == "never" else text)


@lru_cache(maxsize=65_536)
def fit(name: str, role: str) -> Fit:
    """How well a column's name fits a role; of a dotted path, the last name counts too."""
    names = plain(name), plain(name.rpartition(".")[2])
    if is_never(name, role) and not _role(role, "unless").fullmatch(names[0]):
        return Fit.NO
    grades = ((Fit.EXACT, "exact"), (Fit.LIKELY, "likely"))
    return next((grade for grade, word in grades if any(map(_role(role, word).fullmatch, names))), Fit.NO)


def is_never(name: str, role: str) -> bool:
    """Whether a name has a word that no column of that role has: the `person` is no cashier, and no supplier."""
    return _role(role, "never").search(plain(name)) is not None


def is_called(name: str, what: str) -> bool:
    """Whether a column is called like what is among ``names``: ``minor_units``, ``must`` or another."""
    return re.fullmatch(_words()["names"][what], plain(name)) is not None


def is_warehouse(name: str) -> bool:
    """Whether a loader of a warehouse adds a column of this name."""
    return name.startswith("_") and is_called(name, "warehouse")


@cache
def kinds() -> tuple[Kind, ...]:
    """The kinds of tables, the surest first."""
    return tuple(Kind(name, **words) for name, words in _words()["kinds"].items())


def _says(cell: str, word: str, languages: Iterable[str]) -> bool:
    """Whether a state is among those of a word, ``paid`` or ``unpaid``, in some languages."""
    prefix, states = _words()["state_prefix"], _words()["states"]
    return any(re.fullmatch(rf"(?i)(?:{prefix})?(?:{states[one][word]})", cell) for one in languages)


def state(cell: str) -> bool | None:
    """Whether a state says that something was bought; None if it is not known."""
    languages = _words()["states"]
    return False if _says(cell, "unpaid", languages) else True if _says(cell, "paid", languages) else None


def paid_pattern(cells: Iterable[str], more: Iterable[str] = ()) -> str:
    """A regular expression for the states that say that something was bought, and for those of `more`."""
    seen = list(cells)
    words = [
        states["paid"]
        for name, states in _words()["states"].items()
        if name == "english" or any(_says(cell, word, [name]) for cell in seen for word in ("paid", "unpaid"))
    ]
    return f"(?i)^(?:{_words()['state_prefix']})?(?:{'|'.join([*words, *map(re.escape, more)])})$"


def is_nothing(cell: str) -> bool:
    """Whether a cell holds a word for no value."""
    return re.fullmatch(_words()["nothing"], cell.strip(), re.IGNORECASE) is not None


def meant(cell: str) -> bool | None:
    """What another language's word for true or false means; None if it is none."""
    words = _words()["yes_no"]
    return next((value for value in (True, False) if cell.lower() in words[value]), None)
