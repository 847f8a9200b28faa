"""Intake is held back before the queue or the disk is full, so that what was taken in is not lost for want of room."""

from backend.domain.errors import TooMuchWaiting
from backend.domain.parties import Organisation
from backend.services.ports import AppContext
from backend.store.unit_of_work import UnitOfWork

RETRY_SECONDS = 60


def check_room(ctx: AppContext, work: UnitOfWork, issuer: Organisation) -> None:
    """Raise TooMuchWaiting where no more is to be taken in. One issuer alone may fill half of the queue, not all."""
    if ctx.intake.free_bytes() < ctx.intake.least_free_bytes:
        raise TooMuchWaiting("little room is left on the disk; the operator must make room", RETRY_SECONDS)
    waiting = work.batches.count_waiting()
    if waiting >= ctx.intake.most_waiting:
        raise TooMuchWaiting("{waiting} records wait for the ledger", RETRY_SECONDS, waiting=waiting)
    if waiting < ctx.intake.most_waiting // 2:
        return
    own = work.batches.count_waiting(issuer)
    if own >= ctx.intake.most_waiting // 2:
        raise TooMuchWaiting(
            "{waiting} records of {name} wait for the ledger", RETRY_SECONDS, waiting=own, name=issuer.name
        )
