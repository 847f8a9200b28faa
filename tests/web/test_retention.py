"""Until when customs keep a paper, and how both sides agree to erase it: on pages, over the interface, by command."""

from datetime import datetime, timedelta
from html import unescape

import pytest
from click.testing import CliRunner

from backend.cli.main import cli
from backend.domain.parties import TokenScope
from backend.messages.catalogue import gettext
from backend.services import credentials
from tests.helpers.builders import Api
from tests.helpers.forms import fill, read_page
from tests.helpers.postgres import installation_at
from tests.web.test_lost_updates import browser  # noqa: F401 - a fixture

ASK, AGREE = {"reason": "A buyer asks for it"}, {"reason": "Not needed for the audit"}


@pytest.fixture(scope="module")
def api(app, people):
    return Api(app.test_client(), people)


def released(api, settle):
    """A certificate behind released goods, with its declaration."""
    certificate, report = api.certificate(), api.report()
    declaration = api.declaration([certificate, report])["id"]
    settle()
    body = {"decision": "release", "reason": "In order", "acceptIndeterminate": True}
    assert api.post(f"/declarations/{declaration}/decisions", "officer", body).status_code == 201
    settle()
    return f"/records/{certificate['id']}", f"/declarations/{declaration}"


def erase(api, path, **headers):
    return api.post(f"{path}/erasure", "merchant", {"confirm": "erase for good"}, headers=headers)


def test_refusal_says_until_when_and_whom_to_ask(api, settle):
    path, _ = released(api, settle)
    answer = erase(api, path)
    told = answer.get_json()
    assert (answer.status_code, answer.content_type) == (409, "application/problem+json")
    assert (told["code"], told["customsOffice"]) == ("retained", "CNYIU")
    assert told["askConsentOf"] == [api.get("/me", "officer").get_json()["organisation"]]
    until = datetime.fromisoformat(told["keptUntil"])
    assert timedelta(days=3 * 365) < until - datetime.now(until.tzinfo) < timedelta(days=3 * 366 + 2)
    assert told["keptUntil"][:10] in told["detail"]
    assert told["askConsentOf"][0] in told["detail"]
    in_chinese = erase(api, path, **{"Accept-Language": "zh"}).get_json()
    assert in_chinese["title"] == gettext("It must be kept for customs. Nothing was erased.", "zh")
    assert "须保存至" in in_chinese["detail"]
    assert api.get(path, "merchant").get_json()["document"] is not None


def test_both_sides_agree_over_the_interface(api, settle):
    path, declaration = released(api, settle)
    kept = api.get(path, "merchant").get_json()["retention"]
    assert (kept["office"], kept["requestedAt"]) == ("CNYIU", None)
    key = {"Idempotency-Key": api.fresh("K")}
    tag = api.get(path, "merchant").headers["ETag"]
    asked = [
        api.post(f"{path}/erasure-request", "merchant", ASK, headers={"If-Match": tag, **key}).get_json()
        for _ in range(2)
    ]
    assert asked[0] == asked[1]
    assert asked[0]["retention"]["requestReason"] == ASK["reason"]
    found = api.get(declaration, "officer").get_json()
    assert found["alertedAt"] is not None
    assert api.get("/declarations?alerted=true", "officer").get_json()["declarations"][0]["id"] == found["id"]
    agreed = api.post(f"{path}/erasure-consent", "officer", AGREE)
    assert agreed.status_code == 201
    assert agreed.get_json()["retention"]["office"] is None
    events = api.get(declaration, "merchant").get_json()["events"][-2:]
    assert [(one["step"], one["note"]) for one in events] == [
        ("erasure-requested", ASK["reason"]),
        ("erasure-agreed", AGREE["reason"]),
    ]
    settle()
    assert erase(api, path).status_code == 201
    told = api.get(declaration, "officer").get_json()
    assert [one["note"] for one in told["events"][-2:]] == [ASK["reason"], AGREE["reason"]]


def test_others_learn_nothing_of_the_retention(api, settle):
    """The issuer reads its certificate, but not where it was declared."""
    path, _ = released(api, settle)
    assert api.get(path, "chamber").get_json()["retention"] is None


