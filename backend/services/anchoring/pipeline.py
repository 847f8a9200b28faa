"""One round of the pipeline from database to ledger, run by one worker at a time."""

from datetime import timedelta

import structlog

from backend.domain.outbox import Lease
from backend.domain.records import ProofState
from backend.services.anchoring.batches import anchor_sealed, seal_stored
from backend.services.anchoring.drawdowns import send_activations, send_drawdowns, send_refunds
from backend.services.anchoring.reorgs import has_reorganised, revert_orphaned
from backend.services.anchoring.requests import send_accreditation_changes, send_requests
from backend.services.anchoring.status_changes import publish_revocations, send_status_changes
from backend.services.anchoring.transactions import IndependentSteps, poll_receipts
from backend.services.ports import AnchoringContext, rerunnable

log = structlog.get_logger()


LEASE_DURATION = timedelta(seconds=15)
"""How long a worker keeps the lease after it was last renewed."""


@rerunnable
def acquire_lease(ctx: AnchoringContext) -> bool:
    """Take or renew the lease that allows this worker to write to the ledger. False while another worker holds it.

    The lease avoids double work, correctness does not depend on it: a nonce is used by one open transaction only, a
    batch leaves ``sealed`` once, and the contract accepts a root once (docs/faults.md, row 18).
    """
    if ctx.leadership is not None:
        return ctx.leadership.acquire()
    with ctx.work() as work:
        lease, now = work.leases.find("anchoring"), ctx.now()
        if lease is None:
            work.add(Lease("anchoring", ctx.holder, now + LEASE_DURATION))
        elif lease.holder != ctx.holder and lease.until > now:
            if lease.holder not in ctx.waited_for:
                ctx.waited_for.add(lease.holder)
                log.warning("another worker anchors on this database; this one waits", holder=lease.holder)
            return False
        elif lease.holder == ctx.holder and lease.until > now + LEASE_DURATION / 2:
            # Renewed only in the second half of its term, to save a write in every round.
            return True
        else:
            lease.holder, lease.until = ctx.holder, now + LEASE_DURATION
        work.commit()
    return True


@rerunnable
def release_lease(ctx: AnchoringContext) -> None:
    """Give up the lease, so that another worker can go on at once."""
    if ctx.leadership is not None:
        ctx.leadership.release()
        return
    with ctx.work() as work:
        work.leases.delete("anchoring", ctx.holder)
        work.commit()


STEPS = (
    revert_orphaned,
    send_accreditation_changes,
    anchor_sealed,
    send_activations,
    send_drawdowns,
    send_status_changes,
    send_refunds,
    publish_revocations,
    send_requests,
    poll_receipts,
)
"""The steps of a round, in order. Drawdowns come before the releases that need them. On a new ledger, accreditations
come before the records signed under them, since a key is judged by the first terms that the ledger knows."""


def run_once(ctx: AnchoringContext) -> bool:
    """Take every step that can be taken now. Tells whether anything is still under way.

    A fault in one step does not keep the others from running. Does nothing while another worker holds the lease.

    Raises:
        LedgerUnavailable: The ledger cannot be asked. Nothing was signed or sent after that.
        ForeignLedger: Another ledger than ours answers. Nothing was signed.
        Exception: The first fault of a step, after the other steps were tried.
    """
    # Asked without the lease, so that an idle worker writes nothing to the database.
    if not _has_work(ctx) and not has_reorganised(ctx):
        return False
    if not acquire_lease(ctx):
        return False
    with ctx.trace("anchoring round"):
        # Sealing needs no ledger, so it goes on while none answers.
        seal_stored(ctx)
        ctx.ledger.head()  # a silent or foreign ledger ends the round here, before anything is signed or sent
        each = IndependentSteps()
        for step in STEPS:
            each.attempt(step, ctx)
        each.finish()
        return is_under_way(ctx)


def is_under_way(ctx: AnchoringContext) -> bool:
    """Tell whether anything on file is on its way to the ledger. What waits for an operator does not count."""
    with ctx.work(reading=True) as work:
        return bool(
            work.outbox.has_pending()
            or work.batches.has_unsealed()
            or any(batch.state is ProofState.SEALED and not batch.trouble for batch in work.batches.pending())
            or work.status_changes.has_pending()
            or any(not act.is_waiting(ctx.now()) for act in work.accreditation_changes.pending())
            or work.drawdowns.has_pending()
            or any(not asked.is_waiting(ctx.now()) for asked in work.ledger_requests.pending())
            or (ctx.ledger.publishes_revocations and work.revocations.has_pending())
        )


def _has_work(ctx: AnchoringContext) -> bool:
    with ctx.work(reading=True) as work:
        try:
            stuck = any(batch.trouble for batch in work.batches.pending())
            return stuck or is_under_way(ctx)
        except (ValueError, TypeError, LookupError, AttributeError):
            return True  # a row that cannot be read: sealing sets it aside
