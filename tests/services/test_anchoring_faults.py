"""The faults of chain and database that docs/faults.md lists, one after another, against the fake ledger."""

import sqlite3
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import pytest
from sqlalchemy import text

from backend.domain.clearance import Decision
from backend.domain.errors import Conflict, ForeignLedger, LedgerUnavailable
from backend.domain.ledger import AnchorBatch, CancelNonce
from backend.domain.outbox import TransactionState
from backend.domain.records import ProofState
from backend.domain.statuses import DeclarationStatus
from backend.services import anchoring, decisions
from backend.services.anchoring import acquire_lease, batches, pipeline, release_lease, run_once, seal_stored
from backend.store.encrypted_types import keys_of
from tests.services.test_anchoring import anchored_batches, assert_nonces_without_gaps, state_of, transactions


def in_database(house, statement, **values):
    """Change something behind the application's back."""
    with house.ctx.work() as work:
        work._session.execute(text(statement), values)
        work.commit()


def rewrite(house, record, column, change):
    """What an operator could do who has the keys: another content, properly sealed."""
    with house.ctx.work() as work:
        connection = work._session.connection()
        keys, where = keys_of(connection.dialect), {"i": record.id}
        sealed = connection.execute(text(f"SELECT {column} FROM record WHERE id = :i"), where).scalar_one()
        where["new"] = keys.seal(change(keys.open(sealed)))
        connection.execute(text(f"UPDATE record SET {column} = :new WHERE id = :i"), where)
        work.commit()


def batch_of(house, record):
    return house.record(record.id).batch


# ---- 5, 12: another chain


def test_nothing_is_signed_or_sent_while_another_chain_answers(house):
    record, sent = house.issue_certificate(), len(house.ledger.sent)
    house.ledger.foreign = True
    for _ in range(3):
        with pytest.raises(ForeignLedger):
            run_once(house.ctx)
    assert len(house.ledger.sent) == sent
    assert state_of(house, record) is ProofState.SEALED
    assert not transactions(house)
    house.ledger.foreign = False
    house.settle()
    assert state_of(house, record) is ProofState.FINAL


# ---- 6: swallowed


def test_a_swallowed_transaction_is_sent_again_until_it_is_mined(house):
    house.ledger.swallowing = True
    record = house.issue_certificate()
    for _ in range(4):
        run_once(house.ctx)
    assert len(set(house.ledger.sent[-4:])) == 1
    assert state_of(house, record) is ProofState.SUBMITTED
    house.ledger.swallowing = False
    house.settle()
    assert state_of(house, record) is ProofState.FINAL
    assert_nonces_without_gaps(house)


# ---- 7: numbers


def test_a_number_that_somebody_else_used_is_noticed_and_the_act_signed_anew(house):
    house.ledger.holding = True
    record = house.issue_certificate()
    run_once(house.ctx)
    (transaction,) = transactions(house)
    foreign = house.ledger.sign(CancelNonce("anchorer"), transaction.nonce)
    house.ledger._pool.clear()
    house.ledger.send(foreign.raw)
    house.ledger.mine()
    house.ledger.holding = False
    run_once(house.ctx)
    assert state_of(house, record) is ProofState.SUBMITTED, "a late receipt gets its time"
    house.clock.pass_by(anchoring.PATIENCE)
    house.settle()
    assert state_of(house, record) is ProofState.FINAL
    assert len(anchored_batches(house)) == 1
    with house.ctx.work(reading=True) as work:
        assert work.outbox.get(transaction.id).state is TransactionState.REPLACED


def test_a_status_whose_number_was_taken_reaches_the_ledger_once(house):
    consignment = house.lodge()
    house.settle()
    decisions.decide(house.ctx, house.officer, consignment.id, Decision.EXAMINE, "look")
    house.ledger.holding = True
    run_once(house.ctx)
    (transaction,) = transactions(house)
    house.ledger._pool.clear()
    house.ledger.send(house.ledger.sign(CancelNonce("office"), transaction.nonce).raw)
    house.ledger.mine()
    house.ledger.holding = False
    house.clock.pass_by(anchoring.PATIENCE)
    house.settle()
    record = house.record(consignment.id)
    assert house.ledger.status(record.batch.root, record.leaf_index) == DeclarationStatus.EXAMINATION


