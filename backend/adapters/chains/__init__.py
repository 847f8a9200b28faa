"""Implementations of the ``Chain`` protocol: the embedded chain, and any EVM node over JSON-RPC."""
