"""Search for the cheapest roster that reaches its targets.

First each shift alone is reduced, by bisection, with all others at their most. What fails then also fails with fewer
people elsewhere. Then rosters are tried from the cheapest on, with common random numbers. A roster is skipped if it
offers a station fewer hours than its work, or has no more people on any shift than one that failed. Each is simulated
until a one-sided interval decides. Rosters of the same least cost are ranked by Kim and Nelson's procedure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from clearance_sim import run
from clearance_sim.analysis.estimate import Interval
from clearance_sim.messages import Message, _
from clearance_sim.procedure.simulation import by_replication
from clearance_sim.scenario import ScenarioError
from clearance_sim.scenario.checks import loads_of
from clearance_sim.scenario.model import Scenario
from clearance_sim.scenario.timetable import mean_servers
from clearance_sim.staffing.rosters import Offer, Roster, by_cost, capacity, cost, no_stronger, staffed

Array = NDArray[np.float64]
Sample = Callable[[int, int, int], Array]
"""sample(system, first replication, count) → one value a replication."""


@dataclass(frozen=True)
class Choice:
    """The system selected, and the sampling that was needed."""

    best: int
    survivors: tuple[int, ...]
    replications: tuple[int, ...]
    confidence: float
    indifference: float
    decided: bool
    """False if replications ran out with several systems left, of which the smallest mean was taken."""


def select(
    systems: int, sample: Sample, indifference: float, confidence: float = 0.95, first: int = 10, most: int = 200
) -> Choice:
    """Select the system with the smallest mean. Systems are dropped as soon as another is clearly smaller.

    S.-H. Kim and B. L. Nelson, "A fully sequential procedure for indifference-zone selection in simulation", ACM TOMACS
    11 (2001): with probability at least `confidence` the selected system has the smallest mean, provided that the next
    is worse by `indifference` or more. Common random numbers are allowed, since only variances of differences enter.
    """
    values = [sample(system, 0, first) for system in range(systems)]
    alive = list(range(systems))
    if systems == 1:
        return Choice(0, (0,), (first,), confidence, indifference, True)
    alpha = 1 - confidence
    # The constant η of the procedure (for c = 1), with `first` as its initial sample size.
    eta = 0.5 * ((2 * alpha / (systems - 1)) ** (-2 / (first - 1)) - 1)
    spread = {(i, j): float(np.var(values[i] - values[j], ddof=1)) for i in alive for j in alive if i != j}
    count = first
    while True:
        alive = _still_in_play(alive, values, spread, indifference, eta, first, count)
        if len(alive) == 1 or count >= most:
            break
        for system in alive:
            values[system] = np.append(values[system], sample(system, count, 1))
        count += 1
    best = min(alive, key=lambda system: float(values[system].mean()))
    return Choice(best, tuple(alive), tuple(len(v) for v in values), confidence, indifference, len(alive) == 1)


def _still_in_play(
    alive: list[int],
    values: list[Array],
    spread: dict[tuple[int, int], float],
    indifference: float,
    eta: float,
    first: int,
    count: int,
) -> list[int]:
    def beaten(i: int, j: int) -> bool:
        square = 2 * eta * (first - 1) * spread[i, j]
        # W(r) of the procedure with h² = 2 η (n0 - 1): the allowance shrinks as replications grow.
        slack = max(0.0, indifference / (2 * count) * (square / indifference**2 - count))
        return float(values[i][:count].mean()) > float(values[j][:count].mean()) + slack

    return [i for i in alive if not any(beaten(i, j) for j in alive if j != i)]


Log = Callable[[Message], None]


class Fate(StrEnum):
    """What is known of a roster."""

    REACHES = "reaches the target"
    FAILS = "fails"
    UNDECIDED = "cannot be told"


_FATES = {
    Fate.REACHES: _("reaches the target"),
    Fate.FAILS: _("fails"),
    Fate.UNDECIDED: _("cannot be told"),
}


@dataclass(frozen=True)
class Tried:
    """A roster that was simulated."""

    roster: Roster
    cost: float
    fate: Fate
    statistics: tuple[Interval, ...]
    replications: int


@dataclass
class Search:
    """What the search found, and what it skipped."""

    offers: Sequence[Offer]
    targets: Sequence[Target]
    confidence: float
    tried: list[Tried] = field(default_factory=list)
    skipped_by_load: int = 0
    skipped_as_weaker: int = 0
    best: Tried | None = None
    choice: Choice | None = None


@dataclass
class Bench:
    """Simulates rosters and keeps the results, so that no replication is run twice."""

    scenario: Scenario
    offers: Sequence[Offer]
    targets: Sequence[Target]
    seed: int = 1
    workers: int | None = None
    _kept: dict[Roster, list[Array]] = field(default_factory=dict)

    def shortfalls(self, roster: Roster, count: int) -> Array:
        """Return the shortfalls, one row for each target and one column for each replication."""
        have = self._kept.get(roster)
        if have is None or have[0].shape[1] < count:
            self._kept[roster] = have = self._simulated(roster, count)
        return have[0][:, :count]

    def statistics(self, roster: Roster, count: int) -> Array:
        """Return the targets' statistics, one row for each target and one column for each replication."""
        self.shortfalls(roster, count)
        return self._kept[roster][1][:, :count]

    def _simulated(self, roster: Roster, count: int) -> list[Array]:
        scenario = staffed(self.scenario, self.offers, roster)
        result = run(scenario, replications=count, seed=self.seed, workers=self.workers)
        hours = [by_replication(result, target.clock) for target in self.targets]
        pairs = list(zip(self.targets, hours, strict=True))
        return [
            np.array([[target.shortfall(values) for values in rows] for target, rows in pairs]),
            np.array([[target.of(values) for values in rows] for target, rows in pairs]),
        ]


