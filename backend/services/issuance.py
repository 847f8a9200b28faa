"""Issuers sign records, their own or what a merchant submitted to them, and revoke them."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from uuid import uuid4

from pydantic.alias_generators import to_snake

from backend.domain.bundle import Bundle
from backend.domain.consignment import Step
from backend.domain.drawdowns import Count, decimal_text
from backend.domain.errors import Conflict, Invalid, Message, NotAllowed, NotFound
from backend.domain.evidence import Evidence, quantity_steps
from backend.domain.fields import Document, Party
from backend.domain.kinds import KINDS, Kind, Signing
from backend.domain.ledger import DocumentStatus
from backend.domain.outbox import EndedPlace, RevocationNotice
from backend.domain.parties import Organisation, Person, Role
from backend.domain.records import (
    Assurance,
    ConfirmationRequest,
    FieldChange,
    RecordOnFile,
    RequestMessage,
    RequestState,
    changes_between,
    document_of,
    fields_of,
)
from backend.services.accreditation import SignerTerms, require_covered
from backend.services.drawdowns import balances
from backend.services.ports import AppContext, rerunnable
from backend.services.records import (
    ENDED,
    DraftInputs,
    UnsignedRecord,
    change_status,
    check_attachments,
    check_dates,
    draft,
    free_number,
    is_published,
    sign_once,
    usable_key,
)
from backend.store.repositories.records import MOST_MESSAGES
from backend.store.unit_of_work import UnitOfWork

LONGEST_TEXT = 2000
"""Characters of a reason or message."""


def issue(ctx: AppContext, actor: Person, kind: Kind, fields: Any) -> RecordOnFile:
    """Sign a document of a kind that the actor's organisation issues, for a merchant.

    The holder is the merchant whom the document names, if one is registered under the same company number or name, and
    otherwise the issuer itself.

    Raises:
        NotAllowed: The actor's role does not issue this kind.
        Invalid: A field of the document is wrong.
        Conflict: The number is taken, or the issuer's key cannot sign now.
        OutsideAccreditation: The ledger does not accredit the issuer for it.
        TooMuchWaiting: No more records are taken in at the moment.
    """
    return sign_once(
        ctx, lambda work, inputs: draft_issue(ctx, work, inputs, actor, kind, fields), signer=actor.organisation
    )


def draft_issue(
    ctx: AppContext, work: UnitOfWork, inputs: DraftInputs, actor: Person, kind: Kind, fields: Any
) -> UnsignedRecord:
    """Build the record that ``issue`` signs. Raises what ``issue`` raises, except for a reused key."""
    _only_its_issuer(actor, kind)
    document = document_of(kind, fields)
    issuer = work.organisations.get(actor.organisation.id)
    return draft(ctx, work, inputs, kind, document, issuer, _holder(work, kind, document) or issuer)


def _only_its_issuer(actor: Person, kind: Kind) -> None:
    if KINDS[kind].signing is not Signing.CERTIFIED or actor.role not in KINDS[kind].signed_by:
        raise NotAllowed("{name} does not issue {kind}s", kind=kind.slug, name=actor.organisation.in_sentences)


def _holder(work: UnitOfWork, kind: Kind, document: Document) -> Organisation | None:
    named = getattr(document, to_snake(KINDS[kind].merchant_field or ""), None)
    if not isinstance(named, Party):
        return None
    return work.organisations.find_named(Role.MERCHANT, named.identifier, named.name)


def confirm(
    ctx: AppContext, actor: Person, request_id: str, number: str, changes: dict[str, Any] | None = None
) -> RecordOnFile:
    """Sign what a merchant stated or ordered, under the issuer's own number. The record supersedes the statement.

    ``changes`` are fields that the issuer sets itself, such as who authorised the report. Of an ordered record they are
    all that the order does not say, such as a laboratory's results.

    Raises:
        NotFound: There is no such request to this issuer.
        Conflict: The request was answered already, the number is taken, or the issuer's key cannot sign now.
        Invalid: A field is wrong after the changes.
        OutsideAccreditation: The ledger does not accredit the issuer for it.
    """
    return sign_once(
        ctx,
        lambda work, inputs: draft_confirmation(ctx, work, inputs, actor, request_id, number, changes),
        signer=actor.organisation,
    )


def draft_confirmation(
    ctx: AppContext,
    work: UnitOfWork,
    inputs: DraftInputs,
    actor: Person,
    request_id: str,
    number: str,
    changes: dict[str, Any] | None = None,
) -> UnsignedRecord:
    """Build the record that ``confirm`` signs. Raises what ``confirm`` raises."""
    request = _waiting(work, actor, request_id)
    kind, statement = request.kind, request.statement
    stated = statement.fields if statement is not None else taken_over(request)
    # The issuer's number comes last, so that a number which the merchant stated cannot take its place.
    fields = {**stated, **(changes or {}), KINDS[kind].number_field: number}
    drafted = draft(
        ctx,
        work,
        inputs,
        kind,
        document_of(kind, fields),
        request.issuer,
        request.merchant,
        product=statement.product if statement is not None else request.product,
        supersedes=statement,
    )

    def answer_request(on_file: RecordOnFile) -> None:
        work.requests.next_version(request)
        request.state, request.answered_at, request.confirmed = RequestState.CONFIRMED, ctx.now(), on_file

    return replace(drafted, on_filed=answer_request)


@dataclass(frozen=True)
class SigningCheck:
    """A check that signing makes, made beforehand: what it is about, and what would be refused as (field, message).

    ``subject`` is document (form, trade agreement, validity), dates, files, number, key, accreditation or balance.
    """

    subject: str
    problems: tuple[tuple[str, str | Message], ...] = ()


def check_before_signing(
    ctx: AppContext,
    work: UnitOfWork,
    terms: SignerTerms,
    issuer: Organisation,
    kind: Kind,
    fields: dict[str, Any],
    supersedes: RecordOnFile | None = None,
    balance: Count | None = None,
) -> list[SigningCheck]:
    """Make the checks of signing one by one, by the same functions, and return what each would refuse.

    ``terms`` are the issuer's, read before the unit of work, as the ledger may be slow. Nothing is stored.
    """
    try:
        document = fields_of(document_of(kind, fields))
    except Invalid as error:
        return [SigningCheck("document", tuple(error.problems))]  # what is no document cannot be asked about further
    now = ctx.now()
    found = [
        SigningCheck("document"),
        _refusal("dates", lambda: check_dates(kind, document, now)),
        _refusal("files", lambda: check_attachments(work, document, issuer, supersedes)),
        _refusal("number", lambda: free_number(work, kind, document, issuer, Assurance.ISSUED)),
        _refusal("key", lambda: usable_key(work, issuer)),
        _refusal("accreditation", lambda: require_covered(ctx, work, terms, issuer, kind, document, now)),
    ]
    if balance is not None and supersedes is not None:
        found.append(_refusal("balance", lambda: check_balance(work, supersedes, balance, document)))
    return found


def _refusal(subject: str, check: Callable[[], object]) -> SigningCheck:
    try:
        check()
    except Invalid as error:
        return SigningCheck(subject, tuple(error.problems) or (("", error.message),))
    except Conflict as error:
        return SigningCheck(subject, (("", error.message),))
    return SigningCheck(subject)


def check_balance(work: UnitOfWork, replaced: RecordOnFile, count: Count | None, fields: Mapping[str, Any]) -> None:
    """Refuse what replaces a certificate from which goods were drawn, where its account could not go on.

    The account needs at least what was drawn, in the same unit, and gives no more than it had (decision 0029): who
    wants to certify more issues another certificate for the rest. ``count`` was read from the ledger before the unit of
    work; what was drawn here is counted anew.

    Raises:
        Invalid: It covers less than was drawn, more than before, or counts in another unit.
    """
    if count is None:
        return
    drawn = work.drawdowns.drawn_from([count.original_id]).get(count.original_id, 0) + count.elsewhere
    if drawn and fields["unitCode"] != count.unit_code:
        raise Invalid("the unit cannot be changed", [("unitCode", "must stay: goods were released in this unit")])
    if drawn and not drawn <= quantity_steps(Decimal(str(fields["quantity"]))) <= replaced.quantity:
        least, most = decimal_text(drawn), decimal_text(replaced.quantity)
        told = Message("lies outside {low} to {high}: so much was released, so much certified", low=least, high=most)
        raise Invalid("the quantity does not fit what was released", [("quantity", told)])


def balance_of(ctx: AppContext, work: UnitOfWork, record: RecordOnFile) -> Count | None:
    """Return what is known of a certificate's quantity; None where it has none. Asks the ledger."""
    return next(iter(balances(ctx, work, [record])), None)


