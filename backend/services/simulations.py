"""Simulations of the clearance procedure: ordered by analysts, run one after another by a worker (decision 0015)."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from backend.domain.errors import Conflict, Invalid, Message, NotAllowed, NotFound
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
from backend.services.ports import SimulationContext, Simulator, Stopped, rerunnable
from backend.store.unit_of_work import UnitOfWork

REPORTS = {"en": "report.en.html", "zh": "report.zh.html"}
"""The report's file name for each language of the simulator."""
FILES = ("result.json", "trace.parquet", *REPORTS.values())
"""The names of the files that a simulation can leave."""
COMPLETE = "complete"
"""The name of the empty file which marks that no further file will come."""
MOST_FOR_FILES = timedelta(minutes=10)


@dataclass(frozen=True)
class Order:
    """What is to be simulated: a packaged scenario by name, or the text of a scenario file."""

    scenario: str | None = None
    text: str | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)
    replications: int = 20
    seed: int = 1
    language: str = "en"
    """The language in which faults of a scenario file are reported."""


def scenarios(ctx: SimulationContext, actor: Person) -> tuple[Scenario, ...]:
    """List the packaged scenarios.

    Raises:
        NotAllowed: The actor is not an analyst.
        SimulatorMissing: The simulator is not installed or cannot be started.
    """
    _only_analysts(actor)
    return tuple(_simulator(ctx).scenarios())


def read_scenario(ctx: SimulationContext, actor: Person, text: str, language: str = "en") -> Scenario:
    """Check the text of a scenario file and return its scenario.

    Raises:
        NotAllowed: The actor is not an analyst.
        Invalid: The text is empty or too large.
        WrongScenario: The scenario has faults. All are listed with their lines.
        SimulatorMissing: The simulator is not installed or cannot be started.
    """
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
    return _simulator(ctx).read(text, language)


def find_scenario(ctx: SimulationContext, actor: Person, order: Order) -> Scenario:
    """Return the scenario of an order. Raises what ``read_scenario`` raises.

    Raises:
        Invalid: There is no packaged scenario of this name.
    """
    if order.text is not None:
        return read_scenario(ctx, actor, order.text, order.language)
    found = next((s for s in scenarios(ctx, actor) if s.name == order.scenario), None)
    if found is None:
        raise Invalid("no such scenario", [("scenario", "is no scenario of ours")])
    return found


@rerunnable
def order(ctx: SimulationContext, actor: Person, wanted: Order) -> Simulation:
    """Store an order. The worker runs it in its turn.

    Raises:
        NotAllowed: The actor is not an analyst.
        Invalid: A number is out of range, or there is no such scenario.
        WrongScenario: The scenario file has faults.
        Conflict: Too many simulations of this organisation wait or are kept.
        SimulatorMissing: The simulator is not installed or cannot be started.
    """
    scenario = find_scenario(ctx, actor, wanted)
    _check_size(wanted)
    settings = scenario.settings(wanted.parameters)
    with ctx.work() as work:
        organisation = work.organisations.get(actor.organisation.id)
        _check_room(work, actor)
        simulation = Simulation(
            id=str(uuid4()),
            organisation=organisation,
            ordered_by=actor.id,
            ordered_at=ctx.now(),
            scenario=scenario.name,
            title=dict(scenario.title),
            settings=settings,
            replications=wanted.replications,
            seed=wanted.seed,
            text=wanted.text,
        )
        work.add(simulation)
        work.commit()
    ctx.wake_simulating()
    return simulation


def _check_size(wanted: Order) -> None:
    problems = []
    if not 1 <= wanted.replications <= MOST_REPLICATIONS:
        problems.append(("replications", f"must be from 1 to {MOST_REPLICATIONS}"))
    if not 0 <= wanted.seed <= LARGEST_SEED:
        problems.append(("seed", f"must be from 0 to {LARGEST_SEED}"))
    if problems:
        raise Invalid("the simulation is out of bounds", problems)


def _check_room(work: UnitOfWork, actor: Person) -> None:
    mine = work.simulations.of(actor.organisation)
    if sum(simulation.state.is_pending for simulation in mine) >= MOST_PENDING:
        raise Conflict("too many simulations wait already", pending=MOST_PENDING)
    if len(mine) >= MOST_KEPT:
        raise Conflict("too many simulations are kept: delete some", kept=MOST_KEPT)


def visible(work: UnitOfWork, actor: Person, simulation_id: str) -> Simulation:
    """Return the simulation if this person may see it.

    Raises:
        NotFound: There is no such simulation, or this person may not see it.
    """
    found = work.simulations.get(simulation_id)
    if actor.role is not Role.ANALYST or found.organisation.id != actor.organisation.id:
        raise NotFound("no such simulation", id=simulation_id)
    return found


def listed(ctx: SimulationContext, actor: Person) -> list[Simulation]:
    """List the simulations of the analyst's organisation, newest first.

    Raises:
        NotAllowed: The actor is not an analyst.
    """
    _only_analysts(actor)
    with ctx.work(reading=True) as work:
        return list(work.simulations.of(actor.organisation))


