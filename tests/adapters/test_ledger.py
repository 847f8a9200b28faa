"""The ledger port over an EVM chain: what is written is read back, what is refused says why."""

import random
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from cryptography.fernet import Fernet
from eth_account import Account

from backend.adapters.chains.embedded import EmbeddedChain
from backend.adapters.keys.vault import AccountKeys, KeyVault
from backend.adapters.ledger import ACCOUNT_NAMES, Deployment, EvmLedger, Fees, Safeguards, accounts_from_keys, deploy
from backend.adapters.ledger.calls import ContractCall, interface, mine, sign_call
from backend.adapters.ledger.chain import CallReverted, ChainUnavailable
from backend.adapters.ledger.powers import PowerCall, Powers
from backend.domain.errors import ForeignLedger, Invalid, LedgerRefused, LedgerUnavailable
from backend.domain.evidence import LedgerName, Segments, Tree, leaf_hash
from backend.domain.ledger import (
    Accredit,
    Accreditation,
    ActivateCertificate,
    Agent,
    AgentAccount,
    AllowDrawdowns,
    AnchorBatch,
    Announce,
    CancelAnnounced,
    ChangeStatuses,
    CorrectActivation,
    DeclarationStatus,
    DocumentStatus,
    FundAccount,
    GrantRole,
    LedgerDrawdown,
    LedgerRecord,
    LedgerRole,
    MakeDrawdowns,
    MoveAgent,
    PauseLedger,
    PublishRevocation,
    RefundDrawdown,
    RegisterAgent,
    RenewPause,
    RevokeRole,
    RotateKey,
    SetOffice,
    SuspendAccreditation,
    SuspendAgent,
)
from tests.adapters.conftest import World

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
YEAR = timedelta(days=365)


def a_batch(segments=Segments(10, 20, 150, 160), root=None):  # noqa: B008
    return AnchorBatch(root or secrets.token_bytes(32), segments)


def changes(key, places, by="anchorer"):
    return ChangeStatuses(key, tuple(places.items()), secrets.token_bytes(32), by)


def an_accreditation(**fields):
    return replace(Accreditation(kinds=1 << 1, chapters=1 << 9, valid_from=MARCH, valid_until=MARCH + YEAR), **fields)


def anchored(world, **fields):
    call = a_batch(**fields)
    assert world.do(call, "anchorer").succeeded
    return call


def an_anchored_key(world, **fields):
    return world.ledger.batch_key(anchored(world, **fields).root)


# ---- head and deployment


def test_the_head_names_the_block_and_the_deployment(world):
    head = world.ledger.head()
    assert (head.chain_id, head.instance_id) == (world.chain.chain_id(), world.deployment.instance_id)
    assert (head.ledger_address, head.accreditation_address) == (
        world.deployment.ledger,
        world.deployment.accreditation,
    )
    assert (head.number, head.block_hash) == (world.chain.head().number, world.chain.head().block_hash)
    assert head.block_time.tzinfo is UTC


def test_a_deployment_is_read_as_it_was_written(world, tmp_path):
    path = tmp_path / "deep" / "deployment.json"
    assert Deployment.read(path) is None
    world.deployment.write(path)
    world.deployment.write(path)
    assert Deployment.read(path) == world.deployment
    assert [file.name for file in path.parent.iterdir()] == ["deployment.json"]


def test_a_second_deployment_is_another_one(world):
    second = deploy(world.chain, world.accounts)
    assert second.instance_id != world.deployment.instance_id
    assert second.ledger != world.deployment.ledger


def test_every_account_needs_its_key():
    with pytest.raises(ValueError, match="office"):
        accounts_from_keys({"authority": b"\1" * 32, "anchorer": b"\2" * 32})


@pytest.mark.parametrize(
    "difference",
    [
        {"chain_id": 1},
        {"genesis_hash": b"\0" * 32},
        {"instance_id": b"\0" * 32},
        {"ledger": "0x1111111111111111111111111111111111111111"},
    ],
)
def test_foreign_ledger_is_noticed_and_nothing_signed(world, difference):
    ledger = EvmLedger(world.chain, replace(world.deployment, **difference), world.accounts)
    with pytest.raises(ForeignLedger):
        ledger.head()
    with pytest.raises(ForeignLedger):
        ledger.sign(a_batch(), 0)
    with pytest.raises(ForeignLedger):
        ledger.batch(b"\0" * 32)


def test_a_chain_that_was_reset_is_noticed(world, open_chain, accounts):
    moving = Moving(world.chain)
    ledger = EvmLedger(moving, world.deployment, accounts)
    ledger.head()
    moving.chain = open_chain("reset.sqlite")
    with pytest.raises(ForeignLedger):
        ledger.head()
    with pytest.raises(ForeignLedger):
        ledger.sign(a_batch(), 0)


def test_chain_ending_before_our_contracts_is_foreign(world):
    ledger = EvmLedger(world.chain, replace(world.deployment, block=10**6), world.accounts)
    with pytest.raises(ForeignLedger):
        ledger.head()


class Moving:
    """A node behind an address: today this chain, tomorrow another."""

    def __init__(self, chain):
        self.chain = chain

    def __getattr__(self, name):
        return getattr(self.chain, name)


class Silent:
    """A chain that does not answer."""

    def __getattr__(self, name):
        def fail(*_):
            raise ChainUnavailable("no answer")

        return fail


