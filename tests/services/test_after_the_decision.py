"""What is found out after a decision reaches both sides: it was undone, or a paper behind released goods fell."""

import pytest

from backend.domain.consignment import Decision, DecisionState, Step
from backend.domain.errors import StaleVersion
from backend.domain.ledger import DeclarationStatus
from backend.services import accreditation, decisions, issuance, keys
from backend.services.anchoring import run_once
from tests.services.test_issuance_and_statements import state


def released(installation, papers=None):
    consignment = installation.lodge(papers)
    installation.settle()
    decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.RELEASE, "in order")
    return consignment


def alerts(installation, consignment):
    kept = installation.consignment(consignment.id)
    told = [(event.step, event.record.id) for event in kept.events if event.record is not None]
    return kept.alerted_at is not None, told


def alerted(installation):
    with installation.ctx.work(reading=True) as work:
        own = work.consignments.alerted(5, installation.merchant.organisation)
        assert [one.id for one in own] == [one.id for one in work.consignments.alerted(5, offices=["CNYIU"])]
        assert not work.consignments.alerted(5, installation.rival.organisation)
        assert not work.consignments.alerted(5, offices=["CNNBO"])
        return [one.id for one in own]


def test_decision_is_accepted_until_the_ledger_has_it(installation):
    installation.with_confirmations(2)
    consignment = installation.lodge([])
    run_once(installation.ctx)
    installation.ledger.mine(3)
    run_once(installation.ctx)
    decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.EXAMINE, "look")
    seen = [installation.consignment(consignment.id).decision_state]
    for _ in range(4):
        run_once(installation.ctx)
        installation.ledger.mine()
        seen.append(installation.consignment(consignment.id).decision_state)
    assert list(dict.fromkeys(seen)) == [DecisionState.ACCEPTED, DecisionState.ON_LEDGER, DecisionState.FINAL]


@pytest.mark.parametrize("settled", [True, False])
def test_revocation_after_release_reaches_the_declaration(installation, settled):
    certificate, report = installation.issue_certificate(), installation.issue_report()
    consignment = released(installation, [certificate, report])
    if settled:
        installation.settle()
    before = installation.consignment(consignment.id)
    assert alerts(installation, consignment) == (False, [])
    issuance.revoke(installation.ctx, installation.chamber, certificate.id, "made elsewhere")
    assert alerts(installation, consignment) == (True, [(Step.PAPER_REVOKED, certificate.id)])
    kept = installation.consignment(consignment.id)
    assert kept.version == before.version + 1
    (change,) = kept.changes_since(before.version)
    assert (change.organisation, change.why) == ("Zhejiang Chamber", "made elsewhere")
    assert alerted(installation) == [consignment.id]


def test_revocation_reaches_no_other_declaration(installation):
    certificate = installation.issue_certificate()
    other = released(
        installation, [installation.issue_certificate(certificateNumber="N-2"), installation.issue_report()]
    )
    issuance.revoke(installation.ctx, installation.chamber, certificate.id, "made elsewhere")
    assert alerts(installation, other) == (False, [])
    assert alerted(installation) == []


def test_revoked_replacement_reaches_who_named_the_statement(installation):
    """The declaration names the merchant's statement; the chamber's record replaced it, and is revoked."""
    statement = state(installation)
    consignment = installation.lodge([statement, installation.issue_report()])
    with installation.ctx.work(reading=True) as work:
        request = work.requests.find_about(statement.id)
    confirmed = issuance.confirm(installation.ctx, installation.chamber, request.id, "C-77")
    issuance.revoke(installation.ctx, installation.chamber, confirmed.id, "made elsewhere")
    assert alerts(installation, consignment) == (False, [(Step.PAPER_REVOKED, confirmed.id)])


