"""Clients that hold connections open on the really started server, and one that only wants an answer."""

import pytest

from tests.journeys.conftest import Server
from tests.stress.slow_clients import OPENINGS, attack

CONNECTIONS = 520
"""More than the server let in at once when it had no deadlines: ten would never have been noticed."""
PATIENCE = 40.0
"""Without deadlines there would be no answer for as long as they stay; a busy machine takes seconds for one."""


@pytest.mark.parametrize("sort", OPENINGS)
def test_slow_clients_keep_nobody_waiting(server: Server, sort: str) -> None:
    attackers, result = attack(server.port, sort, CONNECTIONS, seconds=4, patience=PATIENCE)
    assert attackers.held > 100, "nothing was tried"
    assert result.asked >= 2
    assert result.share == 1.0, (sort, result)
