"""Records: what was signed, for whom, and where each is on its way to the ledger.

The fields of each kind are defined in ``backend.domain.kinds``. Reading and writing them is here, in one place for
forms, API and files.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import Any

from pydantic import BaseModel, ValidationError

from backend.domain import sd_jwt, strict_json
from backend.domain.errors import Conflict, Invalid
from backend.domain.evidence import Entry, InclusionProof, Segments
from backend.domain.fields import AS_SIGNED, Document, problems_of
from backend.domain.kinds import KINDS, Kind
from backend.domain.kinds.certificate_of_origin import CertificateOfOrigin
from backend.domain.ledger import DeclarationStatus, DocumentStatus
from backend.domain.outbox import OutboundTransaction, TransactionState
from backend.domain.parties import Organisation
from backend.domain.sd_jwt import Record as SignedText

_SCHEMA_VERSION = re.compile(r"\bv([0-9]{1,3})(?:\.json)?$")
"""The version at the end of a schema's name (``RecordKind.schema_id``)."""


def document_of(kind: Kind, fields: Any) -> Document:
    """Return the document that these fields state.

    Raises:
        Invalid: with every fault and its place.
    """
    try:
        return KINDS[kind].model.model_validate(fields)
    except ValidationError as error:
        raise Invalid("not a valid {kind}", problems_of(error), kind=kind.slug) from error


def document_as_signed(kind: Kind, fields: Any) -> Document:
    """Return the document that signed fields state; changes of code lists since do not make it invalid.

    Raises:
        Invalid: with every fault and its place.
    """
    try:
        return KINDS[kind].model.model_validate(fields, context=AS_SIGNED)
    except ValidationError as error:
        raise Invalid("not a valid {kind}", problems_of(error), kind=kind.slug) from error


def document_of_record(kind: Kind, record: sd_jwt.Record) -> Document:
    """Return the document of a signed record. It is parsed once per record and kind.

    Raises:
        Invalid: with every fault and its place.
    """
    # Past the dataclass, which is frozen; what is cached follows from its fields alone.
    read: dict[Kind, Document] = record.__dict__.setdefault("_documents", {})
    if kind not in read:
        read[kind] = document_as_signed(kind, dict(record.subject))
    return read[kind]


def faults_of_record(kind: Kind, record: sd_jwt.Record) -> list[tuple[str, str]]:
    """Return (where, what) for each fault of a signed record against the form of its kind."""
    found = _found_in_form(kind, record.text_digest)
    if not found:
        try:
            document_of_record(kind, record)
        except Invalid as error:
            return error.problems
        found.append(True)
    return []


@lru_cache(maxsize=16_384)
def _found_in_form(kind: Kind, text_digest: bytes) -> list[bool]:
    """Return what is known of a kind and the text with this digest: nothing, or that it has no fault of form.

    As with ``sd_jwt.parse``, only digests are kept.
    """
    return []


def order_of(kind: Kind, fields: Any) -> Document:
    """Return the order by which a merchant asks for a record of this kind.

    Raises:
        Invalid: with every fault and its place; or records of this kind are not ordered.
    """
    certification = KINDS[kind].certification
    if certification is None or certification.order is None:
        raise Invalid(
            "this kind of record is not ordered", [("kind", "is stated by the merchant, not ordered from an issuer")]
        )
    try:
        return certification.order.model_validate(fields)
    except ValidationError as error:
        raise Invalid("not a valid {kind}", problems_of(error), kind=kind.slug) from error


def fields_of(document: BaseModel) -> dict[str, Any]:
    """Return the document's fields by their JSON names, without empty ones, as they are signed."""
    return document.model_dump(mode="json", by_alias=True, exclude_none=True)


def content_of(kind: Kind, fields: Mapping[str, Any]) -> str:
    """Return a text that is equal for equal documents."""
    return f"{kind.slug} {json.dumps(fields, sort_keys=True, ensure_ascii=False)}"


