"""Accreditation of issuers' keys by the authority, and the check of a signer's accreditation before it signs.

The accreditation that counts is the one on the ledger. Changes are queued here and sent by ``services/anchoring``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from backend.domain.consignment import Step
from backend.domain.errors import Conflict, ForeignLedger, Invalid, LedgerUnavailable, Message, NotAllowed, NotFound
from backend.domain.evidence import NamedAnchorer
from backend.domain.kinds import KINDS, Kind, Signing, accreditation_bits
from backend.domain.ledger import Accredit, Accreditation, LedgerCall, RotateKey, SuspendAccreditation
from backend.domain.outbox import AccreditationChange
from backend.domain.parties import Organisation, Person, Role, SigningKey
from backend.domain.verdict import Unknown
from backend.services.ports import AppContext, rerunnable
from backend.store.unit_of_work import UnitOfWork

EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
ALL_CHAPTERS = 1
"""Bit 0 of the chapters stands for all of them."""
EVERY_CHAPTER = tuple(range(1, 98))
USUAL_TERM = timedelta(days=3 * 365)


REMEMBERED_FOR = timedelta(seconds=5)
"""How long an answer of the ledger is reused. An old one may let a record pass, which the verdict still judges."""
MOST_REMEMBERED = 4096
"""The number of keys whose terms are remembered."""


class OutsideAccreditation(Invalid):
    """The ledger does not accredit the signer for this record, so its verdict would be INVALID. Nothing was signed."""

    code = "outside-accreditation"


@dataclass(frozen=True)
class Standing:
    """An organisation's key and what the ledger says of it."""

    organisation: Organisation
    thumbprint: str
    accreditation: Accreditation | Unknown | None
    pending: bool
    announced: AccreditationChange | None = None
    """A change that was announced and waits for its time."""


MOST_COUNTED = 1000
"""Records and requests are counted up to this number, and shown as "1000 or more"."""


@dataclass(frozen=True)
class Touched:
    """What a change of an accreditation affects: records signed, which keep their verdict, and requests that wait."""

    signed: int
    waiting: int


def touched(ctx: AppContext, organisation: Organisation) -> Touched:
    """How many records an organisation signed and how many requests wait for it, each at most ``MOST_COUNTED``."""
    with ctx.work(reading=True) as work:
        signed = work.records.count_signed_by(organisation, MOST_COUNTED)
        return Touched(signed, work.requests.count_waiting(organisation, MOST_COUNTED))


@dataclass(frozen=True)
class ProposedTerms:
    """The terms that an accreditation would have, and its present ones, on the ledger or on their way there."""

    organisation: Organisation
    before: Accreditation | None
    after: Accreditation


def accredit(
    ctx: AppContext,
    actor: Person,
    organisation_id: str,
    chapters: Sequence[int] | None = None,
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
    read: int | None = None,
) -> AccreditationChange:
    """Queue the accreditation of an organisation's key for the kinds that its role issues.

    See ``propose`` for arguments that are left out. ``read`` is the version of the organisation that the authority
    read, here and in the other changes.

    Raises:
        NotAllowed: The actor is not the authority.
        NotFound: There is no such organisation.
        StaleVersion: Somebody else has made a change since the version ``read``.
        Invalid: The terms are out of range, or the organisation's role issues nothing.
        LedgerUnavailable: A term is to stay as it is, and the present terms cannot be read.
    """
    _only_the_authority(actor)
    after = propose(ctx, organisation_id, chapters, valid_from, valid_until, read).after
    # Seconds, in which the contract counts, and which JSON can hold.
    start, end = int(after.valid_from.timestamp()), int(after.valid_until.timestamp())
    terms = {"kinds": after.kinds, "chapters": after.chapters, "from": start, "until": end}
    return _change(ctx, actor, organisation_id, "accredit", terms, read)


