"""Deploys the contracts to a chain once, and stores their addresses."""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

import rlp
from eth_utils.address import to_canonical_address, to_checksum_address
from eth_utils.crypto import keccak

from backend.adapters.ledger.calls import ADMIN, NOBODY, Accounts, ContractCall, Fees, asking, interface, mine, refusal
from backend.adapters.ledger.chain import Chain, ChainReceipt
from backend.domain.errors import Invalid, LedgerRefused, LedgerUnavailable, TraceabilityError
from backend.domain.evidence import LedgerName
from backend.domain.ledger import Agent, LedgerRole
from backend.domain.parties import is_office_code
from backend.store.disk import write_over

AGENTS = {"anchorer": Agent.ANCHORER, "office": Agent.OFFICE, "authority": Agent.AUTHORITY}
"""The role in which each account is registered."""

DEPLOYMENT_GAS = 5_000_000
GOVERNANCE_GAS = 5_000_000
REGISTRATION_GAS = 200_000
POLL_SECONDS = 0.02


ADMINISTRATION = 5
"""A role for the manager's own functions that no account has, so that the guardian may cancel calls of these too."""
ROLES = {role.name.lower(): int(role) for role in LedgerRole}
"""The roles that accounts may have, by the names that commands use."""

COUNTING = ("begin", "handOver")
"""The functions by which the one contract that counts drawdowns is named: by the registrar, with its notice."""

_ADMINISTRATION = (
    "labelRole",
    "grantRole",
    "revokeRole",
    "setRoleAdmin",
    "setRoleGuardian",
    "setGrantDelay",
    "setTargetAdminDelay",
    "setTargetClosed",
    "setTargetFunctionRole",
    "updateAuthority",
)


@dataclass(frozen=True)
class Safeguards:
    """How long the authority's changes are announced before they can be done, and who may cancel them meanwhile.

    A delay belongs to the account that acts (OpenZeppelin AccessManager's execution delay), so it applies from the
    first block. ``membership_seconds`` delays new role members and changes to a contract's own rights. The manager
    applies it five days later, the minimum time that it sets for a change of delays. Taking a role away never waits,
    but for a guardian's, which the manager itself delays by seven days. ``admin`` is None for the account of that name.
    """

    guardian: str | None = None
    administration_seconds: int = 86_400
    registration_seconds: int = 86_400
    authority_seconds: int = 0
    membership_seconds: int = 86_400
    revocation_seconds: int = 3 * 86_400
    admin: str | None = None


class DamagedDeployment(TraceabilityError):
    """Raised when the file with the contracts' addresses cannot be read."""

    code = "damaged-deployment"


