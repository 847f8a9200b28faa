"""Chains without base fees, chains where gas is free, and chains that are too old: transactions, and real nodes."""

import json
import secrets
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from eth_account import Account

from backend.adapters.chains.json_rpc import JsonRpcChain
from backend.adapters.ledger import EvmLedger, Fees, deploy
from backend.adapters.ledger.calls import ContractCall, replace_by_fee, sign_call
from backend.adapters.ledger.chain import Price
from backend.domain.errors import LedgerRefused
from backend.domain.evidence import Segments
from backend.domain.ledger import AnchorBatch
from backend.runtime.app import require_funds
from tests.adapters.conftest import World
from tests.helpers.faulty_nodes import faulty_nodes
from tests.helpers.nodes import NEEDS_ANVIL, anvil

GENESIS = Path(__file__).parents[2] / "docs" / "examples" / "besu-qbft.json"
GWEI = 10**9
SINK = "0x1111111111111111111111111111111111111111"
FREE = ("--gas-price", "0", "--base-fee", "0", "--disable-min-priority-fee")


# ---- transactions


def test_price_without_base_fee_is_offered_within_limit():
    assert Fees().at(Price(None, 7 * GWEI)) == Fees(7 * GWEI, 7 * GWEI, has_base_fee=False)
    assert Fees(5 * GWEI).at(Price(None, 7 * GWEI)).max_fee_per_gas == 5 * GWEI


@pytest.mark.parametrize("base_fee", [GWEI, None], ids=["eip-1559", "legacy"])
@pytest.mark.parametrize("to", [SINK, None], ids=["call", "deployment"])
def test_replacement_keeps_all_but_its_fee(accounts, base_fee, to):
    call = ContractCall("anchorer", to, b"\x01\x02" if to else b"", 50_000)
    signed = sign_call(call, accounts, 31337, 0, Fees().at(Price(base_fee, GWEI)))
    higher = replace_by_fee(signed.raw, accounts["anchorer"], Price(base_fee, GWEI), Fees())
    before, after = fields(signed.raw), fields(higher.raw)
    assert higher.transaction_hash != signed.transaction_hash
    assert Account.recover_transaction(higher.raw) == accounts["anchorer"].address
    fees = {name for name in before if "rice" in name or "Fee" in name} | {"v", "r", "s"}
    assert {name: value for name, value in before.items() if name not in fees} == {
        name: value for name, value in after.items() if name not in fees
    }
    for name in fees - {"v", "r", "s"}:
        assert after[name] >= before[name] * 1.1


def fields(raw):
    """What a raw transaction holds, by web3's own reading."""
    import rlp
    from eth_account.typed_transactions.typed_transaction import TypedTransaction
    from hexbytes import HexBytes

    if raw[0] < 0xC0:
        return dict(TypedTransaction.from_bytes(HexBytes(raw)).as_dict())
    names = ("nonce", "gasPrice", "gas", "to", "value", "data", "v", "r", "s")
    found = dict(zip(names, rlp.decode(raw), strict=True))
    return {name: value if name in ("to", "data") else int.from_bytes(value) for name, value in found.items()}


@pytest.mark.parametrize("price", [Price(None, 0), Price(0, 0)], ids=["legacy", "eip-1559"])
def test_where_gas_is_free_nothing_is_replaced(accounts, price):
    signed = sign_call(ContractCall("office", SINK, b"", 21_000), accounts, 5, 0, Fees().at(price))
    assert replace_by_fee(signed.raw, accounts["office"], price, Fees()) is None


# ---- nodes


@pytest.fixture
def opened():
    with ExitStack() as stack:
        yield stack


def anchors_a_batch(chain, accounts):
    """Put our contracts on a chain and anchor a batch there; the ledger."""
    require_funds(chain, accounts, Fees())
    deployment = deploy(chain, accounts)
    world = World(chain, accounts, deployment, EvmLedger(chain, deployment, accounts))
    call = AnchorBatch(secrets.token_bytes(32), Segments(0, 0, 1, 1))
    assert world.do(call, "anchorer").succeeded
    assert world.ledger.batch(world.ledger.batch_key(call.root)) is not None
    return world.ledger


def transfers(chain, account, value=1):
    """Pay somebody; the receipt."""
    nonce = chain.transaction_count(account.address)
    call = ContractCall("a", SINK, b"", 21_000, wei=value)
    signed = sign_call(call, {"a": account}, chain.chain_id(), nonce, Fees().at(chain.price()))
    chain.send_raw(signed.raw)
    deadline = time.monotonic() + 10
    while (receipt := chain.receipt(signed.transaction_hash)) is None:
        assert time.monotonic() < deadline, "not mined"
        time.sleep(0.02)
    return receipt


