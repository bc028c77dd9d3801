"""Who an event is about: e-mail, else phone. An id of another system is none of Sender's, so none is ever guessed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import phonenumbers

from importer.suggest.decide import NONE, Draft, Grade
from importer.suggest.profile import Column, Sample
from importer.suggest.vocabulary import Fit, fit, is_never

_MOST_OFFERED = 4
_SEVERAL = 3


def decide_subscriber(made: Draft) -> None:
    """Fill ``subscriber``, or leave it open where no column surely names a person."""
    columns = made.sample.columns
    emails = _emails(columns)
    unnamed = [one for one in columns if one.emails >= 0.5 and not fit(one.name, "email") and one.has_name]
    offered = [one.name for one in unnamed if not is_never(one.name, "person")]
    grade = emails[0][1] if emails else Grade.OPEN
    options = {one.name: _reason(one, grade) for one, grade in emails}
    for one in offered:
        options.setdefault(one, "its cells are e-mail addresses, its name does not say whose")
    question = "Which column has the subscriber's e-mail address"
    name = made.choose("subscriber.email", question, grade, options | {NONE: "no column has it"})
    subscriber: dict[str, Any] = {}
    if name is not None and name != NONE:
        subscriber["email"] = _email(made, name)
        made.note("subscriber.email", "subscriber.email")
    else:
        del made.decisions["subscriber.email"]
    _add_phone(made, subscriber)
    if subscriber:
        made.words["subscriber"] = subscriber
    else:
        _leave_open(made, offered)


def _emails(columns: Sequence[Column]) -> list[tuple[Column, Grade]]:
    """The columns that name whom a row is about by an e-mail address, the surest first."""
    found = []
    for one in columns:
        named = fit(one.name, "email")
        if one.nested or (one.distinct and one.emails < 0.5):
            continue
        is_unnamed = one.emails >= 0.9 and _may_be_whom(one) and (not one.has_name or fit(one.name, "person"))
        if named and one.emails >= 0.9 and _may_be_whom(one):
            found.append((one, Grade.SURE))
        elif (named and (one.distinct or named is Fit.EXACT)) or is_unnamed:
            found.append((one, Grade.LIKELY))
    return sorted(found, key=lambda at: (-at[1], -fit(at[0].name, "email"), -at[0].filled, at[0].name.count(".")))


def _phones(sample: Sample) -> list[Column]:
    return [one for one in sample.named("phone") if one.phones >= 0.5]


def addresses(sample: Sample) -> dict[str, str]:
    """The columns of a list of people with their e-mail address and phone, by the subscriber's keys."""
    found = [("email", one.name) for one, _ in _emails(sample.columns)[:1]]
    found += [("phone", one.name) for one in _phones(sample)[:1] if _valid(one, None) >= 0.5]
    return dict(found)


def _may_be_whom(one: Column) -> bool:
    """Whether rows have different addresses; one that several rows share may be the shop's own."""
    return len(one.counts) > 1 or len(one.cells) < _SEVERAL


def _reason(one: Column, grade: Grade) -> str:
    if not one.distinct:
        return "named like e-mail addresses, but its cells are blank"
    share = "all" if one.emails == 1 else f"{int(100 * one.emails)}%"
    if not _may_be_whom(one):
        return "named like e-mail addresses, but all rows have the same one, which may be the shop's own"
    named = "named like e-mail addresses, and" if fit(one.name, "email") else "not by its name, but"
    return f"{named} {share} of its cells {'are' if grade is Grade.SURE else 'look like'} e-mail addresses"


def _email(made: Draft, name: str) -> Any:
    """The column; with others that are surely theirs behind it, which have an address where it has none."""
    chosen = [name]
    column = made.sample.column(name)
    if column is not None and column.filled:
        left = {at for at, cell in enumerate(column.cells) if not cell}
        for other, grade in _emails(made.sample.columns):
            filled = {at for at in left if other.cells[at]}
            if other.name != name and filled and grade is Grade.SURE:
                chosen.append(other.name)
                left -= filled
    made.used.update(chosen)
    return {"first_of": chosen} if len(chosen) > 1 else name


