"""The whole study of the claim as one document, claim.json."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from clearance_sim.analysis.estimate import Interval, number
from clearance_sim.claim.factorial import (
    Factorial,
    attribution,
    attribution_json,
    cells_json,
    credit_in_words,
    factorial,
    smallest_sets,
)
from clearance_sim.claim.sensitivity import sobol, tornado
from clearance_sim.claim.sweeps import adoption, bound, congestion, frontier
from clearance_sim.claim.verdict import Evidence, Reading, Verdict, judge, remarks
from clearance_sim.messages import _
from clearance_sim.procedure.calibration import from_median_and_p90, kept_fits
from clearance_sim.procedure.context import Context, context, contexts, parameters
from clearance_sim.procedure.levers import ARMS, LEVERS, PAPERLESS, Arm, letters_of
from clearance_sim.procedure.measured import fraud
from clearance_sim.procedure.network import ARRIVAL, CHANNELS, CLOCKS, OWNERS, TITLES
from clearance_sim.procedure.simulation import (
    STATISTICS,
    Array,
    Laboratory,
    Runs,
    Summary,
    by_replication,
    counted,
    time_in,
)
from clearance_sim.procedure.studies import packaged_studies, try_studies


@dataclass(frozen=True)
class Effort:
    """The size of every part of the study: replications, weeks, points."""

    factorial: Laboratory
    small: Laboratory
    """For parts with very many cells: Sobol, frontier."""
    studies: Laboratory
    congested: Laboratory
    """From an empty office, so that a queue without end shows as what it becomes in so many weeks."""
    sobol_base: int
    frontier_points: int
    adoption_points: int
    quick: bool


def effort(quick: bool, seed: int, workers: int, laboratory: Laboratory) -> Effort:
    """Return the size of the full study, or of a quick one that takes seconds and has wide intervals."""
    base = replace(laboratory, seed=seed, workers=workers)
    if quick:
        return Effort(
            factorial=replace(base, replications=5, weeks=2, warm_up_weeks=2),
            small=replace(base, replications=2, weeks=1, warm_up_weeks=1),
            studies=replace(base, replications=3, weeks=2, warm_up_weeks=2),
            congested=replace(base, replications=3, weeks=4, warm_up_weeks=0),
            sobol_base=4,
            frontier_points=3,
            adoption_points=5,
            quick=True,
        )
    return Effort(
        factorial=replace(base, replications=20, weeks=6, warm_up_weeks=2),
        small=replace(base, replications=3, weeks=3, warm_up_weeks=2),
        studies=replace(base, replications=10, weeks=6, warm_up_weeks=2),
        congested=replace(base, replications=10, weeks=8, warm_up_weeks=0),
        sobol_base=64,
        frontier_points=9,
        adoption_points=11,
        quick=False,
    )


@dataclass
class Stopwatch:
    """Wall-clock seconds spent on each part."""

    seconds: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)
    cpu_started: float = field(default_factory=time.process_time)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time one part of the study. Parts of the same name are added up."""
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def to_json(self) -> dict[str, float]:
        rounded = {name: round(seconds, 2) for name, seconds in self.seconds.items()}
        return rounded | {"total": round(time.perf_counter() - self.started, 2)}

    def cpu_seconds(self) -> float:
        """Return the processor seconds since the start, which do not depend on what else the machine does."""
        return round(time.process_time() - self.cpu_started, 2)


FORMAT = "clearance-sim claim 1"
CLOCK_TITLES = {
    "arrival → release": _("from arrival to release"),
    "lodgement → release": _("from lodgement (or unloading, where that is later) to release"),
}

Progress = Callable[[str, int, int], None]
"""progress(part, done, of): called as parts of the study are done."""


@dataclass(frozen=True)
class Question:
    """The hours that the claim names, before and after."""

    from_h: float = 72.0
    to_h: float = 8.0


def study(effort: Effort, question: Question = Question(), progress: Progress = lambda *_: None) -> dict[str, Any]:
    """Run all parts of the study and return the document. `progress` is called with (part, done, total)."""
    watch = Stopwatch()
    found = [_context(context(name), effort, question, watch, progress) for name in contexts()]
    with watch.part("validation"):
        trials = try_studies(packaged_studies(), effort.studies, lambda i, n: progress("validation", i, n))
    first = found[0]
    return {
        "format": FORMAT,
        "made": {
            "version": _version(),
            "seed": effort.factorial.seed,
            "replications": effort.factorial.replications,
            "declarations": first["declarations"],
            "weeks": effort.factorial.weeks,
            "quick": effort.quick,
            "workers": effort.factorial.workers,
            "wall_seconds": watch.to_json(),
            "cpu_seconds": watch.cpu_seconds(),
            "command": _command(effort),
        },
        "claim": {"from_h": question.from_h, "to_h": question.to_h},
        "measured": effort.factorial.machine.to_json(),
        "verdict": first["verdict"],
        "contexts": found,
        "calibration": [fit.to_json() for fit in kept_fits()],
        "validation": [trial.to_json() for trial in trials],
        "consistency": remarks(question.from_h, question.to_h, first["saved_by_ledger_arm_h"]),
        "parameters": [_parameter_json(name, context(contexts()[0])) for name in parameters()],
    }


