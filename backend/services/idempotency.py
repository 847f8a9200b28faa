"""Same key, same answer: a request that is sent twice is done once (the Idempotency-Key header)."""

from dataclasses import dataclass

from backend.domain.errors import TraceabilityError
from backend.domain.outbox import IdempotencyRecord
from backend.services.ports import AppContext
from backend.store.unit_of_work import UnitOfWork


class IdempotencyKeyReused(TraceabilityError):
    """The key was used before with another request."""

    code = "idempotency-key-reused"


@dataclass(frozen=True)
class IdempotencyKey:
    """Who asked, under which key, and a digest of what was asked."""

    person_id: str
    key: str
    request_digest: str


def earlier_result(work: UnitOfWork, key: IdempotencyKey | None) -> str | None:
    """The id of what the same request led to before; raises IdempotencyKeyReused for another request."""
    if key is None:
        return None
    found = work.idempotency.find(key.person_id, key.key)
    if found is None:
        return None
    if found.request_digest != key.request_digest:
        raise IdempotencyKeyReused("this Idempotency-Key was used with another request", key=key.key)
    return found.resource_id


def keep_result(ctx: AppContext, work: UnitOfWork, key: IdempotencyKey | None, resource_id: str) -> None:
    """Remember what the request led to, in the same unit of work as the thing itself."""
    if key is not None:
        work.add(IdempotencyRecord(key.person_id, key.key, key.request_digest, resource_id, ctx.now()))
