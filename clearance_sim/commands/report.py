"""The command ``clearance-sim report``: results as a page and as PDF, in English or Chinese."""

import json
import shlex
from pathlib import Path
from typing import Any

import click

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_NEW_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("report")
@click.argument("claim", type=_FILE)
@click.option("--probe", type=_FILE, help="Measurements of a running system: clearance-sim probe.")
@click.option("--trs", type=_FILE, help="A time release study: clearance-sim trs --json.")
@click.option("--language", type=click.Choice(["en", "zh"]), default="en", show_default=True)
@click.option("-o", "--output", type=_NEW_FILE, default=Path("report.html"), show_default=True, help="The page.")
@click.option("--pdf", type=_NEW_FILE, help="Also write a PDF.")
def command(claim: Path, probe: Path | None, trs: Path | None, language: str, output: Path, pdf: Path | None) -> None:
    """Write a report from CLAIM, the file of "clearance-sim claim": one page that needs no network, and a PDF."""
    # Matplotlib takes a second to load, which no other command should wait for.
    from clearance_sim.report import ReportError, compose, to_html, to_pdf

    try:
        told = {name: _read(file) for name, file in (("claim", claim), ("probe", probe), ("trs", trs)) if file}
        commands = _commands(told["claim"], claim, probe, trs, language, output)
        document = compose(told["claim"], language, told.get("probe"), told.get("trs"), commands)
    except ReportError as error:
        raise click.ClickException(str(error)) from None
    except (KeyError, IndexError, TypeError) as error:
        raise click.ClickException(f"{claim}: a part is missing or of another version ({error!r})") from error
    output.write_text(to_html(document), encoding="utf-8")
    click.echo(f"Wrote {output} ({output.stat().st_size / 1024:,.0f} KiB): opens in any browser, needs no network.")
    if pdf is not None:
        pdf.write_bytes(to_pdf(document))
        click.echo(f"Wrote {pdf} ({pdf.stat().st_size / 1024:,.0f} KiB).")


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text("utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file} cannot be read as JSON: {error}") from None


def _commands(told: Any, claim: Path, probe: Path | None, trs: Path | None, language: str, output: Path) -> list[str]:
    """What to type to get the very same report."""
    made = told.get("made", {}) if isinstance(told, dict) else {}
    asked = made.get("command") or " ".join(
        [
            "clearance-sim claim",
            *(["--quick"] if made.get("quick") else []),
            f"--seed {made.get('seed')}",
            f"--replications {made.get('replications')}",
            f"--out {claim.name}",
        ]
    )
    extras = [part for name, file in (("--probe", probe), ("--trs", trs)) if file for part in (name, file.name)]
    report = ["clearance-sim", "report", claim.name, *extras, "--language", language, "-o", output.name]
    return [asked, shlex.join(report)]
