"""Signing and filing records: every record, of any kind and issuer, comes onto file through this module.

Signing takes two steps, since an organisation may keep its key itself. ``draft`` builds what is to be signed, ``file``
stores it with the signature. Where the key is kept here, ``sign_and_file`` does the second step at once. Who may read
a record that is on file is decided here too (``visible_record``).
"""

import base64
import secrets
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

from backend.domain import sd_jwt
from backend.domain.errors import (
    Conflict,
    ForeignLedger,
    Invalid,
    LedgerBehind,
    LedgerUnavailable,
    Message,
    NotAllowed,
    NotFound,
    TooMuchWaiting,
)
from backend.domain.evidence import ANCHORER_CLAIM, NamedAnchorer, quantity_steps
from backend.domain.fields import Document
from backend.domain.kinds import ISSUERS, KINDS, Kind, Signing
from backend.domain.kinds.certificate_of_origin import CertificateOfOrigin, with_term
from backend.domain.ledger import (
    DOCUMENT_EDGES,
    OFFICE_EDGES,
    WITHDRAWAL_EDGES,
    AnchoredBatch,
    DeclarationStatus,
    DocumentStatus,
)
from backend.domain.outbox import EndedPlace, RevocationNotice
from backend.domain.parties import Organisation, Person, Role, SigningKey
from backend.domain.records import (
    Assurance,
    Product,
    RecordOnFile,
    StatusChange,
    dates_ahead,
    fields_of,
    plain_number,
    quantity_of,
)
from backend.services.accreditation import SignerTerms, require_covered, signer_terms
from backend.services.drawdowns import ledger_record
from backend.services.ports import AdmissionLimits, AppContext, Ledger, rerunnable
from backend.store.unit_of_work import UnitOfWork

CONTEXTS = ["https://www.w3.org/ns/credentials/v2", "https://www.w3.org/ns/credentials/undefined-terms/v2"]
"""The second context covers terms that the first does not define (VC Data Model 2.0, B.2.3)."""


DATED_AHEAD = Message("lies in the future: state the day on which it happened")


@dataclass(frozen=True)
class DraftInputs:
    """What goes into a draft besides its arguments. The same inputs give the same draft, byte for byte."""

    moment: datetime
    random_bytes: Callable[[int], bytes]
    terms: SignerTerms | None = None
    """The signer's terms, read before the writing unit of work if possible, as the ledger may be slow."""
    schema_version: int | None = None
    """The version of the kind's schema, where a text was drawn up under an earlier one: it names that one still."""
    anchorer: NamedAnchorer | None = None
    """Who may anchor the record, which it says itself. None where the ledger could never be asked."""

    @classmethod
    def fresh(cls, ctx: AppContext, signer: Organisation | None = None) -> "DraftInputs":
        """Return the present moment, fresh random bytes, our anchorer, and the terms of the signer if one is given."""
        terms = signer_terms(ctx, signer) if signer is not None else None
        anchorer = (terms and terms.anchorer) or own_anchorer(ctx)
        return cls(ctx.now(), _random_source(), terms, anchorer=anchorer)


def own_anchorer(ctx: AppContext) -> NamedAnchorer | None:
    """Return who anchors for this installation, as records name it; None where the ledger could never be asked."""
    try:
        return ctx.ledger.named_anchorer()
    except (LedgerUnavailable, ForeignLedger):
        return None


def _random_source() -> Callable[[int], bytes]:
    """Return a source of random bytes that asks the system for many at a time: a record needs a salt a field.

    It gives no byte twice, and is not to be shared between threads.
    """
    ready = b""
    used = 0

    def take(count: int) -> bytes:
        nonlocal ready, used
        if used + count > len(ready):
            ready, used = secrets.token_bytes(max(count, _RANDOM_AT_ONCE)), 0
        used += count
        return ready[used - count : used]

    return take


_RANDOM_AT_ONCE = 1024
REPLACED = "replaced by a newer record"
"""The reason of a superseded record for which its issuer gave none."""


@dataclass(frozen=True)
class UnsignedRecord:
    """A record that lacks only its signature. Nothing of it is stored yet.

    ``on_filed`` is what the use case does once the record is on file, in the same unit of work.
    """

    id: str
    kind: Kind
    document: Document
    issuer: Organisation
    holder: Organisation
    assurance: Assurance
    key: SigningKey
    unsigned: sd_jwt.Unsigned
    drafted_at: datetime
    label_code: str
    number: str | None
    product: Product | None
    supersedes: RecordOnFile | None
    on_filed: Callable[[RecordOnFile], None] = lambda on_file: None
    reason: str = REPLACED
    """Why it supersedes another record."""

    @property
    def signing_input(self) -> bytes:
        """The bytes that the key signs."""
        return self.unsigned.signing_input


