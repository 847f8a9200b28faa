"""Replications on Dask give what threads give, also when a worker dies; and what is missing is told plainly."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import numpy as np
import pytest

from clearance_sim.execution import dask_cluster
from clearance_sim.execution.dask_cluster import ClusterError, DaskExecutor

SEEDS = range(24)


def chunk(seed: int) -> str:
    time.sleep(0.05)
    return sha256(np.random.Generator(np.random.Philox(seed)).normal(size=10_000).tobytes()).hexdigest()


def fail(seed: int) -> None:
    raise ValueError(f"seed {seed} is unlucky")


@pytest.fixture(scope="module")
def executor():
    with DaskExecutor(workers=2) as opened:
        yield opened


@pytest.fixture(scope="module")
def by_threads():
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(chunk, SEEDS))


def test_cluster_chunks_match_threads_in_order(executor, by_threads):
    """Chunks come back in order and as threads give them."""
    assert executor.size == 2
    assert list(executor.gather([executor.submit(chunk, seed) for seed in SEEDS])) == by_threads


def test_error_in_chunk_arrives_as_raised(executor):
    """An error in a chunk arrives as it was raised."""
    with pytest.raises(ValueError, match="seed 3 is unlucky"):
        list(executor.gather([executor.submit(fail, 3)]))


def test_running_scheduler_is_used_and_left_running(executor, by_threads):
    """A scheduler that runs already is used and left running."""
    address = executor._cluster.scheduler_address
    with DaskExecutor(address) as second:
        assert list(second.gather([second.submit(chunk, seed) for seed in SEEDS])) == by_threads
    assert list(executor.gather([executor.submit(pow, 2, 5)])) == [32]


def test_silent_scheduler_is_reported(monkeypatch):
    """A scheduler that does not answer is told plainly."""
    monkeypatch.setattr(dask_cluster, "CONNECT_SECONDS", 0.5)
    with pytest.raises(ClusterError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        DaskExecutor("tcp://127.0.0.1:9")


def test_worker_with_another_version_is_refused(executor, monkeypatch):
    monkeypatch.setattr(dask_cluster, "_version", Elsewhere())
    with pytest.raises(ClusterError, match="install the same there"):
        executor._check_workers()


class Elsewhere:
    """Another version here than on the workers."""

    def __call__(self) -> str:
        return f"Provenport of process {os.getpid()}"


def test_without_dask_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ClusterError, match="make cluster"):
        DaskExecutor()


def test_cluster_is_left_without_a_word():
    """Closing in the wrong order prints traces of closed connections."""
    script = (
        "from clearance_sim.execution.dask_cluster import DaskExecutor\n"
        "if __name__ == '__main__':\n"
        "    with DaskExecutor(workers=2) as executor:\n"
        "        print(sum(executor.gather([executor.submit(pow, 2, n) for n in range(50)])))\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout.strip(), ended.stderr) == (0, str(2**50 - 1), "")


def test_worker_that_is_killed_changes_nothing(executor, by_threads):
    """The last of this module: its workers are others afterwards."""
    (victim,) = executor.gather([executor.submit(os.getpid)])
    futures = [executor.submit(chunk, seed) for seed in SEEDS]
    time.sleep(0.2)
    os.kill(victim, signal.SIGKILL)
    assert list(executor.gather(futures)) == by_threads


@pytest.mark.slow
def test_cluster_results_match_threads_to_the_bit(tmp_path):
    """Replications on a cluster are those of threads to the last bit."""
    command = [sys.executable, "-m", "clearance_sim", "run", "office", "-r", "1000", "--set", "run.declarations=100"]
    results = []
    for where in (["--workers", "2"], ["--dask-workers", "2"]):
        file = tmp_path / f"{len(results)}.json"
        ended = subprocess.run(
            [*command, "--set", "run.warm_up_declarations=0", *where, "--json", str(file)],
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert (ended.returncode, ended.stderr) == (0, "")
        results.append(file.read_bytes())
    assert results[0] == results[1]
