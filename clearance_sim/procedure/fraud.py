"""X: which forged papers and which false statements an arm catches, as arithmetic over its channels.

A ledger shows that a record was altered or never issued; it cannot show that a genuine record tells the truth. Only an
examination of the goods finds that, so an arm that examines less catches fewer false statements.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from clearance_sim.procedure.context import Context
from clearance_sim.procedure.levers import Levers
from clearance_sim.procedure.measured import MachinePart
from clearance_sim.procedure.setting import setting


@dataclass(frozen=True)
class Fraud:
    """Of ten thousand consignments."""

    forged_per_10000: float
    caught: float
    false_but_signed_per_10000: float
    false_caught: float

    def to_json(self) -> dict[str, float]:
        return asdict(self)


def fraud(context: Context, levers: Levers, machine: MachinePart) -> Fraud:
    """Forgeries and false statements of ten thousand consignments, and how many of each are caught."""
    now = setting(context, levers)
    by_machine = now.verified * (1 - now.fallback)
    by_eye = (now.yellow + now.red) * context["forgery_seen_on_paper"]
    forged, false = 1e4 * context["forged_share"], 1e4 * context["false_statement_share"]
    return Fraud(
        forged_per_10000=forged,
        caught=forged * (by_machine * machine.caught_share + (1 - by_machine) * by_eye),
        false_but_signed_per_10000=false,
        false_caught=false * now.red * context["falsehood_seen_in_examination"],
    )
