"""How long a merchant and an officer wait, measured over HTTP against the really started server."""

import statistics
import time
from pathlib import Path

from tests.benchmarks.figure import Figure
from tests.journeys.conftest import Server, start
from tests.journeys.papers import a_certificate, a_declaration, a_report

ROUNDS = 15


def measure(scratch: Path) -> list[Figure]:
    """Start-up, and the way from lodging to a verdict whose checks are all final."""
    begun = time.perf_counter()
    server = start(scratch / "data")
    first = time.perf_counter() - begun
    stored, final, decided = zip(*(_round(server) for _ in range(ROUNDS)), strict=True)
    server.stop()
    begun = time.perf_counter()
    again = start(server.folder)
    second = time.perf_counter() - begun
    again.stop()
    baseline = ("POST of the declaration to its 2xx, median", statistics.median(stored))
    return [
        Figure("lodging to a final verdict, median", statistics.median(final), "s", "< 5", *baseline),
        Figure("lodging to a final verdict, slowest of 15", max(final), "s", "< 5", *baseline),
        Figure("decision to its status on the ledger, median", statistics.median(decided), "s", None, *baseline),
        Figure("first start, deployment and demonstration included", first, "s"),
        Figure("second start", second, "s", "< 10", "first start", first),
    ]


def _round(server: Server) -> tuple[float, float, float]:
    merchant = server.people["merchant"].organisation
    certificate = server.post("/certificates-of-origin", "chamber", a_certificate(merchant))["id"]
    report = server.post("/inspection-reports", "laboratory", a_report(merchant))["id"]
    begun = time.perf_counter()
    declaration = server.post("/declarations", "merchant", a_declaration([certificate, report]))["id"]
    stored = time.perf_counter() - begun
    assert server.settled_verdict(declaration)["verdict"] == "VALID"
    final = time.perf_counter() - begun
    begun = time.perf_counter()
    server.post(f"/declarations/{declaration}/decisions", "officer", {"decision": "release", "reason": "In order"})
    bundle = server.get(f"/records/{declaration}/evidence", "officer")
    server.until(lambda: _ledger_status(server, bundle) == "RELEASED")
    return stored, final, time.perf_counter() - begun


def _ledger_status(server: Server, bundle: dict[str, object]) -> str | None:
    """The status that the ledger itself shows, by way of a bundle that knows nothing of our database."""
    checks = server.post("/verify", None, bundle, 200)["checks"]
    return next((check["evidence"].get("status") for check in checks if check["code"] == "STATUS"), None)
