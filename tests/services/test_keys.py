"""Keys give way, are kept outside, are stolen; and the master key is replaced."""

from datetime import timedelta

import pytest

from backend.domain.errors import Conflict, Invalid, NotAllowed, NotFound
from backend.domain.kinds import Kind
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


def active(house, who):
    with house.ctx.work(reading=True) as work:
        return work.keys.active(house.people[who].organisation)


def conclusion(house, record):
    return verdict_on(house.ctx, house.record(record.id)).conclusion


def rotate(house, who="chamber", given=None):
    made = keys.rotate(house.ctx, house.authority, house.people[who].organisation.id, given)
    house.clock.pass_by(timedelta(seconds=2))
    house.settle()
    house.clock.pass_by(timedelta(seconds=2))
    return made


def kept_by(house, who, key):
    organisation = house.people[who].organisation.id
    text = possession_text(organisation, key.thumbprint.hex())
    return OutsideKey(key.jwk, b64(key.sign(text)))


def test_rotated_key_signs_and_earlier_records_stay_valid(house):
    before = house.issue_certificate()
    house.settle()
    old = active(house, "chamber")
    new = rotate(house)
    after = house.issue_certificate(certificateNumber="NEXT-1")
    house.settle()
    assert active(house, "chamber").thumbprint == new.thumbprint != old.thumbprint
    assert house.record(after.id).key_named == b64(bytes.fromhex(new.thumbprint))
    assert conclusion(house, before) is Conclusion.VALID
    assert conclusion(house, after) is Conclusion.VALID


def test_old_keys_signature_after_the_rotation_is_invalid(house):
    old = active(house, "chamber")
    rotate(house)
    with house.ctx.work() as work:  # a thief, or a server that was not told
        work.keys.find(old.thumbprint).is_active = True
        work.keys.find(active(house, "chamber").thumbprint).is_active = False
        work.keys.find(old.thumbprint).successor = None
        work.commit()
    late = house.issue_certificate(certificateNumber="LATE-1")
    house.settle()
    verdict = verdict_on(house.ctx, house.record(late.id))
    assert verdict.conclusion is Conclusion.INVALID
    assert outcomes(verdict.checks)["ISSUER_ACCREDITED"] == ("fail", "not-accredited-at-issue")


def test_nothing_is_signed_until_ledger_confirms_the_key(house):
    keys.rotate(house.ctx, house.authority, house.chamber.organisation.id)
    with pytest.raises(Conflict, match="being replaced"):
        house.issue_certificate()
    with pytest.raises(Conflict, match="already"):
        keys.rotate(house.ctx, house.authority, house.chamber.organisation.id)


def test_rotation_refused_by_ledger_leaves_old_key_signing(house):
    old = active(house, "chamber")
    house.ledger.refusing = True
    keys.rotate(house.ctx, house.authority, house.chamber.organisation.id)
    house.settle()
    house.ledger.refusing = False
    assert active(house, "chamber").thumbprint == old.thumbprint
    assert conclusion(house, house.issue_certificate()) is Conclusion.INDETERMINATE  # signed; not sealed yet


def test_keys_rotate_again_and_again(house):
    records = [house.issue_certificate(certificateNumber="R-0")]
    for turn in range(1, 4):
        house.settle()
        rotate(house)
        records.append(house.issue_certificate(certificateNumber=f"R-{turn}"))
    house.settle()
    assert {conclusion(house, record) for record in records} == {Conclusion.VALID}
    assert len({house.record(record.id).key_named for record in records}) == 4


def test_an_organisation_without_accreditation_changes_keys_at_once(house):
    new = keys.rotate(house.ctx, house.authority, house.officer.organisation.id)
    assert active(house, "officer").thumbprint == new.thumbprint


@pytest.mark.parametrize("who", ["merchant", "chamber", "laboratory", "officer"])
def test_only_the_authority_replaces_and_stops_keys(house, who):
    key = active(house, "chamber").thumbprint
    with pytest.raises(NotAllowed):
        keys.rotate(house.ctx, house.people[who], house.chamber.organisation.id)
    with pytest.raises(NotAllowed):
        keys.compromised(house.ctx, house.people[who], key, house.clock())
    with pytest.raises(NotAllowed):
        keys.signed_since(house.ctx, house.people[who], key, house.clock())


# Keys in wrong hands


