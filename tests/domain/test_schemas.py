"""Every record fits the schema that it names, and what was published stays as it was."""

import json
import os
from hashlib import sha256
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from backend.domain import schemas
from backend.domain.errors import Invalid
from backend.domain.fields import hs_subheadings
from backend.domain.kinds import BY_SLUG, KINDS, Kind
from backend.domain.records import document_as_signed, document_of, fields_of
from backend.domain.strict_json import canonical
from tests.helpers.builders import (
    FIELDS,
    a_record,
    certificate_fields,
    declaration_fields,
    goods_item,
    report_fields,
)

PUBLISHED = Path(__file__).parents[1] / "vectors" / "schemas.json"


def validator(kind):
    schema = schemas.credential_schema(kind, KINDS[kind].schema_id(None))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=FormatChecker())


def credential(kind, fields=None):
    """The credential with every field in the open, as it is signed."""
    stated = fields_of(document_of(kind, fields or FIELDS[kind]()))
    record = a_record(kind, stated)
    return {**record.payload, "credentialSubject": record.subject}


@pytest.mark.parametrize("kind", Kind)
def test_what_is_signed_fits_the_schema(kind):
    assert [error.message for error in validator(kind).iter_errors(credential(kind))] == []


@pytest.mark.parametrize("kind", Kind)
def test_a_schema_refuses_a_credential_of_another_kind(kind):
    for other in set(Kind) - {kind}:
        assert not validator(kind).is_valid(credential(other))


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (Kind.CERTIFICATE_OF_ORIGIN, "originCountry", "XX"),
        (Kind.CERTIFICATE_OF_ORIGIN, "unitCode", "PCS"),
        (Kind.CERTIFICATE_OF_ORIGIN, "hsCode", "94"),
        (Kind.CERTIFICATE_OF_ORIGIN, "quantity", 500),
        (Kind.CERTIFICATE_OF_ORIGIN, "originCriteria", "ZZ"),
        (Kind.CERTIFICATE_OF_ORIGIN, "surplus", "x"),
        (Kind.INSPECTION_REPORT, "results", []),
        (Kind.INSPECTION_REPORT, "conforms", "yes"),
        (Kind.DECLARATION, "items", "none"),
        (Kind.ORDER, "currency", "RMB"),
        (Kind.PAYMENT_RECEIPT, "amount", "12,5"),
        (Kind.WAYBILL, "transportModeCode", "9"),
        (Kind.MOVEMENT_EVENT, "eventType", "vanished"),
    ],
)
def test_a_schema_finds_what_the_forms_refuse(kind, name, value):
    whole = credential(kind)
    wrong = {**whole, "credentialSubject": {**whole["credentialSubject"], name: value}}
    assert not validator(kind).is_valid(wrong)
    with pytest.raises(Invalid):
        document_of(kind, {**FIELDS[kind](), name: value} if name != "quantity" else {**FIELDS[kind](), name: "x"})


@pytest.mark.parametrize("kind", Kind)
def test_missing_field_fails_schema_and_form_alike(kind):
    required = set(schemas.subject_schema(kind)["required"])
    refused = set()
    for name in FIELDS[kind]():
        fields = {k: v for k, v in FIELDS[kind]().items() if k != name}
        try:
            document_of(kind, fields)
        except Invalid as error:
            refused.update(where for where, what in error.problems if what == "is missing" and "." not in where)
    assert refused == required


def pinned(kind, version):
    """Lists of countries and currencies grow with the world; everything else is the version."""
    schema = json.loads(json.dumps(schemas.credential_schema(kind, "", version)))
    for name in ("agreement-code", "country-code", "currency-code", "unit-code"):
        schema["$defs"].pop(name, None)
    return sha256(canonical(schema)).hexdigest()


def test_published_schemas_never_change():
    """Where a digest differs, a file that is published was edited: put it back."""
    found = {f"{slug}/v{version}": pinned(BY_SLUG[slug], version) for slug, version in schemas.published()}
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == found


@pytest.mark.parametrize("kind", Kind)
def test_newest_schema_is_what_the_model_says(kind):
    """Where this fails, a model changed what records may say: raise its schema_version and write a new file."""
    file = schemas.FOLDER / f"{kind.slug}-v{KINDS[kind].schema_version}.json"
    if os.environ.get("PROVENPORT_PUBLISH_SCHEMAS") and not file.exists():
        file.write_text(schemas.frozen_text(kind), encoding="utf-8")
    assert file.read_text(encoding="utf-8") == schemas.frozen_text(kind)


def test_schema_is_named_by_address_or_urn():
    kind = Kind.CERTIFICATE_OF_ORIGIN
    assert KINDS[kind].schema_id(None) == "urn:provenport:schema:certificate-of-origin:v3"
    assert KINDS[kind].schema_id("https://x.example/") == "https://x.example/schemas/certificate-of-origin/v3.json"


# Real code lists, and what forms refuse beyond the type of a field


def faults(kind, fields):
    with pytest.raises(Invalid) as refused:
        document_of(kind, fields)
    return dict(refused.value.problems)


