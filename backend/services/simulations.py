"""Analysts order simulations of the clearance procedure; they run one after another beside the server."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from backend.domain.errors import Conflict, Invalid, NotAllowed, NotFound
from backend.domain.message import Message
from backend.domain.parties import Person, Role
from backend.domain.simulation import (
    LARGEST_SCENARIO,
    LARGEST_SEED,
    MOST_KEPT,
    MOST_PENDING,
    MOST_REPLICATIONS,
    Fault,
    Scenario,
    Simulation,
    SimulationState,
    SimulatorMissing,
    WrongScenario,
)
from backend.services.ports import Simulator, Stopped, Store, Surroundings

REPORTS = {"en": "report.en.html", "zh": "report.zh.html"}
"""By the languages that the simulator writes its report in."""
FILES = ("result.json", "trace.parquet", *REPORTS.values())
"""What a simulation leaves behind, as far as it has it."""
COMPLETE = "complete"
"""A mark beside them: no further file will come."""
MOST_FOR_FILES = timedelta(minutes=10)


@dataclass(frozen=True)
class Order:
    """What somebody wants simulated: a packaged scenario by name, or the text of a file."""

    scenario: str | None = None
    text: str | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)
    replications: int = 20
    seed: int = 1


def scenarios(at: Surroundings, actor: Person) -> tuple[Scenario, ...]:
    """The packaged scenarios."""
    _only_analysts(actor)
    return tuple(_simulator(at).scenarios())


def read_scenario(at: Surroundings, actor: Person, text: str) -> Scenario:
    """Somebody's own scenario file, looked through; raises WrongScenario with every fault and its line."""
    _only_analysts(actor)
    if len(text.encode()) > LARGEST_SCENARIO:
        raise Invalid(
            "the file is too large",
            [
                (
                    "scenarioText",
                    Message("is larger than {size} KB", size=LARGEST_SCENARIO // 1024),
                )
            ],
        )
    if not text.strip():
        raise Invalid("the file is empty", [("scenarioText", "is missing")])
    return _simulator(at).read(text)


def find_scenario(at: Surroundings, actor: Person, order: Order) -> Scenario:
    """The scenario that an order is about."""
    if order.text is not None:
        return read_scenario(at, actor, order.text)
    found = next((s for s in scenarios(at, actor) if s.name == order.scenario), None)
    if found is None:
        raise Invalid("no such scenario", [("scenario", "is no scenario of ours")])
    return found


def order(at: Surroundings, actor: Person, wanted: Order) -> Simulation:
    """Take in an order; it runs when its turn comes. Raises Invalid, WrongScenario, Conflict."""
    scenario = find_scenario(at, actor, wanted)
    _check_size(wanted)
    settings = scenario.settings(wanted.parameters)
    with at.work() as work:
        organisation = work.store.get_organisation(actor.organisation.id)
        _check_room(work.store, actor)
        simulation = Simulation(
            id=str(uuid4()),
            organisation=organisation,
            ordered_by=actor.id,
            ordered_at=at.now(),
            scenario=scenario.name,
            title=dict(scenario.title),
            settings=settings,
            replications=wanted.replications,
            seed=wanted.seed,
            text=wanted.text,
        )
        work.store.add(simulation)
        work.commit()
    at.wake_simulating()
    return simulation


def _check_size(wanted: Order) -> None:
    problems = []
    if not 1 <= wanted.replications <= MOST_REPLICATIONS:
        problems.append(("replications", f"must be from 1 to {MOST_REPLICATIONS}"))
    if not 0 <= wanted.seed <= LARGEST_SEED:
        problems.append(("seed", f"must be from 0 to {LARGEST_SEED}"))
    if problems:
        raise Invalid("the simulation is out of bounds", problems)


def _check_room(store: Store, actor: Person) -> None:
    mine = store.simulations(actor.organisation)
    if sum(simulation.state.is_pending for simulation in mine) >= MOST_PENDING:
        raise Conflict("too many simulations wait already", pending=MOST_PENDING)
    if len(mine) >= MOST_KEPT:
        raise Conflict("too many simulations are kept: delete some", kept=MOST_KEPT)


def visible(store: Store, actor: Person, simulation_id: str) -> Simulation:
    """The simulation, where this person may see it; otherwise it does not exist for them."""
    found = store.get_simulation(simulation_id)
    if actor.role is not Role.ANALYST or found.organisation.id != actor.organisation.id:
        raise NotFound("no such simulation", id=simulation_id)
    return found


def listed(at: Surroundings, actor: Person) -> list[Simulation]:
    """The analyst's simulations, newest first."""
    _only_analysts(actor)
    with at.work(reading=True) as work:
        return list(work.store.simulations(actor.organisation))


def cancel(at: Surroundings, actor: Person, simulation_id: str) -> Simulation:
    """End it; whoever runs it notices within a second."""
    with at.work() as work:
        simulation = visible(work.store, actor, simulation_id)
        simulation.cancel(at.now())
        work.commit()
    return simulation


def remove(at: Surroundings, actor: Person, simulation_id: str) -> None:
    """Forget an ended simulation with its files."""
    with at.work() as work:
        simulation = visible(work.store, actor, simulation_id)
        if simulation.state.is_pending:
            raise Conflict("it is still under way: cancel it first", state=simulation.state.value)
        work.store.remove(simulation)
        work.commit()
    if at.simulator is not None:
        at.simulator.forget(simulation_id)


def file_of(at: Surroundings, simulation: Simulation, name: str) -> Path:
    """One of the files that it left; raises NotFound."""
    found = _simulator(at).file(simulation.id, name) if name in FILES else None
    if found is None:
        raise NotFound("no such file", name=name)
    return found


def files_of(at: Surroundings, simulation: Simulation) -> list[str]:
    """The names of the files that it left."""
    if at.simulator is None or simulation.state is not SimulationState.DONE:
        return []
    return [name for name in FILES if at.simulator.file(simulation.id, name) is not None]


def files_are_coming(at: Surroundings, simulation: Simulation) -> bool:
    """Whether files that go with the result are still being made."""
    if at.simulator is None or simulation.state is not SimulationState.DONE or simulation.ended_at is None:
        return False
    is_complete = at.simulator.file(simulation.id, COMPLETE) is not None
    return not is_complete and at.now() - simulation.ended_at < MOST_FOR_FILES


def _simulator(at: Surroundings) -> Simulator:
    if at.simulator is None:
        raise SimulatorMissing("the simulator is not installed with this server")
    return at.simulator


def _only_analysts(actor: Person) -> None:
    if actor.role is not Role.ANALYST:
        raise NotAllowed("only analysts simulate")


# What the worker does


def give_up_lost(at: Surroundings, everything: bool = False) -> int:
    """Say of simulations whose process is gone that they are lost; ``everything`` where nobody else can be running."""
    with at.work() as work:
        now = at.now()
        running = work.store.simulations_in(SimulationState.RUNNING)
        gone = [simulation for simulation in running if everything or simulation.is_silent(now)]
        for simulation in gone:
            simulation.lose(now)
        work.commit()
    return len(gone)


def run_next(at: Surroundings, stopping: Callable[[], bool]) -> bool:
    """Run the simulation that has waited longest, to its end; tells whether there was one."""
    simulation = _take_next(at)
    if simulation is None:
        return False

    def go_on(done: int, total: int) -> bool:
        return not stopping() and _note_progress(at, simulation.id, done, total)

    try:
        result = _simulator(at).run(simulation, go_on)
    except Stopped:
        if stopping():
            _end(at, simulation.id, lambda s: s.lose(at.now()))
    except (WrongScenario, SimulatorMissing) as error:
        faults = error.faults if isinstance(error, WrongScenario) else (Fault("", None, str(error)),)
        _end(at, simulation.id, lambda s: s.fail(faults, at.now()))
    else:
        _end(at, simulation.id, lambda s: s.finish(dict(result), at.now()))
        with suppress(Stopped):
            # The figures are there to be read while the log and the reports are made.
            _simulator(at).add_files(simulation, lambda done, total: not stopping())
    return True


def _take_next(at: Surroundings) -> Simulation | None:
    with at.work() as work:
        waiting = work.store.simulations_in(SimulationState.WAITING)
        if not waiting:
            return None
        waiting[0].start(at.now())
        work.commit()
        return waiting[0]


def _note_progress(at: Surroundings, simulation_id: str, done: int, total: int) -> bool:
    """Write down how far it has come; tells whether it is still wanted."""
    with at.work() as work:
        simulation = work.store.find_simulation(simulation_id)
        if simulation is None or simulation.state is not SimulationState.RUNNING:
            return False
        simulation.advance(done, total, at.now())
        work.commit()
    return True


def _end(at: Surroundings, simulation_id: str, how: Callable[[Simulation], None]) -> None:
    with at.work() as work:
        simulation = work.store.find_simulation(simulation_id)
        if simulation is not None and simulation.state is SimulationState.RUNNING:
            how(simulation)
            work.commit()
