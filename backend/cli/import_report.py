"""The report of an import as people read it: one line for each fact, and at the end what to do next."""

import shlex
from collections.abc import Sequence

import click
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from backend.domain.interop.formats import NAMES
from backend.domain.interop.reading import Note, Severity
from backend.domain.kinds import Kind
from backend.messages.catalogue import Language, gettext
from backend.messages.imports import clear, report
from backend.services.importing import FilePlan, Plan

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
Line = tuple[Severity, str, str]
"""A mark, what it is about, and what is said of it."""


def chrome(code: str, language: Language, **values: object) -> str:
    """A sentence around the notes."""
    return gettext(CHROME[code], language, **values)


def summary_of(file: FilePlan, language: Language) -> str:
    """A file's headline."""
    if file.table is not None:
        what = chrome("table", language)
    elif file.reading is not None:
        what = f"{file.reading.kind.slug} ({NAMES[file.format]})"
    else:
        what = chrome("unknown", language)
    return f"{clear(file.name)}: {what}"


def lines_of(file: FilePlan, language: Language) -> list[Line]:
    """A file's report, what stands in the way last, where the eye falls."""
    order = list(SIGNS)
    notes = sorted(file.notes, key=lambda note: (order.index(note.severity), note.row or 0))
    return [(note.severity, _about(note, language), report(note, language)) for note in notes]


def _about(note: Note, language: Language) -> str:
    where = clear(note.where)
    if note.row is not None:
        return ", ".join(filter(None, [chrome("row", language, row=note.row), where]))
    if note.severity in (Severity.TAKEN, Severity.CONVERTED) and note.field:
        return note.field if where == note.field else f"{where} → {clear(note.field)}"
    return where or clear(note.field)


def print_report(summary: str, lines: Sequence[Line]) -> None:
    """Print: in colours and columns on a terminal, plain lines elsewhere."""
    console = Console(highlight=False)
    if not console.is_terminal:
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


def next_step(plan: Plan, is_stored: bool, dry_run: bool, again: str, language: Language) -> str:
    """What came of it, and what to do next."""
    if is_stored:
        reported = [line for file in plan.files for line in _stored_lines(file, language)]
        return "\n".join([chrome("stored", language), *reported, chrome("anchoring", language)])
    if plan.is_ready:
        return "\n".join([chrome("ready", language), *([chrome("dry-run", language), f"  {again}"] if dry_run else [])])
    return "\n".join([chrome("refused", language), *_how_to_fix(plan, again, language)])


def _stored_lines(file: FilePlan, language: Language) -> list[str]:
    if file.stored and file.stored[0].kind is Kind.DECLARATION:
        first = ", ".join(one.reference for one in file.stored[:_SHOWN_REFERENCES])
        more = ", …" if len(file.stored) > _SHOWN_REFERENCES else ""
        return ["  " + chrome("lodged", language, count=len(file.stored), first=clear(first) + more)]
    reported = []
    for one in file.stored:
        code = "invoiced" if one.kind is Kind.INVOICE else "stated"
        issuer = file.issuer.name if file.issuer else ""
        reference, kind = clear(one.reference), one.kind.slug
        reported.append(
            "  "
            + chrome(
                code,
                language,
                kind=" ".join(filter(None, [kind, reference])),
                reference=reference,
                id=one.id,
                issuer=issuer,
            )
        )
    return reported


def _how_to_fix(plan: Plan, again: str, language: Language) -> list[str]:
    blocked = [file for file in plan.files if not file.is_ready]
    notes = [note for file in blocked for note in file.notes]
    missing, wrong = (
        sum(note.severity is severity for note in notes) for severity in (Severity.MISSING, Severity.WRONG)
    )
    counts = chrome("counts", language, blocked=len(blocked), files=len(plan.files), missing=missing, wrong=wrong)
    fixable = [
        n for n in notes if n.code in ("lacking", "lacking-withheld", "unusable") and n.severity.blocks and n.field
    ]
    reported = [counts]
    if any(note.code == "lacking-issuer" for note in notes):
        again += " --issuer …"
    if fixable or "--issuer …" in again:
        settings = [f"    --set {shlex.quote(n.field)}=…" for n in fixable]
        reported += [chrome("complete-it", language), " \\\n".join([f"  {again}", *settings])]
    if any(n.severity is Severity.WRONG and n not in fixable for n in notes):
        is_table = any(file.table is not None for file in blocked)
        reported.append(chrome("fix-table" if is_table else "fix", language))
    return reported
