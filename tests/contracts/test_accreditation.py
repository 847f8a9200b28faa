"""The accreditation of issuers' keys, as the contract keeps it."""

import random
import secrets
from datetime import UTC, datetime

import pytest

from backend.domain.ledger import Accreditation

MARCH, JUNE, DECEMBER = 1_772_323_200, 1_780_272_000, 1_796_083_200
ORIGIN = 1 << 1
ALL_CHAPTERS = 1
COFFEE = 1 << 9


@pytest.fixture
def key():
    return secrets.token_bytes(32)


def accredit(world, key, *, kinds=ORIGIN, chapters=COFFEE, valid_from=MARCH, valid_until=DECEMBER):
    return world.act("authority", "Accreditation", "accredit", key, kinds, chapters, valid_from, valid_until)


def terms(world, key):
    return world.ask("Accreditation", "accreditationOf", key)


def is_accredited(world, key, kind=1, chapter=9, moment=JUNE):
    return world.ask("Accreditation", "isAccredited", key, kind, chapter, moment)


def test_an_accredited_key_may_sign_within_its_terms(world, key):
    accredit(world, key)
    assert terms(world, key) == (ORIGIN, COFFEE, MARCH, DECEMBER, 0)
    assert is_accredited(world, key)


def test_a_key_that_was_never_accredited_may_sign_nothing(world, key):
    assert terms(world, key) == (0, 0, 0, 0, 0)
    assert not is_accredited(world, key)


@pytest.mark.parametrize(
    "outside", [{"kind": 2}, {"kind": 255}, {"chapter": 10}, {"chapter": 0}, {"chapter": 255}, {"moment": MARCH - 1}]
)
def test_a_key_may_not_sign_outside_its_terms(world, key, outside):
    accredit(world, key)
    assert not is_accredited(world, key, **outside)


def test_the_first_moment_is_covered_and_the_last_is_not(world, key):
    accredit(world, key)
    assert is_accredited(world, key, moment=MARCH)
    assert is_accredited(world, key, moment=DECEMBER - 1)
    assert not is_accredited(world, key, moment=DECEMBER)


def test_a_key_for_every_chapter_covers_each_of_them(world, key):
    accredit(world, key, chapters=ALL_CHAPTERS)
    assert all(is_accredited(world, key, chapter=chapter) for chapter in (0, 1, 9, 97))


def test_a_suspension_counts_from_its_moment_on(world, key):
    accredit(world, key)
    world.act("authority", "Accreditation", "suspend", key, JUNE)
    assert is_accredited(world, key, moment=JUNE - 1)
    assert not is_accredited(world, key, moment=JUNE)


def test_new_terms_lift_no_suspension(world, key):
    accredit(world, key)
    world.act("authority", "Accreditation", "suspend", key, JUNE)
    accredit(world, key, chapters=ALL_CHAPTERS)
    assert terms(world, key) == (ORIGIN, ALL_CHAPTERS, MARCH, DECEMBER, JUNE)


def test_a_reinstated_key_may_sign_again(world, key):
    accredit(world, key)
    world.act("authority", "Accreditation", "suspend", key, JUNE)
    world.act("authority", "Accreditation", "reinstate", key)
    assert is_accredited(world, key)
    assert terms(world, key) == (ORIGIN, COFFEE, MARCH, DECEMBER, 0)


@pytest.mark.parametrize("person", ["anchorer", "office", "other_anchorer", "all_roles", "stranger"])
def test_only_the_authority_writes_accreditations(world, key, person):
    accredit(world, key)
    for act in (("accredit", key, ORIGIN, COFFEE, MARCH, DECEMBER), ("suspend", key, JUNE), ("reinstate", key)):
        refused = world.refusal(person, "Accreditation", *act)
        assert refused.error == "AccessManagedUnauthorized"
        assert refused.arguments["caller"].lower() == world.address(person).lower()


