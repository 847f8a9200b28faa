"""The authority pauses the ledger, gives and takes roles, and withdraws what it announced, through the outbox."""

from dataclasses import replace
from datetime import timedelta

import pytest

from backend.domain.errors import Conflict, Invalid, LedgerRefused, NotAllowed, NotFound
from backend.domain.ledger import CancelAnnounced, GrantRole, LedgerRole, PauseLedger, RevokeRole
from backend.domain.records import ProofState
from backend.services import ledger_requests
from backend.services.anchoring import requests, run_once
from backend.services.audit import audit
from tests.helpers.fakes import GOVERNING
from tests.services.test_anchoring import Crash, FailingWork
from tests.services.test_requests_of_operators import DAY, settled

NEW = "0x" + "7A" * 20
OTHER = "0x" + "7B" * 20


def has_role(installation, role, account=NEW):
    return (LedgerRole[role], account) in installation.ledger._state.roles


def grant(installation, role="REGISTRAR", account=NEW):
    return ledger_requests.grant_role(installation.ctx, installation.authority, role, account)


def revoke(installation, role, account):
    return ledger_requests.revoke_role(installation.ctx, installation.authority, role, account)


def pause(installation):
    return ledger_requests.pause_ledger(installation.ctx, installation.authority)


def resume(installation):
    return ledger_requests.resume_ledger(installation.ctx, installation.authority)


def withdraw(installation, asked):
    return ledger_requests.withdraw(installation.ctx, installation.authority, asked.id)


def is_paused(installation):
    until = installation.ledger.paused_until()
    return until is not None and installation.clock() < until


# The pause


def test_paused_ledger_anchors_again_once_resumed(installation):
    """What is taken in meanwhile waits, and is anchored without anybody's help when the pause ends."""
    asked = pause(installation)
    installation.settle()
    assert settled(installation, asked) == (None, "final")
    assert is_paused(installation)
    record = installation.issue_report()
    for _ in range(4):
        run_once(installation.ctx)
    assert installation.record(record.id).proof_state is ProofState.SEALED
    resume(installation)
    installation.settle()
    assert not is_paused(installation)
    run_once(installation.ctx)  # as the worker does for as long as something is stuck
    installation.settle()
    assert installation.record(record.id).proof_state is ProofState.FINAL
    assert audit(installation.ctx).discrepancies == ()


def test_pause_ends_by_itself(installation):
    pause(installation)
    installation.settle()
    record = installation.issue_report()
    run_once(installation.ctx)
    installation.clock.pass_by(timedelta(hours=72, minutes=1))
    run_once(installation.ctx)
    installation.settle()
    assert installation.record(record.id).proof_state is ProofState.FINAL
    with pytest.raises(Conflict, match="not paused"):
        resume(installation)


def test_pause_is_renewed_from_now_on(installation):
    pause(installation)
    installation.settle()
    first = installation.ledger.paused_until()
    installation.clock.pass_by(DAY)
    pause(installation)
    installation.settle()
    assert installation.ledger.paused_until() - first >= DAY


def test_pause_under_way_is_not_asked_twice(installation):
    pause(installation)
    with pytest.raises(Conflict, match="under way"):
        pause(installation)


def test_running_ledger_is_not_resumed(installation):
    with pytest.raises(Conflict, match="not paused"):
        resume(installation)


def test_renewed_pause_ends_an_announced_resumption(installation):
    """On the ledger too: whoever has the authority's account could still end the pause otherwise."""
    pause(installation)
    installation.settle()
    installation.ledger._state.delay = DAY
    resumed = resume(installation)
    installation.settle()
    assert list(installation.ledger._state.announced) == [PauseLedger(False)]
    pause(installation)
    installation.settle()
    assert installation.ledger._state.announced == {}
    installation.clock.pass_by(DAY + timedelta(minutes=1))
    installation.settle()
    assert settled(installation, resumed) == (ledger_requests.PAUSED_SINCE, None)
    assert is_paused(installation)


def test_pause_that_ended_meanwhile_refuses_resumption(installation):
    pause(installation)
    installation.settle()
    asked = resume(installation)
    installation.ledger._state.paused_until = None
    installation.settle()
    assert settled(installation, asked) == ("TraceLedgerPauseUnchanged", None)


def test_earlier_contracts_are_paused_without_end(installation):
    installation.ledger._state.has_keys = False
    pause(installation)
    installation.settle()
    assert [call for _, call in installation.ledger.mined("authority")][-1] == PauseLedger()


# Roles