def test_a_gap_before_open_transactions_is_filled(house):
    house.ledger.swallowing = True
    first = house.issue_certificate(certificateNumber="N-1")
    run_once(house.ctx)
    second = house.issue_certificate(certificateNumber="N-2")
    run_once(house.ctx)
    low, _ = transactions(house)
    in_database(house, "UPDATE batch SET transaction_id = NULL, state = 'sealed' WHERE transaction_id = :i", i=low.id)
    in_database(house, "DELETE FROM outbound_transaction WHERE id = :i", i=low.id)
    house.ledger.swallowing = False
    house.settle()
    assert {state_of(house, record) for record in (first, second)} == {ProofState.FINAL}
    assert_nonces_without_gaps(house)


def test_a_gap_that_no_act_fills_is_used_up_by_nothing(house):
    house.ledger.swallowing = True
    house.issue_certificate(certificateNumber="N-1")
    run_once(house.ctx)
    record = house.issue_certificate(certificateNumber="N-2")
    run_once(house.ctx)
    low, _ = transactions(house)
    in_database(house, "UPDATE outbound_transaction SET state = 'refused', refusal = 'x' WHERE id = :i", i=low.id)
    house.ledger.swallowing = False
    house.settle()
    assert state_of(house, record) is ProofState.FINAL
    assert any(isinstance(call, CancelNonce) for _, call in house.ledger.mined("anchorer"))
    assert_nonces_without_gaps(house)


def test_a_number_is_open_once_whatever_a_worker_believes(house):
    """The database itself refuses a second open transaction under one number."""
    house.ledger.holding = True
    house.issue_certificate()
    run_once(house.ctx)
    (transaction,) = transactions(house)
    with pytest.raises(Conflict, match="recorded already"), house.ctx.work() as work:
        work.add(replace(transaction, id="other", transaction_hash=b"\1" * 32))


# ---- 8: fees


def stuck(house):
    """A batch whose transaction no block takes."""
    house.ledger.lowest_fee = 4
    record = house.issue_certificate()
    for _ in range(2):
        run_once(house.ctx)
        house.ledger.mine()
    return record


def test_a_fee_that_no_block_wants_is_raised_until_one_does(house):
    record = stuck(house)
    first = batch_of(house, record).transaction_hash
    assert state_of(house, record) is ProofState.SUBMITTED
    for _ in range(3):
        house.clock.pass_by(anchoring.RAISE_AFTER)
        run_once(house.ctx)
        house.ledger.mine()
    house.settle()
    assert state_of(house, record) is ProofState.FINAL
    with house.ctx.work(reading=True) as work:
        transaction = work.outbox.get(batch_of(house, record).transaction_id)
    assert first in transaction.hashes
    assert len(transaction.hashes) == 3
    assert batch_of(house, record).transaction_hash == transaction.transaction_hash
    assert len(anchored_batches(house)) == 1
    assert_nonces_without_gaps(house)


def test_a_fee_is_not_raised_before_its_time(house):
    record = stuck(house)
    before = len(house.ledger.sent)
    run_once(house.ctx)
    assert len(set(house.ledger.sent[before - 1 :])) == 1
    assert state_of(house, record) is ProofState.SUBMITTED


def test_an_earlier_bid_that_is_mined_after_all_counts(house):
    record = stuck(house)
    first = house.ledger.sent[-1]
    house.clock.pass_by(anchoring.RAISE_AFTER)
    run_once(house.ctx)
    assert house.ledger.sent[-1] != first
    house.ledger._pool[:] = [first]
    house.ledger.lowest_fee = 0
    house.ledger.mine()
    house.settle()
    assert state_of(house, record) is ProofState.FINAL
    assert batch_of(house, record).transaction_hash == sha256(first).digest()
    assert len(anchored_batches(house)) == 1


