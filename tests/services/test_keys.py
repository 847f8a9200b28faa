"""Keys give way, are kept outside, are stolen; and the master key is replaced."""

from datetime import timedelta

import pytest

from backend.domain.errors import Conflict, Invalid, NotAllowed, NotFound
from backend.domain.kinds import Kind
from backend.domain.records import RequestState
from backend.domain.sd_jwt import b64
from backend.domain.verdict import Conclusion
from backend.services import accreditation, declarations, external_signing, keys, statements
from backend.services.keys import OutsideKey, possession_text
from backend.services.verification import verdict_on
from tests.helpers.builders import (
    Key,
    certificate_fields,
    lodgement_fields,
    order_fields,
    outcomes,
)


def active(installation, who):
    with installation.ctx.work(reading=True) as work:
        return work.keys.active(installation.people[who].organisation)


def conclusion(installation, record):
    return verdict_on(installation.ctx, installation.record(record.id)).conclusion


def rotate(installation, who="chamber", given=None):
    made = keys.rotate(installation.ctx, installation.authority, installation.people[who].organisation.id, given)
    installation.clock.pass_by(timedelta(seconds=2))
    installation.settle()
    installation.clock.pass_by(timedelta(seconds=2))
    return made


def kept_by(installation, who, key):
    organisation = installation.people[who].organisation.id
    text = possession_text(organisation, key.thumbprint.hex())
    return OutsideKey(key.jwk, b64(key.sign(text)))


def test_rotated_key_signs_and_earlier_records_stay_valid(installation):
    before = installation.issue_certificate()
    installation.settle()
    old = active(installation, "chamber")
    new = rotate(installation)
    after = installation.issue_certificate(certificateNumber="NEXT-1")
    installation.settle()
    assert active(installation, "chamber").thumbprint == new.thumbprint != old.thumbprint
    assert installation.record(after.id).key_named == b64(bytes.fromhex(new.thumbprint))
    assert conclusion(installation, before) is Conclusion.VALID
    assert conclusion(installation, after) is Conclusion.VALID


def test_old_keys_signature_after_the_rotation_is_invalid(installation):
    old = active(installation, "chamber")
    rotate(installation)
    with installation.ctx.work() as work:  # a thief, or a server that was not told
        work.keys.find(old.thumbprint).is_active = True
        work.keys.find(active(installation, "chamber").thumbprint).is_active = False
        work.keys.find(old.thumbprint).successor = None
        work.commit()
    installation.ledger.down = True  # with the ledger at hand the server would not sign
    late = installation.issue_certificate(certificateNumber="LATE-1")
    installation.ledger.down = False
    installation.settle()
    verdict = verdict_on(installation.ctx, installation.record(late.id))
    assert verdict.conclusion is Conclusion.INVALID
    assert outcomes(verdict.checks)["ISSUER_ACCREDITED"] == ("fail", "not-accredited-at-issue")


def test_nothing_is_signed_until_ledger_confirms_the_key(installation):
    keys.rotate(installation.ctx, installation.authority, installation.chamber.organisation.id)
    with pytest.raises(Conflict, match="being replaced"):
        installation.issue_certificate()
    with pytest.raises(Conflict, match="already"):
        keys.rotate(installation.ctx, installation.authority, installation.chamber.organisation.id)


def test_rotation_refused_by_ledger_leaves_old_key_signing(installation):
    old = active(installation, "chamber")
    installation.ledger.refusing = True
    keys.rotate(installation.ctx, installation.authority, installation.chamber.organisation.id)
    installation.settle()
    installation.ledger.refusing = False
    assert active(installation, "chamber").thumbprint == old.thumbprint
    assert (
        conclusion(installation, installation.issue_certificate()) is Conclusion.INDETERMINATE
    )  # signed; not sealed yet


def test_keys_rotate_again_and_again(installation):
    records = [installation.issue_certificate(certificateNumber="R-0")]
    for turn in range(1, 4):
        installation.settle()
        rotate(installation)
        records.append(installation.issue_certificate(certificateNumber=f"R-{turn}"))
    installation.settle()
    assert {conclusion(installation, record) for record in records} == {Conclusion.VALID}
    assert len({installation.record(record.id).key_named for record in records}) == 4


