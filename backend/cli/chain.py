"""``provenport chain`` and ``provenport audit``: what an operator asks of the ledger, and does to it."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import click

from backend.cli.accreditation import (
    accredit,
    cancel,
    pending,
    reinstate,
    suspend,
)
from backend.cli.language import _
from backend.cli.verify import VerdictCommand
from backend.domain.errors import ForeignLedger, LedgerUnavailable, TraceabilityError, message_of
from backend.services.ports import AppContext
from backend.settings import Settings

RPC_HELP = "Ask this node, for example a running server: http://127.0.0.1:8080/rpc"


class ServerRuns(TraceabilityError):
    """A running server holds the embedded chain."""

    code = "server-runs"


@click.group("chain")
def chain_command() -> None:
    """The chain behind the ledger: how it stands, the contracts, and the authority's acts.

    Exit codes: 0 done, or as it should be; 1 refused, or not as it should be; 2 wrong usage.
    """


for act in (accredit, suspend, reinstate, pending, cancel):
    chain_command.add_command(act)


@chain_command.command()
@click.option("--rpc", help=RPC_HELP)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def status(rpc: str | None, as_json: bool) -> None:
    """Tell which chain answers, whether it is ours, and what the accounts own. Exit code 1 where it is not ours."""
    settings = _settings(rpc)
    with _server_told():
        reported = _status(settings)
    if as_json:
        click.echo(json.dumps(reported, indent=2))
    else:
        _show(reported)
    sys.exit(0 if reported["ledger"] == "ours" else 1)


def _status(settings: Settings) -> dict[str, Any]:
    from backend.adapters.ledger import Deployment, EvmLedger
    from backend.adapters.ledger.chain import ChainUnavailable
    from backend.runtime.app import chain_alone

    with chain_alone(settings) as (folder, chain, accounts):
        deployment = Deployment.read(folder.deployment)
        reported: dict[str, Any] = {"chain": (settings.ledger_rpc_url and "node") or "embedded"}
        try:
            head = chain.head()
            reported |= {"chainId": chain.chain_id(), "block": head.number, "blockTime": head.time.isoformat()}
            reported["accounts"] = {
                name: {
                    "address": account.address,
                    "wei": str(chain.balance(account.address)),
                    "transactions": chain.transaction_count(account.address),
                }
                for name, account in accounts.items()
            }
        except ChainUnavailable as fault:
            return reported | {"ledger": "unavailable", "why": str(fault)}
        if deployment is None:
            return reported | {"ledger": "not-deployed"}
        reported |= {
            "contract": deployment.ledger,
            "instanceId": deployment.instance_id.hex(),
            "since": deployment.block,
        }
        try:
            EvmLedger(chain, deployment, accounts).head()
        except ForeignLedger as error:
            return reported | {"ledger": "foreign", "why": str(error), "choices": list(error.choices)}
        except LedgerUnavailable as error:
            return reported | {"ledger": "unavailable", "why": str(error)}
    return reported | {"ledger": "ours"}


def _show(reported: dict[str, Any]) -> None:
    for name, value in reported.items():
        if name == "accounts":
            for account, facts in value.items():
                ether = int(facts["wei"]) / 10**18
                count = _("{count} transactions", count=facts["transactions"])
                click.echo(f"{account:<12} {facts['address']}  {ether:.6f} ether, {count}")
        elif name == "choices":
            click.echo(_("What you can do:"))
            for choice in value:
                click.echo(f"  - {_(choice)}")
        else:
            click.echo(f"{name:<12} {value}")


@chain_command.command()
@click.option("--again", is_flag=True, help="The old chain is lost: deploy anew and anchor every record again.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def deploy(again: bool, as_json: bool) -> None:
    """Put the contracts on the chain. The server does it by itself at its first start.

    LEDGER_GUARDIAN, LEDGER_AUTHORITY_DELAY_SECONDS, LEDGER_REGISTRATION_DELAY_SECONDS and
    LEDGER_ADMINISTRATION_DELAY_SECONDS say how the authority's acts are delayed, and who may cancel them.
    """
    from backend.adapters.ledger import Deployment, Fees
    from backend.adapters.ledger import deploy as put
    from backend.runtime.app import (
        GWEI,
        chain_alone,
        require_funds,
        safeguards,
    )
    from backend.runtime.context import opened
    from backend.services.anchoring import reanchor_all

    settings = _settings(None)
    with _server_told(), chain_alone(settings) as (folder, chain, accounts):
        old = Deployment.read(folder.deployment)
        if old is not None and not again:
            raise TraceabilityError(
                "the contracts stand at {ledger} already; --again deploys anew and anchors every record again",
                ledger=old.ledger,
            )
        fees = Fees(max_fee_per_gas=settings.ledger_max_fee_gwei * GWEI)
        if settings.ledger_rpc_url is not None:
            require_funds(chain, accounts, fees)
        fresh = put(chain, accounts, fees=fees, safeguards=safeguards(settings, accounts))
        count = 0
        if old is not None:
            old.write(folder.deployment.with_name(f"deployment-{old.instance_id.hex()[:8]}.json"))
            with opened(settings) as ctx:
                count = reanchor_all(ctx)
        fresh.write(folder.deployment)
    if as_json:
        reported = {
            "ledger": fresh.ledger,
            "chainId": fresh.chain_id,
            "block": fresh.block,
            "batchesToAnchorAgain": count,
        }
        click.echo(json.dumps(reported, indent=2))
        return
    if count:
        click.echo(_("{count} batches will be anchored again when the server runs.", count=count))
    click.echo(
        _(
            "The contracts stand at {ledger} on chain {chain_id}, since block {block}.",
            ledger=fresh.ledger,
            chain_id=fresh.chain_id,
            block=fresh.block,
        )
    )


@click.command("audit", cls=VerdictCommand)
@click.option("--rpc", help=RPC_HELP)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def audit_command(rpc: str | None, as_json: bool) -> None:
    """Make every root anew from what is stored; compare database and ledger both ways.

    Exit codes: 0 they agree; 1 they differ; 2 nothing was compared to the end (or wrong usage).
    """
    from backend.services.audit import audit

    with _server_told(), _auditing(_settings(rpc)) as ctx:
        found = audit(ctx)
    if as_json:
        shown = [{"name": one.name, **one.about} for one in found.discrepancies]
        click.echo(json.dumps({**asdict(found), "discrepancies": shown}, indent=2))
    else:
        for one in found.discrepancies:
            click.echo(str(one))
        counts = {"records": found.records, "batches": found.batches, "on_ledger": found.batches_on_ledger}
        click.echo(
            _(
                "{records} records in {batches} batches; {on_ledger} batches on the ledger; {count} discrepancies",
                **counts,
                count=len(found.discrepancies),
            )
            if found.discrepancies
            else _(
                "{records} records in {batches} batches; {on_ledger} batches on the ledger; no discrepancies", **counts
            )
        )
    sys.exit(1 if found.discrepancies else 0)


@contextmanager
def _auditing(settings: Settings) -> Iterator[AppContext]:
    from backend.adapters.ledger import Deployment, EvmLedger
    from backend.runtime.app import chain_alone
    from backend.runtime.context import opened

    with opened(settings) as ctx, chain_alone(settings) as (folder, chain, accounts):
        deployment = Deployment.read(folder.deployment)
        if deployment is None:
            raise TraceabilityError("there are no contracts yet: start the server once with provenport serve")
        yield replace(ctx, ledger=EvmLedger(chain, deployment, accounts))


def _settings(rpc: str | None) -> Settings:
    return Settings.from_environment({**os.environ, **({"LEDGER_RPC_URL": rpc} if rpc else {})})


@contextmanager
def _server_told() -> Iterator[None]:
    """Say what to do where the server holds the embedded chain."""
    from backend.adapters.chains.embedded import ChainInUse

    try:
        yield
    except ChainInUse as error:
        raise ServerRuns(
            "{error}. Stop the server, or ask it: --rpc http://127.0.0.1:8080/rpc", error=message_of(error)
        ) from error
