"""Import of documents and tables made elsewhere: all files are read and checked first, then stored all or none.

A document that an issuer certifies becomes the merchant's own statement, submitted to that issuer. The merchant's own
papers, such as invoices, are signed by the merchant, and a table's consignments are lodged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, assert_never

from backend.domain import sd_jwt
from backend.domain.agreements import AGREEMENTS
from backend.domain.errors import Conflict, Invalid, NotAllowed, NotFound, TraceabilityError
from backend.domain.interop import consignments
from backend.domain.interop.consignments import AS_IT_SEEMS, Table, TableStyle
from backend.domain.interop.draft import field_at
from backend.domain.interop.formats import read_file
from backend.domain.interop.reading import (
    Note,
    Reading,
    Severity,
    UnknownFormat,
)
from backend.domain.interop.table import MOST_ROWS
from backend.domain.kinds import CERTIFIED, ISSUERS, KINDS, Kind, Signing, certified_by
from backend.domain.kinds.certificate_of_origin import last_day
from backend.domain.parties import Organisation, Person, Role
from backend.domain.records import RequestState, content_of, dates_ahead, document_of, fields_of
from backend.domain.sd_jwt import MalformedRecord
from backend.domain.strict_json import HostileJson
from backend.services import declarations, statements
from backend.services.accreditation import why_not_covered
from backend.services.ports import AppContext, joined, rerunnable
from backend.services.records import DATED_AHEAD
from backend.store.unit_of_work import UnitOfWork


class TooMuch(TraceabilityError):
    """The tables hold more rows than one unit of work should store."""

    code = "too-much"


class UnknownIssuer(TraceabilityError):
    """No issuer of this name or id is registered, or several are."""

    code = "unknown-issuer"


@dataclass(frozen=True)
class Given:
    """A file to import: its name, used only in reports, and its bytes."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Stored:
    """A record that was put on file, with its reference or number and its id."""

    kind: Kind
    reference: str
    id: str


@dataclass(frozen=True)
class FilePlan:
    """What is to be stored from one file, with the notes of the report on it."""

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
    """What is to be stored from all files together."""

    actor: Person
    files: tuple[FilePlan, ...]

    @property
    def is_ready(self) -> bool:
        """Whether everything may be stored."""
        return all(file.is_ready for file in self.files)


def importer(ctx: AppContext, email: str) -> Person:
    """Return the merchant's person with this e-mail address.

    Raises:
        NotFound: No active person is registered under this address.
        NotAllowed: The person does not belong to a merchant.
    """
    with ctx.work(reading=True) as work:
        person = work.persons.find_by_email(email)
    if person is None or not person.is_active:
        raise NotFound("nobody is registered under this address", email=email)
    if person.role is not Role.MERCHANT:
        raise NotAllowed("{name} is no merchant: only merchants import", name=person.organisation.in_sentences)
    return person


def plan(
    ctx: AppContext,
    actor: Person,
    files: Sequence[Given],
    issuers: Sequence[str],
    given: Mapping[str, str],
    style: TableStyle = AS_IT_SEEMS,
) -> Plan:
    """Read and check every file, and store nothing.

    ``issuers`` are names or ids of the issuers to submit documents to, ``given`` values for fields that the files lack.

    Raises:
        UnknownIssuer: One of ``issuers`` is not registered.
        TooMuch: The tables hold more than ``MOST_ROWS`` rows together.
    """
    read = [_read(file, given, style) for file in files]
    if sum(file.table.row_count for file in read if file.table is not None) > MOST_ROWS:
        raise TooMuch("more than {most} rows at once: import the tables one after the other", most=MOST_ROWS)
    with ctx.work(reading=True) as work:
        chosen = _issuers(work, issuers)
        merchant = work.organisations.get(actor.organisation.id)
        checked = [_check(ctx, work, merchant, file, chosen) for file in read]
    return Plan(actor, tuple(_told_twice(checked)))


@rerunnable
def store(ctx: AppContext, plan: Plan) -> Plan:
    """Store everything that was planned, in one unit of work.

    Raises:
        Conflict: The plan is not ready, or a number or reference was taken since it was made.
    """
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
    if reading.kind is not Kind.DECLARATION:
        notes += [
            Note(Severity.WRONG, "fault", field=name, values={"what": DATED_AHEAD})
            for name, _ in dates_ahead(reading.kind, reading.fields, ctx.now())
        ]
    return replace(file, notes=(*reading.notes, *notes), issuer=issuer)


def _told_twice(files: Sequence[FilePlan]) -> list[FilePlan]:
    """Add a note to each file that repeats the reference or invoice number of an earlier one."""
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


def merchant_notes(reading: Reading, merchant: Organisation) -> list[Note]:
    """Compare the merchant named in a document with the merchant who imports it.

    In a statement another name gives a warning, which customs will see too. In the merchant's own papers, such as an
    invoice, it is an error.
    """
    stated = KINDS[reading.kind]
    field = f"{stated.merchant_field}.name"
    named = field_at(reading.fields, field)
    known = {name.casefold() for name in (merchant.name, merchant.local_name) if name}
    if stated.signing is Signing.LODGED or not isinstance(named, str) or named.strip().casefold() in known:
        return []
    severity, code = (
        (Severity.WRONG, "not-your-invoice") if stated.signing is Signing.OWN else (Severity.WARNING, "other-party")
    )
    return [Note(severity, code, field=field, values={"value": named, "merchant": merchant.in_sentences})]


