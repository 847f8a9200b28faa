"""Who may read which record: one rule, for the pages and for the programming interface."""

from backend.domain.errors import NotFound
from backend.domain.kinds import ISSUERS, Kind
from backend.domain.parties import Person, Role
from backend.domain.records import RecordOnFile
from backend.services.ports import Store


def visible_record(store: Store, person: Person, record_id: str) -> RecordOnFile:
    """The record, where this person may read it; otherwise it does not exist for them (NotFound).

    Merchants read what they hold or signed, issuers what they signed or were asked to confirm, officers declarations
    and what declarations rely on. The authority accredits keys and reads no papers.
    """
    on_file = store.get_record(record_id)
    if not _may_read(store, person, on_file):
        raise NotFound("no such record", id=record_id)
    return on_file


def _may_read(store: Store, person: Person, on_file: RecordOnFile) -> bool:
    own = person.organisation.id
    match person.role:
        case Role.MERCHANT:
            return own in (on_file.holder.id, on_file.issuer.id)
        case role if role in ISSUERS:
            return on_file.issuer.id == own or _was_asked(store, own, on_file)
        case Role.OFFICER:
            return on_file.kind is Kind.DECLARATION or _is_relied_on(store, on_file)
        case _:
            return False


def _was_asked(store: Store, issuer_id: str, on_file: RecordOnFile) -> bool:
    request = store.find_request_about(on_file.id)
    return request is not None and request.issuer.id == issuer_id


def _is_relied_on(store: Store, on_file: RecordOnFile) -> bool:
    """Whether a declaration names it, or names what it replaced."""
    seen: set[str] = set()
    while on_file.id not in seen:
        if store.consignments_naming(on_file.id):
            return True
        seen.add(on_file.id)
        if on_file.supersedes_id is not None:
            on_file = store.get_record(on_file.supersedes_id)
    return False
