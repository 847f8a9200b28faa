"""One record's verdict: each altered fact has its exact consequence, and trouble never reads as guilt."""

from dataclasses import replace
from datetime import timedelta

import pytest

from backend.domain import sd_jwt
from backend.domain.evidence import Segments
from backend.domain.kinds import Kind
from backend.domain.ledger import DeclarationStatus, DocumentStatus
from backend.domain.record_checks import evaluate
from backend.domain.records import ProofState
from backend.domain.strict_json import parse_timestamp
from backend.domain.verdict import ActionBy, Check, Conclusion, Outcome, Unknown, Verdict
from tests.helpers.builders import (
    NOON,
    SOMEBODY_ELSE,
    YEAR,
    a_record,
    an_accreditation,
    certificate_fields,
    evidence_for,
    facts_for,
    header_of,
    outcomes,
    signed_text,
)

HOUR = timedelta(hours=1)
ANCHORED = NOON - HOUR
ISSUED = NOON - 2 * HOUR
EVIDENCE = evidence_for(a_record())
FACTS = facts_for(EVIDENCE)


def verdict(evidence=EVIDENCE, facts=None, moment=NOON):
    return evaluate(evidence, facts_for(evidence) if facts is None else facts, moment)


def assert_ruling(found, conclusion, code, reason, outcome=None):
    expected = {Conclusion.INVALID: "fail", Conclusion.INDETERMINATE: "indeterminate"}.get(conclusion, outcome)
    assert (found.conclusion, outcomes(found.checks).get(code)) == (conclusion, (expected, reason))


def test_sound_certificate_is_valid_with_every_check():
    assert outcomes(verdict().checks) == {
        "SIGNATURE": ("pass", "signature-valid"),
        "CONTENT": ("pass", "content-complete"),
        "INCLUSION": ("pass", "included"),
        "ANCHOR": ("pass", "anchor-final"),
        "STATUS": ("pass", "in-force"),
        "ISSUER_ACCREDITED": ("pass", "accredited"),
        "ISSUER_STANDING": ("pass", "good-standing"),
        "VALIDITY": ("pass", "within-validity"),
    }
    assert verdict().conclusion is Conclusion.VALID
    assert verdict().deciding is None
    assert verdict().as_of == FACTS.as_of


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_record_can_be_valid(kind):
    assert verdict(evidence_for(a_record(kind), kind)).conclusion is Conclusion.VALID


# The record


def test_altered_record_is_invalid_without_further_checks():
    signing_input, _, signature = EVIDENCE.record.signed_jwt.rpartition(".")
    forged = replace(EVIDENCE.record, signed_jwt=f"{signing_input}.{signature[:-4]}AAAA")
    found = verdict(replace(EVIDENCE, record=forged))
    assert_ruling(found, Conclusion.INVALID, "SIGNATURE", "signature-invalid")
    assert len(found.checks) == 1


@pytest.mark.parametrize("other", [Kind.INSPECTION_REPORT, Kind.DECLARATION, Kind.INVOICE])
def test_a_certificate_presented_as_another_paper_is_invalid(other):
    assert_ruling(verdict(replace(EVIDENCE, kind=other), FACTS), Conclusion.INVALID, "CONTENT", "entry-kind-mismatch")


@pytest.mark.parametrize("kind", [Kind.INSPECTION_REPORT, Kind.DECLARATION, Kind.INVOICE])
def test_a_quantity_where_there_is_none_is_invalid(kind):
    found = verdict(evidence_for(a_record(kind), kind, quantity=1))
    assert_ruling(found, Conclusion.INVALID, "CONTENT", "entry-quantity-mismatch")


@pytest.mark.parametrize("quantity", [0, 499_999, 500_001, 500_000_000])
def test_a_certificate_sealed_with_another_quantity_is_invalid(quantity):
    found = verdict(evidence_for(EVIDENCE.record, quantity=quantity))
    assert_ruling(found, Conclusion.INVALID, "CONTENT", "entry-quantity-mismatch")


