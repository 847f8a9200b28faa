"""From database to ledger: seal, sign and keep, send, follow, until every call is final.

A crash between any two steps loses nothing: what was not sealed is sealed at the next round, what was signed is sent
again with the same bytes, what was sent is looked up by its hashes. docs/faults.md lists what may go wrong, and the
test that shows what happens then. ``ctx.reached`` names the points where a crash would leave something half done.
"""

from backend.services.anchoring.batches import anchor_sealed, seal_stored
from backend.services.anchoring.pipeline import LEASE_DURATION, acquire_lease, is_under_way, release_lease, run_once
from backend.services.anchoring.reorgs import reanchor_all
from backend.services.anchoring.transactions import PATIENCE, RAISE_AFTER, poll_receipts

__all__ = [
    "LEASE_DURATION",
    "PATIENCE",
    "RAISE_AFTER",
    "acquire_lease",
    "anchor_sealed",
    "is_under_way",
    "poll_receipts",
    "reanchor_all",
    "release_lease",
    "run_once",
    "seal_stored",
]