def test_silent_chain_is_unavailable(world):
    ledger = EvmLedger(Silent(), world.deployment, world.accounts)
    for ask in (
        ledger.head,
        lambda: ledger.batch(b"\0" * 32),
        lambda: ledger.status(b"\0" * 32, 0),
        lambda: ledger.accreditation(b"\0" * 32),
        lambda: ledger.next_nonce("anchorer"),
        lambda: ledger.sign(a_batch(), 0),
        lambda: ledger.send(b"\0"),
        lambda: ledger.receipt(b"\0" * 32),
        lambda: deploy(Silent(), world.accounts),
    ):
        with pytest.raises(LedgerUnavailable):
            ask()


# ---- batches


def test_an_anchored_batch_is_read_back(world):
    call = a_batch()
    receipt = world.do(call, "anchorer")
    batch = world.ledger.batch(world.ledger.batch_key(call.root))
    assert (batch.segments, batch.anchored_at) == (call.segments, receipt.block_time)
    assert receipt.succeeded
    assert receipt.refusal is None
    assert receipt.block_hash == world.chain.block(receipt.block_number).block_hash


def test_unknown_root_has_no_batch(world):
    assert world.ledger.batch(secrets.token_bytes(32)) is None


def test_anchoring_twice_fails_and_says_why(world):
    call = anchored(world)
    receipt = world.do(call, "anchorer")
    assert (receipt.succeeded, receipt.refusal) == (False, "TraceLedgerAlreadyAnchored")
    with pytest.raises(LedgerRefused) as refused:
        world.ledger.simulate(call)
    assert refused.value.values["error"] == "TraceLedgerAlreadyAnchored"
    assert refused.value.values["arguments"]["root"] == "0x" + call.root.hex()


def test_same_bytes_may_be_sent_any_time(world):
    """Sending them again is harmless, before they are mined and after."""
    signed = world.ledger.sign(a_batch(), world.ledger.next_nonce("anchorer"))
    for _ in range(3):
        world.ledger.send(signed.raw)
    first = world.receipt(signed.transaction_hash)
    world.ledger.send(signed.raw)
    assert world.ledger.receipt(signed.transaction_hash) == first
    assert world.ledger.next_nonce("anchorer") == signed.nonce + 1


def test_signing_sends_nothing(world):
    before = world.ledger.next_nonce("anchorer")
    signed = world.ledger.sign(a_batch(), before)
    assert (signed.signer, signed.nonce) == ("anchorer", before)
    assert world.ledger.receipt(signed.transaction_hash) is None
    assert world.ledger.next_nonce("anchorer") == before


def test_a_nonce_that_is_used_up_is_refused(world):
    anchored(world)
    signed = world.ledger.sign(a_batch(), 0)
    with pytest.raises(LedgerRefused) as refused:
        world.ledger.send(signed.raw)
    assert refused.value.values["error"] == "TransactionRejected"


def test_many_threads_may_sign_send_and_read(world):
    first = world.ledger.next_nonce("anchorer")
    calls = [a_batch() for _ in range(24)]

    def anchor(numbered):
        step, call = numbered
        signed = world.ledger.sign(call, first + step)
        world.ledger.send(signed.raw)
        world.receipt(signed.transaction_hash)
        return world.ledger.batch(world.ledger.batch_key(call.root)).segments

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(anchor, enumerate(calls))) == [call.segments for call in calls]


# ---- statuses


def test_statuses_in_several_words_change_when_allowed(world):
    """Each status is changed by one who may."""
    key = an_anchored_key(world)
    world.do(changes(key, {3: DocumentStatus.SUSPENDED, 12: DocumentStatus.REVOKED}), "anchorer")
    decided = {20: DeclarationStatus.EXAMINATION, 100: DeclarationStatus.RELEASED, 149: DeclarationStatus.DETAINED}
    world.do(changes(key, decided, by="office"), "office")
    world.do(changes(key, {12 + 143: DocumentStatus.SUSPENDED}, by="authority"), "authority")
    expected = {3: 1, 12: 2, 155: 1} | decided
    assert {leaf_index: world.ledger.status(key, leaf_index) for leaf_index in range(160)} == dict.fromkeys(
        range(160), 0
    ) | expected


def test_unchanged_leaf_has_status_zero(world):
    assert world.ledger.status(secrets.token_bytes(32), 5) == 0


def test_change_signed_earlier_leaves_later_one(world):
    key = an_anchored_key(world)
    early = world.ledger.sign(changes(key, {4: DocumentStatus.SUSPENDED}), world.ledger.next_nonce("anchorer"))
    world.do(changes(key, {5: DocumentStatus.SUSPENDED}, by="authority"), "authority")
    world.ledger.send(early.raw)
    world.receipt(early.transaction_hash)
    assert [world.ledger.status(key, leaf_index) for leaf_index in (4, 5)] == [1, 1]


@pytest.mark.parametrize(
    ("places", "by", "error"),
    [
        ({30: DeclarationStatus.RELEASED}, "anchorer", "TraceLedgerEdgeNotAllowed"),
        ({3: DocumentStatus.REVOKED}, "office", "TraceLedgerEdgeNotAllowed"),
        ({30: DeclarationStatus.WITHDRAWN}, "authority", "TraceLedgerEdgeNotAllowed"),
        ({3: DocumentStatus.ACTIVE}, "anchorer", "TraceLedgerEdgeForbidden"),
        ({160: DocumentStatus.REVOKED}, "anchorer", "TraceLedgerPlaceOutsideBatch"),
        ({}, "anchorer", "TraceLedgerChangesMissing"),
    ],
)
def test_refused_change_gives_reason_before_and_after(world, places, by, error):
    call = changes(an_anchored_key(world), places, by=by)
    with pytest.raises(LedgerRefused) as refused:
        world.ledger.simulate(call)
    assert refused.value.values["error"] == error
    receipt = world.do(call, by)
    assert (receipt.succeeded, receipt.refusal) == (False, error)


