"""The Store port over SQLAlchemy: finds and keeps the domain's objects inside one session."""

from backend.store.repositories.base import as_conflicts
from backend.store.repositories.batches import BatchQueries
from backend.store.repositories.consignments import ConsignmentQueries
from backend.store.repositories.drawdowns import DrawQueries
from backend.store.repositories.organisations import PartyQueries
from backend.store.repositories.outbox import SendingQueries
from backend.store.repositories.records import RecordQueries
from backend.store.repositories.simulations import SimulationQueries


class SqlStore(
    PartyQueries,
    RecordQueries,
    ConsignmentQueries,
    DrawQueries,
    BatchQueries,
    SendingQueries,
    SimulationQueries,
):
    """The Store port."""

    def add(self, thing: object) -> None:
        """Keep something new; its numbers appear for later queries of the same unit of work."""
        self._session.add(thing)
        with as_conflicts(self._session):
            self._session.flush()

    def remove(self, thing: object) -> None:
        """Keep it no longer."""
        self._session.delete(thing)


__all__ = ["SqlStore", "as_conflicts"]
