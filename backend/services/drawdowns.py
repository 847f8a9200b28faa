"""What is left of certificates, and the draws that a release makes on them: asked here, made on the ledger later.

A release needs enough left by our own count and by the ledger's. Its draws are kept with the decision, in one unit of
work, so that of any number of releases at once no two take the same goods; and they reach the ledger before the
release does (services/anchoring/drawing.py), so that what another server drew meanwhile cannot be drawn twice either.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import uuid4

from backend.domain.consignment import Consignment
from backend.domain.documents import CertificateOfOrigin
from backend.domain.drawdowns import (
    CertificateDraw,
    Count,
    Opening,
    Shares,
    drawn,
    share_out,
)
from backend.domain.errors import ForeignLedger, Invalid, LedgerUnavailable
from backend.domain.kinds import Kind
from backend.domain.records import Assurance, RecordOnFile
from backend.domain.verdict import Check
from backend.services.ports import Store, Surroundings
from backend.services.record_versions import newest_of_line


@dataclass(frozen=True)
class Elsewhere:
    """What the ledger knows of a certificate that we do not: drawn by nobody of ours, or why it could not be asked."""

    drawn: int = 0
    unread: str | None = None


def drawn_elsewhere(at: Surroundings, store: Store, consignment: Consignment) -> dict[str, Elsewhere]:
    """Ask the ledger about every certificate that the declaration may draw, by first record of its line."""
    if not at.ledger.counts_quantities:
        return {}
    return {line: _elsewhere(at, paper) for line, paper in _certificates(store, consignment).items()}


def _elsewhere(at: Surroundings, certificate: RecordOnFile) -> Elsewhere:
    if certificate.batch is None or certificate.place is None:
        return Elsewhere()
    try:
        opened = at.ledger.opened_certificate(certificate.batch.root, certificate.place)
    except (LedgerUnavailable, ForeignLedger) as error:
        return Elsewhere(unread=error.message)
    if opened is None:
        return Elsewhere()
    # Counted anew after the ledger has answered: an older look would take draws of ours for somebody else's.
    with at.work(reading=True) as work:
        sent = sum(draw.quantity for draw in work.store.draws_on(certificate.id) if draw.drawing is not None)
    return Elsewhere(max(0, opened.quantity - opened.left - sent))


def shares(at: Surroundings, store: Store, consignment: Consignment, elsewhere: Mapping[str, Elsewhere]) -> Shares:
    """How much each certificate gives for the declaration, and whether that is enough."""
    if not at.ledger.counts_quantities:
        return Shares((), ())
    certificates = _certificates(store, consignment)
    counts = {line: _count(store, consignment, line, paper, elsewhere) for line, paper in certificates.items()}
    return share_out(consignment.draws, {line: count for line, count in counts.items() if count is not None})


def _certificates(store: Store, consignment: Consignment) -> dict[str, RecordOnFile]:
    """The issued certificates that the declaration may draw, each the newest of its line. Statements give nothing."""
    lines = dict.fromkeys(draw.certificate_id for draw in consignment.draws)
    newest = {line: newest_of_line(store, store.get_record(line)) for line in lines}
    return {
        line: paper
        for line, paper in newest.items()
        if paper.kind is Kind.CERTIFICATE_OF_ORIGIN and paper.assurance is Assurance.ISSUED
    }


def _count(
    store: Store, consignment: Consignment, line: str, certificate: RecordOnFile, elsewhere: Mapping[str, Elsewhere]
) -> Count | None:
    try:
        document = certificate.document
    except Invalid:
        return None  # its own verdict tells that it was tampered with
    assert isinstance(document, CertificateOfOrigin)
    others = [draw for draw in store.draws_on_line(line) if draw.declaration_id != consignment.id]
    known = elsewhere.get(line, Elsewhere())
    ours = sum(draw.quantity for draw in others)
    return Count(certificate.id, line, certificate.quantity, document.unit_code, ours, known.drawn, known.unread)


def quantity_checks(at: Surroundings, store: Store, consignment: Consignment) -> list[Check]:
    """Whether enough is left for an open declaration; what a decided one has drawn."""
    if consignment.status.is_open:
        return list(shares(at, store, consignment, drawn_elsewhere(at, store, consignment)).checks)
    standing = [draw for draw in store.draws_for(consignment.id) if draw.is_standing]
    units = {draw.certificate_id: _unit(store.get_record(draw.certificate_id)) for draw in standing}
    return drawn(standing, units)


def _unit(certificate: RecordOnFile) -> str:
    try:
        return str(certificate.fields.get("unitCode", ""))
    except Invalid:
        return ""


def draw_for(at: Surroundings, store: Store, consignment: Consignment, given: Shares) -> None:
    """Keep the draws of a release, and the openings that they need."""
    now = at.now()
    standing = {draw.certificate_id for draw in store.draws_for(consignment.id) if draw.is_standing}
    for share in given.shares:
        certificate_id = share.count.certificate_id
        if certificate_id in standing:
            continue  # made for an earlier release that the ledger did not take
        _ask_to_open(store, certificate_id, at)
        draw = CertificateDraw(str(uuid4()), certificate_id, share.count.line_id, consignment.id, share.quantity, now)
        store.add(draw)


def _ask_to_open(store: Store, certificate_id: str, at: Surroundings) -> None:
    opening = store.find_opening(certificate_id)
    if opening is None:
        store.add(Opening(certificate_id, at.now()))
    elif opening.refusal is not None:
        opening.refusal, opening.sending = None, None


def give_back(at: Surroundings, store: Store, declaration_id: str) -> None:
    """Give back what a declaration has drawn, since it was rejected, returned or withdrawn."""
    for draw in store.draws_for(declaration_id):
        if draw.is_standing:
            draw.give_back(at.now())
