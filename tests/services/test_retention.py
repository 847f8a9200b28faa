"""What a lodged declaration relies on is evidence: nobody erases it before its time, unless both sides agree."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from backend.domain.consignment import Decision, Step
from backend.domain.errors import Conflict, Invalid, NotAllowed, NotFound, StaleVersion
from backend.domain.kinds import Kind
from backend.services import credentials, customs_offices, decisions, declarations, erasure, files, issuance, statements
from backend.services.erasure import Retained
from backend.services.records import visible_record
from backend.services.verification import verdict_on
from tests.helpers.builders import PDF, certificate_fields, invoice_fields, lodgement_fields
from tests.services.encrypted_texts import erase, held_certificate

THREE_YEARS = timedelta(days=3 * 366)


def lodged_and(installation, papers, *, how="release", **changes):
    """Lodge a declaration on these papers and let it end in a way."""
    consignment = installation.lodge(papers, **changes)
    installation.settle()
    if how == "withdraw":
        declarations.withdraw(installation.ctx, installation.merchant, consignment.id)
    elif how != "leave":
        officer = installation.other_officer if changes.get("customsOffice") == "CNNBO" else installation.officer
        decisions.decide(installation.ctx, officer, consignment.id, Decision(how), "as we decided", True)
    installation.settle()
    return consignment


def ask(installation, record, who="merchant", reason="A buyer asks for it", **more):
    return erasure.request_consent(installation.ctx, installation.people[who], record.id, reason, **more)


def agree(installation, record, who="officer", reason="Not needed for the audit", **more):
    return erasure.agree(installation.ctx, installation.people[who], record.id, reason, **more)


def kept_until(installation, record):
    with installation.ctx.work(reading=True) as work:
        found = erasure.retention(installation.ctx, work, installation.merchant, work.records.get(record.id))
    return found and found.until


@pytest.mark.parametrize("how", ["release", "reject", "return", "seize", "withdraw"])
def test_paper_of_a_closed_declaration_is_kept(installation, how):
    certificate, report = held_certificate(installation), installation.issue_report()
    lodged_and(installation, [certificate, report], how=how)
    closed = installation.clock()
    for paper in (certificate, report):
        with pytest.raises(Retained) as refused:
            erase(installation, paper)
        assert (refused.value.office, refused.value.served_by[0].name) == ("CNYIU", "Yiwu Customs")
        assert closed + timedelta(days=3 * 365) < refused.value.until < closed + timedelta(days=3 * 366 + 2)
        assert "Yiwu Customs" in str(refused.value)
    installation.clock.time = refused.value.until - timedelta(seconds=1)
    with pytest.raises(Retained):
        erase(installation, certificate)
    installation.clock.time = refused.value.until
    assert [one.id for one in erase(installation, certificate).records] == [certificate.id]


def test_time_counts_from_the_decision_not_the_lodgement(installation):
    certificate = held_certificate(installation)
    consignment = installation.lodge([certificate])
    installation.settle()
    first = kept_until(installation, certificate)
    installation.clock.pass_by(timedelta(days=200))
    decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.REJECT, "Wrong goods")
    installation.settle()
    assert timedelta(days=199) < kept_until(installation, certificate) - first < timedelta(days=202)


def test_decision_on_leap_day_keeps_three_whole_years(installation):
    certificate = held_certificate(installation)
    installation.clock.time = datetime.fromisoformat("2028-02-29T09:00:00+00:00")
    lodged_and(installation, [certificate], how="reject")
    installation.clock.time = datetime.fromisoformat("2031-03-01T12:00:00+00:00")
    with pytest.raises(Retained):
        erase(installation, certificate)
    installation.clock.time = datetime.fromisoformat("2031-03-03T00:00:00+00:00")
    erase(installation, certificate)


def test_what_nobody_lodged_is_erased_as_before(installation):
    lodged_and(installation, [held_certificate(installation, certificateNumber="L-1")])
    other = held_certificate(installation, certificateNumber="L-2")
    assert kept_until(installation, other) is None
    erase(installation, other)


def test_open_declaration_keeps_its_papers_however_long(installation):
    certificate = held_certificate(installation)
    lodged_and(installation, [certificate], how="leave")
    installation.clock.pass_by(10 * THREE_YEARS)
    with pytest.raises(Conflict, match="have not decided"):
        erase(installation, certificate)
    with pytest.raises(Conflict, match="have not decided"):
        ask(installation, certificate)


def confirmed(installation, **changes):
    """A merchant's statement, the certificate that replaced it, and the file that both bind."""
    stored = files.store_pdf(installation.ctx, installation.merchant, PDF)
    fields = {k: v for k, v in certificate_fields(**changes).items() if k != "certificateNumber"}
    fields["attachments"] = [{"fileName": "lamp.pdf", "size": stored.size, "sha256": stored.sha256}]
    chamber = installation.chamber.organisation.id
    statement = statements.issue_statement(
        installation.ctx, installation.merchant, Kind.CERTIFICATE_OF_ORIGIN, fields, chamber
    )

    def confirm():
        with installation.ctx.work(reading=True) as work:
            request = work.requests.find_about(statement.id)
        record = issuance.confirm(installation.ctx, installation.chamber, request.id, "CO-1")
        installation.settle()
        return record

    return statement, confirm, stored


