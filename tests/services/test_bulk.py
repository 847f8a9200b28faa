"""Many records in one unit of work: each is answered by itself, and what is answered as stored is stored once."""

import os
import signal
from dataclasses import replace
from datetime import timedelta
from threading import Thread

import pytest

from backend.domain.errors import Conflict, Invalid, StorageUnavailable, TooMuchWaiting
from backend.domain.kinds import KINDS, Kind, Signing
from backend.domain.records import RecordOnFile
from backend.services import accreditation, bulk, erasure, files, issuance, keys
from backend.services.audit import audit
from backend.services.bulk import Line, store
from backend.services.idempotency import KEPT_FOR, IdempotencyKey, IdempotencyKeyReused
from backend.services.ports import AdmissionLimits, ServiceSettings
from backend.services.verification import verdict_on
from backend.store.unit_of_work import UnitOfWork
from tests.helpers.builders import FIELDS, PDF, certificate_fields, lodgement_fields
from tests.services.conftest import app_context, somebody

CERTIFICATE = Kind.CERTIFICATE_OF_ORIGIN


def certificates(installation, *numbers, who="chamber", **changes):
    return [
        Line(installation.people[who], CERTIFICATE, certificate_fields(certificateNumber=number, **changes))
        for number in numbers
    ]


def waiting(installation):
    with installation.ctx.work(reading=True) as work:
        return work.batches.count_waiting()


def in_short(outcomes):
    """Stored, or the class of the refusal."""
    return ["stored" if isinstance(one, RecordOnFile) else type(one).__name__ for one in outcomes]


def key_for(installation, digest="d" * 64):
    return IdempotencyKey(installation.chamber.id, "k", digest)


def fields_for(installation, kind):
    if KINDS[kind].signing is Signing.LODGED:
        return lodgement_fields(records=[installation.issue_certificate().id])
    return FIELDS[kind]()


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_stored_in_bulk_is_final(installation, kind):
    """What is stored as rows is what a single request stores: it is read, sealed, anchored and judged."""
    signer = somebody(installation, min(KINDS[kind].signed_by))
    accreditation.accredit(installation.ctx, installation.authority, signer.organisation.id)
    installation.settle()
    fields = fields_for(installation, kind)
    (stored,) = store(installation.ctx, [Line(signer, kind, fields)])
    assert isinstance(stored, RecordOnFile), stored
    installation.settle()
    found = installation.record(stored.id)
    assert found.fields[KINDS[kind].number_field] == fields[KINDS[kind].number_field]
    reasons = {check.code: (check.outcome.value, check.reason) for check in verdict_on(installation.ctx, found).checks}
    assert {reasons[code][0] for code in ("SIGNATURE", "INCLUSION", "ANCHOR")} == {"pass"}, reasons
    assert not audit(installation.ctx).discrepancies


@pytest.mark.parametrize("kind", sorted(set(Kind) - {Kind.DECLARATION}))
def test_record_just_signed_reads_as_stored(installation, kind):
    """Its words are found in what it was signed from, without parsing it: that must be what the text says."""
    signer = somebody(installation, min(KINDS[kind].signed_by))
    accreditation.accredit(installation.ctx, installation.authority, signer.organisation.id)
    installation.settle()
    (stored,) = store(installation.ctx, [Line(signer, kind, FIELDS[kind]())])
    kept, found = stored.sd_jwt, installation.record(stored.id).sd_jwt
    assert found is not kept
    assert kept == found
    assert list(kept.disclosed) == list(found.disclosed)


def test_same_rows_twice_are_a_conflict(installation):
    (stored,) = store(installation.ctx, certificates(installation, "once"))
    with installation.ctx.work() as work, pytest.raises(Conflict):
        work.add_rows(work.rows_of(installation.record(stored.id)))


def test_one_unit_keeps_to_the_limit(installation):
    """Near it, what waits is counted once for all lines, and those before a line count with it."""
    installation.settle()
    limited = ServiceSettings(admission=AdmissionLimits(most_waiting=2 * 10))
    ctx = replace(installation.ctx, settings=limited)
    outcomes = in_short(store(ctx, certificates(installation, *map(str, range(15)))))
    assert outcomes == ["stored"] * 10 + ["TooMuchWaiting"] * 5


def test_declaration_stored_in_bulk_keeps_papers_and_steps(installation):
    certificate = installation.issue_certificate()
    alone = installation.lodge([certificate])
    fields = lodgement_fields(records=[certificate.id], declarationReference="another")
    (stored,) = store(installation.ctx, [Line(installation.merchant, Kind.DECLARATION, fields)])
    with installation.ctx.work(reading=True) as work:  # the planned drawdowns are read where they are looked at
        many, one = (kept(work.consignments.get(lodged.id)) for lodged in (stored, alone))
    assert many == one
    assert many[0] == [certificate.id]
    assert len(many[2]) == 1


