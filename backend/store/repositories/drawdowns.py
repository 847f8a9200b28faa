"""Certificates opened and drawn on the ledger."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, select

from backend.domain.drawdowns import Activation, Drawdown
from backend.domain.outbox import OutboundTransaction
from backend.store import tables as t
from backend.store.repositories.base import Repository


class DrawdownRepository(Repository):
    """Drawdowns on certificates, and certificates' activations."""

    def find_activation(self, certificate_id: str) -> Activation | None:
        """How far the opening of this certificate has come, where one was asked for."""
        return self._session.get(Activation, certificate_id)

    def activations(self) -> Sequence[Activation]:
        """Every opening, in the order of asking."""
        return self._all(select(Activation).order_by(t.activation.c.asked_at))

    def activations_pending(self) -> Sequence[Activation]:
        """Openings that were not sent yet, in order."""
        c = t.activation.c
        query = select(Activation).where(c.transaction_id.is_(None), c.refusal.is_(None), c.is_known.is_(False))
        return self._all(query.order_by(c.asked_at))

    def activations_sent_by(self, transaction: OutboundTransaction) -> Sequence[Activation]:
        """The opening that travels with this transaction."""
        return self._all(select(Activation).where(t.activation.c.transaction_id == transaction.id))

    def all(self) -> Sequence[Drawdown]:
        """Every draw, in the order of asking."""
        return self._all(select(Drawdown).order_by(t.drawdown.c.asked_at))

    def of_declaration(self, declaration_id: str) -> Sequence[Drawdown]:
        """The draws for one declaration, in order."""
        return self._draws(t.drawdown.c.declaration_id == declaration_id)

    def of_original(self, original_id: str) -> Sequence[Drawdown]:
        """The draws on a certificate and on those that it replaced, that stand."""
        c = t.drawdown.c
        return self._draws(c.original_id == original_id, c.refusal.is_(None), c.refunded_at.is_(None))

    def of_certificate(self, certificate_id: str) -> Sequence[Drawdown]:
        """The draws on one certificate that stand."""
        c = t.drawdown.c
        return self._draws(c.certificate_id == certificate_id, c.refusal.is_(None), c.refunded_at.is_(None))

    def pending(self, limit: int) -> Sequence[Drawdown]:
        """Draws that were not sent yet, in order."""
        c = t.drawdown.c
        query = select(Drawdown).where(c.set_root.is_(None), c.refusal.is_(None))
        return self._all(query.order_by(c.asked_at, c.declaration_id, c.id).limit(limit))

    def in_set(self, drawdown_set: bytes) -> Sequence[Drawdown]:
        """The draws of one drawing, by their positions."""
        query = select(Drawdown).where(t.drawdown.c.set_root == drawdown_set)
        return self._all(query.order_by(t.drawdown.c.position))

    def sent_by(self, transaction: OutboundTransaction) -> Sequence[Drawdown]:
        """The draws that travel with this transaction."""
        return self._draws(t.drawdown.c.transaction_id == transaction.id)

    def refunded_by(self, transaction: OutboundTransaction) -> Sequence[Drawdown]:
        """The draws that this transaction gives back."""
        return self._draws(t.drawdown.c.refund_transaction_id == transaction.id)

    def to_refund(self) -> Sequence[Drawdown]:
        """Draws that are to be given back and whose transaction for it was not made yet."""
        c = t.drawdown.c
        return self._draws(
            c.refund_asked_at.is_not(None),
            c.refund_transaction_id.is_(None),
            c.refunded_at.is_(None),
            c.set_root.is_not(None),
            c.refusal.is_(None),
        )

    def is_pending_for(self, declaration_id: str) -> bool:
        """Whether a draw for this declaration has never been final on the ledger yet."""
        c = t.drawdown.c
        return bool(self._draws(c.declaration_id == declaration_id, c.refusal.is_(None), c.made_at.is_(None)))

    def _draws(self, *where: ColumnElement[bool]) -> Sequence[Drawdown]:
        c = t.drawdown.c
        return self._all(select(Drawdown).where(*where).order_by(c.asked_at, c.id))
