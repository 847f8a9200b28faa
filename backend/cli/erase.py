"""``provenport erase``: what an operator does with one record, at its holder's request."""

import os

import click

from backend.cli.language import _
from backend.domain.errors import TraceabilityError
from backend.settings import Settings


@click.command("erase")
@click.argument("record")
@click.option("--yes", is_flag=True, help="Do it; without it the command only says what would go.")
def erase_command(record: str, yes: bool) -> None:
    """Erase what a RECORD (its id) says, for its holder. It cannot be undone."""
    from backend.runtime.context import opened
    from backend.services import erasure

    with opened(Settings.from_environment(os.environ)) as ctx:
        with ctx.work(reading=True) as work:
            on_file = work.records.get(record)
            holder = work.persons.first_of(on_file.holder)
            if holder is None:
                raise TraceabilityError("nobody acts for the holder of this record any more")
            refusal = erasure.why_not(work, holder, on_file)
        if refusal is not None:
            raise refusal
        if not yes:
            click.echo(
                _(
                    "{kind} {record}, held by {name}:",
                    kind=on_file.kind.name.lower().replace("_", " "),
                    record=record,
                    name=on_file.holder.name,
                )
            )
            click.echo(_("What it says, its salts, its number, earlier versions and files only it needs go for good."))
            click.echo(_("Its place on the ledger stays, empty; so do copies that others hold."))
            click.echo(_("Nothing was erased: say --yes."))
            return
        gone = erasure.erase(ctx, holder, record)
    click.echo(_("Erased {count} record(s) and {files} file(s).", count=len(gone.records), files=gone.files))
