"""Credentials secured as SD-JWT: what is shown is read, what is withheld is told, and altered ones are refused."""

import json
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from hashlib import sha256
from pathlib import Path

import pytest

from backend.domain import sd_jwt, selective_disclosure
from backend.domain.interop import secured
from backend.domain.interop.formats import is_document, read_file
from backend.domain.interop.reading import Note, Severity, UnknownFormat
from backend.domain.sd_jwt import MalformedRecord, b64, unb64
from backend.messages.imports import MESSAGES, report
from tests.helpers.builders import (
    CHAMBER,
    SOMEBODY_ELSE,
    a_record,
    certificate_fields,
    header_of,
    signed_text,
)


def disclosure(*parts):
    return b64(json.dumps(parts).encode())


def digest(text):
    return b64(sha256(text.encode()).digest())


DESCRIPTION = disclosure("s1", "description", "Espresso makers")
COUNT = disclosure("s2", "itemCount", 30)
MAKERS = disclosure("s3", {"_sd": [digest(DESCRIPTION), digest(COUNT)], "name": "Machines"})
GRINDERS = disclosure("s4", {"name": "Grinders"})
ORIGIN = disclosure("s5", "manufacturingCountry", "Italy")
PAYLOAD = {
    "type": ["VerifiableCredential", "CertificationOfOrigin"],
    "issuer": {"name": "North Italy Chamber"},
    "validFrom": "2026-03-01T03:50:55Z",
    "credentialSubject": {
        "items": [{"...": digest(MAKERS)}, {"...": digest(GRINDERS)}],
        "_sd": [digest(ORIGIN), digest("nothing")],
    },
    "_sd_alg": "sha-256",
}
GIVEN = {"exporter.name": "Rossi", "importCountry": "CN", "originCriteria": "NP", "hsCode": "851671"}


def text(*disclosures, payload=PAYLOAD, header=None, end="", key=CHAMBER):
    return "~".join([signed_text(header or header_of(), payload, key), *disclosures, end])


def read(*disclosures, given=GIVEN, **changes):
    return read_file(text(*disclosures, **changes).encode(), given)


def told(reading, code):
    return [(note.where, report(note)) for note in reading.notes if note.code == code]


def refused(content):
    with pytest.raises(MalformedRecord) as refusal:
        read_file(content.encode(), {})
    note = Note(Severity.WRONG, refusal.value.reason, refusal.value.where, values=refusal.value.told)
    assert report(note, "en") != report(note, "zh")
    return refusal.value.reason


# What is read


def test_shown_fields_read_like_the_plain_document():
    reading = read(MAKERS, DESCRIPTION, COUNT, ORIGIN)
    assert reading.is_complete, [report(note) for note in reading.notes if note.severity.blocks]
    assert reading.format == "traceability-certification-of-origin"
    taken = {name: reading.fields[name] for name in ("description", "quantity", "originCountry", "issueDate")}
    assert taken == {
        "description": "Espresso makers",
        "quantity": "30",
        "originCountry": "IT",
        "issueDate": "2026-03-01",
    }


def test_withheld_fields_are_told_in_place_not_read():
    reading = read(MAKERS, DESCRIPTION)
    assert {where: tell.split()[0] for where, tell in told(reading, "sd-withheld")} == {
        "/credentialSubject": "2",
        "/credentialSubject/items": "1",
        "/credentialSubject/items/0": "1",
    }
    assert "quantity" not in reading.fields
    assert {note.field for note in reading.notes if note.code == "lacking"} == {"quantity", "unitCode", "originCountry"}


@pytest.mark.parametrize("ending", ["", "\n", " \r\n"], ids=["", "a line's end", "a space"])
def test_credential_file_may_end_as_text_files_do(ending):
    """A byte order mark at its start is harmless too."""
    content = b"\xef\xbb\xbf" + text(MAKERS).encode() + ending.encode()
    assert is_document(content)
    assert read_file(content, {}).fields["description"] == "Machines"


