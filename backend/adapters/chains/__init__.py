"""Chains behind the ledger: the embedded one, and any node over JSON-RPC."""
