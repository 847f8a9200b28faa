"""The embedded chain as a read-only JSON-RPC node; its ``answer`` is a ``services.ports.JsonRpc``."""

import re
from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

import rlp
from eth.abc import BlockHeaderAPI, SignedTransactionAPI
from eth.chains.base import MiningChain
from eth.exceptions import HeaderNotFound, TransactionNotFound
from eth.vm.spoof import SpoofTransaction
from eth_typing import Address, BlockNumber, Hash32
from eth_utils.address import is_hex_address, to_canonical_address, to_checksum_address
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

from backend.adapters.chains.embedded.chain import (
    CALL_SENDER,
    EmbeddedChain,
    _revert_data,
    logs_of,
)
from backend.adapters.ledger.chain import ChainUnavailable, FoundLog
from backend.domain.errors import LedgerUnavailable
from backend.services.ports import NodeRefused

CALL_GAS = 2_000_000
"""More than every view of our contracts needs, and too little to keep the chain busy."""
LOG_BLOCKS = 1_000
LOG_LIMIT = 10_000

INVALID_PARAMS, METHOD_NOT_FOUND, LIMIT_EXCEEDED, REVERTED = -32602, -32601, -32005, 3


class EmbeddedNode:
    """Answers a subset of the Ethereum JSON-RPC methods that read; none of them changes the chain."""

    def __init__(self, chain: EmbeddedChain, version: str) -> None:
        self._chain = chain
        self._version = version
        self._methods: dict[str, Callable[..., Any]] = {
            "eth_blockNumber": self._block_number,
            "eth_call": self._call,
            "eth_chainId": lambda chain: hex(self._chain.chain_id()),
            "eth_getBalance": self._balance,
            "eth_getBlockByHash": self._block_by_hash,
            "eth_getBlockByNumber": self._block_by_number,
            "eth_getCode": self._code,
            "eth_getLogs": self._logs,
            "eth_getStorageAt": self._storage,
            "eth_getTransactionByHash": self._transaction,
            "eth_getTransactionCount": self._transaction_count,
            "eth_getTransactionReceipt": self._receipt,
            "net_version": lambda chain: str(self._chain.chain_id()),
            "web3_clientVersion": lambda chain: f"Provenport/{self._version}",
        }

    def answer(self, method: str, params: Sequence[Any]) -> Any:
        """Answer one JSON-RPC call with the value for its ``result``.

        Raises:
            NodeRefused: if the method is not offered or its parameters are wrong.
            LedgerUnavailable: if the chain is closed or its file cannot be read.
        """
        if method not in self._methods:
            raise NodeRefused(
                METHOD_NOT_FOUND, f"the method {method[:60]} is not offered: this node only answers reads"
            )
        try:
            # Checked before the call, so that a TypeError inside a method is not taken for wrong parameters here.
            signature(self._methods[method]).bind(None, *params)
        except TypeError as fault:
            raise NodeRefused(
                INVALID_PARAMS, f"invalid params: {method} takes other ones ({len(params)} came)"
            ) from fault
        try:
            with self._chain.asking() as chain:
                return self._methods[method](chain, *params)
        except ChainUnavailable as fault:
            raise LedgerUnavailable(str(fault)) from fault
        except (TypeError, ValueError, KeyError, OverflowError, ValidationError) as fault:
            raise NodeRefused(INVALID_PARAMS, f"invalid params: {str(fault)[:100]}") from fault

    # ---- methods

    def _block_number(self, chain: MiningChain) -> str:
        return hex(chain.get_canonical_head().block_number)

    def _call(self, chain: MiningChain, fields: dict[str, Any], block: Any = "latest", *_: Any) -> str:
        fields = _given(fields)
        for number in ("value", "gasPrice", "maxFeePerGas", "maxPriorityFeePerGas", "nonce"):
            _quantity(fields.get(number, "0x0"))  # of no consequence for a read, yet not to be misread in silence
        target, data = _address(fields.get("to")), _data(fields.get("input", fields.get("data", "0x")))
        sender = _address(fields["from"]) if fields.get("from") else CALL_SENDER
        header = _header(chain, block)
        with chain.get_vm(header).in_costless_state() as state:
            # A caller may ask for less gas, but not for more than keeps the shared chain responsive.
            gas = min(CALL_GAS, _quantity(fields["gas"]) if "gas" in fields else CALL_GAS)
            nonce = state.get_nonce(sender)
            call = chain.create_unsigned_transaction(nonce=nonce, gas_price=0, gas=gas, to=target, value=0, data=data)
            computation = state.costless_execute_transaction(
                SpoofTransaction(call, from_=sender)  # type: ignore[arg-type]
            )
        if computation.is_error:
            raise NodeRefused(REVERTED, "execution reverted", "0x" + _revert_data(computation).hex())
        return "0x" + bytes(computation.output).hex()

    def _balance(self, chain: MiningChain, address: str, block: Any = "latest") -> str:
        return hex(_state(chain, block).get_balance(_address(address)))

    def _code(self, chain: MiningChain, address: str, block: Any = "latest") -> str:
        code: bytes = _state(chain, block).get_code(_address(address))
        return "0x" + code.hex()

    def _storage(self, chain: MiningChain, address: str, slot: str, block: Any = "latest") -> str:
        value: int = _state(chain, block).get_storage(_address(address), _quantity(slot))
        return "0x" + value.to_bytes(32, "big").hex()

    def _transaction_count(self, chain: MiningChain, address: str, block: Any = "latest") -> str:
        return hex(_state(chain, block).get_nonce(_address(address)))

    def _block_by_number(self, chain: MiningChain, block: Any, is_full: bool = False) -> Any:
        try:
            return _block(chain, _header(chain, block), _switch(is_full))
        except NodeRefused:
            return None

    def _block_by_hash(self, chain: MiningChain, block_hash: str, is_full: bool = False) -> Any:
        try:
            header = chain.get_block_header_by_hash(Hash32(_data(block_hash, 32)))
        except HeaderNotFound:
            return None
        return _block(chain, header, _switch(is_full))

    def _transaction(self, chain: MiningChain, transaction_hash: str) -> Any:
        found = _position(chain, _data(transaction_hash, 32))
        if found is None:
            return None
        header, index = found
        return _transaction(chain.get_block_by_header(header).transactions[index], header, index)

    def _receipt(self, chain: MiningChain, transaction_hash: str) -> Any:
        wanted = _data(transaction_hash, 32)
        found = _position(chain, wanted)
        if found is None:
            return None
        header, index = found
        block = chain.get_block_by_header(header)
        transaction, receipts = block.transactions[index], block.get_receipts(chain.chaindb)
        before = receipts[index - 1].gas_used if index else 0
        logs = [log for log in logs_of(chain, header.block_number, None, ()) if log.transaction_hash == wanted]
        # A transaction without a recipient creates a contract.
        is_creation = transaction.to == b""
        return {
            **_place(header, index),
            "transactionHash": transaction_hash.lower(),
            "type": hex(_type(transaction)),
            "from": to_checksum_address(transaction.sender),
            "to": None if is_creation else to_checksum_address(transaction.to),
            "contractAddress": _created(transaction) if is_creation else None,
            "cumulativeGasUsed": hex(receipts[index].gas_used),
            "gasUsed": hex(receipts[index].gas_used - before),
            "effectiveGasPrice": hex(_price(transaction, header)),
            "logs": [_log(log) for log in logs],
            "logsBloom": "0x" + receipts[index].bloom.to_bytes(256, "big").hex(),
            "status": "0x1" if receipts[index].state_root == b"\x01" else "0x0",
        }

    def _logs(self, chain: MiningChain, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        wanted = _given(wanted)
        if "blockHash" in wanted:
            first = last = chain.get_block_header_by_hash(Hash32(_data(wanted["blockHash"], 32))).block_number
        else:
            first = _header(chain, wanted.get("fromBlock", "latest")).block_number
            last = _header(chain, wanted.get("toBlock", "latest"), clamp=True).block_number
        if last - first >= LOG_BLOCKS:
            raise NodeRefused(LIMIT_EXCEEDED, f"at most {LOG_BLOCKS} blocks at once")
        address = wanted.get("address")
        if isinstance(address, list):
            if len(address) != 1:
                raise ValueError("one address at a time")
            address = address[0]
        topics = [None if topic is None else _data(topic, 32) for topic in _list(wanted.get("topics", []))]
        who = None if address is None else _address(address)
        # Both limits keep one caller from occupying the readers' lock with a scan of the whole chain.
        found: list[dict[str, Any]] = []
        for number in range(first, last + 1):
            found += [_log(log) for log in logs_of(chain, number, who, topics)]
            if len(found) > LOG_LIMIT:
                raise NodeRefused(LIMIT_EXCEEDED, f"more than {LOG_LIMIT} events: ask for fewer blocks")
        return found


# ---- shapes


def _switch(value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    raise ValueError("true or false is expected")


def _header(chain: MiningChain, block: Any, clamp: bool = False) -> BlockHeaderAPI:
    head = chain.get_canonical_head()
    if isinstance(block, dict):  # EIP-1898
        if "blockHash" in block:
            return chain.get_block_header_by_hash(Hash32(_data(block["blockHash"], 32)))
        block = block.get("blockNumber")
    if block in ("latest", "pending", "safe", "finalized"):
        return head
    number = 0 if block == "earliest" else _quantity(block)
    if clamp:
        number = min(number, head.block_number)
    if not 0 <= number <= head.block_number:
        raise NodeRefused(-32000, "header not found")
    return chain.get_canonical_block_header_by_number(BlockNumber(number))


def _state(chain: MiningChain, block: Any) -> Any:
    return chain.get_vm(_header(chain, block)).state


def _position(chain: MiningChain, transaction_hash: bytes) -> tuple[BlockHeaderAPI, int] | None:
    try:
        number, index = chain.get_canonical_transaction_index(Hash32(transaction_hash))
    except TransactionNotFound:
        return None
    return chain.get_canonical_block_header_by_number(number), index


def _block(chain: MiningChain, header: BlockHeaderAPI, is_full: bool) -> dict[str, Any]:
    transactions = chain.get_block_by_header(header).transactions if header.block_number else ()
    shown: list[Any] = ["0x" + transaction.hash.hex() for transaction in transactions]
    if is_full:
        shown = [_transaction(transaction, header, index) for index, transaction in enumerate(transactions)]
    fields = {
        "number": hex(header.block_number),
        "hash": "0x" + header.hash.hex(),
        "parentHash": "0x" + header.parent_hash.hex(),
        "nonce": "0x" + header.nonce.hex(),
        "mixHash": "0x" + header.mix_hash.hex(),
        "sha3Uncles": "0x" + header.uncles_hash.hex(),
        "logsBloom": "0x" + header.bloom.to_bytes(256, "big").hex(),
        "transactionsRoot": "0x" + header.transaction_root.hex(),
        "stateRoot": "0x" + header.state_root.hex(),
        "receiptsRoot": "0x" + header.receipt_root.hex(),
        "miner": to_checksum_address(header.coinbase),
        "difficulty": hex(header.difficulty),
        "extraData": "0x" + header.extra_data.hex(),
        "gasLimit": hex(header.gas_limit),
        "gasUsed": hex(header.gas_used),
        "timestamp": hex(header.timestamp),
        "baseFeePerGas": hex(header.base_fee_per_gas or 0),
        "transactions": shown,
        "uncles": [],
        "size": "0x0",
    }
    later = {
        "withdrawalsRoot": getattr(header, "withdrawals_root", None),
        "parentBeaconBlockRoot": getattr(header, "parent_beacon_block_root", None),
        "requestsHash": getattr(header, "requests_hash", None),
    }
    fields |= {name: "0x" + value.hex() for name, value in later.items() if value is not None}
    counts = {"blobGasUsed": "blob_gas_used", "excessBlobGas": "excess_blob_gas"}
    fields |= {name: hex(getattr(header, ours)) for name, ours in counts.items() if hasattr(header, ours)}
    return fields | ({"withdrawals": []} if "withdrawalsRoot" in fields else {})


def _place(header: BlockHeaderAPI, index: int) -> dict[str, Any]:
    number, block_hash = hex(header.block_number), "0x" + header.hash.hex()
    return {"blockNumber": number, "blockHash": block_hash, "transactionIndex": hex(index)}


def _type(transaction: SignedTransactionAPI) -> int:
    return getattr(transaction, "type_id", None) or 0


def _price(transaction: SignedTransactionAPI, header: BlockHeaderAPI) -> int:
    base = header.base_fee_per_gas or 0
    tip = min(transaction.max_priority_fee_per_gas, transaction.max_fee_per_gas - base)
    return base + tip


def _transaction(transaction: SignedTransactionAPI, header: BlockHeaderAPI, index: int) -> dict[str, Any]:
    fields: dict[str, Any] = {
        **_place(header, index),
        "hash": "0x" + transaction.hash.hex(),
        "type": hex(_type(transaction)),
        "chainId": None if transaction.chain_id is None else hex(transaction.chain_id),
        "nonce": hex(transaction.nonce),
        "from": to_checksum_address(transaction.sender),
        "to": to_checksum_address(transaction.to) if transaction.to else None,
        "value": hex(transaction.value),
        "gas": hex(transaction.gas),
        "gasPrice": hex(_price(transaction, header)),
        "input": "0x" + transaction.data.hex(),
        "r": hex(transaction.r),
        "s": hex(transaction.s),
        "v": hex(transaction.y_parity),
    }
    if _type(transaction):
        fields |= {"yParity": hex(transaction.y_parity), "accessList": []}
    if _type(transaction) == 2:
        fields |= {
            "maxFeePerGas": hex(transaction.max_fee_per_gas),
            "maxPriorityFeePerGas": hex(transaction.max_priority_fee_per_gas),
        }
    return fields


def _created(transaction: SignedTransactionAPI) -> str:
    return to_checksum_address(keccak(rlp.encode([transaction.sender, transaction.nonce]))[12:])


def _log(found: FoundLog) -> dict[str, Any]:
    return {
        "address": found.log.address,
        "topics": ["0x" + topic.hex() for topic in found.log.topics],
        "data": "0x" + found.log.data.hex(),
        "blockNumber": hex(found.block_number),
        "blockHash": "0x" + found.block_hash.hex(),
        "transactionHash": "0x" + found.transaction_hash.hex(),
        "transactionIndex": hex(found.transaction_index),
        "logIndex": hex(found.index),
        "removed": False,
    }


def _address(value: Any) -> Address:
    if not is_hex_address(value):
        raise ValueError("an address is written as 0x and 40 hexadecimal digits")
    return Address(to_canonical_address(value))


def _quantity(value: Any) -> int:
    """Read a quantity in its only valid form, a 0x hexadecimal string.

    JSON numbers and digits without 0x are refused, because they may have been meant as another number.
    """
    if not isinstance(value, str) or not re.fullmatch("0x[0-9a-fA-F]{1,64}", value):
        raise ValueError("a number is written in hexadecimal as 0x…, such as 0x10 for 16")
    return int(value, 16)


def _given(value: Any) -> dict[str, Any]:
    """Return an object's members that are given: clients write null for one that is left out."""
    return {name: member for name, member in _object(value).items() if member is not None}


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("an object is expected")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("a list is expected")
    return value


def _data(value: Any, size: int | None = None) -> bytes:
    if not isinstance(value, str) or not re.fullmatch("0x(?:[0-9a-fA-F]{2})*", value):
        raise ValueError("bytes are written as 0x… with two hexadecimal digits each")
    data = bytes.fromhex(value[2:])
    if size is not None and len(data) != size:
        raise ValueError(f"{size} bytes are expected")
    return data
