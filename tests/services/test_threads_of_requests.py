"""Questions and answers about a request, marked fields, and what was changed since it was sent back."""

import pytest

from backend.domain.errors import Conflict, Invalid, NotFound
from backend.domain.kinds import Kind
from backend.domain.records import FieldChange, changes_between
from backend.services import erasure, issuance, statements
from backend.store.repositories import records
from tests.helpers.builders import certificate_fields
from tests.services.encrypted_texts import bytes_on_disk

CERTIFICATE = Kind.CERTIFICATE_OF_ORIGIN
QUESTION = "Does the weight count the pallets of Bukit Timah?"


def ask_for(installation, instead_of=None, issuer="chamber", **changes):
    """A request of the merchant's to an issuer, for a certificate."""
    fields = certificate_fields(certificateNumber=None) | changes
    issuer_id = installation.people[issuer].organisation.id
    stated = statements.issue_statement(
        installation.ctx, installation.merchant, CERTIFICATE, fields, issuer_id, instead_of=instead_of
    )
    return request_about(installation, stated.id)


def request_about(installation, record_id):
    with installation.ctx.work(reading=True) as work:
        return work.requests.find_about(record_id)


def write(installation, who, request, text=QUESTION):
    return issuance.write_message(installation.ctx, installation.people[who], request.id, text)


def send_back(installation, request, *doubtful, reason="The quantity is that of one carton."):
    return issuance.send_back(installation.ctx, installation.chamber, request.id, reason, doubtful)


def thread(installation, request):
    with installation.ctx.work(reading=True) as work:
        return work.requests.messages(work.requests.get(request.id))


def changes(installation, request):
    with installation.ctx.work(reading=True) as work:
        return issuance.changes_since_return(work, work.requests.get(request.id))


def test_both_sides_read_thread_in_order(installation):
    request = ask_for(installation)
    write(installation, "chamber", request)
    write(installation, "merchant", request, "  Without them.  ")
    said = [(one.author.id, one.text) for one in thread(installation, request)]
    assert said == [
        (installation.chamber.organisation.id, QUESTION),
        (installation.merchant.organisation.id, "Without them."),
    ]
    assert request_about(installation, request.statement.id).last_author_id == installation.merchant.organisation.id


@pytest.mark.parametrize("who", ["rival", "other_chamber", "laboratory", "officer", "authority"])
def test_stranger_finds_no_thread(installation, who):
    request = ask_for(installation)
    with pytest.raises(NotFound):
        write(installation, who, request)
    assert thread(installation, request) == []


@pytest.mark.parametrize("text", ["", " \n "])
def test_empty_message_is_refused(installation, text):
    with pytest.raises(Invalid):
        write(installation, "merchant", ask_for(installation), text)


def test_full_thread_takes_no_message(installation, monkeypatch):
    monkeypatch.setattr(issuance, "MOST_MESSAGES", 2)
    request = ask_for(installation)
    for _ in range(2):
        write(installation, "merchant", request)
    with pytest.raises(Conflict):
        write(installation, "chamber", request)
    # An issuer can still answer the request itself.
    assert send_back(installation, request).reason


def test_thread_reads_no_more_than_limit(installation, monkeypatch):
    request = ask_for(installation)
    for number in range(3):
        write(installation, "merchant", request, f"Question {number}")
    monkeypatch.setattr(records, "MOST_MESSAGES", 2)
    assert len(thread(installation, request)) == 2


def test_returned_request_keeps_marked_fields(installation):
    request = ask_for(installation)
    send_back(installation, request, "quantity", "exporter")
    (message,) = thread(installation, request)
    assert message.text == "The quantity is that of one carton."
    assert message.doubtful == ["exporter", "quantity"]


def test_unknown_marked_field_is_refused(installation):
    request = ask_for(installation)
    with pytest.raises(Invalid):
        send_back(installation, request, "colour")
    assert thread(installation, request) == []


def test_correction_goes_on_with_thread(installation):
    request = ask_for(installation)
    send_back(installation, request, "quantity")
    corrected = ask_for(installation, request.id, quantity="400")
    write(installation, "merchant", corrected, "Now all cartons.")
    assert [one.text for one in thread(installation, corrected)] == [
        "The quantity is that of one carton.",
        "Now all cartons.",
    ]
    send_back(installation, corrected, "hsCode", reason="The code is another one.")
    third = ask_for(installation, corrected.id, quantity="400", hsCode="940511")
    assert len(thread(installation, third)) == 3


def test_correction_for_another_issuer_begins_anew(installation):
    request = ask_for(installation)
    send_back(installation, request)
    corrected = ask_for(installation, request.id, issuer="other_chamber")
    assert thread(installation, corrected) == []


def test_changed_fields_are_told_to_issuer(installation):
    request = ask_for(installation)
    assert changes(installation, request) == []
    send_back(installation, request)
    corrected = ask_for(installation, request.id, quantity="400", exporter={"name": "Another", "countryCode": "CN"})
    found = {one.path: (one.before, one.after) for one in changes(installation, corrected)}
    assert found["quantity"] == (request.statement.fields["quantity"], "400")
    assert found["exporter.name"][1] == "Another"
    assert "hsCode" not in found


def test_changes_name_places_old_and_new():
    before = {"a": 1, "party": {"name": "A", "city": "B"}, "rows": [{"x": 1}], "gone": "z"}
    after = {"a": 1, "party": {"name": "C", "city": "B"}, "rows": [{"x": 1}, {"x": 2}]}
    assert changes_between(before, after) == [
        FieldChange("party.name", "A", "C"),
        FieldChange("rows.1.x", None, 2),
        FieldChange("gone", "z", None),
    ]
    assert changes_between(after, after) == []


@pytest.mark.parametrize("end", ["withdrawn", "replaced"])
def test_thread_of_ended_request_is_closed(installation, end):
    request = ask_for(installation)
    send_back(installation, request)
    if end == "withdrawn":
        statements.withdraw_request(installation.ctx, installation.merchant, request.id)
    else:
        ask_for(installation, request.id)
    with pytest.raises(Conflict):
        write(installation, "merchant", request)


def test_message_lies_encrypted_and_is_erased(installation):
    request = ask_for(installation)
    write(installation, "chamber", request)
    signed = issuance.confirm(installation.ctx, installation.chamber, request.id, "N-1")
    installation.settle()
    installation.ctx.work.scrub()
    assert QUESTION.encode() not in bytes_on_disk(installation)
    assert thread(installation, request)
    erasure.erase(installation.ctx, installation.merchant, signed.id)
    assert thread(installation, request) == []
    with pytest.raises(Conflict):
        write(installation, "merchant", request)
