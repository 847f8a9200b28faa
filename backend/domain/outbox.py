"""The outbox: every call to the ledger is a row with a state before it is sent, so that a crash loses none."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha512
from itertools import count
from typing import Any


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


# MINED is open too: a reorganisation may still take the block away (docs/faults.md, 10).
OPEN_STATES = (TransactionState.SIGNED, TransactionState.SENT, TransactionState.MINED)


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
        return self.state in (TransactionState.SIGNED, TransactionState.SENT, TransactionState.MINED)

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
