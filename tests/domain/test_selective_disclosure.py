"""SD-JWTs of every form: what is withheld stays hidden, what is shown was signed, and odd ones are refused."""

import json
from hashlib import sha256, sha384, sha512
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.domain import selective_disclosure, strict_json
from backend.domain.sd_jwt import MalformedRecord, b64, parse
from backend.domain.selective_disclosure import holder_proof, read, read_json
from tests.helpers.builders import (
    CHAMBER,
    SOMEBODY_ELSE,
    a_record,
    certificate_fields,
    header_of,
    signed_text,
)

RECORD = a_record()


def digest(text, make=sha256):
    return b64(make(text.encode()).digest())


def disclosure(*parts):
    return b64(json.dumps(parts).encode())


def compact(payload, *disclosures, end="", header=None):
    return "~".join([signed_text(header or header_of(), payload), *disclosures, end])


def claims(payload, *disclosures):
    return read(compact(payload, *disclosures)).claims


def refused(text_or_document):
    with pytest.raises(MalformedRecord) as refusal:
        read(text_or_document) if isinstance(text_or_document, str) else read_json(text_or_document)
    return refusal.value.reason


# Whatever is shown and withheld


class Marked:
    """A value, and whether it is disclosed by itself; ``number`` says which disclosure it is."""

    def __init__(self, value, is_marked):
        self.value, self.is_marked, self.number = value, is_marked, None


def marked(values):
    return st.builds(Marked, values, st.booleans())


NAMES = (st.text(max_size=3) | st.sampled_from(["hsCode", "a/b", "~", "sd", "_sd_"])).filter(
    lambda name: name not in ("_sd", "...")
)
LEAVES = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4) | st.sampled_from([0.5, "…", "_sd"])
TREES = st.dictionaries(
    NAMES,
    marked(
        st.recursive(
            LEAVES,
            lambda inner: st.lists(marked(inner), max_size=4) | st.dictionaries(NAMES, marked(inner), max_size=4),
            max_leaves=12,
        )
    ),
    max_size=5,
)


class Maker:
    """Packs a tree of marked values, with decoys where the numbers say so."""

    def __init__(self, decoys):
        self.disclosures, self.decoys, self.inside = [], decoys, {}

    def pack(self, value, parent=None):
        if isinstance(value, list):
            return [element for one in value for element in self.element(one, parent)]
        if not isinstance(value, dict):
            return value
        members = {name: self.pack(one.value, parent) for name, one in value.items() if not one.is_marked}
        digests = [self.disclose(one, parent, name) for name, one in value.items() if one.is_marked]
        digests += [digest(f"decoy {next(self.decoys)}")] * (next(self.decoys) % 2)
        return members | ({"_sd": sorted(digests)} if digests else {})

    def element(self, one, parent):
        yield {"...": self.disclose(one, parent)} if one.is_marked else self.pack(one.value, parent)
        if next(self.decoys) % 3 == 0:
            yield {"...": digest(f"decoy {next(self.decoys)}")}

    def disclose(self, one, parent, *name):
        one.number = len(self.disclosures)
        self.disclosures.append(None)
        self.inside[one.number] = parent
        text = disclosure(f"salt {one.number}", *name, self.pack(one.value, one.number))
        self.disclosures[one.number] = text
        return digest(text)


def seen(value, shown):
    """What a reader should see of a tree, by the plain meaning of the marks."""
    if isinstance(value, dict):
        return {n: seen(one.value, shown) for n, one in value.items() if not one.is_marked or one.number in shown}
    if isinstance(value, list):
        return [seen(one.value, shown) for one in value if not one.is_marked or one.number in shown]
    return value


@given(TREES, st.data())
@settings(max_examples=300, deadline=None)
def test_withholding_leaves_exactly_what_is_shown(tree, data):
    maker = Maker(count(data.draw(st.integers(0, 5))))
    jwt = signed_text(header_of(), maker.pack(tree))
    shown = data.draw(st.sets(st.sampled_from(range(len(maker.disclosures))))) if maker.disclosures else set()
    order = data.draw(st.permutations(sorted(shown)))
    text = "~".join([jwt, *(maker.disclosures[number] for number in order), ""])
    if any(maker.inside[number] not in shown | {None} for number in shown):
        assert refused(text) == "sd-foreign"  # its own digest stands in something withheld
        return
    credential = read(text)
    assert credential.claims == seen(tree, shown)
    assert credential.signed_by(CHAMBER.jwk)
    assert credential.presented == text


@given(st.sets(st.sampled_from(sorted(certificate_fields()))))
@settings(max_examples=40, deadline=None)
def test_own_record_reads_alike_as_any_sd_jwt(names):
    """The reader of our records and that of any SD-JWT agree."""
    shown = RECORD.disclosing(sorted(names))
    credential = read(shown.compact)
    assert credential.claims["credentialSubject"] == parse(shown.compact).subject
    assert credential.withheld == ({"/credentialSubject": shown.withheld} if shown.withheld else {})


