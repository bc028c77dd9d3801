"""`importer init` on the kinds of tables that people export: no invented subscriber, currency, key or purchase.

All people, shops and amounts are invented; the headers are those of the platforms' public exports.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from importer.suggest.advise import Trial
from importer.suggest.sampling import sample
from importer.suggest.write import Wanted, write
from tests.support.program import importer

OLIST_ORDERS = """\
order_id,customer_id,order_status,order_purchase_timestamp,order_approved_at,order_delivered_customer_date
o1a2,c9f1,delivered,2018-01-02 10:56:33,2018-01-02 11:07:15,2018-01-10 21:25:13
o3b4,c7e2,shipped,2018-01-03 08:38:49,2018-01-03 08:55:23,
o5c6,c5d3,invoiced,2018-01-04 19:00:00,2018-01-04 19:30:00,
"""
OLIST_ITEMS = """\
order_id,order_item_id,product_id,seller_id,shipping_limit_date,price,freight_value
o1a2,1,p1,s1,2018-01-05 09:45:35,58.90,13.29
o1a2,2,p1,s1,2018-01-05 09:45:35,58.90,13.29
o3b4,1,p2,s2,2018-01-06 11:05:13,239.90,19.93
"""
OLIST_PAYMENTS = """\
order_id,payment_sequential,payment_type,payment_installments,payment_value
o1a2,1,credit_card,8,99.33
o3b4,1,voucher,1,24.39
o3b4,2,credit_card,1,65.71
"""
CDNOW = " 00004 0001 19970101  2   29.33\n 00004 0001 19970118  2   29.73\n 00018 0003 19970104  1   14.96\n"
STRIPE_CHARGE = """\
id,_fivetran_synced,amount,balance_transaction_id,captured,created,currency,customer_id,livemode,paid,receipt_email,status
ch_1,2021-02-18 14:21:50,329900,txn_1,TRUE,2021-02-18 14:07:57,usd,cus_1,TRUE,TRUE,ada@example.com,succeeded
ch_2,2021-02-18 14:21:50,204000,txn_2,TRUE,2021-02-18 15:07:47,jpy,cus_2,FALSE,TRUE,bo@example.com,succeeded
"""
STRIPE_REFUND = """\
id,_fivetran_synced,amount,charge_id,created,currency,reason,receipt_number,status
re_1,2021-02-18 14:21:50,1200,ch_1,2021-02-18 14:07:57,usd,duplicate,,succeeded
re_2,2021-02-18 14:21:50,500,ch_2,2021-02-19 14:07:57,usd,,,succeeded
"""
STRIPE_BALANCE = """\
id,Type,Source,Amount,Fee,Net,Currency,Created (UTC),Available On (UTC),Description
txn_1,charge,ch_1,25.00,1.03,23.97,eur,2026-01-31 08:15,2026-02-02 00:00,Order 1001
txn_2,payout,po_1,-23.97,0.00,-23.97,eur,2026-02-02 08:15,2026-02-03 00:00,STRIPE PAYOUT
"""
SHOPIFY_WAREHOUSE = """\
_fivetran_synced,id,name,email,created_at,cancelled_at,display_financial_status,test,currency_code,\
total_price_set_pres_amount,total_price_set_pres_currency_code,total_price_set_shop_amount,\
total_price_set_shop_currency_code,customer_id
2025-07-19 09:00:00,4001,#1001,ada@example.com,2025-07-18 08:45:00,,PAID,FALSE,EUR,55.00,USD,49.00,EUR,71
2025-07-19 09:00:00,4002,#1002,bo@example.com,2025-07-18 10:00:00,,PAID,FALSE,EUR,60.00,USD,54.00,EUR,72
"""
SHOPIFY_LINES = """\
_fivetran_synced,id,order_id,product_id,sku,name,quantity,price,currency_code
2025-07-19 09:00:00,9001,4001,1,MUG,Mug,2,20.00,EUR
2025-07-19 09:00:00,9002,4001,2,CAP,Cap,1,9.00,EUR
2025-07-19 09:00:00,9003,4002,1,MUG,Mug,1,54.00,EUR
"""
CARTS = """\
id,email,created_at,updated_at,abandoned_checkout_url,total_price,currency
1,ada@example.com,2026-01-31T08:15:00Z,2026-01-31T09:15:00Z,https://shop.example/1,12.50,EUR
2,bo@example.com,2026-02-01T08:15:00Z,2026-02-01T09:15:00Z,https://shop.example/2,7.00,EUR
"""
CUSTOMERS = """\
Customer ID,Email,Created At,Total Spent,Total Orders,Time Zone
71,ada@example.com,2026-01-31 08:15:00,1250.00,12,Europe/Vilnius
72,bo@example.com,2026-02-01 08:15:00,7.00,1,America/New_York
"""
VIEWS = """\
id,anonymous_id,user_id,timestamp,url,path,referrer,title
m1,a1,u1,2026-01-31T08:15:00Z,https://shop.example/a,/a,https://x.example,A
m2,a2,u2,2026-01-31T08:16:00Z,https://shop.example/b,/b,,B
"""
MAILCHIMP = """\
Date,Email Address,Sender,Subject,Status,Tags,Opens,Clicks,Bounce Detail
2026-01-31 08:15:00,ada@example.com,news@shop.example,Hello,delivered,,3,1,
2026-01-31 08:16:00,bo@example.com,news@shop.example,Hello,bounced,,0,0,full
"""
SQUARE = """\
Date,Time,Time Zone,Gross Sales,Discounts,Net Sales,Tax,Transaction ID,Payment ID,Event Type,Staff Name,Customer ID
2026-01-31,08:15:00,Eastern Time (US & Canada),$8.00,$0.00,$8.00,$0.70,T1,P1,Payment,Ada A.,C1
2026-01-31,09:15:00,Eastern Time (US & Canada),$9.00,$0.00,$9.00,$0.80,T2,P2,Payment,Bo B.,C2
"""
AMPLITUDE = json.dumps({"event_type": "Order Completed", "event_time": "2025-07-01 16:34:54.837000", "uuid": "u1",
                        "$insert_id": "i1", "amplitude_id": 1, "user_id": "u1", "revenue": 29.9,
                        "user_properties": {"email": "ada@example.com"}, "event_properties": {}}) + "\n"  # fmt: skip
GA4 = json.dumps({"event_name": "purchase", "event_timestamp": "1617691790431476", "user_pseudo_id": "AAA.1",
                  "event_params": [{"key": "k", "value": {"int_value": 1}}],
                  "ecommerce": {"transaction_id": "T1", "purchase_revenue": 12.5}}) + "\n"  # fmt: skip


REVIEWS = """\
review_id,order_id,review_score,review_creation_date
r1,o1a2,4,2018-01-18 00:00:00
r2,o3b4,5,2018-03-10 00:00:00
"""
REFUNDS = """\
refund_id,order_id,amount,currency,created_at
r1,o1a2,5.00,EUR,2026-01-02T10:00:00Z
r2,o1a2,6.00,EUR,2026-01-03T10:00:00Z
"""
TRANSACTIONS = """\
id,_fivetran_synced,order_id,refund_id,amount,created_at,kind,status,currency,test
1,2025-07-19 09:00:00,4001,,49.00,2025-07-18 08:00:00,sale,success,EUR,false
2,2025-07-19 09:00:00,4001,5,9.00,2025-07-18 09:00:00,refund,success,EUR,false
3,2025-07-19 09:00:00,4002,,60.00,2025-07-18 09:00:00,authorization,success,EUR,false
"""
DISPUTES = """\
id,_fivetran_synced,amount,charge_id,created,currency,status
dp_1,2021-02-18 14:21:50,1200,ch_1,2021-02-18 14:07:57,usd,lost
dp_2,2021-02-18 14:21:50,1200,ch_2,2021-02-18 14:07:57,usd,won
"""
SHIPMENTS = """\
tracking_number,order_number,recipient_email,carrier,shipped_at,status
T1,1,ada@example.com,UPS,2024-05-14T10:00:00Z,delivered
T2,2,bo@example.com,UPS,2024-05-14T11:00:00Z,in_transit
"""
POINTS = "transaction_id,member,points,created_at\n1,7,100,2024-05-14T10:00:00Z\n2,7,-50,2024-05-15T10:00:00Z\n"
OLIST_CUSTOMERS = "customer_id,customer_unique_id,customer_city\nc1,u1,franca\nc2,u2,sao bernardo\n"
TILL = """\
Order,Cashier Email,IBAN,Total,Currency
1,eve@shop.example,DE89370400440532013000,12.50,EUR
2,bo@shop.example,DE89370400440532013001,13.50,EUR
"""


class Written(NamedTuple):
    text: str
    trial: Trial | None


def drafted(here: Path, name: str, text: str) -> tuple[Written, dict[str, Any], Path]:
    """What `init` writes for a file of that name and text: the whole, its decisions by name, and the mapping's file."""
    source, mapping = here / name, here / "m.yaml"
    source.write_text(text, encoding="utf-8")
    made, trial = write(Wanted(sample(str(source), print), str(mapping), "importer check …"), None, print)
    mapping.write_text(made.text, encoding="utf-8")
    return Written(made.text, trial), {one.target: one.chosen for one in made.decisions.values()}, source


