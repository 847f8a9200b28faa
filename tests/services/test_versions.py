"""Of two who rest on one version of a thing only one changes it, whatever the database locks and however many ask."""

import multiprocessing
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from backend.domain.consignment import Decision
from backend.domain.errors import Conflict, StaleVersion
from backend.services import accreditation, decisions, declarations, issuance
from backend.store.encryption import DataKeys
from backend.store.unit_of_work import UnitOfWorkFactory
from tests.services.conftest import engine_at
from tests.services.test_issuance_and_statements import state

ROUNDS = 12


def versioned(installation, kind):
    """The table, the id and the repository's name of something with a version."""
    match kind:
        case "consignment":
            return "consignment", installation.lodge([]).id, "consignments"
        case "record":
            return "record", installation.issue_certificate().id, "records"
        case "organisation":
            return "organisation", installation.chamber.organisation.id, "organisations"
        case _:
            with installation.ctx.work(reading=True) as work:
                return "request", work.requests.find_about(state(installation).id).id, "requests"


@pytest.mark.parametrize("kind", ["consignment", "record", "organisation", "request"])
def test_version_is_compared_in_the_update(installation, kind):
    """Another process committed after this one had read, as PostgreSQL allows: no lock of SQLite's keeps it out."""
    table, key, repository = versioned(installation, kind)
    with installation.ctx.work() as work:
        found = getattr(work, repository).get(key)
        read = found.version
        work._session.connection().execute(text(f'UPDATE "{table}" SET version = version + 1'))
        with pytest.raises(Conflict):
            getattr(work, repository).next_version(found)
        assert found.version == read + 1
        if kind != "request":
            with pytest.raises(StaleVersion) as refused:
                getattr(work, repository).next_version(found, read)
            assert refused.value.version == read + 1


def test_officer_who_read_earlier_is_told(installation):
    consignment = installation.lodge([])
    decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.DETAIN, "Seal broken", read=1)
    with pytest.raises(StaleVersion) as refused:
        decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.EXAMINE, "look", read=1)
    (change,) = refused.value.changes
    taken_at = installation.consignment(consignment.id).decisions[0].decided_at
    assert (change.what, change.organisation, change.why) == ("detained", "Yiwu Customs", "Seal broken")
    assert (change.person_id, change.at) == (installation.officer.id, taken_at)
    assert [taken.decision for taken in installation.consignment(consignment.id).decisions] == [Decision.DETAIN]


def test_every_change_since_the_version_is_told(installation):
    consignment = installation.lodge([])
    for decision in (Decision.DETAIN, Decision.EXAMINE):
        decisions.decide(installation.ctx, installation.officer, consignment.id, decision, decision.value)
    with pytest.raises(StaleVersion) as refused:
        declarations.withdraw(installation.ctx, installation.merchant, consignment.id, 1)
    assert [change.what for change in refused.value.changes] == ["detained", "examination"]
    with pytest.raises(StaleVersion) as refused:
        declarations.withdraw(installation.ctx, installation.merchant, consignment.id, 2)
    assert [change.what for change in refused.value.changes] == ["examination"]


def test_anchoring_leaves_the_version_alone(installation):
    """How far a proof has come is nothing that a decision or a revocation rests on."""
    certificate = installation.issue_certificate()
    consignment = installation.lodge([certificate])
    installation.settle()
    assert installation.record(certificate.id).batch is not None
    issuance.revoke(installation.ctx, installation.chamber, certificate.id, "wrong goods", 1)
    assert installation.consignment(consignment.id).decisions == []


def test_replaced_statement_tells_who_replaced_it(installation):
    statement = state(installation)
    with installation.ctx.work(reading=True) as work:
        request = work.requests.find_about(statement.id)
    issuance.confirm(installation.ctx, installation.chamber, request.id, "C-1")
    with pytest.raises(StaleVersion) as refused:
        issuance.revoke(installation.ctx, installation.merchant, statement.id, "stated in error", 1)
    (change,) = refused.value.changes
    assert (change.what, change.organisation) == ("SUPERSEDED", "Zhejiang Chamber")


def test_authority_is_told_which_act_came_between(installation):
    chamber = installation.chamber.organisation.id
    with installation.ctx.work(reading=True) as work:
        read = work.organisations.get(chamber).version
    accreditation.suspend(installation.ctx, installation.authority, chamber, read=read)
    with pytest.raises(StaleVersion) as refused:
        accreditation.accredit(installation.ctx, installation.authority, chamber, read=read)
    assert [change.what for change in refused.value.changes] == ["suspend"]
    assert refused.value.changes[0].organisation == "Accreditation Authority"


def _advance(work_of: UnitOfWorkFactory, key: str) -> None:
    with work_of() as work:
        work.consignments.next_version(work.consignments.get(key), 1)
        work.commit()


def _decide(folder: str, ids: list[str], start: Any, results: Any) -> None:
    keys = DataKeys(Path(folder) / "record.keys")
    engine = engine_at(Path(folder), keys)
    work_of, won = UnitOfWorkFactory(engine), []
    for key in ids:
        start.wait(timeout=60)
        with suppress(StaleVersion):
            work_of.run(partial(_advance, work_of, key))
            won.append(key)
    results.put(won)
    engine.dispose()
    keys.close()


def test_two_processes_on_one_database_agree(installation, tmp_path):
    ids = [installation.lodge([], declarationReference=f"D-{n}").id for n in range(ROUNDS)]
    spawn = multiprocessing.get_context("spawn")
    start, results = spawn.Barrier(2), spawn.Queue()
    both = [spawn.Process(target=_decide, args=(str(tmp_path), ids, start, results)) for _ in range(2)]
    for process in both:
        process.start()
    won = Counter(key for _ in both for key in results.get(timeout=120))
    for process in both:
        process.join(timeout=60)
    assert won == Counter(ids)
