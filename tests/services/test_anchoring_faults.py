"""The faults of chain and database that docs/faults.md lists, one after another, against the fake ledger."""

import sqlite3
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import pytest
from sqlalchemy import text

from backend.domain.consignment import Decision
from backend.domain.errors import Conflict, ForeignLedger, LedgerUnavailable
from backend.domain.ledger import AnchorBatch, CancelNonce, DeclarationStatus
from backend.domain.outbox import TransactionState
from backend.domain.records import ProofState
from backend.services import anchoring, decisions
from backend.services.anchoring import acquire_lease, batches, pipeline, release_lease, run_once, seal_stored
from backend.store.encryption import keys_of
from tests.helpers.postgres import copy_of_database, in_its_words, ours
from tests.services.test_anchoring import anchored_batches, assert_nonces_without_gaps, state_of, transactions


def in_database(installation, statement, **values):
    """Change something behind the application's back."""
    with installation.ctx.work() as work:
        dialect = work._session.connection().dialect.name
        work._session.execute(text(in_its_words(statement, dialect)), values)
        work.commit()


def rewrite(installation, record, column, change):
    """What an operator could do who has the keys: another content, properly sealed."""
    with installation.ctx.work() as work:
        connection = work._session.connection()
        keys, where = keys_of(connection.dialect), {"i": record.id}
        sealed = connection.execute(text(f"SELECT {column} FROM record WHERE id = :i"), where).scalar_one()
        where["new"] = keys.encrypt(change(keys.open(sealed)))
        connection.execute(text(f"UPDATE record SET {column} = :new WHERE id = :i"), where)
        work.commit()


def batch_of(installation, record):
    return installation.record(record.id).batch


# ---- 5, 12: another chain


def test_nothing_is_sent_while_another_chain_answers(installation):
    """Nothing is signed for the other chain either."""
    record, sent = installation.issue_certificate(), len(installation.ledger.sent)
    installation.ledger.foreign = True
    for _ in range(3):
        with pytest.raises(ForeignLedger):
            run_once(installation.ctx)
    assert len(installation.ledger.sent) == sent
    assert state_of(installation, record) is ProofState.SEALED
    assert not transactions(installation)
    installation.ledger.foreign = False
    installation.settle()
    assert state_of(installation, record) is ProofState.FINAL


# ---- 6: swallowed


def test_swallowed_transaction_is_sent_again_until_mined(installation):
    installation.ledger.swallowing = True
    record = installation.issue_certificate()
    for _ in range(4):
        run_once(installation.ctx)
    assert len(set(installation.ledger.sent[-4:])) == 1
    assert state_of(installation, record) is ProofState.SUBMITTED
    installation.ledger.swallowing = False
    installation.settle()
    assert state_of(installation, record) is ProofState.FINAL
    assert_nonces_without_gaps(installation)


# ---- 7: numbers


def test_call_whose_nonce_is_taken_is_re_signed(installation):
    installation.ledger.holding = True
    record = installation.issue_certificate()
    run_once(installation.ctx)
    (transaction,) = transactions(installation)
    foreign = installation.ledger.sign(CancelNonce("anchorer"), transaction.nonce)
    installation.ledger._pool.clear()
    installation.ledger.send(foreign.raw)
    installation.ledger.mine()
    installation.ledger.holding = False
    run_once(installation.ctx)
    assert state_of(installation, record) is ProofState.SUBMITTED, "a late receipt gets its time"
    installation.clock.pass_by(anchoring.PATIENCE)
    installation.settle()
    assert state_of(installation, record) is ProofState.FINAL
    assert len(anchored_batches(installation)) == 1
    with installation.ctx.work(reading=True) as work:
        assert work.outbox.get(transaction.id).state is TransactionState.REPLACED


def test_status_whose_nonce_is_taken_arrives_once(installation):
    consignment = installation.lodge()
    installation.settle()
    decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.EXAMINE, "look")
    installation.ledger.holding = True
    run_once(installation.ctx)
    (transaction,) = transactions(installation)
    installation.ledger._pool.clear()
    installation.ledger.send(installation.ledger.sign(CancelNonce("office"), transaction.nonce).raw)
    installation.ledger.mine()
    installation.ledger.holding = False
    installation.clock.pass_by(anchoring.PATIENCE)
    installation.settle()
    record = installation.record(consignment.id)
    assert (
        installation.ledger.status(installation.ledger.batch_key(record.batch.root), record.leaf_index)
        == DeclarationStatus.EXAMINATION
    )