def test_role_is_given_then_taken(installation):
    asked = grant(installation)
    installation.settle()
    assert settled(installation, asked) == (None, "final")
    assert has_role(installation, "REGISTRAR")
    with pytest.raises(Conflict, match="role already"):
        grant(installation)
    revoke(installation, "REGISTRAR", NEW)
    installation.settle()
    assert not has_role(installation, "REGISTRAR")
    with pytest.raises(Conflict, match="does not have the role"):
        revoke(installation, "REGISTRAR", NEW)
    assert audit(installation.ctx).discrepancies == ()


def test_role_comes_after_notice_and_goes_at_once(installation):
    installation.ledger._state.delay = DAY
    asked = grant(installation)
    installation.settle()
    assert not has_role(installation, "REGISTRAR")
    installation.clock.pass_by(DAY - timedelta(minutes=1))
    installation.settle()
    assert not has_role(installation, "REGISTRAR")
    installation.clock.pass_by(timedelta(minutes=2))
    installation.settle()
    assert settled(installation, asked) == (None, "final")
    assert has_role(installation, "REGISTRAR")
    revoke(installation, "REGISTRAR", NEW)
    installation.settle()
    assert not has_role(installation, "REGISTRAR")


def test_new_holder_needs_the_notice_of_others(installation):
    """Or a role given without notice would be a way around the guardian."""
    roles = installation.ledger._state.roles
    since, _ = roles[LedgerRole.REGISTRAR, GOVERNING["authority"]]
    roles[LedgerRole.REGISTRAR, GOVERNING["authority"]] = (since, 86_400)
    roles[LedgerRole.ADMIN, GOVERNING["admin"]] = (since, 3_600)
    del roles[LedgerRole.REVOCATION, GOVERNING["authority"]]
    notices = {"REGISTRAR": 86_400, "REVOCATION": 3_600, "BRAKE": 0, "REMOVAL": 0}
    for role in notices:
        grant(installation, role)
    installation.settle()
    assert {role: roles[LedgerRole[role], NEW][1] for role in notices} == notices


def test_taking_a_role_ends_its_announced_grant(installation):
    """Another wallet gave it meanwhile: once taken away it does not come back with the notice."""
    installation.ledger._state.delay = DAY
    asked = grant(installation)
    installation.settle()
    assert installation.ledger.act_as("admin", GrantRole(LedgerRole.REGISTRAR, NEW)) is False
    installation.ledger._state.roles[LedgerRole.REGISTRAR, NEW] = (installation.clock(), 0)
    revoke(installation, "REGISTRAR", NEW)
    installation.settle()
    installation.clock.pass_by(DAY + timedelta(minutes=1))
    installation.settle()
    assert settled(installation, asked) == (ledger_requests.REVOKED_SINCE, None)
    assert not has_role(installation, "REGISTRAR")
    assert installation.ledger._state.announced == {}


def test_last_admin_is_not_taken_away(installation):
    with pytest.raises(Conflict, match="last admin stays"):
        revoke(installation, "ADMIN", GOVERNING["admin"])
    grant(installation, "ADMIN")
    installation.settle()
    revoke(installation, "ADMIN", NEW)
    installation.settle()
    assert not has_role(installation, "ADMIN")


def test_admin_that_became_the_last_stays(installation):
    """Between the request and its turn another wallet takes the other admin away: the ledger refuses, and says so."""
    grant(installation, "ADMIN")
    installation.settle()
    asked = revoke(installation, "ADMIN", NEW)
    assert installation.ledger.act_as("admin", RevokeRole(LedgerRole.ADMIN, GOVERNING["admin"]))
    installation.settle()
    assert settled(installation, asked) == ("AccessManagerLastAdmin", None)


def test_guardian_keeps_its_brake(installation):
    with pytest.raises(Conflict, match="guardian keeps the brake"):
        revoke(installation, "BRAKE", GOVERNING["guardian"])
    with pytest.raises(Invalid):
        revoke(installation, "GUARDIAN", GOVERNING["guardian"])
    with pytest.raises(Invalid):
        grant(installation, "GUARDIAN")


@pytest.mark.parametrize("account", ["", "0x12", "7A" * 20, "0x" + "00" * 20, "0x" + "7G" * 20, NEW + "00"])
def test_malformed_address_gets_no_role(installation, account):
    with pytest.raises(Invalid) as refused:
        grant(installation, account=account)
    assert [where for where, _ in refused.value.problems] == ["account"]


