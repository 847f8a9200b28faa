"""Products, records with their status changes, attachments, retention, and merchants' requests to issuers."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Tuple, delete, exists, func, literal, or_, select, tuple_, union_all

from backend.domain.consignment import Event, Step
from backend.domain.errors import LaterChange, Message, NotFound
from backend.domain.kinds import ISSUERS, Kind
from backend.domain.ledger import DocumentStatus
from backend.domain.outbox import OPEN_STATES, IdempotencyRecord, OutboundTransaction
from backend.domain.parties import Organisation
from backend.domain.records import (
    ConfirmationRequest,
    Product,
    RecordOnFile,
    RequestState,
    StatusChange,
    StoredFile,
    plain_number,
)
from backend.store import tables as t
from backend.store.database import Repository


class ProductRepository(Repository):
    """Merchants' products."""

    def get(self, product_id: str, merchant: Organisation) -> Product:
        """Return the merchant's product with this id. Raise NotFound also for another merchant's."""
        product = self._get(Product, product_id, Message("no such product"))
        # The same error as for an unknown id, so that ids of other merchants cannot be tested.
        if product.merchant.id != merchant.id:
            raise NotFound("no such product", id=product_id)
        return product

    def of(self, merchant: Organisation, limit: int = 50, after: str | None = None) -> Sequence[Product]:
        """Return the merchant's products, newest first; ``after`` is the last id of the previous page.

        Raises:
            NotFound: if ``after`` is not a product of this merchant.
        """
        c = t.product.c
        query = select(Product).where(c.merchant_id == merchant.id)
        if after is not None:
            last = self.get(after, merchant)
            query = query.where(
                tuple_(c.added_at, c.id) < tuple_(literal(last.added_at, t.UtcTime()), literal(last.id))
            )
        return self._all(query.order_by(c.added_at.desc(), c.id.desc()).limit(limit))

    def has_any(self, merchant: Organisation) -> bool:
        """Tell whether the merchant has a product."""
        query = select(t.product.c.id).where(t.product.c.merchant_id == merchant.id)
        return self._session.execute(query.limit(1)).first() is not None


