"""Changes of status on the ledger. If the ledger refuses one for good, the decision here is reverted.

The reversal is an event of the consignment with the reason, so that customs see why.
"""

from hashlib import sha256
from uuid import uuid4

import structlog

from backend.domain.consignment import Event, Step
from backend.domain.errors import LedgerRefused, Message, NotFound
from backend.domain.kinds import Kind
from backend.domain.ledger import ChangeStatuses, DeclarationStatus, DocumentStatus
from backend.domain.records import ALREADY_THERE, ProofState, RecordOnFile, StatusChange
from backend.services.anchoring.transactions import accepted, keep, send, signed
from backend.services.drawdowns import refund
from backend.services.ports import AnchoringContext, rerunnable
from backend.services.records import change_status
from backend.store.unit_of_work import UnitOfWork

log = structlog.get_logger()


LARGEST_DECISION = 1_000
"""The largest number of statuses changed by one transaction (decision 0003)."""
# The contract's errors about the change itself (ITraceLedger.sol); a pause or a missing role may pass.
_NEVER = ("TraceLedgerEdge", "TraceLedgerPlace", "TraceLedgerNothing")
"""Prefixes of refusals that are final."""


def send_status_changes(ctx: AnchoringContext) -> None:
    """Sign, store and send changes of status, one transaction for each batch and signer.

    One such transaction is open at a time (decision 0003): the chain keeps no order between accounts, and a withdrawal
    must not overtake a decision. Calls are simulated first, so that a change that would be refused does not take others
    with it.

    Raises:
        LedgerUnavailable: The ledger cannot be asked. The changes stay queued.
        ForeignLedger: Another ledger than ours answers.
    """
    while True:
        with ctx.work(reading=True) as work:
            if not work.status_changes.has_pending() or work.status_changes.is_in_flight():
                return
            chosen = _next_statuses(work)
        if not chosen:
            return
        willing = accepted(ctx, chosen, lambda some: _call(ctx, some))
        if willing and not _send_statuses(ctx, willing):
            return
        if not willing and not _settle_refused(ctx, chosen):
            return  # refused for now only: asked again at the next round


Chosen = list[tuple[StatusChange, RecordOnFile]]


def _next_statuses(work: UnitOfWork) -> Chosen:
    """Return the oldest change whose batch is on the ledger, with those that fit into its transaction."""
    chosen: dict[str, tuple[StatusChange, RecordOnFile]] = {}
    first: tuple[bytes, str] | None = None
    # Records of which an earlier change was passed over: a later one must not overtake it.
    passed: set[str] = set()
    for change in work.status_changes.pending():
        record = work.records.get(change.record_id)
        batch = record.batch
        ready = batch is not None and batch.state in (ProofState.ANCHORED, ProofState.FINAL)
        ready = ready and not _is_release_before_its_drawdowns(work, change, record)
        if batch is None or not ready or change.record_id in passed:
            passed.add(change.record_id)
            continue
        first = first or (batch.root, change.signer)
        passed.add(change.record_id)
        if (batch.root, change.signer) == first and len(chosen) < LARGEST_DECISION:
            chosen[record.id] = (change, record)
    return list(chosen.values())


def _is_release_before_its_drawdowns(work: UnitOfWork, change: StatusChange, record: RecordOnFile) -> bool:
    """Tell whether a release must wait: it cannot be undone on the ledger, so its drawdowns must be final first."""
    is_release = record.kind is Kind.DECLARATION and change.new_status == DeclarationStatus.RELEASED
    return is_release and work.drawdowns.is_pending_for(record.id)


def _call(ctx: AnchoringContext, chosen: Chosen) -> ChangeStatuses:
    # Reasons are free text and may name people: only a digest with a 256-bit salt goes on chain.
    digests = [sha256(change.reason_salt + change.reason.encode()).digest() for change, _ in chosen]
    reason = digests[0] if len(digests) == 1 else sha256(b"".join(digests)).digest()
    places = tuple(sorted((record.leaf_index or 0, change.new_status) for change, record in chosen))
    batch = chosen[0][1].batch
    assert batch is not None, "only records of anchored batches are chosen"
    return ChangeStatuses(ctx.ledger.batch_key(batch.root), places, reason, chosen[0][0].signer)


@rerunnable
def _settle_refused(ctx: AnchoringContext, chosen: Chosen) -> bool:
    """End changes that the ledger holds already or will never take. Tells whether there were any."""
    settled = {change.id: why for change, record in chosen if (why := _end_of(ctx, change, record)) is not None}
    if not settled:
        return False
    on_ledger = {change.id: _status(ctx, record) for change, record in chosen}
    with ctx.work() as work:
        for change in work.status_changes.pending():
            change.settled = change.settled or settled.get(change.id)
            if change.settled not in (None, ALREADY_THERE) and change.id in on_ledger:
                adopt_ledger_status(ctx, work, change, on_ledger[change.id], change.settled)
        work.commit()
    return True


def _status(ctx: AnchoringContext, record: RecordOnFile) -> int:
    assert record.batch is not None, "only records of anchored batches are chosen"
    return ctx.ledger.status(ctx.ledger.batch_key(record.batch.root), record.leaf_index or 0)