def test_the_highest_fee_is_never_exceeded(house):
    house.ledger.highest_fee = 2
    record = stuck(house)
    for _ in range(5):
        house.clock.pass_by(anchoring.RAISE_AFTER)
        run_once(house.ctx)
    assert max(house.ledger._fees[raw] for raw in house.ledger.sent) == 2
    house.ledger.lowest_fee = 0
    house.ledger.mine()
    house.settle()
    assert state_of(house, record) is ProofState.FINAL


# ---- 9: gas money


def test_without_money_the_same_transaction_waits_and_is_told(house):
    house.ledger.poor = True
    record = house.issue_certificate()
    for _ in range(3):
        house.clock.pass_by(anchoring.RAISE_AFTER)
        run_once(house.ctx)
    with house.ctx.work(reading=True) as work:
        assert "insufficient funds" in work.outbox.troubles()[0]
    assert len(set(house.ledger.sent[-2:])) == 1
    house.ledger.poor = False
    house.settle()
    assert state_of(house, record) is ProofState.FINAL
    with house.ctx.work(reading=True) as work:
        assert not work.outbox.troubles()


# ---- 10, 12, 13: blocks that vanish


@pytest.mark.parametrize("depth", range(1, 13))
def test_blocks_that_vanish_are_made_up_for_at_every_depth(house, depth):
    house.with_confirmations(4)
    records = []
    for number in range(3):
        records.append(house.issue_certificate(certificateNumber=f"N-{number}"))
        run_once(house.ctx)
        house.ledger.mine(4)
        house.settle()
    house.ledger.mine(max(0, 3 - depth))
    house.ledger.reorganise(min(depth, len(house.ledger._blocks) - 1))
    for _ in range(12):
        run_once(house.ctx)
        house.ledger.mine()
    house.settle()
    assert {state_of(house, record) for record in records} == {ProofState.FINAL}
    assert len(anchored_batches(house)) == 3
    for record in records:
        assert house.ledger.batch(batch_of(house, record).root) is not None
    assert_nonces_without_gaps(house)


def test_a_chain_restored_from_an_older_copy_gets_everything_again(house):
    """Confirmations do not help where the operator puts an old chain file back: what was final is gone."""
    old = deepcopy((house.ledger._receipts, house.ledger._blocks, house.ledger._state))
    consignment = house.lodge()
    house.settle()
    decisions.decide(house.ctx, house.officer, consignment.id, Decision.DETAIN, "keep it")
    house.settle()
    house.ledger._receipts, house.ledger._blocks, house.ledger._state = old
    house.settle()
    record = house.record(consignment.id)
    assert record.proof_state is ProofState.FINAL
    assert house.ledger.status(record.batch.root, record.leaf_index) == DeclarationStatus.DETAINED
    assert_nonces_without_gaps(house)


def database_file(house):
    with house.ctx.work(reading=True) as work:
        return work._session.connection().engine.url.database


def restore_from(house, snapshot):
    """Put an older copy of the database back."""
    with sqlite3.connect(snapshot) as source, sqlite3.connect(database_file(house)) as target:
        source.backup(target)


def save_to(house, snapshot):
    with sqlite3.connect(database_file(house)) as source, sqlite3.connect(snapshot) as target:
        source.backup(target)


def test_a_restored_database_recognises_the_roots_that_are_already_there(house, tmp_path):
    record = house.issue_certificate()
    seal_stored(house.ctx)
    save_to(house, tmp_path / "old.sqlite")
    house.settle()
    transaction = batch_of(house, record).transaction_hash
    restore_from(house, tmp_path / "old.sqlite")
    assert state_of(house, record) is ProofState.SEALED
    sent = len(house.ledger.sent)
    house.settle()
    assert state_of(house, record) is ProofState.FINAL
    assert batch_of(house, record).transaction_hash == transaction
    assert len(house.ledger.sent) == sent, "nothing was sent again"
    other = house.issue_certificate(certificateNumber="N-2")
    house.settle()
    assert state_of(house, other) is ProofState.FINAL
    assert_nonces_without_gaps(house)


