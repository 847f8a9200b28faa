"""Signed records: shown in part, altered in nothing."""

import json
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.domain import sd_jwt
from backend.domain.errors import Invalid
from backend.domain.kinds import Kind
from backend.domain.sd_jwt import MalformedRecord, b64, is_signed_by_its_key, parse, thumbprint, unb64
from tests.helpers.builders import (
    CHAMBER,
    SOMEBODY_ELSE,
    a_record,
    certificate_fields,
    header_of,
    signed_text,
)

RECORD = a_record()
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def parts(record=RECORD):
    header, payload, signature = record.signed_jwt.split(".")
    return json.loads(unb64(header)), json.loads(unb64(payload)), signature


def encoded(value):
    return b64(json.dumps(value).encode())


def test_a_record_is_read_as_it_was_issued():
    read = parse(RECORD.compact)
    assert read == RECORD
    assert read.subject == certificate_fields()
    assert read.withheld == 0
    assert is_signed_by_its_key(read)


@pytest.mark.parametrize("names", [None, [], ["quantity"]])
def test_text_is_read_twice_alike(names):
    shown = RECORD if names is None else RECORD.disclosing(names)
    first, again = parse(shown.compact), parse(shown.compact)
    assert (first, again) == (shown, shown)
    assert parse(shown.signed_jwt).withheld == len(certificate_fields())


@pytest.mark.parametrize("value", ["x" * length for length in range(9)] + ["产" * length for length in range(1, 4)])
def test_text_of_any_length_is_read_twice_alike(value):
    """What is left of a disclosure's length over threes decides how it is joined to the next one."""
    record = a_record(fields={"description": value, "goods": {"list": [value, value + "y", None, 1.5]}})
    assert parse(record.compact) == parse(record.compact) == record


def test_fault_is_found_again():
    altered = RECORD.compact.replace("~", "~~", 1)
    for _ in range(3):
        with pytest.raises(Invalid):
            parse(altered)


def test_a_record_states_its_algorithm_type_and_key():
    assert dict(parse(RECORD.compact).header) == header_of(CHAMBER)


def test_the_thumbprint_is_the_one_of_rfc_7638():
    jwk = CHAMBER.jwk
    canonical = f'{{"crv":"P-256","kty":"EC","x":"{jwk["x"]}","y":"{jwk["y"]}"}}'
    assert thumbprint(jwk | {"use": "sig", "kid": "ignored"}) == sha256(canonical.encode()).digest()


def test_signed_text_holds_no_field_in_the_open():
    _, payload, _ = parts()
    assert set(payload["credentialSubject"]) == {"_sd"}
    assert len(payload["credentialSubject"]["_sd"]) == len(certificate_fields())
    assert "LED desk lamp" not in json.dumps(payload)


def test_every_field_has_its_own_256_bit_salt():
    salts = [json.loads(unb64(disclosure))[0] for disclosure in RECORD.disclosures]
    assert len(set(salts)) == len(salts) == len(certificate_fields())
    assert {len(unb64(salt)) for salt in salts} == {32}


@given(st.sets(st.sampled_from(sorted(certificate_fields()))))
@settings(max_examples=40, deadline=None)
def test_any_choice_of_fields_can_be_shown(names):
    shown = parse(RECORD.disclosing(sorted(names)).compact)
    assert shown.subject == {name: value for name, value in certificate_fields().items() if name in names}
    assert shown.withheld == len(certificate_fields()) - len(names)
    assert shown.signed_jwt == RECORD.signed_jwt
    assert is_signed_by_its_key(shown)


def test_record_without_shown_fields_is_still_signed():
    bare = parse(RECORD.signed_jwt + "~")
    assert bare.subject == {}
    assert is_signed_by_its_key(bare)


def altered_disclosure(position=0, value="TZ"):
    salt, name, _ = json.loads(unb64(RECORD.disclosures[position]))
    return encoded([salt, name, value])


