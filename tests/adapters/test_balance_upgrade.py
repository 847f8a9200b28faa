"""The way from one contract for drawdowns to the next: nothing is anchored again, and nothing begins anew."""

from dataclasses import replace

import pytest

from backend.adapters.ledger import Deployment, EvmLedger, Safeguards, deploy
from backend.adapters.ledger.calls import ContractCall, Fees, mine
from backend.adapters.ledger.deployment import _created_address
from backend.adapters.ledger.powers import Powers
from backend.domain.errors import LedgerRefused
from backend.domain.ledger import (
    DeclarationStatus,
    DocumentStatus,
    LedgerRecord,
    ProvenEntry,
    RefundDrawdown,
)
from tests.adapters.conftest import World
from tests.adapters.test_ledger import an_opened_certificate, changes, drawdowns
from tests.contracts.test_balance_upgrade import earlier_code


@pytest.fixture
def quick(open_chain, accounts):
    """Contracts whose acts need no notice."""
    chain = open_chain()
    at_once = Safeguards(None, 0, 0, 0, 0)
    deployment = deploy(chain, accounts, safeguards=at_once)
    return World(chain, accounts, deployment, EvmLedger(chain, deployment, accounts))


def with_earlier_contract(world):
    """A deployment of the version before this one, whose contract for drawdowns hands nothing over."""
    code = earlier_code(world.deployment.ledger, world.deployment.accreditation)
    authority = world.accounts["authority"].address
    nonce = world.chain.transaction_count(authority)
    call = ContractCall("authority", None, code, 5_000_000)
    (receipt,) = mine(world.chain, world.accounts, [call], nonce, Fees().at(world.chain.price()), 30)
    assert receipt.succeeded
    deployment = replace(world.deployment, balance=_created_address(authority, nonce))
    return on(world, deployment)


def on(world, deployment):
    return World(world.chain, world.accounts, deployment, EvmLedger(world.chain, deployment, world.accounts))


def upgraded(world, activations=()):
    """What ``provenport chain upgrade`` does, without its notices; the calls that it made, and the world after."""
    powers = Powers(world.chain, world.deployment, world.accounts)
    fresh, made = powers.next_balance(), []
    while (call := powers.next_call(fresh)) is not None:
        if call.function == "begin":
            powers.record_activations(fresh, powers.unrecorded(fresh, activations))
            assert powers.unrecorded(fresh, activations) == []
        assert powers.use(call).state == "done"
        made.append(call.function)
    earlier = (*world.deployment.earlier_balances, world.deployment.balance)
    return made, on(world, replace(world.deployment, balance=fresh, earlier_balances=earlier))


@pytest.mark.parametrize("version", ["this", "earlier"])
def test_upgrade_goes_on_with_what_is_left(quick, version):
    """Batches stay where and when they were anchored; what was drawn stays drawn, and refunds find their way."""
    before = with_earlier_contract(quick) if version == "earlier" else quick
    key, activation = an_opened_certificate(before)
    made = drawdowns(key, 300, 50)
    assert before.do(made, "anchorer").succeeded
    anchored = before.ledger.batch(key)
    proven = ProvenEntry(activation.certificate, activation.entry, activation.path)
    calls, after = upgraded(before, [proven])
    assert calls == ["setTargetFunctionRole", "begin" if version == "earlier" else "handOver"]
    assert after.ledger.batch(key) == anchored
    assert after.ledger.head().instance_id == before.ledger.head().instance_id
    certificate = LedgerRecord(key, 0)
    balance = after.ledger.certificate_balance(certificate)
    assert (balance.quantity, balance.remaining) == (1000, 650)
    for refused in (made, drawdowns(key, 651), activation):
        with pytest.raises(LedgerRefused):
            after.ledger.simulate(refused)
    assert [found.made for found in after.ledger.drawdown_sets()] == [made]
    more = drawdowns(key, 600)
    assert after.do(more, "anchorer").succeeded
    after.do(changes(key, {1: DeclarationStatus.REJECTED}, by="office"), "office")
    assert after.do(RefundDrawdown(made, 0), "anchorer").succeeded
    assert after.ledger.is_refunded(made.set_root, 0)
    assert after.ledger.certificate_balance(certificate).remaining == 350
    assert [(found.made, found.refunded) for found in after.ledger.drawdown_sets()] == [
        (made, frozenset({0})),
        (more, frozenset()),
    ]
    again, last = upgraded(after)
    assert (again[-1], last.ledger.certificate_balance(certificate).remaining) == ("handOver", 350)


def test_contract_before_is_dead_after_the_upgrade(quick):
    key, _ = an_opened_certificate(quick)
    _, after = upgraded(quick)
    with pytest.raises(LedgerRefused) as refused:
        quick.ledger.simulate(drawdowns(key, 1))
    assert refused.value.values["error"] == "CertificateBalanceNotCounting"
    after.ledger.simulate(drawdowns(key, 1))


def test_upgrade_written_down_is_read_again(quick, tmp_path):
    path = tmp_path / "deployment.json"
    for deployment in (quick.deployment, replace(quick.deployment, next_balance=quick.deployment.ledger)):
        written = replace(deployment, earlier_balances=(deployment.manager,))
        written.write(path)
        assert Deployment.read(path) == written
    content = path.read_text("utf-8").replace("earlierBalances", "unknown").replace("nextBalance", "unheard")
    path.write_text(content, "utf-8")
    assert Deployment.read(path) == quick.deployment, "as a version before wrote it"


@pytest.mark.parametrize("version", ["this", "earlier"])
def test_successor_is_activated_by_what_the_contract_knows(quick, version):
    """A contract of an earlier version begins anew with it, where only the server's own count holds."""
    world = with_earlier_contract(quick) if version == "earlier" else quick
    key, first = an_opened_certificate(world)
    assert world.do(drawdowns(key, 300), "anchorer").succeeded
    world.do(changes(key, {0: DocumentStatus.SUPERSEDED}), "anchorer")
    newer, second = an_opened_certificate(world, superseded=LedgerRecord(key, 0))
    balance = world.ledger.certificate_balance(LedgerRecord(newer, 0))
    assert balance.remaining == (1000 if version == "earlier" else 700)
    carried = None if version == "earlier" else second.certificate
    assert (world.ledger.carried_to(first.certificate), world.ledger.carried_to(second.certificate)) == (carried, None)
    assert world.ledger.certificate_balance(first.certificate).remaining == (700 if version == "earlier" else 0)
