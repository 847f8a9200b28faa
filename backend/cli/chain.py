"""``provenport chain`` and ``provenport audit``: the operator's commands about the ledger.

Changes of accreditations are only written to the database. The worker of the running server sends them to the ledger.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backend.cli import powers
from backend.cli.localised import Group, cell_length
from backend.cli.powers import RPC_HELP, running_server_reported, settings_for
from backend.cli.terminal import JSON_HELP, _, installation, kind_name, note, print_json, said, telling
from backend.cli.verify import VerdictCommand
from backend.domain.errors import ForeignLedger, LedgerUnavailable, NotFound, TraceabilityError, message_of
from backend.domain.kinds import KINDS, Kind
from backend.domain.ledger import Accreditation
from backend.domain.outbox import AccreditationChange
from backend.domain.parties import Person, Role
from backend.domain.signature_terms import KeyEvent
from backend.settings import Settings

if TYPE_CHECKING:
    from backend.services.keys import KnownKey
    from backend.services.ports import AppContext

LABELS = {
    "chain": "chain",
    "chainId": "chain id",
    "block": "block",
    "blockTime": "block time",
    "contract": "contract",
    "instanceId": "instance id",
    "since": "since block",
    "ledger": "ledger",
    "why": "why",
}
"""Labels of the figures of ``chain status``."""
WORDS = {
    "node": "a node",
    "embedded": "embedded",
    "ours": "ours",
    "foreign": "not ours",
    "unavailable": "does not answer",
    "not-deployed": "no contracts yet",
}
OPERATIONS = {
    "accredit": "accredit",
    "suspend": "suspend",
    "reinstate": "reinstate",
    "rotate": "replace the key",
}
"""Names of the authority's changes."""
EVENTS = {
    KeyEvent.ACCREDITED: "accredited",
    KeyEvent.SUSPENDED: "suspended",
    KeyEvent.REINSTATED: "reinstated",
    KeyEvent.ROTATED: "gave way to another key",
    KeyEvent.SUCCEEDED: "took the place of another key",
}
"""What was done with a version of a key's accreditation."""
STATES = {"asked": "asked", "announced": "announced", "being cancelled": "being cancelled"}


@click.group("chain", cls=Group)
def chain_command() -> None:
    """The chain behind the ledger: how it stands, the contracts, and the authority's acts.

    Exit codes: 0 done, or as it should be; 1 refused, or not as it should be; 2 wrong usage.
    """


@chain_command.command()
@click.option("--rpc", metavar="URL", help=RPC_HELP)
@click.option("--json", "as_json", is_flag=True, help=JSON_HELP)
def status(rpc: str | None, as_json: bool) -> None:
    """Tell which chain answers, whether it is ours, and what the accounts own. Exit code 1 where it is not ours."""
    settings = settings_for(rpc)
    with running_server_reported(settings):
        reported = _status(settings)
    if as_json:
        print_json(reported)
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
            return reported | {"ledger": "unavailable", "why": said(message_of(fault))}
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
            return reported | {"ledger": "foreign", "why": said(error), "choices": list(error.choices)}
        except LedgerUnavailable as error:
            return reported | {"ledger": "unavailable", "why": said(error)}
    return reported | {"ledger": "ours"}


def _show(reported: dict[str, Any]) -> None:
    labels = {name: _(label) for name, label in LABELS.items()}
    width = max(map(cell_length, labels.values())) + 1
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
            shown = _(WORDS[value]) if value in WORDS else value
            click.echo(f"{labels[name]}{' ' * (width - cell_length(labels[name]))} {shown}")