def _context(here: Context, effort: Effort, question: Question, watch: Stopwatch, progress: Progress) -> dict[str, Any]:
    def progress_of(part: str) -> Callable[[int, int], None]:
        return lambda done, of: progress(f"{here.name}: {part}", done, of)

    with watch.part("factorial"):
        cells = factorial(here, effort.factorial, progress_of("sets of levers"))
    with watch.part("arms"):
        arms = [arm_json(here, arm, effort.factorial) for arm in ARMS]
    with watch.part("adoption"):
        adopted = adoption(here, effort.factorial, effort.adoption_points)
    with watch.part("congestion"):
        congested = congestion(here, effort.congested)
    with watch.part("frontier"):
        front = frontier(here, effort.small, effort.frontier_points, progress_of("frontier"))
    with watch.part("sobol"):
        programme, technology = ARMS[-1], ARMS[2]
        rough = replace(effort.small, replications=2)
        indices = sobol(here, programme, rough, effort.sobol_base, ARRIVAL, progress=progress_of("Sobol"))
    with watch.part("tornado"):
        bars = tornado(here, technology, effort.small, ARRIVAL)
    baseline = float(cells.cells[0](ARRIVAL, "mean").mean())
    front["smallest_sets"] = {name: smallest_sets(cells, ARRIVAL, name, question.to_h) for name in STATISTICS}
    front["bound"] = bound(
        baseline, question.to_h, from_median_and_p90(here["unload_median_h"], here["unload_p90_h"]).mean
    )
    verdicts = {clock: verdict_of(here, cells, clock, question) for clock in CLOCKS}
    return {
        "name": here.name,
        "title": dict(here.title),
        "direction": here.direction,
        "cargo": here.cargo,
        "mode": here.mode,
        "remark": dict(here.remark),
        "baseline_defensible": here.baseline_defensible,
        "declarations": arms[0]["declarations"],
        "saved_by_ledger_arm_h": baseline - float(cells.of("ledger", *PAPERLESS)(ARRIVAL, "mean").mean()),
        "arms": arms,
        "factorial": cells_json(cells),
        "attribution": [attribution_json(cells, clock, name) for clock in CLOCKS for name in STATISTICS],
        "adoption": adopted,
        "congestion": congested,
        "frontier": front,
        "sobol": indices,
        "tornado": bars,
        "verdict": verdicts[ARRIVAL].to_json(),
        "verdicts": {clock: verdict.to_json() for clock, verdict in verdicts.items()},
    }


def verdict_of(here: Context, cells: Factorial, clock: str, question: Question) -> Verdict:
    """Return the verdict on one clock of one context."""
    direct, enabled = attribution(cells, clock, "mean").ledger()
    sets = smallest_sets(cells, clock, "mean", question.to_h)
    return judge(
        Evidence(
            context=here.title,
            clock=CLOCK_TITLES[clock],
            baseline=reading(cells.of(), clock),
            ledger_alone=reading(cells.of("ledger"), clock),
            paperless_with_ledger=reading(cells.of("ledger", *PAPERLESS), clock),
            paperless_without_ledger=reading(cells.of(*PAPERLESS), clock),
            everything=reading(cells.of(*LEVERS), clock),
            everything_but_the_ledger=reading(cells.of(*LEVERS[1:]), clock),
            ledger_direct_percent=direct,
            ledger_enabled_percent=enabled,
            credited=credit_in_words(),
            smallest_set=letters_of(sets[0]) if sets else None,
            from_hours=question.from_h,
            to_hours=question.to_h,
        )
    )


def reading(cell: Summary, clock: str) -> Reading:
    """Return mean, median and 90th percentile of a cell's clock as intervals."""
    mean, median, p90 = (Interval.over(np.asarray(cell(clock, name))) for name in STATISTICS)
    return Reading(mean, median, p90)


def _parameter_json(name: str, here: Context) -> dict[str, Any]:
    row = parameters()[name]
    return {
        "name": name,
        "title": dict(row.titles),
        "value": here[name],
        "range": [row.low, row.high] if row.varies else None,
        "unit": row.unit,
        "source": row.source,
        "known": row.known,
    }


