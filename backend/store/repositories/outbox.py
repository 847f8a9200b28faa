"""What waits for a worker: outbound transactions, leases, changes of accreditations, and analysts' simulations."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, or_, select

from backend.domain.errors import Message
from backend.domain.outbox import (
    OPEN_STATES,
    AccreditationChange,
    Lease,
    LedgerRequest,
    OutboundTransaction,
    RevocationNotice,
    TransactionState,
)
from backend.domain.parties import Organisation
from backend.domain.records import ProofState
from backend.domain.simulation import Simulation, SimulationState
from backend.store import tables as t
from backend.store.database import Repository


class OutboxRepository(Repository):
    """Outbound transactions."""

    def all(self) -> Sequence[OutboundTransaction]:
        """Return every transaction of ours, in the order of creation."""
        return self._all(select(OutboundTransaction).order_by(t.outbound_transaction.c.made_at))

    def find_by_hash(self, transaction_hash: bytes) -> OutboundTransaction | None:
        """Return the transaction that has this hash now, or None."""
        return self._one(
            select(OutboundTransaction).where(t.outbound_transaction.c.transaction_hash == transaction_hash),
            OutboundTransaction,
        )

    def open_nonces(self, signer: str) -> set[int]:
        """Return the nonces of this account's open transactions."""
        query = select(t.outbound_transaction.c.nonce).where(
            t.outbound_transaction.c.signer == signer, t.outbound_transaction.c.state.in_(OPEN_STATES)
        )
        return set(self._session.scalars(query))

    def final(self, limit: int, offset: int = 0) -> Sequence[OutboundTransaction]:
        """Return final transactions, from the newest block down."""
        query = select(OutboundTransaction).where(t.outbound_transaction.c.state == TransactionState.FINAL)
        return self._all(
            query.order_by(t.outbound_transaction.c.block.desc(), t.outbound_transaction.c.nonce.desc())
            .limit(limit)
            .offset(offset)
        )

    def troubles(self) -> Sequence[str]:
        """Return the reasons why transactions and batches are stuck or were refused, newest first, at most 20."""
        c = t.outbound_transaction.c
        stuck = select(c.trouble, c.made_at).where(c.trouble.is_not(None), c.state.in_(OPEN_STATES))
        refused = select(c.refusal, c.made_at).where(c.state == TransactionState.REFUSED)
        refused = refused.order_by(c.made_at.desc()).limit(20)
        batches = select(t.batch.c.trouble, t.batch.c.sealed_at).where(
            t.batch.c.trouble.is_not(None), t.batch.c.state == ProofState.SEALED
        )
        found = [row for query in (stuck, refused, batches) for row in self._session.execute(query)]
        return [why for why, _ in sorted(found, key=lambda row: row[1], reverse=True)[:20]]

    def pending(self) -> Sequence[OutboundTransaction]:
        """Return open transactions, in the order of their nonces."""
        query = select(OutboundTransaction).where(t.outbound_transaction.c.state.in_(OPEN_STATES))
        return self._all(query.order_by(t.outbound_transaction.c.signer, t.outbound_transaction.c.nonce))

    def has_pending(self) -> bool:
        """Tell whether a transaction is still open."""
        query = select(t.outbound_transaction.c.id).where(t.outbound_transaction.c.state.in_(OPEN_STATES))
        return self._session.execute(query.limit(1)).first() is not None

    def get(self, transaction_id: str) -> OutboundTransaction:
        """Return the transaction with this id, or raise NotFound."""
        return self._get(OutboundTransaction, transaction_id, Message("no such transaction"))


class LeaseRepository(Repository):
    """Leases: which process does which work."""

    def find(self, name: str) -> Lease | None:
        """Return the lease of this name, or None."""
        return self._session.get(Lease, name)

    def delete(self, name: str, holder: str | None = None) -> None:
        """Release a lease; with ``holder``, only if it is the holder's."""
        mine = t.lease.c.name == name if holder is None else (t.lease.c.name == name) & (t.lease.c.holder == holder)
        self._session.execute(delete(t.lease).where(mine))


class AccreditationChangeRepository(Repository):
    """The authority's changes of accreditations on their way to the ledger."""

    def sent_by(self, transaction: OutboundTransaction) -> Sequence[AccreditationChange]:
        """Return the changes that this transaction carries."""
        return self._all(select(AccreditationChange).where(t.accreditation_change.c.transaction_id == transaction.id))

    def announced_by(self, transaction: OutboundTransaction) -> Sequence[AccreditationChange]:
        """Return the changes that this transaction announces."""
        return self._all(select(AccreditationChange).where(t.accreditation_change.c.announcement_id == transaction.id))

    def cancelled_by(self, transaction: OutboundTransaction) -> Sequence[AccreditationChange]:
        """Return the changes that this transaction cancels."""
        return self._all(select(AccreditationChange).where(t.accreditation_change.c.cancellation_id == transaction.id))

    def ended(self, why: str) -> Sequence[AccreditationChange]:
        """Return the changes that ended for this reason."""
        return self._all(select(AccreditationChange).where(t.accreditation_change.c.ended == why))

    def get(self, change_id: str) -> AccreditationChange:
        """Return the change with this id, or raise NotFound."""
        return self._get(AccreditationChange, change_id, Message("no such change of an accreditation"))

    def pending(self) -> Sequence[AccreditationChange]:
        """Return the changes that were not sent yet, in the order of the requests."""
        c = t.accreditation_change.c
        query = select(AccreditationChange).where(c.transaction_id.is_(None), c.ended.is_(None))
        return self._all(query.order_by(t.accreditation_change.c.asked_at))

    def of_key(self, thumbprint: str) -> Sequence[AccreditationChange]:
        """Return the changes of one key, in the order of the requests."""
        query = select(AccreditationChange).where(t.accreditation_change.c.thumbprint == thumbprint)
        return self._all(query.order_by(t.accreditation_change.c.asked_at))

    def rotations(self) -> Sequence[AccreditationChange]:
        """Return every change by which a key gives way to another, in the order of the requests."""
        query = select(AccreditationChange).where(t.accreditation_change.c.operation == "rotate")
        return self._all(query.order_by(t.accreditation_change.c.asked_at))

    def keys(self) -> Sequence[str]:
        """Return the thumbprints (hex) of all keys that some change is about."""
        return list(self._session.scalars(select(t.accreditation_change.c.thumbprint).distinct()))


