"""The 17 published SD-JWT cases, issued and shown by the IETF's reference implementation, and read here.

Each is read as it should be, and refused in every altered form. Our own records are a narrower form, of fields that are
disclosed as a whole: they read three of the cases, and none of the others in part, which would show something else than
was signed.
"""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS
from sd_jwt.holder import SDJWTHolder
from sd_jwt.issuer import SDJWTIssuer
from sd_jwt.utils.yaml_specification import load_yaml_specification, remove_sdobj_wrappers

from backend.domain.sd_jwt import MalformedRecord, b64, digest_of, is_signed_by_its_key, parse, unb64
from backend.domain.selective_disclosure import holder_proof, read, read_json
from tests.helpers.builders import SOMEBODY_ELSE, header_of, signed_text

CASES = Path(os.environ.get("PROVENPORT_SAMPLES", "/nonexistent")) / "sd-jwt" / "testcases"
needs_samples = pytest.mark.skipif(not CASES.exists(), reason="PROVENPORT_SAMPLES names no samples")

NAMES = [
    "array_data_types",
    "array_full_sd",
    "array_in_sd",
    "array_nested_in_plain",
    "array_none_disclosed",
    "array_of_nulls",
    "array_of_objects",
    "array_of_scalars",
    "array_recursive_sd",
    "array_recursive_sd_some_disclosed",
    "header_mod",
    "json_serialization_flattened",
    "json_serialization_general",
    "key_binding",
    "no_sd",
    "object_data_types",
    "recursions",
]
BOUND = ["header_mod", "json_serialization_flattened", "json_serialization_general", "key_binding"]
"""Cases in which the holder signs too."""


@dataclass(frozen=True)
class Shown:
    """A case as it is handed over, in parts that a test can change."""

    name: str
    jwt: str
    disclosures: tuple[str, ...]
    key_binding: str

    @property
    def credential(self):
        if not self.name.startswith("json_"):
            return read("~".join([self.jwt, *self.disclosures, self.key_binding]))
        return read_json(json.loads(json.dumps(self.as_json())))

    def as_json(self):
        """As in RFC 9901, section 8; the reference implementation still writes the form of an earlier draft."""
        protected, payload, signature = self.jwt.split(".")
        first = {"protected": protected, "signature": signature, "header": {"disclosures": list(self.disclosures)}}
        if self.key_binding:
            first["header"]["kb_jwt"] = self.key_binding
        if self.name.endswith("flattened"):
            return {"payload": payload, **first}
        second = dict(zip(("protected", "payload", "signature"), signed(2, unb64(payload)).split("."), strict=True))
        return {"payload": second.pop("payload"), "signatures": [first, second]}

    def with_payload(self, change):
        """The same, signed anew over another payload."""
        _, payload, _ = self.jwt.split(".")
        return replace(self, jwt=signed(1, json.dumps(change(json.loads(unb64(payload)))).encode()))

    @property
    def payload(self):
        return json.loads(unb64(self.jwt.split(".")[1]))


def settings():
    return yaml.safe_load((CASES / "settings.yml").read_text(encoding="utf-8"))


def described(name):
    return load_yaml_specification(CASES / name / "specification.yml")


def issuer_key(number):
    """The settings' key, or the second one, which the general JSON serialization brings."""
    if number == 1:
        return JWK(**settings()["key_settings"]["issuer_keys"][0])
    return JWK(**described("json_serialization_general")["settings_override"]["key_settings"]["issuer_keys"][1])


def holder_key():
    return JWK(**settings()["key_settings"]["holder_key"])


def public(key):
    return key.export_public(as_dict=True)


def signed(number, payload):
    jws = JWS(payload=payload)
    jws.add_signature(issuer_key(number), alg="ES256", protected=json.dumps({"alg": "ES256", "typ": "example+sd-jwt"}))
    return jws.serialize(compact=True)


def issued(name, decoys=False):
    case, given = described(name), settings()
    envelope = {"iss": given["identifiers"]["issuer"], "iat": given["iat"], "exp": given["exp"]}
    return SDJWTIssuer(
        envelope | case["user_claims"],
        issuer_key(1),
        holder_key() if case.get("key_binding") else None,
        add_decoy_claims=decoys,
        extra_header_parameters=case.get("extra_header_parameters", {}),
    ).sd_jwt_issuance


def all_of(name, decoys=False):
    """Everything that the issuer hands out, without a holder's proof."""
    jwt, *disclosures, _ = issued(name, decoys).split("~")
    return Shown(name, jwt, tuple(disclosures), "")


