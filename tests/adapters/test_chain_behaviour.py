"""One behaviour of every ledger: the fake of the services' tests, the embedded chain, and a real node."""

import secrets
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from backend.adapters.chains.embedded import EmbeddedChain
from backend.adapters.chains.json_rpc import JsonRpcChain
from backend.adapters.ledger import EvmLedger, deploy
from backend.adapters.ledger.chain import CallReverted, TransactionRejected
from backend.domain.errors import LedgerRefused
from backend.domain.evidence import Segments
from backend.domain.ledger import (
    Accredit,
    Accreditation,
    AnchorBatch,
    CancelNonce,
    ChangeStatuses,
    DeclarationStatus,
    DocumentStatus,
    RotateKey,
    SuspendAccreditation,
)
from backend.domain.signature_terms import KeyEvent, SignatureTerms, Suspension
from tests.adapters.conftest import World
from tests.helpers.fakes import Clock, FakeLedger
from tests.helpers.nodes import NEEDS_ANVIL, anvil

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
TERMS = Accreditation(1 << 1, 1 << 9, MARCH, MARCH + timedelta(days=365))
NODE = pytest.param("anvil", marks=NEEDS_ANVIL)


@pytest.fixture(scope="module", params=["fake", "embedded", NODE])
def ledger_world(request, tmp_path_factory, accounts):
    if request.param == "fake":
        yield World(None, accounts, None, FakeLedger(Clock()))
    else:
        with _chain(request.param, tmp_path_factory, accounts) as chain:
            deployment = deploy(chain, accounts)
            yield World(chain, accounts, deployment, EvmLedger(chain, deployment, accounts))


@pytest.fixture(scope="module", params=["embedded", NODE])
def chain(request, tmp_path_factory, accounts):
    with _chain(request.param, tmp_path_factory, accounts) as opened:
        yield opened


def _chain(name, tmp_path_factory, accounts):
    funded = [account.address for account in accounts.values()]
    if name == "embedded":
        return EmbeddedChain(tmp_path_factory.mktemp("behaviour") / "chain.sqlite", funded, in_real_time=False)
    return _Node(funded)


class _Node:
    def __init__(self, funded):
        self.funded = funded

    def __enter__(self):
        self.running = anvil()
        node = self.running.__enter__()
        node.fund(*self.funded)
        return JsonRpcChain(node.url)

    def __exit__(self, *trouble):
        self.running.__exit__(*trouble)


def anchored(world, segments=Segments(10, 20, 150, 160)):  # noqa: B008
    """A new batch of our anchorer: its key, and the receipt."""
    call = AnchorBatch(secrets.token_bytes(32), segments)
    receipt = world.do(call, "anchorer")
    assert receipt.succeeded
    return world.ledger.batch_key(call.root), receipt


# ---- the ledger


def test_anchored_batch_returns_its_time_and_segments(ledger_world):
    key, receipt = anchored(ledger_world)
    batch = ledger_world.ledger.batch(key)
    assert (batch.segments, batch.anchored_at) == (Segments(10, 20, 150, 160), receipt.block_time)
    assert batch.anchorer == ledger_world.ledger.anchorer() != 0
    assert ledger_world.ledger.batch(secrets.token_bytes(32)) is None


def test_batches_are_numbered_without_gaps(ledger_world):
    numbers = [ledger_world.ledger.batch(anchored(ledger_world)[0]).number for _ in range(3)]
    assert numbers == list(range(numbers[0], numbers[0] + 3))


def test_a_root_is_anchored_once(ledger_world):
    root, segments = secrets.token_bytes(32), Segments(10, 20, 150, 160)
    assert ledger_world.do(AnchorBatch(root, segments), "anchorer").succeeded
    key = ledger_world.ledger.batch_key(root)
    again = AnchorBatch(root, Segments(0, 0, 0, 1))
    with pytest.raises(LedgerRefused) as refused:
        ledger_world.ledger.simulate(again)
    assert refused.value.values["error"] == "TraceLedgerAlreadyAnchored"
    receipt = ledger_world.do(again, "anchorer")
    assert (receipt.succeeded, receipt.refusal) == (False, "TraceLedgerAlreadyAnchored")
    assert ledger_world.ledger.batch(key).segments.size == 160


def test_anchoring_is_found_by_key_and_in_list(ledger_world):
    key, receipt = anchored(ledger_world)
    anchored(ledger_world)
    found = ledger_world.ledger.anchoring_of(key, ledger_world.ledger.batch(key))
    assert (found.batch_key, found.transaction_hash) == (key, receipt.transaction_hash)
    assert (found.block_number, found.block_hash) == (receipt.block_number, receipt.block_hash)
    assert found in list(ledger_world.ledger.anchorings())
    assert list(ledger_world.ledger.anchorings(key)) == [found]


