"""Analysts order simulations within bounds; what becomes of them is on file, whatever happens to the server."""

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from backend.domain.errors import Conflict, Invalid, NotAllowed, NotFound, StorageUnavailable
from backend.domain.simulation import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    MOST_ATTEMPTS,
    MOST_ATTEMPTS_AT_FILES,
    MOST_PENDING,
    SILENT_SECONDS,
    Fault,
    Parameter,
    Scenario,
    SimulationState,
    WrongScenario,
)
from backend.runtime.workers import SimulationWorker
from backend.services import simulations
from backend.services.ports import Stopped
from backend.services.simulations import Order

DESKS = Parameter("desks", {"en": "Desks", "zh": "窗口"}, 3, 1, 12, is_whole=True)
REVIEW = Parameter("review", {"en": "Review", "zh": "审单"}, 0.9, 0.1, 5, "h")
OFFICE = Scenario("office", {"en": "An office", "zh": "一个口岸"}, {"en": "", "zh": ""}, (DESKS, REVIEW))


class FakeSimulator:
    """Obeys the Simulator port; ``steps`` of progress, then ``outcome``."""

    def __init__(self) -> None:
        self.outcome = {"clocks": {}}
        self.steps = 2
        self.ran = []
        self.forgotten = []
        self.added = []
        self.at_step = lambda step: None

    def scenarios(self):
        return [OFFICE]

    def read(self, text, language):
        if "wrong" in text:
            raise WrongScenario([Fault("stations", 3, "no station", "add one")])
        return replace(OFFICE, name="own", text=text)

    def run(self, simulation, go_on):
        self.ran.append((simulation.scenario, simulation.settings, simulation.text))
        for step in range(self.steps):
            self.at_step(step)
            if not go_on(step, self.steps):
                raise Stopped
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def add_files(self, simulation, go_on):
        self.added.append(simulation.id)

    def file(self, simulation_id, name):
        return Path(__file__) if name == "result.json" and simulation_id not in self.forgotten else None

    def forget(self, simulation_id):
        self.forgotten.append(simulation_id)


@pytest.fixture
def simulator():
    return FakeSimulator()


@pytest.fixture
def ctx(installation, simulator):
    return replace(installation.ctx, simulator=simulator)


@pytest.fixture
def analyst(installation):
    return installation.analyst


def never():
    return False


def order(ctx, analyst, **wanted):
    return simulations.order(ctx, analyst, Order(**({"scenario": "office"} | wanted)))


def state(ctx, simulation):
    with ctx.work(reading=True) as work:
        found = work.simulations.find(simulation.id)
        return found and found.state


def test_an_order_runs_when_its_turn_comes(ctx, analyst, simulator):
    first = order(ctx, analyst, parameters={"desks": 4, "review": 0.9})
    second = order(ctx, analyst)
    assert state(ctx, first) is SimulationState.WAITING
    assert simulations.run_next(ctx, never)
    assert simulator.ran == [("office", {"desks": 4}, None)]  # what was not changed is not set
    assert state(ctx, first) is SimulationState.DONE
    assert state(ctx, second) is SimulationState.WAITING
    found = simulations.listed(ctx, analyst)
    assert [s.id for s in found] == [second.id, first.id]
    assert (found[1].result, found[1].done, found[1].total) == ({"clocks": {}}, 2, 2)
    assert simulations.run_next(ctx, never)
    assert not simulations.run_next(ctx, never)
    assert simulator.added == [first.id, second.id]


@pytest.mark.parametrize(
    ("wanted", "fault"),
    [
        ({"parameters": {"desks": 13}}, ("parameters.desks", "must be from 1 to 12")),
        ({"parameters": {"desks": 2.5}}, ("parameters.desks", "should be a valid integer")),
        ({"parameters": {"review": float("nan")}}, ("parameters.review", "must be from 0.1 to 5")),
        ({"parameters": {"officers": 1}}, ("parameters.officers", "is no parameter of this scenario")),
        ({"replications": 201}, ("replications", "must be from 1 to 200")),
        ({"replications": 0}, ("replications", "must be from 1 to 200")),
        ({"seed": -1}, ("seed", "must be from 0 to 2147483647")),
        ({"scenario": "moon"}, ("scenario", "is no scenario of ours")),
        ({"scenario": None}, ("scenario", "is no scenario of ours")),
        ({"text": "x" * 300_000}, ("scenarioText", "is larger than 256 KB")),
        ({"text": " "}, ("scenarioText", "is missing")),
    ],
)
def test_nobody_can_order_more_than_the_machine_bears(ctx, analyst, wanted, fault):
    with pytest.raises(Invalid) as refused:
        order(ctx, analyst, **wanted)
    assert refused.value.problems == [fault]
    assert simulations.listed(ctx, analyst) == []


