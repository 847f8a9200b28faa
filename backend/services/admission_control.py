"""Intake is held back before the queue or the disk is full, so that what was taken in is not lost for want of room."""

from backend.domain.errors import TooMuchWaiting
from backend.domain.parties import Organisation
from backend.services.ports import Store, Surroundings

RETRY_SECONDS = 60


def check_room(at: Surroundings, store: Store, issuer: Organisation) -> None:
    """Raise TooMuchWaiting where no more is to be taken in. One issuer alone may fill half of the queue, not all."""
    if at.intake.free_bytes() < at.intake.least_free_bytes:
        raise TooMuchWaiting("little room is left on the disk; the operator must make room", RETRY_SECONDS)
    waiting = store.count_waiting()
    if waiting >= at.intake.most_waiting:
        raise TooMuchWaiting("{waiting} records wait for the ledger", RETRY_SECONDS, waiting=waiting)
    if waiting < at.intake.most_waiting // 2:
        return
    own = store.count_waiting(issuer)
    if own >= at.intake.most_waiting // 2:
        raise TooMuchWaiting(
            "{waiting} records of {name} wait for the ledger", RETRY_SECONDS, waiting=own, name=issuer.name
        )
