"""From database to ledger: seal, sign and keep, send, follow, until every act is final.

A crash between any two steps loses nothing: what was not sealed is sealed at the next round, what was signed is sent
again with the same bytes, what was sent is looked up by its hashes. docs/faults.md lists what may go wrong, and the
test that shows what happens then. ``at.reached`` names the points where a crash would leave something half done.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import uuid4

import structlog

from backend.domain.batch import seal
from backend.domain.clearance import Step
from backend.domain.consignment import Event
from backend.domain.errors import ForeignLedger, LedgerRefused, LedgerUnavailable
from backend.domain.ledger import Act, AnchorBatch, AnchoredBatch, ChangeStatuses, Head, Receipt, UseUpNonce
from backend.domain.merkle import Tree
from backend.domain.records import ProofState, RecordOnFile, SealedBatch
from backend.domain.sendings import ALREADY_THERE, Claim, Sending, SendingState, StatusChange
from backend.services.accreditation import to_ledger
from backend.services.ports import Store, Surroundings

LARGEST_ROUND = 10_000
"""Records sealed at once."""
LARGEST_DECISION = 1_000
"""Places changed by one transaction."""
CLAIM = timedelta(seconds=15)
"""How long one worker keeps the others out after its last sign of life."""
PATIENCE = timedelta(seconds=15)
"""How long a receipt may be late before we believe that another transaction took the number."""
RAISE_AFTER = timedelta(seconds=60)
"""How long a transaction waits for its block before its fee is raised."""

_NEVER = ("TraceLedgerEdge", "TraceLedgerPlace", "TraceLedgerNothing")
"""How the ledger's refusals begin that no waiting will change."""

log = structlog.get_logger()


def advance(at: Surroundings) -> bool:
    """Take every step that can be taken now; tells whether anything is still under way.

    One thing that goes wrong does not keep the others waiting; the first such fault is raised at the end. Does nothing
    while another worker has the turn.
    """
    if not _has_work(at) and not _vanished(at):
        return False
    if not claim_turn(at):
        return False
    seal_stored(at)
    at.ledger.head()  # a silent or foreign ledger ends the round here, before anything is signed or sent
    each = _Each()
    for step in (reopen_vanished, anchor_sealed, send_accreditation_acts, send_status_changes, follow):
        each.attempt(step, at)
    each.finish()
    return is_under_way(at)


def is_under_way(at: Surroundings) -> bool:
    """Whether anything on file is on its way to the ledger; what waits for an operator is not."""
    with at.work(reading=True) as work:
        store = work.store
        return bool(
            store.open_sendings()
            or store.unsealed(1)
            or any(batch.state is ProofState.SEALED and not batch.trouble for batch in store.batches_in_flight())
            or store.status_changes_in_flight()
            or store.accreditation_acts_in_flight()
        )


def _has_work(at: Surroundings) -> bool:
    with at.work(reading=True) as work:
        try:
            stuck = any(batch.trouble for batch in work.store.batches_in_flight())
            return stuck or is_under_way(at)
        except (ValueError, TypeError, LookupError, AttributeError):
            return True  # a row that cannot be read: sealing sets it aside


class _Each:
    """Takes steps one after another; a fault in one is logged and kept, so that the others go on."""

    def __init__(self) -> None:
        self._first: Exception | None = None

    def attempt(self, step: Callable[..., object], *arguments: object) -> None:
        try:
            step(*arguments)
        except (LedgerUnavailable, ForeignLedger):
            raise  # nothing else would fare better
        except Exception as fault:
            log.exception("a step of anchoring failed", step=step.__name__)
            self._first = self._first or fault

    def finish(self) -> None:
        if self._first is not None:
            raise self._first


# ---- one worker at a time


def claim_turn(at: Surroundings) -> bool:
    """Take or keep the turn to write to the ledger; false while another worker has it.

    Nothing breaks where two believe to have it: a number is used by one open transaction only, a batch leaves
    ``sealed`` once, and the contract takes a root once.
    """
    with at.work() as work:
        claim, now = work.store.find_claim("anchoring"), at.now()
        if claim is None:
            work.store.add(Claim("anchoring", at.holder, now + CLAIM))
        elif claim.holder != at.holder and claim.until > now:
            log.warning("another worker anchors on this database; this one waits", holder=claim.holder)
            return False
        elif claim.holder == at.holder and claim.until > now + CLAIM / 2:
            return True
        else:
            claim.holder, claim.until = at.holder, now + CLAIM
        work.commit()
    return True