def kept(consignment):
    """The papers, steps and planned drawdowns of a consignment."""
    planned = consignment.planned_drawdowns
    return (
        [paper.record.id for paper in consignment.papers],
        [event.step for event in consignment.events],
        [(p.certificate_id, p.heading, p.unit_code, p.quantity, p.is_shared) for p in planned],
    )


def test_refused_lines_keep_no_other_out(installation):
    installation.issue_certificate(certificateNumber="taken")
    lines = [
        *certificates(installation, "one", "taken", "one"),
        *certificates(installation, "faulty", hsCode="999999"),
        *certificates(installation, "by whom", who="merchant"),
        *certificates(installation, "two"),
    ]
    before = waiting(installation)
    outcomes = in_short(store(installation.ctx, lines))
    assert outcomes == ["stored", "Conflict", "Conflict", "Invalid", "NotAllowed", "stored"]
    assert waiting(installation) == before + 2


@pytest.mark.parametrize("fields", [{"certificateNumber": "taken"}, {"hsCode": "999999"}, {"certificateNumber": None}])
def test_line_is_refused_as_it_is_alone(installation, fields):
    installation.issue_certificate(certificateNumber="taken")
    stated = certificate_fields(**fields)
    (outcome,) = store(installation.ctx, [Line(installation.chamber, CERTIFICATE, stated)])
    with pytest.raises((Conflict, Invalid)) as alone:
        issuance.issue(installation.ctx, installation.chamber, CERTIFICATE, stated)
    assert (type(outcome), str(outcome)) == (alone.type, str(alone.value))


def test_issuer_without_accreditation_is_refused_by_line(installation):
    accreditation.suspend(installation.ctx, installation.authority, installation.other_chamber.organisation.id)
    installation.settle()
    lines = [*certificates(installation, "a", who="other_chamber"), *certificates(installation, "b")]
    assert in_short(store(installation.ctx, lines)) == ["OutsideAccreditation", "stored"]


def test_same_lines_under_one_key_are_stored_once(installation):
    lines = certificates(installation, "one", "two")
    first = store(installation.ctx, lines, key_for(installation))
    before = waiting(installation)
    again = store(installation.ctx, lines, key_for(installation))
    assert [one.id for one in again] == [one.id for one in first]
    assert [one.recorded_at for one in again] == [one.recorded_at for one in first]
    assert waiting(installation) == before
    with pytest.raises(IdempotencyKeyReused):
        store(installation.ctx, certificates(installation, "three"), key_for(installation, "e" * 64))


def test_refused_line_is_tried_again_under_its_key(installation):
    """An issuer was suspended when its lines came; the same lines are stored once it is not any more."""
    chamber = installation.other_chamber
    lines = certificates(installation, "late", who="other_chamber")
    lines += certificates(installation, "early")
    accreditation.suspend(installation.ctx, installation.authority, chamber.organisation.id)
    installation.settle()
    first = store(installation.ctx, lines, key_for(installation))
    assert in_short(first) == ["OutsideAccreditation", "stored"]
    accreditation.reinstate(installation.ctx, installation.authority, chamber.organisation.id)
    installation.settle()
    installation.clock.pass_by(timedelta(minutes=1))  # a change counts from the date of its block
    second = store(installation.ctx, lines, key_for(installation))
    assert in_short(second) == ["stored", "stored"]
    assert second[1].id == first[1].id


def test_key_counts_as_new_after_its_term(installation):
    lines = certificates(installation, "one")
    store(installation.ctx, lines, key_for(installation))
    installation.clock.pass_by(KEPT_FOR + timedelta(days=1))
    assert in_short(store(installation.ctx, lines, key_for(installation))) == ["Conflict"]
    again = certificates(installation, "two")
    assert in_short(store(installation.ctx, again, key_for(installation, "e" * 64))) == ["stored"]


def test_same_lines_at_once_are_stored_once(installation):
    lines = certificates(installation, *map(str, range(5)))
    answers = []
    threads = [
        Thread(target=lambda: answers.append(store(installation.ctx, lines, key_for(installation)))) for _ in range(4)
    ]
    before = waiting(installation)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({tuple(one.id for one in answer) for answer in answers}) == 1
    assert len(answers) == 4
    assert waiting(installation) == before + 5