def test_roles_are_not_given_where_admin_is_elsewhere(installation):
    """The admin is a wallet of its own: the key here has no role, and nothing is signed with it."""
    roles = installation.ledger._state.roles
    roles[LedgerRole.ADMIN, OTHER] = roles.pop((LedgerRole.ADMIN, GOVERNING["admin"]))
    with pytest.raises(Conflict, match="not kept here"):
        grant(installation)
    with pytest.raises(Conflict, match="not kept here"):
        revoke(installation, "REGISTRAR", GOVERNING["authority"])


def test_earlier_contracts_have_no_roles_to_give(installation):
    installation.ledger._state.has_keys = False
    with pytest.raises(Conflict, match="earlier version"):
        grant(installation)


@pytest.mark.parametrize("who", ["officer", "chamber", "merchant", "laboratory", "analyst"])
def test_powers_are_the_authoritys_to_use(installation, who):
    actor, ctx = getattr(installation, who), installation.ctx
    installation.ledger._state.delay = DAY
    announced = grant(installation)
    installation.settle()
    for act in (ledger_requests.pause_ledger, ledger_requests.resume_ledger):
        with pytest.raises(NotAllowed):
            act(ctx, actor)
    for change in (ledger_requests.grant_role, ledger_requests.revoke_role):
        with pytest.raises(NotAllowed):
            change(ctx, actor, "REGISTRAR", GOVERNING["authority"])
    with pytest.raises(NotAllowed):
        ledger_requests.withdraw(ctx, actor, announced.id)
    installation.settle()
    assert len(installation.ledger._state.announced) == 1
    assert not is_paused(installation)


# What is announced


def test_withdrawn_grant_never_comes(installation):
    """By the admin, which announced it. The guardian's account signs nothing for a page."""
    installation.ledger._state.delay = DAY
    asked = grant(installation)
    installation.settle()
    withdraw(installation, asked)
    with pytest.raises(Conflict, match="already"):
        withdraw(installation, asked)
    installation.settle()
    assert settled(installation, asked) == (requests.WITHDRAWN, None)
    assert installation.ledger._state.announced == {}
    assert installation.ledger.mined("guardian") == []
    installation.clock.pass_by(DAY + timedelta(minutes=1))
    installation.settle()
    assert not has_role(installation, "REGISTRAR")
    with pytest.raises(Conflict, match="not announced any more"):
        withdraw(installation, asked)
    with pytest.raises(NotFound):
        ledger_requests.withdraw(installation.ctx, installation.authority, "nothing")


def test_grant_withdrawn_before_its_announcement_is_not_announced(installation):
    installation.ledger._state.delay = DAY
    asked = grant(installation)
    withdraw(installation, asked)
    installation.settle()
    assert settled(installation, asked) == (requests.WITHDRAWN, None)
    assert installation.ledger.mined("admin") == []


def test_withdrawal_waits_for_an_announcement_under_way(installation):
    installation.with_confirmations(3)
    installation.ledger._state.delay = DAY
    asked = grant(installation)
    run_once(installation.ctx)
    withdraw(installation, asked)
    run_once(installation.ctx)
    installation.ledger.mine(4)
    run_once(installation.ctx)
    run_once(installation.ctx)
    installation.ledger.mine(4)
    installation.settle()
    assert settled(installation, asked) == (requests.WITHDRAWN, None)
    assert installation.ledger._state.announced == {}


def test_refused_withdrawal_leaves_the_change_announced(installation):
    installation.ledger._state.delay = DAY
    asked = grant(installation)
    installation.settle()
    installation.ledger.refusing = True
    withdrawal = withdraw(installation, asked)
    installation.settle()
    installation.ledger.refusing = False
    assert settled(installation, withdrawal) == ("Refusing", None)
    installation.clock.pass_by(DAY + timedelta(minutes=1))
    installation.settle()
    assert has_role(installation, "REGISTRAR")


def test_guardian_cancels_and_the_authority_asks_anew(installation):
    """At once, and not only when the cancelled change would have been due."""
    installation.ledger._state.delay = DAY
    first = grant(installation)
    installation.settle()
    (announced,) = installation.ledger._state.announced
    with pytest.raises(Conflict, match="under way"):
        grant(installation)
    assert installation.ledger.act_as("guardian", CancelAnnounced(announced))
    second = grant(installation)
    installation.settle()
    installation.clock.pass_by(DAY + timedelta(minutes=1))
    installation.settle()
    assert settled(installation, first) == (requests.CANCELLED, None)
    assert settled(installation, second) == (None, "final")


