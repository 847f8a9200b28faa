"""Transactions: signed under a number of their own, kept, then sent, and sent again until a block has them."""

from datetime import datetime, timedelta
from uuid import uuid4

import structlog

from backend.domain.errors import LedgerRefused
from backend.domain.ledger import CancelNonce, LedgerCall
from backend.domain.outbox import OutboundTransaction, TransactionState
from backend.services.anchoring.outcomes import note_sent
from backend.services.ports import AppContext
from backend.store.unit_of_work import UnitOfWork

log = structlog.get_logger()


RAISE_AFTER = timedelta(seconds=60)
"""How long a transaction waits for its block before its fee is raised."""


def signed(ctx: AppContext, call: LedgerCall, signer: str) -> OutboundTransaction:
    """Sign an act under the first number that neither the chain nor an open transaction of ours has used.

    Outside of any unit of work: a slow node must not keep others from the database.
    """
    with ctx.work(reading=True) as work:
        taken = work.outbox.open_nonces(signer)
    nonce = ctx.ledger.next_nonce(signer)
    while nonce in taken:
        nonce += 1
    return sign(ctx, call, signer, nonce)


def sign(ctx: AppContext, call: LedgerCall, signer: str, nonce: int) -> OutboundTransaction:
    """Sign an act under a number."""
    signed = ctx.ledger.sign(call, nonce)
    return OutboundTransaction(str(uuid4()), signer, nonce, signed.raw, signed.transaction_hash, ctx.now())


def keep(work: UnitOfWork, transaction: OutboundTransaction) -> OutboundTransaction:
    """Keep a transaction before it is sent.

    The same act under the same number and fee gives the same bytes: where it was kept before and ended with a block
    that is gone, or with a chain that is lost, that row is opened again.
    """
    earlier = work.outbox.find_by_hash(transaction.transaction_hash)
    if earlier is None:
        work.add(transaction)
        return transaction
    earlier.state, earlier.made_at, earlier.sent_at = TransactionState.SIGNED, transaction.made_at, None
    earlier.block = earlier.block_hash = earlier.block_time = earlier.refusal = earlier.trouble = None
    return earlier


def send(ctx: AppContext, transaction: OutboundTransaction) -> bool:
    """Hand a kept transaction to the chain; where the chain does not take it, note why and try again next round."""
    try:
        ctx.ledger.send(transaction.raw)
        trouble = None
    except LedgerRefused as refusal:
        trouble = str(refusal)[:200]
    if trouble != transaction.trouble:
        if trouble:
            log.error(
                "the chain does not take a transaction", signer=transaction.signer, nonce=transaction.nonce, why=trouble
            )
        with ctx.work() as work:
            work.outbox.get(transaction.id).trouble = trouble
            work.commit()
    return trouble is None


def send_again(ctx: AppContext, transaction: OutboundTransaction, is_next: bool) -> None:
    """Send the same bytes again, or for a higher fee where the account has waited long for this one."""
    since = transaction.raised_at or transaction.sent_at
    is_poor = transaction.trouble is not None and "insufficient" in transaction.trouble
    if is_next and not is_poor and since is not None and has_waited(ctx, since, RAISE_AFTER):
        transaction = _raise_fee(ctx, transaction)
    if send(ctx, transaction):
        note_sent(ctx, transaction)
        ctx.reached("sent-again")


def has_waited(ctx: AppContext, since: datetime, span: timedelta) -> bool:
    """Whether that much time has passed."""
    return ctx.now() - since >= span


def _raise_fee(ctx: AppContext, transaction: OutboundTransaction) -> OutboundTransaction:
    """Take the place of a transaction that no block wants, by the same act for more; every hash is kept."""
    higher = ctx.ledger.replace_by_fee(transaction.signer, transaction.raw)
    if higher is None:
        log.error("a transaction waits, and the highest fee that we may pay is reached", nonce=transaction.nonce)
        return transaction
    with ctx.work() as work:
        kept = work.outbox.get(transaction.id)
        if kept.transaction_hash != transaction.transaction_hash or not kept.is_open:
            return kept
        kept.raise_fee(higher.raw, higher.transaction_hash, ctx.now())
        work.commit()
    log.warning(
        "raised a transaction's fee",
        signer=transaction.signer,
        nonce=transaction.nonce,
        attempts=len(kept.earlier_attempts) + 1,
    )
    ctx.reached("fee-raised")
    return kept


def fill_gaps(ctx: AppContext, signer: str, mined: int) -> None:
    """Use up numbers that are missing before open transactions, which would otherwise wait for ever."""
    with ctx.work(reading=True) as work:
        taken = work.outbox.open_nonces(signer)
    for nonce in range(mined, max(taken, default=0)):
        if nonce in taken:
            continue
        log.warning("a number is missing; using it up", signer=signer, nonce=nonce)
        transaction = sign(ctx, CancelNonce(signer), signer, nonce)
        with ctx.work() as work:
            transaction = keep(work, transaction)
            work.commit()
        ctx.reached("gap-kept")
        send(ctx, transaction)
