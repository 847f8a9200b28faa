"""Whatever comes in: stored whole or refused in one form, never half and never with a 500."""

import io
import json
import random
from datetime import UTC, datetime, timedelta

import pytest

from backend.domain.kinds.declaration import Declaration
from backend.services.files import is_pdf
from backend.store.tables import metadata
from backend.web.api.views import type_faults
from tests.helpers.builders import (
    PDF,
    Api,
    certificate_fields,
    goods_item,
    invoice_fields,
    lodgement_fields,
    report_fields,
)

DEEP = "[" * 5000 + "]" * 5000


@pytest.fixture(scope="module")
def api(app, people):
    api = Api(app.test_client(), people)
    api.things = {
        "certificate": api.certificate()["id"],
        "declaration": api.declaration([])["id"],
        "organisation": api.post(
            "/organisations", "authority", {"role": "chamber", "name": "C", "email": f"{api.fresh('c')}@example.org"}
        ).get_json()["id"],
    }
    return api


GOOD = {
    "/certificates-of-origin": ("chamber", certificate_fields),
    "/inspection-reports": ("laboratory", report_fields),
    "/invoices": ("merchant", invoice_fields),
    "/declarations": ("merchant", lodgement_fields),
    "/records/{certificate}/revocation": ("chamber", lambda: {"reason": "wrong goods"}),
    "/declarations/{declaration}/decisions": ("officer", lambda: {"decision": "examine", "reason": "look"}),
    "/declarations/{declaration}/arrival": ("officer", lambda: {"arrivedAt": "2026-03-01T00:00:00Z"}),
    "/organisations": ("authority", lambda: {"role": "merchant", "name": "N", "email": "n@example.org"}),
    "/issuers/{organisation}/accreditation": ("authority", lambda: {"chapters": [94]}),
    "/issuers/{organisation}/suspension": ("authority", lambda: {"since": "2026-03-01T00:00:00Z"}),
    "/verify": (None, lambda: {"format": "provenport-evidence", "version": 1, "record": "x"}),
}


def rows(system):
    """How many rows there are of whatever a request could store."""
    with system.ctx.work(reading=True) as work:
        session = work._session
        kept = ("record", "consignment", "decision", "organisation", "person", "stored_file", "accreditation_change")
        return {name: len(session.execute(metadata.tables[name].select()).fetchall()) for name in kept}


def assert_problem(answer, *statuses):
    text = answer.get_data(as_text=True)
    assert answer.status_code in statuses, (answer.status_code, text)
    assert answer.content_type == "application/problem+json", text
    problem = json.loads(text)
    assert problem["status"] == answer.status_code
    assert problem["title"]
    assert problem["code"]
    assert problem["type"].endswith(f"#{problem['code']}")
    return problem


HOSTILE = {
    "an empty body": b"",
    "not JSON": b"hello",
    "half an object": b'{"a":',
    "not a number": b'{"quantity": NaN}',
    "infinity": b'{"quantity": -Infinity}',
    "a key twice": b'{"reason": "a", "reason": "b"}',
    "5,000 levels": DEEP.encode(),
    "5,000 levels inside": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "a 21-digit integer": b'{"quantity": 123456789012345678901}',
    "a 100,000-digit integer": b'{"quantity": ' + b"1" * 100_000 + b"}",
    "half a surrogate": b'{"reason": "\\ud800"}',
    "not UTF-8": b'{"reason": "\xff"}',
    "another encoding": '{"reason": "x"}'.encode("utf-16"),
    "a tiny number": b'{"quantity": 1e-99999999999999999999}',
    "a huge number": b'{"quantity": 1e99999999999999999999}',
}
SHAPES = {"an array": [], "objects in an array": [{}], "a text": "x", "a number": 5, "null": None, "true": True}


@pytest.mark.parametrize("path", GOOD)
@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_bytes_are_refused(api, path, body):
    who, _ = GOOD[path]
    assert_problem(api.post(path.format(**api.things), who, data=body, content_type="application/json"), 400)


@pytest.mark.parametrize("path", GOOD)
def test_other_shapes_are_refused(api, path):
    who, _ = GOOD[path]
    for shape in SHAPES.values():
        data = json.dumps(shape)
        answer = api.post(path.format(**api.things), who, data=data, content_type="application/json")
        assert_problem(answer, 400, 422)


