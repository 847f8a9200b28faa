"""A round: every step from database to ledger that can be taken now."""

from backend.domain.records import ProofState
from backend.services.anchoring.accreditation_changes import send_accreditation_changes
from backend.services.anchoring.batches import anchor_sealed
from backend.services.anchoring.drawing import draw_certificates, give_back_draws
from backend.services.anchoring.following import follow
from backend.services.anchoring.opening import open_certificates
from backend.services.anchoring.reopening import has_vanished, reopen_vanished
from backend.services.anchoring.sealing import seal_stored
from backend.services.anchoring.status_changes import send_status_changes
from backend.services.anchoring.steps import Each
from backend.services.anchoring.turns import claim_turn
from backend.services.ports import AppContext

STEPS = (
    reopen_vanished,
    anchor_sealed,
    send_accreditation_changes,
    open_certificates,
    draw_certificates,
    send_status_changes,
    give_back_draws,
    follow,
)
"""What a round does, in this order: certificates are drawn before their releases are sent."""


def advance(ctx: AppContext) -> bool:
    """Take every step that can be taken now; tells whether anything is still under way.

    One thing that goes wrong does not keep the others waiting; the first such fault is raised at the end. Does nothing
    while another worker has the turn.
    """
    if not _has_work(ctx) and not has_vanished(ctx):
        return False
    if not claim_turn(ctx):
        return False
    seal_stored(ctx)
    ctx.ledger.head()  # a silent or foreign ledger ends the round here, before anything is signed or sent
    each = Each()
    for step in STEPS:
        each.attempt(step, ctx)
    each.finish()
    return is_under_way(ctx)


def is_under_way(ctx: AppContext) -> bool:
    """Whether anything on file is on its way to the ledger; what waits for an operator is not."""
    with ctx.work(reading=True) as work:
        return bool(
            work.outbox.pending()
            or work.batches.has_unsealed()
            or any(batch.state is ProofState.SEALED and not batch.trouble for batch in work.batches.pending())
            or work.status_changes.pending()
            or any(not act.is_waiting(ctx.now()) for act in work.accreditation_changes.pending())
            or work.drawdowns.activations_pending()
            or work.drawdowns.pending(1)
            or work.drawdowns.to_refund()
        )


def _has_work(ctx: AppContext) -> bool:
    with ctx.work(reading=True) as work:
        try:
            stuck = any(batch.trouble for batch in work.batches.pending())
            return stuck or is_under_way(ctx)
        except (ValueError, TypeError, LookupError, AttributeError):
            return True  # a row that cannot be read: sealing sets it aside