def date_notes(now: datetime, reading: Reading) -> list[Note]:
    """What the clock says of a credential: it has ended, or has not begun."""
    told = []
    for note in reading.notes:
        moment = note.values.get("moment")
        if isinstance(moment, datetime) and (code := _by_clock(note.code, moment, now)):
            told.append(Note(Severity.WARNING, code, note.where, note.field, {"value": note.values["value"]}))
    until = _day(reading.fields.get("validUntil")) or _end_of_term(reading)
    if until is not None and until < now.date() and not any(note.code == "expired" for note in told):
        told.append(Note(Severity.WARNING, "expired", field="validUntil", values={"value": until.isoformat()}))
    return told


def _by_clock(code: str, moment: datetime, now: datetime) -> str | None:
    if code in ("holds-until", "sd-until"):
        return "expired" if moment < now else None
    return "not-yet" if code in ("holds-from", "sd-from", "sd-issued") and moment > now else None


def _end_of_term(reading: Reading) -> date | None:
    """Return the last day that a certificate's agreement gives it, where it states none."""
    agreement = AGREEMENTS.get(str(reading.fields.get("freeTradeAgreementName")))
    issued = _day(reading.fields.get("issueDate"))
    if agreement is None or issued is None or agreement.term_months is None:
        return None
    return last_day(issued, agreement.term_months)


def _day(value: object) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def accreditation_notes(
    ctx: AppContext, merchant: Organisation, issuer: Organisation | None, kind: Kind, fields: Mapping[str, object]
) -> list[Note]:
    """Report where the merchant could not sign the document, and warn where its issuer could not confirm it now."""
    if KINDS[kind].signing is not Signing.CERTIFIED:
        fault = why_not_covered(ctx, merchant, kind, fields)
        return [Note(Severity.WRONG, "fault", field=fault[0], values={"what": fault[1]})] if fault else []
    fault = why_not_covered(ctx, issuer, kind, fields) if issuer is not None else None
    return [Note(Severity.WARNING, "issuer-cannot-confirm", field=fault[0], values={"what": fault[1]})] if fault else []


def signer_notes(work: UnitOfWork, reading: Reading) -> list[Note]:
    """Name the owners of the keys that signed a credential, as far as the keys are registered here."""
    told = []
    for note in reading.notes:
        key = work.keys.find(sd_jwt.unb64(str(note.values["key"])).hex()) if note.code == "sd-signed" else None
        if key is not None:
            code = "sd-signer-robbed" if key.compromised_since else "sd-signer"
            told.append(
                Note(Severity.WARNING, code, values={"key": note.values["key"], "value": key.organisation.in_sentences})
            )
    return told


def conflicts(ctx: AppContext, work: UnitOfWork, merchant: Organisation, reading: Reading) -> list[Note]:
    """List what keeps a complete document out because of records on file, or a declaration because of its dates."""
    if reading.kind is Kind.DECLARATION:
        return [
            Note(Severity.WRONG, code, field=where, values=values)
            for where, code, values in _declaration_faults(ctx, work, merchant, reading.fields)
        ]
    document = document_of(reading.kind, reading.fields)
    fields, field = fields_of(document), KINDS[reading.kind].number_field
    return _already_there(work, merchant, reading, fields, field)


def _already_there(
    work: UnitOfWork, merchant: Organisation, reading: Reading, fields: dict[str, Any], field: str
) -> list[Note]:
    if KINDS[reading.kind].signing is Signing.OWN:
        taken = work.records.number_is_taken(merchant, reading.kind, fields[field])
        return [Note(Severity.WRONG, "number-taken", field=field, values={"value": fields[field]})] if taken else []
    unknown = [
        Note(Severity.WRONG, "no-such-file", field=f"attachments.{place}.sha256")
        for place, attachment in enumerate(fields.get("attachments", []))
        if (kept := work.files.find(attachment["sha256"], merchant)) is None or kept.size != attachment["size"]
    ]
    return unknown + [
        Note(Severity.WRONG, "stated-before", values={"issuer": request.issuer.in_sentences})
        for request in work.requests.with_content(merchant, content_of(reading.kind, fields))
        if request.state is RequestState.WAITING
    ]


def table_notes(ctx: AppContext, work: UnitOfWork, merchant: Organisation, table: Table) -> list[Note]:
    """List what keeps a table's declarations out. Declarations with cells that could not be read are not checked."""
    broken = {note.row for note in table.notes if note.severity.blocks}
    notes = []
    # A blocking note without a row is about the whole table: what its rows say is not known then.
    for declared in table.declarations if None not in broken else ():
        if broken.isdisjoint(declared.rows):
            for path, code, values in _declaration_faults(ctx, work, merchant, declared.fields):
                row, name = table.place(declared, path)
                notes.append(Note(Severity.WRONG, code, name, path, values, row))
    return notes


def _declaration_faults(
    ctx: AppContext, work: UnitOfWork, merchant: Organisation, fields: dict[str, object]
) -> list[tuple[str, str, dict[str, object]]]:
    """List what keeps a declaration from being lodged, as (field, code of the sentence, its values)."""
    try:
        declarations.check(ctx.now(), work, merchant, fields)
    except Conflict:
        return [("declarationReference", "lodged-before", {"value": fields.get("declarationReference")})]
    except Invalid as error:
        return [(where, "fault", {"what": what}) for where, what in error.problems]
    return []
