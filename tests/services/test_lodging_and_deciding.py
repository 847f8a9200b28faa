"""Declarations are lodged once, decided by officers, and released only on papers that bear it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from backend.domain import bundle, sd_jwt
from backend.domain.clearance import Decision, Step
from backend.domain.errors import Conflict, Invalid, NotAllowed, NotFound
from backend.domain.kinds import Kind
from backend.domain.statuses import DeclarationStatus
from backend.domain.verdict import Conclusion
from backend.services import accreditation, bundles, decisions, declarations, issuance, release_times, statements
from backend.services.decisions import NotReleasable
from backend.services.idempotency import IdempotencyKey, IdempotencyKeyReused
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


def decide(house, consignment, decision=Decision.RELEASE, actor=None, **changes):
    return decisions.decide(house.ctx, actor or house.officer, consignment.id, decision, "Papers in order", **changes)


def conclusion(house, consignment):
    with house.ctx.work(reading=True) as work:
        return verdict_on_consignment(house.ctx, work, work.consignments.get(consignment.id)).verdict


# Lodging


def test_a_declaration_is_the_merchants_own_whatever_was_sent(house):
    consignment = declarations.lodge(
        house.ctx, house.merchant, lodgement_fields(merchant={"name": "Somebody else", "identifier": "X"})
    )
    assert consignment.record.document.merchant.name == house.merchant.organisation.name
    assert consignment.merchant.id == house.merchant.organisation.id


@pytest.mark.parametrize("who", ["chamber", "laboratory", "officer", "authority"])
def test_only_merchants_lodge(house, who):
    with pytest.raises(NotAllowed):
        declarations.lodge(house.ctx, house.people[who], lodgement_fields())


def test_a_reference_is_used_once_by_each_merchant(house):
    declarations.lodge(house.ctx, house.merchant, lodgement_fields())
    with pytest.raises(Conflict):
        declarations.lodge(house.ctx, house.merchant, lodgement_fields())
    declarations.lodge(house.ctx, house.rival, lodgement_fields())


@pytest.mark.parametrize("records", ["x", {"id": "x"}, [1], [None], ["nothing"], [["x"]]], ids=str)
def test_records_are_a_list_of_ids_of_ones_own(house, records):
    with pytest.raises(Invalid):
        declarations.lodge(house.ctx, house.merchant, lodgement_fields(records=records))


def test_anothers_record_cannot_be_named(house):
    theirs = house.issue_certificate(exporter={"name": house.rival.organisation.name})
    with pytest.raises(Invalid, match="does not exist"):
        declarations.lodge(house.ctx, house.merchant, lodgement_fields(records=[theirs.id]))


def test_a_declaration_cannot_name_a_declaration(house):
    first = house.lodge()
    with pytest.raises(Invalid):
        declarations.lodge(house.ctx, house.merchant, lodgement_fields(declarationReference="B", records=[first.id]))


@pytest.mark.parametrize("fields", [None, [], "x", 5])
def test_a_declaration_is_an_object(house, fields):
    with pytest.raises(Invalid):
        declarations.lodge(house.ctx, house.merchant, fields)


def test_goods_cannot_have_come_tomorrow_or_years_ago(house):
    for span in (timedelta(minutes=6), timedelta(days=-366)):
        with pytest.raises(Invalid):
            declarations.lodge(
                house.ctx, house.merchant, lodgement_fields(arrivalDateTime=(house.clock.time + span).isoformat())
            )


def test_arrival_is_told_once_and_only_by_those_concerned(house):
    consignment = house.lodge()
    arrived = house.clock.time - timedelta(hours=1)
    for who in ("rival", "chamber", "authority"):
        with pytest.raises(NotFound):
            declarations.report_arrival(house.ctx, house.people[who], consignment.id, arrived)
    declarations.report_arrival(house.ctx, house.officer, consignment.id, arrived)
    with pytest.raises(Conflict):
        declarations.report_arrival(house.ctx, house.merchant, consignment.id, arrived)
    assert house.consignment(consignment.id).arrived_at == arrived


def test_arrival_is_not_told_after_the_release(house):
    """The clock would then show what the merchant likes."""
    consignment = house.lodge()
    house.settle()
    decide(house, consignment)
    with pytest.raises(Conflict):
        declarations.report_arrival(house.ctx, house.merchant, consignment.id, house.clock.time)


def test_a_merchant_withdraws_its_own_declaration_only(house):
    consignment = house.lodge()
    for who in ("rival", "chamber", "authority"):
        with pytest.raises(NotFound):
            declarations.withdraw(house.ctx, house.people[who], consignment.id)
    with pytest.raises(NotAllowed):
        declarations.withdraw(house.ctx, house.officer, consignment.id)
    assert declarations.withdraw(house.ctx, house.merchant, consignment.id).status is DeclarationStatus.WITHDRAWN
    with pytest.raises(Conflict):
        declarations.withdraw(house.ctx, house.merchant, consignment.id)
    house.settle()
    assert conclusion(house, consignment).conclusion is Conclusion.INVALID


# Deciding


def test_sound_papers_are_released_and_the_ledger_knows(house):
    consignment = house.lodge()
    house.settle()
    assert conclusion(house, consignment).conclusion is Conclusion.VALID
    taken = decide(house, consignment)
    house.settle()
    kept = house.consignment(consignment.id)
    assert kept.status is DeclarationStatus.RELEASED
    assert taken.verdict["verdict"] == "VALID"
    assert house.ledger.status(kept.record.batch.root, kept.record.leaf_index) == DeclarationStatus.RELEASED
    assert [event.step for event in kept.events] == [Step.LODGED, Step.ANCHORED, Step.RELEASED]


@pytest.mark.parametrize("decision", Decision)
@pytest.mark.parametrize("who", ["merchant", "rival", "chamber", "laboratory", "authority"])
def test_only_officers_decide(house, who, decision):
    consignment = house.lodge([])
    with pytest.raises(NotAllowed):
        decide(house, consignment, decision, house.people[who], accept_indeterminate=True)
    assert not house.consignment(consignment.id).decisions


@pytest.mark.parametrize("reason", ["", "  \n", "x" * 2001])
def test_a_decision_needs_its_reason(house, reason):
    consignment = house.lodge([])
    with pytest.raises(Invalid):
        decisions.decide(house.ctx, house.officer, consignment.id, Decision.EXAMINE, reason)


def spoil_quantity(house):
    certificate = house.issue_certificate(quantity="199")
    return house.lodge([certificate, house.issue_report()])


def spoil_revoked(house):
    certificate = house.issue_certificate()
    consignment = house.lodge([certificate, house.issue_report()])
    house.settle()
    issuance.revoke(house.ctx, house.chamber, certificate.id, "wrong goods")
    return consignment


def spoil_suspended(house):
    consignment = house.lodge()
    house.settle()
    accreditation.suspend(house.ctx, house.authority, house.chamber.organisation.id)
    return consignment


def spoil_report(house):
    return house.lodge([house.issue_certificate(), house.issue_report(conforms=False)])


def spoil_database(house):
    certificate = house.issue_certificate()
    consignment = house.lodge([certificate, house.issue_report()])
    house.settle()
    other = house.issue_certificate(certificateNumber="N-2", quantity="9999")
    with house.ctx.work() as work:
        kept, swapped = work.records.get(certificate.id), work.records.get(other.id)
        kept.disclosures = list(swapped.disclosures)
        work.commit()
    return consignment


SPOILED = [spoil_quantity, spoil_revoked, spoil_suspended, spoil_report, spoil_database]


@pytest.mark.parametrize("spoil", SPOILED)
def test_what_is_invalid_cannot_be_released_by_anybody(house, spoil):
    consignment = spoil(house)
    house.settle()
    assert conclusion(house, consignment).conclusion is Conclusion.INVALID
    for accept in (False, True):
        with pytest.raises(NotReleasable) as refusal:
            decide(house, consignment, accept_indeterminate=accept)
        assert refusal.value.verdict.conclusion is Conclusion.INVALID
    assert house.consignment(consignment.id).status is DeclarationStatus.LODGED


def test_a_revocation_counts_at_once_even_while_the_ledger_is_slow(house):
    certificate = house.issue_certificate()
    consignment = house.lodge([certificate, house.issue_report()])
    house.settle()
    house.ledger.holding = True
    issuance.revoke(house.ctx, house.chamber, certificate.id, "wrong goods")
    with pytest.raises(NotReleasable):
        decide(house, consignment, accept_indeterminate=True)


@pytest.mark.parametrize("switch", ["down", "unsealed", "bare"])
def test_what_cannot_be_told_is_released_only_on_the_officers_word(house, switch):
    consignment = house.lodge([] if switch == "bare" else None)
    if switch != "unsealed":
        house.settle()
    house.ledger.down = switch == "down"
    assert conclusion(house, consignment).conclusion is Conclusion.INDETERMINATE
    with pytest.raises(NotReleasable):
        decide(house, consignment)
    assert decide(house, consignment, accept_indeterminate=True).verdict["verdict"] == "INDETERMINATE"
    house.ledger.down = False
    house.settle()
    assert house.consignment(consignment.id).status is DeclarationStatus.RELEASED


def test_trouble_with_the_ledger_is_never_held_against_papers(house):
    consignment = house.lodge()
    house.settle()
    for switch in ("down", "foreign"):
        setattr(house.ledger, switch, True)
        assert conclusion(house, consignment).conclusion is Conclusion.INDETERMINATE, switch
        setattr(house.ledger, switch, False)


def test_invalid_papers_may_be_examined_detained_and_rejected(house):
    consignment = spoil_quantity(house)
    house.settle()
    for decision in (Decision.EXAMINE, Decision.DETAIN, Decision.REJECT):
        decide(house, consignment, decision)
    assert house.consignment(consignment.id).status is DeclarationStatus.REJECTED


@pytest.mark.parametrize("last", [Decision.RELEASE, Decision.REJECT])
@pytest.mark.parametrize("then", Decision)
def test_an_end_is_an_end(house, last, then):
    consignment = house.lodge()
    house.settle()
    decide(house, consignment, last)
    with pytest.raises(Conflict):
        decide(house, consignment, then, accept_indeterminate=True)
    with pytest.raises(Conflict):
        declarations.withdraw(house.ctx, house.merchant, consignment.id)
    assert len(house.consignment(consignment.id).decisions) == 1


def test_a_paper_may_be_confirmed_after_the_declaration_named_it(house):
    fields = certificate_fields(certificateNumber=None)
    chamber = house.chamber.organisation.id
    statement = statements.issue_statement(house.ctx, house.merchant, Kind.CERTIFICATE_OF_ORIGIN, fields, chamber)
    consignment = house.lodge([statement, house.issue_report()])
    house.settle()
    assert conclusion(house, consignment).conclusion is Conclusion.INDETERMINATE
    with house.ctx.work(reading=True) as work:
        request = work.requests.find_about(statement.id)
    issuance.confirm(house.ctx, house.chamber, request.id, "N-9")
    house.settle()
    found = conclusion(house, consignment)
    assert found.conclusion is Conclusion.VALID
    assert "document-confirmed" in {check.reason for check in found.checks}


def test_a_paper_put_in_the_place_of_the_named_one_is_noticed(house):
    certificate = house.issue_certificate()
    consignment = house.lodge([certificate, house.issue_report()])
    house.settle()
    other = house.issue_certificate(certificateNumber="N-2", quantity="99999")
    house.settle()
    with house.ctx.work() as work:
        work.records.get(certificate.id).superseded_by_id = other.id
        work.commit()
    found = conclusion(house, consignment)
    assert found.conclusion is Conclusion.INVALID
    assert "document-not-named" in {check.reason for check in found.checks}


def test_one_certificate_does_not_cover_more_goods_than_it_certifies(house):
    """500 lamps certified, 3 times 200 released."""
    papers = [house.issue_certificate(quantity="500"), house.issue_report()]
    lodged = [house.lodge(papers, declarationReference=f"R{number}") for number in range(3)]
    house.settle()
    released = 0
    for consignment in lodged:
        try:
            decide(house, consignment)
        except NotReleasable:
            continue
        house.settle()
        released += 1
    assert released == 2
    assert {check.reason for check in conclusion(house, lodged[2]).checks} >= {"quantity-already-declared"}


@pytest.mark.parametrize(
    ("decision", "left"),
    [
        (Decision.REJECT, Conclusion.VALID),
        (Decision.RETURN, Conclusion.VALID),
        (Decision.SEIZE, Conclusion.INVALID),
    ],
)
def test_only_goods_sent_away_refund_their_certificates(house, decision, left):
    papers = [house.issue_certificate(quantity="300"), house.issue_report()]
    first, second = (house.lodge(papers, declarationReference=f"S{number}") for number in range(2))
    house.settle()
    assert conclusion(house, first).conclusion is Conclusion.VALID
    assert conclusion(house, second).conclusion is Conclusion.INVALID
    decisions.decide(house.ctx, house.officer, first.id, decision, "Wrong goods")
    house.settle()
    assert conclusion(house, second).conclusion is left
    assert house.consignment(first.id).events[-1].step is Step.of(decision.leads_to)


# The same request twice


def a_key(house, digest="d", key="k", who="merchant"):
    return IdempotencyKey(house.people[who].id, key, digest)


def count(house):
    with house.ctx.work(reading=True) as work:
        return len(work.consignments.search())


def test_the_same_key_and_request_are_answered_once(house):
    first = declarations.lodge(house.ctx, house.merchant, lodgement_fields(), a_key(house))
    again = declarations.lodge(house.ctx, house.merchant, lodgement_fields(), a_key(house))
    assert again.id == first.id
    assert count(house) == 1


def test_the_same_key_with_another_request_is_refused(house):
    declarations.lodge(house.ctx, house.merchant, lodgement_fields(), a_key(house))
    with pytest.raises(IdempotencyKeyReused):
        declarations.lodge(house.ctx, house.merchant, lodgement_fields(declarationReference="B"), a_key(house, "other"))
    assert count(house) == 1


def test_a_key_is_its_owners(house):
    declarations.lodge(house.ctx, house.merchant, lodgement_fields(), a_key(house))
    theirs = declarations.lodge(house.ctx, house.rival, lodgement_fields(), a_key(house, "other", who="rival"))
    assert theirs.merchant.id == house.rival.organisation.id


def test_a_refused_request_does_not_use_its_key_up(house):
    with pytest.raises(Invalid):
        declarations.lodge(house.ctx, house.merchant, lodgement_fields(items=[]), a_key(house))
    declarations.lodge(house.ctx, house.merchant, lodgement_fields(), a_key(house, "mended"))
    assert count(house) == 1


def test_eight_at_once_with_one_key_make_one_declaration(house):
    def once(_):
        return declarations.lodge(house.ctx, house.merchant, lodgement_fields(), a_key(house)).id

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(once, range(8)))) == 1
    assert count(house) == 1


def test_eight_releases_at_once_release_once(house):
    consignment = house.lodge()
    house.settle()

    def once(number):
        try:
            return decide(house, consignment).id
        except Conflict:
            return None

    with ThreadPoolExecutor(8) as pool:
        taken = [one for one in pool.map(once, range(8)) if one]
    assert len(taken) == len(house.consignment(consignment.id).decisions) == 1


def test_release_and_withdrawal_at_once_have_one_winner(house):
    for number in range(5):
        consignment = house.lodge(
            [house.issue_certificate(certificateNumber=f"N{number}"), house.issue_report(reportNumber=f"N{number}")],
            declarationReference=f"R{number}",
        )
        house.settle()
        with ThreadPoolExecutor(2) as pool:
            acts = [
                pool.submit(decide, house, consignment),
                pool.submit(declarations.withdraw, house.ctx, house.merchant, consignment.id),
            ]
        assert sum(act.exception() is None for act in acts) == 1
        house.settle()
        kept = house.consignment(consignment.id)
        assert house.ledger.status(kept.record.batch.root, kept.record.leaf_index) == kept.status


def test_a_decision_repeated_with_its_key_is_the_same_decision(house):
    consignment = house.lodge()
    house.settle()
    key = a_key(house, who="officer")
    assert decide(house, consignment, key=key).id == decide(house, consignment, key=key).id


# How long it took


def test_the_study_counts_released_goods_by_both_clocks(house):
    arrived = house.clock.time - timedelta(hours=2)
    consignment = house.lodge(arrivalDateTime=arrived.isoformat())
    house.settle()
    house.clock.pass_by(timedelta(hours=1))
    decide(house, consignment)
    house.lodge([], declarationReference="open")
    study = release_times.study(house.ctx)
    assert (study.arrival_to_release.count, study.lodgement_to_release.count) == (1, 1)
    assert study.arrival_to_release.median_hours == pytest.approx(3, abs=0.01)
    assert study.lodgement_to_release.median_hours == pytest.approx(1, abs=0.01)
    assert release_times.study(house.ctx, house.rival.organisation).lodgement_to_release.count == 0


# What a bundle can claim about itself


def bundle_of(house, record):
    return bundle.write(bundles.bundle_of(house.ctx, house.record(record.id)))


def test_a_bundle_does_not_decide_on_its_own_finality(house):
    """The block in a bundle is the bearer's word: with confirmations outstanding it must not bring VALID."""
    record = house.issue_certificate()
    house.settle()
    house.with_confirmations(1000)
    honest = bundle_of(house, record)
    assert verdict_on_bundle(house.ctx, honest).conclusion is Conclusion.INDETERMINATE
    honest["records"][0]["anchor"]["block"] = 0
    assert verdict_on_bundle(replace(house.ctx, confirmations=3), honest).conclusion is not Conclusion.VALID


