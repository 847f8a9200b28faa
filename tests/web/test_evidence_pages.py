"""Pages to sign, show and erase papers and to stop keys; and the schemas that the server publishes."""

import json
import re

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from backend.cli.main import cli
from backend.domain.kinds import BY_SLUG, CERTIFIED, KINDS, OWN, Kind
from tests.helpers.builders import (
    FIELDS,
    Api,
    certificate_fields,
    order_fields,
    receipt_fields,
    waybill_fields,
)
from tests.helpers.postgres import installation_at
from tests.web.test_pages import Browser, browser, signed_in  # noqa: F401 - fixtures


@pytest.fixture(scope="module")
def api(app, people):
    return Api(app.test_client(), people)


@pytest.fixture
def merchant(signed_in):  # noqa: F811
    return signed_in("merchant")


def filled(page: str) -> dict[str, str]:
    """What the form holds already, as a browser would send it."""
    inputs = re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', page)
    return {name: value for name, value in inputs if name not in ("csrf_token", "language", "back")}


TYPED = {
    "order": {
        "order_reference": "PAGE-ORDER-1",
        "buyer-name": "Lim",
        "total_amount": "12.5",
        "items-0-description": "Lamp",
        "items-0-quantity": "2",
        "items-0-unit_code": "H87",
        "items-0-amount": "12.5",
    },
    "payment-receipt": {
        "receipt_reference": "PAGE-PAY-1",
        "order_reference": "PAGE-ORDER-1",
        "amount": "12.5",
        "paid_date_time": "2026-03-01T09:30",
    },
    "waybill": {
        "waybill_reference": "PAGE-WAY-1",
        "carrier-name": "Air Cargo",
        "transport_mode_code": "4",
        "destination_country": "新加坡",
        "description": "Lamps",
        "gross_weight_measure": "3.2",
    },
    "invoice": {
        "invoice_number": "PAGE-INV-1",
        "buyer-name": "Lim",
        "total_amount": "12.5",
        "items-0-description": "Lamp",
        "items-0-quantity": "2",
        "items-0-unit_code": "H87",
        "items-0-amount": "12.5",
    },
    "movement-event": {
        "event_reference": "PAGE-MOVE-1",
        "event_type": "departed",
        "event_date_time": "2026-03-01T22:00",
        "location_name": "Hangzhou",
        "waybill_reference": "PAGE-WAY-1",
    },
}


@pytest.mark.parametrize("slug", TYPED)
def test_a_merchant_signs_each_paper_of_its_trade(merchant, slug):
    assert f"/papers/new/{slug}" in merchant.get("/papers/new")
    page = merchant.get(f"/papers/new/{slug}")
    answer = merchant.post(f"/papers/new/{slug}", {**filled(page), **TYPED[slug]})
    sheet = merchant.get(answer.headers["Location"])
    number = next(iter(TYPED[slug].values()))
    assert number in sheet
    if slug == "payment-receipt":
        assert "1 Mar 2026 09:30 China time" in sheet
    again = merchant.post(f"/papers/new/{slug}", {**filled(page), **TYPED[slug]}, status=422).text
    assert "before: give another one" in again


def test_faults_stand_at_their_fields_in_both_languages(merchant):
    page = merchant.get("/papers/new/waybill")
    typed = {**filled(page), "waybill_reference": "X", "consignor-identifier": "91330782DEM000001X"}
    for language, words in (("en", "mistyped"), ("zh", "校验位不符")):
        merchant.client.set_cookie("language", language)
        refused = merchant.post("/papers/new/waybill", typed, status=422).text
        assert words in refused[refused.index('id="consignor-identifier"') :]
    merchant.client.set_cookie("language", "en")


