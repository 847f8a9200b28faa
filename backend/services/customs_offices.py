"""Codes and ledger accounts of customs offices, and delegations by which one office lets another act for some time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from backend.domain.errors import Conflict, ForeignLedger, Invalid, LedgerUnavailable, NotAllowed, NotFound
from backend.domain.ledger import AgentAccount
from backend.domain.outbox import LedgerRequest
from backend.domain.parties import CustomsOffice, OfficeDelegation, Organisation, Person, Role, office_code
from backend.domain.verdict import Unknown
from backend.services.anchoring.requests import SHARED
from backend.services.ledger_requests import only_the_authority
from backend.services.ports import AppContext, rerunnable
from backend.store.unit_of_work import UnitOfWork

LONGEST = timedelta(days=366)
"""The longest time for which an office may let another act. It may delegate again."""


@rerunnable
def add_code(ctx: AppContext, actor: Person, organisation_id: str, typed: str) -> CustomsOffice:
    """Let a customs office serve another code, by the authority.

    Raises:
        NotAllowed: The actor is not the authority.
        NotFound: There is no such organisation.
        Invalid: The organisation is no customs office, or the code is malformed.
        Conflict: The office serves the code already.
    """
    if actor.role is not Role.AUTHORITY:
        raise NotAllowed("only the authority gives offices their codes")
    with ctx.work() as work:
        organisation = work.organisations.get(organisation_id)
        if organisation.role is not Role.OFFICER:
            raise Invalid("this organisation is no customs office", [("organisation", "is no customs office")])
        # A code that the office serves already is refused by the table's primary key.
        added = CustomsOffice(office_code(typed, "office"), organisation, ctx.now())
        work.add(added)
        work.commit()
    return added


def all_offices(ctx: AppContext) -> list[CustomsOffice]:
    """List every code with the organisation that serves it, in the order of codes."""
    with ctx.work(reading=True) as work:
        return list(work.customs_offices.all())


@dataclass(frozen=True)
class LedgerAccount:
    """The account that signs for customs offices, or for what this server anchors, and what the ledger says of it."""

    name: str
    """``anchorer``, ``office`` (of all offices that have none of their own), or an office's code."""
    offices: tuple[Organisation, ...]
    """Those that serve the code; of a shared account none."""
    address: str | None
    """0x and 40 hex digits; None where the office has no account of its own."""
    agent: AgentAccount | Unknown | None
    request: LedgerRequest | None
    """The change that is on its way to the ledger, announced or not."""


def ledger_accounts(ctx: AppContext, actor: Person) -> list[LedgerAccount]:
    """List the anchorer's account, the one that offices share, and every office with or without its own, by code.

    Raises:
        NotAllowed: The actor is not the authority.
    """
    only_the_authority(actor)
    with ctx.work(reading=True) as work:
        served: dict[str, list[Organisation]] = {code: [] for code in ctx.ledger.offices}
        for one in work.customs_offices.all():
            served.setdefault(one.code, []).append(one.organisation)
        under_way = {str(one.terms["name"]): one for one in work.ledger_requests.under_way() if "name" in one.terms}
    found: list[LedgerAccount] = []
    can_ask = True
    with ctx.ledger.at_one_block():
        for name in (*SHARED, *sorted(served)):
            address = ctx.ledger.account(name)
            # A ledger that does not answer is asked once, not once for each account.
            agent = (_agent(ctx, address) if can_ask else Unknown("")) if address is not None else None
            can_ask &= not isinstance(agent, Unknown)
            found.append(LedgerAccount(name, tuple(served.get(name, ())), address, agent, under_way.get(name)))
    return found


def _agent(ctx: AppContext, address: str) -> AgentAccount | Unknown:
    try:
        return ctx.ledger.agent(address)
    except (LedgerUnavailable, ForeignLedger) as error:
        return Unknown(str(error))


def delegations(ctx: AppContext, actor: Person) -> list[OfficeDelegation]:
    """List the delegations that hold now, the next to end first.

    The authority gets all of them, an officer those to and by the own office.

    Raises:
        NotAllowed: The actor is neither an officer nor the authority.
    """
    _only_customs(actor)
    with ctx.work(reading=True) as work:
        if actor.role is Role.AUTHORITY:
            return list(work.customs_offices.delegations(ctx.now()))
        own = work.customs_offices.codes_of(actor.organisation)
        return list(work.customs_offices.delegations(ctx.now(), actor.organisation, own))


@rerunnable
def delegate(ctx: AppContext, actor: Person, typed: str, organisation_id: str, until: datetime) -> OfficeDelegation:
    """Let another office's officers read and decide what is declared to a code, until a moment.

    Raises:
        NotAllowed: The actor is neither an officer nor the authority.
        NotFound: The code is not the actor's own office's. The authority may delegate every code.
        Invalid: The other is no customs office, or the moment lies in the past or more than a year ahead.
        Conflict: The other serves the code itself.
    """
    _only_customs(actor)
    now, code = ctx.now(), office_code(typed, "office")
    if not now < until <= now + LONGEST:
        raise Invalid("a delegation ends within a year", [("until", "must lie ahead, at most a year")])
    with ctx.work() as work:
        _own_code(work, actor, code)
        other = work.organisations.get(organisation_id)
        if other.role is not Role.OFFICER:
            raise Invalid("this organisation is no customs office", [("organisation", "is no customs office")])
        if code in work.customs_offices.codes_of(other):
            raise Conflict("this office serves the code itself", office=code)
        made = OfficeDelegation(str(uuid4()), code, other, until, now, actor.id)
        work.add(made)
        work.commit()
    return made


@rerunnable
def end_delegation(ctx: AppContext, actor: Person, delegation_id: str) -> OfficeDelegation:
    """End a delegation at once, by the office that gave it or by the authority.

    Raises:
        NotAllowed: The actor is neither an officer nor the authority.
        NotFound: There is no such delegation of the actor's office.
        Conflict: It has ended already.
    """
    _only_customs(actor)
    with ctx.work() as work:
        found = work.customs_offices.get_delegation(delegation_id)
        _own_code(work, actor, found.code)
        if not found.holds(ctx.now()):
            raise Conflict("this delegation has ended", ended_at=found.ended_at or found.until)
        found.ended_at = ctx.now()
        work.commit()
    return found


def _only_customs(actor: Person) -> None:
    if actor.role not in (Role.OFFICER, Role.AUTHORITY):
        raise NotAllowed("only customs and the authority delegate")


def _own_code(work: UnitOfWork, actor: Person, code: str) -> None:
    served = work.customs_offices.find(code)
    is_own = any(office.organisation.id == actor.organisation.id for office in served)
    if not served or not (is_own or actor.role is Role.AUTHORITY):
        raise NotFound("no such customs office", code=code)