def replacing(position, disclosure):
    kept = list(RECORD.disclosures)
    kept[position] = disclosure
    return "~".join([RECORD.signed_jwt, *kept, ""])


def other_payload(**changes):
    header, payload, signature = parts()
    return ".".join([encoded(header), encoded(payload | changes), signature])


def test_an_altered_payload_is_not_signed():
    read = parse(other_payload(assurance="stated") + "~")
    assert not is_signed_by_its_key(read)


def test_a_signature_of_another_key_is_not_accepted():
    _, payload, _ = parts()
    forged = signed_text(header_of(CHAMBER), payload, SOMEBODY_ELSE)
    assert not is_signed_by_its_key(parse(forged + "~"))


def test_key_beside_anothers_name_is_not_accepted():
    _, payload, _ = parts()
    for header in (header_of(SOMEBODY_ELSE, kid=b64(CHAMBER.thumbprint)), header_of(CHAMBER, jwk=SOMEBODY_ELSE.jwk)):
        assert not is_signed_by_its_key(parse(signed_text(header, payload, SOMEBODY_ELSE) + "~"))


@pytest.mark.parametrize("kid", [None, "", 5, ["x"], "A" * 43])
def test_a_key_must_be_named_by_its_thumbprint(kid):
    _, payload, _ = parts()
    assert not is_signed_by_its_key(parse(signed_text(header_of(kid=kid), payload) + "~"))


@pytest.mark.parametrize("jwk", [None, "x", [], 5])
def test_a_record_without_its_key_is_not_signed(jwk):
    _, payload, _ = parts()
    assert not is_signed_by_its_key(parse(signed_text(header_of(jwk=jwk), payload) + "~"))


@pytest.mark.parametrize(
    "change",
    [{"kty": "RSA"}, {"crv": "P-384"}, {"y": "AAAA"}, {"x": 5}, {"x": "not base64!"}, {"x": b64(bytes(32))}],
    ids=str,
)
def test_key_off_the_curve_signs_nothing(change):
    _, payload, _ = parts()
    jwk = CHAMBER.jwk | change
    header = header_of(jwk=jwk, kid=b64(thumbprint(jwk)))
    assert not is_signed_by_its_key(parse(signed_text(header, payload) + "~"))


@pytest.mark.parametrize(
    "signature",
    [b"", bytes(64), bytes(63), bytes(65), b"\xff" * 64, bytes(32) + b"\x01" * 32, P256_ORDER.to_bytes(32, "big") * 2],
    ids=lambda signature: f"{len(signature)} bytes, {signature[:1].hex()}",
)
def test_signatures_that_are_none_are_not_accepted(signature):
    signing_input = RECORD.signed_jwt.rpartition(".")[0]
    assert not is_signed_by_its_key(parse(f"{signing_input}.{b64(signature)}~"))


def test_a_signature_turned_over_makes_another_entry():
    """(r, n - s) is as valid as (r, s), but the digest that is anchored covers the signature too."""
    signing_input, _, signature = RECORD.signed_jwt.rpartition(".")
    raw = unb64(signature)
    turned = raw[:32] + (P256_ORDER - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    twin = parse(f"{signing_input}.{b64(turned)}~")
    assert is_signed_by_its_key(twin)
    assert twin.signed_jwt != RECORD.signed_jwt


@pytest.mark.parametrize(
    "change",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "ES384"},
        {"alg": "es256"},
        {"alg": None},
        {"alg": ["ES256"]},
        {"typ": "JWT"},
        {"typ": None},
        {"crit": ["b64"]},
        {"crit": []},
    ],
    ids=str,
)
def test_other_algorithms_and_types_are_refused(change):
    _, payload, _ = parts()
    with pytest.raises(MalformedRecord, match="ES256"):
        parse(signed_text(header_of(**change), payload) + "~")


