"""Whole stories over the interface, and what its published description promises."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.helpers.builders import (
    Api,
    certificate_fields,
    invoice_fields,
    lodgement_fields,
    report_fields,
)

PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def api(app, people):
    return Api(app.test_client(), people)


@pytest.fixture(scope="module")
def description(api):
    return api.get("/openapi.json").get_json()


# The description


def test_the_description_is_valid_openapi_3_1(description):
    assert description["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(description).validate()


def operations(description):
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            if method != "parameters":
                yield path, method, operation


def test_every_route_is_described(app, description):
    described = {(path.replace("{", "<").replace("}", ">"), method) for path, method, _ in operations(description)}
    routes = {
        (rule.rule, method.lower())
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("api.")
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert {(path, method) for path, method in described if path.startswith("/api/v1")} == routes


def test_every_error_is_described_as_a_problem(description):
    for path, method, operation in operations(description):
        for status, response in operation["responses"].items():
            if status >= "400":
                assert set(response["content"]) == {PROBLEM}, (path, method, status)


def test_every_operation_says_what_it_is_for(description):
    for path, method, operation in operations(description):
        if path.startswith("/api/v1"):
            assert operation["summary"], (path, method)
            assert operation["tags"], (path, method)


@pytest.fixture(scope="module")
def check(description):
    """Checks an answer against the published schema of its operation."""

    def checked(answer, path, method="get"):
        responses = description["paths"][f"/api/v1{path}"][method]["responses"]
        described = responses[str(answer.status_code)]
        (media_type,) = described["content"]
        assert answer.content_type.split(";")[0] == media_type
        schema = described["content"][media_type]["schema"] | {"components": description["components"]}
        validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
        faults = [fault.message for fault in validator.iter_errors(answer.get_json())]
        assert not faults, faults
        return answer.get_json()

    return checked


# Stories


def test_from_certificate_to_release(api, check, settle):
    name = check(api.get("/me", "merchant"), "/me")["organisation"]
    fields = certificate_fields(certificateNumber=api.fresh("C"), exporter={"name": name})
    certificate = check(api.post("/certificates-of-origin", "chamber", fields), "/certificates-of-origin", "post")
    fields = report_fields(reportNumber=api.fresh("R"), customer={"name": name})
    report = check(api.post("/inspection-reports", "laboratory", fields), "/inspection-reports", "post")
    named = lodgement_fields(declarationReference=api.fresh("D"), records=[certificate["id"], report["id"]])
    lodged = check(api.post("/declarations", "merchant", named), "/declarations", "post")
    settle()
    path = f"/declarations/{lodged['id']}"
    seen = check(api.get(path, "officer"), "/declarations/{declaration_id}")
    assert seen["verdict"]["verdict"] == "VALID"
    assert [one["verdict"]["verdict"] for one in seen["records"]] == ["VALID", "VALID"]
    answer = api.post(f"{path}/decisions", "officer", {"decision": "release", "reason": "Papers in order"})
    taken = check(answer, "/declarations/{declaration_id}/decisions", "post")
    assert (taken["status"], taken["verdict"]) == ("RELEASED", "VALID")
    settle()
    seen = check(api.get(path, "merchant"), "/declarations/{declaration_id}")
    assert seen["status"] == "RELEASED"
    assert {"lodged", "anchored", "released"} <= {event["step"] for event in seen["events"]}
    study = check(api.get("/release-times", "merchant"), "/release-times")
    assert study["lodgementToRelease"]["count"] >= 1
    listed = check(api.get("/declarations?status=RELEASED&limit=200", "officer"), "/declarations")
    assert lodged["id"] in {one["id"] for one in listed["declarations"]}


def test_bundle_is_valid_to_anybody_until_its_revocation(api, check, settle):
    made = api.certificate()
    settle()
    record = check(api.get(f"/records/{made['id']}", "merchant"), "/records/{record_id}")
    assert (record["proofState"], record["verdict"]["verdict"]) == ("final", "VALID")
    bundle = api.get(f"/records/{made['id']}/evidence", "merchant").get_json()
    assert check(api.post("/verify", None, bundle), "/verify", "post")["verdict"] == "VALID"
    answer = api.post(f"/records/{made['id']}/revocation", "chamber", {"reason": "wrong goods"})
    check(answer, "/records/{record_id}/revocation", "post")
    settle()
    found = check(api.post("/verify", None, bundle), "/verify", "post")
    assert found["verdict"] == "INVALID"
    assert found["summary"] == next(c["message"] for c in found["checks"] if c["outcome"] == "fail")
    again = api.post(f"/records/{made['id']}/revocation", "chamber", {"reason": "again"})
    assert check(again, "/records/{record_id}/revocation", "post")["code"] == "conflict"


def test_release_against_an_invalid_verdict_is_refused(api, check, settle):
    """The problem carries the verdict, and the officer's express word does not help."""
    lodged = api.declaration([api.certificate(quantity="1"), api.report()])
    settle()
    path = f"/declarations/{lodged['id']}/decisions"
    for accept in (False, True):
        body = {"decision": "release", "reason": "all the same", "acceptIndeterminate": accept}
        problem = check(api.post(path, "officer", body), "/declarations/{declaration_id}/decisions", "post")
        assert (problem["status"], problem["code"]) == (409, "not-releasable")
        assert problem["verdict"]["verdict"] == "INVALID"
    assert api.get(f"/declarations/{lodged['id']}", "officer").get_json()["status"] == "LODGED"


