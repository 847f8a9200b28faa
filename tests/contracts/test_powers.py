"""What a stolen account can do with its powers, and what it cannot: each attack as a thief would try it."""

import secrets
import time
from contextlib import contextmanager

import pytest

from backend.adapters.chains.embedded import EmbeddedChain
from backend.adapters.ledger import ACCOUNT_NAMES, Safeguards, accounts_from_keys, deploy
from backend.adapters.ledger.calls import ContractCall, interface
from backend.adapters.ledger.deployment import (
    ADMINISTRATION,
)
from backend.domain.errors import Invalid
from backend.domain.ledger import DeclarationStatus, DocumentStatus, LedgerRole
from tests.contracts.conftest import World
from tests.contracts.test_accreditation import COFFEE, DECEMBER, JUNE, MARCH, ORIGIN
from tests.contracts.test_trace_ledger import DIGEST, agent, batch, change, fields, refused_change, status, words

HOUR, DAY = 3_600, 86_400
NOBODY = "0x" + "00" * 20
EVERY_ROLE = (
    LedgerRole.AUTHORITY,
    LedgerRole.BRAKE,
    LedgerRole.REGISTRAR,
    LedgerRole.GUARDIAN,
    LedgerRole.REMOVAL,
    LedgerRole.REVOCATION,
)


class Later:
    """A clock that tests move ahead."""

    def __init__(self):
        self.ahead = 0

    def __call__(self):
        return time.time() + self.ahead


class Governed(World):
    """Contracts with the safeguards of an installation on a node, and a clock that tests move."""

    def wait(self, seconds):
        """Let the next block come that much later, with nothing in it."""
        # From the newest block: the blocks of a quick chain run ahead of its clock.
        self.clock.ahead = self.chain.head().time.timestamp() + seconds - time.time()
        self.send(ContractCall("stranger", self.address("stranger"), b"", 30_000))

    def manage(self, person, function, *arguments):
        return self.act(person, "AccessManager", function, *arguments)

    def announce(self, person, contract, function, *arguments):
        data = self.call_data(contract, function, *arguments)
        self.manage(person, "schedule", self.addresses[contract], data, 0)

    def cancel(self, person, announcer, contract, function, *arguments):
        data = self.call_data(contract, function, *arguments)
        return self.manage(person, "cancel", self.address(announcer), self.addresses[contract], data)

    def announced_and_done(self, person, contract, function, *arguments, seconds=DAY):
        self.announce(person, contract, function, *arguments)
        self.wait(seconds)
        return self.act(person, contract, function, *arguments)

    def error(self, person, contract, function, *arguments):
        refused = self.refusal(person, contract, function, *arguments)
        return refused and refused.error

    def has_role(self, role, person):
        return self.ask("AccessManager", "hasRole", role, self.address(person))[0]

    def is_paused(self):
        return self.ask("TraceLedger", "isPaused")

    def anchor(self, person="anchorer", *, origin_end=0, declaration_end=0, size=1):
        """Anchor a batch; give its key."""
        root = secrets.token_bytes(32)
        self.act(person, "TraceLedger", "anchor", root, origin_end, origin_end, max(origin_end, declaration_end), size)
        return self.batch_key(person, root)


PEOPLE = ("guardian", "next_guardian", "newcomer", "thief", "stranger", "second_office")


@contextmanager
def governed_world(path, **safeguards):
    accounts = accounts_from_keys({name: secrets.token_bytes(32) for name in (*ACCOUNT_NAMES, *PEOPLE)})
    funded, clock = [account.address for account in accounts.values()], Later()
    with EmbeddedChain(path, funded, in_real_time=False, clock=clock) as chain:
        rules = Safeguards(**{"guardian": accounts["guardian"].address, "registration_seconds": DAY} | safeguards)
        deployment = deploy(chain, accounts, safeguards=rules)
        addresses = {
            "AccessManager": deployment.manager,
            "Accreditation": deployment.accreditation,
            "CertificateBalance": deployment.balance,
            "TraceLedger": deployment.ledger,
        }
        world = Governed(chain, accounts, addresses)
        world.clock = clock
        yield world


@pytest.fixture
def governed(tmp_path):
    with governed_world(tmp_path / "chain.sqlite") as world:
        yield world


@pytest.fixture
def key(governed):
    known = secrets.token_bytes(32)
    governed.act("authority", "Accreditation", "accredit", known, ORIGIN, COFFEE, MARCH, DECEMBER)
    return known


# ---- a pause ends by itself


