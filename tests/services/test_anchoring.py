"""From database to ledger, whatever happens in between."""

from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import pytest

from backend.domain import bundle
from backend.domain.consignment import Decision, Step
from backend.domain.errors import Conflict, Invalid, LedgerUnavailable
from backend.domain.evidence import Segments
from backend.domain.kinds import Kind
from backend.domain.ledger import AnchorBatch, ChangeStatuses, DeclarationStatus, DocumentStatus, batch_key
from backend.domain.outbox import TransactionState
from backend.domain.records import ProofState
from backend.domain.verdict import Conclusion
from backend.services import accreditation, bundles, decisions, declarations, issuance, statements
from backend.services.anchoring import (
    anchor_sealed,
    batches,
    is_under_way,
    poll_receipts,
    run_once,
    seal_stored,
    status_changes,
)
from backend.services.audit import audit
from backend.services.verification import verdict_on, verdict_on_bundle
from backend.store import database
from tests.helpers.builders import certificate_fields
from tests.helpers.fakes import ANCHORERS


class Crash(BaseException):
    """The power goes: nothing of ours may catch it."""


def state_of(installation, record):
    return installation.record(record.id).proof_state


def anchored_batches(installation):
    return [call for _, call in installation.ledger.mined("anchorer") if isinstance(call, AnchorBatch)]


def transactions(installation):
    with installation.ctx.work(reading=True) as work:
        return list(work.outbox.pending())


# The ordinary way


def told_state(installation, record):
    """The state of the proof as the verdict tells it."""
    return verdict_on(installation.ctx, installation.record(record.id)).proof_state


def test_a_record_goes_from_stored_to_final(installation):
    installation.ledger.holding = True
    record = installation.issue_certificate()
    assert state_of(installation, record) is told_state(installation, record) is ProofState.STORED
    seal_stored(installation.ctx)
    assert state_of(installation, record) is told_state(installation, record) is ProofState.SEALED
    anchor_sealed(installation.ctx)
    assert state_of(installation, record) is told_state(installation, record) is ProofState.SUBMITTED
    poll_receipts(installation.ctx)
    assert state_of(installation, record) is ProofState.SUBMITTED
    installation.ledger.mine()
    poll_receipts(installation.ctx)
    assert state_of(installation, record) is ProofState.FINAL
    assert not is_under_way(installation.ctx)
    assert told_state(installation, record) is ProofState.FINAL
    assert verdict_on(installation.ctx, installation.record(record.id)).conclusion is Conclusion.VALID


def test_records_of_one_run_share_ordered_batch(installation):
    """Certificates, reports and declarations stand in the order of their segments."""
    consignment = installation.lodge()
    installation.settle()
    (batch,) = anchored_batches(installation)
    assert (batch.segments.origin_end, batch.segments.inspection_end, batch.segments.declaration_end) == (1, 2, 3)
    assert installation.record(consignment.id).leaf_index == 2


def test_nothing_waiting_makes_no_batch(installation):
    assert not seal_stored(installation.ctx)
    assert run_once(installation.ctx) is False
    assert not anchored_batches(installation)


def test_a_declaration_that_becomes_final_leaves_one_event(installation):
    consignment = installation.lodge()
    installation.settle()
    run_once(installation.ctx)
    steps = [event.step for event in installation.consignment(consignment.id).events]
    assert steps == [Step.LODGED, Step.ANCHORED]


# Crashes


def crashing(installation, port, method, after):
    """The installation with one method that fails once, before or after it has done its work."""
    real = getattr(getattr(installation.ctx, port), method)
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
    return replace(installation.ctx, **{port: failing})


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("method", ["head", "next_nonce", "sign", "send", "receipt"])
def test_crash_at_ledger_loses_and_repeats_nothing(installation, method, after):
    consignment = installation.lodge()
    decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.EXAMINE, "look inside")
    with pytest.raises(Crash):
        run_once(crashing(installation, "ledger", method, after))
    installation.settle()
    assert len(anchored_batches(installation)) == 1
    assert state_of(installation, consignment.record) is ProofState.FINAL
    batch, leaf_index = installation.record(consignment.id).batch, installation.record(consignment.id).leaf_index
    assert (
        installation.ledger.status(installation.ledger.batch_key(batch.root), leaf_index)
        == DeclarationStatus.EXAMINATION
    )
    assert_nonces_without_gaps(installation)


