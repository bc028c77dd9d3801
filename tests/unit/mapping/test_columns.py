"""Which columns a mapping needs that a file lacks."""

from __future__ import annotations

import pytest

from importer.mapping.columns import MissingColumn, check_columns
from importer.mapping.load import loads
from importer.mapping.model import ImportMapping

HEAD = "version: 1\nsubscriber: {email: Email}\ntype: {const: purchase}\n"


def mapping(text: str) -> ImportMapping:
    """The mapping of a text that begins like all others."""
    return loads(HEAD + text, "m.yaml").mapping


def test_a_lacking_column_is_told_once_with_its_targets_and_the_nearest_name() -> None:
    text = "where: [{column: Totl, above: 0}]\nvalue: Totl\nproperties: {total: Totl, zip: Zip}\n"
    assert check_columns(mapping(text), ["Email", "Total"]) == (
        MissingColumn("Totl", ("where", "value", "properties.total"), "Total", is_decisive=True),
        MissingColumn("Zip", ("properties.zip",), None),
    )


@pytest.mark.parametrize(
    ("name", "other", "is_near"),
    [
        ("OrderNotes", "Order Notes", True),
        ("Quanity", "Quantity", True),
        ("E-Mail", "Email Address", True),
        ("Order", "Order ID", True),
        ("Total", "Subtotal", False),
        ("Order Date", "Order ID", False),
        ("From Email Address", "To Email Address", False),
        ("Time", "Time Zone", False),
        ("Discount Code", "Discount Amount", False),
        ("line_item_1", "line_item_2", False),
        ("Zip", "Email", False),
    ],
)
def test_a_column_that_means_something_else_is_not_near(name: str, other: str, *, is_near: bool) -> None:
    made = mapping(f"properties: {{a: '{name}'}}\n")
    assert [one.nearest for one in check_columns(made, ["Email", other])] == [other if is_near else None]


@pytest.mark.parametrize(
    ("pick", "missing"),
    [
        ("Total", ["Total"]),
        ("EMAIL", ["EMAIL"]),
        ("{column: Total, default: 0}", []),
        ("{first_of: [Total, Email]}", []),
        ("{first_of: [Total, {const: 1}]}", []),
        ("{first_of: [Total, {column: Sum, default: 1}]}", []),
        ("{first_of: [Total, Sum]}", ["Total", "Sum"]),
        ("{first_of: [Total, Sum], default: 1}", []),
        ("{first_of: [Total, {template: '{Email}{Sum}'}]}", ["Total", "Sum"]),
        ("{template: '{Email} {Total}'}", ["Total"]),
        ("{const: x}", []),
        ("Email.domain", []),
        ("order.total", ["order.total"]),
    ],
)
def test_a_column_is_needed_only_if_the_pick_cannot_do_without(pick: str, missing: list[str]) -> None:
    found = check_columns(mapping(f"properties: {{a: {pick}}}\n"), ["Email"])
    assert [one.name for one in found] == missing


def test_a_reader_may_say_what_it_has() -> None:
    """In a CSV file a dotted name is a column like any other, whatever its front part."""
    columns = ["Email", "address"]
    text = "properties: {city: address.city}\n"
    assert check_columns(mapping(text), columns) == ()
    assert check_columns(mapping(text), columns, columns.__contains__) == (
        MissingColumn("address.city", ("properties.city",), "address"),
    )
    assert check_columns(mapping(text), (), lambda _: True) == ()


def test_the_column_of_a_zone_or_a_country_is_needed_whatever_else_the_pick_can_do_without() -> None:
    """A time without its zone, or a phone without its country, would be read as another one."""
    at = {"first_of": ["At", "Day"], "as": "datetime", "default": "2026-01-31", "timezone": {"column": "Zone"}}
    phone = {"column": "Phone", "default": "861234567", "country": {"column": "Country"}}
    made = ImportMapping.model_validate(
        {"version": 1, "subscriber": {"phone": phone}, "type": {"const": "purchase"}, "properties": {"at": at}}
    )
    assert made.columns() == ("Phone", "Country", "At", "Day", "Zone")
    found = check_columns(made, ["At", "Timezone"])
    assert [(one.name, one.targets) for one in found] == [
        ("Country", ("subscriber.phone",)),
        ("Zone", ("properties.at",)),
    ]


@pytest.mark.parametrize(
    ("text", "decisive"),
    [
        ("key: Id\nproperties: {zip: Zip}\n", ["Id"]),
        ("key: {first_of: [Id, Email]}\n", []),
        ("group_by: Order\n", ["Order"]),
        ("value: Total\norder_by: At\n", []),
        ("where: [{column: Status, equals: paid}, {column: Test, not_equals: true}, {column: Gone, empty: true}]\n",
         ["Status"]),
        ("where: [{column: Status, in: [paid, '']}, {column: Kind, not_in: ['']}, {column: Total, above: 0}]\n",
         ["Kind", "Total"]),
        ("where: [{column: A, matches: a}, {column: B, not_matches: b}, {column: C, empty: false}]\n", ["A", "C"]),
    ],
)  # fmt: skip
def test_what_decides_whether_any_row_becomes_an_event_is_named(text: str, decisive: list[str]) -> None:
    found = check_columns(mapping(text), ["Email"])
    assert [one.name for one in found if one.is_decisive] == decisive


def test_a_subscriber_needs_one_of_its_identities_at_least() -> None:
    text = "version: 1\nsubscriber: {email: Email, phone: Phone}\ntype: {const: purchase}\n"
    both = loads(text, "m.yaml").mapping
    assert [one.is_decisive for one in check_columns(both, ["Phone"])] == [False]
    assert [one.is_decisive for one in check_columns(both, ["Total"])] == [True, True]
