"""The ledger on an EVM chain: the only package that knows the contracts."""

from backend.adapters.ledger.calls import ACCOUNT_NAMES, ADMIN, GUARDIAN, Accounts, Fees, accounts_from_keys
from backend.adapters.ledger.deployment import Deployment, Safeguards, deploy
from backend.adapters.ledger.evm import EvmLedger

__all__ = [
    "ACCOUNT_NAMES",
    "ADMIN",
    "GUARDIAN",
    "Accounts",
    "Deployment",
    "EvmLedger",
    "Fees",
    "Safeguards",
    "accounts_from_keys",
    "deploy",
]
