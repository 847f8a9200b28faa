"""Issuers sign records: their own, or what a merchant submitted to them; and take them back."""

from dataclasses import replace
from typing import Any

from pydantic.alias_generators import to_snake

from backend.domain.consignment import Step
from backend.domain.errors import Conflict, Invalid, NotAllowed, NotFound
from backend.domain.fields import Document, Party
from backend.domain.kinds import KINDS, Kind, certified_by
from backend.domain.ledger import DocumentStatus
from backend.domain.parties import Organisation, Person, Role
from backend.domain.records import Assurance, ConfirmationRequest, RecordOnFile, RequestState, document_of
from backend.services.idempotency import IdempotencyKey
from backend.services.ports import AppContext
from backend.services.records import DraftInputs, UnsignedRecord, change_status, draft, sign_once
from backend.store.unit_of_work import UnitOfWork


def issue(ctx: AppContext, actor: Person, kind: Kind, fields: Any, key: IdempotencyKey | None = None) -> RecordOnFile:
    """An issuer signs a document of its own kind for a merchant.

    The record is held by the merchant whom the document names (exporter or customer), where that merchant is
    registered here under the same company number or name; otherwise by the issuer itself.
    """
    return sign_once(
        ctx, lambda work, inputs: draft_issue(ctx, work, inputs, actor, kind, fields), key, signer=actor.organisation
    )


def draft_issue(
    ctx: AppContext, work: UnitOfWork, inputs: DraftInputs, actor: Person, kind: Kind, fields: Any
) -> UnsignedRecord:
    """What ``issue`` signs."""
    _only_its_issuer(actor, kind)
    document = document_of(kind, fields)
    issuer = work.organisations.get(actor.organisation.id)
    return draft(ctx, work, inputs, kind, document, issuer, _holder(work, kind, document) or issuer)


def _only_its_issuer(actor: Person, kind: Kind) -> None:
    if kind not in certified_by(actor.role):
        raise NotAllowed("{name} does not issue {kind}s", kind=kind.slug, name=actor.organisation.name)


def _holder(work: UnitOfWork, kind: Kind, document: Document) -> Organisation | None:
    named = getattr(document, to_snake(KINDS[kind].merchant_field or ""), None)
    if not isinstance(named, Party):
        return None
    return work.organisations.find_named(Role.MERCHANT, named.identifier, named.name)


def confirm(
    ctx: AppContext, actor: Person, request_id: str, number: str, changes: dict[str, Any] | None = None
) -> RecordOnFile:
    """Sign what the merchant stated, under the issuer's own number; the issuer's record replaces the statement.

    ``changes`` are fields that the issuer sets itself, such as who authorised the report.
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
    """What ``confirm`` signs."""
    request = _waiting(work, actor, request_id)
    statement = request.statement
    fields = {**statement.fields, **(changes or {}), KINDS[statement.kind].number_field: number}
    document = document_of(statement.kind, fields)
    drafted = draft(
        ctx,
        work,
        inputs,
        statement.kind,
        document,
        request.issuer,
        request.merchant,
        product=statement.product,
        supersedes=statement,
    )

    def answer_request(on_file: RecordOnFile) -> None:
        work.requests.advance(request)
        request.state, request.answered_at, request.confirmed = RequestState.CONFIRMED, ctx.now(), on_file

    return replace(drafted, on_filed=answer_request)


def send_back(ctx: AppContext, actor: Person, request_id: str, reason: str) -> ConfirmationRequest:
    """Return a request to the merchant, who reads the reason and may correct."""
    if not reason.strip():
        raise Invalid("a reason is needed", [("reason", "is missing: say what the merchant should correct")])
    with ctx.work() as work:
        request = _waiting(work, actor, request_id)
        work.requests.advance(request)
        request.state, request.answered_at, request.reason = RequestState.SENT_BACK, ctx.now(), reason.strip()[:2000]
        work.commit()
    return request


def _waiting(work: UnitOfWork, actor: Person, request_id: str) -> ConfirmationRequest:
    request = work.requests.get(request_id)
    if request.issuer.id != actor.organisation.id:
        raise NotFound("no such request", id=request_id)
    if request.state is not RequestState.WAITING:
        raise Conflict("this request was answered already", state=request.state.value)
    return request


def revoke(ctx: AppContext, actor: Person, record_id: str, reason: str, read: int | None = None) -> RecordOnFile:
    """The issuer takes a record back for good; the ledger refuses it from then on.

    Raises StaleVersion where it was changed after the issuer read this version of it.
    """
    if not reason.strip():
        raise Invalid("a reason is needed", [("reason", "is missing")])
    with ctx.work() as work:
        on_file = work.records.get(record_id)
        if on_file.issuer.id != actor.organisation.id or on_file.kind is Kind.DECLARATION:
            raise NotFound("no such record", id=record_id)
        if on_file.assurance is Assurance.STATED and actor.role is not Role.MERCHANT:
            raise NotFound("no such record", id=record_id)
        work.records.advance(on_file, read)
        if on_file.status not in (DocumentStatus.ACTIVE, DocumentStatus.SUSPENDED):
            raise Conflict("this record is not in force", status=DocumentStatus(on_file.status).name)
        change_status(ctx, work, on_file, DocumentStatus.REVOKED, reason.strip()[:2000])
        work.consignments.note_about_record(on_file, Step.PAPER_REVOKED, ctx.now(), on_file.issuer)
        work.commit()
    ctx.wake_anchoring()
    return on_file
