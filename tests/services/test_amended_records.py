"""Records that take the place of issued ones: amended, or the same again under a new number."""

from datetime import timedelta

import pytest

from backend.domain.drawdowns import Count
from backend.domain.errors import Conflict, Invalid, NotFound, StaleVersion
from backend.domain.kinds import Kind
from backend.domain.ledger import DeclarationStatus, DocumentStatus
from backend.domain.verdict import Conclusion
from backend.services import accreditation, issuance
from backend.services.accreditation import signer_terms
from backend.services.decisions import NotReleasable
from backend.services.verification import verdict_on
from tests.helpers.builders import certificate_fields
from tests.services.test_drawdowns import lodged, release
from tests.services.test_threads_of_requests import ask_for

CERTIFICATE = Kind.CERTIFICATE_OF_ORIGIN


def amend(installation, record, who="chamber", reason="The consignee has moved.", read=None, **changes):
    fields = {**installation.record(record.id).fields, "certificateNumber": "ZJ-26-2", **changes}
    return issuance.amend(installation.ctx, installation.people[who], record.id, fields, reason, read)


def test_amended_certificate_takes_its_place(installation):
    record = installation.issue_certificate()
    installation.settle()
    amended = amend(installation, record, description="Lamps, as they are")
    installation.settle()
    old, new = installation.record(record.id), installation.record(amended.id)
    assert (old.status, old.superseded_by_id) == (DocumentStatus.SUPERSEDED, new.id)
    assert old.status_reason == "The consignee has moved."
    assert new.sd_jwt.payload["supersedes"] == old.digest
    assert new.holder.id == old.holder.id
    assert verdict_on(installation.ctx, new).conclusion is Conclusion.VALID
    assert verdict_on(installation.ctx, old).conclusion is Conclusion.INVALID


def test_reissued_certificate_says_the_same(installation):
    record = installation.issue_certificate()
    made = issuance.reissue(installation.ctx, installation.chamber, record.id, "ZJ-26-3", "Lost with the courier.")
    old, new = installation.record(record.id).fields, installation.record(made.id).fields
    assert new == {**old, "certificateNumber": "ZJ-26-3"}


@pytest.mark.parametrize("who", ["other_chamber", "laboratory", "merchant", "officer", "authority"])
def test_only_its_issuer_amends_record(installation, who):
    record = installation.issue_certificate()
    with pytest.raises(NotFound):
        amend(installation, record, who)
    assert installation.record(record.id).status == DocumentStatus.ACTIVE


def test_statement_is_not_amended_by_issuer(installation):
    request = ask_for(installation)
    with pytest.raises(NotFound):
        amend(installation, request.statement)


@pytest.mark.parametrize("reason", ["", "  "])
def test_amendment_needs_its_reason(installation, reason):
    with pytest.raises(Invalid):
        amend(installation, installation.issue_certificate(), reason=reason)


def test_amendment_under_taken_number_is_refused(installation):
    record = installation.issue_certificate()
    with pytest.raises(Conflict):
        amend(installation, record, certificateNumber=record.document.certificate_number)
    assert installation.record(record.id).status == DocumentStatus.ACTIVE


def test_record_is_replaced_once(installation):
    record = installation.issue_certificate()
    amend(installation, record)
    with pytest.raises(Conflict):
        amend(installation, record, certificateNumber="ZJ-26-4")


def test_revoked_record_is_not_amended(installation):
    record = installation.issue_certificate()
    issuance.revoke(installation.ctx, installation.chamber, record.id, "Made elsewhere.")
    with pytest.raises(Conflict):
        amend(installation, record)


def test_amendment_of_changed_record_is_stale(installation):
    record = installation.issue_certificate()
    read = installation.record(record.id).version
    with installation.ctx.work() as work:
        work.records.next_version(work.records.get(record.id))
        work.commit()
    with pytest.raises(StaleVersion):
        amend(installation, record, read=read)


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"quantity": "99"}, "quantity"),
        ({"quantity": "501"}, "quantity"),
        ({"unitCode": "KGM", "grossWeightMeasure": "100000"}, "unitCode"),
    ],
)
def test_amendment_below_what_was_released_is_refused(installation, changes, where):
    record = installation.issue_certificate(quantity="500", unitCode="H87")
    count = Count(record.id, record.id, 500_000, "H87", 0, 100_000)
    fields = {**record.fields, **changes}
    with installation.ctx.work(reading=True) as work, pytest.raises(Invalid) as refusal:
        issuance.check_balance(work, installation.record(record.id), count, fields)
    assert [path for path, _ in refusal.value.problems] == [where]