def test_a_restored_database_finds_what_it_had_sent(house, tmp_path):
    house.ledger.holding = True
    record = house.issue_certificate()
    run_once(house.ctx)
    save_to(house, tmp_path / "old.sqlite")
    house.ledger.holding = False
    house.ledger.mine()
    house.settle()
    restore_from(house, tmp_path / "old.sqlite")
    house.settle()
    assert state_of(house, record) is ProofState.FINAL
    assert len(anchored_batches(house)) == 1


# ---- 11: mined but refused


def test_a_refused_batch_is_anchored_once_the_cause_is_gone_and_no_gas_is_burnt_meanwhile(house):
    house.ledger.refusing = True
    record = house.issue_certificate()
    for _ in range(5):
        run_once(house.ctx)
    assert len(house.ledger.mined("anchorer")) == 1
    with house.ctx.work(reading=True) as work:
        assert "Refusing" in work.outbox.troubles()
    house.ledger.refusing = False
    house.settle()
    assert state_of(house, record) is ProofState.FINAL
    assert_nonces_without_gaps(house)


def test_a_refusal_whose_block_vanishes_is_signed_anew_though_the_bytes_are_the_same(house):
    """Signing is the same every time: the row of the refused transaction is opened again, not refused as a double."""
    house.with_confirmations(3)
    house.ledger.refusing = True
    record = house.issue_certificate()
    run_once(house.ctx)
    house.ledger.reorganise(1)
    house.ledger.refusing = False
    for _ in range(8):
        run_once(house.ctx)
        house.ledger.mine()
    house.settle()
    assert state_of(house, record) is ProofState.FINAL
    assert len(anchored_batches(house)) == 1
    assert_nonces_without_gaps(house)


# ---- 15: changed after sealing; 24: poison


def test_a_batch_whose_record_was_changed_behind_the_application_is_not_anchored(house):
    record = house.issue_certificate()
    seal_stored(house.ctx)
    rewrite(house, record, "signed_jwt", lambda content: content + b"x")
    for _ in range(3):
        run_once(house.ctx)
    assert not anchored_batches(house)
    assert "do not give its root; changed places: [0]" in batch_of(house, record).trouble


@pytest.mark.parametrize(
    "poison",
    [
        "UPDATE record SET signed_jwt = 'not what was sealed' WHERE id = :i",
        "UPDATE record SET signed_jwt = CAST(signed_jwt || 'x' AS BLOB) WHERE id = :i",
        "UPDATE record SET disclosures = CAST(disclosures || 'x' AS BLOB) WHERE id = :i",
        "UPDATE record SET digest = 'zz' WHERE id = :i",
        "UPDATE record SET kind = 99 WHERE id = :i",
        "UPDATE record SET quantity = 'many' WHERE id = :i",
        "UPDATE record SET quantity = '-5' WHERE id = :i",
        "UPDATE record SET disclosures = '{' WHERE id = :i",
    ],
)
def test_a_poison_record_is_set_aside_and_the_others_go_on(house, poison):
    bad = house.issue_certificate(certificateNumber="N-1")
    good = [house.issue_certificate(certificateNumber=f"N-{number}") for number in (2, 3)]
    in_database(house, poison, i=bad.id)
    house.settle()
    assert {state_of(house, record) for record in good} == {ProofState.FINAL}
    assert [call.segments.size for call in anchored_batches(house)] == [2]
    with house.ctx.work(reading=True) as work:
        assert work.batches.count_quarantined() == 1


@pytest.mark.parametrize(
    ("column", "content"),
    [("signed_jwt", b"not what was signed"), ("signed_jwt", "ünreadable".encode()), ("disclosures", b"{")],
)
def test_a_poison_record_that_is_properly_sealed_is_set_aside_too(house, column, content):
    bad, good = house.issue_certificate(certificateNumber="N-1"), house.issue_certificate(certificateNumber="N-2")
    rewrite(house, bad, column, lambda _: content)
    house.settle()
    assert state_of(house, good) is ProofState.FINAL
    with house.ctx.work(reading=True) as work:
        assert work.batches.count_quarantined() == 1


