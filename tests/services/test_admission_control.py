"""What is too much is refused before anything is stored; what was taken in goes on, and nobody waits for a flood."""

from dataclasses import replace
from datetime import timedelta

import pytest

from backend.domain.errors import LedgerBehind, StorageFull, TooMuchWaiting
from backend.domain.kinds import Kind
from backend.services import files, issuance
from backend.services.anchoring import batches
from backend.services.audit import audit
from backend.services.ports import AdmissionLimits, ServiceSettings
from backend.services.verification import verdict_on
from tests.helpers.builders import PDF, certificate_fields


def waiting(installation):
    with installation.ctx.work(reading=True) as work:
        return work.batches.count_waiting()


def issue(installation, number, who="chamber"):
    fields = certificate_fields(certificateNumber=f"{who}-{number}")
    return issuance.issue(installation.ctx, installation.people[who], Kind.CERTIFICATE_OF_ORIGIN, fields)


def test_full_queue_admits_again_once_ledger_answers(installation):
    """Take in no more than may wait; go on once the ledger does."""
    installation.ctx = replace(installation.ctx, settings=ServiceSettings(admission=AdmissionLimits(most_waiting=6)))
    installation.ledger.down = True
    for number in range(3):
        issue(installation, number)
    for number in range(3):
        issue(installation, number, "other_chamber")
    with pytest.raises(TooMuchWaiting) as refused:
        installation.issue_report()
    assert refused.value.retry_after_seconds > 0
    assert waiting(installation) == 6
    installation.ledger.down = False
    installation.settle()
    assert waiting(installation) == 0
    issue(installation, 10)


def test_one_issuer_fills_at_most_half_the_queue(installation):
    installation.ctx = replace(installation.ctx, settings=ServiceSettings(admission=AdmissionLimits(most_waiting=8)))
    installation.ledger.down = True
    for number in range(4):
        issue(installation, number)
    with pytest.raises(TooMuchWaiting, match="Zhejiang Chamber"):
        issue(installation, 4)
    issue(installation, 0, "other_chamber")


def test_record_waiting_too_long_closes_intake(installation):
    """Refused once the oldest has waited too long, whoever asks; taken in again soon after the ledger has it."""
    limits = AdmissionLimits(longest_wait=timedelta(hours=1))
    installation.ctx = replace(installation.ctx, settings=ServiceSettings(admission=limits))
    installation.ledger.down = True
    issue(installation, 0)
    installation.clock.pass_by(timedelta(minutes=59))
    issue(installation, 1)
    installation.clock.pass_by(timedelta(minutes=2))
    with pytest.raises(LedgerBehind, match="61 minutes") as refused:
        issue(installation, 0, "other_chamber")
    assert refused.value.retry_after_seconds > 0
    installation.ledger.down = False
    installation.settle()
    installation.clock.pass_by(timedelta(seconds=2))
    issue(installation, 2)


def test_nearly_full_disk_admits_no_more(installation):
    free = [10_000]
    installation.ctx = replace(
        installation.ctx,
        settings=ServiceSettings(admission=AdmissionLimits(least_free_bytes=5_000, free_bytes=lambda: free[0])),
    )
    issue(installation, 0)
    free[0] = 4_999
    with pytest.raises(TooMuchWaiting, match="disk"):
        issue(installation, 1)
    assert waiting(installation) == 1


def test_flood_of_one_issuer_delays_no_other(installation, monkeypatch):
    monkeypatch.setattr(batches, "LARGEST_ROUND", 4)
    flood = [issue(installation, number) for number in range(9)]
    late = issue(installation, 0, "other_chamber")
    (first,) = batches.seal_stored(installation.ctx)
    with installation.ctx.work(reading=True) as work:
        sealed = {leaf.record_id for leaf in work.batches.leaves(first)}
    assert sealed == {late.id, *(record.id for record in flood[:3])}, "its own turn, and each issuer's oldest first"


# Attachments


def bound(installation):
    stored = files.store_pdf(installation.ctx, installation.chamber, PDF)
    attachment = {"fileName": "paper.pdf", "size": stored.size, "sha256": stored.sha256}
    record = installation.issue_certificate(attachments=[attachment])
    installation.settle()
    return record, installation.ctx.files._path(stored.sha256)


def attachments_of(installation, record):
    return [
        c.reason for c in verdict_on(installation.ctx, installation.record(record.id)).checks if c.code == "ATTACHMENTS"
    ]


def test_every_flipped_byte_of_attachment_is_found(installation):
    """The audit finds it, and whoever reads the attachment."""
    record, path = bound(installation)
    whole = path.read_bytes()
    assert not audit(installation.ctx).discrepancies
    places = range(0, len(whole), max(1, len(whole) // 50))
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert [one.name for one in audit(installation.ctx).discrepancies] == ["attachment-altered"]
        assert attachments_of(installation, record) == ["attachment-altered"]
    path.write_bytes(whole)
    assert not audit(installation.ctx).discrepancies


def test_missing_attachment_is_found_and_restored_by_upload(installation):
    record, path = bound(installation)
    path.unlink()
    assert [one.name for one in audit(installation.ctx).discrepancies] == ["attachment-missing"]
    assert attachments_of(installation, record) == ["attachment-missing"]
    path.write_bytes(b"something else")
    files.store_pdf(installation.ctx, installation.chamber, PDF)
    assert not audit(installation.ctx).discrepancies
    assert attachments_of(installation, record) == ["attachments-intact"]


def test_file_too_large_for_disk_leaves_nothing(installation, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("backend.adapters.files.os.fsync", full)
    with pytest.raises(StorageFull):
        files.store_pdf(installation.ctx, installation.chamber, PDF)
    monkeypatch.undo()
    assert [path for path in installation.ctx.files._folder.rglob("*") if path.is_file()] == []
