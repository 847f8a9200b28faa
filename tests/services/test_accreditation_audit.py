"""The audit compares every version, suspension and rotation of every key with the changes that we asked for."""

from dataclasses import replace
from datetime import timedelta

import pytest

from backend.domain.ledger import Accredit, RotateKey, SuspendAccreditation
from backend.domain.signature_terms import KeyEvent, Suspension
from backend.services import accreditation, accreditation_audit, keys
from backend.services.anchoring import reanchor_all, run_once
from backend.services.audit import audit
from tests.helpers.fakes import FakeLedger
from tests.services.test_anchoring_faults import in_database

STRANGER = b"\x09" * 32


def names(installation):
    return sorted({found.name for found in audit(installation.ctx).discrepancies})


def settle(installation):
    installation.settle()
    installation.clock.pass_by(timedelta(minutes=1))


def chamber_key(installation):
    with installation.ctx.work(reading=True) as work:
        return work.keys.all(installation.chamber.organisation)[-1].thumbprint


@pytest.fixture
def eventful(installation):
    """A chamber whose key was suspended twice, reinstated, narrowed and replaced."""
    ctx, authority, chamber = installation.ctx, installation.authority, installation.chamber.organisation.id
    settle(installation)
    for change in (
        lambda: accreditation.suspend(ctx, authority, chamber),
        lambda: accreditation.reinstate(ctx, authority, chamber),
        lambda: accreditation.accredit(ctx, authority, chamber, [61, 62]),
        lambda: accreditation.suspend(ctx, authority, chamber),
        lambda: accreditation.reinstate(ctx, authority, chamber),
        lambda: keys.rotate(ctx, authority, chamber),
    ):
        change()
        assert names(installation) == []
        settle(installation)
    return installation


def test_every_version_agrees_after_an_eventful_life(eventful):
    assert names(eventful) == []
    history = eventful.ledger.history(bytes.fromhex(chamber_key(eventful)), 0, 100)
    lived = (
        KeyEvent.SUSPENDED,
        KeyEvent.REINSTATED,
        KeyEvent.ACCREDITED,
        KeyEvent.SUSPENDED,
        KeyEvent.REINSTATED,
        KeyEvent.ROTATED,
    )
    assert history.events() == (KeyEvent.ACCREDITED, *lived)
    successor = eventful.ledger.history(history.successor, 0, 100)
    assert successor.events() == (KeyEvent.SUCCEEDED,)


def test_versions_are_read_by_portions(eventful, monkeypatch):
    monkeypatch.setattr(accreditation_audit, "VERSIONS_AT_ONCE", 2)
    asked = []
    real = FakeLedger.history
    monkeypatch.setattr(FakeLedger, "history", lambda self, key, first, n: asked.append(n) or real(self, key, first, n))
    assert names(eventful) == []
    assert max(asked) == 2


def test_what_is_under_way_is_no_difference(eventful):
    ctx, authority, chamber = eventful.ctx, eventful.authority, eventful.chamber.organisation.id
    eventful.with_confirmations(5)
    accreditation.suspend(ctx, authority, chamber)
    keys.rotate(ctx, authority, eventful.laboratory.organisation.id)
    for _ in range(3):
        assert names(eventful) == []
        run_once(ctx)
    with ctx.work(reading=True) as work:
        open_ones = [t for t in work.outbox.pending() if t.signer == "authority"]
    assert open_ones
    assert names(eventful) == []


# On the ledger only: each act of another hand with the authority's account


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (lambda key, terms: Accredit(key, replace(terms, chapters=1)), {"accreditation-unknown-to-database"}),
        (lambda key, terms: SuspendAccreditation(key, terms.valid_from), {"accreditation-unknown-to-database"}),
        (lambda key, terms: Accredit(STRANGER, terms), {"key-unknown-to-database"}),
        (
            lambda key, terms: RotateKey(key, STRANGER),
            {"accreditation-unknown-to-database", "key-unknown-to-database", "successor-differs"},
        ),
    ],
)
def test_act_by_another_hand_is_found(installation, act, expected):
    settle(installation)
    with installation.ctx.work(reading=True) as work:
        key = bytes.fromhex(work.keys.active(installation.chamber.organisation).thumbprint)
    terms = installation.ledger.accreditation(key)
    assert installation.ledger.act_as("authority", act(key, replace(terms, suspended_since=None)))
    assert set(names(installation)) == expected


def test_suspension_lifted_by_another_hand_is_found(installation):
    settle(installation)
    accreditation.suspend(installation.ctx, installation.authority, installation.chamber.organisation.id)
    settle(installation)
    assert names(installation) == []
    installation.ledger.act_as("authority", SuspendAccreditation(bytes.fromhex(chamber_key(installation)), None))
    assert names(installation) == ["accreditation-unknown-to-database"]


# In the database only, or there otherwise


