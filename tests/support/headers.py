"""Header rows of platforms' real exports, as they are publicly known, for the tests of `importer init`."""

SHOPIFY_ORDERS = (
    "Name,Email,Financial Status,Paid at,Fulfillment Status,Fulfilled at,Accepts Marketing,Currency,Subtotal,Shipping,"
    "Taxes,Total,Discount Code,Discount Amount,Shipping Method,Created at,Lineitem quantity,Lineitem name,"
    "Lineitem price,Lineitem compare at price,Lineitem sku,Billing Name,Billing Zip,Billing Country,Billing Phone,"
    "Notes,Cancelled at,Payment Method,Vendor,Id,Tags,Source,Phone"
)
SHOPIFY_CUSTOMERS = (
    "Customer ID,First Name,Last Name,Email,Accepts Email Marketing,Default Address Company,Default Address City,"
    "Default Address Country Code,Default Address Zip,Default Address Phone,Phone,Accepts SMS Marketing,Total Spent,"
    "Total Orders,Note,Tax Exempt,Tags"
)
WOO_ANALYTICS_ORDERS = (
    "Date,Order #,N. Revenue (formatted),Status,Customer,Customer type,Product(s),Items sold,Coupon(s),N. Revenue"
)
WOO_ANALYTICS_CUSTOMERS = (
    "Name,Username,Last Active,Sign Up,Email,Orders,Total Spend,AOV,Country / Region,City,Region,Postal Code"
)
WOO_ORDERS = (
    "order_id,order_number,order_date,paid_date,status,shipping_total,tax_total,discount_total,order_total,"
    "order_subtotal,order_currency,payment_method,transaction_id,customer_id,customer_user,customer_email,"
    "billing_first_name,billing_email,billing_phone,billing_country,customer_note,shipping_items,line_item_1"
)
STRIPE_PAYMENTS = (
    "id,Created date (UTC),Amount,Amount Refunded,Currency,Captured,Converted Amount,Converted Amount Refunded,"
    "Converted Currency,Description,Fee,Statement Descriptor,Status,Seller Message,Taxes On Fee,Card ID,Customer ID,"
    "Customer Description,Customer Email,Invoice ID,Transfer"
)
STRIPE_BALANCE = (
    "id,Type,Source,Amount,Fee,Destination Platform Fee,Destination Platform Fee Currency,Net,Currency,Created (UTC),"
    "Available On (UTC),Description,Customer Facing Amount,Customer Facing Currency,Transfer"
)
PAYPAL = (
    "Date,Time,TimeZone,Name,Type,Status,Currency,Gross,Fee,Net,From Email Address,To Email Address,Transaction ID,"
    "Shipping Address,Address Status,Item Title,Item ID,Sales Tax,Reference Txn ID,Invoice Number,Custom Number,"
    "Quantity,Receipt ID,Balance,Country,Contact Phone Number,Subject,Note,Country Code,Balance Impact"
)
PAYPAL_GERMAN = (
    "Datum,Uhrzeit,Zeitzone,Name,Typ,Status,Währung,Brutto,Gebühr,Netto,Absender E-Mail-Adresse,"
    "Empfänger E-Mail-Adresse,Transaktionscode,Lieferadresse,Adress-Status,Artikelbezeichnung,Artikelnummer,"
    "Umsatzsteuer,Zugehöriger Transaktionscode,Rechnungsnummer,Anzahl,Guthaben,Ort,PLZ,Land,Telefon,Betreff,Hinweis,"
    "Ländervorwahl,Auswirkung auf Guthaben"
)
SQUARE_ITEMS = (
    "Date,Time,Time Zone,Category,Item,Qty,Price Point Name,SKU,Modifiers Applied,Gross Sales,Discounts,Net Sales,Tax,"
    "Transaction ID,Payment ID,Device Name,Notes,Details,Event Type,Location,Dining Option,Customer ID,Customer Name,"
    "Customer Reference ID,Unit,Count,GTIN,Itemization Type,Fulfillment Note,Channel,Token,Card Brand,PAN Suffix"
)
SQUARE_TRANSACTIONS = (
    "Date,Time,Time Zone,Gross Sales,Discounts,Service Charges,Net Sales,Gift Card Sales,Tax,Tip,Partial Refunds,"
    "Total Collected,Source,Card,Cash,Fees,Net Total,Transaction ID,Payment ID,Card Brand,Event Type,Location,"
    "Customer ID,Customer Name,Customer Reference ID,Device Nickname,Deposit ID,Deposit Date,Transaction Status"
)
MAGENTO = (
    "ID,Purchase Point,Purchase Date,Bill-to Name,Ship-to Name,Grand Total (Base),Grand Total (Purchased),Status,"
    "Billing Address,Shipping Address,Shipping Information,Customer Email,Customer Group,Subtotal,"
    "Shipping and Handling,Customer Name,Payment Method,Total Refunded,Allocated sources,Pickup Location Code"
)
BIGCOMMERCE = (
    "Order ID,Customer ID,Customer Name,Customer Email,Customer Phone,Order Date,Order Status,Subtotal (inc tax),"
    "Subtotal (ex tax),Tax Total,Shipping Cost (inc tax),Ship Method,Order Total (inc tax),Order Total (ex tax),"
    "Payment Method,Total Quantity,Date Shipped,Order Currency Code,Exchange Rate,Order Notes,Billing Phone,"
    "Billing Email,Product Details,Refund Amount"
)
PRESTASHOP = "ID;Reference;New client;Delivery;Customer;Total;Payment;Status;Date"
KLAVIYO_TABLE = (
    "id,person_id,campaign_id,flow_id,flow_message_id,uuid,datetime,timestamp,_fivetran_deleted,metric_id,type,"
    "_variation,property_value,property_source_name,property_extra"
)
KLAVIYO_PROFILES = (
    "Email,Klaviyo ID,First Name,Last Name,City,State / Region,Country,Zip Code,Source,Email Marketing Consent,"
    "Profile Created On,Date Added"
)
MAILCHIMP_AUDIENCE = (
    "Email Address,First Name,Last Name,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,LATITUDE,LONGITUDE,"
    "GMTOFF,DSTOFF,TIMEZONE,CC,REGION,LAST_CHANGED,LEID,EUID,NOTES,TAGS"
)
MAILCHIMP_ACTIVITY = "Date,Email Address,Sender,Subject,Status,Tags,Opens,Clicks,Bounce Detail"
HUBSPOT = "Record ID,First Name,Last Name,Email,Phone Number,Contact owner,Lead Status,Create Date,Last Modified Date"
SEGMENT = "id,anonymous_id,user_id,received_at,sent_at,original_timestamp,timestamp,event,event_text,uuid_ts"

