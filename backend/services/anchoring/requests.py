"""Calls of the ledger that people ask for, signed by accounts that the worker signs with too.

The authority changes accreditations of issuers' keys: at once, or announced first where the ledger demands it. An
announced change can be made only after a delay that the ledger's access manager enforces, and until then the guardian
may cancel it. What else the authority and operators ask for (``services/ledger_requests.py``) is carried out in the
same way. All go through the outbox like everything else that these accounts sign, so that no nonce is used twice.
"""

from datetime import datetime, timedelta
from hashlib import sha256

import structlog

from backend.domain.errors import Conflict, LedgerRefused
from backend.domain.kinds import Kind
from backend.domain.ledger import (
    Accredit,
    Agent,
    AllowDrawdowns,
    Announce,
    CancelAnnounced,
    CorrectActivation,
    FundAccount,
    GrantRole,
    LedgerCall,
    LedgerRecord,
    LedgerRole,
    MoveAgent,
    PauseLedger,
    RegisterAgent,
    RenewPause,
    RevokeRole,
    RotateKey,
    SetOffice,
    SuspendAccreditation,
    SuspendAgent,
)
from backend.domain.outbox import (
    ANNOUNCE,
    FUND,
    MOVE,
    OFFICE,
    REGISTER,
    WITHDRAW,
    AccreditationChange,
    LedgerRequest,
    OutboundTransaction,
    TransactionState,
)
from backend.domain.records import ProofState, SealedBatch
from backend.services.accreditation import to_ledger
from backend.services.anchoring.drawdowns import activation_call
from backend.services.anchoring.transactions import (
    ADMIN,
    AUTHORITY,
    IndependentSteps,
    end_request,
    keep_and_send,
    signed,
)
from backend.services.drawdowns import ledger_record
from backend.services.ports import AnchoringContext, AppContext, rerunnable
from backend.store.unit_of_work import UnitOfWork

log = structlog.get_logger()


# The delay is measured by the time of blocks, not by our clock.
CLOCKS_MAY_DIFFER = timedelta(seconds=2)
EXPIRES = timedelta(days=7)
"""How long after its delay an announced change can still be made (OpenZeppelin AccessManager: one week)."""
HAS_IT = "the ledger has it already"
CANCELLED = "cancelled by the guardian"
EXPIRED = "its announcement expired"
WITHDRAWN = "withdrawn by the authority"

Delayed = Accredit | SuspendAccreditation | RotateKey
PowerCall = RegisterAgent | SuspendAgent | MoveAgent | PauseLedger | RenewPause | GrantRole | RevokeRole


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
        return _pending(work, change_id)


def _pending(work: UnitOfWork, change_id: str) -> AccreditationChange | None:
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
        _keep_and_send(ctx, change, signed(ctx, CancelAnnounced(on_ledger), "guardian"), "cancellation", "cancel")


def _announce(ctx: AnchoringContext, change: AccreditationChange, on_ledger: Delayed) -> None:
    _keep_and_send(ctx, change, signed(ctx, Announce(on_ledger), "authority"), "announcement", "announcement")


def _do(ctx: AnchoringContext, change: AccreditationChange, on_ledger: Delayed) -> None:
    _keep_and_send(ctx, change, signed(ctx, on_ledger, "authority"), "transaction", "change")


def _keep_and_send(
    ctx: AnchoringContext, change: AccreditationChange, transaction: OutboundTransaction, carried: str, point: str
) -> None:
    keep_and_send(ctx, transaction, lambda work: _pending(work, change.id), point, carried)


# What operators and the authority ask for


AT_ONCE = 20
"""The largest number of requests that are sent in one round, each by a transaction of its own."""
CORRECT, ALLOW = "correct", "allow-drawdowns"
ANCHORER = "anchorer"
SHARED = {ANCHORER: Agent.ANCHORER, OFFICE: Agent.OFFICE}
"""The accounts that are no customs office's own, and their roles."""
THE_LEDGER = "ledger"
"""What a pause changes. No account has this name."""


def is_cancelled(ctx: AppContext, work: UnitOfWork, asked: LedgerRequest) -> bool:
    """Tell whether the announcement of a request is gone from the ledger before its time.

    Raises:
        LedgerUnavailable: The ledger cannot be asked.
    """
    announcement = work.ledger_requests.find(asked.terms.get("announcement"))
    if announcement is None or not _is_final(announcement) or not asked.is_waiting(ctx.now()):
        return False
    return ctx.ledger.announced(power_call(asked)) is None


def needs_key(asked: LedgerRequest) -> bool:
    """Tell whether a key must be created for a change of an account before it can be made."""
    return asked.operation in (REGISTER, MOVE) and "becomes" not in asked.terms