def test_grant_is_not_made_where_nobody_announced_it(installation):
    installation.ledger._state.delay = DAY
    asked = grant(installation)
    installation.settle()
    installation.ledger._state.announced.clear()
    installation.clock.pass_by(DAY + requests.EXPIRES + timedelta(minutes=1))
    installation.settle()
    assert settled(installation, asked) == (requests.EXPIRED, None)
    assert not has_role(installation, "REGISTRAR")


def test_call_early_by_the_chains_clock_waits(installation):
    """The chain's clock is behind ours: the ledger refuses, and the call is made once it is due there too."""
    installation.ledger._state.delay = DAY
    asked = grant(installation)
    installation.settle()
    (announced,) = installation.ledger._state.announced
    due = installation.ledger._state.announced[announced]
    installation.ledger._state.announced[announced] = due + timedelta(minutes=5)
    real = installation.ledger.announced
    installation.ledger.announced = lambda call: due if real(call) else None
    installation.clock.pass_by(DAY + timedelta(minutes=1))
    for _ in range(3):
        run_once(installation.ctx)
    assert settled(installation, asked)[0] is None
    assert not has_role(installation, "REGISTRAR")
    installation.clock.pass_by(timedelta(minutes=5))
    installation.settle()
    assert settled(installation, asked) == (None, "final")


# Crashes


def used(installation):
    """A role given after notice, one withdrawn, and a pause that is ended; whoever reads it gets each once."""
    installation.ledger._state.delay = DAY
    given, withdrawn = grant(installation), grant(installation, account=OTHER)
    pause(installation)
    return given, withdrawn


POINTS = [f"request-{what}" for what in ("signed", "kept", "sent")]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("nth", range(1, 6))
def test_killed_at_any_step_does_each_once(installation, point, nth):
    """Killed at the n-th arrival at a step, and started again: role, withdrawal and pause come about once each."""
    left, calm = [nth], installation.ctx

    def crash(reached):
        if reached == point:
            left[0] -= 1
            if not left[0]:
                raise Crash

    installation.ctx = replace(calm, reached=crash)
    given, withdrawn = used(installation)
    crashed = 0
    for step in ("announced", "withdrawn", "due"):
        if step == "withdrawn":
            withdraw(installation, withdrawn)
        if step == "due":
            installation.clock.pass_by(DAY + timedelta(minutes=1))
        try:
            installation.settle()
        except Crash:
            crashed += 1
            installation.settle()
    installation.ctx = calm
    assert crashed == 1
    assert settled(installation, given) == (None, "final")
    assert settled(installation, withdrawn) == (requests.WITHDRAWN, None)
    assert (has_role(installation, "REGISTRAR"), has_role(installation, "REGISTRAR", OTHER)) == (True, False)
    assert is_paused(installation)
    granted = [call for _, call in installation.ledger.mined("admin") if isinstance(call, GrantRole)]
    assert len(granted) == 1
    for signer in ("admin", "authority"):
        nonces = [nonce for nonce, _ in installation.ledger.mined(signer)]
        assert nonces == list(range(len(nonces)))
    assert audit(installation.ctx).discrepancies == ()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("nth", range(1, 6))
def test_killed_at_any_commit_does_each_once(installation, nth, after):
    given, withdrawn = used(installation)
    calm = installation.ctx
    installation.ctx = replace(calm, work=FailingWork(calm.work, nth, after))
    with pytest.raises(Crash):
        installation.settle()
    installation.ctx = calm
    installation.settle()
    withdraw(installation, withdrawn)
    installation.settle()
    installation.clock.pass_by(DAY + timedelta(minutes=1))
    installation.settle()
    assert settled(installation, given) == (None, "final")
    assert settled(installation, withdrawn) == (requests.WITHDRAWN, None)
    granted = [call for _, call in installation.ledger.mined("admin") if isinstance(call, GrantRole)]
    assert len(granted) == 1
    assert is_paused(installation)


def test_block_of_a_pause_lost_pauses_again(installation):
    installation.with_confirmations(3)
    asked = pause(installation)
    run_once(installation.ctx)
    run_once(installation.ctx)
    assert is_paused(installation)
    installation.ledger.reorganise(1)
    assert not is_paused(installation)
    run_once(installation.ctx)
    run_once(installation.ctx)
    installation.ledger.mine(4)
    installation.settle()
    assert settled(installation, asked) == (None, "final")
    assert is_paused(installation)


def test_refusal_is_told_at_once(installation):
    installation.ledger.refusing = True
    with pytest.raises(LedgerRefused):
        pause(installation)
