"""The declaration: what a merchant lodges with customs for a consignment."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from backend.domain.fields import (
    Amount,
    CountryCode,
    CurrencyCode,
    Day,
    Document,
    HsCode,
    Moment,
    Party,
    Quantity,
    Reference,
    Text,
    UnitCode,
    fault,
    is_read_as_signed,
)
from backend.domain.kinds.base import Audience, Kind, RecordKind, Segment, Signing
from backend.domain.parties import Role


def _of_china(code: str, info: ValidationInfo) -> str:
    if len(code) == 12 and not is_read_as_signed(info):
        raise fault(
            "hs_code_of_china",
            "{code} has 12 digits: China's HS codes have 8, 10 or 13, and this one may have lost its leading zero",
            code=code,
        )
    return code


class GoodsItem(Document):
    """One line of a declaration; names in brackets are those of China's 9610 list (CEB603)."""

    hs_code: Annotated[HsCode, AfterValidator(_of_china)] = Field(description="(gcode)")
    description: Text = Field(description="(gname)")
    quantity: Quantity = Field(description="(qty)")
    unit_code: UnitCode = Field(description="(unit)")
    unit_price: Amount = Field(description="(price)")
    currency: CurrencyCode = Field(description="(currency)")
    origin_country: CountryCode = Field(description="(country)")
    item_number: Reference | None = Field(None, description="The merchant's own (itemNo)")
    item_record_number: Reference | None = Field(None, description="As filed with customs (itemRecordNo)")
    declaration_elements: Text | None = Field(None, description="Make, use, model (gmodel)")
    bar_code: Reference | None = Field(None, description="(barCode)")
    first_legal_quantity: Quantity | None = Field(None, description="(qty1)")
    first_legal_unit_code: UnitCode | None = Field(None, description="(unit1)")
    second_legal_quantity: Quantity | None = Field(None, description="(qty2)")
    second_legal_unit_code: UnitCode | None = Field(None, description="(unit2)")
    total_price: Amount | None = Field(None, description="(totalPrice)")


def _may_be_named(slug: str, info: ValidationInfo) -> str:
    if not is_read_as_signed(info) and slug not in {kind.slug for kind in Kind if kind is not Kind.DECLARATION}:
        raise fault("record_kind", "{kind} is no kind of record that a declaration names", kind=slug)
    return slug


class NamedRecord(Document):
    """A record that a declaration relies on, bound by the digest of its signed text."""

    id: str
    # A pattern, not the list of kinds as in version 1: a new kind must not change what declarations may say.
    kind: Annotated[str, Field(pattern="^[a-z]+(-[a-z]+)*$"), AfterValidator(_may_be_named)]
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Declaration(Document):
    """Declaration of a consignment, with the fields of China's 9610 list (CEB603)."""

    declaration_reference: Reference = Field(description="The declarant's own number (copNo)")
    customs_office: Reference = Field(description="Code of the customs office (customsCode)")
    previous_procedure_type_code: Literal["9610", "9710", "9810"] = Field("9610", description="Trade mode (tradeMode)")
    direction: Literal["export", "import"] = "export"
    merchant: Party = Field(description="ebcCode, ebcName")
    platform_name: Text | None = Field(None, description="ebpName")
    order_reference: Reference = Field(description="orderNo")
    waybill_reference: Reference = Field(description="logisticsNo")
    carrier_name: Text | None = Field(None, description="logisticsName")
    destination_country: CountryCode = Field(description="country")
    package_quantity: Annotated[int, Field(gt=0, le=1_000_000)] = Field(1, description="packNo")
    gross_weight_measure: Quantity = Field(description="Kilograms (grossWeight)")
    net_weight_measure: Quantity | None = Field(None, description="Kilograms (netWeight)")
    port_code: Reference | None = Field(None, description="Port of exit or entry (portCode)")
    movement_date: Day | None = Field(None, description="Day of export or import (ieDate)")
    declarant: Party | None = Field(None, description="Who declares for the merchant (agentCode, agentName)")
    goods_owner: Party | None = Field(None, description="(ownerCode, ownerName)")
    transport_mode_code: Reference | None = Field(None, description="(trafMode)")
    transport_means: Text | None = Field(None, description="(trafName)")
    voyage_reference: Reference | None = Field(None, description="(voyageNo)")
    bill_of_lading_reference: Reference | None = Field(None, description="(billNo)")
    supervised_place_code: Reference | None = Field(None, description="(loctNo)")
    licence_reference: Reference | None = Field(None, description="(licenseNo)")
    port_of_destination: Reference | None = Field(None, description="(POD)")
    freight_amount: Amount | None = Field(None, description="(freight)")
    freight_currency: CurrencyCode | None = Field(None, description="(fCurrency)")
    insurance_amount: Amount | None = Field(None, description="(insuredFee)")
    insurance_currency: CurrencyCode | None = Field(None, description="(iCurrency)")
    package_type: Reference | None = Field(None, description="(wrapType)")
    note: Text | None = Field(None, description="(note)")
    arrival_date_time: Moment | None = Field(
        None, description="When the goods came under customs' control; absent while they are on their way"
    )
    items: tuple[GoodsItem, ...] = Field(min_length=1, max_length=200)
    records: tuple[NamedRecord, ...] = Field((), max_length=50)

    @model_validator(mode="after")
    def _net_below_gross(self, info: ValidationInfo) -> Self:
        is_above = self.net_weight_measure is not None and self.net_weight_measure > self.gross_weight_measure
        if is_above and not is_read_as_signed(info):
            raise fault("net_weight", "netWeightMeasure is more than grossWeightMeasure")
        return self


KIND = RecordKind(
    kind=Kind.DECLARATION,
    model=Declaration,
    collection="declarations",
    operation="Lodge a declaration",
    example={
        "declarationReference": "MS-2026-0815",
        "customsOffice": "2925",
        "previousProcedureTypeCode": "9610",
        "direction": "export",
        "destinationCountry": "SG",
        "orderReference": "ORDER-2026-0815",
        "waybillReference": "AWB-2026-0815",
        "packageQuantity": 10,
        "grossWeightMeasure": "96",
        "items": [
            {
                "hsCode": "940521",
                "description": "LED desk lamp, 8 W",
                "quantity": "200",
                "unitCode": "H87",
                "unitPrice": "6.5",
                "currency": "USD",
                "originCountry": "CN",
            }
        ],
    },
    names="Declaration",
    help="What you declare to customs for a consignment.",
    signing=Signing.LODGED,
    signed_by=frozenset({Role.MERCHANT}),
    segment=Segment.DECLARATION,
    schema_version=3,
    accreditation_bit=3,
    number_field="declarationReference",
    merchant_field="merchant",
    dates_of_the_past=("arrivalDateTime",),
    shown_to={
        Audience.BANK: (
            "declarationReference",
            "merchant",
            "orderReference",
            "waybillReference",
            "destinationCountry",
        ),
    },
    without_form="it is lodged on pages of its own, with the records that it relies on",
)
