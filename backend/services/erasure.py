"""Erasure of a record by its holder: its text, salts and files are deleted, its place on the ledger stays.

The digest of the signed text, the kind and the quantity remain, since every other record's proof in the batch needs
them. The deleted text held 256-bit salts, so its content cannot be guessed from the digest (decisions 0008 and 0016).
What a lodged declaration relies on is kept for the customs office until the law lets it go, or the holder and the
office both agree (decision 0022).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog

from backend.domain.consignment import Event, Step
from backend.domain.errors import Conflict, Invalid, Message, NotAllowed, NotFound, StorageUnavailable
from backend.domain.kinds import Kind
from backend.domain.ledger import DeclarationStatus
from backend.domain.parties import Organisation, Person, Role
from backend.domain.records import ConfirmationRequest, ProofState, RecordOnFile, RequestState
from backend.domain.retention import kept_by_its_agreement
from backend.services.declarations import jurisdiction
from backend.services.ports import AppContext, rerunnable
from backend.services.records import visible_record
from backend.store.repositories.records import Keeper
from backend.store.unit_of_work import UnitOfWork

log = structlog.get_logger()

LONGEST_REASON = 2000
"""Characters."""
_ALWAYS = datetime.min.replace(tzinfo=UTC)


class Retained(Conflict):
    """A lodged declaration relies on the record, so that it must be kept.

    ``until`` is when that ends, ``office`` the code of the customs office whose consent is missing, ``served_by`` the
    organisations whose officers may give it.
    """

    code = "retained"

    def __init__(self, until: datetime, office: str, served_by: Sequence[Organisation]) -> None:
        super().__init__(
            Message(
                "a declaration lodged with {office} ({names}) relies on it: it is kept until {until}. To erase it "
                "earlier, ask this customs office for its consent",
                office=office,
                names=" / ".join(one.name for one in served_by),
                until=until.date().isoformat(),
            )
        )
        self.until, self.office, self.served_by = until, office, tuple(served_by)


@dataclass(frozen=True)
class Erasure:
    """What was erased: the record with its earlier versions, and the number of files deleted."""

    records: tuple[RecordOnFile, ...]
    files: int


@dataclass(frozen=True)
class Retention:
    """Until when a record is kept, and how far its holder has come in asking for an earlier erasure.

    ``missing`` is a customs office that has not agreed, None where all have. ``request`` is the holder's request with
    its reason. ``may_ask`` tells whether some office was not asked yet, ``may_agree`` whether the reader's office was
    asked and has not agreed.
    """

    until: datetime
    missing: Retained | None
    request: Event | None
    may_ask: bool
    may_agree: bool


def retention(ctx: AppContext, work: UnitOfWork, reader: Person, on_file: RecordOnFile) -> Retention | None:
    """Return the retention of a record, or None where nothing keeps it (any more).

    Of customs offices, officers learn about their own and those that let it act.
    """
    line, now = work.records.line_of(on_file), ctx.now()
    until = _kept_until(work, line)
    if on_file.erased_at is not None or until is None or until <= now:
        return None
    since, offices = _since(now, line), jurisdiction(ctx, work, reader)
    request = work.retention.request(line[0])
    is_newest = on_file.id == line[0].id
    is_asked = is_newest and request is not None and offices is not None
    return Retention(
        until,
        _missing(work, line, now, offices),
        request,
        may_ask=is_newest and bool(work.retention.keepers(line, since, asked=False, limit=1)),
        may_agree=is_asked and bool(work.retention.keepers(line, since, asked=True, offices=offices, limit=1)),
    )


@rerunnable
def request_consent(
    ctx: AppContext, actor: Person, record_id: str, reason: str, read: int | None = None
) -> RecordOnFile:
    """Ask the customs offices that keep a record to let it be erased. It is the holder's consent, on record.

    Raises:
        NotFound: There is no such record, or the actor's organisation does not hold it.
        NotAllowed: The record is a declaration.
        Invalid: The reason is empty or too long.
        StaleVersion: The record was changed since ``read``.
        Conflict: Nothing keeps it, all were asked already, a newer version replaced it, it was erased already, or a
            declaration that relies on it is undecided.
    """
    reason = _stated(reason)
    with ctx.work() as work:
        held = _held(work, actor, record_id)
        work.records.next_version(held, read)
        if held.superseded_by_id is not None:
            raise Conflict("a newer version replaced this one: ask for that one", by=held.superseded_by_id)
        if held.erased_at is not None:
            raise Conflict("this record was erased already", erased_at=held.erased_at)
        line = work.records.line_of(held)
        _check_decided(work, line)
        keepers = work.retention.keepers(line, _since(ctx.now(), line), asked=False)
        if not keepers:
            raise Conflict("there is no customs office to ask: nothing keeps it, or all of them were asked")
        _note(ctx, work, keepers, held, Step.ERASURE_REQUESTED, actor, reason)
        work.commit()
    return held


@rerunnable
def agree(ctx: AppContext, actor: Person, record_id: str, reason: str, read: int | None = None) -> RecordOnFile:
    """Agree for a customs office to the erasure that a record's holder has asked for.

    It holds for the declarations lodged with the actor's office, or with one that lets it act. The holder erases then.

    Raises:
        NotAllowed: The actor is not a customs officer.
        NotFound: There is no such record, or no declaration to such an office relies on it.
        Invalid: The reason is empty or too long.
        StaleVersion: The record was changed since ``read``.
        Conflict: Nobody has asked this office, or it has agreed already.
    """
    with ctx.work() as work:
        on_file = visible_record(ctx, work, actor, record_id)
        if actor.role is not Role.OFFICER:
            raise NotAllowed("only customs officers agree to an erasure")
        reason = _stated(reason)
        if on_file.kind is Kind.DECLARATION:
            raise NotAllowed("customs keep declarations: they are not the merchant's to erase")
        work.records.next_version(on_file, read)
        line, offices = work.records.line_of(on_file), jurisdiction(ctx, work, actor)
        keepers = work.retention.keepers(line, _since(ctx.now(), line), asked=True, offices=offices)
        if on_file.id != line[0].id or not keepers:
            raise Conflict("nobody asks this customs office for its consent to erase this record")
        _note(ctx, work, keepers, on_file, Step.ERASURE_AGREED, actor, reason)
        work.commit()
    return on_file


def _stated(reason: str) -> str:
    reason = reason.strip()
    if not reason or len(reason) > LONGEST_REASON:
        raise Invalid("a reason is needed", [("reason", "is missing or longer than 2,000 characters")])
    return reason


def _note(
    ctx: AppContext,
    work: UnitOfWork,
    keepers: Sequence[Keeper],
    on_file: RecordOnFile,
    step: Step,
    actor: Person,
    reason: str,
) -> None:
    declarations = [keeper.declaration_id for keeper in keepers]
    work.consignments.note_erasure(declarations, on_file, step, ctx.now(), actor, reason)


@rerunnable
def erase(ctx: AppContext, actor: Person, record_id: str) -> Erasure:
    """Erase a record that the actor's organisation holds, with the versions that it replaced. It cannot be undone.

    Raises:
        NotFound: There is no such record, or the actor's organisation does not hold it.
        NotAllowed: The record is a declaration.
        Retained: A lodged declaration relies on it or another version of it, the time for which it is kept is not over,
            and the customs office has not agreed.
        Conflict: It was erased already, is on its way to the ledger, or an undecided declaration or a waiting request
            relies on it.
        StorageUnavailable: The storage of attachments does not answer. Nothing is erased.
    """
    with ctx.work() as work:
        held = _held(work, actor, record_id)
        line = _with_what_it_replaced(work, held)
        _check(ctx, work, held)
        bound = {digest for on_file in line for digest in _files_of(on_file.readable_fields)}
        bound |= {digest for on_file in line for one in _orders_of(work, on_file) for digest in _files_of(one.order)}
        for on_file in line:
            work.records.next_version(on_file)
            _forget(work, on_file)
            work.search.forget(on_file.id)
            on_file.erase(ctx.now())
        _forget_drafts(work, held.holder, line)
        unbound = _no_longer_bound(work, held, bound)
        for digest in unbound:
            work.files.delete(digest, {held.holder.id, held.issuer.id})
        gone = [digest for digest in sorted(unbound) if not work.files.is_named(digest)]
        for digest in gone:
            ctx.files.check(digest)  # what cannot be deleted afterwards is not promised
        work.commit()
    # Files go after the commit: a crash in between leaves files that nothing names, which ``finish`` deletes. The other
    # order could delete a file of a record that stays.
    ctx.work.after_commit(partial(_delete_soon, ctx, gone))
    # Deleted rows stay in SQLite's write-ahead log until it is emptied.
    ctx.work.scrub()
    return Erasure(tuple(line), len(gone))


def _forget_drafts(work: UnitOfWork, holder: Organisation, line: Sequence[RecordOnFile]) -> None:
    """Delete drafts of declarations that are filled in from these papers, and so say what they said."""
    gone = {on_file.id for on_file in line}
    for draft in work.form_drafts.of(holder):
        if gone.intersection(draft.typed.get("records", [])):
            work.form_drafts.delete(draft)


def finish(ctx: AppContext) -> int:
    """Complete erasures that a crash interrupted, and return how many files were deleted. Runs at the start."""
    with ctx.work(reading=True) as work:
        named = {stored.sha256 for stored in work.files.all()}
    try:
        gone = sum(_delete(ctx, digest) for digest in ctx.files.unnamed(named))
    except StorageUnavailable as error:
        log.error("files of erased records are deleted at the next start", why=str(error))
        gone = 0
    ctx.work.scrub()
    return gone


def _delete_soon(ctx: AppContext, digests: Sequence[str]) -> None:
    """Delete the files of erased records. If the storage stops answering now, the next start does it (``finish``)."""
    for digest in digests:
        try:
            _delete(ctx, digest)
        except StorageUnavailable as error:
            log.error("a file of an erased record is deleted at the next start", sha256=digest, why=str(error))


def why_not(ctx: AppContext, work: UnitOfWork, actor: Person, on_file: RecordOnFile) -> Exception | None:
    """Return the error that keeps the actor from erasing a record, or None."""
    try:
        _check(ctx, work, _held(work, actor, on_file.id))
    except (Conflict, NotAllowed, NotFound) as refusal:
        return refusal
    return None


@rerunnable
def _delete(ctx: AppContext, digest: str) -> bool:
    """Delete a file unless another upload of the same bytes is on file.

    Nobody uploads the same bytes between the look and the deletion: on SQLite the unit of work, on PostgreSQL the name
    keeps them out, which every upload holds until its commit.
    """
    with ctx.work.alone(digest), ctx.work() as work:
        return not work.files.is_named(digest) and ctx.files.delete(digest)


def _held(work: UnitOfWork, actor: Person, record_id: str) -> RecordOnFile:
    on_file = work.records.get(record_id)
    if on_file.holder.id != actor.organisation.id:
        raise NotFound("no such record", id=record_id)
    if on_file.kind is Kind.DECLARATION:
        raise NotAllowed("customs keep declarations: they are not the merchant's to erase")
    return on_file


def _with_what_it_replaced(work: UnitOfWork, on_file: RecordOnFile) -> list[RecordOnFile]:
    line = [on_file]
    while line[-1].supersedes_id is not None:
        line.append(work.records.get(line[-1].supersedes_id))
    return [one for one in line if one.erased_at is None] or line[:1]


def _check(ctx: AppContext, work: UnitOfWork, held: RecordOnFile) -> None:
    if held.erased_at is not None:
        raise Conflict("this record was erased already", erased_at=held.erased_at)
    # Every version is evidence of what was declared, also those that stay and those that were erased before.
    line = work.records.line_of(held)
    _check_decided(work, line)
    if (missing := _missing(work, line, ctx.now())) is not None:
        raise missing
    for one in _with_what_it_replaced(work, held):
        _check_erasable(work, one)


def _check_decided(work: UnitOfWork, line: Sequence[RecordOnFile]) -> None:
    is_open = [status for status in DeclarationStatus if status.is_open]
    if any(work.consignments.is_named(one.id, is_open) for one in line):
        raise Conflict("a declaration that customs have not decided on relies on it: it is kept until they have")


def _missing(
    work: UnitOfWork, line: Sequence[RecordOnFile], now: datetime, offices: Collection[str] | None = None
) -> Retained | None:
    """Return why the line is kept, with an office that has not agreed to its erasure, or None."""
    until = _kept_until(work, line)
    if until is None or until <= now:
        return None
    for keeper in work.retention.keepers(line, _since(now, line), offices=offices, limit=1):
        served = work.customs_offices.find(keeper.customs_office)
        return Retained(until, keeper.customs_office, [one.organisation for one in served])
    return None


def _kept_until(work: UnitOfWork, line: Sequence[RecordOnFile]) -> datetime | None:
    """Return until when a declaration, or a trade agreement for it, keeps this line; None where none was lodged."""
    declared = work.retention.latest(line)
    return max(filter(None, (declared, _by_agreement(line)))) if declared is not None else None


def _since(now: datetime, line: Sequence[RecordOnFile]) -> datetime:
    """Return the moment beyond which a declaration's own period must last to count; all do while an agreement keeps."""
    by_agreement = _by_agreement(line)
    return _ALWAYS if by_agreement is not None and by_agreement > now else now


