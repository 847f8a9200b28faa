"""The outbox: every call to the ledger is a row with a state before it is sent, so that a crash loses none."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha512
from itertools import count
from typing import Any

OFFICE = "office"
"""The account that decides for all customs offices that have none of their own."""
HAND_ON = "hand-on"
"""The request by which a customs office lets another decide on a batch's declarations."""
REGISTER, SUSPEND, MOVE = "register-agent", "suspend-agent", "move-agent"
"""Requests of the authority about the account of a customs office or an anchorer."""
PAUSE, RESUME, GRANT, REVOKE = "pause", "resume", "grant-role", "revoke-role"
"""Requests of the authority about the ledger's pause, and about who has which role over the contracts."""
FUND, ANNOUNCE, WITHDRAW = "fund", "announce", "withdraw"
"""What goes along with another request: money for a new account, the announcement of a call, and its cancellation."""


class TransactionState(StrEnum):
    """The state of a transaction.

    ``refused``: it was mined and the contract reverted. ``replaced``: another transaction used its nonce, so that it
    will never be mined.
    """

    SIGNED = "signed"
    SENT = "sent"
    MINED = "mined"
    FINAL = "final"
    REFUSED = "refused"
    REPLACED = "replaced"


UNMINED_STATES = (TransactionState.SIGNED, TransactionState.SENT)
# MINED is open too: a reorganisation may still take the block away (docs/faults.md, 10).
OPEN_STATES = (*UNMINED_STATES, TransactionState.MINED)


@dataclass(eq=False)
class OutboundTransaction:
    """A signed transaction, stored before it is sent.

    ``earlier_attempts`` holds the versions with lower fees, any of which may still be mined. ``trouble`` is why the
    chain does not accept it at the moment.
    """

    id: str
    signer: str
    nonce: int
    raw: bytes
    transaction_hash: bytes
    made_at: datetime
    state: TransactionState = TransactionState.SIGNED
    sent_at: datetime | None = None
    block: int | None = None
    block_hash: bytes | None = None
    block_time: datetime | None = None
    refusal: str | None = None
    earlier_attempts: list[dict[str, str]] = field(default_factory=list)
    raised_at: datetime | None = None
    trouble: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether its outcome is still unknown."""
        return self.state in OPEN_STATES

    @property
    def hashes(self) -> list[bytes]:
        """Every hash under which it may be mined, the newest first."""
        return [self.transaction_hash, *(bytes.fromhex(attempt["hash"]) for attempt in reversed(self.earlier_attempts))]

    def raise_fee(self, raw: bytes, transaction_hash: bytes, now: datetime) -> None:
        """Continue with the same call and nonce at a higher fee."""
        # A new list: SQLAlchemy does not notice a change inside a JSON value.
        self.earlier_attempts = [*self.earlier_attempts, self._attempt]
        self.raw, self.transaction_hash, self.raised_at = raw, transaction_hash, now

    def settle_on(self, transaction_hash: bytes) -> None:
        """Continue with the version that was mined."""
        # All attempts share one nonce, so one of them at most is mined, and it need not be the one with the highest
        # fee.
        attempts = {attempt["hash"]: attempt for attempt in [*self.earlier_attempts, self._attempt]}
        if transaction_hash == self.transaction_hash:
            return
        mined = attempts.pop(transaction_hash.hex())
        self.earlier_attempts = list(attempts.values())
        self.raw, self.transaction_hash = bytes.fromhex(mined["raw"]), transaction_hash

    @property
    def _attempt(self) -> dict[str, str]:
        return {"hash": self.transaction_hash.hex(), "raw": self.raw.hex()}


@dataclass(eq=False)
class Lease:
    """The right of one process to do some work, until a time."""

    name: str
    holder: str
    until: datetime


@dataclass(eq=False)
class AccreditationChange:
    """A change by the authority to an issuer's key, on its way to the ledger.

    Where the ledger requires an announcement, ``announcement`` is the transaction for it and ``due_at`` is from when
    the change can be done. ``ended`` is why it never will be: cancelled, or refused.
    """

    id: str
    thumbprint: str
    operation: str
    terms: dict[str, Any]
    asked_at: datetime
    asked_by: str
    transaction: OutboundTransaction | None = None
    announcement: OutboundTransaction | None = None
    due_at: datetime | None = None
    cancel_asked_at: datetime | None = None
    cancellation: OutboundTransaction | None = None
    ended: str | None = None

    def is_waiting(self, now: datetime) -> bool:
        """Tell whether it was announced and its time has not come."""
        return self.due_at is not None and now < self.due_at and self.cancel_asked_at is None


@dataclass(frozen=True)
class EndedPlace:
    """Where the ledger says that a document has ended: its batch's key and its leaf there, with entry and path."""

    batch_key: bytes
    leaf_index: int
    entry: bytes
    path: bytes = field(metadata={"of": "32 bytes for each node"})