def search(
    scenario: Scenario,
    offers: Sequence[Offer],
    targets: Sequence[Target],
    confidence: float = 0.95,
    indifference_h: float = 0.1,
    first: int = 8,
    most: int = 64,
    seed: int = 1,
    workers: int | None = None,
    limit: int = 2000,
    log: Log = lambda _: None,
) -> Search:
    """Find the cheapest roster that reaches every target, and the best among equally cheap ones.

    At most `limit` rosters are simulated, each with `first` to `most` replications.
    """
    found = Search(offers, targets, confidence)
    bench = Bench(scenario, offers, targets, seed, workers)
    work = work_a_week(scenario, offers)
    failed = _too_weak(found, bench, first, most)
    if tuple(offer.most for offer in offers) in failed:
        return found
    for roster in by_cost(offers):
        # Rosters of the same cost are still tried, since `_rank` selects among them.
        if found.best is not None and cost(offers, roster) > found.best.cost + 1e-9:
            break
        if any(capacity(offers, roster, station) <= hours for station, hours in work.items()):
            found.skipped_by_load += 1
        elif any(no_stronger(roster, than) for than in failed):
            found.skipped_as_weaker += 1
        elif len(found.tried) >= limit:
            break
        else:
            tried = _try(bench, roster, confidence, first, most)
            found.tried.append(tried)
            log(_("{cost:g} a week, {roster}: {fate}", cost=tried.cost, roster=roster, fate=_FATES[tried.fate]))
            if tried.fate == Fate.FAILS:
                failed.append(roster)
            elif tried.fate == Fate.REACHES and found.best is None:
                found.best = tried
    _rank(found, bench, indifference_h, first, most)
    return found


def _too_weak(found: Search, bench: Bench, first: int, most: int) -> list[Roster]:
    """Return rosters that fail although every shift but one has all its people.

    There is one for each shift that needs somebody.
    """
    strongest = tuple(offer.most for offer in found.offers)
    whole = _try(bench, strongest, found.confidence, first, most)
    if whole.fate == Fate.FAILS:
        found.tried.append(whole)
        return [strongest]
    failed: list[Roster] = []
    for position, offer in enumerate(found.offers):
        fails, holds = offer.least - 1, offer.most
        while holds - fails > 1:
            middle = (fails + holds) // 2
            weakened = (*strongest[:position], middle, *strongest[position + 1 :])
            if _try(bench, weakened, found.confidence, first, most).fate == Fate.FAILS:
                fails = middle
            else:
                holds = middle
        if fails >= offer.least:
            failed.append((*strongest[:position], fails, *strongest[position + 1 :]))
    return failed


def work_a_week(scenario: Scenario, offers: Sequence[Offer]) -> dict[str, float]:
    """Return the hours of work that arrive at each station on offer in a week, from the traffic equations."""
    loads = loads_of(scenario)
    return {
        name: loads[name] * mean_servers(scenario, scenario.stations[name]) * 168
        for name in {offer.station for offer in offers}
    }


def _try(bench: Bench, roster: Roster, confidence: float, first: int, most: int) -> Tried:
    count = first
    try:
        while (fate := _fate(bench.shortfalls(roster, count), confidence)) == Fate.UNDECIDED and count < most:
            count = min(2 * count, most)
        statistics = tuple(Interval.over(row) for row in bench.statistics(roster, count))
    except ScenarioError:
        # Nobody is ever on duty at some station: no run can show anything else.
        fate, statistics, count = Fate.FAILS, (), 0
    return Tried(roster, cost(bench.offers, roster), fate, statistics, count)


