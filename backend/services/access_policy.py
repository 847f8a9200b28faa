"""Who may read which record: one rule, for the pages and for the programming interface."""

from collections.abc import Collection

from backend.domain.errors import NotFound
from backend.domain.kinds import ISSUERS, Kind
from backend.domain.parties import Person, Role
from backend.domain.records import RecordOnFile
from backend.services.ports import AppContext
from backend.store.unit_of_work import UnitOfWork


def visible_record(ctx: AppContext, work: UnitOfWork, person: Person, record_id: str) -> RecordOnFile:
    """The record, where this person may read it; otherwise it does not exist for them (NotFound).

    Merchants read what they hold or signed, issuers what they signed or were asked to confirm, officers declarations
    to an office that they act for, and what these rely on. The authority accredits keys and reads no papers.
    """
    on_file = work.records.get(record_id)
    if not _may_read(ctx, work, person, on_file):
        raise NotFound("no such record", id=record_id)
    return on_file


def _may_read(ctx: AppContext, work: UnitOfWork, person: Person, on_file: RecordOnFile) -> bool:
    own = person.organisation.id
    match person.role:
        case Role.MERCHANT:
            return own in (on_file.holder.id, on_file.issuer.id)
        case role if role in ISSUERS:
            return on_file.issuer.id == own or _was_asked(work, own, on_file)
        case Role.OFFICER:
            served = work.customs_offices.jurisdiction(person.organisation, ctx.now())
            if on_file.kind is Kind.DECLARATION:
                return work.consignments.get(on_file.id).customs_office in served
            return _is_relied_on(work, on_file, served)
        case _:
            return False


def _was_asked(work: UnitOfWork, issuer_id: str, on_file: RecordOnFile) -> bool:
    request = work.requests.find_about(on_file.id)
    return request is not None and request.issuer.id == issuer_id


def _is_relied_on(work: UnitOfWork, on_file: RecordOnFile, offices: Collection[str]) -> bool:
    """Whether a declaration to one of these offices names it, or names what it replaced."""
    seen: set[str] = set()
    while on_file.id not in seen:
        if work.consignments.is_named(on_file.id, offices=offices):
            return True
        seen.add(on_file.id)
        if on_file.supersedes_id is not None:
            on_file = work.records.get(on_file.supersedes_id)
    return False
