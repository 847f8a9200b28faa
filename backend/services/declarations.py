"""A merchant lodges a declaration for a consignment, tells when the goods came, or takes it back."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from backend.domain.consignment import Consignment, Event, NamedPaper, PlannedDrawdown, Step
from backend.domain.customs_offices import normalised
from backend.domain.errors import Conflict, Invalid, NotAllowed, NotFound
from backend.domain.evidence import quantity_steps
from backend.domain.kinds import ISSUERS, Kind
from backend.domain.kinds.declaration import Declaration
from backend.domain.ledger import DeclarationStatus
from backend.domain.parties import Organisation, Person, Role
from backend.domain.records import RecordOnFile, document_of
from backend.services.drawdowns import refund
from backend.services.idempotency import IdempotencyKey
from backend.services.ports import AppContext
from backend.services.records import DraftInputs, UnsignedRecord, change_status, draft, sign_once
from backend.store.unit_of_work import UnitOfWork

EARLIEST_ARRIVAL = timedelta(days=365)


def lodge(ctx: AppContext, actor: Person, fields: Any, key: IdempotencyKey | None = None) -> Consignment:
    """Sign and lodge a declaration; ``fields["records"]`` lists the ids of the merchant's records it relies on.

    The merchant's name and number are the signed-in merchant's own, never what was sent.
    """
    declared = sign_once(
        ctx, lambda work, inputs: draft_declaration(ctx, work, inputs, actor, fields), key, signer=actor.organisation
    )
    with ctx.work(reading=True) as work:
        return work.consignments.get(declared.id)


def draft_declaration(
    ctx: AppContext, work: UnitOfWork, inputs: DraftInputs, actor: Person, fields: Any
) -> UnsignedRecord:
    """What ``lodge`` signs."""
    if actor.role is not Role.MERCHANT:
        raise NotAllowed("only merchants lodge declarations")
    if not isinstance(fields, dict):
        raise Invalid("a declaration is a JSON object", [("", "must be an object")])
    merchant = work.organisations.get(actor.organisation.id)
    document, papers = check(inputs.moment, work, merchant, fields)
    drafted = draft(ctx, work, inputs, Kind.DECLARATION, document, merchant, merchant)
    return replace(drafted, on_filed=lambda on_file: work.add(_consignment(work, on_file, document, papers)))


def check(
    now: datetime, work: UnitOfWork, merchant: Organisation, fields: dict[str, Any]
) -> tuple[Declaration, list[RecordOnFile]]:
    """What lodging these fields would sign, and the records it relies on; keeps nothing. Raises Invalid, Conflict."""
    papers, named = _papers(work, merchant, fields.get("records", []))
    completed = {**fields, "merchant": _party(merchant), "records": named}
    document = document_of(Kind.DECLARATION, completed)
    assert isinstance(document, Declaration)
    office = _served_office(work, document.customs_office)
    if office != document.customs_office:
        document = document_of(Kind.DECLARATION, {**completed, "customsOffice": office})
        assert isinstance(document, Declaration)
    _check_arrival(now, document.arrival_date_time)
    if work.consignments.reference_is_taken(merchant, document.declaration_reference):
        raise Conflict("a declaration was lodged under this reference before", reference=document.declaration_reference)
    return document, papers


def _consignment(
    work: UnitOfWork, on_file: RecordOnFile, document: Declaration, papers: Sequence[RecordOnFile]
) -> Consignment:
    merchant, lodged = on_file.holder, on_file.issued_at
    consignment = Consignment(
        id=on_file.id,
        record=on_file,
        merchant=merchant,
        reference=document.declaration_reference,
        customs_office=document.customs_office,
        lodged_at=lodged,
        papers=[NamedPaper(paper) for paper in papers],
        planned_drawdowns=_planned_drawdowns(work, document, papers),
        events=[Event(str(uuid4()), Step.LODGED, lodged, lodged, merchant)],
    )
    if document.arrival_date_time is not None:
        consignment.arrive(Event(str(uuid4()), Step.ARRIVED, document.arrival_date_time, lodged, merchant))
    return consignment


def _planned_drawdowns(
    work: UnitOfWork, declaration: Declaration, papers: Sequence[RecordOnFile]
) -> list[PlannedDrawdown]:
    """What the declared goods take from the certificates named."""
    covering: dict[str, list[RecordOnFile]] = defaultdict(list)
    for paper in papers:
        if paper.kind is Kind.CERTIFICATE_OF_ORIGIN:
            covering[str(paper.fields["hsCode"])[:6]].append(paper)
    declared: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for item in declaration.items:
        declared[item.hs_code[:6], item.unit_code] += item.quantity
    return [
        PlannedDrawdown(
            work.records.original_of(paper).id, heading, unit, quantity_steps(quantity), len(covering[heading]) > 1
        )
        for (heading, unit), quantity in declared.items()
        for paper in covering[heading]
    ]


def _party(merchant: Organisation) -> dict[str, Any]:
    party = {
        "name": merchant.name,
        "postalAddress": merchant.postal_address,
        "countryCode": merchant.country_code,
        "identifier": merchant.identifier,
    }
    return {name: value for name, value in party.items() if value is not None}


def _papers(work: UnitOfWork, merchant: Organisation, ids: Any) -> tuple[list[RecordOnFile], list[dict[str, str]]]:
    if not isinstance(ids, list) or not all(isinstance(record_id, str) for record_id in ids):
        raise Invalid("records must be a list of record ids", [("records", "must be a list of record ids")])
    papers = []
    for place, record_id in enumerate(dict.fromkeys(ids)):
        try:
            paper = work.records.get(record_id)
        except NotFound:
            paper = None
        if paper is None or not _may_name(merchant, paper):
            raise Invalid("a record named does not exist", [(f"records.{place}", "is no record of yours")])
        papers.append(paper)
    return papers, [{"id": p.id, "kind": p.kind.slug, "sha256": p.digest} for p in papers]


def _may_name(merchant: Organisation, paper: RecordOnFile) -> bool:
    """Its own papers, and those that an issuer keeps for a merchant it could not match to anybody here."""
    is_kept_for_somebody = paper.holder.id == paper.issuer.id and paper.issuer.role in ISSUERS
    return (
        paper.kind is not Kind.DECLARATION
        and paper.erased_at is None
        and (paper.holder.id == merchant.id or is_kept_for_somebody)
    )


def _check_arrival(now: datetime, arrived: datetime | None) -> None:
    if arrived is None:
        return
    if arrived > now + timedelta(minutes=5):
        raise Invalid(
            "the goods cannot have come already",
            [("arrivalDateTime", "lies in the future: leave it out until they come")],
        )
    if arrived < now - EARLIEST_ARRIVAL:
        raise Invalid("arrival lies too far back", [("arrivalDateTime", "lies more than a year back")])


def report_arrival(ctx: AppContext, actor: Person, declaration_id: str, arrived: datetime) -> Consignment:
    """Note when goods that were declared beforehand came under customs' control."""
    _check_arrival(ctx.now(), arrived)
    with ctx.work() as work:
        consignment = visible(ctx, work, actor, declaration_id)
        if actor.role not in (Role.MERCHANT, Role.OFFICER):
            raise NotAllowed("only the merchant or customs report arrival")
        if not consignment.status.is_open:
            raise Conflict("the case is closed: its clock stands", status=consignment.status.name)
        if consignment.arrived_at is not None:
            raise Conflict("the arrival is known already", arrived_at=consignment.arrived_at)
        work.consignments.advance(consignment)
        reporter = work.organisations.get(actor.organisation.id)
        consignment.arrive(Event(str(uuid4()), Step.ARRIVED, arrived, ctx.now(), reporter))
        work.commit()
    return consignment


