"""Sealing: the tree over many entries, beside the bare hashing that no tree can avoid."""

import json
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

from backend.domain.evidence import Tree
from tests.benchmarks.figure import Figure

LARGEST = 10**6

_IN_A_PROCESS_OF_ITS_OWN = """
import json, resource, sys, time
from backend.domain.evidence import Tree
entries = [number.to_bytes(49, "big") for number in range(int(sys.argv[1]))]
begun = time.perf_counter()
tree = Tree(entries)
built = time.perf_counter()
for place in range(0, tree.size, 10):
    tree.proof(place)
proven = time.perf_counter()
kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([built - begun, (proven - built) * 10, kilobytes / 1024]))
"""


def measure(scratch: Path) -> list[Figure]:
    """Seconds for trees of growing size; the baseline hashes as often with nothing around it."""
    figures = []
    for size in (10**3, 10**4, 10**5):
        entries = [number.to_bytes(49, "big") for number in range(size)]
        begun = time.perf_counter()
        Tree(entries)
        taken = time.perf_counter() - begun
        figures.append(_built(size, taken, None))
    taken, proving, megabytes = _largest()
    return [
        *figures,
        _built(LARGEST, taken, "<= 2.0"),
        Figure("peak memory of that process, entries included", megabytes, "MB", "<= 300"),
        Figure(f"reading off all {LARGEST:,} proofs", proving, "s"),
    ]


def _built(size: int, taken: float, target: str | None) -> Figure:
    name = f"tree of {size:,} entries, all proofs derivable"
    return Figure(name, taken, "s", target, "bare hashing", _bare(size))


def _bare(size: int) -> float:
    entries = [number.to_bytes(49, "big") for number in range(size)]
    begun = time.perf_counter()
    for entry in entries:
        sha256(b"\x00" + entry).digest()
        sha256(b"\x01" + entry + entry[:15]).digest()
    return time.perf_counter() - begun


def _largest() -> tuple[float, float, float]:
    """Seconds to build, seconds for all proofs, and megabytes: in a process that holds nothing else."""
    command = [sys.executable, "-c", _IN_A_PROCESS_OF_ITS_OWN, str(LARGEST)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    taken, proving, megabytes = json.loads(told.stdout)
    return taken, proving, megabytes