def _by_agreement(line: Sequence[RecordOnFile]) -> datetime | None:
    return kept_by_its_agreement((one.kind, one.readable_fields, one.issued_at) for one in line)


def _check_erasable(work: UnitOfWork, on_file: RecordOnFile) -> None:
    if on_file.proof_state is not ProofState.FINAL:
        raise Conflict("this record is on its way to the ledger: try again in a few seconds")
    changes = work.status_changes.of_record(on_file.id)
    if any((c.transaction is None and c.settled is None) or (c.transaction and c.transaction.is_open) for c in changes):
        raise Conflict("a change of this record's status is on its way to the ledger: try again in a few seconds")
    if _is_being_drawn(work, on_file.id):
        raise Conflict("goods released on it are on their way to the ledger: try again in a few seconds")
    request = work.requests.find_about(on_file.id)
    if request is not None and request.state is RequestState.WAITING:
        raise Conflict("it lies before its issuer: wait for the answer first")


def _is_being_drawn(work: UnitOfWork, certificate_id: str) -> bool:
    """Tell whether a drawdown from this certificate is still to be made: its activation needs the text."""
    return any(
        drawdown.is_standing and drawdown.made_at is None for drawdown in work.drawdowns.of_certificate(certificate_id)
    )


def _orders_of(work: UnitOfWork, on_file: RecordOnFile) -> list[ConfirmationRequest]:
    """Return the order that a record carried out, and those that were sent back before it."""
    found = work.requests.find_about(on_file.id)
    return work.requests.orders_before(found) if found is not None else []


