"""Certificates are opened on the ledger before they are first drawn, by their entries and inclusion proofs."""

import structlog

from backend.domain import sd_jwt
from backend.domain.drawdowns import Opening
from backend.domain.errors import Invalid, LedgerRefused
from backend.domain.ledger import LedgerRecord, OpenCertificate
from backend.domain.records import ProofState, RecordOnFile
from backend.domain.rfc3339 import parse_timestamp
from backend.domain.verdict import issued_at
from backend.services.anchoring.sending import keep, send, signed
from backend.services.anchoring.steps import Each
from backend.services.anchoring.undoing import undo_release
from backend.services.ports import Store, Surroundings

log = structlog.get_logger()


def open_certificates(at: Surroundings) -> None:
    """Sign, keep and send every opening whose certificate is on the ledger."""
    with at.work(reading=True) as work:
        waiting = list(work.store.openings_in_flight())
    each = Each()
    for opening in waiting:
        each.attempt(_open, at, opening)
    each.finish()


def ledger_record(record: RecordOnFile) -> LedgerRecord | None:
    """The record's place on the ledger, or None while it has none."""
    batch = record.batch
    if batch is None or record.place is None or batch.state not in (ProofState.ANCHORED, ProofState.FINAL):
        return None
    return LedgerRecord(batch.root, record.place)


def _open(at: Surroundings, opening: Opening) -> None:
    with at.work(reading=True) as work:
        certificate = work.store.get_record(opening.certificate_id)
    place = ledger_record(certificate)
    if place is None:
        return
    if at.ledger.opened_certificate(place.root, place.place) is not None:
        _note_known(at, opening)
        return
    try:
        act = _act(certificate, place)
        at.ledger.rehearse(act)
    except (LedgerRefused, Invalid) as refusal:
        if not _is_accreditation_on_its_way(at, certificate):
            _note_refused(at, opening, str(refusal)[:200])
        return
    sending = signed(at, act, "anchorer")
    at.reached("opening-signed")
    with at.work() as work:
        kept = work.store.find_opening(opening.certificate_id)
        if kept is None or kept.sending is not None:
            return  # another worker was quicker
        sending = keep(work.store, sending)
        kept.sending = sending
        work.commit()
    at.reached("opening-kept")
    send(at, sending)
    at.reached("opening-sent")


def _is_accreditation_on_its_way(at: Surroundings, certificate: RecordOnFile) -> bool:
    """Whether an act on the issuer's key is not mined yet, as on a new chain: it may be what is missing."""
    key = sd_jwt.unb64(str(certificate.sd_jwt.header.get("kid", ""))).hex()
    with at.work(reading=True) as work:
        acts = [act for act in work.store.accreditation_acts_on(key) if act.ended is None]
    return any(act.sending is None or act.sending.is_open for act in acts)


def _act(certificate: RecordOnFile, place: LedgerRecord) -> OpenCertificate:
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


def _note_known(at: Surroundings, opening: Opening) -> None:
    with at.work() as work:
        kept = work.store.find_opening(opening.certificate_id)
        if kept is not None and kept.sending is None:
            kept.is_known = True
            work.commit()


def _note_refused(at: Surroundings, opening: Opening, why: str) -> None:
    """The ledger will not open it: the releases that want to draw it are undone. A pause only makes them wait."""
    if why.startswith("TraceLedger"):
        log.warning("a certificate waits to be opened", certificate=opening.certificate_id, why=why)
        return
    log.error("the ledger does not open a certificate", certificate=opening.certificate_id, why=why)
    at.reached("before-undo-commit")
    with at.work() as work:
        kept = work.store.find_opening(opening.certificate_id)
        if kept is None or kept.sending is not None:
            return
        kept.refusal = why
        for declaration_id in _waiting_for(work.store, opening.certificate_id):
            undo_release(at, work.store, declaration_id, why)
        work.commit()


def _waiting_for(store: Store, certificate_id: str) -> list[str]:
    waiting = [draw for draw in store.draws_on(certificate_id) if draw.drawing is None]
    return list(dict.fromkeys(draw.declaration_id for draw in waiting))
