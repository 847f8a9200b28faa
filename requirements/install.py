"""Install one locked set of packages into the virtual environment; ``make`` calls it.

The terminal gets one line a step, everything that the tools say goes to ``install.log`` in the environment. Needs
nothing but Python's own library: it runs before anything is installed.
"""

import argparse
import os
import platform
import re
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
HOLDS = {
    "server": (),
    "base": ("server",),
    "shared": ("server",),
    "test": ("base", "shared", "server"),
    "browser": ("test", "base", "shared", "server"),
    "contracts": ("test", "base", "shared", "server"),
    "bench": ("contracts", "test", "base", "shared", "server"),
}
"""Each set, and the sets whose packages it holds at the same versions."""
NEWEST_PYTHON = (3, 14)
"""The oldest, 3.11, is checked by the Makefile: an older one could not read this file."""
OLDEST_GLIBC, OLDEST_MACOS = (2, 28), (13, 0)
PROCESSORS = {"linux": ("x86_64", "aarch64"), "darwin": ("arm64",)}
SUPPORTED = (
    "CPython 3.11 to 3.14 on Linux (x86-64 or arm64, glibc 2.28 or newer) and on macOS 13 or newer (Apple silicon)"
)
TOOLS = {"pip", "provenport"}
"""In the environment without being locked: pip comes with it, the other is ourselves."""
TAIL_LINES = 12


class StepFailed(Exception):
    """A step did not work; the log says why."""


@dataclass(frozen=True)
class Machine:
    """What wheels depend on."""

    implementation: str
    version: tuple[int, int]
    has_gil: bool
    system: str
    processor: str
    glibc: tuple[int, ...] | None
    """None where the C library is another, musl for example, or the system has none."""
    macos: tuple[int, ...] | None
    """None where it cannot be told."""

    @classmethod
    def here(cls) -> "Machine":
        """Of the Python that runs this."""
        return cls(
            platform.python_implementation(),
            sys.version_info[:2],
            not sysconfig.get_config_var("Py_GIL_DISABLED"),
            sys.platform,
            platform.machine() if sys.maxsize > 2**32 else f"{platform.machine()} with a 32-bit Python",
            _glibc(),
            _macos(),
        )


def _glibc() -> tuple[int, ...] | None:
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (AttributeError, OSError, ValueError):
        return None
    return _numbers(version) if name == "glibc" else None


def _macos() -> tuple[int, ...] | None:
    version = _numbers(platform.mac_ver()[0])
    # To a Python that was built long ago, every newer macOS says that it is 10.16.
    return None if version in ((), (10, 16)) else version


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def unsupported(machine: Machine) -> str | None:
    """What stands against an installation from wheels here, as the end of a sentence; None where nothing does."""
    python = f"{machine.implementation} {machine.version[0]}.{machine.version[1]}"
    if machine.implementation != "CPython" or machine.version > NEWEST_PYTHON:
        return f"this is {python}"
    if not machine.has_gil:
        return f"this is a free-threaded {python}"
    if machine.system not in PROCESSORS:
        return f"this is {machine.system}"
    name = {"linux": "Linux", "darwin": "macOS"}[machine.system]
    if machine.processor not in PROCESSORS[machine.system]:
        return f"this is {name} on {machine.processor}"
    if machine.system == "darwin":
        is_old = machine.macos is not None and machine.macos < OLDEST_MACOS
        return f"this is macOS {_dotted(machine.macos)}" if is_old else None
    if machine.glibc is None:
        return "this Linux has no glibc (Alpine and others with musl do not)"
    return f"this Linux has glibc {_dotted(machine.glibc)}" if machine.glibc < OLDEST_GLIBC else None


def _dotted(numbers: Iterable[int] | None) -> str:
    return ".".join(map(str, numbers or ()))


@dataclass(frozen=True)
class Environment:
    """The virtual environment to fill, and the log of what is done to it."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def log(self) -> Path:
        """What the tools said the last time."""
        return self.folder / "install.log"

    def make(self) -> None:
        """Make it anew, unless it is there with an interpreter that runs."""
        self.log.unlink(missing_ok=True)
        if self._works():
            return
        done = subprocess.run(
            [sys.executable, "-m", "venv", "--clear", str(self.folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log.write_bytes(done.stdout)
        if done.returncode != 0:
            raise StepFailed

    def _works(self) -> bool:
        """Whether pip can be asked: an upgrade of the system may have taken the interpreter away."""
        try:
            return subprocess.run([self.python, "-m", "pip", "--version"], capture_output=True).returncode == 0
        except OSError:
            return False

    def pip(self, *arguments: str) -> None:
        """Let its pip do something, whose words go to the log."""
        with self.log.open("ab") as log:
            done = subprocess.run(
                [self.python, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode != 0:
            raise StepFailed

    def installed(self) -> set[str]:
        """The names of the packages in it."""
        names = "from importlib.metadata import distributions\nfor d in distributions(): print(d.metadata['Name'])"
        told = subprocess.run([self.python, "-I", "-c", names], capture_output=True, text=True, check=True).stdout
        return {normalised(name) for name in told.split()}

    def sets(self) -> set[str]:
        """The sets that were installed into it, at whichever lock."""
        return {name for name in HOLDS if any(self.folder.glob(f".{name}-*"))}

    def stamp(self, name: str, checksum: str) -> None:
        """Note that a set is installed as the lock with this checksum says."""
        for old in self.folder.glob(f".{name}-*"):
            old.unlink()
        (self.folder / f".{name}-{checksum}").touch()


def normalised(name: str) -> str:
    """A package's name as the locks spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def lock_of(name: str) -> Path:
    """The lock file of a set."""
    return HERE / f"{name}.txt"


