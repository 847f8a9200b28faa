"""Issuers sign, confirm, send back and revoke; merchants state and correct."""

import pytest
from sqlalchemy import text

from backend.domain.errors import Conflict, Invalid, NotAllowed, NotFound
from backend.domain.kinds import KINDS, Kind, Signing
from backend.domain.ledger import DocumentStatus
from backend.domain.records import Assurance, RequestState
from backend.domain.verdict import Conclusion
from backend.services import declarations, files, issuance, products, statements
from backend.services.verification import verdict_on
from tests.helpers.builders import FIELDS, PDF, certificate_fields, invoice_fields, lodgement_fields, report_fields
from tests.services.conftest import somebody

CERTIFICATE, REPORT, DECLARATION, INVOICE, *_TRADE = Kind


def state(installation, kind=CERTIFICATE, issuer="chamber", **changes):
    fields = certificate_fields(certificateNumber=None) if kind is CERTIFICATE else report_fields(reportNumber=None)
    actor = installation.people[changes.pop("actor", "merchant")]
    options = {name: changes.pop(name) for name in ("product_id", "instead_of") if name in changes}
    return statements.issue_statement(
        installation.ctx, actor, kind, fields | changes, installation.people[issuer].organisation.id, **options
    )


def request_about(installation, record):
    with installation.ctx.work(reading=True) as work:
        return work.requests.find_about(record.id)


def confirm(installation, statement, actor="chamber", number="N-1", **changes):
    return issuance.confirm(
        installation.ctx, installation.people[actor], request_about(installation, statement).id, number, changes or None
    )


# Issuing


def test_issued_certificate_belongs_to_its_named_exporter(installation):
    record = installation.issue_certificate()
    assert record.holder.id == installation.merchant.organisation.id
    assert record.issuer.id == installation.chamber.organisation.id
    assert record.assurance is Assurance.ISSUED
    assert (
        installation.issue_certificate(certificateNumber="2", exporter={"name": "Nobody"}).holder.id == record.issuer.id
    )


def test_a_company_number_decides_before_a_name(installation):
    """A name can be anybody's: papers that name another company number are not handed over by name."""
    theirs = installation.issue_certificate(
        exporter={"name": installation.merchant.organisation.name, "identifier": "91OTHER"}
    )
    assert theirs.holder.id == installation.chamber.organisation.id


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("who", ["merchant", "chamber", "laboratory", "officer", "authority"])
def test_each_role_issues_its_own_kind_only(installation, who, kind):
    own = {"chamber": CERTIFICATE, "laboratory": REPORT}.get(who)
    fields = {CERTIFICATE: certificate_fields, REPORT: report_fields}.get(kind, certificate_fields)()
    if own is kind:
        issuance.issue(installation.ctx, installation.people[who], kind, fields)
        return
    with pytest.raises(NotAllowed):
        issuance.issue(installation.ctx, installation.people[who], kind, fields)


@pytest.mark.parametrize("spelling", ["zj-26-000123", "ZJ 26 000123", "ZJ26000123", "zj/26/000123", " ZJ-26-000123 "])
def test_number_spelled_differently_is_not_given_twice(installation, spelling):
    installation.issue_certificate()
    with pytest.raises(Conflict):
        installation.issue_certificate(certificateNumber=spelling)


@pytest.mark.parametrize("spelling", ["\uff3a\uff2a-26-000123", "ZJ-26-00012\u00b3"])
def test_number_in_wide_or_raised_letters_is_taken(installation, spelling):
    installation.issue_certificate()
    with pytest.raises(Conflict):
        installation.issue_certificate(certificateNumber=spelling)


def test_number_is_free_for_another_issuer_or_kind(installation):
    installation.issue_certificate(certificateNumber="N-1")
    installation.issue_report(reportNumber="N-1")
    issuance.issue(
        installation.ctx, installation.other_chamber, CERTIFICATE, certificate_fields(certificateNumber="N-1")
    )


def test_an_issued_document_needs_its_number(installation):
    for number in (None, ""):
        with pytest.raises(Invalid):
            installation.issue_certificate(certificateNumber=number)


