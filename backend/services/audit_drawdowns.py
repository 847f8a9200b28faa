"""The audit of certificates' quantities: our draws and the ledger's, and the balances that they leave."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from backend.domain.drawdowns import CertificateDraw
from backend.domain.kinds import DeclarationStatus
from backend.domain.ledger import Draw, Drawing, LedgerRecord
from backend.domain.outbox import TransactionState
from backend.domain.records import RecordOnFile
from backend.services.audit_findings import Discrepancy
from backend.services.ports import AppContext
from backend.store.unit_of_work import UnitOfWork


def audit_draws(ctx: AppContext, work: UnitOfWork) -> Iterator[Discrepancy]:
    """Compare every draw; nothing where the contracts are older than draws."""
    if not ctx.ledger.counts_quantities:
        return
    drawings = {drawing.drawn.drawing: drawing for drawing in ctx.ledger.drawings()}
    rows = work.drawdowns.all()
    for row in rows:
        yield from _of_row(work, row, drawings)
    yield from _unknown(work, rows, drawings)
    yield from _of_balances(ctx, work, drawings)
    yield from _releases_without(work, rows)


def _of_row(work: UnitOfWork, row: CertificateDraw, drawings: Mapping[bytes, Drawing]) -> Iterator[Discrepancy]:
    is_settled = row.transaction is None or row.transaction.state is TransactionState.FINAL
    if row.drawing is None or row.position is None or not is_settled:
        return
    about = {"draw": row.id, "declaration": row.declaration_id}
    drawing = drawings.get(row.drawing)
    if drawing is None or row.position >= len(drawing.drawn.draws):
        yield Discrepancy("draw-not-on-ledger", about)
        return
    on_ledger = drawing.drawn.draws[row.position]
    if on_ledger != _expected(work, row):
        yield Discrepancy("draw-differs", {**about, "stored": row.quantity, "ledger": on_ledger.quantity})
    under_way = row.refund_transaction is not None and row.refund_transaction.is_open
    if not under_way and (row.position in drawing.given_back) != (row.given_back_at is not None):
        yield Discrepancy("giving-back-differs", about)


def _expected(work: UnitOfWork, row: CertificateDraw) -> Draw | None:
    certificate = _place(work.records.get(row.certificate_id))
    declaration = _place(work.records.get(row.declaration_id))
    return None if certificate is None or declaration is None else Draw(certificate, declaration, row.quantity)


def _place(record: RecordOnFile) -> LedgerRecord | None:
    return None if record.batch is None or record.place is None else LedgerRecord(record.batch.root, record.place)


def _unknown(
    work: UnitOfWork, rows: Sequence[CertificateDraw], drawings: Mapping[bytes, Drawing]
) -> Iterator[Discrepancy]:
    """Draws on the ledger for declarations of ours that we know nothing of."""
    ours = {batch.root for batch in work.batches.all()}
    known = {(row.drawing, row.position) for row in rows}
    for root, drawing in drawings.items():
        for position, draw in enumerate(drawing.drawn.draws):
            if draw.declaration.root in ours and (root, position) not in known:
                about = {"drawing": root.hex(), "position": position, "block": drawing.block_number}
                yield Discrepancy("draw-unknown-to-database", about)


def _of_balances(ctx: AppContext, work: UnitOfWork, drawings: Mapping[bytes, Drawing]) -> Iterator[Discrepancy]:
    """What is left of each certificate must be what its draws leave."""
    taken: Counter[LedgerRecord] = Counter()
    for drawing in drawings.values():
        for position, draw in enumerate(drawing.drawn.draws):
            if position not in drawing.given_back:
                taken[draw.certificate] += draw.quantity
    for opening in work.drawdowns.activations():
        certificate = work.records.get(opening.certificate_id)
        place = _place(certificate)
        is_open = opening.is_known or (
            opening.transaction is not None and opening.transaction.state is TransactionState.FINAL
        )
        if place is None or not is_open:
            continue
        balance = ctx.ledger.opened_certificate(place.root, place.place)
        about = {"certificate": certificate.id}
        if balance is None:
            yield Discrepancy("certificate-not-opened", about)
        elif balance.quantity != certificate.quantity:
            yield Discrepancy("quantity-differs", {**about, "ledger": balance.quantity, "stored": certificate.quantity})
        elif balance.left != balance.quantity - taken[place]:
            explained = balance.quantity - taken[place]
            yield Discrepancy("balance-differs", {**about, "left": balance.left, "explained": explained})


def _releases_without(work: UnitOfWork, rows: Sequence[CertificateDraw]) -> Iterator[Discrepancy]:
    """Released declarations whose draws the ledger refused: none may stand."""
    standing = {row.declaration_id for row in rows if row.is_standing}
    for declaration_id in dict.fromkeys(row.declaration_id for row in rows if row.refusal is not None):
        consignment = work.consignments.get(declaration_id)
        if consignment.status is DeclarationStatus.RELEASED and declaration_id not in standing:
            yield Discrepancy("release-without-draw", {"declaration": declaration_id})