def give_up_turn(at: Surroundings) -> None:
    """Let another worker go on at once."""
    with at.work() as work:
        work.store.forget_claim("anchoring", at.holder)
        work.commit()


# ---- sealing


def seal_stored(at: Surroundings) -> SealedBatch | None:
    """Close a batch over the stored records, and give each its place and proof. What is unsound is set aside."""
    set_aside_unreadable(at)
    with at.work(reading=True) as work:
        if not work.store.unsealed(1):
            return None
    at.reached("before-seal")
    with at.work() as work:
        waiting = [record for record in work.store.unsealed(LARGEST_ROUND) if _is_sound(record)]
        if not waiting:
            work.commit()
            return None
        waiting.sort(key=lambda record: record.kind.lane)
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
        at.reached("before-seal-commit")
        work.commit()
    at.reached("after-seal")
    log.info("batch sealed", size=sealed.size, root=sealed.root.hex())
    return sealed


def set_aside_unreadable(at: Surroundings) -> None:
    """Quarantine records whose rows cannot be read at all; they would keep all others waiting."""
    with at.work(reading=True) as work:
        try:
            work.store.unsealed(LARGEST_ROUND)
            return
        except (ValueError, TypeError, LookupError, AttributeError):
            pass
    with at.work() as work:
        count = work.store.quarantine_unreadable(LARGEST_ROUND)
        work.commit()
    log.error("records were set aside: their rows cannot be read", count=count)


def _is_sound(record: RecordOnFile) -> bool:
    """Whether what is stored is what was signed; a record that is not is quarantined."""
    try:
        found = sha256(record.signed_jwt.encode("ascii")).hexdigest()
        record.quarantined = None if found == record.digest else "what is stored is not what was signed"
        record.entry.encode()
    except (ValueError, TypeError, OverflowError, AttributeError) as error:
        record.quarantined = f"it cannot be entered: {error}"[:200]
    if record.quarantined:
        log.error("a record was set aside", record=record.id, why=record.quarantined)
    return record.quarantined is None


# ---- anchoring


def anchor_sealed(at: Surroundings) -> None:
    """Sign, keep and send the anchoring of every sealed batch; recognise those that the ledger has already."""
    with at.work(reading=True) as work:
        sealed = [batch for batch in work.store.batches_in_flight() if batch.state is ProofState.SEALED]
    each = _Each()
    for batch in sealed:
        each.attempt(_anchor, at, batch)
    each.finish()


def _anchor(at: Surroundings, batch: SealedBatch) -> None:
    found = at.ledger.batch(batch.root)
    if found is not None:
        _recognise(at, batch, found)
        return
    if (trouble := _why_not(at, batch)) is not None:
        _note_trouble(at, batch, trouble)
        return
    head = at.ledger.head()
    sending = _signed(at, AnchorBatch(batch.root, batch.lanes), "anchorer")
    at.reached("anchor-signed")
    with at.work() as work:
        kept = work.store.get_batch(batch.id)
        if kept.state is not ProofState.SEALED:
            return  # another worker was quicker
        sending = _keep(work.store, sending)
        kept.state, kept.transaction_id, kept.trouble = ProofState.SUBMITTED, sending.id, None
        kept.transaction_hash = sending.transaction_hash
        _note_ledger(kept, head)
        at.reached("before-anchor-commit")
        work.commit()
    at.reached("anchor-kept")
    _send(at, sending)
    at.reached("anchor-sent")


def _why_not(at: Surroundings, batch: SealedBatch) -> str | None:
    """Why a batch must not be signed now: its records no longer give its root, or the ledger refused it before."""
    with at.work(reading=True) as work:
        leaves = work.store.leaves(batch)
    try:
        root = Tree([leaf.entry for leaf in leaves]).root if leaves else b""
    except (ValueError, OverflowError) as error:
        return f"a stored record of it cannot be read: {error}"[:200]
    if root != batch.root:
        changed = [leaf.place for leaf in leaves if sha256(leaf.signed_jwt.encode()).hexdigest() != leaf.digest]
        return f"its stored records do not give its root; changed places: {changed[:10] or 'not told by digests'}"
    if batch.trouble is None:
        return None
    try:
        at.ledger.rehearse(AnchorBatch(batch.root, batch.lanes))
    except LedgerRefused as refusal:
        return str(refusal)[:200]
    return None


