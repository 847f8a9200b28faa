"""``provenport office list|add|delegate|end``: customs offices' codes, and whom an office lets act.

They write to the database beside a running server; who acts is named by e-mail address.
"""

from datetime import UTC, datetime, timedelta

import click

from backend.cli.localised import Group
from backend.cli.terminal import JSON_HELP, _, installation, print_json
from backend.domain.errors import NotFound
from backend.domain.parties import Person
from backend.services.ports import AppContext

AS_HELP = "E-mail address of the person who acts: of the authority, or of the office itself."


@click.group("office", cls=Group)
def office_command() -> None:
    """List customs offices, give them codes, and let one act for another until a day."""


@office_command.command("list")
@click.option("--json", "as_json", is_flag=True, help=JSON_HELP)
def list_command(as_json: bool) -> None:
    """List the codes that declarations may name, and who serves them."""
    from backend.services import customs_offices

    with installation() as ctx:
        found = [
            {"office": one.code, "organisation": one.organisation.id, "name": one.organisation.name}
            for one in customs_offices.all_offices(ctx)
        ]
    if as_json:
        print_json(found)
        return
    for one in found:
        click.echo(f"{one['office']:<10} {one['organisation']}  {one['name']}")


@office_command.command("add")
@click.argument("organisation_id")
@click.argument("code")
@click.option(
    "--as", "email", required=True, metavar="EMAIL", help="E-mail address of the authority's person who acts."
)
def add_command(organisation_id: str, code: str, email: str) -> None:
    """Let the customs office ORGANISATION_ID serve CODE: a UN/LOCODE such as CNYIU, or a national code."""
    from backend.services import customs_offices

    with installation() as ctx:
        added = customs_offices.add_code(ctx, _person(ctx, email), organisation_id, code)
    click.echo(_("{name} serves {office} now.", name=added.organisation.name, office=added.code))


@office_command.command("delegate")
@click.argument("code")
@click.option(
    "--to",
    "organisation_id",
    required=True,
    metavar="ORGANISATION_ID",
    help="The other office's id; see provenport office list.",
)
@click.option(
    "--until",
    required=True,
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="Last day, UTC; at most a year ahead.",
)
@click.option("--as", "email", required=True, metavar="EMAIL", help=AS_HELP)
def delegate_command(code: str, organisation_id: str, until: datetime, email: str) -> None:
    """Let another office's officers read and decide what is declared to CODE."""
    from backend.services import customs_offices

    end = until.replace(tzinfo=UTC) + timedelta(days=1)
    with installation() as ctx:
        made = customs_offices.delegate(ctx, _person(ctx, email), code, organisation_id, end)
    click.echo(
        _(
            "{name} may act for {office} until {until}. End it with: provenport office end {id}",
            name=made.organisation.name,
            office=made.code,
            until=made.until.isoformat(),
            id=made.id,
        )
    )


@office_command.command("end")
@click.argument("delegation_id")
@click.option("--as", "email", required=True, metavar="EMAIL", help=AS_HELP)
def end_command(delegation_id: str, email: str) -> None:
    """Take the delegation DELEGATION_ID back at once."""
    from backend.services import customs_offices

    with installation() as ctx:
        ended = customs_offices.end_delegation(ctx, _person(ctx, email), delegation_id)
    click.echo(_("{name} may act for {office} no more.", name=ended.organisation.name, office=ended.code))


def _person(ctx: AppContext, email: str) -> Person:
    with ctx.work(reading=True) as work:
        person = work.persons.find_by_email(email)
    if person is None:
        raise NotFound("nobody signs in as {email}", email=email)
    return person
