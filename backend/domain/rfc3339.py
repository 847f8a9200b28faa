"""Times as texts: RFC 3339 and nothing else, so that programs in other languages read the same moment."""

import re
from datetime import UTC, datetime
from typing import Any

_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)


def parse_timestamp(text: Any) -> datetime | None:
    """An RFC 3339 time as aware UTC; None for None; ValueError otherwise, also for a leap second."""
    if text is None:
        return None
    if not isinstance(text, str) or not _RFC_3339.fullmatch(text):
        raise ValueError("not a time as RFC 3339 writes it")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time beyond the calendar") from error
