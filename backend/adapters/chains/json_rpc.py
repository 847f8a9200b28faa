"""An EVM node over JSON-RPC, behind the same protocol as the embedded chain.

A node may be slow, hang, or answer HTML, null or an object of another shape. All of this is ``ChainUnavailable``, which
means that nothing is known. Only errors whose text says so are taken as a refusal (``TransactionRejected``).
"""

import itertools
import json
import re
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from backend.adapters.ledger.chain import (
    Block,
    CallReverted,
    ChainReceipt,
    ChainUnavailable,
    FoundLog,
    Log,
    Price,
    TransactionRejected,
)
from backend.domain.errors import Message, message_of

LARGEST_ANSWER = 16 * 1024 * 1024
DEFAULT_TIP = 10**9
DEEPEST = 500
INVALID_PARAMS = -32602

_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]')

_KNOWN = ("already known", "known transaction", "already imported", "alreadyknown", "already exists", "already in")
"""Phrases with which nodes say that they have a transaction already."""

_REJECTED = (
    "nonce too low",
    "nonce is too low",
    "oldnonce",
    "insufficient funds",
    "insufficient balance",
    "underpriced",
    "intrinsic gas",
    "exceeds block gas",
    "gas limit",
    "max fee per gas less than",
    "fee cap",
    "feetoolow",
    "invalid sender",
    "invalid signature",
    "invalid transaction",
    "invalid chain id",
    "chain id",
    "failed to decode",
    "rlp",
    "type not supported",
)
"""Phrases with which nodes refuse a transaction: Geth, Erigon, Nethermind, Besu, Reth and anvil."""