def test_same_bytes_sent_repeatedly_are_mined_once(ledger_world):
    ledger = ledger_world.ledger
    signed = ledger.sign(AnchorBatch(secrets.token_bytes(32), Segments(0, 0, 1, 1)), ledger.next_nonce("anchorer"))
    for _ in range(3):
        ledger.send(signed.raw)
    first = ledger_world.receipt(signed.transaction_hash)
    ledger.send(signed.raw)
    assert ledger.receipt(signed.transaction_hash) == first
    assert ledger.next_nonce("anchorer") == signed.nonce + 1


def test_signing_sends_nothing(ledger_world):
    before = ledger_world.ledger.next_nonce("anchorer")
    signed = ledger_world.ledger.sign(AnchorBatch(secrets.token_bytes(32), Segments(0, 0, 1, 1)), before)
    assert ledger_world.ledger.receipt(signed.transaction_hash) is None
    assert ledger_world.ledger.next_nonce("anchorer") == before


def test_nonce_ahead_waits_for_those_before(ledger_world):
    ledger = ledger_world.ledger
    first = ledger.next_nonce("anchorer")
    calls = [AnchorBatch(secrets.token_bytes(32), Segments(0, 0, 1, 1)) for _ in range(3)]
    signed = [ledger.sign(call, first + step) for step, call in enumerate(calls)]
    for transaction in reversed(signed):
        ledger.send(transaction.raw)
    assert all(ledger_world.receipt(transaction.transaction_hash).succeeded for transaction in signed)


def test_gap_is_filled_by_an_empty_transaction(ledger_world):
    ledger = ledger_world.ledger
    first = ledger.next_nonce("anchorer")
    call = AnchorBatch(secrets.token_bytes(32), Segments(0, 0, 1, 1))
    waiting = ledger.sign(call, first + 1)
    ledger.send(waiting.raw)
    assert ledger.receipt(waiting.transaction_hash) is None
    ledger.send(ledger.sign(CancelNonce("anchorer"), first).raw)
    assert ledger_world.receipt(waiting.transaction_hash).succeeded
    assert ledger.batch(ledger.batch_key(call.root)) is not None


def test_outbid_transaction_keeps_its_act_and_nonce(ledger_world):
    ledger = ledger_world.ledger
    call = AnchorBatch(secrets.token_bytes(32), Segments(0, 0, 1, 1))
    signed = ledger.sign(call, ledger.next_nonce("anchorer"))
    higher = ledger.replace_by_fee("anchorer", signed.raw)
    assert (higher.signer, higher.nonce) == ("anchorer", signed.nonce)
    assert higher.transaction_hash != signed.transaction_hash
    ledger.send(higher.raw)
    assert ledger_world.receipt(higher.transaction_hash).succeeded
    assert ledger.receipt(signed.transaction_hash) is None
    assert ledger.batch(ledger.batch_key(call.root)) is not None


def test_the_fee_is_not_raised_for_ever(ledger_world):
    signed = ledger_world.ledger.sign(CancelNonce("anchorer"), 0)
    for _ in range(60):
        signed = ledger_world.ledger.replace_by_fee("anchorer", signed.raw)
        if signed is None:
            return
    pytest.fail("no highest fee")


def test_changed_statuses_are_read_singly_and_together(ledger_world):
    key, _ = anchored(ledger_world)
    call = ChangeStatuses(key, ((3, DocumentStatus.SUSPENDED), (12, DocumentStatus.REVOKED)), b"\1" * 32)
    assert ledger_world.do(call, "anchorer").succeeded
    decided = ChangeStatuses(key, ((20, DeclarationStatus.EXAMINATION), (149, 4)), b"\2" * 32, "office")
    assert ledger_world.do(decided, "office").succeeded
    expected = {3: 1, 12: 2, 20: DeclarationStatus.EXAMINATION, 149: 4}
    assert ledger_world.ledger.statuses(key, 160) == [expected.get(leaf_index, 0) for leaf_index in range(160)]
    assert [ledger_world.ledger.status(key, leaf_index) for leaf_index in expected] == list(expected.values())


@pytest.mark.parametrize(
    ("places", "error"),
    [
        (((3, DocumentStatus.ACTIVE),), "TraceLedgerEdgeForbidden"),
        (((160, DocumentStatus.REVOKED),), "TraceLedgerPlaceOutsideBatch"),
    ],
)
def test_forbidden_change_reverts_whole_and_says_why(ledger_world, places, error):
    key, _ = anchored(ledger_world)
    call = ChangeStatuses(key, ((5, DocumentStatus.REVOKED), *places), b"\1" * 32)
    with pytest.raises(LedgerRefused) as refused:
        ledger_world.ledger.simulate(call)
    assert refused.value.values["error"] == error
    receipt = ledger_world.do(call, "anchorer")
    assert (receipt.succeeded, receipt.refusal) == (False, error)
    assert ledger_world.ledger.status(key, 5) == 0


