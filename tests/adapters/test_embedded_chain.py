"""The embedded chain keeps what it mined, tells the right time, and lets nothing disturb its one writer."""

import itertools
import os
import random
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import pytest
import rlp
from eth_account import Account
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from backend.adapters.chains.embedded import ChainInUse
from backend.adapters.chains.embedded import chain as chain_module
from backend.adapters.ledger.chain import CallReverted, ChainUnavailable, TransactionRejected

SINK = "0x1111111111111111111111111111111111111111"
COUNTER = bytes.fromhex("36600c575f546001015f55005b5f545f5260205ff3")
"""Counts calls without data; answers the count to a call with data."""
REFUSER = bytes.fromhex("63c0ffee005f526004601cfd")
"""Reverts with c0ffee00, whatever it is asked."""


class Clock:
    """A clock that goes only when it is told to."""

    def __init__(self, now=1_900_000_000.5):
        self.now = now

    def __call__(self):
        return self.now


def transfer(account, nonce, *, chain_id=131277322940537, to=SINK, value=1, gas=100_000, data=b"", fee=10**11):
    fields = {"chainId": chain_id, "nonce": nonce, "gas": gas, "value": value, "data": data}
    fields |= {"maxFeePerGas": fee, "maxPriorityFeePerGas": 1}
    return account.sign_transaction(fields | ({"to": to} if to else {}))


def send(chain, signed):
    chain.send_raw(bytes(signed.raw_transaction))
    return bytes(signed.hash)


def mined(chain, transaction_hash, seconds=10):
    deadline = time.monotonic() + seconds
    while (receipt := chain.receipt(transaction_hash)) is None:
        assert time.monotonic() < deadline, "not mined in time"
        time.sleep(0.002)
    return receipt


def run(chain, account, nonce, **fields):
    return mined(chain, send(chain, transfer(account, nonce, **fields)))


@pytest.fixture
def account(accounts):
    return accounts["anchorer"]


# ---- keeping


def test_reopened_chain_has_the_same_head_and_receipts(open_chain, account):
    chain = open_chain()
    receipts = [run(chain, account, nonce) for nonce in range(5)]
    head = chain.head()
    chain.close()
    again = open_chain()
    assert again.head() == head == receipts[-1].block
    assert again.transaction_count(account.address) == 5
    assert [again.receipt(receipt.transaction_hash) for receipt in receipts] == receipts
    assert run(again, account, 5).block.parent_hash == head.block_hash


def test_blocks_are_found_by_number_up_to_head(open_chain, account):
    chain = open_chain()
    first = run(chain, account, 0).block
    assert chain.block(1) == first == chain.head()
    assert chain.block(0).block_hash == first.parent_hash
    assert chain.block(2) is None


def test_second_process_is_refused_naming_the_holder(open_chain, tmp_path):
    chain = open_chain()
    answer = _python(
        """
        from backend.adapters.chains.embedded import ChainInUse, EmbeddedChain
        try:
            EmbeddedChain(Path(sys.argv[1]))
        except ChainInUse as refused:
            print(refused.holder, refused)
        """,
        tmp_path / "chain.sqlite",
    )
    assert answer.split()[0] == str(os.getpid())
    assert "in use by process" in answer
    chain.close()
    open_chain()


def test_second_opener_in_this_process_is_refused(open_chain):
    open_chain()
    with pytest.raises(ChainInUse) as refused:
        open_chain()
    assert refused.value.holder == os.getpid()


def test_kill_while_mining_leaves_a_working_chain(open_chain, tmp_path, account):
    """Only whole blocks are left."""
    chance = random.Random(9)
    reported = (0, "")
    for _ in range(2):
        reported = _mine_until_killed(tmp_path / "chain.sqlite", account, chance.uniform(0.1, 0.5)) or reported
        chain = open_chain()
        head = chain.head()
        assert head.number >= reported[0] > 0
        assert chain.block(reported[0]).block_hash.hex() == reported[1]
        count = chain.transaction_count(account.address)
        assert count == head.number, "each block of the child held one transaction"
        assert run(chain, account, count).block.parent_hash == head.block_hash
        chain.close()


