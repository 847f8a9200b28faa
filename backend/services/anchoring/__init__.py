"""From database to ledger: seal, sign and keep, send, follow, until every act is final.

A crash between any two steps loses nothing: what was not sealed is sealed at the next round, what was signed is sent
again with the same bytes, what was sent is looked up by its hashes. docs/faults.md lists what may go wrong, and the
test that shows what happens then. ``at.reached`` names the points where a crash would leave something half done.
"""

from backend.services.anchoring.batches import anchor_sealed
from backend.services.anchoring.following import PATIENCE, follow
from backend.services.anchoring.reopening import begin_anew
from backend.services.anchoring.rounds import advance, is_under_way
from backend.services.anchoring.sealing import seal_stored
from backend.services.anchoring.transactions import RAISE_AFTER
from backend.services.anchoring.turns import CLAIM, claim_turn, give_up_turn

__all__ = [
    "CLAIM",
    "PATIENCE",
    "RAISE_AFTER",
    "advance",
    "anchor_sealed",
    "begin_anew",
    "claim_turn",
    "follow",
    "give_up_turn",
    "is_under_way",
    "seal_stored",
]