def power_call(asked: LedgerRequest) -> PowerCall:
    """Return the call that a request of the authority leads to."""
    terms = asked.terms
    # Whether the ledger would take it does not depend on the address of an account whose key is yet to be created.
    becomes = str(terms.get("becomes", "0x" + sha256(asked.id.encode()).hexdigest()[:40]))
    match asked.operation:
        case "register-agent":
            return RegisterAgent(becomes, SHARED.get(str(terms["name"]), Agent.OFFICE))
        case "move-agent":
            return MoveAgent(str(terms["account"]), becomes)
        case "pause":
            return RenewPause() if terms["ends"] else PauseLedger()
        case "resume":
            return PauseLedger(False)
        case "grant-role":
            return GrantRole(LedgerRole[terms["role"]], str(terms["account"]), int(terms["notice"]))
        case "revoke-role":
            return RevokeRole(LedgerRole[terms["role"]], str(terms["account"]))
    return SuspendAgent(str(terms["account"]))


def _signer(call: PowerCall) -> str:
    return ADMIN if isinstance(call, GrantRole | RevokeRole) else AUTHORITY


def ledger_call(ctx: AppContext | AnchoringContext, work: UnitOfWork, asked: LedgerRequest) -> tuple[LedgerCall, str]:
    """Return the call that is asked for, and the account that signs it."""
    if asked.operation == ALLOW:
        return AllowDrawdowns(str(asked.terms["account"]), bool(asked.terms["allowed"])), ANCHORER
    if asked.operation in (FUND, ANNOUNCE, WITHDRAW):
        return _call_along_with(asked, work.ledger_requests.get(str(asked.terms["of"])))
    if "name" in asked.terms:
        call = power_call(asked)
        return call, _signer(call)
    record = work.records.get(str(asked.terms["record"]))
    batch, place = record.batch, ledger_record(ctx.ledger, record)
    if batch is None or place is None or batch.state not in (ProofState.ANCHORED, ProofState.FINAL):
        raise Conflict("this record is not on the ledger yet", record=record.id)
    if asked.operation == CORRECT:
        if record.kind is not Kind.CERTIFICATE_OF_ORIGIN:
            raise Conflict("only a certificate of origin is drawn down", record=record.id)
        return CorrectActivation(activation_call(record, place)), ANCHORER
    return _office_call(ctx, batch, place, str(asked.terms["office"]))


def _call_along_with(asked: LedgerRequest, change: LedgerRequest) -> tuple[LedgerCall, str]:
    """Return the call that goes along with a change, and the account that signs it."""
    call = power_call(change)
    signer = _signer(call)
    if asked.operation == WITHDRAW:
        if change.transaction is not None:
            raise Conflict("this was done before it could be withdrawn")
        # Not by the guardian: it stays independent of whoever uses the pages.
        return CancelAnnounced(call, by=signer), signer
    if change.settled is not None or "withdrawal" in change.terms:
        raise Conflict("this change is not asked for any more", account=change.terms["name"])
    return (
        (Announce(call), signer) if asked.operation == ANNOUNCE else (FundAccount(str(change.terms["becomes"])), signer)
    )


def _office_call(
    ctx: AppContext | AnchoringContext, batch: SealedBatch, place: LedgerRecord, office: str
) -> tuple[LedgerCall, str]:
    if batch.office is None:
        raise Conflict("any office decides in this batch, and none may take that from the others", batch=batch.id)
    if office not in ctx.ledger.offices:
        raise Conflict("this office has no account of its own here: provenport chain agent office", office=office)
    return SetOffice(place.batch_key, ctx.ledger.office(office), batch.office), batch.office


def send_requests(ctx: AnchoringContext) -> None:
    """Sign, store and send the calls that operators and the authority asked for.

    Raises:
        LedgerUnavailable: The ledger cannot be asked. They stay queued.
        ForeignLedger: Another ledger than ours answers.
    """
    with ctx.work(reading=True) as work:
        waiting = [one for one in work.ledger_requests.pending() if not one.is_waiting(ctx.now())]
    each = IndependentSteps()
    # First, as other requests are about the accounts that have these keys.
    for one in waiting:
        if needs_key(one):
            each.attempt(_create_key, ctx, one.id)
    for one in waiting[:AT_ONCE]:
        each.attempt(_send_one, ctx, one.id)
    each.finish()


