"""Every file of a data folder, damaged: each command says in a line which, and what to do; none shows a traceback."""

import shutil
import sqlite3
import time
from contextlib import closing

import pytest
from click.testing import CliRunner

from backend.cli.main import cli

DAMAGES = {
    "empty": lambda content: b"",
    "garbage": lambda content: b"\xff\x00garbage" * 50,
    "another JSON": lambda content: b'{"ledger": 7, "chainId": "x", "format": 1}',
    "cut short": lambda content: content[: len(content) // 2],
}
COMMANDS = [
    ("chain", "status"),
    ("keys", "list"),
    *(
        pytest.param(command, marks=pytest.mark.slow)
        for command in (("trust-file",), ("audit",), ("chain", "deploy", "--again"), ("trs",))
    ),
]
NAMED = ("deployment.json", "chain.sqlite")


def files_of(desk):
    return sorted(path.name for path in desk.data.iterdir() if path.is_file() and path.suffix not in (".lock", ".pid"))


def with_damage(desk, name, damage):
    data = shutil.copytree(desk.data, desk.files / f"damaged-{time.monotonic_ns()}")
    (data / name).write_bytes(DAMAGES[damage]((data / name).read_bytes()))
    return data


def told(data, command):
    return CliRunner(env={"DATA_DIR": str(data), "LC_ALL": "C.UTF-8"}).invoke(cli, list(command))


def test_every_file_of_a_folder_is_damaged(desk):
    assert {*NAMED, "provenport.json", "provenport.sqlite", "record.keys", "master.key"} <= set(files_of(desk))


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_damage_is_told_without_a_traceback(desk, command, damage):
    for name in files_of(desk):
        done = told(with_damage(desk, name, damage), command)
        assert done.exception is None or isinstance(done.exception, SystemExit), (name, done.exception)
        assert len(done.stderr.splitlines()) <= 1, (name, done.stderr)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_deployment_is_named_with_advice(desk, damage):
    done = told(with_damage(desk, "deployment.json", damage), ("chain", "status"))
    assert done.exit_code == 1
    assert "deployment.json is damaged: put it back from a copy that provenport backup made" in done.stderr


@pytest.mark.parametrize("damage", ["garbage", "another JSON", "cut short"])
def test_damaged_chain_is_named_with_advice(desk, damage):
    done = told(with_damage(desk, "chain.sqlite", damage), ("chain", "status"))
    assert done.exit_code == 1
    assert "chain.sqlite is damaged (" in done.stderr
    assert "put it back from a copy that provenport backup made" in done.stderr


def test_chain_with_entries_gone_is_named(desk):
    """A file that SQLite takes for whole."""
    data = desk.copy()
    with closing(sqlite3.connect(data / "chain.sqlite")) as chain, chain:
        chain.execute("DELETE FROM entries WHERE length(value) > 100")
    assert "chain.sqlite is damaged (" in told(data, ("chain", "status")).stderr


def test_former_deployment_that_is_damaged_is_named(desk):
    data = desk.copy()
    (data / "deployment-00000000.json").write_text("{", encoding="utf-8")
    assert "deployment-00000000.json is damaged" in told(data, ("trust-file",)).stderr


def test_emptied_database_is_missing_not_new(desk):
    done = told(with_damage(desk, "provenport.sqlite", "empty"), ("keys", "list"))
    assert (done.exit_code, "provenport.sqlite is missing" in done.stderr) == (1, True)
