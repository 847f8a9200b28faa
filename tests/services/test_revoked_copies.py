"""A record's standing is the record's: revoked, it is INVALID wherever its text is anchored again."""

from dataclasses import replace
from datetime import timedelta

import pytest

from backend.domain import bundle, sd_jwt, snapshot
from backend.domain.bundle import Bundle
from backend.domain.errors import Conflict
from backend.domain.evidence import Anchor, Evidence, InclusionProof, Segments, Tree, leaf_hash
from backend.domain.kinds import Kind
from backend.domain.ledger import (
    AnchorBatch,
    ChangeStatuses,
    DocumentStatus,
    LedgerRecord,
    PublishRevocation,
    batch_key,
)
from backend.domain.records import ALREADY_THERE
from backend.services import issuance
from backend.services.audit import audit
from backend.services.bundles import bundle_of
from backend.services.verification import evidence_of, verdict_on, verdict_on_bundle
from tests.helpers.builders import an_entry, outcomes
from tests.helpers.fakes import ANCHORERS, FakeLedger

LATER = timedelta(minutes=1)
REVOKED = int(DocumentStatus.REVOKED)
BESIDE = an_entry(Kind.INVOICE, "beside it").encode()


class Copy:
    """A record's text, anchored once more by some agent; ``times`` over in that batch."""

    def __init__(self, installation, found: Evidence, by="other_anchorer", times=1):
        self.ledger, self.by, self.found, self.times = installation.ledger, by, found, times
        entry = found.entry.encode()
        self.tree = Tree([entry] * times + [BESIDE])
        call = AnchorBatch(self.tree.root, Segments(times, times, times, times + 1))
        assert self.ledger.act_as(by, call)
        self.key = batch_key(ANCHORERS[by], self.tree.root)
        self.batch = self.ledger.batch(self.key)
        self.anchoring = next(self.ledger.anchorings(self.key))

    def evidence(self, leaf_index=0):
        head = self.ledger.head()
        anchor = Anchor(
            chain_id=head.chain_id,
            ledger=head.ledger_address,
            instance_id=head.instance_id,
            root=self.tree.root,
            transaction=self.anchoring.transaction_hash,
            block=self.anchoring.block_number,
            block_time=self.batch.anchored_at,
        )
        proof = InclusionProof(leaf_index, self.times + 1, self.tree.proof(leaf_index).path)
        return replace(self.found, proof=proof, anchor=anchor)

    def revoke(self, leaf_index=0):
        assert self.ledger.act_as(self.by, ChangeStatuses(self.key, ((leaf_index, REVOKED),), bytes(32), self.by))

    def publish(self, leaf_index=0):
        entry, path = self.found.entry.encode(), self.tree.proof(leaf_index).path
        return self.ledger.act_as(self.by, PublishRevocation(LedgerRecord(self.key, leaf_index), entry, path))


@pytest.fixture(autouse=True)
def records_name_nobody(monkeypatch):
    """As those of before, and those that were signed while the ledger could never be asked."""
    monkeypatch.setattr(FakeLedger, "named_anchorer", lambda ledger: None)


@pytest.fixture
def certificate(installation):
    made = installation.issue_certificate()
    installation.settle()
    return made


def found_of(installation, record):
    return evidence_of(installation.record(record.id))


def status_of(installation, evidence, then=None):
    text = bundle.write(Bundle((evidence,)))
    verdict = verdict_on_bundle(installation.ctx, text, then)
    return verdict.conclusion.value, outcomes(verdict.checks)["STATUS"][1]


def revoke(installation, record):
    issuance.revoke(installation.ctx, installation.chamber, record.id, "made elsewhere")
    installation.settle()


@pytest.mark.parametrize("by", ["other_anchorer", "anchorer"])
def test_revoked_record_anchored_again_is_invalid(installation, certificate, by):
    found = found_of(installation, certificate)
    before = Copy(installation, found, "other_anchorer", times=2)
    assert status_of(installation, before.evidence()) == ("VALID", "in-force")
    revoke(installation, certificate)
    assert status_of(installation, found) == ("INVALID", "revoked")
    after = Copy(installation, found, by)
    for copied in (before.evidence(), before.evidence(1), after.evidence()):
        assert status_of(installation, copied) == ("INVALID", "revoked-elsewhere")


def test_signatures_other_form_escapes_nothing(installation, certificate):
    """(r, n - s) fits wherever (r, s) does: the same content as another text, with another digest."""
    found = found_of(installation, certificate)
    text = sd_jwt.with_other_signature(found.record.signed_jwt)
    twin = replace(found, record=replace(found.record, signed_jwt=text))
    assert text != found.record.signed_jwt
    assert sd_jwt.is_signed_by_its_key(twin.record)
    assert set(twin.leaves) == set(found.leaves)
    assert status_of(installation, Copy(installation, twin).evidence()) == ("VALID", "in-force")
    revoke(installation, certificate)
    assert status_of(installation, Copy(installation, twin, times=2).evidence()) == ("INVALID", "revoked-elsewhere")


def test_replaced_record_anchored_again_is_invalid(installation, certificate):
    found, ledger = found_of(installation, certificate), installation.ledger
    place = LedgerRecord(ledger.batch_key(found.anchor.root), found.proof.leaf_index)
    superseded = ((place.leaf_index, int(DocumentStatus.SUPERSEDED)),)
    assert ledger.act_as("anchorer", ChangeStatuses(place.batch_key, superseded, bytes(32)))
    assert ledger.act_as("other_anchorer", PublishRevocation(place, found.entry.encode(), found.proof.path))
    assert status_of(installation, Copy(installation, found).evidence()) == ("INVALID", "superseded-elsewhere")


