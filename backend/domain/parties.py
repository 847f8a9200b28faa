"""The parties: organisations, the persons who act for them, and their credentials and keys."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from backend.domain.errors import Invalid, NameInLanguages


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

    @property
    def in_sentences(self) -> NameInLanguages:
        """Its name for messages, which tell it in the reader's language."""
        return NameInLanguages(self.name, {LOCAL_LANGUAGE: self.local_name})


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


class TokenScope(StrEnum):
    """How much of what its person may do a token may do; each includes those before."""

    READ = "read"
    WRITE = "write"
    DECIDE = "decide"
    """Also customs' decisions, and acts on organisations, issuers, keys and customs offices."""

    def covers(self, needed: "TokenScope") -> bool:
        """Whether it suffices for what needs that scope."""
        order = list(TokenScope)
        return order.index(self) >= order.index(needed)

    @property
    def names(self) -> str:
        """What the pages call it."""
        return _SCOPE_NAMES[self]


_SCOPE_NAMES: Mapping[TokenScope, str] = {
    TokenScope.READ: "Read only",
    TokenScope.WRITE: "Read and write, no decisions",
    TokenScope.DECIDE: "All that its person may do",
}

SESSION_IDLE_TERM = timedelta(hours=12)
SESSION_TERM = timedelta(days=7)
TOKEN_DAYS = 365
"""How long a token is valid where nothing else is said."""
MOST_TOKEN_DAYS = 2 * 365
USE_NOTED_EVERY = timedelta(minutes=1)
"""The last use of a token or session is written no more often, so that reading does not become writing."""
ID_LENGTH = 16
PASSWORD_LENGTHS = range(12, 129)
"""In characters. NIST SP 800-63B-4, 3.1.1.2, wants a minimum length and no rules of composition."""


AT_REGISTRATION = "registration"
"""The name of the token that a person is given when it is registered; pages and commands translate it."""


@dataclass(eq=False)
class ApiToken:
    """A bearer token, of which only the SHA-256 is stored."""

    digest: str
    person: Person
    made_at: datetime
    name: str
    scope: TokenScope
    expires_at: datetime
    last_used_at: datetime | None = None

    @property
    def id(self) -> str:
        """What it is called on pages and by commands: the start of its digest, which tells nothing of the token."""
        return self.digest[:ID_LENGTH]

    def is_valid(self, now: datetime) -> bool:
        """Whether somebody may act with it."""
        return self.person.is_active and now < self.expires_at


@dataclass(eq=False)
class SignInSession:
    """One sign-in of a person; the browser keeps a secret of which only the SHA-256 lies here."""

    digest: str
    person: Person
    started_at: datetime
    last_used_at: datetime

    @property
    def id(self) -> str:
        """What it is called on pages."""
        return self.digest[:ID_LENGTH]

    def is_valid(self, now: datetime) -> bool:
        """Whether it goes on: its person is active, and neither the idle nor the absolute term has passed."""
        in_time = now < self.last_used_at + SESSION_IDLE_TERM and now < self.started_at + SESSION_TERM
        return self.person.is_active and in_time


@dataclass(eq=False)
class FormDraft:
    """What a person has typed in a form so far, by the names of its fields; one for each person and form."""

    person_id: str
    form: str
    saved_at: datetime
    typed: dict[str, Any]


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


# For the forms to name; any other UN/LOCODE or national code is taken as well (``office_code``).
PLACES: Mapping[str, str] = {
    "CNGGZ": "Guangzhou",
    "CNHAZ": "Hangzhou",
    "CNJHA": "Jinhua",
    "CNNBO": "Ningbo",
    "CNSGH": "Shanghai",
    "CNSNZ": "Shenzhen",
    "CNXAM": "Xiamen",
    "CNYIU": "Yiwu",
    "CNZGZ": "Zhengzhou",
}
_UN_LOCODE = r"[A-Z]{2}[A-Z2-9]{3}"
"""UN/CEFACT Recommendation 16: the country, then three letters or the digits 2 to 9."""
_CHINA = r"[0-9]{4}"
"""China customs' own numbers (customsCode in its CEB messages)."""
_EU = r"[A-Z]{2}[A-Z0-9]{6}"
"""The reference number of a customs office in the European Union's list: the country, then six letters or digits."""
_SHAPE = re.compile("|".join((_UN_LOCODE, _CHINA, _EU)))


def normalised(typed: str) -> str:
    """A code as it is kept: without spaces around it, in capitals."""
    return typed.strip().upper()


def office_code(typed: str, where: str = "offices") -> str:
    """A customs office's code, as it is kept; raises Invalid where it has the shape of none."""
    code = normalised(typed)
    if not _SHAPE.fullmatch(code):
        raise Invalid("no code of a customs office", [(where, "must be a UN/LOCODE or the office's national code")])
    return code


def is_office_code(name: str) -> bool:
    """Tell whether this is a customs office's code, as it is kept."""
    return _SHAPE.fullmatch(name) is not None


@dataclass(eq=False)
class CustomsOffice:
    """A code that an organisation of customs officers serves. An office may have several, and several may share one."""

    code: str
    organisation: Organisation
    registered_at: datetime


@dataclass(eq=False)
class OfficeDelegation:
    """One office lets another one's officers read and decide what is declared to it, until a moment."""

    id: str
    code: str
    organisation: Organisation
    """Whose officers may act."""
    until: datetime
    made_at: datetime
    made_by: str
    """The person who delegated."""
    ended_at: datetime | None = None

    def holds(self, moment: datetime) -> bool:
        """Whether it stands at a moment."""
        return moment < min(self.until, self.ended_at or self.until)
