"""Every command of ``clearance-sim`` runs once with real arguments."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from clearance_sim.cli import cli
from tests.clearance_sim.probe.lying_server import TOKENS, lying_server
from tests.clearance_sim.report.builders import a_claim
from tests.helpers.click_tree import without_a_run

SMALL = ("--set", "run.declarations=200", "--set", "run.warm_up_declarations=0")


def run(*arguments: object, code: int = 0) -> str:
    given = [str(one) for one in arguments]
    done = CliRunner().invoke(cli, given)
    assert done.exit_code == code, (given, done.output, done.exception)
    return done.output


def customs(folder: Path) -> None:
    run("customs", "--context", "general-import", "--arm", "ledger", "--out", folder / "own.toml")
    assert "own.toml" in run("check", folder / "own.toml")


def simulate(folder: Path) -> None:
    run("run", "office", "-r", "2", "-w", "1", *SMALL, "--out", folder)
    assert json.loads((folder / "result.json").read_text())


def report(folder: Path) -> None:
    (folder / "claim.json").write_text(json.dumps(a_claim()), encoding="utf-8")
    run("report", folder / "claim.json", "-o", folder / "report.html")
    assert "</html>" in (folder / "report.html").read_text(encoding="utf-8")


def trs(folder: Path) -> None:
    run("run", "office", "-r", "2", "-w", "1", *SMALL, "--trace", folder / "trace.parquet")
    run("trs", folder / "trace.parquet", "--resamples", "100", "--json", folder / "study.json")
    assert json.loads((folder / "study.json").read_text())


def probe(folder: Path) -> None:
    tokens = [part for role, token in TOKENS.items() for part in ("--token", f"{role}={token}")]
    with lying_server(believes=True) as server:
        to = ("--url", server.url, "--count", "2", "--rate", "50", "--forged", "0", "--out", folder / "probe.json")
        run("probe", *tokens, *to)
    assert json.loads((folder / "probe.json").read_text())["sent"] == 2


RUNS = {
    "scenarios": lambda folder: run("scenarios", "--json"),
    "check": lambda folder: run("check", "office"),
    "run": simulate,
    "schema": lambda folder: json.loads(run("schema")),
    "validate": lambda folder: run("validate", "mm1"),
    "warm-up-cache": lambda folder: run("warm-up-cache"),
    "claim": lambda folder: run("claim", "--quick", "--json", folder / "claim.json"),
    "customs": customs,
    "parameters": lambda folder: run("parameters", "--context", "general-import"),
    "calibrate": lambda folder: run("calibrate", "--replications", "2"),
    "validate-studies": lambda folder: run("validate-studies", "--replications", "2"),
    "staffing": lambda folder: run(
        "staffing", "office", "--target", "P90(lodgement to release) <= 72h", "--replications", "8"
    ),
    "trs": trs,
    "report": report,
    "probe": probe,
}
SLOW = {"claim", "validate"}


@pytest.mark.parametrize(
    "command", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in RUNS]
)
def test_command_with_real_arguments_is_done(tmp_path, command):
    RUNS[command](tmp_path)


def test_every_command_of_the_tree_has_a_run():
    assert without_a_run(cli, RUNS) == []


def test_command_without_a_run_is_named():
    planted = click.Group("planted", {"planted": click.Command("planted")})
    assert without_a_run(planted, []) == ["planted"]
