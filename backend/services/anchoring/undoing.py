"""A decision that the ledger does not take is undone here too, and customs are told why: it never stands in silence."""

from uuid import uuid4

import structlog

from backend.domain.clearance import Step
from backend.domain.consignment import Event
from backend.domain.errors import NotFound
from backend.domain.kinds import DeclarationStatus, Kind
from backend.domain.outbox import StatusChange
from backend.services.drawdowns import give_back
from backend.services.ports import AppContext
from backend.services.records import change_status
from backend.store.unit_of_work import UnitOfWork

log = structlog.get_logger()

GIVING_BACK = (DeclarationStatus.REJECTED, DeclarationStatus.RETURNED, DeclarationStatus.WITHDRAWN)
"""Ends of a declaration that give back what it drew."""


def undo_release(ctx: AppContext, work: UnitOfWork, declaration_id: str, why: str) -> None:
    """The certificates could not be drawn: the goods are detained again, unless the ledger has their release already.

    It has it only where a draw was final once and its block is gone, or the chain with it. Then the draw is marked as
    refused, the audit names it, and the release stands as a matter of fact.
    """
    draws = [
        draw for draw in work.drawdowns.of_declaration(declaration_id) if draw.drawing is None and draw.refusal is None
    ]
    for draw in draws:
        draw.refusal = why
    log.error("the ledger refuses to draw a certificate", declaration=declaration_id, why=why)
    release = _unsent_release(work, declaration_id)
    if release is None or any(draw.made_at is not None for draw in draws):
        return
    consignment = work.consignments.get(declaration_id)
    now = ctx.now()
    release.settled = f"not sent: {why}"[:200]
    consignment.undo_release(why, Event(str(uuid4()), Step.DETAINED, now, now, note=why))
    # Released is an end; what was never sent may be taken back to where the ledger still has the declaration.
    consignment.record.status = _before(work, release)
    if consignment.record.status != DeclarationStatus.DETAINED:
        text = f"the release was not taken by the ledger: {why}"
        change_status(ctx, work, consignment.record, DeclarationStatus.DETAINED, text, signer=release.signer)


def _unsent_release(work: UnitOfWork, declaration_id: str) -> StatusChange | None:
    changes = work.status_changes.of_record(declaration_id)
    releases = [change for change in changes if change.new_status == DeclarationStatus.RELEASED]
    waiting = [change for change in releases if change.transaction is None and change.settled is None]
    return waiting[-1] if waiting else None


def _before(work: UnitOfWork, release: StatusChange) -> int:
    """The status that the record had when it was released."""
    earlier = [c.new_status for c in work.status_changes.of_record(release.record_id) if c.asked_at < release.asked_at]
    return earlier[-1] if earlier else int(DeclarationStatus.LODGED)


def follow_ledger(ctx: AppContext, work: UnitOfWork, change: StatusChange, status: int, why: str) -> None:
    """Take over the status that the ledger has, since it will never take ours: somebody else was there before."""
    record = work.records.get(change.record_id)
    later = [c for c in work.status_changes.of_record(record.id) if c.transaction is None and c.settled is None]
    for one in later:
        one.settled = why
    if record.status == status:
        return
    log.error("the ledger decided otherwise", record=record.id, stored=record.status, ledger=status, why=why)
    record.status, record.status_reason = status, why
    if record.kind is not Kind.DECLARATION:
        return
    try:
        consignment = work.consignments.get(record.id)
    except NotFound:
        return
    now = ctx.now()
    ended = DeclarationStatus(status)
    step = Step.LODGED if ended is DeclarationStatus.LODGED else Step.of(ended)
    consignment.follow(ended, why, Event(str(uuid4()), step, now, now, note=why))
    if ended in GIVING_BACK:
        give_back(ctx, work, consignment.id)
