"""The published SD-JWT cases: those of our form are read as they should be, all others are refused, none half read.

A record discloses the fields of its credentialSubject, each as a whole. Cases that disclose a part of a field (an
element of a list, a member of an object, one inside another), that bind a holder's key, or that are written as JSON
instead of the compact text are not our form: reading them in part would show something else than was signed.
"""

import json
import os
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from backend.domain.sd_jwt import MalformedRecord, b64, is_signed_by_its_key, parse
from tests.builders import header_of, signed_text

SAMPLES = Path(os.environ.get("PROVENPORT_SAMPLES", "/nonexistent")) / "sd-jwt" / "testcases"
needs_samples = pytest.mark.skipif(not SAMPLES.exists(), reason="PROVENPORT_SAMPLES names no samples")

OURS = {"array_in_sd", "no_sd", "object_data_types"}
REFUSED = {
    "array_data_types": "discloses elements of a list",
    "array_full_sd": "discloses members of an object inside a field",
    "array_nested_in_plain": "discloses elements of a list",
    "array_none_disclosed": "discloses members of an object inside a field",
    "array_of_nulls": "discloses elements of a list",
    "array_of_objects": "discloses elements of a list",
    "array_of_scalars": "discloses elements of a list",
    "array_recursive_sd": "one disclosure inside another",
    "array_recursive_sd_some_disclosed": "discloses elements of a list",
    "header_mod": "binds the holder's key",
    "json_serialization_flattened": "written as JSON",
    "json_serialization_general": "written as JSON",
    "key_binding": "binds the holder's key",
    "recursions": "one disclosure inside another",
}


class Sd:
    """A name or an element that is disclosed by itself."""

    def __init__(self, value):
        self.value = value

    def __hash__(self):
        return hash(str(self.value))

    def __eq__(self, other):
        return isinstance(other, Sd) and self.value == other.value


class Loader(yaml.SafeLoader):
    """Reads the tag that the published files mark disclosures with."""


def tagged(loader, node):
    read = {yaml.ScalarNode: loader.construct_object, yaml.SequenceNode: loader.construct_sequence}
    if isinstance(node, yaml.ScalarNode):
        plain = yaml.ScalarNode(loader.resolve(yaml.ScalarNode, node.value, (node.style is None, False)), node.value)
        return Sd(loader.construct_object(plain))
    construct = read.get(type(node), loader.construct_mapping)
    return Sd(construct(node, deep=True))


Loader.add_constructor("!sd", tagged)


class Issuer:
    """Makes SD-JWTs of every published form."""

    def __init__(self):
        self.disclosures = []

    def disclose(self, *parts):
        text = b64(json.dumps([b64(bytes([len(self.disclosures)]) * 16), *parts]).encode())
        self.disclosures.append(text)
        return b64(sha256(text.encode()).digest())

    def packed(self, value):
        if isinstance(value, dict):
            open_members = {str(k): self.packed(v) for k, v in value.items() if not isinstance(k, Sd)}
            digests = [self.disclose(str(k.value), self.packed(v)) for k, v in value.items() if isinstance(k, Sd)]
            return {**open_members, "_sd": sorted(digests)} if digests else open_members
        if isinstance(value, list):
            return [
                {"...": self.disclose(self.packed(item.value))} if isinstance(item, Sd) else self.packed(item)
                for item in value
            ]
        return value


def case(name):
    return yaml.load((SAMPLES / name / "specification.yml").read_text(encoding="utf-8"), Loader)


def text_of(claims):
    issuer = Issuer()
    subject = issuer.packed(claims)
    payload = {"credentialSubject": subject, "_sd_alg": "sha-256"}
    return "~".join([signed_text(header_of(), payload), *issuer.disclosures, ""])


@needs_samples
def test_every_published_case_is_ours_or_has_its_reason():
    names = {folder.name for folder in SAMPLES.iterdir() if folder.is_dir()}
    assert names == OURS | set(REFUSED)
    assert len(names) == 17


@needs_samples
@pytest.mark.parametrize("name", sorted(OURS))
def test_a_case_of_our_form_is_read_as_it_should_be(name):
    described = case(name)
    claims = described["user_claims"]
    # Ours are disclosed field by field: each group of fields is a subject of its own.
    groups = claims.values() if name == "object_data_types" else [claims]
    wanted = described["expect_verified_user_claims"]
    for group, expected in zip(groups, wanted.values() if name == "object_data_types" else [wanted], strict=True):
        record = parse(text_of(group))
        assert record.subject == expected
        assert is_signed_by_its_key(record)


@needs_samples
@pytest.mark.parametrize("name", sorted(name for name, why in REFUSED.items() if "JSON" not in why))
def test_a_case_of_another_form_is_refused_and_never_half_read(name):
    described = case(name)
    text = text_of(described["user_claims"])
    if described.get("key_binding"):
        plain = parse(text)  # without the holder's key it is our form, and read in full
        assert plain.subject["given_name"] == "John"
        text += signed_text({"alg": "ES256", "typ": "kb+jwt"}, {"nonce": "1234567890"})
    with pytest.raises(MalformedRecord):
        parse(text)


@needs_samples
@pytest.mark.parametrize("name", ["json_serialization_flattened", "json_serialization_general"])
def test_a_case_that_is_written_as_json_is_refused(name):
    jwt, *disclosures = text_of(case(name)["user_claims"]).split("~")
    header, payload, signature = jwt.split(".")
    flat = {"protected": header, "payload": payload, "signature": signature, "header": {"disclosures": disclosures}}
    with pytest.raises(MalformedRecord):
        parse(json.dumps(flat))


@pytest.mark.parametrize(
    "subject",
    [
        {"goods": {"_sd": [b64(bytes(32))]}},
        {"goods": [{"...": b64(bytes(32))}]},
        {"goods": [[{"deep": {"_sd": []}}]]},
        {"...": "x"},
    ],
)
def test_a_digest_in_a_nested_place_is_refused(subject):
    payload = {"credentialSubject": subject, "_sd_alg": "sha-256"}
    with pytest.raises(MalformedRecord, match="nested"):
        parse(signed_text(header_of(), payload) + "~")
    issuer = Issuer()
    digests = [issuer.disclose(name, value) for name, value in subject.items() if name != "..."]
    if digests:
        payload = {"credentialSubject": {"_sd": digests}, "_sd_alg": "sha-256"}
        with pytest.raises(MalformedRecord, match="nested"):
            parse("~".join([signed_text(header_of(), payload), *issuer.disclosures, ""]))