def assert_nonces_without_gaps(installation):
    for signer in ("anchorer", "authority", "office"):
        nonces = [nonce for nonce, _ in installation.ledger.mined(signer)]
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

    def run(self, use_case):
        return self._real.run(use_case)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("nth", range(1, 6))
def test_crash_at_any_commit_loses_and_repeats_nothing(installation, nth, after):
    consignment = installation.lodge()
    decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.DETAIN, "keep it")
    failing = replace(installation.ctx, work=FailingWork(installation.ctx.work, nth, after))
    with pytest.raises(Crash):
        runs(failing, 5)
    installation.settle()
    batch, leaf_index = installation.record(consignment.id).batch, installation.record(consignment.id).leaf_index
    assert len(anchored_batches(installation)) == 1
    assert (
        installation.ledger.status(installation.ledger.batch_key(batch.root), leaf_index) == DeclarationStatus.DETAINED
    )
    assert [event.step for event in installation.consignment(consignment.id).events].count(Step.ANCHORED) == 1
    assert_nonces_without_gaps(installation)


def test_signed_transaction_is_resent_with_same_bytes(installation):
    installation.ledger.swallowing = True
    record = installation.issue_certificate()
    run_once(installation.ctx)
    run_once(installation.ctx)
    assert len(set(installation.ledger.sent[-3:])) == 1
    installation.ledger.swallowing = False
    installation.settle()
    assert state_of(installation, record) is ProofState.FINAL
    assert_nonces_without_gaps(installation)


def test_several_batches_wait_their_turn_without_gaps(installation):
    installation.ledger.holding = True
    records = []
    for number in range(4):
        records.append(installation.issue_certificate(certificateNumber=f"N{number}"))
        run_once(installation.ctx)
    assert [transaction.nonce for transaction in transactions(installation)] == [0, 1, 2, 3]
    installation.ledger.holding = False
    installation.ledger.mine()
    installation.settle()
    assert {state_of(installation, record) for record in records} == {ProofState.FINAL}
    assert_nonces_without_gaps(installation)


def test_receipts_that_come_late_are_waited_for(installation):
    installation.ledger.holding = True
    record = installation.issue_certificate()
    for _ in range(5):
        assert run_once(installation.ctx)
    installation.ledger.mine()
    installation.settle()
    assert state_of(installation, record) is ProofState.FINAL
    assert len(anchored_batches(installation)) == 1


# A ledger that is not there


def test_a_ledger_that_was_down_loses_nothing(installation):
    installation.ledger.down = True
    consignment = installation.lodge()
    decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.EXAMINE, "look")
    accreditation.suspend(installation.ctx, installation.authority, installation.other_chamber.organisation.id)
    for _ in range(3):
        with pytest.raises(LedgerUnavailable):
            run_once(installation.ctx)
    installation.ledger.down = False
    installation.settle()
    batch, leaf_index = installation.record(consignment.id).batch, installation.record(consignment.id).leaf_index
    assert (
        installation.ledger.status(installation.ledger.batch_key(batch.root), leaf_index)
        == DeclarationStatus.EXAMINATION
    )
    assert state_of(installation, consignment.record) is ProofState.FINAL


# Statuses


def statuses_sent(installation, signer):
    return [call for _, call in installation.ledger.mined(signer) if isinstance(call, ChangeStatuses)]


def test_changes_of_one_record_arrive_in_order(installation):
    consignment = installation.lodge()
    for decision in (Decision.EXAMINE, Decision.DETAIN, Decision.DOCUMENTS_REQUIRED, Decision.RELEASE):
        decisions.decide(
            installation.ctx, installation.officer, consignment.id, decision, "next", accept_indeterminate=True
        )
    installation.settle(20)
    assert [call.places[0][1] for call in statuses_sent(installation, "office")] == [2, 3, 1, 4]
    batch, leaf_index = installation.record(consignment.id).batch, installation.record(consignment.id).leaf_index
    assert (
        installation.ledger.status(installation.ledger.batch_key(batch.root), leaf_index) == DeclarationStatus.RELEASED
    )


