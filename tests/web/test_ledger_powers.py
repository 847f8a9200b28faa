"""The authority's pages for the ledger's pause and roles, on the running server and its embedded chain."""

import re
import time
from datetime import timedelta
from uuid import uuid4

import pytest

from backend.adapters.ledger.powers import PowerCall, Powers
from backend.domain.errors import LedgerUnavailable
from backend.domain.ledger import CancelAnnounced, LedgerRole
from backend.domain.outbox import GRANT, LedgerRequest
from backend.domain.records import ProofState
from backend.services.anchoring import requests
from tests.helpers.builders import Api
from tests.helpers.forms import fill, read_page
from tests.web.test_lost_updates import browser  # noqa: F401 - a fixture

NEW = "0x" + "7a" * 20
NUMBERS = iter(range(2**90, 2**91))


@pytest.fixture(scope="module")
def api(app, people):
    return Api(app.test_client(), people)


@pytest.fixture
def running(system, settle):
    """Lets nobody else find the ledger paused."""
    yield
    if (until := system.ctx.ledger.paused_until()) is not None and until > system.ctx.now():
        powers_of(system).use(PowerCall("authority", "TraceLedger", "resume"))
    settle()


def powers_of(system):
    ledger = system.ctx.ledger
    return Powers(system.chain, ledger._deployment, ledger._accounts)


def form_of(client, page, action, **wanted):
    """A form of a page by where it leads, and by the values that it holds."""
    shown = read_page(client.get(page).text)
    for form in shown.forms:
        held = {control.name: control.value for control in form.controls}
        if form.action.endswith(action) and wanted.items() <= held.items():
            return form, shown
    raise AssertionError(f"{page} has no form for {action} with {wanted}")


def sent(client, page, action, typed=None, **wanted):
    """Send a form as the page shows it, and the one that asks whether it is meant. Returns the last answer."""
    form, shown = form_of(client, page, action, **wanted)
    answer = client.post(form.action, data=dict(fill(form, shown)) | (typed or {}))
    if answer.status_code == 200:
        shown = read_page(answer.text)
        sure = next(one for one in shown.forms if one.in_main)
        answer = client.post(sure.action, data=dict(fill(sure, shown)))
    return answer


def has_form(client, page, action):
    return any(form.action.endswith(action) for form in read_page(client.get(page).text).forms)


def fresh(system):
    return system.ctx.ledger.read_address(f"0x{next(NUMBERS):040x}")


def announced(system, settle, client):
    """A role for a new account, whose announcement is on the ledger; the request."""
    account = fresh(system)
    assert sent(client, "/ledger-roles", "/grant", {"role": "REGISTRAR", "account": account}).status_code == 302
    settle()
    with system.ctx.work(reading=True) as work:
        return next(one for one in work.ledger_requests.newest(20) if one.terms.get("account") == account)


def told(client, page, asked):
    """What a page tells of a request."""
    row = re.search(rf"<tr>(?:(?!</tr>).)*{asked.terms['account']}.*?</tr>", client.get(page).text, re.S)
    assert row is not None
    return row[0]


def test_server_waits_for_the_end_of_a_pause(api, system, settle, browser, running):  # noqa: F811
    """Asked before; what is taken in meanwhile is anchored once the pause ends, without a restart."""
    authority, ledger = browser("authority"), system.ctx.ledger
    form, shown = form_of(authority, "/ledger-accounts", "/pause")
    asked = authority.post(form.action, data=dict(fill(form, shown)))
    assert asked.status_code == 200
    assert "<h2>What goes on</h2>" in asked.text
    assert ledger.paused_until() is None or ledger.paused_until() < system.ctx.now()
    assert sent(authority, "/ledger-accounts", "/pause").status_code == 302
    settle()
    until = ledger.paused_until()
    assert abs(until - system.ctx.now() - timedelta(hours=72)) < timedelta(minutes=2)
    page = authority.get("/ledger-accounts?lang=en").text
    assert until.isoformat() in page
    record = api.certificate()["id"]
    deadline = time.monotonic() + 30
    while system.ctx.ledger.paused_until() and state_of(system, record) is ProofState.STORED:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(1)
    assert state_of(system, record) is ProofState.SEALED
    assert sent(authority, "/ledger-accounts", "/pause").status_code == 302, "renewed"
    settle()
    assert ledger.paused_until() > until
    assert sent(authority, "/ledger-accounts", "/resume").status_code == 302
    settle()
    deadline = time.monotonic() + 30
    while state_of(system, record) is not ProofState.FINAL:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not has_form(authority, "/ledger-accounts", "/resume")


