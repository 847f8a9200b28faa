"""Anchoring: seal records into batches, sign and store transactions, send them, and poll receipts until all are final.

A crash between any two steps loses nothing. What was not sealed is sealed in the next round, what was signed is sent
again with the same bytes, and what was sent is looked up by its hashes. docs/faults.md lists what can go wrong, with
the test for each fault. ``ctx.reached`` names the points where a crash would leave a step half done, so that tests can
crash there.
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