@pytest.mark.parametrize(
    ("kinds", "chapters", "valid_from", "valid_until", "error"),
    [
        (0, COFFEE, MARCH, DECEMBER, "AccreditationCoversNothing"),
        (ORIGIN, 0, MARCH, DECEMBER, "AccreditationCoversNothing"),
        (ORIGIN, COFFEE, MARCH, MARCH, "AccreditationPeriodEmpty"),
        (ORIGIN, COFFEE, DECEMBER, MARCH, "AccreditationPeriodEmpty"),
    ],
)
def test_terms_that_say_nothing_are_refused(world, key, kinds, chapters, valid_from, valid_until, error):
    refused = world.refusal("authority", "Accreditation", "accredit", key, kinds, chapters, valid_from, valid_until)
    assert refused.error == error
    assert refused.arguments["key"] == "0x" + key.hex()


def test_only_a_known_key_can_be_suspended_and_only_from_a_moment(world, key):
    assert world.refusal("authority", "Accreditation", "suspend", key, JUNE).error == "AccreditationUnknown"
    accredit(world, key)
    assert world.refusal("authority", "Accreditation", "suspend", key, 0).error == "AccreditationMomentMissing"


def test_only_a_suspended_key_can_be_reinstated(world, key):
    assert world.refusal("authority", "Accreditation", "reinstate", key).error == "AccreditationUnknown"
    accredit(world, key)
    assert world.refusal("authority", "Accreditation", "reinstate", key).error == "AccreditationNotSuspended"


def test_the_contract_and_the_domain_judge_alike(world, key):
    chance = random.Random(20261122)
    for _ in range(25):
        kinds, chapters = chance.randrange(1, 256), chance.randrange(1, 1 << 98) & ~chance.randrange(2)
        start = chance.randrange(1, 100)
        end = start + chance.randrange(1, 100)
        suspended = chance.choice([0, chance.randrange(1, 200)])
        accredit(world, key, kinds=kinds, chapters=chapters or 1, valid_from=start, valid_until=end)
        if suspended:
            world.act("authority", "Accreditation", "suspend", key, suspended)
        ours = Accreditation(*_moments(kinds, chapters or 1, start, end, suspended))
        for _ in range(10):
            kind, chapter, moment = chance.randrange(8), chance.randrange(98), chance.randrange(200)
            expected = ours.covers_kind(kind) and ours.covers_chapter(chapter) and ours.held_at(_at(moment))
            assert is_accredited(world, key, kind, chapter, moment) == expected
        if suspended:
            world.act("authority", "Accreditation", "reinstate", key)


def test_the_authority_can_be_handed_over_and_taken_back(world, key):
    grant = ("grantRole", 0, world.address("newcomer"), 0)
    assert world.refusal("stranger", "AccessManager", *grant).error == "AccessManagerUnauthorizedAccount"
    world.act("authority", "AccessManager", *grant)
    world.act("newcomer", "Accreditation", "accredit", key, ORIGIN, COFFEE, MARCH, DECEMBER)
    world.act("authority", "AccessManager", "revokeRole", 0, world.address("newcomer"))
    assert world.refusal("newcomer", "Accreditation", "suspend", key, JUNE).error == "AccessManagedUnauthorized"


def test_an_act_under_a_delay_must_be_announced_first(world, key):
    accredit(world, key)
    world.act("authority", "AccessManager", "grantRole", 0, world.address("newcomer"), 3600)
    refused = world.refusal("newcomer", "Accreditation", "suspend", key, JUNE)
    world.act("authority", "AccessManager", "revokeRole", 0, world.address("newcomer"))
    assert refused.error == "AccessManagerNotScheduled"


def _moments(kinds, chapters, start, end, suspended):
    return kinds, chapters, _at(start), _at(end), _at(suspended) if suspended else None


def _at(seconds):
    return datetime.fromtimestamp(seconds, UTC)
