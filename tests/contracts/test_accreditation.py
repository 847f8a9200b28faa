"""The accreditation of issuers' keys, as the contract keeps it."""

import random
import secrets
from datetime import UTC, datetime

import pytest

from backend.adapters.ledger import Safeguards, deploy
from backend.domain.ledger import Accreditation, LedgerRole

MARCH, JUNE, DECEMBER = 1_772_323_200, 1_780_272_000, 1_796_083_200
ORIGIN = 1 << 1
ALL_CHAPTERS = 1
COFFEE = 1 << 9
LAST = 2**34 - 1
"""The last moment that the ledger can hold, in 2514."""
HOUR, DAY = 3600, 86_400


@pytest.fixture
def key():
    return secrets.token_bytes(32)


def accredit(world, key, *, kinds=ORIGIN, chapters=COFFEE, valid_from=MARCH, valid_until=DECEMBER):
    return world.act("authority", "Accreditation", "accredit", key, kinds, chapters, valid_from, valid_until)


def terms(world, key):
    return world.ask("Accreditation", "accreditationOf", key)


def is_accredited(world, key, kind=1, chapter=9, moment=JUNE):
    return world.ask("Accreditation", "isAccredited", key, kind, chapter, moment)


def test_accredited_key_may_sign_within_its_terms(world, key):
    accredit(world, key)
    assert terms(world, key) == (ORIGIN, COFFEE, MARCH, DECEMBER, 0)
    assert is_accredited(world, key)


def test_key_never_accredited_may_sign_nothing(world, key):
    assert terms(world, key) == (0, 0, 0, 0, 0)
    assert not is_accredited(world, key)


@pytest.mark.parametrize(
    "outside", [{"kind": 2}, {"kind": 255}, {"chapter": 10}, {"chapter": 0}, {"chapter": 255}, {"moment": MARCH - 1}]
)
def test_accredited_key_may_not_sign_outside_terms(world, key, outside):
    accredit(world, key)
    assert not is_accredited(world, key, **outside)


def test_accreditation_covers_first_moment_but_not_last(world, key):
    accredit(world, key)
    assert is_accredited(world, key, moment=MARCH)
    assert is_accredited(world, key, moment=DECEMBER - 1)
    assert not is_accredited(world, key, moment=DECEMBER)


def test_key_for_every_chapter_covers_each(world, key):
    accredit(world, key, chapters=ALL_CHAPTERS)
    assert all(is_accredited(world, key, chapter=chapter) for chapter in (0, 1, 9, 97))


def test_suspension_counts_from_its_moment_on(world, key):
    accredit(world, key)
    world.act("authority", "Accreditation", "suspend", key, JUNE)
    assert is_accredited(world, key, moment=JUNE - 1)
    assert not is_accredited(world, key, moment=JUNE)


def test_new_terms_lift_no_suspension(world, key):
    accredit(world, key)
    world.act("authority", "Accreditation", "suspend", key, JUNE)
    accredit(world, key, chapters=ALL_CHAPTERS)
    assert terms(world, key) == (ORIGIN, ALL_CHAPTERS, MARCH, DECEMBER, JUNE)


def test_reinstated_key_may_sign_again(world, key):
    accredit(world, key)
    world.act("authority", "Accreditation", "suspend", key, JUNE)
    world.act("authority", "Accreditation", "reinstate", key)
    assert is_accredited(world, key)
    assert terms(world, key) == (ORIGIN, COFFEE, MARCH, DECEMBER, 0)


@pytest.mark.parametrize("person", ["anchorer", "office", "other_anchorer", "all_roles", "stranger"])
def test_accreditation_by_others_than_authority_is_refused(world, key, person):
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
        (ORIGIN, COFFEE, MARCH, LAST + 1, "AccreditationMomentTooFar"),
        (ORIGIN, 1 << 100, MARCH, DECEMBER, "AccreditationCoversNothing"),
    ],
)
def test_terms_that_say_nothing_are_refused(world, key, kinds, chapters, valid_from, valid_until, error):
    refused = world.refusal("authority", "Accreditation", "accredit", key, kinds, chapters, valid_from, valid_until)
    assert refused.error == error
    assert refused.arguments["key"] == "0x" + key.hex()


def test_suspension_without_known_key_or_moment_is_refused(world, key):
    assert world.refusal("authority", "Accreditation", "suspend", key, JUNE).error == "AccreditationUnknown"
    accredit(world, key)
    assert world.refusal("authority", "Accreditation", "suspend", key, 0).error == "AccreditationMomentMissing"


