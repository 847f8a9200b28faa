"""`clearance-sim run`: simulate a scenario and print what came out."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from clearance_sim.analysis.result import Result
from clearance_sim.commands.cluster_options import cluster_options, executor_for
from clearance_sim.commands.files import opened, refuse
from clearance_sim.commands.tables import print_result
from clearance_sim.execution.port import Executor, processors
from clearance_sim.execution.running import run
from clearance_sim.scenario.errors import ScenarioError
from clearance_sim.scenario.model import Scenario


@click.command()
@click.argument("scenario")
@click.option("--replications", "-r", type=click.IntRange(1), help="Independent runs (the scenario's own number).")
@click.option("--seed", "-s", type=click.IntRange(0), help="Of the random numbers (the scenario's own).")
@click.option("--workers", "-w", type=click.IntRange(1), help="Threads (as many as processors).")
@click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a number: stations.review.servers=4."
)
@click.option(
    "--warm-up", type=str, metavar="N|mser-5", help="Leave out the first N declarations, or let MSER-5 find N."
)
@click.option("--json", "json_path", type=click.Path(dir_okay=False), help="Write every figure as JSON (- prints it).")
@click.option("--trace", type=click.Path(dir_okay=False), help="Write every visit to this Parquet file.")
@click.option("--out", type=click.Path(file_okay=False), help="A folder for result.json (and trace.parquet).")
@click.option("--trace-out", is_flag=True, help="With --out: write trace.parquet there too.")
@click.option("--level", type=click.FloatRange(0.5, 0.9999), default=0.95, show_default=True, help="Of the intervals.")
@cluster_options
@click.option("--progress-json", is_flag=True, help="Report progress and errors as JSON lines, for programs.")
def command(
    scenario: str, replications: int | None, seed: int | None, workers: int | None, changes: tuple[str, ...],
    warm_up: str | None, json_path: str | None, trace: str | None, out: str | None, trace_out: bool, level: float,
    progress_json: bool,
    scheduler: str | None, dask_workers: int | None,
) -> None:  # fmt: skip
    r"""Simulate SCENARIO, a file or the name of a packaged scenario.

    \b
    Examples:
      clearance-sim run office
      clearance-sim run mine.toml -r 100 --set stations.lodge.servers=3 --json result.json
    """
    try:
        read = _with_warm_up(opened(scenario, changes), warm_up)
    except ScenarioError as error:
        refuse(error, progress_json)
        raise
    folder = Path(out) if out else None
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        trace = trace or (str(folder / "trace.parquet") if trace_out else None)
    begun, count = time.perf_counter(), replications or read.run.replications
    try:
        with executor_for(scheduler, dask_workers) as executor:
            result = _run(read, count, seed, workers, trace, level, progress_json, executor)
    except MemoryError as error:
        raise click.ClickException(f"{error} Shorten the horizon, or add servers.") from None
    for path in [json_path if json_path != "-" else None, str(folder / "result.json") if folder else None]:
        if path:
            Path(path).write_text(result.to_json() + "\n", encoding="utf-8")
    if json_path == "-":
        click.echo(result.to_json())
    elif progress_json:
        click.echo(json.dumps({"finished": True}))
    else:
        print_result(result, Console(highlight=False), time.perf_counter() - begun)
        for path in filter(None, (json_path, trace, str(folder / "result.json") if folder else None)):
            click.echo(f"Written: {path}")
        click.echo(_next(scenario, result, json_path))


def _run(
    read: Scenario, count: int, seed: int | None, workers: int | None, trace: str | None, level: float, as_json: bool,
    executor: Executor | None,
) -> Result:  # fmt: skip
    def simulate(progress: Callable[[int, int], None] | None) -> Result:
        return run(
            read,
            count,
            seed,
            workers=workers,
            executor=executor,
            progress=progress,
            trace=trace,
            keep_values=False,
            level=level,
        )

    if as_json:
        return simulate(lambda done, total: click.echo(json.dumps({"done": done, "total": total})))
    if not sys.stderr.isatty():
        return simulate(None)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"{min(workers or processors(), count)} at a time", total=count)
        return simulate(lambda done, total: bar.update(task, completed=done))


def _with_warm_up(scenario: Scenario, given: str | None) -> Scenario:
    if given is None:
        return scenario
    if given != "mser-5" and not given.isdigit():
        raise click.BadParameter(f"{given} is neither a number of declarations nor mser-5", param_hint="--warm-up")
    kind = {"warm_up": given} if given == "mser-5" else {"warm_up_declarations": int(given)}
    kept = scenario.run.model_dump(exclude_unset=True, exclude={"warm_up", "warm_up_declarations", "warm_up_h"})
    return scenario.model_copy(update={"run": type(scenario.run).model_validate({**kept, **kind})})


def _next(scenario: str, result: Result, json_path: str | None) -> str:
    if result.replications == 1:
        return f"Next: one replication gives no interval; clearance-sim run {scenario} -r 20"
    mean = result.clocks["total"].mean
    if mean.value and mean.half_width / mean.value > 0.05:
        more = max(2, round(result.replications * (mean.half_width / mean.value / 0.02) ** 2))
        known = mean.half_width / mean.value
        return f"Next: the mean is known to {known:.0%}; for 2 %: clearance-sim run {scenario} -r {more}"
    if json_path:
        return f"Next: change one number and compare: clearance-sim run {scenario} --set KEY=VALUE"
    return f"Next: keep the figures: clearance-sim run {scenario} --json result.json"
