"""What became of a transaction, and what that means for what it carried."""

from datetime import datetime
from uuid import uuid4

import structlog

from backend.domain.clearance import Step
from backend.domain.consignment import Event
from backend.domain.ledger import Receipt
from backend.domain.outbox import OutboundTransaction, TransactionState
from backend.domain.records import ProofState, SealedBatch
from backend.services.keys import settle_rotations
from backend.services.ports import AppContext
from backend.store.unit_of_work import UnitOfWork

log = structlog.get_logger()


def note_sent(ctx: AppContext, transaction: OutboundTransaction) -> None:
    """Note that the chain took a transaction."""
    if transaction.state is TransactionState.SENT:
        return
    with ctx.work() as work:
        send_back(ctx, work, work.outbox.get(transaction.id))
        work.commit()


def note_mined(ctx: AppContext, transaction: OutboundTransaction, receipt: Receipt) -> None:
    """Note the block that a transaction stands in, and what it brought about."""
    is_final = ctx.ledger.head().number - receipt.block_number >= ctx.confirmations
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
                note_anchored(ctx, work, batch, receipt.block_time, receipt.block_number, is_final)
            if is_final:
                _note_drawn(work, kept, receipt.block_time)
        settle_rotations(work, kept, receipt.block_time, receipt.succeeded)
        ctx.reached("before-receipt-commit")
        work.commit()
    ctx.reached("receipt-noted")


def _note_refused(work: UnitOfWork, kept: OutboundTransaction, batch: SealedBatch | None, receipt: Receipt) -> None:
    """The contract said no. A batch waits until a rehearsal goes well; changes that travelled together part."""
    kept.state, kept.refusal = TransactionState.REFUSED, receipt.refusal or "refused"
    log.error("the ledger refused a transaction", refusal=kept.refusal, transaction=kept.transaction_hash.hex())
    if batch is not None:
        seal_again(batch, trouble=kept.refusal)
    if len(work.status_changes.sent_by(kept)) > 1 or kept.refusal.startswith("AccessManager"):
        ask_again(work, kept)
    _ask_draws_again(work, kept)


def _note_drawn(work: UnitOfWork, kept: OutboundTransaction, time: datetime) -> None:
    for draw in work.drawdowns.sent_by(kept):
        draw.made_at = draw.made_at or time
    for draw in work.drawdowns.refunded_by(kept):
        draw.given_back_at = time


def _ask_draws_again(work: UnitOfWork, kept: OutboundTransaction) -> None:
    """Openings and draws are rehearsed anew: whether a refusal is for good shows then, at the newest block."""
    for opening in work.drawdowns.activations_sent_by(kept):
        opening.transaction = None
    for draw in work.drawdowns.sent_by(kept):
        draw.ask_again()
    for draw in work.drawdowns.refunded_by(kept):
        draw.refund_transaction = None


def note_anchored(
    ctx: AppContext, work: UnitOfWork, batch: SealedBatch, anchored_at: datetime, block: int, is_final: bool
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


def displace(ctx: AppContext, transaction: OutboundTransaction) -> None:
    """Another transaction took the number: what this one carried is signed anew, unless the ledger has it."""
    log.error("another transaction took a number of ours", signer=transaction.signer, nonce=transaction.nonce)
    with ctx.work() as work:
        kept = work.outbox.get(transaction.id)
        kept.state, kept.trouble = TransactionState.REPLACED, None
        batch = work.batches.sent_by(kept)
        if batch is not None:
            seal_again(batch)
        ask_again(work, kept)
        work.commit()


def send_back(ctx: AppContext, work: UnitOfWork, kept: OutboundTransaction) -> None:
    """Mark as sent; a reorganisation took the block away: back to submitted, never to lost."""
    kept.state, kept.sent_at = TransactionState.SENT, ctx.now()
    kept.block = kept.block_hash = kept.block_time = None
    batch = work.batches.sent_by(kept)
    if batch is not None:
        batch.state, batch.anchored_at, batch.block = ProofState.SUBMITTED, None, None
    for draw in work.drawdowns.refunded_by(kept):
        draw.given_back_at = None


def seal_again(batch: SealedBatch, trouble: str | None = None) -> None:
    """Let a batch wait for a new transaction."""
    batch.state, batch.anchored_at, batch.block, batch.trouble = ProofState.SEALED, None, None, trouble


def ask_again(work: UnitOfWork, transaction: OutboundTransaction) -> None:
    """Let what a transaction carried, other than a batch, wait for a new one."""
    for change in work.status_changes.sent_by(transaction):
        change.transaction = None
    for accreditation in work.accreditation_changes.sent_by(transaction):
        accreditation.transaction = None
    for accreditation in work.accreditation_changes.announced_by(transaction):
        accreditation.announcement, accreditation.due_at = None, None
    for accreditation in work.accreditation_changes.cancelled_by(transaction):
        accreditation.cancellation = None
    _ask_draws_again(work, transaction)