def _files_of(fields: Mapping[str, Any] | None) -> list[str]:
    try:
        return [str(attachment["sha256"]) for attachment in (fields or {}).get("attachments", [])]
    except (KeyError, TypeError):
        return []


def _forget(work: UnitOfWork, on_file: RecordOnFile) -> None:
    """Delete what other rows repeat of its content: reasons, requests and their threads, idempotent results."""
    for change in work.status_changes.of_record(on_file.id):
        change.reason, change.reason_salt = "", bytes(32)
    request = work.requests.find_about(on_file.id)
    if request is not None:
        request.reason = request.content = None
        work.requests.delete_messages(request)
        for one in _orders_of(work, on_file):
            one.forget_order()
            one.reason = None
        if request.state is RequestState.SENT_BACK:
            request.state = RequestState.CLOSED
    work.idempotency.delete_for(on_file.id)


def _no_longer_bound(work: UnitOfWork, held: RecordOnFile, bound: set[str]) -> set[str]:
    """Return those of the files that no record of the holder or the issuer refers to any more."""
    if not bound:
        return set()
    still = set()
    for party in {held.holder.id: held.holder, held.issuer.id: held.issuer}.values():
        still |= {digest for other in work.records.readable_of(party) for digest in _files_of(other.readable_fields)}
        still |= {digest for other in work.requests.orders_of(party) for digest in _files_of(other.order)}
    return bound - still