@pytest.mark.parametrize("named", ["statement", "certificate"])
def test_each_version_of_a_named_paper_is_kept(installation, named):
    """The older one that was replaced before the lodgement, and the newer one that replaced the named one after it."""
    statement, confirm, stored = confirmed(installation)
    if named == "statement":
        installation.settle()
        lodged_and(installation, [statement], how="reject")
    certificate = confirm()
    if named == "certificate":
        lodged_and(installation, [certificate], how="reject")
    for version in (statement, certificate):
        with pytest.raises(Retained):
            erase(installation, version)
    assert installation.ctx.files.get(stored.sha256) == PDF
    installation.clock.pass_by(THREE_YEARS + timedelta(days=2))
    assert erase(installation, certificate).files == 1


def test_attachment_of_a_kept_paper_survives_another_erasure(installation):
    stored = files.store_pdf(installation.ctx, installation.chamber, PDF)
    bound = [{"fileName": "lamp.pdf", "size": stored.size, "sha256": stored.sha256}]
    kept = held_certificate(installation, attachments=bound, certificateNumber="F-1")
    free = held_certificate(installation, attachments=bound, certificateNumber="F-2")
    lodged_and(installation, [kept], how="reject")
    assert erase(installation, free).files == 0
    assert installation.ctx.files.get(stored.sha256) == PDF


def test_trade_papers_are_kept_too(installation):
    name = {"name": "Morning Star Trading Co., Ltd."}
    invoice = statements.sign_own(installation.ctx, installation.merchant, Kind.INVOICE, invoice_fields(seller=name))
    lodged_and(installation, [invoice], how="reject")
    with pytest.raises(Retained):
        erase(installation, invoice)


def test_issuer_cannot_erase_a_named_paper_either(installation):
    """A certificate for somebody who was no merchant here is its issuer's to erase, and may be named by a merchant."""
    certificate = installation.issue_certificate(exporter={"name": "Nobody Here Ltd."})
    assert certificate.holder.id == installation.chamber.organisation.id
    lodged_and(installation, [certificate], how="reject")
    with pytest.raises(Retained):
        erasure.erase(installation.ctx, installation.chamber, certificate.id)
    ask(installation, certificate, who="chamber")
    agree(installation, certificate)
    erasure.erase(installation.ctx, installation.chamber, certificate.id)


def test_agreement_keeps_a_later_certificate_longer(installation):
    """RCEP counts from the issue: a certificate that replaced the declared one a year later is kept a year longer."""
    statement, confirm, _ = confirmed(installation, freeTradeAgreementName="RCEP")
    installation.settle()
    lodged_and(installation, [statement], how="reject")
    declared = kept_until(installation, statement)
    installation.clock.pass_by(timedelta(days=365))
    certificate = confirm()
    assert timedelta(days=364) < kept_until(installation, certificate) - declared < timedelta(days=367)
    installation.clock.time = declared + timedelta(days=1)
    with pytest.raises(Retained):
        erase(installation, certificate)
    ask(installation, certificate)
    agree(installation, certificate)
    erase(installation, certificate)


