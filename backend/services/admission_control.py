"""Admission control: no more is taken in before the queue or the disk is full, so that nothing taken in is lost."""

from backend.domain.errors import TooMuchWaiting
from backend.domain.parties import Organisation
from backend.services.ports import AppContext
from backend.store.unit_of_work import UnitOfWork

RETRY_SECONDS = 60


def check_intake(ctx: AppContext, work: UnitOfWork) -> int:
    """Raise TooMuchWaiting where nothing more is taken in from anybody; how many records wait otherwise."""
    if ctx.admission.free_bytes() < ctx.admission.least_free_bytes:
        raise TooMuchWaiting("little room is left on the disk; the operator must make room", RETRY_SECONDS)
    waiting = work.batches.count_waiting()
    if waiting >= ctx.admission.most_waiting:
        raise TooMuchWaiting("{waiting} records wait for the ledger", RETRY_SECONDS, waiting=waiting)
    return waiting


def check_capacity(ctx: AppContext, work: UnitOfWork, issuer: Organisation) -> None:
    """Raise TooMuchWaiting where no more is to be taken in. One issuer alone may fill half of the queue, not all."""
    waiting = check_intake(ctx, work)
    if waiting < ctx.admission.most_waiting // 2:
        return
    own = work.batches.count_waiting(issuer)
    if own >= ctx.admission.most_waiting // 2:
        raise TooMuchWaiting(
            "{waiting} records of {name} wait for the ledger", RETRY_SECONDS, waiting=own, name=issuer.name
        )
