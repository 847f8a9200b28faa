"""Consignments, their events, and their drawdowns on certificates."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, case, func, literal, or_, select, tuple_
from sqlalchemy.orm import QueryableAttribute, defer, joinedload, raiseload, selectinload
from sqlalchemy.orm.interfaces import ORMOption

from backend.domain.consignment import REFUNDED, Clearance, ClearanceEvent, Consignment, PlannedDrawdown
from backend.domain.drawdowns import Activation, Drawdown
from backend.domain.errors import Message, NotFound
from backend.domain.ledger import DeclarationStatus
from backend.domain.outbox import OutboundTransaction
from backend.domain.parties import Organisation
from backend.domain.records import RecordOnFile, SealedBatch
from backend.store import tables as t
from backend.store.database import Repository


def _drawn_before() -> Select[Any]:
    c, d, lodged = t.consignment.c, t.planned_drawdown.c, bindparam("lodged_at", type_=t.UtcTime())
    is_earlier = or_(c.lodged_at < lodged, (c.lodged_at == lodged) & (c.id < bindparam("declaration")))
    each = (
        select(
            d.heading,
            d.unit_code,
            func.max(d.quantity).label("quantity"),
            func.max(case((d.is_shared, 1), else_=0)).label("shared"),
        )
        .join_from(t.planned_drawdown, t.consignment)
        .where(d.certificate_id.in_(bindparam("certificates", expanding=True)), is_earlier, c.status.not_in(REFUNDED))
        .group_by(c.id, d.heading, d.unit_code)
        .subquery()
    )
    key = each.c.heading, each.c.unit_code, each.c.shared
    return select(*key, func.sum(each.c.quantity)).group_by(*key)


_DRAWN_BEFORE = _drawn_before()
"""Built once, because a page of the customs desk runs it for every line."""
_DRAWN_BY_OTHERS = select(func.coalesce(func.sum(t.drawdown.c.quantity), 0)).where(
    t.drawdown.c.original_id == bindparam("original"),
    t.drawdown.c.declaration_id != bindparam("declaration"),
    t.drawdown.c.refusal.is_(None),
    t.drawdown.c.refunded_at.is_(None),
)
_TO_REFUND = t.to_refund, t.drawdown.c.set_root.is_not(None), t.drawdown.c.refusal.is_(None)


def _line(with_decisions: bool = False) -> list[ORMOption]:
    """Return loader options for a row of a list, without columns and relations that the row does not show."""
    record = joinedload(_attribute(Consignment, "record"))
    unread = ["signed_jwt", "disclosures", "status_reason"]
    unfollowed = ["papers", "events", *([] if with_decisions else ["decisions"])]
    return [
        # raiseload: a list that touches an omitted field fails at once instead of sending one query per row.
        record.options(*(defer(_attribute(RecordOnFile, name), raiseload=True) for name in unread)),
        record.options(*(raiseload(_attribute(RecordOnFile, name)) for name in ("issuer", "holder", "product"))),
        *(raiseload(_attribute(Consignment, name)) for name in unfollowed),
    ]


def _attribute(entity: type[Any], name: str) -> QueryableAttribute[Any]:
    """Return the mapped attribute of a domain class's field, which type checkers see as a plain value."""
    found: QueryableAttribute[Any] = getattr(entity, name)
    return found


