"""What operators and the authority ask of the ledger, and what they see of it: the pause, the roles, their requests.

The authority registers, suspends and replaces the accounts of anchorers and customs offices, pauses the ledger, and
gives and takes the roles over the contracts. Taking away never waits; giving is announced first where the ledger
demands it. Operators hand a batch on to another customs office, correct what was stated of a certificate, or allow
another agent to draw down. Each request is looked at now; ``anchoring/requests.py`` signs and sends it.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import uuid4

import structlog

from backend.domain.errors import (
    Conflict,
    ForeignLedger,
    Invalid,
    LedgerUnavailable,
    Message,
    NotAllowed,
    NotFound,
)
from backend.domain.ledger import Announce, LedgerRole, RoleHolders
from backend.domain.outbox import (
    ANNOUNCE,
    FUND,
    GRANT,
    HAND_ON,
    MOVE,
    PAUSE,
    REGISTER,
    RESUME,
    REVOKE,
    SUSPEND,
    WITHDRAW,
    LedgerRequest,
    TransactionState,
)
from backend.domain.parties import Person, Role, office_code
from backend.domain.verdict import Unknown
from backend.services.anchoring.requests import (
    ALLOW,
    CANCELLED,
    CORRECT,
    SHARED,
    THE_LEDGER,
    is_cancelled,
    ledger_call,
    needs_key,
    power_call,
)
from backend.services.anchoring.transactions import ADMIN, AUTHORITY
from backend.services.ports import AppContext, rerunnable
from backend.store.unit_of_work import UnitOfWork

SUSPENDED_SINCE = "the account was suspended"
PAUSED_SINCE = "the pause was renewed"
REVOKED_SINCE = "the role was taken away"
ENDS = {
    SUSPEND: (REGISTER, SUSPENDED_SINCE),
    PAUSE: (RESUME, PAUSED_SINCE),
    REVOKE: (GRANT, REVOKED_SINCE),
}
"""What takes trust away, with the requests of the other direction that it ends, and why they end."""
NEWEST = 20
"""How many of the things that were asked of the ledger are listed."""
GOVERNING = (AUTHORITY, ADMIN, "guardian", *SHARED)
"""The accounts that may be kept here and have a role over the contracts, or are given one by name."""
GIVEN_BY_REQUEST = (
    *(role for role in LedgerRole if role not in (LedgerRole.ADMIN, LedgerRole.GUARDIAN)),
    LedgerRole.ADMIN,
)
"""The roles that the authority gives and takes, that of the most power last.

A guardian comes and goes by ``provenport chain guardian``.
"""
log = structlog.get_logger()


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
    if ctx.ledger.gives_money and needs_key(asked):
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


@rerunnable
def _ask(ctx: AppContext, operation: str, terms: dict[str, Any]) -> LedgerRequest:
    asked = LedgerRequest(str(uuid4()), operation, terms, ctx.now())
    with ctx.work(reading=True) as work:
        call, _ = ledger_call(ctx, work, asked)
    # Now, while somebody is there to read why it is refused.
    ctx.ledger.simulate(call)
    with ctx.work() as work:
        work.add(asked)
        work.commit()
    ctx.wake_anchoring()
    return asked


# ---- what is seen of it


class RequestProgress(StrEnum):
    """How far something is that was asked of the ledger. ``ENDED`` will never be done, and its request says why."""

    UNDER_WAY = "under-way"
    ANNOUNCED = "announced"
    CANCELLED = "cancelled"
    DONE = "done"
    ENDED = "ended"


@dataclass(frozen=True)
class AskedOfLedger:
    """What somebody asked of the ledger, and how far it is."""

    request: LedgerRequest
    asked_by: Person | None
    """None where an operator asked by a command."""
    state: RequestProgress
    operation: str | None
    """What it is announced under: 0x and 64 hexadecimal digits. None where it is not."""


def asked_of_ledger(ctx: AppContext, actor: Person) -> list[AskedOfLedger]:
    """List what the authority and operators asked of the ledger, the newest first, at most ``NEWEST``.

    Where the ledger cannot be asked, what it announced counts as announced still.

    Raises:
        NotAllowed: The actor is not the authority.
    """
    only_the_authority(actor)
    with ctx.work(reading=True) as work:
        return [_asked(ctx, work, request) for request in work.ledger_requests.newest(NEWEST)]


def _asked(ctx: AppContext, work: UnitOfWork, request: LedgerRequest) -> AskedOfLedger:
    state, operation = _progress(request, ctx.now()), None
    if state is RequestProgress.ANNOUNCED:
        try:
            if is_cancelled(ctx, work, request):
                state = RequestProgress.CANCELLED
            else:
                operation = "0x" + ctx.ledger.operation(power_call(request)).hex()
        except (LedgerUnavailable, ForeignLedger) as error:
            log.warning("whether an announcement stands could not be read", why=str(error))
    asker = request.terms.get("askedBy")
    return AskedOfLedger(request, work.persons.find(asker) if asker else None, state, operation)


def _progress(request: LedgerRequest, now: datetime) -> RequestProgress:
    if request.settled is not None:
        return RequestProgress.ENDED
    if request.transaction is not None and request.transaction.state is TransactionState.FINAL:
        return RequestProgress.DONE
    return RequestProgress.ANNOUNCED if request.is_waiting(now) else RequestProgress.UNDER_WAY


def pause_of(ctx: AppContext, actor: Person) -> datetime | Unknown | None:
    """Return when the ledger's pause ends, None where it runs, and Unknown where it cannot be asked.

    Raises:
        NotAllowed: The actor is not the authority.
    """
    only_the_authority(actor)
    try:
        until = ctx.ledger.paused_until()
    except (LedgerUnavailable, ForeignLedger) as error:
        return Unknown(str(error))
    return until if until is not None and ctx.now() < until else None


@dataclass(frozen=True)
class RolesOnLedger:
    """Who has which role over the contracts, as far as this server knows the accounts."""

    holders: RoleHolders
    gives_here: bool
    """Whether the account that gives and takes roles is kept here."""
    names: dict[str, str]
    """The names of the accounts that are kept here, by their addresses."""

    @property
    def others_administer(self) -> int:
        """How many accounts administer that are not among those known here."""
        return self.holders.admins - len(self.holders.of(LedgerRole.ADMIN))


def roles_on_ledger(ctx: AppContext, actor: Person, also: str | None = None) -> RolesOnLedger | Unknown | None:
    """Return who has which role over the contracts; None where they are of an earlier version.

    The contracts do not list it. Asked about are the accounts that are kept here, those that had a role from the start,
    those about which the newest requests were made, and another that is named.

    Raises:
        NotAllowed: The actor is not the authority.
    """
    only_the_authority(actor)
    with ctx.work(reading=True) as work:
        named = [str(one.terms["account"]) for one in work.ledger_requests.newest(NEWEST) if "role" in one.terms]
    try:
        holders = ctx.ledger.role_holders(list(dict.fromkeys([*named, *([also] if also else [])])))
    except (LedgerUnavailable, ForeignLedger) as error:
        return Unknown(str(error))
    if holders is None:
        return None
    names = {str(ctx.ledger.account(name)): name for name in GOVERNING if ctx.ledger.account(name) is not None}
    administer = [one.account for one in holders.of(LedgerRole.ADMIN) if one.since <= ctx.now()]
    return RolesOnLedger(holders, any(names.get(account) == ADMIN for account in administer), names)
