"""Whether every lock installs from wheels alone, on each Python and system that we say is supported.

``make wheels`` runs it: ``wheels.py UV``. Nothing is installed: uv resolves each lock as that machine would, and asks
the package index. First it must find packages that are planted without a wheel, so that "none is missing" means
something.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCKS = ("server", "base", "shared", "test", "browser", "contracts", "bench", "slither", "halmos")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
SYSTEMS = {
    "Linux x86-64": "x86_64-manylinux_2_28",
    "Linux arm64": "aarch64-manylinux_2_28",
    "macOS 13 arm64": "aarch64-apple-darwin",
}
"""As uv calls them; these are the oldest of each that requirements/install.py lets pass."""
OLDEST_MACOS = "13.0"


@dataclass(frozen=True)
class Target:
    """A Python on a system."""

    python: str
    system: str

    def __str__(self) -> str:
        return f"Python {self.python}, {self.system}"


TARGETS = [Target(python, system) for python in PYTHONS for system in SYSTEMS]
PLANTED = {
    "coincurve": Target("3.14", "Linux x86-64"),
    "safe-pysha3": Target("3.11", "macOS 13 arm64"),
}
"""Packages without a wheel somewhere, which markers keep away there: planted by taking the markers off."""


def without_marker(lock: str, package: str) -> str:
    """The entry of one package in a lock, demanded everywhere."""
    found = re.search(rf"^{re.escape(package)}==.*?(?=^[a-z0-9]|\Z)", lock, re.MULTILINE | re.DOTALL)
    if found is None:
        raise LookupError(f"{package} is not in the lock any more: plant another")
    return re.sub(r" ; .*(?= \\\n)", "", found[0], count=1)


def fault(uv: str, lock: Path, target: Target) -> str | None:
    """What uv says against installing a lock there from wheels alone; None where it can be."""
    with tempfile.TemporaryDirectory() as nowhere:
        command = [uv, "pip", "install", "--dry-run", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
        command += ["--python-version", target.python, "--python-platform", SYSTEMS[target.system]]
        command += ["--target", nowhere, "--color", "never", "-r", str(lock)]
        environment = {**os.environ, "MACOSX_DEPLOYMENT_TARGET": OLDEST_MACOS}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    return " ".join(done.stderr.split()) or f"uv ended with {done.returncode}"


def faults(uv: str) -> Iterator[str]:
    """What is wrong with the locks, and with this check."""
    with tempfile.TemporaryDirectory() as folder:
        for package, target in PLANTED.items():
            planted = Path(folder, f"{package}.txt")
            lock = (ROOT / "requirements" / "base.txt").read_text(encoding="utf-8")
            planted.write_text(without_marker(lock, package), encoding="utf-8")
            told = fault(uv, planted, target)
            if told is None or f"{package}==" not in told or "no usable wheels" not in told:
                yield f"{package} without a wheel was planted and not found ({target}): {told}"
            elsewhere = fault(uv, planted, Target("3.13", "Linux x86-64"))
            if elsewhere is not None:
                yield f"{package} cannot be found where it has wheels: {elsewhere}"
    for target in TARGETS:
        for name in LOCKS:
            told = fault(uv, ROOT / "requirements" / f"{name}.txt", target)
            if told is not None:
                yield f"requirements/{name}.txt on {target}: {told}"


def main() -> int:
    """Print the faults; gives the exit code."""
    found = list(faults(sys.argv[1]))
    for line in found:
        print(line, file=sys.stderr)
    if not found:
        print(
            f"{len(LOCKS)} locks install from wheels alone on {len(TARGETS)} combinations of Python and system; "
            f"{len(PLANTED)} packages planted without a wheel were found."
        )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