def events(written: Written) -> list[dict[str, Any]]:
    assert written.trial is not None
    return [json.loads(body) for body in written.trial.bodies]


@pytest.mark.parametrize(
    ("name", "text", "key", "kind"),
    [
        ("olist_orders_dataset.csv", OLIST_ORDERS, 'key: {template: "purchase {order_id}"}', "purchase"),
        ("olist_order_items_dataset.csv", OLIST_ITEMS,
         'key: {template: "order_line {order_id} {order_item_id}"}', "order_line"),
        ("olist_order_payments_dataset.csv", OLIST_PAYMENTS,
         'key: {template: "purchase {order_id} {payment_sequential}"}', "purchase"),
        ("stripe__refund.csv", STRIPE_REFUND, 'key: {template: "refund {id}"}', "refund"),
        ("balance.csv", STRIPE_BALANCE, 'key: {template: "balance_transaction {id}"}', "balance_transaction"),
        ("order_lines.csv", SHOPIFY_LINES, 'key: {template: "order_line {id}"}', "order_line"),
        ("page_views.csv", VIEWS, 'key: {template: "page_view {id}"}', "page_view"),
        ("cdnow.txt", CDNOW, None, "purchase"),
        ("olist_order_reviews_dataset.csv", REVIEWS, 'key: {template: "review {review_id}"}', "review"),
        ("refunds.csv", REFUNDS, 'key: {template: "refund {refund_id}"}', "refund"),
        ("olist_customers_dataset.csv", OLIST_CUSTOMERS, 'key: {template: "customer {customer_id}"}', "customer"),
        ("shopify__transaction.csv", TRANSACTIONS, 'key: {template: "purchase {id}"}', "purchase"),
        ("stripe__dispute.csv", DISPUTES, 'key: {template: "dispute {id}"}', "dispute"),
        ("export.csv", SHIPMENTS, None, "shipment"),
        ("export.csv", POINTS, None, "points"),
        ("sales.csv", TILL, 'key: {template: "purchase {Order}"}', "purchase"),
    ],
    ids=lambda one: one.partition(".")[0] if isinstance(one, str) and "\n" not in one else "",
)  # fmt: skip
def test_a_table_that_names_nobody_gets_no_subscriber_and_does_not_run(
    name: str, text: str, key: str | None, kind: str, tmp_path: Path
) -> None:
    written, decided, source = drafted(tmp_path, name, text)
    assert "\nsubscriber" not in written.text
    assert "# OPEN: Who is the event about" in written.text
    assert "{email: Cashier" not in written.text
    assert written.trial is None
    assert decided["type"] == kind
    assert (f"\n{key}\n" in written.text) if key else ("\nkey" not in written.text)
    checked = importer("check", str(source), "-m", str(tmp_path / "m.yaml"))
    assert checked.exit_code == 2
    assert "this is open: Who is the event about" in checked.stderr
    ran = importer("run", str(source), "-m", str(tmp_path / "m.yaml"), "--sandbox", "--yes")
    assert (ran.exit_code, "this is open: " in ran.stderr) == (2, True)