def test_an_attachment_must_have_been_uploaded(installation):
    stored = files.store_pdf(installation.ctx, installation.chamber, PDF)
    attachment = {"fileName": "a.pdf", "size": stored.size, "sha256": stored.sha256}
    installation.issue_certificate(attachments=[attachment])
    for change in ({"size": 1}, {"sha256": "0" * 64}):
        with pytest.raises(Invalid):
            installation.issue_certificate(certificateNumber="N-2", attachments=[attachment | change])


def test_certificate_without_an_end_is_issued(installation):
    """31 December 9999 is how many systems write "for ever"."""
    assert installation.issue_certificate(validUntil="9999-12-31").id


def test_a_certificate_ends_with_its_last_day(installation):
    record = installation.issue_certificate(validUntil="2026-03-02")
    installation.settle()
    assert verdict_on(installation.ctx, record := installation.record(record.id)).conclusion is Conclusion.VALID
    installation.clock.time = installation.clock.time.replace(hour=23, minute=59)
    assert verdict_on(installation.ctx, record).conclusion is Conclusion.VALID
    installation.clock.time = installation.clock.time.replace(day=3, hour=0, minute=1)
    assert verdict_on(installation.ctx, record).conclusion is Conclusion.INVALID


# Stating and confirming


def test_confirmed_statement_is_superseded_by_the_issuers_record(installation):
    statement = state(installation)
    confirmed = confirm(installation, statement)
    installation.settle()
    old, new = installation.record(statement.id), installation.record(confirmed.id)
    assert (old.superseded_by_id, new.supersedes_id) == (new.id, old.id)
    assert old.status == DocumentStatus.SUPERSEDED
    assert new.sd_jwt.payload["supersedes"] == old.digest
    assert new.document.certificate_number == "N-1"
    assert new.holder.id == installation.merchant.organisation.id
    assert verdict_on(installation.ctx, new).conclusion is Conclusion.VALID
    assert verdict_on(installation.ctx, old).conclusion is Conclusion.INVALID
    assert (
        installation.ledger.status(installation.ledger.batch_key(old.batch.root), old.leaf_index)
        == DocumentStatus.SUPERSEDED
    )
    assert request_about(installation, statement).state is RequestState.CONFIRMED


def test_a_statement_is_answered_once(installation):
    statement = state(installation)
    confirm(installation, statement)
    with pytest.raises(Conflict):
        confirm(installation, statement, number="N-2")
    with pytest.raises(Conflict):
        issuance.send_back(
            installation.ctx, installation.chamber, request_about(installation, statement).id, "too late"
        )


@pytest.mark.parametrize("who", ["other_chamber", "laboratory", "merchant", "rival", "officer", "authority"])
def test_another_organisations_request_does_not_exist(installation, who):
    request = request_about(installation, state(installation))
    with pytest.raises(NotFound):
        issuance.confirm(installation.ctx, installation.people[who], request.id, "N-1")
    with pytest.raises(NotFound):
        issuance.send_back(installation.ctx, installation.people[who], request.id, "no")
    assert request_about(installation, request.statement).state is RequestState.WAITING


def test_a_number_that_is_taken_cannot_confirm(installation):
    installation.issue_certificate(certificateNumber="N-1")
    statement = state(installation)
    with pytest.raises(Conflict):
        confirm(installation, statement, number="n 1")
    assert request_about(installation, statement).state is RequestState.WAITING
    assert installation.record(statement.id).superseded_by_id is None


@pytest.mark.parametrize("number", ["", "   ", "x" * 61, "N\u200b1"])
def test_a_confirmation_needs_a_number(installation, number):
    with pytest.raises(Invalid):
        confirm(installation, state(installation), number=number)


def test_an_issuer_adds_what_only_it_knows(installation):
    statement = state(installation, REPORT, "laboratory")
    confirmed = confirm(installation, statement, "laboratory", authorisedBy="Chen Jing")
    assert confirmed.document.authorised_by == "Chen Jing"


def test_a_statement_sent_back_is_corrected(installation):
    first = state(installation)
    request = request_about(installation, first)
    issuance.send_back(installation.ctx, installation.chamber, request.id, "  the quantity is wrong ")
    assert request_about(installation, first).reason == "the quantity is wrong"
    second = state(installation, quantity="400", instead_of=request.id)
    assert installation.record(first.id).superseded_by_id == second.id
    confirmed = confirm(installation, second)
    installation.settle()
    assert verdict_on(installation.ctx, installation.record(confirmed.id)).conclusion is Conclusion.VALID