def test_declaration_without_papers_needs_the_officers_express_word(api, settle):
    lodged = api.declaration([])
    settle()
    path, body = f"/declarations/{lodged['id']}/decisions", {"decision": "release", "reason": "known goods"}
    assert api.post(path, "officer", body).status_code == 409
    taken = api.post(path, "officer", body | {"acceptIndeterminate": True})
    assert taken.get_json()["verdict"] == "INDETERMINATE"
    assert api.post(path, "officer", body | {"decision": "reject"}).status_code == 409


@pytest.mark.parametrize(("decision", "status"), [("return", "RETURNED"), ("seize", "SEIZED")])
def test_goods_returned_or_seized_close_the_declaration(api, settle, decision, status):
    lodged = api.declaration([])
    path, body = f"/declarations/{lodged['id']}/decisions", {"decision": decision, "reason": "not admitted"}
    assert api.post(path, "merchant", body).status_code == 403
    assert api.post(path, "officer", {**body, "reason": " "}).status_code == 422
    assert api.post(path, "officer", body).status_code == 201
    settle()
    found = api.get(f"/declarations/{lodged['id']}", "merchant").get_json()
    assert found["status"] == status
    assert status.lower() in [event["step"] for event in found["events"]]
    assert found["decisions"][-1]["proofState"] in ("anchored", "final")
    assert api.post(path, "officer", body | {"decision": "release"}).status_code == 409
    listed = api.get(f"/declarations?status={status}", "officer").get_json()
    assert lodged["id"] in [one["id"] for one in listed["declarations"]]


def test_a_merchant_withdraws_and_tells_of_arrival(api, check):
    lodged = api.declaration([])
    path = f"/declarations/{lodged['id']}"
    answer = api.post(f"{path}/arrival", "merchant", {"arrivedAt": datetime.now(UTC).isoformat()})
    assert check(answer, "/declarations/{declaration_id}/arrival", "post")["arrivedAt"]
    answer = api.post(f"{path}/withdrawal", "merchant")
    assert check(answer, "/declarations/{declaration_id}/withdrawal", "post")["status"] == "WITHDRAWN"
    assert api.post(f"{path}/withdrawal", "merchant").status_code == 409