def test_a_gap_before_open_transactions_is_filled(installation):
    installation.ledger.swallowing = True
    first = installation.issue_certificate(certificateNumber="N-1")
    run_once(installation.ctx)
    second = installation.issue_certificate(certificateNumber="N-2")
    run_once(installation.ctx)
    low, _ = transactions(installation)
    in_database(
        installation, "UPDATE batch SET transaction_id = NULL, state = 'sealed' WHERE transaction_id = :i", i=low.id
    )
    in_database(installation, "DELETE FROM outbound_transaction WHERE id = :i", i=low.id)
    installation.ledger.swallowing = False
    installation.settle()
    assert {state_of(installation, record) for record in (first, second)} == {ProofState.FINAL}
    assert_nonces_without_gaps(installation)


def test_a_gap_without_call_is_cancelled(installation):
    """A transaction that does nothing uses the nonce up."""
    installation.ledger.swallowing = True
    installation.issue_certificate(certificateNumber="N-1")
    run_once(installation.ctx)
    record = installation.issue_certificate(certificateNumber="N-2")
    run_once(installation.ctx)
    low, _ = transactions(installation)
    in_database(
        installation, "UPDATE outbound_transaction SET state = 'refused', refusal = 'x' WHERE id = :i", i=low.id
    )
    installation.ledger.swallowing = False
    installation.settle()
    assert state_of(installation, record) is ProofState.FINAL
    assert any(isinstance(call, CancelNonce) for _, call in installation.ledger.mined("anchorer"))
    assert_nonces_without_gaps(installation)


def test_nonce_mined_meanwhile_is_no_gap(installation, monkeypatch):
    """The count of what is mined is older than the receipts; a transaction that was mined in between left no gap."""
    ledger = installation.ledger
    ledger.holding = True
    installation.issue_certificate(certificateNumber="N-1")
    run_once(installation.ctx)
    installation.issue_certificate(certificateNumber="N-2")
    run_once(installation.ctx)
    low, high = transactions(installation)
    count = ledger.next_nonce

    def counted_before_the_block(signer: str) -> int:
        before = count(signer)
        if low.raw in ledger._pool:
            later = [raw for raw in ledger._pool if raw != low.raw]
            ledger._pool[:] = [low.raw]
            ledger.mine()
            ledger._pool += later
        return before

    monkeypatch.setattr(ledger, "next_nonce", counted_before_the_block)
    anchoring.poll_receipts(installation.ctx)
    assert [open_one.nonce for open_one in transactions(installation) if open_one.is_open] == [high.nonce]
    assert not any(isinstance(ledger._signed[raw][2], CancelNonce) for raw in ledger.sent)


def test_nonce_is_open_only_once(installation):
    """The database itself refuses a second open transaction under one number."""
    installation.ledger.holding = True
    installation.issue_certificate()
    run_once(installation.ctx)
    (transaction,) = transactions(installation)
    with pytest.raises(Conflict, match="recorded already"), installation.ctx.work() as work:
        work.add(replace(transaction, id="other", transaction_hash=b"\1" * 32))


# ---- 8: fees


def stuck(installation):
    """A batch whose transaction no block takes."""
    installation.ledger.lowest_fee = 4
    record = installation.issue_certificate()
    for _ in range(2):
        run_once(installation.ctx)
        installation.ledger.mine()
    return record


def test_a_fee_too_low_is_raised_until_mined(installation):
    record = stuck(installation)
    first = batch_of(installation, record).transaction_hash
    assert state_of(installation, record) is ProofState.SUBMITTED
    for _ in range(3):
        installation.clock.pass_by(anchoring.RAISE_AFTER)
        run_once(installation.ctx)
        installation.ledger.mine()
    installation.settle()
    assert state_of(installation, record) is ProofState.FINAL
    with installation.ctx.work(reading=True) as work:
        transaction = work.outbox.get(batch_of(installation, record).transaction_id)
    assert first in transaction.hashes
    assert len(transaction.hashes) == 3
    assert batch_of(installation, record).transaction_hash == transaction.transaction_hash
    assert len(anchored_batches(installation)) == 1
    assert_nonces_without_gaps(installation)