@pytest.mark.parametrize("stated", ["five", "NaN", "Infinity", "-1", "0.0001", {"a": 1}, [], "1e400"], ids=str)
def test_signed_quantity_that_is_none_is_invalid(stated):
    found = verdict(evidence_for(a_record(fields=certificate_fields(quantity=stated)), quantity=0))
    assert_ruling(found, Conclusion.INVALID, "CONTENT", "entry-quantity-mismatch")


@pytest.mark.parametrize("change", [{"hsCode": "1"}, {"conforms": True}, {"exporter": None}, {"unitCode": 5}], ids=str)
def test_signed_text_of_another_form_is_invalid(change):
    found = verdict(evidence_for(a_record(fields=certificate_fields(**change))))
    assert_ruling(found, Conclusion.INVALID, "CONTENT", "fields-invalid")


@pytest.mark.parametrize("time", [None, "yesterday", "2026-03-02T10:00:00", 5, "2026-02-30T00:00:00Z"], ids=str)
def test_record_without_time_of_issue_is_invalid(time):
    found = verdict(evidence_for(a_record(validFrom=time)))
    assert_ruling(found, Conclusion.INVALID, "CONTENT", "entry-kind-mismatch")


def test_fields_may_be_withheld_and_it_is_said():
    shown = EVIDENCE.record.disclosing(["hsCode", "originCountry", "quantity"])
    found = verdict(replace(EVIDENCE, record=shown))
    assert_ruling(found, Conclusion.VALID, "CONTENT", "fields-withheld", "note")
    assert next(c for c in found.checks if c.code == "CONTENT").values == {"count": len(certificate_fields()) - 3}


# The batch


def test_record_waiting_for_batch_is_indeterminate():
    found = verdict(replace(EVIDENCE, proof=None, anchor=None), FACTS)
    assert found.conclusion is Conclusion.INDETERMINATE
    assert outcomes(found.checks)["INCLUSION"] == ("indeterminate", "not-sealed")
    assert outcomes(found.checks)["ANCHOR"] == ("indeterminate", "not-anchored")
    assert outcomes(found.checks)["STATUS"] == ("indeterminate", "not-anchored")
    assert found.deciding.action_by is ActionBy.WAIT


@pytest.mark.parametrize(
    "change",
    [{"leaf_index": 0}, {"leaf_index": 2**63}, {"size": 1}, {"path": ()}, {"path": (bytes(32),) * 4}],
    ids=str,
)
def test_proof_not_leading_to_root_is_invalid(change):
    found = verdict(replace(EVIDENCE, proof=replace(EVIDENCE.proof, **change)), FACTS)
    assert_ruling(found, Conclusion.INVALID, "INCLUSION", "not-included")


def test_a_proof_of_another_record_is_invalid():
    other = evidence_for(a_record(fields=certificate_fields(description="Another lamp")))
    borrowed = replace(other, proof=EVIDENCE.proof, anchor=EVIDENCE.anchor)
    assert_ruling(verdict(borrowed, FACTS), Conclusion.INVALID, "INCLUSION", "not-included")


def test_root_unknown_to_ledger_is_invalid():
    assert_ruling(verdict(facts=replace(FACTS, batch=None)), Conclusion.INVALID, "ANCHOR", "root-not-on-ledger")


@pytest.mark.parametrize(
    "segments",
    [Segments(0, 3, 5, 9), Segments(0, 0, 0, 9), Segments(0, 0, 9, 9), Segments(3, 5, 7, 10), Segments(3, 5, 7, 8)],
    ids=["inspection", "other", "declaration", "one entry more", "one entry less"],
)
def test_wrong_segment_or_batch_size_is_invalid(segments):
    facts = replace(FACTS, batch=replace(FACTS.batch, segments=segments))
    assert_ruling(verdict(facts=facts), Conclusion.INVALID, "ANCHOR", "wrong-segment")


def test_anchor_not_yet_final_is_indeterminate():
    found = verdict(facts=replace(FACTS, state=ProofState.ANCHORED))
    assert_ruling(found, Conclusion.INDETERMINATE, "ANCHOR", "not-final")
    assert found.deciding.action_by is ActionBy.WAIT


