"""Handles reorganisations: what was final and is orphaned is sent again; everything, where the chain itself is lost."""

from collections.abc import Iterable, Sequence

import structlog

from backend.domain.outbox import OutboundTransaction, TransactionState
from backend.services.anchoring.accreditation_changes import HAS_IT
from backend.services.anchoring.transactions import requeue, revert_to_sealed, revert_to_sent
from backend.services.ports import AnchoringContext

log = structlog.get_logger()


def has_reorganised(ctx: AnchoringContext) -> bool:
    """Whether the newest final transaction is no longer where it was: the chain went back deeper than agreed."""
    with ctx.work(reading=True) as work:
        newest = work.outbox.final(1)
    return bool(newest) and is_orphaned(ctx, newest[0])


def is_orphaned(ctx: AnchoringContext, transaction: OutboundTransaction) -> bool:
    """Whether a final transaction's block is no longer part of the chain."""
    receipt = ctx.ledger.receipt(transaction.transaction_hash)
    return receipt is None or receipt.block_hash != transaction.block_hash


def revert_orphaned(ctx: AnchoringContext) -> None:
    """Take up again what was final and whose block is gone, from the newest down to the first that still stands."""
    gone = list(_all_orphaned(ctx))
    if not gone:
        return
    log.error("final blocks are gone: the chain was reorganised or restored; sending again", count=len(gone))
    with ctx.work() as work:
        for transaction in gone:
            revert_to_sent(ctx, work, work.outbox.get(transaction.id))
        ctx.reached("before-reopen-commit")
        work.commit()
    ctx.signer_terms.clear()


def _all_orphaned(ctx: AnchoringContext) -> Iterable[OutboundTransaction]:
    offset, chunk = 0, 50
    while True:
        with ctx.work(reading=True) as work:
            transactions: Sequence[OutboundTransaction] = work.outbox.final(chunk, offset)
        for transaction in transactions:
            if not is_orphaned(ctx, transaction):
                return
            yield transaction
        if len(transactions) < chunk:
            return
        offset += chunk


def reanchor_all(ctx: AnchoringContext) -> int:
    """Take everything to a new ledger, since the old one is lost: every batch, call and status is written again.

    How many batches. The records, their places and proofs stay as they are; old transactions are kept for the record.
    """
    with ctx.work() as work:
        for transaction in work.outbox.all():
            transaction.state, transaction.trouble = TransactionState.REPLACED, None
            requeue(work, transaction)
        for accreditation in work.accreditation_changes.ended(HAS_IT):
            accreditation.ended = None
        for activation in work.drawdowns.activations():
            activation.is_known = False
        for drawdown in work.drawdowns.all():
            if drawdown.is_standing:
                drawdown.requeue()
        for change in work.status_changes.settled():
            change.settled = None
        batches = work.batches.all()
        for batch in batches:
            revert_to_sealed(batch)
            batch.transaction_id = batch.transaction_hash = None
            batch.chain_id = batch.ledger_address = batch.instance_id = None
        work.commit()
    return len(batches)
