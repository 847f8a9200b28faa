"""Forgers: bundles altered in every way are never VALID, never a crash, and never an answer in another form."""

import copy
import json
import random
import time
from hashlib import sha256

import pytest

from backend.domain import bundle as bundles
from backend.domain import sd_jwt
from backend.domain.errors import Invalid
from backend.domain.verdict import Conclusion
from backend.services.verification import verdict_on_bundle
from backend.web.context import StrictJson
from tests.helpers.builders import (
    SOMEBODY_ELSE,
    Api,
    header_of,
    signed_text,
)

MUTATIONS = 3_000


@pytest.fixture(scope="module")
def api(app, people):
    return Api(app.test_client(), people)


@pytest.fixture(scope="module")
def bundle(api, settle):
    """A real bundle of a certificate that stands in a batch with others."""
    made = api.certificate()
    for _ in range(4):
        api.certificate()
        api.invoice()
    settle()
    return api.get(f"/records/{made['id']}/evidence", "merchant").get_json()


LETTERS = "0123456789abcdefABCDEFghijkXYZ-_~.=+ "
VALUES = [None, True, False, 0, 1, -1, 2**53 - 1, 1.5, "", "0", "x", [], {}, [[]], {"a": 1}, "0" * 64, "~", "00"]


def places_in(value, path=()):
    yield path
    if isinstance(value, dict):
        for name in value:
            yield from places_in(value[name], (*path, name))
    elif isinstance(value, list):
        for position, member in enumerate(value):
            yield from places_in(member, (*path, position))


def mutate(bundle, chance):
    """One to three changes: of a character, a value, a member or an element."""
    mutated = copy.deepcopy(bundle)
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        path = chance.choice([p for p in places_in(mutated) if p and p[0] != "snapshot"])
        holder = mutated
        for step in path[:-1]:
            holder = holder[step]
        value = holder[path[-1]]
        how = chance.randint(0, 6)
        if how <= 3 and isinstance(value, str) and value:
            position = chance.randrange(len(value))
            letter = chance.choice(["", chance.choice(LETTERS), value[position].swapcase(), value[position] * 2])
            holder[path[-1]] = value[:position] + letter + value[position + 1 :]
        elif how <= 3 and isinstance(value, int):
            holder[path[-1]] = value + chance.choice([-1, 1, 64, -value])
        elif how == 4 and isinstance(value, list) and value:
            chance.shuffle(value)
        elif how == 5:
            del holder[path[-1]]
        else:
            holder[path[-1]] = copy.deepcopy(chance.choice(VALUES))
    return mutated


def meaning(content):
    """What a bundle says about its record; fields may be withheld."""
    try:
        (read,) = bundles.read(content).records
    except Invalid:
        return None
    return read.record.signed_jwt, read.kind, read.quantity, read.proof, read.anchor


def test_no_altered_bundle_is_valid(system, bundle):
    chance, original, evaluated = random.Random(20260301), meaning(bundle), 0
    assert verdict_on_bundle(system.ctx, bundle).conclusion is Conclusion.VALID
    accepted = []
    for _ in range(MUTATIONS):
        mutated = mutate(bundle, chance)
        try:
            found = verdict_on_bundle(system.ctx, mutated)
        except Invalid:
            continue
        evaluated += 1
        if found.conclusion is Conclusion.VALID and meaning(mutated) != original:
            accepted.append({k: (bundle.get(k), mutated.get(k)) for k in bundle if bundle[k] != mutated.get(k)})
    assert evaluated > MUTATIONS / 10
    assert not accepted, (len(accepted), accepted[:3])


def test_no_altered_bytes_are_valid_or_a_crash(app, system, bundle):
    chance, original, text = random.Random(7), meaning(bundle), json.dumps({**bundle, "snapshot": None}).encode()
    reader = StrictJson(app)
    for _ in range(MUTATIONS):
        content = bytearray(text)
        for _ in range(chance.randint(1, 3)):
            position = chance.randrange(len(content))
            match chance.randint(0, 2):
                case 0:
                    content[position] ^= 1 << chance.randrange(8)
                case 1:
                    del content[position]
                case 2:
                    content.insert(position, content[chance.randrange(len(content))])
        try:
            mutated = reader.loads(bytes(content))
            found = verdict_on_bundle(system.ctx, mutated)
        except Invalid:
            continue
        assert found.conclusion is not Conclusion.VALID or meaning(mutated) == original, bytes(content)