# What was signed


def test_a_disclosure_may_lie_inside_another():
    inner = disclosure("s1", "hsCode", "940521")
    outer = disclosure("s2", "goods", {"unit": "H87", "_sd": [digest(inner)]})
    payload = {"_sd": [digest(outer)]}
    assert claims(payload, outer, inner) == {"goods": {"unit": "H87", "hsCode": "940521"}}
    assert claims(payload, inner, outer) == {"goods": {"unit": "H87", "hsCode": "940521"}}
    assert claims(payload, outer) == {"goods": {"unit": "H87"}}
    assert refused(compact(payload, inner)) == "sd-foreign"


def test_members_keep_the_order_of_their_disclosures():
    names = [f"field {number}" for number in range(20)]
    shown = [disclosure("s", name, 1) for name in names]
    assert list(claims({"_sd": sorted(digest(one) for one in shown)}, *shown)) == names


def test_what_is_withheld_is_counted_where_it_stands():
    inner = disclosure("s", [{"...": digest("a decoy")}, 1, {"...": digest("another")}])
    payload = {"_sd": [digest("x")], "a/b": {"_sd": []}, "list": [{"...": digest("y")}, {"...": digest(inner)}]}
    credential = read(compact(payload, inner))
    assert credential.claims == {"a/b": {}, "list": [[1]]}
    assert credential.withheld == {"": 1, "/list": 1, "/list/0": 2}


@pytest.mark.parametrize(("name", "make"), [("sha-256", sha256), ("sha-384", sha384), ("sha-512", sha512)])
def test_digests_may_be_longer(name, make):
    shown = disclosure("s", "hsCode", "940521")
    payload = {"_sd": [digest(shown, make)], "_sd_alg": name}
    assert claims(payload, shown) == {"hsCode": "940521"}


@pytest.mark.parametrize("name", ["sha-1", "md5", "sha-256-64", "SHA-256", "sha256", None, 5, ["sha-256"]], ids=str)
def test_digests_by_another_algorithm_are_refused_by_name(name):
    with pytest.raises(MalformedRecord) as refusal:
        read(compact({"_sd_alg": name}))
    assert (refusal.value.reason, refusal.value.told["value"]) == ("sd-hash", str(name))


X = disclosure("s", "x", 1)
ELEMENT = disclosure("s", 1)
ODD = {
    "a digest twice in one object": ({"_sd": [digest(X), digest(X)]}, [X], "sd-digest-twice"),
    "a digest twice at two levels": ({"_sd": [digest(X)], "a": {"_sd": [digest(X)]}}, [X], "sd-digest-twice"),
    "a digest twice, withheld": ({"a": [{"...": "d"}, {"...": "d"}]}, [], "sd-digest-twice"),
    "a disclosure twice": ({"_sd": [digest(X)]}, [X, X], "sd-disclosure-twice"),
    "a name twice": ({"_sd": [digest(X)], "x": 2}, [X], "sd-name"),
    "a name disclosed twice": (
        {"_sd": [digest(X), digest(disclosure("t", "x", 2))]},
        [X, disclosure("t", "x", 2)],
        "sd-name",
    ),
    "a member named _sd": ({"_sd": [digest(disclosure("s", "_sd", []))]}, [disclosure("s", "_sd", [])], "sd-name"),
    "a member named ...": ({"_sd": [digest(disclosure("s", "...", 1))]}, [disclosure("s", "...", 1)], "sd-name"),
    "an algorithm disclosed": (
        {"_sd": [digest(disclosure("s", "_sd_alg", "md5"))]},
        [disclosure("s", "_sd_alg", "md5")],
        "sd-place",
    ),
    "an algorithm inside": ({"a": {"_sd_alg": "sha-256"}}, [], "sd-place"),
    "a member for an element": ({"a": [{"...": digest(X)}]}, [X], "sd-shape"),
    "an element for a member": ({"_sd": [digest(ELEMENT)]}, [ELEMENT], "sd-shape"),
    "an element's digest in an object": ({"a": {"...": "d"}}, [], "sd-place"),
    "an element's digest on top": ({"...": "d"}, [], "sd-place"),
    "an element's digest in an element's value": (
        {"a": [{"...": digest(disclosure("s", {"...": "d"}))}]},
        [disclosure("s", {"...": "d"})],
        "sd-place",
    ),
    "an element's digest with company": ({"a": [{"...": "d", "b": 1}]}, [], "sd-digests"),
    "an element's digest that is no text": ({"a": [{"...": 5}]}, [], "sd-digests"),
    "digests that are no list": ({"_sd": "d"}, [], "sd-digests"),
    "digests that are no texts": ({"_sd": [5]}, [], "sd-digests"),
    "four parts": ({}, [disclosure("s", "x", 1, 2)], "sd-disclosure"),
    "one part": ({}, [disclosure("s")], "sd-disclosure"),
    "a salt that is no text": ({}, [disclosure(5, "x", 1)], "sd-disclosure"),
    "a name that is no text": ({}, [disclosure("s", 5, 1)], "sd-disclosure"),
    "a disclosure of no list": ({}, [b64(b'{"a": 1}')], "sd-disclosure"),
    "an empty disclosure": ({}, [""], "sd-disclosure"),
    "a key twice in a disclosure": ({}, [b64(b'["s", "x", {"a": 1, "a": 2}]')], "sd-disclosure"),
    "a number that loses digits": ({}, [b64(b'["s", "x", 12345678901234567890]')], "sd-disclosure"),
    "a disclosure with padding": ({"_sd": [digest(X + "=")]}, [X + "="], "sd-disclosure"),
    "a payload that is no object": ([], [], "sd-form"),
}


