"""Documents that others made: what is taken, what lacks, what is left over, and that nothing is guessed."""

import json

import pytest

from backend.domain.interop.draft import with_field
from backend.domain.interop.formats import read_document
from backend.domain.interop.reading import Severity, UnknownFormat, Unusable
from backend.domain.kinds import Kind
from backend.domain.records import document_of
from backend.messages.imports import report


def tradetrust(**changes):
    line = {
        "invoiceReference": {"iD": "INV-7"},
        "tradeProduct": {
            "description": "Shiraz, 750 ml",
            "harmonisedTariffCode": {"classCode": "2204.21"},
            "originCountry": {"code": "AU"},
        },
        "transportPackages": [{"grossWeight": "220 lbs"}],
    }
    item = {"crossBorderRegulatoryProcedure": {"originCriteriaText": "WO"}, "tradeLineItems": [line]}
    return {
        "name": "Certificate of Origin",
        "iD": "COO-1",
        "issueDateTime": "2026-03-01T23:30:00+10:30",
        "freeTradeAgreement": "CHAFTA",
        "supplyChainConsignment": {
            "exporter": {
                "iD": "ABN-1",
                "name": "Barossa Wines",
                "postalAddress": {"line1": "1 Vine Road", "cityName": "Tanunda", "countryCode": "AUS"},
            },
            "importer": {"iD": "9131", "name": "Shanghai Cellars", "postalAddress": {"countryCode": "China"}},
            "importCountry": {"code": "CN"},
            "includedConsignmentItems": [item],
        },
    } | changes


def credential(kind, subject, **changes):
    return {
        "@context": ["https://www.w3.org/ns/credentials/v2", "https://w3id.org/traceability/v1"],
        "type": ["VerifiableCredential", kind],
        "issuer": {"type": ["Organization"], "name": "DemoUser"},
        "validFrom": "2026-03-05T08:00:00Z",
        "credentialSubject": subject,
    } | changes


def lot(**changes):
    return {
        "lotIdentifier": "LOT-7",
        "agricultureProduct": {"product": {"description": "Avocados"}},
        "samples": [{"sampleProperties": [{"propertyName": "Firmness", "propertyValue": "53"}]}],
        "grade": {"gradeInspected": "U.S. No. 1", "requirementsMet": True},
    } | changes


def food_grade(*lots):
    common = {
        "applicant": {"name": "Miracle Produce"},
        "inspectionStarted": "2026-03-04T14:30-08:00",
        "inspectionEnded": "2026-03-04T17:30-08:00",
    }
    return credential("FoodGradeInspectionCredential", {"commonInfo": common, "lots": list(lots)})


def invoice(**changes):
    subject = {
        "invoiceNumber": "INV-1",
        "invoiceDate": "2026-03-02",
        "seller": {"name": "Morning Star Trading Co., Ltd."},
        "buyer": {"name": "Lion City", "location": {"address": {"addressCountry": "Singapore"}}},
        "itemsShipped": [
            {
                "product": {
                    "description": "Lamps",
                    "commodity": {"commodityCode": "940521", "commodityCodeType": "HS"},
                },
                "itemCount": 200,
                "lineItemTotalPrice": {"price": 1300.5, "priceCurrency": "USD"},
            }
        ],
        "totalPaymentDue": {"price": 1300.5, "priceCurrency": "USD"},
    }
    return credential("CommercialInvoiceCredential", subject | changes)


REST_OF_A_REPORT = {"hsCode": "080440", "method": "USDA AMS", "decisionRule": "simple acceptance"}


def read(document, **given):
    return read_document(json.dumps(document).encode(), {k.replace("__", "."): v for k, v in given.items()})


def marked(reading, mark):
    return {(note.where, note.field): note for note in reading.notes if note.severity is mark}


def lacking(reading):
    return {note.field for note in reading.notes if note.severity is Severity.MISSING}


# TradeTrust


def test_tradetrust_certificate_lacks_only_quantity_and_unit():
    """Its schema has no place for these."""
    reading = read(tradetrust())
    assert lacking(reading) == {"quantity", "unitCode"}
    assert not marked(reading, Severity.WRONG)


