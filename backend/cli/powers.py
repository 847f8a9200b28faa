"""``provenport chain`` and the powers over the contracts: pause, agents, roles, guardian, and what is announced.

Each command makes one call with the account whose key is in the data folder. A call that must be announced first is
announced by the first run of the command, and made by a run after its notice.
"""

import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from backend.cli.localised import Command, Group
from backend.cli.terminal import JSON_HELP, _, print_json, telling
from backend.domain.errors import NotFound, TraceabilityError, message_of
from backend.domain.ledger import Agent
from backend.settings import Settings

if TYPE_CHECKING:
    from backend.adapters.ledger.powers import PowerCall, Powers, Step

DRY_RUN_HELP = "Ask the contracts whether they would take it, tell what would be sent, and send nothing."
LEDGER = "TraceLedger"
MANAGER = "AccessManager"
ROLE_NAMES = {
    "admin": "gives and takes roles",
    "authority": "accredits keys",
    "brake": "pauses and suspends keys",
    "registrar": "registers and moves agents",
    "guardian": "cancels what is announced",
    "removal": "takes agents' roles away",
    "revocation": "revokes documents",
}
RPC_HELP = "Ask this node, for example a running server: http://127.0.0.1:8080/rpc"
AGENTS = {agent.name.lower(): agent for agent in Agent}
STATES = {
    "done": "Done.",
    "announced": "Announced.",
    "waiting": "Announced before, and not due yet.",
    "cancelled": "Cancelled.",
    "dry-run": "The contracts would take it. Nothing was sent.",
}


class ServerRuns(TraceabilityError):
    """A running server holds the embedded chain, which one process only can open."""

    code = "server-runs"


class NoAddress(TraceabilityError):
    """What was given is neither an address nor the name of an account."""

    code = "no-address"


def settings_for(rpc: str | None) -> Settings:
    """Return the environment's settings, with the node that a command was given instead of theirs."""
    return Settings.from_environment({**os.environ, **({"LEDGER_RPC_URL": rpc} if rpc else {})})


@contextmanager
def running_server_reported(settings: Settings, *, writes: bool = False) -> Iterator[None]:
    """Turn the error about an embedded chain in use into one that tells what to do about the running server.

    Raises:
        ServerRuns: if a running server holds the embedded chain.
    """
    from backend.adapters.chains.embedded import ChainInUse
    from backend.runtime.data_folder import DataFolder

    try:
        yield
    except ChainInUse as error:
        values: dict[str, object] = {
            "error": message_of(error),
            "url": DataFolder(settings.data_dir).served_at() or f"http://127.0.0.1:{settings.port}",
        }
        if not writes:
            raise ServerRuns("{error}. Stop the server, or ask it: --rpc {url}/rpc", **values) from error
        raise ServerRuns(
            "{error}. Stop the server, run this, and start it again; what only reads may ask it with --rpc {url}/rpc",
            **values,
        ) from error


@contextmanager
def opened(settings: Settings) -> "Iterator[Opened]":
    """Open the chain, the accounts and the deployment of the data folder.

    Raises:
        NotFound: if there are no contracts yet.
    """
    from backend.adapters.keys.vault import opened_vault
    from backend.adapters.ledger import Deployment, Fees
    from backend.adapters.ledger.powers import Powers
    from backend.runtime.app import GWEI, chain_alone

    with chain_alone(settings) as (folder, chain, accounts):
        deployment = Deployment.read(folder.deployment)
        if deployment is None:
            raise NotFound("there are no contracts yet: start the server once with provenport serve")
        powers = Powers(chain, deployment, accounts, Fees(max_fee_per_gas=settings.ledger_max_fee_gwei * GWEI))
        vault = opened_vault(folder.master_key, settings.master_key)
        yield Opened(powers, {name: account.address for name, account in accounts.items()}, settings, folder, vault)


@contextmanager
def _to_write() -> "Iterator[Opened]":
    settings = settings_for(None)
    with running_server_reported(settings, writes=True), opened(settings) as here:
        yield here


