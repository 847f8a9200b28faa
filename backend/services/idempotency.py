"""Idempotency keys: a request that is sent twice under one key is carried out once.

The Idempotency-Key header is that of the IETF draft draft-ietf-httpapi-idempotency-key-header.
"""

from dataclasses import dataclass

from backend.domain.errors import TraceabilityError
from backend.domain.outbox import IdempotencyRecord
from backend.services.ports import AppContext
from backend.store.unit_of_work import UnitOfWork


class IdempotencyKeyReused(TraceabilityError):
    """The same person used this key before with a different request."""

    code = "idempotency-key-reused"


@dataclass(frozen=True)
class IdempotencyKey:
    """Who asked, under which key, and a digest of the request, by which a different request is recognised."""

    person_id: str
    key: str
    request_digest: str


def earlier_result(work: UnitOfWork, key: IdempotencyKey | None) -> str | None:
    """Return the id of what the same request led to before, or None if it is new or has no key.

    Call it in the unit of work that will write, so that two equal requests at once cannot both find nothing.

    Raises:
        IdempotencyKeyReused: The key came with another request before.
    """
    if key is None:
        return None
    found = work.idempotency.find(key.person_id, key.key)
    if found is None:
        return None
    # Answering with the earlier result would let the sender believe that the new request was carried out.
    if found.request_digest != key.request_digest:
        raise IdempotencyKeyReused("this Idempotency-Key was used with another request", key=key.key)
    return found.resource_id


def keep_result(ctx: AppContext, work: UnitOfWork, key: IdempotencyKey | None, resource_id: str) -> None:
    """Store what a request led to. Call it in the same unit of work, so that result and key are committed together."""
    if key is not None:
        work.add(IdempotencyRecord(key.person_id, key.key, key.request_digest, resource_id, ctx.now()))
