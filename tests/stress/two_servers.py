"""Two web processes and three that anchor, on one PostgreSQL: what is asked of both at once is done once.

Nobody is told to come back. Three kinds of races, each request of a race sent at the same moment, in turn to one web
process and to the other:

* four rejections of one declaration: one is taken, the others are told so;
* four certificates under one number: one is issued;
* eight requests under one Idempotency-Key: one record, one answer for all.

Then the processes themselves:

* the one that leads the anchoring is killed, again and again: another leads within 10 seconds, nothing that was
  acknowledged is lost, nothing is anchored twice, and the ledger agrees with the database;
* how long a record waits to be sealed, by a process that did not take it in;
* both web processes are restarted in turn while clients write: no request is lost;
* a history of requests, while web processes and leaders are killed, is one that a single server could have given
  (``tests/stress/history.py``).

All processes start at once on an empty database and an empty chain, so that their first start is a race too.
``--planted`` takes the guards away (isolation, versions, unique keys) and must find doubles, or the races are none; so
must the checker of the history, with ``--only history``.

Needs PostgreSQL's programs and anvil (make anvil-check). ``python -m tests.stress.two_servers --races 1000``.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

from tests.helpers.postgres import Postgres, running_postgres
from tests.journeys.papers import a_certificate, a_declaration
from tests.stress import history
from tests.stress.processes import (
    DATABASE,
    WEB,
    Office,
    audited,
    final_records,
    in_database,
    leader,
    office,
    until,
)

TAKE_OVER_SECONDS = 10.0
SEALED_SECONDS = 0.5
"""In which 95 of 100 records are sealed after their answer."""

Send = Callable[[int], requests.Response]


def race(pool: ThreadPoolExecutor, count: int, send: Send) -> list[requests.Response]:
    """Let ``count`` requests go at one barrier."""
    start = threading.Barrier(count)

    def go(number: int) -> requests.Response:
        start.wait(timeout=60)
        return send(number)

    return list(pool.map(go, range(count)))


def decisions(office: Office, pool: ThreadPoolExecutor, races: int) -> tuple[Counter[int], int]:
    """Reject one declaration four times at once; the answers by status, and races with other than one winner."""
    told: Counter[int] = Counter()
    wrong = 0
    body = {"decision": "reject", "reason": "Not in order"}
    for number in range(races):
        lodged = office.post(number, "/declarations", "merchant", a_declaration([]))
        assert lodged.status_code == 201, lodged.text
        path, version = f"/declarations/{lodged.json()['id']}/decisions", {"If-Match": '"1"'}
        answers = race(pool, 4, lambda n, path=path, version=version: office.post(n, path, "officer", body, **version))
        told.update(answer.status_code for answer in answers)
        wrong += sum(answer.status_code == 201 for answer in answers) != 1
    return told, wrong


def numbers(office: Office, pool: ThreadPoolExecutor, races: int) -> tuple[Counter[int], int]:
    """Issue four certificates under one number at once."""
    told: Counter[int] = Counter()
    wrong = 0
    merchant = office.people["merchant"].organisation
    for _ in range(races):
        body = a_certificate(merchant)
        answers = race(pool, 4, lambda n, body=body: office.post(n, "/certificates-of-origin", "chamber", body))
        told.update(answer.status_code for answer in answers)
        wrong += sum(answer.status_code == 201 for answer in answers) != 1
    return told, wrong


def keys(office: Office, pool: ThreadPoolExecutor, races: int) -> tuple[Counter[int], int]:
    """Send one request eight times at once under one Idempotency-Key."""
    told: Counter[int] = Counter()
    wrong = 0
    merchant = office.people["merchant"].organisation
    for number in range(races):
        body, key = a_certificate(merchant), {"Idempotency-Key": f"race-{number}-{time.time_ns()}"}
        answers = race(
            pool, 8, lambda n, body=body, key=key: office.post(n, "/certificates-of-origin", "chamber", body, **key)
        )
        told.update(answer.status_code for answer in answers)
        wrong += {answer.status_code for answer in answers} != {201} or len({answer.text for answer in answers}) != 1
    return told, wrong


DOUBLES = {
    "decisions": "SELECT count(*) FROM (SELECT 1 FROM decision GROUP BY consignment_id HAVING count(*) > 1) twice",
    "numbers": "SELECT count(*) FROM (SELECT 1 FROM record WHERE number IS NOT NULL AND assurance = 'issued' "
    "GROUP BY issuer_id, kind, number HAVING count(*) > 1) twice",
}
"""What the database itself holds twice, whatever was answered."""


# ---- the processes themselves


def stored(office: Office, number: int) -> str:
    """Issue a certificate; its id."""
    body = a_certificate(office.people["merchant"].organisation)
    answer = office.post(number, "/certificates-of-origin", "chamber", body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def is_sealed(server: Postgres, record: str) -> bool:
    return not in_database(server, f"SELECT count(*) FROM record WHERE id = '{record}' AND batch_id IS NULL")


def take_overs(office: Office, server: Postgres, kills: int) -> dict[str, Any]:
    """Kill the leader while a record waits, again and again, and start it once more."""
    records, took = [stored(office, 0)], []
    for number in range(kills):
        until(lambda: leader(server), TAKE_OVER_SECONDS)
        before = leader(server)
        assert before is not None, "nobody leads"
        records.append(stored(office, number))
        name = office.processes.kill(before)
        began = time.monotonic()
        records.append(stored(office, number))
        until(lambda before=before: leader(server) not in (None, before), 6 * TAKE_OVER_SECONDS)
        until(lambda: is_sealed(server, records[-1]), 6 * TAKE_OVER_SECONDS)
        took.append(time.monotonic() - began)
        office.processes.start(name, "anchor")
    settled = until(lambda: final_records(server).issuperset(records), 120)
    audit = audited(office)
    return {
        "kills": kills,
        "records": len(records),
        "slowest": round(max(took), 2),
        "lost": len(set(records) - final_records(server)),
        "audit": audit,
        "wrong": int(max(took) > TAKE_OVER_SECONDS) + int(settled == float("inf")) + int(audit != 0),
    }


def sealing(office: Office, server: Postgres, count: int) -> dict[str, Any]:
    """The seconds between a record's answer and its seal by another process."""
    took = []
    for number in range(count):
        record = stored(office, number)
        took.append(until(lambda record=record: is_sealed(server, record), 30))
        time.sleep(0.05 * (number % 5))
    took.sort()
    p95 = took[int(0.95 * len(took))]
    return {
        "records": count,
        "median": round(took[len(took) // 2], 3),
        "p95": round(p95, 3),
        "slowest": round(took[-1], 3),
        "wrong": int(p95 > SEALED_SECONDS),
    }


def restarts(office: Office, server: Postgres, rounds: int) -> dict[str, Any]:
    """Restart both web processes in turn while four clients write; whoever is refused a connection asks the other."""
    stopping, answered, failed = threading.Event(), [], []

    def write(client: int) -> None:
        number = client
        while not stopping.is_set():
            number += 1
            body = a_certificate(office.people["merchant"].organisation)
            for attempt in range(2):
                url = f"{office.urls[(number + attempt) % 2]}/api/v1/certificates-of-origin"
                try:
                    told = requests.post(url, json=body, headers=office.people["chamber"].bearer, timeout=60)
                except requests.ConnectionError as error:
                    if "Connection refused" in str(error) and attempt == 0:
                        continue
                    failed.append(str(error))
                else:
                    (answered if told.status_code == 201 else failed).append(told.text)
                break

    with ThreadPoolExecutor(4) as clients:
        running = [clients.submit(write, client) for client in range(4)]
        try:
            for _ in range(rounds):
                for name in WEB:
                    time.sleep(0.5)
                    office.processes.stop(name)
                    office.processes.web(name)
                    office.processes.wait_until_ready(name)
        finally:
            stopping.set()
        for one in running:
            one.result()
    kept = [json.loads(one)["id"] for one in answered]
    found = in_database(server, f"SELECT count(*) FROM record WHERE id IN ({', '.join(map(repr, kept))})")
    for text in failed[:3]:
        print(text, file=sys.stderr)
    return {
        "restarts": 2 * rounds,
        "answered": len(answered),
        "failed": len(failed),
        "lost": len(kept) - found,
        "wrong": len(failed) + len(kept) - found + int(not kept),
    }


def main() -> int:
    """Run the races, print a table, and end with 0 where all is as it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--races", type=int, default=1000, help="of each kind")
    parser.add_argument(
        "--planted", action="store_true", help="without the guards; ends with 0 where doubles are found"
    )
    parser.add_argument("--kills", type=int, default=200, help="of the process that leads")
    parser.add_argument("--restarts", type=int, default=10, help="of each web process")
    parser.add_argument("--history", type=int, default=400, help="operations of the history")
    parser.add_argument("--keep", type=Path, help="write the history to this file, one JSON object a line")
    kinds = {"decisions": decisions, "numbers": numbers, "keys": keys}
    parts: dict[str, Callable[[Office, Postgres], dict[str, Any]]] = {
        "take-overs": lambda office, server: take_overs(office, server, asked.kills),
        "sealing": lambda office, server: sealing(office, server, 100),
        "restarts": lambda office, server: restarts(office, server, asked.restarts),
        "history": lambda office, server: history.run(office, server, asked.history, asked.keep, asked.planted),
    }
    parser.add_argument("--only", choices=[*kinds, *parts], action="append", help="this kind; again for another")
    asked = parser.parse_args()
    found: dict[str, Any] = {}
    with (
        tempfile.TemporaryDirectory(prefix="two-servers-") as place,
        running_postgres() as server,
        office(server, Path(place, "data"), asked.planted) as both,
        ThreadPoolExecutor(8) as pool,
    ):
        firsts = {"organisations": in_database(server, "SELECT count(*) FROM organisation")}
        print(f"first start of two processes: {firsts['organisations']} organisations", flush=True)
        if asked.planted:
            with server.connect(DATABASE) as connection:
                connection.execute(b"DROP INDEX uq_record_number")
        for name in [name for name in kinds if name in (asked.only or kinds)]:
            run = kinds[name]
            began = time.monotonic()
            told, wrong = run(both, pool, asked.races)
            twice = in_database(server, DOUBLES[name]) if name in DOUBLES else 0
            failed = sum(count for status, count in told.items() if status >= 500)
            found[name] = {"races": asked.races, "wrong": wrong, "twice": twice, "5xx": failed, "told": dict(told)}
            print(f"{name:<10} {json.dumps(found[name])}  {time.monotonic() - began:.0f} s", flush=True)
        wanted = [name for name in asked.only or parts if name in parts and (name != "history" or asked.history)]
        for name in [name for name in wanted if name == "history" or not asked.planted]:
            began = time.monotonic()
            found[name] = parts[name](both, server)
            print(f"{name:<10} {json.dumps(found[name])}  {time.monotonic() - began:.0f} s", flush=True)
    if asked.planted:
        doubles = all(found[name]["twice"] for name in DOUBLES if name in found)
        return 0 if doubles and ("history" not in found or history.finds_what_is_planted(found["history"])) else 1
    return 0 if not any(one["wrong"] + one.get("twice", 0) + one.get("5xx", 0) for one in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