@pytest.mark.parametrize("ids_at_once", [500, 2])
def test_many_changes_of_one_batch_travel_together(installation, monkeypatch, ids_at_once):
    monkeypatch.setattr(database, "AT_ONCE", ids_at_once)
    papers = [installation.issue_certificate(), installation.issue_report()]
    lodged = [installation.lodge(papers, declarationReference=f"R{number}") for number in range(5)]
    installation.settle()
    for consignment in lodged:
        decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.EXAMINE, "look")
    installation.settle()
    (call,) = statuses_sent(installation, "office")
    assert len(call.places) == 5
    assert not audit(installation.ctx).discrepancies


def open_statuses(installation):
    """The open transactions that change statuses: signer, and the records that each carries."""
    with installation.ctx.work(reading=True) as work:
        return [
            (one.signer, {change.record_id for change in carried})
            for one in work.outbox.pending()
            if (carried := work.status_changes.sent_by(one))
        ]


def in_batches_of_their_own(installation, count):
    """Lodge declarations, each anchored before the next."""
    papers = [installation.issue_certificate(), installation.issue_report()]
    lodged = []
    for number in range(count):
        lodged.append(installation.lodge(papers, declarationReference=f"R{number}"))
        installation.settle()
    return lodged


def examine(installation, consignment):
    decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.EXAMINE, "look")


def test_changes_of_several_batches_wait_together(installation):
    lodged = in_batches_of_their_own(installation, 3)
    installation.ledger.holding = True
    for consignment in lodged:
        examine(installation, consignment)
    run_once(installation.ctx)
    assert open_statuses(installation) == [("office", {one.id}) for one in lodged]
    installation.ledger.holding = False
    installation.ledger.mine()
    installation.settle()
    assert [installation.record(one.id).status for one in lodged] == [DeclarationStatus.EXAMINATION] * 3
    assert not audit(installation.ctx).discrepancies


def test_withdrawal_waits_until_decision_is_final(installation):
    """A decision that is mined may still be lost, and a withdrawal by another account be mined before it."""
    installation.with_confirmations(3)
    papers = [installation.issue_certificate(), installation.issue_report()]
    decided, other = (installation.lodge(papers, declarationReference=reference) for reference in ("R1", "R2"))
    for _ in range(4):
        run_once(installation.ctx)
        installation.ledger.mine()
    decisions.decide(installation.ctx, installation.officer, decided.id, Decision.DOCUMENTS_REQUIRED, "the invoice")
    run_once(installation.ctx)  # sent, and mined with it
    run_once(installation.ctx)
    for consignment in (decided, other):
        declarations.withdraw(installation.ctx, installation.merchant, consignment.id)
    run_once(installation.ctx)
    assert open_statuses(installation) == [("anchorer", {other.id}), ("office", {decided.id})]
    installation.ledger.mine(4)
    run_once(installation.ctx)
    run_once(installation.ctx)
    assert ("anchorer", {decided.id}) in open_statuses(installation)
    assert [call.places[0][1] for call in statuses_sent(installation, "office")] == [
        DeclarationStatus.DOCUMENTS_REQUIRED
    ]


def test_stuck_account_holds_up_no_other(installation):
    """The office's transactions wait for a block; the chamber still revokes, in the same batch and in others."""
    lodged = installation.lodge()
    bad = installation.issue_certificate(certificateNumber="N-2")
    installation.settle()
    installation.ledger.holding = True
    examine(installation, lodged)
    run_once(installation.ctx)
    issuance.revoke(installation.ctx, installation.chamber, bad.id, "forged invoice")
    run_once(installation.ctx)
    assert open_statuses(installation) == [("anchorer", {bad.id}), ("office", {lodged.id})]


def test_more_of_one_batch_waits_for_its_block(installation):
    """What is decided while a transaction of its batch waits travels together in the next: gas is shared."""
    papers = [installation.issue_certificate(), installation.issue_report()]
    lodged = [installation.lodge(papers, declarationReference=f"R{number}") for number in range(4)]
    installation.settle()
    installation.ledger.holding = True
    for consignment in lodged:
        examine(installation, consignment)
        run_once(installation.ctx)
    assert [len(carried) for _, carried in open_statuses(installation)] == [1]
    installation.ledger.holding = False
    installation.ledger.mine()
    installation.settle()
    assert [len(call.places) for call in statuses_sent(installation, "office")] == [1, 3]


