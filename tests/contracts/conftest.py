"""The contracts on a real EVM: one chain for all tests, every account of which plays one part."""

import secrets
import time
from dataclasses import dataclass, field

import pytest
import rlp
from eth_account import Account
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from backend.adapters.chains.embedded import EmbeddedChain
from backend.adapters.ledger import ACCOUNT_NAMES, Fees, Safeguards, accounts_from_keys, deploy
from backend.adapters.ledger.calls import ContractCall, Interface, interface, refusal, sign_call
from backend.adapters.ledger.chain import CallReverted
from backend.domain.ledger import batch_key

EXTRA_AGENTS = {
    "other_anchorer": 1,
    "other_office": 2,
    "office_and_anchorer": 3,
    "all_roles": 7,
    "leaving": 1,
    "forger": 1,
}


@dataclass
class World:
    """Contracts, and people who try things on them."""

    chain: EmbeddedChain
    accounts: dict
    addresses: dict = field(default_factory=dict)

    def address(self, person):
        return self.accounts[person].address

    def batch_key(self, person, root):
        """The key of the batch that the person anchors under a root."""
        return batch_key(self.ask("TraceLedger", "agentOf", self.address(person))[1], root)

    def call_data(self, contract, function, *arguments):
        return interface(contract).call_data(function, *arguments)

    def ask(self, contract, function, *arguments, by="stranger"):
        data = self.call_data(contract, function, *arguments)
        answer = self.chain.call(self.addresses[contract], data, self.address(by))
        return interface(contract).answer(function, answer)

    def act(self, person, contract, function, *arguments):
        """Do it in a transaction; give the receipt."""
        data = self.call_data(contract, function, *arguments)
        return self.send(ContractCall(person, self.addresses[contract], data, 10_000_000))

    def refusal(self, person, contract, function, *arguments):
        """What the contract would say; None where it would let it happen. Changes nothing."""
        data = self.call_data(contract, function, *arguments)
        try:
            self.chain.call(self.addresses[contract], data, self.address(person))
        except CallReverted as reverted:
            return refusal(reverted.data)
        return None

    def send(self, call):
        nonce = self.chain.transaction_count(self.address(call.signer))
        signed = sign_call(call, self.accounts, self.chain.chain_id(), nonce, Fees())
        self.chain.send_raw(signed.raw)
        while (receipt := self.chain.receipt(signed.transaction_hash)) is None:
            time.sleep(0.001)
        assert receipt.succeeded, refusal(receipt.revert_data)
        return receipt

    def asker_of(self, artifact):
        """Put a contract of a test's own on the chain; give a function that asks it."""
        own = Interface(artifact)
        creator = self.address("stranger")
        nonce = self.chain.transaction_count(creator)
        self.send(ContractCall("stranger", None, own.deployment(), 5_000_000))
        address = to_checksum_address(keccak(rlp.encode([bytes.fromhex(creator[2:]), nonce]))[12:])
        return lambda function, *arguments: own.answer(
            function, self.chain.call(address, own.call_data(function, *arguments))
        )


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    accounts = accounts_from_keys({name: secrets.token_bytes(32) for name in ACCOUNT_NAMES})
    accounts |= {name: Account.create() for name in (*EXTRA_AGENTS, "arriving", "guardian", "newcomer", "stranger")}
    path = tmp_path_factory.mktemp("chain") / "chain.sqlite"
    with EmbeddedChain(path, [account.address for account in accounts.values()], in_real_time=False) as chain:
        at_once = Safeguards(accounts["guardian"].address, 0, 0, 0, 0, 0)
        deployment = deploy(chain, accounts, instance_id=b"\7" * 32, safeguards=at_once)
        addresses = {
            "AccessManager": deployment.manager,
            "Accreditation": deployment.accreditation,
            "CertificateBalance": deployment.balance,
            "Revocations": deployment.revocations,
            "TraceLedger": deployment.ledger,
        }
        world = World(chain, accounts, addresses)
        for person, roles in EXTRA_AGENTS.items():
            world.act("authority", "TraceLedger", "registerAgent", accounts[person].address, roles)
        yield world
