"""Answers that are kept are never older than the newest block: of contracts, and of the file system."""

import os
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from backend.adapters.files import FolderFiles
from backend.adapters.ledger.chain import Block, FoundLog, Log
from backend.adapters.ledger.evm import LOG_BLOCKS, MOST_SUBJECTS, ContractAnswers, EvmLedger
from backend.domain.errors import Invalid
from backend.domain.evidence import Segments
from backend.domain.ledger import Accredit, Accreditation, AnchorBatch, ChangeStatuses, SuspendAccreditation
from backend.store.encryption import DataKeys

ROOT, OTHER = b"\x01" * 32, b"\x02" * 32
NOW = datetime.now(UTC).replace(microsecond=0)


class Scripted:
    """A chain whose blocks and events a test writes."""

    def __init__(self):
        self.blocks, self.events, self.asked = [], {}, []
        self.grow()

    def grow(self, *events):
        number = len(self.blocks)
        self.blocks.append(Block(number, secrets.token_bytes(32), b"", NOW))
        self.events[number] = events

    def head(self):
        return self.blocks[-1]

    def block(self, number):
        return self.blocks[number] if number < len(self.blocks) else None

    def logs(self, first, last, address, topics=()):
        self.asked.append((first, last))
        return [
            FoundLog(Log(address, topics, data), number, b"", b"", 0, 0)
            for number in range(first, last + 1)
            for topics, data in self.events.get(number, ())
        ]


@pytest.fixture
def chain():
    return Scripted()


@pytest.fixture
def ask(chain):
    """Asks about a root; a value that was not kept is a new one each time."""
    answers, fresh = ContractAnswers(chain, ["0xledger"]), iter(range(1, 10**9))
    return lambda subject=ROOT: answers.ask(subject, "status", lambda: next(fresh))


def test_answer_is_kept_over_blocks_of_others(chain, ask):
    first = ask()
    chain.grow(((b"topic", OTHER), b""))
    assert ask() == first


@pytest.mark.parametrize("event", [((b"topic", ROOT), b""), ((b"topic",), OTHER + ROOT)], ids=["topic", "data"])
def test_event_about_the_subject_ends_its_answer(chain, ask, event):
    first, other = ask(), ask(OTHER + b"")
    chain.grow(event)
    assert ask() != first
    assert (ask(OTHER) == other) == (OTHER not in event[1])


def test_event_in_a_block_between_is_seen(chain, ask):
    first = ask()
    chain.grow(((b"topic", ROOT), b""))
    chain.grow()
    assert ask() != first


def test_reorganised_chain_keeps_no_answer(chain, ask):
    chain.grow()
    first = ask()
    chain.blocks[-1] = replace(chain.blocks[-1], block_hash=b"another")
    assert ask() != first


def test_answer_across_a_block_is_not_kept(chain):
    answers = ContractAnswers(chain, ["0xledger"])
    answers.ask(ROOT, "status", lambda: chain.grow() or 1)
    assert answers.ask(ROOT, "status", lambda: 2) == 2


def test_long_silence_forgets_instead_of_reading(chain, ask):
    first = ask()
    for _ in range(LOG_BLOCKS + 1):
        chain.grow()
    assert ask() != first
    assert chain.asked == []


def test_subjects_kept_are_bounded(chain):
    answers = ContractAnswers(chain, ["0xledger"])
    for number in range(MOST_SUBJECTS + 10):
        answers.ask(number.to_bytes(32, "big"), "status", lambda: 1)
    assert len(answers._kept) == MOST_SUBJECTS


def test_every_ledger_change_is_told_at_once(world):
    """On the real contracts: a status, an accreditation and its suspension, each asked before and after."""
    ledger, root, key = world.ledger, secrets.token_bytes(32), secrets.token_bytes(32)
    batch = ledger.batch_key(root)
    terms = Accreditation(1, 1, NOW - timedelta(days=1), NOW + timedelta(days=1))
    assert (ledger.batch(batch), ledger.accreditation(key)) == (None, None)
    world.do(AnchorBatch(root, Segments(1, 2, 3, 4)), "anchorer")
    assert ledger.batch(batch) is not None
    assert ledger.status(batch, 0) == 0
    world.do(ChangeStatuses(batch, ((0, 2),), bytes(32)), "anchorer")
    assert ledger.status(batch, 0) == 2
    world.do(Accredit(key, terms), "authority")
    assert ledger.accreditation(key) == terms
    world.do(SuspendAccreditation(key, NOW), "authority")
    assert ledger.accreditation(key).suspended_since == NOW
    world.do(SuspendAccreditation(key, None), "authority")
    assert ledger.accreditation(key) == terms


