"""What people sign in with, and how they are shut out: sessions, tokens, passwords, and people who no longer act."""

import secrets
from datetime import timedelta

import structlog

from backend.domain.errors import Conflict, Invalid, NotFound
from backend.domain.parties import (
    MOST_TOKEN_DAYS,
    PASSWORD_LENGTHS,
    TOKEN_DAYS,
    ApiToken,
    Person,
    SignInSession,
    TokenScope,
)
from backend.services.organisations import Credentials
from backend.services.ports import AppContext, rerunnable
from backend.store.repositories.organisations import MOST_CREDENTIALS, token_digest
from backend.store.unit_of_work import UnitOfWork

log = structlog.get_logger()
# As long as the column.
LONGEST_NAME = 80


@rerunnable
def start_session(ctx: AppContext, person: Person) -> str:
    """Begin a session of a person who has signed in; returns the secret that their browser keeps.

    Sessions that have ended by themselves are removed, and of too many the one that lay unused longest.
    """
    secret, now = secrets.token_urlsafe(32), ctx.now()
    with ctx.work() as work:
        person = _person(work, person.email)
        for number, session in enumerate(work.persons.sessions(person), 1):
            # One less than the most stays, since the new one follows.
            if number >= MOST_CREDENTIALS or not session.is_valid(now):
                work.remove(session)
        work.add(SignInSession(token_digest(secret), person, now, now))
        work.commit()
    return secret


@rerunnable
def end_session(ctx: AppContext, secret: str) -> None:
    """End the session that this secret opens; a copy of the cookie opens nothing afterwards."""
    with ctx.work() as work:
        session = work.persons.by_secret(SignInSession, secret)
        if session is not None:
            work.remove(session)
            work.commit()


@rerunnable
def end_own_session(ctx: AppContext, actor: Person, session_id: str) -> None:
    """End one of a person's sessions. Raises NotFound where they have none by this id."""
    with ctx.work() as work:
        found = next((one for one in work.persons.sessions(actor) if one.id == session_id), None)
        if found is None:
            raise NotFound("no such session", id=session_id)
        work.remove(found)
        work.commit()


@rerunnable
def end_other_sessions(ctx: AppContext, actor: Person, present_session: str) -> None:
    """End all of a person's sessions but the present one (its secret)."""
    with ctx.work() as work:
        work.persons.end_sessions(actor, except_digest=token_digest(present_session))
        work.commit()


@rerunnable
def change_password(ctx: AppContext, actor: Person, old: str, new: str, present_session: str) -> None:
    """Give a person another password, and end all their sessions but the present one (its secret).

    Raises Invalid, with the field ``old`` or ``new``.
    """
    with ctx.work(reading=True) as work:
        person = _person(work, actor.email)
    if not ctx.keys.passwords.matches(person.password_hash, old):
        raise Invalid("the old password is wrong", [("old", "is not your present password")])
    if len(new) not in PASSWORD_LENGTHS:
        raise Invalid("the new password is too short or too long", [("new", "needs 12 to 128 characters")])
    hashed = ctx.keys.passwords.hashed(new)  # before the write lock: it takes a while
    with ctx.work() as work:
        person = _person(work, actor.email)
        person.password_hash = hashed
        work.persons.end_sessions(person, except_digest=token_digest(present_session))
        work.commit()


@rerunnable
def reset_password(ctx: AppContext, email: str) -> str:
    """Give a person a fresh password, end all their sessions, and return it. Raises NotFound."""
    fresh = Credentials.fresh().password
    hashed = ctx.keys.passwords.hashed(fresh)
    with ctx.work() as work:
        person = _person(work, email)
        person.password_hash = hashed
        work.persons.end_sessions(person)
        work.commit()
    return fresh


@rerunnable
def deactivate(ctx: AppContext, email: str) -> Person:
    """Shut a person out at once: no sign-in, sessions ended, tokens revoked. Raises NotFound."""
    with ctx.work() as work:
        person = _person(work, email)
        person.is_active = False
        work.persons.end_sessions(person)
        work.persons.revoke_tokens(person)
        work.commit()
    log.info("person deactivated", person=person.id)
    return person


@rerunnable
def reactivate(ctx: AppContext, email: str) -> Person:
    """Let a person sign in again; the tokens that they had stay revoked. Raises NotFound."""
    with ctx.work() as work:
        person = _person(work, email)
        person.is_active = True
        work.commit()
    return person


@rerunnable
def new_token(
    ctx: AppContext, person: Person, name: str, scope: TokenScope, days: int = TOKEN_DAYS
) -> tuple[ApiToken, str]:
    """Make a token of a person's; returns it with the secret, which is shown once. Raises Invalid, Conflict."""
    name = name.strip()
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise Invalid("a token needs a name", [("name", "needs 1 to 80 printable characters")])
    if not 1 <= days <= MOST_TOKEN_DAYS:
        raise Invalid("a token is valid for 1 to 730 days", [("days", "must be 1 to 730")])
    secret, now = Credentials.fresh().token, ctx.now()
    with ctx.work() as work:
        person = _person(work, person.email)
        if not person.is_active:
            raise Conflict("this person is deactivated", email=person.email)
        present = work.persons.tokens(person)
        for expired in (one for one in present if not one.is_valid(now)):
            work.remove(expired)
        if sum(one.is_valid(now) for one in present) >= MOST_CREDENTIALS:
            raise Conflict("a person has at most {most} tokens: revoke one first", most=MOST_CREDENTIALS)
        made = ApiToken(token_digest(secret), person, now, name, scope, now + timedelta(days=days))
        work.add(made)
        work.commit()
    return made, secret


@rerunnable
def revoke_token(ctx: AppContext, token_id: str, owner: Person | None = None) -> ApiToken:
    """Make a token worthless at once. Raises NotFound where there is none by this id, or none of this owner's."""
    with ctx.work() as work:
        found = work.persons.find_token(token_id)
        if found is None or (owner is not None and found.person.id != owner.id):
            raise NotFound("no such token", id=token_id)
        work.remove(found)
        work.commit()
    log.info("token revoked", token=found.id, person=found.person.id)
    return found


def _person(work: UnitOfWork, email: str) -> Person:
    found = work.persons.find_by_email(email)
    if found is None:
        raise NotFound("nobody signs in with {email}", email=email)
    return found
