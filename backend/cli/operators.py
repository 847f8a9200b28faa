"""Commands for operators: serve, back up, restore, register organisations, manage keys, erase records."""

import json
import logging
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import structlog

from backend.cli.localised import Command, Group, NamedChoice, cell_length
from backend.cli.terminal import (
    JSON_HELP,
    DoneButNotTold,
    OutputUnwritable,
    _,
    installation,
    kind_name,
    print_json,
    said,
    telling,
)
from backend.domain.errors import TraceabilityError, message_of
from backend.domain.parties import Person, Role
from backend.domain.records import RecordOnFile
from backend.settings import Settings

if TYPE_CHECKING:
    from backend.services.ports import AppContext

ROLES = NamedChoice({role.value: role.names for role in Role})

# ---- the server and its data


PORT_OPTION = click.option(
    "--port", type=click.IntRange(1, 65535), metavar="PORT", help="Port to listen on (PORT, default 8080)."
)
DATA_DIR_OPTION = click.option(
    "--data-dir",
    type=click.Path(file_okay=False),
    metavar="FOLDER",
    help="Where to keep everything (DATA_DIR, default var/).",
)


@click.command("serve", cls=Command)
@PORT_OPTION
@DATA_DIR_OPTION
def serve_command(port: int | None, data_dir: str | None) -> None:
    """Serve pages, API and anchoring on 127.0.0.1: everything in one process."""
    from backend.runtime.serving import serve as serve_until_stopped

    _run(serve_until_stopped, port, data_dir)


@click.command("web", cls=Command)
@PORT_OPTION
@DATA_DIR_OPTION
def web_command(port: int | None, data_dir: str | None) -> None:
    """Serve pages and API only; ``anchor`` and ``work`` run beside it.

    Any number of these processes share one database (DATABASE_URL) and one node (LEDGER_RPC_URL). A request that has
    begun when it is stopped is answered.
    """
    from backend.runtime.serving import serve as serve_until_stopped

    _run(partial(serve_until_stopped, workers=False), port, data_dir)


@click.command("anchor", cls=Command)
@DATA_DIR_OPTION
def anchor_command(data_dir: str | None) -> None:
    """Take stored records to the ledger, beside ``web``.

    Of several such processes one leads; another takes over when it ends.
    """
    from backend.runtime.serving import work

    _run(partial(work, anchoring=True), None, data_dir)


@click.command("work", cls=Command)
@DATA_DIR_OPTION
def work_command(data_dir: str | None) -> None:
    """Run what takes long, beside ``web``: ordered simulations. Several such processes share it."""
    from backend.runtime.serving import work

    _run(partial(work, jobs=True), None, data_dir)


def _run(until_stopped: Callable[..., None], port: int | None, data_dir: str | None) -> None:
    from backend.adapters.chains.embedded import ChainInUse

    given = {"PORT": port and str(port), "DATA_DIR": data_dir}
    settings = Settings.from_environment({**os.environ, **{k: v for k, v in given.items() if v}})
    _log_to_stderr(settings.log_level, settings.log_format)
    try:
        until_stopped(settings, lambda message: click.echo(said(message).rstrip("\n")))
    except ChainInUse as error:
        raise TraceabilityError(
            "{error}. Stop that server, or choose another folder with DATA_DIR=…", error=message_of(error)
        ) from error
    except KeyboardInterrupt:
        click.echo(_("Stopped before it was ready; start again to go on."))


def processors_for_people(*, is_terminal: bool) -> list[Any]:
    """Return structlog's usual processors, but that the last one shows no local variables of what failed.

    Keys, tokens and what records say could stand there.
    """
    plain = structlog.dev.ConsoleRenderer(colors=is_terminal, exception_formatter=structlog.dev.plain_traceback)
    return [*structlog.get_config()["processors"][:-1], plain]