class TestOnRealNodes:
    pytestmark = NEEDS_ANVIL

    def test_chain_before_base_fees_takes_our_transactions(self, opened, accounts):
        node = opened.enter_context(anvil(hardfork="berlin"))
        node.fund(accounts["office"].address)
        chain = JsonRpcChain(node.url)
        assert chain.price().base_fee is None
        assert transfers(chain, accounts["office"]).succeeded
        assert node.ask("eth_getBlockByNumber", "latest", True)["transactions"][0]["type"] == "0x0"

    def test_whole_ledger_works_on_legacy_fees(self, opened, accounts):
        """A node of today behind a proxy that hides base fees and takes no typed transaction."""
        node = opened.enter_context(anvil())
        node.fund(*(account.address for account in accounts.values()))
        (proxy,) = opened.enter_context(faulty_nodes(1, node.url))
        proxy.be("legacy", node.url)
        anchors_a_batch(JsonRpcChain(proxy.url), accounts)
        block = node.ask("eth_getBlockByNumber", "latest", True)
        assert block["transactions"][0]["type"] == "0x0"

    def test_waiting_legacy_transaction_is_replaced(self, opened, accounts):
        node = opened.enter_context(anvil("--no-mining", hardfork="berlin"))
        account = accounts["office"]
        node.fund(account.address)
        chain = JsonRpcChain(node.url)
        call = ContractCall("office", SINK, b"", 21_000, wei=1)
        signed = sign_call(call, accounts, chain.chain_id(), 0, Fees().at(chain.price()))
        chain.send_raw(signed.raw)
        higher = replace_by_fee(signed.raw, account, chain.price(), Fees())
        chain.send_raw(higher.raw)
        node.mine()
        assert chain.receipt(higher.transaction_hash).succeeded
        assert chain.receipt(signed.transaction_hash) is None

    @pytest.mark.parametrize("kind", ["eip-1559", "legacy"])
    def test_whole_ledger_works_where_gas_is_free(self, opened, accounts, kind):
        """No account owns anything."""
        node = opened.enter_context(anvil(*FREE))
        (proxy,) = opened.enter_context(faulty_nodes(1, node.url))
        proxy.be("legacy" if kind == "legacy" else "honest", node.url)
        ledger = anchors_a_batch(JsonRpcChain(proxy.url), accounts)
        assert set(ledger.transactions_left().values()) == {1_000_000}
        assert JsonRpcChain(node.url).balance(accounts["anchorer"].address) == 0

    def test_free_chain_before_base_fees_takes_our_transactions(self, opened, accounts):
        node = opened.enter_context(anvil("--gas-price", "0", hardfork="berlin"))
        assert transfers(JsonRpcChain(node.url), accounts["office"], value=0).succeeded

    @pytest.mark.parametrize("hardfork", ["berlin", "london", "shanghai"])
    def test_chain_too_old_for_the_contracts_is_told(self, opened, accounts, hardfork):
        node = opened.enter_context(anvil(hardfork=hardfork))
        node.fund(*(account.address for account in accounts.values()))
        with pytest.raises(LedgerRefused, match="Cancun"):
            deploy(JsonRpcChain(node.url), accounts)

    def test_example_genesis_carries_the_whole_ledger(self, opened, accounts, tmp_path):
        """anvil reads the file for Besu, but for consensus and limits; no account owns anything."""
        genesis = json.loads(GENESIS.read_text(encoding="utf-8"))["genesis"]
        # A validator stamps its blocks by its clock; anvil goes on from the time of the first block.
        genesis["timestamp"] = hex(int(time.time()))
        (tmp_path / "genesis.json").write_text(json.dumps(genesis), encoding="utf-8")
        node = opened.enter_context(anvil("--init", str(tmp_path / "genesis.json"), *FREE, hardfork="cancun"))
        chain = JsonRpcChain(node.url)
        assert chain.chain_id() == genesis["config"]["chainId"]
        anchors_a_batch(chain, accounts)

    def test_cancun_is_new_enough(self, opened, accounts):
        node = opened.enter_context(anvil(hardfork="cancun"))
        node.fund(*(account.address for account in accounts.values()))
        anchors_a_batch(JsonRpcChain(node.url), accounts)
