"""Who takes part: organisations, the people who act for them, and how they prove who they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    """What an organisation does here; everything a person may do follows from it."""

    MERCHANT = "merchant"
    CHAMBER = "chamber"
    LABORATORY = "laboratory"
    PLANT_PROTECTION = "plant-protection"
    OFFICER = "officer"
    AUTHORITY = "authority"
    ANALYST = "analyst"

    @property
    def names(self) -> str:
        """What the pages call it."""
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
"""The language of the second name that organisations and products have here."""


@dataclass(eq=False)
class Organisation:
    """A merchant, chamber, laboratory, customs office, the accrediting authority, or those who study clearance."""

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
    """Somebody who signs in, by password or token, and acts for one organisation."""

    id: str
    organisation: Organisation
    email: str
    password_hash: str
    is_active: bool = True

    @property
    def role(self) -> Role:
        """What this person may do."""
        return self.organisation.role


@dataclass(eq=False)
class ApiToken:
    """A bearer token, kept as its SHA-256 only."""

    digest: str
    person: Person
    made_at: datetime


@dataclass(eq=False)
class SigningKey:
    """An organisation's P-256 key: public part, and the private part sealed by the vault.

    ``encrypted_private`` is None where the organisation keeps the key itself and hands in signatures. ``successor`` is
    the thumbprint of the key that takes its place: while this one is still active, the ledger has not said so yet.
    ``usable_from`` is when the ledger let it sign. ``compromised_since``: from then on others may have signed with it.
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
        """Whether its organisation keeps it."""
        return self.encrypted_private is None

    def retire(self, moment: datetime) -> None:
        """Sign nothing more; what was signed stays."""
        self.is_active, self.retired_at = False, moment