def test_large_batch_is_decided_in_one_transaction(world):
    key = an_anchored_key(world, segments=Segments(0, 0, 10_000, 10_000))
    chance = random.Random(64)
    wanted = {leaf_index: chance.choice([1, 2, 3, 4, 5, 6, 7]) for leaf_index in range(10_000)}
    assert world.do(changes(key, wanted, by="office"), "office").succeeded
    assert all(world.ledger.status(key, leaf_index) == wanted[leaf_index] for leaf_index in range(0, 10_000, 97))


@pytest.mark.parametrize(
    "places", [((1, 1), (1, 2)), ((-1, 1),), ((1, 15),), ((1, -1),), tuple((64 * n, 1) for n in range(400))]
)
def test_changes_unfit_for_a_call_are_invalid(world, places):
    call = ChangeStatuses(b"\1" * 32, places, b"\2" * 32)
    with pytest.raises(Invalid):
        world.ledger.sign(call, 0)


# ---- several anchorers, and ledgers of an earlier version


def anchored_by(chain, accounts, ledger, person, call):
    """Anchor by another account than our anchorer's; give the transaction's hash."""
    ends = (call.segments.origin_end, call.segments.inspection_end, call.segments.declaration_end, call.segments.size)
    data = interface("TraceLedger").call_data("anchor", call.root, *ends)
    contract_call = ContractCall(person, ledger.head().ledger_address, data, 200_000)
    nonce = chain.transaction_count(accounts[person].address)
    (receipt,) = mine(chain, accounts, [contract_call], nonce, Fees(), 10)
    assert receipt.succeeded
    return receipt.transaction_hash


def test_transaction_names_the_batch_of_another_anchorer(open_chain, accounts):
    chain = open_chain()
    deployment = deploy(chain, accounts, safeguards=Safeguards(None, 0, 0, 0, 0))
    ledger = EvmLedger(chain, deployment, accounts)
    registered = PowerCall("authority", "TraceLedger", "registerAgent", (accounts["admin"].address, 1))
    Powers(chain, deployment, accounts).use(registered)
    call = a_batch()
    theirs = anchored_by(chain, accounts, ledger, "admin", call)
    assert ledger.batch(ledger.batch_key(call.root)) is None
    ours = anchored_by(chain, accounts, ledger, "anchorer", call)
    keys = ledger.batch_key(call.root, theirs), ledger.batch_key(call.root, ours)
    assert keys[0] != keys[1] == ledger.batch_key(call.root)
    assert ledger.batch(keys[0]).anchorer != ledger.batch(keys[1]).anchorer == ledger.anchorer()
    # What does not anchor this root gives no other key.
    other = anchored_by(chain, accounts, ledger, "admin", a_batch())
    for transaction in (other, secrets.token_bytes(32)):
        assert ledger.batch_key(call.root, transaction) == keys[1]


def test_batches_stay_ours_when_our_account_moved(open_chain, accounts):
    """Also for a process that starts afterwards and has the old account's key still."""
    chain = open_chain()
    deployment = deploy(chain, accounts, safeguards=Safeguards(None, 0, 0, 0, 0))
    before = EvmLedger(chain, deployment, accounts)
    call = a_batch()
    anchored_by(chain, accounts, before, "anchorer", call)
    key = before.batch_key(call.root)
    moved = PowerCall(
        "authority", "TraceLedger", "moveAgent", (accounts["anchorer"].address, accounts["admin"].address)
    )
    Powers(chain, deployment, accounts).use(moved)
    for ledger in (before, EvmLedger(chain, deployment, accounts)):
        assert ledger.batch_key(call.root) == key
        assert ledger.batch(key).anchorer == ledger.anchorer() != 0


class Earlier(Moving):
    """A chain whose ledger has no function for keys, as one of an earlier version."""

    def call(self, to, data, sender=None):
        if data[:4] == interface("TraceLedger").selector("batchKeyOf"):
            raise CallReverted(b"")
        return self.chain.call(to, data, sender)


def test_earlier_ledger_keeps_batches_by_root(world):
    ledger = EvmLedger(Earlier(world.chain), world.deployment, world.accounts)
    root = secrets.token_bytes(32)
    assert ledger.batch_key(root) == root != world.ledger.batch_key(root)
    assert ledger.batch_key(root, secrets.token_bytes(32)) == root


# ---- certificates' quantities


def an_opened_certificate(world, quantity=1000, superseded=None):
    """A key, and a batch of one certificate that is opened and two declarations: (its key, opening)."""
    key, now = secrets.token_bytes(32), world.ledger.head().block_time
    year = an_accreditation(valid_from=now - YEAR, valid_until=now + YEAR)
    world.do(Accredit(key, year), "authority")
    entry = bytes([1]) + quantity.to_bytes(16, "big") + secrets.token_bytes(32)
    others = [bytes([3]) + bytes(16) + secrets.token_bytes(32) for _ in range(2)]
    tree = Tree([entry, *others])
    assert world.do(AnchorBatch(tree.root, Segments(1, 1, 3, 3)), "anchorer").succeeded
    path, batch = tree.proof(0).path, world.ledger.batch_key(tree.root)
    activation = ActivateCertificate(LedgerRecord(batch, 0), entry, path, key, 9, now, now + YEAR / 2, superseded)
    assert world.do(activation, "anchorer").succeeded
    return batch, activation


def drawdowns(batch, *quantities):
    certificate = LedgerRecord(batch, 0)
    return MakeDrawdowns(
        tuple(
            LedgerDrawdown(certificate, LedgerRecord(batch, 1 + step % 2), quantity)
            for step, quantity in enumerate(quantities)
        )
    )


