"""Sealed batches are anchored; those that the ledger has already are recognised."""

from hashlib import sha256

import structlog

from backend.domain.errors import LedgerRefused
from backend.domain.ledger import AnchorBatch, AnchoredBatch, Head
from backend.domain.merkle import Tree
from backend.domain.records import ProofState, SealedBatch
from backend.services.anchoring.outcomes import note_anchored
from backend.services.anchoring.steps import Each
from backend.services.anchoring.transactions import keep, send, signed
from backend.services.ports import AppContext

log = structlog.get_logger()


def anchor_sealed(ctx: AppContext) -> None:
    """Sign, keep and send the anchoring of every sealed batch; recognise those that the ledger has already."""
    with ctx.work(reading=True) as work:
        sealed = [batch for batch in work.batches.pending() if batch.state is ProofState.SEALED]
    each = Each()
    for batch in sealed:
        each.attempt(_anchor, ctx, batch)
    each.finish()


def _anchor(ctx: AppContext, batch: SealedBatch) -> None:
    found = ctx.ledger.batch(batch.root)
    if found is not None:
        _recognise(ctx, batch, found)
        return
    if (trouble := _why_not(ctx, batch)) is not None:
        _note_trouble(ctx, batch, trouble)
        return
    head = ctx.ledger.head()
    transaction = signed(ctx, AnchorBatch(batch.root, batch.lanes), "anchorer")
    ctx.reached("anchor-signed")
    with ctx.work() as work:
        kept = work.batches.get(batch.id)
        if kept.state is not ProofState.SEALED:
            return  # another worker was quicker
        transaction = keep(work, transaction)
        kept.state, kept.transaction_id, kept.trouble = ProofState.SUBMITTED, transaction.id, None
        kept.transaction_hash = transaction.transaction_hash
        _note_ledger(kept, head)
        ctx.reached("before-anchor-commit")
        work.commit()
    ctx.reached("anchor-kept")
    send(ctx, transaction)
    ctx.reached("anchor-sent")


def _why_not(ctx: AppContext, batch: SealedBatch) -> str | None:
    """Why a batch must not be signed now: its records no longer give its root, or the ledger refused it before."""
    with ctx.work(reading=True) as work:
        leaves = work.batches.leaves(batch)
    try:
        root = Tree([leaf.entry for leaf in leaves]).root if leaves else b""
    except (ValueError, OverflowError) as error:
        return f"a stored record of it cannot be read: {error}"[:200]
    if root != batch.root:
        changed = [leaf.place for leaf in leaves if sha256(leaf.signed_jwt.encode()).hexdigest() != leaf.digest]
        return f"its stored records do not give its root; changed places: {changed[:10] or 'not told by digests'}"
    if batch.trouble is None:
        return None
    try:
        ctx.ledger.simulate(AnchorBatch(batch.root, batch.lanes))
    except LedgerRefused as refusal:
        return str(refusal)[:200]
    return None


def _note_trouble(ctx: AppContext, batch: SealedBatch, trouble: str) -> None:
    if batch.trouble == trouble:
        return
    log.error("a batch is not anchored", root=batch.root.hex(), why=trouble)
    with ctx.work() as work:
        work.batches.get(batch.id).trouble = trouble
        work.commit()


def _note_ledger(batch: SealedBatch, head: Head) -> None:
    batch.chain_id, batch.ledger_address, batch.instance_id = head.chain_id, head.ledger_address, head.instance_id


def _recognise(ctx: AppContext, batch: SealedBatch, found: AnchoredBatch) -> None:
    """Note a batch that the ledger has although no open transaction of ours says so: the database is an older copy."""
    if found.lanes != batch.lanes:
        _note_trouble(ctx, batch, "the ledger holds this root with other lanes")
        return
    anchoring, head = ctx.ledger.anchoring_of(batch.root, found), ctx.ledger.head()
    if anchoring is None or head.number - anchoring.block_number < ctx.confirmations:
        return  # asked again at the next round, until it is deep enough
    log.warning("a batch was found on the ledger", root=batch.root.hex(), block=anchoring.block_number)
    with ctx.work() as work:
        kept = work.batches.get(batch.id)
        kept.transaction_id, kept.transaction_hash, kept.trouble = None, anchoring.transaction_hash, None
        _note_ledger(kept, head)
        note_anchored(ctx, work, kept, found.anchored_at, anchoring.block_number, is_final=True)
        work.commit()