def test_what_the_merchant_gives_completes_a_tradetrust_certificate():
    reading = read(tradetrust(), quantity="1200", unitCode="H87")
    assert reading.is_complete
    certificate = document_of(reading.kind, reading.fields)
    assert certificate.exporter.country_code == "AU"
    assert certificate.consignee.country_code == "CN"
    assert certificate.hs_code == "220421"
    assert certificate.certificate_number == "COO-1"
    assert str(certificate.issue_date) == "2026-03-01"


def test_pounds_become_kilograms_exactly_and_the_report_says():
    """By the exact factor, rounded to the gram."""
    note = next(n for n in read(tradetrust()).notes if n.field == "grossWeightMeasure")
    assert note.severity is Severity.CONVERTED
    assert report(note) == "220 lbs × 0.45359237 kg = 99.790 kg, rounded to the gram"


def test_an_export_country_is_no_country_of_origin():
    document = tradetrust()
    consignment = document["supplyChainConsignment"]
    consignment["exportCountry"] = {"code": "AU"}
    del consignment["includedConsignmentItems"][0]["tradeLineItems"][0]["tradeProduct"]["originCountry"]
    reading = read(document)
    assert "originCountry" in lacking(reading)
    assert ("/supplyChainConsignment/exportCountry", "") in marked(reading, Severity.UNUSED)


def test_certificate_for_two_goods_is_refused():
    document = tradetrust()
    lines = document["supplyChainConsignment"]["includedConsignmentItems"][0]["tradeLineItems"]
    lines.append(lines[0])
    assert "several-goods" in {note.code for note in read(document).notes if note.severity is Severity.WRONG}


def test_unknown_agreement_is_not_recorded_as_no_preference():
    reading = read(tradetrust(freeTradeAgreement="CPTPP"), quantity="1", unitCode="H87")
    assert not reading.is_complete
    assert ("/freeTradeAgreement", "freeTradeAgreementName") in marked(reading, Severity.WRONG)


def test_preference_needs_an_agreement_and_none_means_none():
    claimed = tradetrust(isPreferential=True)
    del claimed["freeTradeAgreement"]
    assert not read(claimed, quantity="1", unitCode="H87").is_complete
    claimed["isPreferential"] = False
    assert read(claimed, quantity="1", unitCode="H87").fields["freeTradeAgreementName"] == "NONE"


@pytest.mark.parametrize(("says", "names"), [(False, "CHAFTA"), (True, "NONE")])
def test_preference_and_agreement_that_contradict_are_refused(says, names):
    reading = read(tradetrust(isPreferential=says, freeTradeAgreement=names), quantity="1", unitCode="H87")
    assert ("/isPreferential", "freeTradeAgreementName") in marked(reading, Severity.WRONG)
    assert not reading.is_complete
    decided = read(
        tradetrust(isPreferential=says, freeTradeAgreement=names),
        quantity="1",
        unitCode="H87",
        freeTradeAgreementName="CHAFTA",
    )
    assert decided.is_complete


@pytest.mark.parametrize(("says", "names"), [(True, "CHAFTA"), (False, "NONE"), (None, "CHAFTA")])
def test_preference_and_agreement_that_agree_are_read(says, names):
    reading = read(tradetrust(isPreferential=says, freeTradeAgreement=names), quantity="1", unitCode="H87")
    assert reading.is_complete
    assert reading.fields["freeTradeAgreementName"] == names


def test_wrapped_document_is_read_without_checking_its_proof():
    """It is read through its salts, and the report says that the proof is unchecked."""

    def salted(node):
        if isinstance(node, dict):
            return {name: salted(member) for name, member in node.items()}
        if isinstance(node, list):
            return [salted(member) for member in node]
        return f"3f8a8e3c-1d5a-4a5e-9c0e-0123456789ab:string:{node}"

    wrapped = {"version": "2.0", "data": salted(tradetrust()), "signature": {"type": "SHA3MerkleProof"}}
    reading = read(wrapped, quantity="1", unitCode="H87")
    assert reading.is_complete
    assert reading.fields["exporter"]["name"] == "Barossa Wines"
    assert "proof-not-checked" in {note.code for note in reading.notes}


# Traceability


