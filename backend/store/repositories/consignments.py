"""Consignments, their steps, and what they take from certificates."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from uuid import uuid4

from sqlalchemy import ColumnElement, exists, func, insert, or_, select, update

from backend.domain.consignment import REFUNDED, ClearanceEvent, Consignment, PlannedDrawdown, Step
from backend.domain.drawdowns import Activation, Drawdown
from backend.domain.errors import Message, NotFound
from backend.domain.ledger import DeclarationStatus
from backend.domain.outbox import OutboundTransaction
from backend.domain.parties import Organisation, SigningKey
from backend.domain.records import RecordOnFile, SealedBatch
from backend.store import tables as t
from backend.store.database import Repository

AT_ONCE = 500
"""Ids in one statement: databases bound how many values one may have."""


def _some(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE))


def _has_fallen_papers() -> ColumnElement[bool]:
    """Whether a paper of the consignment was revoked or suspended, and not reinstated since."""
    fallen, again = t.event.alias(), t.event.alias()
    is_over = exists().where(
        again.c.consignment_id == fallen.c.consignment_id,
        again.c.record_id == fallen.c.record_id,
        again.c.step == Step.PAPER_REINSTATED,
        again.c.recorded_at >= fallen.c.recorded_at,
    )
    return exists().where(
        fallen.c.consignment_id == t.consignment.c.id,
        fallen.c.step.in_([Step.PAPER_REVOKED, Step.PAPER_SUSPENDED]),
        ~is_over,
    )


class ConsignmentRepository(Repository):
    """Consignments under their declarations, and their events."""

    def get(self, declaration_id: str) -> Consignment:
        """The consignment under this declaration."""
        return self._get(Consignment, declaration_id, Message("no such consignment"))

    def advance(self, consignment: Consignment, read: int | None = None) -> None:
        """Begin a change that rests on this version; raises StaleVersion where it has moved on since."""
        self._advance(t.consignment, consignment, read, consignment.changes_since)

    def search(
        self,
        merchant: Organisation | None = None,
        status: DeclarationStatus | None = None,
        limit: int = 100,
        after: str | None = None,
        offices: Collection[str] | None = None,
    ) -> Sequence[Consignment]:
        """Consignments, newest first; ``after`` is the id of the last one of the page before.

        ``offices`` are the codes whose declarations are looked for; None for all of them.
        """
        c = t.consignment.c
        query = select(Consignment).order_by(c.lodged_at.desc(), c.id).limit(limit)
        if merchant is not None:
            query = query.where(c.merchant_id == merchant.id)
        if status is not None:
            query = query.where(c.status == status)
        if offices is not None:
            query = query.where(c.customs_office.in_(offices))
        if after is not None:
            last = self.get(after)
            is_anothers = merchant is not None and last.merchant.id != merchant.id
            if is_anothers or (offices is not None and last.customs_office not in offices):
                raise NotFound("no such consignment", id=after)
            query = query.where(or_(c.lodged_at < last.lodged_at, (c.lodged_at == last.lodged_at) & (c.id > last.id)))
        return self._all(query)

    def naming(self, record_id: str, offices: Collection[str] | None = None) -> Sequence[Consignment]:
        """Consignments whose declaration names this record; only those of some customs offices where asked for."""
        query = select(Consignment).join(t.paper, t.paper.c.consignment_id == t.consignment.c.id)
        if offices is not None:
            query = query.where(t.consignment.c.customs_office.in_(offices))
        return self._all(query.where(t.paper.c.record_id == record_id))

    def alerted(
        self, limit: int, merchant: Organisation | None = None, offices: Collection[str] | None = None
    ) -> Sequence[Consignment]:
        """Consignments of a merchant or of offices to which something happened after a decision; the latest first."""
        c = t.consignment.c
        query = select(Consignment).where(c.alerted_at.is_not(None))
        if merchant is not None:
            query = query.where(c.merchant_id == merchant.id)
        if offices is not None:
            query = query.where(c.customs_office.in_(offices))
        return self._all(query.order_by(c.alerted_at.desc()).limit(limit))

    def note_about_record(
        self, on_file: RecordOnFile, step: Step, at: datetime, organisation: Organisation | None
    ) -> None:
        """Leave an event with every declaration that stands and relies on this record; ``organisation`` did it."""
        self._note_about_papers(t.record.c.id == on_file.id, step, at, organisation)

    def note_about_key(self, key: SigningKey, step: Step, at: datetime, organisation: Organisation) -> None:
        """Leave an event with every declaration that stands and relies on what this key signed."""
        r, since = t.record.c, key.usable_from or key.made_at
        signed = (r.issuer_id == key.organisation.id) & (r.recorded_at >= since)
        if key.retired_at is not None:
            signed &= r.recorded_at <= key.retired_at
        self._note_about_papers(signed, step, at, organisation)

    def _note_about_papers(
        self, signed: ColumnElement[bool], step: Step, at: datetime, organisation: Organisation | None
    ) -> None:
        """Tell the declarations that rely on records for which ``signed``, a condition on the table ``record``, holds.

        A declaration relies on what it names and on what replaced that. Released ones are alerted, all get a new
        version: who reads them now sees other papers. No declaration is loaded, since there may be very many.
        """
        pairs = self._relying_on(signed)
        c, touched = t.consignment.c, sorted({declaration for declaration, _ in pairs})
        for some in _some(touched):
            self._session.execute(update(t.consignment).where(c.id.in_(some)).values(version=c.version + 1))
        versions = self._versions_of(touched)
        rows = [
            {
                "id": str(uuid4()),
                "consignment_id": declaration,
                "step": step,
                "occurred_at": at,
                "recorded_at": at,
                "organisation_id": organisation and organisation.id,
                "version": versions[declaration],
                "record_id": record,
            }
            for declaration, record in pairs
        ]
        if rows:
            self._session.execute(insert(t.event), rows)
        is_ended = step is Step.PAPER_REINSTATED
        whose = ~_has_fallen_papers() if is_ended else c.status == DeclarationStatus.RELEASED
        for some in _some(touched):
            alert = update(t.consignment).where(c.id.in_(some), whose)
            self._session.execute(alert.values(alerted_at=None if is_ended else at))

    def _relying_on(self, signed: ColumnElement[bool]) -> list[tuple[str, str]]:
        """(declaration, record) where the declaration stands and names the record, or one that it replaced."""
        record, earlier = t.record.c, t.record.alias()
        line = (
            select(record.id.label("newest"), record.id.label("named"), record.supersedes_id.label("replaced"))
            .where(signed, record.superseded_by_id.is_(None))
            .cte("line", recursive=True)
        )
        line = line.union_all(
            select(line.c.newest, earlier.c.id, earlier.c.supersedes_id).join_from(
                line, earlier, earlier.c.id == line.c.replaced
            )
        )
        query = (
            select(t.paper.c.consignment_id, line.c.newest)
            .join_from(line, t.paper, t.paper.c.record_id == line.c.named)
            .join(t.consignment, t.consignment.c.id == t.paper.c.consignment_id)
            .where(t.consignment.c.status.not_in(REFUNDED))
            .distinct()
        )
        return [(declaration, newest) for declaration, newest in self._session.execute(query)]

    def _versions_of(self, declarations: Sequence[str]) -> dict[str, int]:
        c = t.consignment.c
        found: dict[str, int] = {}
        for some in _some(declarations):
            rows = self._session.execute(select(c.id, c.version).where(c.id.in_(some)))
            found.update((declaration, version) for declaration, version in rows)
        return found

    def drawn_before(self, consignment: Consignment, certificates: Sequence[str]) -> Sequence[PlannedDrawdown]:
        """What earlier declarations that stand take from these certificates (named by their first versions).

        One for each declaration, heading and unit.
        """
        c, d = t.consignment.c, t.planned_drawdown.c
        is_earlier = or_(
            c.lodged_at < consignment.lodged_at, (c.lodged_at == consignment.lodged_at) & (c.id < consignment.id)
        )
        query = (
            select(d.heading, d.unit_code, func.max(d.quantity), func.max(d.is_shared))
            .join_from(t.planned_drawdown, t.consignment)
            .where(d.certificate_id.in_(certificates), is_earlier, c.status.not_in(REFUNDED))
            .group_by(c.id, d.heading, d.unit_code)
        )
        rows = self._session.execute(query)
        return [PlannedDrawdown("", heading, unit, quantity, bool(shared)) for heading, unit, quantity, shared in rows]

    def released(self, offices: Collection[str] | None = None) -> Sequence[Consignment]:
        """Every released consignment, or those of some customs offices, in the order of release."""
        query = select(Consignment).where(t.consignment.c.released_at.is_not(None))
        if offices is not None:
            query = query.where(t.consignment.c.customs_office.in_(offices))
        return self._all(query.order_by(t.consignment.c.released_at))

    def events(self, since: datetime | None = None, offices: Collection[str] | None = None) -> Iterator[ClearanceEvent]:
        """Every step of every declaration in the order of recording, or those recorded since then; row by row.

        ``offices`` are the codes whose declarations are asked for; None for all of them. A release that was undone is
        none to a study: what undid it is told by events of its own.
        """
        e, c, o = t.event.c, t.consignment.c, t.organisation.c
        query = (
            select(c.id, e.step, e.occurred_at, e.recorded_at, c.customs_office, o.role)
            .join_from(t.event, t.consignment)
            .join(t.organisation, e.organisation_id == o.id, isouter=True)
            .where(or_(e.step != Step.RELEASED, e.occurred_at == c.released_at))
            .order_by(e.recorded_at, c.id, e.occurred_at, e.id)
        )
        if since is not None:
            query = query.where(e.recorded_at >= since)
        if offices is not None:
            query = query.where(c.customs_office.in_(offices))
        for declaration, step, occurred, recorded, office, role in self._session.execute(query).yield_per(1000):
            yield ClearanceEvent(declaration, step, occurred, recorded, office, role and role.value)

    def in_batch(self, batch: SealedBatch) -> Sequence[Consignment]:
        """Consignments whose declaration stands in this batch."""
        query = select(Consignment).join(t.record, t.record.c.id == t.consignment.c.id)
        return self._all(query.where(t.record.c.batch_id == batch.id))

    def reference_is_taken(self, merchant: Organisation, reference: str) -> bool:
        """Whether the merchant has lodged under this number before."""
        query = select(t.consignment.c.id).where(
            t.consignment.c.merchant_id == merchant.id, t.consignment.c.reference == reference
        )
        return self._session.execute(query.limit(1)).first() is not None


class DrawdownRepository(Repository):
    """Drawdowns on certificates, and certificates' activations."""

    def find_activation(self, certificate_id: str) -> Activation | None:
        """How far the activation of this certificate has come, where one was asked for."""
        return self._session.get(Activation, certificate_id)

    def activations(self) -> Sequence[Activation]:
        """Every activation, in the order of asking."""
        return self._all(select(Activation).order_by(t.activation.c.asked_at))

    def activations_pending(self) -> Sequence[Activation]:
        """Activations that were not sent yet, in order."""
        c = t.activation.c
        query = select(Activation).where(c.transaction_id.is_(None), c.refusal.is_(None), c.is_known.is_(False))
        return self._all(query.order_by(c.asked_at))

    def activations_sent_by(self, transaction: OutboundTransaction) -> Sequence[Activation]:
        """The activation that travels with this transaction."""
        return self._all(select(Activation).where(t.activation.c.transaction_id == transaction.id))

    def all(self) -> Sequence[Drawdown]:
        """Every drawdown, in the order of asking."""
        return self._all(select(Drawdown).order_by(t.drawdown.c.asked_at))

    def of_declaration(self, declaration_id: str) -> Sequence[Drawdown]:
        """The drawdowns for one declaration, in order."""
        return self._draws(t.drawdown.c.declaration_id == declaration_id)

    def of_original(self, original_id: str) -> Sequence[Drawdown]:
        """The drawdowns on a certificate and on those that it replaced, that stand."""
        c = t.drawdown.c
        return self._draws(c.original_id == original_id, c.refusal.is_(None), c.refunded_at.is_(None))

    def of_certificate(self, certificate_id: str) -> Sequence[Drawdown]:
        """The drawdowns on one certificate that stand."""
        c = t.drawdown.c
        return self._draws(c.certificate_id == certificate_id, c.refusal.is_(None), c.refunded_at.is_(None))

    def pending(self, limit: int) -> Sequence[Drawdown]:
        """Drawdowns that were not sent yet, in order."""
        c = t.drawdown.c
        query = select(Drawdown).where(c.set_root.is_(None), c.refusal.is_(None))
        return self._all(query.order_by(c.asked_at, c.declaration_id, c.id).limit(limit))

    def in_set(self, drawdown_set: bytes) -> Sequence[Drawdown]:
        """The drawdowns of one drawdown set, by their positions."""
        query = select(Drawdown).where(t.drawdown.c.set_root == drawdown_set)
        return self._all(query.order_by(t.drawdown.c.position))

    def sent_by(self, transaction: OutboundTransaction) -> Sequence[Drawdown]:
        """The drawdowns that travel with this transaction."""
        return self._draws(t.drawdown.c.transaction_id == transaction.id)

    def refunded_by(self, transaction: OutboundTransaction) -> Sequence[Drawdown]:
        """The drawdowns that this transaction refunds."""
        return self._draws(t.drawdown.c.refund_transaction_id == transaction.id)

    def to_refund(self) -> Sequence[Drawdown]:
        """Drawdowns that are to be refunded and whose transaction for it was not made yet."""
        c = t.drawdown.c
        return self._draws(
            c.refund_asked_at.is_not(None),
            c.refund_transaction_id.is_(None),
            c.refunded_at.is_(None),
            c.set_root.is_not(None),
            c.refusal.is_(None),
        )

    def is_pending_for(self, declaration_id: str) -> bool:
        """Whether a drawdown for this declaration has never been final on the ledger yet."""
        c = t.drawdown.c
        return bool(self._draws(c.declaration_id == declaration_id, c.refusal.is_(None), c.made_at.is_(None)))

    def _draws(self, *where: ColumnElement[bool]) -> Sequence[Drawdown]:
        c = t.drawdown.c
        return self._all(select(Drawdown).where(*where).order_by(c.asked_at, c.id))