@dataclass(frozen=True)
class FieldChange:
    """A field that two versions of a document state differently. A side that lacks it is None.

    ``path`` is the place of the field by its JSON names, such as ``exporter.name`` or ``results.0.value``.
    """

    path: str
    before: Any
    after: Any

    @property
    def name(self) -> str:
        """The name of the value itself, such as ``name`` in ``exporter.name``."""
        return self.path.rpartition(".")[2]


def changes_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[FieldChange]:
    """Return what differs between two versions of a document, in the order of the newer one."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    paths = [*new, *(path for path in old if path not in new)]
    return [FieldChange(path, old.get(path), new.get(path)) for path in paths if old.get(path) != new.get(path)]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (path, value) for each value of JSON that is neither an object nor a list of them, and for the files."""
    if isinstance(value, Mapping):
        inside: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, list) and path != "attachments" and any(isinstance(one, Mapping) for one in value):
        inside = enumerate(value)  # files are shown by their names alone, so their list stays whole
    else:
        yield path, value
        return
    for name, one in inside:
        yield from _leaves(one, f"{path}.{name}" if path else str(name))


ZONES_APART = timedelta(days=1)
"""A date may be ahead of UTC by this much, because a day begins earlier in eastern time zones."""


def dates_ahead(kind: Kind, fields: Mapping[str, Any], moment: datetime) -> list[tuple[str, datetime]]:
    """Return (field, time) for each date of a past event that is after ``moment`` (aware UTC).

    A day counts from its midnight in UTC. Values that are not dates are left to the form of the kind.
    """
    found = []
    for name in KINDS[kind].dates_of_the_past:
        stated = fields.get(name)
        is_day = isinstance(stated, str) and len(stated) == _LENGTH_OF_A_DAY
        try:
            dated = strict_json.parse_timestamp(f"{stated}T00:00:00Z" if is_day else stated)
        except ValueError:
            continue
        if dated is not None and dated - moment > ZONES_APART:
            found.append((name, dated))
    return found


_LENGTH_OF_A_DAY = len("2026-03-02")


def quantity_of(document: Document) -> Decimal | None:
    """Return the quantity in the document's entry, which only a certificate of origin has."""
    return document.quantity if isinstance(document, CertificateOfOrigin) else None


def plain_number(number: str) -> str:
    """Return a document's number without differences of copying: case, width, spaces, hyphens and slashes."""
    plain = unicodedata.normalize("NFKC", number).casefold()
    return "".join(c for c in plain if c.isalnum())[:60]


class Assurance(StrEnum):
    """Who vouches for a record: an issuer, or only the merchant who states it."""

    ISSUED = "issued"
    STATED = "stated"


class ProofState(StrEnum):
    """How far a batch, and with it each of its records, has come."""

    STORED = "stored"
    SEALED = "sealed"
    SUBMITTED = "submitted"
    ANCHORED = "anchored"
    FINAL = "final"


@dataclass(eq=False)
class Product:
    """A merchant's product, from which forms are filled.

    Weights are kilograms of one unit, as text. ``model_key`` and ``gtin_key`` are what no two products in use of one
    merchant share: the model and the bar code as they are compared. A product that is no longer in use has none.
    """

    id: str
    merchant: Organisation
    name: str
    hs_code: str
    unit_code: str
    origin_country: str
    description: str
    added_at: datetime
    local_name: str | None = None
    gtin: str | None = None
    model: str | None = None
    net_weight: str | None = None
    gross_weight: str | None = None
    consignee: dict[str, Any] | None = None
    retired_at: datetime | None = None
    model_key: str | None = None
    gtin_key: str | None = None
    version: int = 1

    def take_keys(self) -> None:
        """Set what no other product in use may share."""
        in_use = self.retired_at is None
        self.model_key = plain_number(self.model) or None if in_use and self.model else None
        # The same goods whether their code is written with 12, 13 or 14 digits (GS1 General Specifications, 3.2).
        self.gtin_key = self.gtin.zfill(14) if in_use and self.gtin else None


