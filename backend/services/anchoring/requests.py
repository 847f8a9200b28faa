"""Calls of the ledger that people ask for, signed by accounts that the worker signs with too.

The authority changes accreditations of issuers' keys: at once, or announced first where the ledger demands it. An
announced change can be made only after a delay that the ledger's access manager enforces, and until then the guardian
may cancel it. So it registers, suspends and replaces the accounts of anchorers and customs offices, pauses the ledger,
and gives and takes the roles over the contracts. Taking away never waits. Operators hand a
batch on to another customs office, correct what was stated of a certificate, or allow another agent to draw down. All
go through the outbox like everything else that these accounts sign, so that no nonce is used twice.
"""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import uuid4

import structlog

from backend.domain.errors import Conflict, Invalid, LedgerRefused, Message, NotAllowed, NotFound
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
    RoleHolders,
    RotateKey,
    SetOffice,
    SuspendAccreditation,
    SuspendAgent,
)
from backend.domain.outbox import (
    ANNOUNCE,
    FUND,
    GRANT,
    HAND_ON,
    MOVE,
    OFFICE,
    PAUSE,
    REGISTER,
    RESUME,
    REVOKE,
    SUSPEND,
    WITHDRAW,
    AccreditationChange,
    LedgerRequest,
    OutboundTransaction,
    TransactionState,
)
from backend.domain.parties import Person, Role, office_code
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
SUSPENDED_SINCE = "the account was suspended"
PAUSED_SINCE = "the pause was renewed"
REVOKED_SINCE = "the role was taken away"
ENDS = {
    SUSPEND: (REGISTER, SUSPENDED_SINCE),
    PAUSE: (RESUME, PAUSED_SINCE),
    REVOKE: (GRANT, REVOKED_SINCE),
}
"""What takes trust away, with the requests of the other direction that it ends, and why they end."""

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
GIVEN_BY_REQUEST = (
    *(role for role in LedgerRole if role not in (LedgerRole.ADMIN, LedgerRole.GUARDIAN)),
    LedgerRole.ADMIN,
)
"""The roles that the authority gives and takes, that of the most power last.

A guardian comes and goes by ``provenport chain guardian``.
"""


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
    return _ask_for_change(ctx, actor, code, REGISTER, {})


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
    return _ask_for_change(ctx, actor, name, SUSPEND, {"account": _seen(ctx, actor, name, seen)})


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
    return _ask_for_change(ctx, actor, name, REGISTER, {"becomes": account})


def move_account(ctx: AppContext, actor: Person, name: str, seen: str) -> LedgerRequest:
    """Replace an account, whose key may be in others' hands, by a new one with its role and batches, for good.

    Raises:
        NotAllowed: The actor is not the authority.
        NotFound: There is no such account here.
        Conflict: A change of it is under way, or another account has taken its place since.
        LedgerRefused: The ledger does not accept it.
    """
    return _ask_for_change(ctx, actor, name, MOVE, {"account": _seen(ctx, actor, name, seen)})


def only_the_authority(actor: Person) -> None:
    """Refuse everybody else who would see or use the authority's powers over the ledger.

    Raises:
        NotAllowed: The actor is not the authority.
    """
    if actor.role is not Role.AUTHORITY:
        raise NotAllowed("only the authority changes accounts and roles on the ledger")


def _seen(ctx: AppContext, actor: Person, name: str, seen: str) -> str:
    """Return the address of an account, if it is still the one that was seen."""
    only_the_authority(actor)
    account = ctx.ledger.account(name) if name in SHARED or name in ctx.ledger.offices else None
    if account is None:
        raise NotFound("no such account", account=name)
    if account != seen:
        raise Conflict("another account has taken its place", account=account)
    return account


def pause_ledger(ctx: AppContext, actor: Person) -> LedgerRequest:
    """Pause the ledger for 72 hours from now, also where a pause stands. What would have ended it is not done any more.

    Raises:
        NotAllowed: The actor is not the authority.
        Conflict: This is under way already.
        LedgerRefused: The ledger does not accept it.
    """
    only_the_authority(actor)
    # Contracts of an earlier version have a pause without an end, and nothing to renew.
    return _ask_for_change(ctx, actor, THE_LEDGER, PAUSE, {"ends": ctx.ledger.role_holders([]) is not None})


