"""A release draws its certificates on the ledger: exactly once, never beyond their quantity, and not in silence."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from backend.domain.clearance import Decision, Step
from backend.domain.errors import LedgerRefused
from backend.domain.ledger import ActivateCertificate, ChangeStatuses, LedgerDrawdown, LedgerRecord, MakeDrawdowns
from backend.domain.statuses import DeclarationStatus
from backend.domain.verdict import Conclusion, Outcome
from backend.services import decisions, declarations, issuance
from backend.services.anchoring import reanchor_all, run_once
from backend.services.audit import audit
from backend.services.decisions import NotReleasable
from backend.services.verification import verdict_on_consignment
from tests.helpers.builders import goods_item, lodgement_fields


def release(house, consignment, **changes):
    return decisions.decide(house.ctx, house.officer, consignment.id, Decision.RELEASE, "Papers in order", **changes)


def lodged(house, certificates, quantity="200", number=1):
    """A declaration on these certificates, with everything on the ledger."""
    papers = [*certificates, house.issue_report(reportNumber=f"R{number}")]
    consignment = house.lodge(papers, declarationReference=f"D{number}", items=[goods_item(quantity=quantity)])
    house.settle()
    return house.consignment(consignment.id)


def ledger_record(record):
    return LedgerRecord(record.batch.root, record.leaf_index)


def remaining(house, certificate):
    opened = house.ledger.certificate_balance(*_where(house, certificate))
    return None if opened is None else opened.remaining


def _where(house, certificate):
    kept = house.record(certificate.id)
    return kept.batch.root, kept.leaf_index


def rows(house, consignment):
    with house.ctx.work(reading=True) as work:
        return work.drawdowns.of_declaration(consignment.id)


def quantity_check(house, consignment):
    with house.ctx.work(reading=True) as work:
        verdict = verdict_on_consignment(house.ctx, work, work.consignments.get(consignment.id)).verdict
    return next(check for check in verdict.checks if check.code == "QUANTITY_AVAILABLE")


def draw_elsewhere(house, certificate, declaration, steps):
    """What another server does: draws the certificate for a declaration, past our database."""
    opened = house.ledger.certificate_balance(*_where(house, certificate))
    if opened is None:
        with house.ctx.work(reading=True) as work:
            kept = work.records.get(certificate.id)
        from backend.services.anchoring.drawdowns import _activation_call

        _send(house, _activation_call(kept, ledger_record(kept)))
    _send(
        house,
        MakeDrawdowns(
            (LedgerDrawdown(ledger_record(house.record(certificate.id)), ledger_record(declaration.record), steps),)
        ),
    )


def _send(house, call, signer="anchorer"):
    house.ledger.send(house.ledger.sign(call, house.ledger.next_nonce(signer)).raw)


# What is drawn


def test_a_release_draws_its_certificate_and_only_then_stands_on_the_ledger(house):
    certificate = house.issue_certificate()
    consignment = lodged(house, [certificate])
    assert remaining(house, certificate) is None, "opened when first needed, not before"
    release(house, consignment)
    house.settle()
    assert remaining(house, certificate) == 300_000
    calls = [type(call) for _, call in house.ledger.mined("anchorer")]
    assert calls.count(ActivateCertificate) == calls.count(MakeDrawdowns) == 1
    (row,) = rows(house, consignment)
    assert row.made_at is not None
    assert house.ledger.status(*_where(house, consignment.record)) == DeclarationStatus.RELEASED
    assert quantity_check(house, consignment).reason == "drawdown-recorded"


def test_the_release_is_not_sent_before_its_draws_are_final(house):
    house.with_confirmations(3)
    certificate = house.issue_certificate()
    consignment = house.lodge([certificate, house.issue_report()])
    for _ in range(8):
        run_once(house.ctx)
        house.ledger.mine()
    release(house, consignment)
    for _ in range(20):
        run_once(house.ctx)
        released = [call for _, call in house.ledger.mined("office") if isinstance(call, ChangeStatuses)]
        (row,) = rows(house, consignment)
        assert bool(released) <= (row.made_at is not None)
        house.ledger.mine()
    assert released


def test_many_releases_are_drawn_in_one_call(house):
    certificate = house.issue_certificate()
    consignments = [lodged(house, [certificate], "10", number) for number in range(12)]
    for consignment in consignments:
        release(house, consignment)
    house.settle(20)
    drawdown_sets = [call for _, call in house.ledger.mined("anchorer") if isinstance(call, MakeDrawdowns)]
    assert [len(drawdown_set.drawdowns) for drawdown_set in drawdown_sets] == [12]
    assert remaining(house, certificate) == 380_000


def test_goods_of_two_certificates_are_taken_from_one_after_the_other(house):
    first = house.issue_certificate(certificateNumber="A", quantity="150")
    second = house.issue_certificate(certificateNumber="B", quantity="150")
    consignment = lodged(house, [first, second])
    release(house, consignment)
    house.settle()
    assert (remaining(house, first), remaining(house, second)) == (0, 100_000)


def test_a_statement_that_was_accepted_draws_nothing(house):
    """There is no certificate yet; the officer's acceptance of it stays on record."""
    from backend.domain.kinds import Kind
    from backend.services import statements
    from tests.helpers.builders import certificate_fields

    statement = statements.issue_statement(
        house.ctx, house.merchant, Kind.CERTIFICATE_OF_ORIGIN, certificate_fields(), house.chamber.organisation.id
    )
    consignment = lodged(house, [statement])
    release(house, consignment, accept_indeterminate=True)
    house.settle()
    assert rows(house, consignment) == []
    assert house.ledger.status(*_where(house, consignment.record)) == DeclarationStatus.RELEASED