def test_hs_codes_are_those_of_hs_2022():
    assert len(hs_subheadings()) == 5612
    assert {"852411", "880621", "240412"} <= hs_subheadings()
    assert "999999" not in hs_subheadings()
    for code in ("999999", "9999.99.99", "010100", "940599999"):
        assert "hsCode" in faults(Kind.CERTIFICATE_OF_ORIGIN, certificate_fields(hsCode=code))
    document_of(Kind.CERTIFICATE_OF_ORIGIN, certificate_fields(hsCode="9405.99.9000"))


def test_code_removed_from_list_keeps_records_valid():
    gone = certificate_fields(hsCode="854810")  # in HS 2017, not in HS 2022
    assert "hsCode" in faults(Kind.CERTIFICATE_OF_ORIGIN, gone)
    assert document_as_signed(Kind.CERTIFICATE_OF_ORIGIN, gone).hs_code == "854810"


@pytest.mark.parametrize("number", ["91330782DEM000001X", "91330782DEM0000010"])
def test_a_mistyped_chinese_company_number_is_found(number):
    exporter = {"name": "Morning Star", "countryCode": "CN", "identifier": number}
    assert "mistyped" in faults(Kind.CERTIFICATE_OF_ORIGIN, certificate_fields(exporter=exporter))["exporter"]
    right = {**exporter, "identifier": "91330782DEM000001N"}
    document_of(Kind.CERTIFICATE_OF_ORIGIN, certificate_fields(exporter=right))
    document_of(Kind.CERTIFICATE_OF_ORIGIN, certificate_fields(exporter={**exporter, "countryCode": "SG"}))


@pytest.mark.parametrize("value", ["pass", "Passed.", "合格", "OK"])
def test_report_of_bare_pass_or_fail_is_refused(value):
    bare = report_fields(results=[{"characteristic": "Safety", "value": value}])
    assert "state no measurement" in faults(Kind.INSPECTION_REPORT, bare)[""]
    measured = {"characteristic": "Leakage current", "value": "0.08", "unit": "mA"}
    document_of(Kind.INSPECTION_REPORT, report_fields(results=[*bare["results"], measured]))


@pytest.mark.parametrize("name", ["method", "results", "decisionRule", "specification", "conforms"])
def test_report_without_iso_17025_fields_is_refused(name):
    fields = {k: v for k, v in report_fields().items() if k != name}
    assert faults(Kind.INSPECTION_REPORT, fields) == {name: "is missing"}


def test_certificate_by_regional_value_content_states_value():
    fields = certificate_fields(originCriteria="RVC", freeTradeAgreementName="RCEP")
    assert "freeOnBoardAmount is missing" in faults(Kind.CERTIFICATE_OF_ORIGIN, fields)[""]
    document_of(Kind.CERTIFICATE_OF_ORIGIN, fields | {"freeOnBoardAmount": "1200", "currency": "USD"})
    assert "belong together" in faults(Kind.CERTIFICATE_OF_ORIGIN, certificate_fields(freeOnBoardAmount="1"))[""]


@pytest.mark.parametrize(("agreement", "percent", "is_fine"), [
    ("RCEP", "39.99", False), ("RCEP", "0", False), ("RCEP", "40", True), ("ACFTA", "35", False), ("NONE", "10", True),
])  # fmt: skip
def test_regional_value_content_reaches_the_agreements(agreement, percent, is_fine):
    fields = certificate_fields(
        originCriteria="RVC",
        freeTradeAgreementName=agreement,
        regionalValueContentPercent=percent,
        freeOnBoardAmount="1200",
        currency="USD",
    )
    fields |= {"importCountry": "SG"}
    if is_fine:
        document_of(Kind.CERTIFICATE_OF_ORIGIN, fields)
    else:
        assert "below the 40 percent" in faults(Kind.CERTIFICATE_OF_ORIGIN, fields)[""]
    document_as_signed(Kind.CERTIFICATE_OF_ORIGIN, fields)  # what was signed is judged by its agreement's checks


def test_every_field_of_chinas_list_has_its_place():
    """Names of CEB603 that a merchant fills in; those that customs or the message carry are not ours."""
    goods = "gcode gname qty unit price currency country itemNo itemRecordNo gmodel barCode qty1 unit1 qty2 unit2"
    head = (
        "copNo customsCode tradeMode ebcCode ebcName ebpName orderNo logisticsNo logisticsName country packNo "
        "grossWeight netWeight portCode ieDate agentCode agentName ownerCode ownerName trafMode trafName voyageNo "
        "billNo loctNo licenseNo POD freight fCurrency insuredFee iCurrency wrapType note"
    )
    text = json.dumps(schemas.subject_schema(Kind.DECLARATION))
    assert [name for name in f"{goods} totalPrice {head}".split() if name not in text] == []
    document_of(Kind.DECLARATION, declaration_fields(items=[goods_item(barCode="6900000000014")]))


def test_movement_concerns_a_waybill_or_order():
    fields = {k: v for k, v in FIELDS[Kind.MOVEMENT_EVENT]().items() if k != "waybillReference"}
    assert "waybillReference is missing" in faults(Kind.MOVEMENT_EVENT, fields)[""]
    document_of(Kind.MOVEMENT_EVENT, fields | {"orderReference": "ORDER-1"})
