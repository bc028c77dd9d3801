"""The samples in the tree are what their generator writes."""

from pathlib import Path

import pyarrow.parquet as pq

from importer.reasons import REASONS
from samples import flaws, generate

SAMPLES = Path(generate.__file__).parent


def test_purchases_csv_is_what_the_generator_writes() -> None:
    assert (SAMPLES / "purchases.csv").read_bytes() == generate.purchases()


def test_events_jsonl_is_what_the_generator_writes() -> None:
    assert (SAMPLES / "events.jsonl").read_bytes() == generate.events()


def test_orders_parquet_holds_what_the_generator_writes() -> None:
    """Values and types; the file's bytes also name the version of pyarrow."""
    written = pq.read_table(SAMPLES / "orders.parquet")
    assert written.schema == generate.ORDER_SCHEMA
    assert str(written.to_pylist()) == str(generate.orders().to_pylist()), "as text, because NaN is not equal to itself"


def test_no_two_invented_customers_share_an_identity() -> None:
    people = generate.customers()
    for identity in ("id", "email"):
        assert len({getattr(who, identity) for who in people}) == len(people)
    phones = [who.phone for who in people if who.phone]
    assert len(set(phones)) == len(phones)


def test_the_purchases_show_a_flaw_for_every_reason_that_planning_a_csv_can_give() -> None:
    """Left out: what only JSON or Parquet can show, what needs a mapping that says less, and what comes of sending."""
    shown = {code for flaw in flaws.PURCHASE_FLAWS.values() for code in flaw.codes}
    shown |= {code for flaw in flaws.RAW_PURCHASES.values() for code in flaw.codes}
    elsewhere = {"row.not_json", "row.unreadable", "property.nested", "duplicate.row"}
    elsewhere |= {
        f"{where}.{what}" for where in ("property", "order_by") for what in ("ambiguous_date", "unknown_zone")
    }
    elsewhere |= {"phone.unknown_country", "phone.ambiguous", "id.rounded", "key.rounded"}
    elsewhere |= {"where.not_a_number", "where.not_a_date", "currency.missing", "property.repeated"}
    elsewhere |= {
        "field.omitted",
        "property.cut",
        "filtered.transform",
        "duplicate.changed",
        "subscriber.forgotten",
        "lookup.not_found",
        "filtered.given_up",
    }
    later = {code for code in REASONS if code.split(".")[0] in {"account", "group", "source", "api", "doubt", "failed"}}
    assert shown == set(REASONS) - elsewhere - later
