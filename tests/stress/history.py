"""Clients that ask both web processes for the same few things while processes are killed, and note what they were told.

What they do is drawn by chance, with a bias towards the same thing at the same moment: decisions on a handful of open
declarations, three certificates under each number, releases of eight declarations on a certificate that covers five. A
client whose connection breaks does not know what came of its request (``info``); every second one sends it again under
its Idempotency-Key, to the other server, until it knows.

In the end every declaration is read once more, and ``tests/helpers/histories.py`` says what no single server could
have answered.
"""

import random
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import requests

from tests.helpers.histories import ENDS, OPEN, Anomaly, History, Operation, counters, numbers, registers
from tests.helpers.postgres import Postgres
from tests.journeys.papers import a_certificate, a_declaration, a_report
from tests.stress.processes import (
    WEB,
    Office,
    audited,
    final_records,
    leader,
    until,
)

CLIENTS = 8
HOT = 3
"""Declarations that are decided on at a time: fewer than clients, so that they meet."""
TRIES = 14
"""Requests about one declaration before another takes its place, if it is closed or not."""
COVERED, WANTED, EACH = 5, 8, 10
"""How many declarations a certificate covers, how many want it, and the pieces of each."""
OPERATIONS_A_KILL = 130
DECISIONS = {
    "DOCUMENTS_REQUIRED": "documents-required",
    "EXAMINATION": "examine",
    "DETAINED": "detain",
    "RELEASED": "release",
    "REJECTED": "reject",
    "RETURNED": "return",
    "SEIZED": "seize",
}


@dataclass
class Pool:
    """A certificate and the declarations that want more of it than there is."""

    certificate: str
    declarations: frozenset[str]
    left: list[str] = field(default_factory=list)