@chain_command.command()
@click.option("--again", is_flag=True, help="The old chain is lost: deploy anew and anchor every record again.")
@click.option("--json", "as_json", is_flag=True, help=JSON_HELP)
def deploy(again: bool, as_json: bool) -> None:
    """Put the contracts on the chain. The server does it by itself at its first start.

    LEDGER_GUARDIAN, LEDGER_ADMIN, LEDGER_AUTHORITY_DELAY_SECONDS, LEDGER_REGISTRATION_DELAY_SECONDS,
    LEDGER_REVOCATION_DELAY_SECONDS and LEDGER_ADMINISTRATION_DELAY_SECONDS say how acts of authority and admin are
    delayed, who may cancel them, and who gives and takes roles.
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

    settings = settings_for(None)
    with running_server_reported(settings), chain_alone(settings) as (folder, chain, accounts):
        old = Deployment.read(folder.deployment)
        if old is not None and not again:
            raise TraceabilityError(
                "the contracts stand at {ledger} already; --again deploys anew and anchors every record again",
                ledger=old.ledger,
            )
        fees = Fees(max_fee_per_gas=settings.ledger_max_fee_gwei * GWEI)
        if settings.ledger_rpc_url is not None:
            require_funds(chain, accounts, fees)
        guarded = safeguards(settings, accounts)
        fresh = put(chain, accounts, fees=fees, safeguards=guarded, takes_over=old is not None)
        count = 0
        if old is not None:
            # Trust files name former ledgers too, so the old deployment is kept beside the new one.
            old.write(folder.deployment.with_name(f"deployment-{old.instance_id.hex()[:8]}.json"))
            with opened(settings, note) as ctx:
                count = reanchor_all(ctx)
        fresh.write(folder.deployment)
    with telling(_("the contracts stand at {ledger}", ledger=fresh.ledger)):
        if as_json:
            print_json(
                {
                    "ledger": fresh.ledger,
                    "chainId": fresh.chain_id,
                    "block": fresh.block,
                    "batchesToAnchorAgain": count,
                }
            )
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
@click.option("--rpc", metavar="URL", help=RPC_HELP)
@click.option("--json", "as_json", is_flag=True, help=JSON_HELP)
def audit_command(rpc: str | None, as_json: bool) -> None:
    """Make every root anew from what is stored; compare database and ledger both ways.

    Exit codes: 0 they agree; 1 they differ; 2 nothing was compared to the end (or wrong usage).
    """
    from backend.services.audit import audit

    settings = settings_for(rpc)
    with running_server_reported(settings), _auditing(settings) as ctx:
        found = audit(ctx)
    if as_json:
        shown = [{"name": one.name, **one.about} for one in found.discrepancies]
        print_json({**asdict(found), "discrepancies": shown})
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
def _auditing(settings: Settings) -> "Iterator[AppContext]":
    from backend.adapters.ledger import Deployment, EvmLedger
    from backend.runtime.app import chain_alone
    from backend.runtime.context import opened

    with opened(settings, note) as ctx, chain_alone(settings) as (folder, chain, accounts):
        deployment = Deployment.read(folder.deployment)
        if deployment is None:
            raise TraceabilityError("there are no contracts yet: start the server once with provenport serve")
        yield replace(ctx, ledger=EvmLedger(chain, deployment, accounts))


@chain_command.command("publish-revocation")
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--rpc", metavar="URL", help=RPC_HELP)
@click.option("--json", "as_json", is_flag=True, help=JSON_HELP)
def publish_revocation(file: Path, rpc: str | None, as_json: bool) -> None:
    """Publish that the records of the bundle FILE are revoked, wherever else they are anchored.

    This server publishes its own by itself. Another's are published from where the ledger holds them as revoked or
    replaced.
    """
    from backend.domain import bundle, strict_json
    from backend.services.issuance import publish_revocations

    settings = settings_for(rpc)
    with file.open("rb") as opened:
        read = bundle.read(strict_json.loads(opened.read(bundle.LARGEST + 1)))
    with running_server_reported(settings), _auditing(settings) as ctx:
        count = publish_revocations(ctx, read)
    with telling(_("the change is asked for")):
        if as_json:
            print_json({"asked": count})
        else:
            click.echo(_("Asked: {count} to publish. The server does it.", count=count))


def _asked(build: "Callable[[AppContext], object]", as_json: bool) -> None:
    """Ask for a call of the ledger that the server makes, as its accounts sign for other things too."""
    settings = settings_for(None)
    with running_server_reported(settings, writes=True), _auditing(settings) as ctx:
        build(ctx)
    with telling(_("the change is asked for")):
        if as_json:
            print_json({"asked": 1})
        else:
            click.echo(_("Asked. The server does it."))


@chain_command.command("hand-on")
@click.argument("declaration_id")
@click.argument("office")
@click.option("--json", "as_json", is_flag=True, help=JSON_HELP)
def hand_on(declaration_id: str, office: str, as_json: bool) -> None:
    """Let OFFICE decide on all declarations that were sealed together with DECLARATION_ID, for good.

    By the office that decides on them now, which does no more; only it can hand them back. Both have accounts of their
    own here.
    """
    from backend.domain.parties import office_code
    from backend.services import ledger_requests

    code = office_code(office, "office")
    _asked(lambda ctx: ledger_requests.hand_on(ctx, declaration_id, code), as_json)


@chain_command.command()
@click.argument("certificate_id")
@click.option("--json", "as_json", is_flag=True, help=JSON_HELP)
def correct(certificate_id: str, as_json: bool) -> None:
    """State on the ledger what CERTIFICATE_ID says, where that was stated wrongly when it was activated.

    That is possible only while nothing of it is drawn down.
    """
    from backend.services import ledger_requests

    _asked(lambda ctx: ledger_requests.correct(ctx, certificate_id), as_json)


@chain_command.command("allow-drawdowns")
@click.argument("address")
@click.option("--no-longer", is_flag=True, help="Take the consent back.")
@click.option("--json", "as_json", is_flag=True, help=JSON_HELP)
def allow_drawdowns(address: str, no_longer: bool, as_json: bool) -> None:
    """Let the agent at ADDRESS draw down all certificates that were anchored here.

    Whoever is allowed is trusted to say how much of each was used.
    """
    from eth_utils.address import is_address, to_checksum_address

    from backend.cli.powers import NoAddress
    from backend.services import ledger_requests

    if not is_address(address):
        raise NoAddress("{given} is no address: give 0x and 40 hexadecimal digits", given=repr(address))
    account = to_checksum_address(address)
    _asked(lambda ctx: ledger_requests.allow_drawdowns(ctx, account, is_allowed=not no_longer), as_json)


# ---- accreditations


def _acting(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.argument("organisation_id"),
        click.option(
            "--as", "email", required=True, metavar="EMAIL", help="E-mail address of the authority's person who acts."
        ),
        click.option("--json", "as_json", is_flag=True, help=JSON_HELP),
    ):
        command = option(command)
    return command


@chain_command.command()
@_acting
@click.option(
    "--chapters",
    metavar="CHAPTERS",
    help="HS chapters, such as 1-24,61, or: all. As it stands unless given; all of them where nothing stands.",
)
@click.option(
    "--until",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="Last day, UTC. As it stands unless given; three years from now where nothing stands.",
)
def accredit(organisation_id: str, email: str, as_json: bool, chapters: str | None, until: datetime | None) -> None:
    """Accredit ORGANISATION_ID's key for what its role issues."""
    from backend.services import accreditation

    _change(
        as_json,
        email,
        lambda ctx, person: accreditation.accredit(
            ctx, person, organisation_id, _chapters(chapters), valid_until=until and _end_of(until)
        ),
    )


