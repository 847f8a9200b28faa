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


def then(house, record, moment):
    return verdict_on(house.ctx, house.record(record.id), moment)


def deciding(house, record, moment):
    check = then(house, record, moment).deciding
    return check and (check.code, check.reason)


def later(house, span=HOUR):
    house.settle()
    house.clock.pass_by(span)
    return house.clock()


def test_certificate_revoked_later_was_valid_before(house):
    begin = later(house)
    certificate = house.issue_certificate()
    good = later(house)
    issuance.revoke(house.ctx, house.chamber, certificate.id, "the goods were made elsewhere")
    bad = later(house)
    assert deciding(house, certificate, begin - HOUR) == ("VALIDITY", "not-yet-issued")
    assert then(house, certificate, good).conclusion is Conclusion.VALID
    assert deciding(house, certificate, bad) == ("STATUS", "revoked")
    assert then(house, certificate, good).at == good


def test_before_it_was_anchored_nothing_can_be_shown(house):
    certificate = house.issue_certificate()
    between = house.clock()
    house.clock.pass_by(HOUR)
    later(house)
    verdict = then(house, certificate, between)
    assert verdict.conclusion is Conclusion.INDETERMINATE
    assert outcomes(verdict.checks)["ANCHOR"] == ("indeterminate", "anchored-after-moment")
    assert then(house, certificate, house.clock()).conclusion is Conclusion.VALID


def test_an_expired_certificate_was_valid_in_its_time(house):
    certificate = house.issue_certificate(validUntil="2026-03-10")
    good = later(house)
    late = later(house, timedelta(days=30))
    assert then(house, certificate, good).conclusion is Conclusion.VALID
    assert deciding(house, certificate, late) == ("VALIDITY", "expired")


def test_certificate_is_invalid_only_during_its_issuers_suspension(house):
    certificate = house.issue_certificate()
    first = later(house)
    accreditation.suspend(house.ctx, house.authority, house.chamber.organisation.id)
    second = later(house)
    accreditation.reinstate(house.ctx, house.authority, house.chamber.organisation.id)
    third = later(house)
    assert [then(house, certificate, m).conclusion for m in (first, second, third)] == [
        Conclusion.VALID,
        Conclusion.INVALID,
        Conclusion.VALID,
    ]


def test_stolen_key_is_invalid_before_its_theft_noticed(house):
    certificate = house.issue_certificate()
    good = later(house)
    stolen = later(house)
    unnoticed = later(house)
    with house.ctx.work(reading=True) as work:
        key = work.keys.active(house.chamber.organisation)
    keys.compromised(house.ctx, house.authority, key.thumbprint, stolen)
    later(house)
    assert then(house, certificate, good).conclusion is Conclusion.VALID
    assert then(house, certificate, unnoticed).conclusion is Conclusion.INVALID


def test_replaced_statement_names_the_record_replacing_it(house):
    from backend.domain.kinds import Kind
    from backend.services import statements
    from tests.helpers.builders import certificate_fields

    fields = {k: v for k, v in certificate_fields().items() if k != "certificateNumber"}
    chamber = house.chamber.organisation.id
    statement = statements.state(house.ctx, house.merchant, Kind.CERTIFICATE_OF_ORIGIN, fields, chamber)
    with house.ctx.work(reading=True) as work:
        request = work.requests.find_about(statement.id)
    record = issuance.confirm(house.ctx, house.chamber, request.id, "CO-9")
    later(house)
    status = next(check for check in then(house, statement, None).checks if check.code == "STATUS")
    assert status.reason == "superseded"
    assert status.values["by"] == record.id
    assert house.record(record.id).sd_jwt.payload["supersedes"] == house.record(statement.id).digest


def test_revocation_reason_is_told_only_to_those_concerned(house):
    certificate = house.issue_certificate()
    later(house)
    issuance.revoke(house.ctx, house.chamber, certificate.id, "Mr Li signed it by mistake")
    later(house)
    on_file = house.record(certificate.id)
    verdict = verdict_on(house.ctx, on_file)
    assert "Mr Li" in headline(verdict, "en")
    assert "Mr Li" in headline(verdict, "zh")
    assert "Mr Li" not in str(verdict_on(house.ctx, on_file, for_everybody=True).checks)


def test_a_bundle_is_judged_at_a_past_moment(house):
    certificate = house.issue_certificate()
    good = later(house)
    content = bundle.write(bundle_of(house.ctx, house.record(certificate.id)))
    issuance.revoke(house.ctx, house.chamber, certificate.id, "wrong goods")
    bad = later(house)
    assert verdict_on_bundle(house.ctx, content, good).conclusion is Conclusion.VALID
    assert verdict_on_bundle(house.ctx, content, bad).conclusion is Conclusion.INVALID


def test_history_contradicting_the_ledger_is_indeterminate(house):
    certificate = house.issue_certificate()
    good = later(house)
    issuance.revoke(house.ctx, house.chamber, certificate.id, "wrong goods")
    later(house)
    with house.ctx.work() as work:  # somebody tidied our table
        for change in work.status_changes.of_record(certificate.id):
            work.remove(change)
        work.commit()
    verdict = then(house, certificate, good)
    assert verdict.conclusion is Conclusion.INDETERMINATE
    assert outcomes(verdict.checks)["STATUS"] == ("indeterminate", "ledger-unavailable")


def test_silent_ledger_makes_the_past_indeterminate(house):
    certificate = house.issue_certificate()
    good = later(house)
    house.ledger.down = True
    assert then(house, certificate, good).conclusion is Conclusion.INDETERMINATE


def test_the_future_is_not_judged(house):
    certificate = house.issue_certificate()
    with pytest.raises(Invalid, match="future"):
        then(house, certificate, house.clock() + HOUR)
