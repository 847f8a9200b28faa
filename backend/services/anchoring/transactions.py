"""Transactions of the outbox: signed under a nonce of their own, kept, sent, and followed to their receipts.

What became of one decides what becomes of what it carries: batches, changes of status and of accreditations, drawdowns.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import uuid4

import structlog

from backend.domain.consignment import Event, Step
from backend.domain.errors import ForeignLedger, LedgerRefused, LedgerUnavailable
from backend.domain.ledger import CancelNonce, LedgerCall, Receipt
from backend.domain.outbox import OutboundTransaction, TransactionState
from backend.domain.records import ProofState, SealedBatch
from backend.services.keys import settle_rotations
from backend.services.ports import AnchoringContext
from backend.store.unit_of_work import UnitOfWork

log = structlog.get_logger()


class IndependentSteps:
    """Takes steps one after another; a fault in one is logged and kept, so that the others go on."""

    def __init__(self) -> None:
        self._first: Exception | None = None

    def attempt(self, step: Callable[..., object], *arguments: object) -> None:
        """Take a step; what it stumbles over is kept."""
        try:
            step(*arguments)
        except (LedgerUnavailable, ForeignLedger):
            raise  # nothing else would fare better
        except Exception as fault:
            log.exception("a step of anchoring failed", step=step.__name__)
            self._first = self._first or fault

    def finish(self) -> None:
        """Raise the first fault that was kept."""
        if self._first is not None:
            raise self._first


Wanted = TypeVar("Wanted")


def accepted(ctx: AnchoringContext, wanted: list[Wanted], call: Callable[[list[Wanted]], LedgerCall]) -> list[Wanted]:
    """Those of the wishes that the ledger would take now in one call, found by halving.

    What the first half takes may not be there for the second, so they are always asked for together.
    """

    def with_more(taken: list[Wanted], more: list[Wanted]) -> list[Wanted]:
        try:
            ctx.ledger.simulate(call([*taken, *more]))
        except LedgerRefused:
            if len(more) == 1:
                return taken
            middle = len(more) // 2
            return with_more(with_more(taken, more[:middle]), more[middle:])
        return [*taken, *more]

    return with_more([], wanted)


AUTHORITY = "authority"
"""The account that changes accreditations."""
RAISE_AFTER = timedelta(seconds=60)
"""How long a transaction waits for its block before its fee is raised."""


def signed(ctx: AnchoringContext, call: LedgerCall, signer: str) -> OutboundTransaction:
    """Sign a call under the first number that neither the chain nor an open transaction of ours has used.

    Outside of any unit of work: a slow node must not keep others from the database.
    """
    with ctx.work(reading=True) as work:
        taken = work.outbox.open_nonces(signer)
    nonce = ctx.ledger.next_nonce(signer)
    while nonce in taken:
        nonce += 1
    return sign(ctx, call, signer, nonce)


def sign(ctx: AnchoringContext, call: LedgerCall, signer: str, nonce: int) -> OutboundTransaction:
    """Sign a call under a number."""
    signed = ctx.ledger.sign(call, nonce)
    return OutboundTransaction(str(uuid4()), signer, nonce, signed.raw, signed.transaction_hash, ctx.now())


def keep(work: UnitOfWork, transaction: OutboundTransaction) -> OutboundTransaction:
    """Keep a transaction before it is sent.

    The same call under the same number and fee gives the same bytes: where it was kept before and ended with a block
    that is gone, or with a chain that is lost, that row is opened again.
    """
    earlier = work.outbox.find_by_hash(transaction.transaction_hash)
    if earlier is None:
        work.add(transaction)
        return transaction
    earlier.state, earlier.made_at, earlier.sent_at = TransactionState.SIGNED, transaction.made_at, None
    earlier.block = earlier.block_hash = earlier.block_time = earlier.refusal = earlier.trouble = None
    return earlier


def send(ctx: AnchoringContext, transaction: OutboundTransaction) -> bool:
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


def resend(ctx: AnchoringContext, transaction: OutboundTransaction, is_next: bool) -> None:
    """Send the same bytes again, or for a higher fee where the account has waited long for this one."""
    since = transaction.raised_at or transaction.sent_at
    is_poor = transaction.trouble is not None and "insufficient" in transaction.trouble
    if is_next and not is_poor and since is not None and has_waited(ctx, since, RAISE_AFTER):
        transaction = _raise_fee(ctx, transaction)
    if send(ctx, transaction):
        on_sent(ctx, transaction)
        ctx.reached("sent-again")


def has_waited(ctx: AnchoringContext, since: datetime, span: timedelta) -> bool:
    """Whether that much time has passed."""
    return ctx.now() - since >= span


def _raise_fee(ctx: AnchoringContext, transaction: OutboundTransaction) -> OutboundTransaction:
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


def fill_nonce_gaps(ctx: AnchoringContext, signer: str, mined: int) -> None:
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


PATIENCE = timedelta(seconds=15)
"""How long a receipt may be late before we believe that another transaction took the number."""


def poll_receipts(ctx: AnchoringContext) -> None:
    """Look up every open transaction and note what became of it."""
    with ctx.work(reading=True) as work:
        transactions = list(work.outbox.pending())
    each = IndependentSteps()
    # Counted before any receipt is asked for: what is mined in between must not look as if another had its number.
    mined = {signer: ctx.ledger.next_nonce(signer) for signer in {transaction.signer for transaction in transactions}}
    for transaction in transactions:
        each.attempt(_poll_receipt, ctx, transaction, mined[transaction.signer])
    for signer, count in mined.items():
        each.attempt(fill_nonce_gaps, ctx, signer, count)
    each.finish()


def _poll_receipt(ctx: AnchoringContext, transaction: OutboundTransaction, mined: int) -> None:
    receipt = _receipt(ctx, transaction)
    ctx.reached("receipt-seen")
    if receipt is not None:
        on_mined(ctx, transaction, receipt)
    elif transaction.nonce < mined and has_waited(ctx, transaction.sent_at or transaction.made_at, PATIENCE):
        mark_replaced(ctx, transaction)
    else:
        resend(ctx, transaction, is_next=transaction.nonce == mined)


def _receipt(ctx: AnchoringContext, transaction: OutboundTransaction) -> Receipt | None:
    for transaction_hash in transaction.hashes:
        receipt = ctx.ledger.receipt(transaction_hash)
        if receipt is not None:
            return receipt
    return None


def on_sent(ctx: AnchoringContext, transaction: OutboundTransaction) -> None:
    """Note that the chain took a transaction."""
    if transaction.state is TransactionState.SENT:
        return
    with ctx.work() as work:
        revert_to_sent(ctx, work, work.outbox.get(transaction.id))
        work.commit()


def on_mined(ctx: AnchoringContext, transaction: OutboundTransaction, receipt: Receipt) -> None:
    """Note the block that a transaction stands in, and what it brought about."""
    is_final = ctx.ledger.head().number - receipt.block_number >= ctx.ledger.confirmations
    if transaction.state is TransactionState.MINED and transaction.block_hash == receipt.block_hash and not is_final:
        return
    with ctx.work() as work:
        kept = work.outbox.get(transaction.id)
        kept.settle_on(receipt.transaction_hash)
        kept.block, kept.block_hash, kept.block_time = receipt.block_number, receipt.block_hash, receipt.block_time
        kept.state, kept.trouble = TransactionState.FINAL if is_final else TransactionState.MINED, None
        batch = work.batches.sent_by(kept)
        if not receipt.succeeded:
            _note_refused(work, kept, batch, receipt)
        else:
            if batch is not None:
                batch.transaction_hash = receipt.transaction_hash
                on_anchored(ctx, work, batch, receipt.block_time, receipt.block_number, is_final)
            if is_final:
                _note_drawdowns(work, kept, receipt.block_time)
        settle_rotations(work, kept, receipt.block_time, receipt.succeeded)
        ctx.reached("before-receipt-commit")
        work.commit()
    if transaction.signer == AUTHORITY:
        ctx.signer_terms.clear()
    ctx.reached("receipt-noted")


def _note_refused(work: UnitOfWork, kept: OutboundTransaction, batch: SealedBatch | None, receipt: Receipt) -> None:
    """The contract said no. A batch waits until a rehearsal goes well; changes of status are rehearsed anew."""
    kept.state, kept.refusal = TransactionState.REFUSED, receipt.refusal or "refused"
    log.error("the ledger refused a transaction", refusal=kept.refusal, transaction=kept.transaction_hash.hex())
    if batch is not None:
        revert_to_sealed(batch, trouble=kept.refusal)
    if work.status_changes.sent_by(kept) or kept.refusal.startswith("AccessManager"):
        requeue(work, kept)
    _requeue_drawdowns(work, kept)


def _note_drawdowns(work: UnitOfWork, kept: OutboundTransaction, time: datetime) -> None:
    for drawdown in work.drawdowns.sent_by(kept):
        drawdown.made_at = drawdown.made_at or time
    for drawdown in work.drawdowns.refunded_by(kept):
        drawdown.refunded_at = time


def _requeue_drawdowns(work: UnitOfWork, kept: OutboundTransaction) -> None:
    """Activations and drawdowns are simulated anew: whether a refusal is for good shows then, at the newest block."""
    for activation in work.drawdowns.activations_sent_by(kept):
        activation.transaction = None
    for drawdown in work.drawdowns.sent_by(kept):
        drawdown.requeue()
    for drawdown in work.drawdowns.refunded_by(kept):
        drawdown.refund_transaction = None


def on_anchored(
    ctx: AnchoringContext, work: UnitOfWork, batch: SealedBatch, anchored_at: datetime, block: int, is_final: bool
) -> None:
    """Note that a batch stands on the ledger, and for good where it does."""
    batch.state = ProofState.FINAL if is_final else ProofState.ANCHORED
    batch.anchored_at, batch.block = anchored_at, block
    if not is_final:
        return
    for consignment in work.consignments.in_batch(batch):
        if not any(event.step is Step.ANCHORED for event in consignment.events):
            now = ctx.now()
            consignment.events.append(Event(str(uuid4()), Step.ANCHORED, now, now))
    log.info("batch final", size=batch.size, block=batch.block)


def mark_replaced(ctx: AnchoringContext, transaction: OutboundTransaction) -> None:
    """Another transaction took the number: what this one carried is signed anew, unless the ledger has it."""
    log.error("another transaction took a number of ours", signer=transaction.signer, nonce=transaction.nonce)
    with ctx.work() as work:
        kept = work.outbox.get(transaction.id)
        kept.state, kept.trouble = TransactionState.REPLACED, None
        batch = work.batches.sent_by(kept)
        if batch is not None:
            revert_to_sealed(batch)
        requeue(work, kept)
        work.commit()


def revert_to_sent(ctx: AnchoringContext, work: UnitOfWork, kept: OutboundTransaction) -> None:
    """Mark as sent; a reorganisation took the block away: back to submitted, never to lost."""
    kept.state, kept.sent_at = TransactionState.SENT, ctx.now()
    kept.block = kept.block_hash = kept.block_time = None
    batch = work.batches.sent_by(kept)
    if batch is not None:
        batch.state, batch.anchored_at, batch.block = ProofState.SUBMITTED, None, None
    for drawdown in work.drawdowns.refunded_by(kept):
        drawdown.refunded_at = None


def revert_to_sealed(batch: SealedBatch, trouble: str | None = None) -> None:
    """Let a batch wait for a new transaction."""
    batch.state, batch.anchored_at, batch.block, batch.trouble = ProofState.SEALED, None, None, trouble


def requeue(work: UnitOfWork, transaction: OutboundTransaction) -> None:
    """Let what a transaction carried, other than a batch, wait for a new one."""
    for change in work.status_changes.sent_by(transaction):
        change.transaction = None
    for accreditation in work.accreditation_changes.sent_by(transaction):
        accreditation.transaction = None
    for accreditation in work.accreditation_changes.announced_by(transaction):
        accreditation.announcement, accreditation.due_at = None, None
    for accreditation in work.accreditation_changes.cancelled_by(transaction):
        accreditation.cancellation = None
    _requeue_drawdowns(work, transaction)
