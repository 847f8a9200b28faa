"""The movement event: what happened to goods on their way, where and when."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from backend.domain.fields import (
    Attachment,
    CountryCode,
    Document,
    Moment,
    Packages,
    Party,
    Reference,
    Text,
    fault,
)
from backend.domain.kinds.base import A_MOMENT, Audience, Kind, RecordKind, Segment, Signing
from backend.domain.parties import Role


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


_MOVED = ("eventType", "eventDateTime", "locationName", "locationCode", "locationCountry")

KIND = RecordKind(
    kind=Kind.MOVEMENT_EVENT,
    model=MovementEvent,
    collection="movement-events",
    operation="Sign a movement event",
    example={
        "eventReference": "MOVE-2026-0815",
        "eventType": "departed",
        "eventDateTime": A_MOMENT,
        "locationName": "Hangzhou Xiaoshan",
        "locationCode": "CNHGH",
        "locationCountry": "CN",
        "waybillReference": "AWB-2026-0815",
    },
    names="Movement of the goods",
    help="Where the goods left, arrived or changed hands.",
    signing=Signing.OWN,
    signed_by=frozenset({Role.MERCHANT}),
    segment=Segment.OTHER,
    # Who may sign waybills may tell where the goods are (docs/decisions/0006).
    accreditation_bit=7,
    shares_bit_with=Kind.WAYBILL,
    number_field="eventReference",
    schema_version=2,
    merchant_field=None,
    dates_of_the_past=("eventDateTime",),
    shown_to={
        Audience.PUBLIC_LABEL: _MOVED,
        Audience.BUYER: (*_MOVED, "eventReference", "waybillReference", "orderReference", "transportMeans"),
    },
    without_import="signed on the pages or over the programming interface; no format of others is read",
)
