"""What its holder erases is gone, nobody else's proof or file suffers, and what others still need stays."""

import os
from hashlib import sha256

import pytest

from backend.adapters.files import FolderFiles
from backend.domain.clearance import Decision
from backend.domain.errors import Conflict, Invalid, NotAllowed, NotFound
from backend.domain.kinds import Audience, Kind
from backend.domain.records import StoredFile
from backend.domain.sd_jwt import unb64
from backend.domain.verdict import Conclusion
from backend.services import decisions, declarations, erasure, files, issuance, statements
from backend.services.audit import audit
from backend.services.verification import verdict_on, verdict_on_bundle, verdict_on_consignment
from tests.helpers.builders import (
    PDF,
    certificate_fields,
    lodgement_fields,
    outcomes,
)
from tests.services.sealed_texts import (
    SECRET,
    bytes_on_disk,
    erase,
    everything_sealed,
    held_certificate,
    readable_in,
    shown,
)


def test_what_is_erased_is_gone_from_every_file(house):
    record = held_certificate(house)
    kept = house.record(record.id)
    disclosure = next(d for d in kept.disclosures if SECRET in unb64(d).decode())
    before = everything_sealed(house)
    assert all(one in bytes_on_disk(house) for one in before)
    assert disclosure.encode() in b"".join(readable_in(before, house))
    assert kept.signed_jwt.encode() in readable_in(before, house)
    erase(house, record)
    after = bytes_on_disk(house)
    assert not any(one in after for one in before)
    assert kept.number.encode() not in after
    assert readable_in(before, house) == []
    gone = house.record(record.id)
    assert (gone.signed_jwt, gone.disclosures, gone.number) == ("", [], None)
    assert gone.erased_at is not None


def test_a_file_that_another_has_uploaded_too_stays(house):
    stored = files.store_pdf(house.ctx, house.chamber, PDF)
    files.store_pdf(house.ctx, house.other_chamber, PDF)
    bound = [{"fileName": "lamp.pdf", "size": stored.size, "sha256": stored.sha256}]
    assert erase(house, held_certificate(house, attachments=bound)).files == 0
    assert house.ctx.files.get(stored.sha256) == PDF
    with house.ctx.work(reading=True) as work:
        assert work.files.find(stored.sha256, house.other_chamber.organisation) is not None
        assert work.files.find(stored.sha256, house.chamber.organisation) is None


def test_file_uploaded_while_being_erased_stays(house, monkeypatch):
    stored = files.store_pdf(house.ctx, house.chamber, PDF)
    bound = [{"fileName": "lamp.pdf", "size": stored.size, "sha256": stored.sha256}]
    record = held_certificate(house, attachments=bound)
    put = FolderFiles.put

    def slowly(self, content):
        monkeypatch.setattr(FolderFiles, "put", put)
        digest = put(self, content)
        erase(house, record)
        return digest

    monkeypatch.setattr(FolderFiles, "put", slowly)
    files.store_pdf(house.ctx, house.other_chamber, PDF)
    assert house.ctx.files.get(stored.sha256) == PDF


def test_file_left_by_a_crash_goes_next_start(house):
    named, left, fresh = (house.ctx.files.put(PDF + bytes([n])) for n in range(3))
    with house.ctx.work() as work:
        work.add(StoredFile(named, house.chamber.organisation, 1, "application/pdf", house.clock()))
        work.commit()
    for digest in (named, left):
        os.utime(house.ctx.files._path(digest), (1, 1))
    assert erasure.finish(house.ctx) == 1
    assert [house.ctx.files.get(one) is None for one in (named, left, fresh)] == [False, True, False]


def test_everybody_elses_proofs_in_the_batch_go_on(house):
    records = [house.issue_certificate(certificateNumber=f"B-{n}") for n in range(5)]
    reports = [house.issue_report(reportNumber=f"B-{n}") for n in range(4)]
    house.settle()
    assert len({house.record(r.id).batch.root for r in [*records, *reports]}) == 1
    bundles = {r.id: shown(house, r, Audience.CUSTOMS) for r in [*records, *reports]}
    for victim in (records[0], records[3], reports[3]):
        erase(house, victim)
    for record in [*records, *reports]:
        expected = Conclusion.INDETERMINATE if house.record(record.id).erased_at else Conclusion.VALID
        assert verdict_on(house.ctx, house.record(record.id)).conclusion is expected
        assert (
            verdict_on_bundle(house.ctx, bundles[record.id]).conclusion is Conclusion.VALID
        )  # who has a copy has a proof
    assert audit(house.ctx).discrepancies == ()


