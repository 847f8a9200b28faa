"""The embedded chain: how many transactions a second it takes, from signed bytes to receipts on disk.

The transactions are real anchors of ours (54,812 gas each). The baseline is the same anchor the way web3's own test
provider does it, one transaction after another: gas estimated, signed, mined, its receipt read.
"""

import os
import time
from pathlib import Path
from typing import Any

from eth_tester import EthereumTester, PyEVMBackend
from web3 import EthereumTesterProvider, Web3

from backend.adapters.chains.embedded import EmbeddedChain
from backend.adapters.ledger import ACCOUNT_NAMES, EvmLedger, accounts_from_keys, deploy
from backend.domain.evidence import Segments
from backend.domain.ledger import AnchorBatch, SignedTransaction
from contracts import load
from tests.benchmarks.figure import Figure

TRANSACTIONS = 1_500
NAIVE_TRANSACTIONS = 30


def measure(scratch: Path) -> list[Figure]:
    """Transactions a second through the pool into blocks, and what a lone one waits."""
    accounts = accounts_from_keys({name: os.urandom(32) for name in ACCOUNT_NAMES})
    addresses = [account.address for account in accounts.values()]
    with EmbeddedChain(scratch / "chain.sqlite", addresses, in_real_time=False) as chain:
        ledger = EvmLedger(chain, deploy(chain, accounts), accounts)
        first = ledger.next_nonce("anchorer")
        signed = [ledger.sign(_anchor(), first + step) for step in range(TRANSACTIONS)]
        before = chain.head().number
        taken = _run(ledger, chain, signed)
        blocks = chain.head().number - before
        alone = min(_run(ledger, chain, [ledger.sign(_anchor(), first + TRANSACTIONS + n)]) for n in range(5))
    naive = _naive()
    baseline = ("web3's test provider, one by one", naive)
    return [
        Figure("embedded chain, anchors in blocks", TRANSACTIONS / taken, "tx/s", ">= 300", *baseline),
        Figure(f"embedded chain, anchors in a block ({TRANSACTIONS:,} sent)", TRANSACTIONS / blocks, "tx"),
        Figure("embedded chain, one anchor alone, to its receipt", alone * 1000, "ms"),
    ]


def _anchor() -> AnchorBatch:
    return AnchorBatch(os.urandom(32), Segments(0, 0, 1000, 1000))


def _run(ledger: EvmLedger, chain: EmbeddedChain, signed: list[SignedTransaction]) -> float:
    begun = time.perf_counter()
    for transaction in signed:
        ledger.send(transaction.raw)
    while (receipt := chain.receipt(signed[-1].transaction_hash)) is None:
        time.sleep(0.001)
    taken = time.perf_counter() - begun
    assert receipt.succeeded
    assert all(chain.receipt(transaction.transaction_hash) for transaction in signed[:-1])
    return taken


def _naive() -> float:
    """Transactions a second without our chain."""
    web3 = Web3(EthereumTesterProvider(EthereumTester(PyEVMBackend())))
    sender = web3.eth.accounts[0]

    def mined(function: Any) -> Any:
        return web3.eth.wait_for_transaction_receipt(function.transact({"from": sender}))

    def deployed(name: str, *arguments: object) -> Any:
        artifact = load(name)
        factory = web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
        return web3.eth.contract(mined(factory.constructor(*arguments)).contractAddress, abi=artifact.abi)

    manager = deployed("AccessManager", sender)
    contract = deployed("TraceLedger", manager.address, os.urandom(32))
    mined(contract.functions.registerAgent(sender, 1))
    begun = time.perf_counter()
    for _ in range(NAIVE_TRANSACTIONS):
        mined(contract.functions.anchor(os.urandom(32), 0, 0, 1000, 1000))
    return NAIVE_TRANSACTIONS / (time.perf_counter() - begun)