def amend(
    ctx: AppContext, actor: Person, record_id: str, fields: Mapping[str, Any], reason: str, read: int | None = None
) -> RecordOnFile:
    """Sign a record that takes the place of one of the issuer's own, under a new number, with the reason.

    The record before is superseded for good: whoever checks it is led to the new one, and declarations that name it are
    judged by the new one. Its holder stays. ``fields`` are all fields of the new document.

    Raises:
        NotFound: There is no such record, or the actor's organisation did not issue it.
        StaleVersion: It was changed since the version that the issuer read.
        Conflict: The record is not in force or was erased, the number is taken, or the issuer's key cannot sign now.
        Invalid: The reason is empty, a field is wrong, or the quantity does not fit what was released.
        OutsideAccreditation: The ledger does not accredit the issuer for it.
    """
    if not reason.strip():
        raise Invalid("a reason is needed", [("reason", "is missing")])
    with ctx.work(reading=True) as work:
        count = balance_of(ctx, work, own_record(work, actor, record_id))

    def drafted(work: UnitOfWork, inputs: DraftInputs) -> UnsignedRecord:
        replaced = own_record(work, actor, record_id)
        work.records.next_version(replaced, read)
        if not is_replaceable(replaced):
            raise Conflict("this record is not in force", status=DocumentStatus(replaced.status).name)
        document = document_of(replaced.kind, fields)
        check_balance(work, replaced, count, fields_of(document))
        parties = replaced.issuer, replaced.holder
        unsigned = draft(
            ctx, work, inputs, replaced.kind, document, *parties, product=replaced.product, supersedes=replaced
        )
        return replace(unsigned, reason=_shortened(reason))

    return sign_once(ctx, drafted, signer=actor.organisation)