@pytest.mark.parametrize("path", [path for path in GOOD if path != "/verify"])
def test_each_member_of_the_wrong_type_is_refused(api, system, path):
    who, good = GOOD[path]
    before = rows(system)
    for name in good():
        for wrong in ([], {}, {"a": 1}, [None], [[1]]):
            if name == "chapters" and wrong in ([], [[1]]):
                continue
            if wrong == [] and name in ("attachments", "records"):
                continue
            problem = assert_problem(api.post(path.format(**api.things), who, good() | {name: wrong}), 422)
            assert any(fault["field"].startswith(name) for fault in problem["errors"]), (name, wrong)
    assert rows(system) == before


@pytest.mark.parametrize(
    "path", [path for path in GOOD if path not in ("/verify", "/issuers/{organisation}/accreditation")]
)
def test_each_member_that_is_missing_is_named(api, system, path):
    who, good = GOOD[path]
    before = rows(system)
    optional = {"since", "packageQuantity"}
    for name in set(good()) - optional:
        fields = good()
        del fields[name]
        problem = assert_problem(api.post(path.format(**api.things), who, fields), 422)
        assert name in {fault["field"] for fault in problem["errors"]}
    assert rows(system) == before


COLUMNS = ["status", "owner", "issuer", "holder", "recordedAt", "issuedAt", "digest", "signedJwt", "batchId", "place",
           "assurance", "supersedes", "labelCode", "id", "isActive", "passwordHash", "officerId", "verdict",
           "released_at", "merchant_id"]  # fmt: skip


@pytest.mark.parametrize("path", [path for path in GOOD if path != "/verify"])
def test_nobody_sets_what_the_system_sets(api, system, path):
    who, good = GOOD[path]
    before = rows(system)
    for name in COLUMNS:
        assert_problem(api.post(path.format(**api.things), who, good() | {name: "x"}), 422)
    assert rows(system) == before


def test_a_merchant_does_not_lodge_in_anothers_name(api):
    assert_problem(api.post("/declarations", "merchant", lodgement_fields(merchant={"name": "Rival"})), 422)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("arrivalDateTime", "2026-11-01", "2026-03-31T14:05+08:00"),
        ("arrivalDateTime", "1764400000", "2026-03-31T14:05+08:00"),
        ("arrivalDateTime", "2026-02-30T08:00:00Z", "2026-02-30"),
        ("movementDate", "2026-02-30", "2026-02-30"),
        ("direction", "out", "'export', 'import'"),
        ("previousProcedureTypeCode", "1210", "'9610', '9710', '9810'"),
    ],
)
def test_program_is_told_precisely_in_chinese(api, name, value, words):
    """What forms say of their pickers would send a program the wrong way."""
    chinese = {"Accept-Language": "zh"}
    answer = api.post("/declarations", "merchant", lodgement_fields(**{name: value}), headers=chinese)
    (fault,) = assert_problem(answer, 422)["errors"]
    assert fault["field"] == name
    assert words in fault["message"]
    assert " or " not in fault["message"]


@pytest.mark.parametrize("name", ["customs_office", "CustomsOffice", "customsoffice"])
def test_field_in_another_spelling_is_refused(api, name):
    fields = lodgement_fields(declarationReference=api.fresh("D"))
    fields[name] = fields.pop("customsOffice")
    problem = assert_problem(api.post("/declarations", "merchant", fields), 422)
    assert {fault["field"] for fault in problem["errors"]} == {name, "customsOffice"}


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "text/xml", ""])
def test_another_content_type_is_refused(api, content_type):
    data = json.dumps(certificate_fields(certificateNumber=api.fresh("C")))
    answer = api.post("/certificates-of-origin", "chamber", data=data, content_type=content_type)
    assert_problem(answer, 400, 415)


@pytest.mark.parametrize("path", ["/files", "/verify", "/certificates-of-origin"])
def test_a_body_beyond_the_limit_is_refused(api, system, path):
    who = GOOD.get(path, ("merchant",))[0]
    before = rows(system)
    answer = api.post(path, who, data=b" " * 22 * 1024 * 1024, content_type="application/json")
    assert_problem(answer, 413)
    assert rows(system) == before


TEXTS = [
    "'; DROP TABLE record; --",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }} ${7*7} %s {issuer}",
    '=HYPERLINK("http://x")',
    "../../etc/passwd",
    "义乌 🧵 \\u0041 \"quoted\" 'single' `back`",
]


