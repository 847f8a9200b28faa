"""One consignment's whole way over the programming interface, and its tampered twins."""

import json
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import text

from backend.store.encryption import DataKeys
from tests.helpers.postgres import as_it_lies
from tests.journeys.conftest import Server
from tests.journeys.papers import a_certificate, a_declaration, a_report


def _papers(server: Server) -> list[str]:
    merchant = server.people["merchant"].organisation
    certificate = server.post("/certificates-of-origin", "chamber", a_certificate(merchant))
    report = server.post("/inspection-reports", "laboratory", a_report(merchant))
    return [certificate["id"], report["id"]]


def _lodged(server: Server, records: list[str], **changes: Any) -> str:
    return str(server.post("/declarations", "merchant", a_declaration(records, **changes))["id"])


def _release(server: Server, declaration: str, expect: int = 201, **more: Any) -> Any:
    body = {"decision": "release", "reason": "Papers in order", **more}
    return server.post(f"/declarations/{declaration}/decisions", "officer", body, expect)


def _reasons(verdict: dict[str, Any], outcome: str) -> set[str]:
    return {check["reason"] for check in verdict["checks"] if check["outcome"] == outcome}


def test_a_consignment_travels_from_its_papers_to_release(server: Server) -> None:
    before = server.get("/release-times", "officer")["lodgementToRelease"]["count"]
    declaration = _lodged(server, _papers(server))
    assert declaration in {d["id"] for d in server.get("/declarations?status=LODGED", "officer")["declarations"]}

    verdict = server.settled_verdict(declaration)
    assert verdict["verdict"] == "VALID", verdict["summary"]
    assert {"SIGNATURE", "INCLUSION", "ANCHOR", "STATUS", "ISSUER_ACCREDITED"} <= {c["code"] for c in verdict["checks"]}

    assert _release(server, declaration)["status"] == "RELEASED"
    found = server.get(f"/declarations/{declaration}", "merchant")
    assert found["status"] == "RELEASED"
    assert [event["step"] for event in found["events"]] == ["arrived", "lodged", "anchored", "released"]
    assert len(found["records"]) == 2
    times = server.get("/release-times", "officer")
    assert times["lodgementToRelease"]["count"] == before + 1
    assert times["arrivalToRelease"]["p90Hours"] > 1.9


def test_evidence_is_valid_and_altered_certificate_invalid(server: Server) -> None:
    certificate, _ = _papers(server)
    server.until(lambda: server.get(f"/records/{certificate}", "chamber")["proofState"] == "final")
    bundle = server.get(f"/records/{certificate}/evidence", "merchant")
    assert server.post("/verify", None, bundle, 200)["verdict"] == "VALID"

    (one,) = bundle["records"]
    other_quantity = {**bundle, "records": [{**one, "entry": {**one["entry"], "quantity": "9000000"}}]}
    assert "entry-quantity-mismatch" in _reasons(server.post("/verify", None, other_quantity, 200), "fail")
    jwt, *disclosures = one["record"].split("~")
    altered = "~".join([jwt, disclosures[0][:-2] + ("AA" if disclosures[0][-2:] != "AA" else "BB"), *disclosures[1:]])
    forged = {**bundle, "records": [{**one, "record": altered}]}
    assert server.post("/verify", None, forged, 200)["verdict"] == "INVALID"


@pytest.mark.parametrize("by", ["by who has the keys", "by others"])
def test_certificate_altered_in_our_database_releases_nothing(server: Server, by: str) -> None:
    certificate, report = _papers(server)
    declaration = _lodged(server, [certificate, report])
    assert server.settled_verdict(declaration)["verdict"] == "VALID"
    with (
        as_it_lies(server.folder) as database,
        closing(DataKeys(server.folder / "record.keys")) as keys,
    ):
        kept = database.execute(text("select disclosures from record where id = :id"), {"id": certificate}).scalar_one()
        disclosures = json.loads(keys.open(kept))
        disclosures[0] = disclosures[0][:-4] + "AAAA"
        altered = {
            "by who has the keys": keys.encrypt(json.dumps(disclosures).encode()),
            "by others": kept[:-1] + bytes([kept[-1] ^ 1]),
        }
        change = text("update record set disclosures = :altered where id = :id")
        database.execute(change, {"altered": altered[by], "id": certificate})
    verdict = server.settled_verdict(declaration)
    assert verdict["verdict"] == "INVALID"
    assert "record-altered" in _reasons(verdict, "fail")
    assert _release(server, declaration, 409)["code"] == "not-releasable"
    assert server.get(f"/declarations/{declaration}", "officer")["status"] == "LODGED"


