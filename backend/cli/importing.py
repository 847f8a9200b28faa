"""``provenport import``: documents and tables made elsewhere, with a report on every field; ``provenport hs``."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from backend.cli.localised import Command, Group
from backend.cli.terminal import _, as_argument, installation, kind_name, language, print_json, said, telling
from backend.domain.errors import Invalid, NotAllowed, NotFound, TraceabilityError
from backend.domain.interop.consignments import TableStyle
from backend.domain.interop.conversions import DECIMALS
from backend.domain.interop.formats import LARGEST, NAMES, is_document
from backend.domain.interop.reading import Note, Severity
from backend.domain.interop.table import is_encoding
from backend.domain.kinds import Kind
from backend.messages.catalogue import ngettext
from backend.messages.imports import clear, report

if TYPE_CHECKING:
    from backend.services.importing import FilePlan, Given, Plan

SIGNS = {
    Severity.TAKEN: ("✓", "green"),
    Severity.CONVERTED: ("~", "cyan"),
    Severity.WARNING: ("!", "yellow"),
    Severity.UNUSED: ("+", "bright_black"),
    Severity.MISSING: ("–", "magenta"),
    Severity.WRONG: ("✗", "red"),
}
CHROME = {
    "table": "table of consignments",
    "unknown": "not read",
    "row": "row {row}",
    "missing": "missing",
    "stored": "Stored.",
    "ready": "Complete: nothing stands in the way.",
    "refused": "Refused: nothing was stored.",
    "dry-run": "Dry run: nothing was stored. To store it, leave --dry-run out:",
    "counts": "{missing} missing, {wrong} wrong; {blocked} of {files} files held back.",
    "complete-it": "Give what is missing, in place of each … :",
    "legend": "✓ taken  ~ converted  ! warning  + not used  – missing  ✗ wrong",
    "fix": "Fix what is marked ✗ and import again.",
    "fix-table": "Fix the rows marked ✗ in the table and import it again: all of them go in, or none.",
    "lodged": "{count} declarations lodged: {first}",
    "stated": "{kind} signed (record {id}) and submitted to {issuer}, who confirms it",
    "invoiced": "invoice {reference} issued (record {id})",
    "anchoring": "The running server takes them to the ledger; if none runs, start it: provenport serve",
}
_SHOWN_REFERENCES = 5
_LEAST_WIDTH = 60
"""In cells. Narrower columns would break numbers in two."""
Line = tuple[Severity, str, str]
"""Severity, what the note is about, and its text."""


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


def _encoding(ctx: click.Context, param: click.Parameter, name: str | None) -> str | None:
    if name is not None and not is_encoding(name):
        raise click.BadParameter(
            _("{name} is no encoding: write it like gb18030, cp1252 or shift_jis", name=repr(name))
        )
    return name


@click.command("import", cls=Command, short_help="Bring in certificates, reports, invoices and tables of consignments.")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--as", "email", required=True, metavar="EMAIL", help="The merchant's person who imports.")
@click.option("--issuer", "issuers", multiple=True, metavar="NAME", help="Who is to confirm a statement: name or id.")
@click.option("--set", "given", multiple=True, callback=_settings, metavar="FIELD=VALUE", help="A field of a document.")
@click.option("--encoding", callback=_encoding, metavar="NAME", help="What tables are encoded in, such as gb18030.")
@click.option("--decimal", type=click.Choice(DECIMALS), help="What stands before decimals in tables.")
@click.option("--dry-run", is_flag=True, help="Only report; store nothing.")
@click.option("--json", "as_json", is_flag=True, help="Report for programs.")
def import_command(
    files: tuple[Path, ...],
    email: str,
    issuers: tuple[str, ...],
    given: dict[str, str],
    encoding: str | None,
    decimal: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Bring in documents that others made, and tables of consignments, into the data folder (DATA_DIR).

    JSON: certificates of origin (TradeTrust, W3C CCG traceability, USMCA), inspections and commercial invoices
    (traceability), conformity credentials (UNTP), Provenport's own documents and records; as they are, or secured as
    SD-JWT. Tables: CSV with our column names or those of China's 9610 list. See docs/import.md.

    All files go in together or not at all. Exit codes: 0 stored, 1 refused and nothing stored, 2 wrong usage, 3 stored,
    but the report could not be written.
    """
    from backend.services import importing

    contents = [_read(path) for path in files]
    style = TableStyle(encoding, decimal)
    if given and not any(is_document(file.content) for file in contents):
        raise click.UsageError(_("--set completes documents; a table is completed in the table"))
    try:
        with installation() as ctx:
            try:
                actor = importing.importer(ctx, email)
                plan = importing.plan(ctx, actor, contents, issuers, given, style)
            except (NotFound, NotAllowed, importing.UnknownIssuer) as error:
                raise click.UsageError(said(error)) from error
            done = importing.store(ctx, plan) if plan.is_ready and not dry_run else None
    except TraceabilityError as error:
        raise click.ClickException(_("nothing was stored: {error}", error=error)) from error
    again = _again(files, email, issuers, given, style)
    if done is None:
        _report_line(plan, again, dry_run, is_stored=False, as_json=as_json)
    else:
        with telling(_("everything is stored")):
            _report_line(done, again, dry_run, is_stored=True, as_json=as_json)
    if not plan.is_ready:
        click.get_current_context().exit(1)


