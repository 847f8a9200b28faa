"""Makes the data folder that today's code must still open: run with the code of commit b93e4ee, and with no other.

    git worktree add --detach ../before b93e4ee        # with its environment: make -C ../before test ARGS=--co
    cd ../before && .venv/bin/python ../provenport/tests/helpers/make_data_folder_v1.py ../provenport/tests/vectors

It leaves ``data-folder-v1.tar.xz`` and ``data-folder-v1.json``, what that code told of the folder. The imports are
that commit's own, which is why this file is kept as a record and is not run by the tests. Everything in the folder is
made up, its keys too.
"""

import hashlib
import json
import sys
import tarfile
import tempfile
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path.cwd()))

from backend import demo
from backend.adapters.simulator import ProgramSimulator
from backend.app import System, create_app, running
from backend.domain.kinds import Kind
from backend.domain.sd_jwt import b64, unb64
from backend.services import auditing, issuing, organisations, simulating, stating
from backend.services.anchoring import claim_turn, give_up_turn, seal_stored
from backend.services.anchoring.statuses import send_status_changes
from backend.services.keys import possession_text
from backend.settings import Settings
from tests.builders import (
    PDF,
    Key,
    certificate_fields,
    invoice_fields,
    lodgement_fields,
    movement_fields,
    order_fields,
    receipt_fields,
    report_fields,
    waybill_fields,
)

FOREVER = "2099-12-31"


class Interrupted(Exception):
    """The process ends here."""


