"""A mapping for a file: drafted, asked about where there is a user to ask, tried on the first rows, and written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import PurePath
from typing import Any

import msgspec
from msgspec.structs import replace

from importer.errors import MappingError, UsageError
from importer.mapping.load import loads
from importer.model import Chunk
from importer.read import open_source
from importer.suggest.advise import Advice, Trial, improved
from importer.suggest.decide import Decision, Draft, Grade, comment, lay_out, printable, put
from importer.suggest.draft import draft
from importer.suggest.extend import adapt, add_lookup, inherited_subscriber
from importer.suggest.fields import decide_properties, is_currency
from importer.suggest.profile import Sample
from importer.suggest.sampling import LIMITS, ROWS, sample_again
from importer.wording import shown

Ask = Callable[[Decision, Sample], str]
_STATES = "rows by "
_NAMES = {
    "value_currency": "currency",
    "subscriber.email": "subscriber",
    "subscriber.phone": "phone",
    "rows of one event": "rows",
    "rows": "status",
}
"""Questions that have shorter names than what they decide."""
_ANY_COLUMN = ("subscriber.email", "key", "value")
"""Questions that any column may answer, offered or not."""


class Written(msgspec.Struct, frozen=True):
    """A mapping, what was decided, and how it does."""

    text: str
    preset: str
    """The preset that it extends; empty if none was recognised."""
    decisions: tuple[Decision, ...]
    trial: Trial | None
    """None where nothing can be tried: it is not known whom the events are about."""
    answers: tuple[tuple[str, str], ...] = ()
    """What the user said, by the names of the questions."""


class Wanted(msgspec.Struct, frozen=True):
    """What the mapping is for."""

    sample: Sample
    name: str
    """The mapping's file."""
    command: str
    """How to check it."""
    second: Sample | None = None
    """Another file, to look things up in."""


def write(
    wanted: Wanted, ask: Ask | None, say: Callable[[str], None], given: Sequence[tuple[str, str]] = ()
) -> Written:
    """Decide, ask about what is unclear (if there is a user to ask), try, and change what helps.

    ``given`` are answers by the names of their questions, as `answer_name` spells them. ``say`` hears why an answer
    cannot be taken; an empty answer leaves the question open. Raises `UsageError` for a given answer that cannot be.
    """
    talk = _Conversation(wanted)
    talk.take_given(list(given))
    asked: set[str] = set()
    while ask is not None and (question := talk.unclear(asked)) is not None:
        answer = ask(question, talk.wanted.sample)
        trouble = talk.take(question, answer) if answer else ""
        if trouble:
            say(trouble)
        else:
            asked.add(question.target)
    wanted, made, text, trial = talk.wanted, talk.made, talk.text, None
    if ("subscriber" in made.words or made.preset) and "source" not in made.opens:
        mapping = _load(text, wanted, made)
        columns = [column.name for column in wanted.sample.columns]
        trial, taken = improved(mapping, _first(wanted.sample, mapping), columns, everywhere=True)
        if taken:
            made, text = _drafted(wanted, talk.answers, {advice.target: advice for advice in taken.values()})
    answers = tuple((answer_name(target), answer) for target, answer in talk.answers.items())
    return Written(text, made.preset, tuple(made.decisions.values()), trial, answers)


def answer_name(target: str) -> str:
    """What a decision's question is called where it is answered beforehand: ``currency``, ``date-order``, ``type``."""
    target = target.partition(" by ")[0] if target.startswith(_STATES) else target
    return _NAMES.get(target, target.replace(" ", "-"))


