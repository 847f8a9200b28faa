"""Calls of the ledger that people ask for, signed by accounts that the worker signs with too.

The authority changes accreditations of issuers' keys: at once, or announced first where the ledger demands it. An
announced change can be made only after a delay that the ledger's access manager enforces, and until then the guardian
may cancel it. So it registers, suspends and replaces the accounts of anchorers and customs offices. Operators hand a
batch on to another customs office, correct what was stated of a certificate, or allow another agent to draw down. All
go through the outbox like everything else that these accounts sign, so that no nonce is used twice.
"""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import uuid4

import structlog

from backend.domain.errors import Conflict, LedgerRefused, NotAllowed, NotFound
from backend.domain.kinds import Kind
from backend.domain.ledger import (
    Accredit,
    Agent,
    AllowDrawdowns,
    Announce,
    CancelAnnounced,
    CorrectActivation,
    FundAccount,
    LedgerCall,
    LedgerRecord,
    MoveAgent,
    RegisterAgent,
    RotateKey,
    SetOffice,
    SuspendAccreditation,
    SuspendAgent,
)
from backend.domain.outbox import (
    HAND_ON,
    MOVE,
    OFFICE,
    REGISTER,
    SUSPEND,
    AccreditationChange,
    LedgerRequest,
    OutboundTransaction,
    TransactionState,
)
from backend.domain.parties import Person, Role, office_code
from backend.domain.records import ProofState, SealedBatch
from backend.services.accreditation import to_ledger
from backend.services.anchoring.drawdowns import activation_call
from backend.services.anchoring.transactions import AUTHORITY, IndependentSteps, keep_and_send, signed
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
SUSPENDED_SINCE = "the account was suspended"

Delayed = Accredit | SuspendAccreditation | RotateKey
AccountCall = RegisterAgent | SuspendAgent | MoveAgent


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
CORRECT, ALLOW, FUND, ANNOUNCE = "correct", "allow-drawdowns", "fund", "announce"
ANCHORER = "anchorer"
SHARED = {ANCHORER: Agent.ANCHORER, OFFICE: Agent.OFFICE}
"""The accounts that are no customs office's own, and their roles."""


def hand_on(ctx: AppContext, declaration_id: str, office: str) -> LedgerRequest:
    """Let another customs office decide on all declarations of a declaration's batch, and the present one no more.

    Raises:
        NotFound: There is no such record.
        Conflict: The batch names no office, or the other office has no account here.
        LedgerRefused: The ledger does not accept it.
    """
    return _ask(ctx, HAND_ON, {"record": declaration_id, "office": office})


def correct(ctx: AppContext, certificate_id: str) -> LedgerRequest:
    """State anew on the ledger what a certificate says, where that was stated wrongly when it was activated.

    Raises:
        NotFound: There is no such record.
        Conflict: It is no certificate of origin, or not on the ledger.
        LedgerRefused: The ledger does not accept it: it is not activated, or something of it is drawn down.
    """
    return _ask(ctx, CORRECT, {"record": certificate_id})


def allow_drawdowns(ctx: AppContext, account: str, *, is_allowed: bool) -> LedgerRequest:
    """Let the agent at an account (0x and 40 hex digits) draw down the certificates anchored here, or no longer.

    Raises:
        LedgerRefused: The ledger does not accept it: no agent acts from this account.
    """
    return _ask(ctx, ALLOW, {"account": account, "allowed": is_allowed})


def register_account(ctx: AppContext, actor: Person, typed: str) -> LedgerRequest:
    """Give a customs office an account of its own, which alone decides on what is declared to it from then on.

    The server that anchors creates its key, and signs with it once the ledger knows it for good.

    Raises:
        NotAllowed: The actor is not the authority.
        Invalid: The code is malformed.
        NotFound: No customs office serves the code.
        Conflict: The office has an account of its own, or a change of it is under way.
        LedgerRefused: The ledger does not accept it.
    """
    only_the_authority(actor)
    code = office_code(typed, "office")
    with ctx.work(reading=True) as work:
        if not work.customs_offices.find(code):
            raise NotFound("no such customs office", code=code)
    if code in ctx.ledger.offices:
        raise Conflict("this office has an account of its own", office=code, address=ctx.ledger.account(code))
    return _ask_for_account(ctx, actor, code, REGISTER, {})