def _note_trouble(at: Surroundings, batch: SealedBatch, trouble: str) -> None:
    if batch.trouble == trouble:
        return
    log.error("a batch is not anchored", root=batch.root.hex(), why=trouble)
    with at.work() as work:
        work.store.get_batch(batch.id).trouble = trouble
        work.commit()


def _note_ledger(batch: SealedBatch, head: Head) -> None:
    batch.chain_id, batch.ledger_address, batch.instance_id = head.chain_id, head.ledger_address, head.instance_id


def _recognise(at: Surroundings, batch: SealedBatch, found: AnchoredBatch) -> None:
    """Note a batch that the ledger has although no open transaction of ours says so: the database is an older copy."""
    if found.lanes != batch.lanes:
        _note_trouble(at, batch, "the ledger holds this root with other lanes")
        return
    anchoring, head = at.ledger.anchoring_of(batch.root, found), at.ledger.head()
    if anchoring is None or head.number - anchoring.block_number < at.confirmations:
        return  # asked again at the next round, until it is deep enough
    log.warning("a batch was found on the ledger", root=batch.root.hex(), block=anchoring.block_number)
    with at.work() as work:
        kept = work.store.get_batch(batch.id)
        kept.transaction_id, kept.transaction_hash, kept.trouble = None, anchoring.transaction_hash, None
        _note_ledger(kept, head)
        _note_anchored(at, work.store, kept, found.anchored_at, anchoring.block_number, is_final=True)
        work.commit()


# ---- the authority's acts, and statuses


def send_accreditation_acts(at: Surroundings) -> None:
    """Sign, keep and send the authority's acts, in the order in which they were asked."""
    with at.work(reading=True) as work:
        waiting = [act.id for act in work.store.accreditation_acts_in_flight()]
    each = _Each()
    for act_id in waiting:
        each.attempt(_send_accreditation_act, at, act_id)
    each.finish()


def _send_accreditation_act(at: Surroundings, act_id: str) -> None:
    with at.work(reading=True) as work:
        act = next((act for act in work.store.accreditation_acts_in_flight() if act.id == act_id), None)
    if act is None:
        return
    sending = _signed(at, to_ledger(act), "authority")
    at.reached("act-signed")
    with at.work() as work:
        kept = next((act for act in work.store.accreditation_acts_in_flight() if act.id == act_id), None)
        if kept is None:
            return
        sending = _keep(work.store, sending)
        kept.sending = sending
        work.commit()
    at.reached("act-kept")
    _send(at, sending)
    at.reached("act-sent")


def send_status_changes(at: Surroundings) -> None:
    """Sign, keep and send changes of status, one transaction for each batch and signer.

    One is open at a time: the chain keeps no order between accounts, and a withdrawal must not overtake a decision.
    A change that the ledger would refuse is found out beforehand, so that it takes no others with it.
    """
    while True:
        with at.work(reading=True) as work:
            if not work.store.status_changes_in_flight() or work.store.status_sendings_open():
                return
            chosen = _next_statuses(work.store)
        if not chosen:
            return
        willing = _willing(at, chosen)
        if willing and not _send_statuses(at, willing):
            return
        if not willing and not _settle_refused(at, chosen):
            return  # refused for now only: asked again at the next round


Chosen = list[tuple[StatusChange, RecordOnFile]]


def _next_statuses(store: Store) -> Chosen:
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
        if (batch.root, change.signer) == first and len(chosen) < LARGEST_DECISION:
            chosen[record.id] = (change, record)
    return list(chosen.values())


def _act(chosen: Chosen) -> ChangeStatuses:
    digests = [sha256(change.reason_salt + change.reason.encode()).digest() for change, _ in chosen]
    reason = digests[0] if len(digests) == 1 else sha256(b"".join(digests)).digest()
    places = tuple(sorted((record.place or 0, change.new_status) for change, record in chosen))
    batch = chosen[0][1].batch
    assert batch is not None, "only records of anchored batches are chosen"
    return ChangeStatuses(batch.root, places, reason, chosen[0][0].signer)


