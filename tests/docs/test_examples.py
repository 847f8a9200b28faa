"""The examples for operators name commands and options that there are."""

import configparser
import shlex
from pathlib import Path

import click
import pytest

from backend.cli.main import cli

UNITS = sorted((Path(__file__).parents[2] / "docs/examples/systemd").glob("*.service"))


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
