"""The waybill: what a carrier took over, and where to."""

from typing import Literal

from pydantic import Field

from backend.domain.fields import Attachment, CountryCode, Day, Document, Packages, Party, Quantity, Reference, Text
from backend.domain.kinds.base import A_BUYER, A_MERCHANT, Audience, Kind, RecordKind, Segment, Signing
from backend.domain.parties import Role


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


_CARRIED = (
    "waybillReference",
    "carrier",
    "transportModeCode",
    "transportMeans",
    "departureCountry",
    "destinationCountry",
    "packageQuantity",
    "issueDate",
)

KIND = RecordKind(
    kind=Kind.WAYBILL,
    model=Waybill,
    collection="waybills",
    operation="Sign a waybill",
    example={
        "waybillReference": "AWB-2026-0815",
        "issueDate": "2026-03-31",
        "carrier": {"name": "Demo Air Cargo"},
        "consignor": A_MERCHANT,
        "consignee": A_BUYER,
        "orderReference": "ORDER-2026-0815",
        "transportModeCode": "4",
        "destinationCountry": "SG",
        "description": "LED desk lamps",
        "packageQuantity": 10,
        "grossWeightMeasure": "96",
    },
    names="Waybill",
    help="What the carrier took over, and where to.",
    signing=Signing.OWN,
    signed_by=frozenset({Role.MERCHANT}),
    segment=Segment.OTHER,
    accreditation_bit=7,
    number_field="waybillReference",
    schema_version=2,
    merchant_field="consignor",
    dates_of_the_past=("issueDate",),
    shown_to={
        Audience.BUYER: _CARRIED,
        Audience.BANK: (*_CARRIED, "consignor", "consignee", "grossWeightMeasure", "voyageReference"),
    },
    without_import="signed on the pages or over the programming interface; no format of others is read",
)
