"""A record is judged by the accreditation that stood when it was signed, whatever the authority changes afterwards."""

from dataclasses import replace
from datetime import timedelta

import pytest

from backend.domain import bundle
from backend.domain.bundle_verification import snapshot_facts
from backend.domain.bundle_verification import verdict_on as verdict_on_file
from backend.domain.errors import Invalid, LedgerUnavailable
from backend.domain.ledger import Accredit, Accreditation
from backend.domain.verdict import Conclusion
from backend.services import accreditation, keys
from backend.services.anchoring import reanchor_all
from backend.services.bundles import bundle_of, trust_of
from backend.services.verification import verdict_on, verdict_on_bundle
from tests.helpers.builders import outcomes

HOUR, DAY, YEAR = timedelta(hours=1), timedelta(days=1), timedelta(days=365)
LAMPS, SHIRTS = [94], [61]


def accredit(installation, settled=True, **terms):
    chamber = installation.chamber.organisation.id
    change = accreditation.accredit(installation.ctx, installation.authority, chamber, **terms)
    if settled:
        installation.settle()
    return change


def later(installation, span=DAY):
    installation.settle()
    installation.clock.pass_by(span)
    return installation.clock()


def held(installation):
    return installation.ledger.accreditation(bytes.fromhex(key_of(installation)))


def key_of(installation):
    with installation.ctx.work(reading=True) as work:
        return work.keys.active(installation.chamber.organisation).thumbprint


def answers(installation, record):
    """What ISSUER_ACCREDITED says of a record: on file, in a bundle brought here, and in a bundle read offline."""
    on_file = installation.record(record.id)
    found = bundle_of(installation.ctx, on_file)
    moment = installation.clock()
    offline = verdict_on_file(found, snapshot_facts(found, trust_of(installation.ctx, "Operator"), moment, DAY), moment)
    told = [
        verdict_on(installation.ctx, on_file),
        verdict_on_bundle(installation.ctx, bundle.write(found)),
        offline,
    ]
    return {(v.conclusion, outcomes(v.checks)["ISSUER_ACCREDITED"][1]) for v in told}


GOOD = {(Conclusion.VALID, "accredited")}


def signed_without_ledger(installation, **fields):
    """A record that the server would refuse to sign if it could ask."""
    installation.ledger.down = True
    record = installation.issue_certificate(**fields)
    installation.ledger.down = False
    installation.settle()
    return record


def test_accrediting_once_more_leaves_the_past_alone(installation):
    record = installation.issue_certificate()
    later(installation)
    accredit(installation, valid_from=installation.clock() - HOUR)
    assert held(installation).valid_from > installation.record(record.id).issued_at
    assert answers(installation, record) == GOOD


@pytest.mark.parametrize("change", ["other chapters", "an end in the past", "a later beginning"])
def test_narrowing_leaves_what_was_signed_valid(installation, change):
    record = installation.issue_certificate()
    now = later(installation)
    terms = {
        "other chapters": {"chapters": SHIRTS},
        "an end in the past": {"valid_from": now - YEAR, "valid_until": now - 2 * DAY},
        "a later beginning": {"valid_from": now + DAY, "valid_until": now + YEAR},
    }[change]
    accredit(installation, **terms)
    assert answers(installation, record) == GOOD


def test_first_accreditation_is_not_dated_back(installation):
    """Nothing is covered that was signed before the ledger knew its key, whatever beginning the authority states."""
    chamber = installation.chamber.organisation.id
    new = keys.rotate(installation.ctx, installation.authority, chamber)
    assert new is not None
    later(installation)
    record = installation.issue_certificate()
    later(installation)
    assert answers(installation, record) == GOOD
    ledger, key = installation.ledger, bytes.fromhex(key_of(installation))
    known = ledger._state.history[key][0][0]
    issued = known - timedelta(minutes=5)
    assert ledger.terms_of_signature(key, issued, issued).signed_under is not None
    assert ledger.terms_of_signature(key, issued - timedelta(seconds=1), known).signed_under is None


def test_widening_in_retrospect_covers_nothing_signed_before(installation):
    accredit(installation, chapters=SHIRTS)
    later(installation)
    record = signed_without_ledger(installation)
    later(installation)
    accredit(installation, chapters=list(range(1, 98)), valid_from=installation.clock() - YEAR)
    assert answers(installation, record) == {(Conclusion.INVALID, "chapter-not-covered")}


def test_signed_under_suspension_stays_invalid_after_it(installation):
    chamber = installation.chamber.organisation.id
    before = installation.issue_certificate(certificateNumber="BEFORE")
    later(installation)
    accreditation.suspend(installation.ctx, installation.authority, chamber)
    later(installation)
    during = signed_without_ledger(installation, certificateNumber="DURING")
    later(installation)
    accreditation.reinstate(installation.ctx, installation.authority, chamber)
    later(installation)
    assert answers(installation, before) == GOOD
    assert answers(installation, during) == {(Conclusion.INVALID, "signed-while-suspended")}


