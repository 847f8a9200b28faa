"""The payment receipt: that the money for an order came in."""

from pydantic import Field

from backend.domain.fields import Amount, Attachment, CurrencyCode, Document, Moment, Party, Reference, Text
from backend.domain.kinds.base import A_MERCHANT, A_MOMENT, Audience, Kind, RecordKind, Segment, Signing
from backend.domain.parties import Role


class PaymentReceipt(Document):
    """Receipt of the money for an order (CEB403)."""

    receipt_reference: Reference = Field(description="Number of the payment (payNo)")
    order_reference: Reference = Field(description="(orderNo)")
    payment_service_name: Text | None = Field(None, description="(payName)")
    payee: Party = Field(description="(ebcCode, ebcName)")
    payer: Party | None = None
    amount: Amount = Field(description="(charge)")
    currency: CurrencyCode = Field(description="(currency)")
    paid_date_time: Moment = Field(description="(accountingDate)")
    attachments: tuple[Attachment, ...] = ()


_PAID = ("receiptReference", "orderReference", "amount", "currency", "paidDateTime", "payee")

KIND = RecordKind(
    kind=Kind.PAYMENT_RECEIPT,
    model=PaymentReceipt,
    collection="payment-receipts",
    operation="Sign a payment receipt",
    example={
        "receiptReference": "PAY-2026-0815",
        "orderReference": "ORDER-2026-0815",
        "payee": A_MERCHANT,
        "amount": "1300",
        "currency": "USD",
        "paidDateTime": A_MOMENT,
    },
    names="Payment receipt",
    help="That the money for an order came in.",
    signing=Signing.OWN,
    signed_by=frozenset({Role.MERCHANT}),
    segment=Segment.OTHER,
    accreditation_bit=6,
    number_field="receiptReference",
    schema_version=2,
    merchant_field="payee",
    dates_of_the_past=("paidDateTime",),
    shown_to={Audience.BUYER: _PAID, Audience.BANK: (*_PAID, "payer", "paymentServiceName")},
    without_import="signed on the pages or over the programming interface; no format of others is read",
)
