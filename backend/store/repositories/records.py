"""Products, records with their changes of status, attachments, and merchants' requests to issuers."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from sqlalchemy import delete, func, or_, select

from backend.domain.errors import LaterChange, Message, NotFound
from backend.domain.kinds import Kind
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
        """The merchant's product with this id; another's is not found."""
        product = self._get(Product, product_id, Message("no such product"))
        if product.merchant.id != merchant.id:
            raise NotFound("no such product", id=product_id)
        return product

    def of(self, merchant: Organisation) -> Sequence[Product]:
        """The merchant's products, newest first."""
        query = select(Product).where(t.product.c.merchant_id == merchant.id)
        return self._all(query.order_by(t.product.c.added_at.desc()))


class RecordRepository(Repository):
    """Signed records on file."""

    def get(self, record_id: str) -> RecordOnFile:
        """The record with this id."""
        return self._get(RecordOnFile, record_id, Message("no such record"))

    def advance(self, on_file: RecordOnFile, read: int | None = None) -> None:
        """Begin a change that rests on this version; raises StaleVersion where it has moved on since."""
        self._advance(t.record, on_file, read, lambda version: self._changes_since(on_file, version))

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
        if on_file.erased_at is not None:
            changes.append(LaterChange("ERASED", on_file.erased_at, on_file.holder.name))
        return sorted(changes, key=lambda change: change.at)[-max(on_file.version - version, 1) :]

    def original_of(self, on_file: RecordOnFile) -> RecordOnFile:
        """The first version of a record: the one that this one, or what it replaced, replaced first."""
        while on_file.supersedes_id is not None:
            on_file = self.get(on_file.supersedes_id)
        return on_file

    def latest_of(self, on_file: RecordOnFile) -> RecordOnFile:
        """The newest version of a record: the one that replaced it last, or the record itself."""
        seen = {on_file.id}
        while on_file.superseded_by_id is not None and on_file.superseded_by_id not in seen:
            on_file = self.get(on_file.superseded_by_id)
            seen.add(on_file.id)
        return on_file

    def readable_of(self, organisation: Organisation) -> Iterator[RecordOnFile]:
        """Everything that the organisation holds or signed and that was not erased, a few at a time."""
        mine = or_(t.record.c.holder_id == organisation.id, t.record.c.issuer_id == organisation.id)
        query = select(RecordOnFile).where(mine, t.record.c.erased_at.is_(None)).order_by(t.record.c.id)
        return iter(self._session.scalars(query.execution_options(yield_per=500)))

    def find_by_digest(self, digest: str) -> RecordOnFile | None:
        """The record whose signed text has this SHA-256 (hex)."""
        return self._one(select(RecordOnFile).where(t.record.c.digest == digest), RecordOnFile)

    def find_by_label(self, label_code: str) -> RecordOnFile | None:
        """The record that a label's code stands for."""
        return self._one(select(RecordOnFile).where(t.record.c.label_code == label_code), RecordOnFile)

    def of(
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

    def signed_by(self, issuer: Organisation, since: datetime) -> Sequence[RecordOnFile]:
        """What came onto file under an organisation's signature from a moment on, oldest first."""
        query = select(RecordOnFile).where(t.record.c.issuer_id == issuer.id, t.record.c.recorded_at >= since)
        return self._all(query.order_by(t.record.c.recorded_at))

    def count_signed_by(self, issuer: Organisation, most: int) -> int:
        """How many records an organisation signed, counted no further than ``most``."""
        some = select(t.record.c.id).where(t.record.c.issuer_id == issuer.id).limit(most)
        return self._session.scalar(select(func.count()).select_from(some.subquery())) or 0

    def number_is_taken(self, issuer: Organisation, kind: Kind, number: str) -> bool:
        """Whether the issuer has given this number before, however it was spaced or cased."""
        query = select(t.record.c.id).where(
            t.record.c.issuer_id == issuer.id, t.record.c.kind == kind, t.record.c.number == plain_number(number)
        )
        return self._session.execute(query.limit(1)).first() is not None


class IdempotencyRepository(Repository):
    """Answers that were given under an idempotency key."""

    def delete_for(self, resource_id: str) -> None:
        """Forget which requests led to a thing."""
        self._session.execute(delete(t.idempotency_record).where(t.idempotency_record.c.resource_id == resource_id))

    def find(self, person_id: str, key: str) -> IdempotencyRecord | None:
        """What this person's request with this idempotency key led to."""
        return self._session.get(IdempotencyRecord, (person_id, key))


class FileRepository(Repository):
    """Which attachments are kept, and for whom."""

    def delete(self, sha256: str, owners: Collection[str]) -> None:
        """Forget that these organisations uploaded a file; others may have uploaded the same."""
        c = t.stored_file.c
        self._session.execute(delete(t.stored_file).where(c.sha256 == sha256, c.owner_id.in_(owners)))

    def is_named(self, sha256: str) -> bool:
        """Whether any organisation has uploaded this file."""
        query = select(t.stored_file.c.sha256).where(t.stored_file.c.sha256 == sha256)
        return self._session.execute(query.limit(1)).first() is not None

    def find(self, sha256: str, owner: Organisation) -> StoredFile | None:
        """The attachment with this digest, as this organisation uploaded it."""
        return self._session.get(StoredFile, (sha256, owner.id))

    def all(self) -> Sequence[StoredFile]:
        """Every attachment, once for each organisation that uploaded it."""
        return self._all(select(StoredFile).order_by(t.stored_file.c.sha256))


class RequestRepository(Repository):
    """Merchants' requests to issuers."""

    def get(self, request_id: str) -> ConfirmationRequest:
        """The request with this id."""
        return self._get(ConfirmationRequest, request_id, Message("no such request"))

    def advance(self, request: ConfirmationRequest) -> None:
        """Begin to answer; raises Conflict where somebody else answers at the same moment."""
        self._advance(t.request, request, None, lambda version: ())

    def search(
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

    def count_waiting(self, issuer: Organisation, most: int) -> int:
        """How many requests wait for an issuer, counted no further than ``most``."""
        c = t.request.c
        some = select(c.id).where(c.issuer_id == issuer.id, c.state == RequestState.WAITING).limit(most)
        return self._session.scalar(select(func.count()).select_from(some.subquery())) or 0

    def find_about(self, record_id: str) -> ConfirmationRequest | None:
        """The request that a statement was laid in, or that a record confirmed."""
        about = or_(t.request.c.statement_id == record_id, t.request.c.confirmed_id == record_id)
        return self._one(select(ConfirmationRequest).where(about), ConfirmationRequest)


class StatusChangeRepository(Repository):
    """Changes of status on their way to the ledger."""

    def settled(self) -> Sequence[StatusChange]:
        """Changes of status that needed no transaction any more."""
        return self._all(select(StatusChange).where(t.status_change.c.settled.is_not(None)))

    def sent_by(self, transaction: OutboundTransaction) -> Sequence[StatusChange]:
        """The changes of status that travel with this transaction."""
        return self._all(select(StatusChange).where(t.status_change.c.transaction_id == transaction.id))

    def pending(self) -> Sequence[StatusChange]:
        """Status changes that were not sent yet, in the order in which they were asked."""
        c = t.status_change.c
        query = select(StatusChange).where(c.transaction_id.is_(None), c.settled.is_(None))
        return self._all(query.order_by(t.status_change.c.asked_at))

    def is_in_flight(self) -> bool:
        """Whether a transaction that changes statuses is still under way."""
        query = (
            select(t.status_change.c.id)
            .join(t.outbound_transaction)
            .where(t.outbound_transaction.c.state.in_(OPEN_STATES))
        )
        return self._session.execute(query.limit(1)).first() is not None

    def of_record(self, record_id: str) -> Sequence[StatusChange]:
        """A record's changes of status, in order."""
        query = select(StatusChange).where(t.status_change.c.record_id == record_id)
        return self._all(query.order_by(t.status_change.c.asked_at))
