"""docs/mapping.md: every example runs and gives what the page shows, and every word has one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from importer.cli import main
from importer.errors import MappingError
from importer.mapping.load import loads
from importer.mapping.model import (
    AsKind,
    Case,
    Condition,
    ExpectedEvent,
    ExpectedReason,
    ExpectedSubscriber,
    ImportMapping,
    Lookup,
    MoreProperties,
    SourceOptions,
    Subscriber,
    ValueMapping,
)
from importer.mapping.model import Example as MappingExample

PAGE = Path(__file__).parents[2] / "docs" / "mapping.md"
MODELS = (
    ImportMapping,
    Case,
    Lookup,
    MoreProperties,
    SourceOptions,
    Condition,
    Subscriber,
    ValueMapping,
    MappingExample,
    ExpectedEvent,
    ExpectedSubscriber,
    ExpectedReason,
)
HEAD = {"version": "version: 1", "subscriber": "subscriber: {email: Email}", "type": "type: {const: purchase}"}
"""What an example begins with where it leaves it out, as the page says."""


@dataclass(frozen=True, slots=True)
class Example:
    """A mapping, and the blocks that follow it at once, by their language."""

    line: int
    mapping: str
    """Completed by the lines of ``HEAD`` that it leaves out."""
    blocks: dict[str, str]


def examples() -> Iterator[Example]:
    """The page's examples, in order."""
    fence = r"```{0}\n(.*?)```\n"
    page = PAGE.read_text(encoding="utf-8")
    for found in re.finditer(fence.format("yaml") + "((?:```[a-z]+\n.*?```\n)*)", page, re.DOTALL):
        missing = [line for word, line in HEAD.items() if not re.search(rf"^({word}|extends):", found[1], re.MULTILINE)]
        blocks = dict(re.findall(fence.format("([a-z]+)"), found[2], re.DOTALL))
        line = page[: found.start()].count("\n") + 1
        yield Example(line, "\n".join([*missing, found[1]]), blocks)


EXAMPLES = {example.line: example for example in examples()}


def of_lines(with_block: str | None) -> list[int]:
    """Where the examples stand that have such a block, or that are not meant to be mistaken."""
    return [
        line for line, one in EXAMPLES.items() if (with_block in one.blocks if with_block else "text" not in one.blocks)
    ]


@pytest.mark.parametrize("line", of_lines(None))
def test_an_example_is_a_mapping(line: int) -> None:
    loads(EXAMPLES[line].mapping, "mapping.yaml")


@pytest.mark.parametrize("line", of_lines("json"))
def test_an_example_makes_the_events_that_the_page_shows(
    line: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    example = EXAMPLES[line]
    (kind,) = example.blocks.keys() - {"json"}
    (tmp_path / f"input.{kind}").write_text(example.blocks[kind], encoding="utf-8")
    (tmp_path / "mapping.yaml").write_text(example.mapping, encoding="utf-8")
    arguments = ["check", str(tmp_path / f"input.{kind}"), "-m", str(tmp_path / "mapping.yaml"), "--preview", "100"]
    code = main(arguments)
    told = capfd.readouterr()
    assert told.out == example.blocks["json"], told.err
    assert code == 0


@pytest.mark.parametrize("line", of_lines("text"))
def test_a_mistaken_example_is_told_what_the_page_shows(line: int) -> None:
    with pytest.raises(MappingError) as caught:
        loads(EXAMPLES[line].mapping, "mapping.yaml")
    assert [str(problem) for problem in caught.value.problems] == EXAMPLES[line].blocks["text"].splitlines()


def used(value: Any) -> Iterator[str]:
    """The words that a model and those inside it were given."""
    if isinstance(value, BaseModel):
        for name in value.model_fields_set:
            yield f"{type(value).__name__}.{name}"
            yield from used(getattr(value, name))
        if isinstance(value, ValueMapping) and value.as_:
            yield f"as {value.as_}"
    elif isinstance(value, dict):
        for one in value.values():
            yield from used(one)
    elif isinstance(value, tuple):
        for one in value:
            yield from used(one)


def test_every_word_has_an_example() -> None:
    mappings = [loads(EXAMPLES[line].mapping, "mapping.yaml").mapping for line in of_lines(None)]
    shown = {word for mapping in mappings for word in used(mapping)}
    words = {f"{model.__name__}.{name}" for model in MODELS for name in model.model_fields}
    assert words | {f"as {kind}" for kind in get_args(AsKind)} == shown


def test_every_word_is_explained_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for model in MODELS:
        for name, field in model.model_fields.items():
            assert f"`{field.alias or name}`" in page, name
