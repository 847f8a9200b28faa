"""The accounts that act on the ledger, and the transactions that they sign."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes

from backend.adapters.ledger.chain import Price
from backend.domain.ledger import SignedTransaction

ACCOUNT_NAMES = ("authority", "anchorer", "office")
GUARDIAN = "guardian"
"""The account that cancels announced changes by the authority; its key may be here or with another party."""

Accounts = Mapping[str, LocalAccount]
"""An account for each of ``ACCOUNT_NAMES``."""


@dataclass(frozen=True)
class Fees:
    """Limits on what a transaction pays per unit of gas, in wei. The chain takes no more than needed."""

    max_fee_per_gas: int = 100 * 10**9
    max_priority_fee_per_gas: int = 10**9

    def at(self, price: Price) -> "Fees":
        """Return the fees to offer now: room for the base fee to double, plus a tip, within these limits."""
        tip = min(price.tip, self.max_priority_fee_per_gas, self.max_fee_per_gas)
        # The base fee changes by at most an eighth per block (EIP-1559): double lasts for about six full blocks.
        return Fees(min(self.max_fee_per_gas, 2 * price.base_fee + tip), tip)


@dataclass(frozen=True)
class ContractCall:
    """A contract call that is ready to be signed; ``to`` is None where it deploys a contract."""

    signer: str
    to: str | None
    data: bytes
    gas: int


def accounts_from_keys(keys: Mapping[str, bytes]) -> dict[str, LocalAccount]:
    """Create accounts from 32-byte private keys by name. Additional names are accepted.

    Raises:
        ValueError: if a key for one of ``ACCOUNT_NAMES`` is missing.
    """
    missing = [name for name in ACCOUNT_NAMES if name not in keys]
    if missing:
        raise ValueError(f"no key for {', '.join(missing)}")
    return {name: Account.from_key(key) for name, key in keys.items()}


def sign_call(call: ContractCall, accounts: Accounts, chain_id: int, nonce: int, fees: Fees) -> SignedTransaction:
    """Sign a call as a fee-market transaction (EIP-1559). All fields are given, so no node is asked."""
    fields: dict[str, Any] = {
        "chainId": chain_id,
        "nonce": nonce,
        "gas": call.gas,
        "maxFeePerGas": fees.max_fee_per_gas,
        "maxPriorityFeePerGas": fees.max_priority_fee_per_gas,
        "value": 0,
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
    """Sign the same transaction again with the same nonce and higher fees; None where ``cap`` leaves no room."""
    fields = dict(TypedTransaction.from_bytes(HexBytes(raw)).as_dict())
    offered = Fees(fields["maxFeePerGas"], fields["maxPriorityFeePerGas"])
    now = cap.at(price)
    fee = max(_more(offered.max_fee_per_gas), now.max_fee_per_gas)
    tip = max(_more(offered.max_priority_fee_per_gas), now.max_priority_fee_per_gas)
    if fee > cap.max_fee_per_gas:
        return None
    # Same nonce, target and data: of the two only one can be mined, so the call cannot take effect twice.
    kept = {name: fields[name] for name in ("chainId", "nonce", "gas", "value", "data", "to") if fields.get(name)}
    # The filter above drops zeros and empty data, which are valid here: nonce 0, value 0.
    kept |= {"nonce": fields["nonce"], "value": fields["value"], "data": fields["data"]}
    signed = account.sign_transaction(kept | {"maxFeePerGas": fee, "maxPriorityFeePerGas": min(tip, fee)})
    return SignedTransaction("", fields["nonce"], bytes(signed.raw_transaction), bytes(signed.hash))


def _more(wei: int) -> int:
    return wei * REPLACEMENT_PERCENT // 100 + 1
