"""Issuers sign, confirm, send back and revoke; merchants state and correct."""

import pytest

from backend.domain.errors import Conflict, Invalid, NotAllowed, NotFound
from backend.domain.kinds import Kind
from backend.domain.records import Assurance, RequestState
from backend.domain.statuses import DocumentStatus
from backend.domain.verdict import Conclusion
from backend.services import files, issuance, products, statements
from backend.services.verification import verdict_on
from tests.helpers.builders import (
    PDF,
    certificate_fields,
    invoice_fields,
    report_fields,
)

CERTIFICATE, REPORT, DECLARATION, INVOICE, *_TRADE = Kind


def state(house, kind=CERTIFICATE, issuer="chamber", **changes):
    fields = certificate_fields(certificateNumber=None) if kind is CERTIFICATE else report_fields(reportNumber=None)
    actor = house.people[changes.pop("actor", "merchant")]
    options = {name: changes.pop(name) for name in ("product_id", "instead_of") if name in changes}
    return statements.issue_statement(
        house.ctx, actor, kind, fields | changes, house.people[issuer].organisation.id, **options
    )


def request_about(house, record):
    with house.ctx.work(reading=True) as work:
        return work.requests.find_about(record.id)


def confirm(house, statement, actor="chamber", number="N-1", **changes):
    return issuance.confirm(house.ctx, house.people[actor], request_about(house, statement).id, number, changes or None)


# Issuing


def test_issued_certificate_belongs_to_its_named_exporter(house):
    record = house.issue_certificate()
    assert record.holder.id == house.merchant.organisation.id
    assert record.issuer.id == house.chamber.organisation.id
    assert record.assurance is Assurance.ISSUED
    assert house.issue_certificate(certificateNumber="2", exporter={"name": "Nobody"}).holder.id == record.issuer.id


def test_a_company_number_decides_before_a_name(house):
    """A name can be anybody's: papers that name another company number are not handed over by name."""
    theirs = house.issue_certificate(exporter={"name": house.merchant.organisation.name, "identifier": "91OTHER"})
    assert theirs.holder.id == house.chamber.organisation.id


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("who", ["merchant", "chamber", "laboratory", "officer", "authority"])
def test_each_role_issues_its_own_kind_only(house, who, kind):
    own = {"chamber": CERTIFICATE, "laboratory": REPORT}.get(who)
    fields = {CERTIFICATE: certificate_fields, REPORT: report_fields}.get(kind, certificate_fields)()
    if own is kind:
        issuance.issue(house.ctx, house.people[who], kind, fields)
        return
    with pytest.raises(NotAllowed):
        issuance.issue(house.ctx, house.people[who], kind, fields)


@pytest.mark.parametrize("spelling", ["zj-26-000123", "ZJ 26 000123", "ZJ26000123", "zj/26/000123", " ZJ-26-000123 "])
def test_number_spelled_differently_is_not_given_twice(house, spelling):
    house.issue_certificate()
    with pytest.raises(Conflict):
        house.issue_certificate(certificateNumber=spelling)


@pytest.mark.parametrize("spelling", ["\uff3a\uff2a-26-000123", "ZJ-26-00012\u00b3"])
def test_number_in_wide_or_raised_letters_is_taken(house, spelling):
    house.issue_certificate()
    with pytest.raises(Conflict):
        house.issue_certificate(certificateNumber=spelling)


def test_number_is_free_for_another_issuer_or_kind(house):
    house.issue_certificate(certificateNumber="N-1")
    house.issue_report(reportNumber="N-1")
    issuance.issue(house.ctx, house.other_chamber, CERTIFICATE, certificate_fields(certificateNumber="N-1"))


def test_an_issued_document_needs_its_number(house):
    for number in (None, ""):
        with pytest.raises(Invalid):
            house.issue_certificate(certificateNumber=number)


