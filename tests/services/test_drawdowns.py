"""A release draws its certificates on the ledger: exactly once, never beyond their quantity, and not in silence."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from backend.domain.consignment import Decision, DecisionState, Step
from backend.domain.errors import LedgerRefused
from backend.domain.evidence import leaf_hash
from backend.domain.ledger import (
    ActivateCertificate,
    ChangeStatuses,
    DeclarationStatus,
    DocumentStatus,
    LedgerDrawdown,
    LedgerRecord,
    MakeDrawdowns,
)
from backend.domain.records import document_of
from backend.domain.verdict import Conclusion, Outcome
from backend.services import decisions, declarations, issuance, records
from backend.services.anchoring import reanchor_all, run_once
from backend.services.audit import audit
from backend.services.decisions import NotReleasable
from backend.services.records import sign_once
from backend.services.verification import verdict_on_consignment, verdicts_on_consignments
from tests.helpers.builders import goods_item, lodgement_fields
from tests.services.test_anchoring_faults import in_database


def release(installation, consignment, **changes):
    return decisions.decide(
        installation.ctx, installation.officer, consignment.id, Decision.RELEASE, "Papers in order", **changes
    )


def lodged(installation, certificates, quantity="200", number=1):
    """A declaration on these certificates, with everything on the ledger."""
    papers = [*certificates, installation.issue_report(reportNumber=f"R{number}")]
    consignment = installation.lodge(papers, declarationReference=f"D{number}", items=[goods_item(quantity=quantity)])
    installation.settle()
    return installation.consignment(consignment.id)


def ledger_record(installation, record):
    return LedgerRecord(installation.ledger.batch_key(record.batch.root), record.leaf_index)


def remaining(installation, certificate):
    opened = installation.ledger.certificate_balance(LedgerRecord(*_where(installation, certificate)))
    return None if opened is None else opened.remaining


def _where(installation, certificate):
    kept = installation.record(certificate.id)
    return installation.ledger.batch_key(kept.batch.root), kept.leaf_index


def rows(installation, consignment):
    with installation.ctx.work(reading=True) as work:
        return work.drawdowns.of_declaration(consignment.id)


def quantity_check(installation, consignment):
    with installation.ctx.work(reading=True) as work:
        verdict = verdict_on_consignment(installation.ctx, work, work.consignments.get(consignment.id)).verdict
    return next(check for check in verdict.checks if check.code == "QUANTITY_AVAILABLE")


def drawdown_elsewhere(installation, certificate, declaration, steps):
    """What another server does: draws the certificate for a declaration, past our database."""
    opened = installation.ledger.certificate_balance(LedgerRecord(*_where(installation, certificate)))
    if opened is None:
        with installation.ctx.work(reading=True) as work:
            kept = work.records.get(certificate.id)
        from backend.services.anchoring.drawdowns import activation_call

        _send(installation, activation_call(kept, ledger_record(installation, kept)))
    _send(
        installation,
        MakeDrawdowns(
            (
                LedgerDrawdown(
                    ledger_record(installation, installation.record(certificate.id)),
                    ledger_record(installation, declaration.record),
                    steps,
                ),
            )
        ),
    )


def _send(installation, call, signer="anchorer"):
    installation.ledger.send(installation.ledger.sign(call, installation.ledger.next_nonce(signer)).raw)


# What is counted


def test_list_counts_for_each_what_earlier_ones_take(installation):
    certificate, other = installation.issue_certificate(), installation.issue_certificate(certificateNumber="C2")
    for number, one in enumerate((certificate, certificate, other, certificate), 1):
        lodged(installation, [one], number=number)
    with installation.ctx.work(reading=True) as work:
        listed = work.consignments.search(oldest_first=True)
        together = verdicts_on_consignments(installation.ctx, work, listed)
        alone = [verdict_on_consignment(installation.ctx, work, work.consignments.get(one.id)) for one in listed]
    assert [one.verdict.checks for one in together] == [one.verdict.checks for one in alone]
    matched = [{check.code: check.reason for check in one.verdict.checks}["MATCH_QUANTITY"] for one in together]
    assert matched[0] == matched[1] == matched[2] != matched[3], "500 are certified, and the fourth takes 600 of them"


def test_list_counts_what_others_have_drawn(installation):
    certificate = installation.issue_certificate()
    first, second = lodged(installation, [certificate]), lodged(installation, [certificate], "400", number=2)
    release(installation, first)
    installation.settle()
    with installation.ctx.work(reading=True) as work:
        (verdict,) = verdicts_on_consignments(installation.ctx, work, [work.consignments.get(second.id)])
    (check,) = [check for check in verdict.verdict.checks if check.code == "QUANTITY_AVAILABLE"]
    assert check.outcome is Outcome.FAIL


# What is drawn


def test_release_stands_only_after_its_drawdown_is_final(installation):
    certificate = installation.issue_certificate()
    consignment = lodged(installation, [certificate])
    assert remaining(installation, certificate) is None, "opened when first needed, not before"
    release(installation, consignment)
    installation.settle()
    assert remaining(installation, certificate) == 300_000
    calls = [type(call) for _, call in installation.ledger.mined("anchorer")]
    assert calls.count(ActivateCertificate) == calls.count(MakeDrawdowns) == 1
    (row,) = rows(installation, consignment)
    assert row.made_at is not None
    assert installation.ledger.status(*_where(installation, consignment.record)) == DeclarationStatus.RELEASED
    assert quantity_check(installation, consignment).reason == "drawdown-recorded"


def test_release_waits_for_its_drawdowns(installation):
    installation.with_confirmations(3)
    certificate = installation.issue_certificate()
    consignment = installation.lodge([certificate, installation.issue_report()])
    for _ in range(8):
        run_once(installation.ctx)
        installation.ledger.mine()
    release(installation, consignment)
    for _ in range(20):
        run_once(installation.ctx)
        released = [call for _, call in installation.ledger.mined("office") if isinstance(call, ChangeStatuses)]
        (row,) = rows(installation, consignment)
        assert bool(released) <= (row.made_at is not None)
        installation.ledger.mine()
    assert released


def test_many_releases_are_drawn_in_one_call(installation):
    certificate = installation.issue_certificate()
    consignments = [lodged(installation, [certificate], "10", number) for number in range(12)]
    for consignment in consignments:
        release(installation, consignment)
    installation.settle(20)
    drawdown_sets = [call for _, call in installation.ledger.mined("anchorer") if isinstance(call, MakeDrawdowns)]
    assert [len(drawdown_set.drawdowns) for drawdown_set in drawdown_sets] == [12]
    assert remaining(installation, certificate) == 380_000


def test_two_certificates_are_drawn_down_in_order(installation):
    first = installation.issue_certificate(certificateNumber="A", quantity="150")
    second = installation.issue_certificate(certificateNumber="B", quantity="150")
    consignment = lodged(installation, [first, second])
    release(installation, consignment)
    installation.settle()
    assert (remaining(installation, first), remaining(installation, second)) == (0, 100_000)


def test_accepted_statement_causes_no_drawdown(installation):
    """There is no certificate yet; the officer's acceptance of it stays on record."""
    from backend.domain.kinds import Kind
    from backend.services import statements
    from tests.helpers.builders import certificate_fields

    statement = statements.issue_statement(
        installation.ctx,
        installation.merchant,
        Kind.CERTIFICATE_OF_ORIGIN,
        certificate_fields(),
        installation.chamber.organisation.id,
    )
    consignment = lodged(installation, [statement])
    release(installation, consignment, accept_indeterminate=True)
    installation.settle()
    assert rows(installation, consignment) == []
    assert installation.ledger.status(*_where(installation, consignment.record)) == DeclarationStatus.RELEASED


