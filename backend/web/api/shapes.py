"""What the programming interface answers and takes, as far as it is not a document of the domain."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from backend.domain.consignment import Decision, DecisionState
from backend.domain.fields import Instant, Reference, Text, fault
from backend.domain.kinds import RecordKind, Signing
from backend.domain.kinds.declaration import Declaration
from backend.domain.parties import Role
from backend.domain.records import ProofState, RequestState
from backend.domain.verdict import ActionBy, Conclusion, Outcome


class Shape(BaseModel):
    """JSON names in camelCase; unknown members are refused."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")


class CheckShape(Shape):
    """One check of a verdict."""

    code: str = Field(description="Stable name of the check")
    outcome: Outcome
    title: str
    message: str = Field(description="One plain sentence, in the language of Accept-Language")
    reason: str = Field(description="Stable name of the sentence")
    evidence: dict[str, Any] = Field(description="The values that the check rests on")
    as_of: datetime
    action_by: ActionBy | None = Field(
        None, description="Who can fix what the check found; wait: nobody needs to, it is on its way to the ledger"
    )
    record: str | None = Field(None, description="The record that the check is about")
    rule: str | None = Field(None, description="Of a comparison: what is compared, in the language of Accept-Language")
    tolerance: str | None = Field(None, description="Of a comparison: how far papers may differ, and who says so")


class VerdictShape(Shape):
    """A verdict: INVALID where a check failed, else INDETERMINATE where one could not be made, else VALID."""

    verdict: Conclusion
    summary: str
    proof_state: ProofState | None = Field(
        None, description="How far the record, or the least of several, has come; null where the ledger was not read"
    )
    as_of: datetime = Field(description="When the ledger was asked")
    at: datetime | None = Field(None, description="The past moment that was asked about; null: now")
    checks: list[CheckShape]


class MomentQuery(Shape):
    """Which moment is asked about."""

    at: Instant | None = Field(None, description="Was it valid then? Now where absent")


class RecordReceipt(Shape):
    """A record was stored; it is sealed and anchored within seconds. The same key always gets this same answer."""

    id: str
    kind: str
    issuer: str
    digest: str = Field(description="SHA-256 of the issuer-signed JWT, hex")
    recorded_at: datetime
    state: Literal["stored"] = "stored"
    url: str
    evidence_url: str
    label_url: str | None = Field(None, description="The public page behind the QR code")


class RetentionShape(Shape):
    """Until when a record must be kept for customs, and how far its holder has come in asking to erase it earlier."""

    kept_until: datetime
    office: str | None = Field(None, description="Code of a customs office that has not agreed; null: all have")
    requested_at: datetime | None = Field(None, description="When the holder last asked for consent to erase it")
    request_reason: str | None = None


class RecordShape(Shape):
    """A record on file."""

    id: str
    kind: str
    assurance: Literal["issued", "stated"] = Field(description="stated: the merchant's own, unconfirmed statement")
    issuer: str
    holder: str
    status: str
    status_reason: str | None = None
    proof_state: ProofState
    issued_at: datetime
    recorded_at: datetime
    digest: str
    supersedes: str | None = None
    superseded_by: str | None = None
    erased_at: datetime | None = Field(None, description="When its holder erased what it said")
    retention: RetentionShape | None = Field(
        None, description="For its holder and customs, while a lodged declaration that relies on it keeps it"
    )
    version: int = Field(description="Counts what was done to it; the ETag of its answer, for If-Match")
    document: dict[str, Any] | None = Field(None, description="The fields as signed; null if erased or tampered with")
    verdict: VerdictShape | None = None
    url: str


class EventShape(Shape):
    """One step of a consignment."""

    step: str
    occurred_at: datetime
    by: str | None = None
    note: str | None = Field(
        default=None, description="Why the ledger brought this about, or why a paper is to be erased, in words"
    )
    record: str | None = Field(
        default=None,
        description="The paper that was revoked, suspended or reinstated, or whose erasure was requested or agreed to",
    )


class DecisionShape(Shape):
    """An officer's decision."""

    id: str
    declaration: str
    decision: Decision
    reason: str
    decided_at: datetime
    office: str
    status: str = Field(description="The status that the decision gives")
    decision_state: DecisionState = Field(
        description="accepted: on its way to the ledger, and may still be undone; on-ledger; final; undone"
    )
    verdict: Conclusion = Field(description="The verdict at that moment")
    proof_state: Literal["stored", "submitted", "anchored", "final", "refused"] = Field(
        description="How far the decision has come on its way to the ledger"
    )
    undone: str | None = Field(default=None, description="Why the ledger did not take it; null while it stands")


