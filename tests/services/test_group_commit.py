"""Records that come at the same moment are stored together, and each is answered as if it had come alone."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from backend.domain.errors import Conflict, StorageUnavailable
from backend.domain.kinds import Kind
from backend.domain.records import RecordOnFile
from backend.services import accreditation, bulk, declarations, issuance, ports
from backend.services.accreditation import OutsideAccreditation
from backend.services.audit import audit
from backend.services.bulk import Line, store
from backend.services.idempotency import IdempotencyKey, KeptResponse, answered_once
from backend.services.ports import GroupCommit
from backend.store.unit_of_work import UnitOfWork
from tests.helpers.builders import certificate_fields, lodgement_fields

CERTIFICATE = Kind.CERTIFICATE_OF_ORIGIN
SECONDS = 30


class Company:
    """Threads that bring records while the first one is held up, so that the others are one group."""

    def __init__(self, installation):
        self.installation = installation
        self.group = GroupCommit(lambda ctx, lines: bulk.store(ctx, lines))
        self.pool = ThreadPoolExecutor(16)
        self.alone: list[str] = []
        self._first, self._go = threading.Event(), threading.Event()

    def bring(self, number: str, who: str = "chamber", held_up: bool = False) -> Future[RecordOnFile]:
        actor, fields = self.installation.people[who], certificate_fields(certificateNumber=number)

        def alone() -> RecordOnFile:
            if held_up:
                self._first.set()
                assert self._go.wait(SECONDS)
            self.alone.append(number)
            return issuance.issue(self.installation.ctx, actor, CERTIFICATE, fields)

        line = Line(actor, CERTIFICATE, fields)
        if held_up:
            return self.pool.submit(self.group.sign, self.installation.ctx, line, alone)
        return self.submit(line, alone)

    def submit(self, line, alone) -> Future[RecordOnFile]:
        before = len(self.group._waiting)
        future = self.pool.submit(self.group.sign, self.installation.ctx, line, alone)
        if self._first.is_set() and not self._go.is_set():
            wait_until(lambda: len(self.group._waiting) > before)
        return future

    def hold_up(self) -> Future[RecordOnFile]:
        first = self.bring("first", held_up=True)
        assert self._first.wait(SECONDS)
        return first

    def go(self) -> None:
        self._go.set()


def wait_until(is_so):
    pause = threading.Event()
    for _ in range(SECONDS * 100):
        if is_so():
            return
        pause.wait(0.01)
    raise AssertionError("it was waited for in vain")


@pytest.fixture
def company(installation):
    gathered = Company(installation)
    yield gathered
    gathered.go()
    gathered.pool.shutdown()


def stored(installation):
    with installation.ctx.work(reading=True) as work:
        return work.batches.count_waiting()


def test_single_record_is_stored_as_ever(company):
    company.go()
    assert company.bring("one").result(SECONDS).number == "one"
    assert company.alone == ["one"]


def test_records_brought_meanwhile_share_one_commit(company, installation, monkeypatch):
    commits: list[int] = []
    commit = UnitOfWork.commit
    monkeypatch.setattr(UnitOfWork, "commit", lambda work: (commits.append(1), commit(work))[1])
    others = [company.hold_up(), *(company.bring(f"n{place}") for place in range(7))]
    company.go()
    ids = {future.result(SECONDS).id for future in others}
    assert len(ids) == 8
    assert company.alone == ["first"], "the others were stored together"
    assert len(commits) == 2
    assert stored(installation) == 8
    installation.settle()
    assert not audit(installation.ctx).discrepancies


def test_one_refused_keeps_no_other_out(company, installation):
    installation.issue_certificate(certificateNumber="taken")
    company.hold_up()
    good, bad, same, twice = (company.bring(number) for number in ("good", "taken", "same", "same"))
    company.go()
    assert good.result(SECONDS).number == "good"
    with pytest.raises(Conflict, match="has issued number taken before"):
        bad.result(SECONDS)
    errors = [type(one.exception(SECONDS)) for one in (same, twice)]
    assert sorted(errors, key=str) == sorted([type(None), Conflict], key=str)


def test_refusal_is_what_it_is_alone(company, installation):
    """A line with two faults is refused for the same one as without company."""
    installation.issue_certificate(certificateNumber="taken")
    accreditation.suspend(installation.ctx, installation.authority, installation.chamber.organisation.id)
    installation.settle()
    installation.ctx.signer_terms.clear()
    fields = certificate_fields(certificateNumber="taken")
    with pytest.raises((Conflict, OutsideAccreditation)) as alone:
        issuance.issue(installation.ctx, installation.chamber, CERTIFICATE, fields)
    first = company.hold_up()
    both = [company.bring("taken"), company.bring("taken")]
    company.go()
    assert {type(one.exception(SECONDS)) for one in both} == {type(alone.value)}
    assert first.exception(SECONDS) is not None


def test_declarations_and_certificates_are_stored_together(company, installation):
    certificate = installation.issue_certificate()
    fields = lodgement_fields(records=[certificate.id])
    merchant = installation.merchant
    company.hold_up()
    lodged = company.submit(
        Line(merchant, Kind.DECLARATION, fields),
        lambda: declarations.lodge(installation.ctx, merchant, fields).record,
    )
    issued = company.bring("beside")
    company.go()
    assert installation.consignment(lodged.result(SECONDS).id).reference == fields["declarationReference"]
    assert issued.result(SECONDS).number == "beside"
    assert company.alone == ["first"]


def test_nobody_is_answered_before_the_commit(company, monkeypatch):
    reached, go_on, commit = threading.Event(), threading.Event(), UnitOfWork.commit
    commits: list[int] = []

    def late(work):
        commits.append(1)
        if len(commits) > 1:  # the first one, which is alone, is not what is looked at
            reached.set()
            assert go_on.wait(SECONDS)
        commit(work)

    first = company.hold_up()
    both = [company.bring("a"), company.bring("b")]
    monkeypatch.setattr(UnitOfWork, "commit", late)
    company.go()
    first.result(SECONDS)
    assert reached.wait(SECONDS)
    assert not any(future.done() for future in both)
    go_on.set()
    assert [future.result(SECONDS).number for future in both] == ["a", "b"]


def test_database_that_fails_is_told_each(company, installation, monkeypatch):
    """Nobody tries again by itself: after a lost connection nobody knows whether it was stored."""
    company.hold_up()
    both = [company.bring("a"), company.bring("b")]

    def fail(*_):
        raise StorageUnavailable("the database could not be written or read: {why}", why="gone")

    monkeypatch.setattr(bulk, "store", fail)
    company.go()
    errors = [future.exception(SECONDS) for future in both]
    assert [str(error) for error in errors] == ["the database could not be written or read: gone"] * 2
    assert errors[0] is not errors[1]
    monkeypatch.setattr(bulk, "store", store)
    assert company.bring("later").result(SECONDS).number == "later"
    assert stored(installation) == 2


def test_fault_of_the_program_leaves_each_alone(company, monkeypatch):
    company.hold_up()
    both = [company.bring("a"), company.bring("b")]
    monkeypatch.setattr(bulk, "store", lambda *_: [][0])
    company.go()
    assert sorted(future.result(SECONDS).number for future in both) == ["a", "b"]
    assert sorted(company.alone) == ["a", "b", "first"]


def test_group_is_bounded(company, monkeypatch):
    monkeypatch.setattr(ports, "MOST_TOGETHER", 3)
    sizes: list[int] = []
    monkeypatch.setattr(bulk, "store", lambda ctx, lines: (sizes.append(len(lines)), store(ctx, lines))[1])
    company.hold_up()
    others = [company.bring(f"n{place}") for place in range(7)]
    company.go()
    assert {future.result(SECONDS).number for future in others} == {f"n{place}" for place in range(7)}
    assert sizes == [3, 3]
    assert len(company.alone) == 2, "the first, and the last, which had no company"


def test_request_under_a_key_commits_with_its_answer(company, installation):
    fields = certificate_fields(certificateNumber="keyed")
    line = Line(installation.chamber, CERTIFICATE, fields)

    def perform(ctx):
        made = company.group.sign(ctx, line, lambda: issuance.issue(ctx, installation.chamber, CERTIFICATE, fields))
        return KeptResponse(201, {}, made.id, made.id)

    company.hold_up()  # the key's own unit of work waits for nobody
    key = IdempotencyKey(installation.chamber.id, "k", "d" * 64)
    first, again = (answered_once(installation.ctx, key, perform, lambda _: None) for _ in range(2))
    assert first.body == again.body
    assert stored(installation) == 1
