"""The README's commands do what it says."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.helpers.postgres import installation_at
from tests.journeys.conftest import Server
from tests.journeys.readme_output import (
    JOURNEY,
    MODEL,
    STUDY,
    TIMES,
    claim_lines,
    comparable,
    shown,
    with_figures,
)

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
STARTED_OTHERWISE = {"make run", "make run-server", "make test"}
"""``make run`` is the server that these tests started (its command line is checked below); ``make test`` runs us."""
TAKE_MINUTES = ("claim", "report", "validate")
"""What the simulator takes long for: only that the command is there is seen here, the rest in its own tests."""


def _commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", README, re.S)
    lines = [line.split("  #")[0].split(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def _run(server: Server, command: str) -> str:
    environment = {**os.environ, **installation_at(server.folder), "PORT": str(server.port)}
    command = command.replace("var/", f"{server.folder}/").replace("events.csv", f"{server.folder}/events.csv")
    if re.match(rf".venv/bin/clearance-sim ({'|'.join(TAKE_MINUTES)})", command):
        command = " ".join([*command.split()[:2], "--help"])
    if " probe " in command:
        command += f" --url {server.url} --count 6 --rate 8"
    if not (ROOT / ".venv/bin/provenport").exists():
        command = command.replace(".venv/bin/provenport", f"{_python()} -m backend.cli.main")
        command = command.replace(".venv/bin/clearance-sim", f"{_python()} -m clearance_sim")
        command = command.replace(".venv/bin/python", _python())
    done = subprocess.run(
        command, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _python() -> str:
    import sys

    return sys.executable


@pytest.fixture(scope="module")
def printed(server: Server) -> dict[str, str]:
    """What README's commands print, in its order, on a server that is as new as its reader's."""
    commands = [command for command in _commands() if command not in STARTED_OTHERWISE]
    return {command: _run(server, command) for command in commands}


def test_every_readme_command_prints_something(printed: dict[str, str]) -> None:
    assert set(_commands()) >= STARTED_OTHERWISE
    assert len(printed) > 8
    assert [command for command, output in printed.items() if not output.strip()] == []


@pytest.mark.parametrize("command", [JOURNEY, TIMES])
def test_output_shown_is_what_is_printed(printed: dict[str, str], command: str) -> None:
    """Every figure that does not depend on the machine, too: ``make readme`` writes them."""
    assert comparable(shown(README, command)) == comparable(printed[command])


@pytest.mark.parametrize(
    ("figure", "typed"), [("38 checks", "39 checks"), ("3:30:", "2:00:"), ("over 2 released", "over 3 released")]
)
def test_figure_typed_by_hand_is_found(printed: dict[str, str], figure: str, typed: str) -> None:
    page = README.replace(figure, typed)
    assert page != README
    assert comparable(shown(page, JOURNEY)) != comparable(printed[JOURNEY])


@pytest.mark.slow
def test_claim_shown_is_what_the_study_finds(tmp_path: Path) -> None:
    """The whole study, as README names it: minutes. ``make readme`` writes it anew."""
    command = [_python(), "-m", "clearance_sim", "claim", "--json", "claim.json"]
    subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True)
    study = json.loads((tmp_path / "claim.json").read_text(encoding="utf-8"))
    assert shown(README, STUDY) == claim_lines(study)
    model = MODEL.read_text(encoding="utf-8")
    assert model == with_figures(model, study)
    share = re.search(r"^\| L, .*? \| (\d+\.\d) ", model, re.MULTILINE)
    assert share is not None
    typed = model.replace(f"| {share[1]} (", "| 44.9 (", 1)
    assert typed != with_figures(typed, study), "a figure typed by hand is found"


def test_readme_types_no_figure_of_the_claim() -> None:
    """Figures of the study stand in the block that is written from it, and in no sentence beside it."""
    section = README.split("## Do 72 hours become 8?")[1].split("\n## ")[0]
    prose = re.sub(r"```.*?```|\]\([^)]*\)", "", section, flags=re.DOTALL)
    assert set(re.findall(r"\d+(?:\.\d+)?", prose)) <= {"72", "8"}


def test_make_run_starts_the_command_tested_here() -> None:
    done = subprocess.run(["make", "-n", "run"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "provenport serve" in done.stdout


def test_every_link_to_a_file_leads_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
