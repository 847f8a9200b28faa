"""`clearance-sim run` and `warm-up-cache`: simulate a scenario here or on a cluster, and print the figures."""

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from clearance_sim.analysis.estimate import Estimate
from clearance_sim.analysis.result import Durations, Result
from clearance_sim.commands import LocalisedCommand
from clearance_sim.commands.files import opened, refuse
from clearance_sim.commands.terminal import (
    check_writable,
    console,
    echo_document,
    is_interactive,
    make_folder,
    print_table,
    write_document,
)
from clearance_sim.execution.runner import Executor, processors, run
from clearance_sim.messages import Message, _
from clearance_sim.scenario import ScenarioError
from clearance_sim.scenario.model import Scenario

Command = TypeVar("Command", bound=Callable[..., object])
MOST_WORKERS = 256


def cluster_options(command: Command) -> Command:
    """Add the options for Dask. The command receives them as ``scheduler`` and ``dask_workers``."""
    scheduler = click.option(
        "--scheduler", metavar="tcp://HOST:PORT", help="Run on the Dask cluster of this scheduler."
    )
    workers = click.option(
        "--dask-workers", type=click.IntRange(1, MOST_WORKERS), help="Run on so many Dask processes of this machine."
    )
    return scheduler(workers(command))


@contextmanager
def executor_for(scheduler: str | None, dask_workers: int | None) -> Iterator[Executor | None]:
    """Yield the executor that was asked for and close it at the end. None if none was, so that threads are used.

    Raises:
        UsageError: Both options were given.
        ClickException: The cluster cannot be reached or started.
    """
    if scheduler is None and dask_workers is None:
        yield None
        return
    if scheduler is not None and dask_workers is not None:
        raise click.UsageError(
            str(_("--scheduler and --dask-workers exclude each other: its workers are already there"))
        )
    from clearance_sim.execution.dask_cluster import ClusterError, DaskExecutor

    try:
        with DaskExecutor(scheduler, dask_workers or 1) as executor:
            yield executor
    except ClusterError as error:
        raise click.ClickException(str(error)) from error


def print_result(result: Result, on: Console, seconds: float) -> None:
    """Print the figures of a run with their intervals."""
    total = int(sum(s.run[0] for s in result.summaries))
    on.print(
        str(
            _(
                "{scenario}: {replications} replications, seed {seed}, {total:,} declarations "
                "({warm_up:,} of each replication left out as warm-up), {seconds:.2f} s",
                scenario=result.scenario,
                replications=result.replications,
                seed=result.seed,
                total=total,
                warm_up=result.warm_up,
                seconds=seconds,
            )
        )
    )
    level = f"{result.level:.1%}".replace(".0%", "%")
    on.print(str(_("± is half the {level} confidence interval. Times in hours.", level=level)))
    for table in (_clocks(result), _stations(result), _waits(result)):
        print_table(table, on)
    if result.unfinished.value > 0:
        on.print(str(_("Unfinished at the horizon: {unfinished} declarations.", unfinished=shown(result.unfinished))))
    if result.observed:
        print_table(_observed(result), on)


_QUANTILES = (_("mean"), _("P50"), _("P90"), _("P95"))


def shown(e: Estimate) -> str:
    """Return an estimate as text, such as `3.72 ± 0.04`, or a dash if it is unknown."""
    if math.isnan(e.value):
        return "–"
    if math.isnan(e.half_width):
        return f"{e.value:.4g}"
    digits = 3 if e.half_width <= 0 else max(0, min(6, 1 - math.floor(math.log10(e.half_width))))
    return f"{e.value:.{digits}f} ± {e.half_width:.{digits}f}"


def _table(title: Message, first: Message, *columns: Message) -> Table:
    table = Table(title=str(title), title_justify="left", box=None, pad_edge=False)
    table.add_column(str(first))
    for column in columns:
        table.add_column(str(column), justify="right")
    return table


def _durations(d: Durations) -> list[str]:
    return [shown(d.mean), shown(d.p50), shown(d.p90), shown(d.p95)]


def _clocks(result: Result) -> Table:
    targets = sorted({t for clock in result.clocks.values() for t in clock.within})
    table = _table(
        _("End to end"),
        _("clock"),
        _("declarations"),
        *_QUANTILES,
        *(_("within {hours:g} h", hours=t) for t in targets),
    )
    for name, clock in result.clocks.items():
        within = [shown(clock.within[t]) if t in clock.within else "" for t in targets]
        table.add_row(name, shown(clock.count), *_durations(clock), *within)
        if len(result.classes) > 1:
            for of_class, own in clock.by_class.items():
                within = [shown(own.within[t]) if t in own.within else "" for t in targets]
                table.add_row(f"  {of_class}", shown(own.count), *_durations(own), *within)
    return table


def _stations(result: Result) -> Table:
    lossy = any(s.lost.value > 0 or s.abandoned.value > 0 for s in result.stations.values())
    extra = [_("turned away"), _("gave up")] if lossy else []
    table = _table(
        _("Stations"), _("station"), _("arrivals"), _("served/h"), _("waiting"), _("in service"), _("on duty"),
        _("utilisation"), _("overtime"), *extra,
    )  # fmt: skip
    for name, s in result.stations.items():
        shares = [shown(s.lost_share), shown(s.abandoned_share)] if lossy else []
        table.add_row(
            name, shown(s.entered), shown(s.throughput_per_h), shown(s.queue_length), shown(s.in_service),
            shown(s.on_duty), shown(s.utilisation), shown(_overtime(s.overtime, s.scheduled_overtime)),
            *shares,
        )  # fmt: skip
    return table


