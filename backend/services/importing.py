"""A merchant brings in documents and tables that others made: read, checked as a whole, and stored all or nothing.

Documents become the merchant's own statement, submitted to the issuer who can confirm it; an invoice is issued by the
merchant; a table's consignments are lodged. Whatever is not complete keeps everything out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from backend.domain.errors import Conflict, NotAllowed, NotFound, TraceabilityError
from backend.domain.interop import consignments
from backend.domain.interop.consignments import AS_IT_SEEMS, Table, TableStyle
from backend.domain.interop.formats import read_file
from backend.domain.interop.reading import (
    Note,
    Reading,
    Severity,
    UnknownFormat,
)
from backend.domain.interop.table import MOST_ROWS
from backend.domain.kinds import CERTIFIED, ISSUERS, KINDS, Kind, Signing, certified_by
from backend.domain.parties import Organisation, Person, Role
from backend.domain.sd_jwt import MalformedRecord
from backend.domain.strict_json import HostileJson
from backend.services import declarations, statements
from backend.services.import_checks import (
    accreditation_notes,
    conflicts,
    date_notes,
    merchant_notes,
    signer_notes,
    table_notes,
)
from backend.services.joined_work import joined
from backend.services.ports import AppContext
from backend.store.unit_of_work import UnitOfWork


class TooMuch(TraceabilityError):
    """More declarations at once than one unit of work should hold."""

    code = "too-much"


class UnknownIssuer(TraceabilityError):
    """No chamber or laboratory of this name is registered."""

    code = "unknown-issuer"


@dataclass(frozen=True)
class Given:
    """A file: what it is called, only to speak of it, and its bytes."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Stored:
    """Something that was put on file: a declaration under its reference, or a record, with its id."""

    kind: Kind
    reference: str
    id: str


