"""Calls of our contracts: encoded and decoded by the committed ABIs, signed by the accounts that act, sent and awaited.

Answers and custom errors are read here too, and a chain's errors put into the domain's.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, cast

import rlp
from eth_abi.exceptions import DecodingError
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_typing import ABIElement, ABIError
from eth_utils.abi import abi_to_signature, filter_abi_by_type, get_abi_output_types
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from hexbytes import HexBytes
from web3 import Web3

from backend.adapters.ledger.chain import (
    CallReverted,
    Chain,
    ChainReceipt,
    ChainUnavailable,
    FoundLog,
    Price,
    TransactionRejected,
)
from backend.domain.errors import (
    ForeignLedger,
    LedgerRefused,
    LedgerUnavailable,
    TraceabilityError,
    Translating,
    message_of,
)
from backend.domain.ledger import SignedTransaction
from contracts import Artifact, load

ADMIN = "admin"
"""The account that gives and takes the other accounts' roles; its key may be here or with another party."""
ACCOUNT_NAMES = ("authority", "anchorer", "office", ADMIN)
GUARDIAN = "guardian"
"""The account that cancels announced changes by the authority; its key may be here or with another party."""

NOBODY = "0x" + "00" * 20
"""The address that the contracts take, and give, for no account."""

Accounts = Mapping[str, LocalAccount]
"""An account for each of ``ACCOUNT_NAMES``."""


@dataclass(frozen=True)
class Fees:
    """Limits on what a transaction pays per unit of gas, in wei. The chain takes no more than needed."""

    max_fee_per_gas: int = 100 * 10**9
    max_priority_fee_per_gas: int = 10**9
    has_base_fee: bool = True
    """False for transactions as they were before EIP-1559, which pay ``max_fee_per_gas``."""

    def at(self, price: Price) -> "Fees":
        """Return the fees to offer now: room for the base fee to double, plus a tip, within these limits.

        Where there is no base fee the node's price is taken as it is, within ``max_fee_per_gas``.
        """
        if price.base_fee is None:
            fee = min(price.tip, self.max_fee_per_gas)
            return Fees(fee, fee, has_base_fee=False)
        tip = min(price.tip, self.max_priority_fee_per_gas, self.max_fee_per_gas)
        # The base fee changes by at most an eighth per block (EIP-1559): double lasts for about six full blocks.
        return Fees(min(self.max_fee_per_gas, 2 * price.base_fee + tip), tip)

    def fields(self) -> dict[str, int]:
        """Return these fees as fields of a transaction."""
        if not self.has_base_fee:
            return {"gasPrice": self.max_fee_per_gas}
        return {"maxFeePerGas": self.max_fee_per_gas, "maxPriorityFeePerGas": self.max_priority_fee_per_gas}


@dataclass(frozen=True)
class ContractCall:
    """A contract call that is ready to be signed; ``to`` is None where it deploys a contract."""

    signer: str
    to: str | None
    data: bytes
    gas: int
    wei: int = 0


def accounts_from_keys(keys: Mapping[str, bytes | LocalAccount]) -> dict[str, LocalAccount]:
    """Create accounts from 32-byte private keys by name, or take them as they are. Additional names are accepted.

    Raises:
        ValueError: if a key for one of ``ACCOUNT_NAMES`` is missing.
    """
    missing = [name for name in ACCOUNT_NAMES if name not in keys]
    if missing:
        raise ValueError(f"no key for {', '.join(missing)}")
    return {name: Account.from_key(key) if isinstance(key, bytes) else key for name, key in keys.items()}


def sign_call(call: ContractCall, accounts: Accounts, chain_id: int, nonce: int, fees: Fees) -> SignedTransaction:
    """Sign a call, bound to the chain (EIP-155, EIP-1559). All fields are given, so no node is asked."""
    fields: dict[str, Any] = {
        "chainId": chain_id,
        "nonce": nonce,
        "gas": call.gas,
        **fees.fields(),
        "value": call.wei,
        "data": call.data,
    }
    if call.to is not None:
        fields["to"] = call.to
    signed = accounts[call.signer].sign_transaction(fields)
    return SignedTransaction(
        signer=call.signer, nonce=nonce, raw=bytes(signed.raw_transaction), transaction_hash=bytes(signed.hash)
    )


REPLACEMENT_PERCENT = 125
"""Fee of a replacement. Nodes require at least 110 %, some more."""


