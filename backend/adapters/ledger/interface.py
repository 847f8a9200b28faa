"""Encodes and decodes contract calls, answers and custom errors by the committed ABIs."""

from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from eth_abi.exceptions import DecodingError
from eth_typing import ABIElement, ABIError
from eth_utils.abi import abi_to_signature, filter_abi_by_type, get_abi_output_types
from eth_utils.crypto import keccak
from web3 import Web3

from contracts import Artifact, load

CONTRACTS = ("AccessManager", "Accreditation", "CertificateBalance", "TraceLedger")

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

    def deployment(self, *arguments: object) -> bytes:
        """Return the bytecode that deploys the contract, with its constructor's arguments."""
        return bytes.fromhex(self._contract.constructor(*arguments).data_in_transaction.removeprefix("0x"))

    def call_data(self, function: str, *arguments: object) -> bytes:
        """Encode a call: selector and arguments."""
        return bytes.fromhex(self._contract.encode_abi(function, args=arguments).removeprefix("0x"))

    def selector(self, function: str) -> bytes:
        """Return the four bytes that select a function."""
        return self._selectors[function]

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