def test_pause_ends_by_itself_after_three_days(governed):
    governed.act("guardian", "TraceLedger", "pause")
    governed.wait(72 * HOUR - 60)
    assert governed.is_paused()
    assert governed.error("anchorer", "TraceLedger", "anchor", DIGEST, 0, 0, 0, 1) == "TraceLedgerPaused"
    governed.wait(61)
    governed.anchor()
    assert not governed.is_paused()


def test_guardian_cannot_pause_again_until_week_ran(governed):
    governed.act("guardian", "TraceLedger", "pause")
    for hours in (72, 24, 24, 72):
        governed.wait(hours * HOUR + 60)
        governed.anchor()
        assert governed.error("guardian", "TraceLedger", "pause") == "TraceLedgerPauseTooSoon"
    governed.wait(3 * DAY)
    governed.act("guardian", "TraceLedger", "pause")
    assert governed.is_paused()


def test_pause_ended_early_is_taken_up_once(governed):
    """Within its three days, so that whoever ends a pause cannot use up the guardian's; it ends as it would have."""
    governed.act("guardian", "TraceLedger", "pause")
    end = governed.ask("TraceLedger", "pausedUntil")
    governed.announced_and_done("authority", "TraceLedger", "resume")
    assert not governed.is_paused()
    governed.act("guardian", "TraceLedger", "pause")
    assert governed.ask("TraceLedger", "pausedUntil") == end


def test_one_brake_does_not_use_up_another(governed):
    governed.act("authority", "TraceLedger", "pause")
    governed.wait(72 * HOUR + 60)
    governed.anchor()
    assert governed.error("authority", "TraceLedger", "pause") == "TraceLedgerPauseTooSoon"
    governed.act("guardian", "TraceLedger", "pause")


def test_authority_renews_pause_and_guardian_cannot(governed):
    governed.act("guardian", "TraceLedger", "pause")
    governed.wait(71 * HOUR)
    assert governed.error("guardian", "TraceLedger", "renewPause") == "AccessManagedUnauthorized"
    governed.act("authority", "TraceLedger", "renewPause")
    governed.wait(71 * HOUR)
    assert governed.is_paused()


# ---- a guardian that is in wrong hands


def test_stolen_guardian_cannot_keep_ledger_paused(governed):
    """It pauses, and cancels every way out that it may cancel, for as long as it takes to remove it."""
    governed.act("guardian", "TraceLedger", "pause")
    governed.manage("admin", "proposeGuardianChange", governed.address("guardian"), governed.address("next_guardian"))
    for _ in range(3):
        governed.announce("authority", "TraceLedger", "resume")
        governed.wait(12 * HOUR)
        governed.cancel("guardian", "authority", "TraceLedger", "resume")
        governed.wait(13 * HOUR)
    governed.anchor()
    governed.wait(4 * DAY)
    assert governed.error("guardian", "TraceLedger", "pause") == "TraceLedgerPauseTooSoon"
    governed.manage("admin", "changeGuardian")
    assert governed.error("guardian", "TraceLedger", "pause") == "AccessManagedUnauthorized"
    assert governed.has_role(LedgerRole.GUARDIAN, "next_guardian")
    governed.act("next_guardian", "TraceLedger", "pause")


def test_guardian_cannot_cancel_its_removal(governed):
    change_of = ("proposeGuardianChange", governed.address("guardian"), NOBODY)
    governed.manage("admin", *change_of)
    assert governed.error("guardian", "AccessManager", "cancelGuardianChange") == "AccessManagerUnauthorizedAccount"
    for function, arguments in (
        ("changeGuardian", ()),
        ("proposeGuardianChange", (governed.address("guardian"), NOBODY)),
    ):
        data = governed.call_data("AccessManager", function, *arguments)
        cancel = ("cancel", governed.address("admin"), governed.addresses["AccessManager"], data)
        assert governed.error("guardian", "AccessManager", *cancel) == "AccessManagerNotScheduled"
    assert governed.error("admin", "AccessManager", "changeGuardian") == "AccessManagerGuardianChangeNotDue"
    governed.wait(7 * DAY)
    governed.manage("admin", "changeGuardian")
    assert not governed.has_role(LedgerRole.GUARDIAN, "guardian")
    assert not governed.has_role(LedgerRole.BRAKE, "guardian")


