"""An officer reads and decides what was declared to the own office, or to one that lets it act, and nothing else."""

from datetime import timedelta

import pytest

from backend.domain.consignment import Decision, Step
from backend.domain.errors import Conflict, Invalid, NotAllowed, NotFound
from backend.domain.ledger import ChangeStatuses, DeclarationStatus
from backend.domain.parties import Role
from backend.services import customs_offices, decisions, declarations, release_times
from backend.services.audit import audit
from backend.services.organisations import OrganisationProfile, register
from backend.services.records import visible_record
from backend.store import database

DAY = timedelta(days=1)


def decide(installation, consignment, who):
    officer = installation.people[who]
    return decisions.decide(installation.ctx, officer, consignment.id, Decision.EXAMINE, "look")


def delegate(installation, actor="officer", code="CNYIU", to="other_officer", span=DAY):
    other = installation.people[to].organisation.id
    until = installation.clock() + span
    return customs_offices.delegate(installation.ctx, installation.people[actor], code, other, until)


def sees(installation, who, consignment):
    """Whether somebody finds a declaration in every way in which it can be read."""
    ctx, actor = installation.ctx, installation.people[who]
    found = []
    with ctx.work(reading=True) as work:
        for read in (
            lambda: work.consignments.visible_to(actor, consignment.id, ctx.now()),
            lambda: visible_record(ctx, work, actor, consignment.id),
            *(
                lambda paper=paper: visible_record(ctx, work, actor, paper.record.id)
                for paper in work.consignments.get(consignment.id).papers
            ),
        ):
            try:
                read()
                found.append(True)
            except NotFound:
                found.append(False)
        served = declarations.jurisdiction(ctx, work, actor)
        found.append(consignment.id in [one.id for one in work.consignments.search(offices=served)])
        found.append(consignment.id in {event.declaration for event in work.consignments.events(offices=served)})
    assert len(set(found)) == 1, found
    return found[0]


def test_officer_of_another_office_sees_and_decides_nothing(installation):
    consignment = installation.lodge()
    assert sees(installation, "officer", consignment)
    assert not sees(installation, "other_officer", consignment)
    with pytest.raises(NotFound):
        decide(installation, consignment, "other_officer")
    with pytest.raises(NotFound):
        declarations.report_arrival(
            installation.ctx, installation.other_officer, consignment.id, installation.clock() - DAY
        )
    assert installation.consignment(consignment.id).decisions == []
    assert decide(installation, consignment, "officer").office.name == "Yiwu Customs"


def test_study_is_of_the_offices_own_goods(installation):
    consignment = installation.lodge()
    installation.settle()
    decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.RELEASE, "in order")
    counts = [
        release_times.study(installation.ctx, offices=offices).lodgement_to_release.count
        for offices in (None, ["CNYIU"], ["CNNBO"])
    ]
    assert counts == [1, 1, 0]


def test_delegation_lets_another_office_act_until_its_end(installation):
    consignment = installation.lodge()
    delegate(installation)
    assert sees(installation, "other_officer", consignment)
    installation.clock.time += DAY - timedelta(minutes=1)
    assert decide(installation, consignment, "other_officer").office.name == "Ningbo Customs"
    installation.clock.time += timedelta(minutes=2)
    assert not sees(installation, "other_officer", consignment)
    assert sees(installation, "officer", consignment)
    with pytest.raises(NotFound):
        decisions.decide(installation.ctx, installation.other_officer, consignment.id, Decision.DETAIN, "keep")


def test_delegation_ended_early_ends_at_once(installation):
    consignment, made = installation.lodge(), delegate(installation)
    with pytest.raises(NotFound):
        customs_offices.end_delegation(installation.ctx, installation.other_officer, made.id)
    customs_offices.end_delegation(installation.ctx, installation.officer, made.id)
    assert not sees(installation, "other_officer", consignment)
    with pytest.raises(Conflict):
        customs_offices.end_delegation(installation.ctx, installation.authority, made.id)


def test_delegation_of_one_code_brings_no_other(installation):
    delegate(installation, code="2925")
    assert not sees(installation, "other_officer", installation.lodge([]))
    other = installation.lodge([], declarationReference="D-2", customsOffice="2925")
    assert sees(installation, "other_officer", other)


