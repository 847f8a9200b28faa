"""Stored records are closed into a batch; what is unsound is set aside."""

from collections.abc import Sequence
from hashlib import sha256
from uuid import uuid4

import structlog

from backend.domain.batch import Batch, seal
from backend.domain.kinds import KINDS
from backend.domain.records import SealedBatch, WaitingRecord
from backend.services.ports import AppContext

log = structlog.get_logger()


LARGEST_ROUND = 10_000
"""Records sealed at once."""


def seal_stored(ctx: AppContext) -> SealedBatch | None:
    """Close a batch over the stored records, and give each its place and proof. What is unsound is set aside.

    The tree is made before the database is locked for writing: what was signed does not change while it waits.
    """
    waiting = _waiting(ctx)
    if not waiting:
        return None
    ctx.reached("before-seal")
    faults = {record.id: fault for record in waiting if (fault := _fault_in(record)) is not None}
    sound = sorted(
        (record for record in waiting if record.id not in faults), key=lambda record: KINDS[record.kind].lane
    )
    batch = seal([record.entry for record in sound]) if sound else None
    sealed = None
    with ctx.work() as work:
        for record_id, fault in faults.items():
            work.batches.quarantine(record_id, fault)
        if batch is not None:
            sealed = _closed(ctx, batch)
            work.add(sealed)
            work.batches.assign(sealed, list(zip((record.id for record in sound), batch.proofs(), strict=True)))
            ctx.reached("before-seal-commit")
        work.commit()
    for record_id, fault in faults.items():
        log.error("a record was set aside", record=record_id, why=fault)
    if sealed is not None:
        ctx.reached("after-seal")
        log.info("batch sealed", size=sealed.size, root=sealed.root.hex())
    return sealed


def _waiting(ctx: AppContext) -> Sequence[WaitingRecord]:
    """What waits for a batch. Records whose rows cannot be read are set aside, or all others would wait for them."""
    with ctx.work(reading=True) as work:
        try:
            return work.batches.waiting(LARGEST_ROUND)
        except (ValueError, TypeError, LookupError, AttributeError):
            pass
    with ctx.work() as work:
        count = work.batches.quarantine_unreadable(LARGEST_ROUND)
        work.commit()
    log.error("records were set aside: their rows cannot be read", count=count)
    with ctx.work(reading=True) as work:
        return work.batches.waiting(LARGEST_ROUND)


def _closed(ctx: AppContext, batch: Batch) -> SealedBatch:
    lanes = batch.lanes
    return SealedBatch(
        id=str(uuid4()),
        root=batch.root,
        origin_end=lanes.origin_end,
        inspection_end=lanes.inspection_end,
        declaration_end=lanes.declaration_end,
        size=lanes.size,
        sealed_at=ctx.now(),
    )


def _fault_in(record: WaitingRecord) -> str | None:
    """Why a record cannot be sealed: what is stored is not what was signed, or has no entry."""
    try:
        found = sha256(record.signed_jwt.encode("ascii")).hexdigest()
        record.entry.encode()
    except (ValueError, TypeError, OverflowError, AttributeError) as error:
        return f"it cannot be entered: {error}"[:200]
    return None if found == record.digest else "what is stored is not what was signed"
