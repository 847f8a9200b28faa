"""A scenario as flat tables, which is all that the event loop reads."""

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from clearance_sim.engine.distributions import distribution_row
from clearance_sim.engine.philox import stream_key
from clearance_sim.scenario.checks import class_names, ways_from
from clearance_sim.scenario.distributions import Distribution, Exponential
from clearance_sim.scenario.model import EXIT, Branch, Scenario
from clearance_sim.scenario.quantity import Positive
from clearance_sim.scenario.timetable import UNLIMITED, of_station, rates_of

TIE_H = 1e-7
"""Times this close, a third of a millisecond, are one moment: ten jobs of 0.1 h fill an hour, rounded or not."""
# Where declarations go that stay nowhere.
OUT, LOST, ABANDONED = -1, -2, -3
NOWHERE = -9
# Points of a declaration's way that need no note.
ARRIVE, LEFT, NO_POINT = -1, -2, -3
DRAIN, CREW, RESUME, FINISH = range(4)
POLICIES = {"drain": DRAIN, "crew": CREW, "pre-empt-resume": RESUME, "finish-before-close": FINISH}
# Columns of Tables.station.
POLICY, PRE_EMPTIVE, ROOM, PATIENCE, OVERFLOW, ABANDON, SINCE, LISTED, STREAM = range(9)
ENTER_AT, START_AT, LEAVE_AT, DUE_AT = range(9, 13)
# Columns of Tables.source.
S_STREAM, S_GAP, S_FIRST, S_COUNT, S_CYCLE, S_BATCH, S_BATCH_FIRST, S_BATCH_COUNT = range(8)
S_WAYS, S_WAYS_COUNT, S_CLASSES, S_CLASS_COUNT, S_CHOICES = range(8, 13)
SINGLE, FIXED_SIZE, SIZES, GEOMETRIC = range(4)


class Tables(NamedTuple):
    """What the loop reads."""

    distributions: NDArray[np.float64]
    distribution_table: NDArray[np.float64]
    station: NDArray[np.int64]
    frailty: NDArray[np.float64]
    service: NDArray[np.int64]
    ways: NDArray[np.int64]  # [class, station] -> first, count, the one that frailty moves (or -1)
    way_to: NDArray[np.int64]  # station, class taken on
    way_p: NDArray[np.float64]  # cumulative probability, probability, frailty, intercept
    rank: NDArray[np.int64]  # of a class: 0 is served first
    calendar: NDArray[np.int64]  # station -> first step, steps, cycle from
    step_at: NDArray[np.float64]
    step: NDArray[np.int64]  # on duty, of them overtime, whether a shift ends here
    period: NDArray[np.float64]
    source: NDArray[np.int64]
    source_f: NDArray[np.float64]  # period, amplitude, sinusoid's period, phase, mean batch or its size
    rate_at: NDArray[np.float64]  # start, rate
    pick: NDArray[np.float64]  # classes and batch sizes: cumulative probability, value
    clock_from: NDArray[np.int64]
    clock_to: NDArray[np.int64]
    observe_at: NDArray[np.float64]
    options: NDArray[np.float64]  # see OPTIONS


# Tables.options.
DECLARATIONS, HORIZON, CUT, WARM_COUNT, WARM_H, LOOPS, FRAIL, TRADERS, EVERY_H, TRACE, POINTS, RANKS = range(12)
IMPATIENT, PLAIN = 12, 13
TRADER_STREAM = stream_key("traders")


def is_plain(tables: Tables) -> bool:
    """Return whether a scenario does without what the loop need not look for then.

    That is: ranks, patience, pre-emption, frailty, loops, batches, points that clocks read, and any end of shift but
    to drain.
    """
    options, station = tables.options, tables.station
    unused = options[[LOOPS, FRAIL, POINTS, IMPATIENT]].any() or options[RANKS] > 1
    stations = (station[:, POLICY] == DRAIN) & (station[:, LISTED] == 0) & (station[:, SINCE] == NO_POINT)
    return bool(not unused and stations.all() and (tables.source[:, S_BATCH] == SINGLE).all())


@dataclass
class Compiled:
    """Tables with the names that they stand for."""

    tables: Tables
    stations: list[str]
    classes: list[str]
    clocks: list[str]
    unlimited: list[bool]