@pytest.fixture
def files(tmp_path):
    return FolderFiles(tmp_path / "files", DataKeys(tmp_path / "record.keys"))


def test_intact_file_is_read_once(files, monkeypatch):
    digest = files.put(b"%PDF- one")
    assert files.is_intact(digest)
    monkeypatch.setattr(files, "get", lambda digest: pytest.fail("read again"))
    assert files.is_intact(digest)


def test_file_altered_behind_its_times_is_noticed(files):
    digest = files.put(b"%PDF- one")
    assert files.is_intact(digest)
    path = files._path(digest)
    before, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert files.is_intact(digest) is False


class Counting:
    """A chain that counts how often its newest block is asked for."""

    def __init__(self, chain):
        self.chain, self.heads = chain, 0

    def head(self):
        self.heads += 1
        return self.chain.head()

    def __getattr__(self, name):
        return getattr(self.chain, name)


def test_list_asks_for_the_newest_block_once(world):
    chain = Counting(world.chain)
    ledger = EvmLedger(chain, world.deployment, world.accounts)
    root, keys = secrets.token_bytes(32), [secrets.token_bytes(32) for _ in range(5)]
    world.do(AnchorBatch(root, Segments(1, 2, 3, 4)), "anchorer")

    batch = ledger.batch_key(root)

    def ask():
        return [ledger.batch(batch), ledger.status(batch, 0), *map(ledger.accreditation, keys), ledger.head()]

    apart = ask()
    chain.heads = 0
    assert ask() == apart
    assert chain.heads == len(apart)
    chain.heads = 0
    with ledger.at_one_block(), ledger.at_one_block():
        assert ask() == apart
    assert chain.heads == 1


def test_list_asks_once_about_a_batch(world, monkeypatch):
    ledger = EvmLedger(world.chain, world.deployment, world.accounts)
    root = secrets.token_bytes(32)
    batch = ledger.batch_key(root)
    asked, ask = [], ledger._answers.ask
    monkeypatch.setattr(ledger._answers, "ask", lambda *question: asked.append(question[:2]) or ask(*question))
    with ledger.at_one_block():
        assert ledger.batch(batch) is ledger.batch(batch) is None
    assert len(asked) == 1
    world.do(AnchorBatch(root, Segments(1, 2, 3, 4)), "anchorer")
    # What a list was told is not kept for the next one.
    with ledger.at_one_block():
        anchored = ledger.batch(batch)
        assert anchored is not None
        assert ledger.batch(batch) is anchored
    assert len(asked) == 2
    assert ledger.batch(batch) == anchored
    assert len(asked) == 3


def test_block_mined_meanwhile_counts_after_the_list(world):
    ledger = EvmLedger(world.chain, world.deployment, world.accounts)
    root = secrets.token_bytes(32)
    batch = ledger.batch_key(root)
    with ledger.at_one_block():
        before = ledger.head()
        assert ledger.batch(batch) is None
        world.do(AnchorBatch(root, Segments(1, 2, 3, 4)), "anchorer")
        assert ledger.head() == before
    assert ledger.head().number > before.number
    assert ledger.batch(batch) is not None


def test_list_that_fails_fixes_no_block(world):
    ledger = EvmLedger(world.chain, world.deployment, world.accounts)
    before = ledger.head()

    def cut_short():
        with ledger.at_one_block():
            ledger.head()
            ledger.batch(b"no root")

    with pytest.raises(Invalid):
        cut_short()
    world.do(AnchorBatch(secrets.token_bytes(32), Segments(1, 2, 3, 4)), "anchorer")
    assert ledger.head().number > before.number


def test_deleted_or_unknown_file_is_none(files):
    digest = files.put(b"%PDF- one")
    assert files.is_intact(digest)
    files.delete(digest)
    assert files.is_intact(digest) is None
    assert files.is_intact("../etc/passwd") is None