class _Conversation:
    """A draft that answers change."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.answers: dict[str, str] = {}
        self.made, self.text = _drafted(wanted, {})

    def unclear(self, asked: set[str]) -> Decision | None:
        """The next question to ask, if there is one."""
        unsure = (one for one in self.made.decisions.values() if one.grade < Grade.SURE and one.target not in asked)
        return next((one for one in unsure if one.question and (one.others or one.takes_any)), None)

    def take_given(self, given: list[tuple[str, str]]) -> None:
        """Take answers in the order in which they become possible: one may raise the next question."""
        while given:
            decisions = {answer_name(one.target): one for one in reversed(self.made.decisions.values())}
            at = next((at for at, (name, _) in enumerate(given) if _plain(name) in decisions), None)
            if at is None:
                known = ", ".join(name for name, one in decisions.items() if one.question)
                raise UsageError(
                    f"there is no question {shown(given[0][0])} about this file", hint=f"its questions are {known}"
                )
            name, answer = given.pop(at)
            if trouble := self.take(decisions[_plain(name)], answer):
                raise UsageError(
                    f"{shown(name)}={shown(answer)}: {trouble}", hint="correct the answer, or leave it out"
                )

    def take(self, question: Decision, answer: str) -> str:
        """Draft anew with an answer; returns why it cannot be taken, in words, or nothing."""
        sample, target = self.wanted.sample, question.target
        if target == "value_currency" and not is_currency(answer, sample):
            return f"{answer!r} is neither a column nor a currency code such as EUR"
        is_column = sample.column(answer) is not None
        if target == "subscriber" and not is_column:
            return f"{answer!r} is no column of the file"
        if not (answer in question.options or question.takes_any or (is_column and target in _ANY_COLUMN)):
            return f"{answer!r} is none of {', '.join(question.options)}"
        wanted, answers = self.wanted, self.answers | {target: answer}
        try:
            if target == "encoding":
                wanted = replace(wanted, sample=sample_again(sample, answer))
            made, text = _drafted(wanted, answers)
            _load(text, wanted, made)
        except MappingError as error:
            return "that cannot be: " + "; ".join(dict.fromkeys(problem.message for problem in error.problems))
        self.wanted, self.answers, self.made, self.text = wanted, answers, made, text
        return ""


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "-").replace(" ", "-")


def _load(text: str, wanted: Wanted, made: Draft) -> Any:
    """The mapping, questions left open or not; one without a subscriber is none yet."""
    if "subscriber" not in made.words and not made.preset:
        text += "subscriber: {email: {const: nobody@example.com}}\n"
    return loads(text, wanted.name, partial=True).mapping


def _drafted(
    wanted: Wanted, answers: Mapping[str, str], changes: Mapping[str, Advice] | None = None
) -> tuple[Draft, str]:
    sample = wanted.sample
    made = adapt(sample, answers) or draft(sample, answers)
    if wanted.second is not None:
        add_lookup(made, wanted.second, wanted.name)
    left = {} if made.preset else decide_properties(made)
    for target, advice in (changes or {}).items():
        _change(made, target, advice)
    schema = f"{PurePath(wanted.name).stem}.schema.json"
    head = [
        f"# yaml-language-server: $schema={schema}",
        f"# `importer schema --for {printable(sample.name)} > {schema}` makes what editors complete it by.",
        *comment(f"Written by `importer init` from {sample.rows:,} rows of {sample.name}."),
        *comment("A line marked `likely` deserves a look; one marked `OPEN` needs an answer before the mapping runs."),
        *comment("This shows what each row becomes:"),
        f"#   {printable(wanted.command)}",
        *(line for note in _unusable(made) for line in comment(note)),
        "",
    ]
    return made, "\n".join(head) + lay_out(made, left)


def _unusable(made: Draft) -> list[str]:
    """What is said of columns that no mapping can use."""
    notes = []
    for target, names, why in (
        ("doubled columns", made.sample.doubled, "more than once, so none of them is used; rename one of each"),
        ("binary columns", made.sample.binary, "as bytes, which no event can hold; they are left out"),
    ):
        if names:
            reason = f"the file has {', '.join(names)} {why}"
            made.choose(target, "", Grade.LIKELY, {"left out": reason})
            notes.append(f"likely: {reason}")
    return notes


def _change(made: Draft, target: str, advice: Advice) -> None:
    """Another value mapping; one of the subscriber's brings the inherited others, as `subscriber` is replaced whole."""
    if target.startswith("subscriber.") and "subscriber" not in made.words:
        made.words["subscriber"] = inherited_subscriber(made.preset)
    put(made.words, target, dict(advice.value))
    made.notes[target].append(f"adapted to the rows: {advice.why}")


def _first(sample: Sample, mapping: Any) -> list[Chunk]:
    rows, found = 0, []
    with (
        open_source(sample.input, mapping.source, LIMITS, columns=mapping.columns(), each=mapping.each) as reader,
        closing(reader.chunks(mapping.columns(), raw_rows=False)) as read,
    ):
        for chunk in read:
            found.append(chunk)
            rows += chunk.count
            if rows >= ROWS:
                break
    return found


def is_open(written: Written) -> bool:
    """Whether the mapping asks something before it runs."""
    return any(one.chosen is None for one in written.decisions)