@dataclass(frozen=True)
class FilePlan:
    """What is to become of one file, with the report on it."""

    name: str
    format: str
    notes: tuple[Note, ...]
    reading: Reading | None = None
    table: Table | None = None
    issuer: Organisation | None = None
    stored: tuple[Stored, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether nothing keeps the file out."""
        return not any(note.severity.blocks for note in self.notes)


@dataclass(frozen=True)
class Plan:
    """What is to become of all files: they go in together or not at all."""

    actor: Person
    files: tuple[FilePlan, ...]

    @property
    def is_ready(self) -> bool:
        """Whether everything may be stored."""
        return all(file.is_ready for file in self.files)


def importer(ctx: AppContext, email: str) -> Person:
    """The merchant's person with this address; raises NotFound, NotAllowed."""
    with ctx.work(reading=True) as work:
        person = work.persons.find_by_email(email)
    if person is None or not person.is_active:
        raise NotFound("nobody is registered under this address", email=email)
    if person.role is not Role.MERCHANT:
        raise NotAllowed("{name} is no merchant: only merchants import", name=person.organisation.name)
    return person


def plan(
    ctx: AppContext,
    actor: Person,
    files: Sequence[Given],
    issuers: Sequence[str],
    given: Mapping[str, str],
    style: TableStyle = AS_IT_SEEMS,
) -> Plan:
    """Read and check every file; stores nothing. Raises UnknownIssuer, TooMuch."""
    read = [_read(file, given, style) for file in files]
    if sum(file.table.row_count for file in read if file.table is not None) > MOST_ROWS:
        raise TooMuch("more than {most} rows at once: import the tables one after the other", most=MOST_ROWS)
    with ctx.work(reading=True) as work:
        chosen = _issuers(work, issuers)
        merchant = work.organisations.get(actor.organisation.id)
        checked = [_check(ctx, work, merchant, file, chosen) for file in read]
    return Plan(actor, tuple(_told_twice(checked)))


def store(ctx: AppContext, plan: Plan) -> Plan:
    """Store everything that was planned, in one unit of work; raises Conflict where somebody was quicker."""
    if not plan.is_ready:
        raise Conflict("the plan is not complete")
    with joined(ctx) as inside:
        files = tuple(replace(file, stored=_store(inside, plan.actor, file)) for file in plan.files)
    return replace(plan, files=files)


def _read(file: Given, given: Mapping[str, str], style: TableStyle) -> FilePlan:
    try:
        read = read_file(file.content, given, style)
    except UnknownFormat as error:
        return FilePlan(file.name, "unknown", (Note(Severity.WRONG, error.reason, values=error.values),))
    except MalformedRecord as error:
        return FilePlan(file.name, "unknown", (Note(Severity.WRONG, error.reason, error.where, values=error.told),))
    except HostileJson as error:
        return FilePlan(file.name, "unknown", (Note(Severity.WRONG, "malformed-json", values={"why": error.message}),))
    if isinstance(read, Table):
        return FilePlan(file.name, consignments.FORMAT, read.notes, table=read)
    return FilePlan(file.name, read.format, read.notes, reading=read)


def _issuers(work: UnitOfWork, names: Sequence[str]) -> dict[Kind, Organisation]:
    known = [o for role in ISSUERS for o in work.organisations.all(role)]
    chosen: dict[Kind, Organisation] = {}
    for name in names:
        wanted = name.strip().casefold()
        found = [o for o in known if wanted in (o.id, o.name.casefold(), (o.local_name or "").casefold())]
        if len(found) != 1:
            raise UnknownIssuer(
                "{shown} is none of: {known}", name=name, shown=repr(name), known="; ".join(o.name for o in known)
            )
        chosen |= dict.fromkeys(certified_by(found[0].role), found[0])
    return chosen


def _check(
    ctx: AppContext, work: UnitOfWork, merchant: Organisation, file: FilePlan, issuers: Mapping[Kind, Organisation]
) -> FilePlan:
    if file.table is not None:
        notes = accreditation_notes(ctx, merchant, None, Kind.DECLARATION, {}) if file.table.declarations else []
        return replace(file, notes=(*file.notes, *notes, *table_notes(ctx, work, merchant, file.table)))
    if file.reading is None:
        return file
    reading = file.reading
    notes = merchant_notes(reading, merchant) + signer_notes(work, reading) + date_notes(ctx.now(), reading)
    issuer = issuers.get(reading.kind)
    if reading.kind in CERTIFIED and issuer is None:
        roles = sorted(KINDS[reading.kind].signed_by)
        known = "; ".join(f'"{o.name}"' for role in roles for o in work.organisations.all(role))
        notes.append(Note(Severity.MISSING, "lacking-issuer", field="--issuer", values={"known": known}))
    notes += accreditation_notes(ctx, merchant, issuer, reading.kind, reading.fields)
    if reading.is_complete:
        notes += conflicts(ctx, work, merchant, reading)
    return replace(file, notes=(*reading.notes, *notes), issuer=issuer)


def _told_twice(files: Sequence[FilePlan]) -> list[FilePlan]:
    """The files, each with a note where an earlier one declares the same reference or gives the same invoice number."""
    first: dict[tuple[Kind, str], int] = {}
    told = []
    for place, file in enumerate(files):
        notes = list(file.notes)
        for kind, reference, row in _references(file):
            other = first.setdefault((kind, reference), place)
            if other != place and reference:
                values = {"value": reference, "other": files[other].name}
                notes.append(Note(Severity.WRONG, "twice-given", values=values, row=row))
        told.append(replace(file, notes=tuple(notes)))
    return told


def _references(file: FilePlan) -> list[tuple[Kind, str, int | None]]:
    if file.table is not None:
        return [(Kind.DECLARATION, d.reference, d.rows[0]) for d in file.table.declarations]
    if file.reading is None or file.reading.kind in CERTIFIED:
        return []  # an issuer gives the number of what it certifies
    number = file.reading.fields.get(KINDS[file.reading.kind].number_field, "")
    return [(file.reading.kind, str(number), None)]


def _store(ctx: AppContext, actor: Person, file: FilePlan) -> tuple[Stored, ...]:
    if file.table is not None:
        lodged = [declarations.lodge(ctx, actor, declared.fields) for declared in file.table.declarations]
        return tuple(Stored(Kind.DECLARATION, one.reference, one.id) for one in lodged)
    assert file.reading is not None
    kind, fields = file.reading.kind, file.reading.fields
    number = str(fields.get(KINDS[kind].number_field) or "")
    match KINDS[kind].signing:
        case Signing.LODGED:
            one = declarations.lodge(ctx, actor, fields)
            return (Stored(kind, one.reference, one.id),)
        case Signing.OWN:
            return (Stored(kind, number, statements.sign_own(ctx, actor, kind, fields).id),)
        case Signing.CERTIFIED:
            assert file.issuer is not None
            return (Stored(kind, number, statements.issue_statement(ctx, actor, kind, fields, file.issuer.id).id),)
        case other:
            assert_never(other)
