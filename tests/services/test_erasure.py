"""What its holder erases is gone, nobody else's proof or file suffers, and what others still need stays."""

import os
from datetime import timedelta
from hashlib import sha256

import pytest

from backend.adapters.files import FolderFiles
from backend.domain.consignment import Decision
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
from tests.services.encrypted_texts import (
    SECRET,
    bytes_on_disk,
    erase,
    everything_encrypted,
    held_certificate,
    readable_in,
    shown,
)

LONGER_THAN_ANY_RULE = timedelta(days=6 * 366)
"""After which the law lets go of what a declaration relies on; tests/services/test_retention.py is about before."""


def test_what_is_erased_is_gone_from_every_file(installation):
    record = held_certificate(installation)
    kept = installation.record(record.id)
    disclosure = next(d for d in kept.disclosures if SECRET in unb64(d).decode())
    before = everything_encrypted(installation)
    assert all(one in bytes_on_disk(installation) for one in before)
    assert disclosure.encode() in b"".join(readable_in(before, installation))
    assert kept.signed_jwt.encode() in readable_in(before, installation)
    erase(installation, record)
    after = bytes_on_disk(installation)
    assert not any(one in after for one in before)
    assert kept.number.encode() not in after
    assert readable_in(before, installation) == []
    gone = installation.record(record.id)
    assert (gone.signed_jwt, gone.disclosures, gone.number) == ("", [], None)
    assert gone.erased_at is not None


def test_a_file_that_another_has_uploaded_too_stays(installation):
    stored = files.store_pdf(installation.ctx, installation.chamber, PDF)
    files.store_pdf(installation.ctx, installation.other_chamber, PDF)
    bound = [{"fileName": "lamp.pdf", "size": stored.size, "sha256": stored.sha256}]
    assert erase(installation, held_certificate(installation, attachments=bound)).files == 0
    assert installation.ctx.files.get(stored.sha256) == PDF
    with installation.ctx.work(reading=True) as work:
        assert work.files.find(stored.sha256, installation.other_chamber.organisation) is not None
        assert work.files.find(stored.sha256, installation.chamber.organisation) is None


def test_file_uploaded_while_being_erased_stays(installation, monkeypatch):
    stored = files.store_pdf(installation.ctx, installation.chamber, PDF)
    bound = [{"fileName": "lamp.pdf", "size": stored.size, "sha256": stored.sha256}]
    record = held_certificate(installation, attachments=bound)
    put = FolderFiles.put

    def slowly(self, content):
        monkeypatch.setattr(FolderFiles, "put", put)
        digest = put(self, content)
        erase(installation, record)
        return digest

    monkeypatch.setattr(FolderFiles, "put", slowly)
    files.store_pdf(installation.ctx, installation.other_chamber, PDF)
    assert installation.ctx.files.get(stored.sha256) == PDF


def test_file_left_by_a_crash_goes_next_start(installation):
    named, left, fresh = (installation.ctx.files.put(PDF + bytes([n])) for n in range(3))
    with installation.ctx.work() as work:
        work.add(StoredFile(named, installation.chamber.organisation, 1, "application/pdf", installation.clock()))
        work.commit()
    for digest in (named, left):
        os.utime(installation.ctx.files._path(digest), (1, 1))
    assert erasure.finish(installation.ctx) == 1
    assert [installation.ctx.files.get(one) is None for one in (named, left, fresh)] == [False, True, False]


def test_everybody_elses_proofs_in_the_batch_go_on(installation):
    records = [installation.issue_certificate(certificateNumber=f"B-{n}") for n in range(5)]
    reports = [installation.issue_report(reportNumber=f"B-{n}") for n in range(4)]
    installation.settle()
    assert len({installation.record(r.id).batch.root for r in [*records, *reports]}) == 1
    bundles = {r.id: shown(installation, r, Audience.CUSTOMS) for r in [*records, *reports]}
    for victim in (records[0], records[3], reports[3]):
        erase(installation, victim)
    for record in [*records, *reports]:
        expected = Conclusion.INDETERMINATE if installation.record(record.id).erased_at else Conclusion.VALID
        assert verdict_on(installation.ctx, installation.record(record.id)).conclusion is expected
        assert (
            verdict_on_bundle(installation.ctx, bundles[record.id]).conclusion is Conclusion.VALID
        )  # who has a copy has a proof
    assert audit(installation.ctx).discrepancies == ()


def test_audit_notices_an_erased_places_altered_digest(installation):
    record = held_certificate(installation)
    erase(installation, record)
    with installation.ctx.work() as work:
        work.records.get(record.id).digest = sha256(b"another").hexdigest()
        work.commit()
    assert {one.name for one in audit(installation.ctx).discrepancies} == {"proof-broken", "root-differs"}