def test_office_reads_what_its_merchant_wants_gone(installation):
    """Also when nobody acts for the merchant any more."""
    certificate = held_certificate(installation)
    lodged_and(installation, [certificate])
    with pytest.raises(Retained):
        erase(installation, certificate)
    credentials.deactivate(installation.ctx, installation.merchant.email)
    with installation.ctx.work(reading=True) as work:
        read = visible_record(installation.ctx, work, installation.officer, certificate.id)
    assert read.fields["certificateNumber"] == "ZJ-26-000123"
    assert verdict_on(installation.ctx, read).conclusion.value == "VALID"


def test_both_sides_agree_and_it_goes(installation):
    certificate = held_certificate(installation)
    consignment = lodged_and(installation, [certificate])
    with pytest.raises(Conflict, match="nobody asks"):
        agree(installation, certificate)
    ask(installation, certificate)
    with pytest.raises(Retained):
        erase(installation, certificate)
    assert installation.consignment(consignment.id).alerted_at is not None
    agree(installation, certificate)
    assert installation.consignment(consignment.id).alerted_at is None
    erase(installation, certificate)
    asked, agreed = installation.consignment(consignment.id).events[-2:]
    assert (asked.step, asked.note, asked.organisation.name, asked.person_id, asked.record.id) == (
        Step.ERASURE_REQUESTED,
        "A buyer asks for it",
        "Morning Star Trading Co., Ltd.",
        installation.merchant.id,
        certificate.id,
    )
    assert (agreed.step, agreed.note, agreed.organisation.name, agreed.person_id, agreed.record.id) == (
        Step.ERASURE_AGREED,
        "Not needed for the audit",
        "Yiwu Customs",
        installation.officer.id,
        certificate.id,
    )
    assert installation.record(certificate.id).signed_jwt == ""


def test_each_office_that_keeps_it_must_agree(installation):
    certificate = held_certificate(installation)
    lodged_and(installation, [certificate], how="reject")
    lodged_and(installation, [certificate], how="reject", declarationReference="MS-2", customsOffice="CNNBO")
    ask(installation, certificate)
    agree(installation, certificate)
    with pytest.raises(Retained) as refused:
        erase(installation, certificate)
    assert refused.value.office == "CNNBO"
    agree(installation, certificate, who="other_officer")
    erase(installation, certificate)


def test_consent_does_not_cover_a_later_declaration(installation):
    certificate = held_certificate(installation)
    lodged_and(installation, [certificate], how="reject")
    ask(installation, certificate)
    agree(installation, certificate)
    lodged_and(installation, [certificate], how="reject", declarationReference="MS-2")
    with pytest.raises(Retained):
        erase(installation, certificate)
    ask(installation, certificate)
    agree(installation, certificate)
    erase(installation, certificate)


def test_consent_does_not_cover_a_later_version(installation):
    statement, confirm, _ = confirmed(installation)
    installation.settle()
    lodged_and(installation, [statement], how="reject")
    ask(installation, statement)
    agree(installation, statement)
    certificate = confirm()
    with pytest.raises(Retained):
        erase(installation, certificate)
    with pytest.raises(Conflict, match="newer version"):
        ask(installation, statement)
    ask(installation, certificate)
    agree(installation, certificate)
    assert {one.id for one in erase(installation, certificate).records} == {certificate.id, statement.id}


@pytest.mark.parametrize("who", ["merchant", "rival", "chamber", "laboratory", "authority", "analyst"])
def test_only_officers_agree(installation, who):
    certificate = held_certificate(installation)
    lodged_and(installation, [certificate], how="reject")
    ask(installation, certificate)
    with pytest.raises((NotAllowed, NotFound)):
        agree(installation, certificate, who=who)
    with pytest.raises(Retained):
        erase(installation, certificate)


def test_another_office_agrees_only_by_delegation(installation):
    certificate = held_certificate(installation)
    lodged_and(installation, [certificate], how="reject")
    ask(installation, certificate)
    with pytest.raises(NotFound):
        agree(installation, certificate, who="other_officer")
    other = installation.other_officer.organisation.id
    until = installation.clock() + timedelta(days=9)
    customs_offices.delegate(installation.ctx, installation.officer, "CNYIU", other, until)
    agree(installation, certificate, who="other_officer")
    erase(installation, certificate)


