"""Making a signed record: the one way in which a document comes onto file, whoever issues it."""

import base64
import secrets
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

from backend.domain import documents, schemas, sd_jwt
from backend.domain.batch import quantity_steps
from backend.domain.errors import Conflict, Invalid, NotAllowed
from backend.domain.fields import Document
from backend.domain.kinds import KINDS, Kind, Signing
from backend.domain.kinds.certificate_of_origin import CertificateOfOrigin
from backend.domain.outbox import StatusChange
from backend.domain.parties import Organisation, Role, SigningKey
from backend.domain.records import Assurance, Product, RecordOnFile, plain_number
from backend.domain.statuses import DOCUMENT_EDGES, OFFICE_EDGES, WITHDRAWAL_EDGES, DeclarationStatus, DocumentStatus
from backend.services.admission_control import check_room
from backend.services.ports import AppContext
from backend.store.unit_of_work import UnitOfWork

CONTEXTS = ["https://www.w3.org/ns/credentials/v2", "https://www.w3.org/ns/credentials/undefined-terms/v2"]
"""The second one gives every term of ours a meaning of its own (VC Data Model 2.0, B.2.3)."""


def record(
    ctx: AppContext,
    work: UnitOfWork,
    kind: Kind,
    document: Document,
    issuer: Organisation,
    holder: Organisation,
    assurance: Assurance = Assurance.ISSUED,
    product: Product | None = None,
    supersedes: RecordOnFile | None = None,
) -> RecordOnFile:
    """Sign a document with the issuer's key and put it on file, inside the caller's unit of work.

    Raises:
        NotAllowed: The issuer's role does not sign records of this kind, or makes no statements of it.
    """
    _check_signer(kind, issuer, assurance)
    check_room(ctx, work, issuer)
    fields = documents.fields_of(document)
    _check_attachments(work, fields, issuer, supersedes)
    number = _free_number(work, kind, fields, issuer, assurance)
    now = ctx.now()
    record_id = str(UUID(bytes=ctx.random(16), version=4))
    until = _valid_until(document)
    key = usable_key(work, issuer)
    starts = max(now, key.usable_from or now)
    claims: dict[str, Any] = {
        "@context": CONTEXTS,
        "id": f"urn:uuid:{record_id}",
        "type": ["VerifiableCredential", KINDS[kind].credential_type],
        # RFC 9278 names a key by its thumbprint in a URI.
        "issuer": {
            "id": f"urn:ietf:params:oauth:jwk-thumbprint:sha-256:{sd_jwt.b64(bytes.fromhex(key.thumbprint))}",
            "name": issuer.name,
        },
        "validFrom": starts.astimezone(UTC).isoformat(timespec="seconds"),
        "assurance": assurance.value,
        "credentialSchema": {"id": schemas.address(kind, ctx.public_url), "type": "JsonSchema"},
    }
    if until is not None:
        claims["validUntil"] = until.isoformat(timespec="seconds")
    if supersedes is not None:
        claims["supersedes"] = supersedes.digest
    signed = sd_jwt.issue(
        claims,
        fields,
        key.public_jwk,
        lambda signing_input: _signature(ctx, key, signing_input),
        lambda: ctx.random(32),
    )
    quantity = documents.quantity_of(document)
    on_file = RecordOnFile(
        id=record_id,
        kind=kind,
        assurance=assurance,
        issuer=issuer,
        holder=holder,
        signed_jwt=signed.signed_jwt,
        disclosures=list(signed.disclosures),
        quantity=0 if quantity is None else quantity_steps(quantity),
        digest=sha256(signed.signed_jwt.encode("ascii")).hexdigest(),
        issued_at=now,
        recorded_at=now,
        label_code=_label_code(ctx.random(16)),
        number=number,
        valid_until=until,
        product=product,
        supersedes_id=supersedes.id if supersedes else None,
    )
    work.add(on_file)
    if supersedes is not None:
        _supersede(ctx, work, supersedes, on_file)
    return on_file


def _check_signer(kind: Kind, signer: Organisation, assurance: Assurance) -> None:
    """The one place that every record passes: who may sign a kind is stated with the kind, and nowhere inferred."""
    stated = KINDS[kind]
    if assurance is Assurance.STATED:
        allowed = signer.role is Role.MERCHANT and stated.signing is Signing.CERTIFIED
    else:
        allowed = signer.role in stated.signed_by
    if not allowed:
        raise NotAllowed("{name} does not sign {kind} records", kind=kind.slug, name=signer.name)


