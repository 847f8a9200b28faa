"""The audit: recompute every root from the stored records, and compare database and ledger in both directions."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import starmap

from backend.domain import sd_jwt
from backend.domain.drawdowns import Drawdown
from backend.domain.errors import Invalid
from backend.domain.evidence import InclusionProof, Tree, leaf_hash
from backend.domain.ledger import AnchoredBatch, Anchoring, DeclarationStatus, DrawdownSet, LedgerDrawdown, LedgerRecord
from backend.domain.outbox import EndedPlace, RevocationNotice, TransactionState
from backend.domain.records import ALREADY_THERE, Leaf, ProofState, RecordOnFile, SealedBatch
from backend.services.accreditation_audit import differences
from backend.services.drawdowns import ledger_record
from backend.services.ports import AppContext
from backend.services.records import ended_place, is_published
from backend.store.unit_of_work import UnitOfWork


@dataclass(frozen=True)
class Discrepancy:
    """A difference that the audit found: its name, and the record, batch or value that it concerns."""

    name: str
    about: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join([self.name, *(f"{key}={value}" for key, value in self.about.items())])


@dataclass(frozen=True)
class Audit:
    """How much was compared, and the differences found."""

    records: int
    batches: int
    batches_on_ledger: int
    discrepancies: tuple[Discrepancy, ...]


def audit(ctx: AppContext) -> Audit:
    """Compare batches, statuses, revocations, accreditations, drawdowns and attachments with the ledger and the disk.

    Raises:
        LedgerUnavailable: The ledger cannot be asked, so there is nothing to compare with.
        ForeignLedger: The ledger that answers is not the one of this installation.
    """
    # Asked first, so that an unreachable or foreign ledger ends the audit before it reports every batch as missing.
    ctx.ledger.head()
    on_ledger = {anchoring.batch_key: anchoring for anchoring in ctx.ledger.anchorings()}
    found: list[Discrepancy] = []
    with ctx.work(reading=True) as work:
        batches = work.batches.all()
        for batch in batches:
            found += _of_batch(ctx, work, batch, on_ledger.get(ctx.ledger.batch_key(batch.root)))
        found += _unknown_batches(ctx, batches, on_ledger)
        found += _number_gaps(ctx, on_ledger)
        found += starmap(Discrepancy, differences(ctx, work))
        found += audit_drawdowns(ctx, work)
        found += _of_revocations(ctx, work, batches)
        found += _of_attachments(ctx, work)
        if count := work.batches.count_quarantined():
            found.append(Discrepancy("records-quarantined", {"count": count}))
    return Audit(sum(batch.size for batch in batches), len(batches), len(on_ledger), tuple(found))


def _unknown_batches(
    ctx: AppContext, batches: Sequence[SealedBatch], on_ledger: Mapping[bytes, Anchoring]
) -> Iterator[Discrepancy]:
    """Report batches of our anchorer that are on the ledger only. Others' batches are theirs to know."""
    known, ours = {ctx.ledger.batch_key(batch.root) for batch in batches}, ctx.ledger.anchorer()
    for key, anchoring in on_ledger.items():
        if key in known:
            continue
        batch = ctx.ledger.batch(key)
        if batch is None or batch.anchorer == ours:
            yield Discrepancy("batch-unknown-to-database", {"batchKey": key.hex(), "block": anchoring.block_number})


def _of_batch(
    ctx: AppContext, work: UnitOfWork, batch: SealedBatch, anchoring: Anchoring | None
) -> Iterator[Discrepancy]:
    leaves = work.batches.leaves(batch)
    yield from _of_leaves(batch, leaves)
    yield from _of_disclosures(leaves, work.batches.disclosures(batch))
    key = ctx.ledger.batch_key(batch.root)
    anchored = ctx.ledger.batch(key)
    is_noted = batch.state in (ProofState.ANCHORED, ProofState.FINAL)
    root = {"root": batch.root.hex()}
    # A ledger of an earlier version may hold the root as another anchorer's.
    if anchored is None or anchored.anchorer != ctx.ledger.anchorer():
        if is_noted:
            yield Discrepancy("batch-not-on-ledger", root)
        return
    if not is_noted:
        yield Discrepancy("anchoring-not-noted", {**root, "state": batch.state.value})
    yield from _of_anchoring(batch, anchored, anchoring, is_noted)
    expected = 0 if batch.office is None else ctx.ledger.office(batch.office)
    if (named := ctx.ledger.deciding_office(key)) != expected:
        yield Discrepancy("office-differs", {**root, "office": batch.office, "stored": expected, "ledger": named})
    yield from _of_statuses(ctx, work, batch, leaves)