@pytest.mark.parametrize(("payload", "disclosures", "reason"), ODD.values(), ids=ODD.keys())
def test_odd_digests_and_disclosures_are_refused(payload, disclosures, reason):
    assert refused(compact(payload, *disclosures)) == reason


def test_disclosures_inside_disclosures_do_not_dig_without_end():
    def chain(depth):
        value, texts = "deep", []
        for level in range(depth):
            texts.append(disclosure(f"s{level}", "x", value))
            value = {"_sd": [digest(texts[-1])]}
        return compact(value, *texts)

    deepest = read(chain(strict_json.DEEPEST)).claims
    for _ in range(strict_json.DEEPEST):
        deepest = deepest["x"]
    assert deepest == "deep"
    assert refused(chain(strict_json.DEEPEST + 1)) == "sd-deep"
    assert refused(chain(selective_disclosure.MOST_DISCLOSURES)) == "sd-deep"
    assert refused(chain(selective_disclosure.MOST_DISCLOSURES + 1)) == "sd-many"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"alg": "none"}, "sd-unsigned"),
        ({"alg": "None"}, "sd-unsigned"),
        ({"alg": None}, "sd-unsigned"),
        ({"alg": "ES256", "crit": ["b64"]}, "sd-crit"),
        ([], "sd-form"),
    ],
    ids=str,
)
def test_a_header_that_signs_nothing_is_refused(header, reason):
    assert refused(signed_text(header, {}) + "~") == reason


def test_other_signing_algorithm_is_read_but_not_believed():
    credential = read(compact({}, header={"alg": "ES384"}))
    assert not credential.signed_by(CHAMBER.jwk)
    with pytest.raises(MalformedRecord):
        read(compact({})).signed_by({"kty": "EC", "crv": "P-256", "x": "AAAA"})


@pytest.mark.parametrize(
    "text",
    ["", "~", "a.b~", "a.b.c.d~", signed_text(header_of(), {}), "é.e30.AA~"],
    ids=["nothing", "a tilde", "two parts", "four parts", "no tilde", "another script"],
)
def test_a_text_of_another_form_is_refused(text):
    assert refused(text) == "sd-form"


def test_hostile_json_is_told_as_such():
    jwt = ".".join([signed_text(header_of(), {}).split(".")[0], b64(b'{"a": NaN}'), "AA"])
    assert refused(jwt + "~") == "sd-json"


# As JSON


def as_json(*signatures, payload=None, **header):
    protected, signed, signature = signed_text(header_of(), {"_sd": [digest(X)]}).split(".")
    first = {"protected": protected, "signature": signature, "header": {"disclosures": [X]} | header}
    form = {"signatures": [first, *signatures]} if signatures else first
    return {"payload": signed if payload is None else payload} | form


OTHER = dict(
    zip(
        ("protected", "signature"),
        signed_text(header_of(SOMEBODY_ELSE), {"_sd": [digest(X)]}, SOMEBODY_ELSE).split(".")[::2],
        strict=True,
    )
)


def test_several_may_sign_the_same():
    credential = read_json(as_json(OTHER))
    assert credential.claims == {"x": 1}
    assert credential.signed_by(CHAMBER.jwk)
    assert credential.signed_by(SOMEBODY_ELSE.jwk)
    assert read(credential.presented).claims == {"x": 1}