def test_stolen_key_is_stopped_listing_its_records_since(house):
    before = house.issue_certificate(certificateNumber="BEFORE")
    house.settle()
    house.clock.pass_by(timedelta(hours=1))
    since = house.clock()
    stolen = [house.issue_certificate(certificateNumber=f"STOLEN-{n}") for n in range(3)]
    key = active(house, "chamber").thumbprint
    house.clock.pass_by(timedelta(hours=1))
    house.settle()
    assert {conclusion(house, record) for record in stolen} == {Conclusion.VALID}

    found = keys.compromised(house.ctx, house.authority, key, since)
    house.settle()
    assert [record.id for record in found.records] == [record.id for record in stolen]
    assert before.id not in {record.id for record in found.records}
    assert {conclusion(house, record) for record in stolen} == {Conclusion.INVALID}
    with pytest.raises(Conflict, match="withdrawn"):
        house.issue_certificate(certificateNumber="AFTER")

    rotate(house)
    again = house.issue_certificate(certificateNumber="AFTER")
    house.settle()
    assert conclusion(house, again) is Conclusion.VALID
    listed = keys.signed_since(house.ctx, house.authority, key, since)
    assert [record.id for record in listed.records] == [record.id for record in stolen]


def test_successor_key_is_stopped_on_the_ledger_too(house):
    new = rotate(house)
    record = house.issue_certificate()
    house.settle()
    assert conclusion(house, record) is Conclusion.VALID
    keys.compromised(house.ctx, house.authority, new.thumbprint, house.clock())
    house.settle()
    assert house.ledger.accreditation(bytes.fromhex(new.thumbprint)).suspended_since is not None
    house.clock.pass_by(timedelta(seconds=2))
    assert conclusion(house, record) is Conclusion.INVALID


def test_key_stolen_while_being_replaced_still_gives_way(house):
    key = active(house, "chamber").thumbprint
    new = keys.rotate(house.ctx, house.authority, house.chamber.organisation.id)
    keys.compromised(house.ctx, house.authority, key, house.clock())
    house.clock.pass_by(timedelta(seconds=2))
    house.settle()
    assert active(house, "chamber").thumbprint == new.thumbprint
    assert active(house, "chamber").is_active


def test_a_key_that_nobody_has_is_not_found(house):
    with pytest.raises(NotFound):
        keys.compromised(house.ctx, house.authority, "00" * 32, house.clock())


def test_a_key_cannot_be_stolen_in_the_future(house):
    key = active(house, "chamber").thumbprint
    with pytest.raises(Invalid):
        keys.compromised(house.ctx, house.authority, key, house.clock() + timedelta(hours=1))
    assert active(house, "chamber").is_active


# Keys kept outside


@pytest.fixture
def own(house):
    """The chamber's own key, in its own hands."""
    key = Key()
    rotate(house, given=kept_by(house, "chamber", key))
    return key


def prepare(house, **changes):
    arguments = {"kind": "certificate-of-origin", "document": certificate_fields(**changes)}
    return external_signing.prepare(house.ctx, house.chamber, "issue", arguments)


def test_a_record_is_signed_outside_in_two_steps(house, own):
    made = prepare(house)
    assert made.thumbprint == own.thumbprint.hex()
    record = external_signing.submit(house.ctx, house.chamber, made.id, b64(own.sign(made.text)))
    house.settle()
    assert house.record(record.id).signed_jwt.startswith(made.text.decode())
    assert conclusion(house, record) is Conclusion.VALID


def test_preparing_leaves_nothing_on_file(house, own):
    prepare(house)
    with house.ctx.work(reading=True) as work:
        assert not work.records.of(house.chamber.organisation)


@pytest.mark.parametrize("forged", [b"", b"\x00" * 64, b"\x01" * 63, b"\xff" * 64])
def test_what_is_no_signature_is_refused(house, own, forged):
    made = prepare(house)
    with pytest.raises(Invalid):
        external_signing.submit(house.ctx, house.chamber, made.id, b64(forged))


def test_another_keys_signature_is_refused(house, own):
    made = prepare(house)
    with pytest.raises(Invalid, match="not this key's"):
        external_signing.submit(house.ctx, house.chamber, made.id, b64(Key().sign(made.text)))