def test_authoritys_revocation_follows_a_copy(installation, certificate):
    """The authority's announced revocation is published by whoever has the record's evidence."""
    found = found_of(installation, certificate)
    ledger = installation.ledger
    ledger._state.statuses[ledger.batch_key(found.anchor.root), found.proof.leaf_index] = REVOKED
    copied = Copy(installation, found)
    assert status_of(installation, copied.evidence()) == ("VALID", "in-force")
    assert issuance.publish_revocations(installation.ctx, Bundle((found,))) == 1
    assert issuance.publish_revocations(installation.ctx, Bundle((found,))) == 0
    installation.settle()
    assert status_of(installation, copied.evidence()) == ("INVALID", "revoked-elsewhere")
    with pytest.raises(Conflict):
        issuance.publish_revocations(installation.ctx, Bundle((found,)))


def test_revoked_copy_leaves_earlier_original_valid(installation, certificate):
    found = found_of(installation, certificate)
    installation.clock.pass_by(LATER)
    copied = Copy(installation, found)
    copied.revoke()
    assert copied.publish()
    assert status_of(installation, found) == ("VALID", "in-force")
    assert status_of(installation, copied.evidence()) == ("INVALID", "revoked")
    installation.clock.pass_by(LATER)
    assert status_of(installation, Copy(installation, found, times=2).evidence()) == ("INVALID", "revoked-elsewhere")
    revoke(installation, certificate)
    assert installation.ledger.revocation(found.leaves[0]).since == found.anchor.block_time


def test_same_record_twice_in_batch_ends_twice(installation, certificate):
    found = found_of(installation, certificate)
    copied = Copy(installation, found, times=2)
    copied.revoke(1)
    assert copied.publish(1)
    assert status_of(installation, copied.evidence(0)) == ("INVALID", "revoked-elsewhere")


def test_published_later_was_valid_before(installation, certificate):
    found = found_of(installation, certificate)
    good = installation.clock()
    installation.clock.pass_by(LATER)
    revoke(installation, certificate)
    assert outcomes(verdict_on(installation.ctx, installation.record(certificate.id), good).checks)["STATUS"] == (
        "pass",
        "in-force",
    )
    assert status_of(installation, found)[0] == "INVALID"


def test_own_revocation_is_published_once(installation, certificate):
    revoke(installation, certificate)
    sent = [call for _, call in installation.ledger.mined("anchorer") if isinstance(call, PublishRevocation)]
    assert [leaf_hash(call.entry) for call in sent] == [found_of(installation, certificate).leaves[0]]
    installation.settle()
    assert len([call for _, call in installation.ledger.mined("anchorer") if isinstance(call, PublishRevocation)]) == 1


def test_published_by_another_is_settled(installation, certificate):
    found = found_of(installation, certificate)
    ledger = installation.ledger
    ledger._state.statuses[ledger.batch_key(found.anchor.root), found.proof.leaf_index] = REVOKED
    place = LedgerRecord(ledger.batch_key(found.anchor.root), found.proof.leaf_index)
    assert ledger.act_as("other_anchorer", PublishRevocation(place, found.entry.encode(), found.proof.path))
    revoke(installation, certificate)
    with installation.ctx.work(reading=True) as work:
        assert work.revocations.find_of_record(certificate.id).settled == ALREADY_THERE
    assert audit(installation.ctx).discrepancies == ()


def test_older_contracts_publish_nothing(installation, certificate):
    installation.ledger.publishes_revocations = False
    revoke(installation, certificate)
    with installation.ctx.work(reading=True) as work:
        assert work.revocations.find_of_record(certificate.id).transaction is None
    with pytest.raises(Conflict):
        issuance.publish_revocations(installation.ctx, Bundle((found_of(installation, certificate),)))


def test_lost_chain_publishes_again(installation, certificate):
    revoke(installation, certificate)
    leaf = found_of(installation, certificate).leaves[0]
    installation.ledger.reorganise(2)
    assert installation.ledger.revocation(leaf) is None
    installation.settle()
    assert installation.ledger.revocation(leaf) is not None


def test_audit_compares_revocations_both_ways(installation, certificate):
    other = installation.issue_certificate(certificateNumber="ZJ-26-000124")
    installation.settle()
    revoke(installation, certificate)
    assert audit(installation.ctx).discrepancies == ()
    state, found = installation.ledger._state, found_of(installation, other)
    kept = dict(state.revocations)
    state.revocations.clear()
    assert [one.name for one in audit(installation.ctx).discrepancies] == ["revocation-not-on-ledger"]
    state.revocations.update(kept)
    place = LedgerRecord(installation.ledger.batch_key(found.anchor.root), found.proof.leaf_index)
    state.statuses[place.batch_key, place.leaf_index] = REVOKED
    assert installation.ledger.act_as(
        "other_anchorer", PublishRevocation(place, found.entry.encode(), found.proof.path)
    )
    names = {one.name for one in audit(installation.ctx).discrepancies}
    assert names == {"status-differs", "revocation-unknown-to-database"}


def test_bundle_of_revoked_copy_states_it(installation, certificate):
    """The operator's own snapshot says what is published, and the offline verdict follows it."""
    revoke(installation, certificate)
    made = bundle_of(installation.ctx, installation.record(certificate.id))
    (reading,) = snapshot.read(made.snapshot).snapshot.readings
    assert (reading.revocation.status, reading.revocation.since) == (REVOKED, reading.block_time)
