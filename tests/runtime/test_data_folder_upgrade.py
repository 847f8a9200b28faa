"""A data folder that the version before made opens with today's code, and nothing in it is lost.

The folder and what its maker told of it are kept as data (``tests/helpers/make_data_folder_v1.py`` says how they were
made). Everything is asked the way that people and programs ask it, by names that outlive the next move of the code.
"""

import json
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from backend.adapters.simulator import ProgramSimulator
from backend.domain.kinds import Kind
from backend.domain.parties import ApiToken, TokenScope
from backend.runtime import demo
from backend.runtime.app import System, create_app, running
from backend.services import external_signing, simulations
from backend.services.audit import audit
from backend.settings import Settings
from tests.conftest import people_in
from tests.helpers.builders import Api, certificate_fields, lodgement_fields, report_fields
from tests.helpers.forms import fill, read_page

HERE = Path(__file__).parents[1]
MANIFEST = json.loads((HERE / "vectors" / "data-folder-v1.json").read_text(encoding="utf-8"))
STAND_IN = (sys.executable, str(HERE / "helpers" / "stand_in_simulator.py"))
WORDS = {"CANNOT_TELL": "INDETERMINATE"}
"""What the maker called by another name."""
WITH_EVIDENCE = [
    record_id
    for record_id, one in MANIFEST["records"].items()
    if one["proofState"] in ("sealed", "final") and not one["erasedAt"]
]
SOON = datetime.fromisoformat(MANIFEST["madeAt"]) + timedelta(minutes=5)
"""When the folder is opened: what was prepared may still be signed, and no certificate has run out."""


class Opened:
    """The folder, open, and the programs of its people."""

    def __init__(self, system: System, folder: Path) -> None:
        self.system, self.folder, self.app = system, folder, create_app(system)
        self.api = Api(self.app.test_client(), {})
        self.api.bearers = {who: {"Authorization": f"Bearer {token}"} for who, (token, _) in MANIFEST["tokens"].items()}

    def get(self, path: str, who: str) -> Any:
        answer = self.api.get(path, who)
        assert answer.status_code == 200, (path, answer.text)
        return answer.get_json()

    def record(self, record_id: str) -> Any:
        return self.get(f"/records/{record_id}", MANIFEST["records"][record_id]["reader"])

    def declaration(self, declaration_id: str) -> Any:
        return self.get(f"/declarations/{declaration_id}", "officer")

    def verdict_on_declared(self, quantity: str) -> Any:
        """Lodge a declaration of so much under the certificate that was drawn, and wait for the ledger."""
        merchant, drawn = self.get("/me", "merchant")["organisation"], MANIFEST["drawn"]
        report = report_fields(reportNumber=f"AFTER-{quantity}", customer={"name": merchant})
        made = self.api.post("/inspection-reports", "laboratory", report).get_json()
        items = [lodgement_fields()["items"][0] | {"quantity": quantity}]
        fields = {"declarationReference": f"AFTER-{quantity}", "records": [drawn["certificate"], made["id"]]}
        lodged = self.api.post("/declarations", "merchant", lodgement_fields(items=items, **fields)).get_json()
        demo.settle(self.system.ctx)
        return self.declaration(lodged["id"])["verdict"]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """A copy of the folder, opened by today's code, five minutes after it was closed."""
    path = tmp_path_factory.mktemp("before")
    with tarfile.open(HERE / "vectors" / "data-folder-v1.tar.xz") as packed:
        packed.extractall(path, filter="data")
    with running(Settings(path / "data")) as system:
        simulator = ProgramSimulator(system.folder.simulations, STAND_IN)
        system.ctx = replace(system.ctx, simulator=simulator, now=lambda: SOON)
        yield Opened(system, path / "data")


def today(told: dict[str, Any]) -> dict[str, Any]:
    return {name: WORDS.get(value, value) if isinstance(value, str) else value for name, value in told.items()}


# Nothing is lost


def test_everything_is_in_the_manifest() -> None:
    records, declarations = MANIFEST["records"].values(), MANIFEST["declarations"].values()
    assert len({one["kind"] for one in records}) == 7
    assert {one["status"] for one in records} == {"ACTIVE", "REVOKED", "SUPERSEDED"}
    assert {one["proofState"] for one in records} == {"final", "sealed", "stored"}
    assert {one["status"] for one in declarations} == {"LODGED", "EXAMINATION", "RELEASED", "REJECTED", "WITHDRAWN"}
    assert {state for _, state in MANIFEST["issuers"].values()} == {"accredited", "suspended", "none"}


