"""The papers of the trade behind a declaration: order, payment receipt, waybill, invoice, and where goods moved.

Names in brackets are the tags of the messages that China's customs compare with a declaration (CEB303, 403, 505).
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from backend.domain.codes import CountryCode, CurrencyCode, HsCode, UnitCode
from backend.domain.faults import fault
from backend.domain.fields import Amount, Attachment, Day, Document, LongText, Moment, Party, Quantity, Reference, Text

Packages = Annotated[int, Field(gt=0, le=1_000_000)]


class TradeLine(Document):
    """One line of an order or an invoice."""

    description: LongText
    quantity: Quantity
    unit_code: UnitCode
    amount: Amount
    hs_code: HsCode | None = None


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


class Waybill(Document):
    """Waybill of the carrier (CEB505)."""

    waybill_reference: Reference = Field(description="(logisticsNo)")
    carrier: Party = Field(description="(logisticsCode, logisticsName)")
    consignor: Party
    consignee: Party | None = None
    order_reference: Reference | None = None
    transport_mode_code: Literal["1", "2", "3", "4", "5", "8"] | None = Field(
        None, description="UN/ECE Recommendation 19: 1 sea, 2 rail, 3 road, 4 air, 5 post, 8 inland water"
    )
    transport_means: Text | None = Field(None, description="Vessel, flight or vehicle (trafName)")
    voyage_reference: Reference | None = Field(None, description="(voyageNo)")
    departure_country: CountryCode | None = None
    destination_country: CountryCode
    description: Text
    package_quantity: Packages = Field(1, description="(packNo)")
    gross_weight_measure: Quantity = Field(description="Kilograms (weight)")
    issue_date: Day
    attachments: tuple[Attachment, ...] = ()


class MovementEvent(Document):
    """Something that happened to goods on their way, where and when."""

    event_reference: Reference
    event_type: Literal["loaded", "departed", "arrived", "unloaded", "gate-in", "gate-out", "handed-over", "delivered"]
    event_date_time: Moment
    location_name: Text
    location_code: Annotated[str, Field(pattern="^[A-Z]{2}[A-Z2-9]{3}$")] | None = Field(None, description="UN/LOCODE")
    location_country: CountryCode
    waybill_reference: Reference | None = None
    order_reference: Reference | None = None
    handed_over_by: Party | None = None
    handed_over_to: Party | None = None
    transport_means: Text | None = None
    package_quantity: Packages | None = None
    attachments: tuple[Attachment, ...] = ()

    @model_validator(mode="after")
    def _about_something(self) -> Self:
        if self.waybill_reference is None and self.order_reference is None:
            raise fault("about", "waybillReference is missing: name the waybill or the order")
        return self
