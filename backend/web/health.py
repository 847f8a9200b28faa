"""How the system itself is, for whoever watches over it."""

from typing import Any

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from backend.domain.errors import TraceabilityError
from backend.web.surroundings import instance, surroundings

blueprint = Blueprint("health", __name__)
LATE_SECONDS = 600
"""A record should be on the ledger within ten minutes."""


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    """200 while database, ledger and anchoring work, else 503; the body tells which does not."""
    checks: dict[str, Any] = {"database": _asked(_database), "ledger": _asked(_ledger)}
    waiting = {name: checks["database"].pop(name, None) for name in ("oldestUnanchoredSeconds", "refusedByLedger")}
    oldest = waiting["oldestUnanchoredSeconds"]
    checks["anchoring"] = {"ok": oldest is None or oldest < LATE_SECONDS, **waiting}
    healthy = all(check["ok"] for check in checks.values())
    body = {"status": "ok" if healthy else "failing", "version": instance().version, "checks": checks}
    return jsonify(body), 200 if healthy else 503


def _asked(question: Any) -> dict[str, Any]:
    try:
        return {"ok": True, **question()}
    except TraceabilityError as error:
        return {"ok": False, "error": error.code}


def _database() -> dict[str, Any]:
    at = surroundings()
    with at.work(reading=True) as work:
        oldest, refused = work.store.oldest_unanchored(), work.store.refusals()
    age = None if oldest is None else round((at.now() - oldest).total_seconds(), 1)
    return {"oldestUnanchoredSeconds": age, "refusedByLedger": refused}


def _ledger() -> dict[str, Any]:
    head = surroundings().ledger.head()
    return {"chainId": head.chain_id, "block": head.number, "instanceId": head.instance_id.hex()}
