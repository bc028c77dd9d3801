"""Which rows are events: what is below zero, was not paid, was called off or is a test is no purchase.

The tests are for the next file too, so they are written whether or not the rows at hand need them.
"""

from __future__ import annotations

from typing import Any

from importer.suggest.decide import Draft, Grade, Open, Option
from importer.suggest.profile import Column
from importer.suggest.vocabulary import fit, flag, paid_pattern, state

BELOW_ZERO = r"^\W*(?:[A-Z]{3}\W*)?[-(−]\W*[0-9]|[0-9]\s*-$"  # noqa: RUF001 # a minus sign is meant
"""An amount with a minus before or behind it, or in brackets; no text that only begins with a dash."""
_MOST_STATES = 50
_MOST_UNKNOWN = 12


def decide_rows(made: Draft) -> None:
    """Fill ``where``."""
    if not isinstance(made.words.get("type"), dict) or "const" not in made.words["type"]:
        tests = _flags(made)
    else:
        tests = [*_below_zero(made), *_states(made), *_flags(made)]
    if tests:
        made.words["where"] = tests


def _below_zero(made: Draft) -> list[dict[str, Any]]:
    """Refunds and cancellations."""
    if made.amount is None or made.kind.name == "refund":
        return []
    made.notes.setdefault("where", []).append("an amount below zero is a refund or a cancellation, no purchase")
    test: dict[str, Any] = {"column": made.amount.name}
    # An invoice may have a discount below zero; only if all its rows are, it takes something back.
    several = made.group is not None and made.amount.varies_within(made.group)
    test |= {"above": 0} if fit(made.amount.name, "quantity") else {"not_matches": BELOW_ZERO}
    return [test | ({"rows": "any"} if several else {})]


def _states(made: Draft) -> list[dict[str, Any]]:
    """States that say that something was bought, also those of other files; the user is asked about unknown ones."""
    found: list[dict[str, Any]] = []
    if made.kind.name not in ("purchase", "line", "refund", ""):
        return found
    sorts = made.sample.named("sort") if made.kind.name == "purchase" else []
    for one in (*made.sample.named("status"), *sorts):
        known = {cell: state(cell) for cell in one.counts}
        unknown = [cell for cell, paid in known.items() if paid is None]
        is_asked = (made.kind.name == "purchase" and one not in sorts) or len(unknown) < len(known)
        if one.is_flag or len(known) > _MOST_STATES or not is_asked:
            continue
        paid = [cell for cell in known if known[cell]] + (_answered(made, one, unknown) if unknown else [])
        found.append({"column": one.name, "matches": paid_pattern(known, [cell for cell in paid if not known[cell]])})
        made.notes.setdefault("where", []).append(
            f"rows whose {one.name} does not say that something was bought are left out: canceled, pending, refunded …"
        )
    return found


def _answered(made: Draft, one: Column, unknown: list[str]) -> list[str]:
    """Of words that are not known, those that the user says are purchases."""
    target = f"rows by {one.name}"
    named = ", ".join(cell if len(cell) <= 40 else f"{cell[:39]}…" for cell in unknown[:_MOST_UNKNOWN])
    question = f"Which words in `{one.name}` mean that something was bought: {named}"
    options = [Option("none", "they are not known here"), Option("all", "each of them means it")]
    answer = made.decisions.choose(target, question, Grade.OPEN, options, takes_any=True)
    if answer is None:
        asked = made.opens.get("where")
        questions = [asked.question] if asked is not None else []
        questions.append(f"{question}? Add them to the test below")
        made.opens["where"] = Open(". ".join(questions), ())
        return []
    return unknown if answer == "all" else [cell for cell in unknown if cell in map(str.strip, answer.split(","))]


def _flags(made: Draft) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for one in made.sample.columns:
        cells = {cell.lower() for cell in one.counts}
        if one.nested:
            continue
        if made.kind.name == "cart" and flag(one.name, "recovered"):
            words = _words_of(cells, bad=True) if cells and one.is_flag else {"empty": True}
            found.append({"column": one.name, **words})
            made.notes.setdefault("where", []).append(f"a cart with {one.name} was bought after all")
        elif flag(one.name, "called_off"):
            found.append({"column": one.name, "empty": True})
            made.notes.setdefault("where", []).append(f"a row with {one.name} was called off")
        for word, bad in (("must", False), ("must_not", True)):
            if flag(one.name, word) and cells and (words := _words_of(cells, bad)):
                found.append({"column": one.name, **words})
                made.notes.setdefault("where", []).append(f"a row is left out where {one.name} is {str(bad).lower()}")
    return found


def _words_of(cells: set[str], bad: bool) -> dict[str, Any]:
    """The test that leaves the bad answer out, as the column writes it."""
    if cells <= {"true", "false"}:
        return {"not_equals": bad}
    if cells <= {"0", "1"}:
        return {"not_equals": int(bad)}
    if cells <= {"yes", "no", "y", "n", "t", "f"}:
        return {"not_matches": "(?i)^(?:yes|y|t)$" if bad else "(?i)^(?:no|n|f)$"}
    return {}
