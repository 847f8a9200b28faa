"""What our ledger needs of an EVM chain, and nothing more: the seam between contracts and the way to reach them.

The embedded chain obeys it in this process; a JSON-RPC node can obey it from afar. Addresses are checksummed text,
everything else bytes. Nothing here knows our contracts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from eth_abi.abi import decode
from eth_utils.address import to_checksum_address

from backend.domain.ledger import Anchoring, LedgerDrawdown, LedgerRecord, MakeDrawdowns


class ChainUnavailable(Exception):
    """The chain could not be asked or did not answer in time: nothing is known."""


class TransactionRejected(Exception):
    """The chain does not take this transaction, and sending it again will not help; the message says why."""


class CallReverted(Exception):
    """A call ended in a revert; ``data`` is what the contract said, empty where it said nothing."""

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
    """An event as the chain keeps it."""

    address: str
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True)
class ChainReceipt:
    """What became of a mined transaction; ``revert_data`` is None where it succeeded or the chain cannot tell."""

    transaction_hash: bytes
    block: Block
    succeeded: bool
    gas_used: int
    logs: tuple[Log, ...] = ()
    revert_data: bytes | None = None


@dataclass(frozen=True)
class FoundLog:
    """An event with the place where it stands."""

    log: Log
    block_number: int
    block_hash: bytes
    transaction_hash: bytes
    transaction_index: int
    index: int


@dataclass(frozen=True)
class Price:
    """What a unit of gas costs now, in wei: what every transaction of the next block pays, and a tip on top."""

    base_fee: int
    tip: int


class Chain(Protocol):
    """An EVM chain. Every method may raise ``ChainUnavailable``; all are safe to call from several threads."""

    def chain_id(self) -> int:
        """The number that signatures are bound to."""

    def head(self) -> Block:
        """The newest block."""

    def block(self, number: int) -> Block | None:
        """A canonical block, or None beyond the head; block 0 tells one chain from another."""

    def call(self, to: str, data: bytes, sender: str | None = None) -> bytes:
        """What a contract answers at the head; raises ``CallReverted``. Changes nothing, costs nothing."""

    def transaction_count(self, address: str) -> int:
        """How many transactions of this account have been mined: the nonce of its next one."""

    def send_raw(self, raw: bytes) -> None:
        """Hand over a signed transaction; raises ``TransactionRejected``. What is known or mined is no error."""

    def receipt(self, transaction_hash: bytes) -> ChainReceipt | None:
        """The receipt, or None while the transaction is not in a canonical block."""

    def balance(self, address: str) -> int:
        """What the account owns at the head, in wei."""

    def price(self) -> Price:
        """What gas costs at the head."""

    def logs(self, first: int, last: int, address: str, topics: Sequence[bytes] = ()) -> Sequence[FoundLog]:
        """Events of one contract in blocks ``first`` to ``last``, in order; ``topics`` are what they begin with."""


BATCH_ANCHORED = "BatchAnchored(bytes32,address,uint32,uint32)"
DRAWN = "Drawn(bytes32,address,(bytes32,uint32,bytes32,uint32,uint88)[])"


def anchoring_of_event(event: FoundLog) -> Anchoring:
    """A batch that was anchored."""
    anchorer = to_checksum_address(event.log.topics[2][12:])
    return Anchoring(event.log.topics[1], event.transaction_hash, event.block_number, event.block_hash, anchorer)


def drawdowns_of(event: FoundLog) -> MakeDrawdowns:
    """Drawdowns that were made together."""
    (drawdowns,) = decode(["(bytes32,uint32,bytes32,uint32,uint88)[]"], event.log.data)
    return MakeDrawdowns(
        tuple(
            LedgerDrawdown(LedgerRecord(*drawdown[0:2]), LedgerRecord(*drawdown[2:4]), drawdown[4])
            for drawdown in drawdowns
        )
    )
