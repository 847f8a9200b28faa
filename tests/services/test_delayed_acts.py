"""The authority's acts are announced where the ledger asks for it, done when due, and cancelled by the guardian."""

from dataclasses import replace
from datetime import timedelta

import pytest

from backend.domain.errors import Conflict
from backend.domain.ledger import Accredit, Announce
from backend.services import accreditation
from backend.services.anchoring import is_under_way, run_once
from backend.services.anchoring.requests import CANCELLED, EXPIRES

DAY = timedelta(days=1)


@pytest.fixture
def careful(installation):
    """A ledger that wants a day's notice."""
    installation.ledger._state.delay = DAY
    return installation


def asked(installation):
    return accreditation.accredit(
        installation.ctx, installation.authority, installation.chamber.organisation.id, chapters=[94]
    )


def chapters(installation):
    with installation.ctx.work(reading=True) as work:
        key = work.keys.active(installation.chamber.organisation).thumbprint
    return installation.ledger.accreditation(bytes.fromhex(key)).chapters


def kept(installation, change):
    with installation.ctx.work(reading=True) as work:
        return work.accreditation_changes.get(change.id)


def changes(installation):
    return [type(change) for _, change in installation.ledger.mined("authority")]


def test_change_is_announced_and_done_when_due(careful):
    before = chapters(careful)
    change = asked(careful)
    careful.settle()
    assert changes(careful).count(Announce) == 1
    assert chapters(careful) == before
    due = kept(careful, change).due_at
    assert due - careful.clock.time > timedelta(hours=23)
    assert not is_under_way(careful.ctx), "what waits for a day keeps nobody busy"
    (standing,) = [
        s for s in accreditation.standings(careful.ctx) if s.organisation.id == careful.chamber.organisation.id
    ]
    assert standing.announced.due_at == due
    careful.clock.pass_by(DAY - timedelta(minutes=1))
    run_once(careful.ctx)
    assert chapters(careful) == before
    careful.clock.pass_by(timedelta(minutes=2))
    careful.settle()
    assert chapters(careful) == 1 << 94
    assert changes(careful).count(Accredit) == 6, "five of the installation, and this one"


def test_the_guardian_cancels_what_was_announced(careful):
    before, change = chapters(careful), asked(careful)
    careful.settle()
    accreditation.cancel(careful.ctx, change.id)
    careful.settle()
    assert kept(careful, change).ended == CANCELLED
    assert len(careful.ledger.mined("guardian")) == 1
    careful.clock.pass_by(2 * DAY)
    careful.settle()
    assert chapters(careful) == before
    with pytest.raises(Conflict):
        accreditation.cancel(careful.ctx, change.id)


def test_change_never_announced_is_cancelled_without_ledger(careful):
    change = asked(careful)
    accreditation.cancel(careful.ctx, change.id)
    careful.settle()
    assert kept(careful, change).ended == CANCELLED
    assert Announce not in changes(careful)


def test_guardian_with_own_wallet_is_obeyed(careful):
    change = asked(careful)
    careful.settle()
    careful.ledger._state.announced.clear()
    careful.clock.pass_by(2 * DAY)
    careful.settle()
    assert kept(careful, change).ended == CANCELLED


def test_an_announcement_that_expired_is_made_anew(careful):
    change = asked(careful)
    careful.settle()
    careful.ledger._state.announced.clear()
    careful.clock.pass_by(DAY + EXPIRES + timedelta(minutes=1))
    careful.settle()
    assert kept(careful, change).ended is None
    assert changes(careful).count(Announce) == 2


def test_a_suspension_takes_trust_away_at_once(careful):
    accreditation.suspend(careful.ctx, careful.authority, careful.chamber.organisation.id)
    careful.settle()
    with careful.ctx.work(reading=True) as work:
        key = work.keys.active(careful.chamber.organisation).thumbprint
    assert careful.ledger.accreditation(bytes.fromhex(key)).suspended_since is not None


class Killed(Exception):
    pass


@pytest.mark.parametrize(
    "point",
    ["announcement-signed", "announcement-kept", "announcement-sent", "change-signed", "change-kept", "change-sent"],
)
def test_crash_announces_and_does_it_once(careful, point):
    change, crashed = asked(careful), []

    def crash(reached):
        if reached == point and not crashed:
            crashed.append(point)
            raise Killed(point)

    calm, careful.ctx = careful.ctx, replace(careful.ctx, reached=crash)
    for _ in range(4):
        try:
            run_once(careful.ctx)
        except Killed:
            continue
    careful.clock.pass_by(2 * DAY)
    for _ in range(4):
        try:
            run_once(careful.ctx)
        except Killed:
            continue
    careful.ctx = calm
    careful.settle()
    assert crashed
    assert changes(careful).count(Announce) == 1
    assert chapters(careful) == 1 << 94
    assert kept(careful, change).ended is None


@pytest.mark.parametrize("point", ["cancel-signed", "cancel-kept", "cancel-sent"])
def test_a_crash_while_cancelling_cancels(careful, point):
    change, crashed = asked(careful), []
    careful.settle()
    accreditation.cancel(careful.ctx, change.id)

    def crash(reached):
        if reached == point and not crashed:
            crashed.append(point)
            raise Killed(point)

    calm, careful.ctx = careful.ctx, replace(careful.ctx, reached=crash)
    for _ in range(3):
        try:
            run_once(careful.ctx)
        except Killed:
            continue
    careful.ctx = calm
    careful.settle()
    assert crashed
    assert kept(careful, change).ended == CANCELLED
