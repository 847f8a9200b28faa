"""The numbers that hold once the levers are pulled in a context."""

from __future__ import annotations

from dataclasses import dataclass

from clearance_sim.procedure.context import Context
from clearance_sim.procedure.levers import Levers


@dataclass(frozen=True)
class Setting:
    """Shares and probabilities of one arm."""

    prelodged: float
    deferred: float
    electronic: float
    verified: float
    fallback: float
    yellow: float
    red: float
    query: float
    query_verified: float

    @property
    def green(self) -> float:
        return 1 - self.yellow - self.red


def setting(context: Context, levers: Levers) -> Setting:
    """Moves every share from where it is towards the full reach of its lever, and makes room for authorised traders."""
    trusted = context["aeo_share"]
    selection = 1 - trusted * (1 - context["aeo_selection_factor"])
    yellow = _towards(context["yellow_share"], min(context["yellow_share"], context["yellow_share_full"]), levers.R)
    red = _towards(context["red_share"], min(context["red_share"], context["red_share_full"]), levers.R)
    prelodged = _towards(context["prelodged_share"], _more(context, "prelodged_share"), levers.E)
    deferred = _towards(context["deferred_share"], _more(context, "deferred_share"), levers.D)
    query = context["query_share"] * _towards(1.0, context["query_complete_factor"], levers.E)
    return Setting(
        prelodged=_with_trusted(prelodged, context["aeo_prelodged_share"], trusted),
        deferred=_with_trusted(deferred, context["aeo_deferred_share"], trusted),
        electronic=_towards(context["electronic_share"], 1.0, levers.A),
        verified=_towards(context["verified_share"], _more(context, "verified_share"), levers.L),
        fallback=context["fallback_share"],
        yellow=yellow * selection,
        red=max(context["random_floor"], red * selection),
        query=query,
        query_verified=query * context["query_verified_factor"],
    )


def _towards(base: float, full: float, strength: float) -> float:
    return base + strength * (full - base)


def _more(context: Context, share: str) -> float:
    """A lever never takes away what is already there."""
    return max(context[share], context[f"{share}_full"])


def _with_trusted(share: float, of_trusted: float, trusted: float) -> float:
    return (1 - trusted) * share + trusted * max(share, of_trusted)
