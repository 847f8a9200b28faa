"""Runs the cases and holds each answer to theory.

An answer passes when the exact value lies within the 99.9 % interval over replications and the interval's half-width
is below 1 % of the exact value; where theory only bounds, when the whole interval lies below the bound. Seeds are
those of the scenario files, so the outcome is always the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from clearance_sim.analysis.estimate import Estimate
from clearance_sim.analysis.result import Result
from clearance_sim.execution.running import run
from clearance_sim.scenario.reading import load
from clearance_sim.validation.cases import Case, Reading

LEVEL = 0.999
MOST_HALF_WIDTH = 0.01


@dataclass(frozen=True)
class Answer:
    """One figure, as theory has it and as it was simulated."""

    case: Case
    reading: Reading
    exact: float
    simulated: Estimate

    @property
    def relative_half_width(self) -> float:
        """The half-width as a share of the exact value."""
        return self.simulated.half_width / abs(self.exact)

    @property
    def passed(self) -> bool:
        """Whether theory and simulation agree, as sharply as asked."""
        if not self.relative_half_width < MOST_HALF_WIDTH:
            return False
        if self.case.bound:
            return self.simulated.high <= self.exact
        return self.simulated.low <= self.exact <= self.simulated.high


def scenario_file(name: str) -> Path:
    """The packaged file of a case."""
    return Path(str(files("clearance_sim"))) / "scenarios" / "theory" / f"{name}.toml"


def answers(case: Case, workers: int | None = None) -> Iterator[Answer]:
    """Run a case and read its figures."""
    result = run(load(scenario_file(case.scenario)), workers=workers, keep_values=False)
    for reading, exact in case.expected:
        yield Answer(case, reading, exact, read(result, reading).at_level(LEVEL))


def read(result: Result, reading: Reading) -> Estimate:
    """The estimate that a reading names."""
    if reading.kind == "through":
        return result.clocks["total"].mean
    if reading.kind == "arrivals":
        return result.arrivals
    if reading.kind == "present":
        return _present(result, reading)
    everyone = result.stations[reading.station]
    station = everyone.by_class[reading.of_class] if reading.of_class else everyone
    return {
        "wait": station.wait.mean,
        "sojourn": station.sojourn.mean,
        "queue": everyone.queue_length,
        "lost": station.lost_share,
        "abandoned": station.abandoned_share,
    }[reading.kind]


def _present(result: Result, reading: Reading) -> Estimate:
    return next(seen.present for seen in result.observed[reading.station] if seen.at_h == reading.at_h)
