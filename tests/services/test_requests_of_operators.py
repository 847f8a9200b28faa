"""What operators ask of the ledger goes through the outbox of the accounts that sign it."""

from datetime import UTC, datetime, timedelta

import pytest
import structlog

from backend.domain.consignment import Decision
from backend.domain.errors import Conflict, LedgerRefused, NotAllowed, NotFound
from backend.domain.ledger import Agent, AgentAccount, CancelAnnounced, CertificateBalance
from backend.services import decisions, ledger_requests
from backend.services.anchoring import requests, run_once
from backend.services.audit import audit
from tests.helpers.fakes import ANCHORERS, OTHERS_ACCOUNT
from tests.services.test_drawdowns import ledger_record, lodged, release

NEXT = "CNNBO"
DAY = timedelta(days=1)


@pytest.fixture
def own_office(installation):
    """The office to which things are declared, with an account of its own, and a second one."""
    installation.ledger._state.offices |= {"CNYIU": 20, NEXT: 21}
    return "CNYIU"


def settled(installation, asked):
    with installation.ctx.work(reading=True) as work:
        kept = work.ledger_requests.get(asked.id)
        return kept.settled, kept.transaction and kept.transaction.state.value


def test_batch_is_handed_on_with_what_waits(installation, own_office):
    """Also a decision that was taken while the hand-over was on its way is signed by the office that decides then."""
    consignment = installation.lodge()
    installation.settle()
    record = installation.consignment(consignment.id).record
    assert record.batch.office == own_office
    asked = ledger_requests.hand_on(installation.ctx, consignment.id, NEXT)
    decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.EXAMINE, "look")
    installation.settle()
    assert settled(installation, asked) == (None, "final")
    key = ledger_record(installation, record).batch_key
    assert installation.ledger.deciding_office(key) == 21
    assert installation.record(consignment.id).batch.office == NEXT
    assert installation.ledger.status(key, record.leaf_index) == 2
    assert audit(installation.ctx).discrepancies == ()


def test_batch_of_no_office_is_not_handed_on(installation):
    consignment = installation.lodge()
    with pytest.raises(Conflict, match="not on the ledger"):
        ledger_requests.hand_on(installation.ctx, consignment.id, NEXT)
    installation.settle()
    with pytest.raises(Conflict, match="any office decides"):
        ledger_requests.hand_on(installation.ctx, consignment.id, NEXT)


def test_office_without_account_gets_no_batch(installation, own_office):
    consignment = installation.lodge()
    installation.settle()
    with pytest.raises(Conflict, match="no account"):
        ledger_requests.hand_on(installation.ctx, consignment.id, "CNSHA")


def test_wrong_statement_is_corrected_by_the_certificate(installation):
    certificate = installation.issue_certificate()
    consignment = lodged(installation, [certificate])
    place = ledger_record(installation, installation.record(certificate.id))
    with pytest.raises(LedgerRefused, match="NotOpened"):
        ledger_requests.correct(installation.ctx, certificate.id)
    wrong = CertificateBalance(1_000_000, 1_000_000, 1, datetime(2026, 3, 3, tzinfo=UTC))
    installation.ledger._state.balances[place] = wrong
    asked = ledger_requests.correct(installation.ctx, certificate.id)
    installation.settle()
    assert settled(installation, asked) == (None, "final")
    assert installation.ledger.certificate_balance(place).valid_until > wrong.valid_until
    release(installation, consignment)
    installation.settle()
    with pytest.raises(LedgerRefused, match="InUse"):
        ledger_requests.correct(installation.ctx, certificate.id)
    with pytest.raises(Conflict, match="certificate of origin"):
        ledger_requests.correct(installation.ctx, consignment.id)


def test_consent_is_given_and_taken_back(installation):
    for is_allowed in (True, False):
        asked = ledger_requests.allow_drawdowns(installation.ctx, OTHERS_ACCOUNT, is_allowed=is_allowed)
        installation.settle()
        assert settled(installation, asked) == (None, "final")
        assert installation.ledger._state.consents == {ANCHORERS["other_anchorer"]: is_allowed}
    with pytest.raises(LedgerRefused, match="AgentUnknown"):
        ledger_requests.allow_drawdowns(installation.ctx, "0x" + "11" * 20, is_allowed=True)


def test_consent_uses_no_nonce_twice(installation):
    """Beside an anchoring that waits for its block, which the same account has signed."""
    installation.ledger.holding = True
    installation.issue_report()
    ledger_requests.allow_drawdowns(installation.ctx, OTHERS_ACCOUNT, is_allowed=True)
    with pytest.raises(AssertionError, match="under way"):
        installation.settle(3)
    with installation.ctx.work(reading=True) as work:
        nonces = [one.nonce for one in work.outbox.pending() if one.signer == "anchorer"]
    assert len(nonces) == len(set(nonces)) == 2
    installation.ledger.holding = False
    installation.ledger.mine()
    installation.settle()
    assert installation.ledger._state.consents == {ANCHORERS["other_anchorer"]: True}