@chain_command.command()
@_acting
def suspend(organisation_id: str, email: str, as_json: bool) -> None:
    """Stop standing behind ORGANISATION_ID's key, from now on. This is never delayed."""
    from backend.services import accreditation

    _change(as_json, email, lambda ctx, person: accreditation.suspend(ctx, person, organisation_id))


@chain_command.command()
@_acting
def reinstate(organisation_id: str, email: str, as_json: bool) -> None:
    """Stand behind ORGANISATION_ID's key again."""
    from backend.services import accreditation

    _change(as_json, email, lambda ctx, person: accreditation.reinstate(ctx, person, organisation_id))


@chain_command.command()
@click.argument("key")
@click.option("--before", type=click.IntRange(1), metavar="NUMBER", help="Only versions below this number.")
@click.option("--rpc", metavar="URL", help=RPC_HELP)
@click.option("--json", "as_json", is_flag=True, help=JSON_HELP)
def history(key: str, before: int | None, rpc: str | None, as_json: bool) -> None:
    """List the newest 50 versions of KEY's accreditation, as the ledger recorded them, and all its suspensions.

    KEY is a fingerprint of 64 hexadecimal digits, or an organisation's id, for the key that it signs with now.
    """
    from backend.services import keys

    settings = settings_for(rpc)
    with running_server_reported(settings), _auditing(settings) as ctx:
        known = keys.history(ctx, key, before)
    if as_json:
        print_json(_recorded(known))
    else:
        _show_history(known)


def _recorded(known: "KnownKey") -> dict[str, Any]:
    found = known.history
    return {
        "key": known.thumbprint,
        "organisation": known.organisation and known.organisation.id,
        "count": found.count if found else 0,
        "predecessor": found and found.predecessor and found.predecessor.hex(),
        "successor": found and found.successor and found.successor.hex(),
        "versions": [
            {
                "number": version.number,
                "recordedAt": version.recorded_at.isoformat(),
                "event": event.value,
                "kinds": [kind.slug for kind in _kinds_of(version.terms)],
                "chapters": _chapters_of(version.terms),
                "validFrom": version.terms.valid_from.isoformat(),
                "validUntil": version.terms.valid_until.isoformat(),
                "suspendedSince": version.terms.suspended_since and version.terms.suspended_since.isoformat(),
            }
            for version, event in (zip(found.versions, found.events(), strict=True) if found else ())
        ],
        "suspensions": [
            {"since": one.since.isoformat(), "lifted": one.lifted and one.lifted.isoformat()}
            for one in (found.suspensions if found else ())
        ],
    }


def _kinds_of(terms: Accreditation) -> list[Kind]:
    return [kind for kind in Kind if terms.covers_kind(KINDS[kind].accreditation_bit)]


def _chapters_of(terms: Accreditation) -> str:
    from backend.services.accreditation import chapters_text

    return chapters_text(terms) or "all"