def test_a_merchant_shows_a_bank_what_it_needs(merchant, api, settle):
    certificate = api.certificate()
    settle()
    page = merchant.get(f"/records/{certificate['id']}/show?audience=public-label")
    ticked = re.findall(r'name="field" value="(\w+)" id="f-\w+" checked', page)
    assert set(ticked) == {"originCountry", "description", "hsCode", "issueDate", "quantity"}
    query = "&".join(f"field={name}" for name in ticked)
    bundle = json.loads(merchant.get(f"/records/{certificate['id']}/presentation.json?{query}"))
    verdict = api.post("/verify", None, bundle).get_json()
    assert verdict["verdict"] == "VALID", verdict["summary"]
    assert bundle["records"][0]["record"].count("~") == len(ticked) + 1
    same = api.get(f"/records/{certificate['id']}/presentation?audience=public-label", "merchant").get_json()
    assert same["records"][0]["record"] == bundle["records"][0]["record"]


def test_a_record_tells_what_it_was_worth_earlier(merchant, api, settle):
    certificate = api.certificate()
    settle()
    record = f"/records/{certificate['id']}"
    assert "It was not issued yet" in merchant.get(f"{record}?at=2026-01-01T10:00")
    assert "future" in merchant.get(f"{record}?at=2099-01-01T10:00")
    assert "Give date and time" in merchant.get(f"{record}?at=yesterday")
    answer = api.get(f"{record}?at=2026-01-01T10:00:00Z", "merchant").get_json()
    assert answer["verdict"]["verdict"] == "INVALID"
    assert answer["verdict"]["at"].startswith("2026-01-01T10:00")
    assert api.get(f"{record}?at=2099-01-01T10:00:00Z", "merchant").status_code == 422


def test_merchant_erases_a_paper_only_after_confirming(merchant, api, settle):
    """The page tells first what goes for good; afterwards neither evidence nor label is served."""
    certificate = api.certificate()
    settle()
    path = f"/records/{certificate['id']}/erase"
    assert "What goes for good" in merchant.get(path)
    assert "Tick this first" in merchant.post(path, status=422).text
    sheet = merchant.get(merchant.post(path, {"sure": "yes"}).headers["Location"])
    assert "Erased by its holder" in sheet
    assert certificate["id"] in sheet
    told = api.get(f"/records/{certificate['id']}", "merchant").get_json()
    assert (told["document"], told["verdict"]["verdict"]) == (None, "INDETERMINATE")
    assert api.get(f"/records/{certificate['id']}/evidence", "merchant").status_code == 409
    assert "erased already" in merchant.get(path, status=422)
    assert "We do not know this label" in merchant.get(f"/p/{certificate['labelUrl'].rsplit('/', 1)[1]}", status=404)
    assert "Papers" in merchant.get("/records")


def test_paper_that_customs_need_is_not_erased(merchant, api, settle):
    certificate = api.certificate()
    api.declaration([certificate])
    settle()
    assert "have not decided" in merchant.get(f"/records/{certificate['id']}/erase", status=422)
    merchant.post(f"/records/{certificate['id']}/erase", {"sure": "yes"}, status=422)


def test_authority_replaces_an_issuers_key_and_stops_it(signed_in, api, settle):  # noqa: F811
    authority = signed_in("authority")
    body = {"role": "chamber", "name": "Chamber With Keys", "email": f"{api.fresh('keys')}@example.org"}
    joined = api.post("/organisations", "authority", body).get_json()
    api.post(f"/issuers/{joined['id']}/accreditation", "authority", {})
    settle()
    assert f"/keys/{joined['key']}" in authority.get("/accreditations")
    authority.post(f"/accreditations/{joined['id']}/new-key")
    settle()
    assert "Gave way to another key" in authority.get(f"/keys/{joined['key']}")
    api.bearers["keys"] = {"Authorization": f"Bearer {joined['token']}"}
    fields = certificate_fields(certificateNumber=api.fresh("K"))
    certificate = api.post("/certificates-of-origin", "keys", fields).get_json()
    settle()
    verdict = api.get(f"/records/{certificate['id']}", "keys").get_json()["verdict"]
    assert verdict["verdict"] == "VALID", verdict["summary"]
    assert f"/keys/{joined['key']}" not in authority.get("/accreditations")
    page = authority.get(f"/keys/{joined['key']}?since=2026-03-01T08:00")
    assert "Records signed since: 0" in page
    stopped = authority.post(f"/keys/{joined['key']}", {"since": "2026-03-01T08:00"})
    settle()
    assert "Not trusted since" in authority.get(stopped.headers["Location"])