def test_an_organisation_without_accreditation_changes_keys_at_once(installation):
    new = keys.rotate(installation.ctx, installation.authority, installation.officer.organisation.id)
    assert active(installation, "officer").thumbprint == new.thumbprint


@pytest.mark.parametrize("who", ["merchant", "chamber", "laboratory", "officer"])
def test_only_the_authority_replaces_and_stops_keys(installation, who):
    key = active(installation, "chamber").thumbprint
    with pytest.raises(NotAllowed):
        keys.rotate(installation.ctx, installation.people[who], installation.chamber.organisation.id)
    with pytest.raises(NotAllowed):
        keys.compromised(installation.ctx, installation.people[who], key, installation.clock())
    with pytest.raises(NotAllowed):
        keys.signed_since(installation.ctx, installation.people[who], key, installation.clock())


# Keys in wrong hands


def test_stolen_key_is_stopped_listing_its_records_since(installation):
    before = installation.issue_certificate(certificateNumber="BEFORE")
    installation.settle()
    installation.clock.pass_by(timedelta(hours=1))
    since = installation.clock()
    stolen = [installation.issue_certificate(certificateNumber=f"STOLEN-{n}") for n in range(3)]
    key = active(installation, "chamber").thumbprint
    installation.clock.pass_by(timedelta(hours=1))
    installation.settle()
    assert {conclusion(installation, record) for record in stolen} == {Conclusion.VALID}

    found = keys.compromised(installation.ctx, installation.authority, key, since)
    installation.settle()
    assert [record.id for record in found.records] == [record.id for record in stolen]
    assert before.id not in {record.id for record in found.records}
    assert {conclusion(installation, record) for record in stolen} == {Conclusion.INVALID}
    with pytest.raises(Conflict, match="withdrawn"):
        installation.issue_certificate(certificateNumber="AFTER")

    rotate(installation)
    again = installation.issue_certificate(certificateNumber="AFTER")
    installation.settle()
    assert conclusion(installation, again) is Conclusion.VALID
    listed = keys.signed_since(installation.ctx, installation.authority, key, since)
    assert [record.id for record in listed.records] == [record.id for record in stolen]


def test_successor_key_is_stopped_on_the_ledger_too(installation):
    new = rotate(installation)
    record = installation.issue_certificate()
    installation.settle()
    assert conclusion(installation, record) is Conclusion.VALID
    keys.compromised(installation.ctx, installation.authority, new.thumbprint, installation.clock())
    installation.settle()
    assert installation.ledger.accreditation(bytes.fromhex(new.thumbprint)).suspended_since is not None
    installation.clock.pass_by(timedelta(seconds=2))
    assert conclusion(installation, record) is Conclusion.INVALID


def test_key_stolen_while_being_replaced_still_gives_way(installation):
    key = active(installation, "chamber").thumbprint
    new = keys.rotate(installation.ctx, installation.authority, installation.chamber.organisation.id)
    keys.compromised(installation.ctx, installation.authority, key, installation.clock())
    installation.clock.pass_by(timedelta(seconds=2))
    installation.settle()
    assert active(installation, "chamber").thumbprint == new.thumbprint
    assert active(installation, "chamber").is_active


def test_a_key_that_nobody_has_is_not_found(installation):
    with pytest.raises(NotFound):
        keys.compromised(installation.ctx, installation.authority, "00" * 32, installation.clock())


def test_a_key_cannot_be_stolen_in_the_future(installation):
    key = active(installation, "chamber").thumbprint
    with pytest.raises(Invalid):
        keys.compromised(installation.ctx, installation.authority, key, installation.clock() + timedelta(hours=1))
    assert active(installation, "chamber").is_active


# Keys kept outside


@pytest.fixture
def own(installation):
    """The chamber's own key, in its own hands."""
    key = Key()
    rotate(installation, given=kept_by(installation, "chamber", key))
    return key