def test_guardian_change_is_proposed_once_and_expires(governed):
    propose = ("proposeGuardianChange", governed.address("guardian"), governed.address("next_guardian"))
    for nonsense in ((NOBODY, NOBODY), (governed.address("stranger"), NOBODY), (NOBODY, governed.address("guardian"))):
        assert governed.error("admin", "AccessManager", propose[0], *nonsense) == "AccessManagerNoGuardianChange"
    for person in ("authority", "guardian", "stranger"):
        assert governed.error(person, "AccessManager", *propose) == "AccessManagerUnauthorizedAccount"
    governed.manage("admin", *propose)
    assert governed.error("admin", "AccessManager", *propose) == "AccessManagerGuardianChangePending"
    governed.wait(14 * DAY)
    assert governed.error("admin", "AccessManager", "changeGuardian") == "AccessManagerGuardianChangeNotDue"
    governed.manage("admin", *propose)
    governed.manage("admin", "cancelGuardianChange")
    assert governed.error("admin", "AccessManager", "cancelGuardianChange") == "AccessManagerGuardianChangeNotDue"
    governed.wait(7 * DAY)
    assert governed.error("admin", "AccessManager", "changeGuardian") == "AccessManagerGuardianChangeNotDue"
    assert governed.has_role(LedgerRole.GUARDIAN, "guardian")


def test_stolen_guardian_takes_no_agent_away(governed):
    """It could cancel whatever gives the roles back."""
    for person in ("anchorer", "office", "authority"):
        assert governed.error("guardian", "TraceLedger", "suspendAgent", governed.address(person)) == (
            "AccessManagedUnauthorized"
        )
    assert governed.error("guardian", "TraceLedger", "moveAgent", governed.address("anchorer"), NOBODY)
    assert governed.error("guardian", "TraceLedger", "registerAgent", governed.address("thief"), 1)


def test_keys_suspended_by_stolen_guardian_come_back(governed, key):
    governed.act("guardian", "Accreditation", "suspend", key, 1)
    governed.act("authority", "Accreditation", "reinstate", key)
    assert governed.ask("Accreditation", "isAccredited", key, 1, 9, JUNE)


# ---- the admin apart from the authority


def test_authority_holds_no_administration(governed):
    assert not governed.has_role(LedgerRole.ADMIN, "authority")
    assert governed.has_role(LedgerRole.ADMIN, "admin")
    assert governed.ask("AccessManager", "adminCount") == 1
    for role in (LedgerRole.ADMIN, *EVERY_ROLE):
        grant = ("grantRole", role, governed.address("thief"), 0)
        assert governed.error("authority", "AccessManager", *grant) == "AccessManagerUnauthorizedAccount"
        revoke = ("revokeRole", role, governed.address("guardian"))
        assert governed.error("authority", "AccessManager", *revoke) == "AccessManagerUnauthorizedAccount"
        data = governed.call_data("AccessManager", *grant)
        schedule = ("schedule", governed.addresses["AccessManager"], data, 0)
        assert governed.error("authority", "AccessManager", *schedule) == "AccessManagerUnauthorizedCall"


def test_authority_as_admin_is_refused_at_deployment(governed):
    for taken in ("authority", "guardian"):
        rules = Safeguards(governed.address("guardian"), admin=governed.address(taken))
        with pytest.raises(Invalid):
            deploy(governed.chain, governed.accounts, safeguards=rules)


@pytest.mark.parametrize("person", ["authority", "guardian", "admin"])
def test_no_thief_ends_governance_by_renouncing(governed, person):
    for role in (LedgerRole.ADMIN, *EVERY_ROLE) if person == "admin" else EVERY_ROLE:
        assert governed.error(person, "AccessManager", "renounceRole", role, governed.address(person))
    if person != "admin":
        return
    multicall = [governed.call_data("AccessManager", "renounceRole", LedgerRole.ADMIN, governed.address(person))]
    assert governed.error(person, "AccessManager", "multicall", multicall)


def test_last_admin_cannot_be_removed(governed):
    away = ("revokeRole", LedgerRole.ADMIN, governed.address("admin"))
    governed.announce("admin", "AccessManager", *away)
    governed.wait(DAY)
    assert governed.error("admin", "AccessManager", *away) == "AccessManagerLastAdmin"


def test_admin_is_replaced_with_notice(governed):
    governed.announced_and_done(
        "admin", "AccessManager", "grantRole", LedgerRole.ADMIN, governed.address("newcomer"), DAY
    )
    assert governed.ask("AccessManager", "adminCount") == 2
    away = ("revokeRole", LedgerRole.ADMIN, governed.address("admin"))
    assert governed.error("newcomer", "AccessManager", *away) == "AccessManagerNotScheduled"
    governed.manage("admin", "renounceRole", LedgerRole.ADMIN, governed.address("admin"))
    assert governed.ask("AccessManager", "adminCount") == 1
    assert not governed.has_role(LedgerRole.ADMIN, "admin")


# ---- taking a role away never waits, giving one does