@pytest.mark.parametrize("change", [{"block": 1}, {"transaction": "ff" * 32}, {"blockTime": "2001-01-01T00:00:00Z"}])
def test_a_bundle_whose_anchor_was_altered_is_not_valid(house, change):
    record = house.issue_certificate()
    house.settle()
    content = bundle_of(house, record)
    assert verdict_on_bundle(house.ctx, content).conclusion is Conclusion.VALID
    content["records"][0]["anchor"] |= change
    assert verdict_on_bundle(house.ctx, content).conclusion is not Conclusion.VALID


@pytest.mark.parametrize("switch", ["down", "foreign"])
def test_a_bundle_is_not_invalid_because_the_ledger_is_in_trouble(house, switch):
    record = house.issue_certificate()
    house.settle()
    content = bundle_of(house, record)
    setattr(house.ledger, switch, True)
    assert verdict_on_bundle(house.ctx, content).conclusion is Conclusion.INDETERMINATE


@pytest.mark.parametrize("change", [{"chainId": 1}, {"instanceId": "00" * 32}, {"ledger": "0x" + "00" * 20}])
def test_a_bundle_of_another_ledger_cannot_be_told(house, change):
    record = house.issue_certificate()
    house.settle()
    content = bundle_of(house, record)
    content["records"][0]["anchor"] |= change
    found = verdict_on_bundle(house.ctx, content)
    assert found.conclusion is Conclusion.INDETERMINATE
    assert "ledger-mismatch" in {check.reason for check in found.checks}


@pytest.mark.parametrize("kid", ["!!!", "AA=", "A"])
def test_a_record_spoiled_in_the_database_is_invalid_and_can_still_be_looked_at(house, kid):
    record = house.issue_certificate()
    consignment = house.lodge([record, house.issue_report()])
    house.settle()
    with house.ctx.work() as work:
        kept = work.records.get(record.id)
        kept.signed_jwt = signed_text(header_of(kid=kid), dict(sd_jwt.parse(kept.signed_jwt).payload))
        work.commit()
    assert verdict_on(house.ctx, house.record(record.id)).conclusion is Conclusion.INVALID
    assert conclusion(house, consignment).conclusion is Conclusion.INVALID
