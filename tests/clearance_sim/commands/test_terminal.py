"""Commands on narrow, dumb and colourless terminals, in encodings that lack signs, and with files nobody can write."""

import json
import os
import pty
import re
import struct
import subprocess
import sys

import pytest
from click.testing import CliRunner
from rich.console import Console
from rich.table import Table

from clearance_sim.cli import cli
from clearance_sim.commands import claim, customs, report, run, trs
from clearance_sim.commands.terminal import Unwritable, check_writable, print_table

PROGRAM = [sys.executable, "-m", "clearance_sim"]
SMALL = [
    "run",
    "six-stations",
    "-r",
    "2",
    "-w",
    "1",
    "--set",
    "run.declarations=200",
    "--set",
    "run.warm_up_declarations=0",
]
LOG = "declaration,step,occurred_at,customs_office\n" + "".join(
    f"d{n},{step},2026-03-{n + 1:02}T{hour:02}:00:00Z,YIWU\n"
    for n in range(9)
    for step, hour in (("arrived", 8), ("lodged", 9), ("released", 8 + 2 * n % 13 + 1))
    if n
)
UNSET = ("COLUMNS", "LANGUAGE", "LC_ALL", "NO_COLOR", "PYTHONIOENCODING", "PYTHONUTF8", "FORCE_COLOR")


def environment(**settings):
    kept = {name: value for name, value in os.environ.items() if name not in UNSET}
    return {**kept, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **settings}


def on_a_terminal(arguments, columns, **settings):
    """What a command writes to a terminal of so many columns."""
    import fcntl
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    done = subprocess.Popen([*PROGRAM, *arguments], stdout=theirs, stderr=theirs, env=environment(**settings))
    os.close(theirs)
    out = b""
    while True:
        try:
            if not (part := os.read(ours, 65536)):
                break
        except OSError:
            break
        out += part
    os.close(ours)
    assert done.wait() == 0, out.decode(errors="replace")
    return out.decode().replace("\r\n", "\n")


def piped(arguments, **settings):
    done = subprocess.run([*PROGRAM, *arguments], capture_output=True, env=environment(**settings), check=False)
    assert b"Traceback" not in done.stderr, done.stderr.decode(errors="replace")
    assert done.returncode == 0, done.stderr
    return done.stdout


def without_escapes(text):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


@pytest.fixture(scope="module")
def figures():
    """Every figure of the run, as the widest pipe shows it."""
    shown = piped(SMALL).decode()
    found = set(re.findall(r"\d[\d.]* ± [\d.]+", shown))
    assert len(found) > 50
    return found


@pytest.mark.parametrize(
    ("columns", "settings"),
    [
        (20, {}),
        (20, {"COLUMNS": "20"}),
        (80, {}),
        (100, {"TERM": "dumb"}),
    ],
)
def test_no_figure_of_run_is_cut(figures, columns, settings):
    shown = without_escapes(on_a_terminal(SMALL, columns, **settings))
    assert not {figure for figure in figures if figure not in shown}
    assert "…" not in shown


def printed(table, columns, how):
    """What a console of so many columns shows of a table, printed by `how`."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere_at_all:
        on = Console(width=columns, record=True, file=nowhere_at_all)
        how(table, on)
        return on.export_text()


def test_no_figure_of_a_study_is_cut(tmp_path):
    (tmp_path / "log.csv").write_text(LOG)
    asked = ["trs", str(tmp_path / "log.csv"), "--resamples", "100"]
    found = set(re.findall(r"[\d.]+ h \[[\d.]+, [\d.]+\]", piped(asked).decode()))
    assert len(found) > 3
    shown = without_escapes(on_a_terminal(asked, 20))
    assert not {figure for figure in found if figure not in shown}
    assert shown.count("peak=peak") == 1


def test_cut_figures_would_be_found(figures):
    """What the library's own tables do with a narrow terminal fails the comparison."""
    some = sorted(figures)[:9]
    table = Table("desk", *map(str, range(9)))
    table.add_row("one", *some)
    assert not all(figure in printed(table, 30, lambda table, on: on.print(table)) for figure in some)
    assert all(figure in printed(table, 30, print_table) for figure in some)


def test_table_in_parts_repeats_its_first_column():
    table = Table("station", "a", "b", "c", title="Stations", box=None, pad_edge=False)
    table.add_row("desk", "1.0 ± 0.1", "2.0 ± 0.2", "3.0 ± 0.3")
    lines = [line.split() for line in printed(table, 32, print_table).splitlines() if line.strip()]
    assert [line[0] for line in lines] == ["Stations", "station", "desk", "station", "desk"]
    assert [line[1:] for line in lines if line[0] == "station"] == [["a", "b"], ["c"]]