class DeclarationSummary(Shape):
    """One line of a list of declarations."""

    id: str
    reference: str
    merchant: str
    customs_office: str
    status: str
    decision_state: DecisionState | None = Field(
        None, description="How far the latest decision has come; let goods go at on-ledger or final. null: none yet"
    )
    alerted_at: datetime | None = Field(
        None,
        description=(
            "When a decision was undone, a paper behind released goods revoked or suspended, or the erasure of a paper "
            "requested; see the events"
        ),
    )
    lodged_at: datetime
    arrived_at: datetime | None = None
    released_at: datetime | None = None
    proof_state: ProofState
    version: int = Field(description="Counts what was done to it; the ETag of its answer, for If-Match")
    url: str


class DeclarationShape(DeclarationSummary):
    """A declaration with its papers, its verdict and its history."""

    document: dict[str, Any] | None = None
    records: list[RecordShape] = Field(description="The records it names, each followed to the one that replaced it")
    verdict: VerdictShape
    events: list[EventShape]
    decisions: list[DecisionShape]


class DeclarationList(Shape):
    """Declarations, newest first."""

    declarations: list[DeclarationSummary]
    next: str | None = Field(None, description="Give it back as ``after`` for the next page")


class EvidenceQuery(Shape):
    """Which bundle to make of a record."""

    fields: str | None = Field(
        None, max_length=2000, description="Names of the fields to disclose, with commas between; all where not given"
    )


class DeclarationQuery(Shape):
    """Which declarations to list."""

    status: str | None = Field(None, description="LODGED, DOCUMENTS_REQUIRED, EXAMINATION, DETAINED, RELEASED, …")
    alerted: bool = Field(
        False, description="Only those to which something happened after a decision (alertedAt), the latest such first"
    )
    limit: int = Field(50, ge=1, le=200)
    after: str | None = None


class RequestQuery(Shape):
    """Which confirmation requests to list."""

    state: RequestState | None = None
    limit: int = Field(50, ge=1, le=200)
    after: str | None = None


class ConfirmationRequestShape(Shape):
    """A merchant's statement that was submitted to an issuer, and what became of it."""

    id: str = Field(description="What an issuer that keeps its key itself confirms (signing requests, ``confirm``)")
    state: RequestState
    kind: str
    statement: str | None = Field(None, description="The statement's record; None for an order")
    merchant: str
    issuer: str
    made_at: datetime
    answered_at: datetime | None = None
    reason: str | None = Field(None, description="Why the issuer sent it back")
    confirmed: str | None = Field(None, description="The record that the issuer signed")


class RequestMessageShape(Shape):
    """A question, an answer or a return, in the thread of a request."""

    id: str
    author: str = Field(description="The name of the organisation that wrote it")
    said_at: datetime
    text: str
    fields: list[str] | None = Field(None, description="The fields that the issuer marked as it sent the request back")


class FieldChangeShape(Shape):
    """A field that differs from the statement that was sent back."""

    field: str = Field(description="Its place, such as ``exporter.name``")
    before: Any = Field(None, description="None where it was not stated")
    after: Any = Field(None, description="None where it is not stated any more")


class RequestDetailShape(ConfirmationRequestShape):
    """A request with its thread, and with what was changed since it was sent back."""

    order: dict[str, Any] | None = Field(None, description="What is ordered, where the issuer states the record itself")
    messages: list[RequestMessageShape] = Field(
        description="Earliest first, those of corrected requests too; at most 200"
    )
    changes: list[FieldChangeShape]


class OrderInput(Shape):
    """What a merchant orders from an issuer that states the record itself."""

    kind: str = Field(description="inspection-report")
    issuer: str = Field(description="The issuer's id")
    product: str | None = None
    instead_of: str | None = Field(None, description="A request that was sent back, of which this takes the place")
    order: dict[str, Any] = Field(
        description="customer, itemDescription, itemIdentification, hsCode, testsWanted, specification; also sample, "
        "feeNote, note, attachments"
    )


class ConfirmationInput(Shape):
    """The issuer's number, and the fields that it states itself."""

    number: str = Field(min_length=1, max_length=60)
    fields: dict[str, Any] = Field(default_factory=dict, description="By the JSON names of the kind")