def withdraw(ctx: AppContext, actor: Person, declaration_id: str, read: int | None = None) -> Consignment:
    """The merchant takes a declaration back, as long as customs have not begun to act on the goods.

    Raises StaleVersion where it was changed after the merchant read this version of it, Conflict where it is too late.
    """
    with ctx.work() as work:
        consignment = visible(ctx, work, actor, declaration_id)
        if actor.role is not Role.MERCHANT:
            raise NotAllowed("only the merchant withdraws")
        work.consignments.advance(consignment, read)
        now = ctx.now()
        consignment.withdraw(Event(str(uuid4()), Step.WITHDRAWN, now, now, consignment.merchant))
        change_status(ctx, work, consignment.record, DeclarationStatus.WITHDRAWN, "withdrawn by the merchant")
        refund(ctx, work, consignment.id)
        work.commit()
    ctx.wake_anchoring()
    return consignment


def visible(ctx: AppContext, work: UnitOfWork, actor: Person, declaration_id: str) -> Consignment:
    """The consignment, where this person may see it; otherwise it does not exist for them.

    Merchants see their own, officers what was declared to their office or to one that lets theirs act.
    """
    consignment = work.consignments.get(declaration_id)
    if consignment.merchant.id == actor.organisation.id:
        return consignment
    if (served := jurisdiction(ctx, work, actor)) is not None and consignment.customs_office in served:
        return consignment
    raise NotFound("no such declaration", id=declaration_id)


def jurisdiction(ctx: AppContext, work: UnitOfWork, actor: Person) -> frozenset[str] | None:
    """The customs offices whose declarations an officer may read and decide; None for who is no officer."""
    if actor.role is not Role.OFFICER:
        return None
    return work.customs_offices.jurisdiction(actor.organisation, ctx.now())


def _served_office(work: UnitOfWork, typed: str) -> str:
    """The office's code as it is kept; raises Invalid where no office here serves it: nobody could decide then."""
    code = normalised(typed)
    if not work.customs_offices.find(code):
        raise Invalid("no such customs office", [("customsOffice", "is served by no customs office here")])
    return code