@pytest.mark.parametrize("quantity", ["100", "500"])
def test_amendment_that_covers_released_goods_passes(installation, quantity):
    record = installation.issue_certificate(quantity="500", unitCode="H87")
    count = Count(record.id, record.id, 500_000, "H87", 0, 100_000)
    with installation.ctx.work(reading=True) as work:
        issuance.check_balance(work, record, count, {**record.fields, "quantity": quantity})


def test_undrawn_certificate_is_amended_to_any_quantity(installation):
    record = installation.issue_certificate(quantity="500")
    installation.settle()
    assert amend(installation, record, quantity="5000").quantity == 5_000_000


# What signing checks, beforehand


def checked(installation, fields, kind=CERTIFICATE, who="chamber"):
    issuer = installation.people[who].organisation
    terms = signer_terms(installation.ctx, issuer)
    with installation.ctx.work(reading=True) as work:
        held = work.organisations.get(issuer.id)
        found = issuance.check_before_signing(installation.ctx, work, terms, held, kind, fields)
    return {one.subject: [where for where, _ in one.problems] for one in found}


def test_flawless_document_passes_every_check(installation):
    found = checked(installation, certificate_fields())
    assert found == {name: [] for name in ("document", "dates", "files", "number", "key", "accreditation")}


def test_each_check_refuses_what_signing_refuses(installation):
    """The same document is given to the check and to the signature: where one refuses, so does the other."""
    installation.issue_certificate(certificateNumber="TAKEN-1")
    ahead = (installation.clock.time + timedelta(days=9)).date().isoformat()
    file = {"fileName": "a.pdf", "size": 3, "sha256": "0" * 64}
    flaws = {
        "document": {"freeTradeAgreementName": "RCEP", "importCountry": "KE"},
        "dates": {"issueDate": ahead, "validUntil": None},
        "files": {"attachments": [file]},
        "number": {"certificateNumber": "taken 1"},
    }
    for subject, flaw in flaws.items():
        fields = certificate_fields(**flaw)
        found = checked(installation, fields)
        assert [name for name, problems in found.items() if problems] == [subject], flaw
        with pytest.raises((Invalid, Conflict)):
            issuance.issue(installation.ctx, installation.chamber, CERTIFICATE, fields)


def test_check_tells_of_missing_accreditation(installation):
    chamber = installation.chamber.organisation
    accreditation.accredit(installation.ctx, installation.people["authority"], chamber.id, [61])
    installation.settle()
    found = checked(installation, certificate_fields())
    assert [name for name, problems in found.items() if problems] == ["accreditation"]


def test_amended_certificate_goes_on_with_its_account(installation):
    """Drawn by a release, amended to no less than that, and drawn again for a second release under the new text."""
    record = installation.issue_certificate(quantity="500", unitCode="H87")
    first = lodged(installation, [record], "200", 1)
    release(installation, first)
    installation.settle()
    with pytest.raises(Invalid) as refusal:
        amend(installation, record, quantity="199")
    assert [where for where, _ in refusal.value.problems] == ["quantity"]
    amended = amend(installation, record, quantity="300")
    installation.settle()
    second = lodged(installation, [installation.record(amended.id)], "100", 2)
    release(installation, second)
    installation.settle()
    assert installation.consignment(second.id).status == DeclarationStatus.RELEASED
    with installation.ctx.work(reading=True) as work:
        count = issuance.balance_of(installation.ctx, work, work.records.get(amended.id))
    assert (count.quantity, count.remaining) == (300_000, 0)
    third = lodged(installation, [installation.record(amended.id)], "1", 3)
    with pytest.raises(NotReleasable):
        release(installation, third)