# The status


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (DocumentStatus.SUSPENDED, "suspended"),
        (DocumentStatus.REVOKED, "revoked"),
        (DocumentStatus.SUPERSEDED, "superseded"),
    ],
)
def test_document_not_in_force_is_invalid(status, reason):
    assert_ruling(verdict(facts=replace(FACTS, status=int(status))), Conclusion.INVALID, "STATUS", reason)


@pytest.mark.parametrize("status", [4, 9, 15])
def test_a_status_that_nobody_knows_cannot_be_told(status):
    assert_ruling(verdict(facts=replace(FACTS, status=status)), Conclusion.INDETERMINATE, "STATUS", "status-unknown")


def declared(status):
    evidence = evidence_for(a_record(Kind.DECLARATION), Kind.DECLARATION)
    return verdict(evidence, facts_for(evidence, status=status))


@pytest.mark.parametrize("status", DeclarationStatus)
def test_a_declaration_stands_until_it_is_withdrawn(status):
    if status is DeclarationStatus.WITHDRAWN:
        assert_ruling(declared(status), Conclusion.INVALID, "STATUS", "withdrawn")
    else:
        assert_ruling(declared(status), Conclusion.VALID, "STATUS", "declaration-in-force", "pass")


def test_unknown_status_of_declaration_is_indeterminate():
    assert_ruling(declared(9), Conclusion.INDETERMINATE, "STATUS", "status-unknown")


# The issuer


def held(**changes):
    """What a ledger holds all the time."""
    return holding(FACTS, an_accreditation(**changes))


def holding(facts, terms, then=None):
    """What a ledger holds now, and what it held then; a later suspension leaves the terms of the issue alone."""
    then = then or terms
    since = then.suspended_since
    signed = then if since is None or since <= ISSUED else replace(then, suspended_since=None)
    return replace(facts, accreditation=terms, accreditation_at_issue=signed, accreditation_at_anchoring=then)


def test_an_issuer_that_was_never_accredited_is_invalid():
    for accreditation in (None, an_accreditation(kinds=0)):
        found = verdict(facts=replace(FACTS, accreditation=accreditation))
        assert_ruling(found, Conclusion.INVALID, "ISSUER_ACCREDITED", "never-accredited")


def test_an_issuer_accredited_for_other_kinds_is_invalid():
    kinds = sum(1 << kind for kind in Kind if kind is not Kind.CERTIFICATE_OF_ORIGIN)
    assert_ruling(verdict(facts=held(kinds=kinds)), Conclusion.INVALID, "ISSUER_ACCREDITED", "kind-not-covered")


@pytest.mark.parametrize("chapters", [1 << 93, 1 << 9, 0], ids=["93", "9", "none"])
def test_an_issuer_accredited_for_other_goods_is_invalid(chapters):
    found = verdict(facts=held(chapters=chapters))
    assert_ruling(found, Conclusion.INVALID, "ISSUER_ACCREDITED", "chapter-not-covered")


@pytest.mark.parametrize("chapters", [1 << 94, 1, 1 << 94 | 1 << 2])
def test_an_issuer_accredited_for_these_goods_is_valid(chapters):
    assert verdict(facts=held(chapters=chapters)).conclusion is Conclusion.VALID


def test_hidden_goods_are_indeterminate_outside_full_scope():
    """They do not matter where the accreditation covers every chapter."""
    hidden = replace(EVIDENCE, record=EVIDENCE.record.disclosing(["quantity"]))
    found = verdict(hidden, held(chapters=1 << 94))
    assert_ruling(found, Conclusion.INDETERMINATE, "ISSUER_ACCREDITED", "hs-code-withheld")
    assert verdict(hidden, held(chapters=1)).conclusion is Conclusion.VALID


def test_declarations_and_invoices_need_no_chapter():
    for kind in (Kind.DECLARATION, Kind.INVOICE):
        evidence = evidence_for(a_record(kind), kind)
        facts = facts_for(evidence, accreditation=an_accreditation(chapters=1 << 3))
        assert verdict(evidence, facts).conclusion is Conclusion.VALID


