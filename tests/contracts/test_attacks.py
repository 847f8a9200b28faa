"""Attacks on the contracts that fail, of kinds that the files about each contract do not try.

A thief, a second anchorer or a guardian goes the long way round: through the access manager, several words of a batch,
several calls in one, or an account that gave way.
"""

import secrets

import pytest
from eth_utils.address import to_checksum_address

from backend.adapters.ledger.chain import CallReverted
from backend.domain.ledger import DeclarationStatus, DocumentStatus, LedgerRole
from tests.contracts.test_accreditation import COFFEE, DECEMBER, MARCH, ORIGIN
from tests.contracts.test_certificate_balance import (
    BALANCE,
    Batch,
    a_drawdown,
    an_accredited_key,
    draw_down,
    refused,
    remaining,
)
from tests.contracts.test_powers import DAY, HOUR, governed, key  # noqa: F401 - fixtures
from tests.contracts.test_trace_ledger import DIGEST


def through_manager(governed, person, contract, function, *arguments):  # noqa: F811
    """Let the access manager make a call for somebody who may make it."""
    data = governed.call_data(contract, function, *arguments)
    return governed.error(person, "AccessManager", "execute", governed.addresses[contract], data)


def test_guardian_cannot_pause_in_managers_name(governed):  # noqa: F811
    """The ledger counts pauses for each caller: through the manager a guardian would have a second count of its own."""
    governed.act("guardian", "TraceLedger", "pause")
    governed.wait(72 * HOUR + 1)
    assert governed.error("guardian", "TraceLedger", "pause") == "TraceLedgerPauseTooSoon"
    assert through_manager(governed, "guardian", "TraceLedger", "pause") is not None


def test_manager_pauses_for_nobody_in_a_bundle(governed):  # noqa: F811
    """Nor where the call is one of several, or is the authority's."""
    data = governed.call_data("TraceLedger", "pause")
    inner = governed.call_data("AccessManager", "execute", governed.addresses["TraceLedger"], data)
    assert governed.error("guardian", "AccessManager", "multicall", [inner]) is not None
    assert through_manager(governed, "authority", "TraceLedger", "pause") == "AccessManagerFixed"
    assert through_manager(governed, "guardian", "Accreditation", "suspend", bytes(32), 1) == "AccessManagerFixed"
    assert not governed.is_paused()
    governed.act("guardian", "TraceLedger", "pause")
    assert governed.is_paused()


def test_announced_call_is_still_made_through_manager(governed):  # noqa: F811
    """What is no brake's goes the long way as before: a resumption, announced and due."""
    governed.act("guardian", "TraceLedger", "pause")
    governed.announce("authority", "TraceLedger", "resume")
    assert through_manager(governed, "authority", "TraceLedger", "resume") == "AccessManagerNotReady"
    governed.wait(DAY)
    assert through_manager(governed, "authority", "TraceLedger", "resume") is None


