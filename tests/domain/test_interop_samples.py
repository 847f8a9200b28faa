"""Published examples of other people's documents, read from where PROVENPORT_SAMPLES says they lie."""

import os
from pathlib import Path

import pytest
import yaml
from jwcrypto.jwk import JWK
from sd_jwt.common import SDObj
from sd_jwt.issuer import SDJWTIssuer

from backend.domain import strict_json
from backend.domain.interop.field_help import meaning_of
from backend.domain.interop.formats import read_document, read_file
from backend.domain.interop.reading import Severity
from backend.messages.imports import report

SAMPLES = os.environ.get("PROVENPORT_SAMPLES")
needs_samples = pytest.mark.skipif(not SAMPLES, reason="PROVENPORT_SAMPLES does not name the folder of samples")


def lacking(reading):
    return {note.field for note in reading.notes if note.severity is Severity.MISSING}


def wrong(reading):
    return {note.field for note in reading.notes if note.severity is Severity.WRONG}


def embedded(path):
    return yaml.safe_load((Path(SAMPLES) / path).read_text(encoding="utf-8"))["example"].encode()


SAMPLE_FILES = {
    "traceability-vocab/credentials/CertificationOfOrigin.yml": {
        "exporter.name", "importCountry", "originCriteria", "quantity", "unitCode",
    },
    "traceability-vocab/credentials/FoodGradeInspectionCredential.yml": {"decisionRule", "hsCode", "method"},
    "traceability-vocab/credentials/MillTestReportCredential.yml": {
        "conforms", "decisionRule", "hsCode", "method", "performedFrom", "performedTo",
    },
    "traceability-vocab/common/InspectionReport.yml": {
        "conforms", "customer.name", "decisionRule", "hsCode", "issueDate", "itemDescription", "itemIdentification",
        "method", "specification",
    },
    "traceability-vocab/credentials/CommercialInvoiceCredential.yml": {"issueDate"},
}  # fmt: skip


@needs_samples
@pytest.mark.parametrize("path", SAMPLE_FILES)
def test_published_example_is_whole_with_what_it_lacks(path):
    """It lacks only what its vocabulary does not hold."""
    reading = read_document(embedded(path), {})
    assert lacking(reading) == SAMPLE_FILES[path]
    assert wrong(reading) == set()
    given = {field: meaning_of(field).example.strip("'") for field in lacking(reading)} | {"issueDate": "2026-03-03"}
    completed = read_document(embedded(path), given)
    assert completed.is_complete, [report(note) for note in completed.notes if note.severity.blocks]


def marked(value):
    """Everything in it to be disclosed by itself, at every level."""
    if isinstance(value, dict):
        return {SDObj(name): marked(member) for name, member in value.items()}
    return [SDObj(marked(element)) for element in value] if isinstance(value, list) else value


@needs_samples
@pytest.mark.parametrize("path", SAMPLE_FILES)
def test_secured_published_example_reads_like_the_plain_one(path):
    key = JWK.generate(kty="EC", crv="P-256")
    document = strict_json.loads(embedded(path))
    header = {"typ": "vc+sd-jwt", "jwk": key.export_public(as_dict=True)}
    secured = SDJWTIssuer(marked(document), key, extra_header_parameters=header).sd_jwt_issuance
    reading, plain = read_file(secured.encode(), {}), read_document(embedded(path), {})
    assert (reading.fields, lacking(reading)) == (plain.fields, lacking(plain))
    assert [note.code for note in reading.notes if note.code.startswith("sd-")] == ["sd-signed"]


@needs_samples
def test_published_tradetrust_certificate_is_filled_with_placeholders():
    content = (Path(SAMPLES) / "tradetrust-coo" / "sample-data.json").read_bytes()
    reading = read_document(content, {})
    assert wrong(reading) == {"importCountry", "issueDate"}
    assert {"quantity", "unitCode", "originCountry", "originCriteria", "hsCode", "description"} == lacking(reading)
