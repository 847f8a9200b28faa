"""Sealing: the tree over many entries, beside the bare hashing that no tree can avoid."""

import time
from hashlib import sha256
from pathlib import Path

from backend.domain.merkle import Tree
from tests.benchmarks.figure import Figure


def measure(scratch: Path) -> list[Figure]:
    """Seconds for trees of growing size; the baseline hashes as often with nothing around it."""
    figures = []
    for size in (10**3, 10**4, 10**5, 10**6):
        entries = [number.to_bytes(49, "big") for number in range(size)]
        begun = time.perf_counter()
        Tree(entries)
        taken = time.perf_counter() - begun
        begun = time.perf_counter()
        for entry in entries:
            sha256(b"\x00" + entry).digest()
            sha256(b"\x01" + entry + entry[:15]).digest()
        bare = time.perf_counter() - begun
        target = "<= 2.0" if size == 10**6 else None
        figures.append(
            Figure(f"tree of {size:,} entries, all proofs derivable", taken, "s", target, "bare hashing", bare)
        )
    return figures