def test_a_ledger_from_before_there_were_draws_goes_on_as_before(house):
    house.ledger.counts_quantities = False
    consignment = lodged(house, [house.issue_certificate()])
    release(house, consignment)
    house.settle()
    assert house.ledger.status(*_where(house, consignment.record)) == DeclarationStatus.RELEASED
    assert not audit(house.ctx).discrepancies


# Never beyond what there is


def test_what_another_server_drew_is_not_released_again(house):
    certificate = house.issue_certificate()
    theirs, ours = lodged(house, [certificate], "250", 1), lodged(house, [certificate], "250", 2)
    draw_elsewhere(house, certificate, theirs, 300_000)
    assert quantity_check(house, ours).outcome is Outcome.FAIL
    with pytest.raises(NotReleasable) as refused:
        release(house, ours)
    assert refused.value.verdict.conclusion is Conclusion.INVALID
    assert quantity_check(house, theirs).values["left"] == "200 H87"


def test_parallel_releases_take_exactly_what_there_is(house):
    """Our own count is kept with the decision, so that no two releases take the same goods."""
    certificate = house.issue_certificate(quantity="50")
    papers = [certificate, house.issue_report()]
    consignments = [
        house.lodge(papers, declarationReference=f"P{n}", items=[goods_item(quantity="5")]) for n in range(20)
    ]
    house.settle()

    def attempt(consignment):
        try:
            return bool(release(house, consignment))
        except NotReleasable:
            return False

    with ThreadPoolExecutor(8) as pool:
        released = list(pool.map(attempt, consignments))
    house.settle()
    assert sum(released) == 10
    assert remaining(house, certificate) == 0


# What the ledger refuses


