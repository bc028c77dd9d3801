"""How a column writes its numbers: the forms of the mapping language that read its cells."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from importer.convert.numbers import NumberForm, NumberReader, undressed
from importer.currencies import CURRENT, SIGNS

CURRENCY_OF_SIGN = {"£": "GBP", "$": "USD", "¥": "JPY", "₩": "KRW"} | {
    sign: code for sign, codes in SIGNS.items() if len(codes) == 1 for code in codes
}


@dataclass(frozen=True, slots=True)
class NumberStyle:
    """How numbers are written."""

    decimal: str = "."
    """The decimal sign; both of them where either one is used."""
    thousands: str = ""

    def words(self) -> dict[str, Any]:
        """What a pick says of it."""
        decimal = list(self.decimal) if len(self.decimal) > 1 else self.decimal
        if self.thousands:
            return {"decimal": decimal, "thousands": self.thousands}
        return {"decimal": decimal} if self.decimal != "." else {}

    def example(self) -> str:
        """The number twelve hundred and a half, written so."""
        return " or ".join(f"1{self.thousands}200{sign}50" for sign in self.decimal)

    def read(self, texts: Sequence[str]) -> list[str | None]:
        """The numbers as canonical texts; None where a text is no number in this style."""
        found = NumberReader(NumberForm(self.decimal, self.thousands or None))(pa.array(texts, pa.string()))
        numbers: list[str | None] = found.values.to_pylist()
        return numbers


_PLAIN, _COMMA, _GROUPED, _EITHER = NumberStyle(), NumberStyle(","), NumberStyle(".", ","), NumberStyle(".,")
_STYLES = (_PLAIN, _COMMA, _GROUPED, *(NumberStyle(*signs) for signs in (",.", ", ", ". ", ".'")))
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
    """The currency's sign or code that most of them have; empty for none."""
    has_codes: bool
    """Whether each of them names its currency by its code."""


def look(cells: Iterable[str], *, money: bool = False) -> Numbers | None:
    """What distinct cells say of the style; None if less than half of them are numbers.

    Amounts of ``money`` have no three decimals: three digits after the only comma are thousands.
    """
    texts = list(cells)
    found = {style: style.read(texts) for style in _STYLES}
    fitting = {style: len(texts) - numbers.count(None) for style, numbers in found.items()}
    best = max(_STYLES, key=lambda style: fitting[style])
    if fitting[best] < len(texts) / 2 or not fitting[best]:
        return None
    if fitting[best] < len(texts) and None not in (either := _EITHER.read(texts)):
        best, found[_EITHER], fitting[_EITHER] = _EITHER, either, len(texts)
    if len(best.decimal) == 1:
        # Where some number has them, thousands are named: the next file may have one without a decimal sign.
        best = next((style for style in _STYLES if _names_groups(style, best, texts, found)), best)
    rivals = [style for style in _STYLES if fitting[style] == fitting[best] and style.decimal != best.decimal]
    other = next((style for style in rivals if _differ(found[style], found[best])), None)
    dressed = [undressed(text) for text, number in zip(texts, found[best], strict=True) if number is not None]
    bare = [digits for _, digits, _ in dressed]
    if money and best in (_PLAIN, _COMMA, _GROUPED) and _groups_alone(bare, ","):
        best, other = _GROUPED, None
    elif money and best.decimal == "," and any(_groups_alone([number], ",") for number in bare):
        other = _GROUPED
    signs = Counter(sign for _, _, sign in dressed if sign)
    return Numbers(
        share=fitting[best] / len(texts),
        style=best,
        other=other,
        whole=not any("." in number for number in found[best] if number is not None),
        sign=signs.most_common(1)[0][0] if signs.total() > len(dressed) / 2 else "",
        has_codes=all(sign in CURRENT for _, _, sign in dressed),
    )


def _names_groups(
    style: NumberStyle, best: NumberStyle, texts: Sequence[str], found: Mapping[NumberStyle, list[str | None]]
) -> bool:
    """Whether a style reads all that the best one reads as the same numbers, of which some have its thousands."""
    is_used = bool(style.thousands) and any(style.thousands in text for text in texts)
    return is_used and style.decimal == best.decimal and found[style] == found[best]


def _differ(numbers: Sequence[str | None], others: Sequence[str | None]) -> bool:
    """Whether a text is another number in both readings."""
    return any(one is not None and another not in (None, one) for one, another in zip(numbers, others, strict=True))


def _groups_alone(numbers: list[str], sign: str) -> bool:
    """Whether every number that has the sign could be grouped by it, as ``1,234``; one has it at least."""
    return any(sign in number for number in numbers) and all(
        re.fullmatch(rf"[1-9][0-9]{{0,2}}{sign}[0-9]{{3}}|[0-9]+", number) for number in numbers
    )