@dataclass(eq=False)
class RevocationNotice:
    """A revocation of a record that is to be published on the ledger, wherever the record stands.

    One of ours names the record, whose place is known once its batch is anchored; another's names the place.
    ``settled`` is set where no transaction is needed any more: it is published already, or cannot be.
    """

    id: str
    asked_at: datetime
    record_id: str | None = None
    batch_key: bytes | None = None
    leaf_index: int | None = None
    entry: bytes | None = None
    path: bytes | None = None
    transaction: OutboundTransaction | None = None
    settled: str | None = None

    @classmethod
    def at(cls, notice_id: str, asked_at: datetime, place: EndedPlace) -> "RevocationNotice":
        """Return the notice of a record at a place of any anchorer's."""
        return cls(notice_id, asked_at, None, place.batch_key, place.leaf_index, place.entry, place.path)

    @property
    def place(self) -> EndedPlace | None:
        """The place that it names, or None where it names a record of ours."""
        if self.batch_key is None or self.leaf_index is None or self.entry is None or self.path is None:
            return None
        return EndedPlace(self.batch_key, self.leaf_index, self.entry, self.path)


@dataclass(eq=False)
class IdempotencyRecord:
    """What a request with an idempotency key led to: the same key gets the same answer.

    ``response`` has ``status``, ``headers`` and ``body``; an earlier version of ours kept the id alone.
    """

    person_id: str
    key: str
    request_digest: str
    resource_id: str
    answered_at: datetime
    response: dict[str, Any] | None = None


@dataclass(eq=False)
class LedgerRequest:
    """A call that an operator or the authority asked for, on its way to the ledger, by an account of the worker's.

    ``terms`` are its arguments by name (``services/ledger_requests.py``). Among them are ``name``, what a request of
    the authority changes, ``due``, from when on it can be made, once it is announced, and ``withdrawal``, the request
    that cancels its announcement. ``settled`` is why it will never be made.
    """

    id: str
    operation: str
    terms: dict[str, Any]
    asked_at: datetime
    transaction: OutboundTransaction | None = None
    settled: str | None = None

    @property
    def due_at(self) -> datetime | None:
        """From when on it can be made; None where it is not announced."""
        due = self.terms.get("due")
        return None if due is None else datetime.fromisoformat(due)

    def is_waiting(self, now: datetime) -> bool:
        """Tell whether it is announced, its time has not come, and nobody withdraws it."""
        return self.due_at is not None and now < self.due_at and "withdrawal" not in self.terms


@dataclass(eq=False)
class SigningRequest:
    """A draft that waits for a signature made elsewhere, with the seed of its random bytes.

    The same arguments with the same moment and seed give the same draft, unless the stored data changed since.
    """

    id: str
    person_id: str
    thumbprint: str
    act: str
    arguments: dict[str, Any]
    moment: datetime
    seed: bytes
    text_digest: str

    def random_bytes(self) -> Callable[[int], bytes]:
        """Return a source of bytes derived from the seed.

        It repeats for every call, and gives salts and numbers that nobody else knows.
        """
        counter = count()
        # The same sequence again: the draft is rebuilt when the signature arrives, and must have the same salts.
        return lambda size: sha512(self.seed + next(counter).to_bytes(8, "big")).digest()[:size]