def test_lifting_does_not_make_stolen_window_good(installation):
    """The theft is noticed late: what was signed since, and before anybody knew, stays INVALID after reinstatement."""
    chamber = installation.chamber.organisation.id
    later(installation)
    stolen = installation.clock()
    installation.clock.pass_by(HOUR)
    record = installation.issue_certificate()
    later(installation)
    accreditation.suspend(installation.ctx, installation.authority, chamber, stolen)
    later(installation)
    accreditation.reinstate(installation.ctx, installation.authority, chamber)
    later(installation)
    assert answers(installation, record) == {(Conclusion.INVALID, "signed-while-suspended")}
    after = installation.issue_certificate(certificateNumber="AFTER")
    later(installation)
    assert answers(installation, after) == GOOD


def test_suspension_reaches_back_over_a_renewal(installation):
    record = installation.issue_certificate()
    later(installation)
    accredit(installation, chapters=SHIRTS)
    later(installation)
    accreditation.suspend(installation.ctx, installation.authority, installation.chamber.organisation.id)
    later(installation)
    assert {conclusion for conclusion, _ in answers(installation, record)} == {Conclusion.INVALID}


@pytest.mark.parametrize(
    ("span", "told"),
    [
        (HOUR, (Conclusion.VALID, "accredited")),
        (75 * HOUR, (Conclusion.INDETERMINATE, "anchored-after-change")),
    ],
)
def test_narrowed_between_signing_and_recording_is_told(installation, span, told):
    """Within three days it is taken for what it mostly is: a record on its way."""
    later(installation)
    record = installation.issue_certificate()
    accredit_on_ledger_only(installation, chapters=SHIRTS)
    installation.clock.pass_by(span)
    later(installation)
    assert answers(installation, record) == {told}


def accredit_on_ledger_only(installation, chapters):
    """The authority's change is mined while our own batch still waits."""
    terms, key = held(installation), bytes.fromhex(key_of(installation))
    mask = sum(1 << chapter for chapter in chapters)
    call = Accredit(key, Accreditation(terms.kinds, mask, terms.valid_from, terms.valid_until))
    ledger = installation.ledger
    ledger.send(ledger.sign(call, ledger.next_nonce("authority")).raw)
    installation.clock.pass_by(timedelta(seconds=2))
    ledger.mine()


def test_past_verdict_uses_the_same_terms(installation):
    record = installation.issue_certificate()
    good = later(installation)
    accredit(installation, chapters=SHIRTS)
    later(installation)
    assert verdict_on(installation.ctx, installation.record(record.id), good).conclusion is Conclusion.VALID


def test_ledger_set_up_anew_keeps_the_verdict(installation):
    """Its history begins with what was replayed, before what was signed is anchored; a change since changes nothing."""
    later(installation)
    record = installation.issue_certificate()
    later(installation)
    installation.ledger.reorganise(len(installation.ledger._blocks) - 1)
    installation.ledger.take_over()
    reanchor_all(installation.ctx)
    installation.settle()
    assert answers(installation, record) == GOOD
    later(installation)
    accredit(installation, chapters=SHIRTS)
    assert answers(installation, record) == GOOD


# What is left open stays as it stands


def test_open_terms_stay_as_they_stand(installation):
    accredit(installation, chapters=LAMPS, valid_from=installation.clock() - YEAR)
    before = held(installation)
    later(installation)
    until = installation.clock() + 2 * YEAR
    accredit(installation, valid_until=until)
    assert (held(installation).chapters, held(installation).valid_from) == (before.chapters, before.valid_from)
    assert held(installation).valid_until == until.replace(microsecond=0)


def test_change_on_its_way_is_not_undone(installation):
    accredit(installation, settled=False, chapters=LAMPS)
    accredit(installation, settled=False, valid_until=installation.clock() + 2 * YEAR)
    installation.settle()
    assert held(installation).chapters == 1 << 94


def test_silent_ledger_leaves_what_was_last_sent(installation):
    accredit(installation, chapters=LAMPS)
    until = installation.clock() + 2 * YEAR
    installation.ledger.down = True
    accredit(installation, settled=False, valid_until=until)
    installation.ledger.down = False
    installation.settle()
    assert (held(installation).chapters, held(installation).valid_until) == (1 << 94, until.replace(microsecond=0))


def test_open_terms_of_a_successor_need_the_ledger(installation):
    keys.rotate(installation.ctx, installation.authority, installation.chamber.organisation.id)
    installation.settle()
    before = held(installation)
    installation.ledger.down = True
    with pytest.raises(LedgerUnavailable):
        accredit(installation, settled=False, chapters=LAMPS)
    installation.ledger.down = False
    accredit(installation, chapters=LAMPS)
    assert held(installation) == replace(before, chapters=1 << 94)


def test_lapsed_accreditation_is_renewed_from_now(installation):
    now = installation.clock()
    accredit(installation, valid_from=now - YEAR, valid_until=now + HOUR)
    later(installation)
    accredit(installation)
    assert held(installation).valid_until > installation.clock() + 2 * YEAR


def test_every_chapter_is_all_of_them(installation):
    accredit(installation, chapters=LAMPS)
    accredit(installation, chapters=list(range(1, 98)))
    assert held(installation).covers_chapter(0)
    with pytest.raises(Invalid):
        accredit(installation, chapters=[0])