def usable_key(work: UnitOfWork, issuer: Organisation) -> SigningKey:
    """The key that an organisation signs with now; raises Conflict while there is none to sign with."""
    key = work.keys.active(issuer)
    if not key.is_active:
        raise Conflict("the signing key was withdrawn: the authority gives this organisation a new one")
    if key.successor is not None:
        raise Conflict("the signing key is being replaced: try again in a few seconds")
    return key


def _signature(ctx: AppContext, key: SigningKey, signing_input: bytes) -> bytes:
    if key.sealed_private is None:
        return ctx.outside(key, signing_input)
    return ctx.vault.sign(key.sealed_private, signing_input)


def _supersede(ctx: AppContext, work: UnitOfWork, old: RecordOnFile, new: RecordOnFile) -> None:
    if old.superseded_by_id is not None:
        raise Conflict("this record was replaced already", by=old.superseded_by_id)
    old.superseded_by_id = new.id
    change_status(ctx, work, old, DocumentStatus.SUPERSEDED, "replaced by a newer record")


def change_status(
    ctx: AppContext, work: UnitOfWork, on_file: RecordOnFile, status: int, reason: str, signer: str = "anchorer"
) -> None:
    """Give a record a new status here, and queue it for the ledger, where only a salted digest of the reason goes.

    Raises Conflict where the ledger would refuse the edge.
    """
    _check_edge(on_file, int(status))
    on_file.status, on_file.status_reason = int(status), reason
    work.add(StatusChange(str(uuid4()), on_file.id, int(status), signer, reason, secrets.token_bytes(32), ctx.now()))


def _check_edge(on_file: RecordOnFile, status: int) -> None:
    if on_file.kind is Kind.DECLARATION:
        step = DeclarationStatus(on_file.status), DeclarationStatus(status)
        allowed = step in OFFICE_EDGES or step in WITHDRAWAL_EDGES
    else:
        allowed = (DocumentStatus(on_file.status), DocumentStatus(status)) in DOCUMENT_EDGES
    if not allowed:
        raise Conflict("this record's status does not allow it", status=on_file.status, wanted=status)


def _free_number(
    work: UnitOfWork, kind: Kind, fields: dict[str, Any], issuer: Organisation, assurance: Assurance
) -> str | None:
    if KINDS[kind].signing is Signing.LODGED:
        return None  # the consignment keeps a declaration's number
    name = KINDS[kind].number_field
    number = fields.get(name)
    if not number and assurance is Assurance.ISSUED:
        raise Invalid("an issued document needs its number", [(name, "is missing")])
    if number is None:
        return None
    if assurance is Assurance.ISSUED and work.records.number_is_taken(issuer, kind, number):
        raise Conflict("{name} has issued number {number} before", number=number, name=issuer.name)
    return plain_number(number)


def _check_attachments(
    work: UnitOfWork, fields: dict[str, Any], signer: Organisation, supersedes: RecordOnFile | None
) -> None:
    """A signer binds files that it uploaded itself, or that the record before bound: a digest alone gives no right."""
    handed_on = {a["sha256"]: a["size"] for a in supersedes.fields.get("attachments", [])} if supersedes else {}
    for place, attachment in enumerate(fields.get("attachments", [])):
        own = work.files.find(attachment["sha256"], signer)
        size = own.size if own else handed_on.get(attachment["sha256"])
        if size != attachment["size"]:
            raise Invalid(
                "an attachment was not uploaded",
                [(f"attachments.{place}.sha256", "names no uploaded file of this size: upload it first")],
            )


def _valid_until(document: Document) -> datetime | None:
    if isinstance(document, CertificateOfOrigin) and document.valid_until is not None:
        if document.valid_until == date.max:  # "for ever": there is no next day
            return datetime.max.replace(microsecond=0, tzinfo=UTC)
        return datetime.combine(document.valid_until + timedelta(days=1), time.min, UTC)
    return None


def _label_code(drawn: bytes) -> str:
    """128 random bits in letters that survive a printer and a telephone (RFC 4648 base32)."""
    return base64.b32encode(drawn).decode().rstrip("=").lower()
