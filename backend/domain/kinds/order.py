"""The order: what a buyer ordered, as the merchant or its platform took it."""

from pydantic import Field

from backend.domain.fields import (
    Amount,
    Attachment,
    CountryCode,
    CurrencyCode,
    Day,
    Document,
    Party,
    Reference,
    Text,
    TradeLine,
)
from backend.domain.kinds.base import A_BUYER, A_LINE, A_MERCHANT, Audience, Kind, RecordKind, Segment, Signing
from backend.domain.parties import Role


class Order(Document):
    """Order of a buyer, as the merchant or its platform took it (CEB303)."""

    order_reference: Reference = Field(description="(orderNo)")
    platform_name: Text | None = Field(None, description="(ebpName)")
    seller: Party = Field(description="(ebcCode, ebcName)")
    buyer: Party | None = None
    order_date: Day
    currency: CurrencyCode = Field(description="(currency)")
    total_amount: Amount = Field(description="Goods, freight and discount together")
    freight_amount: Amount | None = Field(None, description="(freight)")
    destination_country: CountryCode | None = None
    items: tuple[TradeLine, ...] = Field(min_length=1, max_length=200)
    attachments: tuple[Attachment, ...] = ()


_HEAD = ("orderReference", "orderDate", "currency", "totalAmount", "seller", "buyer", "destinationCountry")

KIND = RecordKind(
    kind=Kind.ORDER,
    model=Order,
    collection="orders",
    operation="Sign an order",
    example={
        "orderReference": "ORDER-2026-0815",
        "orderDate": "2026-03-30",
        "seller": A_MERCHANT,
        "buyer": A_BUYER,
        "currency": "USD",
        "totalAmount": "1300",
        "items": [A_LINE],
    },
    names="Order",
    help="What the buyer ordered, as your shop or platform took it.",
    signing=Signing.OWN,
    signed_by=frozenset({Role.MERCHANT}),
    segment=Segment.OTHER,
    accreditation_bit=5,
    number_field="orderReference",
    schema_version=2,
    merchant_field="seller",
    dates_of_the_past=("orderDate",),
    shown_to={Audience.BUYER: (*_HEAD, "items"), Audience.BANK: _HEAD},
    without_import="signed on the pages or over the programming interface; no format of others is read",
)
