"""Consignments, their events, and their drawdowns on certificates."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import product
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    ColumnElement,
    Select,
    bindparam,
    case,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import QueryableAttribute, defer, joinedload, raiseload, selectinload
from sqlalchemy.orm.interfaces import ORMOption

from backend.domain.consignment import (
    REFUNDED,
    Clearance,
    ClearanceEvent,
    Consignment,
    DecisionTaken,
    PlannedDrawdown,
    Step,
)
from backend.domain.drawdowns import Activation, Drawdown
from backend.domain.errors import Message, NotFound
from backend.domain.ledger import DeclarationStatus
from backend.domain.outbox import OutboundTransaction
from backend.domain.parties import Organisation, Person, Role, SigningKey
from backend.domain.records import RecordOnFile, SealedBatch, StatusChange
from backend.store import tables as t
from backend.store.database import Repository, in_portions
from backend.store.repositories.organisations import CustomsOfficeRepository


def _stands(steps: Sequence[Step], until: Step) -> ColumnElement[bool]:
    """Whether one of these steps happened to a paper of the consignment, without the step that ends it since."""
    begun, ended = t.event.alias(), t.event.alias()
    is_over = exists().where(
        ended.c.consignment_id == begun.c.consignment_id,
        ended.c.record_id == begun.c.record_id,
        ended.c.step == until,
        ended.c.recorded_at >= begun.c.recorded_at,
    )
    return exists().where(begun.c.consignment_id == t.consignment.c.id, begun.c.step.in_(steps), ~is_over)


def _has_fallen_papers() -> ColumnElement[bool]:
    """Whether a paper of the consignment was revoked or suspended, and not reinstated since."""
    return _stands([Step.PAPER_REVOKED, Step.PAPER_SUSPENDED], Step.PAPER_REINSTATED)


def _has_requests() -> ColumnElement[bool]:
    """Whether somebody asks to erase a paper of the consignment, and the office has not agreed."""
    return _stands([Step.ERASURE_REQUESTED], Step.ERASURE_AGREED)


def _has_undone_decisions() -> ColumnElement[bool]:
    e = t.event.c
    return exists().where(e.consignment_id == t.consignment.c.id, e.step == Step.DECISION_UNDONE)


def _drawn_before() -> Select[Any]:
    own, c = t.consignment.alias().c, t.consignment.c
    mine, d = t.planned_drawdown.alias().c, t.planned_drawdown.c
    each = (
        select(
            own.id,
            d.heading,
            d.unit_code,
            # Each certificate that covers the goods has a row with their whole quantity: a sum would count them several
            # times.
            func.max(d.quantity).label("quantity"),
            func.max(case((d.is_shared, 1), else_=0)).label("shared"),
        )
        .join_from(own.id.table, mine.number.table, mine.consignment_id == own.id)
        .join(t.planned_drawdown, d.certificate_id == mine.certificate_id)
        .join(t.consignment, c.id == d.consignment_id)
        .where(
            own.id.in_(bindparam("declarations", expanding=True)),
            # Of two that were lodged at the same instant the id decides, so that only one of them counts the other.
            or_(c.lodged_at < own.lodged_at, (c.lodged_at == own.lodged_at) & (c.id < own.id)),
            c.status.not_in(REFUNDED),
        )
        .group_by(own.id, c.id, d.heading, d.unit_code)
        .subquery()
    )
    key = each.c.id, each.c.heading, each.c.unit_code, each.c.shared
    return select(*key, func.sum(each.c.quantity)).group_by(*key)


def _planned_from() -> Select[Any]:
    """The same for a declaration that is not lodged yet, and so has no rows: all others come before it."""
    c, d = t.consignment.c, t.planned_drawdown.c
    each = (
        select(
            d.heading,
            d.unit_code,
            func.max(d.quantity).label("quantity"),
            func.max(case((d.is_shared, 1), else_=0)).label("shared"),
        )
        .join_from(t.planned_drawdown, t.consignment, c.id == d.consignment_id)
        .where(d.certificate_id.in_(bindparam("certificates", expanding=True)), c.status.not_in(REFUNDED))
        .group_by(c.id, d.heading, d.unit_code)
        .subquery()
    )
    key = each.c.heading, each.c.unit_code, each.c.shared
    return select(*key, func.sum(each.c.quantity)).group_by(*key)


_DRAWN_BEFORE = _drawn_before()
"""Built once, because every verdict on a declaration runs it."""
_PLANNED_FROM = _planned_from()


def _drawn_by_others() -> Select[Any]:
    d, planned = t.drawdown.c, t.planned_drawdown.c
    # A declaration plans several drawdowns on one certificate where it counts its goods in several units.
    lines = (
        select(planned.consignment_id, planned.certificate_id)
        .where(planned.consignment_id.in_(bindparam("declarations", expanding=True)))
        .distinct()
        .subquery()
    )
    key = lines.c.consignment_id, lines.c.certificate_id
    return (
        select(*key, func.sum(d.quantity))
        .join_from(lines, t.drawdown, d.original_id == lines.c.certificate_id)
        .where(d.declaration_id != lines.c.consignment_id, d.refusal.is_(None), d.refunded_at.is_(None))
        .group_by(*key)
    )


_DRAWN_BY_OTHERS = _drawn_by_others()
_SENT_OF_LINE = select(func.coalesce(func.sum(t.drawdown.c.quantity), 0)).where(
    t.drawdown.c.original_id == bindparam("original"), t.standing, t.drawdown.c.set_root.is_not(None)
)
_TO_REFUND = t.to_refund, t.drawdown.c.set_root.is_not(None), t.drawdown.c.refusal.is_(None)


def _line(with_decisions: bool = False) -> list[ORMOption]:
    """Return loader options for a row of a list, without columns and relations that the row does not show."""
    record = joinedload(_attribute(Consignment, "record"))
    unread = ["signed_jwt", "disclosures", "status_reason"]
    unfollowed = ["papers", "events", *([] if with_decisions else ["decisions"])]
    decisions = selectinload(_attribute(Consignment, "decisions"))
    change = decisions.joinedload(_attribute(DecisionTaken, "change"))
    # Raised rather than loaded: a page that asks for more would decrypt, and query, once for each of its lines.
    secret = (defer(_attribute(StatusChange, name), raiseload=True) for name in ("reason", "reason_salt"))
    return [
        *([change.options(*secret)] if with_decisions else []),
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

    def office_of(self, declaration_id: str) -> str:
        """Return the customs office of this declaration without reading the rest of it, or raise NotFound."""
        found = select(t.consignment.c.customs_office).where(t.consignment.c.id == declaration_id)
        office = self._session.scalar(found)
        if office is None:
            raise NotFound("no such consignment", id=declaration_id)
        return str(office)

    def visible_to(self, actor: Person, declaration_id: str, moment: datetime) -> Consignment:
        """The consignment, where this person may see it now; otherwise it does not exist for them (NotFound).

        Merchants see their own, officers what was declared to their office or to one that lets theirs act.
        """
        consignment = self.get(declaration_id)
        if consignment.merchant.id == actor.organisation.id:
            return consignment
        if actor.role is Role.OFFICER:
            served = CustomsOfficeRepository(self._session).jurisdiction(actor.organisation, moment)
            if consignment.customs_office in served:
                return consignment
        raise NotFound("no such declaration", id=declaration_id)

    def next_version(self, consignment: Consignment, read: int | None = None) -> None:
        """Begin a change that rests on this version; raises StaleVersion where it has moved on since."""
        self._next_version(t.consignment, consignment, read, consignment.changes_since)

    def search(
        self,
        merchant: Organisation | None = None,
        status: DeclarationStatus | None = None,
        limit: int = 100,
        after: str | None = None,
        oldest_first: bool = False,
        offices: Collection[str] | None = None,
    ) -> Sequence[Consignment]:
        """Return consignments with what verdicts on them rest on, newest first unless ``oldest_first``.

        Events and decisions are left out.

        ``after`` is the last id of the previous page, ``offices`` the codes of the customs offices, None for all.

        Raises:
            NotFound: if ``after`` is not a consignment of this merchant or these offices.
        """
        options = [
            selectinload(_attribute(Consignment, "planned_drawdowns")),
            *(raiseload(_attribute(Consignment, name)) for name in ("events", "decisions")),
        ]
        return self._pages(options, merchant, [status], offices, limit, after, oldest_first)

    def lines(
        self,
        merchant: Organisation | None = None,
        statuses: Sequence[DeclarationStatus] = (),
        limit: int = 100,
        after: str | None = None,
        oldest_first: bool = False,
        with_decisions: bool = False,
        offices: Collection[str] | None = None,
    ) -> Sequence[Consignment]:
        """Return consignments for a list: without papers and events, and without decisions unless ``with_decisions``.

        Raises:
            NotFound: if ``after`` is not a consignment of this merchant or these offices.
        """
        return self._pages(_line(with_decisions), merchant, statuses or [None], offices, limit, after, oldest_first)

    def by_reference(
        self, merchant: Organisation, limit: int, after: str | None = None, descending: bool = False
    ) -> Sequence[Consignment]:
        """Return a merchant's consignments for a list, by its own references; ``after`` as for ``lines``."""
        c = t.consignment.c
        query = select(Consignment).where(c.merchant_id == merchant.id).options(*_line())
        if after is not None:
            self._begin(after, merchant, None)
            last = self._session.scalar(select(c.reference).where(c.id == after))
            query = query.where(c.reference < last if descending else c.reference > last)
        return self._all(query.order_by(c.reference.desc() if descending else c.reference).limit(limit))

    def lines_of(self, ids: Sequence[str]) -> Sequence[Consignment]:
        """Return these consignments for a list, in the order of the ids."""
        query = select(Consignment).where(t.consignment.c.id.in_(ids)).options(*_line())
        found = {one.id: one for one in self._all(query)}
        return [found[one] for one in ids if one in found]

    def place_of(self, merchant: Organisation, declaration_id: str) -> tuple[datetime, str]:
        """Return where a merchant's declaration stands among its records; raises NotFound for anybody else's."""
        found = self.get(declaration_id)
        if found.merchant.id != merchant.id:
            raise NotFound("no such consignment", id=declaration_id)
        return found.record.recorded_at, declaration_id

    def count(self, merchant: Organisation, statuses: Sequence[DeclarationStatus], most: int) -> int:
        """Count a merchant's declarations in these statuses, or all, up to ``most``."""
        c = t.consignment.c
        some = select(c.id).where(c.merchant_id == merchant.id)
        if statuses:
            some = some.where(c.status.in_(statuses))
        return self._count(some, most)

    def _pages(
        self,
        options: Sequence[ORMOption],
        merchant: Organisation | None,
        statuses: Sequence[DeclarationStatus | None],
        offices: Collection[str] | None,
        limit: int,
        after: str | None,
        oldest_first: bool,
    ) -> Sequence[Consignment]:
        """Return one page merged from a page of each status and office, since an index can bound only one of each."""
        codes: Sequence[str | None] = [None] if offices is None else sorted(offices)
        begin = self._begin(after, merchant, offices)
        pages = [
            self._all(self._page(merchant, status, office, limit, begin, oldest_first).options(*options))
            for status, office in product(statuses, codes)
        ]
        found = [one for page in pages for one in page]
        return sorted(found, key=lambda one: (one.lodged_at, one.id), reverse=not oldest_first)[:limit]

    def _begin(
        self, after: str | None, merchant: Organisation | None, offices: Collection[str] | None
    ) -> tuple[datetime, str] | None:
        """Return the time and id after which a page begins, or None for the first page.

        Raises:
            NotFound: if ``after`` is not a consignment that this reader may see.
        """
        if after is None:
            return None
        c = t.consignment.c
        last = self._session.execute(select(c.merchant_id, c.customs_office, c.lodged_at).where(c.id == after)).first()
        is_anothers = last is not None and merchant is not None and last.merchant_id != merchant.id
        if last is None or is_anothers or (offices is not None and last.customs_office not in offices):
            raise NotFound("no such consignment", id=after)
        return last.lodged_at, after

    def _page(
        self,
        merchant: Organisation | None,
        status: DeclarationStatus | None,
        office: str | None,
        limit: int,
        begin: tuple[datetime, str] | None,
        oldest_first: bool,
    ) -> Select[Any]:
        c = t.consignment.c
        order = (c.lodged_at, c.id) if oldest_first else (c.lodged_at.desc(), c.id.desc())
        query = select(Consignment).order_by(*order).limit(limit)
        if merchant is not None:
            query = query.where(c.merchant_id == merchant.id)
        if status is not None:
            query = query.where(c.status == status)
        if office is not None:
            query = query.where(c.customs_office == office)
        if begin is not None:
            # Keyset pagination: an OFFSET would read all rows before the page, and skip some when new ones arrive.
            here, last = tuple_(c.lodged_at, c.id), tuple_(literal(begin[0], t.UtcTime()), literal(begin[1]))
            query = query.where(here > last if oldest_first else here < last)
        return query

    def counts(
        self,
        statuses: Sequence[DeclarationStatus],
        merchant: Organisation | None = None,
        offices: Collection[str] | None = None,
    ) -> dict[DeclarationStatus, int]:
        """Count the declarations in each of these statuses, of all, of a merchant, or of some offices."""
        c = t.consignment.c
        query = select(c.status, func.count()).where(c.status.in_(statuses)).group_by(c.status)
        if merchant is not None:
            query = query.where(c.merchant_id == merchant.id)
        found = dict.fromkeys(statuses, 0)
        each = [query] if offices is None else [query.where(c.customs_office == office) for office in sorted(offices)]
        for status, count in (row for one in each for row in self._session.execute(one)):
            found[status] += count
        return found

    def naming(
        self, record_id: str, merchant: Organisation, limit: int, after: str | None = None
    ) -> Sequence[Consignment]:
        """Return the merchant's consignments whose declarations name this record, newest first, as for a list.

        ``after`` is the last id of the previous page.

        Raises:
            NotFound: if ``after`` is not a declaration that names this record.
        """
        p, c = t.paper.c, t.consignment.c
        query = select(Consignment).join(t.paper, p.consignment_id == c.id).options(*_line())
        query = query.where(p.record_id == record_id, c.merchant_id == merchant.id)
        if after is not None:
            last = self._session.scalar(select(p.number).where(p.record_id == record_id, p.consignment_id == after))
            if last is None:
                raise NotFound("no such consignment", id=after)
            query = query.where(p.number < last)
        return self._all(query.order_by(p.number.desc()).limit(limit))

    def is_named(
        self,
        record_id: str,
        statuses: Sequence[DeclarationStatus] = (),
        offices: Collection[str] | None = None,
    ) -> bool:
        """Tell whether a declaration names this record.

        With ``statuses`` or ``offices``, only declarations in one of these statuses and to one of these offices count.
        """
        query = select(t.paper.c.number).where(t.paper.c.record_id == record_id)
        if statuses or offices is not None:
            query = query.join(t.consignment, t.paper.c.consignment_id == t.consignment.c.id)
        if statuses:
            query = query.where(t.consignment.c.status.in_(statuses))
        if offices is not None:
            query = query.where(t.consignment.c.customs_office.in_(offices))
        return self._session.execute(query.limit(1)).first() is not None

    def alerted(
        self,
        limit: int,
        merchant: Organisation | None = None,
        offices: Collection[str] | None = None,
        after: str | None = None,
    ) -> Sequence[Consignment]:
        """Return consignments to which something happened after a decision, the latest such first.

        ``after`` is the last id of the previous page.

        Raises:
            NotFound: if ``after`` is not a consignment of this merchant or these offices to which something happened.
        """
        c = t.consignment.c
        query = select(Consignment)
        if after is not None:
            self._begin(after, merchant, offices)
            alerted_at = self._session.scalar(select(c.alerted_at).where(c.id == after))
            if alerted_at is None:
                raise NotFound("no such consignment", id=after)
            query = query.where(tuple_(c.alerted_at, c.id) < tuple_(literal(alerted_at, t.UtcTime()), literal(after)))
        # One revoked paper alerts many at the same moment: the id tells those apart.
        query = query.order_by(c.alerted_at.desc(), c.id.desc()).limit(limit)
        found = [one for some in self._alerted(query, merchant, offices) for one in self._all(some)]
        return sorted(found, key=lambda one: (one.alerted_at, one.id), reverse=True)[:limit]

    def count_alerted(self, merchant: Organisation | None = None, offices: Collection[str] | None = None) -> int:
        """Count the consignments to which something happened after a decision."""
        query = select(func.count()).select_from(t.consignment)
        return sum(self._session.scalar(some) or 0 for some in self._alerted(query, merchant, offices))

    @staticmethod
    def _alerted(
        query: Select[Any], merchant: Organisation | None, offices: Collection[str] | None
    ) -> list[Select[Any]]:
        """Limit a query to what was alerted; of several offices each by itself, as an index holds them."""
        c = t.consignment.c
        query = query.where(c.alerted_at.is_not(None))
        if merchant is not None:
            query = query.where(c.merchant_id == merchant.id)
        return [query] if offices is None else [query.where(c.customs_office == office) for office in sorted(offices)]

    def note_about_record(
        self, on_file: RecordOnFile, step: Step, at: datetime, organisation: Organisation | None
    ) -> None:
        """Add an event to every standing declaration that relies on this record; ``organisation`` caused it."""
        self._note_about_papers(t.record.c.id == on_file.id, step, at, organisation)

    def note_about_key(self, key: SigningKey, step: Step, at: datetime, organisation: Organisation) -> None:
        """Add an event to every standing declaration that relies on a record that this key signed."""
        r, since = t.record.c, key.usable_from or key.made_at
        signed = (r.issuer_id == key.organisation.id) & (r.recorded_at >= since)
        if key.retired_at is not None:
            signed &= r.recorded_at <= key.retired_at
        self._note_about_papers(signed, step, at, organisation)

    def _note_about_papers(
        self, signed: ColumnElement[bool], step: Step, at: datetime, organisation: Organisation | None
    ) -> None:
        """Add events to the declarations that rely on records for which the condition ``signed`` holds.

        A declaration relies on the records that it names and on their newer versions. Released declarations are
        alerted, and all get a new version, because their papers changed for the next reader. No declaration is loaded,
        since there may be very many.
        """
        pairs = self._relying_on(signed)
        touched = self._note(pairs, step, at, organisation)
        is_ended = step is Step.PAPER_REINSTATED
        c = t.consignment.c
        over = ~_has_fallen_papers() & ~_has_requests()
        self._alert(touched, None if is_ended else at, over if is_ended else c.status == DeclarationStatus.RELEASED)

    def note_erasure(
        self, declarations: Sequence[str], on_file: RecordOnFile, step: Step, at: datetime, actor: Person, reason: str
    ) -> None:
        """Add to these declarations that the holder asks to erase a paper, or that the office agrees to it.

        A request alerts merchant and office; the office's consent ends the alert where nothing else stands.
        """
        pairs = [(declaration, on_file.id) for declaration in declarations]
        touched = self._note(pairs, step, at, actor.organisation, reason, actor.id)
        if step is Step.ERASURE_REQUESTED:
            self._alert(touched, at)
        else:
            self._alert(touched, None, ~_has_fallen_papers() & ~_has_requests() & ~_has_undone_decisions())

    def _note(
        self,
        pairs: Sequence[tuple[str, str]],
        step: Step,
        at: datetime,
        organisation: Organisation | None,
        note: str | None = None,
        person_id: str | None = None,
    ) -> list[str]:
        """Add an event for each (declaration, record), move the declarations' versions on, and return their ids."""
        c, touched = t.consignment.c, sorted({declaration for declaration, _ in pairs})
        for some in in_portions(touched):
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
                "note": note,
                "version": versions[declaration],
                "record_id": record,
                "person_id": person_id,
            }
            for declaration, record in pairs
        ]
        if rows:
            self._session.execute(insert(t.event), rows)
        return touched

    def _alert(self, declarations: Sequence[str], at: datetime | None, *where: ColumnElement[bool]) -> None:
        for some in in_portions(declarations):
            alert = update(t.consignment).where(t.consignment.c.id.in_(some), *where)
            self._session.execute(alert.values(alerted_at=at))

    def _relying_on(self, signed: ColumnElement[bool]) -> list[tuple[str, str]]:
        """Return (declaration, record) where a standing declaration names the record or one that it replaced."""
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
            # A declaration may name two versions of one paper.
            .distinct()
        )
        return [(declaration, newest) for declaration, newest in self._session.execute(query)]

    def _versions_of(self, declarations: Sequence[str]) -> dict[str, int]:
        c = t.consignment.c
        found: dict[str, int] = {}
        for some in in_portions(declarations):
            rows = self._session.execute(select(c.id, c.version).where(c.id.in_(some)))
            found.update((declaration, version) for declaration, version in rows)
        return found

    def drawn_before(self, consignments: Sequence[Consignment]) -> Mapping[str, Sequence[PlannedDrawdown]]:
        """Return what earlier declarations that still count take from the certificates of each of these, by its id.

        For each there is one result for each heading, unit, and whether the goods are shared with other certificates.
        """
        found: defaultdict[str, list[PlannedDrawdown]] = defaultdict(list)
        given = {"declarations": [consignment.id for consignment in consignments]}
        for declaration, heading, unit, shared, quantity in self._session.execute(_DRAWN_BEFORE, given):
            found[declaration].append(PlannedDrawdown("", heading, unit, int(quantity), bool(shared)))
        return found

    def planned_from(self, certificates: Sequence[str]) -> Sequence[PlannedDrawdown]:
        """Return what all declarations that still count take from these certificates, by the ids of first versions."""
        rows = self._session.execute(_PLANNED_FROM, {"certificates": list(certificates)})
        return [
            PlannedDrawdown("", heading, unit, int(quantity), bool(shared)) for heading, unit, shared, quantity in rows
        ]

    def clearances(
        self, limit: int, merchant: Organisation | None = None, offices: Collection[str] | None = None
    ) -> Sequence[Clearance]:
        """Return the times of the most recently released consignments, of all, of a merchant, or of some offices."""
        c = t.consignment.c
        query = select(c.lodged_at, c.released_at, c.arrived_at).where(c.released_at.is_not(None))
        if merchant is not None:
            query = query.where(c.merchant_id == merchant.id)
        query = query.order_by(c.released_at.desc()).limit(limit)
        each = [query] if offices is None else [query.where(c.customs_office == office) for office in sorted(offices)]
        found = [Clearance(*row) for one in each for row in self._session.execute(one)]
        return sorted(found, key=lambda one: one.released_at, reverse=True)[:limit]

    def events(self, since: datetime | None = None, offices: Collection[str] | None = None) -> Iterator[ClearanceEvent]:
        """Yield every declaration's events in the order of recording, or those recorded since a time.

        ``offices`` are the codes of the customs offices, None for all. A release that was undone is left out, because
        later events tell what undid it.
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
        """Return consignments whose declaration is in this batch."""
        query = select(Consignment).join(t.record, t.record.c.id == t.consignment.c.id)
        return self._all(query.where(t.record.c.batch_id == batch.id))

    def reference_is_taken(self, merchant: Organisation, reference: str) -> bool:
        """Tell whether the merchant has lodged a declaration under this reference before."""
        query = select(t.consignment.c.id).where(
            t.consignment.c.merchant_id == merchant.id, t.consignment.c.reference == reference
        )
        return self._session.execute(query.limit(1)).first() is not None

    def references_taken(self, merchant_id: str, references: Collection[str]) -> set[str]:
        """Return those of these references under which the merchant has lodged a declaration before."""
        c = t.consignment.c
        query = select(c.reference).where(c.merchant_id == merchant_id, c.reference.in_(references))
        return set(self._session.scalars(query))


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

    def drawn_by_others(self, declarations: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
        """Return what others have drawn from the certificates that each of these declarations plans to draw.

        The quantity, in thousandths of the certificate's unit, stands under the declaration's id and that of the
        certificate's first version; certificates that nobody else has drawn are left out.
        """
        found: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for declaration, original, quantity in self._session.execute(_DRAWN_BY_OTHERS, {"declarations": declarations}):
            found[declaration][original] = int(quantity)
        return found

    def drawn_from(self, originals: Sequence[str]) -> dict[str, int]:
        """Return what is drawn from certificates, in thousandths, by the ids of their first versions."""
        d = t.drawdown.c
        query = select(d.original_id, func.sum(d.quantity)).where(
            d.original_id.in_(originals), d.refusal.is_(None), d.refunded_at.is_(None)
        )
        return {original: int(sum_) for original, sum_ in self._session.execute(query.group_by(d.original_id))}

    def of_certificate(self, certificate_id: str) -> Sequence[Drawdown]:
        """Return the drawdowns on one certificate that were neither refused nor refunded."""
        return self._draws(t.drawdown.c.certificate_id == certificate_id, t.standing)

    def sent_of_line(self, original_id: str) -> int:
        """Return what our drawdowns took of all versions of a certificate, sent to the ledger and not refunded.

        ``original_id`` is the first version. The quantity is in thousandths of the certificate's unit.
        """
        return int(self._session.execute(_SENT_OF_LINE, {"original": original_id}).scalar_one())

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

    def _draws(self, *where: ColumnElement[bool]) -> Sequence[Drawdown]:
        c = t.drawdown.c
        return self._all(select(Drawdown).where(*where).order_by(c.asked_at, c.id))
