"""The parties: organisations, the persons who act for them, and their credentials and keys."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    """What an organisation does here; it determines what its persons may do."""

    MERCHANT = "merchant"
    CHAMBER = "chamber"
    LABORATORY = "laboratory"
    PLANT_PROTECTION = "plant-protection"
    OFFICER = "officer"
    AUTHORITY = "authority"
    ANALYST = "analyst"

    @property
    def names(self) -> str:
        """Its name on the pages (English, the key in the catalogue)."""
        return _ROLE_NAMES[self]


_ROLE_NAMES: Mapping[Role, str] = {
    Role.MERCHANT: "Merchant",
    Role.CHAMBER: "Chamber of commerce",
    Role.LABORATORY: "Laboratory",
    Role.PLANT_PROTECTION: "Plant protection organization",
    Role.OFFICER: "Customs",
    Role.AUTHORITY: "Accrediting authority",
    Role.ANALYST: "Analyst",
}


LOCAL_LANGUAGE = "zh"
"""The language of the second name of organisations and products."""


@dataclass(eq=False)
class Organisation:
    """A merchant, issuer, customs office, the accrediting authority, or an institute that studies clearance."""

    id: str
    role: Role
    name: str
    registered_at: datetime
    local_name: str | None = None
    postal_address: str | None = None
    country_code: str = "CN"
    identifier: str | None = None
    version: int = 1
    """Counts the authority's acts on its keys and their accreditation."""


@dataclass(eq=False)
class Person:
    """A person who signs in by password or token and acts for one organisation."""

    id: str
    organisation: Organisation
    email: str
    password_hash: str
    is_active: bool = True

    @property
    def role(self) -> Role:
        """The role of the person's organisation."""
        return self.organisation.role


@dataclass(eq=False)
class ApiToken:
    """A bearer token, of which only the SHA-256 is stored."""

    digest: str
    person: Person
    made_at: datetime


@dataclass(eq=False)
class SigningKey:
    """An organisation's P-256 key: the public part, and the private part encrypted by the vault.

    ``encrypted_private`` is None where the organisation keeps the key itself and submits signatures. ``successor`` is
    the thumbprint of the key that replaces it; while this key is still active, the ledger has not confirmed that yet.
    ``usable_from`` is when the ledger accepted it. From ``compromised_since`` on others may have signed with it.
    """

    thumbprint: str
    organisation: Organisation
    public_jwk: dict[str, str]
    encrypted_private: bytes | None
    made_at: datetime
    is_active: bool = True
    successor: str | None = None
    usable_from: datetime | None = None
    retired_at: datetime | None = None
    compromised_since: datetime | None = None

    @property
    def is_outside(self) -> bool:
        """Whether the organisation keeps the private part itself."""
        return self.encrypted_private is None

    def retire(self, moment: datetime) -> None:
        """Stop signing with it; earlier signatures stay valid."""
        self.is_active, self.retired_at = False, moment
