"""Where only the server is installed, the simulator's commands say so, and how to install them."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
sys.modules.update(dict.fromkeys(["numba", "numpy", "pandas", "pyarrow", "scipy"]))
from clearance_sim.cli import main
main()
"""


def run(*arguments, language="en", program=PROGRAM):
    environment = {"PATH": "", "LANGUAGE": language, "PYTHONUTF8": "1"}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("command", ["run", "probe", "staffing", "claim", "scenarios"])
@pytest.mark.parametrize(("language", "words"), [("en", "is not installed here"), ("zh", "此处未安装仿真程序")])
def test_command_says_what_is_missing(command, language, words):
    done = run(command, language=language)
    assert (done.returncode, done.stdout) == (69, "")
    assert words in done.stderr
    assert "make simulator" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("language", ["en", "zh"])
def test_help_still_lists_every_command(language):
    done = run("--help", language=language)
    assert (done.returncode, done.stderr) == (0, "")
    assert "warm-up-cache" in done.stdout
    assert {"en": "not installed here", "zh": "尚未安装"}[language] in done.stdout


def test_own_missing_module_is_a_fault():
    """Only libraries may be left out: a module of ours that is gone must not pass for one."""
    program = PROGRAM.replace('"numba"', '"numba", "clearance_sim.commands.run"')
    done = run("run", program=program)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_all_public_names_can_be_imported():
    import clearance_sim

    assert {name for name in clearance_sim.__all__ if getattr(clearance_sim, name) is not None} == set(
        clearance_sim.__all__
    )
    with pytest.raises(AttributeError, match="nowhere"):
        _ = clearance_sim.nowhere
