"""`importer init` on a known platform's export: the preset is adapted to how the file is written."""

import json
from pathlib import Path
from typing import Any

from importer.mapping.load import load
from tests.support.program import Outcome, importer

SHOPIFY = "Name;Email;Financial Status;Currency;Subtotal;Shipping;Taxes;Total;Discount Amount;Refunded Amount;\
Created at;Lineitem quantity;Lineitem name;Lineitem price"
PAYPAL = "Date,Time,TimeZone,Name,Type,Status,Currency,Gross,From Email Address,To Email Address,Transaction ID,\
Contact Phone Number"


def drafted(tmp_path: Path, text: str, encoding: str = "utf-8") -> tuple[Outcome, Any, str]:
    """The outcome, the mapping, and its text."""
    source, mapping = tmp_path / "export.csv", tmp_path / "export.yaml"
    source.write_text(text, encoding=encoding)
    outcome = importer("init", str(source), "-o", str(mapping), "--yes")
    assert outcome.exit_code == 0, outcome.stderr
    return outcome, load(str(mapping)).mapping, mapping.read_text(encoding="utf-8")


def test_amounts_that_the_sample_shows_without_decimals_are_read_like_the_others(tmp_path: Path) -> None:
    row = "#{n};p{n}@example.com;paid;EUR;{n};4,90;0;1.00{n},50;0;0;13.10.2025 10:5{n};1;Tasse;{n}"
    rows = [row.format(n=n) for n in range(1, 5)]
    outcome, mapping, text = drafted(tmp_path, "\n".join([SHOPIFY, *rows, ""]), "cp1252")
    for pick in (mapping.value, *(mapping.properties[name] for name in ("subtotal", "taxes", "discount", "refunded"))):
        assert pick.decimal == ",", text
    first = json.loads(outcome.stdout.splitlines()[0])
    assert (first["value"], first["properties"]["ordered_at"]) == (1001.5, "2025-10-13T10:51:00")
    assert "likely: the times have no zone and are sent as they are" in text
    assert "time zone: none (the times have no zone" in outcome.stderr


def paypal(*rows: str) -> str:
    row = "{day},10:00:00,{zone},Ada,Website Payment,Completed,EUR,5.00,{email},shop@example.org,TX{n},2015550123"
    return "\n".join([PAYPAL, *(row.format(n=n, **dict(zip(("day", "zone", "email"), one.split(), strict=True)))
                                for n, one in enumerate(rows)), ""])  # fmt: skip


def test_the_order_of_a_date_beside_its_time_is_told_from_all_rows(tmp_path: Path) -> None:
    rows = [f"0{n}/09/2026 CEST a{n}@example.com" for n in range(1, 9)]
    outcome, mapping, _ = drafted(tmp_path, paypal(*rows, "28/09/2026 CEST b@example.com"))
    assert (mapping.order_by.format, mapping.properties["paid_at"].format) == ("dmy", "dmy")
    assert "date order" not in outcome.stderr


def test_an_order_that_the_dates_leave_open_is_asked_about(tmp_path: Path) -> None:
    source, mapping = tmp_path / "export.csv", tmp_path / "export.yaml"
    source.write_text(paypal("03/04/2026 PDT ada@example.com"))
    importer("init", str(source), "-o", str(mapping), "--yes")
    text = mapping.read_text()
    assert "# OPEN: Does the day (dmy) or the month (mdy) come first in `Date, Time`?" in text
    assert text.count("OPEN: Does") == 1
    assert text.count("format: mdy") == 2
    checked = importer("check", str(source), "-m", str(mapping))
    assert checked.exit_code == 2
    assert "this is open: Does the day (dmy) or the month (mdy) come first" in checked.stderr


def test_a_preset_that_says_the_order_is_overruled_by_a_file_that_shows_another(tmp_path: Path) -> None:
    head = "Order ID,Customer ID,Customer Email,Order Date,Order Status,Order Total (inc tax),Order Currency Code,"
    rows = [f"{n},7,a{n}@example.com,0{n}/09/2026,Completed,5.00,EUR," for n in range(1, 9)]
    text = "\n".join([head + "Product Details", *rows, "9,7,b@example.com,09/28/2026,Completed,5.00,EUR,", ""])
    _, mapping, written = drafted(tmp_path, text)
    assert mapping.order_by.format == "mdy"
    assert "the dates are written as mdy, not the preset's order" in written


def test_a_row_without_an_address_gets_none_that_the_preset_does_not_name(tmp_path: Path) -> None:
    text = paypal("2026-09-28 CEST ada@example.com", "2026-09-28 CEST bo@example.com").replace("bo@example.com", "")
    outcome, mapping, _ = drafted(tmp_path, text)
    assert mapping.subscriber.email.column == "From Email Address"
    assert mapping.subscriber.phone is None
    assert "1 x subscriber.missing (subscriber)" in outcome.stderr


def test_white_space_around_the_columns_names_does_not_hide_the_platform(tmp_path: Path) -> None:
    text = paypal("2026-09-28 CEST ada@example.com")
    head, _, rows = text.partition("\n")
    outcome, _, written = drafted(tmp_path, head.replace(",", ", ") + "\n" + rows)
    assert "\nextends: paypal-activity\n" in written
    assert "lacks columns that the preset knows, which stay blank: Balance Impact," in written.replace("\n# ", " ")
    assert json.loads(outcome.stdout)["properties"]["paid_at"] == "2026-09-28T10:00:00+02:00"


def test_a_currency_that_the_export_does_not_name_is_asked_about(tmp_path: Path) -> None:
    event = {"event_type": "a", "event_time": "2025-07-01 16:34:54.837", "$insert_id": "1", "uuid": "1",
             "user_id": "ada@example.com", "user_properties": {},
             "event_properties": {}, "amplitude_id": 1}  # fmt: skip
    source = tmp_path / "export.jsonl"
    source.write_text("".join(json.dumps(event | {"revenue": one}) + "\n" for one in (12.5, None)), encoding="utf-8")
    outcome = importer("init", str(source), "-o", str(tmp_path / "m.yaml"), "--yes")
    assert outcome.stdout == ""
    assert "value_currency: Which currency are the amounts in" in outcome.stderr
    assert importer("check", str(source), "-m", str(tmp_path / "m.yaml")).exit_code == 2


def test_json_lines_of_a_platform_are_recognised_for_sure(tmp_path: Path) -> None:
    event = {"event_name": "Placed Order", "event_properties": {"$value": 100}, "statistic_id": "S", "uuid": "u1",
             "datetime": "2021-11-23 11:21:01+00:00", "person": {"$email": "ada@example.com"}}  # fmt: skip
    source = tmp_path / "export.jsonl"
    source.write_text(json.dumps(event) + "\n", encoding="utf-8")
    outcome = importer("init", str(source), "-o", str(tmp_path / "m.yaml"), "--yes")
    assert outcome.stderr.index("preset: klaviyo-events") < outcome.stderr.index("\nunsure")


def test_a_renamed_column_is_asked_for_with_the_nearest_name(tmp_path: Path) -> None:
    head = SHOPIFY.replace(";", ",").replace(",Email,", ",E-mail,").replace(",Total,", ",Sum,")
    row = "#1,ada@example.com,paid,EUR,5,0,0,5,0,0,2026-01-31 08:15:00 +0200,1,Mug,5"
    outcome, _, text = drafted(tmp_path, f"{head}\n{row}\n")
    asked = "columns: stay blank (the file lacks Email for subscriber.email (is it E-mail?); Total for value"
    assert asked in " ".join(outcome.stderr.split())
    assert "# likely: the file lacks Email for subscriber.email" in text
