"""One key, one result: across processes, across crashes, and for as long as answers are kept."""

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import func, select

from backend.adapters.keys.vault import KeyVault
from backend.domain.errors import Conflict, Invalid
from backend.domain.kinds import Kind
from backend.domain.parties import Role
from backend.services import declarations, erasure, issuance
from backend.services.idempotency import (
    KEPT_FOR,
    IdempotencyKey,
    IdempotencyKeyReused,
    KeptResponse,
    answered_once,
)
from backend.services.organisations import OrganisationProfile, register
from backend.services.ports import AppContext, Keys
from backend.store import tables
from backend.store.encryption import DataKeys
from backend.store.unit_of_work import UnitOfWorkFactory
from tests.helpers.builders import certificate_fields, lodgement_fields
from tests.helpers.fakes import Clock, QuickPasswords
from tests.services.conftest import engine_at
from tests.services.encrypted_texts import everything_encrypted, readable_in

SPAWN = get_context("spawn")
"""A process of its own, which shares nothing with this one but the files."""


def a_key(installation, digest="d", key="k", who="merchant"):
    return IdempotencyKey(installation.people[who].id, key, digest)


def no_remake(resource_id):
    raise AssertionError(f"there is an answer for {resource_id}")


def lodged(ctx, installation, key, **changes):
    """Lodge a declaration under a key; the answer's body is its id."""

    def perform(within):
        made = declarations.lodge(within, installation.people["merchant"], lodgement_fields(**changes))
        return KeptResponse(201, {"ETag": '"1"'}, made.id, made.id)

    return answered_once(ctx, key, perform, no_remake)


def count(installation, table="consignment"):
    with installation.ctx.work(reading=True) as work:
        return work._session.execute(select(func.count()).select_from(tables.metadata.tables[table])).scalar_one()


def test_same_request_gets_same_answer(installation):
    first = lodged(installation.ctx, installation, a_key(installation))
    again = lodged(installation.ctx, installation, a_key(installation))
    assert again == replace(first, resource_id="")
    assert count(installation) == 1


def test_another_request_under_key_is_refused(installation):
    lodged(installation.ctx, installation, a_key(installation))
    with pytest.raises(IdempotencyKeyReused):
        lodged(installation.ctx, installation, a_key(installation, "other"), declarationReference="B")
    assert count(installation) == 1


def test_refused_request_leaves_key_unused(installation):
    with pytest.raises(Invalid):
        lodged(installation.ctx, installation, a_key(installation), items=[])
    lodged(installation.ctx, installation, a_key(installation, "fixed"))
    assert count(installation) == 1


def test_failing_answer_undoes_what_was_written(installation):
    def perform(within):
        declarations.lodge(within, installation.merchant, lodgement_fields())
        raise Conflict("the answer could not be made")

    with pytest.raises(Conflict):
        answered_once(installation.ctx, a_key(installation), perform, no_remake)
    assert (count(installation), count(installation, "idempotency_record")) == (0, 0)


def test_nothing_is_locked_before_writing(installation):
    """What is asked of the ledger first must not keep others from writing."""

    def perform(within):
        with within.work(reading=True) as work:
            work.organisations.get(installation.merchant.organisation.id)
        installation.issue_certificate()  # another writer, in the middle of it
        made = declarations.lodge(within, installation.merchant, lodgement_fields())
        return KeptResponse(201, {}, made.id, made.id)

    assert answered_once(installation.ctx, a_key(installation), perform, no_remake).status == 201


def test_workers_are_woken_after_commit(installation):
    seen = []
    ctx = replace(installation.ctx, wake_anchoring=lambda: seen.append(count(installation)))
    lodged(ctx, installation, a_key(installation))
    assert seen == [1]


def test_second_unit_without_commit_is_undone_alone(installation):
    def perform(within):
        made = declarations.lodge(within, installation.merchant, lodgement_fields())
        with within.work() as work:
            work.consignments.get(made.id).customs_office = "never committed"
            work._session.flush()
        return KeptResponse(201, {}, made.id, made.id)

    answer = answered_once(installation.ctx, a_key(installation), perform, no_remake)
    assert installation.consignment(answer.body).customs_office != "never committed"