PRESETS = {
    "shopify-orders": SHOPIFY_ORDERS,
    "shopify-customers": SHOPIFY_CUSTOMERS,
    "woocommerce-orders": WOO_ORDERS,
    "stripe-payments": STRIPE_PAYMENTS,
    "paypal-activity": PAYPAL,
    "paypal-activity-de": PAYPAL_GERMAN,
    "square-items": SQUARE_ITEMS,
    "magento-orders": MAGENTO,
    "bigcommerce-orders": BIGCOMMERCE,
    "mailchimp-audience": MAILCHIMP_AUDIENCE,
    "hubspot-contacts": HUBSPOT,
}
"""What is recognised, and the header by which it is."""

OTHERS = {
    "woo-analytics-orders": WOO_ANALYTICS_ORDERS,
    "woo-analytics-customers": WOO_ANALYTICS_CUSTOMERS,
    "stripe-balance": STRIPE_BALANCE,
    "square-transactions": SQUARE_TRANSACTIONS,
    "prestashop": PRESTASHOP,
    "klaviyo-table": KLAVIYO_TABLE,
    "klaviyo-profiles": KLAVIYO_PROFILES,
    "mailchimp-activity": MAILCHIMP_ACTIVITY,
    "segment": SEGMENT,
}
"""What is inferred, at least by the columns that are here."""


def cell(name: str, row: int) -> str:
    """A cell that a column of this name could hold."""
    low = name.lower()
    for words, text in (
        (("e-mail", "email"), f"person{row}@example.com"),
        (("phone", "telefon"), f"+3706123456{row % 10}"),
        (("currency", "währung"), "EUR"),
        (("uhrzeit",), "18:20:31"),
        (("zeitzone", "time zone", "timezone"), "UTC"),
        (("datum",), f"{row % 28 + 1:02}.11.2026"),
        (("date", " at", "_at", "created", "_time", "timestamp", "datetime"), f"2026-11-{row % 28 + 1:02} 08:15:00"),
        (("total", "amount", "gross", "net", "brutto", "netto", "revenue", "price", "sales", "fee"), f"{row + 10}.50"),
        (("quantity", "qty", "count", "anzahl", "orders"), str(row % 5 + 1)),
        (("country", "land"), "LT"),
        (("id", "number", "code", "#", "reference", "leid"), f"A{1000 + row}"),
    ):
        if any(word in low for word in words):
            return text
    return {"time": "18:20:31", "accepts": "yes"}.get(low, "word")


def table(header: str, rows: int = 12) -> str:
    """A small file with this header."""
    sign = ";" if ";" in header else ","
    names = header.split(sign)
    lines = [sign.join(cell(name, row) for name in names) for row in range(rows)]
    return "\n".join([header, *lines]) + "\n"
