"""The merchant's page for a new declaration: papers by search, pre-check, drafts; and who may not."""

import re
from html import unescape
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from backend.services import declarations as use_cases
from tests.helpers.builders import Api, lodgement_fields, order_fields, waybill_fields
from tests.helpers.forms import fill, read_page


class Desk:
    """A merchant's browser without scripts, on the page for a new declaration."""

    def __init__(self, client, somebody):
        self.client = client
        given = {"email": somebody.email, "password": somebody.password, **self.hidden("/sign-in")}
        assert client.post("/sign-in", data=given).status_code == 302
        client.set_cookie("language", "en")

    def hidden(self, path):
        return {"csrf_token": re.search(r'name="csrf_token" value="([^"]+)"', self.client.get(path).text)[1]}

    def get(self, path):
        answer = self.client.get(path, follow_redirects=True)
        assert answer.status_code == 200, answer.text
        return unescape(answer.text)

    def form(self, path):
        """The page, and what its form would send as it stands."""
        text = self.client.get(path, follow_redirects=True).text
        page = read_page(text)
        form = next((one for one in page.forms if one.in_main and one.method == "post"), None)
        sent = dict(fill(form, page)) if form else self.hidden("/account")
        return unescape(text), sent | {
            "records": re.findall(r'name="records" id="[^"]+" value="([^"]+)" checked', text)
        }

    def press(self, step, fields, **typed):
        return self.client.post("/declarations/new", data={**fields, **typed, **({"step": step} if step else {})})


@pytest.fixture(scope="module")
def api(app, people):
    return Api(app.test_client(), people)


@pytest.fixture(scope="module")
def one_desk(app, people):
    """Signed in once: an account may do so ten times a minute."""
    return Desk(app.test_client(), people["merchant"])


@pytest.fixture
def desk(one_desk):
    """With no draft."""
    one_desk.press("discard", one_desk.form("/declarations/new?choose=1&draft=1")[1])
    return one_desk


def shipment(api):
    """The ids of an order, its waybill, a certificate and a report of its goods, and the order's number."""
    order, me = api.fresh("ORDER"), {"name": api.get("/me", "merchant").get_json()["organisation"]}
    lamp = {"description": "Lamp", "hsCode": "940521", "quantity": "200", "unitCode": "H87", "amount": "1300"}
    papers = [
        api.post("/orders", "merchant", order_fields(orderReference=order, seller=me, items=[lamp])).get_json(),
        api.post(
            "/waybills",
            "merchant",
            waybill_fields(waybillReference=api.fresh("AWB"), orderReference=order, consignor=me),
        ).get_json(),
        api.certificate(),
        api.report(),
    ]
    return [paper["id"] for paper in papers], order


def test_search_keeps_what_was_chosen(desk, api):
    (first, *_), _ = shipment(api)
    (second, *_), order = shipment(api)
    page = desk.get(f"/declarations/new?choose=1&q={order}&records={first}")
    assert re.findall(r'value="([^"]+)" checked', page) == [first]
    assert f'value="{second}"' in page


def test_papers_of_same_order_are_proposed_first(desk, api):
    (order, waybill, *_), _ = shipment(api)
    page = desk.get(f"/declarations/new?choose=1&records={order}")
    offered = page[page.index("They belong with what you chose") :]
    assert re.search(r'name="records" id="[^"]+" value="([^"]+)"', offered)[1] == waybill
    assert "same order" in offered


def test_one_button_takes_what_belongs_together(desk, api):
    papers, order = shipment(api)
    location = desk.client.get(f"/declarations/new?take={papers[0]}").location
    taken = parse_qs(urlsplit(location).query)["records"]
    assert set(papers[:2]) <= set(taken)
    kinds = [api.get(f"/records/{one}", "merchant").get_json()["kind"] for one in taken]
    assert sorted(kinds) == ["certificate-of-origin", "inspection-report", "order", "waybill"]
    page, fields = desk.form(location)
    assert fields["order_reference"] == order
    assert (fields["items-0-unit_price"], fields["package_quantity"]) == ("6.5", "10")
    assert "Certified quantities" in page


def test_anothers_paper_is_neither_taken_nor_named(desk, api):
    api.admit_rival("Night Star Trading Co., Ltd.")
    theirs = api.post("/orders", "rival", order_fields(orderReference=api.fresh("O"))).get_json()["id"]
    for asked in ("take", "records"):
        assert f'id="r-{theirs}"' not in desk.get(f"/declarations/new?{asked}={theirs}&choose=1")
    told = []
    for named in (theirs, "nobody"):
        fields = lodgement_fields(declarationReference=api.fresh("D"), records=[named])
        answer = api.post("/declarations/pre-check", "merchant", fields)
        assert answer.status_code == 422
        told.append(answer.get_json() | {"requestId": ""})
    assert told[0] == told[1]  # no telling whether it exists


def test_differences_must_be_seen_before_lodging(desk, api):
    (*_, certificate, report), _ = shipment(api)
    _, fields = desk.form(f"/declarations/new?records={certificate}&records={report}")
    fields |= {"items-0-unit_price": "1", "items-0-quantity": "501", "records": [certificate, report]}
    refused = desk.press("", fields, seen="0" * 32)
    assert refused.status_code == 200
    assert "Not lodged yet" in refused.text
    assert "Tolerance: none" in refused.text
    seen = re.search(r'name="seen" value="([^"]+)"', refused.text)[1]
    others = desk.press("", fields, **{"seen": seen, "items-0-quantity": "502"})
    assert others.status_code == 200, "other differences than those that were seen"
    lodged = desk.press("", fields, seen=seen)
    assert lodged.status_code == 302
    assert api.get(lodged.location, "merchant").get_json()["document"]["items"][0]["quantity"] == "501"


