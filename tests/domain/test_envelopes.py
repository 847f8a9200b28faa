"""What stands around a document: its end, its standing, and the forms that secure it."""

import json

import pytest

from backend.domain.interop.formats import is_document, read_file
from backend.domain.interop.reading import Severity
from tests.domain.test_interop_documents import credential, invoice, lacking, read, tradetrust
from tests.domain.test_interop_secured import MAKERS, PAYLOAD, refused, text
from tests.domain.test_interop_secured import read as read_secured
from tests.helpers.builders import SOMEBODY_ELSE, header_of, signed_text

LAST = 1_790_000_000
"""2026-09-21 as a NumericDate."""


def codes(reading, *severities):
    return {note.code for note in reading.notes if note.severity in severities}


def around(**envelope):
    return {"type": ["VerifiableCredential"], "credentialSubject": tradetrust()} | envelope


@pytest.mark.parametrize("name", ["validUntil", "expirationDate"])
@pytest.mark.parametrize("end", ["2026-11-21T00:00:00Z", "2026-11-21"])
def test_end_of_the_envelope_becomes_the_certificates(name, end):
    assert read(around(**{name: end})).fields["validUntil"] == "2026-11-21"


def test_of_two_ends_the_earlier_counts():
    reading = read(around(validUntil="2027-03-01T00:00:00Z", expirationDate="2026-06-01T00:00:00Z"))
    assert reading.fields["validUntil"] == "2026-06-01"
    assert "holds-until" in codes(reading, Severity.WARNING)


def test_end_of_an_invoice_is_told():
    reading = read(invoice() | {"validUntil": "2026-06-01T00:00:00Z"})
    assert "holds-until" in codes(reading, Severity.WARNING)