def test_ledger_without_balances_goes_on_as_before(installation):
    installation.ledger.counts_quantities = False
    consignment = lodged(installation, [installation.issue_certificate()])
    release(installation, consignment)
    installation.settle()
    assert installation.ledger.status(*_where(installation, consignment.record)) == DeclarationStatus.RELEASED
    assert not audit(installation.ctx).discrepancies


# A certificate that supersedes another


def reissue(installation, certificate, quantity):
    """What a chamber's corrected certificate is: its own record, which supersedes the first."""
    old = installation.record(certificate.id)
    document = document_of(old.kind, {**old.fields, "quantity": quantity, "certificateNumber": f"R{old.id[:8]}"})
    record = sign_once(
        installation.ctx,
        lambda work, inputs: records.draft(
            installation.ctx,
            work,
            inputs,
            old.kind,
            document,
            work.organisations.get(old.issuer.id),
            work.organisations.get(old.holder.id),
            supersedes=work.records.get(old.id),
        ),
        signer=installation.chamber.organisation,
    )
    installation.settle()
    return record


def test_successor_gives_only_what_was_left(installation):
    """On the ledger as by our own count, and the refund of an earlier drawdown reaches the successor."""
    first = installation.issue_certificate()
    before = lodged(installation, [first], "300", 1)
    release(installation, before)
    installation.settle()
    second = reissue(installation, first, "500")
    rest = lodged(installation, [second], "150", 2)
    check = quantity_check(installation, rest)
    assert (check.outcome, check.values["left"]) == (Outcome.PASS, "200 H87")
    release(installation, rest)
    installation.settle()
    assert (remaining(installation, first), remaining(installation, second)) == (0, 50_000)
    (call,) = [
        call
        for _, call in installation.ledger.mined("anchorer")
        if isinstance(call, ActivateCertificate) and call.superseded is not None
    ]
    assert call.superseded == LedgerRecord(*_where(installation, first))
    assert not audit(installation.ctx).discrepancies


