"""The thread that anchors leaves the processor to those who bring records."""

import itertools
import threading
import time

from backend.runtime import workers

ROUND_SECONDS = 0.4


def test_long_rounds_leave_time_between_them(monkeypatch):
    """However often it is woken: after a round of 0.4 seconds others have the processor for 0.8 seconds."""
    rounds, own = [], object()

    def run_once(ctx):
        if ctx is not own:  # another test's server may anchor still
            return False
        rounds.append(time.monotonic())
        time.sleep(ROUND_SECONDS)
        return True

    monkeypatch.setattr(workers, "run_once", run_once)
    monkeypatch.setattr(workers, "release_lease", lambda ctx: None)
    worker, is_over = workers.AnchoringWorker(), threading.Event()

    def wake():
        while not is_over.wait(0.01):
            worker.news.set()

    waking = threading.Thread(target=wake)
    worker.start(own)
    waking.start()
    time.sleep(4)
    is_over.set()
    waking.join()
    worker.stop()
    assert len(rounds) > 1
    between = [later - earlier for earlier, later in itertools.pairwise(rounds)]
    assert min(between) >= 3 * ROUND_SECONDS
