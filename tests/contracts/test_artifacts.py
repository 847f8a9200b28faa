"""The committed artefacts are what the committed sources give."""

import hashlib
import json
import subprocess
import sys
import tomllib

import pytest
from eth_utils.abi import abi_to_signature
from setuptools import find_packages

import contracts
from contracts.tools import compile as build

DEPLOYED = {
    "Accreditation": "ba8f04112f8ba3f3b4997d49a2f234fb2f38b6f513684bc34f4854e23355c11c",
    "CertificateBalance": "e178828f87c350d3776b1cf69d13fa1a6c1969bf61ca1b4885c536dceaca0160",
    "TraceLedger": "3b299d2cd1aa2240c9b71b1e085eca80fddef959feabedf96281c31a869aea86",
}
"""SHA-256 over the sorted signatures of functions, events and errors, as contracts that stand on chains have them.

An error of the library (CheckpointUnorderedInsertion), which nobody can provoke there, is left out.
"""
ADDED = {
    "Accreditation": {
        "AccreditationInUse",
        "AccreditationKeyMissing",
        "AccreditationMomentAhead",
        "AccreditationMomentTooFar",
        "AccreditationSuspendedBefore",
        "AccreditationSuspendedTooOften",
        "AccreditationVersionUnknown",
        "HistoryTakenOver",
        "suspensionsOf",
        "takeOver",
        "takenOverUntil",
        "termsOfSignature",
        "version",
        "versionCount",
    },
    "CertificateBalance": {
        "AccessManagedInvalidAuthority",
        "AccessManagedRequiredDelay",
        "AccessManagedUnauthorized",
        "AnchorerNamed",
        "AuthorityUpdated",
        "CarriedOver",
        "CertificateBalanceAgentUnknown",
        "CertificateBalanceCarriedOver",
        "CertificateBalanceDrawdownNotAllowed",
        "CertificateBalanceDrawnBeyond",
        "CertificateBalanceInUse",
        "CertificateBalanceNotCounting",
        "CertificateBalanceNotSuperseded",
        "CertificateBalanceNotToBegin",
        "CertificateBalanceRevokedElsewhere",
        "CountingBegan",
        "DrawdownsAllowed",
        "HandedOver",
        "StatementCorrected",
        "activatorOf",
        "allowDrawdowns",
        "authority",
        "begin",
        "carriedTo",
        "correct",
        "handOver",
        "isActivated",
        "isConsumingScheduledOp",
        "mayDrawDown",
        "openNamed",
        "openSuccessor",
        "phase",
        "predecessor",
        "recordActivation",
        "setAuthority",
        "successor",
        "takeOver",
    },
    "TraceLedger": {
        "AgentMoved",
        "OfficeSet",
        "PauseEnds",
        "TraceLedgerAgentKnown",
        "TraceLedgerAgentMoved",
        "TraceLedgerAgentUnknown",
        "TraceLedgerOfficeOther",
        "TraceLedgerOfficeUnknown",
        "TraceLedgerPauseTooSoon",
        "TraceLedgerRootMissing",
        "agentSuccessor",
        "anchorFor",
        "batchKeyOf",
        "decidingOffice",
        "moveAgent",
        "pausedUntil",
        "renewPause",
        "revokeDocuments",
        "setOffice",
        "storedWord",
        "suspendAgent",
    },
}
"""What contracts that were deployed before lack."""
CHANGED = {
    "function accredit(bytes32,uint16,uint128,uint40,uint40)": "function accredit(bytes32,uint8,uint128,uint40,uint40)",
    "event KeyAccredited(bytes32,uint16,uint128,uint40,uint40)": (
        "event KeyAccredited(bytes32,uint8,uint128,uint40,uint40)"
    ),
    "error AccreditationCoversNothing(bytes32,uint16,uint128)": (
        "error AccreditationCoversNothing(bytes32,uint8,uint128)"
    ),
    "function wasAccredited(bytes32,uint8,uint8,uint40,uint40)": "function wasAccredited(bytes32,uint8,uint8,uint40)",
}
"""What they know by another signature: ``EvmLedger`` calls their ``accredit``, and only contracts ask the last."""


def _fingerprint(abi, without=frozenset()):
    known = [one for one in abi if one["type"] != "constructor" and one["name"] not in without]
    signatures = [f"{one['type']} {abi_to_signature(one)}" for one in known]
    signatures = sorted(CHANGED.get(signature, signature) for signature in signatures)
    return hashlib.sha256("\n".join(signatures).encode()).hexdigest()


@pytest.mark.parametrize("name", DEPLOYED)
def test_signatures_stay_those_of_deployed_contracts(name):
    """Another name is another selector or topic: a ledger deployed before would neither take the call nor be read."""
    abi = contracts.load(name).abi
    assert _fingerprint(abi, ADDED[name]) == DEPLOYED[name]
    assert ADDED[name] <= {one.get("name") for one in abi}
    renamed = [one | {"name": one["name"] + "s"} if one.get("name") else one for one in abi]
    assert _fingerprint(renamed) != DEPLOYED[name]


def test_committed_artefacts_are_not_stale():
    assert build.stale() == []


def test_artefact_of_changed_source_is_stale(tmp_path):
    for name in build.TARGETS:
        content = json.loads((build.ARTIFACTS / f"{name}.json").read_text("utf-8"))
        if name == "TraceLedger":
            content["sources"]["src/ITraceLedger.sol"] = "0" * 64
        (tmp_path / f"{name}.json").write_text(json.dumps(content), "utf-8")
    assert build.stale(tmp_path) == ["TraceLedger"]


@pytest.mark.contracts
def test_rebuild_gives_same_bytes():
    try:
        different = build.differences()
    except build.ToolchainMissing as missing:
        pytest.skip(str(missing))
    assert different == []


def test_missing_compiler_names_what_to_run(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(build, "MODULES", tmp_path)
    assert build.main(["--check"]) == 2
    assert "run make contracts" in capsys.readouterr().err


def test_artefact_loads_with_interface_and_code():
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


def test_lock_file_pins_digests_without_registry():
    lock = (build.HERE / "package-lock.json").read_text("utf-8")
    assert "resolved" not in lock
    assert "registry" not in lock
    assert '"integrity": "sha512-' in lock