def test_issuer_who_was_never_accredited_signs_nothing(server: Server) -> None:
    stranger = _new_issuer(server, "chamber", "Chamber That Nobody Knows")
    merchant = server.people["merchant"].organisation
    refused = server.post("/certificates-of-origin", None, a_certificate(merchant), 422, headers=stranger["bearer"])
    assert refused["code"] == "outside-accreditation"
    assert "ask the authority" in refused["detail"]


def test_a_revoked_accreditation_cannot_release_goods(server: Server) -> None:
    laboratory = _new_issuer(server, "laboratory", "Laboratory About To Fall")
    server.post(f"/issuers/{laboratory['id']}/accreditation", "authority", {}, 202)
    server.until(lambda: _standing(server, laboratory["id"]) == "accredited")
    merchant = server.people["merchant"].organisation
    certificate, _ = _papers(server)
    report = server.post("/inspection-reports", None, a_report(merchant), headers=laboratory["bearer"])
    declaration = _lodged(server, [certificate, report["id"]])
    assert server.settled_verdict(declaration)["verdict"] == "VALID"

    server.post(f"/issuers/{laboratory['id']}/suspension", "authority", {}, 202)
    server.until(lambda: _standing(server, laboratory["id"]) == "suspended")
    verdict = server.settled_verdict(declaration)
    assert verdict["verdict"] == "INVALID"
    assert _reasons(verdict, "fail") == {"accreditation-revoked"}
    _release(server, declaration, 409)


def test_a_revoked_certificate_cannot_release_goods(server: Server) -> None:
    certificate, report = _papers(server)
    declaration = _lodged(server, [certificate, report])
    assert server.settled_verdict(declaration)["verdict"] == "VALID"
    server.post(f"/records/{certificate}/revocation", "chamber", {"reason": "Goods were made elsewhere"})
    assert _reasons(server.settled_verdict(declaration), "fail") == {"revoked"}
    _release(server, declaration, 409)


def test_declaration_released_after_examination_takes_no_further_decision(server: Server) -> None:
    declaration = _lodged(server, _papers(server))
    server.settled_verdict(declaration)
    for decision in ("documents-required", "examine", "detain"):
        body = {"decision": decision, "reason": "To be looked at"}
        server.post(f"/declarations/{declaration}/decisions", "officer", body)
    _release(server, declaration)
    body = {"decision": "reject", "reason": "Too late"}
    assert server.post(f"/declarations/{declaration}/decisions", "officer", body, 409)["code"] == "conflict"
    kept = server.get(f"/declarations/{declaration}", "officer")["decisions"]
    assert [taken["decision"] for taken in kept] == ["documents-required", "examine", "detain", "release"]
    server.until(lambda: server.get("/release-times", "officer"))


def test_goods_without_papers_need_officers_express_word(server: Server) -> None:
    declaration = _lodged(server, [])
    verdict = server.settled_verdict(declaration)
    assert verdict["verdict"] == "INDETERMINATE"
    assert _reasons(verdict, "indeterminate") == {"certificate-of-origin-missing", "inspection-report-missing"}
    _release(server, declaration, 409)
    assert _release(server, declaration, acceptIndeterminate=True)["verdict"] == "INDETERMINATE"


def _new_issuer(server: Server, role: str, name: str) -> dict[str, Any]:
    body = {"role": role, "name": name, "email": f"{name.replace(' ', '.').lower()}@example.org"}
    joined: dict[str, Any] = server.post("/organisations", "authority", body)
    return {**joined, "bearer": {"Authorization": f"Bearer {joined['token']}"}}


def _standing(server: Server, issuer: str) -> str | None:
    found = server.get("/issuers", "authority")["issuers"]
    return next((one["state"] for one in found if one["id"] == issuer and not one["pending"]), None)
