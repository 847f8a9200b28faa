"""Merchant and officer read, in words, how far a decision has come and what befell it or its papers afterwards."""

import re

import pytest

from backend.domain.ledger import DeclarationStatus
from backend.messages.catalogue import gettext
from backend.messages.verdict import UNDONE, UNKNOWN_REFUSAL, undone_reason
from backend.services.anchoring.status_changes import revert_release
from backend.web.presentation.labels import why_held
from tests.helpers.builders import Api
from tests.web.test_lost_updates import browser  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("nothing_delegated")
RELEASE = {"decision": "release", "reason": "Papers in order"}
RAW_NAME = re.compile(r"\b(CertificateBalance|TraceLedger|Accreditation|AccessManager)[A-Z]\w+")
"""How the contracts call their errors."""


@pytest.fixture(scope="module")
def api(app, people, system):
    made = Api(app.test_client(), people)
    made.ctx = system.ctx
    return made


def read(api, declaration, who="officer", language="en"):
    return api.get(f"/declarations/{declaration}", who, headers={"Accept-Language": language}).get_json()


def test_decision_is_accepted_then_final(api, settle):
    papers = [api.certificate(), api.report()]
    declaration = api.declaration(papers)["id"]
    settle()
    assert read(api, declaration)["decisionState"] is None
    taken = api.post(f"/declarations/{declaration}/decisions", "officer", RELEASE).get_json()
    assert (taken["status"], taken["decisionState"]) == ("RELEASED", "accepted")
    settle()
    seen = read(api, declaration)
    assert (seen["decisionState"], seen["decisions"][0]["decisionState"]) == ("final", "final")
    listed = api.get("/declarations?limit=200", "officer").get_json()["declarations"]
    assert next(one["decisionState"] for one in listed if one["id"] == declaration) == "final"


@pytest.fixture(scope="module")
def undone(api, settle):
    """A release that the ledger does not take, since another took the certificate's quantity there."""
    declaration = api.declaration()["id"]
    settle()
    assert api.post(f"/declarations/{declaration}/decisions", "officer", RELEASE).status_code == 201
    with api.ctx.work() as work:
        revert_release(api.ctx, work, declaration, "CertificateBalanceOverdrawn remaining=50000 quantity=100000")
        work.commit()
    return declaration


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("who", ["officer", "merchant"])
def test_undone_decision_is_told_to_both(api, undone, who, language):
    seen = read(api, undone, who, language)
    assert (seen["status"], seen["decisionState"]) == ("DETAINED", "undone")
    assert seen["alertedAt"]
    assert seen["decisions"][0]["undone"] == gettext(UNDONE["CertificateBalanceOverdrawn"], language)
    steps = [event["step"] for event in seen["events"]]
    assert steps[-2:] in (["decision-undone", "detained"], ["detained", "decision-undone"])
    assert not RAW_NAME.search(str(seen))
    record = api.get(f"/records/{undone}", who, headers={"Accept-Language": language}).get_json()
    assert record["statusReason"] == gettext("the ledger did not take the release", language)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(("who", "path"), [("officer", "/desk"), ("merchant", "/declarations")])
def test_pages_tell_undone_decision_in_words(undone, browser, who, path, language):  # noqa: F811
    client = browser(who, language)
    for page in (client.get(f"{path}/{undone}").text, client.get("/").text):
        assert gettext("Decision undone: the ledger did not take it", language) in page
        assert not RAW_NAME.search(page)
    assert gettext(UNDONE["CertificateBalanceOverdrawn"], language) in client.get(f"{path}/{undone}").text


@pytest.mark.parametrize("language", ["en", "zh"])
def test_reason_of_undone_release_holds_no_goods(app, api, undone, browser, language):  # noqa: F811
    """That papers were in order is no reason to detain: what the merchant reads is why the release was undone."""
    with api.ctx.work(reading=True) as work, app.test_request_context(headers={"Accept-Language": language}):
        told = why_held(work.consignments.get(undone))
    assert told.endswith(gettext(UNDONE["CertificateBalanceOverdrawn"], language))
    assert RELEASE["reason"] not in told
    assert gettext("Customs write:", language) not in browser("merchant", language).get(f"/declarations/{undone}").text
    detained = api.declaration()["id"]
    reason = {"decision": "detain", "reason": "Seal is broken"}
    assert api.post(f"/declarations/{detained}/decisions", "officer", reason).status_code == 201
    page = browser("merchant", language).get(f"/declarations/{detained}").text
    assert gettext("Customs write:", language) in page
    assert "Seal is broken" in page


def test_unknown_refusal_is_told_without_its_name():
    assert RAW_NAME.search("TraceLedgerSomethingNew(7)")
    for language in ("en", "zh"):
        assert undone_reason("TraceLedgerSomethingNew(7)", language) == gettext(UNKNOWN_REFUSAL, language)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_revoked_paper_of_released_goods_reaches_both(api, settle, browser, language):  # noqa: F811
    papers = [api.certificate(), api.report()]
    declaration = api.declaration(papers)["id"]
    settle()
    assert api.post(f"/declarations/{declaration}/decisions", "officer", RELEASE).status_code == 201
    settle()
    reason = f"made elsewhere {api.fresh('R')}"
    assert api.post(f"/records/{papers[0]['id']}/revocation", "chamber", {"reason": reason}).status_code == 201
    for who, path in (("officer", "/desk"), ("merchant", "/declarations")):
        seen = read(api, declaration, who)
        assert (seen["status"], bool(seen["alertedAt"])) == ("RELEASED", True)
        last = seen["events"][-1]
        assert (last["step"], last["record"]) == ("paper-revoked", papers[0]["id"])
        assert last["by"] == api.get("/me", "chamber").get_json()["organisation"]
        client = browser(who, language)
        page, home = client.get(f"{path}/{declaration}").text, client.get("/").text
        assert reason in page
        for text in (page, home):
            assert gettext("Paper revoked", language) in text
        assert seen["reference"] in home


def test_alerted_declarations_can_be_listed(api, undone):
    api.admit_rival()
    for who, is_there in (("officer", True), ("merchant", True), ("officer-ningbo", False), ("rival", False)):
        listed = api.get("/declarations?alerted=true", who).get_json()["declarations"]
        assert (undone in [one["id"] for one in listed]) is is_there
        assert all(one["alertedAt"] for one in listed)


def test_events_for_studies_hold_the_new_steps(api, undone):
    rows = api.get("/clearance-events", "analyst").text.splitlines()
    assert any(row.startswith(f"{undone},decision-undone,") for row in rows)
    assert DeclarationStatus.DETAINED.name == read(api, undone)["status"]