# How long


def test_key_counts_as_new_after_its_time(installation):
    lodged(installation.ctx, installation, a_key(installation))
    installation.clock.pass_by(KEPT_FOR - timedelta(minutes=1))
    lodged(installation.ctx, installation, a_key(installation))
    assert count(installation) == 1
    installation.clock.pass_by(timedelta(minutes=2))
    lodged(installation.ctx, installation, a_key(installation, "new"), declarationReference="B")
    assert (count(installation), count(installation, "idempotency_record")) == (2, 1)


def test_old_answers_go_in_small_steps(installation):
    for number in range(50):
        key = a_key(installation, key=f"k{number}")
        answered_once(installation.ctx, key, lambda ctx: KeptResponse(200, {}, "told once"), no_remake)
    installation.clock.pass_by(KEPT_FOR + timedelta(seconds=1))
    left = []
    for number in range(3):
        lodged(installation.ctx, installation, a_key(installation, key=f"n{number}"), declarationReference=f"D{number}")
        left.append(count(installation, "idempotency_record"))
    assert left == [31, 12, 3]
    assert b"told once" not in b"".join(readable_in(everything_encrypted(installation), installation))


def test_erasure_takes_answers_about_record_along(installation):
    def perform(ctx):
        fields = certificate_fields()
        made = issuance.issue(ctx, installation.chamber, Kind.CERTIFICATE_OF_ORIGIN, fields)
        return KeptResponse(201, {}, "told about the certificate", made.id)

    answer = answered_once(installation.ctx, a_key(installation, who="chamber"), perform, no_remake)
    installation.settle()
    assert b"told about" in b"".join(readable_in(everything_encrypted(installation), installation))
    erasure.erase(installation.ctx, installation.merchant, answer.resource_id)
    assert b"told about" not in b"".join(readable_in(everything_encrypted(installation), installation))
    assert count(installation, "idempotency_record") == 0


# Processes of their own, which may die


def registered(folder: Path, person_id: str, die: str = "") -> KeptResponse:
    """Register an organisation under a key, as another process on the same database; ``die`` says when it is killed."""
    keys = DataKeys(folder / "record.keys")
    engine = engine_at(folder, keys)
    ctx = _context(UnitOfWorkFactory(engine))

    def perform(within):
        joined = register(within, OrganisationProfile(Role.MERCHANT, "Joined Once", "once@example.org"))
        if die == "before the commit":
            os._exit(9)
        if die == "after the commit":
            within.work.after_commit(lambda: os._exit(9))
        return KeptResponse(201, {}, joined.token, joined.organisation.id)

    try:
        return answered_once(ctx, IdempotencyKey(person_id, "k", "d"), perform, no_remake)
    finally:
        engine.dispose()


def _context(work):
    keys = Keys(KeyVault(Fernet.generate_key()), SimpleNamespace(), QuickPasswords())
    return AppContext(work=work, ledger=SimpleNamespace(), keys=keys, files=SimpleNamespace(), now=Clock())


def folder_of(installation):
    return installation.ctx.files._folder.parent


def test_two_processes_with_one_key_do_it_once(installation):
    before, arguments = count(installation, "organisation"), (folder_of(installation), installation.authority.id)
    with ProcessPoolExecutor(3, mp_context=SPAWN) as pool:
        answers = [future.result() for future in [pool.submit(registered, *arguments) for _ in range(6)]]
    assert len({(answer.status, answer.body) for answer in answers}) == 1
    assert count(installation, "organisation") == before + 1


@pytest.mark.parametrize("die", ["before the commit", "after the commit"])
def test_killed_process_leaves_both_or_neither(installation, die):
    before, arguments = count(installation, "organisation"), (folder_of(installation), installation.authority.id)
    killed = SPAWN.Process(target=registered, args=(*arguments, die))
    killed.start()
    killed.join()
    assert killed.exitcode == 9
    both_or_neither = count(installation, "organisation") - before, count(installation, "idempotency_record")
    assert both_or_neither == ((1, 1) if die == "after the commit" else (0, 0))
    first, again = registered(*arguments), registered(*arguments)
    assert first.body == again.body
    assert count(installation, "organisation") == before + 1