@pytest.mark.parametrize("operation", ["accredit", "suspend", "reinstate", "rotate"])
def test_change_deleted_from_the_database_is_found(eventful, operation):
    key = chamber_key(eventful)
    statement = "DELETE FROM accreditation_change WHERE operation = :operation AND thumbprint = :key"
    in_database(eventful, statement, operation=operation, key=key)
    expected = {"accreditation-unknown-to-database"}
    if operation == "rotate":
        expected |= {"successor-differs", "predecessor-differs"}
    assert set(names(eventful)) == expected


@pytest.mark.parametrize(
    ("operation", "terms"),
    [
        ("accredit", '{"kinds": 1, "chapters": 1, "from": 1500000000, "until": 2500000000}'),
        ("suspend", '{"since": 1500000000}'),
    ],
)
def test_terms_altered_in_the_database_are_found(eventful, operation, terms):
    statement = "UPDATE accreditation_change SET terms = :terms WHERE operation = :operation AND thumbprint = :key"
    in_database(eventful, statement, terms=terms, operation=operation, key=chamber_key(eventful))
    assert set(names(eventful)) == {"accreditation-differs"}


def test_recorded_time_altered_in_the_database_is_found(eventful):
    with eventful.ctx.work() as work:
        change = next(c for c in work.accreditation_changes.of_key(chamber_key(eventful)) if c.operation == "suspend")
        change.transaction.block_time += timedelta(seconds=7)
        work.commit()
    assert names(eventful) == ["accreditation-not-on-ledger", "accreditation-unknown-to-database"]


def test_successor_altered_in_the_database_is_found(eventful):
    in_database(eventful, "UPDATE signing_key SET successor = :other WHERE successor IS NOT NULL", other=STRANGER.hex())
    assert names(eventful) == ["successor-differs"]


# Lost or altered by the ledger


@pytest.mark.parametrize("number", [1, 2, 3, 6])
def test_version_lost_by_the_ledger_is_found(eventful, number):
    del eventful.ledger._state.history[bytes.fromhex(chamber_key(eventful))][number]
    assert "accreditation-not-on-ledger" in names(eventful)


def test_key_lost_by_the_ledger_is_found(eventful):
    key = bytes.fromhex(chamber_key(eventful))
    del eventful.ledger._state.history[key], eventful.ledger._state.accreditations[key]
    assert "accreditation-not-on-ledger" in names(eventful)


@pytest.mark.parametrize(
    ("alter", "expected"),
    [
        (lambda lifted: lifted[:1], {"suspension-not-on-ledger"}),
        (lambda lifted: [*lifted, Suspension(lifted[0].since)], {"suspension-unknown-to-database"}),
        (
            lambda lifted: [lifted[0], replace(lifted[1], lifted=lifted[1].lifted + timedelta(seconds=1))],
            {"suspension-not-on-ledger", "suspension-unknown-to-database"},
        ),
    ],
)
def test_altered_interval_on_the_ledger_is_found(eventful, alter, expected):
    key = bytes.fromhex(chamber_key(eventful))
    eventful.ledger._state.suspensions[key] = alter(eventful.ledger._state.suspensions[key])
    assert set(names(eventful)) == expected


def test_altered_rotation_on_the_ledger_is_found(eventful):
    eventful.ledger._state.successors.clear()
    assert {"successor-differs", "predecessor-differs"} <= set(names(eventful))


# What is no difference


def test_acts_of_one_second_are_told_apart(installation):
    ctx, authority, chamber = installation.ctx, installation.authority, installation.chamber.organisation.id
    settle(installation)
    installation.ledger.holding = True
    accreditation.suspend(ctx, authority, chamber)
    accreditation.reinstate(ctx, authority, chamber)
    accreditation.accredit(ctx, authority, chamber, [1], *_term(installation))
    for _ in range(4):
        run_once(ctx)
    installation.ledger.holding = False
    installation.ledger.mine()
    settle(installation)
    history = installation.ledger.history(bytes.fromhex(chamber_key(installation)), 0, 100)
    assert len({version.recorded_at for version in history.versions[1:]}) == 1
    assert history.count == 4
    assert names(installation) == []
    installation.ledger._state.history[bytes.fromhex(chamber_key(installation))].pop(2)
    assert "accreditation-differs" in names(installation)


def _term(installation):
    now = installation.clock.time
    return now - timedelta(days=1), now + timedelta(days=100)


def test_new_ledger_agrees_after_everything_is_resent(eventful):
    eventful.ledger.reorganise(len(eventful.ledger._blocks) - 1)
    reanchor_all(eventful.ctx)
    settle(eventful)
    assert names(eventful) == []


def test_ledger_of_an_earlier_version_is_not_compared(eventful):
    eventful.ledger._state.has_keys = False
    assert not {name for name in names(eventful) if "accreditation" in name}
