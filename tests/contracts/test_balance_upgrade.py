"""One contract counts drawdowns at a time: another takes over what is left, and the one before is dead at once."""

import json
import secrets
from dataclasses import replace
from pathlib import Path

import pytest
import rlp
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from backend.adapters.ledger.calls import NOBODY, ContractCall, Interface, interface
from backend.adapters.ledger.calls import refusal as refusal_of
from backend.adapters.ledger.chain import CallReverted
from backend.adapters.ledger.deployment import COUNTING
from backend.domain.evidence import leaf_hash
from backend.domain.ledger import DeclarationStatus, LedgerRole
from contracts import Artifact
from tests.contracts.test_certificate_balance import (
    BALANCE,
    Batch,
    a_drawdown,
    allow,
    an_accredited_key,
    carried,
    draw_down,
    drawn,
    refund,
    refused,
    remaining,
    successors,
    supersede,
)

EARLIER = Path(__file__).parents[1] / "vectors" / "certificate-balance-v1.json"
"""The contract as the version before this one deployed it: it hands nothing over, and answers by no leaf."""


@pytest.fixture
def key(world):
    return an_accredited_key(world)


def with_contract(world, before=NOBODY, code=None):
    """The same world with a fresh contract for drawdowns, which does not count yet."""
    arguments = world.addresses["TraceLedger"], world.addresses["Accreditation"]
    made = code or interface(BALANCE).deployment(*arguments, before, world.addresses["Revocations"])
    creator = world.address("authority")
    nonce = world.chain.transaction_count(creator)
    world.send(ContractCall("authority", None, made, 5_000_000))
    address = to_checksum_address(keccak(rlp.encode([bytes.fromhex(creator[2:]), nonce]))[12:])
    return replace(world, addresses=world.addresses | {BALANCE: address})


def earlier_code(ledger, accreditation):
    content = json.loads(EARLIER.read_text("utf-8"))
    artifact = Artifact(content["name"], content["abi"], bytes.fromhex(content["bytecode"]))
    return Interface(artifact).deployment(ledger, accreditation)


def earlier_contract(world):
    code = earlier_code(world.addresses["TraceLedger"], world.addresses["Accreditation"])
    return with_contract(world, code=code)


def name(world):
    """As the admin, let the registrar say when this contract begins, and when it hands over."""
    selectors = [interface(BALANCE).selector(function) for function in COUNTING]
    arguments = world.addresses[BALANCE], selectors, LedgerRole.REGISTRAR
    world.act("admin", "AccessManager", "setTargetFunctionRole", *arguments)


def counting(world):
    fresh = with_contract(world)
    name(fresh)
    fresh.act("authority", BALANCE, "begin")
    return fresh


def handed_over(old):
    new = with_contract(old, old.addresses[BALANCE])
    name(new)
    old.act("authority", BALANCE, "handOver", new.addresses[BALANCE])
    return new


def opened(world, key, **stated):
    batch = Batch(world)
    world.act("anchorer", BALANCE, "open", *batch.activation(0, key, **stated))
    return batch


def writes(world, batch, key):
    """Every call that writes, each of which is right where the contract counts."""
    rejected = [a_drawdown(batch, declaration=12, quantity=1)]
    return {
        "open": batch.activation(1, key),
        "openSuccessor": carried(batch, 1, key, batch),
        "correct": ((batch.key, 0), (key, 9, batch.time - 5, 2**40 - 1)),
        "allowDrawdowns": (world.address("other_anchorer"), True),
        "draw": (rejected,),
        "giveBack": refund(rejected, 0),
    }


def test_contract_does_not_count_before_it_is_named(world, key):
    """Or a second contract on the same ledger would begin with every quantity whole."""
    fresh = with_contract(world)
    batch = Batch(world)
    for function, arguments in writes(fresh, batch, key).items():
        assert fresh.refusal("anchorer", BALANCE, function, *arguments).error == "CertificateBalanceNotCounting"
    for person in ("anchorer", "office", "guardian", "stranger"):
        assert fresh.refusal(person, BALANCE, "begin").error == "AccessManagedUnauthorized"
    fresh.act("admin", BALANCE, "begin")
    assert fresh.refusal("admin", BALANCE, "begin").error == "CertificateBalanceNotToBegin"
    assert fresh.refusal("anchorer", BALANCE, "open", *batch.activation(0, key)) is None