def prepare(installation, **changes):
    arguments = {"kind": "certificate-of-origin", "document": certificate_fields(**changes)}
    return external_signing.prepare(installation.ctx, installation.chamber, "issue", arguments)


def test_a_record_is_signed_outside_in_two_steps(installation, own):
    made = prepare(installation)
    assert made.thumbprint == own.thumbprint.hex()
    record = external_signing.submit(installation.ctx, installation.chamber, made.id, b64(own.sign(made.text)))
    installation.settle()
    assert installation.record(record.id).signed_jwt.startswith(made.text.decode())
    assert conclusion(installation, record) is Conclusion.VALID


def test_preparing_leaves_nothing_on_file(installation, own):
    prepare(installation)
    with installation.ctx.work(reading=True) as work:
        assert not work.records.of(installation.chamber.organisation)


@pytest.mark.parametrize("forged", [b"", b"\x00" * 64, b"\x01" * 63, b"\xff" * 64])
def test_what_is_no_signature_is_refused(installation, own, forged):
    made = prepare(installation)
    with pytest.raises(Invalid):
        external_signing.submit(installation.ctx, installation.chamber, made.id, b64(forged))


def test_another_keys_signature_is_refused(installation, own):
    made = prepare(installation)
    with pytest.raises(Invalid, match="not this key's"):
        external_signing.submit(installation.ctx, installation.chamber, made.id, b64(Key().sign(made.text)))


def test_signature_is_submitted_once_by_its_signer_timely(installation, own):
    """Another organisation, a second time and two hours later are all told that there is nothing."""
    made = prepare(installation)
    signature = b64(own.sign(made.text))
    with pytest.raises(NotFound):
        external_signing.submit(installation.ctx, installation.other_chamber, made.id, signature)
    external_signing.submit(installation.ctx, installation.chamber, made.id, signature)
    with pytest.raises(NotFound):
        external_signing.submit(installation.ctx, installation.chamber, made.id, signature)
    late = prepare(installation, certificateNumber="LATE")
    installation.clock.pass_by(timedelta(hours=2))
    with pytest.raises(NotFound):
        external_signing.submit(installation.ctx, installation.chamber, late.id, b64(own.sign(late.text)))


def test_prepared_number_given_meanwhile_is_refused(installation, own):
    one, two = prepare(installation), prepare(installation)
    external_signing.submit(installation.ctx, installation.chamber, one.id, b64(own.sign(one.text)))
    with pytest.raises(Conflict):
        external_signing.submit(installation.ctx, installation.chamber, two.id, b64(own.sign(two.text)))


def test_prepared_draft_does_nothing_before_its_signature(installation, own):
    """What a use case does besides the record happens once, at the signature: nothing was done and undone before."""
    fields = {k: v for k, v in certificate_fields().items() if k != "certificateNumber"}
    chamber = installation.chamber.organisation.id
    statement = statements.issue_statement(
        installation.ctx, installation.merchant, Kind.CERTIFICATE_OF_ORIGIN, fields, chamber
    )
    with installation.ctx.work(reading=True) as work:
        request = work.requests.find_about(statement.id)
    made = external_signing.prepare(
        installation.ctx, installation.chamber, "confirm", {"request": request.id, "number": "CO-78"}
    )
    with installation.ctx.work(reading=True) as work:
        assert work.requests.get(request.id).state is RequestState.WAITING
        assert not work.status_changes.of_record(statement.id)
    external_signing.submit(installation.ctx, installation.chamber, made.id, b64(own.sign(made.text)))
    with installation.ctx.work(reading=True) as work:
        assert work.requests.get(request.id).state is RequestState.CONFIRMED
        assert len(work.status_changes.of_record(statement.id)) == 1


def test_draft_for_a_replaced_key_is_refused(installation, own):
    made = prepare(installation)
    rotate(installation, given=kept_by(installation, "chamber", Key()))
    with pytest.raises(Conflict, match="moved on"):
        external_signing.submit(installation.ctx, installation.chamber, made.id, b64(own.sign(made.text)))