def _fate(shortfalls: Array, confidence: float) -> Fate:
    """Decide by one-sided bounds, with the error probability divided among the targets (Bonferroni)."""
    count = shortfalls.shape[1]
    quantile = float(student.ppf(1 - (1 - confidence) / len(shortfalls), count - 1))
    middle = shortfalls.mean(axis=1)
    half = quantile * shortfalls.std(axis=1, ddof=1) / np.sqrt(count)
    if (middle + half <= 0).all():
        return Fate.REACHES
    if not np.isfinite(middle).all() or (middle - half > 0).any():
        return Fate.FAILS
    return Fate.UNDECIDED


def _rank(found: Search, bench: Bench, indifference: float, first: int, most: int) -> None:
    if found.best is None:
        return
    equals = [t for t in found.tried if t.fate == Fate.REACHES and abs(t.cost - found.best.cost) < 1e-9]

    def sample(system: int, start: int, count: int) -> Array:
        worst = bench.shortfalls(equals[system].roster, start + count).max(axis=0)
        return np.asarray(worst[start : start + count])

    # Chunks are doubled inside the bench's cache, so that single further replications do not each cost a run.
    def chunked(system: int, start: int, count: int) -> Array:
        bench.shortfalls(equals[system].roster, max(first, 1 << (start + count - 1).bit_length()))
        return sample(system, start, count)

    found.choice = select(len(equals), chunked, indifference, found.confidence, max(first, 10), most)
    found.best = equals[found.choice.best]


# Targets in words: `P90(lodgement → release) <= 8h`, `mean(…) <= 6h`, `share(…, 8h) >= 90%`

_LIMIT = re.compile(r"^\s*(mean|median|[Pp]\d{1,2})\s*\((.+)\)\s*<=?\s*([\d.]+)\s*h?\s*$")
_SHARE = re.compile(r"^\s*share\s*\((.+),\s*([\d.]+)\s*h?\)\s*>=?\s*([\d.]+)\s*(%?)\s*$")


class TargetError(ValueError):
    """A target that cannot be parsed, or that names a clock which the scenario does not have."""


@dataclass(frozen=True)
class Target:
    """A statistic of a clock, and its bound. `shortfall` is at most zero if the bound is kept."""

    words: str
    clock: str
    statistic: str
    bound: float
    within_h: float = 0.0

    def of(self, hours: Array) -> float:
        """Return the statistic over the hours of one replication. NaN if there are none."""
        if hours.size == 0:
            return float("nan")
        if self.statistic == "share":
            return float((hours <= self.within_h).mean())
        if self.statistic == "mean":
            return float(hours.mean())
        share = 0.5 if self.statistic == "median" else int(self.statistic[1:]) / 100
        return float(np.quantile(hours, share))

    def shortfall(self, hours: Array) -> float:
        """Return by how much one replication misses the bound."""
        value = self.of(hours)
        return self.bound - value if self.statistic == "share" else value - self.bound


def read_target(words: str, clocks: Sequence[str]) -> Target:
    """Parse a target. A plain `->` may stand for the arrow.

    Raises:
        TargetError: It is malformed, or names an unknown clock.
    """
    limit, share = _LIMIT.match(words), _SHARE.match(words)
    if limit:
        statistic, clock, bound = limit.groups()
        target = Target(words, _clock(clock, clocks), statistic.lower(), float(bound))
    elif share:
        clock, within, bound, percent = share.groups()
        target = Target(words, _clock(clock, clocks), "share", float(bound) / (100 if percent else 1), float(within))
    else:
        raise TargetError(
            _(
                "target {words!r} is not like 'P90(lodgement → release) <= 8h' or 'share(lodgement → "
                "release, 8h) >= 90%'",
                words=words,
            )
        )
    if target.statistic == "share" and not 0 < target.bound < 1:
        raise TargetError(_("target {words!r}: a share lies between 0 and 100 %", words=words))
    return target


def _clock(words: str, clocks: Sequence[str]) -> str:
    plain = {name.replace("→", "->"): name for name in clocks}
    name = words.strip()
    if name in clocks:
        return name
    if name.replace("→", "->") in plain:
        return plain[name.replace("→", "->")]
    raise TargetError(
        _("the scenario has no clock {name!r}; it has {value}", name=name, value=", ".join(clocks) or "none")
    )