def chosen(name, decoys=False):
    """What the case's holder chooses to show, with the proof where the case wants one."""
    case, given = described(name), settings()
    holder = SDJWTHolder(issued(name, decoys))
    proof = (given["key_binding_nonce"], given["identifiers"]["verifier"], holder_key())
    holder.create_presentation(case["holder_disclosed_claims"], *(proof if case.get("key_binding") else ()))
    jwt, *disclosures, key_binding = holder.sd_jwt_presentation.split("~")
    return Shown(name, jwt, tuple(disclosures), key_binding)


def said(credential):
    return {name: value for name, value in credential.claims.items() if name not in ("iss", "iat", "exp", "cnf")}


def expecting(name):
    return {"nonce": settings()["key_binding_nonce"], "audience": settings()["identifiers"]["verifier"]}


@needs_samples
def test_all_published_cases_are_here():
    assert sorted(folder.name for folder in CASES.iterdir() if folder.is_dir()) == NAMES
    assert [name for name in NAMES if described(name).get("key_binding")] == BOUND


@needs_samples
@pytest.mark.parametrize("decoys", [False, True], ids=["", "with decoys"])
@pytest.mark.parametrize("name", NAMES)
def test_case_says_what_its_holder_chose_to_show(name, decoys):
    credential = chosen(name, decoys).credential
    assert said(credential) == described(name)["expect_verified_user_claims"]
    assert credential.signed_by(public(issuer_key(1)))
    assert credential.signed_by(public(issuer_key(2))) == (name == "json_serialization_general")
    assert not credential.signed_by(SOMEBODY_ELSE.jwk)
    assert credential.signatures[0].header.get("kid") == (42 if name == "header_mod" else None)


@needs_samples
@pytest.mark.parametrize("name", NAMES)
def test_case_shown_in_full_says_everything_issued(name):
    credential = all_of(name).credential
    assert said(credential) == remove_sdobj_wrappers(described(name)["user_claims"])
    assert credential.withheld == {}


@needs_samples
@pytest.mark.parametrize("name", BOUND)
def test_cases_holder_has_signed_for_whoever_asked(name):
    proof = holder_proof(chosen(name).credential, **expecting(name))
    assert (proof.nonce, proof.audience) == tuple(expecting(name).values())


# Altered


def refused(shown, reason):
    with pytest.raises(MalformedRecord) as refusal:
        _ = shown.credential
    assert refusal.value.reason == reason


@needs_samples
@pytest.mark.parametrize("name", [name for name in NAMES if name != "no_sd"])
def test_an_altered_disclosure_is_refused_wherever_it_stands(name):
    shown = all_of(name)
    for place, disclosure in enumerate(shown.disclosures):
        parts = json.loads(unb64(disclosure))
        altered = b64(json.dumps([*parts[:-1], "altered"]).encode())
        disclosures = (*shown.disclosures[:place], altered, *shown.disclosures[place + 1 :])
        refused(replace(shown, disclosures=disclosures), "sd-foreign")


@needs_samples
@pytest.mark.parametrize("parts", [["salt", "sub", "x"], ["salt", "x"]], ids=["a member", "an element"])
@pytest.mark.parametrize("name", NAMES)
def test_a_disclosure_that_nobody_signed_is_refused(name, parts):
    shown = chosen(name)
    added = b64(json.dumps(parts).encode())
    refused(replace(shown, disclosures=(*shown.disclosures, added)), "sd-foreign")


@needs_samples
@pytest.mark.parametrize("name", [name for name in NAMES if name != "no_sd"])
def test_a_disclosure_twice_is_refused(name):
    shown = all_of(name)
    refused(replace(shown, disclosures=(*shown.disclosures, shown.disclosures[0])), "sd-disclosure-twice")


@needs_samples
@pytest.mark.parametrize("name", NAMES)
def test_a_digest_twice_is_refused_whoever_signed_it(name):
    shown = all_of(name)
    digest = next(iter(digests(shown.payload)), "A" * 43)
    twice = shown.with_payload(lambda payload: payload | {"again": [{"...": digest}, {"...": digest}]})
    refused(twice, "sd-digest-twice")


def digests(node):
    """All digests in the open."""
    members = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, member in members:
        yield from member if name == "_sd" else [member] if name == "..." else digests(member)


