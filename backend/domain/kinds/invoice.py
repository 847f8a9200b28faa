"""The commercial invoice: what a merchant charges the buyer."""

from typing import Annotated

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
    TradeLine,
)
from backend.domain.kinds.base import A_BUYER, A_LINE, A_MERCHANT, Audience, Kind, RecordKind, Segment, Signing
from backend.domain.parties import Role


class Invoice(Document):
    """Commercial invoice."""

    invoice_number: Reference
    seller: Party
    buyer: Party
    issue_date: Day
    currency: CurrencyCode
    total_amount: Amount
    order_reference: Reference | None = None
    incoterms_code: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = Field(None, description="Incoterms 2020")
    destination_country: CountryCode | None = None
    items: tuple[TradeLine, ...] = Field(min_length=1, max_length=200)
    attachments: tuple[Attachment, ...] = ()


_HEAD = ("invoiceNumber", "seller", "buyer", "issueDate", "currency", "totalAmount")

KIND = RecordKind(
    kind=Kind.INVOICE,
    model=Invoice,
    collection="invoices",
    operation="Sign an invoice",
    example={
        "invoiceNumber": "INV-2026-0815",
        "issueDate": "2026-03-31",
        "seller": A_MERCHANT,
        "buyer": A_BUYER,
        "currency": "USD",
        "totalAmount": "1300",
        "orderReference": "ORDER-2026-0815",
        "items": [A_LINE],
    },
    names="Invoice",
    help="What you charge the buyer.",
    signing=Signing.OWN,
    signed_by=frozenset({Role.MERCHANT}),
    segment=Segment.OTHER,
    accreditation_bit=4,
    number_field="invoiceNumber",
    schema_version=2,
    merchant_field="seller",
    dates_of_the_past=("issueDate",),
    shown_to={Audience.BUYER: (*_HEAD, "items"), Audience.BANK: (*_HEAD, "incotermsCode", "destinationCountry")},
)
