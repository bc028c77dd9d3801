"""Numbers as people write them → exact JSON number tokens; never through binary floating point.

A token is canonical: ``-?`` digits, without leading zeros, exponent, plus sign or trailing zeros (``12.50`` → ``12.5``,
``12.0`` → ``12``, ``-0`` → ``0``, ``1e3`` → ``1000``), so equal numbers have equal tokens.

Besides plain digits these are read: a sign or parentheses (``(12.00)`` is negative), one currency at either end (a sign
such as ``€`` or ``US$``, an ISO 4217 code, an abbreviation such as ``kr``), a leading apostrophe (a spreadsheet's mark
for text), an exponent, and grouped thousands, which must be whole groups of three. Other text around a number makes it
no number.

Thousands separators are those that the mapping names. If it names none, the other one of ``.`` and ``,`` is understood
where the cell leaves no doubt (``1,234.56``, ``1,234,567``). A lone group (``1,150``) is thousands where the mapping
names the dot as its decimal sign, or the amount has a sign of a currency that is written with a dot (``$1,150``).

Bounds: what a double cannot hold is not finite (``1e400``); what is nearer to 0 than any double is 0 (``1e-400``).
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from importer import exact
from importer.columns import holds, matches, where_true, without
from importer.convert.arrays import ConversionError, Converted, DistinctValues, Errors
from importer.currencies import CURRENT, NOT_MONEY, SIGNS, decimals
from importer.mapping.model import ValueMapping
from importer.model import ArrowArray

_FAST_LENGTH = 290
"""Plain digits up to here are finite doubles for sure (the largest double has 309 digits)."""

_SURELY_TOO_MUCH = 400
"""A power of ten outside the range of a double, at either end."""
_LONGEST_EXPONENT = 6
"""Digits of an exponent; there may be millions."""

_SPACES = " \u00a0\u2009\u202f"
_SEPARATORS = {None: "", " ": f"[{_SPACES}]", "'": "['\u2019]", ".": r"\.", ",": ",", "_": "_"}
"""A mapping's ``thousands`` → the characters that mean it in cells, as an expression."""

_CHARACTERS = "".join(sign for sign in SIGNS if len(sign) == 1) + "".join(map(chr, range(0x20A0, 0x20C1)))
"""Signs of currencies' major units; a cent sign would change the number."""
_PRICED = f"^-?[{_CHARACTERS}]|[{_CHARACTERS}]$"
_BEFORE = f"^(-?)[{_CHARACTERS}][{_SPACES}]*([^{_CHARACTERS}]*)$"
_AFTER = f"^([^{_CHARACTERS}]*?)[{_SPACES}]*[{_CHARACTERS}]$"
_WORDS = "|".join([*CURRENT, *NOT_MONEY, *(re.escape(sign) for sign in sorted(SIGNS, reverse=True) if len(sign) > 1)])
_CURRENCY = f"(?:[A-Z]{{0,3}}[{_CHARACTERS}]|{_WORDS})"
_LEADING = f"(?P<sign>{_CURRENCY})[{_SPACES}]*(?=[-(0-9.,])"
_TRAILING = f"(?<=[-0-9.,)])[{_SPACES}]*(?P<sign>{_CURRENCY})$"
_WRITTEN_WITH_A_DOT = re.compile(r"\$|£|US\$|USD|GBP|CA?\$|AU?\$|CAD|AUD")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity|∞|1\.#(?:inf|ind|qnan|snan)[0-9]*)", re.IGNORECASE)


_NO_SIGN = r"[0-9.,'’_()+\-−\s]+|^[0-9.,]+[eE][+-]?[0-9]+$"  # noqa: RUF001 # what amounts are written with
_ONE_GROUP = r"^[^0-9.,]*[1-9][0-9]{0,2}[.,][0-9]{3}[^0-9.,]*$"
"""``1,250`` and ``1.250`` may be a thousand and more, or one and a quarter."""


class NumberForm(msgspec.Struct, frozen=True):
    """How a mapping says numbers are written."""

    decimal: str = "."
    """The decimal sign; both signs (``.,``): either one, where a text leaves no doubt."""
    thousands: str | None = None
    is_decimal_named: bool = False
    scale: int = 0
    """How many places the decimal point moves to the right."""
    is_absolute: bool = False
    is_negated: bool = False

    @classmethod
    def of(cls, pick: ValueMapping) -> NumberForm:
        """The form that a value mapping names; ``thousands: "."`` alone makes the comma the decimal sign."""
        decimal = "".join(sorted(set(pick.decimal or ""))) or ("," if pick.thousands == "." else ".")
        is_named = pick.decimal is not None
        return cls("".join(decimal), pick.thousands, is_named, pick.scale or 0, pick.abs, pick.negate)

    @property
    def unchanged(self) -> NumberForm:
        """The same without what is done to a number once it is read."""
        return replace(self, scale=0, is_absolute=False, is_negated=False)