@pytest.mark.parametrize(
    "role", [LedgerRole.AUTHORITY, LedgerRole.BRAKE, LedgerRole.REGISTRAR, LedgerRole.REMOVAL, LedgerRole.REVOCATION]
)
def test_stolen_authority_loses_its_roles_at_once(governed, role):
    governed.manage("admin", "revokeRole", role, governed.address("authority"))
    assert not governed.has_role(role, "authority")
    give = ("grantRole", role, governed.address("authority"), 0)
    assert governed.error("admin", "AccessManager", *give) == "AccessManagerNotScheduled"
    assert governed.error("admin", "AccessManager", "multicall", [governed.call_data("AccessManager", *give)])


def test_what_stolen_authority_announced_falls_with_it(governed):
    give = ("registerAgent", governed.address("thief"), 7)
    governed.announce("authority", "TraceLedger", *give)
    governed.manage("admin", "revokeRole", LedgerRole.REGISTRAR, governed.address("authority"))
    governed.wait(DAY)
    assert governed.error("authority", "TraceLedger", *give) == "AccessManagedUnauthorized"
    assert agent(governed, "thief") == (0, 0, 0)


@pytest.mark.parametrize("person", ["authority", "admin"])
def test_stolen_anchorer_loses_its_role_at_once(governed, person):
    own = governed.anchor(origin_end=1, declaration_end=1)
    governed.act(person, "TraceLedger", "suspendAgent", governed.address("anchorer"))
    assert governed.error("anchorer", "TraceLedger", "anchor", DIGEST, 0, 0, 0, 1) == "TraceLedgerRoleMissing"
    assert refused_change(governed, "anchorer", own, {0: DocumentStatus.REVOKED}).error == "TraceLedgerRoleMissing"
    assert governed.error("anchorer", "CertificateBalance", "draw", [(own, 0, own, 0, 1)]) == "TraceLedgerRoleMissing"
    back = ("registerAgent", governed.address("anchorer"), 1)
    assert governed.error("authority", "TraceLedger", *back) == "AccessManagerNotScheduled"
    again = governed.error(person, "TraceLedger", "suspendAgent", governed.address("anchorer"))
    assert again == "TraceLedgerRoleMissing"


@pytest.mark.parametrize("person", ["anchorer", "office", "guardian", "stranger"])
def test_agents_are_taken_away_by_authority_only(governed, person):
    for act in (("suspendAgent", governed.address("office")), ("renewPause",)):
        assert governed.error(person, "TraceLedger", *act) == "AccessManagedUnauthorized"
    move = ("moveAgent", governed.address("anchorer"), governed.address("thief"))
    assert governed.error(person, "TraceLedger", *move) == "AccessManagedUnauthorized"


# ---- an account is replaced


def test_moved_anchorer_keeps_its_batches(governed):
    own = governed.anchor(origin_end=1, declaration_end=2, size=2)
    before = agent(governed, "anchorer")
    governed.act("authority", "TraceLedger", "suspendAgent", governed.address("anchorer"))
    move = ("moveAgent", governed.address("anchorer"), governed.address("newcomer"))
    governed.announced_and_done("authority", "TraceLedger", *move)
    assert agent(governed, "newcomer") == before
    assert (
        governed.ask("TraceLedger", "agentSuccessor", governed.address("anchorer"))
        == governed.address("newcomer").lower()
    )
    change(governed, "newcomer", own, {0: DocumentStatus.REVOKED, 1: DeclarationStatus.WITHDRAWN})
    later = governed.anchor("newcomer")
    assert batch(governed, later)[1:3] == (before[2] + 1, before[1])


def test_moved_office_decides_on_and_old_cannot(governed):
    root = governed.anchor(declaration_end=2, size=2)
    change(governed, "office", root, {0: DeclarationStatus.DETAINED})
    move = ("moveAgent", governed.address("office"), governed.address("second_office"))
    governed.announced_and_done("authority", "TraceLedger", *move)
    assert refused_change(governed, "office", root, {1: DeclarationStatus.RELEASED}).error == "TraceLedgerRoleMissing"
    change(governed, "second_office", root, {0: DeclarationStatus.RELEASED})
    assert status(governed, root, 0) == DeclarationStatus.RELEASED


