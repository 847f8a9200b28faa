"""Real input comes in whole or not at all."""

import json
import re
from datetime import timedelta

import pytest

from backend.domain.errors import Conflict, NotAllowed, NotFound
from backend.domain.interop.reading import Severity
from backend.domain.kinds import KINDS, Kind, Signing
from backend.domain.records import Assurance, RequestState
from backend.messages.imports import report
from backend.services import declarations, importing
from backend.services.importing import Given, TooMuch, UnknownIssuer
from backend.services.ports import joined
from tests.helpers.builders import FIELDS, certificate_fields, lodgement_fields, report_fields
from tests.services.conftest import somebody

HEADER = (
    "copNo,customsCode,orderNo,logisticsNo,country,packNo,grossWeight,gcode,gname,qty,unit,price,currency,originCountry"
)


def row(reference, **changes):
    cells = {"customsCode": "2925", "orderNo": "O-1", "logisticsNo": "W-1", "country": "SG", "packNo": "1"}
    cells |= {"grossWeight": "2.5", "gcode": "9405210090", "gname": "Lamp", "qty": "2", "unit": "011"}
    cells |= {"price": "6.50", "currency": "USD", "originCountry": "CN"} | changes
    return ",".join([reference, *(cells[name] for name in HEADER.split(",")[1:])])


def table(*rows, name="goods.csv", header=HEADER):
    return Given(name, "\n".join([header, *rows, ""]).encode())


def own(kind, fields, name="document.json"):
    return Given(name, json.dumps({"kind": kind, "document": fields}).encode())


def invoice_fields(**changes):
    line = {"description": "Lamps", "quantity": "200", "unitCode": "H87", "amount": "1300"}
    seller = {"name": "Morning Star Trading Co., Ltd."}
    parties = {"seller": seller, "buyer": {"name": "Lion City"}}
    money = {"currency": "USD", "totalAmount": "1300", "items": [line]}
    return {"invoiceNumber": "INV-1", "issueDate": "2026-03-01", **parties, **money} | changes


def bring(installation, *files, issuers=(), **given):
    plan = importing.plan(installation.ctx, installation.merchant, files, issuers, given)
    return importing.store(installation.ctx, plan) if plan.is_ready else plan


def blocked(plan):
    return [(note.row, note.code) for file in plan.files for note in file.notes if note.severity.blocks]


def references(installation):
    with installation.ctx.work(reading=True) as work:
        return {c.reference for c in work.consignments.search(installation.merchant.organisation, limit=5000)}


def records(installation):
    with installation.ctx.work(reading=True) as work:
        return list(work.records.of(installation.merchant.organisation))


def requests(installation):
    with installation.ctx.work(reading=True) as work:
        return list(work.requests.search(installation.merchant.organisation, RequestState.WAITING))


# Who


def test_only_a_merchant_s_person_imports(installation):
    assert (
        importing.importer(installation.ctx, " Merchant@X.org ").organisation.name == "Morning Star Trading Co., Ltd."
    )
    with pytest.raises(NotFound):
        importing.importer(installation.ctx, "nobody@x.org")
    with pytest.raises(NotAllowed):
        importing.importer(installation.ctx, "officer@x.org")


# Tables


def test_a_table_s_consignments_are_lodged(installation):
    done = bring(installation, table(row("MS-1"), row("MS-2"), row("MS-1", gname="Flask", gcode="961700")))
    assert [stored.reference for stored in done.files[0].stored] == ["MS-1", "MS-2"]
    declaration = installation.consignment(done.files[0].stored[0].id).record.document
    assert [item.description for item in declaration.items] == ["Lamp", "Flask"]
    assert declaration.merchant.name == "Morning Star Trading Co., Ltd."
    installation.settle()


def test_a_half_bad_table_stores_nothing(installation):
    plan = bring(installation, table(row("MS-1"), row("MS-2", qty="x"), row("MS-3")))
    assert blocked(plan) == [(3, "unusable-cell")]
    assert references(installation) == set()


def test_table_imported_twice_is_refused_at_each_declaration(installation):
    bring(installation, table(row("MS-1"), row("MS-2")))
    plan = bring(installation, table(row("MS-0"), row("MS-1"), row("MS-2")))
    assert blocked(plan) == [(3, "lodged-before"), (4, "lodged-before")]
    assert references(installation) == {"MS-1", "MS-2"}


def test_reference_in_two_files_at_once_is_refused(installation):
    plan = bring(installation, table(row("MS-1"), name="a.csv"), table(row("MS-2"), row("MS-1"), name="b.csv"))
    assert blocked(plan) == [(3, "twice-given")]
    assert references(installation) == set()