def test_sales_refunds_and_authorizations_of_one_table_are_told_apart(tmp_path: Path) -> None:
    text = TRANSACTIONS.replace("order_id", "email,order_id").replace("09:00:00,4", "09:00:00,ada@example.com,4")
    written, _, _ = drafted(tmp_path, "shopify__transaction.csv", text)
    assert [event["value"] for event in events(written)] == [49]


def test_the_larger_of_two_totals_is_not_guessed(tmp_path: Path) -> None:
    """What was paid, shipping included, comes before the value of the goods; two columns alike are asked about."""
    head, row = "Order ID,Email,Currency", "1,ada@example.com,EUR"
    written, decided, _ = drafted(tmp_path, "a.csv", f"{head},Order Value,Order Total\n{row},50.00,55.00\n")
    assert (decided["value"], events(written)[0]["value"]) == ("Order Total", 55)
    written, decided, _ = drafted(tmp_path, "b.csv", f"{head},Amount,Betrag\n{row},50.00,55.00\n")
    assert (decided["value"], "# value: Betrag" in written.text) == (None, True)


@pytest.mark.parametrize(
    ("column", "amounts", "currency", "expected"),
    [
        ("amount,cur", ["12.50,eur", "13.50,EUR", "7,usd"], "value_currency: cur", [12.5, 13.5, 7]),
        ("amount,cur", ['"12,50",EUR', "13.50,EUR", "7,EUR"], "value_currency: cur", [12.5, 13.5, 7]),
        (
            "amount",
            ["12 EUR", "13.50 EUR", "7 USD"],
            'value_currency: {column: amount, extract: "[A-Z]{3}"}',
            [12, 13.5, 7],
        ),
        ("amount", ['"12,50 zł"', '"1 250,00 zł"', "7 zł"], "value_currency: {const: PLN}", [12.5, 1250, 7]),
        ("amount", ["12.50 kr", "13.50 kr", "7 kr"], "# value_currency: {const: CURRENCY}", None),
        ("amount,money", ["12.50,EUR", "13.50,EUR", "7,USD"], "# value_currency: money", None),
    ],
)
def test_a_currency_is_what_the_file_says_it_is(
    column: str, amounts: list[str], currency: str, expected: list[float] | None, tmp_path: Path
) -> None:
    rows = "".join(f"{number},a{number}@example.com,{amount}\n" for number, amount in enumerate(amounts))
    written, _, _ = drafted(tmp_path, "x.csv", f"order_id,email,{column}\n{rows}")
    assert f"\n{currency}\n" in written.text
    if expected is not None:
        assert [event["value"] for event in events(written)] == expected


