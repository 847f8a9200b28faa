"""What stands around a document: until when its maker lets it hold, and whether it was taken back.

A document of ours may say when it ends: of several dates the earliest counts. Whether a date has passed is for whoever
has a clock to say; lists of revoked credentials lie elsewhere, and are not asked.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any

from backend.domain.interop import conversions
from backend.domain.interop.draft import Draft
from backend.domain.interop.reading import Severity, Unusable
from backend.domain.kinds import KINDS

_UNTIL = ("/validUntil", "/expirationDate")
_FROM = ("/validFrom", "/issuanceDate")
"""Names of version 2 and version 1 of the W3C data model for verifiable credentials."""
IN_FORCE = frozenset({"issued", "active", "valid", "approved", "final", "certified"})
TAKEN_BACK = frozenset(
    {
        "cancelled",
        "canceled",
        "revoked",
        "void",
        "voided",
        "withdrawn",
        "suspended",
        "expired",
        "rejected",
        "superseded",
    }
)


def take_envelope(draft: Draft, base: str, claims: Mapping[str, Any]) -> None:
    """Take when the document ends, and tell what its maker says of its standing.

    Args:
        draft: The document in the making.
        base: The pointer to where the document itself stands in its envelope.
        claims: What an SD-JWT says around it.
    """
    dates = {pointer: draft.source.value(pointer) for pointer in _UNTIL}
    ends = {pointer: ending for pointer, raw in dates.items() if (ending := _moment(draft, pointer, raw))}
    if isinstance(expiry := claims.get("exp"), int | float):
        ends["/exp"] = datetime.fromtimestamp(expiry, UTC)
    for pointer in _FROM:
        beginning = _moment(draft, pointer, draft.source.value(pointer))
        if beginning is not None and beginning.date().isoformat() != draft.fields.get("issueDate"):
            draft.note(Severity.WARNING, "holds-from", pointer, value=_shown(beginning), moment=beginning)
    _earliest(draft, ends)
    _standing(draft, base)


def _moment(draft: Draft, pointer: str, raw: Any) -> datetime | None:
    if raw is None:
        return None
    draft.source.use(pointer)
    try:
        day = date.fromisoformat(conversions.day(raw)[0])
    except Unusable as error:
        draft.note(Severity.WRONG, "unusable-cell", pointer, why=error)
        return None
    if "T" not in str(raw):
        return datetime.combine(day, time.max, UTC)
    moment = datetime.fromisoformat(str(raw).strip())
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _shown(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _earliest(draft: Draft, ends: Mapping[str, datetime]) -> None:
    earliest = ""
    if ends and "valid_until" in KINDS[draft.kind].model.model_fields:
        earliest = min(ends, key=lambda pointer: ends[pointer])
        stated, day = draft.fields.get("validUntil"), ends[earliest].date().isoformat()
        if stated is None or day < str(stated):
            draft.put("validUntil", earliest, day, "earliest-end", raw=_shown(ends[earliest]))
    for pointer, ending in ends.items():
        if pointer not in (earliest, "/exp"):  # of an SD-JWT's own end the notes on its signature tell
            draft.note(Severity.WARNING, "holds-until", pointer, value=_shown(ending), moment=ending)


def _standing(draft: Draft, base: str) -> None:
    for pointer in dict.fromkeys(("/credentialStatus", f"{base}/credentialStatus")):
        if draft.source.value(pointer) is not None:
            draft.source.use(pointer)
            draft.note(Severity.WARNING, "revocation-not-checked", pointer)
    for pointer in dict.fromkeys(("/status", f"{base}/status")):
        status = draft.source.value(pointer)
        if not isinstance(status, str):
            continue
        word = re.sub("[^a-z]", "", status.casefold())
        draft.source.use(pointer)
        if word in TAKEN_BACK:
            draft.note(Severity.WRONG, "taken-back", pointer, value=status)
        elif word not in IN_FORCE:
            draft.note(Severity.WARNING, "other-status", pointer, value=status)