def test_signature_is_submitted_once_by_its_signer_timely(house, own):
    """Another organisation, a second time and two hours later are all told that there is nothing."""
    made = prepare(house)
    signature = b64(own.sign(made.text))
    with pytest.raises(NotFound):
        external_signing.submit(house.ctx, house.other_chamber, made.id, signature)
    external_signing.submit(house.ctx, house.chamber, made.id, signature)
    with pytest.raises(NotFound):
        external_signing.submit(house.ctx, house.chamber, made.id, signature)
    late = prepare(house, certificateNumber="LATE")
    house.clock.pass_by(timedelta(hours=2))
    with pytest.raises(NotFound):
        external_signing.submit(house.ctx, house.chamber, late.id, b64(own.sign(late.text)))


def test_prepared_number_given_meanwhile_is_refused(house, own):
    one, two = prepare(house), prepare(house)
    external_signing.submit(house.ctx, house.chamber, one.id, b64(own.sign(one.text)))
    with pytest.raises(Conflict):
        external_signing.submit(house.ctx, house.chamber, two.id, b64(own.sign(two.text)))


def test_issuer_keeping_its_key_cannot_be_signed_for(house, own):
    with pytest.raises(Conflict, match="keeps its key itself"):
        house.issue_certificate()


def test_issuer_whose_key_is_here_cannot_prepare(house):
    with pytest.raises(Conflict, match="kept here"):
        prepare(house)
    with house.ctx.work(reading=True) as work:
        assert not work.records.of(house.chamber.organisation)


def test_request_is_confirmed_with_a_key_kept_outside(house, own):
    chamber = house.chamber.organisation.id
    fields = {k: v for k, v in certificate_fields().items() if k != "certificateNumber"}
    statement = statements.state(house.ctx, house.merchant, Kind.CERTIFICATE_OF_ORIGIN, fields, chamber)
    with house.ctx.work(reading=True) as work:
        request = work.requests.find_about(statement.id)
    made = external_signing.prepare(house.ctx, house.chamber, "confirm", {"request": request.id, "number": "CO-77"})
    record = external_signing.submit(house.ctx, house.chamber, made.id, b64(own.sign(made.text)))
    assert house.record(record.id).fields["certificateNumber"] == "CO-77"
    assert house.record(statement.id).superseded_by_id == record.id


def test_merchant_lodges_and_signs_with_its_own_key(house):
    key = Key()
    rotate(house, "merchant", kept_by(house, "merchant", key))
    for kind, document in (("declaration", lodgement_fields()), ("order", order_fields())):
        made = external_signing.prepare(house.ctx, house.merchant, "issue", {"kind": kind, "document": document})
        record = external_signing.submit(house.ctx, house.merchant, made.id, b64(key.sign(made.text)))
        house.settle()
        assert conclusion(house, record) is Conclusion.VALID
    with pytest.raises(Conflict):
        declarations.lodge(house.ctx, house.merchant, lodgement_fields(declarationReference="OTHER"))


def test_key_without_proof_of_possession_is_refused(house):
    key, other = Key(), Key()
    chamber = house.chamber.organisation.id
    for proof in (b64(other.sign(possession_text(chamber, key.thumbprint.hex()))), b64(bytes(64)), "!"):
        with pytest.raises(Invalid):
            keys.rotate(house.ctx, house.authority, chamber, OutsideKey(key.jwk, proof))
    elsewhere = b64(key.sign(possession_text(house.merchant.organisation.id, key.thumbprint.hex())))
    with pytest.raises(Invalid):
        keys.rotate(house.ctx, house.authority, chamber, OutsideKey(key.jwk, elsewhere))
    private = {**key.jwk, "d": "AAAA"}
    with pytest.raises(Invalid, match=r"private"):
        keys.rotate(house.ctx, house.authority, chamber, OutsideKey(private, kept_by(house, "chamber", key).proof))


def test_one_key_does_not_sign_for_two_organisations(house, own):
    with pytest.raises(Conflict, match="used before"):
        keys.rotate(house.ctx, house.authority, house.laboratory.organisation.id, kept_by(house, "laboratory", own))


def test_an_accreditation_is_renewed_after_a_rotation(house):
    rotate(house)
    accreditation.accredit(house.ctx, house.authority, house.chamber.organisation.id, [94])
    house.settle()
    held = house.ledger.accreditation(bytes.fromhex(active(house, "chamber").thumbprint))
    assert held.covers_chapter(94)
    assert not held.covers_chapter(61)


def test_an_issuer_is_told_of_a_wrong_act(house):
    with pytest.raises(Invalid):
        external_signing.prepare(house.ctx, house.chamber, "release", {})
    with pytest.raises(Invalid):
        external_signing.prepare(house.ctx, house.chamber, "issue", {"kind": "poem", "document": {}})