class Opened:
    """One deployment before an operator: its powers, and the accounts whose keys are here."""

    def __init__(self, powers: "Powers", addresses: Mapping[str, str], settings: Settings, folder: Any, vault: Any):
        self.powers, self.addresses = powers, addresses
        self.is_embedded = settings.ledger_rpc_url is None
        self._folder, self._vault = folder, vault

    def address(self, given: str) -> str:
        """Return an address given as such, or by the name of an account whose key is here.

        Raises:
            NoAddress: if it is neither.
        """
        from eth_utils.address import is_address, to_checksum_address

        if given in self.addresses:
            return self.addresses[given]
        if not is_address(given):
            raise NoAddress(
                "{given} is no address: give 0x and 40 hexadecimal digits, or one of {names}",
                given=repr(given),
                names=", ".join(sorted(self.addresses)),
            )
        return to_checksum_address(given)

    def name_of(self, address: str) -> str:
        """Return the name of an account whose key is here, with its address."""
        name = next((name for name, own in self.addresses.items() if own == address), None)
        return f"{address} ({name})" if name else address

    def next_account(self, name: str) -> str:
        """Make the key of an account that will take another's place, or return the one made before."""
        from eth_account import Account

        keys = self._keys()
        if f"{name}.next" not in keys:
            keys[f"{name}.next"] = secrets.token_bytes(32).hex()
            self._write(keys)
        return str(Account.from_key(bytes.fromhex(keys[f"{name}.next"])).address)

    def take_over(self, name: str) -> None:
        """Let the new key of an account be its key from now on. The old one is kept apart."""
        keys = self._keys()
        if f"{name}.next" in keys:
            keys[f"{name}.before"], keys[name] = keys[name], keys.pop(f"{name}.next")
            self._write(keys)

    def _keys(self) -> dict[str, str]:
        return dict(json.loads(self._vault.decrypt(self._folder.ledger_accounts.read_bytes())))

    def _write(self, keys: dict[str, str]) -> None:
        from backend.runtime.app import write_ledger_keys

        write_ledger_keys(self._folder, self._vault, keys)


# ---- one call and its report


