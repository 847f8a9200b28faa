"""JSON comes in through the strict reader, everywhere in the application."""

from typing import Any

from flask.json.provider import DefaultJSONProvider

from backend.domain import strict_json


class StrictJson(DefaultJSONProvider):
    """Flask's JSON, reading with ``strict_json`` and writing text as it is."""

    ensure_ascii = False
    sort_keys = False

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Read; raises HostileJson."""
        return strict_json.loads(s)