def test_only_a_request_sent_back_is_corrected_once(installation):
    first = state(installation)
    request = request_about(installation, first)
    with pytest.raises(Conflict):
        state(installation, instead_of=request.id)
    issuance.send_back(installation.ctx, installation.chamber, request.id, "wrong")
    with pytest.raises(NotFound):
        state(installation, instead_of=request.id, actor="rival")
    state(installation, instead_of=request.id)
    with pytest.raises(Conflict):
        state(installation, instead_of=request.id)


@pytest.mark.parametrize("way", ["original_of", "latest_of", "line_of"])
def test_versions_in_a_circle_are_followed_once(installation, way):
    """Only an altered database holds a circle; following it must end."""
    first, second, third = (state(installation) for _ in range(3))
    replaced = {first.id: second.id, second.id: third.id, third.id: first.id}
    with installation.ctx.work() as work:
        connection = work._session.connection()
        for older, newer in replaced.items():
            connection.execute(
                text("UPDATE record SET superseded_by_id = :newer WHERE id = :older"), {"newer": newer, "older": older}
            )
            connection.execute(
                text("UPDATE record SET supersedes_id = :older WHERE id = :newer"), {"newer": newer, "older": older}
            )
        work.commit()
    with installation.ctx.work(reading=True) as work:
        found = getattr(work.records, way)(work.records.get(first.id))
    assert {one.id for one in (found if way == "line_of" else [found])} <= set(replaced)


def test_request_sent_back_is_withdrawn_by_merchant(installation):
    first = state(installation)
    request = request_about(installation, first)
    with pytest.raises(Conflict):
        statements.withdraw_request(installation.ctx, installation.merchant, request.id)
    issuance.send_back(installation.ctx, installation.chamber, request.id, "wrong")
    with pytest.raises(NotFound):
        statements.withdraw_request(installation.ctx, installation.rival, request.id)
    statements.withdraw_request(installation.ctx, installation.merchant, request.id)
    assert request_about(installation, first).state is RequestState.WITHDRAWN
    with pytest.raises(Conflict):
        statements.withdraw_request(installation.ctx, installation.merchant, request.id)


def test_request_withdrawn_is_neither_corrected_nor_confirmed(installation):
    first = state(installation)
    request = request_about(installation, first)
    issuance.send_back(installation.ctx, installation.chamber, request.id, "wrong")
    statements.withdraw_request(installation.ctx, installation.merchant, request.id)
    with pytest.raises(Conflict):
        state(installation, instead_of=request.id)
    with pytest.raises(Conflict):
        confirm(installation, first)


@pytest.mark.parametrize("reason", ["", "  "])
def test_sending_back_needs_a_reason(installation, reason):
    with pytest.raises(Invalid):
        issuance.send_back(
            installation.ctx, installation.chamber, request_about(installation, state(installation)).id, reason
        )


@pytest.mark.parametrize("issuer", ["laboratory", "officer", "authority", "merchant"])
def test_statement_before_somebody_unable_to_confirm_is_refused(installation, issuer):
    with pytest.raises(Invalid):
        state(installation, issuer=issuer)


@pytest.mark.parametrize("issuer_id", ["", "nobody"])
def test_a_statement_names_an_issuer_that_exists(installation, issuer_id):
    with pytest.raises(Invalid):
        statements.issue_statement(
            installation.ctx, installation.merchant, CERTIFICATE, certificate_fields(), issuer_id
        )


@pytest.mark.parametrize("who", ["chamber", "laboratory", "officer", "authority"])
def test_only_merchants_state(installation, who):
    with pytest.raises(NotAllowed):
        state(installation, actor=who)
    with pytest.raises(NotAllowed):
        statements.sign_own(installation.ctx, installation.people[who], Kind.INVOICE, invoice_fields())


def test_anothers_product_cannot_be_named(installation):
    fields = {"name": "Lamp", "hsCode": "940521", "description": "A lamp"}
    product = products.add_product(installation.ctx, installation.rival, fields)
    with pytest.raises(NotFound):
        state(installation, product_id=product.id)