def resume_ledger(ctx: AppContext, actor: Person) -> LedgerRequest:
    """End the pause before its time.

    Raises:
        NotAllowed: The actor is not the authority.
        Conflict: The ledger is not paused, or a change of that is under way.
        LedgerRefused: The ledger does not accept it.
    """
    only_the_authority(actor)
    until = ctx.ledger.paused_until()
    if until is None or until <= ctx.now():
        raise Conflict("the ledger is not paused")
    return _ask_for_change(ctx, actor, THE_LEDGER, RESUME, {})


def grant_role(ctx: AppContext, actor: Person, typed_role: str, typed_account: str) -> LedgerRequest:
    """Give an account a role over the contracts, with the notice that those need who have it now.

    Raises:
        NotAllowed: The actor is not the authority.
        Invalid: There is no such role to give, or no such address.
        Conflict: The account has the role already, the admin's account is not here, or a change of it is under way.
        LedgerRefused: The ledger does not accept it.
    """
    only_the_authority(actor)
    role, account = read_role(ctx, typed_role, typed_account)
    holders = administered(ctx, account)
    standing = holders.of(role)
    if any(one.account == account for one in standing):
        raise Conflict("this account has the role already", account=account)
    terms = {"role": role.name, "account": account, "notice": notice_of(holders, role)}
    return _ask_for_change(ctx, actor, f"{role.name} {account}", GRANT, terms)


def revoke_role(ctx: AppContext, actor: Person, typed_role: str, typed_account: str) -> LedgerRequest:
    """Take a role over the contracts away from an account, at once; an admin's after notice. It ends a grant under way.

    Raises:
        NotAllowed: The actor is not the authority.
        Invalid: There is no such role to take, or no such address.
        Conflict: The account does not have the role or keeps it, or the admin's account is not here.
        LedgerRefused: The ledger does not accept it.
    """
    only_the_authority(actor)
    role, account = read_role(ctx, typed_role, typed_account)
    holders = administered(ctx, account)
    if not any(one.account == account for one in holders.of(role)):
        raise Conflict("this account does not have the role", account=account)
    if (why := why_kept(holders, role, account)) is not None:
        raise Conflict(why, account=account)
    terms = {"role": role.name, "account": account}
    return _ask_for_change(ctx, actor, f"{role.name} {account}", REVOKE, terms)


LAST_ADMIN = Message(
    "the last admin stays, or nobody could give or take a role any more: give the role to another account first"
)
GUARDIANS_BRAKE = Message(
    "a guardian keeps the brake until it goes, after seven days: provenport chain guardian propose"
)


def why_kept(holders: RoleHolders, role: LedgerRole, account: str) -> Message | None:
    """Return why the contracts do not take a role away from an account, or None where they do."""
    if role is LedgerRole.ADMIN and holders.admins == 1:
        return LAST_ADMIN
    is_guardian = any(one.account == account for one in holders.of(LedgerRole.GUARDIAN))
    return GUARDIANS_BRAKE if role is LedgerRole.BRAKE and is_guardian else None


def notice_of(holders: RoleHolders, role: LedgerRole) -> int:
    """Return for how many seconds the acts of a new holder of a role are announced before they can be done.

    As long as for those who have the role, and else as long as the admin's: a new account must not be a way around the
    guardian.
    """
    if role.acts_at_once:
        return 0
    return max((one.notice_seconds for one in holders.of(role) or holders.of(LedgerRole.ADMIN)), default=0)


NO_ADDRESS = Message("should be 0x and 40 hexadecimal digits, copied whole and unchanged")


def read_role(ctx: AppContext, typed_role: str, typed_account: str) -> tuple[LedgerRole, str]:
    """Read a role's name and an account's address, whose letters' case is checked where both cases occur.

    Raises:
        Invalid: The role is none that is given here, or the address is none.
    """
    role = next((one for one in GIVEN_BY_REQUEST if one.name == typed_role), None)
    account = ctx.ledger.read_address(typed_account.strip())
    problems: list[tuple[str, str]] = []
    if role is None:
        problems.append(("role", Message("is none of the roles that are given here")))
    if account is None:
        problems.append(("account", NO_ADDRESS))
    if role is None or account is None:
        raise Invalid("this is no role or no account", problems)
    return role, account


