"""``provenport import``: documents and tables that others made, with a report on every field."""

import json
import os
import shlex
from pathlib import Path
from typing import Any

import click

from backend.cli.import_report import (
    chrome,
    lines_of,
    next_step,
    print_report,
    summary_of,
)
from backend.cli.language import _, language_option, said
from backend.domain.errors import NotAllowed, NotFound, TraceabilityError
from backend.domain.interop.formats import LARGEST, is_document
from backend.messages.catalogue import Language
from backend.messages.imports import report
from backend.services import importing
from backend.services.importing import Given, Plan
from backend.settings import Settings


def _settings(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    given: dict[str, str] = {}
    for text in texts:
        field, sign, value = text.partition("=")
        if not sign or not field.strip() or value.strip() in ("", "…"):
            raise click.BadParameter(
                _("{given}: write FIELD=VALUE, such as quantity=200 or exporter.name='A Ltd'", given=repr(text))
            )
        given[field.strip()] = value.strip()
    return given


@click.command("import", short_help="Bring in certificates, reports, invoices and tables of consignments.")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--as", "email", required=True, metavar="EMAIL", help="The merchant's person who imports.")
@click.option("--issuer", "issuers", multiple=True, metavar="NAME", help="Who is to confirm a statement: name or id.")
@click.option("--set", "given", multiple=True, callback=_settings, metavar="FIELD=VALUE", help="A field of a document.")
@click.option("--dry-run", is_flag=True, help="Only report; store nothing.")
@click.option("--json", "as_json", is_flag=True, help="Report for programs.")
@language_option
def import_command(
    files: tuple[Path, ...],
    email: str,
    issuers: tuple[str, ...],
    given: dict[str, str],
    dry_run: bool,
    as_json: bool,
    language: Language,
) -> None:
    """Bring in documents that others made, and tables of consignments, into the data folder (DATA_DIR).

    JSON: certificates of origin (TradeTrust, W3C CCG traceability), inspections and commercial invoices (traceability),
    Provenport's own documents and records; as they are, or secured as SD-JWT. Tables: CSV with our column names or
    those of China's 9610 list. See docs/import.md.

    All files go in together or not at all. Exit codes: 0 stored, 1 refused and nothing stored, 2 wrong usage.
    """
    contents = [_read(path) for path in files]
    if given and not any(is_document(file.content) for file in contents):
        raise click.UsageError(_("--set completes documents; a table is completed in the table"))
    from backend.runtime.context import opened  # Opening draws in the whole system, which --help does not need.

    try:
        with opened(Settings.from_environment(os.environ)) as ctx:
            try:
                actor = importing.importer(ctx, email)
                plan = importing.plan(ctx, actor, contents, issuers, given)
            except (NotFound, NotAllowed, importing.UnknownIssuer) as error:
                raise click.UsageError(said(error)) from error
            done = importing.store(ctx, plan) if plan.is_ready and not dry_run else None
    except TraceabilityError as error:
        raise click.ClickException(_("nothing was stored: {error}", error=error)) from error
    if as_json:
        click.echo(json.dumps(_as_json(done or plan, language, done is not None), ensure_ascii=False, indent=2))
    else:
        click.echo(chrome("legend", language))
        for file in (done or plan).files:
            print_report(summary_of(file, language), lines_of(file, language))
        again = _again(files, email, issuers, given)
        click.echo(next_step(done or plan, done is not None, dry_run, again, language))
    if not plan.is_ready:
        click.get_current_context().exit(1)


def _read(path: Path) -> Given:
    with path.open("rb") as file:
        return Given(str(path), file.read(LARGEST + 1))


def _again(files: tuple[Path, ...], email: str, issuers: tuple[str, ...], given: dict[str, str]) -> str:
    """The command that was given, to be completed."""
    parts = ["provenport", "import", *map(str, files), "--as", email]
    for issuer in issuers:
        parts += ["--issuer", issuer]
    for field, value in given.items():
        parts += ["--set", f"{field}={value}"]
    return shlex.join(parts)


def _as_json(plan: Plan, language: Language, is_stored: bool) -> dict[str, Any]:
    """The report for programs."""
    return {
        "ready": plan.is_ready,
        "stored": is_stored,
        "summary": chrome("stored" if is_stored else "ready" if plan.is_ready else "refused", language),
        "files": [
            {
                "file": file.name,
                "format": file.format,
                "ready": file.is_ready,
                "fields": file.reading.fields if file.reading else None,
                "notes": [
                    {
                        "severity": note.severity.value,
                        "code": note.code,
                        "where": note.where or None,
                        "row": note.row,
                        "field": note.field or None,
                        "text": report(note, language),
                    }
                    for note in file.notes
                ],
                "stored": [{"kind": s.kind.name.lower(), "reference": s.reference, "id": s.id} for s in file.stored],
            }
            for file in plan.files
        ],
    }