def test_an_address_that_all_rows_share_is_worth_a_look(tmp_path: Path) -> None:
    rows = "".join(f"{number},shop@shop.example,1.50,EUR\n" for number in range(3))
    written, _, _ = drafted(tmp_path, "x.csv", f"order_id,email,total,currency\n{rows}")
    assert "# likely: named like e-mail addresses, but all rows have the same one" in written.text


def test_a_cart_that_was_bought_after_all_is_not_abandoned(tmp_path: Path) -> None:
    head = "id,email,created_at,completed_at,total_price,currency"
    rows = "1,a@example.com,2025-07-18,,12.50,EUR\n2,b@example.com,2025-07-18,2025-07-19,7.00,EUR\n"
    written, decided, _ = drafted(tmp_path, "abandoned_checkout.csv", f"{head}\n{rows}")
    assert (decided["type"], [one["value"] for one in events(written)]) == ("cart_abandoned", [12.5])


def test_orders_of_a_warehouse_pair_amount_and_currency_and_have_utc(tmp_path: Path) -> None:
    written, decided, _ = drafted(tmp_path, "shopify_gql_order_data.csv", SHOPIFY_WAREHOUSE)
    assert decided["key"] == "id"
    (first, second) = events(written)
    assert (first["value"], first["value_currency"]) == (49, "EUR")
    assert first["properties"]["occurred_at"] == "2025-07-18T08:45:00Z"
    assert second["subscriber"] == {"email": "bo@example.com"}
    assert "{column: test, not_equals: true}" in written.text
    assert "{column: cancelled_at, empty: true}" in written.text


def test_amounts_of_a_warehouse_may_be_minor_units_and_test_mode_is_left_out(tmp_path: Path) -> None:
    written, decided, _ = drafted(tmp_path, "stripe__charge_data.csv", STRIPE_CHARGE)
    assert (decided["key"], decided["minor units"]) == ("id", None)
    assert "# OPEN: Are the amounts in `amount` in minor units" in written.text
    assert "\nvalue:" not in written.text
    assert "{column: livemode, not_equals: false}" in written.text
    assert "timezone: UTC" in written.text
    assert "email: receipt_email" in written.text


def test_abandoned_carts_are_no_purchases(tmp_path: Path) -> None:
    written, decided, _ = drafted(tmp_path, "checkouts.csv", CARTS)
    assert (decided["type"], decided["key"]) == ("cart_abandoned", "id")
    assert events(written)[0]["value"] == 12.5


def test_lifetime_totals_are_no_value_and_a_persons_zone_is_not_the_rows(tmp_path: Path) -> None:
    written, decided, _ = drafted(tmp_path, "export.csv", CUSTOMERS)
    assert decided["type"] == "customer"
    first = events(written)[0]
    assert "value" not in first
    assert first["properties"]["occurred_at"] == "2026-01-31T08:15:00"
    assert first["subscriber"] == {"email": "ada@example.com"}