class RecordRepository(Repository):
    """Signed records."""

    def get(self, record_id: str) -> RecordOnFile:
        """Return the record with this id, or raise NotFound."""
        return self._get(RecordOnFile, record_id, Message("no such record"))

    def next_version(self, on_file: RecordOnFile, read: int | None = None) -> None:
        """Begin a change that rests on this version; raises StaleVersion where it has moved on since."""
        self._next_version(t.record, on_file, read, lambda version: self._changes_since(on_file, version))

    def _changes_since(self, on_file: RecordOnFile, version: int) -> list[LaterChange]:
        query = select(StatusChange).where(t.status_change.c.record_id == on_file.id)
        replaced_by = self.get(on_file.superseded_by_id).issuer if on_file.superseded_by_id else on_file.issuer
        changes = [
            LaterChange(
                on_file.status_name(change.new_status),
                change.asked_at,
                (replaced_by if change.new_status == DocumentStatus.SUPERSEDED else on_file.issuer).name,
                None,
                change.reason,
            )
            for change in self._all(query)
        ]
        e, steps = t.event.c, (Step.ERASURE_REQUESTED, Step.ERASURE_AGREED)
        noted = select(Event).where(e.record_id == on_file.id, e.step.in_(steps))
        # One act leaves an event with each declaration that relies on the record.
        acts = {(event.step, event.recorded_at): event for event in self._all(noted)}
        changes += [
            LaterChange(
                event.step.value,
                event.recorded_at,
                event.organisation and event.organisation.name,
                event.person_id,
                event.note,
            )
            for event in acts.values()
        ]
        if on_file.erased_at is not None:
            changes.append(LaterChange("ERASED", on_file.erased_at, on_file.holder.name))
        # Every change counts one version, so the last so many are those since.
        return sorted(changes, key=lambda change: change.at)[-max(on_file.version - version, 1) :]

    def original_of(self, on_file: RecordOnFile) -> RecordOnFile:
        """Return the first version of a record, by following what each version replaced."""
        # A cycle, which only an altered database can hold, must not stop the server; the same in ``latest_of``.
        seen = {on_file.id}
        while on_file.supersedes_id is not None and on_file.supersedes_id not in seen:
            on_file = self.get(on_file.supersedes_id)
            seen.add(on_file.id)
        return on_file

    def latest_of(self, on_file: RecordOnFile) -> RecordOnFile:
        """Return the newest version of a record, by following what replaced each version."""
        seen = {on_file.id}
        while on_file.superseded_by_id is not None and on_file.superseded_by_id not in seen:
            on_file = self.get(on_file.superseded_by_id)
            seen.add(on_file.id)
        return on_file

    def line_of(self, on_file: RecordOnFile) -> list[RecordOnFile]:
        """Return all versions of a record, the newest first."""
        line = [self.latest_of(on_file)]
        while line[-1].supersedes_id is not None and line[-1].supersedes_id not in {one.id for one in line}:
            line.append(self.get(line[-1].supersedes_id))
        return line

    def readable_of(self, organisation: Organisation) -> Iterator[RecordOnFile]:
        """Yield all records that the organisation holds or signed and that were not erased, read in portions."""
        mine = or_(t.record.c.holder_id == organisation.id, t.record.c.issuer_id == organisation.id)
        query = select(RecordOnFile).where(mine, t.record.c.erased_at.is_(None)).order_by(t.record.c.id)
        return iter(self._session.scalars(query.execution_options(yield_per=500)))

    def find_by_digest(self, digest: str) -> RecordOnFile | None:
        """Return the record whose signed text has this SHA-256 (hex), or None."""
        return self._one(select(RecordOnFile).where(t.record.c.digest == digest), RecordOnFile)

    def find_by_label(self, label_code: str) -> RecordOnFile | None:
        """Return the record of this label code, or None."""
        return self._one(select(RecordOnFile).where(t.record.c.label_code == label_code), RecordOnFile)

    def of(
        self,
        organisation: Organisation,
        kinds: Sequence[Kind] = tuple(Kind),
        limit: int = 500,
        after: str | None = None,
        current: bool = False,
        in_force: bool = False,
    ) -> Sequence[RecordOnFile]:
        """Return what a merchant holds or an issuer signed, newest first.

        ``after`` is the last id of the previous page. ``current`` leaves out replaced records, ``in_force`` also
        suspended and revoked ones.

        Raises:
            NotFound: if ``after`` is not a record of this organisation.
        """
        c = t.record.c
        owner = c.issuer_id if organisation.role in ISSUERS else c.holder_id
        last = self._place(organisation, after) if after is not None else None

        def newest(kind: Kind) -> Select[Any]:
            # Each kind by itself, since an index can keep the order of one: no more than a page is read of any.
            query = select(c.id, c.recorded_at).where(owner == organisation.id, c.kind == kind)
            if current or in_force:
                query = query.where(c.superseded_by_id.is_(None))
            if in_force:
                query = query.where(c.status == int(DocumentStatus.ACTIVE))
            if last is not None:
                query = query.where(tuple_(c.recorded_at, c.id) < last)
            one = query.order_by(c.recorded_at.desc(), c.id.desc()).limit(limit).subquery()
            return select(one.c.id, one.c.recorded_at)

        page = union_all(*map(newest, kinds)).subquery()
        ids = select(page.c.id).order_by(page.c.recorded_at.desc(), page.c.id.desc()).limit(limit)
        return self._in_order(self._session.scalars(ids).all())

    def _place(self, organisation: Organisation, record_id: str) -> Tuple:
        last = self.get(record_id)
        if organisation.id not in (last.holder.id, last.issuer.id):
            raise NotFound("no such record", id=record_id)
        return tuple_(literal(last.recorded_at, t.UtcTime()), literal(last.id))

    def _in_order(self, ids: Sequence[str]) -> Sequence[RecordOnFile]:
        found = {one.id: one for one in self._all(select(RecordOnFile).where(t.record.c.id.in_(ids)))}
        return [found[one] for one in ids]

    def has_any(self, holder: Organisation) -> bool:
        """Tell whether a merchant holds a record of any kind."""
        query = select(t.record.c.id).where(t.record.c.holder_id == holder.id)
        return self._session.execute(query.limit(1)).first() is not None

    def about(self, product: Product, limit: int, after: str | None = None) -> Sequence[RecordOnFile]:
        """Return the records about a product that nothing replaced, newest first.

        ``after`` is the last id of the previous page.

        Raises:
            NotFound: if ``after`` is not a record about this product.
        """
        found: list[RecordOnFile] = []
        page = self._about(product, limit, after)
        # The index does not know what was replaced: replaced ones are passed over until the page is full.
        while page and len(found) < limit:
            found += [one for one in page if one.superseded_by_id is None]
            page = self._about(product, limit, page[-1].id) if len(page) == limit else ()
        return found[:limit]

    def _about(self, product: Product, limit: int, after: str | None) -> Sequence[RecordOnFile]:
        c = t.record.c
        query = select(RecordOnFile).where(c.product_id == product.id)
        if after is not None:
            last = self.get(after)
            if last.product is None or last.product.id != product.id:
                raise NotFound("no such record", id=after)
            query = query.where(
                tuple_(c.recorded_at, c.id) < tuple_(literal(last.recorded_at, t.UtcTime()), literal(last.id))
            )
        return self._all(query.order_by(c.recorded_at.desc(), c.id.desc()).limit(limit))

    def signed_by(self, issuer: Organisation, since: datetime) -> Sequence[RecordOnFile]:
        """Return the records that an organisation signed and that were stored since a time, oldest first."""
        c = t.record.c
        # Every kind by name: the index holds an issuer's records kind by kind, each in the order of time.
        query = select(RecordOnFile).where(c.issuer_id == issuer.id, c.kind.in_(tuple(Kind)), c.recorded_at >= since)
        return self._all(query.order_by(c.recorded_at))

    def count_signed_by(self, issuer: Organisation, most: int) -> int:
        """Count the records that an organisation signed, up to ``most``."""
        some = select(t.record.c.id).where(t.record.c.issuer_id == issuer.id).limit(most)
        return self._session.scalar(select(func.count()).select_from(some.subquery())) or 0

    def number_is_taken(self, issuer: Organisation, kind: Kind, number: str) -> bool:
        """Tell whether the issuer has issued this number before, regardless of spacing and case."""
        query = select(t.record.c.id).where(
            t.issued,
            t.record.c.issuer_id == issuer.id,
            t.record.c.kind == kind,
            t.record.c.number == plain_number(number),
        )
        return self._session.execute(query.limit(1)).first() is not None


