"""Organisations join, people sign in, the authority accredits."""

from datetime import UTC, datetime, timedelta

import pytest

from backend.domain.errors import Conflict, Invalid, NotAllowed, NotFound
from backend.domain.kinds import Kind
from backend.domain.parties import Role
from backend.domain.verdict import Conclusion, Unknown
from backend.services import accreditation
from backend.services.organisations import Particulars, Secrets, bearer, join, register, sign_in
from backend.services.verification import verdict_on


def newcomer(email="new@x.org", role=Role.CHAMBER):
    return Particulars(role, "New Chamber", email)


# Joining and signing in


def test_first_person_signs_in_with_credentials_shown_once(house):
    joined = register(house.ctx, house.authority, newcomer())
    assert sign_in(house.ctx, "new@x.org", joined.password).id == joined.person.id
    assert bearer(house.ctx, joined.token).id == joined.person.id


def test_secrets_are_kept_only_as_hashes(house, tmp_path):
    joined = join(house.ctx, newcomer(), Secrets("the-password-itself", "pp_the-token-itself"))
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("db.sqlite*"))
    assert joined.person.email.encode() in stored
    assert b"the-password-itself" not in stored
    assert b"the-token-itself" not in stored


@pytest.mark.parametrize("who", ["merchant", "chamber", "laboratory", "officer"])
def test_only_the_authority_registers(house, who):
    with pytest.raises(NotAllowed):
        register(house.ctx, house.people[who], newcomer())


@pytest.mark.parametrize("email", ["MERCHANT@X.ORG", " merchant@x.org ", "merchant@x.org"])
def test_address_written_differently_is_not_used_twice(house, email):
    with pytest.raises(Conflict):
        join(house.ctx, newcomer(email))


@pytest.mark.parametrize("email", ["", "x", "a b@x.org", "a@x\n.org"])
def test_an_address_must_be_one(house, email):
    with pytest.raises(Invalid):
        join(house.ctx, newcomer(email))


def test_wrong_password_or_address_does_not_sign_in(house):
    joined = join(house.ctx, newcomer())
    for email, password in [
        ("new@x.org", "wrong"),
        ("new@x.org", ""),
        ("nobody@x.org", joined.password),
        ("", ""),
        ("new@x.org' OR '1'='1", joined.password),
        ("new@x.org", joined.token),
    ]:
        assert sign_in(house.ctx, email, password) is None


def test_unknown_address_costs_as_much_as_wrong_password(house):
    before = house.passwords.checked
    sign_in(house.ctx, "merchant@x.org", "wrong")
    known = house.passwords.checked - before
    sign_in(house.ctx, "nobody@x.org", "wrong")
    assert house.passwords.checked - before == 2 * known


@pytest.mark.parametrize("token", ["", "pp_", "x" * 10_000, "' OR 1=1 --", "é"])
def test_a_made_up_token_is_nobodys(house, token):
    assert bearer(house.ctx, token) is None


def test_who_was_put_out_is_out(house):
    joined = join(house.ctx, newcomer())
    with house.ctx.work() as work:
        work.persons.find(joined.person.id).is_active = False
        work.commit()
    assert sign_in(house.ctx, "new@x.org", joined.password) is None
    assert bearer(house.ctx, joined.token) is None


# Accrediting


def standing(house, who):
    organisation = house.people[who].organisation.id
    return next(one for one in accreditation.standings(house.ctx) if one.organisation.id == organisation)


def test_a_newcomer_is_accredited_for_nothing(house):
    joined = join(house.ctx, newcomer())
    found = next(one for one in accreditation.standings(house.ctx) if one.organisation.id == joined.organisation.id)
    assert found.accreditation is None
    assert not found.pending


@pytest.mark.parametrize(
    ("who", "kinds"),
    [
        ("chamber", [Kind.CERTIFICATE_OF_ORIGIN]),
        ("laboratory", [Kind.INSPECTION_REPORT]),
        ("merchant", [Kind(number) for number in range(3, 8)]),
    ],
)
def test_each_is_accredited_for_what_its_role_issues(house, who, kinds):
    held = standing(house, who).accreditation
    assert [kind for kind in Kind if held.covers_kind(kind)] == kinds
    assert held.covers_chapter(94)