class ReplacementInput(Shape):
    """What takes the place of an issued record, under which number, and why."""

    number: str = Field(min_length=1, max_length=60)
    reason: str = Field(min_length=1, max_length=2000)
    document: dict[str, Any] | None = Field(None, description="The amended document, whole; None: the same again")


class MessageInput(Shape):
    """A question or an answer."""

    text: str = Field(min_length=1, max_length=2000)


class ReturnInput(Shape):
    """Why a request is sent back, and which fields are doubtful."""

    reason: str = Field(min_length=1, max_length=2000)
    fields: list[str] = Field(default_factory=list, max_length=100, description="JSON names of the document's fields")


class ConfirmationRequestList(Shape):
    """Confirmation requests; in an open state those that have waited longest come first."""

    requests: list[ConfirmationRequestShape]
    next: str | None = Field(None, description="Give it back as ``after`` for the next page")


class DeclarationInput(Declaration):
    """A declaration to lodge: the records by their ids, the merchant from the token."""

    merchant: None = None  # type: ignore[assignment]
    records: list[str] = Field(default_factory=list, max_length=50)  # type: ignore[assignment]


def body_of(stated: RecordKind) -> type[BaseModel]:
    """Return what is sent to have a record of a kind signed: a lodged one is completed by the server."""
    return DeclarationInput if stated.signing is Signing.LODGED else stated.model


class PaperVerdictShape(Shape):
    """A paper that the declaration would name, in its latest version, and what it is by itself."""

    id: str
    kind: str
    number: str | None = Field(None, description="The number on the paper")
    issuer: str
    verdict: Conclusion


class BalanceShape(Shape):
    """What a certificate of origin covers and has left, and what the declaration would take, in its own unit."""

    record: str
    unit_code: str
    certified: str = Field(description="A decimal, as all quantities")
    left: str = Field(description="After what was released, by our count and the ledger's")
    taken: str = Field(description="What the declaration would take when it is released")
    left_after: str


class PreCheckShape(Shape):
    """What customs would be told of a declaration's papers if it were lodged now. Nothing is stored."""

    verdict: VerdictShape
    differences: int = Field(
        description="Checks that prevent VALID and do not pass by themselves once the papers are on the ledger"
    )
    records: list[PaperVerdictShape]
    balances: list[BalanceShape]


class DecisionInput(Shape):
    """An officer's decision and why."""

    decision: Decision
    reason: str = Field(min_length=1, max_length=2000)
    accept_indeterminate: bool = Field(False, description="Release although some checks could not be made")


class ReasonInput(Shape):
    """Why."""

    reason: str = Field(min_length=1, max_length=2000)


class ArrivalInput(Shape):
    """When the goods came under customs' control."""

    arrived_at: Instant


class ClockShape(Shape):
    """One clock over the released consignments, in hours."""

    model_config = ConfigDict(populate_by_name=True)  # made from the study's own names

    count: int
    mean_hours: float | None = None
    median_hours: float | None = None
    p90_hours: float | None = None


class ReleaseTimesShape(Shape):
    """Both clocks of a time release study."""

    model_config = ConfigDict(populate_by_name=True)

    arrival_to_release: ClockShape
    lodgement_to_release: ClockShape


class FileShape(Shape):
    """A stored attachment; name it in a document's ``attachments``."""

    sha256: str
    size: int
    media_type: str


def _may_join(role: Role) -> Role:
    if role is Role.AUTHORITY:
        raise fault("role", "an authority is not registered by an authority")
    return role


JoiningRole = Annotated[
    Role,
    AfterValidator(_may_join),
    WithJsonSchema({"type": "string", "enum": [role.value for role in Role if role is not Role.AUTHORITY]}),
]


class OrganisationInput(Shape):
    """An organisation to register."""

    role: JoiningRole
    name: Text
    email: Text
    local_name: Text | None = None
    postal_address: Text | None = None
    country_code: str = Field("CN", pattern="^[A-Z]{2}$")
    identifier: Reference | None = None
    offices: list[str] = Field(
        default_factory=list,
        max_length=50,
        description="A customs office's codes, as UN/LOCODE or national",
    )


class OrganisationJoined(Shape):
    """A registered organisation; password and token are shown this once."""

    id: str
    role: str
    name: str
    email: str
    password: str
    token: str
    key: str = Field(description="RFC 7638 thumbprint of its signing key, hex")