@pytest.mark.parametrize("text", TEXTS)
def test_text_comes_back_as_it_went_in(api, text):
    made = api.certificate(description=text)
    answer = api.get(f"/records/{made['id']}", "chamber")
    assert answer.get_json()["document"]["description"] == text
    assert answer.content_type.startswith("application/json")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "changes",
    [
        {"validUntil": "9999-12-31"},
        {"issueDate": "0001-01-01"},
        {"issueDate": "9999-12-31", "validUntil": "9999-12-31"},
    ],
    ids=str,
)
def test_dates_at_the_calendars_ends_bring_no_crash(api, changes):
    answer = api.post(
        "/certificates-of-origin", "chamber", certificate_fields(certificateNumber=api.fresh("C"), **changes)
    )
    assert answer.status_code in (201, 422)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"issueDate": f"{datetime.now(UTC) + timedelta(days=400):%Y-%m-%d}"}, "issueDate"),
        ({"freeTradeAgreementName": "RCEP", "importCountry": "US"}, "freeTradeAgreementName"),
        ({"freeTradeAgreementName": "RCEP", "originCriteria": "NP"}, "originCriteria"),
        ({"freeTradeAgreementName": "RCEP", "validUntil": "2029-01-01"}, "validUntil"),
        ({"freeTradeAgreementName": "USMCA"}, "freeTradeAgreementName"),
    ],
    ids=str,
)
def test_certificate_that_cannot_hold_is_refused(api, changes, field):
    fields = certificate_fields(certificateNumber=api.fresh("C"), **changes)
    answer = api.post("/certificates-of-origin", "chamber", fields)
    assert_problem(answer, 422)
    assert [error["field"] for error in answer.get_json()["errors"]] == [field]


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_arrivals_at_the_calendars_ends_are_refused(api, moment):
    path = f"/declarations/{api.things['declaration']}/arrival"
    assert_problem(api.post(path, "merchant", {"arrivedAt": moment}), 422)
    assert_problem(api.post("/declarations", "merchant", lodgement_fields(arrivalDateTime=moment)), 422)


@pytest.mark.parametrize(
    ("member", "loose"),
    [("conforms", "yes"), ("conforms", 1), ("issueDate", 1767225600), ("performedFrom", "2026-02-20T00:00:00")],
)
def test_value_of_another_type_is_refused(api, member, loose):
    fields = report_fields(reportNumber=api.fresh("R"), **{member: loose})
    assert_problem(api.post("/inspection-reports", "laboratory", fields), 422)


@pytest.mark.parametrize(
    ("member", "loose", "where"),
    [
        ("arrivalDateTime", 1767225600, "arrivalDateTime"),
        ("arrivalDateTime", "1767225600", "arrivalDateTime"),
        ("arrivalDateTime", "2026-03-01", "arrivalDateTime"),
        ("arrivalDateTime", "2026-02-29T08:30Z", "arrivalDateTime"),
        ("grossWeightMeasure", "1e2", "grossWeightMeasure"),
        ("grossWeightMeasure", "1_00", "grossWeightMeasure"),
        ("grossWeightMeasure", 100, "grossWeightMeasure"),
        ("packageQuantity", "10", "packageQuantity"),
        ("packageQuantity", True, "packageQuantity"),
        ("movementDate", 0, "movementDate"),
        ("movementDate", "2026-02-29", "movementDate"),
        ("items", [lodgement_fields()["items"][0] | {"quantity": "1e3"}], "items.0.quantity"),
        ("items", [lodgement_fields()["items"][0] | {"quantity": 200}], "items.0.quantity"),
        ("items", [lodgement_fields()["items"][0] | {"hsCode": "901110000999"}], "items.0.hsCode"),
        ("items", [lodgement_fields()["items"][0] | {"hsCode": "99052100"}], "items.0.hsCode"),
    ],
)
def test_lodgement_is_held_to_its_description(api, member, loose, where):
    fields = lodgement_fields(declarationReference=api.fresh("D"), **{member: loose})
    problem = assert_problem(api.post("/declarations", "merchant", fields), 422)
    assert [fault["field"] for fault in problem["errors"]] == [where]
    assert "range" not in problem["errors"][0]["message"]  # the parser's own English


def test_described_types_are_known_with_optional_members():
    described = Declaration.model_json_schema()
    good = lodgement_fields(netWeightMeasure=None, merchant={"name": "M"}, packageQuantity=10.0)
    assert not list(type_faults(described, described["$defs"], good, ""))
    assert [where for where, _ in type_faults(described, described["$defs"], good | {"note": 1}, "")] == ["note"]