def test_open_declaration_is_told_and_gets_new_version(installation):
    certificate = installation.issue_certificate()
    consignment = installation.lodge([certificate])
    issuance.revoke(installation.ctx, installation.chamber, certificate.id, "made elsewhere")
    with pytest.raises(StaleVersion) as refused:
        decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.EXAMINE, "look", read=1)
    assert [(one.what, one.why) for one in refused.value.changes] == [("paper-revoked", "made elsewhere")]
    assert alerts(installation, consignment) == (False, [(Step.PAPER_REVOKED, certificate.id)])


def test_suspended_issuer_reaches_released_declarations(installation):
    certificate, report = installation.issue_certificate(), installation.issue_report()
    consignment = released(installation, [certificate, report])
    chamber = installation.chamber.organisation.id
    accreditation.suspend(installation.ctx, installation.authority, chamber)
    assert alerts(installation, consignment) == (True, [(Step.PAPER_SUSPENDED, certificate.id)])
    accreditation.reinstate(installation.ctx, installation.authority, chamber)
    is_alerted, told = alerts(installation, consignment)
    assert not is_alerted
    assert told[-1] == (Step.PAPER_REINSTATED, certificate.id)


def test_reinstated_issuer_leaves_other_alerts(installation):
    certificate, report = installation.issue_certificate(), installation.issue_report()
    consignment = released(installation, [certificate, report])
    chamber = installation.chamber.organisation.id
    issuance.revoke(installation.ctx, installation.laboratory, report.id, "wrong lot")
    accreditation.suspend(installation.ctx, installation.authority, chamber)
    accreditation.reinstate(installation.ctx, installation.authority, chamber)
    assert alerts(installation, consignment)[0]


def test_stopped_key_reaches_released_declarations(installation):
    certificate, report = installation.issue_certificate(), installation.issue_report()
    consignment = released(installation, [certificate, report])
    with installation.ctx.work(reading=True) as work:
        key = work.keys.active(installation.chamber.organisation).thumbprint
    keys.compromised(installation.ctx, installation.authority, key, installation.clock())
    assert alerts(installation, consignment) == (True, [(Step.PAPER_SUSPENDED, certificate.id)])


def test_papers_of_an_earlier_key_stay_untouched(installation):
    certificate, report = installation.issue_certificate(), installation.issue_report()
    consignment = released(installation, [certificate, report])
    installation.settle()
    keys.rotate(installation.ctx, installation.authority, installation.chamber.organisation.id)
    installation.settle()
    accreditation.suspend(installation.ctx, installation.authority, installation.chamber.organisation.id)
    assert alerts(installation, consignment) == (False, [])


def test_withdrawn_declaration_is_told_nothing(installation):
    certificate = installation.issue_certificate()
    consignment = installation.lodge([certificate])
    decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.REJECT, "no")
    issuance.revoke(installation.ctx, installation.chamber, certificate.id, "made elsewhere")
    assert alerts(installation, consignment) == (False, [])
    assert installation.consignment(consignment.id).status is DeclarationStatus.REJECTED


def test_new_decision_ends_the_alert_of_undone_one(installation):
    certificate = installation.issue_certificate()
    consignment = released(installation, [certificate, installation.issue_report()])
    installation.ledger._state.accreditations.clear()
    installation.settle()
    assert installation.consignment(consignment.id).decision_state is DecisionState.UNDONE
    assert alerted(installation) == [consignment.id]
    decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.EXAMINE, "look")
    assert alerted(installation) == []


def test_revocation_reaches_many_declarations_at_once(installation):
    """More than fit into one statement's list of ids."""
    certificate = installation.issue_certificate(quantity="5000")
    ids = [installation.lodge([certificate], declarationReference=f"M-{n}").id for n in range(3)]

    from backend.store import database

    at_once, database.AT_ONCE = database.AT_ONCE, 2
    try:
        issuance.revoke(installation.ctx, installation.chamber, certificate.id, "made elsewhere")
    finally:
        database.AT_ONCE = at_once
    for key in ids:
        kept = installation.consignment(key)
        assert (kept.version, kept.events[-1].version, kept.events[-1].step) == (2, 2, Step.PAPER_REVOKED)