class ConsignmentRepository(Repository):
    """Consignments, by the id of their declaration, and their events."""

    def get(self, declaration_id: str) -> Consignment:
        """Return the consignment of this declaration, or raise NotFound."""
        return self._get(Consignment, declaration_id, Message("no such consignment"))

    def search(
        self,
        merchant: Organisation | None = None,
        status: DeclarationStatus | None = None,
        limit: int = 100,
        after: str | None = None,
        oldest_first: bool = False,
    ) -> Sequence[Consignment]:
        """Return whole consignments, newest first unless ``oldest_first``.

        ``after`` is the last id of the previous page.

        Raises:
            NotFound: if ``after`` is not a consignment of this merchant.
        """
        whole = self._page(merchant, status, limit, after, oldest_first)
        return self._all(whole.options(selectinload(_attribute(Consignment, "planned_drawdowns"))))

    def lines(
        self,
        merchant: Organisation | None = None,
        statuses: Sequence[DeclarationStatus] = (),
        limit: int = 100,
        after: str | None = None,
        oldest_first: bool = False,
        with_decisions: bool = False,
    ) -> Sequence[Consignment]:
        """Return consignments for a list: without papers and events, and without decisions unless ``with_decisions``.

        Raises:
            NotFound: if ``after`` is not a consignment of this merchant.
        """
        light = _line(with_decisions)
        # One query per status: an index keeps the order only within one status, so each reads no more than a page.
        pages = [
            self._all(self._page(merchant, status, limit, after, oldest_first).options(*light))
            for status in (statuses or (None,))
        ]
        found = [one for page in pages for one in page]
        return sorted(found, key=lambda one: (one.lodged_at, one.id), reverse=not oldest_first)[:limit]

    def _page(
        self,
        merchant: Organisation | None,
        status: DeclarationStatus | None,
        limit: int,
        after: str | None,
        oldest_first: bool,
    ) -> Select[Any]:
        c = t.consignment.c
        order = (c.lodged_at, c.id) if oldest_first else (c.lodged_at.desc(), c.id.desc())
        query = select(Consignment).order_by(*order).limit(limit)
        if merchant is not None:
            query = query.where(c.merchant_id == merchant.id)
        if status is not None:
            query = query.where(c.status == status)
        if after is not None:
            owner = self._session.execute(select(c.merchant_id, c.lodged_at).where(c.id == after)).first()
            # Another merchant's id must not be confirmed by a different answer.
            if owner is None or (merchant is not None and owner.merchant_id != merchant.id):
                raise NotFound("no such consignment", id=after)
            # Keyset pagination: an OFFSET would read all rows before the page, and skip some when new ones arrive.
            here, last = tuple_(c.lodged_at, c.id), tuple_(literal(owner.lodged_at, t.UtcTime()), literal(after))
            query = query.where(here > last if oldest_first else here < last)
        return query

    def counts(
        self, statuses: Sequence[DeclarationStatus], merchant: Organisation | None = None
    ) -> dict[DeclarationStatus, int]:
        """Count the declarations in each of these statuses, of all merchants or of one."""
        c = t.consignment.c
        query = select(c.status, func.count()).where(c.status.in_(statuses)).group_by(c.status)
        if merchant is not None:
            query = query.where(c.merchant_id == merchant.id)
        return dict.fromkeys(statuses, 0) | dict([tuple(row) for row in self._session.execute(query)])

    def naming(self, record_id: str, merchant: Organisation, limit: int) -> Sequence[Consignment]:
        """Return the merchant's consignments whose declarations name this record, newest first, as for a list."""
        p, c = t.paper.c, t.consignment.c
        query = select(Consignment).join(t.paper, p.consignment_id == c.id).options(*_line())
        query = query.where(p.record_id == record_id, c.merchant_id == merchant.id)
        return self._all(query.order_by(p.number.desc()).limit(limit))

    def is_named(self, record_id: str, statuses: Sequence[DeclarationStatus] = ()) -> bool:
        """Tell whether any declaration names this record, or one that is in one of these statuses."""
        query = select(t.paper.c.number).where(t.paper.c.record_id == record_id)
        if statuses:
            query = query.join(t.consignment, t.paper.c.consignment_id == t.consignment.c.id)
            query = query.where(t.consignment.c.status.in_(statuses))
        return self._session.execute(query.limit(1)).first() is not None

    def drawn_before(self, consignment: Consignment, certificates: Sequence[str]) -> Sequence[PlannedDrawdown]:
        """Return what earlier declarations that still count take from these certificates.

        ``certificates`` are the ids of first versions. There is one result for each heading, unit, and whether the
        goods are shared with other certificates.
        """
        if not certificates:
            return []
        given = {"certificates": certificates, "lodged_at": consignment.lodged_at, "declaration": consignment.id}
        return [
            PlannedDrawdown("", heading, unit, int(quantity), bool(shared))
            for heading, unit, shared, quantity in self._session.execute(_DRAWN_BEFORE, given)
        ]

    def clearances(self, limit: int, merchant: Organisation | None = None) -> Sequence[Clearance]:
        """Return the times of the most recently released consignments, of all merchants or of one."""
        c = t.consignment.c
        query = select(c.lodged_at, c.released_at, c.arrived_at).where(c.released_at.is_not(None))
        if merchant is not None:
            query = query.where(c.merchant_id == merchant.id)
        return [Clearance(*row) for row in self._session.execute(query.order_by(c.released_at.desc()).limit(limit))]

    def events(self, since: datetime | None = None) -> Iterator[ClearanceEvent]:
        """Yield every declaration's events in the order of recording, or those recorded since a time."""
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
        """Return consignments whose declaration is in this batch."""
        query = select(Consignment).join(t.record, t.record.c.id == t.consignment.c.id)
        return self._all(query.where(t.record.c.batch_id == batch.id))

    def reference_is_taken(self, merchant: Organisation, reference: str) -> bool:
        """Tell whether the merchant has lodged a declaration under this reference before."""
        query = select(t.consignment.c.id).where(
            t.consignment.c.merchant_id == merchant.id, t.consignment.c.reference == reference
        )
        return self._session.execute(query.limit(1)).first() is not None


