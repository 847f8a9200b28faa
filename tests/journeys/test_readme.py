"""The README's commands do what it says."""

import os
import re
import subprocess
from pathlib import Path

from tests.journeys.conftest import Server

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
STARTED_OTHERWISE = {"make run", "make test"}
"""``make run`` is the server that these tests started (its command line is checked below); ``make test`` runs us."""
TAKE_MINUTES = ("claim", "report", "validate")
"""What the simulator takes long for: only that the command is there is seen here, the rest in its own tests."""


def _commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", README, re.S)
    lines = [line.split("  #")[0].split(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def _run(server: Server, command: str) -> str:
    environment = {**os.environ, "DATA_DIR": str(server.folder), "PORT": str(server.port)}
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
        command, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _python() -> str:
    import sys

    return sys.executable


def _shape(text: str) -> list[str]:
    """A text's lines without what differs from run to run: ids, figures, widths."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", text)
    text = re.sub(r"\S*/evidence.json", "FILE", text)
    text = re.sub(r"\d[\d,.:]*", "N", text)
    return [re.sub(r"\s+", " ", line).strip() for line in text.strip().splitlines()]


def test_every_readme_command_is_run_or_known(server: Server) -> None:
    commands = _commands()
    assert set(commands) >= STARTED_OTHERWISE
    for command in commands:
        if command not in STARTED_OTHERWISE:
            assert _run(server, command)


def test_the_journeys_output_is_as_shown(server: Server) -> None:
    shown = re.search(r"journey.py\n```\n\n```text\n(.*?)```", README, re.S)
    assert shown is not None
    assert _shape(_run(server, "python3 docs/examples/journey.py")) == _shape(shown.group(1))


def test_make_run_starts_the_command_tested_here() -> None:
    done = subprocess.run(["make", "-n", "run"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "provenport serve" in done.stdout


def test_every_link_to_a_file_leads_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
