"""A mapping for a file: drafted, asked about where there is somebody to ask, tried on the first rows, and written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from importer.errors import MappingError
from importer.mapping.load import loads
from importer.mapping.presets import load_preset
from importer.model import Chunk
from importer.read import open_source
from importer.suggest.adapt import adapt
from importer.suggest.advice import Advice, written
from importer.suggest.advise import improved
from importer.suggest.decide import Decision, Draft, Grade, Option, put
from importer.suggest.draft import decide_properties, draft
from importer.suggest.money import is_currency
from importer.suggest.profile import Sample
from importer.suggest.sampling import LIMITS, ROWS, sample_again
from importer.suggest.second import add_lookup
from importer.suggest.text import comment, lay_out
from importer.suggest.trial import Trial
from importer.suggest.yaml_text import printable

Ask = Callable[[Decision, Sample], str]


@dataclass(frozen=True, slots=True)
class Written:
    """A mapping, what was decided, and how it does."""

    text: str
    preset: str
    """The preset that it extends; empty if none was recognised."""
    decisions: tuple[Decision, ...]
    trial: Trial | None
    """None where nothing can be tried: nobody knows whom the events are about."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the mapping is for."""

    sample: Sample
    name: str
    """The mapping's file."""
    command: str
    """How to check it."""
    second: Sample | None = None
    """Another file, to look things up in."""


def write(wanted: Wanted, ask: Ask | None, say: Callable[[str], None]) -> Written:
    """Decide, ask about what is unclear (if there is somebody to ask), try, and change what helps.

    ``say`` hears why an answer cannot be taken; an empty answer leaves the question open.
    """
    answers: dict[str, str] = {}
    asked: set[str] = set()
    made, text = _drafted(wanted, answers)
    while ask is not None and (question := _unclear(made, asked)) is not None:
        answer = ask(question, wanted.sample)
        if answer and question.target == "value_currency" and not is_currency(answer, wanted.sample):
            say(f"{answer!r} is neither a column nor a currency code such as EUR")
            continue
        if not answer:
            asked.add(question.target)
            continue
        if question.target == "encoding":
            wanted = replace(wanted, sample=sample_again(wanted.sample, answer))
            made, text = _drafted(wanted, answers)
            continue
        try:
            made, text = _drafted(wanted, answers | {question.target: answer})
            _load(text, wanted, made)
        except MappingError as error:
            say("that cannot be: " + "; ".join(dict.fromkeys(problem.message for problem in error.problems)))
            made, text = _drafted(wanted, answers)
            continue
        answers[question.target] = answer
        asked.add(question.target)
    if ("subscriber" not in made.words and not made.preset) or "source" in made.opens:
        return Written(text, made.preset, tuple(made.decisions.made.values()), None)
    return _tried(wanted, answers, made, text)


def _unclear(made: Draft, asked: set[str]) -> Decision | None:
    unsure = (one for one in made.decisions.made.values() if one.grade < Grade.SURE and one.target not in asked)
    return next((one for one in unsure if one.question and (one.others or one.takes_any)), None)


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
            made.decisions.choose(target, "", Grade.LIKELY, [Option("left out", reason)])
            notes.append(f"likely: {reason}")
    return notes


def _change(made: Draft, target: str, advice: Advice) -> None:
    """Another value mapping; one of the subscriber's brings the inherited others, as `subscriber` is replaced whole."""
    if target.startswith("subscriber.") and "subscriber" not in made.words:
        made.words["subscriber"] = written(load_preset(made.preset).mapping.subscriber)
    put(made.words, target, dict(advice.pick))
    made.notes.setdefault(target, []).append(f"adapted to the rows: {advice.why}")


def _tried(wanted: Wanted, answers: Mapping[str, str], made: Draft, text: str) -> Written:
    """Take every change that lets more rows through."""
    mapping = _load(text, wanted, made)
    columns = [column.name for column in wanted.sample.columns]
    found = improved(mapping, _first(wanted.sample, mapping), columns, everywhere=True)
    if found.taken:
        changes = {advice.target: advice for advice in found.taken.values()}
        made, text = _drafted(wanted, answers, changes)
    return Written(text, made.preset, tuple(made.decisions.made.values()), found.trial)


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