ODD_JSON = {
    "a list": [],
    "no signature": {"payload": "e30"},
    "both forms": as_json(OTHER) | {"signature": "AA"},
    "no signatures": {"payload": "e30", "signatures": []},
    "too many signatures": as_json(*[OTHER] * selective_disclosure.MOST_SIGNATURES),
    "a signature that is no object": as_json(5),
    "disclosures with the second": as_json(OTHER | {"header": {"disclosures": []}}),
    "a key binding with the second": as_json(OTHER | {"header": {"kb_jwt": "a.b.c"}}),
    "a header that is no object": as_json() | {"header": []},
    "disclosures that are no list": as_json(disclosures=X),
    "a disclosure that is no text": as_json(disclosures=[5]),
    "a key binding that is no text": as_json(kb_jwt=5),
    "an empty key binding": as_json(kb_jwt=""),
    "a payload that is no text": as_json(payload=5),
    "no protected header": as_json(OTHER | {"protected": None}),
    "no payload": {name: value for name, value in as_json().items() if name != "payload"},
}


OTHER_REASONS = {
    "no signature": "sd-json-form",
    "both forms": "sd-json-form",
    "disclosures with the second": "sd-other-header",
    "a key binding with the second": "sd-other-header",
}


@pytest.mark.parametrize("name", ODD_JSON)
def test_json_of_another_form_is_refused(name):
    assert refused(ODD_JSON[name]) == OTHER_REASONS.get(name, "sd-form")


def test_an_unprotected_header_says_nothing_that_counts():
    credential = read_json(as_json(alg="none", jwk=SOMEBODY_ELSE.jwk, crit=["x"]))
    assert "crit" not in credential.signatures[0].header
    assert credential.signatures[0].header["jwk"] == CHAMBER.jwk


# The holder's proof


def bound(credential_claims, make=sha256, **changes):
    bare = read(compact(credential_claims))
    said = {"nonce": "1", "aud": "customs", "iat": 1, "sd_hash": digest(bare.presented, make)} | changes
    said = {name: value for name, value in said.items() if value is not None}
    return read(bare.presented + signed_text({"alg": "ES256", "typ": "kb+jwt"}, said, SOMEBODY_ELSE))


def unproven(credential, **expected):
    with pytest.raises(MalformedRecord) as refusal:
        holder_proof(credential, **expected)
    return refusal.value.reason


HELD = {"cnf": {"jwk": SOMEBODY_ELSE.jwk}}


def test_holders_proof_tells_holder_audience_nonce_and_time():
    proof = holder_proof(bound(HELD), nonce="1", audience="customs")
    assert proof == selective_disclosure.HolderProof(SOMEBODY_ELSE.thumbprint, "customs", "1", 1)
    assert holder_proof(bound(HELD)) == proof


def test_holders_proof_takes_the_credentials_digest_algorithm():
    assert unproven(bound(HELD | {"_sd_alg": "sha-512"})) == "kb-hash"
    assert holder_proof(bound(HELD | {"_sd_alg": "sha-512"}, make=sha512))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sd_hash": "A" * 43}, "kb-hash"),
        ({"sd_hash": None}, "kb-hash"),
        ({"nonce": None}, "kb-form"),
        ({"nonce": 1}, "kb-form"),
        ({"aud": ["customs"]}, "kb-form"),
        ({"iat": "1"}, "kb-form"),
        ({"nonce": "2"}, "kb-nonce"),
        ({"aud": "bank"}, "kb-audience"),
    ],
    ids=str,
)
def test_holders_proof_lacking_a_claim_is_refused(changes, reason):
    assert unproven(bound(HELD, **changes), nonce="1", audience="customs") == reason


@pytest.mark.parametrize(
    ("cnf", "reason"),
    [
        (None, "kb-key"),
        ({}, "kb-key"),
        ({"kid": "x"}, "kb-key"),
        ({"jwk": "x"}, "kb-key"),
        ({"jwk": {}}, "kb-key"),
        ({"jwk": SOMEBODY_ELSE.jwk | {"y": "AA"}}, "kb-key"),
        ({"jwk": SOMEBODY_ELSE.jwk | {"crv": "P-384"}}, "kb-key"),
        ({"jwk": CHAMBER.jwk}, "kb-signature"),
    ],
    ids=["null", "nothing", "a kid", "a text", "an empty key", "no point", "another curve", "another key"],
)
def test_holders_proof_needs_the_issuers_named_key(cnf, reason):
    assert unproven(bound({"cnf": cnf})) == reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"typ": "JWT"}, "kb-form"),
        ({"typ": None}, "kb-form"),
        ({"alg": "ES384"}, "kb-form"),
        ({"alg": "none"}, "sd-unsigned"),
    ],
    ids=str,
)
def test_holders_proof_of_another_type_is_none(changes, reason):
    said = {"nonce": "1", "aud": "customs", "iat": 1}
    bare = compact(HELD)
    header = {"alg": "ES256", "typ": "kb+jwt"} | changes
    proof = signed_text(header, said | {"sd_hash": digest(bare)}, SOMEBODY_ELSE)
    assert unproven(read(bare + proof)) == reason


def test_holders_proof_of_another_form_is_none():
    assert unproven(read(compact(HELD))) == "kb-missing"
    assert unproven(read(compact(HELD, end="a.b"))) == "sd-form"
