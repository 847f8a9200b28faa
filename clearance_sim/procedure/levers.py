"""What a reform can move, each from 0 (not at all) to 1 (its full reach), and the shares that result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from clearance_sim.procedure.context import Context

ORDER = "LEARDO"

TITLES = {
    "L": ("ledger: verified records", "账本：可验凭证"),
    "E": ("documents ready before arrival", "单证提前备齐、提前申报"),
    "A": ("automatic acceptance and release, 24×7", "全天候自动受理与放行"),
    "R": ("fewer interventions", "降低布控与查验比例"),
    "D": ("duty deferred or guaranteed", "担保放行、汇总征税"),
    "O": ("officers and yard 24×7", "关员与查验场全天候"),
}


@dataclass(frozen=True)
class Levers:
    """How far each lever is pulled."""

    L: float = 0.0
    E: float = 0.0
    A: float = 0.0
    R: float = 0.0
    D: float = 0.0
    O: float = 0.0  # noqa: E741 - the study's letter for officers

    @classmethod
    def on(cls, letters: Iterable[str]) -> Levers:
        """These levers pulled fully, the others not at all."""
        return cls(**dict.fromkeys(letters, 1.0))

    @classmethod
    def numbered(cls, mask: int) -> Levers:
        """The set of levers with this number: lever i of the order is bit i."""
        return cls.on(letters_of(mask))

    def but(self, **strengths: float) -> Levers:
        """The same with some strengths changed."""
        return replace(self, **strengths)

    def to_json(self) -> dict[str, float]:
        return {letter: getattr(self, letter) for letter in ORDER}


def letters_of(mask: int) -> str:
    """The letters of a numbered set, in order."""
    return "".join(letter for bit, letter in enumerate(ORDER) if mask >> bit & 1)


@dataclass(frozen=True)
class Arm:
    """A way to run the procedure, with a name."""

    name: str
    en: str
    zh: str
    levers: Levers


ARMS = (
    Arm("paper", "paper", "纸面办理", Levers()),
    Arm("edi", "paperless without a ledger (EDI)", "无纸化、无账本（EDI）", Levers.on("EA")),
    Arm("ledger", "paperless with shared verified records", "无纸化并共享可验凭证（账本）", Levers.on("LEA")),
    Arm(
        "edi-reformed",
        "paperless without a ledger, with R, D and O",
        "无纸化、无账本，并行 R、D、O",
        Levers.on("EARDO"),
    ),
    Arm(
        "ledger-reformed", "shared verified records, with R, D and O", "共享可验凭证，并行 R、D、O", Levers.on("LEARDO")
    ),
)


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