def test_an_accreditation_is_written_suspended_and_lifted(ledger_world):
    key = secrets.token_bytes(32)
    assert ledger_world.ledger.accreditation(key) is None
    ledger_world.do(Accredit(key, TERMS), "authority")
    assert ledger_world.ledger.accreditation(key) == TERMS
    ledger_world.do(SuspendAccreditation(key, MARCH + timedelta(hours=9)), "authority")
    suspended = replace(TERMS, suspended_since=MARCH + timedelta(hours=9))
    assert ledger_world.ledger.accreditation(key) == suspended
    later = ledger_world.ledger.head().block_time + timedelta(hours=1)
    for moment, error in (
        (later, "AccreditationMomentAhead"),
        (MARCH + timedelta(hours=10), "AccreditationSuspendedBefore"),
    ):
        assert ledger_world.do(SuspendAccreditation(key, moment), "authority").refusal == error
    ledger_world.do(SuspendAccreditation(key, None), "authority")
    assert ledger_world.ledger.accreditation(key) == TERMS


def test_a_keys_history_lists_every_version(ledger_world):
    ledger, key, successor = ledger_world.ledger, secrets.token_bytes(32), secrets.token_bytes(32)
    now = ledger.head().block_time
    terms = replace(TERMS, valid_until=now + timedelta(days=365))
    since = now - timedelta(hours=1)
    assert ledger.lists_terms
    assert ledger.history(key, 0, 10) is None
    calls = (
        Accredit(key, terms),
        SuspendAccreditation(key, since),
        SuspendAccreditation(key, None),
        Accredit(key, terms),
        RotateKey(key, successor),
    )
    times = []
    for call in calls:
        times.append(ledger_world.do(call, "authority").block_time)
        assert ledger.history(key, 0, 10).count == len(times)
    whole = ledger.history(key, 0, 10)
    assert [version.recorded_at for version in whole.versions] == times
    suspended = replace(terms, suspended_since=since)
    ended = replace(terms, valid_until=times[-1])
    assert [version.terms for version in whole.versions] == [terms, suspended, terms, terms, ended]
    assert whole.suspensions == (Suspension(since, times[2]),)
    assert whole.events() == (*whole.events()[:3], KeyEvent.ACCREDITED, KeyEvent.ROTATED)
    assert whole.events()[:3] == (KeyEvent.ACCREDITED, KeyEvent.SUSPENDED, KeyEvent.REINSTATED)
    assert (whole.predecessor, whole.successor, whole.before) == (None, successor, None)
    part = ledger.history(key, 2, 2)
    assert (part.before, *part.versions) == whole.versions[1:4]
    assert part.count == 5
    assert ledger.history(key, 9, 2).versions == ()
    after = ledger.history(successor, 0, 10)
    assert after.events() == (KeyEvent.SUCCEEDED,)
    assert after.predecessor == key
    assert list(ledger.accredited_keys())[-2:] == [key, successor]


def test_terms_of_signature_tell_of_lifted_suspension(ledger_world):
    ledger, key = ledger_world.ledger, secrets.token_bytes(32)
    until = ledger.head().block_time + timedelta(days=365)
    recorded = ledger_world.do(Accredit(key, replace(TERMS, valid_until=until)), "authority").block_time
    assert ledger.terms_of_signature(key, recorded - timedelta(minutes=6), None) == SignatureTerms()
    assert ledger.terms_of_signature(key, recorded, None).signed_under == replace(TERMS, valid_until=until)
    minute, stolen = timedelta(minutes=1), recorded - timedelta(minutes=2)
    ledger_world.do(SuspendAccreditation(key, stolen), "authority")
    lifted = ledger_world.do(SuspendAccreditation(key, None), "authority").block_time
    within, after = (
        ledger.terms_of_signature(key, stolen + minute, lifted),
        ledger.terms_of_signature(key, lifted, None),
    )
    assert within.signed_under.suspended_since == within.anchored_under.suspended_since == stolen
    assert after.signed_under == after.anchored_under == replace(TERMS, valid_until=until)
    before = ledger.terms_of_signature(key, stolen - minute, lifted)
    assert (before.signed_under.suspended_since, before.anchored_under.suspended_since) == (None, stolen)


# ---- the chain below


SINK = "0x1111111111111111111111111111111111111111"