def _mine_until_killed(path, account, seconds):
    child = _start(
        """
        from eth_account import Account
        from backend.adapters.chains.embedded import EmbeddedChain
        account = Account.from_key(sys.argv[2])
        chain = EmbeddedChain(Path(sys.argv[1]), [account.address], in_real_time=False)
        fields = {"chainId": chain.chain_id(), "gas": 100_000, "value": 1, "to": sys.argv[3]}
        fields |= {"maxFeePerGas": 10**11, "maxPriorityFeePerGas": 1}
        nonce = chain.transaction_count(account.address)
        while True:
            signed = account.sign_transaction(fields | {"nonce": nonce})
            chain.send_raw(bytes(signed.raw_transaction))
            while chain.receipt(bytes(signed.hash)) is None:
                pass
            nonce += 1
            head = chain.head()
            print(head.number, head.block_hash.hex(), flush=True)
        """,
        path,
        account.key.hex(),
        SINK,
    )
    first = child.stdout.readline()
    time.sleep(seconds)
    child.kill()
    lines = [line for line in (first + child.stdout.read()).splitlines() if len(line.split()) == 2]
    child.wait()
    child.stdout.close()
    number, block_hash = lines[-1].split()
    return int(number), block_hash


def _start(script, *arguments):
    program = "import sys\nfrom pathlib import Path\n" + textwrap.dedent(script)
    command = [sys.executable, "-c", program, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def _python(script, *arguments):
    child = _start(script, *arguments)
    answer, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    return answer


def test_nobody_but_the_named_accounts_owns_money(open_chain):
    chain = open_chain()
    public = Account.from_key((1).to_bytes(32, "big"))
    transaction_hash = send(chain, transfer(public, 0))
    time.sleep(0.2)
    assert chain.receipt(transaction_hash) is None
    assert chain.head().number == 0


# ---- time


def test_first_transaction_after_a_pause_is_mined_immediately(open_chain, account):
    chain = open_chain(in_real_time=True)
    started = time.monotonic()
    receipt = run(chain, account, 0)
    assert 0 <= time.time() - receipt.block.time.timestamp() < time.monotonic() - started + 1


def test_block_after_a_pause_carries_its_mining_time(open_chain, account):
    clock = Clock()
    chain = open_chain(in_real_time=True, clock=clock)
    assert run(chain, account, 0).block.time.timestamp() == 1_900_000_000
    clock.now += 3000
    assert run(chain, account, 1).block.time.timestamp() == 1_900_003_000


def test_the_chain_never_runs_ahead_of_the_clock(open_chain, account):
    clock = Clock()
    chain = open_chain(in_real_time=True, clock=clock)
    run(chain, account, 0)
    second = send(chain, transfer(account, 1))
    time.sleep(0.3)
    assert chain.receipt(second) is None
    clock.now += 1
    assert mined(chain, second).block.time.timestamp() == 1_900_000_001


def test_an_idle_chain_mines_nothing(open_chain, account):
    chain = open_chain()
    run(chain, account, 0)
    time.sleep(0.2)
    assert chain.head().number == 1


def test_idle_chain_mines_an_empty_block_every_hour(open_chain, account, monkeypatch):
    monkeypatch.setattr(chain_module, "IDLE_LOOK_SECONDS", 0.01)
    clock = Clock()
    chain = open_chain(in_real_time=True, clock=clock)
    run(chain, account, 0)
    clock.now += 3599
    time.sleep(0.2)
    assert chain.head().number == 1
    clock.now += 1
    deadline = time.monotonic() + 10
    while chain.head().number == 1:
        assert time.monotonic() < deadline, "no empty block"
        time.sleep(0.01)
    time.sleep(0.2)
    head = chain.head()
    assert (head.number, head.time.timestamp()) == (2, 1_900_003_600)
    clock.now += 1
    assert run(chain, account, 1).block.number == 3


def test_idle_time_before_an_empty_block_is_configurable(open_chain, monkeypatch):
    monkeypatch.setattr(chain_module, "IDLE_LOOK_SECONDS", 0.01)
    chain = open_chain(in_real_time=True, clock=Clock(), idle_seconds=10**9)
    time.sleep(0.1)
    assert chain.head().number == 0


def test_blocks_in_a_row_are_a_second_apart(open_chain, account):
    chain = open_chain(in_real_time=True)
    times = [run(chain, account, nonce).block.time.timestamp() for nonce in range(3)]
    assert all(later - earlier >= 1 for earlier, later in itertools.pairwise(times))
    assert times[-1] <= time.time()


# ---- many at once


def test_many_transactions_share_a_block(open_chain, account):
    chain = open_chain(in_real_time=True)
    hashes = [send(chain, transfer(account, nonce)) for nonce in range(200)]
    blocks = {mined(chain, transaction_hash).block.number for transaction_hash in hashes}
    assert len(blocks) <= 20  # two or three on a quiet machine; a busy one sends so slowly that seconds pass


def test_gas_is_told_for_each_transaction(open_chain, account):
    chain = open_chain(in_real_time=True)
    hashes = [send(chain, transfer(account, nonce, data=b"\1" * nonce)) for nonce in range(4)]
    assert [mined(chain, found).gas_used for found in hashes] == [21_000 + 40 * nonce for nonce in range(4)]


def test_senders_and_readers_do_not_disturb_each_other(open_chain, accounts):
    chain = open_chain()
    done = threading.Event()

    def send_twenty(account):
        return [send(chain, transfer(account, nonce)) for nonce in range(20)]

    def read():
        asked = 0
        while not done.is_set():
            head = chain.head()
            assert chain.block(head.number) == head
            assert chain.call(SINK, b"") == b""
            asked += 1
        return asked

    with ThreadPoolExecutor(8) as pool:
        readers = [pool.submit(read) for _ in range(4)]
        hashes = [found for sent in pool.map(send_twenty, accounts.values()) for found in sent]
        receipts = [mined(chain, transaction_hash) for transaction_hash in hashes]
        done.set()
        assert all(reader.result() > 0 for reader in readers)
    assert len(receipts) == 20 * len(accounts)
    assert all(receipt.succeeded for receipt in receipts)
    assert {chain.transaction_count(account.address) for account in accounts.values()} == {20}


def test_a_closed_chain_says_so(open_chain, account):
    chain = open_chain()
    chain.close()
    chain.close()
    for ask in (
        chain.head,
        lambda: chain.block(0),
        lambda: chain.call(SINK, b""),
        lambda: chain.transaction_count(account.address),
        lambda: chain.send_raw(bytes(transfer(account, 0).raw_transaction)),
        lambda: chain.receipt(b"\0" * 32),
    ):
        with pytest.raises(ChainUnavailable):
            ask()


def test_closing_is_quick_even_while_transactions_wait(open_chain, account):
    clock = Clock()
    chain = open_chain(in_real_time=True, clock=clock)
    run(chain, account, 0)
    send(chain, transfer(account, 1))
    started = time.monotonic()
    chain.close()
    assert time.monotonic() - started < 10, "its clock stands still"


# ---- what is sent


def test_resending_waiting_or_mined_transaction_changes_nothing(open_chain, account):
    chain = open_chain()
    signed = transfer(account, 1)
    send(chain, signed)
    send(chain, signed)
    run(chain, account, 0)
    mined(chain, bytes(signed.hash))
    head = chain.head()
    send(chain, signed)
    time.sleep(0.1)
    assert chain.head() == head
    assert chain.transaction_count(account.address) == 2


def test_resending_while_its_block_is_written_succeeds(open_chain, account, monkeypatch):
    """The block is written between the look for the transaction and the look at the account."""
    chain = open_chain()
    transaction = transfer(account, 0)
    mined(chain, send(chain, transaction))
    looks = iter([None])
    position = chain_module._position
    monkeypatch.setattr(chain_module, "_position", lambda *where: next(looks, position(*where)))
    chain.send_raw(bytes(transaction.raw_transaction))


def test_nonce_ahead_waits_for_those_before(open_chain, account):
    chain = open_chain()
    later = [send(chain, transfer(account, nonce)) for nonce in (2, 1)]
    time.sleep(0.1)
    assert chain.head().number == 0
    run(chain, account, 0)
    assert all(mined(chain, transaction_hash).succeeded for transaction_hash in later)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "only legacy"),
        (b"\x03\x01", "only legacy"),
        (b"\x02\xc0", "not valid"),
        (b"\xf8garbage", "not valid"),
        (b"\xc0", "not valid"),
    ],
)
def test_what_is_no_transaction_is_rejected(open_chain, raw, says):
    with pytest.raises(TransactionRejected, match=says):
        open_chain().send_raw(raw)


