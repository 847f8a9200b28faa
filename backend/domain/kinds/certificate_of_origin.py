"""The certificate of origin: a chamber certifies where goods were made."""

from typing import Annotated, Literal, Self

from pydantic import Field, StrictBool, ValidationInfo, model_validator

from backend.domain.fields import (
    Amount,
    Attachment,
    CountryCode,
    CurrencyCode,
    Day,
    Document,
    HsCode,
    LongText,
    Party,
    Percent,
    Quantity,
    Reference,
    Text,
    UnitCode,
    fault,
    is_read_as_signed,
)
from backend.domain.kinds.base import A_BUYER, A_MERCHANT, Audience, Certification, Kind, RecordKind, Segment, Signing
from backend.domain.parties import Role


class CertificateOfOrigin(Document):
    """Certificate of origin: the minimum information of RCEP Annex 3B, as on Form E."""

    certificate_number: Reference | None = Field(
        None, description="Given by the chamber; absent on a merchant's own statement"
    )
    exporter: Party
    producer: Party | None = Field(None, description="Where it is not the exporter")
    consignee: Party | None = None
    origin_country: CountryCode
    import_country: CountryCode
    free_trade_agreement_name: Literal["RCEP", "ACFTA", "CHAFTA", "NONE"] = "NONE"
    origin_criteria: Literal["WO", "PE", "CC", "CTH", "CTSH", "RVC", "CR", "PSR", "NP"]
    hs_code: HsCode
    description: LongText
    quantity: Quantity
    unit_code: UnitCode
    gross_weight_measure: Quantity | None = Field(None, description="Kilograms")
    package_quantity: Annotated[int, Field(gt=0, le=1_000_000)] | None = None
    shipping_marks: Text | None = Field(None, description="Form E, box 6")
    regional_value_content_percent: Percent | None = Field(None, description="Where the criterion is RVC")
    free_on_board_amount: Amount | None = Field(None, description="FOB value; needed where the criterion is RVC")
    currency: CurrencyCode | None = Field(None, description="Of the FOB value")
    invoice_reference: Reference | None = None
    invoice_date: Day | None = None
    departure_date: Day | None = Field(None, description="Form E, box 3, with the next two")
    transport_means: Text | None = Field(None, description="Vessel or flight")
    discharge_port: Text | None = None
    issued_retroactively: StrictBool | None = Field(None, description="Form E, box 13, with the next three")
    for_exhibition: StrictBool | None = None
    is_movement_certificate: StrictBool | None = Field(None, description="Back-to-back, on an earlier certificate")
    third_party_invoicing: StrictBool | None = None
    issue_date: Day
    valid_until: Day | None = Field(None, description="Last day; RCEP certificates hold one year")
    attachments: tuple[Attachment, ...] = ()

    @model_validator(mode="after")
    def _holds_together(self, info: ValidationInfo) -> Self:
        if self.valid_until is not None and self.valid_until < self.issue_date:
            raise fault("dates", "validUntil lies before issueDate")
        if (self.free_on_board_amount is None) != (self.currency is None):
            raise fault("amount", "freeOnBoardAmount and currency belong together")
        lacks_value = self.origin_criteria == "RVC" and self.free_on_board_amount is None
        if lacks_value and self.free_trade_agreement_name != "NONE" and not is_read_as_signed(info):
            raise fault("value", "freeOnBoardAmount is missing: RVC is a share of the FOB value")
        return self


_GOODS = ("originCountry", "description", "hsCode", "issueDate", "validUntil")
_PREFERENCE = (
    "certificateNumber",
    "exporter",
    "importCountry",
    "freeTradeAgreementName",
    "originCriteria",
    "quantity",
    "unitCode",
)
_VALUE = ("consignee", "invoiceReference", "invoiceDate", "freeOnBoardAmount", "currency")
_TRANSPORT = ("departureDate", "transportMeans", "dischargePort", "packageQuantity", "grossWeightMeasure")

KIND = RecordKind(
    kind=Kind.CERTIFICATE_OF_ORIGIN,
    model=CertificateOfOrigin,
    collection="certificates-of-origin",
    operation="Issue a certificate of origin",
    example={
        "certificateNumber": "ZJ-26-004711",
        "exporter": A_MERCHANT,
        "consignee": A_BUYER,
        "originCountry": "CN",
        "importCountry": "SG",
        "freeTradeAgreementName": "RCEP",
        "originCriteria": "CTH",
        "hsCode": "940521",
        "description": "Table lamp with LED light source, 220-240 V, model MS-L8",
        "quantity": "500",
        "unitCode": "H87",
        "grossWeightMeasure": "240",
        "invoiceReference": "INV-2026-0815",
        "issueDate": "2026-03-31",
        "validUntil": "2027-03-30",
    },
    names="Certificate of origin",
    help="Where the goods were made, certified by a chamber.",
    signing=Signing.CERTIFIED,
    signed_by=frozenset({Role.CHAMBER}),
    segment=Segment.ORIGIN,
    accreditation_bit=1,
    number_field="certificateNumber",
    merchant_field="exporter",
    is_bound_to_chapters=True,
    shown_to={
        Audience.PUBLIC_LABEL: _GOODS,
        Audience.BUYER: _GOODS + _PREFERENCE,
        Audience.BANK: _GOODS + _PREFERENCE + _VALUE + _TRANSPORT,
    },
    certification=Certification(
        number_stem="CO",
        signer="Certified by",
        label_text="Origin certified by {issuer}.",
        from_product={
            "description": "description",
            "hs_code": "hsCode",
            "unit_code": "unitCode",
            "origin_country": "originCountry",
        },
    ),
)
