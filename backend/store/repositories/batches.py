"""Records that wait for a batch, and batches on their way to the ledger."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    BindParameter,
    Integer,
    LargeBinary,
    Row,
    ScalarSelect,
    String,
    Update,
    bindparam,
    column,
    func,
    select,
    type_coerce,
    update,
)
from sqlalchemy.types import TypeEngine

from backend.domain.errors import Conflict, Message
from backend.domain.evidence import InclusionProof
from backend.domain.kinds import Kind
from backend.domain.outbox import OutboundTransaction
from backend.domain.parties import Organisation
from backend.domain.records import (
    Leaf,
    ProofState,
    SealedBatch,
    WaitingRecord,
)
from backend.store import tables as t
from backend.store.database import Repository, in_portions

_UNSEALED = (t.unsealed,)

_ON_THE_WAY = (ProofState.SEALED, ProofState.SUBMITTED)
_NOT_FINAL = (*_ON_THE_WAY, ProofState.ANCHORED)


def _oldest_of_batch() -> ScalarSelect[datetime]:
    """Select when the oldest record of a batch was stored: the first entry in the index of its batch."""
    of_batch = select(t.record.c.recorded_at).where(t.record.c.batch_id == t.batch.c.id)
    return of_batch.order_by(t.record.c.recorded_at).limit(1).scalar_subquery()


class BatchRepository(Repository):
    """Sealed batches, and the records that wait for one."""

    def has_unsealed(self) -> bool:
        """Tell whether a record waits for its batch."""
        return self._session.execute(select(t.record.c.id).where(*_UNSEALED).limit(1)).first() is not None

    def waiting(self, limit: int) -> Sequence[WaitingRecord]:
        """Return up to ``limit`` unsealed records.

        Issuers take turns, each with its oldest records first, so that none waits for another's thousands. Whole rows
        are read, so that nothing is sealed that could not be shown afterwards.

        Raises:
            ValueError: if a row was altered since it was stored.
        """
        c = t.record.c
        turn = func.row_number().over(partition_by=c.issuer_id, order_by=c.recorded_at)
        first = select(c.id, turn.label("turn"), c.recorded_at).where(*_UNSEALED).subquery()
        chosen = select(first.c.id).order_by(first.c.turn, first.c.recorded_at).limit(limit)
        whole = select(t.record).where(c.id.in_(chosen)).order_by(c.recorded_at)
        rows = self._session.execute(whole, execution_options={"yield_per": 500})
        return [_waiting(row) for row in rows]

    def declared_to(self, codes: Collection[str], records: Sequence[WaitingRecord]) -> dict[str, str]:
        """Return to which of these customs offices declarations among the records were lodged, by the record's id."""
        c = t.consignment.c
        ids = [record.id for record in records if record.kind is Kind.DECLARATION]
        query = select(c.id, c.customs_office).where(c.customs_office.in_(codes))
        return {
            declaration: office
            for some in in_portions(ids)
            for declaration, office in self._session.execute(query.where(c.id.in_(some)))
        }

    def assign(self, batch: SealedBatch, proofs: Sequence[tuple[str, InclusionProof]]) -> None:
        """Give records their permanent places in a sealed batch, all or none.

        Raises:
            Conflict: if one of them was sealed or quarantined meanwhile.
        """
        connection = self._session.connection()
        places = [
            {"record_id": record_id, "at": proof.leaf_index, "way": b"".join(proof.path)} for record_id, proof in proofs
        ]
        if connection.dialect.name == "postgresql":
            # At once: by a statement for each it reads, for each anew, all that wait.
            connection.execute(_assigning_all(), {"batch": batch.id} | _by_column(places))
        else:
            taking = update(t.record).where(t.record.c.id == bindparam("record_id"), *_UNSEALED)
            taking = taking.values(batch_id=batch.id, leaf_index=bindparam("at"), path=bindparam("way"))
            connection.execute(taking, places)
        # Counted, since not every driver tells how many rows an executemany changed (SQLAlchemy,
        # supports_sane_multi_rowcount).
        entered = select(func.count()).select_from(t.record).where(t.record.c.batch_id == batch.id)
        # Another worker may have sealed one of these records: the root would not match what each record says of its
        # place.
        if self._session.execute(entered).scalar_one() != len(proofs):
            raise Conflict("a record was sealed or set aside meanwhile", batch=batch.id)

    def quarantine(self, record_id: str, why: str) -> None:
        """Exclude a record from all batches."""
        self._session.execute(update(t.record).where(t.record.c.id == record_id).values(quarantined=why))

    def quarantine_unreadable(self, limit: int) -> int:
        """Quarantine unsealed records whose rows cannot be read, and return how many."""
        ids = self._session.scalars(select(t.record.c.id).where(*_UNSEALED).limit(limit)).all()
        return sum(self._is_set_aside(record_id) for record_id in ids)

    def count_quarantined(self) -> int:
        """Return how many records are quarantined."""
        query = select(func.count()).select_from(t.record).where(t.record.c.quarantined.is_not(None))
        return int(self._session.execute(query).scalar_one())

    def all(self) -> Sequence[SealedBatch]:
        """Return every batch, oldest first."""
        return self._all(select(SealedBatch).order_by(t.batch.c.sealed_at))

    def get(self, batch_id: str) -> SealedBatch:
        """Return the batch with this id, or raise NotFound."""
        return self._get(SealedBatch, batch_id, Message("no such batch"))

    def pending(self) -> Sequence[SealedBatch]:
        """Return batches that are not final yet, oldest first."""
        return self._all(select(SealedBatch).where(t.batch.c.state.in_(_NOT_FINAL)).order_by(t.batch.c.sealed_at))

    def sent_by(self, transaction: OutboundTransaction) -> SealedBatch | None:
        """Return the batch that this transaction anchors, or None."""
        return self._one(select(SealedBatch).where(t.batch.c.transaction_id == transaction.id), SealedBatch)

    def leaves(self, batch: SealedBatch) -> Sequence[Leaf]:
        """Return the stored values of a batch's records without validation, for the audit."""
        c = t.record.c
        # As plain numbers and text: the mapped types would raise for an altered value before the audit can name it.
        read = (c.leaf_index, c.id, type_coerce(c.kind, Integer), type_coerce(c.quantity, String), c.digest)
        kept = (c.signed_jwt, c.path, c.status, c.erased_at.is_not(None))
        query = select(*read, *kept).where(c.batch_id == batch.id).order_by(c.leaf_index)
        return [Leaf(*row) for row in self._session.execute(query, execution_options={"yield_per": 500})]

    def disclosures(self, batch: SealedBatch) -> Mapping[str, Sequence[str]]:
        """Return the disclosures of each record in a batch, by record id."""
        c = t.record.c
        query = select(c.id, c.disclosures).where(c.batch_id == batch.id)
        return dict(self._session.execute(query).all())

    def proof_ages(self) -> dict[ProofState, tuple[int, datetime]]:
        """Return for each state before final how many records are in it, and when the oldest of them was stored."""
        c = t.batch.c
        sealed = select(c.state, func.sum(c.size), func.min(_oldest_of_batch())).where(c.state.in_(_NOT_FINAL))
        rows = self._session.execute(sealed.group_by(c.state))
        found = {state: (int(count), oldest) for state, count, oldest in rows}
        oldest = self._oldest_unsealed()
        stored = {} if oldest is None else {ProofState.STORED: (self._count_unsealed(), oldest)}
        return stored | found

    def oldest_unanchored(self) -> datetime | None:
        """Return when the oldest record that is not on the ledger yet was stored, or None."""
        sealed = select(func.min(_oldest_of_batch())).where(t.batch.c.state.in_(_ON_THE_WAY))
        found = (self._oldest_unsealed(), self._session.execute(sealed).scalar())
        return min((moment for moment in found if moment is not None), default=None)

    def _oldest_unsealed(self) -> datetime | None:
        c = t.record.c
        return self._session.execute(select(c.recorded_at).where(*_UNSEALED).order_by(c.recorded_at).limit(1)).scalar()

    def _count_unsealed(self) -> int:
        return int(self._session.execute(select(func.count()).select_from(t.record).where(*_UNSEALED)).scalar_one())

    def count_waiting(self, issuer: Organisation | None = None) -> int:
        """Count the records that are not on the ledger yet; for one issuer, only those that are not sealed yet."""
        unsealed = select(func.count()).select_from(t.record).where(*_UNSEALED)
        if issuer is not None:
            return int(self._session.execute(unsealed.where(t.record.c.issuer_id == issuer.id)).scalar_one())
        sealed = select(func.coalesce(func.sum(t.batch.c.size), 0)).where(t.batch.c.state.in_(_ON_THE_WAY))
        return int(self._session.execute(unsealed).scalar_one()) + int(self._session.execute(sealed).scalar_one())

    def _is_set_aside(self, record_id: str) -> bool:
        try:
            self._session.expunge_all()
            row = self._session.execute(select(t.record).where(t.record.c.id == record_id)).one()
            if row.signed_jwt.is_whole and row.disclosures.is_whole:
                return False
            raise ValueError("altered since it was sealed")
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            why = f"its row cannot be read: {error}"[:200]
            self.quarantine(record_id, why)
            return True


@cache
def _assigning_all() -> Update:
    columns: dict[str, TypeEngine[Any]] = {"record_id": String(), "at": Integer(), "way": LargeBinary()}
    arrays: list[BindParameter[Any]] = [bindparam(f"each_{name}", type_=ARRAY(kind)) for name, kind in columns.items()]
    given = func.unnest(*arrays).table_valued(*(column(name, kind) for name, kind in columns.items())).render_derived()
    taking = update(t.record).where(t.record.c.id == given.c.record_id, *_UNSEALED)
    return taking.values(batch_id=bindparam("batch"), leaf_index=given.c.at, path=given.c.way)


def _by_column(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    return {f"each_{name}": [row[name] for row in rows] for name in ("record_id", "at", "way")}


def _waiting(row: Row[Any]) -> WaitingRecord:
    if not (row.signed_jwt.is_whole and row.disclosures.is_whole):
        raise ValueError("a row was altered since it was sealed")
    return WaitingRecord(row.id, row.kind, row.quantity, row.digest, row.signed_jwt)
