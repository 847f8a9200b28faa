"""Lines of records: each replaces the one before it, as a confirmed certificate replaces a statement."""

from backend.domain.records import RecordOnFile
from backend.store.unit_of_work import UnitOfWork


def first_of_line(work: UnitOfWork, on_file: RecordOnFile) -> RecordOnFile:
    """The record that this one, or the ones it replaced, replaced first."""
    while on_file.supersedes_id is not None:
        on_file = work.records.get(on_file.supersedes_id)
    return on_file


def newest_of_line(work: UnitOfWork, on_file: RecordOnFile) -> RecordOnFile:
    """The record that replaced this one last, or the record itself."""
    seen = {on_file.id}
    while on_file.superseded_by_id is not None and on_file.superseded_by_id not in seen:
        on_file = work.records.get(on_file.superseded_by_id)
        seen.add(on_file.id)
    return on_file
