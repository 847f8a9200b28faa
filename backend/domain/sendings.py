"""What waits to be written to the ledger: every act is a row with a state, so that a crash loses none."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class SendingState(StrEnum):
    """Where a transaction stands. ``refused``: the contract said no, and will again."""

    SIGNED = "signed"
    SENT = "sent"
    MINED = "mined"
    FINAL = "final"
    REFUSED = "refused"


@dataclass(eq=False)
class Sending:
    """A signed transaction, kept before it is sent."""

    id: str
    signer: str
    nonce: int
    raw: bytes
    transaction_hash: bytes
    made_at: datetime
    state: SendingState = SendingState.SIGNED
    sent_at: datetime | None = None
    block: int | None = None
    block_hash: bytes | None = None
    block_time: datetime | None = None
    refusal: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether its end is still to be seen."""
        return self.state in (SendingState.SIGNED, SendingState.SENT, SendingState.MINED)


@dataclass(eq=False)
class StatusChange:
    """A record's new status on its way to the ledger, with the salted digest of the reason that goes there."""

    id: str
    record_id: str
    new_status: int
    signer: str
    reason: str
    reason_salt: bytes
    asked_at: datetime
    sending: Sending | None = None
    travels_alone: bool = False
    refusal: str | None = None


@dataclass(eq=False)
class AccreditationAct:
    """The authority's act on an issuer's key, on its way to the ledger."""

    id: str
    thumbprint: str
    verb: str
    terms: dict[str, Any]
    asked_at: datetime
    asked_by: str
    sending: Sending | None = None
    refusal: str | None = None


@dataclass(eq=False)
class Answer:
    """What a request with an idempotency key led to: the same key gets the same answer."""

    person_id: str
    key: str
    request_digest: str
    resource_id: str
    answered_at: datetime