@dataclass
class _Making:
    """What grows while the tables are made."""

    scenario: Scenario
    distributions: list[list[float]] = field(default_factory=list)
    distribution_table: list[tuple[float, float]] = field(default_factory=list)
    way_to: list[tuple[int, int]] = field(default_factory=list)
    way_p: list[tuple[float, float, float, float]] = field(default_factory=list)
    pick: list[tuple[float, float]] = field(default_factory=list)
    points: dict[tuple[str, str], int] = field(default_factory=dict)

    def distribution(self, distribution: Distribution) -> int:
        self.distributions.append(distribution_row(distribution, self.distribution_table))
        return len(self.distributions) - 1

    def goal(self, name: str | None, otherwise: int) -> int:
        if name is None:
            return otherwise
        return OUT if name == EXIT else list(self.scenario.stations).index(name)

    def point(self, text: str) -> int:
        if text == "arrive":
            return ARRIVE
        if text == EXIT:
            return LEFT
        event, _, station = text.partition(":")
        return self.points.setdefault((event, station), len(self.points))

    def ways(self, ways: tuple[Branch, ...]) -> tuple[int, int, int]:
        first, total, moved = len(self.way_to), 0.0, -1
        classes = class_names(self.scenario)
        for position, way in enumerate(ways):
            p = way.probability.value
            total = 1.0 if position == len(ways) - 1 else total + p
            if way.frailty and 0 < p < 1:
                moved = position
            becomes = -1 if way.becomes is None else classes.index(way.becomes)
            self.way_to.append((self.goal(way.to, OUT), becomes))
            self.way_p.append((total, p, way.frailty, _intercept(p, way.frailty)))
        return first, len(ways), moved


# Gauss-Hermite quadrature: a mean over frailty, which is standard normal.
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(60)


@lru_cache(maxsize=4096)
def _intercept(p: float, slope: float) -> float:
    """Return the logit at which a chance that moves with frailty still has the mean p."""
    if not slope or not 0 < p < 1:
        return 0.0
    nodes, weights = _NODES, _WEIGHTS

    def excess(a: float) -> float:
        return float(weights @ (1.0 / (1.0 + np.exp(-(a + slope * nodes)))) / weights.sum()) - p

    return float(brentq(excess, -60.0, 60.0, xtol=1e-13))


def compiled(scenario: Scenario) -> Compiled:
    """Return the tables of a scenario."""
    making = _Making(scenario)
    names, classes = list(scenario.stations), class_names(scenario)
    clocks = {"total": (("arrive",), EXIT), **{n: (c.from_, c.to) for n, c in scenario.clocks.items()}}
    width = max(len(points) for points, _ in clocks.values())
    clock_from = [
        [making.point(p) for p in points] + [NO_POINT] * (width - len(points)) for points, _ in clocks.values()
    ]
    clock_to = [making.point(to) for _, to in clocks.values()]
    for station in scenario.stations.values():
        if station.since is not None:
            making.point(station.since)
    service = [
        [making.distribution(s.service_by_class.get(c, s.service)) for s in scenario.stations.values()] for c in classes
    ]
    ways = [[making.ways(ways_from(scenario, s, c)) for s in names] for c in classes]
    rows = [_station(making, name) for name in names]
    calendar, step_at, step, period = _calendars(scenario)
    source, source_f, rate_at = _sources(making, classes)
    priorities = [scenario.classes[c].priority if scenario.classes else 0 for c in classes]
    ranks = {priority: rank for rank, priority in enumerate(sorted(set(priorities)))}
    observe = scenario.observe
    tables = Tables(
        distributions=_floats(making.distributions, 8),
        distribution_table=_floats(making.distribution_table, 2),
        station=np.array(rows, np.int64),
        frailty=np.array([s.frailty for s in scenario.stations.values()], np.float64),
        service=np.array(service, np.int64),
        ways=np.array(ways, np.int64),
        way_to=np.array(making.way_to, np.int64),
        way_p=_floats(making.way_p, 4),
        rank=np.array([ranks[priority] for priority in priorities], np.int64),
        calendar=calendar,
        step_at=step_at,
        step=step,
        period=period,
        source=source,
        source_f=source_f,
        rate_at=rate_at,
        pick=_floats(making.pick, 2),
        clock_from=np.array(clock_from, np.int64),
        clock_to=np.array(clock_to, np.int64),
        observe_at=np.array(sorted(float(t) for t in observe.at_h) if observe else [], np.float64),
        options=_options(scenario, len(making.points), len(ranks)),
    )
    tables.options[PLAIN] = is_plain(tables)
    unlimited = [s.servers == "unlimited" for s in scenario.stations.values()]
    return Compiled(tables, names, classes, list(clocks), unlimited)


def _floats(rows: Any, width: int) -> NDArray[np.float64]:
    return np.array(rows, np.float64).reshape(-1, width)


def _station(making: _Making, name: str) -> list[int]:
    s = making.scenario.stations[name]
    noted = {event: making.points.get((event, name), NO_POINT) for event in ("enter", "start", "leave", "due")}
    policy = POLICIES[s.end_of_shift]
    return [
        policy, int(s.pre_emptive), -1 if s.waiting_room is None else s.waiting_room,
        -1 if s.patience is None else making.distribution(s.patience), making.goal(s.overflow_to, LOST),
        making.goal(s.abandon_to, ABANDONED), NO_POINT if s.since is None else making.point(s.since),
        int(s.pre_emptive or (policy == RESUME and s.calendar is not None)), _signed(stream_key(s.stream or name)),
        noted["enter"], noted["start"], noted["leave"], noted["due"],
    ]  # fmt: skip


