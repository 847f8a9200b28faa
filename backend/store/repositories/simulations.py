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
        """An organisation's simulations, newest first."""
        query = select(Simulation).where(t.simulation.c.organisation_id == organisation.id)
        return self._all(query.order_by(t.simulation.c.ordered_at.desc(), t.simulation.c.id))

    def in_state(self, state: SimulationState) -> Sequence[Simulation]:
        """All simulations in a state, those that were ordered first at the front."""
        query = select(Simulation).where(t.simulation.c.state == state)
        return self._all(query.order_by(t.simulation.c.ordered_at, t.simulation.c.id))

    def get(self, simulation_id: str) -> Simulation:
        """The simulation with this id."""
        return self._get(Simulation, simulation_id, Message("no such simulation"))

    def find(self, simulation_id: str) -> Simulation | None:
        """The simulation with this id, where there is one."""
        return self._session.get(Simulation, simulation_id)
