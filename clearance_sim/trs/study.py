"""The time release study itself: four intervals, by whatever cases can be told apart by, and where the time goes.

Terms follow the WCO Guide to Measure the Time Required for the Release of Goods.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from clearance_sim.messages import _
from clearance_sim.trs import LogError, Problem
from clearance_sim.trs.cases import Cases, cases_of, local_times, without_repetitions
from clearance_sim.trs.column_map import SPLITS
from clearance_sim.trs.event_log import EventLog
from clearance_sim.trs.figures import FENCE, Figures, Resampling, Survival, figures, kaplan_meier
from clearance_sim.trs.stages import Stage, stages

INTERVALS = {
    "arrival_to_release": ("arrived", "released"),
    "lodgement_to_release": ("lodged", "released"),
    "arrival_to_lodgement": ("arrived", "lodged"),
    "release_to_gate_out": ("released", "gate_out"),
}
"""The headline, customs' clock, the trader's clock and the clock of removal."""
FORMAT = "provenport-trs/1"
ENOUGH_BLOCKS = 8
RULES = {
    "extremes": _(
        "A duration is extreme where it exceeds the third quartile by over {fence:g} interquartile ranges. None is "
        "removed: they are counted, and the mean without them stands beside the mean.",
        fence=FENCE,
    ),
    "early": _("Goods released before they arrived count zero hours from arrival to release."),
    "repeated": _("Of repeated arrivals and lodgements the first counts, of releases and departures the last."),
    "open": _(
        "Cases not released when the observation ends, or that ended otherwise (rejected, withdrawn, returned, "
        "seized), enter the Kaplan-Meier estimate as censored and no other figure."
    ),
    "quantiles": _("Linear interpolation (Hyndman and Fan 1996, type 7)."),
}


@dataclass(frozen=True)
class Question:
    """What the study is asked."""

    target_hours: float = 8.0
    by: tuple[str, ...] = ()
    peak: tuple[int, int] = (8, 18)
    """Peak: these hours of Monday to Friday, by the time of lodgement (of arrival where that is unknown)."""
    resampling: Resampling = field(default_factory=Resampling)
    until: float | None = None


@dataclass(frozen=True)
class Interval:
    """One of the four intervals over one group of cases."""

    name: str
    group: str
    """``all``, or SPLIT=VALUE."""
    figures: Figures | None
    survival: Survival | None
    before: int
    """How many are negative: lodged before arrival (or zero, for what was released before)."""


@dataclass(frozen=True)
class Hour:
    """An hour of the day: how many cases began then, and how long they took."""

    hour: int
    cases: int
    median_hours: float | None


@dataclass(frozen=True)
class Study:
    """A finished study; ``to_json`` is the form that the report reads."""

    source: str
    events: int
    declarations: int
    released: int
    open: int
    ended_otherwise: int
    set_aside: int
    first_event: str
    last_event: str
    zone: str
    question: Question
    resampled_by: str
    intervals: tuple[Interval, ...]
    stages: tuple[Stage, ...]
    hours: tuple[Hour, ...]
    findings: tuple[Problem, ...]

    def interval(self, name: str, group: str = "all") -> Interval:
        """Return one of the four intervals, of one group."""
        return next(found for found in self.intervals if (found.name, found.group) == (name, group))

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        findings = [problem.to_json() for problem in self.findings]
        rules = {name: str(rule) for name, rule in RULES.items()}
        return {"format": FORMAT, **asdict(replace(self, findings=())), "findings": findings, "rules": rules}


def study(log: EventLog, question: Question = Question()) -> Study:
    """Compute the study; raises LogError where the log cannot answer the question."""
    _check(log, question)
    log, repeated = without_repetitions(log)
    cases = cases_of(log, question.until)
    blocks, resampled_by = _blocks(cases, log.map.zone)
    table = cases.table
    released, ended = table["released"].notna(), table["ended"].notna()
    intervals = [
        _interval(cases, name, group, chosen, blocks, question)
        for group, chosen in _groups(cases, log, question)
        for name in INTERVALS
        if table[list(INTERVALS[name])].notna().any().all()
    ]
    return Study(
        source=log.name,
        events=len(log.table),
        declarations=len(log.names),
        released=int(released.sum()),
        open=int((~released & ~ended).sum()),
        ended_otherwise=int((~released & ended).sum()),
        set_aside=cases.set_aside,
        first_event=_iso(log.table["time"].min(), log.map.zone),
        last_event=_iso(log.table["time"].max(), log.map.zone),
        zone=log.map.zone,
        question=question,
        resampled_by=resampled_by,
        intervals=tuple(intervals),
        stages=tuple(stages(log, cases)),
        hours=tuple(_hours(cases, log.map.zone)),
        findings=tuple(found for found in (*log.findings, repeated, *cases.findings) if found),
    )


def _check(log: EventLog, question: Question) -> None:
    problems = [
        Problem(
            _("cannot split by {name}", name=name),
            _("this log tells apart {names}", names=", ".join([*log.splits, "peak"])),
        )
        for name in question.by
        if name not in log.splits and name != "peak"
    ]
    words = log.map.events.get("released", ())
    known = set(log.table["event"].unique())
    if not any(word.partition(":")[0] in known for word in words):
        fix = _(
            "the map says released = {map}, the log has {log}",
            map=list(words),
            log=", ".join(sorted(map(str, known))[:12]),
        )
        problems.append(Problem(_("nothing in the log is a release"), fix))
    if problems:
        raise LogError(problems)


def _groups(cases: Cases, log: EventLog, question: Question) -> Iterator[tuple[str, Any]]:
    yield "all", np.ones(len(cases.table), dtype=bool)
    for name in dict.fromkeys((*question.by, "peak")):
        values = _is_peak(cases, log.map.zone, question.peak) if name == "peak" else cases.table[name].astype(str)
        for value in sorted(set(values) - {"", "nan"}):
            yield f"{name}={value}", (values == value).to_numpy()


def _begun(cases: Cases) -> pd.Series:
    return cases.table["lodged"].fillna(cases.table["arrived"])


def _is_peak(cases: Cases, zone: str, peak: tuple[int, int]) -> pd.Series:
    begun = local_times(_begun(cases).to_numpy(), zone)
    inside = (begun.day_of_week < 5) & (begun.hour >= peak[0]) & (begun.hour < peak[1])
    return pd.Series(np.where(inside, "peak", "off-peak"), index=cases.table.index)


def _blocks(cases: Cases, zone: str) -> tuple[Any, str]:
    """Return what is resampled together: replications, else days of arrival, where there are enough; else nothing."""
    if "replication" in cases.table and cases.table["replication"].nunique() >= ENOUGH_BLOCKS:
        return cases.table["replication"].cat.codes.to_numpy(), "replication"
    begun = cases.table["arrived"].fillna(cases.table["lodged"]).to_numpy()
    days = local_times(begun, zone).normalize()
    codes, names = pd.factorize(days)
    return (codes, "day") if len(names) >= ENOUGH_BLOCKS else (None, "declaration")


def _interval(cases: Cases, name: str, group: str, chosen: Any, blocks: Any, question: Question) -> Interval:
    begin, end = INTERVALS[name]
    hours = cases.hours(begin, end)
    negative = chosen & (hours < 0)
    if name == "arrival_to_release":
        hours = np.maximum(hours, 0.0)
    seen = chosen & ~np.isnan(hours)
    counted = figures(hours[seen], question.target_hours, question.resampling, None if blocks is None else blocks[seen])
    survival = _survival(cases, begin, hours, chosen, question) if end == "released" else None
    return Interval(name, group, counted, survival, int(negative.sum()))


def _survival(cases: Cases, begin: str, hours: Any, chosen: Any, question: Question) -> Survival | None:
    table = cases.table
    watched_until = table["ended"].fillna(table["seen_until"]).to_numpy()
    watched = (watched_until - table[begin].to_numpy()) / 1e6 / 3600
    ended = ~np.isnan(hours)
    known = chosen & ~np.isnan(table[begin].to_numpy()) & (ended | (watched >= 0))
    return kaplan_meier(np.where(ended, hours, watched)[known], ended[known], question.target_hours)


def _hours(cases: Cases, zone: str) -> Iterator[Hour]:
    begun = local_times(_begun(cases).to_numpy(), zone).hour.to_numpy()
    took = cases.hours("lodged", "released")
    if np.isnan(took).all():
        took = np.maximum(cases.hours("arrived", "released"), 0)
    for hour in range(24):
        here = took[begun == hour]
        ended = here[~np.isnan(here)]
        yield Hour(hour, len(here), float(np.median(ended)) if len(ended) else None)


def _iso(micros: float, zone: str) -> str:
    return str(pd.Timestamp(int(micros), unit="us", tz="UTC").tz_convert(zone).isoformat())


def splits_asked(text: str) -> tuple[str, ...]:
    """Parse `channel,class` as given on the command line.

    Raises:
        LogError.

    A name is none that a log can be split by.

    """
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in (*SPLITS, "peak")]
    if unknown:
        raise LogError(
            [
                Problem(
                    _("cannot split by {unknown}", unknown=", ".join(unknown)),
                    _("choose from {names}", names=", ".join((*SPLITS, "peak"))),
                )
            ]
        )
    return names


def hours_asked(text: str) -> float:
    """Parse `8h`, `90min`, `2d` or `8` to hours.

    Raises:
        LogError: the text is no length of time.
    """
    units: Sequence[tuple[str, float]] = (("min", 1 / 60), ("h", 1.0), ("d", 24.0), ("", 1.0))
    for unit, hours in units:
        if text.endswith(unit):
            try:
                asked = float(text.removesuffix(unit)) * hours
            except ValueError:
                break
            if np.isfinite(asked) and asked > 0:
                return asked
            break
    raise LogError([Problem(_("{text!r} is no length of time", text=text), _("write it like 8h, 90min or 2d"))])