def state_of(system, record):
    with system.ctx.work(reading=True) as work:
        return work.records.get(record).proof_state


def test_pause_by_a_command_shows_on_the_page(system, browser, running):  # noqa: F811
    """The state is the ledger's own, whoever brought it about."""
    authority = browser("authority")
    powers_of(system).use(PowerCall("authority", "TraceLedger", "renewPause"))
    assert has_form(authority, "/ledger-accounts", "/resume")
    powers_of(system).use(PowerCall("authority", "TraceLedger", "resume"))
    assert not has_form(authority, "/ledger-accounts", "/resume")


def test_role_is_announced_then_withdrawn(system, settle, browser):  # noqa: F811
    authority = browser("authority")
    asked = announced(system, settle, authority)
    operation = system.ctx.ledger.operation(requests.power_call(asked)).hex()
    assert f"provenport chain withdraw --by guardian 0x{operation}" in told(authority, "/ledger-roles?lang=en", asked)
    assert f"0x{operation}" in {"0x" + one.operation.hex() for one in powers_of(system).announced()}
    assert sent(authority, "/ledger-roles", f"/{asked.id}/withdraw").status_code == 302
    settle()
    assert "The authority withdrew it." in told(authority, "/ledger-accounts?lang=en", asked)
    assert operation not in {one.operation.hex() for one in powers_of(system).announced()}
    assert "主管机关已撤回" in told(authority, "/ledger-roles?lang=zh", asked)


def test_what_the_guardian_cancels_is_told_at_once(system, settle, browser):  # noqa: F811
    """Before it would have been due, and the same can be asked for anew."""
    authority = browser("authority")
    asked = announced(system, settle, authority)
    call = requests.power_call(asked)
    made = system.ctx.ledger._contract_call(CancelAnnounced(call))
    powers_of(system)._mine(made)
    assert "The guardian cancelled it." in told(authority, "/ledger-roles?lang=en", asked)
    again = sent(authority, "/ledger-roles", "/grant", {"role": "REGISTRAR", "account": asked.terms["account"]})
    assert again.status_code == 302


def test_refused_request_stands_with_its_reason(system, browser):  # noqa: F811
    """In the reader's language; an error without words of ours stands by its name."""
    ctx, authority = system.ctx, browser("authority")
    with ctx.work() as work:
        for number, why in enumerate(("AccessManagerLastAdmin", "Unheard")):
            terms = {"role": "ADMIN", "account": f"0x{number:040x}", "notice": 0, "name": f"ADMIN {number}"}
            work.add(LedgerRequest(str(uuid4()), GRANT, terms, ctx.now(), settled=why))
        work.commit()
    english = authority.get("/ledger-accounts?lang=en").text
    assert "The last administrator stays" in english
    assert "It was refused: Unheard." in english
    assert "最后一名管理员" in authority.get("/ledger-accounts?lang=zh").text


def test_page_shows_the_newest_twenty(system, browser):  # noqa: F811
    ctx, authority = system.ctx, browser("authority")
    first = ctx.now()
    with ctx.work() as work:
        for number in range(25):
            terms = {"role": "ADMIN", "account": f"0xeeee{number:036x}", "notice": 0, "name": f"ADMIN e{number}"}
            asked_at = first + timedelta(microseconds=number)
            work.add(LedgerRequest(str(uuid4()), GRANT, terms, asked_at, settled="Unheard"))
        work.commit()
    page = authority.get("/ledger-accounts").text
    assert re.findall(r"0xeeee0+([0-9a-f]{2})\b", page) == [f"{number:02x}" for number in range(24, 4, -1)]


@pytest.mark.parametrize("account", ["", "0x12", NEW.replace("a", "A", 1), NEW + "00", "<script>"])
def test_mistyped_address_is_told_at_its_field(browser, account):  # noqa: F811
    authority = browser("authority")
    answer = sent(authority, "/ledger-roles", "/grant", {"role": "REGISTRAR", "account": account})
    assert answer.status_code == 422
    assert 'id="account-error"' in answer.text
    assert "<script>" not in answer.text.replace("<script src", "")
    looked_up = authority.get("/ledger-roles", query_string={"account": account})
    assert (looked_up.status_code, 'id="looked-up-fault"' in looked_up.text) == (200, bool(account))


