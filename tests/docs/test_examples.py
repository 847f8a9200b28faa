"""The examples for operators name commands and options that there are."""

import configparser
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml

from backend.adapters.ledger.calls import CONTRACTS
from backend.adapters.ledger.deployment import DEPLOYMENT_GAS
from backend.adapters.ledger.evm import TRANSACTION_GAS_LIMIT
from backend.cli.main import cli
from backend.settings import Settings
from contracts import load

EXAMPLES = Path(__file__).parents[2] / "docs/examples"
UNITS = sorted((EXAMPLES / "systemd").glob("*.service"))
FORKS = ["berlinBlock", "londonBlock", "shanghaiTime", "cancunTime"]
"""As Besu names those that begin at a block, and those that begin at a time."""


def parsed(line: str) -> click.Context:
    """The context of a command line as the program reads it."""
    program, *arguments = shlex.split(line.replace("%i", "8081"))
    assert program.endswith("/provenport")
    command = cli.get_command(click.Context(cli), arguments[0])
    assert command is not None, arguments
    return command.make_context(arguments[0], arguments[1:])


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_unit_starts_a_command_with_its_options(unit):
    found = configparser.ConfigParser(interpolation=None)
    found.read(unit, encoding="utf-8")
    assert parsed(found["Service"]["ExecStart"]).params.keys() <= {"port", "data_dir"}


def test_each_process_has_a_unit():
    assert [unit.stem for unit in UNITS] == ["provenport-anchor", "provenport-web@", "provenport-work"]


def test_planted_option_that_is_none_is_found():
    with pytest.raises(click.UsageError):
        parsed("/opt/provenport/.venv/bin/provenport anchor --port 8081")


COMPOSE = yaml.safe_load((EXAMPLES / "compose.yaml").read_text(encoding="utf-8"))
OURS = {name: one for name, one in COMPOSE["services"].items() if name != "postgres"}


@pytest.mark.parametrize("name", OURS)
def test_composed_process_starts_a_command(name):
    program = COMPOSE["services"][name]["build"]["dockerfile_inline"].partition('ENTRYPOINT ["')[2].partition('"]')[0]
    assert parsed(shlex.join([program, *OURS[name]["command"]])).params.keys() <= {"port", "data_dir"}


def test_composed_processes_are_those_of_units():
    assert {one["command"][0] for one in OURS.values()} == {unit.stem.split("-")[1].strip("@") for unit in UNITS}


def filled(value: str) -> str:
    """A value as Compose makes it of one variable."""
    return re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: "word" if "PASSWORD" in found[1] else "http://word", value)


@pytest.mark.parametrize("name", OURS)
def test_composed_environment_is_understood(name):
    given = {key: filled(value) for key, value in OURS[name]["environment"].items()}
    read: set[str] = set()
    Settings.from_environment(Noting(given, read))
    assert set(given) <= read, "no setting has that name"


class Noting(dict):
    """An environment that notes what is asked for."""

    def __init__(self, given: dict[str, str], read: set[str]) -> None:
        super().__init__(given)
        self._read = read

    def get(self, key, default=None):
        self._read.add(key)
        return super().get(key, default)


def test_composed_volumes_and_conditions_exist():
    for one in COMPOSE["services"].values():
        assert {volume.partition(":")[0] for volume in one.get("volumes", ())} <= set(COMPOSE["volumes"])
        for needed in one.get("depends_on", {}):
            assert "healthcheck" in COMPOSE["services"][needed]


def test_composed_image_calls_the_installer_rightly():
    text = OURS["web-1"]["build"]["dockerfile_inline"]
    line = next(line for line in text.splitlines() if "requirements/install.py" in line)
    arguments = shlex.split(line.partition("requirements/install.py")[2])
    root = EXAMPLES.parents[1]
    told = subprocess.run(
        [sys.executable, root / "requirements/install.py", *arguments, "--help"], capture_output=True, check=False
    )
    assert told.returncode == 0, told.stderr


# ---- the chain


def misfits(settings):
    """What of the example for Besu does not fit our contracts and the server's settings."""
    genesis, nodes = settings["genesis"], settings["blockchain"]["nodes"]
    config = genesis["config"]
    # What deploys a contract is longer than the contract.
    largest = max(len(load(name).bytecode) for name in CONTRACTS)
    checks = {
        "chain id": isinstance(config["chainId"], int) and config["chainId"] > 0,
        "hard forks": all(config.get(fork) == 0 for fork in FORKS),
        "free gas": config["zeroBaseFee"] is True and int(genesis["baseFeePerGas"], 16) == 0,
        "contract size": config["contractSizeLimit"] >= largest,
        "block size": int(genesis["gasLimit"], 16) >= max(DEPLOYMENT_GAS, TRANSACTION_GAS_LIMIT),
        "consensus": {"blockperiodseconds", "epochlength", "requesttimeoutseconds"} <= config["qbft"].keys(),
        # 3f + 1 validators bear f of them that lie.
        "validators": nodes == {"generate": True, "count": 4},
    }
    return [name for name, holds in checks.items() if not holds]


def example():
    return json.loads((EXAMPLES / "besu-qbft.json").read_text(encoding="utf-8"))


def test_besu_example_fits_contracts_and_settings():
    assert misfits(example()) == []


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("hard forks", {"cancunTime": None}),
        ("free gas", {"zeroBaseFee": False}),
        ("contract size", {"contractSizeLimit": 4_000}),
    ],
)
def test_planted_misfit_of_besu_example_is_found(part, change):
    altered = example()
    altered["genesis"]["config"] |= change
    assert misfits(altered) == [part]