def replace_by_fee(raw: bytes, account: LocalAccount, price: Price, cap: Fees) -> SignedTransaction | None:
    """Sign the same transaction again with the same nonce and higher fees.

    None where ``cap`` leaves no room, and where gas is free: no fee would bring it further, and none may be owned.
    """
    fields, offered = _taken_apart(raw)
    now = cap.at(price)
    fee = max(_more(offered.max_fee_per_gas), now.max_fee_per_gas)
    tip = max(_more(offered.max_priority_fee_per_gas), now.max_priority_fee_per_gas)
    if fee > cap.max_fee_per_gas or now.max_fee_per_gas == 0:
        return None
    # Same nonce, target and data: of the two only one can be mined, so the call cannot take effect twice.
    higher = Fees(fee, min(tip, fee), offered.has_base_fee)
    signed = account.sign_transaction(fields | higher.fields())
    return SignedTransaction("", fields["nonce"], bytes(signed.raw_transaction), bytes(signed.hash))


def _taken_apart(raw: bytes) -> tuple[dict[str, Any], Fees]:
    """Return the fields of one of our transactions without its fees, and its fees."""
    # EIP-2718: a transaction without a type is a list, whose first byte is at least 0xc0.
    if raw[0] >= 0xC0:
        nonce, price, gas, to, value, data, v = rlp.decode(raw)[:7]
        numbers = {"nonce": nonce, "gas": gas, "value": value}
        fields: dict[str, Any] = {name: int.from_bytes(number) for name, number in numbers.items()}
        fee = int.from_bytes(price)
        # EIP-155: v is 35 or 36 more than twice the chain id.
        fields |= {"chainId": (int.from_bytes(v) - 35) // 2, "data": data}
        offered = Fees(fee, fee, has_base_fee=False)
    else:
        typed = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
        fields = {name: typed[name] for name in ("chainId", "nonce", "gas", "value", "data")}
        to, offered = typed["to"], Fees(typed["maxFeePerGas"], typed["maxPriorityFeePerGas"])
    # A deployment has no target.
    return fields | ({"to": bytes(to)} if to else {}), offered


def _more(wei: int) -> int:
    return wei * REPLACEMENT_PERCENT // 100 + 1


CONTRACTS = ("AccessManager", "Accreditation", "CertificateBalance", "Revocations", "TraceLedger")

_BUILT_IN_ERRORS: list[ABIError] = [
    {"type": "error", "name": "Error", "inputs": [{"name": "message", "type": "string"}]},
    {"type": "error", "name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]},
]


class AnswerUnreadable(Exception):
    """Raised for an answer that our contract would not give, so that another contract or none is at its address."""


class Interface:
    """The functions of one contract, by its ABI."""

    def __init__(self, artifact: Artifact) -> None:
        self._web3 = Web3()
        self._contract = self._web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
        functions = filter_abi_by_type("function", _typed(artifact))
        self._outputs = {function["name"]: get_abi_output_types(function) for function in functions}
        self._selectors = {function["name"]: keccak(text=abi_to_signature(function))[:4] for function in functions}
        self._events = {event["name"]: event["inputs"] for event in filter_abi_by_type("event", _typed(artifact))}

    def deployment(self, *arguments: object) -> bytes:
        """Return the bytecode that deploys the contract, with its constructor's arguments."""
        return bytes.fromhex(self._contract.constructor(*arguments).data_in_transaction.removeprefix("0x"))

    def call_data(self, function: str, *arguments: object) -> bytes:
        """Encode a call: selector and arguments."""
        return bytes.fromhex(self._contract.encode_abi(function, args=arguments).removeprefix("0x"))

    def selector(self, function: str) -> bytes:
        """Return the four bytes that select a function."""
        return self._selectors[function]

    def function_of(self, selector: bytes) -> str | None:
        """Return the name of the function that four bytes select, or None."""
        return next((name for name, own in self._selectors.items() if own == selector), None)

    def event_data(self, event: str, data: bytes) -> Any:
        """Decode the fields of an event that are no topics."""
        return self._web3.codec.decode([field["type"] for field in self._events[event] if not field["indexed"]], data)

    def answer(self, function: str, data: bytes) -> Any:
        """Decode a function's answer: its value, or the tuple of its structure or several values.

        Raises:
            AnswerUnreadable: if the data does not have the function's types.
        """
        try:
            values = self._web3.codec.decode(self._outputs[function], data)
        except DecodingError as fault:
            raise AnswerUnreadable(f"{function}: {fault}") from fault
        return values[0] if len(values) == 1 else values


@dataclass(frozen=True)
class Refusal:
    """A custom error: its name and its arguments by name, bytes as hex."""

    error: str
    arguments: dict[str, object]


@cache
def interface(name: str) -> Interface:
    """Return the interface of a deployed contract, by its name."""
    return Interface(load(name))


def refusal(data: bytes) -> Refusal | None:
    """Decode the error of a contract that reverted; None for one that we do not know."""
    # The first four bytes of the error signature's hash select the error (Solidity ABI specification, "Errors").
    error = _errors().get(data[:4])
    if error is None:
        return None
    try:
        values = Web3().codec.decode([field["type"] for field in error["inputs"]], data[4:])
    except DecodingError:
        return None
    names = [field["name"] for field in error["inputs"]]
    return Refusal(error["name"], {name: _plain(value) for name, value in zip(names, values, strict=True)})


def _plain(value: object) -> object:
    return "0x" + value.hex() if isinstance(value, bytes) else value


def _typed(artifact: Artifact) -> list[ABIElement]:
    return cast(list[ABIElement], artifact.abi)


@cache
def _errors() -> dict[bytes, ABIError]:
    """Every error that our contracts can raise, by its selector."""
    known = list(_BUILT_IN_ERRORS)
    for name in CONTRACTS:
        known.extend(filter_abi_by_type("error", _typed(load(name))))
    return {keccak(text=abi_to_signature(error))[:4]: error for error in known}


# ---- asking the chain


LOG_BLOCKS = 1_000
"""Number of blocks per query for events, which nodes limit."""
POLL_SECONDS = 0.02


def _in_our_words(fault: BaseException) -> TraceabilityError | None:
    if isinstance(fault, ChainUnavailable):
        return LedgerUnavailable(message_of(fault))
    if isinstance(fault, AnswerUnreadable):
        return ForeignLedger("our contract is not there: {fault}", fault=message_of(fault))
    if isinstance(fault, TransactionRejected):
        return LedgerRefused(message_of(fault), error="TransactionRejected", arguments={"reason": str(fault)})
    return refused(fault.data) if isinstance(fault, CallReverted) else None


asking = partial(Translating, _in_our_words)
"""A context that raises a chain's errors as the domain's.

``LedgerUnavailable`` if the chain does not answer, ``ForeignLedger`` if what answers is not our contract,
``LedgerRefused`` if the chain or the contract refuses.
"""


def operation_id(caller: str, target: str, data: bytes) -> bytes:
    """Return the identifier of an announced call (OpenZeppelin AccessManager, ``hashOperation``)."""
    return keccak(Web3().codec.encode(["address", "address", "bytes"], [caller, target, data]))


def refused(data: bytes) -> LedgerRefused:
    """Return the error about a contract that reverted with this data."""
    found = refusal(data)
    if found is None:
        return LedgerRefused("the contract refused without a reason that we know", error=None)
    return LedgerRefused(found.error, error=found.error, arguments=found.arguments)


def account_in(answer: str) -> str | None:
    """Return the address that a contract answered, or None where it names nobody."""
    return None if answer == NOBODY else to_checksum_address(answer)


def view(chain: Chain, contract: str, address: str, function: str, *arguments: object) -> Any:
    """Call a view of one of our contracts and decode its answer. The chain's errors are not translated."""
    data = interface(contract).call_data(function, *arguments)
    return interface(contract).answer(function, chain.call(address, data))


def has_view(chain: Chain, contract: str, address: str, function: str, *arguments: object) -> bool:
    """Tell whether the contract there is of a version that has this view. Other errors are not translated."""
    try:
        view(chain, contract, address, function, *arguments)
    except (CallReverted, AnswerUnreadable):
        return False
    return True


def logs_between(chain: Chain, first: int, last: int, address: str, topics: Sequence[bytes]) -> Iterator[FoundLog]:
    """Yield the events of a contract in these blocks, in order, a thousand blocks at a time."""
    for start in range(first, last + 1, LOG_BLOCKS):
        with asking():
            found = chain.logs(start, min(start + LOG_BLOCKS - 1, last), address, topics)
        yield from found


def mine(
    chain: Chain, accounts: Accounts, calls: Sequence[ContractCall], nonce: int, fees: Fees, timeout_seconds: float
) -> Iterator[ChainReceipt]:
    """Sign calls of one account from this nonce on, send all, and yield their receipts as they are mined.

    The chain's errors are not translated; ChainUnavailable also tells that one was not mined in time.
    """
    chain_id = chain.chain_id()
    signed = [sign_call(call, accounts, chain_id, nonce + step, fees) for step, call in enumerate(calls)]
    for transaction in signed:
        chain.send_raw(transaction.raw)
    deadline = time.monotonic() + timeout_seconds
    for transaction in signed:
        while (receipt := chain.receipt(transaction.transaction_hash)) is None:
            if time.monotonic() > deadline:
                raise ChainUnavailable("the transaction was sent, but not mined in time")
            time.sleep(POLL_SECONDS)
        yield receipt
