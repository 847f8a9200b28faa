"""The locks hold what their sets need, and no more: the server does without the simulator's packages."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest

from requirements.install import HOLDS, locked, normalised

ROOT = Path(__file__).parents[2]
LOCKS = sorted(path.stem for path in (ROOT / "requirements").glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SIMULATOR = {normalised(re.split(r"[<>=;\[ ]", entry)[0]) for entry in PROJECT["optional-dependencies"]["simulator"]}
MOST_SERVER_MB = 500
WITHOUT_IT_A_MESSAGE = {
    ("backend/cli/trs.py", "pyarrow"),
    ("backend/adapters/object_storage.py", "s3fs"),
    ("backend/adapters/keys/hsm.py", "pkcs11"),
    ("backend/runtime/telemetry.py", "opentelemetry"),
}
"""What the server imports of the simulator's packages, and answers for where they are missing."""


def text_of(lock: str) -> str:
    return (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")


def entries(lock: str) -> dict[str, str]:
    """Each requirement of a lock with its hashes, by name and version."""
    found = re.findall(r"^([a-z0-9][^ ]*==[^ \n]*)(.*?)(?=^[a-z0-9]|\Z)", text_of(lock), re.MULTILINE | re.DOTALL)
    return dict(found)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_entry_is_pinned_with_hashes(lock):
    assert len(entries(lock)) > 15
    assert [name for name, rest in entries(lock).items() if "--hash=sha256:" not in rest] == []
    assert len(entries(lock)) == len(re.findall(r"^[a-z0-9]", text_of(lock), re.MULTILINE))


def test_each_set_holds_the_ones_below():
    """At the same versions: the set-up takes a set for installed when one that holds it is."""
    assert {*HOLDS} | {"slither", "halmos"} == {*LOCKS}
    for lock, below in HOLDS.items():
        for one in below:
            assert entries(one).keys() <= entries(lock).keys(), (lock, one)


def test_server_lock_leaves_the_simulator_out():
    assert len(SIMULATOR) > 5
    assert locked("server") & SIMULATOR == set()
    assert locked("base") >= SIMULATOR


def size_of(package: Distribution) -> int:
    """What an installed package takes on the disk, in bytes."""
    return sum(file.stat().st_size for path in package.files or () if (file := Path(str(path.locate()))).is_file())


def megabytes(lock: str) -> float:
    """What a lock's packages take as they are installed here; those for other systems are not."""
    total = 0
    for name in locked(lock):
        try:
            total += size_of(distribution(name))
        except PackageNotFoundError:
            continue
    return total / 1024**2


def test_server_stays_small_without_the_simulator():
    """The whole is beyond the limit, so the sum does count something."""
    assert 100 < megabytes("server") < MOST_SERVER_MB < megabytes("base")


# ---- what is imported is locked


def imports(path: Path) -> Iterator[str]:
    """The top packages that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def not_locked(paths: list[Path], lock: str) -> set[tuple[str, str]]:
    """Module and package, where an import of others' is in no package of the lock."""
    homes = packages_distributions()
    ours = {"backend", "clearance_sim", "contracts", "tests", "verifier"}
    return {
        (path.relative_to(ROOT).as_posix(), name)
        for path in paths
        for name in imports(path)
        if name not in sys.stdlib_module_names | ours | {"_typeshed"}  # stubs that only type checkers read
        and not {normalised(home) for home in homes.get(name, [])} & locked(lock)
    }


def modules_of(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return [path for path in found if "node_modules" not in path.parts and "tools" not in path.parts]


def test_server_imports_only_what_its_lock_has():
    modules = modules_of("backend", "contracts", "verifier")
    assert len(modules) > 100
    assert not_locked(modules, "server") == WITHOUT_IT_A_MESSAGE


def test_simulator_needs_more_than_the_server():
    """The check above would find numpy and the like."""
    missing = {name for _module, name in not_locked(modules_of("clearance_sim"), "server")}
    assert {"numba", "numpy", "pandas", "scipy"} <= missing


def test_quicker_libraries_are_asked_for_where_wheels_are():
    """They have none for these: what works without them must not fail to install over them."""
    base = entries("base")
    assert next(rest for name, rest in base.items() if name.startswith("coincurve==")).startswith(
        " ; python_full_version < '3.14'"
    )
    assert next(rest for name, rest in base.items() if name.startswith("safe-pysha3==")).startswith(
        " ; sys_platform == 'linux'"
    )
