"""Decodes the contracts' events into domain values."""

from eth_abi.abi import decode
from eth_utils.address import to_checksum_address

from backend.adapters.ledger.chain import FoundLog
from backend.domain.ledger import Anchoring, LedgerDrawdown, LedgerRecord, MakeDrawdowns

BATCH_ANCHORED = "BatchAnchored(bytes32,address,uint32,uint32)"
DRAWN = "Drawn(bytes32,address,(bytes32,uint32,bytes32,uint32,uint88)[])"


def anchoring(event: FoundLog) -> Anchoring:
    """Decode a ``BatchAnchored`` event."""
    anchorer = to_checksum_address(event.log.topics[2][12:])
    return Anchoring(event.log.topics[1], event.transaction_hash, event.block_number, event.block_hash, anchorer)


def drawn(event: FoundLog) -> MakeDrawdowns:
    """Decode a ``Drawn`` event into the drawdowns that were made together."""
    (drawdowns,) = decode(["(bytes32,uint32,bytes32,uint32,uint88)[]"], event.log.data)
    return MakeDrawdowns(
        tuple(
            LedgerDrawdown(LedgerRecord(*drawdown[0:2]), LedgerRecord(*drawdown[2:4]), drawdown[4])
            for drawdown in drawdowns
        )
    )