def test_an_account_fills_no_pool(installation, monkeypatch):
    monkeypatch.setattr(status_changes, "MOST_UNMINED", 2)
    lodged = in_batches_of_their_own(installation, 5)
    installation.ledger.holding = True
    for consignment in lodged:
        examine(installation, consignment)
    for _ in range(3):
        run_once(installation.ctx)
    assert len(open_statuses(installation)) == 2
    installation.ledger.holding = False
    installation.ledger.mine()
    installation.settle()
    assert [installation.record(one.id).status for one in lodged] == [DeclarationStatus.EXAMINATION] * 5


def test_reason_reaches_ledger_as_salted_digest_only(installation):
    record = installation.issue_certificate()
    installation.settle()
    issuance.revoke(installation.ctx, installation.chamber, record.id, "a secret reason")
    installation.settle()
    (call,) = statuses_sent(installation, "anchorer")
    assert len(call.reason_digest) == 32
    assert call.reason_digest != sha256(b"a secret reason").digest()
    assert not any(b"secret" in raw for raw in installation.ledger.sent)


def test_one_refused_change_leaves_the_others(installation):
    """A merchant takes back a statement; the chamber confirms it all the same, and revokes another certificate."""
    statement = statements.issue_statement(
        installation.ctx,
        installation.merchant,
        Kind.CERTIFICATE_OF_ORIGIN,
        certificate_fields(certificateNumber=None),
        installation.chamber.organisation.id,
    )
    bad = installation.issue_certificate()
    installation.settle()
    issuance.revoke(installation.ctx, installation.merchant, statement.id, "stated in error")
    installation.settle()
    with installation.ctx.work(reading=True) as work:
        request = work.requests.find_about(statement.id)
    with suppress(Conflict):  # refusing to confirm what was taken back is as good
        issuance.confirm(installation.ctx, installation.chamber, request.id, "N-2")
    issuance.revoke(installation.ctx, installation.chamber, bad.id, "forged invoice")
    installation.settle(20)
    kept = installation.record(bad.id)
    assert (
        installation.ledger.status(installation.ledger.batch_key(kept.batch.root), kept.leaf_index)
        == DocumentStatus.REVOKED
    )


# Refusals


def test_refused_transaction_is_noted_and_next_continues(installation):
    installation.ledger.refusing = True
    record = installation.issue_certificate()
    for _ in range(3):
        run_once(installation.ctx)
    with installation.ctx.work(reading=True) as work:
        transaction = work.outbox.get(installation.record(record.id).batch.transaction_id)
    assert (transaction.state, transaction.refusal) == (TransactionState.REFUSED, "Refusing")
    assert state_of(installation, record) is not ProofState.FINAL
    assert verdict_on(installation.ctx, installation.record(record.id)).conclusion is Conclusion.INDETERMINATE
    installation.ledger.refusing = False
    other = installation.issue_certificate(certificateNumber="N-2")
    installation.settle()
    assert state_of(installation, other) is ProofState.FINAL
    assert_nonces_without_gaps(installation)


def test_call_that_fails_signing_stops_no_other(installation):
    """One wrong act of the authority must not keep everybody's records from the ledger."""
    start = installation.clock.time.replace(year=1969)
    sign = installation.ledger.sign

    def strict(call, nonce):
        held = getattr(call, "accreditation", None)
        if held is not None and held.valid_from.timestamp() < 0:
            raise ValueError("the contract's numbers begin in 1970")
        return sign(call, nonce)

    installation.ledger.sign = strict
    with suppress(Invalid):  # refusing it at once is better still
        accreditation.accredit(
            installation.ctx, installation.authority, installation.chamber.organisation.id, valid_from=start
        )
    record = installation.issue_certificate()
    for _ in range(3):
        with suppress(ValueError):
            run_once(installation.ctx)
    assert state_of(installation, record) is ProofState.FINAL