class DrawdownRepository(Repository):
    """Drawdowns on certificates, and certificates' activations."""

    def find_activation(self, certificate_id: str) -> Activation | None:
        """Return this certificate's activation, or None where none was requested."""
        return self._session.get(Activation, certificate_id)

    def activations(self) -> Sequence[Activation]:
        """Return every activation, in the order of the requests."""
        return self._all(select(Activation).order_by(t.activation.c.asked_at))

    def activations_pending(self) -> Sequence[Activation]:
        """Return activations that were not sent yet, in the order of the requests."""
        return self._all(select(Activation).where(t.activation_pending).order_by(t.activation.c.asked_at))

    def has_pending(self) -> bool:
        """Tell whether an activation, a drawdown or a refund waits to be sent."""
        sought = (
            select(t.activation.c.certificate_id).where(t.activation_pending),
            select(t.drawdown.c.id).where(t.drawdown_pending),
            select(t.drawdown.c.id).where(*_TO_REFUND),
        )
        return any(self._session.execute(query.limit(1)).first() is not None for query in sought)

    def activations_sent_by(self, transaction: OutboundTransaction) -> Sequence[Activation]:
        """Return the activations that this transaction carries."""
        return self._all(select(Activation).where(t.activation.c.transaction_id == transaction.id))

    def all(self) -> Sequence[Drawdown]:
        """Return every drawdown, in the order of the requests."""
        return self._all(select(Drawdown).order_by(t.drawdown.c.asked_at))

    def of_declaration(self, declaration_id: str) -> Sequence[Drawdown]:
        """Return the drawdowns of one declaration, in order."""
        return self._draws(t.drawdown.c.declaration_id == declaration_id)

    def drawn_by_others(self, original_id: str, declaration_id: str) -> int:
        """Return what other declarations have drawn from a certificate and its earlier versions.

        The quantity is in thousandths of the certificate's unit.
        """
        given = {"original": original_id, "declaration": declaration_id}
        return int(self._session.execute(_DRAWN_BY_OTHERS, given).scalar_one())

    def of_certificate(self, certificate_id: str) -> Sequence[Drawdown]:
        """Return the drawdowns on one certificate that were neither refused nor refunded."""
        c = t.drawdown.c
        return self._draws(c.certificate_id == certificate_id, c.refusal.is_(None), c.refunded_at.is_(None))

    def pending(self, limit: int) -> Sequence[Drawdown]:
        """Return drawdowns that were not sent yet, in the order of the requests."""
        c = t.drawdown.c
        query = select(Drawdown).where(t.drawdown_pending)
        return self._all(query.order_by(c.asked_at, c.declaration_id, c.id).limit(limit))

    def in_set(self, drawdown_set: bytes) -> Sequence[Drawdown]:
        """Return the drawdowns of one drawdown set, by their positions."""
        query = select(Drawdown).where(t.drawdown.c.set_root == drawdown_set)
        return self._all(query.order_by(t.drawdown.c.position))

    def sent_by(self, transaction: OutboundTransaction) -> Sequence[Drawdown]:
        """Return the drawdowns that this transaction carries."""
        return self._draws(t.drawdown.c.transaction_id == transaction.id)

    def refunded_by(self, transaction: OutboundTransaction) -> Sequence[Drawdown]:
        """Return the drawdowns that this transaction refunds."""
        return self._draws(t.drawdown.c.refund_transaction_id == transaction.id)

    def to_refund(self) -> Sequence[Drawdown]:
        """Return drawdowns that are to be refunded and have no transaction for it yet."""
        return self._draws(*_TO_REFUND)

    def is_pending_for(self, declaration_id: str) -> bool:
        """Tell whether a drawdown of this declaration is not final on the ledger yet."""
        c = t.drawdown.c
        query = select(c.id).where(c.declaration_id == declaration_id, c.refusal.is_(None), c.made_at.is_(None))
        return self._session.execute(query.limit(1)).first() is not None

    def _draws(self, *where: ColumnElement[bool]) -> Sequence[Drawdown]:
        c = t.drawdown.c
        return self._all(select(Drawdown).where(*where).order_by(c.asked_at, c.id))