def draft(
    ctx: AppContext,
    work: UnitOfWork,
    inputs: DraftInputs,
    kind: Kind,
    document: Document,
    issuer: Organisation,
    holder: Organisation,
    assurance: Assurance = Assurance.ISSUED,
    product: Product | None = None,
    supersedes: RecordOnFile | None = None,
) -> UnsignedRecord:
    """Build a record up to its signature. Reads from the unit of work and stores nothing.

    Raises:
        NotAllowed: The issuer's role does not sign records of this kind, or makes no statements of it.
        Conflict: The number is taken, the record was replaced already, or the key is being replaced or was withdrawn.
        Invalid: The number is missing, an attachment was not uploaded, or a date of the past lies in the future.
        OutsideAccreditation: The ledger does not accredit the issuer for it.
        TooMuchWaiting: No more records are taken in at the moment.
    """
    _check_signer(kind, issuer, assurance)
    check_capacity(ctx, work, issuer)
    if assurance is Assurance.ISSUED and inputs.schema_version is None:
        document = with_term(document)
    fields = fields_of(document)
    check_dates(kind, fields, inputs.moment)
    check_attachments(work, fields, issuer, supersedes)
    number = free_number(work, kind, fields, issuer, assurance)
    if supersedes is not None and supersedes.superseded_by_id is not None:
        raise Conflict("this record was replaced already", by=supersedes.superseded_by_id)
    # Made from the inputs' random bytes, since a draft for signing outside must come out the same a second time.
    record_id = str(UUID(bytes=inputs.random_bytes(16), version=4))
    key = usable_key(work, issuer)
    # A new key counts from the time of its block, which may lie a moment ahead of our clock: an earlier date would be
    # INVALID.
    starts = max(inputs.moment, key.usable_from or inputs.moment)
    if assurance is Assurance.ISSUED:
        asked = inputs.terms
        terms = asked if asked is not None and asked.thumbprint == key.thumbprint else signer_terms(ctx, issuer)
        require_covered(ctx, work, terms, issuer, kind, fields, starts)
    claims = _claims(ctx, record_id, kind, document, key, starts, assurance, inputs.schema_version)
    if inputs.anchorer is not None:
        claims[ANCHORER_CLAIM] = inputs.anchorer.as_claim()
    if supersedes is not None:
        claims["supersedes"] = supersedes.digest
    unsigned = sd_jwt.draft(claims, fields, key.public_jwk, lambda: inputs.random_bytes(32))
    return UnsignedRecord(
        record_id,
        kind,
        document,
        issuer,
        holder,
        assurance,
        key,
        unsigned,
        inputs.moment,
        _label_code(inputs.random_bytes(16)),
        number,
        product,
        supersedes,
    )


def _claims(
    ctx: AppContext,
    record_id: str,
    kind: Kind,
    document: Document,
    key: SigningKey,
    starts: datetime,
    assurance: Assurance,
    schema_version: int | None,
) -> dict[str, Any]:
    # Texts that wait for a signature made outside are made anew at the signature: the order of the claims stays.
    claims: dict[str, Any] = {
        "@context": CONTEXTS,
        "id": f"urn:uuid:{record_id}",
        "type": ["VerifiableCredential", KINDS[kind].credential_type],
        # RFC 9278 names a key by its thumbprint in a URI.
        "issuer": {
            "id": f"urn:ietf:params:oauth:jwk-thumbprint:sha-256:{sd_jwt.b64(bytes.fromhex(key.thumbprint))}",
            "name": key.organisation.name,
        },
        "validFrom": starts.astimezone(UTC).isoformat(timespec="seconds"),
        "assurance": assurance.value,
        "credentialSchema": {
            "id": KINDS[kind].schema_id(ctx.settings.public_url, schema_version),
            "type": "JsonSchema",
        },
    }
    until = _valid_until(document)
    if until is not None:
        claims["validUntil"] = until.isoformat(timespec="seconds")
    return claims


def sign_and_file(ctx: AppContext, work: UnitOfWork, draft: UnsignedRecord) -> RecordOnFile:
    """Sign a draft with the issuer's key and put it on file.

    Raises:
        Conflict: The issuer keeps its key itself.
    """
    if draft.key.encrypted_private is None:
        raise Conflict("this organisation keeps its key itself: prepare the act, sign it, hand the signature in")
    return file(ctx, work, draft, ctx.keys.vault.sign(draft.key.encrypted_private, draft.signing_input))


