"""A result as tables on the terminal."""

import math

from rich.console import Console
from rich.table import Table

from clearance_sim.analysis.estimate import Estimate
from clearance_sim.analysis.result import Durations, Result


def print_result(result: Result, console: Console, seconds: float) -> None:
    """Print the figures of a run, each with its interval."""
    if not console.is_terminal:
        console.width = 160
    total = int(sum(s.run[0] for s in result.summaries))
    console.print(
        f"{result.scenario}: {result.replications} replications, seed {result.seed}, {total:,} declarations"
        f" ({result.warm_up:,} of each replication left out as warm-up), {seconds:.2f} s"
    )
    console.print(f"± is half the {result.level:.1%} confidence interval. Times in hours.".replace(".0%", "%"))
    console.print(_clocks(result))
    console.print(_stations(result))
    console.print(_waits(result))
    if result.unfinished.value > 0:
        console.print(f"Unfinished at the horizon: {shown(result.unfinished)} declarations.")
    if result.observed:
        console.print(_observed(result))


def shown(e: Estimate) -> str:
    """`3.72 ± 0.04`; a dash where nothing is known."""
    if math.isnan(e.value):
        return "–"
    if math.isnan(e.half_width):
        return f"{e.value:.4g}"
    digits = 3 if e.half_width <= 0 else max(0, min(6, 1 - math.floor(math.log10(e.half_width))))
    return f"{e.value:.{digits}f} ± {e.half_width:.{digits}f}"


def _table(title: str, first: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _durations(d: Durations) -> list[str]:
    return [shown(d.mean), shown(d.p50), shown(d.p90), shown(d.p95)]


def _clocks(result: Result) -> Table:
    targets = sorted({t for clock in result.clocks.values() for t in clock.within})
    table = _table(
        "End to end", "clock", "declarations", "mean", "P50", "P90", "P95", *(f"within {t:g} h" for t in targets)
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
    extra = ["turned away", "gave up"] if lossy else []
    table = _table(
        "Stations", "station", "arrivals", "served/h", "waiting", "in service", "on duty", "utilisation",
        "overtime", *extra,
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
        "Waiting and sojourn", "station", "had to wait", "wait: mean", "P50", "P90", "P95", "sojourn: mean",
        "P50", "P90", "P95",
    )  # fmt: skip
    for name, s in result.stations.items():
        table.add_row(name, shown(s.delayed_share), *_durations(s.wait), *_durations(s.sojourn))
    return table


def _observed(result: Result) -> Table:
    table = _table("Observed", "where", "at h", "waiting", "in service", "together", "on duty", "empty")
    for name, seen in result.observed.items():
        for o in seen:
            cells = [shown(part) for part in (o.waiting, o.in_service, o.present, o.on_duty, o.empty)]
            table.add_row(name, f"{o.at_h:g}", *cells)
    return table
