"""Checks that a schema cannot make: names exist, routes neither leak nor trap, stations can bear their load."""

import math
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from clearance_sim.messages import Message, _, pgettext
from clearance_sim.scenario import Fault, unknown
from clearance_sim.scenario.model import EXIT, Branch, Scenario
from clearance_sim.scenario.timetable import CalendarFault, mean_rate_per_h, mean_servers, rates_of, timetable

Path = tuple[str | int, ...]
ONLY_CLASS = "all"


def class_names(scenario: Scenario) -> list[str]:
    """Return the classes of a scenario. One that names none has a single class, `all`."""
    return list(scenario.classes) or [ONLY_CLASS]


def ways_from(scenario: Scenario, station: str, of_class: str) -> tuple[Branch, ...]:
    """Return the branches that a declaration of a class can take from a station."""
    here = scenario.stations[station]
    return here.next_by_class.get(of_class, here.next)


def faults_of(scenario: Scenario) -> list[Fault]:
    """Return all faults of a scenario whose form is right. Later checks run only if earlier ones found nothing."""
    faults = [*_names(scenario), *_calendars(scenario), *_end(scenario)]
    return faults or [*_traps(scenario)] or [*_load(scenario)]


def _names(scenario: Scenario) -> Iterator[Fault]:
    stations, classes = list(scenario.stations), class_names(scenario)
    if EXIT in stations:
        yield Fault(("stations", EXIT), _("exit is the name of the way out"), _("give the station another name"))
    for name in stations:
        if ":" in name:
            yield Fault(("stations", name), _("a station's name cannot hold a colon"), _("leave it out"))
    for name, station in scenario.stations.items():
        at: Path = ("stations", name)
        yield from _ways((*at, "next"), station.next, stations, classes)
        for of_class, ways in station.next_by_class.items():
            yield from _known((*at, "next_by_class", of_class), pgettext("kind", "class"), of_class, classes)
            yield from _ways((*at, "next_by_class", of_class), ways, stations, classes)
        for of_class in station.service_by_class:
            yield from _known((*at, "service_by_class", of_class), pgettext("kind", "class"), of_class, classes)
        for key in ("overflow_to", "abandon_to"):
            if (to := getattr(station, key)) is not None:
                yield from _known((*at, key), pgettext("kind", "station"), to, [*stations, EXIT])
        if station.calendar is not None:
            yield from _known(
                (*at, "calendar"), pgettext("kind", "calendar"), station.calendar, list(scenario.calendars)
            )
        yield from _options(at, scenario, name)
    for name, source in scenario.arrivals.items():
        at = ("arrivals", name)
        yield from _ways((*at, "to"), source.to, stations, classes)
        for of_class in source.classes:
            yield from _known((*at, "classes", of_class), pgettext("kind", "class"), of_class, classes)
        yield from _sum((*at, "classes"), [p.value for p in source.classes.values()] or [1.0])
        if not source.classes and len(classes) > 1:
            yield Fault(at, _("arrivals do not say of which class they are"), _("add classes = {{ NAME = 1.0 }}"))
    yield from _clocks(scenario)


def _options(at: Path, scenario: Scenario, name: str) -> Iterator[Fault]:
    station = scenario.stations[name]
    if station.since is not None:
        yield from _point((*at, "since"), station.since, scenario)
        if station.servers != "unlimited" or station.calendar is not None or station.since == EXIT:
            yield Fault((*at, "since"), _("only unlimited servers without a calendar can hold since a point"),
                        _("set servers = \"unlimited\" and drop the calendar"))  # fmt: skip
    if station.waiting_room is None and station.overflow_to is not None:
        yield Fault(
            (*at, "overflow_to"), _("there is no waiting_room to overflow"), _("add waiting_room, or leave it out")
        )
    if station.patience is None and station.abandon_to is not None:
        yield Fault((*at, "abandon_to"), _("there is no patience to lose"), _("add patience, or leave it out"))
    if station.frailty and scenario.frailty is None:
        yield Fault((*at, "frailty"), _("the scenario does not say whose"), _('add [frailty] of = "declaration"'))
    if station.pre_emptive and station.end_of_shift == "finish-before-close":
        yield Fault((*at, "pre_emptive"), _("cannot be combined with finish-before-close"), _("choose one of the two"))