def test_request_that_became_impossible_is_settled(installation):
    """Something was drawn down between the request and its turn."""
    certificate = installation.issue_certificate()
    lodged(installation, [certificate])
    place = ledger_record(installation, installation.record(certificate.id))
    whole = CertificateBalance(1_000_000, 1_000_000, 1, datetime(2027, 3, 3, tzinfo=UTC))
    installation.ledger._state.balances[place] = whole
    asked = ledger_requests.correct(installation.ctx, certificate.id)
    drawn = CertificateBalance(1_000_000, 999_999, 1, whole.valid_until)
    installation.ledger._state.balances[place] = drawn
    installation.settle()
    assert settled(installation, asked) == ("CertificateBalanceInUse", None)


# The authority's accounts


def account_of(installation, name):
    return installation.ledger.account(name)


def test_registered_office_decides_by_its_own_account(installation):
    """Without a restart: what is declared to it from then on is sealed apart, and signed by it."""
    asked = ledger_requests.register_account(installation.ctx, installation.authority, "cnyiu")
    installation.settle()
    assert settled(installation, asked) == (None, "final")
    account = account_of(installation, "CNYIU")
    assert installation.ledger.agent(account).roles == Agent.OFFICE
    assert account in installation.ledger._state.funded
    consignment = installation.lodge()
    installation.settle()
    decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.EXAMINE, "look")
    installation.settle()
    record = installation.record(consignment.id)
    assert record.batch.office == "CNYIU"
    assert [call.by for _, call in installation.ledger.mined("CNYIU")] == ["CNYIU"]
    with pytest.raises(Conflict, match="account of its own"):
        ledger_requests.register_account(installation.ctx, installation.authority, "CNYIU")


def test_account_is_asked_for_once(installation):
    ledger_requests.register_account(installation.ctx, installation.authority, "CNYIU")
    with pytest.raises(Conflict, match="under way"):
        ledger_requests.register_account(installation.ctx, installation.authority, "CNYIU")
    ledger_requests.register_account(installation.ctx, installation.authority, NEXT)
    installation.settle()
    assert installation.ledger.offices == {"CNYIU", NEXT}


def test_code_that_nobody_serves_gets_no_account(installation):
    with pytest.raises(NotFound, match="no such customs office"):
        ledger_requests.register_account(installation.ctx, installation.authority, "CNXAM")


@pytest.mark.parametrize("who", ["officer", "chamber", "merchant", "laboratory", "analyst"])
def test_accounts_are_the_authoritys_to_change(installation, who):
    actor, shared = getattr(installation, who), account_of(installation, "office")
    with pytest.raises(NotAllowed):
        ledger_requests.register_account(installation.ctx, actor, "CNYIU")
    for act in (ledger_requests.suspend_account, ledger_requests.lift_suspension, ledger_requests.move_account):
        with pytest.raises(NotAllowed):
            act(installation.ctx, actor, "office", shared)
    installation.settle()
    assert installation.ledger.agent(shared) == AgentAccount(2, Agent.OFFICE)


@pytest.mark.parametrize("name", ["office", "anchorer"])
def test_suspended_account_acts_again_once_lifted(installation, name):
    ctx, authority, account = installation.ctx, installation.authority, account_of(installation, name)
    before = installation.ledger.agent(account)
    with pytest.raises(Conflict, match="not suspended"):
        ledger_requests.lift_suspension(ctx, authority, name, account)
    ledger_requests.suspend_account(ctx, authority, name, account)
    installation.settle()
    assert installation.ledger.agent(account) == AgentAccount(before.number, 0)
    with pytest.raises(LedgerRefused, match="RoleMissing"):
        ledger_requests.suspend_account(ctx, authority, name, account)
    ledger_requests.lift_suspension(ctx, authority, name, account)
    installation.settle()
    assert installation.ledger.agent(account) == before
    assert installation.ledger._state.funded == set(), "it has the money that it had"


def test_stolen_account_gives_way_to_another(installation):
    """Suspended at once, then replaced: the new account has its number and role, and what waits is signed by it."""
    ledger_requests.register_account(installation.ctx, installation.authority, "CNYIU")
    installation.settle()
    consignment = installation.lodge()
    installation.settle()
    stolen = account_of(installation, "CNYIU")
    number = installation.ledger.agent(stolen).number
    ledger_requests.suspend_account(installation.ctx, installation.authority, "CNYIU", stolen)
    installation.settle()
    decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.EXAMINE, "look")
    with pytest.raises(AssertionError, match="under way"):
        installation.settle(3)
    ledger_requests.move_account(installation.ctx, installation.authority, "CNYIU", stolen)
    installation.settle()
    fresh = account_of(installation, "CNYIU")
    assert fresh != stolen
    assert installation.ledger.agent(fresh) == AgentAccount(number, Agent.OFFICE)
    assert installation.ledger.agent(stolen).successor == fresh
    record = installation.record(consignment.id)
    assert installation.ledger.status(ledger_record(installation, record).batch_key, record.leaf_index) == 2
    with pytest.raises(Conflict, match="another account"):
        ledger_requests.suspend_account(installation.ctx, installation.authority, "CNYIU", stolen)