def _willing(at: Surroundings, chosen: Chosen) -> Chosen:
    """Those of the changes that the ledger would take now, found by halving."""
    try:
        at.ledger.rehearse(_act(chosen))
    except LedgerRefused:
        if len(chosen) == 1:
            return []
        middle = len(chosen) // 2
        return _willing(at, chosen[:middle]) + _willing(at, chosen[middle:])
    return chosen


def _settle_refused(at: Surroundings, chosen: Chosen) -> bool:
    """End changes that the ledger has already or will never take; tells whether there was any."""
    settled = {change.id: why for change, record in chosen if (why := _end_of(at, change, record)) is not None}
    if not settled:
        return False
    with at.work() as work:
        for change in work.store.status_changes_in_flight():
            change.settled = settled.get(change.id)
        work.commit()
    return True


def _end_of(at: Surroundings, change: StatusChange, record: RecordOnFile) -> str | None:
    assert record.batch is not None, "only records of anchored batches are chosen"
    if at.ledger.status(record.batch.root, record.place or 0) == change.new_status:
        return ALREADY_THERE
    try:
        at.ledger.rehearse(_act([(change, record)]))
    except LedgerRefused as refusal:
        why = str(refusal)[:200]
        log.error("the ledger refuses a change of status", record=record.id, why=why)
        return why if why.startswith(_NEVER) else None
    return None


def _send_statuses(at: Surroundings, chosen: Chosen) -> bool:
    act = _act(chosen)
    sending = _signed(at, act, act.by)
    at.reached("status-signed")
    ids = {change.id for change, _ in chosen}
    with at.work() as work:
        waiting = [change for change in work.store.status_changes_in_flight() if change.id in ids]
        if len(waiting) != len(ids):
            return False  # another worker was quicker
        sending = _keep(work.store, sending)
        for change in waiting:
            change.sending = sending
        work.commit()
    at.reached("status-kept")
    _send(at, sending)
    at.reached("status-sent")
    return True


# ---- transactions


def _signed(at: Surroundings, act: Act, signer: str) -> Sending:
    """Sign an act under the first number that neither the chain nor an open transaction of ours has used.

    Outside of any unit of work: a slow node must not keep others from the database.
    """
    with at.work(reading=True) as work:
        taken = work.store.open_nonces(signer)
    nonce = at.ledger.next_nonce(signer)
    while nonce in taken:
        nonce += 1
    return _sign(at, act, signer, nonce)


def _sign(at: Surroundings, act: Act, signer: str, nonce: int) -> Sending:
    signed = at.ledger.sign(act, nonce)
    return Sending(str(uuid4()), signer, nonce, signed.raw, signed.transaction_hash, at.now())


def _keep(store: Store, sending: Sending) -> Sending:
    """Keep a transaction before it is sent.

    The same act under the same number and fee gives the same bytes: where it was kept before and ended with a block
    that is gone, or with a chain that is lost, that row is opened again.
    """
    earlier = store.find_sending(sending.transaction_hash)
    if earlier is None:
        store.add(sending)
        return sending
    earlier.state, earlier.made_at, earlier.sent_at = SendingState.SIGNED, sending.made_at, None
    earlier.block = earlier.block_hash = earlier.block_time = earlier.refusal = earlier.trouble = None
    return earlier


def _send(at: Surroundings, sending: Sending) -> bool:
    """Hand a kept transaction to the chain; where the chain does not take it, note why and try again next round."""
    try:
        at.ledger.send(sending.raw)
        trouble = None
    except LedgerRefused as refusal:
        trouble = str(refusal)[:200]
    if trouble != sending.trouble:
        if trouble:
            log.error("the chain does not take a transaction", signer=sending.signer, nonce=sending.nonce, why=trouble)
        with at.work() as work:
            work.store.get_sending(sending.id).trouble = trouble
            work.commit()
    return trouble is None


def follow(at: Surroundings) -> None:
    """Look up every open transaction and note what became of it."""
    with at.work(reading=True) as work:
        sendings = list(work.store.open_sendings())
    each = _Each()
    # Counted before any receipt is asked for: what is mined in between must not look as if another had its number.
    mined = {signer: at.ledger.next_nonce(signer) for signer in {sending.signer for sending in sendings}}
    for sending in sendings:
        each.attempt(_follow, at, sending, mined[sending.signer])
    for signer, count in mined.items():
        each.attempt(_fill_gaps, at, signer, count)
    each.finish()


