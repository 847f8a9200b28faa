"""Prove the rules in ``contracts/rules`` for every input with halmos, and find a planted fault with each of them.

``python -m contracts.tools.rules HALMOS`` prints "rule | proved | fault found". It fails if a rule is not proved, if
its fault is not found, or if halmos did not run it. Contracts and faulty copies are compiled together, once, in a
project of its own; private functions are made internal there, so that a rule can call them, and nothing else changes.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from contracts.tools import compile as build
from contracts.tools.invariants import FORGE, environment

RULES = build.HERE / "rules"
PROJECT = build.HERE.parent / "build" / "rules"
# What is proved is proved for one place at a time: nothing goes round more often.
LOOP_BOUND = "3"
SOLVER_SECONDS = 60
SETTINGS = """[profile.default]
src = "code"
test = "code"
libs = ["node_modules"]
offline = true
auto_detect_solc = false
evm_version = "prague"
optimizer = true
optimizer_runs = 200
via_ir = false
ast = true
bytecode_hash = "none"
remappings = ["@openzeppelin/=node_modules/@openzeppelin/"]

[lint]
lint_on_build = false
"""
_RULE = re.compile(r"\bfunction check_(\w+)")
_PRIVATE = re.compile(r"\bprivate\b")


@dataclass(frozen=True)
class Fault:
    """A planted fault that one rule must find: in this contract, the original text is replaced by the planted one."""

    rule: str
    contract: str
    original: str
    planted: str


FAULTS = (
    Fault("lowestBits", "TraceLedger", "word |= word >> 2;", "word |= word >> 3;"),
    Fault("before", "TraceLedger", "(4 * (end - first))) - 1", "(4 * (end - first) + 4)) - 1"),
    Fault(
        "declarations",
        "TraceLedger",
        "_before(_field(batch, INSPECTION_END), wordIndex)",
        "_before(_field(batch, ORIGIN_END), wordIndex)",
    ),
    Fault("rights", "TraceLedger", "_field(agent, ID) == _field(batch, BATCH_ANCHORER)", "_field(agent, ID) != 0"),
    Fault("edge", "TraceLedger", "_has(isDeclaration ? rights : rights >> DOCUMENTS", "_has(rights"),
    Fault("change", "TraceLedger", "(word & ~(bits * 15)) | change | held", "(word & ~(bits * 7)) | change | held"),
    Fault("draw", "CertificateBalance", "quantity > remaining", "quantity > uint88(word)"),
    Fault(
        "refund",
        "CertificateBalance",
        "_wordOf(batchKey, leafIndex) + (uint256",
        "_wordOf(batchKey, leafIndex) | (uint256",
    ),
)
SOUND = "Sound"
PROVED, REFUTED = 0, 1
"""Exit codes of halmos. Others tell that it came to no answer, which neither proves nor finds anything."""


def write(project: Path) -> None:
    """Write the project: the contracts with all rules, and a faulty copy with one rule for each fault.

    Raises:
        ValueError: if a fault's original text is not in its source exactly once.
    """
    (project / "code").mkdir(parents=True, exist_ok=True)
    (project / "foundry.toml").write_text(SETTINGS, encoding="utf-8")
    if not (project / "node_modules").is_symlink():
        (project / "node_modules").symlink_to(build.MODULES)
    for rules in sorted(RULES.glob("*.sol")):
        _put(project, SOUND, rules, None)
        for fault in FAULTS:
            if f"function check_{fault.rule}(" in rules.read_text(encoding="utf-8"):
                _put(project, _name(fault), rules, fault)


def _name(fault: Fault) -> str:
    return f"Without{fault.rule[0].upper()}{fault.rule[1:]}"


def _put(project: Path, name: str, rules: Path, fault: Fault | None) -> None:
    text = rules.read_text(encoding="utf-8")
    for imported in re.findall(r'"\.\./src/(\w+)\.sol"', text):
        for unit, source in build.closure(f"src/{imported}.sol").items():
            if not unit.startswith("@"):
                _write(project / "code" / name / unit, _opened(source, unit, fault))
    text = re.sub(rf"\bcontract {rules.stem}\b", f"contract {rules.stem}{name}", text)
    if fault is not None:
        # halmos runs what is called check_…: in a faulty copy only the rule that must find the fault.
        text = _RULE.sub(lambda found: found[0] if found[1] == fault.rule else f"function other_{found[1]}", text)
        text = re.sub(r"\bcontract Willing\b", f"contract Willing{name}", text).replace(
            "new Willing()", f"new Willing{name}()"
        )
    _write(project / "code" / name / "rules" / rules.name, text)


def _opened(source: str, unit: str, fault: Fault | None) -> str:
    if fault is not None and unit == f"src/{fault.contract}.sol":
        if source.count(fault.original) != 1:
            raise ValueError(f"{fault.rule}: its text stands {source.count(fault.original)} times in {fault.contract}")
        source = source.replace(fault.original, fault.planted)
    return _PRIVATE.sub("internal", source)


def _write(file: Path, text: str) -> None:
    # What is as it was is not written: forge compiles again what is newer.
    if not file.is_file() or file.read_text(encoding="utf-8") != text:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def prove(halmos: str, project: Path) -> tuple[dict[tuple[str, str], int], str]:
    """Run halmos on the project.

    Returns the exit code of each rule by (copy's name, rule), and what halmos printed.

    Raises:
        ToolchainMissing: if halmos or forge is not installed.
    """
    if not FORGE.is_file():
        raise build.ToolchainMissing("forge is not installed: its package is for Linux on x86-64")
    answers = project / "answers.json"
    answers.unlink(missing_ok=True)
    command = [halmos, "--root", str(project), "--loop", LOOP_BOUND, "--json-output", str(answers)]
    command += ["--solver-timeout-assertion", f"{SOLVER_SECONDS}s", "--no-status"]
    with environment() as around:
        path = os.pathsep.join([str(FORGE.parent), around["PATH"]])
        try:
            ended = subprocess.run(command, env=around | {"PATH": path}, capture_output=True, text=True)
        except FileNotFoundError as absent:
            raise build.ToolchainMissing(f"halmos is not installed: {absent}") from absent
    if not answers.is_file():
        return {}, ended.stdout + ended.stderr
    results = json.loads(answers.read_text(encoding="utf-8"))["test_results"]
    found = {}
    for where, tests in results.items():
        copy = Path(where.split(":")[0]).parts[1]
        for test in tests:
            found[copy, test["name"].split("(")[0].removeprefix("check_")] = test["exitcode"]
    return found, ended.stdout + ended.stderr


def main(arguments: list[str]) -> int:
    """Run from the command line and return the exit status."""
    if len(arguments) != 1:
        print("usage: python -m contracts.tools.rules HALMOS", file=sys.stderr)
        return 2
    try:
        write(PROJECT)
        answers, printed = prove(arguments[0], PROJECT)
    except build.ToolchainMissing as missing:
        print(f"contracts: {missing}", file=sys.stderr)
        return 2
    rules = [rule for file in sorted(RULES.glob("*.sol")) for rule in _RULE.findall(file.read_text(encoding="utf-8"))]
    is_good = bool(rules) and sorted(rules) == sorted(fault.rule for fault in FAULTS)
    print(f"{'rule':<20} | {'proved':<8} | fault found")
    for fault in FAULTS:
        proved, outlived = answers.get((SOUND, fault.rule)), answers.get((_name(fault), fault.rule))
        is_good &= (proved, outlived) == (PROVED, REFUTED)
        print(f"{fault.rule:<20} | {_word(proved, PROVED):<8} | {_word(outlived, REFUTED)}")
    if not is_good:
        print(printed[-6000:], file=sys.stderr)
    return 0 if is_good else 1


def _word(answer: int | None, wanted: int) -> str:
    return "not run" if answer is None else "yes" if answer == wanted else f"NO ({answer})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
