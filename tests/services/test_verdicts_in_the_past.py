"""Was it valid then? Asked of records whose story is known."""

from datetime import timedelta

import pytest

from backend.domain import bundle
from backend.domain.errors import Invalid
from backend.domain.verdict import Conclusion
from backend.messages.verdict import headline
from backend.services import accreditation, issuance, keys
from backend.services.bundles import bundle_of
from backend.services.verification import verdict_on, verdict_on_bundle
from tests.helpers.builders import outcomes

HOUR = timedelta(hours=1)


def then(installation, record, moment):
    return verdict_on(installation.ctx, installation.record(record.id), moment)


def deciding(installation, record, moment):
    check = then(installation, record, moment).deciding
    return check and (check.code, check.reason)


def later(installation, span=HOUR):
    installation.settle()
    installation.clock.pass_by(span)
    return installation.clock()


def test_certificate_revoked_later_was_valid_before(installation):
    begin = later(installation)
    certificate = installation.issue_certificate()
    good = later(installation)
    issuance.revoke(installation.ctx, installation.chamber, certificate.id, "the goods were made elsewhere")
    bad = later(installation)
    assert deciding(installation, certificate, begin - HOUR) == ("VALIDITY", "not-yet-issued")
    assert then(installation, certificate, good).conclusion is Conclusion.VALID
    assert deciding(installation, certificate, bad) == ("STATUS", "revoked")
    assert then(installation, certificate, good).at == good


def test_before_it_was_anchored_nothing_can_be_shown(installation):
    certificate = installation.issue_certificate()
    between = installation.clock()
    installation.clock.pass_by(HOUR)
    later(installation)
    verdict = then(installation, certificate, between)
    assert verdict.conclusion is Conclusion.INDETERMINATE
    assert outcomes(verdict.checks)["ANCHOR"] == ("indeterminate", "anchored-after-moment")
    assert then(installation, certificate, installation.clock()).conclusion is Conclusion.VALID


def test_an_expired_certificate_was_valid_in_its_time(installation):
    certificate = installation.issue_certificate(validUntil="2026-03-10")
    good = later(installation)
    late = later(installation, timedelta(days=30))
    assert then(installation, certificate, good).conclusion is Conclusion.VALID
    assert deciding(installation, certificate, late) == ("VALIDITY", "expired")


def test_certificate_is_invalid_only_during_its_issuers_suspension(installation):
    certificate = installation.issue_certificate()
    first = later(installation)
    accreditation.suspend(installation.ctx, installation.authority, installation.chamber.organisation.id)
    second = later(installation)
    accreditation.reinstate(installation.ctx, installation.authority, installation.chamber.organisation.id)
    third = later(installation)
    before = first - timedelta(seconds=1)  # the ledger counts whole seconds
    assert [then(installation, certificate, m).conclusion for m in (before, second, third)] == [
        Conclusion.VALID,
        Conclusion.INVALID,
        Conclusion.VALID,
    ]


def test_stolen_key_is_invalid_before_its_theft_noticed(installation):
    certificate = installation.issue_certificate()
    good = later(installation)
    stolen = later(installation)
    unnoticed = later(installation)
    with installation.ctx.work(reading=True) as work:
        key = work.keys.active(installation.chamber.organisation)
    keys.compromised(installation.ctx, installation.authority, key.thumbprint, stolen)
    later(installation)
    assert then(installation, certificate, good).conclusion is Conclusion.VALID
    assert then(installation, certificate, unnoticed).conclusion is Conclusion.INVALID


def test_replaced_statement_names_the_record_replacing_it(installation):
    from backend.domain.kinds import Kind
    from backend.services import statements
    from tests.helpers.builders import certificate_fields

    fields = {k: v for k, v in certificate_fields().items() if k != "certificateNumber"}
    chamber = installation.chamber.organisation.id
    statement = statements.issue_statement(
        installation.ctx, installation.merchant, Kind.CERTIFICATE_OF_ORIGIN, fields, chamber
    )
    with installation.ctx.work(reading=True) as work:
        request = work.requests.find_about(statement.id)
    record = issuance.confirm(installation.ctx, installation.chamber, request.id, "CO-9")
    later(installation)
    status = next(check for check in then(installation, statement, None).checks if check.code == "STATUS")
    assert status.reason == "superseded"
    assert status.values["by"] == record.id
    assert installation.record(record.id).sd_jwt.payload["supersedes"] == installation.record(statement.id).digest


def test_revocation_reason_is_told_only_to_those_concerned(installation):
    certificate = installation.issue_certificate()
    later(installation)
    issuance.revoke(installation.ctx, installation.chamber, certificate.id, "Mr Li signed it by mistake")
    later(installation)
    on_file = installation.record(certificate.id)
    verdict = verdict_on(installation.ctx, on_file)
    assert "Mr Li" in headline(verdict, "en")
    assert "Mr Li" in headline(verdict, "zh")
    assert "Mr Li" not in str(verdict_on(installation.ctx, on_file, for_everybody=True).checks)


def test_a_bundle_is_judged_at_a_past_moment(installation):
    certificate = installation.issue_certificate()
    good = later(installation)
    content = bundle.write(bundle_of(installation.ctx, installation.record(certificate.id)))
    issuance.revoke(installation.ctx, installation.chamber, certificate.id, "wrong goods")
    bad = later(installation)
    assert verdict_on_bundle(installation.ctx, content, good).conclusion is Conclusion.VALID
    assert verdict_on_bundle(installation.ctx, content, bad).conclusion is Conclusion.INVALID


def test_history_contradicting_the_ledger_is_indeterminate(installation):
    certificate = installation.issue_certificate()
    good = later(installation)
    issuance.revoke(installation.ctx, installation.chamber, certificate.id, "wrong goods")
    later(installation)
    with installation.ctx.work() as work:  # somebody tidied our table
        for change in work.status_changes.of_record(certificate.id):
            work.remove(change)
        work.commit()
    verdict = then(installation, certificate, good)
    assert verdict.conclusion is Conclusion.INDETERMINATE
    assert outcomes(verdict.checks)["STATUS"] == ("indeterminate", "ledger-unavailable")


def test_silent_ledger_makes_the_past_indeterminate(installation):
    certificate = installation.issue_certificate()
    good = later(installation)
    installation.ledger.down = True
    assert then(installation, certificate, good).conclusion is Conclusion.INDETERMINATE


def test_the_future_is_not_judged(installation):
    certificate = installation.issue_certificate()
    with pytest.raises(Invalid, match="future"):
        then(installation, certificate, installation.clock() + HOUR)