@pytest.mark.parametrize("end", ["soon", 5, "2026-02-30", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_odd_end_of_an_envelope_brings_no_crash(end):
    reading = read(around(validUntil=end))
    assert ("unusable-cell" in codes(reading, Severity.WRONG)) == (end in ("soon", 5, "2026-02-30"))


def test_list_of_revoked_credentials_is_not_asked():
    status = {"type": "BitstringStatusListEntry", "statusListIndex": "5"}
    assert "revocation-not-checked" in codes(read(around(credentialStatus=status)), Severity.WARNING)
    assert "revocation-not-checked" not in codes(read(around()), Severity.WARNING)


@pytest.mark.parametrize(
    "said", [{"status": ["cancelled"]}, {"status": {"state": "revoked"}}, {"status": "已撤销"}, {"revoked": True}]
)
def test_taken_back_in_other_shapes_is_refused(said):
    assert "taken-back" in codes(read(tradetrust(**said)), Severity.WRONG)
    assert "taken-back" not in codes(read(tradetrust(revoked=False, status=["issued"])), Severity.WRONG)


def test_status_list_of_sd_jwt_is_not_asked():
    status = {"status_list": {"idx": 1, "uri": "https://example.org"}}
    assert "revocation-not-checked" in codes(read(tradetrust(status=status)), Severity.WARNING)


def test_end_within_the_subject_counts():
    document = around(validUntil="2027-03-01")
    document["credentialSubject"]["validUntil"] = "2026-06-01"
    assert read(document).fields["validUntil"] == "2026-06-01"


@pytest.mark.parametrize("end", ["2026-06-01T24:00:00Z", "2026-06-02T00:00:00+08", "2026-06-02T00:00Z"])
def test_end_is_read_as_iso_8601_writes_it(end):
    assert read(around(validUntil=end)).fields["validUntil"] == "2026-06-02"


@pytest.mark.parametrize("said", [False, "false", "False", "no", 0, "0"])
def test_agreement_with_preference_denied_is_refused(said):
    reading = read(tradetrust(isPreferential=said, freeTradeAgreement="RCEP"))
    assert "unusable" in codes(reading, Severity.WRONG)


def test_unknown_word_for_a_preference_is_refused():
    reading = read(tradetrust(isPreferential="perhaps", freeTradeAgreement="RCEP"))
    assert "unusable-cell" in codes(reading, Severity.WRONG)


@pytest.mark.parametrize("damage", [lambda jwt: f'"{jwt}"', lambda jwt: f"{jwt[:70]}\r\n{jwt[70:]}"])
def test_wrapped_sd_jwt_is_known_as_one(damage):
    damaged = damage(text(MAKERS))
    assert is_document(damaged.encode())
    assert refused(damaged) == "sd-form"


@pytest.mark.parametrize("status", ["cancelled", "Canceled", "REVOKED", "void", "withdrawn", "suspended"])
def test_document_that_was_taken_back_is_refused(status):
    assert "taken-back" in codes(read(tradetrust(status=status)), Severity.WRONG)
    assert "taken-back" in codes(read({"credentialSubject": tradetrust(status=status)}), Severity.WRONG)


def test_other_standing_is_told():
    assert "other-status" in codes(read(tradetrust(status="draft")), Severity.WARNING)
    assert not codes(read(tradetrust(status="issued")), Severity.WARNING) & {"other-status", "taken-back"}


def test_document_code_without_leading_zero_is_refused():
    item = {"product": {"commodity": {"commodityCode": 90111}}, "itemCount": 1}
    reading = read(credential("CertificationOfOrigin", {"items": [item]}))
    assert "unusable" in codes(reading, Severity.WRONG)


# Secured as SD-JWT


def test_end_of_an_sd_jwt_shortens_the_certificate():
    payload = PAYLOAD | {"exp": LAST, "validUntil": "2027-11-20T00:00:00Z"}
    assert read_secured(MAKERS, payload=payload).fields["validUntil"] == "2026-09-21"
    payload = PAYLOAD | {"exp": LAST, "validUntil": "2026-04-01T00:00:00Z"}
    assert read_secured(MAKERS, payload=payload).fields["validUntil"] == "2026-04-01"


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", ["1790000000", "2026-09-21", True, None, [], 1e300])
def test_date_that_is_no_number_is_refused(claim, value):
    """RFC 7519, section 2: NumericDate."""
    assert refused(text(MAKERS, payload=PAYLOAD | {claim: value})) == "sd-date"


@pytest.mark.parametrize("ending", ["", "\n"])
def test_jwt_without_tilde_is_named(ending):
    bare = text().rstrip("~") + ending
    assert is_document(bare.encode())
    assert refused(bare) == "sd-no-tilde"


def test_disclosures_belong_to_the_first_signature():
    jwt, *disclosures = text(MAKERS).rstrip("~").split("~")
    protected, payload, signature = jwt.split(".")
    other = signed_text(header_of(jwk=SOMEBODY_ELSE.jwk), PAYLOAD, SOMEBODY_ELSE).split(".")
    first = {"protected": protected, "signature": signature}
    second = {"protected": other[0], "signature": other[2], "header": {"disclosures": disclosures}}
    assert refused(json.dumps({"payload": payload, "signatures": [first, second]})) == "sd-other-header"
    assert refused(json.dumps({"payload": payload, "signatures": [first], "signature": signature})) == "sd-json-form"
    second["header"] = {}
    signatures = [first | {"header": {"disclosures": disclosures}}, second]
    assert read_file(json.dumps({"payload": payload, "signatures": signatures}).encode(), {}).fields


# Certifications under USMCA, conformity credentials of UNTP


def usmca(**changes):
    subject = {
        "invoiceNumber": "INV-9",
        "exporterDetails": {"name": "Lake Steel", "location": {"address": {"addressCountry": "MX"}}},
        "importerDetails": [{"name": "Harbour Steel", "address": {"addressCountry": "US"}}],
        "goods": [
            {"description": "Rolls", "commodityCode": "721320", "originCriterion": "B", "countryOfOrigin": "MX"},
        ],
    }
    return credential("USMCACertificationOfOrigin", subject | changes, validUntil="2027-03-04T08:00:00Z")


def test_usmca_certification_lacks_only_its_quantity():
    reading = read(usmca())
    assert reading.fields["exporter"] == {"name": "Lake Steel", "countryCode": "MX"}
    assert (reading.fields["importCountry"], reading.fields["originCriteria"]) == ("US", "PSR")
    assert (reading.fields["issueDate"], reading.fields["validUntil"]) == ("2026-03-05", "2027-03-04")
    assert lacking(reading) == {"quantity", "unitCode"}
    assert read(usmca(), quantity="5", unitCode="TNE").is_complete


def test_usmca_is_recorded_as_what_it_is():
    assert read(usmca()).fields["freeTradeAgreementName"] == "USMCA"
    abroad = usmca(importerDetails=[{"name": "Ningbo Steel", "address": {"addressCountry": "CN"}}])
    assert not read(abroad, quantity="5", unitCode="TNE").is_complete


def test_usmca_criterion_without_counterpart_is_refused():
    (good,) = usmca()["credentialSubject"]["goods"]
    reading = read(usmca(goods=[good | {"originCriterion": "D"}]))
    assert "originCriteria" not in reading.fields
    assert "unusable" in codes(reading, Severity.WRONG)


def test_usmca_edition_with_items_is_read():
    item = {"product": {"description": "Rolls", "commodity": {"commodityCode": "721320"}}, "originCriterion": "A"}
    document = usmca(goods=[], items=[item], blanketPeriodTo="2026-12-31")
    reading = read({name: value for name, value in document.items() if name != "validFrom"} | {
        "issuanceDate": "2026-02-04T20:29:37+00:00"
    })  # fmt: skip
    assert (reading.fields["hsCode"], reading.fields["originCriteria"]) == ("721320", "WO")
    assert (reading.fields["issueDate"], reading.fields["validUntil"]) == ("2026-02-04", "2026-12-31")


def test_usmca_of_several_goods_is_not_guessed():
    good = usmca()["credentialSubject"]["goods"][0]
    assert "several-goods" in codes(read(usmca(goods=[good, good])), Severity.WRONG)
    two = [{"name": "A", "address": {"addressCountry": "US"}}, {"name": "B", "address": {"addressCountry": "CA"}}]
    assert "importCountry" in lacking(read(usmca(importerDetails=two)))


def assessment(**changes):
    return {
        "assessmentDate": "2026-03-01",
        "conformance": True,
        "referenceStandard": {"name": "IEC 60598-1"},
        "declaredValue": [{"metricName": "Insulation", "metricValue": {"value": 4.2, "unit": "MOhm"}}],
        "assessedProduct": [{"product": {"name": "Lamp", "batchNumber": "LOT-7"}}],
    } | changes


def conformity(*assessments):
    subject = {"type": ["ConformityAttestation"], "issuedToParty": {"name": "Ex Co"}, "assessment": list(assessments)}
    return credential("DigitalConformityCredential", subject)


def test_conformity_credential_becomes_report_with_results():
    reading = read(conformity(assessment(), assessment(assessmentDate="2026-02-01", conformance=False)))
    fields = reading.fields
    assert fields["customer"] == {"name": "Ex Co"}
    assert (fields["itemDescription"], fields["itemIdentification"]) == ("Lamp", "LOT-7")
    assert (fields["performedFrom"], fields["performedTo"]) == ("2026-02-01", "2026-03-01")
    assert (fields["specification"], fields["conforms"]) == ("IEC 60598-1", False)
    assert fields["results"][0] == {"characteristic": "Insulation", "value": "4.2", "unit": "MOhm"}
    assert lacking(reading) == {"hsCode", "method", "decisionRule"}


def test_conformity_without_values_is_a_bare_verdict():
    assert "bare-verdict" in codes(read(conformity(assessment(declaredValue=[]))), Severity.WRONG)
    assert "bare-verdict" in codes(read(conformity()), Severity.WRONG)


def test_conformity_of_several_products_is_refused():
    other = assessment(assessedProduct=[{"product": {"name": "Flask"}}])
    assert "several-lots" in codes(read(conformity(assessment(), other)), Severity.WRONG)


def test_attestation_alone_is_read():
    document = conformity(assessment())["credentialSubject"]
    assert read(document, issueDate="2026-03-05").fields["itemDescription"] == "Lamp"
