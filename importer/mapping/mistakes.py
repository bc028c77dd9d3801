"""All mistakes of a mapping at once, in the user's words: the base that the mapping's models share.

pydantic stops at a model's fields before it looks at how they go together, and speaks of its own types. The base
here looks at both in one go, and leaves nothing but mistakes made by `mistake`. Which words exist is ``model``'s,
how they are worded ``words``'s, and where they stand in the file ``load``'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from importer.mapping import words

FROM_FILE = "from a file"
"""The validation context under which a word without a value (``format:``) is a mistake, as it is in a file."""

Place = tuple[int | str, ...]
"""Words and list positions that lead from a model to the thing at fault."""

_KIND = "mistake"


def mistake(message: str, hint: str | None = None) -> PydanticCustomError:
    """One mistake, for a field's validator to raise; it points at the value."""
    return PydanticCustomError(_KIND, "{message}", {"message": message, "hint": hint, "at": "value"})


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake inside a model."""

    place: Place
    message: str
    hint: str | None = None
    at: Literal["key", "value"] = "key"
    """Whether to point at the word itself or at what it is set to."""

    def details(self) -> InitErrorDetails:
        """As pydantic wants it."""
        context = {"message": self.message, "hint": self.hint, "at": self.at}
        return InitErrorDetails(type=PydanticCustomError(_KIND, "{message}", context), loc=self.place, input=None)


@dataclass(frozen=True, slots=True)
class Given:
    """What a model was given: the words, and which of them are known to be wrong already."""

    values: Mapping[str, Any]
    wrong: frozenset[str]
    has_unknown: bool
    """Whether some words are not known; they may be meant for what seems to be missing, so that is not said too."""

    def __contains__(self, word: str) -> bool:
        return self.values.get(word) is not None

    def sound(self, word: str) -> Any:
        """What ``word`` is set to; None if it is not, or wrongly."""
        return None if word in self.wrong else self.values.get(word)

    def among(self, candidates: Iterable[str]) -> list[str]:
        """Those of ``candidates`` that were given, in the order they were written."""
        wanted = frozenset(candidates)
        return [word for word in self.values if word in wanted and word in self]


def read(error: ValidationError) -> Iterator[Mistake]:
    """The mistakes that an error of a `Model` carries."""
    for one in error.errors(include_url=False, include_input=False):
        context = one["ctx"]
        yield Mistake(one["loc"], context["message"], context["hint"], context["at"])


class Model(BaseModel):
    """Frozen, no unknown words, and every mistake reported at once."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, use_attribute_docstrings=True)

    @classmethod
    def written(cls, data: Any) -> Any:
        """The long form of what a user may write short; anything else as it is."""
        return data

    @classmethod
    def clashes(cls, given: Given) -> Iterator[Mistake]:  # noqa: ARG003 - for the models that have such rules
        """What is wrong with the words as they go together."""
        yield from ()

    @model_validator(mode="wrap")
    @classmethod
    def _report_all_at_once(cls, data: Any, make: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        if isinstance(data, cls):
            return make(data)
        data = cls.written(data)
        try:
            made = make(data)
            found: list[Mistake] = []
        except ValidationError as error:
            made = None
            found = list(_translate(cls, data, error))
        if isinstance(data, dict):
            if info.context == FROM_FILE:
                empty = [(word,) for word, value in data.items() if value is None]
                found = [one for one in found if one.place not in empty] + [_no_value(place) for place in empty]
            found += cls.clashes(collect(data, found, known=words.of(cls)))
        if found or made is None:
            raise refuse(cls.__name__, found)
        return made


def collect(data: Mapping[Any, Any], found: Sequence[Mistake], known: Iterable[str] | None = None) -> Given:
    """Bring together what was written and what is wrong with it so far; ``known`` are all words there are."""
    # Python spells `as` and `in` with an underscore behind them.
    values = {str(word).removesuffix("_"): value for word, value in data.items()}
    wrong = frozenset(str(one.place[0]).removesuffix("_") for one in found if one.place)
    return Given(values, wrong, has_unknown=known is not None and not values.keys() <= set(known))


def refuse(name: str, found: Iterable[Mistake]) -> ValidationError:
    """The error that carries ``found``; ``name`` is the model's."""
    return ValidationError.from_exception_data(name, [one.details() for one in found])


def _translate(cls: type[BaseModel], data: Any, error: ValidationError) -> Iterator[Mistake]:
    """Turn pydantic's errors into mistakes; several errors about one value are one mistake."""
    errors = error.errors(include_url=False)
    places = [_trim(one["loc"], data) for one in errors]
    unknown = {place[0] for one, place in zip(errors, places, strict=True) if one["type"] == "extra_forbidden"}
    meant = {words.nearest(str(word), words.of(cls)) for word in unknown}
    around = {place[:depth] for place in places for depth in range(len(place))}
    told = {place for one, place in zip(errors, places, strict=True) if one["type"] == _KIND}
    for one, place in zip(errors, places, strict=True):
        if one["type"] == _KIND:
            context = one["ctx"]
            yield Mistake(place, context["message"], context["hint"], context["at"])
        elif one["type"] == "extra_forbidden":
            yield Mistake(place, *words.unknown(cls, str(place[0])))
        elif one["type"] == "missing":
            word = str(one["loc"][0])
            if word not in meant:
                yield Mistake((), *words.missing(cls, word))
        elif place not in told and place not in around:
            told.add(place)
            at_fault = str(place[0]) if place else None
            value = _reach(place, data)
            # What is not there has no place of its own.
            at: Literal["key", "value"] = "key" if value is None else "value"
            yield Mistake(place, *words.wanted(cls, at_fault, value), at)


def _no_value(place: Place) -> Mistake:
    return Mistake(place, f"`{place[0]}` has no value", "write one behind it, or leave the whole line out")


def _trim(loc: Place, data: Any) -> Place:
    """``loc`` without the steps that lead through pydantic's unions instead of the data."""
    place: list[int | str] = []
    for step in loc:
        inside = isinstance(data, dict) and step in data
        if inside or (isinstance(data, list | tuple) and isinstance(step, int) and step < len(data)):
            place.append(step)
            data = data[step]
    return tuple(place)


def _reach(place: Place, data: Any) -> Any:
    for step in place:
        data = data[step]
    return data