def test_flood_of_announcements_is_cancelled_in_one_call(governed):  # noqa: F811
    """A thief of the admin announces a hundred roles for accounts of its own, to be due before each is cancelled."""
    manager = governed.addresses["AccessManager"]
    grants = [
        governed.call_data(
            "AccessManager", "grantRole", LedgerRole.ADMIN, to_checksum_address(secrets.token_bytes(20)), 0
        )
        for _ in range(100)
    ]
    announced = [governed.call_data("AccessManager", "schedule", manager, grant, 0) for grant in grants]
    governed.manage("admin", "multicall", announced)
    admin = governed.address("admin")
    cancelled = [governed.call_data("AccessManager", "cancel", admin, manager, grant) for grant in grants]
    governed.manage("guardian", "multicall", cancelled)
    governed.wait(DAY)
    for grant in grants[:: len(grants) // 5]:
        assert governed.error("admin", "AccessManager", "execute", manager, grant) == "AccessManagerNotScheduled"
    assert governed.ask("AccessManager", "adminCount") == 1


def test_taken_role_leaves_nothing_announced_behind(governed):  # noqa: F811
    """A thief announced a mass revocation before it lost the role; who gets the role next cannot be made to do it."""
    key_of_batch = governed.anchor(origin_end=1, declaration_end=1)
    call = ("TraceLedger", "revokeDocuments", key_of_batch, [(0, 3)], DIGEST)
    governed.announce("authority", *call)
    governed.manage("admin", "revokeRole", LedgerRole.REVOCATION, governed.address("authority"))
    governed.wait(3 * DAY)
    data = governed.call_data(*call)
    for person in ("authority", "thief", "admin"):
        assert governed.error(person, *call) is not None
        assert governed.error(person, "AccessManager", "execute", governed.addresses["TraceLedger"], data) is not None
    assert governed.ask("TraceLedger", "statusOf", key_of_batch, 0) == DocumentStatus.ACTIVE


# ---- a second anchorer


@pytest.fixture
def wide(world):
    """Batches over three words: 65 certificates and 65 declarations, so that each has a like in another word."""
    entries = [bytes([1]) + (100).to_bytes(16, "big") + secrets.token_bytes(32) for _ in range(65)]
    entries += [bytes([3]) + bytes(16) + secrets.token_bytes(32) for _ in range(65)]
    batch = Batch(world, entries=entries, ends=(65, 65, 130, 130))
    issuer = an_accredited_key(world)
    for place in (0, 64):
        world.act("anchorer", BALANCE, "open", *batch.activation(place, issuer))
    return batch


def test_revoked_certificate_in_another_word_is_refused(world, wide):
    """In one call with a good one, whose place in its word is the same."""
    wide.change(64, DocumentStatus.REVOKED, by="anchorer")
    good, bad = a_drawdown(wide, 0, 70), a_drawdown(wide, 64, 70)
    assert refused(world, good, bad).error == refused(world, bad).error == "CertificateBalanceNotActive"
    draw_down(world, good)


def test_rejected_declaration_in_another_word_is_refused(world, wide):
    wide.change(129, DeclarationStatus.REJECTED)
    good, bad = a_drawdown(wide, 0, 70), a_drawdown(wide, 0, 129, 20)
    assert refused(world, good, bad).error == refused(world, bad).error == "CertificateBalanceDeclarationEnded"
    draw_down(world, good)


def test_account_that_moved_draws_by_no_consent(world):
    """A consent is the agent's: it goes with it to its new account, and the stolen one has it no longer."""
    issuer, batch = an_accredited_key(world), Batch(world)
    world.act("anchorer", BALANCE, "open", *batch.activation(0, issuer))
    stolen, fresh = world.address("leaving"), world.address("arriving")
    own = Batch(world, by="leaving", entries=[bytes([3]) + bytes(16) + secrets.token_bytes(32)], ends=(0, 0, 1, 1))
    drawdown = a_drawdown(batch, 0, 0, 10, declarations=own)
    assert refused(world, drawdown, by="leaving") is not None
    world.act("anchorer", BALANCE, "allowDrawdowns", stolen, True)
    assert refused(world, drawdown, by="leaving") is None
    world.act("authority", "TraceLedger", "suspendAgent", stolen)
    assert refused(world, drawdown, by="leaving") is not None
    world.act("authority", "TraceLedger", "moveAgent", stolen, fresh)
    assert refused(world, drawdown, by="leaving") is not None
    draw_down(world, drawdown, by="arriving")
    assert remaining(world, batch) == 90
    world.act("anchorer", BALANCE, "allowDrawdowns", fresh, False)
    assert refused(world, a_drawdown(batch, 0, 0, 1, declarations=own), by="arriving") is not None


def test_false_activation_reaches_no_other_anchorers_declarations(world):
    """An anchorer can state that a key signed what it never did (docs/trust.md), for its own declarations alone."""
    issuer = an_accredited_key(world)
    forged = [bytes([1]) + (2**88 - 1).to_bytes(16, "big") + secrets.token_bytes(32)]
    forged.append(bytes([3]) + bytes(16) + secrets.token_bytes(32))
    theirs, ours = Batch(world, by="forger", entries=forged, ends=(1, 1, 2, 2)), Batch(world)
    world.act("forger", BALANCE, "open", *theirs.activation(0, issuer))
    assert refused(world, a_drawdown(theirs, 0, 9, declarations=ours)) is not None
    assert refused(world, a_drawdown(theirs, 0, 9, declarations=ours), by="forger") is not None
    unknown = Batch(world, by="forger", entries=[forged[0][:17] + bytes(32), forged[1]], ends=(1, 1, 2, 2))
    statement = unknown.activation(0, secrets.token_bytes(32))
    assert world.refusal("forger", BALANCE, "open", *statement) is not None


def test_dirty_bits_of_a_drawdown_are_refused(world, wide):
    """The contract hashes call data as they stand: two forms of one drawdown would be two sets."""
    data = world.call_data(BALANCE, "draw", [a_drawdown(wide, 0, 70)])
    for field in (1, 3, 4):
        at = 4 + 64 + 32 * field
        bad = data[:at] + b"\1" + data[at + 1 :]
        with pytest.raises(CallReverted):
            world.chain.call(world.addresses[BALANCE], bad, world.address("anchorer"))
    world.chain.call(world.addresses[BALANCE], data, world.address("anchorer"))


def test_unknown_status_is_reached_by_nobody(world):
    batch = Batch(world)
    for person in ("anchorer", "other_anchorer", "office", "authority", "all_roles"):
        for place in (0, 9):
            for status in range(9, 15):
                change = [(0, (status + 1) << 4 * place)]
                assert world.refusal(person, "TraceLedger", "changeStatuses", batch.key, change, DIGEST) is not None


def test_issuer_lifts_no_suspension_during_a_pause(world):
    batch = Batch(world)
    batch.change(0, DocumentStatus.SUSPENDED, by="anchorer")
    lift = ("anchorer", "TraceLedger", "changeStatuses", batch.key, [(0, 1)], DIGEST)
    world.act("authority", "TraceLedger", "pause")
    try:
        assert world.refusal(*lift).error == "TraceLedgerPaused"
    finally:
        world.act("authority", "TraceLedger", "resume")
    assert world.refusal(*lift) is None


# ---- an authority that would hide what it did


def test_two_changes_in_one_block_are_both_listed(governed):  # noqa: F811
    """Made by one transaction: the first cannot be hidden behind the second."""
    known = secrets.token_bytes(32)
    terms = [(ORIGIN, COFFEE << step, MARCH, DECEMBER) for step in (0, 1)]
    accreditation = governed.addresses["Accreditation"]
    calls = [governed.call_data("Accreditation", "accredit", known, *one) for one in terms]
    executed = [governed.call_data("AccessManager", "execute", accreditation, call) for call in calls]
    governed.manage("authority", "multicall", executed)
    assert governed.ask("Accreditation", "versionCount", known) == 2
    versions = [governed.ask("Accreditation", "version", known, number) for number in (0, 1)]
    assert [version[0][1] for version in versions] == [COFFEE, COFFEE << 1]
    assert versions[0][1] == versions[1][1], "in one second"