class Clients:
    """What all clients know together, and what each does next."""

    def __init__(self, office: Office, operations: int, keep: Path | None) -> None:
        self.history = History(keep)
        self.pools: list[Pool] = []
        self.told: Counter[int] = Counter()
        self.acknowledged: set[str] = set()
        self._office, self._operations = office, operations
        self._versions: dict[str, int] = {}
        self._hot: dict[str, int] = {}
        self._issued = count()
        self._keys = count()
        self._lock = threading.Lock()

    @property
    def are_done(self) -> bool:
        """Whether enough was asked."""
        return len(self.history.operations) >= self._operations

    def work(self, client: int) -> None:
        """Ask until enough was asked."""
        chance = random.Random(client)
        while not self.are_done:
            with self._lock:
                is_short = len(self._hot) < HOT
                pool = self.pools[-1] if self.pools and self.pools[-1].left else None
                release = pool.left.pop() if pool is not None and chance.random() < 0.5 else None
                hot = chance.choice(list(self._hot)) if self._hot else None
            if release is not None:
                self._write(client, chance, release, "RELEASED")
            elif is_short or hot is None:
                self._lodge(client, chance, [])
            elif pool is None and chance.random() < 0.02:
                self._open_pool(client, chance)
            elif (drawn := chance.random()) < 0.35:
                self._issue(client, chance, f"H-{next(self._issued) // 3:06d}")
            elif drawn < 0.45:
                self._read(client, hot)
            else:
                # Of what keeps it open most, or there would be little to decide on.
                wanted = chance.choice([*OPEN[1:], *OPEN[1:], *ENDS[1:], "RELEASED", "WITHDRAWN"])
                self._write(client, chance, hot, wanted)

    def _open_pool(self, client: int, chance: random.Random) -> None:
        merchant = self._office.people["merchant"].organisation
        certificate = self._issue(client, chance, f"P-{next(self._issued):06d}", quantity=str(COVERED * EACH))
        try:
            report = self._office.post(client, "/inspection-reports", "laboratory", a_report(merchant))
        except requests.ConnectionError:
            return  # its server is killed just now, and another pool will be opened
        if certificate is None or report.status_code != 201:
            return
        item = a_declaration([])["items"][0] | {"quantity": str(EACH)}
        papers = [certificate, report.json()["id"]]
        lodged = [self._lodge(client, chance, papers, items=[item]) for _ in range(WANTED)]
        declarations = [declaration for declaration in lodged if declaration is not None]
        with self._lock:
            # Each is asked for twice, by whoever comes.
            self.pools.append(Pool(certificate, frozenset(declarations), [*declarations, *declarations]))

    def _issue(self, client: int, chance: random.Random, number: str, **changes: str) -> str | None:
        body = a_certificate(self._office.people["merchant"].organisation, certificateNumber=number, **changes)
        with self.history.noting(client, "issue", number) as operation:
            answer = self._send(operation, chance, "/certificates-of-origin", "chamber", body)
            if operation.outcome == "ok" and answer is not None:
                operation.answer["id"] = answer.json()["id"]
        return self._noted(operation)

    def _lodge(self, client: int, chance: random.Random, papers: list[str], **changes: Any) -> str | None:
        with self.history.noting(client, "lodge", "") as operation:
            answer = self._send(operation, chance, "/declarations", "merchant", a_declaration(papers, **changes))
            if operation.outcome == "ok" and answer is not None:
                operation.key = operation.answer["id"] = answer.json()["id"]
        made = self._noted(operation)
        if made is not None:
            with self._lock:
                self._versions[made] = 1
                if not papers:
                    self._hot[made] = TRIES
        return made

    def _noted(self, operation: Operation) -> str | None:
        made = operation.answer.get("id")
        if made is not None:
            with self._lock:
                self.acknowledged.add(made)
        return made

    def _read(self, client: int, declaration: str) -> None:
        with self.history.noting(client, "read", declaration) as operation:
            answer = self._ask(client, f"/declarations/{declaration}")
            if answer is not None and answer.status_code == 200:
                seen = answer.json()
                operation.outcome = "ok"
                operation.answer = {"version": seen["version"], "status": seen["status"]}
        self._learn(declaration, operation.answer.get("version"))

    def _write(self, client: int, chance: random.Random, declaration: str, wanted: str) -> None:
        """Decide or withdraw, on the newest version that anybody has told of, or now and then on an older one."""
        with self._lock:
            read = max(1, self._versions[declaration] - (chance.random() < 0.05))
        body = None
        path, role = f"/declarations/{declaration}/withdrawal", "merchant"
        if wanted != "WITHDRAWN":
            path, role = f"/declarations/{declaration}/decisions", "officer"
            body = {"decision": DECISIONS[wanted], "reason": "By chance", "acceptIndeterminate": wanted == "RELEASED"}
        with self.history.noting(client, "write", declaration, read=read, status=wanted) as operation:
            answer = self._send(operation, chance, path, role, body, **{"If-Match": f'"{read}"'})
            if answer is not None and operation.outcome != "info":
                operation.answer = _meaning(answer)
        self._learn(declaration, operation.answer.get("version", operation.answer.get("seen")))

    def _learn(self, declaration: str, version: int | None) -> None:
        with self._lock:
            self._versions[declaration] = max(self._versions[declaration], version or 0)
            if declaration in self._hot:
                self._hot[declaration] -= 1
                if not self._hot[declaration]:
                    del self._hot[declaration]

    def _send(
        self, operation: Operation, chance: random.Random, path: str, role: str, body: Any, **headers: str
    ) -> requests.Response | None:
        """Send a request until its outcome is known, or once; set the outcome, and return the answer that gave it."""
        is_patient = chance.random() < 0.5
        if is_patient:
            headers["Idempotency-Key"] = f"history-{next(self._keys)}"
        server = chance.randrange(len(WEB))
        for attempt in count():
            try:
                answer = self._office.post(server + attempt, path, role, body, **headers)
            except requests.RequestException as error:
                # It never came to a server: whoever is refused a connection asks the other one.
                if not is_patient and "Connection refused" not in str(error):
                    return None
                time.sleep(0.02 * attempt)
                continue
            with self._lock:
                self.told[answer.status_code] += 1
            operation.outcome = "ok" if answer.ok else "fail" if answer.status_code < 500 else "info"
            if operation.outcome == "info":
                operation.answer = {"problem": answer.text}
            return answer
        raise AssertionError("somebody answers")

    def _ask(self, number: int, path: str) -> requests.Response | None:
        for attempt in range(100):
            url = f"{self._office.urls[(number + attempt) % len(WEB)]}/api/v1{path}"
            try:
                return requests.get(url, headers=self._office.people["officer"].bearer, timeout=120)
            except requests.RequestException:
                time.sleep(0.02 * attempt)
        return None

    def read_all(self) -> None:
        """Read every declaration once more, by the list of them."""
        after = ""
        while True:
            invoked = time.monotonic_ns()
            answer = self._ask(0, f"/declarations?limit=200{after}")
            assert answer is not None
            assert answer.status_code == 200, answer.text
            for seen in answer.json()["declarations"]:
                told = {"version": seen["version"], "status": seen["status"]}
                read = Operation(-1, "read", seen["id"], {}, invoked, time.monotonic_ns(), "ok", told)
                if seen["id"] in self._versions:
                    self.history.add(read)
            if answer.json()["next"] is None:
                return
            after = f"&after={answer.json()['next']}"


