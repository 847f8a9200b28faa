"""Certificates are opened on the ledger before they are first drawn, by their entries and inclusion proofs."""

import structlog

from backend.domain import sd_jwt
from backend.domain.drawdowns import Opening
from backend.domain.errors import Invalid, LedgerRefused
from backend.domain.ledger import LedgerRecord, OpenCertificate
from backend.domain.records import ProofState, RecordOnFile
from backend.domain.rfc3339 import parse_timestamp
from backend.domain.verdict import issued_at
from backend.services.anchoring.steps import Each
from backend.services.anchoring.transactions import keep, send, signed
from backend.services.anchoring.undoing import undo_release
from backend.services.ports import AppContext
from backend.store.unit_of_work import UnitOfWork

log = structlog.get_logger()


def open_certificates(ctx: AppContext) -> None:
    """Sign, keep and send every opening whose certificate is on the ledger."""
    with ctx.work(reading=True) as work:
        waiting = list(work.drawdowns.activations_pending())
    each = Each()
    for opening in waiting:
        each.attempt(_open, ctx, opening)
    each.finish()


def ledger_record(record: RecordOnFile) -> LedgerRecord | None:
    """The record's place on the ledger, or None while it has none."""
    batch = record.batch
    if batch is None or record.place is None or batch.state not in (ProofState.ANCHORED, ProofState.FINAL):
        return None
    return LedgerRecord(batch.root, record.place)


def _open(ctx: AppContext, opening: Opening) -> None:
    with ctx.work(reading=True) as work:
        certificate = work.records.get(opening.certificate_id)
    place = ledger_record(certificate)
    if place is None:
        return
    if ctx.ledger.opened_certificate(place.root, place.place) is not None:
        _note_known(ctx, opening)
        return
    try:
        change = _change(certificate, place)
        ctx.ledger.simulate(change)
    except (LedgerRefused, Invalid) as refusal:
        if not _is_accreditation_pending(ctx, certificate):
            _note_refused(ctx, opening, str(refusal)[:200])
        return
    transaction = signed(ctx, change, "anchorer")
    ctx.reached("opening-signed")
    with ctx.work() as work:
        kept = work.drawdowns.find_activation(opening.certificate_id)
        if kept is None or kept.transaction is not None:
            return  # another worker was quicker
        transaction = keep(work, transaction)
        kept.transaction = transaction
        work.commit()
    ctx.reached("opening-kept")
    send(ctx, transaction)
    ctx.reached("opening-sent")


def _is_accreditation_pending(ctx: AppContext, certificate: RecordOnFile) -> bool:
    """Whether an act on the issuer's key is not mined yet, as on a new chain: it may be what is missing."""
    key = sd_jwt.unb64(str(certificate.sd_jwt.header.get("kid", ""))).hex()
    with ctx.work(reading=True) as work:
        changes = [change for change in work.accreditation_changes.of_key(key) if change.ended is None]
    return any(change.transaction is None or change.transaction.is_open for change in changes)


def _change(certificate: RecordOnFile, place: LedgerRecord) -> OpenCertificate:
    record, proof = certificate.sd_jwt, certificate.proof
    issued = issued_at(record)
    assert proof is not None, "only anchored certificates are opened"
    if issued is None:
        raise Invalid("the certificate does not say when it was issued")
    return OpenCertificate(
        certificate=place,
        entry=certificate.entry.encode(),
        path=proof.path,
        issuer_key=sd_jwt.unb64(str(record.header.get("kid", ""))),
        chapter=int(str(record.subject["hsCode"])[:2]),
        issued_at=issued,
        valid_until=parse_timestamp(record.payload.get("validUntil")),
    )


def _note_known(ctx: AppContext, opening: Opening) -> None:
    with ctx.work() as work:
        kept = work.drawdowns.find_activation(opening.certificate_id)
        if kept is not None and kept.transaction is None:
            kept.is_known = True
            work.commit()


def _note_refused(ctx: AppContext, opening: Opening, why: str) -> None:
    """The ledger will not open it: the releases that want to draw it are undone. A pause only makes them wait."""
    if why.startswith("TraceLedger"):
        log.warning("a certificate waits to be opened", certificate=opening.certificate_id, why=why)
        return
    log.error("the ledger does not open a certificate", certificate=opening.certificate_id, why=why)
    ctx.reached("before-undo-commit")
    with ctx.work() as work:
        kept = work.drawdowns.find_activation(opening.certificate_id)
        if kept is None or kept.transaction is not None:
            return
        kept.refusal = why
        for declaration_id in _waiting_for(work, opening.certificate_id):
            undo_release(ctx, work, declaration_id, why)
        work.commit()


def _waiting_for(work: UnitOfWork, certificate_id: str) -> list[str]:
    waiting = [draw for draw in work.drawdowns.of_certificate(certificate_id) if draw.drawing is None]
    return list(dict.fromkeys(draw.declaration_id for draw in waiting))
