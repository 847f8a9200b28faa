"""Organisations join, people sign in, the authority accredits."""

from datetime import UTC, datetime, timedelta

import pytest

from backend.domain.errors import Conflict, Invalid, NotAllowed, NotFound
from backend.domain.kinds import Kind
from backend.domain.parties import ApiToken, Role
from backend.domain.verdict import Conclusion, Unknown
from backend.services import accreditation
from backend.services.organisations import (
    Credentials,
    OrganisationProfile,
    register,
    register_by_authority,
    sign_in,
)
from backend.services.verification import verdict_on
from tests.helpers.postgres import stored_bytes


def newcomer(email="new@x.org", role=Role.CHAMBER):
    return OrganisationProfile(role, "New Chamber", email)


def bearer(ctx, token):
    """Whoever a program acts for with this token."""
    with ctx.work(reading=True) as work:
        found = work.persons.by_secret(ApiToken, token)
    return found.person if found is not None and found.is_valid(ctx.now()) else None


# Joining and signing in


def test_first_person_signs_in_with_credentials_shown_once(installation):
    joined = register_by_authority(installation.ctx, installation.authority, newcomer())
    assert sign_in(installation.ctx, "new@x.org", joined.password).id == joined.person.id
    assert bearer(installation.ctx, joined.token).id == joined.person.id


def test_secrets_are_kept_only_as_hashes(installation, tmp_path):
    joined = register(installation.ctx, newcomer(), Credentials("the-password-itself", "pp_the-token-itself"))
    stored = stored_bytes(tmp_path, "db.sqlite*")
    assert joined.person.email.encode() in stored
    assert b"the-password-itself" not in stored
    assert b"the-token-itself" not in stored


@pytest.mark.parametrize("who", ["merchant", "chamber", "laboratory", "officer"])
def test_only_the_authority_registers(installation, who):
    with pytest.raises(NotAllowed):
        register_by_authority(installation.ctx, installation.people[who], newcomer())


@pytest.mark.parametrize("email", ["MERCHANT@X.ORG", " merchant@x.org ", "merchant@x.org"])
def test_address_written_differently_is_not_used_twice(installation, email):
    with pytest.raises(Conflict):
        register(installation.ctx, newcomer(email))


@pytest.mark.parametrize("email", ["", "x", "a b@x.org", "a@x\n.org"])
def test_an_address_must_be_one(installation, email):
    with pytest.raises(Invalid):
        register(installation.ctx, newcomer(email))


def test_wrong_password_or_address_does_not_sign_in(installation):
    joined = register(installation.ctx, newcomer())
    for email, password in [
        ("new@x.org", "wrong"),
        ("new@x.org", ""),
        ("nobody@x.org", joined.password),
        ("", ""),
        ("new@x.org' OR '1'='1", joined.password),
        ("new@x.org", joined.token),
    ]:
        assert sign_in(installation.ctx, email, password) is None


def test_unknown_address_costs_as_much_as_wrong_password(installation):
    before = installation.passwords.checked
    sign_in(installation.ctx, "merchant@x.org", "wrong")
    known = installation.passwords.checked - before
    sign_in(installation.ctx, "nobody@x.org", "wrong")
    assert installation.passwords.checked - before == 2 * known


@pytest.mark.parametrize("token", ["", "pp_", "x" * 10_000, "' OR 1=1 --", "é"])
def test_a_made_up_token_is_nobodys(installation, token):
    assert bearer(installation.ctx, token) is None


def test_who_was_put_out_is_out(installation):
    joined = register(installation.ctx, newcomer())
    with installation.ctx.work() as work:
        work.persons.find(joined.person.id).is_active = False
        work.commit()
    assert sign_in(installation.ctx, "new@x.org", joined.password) is None
    assert bearer(installation.ctx, joined.token) is None


# Accrediting


def standing(installation, who):
    organisation = installation.people[who].organisation.id
    return next(one for one in accreditation.standings(installation.ctx) if one.organisation.id == organisation)


def test_a_newcomer_is_accredited_for_nothing(installation):
    joined = register(installation.ctx, newcomer())
    found = next(
        one for one in accreditation.standings(installation.ctx) if one.organisation.id == joined.organisation.id
    )
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
def test_each_is_accredited_for_what_its_role_issues(installation, who, kinds):
    held = standing(installation, who).accreditation
    assert [kind for kind in Kind if held.covers_kind(kind)] == kinds
    assert held.covers_chapter(94)