def test_audit_notices_an_erased_places_altered_digest(house):
    record = held_certificate(house)
    erase(house, record)
    with house.ctx.work() as work:
        work.records.get(record.id).digest = sha256(b"another").hexdigest()
        work.commit()
    assert {one.name for one in audit(house.ctx).discrepancies} == {"proof-broken", "root-differs"}


def test_the_verdict_says_that_it_was_erased(house):
    record = held_certificate(house)
    erase(house, record)
    verdict = verdict_on(house.ctx, house.record(record.id))
    assert verdict.conclusion is Conclusion.INDETERMINATE
    assert outcomes(verdict.checks)["CONTENT"] == ("indeterminate", "erased")


def test_replaced_statement_and_files_go_with_their_certificate(house):
    stored = files.store_pdf(house.ctx, house.merchant, PDF)
    fields = {k: v for k, v in certificate_fields(description=SECRET).items() if k != "certificateNumber"}
    fields["attachments"] = [{"fileName": "lamp.pdf", "size": stored.size, "sha256": stored.sha256}]
    chamber = house.chamber.organisation.id
    statement = statements.state(house.ctx, house.merchant, Kind.CERTIFICATE_OF_ORIGIN, fields, chamber)
    with house.ctx.work(reading=True) as work:
        request = work.requests.find_about(statement.id)
    record = issuance.confirm(house.ctx, house.chamber, request.id, "CO-1")
    house.settle()
    gone = erase(house, record)
    assert {one.id for one in gone.records} == {record.id, statement.id}
    assert gone.files == 1
    assert house.ctx.files.get(stored.sha256) is None
    assert SECRET.encode() not in bytes_on_disk(house)


def test_a_file_that_another_record_binds_stays(house):
    stored = files.store_pdf(house.ctx, house.chamber, PDF)
    bound = [{"fileName": "lamp.pdf", "size": stored.size, "sha256": stored.sha256}]
    one = held_certificate(house, attachments=bound, certificateNumber="F-1")
    held_certificate(house, attachments=bound, certificateNumber="F-2")
    assert erase(house, one).files == 0
    assert house.ctx.files.get(stored.sha256) == PDF


def test_the_reason_of_a_revocation_goes_too(house):
    record = held_certificate(house)
    issuance.revoke(house.ctx, house.chamber, record.id, "Mrs Wong found a mistake")
    house.settle()
    erase(house, record)
    assert b"Mrs Wong" not in bytes_on_disk(house)


@pytest.mark.parametrize("who", ["rival", "chamber", "laboratory", "officer", "authority"])
def test_only_the_holder_erases(house, who):
    record = held_certificate(house)
    with pytest.raises(NotFound):
        erasure.erase(house.ctx, house.people[who], record.id)
    assert house.record(record.id).erased_at is None


def test_what_customs_still_need_is_not_erased(house):
    certificate = held_certificate(house)
    consignment = house.lodge([certificate])
    house.settle()
    with pytest.raises(Conflict, match="customs have not decided"):
        erase(house, certificate)
    with pytest.raises(NotAllowed):
        erasure.erase(house.ctx, house.merchant, consignment.id)
    declarations.withdraw(house.ctx, house.merchant, consignment.id)
    house.settle()
    erase(house, certificate)
    with house.ctx.work(reading=True) as work:
        dossier = verdict_on_consignment(house.ctx, work, work.consignments.get(consignment.id))
    assert "erased" in {check.reason for check in dossier.verdict.checks}
    assert "document-not-named" not in {check.reason for check in dossier.verdict.checks}


def test_certificate_with_a_draw_under_way_is_kept(house):
    certificate = held_certificate(house)
    consignment = house.lodge([certificate, house.issue_report()])
    house.settle()
    decisions.decide(house.ctx, house.officer, consignment.id, Decision.RELEASE, "Papers in order")
    with pytest.raises(Conflict, match="on their way"):
        erase(house, certificate)
    house.settle()
    erase(house, certificate)
    house.settle()
    assert house.consignment(consignment.id).status.name == "RELEASED"
    assert audit(house.ctx).discrepancies == ()


def test_erased_record_cannot_be_named_by_new_declarations(house):
    certificate = held_certificate(house)
    erase(house, certificate)
    with pytest.raises(Invalid):
        declarations.lodge(house.ctx, house.merchant, lodgement_fields(records=[certificate.id]))


def test_what_is_on_its_way_is_not_erased(house):
    record = house.issue_certificate()
    with pytest.raises(Conflict, match="on its way"):
        erase(house, record)
    house.settle()
    issuance.revoke(house.ctx, house.chamber, record.id, "wrong goods")
    with pytest.raises(Conflict, match="on its way"):
        erase(house, record)


def test_nothing_is_erased_twice(house):
    record = held_certificate(house)
    erase(house, record)
    with pytest.raises(Conflict, match="already"):
        erase(house, record)
