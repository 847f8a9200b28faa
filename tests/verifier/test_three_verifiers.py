"""Three verifiers that share no code give the same verdict on every file, and none takes a forged one."""

import random
from dataclasses import replace
from datetime import timedelta
from functools import cache

import pytest

from tests.verifier.cases import cases
from tests.verifier.forging import Forger, flipped
from tests.verifier.injected_faults import (
    LOST_IN_THE_PAGE,
    LOST_IN_THE_PROGRAM,
    a_product_without_inclusion,
    pairs,
)
from tests.verifier.samples import a_sample, the_samples
from tests.verifier.verifiers import (
    Question,
    by_page,
    by_product,
    by_program,
    changed_page,
    differences,
    program,
    told_apart,
    with_node,
)

SEED = 20260302
FORGED = 20_000
FORGED_FOR_THE_PAGE = 500
HOUR = timedelta(hours=1)
SAMPLES = the_samples()


@cache
def forgeries(count: int) -> list[tuple[str, Question]]:
    forger = Forger(list(SAMPLES.values()), random.Random(SEED))
    return [forger.forged() for _ in range(count)]


# ---- what is valid


@pytest.mark.parametrize("name", SAMPLES)
def test_sound_bundle_is_valid_for_both_programs(name):
    question = SAMPLES[name].question()
    assert by_product(question)[0] == "VALID"
    assert told_apart(question, {"product": by_product(question), "program": by_program(question)}) == []


def test_differing_answers_are_listed_by_check():
    """Each is named by its record, kind and check."""
    question = SAMPLES["dossier"].question()
    product = by_product(question)
    weak = program(changes=[('return ("STATUS", PASS, "in-force")', 'return ("STATUS", FAIL, "revoked")')])
    told = told_apart(question, {"product": product, "program": by_program(question, weak), "page": product})
    assert told == [
        "whole file, verdict: product VALID, program INVALID, page VALID",
        *(
            f"record {number}, {kind}, STATUS: product pass in-force, program fail revoked, page pass in-force"
            for number, kind in ((2, "certificate-of-origin"), (3, "inspection-report"))
        ),
    ]


@with_node
def test_a_sound_bundle_is_valid_for_the_page():
    questions = [sample.question() for sample in SAMPLES.values()]
    assert {verdict for verdict, *_ in by_page(questions)} == {"VALID"}
    assert differences(questions) == []


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64, 65, 1_024, 1_025])
def test_bundle_is_valid_for_every_batch_size(size):
    question = a_sample(size=size).question()
    assert by_product(question)[0] == by_program(question)[0] == "VALID"


# ---- what the ledger's facts and the reader's trust do

CASES = cases()


@pytest.mark.parametrize("name", CASES)
def test_each_fact_has_its_consequence_in_both_programs(name):
    question, verdict, reason = CASES[name]
    product = by_product(question)
    assert (product[0], reason in {check[2] for check in product[1]}) == (verdict, True), product
    assert told_apart(question, {"product": product, "program": by_program(question)}) == []


@with_node
def test_each_fact_counts_alike_in_the_page():
    assert differences([question for question, _, _ in CASES.values()]) == []


# ---- forgers


def test_no_forged_bundle_is_valid_for_either():
    """Product and program give the same answers where they are compared, one forgery in twenty."""
    made, accepted, different = {}, [], []
    for number, (way, question) in enumerate(forgeries(FORGED)):
        found = by_product(question)
        made[way] = made.get(way, 0) + 1
        if found[0] == "VALID":
            accepted.append((way, question.content))
        if number % 20 == 0:
            different += told_apart(question, {"product": found, "program": by_program(question)})
    assert min(made.values()) > FORGED / 50, made
    assert accepted == []
    assert different == []


@with_node
def test_no_forged_bundle_is_valid_for_the_page():
    questions = [question for _, question in forgeries(FORGED)[:FORGED_FOR_THE_PAGE]]
    assert "VALID" not in {verdict for verdict, *_ in by_page(questions)}
    assert differences(questions) == []


# At every position: a bit, or the case of a letter. The stress (tests/stress/forged_bundles.py) does the same to whole
# bundles, for all three, and for the product with each of the eight bits.

PLAIN = a_sample(size=2, shown=["quantity"]).question()


@cache
def flips() -> list[Question]:
    return [replace(PLAIN, content=flipped(PLAIN.content, leaf_index)) for leaf_index in range(len(PLAIN.content))]


def taken(answers) -> int:
    return sum(conclusion == "VALID" for conclusion, *_ in answers)


def test_a_byte_flipped_anywhere_is_never_valid():
    for question in flips():
        found = by_product(question)
        assert found[0] != "VALID", question.content
        assert by_program(question) == found, question.content


@with_node
def test_flipped_byte_is_never_valid_for_page():
    assert taken(by_page(flips()[::5])) == 0
    assert differences(flips()[::5]) == []


@pytest.mark.parametrize("lost", ["signatures", "disclosures", "inclusion", "transaction"])
def test_flips_detect_program_that_lost_a_check(lost):
    weak = program(changes=[LOST_IN_THE_PROGRAM[lost]])
    assert taken(by_program(question, weak) for question in flips()) > 10


def test_flips_detect_product_that_lost_a_check():
    """The same flipped bytes find it as in the program."""
    weak = program(changes=[LOST_IN_THE_PROGRAM["inclusion"]])
    with a_product_without_inclusion():
        assert taken(map(by_product, flips())) == taken(by_program(question, weak) for question in flips()) > 10


@with_node
def test_flips_detect_page_that_lost_a_check(tmp_path):
    """The same flipped bytes find it as in the program."""
    weak = program(changes=[LOST_IN_THE_PROGRAM["inclusion"]])
    page = changed_page(tmp_path, pairs(LOST_IN_THE_PAGE["inclusion"]))
    some = flips()[::5]
    assert taken(by_page(some, page)) == taken(by_program(question, weak) for question in some) > 0


# ---- planted faults: a verifier that lost a check is found out by the same forgeries and cases


@pytest.mark.parametrize("lost", LOST_IN_THE_PROGRAM)
def test_program_that_lost_a_check_is_detected(lost):
    weak = program(changes=[LOST_IN_THE_PROGRAM[lost]])
    assert any(by_program(question, weak)[0] == "VALID" for _, question in forgeries(FORGED))


@with_node
@pytest.mark.parametrize("lost", LOST_IN_THE_PAGE)
def test_page_that_lost_a_check_is_detected(lost, tmp_path):
    weak = changed_page(tmp_path, pairs(LOST_IN_THE_PAGE[lost]))
    questions = [question for _, question in forgeries(FORGED)[:FORGED_FOR_THE_PAGE]]
    assert any(verdict == "VALID" for verdict, *_ in by_page(questions, weak))
