"""Validation on published studies that were not used for calibration: predicted against published figures."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from clearance_sim.analysis.estimate import Interval
from clearance_sim.messages import _
from clearance_sim.procedure.context import SWITCHES, WORDS, Context, ContextError, compose, parameters
from clearance_sim.procedure.hours import HoursError, read_hours
from clearance_sim.procedure.levers import LEVERS, Levers
from clearance_sim.procedure.network import ARRIVAL, DECLARED, LODGEMENT, OWNERS, TRADER
from clearance_sim.procedure.simulation import Array, Laboratory, Runs, by_replication, counted, of_channel, time_in

TOLERANCE = 1.35
"""The factor by which ports vary between years without a reform (Nhava Sheva 2017-18, Korea 2015-21)."""

PLAIN = ("mean", "median", "p90", "p95", "share within", "customs share", "reduction", "stages")
CUSTOMS = tuple(name for name, owner in OWNERS.items() if owner in ("customs", "system", "agency"))
_CLOCKS = (ARRIVAL, LODGEMENT, DECLARED, TRADER)
_PLAIN_CLOCKS = {clock.replace("→", "->"): clock for clock in _CLOCKS}
_KEYS = {
    "id", "study", "year", "what", "clock", "statistic", "stations", "channel", "published", "unit", "known",
    "tolerance", "slack", "within_h", "context", "levers", "against", "against_levers", "inputs", "note",
}  # fmt: skip
_NEEDED = ("id", "study", "published", "statistic")


NONE = Levers()


class StudyError(ValueError):
    """A row of a file of studies that cannot be used."""


@dataclass(frozen=True)
class Study:
    """A published figure, with the context in which it was measured."""

    id: str
    study: str
    published: float
    statistic: str
    context: Context
    levers: Levers
    year: int = 0
    what: str = ""
    clock: str = ARRIVAL
    unit: str = "h"
    known: str = "seen"
    stations: tuple[str, ...] = ()
    channel: str = ""
    tolerance: float = TOLERANCE
    slack: float = 0.0
    within_h: float = 72.0
    against: Context | None = None
    against_levers: Levers = NONE
    inputs: tuple[str, ...] = ()
    guesses: tuple[str, ...] = ()
    """Numbers of the context that the study does not state."""
    note: str = ""

    def holds(self, predicted: float) -> bool:
        """Tell whether a prediction lies within the tolerance, which is a ratio, or within the absolute slack."""
        if abs(predicted - self.published) <= self.slack:
            return True
        if self.published <= 0 or predicted <= 0:
            return False
        return 1 / self.tolerance <= predicted / self.published <= self.tolerance


@dataclass(frozen=True)
class Trial:
    """A study with the model's prediction."""

    study: Study
    predicted: Interval

    @property
    def inside(self) -> bool:
        """Whether the prediction lies within the study's tolerance."""
        return self.study.holds(self.predicted.value)

    def to_json(self) -> dict[str, Any]:
        row = self.study
        return {
            "id": row.id,
            "study": row.study,
            "year": row.year,
            "what": row.what,
            "clock": row.clock,
            "channel": row.channel,
            "statistic": row.statistic,
            "published": row.published,
            "predicted": self.predicted.to_json(),
            "tolerance": row.tolerance,
            "slack": row.slack,
            "unit": row.unit,
            "inside": self.inside,
            "known": row.known,
            "stated": list(row.inputs),
            "guessed": list(row.guesses),
            "note": row.note,
        }


def packaged_studies() -> list[Study]:
    """Return the studies that come with the package.

    Raises:
        StudyError: The packaged file is wrong.
    """
    return read_studies((files("clearance_sim.procedure") / "data" / "studies.toml").read_text(encoding="utf-8"))


def read_studies(text: str, where: str = "studies.toml") -> list[Study]:
    """Parse a file of studies.

    Raises:
        StudyError: The text is not TOML, or a row is wrong. The message names the row and the nearest known name.
    """
    try:
        rows = tomllib.loads(text).get("study", [])
    except tomllib.TOMLDecodeError as fault:
        raise StudyError(_("{where}: not TOML: {fault}", where=where, fault=fault)) from fault
    if not rows:
        raise StudyError(_("{where}: holds no [[study]]", where=where))
    return [_study(row, f"{where}: study {row.get('id', number)}") for number, row in enumerate(rows, 1)]


def _study(row: Mapping[str, Any], where: str) -> Study:
    _only(row, _KEYS, where)
    for needed in _NEEDED:
        if needed not in row:
            raise StudyError(_("{where}: has no {needed!r}", where=where, needed=needed))
    if row["statistic"] not in PLAIN:
        raise StudyError(
            _(
                "{where}: no statistic is called {statistic!r}; there are {names}",
                where=where,
                statistic=row["statistic"],
                names=", ".join(PLAIN),
            )
        )
    clock = _PLAIN_CLOCKS.get(row.get("clock", ARRIVAL), row.get("clock", ARRIVAL))
    if clock not in _CLOCKS:
        raise StudyError(
            _(
                "{where}: no clock is called {clock!r}; there are {names}",
                where=where,
                clock=clock,
                names=", ".join(_CLOCKS),
            )
        )
    if unknown := set(row.get("stations", ())) - set(OWNERS):
        raise StudyError(
            _(
                "{where}: no station is called {unknown!r}; there are {names}",
                where=where,
                unknown=min(unknown),
                names=", ".join(OWNERS),
            )
        )
    if row["statistic"] == "reduction" and "against" not in row:
        raise StudyError(_("{where}: a reduction needs a context it is measured `against`", where=where))
    plain = {key: row[key] for key in _KEYS & set(row) if key not in _BUILT}
    own = row.get("context", {})
    return Study(
        **plain,
        clock=clock,
        context=context_of(own, where),
        levers=_levers(row.get("levers", {}), where),
        against=context_of(row["against"], where) if "against" in row else None,
        against_levers=_levers(row.get("against_levers", {}), where),
        stations=tuple(row.get("stations", ())),
        inputs=tuple(row.get("inputs", ())),
        guesses=tuple(sorted(name for name in own if name not in row.get("inputs", ()) and name not in WORDS)),
    )


