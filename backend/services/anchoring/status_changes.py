"""Changes of status on the ledger. If the ledger refuses one for good, the decision here is reverted.

The reversal is an event of the consignment with the reason, so that customs see why.
"""

from collections.abc import Iterable
from hashlib import sha256
from uuid import uuid4

import structlog

from backend.domain.consignment import Event, Step
from backend.domain.errors import LedgerRefused, Message, NotFound
from backend.domain.kinds import Kind
from backend.domain.ledger import (
    ChangeStatuses,
    DeclarationStatus,
    DocumentStatus,
    LedgerRecord,
    PublishRevocation,
)
from backend.domain.outbox import OFFICE, EndedPlace, RevocationNotice, TransactionState
from backend.domain.records import ALREADY_THERE, RecordOnFile, SealedBatch, StatusChange
from backend.services.anchoring.transactions import IndependentSteps, accepted, keep, keep_and_send, send, signed
from backend.services.drawdowns import refund
from backend.services.ports import AnchoringContext, rerunnable
from backend.services.records import ENDED, change_status, ended_place, request_publication
from backend.store.unit_of_work import UnitOfWork

log = structlog.get_logger()


LARGEST_DECISION = 1_000
"""The largest number of statuses changed by one transaction, and looked at for one account in a round."""
MOST_UNMINED = 16
"""The largest number of such transactions of one account that wait for a block: nodes keep so many for any account
(geth's ``txpool.accountslots``), and drop what is beyond when they are full."""
# The contract's errors about the change itself (ITraceLedger.sol); a pause or a missing role may pass.
_NEVER = ("TraceLedgerEdge", "TraceLedgerOffice", "TraceLedgerPlace", "TraceLedgerNothing")
"""Prefixes of refusals that are final."""


def send_status_changes(ctx: AnchoringContext) -> None:
    """Sign, store and send changes of status, one transaction for each batch and signer.

    A record's changes go one at a time, each when the one before is final (decision 0003): the chain keeps no order
    between accounts, and a withdrawal must not overtake a decision. Calls are simulated first, so that a change that
    would be refused does not take others with it.

    Raises:
        LedgerUnavailable: The ledger cannot be asked. The changes stay queued.
        ForeignLedger: Another ledger than ours answers.
    """
    with ctx.work(reading=True) as work:
        groups = [group for signer in work.status_changes.signers() for group in _sendable(work, signer)]
    if strayed := [group for group in groups if _signer(group) == OFFICE and _batch(group).office is not None]:
        _hand_over(ctx, map(_batch, strayed))
        groups = [group for group in groups if group not in strayed]  # sent at the next round
    each = IndependentSteps()
    for group in groups:
        each.attempt(_send_group, ctx, group)
    each.finish()


Chosen = list[tuple[StatusChange, RecordOnFile]]


def _sendable(work: UnitOfWork, signer: str) -> list[Chosen]:
    """Return what an account can send now, by batch: that of the oldest change first."""
    groups: dict[bytes, dict[str, tuple[StatusChange, RecordOnFile]]] = {}
    for change in work.status_changes.sendable(signer, LARGEST_DECISION):
        record = work.records.get(change.record_id)
        assert record.batch is not None, "only records of anchored batches are chosen"
        # Of two changes asked for at the same moment the second waits.
        groups.setdefault(record.batch.root, {}).setdefault(record.id, (change, record))
    room = max(0, MOST_UNMINED - len(work.status_changes.busy_batches(signer)))
    return [list(group.values()) for group in list(groups.values())[:room]]


def _batch(chosen: Chosen) -> SealedBatch:
    batch = chosen[0][1].batch
    assert batch is not None, "only records of anchored batches are chosen"
    return batch


def _signer(chosen: Chosen) -> str:
    return chosen[0][0].signer


@rerunnable
def _hand_over(ctx: AnchoringContext, batches: Iterable[SealedBatch]) -> None:
    """Let the offices that batches name sign what was decided while they had no accounts, or none that was known."""
    with ctx.work() as work:
        for batch in batches:
            if batch.office is not None:
                work.status_changes.sign_as(batch.office, batch)
        work.commit()


def _send_group(ctx: AnchoringContext, chosen: Chosen) -> None:
    willing = accepted(ctx, chosen, lambda some: _call(ctx, some))
    if len(willing) < len(chosen):
        # Refused alone too, or only together with others: then it is asked again at the next round.
        _settle_refused(ctx, [one for one in chosen if one not in willing])
    if willing:
        _send_statuses(ctx, willing)


