"""Simulations of the clearance procedure that analysts order: the limits for an order, and its states.

The simulator that computes them is a separate program.
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
"""Maximum size of a scenario file in bytes."""
MOST_PENDING = 5
"""Maximum number of waiting or running simulations of one organisation."""
MOST_KEPT = 100
"""Maximum number of simulations of one organisation; older ones must be deleted first."""
# The simulator reports at least once a second (``Simulator.run`` in services/ports.py).
SILENT_SECONDS = 20
"""A running simulation without any report for this long was lost with its process."""
MOST_ATTEMPTS = 5
"""How often a simulation is begun whose process ends before it."""
MOST_ATTEMPTS_AT_FILES = 16
"""How often its files are tried: with the pauses between, for about ten hours."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=10), timedelta(hours=1)
"""Between two attempts at the files; each pause is twice the one before."""

Words = Mapping[str, str]
"""A text by language code."""


class SimulatorMissing(TraceabilityError):
    """Raised when the simulator cannot be started."""

    code = "simulator-missing"

    @classmethod
    def not_installed(cls) -> "SimulatorMissing":
        """Return the error for a server that was installed without the simulator, which it does not need."""
        return SimulatorMissing(
            "the simulator is not installed with this server; whoever runs it can add it with make simulator"
        )


class SimulationState(StrEnum):
    """The state of a simulation; ``lost`` means that the server was stopped each time while it ran."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def is_pending(self) -> bool:
        """Whether it has not ended."""
        return self in (SimulationState.WAITING, SimulationState.RUNNING)


@dataclass(frozen=True)
class Fault:
    """A fault in a scenario file: where, in which line, what, and how to fix it."""

    where: str
    line: int | None
    what: str
    fix: str = ""

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> "Fault":
        """Read it from plain values."""
        line = fields.get("line")
        return cls(
            str(fields.get("key") or fields.get("where") or ""),
            line if isinstance(line, int) and line > 0 else None,
            str(fields.get("what") or ""),
            str(fields.get("fix") or ""),
        )

    def plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"where": self.where, "line": self.line, "what": self.what, "fix": self.fix}


class WrongScenario(Invalid):
    """Raised for a scenario that cannot be simulated, with all its faults."""

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
    """A number of a scenario that may be changed, within the range that its author gives."""

    key: str
    title: Words
    value: float
    low: float
    high: float
    unit: str = ""
    source: str = ""
    is_whole: bool = False

    def fault_of(self, value: float) -> str | None:
        """Return what is wrong with a value for it, or None."""
        if not math.isfinite(value) or not self.low <= value <= self.high:
            return Message("must be from {low} to {high}", low=f"{self.low:g}", high=f"{self.high:g}")
        if self.is_whole and value != int(value):
            return Message("should be a valid integer")
        return None


@dataclass(frozen=True)
class Scenario:
    """A packaged scenario, or a user's own file."""

    name: str
    title: Words
    summary: Words
    parameters: tuple[Parameter, ...] = ()
    text: str | None = None
    """The file's text, where it is a user's own."""

    def settings(self, given: Mapping[str, float]) -> dict[str, float]:
        """Return the values that differ from the scenario's own.

        Raises:
            Invalid: for unknown parameters and values out of range.
        """
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
    """One simulation, from order to result."""

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
    attempts: int = 0
    """How often it was begun. Whoever runs it remembers this number, and has lost it to another when it is higher."""
    files_due: datetime | None = None
    """When somebody is to make and store the files beside its result; None where nothing is left to do."""
    files_attempts: int = 0

    def start(self, now: datetime) -> None:
        """Mark it as running."""
        self._go(SimulationState.RUNNING, {SimulationState.WAITING})
        self.attempts += 1
        self.started_at = self.seen_at = now
        self.total = self.replications

    def note_progress(self, done: int, total: int, now: datetime) -> None:
        """Record its progress."""
        self.done, self.total, self.seen_at = done, total, now

    def finish(self, result: dict[str, Any], now: datetime) -> None:
        """Mark it as done, with its result. Its files are due."""
        self._end(SimulationState.DONE, {SimulationState.RUNNING}, now)
        self.result, self.done = result, self.total
        self.files_due = now

    def fail(self, faults: Sequence[Fault], now: datetime) -> None:
        """Mark it as failed, with its faults."""
        self._end(SimulationState.FAILED, {SimulationState.RUNNING}, now)
        self.faults = [fault.plain() for fault in faults]

    def cancel(self, now: datetime) -> None:
        """Cancel it for its owner.

        Raises:
            Conflict: if it has ended.
        """
        self._end(SimulationState.CANCELLED, {SimulationState.WAITING, SimulationState.RUNNING}, now)

    def lose(self, now: datetime) -> None:
        """Let it wait again, because its process was stopped while it ran. After ``MOST_ATTEMPTS`` it is lost."""
        if self.attempts >= MOST_ATTEMPTS:
            self._end(SimulationState.LOST, {SimulationState.RUNNING}, now)
            return
        self._go(SimulationState.WAITING, {SimulationState.RUNNING})
        self.started_at = self.seen_at = None
        self.done = 0

    def take_files(self, now: datetime) -> None:
        """Let the one who asks make the files. Others keep away for as long as they would from a silent simulation."""
        self.files_attempts += 1
        self.hold_files(now)

    def hold_files(self, now: datetime) -> None:
        """Keep others away from the files for a while longer."""
        self.files_due = now + timedelta(seconds=SILENT_SECONDS)

    def give_files_back(self, now: datetime) -> None:
        """Let another make the files at once: this process stops."""
        self.files_due = now

    def files_are_stored(self) -> None:
        """Note that nothing is left to do."""
        self.files_due = None

    def put_files_off(self, now: datetime) -> None:
        """Note that the files could not be stored: they are due again after a pause, or given up."""
        given_up = self.files_attempts >= MOST_ATTEMPTS_AT_FILES
        pause = min(FIRST_PAUSE * 2 ** min(self.files_attempts - 1, MOST_ATTEMPTS_AT_FILES), LONGEST_PAUSE)
        self.files_due = None if given_up else now + pause

    def is_silent(self, now: datetime) -> bool:
        """Tell whether it is marked as running and has not reported for too long."""
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
