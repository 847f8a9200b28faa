"""Which documents are known, how each is recognised by what it says, and how it is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from backend.domain import documents, strict_json
from backend.domain.foreign import inspections, traceability, tradetrust
from backend.domain.foreign.draft import DEFAULTS, Draft
from backend.domain.foreign.reading import Mark, Reading, UnknownFormat
from backend.domain.foreign.source import Source
from backend.domain.kinds import Kind

BOM = b"\xef\xbb\xbf"
OWN = "provenport"


@dataclass(frozen=True)
class Format:
    """A kind of document made by others: its code and name, what it becomes here, and how."""

    code: str
    name: str
    kind: Kind
    fits: Callable[[dict[str, Any]], bool]
    fill: Callable[[Draft], None]


def _typed(name: str) -> Callable[[dict[str, Any]], bool]:
    return lambda document: name in traceability.types_of(document)


def _is_inspection_report(document: dict[str, Any]) -> bool:
    subject = document.get("credentialSubject", document)
    observed = isinstance(subject, dict) and ("chemicalObservation" in subject or "mechanicalObservation" in subject)
    return observed and "InspectionReport" in traceability.types_of(subject) | traceability.types_of(document)


FORMATS = (
    Format(
        "tradetrust-certificate-of-origin",
        "TradeTrust / OpenAttestation certificate of origin",
        Kind.CERTIFICATE_OF_ORIGIN,
        lambda document: tradetrust.base_of(document) is not None,
        tradetrust.fill_certificate,
    ),
    Format(
        "traceability-certification-of-origin",
        "W3C CCG traceability CertificationOfOrigin",
        Kind.CERTIFICATE_OF_ORIGIN,
        _typed("CertificationOfOrigin"),
        traceability.fill_certificate,
    ),
    Format(
        "traceability-food-grade-inspection",
        "W3C CCG traceability FoodGradeInspectionCredential",
        Kind.INSPECTION_REPORT,
        _typed("FoodGradeInspectionCredential"),
        inspections.fill_food_grade,
    ),
    Format(
        "traceability-mill-test-report",
        "W3C CCG traceability MillTestReportCredential",
        Kind.INSPECTION_REPORT,
        _typed("MillTestReportCredential"),
        inspections.fill_mill_test,
    ),
    Format(
        "traceability-inspection-report",
        "W3C CCG traceability InspectionReport",
        Kind.INSPECTION_REPORT,
        _is_inspection_report,
        inspections.fill_inspection_report,
    ),
    Format(
        "traceability-commercial-invoice",
        "W3C CCG traceability CommercialInvoiceCredential",
        Kind.INVOICE,
        _typed("CommercialInvoiceCredential"),
        traceability.fill_invoice,
    ),
)
NAMES = {OWN: 'Provenport document {"kind": …, "document": {…}}', **{known.code: known.name for known in FORMATS}}


_IMPORTED = {slug: kind for slug, kind in documents.KINDS.items() if kind in DEFAULTS}


def read_document(content: bytes, given: Mapping[str, str]) -> Reading:
    """Read a JSON document of any known format; raises HostileJson, UnknownFormat.

    ``given`` are fields that the merchant sets, by their dotted paths.
    """
    document = tradetrust.unsalted(strict_json.loads(content.removeprefix(BOM)))
    if not isinstance(document, dict):
        raise UnknownFormat("not-an-object", known="; ".join(NAMES.values()))
    if "kind" in document and "document" in document:
        return _own(document, given)
    for known in FORMATS:
        if known.fits(document):
            draft = Draft(known.kind, Source(document))
            known.fill(draft)
            return draft.finish(known.code, given)
    seen = ", ".join(sorted(traceability.types_of(document)) or list(document)[:6]) or "{}"
    raise UnknownFormat("unknown-document", seen=seen, known="; ".join(NAMES.values()))


def _own(document: dict[str, Any], given: Mapping[str, str]) -> Reading:
    """Our own document, {"kind": ..., "document": {...}}: an unknown field in it is a fault, as everywhere here."""
    slug, fields = document["kind"], document["document"]
    kind = _IMPORTED.get(slug) if isinstance(slug, str) else None
    if kind is None or not isinstance(fields, dict):
        raise UnknownFormat("unknown-kind", seen=slug, known=", ".join(_IMPORTED))
    draft = Draft(kind, Source(document))
    draft.source.use("/kind")
    draft.source.use("/document")
    if kind is Kind.DECLARATION and "merchant" in fields:
        draft.note(Mark.EXCESS, "merchant-is-you", "/document/merchant")
        fields = {name: value for name, value in fields.items() if name != "merchant"}
    draft.take_all(fields, "/document")
    return draft.finish(OWN, given)
