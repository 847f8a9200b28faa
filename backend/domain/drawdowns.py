"""Draws on certificates: what is left of each, who gives how much, and the draws on their way to the ledger.

The ledger's count is the one that nobody can get round. Ours stands beside it, so that a release that would overdraw is
refused before anything is sent, and so that the two can be compared. Quantities are in the steps of an entry.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from backend.domain.batch import QUANTITY_STEPS
from backend.domain.consignment import Draw
from backend.domain.outbox import OutboundTransaction
from backend.domain.verdict import ActionBy, Check, Outcome


@dataclass(eq=False)
class Opening:
    """A certificate that the ledger is to open, so that it can be drawn. ``refusal`` is why it never will."""

    certificate_id: str
    asked_at: datetime
    transaction: OutboundTransaction | None = None
    refusal: str | None = None
    is_known: bool = False
    """Whether the ledger had it open already: somebody else's doing, or an older copy of the database."""


@dataclass(eq=False)
class CertificateDraw:
    """A part of a certificate's quantity for a declaration, from the release until it is given back, if it ever is.

    ``line_id`` is the first record of the certificate's line. ``drawing`` and ``position`` tell where it stands on the
    ledger; ``made_at`` when it was first final there. ``refusal`` is why it was never made.
    """

    id: str
    certificate_id: str
    line_id: str
    declaration_id: str
    quantity: int
    asked_at: datetime
    transaction: OutboundTransaction | None = None
    drawing: bytes | None = None
    position: int | None = None
    made_at: datetime | None = None
    refusal: str | None = None
    back_asked_at: datetime | None = None
    refund_transaction: OutboundTransaction | None = None
    given_back_at: datetime | None = None

    @property
    def is_standing(self) -> bool:
        """Whether it counts: made or on its way, and not given back."""
        return self.refusal is None and self.given_back_at is None

    def requeue(self) -> None:
        """Wait for a new transaction."""
        self.transaction = self.drawing = self.position = None

    def give_back(self, now: datetime) -> None:
        """Give it back; one that was never sent is simply forgotten."""
        if self.drawing is None:
            self.refusal = self.refusal or "the declaration ended before it was drawn"
        else:
            self.back_asked_at = self.back_asked_at or now


@dataclass(frozen=True)
class Count:
    """What is known of one certificate's quantity: by our own draws, and drawn on the ledger by nobody of ours."""

    certificate_id: str
    line_id: str
    quantity: int
    unit_code: str
    ours: int
    elsewhere: int
    unread: str | None = None
    """Why the ledger could not be asked, if so."""

    @property
    def left(self) -> int:
        """What can still be drawn."""
        return max(0, self.quantity - self.ours - self.elsewhere)


@dataclass(frozen=True)
class Share:
    """How much of a declaration's goods one certificate gives."""

    count: Count
    quantity: int


@dataclass(frozen=True)
class Shares:
    """Who gives how much for a declaration, and the checks that say whether it is enough."""

    shares: tuple[Share, ...]
    checks: tuple[Check, ...]


def share_out(wanted: Sequence[Draw], counts: Mapping[str, Count]) -> Shares:
    """Take declared goods from the certificates that cover them, in the order in which they are named.

    ``counts`` are by first record of the line; certificates that cannot be drawn have none. Goods that no certificate
    in their unit covers take nothing: other checks tell of them.
    """
    goods: dict[tuple[str, str, int], list[Count]] = defaultdict(list)
    for draw in wanted:
        count = counts.get(draw.certificate_id)
        if count is not None and count.unit_code == draw.unit_code:
            goods[draw.heading, draw.unit_code, draw.quantity].append(count)
    shares, checks = [], []
    for (_, unit, quantity), covering in goods.items():
        given, missing = _take(covering, quantity)
        shares += given
        checks.append(_check(covering, quantity, missing, unit))
    return Shares(tuple(shares), tuple(checks))


def _take(covering: Sequence[Count], quantity: int) -> tuple[list[Share], int]:
    given = []
    for count in covering:
        part = min(quantity, count.left)
        if part:
            given.append(Share(count, part))
            quantity -= part
    return given, quantity


def _check(covering: Sequence[Count], quantity: int, missing: int, unit: str) -> Check:
    left, about = sum(count.left for count in covering), covering[0].certificate_id
    values = {"declared": shown(quantity, unit), "left": shown(left, unit)}
    if missing:
        return Check("QUANTITY_AVAILABLE", Outcome.FAIL, "quantity-exceeded", values, ActionBy.MERCHANT, about)
    unread = next((count.unread for count in covering if count.unread), None)
    if unread:
        return Check(
            "QUANTITY_AVAILABLE", Outcome.INDETERMINATE, "ledger-unavailable", {"why": unread}, ActionBy.OPERATOR, about
        )
    return Check("QUANTITY_AVAILABLE", Outcome.PASS, "quantity-available", values, None, about)


def drawn(draws: Sequence[CertificateDraw], unit_of: Mapping[str, str]) -> list[Check]:
    """What a declaration has drawn already, and whether the ledger has it."""
    return [
        Check(
            "QUANTITY_AVAILABLE",
            Outcome.NOTE,
            "drawdown-pending" if draw.made_at is None else "drawdown-recorded",
            {"quantity": shown(draw.quantity, unit_of[draw.certificate_id])},
            None,
            draw.certificate_id,
        )
        for draw in draws
    ]


def shown(steps: int, unit: str) -> str:
    """A quantity as people write it."""
    return f"{(Decimal(steps) / QUANTITY_STEPS).normalize():f} {unit}"