def file(ctx: AppContext, work: UnitOfWork, draft: UnsignedRecord, signature: bytes) -> RecordOnFile:
    """Store a draft with its signature, in the caller's unit of work, and mark the record that it supersedes.

    Raises:
        Conflict: The superseded record's status does not allow it.
    """
    signed = draft.unsigned.signed(signature)
    quantity = quantity_of(draft.document)
    on_file = work.new_record(
        id=draft.id,
        kind=draft.kind,
        assurance=draft.assurance,
        issuer=draft.issuer,
        holder=draft.holder,
        signed_jwt=signed.signed_jwt,
        disclosures=list(signed.disclosures),
        quantity=0 if quantity is None else quantity_steps(quantity),
        digest=sha256(signed.signed_jwt.encode("ascii")).hexdigest(),
        issued_at=draft.drafted_at,
        recorded_at=ctx.now(),
        label_code=draft.label_code,
        number=draft.number,
        valid_until=_valid_until(draft.document),
        product=draft.product,
        supersedes_id=draft.supersedes.id if draft.supersedes else None,
    )
    on_file.keep_read(signed)
    work.add(on_file)
    if draft.supersedes is not None:
        # Of two that replace one record at the same moment the second is refused here.
        work.records.next_version(draft.supersedes)
        draft.supersedes.superseded_by_id = on_file.id
        change_status(ctx, work, draft.supersedes, DocumentStatus.SUPERSEDED, draft.reason)
    draft.on_filed(on_file)
    return on_file


def _check_signer(kind: Kind, signer: Organisation, assurance: Assurance) -> None:
    """Refuse a signer whom the kind does not name. Every record passes here, and nothing else decides who may sign."""
    stated = KINDS[kind]
    if assurance is Assurance.STATED:
        allowed = signer.role is Role.MERCHANT and stated.signing is Signing.CERTIFIED
    else:
        allowed = signer.role in stated.signed_by
    if not allowed:
        raise NotAllowed("{name} does not sign {kind} records", kind=kind.slug, name=signer.in_sentences)


@rerunnable
def sign_once(
    ctx: AppContext,
    drafted: Callable[[UnitOfWork, DraftInputs], UnsignedRecord],
    *,
    signer: Organisation | None = None,
) -> RecordOnFile:
    """Draft a record, sign it with the key kept here and put it on file.

    ``signer`` is the organisation whose accreditation is read first. Statements need none, so it is None for them.

    Raises:
        Conflict: The issuer keeps its key itself. ``drafted`` may raise more, see ``draft``.
    """
    inputs = DraftInputs.fresh(ctx, signer)  # nobody waits for the ledger while the database is locked for writing
    with ctx.work() as work:
        on_file = sign_and_file(ctx, work, drafted(work, inputs))
        work.commit()
    ctx.wake_anchoring()
    return on_file


def usable_key(work: UnitOfWork, issuer: Organisation) -> SigningKey:
    """Return the key that an organisation signs with now.

    Raises:
        Conflict: The key was withdrawn, or is being replaced (decision 0009).
    """
    key = work.keys.active(issuer)
    if not key.is_active:
        raise Conflict("the signing key was withdrawn: the authority gives this organisation a new one")
    if key.successor is not None:
        raise Conflict("the signing key is being replaced: try again in a few seconds")
    return key


def change_status(
    ctx: AppContext,
    work: UnitOfWork,
    on_file: RecordOnFile,
    status: int,
    reason: str,
    signer: str = "anchorer",
) -> StatusChange:
    """Set a record's status here and queue the change for the ledger, with a salted digest of the reason only.

    The caller must have advanced the version of the record, or of its consignment, so that no two units of work change
    the same status.

    Raises:
        Conflict: The ledger would refuse this change.
    """
    _check_edge(on_file, int(status))
    on_file.status, on_file.status_reason = int(status), reason
    # The salt keeps short reasons from being guessed from their digest on the public ledger.
    change = StatusChange(str(uuid4()), on_file.id, int(status), signer, reason, secrets.token_bytes(32), ctx.now())
    work.add(change)
    if status in ENDED and on_file.kind is not Kind.DECLARATION:
        request_publication(ctx, work, on_file)
    return change


ENDED = (DocumentStatus.REVOKED, DocumentStatus.SUPERSEDED)
"""Statuses of a document that nothing leads on from."""


def request_publication(ctx: AppContext, work: UnitOfWork, on_file: RecordOnFile) -> None:
    """Let the end of a document be published on the ledger for the record itself, wherever else it is anchored."""
    # A merchant's own statement counts for nothing until it is confirmed, so a copy of it is no danger.
    if on_file.assurance is not Assurance.ISSUED:
        return
    notice = work.revocations.find_of_record(on_file.id)
    if notice is None:
        work.add(RevocationNotice(str(uuid4()), ctx.now(), on_file.id))
    else:
        notice.settled = None