def test_an_attachment_must_have_been_uploaded(house):
    stored = files.store_pdf(house.ctx, house.chamber, PDF)
    attachment = {"fileName": "a.pdf", "size": stored.size, "sha256": stored.sha256}
    house.issue_certificate(attachments=[attachment])
    for change in ({"size": 1}, {"sha256": "0" * 64}):
        with pytest.raises(Invalid):
            house.issue_certificate(certificateNumber="N-2", attachments=[attachment | change])


def test_certificate_without_an_end_is_issued(house):
    """31 December 9999 is how many systems write "for ever"."""
    assert house.issue_certificate(validUntil="9999-12-31").id


def test_a_certificate_ends_with_its_last_day(house):
    record = house.issue_certificate(validUntil="2026-03-02")
    house.settle()
    assert verdict_on(house.ctx, record := house.record(record.id)).conclusion is Conclusion.VALID
    house.clock.time = house.clock.time.replace(hour=23, minute=59)
    assert verdict_on(house.ctx, record).conclusion is Conclusion.VALID
    house.clock.time = house.clock.time.replace(day=3, hour=0, minute=1)
    assert verdict_on(house.ctx, record).conclusion is Conclusion.INVALID


# Stating and confirming


def test_confirmed_statement_is_superseded_by_the_issuers_record(house):
    statement = state(house)
    confirmed = confirm(house, statement)
    house.settle()
    old, new = house.record(statement.id), house.record(confirmed.id)
    assert (old.superseded_by_id, new.supersedes_id) == (new.id, old.id)
    assert old.status == DocumentStatus.SUPERSEDED
    assert new.sd_jwt.payload["supersedes"] == old.digest
    assert new.document.certificate_number == "N-1"
    assert new.holder.id == house.merchant.organisation.id
    assert verdict_on(house.ctx, new).conclusion is Conclusion.VALID
    assert verdict_on(house.ctx, old).conclusion is Conclusion.INVALID
    assert house.ledger.status(old.batch.root, old.leaf_index) == DocumentStatus.SUPERSEDED
    assert request_about(house, statement).state is RequestState.CONFIRMED


def test_a_statement_is_answered_once(house):
    statement = state(house)
    confirm(house, statement)
    with pytest.raises(Conflict):
        confirm(house, statement, number="N-2")
    with pytest.raises(Conflict):
        issuance.send_back(house.ctx, house.chamber, request_about(house, statement).id, "too late")


@pytest.mark.parametrize("who", ["other_chamber", "laboratory", "merchant", "rival", "officer", "authority"])
def test_another_organisations_request_does_not_exist(house, who):
    request = request_about(house, state(house))
    with pytest.raises(NotFound):
        issuance.confirm(house.ctx, house.people[who], request.id, "N-1")
    with pytest.raises(NotFound):
        issuance.send_back(house.ctx, house.people[who], request.id, "no")
    assert request_about(house, request.statement).state is RequestState.WAITING


def test_a_number_that_is_taken_cannot_confirm(house):
    house.issue_certificate(certificateNumber="N-1")
    statement = state(house)
    with pytest.raises(Conflict):
        confirm(house, statement, number="n 1")
    assert request_about(house, statement).state is RequestState.WAITING
    assert house.record(statement.id).superseded_by_id is None


@pytest.mark.parametrize("number", ["", "   ", "x" * 61, "N\u200b1"])
def test_a_confirmation_needs_a_number(house, number):
    with pytest.raises(Invalid):
        confirm(house, state(house), number=number)


def test_an_issuer_adds_what_only_it_knows(house):
    statement = state(house, REPORT, "laboratory")
    confirmed = confirm(house, statement, "laboratory", authorisedBy="Chen Jing")
    assert confirmed.document.authorised_by == "Chen Jing"


