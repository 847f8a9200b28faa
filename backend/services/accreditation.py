"""The authority accredits issuers' keys, and stops standing behind them. The ledger is what counts."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from backend.domain.consignment import Step
from backend.domain.errors import Conflict, ForeignLedger, Invalid, LedgerUnavailable, Message, NotAllowed, NotFound
from backend.domain.kinds import accreditation_bits
from backend.domain.ledger import Accredit, Accreditation, LedgerCall, RotateKey, SuspendAccreditation
from backend.domain.outbox import AccreditationChange
from backend.domain.parties import Organisation, Person, Role, SigningKey
from backend.domain.verdict import Unknown
from backend.services.ports import AppContext
from backend.store.unit_of_work import UnitOfWork

EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
ALL_CHAPTERS = 1
"""Bit 0 of the chapters stands for all of them."""


@dataclass(frozen=True)
class Standing:
    """An organisation's key and what the ledger says of it."""

    organisation: Organisation
    thumbprint: str
    accreditation: Accreditation | Unknown | None
    pending: bool
    announced: AccreditationChange | None = None
    """A change that was announced and waits for its time."""


def accredit(
    ctx: AppContext,
    actor: Person,
    organisation_id: str,
    chapters: list[int] | None = None,
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
    read: int | None = None,
) -> AccreditationChange:
    """Accredit an organisation's key for what its role issues; HS chapters None means all of them.

    ``read`` is the version of the organisation's standing that the authority read, here and in the other acts; raises
    StaleVersion where somebody else has changed it since.
    """
    _only_the_authority(actor)
    start = _within_reach(valid_from or ctx.now() - timedelta(minutes=1), "validFrom")
    end = _within_reach(valid_until or start + timedelta(days=3 * 365), "validUntil")
    if end <= start:
        raise Invalid("validUntil must lie after validFrom", [("validUntil", "must lie after validFrom")])
    if chapters is not None and (not chapters or any(not 1 <= chapter <= 97 for chapter in chapters)):
        raise Invalid("HS chapters run from 1 to 97", [("chapters", "must be from 1 to 97")])
    mask = ALL_CHAPTERS if chapters is None else sum(1 << chapter for chapter in set(chapters))
    with ctx.work(reading=True) as work:
        organisation = work.organisations.get(organisation_id)
    kinds = accreditation_bits(organisation.role)
    if not kinds:
        raise Invalid(
            "this organisation issues nothing", [("organisation", Message("is a {role}", role=organisation.role))]
        )
    terms = {"kinds": kinds, "chapters": mask, "from": int(start.timestamp()), "until": int(end.timestamp())}
    return _change(ctx, actor, organisation_id, "accredit", terms, read)


def suspend(
    ctx: AppContext, actor: Person, organisation_id: str, since: datetime | None = None, read: int | None = None
) -> AccreditationChange:
    """Stop standing behind an organisation's key from a moment on (now, unless told otherwise)."""
    _only_the_authority(actor)
    with ctx.work(reading=True) as work:
        key = work.keys.active(work.organisations.get(organisation_id))
    return _change(ctx, actor, organisation_id, "suspend", suspension(ctx, actor, key.thumbprint, since).terms, read)


def suspension(ctx: AppContext, actor: Person, thumbprint: str, since: datetime | None) -> AccreditationChange:
    """The change by which nobody stands behind a key any more from a moment on."""
    moment = _within_reach(since or ctx.now(), "since")
    if moment > ctx.now() + timedelta(minutes=5):
        raise Invalid("since lies in the future", [("since", "must not lie in the future")])
    terms = {"since": int(moment.timestamp())}
    return AccreditationChange(str(uuid4()), thumbprint, "suspend", terms, ctx.now(), actor.id)


def reinstate(ctx: AppContext, actor: Person, organisation_id: str, read: int | None = None) -> AccreditationChange:
    """Stand behind the key again."""
    return _change(ctx, actor, organisation_id, "reinstate", {}, read)


def _change(
    ctx: AppContext,
    actor: Person,
    organisation_id: str,
    operation: str,
    terms: dict[str, Any],
    read: int | None,
) -> AccreditationChange:
    _only_the_authority(actor)
    with ctx.work() as work:
        organisation = work.organisations.get(organisation_id)
        if not accreditation_bits(organisation.role):
            raise Invalid(
                "this organisation issues nothing",
                [("organisation", Message("is of the role {role}", role=organisation.role))],
            )
        work.organisations.advance(organisation, read)
        key = work.keys.active(organisation)
        change = AccreditationChange(str(uuid4()), key.thumbprint, operation, terms, ctx.now(), actor.id)
        work.add(change)
        note_standing(ctx, work, actor, key, operation)
        work.commit()
    ctx.wake_anchoring()
    return change