def test_published_revocation_is_read_and_listed(world):
    entries = [bytes([1]) + bytes(16) + secrets.token_bytes(32) for _ in range(3)]
    tree, leaf = Tree(entries), leaf_hash(entries[1])
    world.do(AnchorBatch(tree.root, Segments(3, 3, 3, 3)), "anchorer")
    document = LedgerRecord(world.ledger.batch_key(tree.root), 1)
    call = PublishRevocation(document, entries[1], tree.proof(1).path)
    assert world.ledger.revocation(leaf) is world.ledger.revocation(leaf, world.ledger.anchorer()) is None
    assert world.do(call, "anchorer").refusal == "RevocationsNotEnded"
    world.do(changes(document.batch_key, {1: DocumentStatus.REVOKED}), "anchorer")
    assert world.do(call, "anchorer").succeeded
    found = world.ledger.revocation(leaf)
    assert (found.status, found.since) == (2, world.ledger.batch(document.batch_key).anchored_at)
    assert found.published_at == world.ledger.head().block_time
    ours = world.ledger.anchorer()
    assert (world.ledger.revocation(leaf, ours), world.ledger.revocation(leaf, ours + 1)) == (found, None)
    assert (leaf, document) in list(world.ledger.revocations())
    assert world.ledger.revocation(leaf_hash(entries[0])) is None
    older = EvmLedger(world.chain, replace(world.deployment, revocations=None), world.accounts)
    assert not older.publishes_revocations
    assert (older.revocation(leaf), list(older.revocations())) == (None, [])
    with pytest.raises(Invalid):
        older.simulate(call)


def test_records_name_our_anchorer(world):
    named = world.ledger.named_anchorer()
    head = world.ledger.head()
    assert named.ledger == LedgerName(head.chain_id, head.instance_id, head.ledger_address.lower())
    assert named.agent == world.ledger.anchorer() == 1


def test_certificate_that_names_us_is_activated(world):
    _, activation = an_opened_certificate(world)
    again = replace(activation, is_named=True)
    assert world.do(again, "anchorer").refusal == "CertificateBalanceAlreadyOpened"
    entry = bytes([1]) + (10).to_bytes(16, "big") + secrets.token_bytes(32)
    tree = Tree([entry])
    world.do(AnchorBatch(tree.root, Segments(1, 1, 1, 1)), "anchorer")
    place = LedgerRecord(world.ledger.batch_key(tree.root), 0)
    first = replace(activation, certificate=place, entry=entry, path=(), is_named=True)
    assert world.do(replace(first, superseded=activation.certificate), "anchorer").refusal == (
        "CertificateBalanceNotSuperseded"
    )
    assert world.do(first, "anchorer").succeeded
    assert world.ledger.certificate_balance(place).remaining == 10


def test_what_operators_ask_for_is_encoded(world):
    batch, activation = an_opened_certificate(world)
    shorter = replace(activation, valid_until=activation.valid_until - timedelta(days=1))
    assert world.do(CorrectActivation(shorter), "anchorer").succeeded
    balance = world.ledger.certificate_balance(activation.certificate)
    assert balance.valid_until == shorter.valid_until.replace(microsecond=0)
    world.do(drawdowns(batch, 1), "anchorer")
    assert world.do(CorrectActivation(activation), "anchorer").refusal == "CertificateBalanceInUse"
    for is_allowed in (True, False):
        assert world.do(AllowDrawdowns(world.accounts["office"].address, is_allowed), "anchorer").succeeded
    assert world.do(AllowDrawdowns("0x" + "11" * 20, True), "anchorer").refusal == "CertificateBalanceAgentUnknown"
    office, other = 2, 3
    named = AnchorBatch(secrets.token_bytes(32), Segments(0, 0, 2, 2), office)
    world.do(named, "anchorer")
    key = world.ledger.batch_key(named.root)
    assert world.do(SetOffice(key, other, "office"), "office").succeeded
    assert world.ledger.deciding_office(key) == other
    assert world.do(SetOffice(key, office, "office"), "office").refusal == "TraceLedgerOfficeOther"


def test_a_certificate_is_opened_drawn_and_given_back(world):
    batch, activation = an_opened_certificate(world)
    drawn = drawdowns(batch, 300, 50, 7)
    assert world.ledger.is_refunded(drawn.set_root, 0) is None
    assert world.do(drawn, "anchorer").succeeded
    opened = world.ledger.certificate_balance(LedgerRecord(batch, 0))
    assert (opened.quantity, opened.remaining, opened.valid_until) == (
        1000,
        643,
        activation.valid_until.replace(microsecond=0),
    )
    world.do(changes(batch, {1: DeclarationStatus.REJECTED}, by="office"), "office")
    assert world.do(RefundDrawdown(drawn, 1), "anchorer").refusal == "CertificateBalanceDeclarationStands"
    assert world.do(RefundDrawdown(drawn, 2), "anchorer").succeeded
    assert world.do(RefundDrawdown(drawn, 2), "anchorer").refusal == "CertificateBalanceAlreadyGivenBack"
    assert [world.ledger.is_refunded(drawn.set_root, position) for position in range(3)] == [False, False, True]
    assert world.ledger.certificate_balance(LedgerRecord(batch, 0)).remaining == 650
    (found,) = [
        drawdown_set for drawdown_set in world.ledger.drawdown_sets() if drawdown_set.made.set_root == drawn.set_root
    ]
    assert (found.made, found.refunded) == (drawn, frozenset({2}))
    assert world.ledger.certificate_balance(LedgerRecord(batch, 1)) is None


