"""The authority's acts on issuers' keys: done at once, or announced first where the ledger asks for it.

What is announced can be done only after a delay, and the guardian may cancel it until then. The delay is the ledger's
own; nothing here could shorten it.
"""

from datetime import timedelta

import structlog

from backend.domain.ledger import Accredit, Announce, CancelAnnounced, RotateKey, SuspendAccreditation
from backend.domain.outbox import AccreditationAct, OutboundTransaction, TransactionState
from backend.services.accreditation import to_ledger
from backend.services.anchoring.steps import Each
from backend.services.anchoring.transactions import keep, send, signed
from backend.services.ports import AppContext

log = structlog.get_logger()

CLOCKS_MAY_DIFFER = timedelta(seconds=2)
EXPIRES = timedelta(days=7)
"""How long the ledger keeps an announcement that nobody follows up."""
HAS_IT = "the ledger has it already"
CANCELLED = "cancelled by the guardian"

Delayed = Accredit | SuspendAccreditation | RotateKey


def send_accreditation_acts(ctx: AppContext) -> None:
    """Sign, keep and send the authority's acts, in the order in which they were asked."""
    with ctx.work(reading=True) as work:
        waiting = [act.id for act in work.accreditation_changes.pending()]
    each = Each()
    for act_id in waiting:
        each.attempt(_advance, ctx, act_id)
    each.finish()


def _advance(ctx: AppContext, act_id: str) -> None:
    act = _waiting(ctx, act_id)
    if act is None:
        return
    on_ledger = to_ledger(act)
    assert isinstance(on_ledger, Delayed), "these are the acts that the authority asks for"
    if act.cancel_asked_at is not None:
        _cancel(ctx, act, on_ledger)
    elif act.announcement is None:
        begin = _announce if ctx.ledger.delay(on_ledger) else _do
        begin(ctx, act, on_ledger)
    elif act.announcement.state is TransactionState.FINAL:
        _follow_up(ctx, act, on_ledger)


def _waiting(ctx: AppContext, act_id: str) -> AccreditationAct | None:
    with ctx.work(reading=True) as work:
        return next((act for act in work.accreditation_changes.pending() if act.id == act_id), None)


def _follow_up(ctx: AppContext, act: AccreditationAct, on_ledger: Delayed) -> None:
    """Do what was announced once its time has come; end it where the announcement is gone."""
    due = ctx.ledger.announced(on_ledger)
    if due is None:
        _end(ctx, act, _why_gone(ctx, act, on_ledger))
        return
    if act.due_at != due:
        with ctx.work() as work:
            work.accreditation_changes.get(act.id).due_at = due
            work.commit()
        log.info("an act of the authority is announced", act=act.id, due=due.isoformat())
    if ctx.now() >= due + CLOCKS_MAY_DIFFER:
        _do(ctx, act, on_ledger)


def _why_gone(ctx: AppContext, act: AccreditationAct, on_ledger: Delayed) -> str | None:
    """Why nothing is announced any more; None where it only expired, so that it is announced anew."""
    if isinstance(on_ledger, Accredit) and ctx.ledger.accreditation(on_ledger.key) == on_ledger.accreditation:
        return HAS_IT
    if act.due_at is not None and ctx.now() > act.due_at + EXPIRES:
        return None
    return CANCELLED


def _end(ctx: AppContext, act: AccreditationAct, why: str | None) -> None:
    log.warning("an act of the authority ended", act=act.id, why=why or "its announcement expired; announced anew")
    with ctx.work() as work:
        kept = work.accreditation_changes.get(act.id)
        kept.ended = why
        if why is None:
            kept.announcement, kept.due_at = None, None
        work.commit()


def _cancel(ctx: AppContext, act: AccreditationAct, on_ledger: Delayed) -> None:
    """What was never announced ends at once; what was is cancelled on the ledger by the guardian."""
    if act.announcement is None:
        _end(ctx, act, CANCELLED)
        return
    if act.announcement.state is not TransactionState.FINAL:
        return
    if ctx.ledger.announced(on_ledger) is None:
        _end(ctx, act, CANCELLED)
    elif act.cancellation is None:
        transaction = signed(ctx, CancelAnnounced(on_ledger), "guardian")
        ctx.reached("cancel-signed")
        _keep_and_send(ctx, act, transaction, "cancellation", "cancel")


def _announce(ctx: AppContext, act: AccreditationAct, on_ledger: Delayed) -> None:
    transaction = signed(ctx, Announce(on_ledger), "authority")
    ctx.reached("announcement-signed")
    _keep_and_send(ctx, act, transaction, "announcement", "announcement")


def _do(ctx: AppContext, act: AccreditationAct, on_ledger: Delayed) -> None:
    transaction = signed(ctx, on_ledger, "authority")
    ctx.reached("act-signed")
    _keep_and_send(ctx, act, transaction, "transaction", "act")


def _keep_and_send(
    ctx: AppContext, act: AccreditationAct, transaction: OutboundTransaction, carried: str, point: str
) -> None:
    with ctx.work() as work:
        kept = next((one for one in work.accreditation_changes.pending() if one.id == act.id), None)
        if kept is None or getattr(kept, carried) is not None:
            return  # another worker was quicker, or it ended
        transaction = keep(work, transaction)
        setattr(kept, carried, transaction)
        work.commit()
    ctx.reached(f"{point}-kept")
    send(ctx, transaction)
    ctx.reached(f"{point}-sent")
