"""Odd arguments and odd terminals: bytes that are no text, files named like options, poor encodings, few columns."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from backend.cli.main import cli
from tests.cli.test_broken_output import ARGUMENTS
from tests.cli.test_every_command import EXAMPLE
from tests.helpers.click_tree import commands_of

VERIFY = Path(__file__).parents[2] / "verifier/verify.py"
BYTES = os.fsdecode(b"b\xe9\xff")
LATIN = {"LC_ALL": "xx_YY.bogus", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def run(*arguments, program=("-m", "backend.cli.main"), cwd=None, encoding="utf-8", **environment):
    given = {**os.environ, "LC_ALL": "C.UTF-8", **environment}
    command = [sys.executable, *map(str, program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, cwd=cwd, env=given, check=False, timeout=120)
    return done.returncode, done.stdout.decode(encoding, "replace"), done.stderr.decode("utf-8", "replace")


def texts_of(command):
    """The options and arguments of a command that take a text."""
    found = cli
    for name in command.split():
        found = found.get_command(click.Context(found), name)
    return [one for one in found.params if type(one.type) is type(click.STRING) and one.expose_value]


WITH_TEXT = [command for command in commands_of(cli) if texts_of(command)]


def test_commands_that_take_texts_are_found():
    assert {"register", "erase", "import", "chain accredit", "trust-file"} <= set(WITH_TEXT)
    assert "serve" not in WITH_TEXT


@pytest.mark.parametrize("command", WITH_TEXT)
def test_bytes_that_are_no_text_are_refused(desk, command):
    given = list(map(str, ARGUMENTS[command](desk)))
    for one in texts_of(command):
        if isinstance(one, click.Argument):
            replaced = [BYTES, *given[1:]]
        elif one.opts[0] == "--set":
            replaced = [*given, "--set", f"description={BYTES}"]
        elif one.opts[0] in given:
            place = given.index(one.opts[0]) + 1
            replaced = [*given[:place], BYTES, *given[place + 1 :]]
        else:
            replaced = [*given, one.opts[0], BYTES]
        done = desk.run(*command.split(), *replaced, code=2)
        assert "is no text in this terminal's encoding" in done.output or "Error" in done.output, (one, done.output)


@pytest.fixture
def odd_files(desk, tmp_path):
    """Bundles and documents whose names read like options, or are no text."""
    for name in ("--help", "-", BYTES):
        shutil.copy(desk.files / "bundle.json", tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("name", [("--", "--help"), ("./--help",), (BYTES,)], ids=ascii)
@pytest.mark.parametrize("environment", [{}, LATIN], ids=["utf-8", "bogus"])
def test_verifiers_read_files_of_any_name(desk, odd_files, name, environment):
    trust = desk.trust()
    code, said, complaint = run("verify", "--trust", trust, *name, cwd=odd_files, **environment)
    assert (code, said.split()[0], "Traceback" in complaint) == (0, "VALID", False)
    separate, *rest = name if len(name) > 1 else ("", *name)
    single = (VERIFY, *filter(None, [separate]), *rest, trust)
    code, said, complaint = run(program=single, cwd=odd_files, **environment)
    assert (code, said.split()[0], "Traceback" in complaint) == (0, "VALID", False)


def test_import_names_files_as_they_are_typed(desk, odd_files):
    (odd_files / "--help").write_text("{}", encoding="utf-8")
    asked = ("import", "--dry-run", "--as", "merchant@example.org", "--", "--help")
    code, said, _complaint = run(*asked, cwd=odd_files, DATA_DIR=str(desk.data))
    assert (code, "--help: not read" in said) == (1, True)
    (odd_files / "-x.csv").write_bytes(EXAMPLE.read_bytes())
    asked = ("import", "--dry-run", "--as", "merchant@example.org", "--", "-x.csv")
    code, said, _complaint = run(*asked, cwd=odd_files, DATA_DIR=str(desk.data))
    assert "provenport import ./-x.csv --as" in said


@pytest.mark.parametrize(
    ("encoding", "environment"),
    [
        pytest.param("ascii", {"PYTHONIOENCODING": "ascii"}, marks=pytest.mark.slow),
        ("ascii", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
        ("gbk", {"PYTHONIOENCODING": "gbk", "LC_ALL": "zh_CN.GBK"}),
        pytest.param("utf-8", {"LC_ALL": "xx_YY.bogus"}, marks=pytest.mark.slow),
        ("utf-8", {"TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "20", "FORCE_COLOR": "1"}),
    ],
    ids=["ascii", "C", "gbk", "bogus", "narrow"],
)
@pytest.mark.parametrize("command", ["verify", "import", "trs", "register", "keys list"])
def test_every_terminal_is_answered_in_its_encoding(desk, command, encoding, environment):
    given = {"import": (EXAMPLE, "--as", "merchant@example.org", "--dry-run")}.get(command) or ARGUMENTS[command](desk)
    code, said, complaint = run(*command.split(), *given, encoding=encoding, DATA_DIR=str(desk.copy()), **environment)
    assert (code, complaint) == (0, "")
    assert "\ufffd" not in said
    assert "\x1b[3" not in said  # no colour was asked for
    # The organisations of the demonstration have Chinese names, which a terminal in ASCII cannot show.
    chinese = re.search("[\u4e00-\u9fff]", said) is not None
    assert chinese == (encoding == "gbk") or command == "keys list"


def test_figures_stay_whole_on_a_narrow_terminal(desk):
    narrow = {"COLUMNS": "20", "FORCE_COLOR": "1", "DATA_DIR": str(desk.data)}
    _code, said, _complaint = run("trs", **narrow)
    assert re.search(r"(?m)^  count \d+$", said)
    assert re.search(r"(?m)^  P90 \d+ ", said)
    _code, said, _complaint = run("import", EXAMPLE, "--as", "merchant@example.org", "--dry-run", **narrow)
    assert "row 1" in said or "4 of 4 rows" in said
    assert "filled in 4 of 4 rows" in said


def test_json_stays_json_in_a_poor_encoding(desk):
    import json

    names = ("--role", "merchant", "--name", "深圳 é 😀", "--email", "odd@example.org", "--json")
    poor = {"PYTHONIOENCODING": "ascii", "DATA_DIR": str(desk.copy())}
    code, said, _complaint = run("register", *names, encoding="ascii", **poor)
    assert (code, json.loads(said)["organisation"]) == (0, "深圳 é 😀")


def test_single_program_keeps_its_verdict_in_ascii(desk):
    trust = desk.written("named.json", desk.trust().read_text(encoding="utf-8").replace("Operator", "深圳海关"))
    single = (VERIFY, desk.files / "bundle.json", trust)
    code, said, _complaint = run(program=single, encoding="ascii", PYTHONIOENCODING="ascii")
    assert (code, said.split()[0]) == (0, "VALID")


@pytest.mark.parametrize("stream", ["full", "closed"])
def test_single_program_tells_that_output_fails(desk, stream):
    single = (VERIFY, desk.files / "bundle.json", desk.trust())
    shell = {"full": '"$@" >/dev/full', "closed": '"$@" >&-'}[stream]
    command = ["sh", "-c", shell, "sh", sys.executable, *map(str, single)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, "no verdict" in done.stderr, "Traceback" in done.stderr) == (2, True, False)