def test_overdraft_is_refused_before_and_after_mining(world):
    batch, _ = an_opened_certificate(world)
    with pytest.raises(LedgerRefused) as refused:
        world.ledger.simulate(drawdowns(batch, 600, 401))
    assert refused.value.values["error"] == "CertificateBalanceOverdrawn"
    assert refused.value.values["arguments"]["remaining"] == 400
    assert world.do(drawdowns(batch, 600, 401), "anchorer").refusal == "CertificateBalanceOverdrawn"


def test_most_drawdowns_fit_in_one_transaction(world):
    batch, _ = an_opened_certificate(world)
    assert world.do(drawdowns(batch, *[4] * 248), "anchorer").succeeded
    assert world.ledger.certificate_balance(LedgerRecord(batch, 0)).remaining == 8


@pytest.mark.parametrize(
    "call", [drawdowns(b"\1" * 32), drawdowns(b"\1" * 32, *[1] * 249), drawdowns(b"\1" * 32, 2**88)]
)
def test_draws_that_cannot_be_are_invalid(world, call):
    with pytest.raises(Invalid):
        world.ledger.sign(call, 0)
    with pytest.raises(Invalid):
        world.ledger.sign(RefundDrawdown(drawdowns(b"\1" * 32, 5), 1), 0)


def test_deployment_predating_drawdowns_says_so(world):
    ledger = EvmLedger(world.chain, replace(world.deployment, balance=None), world.accounts)
    with pytest.raises(Invalid):
        ledger.sign(drawdowns(b"\1" * 32, 5), 0)
    assert ledger.head().number >= 0


# ---- pause


def test_paused_ledger_anchors_nothing_and_still_revokes(open_chain, accounts):
    chain = open_chain("paused.sqlite")
    safeguards = Safeguards(registration_seconds=0)
    deployment = deploy(chain, accounts, safeguards=safeguards)
    paused = World(chain, accounts, deployment, EvmLedger(chain, deployment, accounts))
    key = an_anchored_key(paused)
    paused.do(PauseLedger(), "authority")
    assert paused.do(a_batch(), "anchorer").refusal == "TraceLedgerPaused"
    assert paused.do(changes(key, {0: DocumentStatus.REVOKED}), "anchorer").succeeded
    paused.do(PauseLedger(False), "authority")
    assert paused.do(a_batch(), "anchorer").succeeded


def test_pause_names_its_end_and_is_renewed(open_chain, accounts):
    chain = open_chain("renewed.sqlite")
    deployment = deploy(chain, accounts, safeguards=Safeguards(registration_seconds=0))
    paused = World(chain, accounts, deployment, EvmLedger(chain, deployment, accounts))
    assert paused.ledger.paused_until() is None
    for call in (PauseLedger(), RenewPause()):
        assert paused.ledger.delay(call) == timedelta(0)
        begun = paused.do(call, "authority")
        assert paused.ledger.paused_until() == begun.block_time + timedelta(hours=72)
    paused.do(PauseLedger(False), "authority")
    assert paused.ledger.paused_until() is None
    earlier = EvmLedger(Earlier(chain), deployment, accounts)
    assert earlier.paused_until() is None
    paused.do(PauseLedger(), "authority")
    assert earlier.paused_until() == datetime.max.replace(tzinfo=UTC)


# ---- roles over the contracts


@pytest.fixture
def ahead():
    """By how many seconds the chain's clock is ahead; a test moves it."""
    return [0]


@pytest.fixture
def governed(tmp_path, accounts, ahead):
    """Contracts with the notices of a node, a guardian whose key is here, and an admin."""
    everybody = {**accounts, "guardian": Account.create()}
    funded = [account.address for account in everybody.values()]
    clock = {"in_real_time": False, "clock": lambda: time.time() + ahead[0]}
    with EmbeddedChain(tmp_path / "governed.sqlite", funded, **clock) as chain:
        deployment = deploy(chain, everybody, safeguards=Safeguards(everybody["guardian"].address, 3_600, 7_200))
        yield World(chain, everybody, deployment, EvmLedger(chain, deployment, everybody))


def held(ledger, role, *accounts):
    return {one.account: one.notice_seconds for one in ledger.role_holders(accounts).of(role)}


def test_roles_are_read_in_one_question(governed, monkeypatch):
    """Of all accounts that are kept here or had a role from the start, and of those that are named."""
    asked, real = [], governed.chain.call
    governed.ledger.role_holders([])

    def counted(to, data, sender=None):
        asked.append(data)
        return real(to, data, sender)

    monkeypatch.setattr(governed.chain, "call", counted)
    holders = governed.ledger.role_holders([Account.create().address])
    assert len(asked) == 1
    authority, admin, guardian = (governed.accounts[name].address for name in ("authority", "admin", "guardian"))
    assert holders.admins == 1
    found = {(one.role, one.account): one.notice_seconds for one in holders.holders}
    assert found == {
        (LedgerRole.ADMIN, admin): 3_600,
        (LedgerRole.AUTHORITY, authority): 0,
        (LedgerRole.BRAKE, authority): 0,
        (LedgerRole.BRAKE, guardian): 0,
        (LedgerRole.REGISTRAR, authority): 7_200,
        (LedgerRole.GUARDIAN, guardian): 0,
        (LedgerRole.REMOVAL, authority): 0,
        (LedgerRole.REMOVAL, admin): 0,
        (LedgerRole.REVOCATION, authority): 3 * 86_400,
    }


def test_wallets_of_the_deployment_are_known_by_it(open_chain, accounts):
    """Admin and guardian are wallets elsewhere, of which only the deployment's own events speak."""
    chain, admin, guardian = open_chain(), Account.create().address, Account.create().address
    deployment = deploy(chain, accounts, safeguards=Safeguards(guardian, admin=admin))
    ledger = EvmLedger(chain, deployment, accounts)
    assert list(held(ledger, LedgerRole.ADMIN)) == [admin]
    assert list(held(ledger, LedgerRole.GUARDIAN)) == [guardian]
    assert EvmLedger(Earlier(chain), deployment, accounts).role_holders([]) is None


