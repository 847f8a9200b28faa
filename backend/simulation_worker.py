"""The worker that runs simulations beside the server: a few threads, each of which starts one program at a time."""

import os
import threading

import structlog

from backend.services.ports import Surroundings
from backend.services.simulating import give_up_lost, run_next

IDLE_SECONDS = 10.0
"""Between looks at the queue; a new order wakes the worker at once."""
AT_ONCE = max(1, min(2, (os.cpu_count() or 1) // 2))
"""Simulations that run at once: the server keeps half of the machine."""

log = structlog.get_logger()


class SimulationWorker:
    """Runs what analysts ordered, until it is stopped."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._news = threading.Condition()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def wake(self) -> None:
        """Tell that there is something to run."""
        with self._news:
            self._news.notify_all()

    def start(self, at: Surroundings, alone: bool) -> None:
        """Begin; ``alone``: no other process can be running simulations of this database."""
        lost = give_up_lost(at, everything=alone)
        if lost:
            log.warning("simulations were lost with the process that ran them", count=lost)
        for number in range(self._at_once):
            thread = threading.Thread(target=self._run, args=(at,), name=f"simulating-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End the programs that run; what was waiting waits for the next start."""
        self._stopping.set()
        self.wake()
        for thread in self._threads:
            thread.join(timeout=30)

    def _run(self, at: Surroundings) -> None:
        while not self._stopping.is_set():
            if not self._round(at):
                with self._news:
                    if not self._stopping.is_set():
                        self._news.wait(IDLE_SECONDS)

    def _round(self, at: Surroundings) -> bool:
        try:
            give_up_lost(at)
            return run_next(at, self._stopping.is_set)
        except Exception:
            # The thread's last defence: whatever a simulation stumbles over, the next one is tried.
            log.exception("a simulation could not be run")
            return False
