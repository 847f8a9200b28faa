"""Who else anchors a copy of a record takes nothing from it: the record names its anchorer (decision 0033)."""

from dataclasses import replace

import pytest

from backend.domain import bundle, sd_jwt
from backend.domain.bundle import Bundle
from backend.domain.evidence import LedgerName
from backend.domain.kinds import Kind
from backend.domain.ledger import ActivateCertificate, LedgerRecord
from backend.services import external_signing
from backend.services.audit import audit
from backend.services.verification import evidence_of, verdict_on, verdict_on_bundle
from tests.helpers.builders import Key, certificate_fields
from tests.helpers.fakes import FakeLedger
from tests.services.test_drawdowns import lodged, release, remaining
from tests.services.test_keys import kept_by, rotate
from tests.services.test_revoked_copies import LATER, Copy, found_of, revoke


def verdict(installation, found):
    """The verdict on the evidence as a stranger brings it, and what decides it."""
    told = verdict_on_bundle(installation.ctx, bundle.write(Bundle((found,))))
    deciding = told.deciding
    return told.conclusion.value, deciding and deciding.reason


@pytest.fixture
def certificate(installation):
    return installation.issue_certificate()


@pytest.mark.parametrize("kind", [Kind.CERTIFICATE_OF_ORIGIN, Kind.INSPECTION_REPORT, Kind.DECLARATION])
def test_record_names_the_servers_own_anchorer(installation, kind):
    made = {
        Kind.CERTIFICATE_OF_ORIGIN: installation.issue_certificate,
        Kind.INSPECTION_REPORT: installation.issue_report,
        Kind.DECLARATION: lambda: installation.lodge().record,
    }[kind]()
    head = installation.ledger.head()
    assert made.sd_jwt.payload["anchorer"] == {
        "chainId": head.chain_id,
        "instanceId": head.instance_id.hex(),
        "ledger": head.ledger_address.lower(),
        "agent": installation.ledger.anchorer(),
    }
    assert sd_jwt.has_lower_s(made.signed_jwt)
    installation.settle()
    assert verdict(installation, found_of(installation, made)) == ("VALID", None)


def test_copy_anchored_and_revoked_first_ends_nothing(installation, certificate):
    """Somebody anchors the copy before the record's own server does, revokes it there, and publishes that."""
    text = installation.record(certificate.id).sd_jwt
    draft = evidence_of(installation.record(certificate.id))
    copied = Copy(installation, replace(draft, record=text))
    copied.revoke()
    assert copied.publish()
    installation.clock.pass_by(LATER)
    installation.settle()
    assert verdict(installation, found_of(installation, certificate)) == ("VALID", None)
    assert verdict_on(installation.ctx, installation.record(certificate.id)).conclusion.value == "VALID"
    assert verdict(installation, copied.evidence()) == ("INVALID", "other-anchorer")
    # Its own end counts all the same, and its own server still publishes it.
    revoke(installation, certificate)
    assert audit(installation.ctx).discrepancies == ()
    again = Copy(installation, found_of(installation, certificate), "anchorer", times=2)
    assert verdict(installation, again.evidence()) == ("INVALID", "revoked-elsewhere")


def activation_of(installation, copied, certificate):
    """What activates a copy of a certificate."""
    place = LedgerRecord(copied.key, 0)
    record = certificate.sd_jwt
    return ActivateCertificate(
        certificate=place,
        entry=certificate.entry.encode(),
        path=copied.tree.proof(0).path,
        issuer_key=sd_jwt.unb64(record.header["kid"]),
        chapter=int(record.subject["hsCode"][:2]),
        issued_at=sd_jwt.issued_at(record),
    )


@pytest.mark.parametrize("is_named", [True, False])
def test_copy_activated_first_holds_up_nobody(installation, monkeypatch, is_named):
    """A certificate of before cannot be told from its copy by the ledger, and is then drawn down nowhere else."""
    with monkeypatch.context() as before:
        if not is_named:
            before.setattr(FakeLedger, "named_anchorer", lambda ledger: None)
        certificate = installation.issue_certificate()
        copied = Copy(installation, evidence_of(installation.record(certificate.id)))
        assert installation.ledger.act_as("other_anchorer", activation_of(installation, copied, certificate))
    consignment = lodged(installation, [certificate])
    release(installation, consignment)
    installation.settle()
    decided = installation.consignment(consignment.id)
    assert decided.status.name == ("RELEASED" if is_named else "DETAINED")
    assert remaining(installation, certificate) == (300_000 if is_named else None)
    assert installation.ledger.certificate_balance(LedgerRecord(copied.key, 0)).remaining == 500_000