def _overtime(beyond: Estimate, scheduled: Estimate) -> Estimate:
    return Estimate(beyond.value + scheduled.value, math.hypot(beyond.half_width, scheduled.half_width))


def _waits(result: Result) -> Table:
    table = _table(
        _("Waiting and sojourn"), _("station"), _("had to wait"), _("wait: mean"), *_QUANTILES[1:], _("sojourn: mean"),
        *_QUANTILES[1:],
    )  # fmt: skip
    for name, s in result.stations.items():
        table.add_row(name, shown(s.delayed_share), *_durations(s.wait), *_durations(s.sojourn))
    return table


def _observed(result: Result) -> Table:
    table = _table(
        _("Observed"), _("where"), _("at h"), _("waiting"), _("in service"), _("together"), _("on duty"), _("empty")
    )
    for name, seen in result.observed.items():
        for o in seen:
            cells = [shown(part) for part in (o.waiting, o.in_service, o.present, o.on_duty, o.empty)]
            table.add_row(name, f"{o.at_h:g}", *cells)
    return table


@click.command(cls=LocalisedCommand)
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
def run_command(
    scenario: str, replications: int | None, seed: int | None, workers: int | None, changes: tuple[str, ...],
    warm_up: str | None, json_path: str | None, trace: str | None, out: str | None, trace_out: bool, level: float,
    progress_json: bool,
    scheduler: str | None, dask_workers: int | None,
) -> None:  # fmt: skip
    """Simulate SCENARIO, a file or the name of a packaged scenario.

    Examples:

    \b
      clearance-sim run office
      clearance-sim run mine.toml -r 100 --set stations.lodge.servers=3 --json result.json
    """  # noqa: D301, D412 - click's mark for lines to keep
    try:
        read = _with_warm_up(opened(scenario, changes), warm_up)
    except ScenarioError as error:
        refuse(error, progress_json)
        raise
    folder = Path(out) if out else None
    if folder:
        make_folder(folder)
        trace = trace or (str(folder / "trace.parquet") if trace_out else None)
    check_writable(json_path, trace, folder / "result.json" if folder else None)
    begun, count = time.perf_counter(), replications or read.run.replications
    try:
        with executor_for(scheduler, dask_workers) as executor:
            result = _run(read, count, seed, workers, trace, level, progress_json, executor)
    except MemoryError as error:
        raise click.ClickException(str(_("{error} Shorten the horizon, or add servers.", error=error))) from None
    for path in [json_path if json_path != "-" else None, str(folder / "result.json") if folder else None]:
        if path:
            write_document(path, result.to_json() + "\n")
    if json_path == "-":
        echo_document(result.to_json())
    elif progress_json:
        click.echo(json.dumps({"finished": True}))
    else:
        print_result(result, console(), time.perf_counter() - begun)
        for path in filter(None, (json_path, trace, str(folder / "result.json") if folder else None)):
            click.echo(_("Written: {path}", path=path))
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
    if not is_interactive():
        return simulate(None)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(str(_("{count} at a time", count=min(workers or processors(), count))), total=count)
        return simulate(lambda done, total: bar.update(task, completed=done))


def _with_warm_up(scenario: Scenario, given: str | None) -> Scenario:
    if given is None:
        return scenario
    if given != "mser-5" and not given.isdigit():
        raise click.BadParameter(
            str(_("{given} is neither a number of declarations nor mser-5", given=given)), param_hint="--warm-up"
        )
    kind = {"warm_up": given} if given == "mser-5" else {"warm_up_declarations": int(given)}
    kept = scenario.run.model_dump(exclude_unset=True, exclude={"warm_up", "warm_up_declarations", "warm_up_h"})
    return scenario.model_copy(update={"run": type(scenario.run).model_validate({**kept, **kind})})


def _next(scenario: str, result: Result, json_path: str | None) -> Message:
    if result.replications == 1:
        return _("Next: one replication gives no interval; clearance-sim run {scenario} -r 20", scenario=scenario)
    mean = result.clocks["total"].mean
    if mean.value and mean.half_width / mean.value > 0.05:
        more = max(2, round(result.replications * (mean.half_width / mean.value / 0.02) ** 2))
        return _(
            "Next: the mean is known to {known:.0%}; for 2 %: clearance-sim run {scenario} -r {more}",
            known=mean.half_width / mean.value,
            scenario=scenario,
            more=more,
        )
    if json_path:
        return _("Next: change one number and compare: clearance-sim run {scenario} --set KEY=VALUE", scenario=scenario)
    return _("Next: keep the figures: clearance-sim run {scenario} --json result.json", scenario=scenario)


@click.command(cls=LocalisedCommand)
def warm_up_cache_command() -> None:
    """Compile the engine for this machine, so that the next run starts at once (about a minute, once)."""
    begun = time.perf_counter()
    # The loop is compiled for plain scenarios and for all.
    for name in ("six-stations", "office"):
        run(opened(name, ("run.declarations=100", "run.warm_up_declarations=0")), replications=1, workers=1)
    click.echo(
        _(
            "The engine is compiled ({seconds:.1f} s). Next: clearance-sim scenarios",
            seconds=time.perf_counter() - begun,
        )
    )