@pytest.mark.parametrize(
    "change",
    [{"valid_from": ISSUED + timedelta(seconds=1)}, {"valid_from": NOON - YEAR, "valid_until": ISSUED}],
    ids=["not yet", "no longer"],
)
def test_issuer_not_accredited_when_signing_is_invalid(change):
    assert_ruling(verdict(facts=held(**change)), Conclusion.INVALID, "ISSUER_ACCREDITED", "not-accredited-at-issue")


def test_an_accreditation_counts_from_its_first_moment():
    assert verdict(facts=held(valid_from=ISSUED)).conclusion is Conclusion.VALID


def test_record_signed_before_accreditation_lapsed_stays_valid():
    found = verdict(facts=held(valid_until=NOON))
    assert_ruling(found, Conclusion.VALID, "ISSUER_STANDING", "accreditation-expired", "note")
    assert_ruling(
        verdict(facts=held(valid_until=NOON + HOUR)), Conclusion.VALID, "ISSUER_STANDING", "good-standing", "pass"
    )


@pytest.mark.parametrize(
    ("since", "accredited"),
    [
        (ISSUED - HOUR, ("fail", "accreditation-revoked")),
        (ANCHORED, ("fail", "accreditation-revoked")),
        (ANCHORED + timedelta(seconds=1), ("pass", "accredited")),
    ],
)
def test_a_revoked_accreditation_ends_trust_in_everything(since, accredited):
    found = verdict(facts=held(suspended_since=since))
    assert found.conclusion is Conclusion.INVALID
    assert outcomes(found.checks)["ISSUER_ACCREDITED"] == accredited
    assert outcomes(found.checks)["ISSUER_STANDING"] == ("fail", "accreditation-revoked")


def test_future_revocation_changes_nothing():
    assert verdict(facts=held(suspended_since=NOON + timedelta(seconds=1))).conclusion is Conclusion.VALID


def test_a_revoked_key_cannot_backdate():
    """It writes the time of issue itself, but the anchor bounds it from above."""
    backdated = evidence_for(a_record(issued_at=NOON - 200 * HOUR))
    found = verdict(
        backdated,
        holding(facts_for(backdated), an_accreditation(suspended_since=NOON - 100 * HOUR), an_accreditation()),
    )
    assert outcomes(found.checks)["ISSUER_ACCREDITED"] == ("fail", "accreditation-revoked")


def test_a_lapsed_key_cannot_backdate():
    """A key whose accreditation ended a month ago signs today and writes last year's date."""
    backdated = evidence_for(a_record(issued_at=NOON - 100 * 24 * HOUR))
    lapsed = an_accreditation(valid_until=NOON - 30 * 24 * HOUR)
    found = verdict(backdated, holding(facts_for(backdated), lapsed))
    assert_ruling(found, Conclusion.INDETERMINATE, "ISSUER_ACCREDITED", "anchored-after-expiry")


def test_signed_in_lifted_suspension_stays_invalid():
    """Lifting it does not make the stolen window good; the issuer is in good standing again."""
    then = an_accreditation(suspended_since=ISSUED)
    found = verdict(facts=holding(FACTS, an_accreditation(), then))
    assert_ruling(found, Conclusion.INVALID, "ISSUER_ACCREDITED", "signed-while-suspended")
    assert outcomes(found.checks)["ISSUER_STANDING"] == ("pass", "good-standing")


def test_anchored_in_lifted_suspension_is_indeterminate():
    """Who held the key then may have dated back what seems to be signed before."""
    then = an_accreditation(suspended_since=ANCHORED)
    found = verdict(facts=holding(FACTS, an_accreditation(), then))
    assert_ruling(found, Conclusion.INDETERMINATE, "ISSUER_ACCREDITED", "anchored-after-change")


def test_nothing_recorded_in_time_is_invalid():
    found = verdict(facts=replace(FACTS, accreditation_at_issue=None, accreditation_at_anchoring=None))
    assert_ruling(found, Conclusion.INVALID, "ISSUER_ACCREDITED", "not-accredited-at-issue")


def test_record_dated_after_its_anchor_is_invalid():
    late = evidence_for(a_record(issued_at=ANCHORED + timedelta(minutes=6)))
    assert_ruling(verdict(late), Conclusion.INVALID, "ISSUER_ACCREDITED", "issued-after-anchoring")
    on_time = evidence_for(a_record(issued_at=ANCHORED + timedelta(minutes=5)))
    assert verdict(on_time).conclusion is Conclusion.VALID


