"""Three verifiers that share no code give the same verdict on every file, and none takes a forged one."""

import random
from dataclasses import replace
from datetime import timedelta
from functools import cache

import pytest

from backend.domain import sd_jwt
from backend.domain.kinds import DeclarationStatus, DocumentStatus, Kind
from backend.domain.trust import Trust
from tests.builders import NOON, a_record, an_accreditation, certificate_fields
from tests.standalone.forging import Forger
from tests.standalone.samples import STRANGER, Sample, a_dossier, a_sample, the_samples
from tests.standalone.verifiers import Question, by_page, by_product, by_program, changed_page, node, program

SEED = 20260302
FORGED = 20_000
FORGED_FOR_THE_PAGE = 1_000
HOUR = timedelta(hours=1)
SAMPLES = the_samples()

with_node = pytest.mark.skipif(node() is None, reason="there is no Node.js here: make verifiers-check brings one")


@cache
def forgeries(count: int) -> list[tuple[str, Question]]:
    forger = Forger(list(SAMPLES.values()), random.Random(SEED))
    return [forger.forged() for _ in range(count)]


def differences(questions):
    """Where the HTML page or the program answers something else than the product."""
    found = []
    for question, page in zip(questions, by_page(questions), strict=True):
        product, single = by_product(question), by_program(question)
        if not product == single == page:
            found.append((product, single, page))
    return found


# ---- what is valid


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sound_bundle_is_valid_for_the_product_and_the_program(name):
    question = SAMPLES[name].question()
    assert by_product(question)[0] == "VALID"
    assert by_program(question) == by_product(question)


@with_node
def test_a_sound_bundle_is_valid_for_the_page():
    questions = [sample.question() for sample in SAMPLES.values()]
    assert {verdict for verdict, _ in by_page(questions)} == {"VALID"}
    assert differences(questions) == []


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64, 65, 1_024, 1_025])
def test_a_bundle_is_valid_whatever_the_size_of_its_batch(size):
    question = a_sample(size=size).question()
    assert by_product(question)[0] == by_program(question)[0] == "VALID"


# ---- what the ledger's facts and the reader's trust do


def sample(**changes) -> Sample:
    return a_sample(**changes)


def with_trust(one: Sample, **changes) -> Question:
    (entry,) = one.trust.trusted
    return one.question(trust=Trust((replace(entry, **changes),)))