@pytest.mark.parametrize("who", ["merchant", "chamber", "analyst"])
def test_only_customs_and_authority_delegate(installation, who):
    with pytest.raises(NotAllowed):
        delegate(installation, who)
    with pytest.raises(NotAllowed):
        customs_offices.delegations(installation.ctx, installation.people[who])


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"code": "CNNBO"}, NotFound),
        ({"code": "CNSGH"}, NotFound),
        ({"to": "merchant"}, Invalid),
        ({"to": "officer"}, Conflict),
        ({"span": timedelta(0)}, Invalid),
        ({"span": timedelta(days=400)}, Invalid),
        ({"code": "nowhere in particular"}, Invalid),
    ],
)
def test_delegation_that_makes_no_sense_is_refused(installation, change, refusal):
    with pytest.raises(refusal):
        delegate(installation, **change)
    assert customs_offices.delegations(installation.ctx, installation.authority) == []


def test_each_side_sees_its_delegations(installation):
    made = delegate(installation, "authority")
    for who in ("officer", "other_officer", "authority"):
        found = customs_offices.delegations(installation.ctx, installation.people[who])
        assert [one.id for one in found] == [made.id]


@pytest.mark.parametrize("code", ["CNSGH", "YIWU", "", "  "])
def test_declaration_to_no_office_here_is_refused(installation, code):
    with pytest.raises(Invalid) as refused:
        installation.lodge([], customsOffice=code)
    assert [where for where, _ in refused.value.problems] == ["customsOffice"]


def test_code_is_kept_and_signed_in_capitals(installation):
    consignment = installation.lodge([], customsOffice=" cnyiu ")
    assert consignment.customs_office == consignment.record.fields["customsOffice"] == "CNYIU"


@pytest.mark.parametrize("code", ["CNYIU", "2925", "DE004851", "sgsin"])
def test_codes_of_known_shapes_are_taken(installation, code):
    profile = OrganisationProfile(Role.OFFICER, "New Office", "new@x.org", offices=(code,))
    joined = register(installation.ctx, profile)
    with installation.ctx.work(reading=True) as work:
        assert work.customs_offices.codes_of(joined.organisation) == [code.upper()]


@pytest.mark.parametrize("codes", [(), ("Yiwu",), ("CN YIU",), ("292",), ("CNYI0",), ("CNYIU", "?")])
def test_office_without_proper_code_is_refused(installation, codes):
    with pytest.raises(Invalid):
        register(installation.ctx, OrganisationProfile(Role.OFFICER, "New Office", "new@x.org", offices=codes))
    with installation.ctx.work(reading=True) as work:
        assert work.persons.find_by_email("new@x.org") is None


def test_only_offices_have_codes(installation):
    with pytest.raises(Invalid):
        register(installation.ctx, OrganisationProfile(Role.MERCHANT, "Trader", "new@x.org", offices=("CNSGH",)))
    merchant = installation.merchant.organisation.id
    with pytest.raises(Invalid):
        customs_offices.add_code(installation.ctx, installation.authority, merchant, "CNSGH")


def test_added_code_brings_its_declarations(installation):
    other = installation.other_officer.organisation.id
    consignment = installation.lodge([])
    with pytest.raises(NotAllowed):
        customs_offices.add_code(installation.ctx, installation.other_officer, other, "CNYIU")
    customs_offices.add_code(installation.ctx, installation.authority, other, "CNYIU")
    assert sees(installation, "other_officer", consignment)
    with pytest.raises(Conflict):
        customs_offices.add_code(installation.ctx, installation.authority, other, "CNYIU")


# Accounts of offices' own on the ledger


def batch_of(installation, consignment):
    return installation.record(consignment.id).batch


def signed_by(installation, signer):
    return [call for _, call in installation.ledger.mined(signer) if isinstance(call, ChangeStatuses)]


def lodge_to(installation, code, papers=None, **changes):
    named = None if papers is None else [paper.record for paper in papers]
    return installation.lodge(named, customsOffice=code, **changes)


def test_own_account_gets_batches_of_its_own(installation):
    """Other records and declarations to other offices stay together."""
    installation.ledger.give_account("CNYIU")
    own = lodge_to(installation, "CNYIU")
    other = lodge_to(installation, "CNNBO", own.papers, declarationReference="R2")
    installation.settle()
    batch, common = batch_of(installation, own), batch_of(installation, other)
    assert (batch.office, batch.size) == ("CNYIU", 1)
    assert common.office is None
    assert all(installation.record(paper.record.id).batch is not batch for paper in own.papers)
    key = installation.ledger.batch_key
    assert installation.ledger.deciding_office(key(batch.root)) == installation.ledger.office("CNYIU") == 11
    assert installation.ledger.deciding_office(key(common.root)) == 0
    assert not audit(installation.ctx).discrepancies


