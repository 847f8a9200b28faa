"""Signing keys: replacement by new ones, keys kept outside of this server, compromised keys, and keys' histories."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from backend.domain import sd_jwt
from backend.domain.errors import Conflict, Invalid, NotAllowed, NotFound
from backend.domain.kinds import accreditation_bits
from backend.domain.outbox import AccreditationChange, OutboundTransaction
from backend.domain.parties import Organisation, Person, Role, SigningKey
from backend.domain.records import RecordOnFile
from backend.domain.signature_terms import KeyHistory
from backend.services.accreditation import note_standing, suspension
from backend.services.ports import AppContext, rerunnable
from backend.store.unit_of_work import UnitOfWork


@dataclass(frozen=True)
class OutsideKey:
    """A public key whose private part stays with its organisation, with the proof that the organisation has it."""

    jwk: Mapping[str, Any]
    proof: str


def possession_text(organisation_id: str, thumbprint: str) -> bytes:
    """Return the bytes that an organisation signs to prove possession of a key that it keeps itself.

    No record's signing input begins like this, so the proof cannot be used as a record's signature or the other way
    round.
    """
    return f"provenport key possession\n{organisation_id}\n{thumbprint}\n".encode()


@rerunnable
def rotate(ctx: AppContext, actor: Person, organisation_id: str, external: OutsideKey | None = None) -> SigningKey:
    """Let a new key replace an organisation's present one.

    ``external`` is a new key that the organisation keeps itself. If the ledger holds an accreditation, the new key
    signs from the block in which the ledger accepts it, and nothing is signed until then (decision 0009). Records
    signed with the old key stay valid.

    Raises:
        NotAllowed: The actor is not the authority.
        NotFound: There is no such organisation.
        Conflict: A replacement is under way, or the key was used before.
        Invalid: The external key or its proof is wrong, or a private key was sent.
    """
    if actor.role is not Role.AUTHORITY:
        raise NotAllowed("only the authority replaces keys")
    with ctx.work() as work:
        organisation = work.organisations.get(organisation_id)
        work.organisations.next_version(organisation)
        old = work.keys.active(organisation)
        if old.successor is not None:
            raise Conflict("this key is being replaced already", key=old.thumbprint, successor=old.successor)
        new = _new_key(ctx, work, organisation, external)
        old.successor = new.thumbprint
        work.add(new)
        if _is_accredited(work, old, ctx.now()):
            terms = {"successor": new.thumbprint}
            work.add(AccreditationChange(str(uuid4()), old.thumbprint, "rotate", terms, ctx.now(), actor.id))
        else:
            _take_over(old, new, ctx.now())
        work.commit()
    ctx.wake_anchoring()
    return new


def _new_key(ctx: AppContext, work: UnitOfWork, organisation: Organisation, external: OutsideKey | None) -> SigningKey:
    if external is None:
        jwk, sealed = ctx.keys.vault.new_key()
        thumbprint = sd_jwt.thumbprint(jwk).hex()
        return SigningKey(thumbprint, organisation, dict(jwk), sealed, ctx.now(), is_active=False)
    public = {name: str(external.jwk.get(name, "")) for name in ("kty", "crv", "x", "y")}
    thumbprint = sd_jwt.thumbprint(public).hex()
    try:
        signature = sd_jwt.unb64(external.proof)
        proven = sd_jwt.verify(public, possession_text(organisation.id, thumbprint), signature)
    except (ValueError, sd_jwt.MalformedRecord) as error:
        raise Invalid("not a P-256 key and its signature", [("jwk", "is no P-256 public key")]) from error
    # Sending the private part has exposed it, so this key must not be used at all.
    if "d" in external.jwk:
        raise Invalid("a private key was sent", [("jwk.d", "is the private part: never send it, and use another key")])
    if not proven:
        raise Invalid("the proof is not this key's", [("proof", "is not this key's signature over the text asked for")])
    if work.keys.find(thumbprint) is not None:
        raise Conflict("this key was used before: a key signs for one organisation, once", key=thumbprint)
    return SigningKey(thumbprint, organisation, public, None, ctx.now(), is_active=False)


def _is_accredited(work: UnitOfWork, key: SigningKey, now: datetime) -> bool:
    """Tell from the queued changes whether the ledger holds a current accreditation of this key."""
    changes = work.accreditation_changes.of_key(key.thumbprint)
    granted = [change.terms for change in changes if change.operation == "accredit"]
    if granted:
        return bool(granted[-1]["from"] < now.timestamp() < granted[-1]["until"])
    return _was_handed_on(work, key) and key.usable_from is not None


def _was_handed_on(work: UnitOfWork, key: SigningKey) -> bool:
    """Tell whether the ledger was asked to let this key replace an earlier one."""
    earlier = [
        change for k in work.keys.all(key.organisation) for change in work.accreditation_changes.of_key(k.thumbprint)
    ]
    return any(change.operation == "rotate" and change.terms["successor"] == key.thumbprint for change in earlier)


def _take_over(old: SigningKey, new: SigningKey, moment: datetime) -> None:
    if old.is_active:
        old.retire(moment)
    new.is_active, new.usable_from = True, moment


def settle_rotations(work: UnitOfWork, transaction: OutboundTransaction, block_time: datetime, succeeded: bool) -> None:
    """Note the result of a key rotation: the new key signs from now on, or, if the ledger refused, the old one does."""
    for change in work.accreditation_changes.sent_by(transaction):
        old = work.keys.find(change.thumbprint)
        new = work.keys.find(change.terms["successor"]) if change.operation == "rotate" else None
        # A receipt is noted again when it is final and after a reorganisation: a key that was stopped since must not
        # come back.
        if old is None or new is None or old.successor != new.thumbprint or new.is_active or new.retired_at is not None:
            continue
        if succeeded:
            _take_over(old, new, block_time)
        else:
            old.successor = None


# Keys in wrong hands


@dataclass(frozen=True)
class Compromise:
    """A key that others may have used, since when, and the records that were taken in under it from then on."""

    key: SigningKey
    since: datetime
    records: tuple[RecordOnFile, ...]


@rerunnable
def compromised(ctx: AppContext, actor: Person, thumbprint: str, since: datetime) -> Compromise:
    """Stop a key at once, queue its suspension on the ledger, and list what it signed since ``since``.

    Raises:
        NotAllowed: The actor is not the authority.
        NotFound: There is no such key.
        Invalid: ``since`` lies in the future or out of range.
    """
    if actor.role is not Role.AUTHORITY:
        raise NotAllowed("only the authority stops keys")
    with ctx.work() as work:
        key = _known(work, thumbprint)
        work.organisations.next_version(key.organisation)
        if accreditation_bits(key.organisation.role) and _is_known_to_ledger(work, key):
            work.add(suspension(ctx, actor, key.thumbprint, since))
            note_standing(ctx, work, actor, key, "suspend")
        elif since > ctx.now():
            raise Invalid("since lies in the future", [("since", "must not lie in the future")])
        # A second report may move the start back only: the earlier suspicion is not taken back by it.
        key.compromised_since = min(since, key.compromised_since or since)
        if key.is_active:
            key.retire(ctx.now())
        found = _signed_since(work, key, since)
        work.commit()
    ctx.wake_anchoring()
    return Compromise(key, since, found)


def _is_known_to_ledger(work: UnitOfWork, key: SigningKey) -> bool:
    return bool(work.accreditation_changes.of_key(key.thumbprint)) or _was_handed_on(work, key)


def signed_since(ctx: AppContext, actor: Person, thumbprint: str, since: datetime) -> Compromise:
    """List what a key signed from a moment on, and change nothing.

    Raises:
        NotAllowed: The actor is not the authority.
        NotFound: There is no such key.
    """
    if actor.role is not Role.AUTHORITY:
        raise NotAllowed("only the authority lists what a key signed")
    with ctx.work(reading=True) as work:
        key = _known(work, thumbprint)
        return Compromise(key, since, _signed_since(work, key, since))


def _known(work: UnitOfWork, thumbprint: str) -> SigningKey:
    key = work.keys.find(thumbprint.strip().lower())
    if key is None:
        raise NotFound("no such key", key=thumbprint)
    return key


def _signed_since(work: UnitOfWork, key: SigningKey, since: datetime) -> tuple[RecordOnFile, ...]:
    """List the records by the time at which we took them in. A thief chooses the time that a record itself states."""
    named = sd_jwt.b64(bytes.fromhex(key.thumbprint))
    taken_in = work.records.signed_by(key.organisation, since.astimezone(UTC))
    # A record whose header cannot be read may have been signed with the key, so it is listed too.
    return tuple(record for record in taken_in if record.key_named in (named, None))


# What the ledger recorded of a key

MOST_VERSIONS = 50
"""How many versions of a key's accreditation are shown together."""
THUMBPRINT = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class KnownKey:
    """A key with its history on the ledger, which is None where it was never accredited.

    The organisation is None where the ledger knows the key, and this database does not.
    """

    thumbprint: str
    organisation: Organisation | None
    history: KeyHistory | None