def test_a_record_that_is_set_aside_while_its_batch_is_made_stops_that_batch(house):
    good, bad = (house.issue_certificate(certificateNumber=f"N-{number}") for number in (1, 2))

    def meanwhile(point):
        if point == "before-seal":
            in_database(house, "UPDATE record SET quarantined = 'looked at' WHERE id = :i", i=bad.id)

    with pytest.raises(Conflict):
        seal_stored(replace(house.ctx, reached=meanwhile))
    assert state_of(house, good) is ProofState.STORED
    house.settle()
    assert state_of(house, good) is ProofState.FINAL
    assert [call.segments.size for call in anchored_batches(house)] == [1]


# ---- 18: two workers


def test_of_two_workers_one_has_the_turn(house):
    second = replace(house.ctx, holder="another process")
    record = house.issue_certificate()
    assert acquire_lease(house.ctx)
    assert not acquire_lease(second)
    assert run_once(second) is False
    assert state_of(house, record) is ProofState.STORED
    run_once(house.ctx)
    assert state_of(house, record) is ProofState.FINAL


def test_the_turn_of_a_worker_that_died_is_taken_over_and_that_of_one_that_stopped_at_once(house):
    second = replace(house.ctx, holder="another process")
    acquire_lease(house.ctx)
    house.clock.pass_by(anchoring.LEASE_DURATION)
    assert acquire_lease(second)
    assert not acquire_lease(house.ctx)
    release_lease(second)
    assert acquire_lease(house.ctx)


def test_two_workers_that_both_believe_to_have_the_turn_do_no_harm(house, monkeypatch):
    monkeypatch.setattr(pipeline, "acquire_lease", lambda ctx: True)
    second = replace(house.ctx, holder="another process")
    house.ledger.holding = True
    real = house.ledger.sign

    def sign_while_the_other_is_at_work(call, nonce):
        house.ledger.sign = real
        run_once(second)
        return real(call, nonce)

    consignment = house.lodge()
    house.ledger.sign = sign_while_the_other_is_at_work
    run_once(house.ctx)
    decisions.decide(house.ctx, house.officer, consignment.id, Decision.EXAMINE, "look")
    house.ledger.holding = False
    house.ledger.mine()
    house.ledger.sign = sign_while_the_other_is_at_work
    house.settle()
    record = house.record(consignment.id)
    assert record.proof_state is ProofState.FINAL
    assert house.ledger.status(record.batch.root, record.leaf_index) == DeclarationStatus.EXAMINATION
    assert len([call for call in house.ledger.mined("anchorer") if isinstance(call[1], AnchorBatch)]) == 1
    assert_nonces_without_gaps(house)


# ---- 19: the clock; 25: a long silence


def test_a_clock_that_jumps_a_day_either_way_changes_nothing(house):
    house.ledger.holding = True
    record = house.issue_certificate()
    run_once(house.ctx)
    for jump in (timedelta(days=-1), timedelta(days=2)):
        house.clock.pass_by(jump)
        run_once(house.ctx)
    house.ledger.holding = False
    house.ledger.mine()
    house.settle()
    assert state_of(house, record) is ProofState.FINAL
    assert len(anchored_batches(house)) == 1
    assert_nonces_without_gaps(house)


def test_a_queue_that_grew_for_hours_drains_oldest_first(house, monkeypatch):
    monkeypatch.setattr(batches, "LARGEST_ROUND", 4)
    house.ledger.down = True
    records = []
    for number in range(12):
        records.append(house.issue_certificate(certificateNumber=f"N-{number}"))
        house.clock.pass_by(timedelta(minutes=10))
        with pytest.raises(LedgerUnavailable):
            run_once(house.ctx)
    house.ledger.down = False
    house.settle()
    assert {state_of(house, record) for record in records} == {ProofState.FINAL}
    blocks = [batch_of(house, record).block for record in records]
    assert blocks == sorted(blocks)
    assert_nonces_without_gaps(house)
