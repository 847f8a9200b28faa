"""The background threads of the server: anchoring, simulations, and records of before that are to be found."""

import os
import threading
import time

import structlog

from backend.domain.errors import ForeignLedger, LedgerUnavailable
from backend.services.anchoring import release_lease, run_once
from backend.services.ports import AnchoringContext, AppContext, SimulationContext
from backend.services.records import enter_missing
from backend.services.simulations import give_up_lost, run_next

BUSY_SECONDS = 0.15
"""Pause between rounds while transactions are pending."""
LONG_ROUND_SECONDS = 0.4
LONGEST_BREATH_SECONDS = 1.0
"""After a long round, however many records come in. Short rounds go on at once: a record waits for two of them."""
IDLE_SECONDS = 2.0
"""Pause between rounds otherwise; new work wakes the worker at once."""
TROUBLED_SECONDS = 5.0

QUEUE_SECONDS = 5.0
"""Interval of checks of the queue; a new order wakes a worker at once."""
AT_ONCE = max(1, min(2, (os.cpu_count() or 1) // 2))
"""Number of simulations at the same time, which leaves half of the machine to the server."""

log = structlog.get_logger()


class AnchoringWorker:
    """Runs rounds of anchoring until it is stopped.

    Of several workers on one database, one works and the others wait.
    """

    def __init__(self, busy_seconds: float = BUSY_SECONDS) -> None:
        self._busy_seconds = busy_seconds
        self.news = threading.Event()
        """Set where there is something to anchor."""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, ctx: AnchoringContext) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, args=(ctx,), name="anchoring", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop after the current round. Unfinished work continues at the next start."""
        self._stopping.set()
        self.news.set()
        if self._thread is not None:
            self._thread.join(timeout=30)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def _run(self, ctx: AnchoringContext) -> None:
        try:
            self._run_rounds(ctx)
        finally:
            release_lease(ctx)

    def _run_rounds(self, ctx: AnchoringContext) -> None:
        while not self._stopping.is_set():
            begun = time.monotonic()
            pause = self._round(ctx)
            took = time.monotonic() - begun
            self.news.wait(pause)
            if not self._stopping.is_set():
                self.news.clear()
                # A burst of new records wakes this many times: a short pause lets one round take them together. Where
                # a round takes long, those who bring records need the processor: they get it twice as long.
                breath = min(2 * took, LONGEST_BREATH_SECONDS) if took >= LONG_ROUND_SECONDS else 0.0
                self._stopping.wait(max(min(pause, BUSY_SECONDS), breath))

    def _round(self, ctx: AnchoringContext) -> float:
        try:
            return self._busy_seconds if run_once(ctx) else IDLE_SECONDS
        except (LedgerUnavailable, ForeignLedger) as error:
            log.warning("the ledger cannot be written to", error=str(error))
        except Exception:
            # The thread's last defence: whatever a round stumbles over, the next one tries again.
            log.exception("a round of anchoring failed")
        return TROUBLED_SECONDS


class SimulationWorker:
    """Runs ordered simulations until it is stopped."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._news = threading.Condition()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def wake(self) -> None:
        """Notify the threads of a new order."""
        with self._news:
            self._news.notify_all()

    def start(self, ctx: SimulationContext, alone: bool) -> None:
        """Start the threads; ``alone`` means that no other process can be running simulations of this database."""
        lost = give_up_lost(ctx, everything=alone)
        if lost:
            log.warning("simulations whose process is gone wait again, or are given up", count=lost)
        for number in range(self._at_once):
            thread = threading.Thread(target=self._run, args=(ctx,), name=f"simulating-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End running simulations. Waiting ones continue at the next start."""
        self._stopping.set()
        self.wake()
        for thread in self._threads:
            thread.join(timeout=30)

    def _run(self, ctx: SimulationContext) -> None:
        while not self._stopping.is_set():
            if not self._round(ctx):
                with self._news:
                    if not self._stopping.is_set():
                        self._news.wait(QUEUE_SECONDS)

    def _round(self, ctx: SimulationContext) -> bool:
        try:
            give_up_lost(ctx)
            return run_next(ctx, self._stopping.is_set)
        except Exception:
            # The thread's last defence: whatever a simulation stumbles over, the next one is tried.
            log.exception("a simulation could not be run")
            return False


class FindingWorker:
    """Makes records found by their words that an earlier version stored, and ends. Others write in between."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, ctx: AppContext) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, args=(ctx,), name="finding", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop after the current portion. The rest follows at the next start."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=30)

    def _run(self, ctx: AppContext) -> None:
        try:
            for _count in enter_missing(ctx):
                if self._stopping.wait(BUSY_SECONDS):
                    return
        except Exception:
            # Of two processes that enter the same records one is refused: it tries again at its next start.
            log.exception("earlier records could not be made found by their words")