def locked(name: str) -> set[str]:
    """The packages that a set's lock names, for any platform."""
    return set(re.findall(r"^([a-z0-9][a-z0-9-]*)==", lock_of(name).read_text(encoding="utf-8"), re.MULTILINE))


def install(environment: Environment, name: str, checksums: dict[str, str], wheels_only: bool) -> None:
    """Bring the environment to a set's lock, and the project into it; raises StepFailed."""
    _say(f"1/3 The virtual environment ({environment.folder})")
    environment.make()
    count = len(locked(name))
    _say(f"2/3 Installing {count} locked packages: a minute or two the first time (what pip says: {environment.log})")
    # --no-deps, because the lock is whole, and an older pip would look for a newer release of what another package
    # wants with an extra.
    binary = ["--only-binary", ":all:"] if wheels_only else []
    environment.pip("install", "--no-deps", "--require-hashes", *binary, "-r", str(lock_of(name)))
    # After a change of the lock: what no set in use names any more would hide that something still needs it.
    wanted = TOOLS.union(*(locked(one) for one in {name, *environment.sets()}))
    if gone := sorted(environment.installed() - wanted):
        environment.pip("uninstall", "--yes", *gone)
    _say("3/3 Installing Provenport itself")
    environment.pip("install", "--no-deps", "--no-build-isolation", "-e", str(HERE.parent))
    for one in (name, *HOLDS[name]):
        environment.stamp(one, checksums[one])


def advice(log: str) -> str:
    """What to do about a failed installation, by what its log says."""
    for pattern, answer in ADVICE:
        if re.search(pattern, log):
            return answer
    return "The log has the whole of it."


ADVICE: Sequence[tuple[str, str]] = (
    (
        r"DO NOT MATCH THE HASHES",
        "A package is not the one that was locked. Do not install it otherwise: look at the index, mirror or proxy "
        "that pip uses (pip config list), and empty its cache (pip cache purge).",
    ),
    (
        r"No space left on device",
        "The disk is full. Free 1.5 GB (make run-server needs 0.6 GB), or let TMPDIR name another disk.",
    ),
    (r"ensurepip", "This Python cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv"),
    (
        r"NewConnectionError|NameResolutionError|Temporary failure in name resolution|ConnectTimeout|ReadTimeout|"
        r"ProxyError|SSLError|Network is unreachable|Connection refused|Connection reset",
        "pip cannot reach its package index. Look at the network, or name a proxy (HTTPS_PROXY) or an index that you "
        "can reach (PIP_INDEX_URL).",
    ),
    (
        r"\(from versions: none\)",
        "pip found a package in no version at all: it does not reach its index (look at the network, HTTPS_PROXY and "
        "PIP_INDEX_URL), or what it takes for one is none (pip config list).",
    ),
    (
        r"No matching distribution found|Could not find a version",
        "The package index that pip uses does not have a locked package for this machine. Look at pip config list; a "
        "mirror may lag behind.",
    ),
    (
        r"Permission denied|Read-only file system",
        "Something here may not be written. Look whom this folder belongs to.",
    ),
)


def _say(line: str) -> None:
    print(line, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", choices=HOLDS)
    parser.add_argument("--venv", type=Path, required=True)
    parser.add_argument("--checksum", action="append", default=[], metavar="SET=SUM", help="of each set's lock")
    parser.add_argument("--unsupported", action="store_true", help="try where wheels are missing, too, and compile")
    asked = parser.parse_args(arguments)
    if (why := unsupported(Machine.here())) and not asked.unsupported:
        print(
            f"Provenport cannot be installed here: it needs {SUPPORTED}; {why}. Name another Python "
            "(make PYTHON=/path/to/python3 ...), or let it try, compiling what it must (make UNSUPPORTED=1 ...).",
            file=sys.stderr,
        )
        return 1
    environment = Environment(asked.venv)
    began = time.monotonic()
    try:
        install(environment, asked.set, dict(pair.split("=", 1) for pair in asked.checksum), not asked.unsupported)
    except StepFailed:
        log = environment.log.read_text(encoding="utf-8", errors="replace")
        print(f"That failed. The end of {environment.log}:", file=sys.stderr)
        for line in log.rstrip().splitlines()[-TAIL_LINES:]:
            print(f"  {line[:300]}", file=sys.stderr)
        print(f"{advice(log)}\nThen run make again: what is there already is kept.", file=sys.stderr)
        return 1
    with environment.log.open("a", encoding="utf-8") as log_file:
        log_file.write(f"Installed {asked.set} in {time.monotonic() - began:.0f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
