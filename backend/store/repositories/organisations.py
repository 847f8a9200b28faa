"""Organisations, persons, their keys, and drafts that wait for a signature."""

from collections.abc import Collection, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, delete, or_, select, update

from backend.domain.errors import LaterChange, Message, NotFound, StaleVersion
from backend.domain.outbox import AccreditationChange, SigningRequest
from backend.domain.parties import (
    ID_LENGTH,
    USE_NOTED_EVERY,
    ApiToken,
    CustomsOffice,
    FormDraft,
    OfficeDelegation,
    Organisation,
    Person,
    Role,
    SigningKey,
    SignInSession,
)
from backend.store import tables as t
from backend.store.database import Repository

MOST_CREDENTIALS = 20
"""Of one kind, of one person."""
Credential = TypeVar("Credential", ApiToken, SignInSession)


def token_digest(token: str) -> str:
    """What is kept of a token or a session's secret: its SHA-256 in hex.

    It has 256 random bits, so nothing slower is needed.
    """
    return sha256(token.encode(errors="replace")).hexdigest()


class OrganisationRepository(Repository):
    """Organisations."""

    def get(self, organisation_id: str) -> Organisation:
        """Return the organisation with this id, or raise NotFound."""
        return self._get(Organisation, organisation_id, Message("no such organisation"))

    def next_version(self, organisation: Organisation, read: int | None = None) -> None:
        """Begin an act on its keys or their accreditation that rests on this version of them.

        Raises StaleVersion where somebody else has changed them since.
        """
        self._next_version(t.organisation, organisation, read, lambda version: self._acts_since(organisation, version))

    def compare(self, organisation: Organisation, read: int | None) -> None:
        """Raise StaleVersion where the authority's acts have moved on since this version was read."""
        if read is not None and read != organisation.version:
            raise StaleVersion(organisation.version, self._acts_since(organisation, read))

    def _acts_since(self, organisation: Organisation, version: int) -> list[LaterChange]:
        change, key = t.accreditation_change.c, t.signing_key.c
        query = (
            select(AccreditationChange, Person)
            .join(t.signing_key, key.thumbprint == change.thumbprint)
            .join(Person, t.person.c.id == change.asked_by, isouter=True)
            .where(key.organisation_id == organisation.id)
            .order_by(change.asked_at.desc())
            .limit(max(organisation.version - version, 1))
        )
        found = self._session.execute(query).all()
        return [
            LaterChange(act.operation, act.asked_at, person.organisation.name if person else None, act.asked_by)
            for act, person in reversed(found)
        ]

    def all(self, role: Role | None = None) -> Sequence[Organisation]:
        """Return all organisations, or those of one role, by name."""
        query = select(Organisation).order_by(t.organisation.c.name)
        return self._all(query if role is None else query.where(t.organisation.c.role == role))

    def find_named(self, role: Role, identifier: str | None, name: str) -> Organisation | None:
        """Find the organisation of this role with this company number, or, where none is given, with this name."""
        c = t.organisation.c
        if identifier:
            return self._one(self._first(c.identifier == identifier, role), Organisation)
        by_name = self._one(self._first(c.folded_name == name.casefold(), role), Organisation)
        return by_name or self._one(self._first(c.local_name == name, role), Organisation)

    def find_by_name(self, name: str) -> Organisation | None:
        """Return the one organisation of this English name, or None where there is none, or more than one."""
        found = self._all(select(Organisation).where(t.organisation.c.folded_name == name.casefold()).limit(2))
        return found[0] if len(found) == 1 else None

    @staticmethod
    def _first(named: ColumnElement[bool], role: Role) -> Select[Any]:
        c = t.organisation.c
        return select(Organisation).where(named, c.role == role).order_by(c.name)


class CustomsOfficeRepository(Repository):
    """Which customs offices serve which codes, and whom they let act."""

    def all(self) -> Sequence[CustomsOffice]:
        """Every code with the organisation that serves it, by code."""
        c = t.customs_office.c
        return self._all(select(CustomsOffice).order_by(c.code, c.organisation_id))

    def find(self, code: str) -> Sequence[CustomsOffice]:
        """Who serves a code."""
        return self._all(select(CustomsOffice).where(t.customs_office.c.code == code))

    def codes_of(self, organisation: Organisation) -> list[str]:
        """The codes that an organisation serves itself."""
        c = t.customs_office.c
        return list(self._session.scalars(select(c.code).where(c.organisation_id == organisation.id).order_by(c.code)))

    def jurisdiction(self, organisation: Organisation, moment: datetime) -> frozenset[str]:
        """The codes whose declarations an organisation's officers may read and decide: its own and those delegated."""
        c = t.office_delegation.c
        lent = select(c.code).where(c.organisation_id == organisation.id, c.until > moment, c.ended_at.is_(None))
        return frozenset([*self.codes_of(organisation), *self._session.scalars(lent)])

    def get_delegation(self, delegation_id: str) -> OfficeDelegation:
        """The delegation with this id."""
        return self._get(OfficeDelegation, delegation_id, Message("no such delegation"))

    def delegations(
        self, moment: datetime, organisation: Organisation | None = None, codes: Collection[str] = ()
    ) -> Sequence[OfficeDelegation]:
        """Delegations that stand, to an organisation or of codes; all of them for None. The next to end first."""
        c = t.office_delegation.c
        query = select(OfficeDelegation).where(c.until > moment, c.ended_at.is_(None)).order_by(c.until, c.id)
        if organisation is not None:
            query = query.where(or_(c.organisation_id == organisation.id, c.code.in_(codes)))
        return self._all(query)


