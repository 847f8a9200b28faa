"""Reorganisations: send again what was final and is orphaned, or everything if the chain itself is lost."""

from collections.abc import Iterable, Sequence

import structlog

from backend.domain.outbox import OutboundTransaction, TransactionState
from backend.services.anchoring.requests import HAS_IT
from backend.services.anchoring.transactions import requeue, revert_to_sealed, revert_to_sent
from backend.services.ports import AnchoringContext, rerunnable

log = structlog.get_logger()

LOST = "the ledger that it is about is lost"


def has_reorganised(ctx: AnchoringContext) -> bool:
    """Tell whether the newest final transaction left its block: the chain was reorganised beyond the confirmations."""
    with ctx.work(reading=True) as work:
        newest = work.outbox.final(1)
    return bool(newest) and is_orphaned(ctx, newest[0])


def is_orphaned(ctx: AnchoringContext, transaction: OutboundTransaction) -> bool:
    """Tell whether a final transaction's block is no longer part of the chain.

    Raises:
        LedgerUnavailable: The ledger cannot be asked.
    """
    receipt = ctx.ledger.receipt(transaction.transaction_hash)
    # Compared by hash: after a reorganisation the same transaction may be in another block of the same number.
    return receipt is None or receipt.block_hash != transaction.block_hash


@rerunnable
def revert_orphaned(ctx: AnchoringContext) -> None:
    """Reopen final transactions whose block is gone, from the newest down to the first that still stands.

    Raises:
        LedgerUnavailable: The ledger cannot be asked. Nothing was reopened.
    """
    gone = list(_all_orphaned(ctx))
    if not gone:
        return
    log.error("final blocks are gone: the chain was reorganised or restored; sending again", count=len(gone))
    with ctx.work() as work:
        for transaction in gone:
            revert_to_sent(ctx, work, work.outbox.get(transaction.id))
        ctx.reached("before-reopen-commit")
        work.commit()
    # Terms read from orphaned blocks may no longer be the ledger's.
    ctx.signer_terms.clear()


def _all_orphaned(ctx: AnchoringContext) -> Iterable[OutboundTransaction]:
    # In small portions from the newest down: a reorganisation is rare and mostly short, and each costs a receipt.
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


@rerunnable
def reanchor_all(ctx: AnchoringContext) -> int:
    """Prepare everything to be written to a new ledger, because the old one is lost. Returns the number of batches.

    Records, leaf indexes and proofs stay as they are. The old transactions are kept for the audit trail.
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
        for notice in work.revocations.all():
            # Another's place is one of the lost ledger's.
            notice.settled = None if notice.record_id is not None else LOST
        batches = work.batches.all()
        for batch in batches:
            revert_to_sealed(batch)
            batch.transaction_id = batch.transaction_hash = None
            batch.chain_id = batch.ledger_address = batch.instance_id = None
        work.commit()
    return len(batches)