@dataclass(eq=False)
class SealedBatch:
    """A sealed batch: its root, and its way to the ledger.

    ``office`` is the code of the customs office whose account alone decides on its declarations, or None for any.
    """

    id: str
    root: bytes
    origin_end: int
    inspection_end: int
    declaration_end: int
    size: int
    sealed_at: datetime
    state: ProofState = ProofState.SEALED
    transaction_id: str | None = None
    transaction_hash: bytes | None = None
    chain_id: int | None = None
    ledger_address: str | None = None
    instance_id: bytes | None = None
    anchored_at: datetime | None = None
    block: int | None = None
    trouble: str | None = None
    office: str | None = None

    @property
    def segments(self) -> Segments:
        """Where the segments end."""
        return Segments(self.origin_end, self.inspection_end, self.declaration_end, self.size)


@dataclass(frozen=True)
class Leaf:
    """The stored values of a record in a batch, unvalidated, for the audit."""

    leaf_index: int
    record_id: str
    kind: int
    quantity: str
    digest: str
    signed_jwt: str
    path: bytes
    status: int
    is_erased: bool = False

    @property
    def entry(self) -> bytes:
        """The entry rebuilt from the signed text.

        Of an erased record only the digest is left, which is checked by the root.

        Raises:
            ValueError: if the stored values do not give an entry.
        """
        digest = bytes.fromhex(self.digest) if self.is_erased else sha256(self.signed_jwt.encode("ascii")).digest()
        return Entry(Kind(self.kind), int(self.quantity), digest).encode()


@dataclass(frozen=True)
class WaitingRecord:
    """The fields of a stored record that sealing needs."""

    id: str
    kind: Kind
    quantity: int
    digest: str
    signed_jwt: str

    @cached_property
    def entry(self) -> Entry:
        """The record's future entry."""
        return Entry(self.kind, self.quantity, bytes.fromhex(self.digest))