def test_reinstatement_of_unsuspended_key_is_refused(world, key):
    assert world.refusal("authority", "Accreditation", "reinstate", key).error == "AccreditationUnknown"
    accredit(world, key)
    assert world.refusal("authority", "Accreditation", "reinstate", key).error == "AccreditationNotSuspended"


def test_contract_and_domain_judge_alike(world, key):
    chance = random.Random(20261122)
    for _ in range(25):
        key = secrets.token_bytes(32)
        kinds, chapters = chance.randrange(1, 1 << 16), chance.randrange(1, 1 << 98) & ~chance.randrange(2)
        start = chance.randrange(1, 100)
        end = start + chance.randrange(1, 100)
        suspended = chance.choice([0, chance.randrange(1, 200)])
        accredit(world, key, kinds=kinds, chapters=chapters or 1, valid_from=start, valid_until=end)
        if suspended:
            world.act("authority", "Accreditation", "suspend", key, suspended)
        ours = Accreditation(*_moments(kinds, chapters or 1, start, end, suspended))
        for _ in range(10):
            kind, chapter, moment = chance.randrange(17), chance.randrange(98), chance.randrange(200)
            expected = ours.covers_kind(kind) and ours.covers_chapter(chapter) and ours.held_at(_at(moment))
            assert is_accredited(world, key, kind, chapter, moment) == expected


def test_authority_can_be_granted_and_revoked(world, key):
    grant = ("grantRole", LedgerRole.AUTHORITY, world.address("newcomer"), 0)
    assert world.refusal("stranger", "AccessManager", *grant).error == "AccessManagerUnauthorizedAccount"
    world.act("admin", "AccessManager", *grant)
    world.act("newcomer", "Accreditation", "accredit", key, ORIGIN, COFFEE, MARCH, DECEMBER)
    world.act("admin", "AccessManager", "revokeRole", LedgerRole.AUTHORITY, world.address("newcomer"))
    assert world.refusal("newcomer", "Accreditation", "reinstate", key).error == "AccessManagedUnauthorized"


def test_delayed_act_not_announced_is_refused(world, key):
    accredit(world, key)
    world.act("admin", "AccessManager", "grantRole", LedgerRole.AUTHORITY, world.address("newcomer"), 3600)
    refused = world.refusal("newcomer", "Accreditation", "reinstate", key)
    world.act("admin", "AccessManager", "revokeRole", LedgerRole.AUTHORITY, world.address("newcomer"))
    assert refused.error == "AccessManagerNotScheduled"


def _moments(kinds, chapters, start, end, suspended):
    return kinds, chapters, _at(start), _at(end), _at(suspended) if suspended else None


def _at(seconds):
    return datetime.fromtimestamp(seconds, UTC)


# ---- history and rotation


def now(world):
    return int(world.chain.head().time.timestamp())


def terms_at(world, key, time):
    return world.ask("Accreditation", "accreditationAt", key, time)


def test_past_terms_are_answered_as_they_were(world, key):
    said = []
    for step in range(6):
        accredit(world, key, chapters=COFFEE << step)
        said.append((now(world), terms(world, key)))
        world.act("authority", "Accreditation", "suspend", key, JUNE - step)
        said.append((now(world), terms(world, key)))
    assert terms_at(world, key, said[0][0] - 1) == (0, 0, 0, 0, 0)
    for (time, then), (following, _) in zip(said, [*said[1:], (LAST, None)], strict=True):
        assert terms_at(world, key, time) == then
        assert terms_at(world, key, following - 1 if following > time else time) == then


def test_successor_is_accredited_from_its_block_on(world, key):
    successor = secrets.token_bytes(32)
    accredit(world, key, valid_from=1, valid_until=LAST)
    world.act("authority", "Accreditation", "rotate", key, successor)
    moment = now(world)
    assert is_accredited(world, key, moment=moment - 1)
    assert not is_accredited(world, key, moment=moment)
    assert not was_accredited(world, key, moment, moment)
    assert not is_accredited(world, successor, moment=moment - 1)
    assert is_accredited(world, successor, moment=moment)
    assert world.ask("Accreditation", "successorOf", key) == successor
    assert world.ask("Accreditation", "predecessorOf", successor) == key


def test_rotated_key_gets_no_new_terms(world, key):
    successor = secrets.token_bytes(32)
    accredit(world, key, valid_from=1, valid_until=LAST)
    world.act("authority", "Accreditation", "rotate", key, successor)
    again = ("accredit", key, ORIGIN, COFFEE, 1, LAST)
    assert world.refusal("authority", "Accreditation", *again).error == "AccreditationRotated"
    twice = world.refusal("authority", "Accreditation", "rotate", key, secrets.token_bytes(32))
    assert twice.error == "AccreditationRotated"
    back = world.refusal("authority", "Accreditation", "rotate", successor, key)
    assert back.error == "AccreditationSuccessorKnown"


