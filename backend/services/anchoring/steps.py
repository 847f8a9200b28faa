"""Steps of a round that do not keep one another waiting."""

from collections.abc import Callable

import structlog

from backend.domain.errors import ForeignLedger, LedgerUnavailable

log = structlog.get_logger()


class Each:
    """Takes steps one after another; a fault in one is logged and kept, so that the others go on."""

    def __init__(self) -> None:
        self._first: Exception | None = None

    def attempt(self, step: Callable[..., object], *arguments: object) -> None:
        """Take a step; what it stumbles over is kept."""
        try:
            step(*arguments)
        except (LedgerUnavailable, ForeignLedger):
            raise  # nothing else would fare better
        except Exception as fault:
            log.exception("a step of anchoring failed", step=step.__name__)
            self._first = self._first or fault

    def finish(self) -> None:
        """Raise the first fault that was kept."""
        if self._first is not None:
            raise self._first
