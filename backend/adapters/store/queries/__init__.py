"""The Store port over SQLAlchemy: finds and keeps the domain's objects inside one session."""

from backend.adapters.store.queries.batches import BatchQueries
from backend.adapters.store.queries.consignments import ConsignmentQueries
from backend.adapters.store.queries.draws import DrawQueries
from backend.adapters.store.queries.parties import PartyQueries
from backend.adapters.store.queries.records import RecordQueries
from backend.adapters.store.queries.sendings import SendingQueries
from backend.adapters.store.queries.session import as_conflicts
from backend.adapters.store.queries.simulations import SimulationQueries


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