def _log_to_stderr(level: str, form: str) -> None:
    """Log on standard error: lines for people, or one JSON object a line."""
    filtering = structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level])
    if form == "text":
        logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
        structlog.configure(
            processors=processors_for_people(is_terminal=sys.stderr.isatty()),
            wrapper_class=filtering,
            logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        )
        return
    # Of both kinds of loggers, ours and the libraries', each line gets the same names.
    first = (
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    )
    last = (
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.EventRenamer("message"),
        structlog.processors.JSONRenderer(ensure_ascii=False),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=last, foreign_pre_chain=first))
    logging.basicConfig(level=level, handlers=[handler])
    structlog.configure(
        processors=[*first, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=filtering,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


@click.command("backup", cls=Command)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def backup_command(folder: Path) -> None:
    """Copy everything to a new folder under FOLDER.

    The server may run meanwhile.
    FOLDER/record.keys opens what the records in all copies say. Each backup replaces it: keep no older copy of that
    one file, or erased records could be read again. The copies hold signing keys: keep them as safe as the data folder.
    """
    from backend.runtime.backups import back_up
    from backend.runtime.context import object_store
    from backend.runtime.data_folder import DataFolder

    settings = Settings.from_environment(os.environ)
    _refuse_on_postgresql(settings)
    copy = back_up(
        DataFolder(settings.data_dir), folder, datetime.now(UTC), object_store(settings), settings.keys_database_url
    )
    size = sum(path.stat().st_size for path in copy.rglob("*") if path.is_file())
    with telling(_("the copy {copy} is whole", copy=copy)):
        click.echo(
            _(
                "{copy}: {size} bytes. The keys to it: {keys} (replaced; keep no older copy).",
                copy=copy,
                size=format(size, ","),
                keys=folder / "record.keys",
            )
        )


@click.command("restore", cls=Command)
@click.argument("copy", type=click.Path(exists=True, file_okay=False, path_type=Path))
def restore_command(copy: Path) -> None:
    """Put a COPY made by backup into an empty data folder (DATA_DIR).

    What was erased since the copy was made is erased in it too when the server starts.
    """
    from backend.runtime.backups import restore
    from backend.runtime.data_folder import DataFolder

    settings = Settings.from_environment(os.environ)
    _refuse_on_postgresql(settings)
    into = settings.data_dir
    restore(copy.resolve(), DataFolder(into))
    with telling(_("{into} is as {name} was", into=into, name=copy.name)):
        click.echo(_("{into} is as {name} was. Start it with provenport serve.", into=into, name=copy.name))


def _refuse_on_postgresql(settings: Settings) -> None:
    """Refuse to copy half of an installation: a database of its own is copied by its own tools."""
    if settings.database_url is not None:
        raise TraceabilityError(
            "the database is PostgreSQL: copy it with pg_dump --format=custom, then the data folder {path}, and its "
            "record.keys last and apart; restore with pg_restore (docs/deploying.md). Nothing was done",
            path=settings.data_dir,
        )


# ---- organisations


@click.command("register", cls=Command)
@click.option("--role", required=True, type=ROLES, help="What it does here.")
@click.option("--name", required=True, metavar="NAME", help="Its name, as it stands on papers.")
@click.option("--email", required=True, metavar="EMAIL", help="The address that its first person signs in with.")
@click.option("--identifier", metavar="NUMBER", help="Company number, for China the USCC.")
@click.option("--office", "offices", multiple=True, metavar="CODE", help="A customs office's code; again for another.")
@click.option("--json", "as_json", is_flag=True, help=JSON_HELP)
def register_command(
    role: str, name: str, email: str, identifier: str | None, offices: tuple[str, ...], as_json: bool
) -> None:
    """Register an organisation; prints its password and token once."""
    from backend.services.organisations import OrganisationProfile
    from backend.services.organisations import register as register_organisation

    with installation() as ctx:
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
    try:
        _show_registered(shown, as_json)
    except OutputUnwritable as error:
        # Kept nowhere in the clear: what cannot be shown now would be lost for good.
        raise DoneButNotTold(_keep_credentials(shown, str(error.strerror))) from error


def _show_registered(shown: dict[str, str], as_json: bool) -> None:
    if as_json:
        print_json(shown)
        return
    role = Role(shown["role"])
    line = _("{name} is registered: {role}.", name=shown["organisation"], role=_(role.names))
    click.echo(line + " " + _("Shown once, kept nowhere in the clear:"))
    for key, label in (("email", _("email")), ("password", _("password")), ("token", _("token"))):
        click.echo(f"  {label}{' ' * (9 - cell_length(label))} {shown[key]}")
    if role not in (Role.OFFICER, Role.AUTHORITY):
        click.echo(_("Next: the authority accredits it, on the page Accreditations."))


def _keep_credentials(shown: dict[str, str], why: str) -> str:
    """Write credentials that could not be shown to a file in the data folder that only its owner can read.

    Returns the message for the operator. If the file cannot be written either, the message holds the credentials.
    """
    from backend.store.disk import write_new

    file = Settings.from_environment(os.environ).data_dir / f"credentials-{shown['id']}.json"
    parts = {"name": shown["organisation"], "why": why}
    try:
        write_new(file, (json.dumps(shown, indent=2) + "\n").encode())
    except OSError:
        return _(
            "{name} is registered; but standard output cannot be written: {why}. Its password is {password}, its "
            "token {token}",
            password=shown["password"],
            token=shown["token"],
            **parts,
        )
    return _(
        "{name} is registered; but standard output cannot be written: {why}. Its password and token lie in {file}, "
        "which you alone can read: hand them over, then delete it",
        file=file,
        **parts,
    )


# ---- keys


@click.group("keys", cls=Group)
def keys_command() -> None:
    """Signing keys and the master key: list, replace, stop."""


@keys_command.command("list")
def list_keys() -> None:
    """List every key: its organisation, where it is kept, whether it signs."""
    with installation() as ctx, ctx.work(reading=True) as work:
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

    settings = Settings.from_environment(os.environ)
    count = rotate_master_key(settings)
    with telling(_("every key is sealed under the new master key")):
        click.echo(
            _("{count} signing keys and the ledger's accounts are sealed under the new master key.", count=count)
        )
        if settings.master_key is not None:
            click.echo(_("Now set PROVENPORT_MASTER_KEY to the new key and unset PROVENPORT_NEXT_MASTER_KEY."))
        else:
            click.echo(_("Make a new backup: older ones open with the master key that lies in them only."))


@keys_command.command("to-token")
def keys_to_token() -> None:
    """Move every private key kept here into the token of PKCS11_MODULE.

    Stop all processes first. The keys were outside of the token until now: replace those that must never have been.
    """
    from backend.runtime.context import bring_keys_to_token

    count = bring_keys_to_token(Settings.from_environment(os.environ))
    with telling(_("{count} keys are in the token, and the master key's file is gone.", count=count)):
        click.echo(_("{count} keys are in the token, and the master key's file is gone.", count=count))
        click.echo(_("Now make a backup; earlier ones open with the earlier master key only."))


@keys_command.command()
@click.argument("organisation")
def rotate(organisation: str) -> None:
    """Give an ORGANISATION (its id) a new signing key. What the old one signed stays good."""
    from backend.services import keys

    with installation() as ctx:
        new = keys.rotate(ctx, _authority(ctx), organisation)
    with telling(_("the new key is made: {thumbprint}", thumbprint=new.thumbprint)):
        click.echo(
            _("{thumbprint} signs from now on.", thumbprint=new.thumbprint)
            if new.is_active
            else _("{thumbprint} signs as soon as the ledger says so: let the server run.", thumbprint=new.thumbprint)
        )


@keys_command.command()
@click.argument("key")
@click.option("--since", required=True, metavar="TIME", help="When others may first have signed: 2026-03-31T08:00Z.")
@click.option("--list-only", is_flag=True, help="Change nothing.")
@click.option("--json", "as_json", is_flag=True, help=JSON_HELP)
def compromised(key: str, since: str, list_only: bool, as_json: bool) -> None:
    """Stop a KEY (its thumbprint) that others may have used, and list what it signed since."""
    from backend.services import keys

    moment = _moment(since)
    with installation() as ctx:
        act = keys.signed_since if list_only else keys.compromised
        found = act(ctx, _authority(ctx), key, moment)
    with telling(_("nothing was changed") if list_only else _("the key signs nothing more")):
        if as_json:
            records = [_shown(record) for record in found.records]
            print_json({"key": key, "since": moment.isoformat(), "records": records})
            return
        for record in found.records:
            click.echo(f"{record.recorded_at.isoformat()}  {record.id}  {kind_name(record.kind)}")
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


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise TraceabilityError("--since is no time: give it as 2026-03-31T08:00Z") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _authority(ctx: "AppContext") -> Person:
    """Return the authority's person, as whom the operator acts: the data folder holds the authority's keys anyway.

    Raises:
        TraceabilityError: No authority is registered.
    """
    with ctx.work(reading=True) as work:
        people = [work.persons.first_of(found) for found in work.organisations.all(Role.AUTHORITY)]
    found = next((person for person in people if person is not None), None)
    if found is None:
        raise TraceabilityError("there is no authority yet: provenport register --role authority …")
    return found


# ---- records


@click.command("erase", cls=Command)
@click.argument("record")
@click.option("--yes", is_flag=True, help="Do it; without it the command only says what would go.")
def erase_command(record: str, yes: bool) -> None:
    """Erase what a RECORD (its id) says, for its holder. It cannot be undone."""
    from backend.services import erasure

    with installation() as ctx:
        with ctx.work(reading=True) as work:
            on_file = work.records.get(record)
            holder = work.persons.first_of(on_file.holder)
            if holder is None:
                raise TraceabilityError("nobody acts for the holder of this record any more")
            refusal = erasure.why_not(ctx, work, holder, on_file)
        if refusal is not None:
            raise refusal
        if not yes:
            kind, name = kind_name(on_file.kind), on_file.holder.name
            click.echo(_("{kind} {record}, held by {name}:", kind=kind, record=record, name=name))
            click.echo(_("What it says, its salts, its number, earlier versions and files only it needs go for good."))
            click.echo(_("Its place on the ledger stays, empty; so do copies that others hold."))
            click.echo(_("Nothing was erased: say --yes."))
            return
        gone = erasure.erase(ctx, holder, record)
    with telling(_("{record} is erased", record=record)):
        click.echo(_("Erased {count} record(s) and {files} file(s).", count=len(gone.records), files=gone.files))