@pytest.mark.parametrize("who", ["merchant", "chamber", "laboratory", "officer"])
def test_only_the_authority_acts_on_accreditations(house, who):
    actor, target = house.people[who], house.chamber.organisation.id
    for act in (accreditation.accredit, accreditation.suspend, accreditation.reinstate):
        with pytest.raises(NotAllowed):
            act(house.ctx, actor, target)


def test_refused_act_does_not_reveal_who_takes_part(house):
    for act in (accreditation.accredit, accreditation.suspend, accreditation.reinstate):
        for target in (house.chamber.organisation.id, house.officer.organisation.id, "nobody"):
            with pytest.raises(NotAllowed):
                act(house.ctx, house.merchant, target)


def test_chapters_limit_an_accreditation(house):
    accreditation.accredit(house.ctx, house.authority, house.chamber.organisation.id, chapters=[61, 62])
    house.settle()
    lamp, shirt = house.issue_certificate(), house.issue_certificate(certificateNumber="2", hsCode="610910")
    house.settle()
    assert verdict_on(house.ctx, house.record(lamp.id)).conclusion is Conclusion.INVALID
    assert verdict_on(house.ctx, house.record(shirt.id)).conclusion is Conclusion.VALID


@pytest.mark.parametrize("chapters", [[], [0], [98], [-1], [1, 100]], ids=str)
def test_chapters_run_from_1_to_97(house, chapters):
    with pytest.raises(Invalid):
        accreditation.accredit(house.ctx, house.authority, house.chamber.organisation.id, chapters=chapters)


def test_an_accreditation_cannot_end_before_it_begins(house):
    now = house.clock.time
    with pytest.raises(Invalid):
        accreditation.accredit(house.ctx, house.authority, house.chamber.organisation.id, None, now, now)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (datetime(9999, 12, 31, tzinfo=UTC), None),
        (datetime(1969, 12, 31, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)),
        (datetime(1, 1, 1, tzinfo=UTC), None),
    ],
    ids=["the end of time", "before 1970", "year 1"],
)
def test_period_beyond_the_ledgers_range_is_refused_immediately(house, start, end):
    with pytest.raises(Invalid):
        accreditation.accredit(house.ctx, house.authority, house.chamber.organisation.id, None, start, end)


def test_suspension_beyond_the_ledgers_range_is_refused_immediately(house):
    for since in (datetime(1960, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)):
        with pytest.raises(Invalid):
            accreditation.suspend(house.ctx, house.authority, house.chamber.organisation.id, since)


@pytest.mark.parametrize("who", ["officer", "authority"])
def test_who_issues_nothing_is_not_accredited(house, who):
    with pytest.raises(Invalid):
        accreditation.accredit(house.ctx, house.authority, house.people[who].organisation.id)


def test_unknown_organisation_is_not_found(house):
    for act in (accreditation.accredit, accreditation.suspend, accreditation.reinstate):
        with pytest.raises(NotFound):
            act(house.ctx, house.authority, "nobody")


def test_suspending_ends_trust_and_reinstating_brings_it_back(house):
    record = house.issue_certificate()
    house.settle()
    accreditation.suspend(house.ctx, house.authority, house.chamber.organisation.id)
    assert standing(house, "chamber").pending
    house.settle()
    assert not standing(house, "chamber").pending
    assert verdict_on(house.ctx, house.record(record.id)).conclusion is Conclusion.INVALID
    accreditation.reinstate(house.ctx, house.authority, house.chamber.organisation.id)
    house.settle()
    assert verdict_on(house.ctx, house.record(record.id)).conclusion is Conclusion.VALID


def test_a_suspension_does_not_lie_in_the_future(house):
    later = house.clock.time + timedelta(hours=1)
    with pytest.raises(Invalid):
        accreditation.suspend(house.ctx, house.authority, house.chamber.organisation.id, later)


def test_acts_reach_the_ledger_in_requested_order(house):
    target = house.chamber.organisation.id
    accreditation.suspend(house.ctx, house.authority, target)
    accreditation.reinstate(house.ctx, house.authority, target)
    accreditation.suspend(house.ctx, house.authority, target)
    house.settle()
    assert standing(house, "chamber").accreditation.suspended_since is not None


def test_a_silent_ledger_makes_a_standing_unknown(house):
    house.ledger.down = True
    assert isinstance(standing(house, "chamber").accreditation, Unknown)