@rerunnable
def _create_key(ctx: AnchoringContext, request_id: str) -> None:
    """Create the key of a new account where it will sign: another server may show pages on a folder of its own."""
    with ctx.work() as work:
        asked = work.ledger_requests.get(request_id)
        # A new dictionary: SQLAlchemy does not notice a change inside a JSON value.
        asked.terms = {**asked.terms, "becomes": ctx.ledger.prepare_account(str(asked.terms["name"]))}
        work.commit()


@rerunnable
def _send_one(ctx: AnchoringContext, request_id: str) -> None:
    with ctx.work(reading=True) as work:
        asked = work.ledger_requests.get(request_id)
        try:
            call, signer = ledger_call(ctx, work, asked)
        except Conflict as error:
            _settle(ctx, request_id, error.message)
            return
    if isinstance(call, PowerCall):
        needs_notice = ctx.ledger.delay(call) or "withdrawal" in asked.terms
        if needs_notice and not _is_due(ctx, asked, call):
            return
    if isinstance(call, CancelAnnounced) and not _is_announced(ctx, asked):
        return
    try:
        ctx.ledger.simulate(call)
    except LedgerRefused as refusal:
        # Where blocks come only with transactions the newest one may be an hour old: what is due by the clock is due
        # in the next one.
        if refusal.values.get("error") != "AccessManagerNotReady":
            _settle(ctx, request_id, str(refusal))
            return

    def unsettled(work: UnitOfWork) -> LedgerRequest | None:
        request = work.ledger_requests.get(request_id)
        return request if request.settled is None else None

    keep_and_send(ctx, signed(ctx, call, signer), unsettled, "request")


def _is_due(ctx: AnchoringContext, asked: LedgerRequest, call: PowerCall) -> bool:
    """Tell whether a change that must be announced can be made. Notes its time, or that it will never be made."""
    with ctx.work(reading=True) as work:
        announcement = work.ledger_requests.find(asked.terms.get("announcement"))
        if announcement is not None and announcement.settled is None and not _is_final(announcement):
            return False  # a reorganisation could still take it away
        refusal = None if announcement is None else announcement.settled
    due = ctx.ledger.announced(call)
    if due is None:
        _settle(ctx, asked.id, _why_not_announced(ctx, asked, refusal))
        return False
    if asked.due_at != due:
        _note_due(ctx, asked.id, due)
    return ctx.now() >= due + CLOCKS_MAY_DIFFER and "withdrawal" not in asked.terms


def _why_not_announced(ctx: AnchoringContext, asked: LedgerRequest, refusal: str | None) -> str:
    if "withdrawal" in asked.terms:
        return WITHDRAWN
    is_late = asked.due_at is not None and ctx.now() > asked.due_at + EXPIRES
    return refusal or (EXPIRED if is_late else CANCELLED)


def _is_announced(ctx: AnchoringContext, withdrawal: LedgerRequest) -> bool:
    """Tell whether what is to be withdrawn is on the ledger for good. Ends the withdrawal where it never will be."""
    with ctx.work(reading=True) as work:
        change = work.ledger_requests.get(str(withdrawal.terms["of"]))
        announcement = work.ledger_requests.find(change.terms.get("announcement"))
    if announcement is not None and announcement.settled is None:
        return _is_final(announcement)
    if ctx.ledger.announced(power_call(change)) is not None:
        return True
    _end_unannounced(ctx, withdrawal.id)
    return False


@rerunnable
def _end_unannounced(ctx: AnchoringContext, withdrawal_id: str) -> None:
    """End a withdrawal with the change that it was about, which was never announced, or is not any more."""
    with ctx.work() as work:
        withdrawal = work.ledger_requests.get(withdrawal_id)
        change = work.ledger_requests.get(str(withdrawal.terms["of"]))
        withdrawal.settled, change.settled = WITHDRAWN, change.settled or WITHDRAWN
        work.commit()


def _is_final(announcement: LedgerRequest) -> bool:
    return announcement.transaction is not None and announcement.transaction.state is TransactionState.FINAL


@rerunnable
def _note_due(ctx: AnchoringContext, request_id: str, due: datetime) -> None:
    with ctx.work() as work:
        asked = work.ledger_requests.get(request_id)
        asked.terms = {**asked.terms, "due": due.isoformat()}
        work.commit()
    log.info("a change by the authority is announced", about=asked.terms["name"], due=due.isoformat())


@rerunnable
def _settle(ctx: AnchoringContext, request_id: str, why: str) -> None:
    # What an operator asked for is not tried for ever: a pause, or a missing role, is for the operator to see.
    note = log.info if why == WITHDRAWN else log.error
    note("what was asked of the ledger will not be done", request=request_id, why=why)
    with ctx.work() as work:
        end_request(work, work.ledger_requests.get(request_id), why)
        work.commit()