def test_rotation_without_current_accreditation_is_refused(world, key):
    """Of a key never accredited, of one whose accreditation has ended, and by anybody but the authority."""
    fresh = secrets.token_bytes(32)
    assert world.refusal("authority", "Accreditation", "rotate", key, fresh).error == "AccreditationUnknown"
    accredit(world, key, valid_from=1, valid_until=2)
    assert world.refusal("authority", "Accreditation", "rotate", key, fresh).error == "AccreditationNotCurrent"
    for person in ("anchorer", "guardian", "stranger"):
        assert world.refusal(person, "Accreditation", "rotate", key, fresh).error == "AccessManagedUnauthorized"


def was_accredited(world, key, moment, anchored, *, kind=1, chapter=9):
    return world.ask("Accreditation", "wasAccredited", key, kind, chapter, moment, anchored)


def test_sixteen_kinds_and_last_moment_fit(world, key):
    accredit(world, key, kinds=0xFFFF, chapters=(1 << 100) - 1, valid_from=0, valid_until=LAST)
    world.act("authority", "Accreditation", "suspend", key, 1)
    assert terms(world, key) == (0xFFFF, (1 << 100) - 1, 0, LAST, 1)
    assert is_accredited(world, key, kind=15, chapter=99, moment=0)
    assert not is_accredited(world, key, kind=16, chapter=99, moment=0)


def test_zero_is_no_key(world):
    refused = world.refusal("authority", "Accreditation", "accredit", bytes(32), ORIGIN, COFFEE, MARCH, DECEMBER)
    assert refused.error == "AccreditationKeyMissing"


def test_nothing_is_covered_before_its_recording(world, key):
    """A beginning that the authority states covers nothing that was signed before the ledger knew of it."""
    accredit(world, key, valid_from=1, valid_until=LAST)
    recorded = now(world)
    assert was_accredited(world, key, recorded, recorded)
    assert was_accredited(world, key, recorded - 300, recorded)
    assert not was_accredited(world, key, recorded - 301, recorded)
    accredit(world, key, chapters=ALL_CHAPTERS, valid_from=1, valid_until=LAST)
    assert not was_accredited(world, key, recorded, now(world), chapter=10)
    assert was_accredited(world, key, now(world), now(world), chapter=10)


@pytest.mark.parametrize("change", ["narrowed", "ended", "rotated"])
def test_key_cannot_date_back_beyond_grace(world, key, change):
    accredit(world, key, valid_from=1, valid_until=LAST)
    signed = now(world)
    match change:
        case "narrowed":
            accredit(world, key, chapters=COFFEE << 1, valid_from=1, valid_until=LAST)
        case "ended":
            accredit(world, key, valid_from=1, valid_until=signed + 1)
        case "rotated":
            world.act("authority", "Accreditation", "rotate", key, secrets.token_bytes(32))
    changed = now(world)
    assert was_accredited(world, key, signed, signed + 72 * HOUR)
    assert was_accredited(world, key, signed, changed + 72 * HOUR - 1)
    assert not was_accredited(world, key, signed, changed + 72 * HOUR)


def test_lifted_suspension_covers_nothing_within(world, key):
    accredit(world, key, valid_from=1, valid_until=LAST)
    signed = now(world)
    since = signed + 2
    while now(world) < since:
        accredit(world, key, valid_from=1, valid_until=LAST)
    world.act("authority", "Accreditation", "suspend", key, since)
    world.act("authority", "Accreditation", "reinstate", key)
    lifted = now(world)
    assert was_accredited(world, key, since - 1, since - 1)
    assert not was_accredited(world, key, since - 1, since), "anchored within it: it may be dated back"
    assert not any(was_accredited(world, key, moment, lifted) for moment in range(since, lifted))
    assert was_accredited(world, key, lifted, lifted)
    assert list(world.ask("Accreditation", "suspensionsOf", key)) == [(since, lifted)]


def test_suspension_from_long_ago_is_for_good(world, key):
    """The guardian may name any moment: lifting it restores the key, and nothing that it signed since."""
    accredit(world, key, valid_from=1, valid_until=LAST)
    signed = now(world)
    assert was_accredited(world, key, signed, signed)
    world.act("guardian", "Accreditation", "suspend", key, 1)
    world.act("authority", "Accreditation", "reinstate", key)
    assert not was_accredited(world, key, signed, signed)
    assert was_accredited(world, key, now(world), now(world))


