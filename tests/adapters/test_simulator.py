"""The simulator as a program of its own: its bounds, its faults, and its end."""

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from backend.adapters.simulator import Bounds, ProgramSimulator
from backend.domain.errors import StorageUnavailable
from backend.domain.parties import Organisation, Role
from backend.domain.simulation import Simulation, SimulatorMissing, WrongScenario
from backend.services.ports import Stopped
from backend.services.simulations import COMPLETE
from tests.helpers.builders import NOON

PROGRAM = (sys.executable, str(Path(__file__).parents[1] / "helpers" / "stand_in_simulator.py"))


@pytest.fixture
def simulator(tmp_path):
    return ProgramSimulator(tmp_path / "simulations", PROGRAM, Bounds(run_seconds=20))


def a_simulation(seed=1, **changes):
    fields = {"scenario": "office", "settings": {}, "replications": 3, "seed": seed, **changes}
    analysts = Organisation("o", Role.ANALYST, "Institute", NOON)
    return Simulation(
        id="s1", organisation=analysts, ordered_by="p", ordered_at=NOON, title={"en": "An office"}, **fields
    )


def always(done, total):
    return True


class Bucket:
    """Keeps results as ResultStore does, unless it is away."""

    def __init__(self):
        self.kept, self.is_away = {}, False

    def keep(self, simulation_id, folder, last):
        if self.is_away:
            raise StorageUnavailable
        self.kept = {file.name: file.read_bytes() for file in folder.iterdir()}


def test_files_that_were_not_stored_are_stored_later(tmp_path):
    bucket = Bucket()
    simulator = ProgramSimulator(tmp_path, PROGRAM, results=bucket)
    bucket.is_away = True
    simulation = a_simulation()
    simulation.result = dict(simulator.run(simulation, always))
    with pytest.raises(StorageUnavailable):
        simulator.add_files(simulation, always)
    bucket.is_away = False
    simulator.add_files(simulation, always)
    assert {"result.json", "trace.parquet", "report.en.html", COMPLETE} <= set(bucket.kept)


def test_another_machine_makes_files_from_the_figures(tmp_path):
    simulation = a_simulation(scenario="own", text="[office]")
    simulation.result = {"clocks": {}}
    bucket = Bucket()
    ProgramSimulator(tmp_path, PROGRAM, results=bucket).add_files(simulation, always)
    assert json.loads(bucket.kept["result.json"]) == {"clocks": {}}
    assert {"trace.parquet", "report.en.html", COMPLETE} <= set(bucket.kept)


def test_scenarios_come_with_their_parameters_in_both_languages(simulator):
    office, port = simulator.scenarios()
    assert (office.title["zh"], dict(port.title)) == ("一个口岸", {"en": "A port"})
    assert office.parameters[0].title["en"] == "Review"
    assert (office.parameters[1].low, office.parameters[1].high, office.parameters[1].is_whole) == (1, 12, True)


def test_simulation_returns_its_result_and_keeps_files(simulator):
    seen = []
    simulation = a_simulation(settings={"stations.review.servers": 4.0})
    result = simulator.run(simulation, lambda done, total: bool(seen.append((done, total)) or True))
    assert result["clocks"]["total"]["mean"]["value"] == 8.5
    assert result["settings"] == ["stations.review.servers=4"]
    assert simulator.file("s1", COMPLETE) is None
    simulator.add_files(simulation, always)
    assert simulator.file("s1", COMPLETE) is not None
    assert simulator.file("s1", "report.en.html").read_text().startswith("<!doctype html>")
    assert simulator.file("s1", "report.zh.html") is None  # what cannot be made does not spoil the rest
    assert simulator.file("s1", "trace.parquet").read_text() == "1 of seed 1"
    assert seen[0] == (0, 3) or seen[0][1] == 3
    simulator.forget("s1")
    assert simulator.file("s1", "result.json") is None


