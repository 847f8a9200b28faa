"""What the ledger's acts may cost at most; `make bench` tells what they do cost, and what the same costs elsewhere."""

import secrets

import pytest

from tests.contracts.test_trace_ledger import DIGEST, words

NO_ZERO_BYTES = b"\x5a" * 32


@pytest.fixture(scope="module")
def anchored(world):
    """A root of a large batch of declarations, and the gas that its anchoring took."""
    world.act("anchorer", "TraceLedger", "anchor", secrets.token_bytes(32), 0, 0, 1, 1)
    root = secrets.token_bytes(32)
    return root, world.act("anchorer", "TraceLedger", "anchor", root, 0, 0, 1024, 1024).gas_used


def decide(world, root, statuses, digest=NO_ZERO_BYTES):
    return world.act("office", "TraceLedger", "changeStatuses", root, words(statuses), digest).gas_used


def test_anchoring_batch_stays_within_gas_limit(anchored):
    assert anchored[1] <= 55_000


@pytest.mark.parametrize("leaf_index", [0, 127, 640, 1023])
def test_one_decision_stays_within_gas_limit(world, anchored, leaf_index):
    root, _ = anchored
    assert decide(world, root, {leaf_index: 2}) <= 55_000
    assert decide(world, root, {leaf_index ^ 1: 4}) <= 38_000
    assert decide(world, root, {leaf_index: 4}) <= 38_000


def test_whole_life_in_bulk_stays_within_limit(world):
    root = secrets.token_bytes(32)
    total = world.act("anchorer", "TraceLedger", "anchor", root, 0, 0, 1024, 1024).gas_used
    for status in (2, 4):
        total += decide(world, root, dict.fromkeys(range(1024), status), DIGEST)
    assert total / 1024 <= 610