def test_reference_used_meanwhile_is_told_beside_it(desk, api, monkeypatch):
    """Somebody lodges under the same reference between the pre-check and the lodging."""
    _, fields = desk.form(f"/declarations/new?records={api.certificate()['id']}")
    fields |= {"declaration_reference": api.fresh("D")}
    seen = re.search(r'name="seen" value="([^"]+)"', desk.press("", fields, seen="").text)[1]
    lodge = use_cases.lodge

    def second(*given, **more):
        monkeypatch.undo()
        api.declaration([], declarationReference=fields["declaration_reference"])
        return lodge(*given, **more)

    monkeypatch.setattr(use_cases, "lodge", second)
    answer = desk.press("", fields, seen=seen)
    assert answer.status_code == 422
    assert 'id="declaration_reference-error"' in answer.text
    assert desk.form("/declarations/new")[1]["declaration_reference"] == fields["declaration_reference"]


def test_faults_are_told_beside_their_fields(desk, api):
    _, fields = desk.form(f"/declarations/new?records={api.certificate()['id']}")
    answer = desk.press("", fields, gross_weight_measure="heavy")
    assert answer.status_code == 422
    assert 'id="gross_weight_measure-error"' in answer.text
    assert desk.press("check", fields, gross_weight_measure="heavy").status_code == 302
    page, typed = desk.form("/declarations/new?check=1")
    assert 'id="gross_weight_measure-error"' in page
    assert typed["gross_weight_measure"] == "heavy"


def test_draft_is_found_again_and_deleted(desk, api):
    certificate = api.certificate()["id"]
    _, fields = desk.form(f"/declarations/new?records={certificate}")
    assert desk.press("autosave", fields, carrier_name="Half a na").status_code == 204
    page, typed = desk.form("/declarations/new")
    assert (typed["carrier_name"], typed["records"]) == ("Half a na", [certificate])
    assert "Kept as a draft" in page
    desk.press("discard", typed)
    assert "choose papers" in desk.get("/declarations/new")


def test_lodged_declaration_leaves_no_draft(desk, api):
    _, fields = desk.form(f"/declarations/new?records={api.certificate()['id']}")
    desk.press("autosave", fields)
    seen = re.search(r'name="seen" value="([^"]+)"', desk.press("", fields, seen="").text)[1]
    assert desk.press("", fields, seen=seen).status_code == 302
    assert "choose papers" in desk.get("/declarations/new")


def test_new_papers_fill_in_what_nobody_typed(desk, api):
    (*_, certificate, _), _ = shipment(api)
    (_, waybill, *_), _ = shipment(api)
    _, fields = desk.form(f"/declarations/new?records={certificate}")
    desk.press("autosave", fields, platform_name="Typed by hand", waybill_reference="", package_quantity="1")
    _, typed = desk.form(f"/declarations/new?draft=1&records={certificate}&records={waybill}")
    assert typed["platform_name"] == "Typed by hand"
    assert (
        typed["waybill_reference"]
        == api.get(f"/records/{waybill}", "merchant").get_json()["document"]["waybillReference"]
    )


def test_draft_for_other_papers_is_not_lost_unsaid(desk, api):
    first, second = api.certificate()["id"], api.certificate()["id"]
    _, fields = desk.form(f"/declarations/new?records={first}")
    desk.press("autosave", fields, carrier_name="Slow Boats")
    page, fresh = desk.form(f"/declarations/new?records={second}")
    assert "You have a draft for other papers." in page
    assert fresh["carrier_name"] != "Slow Boats"
    assert desk.form("/declarations/new")[1]["carrier_name"] == "Slow Boats"


def test_papers_all_unticked_do_not_come_back(desk, api):
    certificate = api.certificate()["id"]
    _, fields = desk.form(f"/declarations/new?records={certificate}")
    desk.press("autosave", fields, carrier_name="Slow Boats")
    page = desk.get(f"/declarations/new?choose=1&draft=1&records={certificate}")
    hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page)
    (pressed,) = re.findall(r'<button class="btn btn-primary" name="([^"]+)" value="([^"]*)"', page)
    sent = urlencode([*(one for one in hidden if one[0] != "csrf_token"), pressed])
    _, typed = desk.form(f"/declarations/new?{sent}")
    assert typed.get("records", []) == []
    assert typed["carrier_name"] == "Slow Boats"


@pytest.mark.parametrize("role", ["chamber", "officer", "analyst", "authority"])
def test_only_merchants_have_the_desk(app, people, role):
    client = app.test_client()
    token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/sign-in").text)[1]
    client.post("/sign-in", data={"email": people[role].email, "password": people[role].password, "csrf_token": token})
    token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/account").text)[1]
    assert client.get("/declarations/new").status_code == 404
    assert client.post("/declarations/new", data={"step": "autosave", "csrf_token": token}).status_code == 404


def test_stranger_keeps_no_draft(app):
    client = app.test_client()
    token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/sign-in").text)[1]
    answer = client.post("/declarations/new", data={"step": "autosave", "csrf_token": token})
    assert answer.status_code == 302
    assert "/sign-in" in answer.location
