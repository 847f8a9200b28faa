"""Jurisdiction as officers and merchants meet it: over the interface, on the pages, and in the demonstration."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.helpers.builders import Api, lodgement_fields
from tests.web.test_lost_updates import browser  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("nothing_delegated")
EXAMINE = {"decision": "examine", "reason": "look"}


@pytest.fixture(scope="module")
def api(app, people):
    return Api(app.test_client(), people)


@pytest.fixture
def delegated(api):
    """Yiwu lets Ningbo act; taken back at the end."""
    offices = api.get("/customs-offices", "merchant").get_json()["offices"]
    other = next(one["organisation"] for one in offices if one["office"] == "CNNBO")
    until = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    made = api.post("/office-delegations", "officer", {"office": "CNYIU", "organisation": other, "until": until})
    assert made.status_code == 201
    yield made.get_json()
    assert api.post(f"/office-delegations/{made.get_json()['id']}/end", "officer").status_code == 201


def of(api, who):
    return {one["reference"] for one in api.get("/declarations?limit=200", who).get_json()["declarations"]}


def statuses(api, declaration, certificate):
    """What the officer of the other office is answered, wherever the declaration or its papers could be reached."""
    who, tag = "officer-ningbo", {"If-Match": '"1"'}
    return [
        api.get(f"/declarations/{declaration}", who).status_code,
        api.get(f"/declarations/{declaration}/evidence", who).status_code,
        api.get(f"/records/{declaration}", who).status_code,
        api.get(f"/records/{certificate}", who).status_code,
        api.get(f"/records/{certificate}/evidence", who).status_code,
        api.post(f"/declarations/{declaration}/decisions", who, EXAMINE, headers=tag).status_code,
    ]


def test_demonstration_has_two_offices(api):
    """One of its declarations lies before Ningbo, the others before Yiwu."""
    assert {"MS-DEMO-001", "MS-DEMO-002"} <= of(api, "officer")
    assert "MS-DEMO-003" not in of(api, "officer")
    assert of(api, "officer-ningbo") == {"MS-DEMO-003"}


def test_other_offices_declaration_does_not_exist(api):
    certificate = api.certificate()["id"]
    declaration = api.declaration([{"id": certificate}])["id"]
    assert statuses(api, declaration, certificate) == [404] * 6
    answer = api.get(f"/declarations?after={declaration}", "officer-ningbo")
    assert answer.status_code == api.get("/declarations?after=nobody", "officer-ningbo").status_code == 404
    assert declaration not in api.get("/clearance-events", "officer-ningbo").text
    assert declaration in api.get("/clearance-events", "officer").text
    assert declaration in api.get("/clearance-events", "analyst").text


def test_delegated_declaration_is_read_and_decided(api, delegated):
    certificate = api.certificate()["id"]
    declaration = api.declaration([{"id": certificate}])["id"]
    assert statuses(api, declaration, certificate) == [200] * 5 + [201]
    (taken,) = api.get(f"/declarations/{declaration}", "officer").get_json()["decisions"]
    assert taken["office"] == "Ningbo Customs Office (demo)"


def test_pages_of_the_other_office_show_nothing(api, browser):  # noqa: F811
    made = api.declaration([])
    reference = api.get(f"/declarations/{made['id']}", "merchant").get_json()["reference"]
    own, other = browser("officer"), browser("officer-ningbo")
    assert own.get(f"/desk/{made['id']}").status_code == 200
    assert other.get(f"/desk/{made['id']}").status_code == 404
    for path in ("/desk?status=all", "/"):
        assert reference in own.get("/desk?status=all").text
        assert reference not in other.get(path).text


def test_delegation_shows_on_both_sides_pages(delegated, browser):  # noqa: F811
    for who in ("officer", "officer-ningbo", "authority"):
        page = browser(who).get("/customs-offices")
        assert page.status_code == 200
        assert "Ningbo Customs Office (demo)" in page.text
        is_own = f"/customs-offices/delegations/{delegated['id']}/end" in page.text
        assert is_own is (who != "officer-ningbo")
    assert browser("merchant").get("/customs-offices").status_code == 404


@pytest.mark.parametrize("office", ["CNSGH", "Yiwu, second floor"])
def test_lodging_to_unknown_office_names_the_field(api, office):
    fields = lodgement_fields(declarationReference=api.fresh("D"), customsOffice=office)
    answer = api.post("/declarations", "merchant", fields)
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.get_json()["errors"]] == ["customsOffice"]


def test_merchant_chooses_office_from_a_list(api, browser):  # noqa: F811
    certificate = api.certificate()["id"]
    page = browser("merchant").get(f"/declarations/new?records={certificate}").text
    offered = page.partition('<datalist id="offices">')[2].partition("</datalist>")[0]
    assert '<option value="2925">' in offered
    assert '<option value="CNYIU">' in offered
    assert 'list="offices"' in page