def test_too_many_orders_at_once_are_refused(ctx, analyst):
    for _ in range(MOST_PENDING):
        order(ctx, analyst)
    with pytest.raises(Conflict):
        order(ctx, analyst)


def test_own_scenario_file_is_checked_before_its_order(ctx, analyst, simulator):
    with pytest.raises(WrongScenario) as refused:
        order(ctx, analyst, text="wrong")
    assert refused.value.problems == [("line 3", "stations: no station (add one)")]
    order(ctx, analyst, text="fine", parameters={"desks": 2})
    simulations.run_next(ctx, never)
    assert simulator.ran == [("own", {"desks": 2}, "fine")]


def test_simulation_cancelled_while_it_runs_stops(ctx, analyst, simulator):
    simulation = order(ctx, analyst)
    simulator.at_step = lambda step: simulations.cancel(ctx, analyst, simulation.id) if step == 1 else None
    simulations.run_next(ctx, never)
    assert state(ctx, simulation) is SimulationState.CANCELLED
    with pytest.raises(Conflict):
        simulations.cancel(ctx, analyst, simulation.id)


def test_a_simulation_that_fails_keeps_its_reasons(ctx, analyst, simulator):
    simulator.outcome = WrongScenario([Fault("", None, "took longer than 10 minutes")])
    simulation = order(ctx, analyst)
    simulations.run_next(ctx, never)
    assert state(ctx, simulation) is SimulationState.FAILED
    assert simulations.listed(ctx, analyst)[0].faults[0]["what"] == "took longer than 10 minutes"


class Killed(BaseException):
    """Ends a process in the midst, as ``kill -9`` does: nothing that follows is done."""


def die(*_):
    raise Killed


def test_simulation_of_a_stopped_server_waits_again(ctx, analyst, simulator):
    simulation = order(ctx, analyst)
    simulations.run_next(ctx, lambda: True)  # the server is told to stop while it runs
    assert state(ctx, simulation) is SimulationState.WAITING
    assert simulations.run_next(ctx, never)
    assert state(ctx, simulation) is SimulationState.DONE


def test_killed_processs_simulation_is_begun_by_another(ctx, analyst, simulator, installation):
    """Only once it was not heard of for a while: another process may be running it."""
    simulator.at_step = die
    simulation = order(ctx, analyst)
    for _ in range(MOST_ATTEMPTS - 1):
        with pytest.raises(Killed):
            simulations.run_next(ctx, never)
        assert state(ctx, simulation) is SimulationState.RUNNING
        assert simulations.give_up_lost(ctx) == 0  # another process may be running it: it was heard of just now
        installation.clock.pass_by(timedelta(seconds=SILENT_SECONDS + 1))
        assert simulations.give_up_lost(ctx) == 1
        assert state(ctx, simulation) is SimulationState.WAITING
    with pytest.raises(Killed):
        simulations.run_next(ctx, never)
    installation.clock.pass_by(timedelta(seconds=SILENT_SECONDS + 1))
    simulations.give_up_lost(ctx)
    assert state(ctx, simulation) is SimulationState.LOST  # whatever it does to its process, it does so no more


def test_process_that_was_given_up_changes_nothing(ctx, analyst, simulator, installation):
    """It was only slow, and another has begun the simulation meanwhile."""
    simulation = order(ctx, analyst)

    def be_given_up(step):
        simulator.at_step = lambda step: None
        installation.clock.pass_by(timedelta(seconds=SILENT_SECONDS + 1))
        simulations.give_up_lost(ctx)
        simulations._take_next(ctx)

    simulator.at_step = be_given_up
    simulations.run_next(ctx, never)
    assert state(ctx, simulation) is SimulationState.RUNNING
    assert simulations.listed(ctx, analyst)[0].attempts == 2