def test_a_fee_is_not_raised_before_its_time(installation):
    record = stuck(installation)
    before = len(installation.ledger.sent)
    run_once(installation.ctx)
    assert len(set(installation.ledger.sent[before - 1 :])) == 1
    assert state_of(installation, record) is ProofState.SUBMITTED


def test_earlier_attempt_mined_after_all_counts(installation):
    record = stuck(installation)
    first = installation.ledger.sent[-1]
    installation.clock.pass_by(anchoring.RAISE_AFTER)
    run_once(installation.ctx)
    assert installation.ledger.sent[-1] != first
    installation.ledger._pool[:] = [first]
    installation.ledger.lowest_fee = 0
    installation.ledger.mine()
    installation.settle()
    assert state_of(installation, record) is ProofState.FINAL
    assert batch_of(installation, record).transaction_hash == sha256(first).digest()
    assert len(anchored_batches(installation)) == 1


def test_the_highest_fee_is_never_exceeded(installation):
    installation.ledger.highest_fee = 2
    record = stuck(installation)
    for _ in range(5):
        installation.clock.pass_by(anchoring.RAISE_AFTER)
        run_once(installation.ctx)
    assert max(installation.ledger._fees[raw] for raw in installation.ledger.sent) == 2
    installation.ledger.lowest_fee = 0
    installation.ledger.mine()
    installation.settle()
    assert state_of(installation, record) is ProofState.FINAL


# ---- 9: gas money


def test_without_money_same_transaction_waits_and_is_reported(installation):
    installation.ledger.poor = True
    record = installation.issue_certificate()
    for _ in range(3):
        installation.clock.pass_by(anchoring.RAISE_AFTER)
        run_once(installation.ctx)
    with installation.ctx.work(reading=True) as work:
        assert "insufficient funds" in work.outbox.troubles()[0]
    assert len(set(installation.ledger.sent[-2:])) == 1
    installation.ledger.poor = False
    installation.settle()
    assert state_of(installation, record) is ProofState.FINAL
    with installation.ctx.work(reading=True) as work:
        assert not work.outbox.troubles()


# ---- 10, 12, 13: blocks that vanish


@pytest.mark.parametrize("depth", range(1, 13))
def test_orphaned_blocks_are_recovered_at_every_depth(installation, depth):
    installation.with_confirmations(4)
    records = []
    for number in range(3):
        records.append(installation.issue_certificate(certificateNumber=f"N-{number}"))
        run_once(installation.ctx)
        installation.ledger.mine(4)
        installation.settle()
    installation.ledger.mine(max(0, 3 - depth))
    installation.ledger.reorganise(min(depth, len(installation.ledger._blocks) - 1))
    for _ in range(12):
        run_once(installation.ctx)
        installation.ledger.mine()
    installation.settle()
    assert {state_of(installation, record) for record in records} == {ProofState.FINAL}
    assert len(anchored_batches(installation)) == 3
    for record in records:
        assert installation.ledger.batch(installation.ledger.batch_key(batch_of(installation, record).root)) is not None
    assert_nonces_without_gaps(installation)


def test_chain_restored_from_older_copy_gets_everything_again(installation):
    """Confirmations do not help where the operator puts an old chain file back: what was final is gone."""
    old = deepcopy((installation.ledger._receipts, installation.ledger._blocks, installation.ledger._state))
    consignment = installation.lodge()
    installation.settle()
    decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.DETAIN, "keep it")
    installation.settle()
    installation.ledger._receipts, installation.ledger._blocks, installation.ledger._state = old
    installation.settle()
    record = installation.record(consignment.id)
    assert record.proof_state is ProofState.FINAL
    assert (
        installation.ledger.status(installation.ledger.batch_key(record.batch.root), record.leaf_index)
        == DeclarationStatus.DETAINED
    )
    assert_nonces_without_gaps(installation)


def folder_of(installation):
    """The installation's folder, once nobody has its database open any more."""
    installation.ctx.work.engine.dispose()
    return installation.ctx.files._folder.parent


def restore_from(installation, snapshot):
    """Put an older copy of the database back."""
    folder = folder_of(installation)
    copy_of_database(snapshot, folder)
    if ours() is None:
        with sqlite3.connect(snapshot) as source, sqlite3.connect(folder / "db.sqlite") as target:
            source.backup(target)