def administered(ctx: AppContext, *accounts: str) -> RoleHolders:
    """Return who has which role, where the account that gives and takes them is kept here.

    Raises:
        Conflict: It is kept elsewhere, or the contracts are of an earlier version.
    """
    holders, admin = ctx.ledger.role_holders(accounts), ctx.ledger.account(ADMIN)
    if holders is None:
        raise Conflict("the contracts are of an earlier version, where the authority has all roles")
    if not any(one.account == admin and one.since <= ctx.now() for one in holders.of(LedgerRole.ADMIN)):
        raise Conflict("the account that gives and takes roles is not kept here: provenport chain role --dry-run")
    return holders


@rerunnable
def withdraw(ctx: AppContext, actor: Person, request_id: str) -> LedgerRequest:
    """Cancel what is announced, by the account that announced it, before it is done.

    Raises:
        NotAllowed: The actor is not the authority.
        NotFound: There is no such request.
        Conflict: It is not announced, is made or ended already, or this is under way.
    """
    only_the_authority(actor)
    with ctx.work() as work:
        change = work.ledger_requests.get(request_id)
        if "announcement" not in change.terms or change.transaction is not None or change.settled is not None:
            raise Conflict("this is not announced any more")
        if "withdrawal" in change.terms:
            raise Conflict("this is being withdrawn already")
        asked = _withdraw(work, change, ctx.now())
        work.commit()
    ctx.wake_anchoring()
    return asked


def _withdraw(work: UnitOfWork, change: LedgerRequest, now: datetime) -> LedgerRequest:
    asked = LedgerRequest(str(uuid4()), WITHDRAW, {"of": change.id}, now)
    # A new dictionary: SQLAlchemy does not notice a change inside a JSON value.
    change.terms = {**change.terms, "withdrawal": asked.id}
    work.add(asked)
    return asked


@rerunnable
def _ask_for_change(ctx: AppContext, actor: Person, name: str, operation: str, terms: dict[str, Any]) -> LedgerRequest:
    """Ask for a use of a power, with what goes before it: its announcement, and a new account's money."""
    asked = LedgerRequest(str(uuid4()), operation, {**terms, "name": name, "askedBy": actor.id}, ctx.now())
    call = power_call(asked)
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
    with ctx.work(reading=True) as work:
        others = [other for other in work.ledger_requests.under_way() if other.terms.get("name") == name]
        gone = {other.id for other in others if is_cancelled(ctx, work, other)}
    with ctx.work() as work:
        for other in work.ledger_requests.under_way():
            if other.terms.get("name") != name:
                continue
            if other.id in gone:
                other.settled = CANCELLED
                continue
            _make_way(work, other, operation, asked.asked_at)
        for one in (*before, asked):
            work.add(one)
        work.commit()
    ctx.wake_anchoring()
    return asked


def _make_way(work: UnitOfWork, other: LedgerRequest, operation: str, now: datetime) -> None:
    """End another request about the same, where the new one takes away what that would give.

    Raises:
        Conflict: The new one does not, or does the same.
    """
    ended, why = ENDS.get(operation, (None, ""))
    if ended is None or (operation == other.operation != SUSPEND):
        raise Conflict("a change of this is under way", account=other.terms["name"])
    if other.operation == ended and other.transaction is None:
        other.settled = why
        if "announcement" in other.terms and "withdrawal" not in other.terms:
            # Or the account that announced it, in other hands, could still do it.
            _withdraw(work, other, now)


def is_cancelled(ctx: AppContext, work: UnitOfWork, asked: LedgerRequest) -> bool:
    """Tell whether the announcement of a request is gone from the ledger before its time.

    Raises:
        LedgerUnavailable: The ledger cannot be asked.
    """
    announcement = work.ledger_requests.find(asked.terms.get("announcement"))
    if announcement is None or not _is_final(announcement) or not asked.is_waiting(ctx.now()):
        return False
    return ctx.ledger.announced(power_call(asked)) is None


def _needs_key(asked: LedgerRequest) -> bool:
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
