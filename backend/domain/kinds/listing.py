"""The listing: the page of a shop on which a merchant offers a product, and from when to when."""

import re
from datetime import timedelta
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from backend.domain.fields import Attachment, Day, Document, Gtin, Party, Reference, Text, fault
from backend.domain.kinds.base import A_MERCHANT, Audience, FieldWords, Kind, RecordKind, Segment, Signing
from backend.domain.parties import Role

LONGEST = timedelta(days=731)
# The letters of a URI (RFC 3986, 2) without quotes, brackets, # and @; browsers copy all others with %.
_ADDRESS = r"^https://[!$%&(-;=?A-Z_a-z~]+$"


def _shop_address(address: str) -> str:
    """Refuse what no buyer's browser would show as a page of the shop that it names."""
    if not re.fullmatch(_ADDRESS, address):
        raise fault("address", "must begin with https:// and hold no blanks, quotes, @ or #: copy it from your browser")
    try:
        parts = urlsplit(address)
        has_port = parts.port is not None
    except ValueError as error:
        raise fault("address", "is not the address of a page: copy it from your browser") from error
    host = parts.hostname or ""
    if has_port or "." not in host.strip(".") or host.rpartition(".")[2].isdigit():
        raise fault("address", "must name a shop that buyers can open, such as https://shop.example/lamp")
    return address


ShopAddress = Annotated[
    str,
    Field(min_length=1, max_length=500, json_schema_extra={"pattern": _ADDRESS}),
    AfterValidator(_shop_address),
]


class Listing(Document):
    """A product on a page of a shop."""

    listing_reference: Reference
    listing_url: ShopAddress = Field(description="The page's address, without what was added to follow a visitor")
    seller: Party
    description: Text
    gtin: Gtin | None = None
    listed_from: Day
    listed_until: Day
    attachments: tuple[Attachment, ...] = ()

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.listed_until < self.listed_from:
            raise fault("period", "listedUntil is before listedFrom")
        if self.listed_until - self.listed_from > LONGEST:
            raise fault("period", "listedUntil is more than two years after listedFrom: sign it anew then")
        return self


_OFFER = ("listingUrl", "seller", "description", "gtin", "listedFrom", "listedUntil")

KIND = RecordKind(
    kind=Kind.LISTING,
    model=Listing,
    collection="listings",
    operation="Sign a listing",
    example={
        "listingReference": "LAMP-SG-SHOP",
        "listingUrl": "https://shop.example/desk-lamp",
        "seller": A_MERCHANT,
        "description": "LED desk lamp, 8 W",
        "gtin": "6900000000014",
        "listedFrom": "2026-03-01",
        "listedUntil": "2027-02-28",
    },
    names="Shop listing",
    help="The page of a shop on which you offer a product: its badge tells buyers where the goods were made.",
    signing=Signing.OWN,
    signed_by=frozenset({Role.MERCHANT}),
    segment=Segment.OTHER,
    # Who may sign orders may say where they are taken (docs/decisions/0043).
    accreditation_bit=5,
    shares_bit_with=Kind.ORDER,
    number_field="listingReference",
    merchant_field="seller",
    shown_to={Audience.PUBLIC_LABEL: _OFFER, Audience.BUYER: ("listingReference", *_OFFER)},
    words={
        "listingUrl": FieldWords(
            "Address of the shop's page",
            "As the browser shows it. The badge counts on this page alone.",
            "https://shop.example/desk-lamp",
        ),
        "listedFrom": FieldWords("Offered from", "The first day.", "2026-03-01"),
        "listedUntil": FieldWords("Offered until", "The last day; at most two years on.", "2027-02-28"),
    },
    is_badge=True,
    without_import="signed on the pages or over the programming interface; no format of others is read",
)
