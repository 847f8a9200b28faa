"""Drawdowns on certificates: what remains of each, which certificate gives how much, and their way to the ledger.

The ledger's count is the authoritative one. Ours is kept beside it, so that a release that would overdraw is refused
before anything is sent, and so that the two can be compared. Quantities are in thousandths of the unit.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from backend.domain.consignment import PlannedDrawdown
from backend.domain.evidence import QUANTITY_STEPS
from backend.domain.outbox import OutboundTransaction
from backend.domain.verdict import (
    REGISTER,
    ActionBy,
    Check,
    Rank,
    RegisteredCheck,
    Scope,
    fails,
    leaves_open,
    notes,
    passes,
)

QUANTITY_AVAILABLE: RegisteredCheck["Count"] = REGISTER.add(
    RegisteredCheck(
        "QUANTITY_AVAILABLE",
        "Quantity left",
        Rank.FAIL,
        Scope.SERVER,
        (
            passes("quantity-available", "{left} of the certified quantity are left, enough for {declared}."),
            fails(
                "quantity-exceeded",
                ActionBy.MERCHANT,
                "{declared} declared, but only {left} are left on the ledger: other releases took the rest. Add a "
                "certificate.",
            ),
            leaves_open("ledger-unavailable", ActionBy.OPERATOR),
            notes("drawdown-pending", "{quantity} are being drawn from the certificate on the ledger."),
            notes("drawdown-recorded", "{quantity} were drawn from the certificate on the ledger."),
        ),
        rule="the declared quantity is left of the certificates that cover the goods, by our count and the ledger's",
        tolerance="none: the ledger counts thousandths of the unit",
    )
)


@dataclass(eq=False)
class Activation:
    """The activation of a certificate on the ledger, after which it can be drawn down.

    ``refusal`` is why the ledger never will activate it.
    """

    certificate_id: str
    asked_at: datetime
    transaction: OutboundTransaction | None = None
    refusal: str | None = None
    is_known: bool = False
    """Whether the ledger had activated it before, by another party or by a newer copy of this database."""


@dataclass(eq=False)
class Drawdown:
    """A part of a certificate's quantity used by a declaration, from the release until it is refunded, if it ever is.

    ``original_id`` is the first version of the certificate. ``set_root`` and ``position`` are its place on the ledger,
    ``made_at`` is when it was first final there, and ``refusal`` is why it was never made.
    """

    id: str
    certificate_id: str
    original_id: str
    declaration_id: str
    quantity: int
    asked_at: datetime
    transaction: OutboundTransaction | None = None
    set_root: bytes | None = None
    position: int | None = None
    made_at: datetime | None = None
    refusal: str | None = None
    refund_asked_at: datetime | None = None
    refund_transaction: OutboundTransaction | None = None
    refunded_at: datetime | None = None

    @property
    def is_standing(self) -> bool:
        """Whether it counts: it is made or pending, and not refunded."""
        return self.refusal is None and self.refunded_at is None

    def requeue(self) -> None:
        """Wait for a new transaction."""
        self.transaction = self.set_root = self.position = None

    def refund(self, now: datetime) -> None:
        """Request the refund. A drawdown that was never sent is marked as refused instead."""
        if self.set_root is None:
            self.refusal = self.refusal or "the declaration ended before it was drawn"
        else:
            self.refund_asked_at = self.refund_asked_at or now


@dataclass(frozen=True)
class Count:
    """What is known of one certificate's quantity.

    ``ours`` is drawn by our own drawdowns, ``elsewhere`` by others on the ledger.
    """

    certificate_id: str
    original_id: str
    quantity: int
    unit_code: str
    ours: int
    elsewhere: int
    unread: str | None = None
    """Why the ledger could not be asked, if so."""

    @property
    def remaining(self) -> int:
        """What can still be drawn."""
        return max(0, self.quantity - self.ours - self.elsewhere)


@dataclass(frozen=True)
class Share:
    """The quantity that one certificate gives for a declaration's goods."""

    count: Count
    quantity: int


@dataclass(frozen=True)
class Shares:
    """What each certificate gives for a declaration, and the checks whether it is enough."""

    shares: tuple[Share, ...]
    checks: tuple[Check, ...]


def share_out(wanted: Sequence[PlannedDrawdown], counts: Mapping[str, Count]) -> Shares:
    """Take declared goods from the certificates that cover them, in the order in which they are named.

    ``counts`` are by the first version of the certificate; certificates that cannot be drawn down have none. Goods that
    no certificate covers in their unit take nothing, and are reported by other checks.
    """
    # Goods that several certificates cover come once for each of them, every time with their whole quantity.
    goods: dict[tuple[str, str, int], list[Count]] = defaultdict(list)
    for drawdown in wanted:
        count = counts.get(drawdown.certificate_id)
        # The ledger counts in the certificate's own unit and cannot convert; MATCH_QUANTITY reports another unit.
        if count is not None and count.unit_code == drawdown.unit_code:
            goods[drawdown.heading, drawdown.unit_code, drawdown.quantity].append(count)
    shares, checks = [], []
    for (_, unit, quantity), covering in goods.items():
        given, missing = _take(covering, quantity)
        shares += given
        checks.append(_check(covering, quantity, missing, unit))
    return Shares(tuple(shares), tuple(checks))


def _take(covering: Sequence[Count], quantity: int) -> tuple[list[Share], int]:
    given = []
    for count in covering:
        part = min(quantity, count.remaining)
        if part:
            given.append(Share(count, part))
            quantity -= part
    return given, quantity


def _check(covering: Sequence[Count], quantity: int, missing: int, unit: str) -> Check:
    remaining, about = sum(count.remaining for count in covering), covering[0].certificate_id
    values = {"declared": shown(quantity, unit), "left": shown(remaining, unit)}
    # By our own count it is too much already, whether or not the ledger could be asked.
    if missing:
        return QUANTITY_AVAILABLE.answer("quantity-exceeded", values, about)
    unread = next((count.unread for count in covering if count.unread), None)
    if unread:
        return QUANTITY_AVAILABLE.answer("ledger-unavailable", {"why": unread}, about)
    return QUANTITY_AVAILABLE.answer("quantity-available", values, about)


def drawdown_checks(drawdowns: Sequence[Drawdown], unit_of: Mapping[str, str]) -> list[Check]:
    """Report what a declaration has drawn already, and whether the ledger has recorded it."""
    return [
        QUANTITY_AVAILABLE.answer(
            "drawdown-pending" if drawdown.made_at is None else "drawdown-recorded",
            {"quantity": shown(drawdown.quantity, unit_of[drawdown.certificate_id])},
            drawdown.certificate_id,
        )
        for drawdown in drawdowns
    ]


def decimal_text(steps: int) -> str:
    """Format a quantity in thousandths as a decimal."""
    return f"{(Decimal(steps) / QUANTITY_STEPS).normalize():f}"


def shown(steps: int, unit: str) -> str:
    """Format a quantity in thousandths as a decimal with its unit."""
    return f"{decimal_text(steps)} {unit}"
