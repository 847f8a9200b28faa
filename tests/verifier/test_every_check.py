"""Every registered check gives each of its answers here: one that nothing can make pass or fail is named."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backend.adapters.node_client import Node, node_facts
from backend.domain import bundle as bundles
from backend.domain import bundle_verification, strict_json
from backend.domain.bundle import Bundle
from backend.domain.consignment import PlannedDrawdown
from backend.domain.dossier import BoundFiles, Paper, attachments
from backend.domain.drawdowns import Count, Drawdown, drawdown_checks, share_out
from backend.domain.kinds import Kind
from backend.domain.record_checks import evaluate, evaluate_at
from backend.domain.records import document_of
from backend.domain.trade_match import match
from backend.domain.trust import Trust
from backend.domain.verdict import REGISTER, Outcome, Rank, Register, RegisteredCheck, Scope, Unknown, Verdict, passes
from tests.helpers.builders import (
    FIELDS,
    NOON,
    Api,
    a_record,
    an_accreditation,
    certificate_fields,
    declaration_fields,
    evidence_for,
    facts_for,
    goods_item,
)
from tests.helpers.consignments import PLANTED, compared
from tests.helpers.exercised import listening, unexercised
from tests.verifier.cases import cases
from tests.verifier.samples import the_samples
from tests.verifier.test_node_client import ask, serving
from tests.verifier.verifiers import DAY, by_product

MADE_BY_SERVICES = {
    "NAMED_RECORD never answers erased (indeterminate)": "services/test_erasure",
    "CONTENT never answers erased (indeterminate)": "services/test_erasure",
    "CONTENT never answers fields-missing (indeterminate)": "services/test_verdicts_in_brief",
    "ANCHOR never answers ledger-mismatch (indeterminate)": "services/test_issuance_and_statements",
}
"""Answers that need a server's database, and the tests that have them."""
LEDGER_FAULTS = {
    f"LEDGER never answers {answer.reason} (indeterminate)": answer.reason
    for answer in REGISTER["LEDGER"].answers
    if answer.reason not in ("ledger-consulted", "ledger-unavailable", "ledger-untrusted", "multiple-ledgers")
}
"""What a node may do wrong: each has its test elsewhere."""
TESTS_OF_NODES = Path(__file__).with_name("test_node_client.py")


def bundles_of_every_shape():
    for question in (*(one.question() for one in the_samples().values()), *(one[0] for one in cases().values())):
        by_product(question)


def records_on_a_server():
    """What only a server asks or knows: the form of papers, past moments, a root that is still on its way."""
    sound = evidence_for(a_record())
    facts = facts_for(sound)
    unread = Unknown("no answer")
    for changes in (
        {"batch": None},
        {"batch": None, "is_on_its_way": True},
        {"batch": unread, "status": unread, "accreditation": unread},
        {"batch": Unknown("7", "anchor-missing"), "status": Unknown("7", "anchor-missing")},
        {"batch": replace(facts.batch, segments=replace(facts.batch.segments, origin_end=0))},
    ):
        evaluate(sound, replace(facts, **changes), NOON)
    evaluate_at(sound, facts, NOON - timedelta(days=1))
    evaluate(evidence_for(a_record(fields={})), facts, NOON)
    evaluate(sound, facts, NOON - timedelta(days=1))
    held = an_accreditation(chapters=1 << 94)
    odd = evidence_for(a_record(fields=certificate_fields(hsCode="9")))
    evaluate_at(odd, replace(facts_for(odd), accreditation=held), NOON)
    bundle_verification.verdict_on(
        Bundle((odd,)),
        bundle_verification.FactSource((), lambda _: replace(facts_for(odd), accreditation=held), NOON),
        NOON,
    )


def files_bound():
    kept = {"d": False}
    attachments(BoundFiles((("a.pdf", "d"),), kept.get))
    attachments(
        BoundFiles((("a.pdf", "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"),), lambda _: True)
    )
    attachments(BoundFiles((("a.pdf", "e"),), kept.get))
    attachments(BoundFiles((("a.pdf", "e"),), kept.get, is_needed=False))