def test_revoked_certificates_copy_is_not_activated(installation, certificate):
    """Anchored once more by its own anchorer, as a thief of that account would."""
    installation.settle()
    revoke(installation, certificate)
    copied = Copy(installation, found_of(installation, certificate), "anchorer", times=2)
    call = activation_of(installation, copied, installation.record(certificate.id))
    assert not installation.ledger.act_as("anchorer", call)


def test_copy_of_before_is_ended_by_the_first(installation, monkeypatch):
    """The same without a name, which is why records have one: whoever was first ends the original."""
    with monkeypatch.context() as before:
        before.setattr(FakeLedger, "named_anchorer", lambda ledger: None)
        certificate = installation.issue_certificate()
    copied = Copy(installation, evidence_of(installation.record(certificate.id)))
    copied.revoke()
    assert copied.publish()
    installation.clock.pass_by(LATER)
    installation.settle()
    assert verdict(installation, found_of(installation, certificate)) == ("INVALID", "revoked-elsewhere")


def test_copy_by_another_anchorer_is_never_valid(installation, certificate):
    installation.settle()
    found = found_of(installation, certificate)
    copied = Copy(installation, found)
    assert verdict(installation, copied.evidence()) == ("INVALID", "other-anchorer")
    assert verdict(installation, found) == ("VALID", None)


def test_signatures_other_form_is_never_valid(installation, certificate):
    """The weakness: (r, n - s) fits too. As another text it would be another record, with a quantity of its own."""
    installation.settle()
    found = found_of(installation, certificate)
    text = sd_jwt.with_other_signature(found.record.signed_jwt)
    twin = replace(found, record=replace(found.record, signed_jwt=text))
    assert sd_jwt.is_signed_by_its_key(twin.record)
    copied = Copy(installation, twin, "anchorer")
    assert verdict(installation, copied.evidence()) == ("INVALID", "signature-not-canonical")


def test_key_outside_signs_the_name_too(installation, monkeypatch):
    """Its higher s is written as the lower one, and the text stays the same where the ledger is down meanwhile."""
    own = Key()
    rotate(installation, "chamber", kept_by(installation, "chamber", own))
    prepared = external_signing.prepare(
        installation.ctx,
        installation.chamber,
        "issue",
        {"kind": "certificate-of-origin", "document": certificate_fields(), "anchorer": {"agent": 9}},
    )
    claim = sd_jwt.parse(f"{prepared.text.decode()}.{sd_jwt.b64(bytes(64))}~").payload["anchorer"]
    assert claim == installation.ledger.named_anchorer().as_claim()
    monkeypatch.setattr(FakeLedger, "named_anchorer", lambda ledger: None)
    low = sd_jwt.with_lower_s(own.sign(prepared.text))
    high = low[:32] + (sd_jwt.ORDER - int.from_bytes(low[32:], "big")).to_bytes(32, "big")
    filed = external_signing.submit(installation.ctx, installation.chamber, prepared.id, sd_jwt.b64(high))
    assert filed.signed_jwt.endswith(sd_jwt.b64(low))
    assert filed.sd_jwt.payload["anchorer"] == claim


def test_lost_ledgers_records_stand_on_the_next(installation, monkeypatch):
    """After all was deployed anew; a ledger that replaces none is another one."""
    head = installation.ledger.head()
    lost = LedgerName(head.chain_id, b"\x01" * 32, "0x" + "01" * 20)
    named = replace(installation.ledger.named_anchorer(), ledger=lost)
    monkeypatch.setattr(FakeLedger, "named_anchorer", lambda ledger: named)
    made = installation.issue_certificate()
    installation.settle()
    assert verdict(installation, found_of(installation, made)) == ("INDETERMINATE", "other-ledger")
    operator = type(installation.ctx.keys.operator)
    monkeypatch.setattr(operator, "former_ledgers", lambda keys: ((lost, "0x" + "02" * 20),))
    assert verdict(installation, found_of(installation, made)) == ("VALID", None)
    copied = Copy(installation, found_of(installation, made))
    assert verdict(installation, copied.evidence()) == ("INVALID", "other-anchorer")