class IdempotencyRepository(Repository):
    """Requests that were answered under an idempotency key."""

    def delete_for(self, resource_id: str) -> None:
        """Forget which requests led to a thing, and what they were told."""
        self._delete(select(IdempotencyRecord).where(t.idempotency_record.c.resource_id == resource_id))

    def delete_before(self, moment: datetime, most: int) -> None:
        """Forget the oldest answers, as far as they were given before a moment, and at most so many at once."""
        given = t.idempotency_record.c.answered_at
        self._delete(select(IdempotencyRecord).where(given < moment).order_by(given).limit(most))

    def delete(self, record: IdempotencyRecord) -> None:
        """Forget one answer; its key may be used again in the same unit of work."""
        self._session.delete(record)
        self._session.flush()

    def _delete(self, query: Select[Any]) -> None:
        """Forget these one by one: the keys of what is encrypted are destroyed only with objects of the session."""
        for record in self._all(query):
            self._session.delete(record)
        self._session.flush()

    def find(self, person_id: str, key: str) -> IdempotencyRecord | None:
        """Return the record of this person's request with this idempotency key, or None."""
        return self._session.get(IdempotencyRecord, (person_id, key))


class FileRepository(Repository):
    """The attachments that are stored, and their owners."""

    def hold(self, sha256: str) -> None:
        """Keep others from deleting the file, until the end of the unit of work; see ``Work.alone``."""
        self._hold(sha256)

    def delete(self, sha256: str, owners: Collection[str]) -> None:
        """Delete that these organisations uploaded a file; others may have uploaded the same one."""
        c = t.stored_file.c
        self._session.execute(delete(t.stored_file).where(c.sha256 == sha256, c.owner_id.in_(owners)))

    def is_named(self, sha256: str) -> bool:
        """Tell whether any organisation has uploaded this file."""
        query = select(t.stored_file.c.sha256).where(t.stored_file.c.sha256 == sha256)
        return self._session.execute(query.limit(1)).first() is not None

    def find(self, sha256: str, owner: Organisation) -> StoredFile | None:
        """Return the attachment with this digest as this organisation uploaded it, or None."""
        return self._session.get(StoredFile, (sha256, owner.id))

    def all(self) -> Sequence[StoredFile]:
        """Return every attachment, once for each organisation that uploaded it."""
        return self._all(select(StoredFile).order_by(t.stored_file.c.sha256))