def _follow(at: Surroundings, sending: Sending, mined: int) -> None:
    receipt = _receipt(at, sending)
    at.reached("receipt-seen")
    if receipt is not None:
        _note_mined(at, sending, receipt)
    elif sending.nonce < mined and _has_waited(at, sending.sent_at or sending.made_at, PATIENCE):
        _displace(at, sending)
    else:
        _send_again(at, sending, is_next=sending.nonce == mined)


def _receipt(at: Surroundings, sending: Sending) -> Receipt | None:
    for transaction_hash in sending.hashes:
        receipt = at.ledger.receipt(transaction_hash)
        if receipt is not None:
            return receipt
    return None


def _has_waited(at: Surroundings, since: datetime, span: timedelta) -> bool:
    return at.now() - since >= span


def _send_again(at: Surroundings, sending: Sending, is_next: bool) -> None:
    since = sending.raised_at or sending.sent_at
    is_poor = sending.trouble is not None and "insufficient" in sending.trouble
    if is_next and not is_poor and since is not None and _has_waited(at, since, RAISE_AFTER):
        sending = _raise_fee(at, sending)
    if _send(at, sending):
        _note_sent(at, sending)
        at.reached("sent-again")


def _raise_fee(at: Surroundings, sending: Sending) -> Sending:
    """Take the place of a transaction that no block wants, by the same act for more; every hash is kept."""
    higher = at.ledger.outbid(sending.signer, sending.raw)
    if higher is None:
        log.error("a transaction waits, and the highest fee that we may pay is reached", nonce=sending.nonce)
        return sending
    with at.work() as work:
        kept = work.store.get_sending(sending.id)
        if kept.transaction_hash != sending.transaction_hash or not kept.is_open:
            return kept
        kept.raise_fee(higher.raw, higher.transaction_hash, at.now())
        work.commit()
    log.warning("raised a transaction's fee", signer=sending.signer, nonce=sending.nonce, bids=len(kept.earlier) + 1)
    at.reached("fee-raised")
    return kept


def _fill_gaps(at: Surroundings, signer: str, mined: int) -> None:
    """Use up numbers that are missing before open transactions, which would otherwise wait for ever."""
    with at.work(reading=True) as work:
        taken = work.store.open_nonces(signer)
    for nonce in range(mined, max(taken, default=0)):
        if nonce in taken:
            continue
        log.warning("a number is missing; using it up", signer=signer, nonce=nonce)
        sending = _sign(at, UseUpNonce(signer), signer, nonce)
        with at.work() as work:
            sending = _keep(work.store, sending)
            work.commit()
        at.reached("gap-kept")
        _send(at, sending)


def _displace(at: Surroundings, sending: Sending) -> None:
    """Another transaction took the number: what this one carried is signed anew, unless the ledger has it."""
    log.error("another transaction took a number of ours", signer=sending.signer, nonce=sending.nonce)
    with at.work() as work:
        kept = work.store.get_sending(sending.id)
        kept.state, kept.trouble = SendingState.DISPLACED, None
        batch = work.store.batch_sent_by(kept)
        if batch is not None:
            _seal_again(batch)
        _ask_again(work.store, kept)
        work.commit()


def _seal_again(batch: SealedBatch, trouble: str | None = None) -> None:
    batch.state, batch.anchored_at, batch.block, batch.trouble = ProofState.SEALED, None, None, trouble


def _ask_again(store: Store, sending: Sending) -> None:
    for change in store.status_changes_sent_by(sending):
        change.sending = None
    for act in store.accreditation_acts_sent_by(sending):
        act.sending = None


def _note_sent(at: Surroundings, sending: Sending) -> None:
    if sending.state is SendingState.SENT:
        return
    with at.work() as work:
        _send_back(at, work.store, work.store.get_sending(sending.id))
        work.commit()


def _send_back(at: Surroundings, store: Store, kept: Sending) -> None:
    """Mark as sent; a reorganisation took the block away: back to submitted, never to lost."""
    kept.state, kept.sent_at = SendingState.SENT, at.now()
    kept.block = kept.block_hash = kept.block_time = None
    batch = store.batch_sent_by(kept)
    if batch is not None:
        batch.state, batch.anchored_at, batch.block = ProofState.SUBMITTED, None, None