@dataclass(frozen=True)
class Deployment:
    """The addresses of our contracts, and the values by which their chain is recognised."""

    chain_id: int
    genesis_hash: bytes
    block: int
    instance_id: bytes
    manager: str
    accreditation: str
    ledger: str
    balance: str | None = None
    """None where the contracts were deployed by a version without drawdowns."""
    revocations: str | None = None
    """None where they were deployed by a version that published no revocations."""
    next_balance: str | None = None
    """The contract that will count drawdowns in place of ``balance``, once it was named (``chain upgrade``)."""
    earlier_balances: tuple[str, ...] = ()
    """The contracts that counted drawdowns before, the first one first: their events stay part of the history."""

    @property
    def ledger_name(self) -> LedgerName:
        """The identity of the ledger, as trust files and records name it."""
        return LedgerName(self.chain_id, self.instance_id, self.ledger.lower())

    @classmethod
    def read(cls, path: Path) -> "Deployment | None":
        """Read what ``write`` wrote; None where there is no such file.

        Raises:
            DamagedDeployment: if the file is not a deployment.
        """
        if not path.exists():
            return None
        text = path.read_bytes()
        try:
            fields = json.loads(text)
            return cls(
                chain_id=int(fields["chainId"]),
                genesis_hash=bytes.fromhex(fields["genesisHash"]),
                block=int(fields["block"]),
                instance_id=bytes.fromhex(fields["instanceId"]),
                manager=to_checksum_address(fields["manager"]),
                accreditation=to_checksum_address(fields["accreditation"]),
                ledger=to_checksum_address(fields["ledger"]),
                balance=fields.get("balance") and to_checksum_address(fields["balance"]),
                revocations=fields.get("revocations") and to_checksum_address(fields["revocations"]),
                next_balance=fields.get("nextBalance") and to_checksum_address(fields["nextBalance"]),
                earlier_balances=tuple(map(to_checksum_address, fields.get("earlierBalances", ()))),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedDeployment(
                "{path} is damaged: put it back from a copy that provenport backup made", path=path
            ) from error

    def write(self, path: Path) -> None:
        """Write the file atomically, so that a crash leaves all of it or nothing."""
        fields = {
            "chainId": self.chain_id,
            "genesisHash": self.genesis_hash.hex(),
            "block": self.block,
            "instanceId": self.instance_id.hex(),
            "manager": self.manager,
            "accreditation": self.accreditation,
            "ledger": self.ledger,
            "balance": self.balance,
            "revocations": self.revocations,
            "nextBalance": self.next_balance,
            "earlierBalances": self.earlier_balances,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        write_over(path, (json.dumps(fields, indent=2) + "\n").encode(), mode=0o666)


def deploy(
    chain: Chain,
    accounts: Accounts,
    *,
    fees: Fees | None = None,
    instance_id: bytes | None = None,
    timeout_seconds: float = 120,
    safeguards: Safeguards | None = None,
    takes_over: bool = False,
) -> Deployment:
    """Deploy the contracts, register the accounts as agents, assign the roles, and wait until all of it is mined.

    The authority signs everything. If it is interrupted, deploying again creates a new set of contracts, and the first
    set is never used. With ``takes_over`` they replace lost ones: what is recorded of keys in the first three days
    holds of what was signed before.

    Raises:
        LedgerUnavailable: if the chain gives no answer or does not mine in time.
        LedgerRefused: if the chain refuses a transaction.
        Invalid: if the admin would be the authority or the guardian.
    """
    safeguards = safeguards or Safeguards()
    _require_own_admin(accounts, safeguards)
    instance_id = secrets.token_bytes(32) if instance_id is None else instance_id
    with asking():
        authority = accounts["authority"].address
        nonce = chain.transaction_count(authority)
        created = (_created_address(authority, nonce + step) for step in range(5))
        manager, accreditation, ledger, balance, revocations = created
        calls = [
            _creation(interface("AccessManager").deployment(authority)),
            _creation(interface("Accreditation").deployment(manager)),
            _creation(interface("TraceLedger").deployment(manager, instance_id)),
            _creation(interface("CertificateBalance").deployment(ledger, accreditation, NOBODY, revocations)),
            _creation(interface("Revocations").deployment(ledger)),
            *(_registration(ledger, accounts[name].address, agent) for name, agent in AGENTS.items()),
            *(_registration(ledger, accounts[code].address, Agent.OFFICE) for code in filter(is_office_code, accounts)),
            *([_taking_over(accreditation)] if takes_over else []),
            ContractCall("authority", balance, interface("CertificateBalance").call_data("begin"), REGISTRATION_GAS),
            _governance((manager, accreditation, ledger, balance), accounts, safeguards),
        ]
        mined = mine(chain, accounts, calls, nonce, (fees or Fees()).at(chain.price()), timeout_seconds)
        receipts = [_require_success(receipt) for receipt in mined]
        genesis = chain.block(0)
        chain_id = chain.chain_id()
    if genesis is None:
        raise LedgerUnavailable("the chain shows no first block")
    return Deployment(
        chain_id=chain_id,
        genesis_hash=genesis.block_hash,
        block=receipts[4].block.number,
        instance_id=instance_id,
        manager=manager,
        accreditation=accreditation,
        ledger=ledger,
        balance=balance,
        revocations=revocations,
    )


def deploy_balance(
    chain: Chain, accounts: Accounts, deployment: Deployment, fees: Fees, timeout_seconds: float = 120
) -> str:
    """Deploy a contract that can count drawdowns after the present one, with the same ledger. Return its address.

    It does not count before it is named.

    Raises:
        LedgerUnavailable: if the chain gives no answer or does not mine in time.
        LedgerRefused: if the chain refuses the transaction.
    """
    with asking():
        authority = accounts["authority"].address
        nonce = chain.transaction_count(authority)
        before, revocations = deployment.balance or NOBODY, deployment.revocations or NOBODY
        arguments = deployment.ledger, deployment.accreditation, before, revocations
        call = _creation(interface("CertificateBalance").deployment(*arguments))
        (receipt,) = mine(chain, accounts, [call], nonce, fees.at(chain.price()), timeout_seconds)
        _require_success(receipt)
    return _created_address(authority, nonce)


def _require_own_admin(accounts: Accounts, safeguards: Safeguards) -> None:
    """Refuse an admin whose key is in daily use, or that would have to cancel its own acts."""
    admin = safeguards.admin or accounts[ADMIN].address
    others = (accounts["authority"].address, safeguards.guardian)
    if any(other is not None and other.lower() == admin.lower() for other in others):
        raise Invalid("the admin must be another account than authority and guardian", admin=admin)


def _governance(addresses: tuple[str, str, str, str], accounts: Accounts, safeguards: Safeguards) -> ContractCall:
    """Assign the roles in one transaction. The authority, which deploys, lays down administration as the last step."""

    def function_role(target: str, contract: str, functions: tuple[str, ...], role: int) -> bytes:
        selectors = [interface(contract).selector(function) for function in functions]
        return manager_call("setTargetFunctionRole", target, selectors, role)

    def manager_call(function: str, *arguments: object) -> bytes:
        return interface("AccessManager").call_data(function, *arguments)

    manager, accreditation, ledger, balance = addresses
    wait, guardian = safeguards.membership_seconds, safeguards.guardian
    authority, admin = accounts["authority"].address, safeguards.admin or accounts[ADMIN].address
    # In one multicall: a crash between single transactions would leave contracts with only some of their safeguards.
    steps = [
        function_role(accreditation, "Accreditation", ("accredit", "reinstate", "rotate"), LedgerRole.AUTHORITY),
        # Taking trust away has a role without a delay, so that a stolen key can be stopped at once.
        function_role(accreditation, "Accreditation", ("suspend",), LedgerRole.BRAKE),
        function_role(ledger, "TraceLedger", ("pause",), LedgerRole.BRAKE),
        function_role(ledger, "TraceLedger", ("suspendAgent", "renewPause"), LedgerRole.REMOVAL),
        function_role(ledger, "TraceLedger", ("registerAgent", "moveAgent", "resume"), LedgerRole.REGISTRAR),
        function_role(ledger, "TraceLedger", ("revokeDocuments",), LedgerRole.REVOCATION),
        function_role(balance, "CertificateBalance", COUNTING, LedgerRole.REGISTRAR),
        function_role(manager, "AccessManager", _ADMINISTRATION, ADMINISTRATION),
        manager_call("grantRole", LedgerRole.AUTHORITY, authority, safeguards.authority_seconds),
        manager_call("grantRole", LedgerRole.BRAKE, authority, 0),
        manager_call("grantRole", LedgerRole.REGISTRAR, authority, safeguards.registration_seconds),
        manager_call("grantRole", LedgerRole.REVOCATION, authority, safeguards.revocation_seconds),
        *(manager_call("grantRole", LedgerRole.REMOVAL, account, 0) for account in (authority, admin)),
    ]
    # The guardian may pause and suspend too, but has no role that gives trust.
    if guardian is not None:
        steps += [manager_call("grantRole", role, guardian, 0) for role in (LedgerRole.BRAKE, LedgerRole.GUARDIAN)]
    guarded = (LedgerRole.AUTHORITY, LedgerRole.REGISTRAR, LedgerRole.REVOCATION, ADMINISTRATION)
    steps += [manager_call("setRoleGuardian", role, LedgerRole.GUARDIAN) for role in guarded]
    if wait:
        roles = (
            LedgerRole.AUTHORITY,
            LedgerRole.BRAKE,
            LedgerRole.REGISTRAR,
            LedgerRole.GUARDIAN,
            LedgerRole.REMOVAL,
            LedgerRole.REVOCATION,
        )
        steps += [manager_call("setGrantDelay", role, wait) for role in roles]
        steps += [manager_call("setTargetAdminDelay", target, wait) for target in (accreditation, ledger, balance)]
    steps.append(manager_call("grantRole", LedgerRole.ADMIN, admin, safeguards.administration_seconds))
    steps.append(manager_call("renounceRole", LedgerRole.ADMIN, authority))
    return ContractCall("authority", manager, manager_call("multicall", steps), GOVERNANCE_GAS)


def _creation(code: bytes) -> ContractCall:
    return ContractCall("authority", None, code, DEPLOYMENT_GAS)


def _registration(ledger: str, address: str, agent: Agent) -> ContractCall:
    data = interface("TraceLedger").call_data("registerAgent", address, int(agent))
    return ContractCall("authority", ledger, data, REGISTRATION_GAS)


def _taking_over(accreditation: str) -> ContractCall:
    # The deployer still administers here; afterwards nobody has the function's role without notice.
    return ContractCall("authority", accreditation, interface("Accreditation").call_data("takeOver"), REGISTRATION_GAS)


def _require_success(receipt: ChainReceipt) -> ChainReceipt:
    if not receipt.succeeded:
        said = refusal(receipt.revert_data or b"")
        # An instruction that the EVM does not know uses up all gas, and gives no reason.
        if said is None and receipt.gas_used == DEPLOYMENT_GAS:
            raise LedgerRefused(
                "the chain cannot run the contracts: they need an EVM of Cancun or later", error=None, arguments={}
            )
        raise LedgerRefused(
            "the chain refused the contracts",
            error=said.error if said else None,
            arguments=said.arguments if said else {},
        )
    return receipt


def _created_address(creator: str, nonce: int) -> str:
    """Compute a contract's address before it is deployed, so that all transactions can be sent at once.

    It is the last 20 bytes of keccak256(rlp([creator, nonce])) (Ethereum Yellow Paper, section 7).
    """
    # It depends on the nonce: if another transaction of this account uses that first, deployment fails.
    return to_checksum_address(keccak(rlp.encode([to_canonical_address(creator), nonce]))[12:])