def _add_phone(made: Draft, subscriber: dict[str, Any]) -> None:
    """The phone, where it is surely one."""
    found = _phones(made.sample)
    if not found:
        return
    best = found[0]
    country = _country_column(made, best)
    has_email = "email" in subscriber
    if _valid(best, country) < (0.5 if has_email else 0.9):
        if has_email:
            why = "most of its numbers have no country code or are not valid"
            made.notes["subscriber"].append(f"{best.name} is not taken: {why}")
        return
    if has_email and fit(best.name, "phone") is not Fit.EXACT:
        return  # somebody else's perhaps, and the e-mail names the person
    options = {best.name: "named like phone numbers, and its cells are valid ones", NONE: ""}
    if made.choose("subscriber.phone", "The subscriber's phone", Grade.SURE, options) == best.name:
        pick: dict[str, Any] = {"column": best.name}
        pick |= {"country": {"column": country.name}} if country is not None else {}
        # Beside an e-mail, a phone that cannot be used is left out and does not cost the row.
        subscriber["phone"] = pick | ({"on_invalid": "omit"} if has_email else {})
        made.note("subscriber.phone", "subscriber.phone")
        made.used.add(best.name)


def _country_column(made: Draft, phones: Column) -> Column | None:
    """The column that names the countries of national numbers; None if there is none, or none is needed."""
    if not any(re.match(r"'?(?!00)[0-9(]", cell) for cell in phones.distinct):
        return None
    codes = phonenumbers.SUPPORTED_REGIONS.__contains__
    return next((one for one in made.sample.named("country") if one.share(codes) > 0.8), None)


def _valid(phones: Column, country: Column | None) -> float:
    """The share of numbers in use, with their country code or that of the row's country."""
    regions = country.cells if country is not None else ("",) * len(phones.cells)
    found = {(cell, region) for cell, region in zip(phones.cells, regions, strict=True) if cell}
    return sum(_is_valid(cell, region) for cell, region in found) / len(found)


def _is_valid(text: str, region: str) -> bool:
    digits = re.sub(r"^'?00", "+", text).lstrip("'")
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(digits, region or None))
    except phonenumbers.NumberParseException:
        return False


def country_of(numbers: Iterable[str]) -> str | None:
    """The one country that all of the international numbers are from; None if there is not exactly one."""
    regions = set()
    for text in numbers:
        try:
            regions.add(phonenumbers.region_code_for_number(phonenumbers.parse(text, None)))
        except phonenumbers.NumberParseException:
            continue
    return regions.pop() if len(regions) == 1 else None


def _leave_open(made: Draft, emails: Sequence[str]) -> None:
    """Ask whom the events are about; a mapping without a subscriber cannot run."""
    phones = [one.name for one in _phones(made.sample)]
    ids = [one.name for one in made.sample.named("person") if one.name not in emails]
    why = "no column surely does, by an e-mail address or a phone; `id` is the id that Sender gave, not the shop's own"
    options = dict.fromkeys((*emails, *ids)[:_MOST_OFFERED] or (NONE,), why)
    question = "Who is the event about: which column names the subscriber"
    name = made.choose("subscriber", question, Grade.OPEN, options, takes_any=True)
    if name is not None and made.sample.column(name) is not None:
        word = "email" if name in emails else "phone" if name in phones else "id"
        made.words["subscriber"] = {word: name}
        made.used.add(name)
        return
    values: list[Any] = [{"email": one} for one in emails[:_MOST_OFFERED] or ("COLUMN",)]
    values += [{"phone": {"column": one, "country": "COUNTRY"}} for one in phones[:1]]
    values += [{"id": one} for one in ids[:2]]
    made.leave_open("subscriber", "subscriber", values)
