"""What columns are called: the words by which people and programs name an e-mail, a total, a date, in many languages.

This module owns the vocabulary, and how well a column's name fits a role. It never looks at a cell.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_ID = "(?:id|ids|no|nr|num|number|nummer|numero|code|ref|reference|key)"
_WHO = (
    "(?:customer|client|user|kunden?|klant(?:en)?|clientes?|contact|subscriber|person|profile|member|distinct|buyer|"
    "kliento|asiakas|utilisateur|acheteur|shopper|account|record|klienta)"
)
_ORDER = (
    "(?:order|invoice|purchase|sale|transaction|txn|receipt|payment|charge|bestell(?:ung(?:s)?)?|auftrags?|rechnungs?|"
    "commande|facture|pedido|factura|ordine|fattura|bestelling|factuur|zamowienia|faktury|uzsakymo|saskaitos|basket|"
    "transaktions?|event|message|insert|booking|beleg)"
)
_WORDS: dict[str, tuple[tuple[float, str], ...]] = {
    "email": (
        (1.0, "(?:customer |subscriber |contact |person |kunden )?e ?mail(?: address| adresse)?"),
        (0.9, r".*\b(?:e ?mail|mail|courriel|correo(?: electronico)?|posta elettronica|e ?post|el pastas|pastas)\b.*"),
    ),
    "phone": (
        (1.0, "(?:customer |contact )?(?:phone|telephone|telefon|mobile)(?: (?:number|nummer|no))?"),
        (0.8, (r".*\b(?:phone|telephone|telefono?|telefoon|tel|mobile?|handy|cell|movil|cellulare|gsm|telefonas|"
              r"sms|rufnummer|telefonnummer|handynummer)\b.*")),
    ),
    "id": (
        (1.0, f"{_WHO} ?{_ID}"),
        (0.8, f".*\\b{_WHO} ?{_ID}|{_WHO}"),
    ),
    "value": (
        (1.0, ("(?:order|grand|invoice|sales?) ?(?:total|amount|value)(?: (?:inc tax|purchased))?|gesamtbetrag|"
              "gesamtsumme|total (?:amount|price|paid|ttc)|montant total|importe total|importo totale|totaal")),
        (0.9, ("total|amount|gesamt|betrag|summe|montant|importe|importo|totale|bedrag|kwota|suma|revenue|brutto|gross|"
              "umsatz|rechnungsbetrag|value|wert")),
        (0.75, ("(?:net|gross) (?:sales|total|amount)|netto|.* (?:total|amount|revenue|value|betrag)|total .*|price|"
               "preis|prix|precio|prezzo|prijs|cena|kaina|spent|paid")),
    ),
    "currency": (
        (1.0, "currency|currency code|wahrung|devise|moneda|valuta|moneta|waluta|valiuta|divisa"),
        (0.8, r".*\b(?:currency|wahrung|devise|moneda|valuta|waluta|valiuta)\b.*"),
    ),
    "time": (
        (1.0, ("created ?(?:at|on|date)?(?: utc)?|created date(?: utc)?|(?:order|invoice|purchase|event|transaction) ?"
              "(?:date|time|at)(?: time)?|timestamp|event timestamp|occurred ?at|ordered ?at|bestelldatum|"
              "rechnungsdatum|date commande|fecha pedido|purchased ?at|placed ?at")),
        (0.9, "date|datum|fecha|data|date ?time|zeitpunkt|time|zeit|pvm"),
        (0.6, r".*\b(?:date|datum|fecha|data|time|zeit|timestamp|at|on)(?: utc)?"),
    ),
    "clock": ((1.0, "time|uhrzeit|zeit|heure|hora|ora|tijd|godzina|laikas|order time"),),
    "zone": ((1.0, "time ?zone|zeitzone|tz|fuseau horaire|zona horaria|fuso orario|tijdzone"),),
    "key": (
        (1.0, (f"{_ORDER} ?{_ID}|order|uuid|{_ORDER} (?:uuid|name)|bestellnummer|rechnungsnummer|auftragsnummer|"
              "transaktionscode|order$|invoice|leid|messageid|belegnummer")),
        (0.8, "id|uid|guid|nr|number|nummer|numero|reference|ref|no"),
    ),
    "quantity": (
        (1.0, r".*\b(?:quantity|qty|menge|anzahl|stuck|quantite|cantidad|quantita|aantal|ilosc|kiekis|count)"),
    ),
    "price": ((1.0, (r"(?:.* )?(?:unit ?price|item ?price|price|einzelpreis|preis|stuckpreis|prix(?: unitaire)?|precio"
                    r"(?: unitario)?|prezzo(?: unitario)?|stuksprijs|prijs|cena|kaina)")),),
    "item": ((1.0, (r".*\b(?:product|item|article|artikel|description|sku|stock ?code|produkt|produit|producto|"
                   r"prodotto|beschreibung|bezeichnung|artikelbezeichnung|preke)(?: (?:name|id|title|code|sku))?")),),
    "type": ((1.0, "event|event ?(?:name|type)|metric(?: name)?|activity type|ereignis|action"),),
    "status": ((1.0, r"(?:.* )?(?:\w*status|statut|estado|stato|zustand|busena)"),),
    "country": ((1.0, "(?:.* )?(?:country(?: code)?|land|landercode|pays|pais|paese|kraj|salis)"),),
    "personal": ((1.0, (r".*\b(?:first|last|full|bill to|ship to|sur|vor|nach)? ?(?:name|vorname|nachname|nom|prenom|"
                       r"nombre|apellidos?|cognome|naam|vardas|pavarde)|.*\b(?:address|street|strasse|adresse|adres|"
                       r"zip|postcode|postal code|plz|ip|latitude|longitude|iban|card|pan|fingerprint|user ?agent|"
                       r"birthday|birth|geburtsdatum|company|province|region|phone|token|password|dob|gender|ssn|"
                       r"last4|note|notes|comment|message|receipt url|geo|lat|lon|lng|payload|metadata)\b.*")),),
}  # fmt: skip

_NOT: dict[str, str] = {
    "email": r"\b(?:marketing|consent|status|accepts?|opt|subject|count|sent|opens?|clicks?|verified|domain|valid|"
             r"to|empfanger|recipient|receiver|payee|destinataire|destinatario|ontvanger|odbiorcy|gavejo|merchant|"
             r"seller|vendor|store|shop|owner|staff|employee|agent|support|business)\b",
    "phone": r"\b(?:marketing|consent|accepts?|type|verified|country|model|os)\b",
    "value": r"\b(?:tax|discounts?|refund(?:ed)?|shipping|fees?|quantity|qty|id|items?|orders?$|count|weight|points|"
             r"outstanding|exchange|rate|balance|tip|commission|handling|date|currency|number|lineitem)\b",
    "time": r"\b(?:updated|modified|synced|deleted|cancel(?:l?ed)?|refund(?:ed)?|birth|due|expir\w*|shipped|zone|"
            r"dispute|evidence|next|last|fulfilled|transfer|available|first|optin|confirm)\b",
    "key": r"\b(?:customer|user|person|profile|client|product|item|card|device|session|location|tax|kunden?|"
           r"reference id)\b",
    "currency": r"\b(?:converted|fee|presentment|customer facing)\b",
    "quantity": r"\b(?:discount|orders?|login|session|page)\b",
    "price": r"\b(?:compare|name|point|list|level)\b",
    "item": r"\b(?:price|quantity|qty|discount|taxable|requires|fulfillment|count|weight|total|summary|subtotal|"
            r"cost)\b",
    "personal": r"\b(?:item|product|lineitem|event|order|plan|campaign|coupon|metric|discount|shop|store|tax)\b",
}  # fmt: skip


@lru_cache(maxsize=4096)
def plain(name: str) -> str:
    """A name in small ASCII letters, its words apart: ``InvoiceNo`` and ``invoice_no`` are ``invoice no``."""
    ascii_ = unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode()
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", ascii_)
    return " ".join(re.findall("[a-z0-9]+", apart.lower()))


@lru_cache(maxsize=65_536)
def fit(name: str, role: str) -> float:
    """How well a column's name fits a role, from 0 to 1; of a dotted path, the last name counts most."""
    whole = plain(name)
    if role in _NOT and re.search(_NOT[role], whole):
        return 0.0
    last = plain(name.rpartition(".")[2])
    for weight, pattern in _WORDS[role]:
        if re.fullmatch(pattern, whole):
            return weight
        if last != whole and re.fullmatch(pattern, last):
            return weight * 0.95
    return 0.0