def test_the_program_gets_no_secret_of_the_server(simulator, monkeypatch):
    monkeypatch.setenv("PROVENPORT_MASTER_KEY", "secret")
    assert simulator.run(a_simulation(), always)["secrets"] == []


def test_a_scenario_file_is_refused_with_its_lines(simulator):
    with pytest.raises(WrongScenario) as refused:
        simulator.read("[stations.review]\nservers = -1\n", "en")
    (fault,) = refused.value.faults
    assert (fault.line, fault.where, fault.fix) == (7, "stations.review.servers", "give zero or more")
    assert simulator.read("fine = true", "en").text == "fine = true"


@pytest.mark.parametrize(
    ("seed", "says"), [(3, "-1 is not a count"), (4, "ended with code 1: RuntimeError: out of ink")]
)
def test_failed_program_says_why_and_leaves_nothing(simulator, tmp_path, seed, says):
    with pytest.raises(WrongScenario) as failed:
        simulator.run(a_simulation(seed), always)
    assert says in failed.value.faults[0].what
    assert list((tmp_path / "simulations").iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds another process")
def test_program_beyond_the_memory_limit_is_ended(simulator):
    with pytest.raises(WrongScenario) as failed:
        simulator.run(a_simulation(5), always)
    assert failed.value.faults[0].what == "took more memory than 6 GB"


def test_a_program_that_takes_too_long_is_ended(tmp_path):
    simulator = ProgramSimulator(tmp_path, PROGRAM, Bounds(run_seconds=0.5))
    started = time.monotonic()
    with pytest.raises(WrongScenario) as failed:
        simulator.run(a_simulation(7), always)
    assert "took longer than" in failed.value.faults[0].what
    assert time.monotonic() - started < 10


def test_stopped_program_is_ended_with_its_children(simulator, tmp_path):
    child = tmp_path / "simulations" / "s1" / "child"
    kept = []

    def until_it_has_a_child(done, total):
        if child.exists() and child.read_text():
            kept.append(int(child.read_text()))
        return not kept

    with pytest.raises(Stopped):
        simulator.run(a_simulation(7), until_it_has_a_child)
    deadline = time.monotonic() + 5
    while _runs(kept[0]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(kept[0])


def _runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_a_program_that_will_not_end_is_killed(simulator, monkeypatch):
    monkeypatch.setattr("backend.adapters.simulator.GRACE_SECONDS", 0.3)
    started = time.monotonic()
    with pytest.raises(Stopped):
        simulator.run(a_simulation(6), lambda done, total: time.monotonic() - started < 0.5)
    assert time.monotonic() - started < 10


def test_without_the_program_it_says_so(tmp_path):
    simulator = ProgramSimulator(tmp_path, ("/nowhere/simulator",))
    with pytest.raises(SimulatorMissing, match="cannot be started"):
        simulator.scenarios()
    nothing = ProgramSimulator(tmp_path, (sys.executable, "-P", "-m", "clearance_sim_that_is_not_there"))
    with pytest.raises((SimulatorMissing, WrongScenario)):
        nothing.scenarios()
    assert replace(Bounds(), workers=2).workers == 2


def test_faults_come_in_the_language_asked_for(tmp_path):
    simulator = ProgramSimulator(tmp_path)
    told = {}
    for language in ("en", "zh"):
        with pytest.raises(WrongScenario) as refused:
            simulator.read("[stations.review]\nservers = -1\n", language)
        told[language] = " ".join(fault.what for fault in refused.value.faults)
    assert told["en"].isascii()
    assert any("一" <= letter <= "鿿" for letter in told["zh"])


def test_missing_library_means_not_installed(tmp_path):
    """A server-only installation has our simulator's files without the libraries that it computes with."""
    without = "import sys; sys.modules['numpy'] = None; from clearance_sim.cli import main; main()"
    simulator = ProgramSimulator(tmp_path, (sys.executable, "-c", without))
    for asked in (simulator.scenarios, lambda: simulator.run(a_simulation(), always)):
        with pytest.raises(SimulatorMissing, match="make simulator"):
            asked()