def test_others_drawdowns_count_against_the_successor(installation):
    """Only the ledger knows what others drew of the superseded certificate."""
    first = installation.issue_certificate()
    theirs = lodged(installation, [first], "10", 1)
    drawdown_elsewhere(installation, first, theirs, 400_000)
    second = reissue(installation, first, "450")
    ours = lodged(installation, [second], "51", 2)
    assert remaining(installation, second) is None
    check = quantity_check(installation, ours)
    assert (check.outcome, check.values["left"]) == (Outcome.FAIL, "50 H87")
    third = reissue(installation, second, "900")
    fits = lodged(installation, [third], "100", 3)
    release(installation, fits)
    installation.settle()
    assert remaining(installation, third) == 0, "of the 500 that the first covered 400 were drawn"


def test_activation_waits_until_the_ledger_knows_of_superseding(installation):
    first = installation.issue_certificate()
    release(installation, lodged(installation, [first], "300", 1))
    installation.settle()
    second = reissue(installation, first, "500")
    consignment = lodged(installation, [second], "100", 2)
    place = LedgerRecord(*_where(installation, first))
    installation.ledger._state.statuses[place.batch_key, place.leaf_index] = DocumentStatus.ACTIVE
    release(installation, consignment)
    for _ in range(3):
        run_once(installation.ctx)
    assert remaining(installation, second) is None
    assert [row.refusal for row in rows(installation, consignment)] == [None]
    installation.ledger._state.statuses[place.batch_key, place.leaf_index] = DocumentStatus.SUPERSEDED
    installation.settle()
    assert remaining(installation, second) == 100_000


# Never beyond what there is


def test_what_another_server_drew_is_not_released_again(installation):
    certificate = installation.issue_certificate()
    theirs, ours = lodged(installation, [certificate], "250", 1), lodged(installation, [certificate], "250", 2)
    drawdown_elsewhere(installation, certificate, theirs, 300_000)
    assert quantity_check(installation, ours).outcome is Outcome.FAIL
    with pytest.raises(NotReleasable) as refused:
        release(installation, ours)
    assert refused.value.verdict.conclusion is Conclusion.INVALID
    assert quantity_check(installation, theirs).values["left"] == "200 H87"


def test_parallel_releases_take_exactly_what_there_is(installation):
    """Our own count is kept with the decision, so that no two releases take the same goods."""
    certificate = installation.issue_certificate(quantity="50")
    papers = [certificate, installation.issue_report()]
    consignments = [
        installation.lodge(papers, declarationReference=f"P{n}", items=[goods_item(quantity="5")]) for n in range(20)
    ]
    installation.settle()

    def attempt(consignment):
        try:
            return bool(release(installation, consignment))
        except NotReleasable:
            return False

    with ThreadPoolExecutor(8) as pool:
        released = list(pool.map(attempt, consignments))
    installation.settle()
    assert sum(released) == 10
    assert remaining(installation, certificate) == 0


