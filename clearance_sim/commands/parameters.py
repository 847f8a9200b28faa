"""`clearance-sim parameters`: the customs model's numbers."""

from __future__ import annotations

import click

from clearance_sim.procedure.context import Context, ContextError, context, contexts
from clearance_sim.procedure.parameters import Parameter, parameters


@click.command("parameters", short_help="List the customs model's numbers with range and source.")
@click.option("--context", "name", help="The numbers of one of the packaged contexts.")
@click.option("--markdown", is_flag=True, help="As a table for documents.")
def command(name: str | None, markdown: bool) -> None:
    """Every number of the customs model: value, range, unit, how it is known, source."""
    try:
        here = context(name) if name else None
    except ContextError as fault:
        raise click.ClickException(f"{fault} ({', '.join(contexts())})") from fault
    click.echo(markdown_table(here) if markdown else _plain_table(here))


def markdown_table(here: Context | None = None) -> str:
    """The parameters as a Markdown table."""
    lines = ["| parameter | value | range | unit | known | source |", "|---|---|---|---|---|---|"]
    for row in parameters().values():
        value, source = _of(row, here)
        span = f"{row.low:g} to {row.high:g}" if row.varies else ""
        lines.append(f"| `{row.name}` | {value:g} | {span} | {row.unit} | {row.known} | {source} |")
    return "\n".join(lines)


def _plain_table(here: Context | None) -> str:
    lines = []
    for row in parameters().values():
        value, source = _of(row, here)
        span = f"[{row.low:g}, {row.high:g}]" if row.varies else ""
        lines.append(f"{row.name:<30} {value:>8g} {row.unit:<13} {span:<14} {row.known:<11} {source}")
    return "\n".join(lines)


def _of(row: Parameter, here: Context | None) -> tuple[float, str]:
    return (row.value, row.source) if here is None else (here[row.name], here.sources.get(row.name, row.source))