def test_last_admin_cannot_be_taken_away(system, browser):  # noqa: F811
    """The page says why, and what is sent all the same is refused."""
    authority, admin = browser("authority"), system.ctx.ledger.account("admin")
    page = authority.get("/ledger-roles?lang=en")
    assert "The last one stays, or nobody could give or take a role any more." in page.text
    kept = [one for one in read_page(page.text).forms if {"ADMIN", admin} <= {c.value for c in one.controls}]
    assert kept == []
    form, shown = form_of(authority, "/ledger-roles", "/revoke")
    answer = authority.post(form.action, data=dict(fill(form, shown)) | {"role": "ADMIN", "account": admin})
    assert answer.status_code == 409
    assert "the last admin stays" in answer.text


def test_guardian_is_not_taken_away_by_page(system, browser):  # noqa: F811
    authority, guardian = browser("authority"), system.ctx.ledger.account("guardian")
    form, shown = form_of(authority, "/ledger-roles", "/revoke")
    for role, status in (("GUARDIAN", 422), ("BRAKE", 409)):
        answer = authority.post(form.action, data=dict(fill(form, shown)) | {"role": role, "account": guardian})
        assert answer.status_code == status
    holders = system.ctx.ledger.role_holders([])
    assert guardian in [one.account for one in holders.of(LedgerRole.GUARDIAN)]


def test_roles_are_only_shown_where_admin_is_elsewhere(system, browser, monkeypatch):  # noqa: F811
    ledger = type(system.ctx.ledger)
    known = ledger.account
    monkeypatch.setattr(ledger, "account", lambda self, name: known(self, "office" if name == "admin" else name))
    authority = browser("authority")
    page = authority.get("/ledger-roles")
    assert "provenport chain role grant" in page.text
    assert not has_form(authority, "/ledger-roles", "/grant")
    assert not has_form(authority, "/ledger-roles", "/revoke")


def test_admin_that_is_not_known_here_is_counted(system, browser, monkeypatch):  # noqa: F811
    ledger = type(system.ctx.ledger)
    real = ledger.role_holders

    def one_more(self, accounts):
        read = real(self, accounts)
        return type(read)(read.admins + 1, read.holders)

    monkeypatch.setattr(ledger, "role_holders", one_more)
    assert "1 more accounts administer" in browser("authority").get("/ledger-roles?lang=en").text


def test_silent_ledger_leaves_pages_readable(system, browser, monkeypatch):  # noqa: F811
    def silent(*_):
        raise LedgerUnavailable("connection refused")

    for asked in ("paused_until", "role_holders", "announced"):
        monkeypatch.setattr(type(system.ctx.ledger), asked, silent)
    authority = browser("authority")
    accounts, roles = authority.get("/ledger-accounts?lang=en"), authority.get("/ledger-roles?lang=en")
    assert (accounts.status_code, roles.status_code) == (200, 200)
    assert "Cannot be read at the moment" in accounts.text
    assert "The ledger cannot be asked at the moment" in roles.text
    assert not has_form(authority, "/ledger-accounts", "/pause")
    assert not has_form(authority, "/ledger-roles", "/revoke")


def test_earlier_contracts_give_no_roles_by_page(system, browser, monkeypatch):  # noqa: F811
    monkeypatch.setattr(type(system.ctx.ledger), "role_holders", lambda *_: None)
    page = browser("authority").get("/ledger-roles?lang=en")
    assert "of an earlier version" in page.text
    assert "/ledger-roles/grant" not in page.text


def test_page_asks_the_ledger_once_for_roles(system, browser, monkeypatch):  # noqa: F811
    """However many accounts are asked about."""
    authority, asked = browser("authority"), []
    authority.get("/ledger-roles")
    real = type(system.chain).call

    def counted(self, to, data, sender=None):
        asked.append(to)
        return real(self, to, data, sender)

    monkeypatch.setattr(type(system.chain), "call", counted)
    authority.get("/ledger-roles", query_string={"account": NEW})
    waiting = len([one for one in system_requests(system) if one.is_waiting(system.ctx.now())])
    assert len(asked) <= 1 + waiting


def system_requests(system):
    with system.ctx.work(reading=True) as work:
        return list(work.ledger_requests.newest(20))
