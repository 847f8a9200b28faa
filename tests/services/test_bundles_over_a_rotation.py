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
    """The installation's clock as blocks carry it; a bundle keeps no more than that."""

    def __init__(self, clock):
        self._clock = clock

    @property
    def time(self):
        return self._clock.time.replace(microsecond=0)


@pytest.fixture(autouse=True)
def blocks_in_whole_seconds(installation):
    installation.ledger.clock = WholeSeconds(installation.clock)


def file_of(installation, record):
    return bundles.text(bundle_of(installation.ctx, installation.record(record.id))).encode()


def rotate(installation):
    keys.rotate(installation.ctx, installation.authority, installation.chamber.organisation.id)
    installation.clock.pass_by(timedelta(seconds=2))
    installation.settle()
    installation.clock.pass_by(timedelta(seconds=2))


def settled(installation, **changes):
    record = installation.issue_certificate(**changes)
    installation.settle()
    return record


def by_the_ledger(installation, content):
    return verdict_on_bundle(installation.ctx, strict_json.loads(content)).conclusion


def by_its_snapshot(installation, content):
    moment = installation.ctx.now()
    read = bundle_verification.read(content, moment)
    assert not isinstance(read, Verdict), read
    source = bundle_verification.snapshot_facts(read, trust_of(installation.ctx, "Operator"), moment, DAY)
    return bundle_verification.verdict_on(read, source, moment)


def test_bundle_from_before_a_rotation_is_still_valid(installation):
    content = file_of(installation, settled(installation))
    rotate(installation)
    assert by_the_ledger(installation, content) is Conclusion.VALID
    assert by_its_snapshot(installation, content).conclusion is Conclusion.VALID


def test_bundle_after_rotation_of_earlier_record_is_valid(installation):
    record = settled(installation)
    before = file_of(installation, record)
    rotate(installation)
    after = file_of(installation, record)
    assert after != before
    assert by_the_ledger(installation, after) is Conclusion.VALID
    assert by_its_snapshot(installation, after).conclusion is Conclusion.VALID


def test_bundle_of_old_keys_later_record_is_invalid(installation):
    with installation.ctx.work(reading=True) as work:
        old = work.keys.active(installation.chamber.organisation)
    rotate(installation)
    with installation.ctx.work() as work:  # a thief who kept a copy of the old key
        new = work.keys.active(installation.chamber.organisation)
        kept = work.keys.find(old.thumbprint)
        new.is_active, kept.is_active, kept.successor = False, True, None
        work.commit()
    installation.ledger.down = True  # with the ledger at hand the server would not sign
    late = installation.issue_certificate(certificateNumber="LATE-1")
    installation.ledger.down = False
    installation.settle()
    content = file_of(installation, late)
    assert by_the_ledger(installation, content) is Conclusion.INVALID
    assert by_its_snapshot(installation, content).conclusion is Conclusion.INVALID
