"""A merchant lodges a declaration for a consignment, reports the arrival of the goods, or withdraws the declaration."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from backend.domain.consignment import Consignment, Event, NamedPaper, PlannedDrawdown, Step
from backend.domain.errors import Conflict, Invalid, NotAllowed, NotFound
from backend.domain.evidence import quantity_steps
from backend.domain.kinds import ISSUERS, Kind
from backend.domain.kinds.declaration import Declaration
from backend.domain.ledger import DeclarationStatus
from backend.domain.parties import Organisation, Person, Role, normalised
from backend.domain.records import RecordOnFile, document_of
from backend.domain.retention import kept_until
from backend.services.drawdowns import refund
from backend.services.ports import AppContext, rerunnable
from backend.services.records import DraftInputs, UnsignedRecord, change_status, draft, sign_once
from backend.store.unit_of_work import UnitOfWork

EARLIEST_ARRIVAL = timedelta(days=365)


def lodge(ctx: AppContext, actor: Person, fields: Any) -> Consignment:
    """Sign and lodge a declaration; ``fields["records"]`` lists the ids of the merchant's records that it relies on.

    The merchant's name and number are those of the signed-in merchant, whatever was sent.

    Raises:
        NotAllowed: The actor is not a merchant.
        Invalid: A field is wrong, a record named is not the merchant's, or the arrival lies in the future or too far
            back.
        Conflict: The reference was used before, or the merchant's key cannot sign now.
        OutsideAccreditation: The ledger does not accredit the merchant for declarations.
        TooMuchWaiting: No more records are taken in at the moment.
    """
    lodged: list[Consignment] = []  # one for each try, so that the one stored need not be read again
    sign_once(
        ctx,
        lambda work, inputs: draft_declaration(ctx, work, inputs, actor, fields, lodged.append),
        signer=actor.organisation,
    )
    return lodged[-1]


def draft_declaration(
    ctx: AppContext,
    work: UnitOfWork,
    inputs: DraftInputs,
    actor: Person,
    fields: Any,
    keep: Callable[[Consignment], None] = lambda lodged: None,
) -> UnsignedRecord:
    """Build the declaration that ``lodge`` signs; ``keep`` is given what is stored of it once it is on file.

    Raises what ``lodge`` raises, except for a reused key.
    """
    if actor.role is not Role.MERCHANT:
        raise NotAllowed("only merchants lodge declarations")
    if not isinstance(fields, dict):
        raise Invalid("a declaration is a JSON object", [("", "must be an object")])
    merchant = work.organisations.get(actor.organisation.id)
    document, papers = check(inputs.moment, work, merchant, fields)
    drafted = draft(ctx, work, inputs, Kind.DECLARATION, document, merchant, merchant)

    def store(on_file: RecordOnFile) -> None:
        consignment = _consignment(work, on_file, document, papers)
        work.add(consignment)
        keep(consignment)

    return replace(drafted, on_filed=store)


def check(
    now: datetime, work: UnitOfWork, merchant: Organisation, fields: dict[str, Any]
) -> tuple[Declaration, list[RecordOnFile]]:
    """Check the fields of a declaration and store nothing.

    Returns the document that would be signed and the records that it relies on.

    Raises:
        Invalid: A field is wrong, a record named is not the merchant's, or the arrival lies in the future or too far
            back.
        Conflict: The merchant used the reference before.
    """
    papers, named = _papers(work, merchant, fields.get("records", []))
    completed = {**fields, "merchant": _party(merchant), "records": named}
    document = document_of(Kind.DECLARATION, completed)
    assert isinstance(document, Declaration)
    # What is signed names the office by the code that it is kept under: another spelling would be in nobody's queue.
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
    until = kept_until(document.customs_office, document.previous_procedure_type_code, lodged)
    consignment = Consignment(
        id=on_file.id,
        record=on_file,
        merchant=merchant,
        reference=document.declaration_reference,
        customs_office=document.customs_office,
        lodged_at=lodged,
        papers=[NamedPaper(paper, until) for paper in papers],
        planned_drawdowns=_planned_drawdowns(work, document, papers),
        events=[Event(str(uuid4()), Step.LODGED, lodged, lodged, merchant)],
    )
    if document.arrival_date_time is not None:
        consignment.arrive(Event(str(uuid4()), Step.ARRIVED, document.arrival_date_time, lodged, merchant))
    return consignment


def _planned_drawdowns(
    work: UnitOfWork, declaration: Declaration, papers: Sequence[RecordOnFile]
) -> list[PlannedDrawdown]:
    """Work out which quantities the declared goods take from the certificates of origin named.

    Goods and certificates are matched by the six digits of the HS code, and the unit.
    """
    covering: dict[str, list[RecordOnFile]] = defaultdict(list)
    for paper in papers:
        if paper.kind is Kind.CERTIFICATE_OF_ORIGIN:
            # The first six digits of an HS code are the same worldwide, further ones are each country's own.
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
        # One answer for a record that does not exist and for somebody else's, so that ids cannot be probed.
        # An erasure at the same moment either is seen here, or sees this declaration: one of the two runs again.
        if paper is None or paper.erased_at is not None or not _may_name(merchant, paper):
            raise Invalid("a record named does not exist", [(f"records.{place}", "is no record of yours")])
        papers.append(paper)
    return papers, [{"id": p.id, "kind": p.kind.slug, "sha256": p.digest} for p in papers]


def _may_name(merchant: Organisation, paper: RecordOnFile) -> bool:
    """Allow the merchant's own papers, and those that an issuer holds because it matched no merchant here."""
    is_kept_for_somebody = paper.holder.id == paper.issuer.id and paper.issuer.role in ISSUERS
    return (
        paper.kind is not Kind.DECLARATION
        and paper.erased_at is None
        and (paper.holder.id == merchant.id or is_kept_for_somebody)
    )