def _ways(path: Path, ways: tuple[Branch, ...], stations: list[str], classes: list[str]) -> Iterator[Fault]:
    if not ways:
        yield Fault(path, _("leads nowhere"), _('name a station, or "{exit}"', exit=EXIT))
    for branch in ways:
        yield from _known((*path, branch.to), pgettext("kind", "station"), branch.to, [*stations, EXIT])
        if branch.becomes is not None:
            yield from _known((*path, "becomes"), pgettext("kind", "class"), branch.becomes, classes)
    yield from _sum(path, [branch.probability.value for branch in ways])
    if sum(branch.frailty != 0 for branch in ways) > 1:
        yield Fault(
            path, _("more than one way depends on frailty"), _("let one of them; the others give way in proportion")
        )


def _known(path: Path, kind: Message, name: str, names: list[str]) -> Iterator[Fault]:
    if name not in names:
        what, fix = unknown(kind, name, names or ["(none)"])
        yield Fault(path, what, fix)


def _sum(path: Path, probabilities: list[float]) -> Iterator[Fault]:
    total = math.fsum(probabilities)
    if abs(total - 1.0) > 1e-9:
        yield Fault(path, _("the probabilities sum to {total:.12g}, not 1", total=total), _("make them sum to 1"))


def _clocks(scenario: Scenario) -> Iterator[Fault]:
    for name, clock in scenario.clocks.items():
        for key, points in (("from", clock.from_), ("to", (clock.to,))):
            for point in points:
                yield from _point(("clocks", name, key), point, scenario)


def _point(path: Path, point: str, scenario: Scenario) -> Iterator[Fault]:
    event, colon, name = point.partition(":")
    if colon and event in ("enter", "start", "leave", "due"):
        yield from _known(path, pgettext("kind", "station"), name, list(scenario.stations))
        if event == "due" and name in scenario.stations and scenario.stations[name].since is None:
            yield Fault(
                path,
                _("{name} is not a station with since, so it is never due", name=name),
                _("name one that has since"),
            )
    elif point not in ("arrive", EXIT):
        fix = _("arrive, enter:STATION, start:STATION, leave:STATION, due:STATION or exit")
        yield Fault(path, _("{point} is not a point of a declaration's way", point=point), fix)


def _calendars(scenario: Scenario) -> Iterator[Fault]:
    for name, calendar in scenario.calendars.items():
        try:
            timetable(calendar, 1, scenario.start)
        except CalendarFault as fault:
            yield Fault(("calendars", name, *fault.path), fault.what, fault.fix)
    for name, station in scenario.stations.items():
        own = station.servers if station.servers not in (None, "unlimited") else None
        path: Path = ("stations", name, "servers")
        if own is not None and float(own) == 0:
            yield Fault(path, _("nobody ever serves here"), _("give at least one server"))
        if station.servers is None:
            roster = scenario.calendars.get(station.calendar or "")
            if roster is None or any(shift.servers is None for shift in roster.shifts):
                yield Fault(
                    ("stations", name), _("does not say how many serve"), _('add servers, a number or "unlimited"')
                )


def _end(scenario: Scenario) -> Iterator[Fault]:
    run = scenario.run
    if run.allow_overload and run.horizon_h is None:
        yield Fault(("run", "allow_overload"), _("an overloaded run has to end somewhere"), _("add horizon_h"))
    for name, source in scenario.arrivals.items():
        try:
            rates_of(source, scenario.start)
        except CalendarFault as fault:
            yield Fault(("arrivals", name, *fault.path), fault.what, fault.fix)
    seen = scenario.observe
    if seen and seen.every_h and any(float(t) >= float(seen.every_h) for t in seen.at_h):
        yield Fault(("observe", "at_h"), _("a moment lies outside the cycle of every_h"), _("give hours below every_h"))
    if run.declarations is None and run.horizon_h is None:
        yield Fault(("run",), _("the run has no end"), _("add declarations, or horizon_h"))
    if run.cut_at_horizon and run.horizon_h is None:
        yield Fault(("run", "cut_at_horizon"), _("there is no horizon to cut at"), _("add horizon_h"))