def _of_leaves(batch: SealedBatch, leaves: Sequence[Leaf]) -> Iterator[Discrepancy]:
    """Compare each stored record with its digest and its proof, and all of them together with the root."""
    entries: list[bytes] = []
    for leaf in leaves:
        about = {"record": leaf.record_id, "leafIndex": leaf.leaf_index}
        try:
            entry = leaf.entry
        except (ValueError, OverflowError):
            yield Discrepancy("record-unreadable", about)
            continue
        entries.append(entry)
        # Of an erased record only the digest is left, from which the batch is still proven.
        if not leaf.is_erased and sha256(leaf.signed_jwt.encode()).hexdigest() != leaf.digest:
            yield Discrepancy("record-altered", about)
        path = tuple(leaf.path[i : i + 32] for i in range(0, len(leaf.path), 32))
        if not InclusionProof(leaf.leaf_index, batch.size, path).proves(entry, batch.root):
            yield Discrepancy("proof-broken", about)
    root = {"root": batch.root.hex()}
    if [leaf.leaf_index for leaf in leaves] != list(range(batch.size)):
        yield Discrepancy("leaves-missing", {**root, "stored": len(leaves), "size": batch.size})
    if not entries or Tree(entries).root != batch.root:
        yield Discrepancy("root-differs", root)


def _of_disclosures(leaves: Sequence[Leaf], disclosures: Mapping[str, Sequence[str]]) -> Iterator[Discrepancy]:
    """Check that each record can still be shown in full: every signed field is there, as it was signed."""
    for leaf in leaves:
        if leaf.is_erased:
            continue
        try:
            shown = sd_jwt.parse("~".join([leaf.signed_jwt, *disclosures[leaf.record_id], ""]))
            is_whole = shown.withheld == 0
        except (Invalid, TypeError, ValueError):
            is_whole = False
        if not is_whole:
            yield Discrepancy("disclosures-altered", {"record": leaf.record_id})


def _of_anchoring(
    batch: SealedBatch, anchored: AnchoredBatch, anchoring: Anchoring | None, is_noted: bool
) -> Iterator[Discrepancy]:
    root = {"root": batch.root.hex()}
    if anchored.segments != batch.segments:
        yield Discrepancy("segments-differ", root)
    if anchoring is None:
        yield Discrepancy("event-missing", root)
    elif is_noted and (anchoring.transaction_hash, anchoring.block_number) != (batch.transaction_hash, batch.block):
        yield Discrepancy("anchoring-differs", {**root, "block": anchoring.block_number, "noted": batch.block})
    if is_noted and anchored.anchored_at != batch.anchored_at:
        yield Discrepancy("time-differs", root)


def _of_statuses(
    ctx: AppContext, work: UnitOfWork, batch: SealedBatch, leaves: Sequence[Leaf]
) -> Iterator[Discrepancy]:
    """Compare each stored status with the ledger's. A difference is expected while a change is on its way."""
    on_ledger = ctx.ledger.statuses(ctx.ledger.batch_key(batch.root), batch.size)
    for leaf in leaves:
        if 0 <= leaf.leaf_index < batch.size and leaf.status != on_ledger[leaf.leaf_index]:
            changes = work.status_changes.of_record(leaf.record_id)
            under_way = [
                c
                for c in changes
                if (c.transaction is None and c.settled is None) or (c.transaction and c.transaction.is_open)
            ]
            if not under_way:
                about = {"record": leaf.record_id, "stored": leaf.status, "ledger": on_ledger[leaf.leaf_index]}
                yield Discrepancy("status-differs", about)


