"""``provenport users``, ``tokens`` and ``office``: who may act, with which tokens, for which customs offices.

The commands write to the database beside a running server.
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from backend.cli.localised import Command, Group, NamedChoice
from backend.cli.terminal import JSON_HELP, _, installation, print_json, require_output, telling
from backend.domain.errors import NotFound
from backend.domain.parties import AT_REGISTRATION, MOST_TOKEN_DAYS, TOKEN_DAYS, ApiToken, Person, TokenScope

if TYPE_CHECKING:
    from backend.services.ports import AppContext

SCOPES = NamedChoice({scope.value: scope.names for scope in TokenScope})


@click.group("users", cls=Group)
def users_command() -> None:
    """People who sign in: list, shut out, let in again, give a new password."""


@users_command.command("list")
@click.option("--after", default="", metavar="EMAIL", help="Go on behind this e-mail address.")
@click.option("--limit", default=200, type=click.IntRange(1, 1000), metavar="N", help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help=JSON_HELP)
def list_users(after: str, limit: int, as_json: bool) -> None:
    """List people by e-mail address, with their organisation, and whether they may act."""
    with installation() as ctx, ctx.work(reading=True) as work:
        people = work.persons.page(after, limit)
    if as_json:
        print_json([_person_shown(person) for person in people])
        return
    for person in people:
        state = _("active") if person.is_active else _("deactivated")
        click.echo(f"{person.email}  {_(person.role.names)}  {person.organisation.name}  {state}")


def _person_shown(person: Person) -> dict[str, Any]:
    return {
        "email": person.email,
        "role": person.role.value,
        "organisation": person.organisation.name,
        "isActive": person.is_active,
    }


@users_command.command(cls=Command)
@click.argument("email")
def deactivate(email: str) -> None:
    """Shut out the person with this EMAIL at once: sessions end, tokens are revoked, nobody signs in."""
    from backend.services import credentials

    with installation() as ctx:
        person = credentials.deactivate(ctx, email)
    with telling(_("{email} is shut out", email=person.email)):
        click.echo(_("{email} is shut out: sessions ended, tokens revoked.", email=person.email))


@users_command.command(cls=Command)
@click.argument("email")
def reactivate(email: str) -> None:
    """Let the person with this EMAIL sign in again. Revoked tokens stay revoked."""
    from backend.services import credentials

    with installation() as ctx:
        person = credentials.reactivate(ctx, email)
    with telling(_("{email} may sign in again", email=person.email)):
        click.echo(_("{email} may sign in again; tokens are to be made anew.", email=person.email))


@users_command.command("reset-password", cls=Command)
@click.argument("email")
def reset_password(email: str) -> None:
    """Give the person with this EMAIL a new password, printed once. All their sessions end."""
    from backend.services import credentials

    require_output()
    with installation() as ctx:
        password = credentials.reset_password(ctx, email)
    with telling(_("the password is replaced; run it again for another one")):
        click.echo(_("The new password, shown once: {password}", password=password))


@click.group("tokens", cls=Group)
def tokens_command() -> None:
    """Tokens that programs act with: list, make, revoke."""


@tokens_command.command("list")
@click.argument("email")
@click.option("--json", "as_json", is_flag=True, help=JSON_HELP)
def list_tokens(email: str, as_json: bool) -> None:
    """List the tokens of the person with this EMAIL, with their last use. None can be read again."""
    with installation() as ctx:
        person = _person(ctx, email)
        with ctx.work(reading=True) as work:
            tokens = work.persons.tokens(person)
    if as_json:
        print_json([_token_shown(token) for token in tokens])
        return
    for token in tokens:
        until, used = token.expires_at.isoformat(timespec="minutes"), _used(token.last_used_at)
        click.echo(f"{token.id}  {_token_name(token)}  {_(token.scope.names)}  {_('until {time}', time=until)}  {used}")


def _token_name(token: ApiToken) -> str:
    return _("registration") if token.name == AT_REGISTRATION else token.name


def _used(moment: datetime | None) -> str:
    if moment is None:
        return _("never used")
    return _("last used {time}", time=moment.isoformat(timespec="minutes"))


def _token_shown(token: ApiToken) -> dict[str, Any]:
    used = token.last_used_at
    return {
        "id": token.id,
        "name": token.name,
        "scope": token.scope.value,
        "madeAt": token.made_at.isoformat(),
        "expiresAt": token.expires_at.isoformat(),
        "lastUsedAt": used and used.isoformat(),
    }


@tokens_command.command("new", cls=Command)
@click.argument("email")
@click.option("--name", required=True, metavar="NAME", help="What it is for.")
@click.option("--scope", default=TokenScope.READ.value, type=SCOPES, help="What it may do (default read).")
@click.option(
    "--days",
    default=TOKEN_DAYS,
    type=click.IntRange(1, MOST_TOKEN_DAYS),
    metavar="DAYS",
    help="How long it is valid (default 365).",
)
@click.option("--json", "as_json", is_flag=True, help=JSON_HELP)
def new_token(email: str, name: str, scope: str, days: int, as_json: bool) -> None:
    """Make a token for the person with this EMAIL; prints it once."""
    from backend.services import credentials

    require_output()
    with installation() as ctx:
        token, secret = credentials.new_token(ctx, _person(ctx, email), name, TokenScope(scope), days)
    with telling(_("the token {id} is made; revoke it and make another one", id=token.id)):
        if as_json:
            print_json({**_token_shown(token), "token": secret})
        else:
            click.echo(_("The token {id}, shown once: {token}", id=token.id, token=secret))


@tokens_command.command(cls=Command)
@click.argument("token")
def revoke(token: str) -> None:
    """Make a TOKEN (its id, from tokens list) worthless at once."""
    from backend.services import credentials

    with installation() as ctx:
        gone = credentials.revoke_token(ctx, token)
    with telling(_("the token {id} is revoked", id=gone.id)):
        click.echo(_("The token {id} of {email} is revoked.", id=gone.id, email=gone.person.email))


def _person(ctx: "AppContext", email: str) -> Person:
    with ctx.work(reading=True) as work:
        found = work.persons.find_by_email(email)
    if found is None:
        raise NotFound("nobody signs in with {email}", email=email)
    return found


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
    click.echo(_("{name} serves {office} now.", name=added.organisation.in_sentences, office=added.code))


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
            name=made.organisation.in_sentences,
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
    click.echo(_("{name} may act for {office} no more.", name=ended.organisation.in_sentences, office=ended.code))
