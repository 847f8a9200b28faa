"""One consignment's way from its papers to release, against a running Provenport, with nothing but Python.

    python3 docs/examples/journey.py

reads the demonstration's tokens from DATA_DIR/demo-credentials.json (default var/) and talks to 127.0.0.1:PORT
(default 8080). Every step is one call of the programming interface; an integrator can take it apart.
"""

import json
import os
import time
import urllib.error
import urllib.request
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

SERVER = f"http://127.0.0.1:{os.environ.get('PORT', '8080')}"
CREDENTIALS = Path(os.environ.get("DATA_DIR", "var")) / "demo-credentials.json"
if not CREDENTIALS.exists():
    raise SystemExit(f"there is no {CREDENTIALS}: start the demonstration with make run, then try again beside it")
PEOPLE = {entry["role"]: entry for entry in json.loads(CREDENTIALS.read_text())}
MERCHANT = PEOPLE["merchant"]["organisation"]
NOW = datetime.now(UTC)
NUMBER = f"{NOW:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:4]}"


def answered(request: urllib.request.Request) -> bytes:
    """What the server answers; what it refuses, and that nobody answers, is told in a line."""
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()
    except urllib.error.HTTPError as refused:
        raise SystemExit(f"{request.full_url} answered {refused.code}: {refused.read().decode()}") from None
    except urllib.error.URLError as fault:
        raise SystemExit(
            f"nobody answers at {SERVER} ({fault.reason}): is the server running, and is PORT its port?"
        ) from None


def call(method: str, path: str, role: str, body: Any = None, read: int | None = None) -> Any:
    """One call, by the person with that role; ``read`` is the version of what was read, where the call rests on one."""
    headers = {
        "Authorization": f"Bearer {PEOPLE[role]['token']}",
        "Content-Type": "application/json",
        "Idempotency-Key": str(uuid.uuid4()),  # send it again with the same key and it is done only once
    }
    if read is not None:
        headers["If-Match"] = f'"{read}"'  # the ETag of that answer; 412 tells who has changed it since
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{SERVER}/api/v1{path}", data, headers, method=method)
    return json.loads(answered(request))


def download(path: str, role: str) -> bytes:
    """A file, byte for byte."""
    return answered(urllib.request.Request(SERVER + path, headers={"Authorization": f"Bearer {PEOPLE[role]['token']}"}))


certificate = call(
    "POST",
    "/certificates-of-origin",
    "chamber",
    {
        "certificateNumber": f"CO-{NUMBER}",
        "exporter": {"name": MERCHANT, "countryCode": "CN"},
        "originCountry": "CN",
        "importCountry": "SG",
        "freeTradeAgreementName": "RCEP",
        "originCriteria": "CTH",
        "hsCode": "940521",
        "description": "LED desk lamp, 8 W",
        "quantity": "1000",
        "unitCode": "H87",
        "issueDate": f"{NOW:%Y-%m-%d}",
    },
)
print(f"certificate of origin {certificate['id']} signed by {certificate['issuer']}")

report = call(
    "POST",
    "/inspection-reports",
    "laboratory",
    {
        "reportNumber": f"IR-{NUMBER}",
        "customer": {"name": MERCHANT},
        "itemDescription": "LED desk lamp, 8 W",
        "itemIdentification": "LOT-7",
        "hsCode": "940521",
        "performedFrom": f"{NOW - timedelta(days=2):%Y-%m-%d}",
        "performedTo": f"{NOW - timedelta(days=1):%Y-%m-%d}",
        "method": "IEC 60598-2-4:2017",
        "results": [{"characteristic": "Leakage current", "value": "0.08", "unit": "mA", "limit": "≤ 0.7"}],
        "specification": "EN IEC 60598-1:2021",
        "decisionRule": "Simple acceptance, ILAC-G8:09/2019",
        "conforms": True,
        "issueDate": f"{NOW:%Y-%m-%d}",
    },
)
print(f"inspection report     {report['id']} signed by {report['issuer']}")

started = time.monotonic()
declaration = call(
    "POST",
    "/declarations",
    "merchant",
    {
        "declarationReference": f"D-{NUMBER}",
        "customsOffice": "CNYIU",
        "orderReference": f"ORDER-{NUMBER}",
        "waybillReference": f"WAYBILL-{NUMBER}",
        "destinationCountry": "SG",
        "grossWeightMeasure": "180",
        "arrivalDateTime": (NOW - timedelta(hours=2)).isoformat(),
        "items": [
            {
                "hsCode": "940521",
                "description": "LED desk lamp, 8 W",
                "quantity": "400",
                "unitCode": "H87",
                "unitPrice": "6.50",
                "currency": "USD",
                "originCountry": "CN",
            }
        ],
        "records": [certificate["id"], report["id"]],
    },
)
print(f"declaration           {declaration['id']} lodged by {declaration['issuer']}")

while True:
    seen = call("GET", f"/declarations/{declaration['id']}", "officer")
    verdict = seen["verdict"]
    if all(check["actionBy"] != "wait" for check in verdict["checks"]):
        break
    time.sleep(0.1)
print(f"verdict               {verdict['verdict']} on {len(verdict['checks'])} checks: {verdict['summary']}")
print(f"                      {time.monotonic() - started:.1f} s after lodging, every check final on the ledger")

decision = call(
    "POST",
    f"/declarations/{declaration['id']}/decisions",
    "officer",
    {"decision": "release", "reason": "Papers in order"},
    read=seen["version"],
)
print(f"decision              {decision['status']} by {decision['office']}")

evidence = CREDENTIALS.with_name("evidence.json")
evidence.write_bytes(download(f"/api/v1/records/{certificate['id']}/evidence", "merchant"))
checked = call("POST", "/verify", "merchant", json.loads(evidence.read_bytes()))
print(
    f"evidence              {evidence.stat().st_size:,} bytes in {evidence}, verified by itself: {checked['verdict']}"
)
CREDENTIALS.with_name("trust.json").write_bytes(download("/trust.json", "merchant"))

times = call("GET", "/release-times", "officer")
for clock, name in (("arrivalToRelease", "arrival → release"), ("lodgementToRelease", "lodgement → release")):
    median = timedelta(seconds=round(times[clock]["medianHours"] * 3600))
    print(f"{name:<21} median {median} over {times[clock]['count']} released")