class RequestRepository(Repository):
    """Merchants' requests to issuers."""

    def get(self, request_id: str) -> ConfirmationRequest:
        """Return the request with this id, or raise NotFound."""
        return self._get(ConfirmationRequest, request_id, Message("no such request"))

    def next_version(self, request: ConfirmationRequest) -> None:
        """Begin to answer; raises Conflict where somebody else answers at the same moment."""
        self._next_version(t.request, request, None, lambda version: ())

    def search(
        self, party: Organisation, state: RequestState | None = None, limit: int = 50, after: str | None = None
    ) -> Sequence[ConfirmationRequest]:
        """Return the requests to an issuer or of a merchant: the longest waiting first in an open state, else newest.

        ``after`` is the last id of the previous page.

        Raises:
            NotFound: if ``after`` is not a request of this issuer or merchant.
        """
        c, last, oldest_first = t.request.c, None, state is not None and state.is_open
        if after is not None:
            before = self.get(after)
            if party.id not in (before.issuer.id, before.merchant.id):
                raise NotFound("no such request", id=after)
            last = tuple_(literal(before.made_at, t.UtcTime()), literal(before.id))
        found: list[ConfirmationRequest] = []
        for one in (state,) if state is not None else RequestState:  # each by itself: an index keeps its order
            query = select(ConfirmationRequest).where(self._is_of(party), c.state == one)
            if last is not None:
                query = query.where(tuple_(c.made_at, c.id) > last if oldest_first else tuple_(c.made_at, c.id) < last)
            order = (c.made_at, c.id) if oldest_first else (c.made_at.desc(), c.id.desc())
            found += self._all(query.order_by(*order).limit(limit))
        return sorted(found, key=lambda one: (one.made_at, one.id), reverse=not oldest_first)[:limit]

    def count(self, party: Organisation, state: RequestState) -> int:
        """Count the requests to an issuer or of a merchant in this state."""
        query = select(func.count()).select_from(t.request).where(self._is_of(party), t.request.c.state == state)
        return self._session.scalar(query) or 0

    @staticmethod
    def _is_of(party: Organisation) -> ColumnElement[bool]:
        return (t.request.c.issuer_id if party.role in ISSUERS else t.request.c.merchant_id) == party.id

    def with_content(self, merchant: Organisation, content: str) -> Sequence[ConfirmationRequest]:
        """Return the merchant's requests whose statement has exactly this content, at most nine."""
        c = t.request.c
        return self._all(select(ConfirmationRequest).where(c.merchant_id == merchant.id, c.content == content).limit(9))

    def for_statements(self, record_ids: Collection[str]) -> dict[str, ConfirmationRequest]:
        """Return the requests in which these statements were submitted, by the statement's id."""
        found = self._all(select(ConfirmationRequest).where(t.request.c.statement_id.in_(record_ids)))
        return {one.statement.id: one for one in found}

    def count_waiting(self, issuer: Organisation, most: int) -> int:
        """Count the requests that wait for an issuer, up to ``most``."""
        c = t.request.c
        some = select(c.id).where(c.issuer_id == issuer.id, c.state == RequestState.WAITING).limit(most)
        return self._session.scalar(select(func.count()).select_from(some.subquery())) or 0

    def find_about(self, record_id: str) -> ConfirmationRequest | None:
        """Return the request that submitted this statement or that this record confirmed, or None."""
        about = or_(t.request.c.statement_id == record_id, t.request.c.confirmed_id == record_id)
        return self._one(select(ConfirmationRequest).where(about), ConfirmationRequest)


