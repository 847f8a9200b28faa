"""Stored records are closed into a batch; what is unsound is set aside."""

from collections.abc import Sequence
from hashlib import sha256
from uuid import uuid4

import structlog

from backend.domain.batch import Batch, seal
from backend.domain.kinds import KINDS
from backend.domain.records import SealedBatch, WaitingRecord
from backend.services.ports import Surroundings

log = structlog.get_logger()


LARGEST_ROUND = 10_000
"""Records sealed at once."""


def seal_stored(at: Surroundings) -> SealedBatch | None:
    """Close a batch over the stored records, and give each its place and proof. What is unsound is set aside.

    The tree is made before the database is locked for writing: what was signed does not change while it waits.
    """
    waiting = _waiting(at)
    if not waiting:
        return None
    at.reached("before-seal")
    faults = {record.id: fault for record in waiting if (fault := _fault_in(record)) is not None}
    sound = sorted(
        (record for record in waiting if record.id not in faults), key=lambda record: KINDS[record.kind].lane
    )
    batch = seal([record.entry for record in sound]) if sound else None
    sealed = None
    with at.work() as work:
        for record_id, fault in faults.items():
            work.store.set_aside(record_id, fault)
        if batch is not None:
            sealed = _closed(at, batch)
            work.store.add(sealed)
            work.store.enter(sealed, list(zip((record.id for record in sound), batch.proofs(), strict=True)))
            at.reached("before-seal-commit")
        work.commit()
    for record_id, fault in faults.items():
        log.error("a record was set aside", record=record_id, why=fault)
    if sealed is not None:
        at.reached("after-seal")
        log.info("batch sealed", size=sealed.size, root=sealed.root.hex())
    return sealed


def _waiting(at: Surroundings) -> Sequence[WaitingRecord]:
    """What waits for a batch. Records whose rows cannot be read are set aside, or all others would wait for them."""
    with at.work(reading=True) as work:
        try:
            return work.store.waiting(LARGEST_ROUND)
        except (ValueError, TypeError, LookupError, AttributeError):
            pass
    with at.work() as work:
        count = work.store.quarantine_unreadable(LARGEST_ROUND)
        work.commit()
    log.error("records were set aside: their rows cannot be read", count=count)
    with at.work(reading=True) as work:
        return work.store.waiting(LARGEST_ROUND)


def _closed(at: Surroundings, batch: Batch) -> SealedBatch:
    lanes = batch.lanes
    return SealedBatch(
        id=str(uuid4()),
        root=batch.root,
        origin_end=lanes.origin_end,
        inspection_end=lanes.inspection_end,
        declaration_end=lanes.declaration_end,
        size=lanes.size,
        sealed_at=at.now(),
    )


def _fault_in(record: WaitingRecord) -> str | None:
    """Why a record cannot be sealed: what is stored is not what was signed, or has no entry."""
    try:
        found = sha256(record.signed_jwt.encode("ascii")).hexdigest()
        record.entry.encode()
    except (ValueError, TypeError, OverflowError, AttributeError) as error:
        return f"it cannot be entered: {error}"[:200]
    return None if found == record.digest else "what is stored is not what was signed"