def _report_line(plan: "Plan", again: str, dry_run: bool, *, is_stored: bool, as_json: bool) -> None:
    if as_json:
        print_json(_as_json(plan, is_stored))
        return
    click.echo(chrome("legend"))
    for file in plan.files:
        print_report(summary_of(file), lines_of(file))
    click.echo(next_step(plan, is_stored, dry_run, again))


def _read(path: Path) -> "Given":
    from backend.services.importing import Given

    with path.open("rb") as file:
        # One byte more than is accepted, so that a file that is too large is noticed without being read whole.
        return Given(str(path), file.read(LARGEST + 1))


def _again(
    files: tuple[Path, ...], email: str, issuers: tuple[str, ...], given: dict[str, str], style: TableStyle
) -> str:
    """Return the command that was given, as a start for the completed one."""
    parts = ["provenport", "import", *map(as_argument, files), "--as", email]
    for issuer in issuers:
        parts += ["--issuer", issuer]
    for field, value in given.items():
        parts += ["--set", f"{field}={value}"]
    for option, chosen in (("--encoding", style.encoding), ("--decimal", style.decimal)):
        parts += [option, chosen] if chosen else []
    return shlex.join(parts)


def _as_json(plan: "Plan", is_stored: bool) -> dict[str, Any]:
    """Return the report as JSON values."""
    return {
        "ready": plan.is_ready,
        "stored": is_stored,
        "summary": chrome("stored" if is_stored else "ready" if plan.is_ready else "refused"),
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
                        "text": report(note, language()),
                    }
                    for note in file.notes
                ],
                "stored": [{"kind": s.kind.name.lower(), "reference": s.reference, "id": s.id} for s in file.stored],
            }
            for file in plan.files
        ],
    }


# ---- the report, as people read it


def chrome(code: str, **values: object) -> str:
    """Return a text of the report around the notes, in the reader's language."""
    return _(CHROME[code], **values)


def summary_of(file: "FilePlan") -> str:
    """Return the headline of a file's report."""
    if file.table is not None:
        what = chrome("table")
    elif file.reading is not None:
        what = f"{kind_name(file.reading.kind)} ({NAMES[file.format]})"
    else:
        what = chrome("unknown")
    return f"{clear(file.name)}: {what}"


def lines_of(file: "FilePlan") -> list[Line]:
    """Return the lines of a file's report, with what keeps the file out last, nearest to the prompt."""
    order = list(SIGNS)
    notes = sorted(file.notes, key=lambda note: (order.index(note.severity), note.row or 0))
    return [(note.severity, _about(note), report(note, language())) for note in notes]


def _about(note: Note) -> str:
    where = clear(note.where)
    if note.row is not None:
        return ", ".join(filter(None, [chrome("row", row=note.row), where]))
    if note.severity in (Severity.TAKEN, Severity.CONVERTED) and note.field:
        return note.field if where == note.field else f"{where} → {clear(note.field)}"
    return where or clear(note.field)


