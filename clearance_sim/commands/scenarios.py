"""The commands `scenarios`, `check`, `schema`, `validate`: packaged scenarios, files, exact answers of theory."""

import json
import sys
import time
from typing import Any

import click

from clearance_sim.commands import LocalisedCommand
from clearance_sim.commands.files import faults_as_json, opened, packaged, parameters, refuse
from clearance_sim.commands.terminal import echo_document
from clearance_sim.messages import LANGUAGES, _, language, text_in
from clearance_sim.scenario import ScenarioError
from clearance_sim.scenario.checks import loads_of
from clearance_sim.scenario.loader import schema
from clearance_sim.scenario.model import Scenario
from clearance_sim.validation.cases import Answer, Case, all_cases, answers


@click.command(cls=LocalisedCommand)
@click.argument("files", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="With the numbers that may be turned, as JSON.")
@click.option("--show", metavar="NAME", help="Print the file of a packaged scenario, to copy and change.")
def scenarios_command(files: tuple[str, ...], as_json: bool, show: str | None) -> None:
    """List the packaged scenarios (or describe FILES)."""
    if show is not None:
        texts = packaged()
        if show not in texts:
            raise click.UsageError(
                str(_("there is no scenario {show}; there are {texts}", show=show, texts=", ".join(texts)))
            )
        echo_document(texts[show], end="")
        return
    try:
        found = {name: opened(name) for name in files or packaged()}
    except ScenarioError as error:
        refuse(error, as_json)
        raise
    if as_json:
        echo_document(json.dumps([_described(name, s) for name, s in found.items()], ensure_ascii=False, indent=1))
        return
    for name, scenario in found.items():
        click.echo(f"  {name:<24}{text_in(scenario.title, language())}")
    first = next(iter(found), "NAME")
    click.echo(_("Next: clearance-sim run {first}, or clearance-sim scenarios --show {first} > mine.toml", first=first))


def _described(name: str, scenario: Scenario) -> dict[str, Any]:
    title, summary = scenario.title, scenario.description
    return {
        "name": name,
        "title": title or dict.fromkeys(LANGUAGES, name),
        "summary": summary or dict.fromkeys(LANGUAGES, ""),
        "parameters": parameters(scenario),
    }


@click.command(cls=LocalisedCommand)
@click.argument("scenario")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a number first.")
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
def check_command(scenario: str, changes: tuple[str, ...], as_json: bool) -> None:
    """Check a scenario without running it, and show the load of each station."""
    try:
        read = opened(scenario, changes)
    except ScenarioError as error:
        if as_json:
            echo_document(json.dumps({"ok": False, "errors": faults_as_json(error)}, ensure_ascii=False))
            raise SystemExit(1) from None
        refuse(error)
        raise
    loads = loads_of(read)
    if as_json:
        click.echo(json.dumps({"ok": True, "errors": [], "loads": loads}))
        return
    click.echo(_("{scenario} is sound. Offered load (work brought over officers on duty):", scenario=scenario))
    for name, load in loads.items():
        click.echo(f"  {name:<24}{_('unlimited') if load == 0 else format(load, '.3f')}")
    click.echo(_("Next: clearance-sim run {scenario}", scenario=scenario))


@click.command(cls=LocalisedCommand)
def schema_command() -> None:
    """Print the JSON Schema of scenario files, for editors and programs."""
    echo_document(json.dumps(schema(), indent=1, ensure_ascii=False))


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
