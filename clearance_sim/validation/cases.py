"""The validation cases: a scenario file each, the exact answer, and whether the simulation agrees."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

from clearance_sim.analysis.estimate import Estimate
from clearance_sim.analysis.result import Result
from clearance_sim.execution.runner import run
from clearance_sim.messages import Message, _
from clearance_sim.scenario.loader import load
from clearance_sim.validation import exact
from clearance_sim.validation.exact import Roster

Kind = Literal["wait", "sojourn", "through", "queue", "lost", "abandoned", "arrivals", "present"]


@dataclass(frozen=True)
class Reading:
    """One figure of a result.

    Mean wait or sojourn at a station, mean time through the network, mean number waiting, share lost or given up,
    arrivals of a replication, or the number present at a moment.
    """

    kind: Kind
    station: str = "desk"
    of_class: str | None = None
    at_h: float | None = None

    def __str__(self) -> str:
        """Return it as text, for the table."""
        figure = _FIGURES[self.kind]
        if self.at_h is not None:
            figure = _("{figure} at {hours:g} h", figure=figure, hours=self.at_h)
        if self.station != "desk":
            figure = _("{figure} at {station}", figure=figure, station=self.station)
        return f"{figure}, {self.of_class}" if self.of_class else str(figure)


_FIGURES: dict[Kind, Message] = {
    "wait": _("mean wait, h"),
    "sojourn": _("mean sojourn, h"),
    "through": _("mean time to exit, h"),
    "queue": _("mean number waiting"),
    "lost": _("share turned away"),
    "abandoned": _("share that gave up"),
    "arrivals": _("arrivals"),
    "present": _("number present"),
}


@dataclass(frozen=True)
class Case:
    """A scenario of `scenarios/theory` with its exact figures, which are upper bounds if `bound`."""

    scenario: str
    theory: str
    expected: tuple[tuple[Reading, float], ...]
    bound: bool = False


def all_cases() -> list[Case]:
    """Return every case. The exact values are computed, not stored."""
    return [
        case
        for make in (_one_station, _loss, _general_service, _networks, _priorities, _time, _closing, _gaps)
        for case in make()
    ]


def _one_station() -> list[Case]:
    rows = (("mm3", 2.7, 1.0, 3), ("mm3-slow", 0.2, 10.0, 3), ("mm10", 8.0, 1.0, 10), ("mm1", 0.9, 1.0, 1))
    return [_waiting(name, f"M/M/{servers}", exact.mmc_wait(rate, mean, servers)) for name, rate, mean, servers in rows]


def _loss() -> list[Case]:
    lost, waiting = exact.mmck(1.8, 1.0, 2, 4)
    queue, gave_up = exact.erlang_a(10.0, 1.0, 10, 2.0)
    return [
        Case("mm5-loss", "Erlang B", ((Reading("lost"), exact.erlang_b(5, 3.0)),)),
        Case("mg10-loss", "Erlang B, any service distribution", ((Reading("lost"), exact.erlang_b(10, 7.0)),)),
        Case("mm2-room", "M/M/2/6", ((Reading("lost"), lost), (Reading("queue"), waiting))),
        Case("impatient", "Erlang A", ((Reading("queue"), queue), (Reading("abandoned"), gave_up))),
    ]


def _general_service() -> list[Case]:
    theory = "Pollaczek-Khinchine"
    squared_cvs = {"md1": 0.0, "me2-1": 0.5, "mgamma1": 0.5, "mu1": 1.0 / 3.0, "mln1": 4.0, "mh2-1": 4.0}
    cases = [_waiting(n, theory, exact.pollaczek_khinchine_wait(0.8, 1.0, cv2)) for n, cv2 in squared_cvs.items()]
    return [
        *cases,
        _waiting("md2", "Crommelin", exact.mdc_wait(1.6, 1.0, 2)),
        _waiting("md3", "Crommelin", exact.mdc_wait(2.7, 1.0, 3)),
        _waiting("mx1", "M[X]/M/1", exact.batch_wait(0.2, 1.0, 3.0, 9.0)),
    ]


def _networks() -> list[Case]:
    row, through = exact.jackson_sojourns([1, 0, 0], [[0, 1, 0], [0, 0, 1], [0, 0, 0]], [1 / 1.5, 1.25, 0.8], [1, 2, 1])
    loop, looped = exact.jackson_sojourns(
        [1, 0, 0], [[0, 0.7, 0.3], [0, 0, 0.5], [0.2, 0, 0]], [1.25, 1.0, 1 / 1.2], [2, 1, 1]
    )
    return [
        _network("tandem", "Jackson, Burke", row, through),
        _network("feedback", "Jackson with feedback", loop, looped),
    ]


def _priorities() -> list[Case]:
    return [
        _by_class("cobham", "Cobham", "wait", exact.cobham_waits([0.2, 0.3, 0.3], [1.0] * 3, [2.0] * 3)),
        _by_class(
            "cobham-mixed", "Cobham", "wait", exact.cobham_waits([0.2] * 3, [0.5, 1, 2], [0.25, 2.0, 16.0 / 3.0])
        ),
        _by_class("mm3-priorities", "M/M/3 with priorities", "wait", exact.priority_waits([0.6, 0.9, 0.9], 1.0, 3)),
        _by_class(
            "pre-emptive",
            "White-Christie",
            "sojourn",
            exact.pre_emptive_sojourns([0.2, 0.3, 0.3], [1.0] * 3, [2.0] * 3),
        ),
        _pre_emptive_room(),
    ]


def _pre_emptive_room() -> Case:
    lost, sojourns = exact.pre_emptive_room([0.5, 0.5], 1.0, 2)
    classes = ("first", "second")
    return Case(
        "pre-emptive-room",
        "M/M/1/3, Markov chain",
        (
            (Reading("lost"), lost),
            *((Reading("lost", of_class=name), lost) for name in classes),
            *((Reading("sojourn", of_class=name), value) for name, value in zip(classes, sojourns, strict=True)),
        ),
    )


def _closing() -> list[Case]:
    """Return cases whose jobs fill a shift to its last moment, under each policy, and one with a full waiting room."""
    wait = exact.fixed_work_wait(jobs=5, work_h=1.0, opens_h=8.0, a_shift=4, cycle_h=24.0)
    policies = ("drain", "crew", "resume", "finish")
    lost = exact.roster_loss(Roster(1.8, 0.9, (0, 5, 2), 8.0), 6)
    return [
        *(_waiting(f"closing-{policy}", "a job after the other", wait) for policy in policies),
        Case("roster-room", "Markov chain", ((Reading("lost"), lost),)),
    ]


def _time() -> list[Case]:
    moments = [0.0, 6.0, 12.0, 18.0]
    present = exact.swinging_infinite_servers(10.0, 0.8, 24.0, 4.0, moments)
    grown = exact.from_empty(0.9, 1.0, 1, [10.0, 100.0])
    roster = Roster(1.8, 0.9, (0, 5, 2), 8.0)
    by_policy: dict[str, Callable[[Roster], float]] = {
        "drain": exact.drain_sojourn,
        "crew": exact.crew_sojourn,
        "pre-empt-resume": exact.pre_empt_resume_sojourn,
    }
    halves = (("first", 0.0), ("second", 12.0))
    return [
        Case("swinging", "Eick-Massey-Whitt", _at("present", moments, present)),
        *(
            Case(
                f"swinging-{half}-half",
                "integral of the rate",
                ((Reading("arrivals"), exact.swinging_arrivals(10.0, 0.8, 24.0, phase, 12.0)),),
            )
            for half, phase in halves
        ),
        Case("from-empty", "Markov chain", _at("present", [10.0, 100.0], grown)),
        *(
            Case(f"roster-{policy}", "Markov chain", ((Reading("sojourn"), sojourn(roster)),))
            for policy, sojourn in by_policy.items()
        ),
    ]


def _gaps() -> list[Case]:
    bound = exact.kingman_bound(1.25, 0.5, 1.0, 0.5)
    return [
        _waiting("dm1", "D/M/1", exact.deterministic_arrivals_wait(1.25, 1.0)),
        Case("e2e2-1", "Kingman's bound", ((Reading("wait"), bound),), bound=True),
    ]


def _waiting(scenario: str, theory: str, wait: float) -> Case:
    return Case(scenario, theory, ((Reading("wait"), wait),))


def _network(scenario: str, theory: str, sojourns: list[float], through: float) -> Case:
    names = ("first", "second", "third")
    nodes = tuple((Reading("sojourn", name), value) for name, value in zip(names, sojourns, strict=True))
    return Case(scenario, theory, (*nodes, (Reading("through"), through)))


def _by_class(scenario: str, theory: str, kind: Kind, values: list[float]) -> Case:
    names = ("first", "second", "third")
    return Case(
        scenario, theory, tuple((Reading(kind, of_class=name), v) for name, v in zip(names, values, strict=True))
    )


def _at(kind: Kind, moments: list[float], values: list[float]) -> tuple[tuple[Reading, float], ...]:
    return tuple((Reading(kind, at_h=at), value) for at, value in zip(moments, values, strict=True))


LEVEL = 0.999
MOST_HALF_WIDTH = 0.01


@dataclass(frozen=True)
class Answer:
    """One figure, exact and simulated."""

    case: Case
    reading: Reading
    exact: float
    simulated: Estimate

    @property
    def relative_half_width(self) -> float:
        """The half-width of the interval as a share of the exact value."""
        return self.simulated.half_width / abs(self.exact)

    @property
    def passed(self) -> bool:
        """Whether theory and simulation agree.

        The exact value must lie within the 99.9 % interval over replications, whose half-width must be below 1 % of it.
        Where theory gives a bound only, the whole interval must lie below it. Seeds are fixed in the scenario files, so
        the outcome does not vary.
        """
        if not self.relative_half_width < MOST_HALF_WIDTH:
            return False
        if self.case.bound:
            return self.simulated.high <= self.exact
        return self.simulated.low <= self.exact <= self.simulated.high


def scenario_file(name: str) -> Path:
    """Return the path of a case's packaged file."""
    return Path(str(files("clearance_sim"))) / "scenarios" / "theory" / f"{name}.toml"


def answers(case: Case, workers: int | None = None) -> Iterator[Answer]:
    """Run a case and yield its figures."""
    result = run(load(scenario_file(case.scenario)), workers=workers, keep_values=False)
    for reading, value in case.expected:
        yield Answer(case, reading, value, read(result, reading).at_level(LEVEL))


def read(result: Result, reading: Reading) -> Estimate:
    """Return the estimate that a reading names."""
    if reading.kind == "through":
        return result.clocks["total"].mean
    if reading.kind == "arrivals":
        return result.arrivals
    if reading.kind == "present":
        return _present(result, reading)
    station = result.stations[reading.station]
    if reading.kind == "queue":
        return station.queue_length
    visits = station.by_class[reading.of_class] if reading.of_class else station
    return {
        "wait": visits.wait.mean,
        "sojourn": visits.sojourn.mean,
        "lost": visits.lost_share,
        "abandoned": visits.abandoned_share,
    }[reading.kind]


def _present(result: Result, reading: Reading) -> Estimate:
    return next(seen.present for seen in result.observed[reading.station] if seen.at_h == reading.at_h)