def history(ctx: AppContext, given: str, before: int | None = None) -> KnownKey:
    """Return the newest ``MOST_VERSIONS`` versions of a key's accreditation, or the newest below number ``before``.

    ``given`` is the key's thumbprint (64 hexadecimal digits), or the id of an organisation, for the key that it signs
    with now.

    Raises:
        NotFound: Neither database nor ledger knows the key.
        Invalid: The ledger's contracts are of an earlier version, which list no versions.
        LedgerUnavailable: The ledger cannot be asked.
    """
    thumbprint = given.strip().lower()
    with ctx.work(reading=True) as work:
        if THUMBPRINT.fullmatch(thumbprint):
            found = work.keys.find(thumbprint)
        else:
            found = work.keys.active(work.organisations.get(given))
            thumbprint = found.thumbprint
    with ctx.ledger.at_one_block():
        known = ctx.ledger.history(bytes.fromhex(thumbprint), 0, 0)
        if known is not None:
            end = known.count if before is None else max(0, min(before, known.count))
            first = max(0, end - MOST_VERSIONS)
            known = ctx.ledger.history(bytes.fromhex(thumbprint), first, end - first)
    if found is None and known is None:
        raise NotFound("no such key", key=given)
    return KnownKey(thumbprint, found.organisation if found else None, known)


@rerunnable
def reencrypt_all(ctx: AppContext) -> int:
    """Encrypt every private key kept here under the newest master key, all or none. Returns how many."""
    count = 0
    with ctx.work() as work:
        for key in work.keys.all():
            if key.encrypted_private is not None:
                key.encrypted_private = ctx.keys.vault.reencrypt(key.encrypted_private)
                count += 1
        work.commit()
    return count
