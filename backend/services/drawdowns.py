"""Remaining quantities of certificates, and the drawdowns of a release: requested here, made on the ledger later.

A release needs enough left by our own count and by the ledger's. Its drawdowns are stored in the same unit of work as
the decision, so that parallel releases cannot take the same goods. They reach the ledger before the release does
(services/anchoring/drawdowns.py), so that what another server drew meanwhile cannot be drawn twice either.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import uuid4

from backend.domain.consignment import Consignment
from backend.domain.drawdowns import (
    Activation,
    Count,
    Drawdown,
    Shares,
    share_out,
)
from backend.domain.errors import ForeignLedger, Invalid, LedgerUnavailable
from backend.domain.kinds import Kind
from backend.domain.kinds.certificate_of_origin import CertificateOfOrigin
from backend.domain.ledger import LedgerRecord
from backend.domain.records import Assurance, RecordOnFile
from backend.services.ports import AppContext, Ledger
from backend.store.unit_of_work import UnitOfWork


@dataclass(frozen=True)
class Elsewhere:
    """What only the ledger knows of a certificate: the quantity that others drew, or why it could not be read."""

    drawn: int = 0
    unread: str | None = None


def drawn_elsewhere(ctx: AppContext, work: UnitOfWork, consignment: Consignment) -> dict[str, Elsewhere]:
    """Ask the ledger about every certificate that the declaration may draw, by the id of its first version."""
    if not ctx.ledger.counts_quantities:
        return {}
    return {line: _elsewhere(ctx, paper) for line, paper in _certificates(work, consignment).items()}


def ledger_record(ledger: Ledger, record: RecordOnFile) -> LedgerRecord | None:
    """Return a record's place on the ledger, which it may not have taken yet, or None while it is in no batch."""
    if record.batch is None or record.leaf_index is None:
        return None
    return LedgerRecord(ledger.batch_key(record.batch.root), record.leaf_index)


def _elsewhere(ctx: AppContext, certificate: RecordOnFile) -> Elsewhere:
    try:
        located = ledger_record(ctx.ledger, certificate)
        opened = None if located is None else ctx.ledger.certificate_balance(located)
    except (LedgerUnavailable, ForeignLedger) as error:
        return Elsewhere(unread=error.message)
    if opened is None:
        return Elsewhere()
    # Counted anew after the ledger has answered: an older look would take drawdowns of ours for somebody else's.
    with ctx.work(reading=True) as work:
        sent = sum(
            drawdown.quantity
            for drawdown in work.drawdowns.of_certificate(certificate.id)
            if drawdown.set_root is not None
        )
    # Ours may be counted before the ledger has them, which must not make the part of others negative.
    return Elsewhere(max(0, opened.quantity - opened.remaining - sent))


def shares(ctx: AppContext, work: UnitOfWork, consignment: Consignment, elsewhere: Mapping[str, Elsewhere]) -> Shares:
    """Work out how much each certificate gives for the declaration, with the checks that tell whether it is enough."""
    if not ctx.ledger.counts_quantities:
        return Shares((), ())
    certificates = _certificates(work, consignment)
    counts = {line: _count(work, consignment, line, paper, elsewhere) for line, paper in certificates.items()}
    return share_out(
        consignment.planned_drawdowns, {line: count for line, count in counts.items() if count is not None}
    )


def _certificates(work: UnitOfWork, consignment: Consignment) -> dict[str, RecordOnFile]:
    """List the issued certificates that the declaration may draw, in their latest version, by the id of the first.

    A merchant's own statements are left out, since no issuer stands behind their quantity.
    """
    lines = dict.fromkeys(drawdown.certificate_id for drawdown in consignment.planned_drawdowns)
    newest = {line: work.records.latest_of(work.records.get(line)) for line in lines}
    return {
        line: paper
        for line, paper in newest.items()
        if paper.kind is Kind.CERTIFICATE_OF_ORIGIN and paper.assurance is Assurance.ISSUED
    }


def _count(
    work: UnitOfWork, consignment: Consignment, line: str, certificate: RecordOnFile, elsewhere: Mapping[str, Elsewhere]
) -> Count | None:
    try:
        document = certificate.document
    except Invalid:
        return None  # its own verdict tells that it was tampered with
    assert isinstance(document, CertificateOfOrigin)
    known = elsewhere.get(line, Elsewhere())
    ours = work.drawdowns.drawn_by_others(line, consignment.id)
    return Count(certificate.id, line, certificate.quantity, document.unit_code, ours, known.drawn, known.unread)


def request_drawdowns(ctx: AppContext, work: UnitOfWork, consignment: Consignment, given: Shares) -> None:
    """Store the drawdowns of a release and the activations that they need. The anchoring worker sends them."""
    now = ctx.now()
    standing = {
        drawdown.certificate_id for drawdown in work.drawdowns.of_declaration(consignment.id) if drawdown.is_standing
    }
    for share in given.shares:
        certificate_id = share.count.certificate_id
        if certificate_id in standing:
            continue  # made for an earlier release that the ledger did not take
        _request_activation(work, certificate_id, ctx)
        drawdown = Drawdown(str(uuid4()), certificate_id, share.count.original_id, consignment.id, share.quantity, now)
        work.add(drawdown)


def _request_activation(work: UnitOfWork, certificate_id: str, ctx: AppContext) -> None:
    activation = work.drawdowns.find_activation(certificate_id)
    if activation is None:
        work.add(Activation(certificate_id, ctx.now()))
    elif activation.refusal is not None:
        # The reason of an earlier refusal may have passed, for example a suspension, so the activation is tried again.
        activation.refusal, activation.transaction = None, None


def refund(ctx: AppContext, work: UnitOfWork, declaration_id: str) -> None:
    """Ask for the refund of what a declaration drew, because it was rejected, returned or withdrawn."""
    for drawdown in work.drawdowns.of_declaration(declaration_id):
        if drawdown.is_standing:
            drawdown.refund(ctx.now())