@pytest.mark.parametrize("who", ["rival", "chamber", "officer", "authority"])
def test_only_the_holder_asks(installation, who):
    certificate = held_certificate(installation)
    lodged_and(installation, [certificate], how="reject")
    with pytest.raises(NotFound):
        ask(installation, certificate, who=who)


@pytest.mark.parametrize("reason", ["", "  ", "x" * 2001])
def test_consent_without_a_reason_is_refused(installation, reason):
    certificate = held_certificate(installation)
    lodged_and(installation, [certificate], how="reject")
    with pytest.raises(Invalid):
        ask(installation, certificate, reason=reason)
    ask(installation, certificate)
    with pytest.raises(Invalid):
        agree(installation, certificate, reason=reason)


def test_nobody_is_asked_twice_or_in_vain(installation):
    certificate = held_certificate(installation)
    with pytest.raises(Conflict, match="no customs office to ask"):
        ask(installation, certificate)
    consignment = lodged_and(installation, [certificate], how="reject")
    ask(installation, certificate)
    with pytest.raises(Conflict, match="no customs office to ask"):
        ask(installation, certificate)
    agree(installation, certificate)
    with pytest.raises(Conflict, match="nobody asks"):
        agree(installation, certificate)
    with pytest.raises(NotAllowed):
        ask(installation, consignment)


def test_consent_rests_on_the_version_that_was_read(installation):
    certificate = held_certificate(installation)
    lodged_and(installation, [certificate], how="reject")
    read = installation.record(certificate.id).version
    ask(installation, certificate, read=read)
    with pytest.raises(StaleVersion) as refused:
        agree(installation, certificate, read=read)
    assert [(one.what, one.why) for one in refused.value.changes] == [("erasure-requested", "A buyer asks for it")]
    agree(installation, certificate, read=read + 1)


def test_request_leaves_the_alert_about_a_fallen_paper(installation):
    certificate, report = held_certificate(installation), installation.issue_report()
    consignment = lodged_and(installation, [certificate, report])
    ask(installation, certificate)
    issuance.revoke(installation.ctx, installation.laboratory, report.id, "wrong sample")
    agree(installation, certificate)
    assert installation.consignment(consignment.id).alerted_at is not None


@pytest.mark.parametrize("first", ["erase", "lodge"])
def test_lodgement_and_erasure_never_both_succeed(installation, first):
    certificate = held_certificate(installation)
    steps = {"erase": lambda: erase(installation, certificate), "lodge": lambda: installation.lodge([certificate])}
    second = next(name for name in steps if name != first)
    steps[first]()
    with pytest.raises((Conflict, Invalid)):
        steps[second]()


def test_lodgement_racing_with_an_erasure(installation):
    """Both at once, many times: the declaration's paper can be read, or the declaration was refused."""
    for number in range(12):
        certificate = held_certificate(installation, certificateNumber=f"RACE-{number}")
        fields = lodgement_fields(records=[certificate.id], declarationReference=f"RACE-{number}")
        gate = threading.Barrier(2)

        def lodge(fields=fields, gate=gate):
            gate.wait()
            return declarations.lodge(installation.ctx, installation.merchant, fields)

        def wipe(certificate=certificate, gate=gate):
            gate.wait()
            return erase(installation, certificate)

        with ThreadPoolExecutor(2) as pool:
            both = [pool.submit(step) for step in (lodge, wipe)]
        failed = [one.exception() for one in both]
        assert sum(error is not None for error in failed) == 1, failed
        assert all(isinstance(error, Conflict | Invalid) for error in failed if error)
        assert (installation.record(certificate.id).erased_at is None) == (failed[0] is None)


def test_altered_declaration_keeps_its_papers_no_shorter(installation):
    """Its trade mode cannot be read any more when it is decided on."""
    certificate = held_certificate(installation)
    consignment = installation.lodge([certificate])
    installation.settle()
    before = kept_until(installation, certificate)
    with installation.ctx.work() as work:
        work.records.get(consignment.id).disclosures = ["altered"]
        work.commit()
    installation.clock.pass_by(timedelta(days=30))
    decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.REJECT, "It was altered")
    assert kept_until(installation, certificate) > before + timedelta(days=29)
