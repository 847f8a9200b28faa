"""``provenport chain`` and the powers over the contracts: pause, agents, roles, guardian, and what is announced.

Each command makes one call with the account whose key is in the data folder. A call that must be announced first is
announced by the first run of the command, and made by a run after its notice.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from backend.cli.localised import Command, Group
from backend.cli.terminal import JSON_HELP, _, print_json, telling
from backend.domain.errors import Conflict, NotFound, TraceabilityError, message_of
from backend.domain.ledger import Agent
from backend.settings import Settings

if TYPE_CHECKING:
    from backend.adapters.keys.vault import AccountKeys
    from backend.adapters.ledger import Deployment, EvmLedger
    from backend.adapters.ledger.powers import PowerCall, Powers, Step
    from backend.runtime.data_folder import DataFolder

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


class NoNextContract(TraceabilityError):
    """No contract was put on the chain that could count drawdowns after the present one."""

    code = "no-next-contract"


class NoAddress(TraceabilityError):
    """What was given is neither an address nor the name of an account."""

    code = "no-address"


def settings_for(rpc: str | None) -> Settings:
    """Return the environment's settings, with the node that a command was given instead of theirs."""
    given = {"LEDGER_RPC_URL": rpc, "LEDGER_RPC_AGREE": ""} if rpc else {}
    return Settings.from_environment({**os.environ, **given})


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
    from backend.adapters.ledger import Deployment, EvmLedger, Fees
    from backend.adapters.ledger.powers import Powers
    from backend.runtime.app import GWEI, chain_alone

    with chain_alone(settings) as (folder, chain, accounts):
        deployment = Deployment.read(folder.deployment)
        if deployment is None:
            raise NotFound("there are no contracts yet: start the server once with provenport serve")
        powers = Powers(chain, deployment, accounts, Fees(max_fee_per_gas=settings.ledger_max_fee_gwei * GWEI))
        yield Opened(powers, accounts, settings, folder, deployment, EvmLedger(chain, deployment, accounts))


@contextmanager
def _to_write() -> "Iterator[Opened]":
    settings = settings_for(None)
    with running_server_reported(settings, writes=True), opened(settings) as here:
        yield here


class Opened:
    """One deployment before an operator: its powers, and the accounts whose keys are here."""

    def __init__(
        self,
        powers: "Powers",
        accounts: "AccountKeys",
        settings: Settings,
        folder: "DataFolder",
        deployment: "Deployment",
        ledger: "EvmLedger",
    ) -> None:
        self.powers, self.accounts, self.settings, self.ledger = powers, accounts, settings, ledger
        self.addresses = {name: account.address for name, account in accounts.items()}
        self.deployment = deployment
        self.is_embedded = settings.ledger_rpc_url is None
        self._folder = folder

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

    def rewrite(self, deployment: "Deployment") -> None:
        """Keep a changed deployment, all of it or nothing."""
        deployment.write(self._folder.deployment)
        self.deployment = deployment


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

    ADDRESS is an account on the chain, or the name of one whose key is here: anchorer, office, authority, or the code
    of an office.
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


@agent_group.command("office")
@click.argument("code")
@using
def office_agent(code: str, dry_run: bool, as_json: bool) -> None:
    """Give the customs office CODE an account of its own, which alone decides on what is declared to it from then on.

    Its key is made and kept here, and a running server takes it up by itself. What was anchored before may be decided
    by any office's account, as it could be.
    """
    from backend.adapters.ledger.powers import PowerCall
    from backend.domain.parties import office_code

    name = office_code(code, "office")
    with _to_write() as here:
        if name in here.addresses:
            raise Conflict("this office has an account of its own", office=name, address=here.addresses[name])
        new = here.accounts.prepare(name)
        call = PowerCall("authority", LEDGER, "registerAgent", (new, int(Agent.OFFICE)))
        # A run that was cut short after the ledger had registered the agent is taken up here.
        is_there = any(account == new and roles & Agent.OFFICE for account, roles, _number in here.powers.agents())
        step = replace(here.powers.encoded(call), state="done") if is_there else _step(here, call, dry_run)
        if step.state == "done":
            if here.is_embedded:
                here.powers.fund(new)
            here.accounts.take_over(name, new)
    _report(step, as_json)
    if not as_json:
        click.echo(_("The new account is {address}. On a node it needs money before it can act.", address=new))


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
    here, and a running server takes it up by itself.
    """
    from backend.adapters.ledger.powers import PowerCall
    from backend.domain.parties import is_office_code

    with _to_write() as here:
        old = here.address(address)
        is_ours = address in AGENTS or (is_office_code(address) and address in here.addresses)
        own = address if successor is None and is_ours else None
        if successor is None and own is None:
            raise NoAddress("say to which account it moves: only an account of this data folder gets a new key here")
        new = here.address(successor) if successor is not None else here.accounts.prepare(address)
        call = PowerCall("authority", LEDGER, "moveAgent", (old, new))
        # A run that was cut short after the ledger had moved the agent is taken up here.
        is_moved = own is not None and here.powers.successor(old) == new
        step = replace(here.powers.encoded(call), state="done") if is_moved else _step(here, call, dry_run)
        if own is not None and step.state == "done":
            if here.is_embedded:
                here.powers.fund(new)
            here.accounts.take_over(own, new)
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


# ---- the contract that counts drawdowns


@click.command(cls=Command)
@using
def upgrade(dry_run: bool, as_json: bool) -> None:
    """Let a new contract count drawdowns, with the same ledger. Run it again until it says that it is done.

    What is left of each certificate goes over, the contract before is dead at once, and nothing is anchored again. The
    first run puts the contract on the chain; the calls after it are announced where the contracts ask for it.
    """
    with _to_write() as here:
        fresh = here.deployment.next_balance
        if fresh is None:
            if dry_run:
                raise NoNextContract(
                    "there is no next contract yet: the first run without --dry-run puts it on the chain"
                )
            fresh = here.powers.next_balance()
            here.rewrite(replace(here.deployment, next_balance=fresh))
        step = None
        while (call := here.powers.next_call(fresh)) is not None:
            if call.function == "begin" and not dry_run:
                _record_activations(here, fresh)
            step = _step(here, call, dry_run)
            if step.state != "done":
                break
        if call is None:
            before = tuple(filter(None, [here.deployment.balance]))
            earlier = (*here.deployment.earlier_balances, *before)
            here.rewrite(replace(here.deployment, balance=fresh, next_balance=None, earlier_balances=earlier))
    if step is not None:
        _report(step, as_json)
    elif as_json:
        print_json({"state": "done", "to": fresh})
    if call is None and not as_json:
        click.echo(_("Drawdowns are counted by {address} from now on.", address=fresh))


def _record_activations(here: Opened, fresh: str) -> None:
    """Record what was activated in a contract of an earlier version: nothing is anew by being anchored once more."""
    from backend.cli.terminal import note
    from backend.runtime.context import opened as installed
    from backend.services.drawdowns import activated_entries

    with installed(here.settings, note) as ctx:
        made = list(activated_entries(replace(ctx, ledger=here.ledger)))
    here.powers.record_activations(fresh, here.powers.unrecorded(fresh, made))


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


COMMANDS = (pause, resume, upgrade, agent_group, role_group, guardian_group, withdraw, powers_command)
