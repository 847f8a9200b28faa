"""Transactions of the outbox: signed under a nonce of their own, stored, sent, and polled until they are final.

The result of a transaction decides what becomes of what it carries: batches, changes of status and accreditation, and
drawdowns.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import uuid4

import structlog

from backend.domain.consignment import Event, Step
from backend.domain.errors import ForeignLedger, LedgerRefused, LedgerUnavailable
from backend.domain.ledger import CancelNonce, LedgerCall, Receipt
from backend.domain.outbox import (
    HAND_ON,
    MOVE,
    REGISTER,
    WITHDRAW,
    LedgerRequest,
    OutboundTransaction,
    TransactionState,
)
from backend.domain.records import ProofState, SealedBatch
from backend.services.keys import settle_rotations
from backend.services.ports import AnchoringContext, rerunnable
from backend.store.unit_of_work import UnitOfWork

log = structlog.get_logger()


class IndependentSteps:
    """Runs steps one after another. A fault in one is logged and kept, so that the others still run."""

    def __init__(self) -> None:
        self._first: Exception | None = None

    def attempt(self, step: Callable[..., object], *arguments: object) -> None:
        """Run a step and keep its fault.

        Raises:
            LedgerUnavailable: The ledger cannot be asked, so no other step would succeed either.
            ForeignLedger: Another ledger than ours answers.
        """
        try:
            step(*arguments)
        except (LedgerUnavailable, ForeignLedger):
            raise  # nothing else would fare better
        except Exception as fault:
            log.exception("a step of anchoring failed", step=step.__name__)
            self._first = self._first or fault

    def finish(self) -> None:
        """Raise the first fault that was kept, if there was one."""
        if self._first is not None:
            raise self._first


Wanted = TypeVar("Wanted")


def accepted(ctx: AnchoringContext, wanted: list[Wanted], call: Callable[[list[Wanted]], LedgerCall]) -> list[Wanted]:
    """Return those of ``wanted`` that the ledger would accept together in one call, found by bisection.

    The two halves are not simulated separately: what the first half uses up may be missing for the second.
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
ADMIN = "admin"
"""The account that gives and takes roles over the contracts."""
RAISE_AFTER = timedelta(seconds=60)
"""How long a transaction waits for its block before its fee is raised."""


def signed(ctx: AnchoringContext, call: LedgerCall, signer: str) -> OutboundTransaction:
    """Sign a call under the first nonce that neither the chain nor an open transaction of ours uses.

    Call it outside of any unit of work, since a slow node must not keep others from the database.

    Raises:
        LedgerUnavailable: The ledger cannot be asked.
        ForeignLedger: Another ledger than ours answers.
    """
    with ctx.work(reading=True) as work:
        taken = work.outbox.open_nonces(signer)
    nonce = ctx.ledger.next_nonce(signer)
    while nonce in taken:
        nonce += 1
    return sign(ctx, call, signer, nonce)


def sign(ctx: AnchoringContext, call: LedgerCall, signer: str, nonce: int) -> OutboundTransaction:
    """Sign a call under a given nonce."""
    signed = ctx.ledger.sign(call, nonce)
    return OutboundTransaction(str(uuid4()), signer, nonce, signed.raw, signed.transaction_hash, ctx.now())


def keep(work: UnitOfWork, transaction: OutboundTransaction) -> OutboundTransaction:
    """Store a transaction, which must happen before it is sent.

    The same call with the same nonce and fee gives the same bytes, and thereby the same hash. A row that has this hash
    already, of a transaction whose block or chain was lost, is opened again.
    """
    earlier = work.outbox.find_by_hash(transaction.transaction_hash)
    if earlier is None:
        work.add(transaction)
        return transaction
    earlier.state, earlier.made_at, earlier.sent_at = TransactionState.SIGNED, transaction.made_at, None
    earlier.block = earlier.block_hash = earlier.block_time = earlier.refusal = earlier.trouble = None
    return earlier


@rerunnable
def keep_and_send(
    ctx: AnchoringContext,
    transaction: OutboundTransaction,
    find: Callable[[UnitOfWork], object | None],
    point: str,
    carried: str = "transaction",
) -> None:
    """Store a signed transaction with the row that it carries out, then send it.

    ``find`` returns the row, or None where there is nothing to do any more. The row is the guard: of two workers that
    signed the same only one stores and sends it. ``carried`` is the row's member for the transaction, ``point`` begins
    the names of the points where tests crash.

    Raises:
        LedgerUnavailable: The ledger cannot be asked. The next round sends what was stored.
    """
    ctx.reached(f"{point}-signed")
    with ctx.work() as work:
        row = find(work)
        if row is None or getattr(row, carried) is not None:
            return  # another worker was quicker, or it ended
        transaction = keep(work, transaction)
        setattr(row, carried, transaction)
        work.commit()
    ctx.reached(f"{point}-kept")
    send(ctx, transaction)
    ctx.reached(f"{point}-sent")


