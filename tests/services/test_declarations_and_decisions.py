"""Declarations are lodged once, decided by officers, and released only on papers that bear it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from backend.domain import bundle, sd_jwt
from backend.domain.consignment import Decision, Step
from backend.domain.errors import Conflict, Invalid, NotAllowed, NotFound
from backend.domain.kinds import Kind
from backend.domain.ledger import DeclarationStatus
from backend.domain.verdict import Conclusion
from backend.services import accreditation, bundles, decisions, declarations, issuance, release_times, statements
from backend.services.decisions import NotReleasable
from backend.services.verification import (
    verdict_on,
    verdict_on_bundle,
    verdict_on_consignment,
)
from tests.helpers.builders import (
    certificate_fields,
    header_of,
    lodgement_fields,
    signed_text,
)


def decide(installation, consignment, decision=Decision.RELEASE, actor=None, **changes):
    return decisions.decide(
        installation.ctx, actor or installation.officer, consignment.id, decision, "Papers in order", **changes
    )


def conclusion(installation, consignment):
    with installation.ctx.work(reading=True) as work:
        return verdict_on_consignment(installation.ctx, work, work.consignments.get(consignment.id)).verdict


# Lodging


def test_declaration_is_always_the_merchants_own(installation):
    consignment = declarations.lodge(
        installation.ctx, installation.merchant, lodgement_fields(merchant={"name": "DemoUser else", "identifier": "X"})
    )
    assert consignment.record.document.merchant.name == installation.merchant.organisation.name
    assert consignment.merchant.id == installation.merchant.organisation.id


@pytest.mark.parametrize("who", ["chamber", "laboratory", "officer", "authority"])
def test_only_merchants_lodge(installation, who):
    with pytest.raises(NotAllowed):
        declarations.lodge(installation.ctx, installation.people[who], lodgement_fields())


def test_a_reference_is_used_once_by_each_merchant(installation):
    declarations.lodge(installation.ctx, installation.merchant, lodgement_fields())
    with pytest.raises(Conflict):
        declarations.lodge(installation.ctx, installation.merchant, lodgement_fields())
    declarations.lodge(installation.ctx, installation.rival, lodgement_fields())


@pytest.mark.parametrize("records", ["x", {"id": "x"}, [1], [None], ["nothing"], [["x"]]], ids=str)
def test_records_must_be_ids_of_ones_own(installation, records):
    with pytest.raises(Invalid):
        declarations.lodge(installation.ctx, installation.merchant, lodgement_fields(records=records))


def test_anothers_record_cannot_be_named(installation):
    theirs = installation.issue_certificate(exporter={"name": installation.rival.organisation.name})
    with pytest.raises(Invalid, match="does not exist"):
        declarations.lodge(installation.ctx, installation.merchant, lodgement_fields(records=[theirs.id]))


def test_a_declaration_cannot_name_a_declaration(installation):
    first = installation.lodge()
    with pytest.raises(Invalid):
        declarations.lodge(
            installation.ctx, installation.merchant, lodgement_fields(declarationReference="B", records=[first.id])
        )


@pytest.mark.parametrize("fields", [None, [], "x", 5])
def test_a_declaration_is_an_object(installation, fields):
    with pytest.raises(Invalid):
        declarations.lodge(installation.ctx, installation.merchant, fields)


def test_goods_cannot_have_come_tomorrow_or_years_ago(installation):
    for span in (timedelta(minutes=6), timedelta(days=-366)):
        with pytest.raises(Invalid):
            declarations.lodge(
                installation.ctx,
                installation.merchant,
                lodgement_fields(arrivalDateTime=(installation.clock.time + span).isoformat()),
            )


def test_arrival_is_reported_once_by_those_concerned(installation):
    consignment = installation.lodge()
    arrived = installation.clock.time - timedelta(hours=1)
    for who in ("rival", "chamber", "authority"):
        with pytest.raises(NotFound):
            declarations.report_arrival(installation.ctx, installation.people[who], consignment.id, arrived)
    declarations.report_arrival(installation.ctx, installation.officer, consignment.id, arrived)
    with pytest.raises(Conflict):
        declarations.report_arrival(installation.ctx, installation.merchant, consignment.id, arrived)
    assert installation.consignment(consignment.id).arrived_at == arrived


def test_arrival_is_not_told_after_the_release(installation):
    """The clock would then show what the merchant likes."""
    consignment = installation.lodge()
    installation.settle()
    decide(installation, consignment)
    with pytest.raises(Conflict):
        declarations.report_arrival(installation.ctx, installation.merchant, consignment.id, installation.clock.time)


def test_a_merchant_withdraws_its_own_declaration_only(installation):
    consignment = installation.lodge()
    for who in ("rival", "chamber", "authority"):
        with pytest.raises(NotFound):
            declarations.withdraw(installation.ctx, installation.people[who], consignment.id)
    with pytest.raises(NotAllowed):
        declarations.withdraw(installation.ctx, installation.officer, consignment.id)
    assert (
        declarations.withdraw(installation.ctx, installation.merchant, consignment.id).status
        is DeclarationStatus.WITHDRAWN
    )
    with pytest.raises(Conflict):
        declarations.withdraw(installation.ctx, installation.merchant, consignment.id)
    installation.settle()
    assert conclusion(installation, consignment).conclusion is Conclusion.INVALID


# Deciding


def test_sound_papers_are_released_and_the_ledger_knows(installation):
    consignment = installation.lodge()
    installation.settle()
    assert conclusion(installation, consignment).conclusion is Conclusion.VALID
    taken = decide(installation, consignment)
    installation.settle()
    kept = installation.consignment(consignment.id)
    assert kept.status is DeclarationStatus.RELEASED
    assert taken.verdict["verdict"] == "VALID"
    assert (
        installation.ledger.status(installation.ledger.batch_key(kept.record.batch.root), kept.record.leaf_index)
        == DeclarationStatus.RELEASED
    )
    assert [event.step for event in kept.events] == [Step.LODGED, Step.ANCHORED, Step.RELEASED]


@pytest.mark.parametrize("decision", Decision)
@pytest.mark.parametrize("who", ["merchant", "rival", "chamber", "laboratory", "authority"])
def test_only_officers_decide(installation, who, decision):
    consignment = installation.lodge([])
    with pytest.raises(NotAllowed):
        decide(installation, consignment, decision, installation.people[who], accept_indeterminate=True)
    assert not installation.consignment(consignment.id).decisions


@pytest.mark.parametrize("reason", ["", "  \n", "x" * 2001])
def test_a_decision_needs_its_reason(installation, reason):
    consignment = installation.lodge([])
    with pytest.raises(Invalid):
        decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.EXAMINE, reason)


def spoil_quantity(installation):
    certificate = installation.issue_certificate(quantity="199")
    return installation.lodge([certificate, installation.issue_report()])


def spoil_revoked(installation):
    certificate = installation.issue_certificate()
    consignment = installation.lodge([certificate, installation.issue_report()])
    installation.settle()
    issuance.revoke(installation.ctx, installation.chamber, certificate.id, "wrong goods")
    return consignment


def spoil_suspended(installation):
    consignment = installation.lodge()
    installation.settle()
    accreditation.suspend(installation.ctx, installation.authority, installation.chamber.organisation.id)
    return consignment


def spoil_report(installation):
    return installation.lodge([installation.issue_certificate(), installation.issue_report(conforms=False)])


def spoil_database(installation):
    certificate = installation.issue_certificate()
    consignment = installation.lodge([certificate, installation.issue_report()])
    installation.settle()
    other = installation.issue_certificate(certificateNumber="N-2", quantity="9999")
    with installation.ctx.work() as work:
        kept, swapped = work.records.get(certificate.id), work.records.get(other.id)
        kept.disclosures = list(swapped.disclosures)
        work.commit()
    return consignment


SPOILED = [spoil_quantity, spoil_revoked, spoil_suspended, spoil_report, spoil_database]


@pytest.mark.parametrize("spoil", SPOILED)
def test_what_is_invalid_cannot_be_released_by_anybody(installation, spoil):
    consignment = spoil(installation)
    installation.settle()
    assert conclusion(installation, consignment).conclusion is Conclusion.INVALID
    for accept in (False, True):
        with pytest.raises(NotReleasable) as refusal:
            decide(installation, consignment, accept_indeterminate=accept)
        assert refusal.value.verdict.conclusion is Conclusion.INVALID
    assert installation.consignment(consignment.id).status is DeclarationStatus.LODGED


def test_revocation_counts_before_slow_ledger_has_it(installation):
    certificate = installation.issue_certificate()
    consignment = installation.lodge([certificate, installation.issue_report()])
    installation.settle()
    installation.ledger.holding = True
    issuance.revoke(installation.ctx, installation.chamber, certificate.id, "wrong goods")
    with pytest.raises(NotReleasable):
        decide(installation, consignment, accept_indeterminate=True)


@pytest.mark.parametrize("switch", ["down", "unsealed", "bare"])
def test_indeterminate_is_released_only_on_officers_word(installation, switch):
    consignment = installation.lodge([] if switch == "bare" else None)
    if switch != "unsealed":
        installation.settle()
    installation.ledger.down = switch == "down"
    assert conclusion(installation, consignment).conclusion is Conclusion.INDETERMINATE
    with pytest.raises(NotReleasable):
        decide(installation, consignment)
    assert decide(installation, consignment, accept_indeterminate=True).verdict["verdict"] == "INDETERMINATE"
    installation.ledger.down = False
    installation.settle()
    assert installation.consignment(consignment.id).status is DeclarationStatus.RELEASED


def test_ledger_trouble_never_makes_documents_invalid(installation):
    consignment = installation.lodge()
    installation.settle()
    for switch in ("down", "foreign"):
        setattr(installation.ledger, switch, True)
        assert conclusion(installation, consignment).conclusion is Conclusion.INDETERMINATE, switch
        setattr(installation.ledger, switch, False)


def test_invalid_papers_may_be_examined_detained_and_rejected(installation):
    consignment = spoil_quantity(installation)
    installation.settle()
    for decision in (Decision.EXAMINE, Decision.DETAIN, Decision.REJECT):
        decide(installation, consignment, decision)
    assert installation.consignment(consignment.id).status is DeclarationStatus.REJECTED


@pytest.mark.parametrize("last", [Decision.RELEASE, Decision.REJECT])
@pytest.mark.parametrize("then", Decision)
def test_an_end_is_an_end(installation, last, then):
    consignment = installation.lodge()
    installation.settle()
    decide(installation, consignment, last)
    with pytest.raises(Conflict):
        decide(installation, consignment, then, accept_indeterminate=True)
    with pytest.raises(Conflict):
        declarations.withdraw(installation.ctx, installation.merchant, consignment.id)
    assert len(installation.consignment(consignment.id).decisions) == 1


def test_document_may_be_confirmed_after_its_declaration(installation):
    fields = certificate_fields(certificateNumber=None)
    chamber = installation.chamber.organisation.id
    statement = statements.issue_statement(
        installation.ctx, installation.merchant, Kind.CERTIFICATE_OF_ORIGIN, fields, chamber
    )
    consignment = installation.lodge([statement, installation.issue_report()])
    installation.settle()
    assert conclusion(installation, consignment).conclusion is Conclusion.INDETERMINATE
    with installation.ctx.work(reading=True) as work:
        request = work.requests.find_about(statement.id)
    issuance.confirm(installation.ctx, installation.chamber, request.id, "N-9")
    installation.settle()
    found = conclusion(installation, consignment)
    assert found.conclusion is Conclusion.VALID
    assert "document-confirmed" in {check.reason for check in found.checks}


def test_document_swapped_for_named_one_is_noticed(installation):
    certificate = installation.issue_certificate()
    consignment = installation.lodge([certificate, installation.issue_report()])
    installation.settle()
    other = installation.issue_certificate(certificateNumber="N-2", quantity="99999")
    installation.settle()
    with installation.ctx.work() as work:
        work.records.get(certificate.id).superseded_by_id = other.id
        work.commit()
    found = conclusion(installation, consignment)
    assert found.conclusion is Conclusion.INVALID
    assert "document-not-named" in {check.reason for check in found.checks}


def test_certificate_covers_only_goods_it_certifies(installation):
    """500 lamps certified, 3 times 200 released."""
    papers = [installation.issue_certificate(quantity="500"), installation.issue_report()]
    lodged = [installation.lodge(papers, declarationReference=f"R{number}") for number in range(3)]
    installation.settle()
    released = 0
    for consignment in lodged:
        try:
            decide(installation, consignment)
        except NotReleasable:
            continue
        installation.settle()
        released += 1
    assert released == 2
    assert {check.reason for check in conclusion(installation, lodged[2]).checks} >= {"quantity-already-declared"}


@pytest.mark.parametrize(
    ("decision", "left"),
    [
        (Decision.REJECT, Conclusion.VALID),
        (Decision.RETURN, Conclusion.VALID),
        (Decision.SEIZE, Conclusion.INVALID),
    ],
)
def test_only_goods_sent_away_refund_their_certificates(installation, decision, left):
    papers = [installation.issue_certificate(quantity="300"), installation.issue_report()]
    first, second = (installation.lodge(papers, declarationReference=f"S{number}") for number in range(2))
    installation.settle()
    assert conclusion(installation, first).conclusion is Conclusion.VALID
    assert conclusion(installation, second).conclusion is Conclusion.INVALID
    decisions.decide(installation.ctx, installation.officer, first.id, decision, "Wrong goods")
    installation.settle()
    assert conclusion(installation, second).conclusion is left
    assert installation.consignment(first.id).events[-1].step is Step.of(decision.leads_to)


def test_eight_releases_at_once_release_once(installation):
    consignment = installation.lodge()
    installation.settle()

    def once(number):
        try:
            return decide(installation, consignment).id
        except Conflict:
            return None

    with ThreadPoolExecutor(8) as pool:
        taken = [one for one in pool.map(once, range(8)) if one]
    assert len(taken) == len(installation.consignment(consignment.id).decisions) == 1


def test_release_and_withdrawal_at_once_have_one_winner(installation):
    for number in range(5):
        consignment = installation.lodge(
            [
                installation.issue_certificate(certificateNumber=f"N{number}"),
                installation.issue_report(reportNumber=f"N{number}"),
            ],
            declarationReference=f"R{number}",
        )
        installation.settle()
        with ThreadPoolExecutor(2) as pool:
            acts = [
                pool.submit(decide, installation, consignment),
                pool.submit(declarations.withdraw, installation.ctx, installation.merchant, consignment.id),
            ]
        assert sum(act.exception() is None for act in acts) == 1
        installation.settle()
        kept = installation.consignment(consignment.id)
        assert (
            installation.ledger.status(installation.ledger.batch_key(kept.record.batch.root), kept.record.leaf_index)
            == kept.status
        )


# How long it took


def test_the_study_counts_released_goods_by_both_clocks(installation):
    arrived = installation.clock.time - timedelta(hours=2)
    consignment = installation.lodge(arrivalDateTime=arrived.isoformat())
    installation.settle()
    installation.clock.pass_by(timedelta(hours=1))
    decide(installation, consignment)
    installation.lodge([], declarationReference="open")
    study = release_times.study(installation.ctx)
    assert (study.arrival_to_release.count, study.lodgement_to_release.count) == (1, 1)
    assert study.arrival_to_release.median_hours == pytest.approx(3, abs=0.01)
    assert study.lodgement_to_release.median_hours == pytest.approx(1, abs=0.01)
    assert release_times.study(installation.ctx, installation.rival.organisation).lodgement_to_release.count == 0


# What a bundle can claim about itself


def bundle_of(installation, record):
    return bundle.write(bundles.bundle_of(installation.ctx, installation.record(record.id)))


def test_bundle_does_not_decide_its_own_finality(installation):
    """The block in a bundle is the bearer's word: with confirmations outstanding it must not bring VALID."""
    record = installation.issue_certificate()
    installation.settle()
    installation.with_confirmations(1000)
    honest = bundle_of(installation, record)
    assert verdict_on_bundle(installation.ctx, honest).conclusion is Conclusion.INDETERMINATE
    honest["records"][0]["anchor"]["block"] = 0
    installation.ledger.confirmations = 3
    assert verdict_on_bundle(installation.ctx, honest).conclusion is not Conclusion.VALID


