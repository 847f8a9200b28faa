"""What each peer prints: what it simulated, in how much CPU time and memory."""

import json
import resource
import sys
import time
from collections.abc import Callable

Run = Callable[[int, int], tuple[int, float]]
"""Simulates so many declarations from a seed: how many were done, their mean time in the system."""


def main(networks: dict[str, Run], warm: bool = False) -> None:
    """Run the network that the command line names; `warm` runs a small one first, so that nothing is compiled later."""
    network, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if warm:
        networks[network](1000, seed)
    begun = time.process_time()
    done, mean_h = networks[network](count, seed)
    seconds = time.process_time() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"declarations": done, "seconds": seconds, "mean_h": mean_h, "peak_mib": peak}))