def test_what_can_never_be_mined_is_rejected(open_chain, account):
    chain = open_chain()
    run(chain, account, 0)
    send(chain, transfer(account, 5))
    for signed, says in (
        (transfer(account, 0, value=2), "used up"),
        (transfer(account, 1, chain_id=1), "signed for chain 1"),
        (transfer(account, 1, gas=20_000), "gas"),
        (transfer(account, 1, gas=10**9), "gas"),
        (transfer(account, 5, value=2), "waits with nonce 5"),
    ):
        with pytest.raises(TransactionRejected, match=says):
            send(chain, signed)


def test_transaction_found_invalid_is_dropped_others_are_mined(open_chain, account, caplog):
    chain = open_chain(in_real_time=True)
    poor = send(chain, transfer(Account.create(), 0))
    stingy = send(chain, transfer(account, 1, fee=1))
    good = send(chain, transfer(account, 0))
    assert mined(chain, good).succeeded
    assert run(chain, account, 1, value=3).succeeded
    assert chain.receipt(poor) is None
    assert chain.receipt(stingy) is None
    assert f"dropped {poor.hex()}" in caplog.text
    assert f"dropped {stingy.hex()}" in caplog.text


@pytest.mark.parametrize("fault", [sqlite3.OperationalError("database or disk is full"), RuntimeError("a bug")])
def test_fault_while_mining_does_not_end_the_miner(open_chain, account, monkeypatch, fault):
    """It costs one attempt."""
    chain = open_chain()
    commit, faults = chain._store.commit, iter([fault])

    def failing_commit():
        for fault in faults:
            raise fault
        commit()

    monkeypatch.setattr(chain._store, "commit", failing_commit)
    assert run(chain, account, 0).succeeded
    assert chain.head().number == 1