def propose(
    ctx: AppContext,
    organisation_id: str,
    chapters: Sequence[int] | None = None,
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
    read: int | None = None,
) -> ProposedTerms:
    """Work out the terms that ``accredit`` would set, and change nothing.

    ``chapters`` are HS chapters, or ``EVERY_CHAPTER``. An argument that is None keeps the present value. Without a
    present accreditation the defaults are every chapter, from a minute ago, for three years. The end also becomes three
    years from now where the present end has passed.

    Raises:
        NotFound: There is no such organisation.
        StaleVersion: Somebody else has made a change since the version ``read``.
        Invalid: The terms are out of range, or the organisation's role issues nothing.
        LedgerUnavailable: A term is to stay as it is, and the present terms cannot be read.
    """
    if chapters is not None and (not chapters or any(not 1 <= chapter <= 97 for chapter in chapters)):
        raise Invalid("HS chapters run from 1 to 97", [("chapters", "must be from 1 to 97")])
    with ctx.work(reading=True) as work:
        organisation = work.organisations.get(organisation_id)
        work.organisations.compare(organisation, read)
        kinds = accreditation_bits(organisation.role)
        if not kinds:
            raise Invalid(
                "this organisation issues nothing", [("organisation", Message("is a {role}", role=organisation.role))]
            )
        thumbprint = work.keys.active(organisation).thumbprint
        changes = work.accreditation_changes.of_key(thumbprint)
    before = _standing_terms(ctx, thumbprint, [change for change in changes if change.operation == "accredit"])
    if isinstance(before, Unknown):
        if chapters is None or valid_from is None or valid_until is None:
            raise LedgerUnavailable("what stands now cannot be read, so state chapters, validFrom and validUntil")
        before = None
    start = _within_reach(
        valid_from or (before.valid_from if before else ctx.now() - timedelta(minutes=1)), "validFrom"
    )
    stands = before is not None and before.valid_until > ctx.now()
    end = _within_reach(
        valid_until or (before.valid_until if before and stands else max(start, ctx.now()) + USUAL_TERM), "validUntil"
    )
    if end <= start:
        raise Invalid("validUntil must lie after validFrom", [("validUntil", "must lie after validFrom")])
    if chapters is not None:
        mask = ALL_CHAPTERS if set(chapters) == set(EVERY_CHAPTER) else sum(1 << chapter for chapter in set(chapters))
    else:
        mask = before.chapters if before else ALL_CHAPTERS
    # The ledger stores whole seconds: compared with finer times, terms that were not changed would seem to be.
    after = Accreditation(kinds, mask, start.replace(microsecond=0), end.replace(microsecond=0))
    return ProposedTerms(organisation, before, after)


def _standing_terms(
    ctx: AppContext, thumbprint: str, accredited: Sequence[AccreditationChange]
) -> Accreditation | Unknown | None:
    """Return the present terms: those on their way to the ledger, else the ledger's, else the last ones sent to it."""
    kept = [change for change in accredited if change.ended is None]
    # What is on its way will stand in a moment: what the ledger still holds is as good as unread.
    held = Unknown("") if kept and _is_on_its_way(kept[-1]) else _read(ctx, thumbprint)
    last = to_ledger(kept[-1]) if kept and isinstance(held, Unknown) else None
    return last.accreditation if isinstance(last, Accredit) else held


def suspend(
    ctx: AppContext, actor: Person, organisation_id: str, since: datetime | None = None, read: int | None = None
) -> AccreditationChange:
    """Queue the suspension of an organisation's key from a moment on, by default from now.

    Raises:
        NotAllowed: The actor is not the authority.
        NotFound: There is no such organisation.
        StaleVersion: Somebody else has made a change since the version ``read``.
        Invalid: ``since`` lies in the future or out of range, or the organisation's role issues nothing.
    """
    _only_the_authority(actor)
    with ctx.work(reading=True) as work:
        key = work.keys.active(work.organisations.get(organisation_id))
    return _change(ctx, actor, organisation_id, "suspend", suspension(ctx, actor, key.thumbprint, since).terms, read)


def suspension(ctx: AppContext, actor: Person, thumbprint: str, since: datetime | None) -> AccreditationChange:
    """Build the change that suspends a key from a moment on, by default from now; stores nothing.

    Raises:
        Invalid: ``since`` lies more than five minutes in the future, or out of range.
    """
    moment = _within_reach(since or ctx.now(), "since")
    # As much as clocks may differ in a verdict (``verdict.CLOCKS_MAY_DIFFER``).
    if moment > ctx.now() + timedelta(minutes=5):
        raise Invalid("since lies in the future", [("since", "must not lie in the future")])
    terms = {"since": int(moment.timestamp())}
    return AccreditationChange(str(uuid4()), thumbprint, "suspend", terms, ctx.now(), actor.id)


