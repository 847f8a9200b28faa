"""The interface that the ledger needs of an EVM chain, so that contracts do not depend on how a chain is reached.

It is implemented by the embedded chain in this process and by a JSON-RPC client. Addresses are checksummed text
(EIP-55), everything else is bytes. Nothing here knows our contracts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from eth_abi.abi import decode
from eth_utils.address import to_checksum_address

from backend.domain.ledger import Anchoring, LedgerDrawdown, LedgerRecord, MakeDrawdowns


class ChainUnavailable(Exception):
    """Raised when the chain could not be asked or did not answer in time, so that nothing is known."""


class TransactionRejected(Exception):
    """Raised when the chain does not take a transaction and sending it again will not help; the message says why."""


class CallReverted(Exception):
    """Raised when a call reverts; ``data`` is the contract's encoded error, empty where it gave none."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        super().__init__(data.hex())


@dataclass(frozen=True)
class Block:
    """A block of the canonical chain."""

    number: int
    block_hash: bytes
    parent_hash: bytes
    time: datetime


@dataclass(frozen=True)
class Log:
    """An event as stored on the chain."""

    address: str
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True)
class ChainReceipt:
    """The outcome of a mined transaction; ``revert_data`` is None where it succeeded or the chain cannot tell."""

    transaction_hash: bytes
    block: Block
    succeeded: bool
    gas_used: int
    logs: tuple[Log, ...] = ()
    revert_data: bytes | None = None


@dataclass(frozen=True)
class FoundLog:
    """An event with its position on the chain."""

    log: Log
    block_number: int
    block_hash: bytes
    transaction_hash: bytes
    transaction_index: int
    index: int


@dataclass(frozen=True)
class Price:
    """The price of a unit of gas, in wei: the base fee of the newest block, and a suggested tip.

    On a chain without base fees (before EIP-1559) ``base_fee`` is None and ``tip`` the whole price. Where gas is free
    both are 0.
    """

    base_fee: int | None
    tip: int


class Chain(Protocol):
    """An EVM chain. Every method may raise ``ChainUnavailable``, and all are safe to call from several threads."""

    def chain_id(self) -> int:
        """Return the chain id, which signatures are bound to (EIP-155)."""

    def head(self) -> Block:
        """Return the newest block."""

    def block(self, number: int) -> Block | None:
        """Return a canonical block, or None beyond the head; block 0 distinguishes one chain from another."""

    def call(self, to: str, data: bytes, sender: str | None = None) -> bytes:
        """Run a contract's view at the head, without changing the chain, and return its raw answer.

        Raises:
            CallReverted: if the contract reverts.
        """

    def transaction_count(self, address: str) -> int:
        """Return the number of mined transactions of this account, which is its next nonce."""

    def send_raw(self, raw: bytes) -> None:
        """Hand over a signed transaction. One that is already known or mined is no error.

        Raises:
            TransactionRejected: if the chain does not take it.
        """

    def receipt(self, transaction_hash: bytes) -> ChainReceipt | None:
        """Return the receipt, or None while the transaction is not in a canonical block."""

    def balance(self, address: str) -> int:
        """Return the account's balance at the head, in wei."""

    def price(self) -> Price:
        """Return the price of gas at the head."""

    def logs(self, first: int, last: int, address: str, topics: Sequence[bytes] = ()) -> Sequence[FoundLog]:
        """Return one contract's events in blocks ``first`` to ``last``, both included, in order.

        ``topics`` are the leading topics that an event must have.
        """


BATCH_ANCHORED = "BatchAnchored(bytes32,address,uint32,uint32)"
REVOCATION_PUBLISHED = "RevocationPublished(bytes32,bytes32,uint256,uint8,uint40)"
DRAWN = "Drawn(bytes32,address,(bytes32,uint32,bytes32,uint32,uint88)[])"


def anchoring_of_event(event: FoundLog) -> Anchoring:
    """Decode a ``BatchAnchored`` event."""
    anchorer = to_checksum_address(event.log.topics[2][12:])
    return Anchoring(event.log.topics[1], event.transaction_hash, event.block_number, event.block_hash, anchorer)


def drawdowns_of(event: FoundLog) -> MakeDrawdowns:
    """Decode a ``Drawn`` event into the drawdowns that were made together."""
    (drawdowns,) = decode(["(bytes32,uint32,bytes32,uint32,uint88)[]"], event.log.data)
    return MakeDrawdowns(
        tuple(
            LedgerDrawdown(LedgerRecord(*drawdown[0:2]), LedgerRecord(*drawdown[2:4]), drawdown[4])
            for drawdown in drawdowns
        )
    )
