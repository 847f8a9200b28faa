"""Run slither over the contracts, and fail for every finding that is not explained here.

``python -m contracts.tools.analysis SLITHER`` analyses a copy of the project with one additional contract, whose fault
slither must report: a tool that analysed nothing would find nothing either. An explanation of a finding that is no
longer reported fails too.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contracts.tools import compile as build
from contracts.tools.invariants import FORGE, environment

OURS = {
    "AccessManager",
    "Accreditation",
    "BatchKey",
    "CertificateBalance",
    "InclusionProof",
    "Revocations",
    "TraceLedger",
}
PLANTED = ("tx-origin", "Planted", "act")

_PLANTED_SOURCE = """// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

contract Planted {
    address private immutable _owner = msg.sender;
    uint256 public acts;

    function act() external {
        require(tx.origin == _owner);
        ++acts;
    }
}
"""

_TRUSTED = "Only reads of our own contracts, whose addresses are fixed at deployment; a call has at most 248 drawdowns."
_PACKED = (
    "The word compared is packed and holds the block's time among other things, so slither takes every comparison of "
    "its parts for one of time. Zero means that nothing was written; roles, segments and edges are exact numbers."
)
_KEPT_TIMES = "Compares times at which batches were anchored, kept beside the present one."
_ABSENT = "Zero stands for a version or a suspension that there is not."
_STATUSES_ONLY = "The word of statuses is wanted; whose batch it is has been asked before."
_MINUTES = "Accreditations and validity run for days: the minutes that a block's maker may choose decide nothing."
_DAYS = "Pauses and notices run for days: the minutes that a block's maker may choose decide nothing."

EXPLAINED: dict[tuple[str, str, str], str] = {
    (
        "assembly",
        "InclusionProof",
        "_nodeInput",
    ): "Where that buffer stands; its first byte is the same for every node.",
    ("assembly", "InclusionProof", "_nodeHash"): "One buffer for every level of a proof; a copy each would double it.",
    ("assembly", "BatchKey", "from"): "SHA-256 over the two words that every contract may use, without a copy of them.",
    ("assembly", "CertificateBalance", "_emitDrawn"): "Copies call data into an event, without encoding them again.",
    ("assembly", "CertificateBalance", "_leafOf"): "Hashes call data where they stand, without encoding them again.",
    ("assembly", "TraceLedger", "_statusAt"): "Divides by a bit that is never 0; a checked division costs twice.",
    ("assembly", "TraceLedger", "_isOfficeOf"): "Two comparisons without a branch, which every decision would pay.",
    (
        "assembly",
        "TraceLedger",
        "_changeStatuses",
    ): "Finds places in two lists whose bounds were looked at before; a second look would cost every decision.",
    ("calls-loop", "CertificateBalance", "_inherited"): _TRUSTED,
    ("calls-loop", "CertificateBalance", "carriedTo"): "Goes from a certificate to its successors, which their own "
    "anchorer has made; who refunds pays for it.",
    ("calls-loop", "CertificateBalance", "_requireStanding"): _TRUSTED,
    ("calls-loop", "CertificateBalance", "_requireDeclaration"): _TRUSTED,
    ("incorrect-equality", "Accreditation", "_covers"): "Compares single bits of a map.",
    ("incorrect-equality", "Accreditation", "_signedUnder"): _ABSENT,
    ("incorrect-equality", "Accreditation", "_suspendedWithin"): _ABSENT,
    ("incorrect-equality", "Accreditation", "_versionOf"): _ABSENT,
    ("incorrect-equality", "Accreditation", "reinstate"): _ABSENT,
    ("incorrect-equality", "Accreditation", "suspensionsOf"): _ABSENT,
    ("incorrect-equality", "Accreditation", "wasAccredited"): _ABSENT,
    ("incorrect-equality", "TraceLedger", "_anchor"): _PACKED,
    ("incorrect-equality", "TraceLedger", "_isOfficeOf"): _PACKED,
    ("incorrect-equality", "TraceLedger", "_rightsOf"): _PACKED,
    (
        "low-level-calls",
        "CertificateBalance",
        "_answers",
    ): "Asks a contract of any version what it may not know; whatever it answers is no more than a yes or no.",
    ("incorrect-equality", "TraceLedger", "_changeStatuses"): _PACKED,
    ("incorrect-equality", "TraceLedger", "_changed"): _PACKED,
    ("incorrect-equality", "TraceLedger", "_has"): _PACKED,
    ("incorrect-equality", "TraceLedger", "statusOf"): _PACKED,
    ("incorrect-equality", "TraceLedger", "verify"): _PACKED,
    ("timestamp", "AccessManager", "changeGuardian"): _DAYS,
    ("timestamp", "AccessManager", "proposeGuardianChange"): _DAYS,
    ("timestamp", "Accreditation", "_append"): "Asks whether there is an earlier version at all.",
    ("timestamp", "Accreditation", "_signedUnder"): _MINUTES,
    ("timestamp", "Accreditation", "_suspendedWithin"): _MINUTES,
    ("timestamp", "Accreditation", "_versionOf"): _ABSENT,
    ("timestamp", "Accreditation", "_wordAt"): _MINUTES,
    ("timestamp", "Accreditation", "reinstate"): _ABSENT,
    ("timestamp", "Accreditation", "suspensionsOf"): _ABSENT,
    ("timestamp", "Accreditation", "suspend"): _MINUTES,
    ("timestamp", "Accreditation", "_covers"): _MINUTES,
    ("timestamp", "Accreditation", "isSuspended"): _MINUTES,
    ("timestamp", "Accreditation", "rotate"): _MINUTES,
    ("timestamp", "Accreditation", "wasAccredited"): _MINUTES,
    ("timestamp", "CertificateBalance", "_drawDown"): _MINUTES,
    ("incorrect-equality", "Revocations", "_note"): _ABSENT,
    ("timestamp", "Revocations", "_note"): _KEPT_TIMES,
    ("timestamp", "Revocations", "publish"): _KEPT_TIMES,
    ("timestamp", "TraceLedger", "_before"): _PACKED,
    ("timestamp", "TraceLedger", "_changed"): _PACKED,
    ("timestamp", "TraceLedger", "_requireEdges"): _PACKED,
    ("timestamp", "TraceLedger", "_rightsOf"): _PACKED,
    ("timestamp", "TraceLedger", "_changeStatuses"): _PACKED,
    ("timestamp", "TraceLedger", "_has"): _PACKED,
    ("timestamp", "TraceLedger", "_heldAfter"): _PACKED,
    ("timestamp", "TraceLedger", "isPaused"): _DAYS,
    ("timestamp", "TraceLedger", "pause"): _DAYS,
    ("timestamp", "TraceLedger", "declarationsOf"): _PACKED,
    ("timestamp", "TraceLedger", "statusOf"): _PACKED,
    ("timestamp", "TraceLedger", "verify"): _PACKED,
    ("timestamp", "TraceLedger", "_anchor"): _PACKED,
    ("timestamp", "TraceLedger", "_isOfficeOf"): _PACKED,
    ("timestamp", "TraceLedger", "_refuse"): _PACKED,
    ("timestamp", "TraceLedger", "_refuseOtherOffice"): _PACKED,
    ("timestamp", "TraceLedger", "setOffice"): _PACKED,
    ("unused-return", "CertificateBalance", "_prove"): _STATUSES_ONLY,
    ("unused-return", "CertificateBalance", "correct"): _STATUSES_ONLY,
    ("uninitialized-local", "CertificateBalance", "_refund"): "The first certificate has taken nothing over.",
    ("uninitialized-local", "TraceLedger", "_changed"): "Where no document is changed, nothing is held or let go.",
    ("uninitialized-state", "TraceLedger", ""): "Words are written through a reference to their slot.",
    ("uninitialized-local", "CertificateBalance", "draw"): "An empty cache is what is wanted: nothing is known yet.",
    (
        "unused-return",
        "CertificateBalance",
        "giveBack",
    ): "The call is a check: it reverts for all but active anchorers.",
}
"""Why a finding is not a fault, by detector, contract and function."""


def main(arguments: list[str]) -> int:
    """Run from the command line and return the exit status."""
    (slither,) = arguments
    if not FORGE.is_file():
        print("contracts: forge is not installed: its package is for Linux on x86-64", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as directory, environment() as around:
        project = _copy(Path(directory))
        around = {**around, "PATH": f"{FORGE.parent}{os.pathsep}{around['PATH']}"}
        names = _analysed(slither, project, around)
        found = _findings(slither, project, around)
    return _report(names, found)


def _copy(directory: Path) -> Path:
    project = directory / "contracts"
    shutil.copytree(build.SOURCES, project / "src")
    (project / "src" / "Planted.sol").write_text(_PLANTED_SOURCE, encoding="utf-8")
    (project / "test").mkdir()
    shutil.copy(build.HERE / "foundry.toml", project)
    (project / "node_modules").symlink_to(build.MODULES, target_is_directory=True)
    return project


def _slither(slither: str, project: Path, around: Mapping[str, str], *options: str) -> Any:
    command = [str(Path(slither).absolute()), ".", "--json", "-", "--filter-paths", "node_modules/", *options]
    ended = subprocess.run(command, cwd=project, env=dict(around), capture_output=True, text=True)
    try:
        answer = json.loads(ended.stdout)
    except json.JSONDecodeError:
        raise SystemExit(f"slither did not answer:\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}") from None
    if not answer["success"]:
        raise SystemExit(f"slither failed: {answer['error']}")
    return answer["results"]


def _analysed(slither: str, project: Path, around: Mapping[str, str]) -> set[str]:
    """Return the names of the contracts that slither analysed."""
    (printed,) = _slither(slither, project, around, "--print", "contract-summary")["printers"]
    plain = re.sub(r"\x1b\[\d*m", "", printed["description"])
    return set(re.findall(r"Contract (\w+)", plain))


def _findings(slither: str, project: Path, around: Mapping[str, str]) -> dict[tuple[str, str, str], str]:
    """Return slither's findings: detector, contract and function, with the description."""
    results = _slither(slither, project, around).get("detectors", [])
    return {_where(result): result["description"] for result in results}


def _where(result: Mapping[str, Any]) -> tuple[str, str, str]:
    element = result["elements"][0]
    while element["type"] not in {"function", "contract"}:
        element = element["type_specific_fields"]["parent"]
    if element["type"] == "contract":
        return result["check"], element["name"], ""
    return result["check"], element["type_specific_fields"]["parent"]["name"], element["name"]


def _report(names: set[str], found: dict[tuple[str, str, str], str]) -> int:
    wrong = []
    if not names >= OURS:
        wrong.append(f"not analysed: {', '.join(sorted(OURS - names))}")
    if PLANTED not in found:
        wrong.append("the planted fault was not reported")
    ours = {where: said for where, said in found.items() if where[1] != PLANTED[1]}
    wrong += [f"not explained: {where}\n{said}" for where, said in ours.items() if where not in EXPLAINED]
    wrong += [f"explained, but not found: {where}" for where in EXPLAINED if where not in ours]
    explained = len(ours.keys() & EXPLAINED.keys())
    print(f"slither: {len(names)} contracts analysed, {len(ours)} findings, {explained} of them explained")
    print("slither: planted fault reported" if PLANTED in found else "slither: planted fault NOT reported")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
