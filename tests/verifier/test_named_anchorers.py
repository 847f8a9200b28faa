"""A record says who may anchor it: whoever else anchors a copy has recorded nothing that counts (decision 0033)."""

import pytest

from backend.domain import record_checks, sd_jwt
from tests.verifier.cases import anchorers
from tests.verifier.injected_faults import pairs
from tests.verifier.verifiers import by_page, by_product, by_program, changed_page, differences, program, with_node

CASES = anchorers()
LOST_IN_THE_PROGRAM = {
    "the agent": ('named["agent"] != found["anchorer"]', "False"),
    "the ledger": ("if named is not None and not any(", "if False and not any("),
    "its form": ("if named is None or named", "if named is not None and named"),
    "the lower s": ('if "anchorer" in record["payload"] and not has_lower_s(record):', "if False:"),
}
LOST_IN_THE_PAGE = {
    "the agent": ("named !== null && named.agent === batch.anchorer", "named !== null"),
    "the ledger": ("if (named !== null && ![anchor", "if (false && ![anchor"),
    "the lower s": ("&& !hasLowerS(one.record)", "&& false"),
}


@pytest.mark.parametrize("name", CASES)
def test_named_anchorer_decides_for_both_programs(name):
    question, verdict, reason = CASES[name]
    found = by_product(question)
    assert found[0] == verdict
    assert reason in [check[2] for check in found.checks]
    assert by_program(question) == found


@with_node
def test_named_anchorer_decides_for_the_page():
    assert differences([question for question, _, _ in CASES.values()]) == []


@pytest.mark.parametrize("lost", LOST_IN_THE_PROGRAM)
def test_program_that_asks_no_anchorer_is_found(lost):
    weak = program(changes=[LOST_IN_THE_PROGRAM[lost]])
    assert any(by_program(question, weak)[0] != verdict for question, verdict, _ in CASES.values())


@with_node
@pytest.mark.parametrize("lost", LOST_IN_THE_PAGE)
def test_page_that_asks_no_anchorer_is_found(lost, tmp_path):
    weak = changed_page(tmp_path, pairs(LOST_IN_THE_PAGE[lost]))
    found = by_page([question for question, _, _ in CASES.values()], weak)
    assert any(one[0] != verdict for one, (_, verdict, _) in zip(found, CASES.values(), strict=True))


def test_product_that_asks_no_anchorer_is_found(monkeypatch):
    monkeypatch.setattr(record_checks, "_not_as_signed", lambda *_: None)
    monkeypatch.setattr(sd_jwt, "has_lower_s", lambda _: True)
    wrong = {name for name, (question, verdict, _) in CASES.items() if by_product(question)[0] != verdict}
    assert {"anchored by another", "the other form of a signature", "named for another chain"} <= wrong