def suspend_account(ctx: AppContext, actor: Person, name: str, seen: str) -> LedgerRequest:
    """Take all roles of an account away, at once. What would have lifted an earlier suspension is not done any more.

    ``name`` is ``anchorer``, ``office`` or the code of an office with an account of its own, and ``seen`` the address
    that the authority saw of it, here and below.

    Raises:
        NotAllowed: The actor is not the authority.
        NotFound: There is no such account here.
        Conflict: Another account has taken its place since.
        LedgerRefused: The ledger does not accept it: the account is suspended already.
    """
    return _ask_for_account(ctx, actor, name, SUSPEND, {"account": _seen(ctx, actor, name, seen)})


def lift_suspension(ctx: AppContext, actor: Person, name: str, seen: str) -> LedgerRequest:
    """Give an account that was suspended its role again.

    Raises:
        NotAllowed: The actor is not the authority.
        NotFound: There is no such account here.
        Conflict: It is not suspended, a change of it is under way, or another account has taken its place since.
        LedgerRefused: The ledger does not accept it.
    """
    account = _seen(ctx, actor, name, seen)
    agent = ctx.ledger.agent(account)
    if agent.roles or not agent.number:
        raise Conflict("this account is not suspended", account=account)
    return _ask_for_account(ctx, actor, name, REGISTER, {"becomes": account})


def move_account(ctx: AppContext, actor: Person, name: str, seen: str) -> LedgerRequest:
    """Replace an account, whose key may be in others' hands, by a new one with its role and batches, for good.

    Raises:
        NotAllowed: The actor is not the authority.
        NotFound: There is no such account here.
        Conflict: A change of it is under way, or another account has taken its place since.
        LedgerRefused: The ledger does not accept it.
    """
    return _ask_for_account(ctx, actor, name, MOVE, {"account": _seen(ctx, actor, name, seen)})


def only_the_authority(actor: Person) -> None:
    """Refuse everybody else who would see or change accounts on the ledger.

    Raises:
        NotAllowed: The actor is not the authority.
    """
    if actor.role is not Role.AUTHORITY:
        raise NotAllowed("only the authority changes accounts on the ledger")


def _seen(ctx: AppContext, actor: Person, name: str, seen: str) -> str:
    """Return the address of an account, if it is still the one that was seen."""
    only_the_authority(actor)
    account = ctx.ledger.account(name) if name in SHARED or name in ctx.ledger.offices else None
    if account is None:
        raise NotFound("no such account", account=name)
    if account != seen:
        raise Conflict("another account has taken its place", account=account)
    return account


@rerunnable
def _ask_for_account(ctx: AppContext, actor: Person, name: str, operation: str, terms: dict[str, Any]) -> LedgerRequest:
    """Ask for a change of an account, with what goes before it: its announcement, and the new account's money."""
    asked = LedgerRequest(str(uuid4()), operation, {**terms, "name": name, "askedBy": actor.id}, ctx.now())
    call = _account_call(asked)
    is_delayed, before = bool(ctx.ledger.delay(call)), []
    # Now, while somebody is there to read why it is refused.
    if not is_delayed:
        ctx.ledger.simulate(call)
    # An announcement may stand on the ledger already, of a request that was ended here.
    elif ctx.ledger.announced(call) is None:
        ctx.ledger.simulate(Announce(call))
    if is_delayed:
        before.append(LedgerRequest(str(uuid4()), ANNOUNCE, {"of": asked.id}, asked.asked_at))
        asked.terms["announcement"] = before[0].id
    if ctx.ledger.gives_money and _needs_key(asked):
        before.append(LedgerRequest(str(uuid4()), FUND, {"of": asked.id}, asked.asked_at))
    with ctx.work() as work:
        for other in work.ledger_requests.under_way():
            if other.terms.get("name") != name:
                continue
            if operation != SUSPEND:
                raise Conflict("a change of this account is under way", account=name)
            if other.operation == REGISTER and other.transaction is None:
                other.settled = SUSPENDED_SINCE
        for one in (*before, asked):
            work.add(one)
        work.commit()
    ctx.wake_anchoring()
    return asked


def _needs_key(asked: LedgerRequest) -> bool:
    """Tell whether a key must be created for a change of an account before it can be made."""
    return asked.operation in (REGISTER, MOVE) and "becomes" not in asked.terms


def _account_call(asked: LedgerRequest) -> AccountCall:
    # Whether the ledger would take it does not depend on the address of an account whose key is yet to be created.
    becomes = str(asked.terms.get("becomes", "0x" + sha256(asked.id.encode()).hexdigest()[:40]))
    if asked.operation == REGISTER:
        return RegisterAgent(becomes, SHARED.get(str(asked.terms["name"]), Agent.OFFICE))
    if asked.operation == MOVE:
        return MoveAgent(str(asked.terms["account"]), becomes)
    return SuspendAgent(str(asked.terms["account"]))


