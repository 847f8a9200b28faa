"""Simulations that analysts ordered."""

from collections.abc import Sequence

from sqlalchemy import select

from backend.domain.errors import Message
from backend.domain.parties import Organisation
from backend.domain.simulation import Simulation, SimulationState
from backend.store import tables as t
from backend.store.database import Repository


class SimulationRepository(Repository):
    """Simulations that analysts ordered."""

    def of(self, organisation: Organisation) -> Sequence[Simulation]:
        """Return an organisation's simulations, newest first."""
        query = select(Simulation).where(t.simulation.c.organisation_id == organisation.id)
        return self._all(query.order_by(t.simulation.c.ordered_at.desc(), t.simulation.c.id))

    def in_state(self, state: SimulationState) -> Sequence[Simulation]:
        """Return all simulations in a state, in the order in which they were ordered."""
        query = select(Simulation).where(t.simulation.c.state == state)
        return self._all(query.order_by(t.simulation.c.ordered_at, t.simulation.c.id))

    def get(self, simulation_id: str) -> Simulation:
        """Return the simulation with this id, or raise NotFound."""
        return self._get(Simulation, simulation_id, Message("no such simulation"))

    def find(self, simulation_id: str) -> Simulation | None:
        """Return the simulation with this id, or None."""
        return self._session.get(Simulation, simulation_id)