def test_one_bad_file_keeps_the_good_ones_out(installation):
    plan = bring(installation, table(row("MS-1")), Given("x.pdf", b"%PDF-1.7"))
    assert blocked(plan) == [(None, "pdf")]
    assert references(installation) == set()


def test_declaration_relies_on_the_records_its_table_names(installation):
    certificate = installation.issue_certificate()
    header = f"{HEADER},records"
    done = bring(installation, table(f"{row('MS-1')},{certificate.id}", header=header))
    assert [paper.record.id for paper in installation.consignment(done.files[0].stored[0].id).papers] == [
        certificate.id
    ]


def test_somebody_elses_record_is_told_at_its_row(installation):
    plan = bring(installation, table(row("MS-0") + ",", f"{row('MS-1')},11111111-1111", header=f"{HEADER},records"))
    notes = [note for note in plan.files[0].notes if note.severity is Severity.WRONG]
    assert [(note.row, note.where) for note in notes] == [(3, "records")]


def test_future_arrival_is_told_at_its_row(installation):
    plan = bring(installation, table(f"{row('MS-1')},2036-01-01T08:00+08:00", header=f"{HEADER},arrivalDateTime"))
    assert [(n.row, n.where) for n in plan.files[0].notes if n.severity is Severity.WRONG] == [(2, "arrivalDateTime")]


def test_somebody_quicker_makes_the_whole_import_fail(installation):
    plan = importing.plan(installation.ctx, installation.merchant, [table(row("MS-1"), row("MS-2"))], [], {})
    declarations.lodge(installation.ctx, installation.merchant, lodgement_fields(declarationReference="MS-2"))
    with pytest.raises(Conflict):
        importing.store(installation.ctx, plan)
    assert references(installation) == {"MS-2"}


@pytest.mark.slow
def test_two_thousand_rows_are_lodged_at_once(installation):
    content = table(*(row(f"MS-{place:05d}") for place in range(2000)))
    done = bring(installation, content)
    assert len(done.files[0].stored) == 2000


def test_rows_beyond_one_unit_of_work_are_refused(installation):
    files = [table(*(row(f"{name}-{place}") for place in range(2500)), name=name) for name in "ab"]
    with pytest.raises(TooMuch):
        importing.plan(installation.ctx, installation.merchant, files, [], {})


# Documents


def test_certificate_becomes_a_statement_before_the_chamber(installation):
    done = bring(installation, own("certificate-of-origin", certificate_fields()), issuers=["zhejiang CHAMBER"])
    record = installation.record(done.files[0].stored[0].id)
    assert record.assurance is Assurance.STATED
    assert [(r.statement.id, r.issuer.name) for r in requests(installation)] == [(record.id, "Zhejiang Chamber")]


def test_each_kind_goes_to_its_own_issuer(installation):
    certificate = own("certificate-of-origin", certificate_fields())
    report = own("inspection-report", report_fields())
    bring(
        installation, certificate, report, issuers=["Qiantang Laboratory", installation.other_chamber.organisation.id]
    )
    assert {(r.statement.kind, r.issuer.name) for r in requests(installation)} == {
        (Kind.CERTIFICATE_OF_ORIGIN, "Jiangsu Chamber"),
        (Kind.INSPECTION_REPORT, "Qiantang Laboratory"),
    }


def test_a_certificate_without_an_issuer_lacks_one(installation):
    plan = bring(installation, own("certificate-of-origin", certificate_fields()), issuers=["Qiantang Laboratory"])
    assert blocked(plan) == [(None, "lacking-issuer")]
    assert records(installation) == []


def test_unregistered_issuer_is_named_with_the_registered_ones(installation):
    with pytest.raises(UnknownIssuer, match="Zhejiang Chamber"):
        bring(installation, own("certificate-of-origin", certificate_fields()), issuers=["Zhejiang"])


def test_document_lacking_a_field_waits_until_given(installation):
    fields = certificate_fields()
    del fields["quantity"]
    document = own("certificate-of-origin", fields)
    assert blocked(bring(installation, document, issuers=["Zhejiang Chamber"])) == [(None, "lacking")]
    assert requests(installation) == []
    done = bring(installation, document, issuers=["Zhejiang Chamber"], quantity="500")
    assert installation.record(done.files[0].stored[0].id).fields["quantity"] == "500"


def test_another_exporters_certificate_is_stored_with_a_warning(installation):
    fields = certificate_fields(exporter={"name": "Noon Star Ltd"})
    done = bring(installation, own("certificate-of-origin", fields), issuers=["Zhejiang Chamber"])
    assert "other-party" in {note.code for note in done.files[0].notes}
    assert done.files[0].stored


