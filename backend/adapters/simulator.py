"""Runs the simulator as a separate program with limits on time, memory and disk, and ends it when it must.

The simulator is another package and is not imported here. The interface is its command line, progress as JSON lines on
standard output, and the files that it leaves in a given folder.
"""

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import structlog

from backend.adapters.object_storage import ResultStore
from backend.domain.errors import StorageUnavailable, message_of
from backend.domain.simulation import Fault, Parameter, Scenario, Simulation, SimulatorMissing, WrongScenario
from backend.services.ports import Stopped
from backend.services.simulations import COMPLETE, REPORTS

log = structlog.get_logger()

LOOK_SECONDS = 1.0
"""Interval of the checks whether a simulation is still wanted."""
GRACE_SECONDS = 3.0
"""Time between SIGTERM and SIGKILL."""
LONGEST_LINE = 64 * 1024
NOT_INSTALLED = 69
"""The program's exit code where its packages are not installed."""
OWN_SCENARIO, RESULT = "scenario.toml", "result.json"
_PASSED_ON = ("HOME", "LANG", "LC_ALL", "PATH", "PYTHONPATH", "SYSTEMROOT", "TMPDIR", "VIRTUAL_ENV", "XDG_CACHE_HOME")
"""Environment variables that the program gets. The others, above all the master key, are withheld from it."""


@dataclass(frozen=True)
class Bounds:
    """Limits for one run of the program."""

    run_seconds: float = 600
    look_through_seconds: float = 60
    memory_bytes: int = 6 * 1024**3
    """Limit of the address space; compiled code and libraries take about 2 GiB of it before anything is simulated."""
    file_bytes: int = 512 * 1024**2
    workers: int = 1