@pytest.mark.parametrize("record_id", MANIFEST["records"])
def test_record_reads_as_before(opened: Opened, record_id: str) -> None:
    expected = today(MANIFEST["records"][record_id])
    del expected["reader"], expected["signedText"]
    seen = opened.record(record_id)
    assert {**{name: seen[name] for name in expected}, "verdict": seen["verdict"]["verdict"]} == expected


@pytest.mark.parametrize("record_id", WITH_EVIDENCE)
def test_signed_text_is_the_same(opened: Opened, record_id: str) -> None:
    """The signed text is the part of the evidence before its first disclosure."""
    before = MANIFEST["records"][record_id]
    bundle = opened.get(f"/records/{record_id}/evidence", before["reader"])
    texts = {sha256(one.split("~")[0].encode()).hexdigest() for one in strings_in(bundle)}
    assert before["signedText"] in texts


def strings_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from strings_in(one)


@pytest.mark.parametrize("declaration_id", MANIFEST["declarations"])
def test_declaration_reads_as_before(opened: Opened, declaration_id: str) -> None:
    expected = today(MANIFEST["declarations"][declaration_id])
    seen = opened.declaration(declaration_id)
    assert {
        **{name: seen[name] for name in expected if name in seen},
        "verdict": seen["verdict"]["verdict"],
        "records": sorted(one["id"] for one in seen["records"]),
        "steps": [[event["step"], event["occurredAt"]] for event in seen["events"]],
        "decisions": [[one["decision"], one["reason"], one["status"]] for one in seen["decisions"]],
    } == expected


def test_declarations_are_all_listed(opened: Opened) -> None:
    listed = opened.get("/declarations?limit=200", "merchant")["declarations"]
    assert {one["id"] for one in listed} == set(MANIFEST["declarations"])


def test_accreditations_read_as_before(opened: Opened) -> None:
    issuers = opened.get("/issuers", "authority")["issuers"]
    assert {one["id"]: [one["name"], one["state"]] for one in issuers} == MANIFEST["issuers"]


@pytest.mark.parametrize("simulation_id", MANIFEST["simulations"])
def test_simulation_reads_as_before(opened: Opened, simulation_id: str) -> None:
    expected = dict(MANIFEST["simulations"][simulation_id])
    seen = opened.get(f"/simulations/{simulation_id}", "analyst")
    assert {**{name: seen[name] for name in expected}, "files": sorted(seen["files"])} == expected


def test_files_lie_where_they_lay(opened: Opened) -> None:
    for name, digest in MANIFEST["files"].items():
        assert sha256((opened.folder / name).read_bytes()).hexdigest() == digest


def test_attachment_opens_under_its_digest(opened: Opened) -> None:
    digest = MANIFEST["attached"]["sha256"]
    content = opened.system.ctx.files.get(digest)
    assert content is not None
    assert sha256(content).hexdigest() == digest


# Everybody gets in


@pytest.mark.parametrize("who", MANIFEST["tokens"])
def test_token_still_names_its_person(opened: Opened, who: str) -> None:
    assert opened.get("/me", who)["email"] == MANIFEST["tokens"][who][1]


@pytest.mark.parametrize("role", ["merchant", "chamber", "laboratory", "officer", "authority", "analyst"])
def test_person_signs_in_with_kept_password(opened: Opened, role: str) -> None:
    person, client = people_in(opened.folder)[role], opened.app.test_client()
    page = read_page(client.get("/sign-in").text)
    form = next(one for one in page.forms if any(control.type == "password" for control in one.controls))
    typed = {"email": person.email, "password": person.password}
    answer = client.post(form.action or "/sign-in", data=dict(fill(form, page, own=typed)), follow_redirects=True)
    assert answer.request.path != "/sign-in"
    assert person.organisation in answer.text


def test_repeated_request_gets_kept_answer(opened: Opened) -> None:
    kept = MANIFEST["idempotent"]
    headers = {"Idempotency-Key": kept["key"]}
    answer = opened.api.post("/certificates-of-origin", "chamber", kept["body"], headers=headers)
    assert (answer.status_code, answer.get_json()["id"]) == (201, kept["id"])