@needs_samples
@pytest.mark.parametrize("name", NAMES)
def test_an_altered_payload_is_not_signed(name):
    shown = chosen(name)
    header, payload, signature = shown.jwt.split(".")
    changed = b64(json.dumps(json.loads(unb64(payload)) | {"iss": "https://elsewhere.example"}).encode())
    altered = replace(shown, jwt=".".join([header, changed, signature]))
    assert not replace(altered, name="key_binding").credential.signed_by(public(issuer_key(1)))
    if name.startswith("json_"):
        assert not altered.credential.signed_by(public(issuer_key(1)))


@needs_samples
@pytest.mark.parametrize("wrong", ["nonce", "audience"])
@pytest.mark.parametrize("name", BOUND)
def test_holders_proof_for_another_nonce_or_verifier_refused(name, wrong):
    with pytest.raises(MalformedRecord) as refusal:
        holder_proof(chosen(name).credential, **expecting(name) | {wrong: "another"})
    assert refusal.value.reason == f"kb-{wrong}"


@needs_samples
@pytest.mark.parametrize("name", BOUND)
def test_holders_proof_over_other_disclosures_is_refused(name):
    """Fewer, none, or the same in another order."""
    shown = chosen(name)
    for disclosures in (shown.disclosures[1:], shown.disclosures[::-1], ()):
        with pytest.raises(MalformedRecord) as refusal:
            holder_proof(replace(shown, disclosures=disclosures).credential, **expecting(name))
        assert refusal.value.reason == "kb-hash"


@needs_samples
@pytest.mark.parametrize("name", BOUND)
def test_holders_proof_missing_or_of_another_key_refused(name):
    """So is one of another type, or without a signature."""
    shown = chosen(name)
    header, payload, _ = shown.key_binding.split(".")
    header, payload = json.loads(unb64(header)), json.loads(unb64(payload))
    for key_binding, reason in [
        (signed_text(header, payload, SOMEBODY_ELSE), "kb-signature"),
        (signed_text(header | {"typ": "JWT"}, payload), "kb-form"),
        (signed_text(header | {"alg": "none"}, payload), "sd-unsigned"),
        ("", "kb-missing"),
    ]:
        with pytest.raises(MalformedRecord) as refusal:
            holder_proof(replace(shown, key_binding=key_binding).credential, **expecting(name))
        assert refusal.value.reason == reason


# As records of ours

OURS = {"array_in_sd", "no_sd", "object_data_types"}
FLAT_BUT_BOUND = {"header_mod", "key_binding", "json_serialization_flattened", "json_serialization_general"}


def as_record(packed, disclosures, end=""):
    payload = {"credentialSubject": packed, "_sd_alg": "sha-256"}
    return "~".join([signed_text(header_of(), payload), *disclosures, end])


def without_envelope(payload):
    return {name: value for name, value in payload.items() if name not in ("iss", "iat", "exp", "cnf", "_sd_alg")}


@needs_samples
@pytest.mark.parametrize("name", sorted(OURS))
def test_case_of_our_form_reads_as_a_record(name):
    shown = all_of(name)
    packed, wanted = without_envelope(shown.payload), described(name)["expect_verified_user_claims"]
    # Ours are disclosed field by field: each group of fields is a subject of its own.
    groups = wanted if name == "object_data_types" else [None]
    for group in groups:
        subject = packed[group] if group else packed
        signed_here = [d for d in shown.disclosures if digest_of(d) in subject.get("_sd", [])]
        record = parse(as_record(subject, signed_here))
        assert record.subject == (wanted[group] if group else wanted)
        assert is_signed_by_its_key(record)


@needs_samples
@pytest.mark.parametrize("name", sorted(set(NAMES) - OURS - FLAT_BUT_BOUND))
def test_case_of_another_form_is_refused_whole(name):
    shown = all_of(name)
    with pytest.raises(MalformedRecord):
        parse(as_record(without_envelope(shown.payload), shown.disclosures))


@needs_samples
@pytest.mark.parametrize("name", sorted(FLAT_BUT_BOUND))
def test_case_with_holders_proof_or_json_is_refused(name):
    shown = chosen(name)
    packed = without_envelope(shown.payload)
    assert parse(as_record(packed, shown.disclosures)).subject["given_name"] == "John"
    with pytest.raises(MalformedRecord):
        parse(as_record(packed, shown.disclosures, shown.key_binding))
    with pytest.raises(MalformedRecord):
        parse(json.dumps(replace(shown, name="json_serialization_flattened").as_json()))
