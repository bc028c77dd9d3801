"""Numbers as the world writes them → exact JSON number tokens; never through binary floating point.

A token is canonical: ``-?`` digits, without leading zeros, exponent, plus sign or trailing zeros (``12.50`` → ``12.5``,
``12.0`` → ``12``, ``-0`` → ``0``, ``1e3`` → ``1000``), so equal numbers have equal tokens.

Read besides plain digits: a sign or parentheses (``(12.00)`` is negative), one currency at either end (a sign such as
``€`` or ``US$``, an ISO 4217 code, an abbreviation such as ``kr``), a leading apostrophe (a spreadsheet's mark for
text), an exponent, and grouped thousands, which must be whole groups of three.
Thousands separators are those the mapping names; if it names only ``decimal``, the other one of ``.`` and ``,`` is
understood where the cell itself leaves no doubt (``1.234,56``, ``1.234.567``), not in ``1.234``.

Bounds: what a double cannot hold is not finite (``1e400``); what is nearer to 0 than any double is 0 (``1e-400``).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from iso4217 import Currency

from importer.convert.arrays import Leftovers, holds
from importer.convert.faults import Converted, Fault, faults_of
from importer.mapping.model import Pick
from importer.model import ArrowArray
from importer.texts import matches

_FAST_LENGTH = 290
"""Plain digits up to here are finite doubles for sure, whatever the scale (the largest double has 309 digits)."""

_SPACES = " \u00a0\u2009\u202f"
_SEPARATORS = {None: "", " ": f"[{_SPACES}]", "'": "['\u2019]", ".": r"\.", ",": ",", "_": "_"}
"""A mapping's ``thousands`` → what stands for it in cells, as an expression."""

_CURRENCIES = "$\u00a3\u00a4\u00a5\u0e3f\uffe5" + "".join(chr(point) for point in range(0x20A0, 0x20C1))
"""Signs of currencies' major units; a cent sign would change the number."""
_PRICED = f"^-?[{_CURRENCIES}]|[{_CURRENCIES}]$"
_BEFORE = f"^(-?)[{_CURRENCIES}][{_SPACES}]*([^{_CURRENCIES}]*)$"
_AFTER = f"^([^{_CURRENCIES}]*?)[{_SPACES}]*[{_CURRENCIES}]$"
_CODES = "|".join(sorted(currency.code for currency in Currency))
_ABBREVIATIONS = r"Kč|Ft|kn|kr\.?|lei|zł|лв\.?|руб\.?|грн\.?|Rs\.?|Rp\.?|RM|TL|Fr\.?|S/\.?"  # noqa: RUF001 # Cyrillic is meant
_CURRENCY = f"(?:[A-Z]{{0,3}}[{_CURRENCIES}]|{_CODES}|{_ABBREVIATIONS})"
_LEADING = re.compile(f"{_CURRENCY}[{_SPACES}]*(?=[-(0-9.,])")
_TRAILING = re.compile(f"(?<=[-0-9.,)])[{_SPACES}]*{_CURRENCY}$")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity|∞|1\.#(?:inf|ind|qnan|snan)[0-9]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NumberForm:
    """How a mapping says numbers are written."""

    decimal: str = "."
    thousands: str | None = None
    implied: str | None = None
    """The thousands separator where only ``decimal`` is named; see the module's docstring."""
    scale: int = 0

    @classmethod
    def of(cls, pick: Pick) -> NumberForm:
        """A pick's form; ``thousands: "."`` alone makes the comma the decimal separator."""
        decimal = pick.decimal or ("," if pick.thousands == "." else ".")
        implied = None
        if pick.decimal is not None and pick.thousands is None:
            implied = "," if decimal == "." else "."
        return cls(decimal, pick.thousands, implied, pick.scale or 0)


