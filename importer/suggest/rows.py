"""Which rows are events: what is below zero, was not paid, was cancelled or is a test is no purchase.

This module owns the tests of ``where`` that a mapping begins with, for files whose type is the same for all rows. The
words by which people and programs say that nothing was paid are here; where a state is not known, its row is sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from importer.suggest.decide import Option
from importer.suggest.groups import varies
from importer.suggest.names import plain
from importer.suggest.roles import Looked, Roles

if TYPE_CHECKING:
    from importer.suggest.draft import Draft

LEAVE, SEND = "leave out", "send"
_LIKELY = 0.75
_BELOW = "^[^0-9]*[-(−]"  # noqa: RUF001 # a minus sign is meant
_FLAGS = {"true", "false"}
_MOST_STATES = 50
_MOST_TAKEN = 12
_UNPAID = re.compile(
    r"(?i)(?:payment.|order.)?(?:cancel\w*|void\w*|fail\w*|declined\w*|reject\w*|refused|denied|expired|reversed)"
    r"|(?:fully.)?refunded|charge.?back|unpaid|not.paid|pending(?:.payment)?|awaiting.payment|on.?hold|holded"
    r"|authori[sz]ed|uncaptured|incomplete|blocked|abandoned|draft|requires.\w+"
    r"|storniert|abgebrochen|fehlgeschlagen|abgelehnt|ausstehend|unbezahlt|nicht bezahlt|zahlung ausstehend"
    r"|(?:zurück|rück)?erstattet|zurückgezahlt|entwurf|autorisiert"
    r"|annulée?|échouée?|en attente(?: de paiement)?|remboursée?|refusée?|impayée?|brouillon"
    r"|cancelad[oa]|anulad[oa]|fallid[oa]|pendiente(?: de pago)?|reembolsad[oa]|rechazad[oa]|borrador"
    r"|annullat[oa]|fallit[oa]|in attesa(?: di pagamento)?|rimborsat[oa]|rifiutat[oa]|bozza"
    r"|geannuleerd|mislukt|in afwachting.*|in de wacht|terugbetaald|geweigerd|concept"
    r"|anulowan\w*|nieudan\w*|oczekuj\w*.*|zwrócon\w*|odrzucon\w*"
    r"|atšaukt\w*|nepavyk\w*|laukia.*|grąžint\w*|atmest\w*"
)
"""States in which nothing has been paid, or all of it was paid back."""
_OTHER_STATES = re.compile(
    r"\b(?:fulfil\w*|ship\w*|deliver\w*|stock|marketing|consent|e ?mail|sms|subscri\w*|account|lead|member\w*|customer|"
    r"address|ticket|lineitem|avs|cvc|dispute)\b"
)
_MUST = re.compile(r"(?:is )?(?:paid|captured|bezahlt|paye|pagado)")
_MUST_NOT = re.compile(
    r"(?:is )?(?:test|test (?:order|mode)|(?:fivetran )?deleted|void(?:ed)?|cancell?ed|refunded|failed|storniert)"
)
_CALLED_OFF = re.compile(r"(?:.* )?(?:cancel(?:l?ed)?|void(?:ed)?|deleted|storniert) ?(?:at|on|date|am)")


def decide_rows(draft: Draft, roles: Roles, amounts: Mapping[str, Looked]) -> None:
    """Fill ``where``; ``amounts`` are the columns that make the value, by ``value``, ``quantity`` or ``price``."""
    if "value" not in draft.words or "const" not in draft.words["type"]:
        return
    tests: list[dict[str, Any]] = []
    for target, test, reason in (*_below_zero(draft, amounts), *_states(roles), *_flags(roles)):
        question = f"{reason[0].upper()}{reason[1:]}: leave them out, or send them as well"
        options = [Option(LEAVE, _LIKELY, reason), Option(SEND, 1 - _LIKELY, "send them as well")]
        if draft.deciding.choose(target, question, options) == LEAVE:
            tests.append(test)
        draft.note("where", target)
    if tests:
        draft.words["where"] = tests


_Found = tuple[str, dict[str, Any], str]
"""What is decided, the test that leaves the rows out, and what they are."""


def _below_zero(draft: Draft, amounts: Mapping[str, Looked]) -> Iterator[_Found]:
    """Refunds and cancellations. Rows that nobody has looked at may hold some, too."""
    for role, one in amounts.items():
        seen = any(re.search(f"{_BELOW}|-$", cell) for cell in one.column.counts)
        if not seen and (draft.sample.whole or role == "price"):
            continue
        test: dict[str, Any] = {"column": one.name}
        test |= {"above": 0} if role == "quantity" else {"not_matches": _BELOW}
        # An invoice may hold a discount below zero; only if all its rows are, it takes something back.
        several = draft.group is not None and (role != "value" or varies(one, draft.group))
        where = "some rows are" if seen else f"rows after the first {draft.sample.rows:,} may be"
        what = "which is no purchase but a refund or a cancellation"
        yield (
            f"rows below zero ({one.name})",
            test | ({"rows": "any"} if several else {}),
            f"{where} below zero, {what}",
        )


def _states(roles: Roles) -> Iterator[_Found]:
    """States that are known not to be paid; the others that were seen are taken, and no state that was not."""
    for one in roles.named("status"):
        name, cells = one.looked.name, one.looked.column.counts
        unpaid = [cell for cell in cells if _UNPAID.fullmatch(cell)]
        if not unpaid or len(cells) > _MOST_STATES or _OTHER_STATES.search(plain(name)):
            continue
        paid = [cell for cell in cells if cell not in unpaid]
        paid += [] if one.looked.column.is_full or not paid else [""]
        test = {"in": paid} if 0 < len(paid) <= _MOST_TAKEN else {"not_in": unpaid}
        yield f"rows by {name}", {"column": name} | test, f"{name} says that some are not paid"


def _flags(roles: Roles) -> Iterator[_Found]:
    for one in roles.columns:
        cells, called = {cell.lower() for cell in one.column.counts}, plain(one.name)
        if _CALLED_OFF.fullmatch(called) and cells:
            yield (
                f"rows by {one.name}",
                {"column": one.name, "empty": True},
                f"{one.name} says that some were called off",
            )
        for pattern, bad in ((_MUST, False), (_MUST_NOT, True)):
            if pattern.fullmatch(called) and cells <= _FLAGS and str(bad).lower() in cells:
                test = {"column": one.name, "not_equals": bad}
                yield f"rows by {one.name}", test, f"{one.name} is {str(bad).lower()} in some"