class ProgramSimulator:
    """Implements the Simulator port with ``python -m clearance_sim``, and keeps each simulation's files in a folder."""

    def __init__(
        self,
        folder: Path,
        program: Sequence[str] = (sys.executable, "-P", "-m", "clearance_sim"),
        bounds: Bounds | None = None,
        results: ResultStore | None = None,
    ) -> None:
        self._results = results
        self._folder, self._program, self._bounds = folder, list(program), bounds or Bounds()
        self._reading = threading.Lock()

    # Scenarios

    def scenarios(self) -> Sequence[Scenario]:
        """Return the packaged scenarios, which are read once.

        Raises:
            SimulatorMissing: if the simulator is not installed or cannot be started.
        """
        with self._reading:
            return self._packaged

    @cached_property
    def _packaged(self) -> tuple[Scenario, ...]:
        with tempfile.TemporaryDirectory(prefix="provenport-") as folder:
            told = self._ask(Path(folder), "scenarios", "--json")
        return tuple(_scenario(fields) for fields in told)

    def read(self, text: str, language: str) -> Scenario:
        """Check a scenario file and return it; faults are reported in ``language`` where the simulator speaks it.

        Raises:
            WrongScenario: if the file has faults.
            SimulatorMissing: if the simulator cannot be started.
        """
        with tempfile.TemporaryDirectory(prefix="provenport-") as folder:
            Path(folder, OWN_SCENARIO).write_text(text, encoding="utf-8")
            told = self._ask(Path(folder), "scenarios", "--json", OWN_SCENARIO, language=language)
        return _scenario(told[0], text)

    def _ask(self, folder: Path, *arguments: str, language: str = "en") -> list[Any]:
        """Run a short command and return the JSON list that it prints."""
        with self._started(folder, arguments, self._bounds.look_through_seconds, language) as program:
            lines = list(program.lines(lambda: True))
        content = "\n".join(lines)
        program.raise_if_failed(content)
        try:
            told = json.loads(content)
        except ValueError as error:
            raise SimulatorMissing("the simulator's answer cannot be read: {content}", content=content[:200]) from error
        return told if isinstance(told, list) else [told]

    # Simulations

    def run(self, simulation: Simulation, go_on: Callable[[int, int], bool]) -> Mapping[str, Any]:
        """Run a simulation, report its progress to ``go_on(done, total)``, and return its result.

        Raises:
            Stopped: if ``go_on`` returns False.
            WrongScenario: if the simulator refuses the scenario or exceeds a limit.
            SimulatorMissing: if the simulator cannot be started.
        """
        folder = self._place(simulation.id)
        # Files of an interrupted run of the same simulation must not be taken for this one's.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            self._run(simulation, folder, go_on)
            result = _result(folder / RESULT)
            self._share_result(simulation)
            return result
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _run(self, simulation: Simulation, folder: Path, go_on: Callable[[int, int], bool]) -> None:
        numbers = ["--replications", str(simulation.replications), "--workers", str(self._bounds.workers)]
        self._write_scenario(simulation, folder)
        asked = self._asked(simulation)
        self._follow(folder, [*asked, *numbers, "--out", "."], (0, simulation.replications), go_on)

    def add_files(self, simulation: Simulation, go_on: Callable[[int, int], bool]) -> None:
        """Create the event log and the reports for a result, and store them. A file that cannot be created is left out.

        Raises:
            Stopped: if ``go_on`` returns False.
            StorageUnavailable: if the store of results does not take them.
        """
        folder = self._place(simulation.id)
        try:
            if not (folder / COMPLETE).exists():
                self._make_files(simulation, folder, go_on)
            if self._results is not None:
                self._results.keep(simulation.id, folder, last=COMPLETE)
        except FileNotFoundError:
            return  # it was deleted meanwhile

    def _make_files(self, simulation: Simulation, folder: Path, go_on: Callable[[int, int], bool]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # The figures may be another machine's: there they are taken from the order.
        if not (folder / RESULT).exists():
            self._write_scenario(simulation, folder)
            (folder / RESULT).write_text(json.dumps(simulation.result), encoding="utf-8")
        asked = self._asked(simulation)
        # One replication is what a log is good for, and it is the first of those above: random draws go by its number.
        made = {"trace.parquet": [*asked, "--replications", "1", "--trace", "trace.parquet"]}
        for code, name in REPORTS.items():
            made[name] = ["report", RESULT, "--language", code, "-o", name]
        for name, arguments in made.items():
            try:
                self._follow(folder, arguments, (simulation.total, simulation.total), go_on)
            except WrongScenario as error:
                log.warning("a simulation's file could not be made", file=name, why=str(error.problems))
                (folder / name).unlink(missing_ok=True)
        (folder / COMPLETE).touch()

    def _share_result(self, simulation: Simulation) -> None:
        """Bring the figures to where all servers find them; where that fails, they follow with the other files."""
        if self._results is not None:
            try:
                self._results.keep(simulation.id, self._place(simulation.id), last=COMPLETE)
            except StorageUnavailable as error:
                log.warning("a simulation's result lies here alone for now", simulation=simulation.id, why=str(error))

    @staticmethod
    def _write_scenario(simulation: Simulation, folder: Path) -> None:
        if simulation.text is not None:
            (folder / OWN_SCENARIO).write_text(simulation.text, encoding="utf-8")

    def _follow(
        self, folder: Path, arguments: list[str], at: tuple[int, int], go_on: Callable[[int, int], bool]
    ) -> tuple[int, int]:
        """Run the program, pass its progress on, and return how far it has come."""
        done, total = at
        refused = ""

        def is_wanted() -> bool:
            return go_on(done, total)

        with self._started(folder, arguments, self._bounds.run_seconds) as program:
            for line in program.lines(is_wanted):
                told = _object(line)
                if "done" in told and total == told.get("total"):
                    done = int(told["done"])
                refused = line if "errors" in told else refused
        program.raise_if_failed(refused)
        return done, total

    @staticmethod
    def _asked(simulation: Simulation) -> list[str]:
        source = simulation.scenario if simulation.text is None else OWN_SCENARIO
        settings = [part for key, value in simulation.settings.items() for part in ("--set", f"{key}={_exact(value)}")]
        return ["run", source, "--seed", str(simulation.seed), *settings, "--progress-json"]

    @contextmanager
    def _started(
        self, folder: Path, arguments: Sequence[str], seconds: float, language: str = "en"
    ) -> Iterator["_Program"]:
        environment = {name: value for name, value in os.environ.items() if name in _PASSED_ON}
        with (folder / "errors.txt").open("w+b") as errors:
            try:
                process = subprocess.Popen(
                    [*self._program, *arguments],
                    cwd=folder,
                    env={**environment, "LANGUAGE": language, "PYTHONUNBUFFERED": "1", "MPLBACKEND": "Agg"},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    start_new_session=True,
                )
            except OSError as error:
                raise SimulatorMissing("the simulator cannot be started: {error}", error=message_of(error)) from error
            program = _Program(process, errors, self._bounds, seconds)
            try:
                yield program
            finally:
                program.end()

    # Files

    def _place(self, simulation_id: str) -> Path:
        return self._folder / simulation_id

    def file(self, simulation_id: str, name: str) -> Path | None:
        """Return the path of a file that a simulation left, or None.

        Raises:
            StorageUnavailable: if it is not on this machine, and the store of results does not answer.
        """
        found = self._place(simulation_id) / name
        if found.is_file():
            return found
        if self._results is None or not self._results.fetch(simulation_id, name, found.parent):
            return None
        return found

    def forget(self, simulation_id: str) -> None:
        """Delete a simulation's files. Another server that has shown them may still have copies."""
        if self._results is not None:
            try:
                self._results.forget(simulation_id)
            except StorageUnavailable as error:
                log.error(
                    "a deleted simulation's files are left in the store", simulation=simulation_id, why=str(error)
                )
        shutil.rmtree(self._place(simulation_id), ignore_errors=True)


class _Program:
    """A running program with its output lines and limits."""

    def __init__(self, process: subprocess.Popen[bytes], errors: IO[bytes], bounds: Bounds, seconds: float) -> None:
        self._process, self._errors, self._bounds = process, errors, bounds
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._told = ""
        _bound(process.pid, bounds, seconds)
        threading.Thread(target=self._listen, name="simulation-output", daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            # Bounded: a program that prints without a newline must not fill the server's memory.
            while line := output.readline(LONGEST_LINE):
                self._lines.put(line.decode("utf-8", "replace").rstrip("\n"))
        self._lines.put(None)

    def lines(self, is_wanted: Callable[[], bool]) -> Iterator[str]:
        """Yield the lines that it prints until it ends.

        Raises:
            Stopped: if ``is_wanted`` returns False.
            WrongScenario: if its time is up.
        """
        look = time.monotonic()
        while True:
            try:
                line = self._lines.get(timeout=LOOK_SECONDS / 4)
            except queue.Empty:
                line = ""
            if line is None:
                break
            if line:
                yield line
            if time.monotonic() >= look:
                look = time.monotonic() + LOOK_SECONDS
                if not is_wanted():
                    raise Stopped
            if time.monotonic() > self._deadline:
                raise WrongScenario([Fault("", None, f"took longer than {self._seconds / 60:g} minutes", _LESS)])
        self._process.wait(GRACE_SECONDS)
        self._errors.seek(0)
        self._told = self._errors.read(LONGEST_LINE).decode("utf-8", "replace").strip()

    def raise_if_failed(self, printed: str) -> None:
        """Raise WrongScenario or SimulatorMissing if the program failed, with the faults that it printed."""
        if self._process.returncode == 0:
            return
        faults = _object(printed).get("errors")
        if isinstance(faults, list) and faults:
            raise WrongScenario([Fault.read(fault) for fault in faults if isinstance(fault, dict)])
        # Limits show in several ways: Python's exception, or a signal from the system.
        if "MemoryError" in self._told or self._process.returncode in (-signal.SIGKILL, -signal.SIGSEGV):
            gigabytes = self._bounds.memory_bytes // 1024**3
            raise WrongScenario([Fault("", None, f"took more memory than {gigabytes} GB", _LESS)])
        why = (self._told.splitlines() or ["it said nothing"])[-1][:300]
        if self._process.returncode == NOT_INSTALLED or "No module named clearance_sim" in self._told:
            raise SimulatorMissing.not_installed()
        raise WrongScenario([Fault("", None, f"the simulator ended with code {self._process.returncode}: {why}")])

    def end(self) -> None:
        """End the program and all processes that it started."""
        for number, patience in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, GRACE_SECONDS)):
            if self._process.poll() is not None:
                break
            try:
                # The whole process group, which start_new_session made: worker processes of the program must not
                # outlive it.
                os.killpg(self._process.pid, number)
                self._process.wait(patience)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue


def _exact(value: float) -> str:
    """Format a number without loss; whole numbers have no decimal point, as counts are written."""
    return str(int(value)) if value == int(value) else repr(value)


_LESS = "fewer replications, fewer declarations or a shorter horizon take less"


def _bound(pid: int, bounds: Bounds, seconds: float) -> None:
    """Limit memory, file size and processor time where the system can limit another process, and lower its priority.

    The limits are set from outside, because code between fork and exec is not safe in a process with threads.
    """
    try:
        os.setpriority(os.PRIO_PROCESS, pid, 5)
        import resource

        if not hasattr(resource, "prlimit"):
            return
        for kind, most in (
            (resource.RLIMIT_AS, bounds.memory_bytes),
            (resource.RLIMIT_FSIZE, bounds.file_bytes),
            (resource.RLIMIT_CPU, int(seconds * (bounds.workers + 1)) + 1),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.prlimit(pid, kind, (most, most))
    except (OSError, ImportError):
        return  # it has ended already, or the system has no such bounds


def _object(line: str) -> dict[str, Any]:
    """Return the JSON object of a line, or an empty one."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _result(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WrongScenario([Fault("", None, f"the simulator left no result: {error}")]) from error
    return content if isinstance(content, dict) else {}


def _scenario(fields: Mapping[str, Any], text: str | None = None) -> Scenario:
    return Scenario(
        name=str(fields["name"]),
        title=_words(fields.get("title") or fields["name"]),
        summary=_words(fields.get("summary") or ""),
        parameters=tuple(_parameter(parameter) for parameter in fields.get("parameters", ())),
        text=text,
    )


def _parameter(fields: Mapping[str, Any]) -> Parameter:
    return Parameter(
        key=str(fields["key"]),
        title=_words(fields.get("title") or _readable(str(fields["key"]))),
        value=float(fields["value"]),
        low=float(fields["low"]),
        high=float(fields["high"]),
        unit=str(fields.get("unit") or ""),
        source=str(fields.get("source") or ""),
        is_whole=bool(fields.get("whole")),
    )


def _readable(key: str) -> str:
    """Turn a parameter's key into words, where it has no title; its unit is shown beside it."""
    return " · ".join(part.replace("_", " ") for part in key.removesuffix("_h").removesuffix("_per").split("."))


def _words(given: Any) -> dict[str, str]:
    if isinstance(given, Mapping):
        english = str(given.get("en") or next(iter(given.values()), ""))
        return {"en": english, **{str(code): str(text) for code, text in given.items() if text}}
    return {"en": str(given)}