def _meaning(answer: requests.Response) -> dict[str, Any]:
    """What an answer to a change says of the declaration's version."""
    if answer.ok:
        return {"version": int(answer.headers["ETag"].removeprefix("W/").strip('"'))}
    told = answer.json()
    if answer.status_code == 412:
        return {"seen": told["currentVersion"]}
    if told["code"] == "not-releasable":
        failed = [check["reason"] for check in told["verdict"]["checks"] if check["outcome"] == "fail"]
        return {"papers": True, "failed": failed}
    # Only an edge that there is none of may be refused so: who was not quick enough is told so by 412.
    return {"edge": answer.status_code == 409 and told["code"] == "conflict"}


def _kills(office: Office, server: Postgres, clients: Clients) -> Counter[str]:
    """Kill a web process and the leader in turn while the clients ask, each time once all are there again."""
    killed: Counter[str] = Counter()
    for number in count(1):
        while len(clients.history.operations) < number * OPERATIONS_A_KILL and not clients.are_done:
            time.sleep(0.02)
        if clients.are_done:
            return killed
        if number % 3 == 0 and (leading := leader(server)) is not None:
            office.processes.start(office.processes.kill(leading), "anchor")
            killed["leader"] += 1
        else:
            name = WEB[number % len(WEB)]
            office.processes.kill(office.processes.pid(name))
            office.processes.web(name)
            office.processes.wait_until_ready(name)
            killed["web"] += 1
    raise AssertionError("it ends with the clients")


def run(office: Office, server: Postgres, operations: int, keep: Path | None, planted: bool) -> dict[str, Any]:
    """Let the clients ask, check what they were told, and count."""
    clients = Clients(office, operations, keep)
    began = time.monotonic()
    with ThreadPoolExecutor(CLIENTS + 1) as pool:
        killing = pool.submit(_kills, office, server, clients)
        for one in [pool.submit(clients.work, number) for number in range(CLIENTS)]:
            one.result()
        killed = killing.result()
    seconds = time.monotonic() - began
    patience = 0.0 if planted else 120.0 + operations / 50
    until(lambda: final_records(server) >= clients.acknowledged, patience)
    clients.read_all()
    found = checked(clients)
    noted = clients.history.operations
    lost = 0 if planted else len(clients.acknowledged - final_records(server))
    audit = 0 if planted else audited(office)
    for anomaly in found[:5]:
        print(anomaly, file=sys.stderr)
    failed = sum(number for status, number in clients.told.items() if status >= 500)
    return {
        "operations": sum(operation.client >= 0 for operation in noted),
        "seconds": round(seconds),
        "outcomes": dict(Counter(operation.outcome for operation in noted if operation.client >= 0)),
        "told": dict(clients.told),
        "kills": dict(killed),
        "declarations": len({operation.key for operation in noted if operation.action == "lodge"} - {""}),
        "decisions": sum(operation.action == "write" and operation.outcome == "ok" for operation in noted),
        "certificates drawn on": len(clients.pools),
        "acknowledged": len(clients.acknowledged),
        "lost": lost,
        "audit": audit,
        "5xx": failed,
        "anomalies": dict(Counter(anomaly.kind for anomaly in found)),
        "wrong": len(found) + lost + int(audit != 0),
    }


def checked(clients: Clients) -> list[Anomaly]:
    """What no single server could have answered."""
    operations = clients.history.operations
    pools = {pool.certificate: (COVERED * EACH, EACH, pool.declarations) for pool in clients.pools}
    return [*registers(operations), *numbers(operations), *counters(operations, pools)]


def finds_what_is_planted(told: dict[str, Any]) -> bool:
    """Tell whether, without guards, two decisions on one version and two records of one number were found."""
    found = told["anomalies"].keys()
    return bool(found & {"two-ends", "two-writers"}) and "two-records" in found
