"""What the ledger's acts cost, read from receipts on the embedded chain (Prague rules)."""

import os
from pathlib import Path

from backend.adapters.embedded_chain import EmbeddedChain
from backend.adapters.ledger import ACCOUNT_NAMES, EvmLedger, accounts_from_keys, deploy
from backend.domain.ledger import Act, AnchorBatch, ChangeStatuses, Lanes
from tests.benchmarks.figure import Figure


def measure(scratch: Path) -> list[Figure]:
    """Gas of an anchor and of decisions, alone and by the batch."""
    accounts = accounts_from_keys({name: os.urandom(32) for name in ACCOUNT_NAMES})
    addresses = [account.address for account in accounts.values()]
    with EmbeddedChain(scratch / "chain.sqlite", addresses, in_real_time=False) as chain:
        ledger = EvmLedger(chain, deploy(chain, accounts), accounts)

        def gas(act: Act, signer: str) -> int:
            signed = ledger.sign(act, ledger.next_nonce(signer))
            ledger.send(signed.raw)
            while (receipt := chain.receipt(signed.transaction_hash)) is None:
                pass
            assert receipt.succeeded
            return receipt.gas_used

        size = 1024
        lanes, root = Lanes(0, 0, size, size), os.urandom(32)
        gas(AnchorBatch(os.urandom(32), lanes), "anchorer")  # the account's first use of its slots
        anchored = gas(AnchorBatch(root, lanes), "anchorer")
        fresh = gas(ChangeStatuses(root, ((0, 2),), os.urandom(32), "office"), "office")
        used = gas(ChangeStatuses(root, ((1, 4),), os.urandom(32), "office"), "office")
        rest = tuple((place, 2) for place in range(64, size))
        reviewed = gas(ChangeStatuses(root, rest, os.urandom(32), "office"), "office")
        released = gas(ChangeStatuses(root, tuple((p, 4) for p, _ in rest), os.urandom(32), "office"), "office")
    life = anchored / size + (reviewed + released) / len(rest)
    return [
        Figure("anchor a batch, role check and numbering included", anchored, "gas", "<= 55,000"),
        Figure("one decision in a fresh word", fresh, "gas", "<= 55,000"),
        Figure("one decision in a used word", used, "gas", "<= 38,000"),
        Figure("a declaration's life (anchor, review, release), N = 1,024", life, "gas", "<= 610"),
    ]
