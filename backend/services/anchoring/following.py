"""Open transactions are followed until their end is seen."""

from datetime import timedelta

from backend.domain.ledger import Receipt
from backend.domain.outbox import Sending
from backend.services.anchoring.outcomes import displace, note_mined
from backend.services.anchoring.sending import fill_gaps, has_waited, send_again
from backend.services.anchoring.steps import Each
from backend.services.ports import AppContext

PATIENCE = timedelta(seconds=15)
"""How long a receipt may be late before we believe that another transaction took the number."""


def follow(ctx: AppContext) -> None:
    """Look up every open transaction and note what became of it."""
    with ctx.work(reading=True) as work:
        sendings = list(work.outbox.pending())
    each = Each()
    # Counted before any receipt is asked for: what is mined in between must not look as if another had its number.
    mined = {signer: ctx.ledger.next_nonce(signer) for signer in {sending.signer for sending in sendings}}
    for sending in sendings:
        each.attempt(_follow, ctx, sending, mined[sending.signer])
    for signer, count in mined.items():
        each.attempt(fill_gaps, ctx, signer, count)
    each.finish()


def _follow(ctx: AppContext, sending: Sending, mined: int) -> None:
    receipt = _receipt(ctx, sending)
    ctx.reached("receipt-seen")
    if receipt is not None:
        note_mined(ctx, sending, receipt)
    elif sending.nonce < mined and has_waited(ctx, sending.sent_at or sending.made_at, PATIENCE):
        displace(ctx, sending)
    else:
        send_again(ctx, sending, is_next=sending.nonce == mined)


def _receipt(ctx: AppContext, sending: Sending) -> Receipt | None:
    for transaction_hash in sending.hashes:
        receipt = ctx.ledger.receipt(transaction_hash)
        if receipt is not None:
            return receipt
    return None
