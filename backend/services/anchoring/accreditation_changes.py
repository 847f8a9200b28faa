"""The authority's changes on issuers' keys: made at once, or announced first where the ledger demands it.

An announced change can be made only after a delay that the ledger's access manager enforces, and until then the
guardian may cancel it.
"""

from datetime import timedelta

import structlog

from backend.domain.ledger import Accredit, Announce, CancelAnnounced, RotateKey, SuspendAccreditation
from backend.domain.outbox import AccreditationChange, OutboundTransaction, TransactionState
from backend.services.accreditation import to_ledger
from backend.services.anchoring.transactions import IndependentSteps, keep, send, signed
from backend.services.ports import AnchoringContext, rerunnable

log = structlog.get_logger()

# The delay is measured by the time of blocks, not by our clock.
CLOCKS_MAY_DIFFER = timedelta(seconds=2)
EXPIRES = timedelta(days=7)
"""How long after its delay an announced change can still be made (OpenZeppelin AccessManager: one week)."""
HAS_IT = "the ledger has it already"
CANCELLED = "cancelled by the guardian"

Delayed = Accredit | SuspendAccreditation | RotateKey


def send_accreditation_changes(ctx: AnchoringContext) -> None:
    """Sign, store and send the authority's changes, in the order of asking.

    Raises:
        LedgerUnavailable: The ledger cannot be asked. The changes stay queued.
        ForeignLedger: Another ledger than ours answers.
    """
    with ctx.work(reading=True) as work:
        waiting = [change.id for change in work.accreditation_changes.pending()]
    each = IndependentSteps()
    for change_id in waiting:
        each.attempt(_next_version, ctx, change_id)
    each.finish()


def _next_version(ctx: AnchoringContext, change_id: str) -> None:
    change = _waiting(ctx, change_id)
    if change is None:
        return
    on_ledger = to_ledger(change)
    assert isinstance(on_ledger, Delayed), "these are the acts that the authority asks for"
    if change.cancel_asked_at is not None:
        _cancel(ctx, change, on_ledger)
    elif change.announcement is None:
        begin = _announce if ctx.ledger.delay(on_ledger) else _do
        begin(ctx, change, on_ledger)
    # Not before it is final: a reorganisation could take the announcement away, and without it the act is refused.
    elif change.announcement.state is TransactionState.FINAL:
        _follow_up(ctx, change, on_ledger)


def _waiting(ctx: AnchoringContext, change_id: str) -> AccreditationChange | None:
    with ctx.work(reading=True) as work:
        return next((change for change in work.accreditation_changes.pending() if change.id == change_id), None)


@rerunnable
def _follow_up(ctx: AnchoringContext, change: AccreditationChange, on_ledger: Delayed) -> None:
    """Make an announced change once its delay is over, or end it if the announcement is gone."""
    due = ctx.ledger.announced(on_ledger)
    if due is None:
        _end(ctx, change, _why_gone(ctx, change, on_ledger))
        return
    if change.due_at != due:
        with ctx.work() as work:
            work.accreditation_changes.get(change.id).due_at = due
            work.commit()
        log.info("a change by the authority is announced", change=change.id, due=due.isoformat())
    if ctx.now() >= due + CLOCKS_MAY_DIFFER:
        _do(ctx, change, on_ledger)


def _why_gone(ctx: AnchoringContext, change: AccreditationChange, on_ledger: Delayed) -> str | None:
    """Return why an announcement is gone, or None if it only expired, so that it is announced again."""
    if isinstance(on_ledger, Accredit) and ctx.ledger.accreditation(on_ledger.key) == on_ledger.accreditation:
        return HAS_IT
    if change.due_at is not None and ctx.now() > change.due_at + EXPIRES:
        return None
    return CANCELLED


@rerunnable
def _end(ctx: AnchoringContext, change: AccreditationChange, why: str | None) -> None:
    log.warning(
        "a change by the authority ended", change=change.id, why=why or "its announcement expired; announced anew"
    )
    with ctx.work() as work:
        kept = work.accreditation_changes.get(change.id)
        kept.ended = why
        if why is None:
            kept.announcement, kept.due_at = None, None
        work.commit()


def _cancel(ctx: AnchoringContext, change: AccreditationChange, on_ledger: Delayed) -> None:
    """Cancel a change: here if it was not announced yet, otherwise by the guardian on the ledger."""
    if change.announcement is None:
        _end(ctx, change, CANCELLED)
        return
    if change.announcement.state is not TransactionState.FINAL:
        return
    if ctx.ledger.announced(on_ledger) is None:
        _end(ctx, change, CANCELLED)
    elif change.cancellation is None:
        transaction = signed(ctx, CancelAnnounced(on_ledger), "guardian")
        ctx.reached("cancel-signed")
        _keep_and_send(ctx, change, transaction, "cancellation", "cancel")


def _announce(ctx: AnchoringContext, change: AccreditationChange, on_ledger: Delayed) -> None:
    transaction = signed(ctx, Announce(on_ledger), "authority")
    ctx.reached("announcement-signed")
    _keep_and_send(ctx, change, transaction, "announcement", "announcement")


def _do(ctx: AnchoringContext, change: AccreditationChange, on_ledger: Delayed) -> None:
    transaction = signed(ctx, on_ledger, "authority")
    ctx.reached("change-signed")
    _keep_and_send(ctx, change, transaction, "transaction", "change")


@rerunnable
def _keep_and_send(
    ctx: AnchoringContext, change: AccreditationChange, transaction: OutboundTransaction, carried: str, point: str
) -> None:
    with ctx.work() as work:
        kept = next((one for one in work.accreditation_changes.pending() if one.id == change.id), None)
        if kept is None or getattr(kept, carried) is not None:
            # The row is the guard: of two workers that signed the same change only one stores and sends it.
            return  # another worker was quicker, or it ended
        transaction = keep(work, transaction)
        setattr(kept, carried, transaction)
        work.commit()
    ctx.reached(f"{point}-kept")
    send(ctx, transaction)
    ctx.reached(f"{point}-sent")