@pytest.mark.parametrize("what", ["overdrawn", "revoked", "accreditation suspended"])
def test_a_release_whose_draw_the_ledger_refuses_is_undone_and_customs_are_told(house, what):
    certificate = house.issue_certificate()
    other, consignment = lodged(house, [certificate], "400", 1), lodged(house, [certificate], "100", 2)
    release(house, consignment)
    if what == "overdrawn":
        draw_elsewhere(house, certificate, other, 450_000)
        why = "CertificateBalanceOverdrawn"
    elif what == "revoked":
        root, leaf_index = _where(house, certificate)
        _send(house, ChangeStatuses(root, ((leaf_index, 2),), bytes(32), "anchorer"))
        why = "CertificateBalanceNotActive"
    else:
        house.ledger._state.accreditations.clear()
        why = "CertificateBalanceIssuerNotAccredited"
    house.settle()
    kept = house.consignment(consignment.id)
    assert kept.status is DeclarationStatus.DETAINED
    assert kept.released_at is None
    assert kept.decisions[-1].undone.startswith(why)
    assert kept.events[-1].step is Step.DETAINED
    assert kept.events[-1].note.startswith(why)
    assert house.ledger.status(*_where(house, consignment.record)) == DeclarationStatus.DETAINED
    assert not any(row.is_standing for row in rows(house, consignment))
    found = audit(house.ctx).discrepancies
    assert {one.name for one in found} <= {"drawdown-unknown-to-database", "status-differs"}, found


def test_after_an_undone_release_an_officer_may_release_with_another_certificate(house):
    certificate = house.issue_certificate()
    other, consignment = lodged(house, [certificate], "400", 1), lodged(house, [certificate], "100", 2)
    release(house, consignment)
    draw_elsewhere(house, certificate, other, 450_000)
    house.settle()
    decisions.decide(house.ctx, house.officer, consignment.id, Decision.REJECT, "Quantity used up")
    house.settle()
    assert house.consignment(consignment.id).status is DeclarationStatus.REJECTED
    assert house.ledger.status(*_where(house, consignment.record)) == DeclarationStatus.REJECTED


def test_one_refused_draw_does_not_hold_up_the_others(house):
    small, large = house.issue_certificate(certificateNumber="S", quantity="10"), house.issue_certificate()
    bad, other = lodged(house, [small], "10", 1), lodged(house, [small], "10", 2)
    good = [lodged(house, [large], "10", number) for number in range(3, 8)]
    for consignment in [bad, *good]:
        release(house, consignment)
    draw_elsewhere(house, small, other, 5_000)
    house.settle()
    assert house.consignment(bad.id).status is DeclarationStatus.DETAINED
    assert all(house.consignment(one.id).status is DeclarationStatus.RELEASED for one in good)
    assert remaining(house, large) == 450_000


def test_a_draw_that_reverts_on_the_chain_is_looked_into_and_undone(house):
    """The rehearsal went well, and then somebody was quicker."""
    certificate = house.issue_certificate()
    other, consignment = lodged(house, [certificate], "400", 1), lodged(house, [certificate], "100", 2)
    draw_elsewhere(house, certificate, other, 400_000)
    release(house, consignment)
    house.ledger.holding = True
    run_once(house.ctx)  # our draw is signed and sent, and waits for its block
    ours = house.ledger._pool.pop()
    house.ledger.holding = False
    nonce = house.ledger.next_nonce("anchorer")
    house.ledger._state.balances[ledger_record(house.record(certificate.id))] = replace(
        house.ledger.certificate_balance(*_where(house, certificate)), remaining=0
    )
    house.ledger.send(ours)
    assert house.ledger.next_nonce("anchorer") == nonce + 1
    house.settle()
    assert house.consignment(consignment.id).status is DeclarationStatus.DETAINED


def test_a_pause_makes_draws_wait_and_undoes_nothing(house, monkeypatch):
    certificate = house.issue_certificate()
    consignment = lodged(house, [certificate])
    release(house, consignment)
    real = house.ledger.simulate

    def paused(call):
        if isinstance(call, MakeDrawdowns | ActivateCertificate):
            raise LedgerRefused("TraceLedgerPaused", error="TraceLedgerPaused", arguments={})
        return real(call)

    monkeypatch.setattr(house.ledger, "simulate", paused)
    for _ in range(3):
        assert run_once(house.ctx)
    assert house.consignment(consignment.id).status is DeclarationStatus.RELEASED
    assert house.ledger.status(*_where(house, consignment.record)) == DeclarationStatus.LODGED
    monkeypatch.undo()
    house.settle()
    assert remaining(house, certificate) == 300_000


