"""The result of a run: every figure as an estimate over replications, and the times themselves where kept."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearance_sim.analysis.estimate import Estimate, estimated
from clearance_sim.analysis.summary import CLOCK_FIGURES, TIME_FIGURES, VISIT_FIGURES, Summary

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Durations:
    """Mean and quantiles of a duration, in hours."""

    mean: Estimate
    p50: Estimate
    p90: Estimate
    p95: Estimate


@dataclass(frozen=True)
class Visits:
    """What became of the visits to a station."""

    entered: Estimate
    served: Estimate
    lost: Estimate
    abandoned: Estimate
    lost_share: Estimate
    abandoned_share: Estimate
    delayed_share: Estimate
    throughput_per_h: Estimate
    wait: Durations
    sojourn: Durations


@dataclass(frozen=True)
class StationResult(Visits):
    """A station's figures; numbers are averages over time in the window that is counted."""

    queue_length: Estimate
    in_service: Estimate
    on_duty: Estimate
    utilisation: Estimate
    overtime: Estimate
    scheduled_overtime: Estimate
    by_class: dict[str, Visits]


@dataclass(frozen=True)
class ClockResult(Durations):
    """A clock's figures; `within` is the share that makes each target."""

    standard_deviation: Estimate
    count: Estimate
    within: dict[float, Estimate]
    by_class: dict[str, "ClockResult"]


@dataclass(frozen=True)
class Observed:
    """Numbers at one moment, of a station or of all."""

    at_h: float
    waiting: Estimate
    in_service: Estimate
    on_duty: Estimate
    empty: Estimate
    present: Estimate
    """Waiting or in service."""


@dataclass
class Result:
    """What a run found."""

    scenario: str
    stations: dict[str, StationResult]
    clocks: dict[str, ClockResult]
    observed: dict[str, list[Observed]]
    arrivals: Estimate
    """Declarations that came in a replication."""
    unfinished: Estimate
    window_h: Estimate
    replications: int
    seed: int
    level: float
    warm_up: int
    events: int
    summaries: list[Summary] = field(repr=False)
    classes: list[str] = field(default_factory=list)
    clock_names: list[str] = field(default_factory=list)

    def clock_values(self, clock: str = "total") -> Floats:
        """Return each declaration's time, [replication, declaration in order of arrival], NaN where it has none.

        The warm-up is included: `result.warm_up` says how many of the first to drop.
        """
        return self._kept(
            [s.values[self.clock_names.index(clock)] if s.values is not None else None for s in self.summaries]
        )

    @property
    def final_class(self) -> NDArray[np.int64]:
        """The class each declaration ended in, as its place in `class_names`; -1 where a row is shorter."""
        return np.nan_to_num(self._kept([s.classes for s in self.summaries]), nan=-1).astype(np.int64)

    @property
    def class_names(self) -> list[str]:
        return self.classes

    @property
    def in_warm_up(self) -> NDArray[np.bool_]:
        """Whether each declaration belongs to the warm-up, in the shape of `clock_values`."""
        longest = int(max(s.run[0] for s in self.summaries))
        left_out = [s.run[0] - s.run[1] for s in self.summaries]
        return np.arange(longest)[None, :] < np.array(left_out)[:, None]

    def _kept(self, rows: Sequence[NDArray[Any] | None]) -> Floats:
        if any(row is None for row in rows):
            raise ValueError("the single times were not kept; run with keep_values=True")
        known = [row for row in rows if row is not None]
        found = np.full((len(known), max(map(len, known))), np.nan)
        for into, row in zip(found, known, strict=True):
            into[: len(row)] = row
        return found

    def as_json(self) -> dict[str, Any]:
        """Return the figures as nested tables; an unknown number is null."""
        return {
            "format": "clearance-sim result 1",
            "scenario": self.scenario,
            "replications": self.replications,
            "seed": self.seed,
            "level": self.level,
            "warm_up_declarations": self.warm_up,
            "arrivals": self.arrivals.as_json(),
            "unfinished": self.unfinished.as_json(),
            "window_h": self.window_h.as_json(),
            "stations": {name: _json(station) for name, station in self.stations.items()},
            "clocks": {name: _json(clock) for name, clock in self.clocks.items()},
            "observed": {name: [_json(o) for o in seen] for name, seen in self.observed.items()},
        }

    def to_json(self) -> str:
        """Return the figures as JSON text."""
        return json.dumps(self.as_json(), ensure_ascii=False, indent=1, allow_nan=False)