def _show_history(known: "KnownKey") -> None:
    found = known.history
    if found is None:
        click.echo(_("The ledger has never accredited this key."))
        return
    click.echo(_("key {key}, versions: {count}", key=known.thumbprint, count=found.count))
    for version, event in zip(found.versions, found.events(), strict=True):
        terms = version.terms
        click.echo(f"{version.number}  {version.recorded_at.isoformat()}  {_(EVENTS[event])}")
        covered = ", ".join(kind_name(kind) for kind in _kinds_of(terms))
        chapters = _chapters_of(terms)
        span = {"start": terms.valid_from.isoformat(), "end": terms.valid_until.isoformat()}
        click.echo("   " + _("{kinds}; HS chapters {chapters}", kinds=covered, chapters=_(chapters)))
        click.echo("   " + _("valid from {start} until {end}", **span))
    for one in found.suspensions:
        since = one.since.isoformat()
        if one.lifted is None:
            click.echo(_("suspended since {since}", since=since))
        else:
            click.echo(_("suspended from {since} until {lifted}", since=since, lifted=one.lifted.isoformat()))
    if found.predecessor:
        click.echo(_("It took the place of {key}.", key=found.predecessor.hex()))
    if found.successor:
        click.echo(_("It gave way to {key}.", key=found.successor.hex()))


@chain_command.command()
@click.option("--json", "as_json", is_flag=True, help=JSON_HELP)
def pending(as_json: bool) -> None:
    """List the authority's changes of accreditations that were not done yet: asked, announced, being cancelled."""
    from backend.services import accreditation

    with installation() as ctx:
        found = list(accreditation.pending(ctx))
    if as_json:
        print_json([_reported(change) for change in found])
        return
    for change in found:
        due = change.due_at.isoformat() if change.due_at else ""
        what, state = _(OPERATIONS[change.operation]), _(STATES[_state(change)])
        click.echo(f"{change.id}  {what}  {_('key')} {change.thumbprint[:16]}…  {state}  {due}".rstrip())
    click.echo(
        _("{count} changes wait. Cancel one with: provenport chain cancel ID", count=len(found))
        if found
        else _("No changes wait.")
    )


@chain_command.command()
@click.argument("change_id")
@click.option("--json", "as_json", is_flag=True, help=JSON_HELP)
def cancel(change_id: str, as_json: bool) -> None:
    """Cancel the change CHANGE_ID as the guardian, before it is done.

    The guardian's key must be the one that is kept in the data folder; another guardian cancels with its own wallet.
    """
    from backend.services import accreditation

    with installation() as ctx:
        change = accreditation.cancel(ctx, change_id)
    with telling(_("the change is asked for")):
        if as_json:
            print_json(_reported(change))
        else:
            click.echo(_("Asked. The server cancels it with its next round."))


def _change(as_json: bool, email: str, what: "Callable[[AppContext, Person], AccreditationChange]") -> None:
    with installation() as ctx:
        change = what(ctx, _person(ctx, email))
    with telling(_("the change is asked for")):
        if as_json:
            print_json(_reported(change))
            return
        operation = _(OPERATIONS[change.operation])
        click.echo(_("Asked: {operation}, change {id}. The server does it.", operation=operation, id=change.id))


def _person(ctx: "AppContext", email: str) -> Person:
    with ctx.work(reading=True) as work:
        person = work.persons.find_by_email(email)
    if person is None or person.role is not Role.AUTHORITY:
        raise NotFound("nobody of the authority signs in as {email}", email=email)
    return person


def _reported(change: AccreditationChange) -> dict[str, Any]:
    return {
        "id": change.id,
        "operation": change.operation,
        "key": change.thumbprint,
        "askedAt": change.asked_at.isoformat(),
        "dueAt": change.due_at and change.due_at.isoformat(),
        "state": _state(change),
    }


def _state(change: AccreditationChange) -> str:
    if change.cancel_asked_at is not None:
        return "being cancelled"
    return "asked" if change.announcement is None else "announced"


def _chapters(typed: str | None) -> list[int] | None:
    if not typed:
        return None
    if typed.strip().lower() == "all":
        return list(range(1, 98))
    chapters: list[int] = []
    for part in typed.split(","):
        first, _dash, last = part.strip().partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            raise click.BadParameter(
                _("{part} is no chapter: give them as 1-24,61", part=repr(part)), param_hint="--chapters"
            )
        if not 1 <= int(first) <= int(last or first) <= 99:
            raise click.BadParameter(
                _("{part}: chapters run from 1 to 99, the lower first", part=repr(part)), param_hint="--chapters"
            )
        chapters += range(int(first), int(last or first) + 1)
    return chapters


def _end_of(day: datetime) -> datetime:
    return day.replace(tzinfo=UTC) + timedelta(days=1)


for power in powers.COMMANDS:
    chain_command.add_command(power)