@rerunnable
def send(ctx: AnchoringContext, transaction: OutboundTransaction) -> bool:
    """Send a stored transaction. Tells whether the chain accepted it, and notes the reason if it did not.

    Raises:
        LedgerUnavailable: The ledger cannot be asked. The next round sends again.
    """
    try:
        ctx.ledger.send(transaction.raw)
        trouble = None
    except LedgerRefused as refusal:
        # As long as the column, beyond which PostgreSQL refuses the row.
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
    """Send the same bytes again, or with a higher fee if this transaction has held up its account for long."""
    since = transaction.raised_at or transaction.sent_at
    # "insufficient funds" and the like, as nodes say it (adapters/chains/json_rpc.py).
    is_poor = transaction.trouble is not None and "insufficient" in transaction.trouble
    # Only the next nonce holds the others up, and a higher fee does not help an account that cannot pay the present
    # one.
    if is_next and not is_poor and since is not None and has_waited(ctx, since, RAISE_AFTER):
        transaction = _raise_fee(ctx, transaction)
    if send(ctx, transaction):
        on_sent(ctx, transaction)
        ctx.reached("sent-again")


def has_waited(ctx: AnchoringContext, since: datetime, span: timedelta) -> bool:
    """Tell whether this much time has passed."""
    return ctx.now() - since >= span


@rerunnable
def _raise_fee(ctx: AnchoringContext, transaction: OutboundTransaction) -> OutboundTransaction:
    """Replace a pending transaction by the same call with a higher fee. Every hash is kept, since any may be mined."""
    higher = ctx.ledger.replace_by_fee(transaction.signer, transaction.raw)
    if higher is None:
        log.error("a transaction waits, and the highest fee that we may pay is reached", nonce=transaction.nonce)
        return transaction
    with ctx.work() as work:
        kept = work.outbox.get(transaction.id)
        # Another worker has raised the fee or seen the receipt meanwhile.
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


@rerunnable
def fill_nonce_gaps(ctx: AnchoringContext, signer: str, mined: int) -> None:
    """Fill missing nonces below open transactions by transactions that do nothing.

    The chain mines an account's transactions in the order of nonces, so it would never mine those after a gap.
    """
    with ctx.work(reading=True) as work:
        taken = work.outbox.open_nonces(signer)
    missing = [nonce for nonce in range(mined, max(taken, default=0)) if nonce not in taken]
    # Counted anew: what was mined since the count is not open any more, and left no gap.
    mined = ctx.ledger.next_nonce(signer) if missing else mined
    for nonce in missing:
        if nonce < mined:
            continue
        log.warning("a number is missing; using it up", signer=signer, nonce=nonce)
        transaction = sign(ctx, CancelNonce(signer), signer, nonce)
        with ctx.work() as work:
            transaction = keep(work, transaction)
            work.commit()
        ctx.reached("gap-kept")
        send(ctx, transaction)


PATIENCE = timedelta(seconds=15)
"""How long a receipt may be late before we conclude that another transaction used the nonce."""


def poll_receipts(ctx: AnchoringContext) -> None:
    """Look up every open transaction and note its result.

    Raises:
        LedgerUnavailable: The ledger cannot be asked. The next round asks again.
    """
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


@rerunnable
def on_sent(ctx: AnchoringContext, transaction: OutboundTransaction) -> None:
    """Note that the chain accepted a transaction."""
    if transaction.state is TransactionState.SENT:
        return
    with ctx.work() as work:
        revert_to_sent(ctx, work, work.outbox.get(transaction.id))
        work.commit()


@rerunnable
def on_mined(ctx: AnchoringContext, transaction: OutboundTransaction, receipt: Receipt) -> None:
    """Note the block of a transaction, and the effect on what it carries."""
    is_final = ctx.ledger.head().number - receipt.block_number >= ctx.ledger.confirmations
    # Nothing has changed since the last round, so the row is not written again.
    if transaction.state is TransactionState.MINED and transaction.block_hash == receipt.block_hash and not is_final:
        return
    with ctx.work() as work:
        kept = work.outbox.get(transaction.id)
        # After a raised fee any of the attempts may have been mined, not only the last one.
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
                _note_requests(ctx, work, kept)
        settle_rotations(work, kept, receipt.block_time, receipt.succeeded)
        ctx.reached("before-receipt-commit")
        work.commit()
    # A change of an accreditation was mined, so remembered terms may be out of date.
    if transaction.signer == AUTHORITY:
        ctx.signer_terms.clear()
    ctx.reached("receipt-noted")