# What the ledger refuses


@pytest.mark.parametrize("what", ["overdrawn", "revoked", "accreditation suspended", "activated elsewhere"])
def test_release_with_refused_drawdown_is_reverted(installation, what):
    certificate = installation.issue_certificate()
    other, consignment = lodged(installation, [certificate], "400", 1), lodged(installation, [certificate], "100", 2)
    release(installation, consignment)
    if what == "overdrawn":
        drawdown_elsewhere(installation, certificate, other, 450_000)
        why = "CertificateBalanceOverdrawn"
    elif what == "revoked":
        batch, leaf_index = _where(installation, certificate)
        _send(installation, ChangeStatuses(batch, ((leaf_index, 2),), bytes(32), "anchorer"))
        why = "CertificateBalanceNotActive"
    elif what == "activated elsewhere":
        installation.ledger._state.activated[leaf_hash(installation.record(certificate.id).entry.encode())] = 1
        why = "CertificateBalanceAlreadyOpened"
    else:
        installation.ledger._state.accreditations.clear()
        why = "CertificateBalanceIssuerNotAccredited"
    installation.settle()
    kept = installation.consignment(consignment.id)
    assert kept.status is DeclarationStatus.DETAINED
    assert kept.released_at is None
    assert kept.decisions[-1].undone.startswith(why)
    assert kept.events[-1].step is Step.DETAINED
    assert kept.events[-1].note.startswith(why)
    assert Step.DECISION_UNDONE in [event.step for event in kept.events]
    assert kept.decision_state is DecisionState.UNDONE
    assert kept.alerted_at is not None
    assert installation.ledger.status(*_where(installation, consignment.record)) == DeclarationStatus.DETAINED
    assert not any(row.is_standing for row in rows(installation, consignment))
    found = audit(installation.ctx).discrepancies
    assert {one.name for one in found} <= {"drawdown-unknown-to-database", "status-differs"}, found


def test_undone_release_may_use_another_certificate(installation):
    """An officer releases again, with another certificate."""
    certificate = installation.issue_certificate()
    other, consignment = lodged(installation, [certificate], "400", 1), lodged(installation, [certificate], "100", 2)
    release(installation, consignment)
    drawdown_elsewhere(installation, certificate, other, 450_000)
    installation.settle()
    decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.REJECT, "Quantity used up")
    installation.settle()
    assert installation.consignment(consignment.id).status is DeclarationStatus.REJECTED
    assert installation.ledger.status(*_where(installation, consignment.record)) == DeclarationStatus.REJECTED


def test_refused_drawdown_does_not_block_others(installation):
    small, large = (
        installation.issue_certificate(certificateNumber="S", quantity="10"),
        installation.issue_certificate(),
    )
    bad, other = lodged(installation, [small], "10", 1), lodged(installation, [small], "10", 2)
    good = [lodged(installation, [large], "10", number) for number in range(3, 8)]
    for consignment in [bad, *good]:
        release(installation, consignment)
    drawdown_elsewhere(installation, small, other, 5_000)
    installation.settle()
    assert installation.consignment(bad.id).status is DeclarationStatus.DETAINED
    assert all(installation.consignment(one.id).status is DeclarationStatus.RELEASED for one in good)
    assert remaining(installation, large) == 450_000


def test_drawdown_reverted_on_chain_is_undone(installation):
    """The rehearsal went well, and then somebody was quicker."""
    certificate = installation.issue_certificate()
    other, consignment = lodged(installation, [certificate], "400", 1), lodged(installation, [certificate], "100", 2)
    drawdown_elsewhere(installation, certificate, other, 400_000)
    release(installation, consignment)
    installation.ledger.holding = True
    run_once(installation.ctx)  # our draw is signed and sent, and waits for its block
    ours = installation.ledger._pool.pop()
    installation.ledger.holding = False
    nonce = installation.ledger.next_nonce("anchorer")
    installation.ledger._state.balances[ledger_record(installation, installation.record(certificate.id))] = replace(
        installation.ledger.certificate_balance(LedgerRecord(*_where(installation, certificate))), remaining=0
    )
    installation.ledger.send(ours)
    assert installation.ledger.next_nonce("anchorer") == nonce + 1
    installation.settle()
    assert installation.consignment(consignment.id).status is DeclarationStatus.DETAINED


