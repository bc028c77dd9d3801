"""How a column writes its numbers: recognised from the cells alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from importer.currencies import SIGNS

_SIGNS = "".join(sign for sign in SIGNS if len(sign) == 1)
_BARE = re.compile(
    rf"\(?'?[-+\u2212]?\s*[{_SIGNS}]?\s*-?"
    rf"(?P<number>[0-9][0-9.,'\u2019 \u00a0\u2009\u202f_]*|[.,][0-9]+)\s*[{_SIGNS}]?\)?"
)
_SPACES = "[ \u00a0\u2009\u202f]"
_GROUPS = {"": "", ",": ",", ".": r"\.", " ": _SPACES, "'": "['\u2019]"}
CURRENCY_OF_SIGN = {"£": "GBP", "$": "USD", "¥": "JPY", "₩": "KRW"} | {
    sign: code for sign in _SIGNS if len(SIGNS[sign]) == 1 for code in SIGNS[sign]
}


@dataclass(frozen=True, slots=True)
class NumberStyle:
    """How numbers are written."""

    decimal: str = "."
    thousands: str = ""

    def words(self) -> dict[str, Any]:
        """What a pick says of it."""
        if self.thousands:
            return {"decimal": self.decimal, "thousands": self.thousands}
        return {"decimal": self.decimal} if self.decimal != "." else {}

    def example(self) -> str:
        """The number twelve hundred and a half, written so."""
        return f"1{self.thousands}200{self.decimal}50"

    def fits(self, number: str) -> bool:
        """Whether digits and signs are a number in this style."""
        group = _GROUPS[self.thousands]
        whole = rf"(?:[0-9]+|[0-9]{{1,3}}(?:{group}[0-9]{{3}})+)" if group else "[0-9]+"
        return re.fullmatch(rf"{whole}?(?:{re.escape(self.decimal)}[0-9]*)?", number) is not None


_STYLES = (
    NumberStyle(".", ""),
    NumberStyle(",", ""),
    NumberStyle(".", ","),
    NumberStyle(",", "."),
    NumberStyle(",", " "),
    NumberStyle(".", " "),
    NumberStyle(".", "'"),
)
"""The plainest first."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """A column read as numbers."""

    share: float
    """Of the filled cells, those that are numbers in the style."""
    style: NumberStyle
    other: NumberStyle | None
    """Another style that reads the same cells as other numbers, so that the cells do not say which is meant."""
    whole: bool
    """Whether they are all integers."""
    sign: str
    """The currency sign that most of them have; empty for none."""


def look(cells: Iterable[str], *, money: bool = False) -> Numbers | None:
    """What distinct cells say of the style; None if less than half of them are numbers.

    Amounts of ``money`` have no three decimals: three digits after the only comma are thousands.
    """
    texts = list(cells)
    found = [(text, bare["number"].strip()) for text in texts if (bare := _BARE.fullmatch(text))]
    if not found or len(found) < len(texts) / 2:
        return None
    fitting = {style: sum(style.fits(number) for _, number in found) for style in _STYLES}
    best = max(_STYLES, key=lambda style: fitting[style])
    if not fitting[best]:
        return None
    numbers = [number for _, number in found if best.fits(number)]
    rivals = [style for style in _STYLES if style != best and fitting[style] == fitting[best]]
    other = next((style for style in rivals if any(_read(n, style) != _read(n, best) for n in numbers)), None)
    if other is not None and best == NumberStyle() and not _groups_alone(numbers, "."):
        other = None
    if money and best.decimal == ",":
        if best == NumberStyle(",") and _groups_alone(numbers, ","):
            best, other = NumberStyle(".", ","), None
        elif any("," in number and _groups_alone([number], ",") for number in numbers):
            other = NumberStyle(".", ",")
    signs = Counter(sign for text, _ in found for sign in _SIGNS if sign in text)
    return Numbers(
        share=fitting[best] / len(texts),
        style=best,
        other=other,
        whole=all(re.fullmatch(r"[0-9]+(?:\.0+)?", _read(number, best)) for number in numbers),
        sign=signs.most_common(1)[0][0] if signs.total() > len(found) / 2 else "",
    )


def _read(number: str, style: NumberStyle) -> str:
    group = _GROUPS[style.thousands]
    digits = re.sub(group, "", number) if group and style.fits(number) else number
    return digits.replace(style.decimal, ".")


def _groups_alone(numbers: list[str], sign: str) -> bool:
    """Whether every number that has the sign could be grouped by it, as ``1.234``; one has it at least."""
    return any(sign in number for number in numbers) and all(
        re.fullmatch(rf"[1-9][0-9]{{0,2}}{re.escape(sign)}[0-9]{{3}}|[0-9]+", number) for number in numbers
    )