def test_a_record_dated_in_the_future_is_invalid():
    future = evidence_for(a_record(issued_at=NOON + timedelta(minutes=6)))
    assert_ruling(verdict(future), Conclusion.INVALID, "VALIDITY", "not-yet-issued")


@pytest.mark.parametrize("until", ["2026-03-02T12:00:00+00:00", "2026-03-02T20:00:00+08:00", "2020-01-01T00:00:00Z"])
def test_an_expired_record_is_invalid(until):
    assert_ruling(verdict(evidence_for(a_record(validUntil=until))), Conclusion.INVALID, "VALIDITY", "expired")


def test_a_record_is_good_until_its_last_moment():
    assert verdict(evidence_for(a_record(validUntil="2026-03-02T12:00:01+00:00"))).conclusion is Conclusion.VALID


@pytest.mark.parametrize("until", ["soon", "2026-03-02", 5, "2026-03-03T12:00:00"], ids=str)
def test_an_end_that_cannot_be_read_is_invalid(until):
    assert_ruling(verdict(evidence_for(a_record(validUntil=until))), Conclusion.INVALID, "VALIDITY", "fields-invalid")


def test_a_merchants_statement_cannot_be_told():
    statement = evidence_for(a_record(assurance="stated"))
    found = verdict(statement)
    assert_ruling(found, Conclusion.INDETERMINATE, "ISSUER_ACCREDITED", "self-attested")
    assert verdict(statement, facts_for(statement, accreditation=None)).conclusion is Conclusion.INDETERMINATE


@pytest.mark.parametrize("assurance", [None, "STATED", "issued", "", 5, ["stated"]], ids=str)
def test_whatever_is_no_statement_needs_an_accredited_issuer(assurance):
    evidence = evidence_for(a_record(assurance=assurance))
    assert verdict(evidence, facts_for(evidence, accreditation=None)).conclusion is Conclusion.INVALID


def test_stranger_signing_as_the_chamber_is_invalid():
    forged = evidence_for(a_record(key=SOMEBODY_ELSE))
    assert forged.record.payload["issuer"] == EVIDENCE.record.payload["issuer"]
    found = verdict(forged, facts_for(forged, accreditation=None))
    assert_ruling(found, Conclusion.INVALID, "ISSUER_ACCREDITED", "never-accredited")


# What could not be asked


TROUBLE = Unknown("connection refused")


@pytest.mark.parametrize("fact", ["batch", "status", "accreditation"])
def test_unreadable_fact_is_indeterminate(fact):
    found = verdict(facts=replace(FACTS, **{fact: TROUBLE}))
    code = {"batch": "ANCHOR", "status": "STATUS", "accreditation": "ISSUER_ACCREDITED"}[fact]
    assert_ruling(found, Conclusion.INDETERMINATE, code, "ledger-unavailable")
    assert found.deciding.values == {"why": "connection refused"}
    assert found.deciding.action_by is ActionBy.OPERATOR


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("assurance", ["issued", "stated"])
@pytest.mark.parametrize("state", [ProofState.ANCHORED, ProofState.FINAL])
def test_a_silent_ledger_makes_no_record_invalid(kind, assurance, state):
    evidence = evidence_for(a_record(kind, assurance=assurance), kind)
    silent = facts_for(evidence, batch=TROUBLE, status=TROUBLE, accreditation=TROUBLE, state=state)
    assert verdict(evidence, silent).conclusion is Conclusion.INDETERMINATE


def test_a_silent_ledger_does_not_excuse_a_forgery():
    silent = replace(FACTS, batch=TROUBLE, status=TROUBLE, accreditation=TROUBLE)
    expired = evidence_for(a_record(validUntil="2020-01-01T00:00:00Z"))
    assert verdict(expired, silent).conclusion is Conclusion.INVALID
    assert (
        verdict(replace(EVIDENCE, proof=replace(EVIDENCE.proof, leaf_index=0)), silent).conclusion is Conclusion.INVALID
    )


