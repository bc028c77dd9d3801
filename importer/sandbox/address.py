"""Whether a text is an e-mail address or a phone number, as far as its letters show.

Owns the syntax of both for the sandbox; whether anybody answers there is nobody's business here.
"""

from __future__ import annotations

import re
import string

_ATEXT = frozenset(string.ascii_letters + string.digits + "!#$%&'*+-/=?^_`{|}~")
_LETTERS_DIGITS_HYPHEN = frozenset(string.ascii_letters + string.digits + "-")
_PHONE = re.compile(r"(?:\+|00)[1-9][0-9]{6,14}")


def is_email(text: str) -> bool:
    """Whether ``text`` is a mailbox in the form people have them.

    RFC 5321, 4.1.2, without quoted local parts and address literals: a dot-string of at most 64 characters, ``@``, and
    a domain of two or more labels (at most 63 letters, digits and inner hyphens each), the last not all digits
    (RFC 3696, 2); at most 254 characters of ASCII in all. An international domain is written in its ``xn--`` form.
    """
    if len(text) > 254 or not text.isascii():
        return False
    local, _, domain = text.rpartition("@")
    labels = domain.split(".")
    return (
        len(local) <= 64
        and all(atom and _ATEXT.issuperset(atom) for atom in local.split("."))
        and len(labels) > 1
        and all(_is_label(label) for label in labels)
        and not labels[-1].isdigit()
    )


def _is_label(label: str) -> bool:
    return 0 < len(label) <= 63 and label[0] != "-" and label[-1] != "-" and _LETTERS_DIGITS_HYPHEN.issuperset(label)


def is_phone(text: str) -> bool:
    """Whether ``text`` is ``+`` or ``00``, then 7 to 15 digits that begin with a country code (E.164; never a 0)."""
    return _PHONE.fullmatch(text) is not None