def _of_revocations(ctx: AppContext, work: UnitOfWork, batches: Sequence[SealedBatch]) -> Iterator[Discrepancy]:
    """Compare what was published of records with the ledger both ways. Older contracts publish nothing."""
    if not ctx.ledger.publishes_revocations:
        return
    noted = set()
    for notice in work.revocations.all():
        place = _ended_place(ctx, work, notice)
        if place is None:
            continue
        leaf, about = leaf_hash(place.entry), {"record": notice.record_id or place.batch_key.hex()}
        noted.add(leaf)
        sent = notice.transaction
        # Not final, it may still be missing on the ledger. A notice that was settled otherwise had nothing to publish.
        is_final = sent is not None and sent.state is TransactionState.FINAL
        if not is_final and notice.settled != ALREADY_THERE:
            continue
        batch = ctx.ledger.batch(place.batch_key)
        if batch is None or not is_published(ctx.ledger, leaf, batch):
            yield Discrepancy("revocation-not-on-ledger", about)
    ours = {ctx.ledger.batch_key(batch.root) for batch in batches}
    for leaf, where in ctx.ledger.revocations():
        if where.batch_key in ours and leaf not in noted:
            place_of = {"batchKey": where.batch_key.hex(), "leafIndex": where.leaf_index}
            yield Discrepancy("revocation-unknown-to-database", place_of)


def _ended_place(ctx: AppContext, work: UnitOfWork, notice: RevocationNotice) -> EndedPlace | None:
    try:
        return ended_place(ctx.ledger, work, notice)
    except (ValueError, OverflowError):
        return None  # its leaf is told as unreadable


def _of_attachments(ctx: AppContext, work: UnitOfWork) -> Iterator[Discrepancy]:
    """Check that every uploaded file is on disk with the bytes that its digest names."""
    for digest in dict.fromkeys(stored.sha256 for stored in work.files.all()):
        content = ctx.files.get(digest)
        if content is None:
            yield Discrepancy("attachment-missing", {"sha256": digest})
        elif sha256(content).hexdigest() != digest:
            yield Discrepancy("attachment-altered", {"sha256": digest})


def _number_gaps(ctx: AppContext, on_ledger: dict[bytes, Anchoring]) -> Iterator[Discrepancy]:
    """Report gaps in an anchorer's batch numbers. The contract counts without gaps, so events are missing."""
    numbers: Counter[int] = Counter()
    highest: Counter[int] = Counter()
    for key in on_ledger:
        batch = ctx.ledger.batch(key)
        if batch is not None:
            numbers[batch.anchorer] += 1
            highest[batch.anchorer] = max(highest[batch.anchorer], batch.number)
    for anchorer, count in numbers.items():
        if count != highest[anchorer]:
            yield Discrepancy("events-missing", {"anchorer": anchorer, "seen": count, "number": highest[anchorer]})


# Drawdowns: our rows and the ledger's events, and the balances that they leave


def audit_drawdowns(ctx: AppContext, work: UnitOfWork) -> Iterator[Discrepancy]:
    """Compare every drawdown and balance. Contracts older than drawdowns have none, so nothing is reported for them."""
    if not ctx.ledger.counts_quantities:
        return
    drawdown_sets = {drawdown_set.made.set_root: drawdown_set for drawdown_set in ctx.ledger.drawdown_sets()}
    rows = work.drawdowns.all()
    for row in rows:
        yield from _of_drawdown(ctx, work, row, drawdown_sets)
    yield from _unknown_drawdowns(ctx, work, rows, drawdown_sets)
    yield from _of_balances(ctx, work, drawdown_sets)
    yield from _releases_without(work, rows)


def _of_drawdown(
    ctx: AppContext, work: UnitOfWork, row: Drawdown, drawdown_sets: Mapping[bytes, DrawdownSet]
) -> Iterator[Discrepancy]:
    is_settled = row.transaction is None or row.transaction.state is TransactionState.FINAL
    # A transaction that is not final may still be missing on the ledger, so that is no discrepancy yet.
    if row.set_root is None or row.position is None or not is_settled:
        return
    about = {"drawdown": row.id, "declaration": row.declaration_id}
    drawdown_set = drawdown_sets.get(row.set_root)
    if drawdown_set is None or row.position >= len(drawdown_set.made.drawdowns):
        yield Discrepancy("drawdown-not-on-ledger", about)
        return
    on_ledger = drawdown_set.made.drawdowns[row.position]
    if on_ledger != _expected(ctx, work, row):
        yield Discrepancy("drawdown-differs", {**about, "stored": row.quantity, "ledger": on_ledger.quantity})
    under_way = row.refund_transaction is not None and row.refund_transaction.is_open
    if not under_way and (row.position in drawdown_set.refunded) != (row.refunded_at is not None):
        yield Discrepancy("refund-differs", about)