# Crashes, reorganisations, older copies


STEPS = ("opening-signed", "opening-kept", "opening-sent", "draw-signed", "draw-kept", "draw-sent")


class Killed(Exception):
    pass


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(
    "point",
    ["opening-signed", "opening-kept", "opening-sent", "draw-signed", "draw-kept", "draw-sent", "receipt-noted"],
)
def test_a_crash_while_drawing_draws_once(house, point, times):
    certificate = house.issue_certificate()
    consignment = lodged(house, [certificate])
    release(house, consignment)
    count = [times]

    def crash(reached):
        if reached == point and count[0]:
            count[0] -= 1
            raise Killed(point)

    calm, house.ctx = house.ctx, replace(house.ctx, reached=crash)
    for _ in range(6):
        try:
            run_once(house.ctx)
        except Killed:
            continue
    assert count[0] < times, "the point was never reached"
    house.ctx = calm
    house.settle()
    assert remaining(house, certificate) == 300_000
    assert len(list(house.ledger.drawdown_sets())) == 1
    assert not audit(house.ctx).discrepancies


@pytest.mark.parametrize("depth", [1, 2, 3, 5, 8, 12])
def test_draws_whose_blocks_vanish_are_made_again(house, depth):
    house.with_confirmations(4)
    certificate = house.issue_certificate()
    consignment = house.lodge([certificate, house.issue_report()])
    for _ in range(8):
        run_once(house.ctx)
        house.ledger.mine()
    release(house, consignment)
    for _ in range(16):
        run_once(house.ctx)
        house.ledger.mine()
    house.ledger.reorganise(depth)
    for _ in range(40):
        house.ledger.mine()
        run_once(house.ctx)
    assert remaining(house, certificate) == 300_000
    assert len(list(house.ledger.drawdown_sets())) == 1
    assert house.ledger.status(*_where(house, consignment.record)) == DeclarationStatus.RELEASED
    assert not audit(house.ctx).discrepancies


def test_a_draw_that_an_older_copy_of_the_database_forgot_is_recognised(house):
    certificate = house.issue_certificate()
    consignment = lodged(house, [certificate])
    release(house, consignment)
    draw_elsewhere(house, certificate, consignment, 200_000)  # what the lost copy had done
    house.settle()
    assert remaining(house, certificate) == 300_000, "drawn once, not twice"
    (row,) = rows(house, consignment)
    assert row.made_at is not None
    assert house.ledger.status(*_where(house, consignment.record)) == DeclarationStatus.RELEASED
    assert not audit(house.ctx).discrepancies


def test_on_a_new_chain_certificates_are_opened_and_drawn_again(house):
    certificate = house.issue_certificate()
    consignment = lodged(house, [certificate])
    release(house, consignment)
    house.settle()
    house.ledger.reorganise(len(house.ledger._blocks) - 1)
    reanchor_all(house.ctx)
    house.settle()
    assert remaining(house, certificate) == 300_000
    assert house.consignment(consignment.id).status is DeclarationStatus.RELEASED
    assert not audit(house.ctx).discrepancies


# Giving back


def rejected_elsewhere(house, consignment, status=DeclarationStatus.REJECTED):
    root, leaf_index = _where(house, consignment.record)
    _send(house, ChangeStatuses(root, ((leaf_index, int(status)),), bytes(32), "office"), "office")


@pytest.mark.parametrize("status", [DeclarationStatus.REJECTED, DeclarationStatus.RETURNED])
def test_what_was_drawn_is_given_back_where_the_declaration_ended_otherwise(house, status):
    """Another office rejects on the ledger before our release comes there: the ledger decides, here too."""
    certificate = house.issue_certificate()
    consignment = lodged(house, [certificate])
    release(house, consignment)
    run_once(house.ctx)
    assert remaining(house, certificate) == 300_000
    rejected_elsewhere(house, consignment, status)
    house.settle()
    kept = house.consignment(consignment.id)
    assert kept.status is status
    assert kept.record.status == status
    assert kept.decisions[-1].undone
    assert remaining(house, certificate) == 500_000
    (row,) = rows(house, consignment)
    assert row.refunded_at is not None
    assert not audit(house.ctx).discrepancies