def is_published(ledger: Ledger, leaf: bytes, batch: AnchoredBatch) -> bool:
    """Tell whether the end of a document is published from its batch, or from an earlier one of the same anchorer."""
    own, of_any = ledger.revocation(leaf, batch.anchorer), ledger.revocation(leaf)
    if own is not None:
        return own.covers(batch.anchored_at)
    # Contracts of the version before keep the earliest of all alone, which may be that of somebody's copy.
    return of_any is not None and of_any.since == batch.anchored_at


def ended_place(ledger: Ledger, work: UnitOfWork, notice: RevocationNotice) -> EndedPlace | None:
    """Return where a document has ended whose end is to be published, or None while it is in no batch.

    Raises:
        ValueError, OverflowError: What is stored of a record of ours was damaged.
    """
    if notice.record_id is None:
        return notice.place
    record = work.records.get(notice.record_id)
    located = ledger_record(ledger, record)
    if located is None:
        return None
    return EndedPlace(located.batch_key, located.leaf_index, record.entry.encode(), record.path)


def _check_edge(on_file: RecordOnFile, status: int) -> None:
    if on_file.kind is Kind.DECLARATION:
        step = DeclarationStatus(on_file.status), DeclarationStatus(status)
        allowed = step in OFFICE_EDGES or step in WITHDRAWAL_EDGES
    else:
        allowed = (DocumentStatus(on_file.status), DocumentStatus(status)) in DOCUMENT_EDGES
    if not allowed:
        raise Conflict("this record's status does not allow it", status=on_file.status, wanted=status)


def free_number(
    work: UnitOfWork, kind: Kind, fields: dict[str, Any], issuer: Organisation, assurance: Assurance
) -> str | None:
    """Return the number in a document as numbers are compared, or None where it has none and needs none.

    Raises:
        Invalid: An issued document lacks it.
        Conflict: The issuer gave it before.
    """
    if KINDS[kind].signing is Signing.LODGED:
        return None  # the consignment keeps a declaration's number
    name = KINDS[kind].number_field
    number = fields.get(name)
    if not number and assurance is Assurance.ISSUED:
        raise Invalid("an issued document needs its number", [(name, "is missing")])
    # A statement's number is the merchant's; the issuer gives its own on confirming, and only that one must be new.
    if number is None:
        return None
    if assurance is Assurance.ISSUED and work.records.number_is_taken(issuer, kind, number):
        raise number_taken(issuer, number)
    return plain_number(number)


def number_taken(issuer: Organisation, number: str) -> Conflict:
    """Return the refusal of a number that the issuer has given to another record of the kind."""
    return Conflict("{name} has issued number {number} before", number=number, name=issuer.in_sentences)


def check_dates(kind: Kind, fields: dict[str, Any], moment: datetime) -> None:
    """Refuse a date of the past that lies in the future; raises Invalid."""
    if ahead := dates_ahead(kind, fields, moment):
        raise Invalid("it is dated in the future", [(name, DATED_AHEAD) for name, _ in ahead])


def check_attachments(
    work: UnitOfWork, fields: dict[str, Any], signer: Organisation, supersedes: RecordOnFile | None
) -> None:
    """Refuse attachments that the signer did not upload and the superseded record did not bind.

    Knowing a file's digest alone must not give access to somebody else's file.

    Raises:
        Invalid: One of them is such.
    """
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
        # The last day of validity counts in full, so the record ends with the start of the next one.
        return datetime.combine(document.valid_until + timedelta(days=1), time.min, UTC)
    return None


def _label_code(drawn: bytes) -> str:
    """Encode 128 random bits in letters that can be printed and read out (RFC 4648 base32)."""
    return base64.b32encode(drawn).decode().rstrip("=").lower()


RETRY_SECONDS = 60


def check_intake(ctx: AppContext, work: UnitOfWork) -> int:
    """Return how many records wait for the ledger.

    Raises:
        TooMuchWaiting: So many wait, or so little disk is free, that nobody's records are taken in.
        LedgerBehind: One has waited so long that nobody's records are taken in.
    """
    limits = ctx.settings.admission
    _check_disk(limits)
    _check_age(ctx, work, limits)
    waiting = work.batches.count_waiting()
    if waiting >= limits.most_waiting:
        raise TooMuchWaiting("{waiting} records wait for the ledger", RETRY_SECONDS, waiting=waiting)
    return waiting