def test_next_contract_goes_on_with_what_is_left(world, key):
    """And the one before is dead in the same transaction; what it holds is still read there."""
    old = counting(world)
    batch = opened(old, key)
    first = [a_drawdown(batch), a_drawdown(batch, declaration=10, quantity=20)]
    draw_down(old, *first)
    new = with_contract(world, old.addresses[BALANCE])
    assert refused(new, a_drawdown(batch, quantity=1)).error == "CertificateBalanceNotCounting"
    name(new)
    old.act("authority", BALANCE, "handOver", new.addresses[BALANCE])
    assert (old.ask(BALANCE, "successor"), new.ask(BALANCE, "predecessor")) == (
        new.addresses[BALANCE].lower(),
        old.addresses[BALANCE].lower(),
    )
    for function, arguments in writes(old, batch, key).items():
        assert old.refusal("anchorer", BALANCE, function, *arguments).error == "CertificateBalanceNotCounting"
    assert (
        old.refusal("authority", BALANCE, "handOver", new.addresses[BALANCE]).error == "CertificateBalanceNotCounting"
    )
    assert remaining(old, batch) == remaining(new, batch) == 50
    assert refused(new, a_drawdown(batch, declaration=11, quantity=51)).error == "CertificateBalanceOverdrawn"
    draw_down(new, a_drawdown(batch, declaration=11, quantity=40))
    assert (remaining(old, batch), remaining(new, batch)) == (50, 10)
    batch.change(9, DeclarationStatus.REJECTED)
    new.act("anchorer", BALANCE, "giveBack", *refund(first, 0))
    again = new.refusal("anchorer", BALANCE, "giveBack", *refund(first, 0))
    assert (again.error, remaining(new, batch)) == ("CertificateBalanceAlreadyGivenBack", 40)


def test_nothing_is_done_once_more_after_handing_over(world, key):
    """No activation of the same certificate, also of a copy; no set of drawdowns; no successor; over two contracts."""
    old = counting(world)
    batch = opened(old, key)
    made = [a_drawdown(batch)]
    draw_down(old, *made)
    old.act("anchorer", BALANCE, "open", *batch.activation(2, key))
    supersede(batch, 2)
    heir = successors(world, 100, 100)
    old.act("anchorer", BALANCE, "openSuccessor", *carried(heir, 0, key, batch, 2))
    last = handed_over(handed_over(old))
    for copy in (batch, Batch(world, entries=[batch.entries[0]], ends=(1, 1, 1, 1))):
        refusal = last.refusal("anchorer", BALANCE, "open", *copy.activation(0, key))
        assert refusal.error == "CertificateBalanceAlreadyOpened"
    assert refused(last, *made).error == "CertificateBalanceAlreadyDrawn"
    assert last.ask(BALANCE, "drawingOf", drawn(*made).set_root) == 1 << 248
    second = last.refusal("anchorer", BALANCE, "openSuccessor", *carried(heir, 1, key, batch, 2))
    assert second.error == "CertificateBalanceCarriedOver"
    assert last.ask(BALANCE, "isActivated", leaf_hash(batch.entries[0]))
    assert not last.ask(BALANCE, "isActivated", leaf_hash(batch.entries[3]))


def test_refund_after_handing_over_reaches_the_successor(world, key):
    """The account was carried over in the contract before, and what is refunded is not lost there."""
    old = counting(world)
    batch = opened(old, key)
    made = [a_drawdown(batch)]
    draw_down(old, *made)
    supersede(batch)
    newer = successors(world, 100)
    old.act("anchorer", BALANCE, "openSuccessor", *carried(newer, 0, key, batch))
    new = handed_over(old)
    batch.change(9, DeclarationStatus.RETURNED)
    new.act("anchorer", BALANCE, "giveBack", *refund(made, 0))
    assert (remaining(new, batch), remaining(new, newer)) == (0, 100)


def test_consents_are_given_anew(world, key):
    """Whoever trusted another agent did so with the contract that it knew."""
    old = counting(world)
    batch = opened(old, key)
    allow(old, True)
    theirs = Batch(world, "other_anchorer")
    drawdown = a_drawdown(batch, declarations=theirs)
    assert refused(old, drawdown, by="other_anchorer") is None
    new = handed_over(old)
    assert refused(new, drawdown, by="other_anchorer").error == "CertificateBalanceDrawdownNotAllowed"
    allow(new, True)
    assert refused(new, drawdown, by="other_anchorer") is None


def test_only_its_own_successor_takes_over(world, key):
    """Named by those who may: not by anchorers, thieves or strangers, and no contract that goes on with another one."""
    old, other = counting(world), counting(world)
    new = with_contract(world, old.addresses[BALANCE])
    for person in ("anchorer", "office", "guardian", "stranger"):
        refusal = old.refusal(person, BALANCE, "handOver", new.addresses[BALANCE])
        assert refusal.error == "AccessManagedUnauthorized"
        assert new.refusal(person, BALANCE, "takeOver").error == "CertificateBalanceNotToBegin"
    for wrong in (other, with_contract(world), with_contract(world, other.addresses[BALANCE]), old):
        refusal = old.refusal("authority", BALANCE, "handOver", wrong.addresses[BALANCE])
        assert refusal.error in {"CertificateBalanceNotToBegin", "CertificateBalanceNotCounting"}
    assert new.refusal("admin", BALANCE, "begin").error == "CertificateBalanceNotToBegin"
    assert old.refusal("authority", BALANCE, "handOver", new.addresses[BALANCE]).error == "CertificateBalanceNotToBegin"
    name(new)
    assert old.refusal("authority", BALANCE, "handOver", new.addresses[BALANCE]) is None
    assert old.ask(BALANCE, "phase") == 1


