"""The same two networks in other simulators, each run in a process of its own.

`python -m tests.benchmarks.peers.NAME NETWORK COUNT SEED` prints one JSON object: CPU seconds of the run alone (imports
and models' compilation left out), declarations, the mean sojourn as proof of the same answer, peak memory in MiB.
"""