def reinstate(ctx: AppContext, actor: Person, organisation_id: str, read: int | None = None) -> AccreditationChange:
    """Queue the end of a key's suspension.

    Raises:
        NotAllowed: The actor is not the authority.
        NotFound: There is no such organisation.
        StaleVersion: Somebody else has made a change since the version ``read``.
        Invalid: The organisation's role issues nothing.
    """
    return _change(ctx, actor, organisation_id, "reinstate", {}, read)


@rerunnable
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
        work.organisations.next_version(organisation, read)
        key = work.keys.active(organisation)
        change = AccreditationChange(str(uuid4()), key.thumbprint, operation, terms, ctx.now(), actor.id)
        work.add(change)
        note_standing(ctx, work, actor, key, operation)
        work.commit()
    ctx.wake_anchoring()
    return change


def note_standing(ctx: AppContext, work: UnitOfWork, actor: Person, key: SigningKey, operation: str) -> None:
    """Note on the declarations that rely on a key's papers that the key was suspended or reinstated.

    Goods may have been released on these papers, so merchant and office must learn of it without asking.
    """
    steps = {"suspend": Step.PAPER_SUSPENDED, "reinstate": Step.PAPER_REINSTATED}
    if operation in steps:
        authority = work.organisations.get(actor.organisation.id)
        work.consignments.note_about_key(key, steps[operation], ctx.now(), authority)


@rerunnable
def cancel(ctx: AppContext, change_id: str) -> AccreditationChange:
    """Ask for the cancellation of a change that was announced and not made yet. The ledger's guardian cancels it.

    Raises:
        NotFound: There is no such change.
        Conflict: The change was made or has ended already.
    """
    with ctx.work() as work:
        change = work.accreditation_changes.get(change_id)
        if change.ended is not None or change.transaction is not None:
            raise Conflict("this act was done or ended already", ended=change.ended)
        change.cancel_asked_at = change.cancel_asked_at or ctx.now()
        work.commit()
    ctx.wake_anchoring()
    return change


def pending(ctx: AppContext) -> list[AccreditationChange]:
    """List the authority's changes that were not made yet, in the order of asking."""
    with ctx.work(reading=True) as work:
        return list(work.accreditation_changes.pending())


def _only_the_authority(actor: Person) -> None:
    if actor.role is not Role.AUTHORITY:
        raise NotAllowed("only the authority accredits")


def _within_reach(moment: datetime, name: str) -> datetime:
    """Return the time if it lies from 2000 to 2200, which the ledger can hold and which is hardly a typing error."""
    if not EARLIEST <= moment <= LATEST:
        raise Invalid(
            "a time out of reach",
            [(name, Message("must lie between {first} and {last}", first=EARLIEST.year, last=LATEST.year))],
        )
    return moment


def _is_on_its_way(change: AccreditationChange) -> bool:
    return change.ended is None and (change.transaction is None or change.transaction.is_open)


def to_ledger(change: AccreditationChange) -> LedgerCall:
    """Translate a change into the call of the ledger's contract."""
    key, terms = bytes.fromhex(change.thumbprint), change.terms
    if change.operation == "accredit":
        start, end = (datetime.fromtimestamp(terms[name], UTC) for name in ("from", "until"))
        return Accredit(key, Accreditation(terms["kinds"], terms["chapters"], start, end))
    if change.operation == "rotate":
        return RotateKey(key, bytes.fromhex(terms["successor"]))
    since = datetime.fromtimestamp(terms["since"], UTC) if change.operation == "suspend" else None
    return SuspendAccreditation(key, since)


def standing(ctx: AppContext, organisation_id: str) -> Standing:
    """Return an organisation that issues something, with what the ledger holds of its key.

    Raises:
        NotFound: There is no such organisation, or its role issues nothing.
    """
    with ctx.work(reading=True) as work:
        organisation = work.organisations.get(organisation_id)
    if not accreditation_bits(organisation.role):
        raise NotFound("no such issuer", id=organisation_id)
    return _standings(ctx, [organisation])[0]


def standings(ctx: AppContext) -> list[Standing]:
    """List every organisation whose role issues something, with what the ledger holds of its key now."""
    with ctx.work(reading=True) as work:
        issuers = [o for o in work.organisations.all() if accreditation_bits(o.role)]
    return _standings(ctx, issuers)