def test_pause_makes_drawdowns_wait(installation, monkeypatch):
    certificate = installation.issue_certificate()
    consignment = lodged(installation, [certificate])
    release(installation, consignment)
    real = installation.ledger.simulate

    def paused(call):
        if isinstance(call, MakeDrawdowns | ActivateCertificate):
            raise LedgerRefused("TraceLedgerPaused", error="TraceLedgerPaused", arguments={})
        return real(call)

    monkeypatch.setattr(installation.ledger, "simulate", paused)
    for _ in range(3):
        assert run_once(installation.ctx)
    assert installation.consignment(consignment.id).status is DeclarationStatus.RELEASED
    assert installation.ledger.status(*_where(installation, consignment.record)) == DeclarationStatus.LODGED
    monkeypatch.undo()
    installation.settle()
    assert remaining(installation, certificate) == 300_000


# Crashes, reorganisations, older copies


STEPS = ("activation-signed", "activation-kept", "activation-sent", "drawdown-signed", "drawdown-kept", "drawdown-sent")


class Killed(Exception):
    pass


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(
    "point",
    [
        "activation-signed",
        "activation-kept",
        "activation-sent",
        "drawdown-signed",
        "drawdown-kept",
        "drawdown-sent",
        "receipt-noted",
    ],
)
def test_crash_during_drawdown_makes_it_once(installation, point, times):
    certificate = installation.issue_certificate()
    consignment = lodged(installation, [certificate])
    release(installation, consignment)
    count = [times]

    def crash(reached):
        if reached == point and count[0]:
            count[0] -= 1
            raise Killed(point)

    calm, installation.ctx = installation.ctx, replace(installation.ctx, reached=crash)
    for _ in range(6):
        try:
            run_once(installation.ctx)
        except Killed:
            continue
    assert count[0] < times, "the point was never reached"
    installation.ctx = calm
    installation.settle()
    assert remaining(installation, certificate) == 300_000
    assert len(list(installation.ledger.drawdown_sets())) == 1
    assert not audit(installation.ctx).discrepancies


@pytest.mark.parametrize("depth", [1, 2, 3, 5, 8, 12])
def test_orphaned_drawdowns_are_made_again(installation, depth):
    installation.with_confirmations(4)
    certificate = installation.issue_certificate()
    consignment = installation.lodge([certificate, installation.issue_report()])
    for _ in range(8):
        run_once(installation.ctx)
        installation.ledger.mine()
    release(installation, consignment)
    for _ in range(16):
        run_once(installation.ctx)
        installation.ledger.mine()
    installation.ledger.reorganise(depth)
    for _ in range(40):
        installation.ledger.mine()
        run_once(installation.ctx)
    assert remaining(installation, certificate) == 300_000
    assert len(list(installation.ledger.drawdown_sets())) == 1
    assert installation.ledger.status(*_where(installation, consignment.record)) == DeclarationStatus.RELEASED
    assert not audit(installation.ctx).discrepancies


def test_drawdown_unknown_to_restored_database_is_recognised(installation):
    certificate = installation.issue_certificate()
    consignment = lodged(installation, [certificate])
    release(installation, consignment)
    drawdown_elsewhere(installation, certificate, consignment, 200_000)  # what the lost copy had done
    installation.settle()
    assert remaining(installation, certificate) == 300_000, "drawn once, not twice"
    (row,) = rows(installation, consignment)
    assert row.made_at is not None
    assert installation.ledger.status(*_where(installation, consignment.record)) == DeclarationStatus.RELEASED
    assert not audit(installation.ctx).discrepancies


def test_new_chain_repeats_activations_and_drawdowns(installation):
    certificate = installation.issue_certificate()
    consignment = lodged(installation, [certificate])
    release(installation, consignment)
    installation.settle()
    installation.ledger.reorganise(len(installation.ledger._blocks) - 1)
    reanchor_all(installation.ctx)
    installation.settle()
    assert remaining(installation, certificate) == 300_000
    assert installation.consignment(consignment.id).status is DeclarationStatus.RELEASED
    assert not audit(installation.ctx).discrepancies


# Giving back