def test_named_office_is_its_number_whatever_its_account(governed):
    """Without its role it decides nothing and hands nothing on; the account that it moves to does both."""
    governed.announced_and_done("authority", "TraceLedger", "registerAgent", governed.address("second_office"), 2)
    root, number = secrets.token_bytes(32), agent(governed, "office")[1]
    governed.act("anchorer", "TraceLedger", "anchorFor", root, fields(number, (0, 0, 2), 2))
    key = governed.batch_key("anchorer", root)
    hand_on = ("TraceLedger", "setOffice", key, agent(governed, "second_office")[1])
    released = {0: DeclarationStatus.RELEASED}
    governed.act("authority", "TraceLedger", "suspendAgent", governed.address("office"))
    assert refused_change(governed, "office", key, released).error == "TraceLedgerRoleMissing"
    assert governed.error("office", *hand_on) == "TraceLedgerRoleMissing"
    assert refused_change(governed, "second_office", key, released).error == "TraceLedgerOfficeOther"
    old, new = governed.address("office"), governed.address("newcomer")
    governed.announced_and_done("authority", "TraceLedger", "moveAgent", old, new)
    assert refused_change(governed, "office", key, released).error == "TraceLedgerRoleMissing"
    change(governed, "newcomer", key, released)
    governed.act("newcomer", *hand_on)
    change(governed, "second_office", key, {1: DeclarationStatus.RELEASED})


def test_pause_keeps_offices_as_they_are(governed):
    number = agent(governed, "office")[1]
    root = secrets.token_bytes(32)
    governed.act("anchorer", "TraceLedger", "anchorFor", root, fields(number))
    key = governed.batch_key("anchorer", root)
    governed.act("guardian", "TraceLedger", "pause")
    assert governed.error("office", "TraceLedger", "setOffice", key, number) == "TraceLedgerPaused"
    assert governed.error("anchorer", "TraceLedger", "anchorFor", DIGEST, fields(number)) == "TraceLedgerPaused"


def test_moved_account_gets_no_role_again(governed):
    """Neither by registration, nor by moving another agent to it, nor by moving it a second time."""
    old, new, third = (governed.address(person) for person in ("anchorer", "newcomer", "stranger"))
    governed.announced_and_done("authority", "TraceLedger", "moveAgent", old, new)
    own = governed.anchor("newcomer", origin_end=1)
    assert governed.error("anchorer", "TraceLedger", "anchor", DIGEST, 0, 0, 0, 1) == "TraceLedgerRoleMissing"
    assert refused_change(governed, "anchorer", own, {0: DocumentStatus.REVOKED}).error == "TraceLedgerRoleMissing"
    assert agent(governed, "anchorer") == (0, 0, 0)
    for act, error in (
        (("registerAgent", old, 1), "TraceLedgerAgentMoved"),
        (("moveAgent", old, third), "TraceLedgerAgentMoved"),
        (("moveAgent", new, old), "TraceLedgerAgentKnown"),
        (("moveAgent", new, governed.address("office")), "TraceLedgerAgentKnown"),
        (("moveAgent", new, new), "TraceLedgerAgentKnown"),
        (("moveAgent", new, NOBODY), "TraceLedgerAgentKnown"),
        (("moveAgent", third, governed.address("thief")), "TraceLedgerAgentUnknown"),
        (("suspendAgent", old), "TraceLedgerRoleMissing"),
    ):
        if act[0] != "suspendAgent":
            governed.announce("authority", "TraceLedger", *act)
            governed.wait(DAY)
        assert governed.error("authority", "TraceLedger", *act) == error


def test_move_is_announced_and_guardian_cancels_it(governed):
    move = ("moveAgent", governed.address("anchorer"), governed.address("thief"))
    assert governed.error("authority", "TraceLedger", *move) == "AccessManagerNotScheduled"
    governed.announce("authority", "TraceLedger", *move)
    governed.cancel("guardian", "authority", "TraceLedger", *move)
    governed.wait(DAY)
    assert governed.error("authority", "TraceLedger", *move) == "AccessManagerNotScheduled"


# ---- nothing silences the brake


def test_closed_targets_are_refused_after_notice_too(governed, key):
    for target in ("Accreditation", "TraceLedger", "AccessManager"):
        close = ("setTargetClosed", governed.addresses[target], True)
        governed.announce("admin", "AccessManager", *close)
        governed.wait(DAY)
        assert governed.error("admin", "AccessManager", *close) == "AccessManagerFixed"
    governed.act("guardian", "Accreditation", "suspend", key, JUNE)
    governed.act("guardian", "TraceLedger", "pause")


