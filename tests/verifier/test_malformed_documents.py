"""What an accredited issuer signed, however odd, is the same to all three verifiers."""

import json
from collections import Counter
from functools import cache

import pytest

from backend.domain import bundle_verification, sd_jwt
from backend.domain.verdict import Verdict
from backend.messages.verdict import reason_text, short_of_form, verdict_json
from tests.verifier.malformed_documents import odd_bundles
from tests.verifier.verifiers import (
    PROGRAM_AS_IT_IS,
    Found,
    Question,
    by_page,
    by_product,
    by_program,
    changed_page,
    differences,
    program,
    with_node,
)

SEED = 20260302
PAPERS = 4_000
FOR_THE_PAGE = 600


@cache
def papers() -> list[tuple[str, Question, Found]]:
    """What was odd, the question, and what the product answers."""
    return [(done, question, by_product(question)) for done, question in odd_bundles(PAPERS, SEED)]


def test_malformed_document_is_judged_alike_by_both():
    """The product and the single-file program agree on each."""
    found = [(done, told, by_program(question)) for done, question, told in papers()]
    assert [(done, told, single) for done, told, single in found if told != single] == []
    conclusions = Counter(told[0] for _, told, _ in found)
    assert min(conclusions[conclusion] for conclusion in ("VALID", "INVALID", "INDETERMINATE")) > PAPERS / 50, (
        conclusions
    )
    reasons = {check[2] for done, told, _ in found for check in told[1] if "member" not in done}
    assert {
        "fields-invalid",
        "entry-quantity-mismatch",
        "entry-kind-mismatch",
        "record-altered",
        "document-confirmed",
    } <= reasons
    assert "not-included" not in reasons, "everything is sealed as it was signed"


@with_node
def test_the_page_calls_an_odd_paper_the_same():
    assert differences([question for _, question, _ in papers()[:FOR_THE_PAGE]]) == []


def test_an_odd_paper_can_be_told_about():
    """Sentences, answers for machines and remarks are made of whatever was signed."""
    remarks = 0
    for _, question, _ in papers():
        read = bundle_verification.read(question.content, question.moment)
        if isinstance(read, Verdict):
            continue
        source = bundle_verification.snapshot_facts(read, question.trust, question.moment, question.max_age)
        verdict = bundle_verification.verdict_on(read, source, question.moment)
        assert all(reason_text(check, "zh") for check in verdict.checks)
        json.dumps(verdict_json(verdict, "en"))
        for remark in bundle_verification.remarks(read, verdict):
            remarks += 1
            assert short_of_form(remark.record, remark.faults, "en").startswith(f"Record {remark.record} is signed")
    assert remarks > PAPERS / 10


LOST_IN_THE_PROGRAM = {
    "the digits of a second": (r"(\.\d{1,6})?", r"(\.\d{1,9})?"),
    "plain digits in quantities": (r"([0-9]{1,36})(?:", r"(\d{1,36})(?:"),
    "the form of an HS code": ("[0-9]{6,13}", "[0-9]{6,}"),
    "keys that stand twice": ("if len({name for name, _ in pairs}) < len(pairs):", "if False:"),
    "integers beyond 2^53": ("if len(digits) > 17 or", "if False and"),
    "numbers that lose digits": ("if not short or", "if False and"),
    "depth": ("if depth > 64:", "if False:"),
    "half letters": ('    json.dumps(value, ensure_ascii=False).encode("utf-8")', "    #"),
    "digests in nested places": ("        refuse_nested(field[2])\n", ""),
    "digests that stand twice": (" or len(set(digests)) < len(digests)", ""),
    "the type of supersedes": (
        "        if not isinstance(link, str):\n            return None",
        "        if not isinstance(link, str):\n            return next(iter(named), None)",
    ),
    "the kind": ("KINDS[kind][0] not in types", "False"),
    "loose ends": (
        "if base64.urlsafe_b64encode(data).rstrip(b",
        "if False and base64.urlsafe_b64encode(data).rstrip(b",
    ),
}
LOST_IN_THE_PAGE = {
    "real numbers": ("return new Real(digits);", "return Number(digits);"),
    "the form of an HS code": ('typeof hsCode === "string" && /^[0-9]{6,13}$/.test(hsCode)', "true"),
    "keys that stand twice": ("if (name in found) fail(", "if (false) fail("),
    "names of JavaScript": ("const disclosed = Object.create(null);", "const disclosed = {};"),
}


@pytest.mark.slow
@pytest.mark.parametrize("lost", LOST_IN_THE_PROGRAM)
def test_program_that_lost_a_rule_is_detected(lost):
    weak = program(changes=[LOST_IN_THE_PROGRAM[lost]])
    assert any(by_program(question, weak) != told for _, question, told in papers())


@pytest.mark.slow
@with_node
@pytest.mark.parametrize("lost", LOST_IN_THE_PAGE)
def test_page_that_lost_a_rule_is_detected(lost, tmp_path):
    weak = changed_page(tmp_path, [LOST_IN_THE_PAGE[lost]])
    told_by_page = by_page([question for _, question, _ in papers()], weak)
    assert any(page != told for (_, _, told), page in zip(papers(), told_by_page, strict=True))


@pytest.mark.parametrize("read", [sd_jwt.public_key, PROGRAM_AS_IT_IS.point])
def test_a_key_has_one_spelling(read):
    """5 and 5 + p are one coordinate to OpenSSL; WebCrypto takes the first alone, and so do we."""
    field = 2**256 - 2**224 + 2**192 + 2**96 - 1
    y = "RZJDuapYGAb-kTvOmYF63hHKUDxk2aPFM0FcCDJI-8w"
    xs = (sd_jwt.b64(x.to_bytes(32, "big")) for x in (5, 5 + field))
    key, other = ({"kty": "EC", "crv": "P-256", "x": x, "y": y} for x in xs)
    assert read(key).public_numbers().x == 5
    with pytest.raises((ValueError, sd_jwt.MalformedRecord), match="beyond the field"):
        read(other)
