"""From database to ledger, whatever happens in between."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import pytest

from backend.domain.clearance import Decision, Step
from backend.domain.errors import Conflict, Invalid, LedgerUnavailable
from backend.domain.kinds import Kind
from backend.domain.ledger import AnchorBatch, ChangeStatuses
from backend.domain.outbox import TransactionState
from backend.domain.records import ProofState
from backend.domain.statuses import DeclarationStatus, DocumentStatus
from backend.domain.verdict import Conclusion
from backend.services import accreditation, decisions, issuance, statements
from backend.services.anchoring import anchor_sealed, batches, is_under_way, poll_receipts, run_once, seal_stored
from backend.services.verification import verdict_on
from tests.helpers.builders import certificate_fields


class Crash(BaseException):
    """The power goes: nothing of ours may catch it."""


def state_of(house, record):
    return house.record(record.id).proof_state


def anchored_batches(house):
    return [call for _, call in house.ledger.mined("anchorer") if isinstance(call, AnchorBatch)]


def transactions(house):
    with house.ctx.work(reading=True) as work:
        return list(work.outbox.pending())


# The ordinary way


def told_state(house, record):
    """The state of the proof as the verdict tells it."""
    return verdict_on(house.ctx, house.record(record.id)).proof_state


def test_a_record_goes_from_stored_to_final(house):
    house.ledger.holding = True
    record = house.issue_certificate()
    assert state_of(house, record) is told_state(house, record) is ProofState.STORED
    seal_stored(house.ctx)
    assert state_of(house, record) is told_state(house, record) is ProofState.SEALED
    anchor_sealed(house.ctx)
    assert state_of(house, record) is told_state(house, record) is ProofState.SUBMITTED
    poll_receipts(house.ctx)
    assert state_of(house, record) is ProofState.SUBMITTED
    house.ledger.mine()
    poll_receipts(house.ctx)
    assert state_of(house, record) is ProofState.FINAL
    assert not is_under_way(house.ctx)
    assert told_state(house, record) is ProofState.FINAL
    assert verdict_on(house.ctx, house.record(record.id)).conclusion is Conclusion.VALID


def test_records_of_one_round_share_a_batch_in_the_order_of_their_lanes(house):
    consignment = house.lodge()
    house.settle()
    (batch,) = anchored_batches(house)
    assert (batch.segments.origin_end, batch.segments.inspection_end, batch.segments.declaration_end) == (1, 2, 3)
    assert house.record(consignment.id).leaf_index == 2


def test_nothing_waiting_makes_no_batch(house):
    assert seal_stored(house.ctx) is None
    assert run_once(house.ctx) is False
    assert not anchored_batches(house)


def test_a_declaration_that_becomes_final_leaves_one_event(house):
    consignment = house.lodge()
    house.settle()
    run_once(house.ctx)
    steps = [event.step for event in house.consignment(consignment.id).events]
    assert steps == [Step.LODGED, Step.ANCHORED]


# Crashes


def crashing(house, port, method, after):
    """The house with one method that fails once, before or after it has done its work."""
    real = getattr(getattr(house.ctx, port), method)
    remaining = [True]

    class Failing:
        def __getattr__(self, name):
            return getattr(real.__self__, name)

    def fail_once(*arguments, **named):
        if not remaining:
            return real(*arguments, **named)
        remaining.clear()
        if after:
            real(*arguments, **named)
        raise Crash

    failing = Failing()
    setattr(failing, method, fail_once)
    return replace(house.ctx, **{port: failing})


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("method", ["head", "next_nonce", "sign", "send", "receipt"])
def test_a_crash_at_the_ledger_loses_nothing_and_does_nothing_twice(house, method, after):
    consignment = house.lodge()
    decisions.decide(house.ctx, house.officer, consignment.id, Decision.EXAMINE, "look inside")
    with pytest.raises(Crash):
        run_once(crashing(house, "ledger", method, after))
    house.settle()
    assert len(anchored_batches(house)) == 1
    assert state_of(house, consignment.record) is ProofState.FINAL
    batch, leaf_index = house.record(consignment.id).batch, house.record(consignment.id).leaf_index
    assert house.ledger.status(batch.root, leaf_index) == DeclarationStatus.EXAMINATION
    assert_nonces_without_gaps(house)


def assert_nonces_without_gaps(house):
    for signer in ("anchorer", "authority", "office"):
        nonces = [nonce for nonce, _ in house.ledger.mined(signer)]
        assert nonces == list(range(len(nonces)))


def runs(ctx, count):
    for _ in range(count):
        run_once(ctx)


class FailingWork:
    """Units of work of which the n-th commit fails, before or after it reached the disk."""

    def __init__(self, real, nth, after):
        self._real, self._left, self._after = real, nth, after

    def __call__(self, *, reading=False):
        unit = self._real(reading=reading)
        commit = unit.commit

        def failing():
            self._left -= 1
            if self._left != 0:
                return commit()
            if self._after:
                commit()
            raise Crash

        unit.commit = failing
        return unit


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("nth", range(1, 6))
def test_a_crash_at_any_commit_loses_nothing_and_does_nothing_twice(house, nth, after):
    consignment = house.lodge()
    decisions.decide(house.ctx, house.officer, consignment.id, Decision.DETAIN, "keep it")
    failing = replace(house.ctx, work=FailingWork(house.ctx.work, nth, after))
    with pytest.raises(Crash):
        runs(failing, 5)
    house.settle()
    batch, leaf_index = house.record(consignment.id).batch, house.record(consignment.id).leaf_index
    assert len(anchored_batches(house)) == 1
    assert house.ledger.status(batch.root, leaf_index) == DeclarationStatus.DETAINED
    assert [event.step for event in house.consignment(consignment.id).events].count(Step.ANCHORED) == 1
    assert_nonces_without_gaps(house)


def test_what_was_signed_is_sent_again_with_the_same_bytes(house):
    house.ledger.swallowing = True
    record = house.issue_certificate()
    run_once(house.ctx)
    run_once(house.ctx)
    assert len(set(house.ledger.sent[-3:])) == 1
    house.ledger.swallowing = False
    house.settle()
    assert state_of(house, record) is ProofState.FINAL
    assert_nonces_without_gaps(house)


def test_several_batches_wait_their_turn_without_gaps(house):
    house.ledger.holding = True
    records = []
    for number in range(4):
        records.append(house.issue_certificate(certificateNumber=f"N{number}"))
        run_once(house.ctx)
    assert [transaction.nonce for transaction in transactions(house)] == [0, 1, 2, 3]
    house.ledger.holding = False
    house.ledger.mine()
    house.settle()
    assert {state_of(house, record) for record in records} == {ProofState.FINAL}
    assert_nonces_without_gaps(house)


def test_receipts_that_come_late_are_waited_for(house):
    house.ledger.holding = True
    record = house.issue_certificate()
    for _ in range(5):
        assert run_once(house.ctx)
    house.ledger.mine()
    house.settle()
    assert state_of(house, record) is ProofState.FINAL
    assert len(anchored_batches(house)) == 1


# A ledger that is not there


def test_a_ledger_that_was_down_loses_nothing(house):
    house.ledger.down = True
    consignment = house.lodge()
    decisions.decide(house.ctx, house.officer, consignment.id, Decision.EXAMINE, "look")
    accreditation.suspend(house.ctx, house.authority, house.other_chamber.organisation.id)
    for _ in range(3):
        with pytest.raises(LedgerUnavailable):
            run_once(house.ctx)
    house.ledger.down = False
    house.settle()
    batch, leaf_index = house.record(consignment.id).batch, house.record(consignment.id).leaf_index
    assert house.ledger.status(batch.root, leaf_index) == DeclarationStatus.EXAMINATION
    assert state_of(house, consignment.record) is ProofState.FINAL


# Statuses


def statuses_sent(house, signer):
    return [call for _, call in house.ledger.mined(signer) if isinstance(call, ChangeStatuses)]


def test_one_records_changes_reach_the_ledger_in_their_order(house):
    consignment = house.lodge()
    for decision in (Decision.EXAMINE, Decision.DETAIN, Decision.DOCUMENTS_REQUIRED, Decision.RELEASE):
        decisions.decide(house.ctx, house.officer, consignment.id, decision, "next", accept_indeterminate=True)
    house.settle(20)
    assert [call.places[0][1] for call in statuses_sent(house, "office")] == [2, 3, 1, 4]
    batch, leaf_index = house.record(consignment.id).batch, house.record(consignment.id).leaf_index
    assert house.ledger.status(batch.root, leaf_index) == DeclarationStatus.RELEASED


def test_many_changes_of_one_batch_travel_together(house):
    papers = [house.issue_certificate(), house.issue_report()]
    lodged = [house.lodge(papers, declarationReference=f"R{number}") for number in range(5)]
    house.settle()
    for consignment in lodged:
        decisions.decide(house.ctx, house.officer, consignment.id, Decision.EXAMINE, "look")
    house.settle()
    (call,) = statuses_sent(house, "office")
    assert len(call.places) == 5


def test_a_reason_reaches_the_ledger_only_as_a_salted_digest(house):
    record = house.issue_certificate()
    house.settle()
    issuance.revoke(house.ctx, house.chamber, record.id, "a secret reason")
    house.settle()
    (call,) = statuses_sent(house, "anchorer")
    assert len(call.reason_digest) == 32
    assert call.reason_digest != sha256(b"a secret reason").digest()
    assert not any(b"secret" in raw for raw in house.ledger.sent)


def test_one_change_that_the_ledger_refuses_does_not_take_others_with_it(house):
    """A merchant takes back a statement; the chamber confirms it all the same, and revokes another certificate."""
    statement = statements.issue_statement(
        house.ctx,
        house.merchant,
        Kind.CERTIFICATE_OF_ORIGIN,
        certificate_fields(certificateNumber=None),
        house.chamber.organisation.id,
    )
    bad = house.issue_certificate()
    house.settle()
    issuance.revoke(house.ctx, house.merchant, statement.id, "stated in error")
    house.settle()
    with house.ctx.work(reading=True) as work:
        request = work.requests.find_about(statement.id)
    with suppress(Conflict):  # refusing to confirm what was taken back is as good
        issuance.confirm(house.ctx, house.chamber, request.id, "N-2")
    issuance.revoke(house.ctx, house.chamber, bad.id, "forged invoice")
    house.settle(20)
    kept = house.record(bad.id)
    assert house.ledger.status(kept.batch.root, kept.leaf_index) == DocumentStatus.REVOKED


# Refusals


def test_a_refused_transaction_is_noted_and_the_next_goes_on(house):
    house.ledger.refusing = True
    record = house.issue_certificate()
    for _ in range(3):
        run_once(house.ctx)
    with house.ctx.work(reading=True) as work:
        transaction = work.outbox.get(house.record(record.id).batch.transaction_id)
    assert (transaction.state, transaction.refusal) == (TransactionState.REFUSED, "Refusing")
    assert state_of(house, record) is not ProofState.FINAL
    assert verdict_on(house.ctx, house.record(record.id)).conclusion is Conclusion.INDETERMINATE
    house.ledger.refusing = False
    other = house.issue_certificate(certificateNumber="N-2")
    house.settle()
    assert state_of(house, other) is ProofState.FINAL
    assert_nonces_without_gaps(house)


def test_an_act_that_cannot_be_signed_does_not_stop_the_others(house):
    """One wrong act of the authority must not keep everybody's records from the ledger."""
    start = house.clock.time.replace(year=1969)
    sign = house.ledger.sign

    def strict(call, nonce):
        held = getattr(call, "accreditation", None)
        if held is not None and held.valid_from.timestamp() < 0:
            raise ValueError("the contract's numbers begin in 1970")
        return sign(call, nonce)

    house.ledger.sign = strict
    with suppress(Invalid):  # refusing it at once is better still
        accreditation.accredit(house.ctx, house.authority, house.chamber.organisation.id, valid_from=start)
    record = house.issue_certificate()
    for _ in range(3):
        with suppress(ValueError):
            run_once(house.ctx)
    assert state_of(house, record) is ProofState.FINAL


