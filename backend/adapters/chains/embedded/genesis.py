"""The first block: eth-tester gives the chain its rules, we give it our own funded accounts."""

import secrets
from collections.abc import Iterable
from typing import cast

from eth.chains.base import MiningChain
from eth.db.schema import SchemaV1
from eth_tester import PyEVMBackend
from eth_utils.address import to_canonical_address

from backend.adapters.chains.embedded.store import BlockStore

BLOCK_GAS_LIMIT = 300_000_000
"""Room for thousands of anchors in a block; the base fee falls to its floor and stays there."""

BALANCE = 10**30
"""Wei for each funded account: no act of ours will ever be short of it."""


def ensure_genesis(store: BlockStore, funded: Iterable[str], timestamp: int) -> type[MiningChain]:
    """Give an empty store its first block; answer the class of chain to open it with.

    ``funded`` and ``timestamp`` count only for an empty store. eth-tester's own accounts are never funded: anyone
    can compute their keys.
    """
    chain = _in_memory(funded, timestamp)
    if SchemaV1.make_canonical_head_hash_lookup_key() not in store:
        for key, value in chain.chaindb.db.wrapped_db.kv_store.items():  # type: ignore[attr-defined]
            store[key] = value
        store.commit()
    return type(chain)


def _in_memory(funded: Iterable[str], timestamp: int) -> MiningChain:
    state = {
        to_canonical_address(address): {"balance": BALANCE, "nonce": 0, "code": b"", "storage": {}}
        for address in funded
    }
    parameters = PyEVMBackend.generate_genesis_params(
        # Random, so that two chains of the same accounts and the same second can be told apart.
        {"gas_limit": BLOCK_GAS_LIMIT, "timestamp": timestamp, "extra_data": secrets.token_bytes(32)}
    )
    backend = PyEVMBackend(genesis_parameters=parameters, genesis_state=state)
    return cast(MiningChain, backend.chain)
