"""The committed artefacts are what the committed sources give."""

import json
import subprocess
import sys
import tomllib

import pytest
from setuptools import find_packages

import contracts
from contracts.tools import compile as build


def test_no_source_has_changed_since_its_artefact_was_built():
    assert build.stale() == []


def test_an_artefact_is_known_as_stale_when_a_source_has_changed(tmp_path):
    for name in build.TARGETS:
        content = json.loads((build.ARTIFACTS / f"{name}.json").read_text("utf-8"))
        if name == "TraceLedger":
            content["sources"]["src/ITraceLedger.sol"] = "0" * 64
        (tmp_path / f"{name}.json").write_text(json.dumps(content), "utf-8")
    assert build.stale(tmp_path) == ["TraceLedger"]


@pytest.mark.contracts
def test_a_rebuild_gives_the_same_bytes():
    try:
        different = build.differences()
    except build.ToolchainMissing as missing:
        pytest.skip(str(missing))
    assert different == []


def test_the_compiler_says_that_it_is_missing_and_what_to_do(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(build, "MODULES", tmp_path)
    assert build.main(["--check"]) == 2
    assert "run make contracts" in capsys.readouterr().err


def test_an_artefact_loads_with_its_interface_and_code():
    ledger = contracts.load("TraceLedger")
    assert ledger.name == "TraceLedger"
    assert {"anchor", "changeStatuses", "verify"} <= {entry.get("name") for entry in ledger.abi}
    assert 0 < len(ledger.bytecode) < 24_576


def test_installed_packages_leave_out_developers_tools():
    """What pyproject.toml names is what is installed: the run-time package with its artefacts, and not the tools."""
    root = build.HERE.parent
    settings = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    installed = find_packages(str(root), include=settings["packages"]["find"]["include"])
    assert {"backend", "clearance_sim", "contracts"} <= set(installed)
    assert not [name for name in installed if name.startswith("contracts.")]
    assert "contracts.tools" in find_packages(str(root)), "the tools are a package that could be installed"


def test_artefacts_load_without_developers_tools():
    program = (
        "import sys; sys.modules['contracts.tools'] = None; from contracts import load; print(load('TraceLedger').name)"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=build.HERE.parent, capture_output=True, text=True)
    assert ended.stdout == "TraceLedger\n", ended.stderr


def test_the_lock_file_pins_by_digest_and_names_no_registry():
    lock = (build.HERE / "package-lock.json").read_text("utf-8")
    assert "resolved" not in lock
    assert "registry" not in lock
    assert '"integrity": "sha512-' in lock
