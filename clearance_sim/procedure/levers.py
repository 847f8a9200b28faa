"""The levers of a reform, each from 0 (not at all) to 1 (full reach), and the shares that result from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from clearance_sim.messages import Message, _
from clearance_sim.procedure.context import Context

LETTERS = {
    "ledger": "L",
    "early_documents": "E",
    "automation": "A",
    "fewer_interventions": "R",
    "deferred_duty": "D",
    "officers_24x7": "O",
}
"""The levers in order, each with the letter that stands for it in texts and figures."""
LEVERS = tuple(LETTERS)
PAPERLESS = ("early_documents", "automation")

TITLES: Mapping[str, Message] = {
    "ledger": _("ledger: verified records"),
    "early_documents": _("documents ready before arrival"),
    "automation": _("automatic acceptance and release, 24×7"),
    "fewer_interventions": _("fewer interventions"),
    "deferred_duty": _("duty deferred or guaranteed"),
    "officers_24x7": _("officers and yard 24×7"),
}


@dataclass(frozen=True)
class Levers:
    """The strength of each lever, from 0 to 1."""

    ledger: float = 0.0
    early_documents: float = 0.0
    automation: float = 0.0
    fewer_interventions: float = 0.0
    deferred_duty: float = 0.0
    officers_24x7: float = 0.0

    @classmethod
    def on(cls, *names: str) -> Levers:
        """Return these levers at full strength and the others at none."""
        return cls(**dict.fromkeys(names, 1.0))

    @classmethod
    def numbered(cls, mask: int) -> Levers:
        """Return the set of levers with this number, in which bit i stands for lever i."""
        return cls.on(*names_of(mask))

    def but(self, **strengths: float) -> Levers:
        """Return the levers with some strengths changed."""
        return replace(self, **strengths)

    def to_json(self) -> dict[str, float]:
        return {name: getattr(self, name) for name in LEVERS}


def names_of(mask: int) -> tuple[str, ...]:
    """Return the names of the levers in a numbered set, in order."""
    return tuple(name for bit, name in enumerate(LEVERS) if mask >> bit & 1)


def letters_of(names: Iterable[str]) -> str:
    """Return the letters of levers for texts and figures. A lever without a letter keeps its name."""
    return "".join(LETTERS.get(name, name) for name in names)


@dataclass(frozen=True)
class Arm:
    """A named way to run the procedure."""

    name: str
    title: Message
    levers: Levers


ARMS = (
    Arm("paper", _("paper"), Levers()),
    Arm("edi", _("paperless without a ledger (EDI)"), Levers.on(*PAPERLESS)),
    Arm("ledger", _("paperless with shared verified records"), Levers.on("ledger", *PAPERLESS)),
    Arm("edi-reformed", _("paperless without a ledger, with R, D and O"), Levers.on(*LEVERS[1:])),
    Arm("ledger-reformed", _("shared verified records, with R, D and O"), Levers.on(*LEVERS)),
)


@dataclass(frozen=True)
class ArmShares:
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
        """The share that is neither checked nor examined."""
        return 1 - self.yellow - self.red


def arm_shares(context: Context, levers: Levers) -> ArmShares:
    """Work out the shares of an arm: each moves towards the full reach of its lever, after authorised traders."""
    trusted = context["aeo_share"]
    selection = 1 - trusted * (1 - context["aeo_selection_factor"])
    yellow = _towards(context["yellow_share"], _less(context, "yellow_share"), levers.fewer_interventions)
    red = _towards(context["red_share"], _less(context, "red_share"), levers.fewer_interventions)
    prelodged = _towards(context["prelodged_share"], _more(context, "prelodged_share"), levers.early_documents)
    deferred = _towards(context["deferred_share"], _more(context, "deferred_share"), levers.deferred_duty)
    query = context["query_share"] * _towards(1.0, context["query_complete_factor"], levers.early_documents)
    return ArmShares(
        prelodged=_with_trusted(prelodged, context["aeo_prelodged_share"], trusted),
        deferred=_with_trusted(deferred, context["aeo_deferred_share"], trusted),
        electronic=_towards(context["electronic_share"], 1.0, levers.automation),
        verified=_towards(context["verified_share"], _more(context, "verified_share"), levers.ledger),
        fallback=context["fallback_share"],
        yellow=yellow * selection,
        # Some consignments are examined at random whatever their record says, so this share never becomes zero.
        red=max(context["random_floor"], red * selection),
        query=query,
        query_verified=query * context["query_verified_factor"],
    )


def _towards(base: float, full: float, strength: float) -> float:
    return base + strength * (full - base)


def _more(context: Context, share: str) -> float:
    """Return the full reach of a lever that raises a share, never less than the present share."""
    # A context may be further already than the general model's full reform.
    return max(context[share], context[f"{share}_full"])


def _less(context: Context, share: str) -> float:
    """Return the full reach of a lever that lowers a share, never more than the present share."""
    return min(context[share], context[f"{share}_full"])


def _with_trusted(share: float, of_trusted: float, trusted: float) -> float:
    return (1 - trusted) * share + trusted * max(share, of_trusted)
