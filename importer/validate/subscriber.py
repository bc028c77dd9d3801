"""Rules on whom an event is about.

This module owns what an e-mail address and a phone number look like. Normalising phones (``00``, national numbers)
is ``shape``'s.

E-mail: the dot-atom form of RFC 5321, 4.1.2. Not accepted: quoted local parts, address literals, display names,
domains without a dot, and all-digit top levels (RFC 3696, 2). ASCII only: in an export, other letters are far more
often a wrong encoding or a typing error than a mailbox of RFC 6531; an international domain is written as ``xn--…``.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow.compute as pc

from importer.model import ArrowArray, Events, Violations
from importer.texts import matches
from importer.validate.columns import absent, problems

LONGEST_LOCAL_PART = 64
"""Characters before the ``@`` (RFC 5321, 4.5.3.1.1)."""
LONGEST_EMAIL = 254
"""Characters: a path's 256 less its angle brackets (RFC 5321, 4.5.3.1.3; RFC 3696, erratum 1690)."""

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_REST = r"(?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_LABEL = rf"[A-Za-z0-9]{_REST}"
_TOP_LEVEL = rf"(?:[0-9]*[A-Za-z]{_REST}|[0-9]+-[A-Za-z0-9-]*[A-Za-z0-9])"
EMAIL = rf"^{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+{_TOP_LEVEL}$"
"""RE2. Lengths are checked apart: counted repetitions would make it slow."""
LONG_LABEL = r"[.@][^.@]{64}"
"""A label of more than 63 characters (RFC 1035, 2.3.4) in an address whose local part is not too long."""
PHONE = r"^\+[1-9][0-9]{6,14}$"
"""E.164: the country code and the national number have at most 15 digits together; fewer than 7 reach nobody."""


def check(events: Events) -> Iterator[Violations]:
    """Every rule on the subscriber."""
    nobody = pc.and_(pc.and_(absent(events.subscriber_id), events.email.is_null()), events.phone.is_null())
    yield from problems("subscriber.missing", "subscriber", nobody, events.email)

    if events.email.null_count < len(events.email):
        yield from problems("email.invalid", "subscriber.email", not_an_email(events.email), events.email)
    if events.phone.null_count < len(events.phone):
        no_phone = pc.invert(matches(events.phone, PHONE))
        yield from problems("phone.invalid", "subscriber.phone", no_phone, events.phone)


def not_an_email(values: ArrowArray) -> ArrowArray:
    """Whether a text is not an e-mail address; null where it is."""
    broken = pc.invert(matches(values, EMAIL))
    long = pc.greater(pc.binary_length(values), LONGEST_LOCAL_PART)
    if not long.true_count:
        return broken
    # Only a long address can break a limit, so that only those are measured.
    found = values.filter(long)
    too_long = pc.or_(
        pc.greater(pc.binary_length(found), LONGEST_EMAIL),
        pc.or_(
            pc.greater(pc.find_substring(found, "@"), LONGEST_LOCAL_PART),
            pc.match_substring_regex(found, LONG_LABEL),
        ),
    )
    return pc.replace_with_mask(broken, long.fill_null(fill_value=False), pc.or_(broken.filter(long), too_long))
