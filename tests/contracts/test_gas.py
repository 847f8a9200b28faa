"""What the ledger's acts may cost at most; `make bench` tells what they do cost, and what the same costs elsewhere."""

import secrets

import pytest

from tests.contracts.test_trace_ledger import DIGEST, fields, words

NO_ZERO_BYTES = b"\x5a" * 32


@pytest.fixture(scope="module")
def anchored(world):
    """The key of a large batch of declarations, and the gas that its anchoring took."""
    world.act("anchorer", "TraceLedger", "anchor", secrets.token_bytes(32), 0, 0, 1, 1)
    root = secrets.token_bytes(32)
    used = world.act("anchorer", "TraceLedger", "anchor", root, 0, 0, 1024, 1024).gas_used
    return world.batch_key("anchorer", root), used


def decide(world, root, statuses, digest=NO_ZERO_BYTES):
    return world.act("office", "TraceLedger", "changeStatuses", root, words(statuses), digest).gas_used


def test_anchoring_batch_stays_within_gas_limit(anchored):
    assert anchored[1] <= 55_200


def test_batch_for_an_office_stays_within_limits(world):
    """The same limits as without one, in all its parts."""
    root = secrets.token_bytes(32)
    office = world.ask("TraceLedger", "agentOf", world.address("office"))[1]
    world.act("anchorer", "TraceLedger", "anchor", secrets.token_bytes(32), 0, 0, 1, 1)
    anchored = world.act("anchorer", "TraceLedger", "anchorFor", root, fields(office, (0, 0, 1024), 1024)).gas_used
    key = world.batch_key("anchorer", root)
    assert anchored <= 55_200
    assert decide(world, key, {0: 2}) <= 55_200
    assert decide(world, key, {1: 4}) <= 38_000


@pytest.mark.parametrize("leaf_index", [0, 127, 640, 1023])
def test_one_decision_stays_within_gas_limit(world, anchored, leaf_index):
    root, _ = anchored
    assert decide(world, root, {leaf_index: 2}) <= 55_200
    assert decide(world, root, {leaf_index ^ 1: 4}) <= 38_000
    assert decide(world, root, {leaf_index: 4}) <= 38_000


def test_whole_life_in_bulk_stays_within_limit(world):
    root = secrets.token_bytes(32)
    total = world.act("anchorer", "TraceLedger", "anchor", root, 0, 0, 1024, 1024).gas_used
    for status in (2, 4):
        total += decide(world, world.batch_key("anchorer", root), dict.fromkeys(range(1024), status), DIGEST)
    assert total / 1024 <= 610


def test_suspending_key_stays_within_limit(world):
    key = secrets.token_bytes(32)
    world.act("authority", "Accreditation", "accredit", key, 2, 1, 1, 2**34 - 1)
    assert world.act("authority", "Accreditation", "suspend", key, 5).gas_used <= 73_000


def test_accrediting_and_rotating_stay_within_limits(world):
    key, terms = secrets.token_bytes(32), (0xFFFF, (1 << 100) - 1, 1, 2**34 - 1)
    assert world.act("authority", "Accreditation", "accredit", key, *terms).gas_used <= 115_000
    for _ in range(3):
        assert world.act("authority", "Accreditation", "accredit", key, *terms).gas_used <= 78_000
    assert world.act("authority", "Accreditation", "rotate", key, secrets.token_bytes(32)).gas_used <= 190_000
