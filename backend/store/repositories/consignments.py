"""Consignments, their steps, and what they take from certificates."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import func, or_, select

from backend.domain.consignment import REFUNDED, ClearanceEvent, Consignment, PlannedDrawdown
from backend.domain.errors import Message, NotFound
from backend.domain.ledger import DeclarationStatus
from backend.domain.parties import Organisation
from backend.domain.records import (
    SealedBatch,
)
from backend.store import tables as t
from backend.store.repositories.base import Repository


class ConsignmentRepository(Repository):
    """Consignments under their declarations, and their events."""

    def get(self, declaration_id: str) -> Consignment:
        """The consignment under this declaration."""
        return self._get(Consignment, declaration_id, Message("no such consignment"))

    def search(
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
            last = self.get(after)
            if merchant is not None and last.merchant.id != merchant.id:
                raise NotFound("no such consignment", id=after)
            query = query.where(or_(c.lodged_at < last.lodged_at, (c.lodged_at == last.lodged_at) & (c.id > last.id)))
        return self._all(query)

    def naming(self, record_id: str) -> Sequence[Consignment]:
        """Consignments whose declaration names this record."""
        query = select(Consignment).join(t.paper, t.paper.c.consignment_id == t.consignment.c.id)
        return self._all(query.where(t.paper.c.record_id == record_id))

    def drawn_before(self, consignment: Consignment, certificates: Sequence[str]) -> Sequence[PlannedDrawdown]:
        """What earlier declarations that stand take from these certificates (the first of their lines).

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

    def released(self) -> Sequence[Consignment]:
        """Every released consignment, in the order of release."""
        query = select(Consignment).where(t.consignment.c.released_at.is_not(None))
        return self._all(query.order_by(t.consignment.c.released_at))

    def events(self, since: datetime | None = None) -> Iterator[ClearanceEvent]:
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
