"""The statuses that the ledger enforces, and who may take which edge between them.

The numbers are those of the contracts: ``contracts/src/ITraceLedger.sol`` states the same ones.
"""

from enum import IntEnum


class DocumentStatus(IntEnum):
    """Standing of a certificate, a report or another document (4 bits on the ledger)."""

    ACTIVE = 0
    SUSPENDED = 1
    REVOKED = 2
    SUPERSEDED = 3


class DeclarationStatus(IntEnum):
    """Standing of a declaration (4 bits on the ledger)."""

    LODGED = 0
    DOCUMENTS_REQUIRED = 1
    EXAMINATION = 2
    DETAINED = 3
    RELEASED = 4
    REJECTED = 5
    RETURNED = 6
    SEIZED = 7
    WITHDRAWN = 8

    @property
    def is_open(self) -> bool:
        """Whether customs may still decide."""
        return self <= DeclarationStatus.DETAINED


class Agent(IntEnum):
    """Who may take an edge on the ledger: bits of an agent's roles."""

    ANCHORER = 1
    OFFICE = 2
    AUTHORITY = 4


_S, _D, _A = DocumentStatus, DeclarationStatus, Agent
_OPEN = (_D.LODGED, _D.DOCUMENTS_REQUIRED, _D.EXAMINATION, _D.DETAINED)
_KEEP = _OPEN[1:]
_END = (_D.RELEASED, _D.REJECTED, _D.RETURNED, _D.SEIZED)

DOCUMENT_EDGES: frozenset[tuple[DocumentStatus, DocumentStatus]] = frozenset(
    {
        (_S.ACTIVE, _S.SUSPENDED),
        (_S.SUSPENDED, _S.ACTIVE),
        *((a, b) for a in (_S.ACTIVE, _S.SUSPENDED) for b in (_S.REVOKED, _S.SUPERSEDED)),
    }
)
"""Edges of a document; its anchorer (for the issuers it serves) or the authority may take them."""

OFFICE_EDGES: frozenset[tuple[DeclarationStatus, DeclarationStatus]] = frozenset(
    {(a, b) for a in _OPEN for b in (*_KEEP, *_END) if a != b}
)
"""Edges of a declaration that a customs office may take."""

WITHDRAWAL_EDGES: frozenset[tuple[DeclarationStatus, DeclarationStatus]] = frozenset(
    {(_D.LODGED, _D.WITHDRAWN), (_D.DOCUMENTS_REQUIRED, _D.WITHDRAWN)}
)
"""Edges of a declaration that its anchorer may take, for the merchant."""
