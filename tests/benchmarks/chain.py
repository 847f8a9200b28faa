"""The embedded chain: how many transactions a second it takes, from signed bytes to receipts on disk.

The transactions are real anchors of ours (54,871 gas each). The baseline is the same anchor the way web3's own test
provider does it, one transaction after another: gas estimated, signed, mined, its receipt read.
"""

import os
import subprocess
import sys
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

ROOT = Path(__file__).parents[2]
TRANSACTIONS = 1_500
PLAIN_TRANSACTIONS = 300
QUICKER = ("coincurve", "sha3")
"""Libraries that only make it quicker, by the names they are imported as: Python 3.14 and macOS do not have both."""
NAIVE_TRANSACTIONS = 30


def measure(scratch: Path) -> list[Figure]:
    """Transactions a second through the pool into blocks, and what a lone one waits."""
    rate, size, alone = _measured(scratch, TRANSACTIONS)
    naive = _naive()
    baseline = ("web3's test provider, one by one", naive)
    anchors = "embedded chain, anchors in"
    return [
        Figure(f"{anchors} blocks", rate, "tx/s", ">= 300", *baseline),
        Figure(f"{anchors} blocks, without coincurve", _without(scratch, "coincurve"), "tx/s"),
        Figure(f"{anchors} blocks, without safe-pysha3", _without(scratch, "sha3"), "tx/s"),
        Figure(f"{anchors} blocks, without either", _without(scratch, *QUICKER), "tx/s"),
        Figure(f"{anchors} a block ({TRANSACTIONS:,} sent)", size, "tx"),
        Figure("embedded chain, one anchor alone, to its receipt", alone * 1000, "ms"),
    ]


def _measured(scratch: Path, count: int) -> tuple[float, float, float]:
    """Anchors a second, anchors a block, and the seconds that a lone one takes."""
    accounts = accounts_from_keys({name: os.urandom(32) for name in ACCOUNT_NAMES})
    addresses = [account.address for account in accounts.values()]
    with EmbeddedChain(scratch / "chain.sqlite", addresses, in_real_time=False) as chain:
        ledger = EvmLedger(chain, deploy(chain, accounts), accounts)
        first = ledger.next_nonce("anchorer")
        signed = [ledger.sign(_anchor(), first + step) for step in range(count)]
        before = chain.head().number
        taken = _run(ledger, chain, signed)
        blocks = chain.head().number - before
        alone = min(_run(ledger, chain, [ledger.sign(_anchor(), first + count + n)]) for n in range(5))
    return count / taken, count / blocks, alone


def _without(scratch: Path, *libraries: str) -> float:
    """Anchors a second in a process that cannot import these."""
    program = "import sys; sys.modules.update(dict.fromkeys(sys.argv[2:])); import tests.benchmarks.chain as chain; "
    program += "from pathlib import Path; print(chain._measured(Path(sys.argv[1]), chain.PLAIN_TRANSACTIONS)[0])"
    folder = scratch / "-".join(("without", *libraries))
    folder.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "ETH_HASH_BACKEND"}
    command = [sys.executable, "-c", program, str(folder), *libraries]
    done = subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)


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
