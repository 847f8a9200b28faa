"""A merchant orders a report: the laboratory states and signs all of it, and the order goes where its record goes."""

import pytest

from backend.domain.errors import Conflict, Invalid, NotAllowed, NotFound
from backend.domain.kinds import Kind
from backend.domain.records import Assurance, RequestState
from backend.domain.verdict import Conclusion
from backend.services import erasure, files, issuance, statements
from backend.services.verification import verdict_on
from tests.helpers.builders import PDF, laboratory_order_fields, report_fields
from tests.services.encrypted_texts import bytes_on_disk

REPORT = Kind.INSPECTION_REPORT
WANTED = "Leakage current at Bukit Timah"


def order(installation, actor="merchant", issuer="laboratory", kind=REPORT, instead_of=None, **changes):
    issuer_id = installation.people[issuer].organisation.id
    fields = laboratory_order_fields(testsWanted=WANTED) | changes
    return statements.order(
        installation.ctx, installation.people[actor], kind, fields, issuer_id, instead_of=instead_of
    )


def report(installation, request, who="laboratory", number="R-1", **changes):
    fields = report_fields(reportNumber=None) | changes
    return issuance.confirm(installation.ctx, installation.people[who], request.id, number, fields)


def stored(installation, request):
    with installation.ctx.work(reading=True) as work:
        return work.requests.get(request.id)


def upload(installation, who="merchant"):
    held = files.store_pdf(installation.ctx, installation.people[who], PDF)
    return {"fileName": "invoice.pdf", "size": held.size, "sha256": held.sha256}


def test_laboratory_states_report_that_was_ordered(installation):
    request = order(installation)
    signed = report(installation, request, itemIdentification="LOT-9")
    installation.settle()
    on_file = installation.record(signed.id)
    assert on_file.assurance is Assurance.ISSUED
    assert on_file.issuer.id == installation.people["laboratory"].organisation.id
    assert on_file.holder.id == installation.merchant.organisation.id
    assert on_file.supersedes_id is None
    assert on_file.fields["itemIdentification"] == "LOT-9"
    assert verdict_on(installation.ctx, on_file).conclusion is Conclusion.VALID
    after = stored(installation, request)
    assert (after.state, after.confirmed.id) == (RequestState.CONFIRMED, signed.id)


def test_order_fills_report_with_what_it_says(installation):
    request = order(installation, itemDescription="Lamp as ordered")
    assert issuance.taken_over(request)["itemDescription"] == "Lamp as ordered"
    assert set(issuance.taken_over(request)) == {
        *("customer", "itemDescription", "itemIdentification", "hsCode", "specification")
    }


def test_order_alone_makes_no_report(installation):
    """The merchant states no result, so that nothing could be signed without the laboratory's own."""
    request = order(installation)
    with pytest.raises(Invalid) as refusal:
        issuance.confirm(installation.ctx, installation.people["laboratory"], request.id, "R-1")
    assert {where for where, _ in refusal.value.problems} >= {"results", "method", "conforms"}
    assert stored(installation, request).state is RequestState.WAITING


@pytest.mark.parametrize("field", ["results", "conforms", "reportNumber"])
def test_order_with_laboratorys_field_is_refused(installation, field):
    with pytest.raises(Invalid):
        order(installation, **{field: report_fields()[field]})


@pytest.mark.parametrize("who", ["chamber", "laboratory", "officer", "authority"])
def test_only_merchant_orders(installation, who):
    with pytest.raises(NotAllowed):
        order(installation, actor=who)


def test_order_goes_to_issuer_of_kind(installation):
    with pytest.raises(Invalid):
        order(installation, issuer="chamber")
    with pytest.raises(Invalid):
        order(installation, issuer="chamber", kind=Kind.CERTIFICATE_OF_ORIGIN)


def test_order_names_uploaded_files_only(installation):
    attachment = upload(installation)
    (named,) = order(installation, attachments=[attachment]).order["attachments"]
    assert named["sha256"] == attachment["sha256"]
    with pytest.raises(Invalid):
        order(installation, actor="rival", attachments=[attachment])


@pytest.mark.parametrize("who", ["merchant", "chamber", "rival"])
def test_other_than_laboratory_carries_out_nothing(installation, who):
    request = order(installation)
    with pytest.raises(NotFound):
        report(installation, request, who)


def test_order_sent_back_is_corrected(installation):
    request = order(installation)
    laboratory = installation.people["laboratory"]
    issuance.send_back(installation.ctx, laboratory, request.id, "Which model?", ["testsWanted"])
    corrected = order(installation, instead_of=request.id, testsWanted="Temperature rise")
    assert stored(installation, request).state is RequestState.CLOSED
    with installation.ctx.work(reading=True) as work:
        (change,) = issuance.changes_since_return(work, work.requests.get(corrected.id))
        assert len(work.requests.messages(work.requests.get(corrected.id))) == 1
    assert (change.path, change.before, change.after) == ("testsWanted", WANTED, "Temperature rise")
    with pytest.raises(Conflict):
        order(installation, instead_of=request.id)


def test_field_of_report_cannot_be_marked(installation):
    request = order(installation)
    with pytest.raises(Invalid):
        issuance.send_back(installation.ctx, installation.people["laboratory"], request.id, "No", ["results"])


def test_withdrawn_order_is_forgotten(installation):
    request = order(installation)
    issuance.send_back(installation.ctx, installation.people["laboratory"], request.id, "Which model?")
    statements.withdraw_request(installation.ctx, installation.merchant, request.id)
    after = stored(installation, request)
    assert (after.state, after.order, after.is_erased) == (RequestState.WITHDRAWN, {}, True)
    with installation.ctx.work(reading=True) as work:
        assert work.requests.messages(after) == []


def test_order_lies_encrypted_and_is_erased(installation):
    """With the report go the order, those that it corrected, and their files."""
    attachment = upload(installation)
    first = order(installation, attachments=[attachment])
    issuance.send_back(installation.ctx, installation.people["laboratory"], first.id, "Which model?")
    request = order(installation, instead_of=first.id, attachments=[attachment])
    signed = report(installation, request)
    installation.settle()
    installation.ctx.work.scrub()
    assert WANTED.encode() not in bytes_on_disk(installation)
    erasure.erase(installation.ctx, installation.merchant, signed.id)
    assert [stored(installation, one).order for one in (first, request)] == [{}, {}]
    assert installation.ctx.files.get(attachment["sha256"]) is None


def test_file_of_open_order_survives_erasure(installation):
    attachment = upload(installation)
    signed = report(installation, order(installation, attachments=[attachment]))
    order(installation, attachments=[attachment])
    installation.settle()
    erasure.erase(installation.ctx, installation.merchant, signed.id)
    assert installation.ctx.files.get(attachment["sha256"]) == PDF
