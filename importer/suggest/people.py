"""Who an event is about: e-mail, phone, id.

This module owns which identifiers a mapping takes, and the country of national phones.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import phonenumbers

from importer.suggest.decide import NONE, Option
from importer.suggest.names import fit
from importer.suggest.roles import Candidate, Looked, Roles

if TYPE_CHECKING:
    from importer.suggest.draft import Draft

_FLOAT = re.compile(r"[0-9]+\.0+")


def decide_subscriber(draft: Draft, roles: Roles) -> None:
    """Fill ``subscriber``; something always is in it, however unsure."""
    subscriber: dict[str, Any] = {}
    draft.words["subscriber"] = subscriber
    emails = _with_none(roles.emails(), "no column holds e-mail addresses")
    name = draft.deciding.choose("subscriber.email", "The subscriber's e-mail address", emails)
    if name != NONE:
        subscriber["email"] = _email(draft, roles, name)
        draft.note("subscriber.email", "subscriber.email")
    phones = _with_none(roles.phones(), "no column holds phone numbers")
    name = draft.deciding.choose("subscriber.phone", "The subscriber's phone", phones)
    if name != NONE:
        subscriber["phone"] = _phone(draft, roles, name)
        draft.note("subscriber.phone", "subscriber.phone", "country")
    filled = {one.name for one in roles.columns if one.column.filled}
    if not filled.intersection(_columns(subscriber)):
        _decide_id(draft, roles, subscriber)


def _columns(subscriber: dict[str, Any]) -> list[str]:
    picks = [pick if isinstance(pick, dict) else {"column": pick} for pick in subscriber.values()]
    return [name for pick in picks for name in pick.get("first_of", [pick.get("column")])]


def _with_none(found: list[Candidate], why: str) -> list[Option]:
    return [*(one.option() for one in found), Option(NONE, 0.45 if found else 0.95, why)]


def _email(draft: Draft, roles: Roles, name: str) -> Any:
    """The column; with others behind it that have an address where it has none."""
    draft.used.add(name)
    by_name = {one.looked.name: one.looked for one in roles.emails() if one.looked.emails >= 0.5}
    if name not in by_name:
        return name
    # Only what is called an address of theirs stands in for it: another one may be the shop's own.
    by_name = {other: one for other, one in by_name.items() if other == name or fit(other, "email")}
    chosen, left = [name], {at for at, cell in enumerate(by_name[name].column.cells) if not cell}
    for other, looked in by_name.items():
        filled = {at for at in left if looked.column.cells[at]}
        if other != name and filled:
            chosen.append(other)
            draft.used.add(other)
            left -= filled
    return {"first_of": chosen} if len(chosen) > 1 else name


def _phone(draft: Draft, roles: Roles, name: str) -> Any:
    draft.used.add(name)
    looked = next((one for one in roles.columns if one.name == name), None)
    if looked is None or not any(re.match(r"'?(?!00)[0-9(](?!.*E\+)", cell) for cell in looked.cells):
        return name
    options = [*_countries(roles, looked), Option(NONE, 0.3, "some numbers have no country code, and none is known")]
    question = "The country of phones without a country code, such as US"
    country = draft.deciding.choose("country", question, options, takes_any=True)
    if country == NONE:
        return name
    if draft.sample.column(country) is not None:
        return {"column": name, "country": {"column": country}}
    return {"column": name, "country": country.upper()}


def _countries(roles: Roles, phones: Looked) -> list[Option]:
    """The countries of national numbers: a column that names them, or that of the numbers which say it."""
    found = []
    for one in roles.named("country"):
        codes = sum(cell in phonenumbers.SUPPORTED_REGIONS for cell in one.looked.cells)
        if codes > 0.8 * len(one.looked.cells):
            found.append(Option(one.looked.name, 0.85, "some numbers have no country code; this column has countries"))
    if country := country_of(phones.cells):
        found.append(Option(country, 0.6, "some numbers have no country code, and most others are from there"))
    return found[:3]


def country_of(numbers: list[str]) -> str | None:
    """The country of most of the international numbers; None if there are none."""
    regions: Counter[str] = Counter()
    for text in numbers[:500]:
        digits = re.sub(r"^'?00", "+", text).lstrip("'")
        try:
            region = phonenumbers.region_code_for_number(phonenumbers.parse(digits, None))
        except phonenumbers.NumberParseException:
            continue
        regions[region or ""] += 1
    likely = regions.most_common(1)
    return likely[0][0] or None if likely and likely[0][1] > regions.total() / 2 else None


def _decide_id(draft: Draft, roles: Roles, subscriber: dict[str, Any]) -> None:
    """An id of another system is none of Sender's, so it only serves where there is nothing else."""
    options = [
        Option(one.looked.name, min(one.score, 0.7), f"{one.reason}, but only Sender's own ids are known there")
        for one in roles.ids()
    ]
    names = {one.name for one in options}
    rest = [one for one in roles.columns if one.name not in names | draft.used] or roles.columns
    likely = [one for one in rest if one.column.filled and one.times is None] or rest
    options += [Option(one.name, 0.1, "no column names a subscriber; this is a mere guess") for one in likely[:3]]
    if not options:  # every column holds objects or lists
        options = [Option(one.name, 0.05, "no column names a subscriber") for one in draft.sample.columns[:3]]
    name = draft.deciding.choose("subscriber.id", "The subscriber's id in Sender", options)
    draft.used.add(name)
    draft.note("subscriber.id", "subscriber.id")
    looked = next((one for one in roles.columns if one.name == name), None)
    floats = looked is not None and any(map(_FLOAT.fullmatch, looked.cells))
    subscriber["id"] = {"column": name, "extract": r"^'?(.*?)(?:\.0+)?$"} if floats else name