def test_the_same_statement_does_not_wait_twice(installation):
    document = own("certificate-of-origin", certificate_fields())
    bring(installation, document, issuers=["Zhejiang Chamber"])
    assert blocked(bring(installation, document, issuers=["Zhejiang Chamber"])) == [(None, "stated-before")]
    assert len(requests(installation)) == 1


def test_an_attachment_that_was_never_uploaded_is_told(installation):
    attachment = {"fileName": "a.pdf", "size": 3, "sha256": "0" * 64}
    document = own("certificate-of-origin", certificate_fields(attachments=[attachment]))
    assert blocked(bring(installation, document, issuers=["Zhejiang Chamber"])) == [(None, "no-such-file")]


def test_the_merchant_s_own_invoice_is_issued_once(installation):
    document = own("invoice", invoice_fields())
    done = bring(installation, document)
    assert installation.record(done.files[0].stored[0].id).assurance is Assurance.ISSUED
    assert blocked(bring(installation, document)) == [(None, "number-taken")]


def test_somebody_elses_invoice_is_not_signed(installation):
    plan = bring(installation, own("invoice", invoice_fields(seller={"name": "Evening Star Trading Co., Ltd."})))
    assert blocked(plan) == [(None, "not-your-invoice")]
    assert records(installation) == []


def test_own_declaration_is_lodged_once_then_refused(installation):
    document = own("declaration", {**lodgement_fields(), "packageQuantity": 2})
    done = bring(installation, document)
    assert installation.consignment(done.files[0].stored[0].id).merchant.id == installation.merchant.organisation.id
    assert blocked(bring(installation, document)) == [(None, "lodged-before")]


def test_documents_and_tables_are_stored_together_or_not(installation):
    good = own("certificate-of-origin", certificate_fields())
    assert blocked(bring(installation, good, table(row("MS-1", qty="")), issuers=["Zhejiang Chamber"]))
    assert requests(installation) == []
    bring(installation, good, table(row("MS-1")), issuers=["Zhejiang Chamber"])
    assert len(requests(installation)) == 1
    assert references(installation) == {"MS-1"}


@pytest.mark.parametrize("text", ['{"kind": "a", "kind": "b"}', '{"a": NaN}', "[" * 70])
def test_hostile_json_is_told_and_kept_out(installation, text):
    assert blocked(bring(installation, Given("x", text.encode()))) == [(None, "malformed-json")]


# Credentials secured as SD-JWT


def presented(record, *names):
    return Given("certificate.sd-jwt", record.sd_jwt.disclosing(names or list(record.fields)).compact.encode())


def told(plan, code):
    return [note for file in plan.files for note in file.notes if note.code == code]


def test_chambers_record_becomes_merchants_statement_naming_its_signer(installation):
    record = installation.issue_certificate()
    done = bring(installation, presented(record), issuers=["Zhejiang Chamber"])
    assert blocked(done) == []
    assert [note.values["value"] for note in told(done, "sd-signer")] == ["Zhejiang Chamber"]
    statement = installation.record(done.files[0].stored[0].id)
    assert (statement.fields, statement.assurance) == (record.fields, Assurance.STATED)
    installation.settle()


def test_record_shown_in_part_is_completed_or_refused(installation):
    record = installation.issue_certificate()
    shown = presented(record, *(name for name in record.fields if name != "quantity"))
    assert blocked(bring(installation, shown, issuers=["Zhejiang Chamber"])) == [(None, "lacking-withheld")]
    assert requests(installation) == []
    done = bring(installation, shown, issuers=["Zhejiang Chamber"], quantity="500")
    assert installation.record(done.files[0].stored[0].id).fields == record.fields
    installation.settle()


def test_a_key_in_wrong_hands_is_told(installation):
    record = installation.issue_certificate()
    with installation.ctx.work() as work:
        key = work.keys.active(installation.chamber.organisation)
        work.keys.find(key.thumbprint).compromised_since = installation.ctx.now()
        work.commit()
    assert told(bring(installation, presented(record)), "sd-signer-robbed")


def credential_of(**envelope):
    subject = {"items": [{"itemCount": 1}]}
    document = {"type": ["CertificationOfOrigin"], "credentialSubject": subject} | envelope
    return Given("certificate.json", json.dumps(document).encode())


def test_end_of_imported_document_is_told(installation):
    now = installation.ctx.now()
    past, ahead = ((now + timedelta(days=days)).isoformat() for days in (-1, 3))
    assert [n.field for n in told(bring(installation, credential_of(validUntil=past)), "expired")] == ["validUntil"]
    assert not told(bring(installation, credential_of(validUntil=ahead)), "expired")
    expiring = credential_of(validUntil=ahead, expirationDate=past)
    assert [n.where for n in told(bring(installation, expiring), "expired")] == ["/expirationDate"]


