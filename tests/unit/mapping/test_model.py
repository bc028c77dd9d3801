"""The models by themselves: what they name, and what makes two mappings the same."""

from __future__ import annotations

import pickle

import pytest
from pydantic import ValidationError

from importer.errors import MappingError
from importer.mapping.load import from_data, loads
from importer.mapping.model import Condition, ImportMapping, ValueMapping

HEAD = "version: 1\nsubscriber: {email: Email}\ntype: Type\n"


def loaded(text: str) -> ImportMapping:
    """The mapping of a text that begins like all others."""
    return loads(HEAD + text, "m.yaml").mapping


def test_a_pick_names_its_columns_once_in_order_of_appearance() -> None:
    pick = ValueMapping(
        first_of=(ValueMapping(column="B"), ValueMapping(template="{A} of {B}, {{C}}, {D: e}"), ValueMapping(const="x"))
    )
    assert pick.columns() == ("B", "A", "D: e")


def test_a_mapping_names_the_columns_of_its_tests_and_of_all_its_targets() -> None:
    mapping = loaded(
        "where: [{column: Status, equals: paid}]\norder_by: At\nkey: {template: '{Name}-{Email}'}\nvalue: Total\n"
        "value_currency: {first_of: [Currency, {const: EUR}]}\nproperties: {status: Status, city: address.city}\n"
    )
    assert mapping.columns() == ("Status", "At", "Name", "Email", "Type", "Total", "Currency", "address.city")


def test_targets_are_named_as_reports_name_them() -> None:
    mapping = loaded("properties: {a: A}\nvalue: V\n")
    assert [(target, pick.columns()) for target, pick in mapping.fields()] == [
        ("subscriber.email", ("Email",)),
        ("type", ("Type",)),
        ("value", ("V",)),
        ("properties.a", ("A",)),
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("key: A  # why\n", "# nothing\nkey:\n  column: A\n"),
        ("properties: {a: A, b: B}\nkey: K\n", "key: K\nproperties: {b: B, a: A}\n"),
        ("missing_columns: refuse\n", "source: {skip_lines: 0}\n"),
    ],
)
def test_layout_comments_order_and_what_goes_without_saying_do_not_change_the_digest(one: str, other: str) -> None:
    assert loaded(one).digest() == loaded(other).digest()
    assert len(loaded(one).digest()) == 64


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("key: A\n", "key: B\n"),
        ("key: {const: 1}\n", "key: {const: '1'}\n"),
        ("key: {const: true}\n", "key: {const: 1}\n"),
        ("key: {first_of: [A, B]}\n", "key: {first_of: [B, A]}\n"),
        ("key: A\n", "order_by: A\n"),
    ],
)
def test_what_changes_an_event_changes_the_digest(one: str, other: str) -> None:
    assert loaded(one).digest() != loaded(other).digest()


def test_mappings_cannot_be_changed_and_travel_between_processes() -> None:
    mapping = loaded("value: {column: A, map: {x: 1}}\n")
    with pytest.raises(ValidationError, match="frozen"):
        mapping.type = ValueMapping(column="Other")  # type: ignore[misc]  # that is the point
    assert pickle.loads(pickle.dumps(mapping)) == mapping  # noqa: S301 - our own


def test_models_made_in_python_are_checked_for_their_types() -> None:
    assert ValueMapping(column="A", as_="integer") == ValueMapping.model_validate({"column": "A", "as": "integer"})
    assert Condition(column="A", in_=("a",)).in_ == ("a",)
    with pytest.raises(ValidationError, match="unknown time zone"):
        ValueMapping(column="A", as_="datetime", timezone="Vilnius")


def test_a_dict_is_a_mapping_by_the_rules_of_a_file() -> None:
    data = {"version": 1, "subscriber": {"email": "Email"}, "type": "Type", "key": {"column": "A", "map": {"x": None}}}
    assert from_data(data) == loaded("key: {column: A, map: {x: null}}")
    with pytest.raises(MappingError) as caught:
        from_data({**data, "subscriber": {}, "value": {"column": "A", "format": "%Y"}, "order_by": None})
    assert [str(problem) for problem in caught.value.problems] == [
        "mapping.order_by: `order_by` has no value; write one, or leave the line out",
        "mapping.subscriber: `subscriber` needs at least one of id, email, phone; such as `email: Email`",
        "mapping.value.format: `format` does not fit `value`; leave it out",
    ]
    with pytest.raises(MappingError, match="a mapping is a dict"):
        from_data(["version"])