def _standings(ctx: AppContext, issuers: list[Organisation]) -> list[Standing]:
    with ctx.work(reading=True) as work:
        keys = {o.id: work.keys.active(o).thumbprint for o in issuers}
        pending = {change.thumbprint for change in work.accreditation_changes.pending()}
        for o in issuers:
            if any(_is_on_its_way(change) for change in work.accreditation_changes.of_key(keys[o.id])):
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


# Before anything is signed


@dataclass(frozen=True)
class SignerTerms:
    """What the ledger holds of the key that an organisation signs with, read before anything is signed with it.

    ``held`` is the newest state, ``dated`` the state at the present second. They differ for a moment after a change,
    since blocks are dated a moment ahead, and a record signed before the date of a change is judged by the earlier
    terms.
    """

    thumbprint: str
    held: Accreditation | Unknown | None
    dated: Accreditation | None = None
    is_remembered: bool = False
    anchorer: NamedAnchorer | None = None
    """Who anchors for this installation, if the ledger could be asked."""


def signer_terms(ctx: AppContext, signer: Organisation) -> SignerTerms:
    """Ask the ledger what an organisation may sign now. Opens a reading unit of work, so call it before a writing one.

    An answer is reused for ``REMEMBERED_FOR``, or until a change of ours is mined. Before a refusal the ledger is asked
    again (``require_covered``). Where the ledger cannot be reached, ``held`` is ``Unknown``.

    Raises:
        NotFound: The organisation has no key.
    """
    with ctx.work(reading=True) as work:
        thumbprint = work.keys.active(signer).thumbprint
    return _terms_of_key(ctx, thumbprint)


def _terms_of_key(ctx: AppContext, thumbprint: str, *, anew: bool = False) -> SignerTerms:
    key, now = bytes.fromhex(thumbprint), ctx.now()
    remembered = ctx.signer_terms.get(key)
    if remembered is not None and not anew and timedelta() <= now - remembered[0] < REMEMBERED_FOR:
        return SignerTerms(thumbprint, remembered[1], remembered[2], is_remembered=True, anchorer=remembered[3])
    try:
        held, anchorer = ctx.ledger.accreditation(key), ctx.ledger.named_anchorer()
        dated = ctx.ledger.accreditation_at(key, now.replace(microsecond=0)) or held
    except (LedgerUnavailable, ForeignLedger) as error:
        return SignerTerms(thumbprint, Unknown(error.message))
    if held is not None and dated is not None:
        # Bounded, so that many keys cannot fill the memory. Clearing costs one more read per key and needs no order of
        # use.
        if len(ctx.signer_terms) >= MOST_REMEMBERED:
            ctx.signer_terms.clear()
        ctx.signer_terms[key] = now, held, dated, anchorer
    return SignerTerms(thumbprint, held, dated, anchorer=anchorer)


def require_covered(
    ctx: AppContext,
    work: UnitOfWork,
    terms: SignerTerms,
    signer: Organisation,
    kind: Kind,
    fields: Mapping[str, Any],
    issued: datetime,
) -> None:
    """Refuse to sign a record whose verdict would be INVALID for lack of accreditation.

    ``issued`` is the time of issue that the record will state. Where the ledger cannot be asked, signing goes on and
    the verdict is INDETERMINATE until the ledger answers (docs/trust.md).

    Raises:
        OutsideAccreditation: The terms do not cover the record. It names the field, if one is at fault, and what to do.
    """
    fault = _fault(ctx, terms, signer, kind, fields, issued)
    if fault is None:
        return
    where, message = fault
    if any(_is_on_its_way(change) for change in work.accreditation_changes.of_key(terms.thumbprint)):
        message = Message("{why} A change is on its way to the ledger: try again in a few seconds.", why=message)
    raise OutsideAccreditation(message.template, [(where, message)], **message.values)


def why_not_covered(
    ctx: AppContext, signer: Organisation, kind: Kind, fields: Mapping[str, Any]
) -> tuple[str, Message] | None:
    """Tell why an organisation could not sign this now, as (field, message).

    The answer is None where it could sign, and where the ledger cannot be asked.
    """
    return _fault(ctx, signer_terms(ctx, signer), signer, kind, fields, ctx.now())