def test_every_altered_bundle_is_answered_in_one_form(api, bundle):
    chance = random.Random(11)
    for _ in range(300):
        mutated = mutate(bundle, chance)
        answer = api.post("/verify", None, mutated)
        assert answer.status_code in (200, 422), (answer.status_code, mutated)
        assert answer.content_type == ("application/json" if answer.status_code == 200 else "application/problem+json")


def forged(bundle, **payload):
    """The same certificate signed by a stranger, in the chamber's name."""
    record = sd_jwt.parse(bundle["records"][0]["record"])
    text = signed_text(header_of(SOMEBODY_ELSE), {**record.payload, **payload}, SOMEBODY_ELSE)
    return with_record(bundle, record="~".join([text, *record.disclosures, ""]))


def with_record(bundle, **members):
    """The same bundle with other members of its record."""
    return bundle | {"records": [bundle["records"][0] | members]}


def test_strangers_signature_in_the_chambers_name_is_invalid(api, bundle):
    answer = api.post("/verify", None, forged(bundle)).get_json()
    assert answer["verdict"] == "INVALID"
    answer = api.post("/verify", None, with_record(forged(bundle), proof=None, anchor=None)).get_json()
    assert answer["verdict"] == "INVALID"


@pytest.mark.parametrize(
    "payload",
    [
        {"type": 5},
        {"type": {}},
        {"validFrom": "0001-01-01T00:00:00+23:59"},
        {"validUntil": "9999-12-31T23:59:59-23:59"},
        {"issuer": [[]]},
        {"assurance": {}},
        {"supersedes": 5},
    ],
    ids=str,
)
def test_whatever_a_stranger_signs_brings_no_crash(api, bundle, payload):
    answer = api.post("/verify", None, forged(bundle, **payload))
    assert answer.status_code in (200, 422)
    if answer.status_code == 200:
        assert answer.get_json()["verdict"] != "VALID"


def test_another_records_proof_serves_nobody(api, bundle, settle):
    other = api.certificate(quantity="999999")
    settle()
    theirs = api.get(f"/records/{other['id']}/evidence", "merchant").get_json()
    verdicts = {}
    for member in ("proof", "anchor", "entry", "record"):
        for one, two in ((bundle, theirs), (theirs, bundle)):
            mixed = with_record(one, **{member: two["records"][0][member]})
            # The proofs of records that are alone in their batches are one and the same.
            if mixed != one:
                verdicts[member, one is bundle] = api.post("/verify", None, mixed).get_json()["verdict"]
    assert len(verdicts) >= 6
    assert "VALID" not in verdicts.values(), verdicts


def test_a_snapshot_convinces_nobody(api, bundle):
    claimed = forged(bundle)
    assert claimed["snapshot"] == bundle["snapshot"], "a signed one, of the genuine record"
    assert api.post("/verify", None, claimed).get_json()["verdict"] == "INVALID"


def test_a_large_bundle_is_answered_quickly(api, bundle):
    """Work grows with what is sent, not with its square."""
    disclosures = [sd_jwt.b64(json.dumps(["A", f"f{number}", 1]).encode()) for number in range(24_000)]
    digests = [sd_jwt.b64(sha256(disclosure.encode()).digest()) for disclosure in disclosures]
    text = signed_text(header_of(SOMEBODY_ELSE), {"credentialSubject": {"_sd": digests}}, SOMEBODY_ELSE)
    began = time.thread_time()
    answer = api.post("/verify", None, with_record(bundle, record="~".join([text, *disclosures, ""])))
    assert answer.status_code in (200, 413, 422)
    assert time.thread_time() - began < 1.8
