"""Stored records are closed into a batch; what is unsound is set aside."""

from hashlib import sha256
from uuid import uuid4

import structlog

from backend.domain.batch import seal
from backend.domain.records import RecordOnFile, SealedBatch
from backend.services.ports import Surroundings

log = structlog.get_logger()


LARGEST_ROUND = 10_000
"""Records sealed at once."""


def seal_stored(at: Surroundings) -> SealedBatch | None:
    """Close a batch over the stored records, and give each its place and proof. What is unsound is set aside."""
    set_aside_unreadable(at)
    with at.work(reading=True) as work:
        if not work.store.unsealed(1):
            return None
    at.reached("before-seal")
    with at.work() as work:
        waiting = [record for record in work.store.unsealed(LARGEST_ROUND) if _is_sound(record)]
        if not waiting:
            work.commit()
            return None
        waiting.sort(key=lambda record: record.kind.lane)
        batch = seal([record.entry for record in waiting])
        lanes = batch.lanes
        sealed = SealedBatch(
            id=str(uuid4()),
            root=batch.root,
            origin_end=lanes.origin_end,
            inspection_end=lanes.inspection_end,
            declaration_end=lanes.declaration_end,
            size=lanes.size,
            sealed_at=at.now(),
        )
        work.store.add(sealed)
        for place, record in enumerate(waiting):
            record.enter(sealed, batch.proof(place))
        at.reached("before-seal-commit")
        work.commit()
    at.reached("after-seal")
    log.info("batch sealed", size=sealed.size, root=sealed.root.hex())
    return sealed


def set_aside_unreadable(at: Surroundings) -> None:
    """Quarantine records whose rows cannot be read at all; they would keep all others waiting."""
    with at.work(reading=True) as work:
        try:
            work.store.unsealed(LARGEST_ROUND)
            return
        except (ValueError, TypeError, LookupError, AttributeError):
            pass
    with at.work() as work:
        count = work.store.quarantine_unreadable(LARGEST_ROUND)
        work.commit()
    log.error("records were set aside: their rows cannot be read", count=count)


def _is_sound(record: RecordOnFile) -> bool:
    """Whether what is stored is what was signed; a record that is not is quarantined."""
    try:
        found = sha256(record.signed_jwt.encode("ascii")).hexdigest()
        record.quarantined = None if found == record.digest else "what is stored is not what was signed"
        record.entry.encode()
    except (ValueError, TypeError, OverflowError, AttributeError) as error:
        record.quarantined = f"it cannot be entered: {error}"[:200]
    if record.quarantined:
        log.error("a record was set aside", record=record.id, why=record.quarantined)
    return record.quarantined is None
