"""``provenport join``: register an organisation."""

import json
import os

import click
from rich.cells import set_cell_size

from backend.cli.language import _
from backend.domain.parties import Role
from backend.settings import Settings


@click.command("join")
@click.option("--role", required=True, type=click.Choice([role.value for role in Role]), help="What it does here.")
@click.option("--name", required=True, help="Its name, as it stands on papers.")
@click.option("--email", required=True, help="The address that its first person signs in with.")
@click.option("--identifier", help="Company number, for China the USCC.")
@click.option("--office", "offices", multiple=True, help="A customs office's code; again for another one.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def join_command(
    role: str, name: str, email: str, identifier: str | None, offices: tuple[str, ...], as_json: bool
) -> None:
    """Register an organisation; prints its password and token once."""
    from backend.runtime.context import opened
    from backend.services.organisations import OrganisationProfile
    from backend.services.organisations import register as register_organisation

    with opened(Settings.from_environment(os.environ)) as ctx:
        profile = OrganisationProfile(Role(role), name, email, identifier=identifier, offices=offices)
        joined = register_organisation(ctx, profile)
    shown = {
        "role": role,
        "organisation": name,
        "id": joined.organisation.id,
        "email": joined.person.email,
        "password": joined.password,
        "token": joined.token,
    }
    if as_json:
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    click.echo(_("{name} has joined as {role}. Shown once, kept nowhere in the clear:", name=name, role=role))
    for key, name in (("email", _("email")), ("password", _("password")), ("token", _("token"))):
        click.echo(f"  {set_cell_size(name, 9)} {shown[key]}")
    if role not in ("officer", "authority"):
        click.echo(_("Next: the authority accredits it, on the page Accreditations."))
