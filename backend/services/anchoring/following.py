"""Open transactions are followed until their end is seen."""

from datetime import timedelta

from backend.domain.ledger import Receipt
from backend.domain.outbox import OutboundTransaction
from backend.services.anchoring.outcomes import displace, note_mined
from backend.services.anchoring.steps import Each
from backend.services.anchoring.transactions import fill_gaps, has_waited, send_again
from backend.services.ports import AppContext

PATIENCE = timedelta(seconds=15)
"""How long a receipt may be late before we believe that another transaction took the number."""


def follow(ctx: AppContext) -> None:
    """Look up every open transaction and note what became of it."""
    with ctx.work(reading=True) as work:
        transactions = list(work.outbox.pending())
    each = Each()
    # Counted before any receipt is asked for: what is mined in between must not look as if another had its number.
    mined = {signer: ctx.ledger.next_nonce(signer) for signer in {transaction.signer for transaction in transactions}}
    for transaction in transactions:
        each.attempt(_follow, ctx, transaction, mined[transaction.signer])
    for signer, count in mined.items():
        each.attempt(fill_gaps, ctx, signer, count)
    each.finish()


def _follow(ctx: AppContext, transaction: OutboundTransaction, mined: int) -> None:
    receipt = _receipt(ctx, transaction)
    ctx.reached("receipt-seen")
    if receipt is not None:
        note_mined(ctx, transaction, receipt)
    elif transaction.nonce < mined and has_waited(ctx, transaction.sent_at or transaction.made_at, PATIENCE):
        displace(ctx, transaction)
    else:
        send_again(ctx, transaction, is_next=transaction.nonce == mined)


def _receipt(ctx: AppContext, transaction: OutboundTransaction) -> Receipt | None:
    for transaction_hash in transaction.hashes:
        receipt = ctx.ledger.receipt(transaction_hash)
        if receipt is not None:
            return receipt
    return None
