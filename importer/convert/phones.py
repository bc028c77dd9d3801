"""Phone numbers → E.164 (``+`` and digits).

Owns the writing (separators, ``00``, ``tel:``, a spreadsheet's apostrophe) and national numbers, which Google's
metadata (``phonenumbers``) turns into international ones. Leaves the syntax to ``validate``: what cannot be brought
into form stays as it was found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import pyarrow.compute as pc

from importer.convert.arrays import Leftovers
from importer.convert.faults import Converted, Fault, faults_of
from importer.model import ArrowArray
from importer.texts import matches

_E164 = r"^\+[1-9][0-9]{6,14}$"
_SEPARATORS = re.compile(r"[\s().\-/\u00a0\u00ad\u2010-\u2015\u2212\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+")
"""White space, punctuation and the invisible marks that come along when a number is copied."""
_ROUNDED = re.compile(r"\+?[0-9](?:[.,][0-9]+)?[eE]\+?[0-9]+")
_FLOAT = re.compile(r"(\+?[0-9]{7,15})\.0+")
_INTERNATIONAL = re.compile(r"\+[0-9]+")
_NATIONAL = re.compile(r"[0-9]{4,15}")
_TRUNK = re.compile(r"\(0\)")
"""A national prefix in an international number (``+44 (0)20 …``): dropped or kept as the country has it."""
_BETWEEN = "\x1f"
"""Stands between a country and a phone."""


@dataclass(frozen=True, slots=True)
class PhoneReader:
    """Texts → E.164 texts, for one country."""

    country: str | None = None
    """The ISO 3166 country of national numbers."""

    def __call__(self, texts: ArrowArray, countries: ArrowArray | None = None) -> Converted:
        """Convert a column; what has a fault, or cannot be brought into form, stays as found.

        ``countries`` holds the code of each row's country; null for none.
        """
        done = matches(texts, _E164)
        if countries is None:
            odd = Leftovers.of(texts, done, self.read)
        else:
            pairs = pc.binary_join_element_wise(pc.utf8_upper(pc.fill_null(countries, "")), texts, _BETWEEN)
            odd = Leftovers.of(pairs, done, _read_pair)
        found = odd.scattered(texts, lambda found: None if isinstance(found, Fault) else found)
        return Converted(pc.coalesce(found, texts) if odd.results else found, faults_of(odd))

    def read(self, text: str) -> str | Fault:
        """One text's number; the text itself where it is none."""
        written = text.strip().lstrip("'\u2019").removeprefix("tel:").strip()
        if _ROUNDED.fullmatch(written):
            return Fault.ROUNDED
        whole = _FLOAT.fullmatch(written)
        digits = whole[1] if whole else _SEPARATORS.sub("", written)
        if digits.startswith("00"):
            digits = f"+{digits[2:]}"
        if _INTERNATIONAL.fullmatch(digits):
            return (_parsed(digits, None) or digits) if _TRUNK.search(written) else digits
        if not _NATIONAL.fullmatch(digits):
            return text
        if self.country is None:
            return Fault.NO_COUNTRY
        return _national(digits, self.country, text)


def _read_pair(pair: str) -> str | Fault:
    country, _, text = pair.partition(_BETWEEN)
    return PhoneReader(country or None).read(text)


def _national(digits: str, country: str, text: str) -> str | Fault:
    import phonenumbers  # the numbering plans of the world, which most mappings can do without

    if country not in phonenumbers.SUPPORTED_REGIONS:
        return Fault.UNKNOWN_COUNTRY
    return _parsed(digits, country) or text


@lru_cache(maxsize=65_536)
def _parsed(digits: str, country: str | None) -> str | None:
    """E.164 by the numbering plans; None if no plan has numbers of that length.

    It takes 20 µs, so what was found is remembered: customers come back.
    """
    import phonenumbers

    try:
        number = phonenumbers.parse(digits, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