# Confirmations and reorganisations


def test_an_anchor_becomes_final_after_its_confirmations(house):
    house.with_confirmations(3)
    record = house.issue_certificate()
    run_once(house.ctx)
    assert state_of(house, record) is told_state(house, record) is ProofState.ANCHORED
    assert verdict_on(house.ctx, house.record(record.id)).conclusion is Conclusion.INDETERMINATE
    house.ledger.mine(2)
    run_once(house.ctx)
    assert state_of(house, record) is ProofState.ANCHORED
    house.ledger.mine()
    house.settle()
    assert state_of(house, record) is ProofState.FINAL
    assert verdict_on(house.ctx, house.record(record.id)).conclusion is Conclusion.VALID


def test_a_reorganisation_turns_anchored_back_to_submitted_and_never_to_lost(house):
    house.with_confirmations(3)
    record = house.issue_certificate()
    run_once(house.ctx)
    raw = house.ledger.sent[-1]
    house.ledger.holding = True
    house.ledger.reorganise(1)
    run_once(house.ctx)
    assert state_of(house, record) is ProofState.SUBMITTED
    assert house.ledger.sent[-1] == raw
    house.ledger.mine(4)
    house.settle()
    assert state_of(house, record) is ProofState.FINAL
    assert house.record(record.id).batch.block == house.ledger.head().number - 3


