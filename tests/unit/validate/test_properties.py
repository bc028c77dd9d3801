"""Sizes and numbers of the properties, at the very limits."""

import json
from collections.abc import Mapping

import pytest

from importer.model import Kind
from importer.validate import validate
from tests.support.events import Row, make_events


def codes(properties: Mapping[str, str | None], kind: Kind = "text") -> list[tuple[str, str, str]]:
    kinds: dict[str, Kind] = dict.fromkeys(properties, kind)
    verdict = validate(make_events([Row(), Row(properties=properties), Row()], kinds), strict=False)
    assert all(p.positions.tolist() == [1] for p in verdict.violations)
    assert verdict.valid.tolist() == [True, not verdict.violations, True]
    return [(p.code, p.field, p.values.to_pylist()[0]) for p in verdict.violations]


@pytest.mark.parametrize(
    "text", ["a" * 2_047, "a" * 2_048, "ü" * 1_024, "a" + "ü" * 1_023, "€" * 682, "😀" * 512, '"' * 2_048, ""]
)
def test_a_text_of_up_to_2048_bytes_passes(text: str) -> None:
    """Bytes of UTF-8, counted before escaping."""
    assert codes({"note": text}) == []


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("a" * 2_049, "2,049"),
        ("a" + "ü" * 1_024, "2,049"),
        ("€" * 683, "2,049"),
        ("😀" * 512 + "a", "2,049"),
        ("b" * 7_000, "7,000"),
    ],
)
def test_a_longer_text_is_refused_with_its_size(text: str, size: str) -> None:
    assert codes({"note": text}) == [("property.text_too_long", "properties.note", f"{size} bytes")]


@pytest.mark.parametrize("kind", ["date", "datetime"])
def test_dates_are_texts_too(kind: Kind) -> None:
    assert codes({"at": "2" * 2_049}, kind) == [("property.text_too_long", "properties.at", "2,049 bytes")]


def of_size(size: int, filler: str) -> dict[str, str | None]:
    """Properties whose compact JSON takes exactly ``size`` bytes, most of it ``filler``."""
    properties: dict[str, str | None] = {
        f"text {n}": filler * (1_600 // len(json.dumps(filler, ensure_ascii=False)[1:-1].encode())) for n in range(5)
    }
    properties["rest"] = ""
    room = size - len(json.dumps(properties, ensure_ascii=False, separators=(",", ":")).encode())
    properties["rest"] = "r" * room
    assert len(json.dumps(properties, ensure_ascii=False, separators=(",", ":")).encode()) == size
    return properties


@pytest.mark.parametrize("filler", ["a", "ü", "€", "😀", '"', "\\", "\n", "\x1f"])
@pytest.mark.parametrize(("size", "fine"), [(8_191, True), (8_192, True), (8_193, False)])
def test_properties_may_take_8192_bytes_of_compact_json(filler: str, size: int, *, fine: bool) -> None:
    """Escapes count as they are sent: what is measured is the object in the body."""
    expected = [] if fine else [("properties.too_large", "properties", "8,193 bytes")]
    assert codes(of_size(size, filler)) == expected


def test_keys_count_too() -> None:
    limit = 8_192 - len('{"":1}')
    assert codes({"k" * limit: "1"}, "integer") == []
    assert codes({"k" * (limit + 1): "1"}, "integer") == [("properties.too_large", "properties", "8,193 bytes")]


def test_absent_properties_take_no_room() -> None:
    properties: dict[str, str | None] = {f"text {n}": "a" * 2_000 for n in range(4)}
    assert codes({**properties, **dict.fromkeys(["x" * 100, "y" * 100, "z" * 100])}) == []
    assert codes({**properties, "x" * 100: "a" * 100}) == [("properties.too_large", "properties", "8,255 bytes")]


def test_a_row_gets_a_reason_for_each_long_text_and_for_the_sum() -> None:
    found = codes({"a": "a" * 3_000, "b": "fine", "c": "c" * 6_000})
    assert found == [
        ("property.text_too_long", "properties.a", "3,000 bytes"),
        ("property.text_too_long", "properties.c", "6,000 bytes"),
        ("properties.too_large", "properties", "9,026 bytes"),
    ]


@pytest.mark.parametrize("kind", ["integer", "number"])
@pytest.mark.parametrize("token", ["0", "-1", "9223372036854775808", "9" * 40, "1" + "0" * 308])
def test_numbers_of_any_width_pass_up_to_the_largest_float64(token: str, kind: Kind) -> None:
    """A 19-digit id keeps its digits; the page names no width."""
    assert codes({"n": token}, kind) == []


@pytest.mark.parametrize(("kind", "token"), [("number", "1e309"), ("number", "NaN"), ("integer", "9" * 309)])
def test_numbers_beyond_float64_are_not_finite(kind: Kind, token: str) -> None:
    assert codes({"n": token}, kind) == [("property.not_finite", "properties.n", token)]


def test_booleans_pass() -> None:
    assert codes({"gift": "true"}, "boolean") == []