def _signed(key: int) -> int:
    # The same 64 bits as the signed number that an int64 array holds.
    return key - (1 << 64) if key >= 1 << 63 else key


def _calendars(
    scenario: Scenario,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    rows: list[tuple[int, int, int]] = []
    at: list[float] = []
    step: list[tuple[int, int, int]] = []
    period: list[float] = []
    for station in scenario.stations.values():
        made = of_station(scenario, station)
        rows.append((len(at), len(made.starts), made.cycle_from))
        at.extend(made.starts)
        step.extend(
            (UNLIMITED if station.servers == "unlimited" and c else c, o, int(h))
            for c, o, h in zip(made.capacity, made.overtime, made.handover, strict=True)
        )
        period.append(made.period_h)
    return np.array(rows, np.int64), np.array(at), np.array(step, np.int64), np.array(period)


def _sources(making: _Making, classes: list[str]) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    rows, floats = [], []
    rates: list[tuple[float, float]] = []
    unit = Exponential(distribution="exponential", mean_h=Positive(value=1.0))
    frail = making.scenario.frailty is not None
    for name, source in making.scenario.arrivals.items():
        steps = rates_of(source, making.scenario.start)
        first = len(rates)
        rates.extend(zip(steps.starts, steps.rates, strict=True))
        kind, size, batch_first, batch_count = SINGLE, 1.0, 0, 0
        if source.batch is not None:
            kind, size = (GEOMETRIC if source.batch.geometric_mean else FIXED_SIZE), source.batch.mean
            if source.batch.sizes is not None:
                weights = source.batch.weights or (1.0,) * len(source.batch.sizes)
                kind = SIZES
                batch_first, batch_count = _pick(making, source.batch.sizes, weights)
        shares = {c: p.value for c, p in source.classes.items()} or {classes[0]: 1.0}
        class_first, class_count = _pick(making, [classes.index(c) for c in shares], list(shares.values()))
        ways_first, ways_count, _ = making.ways(source.to)
        rows.append((
            _signed(stream_key("arrivals:" + (source.stream or name))), making.distribution(source.gap or unit), first,
            len(steps.starts), steps.cycle_from, kind, batch_first, batch_count, ways_first, ways_count,
            class_first, class_count, int(kind != SINGLE or class_count > 1 or ways_count > 1 or frail),
        ))  # fmt: skip
        swing = source.sinusoid
        floats.append((
            steps.period_h, swing.amplitude.value if swing else 0.0, swing.period_h.value if swing else 24.0,
            swing.phase_h if swing else 0.0, size,
        ))  # fmt: skip
    return np.array(rows, np.int64), _floats(floats, 5), _floats(rates, 2)


def _pick(making: _Making, values: Any, weights: Any) -> tuple[int, int]:
    first, total = len(making.pick), 0.0
    for position, (value, weight) in enumerate(zip(values, weights, strict=True)):
        # Exactly 1 at the end, or a uniform number beyond a rounded sum would find no value.
        total = 1.0 if position == len(values) - 1 else total + weight / math.fsum(weights)
        making.pick.append((total, float(value)))
    return first, len(values)


def _options(scenario: Scenario, points: int, ranks: int) -> NDArray[np.float64]:
    run, made = scenario.run, np.zeros(16)
    # More than a run will see, and exact as a float.
    made[DECLARATIONS] = run.declarations or 2**40
    made[HORIZON] = float(run.horizon_h) if run.horizon_h is not None else np.inf
    made[CUT] = run.cut_at_horizon
    made[WARM_COUNT] = run.warm_up_declarations or 0
    made[WARM_H] = float(run.warm_up_h or 0.0)
    made[LOOPS] = _has_loops(scenario)
    made[FRAIL] = scenario.frailty is not None
    made[TRADERS] = scenario.frailty.traders if scenario.frailty and scenario.frailty.of == "trader" else 0
    made[IMPATIENT] = any(s.patience is not None for s in scenario.stations.values())
    made[EVERY_H] = float(scenario.observe.every_h or 0.0) if scenario.observe else 0.0
    made[POINTS], made[RANKS] = points, ranks
    return made


def _has_loops(scenario: Scenario) -> bool:
    """Return whether any declaration may meet a stream twice."""
    steps = {}
    for name, s in scenario.stations.items():
        ways = [*s.next, *(w for ways in s.next_by_class.values() for w in ways)]
        goals = {w.to for w in ways} | {s.overflow_to, s.abandon_to}
        steps[name] = {goal for goal in goals if goal in scenario.stations}
    streams = [s.stream or name for name, s in scenario.stations.items()]
    while steps and (ends := [name for name, to in steps.items() if not to & steps.keys()]):
        for name in ends:
            del steps[name]
    return bool(steps) or len(set(streams)) < len(streams)