def _note_refused(work: UnitOfWork, kept: OutboundTransaction, batch: SealedBatch | None, receipt: Receipt) -> None:
    """Note that the contract reverted the transaction.

    Its batch waits until a simulation succeeds. Changes of status are queued and simulated again.
    """
    kept.state, kept.refusal = TransactionState.REFUSED, receipt.refusal or "refused"
    log.error("the ledger refused a transaction", refusal=kept.refusal, transaction=kept.transaction_hash.hex())
    if batch is not None:
        revert_to_sealed(batch, trouble=kept.refusal)
    # Errors of the access manager are about who may act and after which notice, not about the act, which is tried
    # again. So is a suspension whose moment the chain's clock has not reached yet.
    if work.status_changes.sent_by(kept) or kept.refusal.startswith(("AccessManager", "AccreditationMomentAhead")):
        requeue(work, kept)
    _requeue_drawdowns(work, kept)
    _requeue_revocations(work, kept)
    for asked in work.ledger_requests.sent_by(kept):
        if kept.refusal == "AccessManagerNotReady":  # the chain's clock is behind ours
            asked.transaction = None
        else:
            end_request(work, asked, kept.refusal)


def end_request(work: UnitOfWork, asked: LedgerRequest, why: str) -> None:
    """Note why a request will never be made. What it should have withdrawn goes on."""
    asked.settled = why[:200]
    if asked.operation == WITHDRAW:
        change = work.ledger_requests.get(str(asked.terms["of"]))
        # A new dictionary: SQLAlchemy does not notice a change inside a JSON value.
        change.terms = {name: term for name, term in change.terms.items() if name != "withdrawal"}


def _note_requests(ctx: AnchoringContext, work: UnitOfWork, kept: OutboundTransaction) -> None:
    """Note what operators and the authority asked for.

    An account that the ledger knows now signs from now on. Of a batch that was handed on it is noted which office it
    names; what waits to be decided in it is signed by that one.
    """
    for asked in work.ledger_requests.sent_by(kept):
        if asked.operation in (REGISTER, MOVE):
            # Before the commit: after a crash between the two it is done again.
            name, account = str(asked.terms["name"]), str(asked.terms["becomes"])
            ctx.ledger.take_over_account(name, account)
            if ctx.ledger.account(name) != account:
                # Another server with a folder of its own created it, and anchored until a moment ago.
                log.error("the key of an account is not in this data folder: copy it", name=name, account=account)
        batch = work.records.get(str(asked.terms["record"])).batch if asked.operation == HAND_ON else None
        if batch is not None:
            before, batch.office = batch.office, str(asked.terms["office"])
            work.status_changes.sign_as(batch.office, batch, instead_of=before)


def _note_drawdowns(work: UnitOfWork, kept: OutboundTransaction, time: datetime) -> None:
    for drawdown in work.drawdowns.sent_by(kept):
        # The first time stays over a reorganisation: whether a release can still be undone rests on it (decision 0013).
        drawdown.made_at = drawdown.made_at or time
    for drawdown in work.drawdowns.refunded_by(kept):
        drawdown.refunded_at = time


def _requeue_drawdowns(work: UnitOfWork, kept: OutboundTransaction) -> None:
    """Queue activations and drawdowns again. The next simulation shows if the refusal is final."""
    for activation in work.drawdowns.activations_sent_by(kept):
        activation.transaction = None
    for drawdown in work.drawdowns.sent_by(kept):
        drawdown.requeue()
    for drawdown in work.drawdowns.refunded_by(kept):
        drawdown.refund_transaction = None


def on_anchored(
    ctx: AnchoringContext, work: UnitOfWork, batch: SealedBatch, anchored_at: datetime, block: int, is_final: bool
) -> None:
    """Note that a batch is on the ledger, and whether it is final."""
    batch.state = ProofState.FINAL if is_final else ProofState.ANCHORED
    batch.anchored_at, batch.block = anchored_at, block
    if not is_final:
        return
    for consignment in work.consignments.in_batch(batch):
        # Once: after a reorganisation the batch becomes final a second time.
        if not any(event.step is Step.ANCHORED for event in consignment.events):
            now = ctx.now()
            consignment.events.append(Event(str(uuid4()), Step.ANCHORED, now, now))
    log.info("batch final", size=batch.size, block=batch.block)


@rerunnable
def mark_replaced(ctx: AnchoringContext, transaction: OutboundTransaction) -> None:
    """Note that another transaction used the nonce. What this one carried is signed again if it is still needed."""
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
    """Mark a transaction as sent. After a reorganisation this takes what it carried back to submitted."""
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
    _requeue_revocations(work, transaction)
    for asked in work.ledger_requests.sent_by(transaction):
        asked.transaction = None


def _requeue_revocations(work: UnitOfWork, transaction: OutboundTransaction) -> None:
    for notice in work.revocations.sent_by(transaction):
        notice.transaction = None