def test_no_announced_act_of_admin_silences_the_brake(governed, key):
    """Not by the function's role, a delay, a role taken away, the role's guardian, or another manager."""
    guardian, manager = governed.address("guardian"), governed.addresses["AccessManager"]
    accreditation, ledger = governed.addresses["Accreditation"], governed.addresses["TraceLedger"]
    selectors = {name: interface("TraceLedger").selector(name) for name in ("pause", "suspendAgent", "renewPause")}
    suspend = interface("Accreditation").selector("suspend")
    for act in (
        ("setTargetFunctionRole", accreditation, [suspend], ADMINISTRATION),
        *(("setTargetFunctionRole", ledger, [selector], ADMINISTRATION) for selector in selectors.values()),
        ("setTargetFunctionRole", manager, [interface("AccessManager").selector("grantRole")], 99),
        ("grantRole", LedgerRole.BRAKE, guardian, 30 * DAY),
        ("grantRole", LedgerRole.REMOVAL, governed.address("authority"), 30 * DAY),
        ("setRoleGuardian", LedgerRole.REGISTRAR, 99),
        ("setRoleGuardian", ADMINISTRATION, LedgerRole.ADMIN),
        ("updateAuthority", ledger, manager),
    ):
        governed.announce("admin", "AccessManager", *act)
        governed.wait(2 * DAY)
        assert governed.error("admin", "AccessManager", *act) in {"AccessManagerFixed", "AccessManagerBrakeNotDelayed"}
    for role in (LedgerRole.BRAKE, LedgerRole.GUARDIAN):
        away = governed.error("admin", "AccessManager", "revokeRole", role, guardian)
        assert away == "AccessManagerGuardianNeedsNotice"
    another = [("setAuthority", governed.address("thief"))]
    for name, address in (("TraceLedger", ledger), ("Accreditation", accreditation)):
        data = governed.call_data(name, *another[0])
        for way in (("schedule", address, data, 0), ("execute", address, data)):
            assert governed.error("admin", "AccessManager", *way) == "AccessManagerUnauthorizedCall"
    governed.act("guardian", "Accreditation", "suspend", key, JUNE)
    governed.act("guardian", "TraceLedger", "pause")


# ---- documents: who suspended lifts, and revocation by the authority waits


def test_issuer_cannot_lift_authoritys_suspension(governed):
    root = governed.anchor(origin_end=3, size=3)
    change(governed, "authority", root, {0: DocumentStatus.SUSPENDED, 1: DocumentStatus.SUSPENDED})
    assert refused_change(governed, "anchorer", root, {0: DocumentStatus.ACTIVE}).error == "TraceLedgerEdgeNotAllowed"
    # Neither by suspending and lifting what is its own.
    change(governed, "anchorer", root, {0: DocumentStatus.SUSPENDED})
    change(governed, "anchorer", root, {0: DocumentStatus.ACTIVE})
    assert status(governed, root, 0) == DocumentStatus.SUSPENDED
    change(governed, "authority", root, {0: DocumentStatus.ACTIVE})
    assert status(governed, root, 0) == DocumentStatus.ACTIVE
    assert [status(governed, root, place) for place in (1, 2)] == [DocumentStatus.SUSPENDED, DocumentStatus.ACTIVE]


def test_authority_cannot_lift_issuers_suspension(governed):
    root = governed.anchor(origin_end=1)
    change(governed, "anchorer", root, {0: DocumentStatus.SUSPENDED})
    assert refused_change(governed, "authority", root, {0: DocumentStatus.ACTIVE}).error == "TraceLedgerEdgeNotAllowed"
    change(governed, "authority", root, {0: DocumentStatus.SUSPENDED})
    change(governed, "authority", root, {0: DocumentStatus.ACTIVE})
    assert status(governed, root, 0) == DocumentStatus.SUSPENDED
    change(governed, "anchorer", root, {0: DocumentStatus.ACTIVE})
    assert status(governed, root, 0) == DocumentStatus.ACTIVE


def test_issuer_cannot_evade_suspension_by_racing(governed):
    """The authority's call means the same whatever the issuer has done just before it."""
    root = governed.anchor(origin_end=1)
    call = ("authority", root, {0: DocumentStatus.SUSPENDED})
    for _ in range(2):
        assert refused_change(governed, *call) is None
        change(governed, "anchorer", root, {0: DocumentStatus.SUSPENDED})
        assert refused_change(governed, *call) is None
        change(governed, "anchorer", root, {0: DocumentStatus.ACTIVE})


def test_issuer_revokes_what_the_authority_suspended(governed):
    root = governed.anchor(origin_end=2, size=2)
    change(governed, "authority", root, {0: DocumentStatus.SUSPENDED, 1: DocumentStatus.SUSPENDED})
    change(governed, "anchorer", root, {0: DocumentStatus.REVOKED, 1: DocumentStatus.SUPERSEDED})
    change(governed, "authority", root, {0: DocumentStatus.ACTIVE, 1: DocumentStatus.ACTIVE})
    assert [status(governed, root, place) for place in (0, 1)] == [DocumentStatus.REVOKED, DocumentStatus.SUPERSEDED]
    assert (
        refused_change(governed, "authority", root, {0: DocumentStatus.SUSPENDED}).error == "TraceLedgerEdgeForbidden"
    )


