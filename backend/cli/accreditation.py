"""``provenport chain accredit|suspend|reinstate|pending|cancel``: changes of accreditations, and the guardian's veto.

They write to the database beside a running server, whose worker takes them to the ledger.
"""

import json
import os
from collections.abc import Callable
from datetime import datetime
from typing import Any

import click

from backend.cli.language import _
from backend.domain.errors import NotFound
from backend.domain.outbox import AccreditationChange
from backend.domain.parties import Person, Role
from backend.services.ports import AppContext
from backend.settings import Settings

AS_HELP = "E-mail address of the authority's person who acts."
JSON_HELP = "For machines."

Command = Callable[..., Any]


def _acting(command: Command) -> Command:
    for option in (
        click.argument("organisation_id"),
        click.option("--as", "email", required=True, help=AS_HELP),
        click.option("--json", "as_json", is_flag=True, help=JSON_HELP),
    ):
        command = option(command)
    return command


@click.command()
@_acting
@click.option(
    "--chapters",
    help="HS chapters, such as 1-24,61, or: all. As it stands unless given; all of them where nothing stands.",
)
@click.option(
    "--until",
    type=click.DateTime(["%Y-%m-%d"]),
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


@click.command()
@_acting
def suspend(organisation_id: str, email: str, as_json: bool) -> None:
    """Stop standing behind ORGANISATION_ID's key, from now on. This is never delayed."""
    from backend.services import accreditation

    _change(as_json, email, lambda ctx, person: accreditation.suspend(ctx, person, organisation_id))


@click.command()
@_acting
def reinstate(organisation_id: str, email: str, as_json: bool) -> None:
    """Stand behind ORGANISATION_ID's key again."""
    from backend.services import accreditation

    _change(as_json, email, lambda ctx, person: accreditation.reinstate(ctx, person, organisation_id))


@click.command()
@click.option("--json", "as_json", is_flag=True, help=JSON_HELP)
def pending(as_json: bool) -> None:
    """List the authority's changes of accreditations that were not done yet: asked, announced, being cancelled."""
    from backend.runtime.context import opened
    from backend.services import accreditation

    with opened(Settings.from_environment(os.environ)) as ctx:
        found = [_told(change) for change in accreditation.pending(ctx)]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for change in found:
        click.echo(
            f"{change['id']}  {change['operation']:<10} key {change['key'][:16]}…  "
            f"{change['state']}  {change['dueAt'] or ''}".rstrip()
        )
    click.echo(
        _("{count} changes wait. Cancel one with: provenport chain cancel ID", count=len(found))
        if found
        else _("No changes wait.")
    )


@click.command()
@click.argument("change_id")
@click.option("--json", "as_json", is_flag=True, help=JSON_HELP)
def cancel(change_id: str, as_json: bool) -> None:
    """Cancel the change CHANGE_ID as the guardian, before it is done.

    The guardian's key must be the one that is kept in the data folder; another guardian cancels with its own wallet.
    """
    from backend.runtime.context import opened
    from backend.services import accreditation

    with opened(Settings.from_environment(os.environ)) as ctx:
        change = accreditation.cancel(ctx, change_id)
    click.echo(
        json.dumps(_told(change), indent=2) if as_json else _("Asked. The server cancels it with its next round.")
    )


def _change(as_json: bool, email: str, what: Callable[[AppContext, Person], AccreditationChange]) -> None:
    from backend.runtime.context import opened

    with opened(Settings.from_environment(os.environ)) as ctx:
        change = what(ctx, _person(ctx, email))
    reported = _told(change)
    click.echo(
        json.dumps(reported, indent=2)
        if as_json
        else _("Asked: {operation}, change {id}. The server does it.", operation=reported["operation"], id=change.id)
    )


def _person(ctx: AppContext, email: str) -> Person:
    with ctx.work(reading=True) as work:
        person = work.persons.find_by_email(email)
    if person is None or person.role is not Role.AUTHORITY:
        raise NotFound("nobody of the authority signs in as {email}", email=email)
    return person


def _told(change: AccreditationChange) -> dict[str, Any]:
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
    from datetime import UTC, timedelta

    return day.replace(tzinfo=UTC) + timedelta(days=1)