# Confirmations and reorganisations


def test_an_anchor_becomes_final_after_its_confirmations(installation):
    installation.with_confirmations(3)
    record = installation.issue_certificate()
    run_once(installation.ctx)
    assert state_of(installation, record) is told_state(installation, record) is ProofState.ANCHORED
    assert verdict_on(installation.ctx, installation.record(record.id)).conclusion is Conclusion.INDETERMINATE
    installation.ledger.mine(2)
    run_once(installation.ctx)
    assert state_of(installation, record) is ProofState.ANCHORED
    installation.ledger.mine()
    installation.settle()
    assert state_of(installation, record) is ProofState.FINAL
    assert verdict_on(installation.ctx, installation.record(record.id)).conclusion is Conclusion.VALID


def test_a_reorganisation_turns_anchored_back_to_submitted(installation):
    """What is anchored is never lost by it."""
    installation.with_confirmations(3)
    record = installation.issue_certificate()
    run_once(installation.ctx)
    raw = installation.ledger.sent[-1]
    installation.ledger.holding = True
    installation.ledger.reorganise(1)
    run_once(installation.ctx)
    assert state_of(installation, record) is ProofState.SUBMITTED
    assert installation.ledger.sent[-1] == raw
    installation.ledger.mine(4)
    installation.settle()
    assert state_of(installation, record) is ProofState.FINAL
    assert installation.record(record.id).batch.block == installation.ledger.head().number - 3


def test_a_reorganisation_moves_anchor_to_new_block(installation):
    installation.with_confirmations(2)
    record = installation.issue_certificate()
    run_once(installation.ctx)
    first = installation.record(record.id).batch.block
    installation.ledger.reorganise(1)
    installation.ledger.mine(2)
    installation.ledger.send(installation.ledger.sent[-1])
    run_once(installation.ctx)
    assert installation.record(record.id).batch.block == first + 2
    installation.ledger.mine(3)
    installation.settle()
    assert state_of(installation, record) is ProofState.FINAL


def test_a_reorganisation_never_reads_as_a_forgery(installation):
    """Between the loss of a block and its return nothing is known: the record was not forged."""
    installation.with_confirmations(3)
    record = installation.issue_certificate()
    run_once(installation.ctx)
    installation.ledger.holding = True
    installation.ledger.reorganise(1)
    assert verdict_on(installation.ctx, installation.record(record.id)).conclusion is Conclusion.INDETERMINATE


def test_status_in_lost_block_is_written_again(installation):
    record = installation.issue_certificate()
    installation.settle()
    installation.with_confirmations(2)
    installation.ledger.mine(2)
    issuance.revoke(installation.ctx, installation.chamber, record.id, "wrong goods")
    run_once(installation.ctx)
    installation.ledger.reorganise(1)
    installation.ledger.mine(3)
    for _ in range(4):
        run_once(installation.ctx)
        installation.ledger.mine()
    kept = installation.record(record.id)
    assert (
        installation.ledger.status(installation.ledger.batch_key(kept.batch.root), kept.leaf_index)
        == DocumentStatus.REVOKED
    )


def test_a_round_takes_no_more_than_its_share(installation, monkeypatch):
    monkeypatch.setattr(batches, "LARGEST_ROUND", 2)
    records = [installation.issue_certificate(certificateNumber=f"N{number}") for number in range(5)]
    installation.settle()
    assert [call.segments.size for call in anchored_batches(installation)] == [2, 2, 1]
    assert all(state_of(installation, record) is ProofState.FINAL for record in records)


def test_the_clock_may_stand_still(installation):
    """Two changes asked in one instant still reach the ledger in the order in which they were asked."""
    consignment = installation.lodge()
    installation.settle()
    frozen = replace(installation.ctx, now=lambda: installation.clock.time + timedelta(seconds=1))
    for decision in (Decision.EXAMINE, Decision.DETAIN, Decision.EXAMINE, Decision.REJECT):
        decisions.decide(frozen, installation.officer, consignment.id, decision, "next")
    installation.settle(20)
    batch, leaf_index = installation.record(consignment.id).batch, installation.record(consignment.id).leaf_index
    assert (
        installation.ledger.status(installation.ledger.batch_key(batch.root), leaf_index) == DeclarationStatus.REJECTED
    )