def test_the_authority_admits_accredits_suspends_and_reinstates(api, check, settle, system):
    body = {"role": "chamber", "name": "Anhui Chamber", "email": f"{api.fresh('a')}@example.org"}
    joined = check(api.post("/organisations", "authority", body), "/organisations", "post")
    api.bearers["anhui"] = {"Authorization": f"Bearer {joined['token']}"}
    fields = certificate_fields(certificateNumber="1")

    def state():
        listed = check(api.get("/issuers", "officer"), "/issuers")["issuers"]
        return next(one["state"] for one in listed if one["id"] == joined["id"])

    def verdict():
        return api.get(f"/records/{made['id']}", "anhui").get_json()["verdict"]["verdict"]

    settle()
    assert state() == "none"
    refused = api.post("/certificates-of-origin", "anhui", fields)
    assert (refused.status_code, refused.get_json()["code"]) == (422, "outside-accreditation")
    answer = api.post(f"/issuers/{joined['id']}/accreditation", "authority", {"validFrom": "2026-01-01T00:00:00Z"})
    check(answer, "/issuers/{organisation_id}/accreditation", "post")
    settle()
    made = check(api.post("/certificates-of-origin", "anhui", fields), "/certificates-of-origin", "post")
    settle()
    assert (state(), verdict()) == ("accredited", "VALID")
    # A suspension also reaches what was anchored in its first second, and blocks may be dated ahead of the clock.
    while system.ctx.now() < system.ctx.ledger.head().block_time + timedelta(seconds=1):
        time.sleep(0.1)
    for act, becomes, reads in [
        ("suspension", "suspended", "INVALID"),
        ("reinstatement", "accredited", "VALID"),
    ]:
        sent = {} if act != "reinstatement" else None
        answer = api.post(f"/issuers/{joined['id']}/{act}", "authority", sent)
        check(answer, f"/issuers/{{organisation_id}}/{act}", "post")
        settle()
        assert (state(), verdict()) == (becomes, reads)


def test_sentences_come_in_the_readers_language(api, settle):
    made = api.certificate()
    settle()
    bundle = api.get(f"/records/{made['id']}/evidence", "merchant").get_json()
    said = {
        language: api.post("/verify", None, bundle, headers={"Accept-Language": language}).get_json()
        for language in ("en", "zh", "zh-CN", "fr")
    }
    assert said["zh"]["summary"] == said["zh-CN"]["summary"] == "全部检查通过。"
    assert said["en"]["summary"] == said["fr"]["summary"] == "All checks passed."
    for check in said["zh"]["checks"]:
        assert any("一" <= letter <= "鿿" for letter in check["message"] + check["title"])
    refused = api.get("/records/nobody", "merchant", headers={"Accept-Language": "zh"}).get_json()
    assert any("一" <= letter <= "鿿" for letter in refused["title"])


def test_pages_of_a_list_follow_one_another(api):
    lodged = [api.declaration([])["id"] for _ in range(5)]
    seen, after = [], ""
    while True:
        page = api.get(f"/declarations?limit=2{after}", "merchant").get_json()
        seen += [one["id"] for one in page["declarations"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert len(seen) == len(set(seen))
    assert set(lodged) <= set(seen)


# Many at once


def test_thirty_parallel_submissions_all_become_final(app, people, system, settle):
    """Each has a place of its own in a batch, with a proof that holds."""

    def post(number):
        api = Api(app.test_client(), people)
        path, who, fields = [
            ("/certificates-of-origin", "chamber", certificate_fields(certificateNumber=api.fresh("C"))),
            ("/invoices", "merchant", invoice_fields(invoiceNumber=api.fresh("I"))),
            ("/declarations", "merchant", lodgement_fields(declarationReference=api.fresh("D"))),
        ][number % 3]
        return api.post(path, who, fields)

    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(post, range(30)))
    assert {answer.status_code for answer in answers} == {201}
    ids = {answer.get_json()["id"] for answer in answers}
    assert len(ids) == 30
    settle()
    with system.ctx.work(reading=True) as work:
        records = [work.records.get(one) for one in ids]
    assert {record.proof_state.value for record in records} == {"final"}
    assert all(record.proof.proves(record.entry.encode(), record.batch.root) for record in records)
    assert len({(record.batch.id, record.leaf_index) for record in records}) == 30


def test_eight_at_once_with_one_key_are_one(app, people):
    fields, key = certificate_fields(certificateNumber="eight-at-once"), {"Idempotency-Key": "eight-at-once"}

    def post(_):
        return Api(app.test_client(), people).post("/certificates-of-origin", "chamber", fields, headers=key)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({json.dumps(answer.get_json()) for answer in answers}) == 1
