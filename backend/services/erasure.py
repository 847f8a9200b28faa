"""Erasure of a record by its holder: its text, salts and files are deleted, its place on the ledger stays.

The digest of the signed text, the kind and the quantity remain, since every other record's proof in the batch needs
them. The deleted text held 256-bit salts, so its content cannot be guessed from the digest (decisions 0008 and 0016).
"""

from dataclasses import dataclass

from backend.domain.errors import Conflict, Invalid, NotAllowed, NotFound
from backend.domain.kinds import Kind
from backend.domain.ledger import DeclarationStatus
from backend.domain.parties import Person
from backend.domain.records import ProofState, RecordOnFile, RequestState
from backend.services.ports import AppContext
from backend.store.unit_of_work import UnitOfWork


@dataclass(frozen=True)
class Erasure:
    """What was erased: the record with its earlier versions, and the number of files deleted."""

    records: tuple[RecordOnFile, ...]
    files: int


def erase(ctx: AppContext, actor: Person, record_id: str) -> Erasure:
    """Erase a record that the actor's organisation holds, with the versions that it replaced. It cannot be undone.

    Raises:
        NotFound: There is no such record, or the actor's organisation does not hold it.
        NotAllowed: The record is a declaration.
        Conflict: It was erased already, is on its way to the ledger, or an undecided declaration or a waiting request
            relies on it.
    """
    with ctx.work() as work:
        held = _held(work, actor, record_id)
        line = _with_what_it_replaced(work, held)
        for on_file in line:
            _check_erasable(work, on_file)
        bound = {digest for on_file in line for digest in _files_of(on_file)}
        for on_file in line:
            work.records.next_version(on_file)
            _forget(work, on_file)
            on_file.erase(ctx.now())
        unbound = _no_longer_bound(work, held, bound)
        for digest in unbound:
            work.files.delete(digest, {held.holder.id, held.issuer.id})
        gone = [digest for digest in sorted(unbound) if not work.files.is_named(digest)]
        work.commit()
    # Files go after the commit: a crash in between leaves files that nothing names, which ``finish`` deletes. The other
    # order could delete a file of a record that stays.
    ctx.work.after_commit(lambda: [_delete(ctx, digest) for digest in gone])
    # Deleted rows stay in SQLite's write-ahead log until it is emptied.
    ctx.work.scrub()
    return Erasure(tuple(line), len(gone))


def finish(ctx: AppContext) -> int:
    """Complete erasures that a crash interrupted, and return how many files were deleted. Runs at the start."""
    with ctx.work(reading=True) as work:
        named = {stored.sha256 for stored in work.files.all()}
    gone = sum(_delete(ctx, digest) for digest in ctx.files.unnamed(named))
    ctx.work.scrub()
    return gone


def why_not(work: UnitOfWork, actor: Person, on_file: RecordOnFile) -> Exception | None:
    """Return the error that keeps the actor from erasing a record, or None."""
    try:
        for one in _with_what_it_replaced(work, _held(work, actor, on_file.id)):
            _check_erasable(work, one)
    except (Conflict, NotAllowed, NotFound) as refusal:
        return refusal
    return None


def _delete(ctx: AppContext, digest: str) -> bool:
    """Delete a file unless another upload of the same bytes is on file.

    The unit of work keeps others from uploading the same bytes between the look and the deletion.
    """
    with ctx.work() as work:
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


def _check_erasable(work: UnitOfWork, on_file: RecordOnFile) -> None:
    if on_file.erased_at is not None:
        raise Conflict("this record was erased already", erased_at=on_file.erased_at)
    if on_file.proof_state is not ProofState.FINAL:
        raise Conflict("this record is on its way to the ledger: try again in a few seconds")
    changes = work.status_changes.of_record(on_file.id)
    if any((c.transaction is None and c.settled is None) or (c.transaction and c.transaction.is_open) for c in changes):
        raise Conflict("a change of this record's status is on its way to the ledger: try again in a few seconds")
    if _is_being_drawn(work, on_file.id):
        raise Conflict("goods released on it are on their way to the ledger: try again in a few seconds")
    if work.consignments.is_named(on_file.id, [status for status in DeclarationStatus if status.is_open]):
        raise Conflict("a declaration that customs have not decided on relies on it: withdraw that first")
    request = work.requests.find_about(on_file.id)
    if request is not None and request.state is RequestState.WAITING:
        raise Conflict("it lies before its issuer: wait for the answer first")


def _is_being_drawn(work: UnitOfWork, certificate_id: str) -> bool:
    """Tell whether a drawdown from this certificate is still to be made: its activation needs the text."""
    return any(
        drawdown.is_standing and drawdown.made_at is None for drawdown in work.drawdowns.of_certificate(certificate_id)
    )


def _files_of(on_file: RecordOnFile) -> list[str]:
    try:
        return [str(attachment["sha256"]) for attachment in on_file.fields.get("attachments", [])]
    except (Invalid, KeyError, TypeError):
        return []


def _forget(work: UnitOfWork, on_file: RecordOnFile) -> None:
    """Delete what other rows repeat of the record's content: reasons, requests and idempotent results."""
    for change in work.status_changes.of_record(on_file.id):
        change.reason, change.reason_salt = "", bytes(32)
    request = work.requests.find_about(on_file.id)
    if request is not None:
        request.reason = request.content = None
        if request.state is RequestState.SENT_BACK:
            request.state = RequestState.CLOSED
    work.idempotency.delete_for(on_file.id)


def _no_longer_bound(work: UnitOfWork, held: RecordOnFile, bound: set[str]) -> set[str]:
    """Return those of the files that no record of the holder or the issuer refers to any more."""
    if not bound:
        return set()
    still = set()
    for party in {held.holder.id: held.holder, held.issuer.id: held.issuer}.values():
        still |= {digest for other in work.records.readable_of(party) for digest in _files_of(other)}
    return bound - still
