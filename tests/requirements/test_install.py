"""The set-up: what it refuses before the wait, how quiet it is, and what becomes of a changed lock."""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from requirements.install import Machine, advice, unsupported

ROOT = Path(__file__).parents[2]
DEBIAN = Machine("CPython", (3, 11), True, "linux", "x86_64", (2, 36), None)
MAC = Machine("CPython", (3, 13), True, "darwin", "arm64", None, (14, 2))


# ---- what is refused


@pytest.mark.parametrize(
    "machine",
    [
        DEBIAN,
        MAC,
        replace(MAC, macos=None),
        replace(DEBIAN, processor="aarch64", version=(3, 14), glibc=(2, 28)),
        Machine.here(),
    ],
)
def test_supported_machine_is_let_through(machine):
    assert unsupported(machine) is None


@pytest.mark.parametrize(
    ("machine", "why"),
    [
        (replace(DEBIAN, version=(3, 15)), "CPython 3.15"),
        (replace(DEBIAN, implementation="PyPy"), "PyPy 3.11"),
        (replace(DEBIAN, has_gil=False), "free-threaded"),
        (replace(DEBIAN, glibc=None), "musl"),
        (replace(DEBIAN, glibc=(2, 17)), "glibc 2.17"),
        (replace(DEBIAN, processor="riscv64"), "Linux on riscv64"),
        (replace(MAC, processor="x86_64"), "macOS on x86_64"),
        (replace(MAC, macos=(12, 7)), "macOS 12.7"),
        (replace(DEBIAN, system="win32"), "win32"),
    ],
)
def test_unsupported_machine_is_told_apart(machine, why):
    assert why in unsupported(machine)


PRETENCES = {
    "too new": ("sys.version_info = (3, 15, 0)", "this is CPython 3.15"),
    "Intel Mac": ("sys.platform = 'darwin'; platform.machine = lambda: 'x86_64'", "this is macOS on x86_64"),
    "Alpine": ("os.confstr = lambda name: None", "no glibc"),
    "too old": ("sys.version_info = (3, 10, 13)", "needs Python 3.11 to 3.14"),
}


@pytest.mark.parametrize("pretence", PRETENCES)
@pytest.mark.parametrize("target", ["run", "run-server", "test"])
def test_make_stops_before_anything_is_made(pretence, target, tmp_path):
    """One line, at once: the interpreter starts with a module that makes it believe to be elsewhere."""
    lie, told = PRETENCES[pretence]
    (tmp_path / "sitecustomize.py").write_text(
        f"import os, platform, sys, sysconfig\nsysconfig.get_config_vars()\n{lie}\n"
    )
    venv = tmp_path / "venv"
    done = make(ROOT, f"PYTHON={sys.executable}", f"VENV={venv}", target, PYTHONPATH=str(tmp_path))
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert (done.returncode, len(lines), done.stdout, venv.exists()) == (2, 1, "", False), done.stderr
    assert told in lines[0]


def make(folder, *arguments, **environment):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "-C", str(folder), "--no-print-directory", *arguments]
    return subprocess.run(
        command, env=inherited | environment, capture_output=True, text=True, timeout=120, check=False
    )


# ---- what is installed, in a small project of its own, without a network


BACKEND = """
import base64, hashlib, pathlib, zipfile

def _wheel(folder):
    name = "provenport-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as wheel:
        info = "provenport-0.1.0.dist-info/"
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: provenport\\nVersion: 0.1.0\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "RECORD", "")
    return name

def build_editable(folder, settings=None, metadata=None):
    return _wheel(folder)

def build_wheel(folder, settings=None, metadata=None):
    return _wheel(folder)
"""