def save_to(installation, snapshot):
    folder = folder_of(installation)
    copy_of_database(folder, snapshot)
    if ours() is None:
        with sqlite3.connect(folder / "db.sqlite") as source, sqlite3.connect(snapshot) as target:
            source.backup(target)


def test_a_restored_database_recognises_roots_already_anchored(installation, tmp_path):
    record = installation.issue_certificate()
    seal_stored(installation.ctx)
    save_to(installation, tmp_path / "old.sqlite")
    installation.settle()
    transaction = batch_of(installation, record).transaction_hash
    restore_from(installation, tmp_path / "old.sqlite")
    assert state_of(installation, record) is ProofState.SEALED
    sent = len(installation.ledger.sent)
    installation.settle()
    assert state_of(installation, record) is ProofState.FINAL
    assert batch_of(installation, record).transaction_hash == transaction
    assert len(installation.ledger.sent) == sent, "nothing was sent again"
    other = installation.issue_certificate(certificateNumber="N-2")
    installation.settle()
    assert state_of(installation, other) is ProofState.FINAL
    assert_nonces_without_gaps(installation)


def test_a_restored_database_finds_what_it_had_sent(installation, tmp_path):
    installation.ledger.holding = True
    record = installation.issue_certificate()
    run_once(installation.ctx)
    save_to(installation, tmp_path / "old.sqlite")
    installation.ledger.holding = False
    installation.ledger.mine()
    installation.settle()
    restore_from(installation, tmp_path / "old.sqlite")
    installation.settle()
    assert state_of(installation, record) is ProofState.FINAL
    assert len(anchored_batches(installation)) == 1


# ---- 11: mined but refused


def test_refused_batch_is_anchored_once_cause_ends(installation):
    """No gas is burnt meanwhile."""
    installation.ledger.refusing = True
    record = installation.issue_certificate()
    for _ in range(5):
        run_once(installation.ctx)
    assert len(installation.ledger.mined("anchorer")) == 1
    with installation.ctx.work(reading=True) as work:
        assert "Refusing" in work.outbox.troubles()
    installation.ledger.refusing = False
    installation.settle()
    assert state_of(installation, record) is ProofState.FINAL
    assert_nonces_without_gaps(installation)


def test_refusal_in_orphaned_block_is_signed_anew(installation):
    """Signing is the same every time: the row of the refused transaction is opened again, not refused as a double."""
    installation.with_confirmations(3)
    installation.ledger.refusing = True
    record = installation.issue_certificate()
    run_once(installation.ctx)
    installation.ledger.reorganise(1)
    installation.ledger.refusing = False
    for _ in range(8):
        run_once(installation.ctx)
        installation.ledger.mine()
    installation.settle()
    assert state_of(installation, record) is ProofState.FINAL
    assert len(anchored_batches(installation)) == 1
    assert_nonces_without_gaps(installation)


# ---- 15: changed after sealing; 24: poison


def test_batch_with_record_altered_directly_stays_unanchored(installation):
    """The record was changed in the database, behind the application."""
    record = installation.issue_certificate()
    seal_stored(installation.ctx)
    rewrite(installation, record, "signed_jwt", lambda content: content + b"x")
    for _ in range(3):
        run_once(installation.ctx)
    assert not anchored_batches(installation)
    assert "do not give its root; changed places: [0]" in batch_of(installation, record).trouble


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
def test_a_poison_record_is_set_aside_alone(installation, poison):
    bad = installation.issue_certificate(certificateNumber="N-1")
    good = [installation.issue_certificate(certificateNumber=f"N-{number}") for number in (2, 3)]
    in_database(installation, poison, i=bad.id)
    installation.settle()
    assert {state_of(installation, record) for record in good} == {ProofState.FINAL}
    assert [call.segments.size for call in anchored_batches(installation)] == [2]
    with installation.ctx.work(reading=True) as work:
        assert work.batches.count_quarantined() == 1


@pytest.mark.parametrize(
    ("column", "content"),
    [("signed_jwt", b"not what was signed"), ("signed_jwt", "ünreadable".encode()), ("disclosures", b"{")],
)
def test_a_poison_record_properly_encrypted_is_set_aside(installation, column, content):
    bad, good = (
        installation.issue_certificate(certificateNumber="N-1"),
        installation.issue_certificate(certificateNumber="N-2"),
    )
    rewrite(installation, bad, column, lambda _: content)
    installation.settle()
    assert state_of(installation, good) is ProofState.FINAL
    with installation.ctx.work(reading=True) as work:
        assert work.batches.count_quarantined() == 1


