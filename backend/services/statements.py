"""Merchants' own records: self-attested statements that an issuer can confirm, and the papers of their trade."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

from backend.domain.errors import Conflict, Invalid, Message, NotAllowed, NotFound
from backend.domain.kinds import KINDS, Kind, Signing, certified_by
from backend.domain.kinds.listing import Listing
from backend.domain.parties import Organisation, Person, Role
from backend.domain.records import (
    Assurance,
    ConfirmationRequest,
    RecordOnFile,
    RequestState,
    content_of,
    document_of,
    fields_of,
    order_of,
)
from backend.services.ports import AppContext, rerunnable
from backend.services.records import DraftInputs, UnsignedRecord, check_attachments, draft, sign_once
from backend.store.unit_of_work import UnitOfWork


def issue_statement(
    ctx: AppContext,
    actor: Person,
    kind: Kind,
    fields: Any,
    issuer_id: str,
    product_id: str | None = None,
    instead_of: str | None = None,
) -> RecordOnFile:
    """Sign a statement with the merchant's own key and submit it to the issuer named.

    ``instead_of`` is the id of a request that was sent back. The new statement replaces the one in it.

    Raises:
        NotAllowed: The actor is not a merchant.
        Invalid: A field is wrong, or the issuer is not registered or does not issue this kind.
        NotFound: There is no such product or request of this merchant.
        Conflict: The request in ``instead_of`` was not sent back, or the merchant's key cannot sign now.
        TooMuchWaiting: No more records are taken in at the moment.
    """
    return sign_once(
        ctx,
        lambda work, inputs: draft_statement(ctx, work, inputs, actor, kind, fields, issuer_id, product_id, instead_of),
    )


def draft_statement(
    ctx: AppContext,
    work: UnitOfWork,
    inputs: DraftInputs,
    actor: Person,
    kind: Kind,
    fields: Any,
    issuer_id: str,
    product_id: str | None = None,
    instead_of: str | None = None,
) -> UnsignedRecord:
    """Build the record that ``issue_statement`` signs. Raises what ``issue_statement`` raises."""
    if actor.role is not Role.MERCHANT:
        raise NotAllowed("only merchants make statements")
    document = document_of(kind, fields)
    issuer = _issuer(work, kind, issuer_id)
    merchant = work.organisations.get(actor.organisation.id)
    product = work.products.get(product_id, merchant) if product_id else None
    returned = _sent_back(work, merchant, instead_of) if instead_of else None
    earlier = returned.statement if returned else None
    drafted = draft(
        ctx,
        work,
        inputs,
        kind,
        document,
        merchant,
        merchant,
        Assurance.STATED,
        product or (earlier.product if earlier else None),
        supersedes=earlier,
    )

    def submit(statement: RecordOnFile) -> None:
        # Kept with the request, so that an import can tell that the same content waits already.
        content = content_of(kind, fields_of(document))
        made = ConfirmationRequest(str(uuid4()), statement, issuer, merchant, inputs.moment, content=content)
        if returned is not None:
            _take_place(work, made, returned)
        work.add(made)

    return replace(drafted, on_filed=submit)


def _issuer(work: UnitOfWork, kind: Kind, issuer_id: str) -> Organisation:
    if not issuer_id:
        raise Invalid("name the issuer who can confirm this", [("issuer", "is missing")])
    try:
        issuer = work.organisations.get(issuer_id)
    except NotFound as error:
        raise Invalid("no such issuer", [("issuer", "is not registered here")]) from error
    if kind not in certified_by(issuer.role):
        raise Invalid(
            "this organisation cannot confirm it", [("issuer", Message("does not issue {kind}s", kind=kind.slug))]
        )
    return issuer


def _sent_back(work: UnitOfWork, merchant: Organisation, request_id: str) -> ConfirmationRequest:
    request = work.requests.get(request_id)
    if request.merchant.id != merchant.id:
        raise NotFound("no such request", id=request_id)
    is_replaced = request.statement is not None and request.statement.superseded_by_id is not None
    if request.state is not RequestState.SENT_BACK or is_replaced:
        raise Conflict("only a request that was sent back can be corrected", state=request.state.value)
    return request


@rerunnable
def order(
    ctx: AppContext,
    actor: Person,
    kind: Kind,
    fields: Any,
    issuer_id: str,
    product_id: str | None = None,
    instead_of: str | None = None,
) -> ConfirmationRequest:
    """Ask an issuer for a record of which it states everything itself, such as a laboratory's report.

    Nothing is signed: an order is no statement about the goods. ``instead_of`` names a request that was sent back.

    Raises:
        NotAllowed: The actor is not a merchant.
        Invalid: A field is wrong, an attachment was not uploaded, the issuer is not registered or does not issue this
            kind, or the kind is not ordered.
        NotFound: There is no such product or request of this merchant.
        Conflict: The request in ``instead_of`` was not sent back.
    """
    if actor.role is not Role.MERCHANT:
        raise NotAllowed("only merchants make statements")
    wanted = fields_of(order_of(kind, fields))
    with ctx.work() as work:
        issuer = _issuer(work, kind, issuer_id)
        merchant = work.organisations.get(actor.organisation.id)
        check_attachments(work, wanted, merchant, None)
        product = work.products.get(product_id, merchant) if product_id else None
        made = ConfirmationRequest(str(uuid4()), None, issuer, merchant, ctx.now(), order=wanted, order_kind=kind)
        made.product = product
        if instead_of:
            returned = _sent_back(work, merchant, instead_of)
            earlier = returned.statement.product if returned.statement is not None else returned.product
            made.product = product or earlier
            _take_place(work, made, returned)
        work.add(made)
        work.commit()
    return made


def _take_place(work: UnitOfWork, made: ConfirmationRequest, returned: ConfirmationRequest) -> None:
    """Close a request that was sent back, as another one corrects it."""
    work.requests.next_version(returned)  # the merchant may withdraw it at the same moment
    returned.state = RequestState.CLOSED
    made.corrects_id = returned.id
    # Between the same two the thread goes on. Another issuer does not read what was written to the first one.
    if returned.issuer.id == made.issuer.id:
        made.first_id = returned.thread_id


@rerunnable
def withdraw_request(ctx: AppContext, actor: Person, request_id: str) -> ConfirmationRequest:
    """Give up a request that the issuer sent back.

    Raises:
        NotFound: There is no such request of this merchant.
        Conflict: It was not sent back, or something was done with it since.
    """
    with ctx.work() as work:
        request = work.requests.get(request_id)
        if request.merchant.id != actor.organisation.id:
            raise NotFound("no such request", id=request_id)
        work.requests.next_version(request)
        request.withdraw()
        for one in work.requests.orders_before(request):
            one.forget_order()
        if request.order is not None:
            work.requests.delete_messages(request)
        work.commit()
    return request


def sign_own(ctx: AppContext, actor: Person, kind: Kind, fields: Any, product_id: str | None = None) -> RecordOnFile:
    """Sign a paper of the merchant's own trade (decision 0007), such as an invoice or a shop listing.

    Raises:
        NotAllowed: The actor is not a merchant.
        NotFound: There is no such product of this merchant.
        Invalid: A field is wrong, or the kind is not a merchant's to sign.
        Conflict: The number is taken, or the merchant's key cannot sign now.
        OutsideAccreditation: The ledger does not accredit the merchant for it.
        TooMuchWaiting: No more records are taken in at the moment.
    """
    return sign_once(
        ctx,
        lambda work, inputs: draft_own(ctx, work, inputs, actor, kind, fields, product_id),
        signer=actor.organisation,
    )


def draft_own(
    ctx: AppContext,
    work: UnitOfWork,
    inputs: DraftInputs,
    actor: Person,
    kind: Kind,
    fields: Any,
    product_id: str | None = None,
) -> UnsignedRecord:
    """Build the record that ``sign_own`` signs. Raises what ``sign_own`` raises, except for a reused key.

    A listing whose product is not named by its id is of the product in use that has its bar code, if there is one.
    """
    if actor.role is not Role.MERCHANT:
        raise NotAllowed("only merchants sign {kind}s here", kind=kind.slug)
    if KINDS[kind].signing is not Signing.OWN:
        raise Invalid("this kind of record is not a merchant's to sign", [("kind", "is not a paper of the trade")])
    merchant = work.organisations.get(actor.organisation.id)
    document = document_of(kind, fields)
    product = work.products.get(product_id, merchant) if product_id else None
    if product is None and isinstance(document, Listing) and document.gtin:
        product = work.products.with_gtin(merchant, document.gtin)
    return draft(ctx, work, inputs, kind, document, merchant, merchant, product=product)
