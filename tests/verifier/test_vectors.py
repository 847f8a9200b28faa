"""The committed test vectors are answered as they say, by all three verifiers."""

import pytest

from tests.helpers.vectors import VECTORS, committed
from tests.verifier.verifiers import Found, by_page, by_product, by_program, differences, node

LINES = committed()


def expected(line):
    checks = tuple((c["code"], c["outcome"], c["reason"], c["record"]) for c in line["checks"])
    return Found(line["verdict"], checks, line["proofState"])


@pytest.mark.parametrize(("line", "question"), LINES, ids=[line["bundle"] for line, _ in LINES])
def test_vector_is_answered_as_it_says(line, question):
    assert by_product(question) == by_program(question) == expected(line)


@pytest.mark.skipif(node() is None, reason="there is no Node.js here: make verifiers-check brings one")
def test_page_answers_vectors_as_they_say():
    questions = [question for _, question in LINES]
    assert list(by_page(questions)) == [expected(line) for line, _ in LINES]
    assert differences(questions) == []


def test_vectors_are_small_and_of_every_verdict():
    assert {line["verdict"] for line, _ in LINES} == {"VALID", "INVALID", "INDETERMINATE"}
    named = {"trust.json", "expected.json", *(line["bundle"] for line, _ in LINES)}
    assert {path.name for path in VECTORS.iterdir()} == named
    assert sum(path.stat().st_size for path in VECTORS.iterdir()) < 300_000