class _NodeError(Exception):
    """Raised when the node answers with an error object."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        self.code = error.get("code")
        self.message = str(error.get("message", ""))[:300]
        self.data = error.get("data")
        super().__init__(f"{self.code}: {self.message}")


class JsonRpcChain:
    """A node; implements ``backend.adapters.ledger.chain.Chain``. Every call ends within ``timeout_seconds``.

    Every method raises ``ChainUnavailable`` if the node does not give a usable answer. What is asked of the state is
    asked at the node's head, or at the block ``at``, by its hash (EIP-1898): a node that does not have it says so.
    """

    def __init__(self, url: str, *, timeout_seconds: float = 10, name: str | None = None) -> None:
        self._url = url
        # The address may hold a key: what people read names the host alone.
        self._name = name or urlsplit(url).hostname or "the node"
        self._timeout = timeout_seconds
        self._ids = itertools.count(1)
        self._local = threading.local()

    def chain_id(self) -> int:
        """Return the chain id, which signatures are bound to (EIP-155)."""
        return self._quantity(self._ask("eth_chainId"))

    def head(self) -> Block:
        """Return the newest block."""
        found = self._ask("eth_getBlockByNumber", "latest", False)
        if found is None:
            raise ChainUnavailable(Message("{name} shows no newest block", name=self._name))
        return self._block(found)

    def block(self, number: int) -> Block | None:
        """Return a canonical block, or None beyond the head."""
        found = self._ask("eth_getBlockByNumber", hex(number), False)
        if found is None:
            return None
        block = self._block(found)
        # A load balancer may answer from a node that lags behind. Such an answer must not be taken for the block.
        if block.number != number:
            raise ChainUnavailable(
                Message(
                    "{name} was asked for block {number} and showed {shown}",
                    name=self._name,
                    number=number,
                    shown=block.number,
                )
            )
        return block

    def call(self, to: str, data: bytes, sender: str | None = None, *, at: Block | None = None) -> bytes:
        """Run a contract's view and return its raw answer (ABI-encoded).

        Raises:
            CallReverted: if the contract reverts.
            ChainUnavailable: if the node gives no usable answer.
        """
        fields = {"to": to, "data": "0x" + data.hex()} | ({"from": sender} if sender else {})
        try:
            return self._bytes(self._asked("eth_call", fields, _where(at)))
        except _NodeError as error:
            # Geth gives reverts code 3. Other nodes use -32000 or codes of their own and only the text tells.
            if error.code == 3 or "revert" in error.message.lower():
                raise CallReverted(_revert_data(error.data)) from error
            raise self._unavailable(error) from error

    def transaction_count(self, address: str, *, at: Block | None = None) -> int:
        """Return the number of mined transactions of this account, which is its next nonce."""
        # "latest", not "pending": our own rows count what is under way, and a node may have dropped some of it.
        return self._quantity(self._ask("eth_getTransactionCount", address, _where(at)))

    def send_raw(self, raw: bytes) -> None:
        """Hand a signed transaction to the node. One that is already known or mined is no error.

        Raises:
            TransactionRejected: if the node says why it does not take it.
            ChainUnavailable: if the node gives no usable answer.
        """
        transaction_hash = keccak(raw)
        try:
            answer = self._bytes(self._asked("eth_sendRawTransaction", "0x" + raw.hex()), 32)
        except _NodeError as error:
            if not self._is_known(transaction_hash, error):
                raise self._why_not(error) from error
            return
        # Receipts are looked up by our own hash: under another one the transaction would be sent again and again.
        if answer != transaction_hash:
            raise ChainUnavailable(Message("{name} took a transaction and named another one", name=self._name))

    def receipt(self, transaction_hash: bytes) -> ChainReceipt | None:
        """Return the receipt, or None while the transaction is not in a canonical block."""
        found = self._ask("eth_getTransactionReceipt", "0x" + transaction_hash.hex())
        if found is None:
            return None
        fields = self._fields(found)
        if self._bytes(fields.get("transactionHash"), 32) != transaction_hash:
            raise ChainUnavailable(Message("{name} showed the receipt of another transaction", name=self._name))
        if fields.get("blockHash") is None:
            return None  # some nodes show receipts of what still waits
        block = self.block(self._quantity(fields.get("blockNumber")))
        if block is None or block.block_hash != self._bytes(fields.get("blockHash"), 32):
            return None  # its block has left the canonical chain between two questions
        status = self._quantity(fields.get("status"))
        if status not in (0, 1):
            raise ChainUnavailable(
                Message("{name} showed a receipt with status {status}", name=self._name, status=status)
            )
        return ChainReceipt(
            transaction_hash=transaction_hash,
            block=block,
            succeeded=status == 1,
            gas_used=self._quantity(fields.get("gasUsed")),
            logs=tuple(self._log(entry) for entry in self._list(fields.get("logs"))),
            revert_data=None if status == 1 else self._traced_revert(transaction_hash),
        )

    def balance(self, address: str, *, at: Block | None = None) -> int:
        """Return the account's balance, in wei."""
        return self._quantity(self._ask("eth_getBalance", address, _where(at)))

    def price(self) -> Price:
        """Return the price of gas at the head, with ``DEFAULT_TIP`` where the node suggests no tip."""
        newest = self._fields(self._ask("eth_getBlockByNumber", "latest", False))
        self._block(newest)
        if newest.get("baseFeePerGas") is None:
            return Price(None, self._gas_price())
        base_fee = self._quantity(newest["baseFeePerGas"])
        # Nodes suggest a tip where gas is free too, which accounts without money could not offer.
        if base_fee == 0 and self._gas_price() == 0:
            return Price(0, 0)
        try:
            return Price(base_fee, self._quantity(self._asked("eth_maxPriorityFeePerGas")))
        except _NodeError:
            return Price(base_fee, DEFAULT_TIP)

    def _gas_price(self) -> int:
        return self._quantity(self._ask("eth_gasPrice"))

    def logs(self, first: int, last: int, address: str, topics: Sequence[bytes] = ()) -> Sequence[FoundLog]:
        """Return one contract's events in blocks ``first`` to ``last``, both included, in order.

        ``topics`` are the leading topics that an event must have.
        """
        wanted = {"fromBlock": hex(first), "toBlock": hex(last), "address": address}
        wanted["topics"] = ["0x" + topic.hex() for topic in topics]  # type: ignore[assignment]
        found = [self._found(entry) for entry in self._list(self._ask("eth_getLogs", wanted))]
        # The specification of eth_getLogs does not promise an order.
        return sorted(found, key=lambda event: (event.block_number, event.index))

    # ---- what the node says about a transaction

    def _is_known(self, transaction_hash: bytes, error: _NodeError) -> bool:
        """Tell whether an error only says that the node has the transaction already, in any wording."""
        if any(words in error.message.lower() for words in _KNOWN):
            return True
        # Wordings differ between nodes and versions, so the node is asked for the transaction itself.
        known = self._ask("eth_getTransactionByHash", "0x" + transaction_hash.hex())
        return isinstance(known, dict) and known.get("hash") == "0x" + transaction_hash.hex()

    def _why_not(self, error: _NodeError) -> Exception:
        if error.code == INVALID_PARAMS or any(words in error.message.lower() for words in _REJECTED):
            return TransactionRejected(
                Message(
                    "{name} refuses the transaction, in its own words: “{words}”", name=self._name, words=error.message
                )
            )
        return self._unavailable(error)

    def _traced_revert(self, transaction_hash: bytes) -> bytes | None:
        """Read the revert reason from a trace; None where the node offers no traces."""
        try:
            asked = "0x" + transaction_hash.hex(), {"tracer": "callTracer"}
            trace = self._fields(self._asked("debug_traceTransaction", *asked))
            return self._bytes(trace.get("output", "0x"))
        except (_NodeError, ChainUnavailable):
            return None  # it only explains: the receipt itself has said what matters

    # ---- shapes

    def _block(self, found: Any) -> Block:
        fields = self._fields(found)
        return Block(
            number=self._quantity(fields.get("number")),
            block_hash=self._bytes(fields.get("hash"), 32),
            parent_hash=self._bytes(fields.get("parentHash"), 32),
            # datetime ends with the year 9999: a node that names a later time must not crash the reader.
            time=datetime.fromtimestamp(min(self._quantity(fields.get("timestamp")), 2**37), UTC),
        )

    def _log(self, entry: Any) -> Log:
        fields = self._fields(entry)
        topics = tuple(self._bytes(topic, 32) for topic in self._list(fields.get("topics")))
        address = to_checksum_address(self._bytes(fields.get("address"), 20))
        return Log(address, topics, self._bytes(fields.get("data")))

    def _found(self, entry: Any) -> FoundLog:
        fields = self._fields(entry)
        return FoundLog(
            log=self._log(entry),
            block_number=self._quantity(fields.get("blockNumber")),
            block_hash=self._bytes(fields.get("blockHash"), 32),
            transaction_hash=self._bytes(fields.get("transactionHash"), 32),
            transaction_index=self._quantity(fields.get("transactionIndex")),
            index=self._quantity(fields.get("logIndex")),
        )

    def _quantity(self, value: Any) -> int:
        try:
            if isinstance(value, str) and value.startswith("0x") and len(value) <= 66:
                return int(value[2:], 16)
        except ValueError:
            pass
        raise self._odd(Message("a number"), value)

    def _bytes(self, value: Any, size: int | None = None) -> bytes:
        try:
            if isinstance(value, str) and value.startswith("0x"):
                found = bytes.fromhex(value[2:])
                if size is None or len(found) == size:
                    return found
        except ValueError:
            pass
        raise self._odd(Message("bytes"), value)

    def _fields(self, value: Any) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        raise self._odd(Message("an object"), value)

    def _list(self, value: Any) -> list[Any]:
        if isinstance(value, list):
            return value
        raise self._odd(Message("a list"), value)

    def _odd(self, expected: Message, value: Any) -> ChainUnavailable:
        return ChainUnavailable(
            Message(
                "{name} answered {value} where {expected} was expected",
                name=self._name,
                value=repr(str(value)[:60]),
                expected=expected,
            )
        )

    def _unavailable(self, error: _NodeError) -> ChainUnavailable:
        return ChainUnavailable(
            Message("{name} answered an error, in its own words: “{error}”", name=self._name, error=message_of(error))
        )

    # ---- asking

    def _ask(self, method: str, *params: object) -> Any:
        """Return the result; an error object raises ``ChainUnavailable``."""
        try:
            return self._asked(method, *params)
        except _NodeError as error:
            raise self._unavailable(error) from error

    def _asked(self, method: str, *params: object) -> Any:
        """Return the result; an error object raises ``_NodeError``."""
        number = next(self._ids)
        body = {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}
        try:
            status, content = self._posted(body)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as fault:
            raise ChainUnavailable(
                Message("{name} cannot be reached ({fault})", name=self._name, fault=type(fault).__name__)
            ) from fault
        try:
            answer = json.loads(_shallow(content))
        except (ValueError, RecursionError) as fault:
            raise ChainUnavailable(
                Message("{name} answered no JSON (HTTP {status})", name=self._name, status=status)
            ) from fault
        if not isinstance(answer, dict) or (answer.get("id") != number and "error" not in answer):
            raise ChainUnavailable(
                Message(
                    "{name} answered something that is no JSON-RPC answer (HTTP {status})",
                    name=self._name,
                    status=status,
                )
            )
        if isinstance(answer.get("error"), dict):
            if status == 429:
                raise ChainUnavailable(Message("{name} asks us to wait (HTTP 429)", name=self._name))
            raise _NodeError(answer["error"])
        if status != 200 or "result" not in answer:
            raise ChainUnavailable(
                Message("{name} answered without a result (HTTP {status})", name=self._name, status=status)
            )
        return answer["result"]

    def _posted(self, body: object) -> tuple[int, bytes]:
        """Return HTTP status and content.

        The library's timeout ends a silence, the deadline also an endless trickle of bytes.
        """
        deadline = time.monotonic() + self._timeout
        with self._session().post(self._url, json=body, timeout=self._timeout, stream=True) as response:
            content = b""
            while chunk := response.raw.read1(64 * 1024, decode_content=True):
                content += chunk
                if len(content) > LARGEST_ANSWER or time.monotonic() > deadline:
                    raise ChainUnavailable(Message("{name} answered too much or too slowly", name=self._name))
            return response.status_code, content

    def _session(self) -> requests.Session:
        """Return this thread's session, since requests' sessions are not thread-safe."""
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.trust_env = False  # the operator names the node; a proxy variable must not redirect it
        session: requests.Session = self._local.session
        return session


def _where(block: Block | None) -> object:
    """Return the parameter that names a block, or the head."""
    return "latest" if block is None else {"blockHash": "0x" + block.block_hash.hex(), "requireCanonical": True}


def _shallow(content: bytes) -> bytes:
    """Return the content, or raise ValueError if it is nested deeper than Python's JSON parser survives.

    py-evm raises the recursion limit that would otherwise guard the parser, so deep nesting would overflow the C stack.
    """
    if content.count(b"[") + content.count(b"{") > DEEPEST:
        depth = 0
        for found in _BRACKETS.finditer(content):
            depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(found.group(), 0)
            if depth > DEEPEST:
                raise ValueError(f"nested deeper than {DEEPEST} levels")
    return content


def _revert_data(data: Any) -> bytes:
    """Find the revert data in an error's ``data``: nodes put it there directly, one level deeper, or behind a word."""
    if isinstance(data, dict):
        data = data.get("data")
    if not isinstance(data, str):
        return b""
    try:
        return bytes.fromhex(data.rpartition("0x")[2])
    except ValueError:
        return b""