def interposed(monkeypatch, act):
    """Let something happen after lines were prepared, and before they are stored."""
    prepare, done = bulk._prepare, []

    def first(ctx, lines):
        prepared = prepare(ctx, lines)
        if not done:
            done.append(act())
        return prepared

    monkeypatch.setattr(bulk, "_prepare", first)
    return done


def test_number_taken_meanwhile_is_refused(installation, monkeypatch):
    interposed(monkeypatch, lambda: installation.issue_certificate(certificateNumber="two"))
    outcomes = in_short(store(installation.ctx, certificates(installation, "one", "two")))
    assert outcomes == ["stored", "Conflict"]


def test_key_replaced_meanwhile_signs_nothing(installation, monkeypatch):
    def replaced():
        keys.rotate(installation.ctx, installation.authority, installation.chamber.organisation.id)

    interposed(monkeypatch, replaced)
    assert in_short(store(installation.ctx, certificates(installation, "one"))) == ["Conflict"]


def test_paper_erased_meanwhile_is_not_named(installation, monkeypatch):
    invoice = installation_invoice(installation)
    line = Line(installation.merchant, Kind.DECLARATION, lodgement_fields(records=[invoice.id]))
    interposed(monkeypatch, lambda: erasure.erase(installation.ctx, installation.merchant, invoice.id))
    assert in_short(store(installation.ctx, [line])) == ["Invalid"]


def installation_invoice(installation):
    line = Line(installation.merchant, Kind.INVOICE, FIELDS[Kind.INVOICE]())
    (stored,) = store(installation.ctx, [line])
    installation.settle()
    return stored


def test_attachment_must_be_the_signers_own(installation):
    stored = files.store_pdf(installation.ctx, installation.chamber, PDF)
    attachment = {"fileName": "paper.pdf", "size": stored.size, "sha256": stored.sha256}
    own = certificates(installation, "own", attachments=[attachment])
    anothers = certificates(installation, "another's", who="other_chamber", attachments=[attachment])
    assert in_short(store(installation.ctx, own + anothers)) == ["stored", "Invalid"]


def test_unit_that_cannot_be_stored_stores_nothing(installation, monkeypatch):
    def full(work):
        raise StorageUnavailable("the database could not be written or read: {why}", why="planted")

    before = waiting(installation)
    monkeypatch.setattr(UnitOfWork, "commit", full)
    with pytest.raises(StorageUnavailable):
        store(installation.ctx, certificates(installation, "one"))
    monkeypatch.undo()
    assert waiting(installation) == before
    assert in_short(store(installation.ctx, certificates(installation, "one"))) == ["stored"]


def test_unforeseen_error_is_of_its_line_alone(installation, monkeypatch):
    draft = bulk.draft_issue

    def breaks(ctx, work, inputs, actor, kind, fields):
        if fields["certificateNumber"] == "odd":
            raise ZeroDivisionError
        return draft(ctx, work, inputs, actor, kind, fields)

    monkeypatch.setattr(bulk, "draft_issue", breaks)
    outcomes = in_short(store(installation.ctx, certificates(installation, "one", "odd", "two")))
    assert outcomes == ["stored", "ZeroDivisionError", "stored"]


def test_full_queue_refuses_lines(installation):
    installation.ctx = replace(installation.ctx, settings=ServiceSettings(admission=AdmissionLimits(most_waiting=0)))
    (outcome,) = store(installation.ctx, certificates(installation, "one"))
    assert isinstance(outcome, TooMuchWaiting)


def test_killed_between_units_keeps_what_was_answered(installation, blueprint, tmp_path):
    """A process of its own stores unit after unit and names what it has stored; kill -9 takes none of that back."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _store_until_killed(installation, blueprint, tmp_path, writing)
    os.close(writing)
    answered: list[str] = []
    with os.fdopen(reading) as lines:
        for line in lines:
            answered.append(line.strip())
            if len(answered) == 25:
                os.kill(child, signal.SIGKILL)
                break
        answered += [line.strip() for line in lines if line.endswith("\n")]
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    for record_id in answered:
        assert installation.record(record_id).fields["certificateNumber"]
    installation.settle()
    assert not audit(installation.ctx).discrepancies


def _store_until_killed(installation, blueprint, folder, writing):
    """In the child: with an engine of its own, since a database's connection must not be shared by two processes."""
    try:
        ctx, _ = app_context(folder, installation.ledger, installation.clock, blueprint.master)
        for unit in range(10_000):
            lines = certificates(installation, *(f"{unit}-{line}" for line in range(10)))
            told = "".join(f"{one.id}\n" for one in store(ctx, lines))
            os.write(writing, told.encode())
    finally:
        os._exit(1)
