"""Identities: the texts that identify subscribers, keys and groups, each brought to one spelling.

Cells of identities lose invisible characters at their ends; words that mean no value (``NULL``, ``undefined`` …) are
absent; whole numbers of float columns (``1001.0``) and an apostrophe before digits lose what a program has added. That
happens to each cell, before templates and other steps see it. A number that a spreadsheet has rounded (``9.23E+11``) is
an error, since many identities become the same one.

E-mail addresses are taken out of the forms that leave no doubt (``Name <a@b>``, ``mailto:``, quotes, brackets), and
never cut out of other text. Phone numbers become E.164 by the numbering plans of ``phonenumbers``.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from importer.columns import E164, INVISIBLE, holds, matches, occurs, text_bytes, where_true, without
from importer.convert.arrays import ConversionError, Converted, DistinctValues, Errors
from importer.convert.numbers import NumberReader
from importer.model import ArrowArray

NULL_WORDS = frozenset(["null", "(null)", "<null>", "none", "nan", "-nan", "nat", "<na>", "undefined", "\\n", "n/a",
                        "na", "#n/a", "#na", "nil", "(not set)", "(none)", "(blank)", "(empty)", "[]", "{}",
                        "[object object]", "#value!", "#ref!", "#name?", "#div/0!", "#null!", "#num!",
                        "-", "--", "\u2013", "\u2014"])  # fmt: skip
"""Words, in lower case, that programs write where there is no value."""
_SPELLINGS = (*map(str.upper, NULL_WORDS), *map(str.capitalize, NULL_WORDS), "NaN", "-NaN", "NaT", "[object Object]")
_WORDS = pa.array(sorted({*NULL_WORDS, *_SPELLINGS}))

_EDGES = f"^[{INVISIBLE}\\s]+|[{INVISIBLE}\\s]+$"
_HAS_EDGES = f"^[{INVISIBLE}]|[{INVISIBLE}]$"
_FLOAT = r"^'?(-?(?:0|[1-9][0-9]*))\.0+$"
_DECIMAL = r"^-?[0-9]+\.[0-9]*[1-9][0-9]*$"
_ENDS_IN_DECIMAL = r"(?:^|[-_:#|, ])[0-9]+\.[0-9]*[1-9][0-9]*$"
_ROUNDED = r"(?:^|[-_:#|, ])'?[0-9](?:(?:[.,][0-9]+)?[eE]\+[0-9]{2,}|\.[0-9]+[eE][0-9]{1,2})(?:$|[-_:#|, ])"
"""``9.23E+11`` of spreadsheets and ``1.0E7`` of Java's programs, alone or between a template's signs."""
_EXPONENT = "[0-9][eE][+-]?[0-9]+$"


def normalized(texts: ArrowArray, spared: frozenset[str] = frozenset()) -> ArrowArray:
    """The cells of an identity, trimmed texts, in one spelling; null where a word means no value.

    ``spared`` are words that the mapping itself replaces.
    """
    if text_bytes(texts).max(initial=0) > 0x7F and holds(pc.match_substring_regex(texts, _HAS_EDGES)):
        texts = pc.replace_substring_regex(texts, _EDGES, "")
        texts = without(texts, pc.equal(texts, ""))
    blank = pc.is_in(texts, value_set=_WORDS)
    if holds(blank):
        if spared:
            blank = pc.and_not(blank, pc.is_in(texts, value_set=pa.array(sorted(spared))))
        texts = without(texts, blank)
    if occurs(texts, b".0"):
        texts = pc.replace_substring_regex(texts, _FLOAT, r"\1")
    if holds(pc.starts_with(texts, "'")):
        texts = pc.replace_substring_regex(texts, r"^'([0-9]+)$", r"\1")
    return texts


class IdReader(msgspec.Struct, frozen=True):
    """Texts → ids, which stay as they are unless they are numbers."""

    numbers: NumberReader | None = None
    """Reads ids that the mapping says are numbers."""
    has_prefix: bool = False
    """A template puts words before the id of one column."""

    def __call__(self, texts: ArrowArray) -> Converted:
        """Convert a column; a rounded number is an error, a number with decimals a warning."""
        errors: Errors = ()
        if self.numbers or occurs(texts, b"+", b"."):
            rounded = pc.match_substring_regex(texts, _EXPONENT if self.numbers else _ROUNDED)
            errors = ((ConversionError.ROUNDED, where_true(rounded)),) if holds(rounded) else ()
            texts = without(texts, rounded)
        if self.numbers is not None:
            made = self.numbers(texts)
            return Converted(made.values, errors + made.errors)
        decimal = _ENDS_IN_DECIMAL if self.has_prefix else _DECIMAL
        broken = pc.match_substring_regex(texts, decimal) if occurs(texts, b".") else None
        if broken is not None and holds(broken):
            errors += ((ConversionError.DECIMAL, where_true(broken)),)
        return Converted(texts, errors)


_ADDRESS = r"[^\s@<>()\[\]{},;:\\\"]+@[^\s@<>()\[\]{},;:?\\\"']+"
_WRAPPED = re.compile(
    rf"(?:[^@<>]*<(?:mailto:)?(?P<angle>{_ADDRESS})>|\[(?P<square>{_ADDRESS})\]|\((?P<round>{_ADDRESS})\)"
    rf"|\"(?P<double>{_ADDRESS})\"|'(?P<single>{_ADDRESS})'|mailto:(?P<mailto>{_ADDRESS}))",
    re.IGNORECASE,
)


def emails(texts: ArrowArray) -> Converted:
    """E-mail addresses without what is around them; whatever has another form stays as it is."""
    if not occurs(texts, b">", b"]", b")", b'"', b"'", b":"):
        return Converted(texts)
    wrapped = pc.match_substring_regex(texts, r"[>\])\"']$|^(?i:mailto):")
    odd = DistinctValues.of(texts, pc.invert(wrapped), _unwrapped)
    return Converted(odd.put_into(texts, str))


def _unwrapped(text: str) -> str:
    found = _WRAPPED.fullmatch(text.strip())
    return next(address for address in found.groups() if address) if found else text


_SEPARATOR = re.compile(rf"[\s().\-/\u2010-\u2015\u2212{INVISIBLE}]+")
"""White space, punctuation and the invisible marks that come along when a number is copied."""
_SPREADSHEET = re.compile(r"\+?[0-9](?:[.,][0-9]+)?[eE]\+?[0-9]+")
_WITH_POINT = re.compile(r"(\+?[0-9]{7,15})\.0+")
_INTERNATIONAL = re.compile(r"\+[0-9]+")
_NATIONAL = re.compile(r"[0-9]{4,15}")
_BETWEEN = "\x1f"
"""Between a country and a phone."""
_BEGINNING = 7
"""Characters of an E.164 number from which, with its length, the numbering plans know whether it can be one."""


class PhoneReader(msgspec.Struct, frozen=True):
    """Texts → E.164 texts, for one country."""

    country: str | None = None
    """The ISO 3166 country of national numbers."""

    def __call__(self, texts: ArrowArray, countries: ArrowArray | None = None) -> Converted:
        """Convert a column; a text with an error stays as found.

        ``countries`` holds the code of each row's country; null for none.
        """
        done = _as_written(texts)
        if countries is None:
            odd = DistinctValues.of(texts, done, self.read)
        else:
            pairs = pc.binary_join_element_wise(pc.utf8_upper(pc.fill_null(countries, "")), texts, _BETWEEN)
            odd = DistinctValues.of(pairs, done, _read_pair)
        return Converted(pc.coalesce(odd.put_into(texts, str), texts), odd.errors())

    def read(self, text: str) -> str | ConversionError:
        """The E.164 number of one text, or its error."""
        written = text.strip().lstrip("'\u2019").removeprefix("tel:").strip()
        if _SPREADSHEET.fullmatch(written):
            return ConversionError.ROUNDED
        whole = _WITH_POINT.fullmatch(written)
        digits = whole[1] if whole else _SEPARATOR.sub("", written)
        if digits.startswith("00"):
            digits = f"+{digits[2:]}"
        if _INTERNATIONAL.fullmatch(digits):
            return _parsed(digits, None) or ConversionError.NOT_A_PHONE
        if not _NATIONAL.fullmatch(digits):
            return ConversionError.NOT_A_PHONE
        return ConversionError.NO_COUNTRY if self.country is None else _national(digits, self.country)


def _read_pair(pair: str) -> str | ConversionError:
    country, _, text = pair.partition(_BETWEEN)
    return PhoneReader(country or None).read(text)


def _as_written(texts: ArrowArray) -> ArrowArray:
    """Which texts are E.164 numbers already. Numbers of one beginning and length are judged together."""
    plain = pc.fill_null(matches(texts, E164), fill_value=False)
    if not holds(plain):
        return plain
    found = pc.if_else(plain, texts, None)
    lengths = pc.max_element_wise(pc.binary_length(found), _BEGINNING)  # a null has no length
    rest = pc.binary_repeat("2", pc.subtract(lengths, _BEGINNING))
    alike = pc.binary_join_element_wise(pc.utf8_slice_codeunits(found, 0, _BEGINNING), rest, "")
    return DistinctValues.of(alike, None, _is_possible).put_into(plain, bool)


@lru_cache(maxsize=1 << 16)
def _is_possible(number: str) -> bool:
    return _parsed(number, None) == number


def _national(digits: str, country: str) -> str | ConversionError:
    """A number without ``+``: a national one, or an international one that begins with the country's own code."""
    import phonenumbers

    if country not in phonenumbers.SUPPORTED_REGIONS:
        return ConversionError.UNKNOWN_COUNTRY
    code = str(phonenumbers.country_code_for_region(country))
    national = _parsed(digits, country)
    prefix = phonenumbers.ndd_prefix_for_region(country, strip_non_digits=True)
    if national and prefix and code != "1" and not digits.startswith((prefix, code)):
        # Without the prefix of an area code, only a number in use surely has one; in North America its length says so.
        national = national if phonenumbers.is_valid_number(phonenumbers.parse(national)) else None
    if not digits.startswith(code):
        return national or ConversionError.NOT_A_PHONE
    international = _parsed(f"+{digits}", None)
    if national and international and national != international:
        real = [one for one in (national, international) if phonenumbers.is_valid_number(phonenumbers.parse(one))]
        return real[0] if len(real) == 1 else ConversionError.AMBIGUOUS_PHONE
    return national or international or ConversionError.NOT_A_PHONE


def _parsed(digits: str, country: str | None) -> str | None:
    """E.164 by the numbering plans; None if no plan has numbers of that length, or the area code is missing."""
    import phonenumbers  # the numbering plans of the world, which most mappings can do without

    try:
        number = phonenumbers.parse(digits, country)
    except phonenumbers.NumberParseException:
        return None
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