# Another anchorer who copies our roots


def sealed_root(installation):
    with installation.ctx.work(reading=True) as work:
        (batch,) = work.batches.pending()
    return batch.root, batch.segments


OTHER_SEGMENTS = Segments(0, 0, 0, 1)


@pytest.mark.parametrize("segments", [None, OTHER_SEGMENTS], ids=["same segments", "other segments"])
def test_root_copied_before_us_is_anchored_as_ours(installation, segments):
    record = installation.issue_certificate()
    seal_stored(installation.ctx)
    root, ours = sealed_root(installation)
    assert installation.ledger.act_as("other_anchorer", AnchorBatch(root, segments or ours))
    installation.settle()
    kept = installation.record(record.id)
    assert kept.proof_state is ProofState.FINAL
    batch = installation.ledger.batch(installation.ledger.batch_key(root))
    assert (batch.anchorer, batch.segments) == (installation.ledger.anchorer(), ours)
    assert [call.root for call in anchored_batches(installation)] == [root]
    assert verdict_on(installation.ctx, kept).conclusion is Conclusion.VALID
    assert not audit(installation.ctx).discrepancies


def test_root_copied_after_reorganisation_stays_ours(installation):
    """Whoever is quicker the second time gets nothing by it."""
    record = installation.issue_certificate()
    installation.settle()
    root = installation.record(record.id).batch.root
    installation.ledger.reorganise(len(installation.ledger._blocks) - 1)
    assert installation.ledger.act_as("other_anchorer", AnchorBatch(root, OTHER_SEGMENTS))
    for _ in range(4):
        run_once(installation.ctx)
    installation.settle()
    assert state_of(installation, record) is ProofState.FINAL
    assert installation.ledger.batch(installation.ledger.batch_key(root)).anchorer == installation.ledger.anchorer()


def test_copied_batch_changes_no_verdict_on_ours(installation):
    """What its anchorer does in the copy concerns the bundle that names the copy, and no other."""
    record = installation.issue_certificate()
    installation.settle()
    kept = installation.record(record.id)
    root, ours = kept.batch.root, bundle.write(bundles.bundle_of(installation.ctx, kept))
    copied, revoked = AnchorBatch(root, kept.batch.segments), ((kept.leaf_index, 2),)
    assert installation.ledger.act_as("other_anchorer", copied)
    key = batch_key(ANCHORERS["other_anchorer"], root)
    assert installation.ledger.act_as("other_anchorer", ChangeStatuses(key, revoked, bytes(32)))
    (anchoring,) = installation.ledger.anchorings(key)
    theirs = deepcopy(ours)
    theirs["records"][0]["anchor"]["transaction"] = anchoring.transaction_hash.hex()
    assert verdict_on_bundle(installation.ctx, ours).conclusion is Conclusion.VALID
    assert verdict_on_bundle(installation.ctx, theirs).conclusion is Conclusion.INVALID


@pytest.mark.parametrize("segments", [None, OTHER_SEGMENTS], ids=["same segments", "other segments"])
def test_earlier_ledger_with_copied_root_is_not_believed(installation, segments):
    """There a root is whoever's who anchors it first: the batch is another's, and the trouble is told."""
    installation.ledger._state.has_keys = False
    record = installation.issue_certificate()
    seal_stored(installation.ctx)
    root, ours = sealed_root(installation)
    assert installation.ledger.act_as("other_anchorer", AnchorBatch(root, segments or ours))
    for _ in range(4):
        run_once(installation.ctx)
    assert state_of(installation, record) is ProofState.SEALED
    with installation.ctx.work(reading=True) as work:
        assert [batch.trouble for batch in work.batches.pending()] == ["another anchorer has anchored this root"]


def test_earlier_ledger_is_used_as_before(installation):
    installation.ledger._state.has_keys = False
    record = installation.issue_certificate()
    installation.settle()
    root = installation.record(record.id).batch.root
    assert installation.ledger.batch_key(root) == root
    assert state_of(installation, record) is ProofState.FINAL
    assert not audit(installation.ctx).discrepancies