def _command(effort: Effort) -> str:
    """Return the command that repeats the study."""
    measured = (
        "" if effort.factorial.machine.source == "assumption" else f" --measured {effort.factorial.machine.source}"
    )
    quick = " --quick" if effort.quick else ""
    return f"clearance-sim claim{quick} --seed {effort.factorial.seed}{measured} --json claim.json"


def _version() -> str:
    try:
        return version("provenport")
    except PackageNotFoundError:
        return "unknown"


# One arm in full: both clocks with their distributions, channels, stages, the officers' week, and fraud


STAFFED = ("document check", "examination")
ECDF_SHARES = (*(n / 100 for n in range(1, 100)), 0.995, 0.999)


def arm_json(context: Context, arm: Arm, laboratory: Laboratory) -> dict[str, Any]:
    """Run one arm and return its part of claim.json."""
    runs = laboratory.runs(context, arm.levers, stages=True)
    return {
        "name": arm.name,
        "title": arm.title.in_all_languages(),
        "levers": arm.levers.to_json(),
        "declarations": int(sum(values.size for values in by_replication(runs, ARRIVAL))),
        "clocks": {clock: _clock(by_replication(runs, clock)) for clock in CLOCKS},
        "channels": [_channel(runs, channel) for channel in reversed(CHANNELS)],
        "stages": _stages(runs),
        "staffed": [_staffed(runs, name) for name in STAFFED if name in runs.stations],
        "week": [_week(runs, name) for name in STAFFED if name in runs.stations],
        "fraud": fraud(context, arm.levers, laboratory.machine).to_json(),
    }


def _clock(rows: list[Array]) -> dict[str, Any]:
    return {
        **_figures(rows, p95=0.95),
        "within_72h": Interval.over([_within(values, 72.0) for values in rows]).to_json(),
        "ecdf": _ecdf(np.concatenate(rows)),
    }


def _figures(rows: list[Array], **more: float) -> dict[str, Any]:
    quantiles = {"median": 0.5, "p90": 0.9, **more}
    return {
        "mean": Interval.over([values.mean() if values.size else np.nan for values in rows]).to_json(),
        **{name: Interval.over([_quantile(values, q) for values in rows]).to_json() for name, q in quantiles.items()},
        "within_8h": Interval.over([_within(values, 8.0) for values in rows]).to_json(),
    }


def _quantile(values: Array, share: float) -> float:
    return float(np.quantile(values, share)) if values.size else float("nan")


def _within(values: Array, hours: float) -> float:
    return float((values <= hours).mean()) if values.size else float("nan")


def _ecdf(values: Array) -> list[list[float | None]]:
    """Return pairs of hours and the share within them, at every hundredth and at 8 and 72 hours."""
    points = {share: float(hours) for share, hours in zip(ECDF_SHARES, np.quantile(values, ECDF_SHARES), strict=True)}
    points |= {_within(values, hours): hours for hours in (8.0, 72.0)}
    return [[number(hours), number(share)] for share, hours in sorted(points.items())]


def _channel(runs: Runs, channel: str) -> dict[str, Any]:
    everyone = by_replication(runs, ARRIVAL)
    rows = by_replication(runs, ARRIVAL, channel)
    shares = [own.size / max(1, whole.size) for own, whole in zip(rows, everyone, strict=True)]
    return {"channel": channel, "share": Interval.over(shares).to_json(), **_figures(rows)}


def _stages(runs: Runs) -> list[dict[str, Any]]:
    """Return the mean hours at each station over all consignments.

    Stays overlap, so they add up to more than the clock.
    """
    whom = np.isfinite(runs.clock_values(ARRIVAL)) & counted(runs)
    means = {}
    for name in OWNERS:
        if f"in {name}" in runs and name != "voyage":
            hours, _ = time_in(runs, (name,))
            means[name] = float(hours[whom].mean())
    total = sum(means.values()) or 1.0
    return [
        {
            "station": name,
            "title": TITLES[name].in_all_languages(),
            "owner": OWNERS[name],
            "mean_h": number(hours),
            "share": number(hours / total),
        }
        for name, hours in means.items()
    ]


def _staffed(runs: Runs, name: str) -> dict[str, Any]:
    figures = {"utilisation": runs.utilisation(name), "wait": runs.wait(name)}
    return {"station": name, **{key: Interval.over(values).to_json() for key, values in figures.items()}}


def _week(runs: Runs, name: str) -> dict[str, Any]:
    """Return the numbers waiting and on duty at every hour of the week, starting with Monday."""
    queue, servers = runs.week(name)
    return {"station": name, "queue": list(map(number, queue)), "servers": list(map(number, servers))}
