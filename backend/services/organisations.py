"""Registration of organisations, and sign-in of their people."""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from backend.domain import sd_jwt
from backend.domain.errors import Conflict, Invalid, NotAllowed
from backend.domain.parties import (
    AT_REGISTRATION,
    TOKEN_DAYS,
    ApiToken,
    CustomsOffice,
    Organisation,
    Person,
    Role,
    SigningKey,
    TokenScope,
    office_code,
)
from backend.services.ports import AppContext, rerunnable
from backend.store.repositories.organisations import token_digest
from backend.store.unit_of_work import UnitOfWork


@dataclass(frozen=True)
class Joined:
    """A new organisation, its first person, and the secrets, which are shown once and stored only as hashes."""

    organisation: Organisation
    person: Person
    password: str
    token: str
    thumbprint: str


@dataclass(frozen=True)
class OrganisationProfile:
    """What is known of an organisation when it joins."""

    role: Role
    name: str
    email: str
    local_name: str | None = None
    postal_address: str | None = None
    country_code: str = "CN"
    identifier: str | None = None
    offices: tuple[str, ...] = ()
    """The codes that a customs office serves. Empty for other roles."""


@dataclass(frozen=True)
class Credentials:
    """What the first person signs in with."""

    password: str
    token: str

    @classmethod
    def fresh(cls) -> "Credentials":
        """Make new credentials: 96 random bits for the password, 256 for the token."""
        return cls(secrets.token_urlsafe(12), f"pp_{secrets.token_urlsafe(32)}")


@rerunnable
def register(ctx: AppContext, profile: OrganisationProfile, given: Credentials | None = None) -> Joined:
    """Register an organisation with a signing key, one person, a password and a token. It has no accreditation yet.

    Raises:
        Invalid: The e-mail address is malformed.
        Conflict: The e-mail address is taken.
    """
    with ctx.work() as work:
        joined = _join(ctx, work, profile, given or Credentials.fresh())
        work.commit()
    return joined


def register_by_authority(ctx: AppContext, actor: Person, profile: OrganisationProfile) -> Joined:
    """Register an organisation on behalf of the authority. Raises what ``register`` raises.

    Raises:
        NotAllowed: The actor is not the authority.
    """
    if actor.role is not Role.AUTHORITY:
        raise NotAllowed("only the authority registers organisations")
    return register(ctx, profile)


def _join(ctx: AppContext, work: UnitOfWork, profile: OrganisationProfile, given: Credentials) -> Joined:
    email = profile.email.strip().lower()
    if "@" not in email or any(c.isspace() for c in email):
        raise Invalid("not an e-mail address", [("email", "is no e-mail address")])
    if work.persons.find_by_email(email) is not None:
        raise Conflict("this e-mail address is taken", email=email)
    codes = _office_codes(profile)
    now = ctx.now()
    organisation = Organisation(
        id=str(uuid4()),
        role=profile.role,
        name=profile.name,
        local_name=profile.local_name,
        postal_address=profile.postal_address,
        country_code=profile.country_code,
        identifier=profile.identifier,
        registered_at=now,
    )
    work.add(organisation)
    for code in codes:
        work.add(CustomsOffice(code, organisation, now))
    jwk, sealed = ctx.keys.vault.new_key()
    thumbprint = sd_jwt.thumbprint(jwk).hex()
    work.add(SigningKey(thumbprint, organisation, dict(jwk), sealed, now))
    person = Person(str(uuid4()), organisation, email, ctx.keys.passwords.hashed(given.password))
    work.add(person)
    # Only the digest is stored, so that a copy of the database gives no tokens away.
    until = now + timedelta(days=TOKEN_DAYS)
    work.add(ApiToken(token_digest(given.token), person, now, AT_REGISTRATION, TokenScope.DECIDE, until))
    return Joined(organisation, person, given.password, given.token, thumbprint)


def _office_codes(profile: OrganisationProfile) -> list[str]:
    """Return the codes of a customs office, which needs at least one: its officers decide what is declared to them.

    Raises:
        Invalid: A customs office has no code, another role has one, or a code is malformed.
    """
    codes = [office_code(typed) for typed in profile.offices if typed.strip()]
    if profile.role is Role.OFFICER and not codes:
        raise Invalid("a customs office needs its code", [("offices", "is missing")])
    if profile.role is not Role.OFFICER and codes:
        raise Invalid("only customs offices have codes", [("offices", "is for customs offices only")])
    return list(dict.fromkeys(codes))


def sign_in(ctx: AppContext, email: str, password: str) -> Person | None:
    """Return the active person with this address and password, or None.

    An unknown address takes as long as a wrong password, so that the time of the answer does not tell which addresses
    exist.
    """
    with ctx.work(reading=True) as work:
        person = work.persons.find_by_email(email)
    # Checked against an empty hash if there is no such person, so that both cases take as long.
    fits = ctx.keys.passwords.matches(person.password_hash if person else "", password)
    return person if fits and person is not None and person.is_active else None
