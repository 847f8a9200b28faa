"""Remaining quantities of certificates, and the drawdowns of a release: requested here, made on the ledger later.

A release needs enough left by our own count and by the ledger's. Its drawdowns are stored in the same unit of work as
the decision, so that parallel releases cannot take the same goods. They reach the ledger before the release does
(services/anchoring/drawdowns.py), so that what another server drew meanwhile cannot be drawn twice either.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

from backend.domain.consignment import Consignment, PlannedDrawdown
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
from backend.domain.ledger import CertificateBalance, LedgerRecord, ProvenEntry
from backend.domain.records import Assurance, RecordOnFile
from backend.services.ports import AppContext, Ledger
from backend.store.unit_of_work import UnitOfWork


@dataclass(frozen=True)
class Elsewhere:
    """What only the ledger knows of a certificate: the quantity that others drew, or why it could not be read.

    ``covers`` is what it covers at most, where it goes on, or will, with the account of a superseded one.
    """

    drawn: int = 0
    covers: int | None = None
    unread: str | None = None


def drawn_elsewhere(ctx: AppContext, work: UnitOfWork, wanted: Sequence[PlannedDrawdown]) -> dict[str, Elsewhere]:
    """Ask the ledger about every certificate that a declaration may draw, by the id of its first version."""
    if not ctx.ledger.counts_quantities:
        return {}
    return {
        line: _elsewhere(ctx, line, issued_versions(work, paper)) for line, paper in _certificates(work, wanted).items()
    }


def balances(ctx: AppContext, work: UnitOfWork, papers: Sequence[RecordOnFile]) -> list[Count]:
    """Return what is known of the quantity of each issued certificate of origin among these papers.

    Papers that are none, that were altered, or whose quantity no ledger counts have no balance.
    """
    if not ctx.ledger.counts_quantities:
        return []
    certificates = {work.records.original_of(paper).id: paper for paper in papers if _is_drawable(paper)}
    ours = work.drawdowns.drawn_from(list(certificates))
    found = (
        _count(line, paper, ours.get(line, 0), _elsewhere(ctx, line, issued_versions(work, paper)))
        for line, paper in certificates.items()
    )
    return [count for count in found if count is not None]


def issued_versions(work: UnitOfWork, certificate: RecordOnFile) -> list[RecordOnFile]:
    """List the versions of a certificate that an issuer signed, the newest first. Only these are ever activated."""
    return [one for one in work.records.line_of(certificate) if one.assurance is Assurance.ISSUED]


def last_activated(ledger: Ledger, versions: Sequence[RecordOnFile]) -> tuple[LedgerRecord, CertificateBalance] | None:
    """Return the first of these versions that the ledger has activated, with its balance."""
    for version in versions:
        located = ledger_record(ledger, version)
        balance = None if located is None else ledger.certificate_balance(located)
        if located is not None and balance is not None:
            return located, balance
    return None


def ledger_record(ledger: Ledger, record: RecordOnFile) -> LedgerRecord | None:
    """Return a record's place on the ledger, which it may not have taken yet, or None while it is in no batch."""
    if record.batch is None or record.leaf_index is None:
        return None
    return LedgerRecord(ledger.batch_key(record.batch.root), record.leaf_index)


def activated_entries(ctx: AppContext) -> Iterator[ProvenEntry]:
    """Yield the certificates of ours that the ledger has activated, with their proofs; all there are in the store."""
    with ctx.work(reading=True) as work:
        for activation in work.drawdowns.activations():
            certificate = work.records.get(activation.certificate_id)
            located, proof = ledger_record(ctx.ledger, certificate), certificate.proof
            if located is not None and proof is not None and ctx.ledger.certificate_balance(located) is not None:
                yield ProvenEntry(located, certificate.entry.encode(), proof.path)


def _elsewhere(ctx: AppContext, original_id: str, versions: Sequence[RecordOnFile]) -> Elsewhere:
    try:
        # Where the newest version is not activated yet, it will go on with the account of the last one that is.
        found = last_activated(ctx.ledger, versions)
    except (LedgerUnavailable, ForeignLedger) as error:
        return Elsewhere(unread=error.message)
    if found is None:
        return Elsewhere()
    opened = found[1]
    # Counted anew after the ledger has answered: an older look would take drawdowns of ours for somebody else's.
    with ctx.work(reading=True) as work:
        sent = work.drawdowns.sent_of_line(original_id)
    # Ours may be counted before the ledger has them, which must not make the part of others negative.
    return Elsewhere(max(0, opened.quantity - opened.remaining - sent), min(versions[0].quantity, opened.quantity))


def shares(
    ctx: AppContext,
    work: UnitOfWork,
    wanted: Sequence[PlannedDrawdown],
    ours: Mapping[str, int],
    elsewhere: Mapping[str, Elsewhere],
) -> Shares:
    """Work out how much each certificate gives of what is wanted, with the checks that tell whether it is enough.

    ``ours`` is what other declarations on this server have drawn (``DrawdownRepository.drawn_by_others``).
    """
    if not ctx.ledger.counts_quantities:
        return Shares((), ())
    certificates = _certificates(work, wanted)
    counts = {
        line: _count(line, paper, ours.get(line, 0), elsewhere.get(line, Elsewhere()))
        for line, paper in certificates.items()
    }
    return share_out(wanted, {line: count for line, count in counts.items() if count is not None})


def _certificates(work: UnitOfWork, wanted: Sequence[PlannedDrawdown]) -> dict[str, RecordOnFile]:
    """List the issued certificates that a declaration may draw, in their latest version, by the id of the first."""
    lines = dict.fromkeys(drawdown.certificate_id for drawdown in wanted)
    newest = {line: work.records.latest_of(work.records.get(line)) for line in lines}
    return {line: paper for line, paper in newest.items() if _is_drawable(paper)}


def _is_drawable(paper: RecordOnFile) -> bool:
    """Tell whether an issuer stands behind the paper's quantity, which a merchant's own statement lacks."""
    return paper.kind is Kind.CERTIFICATE_OF_ORIGIN and paper.assurance is Assurance.ISSUED


def _count(line: str, certificate: RecordOnFile, ours: int, elsewhere: Elsewhere) -> Count | None:
    try:
        document = certificate.document
    except Invalid:
        return None  # its own verdict tells that it was tampered with
    assert isinstance(document, CertificateOfOrigin)
    covers = certificate.quantity if elsewhere.covers is None else elsewhere.covers
    return Count(certificate.id, line, covers, document.unit_code, ours, elsewhere.drawn, elsewhere.unread)


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
