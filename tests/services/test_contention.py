"""Every use case that writes may run again, and is marked so; what it does before its commit bears repetition."""

import ast
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from backend.domain.consignment import Decision
from backend.domain.errors import Conflict, Contention, StorageUnavailable
from backend.domain.parties import Role
from backend.services import decisions, organisations
from backend.services.idempotency import IdempotencyKey, KeptResponse, answered_once
from backend.services.organisations import OrganisationProfile
from backend.services.ports import rerunnable
from backend.store.unit_of_work import RERUNS, UnitOfWork
from tests.helpers.builders import goods_item

SERVICES = Path(decisions.__file__).parent


def unmarked(text: str) -> Iterator[str]:
    """Functions that open a unit of work of their own that writes, and are not marked ``rerunnable``."""
    for function in ast.walk(ast.parse(text)):
        if isinstance(function, ast.FunctionDef):
            opened = [item.context_expr for w in ast.walk(function) if isinstance(w, ast.With) for item in w.items]
            told = [ast.unparse(one) for one in opened]
            marks = {ast.unparse(mark) for mark in function.decorator_list}
            if {"ctx.work()", "joined(ctx)"} & set(told) and "rerunnable" not in marks:
                yield function.name


def test_every_writing_use_case_is_marked_rerunnable():
    found = {
        f"{path.stem}.{name}" for path in SERVICES.rglob("*.py") for name in unmarked(path.read_text(encoding="utf-8"))
    }
    assert found == {"ports.joined"}, "a context manager cannot run its block again: whoever uses it is marked"


@pytest.mark.parametrize("opening", ["ctx.work() as work", "joined(ctx) as inside", "ctx.work.alone('x'), ctx.work()"])
def test_planted_use_case_without_mark_is_found(opening):
    assert list(unmarked(f"def planted(ctx):\n    with {opening}:\n        pass\n")) == ["planted"]
    assert list(unmarked(f"@rerunnable\ndef marked(ctx):\n    with {opening}:\n        pass\n")) == []
    assert list(unmarked("def reads(ctx):\n    with ctx.work(reading=True) as work:\n        pass\n")) == []


def failing(installation, times):
    """A use case that meets with contention this often before it ends."""
    tries = []

    @rerunnable
    def use_case(ctx):
        tries.append(1)
        if len(tries) <= times:
            raise Contention("others changed the same things at the same moment")
        return len(tries)

    return lambda: use_case(installation.ctx)


def test_use_case_runs_again_until_it_ends(installation):
    assert failing(installation, RERUNS)() == RERUNS + 1


def test_use_case_is_given_up_after_last_rerun(installation):
    with pytest.raises(StorageUnavailable) as refusal:
        failing(installation, RERUNS + 1)()
    assert not isinstance(refusal.value, Contention), "or an outer use case would run it all again"


def test_lodgement_run_again_gives_what_is_stored(installation, monkeypatch):
    commit, tries = UnitOfWork.commit, []

    def late(work):
        tries.append(1)
        if len(tries) == 1:
            raise Contention("others changed the same things at the same moment")
        commit(work)

    monkeypatch.setattr(UnitOfWork, "commit", late)
    lodged = installation.lodge([])
    assert len(tries) == 2
    assert installation.consignment(lodged.id).reference == lodged.reference


def test_those_that_run_again_take_turns(installation):
    """Each first try of four waits for the others; no later one meets another."""
    gate, inside, most = Barrier(4), [], []
    tries = threading.local()

    @rerunnable
    def use_case(ctx):
        tries.count = getattr(tries, "count", 0) + 1
        if tries.count == 1:
            gate.wait(timeout=20)
            raise Contention("others changed the same things at the same moment")
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.05)
        inside.pop()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(use_case, installation.ctx) for _ in range(4)]:
            done.result()
    assert most == [1, 1, 1, 1]


def test_contention_under_a_key_runs_whole_request_again(installation):
    """The key is claimed, the organisation stored, then the transaction is given up: the second time counts."""
    tries = []

    def perform(ctx):
        tries.append(1)
        made = organisations.register(ctx, OrganisationProfile(Role.MERCHANT, "Twice", "twice@example.org"))
        if len(tries) == 1:
            raise Contention("others changed the same things at the same moment")
        return KeptResponse(201, {}, made.organisation.id, made.organisation.id)

    key = IdempotencyKey(installation.authority.id, "k", "d")
    first = answered_once(installation.ctx, key, perform, lambda _: pytest.fail("nothing is remade"))
    assert len(tries) == 2
    again = answered_once(installation.ctx, key, perform, lambda _: pytest.fail("nothing is remade"))
    assert (again.status, again.body) == (first.status, first.body)
    with installation.ctx.work(reading=True) as work:
        assert [one.id for one in work.organisations.all(Role.MERCHANT) if one.name == "Twice"] == [first.body]


def test_lawful_releases_at_once_all_stand(installation):
    """They all ask for its activation, which is stored once; none is refused for that."""
    papers = [installation.issue_certificate(quantity="50"), installation.issue_report()]
    lodged = [
        installation.lodge(papers, declarationReference=f"D-{number}", items=[goods_item(quantity="5")])
        for number in range(8)
    ]
    installation.settle()
    start = Barrier(8)

    def release(one):
        start.wait(timeout=20)
        try:
            decisions.decide(installation.ctx, installation.officer, one.id, Decision.RELEASE, "in order")
        except Conflict as refusal:
            return refusal
        return None

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(release, lodged)) == [None] * 8
