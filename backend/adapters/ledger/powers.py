"""The powers over the contracts: who has which, what is announced, and the calls that use them.

The operator's commands use it. Contracts of an earlier version lack some of these powers, and whoever asks for one of
those is told so.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from backend.adapters.ledger.calls import (
    ADMIN,
    GUARDIAN,
    NOBODY,
    Accounts,
    ContractCall,
    Fees,
    account_in,
    asking,
    has_view,
    interface,
    logs_between,
    mine,
    refused,
    view,
)
from backend.adapters.ledger.chain import Chain, ChainReceipt, FoundLog
from backend.adapters.ledger.deployment import (
    COUNTING,
    ROLES,
    Deployment,
    deploy_balance,
)
from backend.adapters.ledger.evm import BEFORE_LEDGER, FUNDS_WEI, ROLE_GRANTED
from backend.domain.errors import LedgerRefused, TraceabilityError
from backend.domain.evidence import leaf_hash
from backend.domain.ledger import LedgerRole, ProvenEntry, ledger_time

GAS = 600_000
TIMEOUT_SECONDS = 120.0
AT_ONCE = 50
"""How many activations are recorded before their receipts are awaited."""
PREPARED = 0
"""The phase of a contract for drawdowns that does not count yet (ICertificateBalance.sol)."""
NEW = ("suspendAgent", "moveAgent", "renewPause", "proposeGuardianChange", "changeGuardian", "cancelGuardianChange")
"""Functions that contracts of earlier versions lack."""

_SCHEDULED = keccak(text="OperationScheduled(bytes32,uint32,uint48,address,address,bytes)")
_REGISTERED = keccak(text="AgentRegistered(address,uint32,uint8)")


class NeedsNewerDeployment(TraceabilityError):
    """The contracts are of an earlier version, which has no such power."""

    code = "needs-newer-deployment"


class NotInForce(TraceabilityError):
    """The account whose key is here may not do this: its role is another's."""

    code = "not-in-force"


@dataclass(frozen=True)
class PowerCall:
    """A call that uses a power: by which account, on which contract; ``at`` is the address of one not in use yet."""

    by: str
    contract: str
    function: str
    arguments: tuple[object, ...] = ()
    at: str | None = None


@dataclass(frozen=True)
class Announced:
    """A call that was announced and is neither done nor cancelled."""

    operation: bytes
    due: datetime
    caller: str
    target: str
    data: bytes

    @property
    def function(self) -> str:
        """The function that will be called, or its selector where it is none of ours."""
        selector = self.data[:4]
        for contract in ("TraceLedger", "Accreditation", "AccessManager", "CertificateBalance"):
            if name := interface(contract).function_of(selector):
                return name
        return "0x" + selector.hex()


@dataclass(frozen=True)
class Step:
    """What was done, or would be: the call itself, or its announcement."""

    state: str
    by: str
    sender: str
    target: str
    data: bytes
    due: datetime | None = None
    receipt: ChainReceipt | None = None