class NumberReader:
    """Texts → number tokens, for one form; with ``integers`` a number that is not whole is an error (``7.0`` is)."""

    def __init__(self, form: NumberForm, *, integers: bool = False) -> None:
        self._form = form
        self._integers = integers
        self._refusal = ConversionError.NOT_AN_INTEGER if integers else ConversionError.NOT_A_NUMBER
        self._either = (
            [NumberReader(replace(form.unchanged, decimal=sign)) for sign in form.decimal]
            if len(form.decimal) > 1
            else []
        )
        decimal = re.escape(form.decimal[:1])
        self._separator = _SEPARATORS[form.thousands]
        groups = f"|{_groups(self._separator)}" if self._separator else ""
        self._plain = f"^-?(?:0|[1-9][0-9]*{groups})(?:{decimal}[0-9]+)?$"
        grouping = self._separator or re.escape("," if form.decimal[:1] == "." else ".")
        self._grouping = re.compile(grouping)
        self._odd = re.compile(
            rf"(?P<whole>{_groups(grouping)}|[0-9]*)(?P<point>{decimal}(?P<fraction>[0-9]*))?"
            r"(?:[eE](?P<exponent>[+-]?[0-9]+))?"
        )

    def __call__(self, texts: ArrowArray) -> Converted:
        """Convert a column; every text that is not null gives a token or an error."""
        tokens, errors = self._read_either(texts) if self._either else self._read(texts)
        if self._form.scale:
            tokens = exact.shifted(tokens, self._form.scale)
            too_large = pc.greater(pc.binary_length(tokens), _FAST_LENGTH)
            if holds(too_large):
                infinite = [text is not None and math.isinf(float(text)) for text in tokens.to_pylist()]
                errors += ((ConversionError.NOT_FINITE, where_true(pa.array(infinite))),)
                tokens = without(tokens, pa.array(infinite))
        if self._form.is_absolute:
            tokens = pc.ascii_ltrim(tokens, "-")
        if self._form.is_negated:
            opposite = pc.if_else(pc.equal(tokens, "0"), "0", pc.binary_join_element_wise("-", tokens, ""))
            tokens = pc.if_else(pc.starts_with(tokens, "-"), pc.ascii_ltrim(tokens, "-"), opposite)
        if self._integers:
            broken = pc.match_substring(tokens, ".")
            if holds(broken):
                errors += ((self._refusal, where_true(broken)),)
                tokens = without(tokens, broken)
        return Converted(tokens, errors)

    def _read(self, texts: ArrowArray) -> tuple[ArrowArray, Errors]:
        """Tokens of the numbers as they are written, and the errors."""
        bare = texts
        plain = self._is_plain(bare)
        if plain.true_count != len(texts) - texts.null_count and holds(pc.match_substring_regex(texts, _PRICED)):
            bare = pc.replace_substring_regex(pc.replace_substring_regex(texts, _BEFORE, r"\1\2"), _AFTER, r"\1")
            plain = self._is_plain(bare)
        odd = DistinctValues.of(texts, plain, self.read)
        return odd.put_into(self._tokens(bare), str), odd.errors()

    def _read_either(self, texts: ArrowArray) -> tuple[ArrowArray, Errors]:
        """The same with either decimal sign; an error where a text may be read with both."""
        doubtful = pc.match_substring_regex(texts, _ONE_GROUP)
        clear = without(texts, doubtful)
        tokens = pc.coalesce(*(reader(clear).values for reader in self._either))
        unread = pc.and_(pc.is_null(tokens), pc.is_valid(texts))
        return tokens, ((self._refusal, where_true(unread)),) if holds(unread) else ()

    def _is_plain(self, texts: ArrowArray) -> ArrowArray:
        plain = matches(texts, self._plain)
        lengths = pc.binary_length(texts)
        if (pc.max(lengths).as_py() or 0) > _FAST_LENGTH:
            plain = pc.and_(plain, pc.less_equal(lengths, _FAST_LENGTH))
        return plain

    def _tokens(self, texts: ArrowArray) -> ArrowArray:
        """Tokens of those texts that are plain; anything for the others."""
        if self._separator:
            texts = pc.replace_substring_regex(texts, self._separator, "")
        if self._form.decimal != ".":
            texts = pc.replace_substring(texts, self._form.decimal, ".")
        pointed = pc.match_substring(texts, ".")
        if holds(pointed):
            texts = pc.if_else(pointed, pc.ascii_rtrim(pc.ascii_rtrim(texts, "0"), "."), texts)
        minus_zero = pc.equal(texts, "-0")
        return pc.if_else(minus_zero, "0", texts) if holds(minus_zero) else texts

    def read(self, text: str) -> str | ConversionError:
        """The token of one text, before ``scale``, or its error."""
        text = text.strip().removeprefix("'").replace("\u2212", "-")
        if _NOT_FINITE.fullmatch(text):
            return ConversionError.NOT_FINITE
        negative, number, sign = undressed(text)
        match = self._odd.fullmatch(number)
        if not match or not (match["whole"] or match["fraction"]):
            return self._refusal
        whole, groups = self._grouping.subn("", match["whole"])
        if groups == 1 and not self._separator and match["point"] is None and not self._is_thousands(sign):
            return self._refusal
        token = _token(whole, match["fraction"] or "", match["exponent"] or "0")
        if token is None:
            return ConversionError.NOT_FINITE
        return f"-{token}" if negative and token.strip("0") else token

    def _is_thousands(self, sign: str) -> bool:
        """Whether three digits after the only comma can be nothing else."""
        return self._form.decimal == "." and (
            self._form.is_decimal_named or _WRITTEN_WITH_A_DOT.fullmatch(sign) is not None
        )