def _traps(scenario: Scenario) -> Iterator[Fault]:
    """Yield stations that no declaration reaches, and stations from which none can leave."""
    states = {
        (to, c) for source in scenario.arrivals.values() for to, c in _entries(scenario, source.to, source.classes)
    }
    steps: dict[tuple[str, str], set[tuple[str, str]]] = {}
    waiting = list(states)
    while waiting:
        state = waiting.pop()
        if state[0] == EXIT or state in steps:
            continue
        steps[state] = set(_steps(scenario, *state))
        waiting.extend(steps[state])
    reached = {station for station, _ in steps}
    for name in scenario.stations:
        if name not in reached:
            yield Fault(
                ("stations", name), _("no declaration ever comes here"), _("route some here, or remove the station")
            )
    leaving = {state for state, to in steps.items() if any(station == EXIT for station, _ in to)}
    while grown := {state for state, to in steps.items() if state not in leaving and to & leaving}:
        leaving |= grown
    for name in sorted({station for station, c in steps if (station, c) not in leaving}):
        yield Fault(
            ("stations", name, "next"),
            _("nobody who comes here ever leaves"),
            _('lead some way to "{exit}"', exit=EXIT),
        )


def _entries(scenario: Scenario, ways: tuple[Branch, ...], classes: Iterable[str]) -> Iterator[tuple[str, str]]:
    for of_class in list(classes) or class_names(scenario)[:1]:
        for branch in ways:
            if branch.probability.value > 0:
                yield branch.to, branch.becomes or of_class


def _steps(scenario: Scenario, name: str, of_class: str) -> Iterator[tuple[str, str]]:
    station = scenario.stations[name]
    for branch in ways_from(scenario, name, of_class):
        if branch.probability.value > 0:
            yield branch.to, branch.becomes or of_class
    for to in (station.overflow_to, station.abandon_to):
        if to is not None:
            yield to, of_class


def offered_flows(scenario: Scenario) -> dict[tuple[str, str], float]:
    """Return visits per hour to each (station, class) if no declaration were lost, by the traffic equations."""
    names, classes = list(scenario.stations), class_names(scenario)
    index = {(s, c): i for i, (s, c) in enumerate((s, c) for s in names for c in classes)}
    into, moves = np.zeros(len(index)), np.zeros((len(index), len(index)))
    for source in scenario.arrivals.values():
        rate = mean_rate_per_h(source, scenario.start)
        shares = {c: p.value for c, p in source.classes.items()} or {classes[0]: 1.0}
        for of_class, share in shares.items():
            for branch in source.to:
                if branch.to != EXIT:
                    into[index[branch.to, branch.becomes or of_class]] += rate * share * branch.probability.value
    for (name, of_class), i in index.items():
        for branch in ways_from(scenario, name, of_class):
            if branch.to != EXIT:
                moves[i, index[branch.to, branch.becomes or of_class]] += branch.probability.value
    # A state nobody reaches may be a trap of its own; it carries no flow, so it is left out of the equations.
    live = _live(into, moves)
    flows = np.zeros(len(index))
    flows[live] = np.linalg.solve(np.eye(live.sum()) - moves[np.ix_(live, live)].T, into[live])
    return {state: float(flows[i]) for state, i in index.items()}


def _live(into: NDArray[np.float64], moves: NDArray[np.float64]) -> NDArray[np.bool_]:
    live = into > 0
    while (grown := live | ((moves[live] > 0).any(axis=0) if live.any() else live)).sum() > live.sum():
        live = grown
    return live


def loads_of(scenario: Scenario) -> dict[str, float]:
    """Return the offered load of each station: hours of work that arrive per hour, over the mean number on duty.

    It is 0 where servers are unlimited.
    """
    flows = offered_flows(scenario)
    found = {}
    for name, station in scenario.stations.items():
        work = sum(
            flow * station.service_by_class.get(c, station.service).mean for (s, c), flow in flows.items() if s == name
        )
        found[name] = work / mean_servers(scenario, station)
    return found


def _load(scenario: Scenario) -> Iterator[Fault]:
    if scenario.run.allow_overload:
        return
    for name, load in loads_of(scenario).items():
        station = scenario.stations[name]
        # With a waiting room or impatience a station sheds what it cannot serve.
        if load >= 1.0 and station.waiting_room is None and station.patience is None:
            what = _("the offered load is {load:.3g}: the queue would grow without end", load=load)
            fix = _("add servers or hours, shorten service, or set run.allow_overload with run.horizon_h")
            yield Fault(("stations", name), what, fix)