MALFORMED = {
    "an altered field": replacing(4, altered_disclosure(4)),
    "another field's name": replacing(0, encoded(["AAAA", "originCountry", "TZ"])),
    "a field shown twice": RECORD.compact + RECORD.disclosures[0] + "~",
    "a field that was never signed": RECORD.compact + encoded(["AAAA", "conforms", True]) + "~",
    "text after the end": RECORD.compact + "trailing",
    "a key binding": RECORD.compact + "eyJ.eyJ.sig",
    "no ending tilde": RECORD.compact[:-1],
    "an empty disclosure": RECORD.compact + "~",
    "two parts": "a.b~",
    "four parts": RECORD.signed_jwt + ".x~",
    "nothing": "",
    "tildes": "~~~",
    "padding": RECORD.signed_jwt.replace(".", "=.", 1) + "~",
    "space": " " + RECORD.compact,
    "a line break": RECORD.compact + "\n",
    "the standard alphabet": "+/+/.e30.AA~",
    "letters of another script": "ａｂｃ.e30.AA~",
    "a header that is no object": "W10.e30.AA~",
    "a payload that is no object": signed_text(header_of(), []) + "~",
    "no subject": signed_text(header_of(), {"type": []}) + "~",
    "a subject that is no object": signed_text(header_of(), {"credentialSubject": []}) + "~",
    "digests by another algorithm": signed_text(header_of(), {"credentialSubject": {}, "_sd_alg": "md5"}) + "~",
    "digests that are no list": signed_text(header_of(), {"credentialSubject": {"_sd": "x"}}) + "~",
    "a digest twice": signed_text(header_of(), {"credentialSubject": {"_sd": ["x", "x"]}}) + "~",
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_text_is_refused(text):
    with pytest.raises(Invalid):
        parse(text)


def test_a_header_with_a_key_twice_is_refused():
    header = b64(b'{"alg":"none","alg":"ES256","typ":"vc+sd-jwt"}')
    with pytest.raises(Invalid, match="twice"):
        parse(f"{header}.e30.AA~")


@pytest.mark.parametrize("disclosure", [["s", "x"], ["s", "x", 1, 2], {"s": 1}, [1, "x", 1], ["s", 5, 1]], ids=str)
def test_disclosure_without_salt_name_and_value_is_refused(disclosure):
    text = encoded(disclosure)
    digest = b64(sha256(text.encode()).digest())
    with pytest.raises(MalformedRecord, match="salt, name and value"):
        parse(signed_text(header_of(), {"credentialSubject": {"_sd": [digest]}}) + f"~{text}~")


@pytest.mark.parametrize("name", ["_sd", "...", "hsCode"])
def test_disclosure_under_an_open_fields_name_is_refused(name):
    text = encoded(["AAAA", name, "x"])
    subject = {"hsCode": "940521", "_sd": [b64(sha256(text.encode()).digest())]}
    with pytest.raises(MalformedRecord, match="twice"):
        parse(signed_text(header_of(), {"credentialSubject": subject}) + f"~{text}~")


@pytest.mark.parametrize("text", ["A", "AB", "AAB", "A===", "AA==", "A A", "AA\n", "é", "AA.", "+A"])
def test_base64url_that_would_be_written_otherwise_is_refused(text):
    with pytest.raises(MalformedRecord):
        unb64(text)


@given(st.binary(max_size=80))
def test_bytes_survive_base64url(data):
    assert unb64(b64(data)) == data


@given(st.data())
@settings(max_examples=250, deadline=None)
def test_no_single_altered_character_passes(data):
    text = RECORD.compact
    position = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("ABCxyz019-_.~"))
    altered = text[:position] + letter + text[position + 1 :]
    try:
        passes = is_signed_by_its_key(parse(altered))
    except Invalid:
        return
    assert altered == text or not passes


def test_every_kind_of_record_survives_a_round_trip():
    for kind in Kind:
        record = a_record(kind)
        assert parse(record.compact) == record
        assert sd_jwt.is_signed_by_its_key(record)