def _json(value: Any) -> Any:
    if isinstance(value, Estimate):
        return value.as_json()
    if isinstance(value, dict):
        return {str(key): _json(item) for key, item in value.items()}
    if hasattr(value, "__dataclass_fields__"):
        return {name: _json(getattr(value, name)) for name in value.__dataclass_fields__}
    return value


def _observed(at_h: float, seen: Floats, everyone: bool, level: float) -> Observed:
    """Return the numbers at one moment; of all stations together only the number inside is known, not who waits."""
    if everyone:
        present, unknown = estimated(seen[:, 0], level), estimated([], level)
        return Observed(at_h, unknown, unknown, unknown, estimated(seen[:, 3], level), present)
    waiting, busy, duty, empty = (estimated(seen[:, k], level) for k in range(4))
    return Observed(at_h, waiting, busy, duty, empty, estimated(seen[:, 0] + seen[:, 1], level))


def gathered(
    summaries: list[Summary], scenario: str, stations: list[str], classes: list[str], clocks: list[str],
    targets: list[tuple[float, ...]], unlimited: list[bool], observe_at: Sequence[float], seed: int, level: float,
    warm_up: int,
) -> Result:  # fmt: skip
    """Return the estimates over all replications."""
    visits = np.stack([s.visits for s in summaries])
    times = np.stack([s.times for s in summaries])
    readings = np.stack([s.clocks for s in summaries])
    run = np.stack([s.run for s in summaries])
    times[:, np.array(unlimited), TIME_FIGURES.index("utilisation")] = np.nan
    times[:, np.array(unlimited), TIME_FIGURES.index("on_duty")] = np.nan

    def visits_of(s: int, c: int) -> dict[str, Any]:
        e = {name: estimated(visits[:, s, c, k], level) for k, name in enumerate(VISIT_FIGURES)}
        wait, sojourn = (
            Durations(*(e.pop(f"{kind}_{figure}") for figure in ("mean", "p50", "p90", "p95")))
            for kind in ("wait", "sojourn")
        )
        return {**e, "wait": wait, "sojourn": sojourn}

    def clock_of(k: int, c: int) -> ClockResult:
        e = {name: estimated(readings[:, k, c, j], level) for j, name in enumerate(CLOCK_FIGURES)}
        within = {t: estimated(readings[:, k, c, len(CLOCK_FIGURES) + j], level) for j, t in enumerate(targets[k])}
        by_class = {name: clock_of(k, j + 1) for j, name in enumerate(classes)} if c == 0 else {}
        return ClockResult(**e, within=within, by_class=by_class)

    def station_of(s: int) -> StationResult:
        over_time: dict[str, Any] = {name: estimated(times[:, s, k], level) for k, name in enumerate(TIME_FIGURES)}
        by_class = {name: Visits(**visits_of(s, c + 1)) for c, name in enumerate(classes)}
        return StationResult(**visits_of(s, 0), **over_time, by_class=by_class)

    observed = np.stack([s.observed for s in summaries])
    seen = {
        name: [_observed(float(at), observed[:, m, s], s == len(stations), level) for m, at in enumerate(observe_at)]
        for s, name in enumerate([*stations, "everywhere"])
    }
    return Result(
        scenario=scenario,
        stations={name: station_of(s) for s, name in enumerate(stations)},
        clocks={name: clock_of(k, 0) for k, name in enumerate(clocks)},
        observed=seen if len(observe_at) else {},
        arrivals=estimated(run[:, 0], level),
        unfinished=estimated(run[:, 2], level),
        window_h=estimated(run[:, 3], level),
        replications=len(summaries),
        seed=seed,
        level=level,
        warm_up=warm_up,
        events=int(run[:, 4].sum()),
        summaries=summaries,
        classes=classes,
        clock_names=clocks,
    )
