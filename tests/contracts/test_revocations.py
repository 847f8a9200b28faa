"""Revocations of records wherever they stand: published by proof, counted from the time of the batch that has ended."""

import secrets

import pytest

from backend.domain.evidence import Tree, leaf_hash
from backend.domain.ledger import DocumentStatus, batch_key

REVOCATIONS = "Revocations"
DIGEST = b"\x2a" * 32
ACTIVE, SUSPENDED, REVOKED, SUPERSEDED = DocumentStatus


def an_entry(kind=1):
    return bytes([kind]) + (100).to_bytes(16, "big") + secrets.token_bytes(32)


class Batch:
    """Entries of documents, the last one a declaration, or as ``ends`` have it; anchored by somebody."""

    def __init__(self, world, entries, by="anchorer", ends=None):
        self.world, self.by = world, by
        self.entries = [*entries, an_entry(3), an_entry(4)]
        self.tree, size = Tree(self.entries), len(self.entries)
        world.act(by, "TraceLedger", "anchor", self.tree.root, *(ends or (size - 2, size - 2, size - 1)), size)
        self.key = world.batch_key(by, self.tree.root)
        self.time = world.ask("TraceLedger", "batchOf", self.key)[0]

    def change(self, leaf_index, status, by=None, function="changeStatuses"):
        changes = [(leaf_index // 64, (status + 1) << 4 * (leaf_index % 64))]
        return self.world.act(by or self.by, "TraceLedger", function, self.key, changes, DIGEST)

    def publication(self, leaf_index=0, **other):
        parts = {"key": self.key, "entry": self.entries[leaf_index], "path": self.tree.proof(leaf_index).path} | other
        return parts["key"], leaf_index, parts["entry"], list(parts["path"])


def published(world, entry):
    """Status and since; (0, 0) where nothing is published."""
    return world.ask(REVOCATIONS, "revocationOf", leaf_hash(entry))[:2]


def error(world, batch, leaf_index=0, by="stranger", **other):
    found = world.refusal(by, REVOCATIONS, "publish", *batch.publication(leaf_index, **other))
    return found and found.error


def wait(world):
    """Let the chain's clock go on, so that the next batch has a later time."""
    before = world.chain.head().time
    while world.chain.head().time <= before:
        world.act("stranger", "TraceLedger", "isPaused")


@pytest.mark.parametrize("status", [REVOKED, SUPERSEDED])
def test_end_is_published_by_anybody(world, status):
    entry = an_entry()
    batch = Batch(world, [entry])
    assert error(world, batch) == "RevocationsNotEnded"
    batch.change(0, status)
    assert published(world, entry) == (0, 0)
    world.act("stranger", REVOCATIONS, "publish", *batch.publication())
    assert published(world, entry) == (status, batch.time)


def test_each_anchorers_word_is_kept_by_itself(world):
    """A copy that was anchored and revoked first must not keep its owner's word from being heard."""
    entry = an_entry()
    copied = Batch(world, [entry], "other_anchorer")
    wait(world)
    own = Batch(world, [entry])
    numbers = [world.ask("TraceLedger", "agentOf", world.address(one.by))[1] for one in (copied, own)]
    keys = [batch_key(number, leaf_hash(entry)) for number in numbers]

    def since():
        return [world.ask(REVOCATIONS, "revocationOf", key)[1] for key in (leaf_hash(entry), *keys)]

    copied.change(0, REVOKED)
    world.act("stranger", REVOCATIONS, "publish", *copied.publication())
    assert since() == [copied.time, copied.time, 0]
    own.change(0, SUPERSEDED)
    world.act("stranger", REVOCATIONS, "publish", *own.publication())
    assert since() == [copied.time, copied.time, own.time]
    assert published(world, entry) == (REVOKED, copied.time)
    assert {error(world, one) for one in (copied, own)} == {"RevocationsKnown"}


@pytest.mark.parametrize("status", [ACTIVE, SUSPENDED])
@pytest.mark.parametrize("by", ["anchorer", "authority"])
def test_document_not_ended_is_refused(world, status, by):
    batch = Batch(world, [an_entry()])
    batch.change(0, SUSPENDED, by)
    if status is ACTIVE:
        batch.change(0, ACTIVE, by)
    assert error(world, batch, by="anchorer") == "RevocationsNotEnded"


def test_authoritys_revocation_is_published_too(world):
    entry = an_entry()
    batch = Batch(world, [entry], "other_anchorer")
    batch.change(0, REVOKED, "authority", "revokeDocuments")
    world.act("stranger", REVOCATIONS, "publish", *batch.publication())
    assert published(world, entry) == (REVOKED, batch.time)


def test_revocation_under_suspension_is_published(world):
    """The authority's own bit covers the status that the issuer left; the end shows through."""
    batch = Batch(world, [an_entry()])
    batch.change(0, SUSPENDED, "authority")
    batch.change(0, REVOKED)
    assert error(world, batch) is None


def test_publication_goes_on_during_pause(world):
    batch = Batch(world, [an_entry()])
    batch.change(0, REVOKED)
    world.act("authority", "TraceLedger", "pause")
    try:
        assert error(world, batch) is None
    finally:
        world.act("authority", "TraceLedger", "resume")


def test_copy_anchored_later_ends_nothing_earlier(world):
    """Whoever copies a certificate and revokes the copy reaches back to his own batch only."""
    entry = an_entry()
    original = Batch(world, [entry])
    wait(world)
    copy = Batch(world, [entry], "other_anchorer")
    copy.change(0, REVOKED)
    world.act("other_anchorer", REVOCATIONS, "publish", *copy.publication())
    assert published(world, entry) == (REVOKED, copy.time)
    assert original.time < copy.time


@pytest.mark.parametrize("first_published", ["original", "copy"])
def test_earliest_end_counts_in_either_order(world, first_published):
    entry = an_entry()
    original = Batch(world, [entry])
    wait(world)
    copy = Batch(world, [entry], "other_anchorer")
    for batch in (original, copy):
        batch.change(0, REVOKED)
    order = [original, copy] if first_published == "original" else [copy, original]
    for batch in order:
        world.act("stranger", REVOCATIONS, "publish", *batch.publication())
    assert published(world, entry) == (REVOKED, original.time)
    assert {error(world, batch) for batch in order} == {"RevocationsKnown"}


def test_same_record_twice_in_batch_is_known(world):
    entry = an_entry()
    batch = Batch(world, [entry, entry])
    batch.change(1, REVOKED)
    world.act("stranger", REVOCATIONS, "publish", *batch.publication(1))
    assert published(world, entry) == (REVOKED, batch.time)
    batch.change(0, REVOKED)
    assert error(world, batch, 0) == "RevocationsKnown"


def test_what_is_not_there_is_refused(world):
    batch, other = Batch(world, [an_entry(), an_entry()]), Batch(world, [an_entry()], "other_anchorer")
    batch.change(0, REVOKED)
    wrong = [
        {"entry": an_entry()},
        {"entry": batch.entries[1]},
        {"path": batch.tree.proof(1).path},
        {"path": batch.tree.proof(0).path[:-1]},
        {"path": (*batch.tree.proof(0).path, bytes(32))},
        {"key": other.key},
        {"key": world.batch_key("other_anchorer", batch.tree.root)},
        {"key": bytes(32)},
        {"key": batch.tree.root},
    ]
    assert {error(world, batch, **one) for one in wrong} == {"RevocationsNotIncluded"}
    assert error(world, batch) is None


def test_declaration_is_no_document(world):
    """Its numbers mean other things: what is Revoked of a document is Examination of a declaration."""
    batch = Batch(world, [an_entry()])
    batch.change(1, 2, "office")
    assert error(world, batch, 1) == "RevocationsNotIncluded"
    assert error(world, batch, 2) == "RevocationsNotEnded"


def test_event_names_record_and_place(world):
    batch = Batch(world, [an_entry()])
    batch.change(0, REVOKED)
    (log,) = world.act("stranger", REVOCATIONS, "publish", *batch.publication()).logs
    assert log.topics[1:] == (leaf_hash(batch.entries[0]), batch.key)
    assert [int.from_bytes(log.data[at : at + 32], "big") for at in (0, 32, 64)] == [0, REVOKED, batch.time]