class Powers:
    """The powers over one deployment."""

    def __init__(self, chain: Chain, deployment: Deployment, accounts: Accounts, fees: Fees | None = None) -> None:
        self._chain, self._deployment, self._accounts = chain, deployment, accounts
        self._fees = fees or Fees()
        self._addresses = {
            "AccessManager": deployment.manager,
            "Accreditation": deployment.accreditation,
            "TraceLedger": deployment.ledger,
            "CertificateBalance": deployment.balance or NOBODY,
        }

    @cached_property
    def is_current(self) -> bool:
        """Whether the deployed contracts have the powers of this version, or the fewer ones of an earlier one."""
        with asking():
            return has_view(self._chain, "AccessManager", self._addresses["AccessManager"], "adminCount")

    @property
    def administrator(self) -> str:
        """The account that administers: the authority itself where the contracts are of an earlier version."""
        return ADMIN if self.is_current else "authority"

    def paused_until(self) -> datetime | None:
        """Return when the pause ends by itself; None where the ledger runs. Earlier contracts name no end."""
        if not self._ask("TraceLedger", "isPaused"):
            return None
        if not self.is_current:
            return datetime.max.replace(tzinfo=UTC)
        return ledger_time(self._ask("TraceLedger", "pausedUntil"))

    def members(self) -> list[tuple[str, str, int]]:
        """List who has which role, with the seconds that each must announce its acts before."""
        seen: dict[tuple[int, str], None] = {}
        for event in self._events("AccessManager", ROLE_GRANTED):
            seen[int.from_bytes(event.log.topics[1]), _address_in(event.log.topics[2])] = None
        names = {number: name for name, number in ROLES.items()}
        found = []
        for number, account in seen:
            is_member, delay = self._ask("AccessManager", "hasRole", number, account)
            if is_member:
                found.append((names.get(number, str(number)), account, delay))
        return sorted(found)

    def agents(self) -> list[tuple[str, int, int]]:
        """List the ledger's agents: account, roles and number."""
        accounts = dict.fromkeys(_address_in(event.log.topics[1]) for event in self._events("TraceLedger", _REGISTERED))
        found = [(account, *self._ask("TraceLedger", "agentOf", account)[:2]) for account in accounts]
        return [(account, roles, number) for account, roles, number in found if number]

    def successor(self, account: str) -> str | None:
        """Return the account that took an agent's place, or None."""
        if not self.is_current:
            return None
        return account_in(self._ask("TraceLedger", "agentSuccessor", account))

    def guardian_change(self) -> tuple[str | None, datetime, str | None] | None:
        """Return the change of guardian that is proposed: who goes, from when on, and who comes; None is nobody."""
        if not self.is_current:
            return None
        outgoing, due, incoming = self._ask("AccessManager", "guardianChange")
        return (account_in(outgoing), ledger_time(due), account_in(incoming)) if due else None

    def announced(self) -> list[Announced]:
        """List the calls that were announced and are neither done, cancelled nor expired."""
        latest: dict[bytes, tuple[str, str, bytes]] = {}
        for event in self._events("AccessManager", _SCHEDULED):
            _when, caller, target, data = interface("AccessManager").event_data("OperationScheduled", event.log.data)
            latest[event.log.topics[1]] = (to_checksum_address(caller), to_checksum_address(target), data)
        found = []
        for operation, (caller, target, data) in latest.items():
            if due := self._ask("AccessManager", "getSchedule", operation):
                found.append(Announced(operation, ledger_time(due), caller, target, data))
        return sorted(found, key=lambda one: one.due)

    def use(self, call: PowerCall, *, dry_run: bool = False) -> Step:
        """Make a call, or announce it where it must be announced first. Made again when due, it is done.

        Raises:
            NeedsNewerDeployment: if the deployed contracts have no such power.
            NotInForce: if the account may not make this call.
            LedgerRefused: if the contract refuses it.
            LedgerUnavailable: if the chain does not answer, or does not mine in time.
        """
        if call.function in NEW and not self.is_current:
            raise NeedsNewerDeployment(
                "the contracts are of an earlier version and have no {function}: provenport chain deploy --again "
                "deploys those of this version",
                function=call.function,
            )
        target, data = self._target_and_data(call)
        sender = self._accounts[call.by].address
        delay = self._delay(call, sender)
        due = None
        if delay:
            operation = self._ask("AccessManager", "hashOperation", sender, target, data)
            scheduled: int = self._ask("AccessManager", "getSchedule", operation)
            if not scheduled:
                announcement = PowerCall(call.by, "AccessManager", "schedule", (target, data, 0))
                return self._send("announced", announcement, ledger_time(int(time.time()) + delay), dry_run)
            due = ledger_time(scheduled)
            if time.time() < scheduled:
                return Step("waiting", call.by, sender, target, data, due)
        return self._send("done", call, due, dry_run)

    def next_balance(self) -> str:
        """Deploy a contract that can count drawdowns after the present one, and return its address.

        Raises:
            NeedsNewerDeployment: if the ledger is of an earlier version, which the new contract cannot ask.
            LedgerRefused: if the chain refuses it.
            LedgerUnavailable: if the chain does not answer, or does not mine in time.
        """
        if not self.is_current or self._deployment.balance is None:
            raise NeedsNewerDeployment(
                "the contracts are of an earlier version and have no {function}: provenport chain deploy --again "
                "deploys those of this version",
                function="batchKeyOf",
            )
        return deploy_balance(self._chain, self._accounts, self._deployment, self._fees, TIMEOUT_SECONDS)

    def next_call(self, fresh: str) -> PowerCall | None:
        """Return the next call by which a fresh contract comes to count drawdowns; None where it does.

        First the registrar gets the right to name the contract after it. Then the present contract hands over; one of
        an earlier version cannot, and the fresh one begins by itself.
        """
        if self._ask_balance(fresh, "phase") != PREPARED:
            return None
        selectors = [interface("CertificateBalance").selector(function) for function in COUNTING]
        if any(
            self._ask("AccessManager", "getTargetFunctionRole", fresh, one) != LedgerRole.REGISTRAR for one in selectors
        ):
            arguments = fresh, selectors, LedgerRole.REGISTRAR
            return PowerCall(self.administrator, "AccessManager", "setTargetFunctionRole", arguments)
        if self.balance_hands_over:
            return PowerCall("authority", "CertificateBalance", "handOver", (fresh,))
        return PowerCall("authority", "CertificateBalance", "begin", at=fresh)

    @cached_property
    def balance_hands_over(self) -> bool:
        """Whether the present contract for drawdowns can hand over to another by itself."""
        with asking():
            return has_view(self._chain, "CertificateBalance", self._addresses["CertificateBalance"], "phase")

    def unrecorded(self, fresh: str, activations: Iterable[ProvenEntry]) -> list[ProvenEntry]:
        """Return those of these activations that a contract which goes on with them does not know of."""
        return [one for one in activations if not self._ask_balance(fresh, "isActivated", leaf_hash(one.entry))]

    def record_activations(self, fresh: str, activations: Sequence[ProvenEntry]) -> None:
        """Let a fresh contract know which certificates were activated in one of an earlier version.

        Raises:
            LedgerRefused: if the contract refuses one.
            LedgerUnavailable: if the chain does not answer, or does not mine in time.
        """
        for start in range(0, len(activations), AT_ONCE):
            calls = []
            for one in activations[start : start + AT_ONCE]:
                place = one.record.batch_key, one.record.leaf_index
                data = interface("CertificateBalance").call_data("recordActivation", place, one.entry, list(one.path))
                calls.append(ContractCall("authority", fresh, data, GAS))
            with asking():
                nonce = self._chain.transaction_count(self._accounts["authority"].address)
                fees = self._fees.at(self._chain.price())
                receipts = list(mine(self._chain, self._accounts, calls, nonce, fees, TIMEOUT_SECONDS))
            for receipt in receipts:
                if not receipt.succeeded:
                    raise refused(receipt.revert_data or b"")

    def _ask_balance(self, address: str, function: str, *arguments: object) -> Any:
        with asking():
            return view(self._chain, "CertificateBalance", address, function, *arguments)

    def cancel(self, operation: str, by: str | None = None, *, dry_run: bool = False) -> Step:
        """Cancel an announced call (64 hexadecimal digits), by the account that announced it or by the guardian.

        A dry run for an account that may not returns what the one that may, whose key is elsewhere, has to send.

        Raises:
            NotInForce: if there is no such announcement.
            LedgerRefused: if the account may not.
            LedgerUnavailable: if the chain does not answer, or does not mine in time.
        """
        wanted = operation.lower().removeprefix("0x")
        found = next((one for one in self.announced() if one.operation.hex() == wanted), None)
        if found is None:
            raise NotInForce("nothing is announced under {operation}", operation=operation)
        own = (name for name, account in self._accounts.items() if account.address == found.caller)
        call = PowerCall(
            by or (GUARDIAN if GUARDIAN in self._accounts else next(own, "authority")),
            "AccessManager",
            "cancel",
            (found.caller, found.target, found.data),
        )
        try:
            return self._send("cancelled", call, None, dry_run)
        except LedgerRefused as refusal:
            if not dry_run or refusal.values["error"] != "AccessManagerUnauthorizedCancel":
                raise
            return replace(self.encoded(call), state="elsewhere")

    def fund(self, address: str) -> None:
        """Give a new account money from the authority's; the embedded chain gives it only in its first block.

        Raises:
            LedgerUnavailable: if the chain does not mine in time.
        """
        with asking():
            balance = self._chain.balance(address)
        if not balance:
            self._mine(ContractCall("authority", address, b"", 30_000, FUNDS_WEI))

    def encoded(self, call: PowerCall) -> Step:
        """Return a call as a wallet of one's own would have to send it, without asking whether it may."""
        target, data = self._target_and_data(call)
        return Step("dry-run", call.by, self._accounts[call.by].address, target, data)

    def _target_and_data(self, call: PowerCall) -> tuple[str, bytes]:
        return call.at or self._addresses[call.contract], interface(call.contract).call_data(
            call.function, *call.arguments
        )

    def _delay(self, call: PowerCall, sender: str) -> int:
        """Return the seconds that the call must be announced before.

        Raises:
            NotInForce: if the account has no role that may make it.
        """
        if call.contract == "AccessManager":
            is_member, delay = self._ask("AccessManager", "hasRole", LedgerRole.ADMIN, sender)
            at_once = call.function == "revokeRole" and call.arguments[0] != LedgerRole.ADMIN
            if call.function in NEW or (at_once and self.is_current):
                delay = 0
        else:
            target, data = self._target_and_data(call)
            is_immediate, delay = self._ask("AccessManager", "canCall", sender, target, data[:4])
            is_member = is_immediate or delay > 0
        if not is_member:
            raise NotInForce(
                "the account {account} ({address}) may not do this. Where the role is held by a wallet of its own, "
                "--dry-run --json tells what to send from there",
                account=call.by,
                address=sender,
            )
        return int(delay)

    def _send(self, state: str, call: PowerCall, due: datetime | None, dry_run: bool) -> Step:
        target, data = self._target_and_data(call)
        sender = self._accounts[call.by].address
        try:
            with asking():
                self._chain.call(target, data, sender)
        except LedgerRefused as said:
            # The embedded chain's newest block may be an hour old: what is due by the clock is due in the next one.
            if said.values["error"] != "AccessManagerNotReady":
                raise
        if dry_run:
            return Step("dry-run", call.by, sender, target, data, due)
        receipt = self._mine(ContractCall(call.by, target, data, GAS))
        if not receipt.succeeded:
            raise refused(receipt.revert_data or b"")
        return Step(state, call.by, sender, target, data, due, receipt)

    def _mine(self, call: ContractCall) -> ChainReceipt:
        chain = self._chain
        with asking():
            nonce = chain.transaction_count(self._accounts[call.signer].address)
            fees = self._fees.at(chain.price())
            (receipt,) = mine(chain, self._accounts, [call], nonce, fees, TIMEOUT_SECONDS)
        return receipt

    def _ask(self, contract: str, function: str, *arguments: object) -> Any:
        with asking():
            return view(self._chain, contract, self._addresses[contract], function, *arguments)

    def _events(self, contract: str, topic: bytes) -> Iterator[FoundLog]:
        with asking():
            last = self._chain.head().number
        # The manager's first role is given in its own block, some before that of the ledger.
        first = max(self._deployment.block - BEFORE_LEDGER, 0)
        return logs_between(self._chain, first, last, self._addresses[contract], [topic])


def _address_in(topic: bytes) -> str:
    return to_checksum_address(topic[-20:])