def test_certificate_suspended_by_authority_cannot_be_opened(governed, key):
    from tests.contracts.test_certificate_balance import Batch

    held = Batch(governed)
    held.change(2, DocumentStatus.SUSPENDED, by="authority")
    refused = governed.refusal("anchorer", "CertificateBalance", "open", *held.activation(2, key))
    assert refused.error == "CertificateBalanceNotActive"


def test_stolen_authority_cannot_revoke_everything_at_once(governed):
    root = governed.anchor(origin_end=640, size=640)
    everything = dict.fromkeys(range(640), DocumentStatus.REVOKED)
    assert refused_change(governed, "authority", root, everything).error == "TraceLedgerEdgeNotAllowed"
    assert (
        refused_change(governed, "authority", root, {3: DocumentStatus.SUPERSEDED}).error == "TraceLedgerEdgeNotAllowed"
    )
    revoke = ("revokeDocuments", root, words(everything), DIGEST)
    assert governed.error("authority", "TraceLedger", *revoke) == "AccessManagerNotScheduled"
    governed.announce("authority", "TraceLedger", *revoke)
    governed.wait(3 * DAY - 60)
    assert governed.error("authority", "TraceLedger", *revoke) == "AccessManagerNotReady"
    governed.cancel("guardian", "authority", "TraceLedger", *revoke)
    governed.wait(60)
    assert governed.error("authority", "TraceLedger", *revoke) == "AccessManagerNotScheduled"
    assert status(governed, root, 639) == DocumentStatus.ACTIVE


def test_announced_revocation_revokes_documents_and_nothing_else(governed):
    root = governed.anchor(origin_end=2, declaration_end=3, size=3)
    for wrong in ({0: DocumentStatus.SUSPENDED}, {0: DocumentStatus.SUPERSEDED}, {2: DeclarationStatus.RELEASED}):
        act = ("revokeDocuments", root, words(wrong), DIGEST)
        governed.announce("authority", "TraceLedger", *act)
        governed.wait(3 * DAY)
        assert governed.error("authority", "TraceLedger", *act) == "TraceLedgerEdgeNotAllowed"
    change(governed, "authority", root, {1: DocumentStatus.SUSPENDED})
    act = ("revokeDocuments", root, words({0: DocumentStatus.REVOKED, 1: DocumentStatus.REVOKED}), DIGEST)
    governed.announced_and_done("authority", "TraceLedger", *act, seconds=3 * DAY)
    assert [status(governed, root, place) for place in range(3)] == [2, 2, 0]


def test_stolen_authoritys_mass_suspension_is_lifted_by_successor(governed):
    root = governed.anchor(origin_end=64, size=64)
    change(governed, "authority", root, dict.fromkeys(range(64), DocumentStatus.SUSPENDED))
    governed.act("admin", "TraceLedger", "suspendAgent", governed.address("authority"))
    assert refused_change(governed, "authority", root, {0: DocumentStatus.ACTIVE}).error == "TraceLedgerRoleMissing"
    for role in (
        LedgerRole.AUTHORITY,
        LedgerRole.BRAKE,
        LedgerRole.REGISTRAR,
        LedgerRole.REMOVAL,
        LedgerRole.REVOCATION,
    ):
        governed.manage("admin", "revokeRole", role, governed.address("authority"))
    give = ("grantRole", LedgerRole.REGISTRAR, governed.address("newcomer"), DAY)
    governed.announced_and_done("admin", "AccessManager", *give)
    move = ("moveAgent", governed.address("authority"), governed.address("newcomer"))
    governed.announced_and_done("newcomer", "TraceLedger", *move)
    change(governed, "newcomer", root, dict.fromkeys(range(64), DocumentStatus.ACTIVE))
    assert status(governed, root, 63) == DocumentStatus.ACTIVE


# ---- a key is suspended at once


def test_brake_lifts_no_suspension_of_a_key(governed, key):
    governed.act("guardian", "Accreditation", "suspend", key, JUNE)
    for later in (2**40 - 1, DECEMBER * 2, JUNE + 1, 0):
        for person in ("guardian", "authority"):
            assert governed.error(person, "Accreditation", "suspend", key, later) in {
                "AccreditationMomentAhead",
                "AccreditationSuspendedBefore",
                "AccreditationMomentMissing",
            }
    governed.act("guardian", "Accreditation", "suspend", key, MARCH)
    assert governed.ask("Accreditation", "accreditationOf", key)[4] == MARCH
    number = governed.ask("Accreditation", "numberOf", key)
    assert governed.ask("Accreditation", "isSuspended", number)


def test_suspension_never_lies_in_the_future(governed, key):
    ahead = int(governed.chain.head().time.timestamp()) + HOUR
    assert governed.error("authority", "Accreditation", "suspend", key, ahead) == "AccreditationMomentAhead"
    governed.act("authority", "Accreditation", "suspend", key, ahead - HOUR)


