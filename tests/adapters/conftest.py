"""Chains and ledgers for the tests of the adapters, quick ones: their blocks need no real second each."""

import secrets
import time
from dataclasses import dataclass

import pytest

from backend.adapters.chains.embedded import EmbeddedChain
from backend.adapters.ledger import ACCOUNT_NAMES, EvmLedger, accounts_from_keys, deploy


@dataclass
class World:
    """A chain with our contracts on it."""

    chain: object
    accounts: dict
    deployment: object
    ledger: EvmLedger

    def do(self, act, signer):
        """Sign an act, send it, wait for its receipt."""
        signed = self.ledger.sign(act, self.ledger.next_nonce(signer))
        self.ledger.send(signed.raw)
        return self.receipt(signed.transaction_hash)

    def receipt(self, transaction_hash):
        deadline = time.monotonic() + 10
        while (receipt := self.ledger.receipt(transaction_hash)) is None:
            assert time.monotonic() < deadline, "not mined in time"
            time.sleep(0.002)
        return receipt


@pytest.fixture(scope="session")
def accounts():
    return accounts_from_keys({name: secrets.token_bytes(32) for name in ACCOUNT_NAMES})


@pytest.fixture
def open_chain(tmp_path, accounts):
    """Open the chain of this test, as often as it likes; whatever is still open is closed at the end."""
    opened = []

    def open_it(name="chain.sqlite", *, in_real_time=False, **settings):
        funded = [account.address for account in accounts.values()]
        chain = EmbeddedChain(tmp_path / name, funded, in_real_time=in_real_time, **settings)
        opened.append(chain)
        return chain

    yield open_it
    for chain in opened:
        chain.close()


@pytest.fixture(scope="session")
def world(tmp_path_factory, accounts):
    path = tmp_path_factory.mktemp("ledger") / "chain.sqlite"
    with EmbeddedChain(path, [account.address for account in accounts.values()], in_real_time=False) as chain:
        deployment = deploy(chain, accounts)
        yield World(chain, accounts, deployment, EvmLedger(chain, deployment, accounts))