def transfer(chain, account, nonce, **fields):
    given = {"chainId": chain.chain_id(), "nonce": nonce, "gas": 100_000, "value": 1, "to": SINK, "data": b""}
    return account.sign_transaction(given | {"maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9} | fields)


def mined(chain, signed):
    deadline = time.monotonic() + 10
    while (receipt := chain.receipt(bytes(signed.hash))) is None:
        assert time.monotonic() < deadline, "not mined in time"
        time.sleep(0.005)
    return receipt


def run(chain, account, **fields):
    signed = transfer(chain, account, chain.transaction_count(account.address), **fields)
    chain.send_raw(bytes(signed.raw_transaction))
    return mined(chain, signed)


def test_blocks_are_found_by_number_up_to_head(chain, accounts):
    first = run(chain, accounts["anchorer"]).block
    second = run(chain, accounts["anchorer"]).block
    assert chain.head() == second
    assert second.parent_hash == first.block_hash
    assert chain.block(first.number) == first
    assert chain.block(second.number + 1) is None


def test_money_moves_and_gas_is_paid(chain, accounts):
    before, sunk = chain.balance(accounts["office"].address), chain.balance(SINK)
    receipt = run(chain, accounts["office"], value=7)
    assert (receipt.gas_used, receipt.revert_data) == (21_000, None)
    assert chain.balance(SINK) == sunk + 7
    assert chain.balance(accounts["office"].address) < before - 7
    assert chain.price().base_fee > 0


def test_resending_waiting_or_mined_transaction_changes_nothing(chain, accounts):
    account = accounts["anchorer"]
    nonce = chain.transaction_count(account.address)
    later, first = transfer(chain, account, nonce + 1), transfer(chain, account, nonce)
    for signed in (later, later, first):
        chain.send_raw(bytes(signed.raw_transaction))
    mined(chain, later)
    for signed in (later, first):
        chain.send_raw(bytes(signed.raw_transaction))
    assert chain.transaction_count(account.address) == nonce + 2


@pytest.mark.parametrize("raw", [b"", b"\x02\xc0", b"\xf8garbage", b"\xc0"])
def test_what_is_no_transaction_is_rejected(chain, raw):
    with pytest.raises(TransactionRejected):
        chain.send_raw(raw)


def test_what_can_never_be_mined_is_rejected(chain, accounts):
    account = accounts["anchorer"]
    run(chain, account)
    nonce = chain.transaction_count(account.address)
    for signed in (
        transfer(chain, account, nonce - 1, value=2),
        transfer(chain, account, nonce, chainId=1),
        transfer(chain, account, nonce, gas=20_000),
    ):
        with pytest.raises(TransactionRejected):
            chain.send_raw(bytes(signed.raw_transaction))


REFUSER = bytes.fromhex("63c0ffee005f526004601cfd")
SPEAKER = bytes.fromhex("60015f5260075f52602a60205fa100")
"""Emits an event with one topic, 42, whenever it is called."""


def deployed(chain, account, code):
    import rlp
    from eth_utils.address import to_checksum_address
    from eth_utils.crypto import keccak

    nonce = chain.transaction_count(account.address)
    preamble = bytes([0x60, len(code), 0x80, 0x60, 9, 0x5F, 0x39, 0x5F, 0xF3])
    assert run(chain, account, to="", data=preamble + code, value=0).succeeded
    return to_checksum_address(keccak(rlp.encode([bytes.fromhex(account.address[2:]), nonce]))[12:])


def test_revert_data_is_told_by_call_and_receipt(chain, accounts):
    address = deployed(chain, accounts["anchorer"], REFUSER)
    with pytest.raises(CallReverted) as refused:
        chain.call(address, b"")
    assert refused.value.data == bytes.fromhex("c0ffee00")
    receipt = run(chain, accounts["anchorer"], to=address, value=0)
    assert (receipt.succeeded, receipt.revert_data) == (False, bytes.fromhex("c0ffee00"))


def test_events_are_found_by_block_address_and_topic(chain, accounts):
    address = deployed(chain, accounts["anchorer"], SPEAKER)
    receipts = [run(chain, accounts["anchorer"], to=address, value=0) for _ in range(2)]
    first, last = receipts[0].block.number, receipts[1].block.number
    topic = (42).to_bytes(32, "big")
    found = chain.logs(first, last, address, [topic])
    assert [event.transaction_hash for event in found] == [receipt.transaction_hash for receipt in receipts]
    assert [event.log for event in found] == [receipt.logs[0] for receipt in receipts]
    assert [event.block_hash for event in found] == [receipt.block.block_hash for receipt in receipts]
    assert chain.logs(first, last, address, [b"\0" * 32]) == []
    assert chain.logs(first, last, SINK) == []
    assert len(chain.logs(last, last, address)) == 1