def test_offices_of_many_declarations_are_told_apart(installation, monkeypatch):
    """More than fit into one statement's list of ids."""
    monkeypatch.setattr(database, "AT_ONCE", 2)
    installation.ledger.give_account("CNYIU")
    first = lodge_to(installation, "CNYIU")
    more = [lodge_to(installation, "CNYIU", first.papers, declarationReference=f"O{number}") for number in range(2)]
    own = [first, *more]
    other = lodge_to(installation, "CNNBO", first.papers, declarationReference="R2")
    installation.settle()
    assert {batch_of(installation, one).office for one in own} == {"CNYIU"}
    assert batch_of(installation, other).office is None


def test_each_office_decides_by_its_account(installation):
    installation.ledger.give_account("CNYIU")
    own = lodge_to(installation, "CNYIU")
    other = lodge_to(installation, "CNNBO", own.papers, declarationReference="R2")
    installation.settle()
    decide(installation, own, "officer")
    decide(installation, other, "other_officer")
    installation.settle()
    key = installation.ledger.batch_key
    assert [call.batch_key for call in signed_by(installation, "CNYIU")] == [key(batch_of(installation, own).root)]
    assert [call.batch_key for call in signed_by(installation, "office")] == [key(batch_of(installation, other).root)]
    assert not audit(installation.ctx).discrepancies


def test_earlier_batches_are_decided_by_any_account(installation):
    own = lodge_to(installation, "CNYIU")
    installation.settle()
    installation.ledger.give_account("CNYIU")
    decide(installation, own, "officer")
    installation.settle()
    assert batch_of(installation, own).office is None
    assert len(signed_by(installation, "CNYIU")) == 1
    assert not audit(installation.ctx).discrepancies


def test_decision_before_the_account_is_signed_by_it(installation):
    own = lodge_to(installation, "CNYIU")
    decide(installation, own, "officer")
    installation.ledger.give_account("CNYIU")
    installation.settle()
    assert batch_of(installation, own).office == "CNYIU"
    assert (len(signed_by(installation, "CNYIU")), signed_by(installation, "office")) == (1, [])


def test_decision_of_unaware_process_is_handed_over(installation):
    """A server that was started before the office got its account decides as before, where a batch names it."""
    installation.ledger.give_account("CNYIU")
    own = lodge_to(installation, "CNYIU")
    installation.settle()
    known = dict(installation.ledger._state.offices)
    installation.ledger._state.offices = {"office": 2}
    decide(installation, own, "officer")
    installation.ledger._state.offices = known
    installation.settle()
    assert (len(signed_by(installation, "CNYIU")), signed_by(installation, "office")) == (1, [])
    assert not audit(installation.ctx).discrepancies


def test_delegate_decides_by_the_offices_account(installation):
    installation.ledger.give_account("CNYIU")
    own = lodge_to(installation, "CNYIU")
    installation.settle()
    delegate(installation)
    decide(installation, own, "other_officer")
    installation.settle()
    assert len(signed_by(installation, "CNYIU")) == 1


def test_decision_of_office_not_named_is_undone(installation):
    installation.ledger.give_account("CNYIU")
    own = lodge_to(installation, "CNYIU")
    installation.settle()
    installation.ledger.name_office(batch_of(installation, own).root, 12)
    decide(installation, own, "officer")
    installation.settle()
    assert installation.record(own.id).status == DeclarationStatus.LODGED
    with installation.ctx.work(reading=True) as work:
        undone = [event for event in work.consignments.get(own.id).events if event.step is Step.DECISION_UNDONE]
    assert [event.note for event in undone] == ["TraceLedgerOfficeOther"]
    (found,) = audit(installation.ctx).discrepancies
    assert (found.name, found.about["stored"], found.about["ledger"]) == ("office-differs", 11, 12)


def test_batches_of_an_earlier_ledger_name_no_office(installation):
    installation.ledger._state.has_keys = False
    installation.ledger.give_account("CNYIU")
    own = lodge_to(installation, "CNYIU")
    installation.settle()
    decide(installation, own, "officer")
    installation.settle()
    assert batch_of(installation, own).office is None
    assert len(signed_by(installation, "CNYIU")) == 1
    assert not audit(installation.ctx).discrepancies