class RevocationRepository(Repository):
    """Revocations of records that are to be published on the ledger."""

    def pending(self, limit: int) -> Sequence[RevocationNotice]:
        """Return those that were not sent yet and whose record is on the ledger, in the order of the requests."""
        c, batch = t.revocation_notice.c, t.batch
        query = select(RevocationNotice).outerjoin(t.record, t.record.c.id == c.record_id)
        query = query.outerjoin(batch, batch.c.id == t.record.c.batch_id)
        is_there = or_(c.record_id.is_(None), batch.c.state.in_((ProofState.ANCHORED, ProofState.FINAL)))
        return self._all(query.where(t.notice_pending, is_there).order_by(c.asked_at).limit(limit))

    def has_pending(self) -> bool:
        """Tell whether one waits to be sent."""
        query = select(t.revocation_notice.c.id).where(t.notice_pending)
        return self._session.execute(query.limit(1)).first() is not None

    def get(self, notice_id: str) -> RevocationNotice:
        """Return the notice with this id, or raise NotFound."""
        return self._get(RevocationNotice, notice_id, Message("no such revocation"))

    def find_of_record(self, record_id: str) -> RevocationNotice | None:
        """Return the notice of a record of ours, or None."""
        return self._one(select(RevocationNotice).where(t.revocation_notice.c.record_id == record_id), RevocationNotice)

    def find_at(self, batch_key: bytes, leaf_index: int) -> RevocationNotice | None:
        """Return the notice that names this place, or None."""
        c = t.revocation_notice.c
        query = select(RevocationNotice).where(c.batch_key == batch_key, c.leaf_index == leaf_index)
        return self._one(query, RevocationNotice)

    def sent_by(self, transaction: OutboundTransaction) -> Sequence[RevocationNotice]:
        """Return the revocations that this transaction publishes."""
        return self._all(select(RevocationNotice).where(t.revocation_notice.c.transaction_id == transaction.id))

    def all(self) -> Sequence[RevocationNotice]:
        """Return every notice, in the order of the requests."""
        return self._all(select(RevocationNotice).order_by(t.revocation_notice.c.asked_at))


class LedgerRequestRepository(Repository):
    """Calls of the ledger that operators and the authority asked for."""

    def pending(self) -> Sequence[LedgerRequest]:
        """Return those that were not sent yet, in the order of the requests, also those that are announced."""
        return self._all(select(LedgerRequest).where(t.request_pending).order_by(t.ledger_request.c.asked_at))

    def under_way(self) -> Sequence[LedgerRequest]:
        """Return those that were not sent yet, and those whose transactions are not final."""
        open_ones = t.outbound_transaction.c.state.in_(OPEN_STATES)
        query = (
            select(LedgerRequest).join(t.outbound_transaction).where(open_ones, t.ledger_request.c.settled.is_(None))
        )
        return [*self.pending(), *self._all(query)]

    def newest(self, limit: int) -> Sequence[LedgerRequest]:
        """Return what somebody asked for, the newest first, whatever came of it."""
        c = t.ledger_request.c
        query = select(LedgerRequest).where(t.request_asked).order_by(c.asked_at.desc(), c.id.desc())
        return self._all(query.limit(limit))

    def get(self, request_id: str) -> LedgerRequest:
        """Return the request with this id, or raise NotFound."""
        return self._get(LedgerRequest, request_id, Message("no such request"))

    def find(self, request_id: str | None) -> LedgerRequest | None:
        """Return the request with this id, or None."""
        return None if request_id is None else self._session.get(LedgerRequest, request_id)

    def sent_by(self, transaction: OutboundTransaction) -> Sequence[LedgerRequest]:
        """Return the requests that this transaction carries out."""
        return self._all(select(LedgerRequest).where(t.ledger_request.c.transaction_id == transaction.id))


class SimulationRepository(Repository):
    """Simulations that analysts ordered."""

    def of(self, organisation: Organisation) -> Sequence[Simulation]:
        """Return an organisation's simulations, newest first."""
        query = select(Simulation).where(t.simulation.c.organisation_id == organisation.id)
        return self._all(query.order_by(t.simulation.c.ordered_at.desc(), t.simulation.c.id))

    def in_state(self, state: SimulationState) -> Sequence[Simulation]:
        """Return all simulations in a state, in the order in which they were ordered."""
        query = select(Simulation).where(t.simulation.c.state == state)
        return self._all(query.order_by(t.simulation.c.ordered_at, t.simulation.c.id))

    def find_with_files_due(self, now: datetime) -> Simulation | None:
        """Return the simulation whose files have been due for longest, or None."""
        due = t.simulation.c.files_due
        return self._one(select(Simulation).where(due <= now).order_by(due), Simulation)

    def get(self, simulation_id: str) -> Simulation:
        """Return the simulation with this id, or raise NotFound."""
        return self._get(Simulation, simulation_id, Message("no such simulation"))

    def find(self, simulation_id: str) -> Simulation | None:
        """Return the simulation with this id, or None."""
        return self._session.get(Simulation, simulation_id)
