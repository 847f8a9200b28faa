"""From database to ledger: seal, sign and keep, send, follow, until every act is final.

A crash between any two steps loses nothing: what was not sealed is sealed at the next round, what was signed is sent
again with the same bytes, what was sent is looked up by its hash.
"""

from collections.abc import Sequence
from hashlib import sha256
from uuid import uuid4

import structlog

from backend.domain.batch import seal
from backend.domain.clearance import Step
from backend.domain.consignment import Event
from backend.domain.errors import Invalid, LedgerRefused
from backend.domain.ledger import Act, AnchorBatch, ChangeStatuses, Receipt
from backend.domain.records import ProofState, RecordOnFile, SealedBatch
from backend.domain.sendings import Sending, SendingState, StatusChange
from backend.services.accreditation import to_ledger
from backend.services.ports import Store, Surroundings

LARGEST_ROUND = 10_000
"""Records sealed at once."""
LARGEST_DECISION = 1_000
"""Places changed by one transaction."""

log = structlog.get_logger()


def advance(at: Surroundings) -> bool:
    """Take every step that can be taken now; tells whether anything is still under way."""
    seal_stored(at)
    anchor_sealed(at)
    send_accreditation_acts(at)
    send_status_changes(at)
    follow(at)
    return is_under_way(at)


def is_under_way(at: Surroundings) -> bool:
    """Whether anything on file has not yet become final on the ledger."""
    with at.work(reading=True) as work:
        store = work.store
        return bool(
            store.open_sendings()
            or store.unsealed(1)
            or any(batch.state is ProofState.SEALED for batch in store.batches_in_flight())
            or store.status_changes_in_flight()
            or store.accreditation_acts_in_flight()
        )


def seal_stored(at: Surroundings) -> SealedBatch | None:
    """Close a batch over the stored records, and give each its place and proof."""
    with at.work(reading=True) as work:
        if not work.store.unsealed(1):
            return None
    with at.work() as work:
        waiting = sorted(work.store.unsealed(LARGEST_ROUND), key=lambda record: record.kind.lane)
        if not waiting:
            return None
        batch = seal([record.entry for record in waiting])
        lanes = batch.lanes
        sealed = SealedBatch(
            id=str(uuid4()),
            root=batch.root,
            origin_end=lanes.origin_end,
            inspection_end=lanes.inspection_end,
            declaration_end=lanes.declaration_end,
            size=lanes.size,
            sealed_at=at.now(),
        )
        work.store.add(sealed)
        for place, record in enumerate(waiting):
            record.enter(sealed, batch.proof(place))
        work.commit()
    log.info("batch sealed", size=sealed.size, root=sealed.root.hex())
    return sealed


def anchor_sealed(at: Surroundings) -> None:
    """Sign, keep and send the anchoring of every sealed batch."""
    with at.work(reading=True) as work:
        sealed = [batch for batch in work.store.batches_in_flight() if batch.state is ProofState.SEALED]
    for batch in sealed:
        head = at.ledger.head()
        with at.work() as work:
            batch = next(b for b in work.store.batches_in_flight() if b.id == batch.id)
            sending = _keep(at, work.store, AnchorBatch(batch.root, batch.lanes), "anchorer")
            batch.state, batch.transaction_id = ProofState.SUBMITTED, sending.id
            batch.transaction_hash = sending.transaction_hash
            batch.chain_id, batch.ledger_address = head.chain_id, head.ledger_address
            batch.instance_id = head.instance_id
            work.commit()
        at.ledger.send(sending.raw)


def send_accreditation_acts(at: Surroundings) -> None:
    """Sign, keep and send the authority's acts, in the order in which they were asked."""
    with at.work(reading=True) as work:
        waiting = [act.id for act in work.store.accreditation_acts_in_flight()]
    for act_id in waiting:
        with at.work() as work:
            act = next(act for act in work.store.accreditation_acts_in_flight() if act.id == act_id)
            try:
                act.sending = sending = _keep(at, work.store, to_ledger(act), "authority")
            except (ValueError, OverflowError, Invalid) as error:
                # It cannot be written as it stands; it must not keep the others waiting.
                log.error("an act cannot be signed", act=act.id, error=str(error))
                act.refusal, sending = str(error)[:200], None
            work.commit()
        if sending is not None:
            at.ledger.send(sending.raw)


def send_status_changes(at: Surroundings) -> None:
    """Sign, keep and send changes of status, one transaction for each batch and signer.

    One is open at a time: the chain keeps no order between accounts, and a withdrawal must not overtake a decision.
    """
    while True:
        with at.work(reading=True) as work:
            if not work.store.status_changes_in_flight() or work.store.status_sendings_open():
                return
        with at.work() as work:
            changes, act = _next_statuses(work.store)
            if act is None:
                return
            sending = _keep(at, work.store, act, act.by)
            for change in changes:
                change.sending = sending
            work.commit()
        at.ledger.send(sending.raw)


