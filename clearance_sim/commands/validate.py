"""The command ``clearance-sim validate``: compare the engine with exact results of queueing theory."""

import json
import sys
import time
from typing import Any

import click

from clearance_sim.commands import LocalisedCommand
from clearance_sim.messages import _
from clearance_sim.validation.cases import Answer, Case, all_cases, answers


@click.command(cls=LocalisedCommand, name="validate")
@click.argument("cases", nargs=-1)
@click.option("--workers", type=click.IntRange(1), help="How many replications at a time (default: as many as cores).")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def validate_command(cases: tuple[str, ...], workers: int | None, as_json: bool) -> None:
    """Hold the engine to queues whose answer theory knows (all CASES, or those named).

    A figure passes when the exact value lies within the 99.9 % interval and the half-width is below 1 % of it. Exit
    code 0: all passed; 1: some did not. Takes some minutes.
    """
    begun, found = time.perf_counter(), []
    if not as_json:
        click.echo(_head())
    for case in _chosen(cases):
        for answer in answers(case, workers):
            found.append(answer)
            if not as_json:
                click.echo(_row(answer))
    failed = [answer for answer in found if not answer.passed]
    if as_json:
        click.echo(json.dumps([_values(answer) for answer in found], indent=1))
    else:
        seconds = time.perf_counter() - begun
        click.echo(
            _(
                "{count} of {total} figures agree with theory, in {seconds:.0f} s.",
                count=len(found) - len(failed),
                total=len(found),
                seconds=seconds,
            )
        )
        click.echo(_('Each case is a scenario file: try "clearance-sim run theory/mm3".'))
    sys.exit(1 if failed else 0)


def _chosen(names: tuple[str, ...]) -> list[Case]:
    every = {case.scenario: case for case in all_cases()}
    unknown = [name for name in names if name not in every]
    if unknown:
        raise click.UsageError(
            str(_("no case {unknown}; there are {every}", unknown=", ".join(unknown), every=", ".join(every)))
        )
    return [every[name] for name in names] if names else list(every.values())


def _head() -> str:
    columns = f"{_('exact'):>12} {_('simulated'):>12} {_('± 99.9 %'):>10} {_('of value'):>9}"
    return f"{_('case'):<22} {_('theory'):<22} {_('figure'):<28} {columns}"


def _row(answer: Answer) -> str:
    exact = f"{'<= ' if answer.case.bound else ''}{answer.exact:.6g}"
    outcome = "" if answer.passed else f"  {_('FAILED')}"
    simulated = (
        f"{answer.simulated.value:>12.6g} {answer.simulated.half_width:>10.2g} {answer.relative_half_width:>8.2%}"
    )
    return (
        f"{answer.case.scenario:<22} {answer.case.theory:<22} {answer.reading!s:<28} {exact:>12} {simulated}{outcome}"
    )


def _values(answer: Answer) -> dict[str, Any]:
    return {
        "case": answer.case.scenario,
        "theory": answer.case.theory,
        "figure": str(answer.reading),
        "exact": answer.exact,
        "bound": answer.case.bound,
        "simulated": answer.simulated.value,
        "half_width": answer.simulated.half_width,
        "passed": answer.passed,
    }