def rejected_elsewhere(installation, consignment, status=DeclarationStatus.REJECTED):
    batch, leaf_index = _where(installation, consignment.record)
    _send(installation, ChangeStatuses(batch, ((leaf_index, int(status)),), bytes(32), "office"), "office")


@pytest.mark.parametrize("status", [DeclarationStatus.REJECTED, DeclarationStatus.RETURNED])
def test_drawdown_is_refunded_where_declaration_ended_otherwise(installation, status):
    """Another office rejects on the ledger before our release comes there: the ledger decides, here too."""
    certificate = installation.issue_certificate()
    consignment = lodged(installation, [certificate])
    release(installation, consignment)
    run_once(installation.ctx)
    assert remaining(installation, certificate) == 300_000
    rejected_elsewhere(installation, consignment, status)
    installation.settle()
    kept = installation.consignment(consignment.id)
    assert kept.status is status
    assert kept.record.status == status
    assert kept.decisions[-1].undone
    assert remaining(installation, certificate) == 500_000
    (row,) = rows(installation, consignment)
    assert row.refunded_at is not None
    assert not audit(installation.ctx).discrepancies


@pytest.mark.parametrize("point", ["refund-signed", "refund-kept", "refund-sent", "before-receipt-commit"])
def test_crash_during_refund_makes_it_once(installation, point):
    certificate = installation.issue_certificate()
    consignment = lodged(installation, [certificate])
    release(installation, consignment)
    run_once(installation.ctx)
    rejected_elsewhere(installation, consignment)
    crashed = []

    def crash(reached):
        if reached == point and not crashed:
            crashed.append(point)
            raise Killed(point)

    calm, installation.ctx = installation.ctx, replace(installation.ctx, reached=crash)
    for _ in range(6):
        try:
            run_once(installation.ctx)
        except Killed:
            continue
    assert crashed
    installation.ctx = calm
    installation.settle()
    assert remaining(installation, certificate) == 500_000
    assert not audit(installation.ctx).discrepancies


def test_a_withdrawal_forgets_what_was_never_drawn(installation):
    certificate = installation.issue_certificate()
    consignment = lodged(installation, [certificate])
    declarations.withdraw(installation.ctx, installation.merchant, consignment.id)
    installation.settle()
    assert rows(installation, consignment) == []
    assert remaining(installation, certificate) is None


# The audit


def drawn_house(installation):
    certificate = installation.issue_certificate()
    first, second = lodged(installation, [certificate], "100", 1), lodged(installation, [certificate], "50", 2)
    release(installation, first)
    installation.settle()
    assert not audit(installation.ctx).discrepancies
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
def test_audit_finds_changes_behind_the_application(installation, statement, name):
    drawn_house(installation)
    in_database(installation, statement)
    assert name in {one.name for one in audit(installation.ctx).discrepancies}


def test_audit_finds_drawdown_made_by_others(installation):
    certificate, _, second = drawn_house(installation)
    drawdown_elsewhere(installation, certificate, second, 50_000)
    assert {one.name for one in audit(installation.ctx).discrepancies} == {"drawdown-unknown-to-database"}


def test_audit_finds_balance_without_drawdowns(installation):
    certificate, *_ = drawn_house(installation)
    where = ledger_record(installation, installation.record(certificate.id))
    installation.ledger._state.balances[where] = replace(installation.ledger._state.balances[where], remaining=1)
    assert {one.name for one in audit(installation.ctx).discrepancies} == {"balance-differs"}


def test_revocation_after_drawdown_leaves_release(installation):
    certificate, first, _ = drawn_house(installation)
    issuance.revoke(installation.ctx, installation.chamber, certificate.id, "fraud")
    installation.settle()
    assert installation.consignment(first.id).status is DeclarationStatus.RELEASED


def test_declaration_on_exhausted_certificates_states_what_remains(installation):
    certificate, *_ = drawn_house(installation)
    third = declarations.lodge(
        installation.ctx,
        installation.merchant,
        lodgement_fields(declarationReference="D9", records=[certificate.id], items=[goods_item(quantity="450")]),
    )
    check = quantity_check(installation, third)
    assert (check.outcome, check.values["left"]) == (Outcome.FAIL, "400 H87")
