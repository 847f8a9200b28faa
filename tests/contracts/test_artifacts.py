"""The committed artefacts are what the committed sources give."""

import json

import pytest

import contracts
from contracts import compile as build


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


def test_the_lock_file_pins_by_digest_and_names_no_registry():
    lock = (build.HERE / "package-lock.json").read_text("utf-8")
    assert "resolved" not in lock
    assert "registry" not in lock
    assert '"integrity": "sha512-' in lock