def test_certification_of_origin_lacks_what_its_vocabulary_omits():
    """That is exporter, destination, criterion and quantity."""
    item = {"description": "Espresso makers", "product": {"commodity": {"commodityCode": "851671"}}}
    reading = read(credential("CertificationOfOrigin", {"items": [item], "manufacturingCountry": "IT"}))
    assert lacking(reading) == {"exporter.name", "importCountry", "originCriteria", "quantity", "unitCode"}
    assert reading.fields["issueDate"] == "2026-03-05"


def test_quantity_comes_from_item_count_or_net_weight():
    """A count gives pieces, a net weight kilograms, a gross weight nothing."""

    def goods(**line):
        document = credential("CertificationOfOrigin", {"items": [{"description": "x", **line}]})
        return {k: v for k, v in read(document).fields.items() if k in ("quantity", "unitCode")}

    assert goods(itemCount=30) == {"quantity": "30", "unitCode": "H87"}
    assert goods(netWeight={"value": "2", "unitCode": "lbs"}) == {"quantity": "0.907", "unitCode": "KGM"}
    assert goods(grossWeight={"value": "2", "unitCode": "lbs"}) == {}


def test_food_grade_inspection_becomes_report_with_results():
    reading = read(food_grade(lot()), **REST_OF_A_REPORT)
    assert reading.is_complete
    report = document_of(reading.kind, reading.fields)
    assert [(r.characteristic, r.value) for r in report.results] == [("Firmness", "53")]
    assert report.conforms is True
    assert report.specification == "U.S. No. 1"


def test_a_bare_pass_is_refused():
    reading = read(food_grade(lot(samples=[])), **REST_OF_A_REPORT)
    assert not reading.is_complete
    assert "bare-verdict" in {note.code for note in reading.notes if note.severity is Severity.WRONG}


def test_two_lots_are_refused():
    assert "several-lots" in {note.code for note in read(food_grade(lot(), lot())).notes}


def test_mill_test_report_lacks_method_and_conformity():
    inspection = {
        "heatNumber": "61316",
        "chemicalComposition": {"type": ["ChemicalComposition"], "c": 0.0189},
        "mechanicalProperties": {"tensile": {"value": "367.22", "unitCode": "MPa"}},
    }
    subject = {"certificateNumber": "2023", "customer": {"name": "Rise"}, "inspections": [inspection]}
    reading = read(credential("MillTestReportCredential", subject))
    assert [r["value"] for r in reading.fields["results"]] == ["0.0189", "367.22"]
    assert reading.fields["itemIdentification"] == "61316"
    assert {"method", "conforms", "decisionRule"} <= lacking(reading)


def test_observation_without_day_gives_report_no_period():
    observation = {"property": {"name": "Charpy", "identifier": "ISO 148"}, "measurement": {"value": "2.25"}}
    reading = read({"type": ["InspectionReport"], "mechanicalObservation": [observation]})
    assert reading.fields["results"] == [{"characteristic": "Charpy (ISO 148)", "value": "2.25"}]
    assert {"performedFrom", "performedTo"} <= lacking(reading)


def test_an_invoice_is_read_whole():
    reading = read(invoice())
    assert reading.is_complete, [report(note) for note in reading.notes if note.severity.blocks]
    assert document_of(Kind.INVOICE, reading.fields).buyer.country_code == "SG"
    assert reading.fields["totalAmount"] == "1300.5"


def test_day_of_payment_is_not_the_invoice_day():
    document = invoice(purchaseDate="2026-02-21")
    del document["credentialSubject"]["invoiceDate"]
    assert lacking(read(document)) == {"issueDate"}


def test_line_in_another_currency_than_total_is_wrong():
    reading = read(invoice(totalPaymentDue={"price": 9000, "priceCurrency": "CNY"}))
    assert [note.code for note in reading.notes if note.severity is Severity.WRONG] == ["unusable"]


def test_line_that_says_nothing_lacks_each_field():
    document = invoice()
    document["credentialSubject"]["itemsShipped"].insert(0, {"packageQuantity": 3})
    assert lacking(read(document)) == {f"items.0.{f}" for f in ("description", "quantity", "unitCode", "amount")}


def test_observation_without_measurement_is_told_as_unused():
    whole = {"property": {"name": "Charpy"}, "measurement": {"value": "2"}, "date": "2026-03-01"}
    reading = read({"type": ["InspectionReport"], "chemicalObservation": [whole, {"property": {"name": "Lead"}}]})
    assert ("/chemicalObservation/1", "") in marked(reading, Severity.UNUSED)