# Schemas


def test_the_server_publishes_every_schema_where_it_says(browser):  # noqa: F811
    index = json.loads(browser.get("/schemas"))["schemas"]
    assert {entry["kind"] for entry in index} == set(BY_SLUG)
    for entry in index:
        schema = json.loads(browser.get(entry["url"]))
        Draft202012Validator.check_schema(schema)
        assert schema["$id"] == entry["id"]
    browser.get("/schemas/waybill/v3.json", status=404)
    browser.get("/schemas/poem/v1.json", status=404)


def test_every_stored_record_fits_its_named_schema(system, browser, api):  # noqa: F811
    for stated in (KINDS[kind] for kind in CERTIFIED + OWN):
        fields = FIELDS[stated.kind](**{stated.number_field: api.fresh("N")})
        assert api.post(f"/{stated.collection}", min(stated.signed_by), fields).status_code == 201
    api.declaration()
    addresses = {entry["id"]: entry["url"] for entry in json.loads(browser.get("/schemas"))["schemas"]}
    served = {name: Draft202012Validator(json.loads(browser.get(url))) for name, url in addresses.items()}
    with system.ctx.work(reading=True) as work:
        stored = [r for o in work.organisations.all() for r in work.records.readable_of(o)]
        records = {record.id: record.sd_jwt for record in stored}
        kinds = {record.kind for record in stored}
    assert kinds == set(Kind)
    for record in records.values():
        credential = {**record.payload, "credentialSubject": record.subject}
        named = credential["credentialSchema"]
        assert named["type"] == "JsonSchema"
        assert [error.message for error in served[named["id"]].iter_errors(credential)] == []


def test_an_operator_erases_a_record_for_its_holder(system, api, settle):
    certificate = api.certificate()
    settle()

    def run(*arguments):
        environment = installation_at(system.folder.path)
        return CliRunner().invoke(cli, ["erase", *arguments], env=environment)

    assert "Nothing was erased" in run(certificate["id"]).output
    assert api.get(f"/records/{certificate['id']}", "merchant").get_json()["erasedAt"] is None
    assert "Erased 1 record(s)" in run(certificate["id"], "--yes").output
    assert api.get(f"/records/{certificate['id']}", "merchant").get_json()["erasedAt"]
    assert run(certificate["id"], "--yes").exit_code == 1


def test_dossier_of_signed_papers_is_matched_seven_ways(signed_in, api, settle):  # noqa: F811
    order, waybill = api.fresh("ORDER"), api.fresh("WAYBILL")
    us = {"name": api.get("/me", "merchant").get_json()["organisation"]}
    paid = receipt_fields(receiptReference=api.fresh("P"), orderReference=order, payee=us)
    signed = [
        api.post("/orders", "merchant", order_fields(orderReference=order, seller=us)).get_json(),
        api.post("/payment-receipts", "merchant", paid).get_json(),
        api.post("/waybills", "merchant", waybill_fields(waybillReference=waybill, consignor=us)).get_json(),
    ]
    invoice = api.invoice(orderReference=order, seller=us)
    report, certificate = api.report(), api.certificate()
    papers = [*signed, invoice, report, certificate]
    declaration = api.declaration(papers, orderReference=order, waybillReference=waybill)
    settle()
    found = api.get(f"/declarations/{declaration['id']}", "officer").get_json()
    assert found["verdict"]["verdict"] == "VALID", found["verdict"]["summary"]
    assert len(found["records"]) == 6
    codes = {check["code"] for check in found["verdict"]["checks"]}
    assert {"MATCH_ORDER", "MATCH_PAYMENT", "MATCH_WAYBILL", "MATCH_QUANTITY", "CONFORMITY"} <= codes
    assert waybill in signed_in("officer").get(f"/desk/{declaration['id']}")

    other = api.declaration(papers[:3], orderReference=api.fresh("ELSE"), waybillReference=waybill)
    settle()
    told = api.get(f"/declarations/{other['id']}", "officer").get_json()["verdict"]
    assert told["verdict"] == "INVALID"
    assert {check["reason"] for check in told["checks"] if check["outcome"] == "fail"} == {"order-differs"}
