"""An officer reads and decides what was declared to the own office, or to one that lets it act, and nothing else."""

from datetime import timedelta

import pytest

from backend.domain.consignment import Decision
from backend.domain.errors import Conflict, Invalid, NotAllowed, NotFound
from backend.domain.parties import Role
from backend.services import customs_offices, decisions, declarations, release_times
from backend.services.access_policy import visible_record
from backend.services.organisations import OrganisationProfile, register

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
            lambda: declarations.visible(ctx, work, actor, consignment.id),
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