def print_report(summary: str, lines: Sequence[Line]) -> None:
    """Print a report, in colours and columns on a terminal that is wide enough, otherwise as plain lines."""
    console = Console(highlight=False)
    if not console.is_terminal or console.width < _LEAST_WIDTH:
        click.echo(summary)
        for mark, about, words in lines:
            click.echo(f"  {SIGNS[mark][0]} {': '.join(filter(None, [about, words]))}")
        return
    grid = Grid.grid(padding=(0, 1))
    grid.add_column(width=3, justify="right")
    grid.add_column(overflow="fold", ratio=2)
    grid.add_column(overflow="fold", ratio=3)
    for mark, about, words in lines:
        sign, colour = SIGNS[mark]
        style = colour if mark is not Severity.TAKEN else ""
        grid.add_row(Text(sign, colour), Text(about, style), Text(words, style))
    console.print(Text(summary, "bold"))
    console.print(grid)


def next_step(plan: "Plan", is_stored: bool, dry_run: bool, again: str) -> str:
    """Return the result and what to do next."""
    if is_stored:
        reported = [line for file in plan.files for line in _stored_lines(file)]
        return "\n".join([chrome("stored"), *reported, chrome("anchoring")])
    if plan.is_ready:
        return "\n".join([chrome("ready"), *([chrome("dry-run"), f"  {again}"] if dry_run else [])])
    return "\n".join([chrome("refused"), *_how_to_fix(plan, again)])


def _stored_lines(file: "FilePlan") -> list[str]:
    if file.stored and file.stored[0].kind is Kind.DECLARATION:
        first = ", ".join(one.reference for one in file.stored[:_SHOWN_REFERENCES])
        more = ", …" if len(file.stored) > _SHOWN_REFERENCES else ""
        return ["  " + chrome("lodged", count=len(file.stored), first=clear(first) + more)]
    reported = []
    for one in file.stored:
        code = "invoiced" if one.kind is Kind.INVOICE else "stated"
        issuer = file.issuer.name if file.issuer else ""
        reference, kind = clear(one.reference), kind_name(one.kind)
        reported.append(
            "  "
            + chrome(
                code,
                kind=" ".join(filter(None, [kind, reference])),
                reference=reference,
                id=one.id,
                issuer=issuer,
            )
        )
    return reported


def _how_to_fix(plan: "Plan", again: str) -> list[str]:
    blocked = [file for file in plan.files if not file.is_ready]
    notes = [note for file in blocked for note in file.notes]
    missing, wrong = (
        sum(note.severity is severity for note in notes) for severity in (Severity.MISSING, Severity.WRONG)
    )
    counts = chrome("counts", blocked=len(blocked), files=len(plan.files), missing=missing, wrong=wrong)
    fixable = [
        n for n in notes if n.code in ("lacking", "lacking-withheld", "unusable") and n.severity.blocks and n.field
    ]
    reported = [counts]
    if any(note.code == "lacking-issuer" for note in notes):
        again += " --issuer …"
    if fixable or "--issuer …" in again:
        settings = [f"    --set {shlex.quote(n.field)}=…" for n in fixable]
        reported += [chrome("complete-it"), " \\\n".join([f"  {again}", *settings])]
    if any(n.severity is Severity.WRONG and n not in fixable for n in notes):
        is_table = any(file.table is not None for file in blocked)
        reported.append(chrome("fix-table" if is_table else "fix"))
    return reported


# ---- HS codes


@click.group("hs", cls=Group)
def hs_command() -> None:
    """Bring the texts of HS codes, by which merchants look codes up."""


@hs_command.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_headings(file: Path) -> None:
    """Add the codes of FILE, or new texts of codes that are known: CSV with columns code, en and zh.

    Nothing is stored if a line is wrong.
    """
    from backend.services import products

    try:
        headings = products.read_nomenclature(file.read_bytes())
    except Invalid as error:
        for line, fault in error.problems:
            click.echo(_("Line {line}: {fault}", line=line, fault=fault), err=True)
        raise
    with installation() as ctx:
        count = products.import_nomenclature(ctx, headings)
    with telling(ngettext("{count} HS code is stored", "{count} HS codes are stored", count, language())):
        click.echo(
            ngettext(
                "{count} HS code is stored. Merchants find it by its words from now on.",
                "{count} HS codes are stored. Merchants find them by their words from now on.",
                count,
                language(),
            )
        )
