"""The audit finds whatever was changed behind the application, by name, and nothing where all is well."""

import pytest

from backend.domain.consignment import Decision
from backend.domain.errors import LedgerUnavailable
from backend.domain.evidence import Segments
from backend.domain.ledger import AnchorBatch
from backend.services import decisions, issuance
from backend.services.anchoring import seal_stored
from backend.services.audit import audit
from tests.services.test_anchoring_faults import in_database, rewrite


def names(installation):
    return sorted({found.name for found in audit(installation.ctx).discrepancies})


@pytest.fixture
def busy(installation):
    """An installation in which much has happened."""
    consignment = installation.lodge()
    installation.settle()
    decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.EXAMINE, "look")
    revoked = installation.issue_certificate(certificateNumber="N-2")
    installation.settle()
    issuance.revoke(installation.ctx, installation.chamber, revoked.id, "wrong goods")
    installation.settle()
    return installation


def test_where_all_is_well_nothing_is_found(busy):
    found = audit(busy.ctx)
    assert found.discrepancies == ()
    assert (found.records, found.batches, found.batches_on_ledger) == (4, 2, 2)


def test_what_is_under_way_is_no_discrepancy(busy):
    busy.ledger.holding = True
    busy.issue_certificate(certificateNumber="N-3")
    seal_stored(busy.ctx)
    assert names(busy) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("UPDATE record SET signed_jwt = CAST(signed_jwt || 'x' AS BLOB)", {"record-altered", "root-differs"}),
        ("UPDATE record SET signed_jwt = 'x'", {"record-altered", "proof-broken", "root-differs"}),
        ("UPDATE record SET disclosures = CAST(disclosures || 'x' AS BLOB)", {"disclosures-altered"}),
        ("UPDATE record SET disclosures = x''", {"disclosures-altered"}),
        ("UPDATE record SET kind = 77", {"record-unreadable", "root-differs"}),
        ("UPDATE record SET quantity = '1'", {"proof-broken", "root-differs"}),
        ("UPDATE record SET path = x'00'", {"proof-broken"}),
        ("UPDATE record SET digest = 'f' || substr(digest, 2) || ''", {"record-altered"}),
        ("UPDATE record SET status = 2 WHERE status = 0", {"status-differs"}),
        ("UPDATE record SET batch_id = NULL", {"leaves-missing", "root-differs"}),
        ("UPDATE batch SET block = block + 1", {"anchoring-differs"}),
        ("UPDATE batch SET transaction_hash = x'00'", {"anchoring-differs"}),
        ("UPDATE batch SET state = 'sealed'", {"anchoring-not-noted"}),
        ("UPDATE batch SET origin_end = 0", {"segments-differ"}),
        ("UPDATE batch SET anchored_at = '2020-01-01 00:00:00.000000'", {"time-differs"}),
        ("UPDATE record SET quarantined = 'x'", {"records-quarantined"}),
    ],
)
def test_a_change_behind_the_application_is_found(busy, change, expected):
    if "digest" in change:
        change = "UPDATE record SET digest = id WHERE leaf_index = 0"
        expected = {"record-altered"}
    in_database(busy, change)
    assert expected <= set(names(busy))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"another text", {"record-altered", "proof-broken", "root-differs"}),
        ("ü".encode(), {"record-unreadable", "root-differs"}),
    ],
)
def test_change_by_holder_of_keys_is_found(busy, content, expected):
    with busy.ctx.work(reading=True) as work:
        sealed = [record for batch in work.batches.all() for record in work.batches.leaves(batch)]
    rewrite(busy, busy.record(sealed[0].record_id), "signed_jwt", lambda _: content)
    assert expected <= set(names(busy))


def test_root_unknown_to_database_is_found(busy):
    call = AnchorBatch(b"\5" * 32, Segments(0, 0, 0, 1))
    busy.ledger.send(busy.ledger.sign(call, busy.ledger.next_nonce("anchorer")).raw)
    assert names(busy) == ["batch-unknown-to-database"]


def test_batch_lost_by_ledger_is_found(busy):
    busy.ledger.reorganise(len(busy.ledger._blocks) - 1)
    assert "batch-not-on-ledger" in names(busy)


def test_a_silent_ledger_is_no_finding(busy):
    busy.ledger.down = True
    with pytest.raises(LedgerUnavailable):
        audit(busy.ctx)