def test_a_type_is_never_a_column_that_happens_to_be_called_so(tmp_path: Path) -> None:
    text = (
        "member_id,email,points,tier\n1,ada@example.com,100,gold\n2,bo@example.com,20,gold\n3,cy@example.com,5,gold\n"
    )
    written, _, _ = drafted(tmp_path, "in.csv", text)
    assert "\ntype: {const: points}\n" in written.text


def test_deals_that_were_not_won_are_no_purchases(tmp_path: Path) -> None:
    rows = [
        "ada@example.com,10.00,EUR,Closed Won",
        "bo@example.com,20.00,EUR,Closed Lost",
        "cy@example.com,5.00,EUR,Won",
    ]
    written, _, _ = drafted(tmp_path, "in.csv", "\n".join(["Email,Deal Amount,Currency,Deal Stage", *rows, ""]))
    assert [one["subscriber"]["email"] for one in events(written)] == ["ada@example.com", "cy@example.com"]


def test_an_order_of_a_marketplace_is_a_purchase_with_its_state(tmp_path: Path) -> None:
    rows = ["1-1,ada@example.com,10.00,GBP,Shipped", "1-2,bo@example.com,20.00,GBP,Cancelled"]
    head = "amazon-order-id,buyer-email,item-price,currency,order-status"
    written, decided, _ = drafted(tmp_path, "in.csv", "\n".join([head, *rows, ""]))
    assert (decided["type"], len(events(written))) == ("purchase", 1)
    assert 'key: {template: "purchase {amazon-order-id}"}' in written.text


def test_what_a_campaign_did_is_no_purchase(tmp_path: Path) -> None:
    written, decided, _ = drafted(tmp_path, "activity.csv", MAILCHIMP)
    assert (decided["type"], decided["subscriber.email"]) == ("email_activity", "Email Address")
    assert "value" not in events(written)[0]


def test_staff_and_customer_numbers_of_a_till_are_nobody(tmp_path: Path) -> None:
    written, _, source = drafted(tmp_path, "transactions.csv", SQUARE)
    assert "\nsubscriber" not in written.text
    assert "Staff Name" not in written.text.partition("# OPEN: Who")[2].partition("\n\n")[0]
    checked = " ".join(importer("check", str(source), "-m", str(tmp_path / "m.yaml")).stderr.split())
    assert "this is open: Which currency are the amounts in" in checked
    assert "value_currency: {const: EUR}" not in written.text
    assert "# value_currency: {const: USD}" in written.text


@pytest.mark.parametrize(("name", "text"), [("a.jsonl", AMPLITUDE), ("ga4.jsonl", GA4)], ids=["amplitude", "ga4"])
def test_events_of_an_app_get_no_currency_and_no_id_that_sender_does_not_know(
    name: str, text: str, tmp_path: Path
) -> None:
    written, _, source = drafted(tmp_path, name, text)
    assert "\nvalue_currency" not in written.text
    assert "\n  id:" not in written.text.partition("\nproperties")[0]
    checked = importer("check", str(source), "-m", str(tmp_path / "m.yaml"))
    assert (checked.exit_code, "this is open: " in checked.stderr) == (2, True)


def test_two_shops_number_their_orders_alike(tmp_path: Path) -> None:
    text = "Order,Email,Total,Currency\n1001,ada@example.com,5.00,EUR\n1002,bo@example.com,6.00,EUR\n"
    written, _, _ = drafted(tmp_path, "north.csv", text)
    assert 'key: {template: "purchase {Order}"}' in written.text


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("owner_email", ["ada@shop.example", "bo@shop.example"]),
        ("Created by", ["ada@shop.example", "bo@shop.example"]),
        ("Account", ["LT121000011101001000", "LT121000011101001001"]),
        ("Name", ["Ada Lovelace", "Bo Diddley"]),
        ("Total", ["12.50", "7.00"]),
        ("Shipping phone", ["+37061234567", "+37061234568"]),
        ("Email", ["shop@shop.example,ada@example.com", "x"]),
    ],
)
def test_staff_accounts_names_and_amounts_are_never_a_subscriber(column: str, cells: list[str], tmp_path: Path) -> None:
    rows = "".join(f'{n},"{cell}",2026-01-31\n' for n, cell in enumerate(cells))
    written, _, _ = drafted(tmp_path, "x.csv", f"id,{column},Date\n{rows}")
    assert "\nsubscriber" not in written.text


