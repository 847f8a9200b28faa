"""The definition of a record kind: one ``RecordKind`` each, in a module of its own beside this one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

from backend.domain.fields import Document
from backend.domain.parties import Role


class Kind(IntEnum):
    """The number of a kind, which is the first byte of its entries. It never changes and is never reused."""

    CERTIFICATE_OF_ORIGIN = 1
    INSPECTION_REPORT = 2
    DECLARATION = 3
    INVOICE = 4
    ORDER = 5
    PAYMENT_RECEIPT = 6
    WAYBILL = 7
    MOVEMENT_EVENT = 8
    PHYTOSANITARY_CERTIFICATE = 9
    LISTING = 10

    @property
    def slug(self) -> str:
        """Its name in URLs and in the references of a declaration."""
        return self.name.lower().replace("_", "-")


class Segment(IntEnum):
    """The segments of a batch: its entries are sorted into four runs in this order.

    So one leaf index tells the ledger which rules apply to a record.
    """

    ORIGIN = 0
    INSPECTION = 1
    DECLARATION = 2
    OTHER = 3


class Audience(StrEnum):
    """The audiences for which fields are chosen."""

    PUBLIC_LABEL = "public-label"
    BUYER = "buyer"
    BANK = "bank"
    CUSTOMS = "customs"


class Signing(StrEnum):
    """How a record of a kind comes to be signed."""

    LODGED = "lodged"
    """By the merchant who lodges it, with the records that it relies on."""
    OWN = "own"
    """By the merchant who issues the document."""
    CERTIFIED = "certified"
    """By an issuer, on its own initiative or for a merchant's statement that was submitted to it."""


A_MERCHANT = {
    "name": "Yiwu Morning Star Trading Co., Ltd.",
    "postalAddress": "88 Chouzhou North Road, Yiwu, Zhejiang",
    "countryCode": "CN",
}
A_BUYER = {"name": "Lim Household Supplies Pte. Ltd.", "countryCode": "SG"}
A_LINE = {"description": "LED desk lamp, 8 W", "quantity": "200", "unitCode": "H87", "amount": "1300"}
A_MOMENT = "2026-03-31T06:05:00Z"
"""Values used in the examples of several kinds."""


@dataclass(frozen=True)
class FieldWords:
    """A field that only this kind has: its label, its meaning for importers, and an example."""

    label: str
    meaning: str
    example: str


@dataclass(frozen=True)
class Certification:
    """The words and form fields of a kind that an issuer signs for merchants.

    ``number_stem`` begins the first number of an issuer that has given none. ``from_product`` maps each attribute of a
    product to the field that it fills. ``set_by_issuer`` lists fields that the issuer fills in when it confirms.
    ``order`` is the document by which a merchant asks for it, where the issuer states all of the record itself. What it
    says in fields of the same name is taken over.
    """

    number_stem: str
    signer: str
    label_text: str
    from_product: Mapping[str, str] = field(default_factory=dict)
    set_by_issuer: tuple[str, ...] = ()
    order: type[Document] | None = None


@dataclass(frozen=True)
class RecordKind:
    """A kind of record: its document, who signs it, the rules that apply, and who is shown which fields.

    ``collection`` is its path in the API, ``operation`` the summary of a request there, ``example`` the body in the
    API's description, which must be a valid document.

    Field names are those of the JSON. ``number_field`` holds the number that the signer gives, ``merchant_field`` the
    party that is the merchant and holds the record. ``accreditation_bit`` (0 to 7) covers the kind in an accreditation;
    ``shares_bit_with`` names the kind whose bit it is, where the two are accredited together. ``dates_of_the_past`` are
    fields about events that have happened, such as the day of issue, so that none may be in the future. With
    ``is_bound_to_chapters`` an accreditation must also cover the HS chapter of its ``hsCode``. ``without_form`` and
    ``without_import`` say why there is no form or import, where there is none. ``is_badge`` tells that its public page
    is a shop's badge, which speaks of the product's papers.
    """

    kind: Kind
    model: type[Document]
    collection: str
    operation: str
    example: Mapping[str, Any]
    names: str
    help: str
    signing: Signing
    signed_by: frozenset[Role]
    segment: Segment
    accreditation_bit: int
    number_field: str
    merchant_field: str | None
    shown_to: Mapping[Audience, tuple[str, ...]]
    shares_bit_with: Kind | None = None
    is_bound_to_chapters: bool = False
    dates_of_the_past: tuple[str, ...] = ()
    schema_version: int = 1
    certification: Certification | None = None
    words: Mapping[str, FieldWords] = field(default_factory=dict)
    without_form: str | None = None
    without_import: str | None = None
    is_badge: bool = False

    @property
    def credential_type(self) -> str:
        """The type of its credentials."""
        return self.model.__name__

    def schema_id(self, public_url: str | None, version: int | None = None) -> str:
        """Return the identifier of a version of its schema, by default the newest: its URL where the server has one.

        Without ``public_url`` it is a URN that is the same on every server.
        """
        named = version or self.schema_version
        # A server without a public name has no address that readers could fetch a schema from.
        if public_url is None:
            return f"urn:provenport:schema:{self.kind.slug}:v{named}"
        return f"{public_url.rstrip('/')}/schemas/{self.kind.slug}/v{named}.json"

    @property
    def has_label(self) -> bool:
        """Whether it has a public page, for labels or as a badge."""
        is_public = self.certification is not None or self.is_badge
        return is_public and Audience.PUBLIC_LABEL in self.shown_to

    @property
    def every_field(self) -> tuple[str, ...]:
        """The names of all its possible fields, in order."""
        return tuple(info.alias or name for name, info in self.model.model_fields.items())
