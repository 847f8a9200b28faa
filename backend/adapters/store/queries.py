"""Finds and keeps the domain's objects inside one session."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    String,
    bindparam,
    delete,
    func,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.adapters.store import tables as t
from backend.domain.clearance import ClearanceEvent
from backend.domain.consignment import Consignment, Draw
from backend.domain.drawing import CertificateDraw, Opening
from backend.domain.errors import Conflict, NotFound
from backend.domain.kinds import DeclarationStatus, Kind
from backend.domain.merkle import InclusionProof
from backend.domain.parties import ApiToken, Organisation, Person, Role, SigningKey
from backend.domain.records import (
    ConfirmationRequest,
    Leaf,
    Product,
    ProofState,
    RecordOnFile,
    RequestState,
    SealedBatch,
    StoredFile,
    WaitingRecord,
    plain_number,
)
from backend.domain.sendings import AccreditationAct, Answer, Claim, Prepared, Sending, SendingState, StatusChange
from backend.domain.simulation import Simulation, SimulationState

Thing = TypeVar("Thing")
_UNSEALED = (t.record.c.batch_id.is_(None), t.record.c.quarantined.is_(None))
_OPEN = (SendingState.SIGNED, SendingState.SENT, SendingState.MINED)


@contextmanager
def as_conflicts(session: Session) -> Iterator[None]:
    """What the database refuses because it is there already is a Conflict in our words."""
    try:
        yield
    except IntegrityError as error:
        session.rollback()
        raise Conflict("this was recorded already", fact=str(error.orig)) from error


class SqlStore:
    """The Store port over SQLAlchemy."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, thing: object) -> None:
        """Keep something new; its numbers appear for later queries of the same unit of work."""
        self._session.add(thing)
        with as_conflicts(self._session):
            self._session.flush()

    def _all(self, query: Select[Any]) -> Sequence[Any]:
        return self._session.scalars(query).unique().all()

    def _one(self, query: Select[Any], kind: type[Thing]) -> Thing | None:
        found = self._session.scalars(query.limit(1)).unique().first()
        assert found is None or isinstance(found, kind)
        return found

    def _get(self, kind: type[Thing], key: str) -> Thing:
        thing = self._session.get(kind, key)
        if thing is None:
            raise NotFound(f"no such {kind.__name__.lower()}", id=key)
        return thing

    # Parties

    def get_organisation(self, organisation_id: str) -> Organisation:
        """The organisation with this id."""
        return self._get(Organisation, organisation_id)

    def organisations(self, role: Role | None = None) -> Sequence[Organisation]:
        """All organisations, or those of one role, by name."""
        query = select(Organisation).order_by(t.organisation.c.name)
        return self._all(query if role is None else query.where(t.organisation.c.role == role))

    def find_person_by_email(self, email: str) -> Person | None:
        """The person who signs in with this address."""
        return self._one(select(Person).where(t.person.c.email == email.strip().lower()), Person)

    def first_person(self, organisation: Organisation) -> Person | None:
        """Somebody who acts for the organisation."""
        query = select(Person).where(t.person.c.organisation_id == organisation.id, t.person.c.is_active.is_(True))
        return self._one(query, Person)

    def find_person(self, person_id: str) -> Person | None:
        """The person with this id."""
        return self._session.get(Person, person_id)

    def find_token(self, digest: str) -> ApiToken | None:
        """The token with this SHA-256."""
        return self._session.get(ApiToken, digest)

    def active_key(self, organisation: Organisation) -> SigningKey:
        """The key that the organisation signs with now; where it has none at the moment, the one it had last."""
        keys = self.signing_keys(organisation)
        if not keys:
            raise NotFound("the organisation has no signing key", organisation=organisation.id)
        return next((key for key in keys if key.is_active), keys[0])

    def find_key(self, thumbprint: str) -> SigningKey | None:
        """The key with this thumbprint (hex)."""
        return self._session.get(SigningKey, thumbprint)

    def signing_keys(self, organisation: Organisation | None = None) -> Sequence[SigningKey]:
        """The keys of an organisation, or all of them, newest first."""
        query = select(SigningKey).order_by(t.signing_key.c.made_at.desc())
        if organisation is not None:
            query = query.where(t.signing_key.c.organisation_id == organisation.id)
        return self._all(query)

    def find_prepared(self, prepared_id: str) -> Prepared | None:
        """The act that waits for a signature from outside."""
        return self._session.get(Prepared, prepared_id)

    def forget_prepared(self, before: datetime) -> None:
        """Forget what nobody signed in time."""
        for prepared in self._all(select(Prepared).where(t.prepared.c.moment < before)):
            self._session.delete(prepared)

    def remove(self, thing: object) -> None:
        """Keep it no longer."""
        self._session.delete(thing)

    # Products and records

    def get_product(self, product_id: str, merchant: Organisation) -> Product:
        """The merchant's product with this id; another's is not found."""
        product = self._get(Product, product_id)
        if product.merchant.id != merchant.id:
            raise NotFound("no such product", id=product_id)
        return product

    def products(self, merchant: Organisation) -> Sequence[Product]:
        """The merchant's products, newest first."""
        query = select(Product).where(t.product.c.merchant_id == merchant.id)
        return self._all(query.order_by(t.product.c.added_at.desc()))

    def get_record(self, record_id: str) -> RecordOnFile:
        """The record with this id."""
        return self._get(RecordOnFile, record_id)

    def readable_records_of(self, organisation: Organisation) -> Iterator[RecordOnFile]:
        """Everything that the organisation holds or signed and that was not erased, a few at a time."""
        mine = or_(t.record.c.holder_id == organisation.id, t.record.c.issuer_id == organisation.id)
        query = select(RecordOnFile).where(mine, t.record.c.erased_at.is_(None)).order_by(t.record.c.id)
        return iter(self._session.scalars(query.execution_options(yield_per=500)))

    def forget_answers(self, resource_id: str) -> None:
        """Forget which requests led to a thing."""
        self._session.execute(delete(t.answer).where(t.answer.c.resource_id == resource_id))

    def forget_file(self, sha256: str) -> None:
        """Forget who uploaded a file."""
        self._session.execute(delete(t.stored_file).where(t.stored_file.c.sha256 == sha256))

    def find_record_by_digest(self, digest: str) -> RecordOnFile | None:
        """The record whose signed text has this SHA-256 (hex)."""
        return self._one(select(RecordOnFile).where(t.record.c.digest == digest), RecordOnFile)

    def find_record_by_label(self, label_code: str) -> RecordOnFile | None:
        """The record that a label's code stands for."""
        return self._one(select(RecordOnFile).where(t.record.c.label_code == label_code), RecordOnFile)

    def records_of(
        self, organisation: Organisation, kinds: Sequence[Kind] = (), product: Product | None = None
    ) -> Sequence[RecordOnFile]:
        """Records that the organisation holds or issued, newest first, at most 500."""
        mine = or_(t.record.c.holder_id == organisation.id, t.record.c.issuer_id == organisation.id)
        query = select(RecordOnFile).where(mine).order_by(t.record.c.recorded_at.desc()).limit(500)
        if kinds:
            query = query.where(t.record.c.kind.in_(kinds))
        if product is not None:
            query = query.where(t.record.c.product_id == product.id)
        return self._all(query)

    def records_signed_by(self, issuer: Organisation, since: datetime) -> Sequence[RecordOnFile]:
        """What came onto file under an organisation's signature from a moment on, oldest first."""
        query = select(RecordOnFile).where(t.record.c.issuer_id == issuer.id, t.record.c.recorded_at >= since)
        return self._all(query.order_by(t.record.c.recorded_at))

    def number_is_taken(self, issuer: Organisation, kind: Kind, number: str) -> bool:
        """Whether the issuer has given this number before, however it was spaced or cased."""
        query = select(t.record.c.id).where(
            t.record.c.issuer_id == issuer.id, t.record.c.kind == kind, t.record.c.number == plain_number(number)
        )
        return self._session.execute(query.limit(1)).first() is not None

    def find_file(self, sha256: str, owner: Organisation) -> StoredFile | None:
        """The attachment with this digest, as this organisation uploaded it."""
        return self._session.get(StoredFile, (sha256, owner.id))

    def stored_files(self) -> Sequence[StoredFile]:
        """Every attachment, once for each organisation that uploaded it."""
        return self._all(select(StoredFile).order_by(t.stored_file.c.sha256))

    def count_waiting(self, issuer: Organisation | None = None) -> int:
        """How many records are not on the ledger yet, of everybody or of one issuer."""
        unsealed = select(func.count()).select_from(t.record).where(*_UNSEALED)
        on_the_way = (ProofState.SEALED, ProofState.SUBMITTED)
        if issuer is not None:
            return int(self._session.execute(unsealed.where(t.record.c.issuer_id == issuer.id)).scalar_one())
        sealed = select(func.coalesce(func.sum(t.batch.c.size), 0)).where(t.batch.c.state.in_(on_the_way))
        return int(self._session.execute(unsealed).scalar_one()) + int(self._session.execute(sealed).scalar_one())

    def get_request(self, request_id: str) -> ConfirmationRequest:
        """The request with this id."""
        return self._get(ConfirmationRequest, request_id)

    def requests(
        self,
        issuer: Organisation | None = None,
        merchant: Organisation | None = None,
        state: RequestState | None = None,
    ) -> Sequence[ConfirmationRequest]:
        """Requests to an issuer or of a merchant, newest first, at most 500."""
        query = select(ConfirmationRequest).order_by(t.request.c.made_at.desc()).limit(500)
        if issuer is not None:
            query = query.where(t.request.c.issuer_id == issuer.id)
        if merchant is not None:
            query = query.where(t.request.c.merchant_id == merchant.id)
        if state is not None:
            query = query.where(t.request.c.state == state)
        return self._all(query)

    def find_request_about(self, record_id: str) -> ConfirmationRequest | None:
        """The request that a statement was laid in, or that a record confirmed."""
        about = or_(t.request.c.statement_id == record_id, t.request.c.confirmed_id == record_id)
        return self._one(select(ConfirmationRequest).where(about), ConfirmationRequest)

    # Consignments

    def get_consignment(self, declaration_id: str) -> Consignment:
        """The consignment under this declaration."""
        return self._get(Consignment, declaration_id)

    def consignments(
        self,
        merchant: Organisation | None = None,
        status: DeclarationStatus | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Sequence[Consignment]:
        """Consignments, newest first; ``after`` is the id of the last one of the page before."""
        c = t.consignment.c
        query = select(Consignment).order_by(c.lodged_at.desc(), c.id).limit(limit)
        if merchant is not None:
            query = query.where(c.merchant_id == merchant.id)
        if status is not None:
            query = query.where(c.status == status)
        if after is not None:
            last = self.get_consignment(after)
            if merchant is not None and last.merchant.id != merchant.id:
                raise NotFound("no such consignment", id=after)
            query = query.where(or_(c.lodged_at < last.lodged_at, (c.lodged_at == last.lodged_at) & (c.id > last.id)))
        return self._all(query)

    def consignments_naming(self, record_id: str) -> Sequence[Consignment]:
        """Consignments whose declaration names this record."""
        query = select(Consignment).join(t.paper, t.paper.c.consignment_id == t.consignment.c.id)
        return self._all(query.where(t.paper.c.record_id == record_id))

    def drawn_before(self, consignment: Consignment, certificates: Sequence[str]) -> Sequence[Draw]:
        """What earlier declarations that stand take from these certificates (the first of their lines).

        One for each declaration, heading and unit.
        """
        c, d = t.consignment.c, t.draw.c
        is_earlier = or_(
            c.lodged_at < consignment.lodged_at, (c.lodged_at == consignment.lodged_at) & (c.id < consignment.id)
        )
        given_back = (DeclarationStatus.REJECTED, DeclarationStatus.RETURNED, DeclarationStatus.WITHDRAWN)
        query = (
            select(d.heading, d.unit_code, func.max(d.quantity), func.max(d.is_shared))
            .join_from(t.draw, t.consignment)
            .where(d.certificate_id.in_(certificates), is_earlier, c.status.not_in(given_back))
            .group_by(c.id, d.heading, d.unit_code)
        )
        rows = self._session.execute(query)
        return [Draw("", heading, unit, quantity, bool(shared)) for heading, unit, quantity, shared in rows]

    def released(self) -> Sequence[Consignment]:
        """Every released consignment, in the order of release."""
        query = select(Consignment).where(t.consignment.c.released_at.is_not(None))
        return self._all(query.order_by(t.consignment.c.released_at))

    def clearance_events(self, since: datetime | None = None) -> Iterator[ClearanceEvent]:
        """Every step of every declaration in the order of recording, or those recorded since then; row by row."""
        e, c, o = t.event.c, t.consignment.c, t.organisation.c
        query = (
            select(c.id, e.step, e.occurred_at, e.recorded_at, c.customs_office, o.role)
            .join_from(t.event, t.consignment)
            .join(t.organisation, e.organisation_id == o.id, isouter=True)
            .order_by(e.recorded_at, c.id, e.occurred_at, e.id)
        )
        if since is not None:
            query = query.where(e.recorded_at >= since)
        for declaration, step, occurred, recorded, office, role in self._session.execute(query).yield_per(1000):
            yield ClearanceEvent(declaration, step, occurred, recorded, office, role and role.value)

    def consignments_in(self, batch: SealedBatch) -> Sequence[Consignment]:
        """Consignments whose declaration stands in this batch."""
        query = select(Consignment).join(t.record, t.record.c.id == t.consignment.c.id)
        return self._all(query.where(t.record.c.batch_id == batch.id))

    def reference_is_taken(self, merchant: Organisation, reference: str) -> bool:
        """Whether the merchant has lodged under this number before."""
        query = select(t.consignment.c.id).where(
            t.consignment.c.merchant_id == merchant.id, t.consignment.c.reference == reference
        )
        return self._session.execute(query.limit(1)).first() is not None

    # Draws on certificates

    def find_opening(self, certificate_id: str) -> Opening | None:
        """How far the opening of this certificate has come, where one was asked for."""
        return self._session.get(Opening, certificate_id)

    def openings(self) -> Sequence[Opening]:
        """Every opening, in the order of asking."""
        return self._all(select(Opening).order_by(t.opening.c.asked_at))

    def openings_in_flight(self) -> Sequence[Opening]:
        """Openings that were not sent yet, in order."""
        c = t.opening.c
        query = select(Opening).where(c.sending_id.is_(None), c.refusal.is_(None), c.is_known.is_(False))
        return self._all(query.order_by(c.asked_at))

    def openings_sent_by(self, sending: Sending) -> Sequence[Opening]:
        """The opening that travels with this transaction."""
        return self._all(select(Opening).where(t.opening.c.sending_id == sending.id))

    def draws(self) -> Sequence[CertificateDraw]:
        """Every draw, in the order of asking."""
        return self._all(select(CertificateDraw).order_by(t.certificate_draw.c.asked_at))

    def draws_for(self, declaration_id: str) -> Sequence[CertificateDraw]:
        """The draws for one declaration, in order."""
        return self._draws(t.certificate_draw.c.declaration_id == declaration_id)

    def draws_on_line(self, line_id: str) -> Sequence[CertificateDraw]:
        """The draws on a certificate and on those that it replaced, that stand."""
        c = t.certificate_draw.c
        return self._draws(c.line_id == line_id, c.refusal.is_(None), c.given_back_at.is_(None))

    def draws_on(self, certificate_id: str) -> Sequence[CertificateDraw]:
        """The draws on one certificate that stand."""
        c = t.certificate_draw.c
        return self._draws(c.certificate_id == certificate_id, c.refusal.is_(None), c.given_back_at.is_(None))

    def draws_in_flight(self, limit: int) -> Sequence[CertificateDraw]:
        """Draws that were not sent yet, in order."""
        c = t.certificate_draw.c
        query = select(CertificateDraw).where(c.drawing.is_(None), c.refusal.is_(None))
        return self._all(query.order_by(c.asked_at, c.declaration_id, c.id).limit(limit))

    def draws_in(self, drawing: bytes) -> Sequence[CertificateDraw]:
        """The draws of one drawing, by their positions."""
        query = select(CertificateDraw).where(t.certificate_draw.c.drawing == drawing)
        return self._all(query.order_by(t.certificate_draw.c.position))

    def draws_sent_by(self, sending: Sending) -> Sequence[CertificateDraw]:
        """The draws that travel with this transaction."""
        return self._draws(t.certificate_draw.c.sending_id == sending.id)

    def draws_given_back_by(self, sending: Sending) -> Sequence[CertificateDraw]:
        """The draws that this transaction gives back."""
        return self._draws(t.certificate_draw.c.back_sending_id == sending.id)

    def draws_to_give_back(self) -> Sequence[CertificateDraw]:
        """Draws that are to be given back and whose transaction for it was not made yet."""
        c = t.certificate_draw.c
        return self._draws(
            c.back_asked_at.is_not(None),
            c.back_sending_id.is_(None),
            c.given_back_at.is_(None),
            c.drawing.is_not(None),
            c.refusal.is_(None),
        )

    def is_being_drawn(self, declaration_id: str) -> bool:
        """Whether a draw for this declaration has never been final on the ledger yet."""
        c = t.certificate_draw.c
        return bool(self._draws(c.declaration_id == declaration_id, c.refusal.is_(None), c.made_at.is_(None)))

    def _draws(self, *where: ColumnElement[bool]) -> Sequence[CertificateDraw]:
        c = t.certificate_draw.c
        return self._all(select(CertificateDraw).where(*where).order_by(c.asked_at, c.id))

    # The way to the ledger

    def has_unsealed(self) -> bool:
        """Whether a record waits for its batch."""
        return self._session.execute(select(t.record.c.id).where(*_UNSEALED).limit(1)).first() is not None

    def waiting(self, limit: int) -> Sequence[WaitingRecord]:
        """Unsealed records as sealing wants them; raises where a row cannot be read.

        Every issuer's oldest come first, so that none has to wait for another's thousands. Whole rows are read, so
        that nothing is sealed which could not be shown afterwards.
        """
        c = t.record.c
        turn = func.row_number().over(partition_by=c.issuer_id, order_by=c.recorded_at)
        first = select(c.id, turn.label("turn"), c.recorded_at).where(*_UNSEALED).subquery()
        chosen = select(first.c.id).order_by(first.c.turn, first.c.recorded_at).limit(limit)
        rows = self._session.execute(select(t.record).where(c.id.in_(chosen)).order_by(c.recorded_at)).all()
        if not all(row.signed_jwt.is_whole and row.disclosures.is_whole for row in rows):
            raise ValueError("a row was altered since it was sealed")
        return [WaitingRecord(row.id, row.kind, row.quantity, row.digest, row.signed_jwt) for row in rows]

    def enter(self, batch: SealedBatch, proofs: Sequence[tuple[str, InclusionProof]]) -> None:
        """Give records the places in a sealed batch that stay theirs for life; all of them, or it is a Conflict."""
        taking = update(t.record).where(t.record.c.id == bindparam("record_id"), *_UNSEALED)
        self._session.connection().execute(
            taking.values(batch_id=batch.id, place=bindparam("at"), path=bindparam("way")),
            [{"record_id": record_id, "at": proof.place, "way": b"".join(proof.path)} for record_id, proof in proofs],
        )
        entered = select(func.count()).select_from(t.record).where(t.record.c.batch_id == batch.id)
        if self._session.execute(entered).scalar_one() != len(proofs):
            raise Conflict("a record was sealed or set aside meanwhile", batch=batch.id)

    def set_aside(self, record_id: str, why: str) -> None:
        """Keep a record out of every batch."""
        self._session.execute(update(t.record).where(t.record.c.id == record_id).values(quarantined=why))

    def quarantine_unreadable(self, limit: int) -> int:
        """Set aside unsealed records that cannot even be read from their rows; how many."""
        ids = self._session.scalars(select(t.record.c.id).where(*_UNSEALED).limit(limit)).all()
        return sum(self._is_set_aside(record_id) for record_id in ids)

    def _is_set_aside(self, record_id: str) -> bool:
        try:
            self._session.expunge_all()
            row = self._session.execute(select(t.record).where(t.record.c.id == record_id)).one()
            if row.signed_jwt.is_whole and row.disclosures.is_whole:
                return False
            raise ValueError("altered since it was sealed")
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            why = f"its row cannot be read: {error}"[:200]
            self.set_aside(record_id, why)
            return True

    def quarantined(self) -> int:
        """How many records were set aside."""
        query = select(func.count()).select_from(t.record).where(t.record.c.quarantined.is_not(None))
        return int(self._session.execute(query).scalar_one())

    def sendings(self) -> Sequence[Sending]:
        """Every transaction of ours, in the order of making."""
        return self._all(select(Sending).order_by(t.sending.c.made_at))

    def status_changes_settled(self) -> Sequence[StatusChange]:
        """Changes of status that needed no transaction any more."""
        return self._all(select(StatusChange).where(t.status_change.c.settled.is_not(None)))

    def batches(self) -> Sequence[SealedBatch]:
        """Every batch, oldest first."""
        return self._all(select(SealedBatch).order_by(t.batch.c.sealed_at))

    def get_batch(self, batch_id: str) -> SealedBatch:
        """The batch with this id."""
        return self._get(SealedBatch, batch_id)

    def leaves(self, batch: SealedBatch) -> Sequence[Leaf]:
        """What is stored of a batch's records, as it lies there: nothing is taken for sound."""
        c = t.record.c
        read = (c.place, c.id, type_coerce(c.kind, Integer), type_coerce(c.quantity, String), c.digest)
        kept = (c.signed_jwt, c.path, c.status, c.erased_at.is_not(None))
        query = select(*read, *kept).where(c.batch_id == batch.id).order_by(c.place)
        return [Leaf(*row) for row in self._session.execute(query).all()]

    def find_claim(self, name: str) -> Claim | None:
        """Who does the work of this name."""
        return self._session.get(Claim, name)

    def forget_claim(self, name: str, holder: str | None = None) -> None:
        """Let others do the work; with a holder, only where it is theirs."""
        mine = t.claim.c.name == name if holder is None else (t.claim.c.name == name) & (t.claim.c.holder == holder)
        self._session.execute(delete(t.claim).where(mine))

    def find_sending(self, transaction_hash: bytes) -> Sending | None:
        """The transaction that goes by this hash now."""
        return self._one(select(Sending).where(t.sending.c.transaction_hash == transaction_hash), Sending)

    def open_nonces(self, signer: str) -> set[int]:
        """Numbers of this account's open transactions."""
        query = select(t.sending.c.nonce).where(t.sending.c.signer == signer, t.sending.c.state.in_(_OPEN))
        return set(self._session.scalars(query))

    def final_sendings(self, limit: int, offset: int = 0) -> Sequence[Sending]:
        """Final transactions, from the newest block down."""
        query = select(Sending).where(t.sending.c.state == SendingState.FINAL)
        return self._all(query.order_by(t.sending.c.block.desc(), t.sending.c.nonce.desc()).limit(limit).offset(offset))

    def status_changes_sent_by(self, sending: Sending) -> Sequence[StatusChange]:
        """The changes of status that travel with this transaction."""
        return self._all(select(StatusChange).where(t.status_change.c.sending_id == sending.id))

    def accreditation_acts_sent_by(self, sending: Sending) -> Sequence[AccreditationAct]:
        """The authority's acts that travel with this transaction."""
        return self._all(select(AccreditationAct).where(t.accreditation_act.c.sending_id == sending.id))

    def accreditation_acts_announced_by(self, sending: Sending) -> Sequence[AccreditationAct]:
        """The authority's acts that this transaction announces."""
        return self._all(select(AccreditationAct).where(t.accreditation_act.c.announcement_id == sending.id))

    def accreditation_acts_cancelled_by(self, sending: Sending) -> Sequence[AccreditationAct]:
        """The authority's acts that this transaction cancels."""
        return self._all(select(AccreditationAct).where(t.accreditation_act.c.cancelling_id == sending.id))

    def accreditation_acts_ended(self, why: str) -> Sequence[AccreditationAct]:
        """The authority's acts that ended for this reason."""
        return self._all(select(AccreditationAct).where(t.accreditation_act.c.ended == why))

    def get_accreditation_act(self, act_id: str) -> AccreditationAct:
        """The authority's act with this id."""
        return self._get(AccreditationAct, act_id)

    def proof_ages(self) -> dict[ProofState, tuple[int, datetime]]:
        """For each state before final: how many records stand there, and when the oldest was stored."""
        state = func.coalesce(type_coerce(t.batch.c.state, String), ProofState.STORED.value)
        query = select(state, func.count(), func.min(t.record.c.recorded_at)).join_from(t.record, t.batch, isouter=True)
        query = query.where(t.record.c.quarantined.is_(None), state != ProofState.FINAL.value).group_by(state)
        return {ProofState(name): (count, oldest) for name, count, oldest in self._session.execute(query)}

    def troubles(self) -> Sequence[str]:
        """Why transactions and batches do not get on, and what the ledger refused, newest first, at most 20."""
        c = t.sending.c
        stuck = select(c.trouble, c.made_at).where(c.trouble.is_not(None), c.state.in_(_OPEN))
        refused = select(c.refusal, c.made_at).where(c.state == SendingState.REFUSED)
        batches = select(t.batch.c.trouble, t.batch.c.sealed_at).where(
            t.batch.c.trouble.is_not(None), t.batch.c.state == ProofState.SEALED
        )
        found = [row for query in (stuck, refused, batches) for row in self._session.execute(query)]
        return [why for why, _ in sorted(found, key=lambda row: row[1], reverse=True)[:20]]

    def batches_in_flight(self) -> Sequence[SealedBatch]:
        """Batches that are not final yet, oldest first."""
        query = select(SealedBatch).where(t.batch.c.state != ProofState.FINAL)
        return self._all(query.order_by(t.batch.c.sealed_at))

    def status_changes_in_flight(self) -> Sequence[StatusChange]:
        """Status changes that were not sent yet, in the order in which they were asked."""
        c = t.status_change.c
        query = select(StatusChange).where(c.sending_id.is_(None), c.settled.is_(None))
        return self._all(query.order_by(t.status_change.c.asked_at))

    def status_sendings_open(self) -> bool:
        """Whether a transaction that changes statuses is still under way."""
        query = select(t.status_change.c.id).join(t.sending).where(t.sending.c.state.in_(_OPEN))
        return self._session.execute(query.limit(1)).first() is not None

    def status_changes_of(self, record_id: str) -> Sequence[StatusChange]:
        """A record's changes of status, in order."""
        query = select(StatusChange).where(t.status_change.c.record_id == record_id)
        return self._all(query.order_by(t.status_change.c.asked_at))

    def batch_sent_by(self, sending: Sending) -> SealedBatch | None:
        """The batch that this transaction anchors."""
        return self._one(select(SealedBatch).where(t.batch.c.transaction_id == sending.id), SealedBatch)

    def accreditation_acts_in_flight(self) -> Sequence[AccreditationAct]:
        """The authority's acts that were not sent yet, in order."""
        c = t.accreditation_act.c
        query = select(AccreditationAct).where(c.sending_id.is_(None), c.ended.is_(None))
        return self._all(query.order_by(t.accreditation_act.c.asked_at))

    def accreditation_acts_on(self, thumbprint: str) -> Sequence[AccreditationAct]:
        """The authority's acts on one key, in order."""
        query = select(AccreditationAct).where(t.accreditation_act.c.thumbprint == thumbprint)
        return self._all(query.order_by(t.accreditation_act.c.asked_at))

    def open_sendings(self) -> Sequence[Sending]:
        """Transactions whose end is still to be seen, in the order of their nonces."""
        query = select(Sending).where(t.sending.c.state.in_(_OPEN))
        return self._all(query.order_by(t.sending.c.signer, t.sending.c.nonce))

    def get_sending(self, sending_id: str) -> Sending:
        """The transaction with this id."""
        return self._get(Sending, sending_id)

    def oldest_unanchored(self) -> datetime | None:
        """When the oldest record was stored that is not on the ledger yet."""
        waiting = or_(t.record.c.batch_id.is_(None), t.batch.c.state.in_((ProofState.SEALED, ProofState.SUBMITTED)))
        query = select(t.record.c.recorded_at).join_from(t.record, t.batch, isouter=True).where(waiting)
        query = query.where(t.record.c.quarantined.is_(None))
        return self._session.execute(query.order_by(t.record.c.recorded_at).limit(1)).scalar()

    def find_answer(self, person_id: str, key: str) -> Answer | None:
        """What this person's request with this idempotency key led to."""
        return self._session.get(Answer, (person_id, key))

    # Simulations

    def simulations(self, organisation: Organisation) -> Sequence[Simulation]:
        """An organisation's simulations, newest first."""
        query = select(Simulation).where(t.simulation.c.organisation_id == organisation.id)
        return self._all(query.order_by(t.simulation.c.ordered_at.desc(), t.simulation.c.id))

    def simulations_in(self, state: SimulationState) -> Sequence[Simulation]:
        """All simulations in a state, those that were ordered first at the front."""
        query = select(Simulation).where(t.simulation.c.state == state)
        return self._all(query.order_by(t.simulation.c.ordered_at, t.simulation.c.id))

    def get_simulation(self, simulation_id: str) -> Simulation:
        """The simulation with this id."""
        return self._get(Simulation, simulation_id)

    def find_simulation(self, simulation_id: str) -> Simulation | None:
        """The simulation with this id, where there is one."""
        return self._session.get(Simulation, simulation_id)