_BUILT = ("clock", "context", "levers", "against", "against_levers", "stations", "inputs")
_ALIASES = ("officer_hours", "facilitated_share", "green_share", "documents_mean_h")


def context_of(row: Mapping[str, Any], where: str = "context") -> Context:
    """Build a context from a study's row, in which some of a study's own terms are allowed.

    Raises:
        StudyError: The row has an unknown name or an impossible value.
    """
    _only(row, {*WORDS, *SWITCHES, *_ALIASES, *parameters()}, where)
    words = {key: row[key] for key in (*WORDS, *SWITCHES) if key in row}
    if "officer_hours" in row:
        words |= {"desk_hours": row["officer_hours"], "yard_hours": row["officer_hours"]}
    numbers = {key: float(value) for key, value in row.items() if key in parameters()}
    try:
        for key in ("desk_hours", "yard_hours", "laboratory_hours"):
            read_hours(words.get(key, "24x7"))
        here = compose("study", {**words, "set": numbers, "source": "the study's row"})
    except (ContextError, HoursError) as fault:
        raise StudyError(f"{where}: {fault}") from fault
    return _aliased(here, row, where)


def _aliased(here: Context, row: Mapping[str, Any], where: str) -> Context:
    green = row.get("facilitated_share", row.get("green_share"))
    if green is not None:
        yellow = 1 - float(green) - here["red_share"]
        if yellow < -1e-9:
            raise StudyError(_("{where}: facilitated_share and red_share sum to more than one", where=where))
        here = here.but(because="the study's row", yellow_share=max(0.0, yellow))
    if "documents_mean_h" in row:
        here = here.having(_documents_of_mean(here, float(row["documents_mean_h"])), "the study's row")
    return here


def _documents_of_mean(here: Context, mean_h: float) -> dict[str, float]:
    from clearance_sim.procedure.calibration import from_median_and_p90

    now = from_median_and_p90(here["documents_median_h"], here["documents_p90_h"])
    factor = mean_h / (now.mean * here["trader_scale"])
    return {name: here[name] * factor for name in ("documents_median_h", "documents_p90_h")}


def _levers(row: Mapping[str, Any], where: str) -> Levers:
    _only(row, set(LEVERS), where)
    return Levers(**{name: float(strength) for name, strength in row.items()})


def _only(row: Mapping[str, Any], keys: set[str], where: str) -> None:
    import difflib

    for key in row:
        if key not in keys:
            near = difflib.get_close_matches(key, keys, n=1)
            if near:
                raise StudyError(
                    _("{where}: does not know {key!r}; did you mean {near!r}?", where=where, key=key, near=near[0])
                )
            raise StudyError(_("{where}: does not know {key!r}", where=where, key=key))


def try_studies(
    studies: Sequence[Study], laboratory: Laboratory, progress: Callable[[int, int], None] | None = None
) -> list[Trial]:
    """Predict each published figure. `progress` is called with (done, total)."""
    trials = []
    for number, study in enumerate(studies, 1):
        trials.append(Trial(study, Interval.over(_predicted(study, laboratory))))
        if progress is not None:
            progress(number, len(studies))
    return trials


def _predicted(study: Study, laboratory: Laboratory) -> Array:
    if study.statistic in ("stages", "customs share"):
        return _stages(laboratory.runs(study.context, study.levers, stages=True), study)
    values = by_replication(laboratory.runs(study.context, study.levers), study.clock, study.channel)
    if study.statistic == "reduction":
        assert study.against is not None
        others = by_replication(laboratory.runs(study.against, study.against_levers), study.clock, study.channel)
        return np.array([100 * (1 - own.mean() / other.mean()) for own, other in zip(values, others, strict=True)])
    return np.array([_statistic(study, own) for own in values])


def _stages(runs: Runs, study: Study) -> Array:
    """Return the mean hours at the study's stations, or customs' share of the whole in per cent, by replication."""
    share = study.statistic == "customs share"
    hours, whom = time_in(runs, CUSTOMS if share else study.stations)
    if share:
        whom = np.isfinite(runs.clock_values(ARRIVAL)) & counted(runs)
    if study.channel:
        whom &= of_channel(runs, study.channel)
    means = np.array([row[keep].mean() if keep.any() else np.nan for row, keep in zip(hours, whom, strict=True)])
    if not share:
        return means
    whole = [values.mean() for values in by_replication(runs, ARRIVAL, study.channel)]
    return np.asarray(100 * means / np.array(whole))


def _statistic(study: Study, values: Array) -> float:
    if values.size == 0:
        return float("nan")
    match study.statistic:
        case "mean":
            return float(values.mean())
        case "share within":
            return float((values <= study.within_h).mean()) * (100 if study.unit == "%" else 1)
        case _:
            return float(np.quantile(values, {"median": 0.5, "p90": 0.9, "p95": 0.95}[study.statistic]))