def _check_arrival(now: datetime, arrived: datetime | None) -> None:
    if arrived is None:
        return
    # Clocks of merchants may differ from ours by five minutes.
    if arrived > now + timedelta(minutes=5):
        raise Invalid(
            "the goods cannot have come already",
            [("arrivalDateTime", "lies in the future: leave it out until they come")],
        )
    if arrived < now - EARLIEST_ARRIVAL:
        raise Invalid("arrival lies too far back", [("arrivalDateTime", "lies more than a year back")])


@rerunnable
def report_arrival(ctx: AppContext, actor: Person, declaration_id: str, arrived: datetime) -> Consignment:
    """Note when goods that were declared beforehand came under customs' control.

    Raises:
        NotFound: There is no such declaration, or the actor may not see it.
        NotAllowed: The actor is neither a merchant nor a customs officer.
        Invalid: The arrival lies in the future, or more than a year back.
        Conflict: The declaration was decided already, or its arrival is known.
    """
    _check_arrival(ctx.now(), arrived)
    with ctx.work() as work:
        consignment = work.consignments.visible_to(actor, declaration_id, ctx.now())
        if actor.role not in (Role.MERCHANT, Role.OFFICER):
            raise NotAllowed("only the merchant or customs report arrival")
        if not consignment.status.is_open:
            raise Conflict("the case is closed: its clock stands", status=consignment.status.name)
        if consignment.arrived_at is not None:
            raise Conflict("the arrival is known already", arrived_at=consignment.arrived_at)
        work.consignments.next_version(consignment)
        reporter = work.organisations.get(actor.organisation.id)
        consignment.arrive(Event(str(uuid4()), Step.ARRIVED, arrived, ctx.now(), reporter))
        work.commit()
    return consignment


@rerunnable
def withdraw(ctx: AppContext, actor: Person, declaration_id: str, read: int | None = None) -> Consignment:
    """Withdraw a declaration and refund what it drew, as long as customs have not begun to act on the goods.

    Raises:
        NotFound: There is no such declaration, or the actor may not see it.
        NotAllowed: The actor is not a merchant.
        StaleVersion: It was changed since the version that the merchant read.
        Conflict: The declaration's status does not allow a withdrawal.
    """
    with ctx.work() as work:
        consignment = work.consignments.visible_to(actor, declaration_id, ctx.now())
        if actor.role is not Role.MERCHANT:
            raise NotAllowed("only the merchant withdraws")
        work.consignments.next_version(consignment, read)
        now = ctx.now()
        consignment.withdraw(Event(str(uuid4()), Step.WITHDRAWN, now, now, consignment.merchant))
        change_status(ctx, work, consignment.record, DeclarationStatus.WITHDRAWN, "withdrawn by the merchant")
        refund(ctx, work, consignment.id)
        work.commit()
    ctx.wake_anchoring()
    return consignment


def jurisdiction(ctx: AppContext, work: UnitOfWork, actor: Person) -> frozenset[str] | None:
    """Return the codes of the offices whose declarations an officer may read and decide. None for other roles."""
    if actor.role is not Role.OFFICER:
        return None
    return work.customs_offices.jurisdiction(actor.organisation, ctx.now())


def _served_office(work: UnitOfWork, typed: str) -> str:
    """Return the office's code in its stored form.

    Raises:
        Invalid: No office here serves it, so that nobody could decide on the declaration.
    """
    code = normalised(typed)
    if not work.customs_offices.find(code):
        raise Invalid("no such customs office", [("customsOffice", "is served by no customs office here")])
    return code