def test_consent_needs_a_token_that_decides(api, app, people, settle, system):
    path, _ = released(api, settle)
    api.post(f"{path}/erasure-request", "merchant", ASK)
    with system.ctx.work(reading=True) as work:
        officer = work.persons.find_by_email(people["officer"].email)
    _, secret = credentials.new_token(system.ctx, officer, "clerk", TokenScope.WRITE)
    clerk = Api(app.test_client(), people)
    clerk.bearers["clerk"] = {"Authorization": f"Bearer {secret}"}
    assert clerk.post(f"{path}/erasure-consent", "clerk", AGREE).status_code == 403
    assert api.post(f"{path}/erasure-consent", "officer", AGREE).status_code == 201


@pytest.mark.parametrize("language", ["en", "zh"])
def test_both_sides_agree_on_the_pages(api, settle, browser, language):  # noqa: F811
    def say(text, **values):
        return gettext(text, language, **values) if values else gettext(text, language)

    path, declaration = released(api, settle)
    merchant, officer = browser("merchant", language), browser("officer", language)
    sheet = unescape(merchant.get(path).text)
    assert say("May it be erased earlier?") in sheet
    shown = merchant.get(f"{path}/erase")
    assert shown.status_code == 200
    assert "CNYIU" in shown.text
    page = read_page(shown.text)
    assert [one.action.rsplit("/", 1)[-1] for one in page.forms if one.in_main] == ["erasure-request"]
    form = next(one for one in page.forms if one.in_main)
    empty = merchant.post(form.action, data=dict(fill(form, page, own={"reason": " "})))
    assert empty.status_code == 422
    assert read_page(empty.text).faults
    assert merchant.post(f"{path}/erase", data=dict(fill(form, page)) | {"sure": "yes"}).status_code == 422
    assert merchant.post(form.action, data=dict(fill(form, page, own=ASK))).status_code == 302
    again = unescape(merchant.get(f"{path}/erase").text)
    assert ASK["reason"] in again
    assert not any(one.in_main for one in read_page(again).forms)

    home, dossier = officer.get("/").text, unescape(officer.get(declaration.replace("/declarations", "/desk")).text)
    assert say("Erasure of a paper requested") in unescape(home)
    assert ASK["reason"] in dossier
    assert path in dossier
    page = read_page(officer.get(path).text)
    form = next(one for one in page.forms if one.action.endswith("/erasure-consent"))
    assert officer.post(form.action, data=dict(fill(form, page, own={"reason": ""}))).status_code == 422
    assert officer.post(form.action, data=dict(fill(form, page, own=AGREE))).status_code == 302
    assert not any(one.action.endswith("/erasure-consent") for one in read_page(officer.get(path).text).forms)

    assert AGREE["reason"] in unescape(merchant.get(declaration).text)
    assert say("Customs agreed: erase this paper") in unescape(merchant.get(path).text)
    page = read_page(merchant.get(f"{path}/erase").text)
    form = next(one for one in page.forms if one.in_main)
    assert merchant.post(f"{path}/erase", data=dict(fill(form, page, own={"sure": "yes"}))).status_code == 302
    assert api.get(path, "merchant").get_json()["erasedAt"]


def test_command_respects_the_retention(api, settle, system):
    path, _ = released(api, settle)
    environment = installation_at(system.folder.path)

    def run(**more):
        return CliRunner().invoke(cli, ["erase", path.rsplit("/", 1)[1], "--yes"], env=environment | more)

    refused = run()
    assert refused.exit_code == 1
    assert "CNYIU" in refused.output
    assert "须保存至" in run(LC_ALL="zh_CN.UTF-8").output
    assert api.get(path, "merchant").get_json()["erasedAt"] is None
    api.post(f"{path}/erasure-request", "merchant", ASK)
    assert run().exit_code == 1
    api.post(f"{path}/erasure-consent", "officer", AGREE)
    settle()
    assert "Erased 1 record(s)" in run().output
