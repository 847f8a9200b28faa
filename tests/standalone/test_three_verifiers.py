"""Three verifiers that share no code give the same verdict on every file, and none takes a forged one."""

import random
from dataclasses import replace
from datetime import timedelta
from functools import cache

import pytest

from tests.standalone.cases import cases
from tests.standalone.forging import Forger
from tests.standalone.samples import a_sample, the_samples
from tests.standalone.verifiers import Question, by_page, by_product, by_program, changed_page, node, program

SEED = 20260302
FORGED = 20_000
FORGED_FOR_THE_PAGE = 500
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
        if number % 20 == 0 and by_program(question) != found:
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
