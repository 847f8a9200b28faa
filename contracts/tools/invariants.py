"""Run the invariants with forge, on the committed code and on every planted mutant.

``python -m contracts.tools.invariants [COUNT]`` prints "invariant | mutant | killed". It fails if an invariant does not
hold, a mutant survives, or forge did not run the tests. With COUNT that many mutants are drawn anew, at least one of
each invariant.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from contracts.tools import compile as build
from contracts.tools.mutants import INVARIANTS, MUTANTS, Mutant, drawn, write

FORGE = build.MODULES / "@foundry-rs" / "forge-linux-amd64" / "bin" / "forge"
MUTANT_CODE = build.HERE.parent / "build" / "mutants"
AT_ONCE = 2
# A fault that needs a rare sequence of calls may outlive one seed. A fault that outlives these is told as alive.
SEEDS = ("0x20261122", "0x20261123", "0x20261124", "0x20261125")


@dataclass(frozen=True)
class Run:
    """The results of forge: for each test whether it passed."""

    passed: dict[str, bool]
    output: str

    def of(self, invariant: int) -> list[bool]:
        """Return the results of one invariant's tests."""
        return [passed for name, passed in self.passed.items() if f"_{invariant:02}_" in name]


@contextmanager
def environment() -> Iterator[dict[str, str]]:
    """Provide forge's environment: our compiler, and no network."""
    with build.shim() as solc:
        yield os.environ | {"FOUNDRY_SOLC": str(solc), "FOUNDRY_OFFLINE": "true"}


def forge(around: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run forge in the project.

    Raises:
        ToolchainMissing: if forge is not installed.
    """
    if not FORGE.is_file():
        raise build.ToolchainMissing("forge is not installed: its package is for Linux on x86-64")
    return subprocess.run([str(FORGE), *arguments], cwd=build.HERE, env=around, capture_output=True, text=True)


def run(around: dict[str, str], pattern: str = "", code: Path = build.ARTIFACTS, seed: str = SEEDS[0]) -> Run:
    """Run the tests whose names match, against the code in a directory.

    Raises:
        ToolchainMissing: if forge is not installed.
    """
    # forge stores failing inputs and tries them first. Each run starts without them, or a kill would depend on earlier
    # runs.
    with tempfile.TemporaryDirectory() as nothing_kept:
        at = around | {
            "PROVENPORT_CODE": os.path.relpath(code, build.HERE),
            "FOUNDRY_FUZZ_SEED": seed,
            "FOUNDRY_INVARIANT_FAILURE_PERSIST_DIR": nothing_kept,
            "FOUNDRY_FUZZ_FAILURE_PERSIST_DIR": nothing_kept,
        }
        ended = forge(at, "test", "--json", *(("--match-test", pattern) if pattern else ()))
    try:
        suites = json.loads(ended.stdout)
    except json.JSONDecodeError:
        return Run({}, ended.stdout + ended.stderr)
    results = {name: test for suite in suites.values() for name, test in suite["test_results"].items()}
    return Run({name: test["status"] == "Success" for name, test in results.items()}, ended.stdout)


def main() -> int:
    """Run from the command line and return the exit status."""
    try:
        with environment() as around:
            return _check(around, drawn(int(sys.argv[1]) if sys.argv[1:] else 0))
    except build.ToolchainMissing as missing:
        print(f"contracts: {missing}", file=sys.stderr)
        return 2


def _check(around: dict[str, str], mutants: Sequence[Mutant]) -> int:
    directories = write(MUTANT_CODE, mutants)
    # Mutants are compiled more quickly than what is deployed: that alone must break nothing.
    for code in (build.ARTIFACTS, MUTANT_CODE / "none"):
        sound = run(around, code=code)
        holding = [number for number in INVARIANTS if sound.of(number) and all(sound.of(number))]
        if len(holding) < len(INVARIANTS) or not all(sound.passed.values()):
            broken = [name for name, passed in sound.passed.items() if not passed]
            print(sound.output[-4000:] if not broken else f"broken in {code}: {', '.join(broken)}", file=sys.stderr)
            return 1
    with ThreadPoolExecutor(AT_ONCE) as pool:
        killed = dict(zip(mutants, pool.map(lambda mutant: _killed(around, mutant, directories), mutants), strict=True))
    return _report(holding, killed)


def _killed(around: dict[str, str], mutant: Mutant, directories: dict[Mutant, Path]) -> int:
    """Return which seed made the mutant's own invariant fail, from 1, or 0 for none; other invariants do not count."""
    # That it is killed is all that is asked: nobody reads the shortest sequence of calls that kills it.
    around = around | {"FOUNDRY_INVARIANT_SHRINK_RUN_LIMIT": "0"}
    for number, seed in enumerate(SEEDS, start=1):
        outcomes = run(around, f"_{mutant.invariant:02}_", directories[mutant], seed).of(mutant.invariant)
        if not outcomes:
            raise RuntimeError(f"no test ran for the mutant {mutant.name}")
        if not all(outcomes):
            return number
    return 0


def _report(holding: list[int], killed: dict[Mutant, int]) -> int:
    print(f"{'invariant':<49} | {'mutant':<28} | killed")
    for mutant, seed in killed.items():
        answer = ("NO", "yes", *(f"yes, by seed {number}" for number in range(2, len(SEEDS) + 1)))[seed]
        print(f"{mutant.invariant:>2} {INVARIANTS[mutant.invariant]:<46} | {mutant.name:<28} | {answer}")
    covered = {mutant.invariant for mutant, dead in killed.items() if dead}
    dead = sum(map(bool, killed.values()))
    print(
        f"{len(holding)} of {len(INVARIANTS)} invariants hold; {dead} of {len(killed)} mutants killed "
        f"({len(killed)} of {len(MUTANTS)} tried)"
    )
    return 0 if all(killed.values()) and covered == set(INVARIANTS) else 1


if __name__ == "__main__":
    sys.exit(main())