def test_a_statement_sent_back_is_corrected(house):
    first = state(house)
    request = request_about(house, first)
    issuance.send_back(house.ctx, house.chamber, request.id, "  the quantity is wrong ")
    assert request_about(house, first).reason == "the quantity is wrong"
    second = state(house, quantity="400", instead_of=request.id)
    assert house.record(first.id).superseded_by_id == second.id
    confirmed = confirm(house, second)
    house.settle()
    assert verdict_on(house.ctx, house.record(confirmed.id)).conclusion is Conclusion.VALID


def test_only_a_request_sent_back_is_corrected_once(house):
    first = state(house)
    request = request_about(house, first)
    with pytest.raises(Conflict):
        state(house, instead_of=request.id)
    issuance.send_back(house.ctx, house.chamber, request.id, "wrong")
    with pytest.raises(NotFound):
        state(house, instead_of=request.id, actor="rival")
    state(house, instead_of=request.id)
    with pytest.raises(Conflict):
        state(house, instead_of=request.id)


@pytest.mark.parametrize("reason", ["", "  "])
def test_sending_back_needs_a_reason(house, reason):
    with pytest.raises(Invalid):
        issuance.send_back(house.ctx, house.chamber, request_about(house, state(house)).id, reason)


@pytest.mark.parametrize("issuer", ["laboratory", "officer", "authority", "merchant"])
def test_statement_before_somebody_unable_to_confirm_is_refused(house, issuer):
    with pytest.raises(Invalid):
        state(house, issuer=issuer)


@pytest.mark.parametrize("issuer_id", ["", "nobody"])
def test_a_statement_names_an_issuer_that_exists(house, issuer_id):
    with pytest.raises(Invalid):
        statements.issue_statement(house.ctx, house.merchant, CERTIFICATE, certificate_fields(), issuer_id)


@pytest.mark.parametrize("who", ["chamber", "laboratory", "officer", "authority"])
def test_only_merchants_state(house, who):
    with pytest.raises(NotAllowed):
        state(house, actor=who)
    with pytest.raises(NotAllowed):
        statements.sign_own(house.ctx, house.people[who], Kind.INVOICE, invoice_fields())


def test_anothers_product_cannot_be_named(house):
    fields = {"name": "Lamp", "hsCode": "940521", "description": "A lamp"}
    product = products.add_product(house.ctx, house.rival, fields)
    with pytest.raises(NotFound):
        state(house, product_id=product.id)


# Revoking


def test_a_revoked_record_is_invalid_for_good(house):
    record = house.issue_certificate()
    house.settle()
    issuance.revoke(house.ctx, house.chamber, record.id, "wrong goods")
    assert verdict_on(house.ctx, house.record(record.id)).conclusion is Conclusion.INVALID
    house.settle()
    with pytest.raises(Conflict):
        issuance.revoke(house.ctx, house.chamber, record.id, "again")


@pytest.mark.parametrize("who", ["other_chamber", "laboratory", "merchant", "rival", "officer", "authority"])
def test_only_its_issuer_revokes_a_record(house, who):
    record = house.issue_certificate()
    with pytest.raises(NotFound):
        issuance.revoke(house.ctx, house.people[who], record.id, "mine now")
    assert house.record(record.id).status == DocumentStatus.ACTIVE


def test_a_declaration_is_not_revoked_but_withdrawn(house):
    consignment = house.lodge([])
    with pytest.raises(NotFound):
        issuance.revoke(house.ctx, house.merchant, consignment.id, "changed my mind")


@pytest.mark.parametrize("reason", ["", " "])
def test_a_revocation_needs_its_reason(house, reason):
    record = house.issue_certificate()
    with pytest.raises(Invalid):
        issuance.revoke(house.ctx, house.chamber, record.id, reason)


def test_statement_taken_back_cannot_be_confirmed(house):
    statement = state(house)
    issuance.revoke(house.ctx, house.merchant, statement.id, "stated in error")
    with pytest.raises(Conflict):
        confirm(house, statement)
    assert house.record(statement.id).status == DocumentStatus.REVOKED