def test_brackets_in_names_are_printed():
    table = Table("station [x]", "a", box=None)
    table.add_row("desk [red]", "1.0 [0.9, 1.1]")
    for columns in (80, 5):
        assert all(text in printed(table, columns, print_table) for text in ("station [x]", "desk [red]", "[0.9, 1.1]"))


@pytest.mark.parametrize("settings", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colourless_terminal_gets_no_colour(settings):
    shown = on_a_terminal(SMALL, 100, **settings)
    assert not re.findall(r"\x1b\[[0-9;]*m", shown)


def test_coloured_terminal_shows_that_colours_are_seen():
    assert re.findall(r"\x1b\[[0-9;]*m", on_a_terminal(SMALL, 100))


ENCODINGS = [
    {"PYTHONIOENCODING": "ascii"},
    pytest.param({"PYTHONIOENCODING": "latin-1"}, marks=pytest.mark.slow),
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONIOENCODING": "ascii", "LANGUAGE": "zh"},
]


@pytest.mark.parametrize("settings", ENCODINGS)
def test_no_encoding_ends_a_command(tmp_path, settings):
    (tmp_path / "log.csv").write_text(LOG)
    shown = piped(SMALL, **settings).decode(settings.get("PYTHONIOENCODING", "ascii"))
    assert ("Stations" in shown, "?" in shown) == (True, False)
    shown = piped(["trs", str(tmp_path / "log.csv"), "--resamples", "100"], **settings)
    assert "P95" in shown.decode(settings.get("PYTHONIOENCODING", "ascii"))


def test_documents_are_utf_8_in_any_encoding():
    """JSON and TOML are UTF-8 by their own rules, whatever the terminal's encoding."""
    shown = piped(["scenarios", "--json"], PYTHONIOENCODING="ascii")
    assert not shown.isascii()
    assert {scenario["name"] for scenario in json.loads(shown)} >= {"office"}
    assert not piped(["scenarios", "--show", "general-import-paper"], PYTHONIOENCODING="ascii").decode().isascii()


def test_no_help_shows_marks_for_the_formatter():
    """The mark that keeps lines as they are is never shown, in any command, at any width."""
    for width in (20, 60, 110):
        for name in ("", *cli.list_commands(None)):
            done = CliRunner().invoke(cli, [*filter(None, [name]), "--help"], terminal_width=width)
            assert done.exit_code == 0
            assert "\b" not in done.output
            assert "\\b" not in done.output


# Files


def nowhere(folder):
    return str(folder / "missing" / "file.json")


def below_a_file(folder):
    (folder / "plain").write_text("x")
    return str(folder / "plain" / "file.json")


@pytest.mark.parametrize("place", [nowhere, below_a_file])
def test_unwritable_file_is_refused_before_the_run(tmp_path, monkeypatch, place):
    def never(*_arguments, **_options):
        raise AssertionError("it ran")

    monkeypatch.setattr(run, "run", never)
    monkeypatch.setattr(claim, "run_study", never)
    monkeypatch.setattr(trs, "_studied", never)
    monkeypatch.setattr(customs, "calibrate", never)
    monkeypatch.setattr(report, "_read", never)
    (tmp_path / "log.csv").write_text(LOG)
    (tmp_path / "claim.json").write_text("{}")
    file, log = place(tmp_path), str(tmp_path / "log.csv")
    for arguments in (
        ["run", "office", "--json", file],
        ["run", "office", "--trace", file],
        ["claim", "--json", file],
        ["trs", log, "--json", file],
        ["trs", log, "--export", file.replace(".json", ".xes")],
        ["report", str(tmp_path / "claim.json"), "-o", file],
        ["report", str(tmp_path / "claim.json"), "-o", str(tmp_path / "x.html"), "--pdf", file],
        ["customs", "--out", file],
    ):
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == 2, (arguments, done.output, done.exception)
        assert "cannot be written" in done.output


def test_folder_below_a_file_is_refused(tmp_path):
    (tmp_path / "plain").write_text("x")
    done = CliRunner().invoke(cli, ["run", "office", "--out", str(tmp_path / "plain" / "folder")])
    assert (done.exit_code, "cannot be written" in done.output) == (2, True), done.exception


def test_check_leaves_files_as_they_are(tmp_path):
    (tmp_path / "old.json").write_text("kept")
    check_writable(tmp_path / "old.json", str(tmp_path / "new.json"), None, "-", os.devnull)
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]
    assert (tmp_path / "old.json").read_text() == "kept"
    with pytest.raises(Unwritable):
        check_writable(tmp_path)


def test_cluster_advice_names_the_projects_own_way(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    done = CliRunner().invoke(cli, ["run", "office", "--dask-workers", "1"])
    assert done.exit_code == 1
    assert "make cluster" in done.output
    assert "pip install" not in done.output