def test_grant_needs_notice_and_revocation_none(governed, ahead):
    fresh, ledger = Account.create().address, governed.ledger
    grant, revoke = GrantRole(LedgerRole.REGISTRAR, fresh, 7_200), RevokeRole(LedgerRole.REGISTRAR, fresh)
    assert (ledger.delay(grant), ledger.delay(revoke)) == (timedelta(hours=1), timedelta(0))
    assert ledger.delay(RevokeRole(LedgerRole.ADMIN, fresh)) == timedelta(hours=1)
    assert governed.do(grant, "admin").refusal == "AccessManagerNotScheduled"
    announced = governed.do(Announce(grant), "admin")
    assert ledger.announced(grant) == announced.block_time + timedelta(hours=1)
    assert governed.do(grant, "admin").refusal == "AccessManagerNotReady"
    ahead[0] = 3_700
    assert governed.do(grant, "admin").succeeded
    assert held(ledger, LedgerRole.REGISTRAR, fresh)[fresh] == 7_200
    assert governed.do(revoke, "admin").succeeded
    assert fresh not in held(ledger, LedgerRole.REGISTRAR, fresh)


def test_announcer_withdraws_what_it_announced(governed):
    """By its own account, and the guardian by its own; nobody else, also not the authority what the admin announced."""
    grant = GrantRole(LedgerRole.REGISTRAR, Account.create().address)
    powers = Powers(governed.chain, governed.deployment, governed.accounts)
    for by in ("admin", "guardian"):
        governed.do(Announce(grant), "admin")
        (found,) = powers.announced()
        assert found.operation == governed.ledger.operation(grant)
        refused = governed.do(CancelAnnounced(grant, by="authority"), "authority").refusal
        assert refused == "AccessManagerUnauthorizedCancel"
        assert governed.do(CancelAnnounced(grant, by=by), by).succeeded
        assert governed.ledger.announced(grant) is None


@pytest.mark.parametrize("typed", ["", "0x12", "0x" + "0" * 40, "7a" * 20, "0x" + "g" * 40, "0x" + "7A" * 20 + "00"])
def test_what_is_no_address_is_not_read(world, typed):
    assert world.ledger.read_address(typed) is None


def test_address_is_read_by_its_checksum(world):
    address = world.accounts["office"].address
    assert world.ledger.read_address(address) == world.ledger.read_address(address.lower()) == address
    letter = next(index for index, one in enumerate(address) if index > 1 and one.isalpha())
    assert world.ledger.read_address(address[:letter] + address[letter].swapcase() + address[letter + 1 :]) is None


# ---- accreditations


def test_a_rotated_key_is_followed_by_its_successor(world):
    key, successor, now = secrets.token_bytes(32), secrets.token_bytes(32), world.ledger.head().block_time
    world.do(Accredit(key, an_accreditation(valid_until=now + YEAR)), "authority")
    before = world.ledger.accreditation(key)
    assert world.ledger.successor(key) is None
    receipt = world.do(RotateKey(key, successor), "authority")
    assert world.ledger.successor(key) == successor
    assert world.ledger.accreditation(key) == replace(before, valid_until=receipt.block_time)
    assert world.ledger.accreditation(successor) == replace(before, valid_from=receipt.block_time)
    assert world.ledger.accreditation_at(key, receipt.block_time - timedelta(seconds=1)) == before
    assert world.ledger.accreditation_at(key, MARCH) is None


def test_settled_past_terms_are_asked_once(open_chain, accounts, monkeypatch):
    chain = open_chain("settled.sqlite")
    ledger = EvmLedger(chain, deploy(chain, accounts), accounts)
    own, key = World(chain, accounts, None, ledger), secrets.token_bytes(32)
    now = own.do(Accredit(key, an_accreditation()), "authority").block_time
    asked, call = [], chain.call
    monkeypatch.setattr(chain, "call", lambda *question: asked.append(question) or call(*question))
    ledger.head()
    asked.clear()
    long_ago = now - timedelta(hours=2)
    assert [ledger.accreditation_at(key, long_ago) for _ in range(3)] == [None] * 3
    assert len(asked) == 1
    assert ledger.accreditation_at(key, now) == an_accreditation()
    own.do(Accredit(key, an_accreditation(chapters=2)), "authority")
    assert ledger.accreditation_at(key, now + timedelta(hours=9)) == an_accreditation(chapters=2)
    assert ledger.accreditation_at(key, now - timedelta(days=40_000)) is None  # the ledger counts none before 1970


def test_an_accreditation_is_written_suspended_and_lifted(world):
    key = secrets.token_bytes(32)
    assert world.ledger.accreditation(key) is None
    world.do(Accredit(key, an_accreditation()), "authority")
    assert world.ledger.accreditation(key) == an_accreditation()
    world.do(SuspendAccreditation(key, MARCH + YEAR / 2), "authority")
    assert world.ledger.accreditation(key) == an_accreditation(suspended_since=MARCH + YEAR / 2)
    world.do(SuspendAccreditation(key, None), "authority")
    assert world.ledger.accreditation(key) == an_accreditation()


def test_accreditation_until_the_last_moment_is_kept(world):
    key = secrets.token_bytes(32)
    forever = an_accreditation(valid_until=datetime.fromtimestamp(2**34 - 1, UTC))
    world.do(Accredit(key, forever), "authority")
    assert world.ledger.accreditation(key) == forever
    beyond = replace(forever, valid_until=forever.valid_until + timedelta(seconds=1))
    assert world.do(Accredit(key, beyond), "authority").refusal == "AccreditationMomentTooFar"