def _note_mined(at: Surroundings, sending: Sending, receipt: Receipt) -> None:
    is_final = at.ledger.head().number - receipt.block_number >= at.confirmations
    if sending.state is SendingState.MINED and sending.block_hash == receipt.block_hash and not is_final:
        return
    with at.work() as work:
        kept = work.store.get_sending(sending.id)
        kept.settle_on(receipt.transaction_hash)
        kept.block, kept.block_hash, kept.block_time = receipt.block_number, receipt.block_hash, receipt.block_time
        kept.state, kept.trouble = SendingState.FINAL if is_final else SendingState.MINED, None
        batch = work.store.batch_sent_by(kept)
        if not receipt.succeeded:
            _note_refused(work.store, kept, batch, receipt)
        elif batch is not None:
            batch.transaction_hash = receipt.transaction_hash
            _note_anchored(at, work.store, batch, receipt.block_time, receipt.block_number, is_final)
        at.reached("before-receipt-commit")
        work.commit()
    at.reached("receipt-noted")


def _note_refused(store: Store, kept: Sending, batch: SealedBatch | None, receipt: Receipt) -> None:
    """The contract said no. A batch waits until a rehearsal goes well; changes that travelled together part."""
    kept.state, kept.refusal = SendingState.REFUSED, receipt.refusal or "refused"
    log.error("the ledger refused a transaction", refusal=kept.refusal, transaction=kept.transaction_hash.hex())
    if batch is not None:
        _seal_again(batch, trouble=kept.refusal)
    if len(store.status_changes_sent_by(kept)) > 1:
        _ask_again(store, kept)


def _note_anchored(
    at: Surroundings, store: Store, batch: SealedBatch, anchored_at: datetime, block: int, is_final: bool
) -> None:
    batch.state = ProofState.FINAL if is_final else ProofState.ANCHORED
    batch.anchored_at, batch.block = anchored_at, block
    if not is_final:
        return
    for consignment in store.consignments_in(batch):
        if not any(event.step is Step.ANCHORED for event in consignment.events):
            now = at.now()
            consignment.events.append(Event(str(uuid4()), Step.ANCHORED, now, now))
    log.info("batch final", size=batch.size, block=batch.block)


# ---- what was final and is gone


def _vanished(at: Surroundings) -> bool:
    """Whether the newest final transaction is no longer where it was: the chain went back deeper than agreed."""
    with at.work(reading=True) as work:
        newest = work.store.final_sendings(1)
    return bool(newest) and _is_gone(at, newest[0])


def _is_gone(at: Surroundings, sending: Sending) -> bool:
    receipt = at.ledger.receipt(sending.transaction_hash)
    return receipt is None or receipt.block_hash != sending.block_hash


def reopen_vanished(at: Surroundings) -> None:
    """Take up again what was final and whose block is gone, from the newest down to the first that still stands."""
    gone = list(_all_vanished(at))
    if not gone:
        return
    log.error("final blocks are gone: the chain was reorganised or restored; sending again", count=len(gone))
    with at.work() as work:
        for sending in gone:
            _send_back(at, work.store, work.store.get_sending(sending.id))
        at.reached("before-reopen-commit")
        work.commit()


def _all_vanished(at: Surroundings) -> Iterable[Sending]:
    offset, chunk = 0, 50
    while True:
        with at.work(reading=True) as work:
            sendings: Sequence[Sending] = work.store.final_sendings(chunk, offset)
        for sending in sendings:
            if not _is_gone(at, sending):
                return
            yield sending
        if len(sendings) < chunk:
            return
        offset += chunk


# ---- a new chain


def begin_anew(at: Surroundings) -> int:
    """Take everything to a new ledger, since the old one is lost: every batch, act and status is written again.

    How many batches. The records, their places and proofs stay as they are; old transactions are kept for the record.
    """
    with at.work() as work:
        store = work.store
        for sending in store.sendings():
            sending.state, sending.trouble = SendingState.DISPLACED, None
            _ask_again(store, sending)
        for change in store.status_changes_settled():
            change.settled = None
        batches = store.batches()
        for batch in batches:
            _seal_again(batch)
            batch.transaction_id = batch.transaction_hash = None
            batch.chain_id = batch.ledger_address = batch.instance_id = None
        work.commit()
    return len(batches)
