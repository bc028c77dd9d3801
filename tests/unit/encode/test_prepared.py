"""What the ledger is told of each row."""

import numpy as np
import pyarrow as pa
import pytest
from msgspec.structs import replace

from importer.encode import encode
from importer.model import Dialect, EncodedChunk, Events, UnreadableRow, Violations
from importer.validate import validate
from tests.support.events import Row, make_events, problem, strings

RAGGED = UnreadableRow(row=12, line=30, code="row.ragged", value="4 fields instead of 3")
BROKEN = UnreadableRow(row=14, line=33, code="row.not_json", value='{"a":')


def prepare(events: Events) -> EncodedChunk:
    return encode(events, validate(events, strict=False))


def reasons(prepared: EncodedChunk) -> list[tuple[int, str, str, str]]:
    table = prepared.reasons
    assert table.column_names == ["row", "code", "field", "value"]
    assert [str(kind) for kind in table.schema.types] == ["int64", "string", "string", "string"]
    assert all(column.null_count == 0 for column in table.columns)
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def mixed() -> Events:
    """Rows 10 to 15: good, good, spoiled, bad, spoiled, left out."""
    events = make_events(
        [
            Row(email="Ann@Example.com", value="1", currency="EUR", properties={"n": "1"}),
            Row(id="7", email=None),
            Row(email="no"),
            Row(passes_filter=False),
        ],
        {"n": "integer"},
        unreadable=[RAGGED, BROKEN],
        first_row=10,
    )
    return replace(
        events,
        key=strings(["k1", None, "k3", None]),
        order_value=pa.array([4, 3, None, 1], pa.int64()),
        event_time=pa.array([40, 30, None, 10], pa.int64()),
    )


def test_rows_that_could_not_be_read_stand_where_they_stood() -> None:
    prepared = prepare(mixed())
    assert (prepared.first_row, prepared.count) == (10, 6)
    assert prepared.rows["state"].to_pylist() == ["pending", "pending", "invalid", "invalid", "invalid", "filtered"]
    assert prepared.rows["line"].to_pylist() == [11, 12, 30, 14, 33, 16]
    assert prepared.rows["body"].type == pa.binary()
    assert prepared.rows["body"].to_pylist() == [
        b'{"subscriber":{"email":"Ann@Example.com"},"type":"purchase","value":1,"value_currency":"EUR","properties":{"n":1}}',
        b'{"subscriber":{"id":"7"},"type":"purchase"}',
        None,
        None,
        None,
        None,
    ]
    assert prepared.rows["type"].to_pylist() == ["purchase", "purchase", None, "purchase", None, "purchase"]
    assert prepared.rows["value"].to_pylist() == ["1", None, None, None, None, None]
    assert prepared.rows["currency"].to_pylist() == ["EUR", None, None, None, None, None]
    assert "group_head" not in prepared.rows.column_names


def test_keys_places_and_times_follow_their_rows() -> None:
    prepared = prepare(mixed())
    assert prepared.rows["key"].to_pylist() == ["k1", None, None, "k3", None, None]
    assert prepared.rows["order_value"].to_pylist() == [4, 3, None, None, None, 1]
    assert prepared.rows["event_time"].to_pylist() == [40, 30, None, None, None, 10]


def test_without_keys_places_and_times_there_are_none() -> None:
    prepared = prepare(make_events([Row()], unreadable=[replace(RAGGED, row=2)]))
    assert not {"key", "order_value", "event_time"} & {*prepared.rows.column_names}


def test_a_chunk_of_spoiled_rows_only_is_all_invalid() -> None:
    prepared = prepare(make_events([], {"n": "integer"}, unreadable=[RAGGED, replace(BROKEN, row=13)], first_row=12))
    assert prepared.rows["state"].to_pylist() == ["invalid", "invalid"]
    assert prepared.rows["body"].to_pylist() == [None, None]
    assert prepared.rows["subscriber"].to_pylist() == [None, None]


def test_the_subscriber_is_shown_by_email_else_phone_else_id() -> None:
    rows = [
        Row(id="7", phone="+37060000000"),
        Row(id="7", email=None, phone="+37060000000"),
        Row(id="7", email=None),
        Row(email=None),
    ]
    assert prepare(make_events(rows)).rows["subscriber"].to_pylist() == ["ann@example.com", "+37060000000", "7", None]