def test_a_refused_accreditation_says_why(world):
    key = secrets.token_bytes(32)
    receipt = world.do(Accredit(key, an_accreditation(kinds=0)), "authority")
    assert (receipt.succeeded, receipt.refusal) == (False, "AccreditationCoversNothing")
    assert world.do(SuspendAccreditation(key, None), "authority").refusal == "AccreditationUnknown"


def test_somebody_else_in_the_authoritys_place_is_refused(world):
    accounts = dict(world.accounts) | {"authority": world.accounts["office"]}
    impostor = EvmLedger(world.chain, world.deployment, accounts)
    with pytest.raises(LedgerRefused) as refused:
        impostor.simulate(Accredit(secrets.token_bytes(32), an_accreditation()))
    assert refused.value.values["error"] == "AccessManagedUnauthorized"


@pytest.mark.parametrize(
    "call",
    [
        Accredit(b"\1" * 32, an_accreditation(suspended_since=MARCH)),
        Accredit(b"\1" * 32, an_accreditation(valid_from=datetime(2026, 3, 1))),
        Accredit(b"\1" * 31, an_accreditation()),
        SuspendAccreditation(b"\1" * 32, datetime(2026, 3, 1)),
        AnchorBatch(b"\1" * 33, Segments(0, 0, 0, 1)),
        ChangeStatuses(b"\1" * 32, ((0, 1),), b"\2" * 31),
        ChangeStatuses(b"\1" * 32, ((0, 1),), b"\2" * 32, by="nobody"),
    ],
)
def test_acts_that_make_no_sense_are_invalid(world, call):
    with pytest.raises(Invalid):
        world.ledger.sign(call, 0)


def test_only_named_accounts_have_a_nonce(world):
    assert [world.ledger.next_nonce(name) >= 0 for name in ACCOUNT_NAMES] == [True] * 4
    with pytest.raises(Invalid):
        world.ledger.next_nonce("nobody")


# ---- acts that are announced first


def test_call_needing_notice_is_announced_and_cancelled(open_chain, tmp_path):
    """The guardian cancels it; taking trust away never waits."""
    keys = {name: secrets.token_bytes(32) for name in (*ACCOUNT_NAMES, "guardian")}
    accounts = accounts_from_keys(keys)
    funded = [account.address for account in accounts.values()]
    with EmbeddedChain(tmp_path / "careful.sqlite", funded, in_real_time=False) as chain:
        safeguards = Safeguards(accounts["guardian"].address, authority_seconds=3600)
        deployment = deploy(chain, accounts, safeguards=safeguards)
        careful = World(chain, accounts, deployment, EvmLedger(chain, deployment, accounts))
        call = Accredit(secrets.token_bytes(32), an_accreditation())
        assert careful.ledger.delay(call) == timedelta(hours=1)
        assert careful.ledger.delay(SuspendAccreditation(call.key, MARCH)) == timedelta(0), (
            "taking trust away never waits"
        )
        assert careful.ledger.announced(call) is None
        assert careful.do(call, "authority").refusal == "AccessManagerNotScheduled"
        announced = careful.do(Announce(call), "authority")
        assert careful.ledger.announced(call) == announced.block_time + timedelta(hours=1)
        assert careful.do(call, "authority").refusal == "AccessManagerNotReady"
        assert careful.do(CancelAnnounced(call), "guardian").succeeded
        assert careful.ledger.announced(call) is None
        assert careful.ledger.accreditation(call.key) is None


def test_registration_needs_notice_and_suspension_none(tmp_path, accounts):
    everybody = {**accounts, "guardian": Account.create()}
    funded = [account.address for account in everybody.values()]
    with EmbeddedChain(tmp_path / "careful.sqlite", funded, in_real_time=False) as chain:
        deployment = deploy(chain, everybody, safeguards=Safeguards(everybody["guardian"].address))
        careful = World(chain, everybody, deployment, EvmLedger(chain, deployment, everybody))
        fresh = Account.create().address
        day = timedelta(days=1)
        for call in (RegisterAgent(fresh, Agent.OFFICE), MoveAgent(accounts["office"].address, fresh)):
            assert careful.ledger.delay(call) == day
            announced = careful.do(Announce(call), "authority")
            assert careful.ledger.announced(call) == announced.block_time + day
            with pytest.raises(LedgerRefused, match="AccessManagerNotReady"):
                careful.ledger.simulate(call)
            assert careful.do(CancelAnnounced(call), "guardian").succeeded
            assert careful.ledger.announced(call) is None
        assert careful.ledger.agent(fresh) == AgentAccount(0, 0)
        suspension = SuspendAgent(accounts["office"].address)
        assert careful.ledger.delay(suspension) == timedelta(0)
        assert careful.do(suspension, "authority").succeeded
        assert careful.ledger.agent(accounts["office"].address).roles == 0


# ---- offices' own accounts