def test_a_field_spelled_two_ways_is_refused(api):
    fields = certificate_fields(certificateNumber=api.fresh("C"), hs_code="010121")
    assert_problem(api.post("/certificates-of-origin", "chamber", fields), 422)


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "status=OPEN", "status=lodged", "owner=me"])
def test_a_wrong_query_is_refused(api, query):
    assert_problem(api.get(f"/declarations?{query}", "officer"), 422)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not-found"),
        ("GET", "/records", 404, "not-found"),
        ("DELETE", "/declarations", 405, "method-not-allowed"),
        ("GET", "/verify", 405, "method-not-allowed"),
    ],
)
def test_an_address_that_is_none_is_told_so(api, method, path, status, code):
    assert assert_problem(api.call(method, path, "merchant"), status)["code"] == code


# Files


def locked_pdf():
    return PDF.replace(b"/Root 1 0 R", b"/Root 1 0 R /Encrypt 4 0 R /ID [<00> <00>]")


FILES = {
    "text": b"hello",
    "text with a PDF's first line": b"%PDF-1.4\nhello",
    "a zip archive": b"PK\x03\x04" + b"\x00" * 100,
    "a page": b"<html><script>alert(1)</script></html>",
    "a picture": b"\x89PNG\r\n\x1a\n" + b"\x00" * 50,
    "a PDF without pages": PDF.replace(b"/Kids [3 0 R] /Count 1", b"/Kids [] /Count 0"),
    "a PDF that starts late": b"<html>" + PDF,
    "half a PDF": PDF[: len(PDF) // 2],
    "a locked PDF": locked_pdf(),
    "nothing": b"",
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES.keys())
def test_what_is_no_pdf_is_refused(api, system, content):
    before = rows(system)
    assert_problem(api.post("/files", "merchant", data=content, content_type="application/pdf"), 422)
    assert rows(system) == before


def test_a_pdf_is_kept_once(api, system):
    first = api.post("/files", "merchant", data=PDF, content_type="application/pdf")
    before = rows(system)
    again = api.post("/files", "merchant", data=PDF, content_type="application/pdf")
    assert first.status_code == again.status_code == 201
    assert first.get_json() == again.get_json()
    assert rows(system) == before


def test_a_pdf_may_come_as_a_forms_part(api):
    answer = api.post("/files", "merchant", data={"file": (io.BytesIO(PDF), "../../../etc/passwd")})
    assert answer.status_code == 201


def test_a_damaged_pdf_never_brings_a_crash(system):
    """2,000 seeded damages to a small document."""
    chance = random.Random(7)
    for _ in range(2000):
        content = bytearray(PDF)
        for _ in range(chance.randint(1, 8)):
            match chance.randint(0, 2):
                case 0:
                    content[chance.randrange(5, len(content))] = chance.randrange(256)
                case 1:
                    del content[(start := chance.randrange(5, len(content))) : start + chance.randint(1, 20)]
                case 2:
                    content[chance.randrange(5, len(content)) : 0] = chance.choice(
                        [b"<<", b"/Kids [2 0 R]", b"-1 0 R", b"9" * 30]
                    )
            if len(content) < 20:
                break
        assert is_pdf(bytes(content)) in (True, False)


# The same request twice


def test_the_same_request_is_done_once(api, system):
    fields, key = certificate_fields(certificateNumber=api.fresh("C")), {"Idempotency-Key": api.fresh("k")}
    first = api.post("/certificates-of-origin", "chamber", fields, headers=key)
    before = rows(system)
    again = api.post("/certificates-of-origin", "chamber", fields, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.get_json() == again.get_json()
    assert rows(system) == before


def test_another_request_under_a_used_key_is_refused(api):
    key = {"Idempotency-Key": api.fresh("k")}
    api.post("/invoices", "merchant", invoice_fields(invoiceNumber=api.fresh("I")), headers=key)
    other = api.post("/invoices", "merchant", invoice_fields(invoiceNumber=api.fresh("I")), headers=key)
    assert assert_problem(other, 422)["code"] == "idempotency-key-reused"
    elsewhere = api.post(
        "/declarations", "merchant", lodgement_fields(declarationReference=api.fresh("D")), headers=key
    )
    assert_problem(elsewhere, 422)


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
def test_a_key_that_is_none_is_refused(api, key):
    body = invoice_fields(invoiceNumber=api.fresh("I"))
    assert_problem(api.post("/invoices", "merchant", body, headers={"Idempotency-Key": key}), 422)


def test_long_list_is_refused_before_being_stored(api, system):
    before = rows(system)
    assert_problem(api.post("/declarations", "merchant", lodgement_fields(items=[goods_item()] * 201)), 422)
    assert_problem(api.post("/declarations", "merchant", lodgement_fields(records=["x"] * 51)), 422)
    assert rows(system) == before
