"""The operator's commands, and a server whose ledger stands on a real node that goes wrong."""

import json
import os
import subprocess
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from backend.domain.errors import ForeignLedger
from backend.domain.parties import Role
from backend.runtime.app import running
from backend.services.anchoring import run_once
from backend.settings import Settings
from tests.helpers.nodes import NEEDS_ANVIL, anvil
from tests.helpers.postgres import database_url, installation_at
from tests.journeys.conftest import Server, command, free_port, start


def run(folder: Path, *arguments: str, code: int = 0, **environment: str) -> str:
    """What a command said; fails where its exit code is another."""
    given = {**os.environ, **installation_at(folder), **environment}
    ended = subprocess.run(command(*arguments), env=given, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stdout + ended.stderr


@pytest.mark.slow
def test_status_and_audit_work_beside_and_after_server(server: Server) -> None:
    """Beside the running server, which holds the chain file, they need --rpc."""
    assert "--rpc" in run(server.folder, "chain", "status", code=1)
    assert "--rpc" in run(server.folder, "audit", code=2)
    server.until(lambda: _proofs(server) == {})
    told = json.loads(run(server.folder, "chain", "status", "--json", "--rpc", f"{server.url}/rpc"))
    assert told["ledger"] == "ours"
    assert "no discrepancies" in run(server.folder, "audit", "--rpc", f"{server.url}/rpc")
    server.stop()
    assert json.loads(run(server.folder, "chain", "status", "--json"))["instanceId"] == told["instanceId"]
    found = json.loads(run(server.folder, "audit", "--json"))
    assert found["discrepancies"] == []
    assert found["batches"] == found["batches_on_ledger"] > 0


@pytest.mark.slow
def test_lost_chain_is_told_and_all_anchored_anew(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    server = start(folder)
    server.until(lambda: _proofs(server) == {})
    server.stop()
    for lost in folder.glob("chain.sqlite*"):
        lost.unlink()
    told = run(folder, "chain", "status", code=1)
    assert "chain deploy --again" in told
    assert "--again" in run(folder, "chain", "deploy", code=1)
    assert "anchored again" in run(folder, "chain", "deploy", "--again")
    with running(Settings(folder, database_url=database_url(folder))) as system:
        deadline = time.monotonic() + 60
        while run_once(system.ctx):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        # It took over the history of the one that was lost: what was signed before it knew a key stays covered.
        with system.ctx.work(reading=True) as work:
            chamber = next(one for one in work.organisations.all() if one.role is Role.CHAMBER)
            key = bytes.fromhex(work.keys.active(chamber).thumbprint)
        hours_ago = datetime.now(UTC) - timedelta(hours=6)
        assert system.ctx.ledger.terms_of_signature(key, hours_ago, datetime.now(UTC)).signed_under is not None
    assert "no discrepancies" in run(folder, "audit")


def _proofs(server: Server) -> Any:
    return requests.get(f"{server.url}/healthz", timeout=10).json()["checks"]["anchoring"]["proofs"]


def addresses(folder: Path, url: str) -> list[str]:
    told = json.loads(run(folder, "chain", "status", "--json", code=1, LEDGER_RPC_URL=url))
    return [facts["address"] for facts in told["accounts"].values()]


@contextmanager
def on_a_node(folder: Path, **settings: Any) -> Any:
    """An installation whose ledger stands on a fresh anvil."""
    with anvil() as node:
        node.fund(*addresses(folder, node.url))
        with running(
            Settings(folder, database_url=database_url(folder), ledger_rpc_url=node.url, **settings)
        ) as system:
            yield node, system


@pytest.mark.anvil
@pytest.mark.skipif(NEEDS_ANVIL[1].args[0], reason="anvil is not installed: make anvil-check")
class TestOnARealNode:
    def test_accounts_without_money_are_told_with_their_addresses(self, tmp_path: Path) -> None:
        with anvil() as node:
            told = run(tmp_path / "data", "serve", code=1, LEDGER_RPC_URL=node.url, PORT=str(free_port()))
            assert all(address in told for address in addresses(tmp_path / "data", node.url))
            assert "0.000000 ether" in told

    @pytest.mark.parametrize("depth", range(1, 13))
    def test_reorganisations_of_every_depth_are_survived(self, node_world: Any, depth: int) -> None:
        node, system, issue = node_world
        record = issue()
        settle(system, node)
        node.mine(max(0, depth - 6))
        node.ask("anvil_reorg", depth, [])
        settle(system, node)
        with system.ctx.work(reading=True) as work:
            kept = work.records.get(record.id)
        batch = system.ctx.ledger.batch(system.ctx.ledger.batch_key(kept.batch.root))
        assert kept.proof_state.value == "final"
        assert batch is not None
        assert len(list(system.ctx.ledger.anchorings(system.ctx.ledger.batch_key(kept.batch.root)))) == 1

    def test_stuck_transaction_is_replaced_at_higher_fee(self, node_world: Any, monkeypatch: Any) -> None:
        from datetime import timedelta

        from backend.services.anchoring import transactions

        node, system, issue = node_world
        monkeypatch.setattr(transactions, "RAISE_AFTER", timedelta(seconds=0.5))
        node.ask("evm_setAutomine", False)
        record = issue()
        run_once(system.ctx)
        with system.ctx.work(reading=True) as work:
            first = work.records.get(record.id).batch.transaction_hash
        time.sleep(0.6)
        run_once(system.ctx)
        with system.ctx.work(reading=True) as work:
            (transaction,) = work.outbox.pending()
        assert first in transaction.hashes
        assert len(transaction.hashes) == 2
        node.ask("evm_setAutomine", True)
        settle(system, node)
        with system.ctx.work(reading=True) as work:
            assert work.records.get(record.id).batch.transaction_hash == transaction.transaction_hash

    def test_dropped_transactions_are_sent_again(self, node_world: Any) -> None:
        node, system, issue = node_world
        node.ask("evm_setAutomine", False)
        record = issue()
        run_once(system.ctx)
        node.ask("anvil_dropAllTransactions")
        node.ask("evm_setAutomine", True)
        settle(system, node)
        with system.ctx.work(reading=True) as work:
            assert work.records.get(record.id).proof_state.value == "final"

    def test_another_chain_id_while_running_stops_everything(self, node_world: Any) -> None:
        node, system, issue = node_world
        settle(system, node)
        right = int(node.ask("eth_chainId"), 16)
        node.ask("anvil_setChainId", 424242)
        issue()
        with pytest.raises(ForeignLedger):
            run_once(system.ctx)
        with system.ctx.work(reading=True) as work:
            assert not work.outbox.pending()
        node.ask("anvil_setChainId", right)
        settle(system, node)

    def test_without_gas_money_transactions_wait_until_funded(self, node_world: Any) -> None:
        node, system, issue = node_world
        settle(system, node)
        anchorer = next(iter(system.ctx.ledger.anchorings())).anchorer
        node.ask("anvil_setBalance", anchorer, "0x0")
        record = issue()
        run_once(system.ctx)
        with system.ctx.work(reading=True) as work:
            assert "funds" in work.outbox.troubles()[0].lower()
        assert system.ctx.ledger.transactions_left()["anchorer"] == 0
        node.fund(anchorer)
        settle(system, node)
        with system.ctx.work(reading=True) as work:
            assert work.records.get(record.id).proof_state.value == "final"

    def test_a_node_reset_underneath_us_is_noticed(self, tmp_path: Path) -> None:
        with on_a_node(tmp_path / "data") as (node, system):
            system.ctx.ledger.head()
            node.ask("anvil_reset")
            with pytest.raises(ForeignLedger):
                system.ctx.ledger.head()


def settle(system: Any, node: Any) -> None:
    """Rounds and blocks until nothing is under way."""
    for _ in range(60):
        if not run_once(system.ctx):
            return
        node.mine(2)
    raise AssertionError("still under way")


@pytest.fixture(scope="module")
def node_system(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with on_a_node(tmp_path_factory.mktemp("node") / "data", ledger_confirmations=4) as opened:
        yield opened


@pytest.fixture
def node_world(node_system: Any) -> Any:
    """A node, a system on it, and a way to issue another certificate."""
    from uuid import uuid4

    from backend.domain.kinds import Kind
    from backend.domain.parties import Role
    from backend.services import accreditation, issuance
    from backend.services.organisations import OrganisationProfile, register
    from tests.helpers.builders import certificate_fields

    node, system = node_system
    chamber, authority = (
        register(system.ctx, OrganisationProfile(role, role.value, f"{uuid4()}@x.org")).person
        for role in (Role.CHAMBER, Role.AUTHORITY)
    )
    accreditation.accredit(system.ctx, authority, chamber.organisation.id)
    settle(system, node)

    def issue() -> Any:
        fields = certificate_fields(certificateNumber=str(uuid4())[:20])
        return issuance.issue(system.ctx, chamber, Kind.CERTIFICATE_OF_ORIGIN, fields)

    return node, system, issue
