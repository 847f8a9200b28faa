"""What stands around a document: until when its maker lets it hold, and whether it was taken back.

A document of ours may say when it ends: of several dates the earliest counts. Whether a date has passed is for whoever
has a clock to say; lists of revoked credentials lie elsewhere, and are not asked.
"""

import re
from collections.abc import Iterator, Mapping
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
        "已撤销",
        "撤销",
        "已作废",
        "作废",
        "已取消",
        "已失效",
        "失效",
        "已过期",
    }
)
_FLAGS = ("revoked", "cancelled", "canceled", "suspended")
"""Members that say by true that a document was taken back."""


def take_envelope(draft: Draft, base: str, claims: Mapping[str, Any]) -> None:
    """Take when the document ends, and tell what its maker says of its standing.

    Args:
        draft: The document in the making.
        base: The pointer to where the document itself stands in its envelope.
        claims: What an SD-JWT says around it.
    """
    places = dict.fromkeys(("", base))
    dates = {f"{place}{name}": draft.source.value(f"{place}{name}") for place in places for name in _UNTIL}
    if draft.fields.get("validUntil") is not None:
        dates.pop(f"{base}/validUntil" if base else "", None)  # the document's own, which was taken already
    ends = {pointer: ending for pointer, raw in dates.items() if (ending := _moment(draft, pointer, raw))}
    if isinstance(expiry := claims.get("exp"), int | float):
        ends["/exp"] = datetime.fromtimestamp(expiry, UTC)
    for pointer in _FROM:
        take_beginning(draft, pointer)
    _earliest(draft, ends)
    _standing(draft, base)


def take_beginning(draft: Draft, pointer: str) -> None:
    """Tell from when its maker lets a document hold, where that is not its day of issue."""
    beginning = _moment(draft, pointer, draft.source.value(pointer), time.min)
    if beginning is not None and beginning.date().isoformat() != draft.fields.get("issueDate"):
        draft.note(Severity.WARNING, "holds-from", pointer, value=_shown(beginning), moment=beginning)


def _moment(draft: Draft, pointer: str, raw: Any, of_day: time = time.max) -> datetime | None:
    if raw is None:
        return None
    draft.source.use(pointer)
    try:
        day = date.fromisoformat(conversions.day(raw)[0])
    except Unusable as error:
        draft.note(Severity.WRONG, "unusable-cell", pointer, why=error)
        return None
    # A day without a time holds from its beginning, and until it is over.
    if "T" not in str(raw):
        return datetime.combine(day, of_day, UTC)
    moment = conversions.moment(str(raw).strip())
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
        if ends[earliest].time() == time.max:
            ends = {pointer: ending for pointer, ending in ends.items() if pointer != earliest}
    for pointer, ending in ends.items():
        if pointer != "/exp":  # of an SD-JWT's own end the notes on its signature tell
            field = "validUntil" if pointer == earliest else ""
            draft.note(Severity.WARNING, "holds-until", pointer, field, value=_shown(ending), moment=ending)


def _standing(draft: Draft, base: str) -> None:
    for pointer in dict.fromkeys(("/credentialStatus", f"{base}/credentialStatus")):
        if draft.source.value(pointer) is not None:
            draft.source.use(pointer)
            draft.note(Severity.WARNING, "revocation-not-checked", pointer)
    for place in dict.fromkeys(("", base)):
        _status(draft, f"{place}/status")
        for flag in _FLAGS:
            if draft.source.value(f"{place}/{flag}") is True:
                draft.source.use(f"{place}/{flag}")
                draft.note(Severity.WRONG, "taken-back", f"{place}/{flag}", value=flag)


def _status(draft: Draft, pointer: str) -> None:
    status = draft.source.value(pointer)
    if status is None:
        return
    draft.source.use(pointer)
    if isinstance(status, dict) and "status_list" in status:  # IETF Token Status List
        draft.note(Severity.WARNING, "revocation-not-checked", pointer)
        return
    said = list(_texts(status))
    words = {re.sub(r"[^\w]|_", "", text.casefold()) for text in said}
    if words & TAKEN_BACK:
        draft.note(Severity.WRONG, "taken-back", pointer, value=", ".join(said))
    elif not words or not words <= IN_FORCE:
        draft.note(Severity.WARNING, "other-status", pointer, value=", ".join(said) or "…")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)
