"""What the verdict would call INVALID for want of accreditation is refused before it is signed."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from backend.domain.interop.reading import Severity
from backend.domain.kinds import KINDS, Kind
from backend.domain.ledger import Accredit
from backend.domain.parties import Role
from backend.domain.sd_jwt import b64
from backend.domain.verdict import Conclusion
from backend.services import accreditation, declarations, external_signing, importing, issuance, keys, statements
from backend.services.accreditation import OutsideAccreditation
from backend.services.organisations import OrganisationProfile, register
from backend.services.verification import verdict_on
from tests.helpers.builders import Key, certificate_fields, invoice_fields, lodgement_fields
from tests.services.test_keys import kept_by, rotate

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def change(installation, who="chamber", **terms):
    organisation = installation.people[who].organisation.id
    accreditation.accredit(installation.ctx, installation.authority, organisation, **terms)
    installation.settle()


def suspend(installation, who="chamber"):
    accreditation.suspend(installation.ctx, installation.authority, installation.people[who].organisation.id)
    installation.clock.pass_by(timedelta(seconds=2))
    installation.settle()


def other_kinds(installation):
    """The ledger accredits the chamber for reports only."""
    with installation.ctx.work(reading=True) as work:
        key = bytes.fromhex(work.keys.active(installation.chamber.organisation).thumbprint)
    ledger, bit = installation.ledger, KINDS[Kind.INSPECTION_REPORT].accreditation_bit
    call = Accredit(key, replace(ledger.accreditation(key), kinds=1 << bit))
    ledger.send(ledger.sign(call, ledger.next_nonce("authority")).raw)
    ledger.mine()


OUTSIDE = {
    "another kind": (other_kinds, "", "not accredited for certificate-of-origin"),
    "another chapter": (lambda i: change(i, chapters=[61, 62]), "hsCode", "HS chapters 61-62, not for 94"),
    "not yet": (lambda i: change(i, valid_from=i.clock() + DAY), "", "begins on"),
    "no longer": (
        lambda i: change(i, valid_from=i.clock() - 9 * DAY, valid_until=i.clock() - DAY),
        "",
        "ask the authority to renew it",
    ),
    "suspended": (suspend, "", "is suspended since"),
}


@pytest.mark.parametrize("why", OUTSIDE)
def test_certificate_outside_the_accreditation_is_refused(installation, why):
    make, where, said = OUTSIDE[why]
    make(installation)
    with pytest.raises(OutsideAccreditation) as refused:
        installation.issue_certificate()
    ((field, message),) = refused.value.problems
    assert field == where
    assert said in message
    with installation.ctx.work(reading=True) as work:
        assert not work.records.number_is_taken(
            installation.chamber.organisation, Kind.CERTIFICATE_OF_ORIGIN, certificate_fields()["certificateNumber"]
        )


@pytest.mark.parametrize("why", OUTSIDE)
def test_request_outside_the_accreditation_is_not_confirmed(installation, why):
    fields = {k: v for k, v in certificate_fields().items() if k != "certificateNumber"}
    statement = statements.issue_statement(
        installation.ctx,
        installation.merchant,
        Kind.CERTIFICATE_OF_ORIGIN,
        fields,
        installation.chamber.organisation.id,
    )
    with installation.ctx.work(reading=True) as work:
        request = work.requests.find_about(statement.id)
    OUTSIDE[why][0](installation)
    with pytest.raises(OutsideAccreditation):
        issuance.confirm(installation.ctx, installation.chamber, request.id, "CO-1")


@pytest.mark.parametrize("when", ["before it is prepared", "before it is signed"])
def test_key_kept_outside_is_asked_for_nothing_uncovered(installation, when):
    key = Key()
    rotate(installation, given=kept_by(installation, "chamber", key))
    installation.clock.pass_by(HOUR)
    arguments = {"kind": "certificate-of-origin", "document": certificate_fields()}
    if when == "before it is prepared":
        change(installation, chapters=[61])
        with pytest.raises(OutsideAccreditation):
            external_signing.prepare(installation.ctx, installation.chamber, "issue", arguments)
        return
    text = external_signing.prepare(installation.ctx, installation.chamber, "issue", arguments)
    change(installation, chapters=[61])
    with pytest.raises(OutsideAccreditation):
        external_signing.submit(installation.ctx, installation.chamber, text.id, b64(key.sign(text.text)))


def test_newcomer_is_told_to_ask_the_authority(installation):
    newcomer = register(installation.ctx, OrganisationProfile(Role.CHAMBER, "Anhui Chamber", "anhui@x.org")).person
    with pytest.raises(OutsideAccreditation, match="is not accredited: ask the authority"):
        issuance.issue(installation.ctx, newcomer, Kind.CERTIFICATE_OF_ORIGIN, certificate_fields())
    accreditation.accredit(installation.ctx, installation.authority, newcomer.organisation.id)
    with pytest.raises(OutsideAccreditation, match="on its way to the ledger"):
        issuance.issue(installation.ctx, newcomer, Kind.CERTIFICATE_OF_ORIGIN, certificate_fields())
    installation.settle()
    issuance.issue(installation.ctx, newcomer, Kind.CERTIFICATE_OF_ORIGIN, certificate_fields())


def test_merchants_papers_are_held_to_its_accreditation(installation):
    suspend(installation, "merchant")
    with pytest.raises(OutsideAccreditation):
        statements.sign_own(installation.ctx, installation.merchant, Kind.INVOICE, invoice_fields())
    with pytest.raises(OutsideAccreditation):
        declarations.lodge(installation.ctx, installation.merchant, lodgement_fields(records=[]))


def test_merchant_may_sign_before_its_first_accreditation(installation):
    newcomer = register(installation.ctx, OrganisationProfile(Role.MERCHANT, "Newcomer Trading", "new@x.org")).person
    statements.sign_own(installation.ctx, newcomer, Kind.INVOICE, invoice_fields())


def test_statement_needs_no_accreditation(installation):
    suspend(installation, "merchant")
    fields = {k: v for k, v in certificate_fields().items() if k != "certificateNumber"}
    statements.issue_statement(
        installation.ctx,
        installation.merchant,
        Kind.CERTIFICATE_OF_ORIGIN,
        fields,
        installation.chamber.organisation.id,
    )


def test_silent_ledger_does_not_stop_signing(installation):
    change(installation, chapters=[61])
    installation.ledger.down = True
    record = installation.issue_certificate()
    assert verdict_on(installation.ctx, installation.record(record.id)).conclusion is Conclusion.INDETERMINATE
    installation.ledger.down = False
    installation.settle()
    assert verdict_on(installation.ctx, installation.record(record.id)).conclusion is Conclusion.INVALID


def test_new_accreditation_counts_at_once(installation):
    change(installation, chapters=[61])
    with pytest.raises(OutsideAccreditation):
        installation.issue_certificate()
    change(installation, chapters=[94])
    installation.issue_certificate()


def test_terms_are_asked_once_a_block(installation, monkeypatch):
    asked = []
    found = type(installation.ledger).accreditation_at
    monkeypatch.setattr(
        type(installation.ledger),
        "accreditation_at",
        lambda self, key, time: asked.append(key) or found(self, key, time),
    )
    for number in range(5):
        installation.issue_certificate(certificateNumber=f"C-{number}")
    assert len(asked) == 1
    suspend(installation)
    with pytest.raises(OutsideAccreditation):
        installation.issue_certificate(certificateNumber="C-6")


def test_successor_key_signs_at_once(installation):
    keys.rotate(installation.ctx, installation.authority, installation.chamber.organisation.id)
    installation.settle()
    installation.issue_certificate()


def imported(installation, kind, fields, issuers=()):
    file = importing.Given("document.json", json.dumps({"kind": kind, "document": fields}).encode())
    plan = importing.plan(installation.ctx, installation.merchant, [file], issuers, {})
    return plan, [(note.severity, note.code) for note in plan.files[0].notes if note.code != "twice-given"]


def test_import_of_what_the_merchant_may_not_sign(installation):
    suspend(installation, "merchant")
    plan, told = imported(installation, "invoice", invoice_fields())
    assert not plan.is_ready
    assert (Severity.WRONG, "fault") in told


def test_import_tells_of_issuer_who_cannot_confirm(installation):
    fields = {k: v for k, v in certificate_fields().items() if k != "certificateNumber"}
    _, told = imported(installation, "certificate-of-origin", fields, ["Zhejiang Chamber"])
    assert (Severity.WARNING, "issuer-cannot-confirm") not in told
    change(installation, chapters=[61])
    _, told = imported(installation, "certificate-of-origin", fields, ["Zhejiang Chamber"])
    assert (Severity.WARNING, "issuer-cannot-confirm") in told


def test_issuers_who_cannot_sign_are_offered_last(installation):
    newcomer = register(installation.ctx, OrganisationProfile(Role.CHAMBER, "Aba Chamber", "a@example.org")).person
    ours, theirs = installation.chamber.organisation.id, newcomer.organisation.id

    def offered():
        found = accreditation.those_who_may_issue(installation.ctx, Kind.CERTIFICATE_OF_ORIGIN)
        return [(one.id, is_able) for one, is_able in found if one.id in (ours, theirs)]

    assert offered() == [(ours, True), (theirs, False)]
    suspend(installation)
    assert offered() == [(theirs, False), (ours, False)]
    installation.ledger.down = True
    assert {is_able for _, is_able in offered()} == {True}