class StatusChangeRepository(Repository):
    """Status changes on their way to the ledger."""

    def settled(self) -> Sequence[StatusChange]:
        """Return status changes that needed no transaction."""
        return self._all(select(StatusChange).where(t.status_change.c.settled.is_not(None)))

    def sent_by(self, transaction: OutboundTransaction) -> Sequence[StatusChange]:
        """Return the status changes that this transaction carries."""
        return self._all(select(StatusChange).where(t.status_change.c.transaction_id == transaction.id))

    def pending(self) -> Sequence[StatusChange]:
        """Return status changes that were not sent yet, in the order of the requests."""
        return self._all(select(StatusChange).where(t.change_pending).order_by(t.status_change.c.asked_at))

    def has_pending(self) -> bool:
        """Tell whether a status change waits to be sent."""
        return self._session.execute(select(t.status_change.c.id).where(t.change_pending).limit(1)).first() is not None

    def is_in_flight(self) -> bool:
        """Tell whether a transaction that changes statuses is still open."""
        query = (
            select(t.status_change.c.id)
            .join(t.outbound_transaction)
            .where(t.outbound_transaction.c.state.in_(OPEN_STATES))
        )
        return self._session.execute(query.limit(1)).first() is not None

    def of_record(self, record_id: str) -> Sequence[StatusChange]:
        """Return a record's status changes, in the order of the requests."""
        query = select(StatusChange).where(t.status_change.c.record_id == record_id)
        return self._all(query.order_by(t.status_change.c.asked_at))


@dataclass(frozen=True)
class Keeper:
    """A declaration that papers are kept for, and the code of the customs office to which it was lodged."""

    declaration_id: str
    customs_office: str


class RetentionRepository(Repository):
    """Which declarations papers are still kept for, and whether their offices agreed to an erasure (decision 0022).

    A ``line`` is all versions of a record, the newest first: they are kept together.
    """

    def latest(self, line: Sequence[RecordOnFile]) -> datetime | None:
        """Return the end of the longest period in which declarations keep this line, or None where none names it."""
        p = t.paper.c
        ends = [
            self._session.scalar(
                select(p.kept_until).where(p.record_id == one.id).order_by(p.kept_until.desc()).limit(1)
            )
            for one in line
        ]
        return max((end for end in ends if end is not None), default=None)

    def keepers(
        self,
        line: Sequence[RecordOnFile],
        after: datetime,
        *,
        asked: bool | None = None,
        offices: Collection[str] | None = None,
        limit: int | None = None,
    ) -> list[Keeper]:
        """Return declarations that keep this line beyond a moment and whose office has not agreed to its erasure.

        ``asked`` limits them to those for which the holder has asked for consent, or has not; ``offices`` to those
        lodged with these offices. Requests and consents name the newest version, so that those before it do not count:
        they were about another text.
        """
        p, c = t.paper.c, t.consignment.c
        query = select(c.id, c.customs_office).join_from(t.paper, t.consignment, p.consignment_id == c.id)
        query = query.where(p.record_id.in_([one.id for one in line]), p.kept_until > after)
        query = query.where(~_noted(Step.ERASURE_AGREED, line))
        if asked is not None:
            noted = _noted(Step.ERASURE_REQUESTED, line)
            query = query.where(noted if asked else ~noted)
        if offices is not None:
            query = query.where(c.customs_office.in_(offices))
        if limit is not None:
            query = query.limit(limit)
        return [Keeper(*row) for row in dict.fromkeys(tuple(row) for row in self._session.execute(query))]

    def request(self, newest: RecordOnFile) -> Event | None:
        """Return the holder's latest request to let this version and those before it be erased, or None."""
        e = t.event.c
        query = select(Event).where(e.record_id == newest.id, e.step == Step.ERASURE_REQUESTED)
        return self._one(query.order_by(e.recorded_at.desc()), Event)


def _noted(step: Step, line: Sequence[RecordOnFile]) -> ColumnElement[bool]:
    e = t.event.c
    return exists().where(e.consignment_id == t.consignment.c.id, e.step == step, e.record_id == line[0].id)