class AccreditationInput(Shape):
    """What to accredit an organisation's key for; its role says which kinds of record. What is absent stays.

    Where nothing stands: every chapter, from now on, for three years.
    """

    chapters: list[int] | None = Field(None, description="HS chapters; as it stands where absent, every one where null")
    valid_from: Instant | None = Field(None, description="As it stands where absent")
    valid_until: Instant | None = Field(None, description="As it stands where absent, unless that has passed")


class SuspensionInput(Shape):
    """From when on the authority no longer stands behind the key; now where absent."""

    since: Instant | None = None


class StandingShape(Shape):
    """What the ledger says of an organisation's key."""

    id: str
    role: str
    name: str
    key: str
    state: Literal["accredited", "suspended", "lapsed", "not-yet", "none", "unknown"]
    pending: bool = Field(description="An act of the authority is on its way to the ledger")
    announced_for: datetime | None = Field(
        default=None, description="When an act that was announced can be done; until then the guardian may cancel it"
    )
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    suspended_since: datetime | None = None
    version: int = Field(description="Counts what was done to it; the ETag of its answer, for If-Match")


class StandingList(Shape):
    """Everybody who may be accredited."""

    issuers: list[StandingShape]


class ActShape(Shape):
    """The authority's act was stored and is on its way to the ledger."""

    id: str
    key: str
    act: str
    state: Literal["stored"] = "stored"


class PersonShape(Shape):
    """Whose token this is."""

    email: str
    role: str
    organisation: str
    organisation_id: str


class RotationInput(Shape):
    """A new key: made here where nothing is given, else the public part of one that the organisation keeps."""

    jwk: dict[str, str] | None = Field(None, description="Public P-256 key: kty, crv, x, y")
    proof: str | None = Field(None, max_length=200, description="The key's signature that shows that you have it")


class KeyShape(Shape):
    """A signing key."""

    key: str = Field(description="RFC 7638 thumbprint, hex")
    outside: bool = Field(description="Kept by the organisation itself")
    state: Literal["signs", "waits"] = Field(description="waits: until the ledger has taken the change")


class CompromiseInput(Shape):
    """Since when others may have signed with the key."""

    since: Instant


class SinceQuery(Shape):
    """From when on."""

    since: Instant | None = None


class SignedRecordShape(Shape):
    """A record that a key signed; what it says is for its holder."""

    id: str
    kind: str
    taken_in: datetime
    anchored_at: datetime | None = Field(None, description="The ledger proves that it was signed before this time")


class CompromiseShape(Shape):
    """What a key signed since a moment."""

    key: str
    organisation: str
    since: datetime
    records: list[SignedRecordShape]


class SigningRequestInput(Shape):
    """What you want to put on file under a key that you keep."""

    act: Literal["issue", "state", "confirm"] = Field(description="state: before an issuer; confirm: a request")
    kind: str | None = Field(None, description="certificate-of-origin, inspection-report, declaration, invoice, …")
    document: dict[str, Any] | None = None
    issuer: str | None = Field(None, description="Who can confirm a statement: the organisation's id")
    request: str | None = Field(None, description="The request that you confirm")
    number: str | None = Field(None, description="The number that you give what you confirm")
    changes: dict[str, Any] | None = Field(None, description="Fields that you set yourself on confirming")


class SigningRequestShape(Shape):
    """The bytes to sign."""

    id: str
    key: str = Field(description="Thumbprint of the key that signs")
    algorithm: Literal["ES256"] = "ES256"
    signing_input: str = Field(description="base64url of the bytes: header.payload of the JWT")
    until: datetime


class SignatureInput(Shape):
    """The signature over those bytes."""

    signature: str = Field(max_length=200, description="base64url of r and s, 64 bytes")


class PresentationQuery(Shape):
    """What to show: what an audience needs, or fields by name."""

    audience: Literal["public-label", "buyer", "bank", "customs"] | None = None
    fields: str | None = Field(None, max_length=4000, description="Names of fields, with commas between")


class ErasureInput(Shape):
    """That you mean it."""

    confirm: Literal["erase for good"]


class ErasureConsentShape(Shape):
    """A record whose holder asked for consent to its erasure, or a customs office agreed to it."""

    id: str
    version: int = Field(description="The ETag of its answer, for If-Match")
    retention: RetentionShape | None = None


class ErasureShape(Shape):
    """What was erased."""

    id: str
    erased_at: datetime
    also_erased: list[str] = Field(description="Earlier versions that said the same")
    files: int = Field(description="Attached files that went with it")