def test_a_reorganisation_moves_an_anchor_to_its_new_block(house):
    house.with_confirmations(2)
    record = house.issue_certificate()
    run_once(house.ctx)
    first = house.record(record.id).batch.block
    house.ledger.reorganise(1)
    house.ledger.mine(2)
    house.ledger.send(house.ledger.sent[-1])
    run_once(house.ctx)
    assert house.record(record.id).batch.block == first + 2
    house.ledger.mine(3)
    house.settle()
    assert state_of(house, record) is ProofState.FINAL


def test_a_reorganisation_never_reads_as_a_forgery(house):
    """Between the loss of a block and its return nothing is known: the record was not forged."""
    house.with_confirmations(3)
    record = house.issue_certificate()
    run_once(house.ctx)
    house.ledger.holding = True
    house.ledger.reorganise(1)
    assert verdict_on(house.ctx, house.record(record.id)).conclusion is Conclusion.INDETERMINATE


def test_a_status_whose_block_was_lost_is_written_again(house):
    record = house.issue_certificate()
    house.settle()
    house.with_confirmations(2)
    house.ledger.mine(2)
    issuance.revoke(house.ctx, house.chamber, record.id, "wrong goods")
    run_once(house.ctx)
    house.ledger.reorganise(1)
    house.ledger.mine(3)
    for _ in range(4):
        run_once(house.ctx)
        house.ledger.mine()
    kept = house.record(record.id)
    assert house.ledger.status(kept.batch.root, kept.leaf_index) == DocumentStatus.REVOKED


def test_a_round_takes_no_more_than_its_share(house, monkeypatch):
    monkeypatch.setattr(batches, "LARGEST_ROUND", 2)
    records = [house.issue_certificate(certificateNumber=f"N{number}") for number in range(5)]
    house.settle()
    assert [call.segments.size for call in anchored_batches(house)] == [2, 2, 1]
    assert all(state_of(house, record) is ProofState.FINAL for record in records)


def test_the_clock_may_stand_still(house):
    """Two changes asked in one instant still reach the ledger in the order in which they were asked."""
    consignment = house.lodge()
    house.settle()
    frozen = replace(house.ctx, now=lambda: house.clock.time + timedelta(seconds=1))
    for decision in (Decision.EXAMINE, Decision.DETAIN, Decision.EXAMINE, Decision.REJECT):
        decisions.decide(frozen, house.officer, consignment.id, decision, "next")
    house.settle(20)
    batch, leaf_index = house.record(consignment.id).batch, house.record(consignment.id).leaf_index
    assert house.ledger.status(batch.root, leaf_index) == DeclarationStatus.REJECTED