def test_the_verdict_says_that_it_was_erased(installation):
    record = held_certificate(installation)
    erase(installation, record)
    verdict = verdict_on(installation.ctx, installation.record(record.id))
    assert verdict.conclusion is Conclusion.INDETERMINATE
    assert outcomes(verdict.checks)["CONTENT"] == ("indeterminate", "erased")


def test_replaced_statement_and_files_go_with_their_certificate(installation):
    stored = files.store_pdf(installation.ctx, installation.merchant, PDF)
    fields = {k: v for k, v in certificate_fields(description=SECRET).items() if k != "certificateNumber"}
    fields["attachments"] = [{"fileName": "lamp.pdf", "size": stored.size, "sha256": stored.sha256}]
    chamber = installation.chamber.organisation.id
    statement = statements.issue_statement(
        installation.ctx, installation.merchant, Kind.CERTIFICATE_OF_ORIGIN, fields, chamber
    )
    with installation.ctx.work(reading=True) as work:
        request = work.requests.find_about(statement.id)
    record = issuance.confirm(installation.ctx, installation.chamber, request.id, "CO-1")
    installation.settle()
    gone = erase(installation, record)
    assert {one.id for one in gone.records} == {record.id, statement.id}
    assert gone.files == 1
    assert installation.ctx.files.get(stored.sha256) is None
    assert SECRET.encode() not in bytes_on_disk(installation)


def test_a_file_that_another_record_binds_stays(installation):
    stored = files.store_pdf(installation.ctx, installation.chamber, PDF)
    bound = [{"fileName": "lamp.pdf", "size": stored.size, "sha256": stored.sha256}]
    one = held_certificate(installation, attachments=bound, certificateNumber="F-1")
    held_certificate(installation, attachments=bound, certificateNumber="F-2")
    assert erase(installation, one).files == 0
    assert installation.ctx.files.get(stored.sha256) == PDF


def test_the_reason_of_a_revocation_goes_too(installation):
    record = held_certificate(installation)
    issuance.revoke(installation.ctx, installation.chamber, record.id, "Mrs Wong found a mistake")
    installation.settle()
    erase(installation, record)
    assert b"Mrs Wong" not in bytes_on_disk(installation)


@pytest.mark.parametrize("who", ["rival", "chamber", "laboratory", "officer", "authority"])
def test_only_the_holder_erases(installation, who):
    record = held_certificate(installation)
    with pytest.raises(NotFound):
        erasure.erase(installation.ctx, installation.people[who], record.id)
    assert installation.record(record.id).erased_at is None


def test_what_customs_still_need_is_not_erased(installation):
    certificate = held_certificate(installation)
    consignment = installation.lodge([certificate])
    installation.settle()
    with pytest.raises(Conflict, match="customs have not decided"):
        erase(installation, certificate)
    with pytest.raises(NotAllowed):
        erasure.erase(installation.ctx, installation.merchant, consignment.id)
    declarations.withdraw(installation.ctx, installation.merchant, consignment.id)
    installation.settle()
    installation.clock.pass_by(LONGER_THAN_ANY_RULE)
    erase(installation, certificate)
    with installation.ctx.work(reading=True) as work:
        dossier = verdict_on_consignment(installation.ctx, work, work.consignments.get(consignment.id))
    assert "erased" in {check.reason for check in dossier.verdict.checks}
    assert "document-not-named" not in {check.reason for check in dossier.verdict.checks}


def test_certificate_with_pending_drawdown_is_kept(installation):
    certificate = held_certificate(installation)
    consignment = installation.lodge([certificate, installation.issue_report()])
    installation.settle()
    decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.RELEASE, "Papers in order")
    erasure.request_consent(installation.ctx, installation.merchant, certificate.id, "A buyer asks for it")
    erasure.agree(installation.ctx, installation.officer, certificate.id, "Not needed any more")
    with pytest.raises(Conflict, match="on their way"):
        erase(installation, certificate)
    installation.settle()
    erase(installation, certificate)
    installation.settle()
    assert installation.consignment(consignment.id).status.name == "RELEASED"
    assert audit(installation.ctx).discrepancies == ()


def test_erased_record_cannot_be_named_by_new_declarations(installation):
    certificate = held_certificate(installation)
    erase(installation, certificate)
    with pytest.raises(Invalid):
        declarations.lodge(installation.ctx, installation.merchant, lodgement_fields(records=[certificate.id]))


def test_what_is_on_its_way_is_not_erased(installation):
    record = installation.issue_certificate()
    with pytest.raises(Conflict, match="on its way"):
        erase(installation, record)
    installation.settle()
    issuance.revoke(installation.ctx, installation.chamber, record.id, "wrong goods")
    with pytest.raises(Conflict, match="on its way"):
        erase(installation, record)


def test_nothing_is_erased_twice(installation):
    record = held_certificate(installation)
    erase(installation, record)
    with pytest.raises(Conflict, match="already"):
        erase(installation, record)
