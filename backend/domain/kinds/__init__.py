"""The kinds of record, collected from their modules. Code that depends on a kind reads these definitions."""

from collections.abc import Mapping

from backend.domain.kinds import (
    certificate_of_origin,
    declaration,
    inspection_report,
    invoice,
    listing,
    movement_event,
    order,
    payment_receipt,
    phytosanitary_certificate,
    waybill,
)
from backend.domain.kinds.base import Audience, Certification, FieldWords, Kind, RecordKind, Segment, Signing
from backend.domain.parties import Role

KINDS: Mapping[Kind, RecordKind] = {
    stated.kind: stated
    for stated in (
        certificate_of_origin.KIND,
        inspection_report.KIND,
        phytosanitary_certificate.KIND,
        declaration.KIND,
        # In the order in which a sale leaves them.
        order.KIND,
        payment_receipt.KIND,
        waybill.KIND,
        invoice.KIND,
        movement_event.KIND,
        listing.KIND,
    )
}
BY_SLUG: Mapping[str, Kind] = {kind.slug: kind for kind in Kind}
HELD = tuple(kind for kind, stated in KINDS.items() if stated.signing is not Signing.LODGED)
"""Kinds in lists of papers: all except declarations."""
PAPERS = tuple(kind for kind in HELD if not KINDS[kind].is_badge)
"""Kinds that a declaration can rely on."""
CERTIFIED = tuple(kind for kind, stated in KINDS.items() if stated.signing is Signing.CERTIFIED)
"""Kinds that issuers sign for merchants."""
OWN = tuple(kind for kind, stated in KINDS.items() if stated.signing is Signing.OWN)
"""Kinds that merchants sign themselves."""
ISSUERS = tuple(dict.fromkeys(role for kind in CERTIFIED for role in sorted(KINDS[kind].signed_by)))
"""Roles that certify for others."""


def signed_by(role: Role) -> frozenset[Kind]:
    """Return the kinds that a role may sign."""
    return frozenset(kind for kind, stated in KINDS.items() if role in stated.signed_by)


def certified_by(role: Role) -> frozenset[Kind]:
    """Return the kinds that a role certifies for others."""
    return signed_by(role) & frozenset(CERTIFIED)


def own_words(field: str) -> FieldWords | None:
    """Return the words of the kind that defines this field, or None for a field that many kinds have."""
    return next((stated.words[field] for stated in KINDS.values() if field in stated.words), None)


def accreditation_bits(role: Role) -> int:
    """Return the bit mask of an accreditation for all that a role may sign; 0 where it signs nothing."""
    return sum({1 << KINDS[kind].accreditation_bit for kind in signed_by(role)})


__all__ = [
    "BY_SLUG",
    "CERTIFIED",
    "HELD",
    "ISSUERS",
    "KINDS",
    "OWN",
    "PAPERS",
    "Audience",
    "Certification",
    "FieldWords",
    "Kind",
    "RecordKind",
    "Segment",
    "Signing",
    "accreditation_bits",
    "certified_by",
    "own_words",
    "signed_by",
]
