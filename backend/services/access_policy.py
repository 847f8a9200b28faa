"""Who may read which record. Pages and the programming interface use the same rule."""

from collections.abc import Collection

from backend.domain.errors import NotFound
from backend.domain.kinds import ISSUERS, Kind
from backend.domain.parties import Person, Role
from backend.domain.records import RecordOnFile
from backend.services.ports import AppContext
from backend.store.unit_of_work import UnitOfWork


def visible_record(ctx: AppContext, work: UnitOfWork, person: Person, record_id: str) -> RecordOnFile:
    """Return a record if this person may read it.

    Merchants read what they hold or signed, issuers what they signed or were asked to confirm, officers declarations to
    an office that they act for, and what these rely on. The authority accredits keys and reads no records.

    Raises:
        NotFound: There is no such record, or this person may not read it. Both look the same, so that nobody can find
            out which ids exist.
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
                return work.consignments.office_of(on_file.id) in served
            return _is_relied_on(work, on_file, served)
        case _:
            return False


def _was_asked(work: UnitOfWork, issuer_id: str, on_file: RecordOnFile) -> bool:
    request = work.requests.find_about(on_file.id)
    return request is not None and request.issuer.id == issuer_id


def _is_relied_on(work: UnitOfWork, on_file: RecordOnFile, offices: Collection[str]) -> bool:
    """Tell whether a declaration to one of these offices names this record, or an earlier one that it replaced."""
    # A chain of replacements that leads back to itself, in a damaged database, must not loop for ever.
    seen: set[str] = set()
    while on_file.id not in seen:
        if work.consignments.is_named(on_file.id, offices=offices):
            return True
        seen.add(on_file.id)
        if on_file.supersedes_id is not None:
            on_file = work.records.get(on_file.supersedes_id)
    return False
