"""The documented list of reason codes: why a row is invalid, refused, in doubt, left out, or warned of.

``docs/reasons.md`` is written from it by ``python -m tests.docs.reasons_page > docs/reasons.md``.

Sources: [E] the endpoint's page (Create custom event, parameter table); [A] the vendor's general API pages;
[D] this product's own decision where the documentation is silent.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class ReasonCode(msgspec.Struct, frozen=True):
    """One entry of the list."""

    code: str
    severity: Literal["error", "warning", "info"]
    """An error keeps the row from being sent, a warning does not; info says why a row is not wanted."""
    message: str
    """What is wrong, a format string over ``field`` and ``value``."""
    fix: str
    """What to do next, in the user's words; a format string too."""
    source: str
    """Where the rule comes from."""


REASONS = {reason.code: reason for reason in (
    # Rows that cannot be read.
    ReasonCode("row.ragged", "error", "the row has {value}",
               "correct the row's delimiters or quotes, or set `source: {{ragged: pad}}` if short rows are meant", "[D]"),
    ReasonCode("row.undecodable", "error", "the row holds bytes that are not {field} text: {value}",
               "set `source: {{encoding: …}}` to the file's real encoding", "[D]"),
    ReasonCode("row.unclosed_quote", "error", "a quote opens here and is never closed: {value}",
               "close or remove the quote", "RFC 4180, 2.5"),
    ReasonCode("row.not_json", "error", "the line is not a JSON object: {value}",
               "correct the line; one JSON object a line", "[D]"),
    ReasonCode("row.repeated_header", "error", "the row is a header: it has the columns' names, or what they hold",
               "nothing to do if files were joined; else remove the line", "[D]"),
    ReasonCode("row.unreadable", "error", "the row cannot be read: {value}", "correct the row in the source", "[D]"),
    # The subscriber.
    ReasonCode("subscriber.missing", "error", "no id, e-mail or phone in this row",
               "map at least one of subscriber.id, subscriber.email, subscriber.phone to a column that is filled", "[E]"),
    ReasonCode("id.rounded", "error", "{value} is a number a spreadsheet has rounded; the id's digits are lost",
               "export again with the column formatted as text", "[D]"),
    ReasonCode("id.decimal", "warning", "{value} is a number with decimals, which ids rarely are",
               "check that the column holds ids; export it as text if a program has changed it", "[D]"),
    ReasonCode("email.invalid", "error", "{value} is not an e-mail address",
               "correct the address, or leave the cell empty if the row has an id or a phone", "RFC 5321, 4.1.2"),
    ReasonCode("phone.invalid", "error", "{value} is not a phone number",
               "write it as +370…, with the country code", "[A] E.164"),
    ReasonCode("phone.ambiguous", "error", "{value} can be a national or an international number",
               "write it as +370…, with the country code", "[D] never guessed"),
    ReasonCode("phone.no_country", "error", "{value} has no country code",
               "write it as +370… or 00370…, or add `country: XX` to subscriber.phone in the mapping", "[A]"),
    ReasonCode("phone.unknown_country", "error", "{value} in the column of the phone's country is not a country's two-letter code",
               "write an ISO 3166 code such as LT, or translate it, as in `country: {{column: Country, map: {{Lithuania: LT}}}}`", "ISO 3166-1"),
    ReasonCode("phone.rounded", "error", "{value} is a number a spreadsheet has rounded; its digits are lost",
               "export again with the column formatted as text", "[D]"),
    # Type, value, currency.
    ReasonCode("type.missing", "error", "the event has no type",
               "fill the column, or use `type: {{const: purchase}}`", "[E]"),
    ReasonCode("value.not_a_number", "error", "{value} is not a number",
               "correct the cell, or say in the mapping how it is written (`decimal`, `thousands`)", "[E]"),
    ReasonCode("value.not_finite", "error", "{value} is not a finite number", "correct the cell or leave it empty", "[E]"),
    ReasonCode("value.other_currency", "error", "{value} is not in the row's currency",
               "map value_currency to the column that names the currency, or correct the cell", "[D]"),
    ReasonCode("value.decimals", "warning", "{value} has more decimals than its currency",
               "check that the amount is not in minor units (`minor_units: true`) and that its decimal sign is right", "[D] ISO 4217"),
    ReasonCode("currency.missing", "error", "the amount {value} is in minor units, and the row has no currency",
               "fill the currency's column, or add a `default` to value_currency", "[D]"),
    ReasonCode("currency.unknown", "error", "{value} is not an ISO 4217 currency code",
               "use a three-letter code such as EUR", "[E] ISO 4217"),
    ReasonCode("currency.not_money", "error", "{value} is an ISO 4217 code for a metal, a test or no currency",
               "use the code of the currency that was paid in", "[D] ISO 4217 without a minor unit"),
    ReasonCode("currency.retired", "warning", "{value} is a currency that is no longer in use",
               "legitimate for old purchases; the API may refuse it (use --strict to refuse it here)", "[D] ISO 4217 list three"),
    # Properties.
    ReasonCode("property.nested", "error", "{field} holds an object or a list: {value}",
               "reach into it with a dotted path such as `address.city`, or say `as: text` to send its JSON; in `more_properties` name its members (`address.*`) or leave it out (`except`)", "[E] flat"),
    ReasonCode("field.omitted", "warning", "{field} is left out, for it is invalid: {value}",
               "nothing, or correct the cell; the mapping says `on_invalid: omit`", "[D]"),
    ReasonCode("property.cut", "warning", "{field} was longer than the mapping's `max_bytes`, and is sent cut",
               "nothing, or a larger `max_bytes` (the API takes 2,048 bytes)", "[D]"),
    ReasonCode("property.not_an_integer", "error", "{field}: {value} is not an integer",
               "correct the cell, or use `as: number` or `as: text`", "[E]"),
    ReasonCode("property.not_a_number", "error", "{field}: {value} is not a number",
               "correct the cell, or say in the mapping how it is written (`decimal`, `thousands`)", "[E]"),
    ReasonCode("property.not_finite", "error", "{field}: {value} is not a finite number", "correct the cell or leave it empty", "[E]"),
    ReasonCode("property.not_a_boolean", "error", "{field}: {value} is neither true nor false",
               "use true/false, yes/no or 1/0, or translate it with `map`", "[E]"),
    ReasonCode("property.not_a_date", "error", "{field}: {value} is not a date in the expected form",
               "correct the cell, or give the mapping a `format`", "[E]"),
    ReasonCode("property.ambiguous_date", "error", "{field}: {value} may have the day or the month first, and the mapping does not say which",
               "say `format: dmy` or `format: mdy`, whichever the whole column has", "[D] never guessed"),
    ReasonCode("property.unknown_zone", "error", "{field}: {value} names a time zone that is not known, or has several meanings",
               "translate it, as in `timezone: {{column: Zone, map: {{IST: Asia/Kolkata}}}}`, or write an offset such as +05:30", "[D]"),
    ReasonCode("property.repeated", "error", "several columns of the row become {field}; another one of them holds {value}",
               "leave one of the columns out with `except`, or map it by itself", "[D] never guessed"),
    ReasonCode("property.text_too_long", "error", "{field} holds {value}; 2,048 are allowed",
               "shorten the text, or leave the property out", "[E] 2KB, read as 2,048 bytes of UTF-8"),
    ReasonCode("properties.too_large", "error", "the properties take {value}; 8,192 are allowed",
               "map fewer properties, or shorten them", "[E] 8KB, read as 8,192 bytes of compact JSON"),
    # The account, where a file of accounts (`--accounts`) says which row goes where.
    ReasonCode("account.missing", "error", "the column that names the account is empty",
               "fill the cell; rows without an account are in `unassigned/rejects.csv`, to be corrected and run again", "[D] never guessed"),
    ReasonCode("account.unknown", "error", "{value} is none of the accounts",
               "correct it, or add it to the `values` (a file: to the `files`) of its account in the file of accounts", "[D] never guessed"),
    # Order and key.
    ReasonCode("order_by.invalid", "error", "order_by: {value} cannot be put in order",
               "correct the cell, or say in `order_by` how it is written", "[D]"),
    ReasonCode("order_by.ambiguous_date", "error", "order_by: {value} may have the day or the month first, and the mapping does not say which",
               "say `format: dmy` or `format: mdy`, whichever the whole column has", "[D] never guessed"),
    ReasonCode("order_by.unknown_zone", "error", "order_by: {value} names a time zone that is not known, or has several meanings",
               "translate it, as in `timezone: {{column: Zone, map: {{IST: Asia/Kolkata}}}}`, or write an offset such as +05:30", "[D]"),
    ReasonCode("key.rounded", "error", "{value} is a number a spreadsheet has rounded; other rows would have the same key",
               "export again with the column formatted as text", "[D]"),
    ReasonCode("key.decimal", "warning", "{value} is a number with decimals, which keys rarely are",
               "check that the column holds keys; export it as text if a program has changed it", "[D]"),
    ReasonCode("key.conflict", "error", "key {value} belongs to several different events",
               "none of them is sent: use a key that is unique across shops and tables (Shopify's own Id, the shop's name in front), or `group_by` for a table of lines", "[D]"),
    ReasonCode("subscriber.forgotten", "error", "the subscriber was removed with `importer forget`", "nothing to do", "[D]"),
    ReasonCode("key.missing", "error", "the row has no key", "fill the key's column, or map `key` to another one", "[D]"),
    # The filter.
    ReasonCode("filtered.where", "info", "left out by the test `{field}`: {value}", "nothing to do, unless the test is wrong", "[D]"),
    ReasonCode("filtered.transform", "info", "left out by the function of --transform", "nothing to do, unless the function is wrong", "[D]"),
    ReasonCode("filtered.given_up", "info", "given up, and left out for good", "nothing to do; a corrected row can still be run", "[D]"),
    ReasonCode("where.not_a_number", "error", "the test `{field}` cannot read {value} as a number",
               "correct the cell, or say in the mapping how the column's numbers are written (`decimal`, `thousands`)", "[D] never guessed"),
    ReasonCode("where.not_a_date", "error", "the test `{field}` cannot read {value} as a date or time",
               "correct the cell, or say in the test how the column is written (`format`, `timezone`)", "[D] never guessed"),
    ReasonCode("lookup.not_found", "warning", "the lookup {field} has no row for {value}",
               "nothing, if that is right; else complete the lookup's file, or say how its `key` is written", "[D]"),
    # Groups.
    ReasonCode("group.missing", "error", "the row names no group",
               "fill the column that `group_by` names, or leave such rows out with `where`", "[D]"),
    ReasonCode("group.rounded", "error", "{value} is a number a spreadsheet has rounded; rows of other groups would join it",
               "export again with the column formatted as text", "[D]"),
    ReasonCode("group.decimal", "warning", "{value} is a number with decimals, which groups rarely are",
               "check that the column names groups; export it as text if a program has changed it", "[D]"),
    ReasonCode("group.invalid", "error", "group_by: {value} cannot be read as the mapping says",
               "correct the cell, or say in `group_by` how it is written", "[D]"),
    ReasonCode("group.invalid_row", "error", "{value}, a part of this event, cannot be used",
               "correct that row: all rows of the event are in the rejects, run them again together", "[D]"),
    ReasonCode("group.conflict", "error", "the rows of this group differ in {field}: {value}",
               "one event has one subscriber and one currency: correct the cells, or group by a column that distinguishes these rows", "[D]"),
    ReasonCode("group.repeated", "error", "several files seem to have this group whole: {value}",
               "run the files one after the other, with a `key` in the mapping; if the files are parts of one table, join them first", "[D]"),
    ReasonCode("group.differs", "warning", "the rows of this group differ in {field}, of which the first is sent: {value}",
               "nothing, if the first is right (`aggregate: first` says so); else say `aggregate: sum`, `last`, `join` …", "[D]"),
    ReasonCode("group.incomplete", "error", "{value}; rows of this event may be missing",
               "correct that, then run all rows of the event together: rejects.csv has them", "[D]"),
    # The file as a whole.
    ReasonCode("source.incomplete", "error", "the file could not be read to its end, so nothing of it was sent",
               "get the whole file and run it again; sent now, these rows would be sent twice when it comes", "[D]"),
    # The outcome of sending.
    ReasonCode("api.refused", "error", "the API refused the event", "correct the row as the API says, then run the rejects again", "[A]"),
    ReasonCode("duplicate.row", "warning", "this row was already delivered, or its outcome is unknown",
               "nothing to do; --again sends it again", "[D]"),
    ReasonCode("duplicate.changed", "warning", "key {value} was already delivered for the same subscriber, with another value, time or type",
               "what was delivered stays as it is; if the change must arrive, send it under another key", "[D]"),
    ReasonCode("duplicate.key", "warning", "key {value} was already delivered, or is repeated in this file",
               "nothing to do; --again sends it again", "[D]"),
    ReasonCode("doubt.crash", "error", "the importer was killed while this row was in flight; the API may have accepted it",
               "check in Sender whether the event is there, then `importer resolve`", "[D]"),
    ReasonCode("doubt.ledger", "error", "the ledger was repaired; the row may have been sent by what is missing in it",
               "check in Sender whether the event is there, then `importer resolve`", "[D]"),
    ReasonCode("doubt.no_answer", "error", "the request was written but no answer came",
               "check in Sender whether the event is there, then `importer resolve`", "[D]"),
    ReasonCode("doubt.server_error", "error", "the server failed after it got the request",
               "check in Sender whether the event is there, then `importer resolve`", "[D]"),
    ReasonCode("doubt.unreadable", "error", "the answer could not be understood",
               "check in Sender whether the event is there, then `importer resolve`", "[D]"),
    ReasonCode("failed.attempts", "error", "given up after the last attempt; one of them may have been accepted",
               "check in Sender whether the event is there; `importer retry` sends it again", "[D]"),
    ReasonCode("failed.given_up", "error", "in doubt, and given up with `importer resolve`; it may have been accepted",
               "nothing to do; `importer retry` sends it again", "[D]"),
    ReasonCode("failed.refused", "error", "refused at last, but an attempt before may have been accepted",
               "check in Sender whether the event is there; `importer retry` sends it again", "[D]"),
)}  # fmt: skip
"""Every code, in the order of the documentation."""

LIFTED_BY_STRICT = frozenset({"currency.retired"})
"""Warnings that ``--strict`` makes errors."""


def is_error(code: str, *, strict: bool) -> bool:
    """Whether a reason keeps its row from being sent; raises `KeyError` for a code that is not in the list."""
    return REASONS[code].severity == "error" or (strict and code in LIFTED_BY_STRICT)