def quantities_drawn():
    wanted = [PlannedDrawdown("c", "940521", "H87", 200_000, False)]
    for ours, unread in ((0, None), (400_000, None), (0, "no answer")):
        share_out(wanted, {"c": Count("c", "c", 500_000, "H87", ours, 0, unread)})
    pending = Drawdown("d", "c", "c", "x", 1000, NOON)
    drawdown_checks([pending, replace(pending, made_at=NOON)], {"c": "H87"})


def paper(kind, **changes):
    return Paper(kind.slug, document_of(kind, FIELDS[kind](**changes)))


def papers_compared():
    """Papers that agree, one error planted in each fact, and what is told of certificates and their quantities."""
    compared()
    for changes, _, _, _ in PLANTED.values():
        compared(**changes)
    compared(**{"order.totalAmount": "500", "order.items.0.amount": "420", "invoice.totalAmount": "500"})
    compared(**{"order.totalAmount": "490", "order.items.0.amount": "420", "invoice.totalAmount": "450"})
    compared(**{"invoice.totalAmount": "600", "invoice.incotermsCode": "CIF"})
    compared(**{"declaration.items.1.declarationElements": "fresh", "waybill.destinationCountry": "MY"})
    compared(**{"inspection-report.conforms": False, "certificate-of-origin.quantity": "1"})
    declaration = document_of(Kind.DECLARATION, declaration_fields())
    match(declaration, [])
    dozens = document_of(Kind.DECLARATION, declaration_fields(items=[goods_item(unitCode="DZN")]))
    match(dozens, [paper(Kind.CERTIFICATE_OF_ORIGIN)])
    for is_shared in (False, True):
        drawn = [PlannedDrawdown("c", "940521", "H87", 400_000, is_shared)]
        match(declaration, [paper(Kind.CERTIFICATE_OF_ORIGIN)], drawn)


@pytest.fixture(scope="module")
def content(app, people, settle):
    """The bundle of a record that the installation's own ledger holds."""
    api = Api(app.test_client(), people)
    made = api.certificate()
    settle()
    return api.get(f"/records/{made['id']}/evidence", "merchant").get_data()


@pytest.fixture(scope="module")
def given(system, content):
    with listening() as heard:
        bundles_of_every_shape()
        records_on_a_server()
        files_bound()
        quantities_drawn()
        papers_compared()
        ask("http://127.0.0.1:9/", content)
        with serving(system) as url:
            assert ask(url, content) == ("VALID", [])
            bundle = bundles.read(strict_json.loads(content))
            node_facts(bundle, Node(url), Trust(), datetime.now(UTC), DAY, node_may_name=False)
    first, second = (the_samples()[name].bundle.records[0] for name in ("one field", "no field of a report"))
    elsewhere = replace(second, anchor=replace(second.anchor, chain_id=2))
    with listening() as also_heard:
        bundle_verification.blockers(Bundle((first, elsewhere)), Verdict.of([], NOON))
    heard |= also_heard
    return heard


def test_every_check_gives_every_answer(given):
    assert sorted(unexercised(REGISTER, given)) == sorted([*MADE_BY_SERVICES, *LEDGER_FAULTS])
    source = TESTS_OF_NODES.read_text(encoding="utf-8")
    assert [reason for reason in LEDGER_FAULTS.values() if f'"{reason}"' not in source] == []


def test_check_that_is_never_made_is_named(given):
    register = Register()
    for check in REGISTER:
        register.add(check)
    register.add(RegisteredCheck("MATCH_COLOUR", "Colour", Rank.NOTE, Scope.MATCH, (passes("red", "It is red."),)))
    assert "MATCH_COLOUR is never made" in unexercised(register, given)
    without = {one for one in given if one[:2] != ("VALIDITY", Outcome.FAIL)}
    assert "VALIDITY never answers expired (fail)" in unexercised(register, without)