def test_false_predecessor_lets_nothing_count(world, key):
    """Whoever creates a contract chooses its predecessor, which could invent any quantity."""
    owner = with_contract(world, code=creation_of(a_false_predecessor()))
    false = owner.addresses[BALANCE]
    fresh = with_contract(world, false)
    call = bytes(12) + bytes.fromhex(fresh.addresses[BALANCE][2:])
    with pytest.raises(CallReverted) as reverted:
        world.chain.call(false, call, world.address("stranger"))
    assert refusal_of(reverted.value.data).error == "CertificateBalanceNotToBegin"
    name(fresh)
    world.chain.call(false, call, world.address("stranger"))


def a_false_predecessor():
    """Code that says to be counting, and lets the contract begin at whose address it is called."""
    take_over = interface(BALANCE).selector("takeOver").hex()
    says_so = "5b60015f5260205ff3"
    calls = f"63{take_over}60e01b5f525f5f60045f5f5f355af1"
    fails = "3d5f5f3e3d5ffd"
    # calldatasize == 4 is the question for the phase; whatever else is an address.
    tail = f"{calls}60%02x57{fails}5b00"
    end = 7 + len(tail % 0) // 2
    return bytes.fromhex(f"3660041460{end:02x}57" + tail % (end - 2) + says_so)


def creation_of(code):
    """Code that puts other code on the chain: it copies what follows itself."""
    return bytes.fromhex(f"60{len(code):02x}80600a5f395ff300") + code


# ---- after a contract of an earlier version, which cannot hand over


def test_earlier_contract_is_followed_with_what_is_left(world, key):
    """Recorded first and then begun, as ``provenport chain upgrade`` does; the ledger and its batches stay."""
    old = earlier_contract(world)
    batch = opened(old, key)
    made = [a_drawdown(batch, quantity=40)]
    draw_down(old, *made)
    new = with_contract(world, old.addresses[BALANCE])
    certificate, entry, path, _ = batch.activation(0, key)
    new.act("stranger", BALANCE, "recordActivation", certificate, entry, path)
    assert new.refusal("anchorer", BALANCE, "begin").error == "AccessManagedUnauthorized"
    name(new)
    new.act("authority", BALANCE, "begin")
    copy = Batch(world, entries=[batch.entries[0]], ends=(1, 1, 1, 1))
    assert new.refusal("anchorer", BALANCE, "open", *copy.activation(0, key)).error == "CertificateBalanceAlreadyOpened"
    assert (remaining(new, batch), refused(new, *made).error) == (60, "CertificateBalanceAlreadyDrawn")
    assert refused(new, a_drawdown(batch, declaration=10, quantity=61)).error == "CertificateBalanceOverdrawn"
    batch.change(9, DeclarationStatus.REJECTED)
    new.act("anchorer", BALANCE, "giveBack", *refund(made, 0))
    assert remaining(new, batch) == 100
    supersede(batch)
    newer = successors(world, 100)
    assert new.refusal("anchorer", BALANCE, "openSuccessor", *carried(newer, 0, key, batch)) is None
    assert handed_over(new).ask(BALANCE, "isActivated", leaf_hash(entry))


def test_only_real_activations_of_earlier_contracts_are_recorded(world, key):
    """Or a stranger could spoil a certificate that was never activated."""
    old = earlier_contract(world)
    batch = opened(old, key)
    new = with_contract(world, old.addresses[BALANCE])
    never, entry, path, _ = batch.activation(1, key)
    assert new.refusal("stranger", BALANCE, "recordActivation", never, entry, path).error == (
        "CertificateBalanceNotOpened"
    )
    real, _, real_path, _ = batch.activation(0, key)
    for wrong in ((entry, real_path), (batch.entries[0], path), (secrets.token_bytes(49), real_path)):
        assert (
            new.refusal("stranger", BALANCE, "recordActivation", real, *wrong).error == "CertificateBalanceNotIncluded"
        )
    current = counting(world)
    kept = opened(current, key)
    after = with_contract(world, current.addresses[BALANCE])
    place, entry, path, _ = kept.activation(0, key)
    assert after.refusal("stranger", BALANCE, "recordActivation", place, entry, path).error == (
        "CertificateBalanceNotOpened"
    )
