"""What is too much is refused before anything is stored; what was taken in goes on, and nobody waits for a flood."""

from dataclasses import replace

import pytest

from backend.domain.errors import StorageFull, TooMuchWaiting
from backend.domain.kinds import Kind
from backend.services import files, issuance
from backend.services.anchoring import batches
from backend.services.audit import audit
from backend.services.ports import AdmissionLimits
from backend.services.verification import verdict_on
from tests.helpers.builders import PDF, certificate_fields


def waiting(house):
    with house.ctx.work(reading=True) as work:
        return work.batches.count_waiting()


def issue(house, number, who="chamber"):
    fields = certificate_fields(certificateNumber=f"{who}-{number}")
    return issuance.issue(house.ctx, house.people[who], Kind.CERTIFICATE_OF_ORIGIN, fields)


def test_no_more_is_taken_in_than_may_wait_and_it_goes_on_once_the_ledger_does(house):
    house.ctx = replace(house.ctx, admission=AdmissionLimits(most_waiting=6))
    house.ledger.down = True
    for number in range(3):
        issue(house, number)
    for number in range(3):
        issue(house, number, "other_chamber")
    with pytest.raises(TooMuchWaiting) as refused:
        house.issue_report()
    assert refused.value.retry_after_seconds > 0
    assert waiting(house) == 6
    house.ledger.down = False
    house.settle()
    assert waiting(house) == 0
    issue(house, 10)


def test_one_issuer_alone_fills_half_of_the_queue_and_no_more(house):
    house.ctx = replace(house.ctx, admission=AdmissionLimits(most_waiting=8))
    house.ledger.down = True
    for number in range(4):
        issue(house, number)
    with pytest.raises(TooMuchWaiting, match="Zhejiang Chamber"):
        issue(house, 4)
    issue(house, 0, "other_chamber")


def test_no_more_is_taken_in_when_the_disk_is_nearly_full(house):
    free = [10_000]
    house.ctx = replace(house.ctx, admission=AdmissionLimits(least_free_bytes=5_000, free_bytes=lambda: free[0]))
    issue(house, 0)
    free[0] = 4_999
    with pytest.raises(TooMuchWaiting, match="disk"):
        issue(house, 1)
    assert waiting(house) == 1


def test_a_flood_of_one_issuer_does_not_keep_another_waiting(house, monkeypatch):
    monkeypatch.setattr(batches, "LARGEST_ROUND", 4)
    flood = [issue(house, number) for number in range(9)]
    late = issue(house, 0, "other_chamber")
    first = batches.seal_stored(house.ctx)
    with house.ctx.work(reading=True) as work:
        sealed = {leaf.record_id for leaf in work.batches.leaves(first)}
    assert sealed == {late.id, *(record.id for record in flood[:3])}, "its own turn, and each issuer's oldest first"


# Attachments


def bound(house):
    stored = files.store_pdf(house.ctx, house.chamber, PDF)
    attachment = {"fileName": "paper.pdf", "size": stored.size, "sha256": stored.sha256}
    record = house.issue_certificate(attachments=[attachment])
    house.settle()
    return record, house.ctx.files._path(stored.sha256)


def attachments_of(house, record):
    return [c.reason for c in verdict_on(house.ctx, house.record(record.id)).checks if c.code == "ATTACHMENTS"]


def test_every_flipped_byte_of_an_attachment_is_found_by_the_audit_and_when_it_is_read(house):
    record, path = bound(house)
    whole = path.read_bytes()
    assert not audit(house.ctx).discrepancies
    places = range(0, len(whole), max(1, len(whole) // 50))
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert [one.name for one in audit(house.ctx).discrepancies] == ["attachment-altered"]
        assert attachments_of(house, record) == ["attachment-altered"]
    path.write_bytes(whole)
    assert not audit(house.ctx).discrepancies


def test_a_missing_attachment_is_found_and_uploading_it_again_mends_it(house):
    record, path = bound(house)
    path.unlink()
    assert [one.name for one in audit(house.ctx).discrepancies] == ["attachment-missing"]
    assert attachments_of(house, record) == ["attachment-missing"]
    path.write_bytes(b"something else")
    files.store_pdf(house.ctx, house.chamber, PDF)
    assert not audit(house.ctx).discrepancies
    assert attachments_of(house, record) == ["attachments-intact"]


def test_a_file_that_does_not_fit_on_the_disk_leaves_nothing_behind(house, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("backend.adapters.files.os.fsync", full)
    with pytest.raises(StorageFull):
        files.store_pdf(house.ctx, house.chamber, PDF)
    monkeypatch.undo()
    assert [path for path in house.ctx.files._folder.rglob("*") if path.is_file()] == []