def note_standing(ctx: AppContext, work: UnitOfWork, actor: Person, key: SigningKey, operation: str) -> None:
    """Tell the declarations that rely on a key's papers, where the authority stops or begins again to stand behind it.

    Goods may have been released on its papers: merchant and office must know it, though nobody asks.
    """
    steps = {"suspend": Step.PAPER_SUSPENDED, "reinstate": Step.PAPER_REINSTATED}
    if operation in steps:
        authority = work.organisations.get(actor.organisation.id)
        work.consignments.note_about_key(key, steps[operation], ctx.now(), authority)


def cancel(ctx: AppContext, change_id: str) -> AccreditationChange:
    """The guardian takes back a change of the authority that was announced and not yet done."""
    with ctx.work() as work:
        change = work.accreditation_changes.get(change_id)
        if change.ended is not None or change.transaction is not None:
            raise Conflict("this act was done or ended already", ended=change.ended)
        change.cancel_asked_at = change.cancel_asked_at or ctx.now()
        work.commit()
    ctx.wake_anchoring()
    return change


def pending(ctx: AppContext) -> list[AccreditationChange]:
    """The authority's changes that were not done yet, in order."""
    with ctx.work(reading=True) as work:
        return list(work.accreditation_changes.pending())


def _only_the_authority(actor: Person) -> None:
    if actor.role is not Role.AUTHORITY:
        raise NotAllowed("only the authority accredits")


def _within_reach(moment: datetime, name: str) -> datetime:
    """A time that the ledger can hold, and nobody means by mistake."""
    if not EARLIEST <= moment <= LATEST:
        raise Invalid(
            "a time out of reach",
            [(name, Message("must lie between {first} and {last}", first=EARLIEST.year, last=LATEST.year))],
        )
    return moment


def to_ledger(change: AccreditationChange) -> LedgerCall:
    """The change as the ledger takes it."""
    key, terms = bytes.fromhex(change.thumbprint), change.terms
    if change.operation == "accredit":
        start, end = (datetime.fromtimestamp(terms[name], UTC) for name in ("from", "until"))
        return Accredit(key, Accreditation(terms["kinds"], terms["chapters"], start, end))
    if change.operation == "rotate":
        return RotateKey(key, bytes.fromhex(terms["successor"]))
    since = datetime.fromtimestamp(terms["since"], UTC) if change.operation == "suspend" else None
    return SuspendAccreditation(key, since)


def standing(ctx: AppContext, organisation_id: str) -> Standing:
    """One organisation that issues something, with what the ledger says of its key; raises NotFound for any other."""
    with ctx.work(reading=True) as work:
        organisation = work.organisations.get(organisation_id)
    if not accreditation_bits(organisation.role):
        raise NotFound("no such issuer", id=organisation_id)
    return _standings(ctx, [organisation])[0]


def standings(ctx: AppContext) -> list[Standing]:
    """Every organisation that issues something, with what the ledger says of its key now."""
    with ctx.work(reading=True) as work:
        issuers = [o for o in work.organisations.all() if accreditation_bits(o.role)]
    return _standings(ctx, issuers)


def _standings(ctx: AppContext, issuers: list[Organisation]) -> list[Standing]:
    with ctx.work(reading=True) as work:
        keys = {o.id: work.keys.active(o).thumbprint for o in issuers}
        pending = {change.thumbprint for change in work.accreditation_changes.pending()}
        for o in issuers:
            changes = work.accreditation_changes.of_key(keys[o.id])
            if any(change.transaction is not None and change.transaction.is_open for change in changes):
                pending.add(keys[o.id])
        announced = {
            change.thumbprint: change for change in work.accreditation_changes.pending() if change.due_at is not None
        }
    return [
        Standing(o, keys[o.id], _read(ctx, keys[o.id]), keys[o.id] in pending, announced.get(keys[o.id]))
        for o in issuers
    ]


def _read(ctx: AppContext, thumbprint: str) -> Accreditation | Unknown | None:
    try:
        return ctx.ledger.accreditation(bytes.fromhex(thumbprint))
    except (LedgerUnavailable, ForeignLedger) as error:
        return Unknown(error.message)