def _next_statuses(store: Store) -> tuple[Sequence[StatusChange], ChangeStatuses | None]:
    """The oldest change whose batch is on the ledger, with those that can travel with it: one for each record."""
    chosen: dict[str, tuple[StatusChange, RecordOnFile]] = {}
    first: tuple[bytes, str] | None = None
    passed: set[str] = set()
    for change in store.status_changes_in_flight():
        record = store.get_record(change.record_id)
        batch = record.batch
        ready = batch is not None and batch.state in (ProofState.ANCHORED, ProofState.FINAL)
        if batch is None or not ready or change.record_id in passed:
            passed.add(change.record_id)
            continue
        first = first or (batch.root, change.signer)
        passed.add(change.record_id)
        fits = (batch.root, change.signer) == first and len(chosen) < LARGEST_DECISION
        if fits and not (chosen and change.travels_alone):
            chosen[record.id] = (change, record)
        if change.travels_alone and chosen:
            break
    if first is None:
        return [], None
    changes = [change for change, _ in chosen.values()]
    digests = [sha256(change.reason_salt + change.reason.encode()).digest() for change in changes]
    reason = digests[0] if len(digests) == 1 else sha256(b"".join(digests)).digest()
    places = tuple(sorted((record.place or 0, change.new_status) for change, record in chosen.values()))
    return changes, ChangeStatuses(first[0], places, reason, first[1])


def _keep(at: Surroundings, store: Store, act: Act, signer: str) -> Sending:
    """Sign an act under the account's next nonce, told by the chain and our own open rows, and keep it."""
    highest = store.highest_open_nonce(signer)
    nonce = max(at.ledger.next_nonce(signer), -1 if highest is None else highest + 1, 0)
    signed = at.ledger.sign(act, nonce)
    sending = Sending(str(uuid4()), signer, nonce, signed.raw, signed.transaction_hash, at.now())
    store.add(sending)
    return sending


def follow(at: Surroundings) -> None:
    """Look up every open transaction and note what became of it."""
    with at.work(reading=True) as work:
        sendings = list(work.store.open_sendings())
    for sending in sendings:
        receipt = at.ledger.receipt(sending.transaction_hash)
        if receipt is None:
            try:
                at.ledger.send(sending.raw)
            except LedgerRefused as error:
                # One transaction that is not taken must not keep the others from being followed.
                log.warning("the chain does not take a transaction", error=str(error))
                continue
            _note_sent(at, sending)
        else:
            _note_mined(at, sending, receipt)


def _note_sent(at: Surroundings, sending: Sending) -> None:
    if sending.state is SendingState.SENT:
        return
    with at.work() as work:
        kept = work.store.get_sending(sending.id)
        kept.state, kept.sent_at = SendingState.SENT, at.now()
        kept.block = kept.block_hash = kept.block_time = None
        batch = work.store.batch_sent_by(kept)
        if batch is not None:  # a reorganisation took the block away: back to submitted, never to lost
            batch.state, batch.anchored_at, batch.block = ProofState.SUBMITTED, None, None
        work.commit()


def _note_mined(at: Surroundings, sending: Sending, receipt: Receipt) -> None:
    is_final = at.ledger.head().number - receipt.block_number >= at.confirmations
    if sending.state is SendingState.MINED and sending.block_hash == receipt.block_hash and not is_final:
        return
    with at.work() as work:
        kept = work.store.get_sending(sending.id)
        kept.block, kept.block_hash, kept.block_time = receipt.block_number, receipt.block_hash, receipt.block_time
        kept.state = SendingState.FINAL if is_final else SendingState.MINED
        if not receipt.succeeded:
            kept.state, kept.refusal = SendingState.REFUSED, receipt.refusal or "refused"
            _part(work.store.status_changes_sent_by(kept), kept.refusal)
            log.error("the ledger refused a transaction", refusal=kept.refusal, transaction=kept.transaction_hash.hex())
        batch = work.store.batch_sent_by(kept)
        if batch is not None and receipt.succeeded:
            _note_anchored(at, work.store, batch, receipt, is_final)
        work.commit()


def _part(changes: Sequence[StatusChange], refusal: str) -> None:
    """One refused change takes those down that travelled with it: let each go again on its own."""
    for change in changes:
        if len(changes) > 1:
            change.sending, change.travels_alone = None, True
        else:
            change.refusal = refusal[:200]


def _note_anchored(at: Surroundings, store: Store, batch: SealedBatch, receipt: Receipt, is_final: bool) -> None:
    batch.state = ProofState.FINAL if is_final else ProofState.ANCHORED
    batch.anchored_at, batch.block = receipt.block_time, receipt.block_number
    if not is_final:
        return
    for consignment in store.consignments_in(batch):
        if not any(event.step is Step.ANCHORED for event in consignment.events):
            now = at.now()
            consignment.events.append(Event(str(uuid4()), Step.ANCHORED, now, now))
    log.info("batch final", size=batch.size, block=batch.block)