def test_rotation_to_nothing_is_refused(governed, key):
    assert governed.error("authority", "Accreditation", "rotate", key, b"\0" * 32)


# ---- what each thief can do all the same


def test_thief_of_authority_can_suspend_pause_and_accredit(governed, key):
    root = governed.anchor(origin_end=1)
    governed.act("authority", "Accreditation", "accredit", secrets.token_bytes(32), ORIGIN, COFFEE, MARCH, DECEMBER)
    governed.act("authority", "Accreditation", "suspend", key, JUNE)
    governed.act("authority", "Accreditation", "reinstate", key)
    change(governed, "authority", root, {0: DocumentStatus.SUSPENDED})
    governed.act("authority", "TraceLedger", "suspendAgent", governed.address("office"))
    governed.act("authority", "TraceLedger", "renewPause")
    governed.announce("authority", "TraceLedger", "registerAgent", governed.address("thief"), 7)
    # But it decides nothing, and what it announced is cancelled.
    open_root = secrets.token_bytes(32)
    assert governed.error("authority", "TraceLedger", "anchor", open_root, 0, 0, 1, 1) == "TraceLedgerRoleMissing"
    governed.cancel("guardian", "authority", "TraceLedger", "registerAgent", governed.address("thief"), 7)


def test_admins_thief_takes_away_but_cannot_act(governed, key):
    root = governed.anchor(origin_end=1, declaration_end=2, size=2)
    for act in (
        ("Accreditation", "accredit", key, ORIGIN, COFFEE, MARCH, DECEMBER),
        ("Accreditation", "suspend", key, JUNE),
        ("Accreditation", "reinstate", key),
        ("TraceLedger", "registerAgent", governed.address("thief"), 7),
        ("TraceLedger", "moveAgent", governed.address("anchorer"), governed.address("thief")),
        ("TraceLedger", "pause"),
        ("TraceLedger", "resume"),
        ("TraceLedger", "revokeDocuments", root, [(0, 3)], DIGEST),
    ):
        assert governed.error("admin", *act) == "AccessManagedUnauthorized"
    assert refused_change(governed, "admin", root, {0: 1}).error == "TraceLedgerRoleMissing"
    assert refused_change(governed, "admin", root, {1: 4}).error == "TraceLedgerRoleMissing"
    governed.act("admin", "TraceLedger", "suspendAgent", governed.address("anchorer"))
    governed.manage("admin", "revokeRole", LedgerRole.AUTHORITY, governed.address("authority"))
    give = ("grantRole", LedgerRole.AUTHORITY, governed.address("thief"), 0)
    governed.announce("admin", "AccessManager", *give)
    governed.cancel("guardian", "admin", "AccessManager", *give)


def test_anchorers_thief_writes_in_its_own_batches(governed):
    own = governed.anchor(origin_end=1, declaration_end=2, size=2)
    governed.announced_and_done("authority", "TraceLedger", "registerAgent", governed.address("newcomer"), 1)
    foreign = governed.anchor("newcomer", origin_end=1, declaration_end=2, size=2)
    change(governed, "anchorer", own, {0: DocumentStatus.REVOKED, 1: DeclarationStatus.WITHDRAWN})
    assert (
        refused_change(governed, "anchorer", foreign, {0: DocumentStatus.REVOKED}).error == "TraceLedgerEdgeNotAllowed"
    )
    assert refused_change(governed, "anchorer", foreign, {1: 8}).error == "TraceLedgerEdgeNotAllowed"
    assert refused_change(governed, "anchorer", foreign, {1: 4}).error == "TraceLedgerEdgeNotAllowed"


def test_thief_of_office_can_decide_but_undo_nothing(governed):
    root = governed.anchor(origin_end=1, declaration_end=3, size=3)
    change(governed, "office", root, {1: DeclarationStatus.RELEASED, 2: DeclarationStatus.DETAINED})
    for target in range(1, 9):
        assert refused_change(governed, "office", root, {1: target})
    for target in range(1, 4):
        assert refused_change(governed, "office", root, {0: target}).error == "TraceLedgerEdgeNotAllowed"


def test_thief_of_guardian_can_suspend_pause_and_cancel(governed, key):
    governed.act("guardian", "Accreditation", "suspend", key, JUNE)
    governed.act("guardian", "TraceLedger", "pause")
    governed.announce("authority", "TraceLedger", "resume")
    governed.cancel("guardian", "authority", "TraceLedger", "resume")
    assert governed.error("guardian", "Accreditation", "reinstate", key) == "AccessManagedUnauthorized"