def _expected(ctx: AppContext, work: UnitOfWork, row: Drawdown) -> LedgerDrawdown | None:
    certificate = ledger_record(ctx.ledger, work.records.get(row.certificate_id))
    declaration = ledger_record(ctx.ledger, work.records.get(row.declaration_id))
    return (
        None if certificate is None or declaration is None else LedgerDrawdown(certificate, declaration, row.quantity)
    )


def _unknown_drawdowns(
    ctx: AppContext, work: UnitOfWork, rows: Sequence[Drawdown], drawdown_sets: Mapping[bytes, DrawdownSet]
) -> Iterator[Discrepancy]:
    """Report drawdowns on the ledger for declarations of ours that have no row in the database."""
    ours = {ctx.ledger.batch_key(batch.root) for batch in work.batches.all()}
    known = {(row.set_root, row.position) for row in rows}
    for root, drawdown_set in drawdown_sets.items():
        for position, drawdown in enumerate(drawdown_set.made.drawdowns):
            if drawdown.declaration.batch_key in ours and (root, position) not in known:
                about = {"setRoot": root.hex(), "position": position, "block": drawdown_set.block_number}
                yield Discrepancy("drawdown-unknown-to-database", about)


def _of_balances(
    ctx: AppContext, work: UnitOfWork, drawdown_sets: Mapping[bytes, DrawdownSet]
) -> Iterator[Discrepancy]:
    """Check that the remaining quantity of each certificate is explained by its drawdowns on the ledger."""
    taken: Counter[LedgerRecord] = Counter()
    for drawdown_set in drawdown_sets.values():
        for position, drawdown in enumerate(drawdown_set.made.drawdowns):
            if position not in drawdown_set.refunded:
                taken[drawdown.certificate] += drawdown.quantity
    activated = list(_activated(ctx, work))
    successors = {one: after for _, one in activated if (after := ctx.ledger.carried_to(one)) is not None}
    predecessors = {after: one for one, after in successors.items()}
    for certificate, located in activated:
        balance = ctx.ledger.certificate_balance(located)
        about = {"certificate": certificate.id}
        if balance is None:
            yield Discrepancy("certificate-not-activated", about)
            continue
        # A successor goes on with the account: it covers no more than those before it, and what they gave counts.
        before = list(_before(located, predecessors))
        covers = [found.quantity for one in before if (found := ctx.ledger.certificate_balance(one)) is not None]
        quantity = min([certificate.quantity, *covers])
        explained = balance.quantity - sum(taken[one] for one in (located, *before)) if located not in successors else 0
        if balance.quantity != quantity:
            yield Discrepancy("quantity-differs", {**about, "ledger": balance.quantity, "stored": quantity})
        elif balance.remaining != explained:
            yield Discrepancy("balance-differs", {**about, "remaining": balance.remaining, "explained": explained})


def _activated(ctx: AppContext, work: UnitOfWork) -> Iterator[tuple[RecordOnFile, LedgerRecord]]:
    for activation in work.drawdowns.activations():
        certificate = work.records.get(activation.certificate_id)
        located = ledger_record(ctx.ledger, certificate)
        is_open = activation.is_known or (
            activation.transaction is not None and activation.transaction.state is TransactionState.FINAL
        )
        if located is not None and is_open:
            yield certificate, located


def _before(located: LedgerRecord, predecessors: Mapping[LedgerRecord, LedgerRecord]) -> Iterator[LedgerRecord]:
    """Yield the certificates whose account this one goes on with, the latest first. A circle is gone round once."""
    seen = {located}
    while (one := predecessors.get(located)) is not None and one not in seen:
        yield one
        seen.add(one)
        located = one


def _releases_without(work: UnitOfWork, rows: Sequence[Drawdown]) -> Iterator[Discrepancy]:
    """Report declarations that are released although the ledger refused their drawdowns."""
    standing = {row.declaration_id for row in rows if row.is_standing}
    for declaration_id in dict.fromkeys(row.declaration_id for row in rows if row.refusal is not None):
        consignment = work.consignments.get(declaration_id)
        if consignment.status is DeclarationStatus.RELEASED and declaration_id not in standing:
            yield Discrepancy("release-without-drawdown", {"declaration": declaration_id})