class PersonRepository(Repository):
    """People who act for organisations, with their tokens and sessions."""

    def find_by_email(self, email: str) -> Person | None:
        """Return the person who signs in with this address, or None."""
        # Addresses are stored in lower case, so that one person cannot be registered twice by case.
        return self._one(select(Person).where(t.person.c.email == email.strip().lower()), Person)

    def first_of(self, organisation: Organisation) -> Person | None:
        """Return any active person who acts for the organisation, or None."""
        query = select(Person).where(t.person.c.organisation_id == organisation.id, t.person.c.is_active.is_(True))
        return self._one(query, Person)

    def find(self, person_id: str) -> Person | None:
        """Return the person with this id, or None."""
        return self._session.get(Person, person_id)

    def page(self, after: str, limit: int) -> Sequence[Person]:
        """People by e-mail address, from behind that one on."""
        c = t.person.c
        return self._all(select(Person).where(c.email > after).order_by(c.email).limit(limit))

    def by_secret(self, kind: type[Credential], secret: str) -> Credential | None:
        """The token or session that this secret opens, valid or not."""
        return self._session.get(kind, token_digest(secret))

    def note_use(self, used: ApiToken | SignInSession, now: datetime) -> None:
        """Write that it was used now; another process may have done so a moment ago."""
        table = t.api_token if isinstance(used, ApiToken) else t.sign_in_session
        c = table.c
        is_due = or_(c.last_used_at.is_(None), c.last_used_at <= now - USE_NOTED_EVERY)
        self._session.execute(update(table).where(c.digest == used.digest, is_due).values(last_used_at=now))

    def tokens(self, person: Person) -> Sequence[ApiToken]:
        """A person's tokens, newest first."""
        c = t.api_token.c
        query = select(ApiToken).where(c.person_id == person.id).order_by(c.made_at.desc())
        return self._all(query.limit(MOST_CREDENTIALS))

    def sessions(self, person: Person) -> Sequence[SignInSession]:
        """A person's sessions, the one used last first."""
        c = t.sign_in_session.c
        query = select(SignInSession).where(c.person_id == person.id).order_by(c.last_used_at.desc())
        return self._all(query.limit(MOST_CREDENTIALS))

    def find_token(self, token_id: str) -> ApiToken | None:
        """The token that goes by this id."""
        c = t.api_token.c
        if len(token_id) != ID_LENGTH:
            return None
        # A range and no LIKE, which SQLite would answer by reading the whole table.
        return self._one(select(ApiToken).where(c.digest >= token_id, c.digest < token_id + "g"), ApiToken)

    def end_sessions(self, person: Person, except_digest: str | None = None) -> None:
        """Forget a person's sessions, but for one."""
        c = t.sign_in_session.c
        ended = delete(t.sign_in_session).where(c.person_id == person.id)
        self._session.execute(ended if except_digest is None else ended.where(c.digest != except_digest))

    def revoke_tokens(self, person: Person) -> None:
        """Forget a person's tokens."""
        self._session.execute(delete(t.api_token).where(t.api_token.c.person_id == person.id))


class FormDraftRepository(Repository):
    """What people have typed in forms that they have not sent yet."""

    def find(self, person_id: str, form: str) -> FormDraft | None:
        """Return this person's draft of a form, or None."""
        return self._session.get(FormDraft, (person_id, form))

    def of(self, organisation: Organisation) -> Sequence[FormDraft]:
        """Return the drafts of all people of an organisation."""
        own = select(t.person.c.id).where(t.person.c.organisation_id == organisation.id)
        return self._all(select(FormDraft).where(t.form_draft.c.person_id.in_(own)))

    def delete(self, draft: FormDraft) -> None:
        """Delete a draft, and with it the key that opens what was typed."""
        self._session.delete(draft)
        self._session.flush()

    def delete_before(self, moment: datetime, most: int) -> None:
        """Delete the oldest drafts, as far as they were saved before a moment, and at most so many at once."""
        saved = t.form_draft.c.saved_at
        for draft in self._all(select(FormDraft).where(saved < moment).order_by(saved).limit(most)):
            self.delete(draft)


class KeyRepository(Repository):
    """Organisations' signing keys."""

    def active(self, organisation: Organisation) -> SigningKey:
        """Return the organisation's active signing key; where none is active, the newest one.

        Raises:
            NotFound: if it has no key.
        """
        keys = self.all(organisation)
        if not keys:
            raise NotFound("the organisation has no signing key", organisation=organisation.id)
        return next((key for key in keys if key.is_active), keys[0])

    def find(self, thumbprint: str) -> SigningKey | None:
        """Return the key with this thumbprint (hex), or None."""
        return self._session.get(SigningKey, thumbprint)

    def all(self, organisation: Organisation | None = None) -> Sequence[SigningKey]:
        """Return the keys of an organisation, or all of them, newest first."""
        query = select(SigningKey).order_by(t.signing_key.c.made_at.desc())
        if organisation is not None:
            query = query.where(t.signing_key.c.organisation_id == organisation.id)
        return self._all(query)


class SigningRequestRepository(Repository):
    """Drafts that wait for a signature with a key that is kept outside."""

    def find(self, request_id: str) -> SigningRequest | None:
        """Return the request with this id, or None where it was completed or deleted."""
        return self._session.get(SigningRequest, request_id)

    def delete_before(self, before: datetime) -> None:
        """Delete requests from before a time, which nobody signed."""
        for request in self._all(select(SigningRequest).where(t.signing_request.c.moment < before)):
            self._session.delete(request)
