"""A mapping for a file: drafted, asked about where there is a user to ask, tried on the first rows, and written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import PurePath

import msgspec

from importer.errors import MappingError, UsageError
from importer.mapping.load import loads
from importer.mapping.model import ImportMapping
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
) -> tuple[Draft, Trial | None]:
    """Decide, ask about what is unclear (if there is a user to ask), try, and change what helps.

    Returns the mapping, and how it does; None where nothing can be tried, as it is not known whom the events are about.
    ``given`` are answers by the names of their questions, as `answer_name` spells them; they are taken as they become
    possible, for one may raise the next question. ``say`` hears why an answer cannot be taken; an empty answer leaves
    the question open. Raises `UsageError` for a given answer that cannot be.
    """
    made, asked, left = _drafted(wanted, wanted.sample, {}), set[str](), list(given)
    while left:
        questions = {answer_name(one.target): one for one in reversed(made.decisions.values())}
        found = next((one for one in left if _plain(one[0]) in questions), None)
        if found is None:
            known = ", ".join(name for name, one in questions.items() if one.question)
            said = f"there is no question {shown(left[0][0])} about this file"
            raise UsageError(said, hint=f"its questions are {known}")
        left.remove(found)
        name, answer = found
        try:
            made = _answered(wanted, made, questions[_plain(name)], answer)
        except ValueError as error:
            said = f"{shown(name)}={shown(answer)}: {error}"
            raise UsageError(said, hint="correct the answer, or leave it out") from None
    while ask is not None and (question := _unclear(made, asked)) is not None:
        answer = ask(question, made.sample)
        try:
            made = _answered(wanted, made, question, answer) if answer else made
            asked.add(question.target)
        except ValueError as error:
            say(str(error))
    if ("subscriber" not in made.words and not made.preset) or "source" in made.opens:
        return made, None
    mapping = _load(wanted, made)
    columns = [column.name for column in made.sample.columns]
    trial, taken = improved(mapping, _first(made.sample, mapping), columns, everywhere=True)
    changes = {advice.target: advice for advice in taken.values()}
    return (_drafted(wanted, made.sample, made.answers, changes) if taken else made), trial


def answer_name(target: str) -> str:
    """What a decision's question is called where it is answered beforehand: ``currency``, ``date-order``, ``type``."""
    target = target.partition(" by ")[0] if target.startswith(_STATES) else target
    return _NAMES.get(target, target.replace(" ", "-"))


def _unclear(made: Draft, asked: set[str]) -> Decision | None:
    """The next question to ask, if there is one."""
    unsure = (one for one in made.decisions.values() if one.grade < Grade.SURE and one.target not in asked)
    return next((one for one in unsure if one.question and (one.others or one.takes_any)), None)


def _answered(wanted: Wanted, made: Draft, question: Decision, answer: str) -> Draft:
    """Draft anew with an answer; raises `ValueError` with words for one that cannot be taken."""
    sample, target = made.sample, question.target
    if target == "value_currency" and not is_currency(answer, sample):
        raise ValueError(f"{answer!r} is neither a column nor a currency code such as EUR")
    is_column = sample.column(answer) is not None
    if target == "subscriber" and not is_column:
        raise ValueError(f"{answer!r} is no column of the file")
    if not (answer in question.options or question.takes_any or (is_column and target in _ANY_COLUMN)):
        raise ValueError(f"{answer!r} is none of {', '.join(question.options)}")
    try:
        sample = sample_again(sample, answer) if target == "encoding" else sample
        made = _drafted(wanted, sample, {**made.answers, target: answer})
        _load(wanted, made)
    except MappingError as error:
        said = "; ".join(dict.fromkeys(problem.message for problem in error.problems))
        raise ValueError(f"that cannot be: {said}") from None
    return made


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "-").replace(" ", "-")


def _load(wanted: Wanted, made: Draft) -> ImportMapping:
    """The mapping, questions left open or not; one without a subscriber is none yet."""
    is_open = "subscriber" not in made.words and not made.preset
    stand_in = "subscriber: {email: {const: open@example.com}}\n" if is_open else ""
    return loads(made.text + stand_in, wanted.name, partial=True).mapping


def _drafted(
    wanted: Wanted, sample: Sample, answers: Mapping[str, str], changes: Mapping[str, Advice] | None = None
) -> Draft:
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
    made.text = "\n".join(head) + lay_out(made, left)
    return made


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


def _first(sample: Sample, mapping: ImportMapping) -> list[Chunk]:
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
