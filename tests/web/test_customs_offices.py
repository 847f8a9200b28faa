"""Jurisdiction as officers and merchants meet it: over the interface, on the pages, and in the demonstration."""

from datetime import UTC, datetime, timedelta

import pytest
from eth_account import Account

from backend.domain.errors import LedgerUnavailable
from backend.domain.ledger import Agent, DeclarationStatus
from backend.domain.outbox import TransactionState
from backend.runtime.app import ledger_accounts
from tests.helpers.builders import Api, lodgement_fields
from tests.helpers.forms import fill, read_page
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
    assert "MS-DEMO-003" in of(api, "officer-ningbo")
    assert of(api, "officer-ningbo").isdisjoint({"MS-DEMO-001", "MS-DEMO-002"})


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


# Accounts on the ledger

CSRF = "csrf_token"
LEDGER_FORMS = ("/register", "/2925/suspend", "/2925/lift", "/2925/replace", "/pause", "/resume")
OTHER_FORMS = ("/ledger-roles/grant", "/ledger-roles/revoke", "/ledger-requests/1/withdraw")


@pytest.fixture
def own_code(api):
    """A code of Yiwu's that no other test knows, without an account of its own."""
    with_account = {one["office"] for one in api.get("/customs-offices", "merchant").get_json()["offices"]}
    code = next(str(number) for number in range(6000, 6999) if str(number) not in with_account)
    offices = api.get("/customs-offices", "merchant").get_json()["offices"]
    yiwu = next(one["organisation"] for one in offices if one["office"] == "CNYIU")
    assert api.post("/customs-offices", "authority", {"office": code, "organisation": yiwu}).status_code == 201
    return code


def pressed(client, path, code="", **typed):
    """Send a form of the page of accounts as it stands there, and the one that asks whether it is meant."""
    page = read_page(client.get("/ledger-accounts").text)
    form = next(one for one in page.forms if one.action.endswith(f"{code}{path}"))
    answer = client.post(form.action, data=dict(fill(form, page)) | typed)
    if answer.status_code == 200:
        page = read_page(answer.text)
        sure = next(one for one in page.forms if one.in_main)
        answer = client.post(sure.action, data=dict(fill(sure, page)))
    assert answer.status_code == 302
    assert "notice-bad" not in client.get(answer.location).text


def posted(client, path, to="/ledger-accounts", **typed):
    """Send what no form of a page holds any more, or never held for its reader."""
    token = next(c.value for form in read_page(client.get("/").text).forms for c in form.controls if c.name == CSRF)
    return client.post(f"{to}{path}", data=typed | {CSRF: token})


def senders(system, code):
    """Who signed the transactions of an office's account, by their signatures."""
    with system.ctx.work(reading=True) as work:
        found = [one for one in work.outbox.all() if one.signer == code and one.state is TransactionState.FINAL]
        return [Account.recover_transaction(one.raw) for one in found]


def examined(api, settle, code):
    """A declaration to this office, on which it has decided; its id."""
    made = api.post("/declarations", "merchant", declaration_to(api, code)).get_json()["id"]
    settle()
    tag = {"If-Match": api.get(f"/declarations/{made}", "officer").headers["ETag"]}
    assert api.post(f"/declarations/{made}/decisions", "officer", EXAMINE, headers=tag).status_code == 201
    settle()
    return made


def declaration_to(api, code):
    return lodgement_fields(declarationReference=api.fresh("D"), customsOffice=code)


def test_new_offices_account_signs_without_restart(api, system, settle, browser, own_code):  # noqa: F811
    """On the running server: sealed for the office alone, and decided by the account that the page registered."""
    ctx, authority = system.ctx, browser("authority")
    assert own_code not in ctx.ledger.offices
    pressed(authority, "/register", office=own_code)
    settle()
    account = ctx.ledger.account(own_code)
    assert account in authority.get("/ledger-accounts").text
    made = examined(api, settle, own_code)
    with ctx.work(reading=True) as work:
        record = work.consignments.get(made).record
    assert record.batch.office == own_code
    key = ctx.ledger.batch_key(record.batch.root)
    assert ctx.ledger.deciding_office(key) == ctx.ledger.agent(account).number > 0
    assert ctx.ledger.status(key, record.leaf_index) == DeclarationStatus.EXAMINATION
    assert senders(system, own_code) == [account]
    # Another process that has the same data folder, as one that only serves pages.
    assert ledger_accounts(system.folder, system.ctx.keys.vault)[own_code].address == account


