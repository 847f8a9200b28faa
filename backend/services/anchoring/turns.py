"""One worker at a time writes to the ledger."""

from datetime import timedelta

import structlog

from backend.domain.outbox import Claim
from backend.services.ports import AppContext

log = structlog.get_logger()


CLAIM = timedelta(seconds=15)
"""How long one worker keeps the others out after its last sign of life."""


def claim_turn(ctx: AppContext) -> bool:
    """Take or keep the turn to write to the ledger; false while another worker has it.

    Nothing breaks where two believe to have it: a number is used by one open transaction only, a batch leaves
    ``sealed`` once, and the contract takes a root once.
    """
    with ctx.work() as work:
        claim, now = work.leases.find("anchoring"), ctx.now()
        if claim is None:
            work.add(Claim("anchoring", ctx.holder, now + CLAIM))
        elif claim.holder != ctx.holder and claim.until > now:
            log.warning("another worker anchors on this database; this one waits", holder=claim.holder)
            return False
        elif claim.holder == ctx.holder and claim.until > now + CLAIM / 2:
            return True
        else:
            claim.holder, claim.until = ctx.holder, now + CLAIM
        work.commit()
    return True


def give_up_turn(ctx: AppContext) -> None:
    """Let another worker go on at once."""
    with ctx.work() as work:
        work.leases.delete("anchoring", ctx.holder)
        work.commit()
