"""Verdicts of a list leave out what agrees, and conclude at every moment what the declaration's own page concludes."""

from datetime import timedelta

import pytest

from backend.domain import records, trade_match
from backend.domain.verdict import Conclusion, Outcome
from backend.services import accreditation, issuance, verification
from backend.services.verification import verdicts_on_consignments
from tests.services.test_audit import in_database
from tests.services.test_drawdowns import lodged, reissue


@pytest.fixture(autouse=True)
def nothing_known():
    """Forget what other tests have found, since texts of tests are often the same."""
    trade_match.found_to_agree.cache_clear()
    records._found_in_form.cache_clear()


def verdicts(installation, *, in_brief):
    with installation.ctx.work(reading=True) as work:
        listed = work.consignments.search(oldest_first=True)
        found = verdicts_on_consignments(installation.ctx, work, listed, in_brief=in_brief)
        return [one.verdict for one in found]


def shown(verdict):
    return verdict.conclusion, verdict.deciding, verdict.proof_state


def conclusion(installation):
    """The only declaration's conclusion, the same in full and in brief, before and after it was concluded once."""
    found = [verdicts(installation, in_brief=in_brief)[0] for in_brief in (True, False, True)]
    assert len({verdict.conclusion for verdict in found}) == 1
    assert shown(found[0]) == shown(found[1]) == shown(found[2])
    return found[0].conclusion


def test_papers_that_agree_are_compared_once(installation, monkeypatch):
    certificate = installation.issue_certificate()
    lodged(installation, [certificate])
    made = []
    monkeypatch.setattr(verification, "match", lambda *given: made.append(given) or trade_match.match(*given))
    first, again = (verdicts(installation, in_brief=True)[0] for _ in range(2))
    assert len(made) == 1
    assert first.conclusion is again.conclusion is Conclusion.VALID
    left_out = [check for check in first.checks if check not in again.checks]
    assert {check.outcome for check in left_out} <= {Outcome.PASS, Outcome.NOTE}
    assert {check.code for check in left_out} >= {"MATCH_QUANTITY", "MATCH_HS_CODE"}
    (in_full,) = verdicts(installation, in_brief=False)
    assert in_full.checks == first.checks
    assert len(made) == 2


def test_form_found_sound_is_not_read_again(installation, monkeypatch):
    lodged(installation, [installation.issue_certificate()])
    verdicts(installation, in_brief=True)
    read = []
    sound = records.document_as_signed
    monkeypatch.setattr(records, "document_as_signed", lambda kind, fields: read.append(kind) or sound(kind, fields))
    verdicts(installation, in_brief=True)
    # What is left of the certificate needs its unit.
    assert [kind.slug for kind in read] == ["certificate-of-origin"]


def test_nothing_of_a_text_is_kept(installation):
    lodged(installation, [installation.issue_certificate()])
    verdicts(installation, in_brief=True)
    with installation.ctx.work(reading=True) as work:
        (declaration,) = work.consignments.search()
        asked = [declaration.record, *(paper.record for paper in declaration.papers)]
        known = verification._question(asked, work.consignments.drawn_before([declaration]).get(declaration.id, ()))
        assert len(known) == 32
        assert trade_match.found_to_agree(known) == [True]
        assert records._found_in_form(declaration.record.kind, declaration.record.sd_jwt.text_digest) == [True]


def test_papers_that_differ_are_compared_each_time(installation):
    certificate = installation.issue_certificate(originCountry="VN")
    lodged(installation, [certificate])
    assert conclusion(installation) is Conclusion.INVALID


def test_revocation_counts_though_papers_agreed(installation):
    certificate = installation.issue_certificate()
    lodged(installation, [certificate])
    assert conclusion(installation) is Conclusion.VALID
    issuance.revoke(installation.ctx, installation.chamber, certificate.id, "made elsewhere")
    assert conclusion(installation) is Conclusion.INVALID
    installation.settle()
    assert conclusion(installation) is Conclusion.INVALID


def test_suspended_issuer_counts_though_papers_agreed(installation):
    lodged(installation, [installation.issue_certificate()])
    assert conclusion(installation) is Conclusion.VALID
    accreditation.suspend(installation.ctx, installation.authority, installation.chamber.organisation.id)
    installation.settle()
    assert conclusion(installation) is Conclusion.INVALID


def test_expiry_counts_though_papers_agreed(installation):
    until = (installation.ctx.now() + timedelta(days=2)).date().isoformat()
    lodged(installation, [installation.issue_certificate(validUntil=until)])
    assert conclusion(installation) is Conclusion.VALID
    installation.clock.pass_by(timedelta(days=5))
    assert conclusion(installation) is Conclusion.INVALID


def test_replaced_paper_is_compared_anew(installation):
    certificate = installation.issue_certificate()
    lodged(installation, [certificate])
    assert conclusion(installation) is Conclusion.VALID
    reissue(installation, certificate, "100")
    assert conclusion(installation) is Conclusion.INVALID


def test_earlier_declarations_count_though_papers_agreed(installation):
    certificate = installation.issue_certificate()
    lodged(installation, [certificate], "400", number=1)
    lodged(installation, [certificate], "100", number=2)
    for _ in range(2):
        found = verdicts(installation, in_brief=True)
        assert [one.conclusion for one in found] == [Conclusion.VALID] * 2
    in_database(installation, "UPDATE planned_drawdown SET quantity = 450000 WHERE quantity = 400000")
    brief, full = (verdicts(installation, in_brief=in_brief) for in_brief in (True, False))
    assert [shown(one) for one in brief] == [shown(one) for one in full]
    assert brief[1].conclusion is Conclusion.INVALID


@pytest.mark.parametrize("column", ["signed_jwt", "disclosures"])
def test_altered_text_counts_though_papers_agreed(installation, column):
    lodged(installation, [installation.issue_certificate()])
    assert conclusion(installation) is Conclusion.VALID
    in_database(installation, f"UPDATE record SET {column} = CAST({column} || 'x' AS BLOB)")
    assert conclusion(installation) is Conclusion.INVALID


def test_fields_lost_from_the_database_leave_open(installation):
    lodged(installation, [installation.issue_certificate()])
    assert conclusion(installation) is Conclusion.VALID
    in_database(installation, "UPDATE record SET disclosures = x''")
    assert conclusion(installation) is Conclusion.INDETERMINATE
    assert "fields-missing" in {check.reason for check in verdicts(installation, in_brief=False)[0].checks}