def test_accounts_of_the_file_are_taken_up(tmp_path):
    """One ledger throughout: an office's account is registered, acts, is suspended, and gives way to another."""
    vault = KeyVault(Fernet.generate_key())
    keys = AccountKeys(tmp_path / "ledger-accounts.sealed", vault)
    keys.create(ACCOUNT_NAMES)
    with EmbeddedChain(tmp_path / "chain.sqlite", [one.address for one in keys.values()], in_real_time=False) as chain:
        at_once = Safeguards(registration_seconds=0)
        ledger = EvmLedger(chain, deploy(chain, keys, safeguards=at_once), keys, gives_money=True)
        first = ledger.prepare_account("CNYIU")
        assert (ledger.prepare_account("CNYIU"), ledger.offices) == (first, frozenset())
        transact(chain, ledger, FundAccount(first), "authority")
        transact(chain, ledger, RegisterAgent(first, Agent.OFFICE), "authority")
        # Another process does it: this one reads the file again.
        AccountKeys(tmp_path / "ledger-accounts.sealed", vault).take_over("CNYIU", first)
        assert (ledger.account("CNYIU"), ledger.offices, ledger.office("CNYIU")) == (first, {"CNYIU"}, 4)
        assert ledger.agent(first) == AgentAccount(4, Agent.OFFICE)
        root = secrets.token_bytes(32)
        transact(chain, ledger, AnchorBatch(root, Segments(1, 2, 6, 7), 4), "anchorer")
        decision = ChangeStatuses(ledger.batch_key(root), ((3, 2),), bytes(32), by="CNYIU")
        transact(chain, ledger, decision, "CNYIU")

        transact(chain, ledger, SuspendAgent(first), "authority")
        assert ledger.agent(first) == AgentAccount(4, 0)
        later = replace(decision, places=((3, 4),))
        with pytest.raises(LedgerRefused, match="TraceLedgerRoleMissing"):
            ledger.simulate(later)
        second = ledger.prepare_account("CNYIU")
        assert second != first
        transact(chain, ledger, FundAccount(second), "authority")
        transact(chain, ledger, MoveAgent(first, second), "authority")
        ledger.take_over_account("CNYIU", second)
        ledger.take_over_account("CNYIU", second)
        assert (ledger.account("CNYIU"), ledger.office("CNYIU")) == (second, 4)
        assert (ledger.agent(first), ledger.agent(second)) == (AgentAccount(0, 0, second), AgentAccount(4, 2))
        transact(chain, ledger, later, "CNYIU")
        with pytest.raises(LedgerRefused, match="TraceLedgerAgentMoved"):
            ledger.simulate(RegisterAgent(first, Agent.OFFICE))


def test_account_takes_over_prepared_keys_only(tmp_path):
    keys = AccountKeys(tmp_path / "ledger-accounts.sealed", KeyVault(Fernet.generate_key()))
    keys.create(("office",))
    old = keys["office"].address
    keys.take_over("office", Account.create().address)
    prepared = keys.prepare("office")
    keys.take_over("office", Account.create().address)
    assert (keys["office"].address, list(keys)) == (old, ["office"])
    keys.take_over("office", prepared)
    assert keys["office"].address == prepared
    assert keys.prepare("office") not in (old, prepared)


def test_accounts_stay_known_without_their_file(tmp_path):
    """Its disk is away, or the master key was replaced under the process: what is known goes on signing."""
    path, first = tmp_path / "ledger-accounts.sealed", KeyVault(Fernet.generate_key())
    keys = AccountKeys(path, first)
    keys.create(("office",))
    known = keys["office"]
    path.write_bytes(KeyVault(Fernet.generate_key()).encrypt(b"{}"))
    assert keys["office"] is known
    path.unlink()
    assert keys["office"] is known
    with pytest.raises(FileNotFoundError):
        list(AccountKeys(path, first))


def test_office_with_own_account_decides_alone(tmp_path, accounts):
    """Deployed with the others; a batch that names it takes nobody else's decisions until it hands the batch on."""
    every = {**accounts, "CNYIU": Account.create(), "2925": Account.create()}
    with EmbeddedChain(tmp_path / "chain.sqlite", [one.address for one in every.values()], in_real_time=False) as chain:
        ledger = EvmLedger(chain, deploy(chain, every), every)
        numbers = [ledger.office(code) for code in ("CNYIU", "2925", "CNNBO", "office")]
        assert (ledger.offices, numbers) == ({"CNYIU", "2925"}, [4, 5, 0, 0])
        root, segments = secrets.token_bytes(32), Segments(1, 2, 6, 7)
        transact(chain, ledger, AnchorBatch(root, segments, 4), "anchorer")
        key = ledger.batch_key(root)
        assert (ledger.batch(key).segments, ledger.deciding_office(key)) == (segments, 4)
        decision = partial(ChangeStatuses, key, ((3, DeclarationStatus.EXAMINATION),), bytes(32))
        for other in ("office", "2925"):
            with pytest.raises(LedgerRefused, match="TraceLedgerOfficeOther"):
                ledger.simulate(decision(by=other))
        transact(chain, ledger, decision(by="CNYIU"), "CNYIU")
        hand_on = interface("TraceLedger").call_data("setOffice", key, 5)
        call = ContractCall("CNYIU", ledger.head().ledger_address, hand_on, 100_000)
        signed = sign_call(call, every, chain.chain_id(), ledger.next_nonce("CNYIU"), Fees())
        assert mined(chain, ledger, signed).succeeded
        assert ledger.deciding_office(key) == 5, "what was remembered is asked again"
        transact(chain, ledger, replace(decision(by="2925"), places=((3, DeclarationStatus.RELEASED),)), "2925")
        assert ledger.status(key, 3) == DeclarationStatus.RELEASED
        assert ledger.transactions_left()["CNYIU"] > 0


def transact(chain, ledger, call, signer):
    assert mined(chain, ledger, ledger.sign(call, ledger.next_nonce(signer))).succeeded


def mined(chain, ledger, signed):
    ledger.send(signed.raw)
    while (receipt := chain.receipt(signed.transaction_hash)) is None:
        time.sleep(0.002)
    return receipt


@pytest.mark.parametrize(("end", "office"), [(2**32, 0), (1, 2**24), (1, -1)])
def test_batch_with_too_large_numbers_is_refused(world, end, office):
    with pytest.raises(Invalid):
        world.ledger.sign(AnchorBatch(bytes(32), Segments(0, 0, 0, end), office), 0)
