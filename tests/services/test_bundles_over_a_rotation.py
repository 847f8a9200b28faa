"""An issuer's key gives way to another: the bundles made before it still verify, with the ledger and without."""

from datetime import timedelta

import pytest

from backend.domain import bundle as bundles
from backend.domain import bundle_verification, strict_json
from backend.domain.verdict import Conclusion, Verdict
from backend.services import keys
from backend.services.bundles import bundle_of, trust_of
from backend.services.verification import verdict_on_bundle

DAY = timedelta(days=1)


class WholeSeconds:
    """The house's clock as blocks carry it; a bundle keeps no more than that."""

    def __init__(self, clock):
        self._clock = clock

    @property
    def time(self):
        return self._clock.time.replace(microsecond=0)


@pytest.fixture(autouse=True)
def blocks_in_whole_seconds(house):
    house.ledger.clock = WholeSeconds(house.clock)


def file_of(house, record):
    return bundles.text(bundle_of(house.ctx, house.record(record.id))).encode()


def rotate(house):
    keys.rotate(house.ctx, house.authority, house.chamber.organisation.id)
    house.clock.pass_by(timedelta(seconds=2))
    house.settle()
    house.clock.pass_by(timedelta(seconds=2))


def settled(house, **changes):
    record = house.issue_certificate(**changes)
    house.settle()
    return record


def by_the_ledger(house, content):
    return verdict_on_bundle(house.ctx, strict_json.loads(content)).conclusion


def by_its_snapshot(house, content):
    moment = house.ctx.now()
    read = bundle_verification.read(content, moment)
    assert not isinstance(read, Verdict), read
    source = bundle_verification.facts_by_snapshot(read, trust_of(house.ctx, "Operator"), moment, DAY)
    return bundle_verification.verdict_on(read, source, moment)


def test_bundle_from_before_a_rotation_is_still_valid(house):
    content = file_of(house, settled(house))
    rotate(house)
    assert by_the_ledger(house, content) is Conclusion.VALID
    assert by_its_snapshot(house, content).conclusion is Conclusion.VALID


def test_bundle_after_rotation_of_earlier_record_is_valid(house):
    record = settled(house)
    before = file_of(house, record)
    rotate(house)
    after = file_of(house, record)
    assert after != before
    assert by_the_ledger(house, after) is Conclusion.VALID
    assert by_its_snapshot(house, after).conclusion is Conclusion.VALID


def test_bundle_of_old_keys_later_record_is_invalid(house):
    with house.ctx.work(reading=True) as work:
        old = work.keys.active(house.chamber.organisation)
    rotate(house)
    with house.ctx.work() as work:  # a thief who kept a copy of the old key
        new = work.keys.active(house.chamber.organisation)
        kept = work.keys.find(old.thumbprint)
        new.is_active, kept.is_active, kept.successor = False, True, None
        work.commit()
    content = file_of(house, settled(house, certificateNumber="LATE-1"))
    assert by_the_ledger(house, content) is Conclusion.INVALID
    assert by_its_snapshot(house, content).conclusion is Conclusion.INVALID