@rerunnable
def _ask(ctx: AppContext, operation: str, terms: dict[str, Any]) -> LedgerRequest:
    asked = LedgerRequest(str(uuid4()), operation, terms, ctx.now())
    with ctx.work(reading=True) as work:
        call, _ = _call(ctx, work, asked)
    # Now, while somebody is there to read why it is refused.
    ctx.ledger.simulate(call)
    with ctx.work() as work:
        work.add(asked)
        work.commit()
    ctx.wake_anchoring()
    return asked


def _call(ctx: AppContext | AnchoringContext, work: UnitOfWork, asked: LedgerRequest) -> tuple[LedgerCall, str]:
    """Return the call that is asked for, and the account that signs it."""
    if asked.operation == ALLOW:
        return AllowDrawdowns(str(asked.terms["account"]), bool(asked.terms["allowed"])), ANCHORER
    if asked.operation in (FUND, ANNOUNCE):
        change = work.ledger_requests.get(str(asked.terms["of"]))
        if change.settled is not None:
            raise Conflict("this change of an account is not asked for any more", account=change.terms["name"])
        call = _account_call(change)
        return (Announce(call) if asked.operation == ANNOUNCE else FundAccount(str(change.terms["becomes"]))), AUTHORITY
    if asked.operation in (REGISTER, SUSPEND, MOVE):
        return _account_call(asked), AUTHORITY
    record = work.records.get(str(asked.terms["record"]))
    batch, place = record.batch, ledger_record(ctx.ledger, record)
    if batch is None or place is None or batch.state not in (ProofState.ANCHORED, ProofState.FINAL):
        raise Conflict("this record is not on the ledger yet", record=record.id)
    if asked.operation == CORRECT:
        if record.kind is not Kind.CERTIFICATE_OF_ORIGIN:
            raise Conflict("only a certificate of origin is drawn down", record=record.id)
        return CorrectActivation(activation_call(record, place)), ANCHORER
    return _office_call(ctx, batch, place, str(asked.terms["office"]))


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
        if _needs_key(one):
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
            call, signer = _call(ctx, work, asked)
        except Conflict as error:
            _settle(ctx, request_id, error.message)
            return
    if isinstance(call, AccountCall) and ctx.ledger.delay(call) and not _is_due(ctx, asked, call):
        return
    try:
        ctx.ledger.simulate(call)
    except LedgerRefused as refusal:
        _settle(ctx, request_id, str(refusal))
        return

    def unsettled(work: UnitOfWork) -> LedgerRequest | None:
        request = work.ledger_requests.get(request_id)
        return request if request.settled is None else None

    keep_and_send(ctx, signed(ctx, call, signer), unsettled, "request")


def _is_due(ctx: AnchoringContext, asked: LedgerRequest, call: AccountCall) -> bool:
    """Tell whether a change that must be announced can be made. Notes its time, or that it will never be made."""
    with ctx.work(reading=True) as work:
        announcement = work.ledger_requests.find(asked.terms.get("announcement"))
        if announcement is not None and announcement.settled is None and not _is_final(announcement):
            return False  # a reorganisation could still take it away
        refusal = announcement and announcement.settled
    due = ctx.ledger.announced(call)
    if due is None:
        is_late = asked.due_at is not None and ctx.now() > asked.due_at + EXPIRES
        _settle(ctx, asked.id, refusal or (EXPIRED if is_late else CANCELLED))
        return False
    if asked.due_at != due:
        _note_due(ctx, asked.id, due)
    return ctx.now() >= due + CLOCKS_MAY_DIFFER


def _is_final(announcement: LedgerRequest) -> bool:
    return announcement.transaction is not None and announcement.transaction.state is TransactionState.FINAL


@rerunnable
def _note_due(ctx: AnchoringContext, request_id: str, due: datetime) -> None:
    with ctx.work() as work:
        asked = work.ledger_requests.get(request_id)
        asked.terms = {**asked.terms, "due": due.isoformat()}
        work.commit()
    log.info("a change of an account is announced", account=asked.terms["name"], due=due.isoformat())


@rerunnable
def _settle(ctx: AnchoringContext, request_id: str, why: str) -> None:
    # What an operator asked for is not tried for ever: a pause, or a missing role, is for the operator to see.
    log.error("the ledger does not take what was asked for", request=request_id, why=why)
    with ctx.work() as work:
        work.ledger_requests.get(request_id).settled = why[:200]
        work.commit()
