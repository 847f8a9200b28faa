"""The command ``clearance-sim report``: results as an HTML page and as PDF, in any language of the catalogue."""

import json
import shlex
from pathlib import Path
from typing import Any

import click

from clearance_sim.commands import LocalisedCommand
from clearance_sim.commands.terminal import check_writable, write_document
from clearance_sim.messages import LANGUAGES, _, language

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_NEW_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(cls=LocalisedCommand, name="report")
@click.argument("claim", type=_FILE, metavar="RESULTS")
@click.option("--probe", type=_FILE, help="Measurements of a running system: clearance-sim probe.")
@click.option("--trs", type=_FILE, help="A time release study: clearance-sim trs --json.")
@click.option(
    "--language", type=click.Choice(LANGUAGES), default=language, help="Of the report (default: the system's)."
)
@click.option("-o", "--output", type=_NEW_FILE, default=Path("report.html"), show_default=True, help="The page.")
@click.option("--pdf", type=_NEW_FILE, help="Also write a PDF.")
def report_command(
    claim: Path, probe: Path | None, trs: Path | None, language: str, output: Path, pdf: Path | None
) -> None:
    """Write a report from RESULTS, the file of "clearance-sim claim" or of "run --json".

    One page that opens in any browser and needs no network, and a PDF.
    """
    check_writable(output, pdf)
    # Matplotlib takes a second to load, which no other command should wait for.
    from clearance_sim.report import RUN_FORMAT, ReportError, compose, compose_run, to_html, to_pdf

    try:
        documents = {name: _read(file) for name, file in (("claim", claim), ("probe", probe), ("trs", trs)) if file}
        if not isinstance(documents["claim"], dict):
            raise ReportError(
                _("{claim} holds no results: make it with clearance-sim claim --json or run --json", claim=claim)
            )
        commands = _commands(documents["claim"], claim, probe, trs, language, output)
        if documents["claim"].get("format") == RUN_FORMAT:
            document = compose_run(documents["claim"], language, commands)
        else:
            document = compose(documents["claim"], language, documents.get("probe"), documents.get("trs"), commands)
    except ReportError as error:
        raise click.ClickException(str(error)) from None
    except (KeyError, IndexError, TypeError) as error:
        raise click.ClickException(
            str(_("{claim}: a part is missing or of another version ({error!r})", claim=claim, error=error))
        ) from error
    write_document(output, to_html(document))
    click.echo(
        _(
            "Wrote {output} ({size:,.0f} KiB): opens in any browser, needs no network.",
            output=output,
            size=output.stat().st_size / 1024,
        )
    )
    if pdf is not None:
        write_document(pdf, to_pdf(document))
        click.echo(_("Wrote {pdf} ({size:,.0f} KiB).", pdf=pdf, size=pdf.stat().st_size / 1024))


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text("utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise click.ClickException(str(_("{file} cannot be read as JSON: {error}", file=file, error=error))) from None


def _commands(
    documents: Any, claim: Path, probe: Path | None, trs: Path | None, language: str, output: Path
) -> list[str]:
    """Return the command lines that produce this report again."""
    extras = [part for name, file in (("--probe", probe), ("--trs", trs)) if file for part in (name, file.name)]
    report = ["clearance-sim", "report", claim.name, *extras, "--language", language, "-o", output.name]
    asked = _run_asked(documents, claim) if "scenario" in documents else _claim_asked(documents, claim)
    return [shlex.join(asked), shlex.join(report)]


def _run_asked(documents: Any, file: Path) -> list[str]:
    numbers = ["--seed", str(documents["seed"]), "--replications", str(documents["replications"])]
    return ["clearance-sim", "run", str(documents["scenario"]), *numbers, "--json", file.name]


def _claim_asked(documents: Any, file: Path) -> list[str]:
    made, question = documents["made"], documents["claim"]
    source = (documents.get("measured") or {}).get("source", "assumption")
    hours = ["--from", f"{question['from_h']:g}", "--to", f"{question['to_h']:g}"]
    return [
        *("clearance-sim", "claim", "--seed", str(made["seed"])),
        *(["--quick"] if made.get("quick") else []),
        *(hours if (question["from_h"], question["to_h"]) != (72, 8) else []),
        *(["--measured", str(source)] if source != "assumption" else []),
        *("--json", file.name),
    ]
