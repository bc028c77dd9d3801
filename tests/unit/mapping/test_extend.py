"""Mappings that extend others: what overrides what, and where mistakes are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from importer.errors import MappingError
from importer.mapping.load import load

BASE = """\
version: 1
about: The base.
recognised_by: [Email]
source: {delimiter: ";"}
where: [{column: Status, equals: paid}]
key: Order
subscriber: {email: Email, phone: Phone}
type: {const: purchase}
value: Total
properties: {order: Order, status: Status}
tests:
  - {rows: [{Email: ada@example.com}], events: []}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.yaml").write_text(BASE, encoding="utf-8")
    return tmp_path


def told(folder: Path, text: str) -> list[str]:
    """The mistakes of a mapping beside the base."""
    (folder / "m.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(MappingError) as caught:
        load("m.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_words_replace_and_properties_are_inherited_by_name(folder: Path) -> None:
    text = "extends: base.yaml\nsubscriber: {email: E-mail}\nproperties: {status: State, shop: {const: north}}\n"
    (folder / "m.yaml").write_text(text, encoding="utf-8")
    mapping = load("m.yaml").mapping
    assert mapping.subscriber.email is not None
    assert mapping.subscriber.email.column == "E-mail"
    assert mapping.subscriber.phone is None
    assert {name: pick.column for name, pick in mapping.properties.items()} == {
        "order": "Order",
        "status": "State",
        "shop": None,
    }
    assert mapping.source.delimiter == ";"


def test_null_takes_away_what_is_inherited(folder: Path) -> None:
    (folder / "m.yaml").write_text("extends: base.yaml\nkey: null\nwhere:\nproperties: {order: null}", encoding="utf-8")
    mapping = load("m.yaml").mapping
    assert (mapping.key, mapping.where, list(mapping.properties)) == (None, (), ["status"])


def test_null_for_what_is_not_inherited_is_a_mistake(folder: Path) -> None:
    assert told(folder, "extends: base.yaml\norder_by: null\nproperties: {shop: null}\n") == [
        "m.yaml:2:1: `order_by` has no value; write one, or leave the line out",
        "m.yaml:3:14: `shop` has no value; write one, or leave the line out",
    ]


def test_what_a_file_says_of_itself_is_not_inherited(folder: Path) -> None:
    (folder / "m.yaml").write_text("extends: base.yaml\n", encoding="utf-8")
    mapping = load("m.yaml").mapping
    assert (mapping.about, mapping.recognised_by, mapping.tests) == (None, (), ())
    assert mapping.digest() == load("base.yaml").mapping.digest(), "the rows become the same events"


def test_a_path_counts_from_the_file_that_names_it(folder: Path) -> None:
    (folder / "shops").mkdir()
    (folder / "shops" / "north.yaml").write_text("extends: ../base.yaml\ntype: {const: north}", encoding="utf-8")
    (folder / "m.yaml").write_text("extends: shops/north.yaml\n", encoding="utf-8")
    assert load("m.yaml").mapping.type.const == "north"


def test_a_mistake_is_told_where_the_word_stands(folder: Path) -> None:
    (folder / "base.yaml").write_text(BASE.replace("status: Status}", "status: {colum: Status}}"), encoding="utf-8")
    assert told(
        folder, "extends: base.yaml\nvalue: {column: Total, as: money}\nproperties: {shop: {cost: north}}\n"
    ) == [
        'm.yaml:2:28: `as` must be text, integer, number, boolean, date or datetime, not "money"',
        'm.yaml:3:21: unknown key "cost" in a value; did you mean const?',
        'base.yaml:10:37: unknown key "colum" in a value; did you mean column?',
    ]


def test_a_word_that_the_base_needs_and_lost_is_told_in_the_file_that_took_it(folder: Path) -> None:
    [line] = told(folder, "extends: base.yaml\ntype: null\n")
    assert line.startswith("m.yaml:1:1: the mapping needs `type`")


def test_text_that_is_not_yaml_is_told_in_its_own_file(folder: Path) -> None:
    (folder / "base.yaml").write_text("version: 1\ntype: [A\n", encoding="utf-8")
    assert told(folder, "extends: base.yaml\n")[0].startswith("base.yaml:2:7: this bracket is not closed")


def test_a_base_that_is_no_mapping_is_told(folder: Path) -> None:
    (folder / "base.yaml").write_text("- a\n- b\n", encoding="utf-8")
    assert told(folder, "extends: base.yaml\n") == ["m.yaml:1:10: base.yaml is not a mapping"]


def test_a_circle_is_told_with_all_its_members(folder: Path) -> None:
    (folder / "a.yaml").write_text("extends: b.yaml\n", encoding="utf-8")
    (folder / "b.yaml").write_text("extends: m.yaml\n", encoding="utf-8")
    assert told(folder, "extends: a.yaml\n") == [
        (
            "b.yaml:1:10: `extends` goes in a circle: m.yaml, which extends a.yaml, which extends b.yaml,"
            " which extends m.yaml; remove one of these `extends`"
        )
    ]
    assert "m.yaml, which extends m.yaml" in told(folder, "extends: ./m.yaml\n")[0]


def test_what_is_not_there_is_told_with_the_nearest_name_beside_the_other_mistakes(folder: Path) -> None:
    assert told(folder, "extends: bass.yaml\nvalue: {column: Total, as: money}\n") == [
        "m.yaml:1:10: the mapping bass.yaml does not exist; did you mean base.yaml?",
        'm.yaml:2:28: `as` must be text, integer, number, boolean, date or datetime, not "money"',
    ]
    assert told(folder, "extends: shopify-order\n") == [
        (
            "m.yaml:1:10: the mapping shopify-order does not exist"
            "; did you mean the preset shopify-orders or shopify-customers or shopify-refunds?"
        )
    ]


def test_a_presets_name_is_the_preset_and_a_path_the_file(folder: Path) -> None:
    (folder / "shopify-customers").write_text(BASE, encoding="utf-8")
    assert load("shopify-customers").mapping.missing_columns == "warn"
    assert load("./shopify-customers").mapping.missing_columns == "refuse"


def test_only_some_words_can_be_needed(folder: Path) -> None:
    assert told(folder, BASE + "needs: {type: the export has none}\n") == [
        "m.yaml:13:15: `needs` cannot ask for `type`; it can ask for subscriber, value, value_currency, key or order_by"
    ]