def test_stolen_account_is_suspended_then_replaced(api, system, settle, browser, own_code):  # noqa: F811
    authority, ledger = browser("authority"), system.ctx.ledger
    pressed(authority, "/register", office=own_code)
    settle()
    stolen = ledger.account(own_code)
    pressed(authority, "/suspend", own_code)
    settle()
    assert ledger.agent(stolen).roles == 0
    pressed(authority, "/lift", own_code)
    settle()
    assert ledger.agent(stolen).roles == Agent.OFFICE
    pressed(authority, "/suspend", own_code)
    settle()
    pressed(authority, "/replace", own_code)
    settle()
    fresh = ledger.account(own_code)
    assert ledger.agent(stolen).successor == fresh != stolen
    assert ledger.agent(fresh).roles == Agent.OFFICE
    examined(api, settle, own_code)
    assert senders(system, own_code) == [fresh]


def test_page_of_before_changes_no_account(system, settle, browser, own_code):  # noqa: F811
    """Two windows: the account that the second one shows is replaced already, and a change is done once."""
    authority, ledger = browser("authority"), system.ctx.ledger
    pressed(authority, "/register", office=own_code)
    settle()
    old = ledger.account(own_code)
    pressed(authority, "/replace", own_code)
    twice = posted(authority, f"/{own_code}/replace", seen=old, sure="yes")
    settle()
    late = posted(authority, f"/{own_code}/suspend", seen=old)
    assert (twice.status_code, late.status_code) == (409, 409)
    assert 'role="alert"' in late.text
    assert ledger.agent(ledger.account(own_code)).roles == Agent.OFFICE


def test_nothing_happens_before_it_is_confirmed(system, settle, browser, own_code):  # noqa: F811
    authority, ledger = browser("authority"), system.ctx.ledger
    assert posted(authority, "/register", office=own_code).status_code == 200
    shared = ledger.account("office")
    assert posted(authority, "/office/replace", seen=shared).status_code == 200
    settle()
    assert ledger.account(own_code) is None
    assert ledger.account("office") == shared
    assert posted(authority, "/register", office="CNXMN").status_code == 422
    assert posted(authority, "/authority/replace", sure="yes").status_code == 404


@pytest.mark.parametrize("who", ["officer", "merchant", "chamber", "laboratory", "analyst"])
def test_others_do_not_reach_the_accounts(browser, who):  # noqa: F811
    client = browser(who)
    assert [client.get(path).status_code for path in ("/ledger-accounts", "/ledger-roles")] == [404, 404]
    assert [posted(client, path, sure="yes").status_code for path in LEDGER_FORMS] == [404] * 6
    assert [posted(client, path, sure="yes", to="").status_code for path in OTHER_FORMS] == [404] * 3
    assert "/ledger-accounts" not in client.get("/customs-offices").text


def test_silent_ledger_leaves_the_page_readable(system, browser, monkeypatch):  # noqa: F811
    def silent(*_):
        raise LedgerUnavailable("connection refused")

    monkeypatch.setattr(type(system.ctx.ledger), "agent", silent)
    page = browser("authority").get("/ledger-accounts?lang=en")
    assert page.text.count("Cannot be read at the moment") >= 2
    assert "/suspend" not in page.text


def test_silent_ledger_is_asked_once(system, browser, monkeypatch):  # noqa: F811
    """Also where an office without an account of its own stands before one that has it."""
    asked = []

    def silent(_ledger, account):
        asked.append(account)
        raise LedgerUnavailable("connection refused")

    ledger = type(system.ctx.ledger)
    known = ledger.account
    monkeypatch.setattr(ledger, "agent", silent)
    monkeypatch.setattr(
        ledger, "account", lambda self, name: known(self, "office") if name == "CNNBO" else known(self, name)
    )
    browser("authority").get("/ledger-accounts?lang=en")
    assert len(asked) == 1
