"""Records on their way into batches, and batches on theirs to the ledger."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Integer, Row, ScalarSelect, String, bindparam, func, select, type_coerce, update

from backend.domain.errors import Conflict, Message
from backend.domain.evidence import InclusionProof
from backend.domain.outbox import OutboundTransaction
from backend.domain.parties import Organisation
from backend.domain.records import (
    Leaf,
    ProofState,
    SealedBatch,
    WaitingRecord,
)
from backend.store import tables as t
from backend.store.database import Repository

_UNSEALED = (t.unsealed,)

_ON_THE_WAY = (ProofState.SEALED, ProofState.SUBMITTED)
_NOT_FINAL = (*_ON_THE_WAY, ProofState.ANCHORED)


def _oldest_of_batch() -> ScalarSelect[datetime]:
    """When the oldest record of a batch was stored: the first in the index of its batch."""
    of_batch = select(t.record.c.recorded_at).where(t.record.c.batch_id == t.batch.c.id)
    return of_batch.order_by(t.record.c.recorded_at).limit(1).scalar_subquery()


class BatchRepository(Repository):
    """Sealed batches, and the records that wait for one."""

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
        whole = select(t.record).where(c.id.in_(chosen)).order_by(c.recorded_at)
        rows = self._session.execute(whole, execution_options={"yield_per": 500})
        return [_waiting(row) for row in rows]

    def assign(self, batch: SealedBatch, proofs: Sequence[tuple[str, InclusionProof]]) -> None:
        """Give records the places in a sealed batch that stay theirs for life; all of them, or it is a Conflict."""
        taking = update(t.record).where(t.record.c.id == bindparam("record_id"), *_UNSEALED)
        self._session.connection().execute(
            taking.values(batch_id=batch.id, leaf_index=bindparam("at"), path=bindparam("way")),
            [
                {"record_id": record_id, "at": proof.leaf_index, "way": b"".join(proof.path)}
                for record_id, proof in proofs
            ],
        )
        entered = select(func.count()).select_from(t.record).where(t.record.c.batch_id == batch.id)
        if self._session.execute(entered).scalar_one() != len(proofs):
            raise Conflict("a record was sealed or set aside meanwhile", batch=batch.id)

    def quarantine(self, record_id: str, why: str) -> None:
        """Keep a record out of every batch."""
        self._session.execute(update(t.record).where(t.record.c.id == record_id).values(quarantined=why))

    def quarantine_unreadable(self, limit: int) -> int:
        """Set aside unsealed records that cannot even be read from their rows; how many."""
        ids = self._session.scalars(select(t.record.c.id).where(*_UNSEALED).limit(limit)).all()
        return sum(self._is_set_aside(record_id) for record_id in ids)

    def count_quarantined(self) -> int:
        """How many records were set aside."""
        query = select(func.count()).select_from(t.record).where(t.record.c.quarantined.is_not(None))
        return int(self._session.execute(query).scalar_one())

    def all(self) -> Sequence[SealedBatch]:
        """Every batch, oldest first."""
        return self._all(select(SealedBatch).order_by(t.batch.c.sealed_at))

    def get(self, batch_id: str) -> SealedBatch:
        """The batch with this id."""
        return self._get(SealedBatch, batch_id, Message("no such batch"))

    def pending(self) -> Sequence[SealedBatch]:
        """Batches that are not final yet, oldest first."""
        return self._all(select(SealedBatch).where(t.batch.c.state.in_(_NOT_FINAL)).order_by(t.batch.c.sealed_at))

    def sent_by(self, transaction: OutboundTransaction) -> SealedBatch | None:
        """The batch that this transaction anchors."""
        return self._one(select(SealedBatch).where(t.batch.c.transaction_id == transaction.id), SealedBatch)

    def leaves(self, batch: SealedBatch) -> Sequence[Leaf]:
        """What is stored of a batch's records, as it lies there: nothing is taken for sound."""
        c = t.record.c
        read = (c.leaf_index, c.id, type_coerce(c.kind, Integer), type_coerce(c.quantity, String), c.digest)
        kept = (c.signed_jwt, c.path, c.status, c.erased_at.is_not(None))
        query = select(*read, *kept).where(c.batch_id == batch.id).order_by(c.leaf_index)
        return [Leaf(*row) for row in self._session.execute(query, execution_options={"yield_per": 500})]

    def disclosures(self, batch: SealedBatch) -> Mapping[str, Sequence[str]]:
        """The disclosures of each record in a batch, by its id."""
        c = t.record.c
        query = select(c.id, c.disclosures).where(c.batch_id == batch.id)
        return dict(self._session.execute(query).all())

    def proof_ages(self) -> dict[ProofState, tuple[int, datetime]]:
        """For each state before final: how many records stand there, and when the oldest was stored."""
        c = t.batch.c
        sealed = select(c.state, func.sum(c.size), func.min(_oldest_of_batch())).where(c.state.in_(_NOT_FINAL))
        rows = self._session.execute(sealed.group_by(c.state))
        found = {state: (int(count), oldest) for state, count, oldest in rows}
        oldest = self._oldest_unsealed()
        stored = {} if oldest is None else {ProofState.STORED: (self._count_unsealed(), oldest)}
        return stored | found

    def oldest_unanchored(self) -> datetime | None:
        """When the oldest record was stored that is not on the ledger yet."""
        sealed = select(func.min(_oldest_of_batch())).where(t.batch.c.state.in_(_ON_THE_WAY))
        found = (self._oldest_unsealed(), self._session.execute(sealed).scalar())
        return min((moment for moment in found if moment is not None), default=None)

    def _oldest_unsealed(self) -> datetime | None:
        c = t.record.c
        return self._session.execute(select(c.recorded_at).where(*_UNSEALED).order_by(c.recorded_at).limit(1)).scalar()

    def _count_unsealed(self) -> int:
        return int(self._session.execute(select(func.count()).select_from(t.record).where(*_UNSEALED)).scalar_one())

    def count_waiting(self, issuer: Organisation | None = None) -> int:
        """How many records are not on the ledger yet, of everybody or of one issuer."""
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


def _waiting(row: Row[Any]) -> WaitingRecord:
    if not (row.signed_jwt.is_whole and row.disclosures.is_whole):
        raise ValueError("a row was altered since it was sealed")
    return WaitingRecord(row.id, row.kind, row.quantity, row.digest, row.signed_jwt)