# ---- what contracts say


def test_call_answers_from_head_without_changing_state(open_chain, account):
    chain = open_chain()
    counter = deployed(chain, account, COUNTER)
    run(chain, account, 1, to=counter, value=0)
    head = chain.head()
    assert [int.from_bytes(chain.call(counter, b"\1"), "big") for _ in range(3)] == [1, 1, 1]
    chain.call(counter, b"")
    assert int.from_bytes(chain.call(counter, b"\1", sender=account.address), "big") == 1
    assert chain.head() == head


def test_call_tells_revert_data_and_receipt_keeps_it(open_chain, account):
    chain = open_chain()
    refuser = deployed(chain, account, REFUSER)
    with pytest.raises(CallReverted) as refused:
        chain.call(refuser, b"")
    assert refused.value.data == bytes.fromhex("c0ffee00")
    receipt = run(chain, account, 1, to=refuser, value=0)
    assert (receipt.succeeded, receipt.revert_data) == (False, bytes.fromhex("c0ffee00"))
    chain.close()
    assert open_chain().receipt(receipt.transaction_hash) == receipt


def deployed(chain, account, code):
    """Put code on the chain with the account's first transaction; give its address."""
    preamble = bytes([0x60, len(code), 0x80, 0x60, 9, 0x5F, 0x39, 0x5F, 0xF3])
    assert run(chain, account, 0, to=None, data=preamble + code, value=0).succeeded
    return to_checksum_address(keccak(rlp.encode([bytes.fromhex(account.address[2:]), 0]))[12:])


# ---- how it is set up


@pytest.mark.skipif(find_spec("sha3") is None, reason="safe-pysha3 has no wheel for this system")
@pytest.mark.parametrize("first", ["backend.adapters.chains.embedded", "backend.adapters.ledger"])
def test_hashing_is_done_by_the_quick_library(first):
    answer = _python(
        f"""
        import {first}
        import backend.adapters.chains.embedded
        from eth_utils.crypto import keccak
        from eth_hash.auto import keccak as hasher
        keccak(b"")
        hasher(b"")
        print(hasher.hasher.__self__.__class__.__name__, [name for name in sys.modules if name == "sha3"])
        """
    )
    assert answer.split() == ["PySha3Backend", "['sha3']"]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("coincurve") is None or find_spec("sha3") is None, reason="not there to be compared with")
def test_chain_is_the_same_without_quicker_libraries(tmp_path):
    """coincurve and safe-pysha3 have no wheels for some Pythons and systems; signatures and hashes must not differ."""
    script = """
        sys.modules.update(dict.fromkeys(sys.argv[2:]))
        import os, time
        os.environ.pop("ETH_HASH_BACKEND", None)  # this test's own process has chosen one already
        from eth_account import Account
        from eth_keys.backends import get_backend
        from eth_hash.auto import keccak
        from backend.adapters.chains.embedded import EmbeddedChain
        account = Account.from_key((7).to_bytes(32, "big"))
        with EmbeddedChain(Path(sys.argv[1]), [account.address], in_real_time=False) as chain:
            fields = {"chainId": chain.chain_id(), "gas": 100_000, "value": 1, "to": account.address, "nonce": 0}
            signed = account.sign_transaction(fields | {"maxFeePerGas": 10**11, "maxPriorityFeePerGas": 1})
            chain.send_raw(bytes(signed.raw_transaction))
            while (receipt := chain.receipt(bytes(signed.hash))) is None:
                time.sleep(0.01)
        print(signed.raw_transaction.hex(), signed.hash.hex(), receipt.succeeded, receipt.gas_used, keccak(b"").hex())
        print(type(get_backend()).__name__, keccak.hasher.__self__.__class__.__name__)
    """
    quick = _python(script, tmp_path / "quick.sqlite").splitlines()
    plain = _python(script, tmp_path / "plain.sqlite", "coincurve", "sha3").splitlines()
    assert quick[0] == plain[0]
    assert [quick[1], plain[1]] == ["CoinCurveECCBackend PySha3Backend", "NativeECCBackend CryptodomeBackend"]
