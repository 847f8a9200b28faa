"""The known document formats, how each is recognised from its content, and how it is read."""

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from backend.domain import strict_json
from backend.domain.interop import envelope, inspections, secured, traceability, tradetrust
from backend.domain.interop.consignments import AS_IT_SEEMS, Table, TableStyle, read_consignments
from backend.domain.interop.draft import Draft
from backend.domain.interop.reading import (
    Note,
    Reading,
    Severity,
    Source,
    UnknownFormat,
)
from backend.domain.interop.secured import is_bare_jwt, is_compact, is_damaged_jwt
from backend.domain.kinds import BY_SLUG, KINDS, Kind
from backend.domain.schemas import published
from backend.domain.selective_disclosure import SdJwt

BOM = b"\xef\xbb\xbf"
OWN = "provenport"
OWN_CREDENTIAL = "provenport-credential"


@dataclass(frozen=True)
class Format:
    """A document format of others: its code and name, the kind that it becomes, how it is recognised and mapped."""

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
        "usmca-certification-of-origin",
        "W3C CCG traceability USMCACertificationOfOrigin",
        Kind.CERTIFICATE_OF_ORIGIN,
        _typed("USMCACertificationOfOrigin"),
        traceability.fill_usmca_certification,
    ),
    Format(
        "untp-conformity-credential",
        "UN/CEFACT UNTP DigitalConformityCredential",
        Kind.INSPECTION_REPORT,
        inspections.is_conformity_credential,
        inspections.fill_conformity_report,
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
NAMES = {
    OWN: 'Provenport document {"kind": …, "document": {…}}',
    OWN_CREDENTIAL: "Provenport record",
    **{known.code: known.name for known in FORMATS},
}


_IMPORTED = {kind.slug: kind for kind, stated in KINDS.items() if stated.without_import is None}


_NAMED = {
    f"{slug}{form.format(version)}": BY_SLUG[slug] for slug, version in published() for form in (":v{}", "/v{}.json")
}
_SCHEMA = re.compile(r"(?:urn:provenport:schema:|https?://.+/schemas/)([a-z-]+(?::v[0-9]+|/v[0-9]+\.json))")
"""Names of our schemas (``domain/schemas.py``), here or on another server."""


def read_document(content: bytes, given: Mapping[str, str]) -> Reading:
    """Read a JSON document of any known format, plain or in an SD-JWT.

    ``given`` are fields that the merchant sets, by their dotted paths.

    Raises:
        HostileJson: if it is not strict JSON.
        UnknownFormat: if the document is not known, or not in UTF-8.
        MalformedRecord: if an SD-JWT is damaged.
    """
    try:
        text = content.removeprefix(BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnknownFormat("json-not-utf-8") from error
    document = strict_json.loads(text)
    if secured.is_json_form(document):
        return _shown(secured.from_json(document), given)
    return _plain(document, given)


def _in_utf8(content: bytes) -> bytes:
    """Return a compact SD-JWT that a program saved in UTF-16, as Windows' shells do, in UTF-8; all else as it is."""
    if not content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return content
    try:
        text = content.decode("utf-16").encode("ascii")
    except UnicodeError:
        return content
    return text if is_document(text) and not is_json(text) else content


def read_compact(content: bytes, given: Mapping[str, str]) -> Reading:
    """Read the document in a compact SD-JWT.

    Raises:
        MalformedRecord: if it is damaged.
        UnknownFormat: if the document in it is not known.
    """
    return _shown(secured.from_compact(content.removeprefix(BOM)), given)


def _shown(credential: SdJwt, given: Mapping[str, str]) -> Reading:
    told = tuple(secured.notes_on(credential))
    document = secured.document_in(credential)
    reading = _plain(document, given, credential.claims)
    subject = traceability.SUBJECT if "credentialSubject" in document else ""
    is_partial = reading.format == OWN_CREDENTIAL and subject in credential.withheld
    notes = tuple(_perhaps_withheld(note) if is_partial else note for note in reading.notes)
    return replace(reading, notes=(*told, *notes))


def _perhaps_withheld(note: Note) -> Note:
    """Mark a field that our own form requires and a record does not show as most likely withheld."""
    return replace(note, code="lacking-withheld") if note.code == "lacking" else note


def _plain(document: Any, given: Mapping[str, str], claims: Mapping[str, Any] = MappingProxyType({})) -> Reading:
    document = tradetrust.unsalted(document)
    if not isinstance(document, dict):
        raise UnknownFormat("not-an-object", known="; ".join(NAMES.values()))
    if "kind" in document and "document" in document:
        return _own(document, given)
    for known in FORMATS:
        if known.fits(document):
            draft = Draft(known.kind, Source(document))
            known.fill(draft)
            envelope.take_envelope(draft, _base_of(document), claims)
            return draft.finish(known.code, given)
    kind = _kind_by_schema(document)
    if kind is not None:
        return _own_credential(kind, document, given, claims)
    seen = ", ".join(sorted(traceability.types_of(document)) or list(document)[:6]) or "{}"
    raise UnknownFormat("unknown-document", seen=seen, known="; ".join(NAMES.values()))


def _base_of(document: dict[str, Any]) -> str:
    """Where a document stands in its envelope: on top, in a wrapped document's data, or as a credential's subject."""
    base = tradetrust.base_of(document)
    return base if base is not None else traceability.SUBJECT if traceability.SUBJECT[1:] in document else ""


def _own(document: dict[str, Any], given: Mapping[str, str]) -> Reading:
    """Read our own form, {"kind": ..., "document": {...}}. An unknown field in it is a fault, as everywhere here."""
    slug, fields = document["kind"], document["document"]
    kind = _IMPORTED.get(slug) if isinstance(slug, str) else None
    if kind is None or not isinstance(fields, dict):
        raise UnknownFormat("unknown-kind", seen=slug, known=", ".join(_IMPORTED))
    draft = Draft(kind, Source(document))
    draft.source.use("/kind")
    _take_own(draft, fields, "/document")
    return draft.finish(OWN, given)


def _take_own(draft: Draft, fields: dict[str, Any], pointer: str) -> None:
    draft.source.use(pointer)
    if draft.kind is Kind.DECLARATION and "merchant" in fields:
        draft.note(Severity.UNUSED, "merchant-is-you", f"{pointer}/merchant")
        fields = {name: value for name, value in fields.items() if name != "merchant"}
    draft.take_all(fields, pointer)


def _kind_by_schema(document: dict[str, Any]) -> Kind | None:
    """Return the kind of a Provenport record, from this or another server, by the schema that it names."""
    schema = document.get("credentialSchema")
    name = schema.get("id") if isinstance(schema, dict) else None
    found = _SCHEMA.fullmatch(name) if isinstance(name, str) else None
    kind = _NAMED.get(found.group(1)) if found else None
    return kind if kind is not None and KINDS[kind].without_import is None else None


def _own_credential(
    kind: Kind, document: dict[str, Any], given: Mapping[str, str], claims: Mapping[str, Any]
) -> Reading:
    """Read a record: our fields are the credential's subject, or at the top level in an SD-JWT VC."""
    draft = Draft(kind, Source(document))
    traceability.heed_issuer(draft)
    subject = document.get("credentialSubject")
    if isinstance(subject, dict):
        _take_own(draft, {name: value for name, value in subject.items() if name != "id"}, traceability.SUBJECT)
        envelope.take_envelope(draft, "", claims)
    else:
        around = ("@context", "type", "credentialSchema", "issuer")
        _take_own(draft, {name: value for name, value in document.items() if name not in around}, "")
    return draft.finish(OWN_CREDENTIAL, given)


LARGEST = 20_000_000
"""Maximum size of a file in bytes."""

_NOT_TEXT = {
    b"PK\x03\x04": "spreadsheet",
    b"\xd0\xcf\x11\xe0": "spreadsheet",
    b"%PDF": "pdf",
    b"<": "xml",
    **dict.fromkeys((b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zX", b"\x28\xb5\x2f\xfd"), "packed"),
}


def is_json(content: bytes) -> bool:
    """Tell whether a file looks like JSON."""
    return content.removeprefix(BOM).lstrip()[:1] in (b"{", b"[")


def is_document(content: bytes) -> bool:
    """Tell whether a file looks like a document rather than a table."""
    bare = content.removeprefix(BOM)
    return is_json(content) or is_compact(bare) or is_bare_jwt(bare) or is_damaged_jwt(bare)


def read_file(content: bytes, given: Mapping[str, str], style: TableStyle = AS_IT_SEEMS) -> Reading | Table:
    """Read a document or a table.

    ``given`` are fields that complete a document, by their dotted paths; ``style`` is how tables are written.

    Raises:
        UnknownFormat: if the file is too large, empty, or of no known format.
        HostileJson: if it is not strict JSON.
        MalformedRecord: if an SD-JWT is damaged.
    """
    content = _in_utf8(content)
    start = content.removeprefix(BOM).lstrip()[:4]
    if len(content) > LARGEST:
        raise UnknownFormat("too-large", most=LARGEST)
    if not start:
        raise UnknownFormat("empty")
    for beginning, what in _NOT_TEXT.items():
        if start.startswith(beginning):
            raise UnknownFormat(what)
    if is_json(content):
        # UTF-16 and UTF-32 write a bracket with zero bytes beside it.
        if b"\0" in start:
            raise UnknownFormat("json-not-utf-8")
        return read_document(content, given)
    return read_compact(content, given) if is_document(content) else read_consignments(content, style)