@dataclass(eq=False)
class RecordOnFile:
    """A signed record with its disclosures, its holder, and its place in a batch once it is sealed.

    ``quarantined`` says why it cannot be sealed: the stored text is not what was signed.
    """

    id: str
    kind: Kind
    assurance: Assurance
    issuer: Organisation
    holder: Organisation
    signed_jwt: str
    disclosures: list[str]
    quantity: int
    digest: str
    issued_at: datetime
    recorded_at: datetime
    label_code: str
    number: str | None = None
    valid_until: datetime | None = None
    product: Product | None = None
    supersedes_id: str | None = None
    superseded_by_id: str | None = None
    status: int = int(DocumentStatus.ACTIVE)
    status_reason: str | None = None
    batch: SealedBatch | None = None
    leaf_index: int | None = None
    path: bytes = b""
    quarantined: str | None = None
    erased_at: datetime | None = None
    version: int = 1
    """Counts what was done to it: changes of its status, and its erasure. How far its proof has come does not count."""

    def status_name(self, status: int | None = None) -> str:
        """The name of a status of such a record; of its present one unless told otherwise."""
        number = self.status if status is None else status
        return (DeclarationStatus(number) if self.kind is Kind.DECLARATION else DocumentStatus(number)).name

    @property
    def sd_jwt(self) -> sd_jwt.Record:
        """The record as signed, with all its disclosures, parsed once per stored text.

        Raises:
            MalformedRecord: if the stored text was altered.
        """
        text = self._text
        read: tuple[str, sd_jwt.Record] | None = self.__dict__.get("_read")
        # Compared by text, since erasing empties the columns of an object that was parsed before.
        if read is None or read[0] != text:
            read = self.__dict__["_read"] = text, sd_jwt.parse(text)
        return read[1]

    def keep_read(self, record: SignedText) -> None:
        """Keep the record that this one's text was written from, so that the text need not be parsed to read it."""
        self.__dict__["_read"] = self._text, record

    @property
    def _text(self) -> str:
        return "~".join([self.signed_jwt, *self.disclosures, ""])

    @property
    def key_named(self) -> str | None:
        """The key that the record names as its signer's, or None where that cannot be read."""
        try:
            header = strict_json.loads(sd_jwt.unb64(self.signed_jwt.partition(".")[0]))
        except Invalid:
            return None
        return str(header.get("kid")) if isinstance(header, dict) else None

    @property
    def schema_version(self) -> int:
        """The version of its kind's schema that it names; the newest one where that cannot be read."""
        try:
            named = str(self.sd_jwt.payload["credentialSchema"]["id"])
        except (Invalid, LookupError, TypeError):
            named = ""
        found = _SCHEMA_VERSION.search(named)
        return int(found[1]) if found else KINDS[self.kind].schema_version

    @property
    def entry(self) -> Entry:
        """The record's entry in its batch."""
        return Entry(self.kind, self.quantity, bytes.fromhex(self.digest))

    @property
    def fields(self) -> dict[str, Any]:
        """The signed fields.

        Raises:
            MalformedRecord: if the stored text was altered.
        """
        return dict(self.sd_jwt.subject)

    @property
    def readable_fields(self) -> dict[str, Any]:
        """The signed fields; none where the record was erased, or altered, which its own verdict reports."""
        try:
            return self.fields
        except Invalid:
            return {}

    @property
    def document(self) -> Document:
        """The document, read only from the signed text.

        Raises:
            Invalid: if it is not a valid document or the stored text was altered.
        """
        return document_of_record(self.kind, self.sd_jwt)

    @property
    def proof(self) -> InclusionProof | None:
        """The inclusion proof, or None while the record waits for its batch."""
        if self.batch is None or self.leaf_index is None:
            return None
        nodes = tuple(self.path[i : i + 32] for i in range(0, len(self.path), 32))
        return InclusionProof(self.leaf_index, self.batch.size, nodes)

    @property
    def proof_state(self) -> ProofState:
        """How far the record has come."""
        return self.batch.state if self.batch else ProofState.STORED

    def erase(self, moment: datetime) -> None:
        """Remove what it said: text, salts and number. Place, digest and quantity stay."""
        # Digest, kind and quantity make the leaf anew, without which the audit could not check the batch (decision
        # 0008).
        self.signed_jwt, self.disclosures, self.number, self.status_reason = "", [], None, None
        self.erased_at = moment


class RequestState(StrEnum):
    """The state of a merchant's request to an issuer."""

    WAITING = "waiting"
    CONFIRMED = "confirmed"
    SENT_BACK = "sent-back"
    CLOSED = "closed"
    """It was sent back, and the merchant has since submitted another statement or erased this one."""
    WITHDRAWN = "withdrawn"
    """It was sent back, and the merchant has given it up."""

    @property
    def is_open(self) -> bool:
        """Whether somebody has yet to act: the issuer, or the merchant to whom it was sent back."""
        return self in (RequestState.WAITING, RequestState.SENT_BACK)