def reissue(
    ctx: AppContext, actor: Person, record_id: str, number: str, reason: str, read: int | None = None
) -> RecordOnFile:
    """Sign the same content again under a new number, as for a paper that was lost. Raises what ``amend`` raises."""
    with ctx.work(reading=True) as work:
        record = own_record(work, actor, record_id)
    return amend(ctx, actor, record_id, {**record.fields, KINDS[record.kind].number_field: number}, reason, read)


def own_record(work: UnitOfWork, actor: Person, record_id: str) -> RecordOnFile:
    """Return a record that the actor's organisation certified for others, or raise NotFound."""
    on_file = work.records.get(record_id)
    is_certified = on_file.assurance is Assurance.ISSUED and KINDS[on_file.kind].signing is Signing.CERTIFIED
    if on_file.issuer.id != actor.organisation.id or not is_certified:
        raise NotFound("no such record", id=record_id)
    return on_file


def is_replaceable(on_file: RecordOnFile) -> bool:
    """Tell whether a newer version may take the place of a record: it is in force and was not erased."""
    return on_file.status == DocumentStatus.ACTIVE and on_file.erased_at is None


def taken_over(request: ConfirmationRequest) -> dict[str, Any]:
    """Return what the record of an ordered kind says as the order said it, but the merchant's attachments."""
    known = KINDS[request.kind].every_field
    return {name: value for name, value in request.readable_fields.items() if name in known and name != "attachments"}


