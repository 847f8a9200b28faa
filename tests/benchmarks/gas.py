"""What the ledger's acts cost, read from receipts (Prague rules): on the embedded chain here, on anvil in gas_peers.py.

Digests and roots are random, so that a figure may differ by a few gas from one run to the next. "Fresh" and "used" say
whether the slot was written before; an account's very first batch costs more and is not counted.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from eth.vm.spoof import SpoofTransaction
from eth_utils.address import to_canonical_address

from backend.adapters.chains.embedded import EmbeddedChain
from backend.adapters.ledger import ACCOUNT_NAMES, EvmLedger, accounts_from_keys, deploy
from backend.adapters.ledger.calls import interface
from backend.adapters.ledger.chain import Chain
from backend.domain.evidence import InclusionProof, Segments, Tree, leaf_hash
from backend.domain.ledger import (
    Accredit,
    Accreditation,
    ActivateCertificate,
    AnchorBatch,
    ChangeStatuses,
    LedgerCall,
    LedgerDrawdown,
    LedgerRecord,
    MakeDrawdowns,
    PublishRevocation,
    RefundDrawdown,
    RotateKey,
    SuspendAccreditation,
)
from tests.benchmarks.figure import Figure

Gas = Callable[[LedgerCall, str], int]
KeyOf = Callable[[bytes], bytes]
InnerGas = Callable[[str, bytes], int]
"""What a call to an address costs by itself, as another contract would pay it."""

MOST_PLACES = 16_000
"""What one transaction changes at most in these figures: 250 words."""


def measure(scratch: Path) -> list[Figure]:
    """Gas of anchors, decisions, drawdowns and proofs, alone and by the batch, on the embedded chain."""
    accounts = accounts_from_keys({name: os.urandom(32) for name in ACCOUNT_NAMES})
    addresses = [account.address for account in accounts.values()]
    with EmbeddedChain(scratch / "chain.sqlite", addresses, in_real_time=False) as chain:
        ledger = EvmLedger(chain, deploy(chain, accounts), accounts)
        return figures_of(chain, ledger, lambda to, data: _inner_gas(chain, to, data))


def figures_of(chain: Chain, ledger: EvmLedger, inner_gas: InnerGas) -> list[Figure]:
    """All figures, on whatever chain this is."""

    def gas(call: LedgerCall, signer: str) -> int:
        signed = ledger.sign(call, ledger.next_nonce(signer))
        ledger.send(signed.raw)
        while (receipt := chain.receipt(signed.transaction_hash)) is None:
            pass
        assert receipt.succeeded
        return receipt.gas_used

    gas(AnchorBatch(os.urandom(32), Segments(0, 0, 1, 1)), "anchorer")  # the account's first use of its slots
    key_of = ledger.batch_key
    return [*_decisions(gas, key_of), *_draws(gas, ledger), *_proofs(gas, ledger, inner_gas), *_growth(gas, key_of)]


def _decisions(gas: Gas, key_of: KeyOf) -> list[Figure]:
    root = os.urandom(32)
    key = key_of(root)
    anchored = gas(AnchorBatch(root, Segments(0, 0, 1024, 1024)), "anchorer")
    fresh = gas(ChangeStatuses(key, ((0, 2),), os.urandom(32), "office"), "office")
    used = gas(ChangeStatuses(key, ((1, 4),), os.urandom(32), "office"), "office")
    return [
        Figure("anchor a batch, role check and numbering included", anchored, "gas", "<= 55,200"),
        Figure("one decision in a fresh word", fresh, "gas", "<= 55,200"),
        Figure("one decision in a used word", used, "gas", "<= 38,000"),
        _life(gas, key_of, 1024, "<= 610"),
        _life(gas, key_of, 10_048, "<= 510"),
        *_keys(gas),
    ]


def _keys(gas: Gas) -> list[Figure]:
    key, since = os.urandom(32), datetime(2026, 1, 1, tzinfo=UTC)
    every_chapter_by_name = (1 << 98) - 2
    terms = Accreditation(2, every_chapter_by_name, since, since + timedelta(days=3650))
    first = gas(Accredit(key, terms), "authority")
    gas(Accredit(key, terms), "authority")
    later = gas(Accredit(key, terms), "authority")
    return [
        Figure("accredit a key, the first time", first, "gas", "<= 115,000"),
        Figure("accredit a key, later", later, "gas", "<= 78,000"),
        Figure("suspend a key", gas(SuspendAccreditation(key, since), "authority"), "gas", "<= 73,000"),
        Figure("reinstate a key", gas(SuspendAccreditation(key, None), "authority"), "gas"),
        Figure("rotate a key", gas(RotateKey(key, os.urandom(32)), "authority"), "gas", "<= 190,000"),
    ]


def _life(gas: Gas, key_of: KeyOf, size: int, target: str | None) -> Figure:
    root = os.urandom(32)
    total = gas(AnchorBatch(root, Segments(0, 0, size, size)), "anchorer")
    for status in (2, 4):
        for first in range(0, size, MOST_PLACES):
            places = tuple((leaf_index, status) for leaf_index in range(first, min(size, first + MOST_PLACES)))
            total += gas(ChangeStatuses(key_of(root), places, os.urandom(32), "office"), "office")
    name = f"a declaration's life (anchor, review, release), N = {size:,}"
    return Figure(name, total / size, "gas", target)


def _growth(gas: Gas, key_of: KeyOf) -> list[Figure]:
    """How the cost of a record falls with the size of its batch."""
    figures = []
    for size in (10, 100, 1_000, 10_000, 100_000):
        anchored = gas(AnchorBatch(os.urandom(32), Segments(0, 0, size, size)), "anchorer")
        figures.append(Figure(f"anchor, per record, N = {size:,}", anchored / size, "gas"))
        figures.append(_life(gas, key_of, size, None))
    return figures


def _draws(gas: Gas, ledger: EvmLedger) -> list[Figure]:
    now, year = ledger.head().block_time, timedelta(days=365)
    key = os.urandom(32)
    gas(Accredit(key, Accreditation(2, 1, now - year, now + year)), "authority")
    entries = [bytes([1]) + (10**6).to_bytes(16, "big") + os.urandom(32) for _ in range(100)]
    entries += [bytes([3]) + bytes(16) + os.urandom(32) for _ in range(100)]
    tree = Tree(entries)
    gas(AnchorBatch(tree.root, Segments(100, 100, 200, 200)), "anchorer")
    batch = ledger.batch_key(tree.root)
    activations = [
        gas(
            ActivateCertificate(
                LedgerRecord(batch, leaf_index), entries[leaf_index], tree.proof(leaf_index).path, key, 9, now
            ),
            "anchorer",
        )
        for leaf_index in range(100)
    ]

    def drawdowns(places: range, quantity: int) -> MakeDrawdowns:
        return MakeDrawdowns(
            tuple(LedgerDrawdown(LedgerRecord(batch, p), LedgerRecord(batch, 100 + p), quantity) for p in places)
        )

    alone = gas(drawdowns(range(1), 1234), "anchorer")
    hundred = drawdowns(range(100), 4321)
    each = gas(hundred, "anchorer") / 100
    gas(ChangeStatuses(batch, ((150, 5),), os.urandom(32), "office"), "office")
    back = gas(RefundDrawdown(hundred, 50), "anchorer")
    succeeded = gas(_successor_of(gas, ledger, batch, entries, key), "anchorer")
    gas(ChangeStatuses(batch, ((0, 2), (64, 2)), os.urandom(32)), "anchorer")
    revoked = gas(ChangeStatuses(batch, ((2, 2),), os.urandom(32)), "anchorer")
    published = gas(PublishRevocation(LedgerRecord(batch, 2), entries[2], tree.proof(2).path), "anchorer")
    return [
        Figure("activate a certificate (batch of 200)", sum(activations[1:]) / 99, "gas"),
        Figure("activate one that supersedes another (batch of 200)", succeeded, "gas"),
        Figure("a drawdown on an activated certificate, alone", alone, "gas", "<= 38,000"),
        Figure("a drawdown, each of 100 on 100 certificates", each, "gas", "<= 11,000"),
        Figure("refund one of 100 drawdowns", back, "gas"),
        Figure("revoke a document at its place, in a used word", revoked, "gas"),
        Figure("publish the revocation for the record itself (batch of 200)", published, "gas"),
    ]


def _successor_of(gas: Gas, ledger: EvmLedger, batch: bytes, entries: list[bytes], key: bytes) -> ActivateCertificate:
    """The activation of a certificate in a batch of the same size, which supersedes the second one of this batch."""
    gas(ChangeStatuses(batch, ((1, 3),), os.urandom(32)), "anchorer")
    entry = bytes([1]) + (10**6).to_bytes(16, "big") + os.urandom(32)
    tree = Tree([entry, *entries[1:]])
    gas(AnchorBatch(tree.root, Segments(100, 100, 200, 200)), "anchorer")
    located = LedgerRecord(ledger.batch_key(tree.root), 0)
    now = ledger.head().block_time
    return ActivateCertificate(located, entry, tree.proof(0).path, key, 9, now, superseded=LedgerRecord(batch, 1))


def _proofs(gas: Gas, ledger: EvmLedger, inner_gas: InnerGas) -> list[Figure]:
    figures = []
    for depth, target in ((10, "<= 10,000"), (20, "<= 16,000")):
        entry, path = bytes([3]) + bytes(16) + os.urandom(32), [os.urandom(32) for _ in range(depth)]
        root = _root_over(entry, path)
        size = 1 << depth
        gas(AnchorBatch(root, Segments(0, 0, size, size)), "anchorer")
        data = interface("TraceLedger").call_data("verify", ledger.batch_key(root), 0, entry, path)
        figures.append(
            Figure(f"verify, inner gas, depth {depth}", inner_gas(ledger.head().ledger_address, data), "gas", target)
        )
    return figures


def _root_over(entry: bytes, path: list[bytes]) -> bytes:
    """The root of a tree whose first entry has this path."""
    root = InclusionProof(0, 1 << len(path), tuple(path)).root_from(leaf_hash(entry))
    assert root is not None
    return root


def _inner_gas(chain: EmbeddedChain, to: str, data: bytes) -> int:
    """Gas of the call itself: the transaction's own base and calldata left out."""
    sender = bytes(19) + b"\1"
    # No chain tells this from outside, so the benchmark looks into the one that runs here.
    with chain.asking() as inner, inner.get_vm(inner.get_canonical_head()).in_costless_state() as state:
        call = inner.create_unsigned_transaction(
            nonce=0, gas_price=0, gas=1_000_000, to=to_canonical_address(to), value=0, data=data
        )
        computation = state.costless_execute_transaction(SpoofTransaction(call, from_=sender))
    assert int.from_bytes(computation.output, "big") == 1, "the proof must hold"
    return computation.get_gas_used()
