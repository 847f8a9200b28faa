"""Simulations of the clearance procedure that analysts order, and where each stands.

What a simulation computes is the simulator's business, a program of its own. Here are the bounds within which one may
be ordered, and the states that it goes through.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from backend.domain.errors import Conflict, Invalid, Message, TraceabilityError
from backend.domain.parties import Organisation

MOST_REPLICATIONS = 200
LARGEST_SEED = 2**31 - 1
LARGEST_SCENARIO = 256 * 1024
"""Of a scenario file, in bytes."""
MOST_PENDING = 5
"""Simulations of one organisation that wait or run."""
MOST_KEPT = 100
"""Simulations of one organisation in all: older ones are to be deleted first."""
SILENT_SECONDS = 60
"""A running simulation that nobody has heard of for so long was lost with the process that ran it."""

Words = Mapping[str, str]
"""A text in both languages, by their codes."""


class SimulatorMissing(TraceabilityError):
    """The simulator cannot be started here."""

    code = "simulator-missing"

    @classmethod
    def not_installed(cls) -> "SimulatorMissing":
        """The server was installed without the simulator, which it does not need."""
        return SimulatorMissing(
            "the simulator is not installed with this server; whoever runs it can add it with make simulator"
        )


class SimulationState(StrEnum):
    """Where a simulation stands; ``lost``: the server was stopped while it ran."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def is_pending(self) -> bool:
        """Whether its end is still to come."""
        return self in (SimulationState.WAITING, SimulationState.RUNNING)


@dataclass(frozen=True)
class Fault:
    """What is wrong with a scenario file: where, in which line, what, and how to fix it."""

    where: str
    line: int | None
    what: str
    fix: str = ""

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> "Fault":
        """From plain values."""
        line = fields.get("line")
        return cls(
            str(fields.get("key") or fields.get("where") or ""),
            line if isinstance(line, int) and line > 0 else None,
            str(fields.get("what") or ""),
            str(fields.get("fix") or ""),
        )

    def plain(self) -> dict[str, Any]:
        """As plain values."""
        return {"where": self.where, "line": self.line, "what": self.what, "fix": self.fix}


class WrongScenario(Invalid):
    """A scenario that cannot be simulated, with everything that is wrong in it."""

    code = "wrong-scenario"

    def __init__(self, faults: Sequence[Fault]) -> None:
        shown = [(f"line {fault.line}" if fault.line else fault.where, _in_one_line(fault)) for fault in faults]
        super().__init__("the scenario cannot be simulated", shown)
        self.faults = tuple(faults)


def _in_one_line(fault: Fault) -> str:
    what = f"{fault.where}: {fault.what}" if fault.where and fault.line else fault.what
    return f"{what} ({fault.fix})" if fault.fix else what


@dataclass(frozen=True)
class Parameter:
    """A number of a scenario that may be changed, within the range that its author gives it."""

    key: str
    title: Words
    value: float
    low: float
    high: float
    unit: str = ""
    source: str = ""
    is_whole: bool = False

    def fault_of(self, value: float) -> str | None:
        """What is wrong with a value for it."""
        if not math.isfinite(value) or not self.low <= value <= self.high:
            return Message("must be from {low} to {high}", low=f"{self.low:g}", high=f"{self.high:g}")
        if self.is_whole and value != int(value):
            return Message("should be a valid integer")
        return None


@dataclass(frozen=True)
class Scenario:
    """What can be simulated: a packaged scenario, or the file of somebody's own."""

    name: str
    title: Words
    summary: Words
    parameters: tuple[Parameter, ...] = ()
    text: str | None = None
    """The file itself, where it is somebody's own."""

    def settings(self, given: Mapping[str, float]) -> dict[str, float]:
        """The values that differ from the scenario's own; raises Invalid for what it does not know or allow."""
        known = {parameter.key: parameter for parameter in self.parameters}
        problems = []
        for key, value in given.items():
            fault = known[key].fault_of(value) if key in known else Message("is no parameter of this scenario")
            if fault is not None:
                problems.append((f"parameters.{key}", fault))
        if problems:
            raise Invalid("some parameters are out of bounds", problems)
        return {key: value for key, value in given.items() if value != known[key].value}


@dataclass(eq=False)
class Simulation:
    """One simulation that somebody ordered, from order to result."""

    id: str
    organisation: Organisation
    ordered_by: str
    ordered_at: datetime
    scenario: str
    title: dict[str, str]
    settings: dict[str, float]
    replications: int
    seed: int
    text: str | None = None
    state: SimulationState = SimulationState.WAITING
    started_at: datetime | None = None
    ended_at: datetime | None = None
    seen_at: datetime | None = None
    done: int = 0
    total: int = 0
    faults: list[dict[str, Any]] = field(default_factory=list)
    result: dict[str, Any] | None = None

    def start(self, now: datetime) -> None:
        """It begins to run."""
        self._go(SimulationState.RUNNING, {SimulationState.WAITING})
        self.started_at = self.seen_at = now
        self.total = self.replications

    def note_progress(self, done: int, total: int, now: datetime) -> None:
        """So much of it is done."""
        self.done, self.total, self.seen_at = done, total, now

    def finish(self, result: dict[str, Any], now: datetime) -> None:
        """It is done."""
        self._end(SimulationState.DONE, {SimulationState.RUNNING}, now)
        self.result, self.done = result, self.total

    def fail(self, faults: Sequence[Fault], now: datetime) -> None:
        """It cannot be done."""
        self._end(SimulationState.FAILED, {SimulationState.RUNNING}, now)
        self.faults = [fault.plain() for fault in faults]

    def cancel(self, now: datetime) -> None:
        """Its owner does not want it any more; raises Conflict once it has ended."""
        self._end(SimulationState.CANCELLED, {SimulationState.WAITING, SimulationState.RUNNING}, now)

    def lose(self, now: datetime) -> None:
        """Its process was stopped while it ran."""
        self._end(SimulationState.LOST, {SimulationState.RUNNING}, now)

    def is_silent(self, now: datetime) -> bool:
        """Whether it is said to run, and nobody has heard of it for too long."""
        heard = self.seen_at or self.ordered_at
        return self.state is SimulationState.RUNNING and now - heard > timedelta(seconds=SILENT_SECONDS)

    def _end(self, state: SimulationState, allowed: set[SimulationState], now: datetime) -> None:
        self._go(state, allowed)
        self.ended_at = now

    def _go(self, state: SimulationState, allowed: set[SimulationState]) -> None:
        if self.state not in allowed:
            raise Conflict(
                "a simulation that is {state} cannot become {wanted}",
                state=self.state.value,
                wanted=state.value,
            )
        self.state = state

    @property
    def took(self) -> timedelta | None:
        """How long it ran."""
        return self.ended_at - self.started_at if self.ended_at and self.started_at else None