@pytest.mark.parametrize("form", ["flattened", "general"])
def test_the_json_forms_say_the_same(form):
    protected, payload, signature = text(MAKERS).split("~")[0].split(".")
    one = {"protected": protected, "signature": signature, "header": {"disclosures": [MAKERS, DESCRIPTION, COUNT]}}
    document = {"payload": payload} | (one if form == "flattened" else {"signatures": [one]})
    reading = read_file(json.dumps(document).encode(), GIVEN)
    assert reading.fields["quantity"] == "30"
    assert len(told(reading, "sd-signed")) == 1


def test_sd_jwt_vc_holds_its_claims_on_top():
    """SD-JWT VC: ``vct`` names the type, ``iss`` the issuer, and there is no subject."""
    fields = certificate_fields()
    shown = [disclosure(f"s{name}", name, value) for name, value in fields.items()]
    payload = {
        "iss": "https://chamber.example",
        "vct": "urn:provenport:schema:certificate-of-origin:v1",
        "exp": 1_883_000_000,
        "nbf": 1_772_000_000,
        "cnf": {"jwk": SOMEBODY_ELSE.jwk},
        "_sd": [digest(one) for one in shown],
    }
    reading = read(*shown, payload=payload, header=header_of(typ="application/dc+sd-jwt"), given={})
    assert reading.is_complete
    assert reading.fields == fields
    assert told(reading, "sd-until") == [("/exp", "its issuer lets it hold until 2029-09-01T23:33:20Z")]
    assert told(reading, "sd-from") == [("/nbf", "its issuer lets it hold from 2026-02-25T06:13:20Z")]
    assert told(reading, "original-issuer")[0][1].startswith("https://chamber.example issued the original")
    assert not any(note.code == "no-place" for note in reading.notes)


def test_type_may_be_named_by_vct_alone():
    subject = {"credentialSubject": {"items": [{"description": "Lamps"}]}}
    payload = {"vct": "https://w3id.org/traceability#CertificationOfOrigin", **subject}
    assert read(payload=payload).fields["description"] == "Lamps"


def test_own_record_is_read_by_its_named_schema():
    for name in (
        "urn:provenport:schema:certificate-of-origin:v1",
        "https://a.b/x/schemas/certificate-of-origin/v1.json",
    ):
        record = a_record(credentialSchema={"id": name, "type": "JsonSchema"})
        reading = read_file(record.compact.encode(), {})
        assert (reading.format, reading.fields) == ("provenport-credential", certificate_fields())
        assert reading.is_complete


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le"])
def test_record_saved_in_utf_16_is_read(encoding):
    """Windows' shells write what a command printed so, with a mark."""
    record = a_record(credentialSchema={"id": "urn:provenport:schema:certificate-of-origin:v1"})
    mark = {"utf-16-be": BOM_UTF16_BE, "utf-16-le": BOM_UTF16_LE}.get(encoding, b"")
    reading = read_file(mark + f"{record.compact}\r\n".encode(encoding), {})
    assert reading.fields == certificate_fields()


def test_own_records_withheld_fields_are_told_by_name():
    record = a_record(credentialSchema={"id": "urn:provenport:schema:certificate-of-origin:v1"})
    shown = [name for name in certificate_fields() if name not in ("quantity", "exporter")]
    reading = read_file(record.disclosing(shown).compact.encode(), {})
    assert {note.field for note in reading.notes if note.code == "lacking-withheld"} == {"quantity", "exporter.name"}
    assert told(reading, "sd-withheld")[0][0] == "/credentialSubject"
    completed = read_file(record.disclosing(shown).compact.encode(), {"quantity": "1"})
    assert {note.field for note in completed.notes if note.severity.blocks} == {"exporter.name"}


def test_record_of_a_kind_never_imported_is_unknown():
    payload = {"type": ["Order"], "credentialSchema": {"id": "urn:provenport:schema:order:v1"}}
    with pytest.raises(UnknownFormat) as refusal:
        read(payload=payload)
    assert refusal.value.values["seen"] == "Order"


# Who signed


def test_report_names_the_key_that_checked_the_signature():
    """It is the key in the file."""
    (line,) = told(read(MAKERS), "sd-signed")
    assert b64(CHAMBER.thumbprint) in line[1]


