"""Many at once, over HTTP: a certificate gives exactly what it covers, and a declaration takes exactly one decision."""

import subprocess
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.helpers.postgres import installation_at
from tests.journeys.conftest import Server, command
from tests.journeys.papers import a_certificate, a_declaration, a_report

pytestmark = pytest.mark.slow

PAIRS = 200


def goods(server: Server, quantity: str, count: int, one: str) -> list[str]:
    """Declarations that all name the same certificate and the same report."""
    merchant = server.people["merchant"].organisation
    certificate = server.post("/certificates-of-origin", "chamber", a_certificate(merchant, quantity=quantity))
    report = server.post("/inspection-reports", "laboratory", a_report(merchant))
    papers = [certificate["id"], report["id"]]
    item = a_declaration([])["items"][0] | {"quantity": one}

    def lodge(_: int) -> str:
        made: str = server.post("/declarations", "merchant", a_declaration(papers, items=[item]))["id"]
        return made

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lodge, range(count)))


def decide(server: Server, declaration: str, body: dict[str, Any], start: threading.Barrier) -> requests.Response:
    start.wait(timeout=60)
    path, headers = f"/declarations/{declaration}/decisions", {"If-Match": '"1"'}
    return server.call("POST", path, "officer", json=body, headers=headers, timeout=120)


def test_hundred_parallel_drawdowns_take_exactly_fifty(server: Server) -> None:
    declarations = goods(server, "50", 100, "1")
    server.settled_verdict(declarations[-1])
    start = threading.Barrier(100)
    body = {"decision": "release", "reason": "Papers in order"}
    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda one: decide(server, one, body, start), declarations))
    assert Counter(answer.status_code for answer in answers) == {201: 50, 409: 50}
    refused = [answer.json() for answer in answers if answer.status_code == 409]
    assert {one["code"] for one in refused} == {"not-releasable"}

    def drawn() -> bool:
        found = [server.get(f"/declarations/{one}", "officer") for one in declarations]
        released = [one for one in found if one["status"] == "RELEASED"]
        assert len(released) == 50
        reasons = Counter(c["reason"] for one in released for c in one["verdict"]["checks"])
        return reasons["drawdown-recorded"] == 50

    server.until(drawn, 60)
    audit = subprocess.run(
        command("audit", "--rpc", f"{server.url}/rpc"),
        env={**installation_at(server.folder), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert audit.returncode == 0, audit.stdout + audit.stderr


def test_of_two_officers_at_once_exactly_one_decides(server: Server) -> None:
    """200 pairs, each let go at one barrier: one wins, the other is told who decided what, when and why."""
    with ThreadPoolExecutor(4) as pool:
        lodged = list(pool.map(lambda _: server.post("/declarations", "merchant", a_declaration([])), range(PAIRS)))
    bodies: list[dict[str, Any]] = [
        {"decision": "release", "reason": "In order", "acceptIndeterminate": True},
        {"decision": "reject", "reason": "Not in order"},
    ]
    winners: Counter[str] = Counter()
    with ThreadPoolExecutor(2) as pool:
        for number, declaration in enumerate(lodged):
            start, order = threading.Barrier(2), bodies[:: 1 if number % 2 else -1]
            pair = list(pool.map(lambda body, d=declaration["id"], s=start: decide(server, d, body, s), order))
            assert sorted(answer.status_code for answer in pair) == [201, 412]
            won = next(answer.json() for answer in pair if answer.status_code == 201)
            lost = next(answer.json() for answer in pair if answer.status_code == 412)
            assert [(one["what"], one["why"]) for one in lost["changes"]] == [(won["status"].lower(), won["reason"])]
            winners[won["decision"]] += 1
            kept = server.get(f"/declarations/{declaration['id']}", "officer")
            assert kept["status"] == won["status"]
            assert [taken["id"] for taken in kept["decisions"]] == [won["id"]]
    assert sum(winners.values()) == PAIRS
    assert len(winners) == 2, f"a race that always ends the same way is no race: {winners}"