def those_who_may_issue(ctx: AppContext, kind: Kind) -> list[tuple[Organisation, bool]]:
    """List the organisations whose role issues this kind, as (organisation, whether it can sign one now).

    Those who can come first, each group by name. Where the ledger cannot be asked, everybody counts as able.
    """
    with ctx.work(reading=True) as work:
        issuers = [one for role in KINDS[kind].signed_by for one in work.organisations.all(role)]
        keys = [work.keys.active(one).thumbprint for one in issuers]
    terms = [_terms_of_key(ctx, thumbprint) for thumbprint in keys]  # not within the unit: a node may be slow
    found = [
        (one, _fault(ctx, held, one, kind, {}, ctx.now()) is None) for one, held in zip(issuers, terms, strict=True)
    ]
    return sorted(found, key=lambda one: (not one[1], one[0].name))


def _fault(
    ctx: AppContext, terms: SignerTerms, signer: Organisation, kind: Kind, fields: Mapping[str, Any], issued: datetime
) -> tuple[str, Message] | None:
    if isinstance(terms.held, Unknown):
        return None
    fault = _uncovered(ctx, terms.held, signer, kind, fields, issued)
    # Signing in the seconds between a change's arrival and its block's date would be judged by the earlier terms.
    if fault is None and _uncovered(ctx, terms.dated, signer, kind, fields, issued) is not None:
        fault = (
            "",
            Message(
                "The accreditation of {name} has changed this very moment: try again in a few seconds.",
                name=signer.in_sentences,
            ),
        )
    # An old answer may let a record pass, which the verdict still judges, but must never refuse one.
    if fault is not None and terms.is_remembered:
        return _fault(ctx, _terms_of_key(ctx, terms.thumbprint, anew=True), signer, kind, fields, issued)
    return fault


def _uncovered(
    ctx: AppContext,
    held: Accreditation | None,
    signer: Organisation,
    kind: Kind,
    fields: Mapping[str, Any],
    issued: datetime,
) -> tuple[str, Message] | None:
    """Tell why terms do not cover what is to be signed, as (field, message). The field is empty if none is at fault."""
    name, now = signer.in_sentences, max(issued, ctx.now())
    if held is None or held.kinds == 0:
        # A merchant's own papers may come before its first accreditation, which the authority dates as it sees fit.
        if KINDS[kind].signing is not Signing.CERTIFIED:
            return None
        return "", Message("{name} is not accredited: ask the authority to accredit it.", name=name)
    if held.suspended_since is not None and held.suspended_since <= now:
        since = held.suspended_since.date().isoformat()
        return "", Message(
            "The accreditation of {name} is suspended since {since}: ask the authority.", name=name, since=since
        )
    if issued < held.valid_from:
        start = held.valid_from.isoformat(timespec="minutes")
        return "", Message("The accreditation of {name} begins on {start}: sign after that.", name=name, start=start)
    if held.valid_until <= now:
        end = held.valid_until.date().isoformat()
        return "", Message(
            "The accreditation of {name} ended on {end}: ask the authority to renew it.", name=name, end=end
        )
    if not held.covers_kind(KINDS[kind].accreditation_bit):
        return "", Message(
            "{name} is not accredited for {kind} records: ask the authority to add them.", name=name, kind=kind.slug
        )
    chapter = str(fields.get("hsCode", ""))[:2]
    if KINDS[kind].is_bound_to_chapters and chapter.isdigit() and not held.covers_chapter(int(chapter)):
        return "hsCode", Message(
            "{name} is accredited for HS chapters {chapters}, not for {chapter}: correct the code, or ask the "
            "authority to add the chapter.",
            name=name,
            chapters=chapters_text(held),
            chapter=chapter,
        )
    return None


def chapters_in(held: Accreditation) -> list[int]:
    """List the HS chapters that terms cover, in the form that ``accredit`` takes."""
    if held.chapters & ALL_CHAPTERS:
        return list(EVERY_CHAPTER)
    return [chapter for chapter in range(1, 98) if held.covers_chapter(chapter)]


def chapters_text(held: Accreditation) -> str:
    """Write the HS chapters of terms as ranges, for example "1-24, 61". The text is empty where all are covered."""
    if held.chapters & ALL_CHAPTERS:
        return ""
    runs: list[list[int]] = []
    for chapter in chapters_in(held):
        if runs and runs[-1][-1] == chapter - 1:
            runs[-1].append(chapter)
        else:
            runs.append([chapter])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