def _check_disk(limits: AdmissionLimits) -> None:
    if limits.least_free_bytes and limits.free_bytes() < limits.least_free_bytes:
        raise TooMuchWaiting("little room is left on the disk; the operator must make room", RETRY_SECONDS)


def _check_age(ctx: AppContext, work: UnitOfWork, limits: AdmissionLimits) -> None:
    if not limits.longest_wait:
        return
    now = ctx.now()
    oldest = limits.headroom.oldest(now, limits.longest_wait, work.batches.oldest_unanchored)
    if oldest is not None and now - oldest > limits.longest_wait:
        minutes = int((now - oldest).total_seconds() // 60)
        raise LedgerBehind("a record has waited {minutes} minutes for the ledger", RETRY_SECONDS, minutes=minutes)


def check_capacity(ctx: AppContext, work: UnitOfWork, issuer: Organisation) -> None:
    """Refuse a new record of this issuer where no more is to be taken in.

    One issuer alone may fill half of the queue only, so that it cannot keep the others out.

    Raises:
        TooMuchWaiting: The queue or the disk is full, or the issuer has filled its half.
        LedgerBehind: A record has waited too long for the ledger.
    """
    limits = ctx.settings.admission
    _check_disk(limits)
    _check_age(ctx, work, limits)
    # Counting the waiting records at every submission is slow: a count lets as many pass as were free when it was made.
    if limits.headroom.take():
        return
    waiting = check_intake(ctx, work)
    if waiting < limits.most_waiting // 2:
        limits.headroom.found(limits.most_waiting // 2 - waiting)
        return
    own = work.batches.count_waiting(issuer)
    if own >= limits.most_waiting // 2:
        raise TooMuchWaiting(
            "{waiting} records of {name} wait for the ledger", RETRY_SECONDS, waiting=own, name=issuer.in_sentences
        )


MISSING_AT_ONCE = 100


def enter_missing(ctx: AppContext) -> Iterator[int]:
    """Make records found by their words that an earlier version stored: a portion a step, which yields how many."""
    beyond: str | None = ""
    while beyond is not None:
        count, beyond = _enter_some(ctx, beyond)
        yield count


@rerunnable
def _enter_some(ctx: AppContext, beyond: str) -> tuple[int, str | None]:
    with ctx.work(reading=True) as work:
        if not work.search.missing(beyond, 1):
            return 0, None
    with ctx.work() as work:
        missing = work.search.missing(beyond, MISSING_AT_ONCE)
        work.search.enter(missing)
        work.commit()
    return len(missing), missing[-1].id if missing else None


def visible_record(ctx: AppContext, work: UnitOfWork, person: Person, record_id: str) -> RecordOnFile:
    """Return a record if this person may read it.

    Merchants read what they hold or signed, issuers what they signed or were asked to confirm, officers declarations to
    an office that they act for, and what these rely on. The authority accredits keys and reads no records.

    Raises:
        NotFound: There is no such record, or this person may not read it. Both look the same, so that nobody can find
            out which ids exist.
    """
    on_file = work.records.get(record_id)
    if not _may_read(ctx, work, person, on_file):
        raise NotFound("no such record", id=record_id)
    return on_file


def _may_read(ctx: AppContext, work: UnitOfWork, person: Person, on_file: RecordOnFile) -> bool:
    own = person.organisation.id
    match person.role:
        case Role.MERCHANT:
            return own in (on_file.holder.id, on_file.issuer.id)
        case role if role in ISSUERS:
            return on_file.issuer.id == own or _was_asked(work, own, on_file)
        case Role.OFFICER:
            served = work.customs_offices.jurisdiction(person.organisation, ctx.now())
            if on_file.kind is Kind.DECLARATION:
                return work.consignments.office_of(on_file.id) in served
            return _is_relied_on(work, on_file, served)
        case _:
            return False


def _was_asked(work: UnitOfWork, issuer_id: str, on_file: RecordOnFile) -> bool:
    request = work.requests.find_about(on_file.id)
    return request is not None and request.issuer.id == issuer_id


def _is_relied_on(work: UnitOfWork, on_file: RecordOnFile, offices: Collection[str]) -> bool:
    """Tell whether a declaration to one of these offices names this record, or an earlier one that it replaced."""
    # A chain of replacements that leads back to itself, in a damaged database, must not loop for ever.
    seen: set[str] = set()
    while on_file.id not in seen:
        if work.consignments.is_named(on_file.id, offices=offices):
            return True
        seen.add(on_file.id)
        if on_file.supersedes_id is not None:
            on_file = work.records.get(on_file.supersedes_id)
    return False
