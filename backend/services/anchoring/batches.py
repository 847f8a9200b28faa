"""Batches: seal stored records, anchor sealed batches, and recognise those that the ledger holds already."""

from collections.abc import Sequence
from hashlib import sha256
from uuid import uuid4

import structlog

from backend.domain.errors import LedgerRefused
from backend.domain.evidence import Batch, Tree, seal
from backend.domain.kinds import KINDS
from backend.domain.ledger import AnchorBatch, AnchoredBatch, Head
from backend.domain.records import ProofState, SealedBatch, WaitingRecord
from backend.services.anchoring.transactions import IndependentSteps, keep, on_anchored, send, signed
from backend.services.ports import AnchoringContext, rerunnable

log = structlog.get_logger()


LARGEST_ROUND = 10_000
"""The largest number of records in one batch."""


MOST_TRACED = 100
"""Records of a batch whose ids its span names."""


@rerunnable
def seal_stored(ctx: AnchoringContext) -> list[SealedBatch]:
    """Seal the stored records into a batch with a leaf index and an inclusion proof for each.

    Declarations to a customs office that has an account of its own on the ledger get a batch that names it. Records
    that were altered or cannot be read are quarantined, so that they do not hold up the others. The trees are built
    before the database is locked for writing, since signed texts do not change while they wait.
    """
    waiting = _waiting(ctx)
    if not waiting:
        return []
    ctx.reached("before-seal")
    faults = {record.id: fault for record in waiting if (fault := _fault_in(record)) is not None}
    # The contract stores only where each segment of kinds ends, so the leaves must stand in the order of segments.
    sound = sorted(
        (record for record in waiting if record.id not in faults), key=lambda record: KINDS[record.kind].segment
    )
    groups = [
        (office, records, seal([record.entry for record in records]))
        for office, records in _by_office(ctx, sound).items()
    ]
    sealed = []
    with ctx.trace("seal") as note, ctx.work() as work:
        for record_id, fault in faults.items():
            work.batches.quarantine(record_id, fault)
        for office, records, batch in groups:
            closed = _closed(ctx, batch, office)
            work.add(closed)
            work.batches.assign(closed, list(zip((one.id for one in records), batch.proofs(), strict=True)))
            sealed.append(closed)
            note({f"provenport.batch.{closed.root.hex()}": [one.id for one in records[:MOST_TRACED]]})
        if sealed:
            ctx.reached("before-seal-commit")
        work.commit()
    for record_id, fault in faults.items():
        log.error("a record was set aside", record=record_id, why=fault)
    for closed in sealed:
        named = {} if closed.office is None else {"office": closed.office}
        log.info("batch sealed", size=closed.size, root=closed.root.hex(), **named)
    if sealed:
        ctx.reached("after-seal")
    return sealed


def _by_office(ctx: AnchoringContext, records: Sequence[WaitingRecord]) -> dict[str | None, list[WaitingRecord]]:
    """Group records by the customs office that alone decides on them, or None."""
    offices = ctx.ledger.offices
    declared: dict[str, str] = {}
    if offices and records:
        with ctx.work(reading=True) as work:
            declared = work.batches.declared_to(offices, records)
    groups: dict[str | None, list[WaitingRecord]] = {}
    for record in records:
        groups.setdefault(declared.get(record.id), []).append(record)
    return groups


@rerunnable
def _waiting(ctx: AnchoringContext) -> Sequence[WaitingRecord]:
    """Return the records that wait for a batch. Unreadable rows are quarantined, or all others would wait too."""
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


def _closed(ctx: AnchoringContext, batch: Batch, office: str | None) -> SealedBatch:
    segments = batch.segments
    return SealedBatch(
        id=str(uuid4()),
        root=batch.root,
        origin_end=segments.origin_end,
        inspection_end=segments.inspection_end,
        declaration_end=segments.declaration_end,
        size=segments.size,
        sealed_at=ctx.now(),
        office=office,
    )


def _fault_in(record: WaitingRecord) -> str | None:
    """Return why a record cannot be sealed, or None: its stored text is not what was signed, or gives no entry."""
    try:
        found = sha256(record.signed_jwt.encode("ascii")).hexdigest()
        record.entry.encode()
    except (ValueError, TypeError, OverflowError, AttributeError) as error:
        return f"it cannot be entered: {error}"[:200]
    return None if found == record.digest else "what is stored is not what was signed"


def anchor_sealed(ctx: AnchoringContext) -> None:
    """Sign, store and send the anchoring of every sealed batch, and recognise those that the ledger holds already.

    Raises:
        LedgerUnavailable: The ledger cannot be asked. The batches stay sealed.
        ForeignLedger: Another ledger than ours answers.
    """
    with ctx.work(reading=True) as work:
        sealed = [batch for batch in work.batches.pending() if batch.state is ProofState.SEALED]
    each = IndependentSteps()
    for batch in sealed:
        with ctx.trace("anchor batch") as note:
            note({"provenport.batch.root": batch.root.hex(), "provenport.batch.size": batch.size})
            each.attempt(_anchor, ctx, batch)
    each.finish()