@rerunnable
def send_back(
    ctx: AppContext, actor: Person, request_id: str, reason: str, doubtful: Collection[str] = ()
) -> ConfirmationRequest:
    """Return a request to the merchant with a reason, so that the merchant can correct the statement.

    ``doubtful`` names the fields of the document to look at, by their JSON names. Reason and fields also stand in the
    request's thread.

    Raises:
        NotFound: There is no such request to this issuer.
        Conflict: The request was answered already.
        Invalid: The reason is empty, or the kind has no such field.
    """
    if not reason.strip():
        raise Invalid("a reason is needed", [("reason", "is missing: say what the merchant should correct")])
    with ctx.work() as work:
        request = _waiting(work, actor, request_id)
        known = request.every_field
        if unknown := [name for name in doubtful if name not in known]:
            raise Invalid("no such field", [("fields", Message("{name} is no field of it", name=unknown[0]))])
        work.requests.next_version(request)
        request.state, request.answered_at, request.reason = RequestState.SENT_BACK, ctx.now(), _shortened(reason)
        marked = [name for name in known if name in doubtful]
        # Reasons count as messages, but a full thread keeps no issuer from answering.
        if work.requests.count_messages(request) < MOST_MESSAGES:
            _write(ctx, work, request, request.issuer, reason, marked)
        work.commit()
    return request


@rerunnable
def write_message(ctx: AppContext, actor: Person, request_id: str, text: str) -> RequestMessage:
    """Ask or answer in the thread of a request, by its merchant or its issuer.

    Raises:
        NotFound: There is no such request of this organisation.
        Invalid: The text is empty.
        Conflict: The request was given up or replaced, what it said was erased, or the thread is full.
    """
    if not text.strip():
        raise Invalid("a text is needed", [("text", "is missing: write your question or answer")])
    with ctx.work() as work:
        request = request_of(work, actor, request_id)
        if not is_open_for_messages(request):
            raise Conflict("nothing more is written about this request: it is over", state=request.state.value)
        if work.requests.count_messages(request) >= MOST_MESSAGES:
            raise Conflict("this thread is full: {most} messages", most=MOST_MESSAGES)
        author = request.issuer if request.issuer.id == actor.organisation.id else request.merchant
        message = _write(ctx, work, request, author, text)
        work.commit()
    return message


def request_of(work: UnitOfWork, actor: Person, request_id: str) -> ConfirmationRequest:
    """Return a request to the actor's organisation, or one that it made.

    Raises:
        NotFound: There is none. The same for one of others, so that nobody can find out which there are.
    """
    request = work.requests.get(request_id)
    if actor.organisation.id not in (request.issuer.id, request.merchant.id):
        raise NotFound("no such request", id=request_id)
    return request


def is_open_for_messages(request: ConfirmationRequest) -> bool:
    """Tell whether merchant and issuer may still write in a request's thread."""
    is_over = request.state in (RequestState.CLOSED, RequestState.WITHDRAWN)
    return not is_over and not request.is_erased


def changes_since_return(work: UnitOfWork, request: ConfirmationRequest) -> list[FieldChange]:
    """Return what a request says differently from the one sent back that it corrects; nothing where it is the first.

    Nothing either where one of the two was erased.
    """
    if request.corrects_id is not None:
        before = work.requests.get(request.corrects_id).readable_fields
    elif request.statement is not None and request.statement.supersedes_id is not None:
        before = work.records.get(request.statement.supersedes_id).readable_fields  # submitted to an earlier version
    else:
        return []
    after = request.readable_fields
    return changes_between(before, after) if before and after else []