@rerunnable
def cancel(ctx: SimulationContext, actor: Person, simulation_id: str) -> Simulation:
    """Cancel a simulation. The worker notices within a second.

    Raises:
        NotFound: There is no such simulation, or the actor may not see it.
        Conflict: It has ended already.
    """
    with ctx.work() as work:
        simulation = visible(work, actor, simulation_id)
        simulation.cancel(ctx.now())
        work.commit()
    return simulation


@rerunnable
def remove(ctx: SimulationContext, actor: Person, simulation_id: str) -> None:
    """Delete an ended simulation with its files.

    Raises:
        NotFound: There is no such simulation, or the actor may not see it.
        Conflict: It is waiting or running.
    """
    with ctx.work() as work:
        simulation = visible(work, actor, simulation_id)
        if simulation.state.is_pending:
            raise Conflict("it is still under way: cancel it first", state=simulation.state.value)
        work.remove(simulation)
        work.commit()
    if ctx.simulator is not None:
        ctx.simulator.forget(simulation_id)


def file_of(ctx: SimulationContext, simulation: Simulation, name: str) -> Path:
    """Return the path of one of a simulation's files.

    Raises:
        NotFound: There is no such file.
        SimulatorMissing: The simulator is not installed.
    """
    # The name comes from the request: only known names reach the file system.
    found = _simulator(ctx).file(simulation.id, name) if name in FILES else None
    if found is None:
        raise NotFound("no such file", name=name)
    return found


def files_of(ctx: SimulationContext, simulation: Simulation) -> list[str]:
    """List the names of the files that a simulation left."""
    if ctx.simulator is None or simulation.state is not SimulationState.DONE:
        return []
    return [name for name in FILES if ctx.simulator.file(simulation.id, name) is not None]


def files_are_coming(ctx: SimulationContext, simulation: Simulation) -> bool:
    """Tell whether files of a finished simulation are still being made."""
    if ctx.simulator is None or simulation.state is not SimulationState.DONE or simulation.ended_at is None:
        return False
    is_complete = ctx.simulator.file(simulation.id, COMPLETE) is not None
    return not is_complete and ctx.now() - simulation.ended_at < MOST_FOR_FILES


def _simulator(ctx: SimulationContext) -> Simulator:
    if ctx.simulator is None:
        raise SimulatorMissing.not_installed()
    return ctx.simulator


def _only_analysts(actor: Person) -> None:
    if actor.role is not Role.ANALYST:
        raise NotAllowed("only analysts simulate")


# What the worker does


@rerunnable
def give_up_lost(ctx: SimulationContext, everything: bool = False) -> int:
    """Mark running simulations whose process is gone as lost, and return how many.

    ``everything`` marks all that run, where no other process can be running any, as at the start.
    """
    with ctx.work() as work:
        now = ctx.now()
        running = work.simulations.in_state(SimulationState.RUNNING)
        gone = [simulation for simulation in running if everything or simulation.is_silent(now)]
        for simulation in gone:
            simulation.lose(now)
        work.commit()
    return len(gone)


def run_next(ctx: SimulationContext, stopping: Callable[[], bool]) -> bool:
    """Run the simulation that has waited longest to its end. Tells whether there was one."""
    simulation = _take_next(ctx)
    if simulation is None:
        return False

    def go_on(done: int, total: int) -> bool:
        return not stopping() and _note_progress(ctx, simulation.id, done, total)

    try:
        result = _simulator(ctx).run(simulation, go_on)
    except Stopped:
        # Stopped with the server, the order is told as interrupted. One that was cancelled has its state already.
        if stopping():
            _end(ctx, simulation.id, lambda s: s.lose(ctx.now()))
    except (WrongScenario, SimulatorMissing) as error:
        faults = error.faults if isinstance(error, WrongScenario) else (Fault("", None, str(error)),)
        _end(ctx, simulation.id, lambda s: s.fail(faults, ctx.now()))
    else:
        _end(ctx, simulation.id, lambda s: s.finish(dict(result), ctx.now()))
        with suppress(Stopped):
            # The figures are there to be read while the log and the reports are made.
            _simulator(ctx).add_files(simulation, lambda done, total: not stopping())
    return True


@rerunnable
def _take_next(ctx: SimulationContext) -> Simulation | None:
    with ctx.work() as work:
        waiting = work.simulations.in_state(SimulationState.WAITING)
        if not waiting:
            return None
        waiting[0].start(ctx.now())
        work.commit()
        return waiting[0]


@rerunnable
def _note_progress(ctx: SimulationContext, simulation_id: str, done: int, total: int) -> bool:
    """Store the progress of a simulation. Tells whether it is still to go on."""
    with ctx.work() as work:
        simulation = work.simulations.find(simulation_id)
        if simulation is None or simulation.state is not SimulationState.RUNNING:
            return False
        simulation.note_progress(done, total, ctx.now())
        work.commit()
    return True


@rerunnable
def _end(ctx: SimulationContext, simulation_id: str, how: Callable[[Simulation], None]) -> None:
    with ctx.work() as work:
        simulation = work.simulations.find(simulation_id)
        # It may have been cancelled or deleted while it ran.
        if simulation is not None and simulation.state is SimulationState.RUNNING:
            how(simulation)
            work.commit()