def test_end_earlier_today_is_told(installation):
    """Of the day of its end a document holds until the hour that its maker names."""
    hour_ago = (installation.ctx.now() - timedelta(hours=1)).isoformat()
    assert told(bring(installation, credential_of(validUntil=hour_ago)), "expired")


def test_end_of_the_agreements_term_is_told(installation):
    issued = (installation.ctx.now() - timedelta(days=400)).date().isoformat()
    certificate = certificate_fields(issueDate=issued, validUntil=None, freeTradeAgreementName="RCEP")
    plan = bring(installation, own("certificate-of-origin", certificate), issuers=["Zhejiang Chamber"])
    assert [note.field for note in told(plan, "expired")] == ["validUntil"]


def test_future_date_is_told_of_incomplete_documents(installation):
    ahead = (installation.ctx.now() + timedelta(days=9)).isoformat()
    plan = bring(installation, credential_of(issuanceDate=ahead))
    assert [note.field for note in plan.files[0].notes if note.code == "fault"] == ["issueDate"]


def test_report_in_chinese_holds_no_english_sentence(installation):
    """Values and names of fields aside, which are what the file says."""
    late = table(f"{row('MS-1', grossWeight='0')},2036-01-01T08:00+08:00", header=f"{HEADER},arrivalDateTime")
    modes = table(row("MS-2") + ",1210", header=f"{HEADER},tradeMode")
    for file in (late, table(f"{row('MS-1')},2036-01-01T08:00+08:00", header=f"{HEADER},arrivalDateTime"), modes):
        for note in bring(installation, file).files[0].notes:
            words = report(note, "zh")
            assert not re.search("[a-z]+ [a-z]+", words), words


def test_an_altered_credential_is_told_and_kept_out(installation):
    record = installation.issue_certificate()
    jwt, first, *others = presented(record).content.decode().split("~")
    altered = Given("x", "~".join([jwt, first[:-4] + "AAAA", *others]).encode())
    assert blocked(bring(installation, altered, issuers=["Zhejiang Chamber"])) == [(None, "sd-disclosure")]
    assert requests(installation) == []


# One unit of work


def test_failure_at_the_end_undoes_what_went_before(installation):
    def lodge_and_fail():
        with joined(installation.ctx) as inside:
            declarations.lodge(inside, installation.merchant, lodgement_fields(declarationReference="MS-1"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        lodge_and_fail()
    assert references(installation) == set()


# Every kind, new ones too


@pytest.mark.parametrize("kind", [kind for kind, stated in KINDS.items() if stated.without_import is None])
def test_own_document_of_any_kind_comes_in(installation, kind):
    stated, issuers = KINDS[kind], []
    if stated.signing is Signing.CERTIFIED:
        issuers = [somebody(installation, min(stated.signed_by)).organisation.name]
    fields = lodgement_fields() if stated.signing is Signing.LODGED else FIELDS[kind]()
    fields = {"packageQuantity": 1} | fields if stated.signing is Signing.LODGED else fields
    if stated.signing is Signing.CERTIFIED:
        fields = {name: value for name, value in fields.items() if name != stated.number_field}
    today = installation.ctx.now().date().isoformat()
    fields |= {name: today for name in ("inspectionDate", "issueDate") if name in fields and fields[name] > today}
    plan = bring(installation, own(kind.slug, fields), issuers=issuers)
    assert blocked(plan) == []
    assert [one.kind for file in plan.files for one in file.stored] == [kind]


@pytest.mark.parametrize("kind", [kind for kind, stated in KINDS.items() if stated.without_import is not None])
def test_own_document_of_another_kind_is_refused(installation, kind):
    assert blocked(bring(installation, own(kind.slug, FIELDS[kind]()))) == [(None, "unknown-kind")]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"issueDate": "2027-04-06"}, "issueDate"),
        ({"freeTradeAgreementName": "RCEP", "importCountry": "US"}, "freeTradeAgreementName"),
        ({"freeTradeAgreementName": "RCEP", "originCriteria": "NP"}, "originCriteria"),
        ({"freeTradeAgreementName": "RCEP", "validUntil": "2029-03-01"}, "validUntil"),
    ],
)
def test_certificate_that_cannot_hold_stays_outside(installation, changes, field):
    chamber = installation.chamber.organisation.id
    fields = {name: value for name, value in certificate_fields(**changes).items() if name != "certificateNumber"}
    plan = bring(installation, own("certificate-of-origin", fields), issuers=[chamber])
    assert [note.field for file in plan.files for note in file.notes if note.severity.blocks] == [field]
    assert not records(installation)


def test_invoice_dated_ahead_stays_outside(installation):
    plan = bring(installation, own("invoice", invoice_fields(issueDate="2027-04-06")))
    assert [note.field for file in plan.files for note in file.notes if note.severity.blocks] == ["issueDate"]