def using(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command that makes a call its options."""
    for option in (
        click.option("--dry-run", is_flag=True, help=DRY_RUN_HELP),
        click.option("--json", "as_json", is_flag=True, help=JSON_HELP),
    ):
        command = option(command)
    return command


def _use(
    by: str, contract: str, function: str, build: "Callable[[Opened], tuple[object, ...]]", dry_run: bool, as_json: bool
) -> None:
    from backend.adapters.ledger.powers import PowerCall

    with _to_write() as here:
        signer = here.powers.administrator if by == "admin" else by
        step = _step(here, PowerCall(signer, contract, function, build(here)), dry_run)
    _report(step, as_json)


def _step(here: Opened, call: "PowerCall", dry_run: bool) -> "Step":
    from backend.adapters.ledger.powers import NotInForce

    try:
        return here.powers.use(call, dry_run=dry_run)
    except NotInForce:
        if not dry_run:
            raise
        return replace(here.powers.encoded(call), state="elsewhere")


def _report(step: "Step", as_json: bool) -> None:
    report = {
        "state": step.state,
        "account": step.by,
        "from": step.sender,
        "to": step.target,
        "data": "0x" + step.data.hex(),
        "due": step.due and step.due.isoformat(),
        "transaction": step.receipt and step.receipt.transaction_hash.hex(),
        "gas": step.receipt and step.receipt.gas_used,
    }
    with telling(_("the call is made")):
        if as_json:
            print_json(report)
            return
        if step.state == "elsewhere":
            click.echo(_("The account whose key is here may not do this. From the wallet that may, send:"))
        else:
            click.echo(_(STATES[step.state]))
        if step.state in ("dry-run", "elsewhere"):
            click.echo(_("to {target}\ndata {data}", target=step.target, data=report["data"]))
        if step.due is not None and step.state in ("announced", "waiting"):
            click.echo(_("It can be done from {due} on: run the same command again then.", due=step.due.isoformat()))
        if step.receipt is not None:
            click.echo(_("gas: {gas}", gas=step.receipt.gas_used))


# ---- the pause


@click.command(cls=Command)
@using
@click.option("--renew", is_flag=True, help="As the authority, also where a pause stands: 72 hours from now.")
@click.option("--by", type=click.Choice(["authority", "guardian"]), default="authority", help="The account that acts.")
def pause(renew: bool, by: str, dry_run: bool, as_json: bool) -> None:
    """Stop every write but suspensions and revocations, for 72 hours.

    The pause ends by itself. Whoever has paused can do so again when the ledger has run for seven days; the authority
    can renew a pause at any time.
    """
    _use("authority" if renew else by, LEDGER, "renewPause" if renew else "pause", lambda here: (), dry_run, as_json)


@click.command(cls=Command)
@using
def resume(dry_run: bool, as_json: bool) -> None:
    """End the pause before its time."""
    _use("authority", LEDGER, "resume", lambda here: (), dry_run, as_json)


# ---- agents


@click.group("agent", cls=Group)
def agent_group() -> None:
    """The accounts that anchor and decide: give them roles, take these away, replace an account.

    ADDRESS is an account on the chain, or the name of one whose key is here: anchorer, office, authority.
    """


@agent_group.command("register")
@click.argument("address")
@using
@click.option(
    "--role", "roles", multiple=True, required=True, type=click.Choice(list(AGENTS)), help="May be given again."
)
def register_agent(address: str, roles: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Give ADDRESS these roles, and no others. This is announced first where the contracts ask for it."""
    total = sum(AGENTS[role] for role in set(roles))
    _use("authority", LEDGER, "registerAgent", lambda here: (here.address(address), total), dry_run, as_json)


@agent_group.command("suspend")
@click.argument("address")
@using
@click.option("--by", type=click.Choice(["authority", "admin"]), default="authority", help="The account that acts.")
def suspend_agent(address: str, by: str, dry_run: bool, as_json: bool) -> None:
    """Take all roles of ADDRESS away, at once. Its batches stay its own, for the account that it moves to."""
    _use(by, LEDGER, "suspendAgent", lambda here: (here.address(address),), dry_run, as_json)


@agent_group.command("move")
@click.argument("address")
@click.argument("successor", required=False)
@using
def move_agent(address: str, successor: str | None, dry_run: bool, as_json: bool) -> None:
    """Let the agent at ADDRESS act from the account SUCCESSOR, with its batches; the old account never acts again.

    Where ADDRESS is the name of an account whose key is here, and there is no SUCCESSOR, a new key is made and kept
    here, and used from the next start of the server on.
    """
    from backend.adapters.ledger.powers import PowerCall

    with _to_write() as here:
        old = here.address(address)
        own = address if successor is None and address in AGENTS else None
        if successor is None and own is None:
            raise NoAddress("say to which account it moves: only an account of this data folder gets a new key here")
        new = here.address(successor) if successor is not None else here.next_account(address)
        call = PowerCall("authority", LEDGER, "moveAgent", (old, new))
        # A run that was cut short after the ledger had moved the agent is taken up here.
        is_moved = own is not None and here.powers.successor(old) == new
        step = replace(here.powers.encoded(call), state="done") if is_moved else _step(here, call, dry_run)
        if own is not None and step.state == "done":
            if here.is_embedded:
                here.powers.fund(new)
            here.take_over(own)
    _report(step, as_json)
    if own is not None and not as_json:
        click.echo(_("The new account is {address}. On a node it needs money before it can act.", address=new))


# ---- roles


@click.group("role", cls=Group)
def role_group() -> None:
    """Who has which power over the contracts: give and take roles, as the admin.

    ADDRESS is an account on the chain, or the name of one whose key is here.
    """


@role_group.command("grant")
@click.argument("role", type=click.Choice(list(ROLE_NAMES)))
@click.argument("address")
@using
@click.option(
    "--delay",
    type=click.IntRange(0, 30 * 86_400),
    default=0,
    metavar="SECONDS",
    help="How long its acts are announced before.",
)
def grant(role: str, address: str, delay: int, dry_run: bool, as_json: bool) -> None:
    """Give ROLE to ADDRESS. This is announced first."""
    from backend.adapters.ledger.deployment import ROLES

    _use("admin", MANAGER, "grantRole", lambda here: (ROLES[role], here.address(address), delay), dry_run, as_json)


@role_group.command("revoke")
@click.argument("role", type=click.Choice(list(ROLE_NAMES)))
@click.argument("address")
@using
def revoke(role: str, address: str, dry_run: bool, as_json: bool) -> None:
    """Take ROLE away from ADDRESS, at once. An admin's is announced first; a guardian goes by: chain guardian."""
    from backend.adapters.ledger.deployment import ROLES

    _use("admin", MANAGER, "revokeRole", lambda here: (ROLES[role], here.address(address)), dry_run, as_json)


# ---- the guardian


@click.group("guardian", cls=Group)
def guardian_group() -> None:
    """Remove or replace the guardian, as the admin. It takes seven days, and the guardian cannot cancel it."""


@guardian_group.command("propose")
@using
@click.option("--out", "outgoing", metavar="ADDRESS", help="The guardian that goes.")
@click.option("--in", "incoming", metavar="ADDRESS", help="The account that becomes guardian.")
def propose(outgoing: str | None, incoming: str | None, dry_run: bool, as_json: bool) -> None:
    """Propose that a guardian goes, that another comes, or both."""
    from backend.adapters.ledger.calls import NOBODY

    def both(here: Opened) -> tuple[object, ...]:
        return tuple(NOBODY if given is None else here.address(given) for given in (outgoing, incoming))

    _use("admin", MANAGER, "proposeGuardianChange", both, dry_run, as_json)


@guardian_group.command("execute")
@using
def execute(dry_run: bool, as_json: bool) -> None:
    """Make the proposed change, from the seventh to the fourteenth day."""
    _use("admin", MANAGER, "changeGuardian", lambda here: (), dry_run, as_json)


@guardian_group.command("cancel")
@using
def cancel_change(dry_run: bool, as_json: bool) -> None:
    """Take the proposed change back."""
    _use("admin", MANAGER, "cancelGuardianChange", lambda here: (), dry_run, as_json)


# ---- what is announced, and who has what


@click.command("withdraw", cls=Command)
@click.argument("operation")
@using
@click.option("--by", type=click.Choice(["guardian", "authority", "admin"]), help="The account that acts.")
def withdraw(operation: str, by: str | None, dry_run: bool, as_json: bool) -> None:
    """Cancel the announced call OPERATION, as the guardian or as the account that announced it."""
    with _to_write() as here:
        step = here.powers.cancel(operation, by, dry_run=dry_run)
    _report(step, as_json)


@click.command("powers", cls=Command)
@click.option("--rpc", metavar="URL", help=RPC_HELP)
@click.option("--json", "as_json", is_flag=True, help=JSON_HELP)
def powers_command(rpc: str | None, as_json: bool) -> None:
    """Tell who has which power over the contracts, what is announced, and whether the ledger is paused."""
    settings = settings_for(rpc)
    with running_server_reported(settings), opened(settings) as here:
        report = _overview(here)
    if as_json:
        print_json(report)
    else:
        _show(report)


def _overview(here: Opened) -> dict[str, Any]:
    powers = here.powers
    paused, change = powers.paused_until(), powers.guardian_change()
    return {
        "isCurrent": powers.is_current,
        "pausedUntil": paused and paused.isoformat(),
        "roles": [
            {"role": role, "account": here.name_of(account), "delaySeconds": delay}
            for role, account, delay in powers.members()
        ],
        "agents": [
            {
                "account": here.name_of(account),
                "number": number,
                "roles": [name for name, agent in AGENTS.items() if roles & agent],
            }
            for account, roles, number in powers.agents()
        ],
        "guardianChange": change
        and {
            "out": change[0] and here.name_of(change[0]),
            "due": change[1].isoformat(),
            "in": change[2] and here.name_of(change[2]),
        },
        "announced": [
            {
                "operation": "0x" + one.operation.hex(),
                "due": one.due.isoformat(),
                "isDue": one.due <= datetime.now(UTC),
                "account": here.name_of(one.caller),
                "function": one.function,
                "data": "0x" + one.data.hex(),
            }
            for one in powers.announced()
        ],
    }


def _show(report: dict[str, Any]) -> None:
    if not report["isCurrent"]:
        click.echo(_("The contracts are of an earlier version: the authority administers, and a pause has no end."))
    if report["pausedUntil"] is None:
        click.echo(_("The ledger runs."))
    else:
        click.echo(_("The ledger is paused until {time}.", time=report["pausedUntil"]))
    for one in report["roles"]:
        words = _(ROLE_NAMES[one["role"]]) if one["role"] in ROLE_NAMES else ""
        click.echo(f"{one['role']:<10} {one['account']}  {words}  {one['delaySeconds']} s".rstrip())
    for one in report["agents"]:
        roles = ", ".join(one["roles"]) or _("no role")
        click.echo(_("agent {number}: {account}, {roles}", number=one["number"], account=one["account"], roles=roles))
    if change := report["guardianChange"]:
        gone, come = change["out"] or _("nobody"), change["in"] or _("nobody")
        click.echo(_("Guardian, from {due} on: {out} goes, {come} comes.", due=change["due"], out=gone, come=come))
    for one in report["announced"]:
        click.echo(f"{one['operation']}  {one['function']}  {one['account']}  {one['due']}")
    click.echo(
        _("{count} calls are announced. Cancel one with: provenport chain withdraw OPERATION", count=count)
        if (count := len(report["announced"]))
        else _("Nothing is announced.")
    )


COMMANDS = (pause, resume, agent_group, role_group, guardian_group, withdraw, powers_command)