# What nobody should be able to sign into a crash


@pytest.mark.parametrize("types", [5, None, True, {"CertificateOfOrigin": 1}, "CertificateOfOrigin", [["x"]]], ids=str)
def test_any_signed_type_has_a_ruling(types):
    assert verdict(evidence_for(a_record(type=types))).conclusion in Conclusion


@pytest.mark.parametrize("name", ["validFrom", "validUntil"])
@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_signed_time_at_calendars_end_has_a_conclusion(name, time):
    assert verdict(evidence_for(a_record(**{name: time}))).conclusion is not None


@pytest.mark.parametrize("hs_code", ["ab", "-1", "", "²²", 5, None, [], {"a": 1}], ids=str)
def test_signed_hs_code_malformed_has_a_conclusion(hs_code):
    record = a_record(fields=certificate_fields(hsCode=hs_code)).disclosing(["hsCode", "quantity"])
    assert verdict(evidence_for(record)).conclusion is not Conclusion.VALID or hs_code in (None, 5)


@pytest.mark.parametrize("kid", ["!!!", "AA=", "A", "é", 5, None], ids=str)
def test_key_named_anyhow_has_a_conclusion(kid):
    text = signed_text(header_of(kid=kid), dict(EVIDENCE.record.payload))
    assert verdict(replace(EVIDENCE, record=sd_jwt.parse(text + "~"))).conclusion is Conclusion.INVALID


@pytest.mark.parametrize("jwk", [{}, {"kty": "EC"}, {"kty": "EC", "crv": "P-256", "x": "AA"}], ids=str)
def test_key_without_its_members_has_a_conclusion(jwk):
    record = sd_jwt.parse(signed_text(header_of(jwk=jwk), dict(EVIDENCE.record.payload)) + "~")
    assert verdict(replace(EVIDENCE, record=record)).conclusion is Conclusion.INVALID


@pytest.mark.parametrize("issuer", [None, 5, "Chamber", [], {"name": ["x"]}, {"name": "{issued_at} %s"}], ids=str)
def test_any_signed_issuer_name_has_a_conclusion(issuer):
    assert verdict(evidence_for(a_record(issuer=issuer))).conclusion is Conclusion.VALID


# Putting checks together


def check(outcome):
    return Check("X", outcome, "signature-valid")


@pytest.mark.parametrize(
    ("found", "conclusion"),
    [
        ([], Conclusion.INDETERMINATE),
        ([Outcome.PASS], Conclusion.VALID),
        ([Outcome.NOTE], Conclusion.VALID),
        ([Outcome.PASS, Outcome.INDETERMINATE], Conclusion.INDETERMINATE),
        ([Outcome.INDETERMINATE, Outcome.FAIL], Conclusion.INVALID),
        ([Outcome.FAIL, Outcome.PASS], Conclusion.INVALID),
    ],
    ids=str,
)
def test_the_worst_check_decides(found, conclusion):
    assert Verdict.of(map(check, found), NOON).conclusion is conclusion


def test_deciding_check_is_first_of_the_worst():
    checks = [check(Outcome.INDETERMINATE), Check("Y", Outcome.FAIL, "expired"), Check("Z", Outcome.FAIL, "revoked")]
    assert Verdict.of(checks, NOON).deciding.code == "Y"


@pytest.mark.parametrize("text", ["2026-03-02T20:00:00+08:00", "2026-03-02T12:00:00Z", "2026-03-02T12:00:00+00:00"])
def test_moments_are_read_as_utc(text):
    assert parse_timestamp(text) == NOON


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["final"], ProofState.FINAL),
        (["final", "anchored", "final"], ProofState.ANCHORED),
        (["sealed", "stored", "final"], ProofState.STORED),
        (["final", None], None),
        ([], None),
    ],
)
def test_proof_state_of_a_verdict_is_the_least(states, expected):
    values = [{"state": ProofState(state)} if state else {} for state in states]
    checks = [Check("ANCHOR", Outcome.NOTE, "anchor-final", value) for value in values]
    assert Verdict.of([*checks, Check("STATUS", Outcome.PASS, "in-force")], NOON).proof_state is expected
