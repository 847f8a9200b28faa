"""Idempotency keys: a request that is sent twice under one key is carried out once (header Idempotency-Key).

The header is that of the IETF draft draft-ietf-httpapi-idempotency-key-header.

The key is claimed by the transaction that does what is asked for, and the answer is committed with it: of two requests
that come at once one does it, and the other gets its answer. A crash leaves both or neither.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from backend.domain.errors import Conflict, TraceabilityError
from backend.domain.outbox import IdempotencyRecord
from backend.domain.records import RecordOnFile
from backend.services.ports import AppContext, SimulationContext, rerunnable
from backend.store.unit_of_work import DeferredWork, UnitOfWork

KEPT_FOR = timedelta(days=30)
"""How long an answer is kept: after that the key counts as new."""
_CLEARED_AT_ONCE = 20
"""A request adds one row; that it removes a few old ones keeps the table in bounds without ever stopping for long."""
_LONGEST_ID = 36


class IdempotencyKeyReused(TraceabilityError):
    """The same person used this key before with a different request."""

    code = "idempotency-key-reused"


@dataclass(frozen=True)
class IdempotencyKey:
    """Who asked, under which key, and a digest of the request, by which a different request is recognised."""

    person_id: str
    key: str
    request_digest: str


@dataclass(frozen=True)
class KeptResponse:
    """What a request was told: status, the headers that matter, and the body as text."""

    status: int
    headers: dict[str, str]
    body: str
    resource_id: str = ""
    """The id of what it led to, where there is one: what is erased takes the answers about it along."""

    @property
    def is_success(self) -> bool:
        """Whether something was done; a refusal did nothing and leaves its key unused."""
        return self.status < 400


@rerunnable
def answered_once(
    ctx: AppContext,
    key: IdempotencyKey,
    perform: Callable[[AppContext], KeptResponse],
    remade: Callable[[str], KeptResponse],
) -> KeptResponse:
    """Do what a request asks for, unless it was done under this key; then give the answer that it got.

    ``perform`` does it, with a context whose units of work are committed together with the answer. ``remade`` makes the
    answer of a request that led to this resource before answers were kept.

    Raises:
        IdempotencyKeyReused: The key came with another request before.
        TraceabilityError: Whatever ``perform`` raises; the key is then unused.
    """
    if (earlier := _earlier(ctx, key, remade)) is not None:
        return earlier
    try:
        return _performed(ctx, key, perform)
    except TraceabilityError:
        # The same request may have been quicker: then this one failed on what that one did, or on its key.
        if (quicker := _earlier(ctx, key, remade)) is not None:
            return quicker
        raise


def _performed(ctx: AppContext, key: IdempotencyKey, perform: Callable[[AppContext], KeptResponse]) -> KeptResponse:
    claimed: list[IdempotencyRecord] = []

    def claim(work: UnitOfWork) -> None:
        claimed[:] = [_claim(ctx, work, key)]

    with DeferredWork(ctx.work, claim) as deferred:
        answer = perform(_deferring(ctx, deferred))
        if not answer.is_success:
            return answer
        with deferred() as work:
            (record,) = claimed
            record.resource_id = answer.resource_id[:_LONGEST_ID]
            record.response = {"status": answer.status, "headers": answer.headers, "body": answer.body}
            work.commit()
        deferred.commit()
    return answer


def lines_answered(ctx: AppContext, key: IdempotencyKey) -> dict[int, RecordOnFile]:
    """Return what lines led to that were sent together under this key before, by their place among them.

    Raises:
        IdempotencyKeyReused: The key came with other lines before.
    """
    with ctx.work(reading=True) as work:
        found = work.idempotency.find(key.person_id, key.key)
        if found is None or _is_expired(ctx, found):
            return {}
        _require_same(found, key)
        return {place: work.records.get(one) for place, one in enumerate(_ids_in(found)) if one is not None}


def is_noted(ctx: AppContext, work: UnitOfWork, key: IdempotencyKey, places: Collection[int]) -> bool:
    """Tell whether one of the lines at these places was stored under the key already."""
    found = work.idempotency.find(key.person_id, key.key)
    ids = [] if found is None or _is_expired(ctx, found) else _ids_in(found)
    return any(ids[place] is not None for place in places if place < len(ids))


def note_lines(ctx: AppContext, work: UnitOfWork, key: IdempotencyKey, stored: Mapping[int, str], count: int) -> bool:
    """Note under a key which of ``count`` lines are stored now, by the ids of their records.

    Returns False, and notes nothing, where one of them was stored under the key already.
    """
    work.idempotency.delete_before(ctx.now() - KEPT_FOR, _CLEARED_AT_ONCE)
    found = work.idempotency.find(key.person_id, key.key)
    if found is not None and _is_expired(ctx, found):
        work.idempotency.delete(found)
        found = None
    if found is None:
        found = IdempotencyRecord(key.person_id, key.key, key.request_digest, "", ctx.now())
        work.add(found)
    ids = _ids_in(found) or [None] * count
    if found.request_digest != key.request_digest or any(ids[place] is not None for place in stored):
        return False
    found.response = {"ids": [stored.get(place, one) for place, one in enumerate(ids)]}
    return True


def _ids_in(record: IdempotencyRecord) -> list[str | None]:
    return list((record.response or {}).get("ids", []))


def _deferring(ctx: AppContext, deferred: DeferredWork) -> AppContext:
    """The context over deferred units of work: workers are woken once there is something for them to see."""
    changes: dict[str, Any] = {"work": deferred, "wake_anchoring": lambda: deferred.after_commit(ctx.wake_anchoring)}
    if isinstance(ctx, SimulationContext):
        changes["wake_simulating"] = lambda: deferred.after_commit(ctx.wake_simulating)
    return replace(ctx, **changes)


def _claim(ctx: AppContext, work: UnitOfWork, key: IdempotencyKey) -> IdempotencyRecord:
    """Take the key, before anything else is written; raises Conflict where somebody has it."""
    work.idempotency.delete_before(ctx.now() - KEPT_FOR, _CLEARED_AT_ONCE)
    found = work.idempotency.find(key.person_id, key.key)
    if found is not None and not _is_expired(ctx, found):
        raise Conflict("the same request was done at the same time", key=key.key)
    if found is not None:
        work.idempotency.delete(found)
    record = IdempotencyRecord(key.person_id, key.key, key.request_digest, "", ctx.now())
    work.add(record)
    return record


def _earlier(ctx: AppContext, key: IdempotencyKey, remade: Callable[[str], KeptResponse]) -> KeptResponse | None:
    with ctx.work(reading=True) as work:
        found = work.idempotency.find(key.person_id, key.key)
    if found is None or _is_expired(ctx, found):
        return None
    _require_same(found, key)
    return KeptResponse(**found.response) if found.response else remade(found.resource_id)


def _require_same(found: IdempotencyRecord, key: IdempotencyKey) -> None:
    # Answering with the earlier result would let the sender believe that the new request was carried out.
    if found.request_digest != key.request_digest:
        raise IdempotencyKeyReused("this Idempotency-Key was used with another request", key=key.key)


def _is_expired(ctx: AppContext, record: IdempotencyRecord) -> bool:
    return record.answered_at < ctx.now() - KEPT_FOR