def test_record_set_aside_during_batching_stops_batch(installation):
    good, bad = (installation.issue_certificate(certificateNumber=f"N-{number}") for number in (1, 2))

    def meanwhile(point):
        if point == "before-seal":
            in_database(installation, "UPDATE record SET quarantined = 'looked at' WHERE id = :i", i=bad.id)

    with pytest.raises(Conflict):
        seal_stored(replace(installation.ctx, reached=meanwhile))
    assert state_of(installation, good) is ProofState.STORED
    installation.settle()
    assert state_of(installation, good) is ProofState.FINAL
    assert [call.segments.size for call in anchored_batches(installation)] == [1]


# ---- 18: two workers


def test_of_two_workers_one_has_the_turn(installation):
    second = replace(installation.ctx, holder="another process")
    record = installation.issue_certificate()
    assert acquire_lease(installation.ctx)
    assert not acquire_lease(second)
    assert run_once(second) is False
    assert state_of(installation, record) is ProofState.STORED
    run_once(installation.ctx)
    assert state_of(installation, record) is ProofState.FINAL


def test_lease_of_stopped_worker_is_taken_over(installation):
    """The lease of a dead worker once it expires, that of a stopped one at once."""
    second = replace(installation.ctx, holder="another process")
    acquire_lease(installation.ctx)
    installation.clock.pass_by(anchoring.LEASE_DURATION)
    assert acquire_lease(second)
    assert not acquire_lease(installation.ctx)
    release_lease(second)
    assert acquire_lease(installation.ctx)


def test_two_workers_with_one_lease_are_harmless(installation, monkeypatch):
    """Both believe that they hold it."""
    monkeypatch.setattr(pipeline, "acquire_lease", lambda ctx: True)
    second = replace(installation.ctx, holder="another process")
    installation.ledger.holding = True
    real = installation.ledger.sign

    def sign_while_the_other_is_at_work(call, nonce):
        installation.ledger.sign = real
        run_once(second)
        return real(call, nonce)

    consignment = installation.lodge()
    installation.ledger.sign = sign_while_the_other_is_at_work
    run_once(installation.ctx)
    decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.EXAMINE, "look")
    installation.ledger.holding = False
    installation.ledger.mine()
    installation.ledger.sign = sign_while_the_other_is_at_work
    installation.settle()
    record = installation.record(consignment.id)
    assert record.proof_state is ProofState.FINAL
    assert (
        installation.ledger.status(installation.ledger.batch_key(record.batch.root), record.leaf_index)
        == DeclarationStatus.EXAMINATION
    )
    assert len([call for call in installation.ledger.mined("anchorer") if isinstance(call[1], AnchorBatch)]) == 1
    assert_nonces_without_gaps(installation)


# ---- 19: the clock; 25: a long silence


def test_clock_jumping_either_way_changes_nothing(installation):
    installation.ledger.holding = True
    record = installation.issue_certificate()
    run_once(installation.ctx)
    for jump in (timedelta(days=-1), timedelta(days=2)):
        installation.clock.pass_by(jump)
        run_once(installation.ctx)
    installation.ledger.holding = False
    installation.ledger.mine()
    installation.settle()
    assert state_of(installation, record) is ProofState.FINAL
    assert len(anchored_batches(installation)) == 1
    assert_nonces_without_gaps(installation)


def test_queue_grown_for_hours_drains_oldest_first(installation, monkeypatch):
    monkeypatch.setattr(batches, "LARGEST_ROUND", 4)
    installation.ledger.down = True
    records = []
    for number in range(12):
        records.append(installation.issue_certificate(certificateNumber=f"N-{number}"))
        installation.clock.pass_by(timedelta(minutes=10))
        with pytest.raises(LedgerUnavailable):
            run_once(installation.ctx)
    installation.ledger.down = False
    installation.settle()
    assert {state_of(installation, record) for record in records} == {ProofState.FINAL}
    blocks = [batch_of(installation, record).block for record in records]
    assert blocks == sorted(blocks)
    assert_nonces_without_gaps(installation)