@rerunnable
def _anchor(ctx: AnchoringContext, batch: SealedBatch) -> None:
    found = ctx.ledger.batch(ctx.ledger.batch_key(batch.root))
    if found is not None:
        _recognise(ctx, batch, found)
        return
    if (trouble := _why_not(ctx, batch)) is not None:
        _note_trouble(ctx, batch, trouble)
        return
    head = ctx.ledger.head()
    call = _call(ctx, batch)
    transaction = signed(ctx, call, "anchorer")
    ctx.reached("anchor-signed")
    with ctx.work() as work:
        kept = work.batches.get(batch.id)
        # A batch leaves ``sealed`` once, even if two workers believe that they hold the lease.
        if kept.state is not ProofState.SEALED:
            return  # another worker was quicker
        transaction = keep(work, transaction)
        kept.state, kept.transaction_id, kept.trouble = ProofState.SUBMITTED, transaction.id, None
        kept.transaction_hash = transaction.transaction_hash
        if not call.office:
            kept.office = None  # contracts of an earlier version take no office: any decides
        _note_ledger(kept, head)
        ctx.reached("before-anchor-commit")
        work.commit()
    ctx.reached("anchor-kept")
    # Sent only after the commit: a transaction that is on the chain but not in the database could not be followed.
    send(ctx, transaction)
    ctx.reached("anchor-sent")


def _call(ctx: AnchoringContext, batch: SealedBatch) -> AnchorBatch:
    return AnchorBatch(batch.root, batch.segments, 0 if batch.office is None else ctx.ledger.office(batch.office))


def _why_not(ctx: AnchoringContext, batch: SealedBatch) -> str | None:
    """Return why a batch must not be signed now, or None.

    Either its stored records no longer give its root, or the ledger refused it before and would again.
    """
    with ctx.work(reading=True) as work:
        leaves = work.batches.leaves(batch)
    try:
        root = Tree([leaf.entry for leaf in leaves]).root if leaves else b""
    except (ValueError, OverflowError) as error:
        return f"a stored record of it cannot be read: {error}"[:200]
    # A record changed in the database after sealing: anchoring the batch would vouch for a root that nothing proves.
    if root != batch.root:
        changed = [leaf.leaf_index for leaf in leaves if sha256(leaf.signed_jwt.encode()).hexdigest() != leaf.digest]
        return f"its stored records do not give its root; changed places: {changed[:10] or 'not told by digests'}"
    if batch.trouble is None:
        return None
    try:
        ctx.ledger.simulate(_call(ctx, batch))
    except LedgerRefused as refusal:
        return str(refusal)[:200]
    return None


@rerunnable
def _note_trouble(ctx: AnchoringContext, batch: SealedBatch, trouble: str) -> None:
    if batch.trouble == trouble:
        return
    log.error("a batch is not anchored", root=batch.root.hex(), why=trouble)
    with ctx.work() as work:
        work.batches.get(batch.id).trouble = trouble
        work.commit()


def _note_ledger(batch: SealedBatch, head: Head) -> None:
    batch.chain_id, batch.ledger_address, batch.instance_id = head.chain_id, head.ledger_address, head.instance_id


@rerunnable
def _recognise(ctx: AnchoringContext, batch: SealedBatch, found: AnchoredBatch) -> None:
    """Note a batch that is on the ledger although no open transaction of ours says so.

    This happens when the database was restored from an older copy.
    """
    # Ledgers of an earlier version give a root to whoever anchors it first.
    if found.anchorer != ctx.ledger.anchorer():
        _note_trouble(ctx, batch, "another anchorer has anchored this root")
        return
    if found.segments != batch.segments:
        _note_trouble(ctx, batch, "the ledger holds this root with other segments")
        return
    anchoring, head = ctx.ledger.anchoring_of(ctx.ledger.batch_key(batch.root), found), ctx.ledger.head()
    if anchoring is None or head.number - anchoring.block_number < ctx.ledger.confirmations:
        return  # asked again at the next round, until it is deep enough
    log.warning("a batch was found on the ledger", root=batch.root.hex(), block=anchoring.block_number)
    with ctx.work() as work:
        kept = work.batches.get(batch.id)
        kept.transaction_id, kept.transaction_hash, kept.trouble = None, anchoring.transaction_hash, None
        _note_ledger(kept, head)
        on_anchored(ctx, work, kept, found.anchored_at, anchoring.block_number, is_final=True)
        work.commit()