@pytest.mark.parametrize(
    ("email", "identity"), [("ANN@example.com", "ann@example.com"), ("Ann.Lee@Example.ORG", "ann.lee@example.org")]
)
def test_an_identity_knows_its_email_in_any_case_while_the_body_keeps_it(email: str, identity: str) -> None:
    prepared = prepare(make_events([Row(id="Q7", email=email, phone="+37060000000"), Row(email=None)]))
    assert [column.to_pylist() for column in prepared.identities] == [
        ["Q7", None],
        [identity, None],
        ["+37060000000", None],
    ]
    assert email.encode() in prepared.rows["body"][0].as_py()


def test_reasons_go_by_row_and_then_in_the_order_of_the_targets() -> None:
    found = [
        problem("key.missing", "key", 0),
        problem("order_by.invalid", "order_by", 0),
        problem("property.not_an_integer", "properties.b", 0, 1),
        problem("property.nested", "properties.a", 0),
        problem("value.not_a_number", "value", 1),
    ]
    rows = [Row(email="no", type=None, properties={"a": "x" * 9_000})] * 2
    events = make_events(rows, {"a": "text", "b": "integer"}, unreadable=[replace(RAGGED, row=2)], violations=found)
    table = reasons(prepare(events))
    assert [(row, code, field) for row, code, field, _ in table] == [
        (1, "email.invalid", "subscriber.email"),
        (1, "type.missing", "type"),
        (1, "property.nested", "properties.a"),
        (1, "property.not_an_integer", "properties.b"),
        (1, "properties.too_large", "properties"),
        (1, "order_by.invalid", "order_by"),
        (1, "key.missing", "key"),
        (2, "row.ragged", ""),
        (3, "email.invalid", "subscriber.email"),
        (3, "type.missing", "type"),
        (3, "value.not_a_number", "value"),
        (3, "property.text_too_long", "properties.a"),
        (3, "property.not_an_integer", "properties.b"),
        (3, "properties.too_large", "properties"),
    ]


def test_a_warning_is_a_reason_though_its_row_is_sent() -> None:
    prepared = prepare(make_events([Row(currency="HRK")]))
    assert prepared.rows["state"].to_pylist() == ["pending"]
    assert reasons(prepared) == [(1, "currency.retired", "value_currency", "HRK")]


def test_a_row_that_could_not_be_decoded_names_the_encoding() -> None:
    events = make_events([], unreadable=[UnreadableRow(1, 2, "row.undecodable", "caf\udce9")])
    source = replace(events.chunk.source, dialect=Dialect(format="csv", encoding="cp1252"))
    events = replace(events, chunk=replace(events.chunk, source=source))
    assert reasons(prepare(events)) == [(1, "row.undecodable", "cp1252", "caf\\udce9")]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("é" * 80, "é" * 80),
        ("é" * 81, "é" * 79 + "…"),
        ("x" * 100_000, "x" * 79 + "…"),
        ("a\tb\nc\r\x00\x1b[31m\x7f\x9b", "a\\tb\\nc\\r\\x00\\x1b[31m\\x7f\\x9b"),
        ("\x00" * 80, ("\\x00" * 20)[:79] + "…"),
        ("back\\slash 😀 é", "back\\slash 😀 é"),
        ("ada@example.com\u200b", "ada@example.com\\u200b"),
        ("5\u00a0%", "5\\xa0%"),
    ],
)
def test_offending_values_are_shortened_and_made_readable(value: str, shown: str) -> None:
    found = Violations("value.not_a_number", "value", np.array([0], np.int64), strings([value]))
    assert reasons(prepare(make_events([Row()], violations=[found]))) == [(1, "value.not_a_number", "value", shown)]
    unreadable = [UnreadableRow(1, 2, "row.not_json", value)]
    assert reasons(prepare(make_events([], unreadable=unreadable))) == [(1, "row.not_json", "", shown)]


def test_a_value_that_is_not_there_is_shown_as_nothing() -> None:
    found = Violations("key.missing", "key", np.array([0], np.int64), strings([None]))
    assert reasons(prepare(make_events([Row()], violations=[found]))) == [(1, "key.missing", "key", "")]


def test_without_problems_the_table_is_empty_but_typed() -> None:
    assert reasons(prepare(make_events([Row()]))) == []
    assert reasons(prepare(make_events([]))) == []


def test_the_original_rows_are_handed_on() -> None:
    events = make_events([Row()])
    raw_rows = pa.table({"record": pa.array([b"ann@example.com"])})
    assert prepare(replace(events, chunk=replace(events.chunk, raw_rows=raw_rows))).raw_rows is raw_rows