def test_sixteenth_suspension_is_not_lifted(world, key):
    accredit(world, key, valid_from=1, valid_until=LAST)
    for _ in range(15):
        world.act("authority", "Accreditation", "suspend", key, now(world))
        world.act("authority", "Accreditation", "reinstate", key)
    world.act("authority", "Accreditation", "suspend", key, now(world))
    refused = world.refusal("authority", "Accreditation", "reinstate", key)
    assert refused.error == "AccreditationSuspendedTooOften"
    suspensions = world.ask("Accreditation", "suspensionsOf", key)
    assert [lifted == 0 for _, lifted in suspensions] == [False] * 15 + [True]
    successor = secrets.token_bytes(32)
    world.act("authority", "Accreditation", "rotate", key, successor)
    assert not world.ask("Accreditation", "suspensionsOf", successor)


def test_versions_are_listed_without_logs(world, key):
    assert world.ask("Accreditation", "versionCount", key) == 0
    assert world.refusal("stranger", "Accreditation", "version", key, 0).error == "AccreditationVersionUnknown"
    said = []
    for step in range(5):
        accredit(world, key, chapters=COFFEE << step)
        said.append((terms(world, key), now(world)))
    assert world.ask("Accreditation", "versionCount", key) == 5
    assert [tuple(world.ask("Accreditation", "version", key, i)) for i in range(5)] == said
    assert world.refusal("stranger", "Accreditation", "version", key, 5).error == "AccreditationVersionUnknown"


def test_history_is_taken_over_before_first_key(world, key):
    """Terms that a new ledger records in its first days cover earlier signatures, if it was deployed to take over."""
    deployment = deploy(world.chain, world.accounts, takes_over=True)
    usual = dict(world.addresses)
    world.addresses |= {"Accreditation": deployment.accreditation, "AccessManager": deployment.manager}
    try:
        assert world.ask("Accreditation", "takenOverUntil") > now(world) + 2 * DAY
        accredit(world, key, valid_from=MARCH, valid_until=LAST)
        assert was_accredited(world, key, MARCH, now(world))
        assert not was_accredited(world, key, MARCH - 1, now(world))
        refused = world.refusal("authority", "Accreditation", "takeOver")
        assert refused.error == "AccessManagedUnauthorized"
    finally:
        world.addresses |= usual
    assert world.ask("Accreditation", "takenOverUntil") == 0
    accredit(world, key, valid_from=MARCH, valid_until=LAST)
    assert not was_accredited(world, key, MARCH, now(world))


# ---- announced acts


@pytest.fixture
def delayed(world, tmp_path):
    """The rights as an installation has them: what changes rights is announced a day before."""
    guardian = world.address("guardian")
    deployment = deploy(world.chain, world.accounts, safeguards=Safeguards(guardian))
    usual = dict(world.addresses)
    world.addresses |= {
        "AccessManager": deployment.manager,
        "Accreditation": deployment.accreditation,
        "TraceLedger": deployment.ledger,
    }
    yield world
    world.addresses |= usual


def test_announced_change_of_rights_can_be_cancelled(delayed, key):
    """It must be announced first, is not yet ready then, and only the guardian takes it back."""
    rights = delayed.call_data("AccessManager", "grantRole", LedgerRole.AUTHORITY, delayed.address("stranger"), 0)
    agent = delayed.call_data("TraceLedger", "registerAgent", delayed.address("stranger"), 1)
    for person, contract, function, arguments, data in (
        ("admin", "AccessManager", "grantRole", (LedgerRole.AUTHORITY, delayed.address("stranger"), 0), rights),
        ("authority", "TraceLedger", "registerAgent", (delayed.address("stranger"), 1), agent),
    ):
        target = delayed.addresses[contract]
        refused = delayed.refusal(person, contract, function, *arguments)
        assert refused.error == "AccessManagerNotScheduled"
        delayed.act(person, "AccessManager", "schedule", target, data, 0)
        assert delayed.refusal(person, contract, function, *arguments).error == "AccessManagerNotReady"
        cancel = ("AccessManager", "cancel", delayed.address(person), target, data)
        assert delayed.refusal("stranger", *cancel).error == "AccessManagerUnauthorizedCancel"
        delayed.act("guardian", *cancel)
        assert delayed.refusal(person, contract, function, *arguments).error == "AccessManagerNotScheduled"


def test_accrediting_and_pausing_wait_for_no_delay(delayed, key):
    delayed.act("authority", "Accreditation", "accredit", key, ORIGIN, COFFEE, MARCH, DECEMBER)
    delayed.act("guardian", "Accreditation", "suspend", key, JUNE)
    delayed.act("guardian", "TraceLedger", "pause")
    assert delayed.refusal("authority", "TraceLedger", "resume").error == "AccessManagerNotScheduled"
