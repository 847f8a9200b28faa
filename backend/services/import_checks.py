"""What only the store and the merchant's own name can tell of a document or a table that is to be imported."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from backend.domain import sd_jwt
from backend.domain.errors import Conflict, Invalid
from backend.domain.interop.consignments import Table
from backend.domain.interop.draft import field_at
from backend.domain.interop.reading import Note, Reading, Severity
from backend.domain.kinds import KINDS, Kind, Signing
from backend.domain.parties import Organisation
from backend.domain.records import RequestState, content_of, dates_ahead, document_of, fields_of
from backend.services import declarations
from backend.services.accreditation import why_not_covered
from backend.services.ports import AppContext
from backend.services.records import DATED_AHEAD
from backend.store.unit_of_work import UnitOfWork


def merchant_notes(reading: Reading, merchant: Organisation) -> list[Note]:
    """A statement may speak of somebody else, which customs will see; an invoice of somebody else's is not ours."""
    stated = KINDS[reading.kind]
    field = f"{stated.merchant_field}.name"
    named = field_at(reading.fields, field)
    known = {name.casefold() for name in (merchant.name, merchant.local_name) if name}
    if stated.signing is Signing.LODGED or not isinstance(named, str) or named.strip().casefold() in known:
        return []
    severity, code = (
        (Severity.WRONG, "not-your-invoice") if stated.signing is Signing.OWN else (Severity.WARNING, "other-party")
    )
    return [Note(severity, code, field=field, values={"value": named, "merchant": merchant.name})]


def date_notes(now: datetime, reading: Reading) -> list[Note]:
    """What the clock says of a credential: it has ended, or has not begun."""
    told = []
    for note in reading.notes:
        moment = note.values.get("moment")
        if isinstance(moment, datetime) and (code := _by_clock(note.code, moment, now)):
            told.append(Note(Severity.WARNING, code, note.where, values={"value": note.values["value"]}))
    until = _day(reading.fields.get("validUntil"))
    if until is not None and until < now.date() and not any(note.code == "expired" for note in told):
        told.append(Note(Severity.WARNING, "expired", field="validUntil", values={"value": until.isoformat()}))
    return told


def _by_clock(code: str, moment: datetime, now: datetime) -> str | None:
    if code in ("holds-until", "sd-until"):
        return "expired" if moment < now else None
    return "not-yet" if code in ("holds-from", "sd-from") and moment > now else None


def _day(value: object) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def accreditation_notes(
    ctx: AppContext, merchant: Organisation, issuer: Organisation | None, kind: Kind, fields: Mapping[str, object]
) -> list[Note]:
    """What the merchant could not sign is kept out; of an issuer who could not confirm it now, the merchant is told."""
    if KINDS[kind].signing is not Signing.CERTIFIED:
        fault = why_not_covered(ctx, merchant, kind, fields)
        return [Note(Severity.WRONG, "fault", field=fault[0], values={"what": fault[1]})] if fault else []
    fault = why_not_covered(ctx, issuer, kind, fields) if issuer is not None else None
    return [Note(Severity.WARNING, "issuer-cannot-confirm", field=fault[0], values={"what": fault[1]})] if fault else []


def signer_notes(work: UnitOfWork, reading: Reading) -> list[Note]:
    """Whose the keys are that signed a credential, as far as they are registered here."""
    told = []
    for note in reading.notes:
        key = work.keys.find(sd_jwt.unb64(str(note.values["key"])).hex()) if note.code == "sd-signed" else None
        if key is not None:
            code = "sd-signer-robbed" if key.compromised_since else "sd-signer"
            told.append(
                Note(Severity.WARNING, code, values={"key": note.values["key"], "value": key.organisation.name})
            )
    return told


def conflicts(ctx: AppContext, work: UnitOfWork, merchant: Organisation, reading: Reading) -> list[Note]:
    """What already on file, or the clock, keeps a whole document out."""
    if reading.kind is Kind.DECLARATION:
        return [
            Note(Severity.WRONG, code, field=where, values=values)
            for where, code, values in _declaration_faults(ctx, work, merchant, reading.fields)
        ]
    document = document_of(reading.kind, reading.fields)
    fields, field = fields_of(document), KINDS[reading.kind].number_field
    ahead = [
        Note(Severity.WRONG, "fault", field=name, values={"what": DATED_AHEAD})
        for name, _ in dates_ahead(reading.kind, fields, ctx.now())
    ]
    return ahead + _already_there(work, merchant, reading, fields, field)


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
        Note(Severity.WRONG, "stated-before", values={"issuer": request.issuer.name})
        for request in work.requests.with_content(merchant, content_of(reading.kind, fields))
        if request.state is RequestState.WAITING
    ]


def table_notes(ctx: AppContext, work: UnitOfWork, merchant: Organisation, table: Table) -> list[Note]:
    """What only the store knows of a table's declarations; of those with broken cells enough is told already."""
    broken = {note.row for note in table.notes if note.severity.blocks}
    notes = []
    for declared in table.declarations if None not in broken else ():
        if broken.isdisjoint(declared.rows):
            for path, code, values in _declaration_faults(ctx, work, merchant, declared.fields):
                row, name = table.place(declared, path)
                notes.append(Note(Severity.WRONG, code, name, path, values, row))
    return notes


def _declaration_faults(
    ctx: AppContext, work: UnitOfWork, merchant: Organisation, fields: dict[str, object]
) -> list[tuple[str, str, dict[str, object]]]:
    """(field, code of the sentence, its values) for what keeps a declaration from being lodged."""
    try:
        declarations.check(ctx.now(), work, merchant, fields)
    except Conflict:
        return [("declarationReference", "lodged-before", {"value": fields.get("declarationReference")})]
    except Invalid as error:
        return [(where, "fault", {"what": what}) for where, what in error.problems]
    return []