# Revoking


def test_a_revoked_record_is_invalid_for_good(installation):
    record = installation.issue_certificate()
    installation.settle()
    issuance.revoke(installation.ctx, installation.chamber, record.id, "wrong goods")
    assert verdict_on(installation.ctx, installation.record(record.id)).conclusion is Conclusion.INVALID
    installation.settle()
    with pytest.raises(Conflict):
        issuance.revoke(installation.ctx, installation.chamber, record.id, "again")


@pytest.mark.parametrize("who", ["other_chamber", "laboratory", "merchant", "rival", "officer", "authority"])
def test_only_its_issuer_revokes_a_record(installation, who):
    record = installation.issue_certificate()
    with pytest.raises(NotFound):
        issuance.revoke(installation.ctx, installation.people[who], record.id, "mine now")
    assert installation.record(record.id).status == DocumentStatus.ACTIVE


def test_a_declaration_is_not_revoked_but_withdrawn(installation):
    consignment = installation.lodge([])
    with pytest.raises(NotFound):
        issuance.revoke(installation.ctx, installation.merchant, consignment.id, "changed my mind")


@pytest.mark.parametrize("reason", ["", " "])
def test_a_revocation_needs_its_reason(installation, reason):
    record = installation.issue_certificate()
    with pytest.raises(Invalid):
        issuance.revoke(installation.ctx, installation.chamber, record.id, reason)


def test_statement_taken_back_cannot_be_confirmed(installation):
    statement = state(installation)
    issuance.revoke(installation.ctx, installation.merchant, statement.id, "stated in error")
    with pytest.raises(Conflict):
        confirm(installation, statement)
    assert installation.record(statement.id).status == DocumentStatus.REVOKED


# Dates, and the agreement that a certificate is issued under


def end_of(installation, record):
    found = installation.record(record.id)
    return found.fields.get("validUntil"), found.sd_jwt.payload.get("validUntil"), found.valid_until


def test_agreements_term_fills_the_end(installation):
    """In what is signed, in its claims, and in what is kept, which the ledger's count goes by."""
    issued = installation.issue_certificate(freeTradeAgreementName="RCEP")
    stated, claimed, kept = end_of(installation, issued)
    assert (stated, claimed) == ("2027-03-01", "2027-03-02T00:00:00+00:00")
    assert kept.isoformat() == claimed
    assert end_of(installation, installation.issue_certificate(certificateNumber="N-2")) == (None, None, None)


def test_confirming_fills_the_end_too(installation):
    statement = state(installation, freeTradeAgreementName="RCEP")
    assert end_of(installation, statement) == (None, None, None)
    assert end_of(installation, confirm(installation, statement))[0] == "2027-03-01"


def sign(installation, kind, fields):
    """As whoever signs this kind does."""
    actor = somebody(installation, min(KINDS[kind].signed_by))
    match KINDS[kind].signing:
        case Signing.LODGED:
            return declarations.lodge(installation.ctx, installation.merchant, lodgement_fields(**fields))
        case Signing.OWN:
            return statements.sign_own(installation.ctx, installation.merchant, kind, FIELDS[kind](**fields))
        case Signing.CERTIFIED:
            return issuance.issue(installation.ctx, actor, kind, FIELDS[kind](**fields))


@pytest.mark.parametrize("kind", [kind for kind in Kind if KINDS[kind].dates_of_the_past])
def test_dates_ahead_are_refused_before_signing(installation, kind):
    """Each date that tells of the past is named, in every kind of paper."""
    names = KINDS[kind].dates_of_the_past
    with pytest.raises(Invalid) as refused:
        sign(installation, kind, {name: "2027-04-06T00:00:00Z" if "Time" in name else "2027-04-06" for name in names})
    assert [where for where, _ in refused.value.problems] == list(names)


def test_tomorrow_is_no_day_ahead(installation):
    """A day begins earlier elsewhere."""
    assert installation.issue_certificate(issueDate="2026-03-03").id
    with pytest.raises(Invalid) as refused:
        installation.issue_certificate(certificateNumber="N-2", issueDate="2026-03-04")
    assert [where for where, _ in refused.value.problems] == ["issueDate"]
