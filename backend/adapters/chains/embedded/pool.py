"""Pending transactions, in memory only: their senders keep the bytes and send them again after a restart."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from eth.abc import SignedTransactionAPI
from eth_typing import Address


@dataclass(frozen=True)
class Waiting:
    """A transaction in the pool; ``arrival`` counts up, so that transactions are served in the order of arrival."""

    transaction: SignedTransactionAPI
    sender: Address
    arrival: int


class Pool:
    """Pending transactions by sender and nonce. It is not thread-safe: its owner holds a lock."""

    def __init__(self) -> None:
        self._by_sender: dict[Address, dict[int, Waiting]] = {}
        self._hashes: set[bytes] = set()
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, transaction_hash: bytes) -> bool:
        return transaction_hash in self._hashes

    def holds_nonce(self, sender: Address, nonce: int) -> bool:
        """Whether a transaction of this sender already waits with this nonce."""
        return nonce in self._by_sender.get(sender, {})

    def add(self, transaction: SignedTransactionAPI, sender: Address) -> None:
        """Add a transaction."""
        self._arrivals += 1
        self._by_sender.setdefault(sender, {})[transaction.nonce] = Waiting(transaction, sender, self._arrivals)
        self._hashes.add(transaction.hash)

    def remove(self, gone: Iterable[Waiting]) -> None:
        """Remove transactions that were mined or dropped."""
        for waiting in gone:
            self._hashes.discard(waiting.transaction.hash)
            queue = self._by_sender.get(waiting.sender, {})
            queue.pop(waiting.transaction.nonce, None)
            if not queue:
                self._by_sender.pop(waiting.sender, None)

    def overtaken(self, nonce_of: Callable[[Address], int]) -> list[Waiting]:
        """Return transactions whose nonce is below the account's: they can never be mined."""
        return [
            waiting
            for sender, queue in self._by_sender.items()
            for nonce, waiting in queue.items()
            if nonce < nonce_of(sender)
        ]

    def next_block(self, nonce_of: Callable[[Address], int], gas_limit: int) -> list[Waiting]:
        """Choose what fits into a block: for each sender its nonces without a gap, and by arrival among senders."""
        next_nonce = {sender: nonce_of(sender) for sender in self._by_sender}
        chosen: list[Waiting] = []
        while candidates := self._candidates(next_nonce):
            first = min(candidates, key=lambda waiting: waiting.arrival)
            gas_limit -= first.transaction.gas
            # Stop rather than try smaller ones: a large transaction must not wait for ever behind later, smaller ones.
            if gas_limit < 0:
                break
            # A sender's next nonce becomes a candidate only now: a block must hold its nonces in order and without a
            # gap.
            chosen.append(first)
            next_nonce[first.sender] += 1
        return chosen

    def _candidates(self, next_nonce: dict[Address, int]) -> list[Waiting]:
        return [
            self._by_sender[sender][nonce] for sender, nonce in next_nonce.items() if nonce in self._by_sender[sender]
        ]