@pytest.mark.parametrize("point", ["back-signed", "back-kept", "back-sent", "before-receipt-commit"])
def test_a_crash_while_giving_back_gives_back_once(house, point):
    certificate = house.issue_certificate()
    consignment = lodged(house, [certificate])
    release(house, consignment)
    run_once(house.ctx)
    rejected_elsewhere(house, consignment)
    crashed = []

    def crash(reached):
        if reached == point and not crashed:
            crashed.append(point)
            raise Killed(point)

    calm, house.ctx = house.ctx, replace(house.ctx, reached=crash)
    for _ in range(6):
        try:
            run_once(house.ctx)
        except Killed:
            continue
    assert crashed
    house.ctx = calm
    house.settle()
    assert remaining(house, certificate) == 500_000
    assert not audit(house.ctx).discrepancies


def test_a_withdrawal_forgets_what_was_never_drawn(house):
    certificate = house.issue_certificate()
    consignment = lodged(house, [certificate])
    declarations.withdraw(house.ctx, house.merchant, consignment.id)
    house.settle()
    assert rows(house, consignment) == []
    assert remaining(house, certificate) is None


# The audit


def in_database(house, statement):
    from sqlalchemy import text

    with house.ctx.work() as work:
        work._session.execute(text(statement))
        work.commit()


def drawn_house(house):
    certificate = house.issue_certificate()
    first, second = lodged(house, [certificate], "100", 1), lodged(house, [certificate], "50", 2)
    release(house, first)
    house.settle()
    assert not audit(house.ctx).discrepancies
    return certificate, first, second


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("UPDATE drawdown SET quantity = quantity + 1", "drawdown-differs"),
        ("UPDATE drawdown SET set_root = zeroblob(32)", "drawdown-not-on-ledger"),
        ("UPDATE drawdown SET position = 7", "drawdown-not-on-ledger"),
        ("UPDATE drawdown SET refunded_at = made_at", "refund-differs"),
        ("DELETE FROM drawdown", "drawdown-unknown-to-database"),
        ("UPDATE drawdown SET refusal = 'x'", "release-without-drawdown"),
    ],
)
def test_the_audit_finds_what_was_changed_behind_the_application(house, statement, name):
    drawn_house(house)
    in_database(house, statement)
    assert name in {one.name for one in audit(house.ctx).discrepancies}


def test_the_audit_finds_a_draw_for_our_declaration_that_we_did_not_make(house):
    certificate, _, second = drawn_house(house)
    draw_elsewhere(house, certificate, second, 50_000)
    assert {one.name for one in audit(house.ctx).discrepancies} == {"drawdown-unknown-to-database"}


def test_the_audit_finds_a_balance_that_the_draws_do_not_explain(house):
    certificate, *_ = drawn_house(house)
    where = ledger_record(house.record(certificate.id))
    house.ledger._state.balances[where] = replace(house.ledger._state.balances[where], remaining=1)
    assert {one.name for one in audit(house.ctx).discrepancies} == {"balance-differs"}


def test_revoking_after_the_draw_changes_nothing_about_the_release(house):
    certificate, first, _ = drawn_house(house)
    issuance.revoke(house.ctx, house.chamber, certificate.id, "fraud")
    house.settle()
    assert house.consignment(first.id).status is DeclarationStatus.RELEASED


def test_a_declaration_on_used_up_certificates_says_how_much_is_left(house):
    certificate, *_ = drawn_house(house)
    third = declarations.lodge(
        house.ctx,
        house.merchant,
        lodgement_fields(declarationReference="D9", records=[certificate.id], items=[goods_item(quantity="450")]),
    )
    check = quantity_check(house, third)
    assert (check.outcome, check.values["left"]) == (Outcome.FAIL, "400 H87")