@pytest.mark.parametrize("who", ["merchant", "chamber", "laboratory", "officer"])
def test_only_the_authority_acts_on_accreditations(installation, who):
    actor, target = installation.people[who], installation.chamber.organisation.id
    for act in (accreditation.accredit, accreditation.suspend, accreditation.reinstate):
        with pytest.raises(NotAllowed):
            act(installation.ctx, actor, target)


def test_refused_act_does_not_reveal_who_takes_part(installation):
    for act in (accreditation.accredit, accreditation.suspend, accreditation.reinstate):
        for target in (installation.chamber.organisation.id, installation.officer.organisation.id, "nobody"):
            with pytest.raises(NotAllowed):
                act(installation.ctx, installation.merchant, target)


def test_chapters_limit_an_accreditation(installation):
    accreditation.accredit(
        installation.ctx, installation.authority, installation.chamber.organisation.id, chapters=[61, 62]
    )
    installation.settle()
    installation.ledger.down = True  # with the ledger at hand the first would be refused
    lamp, shirt = (
        installation.issue_certificate(),
        installation.issue_certificate(certificateNumber="2", hsCode="610910"),
    )
    installation.ledger.down = False
    installation.settle()
    assert verdict_on(installation.ctx, installation.record(lamp.id)).conclusion is Conclusion.INVALID
    assert verdict_on(installation.ctx, installation.record(shirt.id)).conclusion is Conclusion.VALID


@pytest.mark.parametrize("chapters", [[], [0], [98], [-1], [1, 100]], ids=str)
def test_chapters_run_from_1_to_97(installation, chapters):
    with pytest.raises(Invalid):
        accreditation.accredit(
            installation.ctx, installation.authority, installation.chamber.organisation.id, chapters=chapters
        )


def test_an_accreditation_cannot_end_before_it_begins(installation):
    now = installation.clock.time
    with pytest.raises(Invalid):
        accreditation.accredit(
            installation.ctx, installation.authority, installation.chamber.organisation.id, None, now, now
        )


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (datetime(9999, 12, 31, tzinfo=UTC), None),
        (datetime(1969, 12, 31, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)),
        (datetime(1, 1, 1, tzinfo=UTC), None),
    ],
    ids=["the end of time", "before 1970", "year 1"],
)
def test_period_beyond_the_ledgers_range_is_refused_immediately(installation, start, end):
    with pytest.raises(Invalid):
        accreditation.accredit(
            installation.ctx, installation.authority, installation.chamber.organisation.id, None, start, end
        )


def test_suspension_beyond_the_ledgers_range_is_refused_immediately(installation):
    for since in (datetime(1960, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)):
        with pytest.raises(Invalid):
            accreditation.suspend(installation.ctx, installation.authority, installation.chamber.organisation.id, since)


@pytest.mark.parametrize("who", ["officer", "authority"])
def test_who_issues_nothing_is_not_accredited(installation, who):
    with pytest.raises(Invalid):
        accreditation.accredit(installation.ctx, installation.authority, installation.people[who].organisation.id)


def test_unknown_organisation_is_not_found(installation):
    for act in (accreditation.accredit, accreditation.suspend, accreditation.reinstate):
        with pytest.raises(NotFound):
            act(installation.ctx, installation.authority, "nobody")


def test_suspending_ends_trust_and_reinstating_brings_it_back(installation):
    record = installation.issue_certificate()
    installation.settle()
    installation.clock.pass_by(timedelta(minutes=1))
    accreditation.suspend(installation.ctx, installation.authority, installation.chamber.organisation.id)
    assert standing(installation, "chamber").pending
    installation.settle()
    assert not standing(installation, "chamber").pending
    assert verdict_on(installation.ctx, installation.record(record.id)).conclusion is Conclusion.INVALID
    accreditation.reinstate(installation.ctx, installation.authority, installation.chamber.organisation.id)
    installation.settle()
    assert verdict_on(installation.ctx, installation.record(record.id)).conclusion is Conclusion.VALID


def test_a_suspension_does_not_lie_in_the_future(installation):
    later = installation.clock.time + timedelta(hours=1)
    with pytest.raises(Invalid):
        accreditation.suspend(installation.ctx, installation.authority, installation.chamber.organisation.id, later)


def test_acts_reach_the_ledger_in_requested_order(installation):
    target = installation.chamber.organisation.id
    accreditation.suspend(installation.ctx, installation.authority, target)
    accreditation.reinstate(installation.ctx, installation.authority, target)
    accreditation.suspend(installation.ctx, installation.authority, target)
    installation.settle()
    assert standing(installation, "chamber").accreditation.suspended_since is not None


def test_a_silent_ledger_makes_a_standing_unknown(installation):
    installation.ledger.down = True
    assert isinstance(standing(installation, "chamber").accreditation, Unknown)
