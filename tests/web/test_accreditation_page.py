"""The authority's page changes an accreditation as its reader does: sees what stands, what changes, and confirms."""

import pytest

from backend.messages.catalogue import gettext
from tests.helpers.builders import Api, certificate_fields
from tests.helpers.forms import fill, read_page
from tests.web.test_pages import Browser, browser, signed_in  # noqa: F401 - fixtures


@pytest.fixture(scope="module")
def api(app, people):
    return Api(app.test_client(), people)


@pytest.fixture
def chamber(api, settle):
    """A chamber of its own, accredited for chapters 61 to 94, which has signed a certificate."""
    body = {"role": "chamber", "name": "Page Chamber", "email": f"{api.fresh('page')}@example.org"}
    joined = api.post("/organisations", "authority", body).get_json()
    terms = {"chapters": list(range(61, 95)), "validFrom": "2026-01-01T00:00:00Z"}
    api.post(f"/issuers/{joined['id']}/accreditation", "authority", terms)
    settle()
    api.bearers["page"] = {"Authorization": f"Bearer {joined['token']}"}
    answer = api.post("/certificates-of-origin", "page", certificate_fields(certificateNumber=api.fresh("P")))
    assert answer.status_code == 201, answer.text
    settle()
    return joined | {"record": answer.get_json()["id"]}


@pytest.fixture(params=["en", "zh"])
def authority(signed_in, request):  # noqa: F811
    browser = signed_in("authority")  # noqa: F811
    browser.get("/accreditations")
    browser.post("/language", {"language": request.param, "back": "/accreditations"})
    yield browser
    browser.get("/accreditations")
    browser.post("/language", {"language": "en", "back": "/accreditations"})


def form_of(text, chamber):
    page = read_page(text)
    action = f"/accreditations/{chamber['id']}/accredit"
    return next(form for form in page.forms if form.action == action), page


def offered(authority, chamber, **own):
    """What the page's form for this chamber would send, with ``own`` typed over it."""
    return dict(fill(*form_of(authority.get("/accreditations"), chamber), own=own))


def ask(authority, chamber, fields, status=200):
    return authority.post(f"/accreditations/{chamber['id']}/accredit", fields, status).get_data(as_text=True)


def state(api, chamber):
    """From when and until when the ledger accredits the chamber, and what it says of its certificate."""
    listed = api.get("/issuers", "officer").get_json()["issuers"]
    found = next(one for one in listed if one["id"] == chamber["id"])
    verdict = api.get(f"/records/{chamber['record']}", "page").get_json()["verdict"]["verdict"]
    return found["validFrom"], found["validUntil"], verdict


def test_form_holds_what_stands_and_changes_nothing(authority, api, chamber, settle):
    before = state(api, chamber)
    fields = offered(authority, chamber)
    assert (fields["chapters"], fields["valid_from"]) == ("61-94", "2026-01-01")
    ask(authority, chamber, fields, 302)
    settle()
    assert state(api, chamber) == before
    assert before[2] == "VALID"


def test_change_is_shown_then_done_once_confirmed(authority, api, chamber, settle):
    before = state(api, chamber)
    shown = ask(authority, chamber, offered(authority, chamber, chapters="61, 62"))
    assert all(chapters in shown for chapters in ("61-94", "61-62", "63-94"))
    settle()
    assert state(api, chamber) == before
    form, page = form_of(shown, chamber)
    ask(authority, chamber, dict(fill(form, page)), 302)
    settle()
    assert "61-62" in authority.get("/accreditations")
    assert state(api, chamber) == before  # what it signed for chapter 94 stays VALID
    refused = api.post("/certificates-of-origin", "page", certificate_fields(certificateNumber=api.fresh("P")))
    assert (refused.status_code, refused.get_json()["code"]) == (422, "outside-accreditation")
    assert refused.get_json()["errors"][0]["field"] == "hsCode"
    label = api.get(f"/records/{chamber['record']}/evidence", "page").get_json()
    assert api.post("/verify", None, label).get_json()["verdict"] == "VALID"


@pytest.mark.parametrize("empty", ["chapters", "valid_from", "valid_until"])
def test_empty_field_is_asked_for(authority, api, chamber, settle, empty):
    before = state(api, chamber)
    fields = offered(authority, chamber) | {empty: ""}
    assert read_page(ask(authority, chamber, fields, 422)).faults
    ask(authority, chamber, fields | {"sure": "yes"}, 422)
    settle()
    assert state(api, chamber) == before


def test_form_without_fields_changes_nothing(authority, api, chamber, settle):
    before = state(api, chamber)
    ask(authority, chamber, {"version": offered(authority, chamber)["version"]}, 422)
    settle()
    assert state(api, chamber) == before