class Maker:
    """Fills a folder as its people would, and notes what each of them was told."""

    def __init__(self, system: System) -> None:
        self.system, self.client = system, create_app(system).test_client()
        entries = json.loads(system.folder.demo_credentials.read_text(encoding="utf-8"))
        self.tokens = {entry["role"]: entry["token"] for entry in entries}
        self.people: dict[str, Any] = {}
        self.notes: dict[str, Any] = {}
        self.numbers = iter(range(1, 1000))
        for role, token in self.tokens.items():
            self.people[role] = organisations.bearer(system.at, token)

    def post(self, path: str, who: str, body: Any = None, **request: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.tokens[who]}", **request.pop("headers", {})}
        sent = {"json": body} if body is not None else {}
        answer = self.client.post(f"/api/v1{path}", headers=headers, **sent, **request)
        assert answer.status_code in (201, 202), (path, answer.get_data(as_text=True))
        told: dict[str, Any] = answer.get_json()
        return told

    def get(self, path: str, who: str) -> dict[str, Any]:
        answer = self.client.get(f"/api/v1{path}", headers={"Authorization": f"Bearer {self.tokens[who]}"})
        assert answer.status_code == 200, (path, answer.get_data(as_text=True))
        told: dict[str, Any] = answer.get_json()
        return told

    def settle(self) -> None:
        demo.settle(self.system.at)

    def certificate(self, who: str = "chamber", **changes: Any) -> dict[str, Any]:
        number, name = f"V1-C-{next(self.numbers):03d}", self.people["merchant"].organisation.name
        fields = certificate_fields(
            certificateNumber=number, exporter={"name": name}, quantity="1000", validUntil=FOREVER
        )
        return self.post("/certificates-of-origin", who, fields | changes)

    def report(self) -> dict[str, Any]:
        number, name = f"V1-R-{next(self.numbers):03d}", self.people["merchant"].organisation.name
        return self.post(
            "/inspection-reports", "laboratory", report_fields(reportNumber=number, customer={"name": name})
        )

    def declaration(self, papers: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
        fields = lodgement_fields(
            declarationReference=f"V1-D-{next(self.numbers):03d}", records=[paper["id"] for paper in papers]
        )
        return self.post("/declarations", "merchant", fields | changes)

    def decide(self, declaration: dict[str, Any], decision: str) -> None:
        body = {"decision": decision, "reason": f"to {decision}, as the papers say"}
        self.post(f"/declarations/{declaration['id']}/decisions", "officer", body)

    def join(self, who: str, role: str, name: str) -> dict[str, Any]:
        body = {"role": role, "name": name, "email": f"{who}@example.org"}
        joined = self.post("/organisations", "authority", body)
        self.tokens[who] = joined["token"]
        self.people[who] = organisations.bearer(self.system.at, joined["token"])
        return joined

    def accredit(self, organisation_id: str, **terms: Any) -> None:
        dates = {"validFrom": "2026-01-01T00:00:00Z", "validUntil": "2099-12-31T00:00:00Z"}
        self.post(f"/issuers/{organisation_id}/accreditation", "authority", dates | terms)

    def state(self, kind: Kind, fields: dict[str, Any], issuer: str, instead_of: str | None = None) -> Any:
        to = self.people[issuer].organisation.id
        return stating.state(self.system.at, self.people["merchant"], kind, fields, to, instead_of=instead_of)

    def request_about(self, statement: Any) -> Any:
        with self.system.at.work(reading=True) as work:
            return work.store.find_request_about(statement.id)


def settled(maker: Maker) -> None:
    """What is finished when the folder is closed."""
    for role in ("merchant", "chamber", "laboratory"):
        maker.accredit(maker.people[role].organisation.id)
    maker.settle()

    pdf = maker.post("/files", "chamber", data={"file": (BytesIO(PDF), "lamp.pdf")})
    bound = {"fileName": "lamp.pdf", "size": pdf["size"], "sha256": pdf["sha256"]}
    drawn = maker.certificate(attachments=[bound])
    report = maker.report()
    released = maker.declaration([drawn, report])
    held, rejected, withdrawn = maker.declaration([drawn, report]), maker.declaration([]), maker.declaration([])
    revoked = maker.certificate()
    erased = maker.certificate(description="Salmon-coloured lamp for Mr Tan")
    maker.settle()
    maker.decide(released, "release")
    maker.decide(held, "examine")
    maker.decide(rejected, "reject")
    maker.post(f"/declarations/{withdrawn['id']}/withdrawal", "merchant")
    maker.post(f"/records/{revoked['id']}/revocation", "chamber", {"reason": "issued for the wrong goods"})
    maker.settle()
    maker.post(f"/records/{erased['id']}/erasure", "merchant", {"confirm": "erase for good"})

    trade = {
        "invoices": invoice_fields(),
        "orders": order_fields(),
        "payment-receipts": receipt_fields(),
        "waybills": waybill_fields(),
        "movement-events": movement_fields(),
    }
    key = {"Idempotency-Key": "kept-by-version-1"}
    papers = [maker.post(f"/{path}", "merchant", fields) for path, fields in trade.items()]
    once = certificate_fields(
        certificateNumber="V1-ONCE", exporter={"name": maker.people["merchant"].organisation.name}, validUntil=FOREVER
    )
    first = maker.post("/certificates-of-origin", "chamber", once, headers=key)

    statement = {k: v for k, v in certificate_fields(validUntil=FOREVER).items() if k != "certificateNumber"}
    confirmed, returned = (maker.state(Kind.CERTIFICATE_OF_ORIGIN, statement, "chamber") for _ in range(2))
    at, chamber = maker.system.at, maker.people["chamber"]
    issued = issuing.confirm(at, chamber, maker.request_about(confirmed).id, "V1-CONFIRMED")
    issuing.send_back(at, chamber, maker.request_about(returned).id, "the quantity is missing a unit")
    again = maker.state(Kind.CERTIFICATE_OF_ORIGIN, statement, "chamber", maker.request_about(returned).id)
    still_back = maker.state(Kind.CERTIFICATE_OF_ORIGIN, statement, "chamber")
    issuing.send_back(at, chamber, maker.request_about(still_back).id, "the consignee is missing")
    maker.settle()

    maker.post(f"/issuers/{maker.people['laboratory'].organisation.id}/key-rotation", "authority", {})
    maker.settle()
    after_rotation = maker.report()
    spare = maker.join("spare", "chamber", "Spare Chamber")
    maker.accredit(spare["id"], chapters=[94])
    maker.settle()
    of_suspended = maker.certificate("spare")
    maker.settle()
    maker.post(f"/issuers/{spare['id']}/suspension", "authority", {})
    maker.settle()

    records = [drawn, report, revoked, erased, *papers, first, after_rotation, of_suspended]
    maker.notes["idempotent"] = {"body": once, "key": key["Idempotency-Key"], "id": first["id"]}
    maker.notes["records"] = [one["id"] for one in records] + [one.id for one in (confirmed, returned, issued, again)]
    maker.notes["records"].append(still_back.id)
    maker.notes["declarations"] = [one["id"] for one in (released, held, rejected, withdrawn)]
    maker.notes["erased"] = erased["id"]
    maker.notes["attached"] = {"record": drawn["id"], "sha256": pdf["sha256"]}
    maker.notes["drawn"] = {"certificate": drawn["id"], "report": report["id"], "remaining": "800", "undeclared": "600"}


def simulated(maker: Maker) -> None:
    """One simulation that is done, with its files, and one whose turn has not come."""
    order = {"scenario": "office", "replications": 2}
    done = maker.post("/simulations", "analyst", order)
    assert simulating.run_next(maker.system.at, lambda: False)
    waiting = maker.post("/simulations", "analyst", order)
    maker.notes["simulations"] = [done["id"], waiting["id"]]


def kept_outside(maker: Maker) -> None:
    """An organisation that keeps its key itself, with bytes that it was asked to sign and has not signed yet."""
    own = Key()
    joined = maker.join("own", "chamber", "Chamber with a Key of its Own")
    maker.accredit(joined["id"])
    maker.settle()
    proof = b64(own.sign(possession_text(joined["id"], own.thumbprint.hex())))
    maker.post(f"/issuers/{joined['id']}/key-rotation", "authority", {"jwk": own.jwk, "proof": proof})
    maker.settle()
    name = maker.people["merchant"].organisation.name
    document = certificate_fields(certificateNumber="V1-OWN", exporter={"name": name}, validUntil=FOREVER)
    body = {"act": "issue", "kind": "certificate-of-origin", "document": document}
    prepared = maker.post("/signing-requests", "own", body)
    text = prepared["signingInput"]
    signed = own.sign(unb64(text))
    maker.notes["prepared"] = {"id": prepared["id"], "signature": b64(signed), "until": prepared["until"]}


def under_way(maker: Maker) -> None:
    """What has begun and is not finished when the folder is closed, at each of its steps."""
    at = maker.system.at
    good, report = maker.certificate(), maker.report()
    released = maker.declaration([good, report])
    revoked = maker.certificate()
    maker.settle()
    maker.post(f"/records/{revoked['id']}/revocation", "chamber", {"reason": "revoked at the last moment"})

    def interrupt(point: str) -> None:
        if point == "status-kept":
            raise Interrupted

    assert claim_turn(at)
    with suppress(Interrupted):
        send_status_changes(replace(at, reached=interrupt))
        raise AssertionError("nothing was signed")
    maker.decide(released, "release")
    sealed = maker.certificate()
    seal_stored(at)
    give_up_turn(at)
    joined = maker.join("newcomer", "laboratory", "Laboratory that Came Last")
    maker.accredit(joined["id"])
    stored = maker.certificate()
    lodged = maker.declaration([stored, report])
    maker.notes["waiting"] = {
        "VALID": [sealed["id"], stored["id"], good["id"]],
        "INVALID": [revoked["id"]],
        "declarations": {released["id"]: "RELEASED", lodged["id"]: "LODGED"},
    }
    maker.notes["newcomer"] = joined["id"]


def told(maker: Maker) -> dict[str, Any]:
    """What this code tells of the folder that it made."""
    at = maker.system.at
    found = dict(maker.notes)
    everything = [*maker.notes["records"], *(i for w in ("VALID", "INVALID") for i in maker.notes["waiting"][w])]
    found["records"] = {one: _record(maker, one) for one in everything}
    merchants = maker.get("/declarations?limit=200", "merchant")["declarations"]
    found["declarations"] = {one["id"]: _declaration(maker, one["id"]) for one in merchants}
    found["issuers"] = {one["id"]: (one["name"], one["state"]) for one in maker.get("/issuers", "authority")["issuers"]}
    found["simulations"] = {one: _simulation(maker, one) for one in maker.notes["simulations"]}
    found["tokens"] = {who: [token, maker.people[who].email] for who, token in maker.tokens.items()}
    found["madeAt"] = at.now().isoformat()
    found["auditFound"] = [one.code for one in auditing.audit(at).discrepancies]
    return found


def _record(maker: Maker, record_id: str) -> dict[str, Any]:
    with maker.system.at.work(reading=True) as work:
        on_file = work.store.get_record(record_id)
        reader = next(who for who, one in maker.people.items() if one.organisation.id == on_file.holder.id)
        signed = hashlib.sha256(on_file.signed_jwt.encode()).hexdigest()
    seen = maker.get(f"/records/{record_id}", reader)
    kept = ("kind", "assurance", "issuer", "holder", "status", "statusReason", "proofState", "issuedAt", "recordedAt")
    more = ("digest", "supersedes", "supersededBy", "erasedAt", "document")
    return {
        "reader": reader,
        "signedText": signed,
        "verdict": seen["verdict"]["verdict"],
        **{name: seen[name] for name in kept + more},
    }


def _declaration(maker: Maker, declaration_id: str) -> dict[str, Any]:
    seen = maker.get(f"/declarations/{declaration_id}", "officer")
    kept = ("reference", "merchant", "customsOffice", "status", "lodgedAt", "arrivedAt", "releasedAt", "proofState")
    return {
        "verdict": seen["verdict"]["verdict"],
        "records": sorted(one["id"] for one in seen["records"]),
        "steps": [(event["step"], event["occurredAt"]) for event in seen["events"]],
        "decisions": [(one["decision"], one["reason"], one["status"]) for one in seen["decisions"]],
        **{name: seen[name] for name in kept},
    }


def _simulation(maker: Maker, simulation_id: str) -> dict[str, Any]:
    seen = maker.get(f"/simulations/{simulation_id}", "analyst")
    return {name: seen[name] for name in ("scenario", "state", "replications", "seed", "result")} | {
        "files": sorted(seen["files"])
    }


def main(vectors: Path) -> None:
    """Make the folder, pack it, write down what is in it."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "data"
        stand_in = (sys.executable, str(Path.cwd() / "tests" / "stand_in_simulator.py"))
        with running(Settings(folder)) as system:
            system.at = replace(system.at, simulator=ProgramSimulator(system.folder.simulations, stand_in))
            demo.fill(system.at, system.folder, lambda step: None)
            maker = Maker(system)
            settled(maker)
            simulated(maker)
            kept_outside(maker)
            under_way(maker)
            manifest = told(maker)
        manifest["files"] = {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted((folder / "files").rglob("*"))
            if path.is_file()
        }
        with tarfile.open(vectors / "data-folder-v1.tar.xz", "w:xz", preset=9) as packed:
            packed.add(folder, "data", filter=lambda entry: None if entry.name.endswith(".lock") else entry)
    text = json.dumps(manifest, indent=1, ensure_ascii=False, default=str) + "\n"
    (vectors / "data-folder-v1.json").write_text(text, encoding="utf-8")
    assert manifest["auditFound"] == []


if __name__ == "__main__":
    main(Path(sys.argv[1]))