def test_a_type_in_two_cases_is_one_type(tmp_path: Path) -> None:
    rows = "".join(f"{n},ada@example.com,{name}\n" for n, name in enumerate(["Signed Up", "signed up", "Left"] * 4))
    written, _, _ = drafted(tmp_path, "x.csv", f"id,email,event\n{rows}")
    assert "\ntype: {column: event, lower: true}\n" in written.text
    assert [event["type"] for event in events(written)] == ["signed up", "signed up", "left"]


def test_a_file_without_rows_is_passed_over_for_one_that_has_some(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("email,total,currency\n")
    (tmp_path / "2.csv").write_text("email,total,currency\nada@example.com,1.50,EUR\n")
    found = sample(str(tmp_path / "*.csv"), print)
    assert (found.name.endswith("2.csv"), found.rows) == (True, 1)


def test_comments_and_headers_that_come_again_are_no_rows(tmp_path: Path) -> None:
    text = "# export 2026\nemail,total\nada@example.com,1\nemail,total\nbo@example.com,2\n# bo was here\n"
    written, _, _ = drafted(tmp_path, "x.csv", text)
    assert "email: email" in written.text
    assert "value: total" in written.text


def parquet_with_a_wrong_checksum() -> bytes:
    sink = pa.BufferOutputStream()
    table = pa.table({"email": ["ada@example.com", "bo@example.com"]})
    pq.write_table(table, sink, compression="none", use_dictionary=False, write_statistics=False,
                   write_page_checksum=True)  # fmt: skip
    return bytes(sink.getvalue().to_pybytes()).replace(b"bo@example.com", b"BO@example.com")


@pytest.mark.parametrize("content", [b"PAR1" + b"\0" * 100 + b"\x10\0\0\0PAR1", parquet_with_a_wrong_checksum()])
def test_a_damaged_parquet_is_refused_in_a_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(content)
    outcome = importer("init", str(tmp_path / "x.parquet"), "--yes", "-o", str(tmp_path / "m.yaml"))
    assert (outcome.exit_code, outcome.stderr.startswith("error: ")) == (2, True)
    assert "Traceback" not in outcome.stderr


LITHUANIAN = """\
email;vardas;miestas;suma
ada@example.com;Žilvinas Šiaulys;Kėdainiai;1,50
bo@example.com;Rūta;Šiauliai;2,00
"""


@pytest.mark.parametrize(
    ("text", "encoding", "words"),
    [(LITHUANIAN, "cp1257", "Žilvinas"), ("email;jméno\na@example.com;Dvořák Petr\n", "cp1250", "Dvořák")],
)
def test_an_encoding_is_written_where_one_is_clear_and_else_asked_about(
    text: str, encoding: str, words: str, tmp_path: Path
) -> None:
    source, mapping = tmp_path / "x.csv", tmp_path / "m.yaml"
    source.write_bytes(text.encode(encoding))
    outcome = importer("init", str(source), "--yes", "-o", str(mapping))
    assert outcome.exit_code == 0, outcome.stderr
    written = mapping.read_text(encoding="utf-8")
    assert "source: {encoding: " + encoding + "}" in written
    if "# OPEN: In which encoding is the file" in written:
        assert "\nsource:" not in written
        assert f"{encoding}: {words}" in " ".join(outcome.stderr.split()) or words in outcome.stderr
        assert words not in written
        assert importer("check", str(source), "-m", str(mapping)).exit_code == 2


def test_letters_that_every_code_page_reads_alike_need_no_question(tmp_path: Path) -> None:
    source, mapping = tmp_path / "x.csv", tmp_path / "m.yaml"
    source.write_bytes("email;Ort\nada@example.com;Köln\n".encode("cp1252"))
    outcome = importer("init", str(source), "--yes", "-o", str(mapping))
    assert outcome.exit_code == 0, outcome.stderr
    assert "OPEN: In which" not in mapping.read_text(encoding="utf-8")


def test_amounts_that_are_called_cents_are_minor_units_by_the_currency(tmp_path: Path) -> None:
    rows = "a,ada@example.com,1999,USD\nb,bo@example.com,5490,JPY\nc,cy@example.com,12500,KWD\n"
    written, _, _ = drafted(tmp_path, "x.csv", f"id,email,total_cents,currency\n{rows}")
    assert [event["value"] for event in events(written)] == [19.99, 5490, 12.5]