@pytest.mark.parametrize(
    ("header", "code", "said"),
    [
        ({"alg": "ES256", "kid": "did:web:x#1"}, "sd-no-key", "did:web:x#1"),
        ({"alg": "ES256"}, "sd-no-key", "–"),
        ({"alg": "EdDSA", "jwk": {"kty": "OKP"}}, "sd-other-algorithm", "EdDSA"),
    ],
    ids=["a key named", "no key", "another algorithm"],
)
def test_a_signature_that_cannot_be_checked_is_told(header, code, said):
    reading = read(MAKERS, header=header | {"typ": "vc+sd-jwt"})
    assert said in told(reading, code)[0][1]
    assert told(reading, "sd-signed") == []


def bound(audience="Lion City", holder=SOMEBODY_ELSE, **cnf):
    bare = text(MAKERS, payload=PAYLOAD | {"cnf": cnf or {"jwk": SOMEBODY_ELSE.jwk}})
    said = {"nonce": "1", "aud": audience, "iat": 1_772_500_000, "sd_hash": digest(bare)}
    return bare + signed_text({"alg": "ES256", "typ": "kb+jwt"}, said, holder)


def test_a_holder_s_signature_is_checked_and_told():
    (line,) = told(read_file(bound().encode(), {}), "kb-checked")
    assert line[1].startswith("shown to Lion City on 2026-03-03T")
    assert told(read_file(bound(kid="x").encode(), {}), "kb-not-checked")


# What is refused, in both languages


def test_a_wrong_signature_keeps_the_file_out():
    assert refused(text(MAKERS, key=SOMEBODY_ELSE)) == "sd-signature"
    header, payload, signature = text().removesuffix("~").split(".")
    altered = b64(unb64(payload).replace(b"North Italy", b"South Italy"))
    assert refused(f"{header}.{altered}.{signature}~") == "sd-signature"


HELD = {"cnf": {"jwk": CHAMBER.jwk}}
REFUSED = {
    "an altered disclosure": (lambda: text(MAKERS, disclosure("s1", "description", "Gold")), "sd-foreign"),
    "a disclosure without what it lies in": (lambda: text(DESCRIPTION), "sd-foreign"),
    "a disclosure twice": (lambda: text(MAKERS, MAKERS), "sd-disclosure-twice"),
    "a damaged disclosure": (lambda: text(MAKERS[:-1]), "sd-disclosure"),
    "a line's end inside": (lambda: text(MAKERS[:20] + "\n" + MAKERS[20:]), "sd-disclosure"),
    "another type": (lambda: text(header=header_of(typ="JWT")), "sd-type"),
    "no type": (lambda: text(header={"alg": "ES256"}), "sd-type"),
    "no signature": (lambda: text(header=header_of(alg="none")), "sd-unsigned"),
    "an extension": (lambda: text(header=header_of(crit=["x"])), "sd-crit"),
    "another digest": (lambda: text(payload=PAYLOAD | {"_sd_alg": "sha-1"}), "sd-hash"),
    "no key": (lambda: text(header=header_of(jwk={"kty": "RSA"})), "sd-key"),
    "a digest twice": (lambda: text(payload=PAYLOAD | {"_sd": [digest(MAKERS)]}), "sd-digest-twice"),
    "a holder's signature by another": (lambda: bound(holder=CHAMBER), "kb-signature"),
    "a holder's signature for another choice": (lambda: bound().replace(MAKERS + "~", ""), "kb-hash"),
    "a holder's signature of another form": (lambda: bound() + ".", "sd-form"),
    "a holder's signature of another type": (lambda: text(payload=HELD, end=text()[:-1]), "kb-form"),
    "a part of JSON": (lambda: json.dumps({"payload": "e30", "signature": "AA"}), "sd-form"),
}  # fmt: skip


@pytest.mark.parametrize(("made", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_an_altered_or_odd_credential_is_refused(made, reason):
    assert refused(made()) == reason


def test_every_reason_has_its_sentence():
    modules = (sd_jwt, selective_disclosure, secured)
    reasons = {code for m in modules for code in re.findall(r'"((?:sd|kb)-[a-z-]+)"', Path(m.__file__).read_text())}
    told_otherwise, for_who_asked_the_holder = {"kb-key"}, {"kb-missing", "kb-nonce", "kb-audience"}
    assert reasons - set(MESSAGES) == told_otherwise | for_who_asked_the_holder