def test_terms_changed_meanwhile_are_shown_anew(authority, api, chamber, settle):
    shown = ask(authority, chamber, offered(authority, chamber, chapters="61"))
    form, page = form_of(shown, chamber)
    api.post(f"/issuers/{chamber['id']}/accreditation", "authority", {"chapters": [61, 94]})
    settle()
    again = ask(authority, chamber, dict(fill(form, page)), 412)
    assert read_page(again).faults
    settle()
    assert "61, 94" in authority.get("/accreditations")


def test_all_chapters_can_be_typed(authority, api, chamber, settle):
    shown = ask(authority, chamber, offered(authority, chamber, chapters="all"))
    form, page = form_of(shown, chamber)
    ask(authority, chamber, dict(fill(form, page)), 302)
    settle()
    certificate = certificate_fields(certificateNumber=api.fresh("P"), hsCode="010121")
    assert api.post("/certificates-of-origin", "page", certificate).status_code == 201


def test_interface_leaves_open_terms_as_they_stand(api, chamber, settle):
    api.post(f"/issuers/{chamber['id']}/accreditation", "authority", {"validUntil": "2030-01-01T00:00:00Z"})
    settle()
    assert state(api, chamber) == ("2026-01-01T00:00:00Z", "2030-01-01T00:00:00Z", "VALID")
    certificate = certificate_fields(certificateNumber=api.fresh("P"), hsCode="010121")
    assert api.post("/certificates-of-origin", "page", certificate).status_code == 422
    api.post(f"/issuers/{chamber['id']}/accreditation", "authority", {"chapters": None})
    settle()
    assert api.post("/certificates-of-origin", "page", certificate).status_code == 201


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("role", ["merchant", "laboratory"])
def test_who_is_not_accredited_reads_so_first(app, api, settle, role, language):
    body = {"role": role, "name": f"Newcomer {role} {language}", "email": f"{api.fresh('new')}@example.org"}
    joined = api.post("/organisations", "authority", body).get_json()
    client = app.test_client()
    client.set_cookie("language", language)
    form = next(form for form in read_page(client.get("/sign-in").text).forms if form.in_main)
    typed = fill(form, read_page(""), own={"email": body["email"], "password": joined["password"]})
    assert client.post("/sign-in", data=dict(typed)).status_code == 302
    told = gettext(
        "Your organisation is not accredited yet. Customs accept what it signs once the authority has done so.",
        language,
    )
    suspended = gettext("The accreditation of {name} is suspended since {since}: ask the authority.", language)
    assert told in client.get("/").text
    for act, notice in (("accreditation", None), ("suspension", suspended.partition("{since}")[2])):
        assert api.post(f"/issuers/{joined['id']}/{act}", "authority", {}).status_code == 202
        settle()
        page = client.get("/").text
        assert told not in page
        assert ('<div class="notice notice-wait">' in page) is (notice is not None)
        assert notice is None or notice in page


def test_keys_history_is_read_from_the_list(authority, api, chamber, settle):
    for act in ("suspension", "reinstatement"):
        api.post(f"/issuers/{chamber['id']}/{act}", "authority", {})
        settle()
    path = f"/keys/{chamber['key']}/history"
    assert path in authority.get("/accreditations")
    page = authority.get(path)
    lang = "zh" if '<html lang="zh' in page else "en"
    assert page.count("61-94") == 3
    words = ("Accredited", "Suspended", "Reinstated", "Lifted")
    assert [word for word in words if gettext(word, lang) not in page] == []
    assert path in authority.get(f"/keys/{chamber['key']}")
    older = authority.get(f"{path}?before=2")
    assert older.count("61-94") == 2
    assert "61-94" in authority.get(f"{path}?before=99999999999")


def test_history_shows_replaced_key_and_strangers(authority, api, chamber, settle):
    authority.post(f"/accreditations/{chamber['id']}/new-key")
    settle()
    listed = api.get("/issuers", "officer").get_json()["issuers"]
    successor = next(one["key"] for one in listed if one["id"] == chamber["id"])
    assert successor != chamber["key"]
    assert f"/keys/{successor}/history" in authority.get(f"/keys/{chamber['key']}/history")
    assert f"/keys/{chamber['key']}/history" in authority.get(f"/keys/{successor}/history")
    for unknown in ("0" * 64, "no-key"):
        authority.get(f"/keys/{unknown}/history", 404)


def test_only_the_authority_reads_the_history(signed_in, chamber):  # noqa: F811
    signed_in("chamber").get(f"/keys/{chamber['key']}/history", 404)