@pytest.mark.parametrize("change", [{"block": 1}, {"transaction": "ff" * 32}, {"blockTime": "2001-01-01T00:00:00Z"}])
def test_bundle_with_altered_anchor_is_not_valid(installation, change):
    record = installation.issue_certificate()
    installation.settle()
    content = bundle_of(installation, record)
    assert verdict_on_bundle(installation.ctx, content).conclusion is Conclusion.VALID
    content["records"][0]["anchor"] |= change
    assert verdict_on_bundle(installation.ctx, content).conclusion is not Conclusion.VALID


@pytest.mark.parametrize("switch", ["down", "foreign"])
def test_ledger_trouble_makes_no_bundle_invalid(installation, switch):
    record = installation.issue_certificate()
    installation.settle()
    content = bundle_of(installation, record)
    setattr(installation.ledger, switch, True)
    assert verdict_on_bundle(installation.ctx, content).conclusion is Conclusion.INDETERMINATE


@pytest.mark.parametrize("change", [{"chainId": 1}, {"instanceId": "00" * 32}, {"ledger": "0x" + "00" * 20}])
def test_a_bundle_of_another_ledger_cannot_be_told(installation, change):
    record = installation.issue_certificate()
    installation.settle()
    content = bundle_of(installation, record)
    content["records"][0]["anchor"] |= change
    found = verdict_on_bundle(installation.ctx, content)
    assert found.conclusion is Conclusion.INDETERMINATE
    assert "ledger-mismatch" in {check.reason for check in found.checks}


@pytest.mark.parametrize("kid", ["!!!", "AA=", "A"])
def test_record_spoiled_in_database_is_invalid_but_visible(installation, kid):
    record = installation.issue_certificate()
    consignment = installation.lodge([record, installation.issue_report()])
    installation.settle()
    with installation.ctx.work() as work:
        kept = work.records.get(record.id)
        kept.signed_jwt = signed_text(header_of(kid=kid), dict(sd_jwt.parse(kept.signed_jwt).payload))
        work.commit()
    assert verdict_on(installation.ctx, installation.record(record.id)).conclusion is Conclusion.INVALID
    assert conclusion(installation, consignment).conclusion is Conclusion.INVALID
