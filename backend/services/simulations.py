"""Simulations of the clearance procedure: ordered by analysts, run one after another by a worker (decision 0015)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import structlog

from backend.domain.errors import Conflict, Invalid, Message, NotAllowed, NotFound, StorageUnavailable
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

log = structlog.get_logger()


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
    return ctx.simulator is not None and simulation.files_due is not None


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
    """Let running simulations whose process is gone wait again, and return how many (``Simulation.lose``).

    ``everything`` takes all that run, where no other process can be running any, as at the start.
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
    """Do what has waited longest: files of a result that are due, else a simulation. Tells whether there was any."""
    unfinished = _take_files_due(ctx)
    if unfinished is not None:
        _add_files(ctx, unfinished, stopping)
        return True
    simulation = _take_next(ctx)
    if simulation is None:
        return False

    def go_on(done: int, total: int) -> bool:
        return not stopping() and _note_progress(ctx, simulation, done, total)

    try:
        result = _simulator(ctx).run(simulation, go_on)
    except Stopped:
        # Stopped with the server, it waits for another process or the next start. One that was cancelled has its state
        # already.
        if stopping():
            _end(ctx, simulation, lambda s: s.lose(ctx.now()))
    except (WrongScenario, SimulatorMissing) as error:
        faults = error.faults if isinstance(error, WrongScenario) else (Fault("", None, str(error)),)
        _end(ctx, simulation, lambda s: s.fail(faults, ctx.now()))
    else:
        _end(ctx, simulation, lambda s: s.finish(dict(result), ctx.now()))
        # The figures are there to be read while the log and the reports are made.
        if (finished := _take_files_due(ctx, simulation.id)) is not None:
            _add_files(ctx, finished, stopping)
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
def _note_progress(ctx: SimulationContext, begun: Simulation, done: int, total: int) -> bool:
    """Store the progress of a simulation. Tells whether this process is still to go on with it."""
    with ctx.work() as work:
        simulation = _still_ours(work, begun)
        if simulation is None:
            return False
        simulation.note_progress(done, total, ctx.now())
        work.commit()
    return True


@rerunnable
def _end(ctx: SimulationContext, begun: Simulation, how: Callable[[Simulation], None]) -> None:
    with ctx.work() as work:
        simulation = _still_ours(work, begun)
        if simulation is not None:
            how(simulation)
            work.commit()


def _still_ours(work: UnitOfWork, begun: Simulation) -> Simulation | None:
    """Return the simulation, or None where it was cancelled, deleted, or begun again by another process meanwhile."""
    simulation = work.simulations.find(begun.id)
    if simulation is None or simulation.state is not SimulationState.RUNNING:
        return None
    return simulation if simulation.attempts == begun.attempts else None


# The files beside a result: made and stored after it, until that has succeeded


@rerunnable
def _take_files_due(ctx: SimulationContext, simulation_id: str | None = None) -> Simulation | None:
    """Take the files that are due, of this simulation or of any; None where others make them, or none are."""
    with ctx.work() as work:
        now = ctx.now()
        if simulation_id is None:
            simulation = work.simulations.find_with_files_due(now)
        else:
            simulation = work.simulations.find(simulation_id)
        if simulation is None or simulation.files_due is None or simulation.files_due > now:
            return None
        simulation.take_files(now)
        work.commit()
        return simulation


def _add_files(ctx: SimulationContext, taken: Simulation, stopping: Callable[[], bool]) -> None:
    """Make and store the files. Where that does not succeed, they are due again (``Simulation.put_files_off``)."""

    def go_on(done: int, total: int) -> bool:
        return not stopping() and _settle_files(ctx, taken, lambda s: s.hold_files(ctx.now()))

    try:
        _simulator(ctx).add_files(taken, go_on)
    except Stopped:
        _settle_files(ctx, taken, lambda s: s.give_files_back(ctx.now()))
    except StorageUnavailable as error:
        _settle_files(ctx, taken, lambda s: s.put_files_off(ctx.now()))
        log.error("a simulation's files could not be stored", simulation=taken.id, why=str(error))
    except Exception:
        _settle_files(ctx, taken, lambda s: s.put_files_off(ctx.now()))
        raise
    else:
        if not _settle_files(ctx, taken, Simulation.files_are_stored) and _is_gone(ctx, taken):
            _simulator(ctx).forget(taken.id)  # deleted while they were stored


@rerunnable
def _settle_files(ctx: SimulationContext, taken: Simulation, how: Callable[[Simulation], None]) -> bool:
    """Note what became of the files. Tells whether they were still this process's to make."""
    with ctx.work() as work:
        simulation = work.simulations.find(taken.id)
        if simulation is None or simulation.files_due is None or simulation.files_attempts != taken.files_attempts:
            return False
        how(simulation)
        work.commit()
    return True


def _is_gone(ctx: SimulationContext, taken: Simulation) -> bool:
    with ctx.work(reading=True) as work:
        return work.simulations.find(taken.id) is None
