"""The state of the system for those who monitor it: /healthz as JSON, /metrics for Prometheus."""

from hmac import compare_digest
from ipaddress import ip_address
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from werkzeug.exceptions import Forbidden, Unauthorized

from backend.domain.errors import ForeignLedger, TraceabilityError
from backend.domain.records import ProofState
from backend.services.records import check_intake
from backend.web.context import FORWARDED, current_context, instance
from backend.web.security import limits_are_shared

blueprint = Blueprint("health", __name__)
LATE_SECONDS = 600
"""A record should be on the ledger within ten minutes."""
FEW_TRANSACTIONS = 100
"""An account that can pay for fewer transactions is reported as nearly empty."""

NODES = {
    "agreeing": "Nodes of the ledger that agree on its newest block",
    "needed": "Nodes of the ledger that must agree",
    "all": "Nodes of the ledger",
}
_WAITING = (ProofState.STORED, ProofState.SEALED, ProofState.SUBMITTED, ProofState.ANCHORED)


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    """Answer 200 while database, ledger and anchoring work and records are taken in, else 503, with details."""
    checks: dict[str, Any] = {"database": _asked(_database), "ledger": _asked(_ledger), "intake": _asked(_admission)}
    checks["ledger"] |= _nodes()
    proofs = checks["database"].pop("proofs", {})
    oldest = checks["database"].pop("oldestUnanchoredSeconds", None)
    checks["anchoring"] = {
        "ok": oldest is None or oldest < LATE_SECONDS,
        "oldestUnanchoredSeconds": oldest,
        "proofs": proofs,
        "quarantined": checks["database"].pop("quarantined", 0),
        "troubles": checks["database"].pop("troubles", []),
    }
    healthy = all(check["ok"] for check in checks.values())
    body = {"status": "ok" if healthy else "failing", "version": instance().version, "checks": checks}
    return jsonify(body), 200 if healthy else 503


@blueprint.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Answer 200 while this process can answer requests, else 503: a proxy before several then asks another one.

    Ledger and anchoring do not count: records are taken in and shown without them. Where the ledger is on several
    nodes, it is told how many of them agree; where limits on clients are shared, whether they are now.
    """
    with current_context().work(reading=True) as work:
        work.leases.find("anchoring")
    return jsonify({"status": "ready", "version": instance().version, **_nodes(), **_limits()})


@blueprint.get("/metrics")
def metrics() -> Response:
    """Serve the same figures for Prometheus, to those who send METRICS_TOKEN, or without one to this machine only."""
    _refuse_strangers()
    # A registry of its own for each answer, since one refuses a second gauge of the same name.
    registry = CollectorRegistry()
    database, ledger = _asked(_database), _asked(_ledger)

    def gauge(name: str, text: str, value: float | None) -> None:
        if value is not None:
            Gauge(f"provenport_{name}", text, registry=registry).set(value)

    gauge("database_up", "Whether the database answers", database["ok"])
    gauge("intake_open", "Whether new records are taken in", _asked(_admission)["ok"])
    gauge("ledger_up", "Whether the ledger answers and is ours", ledger["ok"])
    gauge("ledger_foreign", "Whether another chain than ours answers", ledger.get("error") == ForeignLedger.code)
    for name, number in _nodes().get("nodes", {}).items():
        gauge(f"ledger_nodes_{name}", NODES[name], number)
    gauge("ledger_block", "The newest block", ledger.get("block"))
    gauge("quarantined_records", "Records set aside: not what was signed", database.get("quarantined"))
    gauge(
        "oldest_unanchored_seconds", "Age of the oldest unanchored record", database.get("oldestUnanchoredSeconds") or 0
    )
    gauge("troubles", "Transactions and batches that do not get on or were refused", len(database.get("troubles", [])))
    counts = Gauge("provenport_records", "Records by the state of their proof", ["state"], registry=registry)
    ages = Gauge("provenport_oldest_seconds", "Age of the oldest record in a state", ["state"], registry=registry)
    for state in _WAITING:
        found = database.get("proofs", {}).get(state.value, {"count": 0, "oldestSeconds": 0})
        counts.labels(state.value).set(found["count"])
        ages.labels(state.value).set(found["oldestSeconds"])
    left = Gauge("provenport_transactions_left", "What an account can pay for", ["account"], registry=registry)
    for account, number in ledger.get("transactionsLeft", {}).items():
        left.labels(account).set(number)
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _limits() -> dict[str, Any]:
    shared = limits_are_shared(current_app)
    return {} if shared is None else {"rateLimits": "shared" if shared else "each process by itself"}


def _refuse_strangers() -> None:
    """Refuse everybody but the operator, since the figures tell how much business is done.

    A proxy on this machine connects from the loopback address on behalf of others, so forwarded requests are refused.

    Raises:
        Unauthorized: METRICS_TOKEN is set and was not sent.
        Forbidden: It is not set, and the request comes from another machine.
    """
    token = instance().metrics_token
    if token is not None:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        # In constant time, so that the token cannot be guessed letter by letter.
        if not compare_digest(given.encode(), token.encode()):
            raise Unauthorized(_("Send METRICS_TOKEN: Authorization: Bearer <token>."))
        return
    is_forwarded = FORWARDED in request.environ or {"X-Forwarded-For", "Forwarded", "Via"} & set(request.headers.keys())
    if is_forwarded or not ip_address(request.remote_addr or "0.0.0.0").is_loopback:
        raise Forbidden(_("Figures are given to this machine only. Set METRICS_TOKEN to read them from elsewhere."))


def _asked(question: Any) -> dict[str, Any]:
    try:
        return {"ok": True, **question()}
    except ForeignLedger as error:
        return {"ok": False, "error": error.code, "message": str(error), "choices": list(error.choices)}
    except TraceabilityError as error:
        return {"ok": False, "error": error.code, "message": str(error)}


def _database() -> dict[str, Any]:
    ctx = current_context()
    with ctx.work(reading=True) as work:
        work, now = work, ctx.now()
        oldest, ages = work.batches.oldest_unanchored(), work.batches.proof_ages()
        quarantined, troubles = work.batches.count_quarantined(), list(work.outbox.troubles())
    proofs = {
        state.value: {"count": count, "oldestSeconds": round((now - since).total_seconds(), 1)}
        for state, (count, since) in ages.items()
    }
    return {
        "oldestUnanchoredSeconds": None if oldest is None else round((now - oldest).total_seconds(), 1),
        "proofs": proofs,
        "quarantined": quarantined,
        "troubles": troubles,
    }


def _admission() -> dict[str, Any]:
    ctx = current_context()
    with ctx.work(reading=True) as work:
        return {"waiting": check_intake(ctx, work)}


def _nodes() -> dict[str, dict[str, int]]:
    """How many of the ledger's nodes agree and must, where there are several."""
    ask = instance().ledger_nodes
    if ask is None:
        return {}
    found = ask()
    return {"nodes": {"agreeing": found.agreeing, "needed": found.needed, "all": found.nodes}}


def _ledger() -> dict[str, Any]:
    ledger = current_context().ledger
    head, left = ledger.head(), ledger.transactions_left()
    told: dict[str, Any] = {"chainId": head.chain_id, "block": head.number, "instanceId": head.instance_id.hex()}
    low = sorted(name for name, number in left.items() if number < FEW_TRANSACTIONS)
    return told | {"transactionsLeft": left} | ({"accountsSoonEmpty": low} if low else {})