def coming(ctx, analyst):
    return simulations.files_are_coming(ctx, simulations.listed(ctx, analyst)[0])


def test_files_are_tried_until_they_are_stored(ctx, analyst, simulator, installation):
    order(ctx, analyst)
    outcomes = [StorageUnavailable(), StorageUnavailable(), None]

    def add_files(simulation, go_on):
        simulator.added.append(simulation.id)
        if (outcome := outcomes.pop(0)) is not None:
            raise outcome

    simulator.add_files = add_files
    assert simulations.run_next(ctx, never)
    assert coming(ctx, analyst)
    for pause in (FIRST_PAUSE, 2 * FIRST_PAUSE):
        assert not simulations.run_next(ctx, never)
        installation.clock.pass_by(pause)
        assert simulations.run_next(ctx, never)
    assert not coming(ctx, analyst)
    assert len(simulator.added) == 3
    installation.clock.pass_by(LONGEST_PAUSE)
    assert not simulations.run_next(ctx, never)


def test_files_never_stored_are_given_up(ctx, analyst, simulator, installation):
    def refuse(simulation, go_on):
        simulator.added.append(simulation.id)
        raise StorageUnavailable

    simulator.add_files = refuse
    order(ctx, analyst)
    while simulations.run_next(ctx, never):
        installation.clock.pass_by(LONGEST_PAUSE)
    assert len(simulator.added) == MOST_ATTEMPTS_AT_FILES
    assert not coming(ctx, analyst)


def test_killed_processs_files_are_made_by_another(ctx, analyst, simulator, installation):
    simulation = order(ctx, analyst)
    add_files, simulator.add_files = simulator.add_files, die
    with pytest.raises(Killed):
        simulations.run_next(ctx, never)
    simulator.add_files = add_files
    assert not simulations.run_next(ctx, never)  # another process may be making them
    installation.clock.pass_by(timedelta(seconds=SILENT_SECONDS + 1))
    assert simulations.run_next(ctx, never)
    assert simulator.added == [simulation.id]


def test_files_of_a_simulation_deleted_meanwhile_go_too(ctx, analyst, simulator):
    simulation = order(ctx, analyst)
    simulator.add_files = lambda simulation, go_on: simulations.remove(ctx, analyst, simulation.id)
    simulations.run_next(ctx, never)
    assert simulator.forgotten == [simulation.id] * 2  # what was stored after the deletion


def test_an_ended_simulation_is_forgotten_with_its_files(ctx, analyst, simulator):
    simulation = order(ctx, analyst)
    with pytest.raises(Conflict):
        simulations.remove(ctx, analyst, simulation.id)
    simulations.run_next(ctx, never)
    assert simulations.files_of(ctx, simulations.listed(ctx, analyst)[0]) == ["result.json"]
    simulations.remove(ctx, analyst, simulation.id)
    assert simulator.forgotten == [simulation.id]
    assert state(ctx, simulation) is None


@pytest.mark.parametrize("name", ["../../master.key", "scenario.toml", "errors.txt", ""])
def test_only_files_left_for_reading_are_handed_out(ctx, analyst, name):
    simulation = order(ctx, analyst)
    with pytest.raises(NotFound):
        simulations.file_of(ctx, simulation, name)


@pytest.mark.parametrize("role", ["merchant", "officer", "authority", "chamber"])
def test_nobody_but_analysts_simulates(ctx, installation, analyst, role):
    simulation = order(ctx, analyst)
    somebody = installation.people[role]
    for attempt in (lambda: order(ctx, somebody), lambda: simulations.listed(ctx, somebody)):
        with pytest.raises(NotAllowed):
            attempt()
    with pytest.raises(NotFound):
        simulations.cancel(ctx, somebody, simulation.id)


def test_worker_runs_orders_and_ends_when_told(ctx, analyst, simulator):
    done = threading.Event()
    simulator.at_step = lambda step: done.set()
    worker = SimulationWorker(at_once=1)
    ctx = replace(ctx, wake_simulating=worker.wake)
    worker.start(ctx, alone=True)
    simulation = order(ctx, analyst)
    assert done.wait(5)
    worker.stop()
    assert state(ctx, simulation) in (SimulationState.DONE, SimulationState.WAITING)