class Project:
    """A project that is set up as ours is, whose packages lie in a folder."""

    def __init__(self, folder):
        self.folder, self.wheels, self.venv = folder, folder / "wheels", folder / ".venv"
        (folder / "requirements").mkdir()
        self.wheels.mkdir()
        shutil.copy(ROOT / "Makefile", folder)
        shutil.copy(ROOT / "requirements" / "install.py", folder / "requirements")
        (folder / "in_tree.py").write_text(BACKEND)
        self.write_project()
        for name in ("server", "base", "shared", "test", "browser", "contracts", "bench", "slither", "halmos"):
            self.lock(name, self.wheel("needed", "1.0"))

    def write_project(self, more=""):
        content = '[build-system]\nrequires = []\nbuild-backend = "in_tree"\nbackend-path = ["."]\n'
        (self.folder / "pyproject.toml").write_text(content + more)

    def wheel(self, name, version):
        """Make a package; gives its line for a lock."""
        path = self.wheels / f"{name}-{version}-py3-none-any.whl"
        info = f"{name}-{version}.dist-info"
        files = {
            f"{name}.py": f"version = {version!r}\n",
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "".join(f"{file},sha256={digest(text)},{len(text)}\n" for file, text in files.items())
        with zipfile.ZipFile(path, "w") as archive:
            for file, text in {**files, f"{info}/RECORD": record + f"{info}/RECORD,,\n"}.items():
                archive.writestr(zipfile.ZipInfo(file), text)
        return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"

    def lock(self, name, *lines):
        (self.folder / "requirements" / f"{name}.txt").write_text("".join(line + "\n" for line in lines))

    def make(self, target):
        pip = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels)}
        return make(self.folder, f"PYTHON={sys.executable}", target, **pip)

    def installed(self, name):
        """The version of a package; nothing where it is not there."""
        program = f"import {name}; print({name}.version)"
        python = self.venv / "bin" / "python"
        return subprocess.run([python, "-c", program], capture_output=True, text=True).stdout.strip()


def digest(text):
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("project"))


def test_set_up_takes_three_lines(project):
    done = project.make("simulator")
    assert done.returncode == 0, done.stderr
    assert [line[:4] for line in done.stdout.splitlines()] == ["1/3 ", "2/3 ", "3/3 "]
    assert done.stderr == ""
    assert "Successfully installed needed-1.0" in (project.venv / "install.log").read_text()
    assert project.installed("needed") == "1.0"
    again = project.make("simulator")
    assert "Nothing to be done" in again.stdout
    assert "1/3" not in project.make("run-server").stdout  # base holds what the server needs


@pytest.mark.slow
def test_changed_lock_rebuilds_the_environment(project):
    """What the lock names no more goes, too: otherwise it would hide that something still needs it."""
    project.lock("base", project.wheel("needed", "1.0"), project.wheel("dropped", "1.0"))
    assert project.make("simulator").returncode == 0
    assert project.installed("dropped") == "1.0"
    project.lock("base", project.wheel("needed", "2.0"))
    project.lock("server", project.wheel("needed", "2.0"))
    done = project.make("simulator")
    assert done.returncode == 0, done.stderr
    assert (project.installed("needed"), project.installed("dropped")) == ("2.0", "")


@pytest.mark.slow
def test_lost_interpreter_is_replaced(project):
    """As after an upgrade of the system's Python."""
    assert project.make("simulator").returncode == 0
    (project.venv / "bin" / "python").unlink()
    assert project.make("simulator").returncode == 0
    assert project.installed("needed")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("altered", "not the one that was locked"),
        ("absent==1.0 --hash=sha256:" + 64 * "0", "does not reach its index"),
    ],
)
def test_failure_shows_log_and_remedy(project, entry, told):
    line = project.wheel("altered", "1.0")
    before = (project.folder / "requirements" / "base.txt").read_text()
    project.lock("base", before.strip(), line[:-8] + "00000000" if entry == "altered" else entry)
    done = project.make("simulator")
    assert done.returncode == 2
    assert "That failed. The end of .venv/install.log" in done.stderr
    assert "ERROR" in done.stderr
    assert told in done.stderr
    assert len(done.stderr.splitlines()) < 20
    project.lock("base", before.strip())
    assert project.make("simulator").returncode == 0


@pytest.mark.parametrize(
    ("log", "told"),
    [
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("ensurepip is not available", "python3-venv"),
        ("NewConnectionError: Failed to establish a new connection", "network"),
        ("something else", "log"),
    ],
)
def test_advice_fits_the_log(log, told):
    assert told in advice(log)


def test_probe_gets_port_and_data_folder(project):
    """The command takes the port from the environment, which make has to hand on."""
    assert project.make("simulator").returncode == 0
    program = project.venv / "bin" / "clearance-sim"
    program.write_text('#!/bin/sh\necho "$PORT" "$@"\n')
    program.chmod(0o755)
    done = make(project.folder, "probe", "PORT=18080", "DATA_DIR=/elsewhere", "ARGS=--count 1")
    assert done.stdout.splitlines()[-1] == "18080 probe --credentials /elsewhere/demo-credentials.json --count 1"