# Our own


def test_own_document_with_an_unknown_field_is_wrong():
    """Without one it is complete; an unknown member beside the document is only told as unused."""
    fields = read(tradetrust(), quantity="1", unitCode="H87").fields
    document = {"kind": "certificate-of-origin", "document": fields, "comment": "for Mr Li"}
    assert read(document).is_complete
    assert ("/comment", "") in marked(read(document), Severity.UNUSED)
    document["document"] = fields | {"quantitty": "2"}
    assert ("/document/quantitty", "quantitty") in marked(read(document), Severity.WRONG)


def test_own_declaration_is_checked_without_its_named_merchant():
    document = {"kind": "declaration", "document": {"merchant": {"name": "DemoUser else"}}}
    reading = read(document)
    assert "merchant" not in reading.fields
    assert "orderReference" in lacking(reading)


# Lacking, in excess, given


def test_excess_is_told_once_at_its_highest_place():
    reading = read(tradetrust(status="issued", issueLocation={"iD": "AUADL", "name": "Adelaide"}, proof={"jws": "x"}))
    excess = {note.where: report(note) for note in reading.notes if note.severity is Severity.UNUSED}
    assert excess == {"/issueLocation": "not used: 2 values"}
    assert "proof-not-checked" in {note.code for note in reading.notes}


def test_given_value_replaces_documents_and_report_tells_both():
    note = next(n for n in read(tradetrust(), hsCode="220410").notes if n.code == "given-instead")
    assert report(note) == "220410 (given by you instead of 2204.21)"


def test_what_is_given_mends_an_unusable_value():
    document = tradetrust(issueDateTime="Issued date")
    assert ("/issueDateTime", "issueDate") in marked(read(document), Severity.WRONG)
    fixed = read(document, issueDate="2026-03-01", quantity="1", unitCode="H87")
    assert fixed.is_complete
    assert ("/issueDateTime", "issueDate") in marked(fixed, Severity.UNUSED)


@pytest.mark.parametrize("path", ["results.7.value", "exporter.name.first", "", "results.x", ".", "results.0.value.1"])
def test_a_path_that_leads_nowhere_is_told(path):
    with pytest.raises(Unusable):
        with_field({"exporter": {"name": "A"}, "results": [{"value": "1"}]}, path, "x")


def test_given_field_that_does_not_exist_is_wrong():
    reading = read_document(json.dumps(tradetrust()).encode(), {"quantitty": "3", "exporter.name.first": "A"})
    assert {note.field for note in reading.notes if note.severity is Severity.WRONG} == {
        "quantitty",
        "exporter.name.first",
    }


# Documents of the wrong shape


def _places(node, path=()):
    yield path
    members = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, member in members:
        yield from _places(member, (*path, name))


def _with(node, path, value):
    if not path:
        return value
    changed = dict(node) if isinstance(node, dict) else list(node)
    changed[path[0]] = _with(node[path[0]], path[1:], value)
    return changed


@pytest.mark.parametrize("junk", [None, True, 0, -1.5, "", "x.y", [], {}, [None], {"": 1, "a.b": 2, "0": []}])
def test_junk_in_any_place_is_told_without_crash(junk):
    own = {"kind": "inspection-report", "document": {"results": [{"value": "1"}]}}
    mill = {"heatNumber": "1", "chemicalComposition": {"c": 1}, "mechanicalProperties": {"yield": {"value": "1"}}}
    observed = {"property": {"name": "n"}, "measurement": {"value": "1"}, "date": "2026-03-01"}
    documents_read = [
        tradetrust(),
        food_grade(lot(defects=[{"offsizeDefect": "x", "averageDefects": 1}])),
        credential("MillTestReportCredential", {"inspections": [mill]}),
        {"type": ["InspectionReport"], "chemicalObservation": [observed]},
        invoice(),
        own,
    ]
    for document in documents_read:
        for place in _places(document):
            try:
                reading = read(_with(document, place, junk), **{"results.0.unit": "kg"})
            except UnknownFormat:
                continue
            for note in reading.notes:
                assert isinstance(report(note, "en"), str)
                assert isinstance(report(note, "zh"), str)