def cases() -> dict[str, tuple[Question, str, str]]:
    """A question, the verdict, and the reason that decides it."""
    plain, dossier = sample(), a_dossier()
    (entry,) = plain.trust.trusted
    ledger = entry.ledger
    earlier = an_accreditation(valid_until=NOON - 3 * HOUR)
    lapsed = an_accreditation(valid_until=NOON - 90 * timedelta(minutes=1))
    unmatched = replace(dossier, bundle=replace(dossier.bundle, records=dossier.bundle.records[:2]))
    reordered = replace(dossier, bundle=replace(dossier.bundle, records=dossier.bundle.records[::-1]))
    other = a_dossier(1)
    unlinked = replace(a_dossier(3), bundle=replace(a_dossier(3).bundle, line=()))
    waiting = replace(plain.bundle.records[0], anchor=None, proof=None)
    stated = plain.bundle.records[0].record
    declaration = sample(records=[(a_record(Kind.DECLARATION), Kind.DECLARATION)])
    return {
        "no trust": (plain.question(trust=Trust()), "CANNOT_TELL", "snapshot-untrusted"),
        "another's trust": (
            with_trust(plain, keys=(sd_jwt.b64(STRANGER.thumbprint),)),
            "CANNOT_TELL",
            "snapshot-untrusted",
        ),
        "another ledger trusted": (
            with_trust(plain, ledger=replace(ledger, chain_id=1)),
            "CANNOT_TELL",
            "snapshot-other-ledger",
        ),
        "another deployment trusted": (
            with_trust(plain, ledger=replace(ledger, instance_id=bytes(32))),
            "CANNOT_TELL",
            "snapshot-other-ledger",
        ),
        "another accreditation": (
            with_trust(plain, accreditation="0x" + "ee" * 20),
            "CANNOT_TELL",
            "snapshot-other-ledger",
        ),
        "a day later": (plain.question(moment=NOON + timedelta(days=2)), "CANNOT_TELL", "snapshot-too-old"),
        "a day later, allowed": (
            plain.question(moment=NOON + timedelta(days=2), max_age=timedelta(days=3)),
            "VALID",
            "within-dates",
        ),
        "before it was read": (plain.question(moment=NOON - HOUR), "CANNOT_TELL", "snapshot-later"),
        "no snapshot": (
            replace(plain, bundle=replace(plain.bundle, snapshot=None)).question(),
            "CANNOT_TELL",
            "snapshot-missing",
        ),
        "a stranger's snapshot": (
            plain.stating(plain.stated, STRANGER).question(),
            "CANNOT_TELL",
            "snapshot-untrusted",
        ),
        "another's snapshot": (
            replace(plain, bundle=replace(plain.bundle, snapshot=sample(size=11).bundle.snapshot)).question(),
            "CANNOT_TELL",
            "snapshot-other-record",
        ),
        "suspended": (plain.reading(status=DocumentStatus.SUSPENDED).question(), "INVALID", "suspended"),
        "revoked": (plain.reading(status=DocumentStatus.REVOKED).question(), "INVALID", "revoked"),
        "superseded": (plain.reading(status=DocumentStatus.SUPERSEDED).question(), "INVALID", "superseded"),
        "an odd status": (plain.reading(status=9).question(), "CANNOT_TELL", "status-unknown"),
        "released": (declaration.reading(status=DeclarationStatus.RELEASED).question(), "VALID", "declaration-stands"),
        "withdrawn": (declaration.reading(status=DeclarationStatus.WITHDRAWN).question(), "INVALID", "withdrawn"),
        "not final": (plain.reading(is_final=False).question(), "CANNOT_TELL", "not-final-yet"),
        "another block": (plain.reading(block=8).question(), "CANNOT_TELL", "anchor-differs"),
        "another transaction": (
            plain.reading(transaction=bytes(32)).question(),
            "CANNOT_TELL",
            "snapshot-other-record",
        ),
        "never accredited": (plain.reading(accreditation=None).question(), "INVALID", "never-accredited"),
        "another kind": (
            plain.reading(accreditation=an_accreditation(kinds=4)).question(),
            "INVALID",
            "kind-not-covered",
        ),
        "another chapter": (
            plain.reading(accreditation=an_accreditation(chapters=2)).question(),
            "INVALID",
            "chapter-not-covered",
        ),
        "its own chapter": (
            plain.reading(accreditation=an_accreditation(chapters=1 << 94)).question(),
            "VALID",
            "accredited",
        ),
        "chapter withheld": (
            sample(shown=["originCountry"], held=an_accreditation(chapters=1 << 94)).question(),
            "CANNOT_TELL",
            "chapter-withheld",
        ),
        "lapsed before": (plain.reading(accreditation=earlier).question(), "INVALID", "not-accredited-then"),
        "lapsed between": (plain.reading(accreditation=lapsed).question(), "CANNOT_TELL", "anchored-after-lapse"),
        "suspended key": (
            plain.reading(accreditation=an_accreditation(suspended_since=NOON - HOUR / 2)).question(),
            "INVALID",
            "accreditation-revoked",
        ),
        "a merchant's statement": (
            sample(records=[(a_record(assurance="stated"), Kind.CERTIFICATE_OF_ORIGIN)]).question(),
            "CANNOT_TELL",
            "merchants-statement",
        ),
        "expired": (
            sample(records=[(a_record(validUntil="2026-03-01T00:00:00Z"), Kind.CERTIFICATE_OF_ORIGIN)]).question(),
            "INVALID",
            "expired",
        ),
        "an odd end": (
            sample(records=[(a_record(validUntil="soon"), Kind.CERTIFICATE_OF_ORIGIN)]).question(),
            "INVALID",
            "fields-wrong",
        ),
        "dated ahead": (
            sample(records=[(a_record(issued_at=NOON + HOUR), Kind.CERTIFICATE_OF_ORIGIN)]).question(),
            "INVALID",
            "issued-in-the-future",
        ),
        "waiting": (
            replace(plain, bundle=replace(plain.bundle, records=(waiting,))).question(),
            "CANNOT_TELL",
            "not-sealed-yet",
        ),
        "a paper missing": (unmatched.question(), "CANNOT_TELL", "papers-missing"),
        "a paper too many": (
            replace(
                dossier, bundle=replace(dossier.bundle, records=(*dossier.bundle.records, plain.bundle.records[0]))
            ).question(),
            "INVALID",
            "named-other",
        ),
        "another's papers": (
            replace(
                dossier, bundle=replace(dossier.bundle, records=(other.bundle.records[0], *dossier.bundle.records[1:]))
            ).question(),
            "INVALID",
            "named-other",
        ),
        "a broken line": (unlinked.question(), "INVALID", "named-other"),
        "papers first": (reordered.question(), "CANNOT_TELL", "bundle-malformed"),
        "another key's record": (
            replace(
                plain,
                bundle=replace(
                    plain.bundle, records=(replace(plain.bundle.records[0], record=a_record(key=STRANGER)),)
                ),
            ).question(),
            "INVALID",
            "not-included",
        ),
        "a large number of steps": (
            sample(
                records=[
                    (a_record(fields=certificate_fields(quantity="999999999999999.999")), Kind.CERTIFICATE_OF_ORIGIN)
                ]
            ).question(),
            "VALID",
            "within-dates",
        ),
        "no bundle": (plain.question(content=b"{}"), "CANNOT_TELL", "bundle-malformed"),
        "no JSON": (plain.question(content=b"\xff"), "CANNOT_TELL", "bundle-malformed"),
        "a key twice": (
            plain.question(content=plain.content.replace(b'"version":2', b'"version":2,"version":2')),
            "CANNOT_TELL",
            "bundle-malformed",
        ),
        "a record that is none": (
            plain.question(content=plain.content.replace(stated.signed_jwt.encode(), b"x.y.z")),
            "INVALID",
            "record-altered",
        ),
    }


