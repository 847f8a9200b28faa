"""Asks ``POST /api/v1/verify`` without a token for as much work as a body can hold, and tells what each costs.

    python -m tests.stress.costly_bundles [OTHER_CHECKOUT]

Each body is as large as the interface takes, and made so that one part of the work is greatest. With another checkout
(an older one, started with its own Python), the very same bodies are sent to that one as well, one after the other, so
that the figures come from one run. CPU seconds are those of the whole process. Ends with 1 where a body costs more
than MOST_CPU_SECONDS here.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

MOST_CPU_SECONDS = 1.0
LARGEST = 2 * 1024 * 1024 - 4096


def bodies(bundle: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """What is sent, by its name; ``bundle`` is a real one of the installation, whose ledger the forged ones name."""
    from backend.domain.kinds import Kind

    declaration = _forged(bundle, 0, Kind.DECLARATION)
    many = [_forged(bundle, number) for number in range(1, 500)]
    whole = bundle | {"records": [declaration, *many]}
    yield "honest", _text(bundle)
    yield "64 records", _text(whole | {"records": [declaration, *many[:63]]})
    yield "500 records", _text(whole)
    yield "500 records, last damaged", _text(whole | {"records": [declaration, *many[:-1], {"record": "x"}]})
    yield "500 records, no declaration", _text(whole | {"records": many})
    yield (
        "500 superseded",
        _text(whole | {"records": [declaration, many[0]], "superseded": [one["record"].split("~")[0] for one in many]}),
    )
    yield "many disclosures", _text(bundle | {"records": [_wide(bundle, number) for number in range(8)]})
    yield "500 times one record", _text(bundle | {"records": [declaration, *([many[0]] * 499)]})
    yield "no bundle: brackets", _filled(b'{"a":[', b"[],", b"0]}")
    yield "no bundle: escapes", _filled(b'{"a":["', rb"\u00e9", b'"]}')
    yield "no bundle: numbers", _filled(b'{"a":[', b"1.5,", b"0]}")


def _forged(bundle: dict[str, Any], number: int, kind: Any = None) -> dict[str, Any]:
    """A record signed well, each by a key of its own, that claims a place of its own on the real ledger."""
    from backend.domain.kinds import Kind
    from tests.helpers.builders import Key, a_record, fields_of_kind

    kind = kind or Kind.INVOICE
    record = a_record(kind, fields_of_kind(kind)(), Key(), assurance="issued")
    real = bundle["records"][0]
    root = number.to_bytes(32, "big").hex()
    return real | {
        "record": record.compact,
        "entry": {"kind": int(kind), "quantity": "0"},
        "anchor": real["anchor"] | {"root": root, "transaction": root},
        "proof": {"leafIndex": 0, "treeSize": 2**53 - 1, "inclusionPath": [root] * 8},
    }


def _wide(bundle: dict[str, Any], number: int) -> dict[str, Any]:
    from backend.domain.kinds import Kind
    from tests.helpers.builders import Key, a_record

    kind = Kind.INVOICE if number else Kind.DECLARATION
    record = a_record(kind, {f"f{place}": "x" * 200 for place in range(480)}, Key())
    return _forged(bundle, number, kind) | {"record": replace(record).compact}


def _text(bundle: dict[str, Any]) -> bytes:
    """The body; papers at its end are left out until it fits."""
    found = json.dumps(bundle).encode()
    while len(found) > LARGEST:
        share = LARGEST / len(found)
        name = "superseded" if len(bundle["superseded"]) > len(bundle["records"]) else "records"
        bundle = bundle | {name: bundle[name][: max(2, int(len(bundle[name]) * share) - 1)]}
        found = json.dumps(bundle).encode()
    return found


def _filled(start: bytes, piece: bytes, end: bytes) -> bytes:
    return start + piece * ((LARGEST - len(start) - len(end)) // len(piece)) + end


def measure(client: Any, name: str, body: bytes) -> dict[str, Any]:
    """Send one body; its size, what it cost, and the answer."""
    if (rates := client.application.extensions.get("rates")) is not None:
        rates.reset()  # each body is a stranger's first
    began, cpu = time.perf_counter(), time.process_time()
    answer = client.post("/api/v1/verify", data=body, content_type="application/json")
    told = answer.get_json() or {}
    return {
        "body": name,
        "bytes": len(body),
        "cpu": time.process_time() - cpu,
        "seconds": time.perf_counter() - began,
        "status": answer.status_code,
        "says": told.get("verdict") or told.get("code"),
    }


def run(report: Any) -> None:
    """Measure every body on an installation of our own."""
    from backend.runtime import demo
    from backend.runtime.app import create_app, running
    from backend.settings import Settings

    with tempfile.TemporaryDirectory() as folder, running(Settings(Path(folder) / "data")) as system:
        demo.fill(system.ctx, system.folder, lambda step: None)
        client = create_app(system).test_client()
        entries = json.loads(system.folder.demo_credentials.read_text(encoding="utf-8"))
        token = next(entry["token"] for entry in entries if entry["role"] == "officer")
        headers = {"Authorization": f"Bearer {token}"}
        listed = client.get("/api/v1/declarations?status=RELEASED", headers=headers).get_json()["declarations"]
        real = client.get(f"/api/v1/declarations/{listed[0]['id']}/evidence", headers=headers).get_json()
        measure(client, "warm", _text(real))
        for name, body in bodies(real):
            report(measure(client, name, body))


def main(other: str | None) -> int:
    """Print a line for each body; with another checkout, its figures first."""
    before = {}
    if other is not None:
        program = (
            f"import runpy, sys; sys.argv = ['costly', '--json']; runpy.run_path({__file__!r}, run_name='__main__')"
        )
        python = str(Path(other) / ".venv" / "bin" / "python")
        done = subprocess.run([python, "-c", program], cwd=other, capture_output=True, text=True, check=True)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"body"')]
        before = {line["body"]: line for line in lines}
    print(f"{'body':<28} {'bytes':>9}  {'CPU s before':>12}  {'CPU s now':>9}  answer before, now")
    greatest = 0.0

    def told(line: dict[str, Any]) -> None:
        nonlocal greatest
        greatest = max(greatest, line["cpu"])
        old = before.get(line["body"])
        was, said = (f"{old['cpu']:.3f}", f"{old['status']} {old['says']}") if old else ("–", "–")
        now = f"{line['status']} {line['says']}"
        print(f"{line['body']:<28} {line['bytes']:>9}  {was:>12}  {line['cpu']:>9.3f}  {said}, {now}", flush=True)

    run(told)
    return int(greatest > MOST_CPU_SECONDS)


if __name__ == "__main__":
    if sys.argv[1:] == ["--json"]:
        run(lambda line: print(json.dumps(line), flush=True))
        sys.exit(0)
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else None))
