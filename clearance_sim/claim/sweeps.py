"""Sweeps over one or two parameters: adoption, congestion, and the frontier of conditions for the target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearance_sim.analysis.estimate import Interval, number
from clearance_sim.claim.factorial import figures
from clearance_sim.messages import Message, _, sentences
from clearance_sim.procedure.context import Context
from clearance_sim.procedure.levers import ARMS, PAPERLESS, Levers
from clearance_sim.procedure.network import ARRIVAL, CLOCKS
from clearance_sim.procedure.simulation import STATISTICS, Cell, Laboratory, by_replication

Progress = Callable[[int, int], None] | None

PORT_SHARE = (0.12, 0.20)
"""The port's part of arrival to release in Bangladesh's 2022 study."""


def adoption(context: Context, laboratory: Laboratory, points: int = 11) -> list[dict[str, object]]:
    """Return results of the paperless arm with a rising share of consignments on the ledger.

    All parties of a flow must take part, so if each takes part independently, a share p of parties gives p^n of the
    flows of n parties.
    """
    full = context.but(verified_share_full=1.0)
    steps = [float(share) for share in np.linspace(0, 1, points)]
    cells: list[Cell] = [(full, Levers.on(*PAPERLESS).but(ledger=share)) for share in steps]
    return [
        {
            "share": share,
            "party_share": share ** (1 / context["parties_on_a_flow"]),
            **{clock: figures(summary, clock) for clock in CLOCKS},
        }
        for share, summary in zip(steps, laboratory.summaries(cells), strict=True)
    ]


LOADS = (0.7, 0.85, 1.0, 1.1, 1.2, 1.35)
CONGESTED_ARMS = ("paper", "edi", "ledger", "ledger-reformed")


def congestion(context: Context, laboratory: Laboratory) -> list[dict[str, object]]:
    """Simulate traffic from light to beyond capacity, over a finite horizon from an empty start.

    Beyond capacity there is no steady state, so the arms are compared over the same horizon.
    """
    arms = [arm for arm in ARMS if arm.name in CONGESTED_ARMS]
    rows = []
    for load in LOADS:
        busy = context.but(load=context["load"] * load)
        rows.append({"load": load, "arms": {arm.name: _busy(busy, arm.levers, laboratory) for arm in arms}})
    return rows


def _busy(context: Context, levers: Levers, laboratory: Laboratory) -> dict[str, object]:
    runs = laboratory.runs(context, levers)
    hours = by_replication(runs, ARRIVAL)
    return {
        ARRIVAL: {
            "mean": Interval.over([values.mean() for values in hours]).to_json(),
            "p90": Interval.over([np.quantile(values, 0.9) for values in hours]).to_json(),
        },
        "utilisation": number(float(runs.utilisation("document check").mean())),
        "unfinished": None,
    }


@dataclass(frozen=True)
class Slice:
    """One page of the frontier: the levers that are on besides the two that vary."""

    title: Message
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        """The names of its levers, joined by plus signs."""
        return "+".join(self.names)

    @property
    def levers(self) -> Levers:
        """Return its levers at full strength."""
        return Levers.on(*self.names)


SLICES = (
    Slice(_("automatic acceptance"), ("automation",)),
    Slice(_("automatic acceptance, ledger"), ("ledger", "automation")),
    Slice(_("automatic acceptance, officers 24×7"), ("automation", "officers_24x7")),
    Slice(
        _("automatic acceptance, ledger, officers 24×7"),
        ("ledger", "automation", "officers_24x7"),
    ),
    Slice(
        _("automatic acceptance, ledger, officers 24×7, fewer interventions"),
        ("ledger", "automation", "fewer_interventions", "officers_24x7"),
    ),
)


def frontier(context: Context, laboratory: Laboratory, points: int, progress: Progress = None) -> dict[str, object]:
    """Return mean, median and 90th percentile over the share lodged before arrival and the share with deferred duty."""
    whole = context.but(prelodged_share=0.0, prelodged_share_full=1.0, deferred_share=0.0, deferred_share_full=1.0)
    shares = [round(float(share), 4) for share in np.linspace(0, 1, points)]
    cells: list[Cell] = [
        (whole, page.levers.but(early_documents=lodged, deferred_duty=deferred))
        for page in SLICES
        for deferred in shares
        for lodged in shares
    ]
    summaries = iter(laboratory.summaries(cells, progress))
    pages = []
    for page in SLICES:
        grid = [[next(summaries) for _ in shares] for _ in shares]
        values = {
            name: [[number(float(cell(ARRIVAL, name).mean())) for cell in row] for row in grid] for name in STATISTICS
        }
        title = page.title.in_all_languages()
        pages.append({"name": page.name, "title": title, "levers": page.levers.to_json(), **values})
    return {
        "clock": ARRIVAL,
        "x": {
            "name": "prelodged_share",
            "title": _("lodged before arrival").in_all_languages(),
            "values": shares,
        },
        "y": {"name": "deferred_share", "title": _("duty deferred").in_all_languages(), "values": shares},
        "slices": pages,
    }


def bound(baseline_h: float, target_h: float, unloading_mean_h: float) -> dict[str, object]:
    """Tell the bound below which no handling of documents can bring the mean, while unloading is part of the clock."""
    low, high = (share * baseline_h for share in PORT_SHARE)
    least, most = (100 * share for share in PORT_SHARE)
    handling: dict[str, Any] = {"least": least, "most": most, "baseline": baseline_h, "low": low, "high": high}
    parts = [
        _(
            "With a port's part of {least:g} to {most:g} % (Bangladesh 2022), a baseline of {baseline:.1f} h holds "
            "{low:.1f} to {high:.1f} h of handling; that does not rule out a mean of {target:g} h as long as handling "
            "stays as it is.",
            **handling,
            target=target_h,
        )
        if low <= target_h
        else _(
            "With a port's part of {least:g} to {most:g} % (Bangladesh 2022), a baseline of {baseline:.1f} h holds "
            "{low:.1f} to {high:.1f} h of handling; that rules out a mean of {target:g} h as long as handling stays as "
            "it is.",
            **handling,
            target=target_h,
        ),
        _("Unloading takes {hours:.1f} h on average here.", hours=unloading_mean_h),
        *_cut(baseline_h, target_h),
    ]
    says = sentences(parts).in_all_languages()
    return {**says, "port_share": list(PORT_SHARE), "hours_left": [number(low), number(high)]}


def _cut(baseline_h: float, target_h: float) -> list[Message]:
    if baseline_h <= target_h:
        return []
    cut = 100 * (1 - target_h / baseline_h)
    return [
        _(
            "{baseline:.1f} to {target:g} h is a cut of {cut:.1f} %: at least that part of the baseline has to lie in "
            "stages that vanish.",
            baseline=baseline_h,
            target=target_h,
            cut=cut,
        )
    ]
