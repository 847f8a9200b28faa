"""``provenport keys``: the keys that records are signed with, and the master key that seals them."""

import json
import os
from datetime import UTC, datetime

import click

from backend.cli.language import _
from backend.domain.errors import TraceabilityError
from backend.domain.parties import Person, Role
from backend.domain.records import RecordOnFile
from backend.services.ports import AppContext
from backend.settings import Settings


@click.group("keys")
def keys_command() -> None:
    """Signing keys and the master key: list, replace, stop."""


@keys_command.command("list")
def list_keys() -> None:
    """List every key: its organisation, where it is kept, whether it signs."""
    from backend.runtime.context import opened

    with opened(_settings()) as ctx, ctx.work(reading=True) as work:
        for key in work.keys.all():
            state = _("signs") if key.is_active else _("withdrawn") if key.retired_at else _("waits for the ledger")
            if key.compromised_since:
                state = _("{state}, not trusted since {time}", state=state, time=key.compromised_since.isoformat())
            place = _("kept outside") if key.is_outside else _("kept here")
            click.echo(f"{key.thumbprint}  {state}, {place}  {key.organisation.name}")


@keys_command.command("rotate-master")
def rotate_master() -> None:
    """Seal every key under a new master key. May be cut short at any point and started again."""
    from backend.runtime.context import rotate_master_key

    settings = _settings()
    count = rotate_master_key(settings)
    click.echo(_("{count} signing keys and the ledger's accounts are sealed under the new master key.", count=count))
    if settings.master_key is not None:
        click.echo(_("Now set PROVENPORT_MASTER_KEY to the new key and unset PROVENPORT_NEXT_MASTER_KEY."))
    else:
        click.echo(_("Make a new backup: older ones open with the master key that lies in them only."))


@keys_command.command()
@click.argument("organisation")
def rotate(organisation: str) -> None:
    """Give an ORGANISATION (its id) a new signing key. What the old one signed stays good."""
    from backend.runtime.context import opened
    from backend.services import keys

    with opened(_settings()) as ctx:
        new = keys.rotate(ctx, _authority(ctx), organisation)
    state = "signs from now on" if new.is_active else "signs as soon as the ledger says so: let the server run"
    click.echo(f"{new.thumbprint} {state}.")


@keys_command.command()
@click.argument("key")
@click.option("--since", required=True, help="From when on others may have signed, such as 2026-03-31T08:00Z.")
@click.option("--list-only", is_flag=True, help="Change nothing.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def compromised(key: str, since: str, list_only: bool, as_json: bool) -> None:
    """Stop a KEY (its thumbprint) that others may have used, and list what it signed since."""
    from backend.runtime.context import opened
    from backend.services import keys

    moment = _moment(since)
    with opened(_settings()) as ctx:
        act = keys.signed_since if list_only else keys.compromised
        found = act(ctx, _authority(ctx), key, moment)
    if as_json:
        shown = [_shown(record) for record in found.records]
        click.echo(json.dumps({"key": key, "since": moment.isoformat(), "records": shown}, indent=2))
        return
    for record in found.records:
        click.echo("  ".join(str(value) for value in _shown(record).values()))
    click.echo(
        _(
            "{count} records signed since {time} by {name}.",
            count=len(found.records),
            time=moment.isoformat(),
            name=found.key.organisation.name,
        )
    )
    if not list_only:
        click.echo(_("The key signs nothing more; the ledger is told when the server runs."))
        click.echo(_("Next: a new key, provenport keys rotate {id}", id=found.key.organisation.id))


def _shown(record: RecordOnFile) -> dict[str, str]:
    return {"takenIn": record.recorded_at.isoformat(), "id": record.id, "kind": record.kind.name.lower()}


def _settings() -> Settings:
    return Settings.from_environment(os.environ)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise TraceabilityError("--since is no time: give it as 2026-03-31T08:00Z") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _authority(ctx: AppContext) -> Person:
    """Whoever sits at the machine acts as the authority: the data folder holds its keys anyway."""
    with ctx.work(reading=True) as work:
        people = [work.persons.first_of(found) for found in work.organisations.all(Role.AUTHORITY)]
    found = next((person for person in people if person is not None), None)
    if found is None:
        raise TraceabilityError("there is no authority yet: provenport join --role authority …")
    return found