def test_announced_registration_waits_for_its_time(installation):
    """Nothing keeps the worker busy meanwhile, and the account signs only once the ledger knows it."""
    installation.ledger._state.delay = DAY
    asked = ledger_requests.register_account(installation.ctx, installation.authority, "CNYIU")
    installation.settle()
    with installation.ctx.work(reading=True) as work:
        (waiting,) = work.ledger_requests.under_way()
    assert (waiting.id, waiting.transaction) == (asked.id, None)
    assert DAY <= waiting.due_at - asked.asked_at <= DAY + timedelta(seconds=5)
    assert installation.ledger.offices == frozenset()
    installation.clock.pass_by(DAY - timedelta(minutes=1))
    installation.settle()
    assert installation.ledger.offices == frozenset()
    installation.clock.pass_by(timedelta(minutes=2))
    installation.settle()
    assert settled(installation, asked) == (None, "final")
    assert installation.ledger.offices == {"CNYIU"}


def test_announced_registration_cancelled_never_comes(installation):
    installation.ledger._state.delay = DAY
    asked = ledger_requests.register_account(installation.ctx, installation.authority, "CNYIU")
    installation.settle()
    (announced,) = installation.ledger._state.announced
    assert installation.ledger.act_as("guardian", CancelAnnounced(announced))
    installation.clock.pass_by(DAY + timedelta(minutes=1))
    installation.settle()
    assert settled(installation, asked) == (requests.CANCELLED, None)
    assert installation.ledger.offices == frozenset()
    ledger_requests.register_account(installation.ctx, installation.authority, "CNYIU")
    installation.settle()


def test_announcement_that_expired_ends_the_request(installation):
    installation.ledger._state.delay = DAY
    asked = ledger_requests.register_account(installation.ctx, installation.authority, "CNYIU")
    installation.settle()
    installation.ledger._state.announced.clear()
    installation.clock.pass_by(DAY + requests.EXPIRES + timedelta(minutes=1))
    installation.settle()
    assert settled(installation, asked) == (requests.EXPIRED, None)


def test_suspension_ends_an_announced_lift(installation):
    """Or the account would act again a day after it was suspended for the second time."""
    ctx, authority, account = installation.ctx, installation.authority, account_of(installation, "office")
    ledger_requests.suspend_account(ctx, authority, "office", account)
    installation.settle()
    installation.ledger._state.delay = DAY
    lifted = ledger_requests.lift_suspension(ctx, authority, "office", account)
    installation.settle()
    installation.ledger._state.registered[account] = AgentAccount(2, Agent.OFFICE)  # by another wallet meanwhile
    ledger_requests.suspend_account(ctx, authority, "office", account)
    installation.settle()
    installation.clock.pass_by(DAY + timedelta(minutes=1))
    installation.settle()
    assert settled(installation, lifted) == (ledger_requests.SUSPENDED_SINCE, None)
    assert installation.ledger.agent(account).roles == 0


def test_account_survives_the_loss_of_its_block(installation):
    """A reorganisation takes the registration away before it is final: until then nothing is signed by the account."""
    installation.with_confirmations(3)
    asked = ledger_requests.register_account(installation.ctx, installation.authority, "CNYIU")
    run_once(installation.ctx)
    run_once(installation.ctx)
    assert settled(installation, asked)[1] == "mined"
    assert installation.ledger.offices == frozenset()
    installation.ledger.reorganise(1)
    run_once(installation.ctx)
    run_once(installation.ctx)
    installation.ledger.mine(4)
    installation.settle()
    assert settled(installation, asked) == (None, "final")
    assert installation.ledger.agent(account_of(installation, "CNYIU")).roles == Agent.OFFICE


def test_key_that_lies_elsewhere_is_told(installation):
    """Two servers, each with a folder of its own: the one that created the key gave up the lead before it was used."""
    ledger_requests.register_account(installation.ctx, installation.authority, "CNYIU")
    installation.ledger.holding = True
    run_once(installation.ctx)
    installation.ledger._state.prepared.clear()
    installation.ledger.holding = False
    installation.ledger.mine()
    with structlog.testing.capture_logs() as logged:
        installation.settle()
    assert ["key of an account is not" in one["event"] for one in logged if one["log_level"] == "error"] == [True]
    assert installation.ledger.offices == frozenset()