@dataclass(eq=False)
class ConfirmationRequest:
    """What a merchant asks of the named issuer: to confirm a statement, or to carry out an order.

    The issuer signs a record of its own, or sends the request back.
    """

    id: str
    statement: RecordOnFile | None
    """None where the merchant orders what the issuer states itself; then ``order`` says what is asked for."""
    issuer: Organisation
    merchant: Organisation
    made_at: datetime
    state: RequestState = RequestState.WAITING
    answered_at: datetime | None = None
    reason: str | None = None
    confirmed: RecordOnFile | None = None
    content: str | None = None
    """The statement's content, to find an equal one: see ``content_of``."""
    first_id: str | None = None
    """The first of the requests that this one corrects, whose thread of questions and answers goes on; None if it is
    the first itself."""
    corrects_id: str | None = None
    """The request that was sent back and that this one takes the place of."""
    order: dict[str, Any] | None = None
    """An order by its JSON names; empty once it was erased."""
    order_kind: Kind | None = None
    product: Product | None = None
    """The product that an order is about."""
    last_author_id: str | None = None
    """The organisation that wrote last in the thread, so that lists can tell the other one."""
    version: int = 1

    @property
    def kind(self) -> Kind:
        """The kind of record that is asked for."""
        if self.statement is not None:
            return self.statement.kind
        assert self.order_kind is not None  # what is no statement is an order
        return Kind(self.order_kind)

    @property
    def readable_fields(self) -> dict[str, Any]:
        """What the statement or the order says; empty where it was erased or altered."""
        return self.statement.readable_fields if self.statement is not None else dict(self.order or {})

    @property
    def every_field(self) -> tuple[str, ...]:
        """The names of all fields that the statement or the order may have."""
        certification = KINDS[self.kind].certification
        if self.statement is not None or certification is None or certification.order is None:
            return KINDS[self.kind].every_field
        return tuple(info.alias or name for name, info in certification.order.model_fields.items())

    @property
    def is_erased(self) -> bool:
        """Whether what it says was erased."""
        return self.statement.erased_at is not None if self.statement is not None else not self.order

    @property
    def thread_id(self) -> str:
        """The id under which the messages of this request and of those that it corrects are kept."""
        return self.first_id or self.id

    def withdraw(self) -> None:
        """Give up a request that was sent back. Its statement stays on file, and nobody confirms it any more.

        Raises:
            Conflict: It was not sent back, or something was done with it since.
        """
        if self.state is not RequestState.SENT_BACK:
            raise Conflict("only a request that was sent back can be withdrawn", state=self.state.value)
        self.state = RequestState.WITHDRAWN

    def forget_order(self) -> None:
        """Remove what an order says. A statement is a record, and is erased as such."""
        if self.order is not None:
            self.order = {}


@dataclass(eq=False)
class RequestMessage:
    """A question, an answer or a return, in the thread that merchant and issuer write about a request.

    ``doubtful`` names the document's fields that the issuer marked as it sent the request back, by their JSON names. It
    is None for other messages.
    """

    id: str
    thread_id: str
    author: Organisation
    said_at: datetime
    text: str
    doubtful: list[str] | None = None


@dataclass(eq=False)
class StoredFile:
    """An attachment as one organisation uploaded it; its bytes are in the file store under their digest."""

    sha256: str
    owner: Organisation
    size: int
    media_type: str
    stored_at: datetime
    key_number: int | None = None
    """The key under which the bytes are encrypted: once it is destroyed, they are erased and not lost."""


ALREADY_THERE = "the ledger has it already"
"""The reason of a settled change that the ledger shows already; any other reason is a refusal."""
_PROOF_STATES = {
    TransactionState.SIGNED: "submitted",
    TransactionState.SENT: "submitted",
    TransactionState.MINED: "anchored",
    TransactionState.FINAL: "final",
    TransactionState.REFUSED: "refused",
}


@dataclass(eq=False)
class StatusChange:
    """A record's new status on its way to the ledger, with the salt for the digest of its reason.

    ``settled`` is set where no transaction is needed any more: the ledger has it already, or will never accept it.
    """

    id: str
    record_id: str
    new_status: int
    signer: str
    reason: str
    # Reasons are short and alike: without a salt their digest on the ledger could be guessed (docs/trust.md).
    reason_salt: bytes
    asked_at: datetime
    transaction: OutboundTransaction | None = None
    settled: str | None = None

    @property
    def proof_state(self) -> str:
        """How far it has come: stored, submitted, anchored, final, or refused."""
        if self.settled is not None:
            return "final" if self.settled == ALREADY_THERE else "refused"
        if self.transaction is None or self.transaction.state is TransactionState.REPLACED:
            return "stored"
        return _PROOF_STATES[self.transaction.state]