def _groups(sign: str) -> str:
    """Digits in groups of three, or as in India of two before the last three (``1,23,456``)."""
    return rf"[1-9][0-9]{{0,2}}(?:{sign}[0-9]{{3}})+|[1-9][0-9]?(?:{sign}[0-9]{{2}})+{sign}[0-9]{{3}}"


def sortable(tokens: ArrowArray) -> ArrowArray:
    """Texts whose byte order is the order of the numbers, however large or small; nulls stay null."""
    odd = DistinctValues.of(tokens, None, _sort_key)
    return odd.put_into(tokens, str)


_COMPLEMENT = str.maketrans("0123456789", "9876543210")


def _sort_key(token: str) -> str:
    """``1``, the exponent and the digits; ``0`` and their complements for negative numbers, which ``~`` ends."""
    number = Decimal(token)
    if not number:
        return "1"
    digits = "".join(map(str, number.as_tuple().digits)).rstrip("0")
    key = f"{number.adjusted() + 5001:04}{digits}"
    return f"0{key.translate(_COMPLEMENT)}~" if number < 0 else f"1{key}"


def undressed(text: str) -> tuple[bool, str, str]:
    """Whether the number is negative, its digits without sign, parentheses and currency, and the currency's sign.

    The digits are no number if there is one too many of these.
    """
    negative, text = _unsigned(text)
    found = re.match(_LEADING, text) or re.search(_TRAILING, text)
    if not found:
        return negative, text, ""
    bare = text[: found.start()] + text[found.end() :]
    if not negative:
        negative, bare = _unsigned(bare)
    return negative, bare, found["sign"]


def _unsigned(text: str) -> tuple[bool, str]:
    """Whether a minus or parentheses make it negative, and the rest; a plus is dropped."""
    if text.startswith("(") and text.endswith(")"):
        return True, text[1:-1].strip()
    if text.startswith(("-", "+")):
        return text[0] == "-", text[1:].lstrip(_SPACES)
    if text.endswith("-") and text.rstrip("-").endswith((".", ",")):
        return False, text.rstrip("-")  # in ``12,-`` the dash is for no cents
    return text.endswith("-"), text.removesuffix("-").rstrip(_SPACES)


def _token(whole: str, fraction: str, exponent: str) -> str | None:
    """The canonical token of ``whole.fraction × 10^exponent``; None if no double is that large."""
    significant = exponent.lstrip("+-0")
    if len(significant) > _LONGEST_EXPONENT:  # a larger one makes no difference
        exponent = exponent[:1].strip("0123456789+") + "9" * _LONGEST_EXPONENT
    number = Decimal(f"{whole}.{fraction}e{exponent}")
    if not number or number.adjusted() < -_SURELY_TOO_MUCH:
        return "0"
    return None if number.adjusted() > _SURELY_TOO_MUCH or math.isinf(float(number)) else exact.token(number)


def from_minor_units(tokens: ArrowArray, currencies: ArrowArray) -> ArrowArray:
    """Amounts in minor units (cents) → major ones by the decimals of each row's currency (JPY 0, EUR 2, KWD 3).

    An unknown currency is an error of its own, so its amounts stay as they are.
    """
    for code in pc.unique(currencies.filter(pc.is_valid(tokens))).drop_null().to_pylist():
        places = decimals(code)
        if places:
            mask = pc.fill_null(pc.and_(pc.equal(currencies, code), pc.is_valid(tokens)), fill_value=False)
            tokens = pc.replace_with_mask(tokens, mask, exact.shifted(tokens.filter(mask), -places))
    return tokens


def signs_of(texts: ArrowArray, tokens: ArrowArray) -> ArrowArray | None:
    """The currency's sign or code that each number is written with, null where there is none; None: nowhere is one."""
    signed = pc.and_not(pc.is_valid(tokens), matches(texts, r"^[0-9.,'’_()+\-−\seE]*$"))  # noqa: RUF001  # as above
    signed = pc.fill_null(signed, fill_value=False)
    if not holds(signed):
        return None
    return without(pc.replace_substring_regex(texts, _NO_SIGN, ""), pc.invert(signed))