def _end_of(ctx: AnchoringContext, change: StatusChange, record: RecordOnFile) -> str | None:
    if _status(ctx, record) == change.new_status:
        return ALREADY_THERE
    try:
        ctx.ledger.simulate(_call(ctx, [(change, record)]))
    except LedgerRefused as refusal:
        why = str(refusal)[:200]
        log.error("the ledger refuses a change of status", record=record.id, why=why)
        return why if why.startswith(_NEVER) else None
    return None


@rerunnable
def _send_statuses(ctx: AnchoringContext, chosen: Chosen) -> bool:
    call = _call(ctx, chosen)
    transaction = signed(ctx, call, call.by)
    ctx.reached("status-signed")
    ids = {change.id for change, _ in chosen}
    with ctx.work() as work:
        waiting = [change for change in work.status_changes.pending() if change.id in ids]
        if len(waiting) != len(ids):
            return False  # another worker was quicker
        transaction = keep(work, transaction)
        for change in waiting:
            change.transaction = transaction
        work.commit()
    ctx.reached("status-kept")
    send(ctx, transaction)
    ctx.reached("status-sent")
    return True


REFUNDING = (DeclarationStatus.REJECTED, DeclarationStatus.RETURNED, DeclarationStatus.WITHDRAWN)
"""Final statuses of a declaration that refund what it drew."""


def revert_release(ctx: AnchoringContext, work: UnitOfWork, declaration_id: str, why: str) -> None:
    """Detain goods again whose certificates could not be drawn, unless the ledger holds their release already.

    The ledger holds it only if a drawdown was final once and its block is gone, or the chain is lost. Then the drawdown
    is marked as refused, the audit reports it, and the release stands (decision 0013).
    """
    drawdowns = [
        drawdown
        for drawdown in work.drawdowns.of_declaration(declaration_id)
        if drawdown.set_root is None and drawdown.refusal is None
    ]
    for drawdown in drawdowns:
        drawdown.refusal = why
    log.error("the ledger refuses to draw a certificate", declaration=declaration_id, why=why)
    release = _unsent_release(work, declaration_id)
    if release is None or any(drawdown.made_at is not None for drawdown in drawdowns):
        return
    consignment = work.consignments.get(declaration_id)
    work.consignments.next_version(consignment)
    now = ctx.now()
    release.settled = f"not sent: {why}"[:200]
    undone = Event(str(uuid4()), Step.DECISION_UNDONE, now, now, note=why)
    consignment.revert_release(why, undone, Event(str(uuid4()), Step.DETAINED, now, now, note=why))
    # Released is an end; what was never sent may be taken back to where the ledger still has the declaration.
    consignment.record.status = _before(work, release)
    if consignment.record.status != DeclarationStatus.DETAINED:
        text = Message("the ledger did not take the release")
        change_status(ctx, work, consignment.record, DeclarationStatus.DETAINED, text, signer=release.signer)


def _unsent_release(work: UnitOfWork, declaration_id: str) -> StatusChange | None:
    changes = work.status_changes.of_record(declaration_id)
    releases = [change for change in changes if change.new_status == DeclarationStatus.RELEASED]
    waiting = [change for change in releases if change.transaction is None and change.settled is None]
    return waiting[-1] if waiting else None


def _before(work: UnitOfWork, release: StatusChange) -> int:
    """Return the status that the record had before it was released."""
    earlier = [c.new_status for c in work.status_changes.of_record(release.record_id) if c.asked_at < release.asked_at]
    return earlier[-1] if earlier else int(DeclarationStatus.LODGED)


_ABOUT_PAPERS = {
    int(DocumentStatus.ACTIVE): Step.PAPER_REINSTATED,
    int(DocumentStatus.SUSPENDED): Step.PAPER_SUSPENDED,
    int(DocumentStatus.REVOKED): Step.PAPER_REVOKED,
}
"""What declarations are told where the ledger has another status of a paper of theirs."""


def adopt_ledger_status(ctx: AnchoringContext, work: UnitOfWork, change: StatusChange, status: int, why: str) -> None:
    """Take over the ledger's status, which rules out ours because another party changed it first."""
    record = work.records.get(change.record_id)
    # What was asked on top of ours starts from a status that the record never had on the ledger.
    later = [c for c in work.status_changes.of_record(record.id) if c.transaction is None and c.settled is None]
    for one in later:
        one.settled = why
    if record.status == status:
        return
    log.error("the ledger decided otherwise", record=record.id, stored=record.status, ledger=status, why=why)
    work.records.next_version(record)
    record.status, record.status_reason = status, None
    if record.kind is not Kind.DECLARATION:
        if (step := _ABOUT_PAPERS.get(status)) is not None:
            work.consignments.note_about_record(record, step, ctx.now(), None)
        return
    try:
        consignment = work.consignments.get(record.id)
    except NotFound:
        return
    work.consignments.next_version(consignment)
    now = ctx.now()
    ended = DeclarationStatus(status)
    step = Step.LODGED if ended is DeclarationStatus.LODGED else Step.of(ended)
    undone = Event(str(uuid4()), Step.DECISION_UNDONE, now, now, note=why)
    consignment.follow_ledger(ended, why, undone, Event(str(uuid4()), step, now, now, note=why))
    if ended in REFUNDING:
        refund(ctx, work, consignment.id)