def _call(ctx: AnchoringContext, chosen: Chosen) -> ChangeStatuses:
    # Reasons are free text and may name people: only a digest with a 256-bit salt goes on chain.
    digests = [sha256(change.reason_salt + change.reason.encode()).digest() for change, _ in chosen]
    reason = digests[0] if len(digests) == 1 else sha256(b"".join(digests)).digest()
    places = tuple(sorted((record.leaf_index or 0, change.new_status) for change, record in chosen))
    return ChangeStatuses(ctx.ledger.batch_key(_batch(chosen).root), places, reason, _signer(chosen))


@rerunnable
def _settle_refused(ctx: AnchoringContext, chosen: Chosen) -> None:
    """End changes that the ledger holds already or will never take."""
    settled = {change.id: why for change, record in chosen if (why := _end_of(ctx, change, record)) is not None}
    if not settled:
        return
    on_ledger = {change.id: _status(ctx, record) for change, record in chosen if change.id in settled}
    with ctx.work() as work:
        for change in work.status_changes.unsent(settled):
            # Ended meanwhile with an earlier one of its record.
            if change.settled is not None:
                continue
            change.settled = settled[change.id]
            if change.settled != ALREADY_THERE:
                adopt_ledger_status(ctx, work, change, on_ledger[change.id], change.settled)
        work.commit()


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
def _send_statuses(ctx: AnchoringContext, chosen: Chosen) -> None:
    call = _call(ctx, chosen)
    transaction = signed(ctx, call, call.by)
    ctx.reached("status-signed")
    ids = {change.id for change, _ in chosen}
    with ctx.work() as work:
        waiting = work.status_changes.unsent(ids)
        if len(waiting) != len(ids):
            return  # another worker was quicker
        transaction = keep(work, transaction)
        for change in waiting:
            change.transaction = transaction
        work.commit()
    ctx.reached("status-kept")
    send(ctx, transaction)
    ctx.reached("status-sent")


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
    log.error("the ledger refuses to draw down a certificate", declaration=declaration_id, why=why)
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
        if status in ENDED:
            request_publication(ctx, work, record)
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


# Revocations, published for the record itself (decision 0028)

PUBLISHED_AT_ONCE = 100
"""The largest number of revocations that are published in one round, each by a transaction of its own."""
_SETTLED = {"RevocationsKnown": ALREADY_THERE, "RevocationsNotEnded": "the ledger holds it as in force"}
"""Refusals that end a notice: nothing that we wait for would change the contract's answer."""


def publish_revocations(ctx: AnchoringContext) -> None:
    """Sign, store and send the revocations to be published, once the change of status that they rest on is final.

    Raises:
        LedgerUnavailable: The ledger cannot be asked. They stay queued.
        ForeignLedger: Another ledger than ours answers.
    """
    if not ctx.ledger.publishes_revocations:
        return
    with ctx.work(reading=True) as work:
        waiting = [(notice.id, _place_of(ctx, work, notice)) for notice in work.revocations.pending(PUBLISHED_AT_ONCE)]
    each = IndependentSteps()
    for notice_id, place in waiting:
        if place is not None:
            each.attempt(_publish_one, ctx, notice_id, place)
    each.finish()


def _place_of(ctx: AnchoringContext, work: UnitOfWork, notice: RevocationNotice) -> EndedPlace | None:
    """Return where the document has ended, or None while its change of status is not final."""
    try:
        if notice.record_id is not None and any(map(_is_under_way, work.status_changes.of_record(notice.record_id))):
            return None
        return ended_place(ctx.ledger, work, notice)
    except (ValueError, OverflowError):
        # One row that was damaged must not keep the others from being published; the audit names it.
        log.exception("a revoked record cannot be read", record=notice.record_id)
        return None


def _is_under_way(change: StatusChange) -> bool:
    is_final = change.transaction is not None and change.transaction.state is TransactionState.FINAL
    return change.settled is None and not is_final


@rerunnable
def _publish_one(ctx: AnchoringContext, notice_id: str, place: EndedPlace) -> None:
    path = tuple(place.path[i : i + 32] for i in range(0, len(place.path), 32))
    call = PublishRevocation(LedgerRecord(place.batch_key, place.leaf_index), place.entry, path)
    try:
        ctx.ledger.simulate(call)
    except LedgerRefused as refusal:
        _settle_notice(ctx, notice_id, str(refusal)[:200])
        return

    def unsettled(work: UnitOfWork) -> RevocationNotice | None:
        notice = work.revocations.get(notice_id)
        return notice if notice.settled is None else None

    keep_and_send(ctx, signed(ctx, call, "anchorer"), unsettled, "revocation")


@rerunnable
def _settle_notice(ctx: AnchoringContext, notice_id: str, why: str) -> None:
    settled = _SETTLED.get(why)
    if settled is None:
        log.error("the ledger does not take a revocation", notice=notice_id, why=why)
        settled = why if why.startswith("Revocations") else None
    if settled is not None:
        with ctx.work() as work:
            work.revocations.get(notice_id).settled = settled
            work.commit()
