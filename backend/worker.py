"""The worker: a thread beside the server that takes stored records to the ledger."""

import threading

import structlog

from backend.domain.errors import ForeignLedger, LedgerUnavailable
from backend.services.anchoring import advance, give_up_turn
from backend.services.ports import Surroundings

BUSY_SECONDS = 0.15
"""Between rounds while something is under way."""
IDLE_SECONDS = 2.0
"""Between rounds otherwise; new work wakes the worker at once."""
TROUBLED_SECONDS = 5.0

log = structlog.get_logger()


class AnchoringWorker:
    """Runs rounds of anchoring until it is stopped. Of several on one database, one works and the others wait."""

    def __init__(self, busy_seconds: float = BUSY_SECONDS) -> None:
        self._busy_seconds = busy_seconds
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Tell that there is something to anchor."""
        self._news.set()

    def start(self, at: Surroundings) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, args=(at,), name="anchoring", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the round at hand; what is unfinished goes on at the next start."""
        self._stopping.set()
        self._news.set()
        if self._thread is not None:
            self._thread.join(timeout=30)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def _run(self, at: Surroundings) -> None:
        try:
            self._run_rounds(at)
        finally:
            give_up_turn(at)

    def _run_rounds(self, at: Surroundings) -> None:
        while not self._stopping.is_set():
            pause = self._round(at)
            self._news.wait(pause)
            if not self._stopping.is_set():
                self._news.clear()
                self._stopping.wait(min(pause, BUSY_SECONDS))

    def _round(self, at: Surroundings) -> float:
        try:
            return self._busy_seconds if advance(at) else IDLE_SECONDS
        except (LedgerUnavailable, ForeignLedger) as error:
            log.warning("the ledger cannot be written to", error=str(error))
        except Exception:
            # The thread's last defence: whatever a round stumbles over, the next one tries again.
            log.exception("a round of anchoring failed")
        return TROUBLED_SECONDS