# What had begun goes on: these come last, since they change the folder


def test_prepared_bytes_take_their_signature(opened: Opened) -> None:
    prepared = MANIFEST["prepared"]
    ctx = opened.system.ctx
    with ctx.work(reading=True) as work:
        token = work.persons.by_secret(ApiToken, MANIFEST["tokens"]["own"][0])
    assert token is not None
    assert token.scope is TokenScope.DECIDE
    assert timedelta(days=729) < token.expires_at - datetime.now(UTC) < timedelta(days=731)
    record = external_signing.submit(ctx, token.person, prepared["id"], prepared["signature"])
    demo.settle(ctx)
    assert record.kind is Kind.CERTIFICATE_OF_ORIGIN
    assert opened.get(f"/records/{record.id}", "own")["verdict"]["verdict"] == "VALID"


def test_waiting_work_becomes_final(opened: Opened) -> None:
    demo.settle(opened.system.ctx)
    for verdict in ("VALID", "INVALID"):
        for record_id in MANIFEST["waiting"][verdict]:
            seen = opened.record(record_id)
            assert (seen["proofState"], seen["verdict"]["verdict"]) == ("final", verdict)
    for declaration_id, status in MANIFEST["waiting"]["declarations"].items():
        seen = opened.declaration(declaration_id)
        assert (seen["proofState"], seen["status"], seen["verdict"]["verdict"]) == ("final", status, "VALID")
        assert {one["proofState"] for one in seen["decisions"]} <= {"final"}
    states = {one["id"]: one["state"] for one in opened.get("/issuers", "authority")["issuers"]}
    assert states[MANIFEST["newcomer"]] == "accredited"


def test_contract_of_its_time_takes_new_terms(opened: Opened) -> None:
    """Its contract knows the act by another signature, and judges what was signed before as it did."""
    chamber = opened.get("/me", "chamber")
    issuer = next(one for one in MANIFEST["issuers"] if MANIFEST["issuers"][one][0] == chamber["organisation"])
    until = "2031-01-01T00:00:00Z"
    answer = opened.api.post(f"/issuers/{issuer}/accreditation", "authority", {"validUntil": until})
    assert answer.status_code == 202
    demo.settle(opened.system.ctx)
    assert opened.get(f"/issuers/{issuer}", "authority")["validUntil"] == until


def test_drawdown_leaves_remaining_quantity(opened: Opened) -> None:
    """Of 1,000 on the certificate 200 were drawn by the release, and 200 more are declared."""
    drawn = MANIFEST["drawn"]
    assert opened.verdict_on_declared(drawn["undeclared"])["verdict"] == "VALID"
    over = opened.verdict_on_declared(str(int(drawn["remaining"]) + 1))
    assert over["verdict"] == "INVALID"
    on_ledger = next(check for check in over["checks"] if check["code"] == "QUANTITY_AVAILABLE")
    assert f"{drawn['remaining']} H87" in on_ledger["evidence"].values()


def test_rotated_key_goes_on_signing(opened: Opened) -> None:
    merchant = opened.get("/me", "merchant")["organisation"]
    fields = certificate_fields(certificateNumber="AFTER-1", exporter={"name": merchant})
    made = opened.api.post("/certificates-of-origin", "chamber", fields).get_json()
    demo.settle(opened.system.ctx)
    assert opened.get(f"/records/{made['id']}", "merchant")["verdict"]["verdict"] == "VALID"


def test_erased_record_stays_erased(opened: Opened) -> None:
    seen = opened.record(MANIFEST["erased"])
    assert seen["erasedAt"]
    assert "Salmon" not in json.dumps(seen)


def test_waiting_simulation_is_run(opened: Opened) -> None:
    assert simulations.run_next(opened.system.ctx, lambda: False)
    states = [opened.get(f"/simulations/{one}", "analyst")["state"] for one in MANIFEST["simulations"]]
    assert states == ["done", "done"]


def test_audit_finds_nothing(opened: Opened) -> None:
    demo.settle(opened.system.ctx)
    found = audit(opened.system.ctx)
    assert found.discrepancies == ()
    assert found.records >= len(MANIFEST["records"]) + len(MANIFEST["declarations"])


def test_app_serves_the_folder(opened: Opened) -> None:
    assert isinstance(opened.app, Flask)
    assert opened.app.test_client().get("/healthz").status_code == 200