class NumberReader:
    """Texts → number tokens, for one form; with ``integers`` whatever is not whole is a fault (``7.0`` is whole)."""

    def __init__(self, form: NumberForm, *, integers: bool = False) -> None:
        self._form = form
        self._refusal = Fault.NOT_AN_INTEGER if integers else Fault.NOT_A_NUMBER
        self._integers = integers
        decimal = re.escape(form.decimal)
        self._separator = _SEPARATORS[form.thousands]
        groups = f"|[1-9][0-9]{{0,2}}(?:{self._separator}[0-9]{{3}})+" if self._separator else ""
        # Moving the point of a whole number is a matter of text; that of other numbers is left to `read`.
        fraction = "" if form.scale else f"(?:{decimal}{'0+' if integers else '[0-9]+'})?"
        self._plain = f"^-?(?:0|[1-9][0-9]*{groups}){fraction}$"
        grouping = self._separator or _SEPARATORS[form.implied]
        grouped = f"[1-9][0-9]{{0,2}}(?:{grouping}[0-9]{{3}})+|" if grouping else ""
        self._grouping = re.compile(grouping) if grouping else None
        self._odd = re.compile(
            rf"(?P<whole>{grouped}[0-9]*)(?P<point>{decimal}(?P<fraction>[0-9]*))?(?:[eE](?P<exponent>[+-]?[0-9]+))?"
        )

    def __call__(self, texts: ArrowArray) -> Converted:
        """Convert a column; every text that is not null gives a token or a fault."""
        bare = texts
        plain = self._are_plain(bare)
        if pc.sum(plain).as_py() != len(texts) - texts.null_count and holds(pc.match_substring_regex(texts, _PRICED)):
            bare = pc.replace_substring_regex(pc.replace_substring_regex(texts, _BEFORE, r"\1\2"), _AFTER, r"\1")
            plain = self._are_plain(bare)
        odd = Leftovers.of(texts, plain, self.read)
        values = odd.scattered(self._tidied(bare), lambda found: None if isinstance(found, Fault) else found)
        return Converted(values, faults_of(odd))

    def _are_plain(self, texts: ArrowArray) -> ArrowArray:
        """Which texts `_tidied` can make tokens of."""
        if self._integers and self._form.scale:
            return pa.repeat(pa.scalar(value=False), len(texts))
        plain = matches(texts, self._plain)
        lengths = pc.binary_length(texts)
        if (pc.max(lengths).as_py() or 0) > _FAST_LENGTH:
            plain = pc.and_(plain, pc.less_equal(lengths, _FAST_LENGTH))
        return plain

    def _tidied(self, texts: ArrowArray) -> ArrowArray:
        """Tokens of those texts that are plain; anything for the others."""
        if self._separator:
            texts = pc.replace_substring_regex(texts, self._separator, "")
        if self._form.scale:
            texts = _moved(texts, self._form.scale)
        elif self._form.decimal != ".":
            texts = pc.replace_substring(texts, self._form.decimal, ".")
        pointed = pc.match_substring(texts, ".")
        if holds(pointed):
            texts = pc.if_else(pointed, pc.ascii_rtrim(pc.ascii_rtrim(texts, "0"), "."), texts)
        minus_zero = pc.equal(texts, "-0")
        return pc.if_else(minus_zero, "0", texts) if holds(minus_zero) else texts

    def read(self, text: str) -> str | Fault:
        """One text's token, or its fault."""
        text = text.strip().removeprefix("'").replace("\u2212", "-")
        if _NOT_FINITE.fullmatch(text):
            return Fault.NOT_FINITE
        negative, number = _undressed(text)
        match = self._odd.fullmatch(number)
        if not match or not (match["whole"] or match["fraction"]):
            return self._refusal
        whole = match["whole"]
        if self._grouping:
            whole, groups = self._grouping.subn("", whole)
            if groups == 1 and not self._separator and match["point"] is None:
                return self._refusal
        exponent = _bounded(match["exponent"] or "0") + self._form.scale
        token = _token(whole, match["fraction"] or "", exponent)
        if token is None:
            return Fault.NOT_FINITE
        if self._integers and "." in token:
            return self._refusal
        return f"-{token}" if negative and token.strip("0") else token


def _undressed(text: str) -> tuple[bool, str]:
    """Whether the number is negative, and its digits without sign, parentheses and currency sign.

    Something is left that is no number if there is one too many of these.
    """
    negative, text = _unsigned(text)
    bare = _LEADING.sub("", text, count=1) if _LEADING.match(text) else _TRAILING.sub("", text, count=1)
    if bare != text and not negative:
        return _unsigned(bare)
    return negative, bare


def _unsigned(text: str) -> tuple[bool, str]:
    """Whether a minus or parentheses make it negative, and what they stand by; a plus is dropped."""
    if text.startswith("(") and text.endswith(")"):
        return True, text[1:-1].strip()
    if text.startswith(("-", "+")):
        return text[0] == "-", text[1:].lstrip(_SPACES)
    return text.endswith("-"), text.removesuffix("-").rstrip(_SPACES)


def _moved(texts: ArrowArray, scale: int) -> ArrowArray:
    """Whole numbers with the point moved: ``1250`` by -2 → ``12.50``."""
    if scale > 0:
        return pc.if_else(
            pc.is_in(texts, value_set=pa.array(["0", "-0"])), texts, pc.binary_join_element_wise(texts, "0" * scale, "")
        )
    sign = pc.if_else(pc.starts_with(texts, "-"), "-", "")
    digits = pc.ascii_lpad(pc.ascii_ltrim(texts, "-"), 1 - scale, "0")
    whole = pc.utf8_slice_codeunits(digits, 0, scale)
    fraction = pc.utf8_slice_codeunits(digits, scale)
    return pc.binary_join_element_wise(sign, whole, ".", fraction, "")


def _bounded(exponent: str) -> int:
    """An exponent as an int; beyond a million it makes no difference any more, and its digits might be millions."""
    digits = exponent.lstrip("+-").lstrip("0")
    size = int(digits or "0") if len(digits) <= 6 else 1_000_000
    return -size if exponent.startswith("-") else size


def _token(whole: str, fraction: str, exponent: int) -> str | None:
    """The canonical token of ``whole.fraction × 10^exponent``; None if no double is that large."""
    digits = whole + fraction
    significant = digits.lstrip("0")
    point = len(whole) + exponent - (len(digits) - len(significant))
    significant = significant.rstrip("0")
    if not significant or point < -400:
        return "0"
    if point > 400:
        return None
    if point <= 0:
        token = f"0.{'0' * -point}{significant}"
    elif point >= len(significant):
        token = significant + "0" * (point - len(significant))
    else:
        token = f"{significant[:point]}.{significant[point:]}"
    size = float(token)
    if math.isinf(size):
        return None
    return token if size else "0"