CASES = cases()


@pytest.mark.parametrize("name", CASES)
def test_each_fact_has_its_consequence_in_both_programs(name):
    question, verdict, reason = CASES[name]
    product = by_product(question)
    assert (product[0], reason in {check[2] for check in product[1]}) == (verdict, True), product
    assert by_program(question) == product


@with_node
def test_each_fact_has_the_same_consequence_in_the_page():
    assert differences([question for question, _, _ in CASES.values()]) == []


# ---- forgers


def test_no_forged_bundle_is_valid_and_both_programs_agree():
    made, accepted, different = {}, [], []
    for number, (way, question) in enumerate(forgeries(FORGED)):
        found = by_product(question)
        made[way] = made.get(way, 0) + 1
        if found[0] == "VALID":
            accepted.append((way, question.content))
        if number % 10 == 0 and by_program(question) != found:
            different.append((way, found, question.content))
    assert min(made.values()) > FORGED / 50, made
    assert accepted == []
    assert different == []


@with_node
def test_no_forged_bundle_is_valid_for_the_page():
    questions = [question for _, question in forgeries(FORGED)[:FORGED_FOR_THE_PAGE]]
    assert "VALID" not in {verdict for verdict, _ in by_page(questions)}
    assert differences(questions) == []


def flipped(content: bytes, every: int = 1):
    """The file with one byte changed, at every position: a bit, or the case of a letter."""
    for at in range(0, len(content), every):
        yield content[:at] + bytes([content[at] ^ (0x20 if at % 2 else 1)]) + content[at + 1 :]


def test_a_byte_flipped_anywhere_is_never_valid():
    plain = a_sample(size=2, shown=["quantity"]).question()
    for number, content in enumerate(flipped(plain.content)):
        question = replace(plain, content=content)
        found = by_product(question)
        assert found[0] != "VALID", content
        assert number % 3 or by_program(question) == found, content


@with_node
def test_a_byte_flipped_anywhere_is_never_valid_for_the_page():
    plain = a_sample(size=2, shown=["quantity"]).question()
    questions = [replace(plain, content=content) for content in flipped(plain.content, every=5)]
    assert "VALID" not in {verdict for verdict, _ in by_page(questions)}


# ---- planted faults: a verifier that lost a check is found out by the same forgeries and cases

LOST_IN_THE_PROGRAM = {
    "signatures": (
        "    except (InvalidSignature, ValueError):\n        return False\n    return True",
        "    except (InvalidSignature, ValueError):\n        return True\n    return True",
    ),
    "disclosures": ("if base64url(sha256(disclosure.encode()).digest()) not in digests:", "if False:"),
    "inclusion": ('is_in = root is not None and root.hex() == one["anchor"]["root"]', "is_in = True"),
    "trust": ('speaking = [entry for entry in trusted if stated["signer"] in entry["keys"]]', "speaking = trusted"),
    "the lower s": ('int.from_bytes(raw[32:], "big") <= ORDER // 2', "True"),
    "transaction": (
        'if (found["transaction"], found["key"]) != (anchor["transaction"]',
        'if (anchor["transaction"], found["key"]) != (anchor["transaction"]',
    ),
}
LOST_IN_THE_PAGE = {
    "signatures": (
        "return signature.length === 64 && await crypto.subtle.verify(",
        "return (await crypto.subtle.verify(",
        ", utf8(signingInput));",
        ", utf8(signingInput))) || true;",
    ),
    "inclusion": ("if (root !== null && hex(root) === one.anchor.root)", "if (true)"),
    "disclosures": ("if (!digests.includes(base64url(await sha256(utf8(disclosure)))))", "if (false)"),
}


@pytest.mark.parametrize("lost", LOST_IN_THE_PROGRAM)
def test_a_program_that_lost_a_check_is_found_out(lost):
    weak = program(changes=[LOST_IN_THE_PROGRAM[lost]])
    assert any(by_program(question, weak)[0] == "VALID" for _, question in forgeries(FORGED))


@with_node
@pytest.mark.parametrize("lost", LOST_IN_THE_PAGE)
def test_a_page_that_lost_a_check_is_found_out(lost, tmp_path):
    old_new = LOST_IN_THE_PAGE[lost]
    weak = changed_page(tmp_path, list(zip(old_new[::2], old_new[1::2], strict=True)))
    questions = [question for _, question in forgeries(FORGED)[:FORGED_FOR_THE_PAGE]]
    assert any(verdict == "VALID" for verdict, _ in by_page(questions, weak))