def test_issuer_keeping_its_key_cannot_be_signed_for(installation, own):
    with pytest.raises(Conflict, match="keeps its key itself"):
        installation.issue_certificate()


def test_issuer_whose_key_is_here_cannot_prepare(installation):
    with pytest.raises(Conflict, match="kept here"):
        prepare(installation)
    with installation.ctx.work(reading=True) as work:
        assert not work.records.of(installation.chamber.organisation)


def test_request_is_confirmed_with_a_key_kept_outside(installation, own):
    chamber = installation.chamber.organisation.id
    fields = {k: v for k, v in certificate_fields().items() if k != "certificateNumber"}
    statement = statements.issue_statement(
        installation.ctx, installation.merchant, Kind.CERTIFICATE_OF_ORIGIN, fields, chamber
    )
    with installation.ctx.work(reading=True) as work:
        request = work.requests.find_about(statement.id)
    made = external_signing.prepare(
        installation.ctx, installation.chamber, "confirm", {"request": request.id, "number": "CO-77"}
    )
    record = external_signing.submit(installation.ctx, installation.chamber, made.id, b64(own.sign(made.text)))
    assert installation.record(record.id).fields["certificateNumber"] == "CO-77"
    assert installation.record(statement.id).superseded_by_id == record.id


def test_merchant_lodges_and_signs_with_its_own_key(installation):
    key = Key()
    rotate(installation, "merchant", kept_by(installation, "merchant", key))
    for kind, document in (("declaration", lodgement_fields()), ("order", order_fields())):
        made = external_signing.prepare(
            installation.ctx, installation.merchant, "issue", {"kind": kind, "document": document}
        )
        record = external_signing.submit(installation.ctx, installation.merchant, made.id, b64(key.sign(made.text)))
        installation.settle()
        assert conclusion(installation, record) is Conclusion.VALID
    with pytest.raises(Conflict):
        declarations.lodge(installation.ctx, installation.merchant, lodgement_fields(declarationReference="OTHER"))


def test_key_without_proof_of_possession_is_refused(installation):
    key, other = Key(), Key()
    chamber = installation.chamber.organisation.id
    for proof in (b64(other.sign(possession_text(chamber, key.thumbprint.hex()))), b64(bytes(64)), "!"):
        with pytest.raises(Invalid):
            keys.rotate(installation.ctx, installation.authority, chamber, OutsideKey(key.jwk, proof))
    elsewhere = b64(key.sign(possession_text(installation.merchant.organisation.id, key.thumbprint.hex())))
    with pytest.raises(Invalid):
        keys.rotate(installation.ctx, installation.authority, chamber, OutsideKey(key.jwk, elsewhere))
    private = {**key.jwk, "d": "AAAA"}
    with pytest.raises(Invalid, match=r"private"):
        keys.rotate(
            installation.ctx,
            installation.authority,
            chamber,
            OutsideKey(private, kept_by(installation, "chamber", key).proof),
        )


def test_one_key_does_not_sign_for_two_organisations(installation, own):
    with pytest.raises(Conflict, match="used before"):
        keys.rotate(
            installation.ctx,
            installation.authority,
            installation.laboratory.organisation.id,
            kept_by(installation, "laboratory", own),
        )


def test_an_accreditation_is_renewed_after_a_rotation(installation):
    rotate(installation)
    accreditation.accredit(installation.ctx, installation.authority, installation.chamber.organisation.id, [94])
    installation.settle()
    held = installation.ledger.accreditation(bytes.fromhex(active(installation, "chamber").thumbprint))
    assert held.covers_chapter(94)
    assert not held.covers_chapter(61)


def test_an_issuer_is_told_of_a_wrong_act(installation):
    with pytest.raises(Invalid):
        external_signing.prepare(installation.ctx, installation.chamber, "release", {})
    with pytest.raises(Invalid):
        external_signing.prepare(installation.ctx, installation.chamber, "issue", {"kind": "poem", "document": {}})