def _write(
    ctx: AppContext,
    work: UnitOfWork,
    request: ConfirmationRequest,
    author: Organisation,
    text: str,
    doubtful: list[str] | None = None,
) -> RequestMessage:
    message = RequestMessage(str(uuid4()), request.thread_id, author, ctx.now(), _shortened(text), doubtful)
    work.add(message)
    request.last_author_id = author.id
    return message


def _shortened(text: str) -> str:
    return text.strip()[:LONGEST_TEXT]


def _waiting(work: UnitOfWork, actor: Person, request_id: str) -> ConfirmationRequest:
    request = work.requests.get(request_id)
    if request.issuer.id != actor.organisation.id:
        # The same answer as for an unknown id, so that issuers cannot find out about each other's requests.
        raise NotFound("no such request", id=request_id)
    if request.state is not RequestState.WAITING:
        raise Conflict("this request was answered already", state=request.state.value)
    return request


@rerunnable
def revoke(ctx: AppContext, actor: Person, record_id: str, reason: str, read: int | None = None) -> RecordOnFile:
    """Revoke a record for good, by its issuer. The ledger shows it as revoked from the next block on.

    Raises:
        NotFound: There is no such record, or the actor's organisation did not issue it.
        StaleVersion: It was changed since the version that the issuer read.
        Conflict: The record is neither active nor suspended.
        Invalid: The reason is empty.
    """
    if not reason.strip():
        raise Invalid("a reason is needed", [("reason", "is missing")])
    with ctx.work() as work:
        on_file = work.records.get(record_id)
        if on_file.issuer.id != actor.organisation.id or on_file.kind is Kind.DECLARATION:
            raise NotFound("no such record", id=record_id)
        if on_file.assurance is Assurance.STATED and actor.role is not Role.MERCHANT:
            raise NotFound("no such record", id=record_id)
        work.records.next_version(on_file, read)
        if on_file.status not in (DocumentStatus.ACTIVE, DocumentStatus.SUSPENDED):
            raise Conflict("this record is not in force", status=DocumentStatus(on_file.status).name)
        change_status(ctx, work, on_file, DocumentStatus.REVOKED, _shortened(reason))
        work.consignments.note_about_record(on_file, Step.PAPER_REVOKED, ctx.now(), on_file.issuer)
        work.commit()
    ctx.wake_anchoring()
    return on_file


@rerunnable
def publish_revocations(ctx: AppContext, bundle: Bundle) -> int:
    """Let the ends of a bundle's documents be published for the records themselves, whosever they are.

    Returns how many are to be published; those that are published or asked for already do not count.

    Raises:
        Conflict: The ledger holds none of them as revoked or superseded, or publishes no revocations.
        LedgerUnavailable: The ledger cannot be asked.
    """
    if not ctx.ledger.publishes_revocations:
        raise Conflict("this ledger publishes no revocations: an earlier version deployed its contracts")
    ended = [place for one in bundle.records if (place := _ended_at(ctx, one)) is not None]
    if not ended:
        raise Conflict("the ledger holds none of these records as revoked or replaced")
    count = 0
    with ctx.work() as work:
        for place in ended:
            if work.revocations.find_at(place.batch_key, place.leaf_index) is None:
                work.add(RevocationNotice.at(str(uuid4()), ctx.now(), place))
                count += 1
        work.commit()
    ctx.wake_anchoring()
    return count


def _ended_at(ctx: AppContext, one: Evidence) -> EndedPlace | None:
    """Return the place at which the ledger says that a document has ended, unless that is published already."""
    anchor, proof, entry = one.anchor, one.proof, one.entry.encode()
    if anchor is None or proof is None or one.kind is Kind.DECLARATION or not proof.proves(entry, anchor.root):
        return None
    key = ctx.ledger.batch_key(anchor.root, anchor.transaction)
    batch = ctx.ledger.batch(key)
    if batch is None or ctx.ledger.status(key, proof.leaf_index) not in ENDED:
        return None
    if is_published(ctx.ledger, one.leaves[0], batch):
        return None
    return EndedPlace(key, proof.leaf_index, entry, b"".join(proof.path))
