"""Contract and verdict judge alike, on histories that chance makes: what the ledger held when, and what that covers.

Each history is written to the contract, on a real EVM whose clock the test moves, and to the ledger in memory. After
each step both are asked about signatures whose moments lie at the edges of the history.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from eth.vm.message import Message
from eth_abi import decode, encode
from eth_utils.address import to_canonical_address
from eth_utils.crypto import keccak

from backend.adapters.chains.embedded import EmbeddedChain
from backend.adapters.ledger import accounts_from_keys, deploy
from backend.adapters.ledger.calls import refusal
from backend.domain import record_checks, signature_terms
from backend.domain.ledger import Accredit, Accreditation, LedgerCall, RotateKey, SuspendAccreditation, accreditation_in
from backend.domain.record_checks import _Case, issuer_accredited
from backend.domain.signature_terms import SignatureTerms
from backend.domain.verdict import LedgerFacts
from contracts import load
from tests.helpers.builders import a_record, certificate_fields, evidence_for, facts_for
from tests.helpers.fakes import Clock, FakeLedger
from verifier import verify

START = 1_800_000_000
HOUR, DAY = 3600, 86_400
ORIGIN, CHAPTER = 1, 94
STEPS = 25


TYPES = {
    one["name"]: [i["type"] for i in one["inputs"]] for one in load("Accreditation").abi if one["type"] == "function"
}
SELECTORS = {name: keccak(text=f"{name}({','.join(types)})")[:4] for name, types in TYPES.items()}
"""By hand: to find and to encode each of so many calls by the whole interface would take most of the time."""


class Contract:
    """The contract in an EVM of which no block is ever made, so that its clock may be moved by any step."""

    def __init__(self, state, accreditation: str, authority: str) -> None:
        self._state, self.time = state, START
        self._to, self._authority = to_canonical_address(accreditation), to_canonical_address(authority)
        self._context = state.get_transaction_context_class()(gas_price=0, origin=self._authority)

    def call(self, function: str, *arguments) -> bytes:
        """Answer a call, or raise ``Refused``."""
        self._state.execution_context._timestamp = self.time
        data = SELECTORS[function] + encode(TYPES[function], arguments)
        message = Message(10_000_000, self._to, self._authority, 0, data, self._state.get_code(self._to))
        done = self._state.computation_class.apply_message(self._state, message, self._context)
        if done.is_error:
            raise Refused(refusal(done.output).error)
        return done.output

    def ask(self, function: str, *arguments) -> int:
        return int.from_bytes(self.call(function, *arguments), "big")

    def take(self, call: LedgerCall) -> str | None:
        """Do what the call says; give the error's name where it is refused."""
        try:
            match call:
                case Accredit(key, terms):
                    span = seconds(terms.valid_from), seconds(terms.valid_until)
                    self.call("accredit", key, terms.kinds, terms.chapters, *span)
                case SuspendAccreditation(key, None):
                    self.call("reinstate", key)
                case SuspendAccreditation(key, since):
                    self.call("suspend", key, seconds(since))
                case RotateKey(key, successor):
                    self.call("rotate", key, successor)
        except Refused as refused:
            return str(refused)
        return None

    def terms_of_signature(self, key: bytes, moment: int, anchored: int) -> SignatureTerms:
        words = decode(["uint256"] * 10, self.call("termsOfSignature", key, moment, anchored))
        return SignatureTerms(accreditation_in(words[:5]), accreditation_in(words[5:]))


class Refused(Exception):
    """By the contract, with its error's name."""


def at(moment: int) -> datetime:
    return datetime.fromtimestamp(moment, UTC)


def seconds(moment: datetime) -> int:
    return int(moment.timestamp())


@contextmanager
def a_contract(folder: Path, *, takes_over: bool = False) -> Iterator[Contract]:
    accounts = accounts_from_keys(
        {name: name.encode().rjust(32, b"k") for name in ("authority", "anchorer", "office", "admin")}
    )
    with EmbeddedChain(
        folder / "chain.sqlite", [one.address for one in accounts.values()], in_real_time=False
    ) as chain:
        put = deploy(chain, accounts, takes_over=takes_over)
        with chain.asking() as inner, inner.get_vm(inner.get_canonical_head()).in_costless_state() as state:
            yield Contract(state, put.accreditation, accounts["authority"].address)


@dataclass
class History:
    """One key's history, as it grows on both sides."""

    contract: Contract
    chance: random.Random
    ledger: FakeLedger
    key: bytes
    moments: list[int]

    def step(self) -> None:
        """Let time pass, then do the same on both sides: they take it, or refuse it for the same reason."""
        self.contract.time += self.chance.choice(
            (0, 1, 60, 299, 300, 301, HOUR, 71 * HOUR, 72 * HOUR, 73 * HOUR, 20 * DAY)
        )
        self.ledger.clock.time = at(self.contract.time)
        call = self._call()
        signed = self.ledger.sign(call, self.ledger.next_nonce("authority"))
        self.ledger.send(signed.raw)
        refused = self.ledger.receipt(signed.transaction_hash).refusal
        assert (call, self.contract.take(call)) == (call, refused)
        self.moments += [self.contract.time, *(seconds(moment) for moment in _moments_in(call))]

    def _call(self) -> LedgerCall:
        now, chance = self.contract.time, self.chance
        match chance.randrange(12):
            case 0 | 1 | 2 | 3 | 4:
                start = now + chance.choice((-200 * DAY, -DAY, -60, 0, 60))
                until = start + chance.choice((-1, HOUR, 30 * DAY, 300 * DAY, 900 * DAY, 900 * DAY, 2**34))
                kinds = chance.choice((0, *[1 << ORIGIN] * 6, 0xFFFF, 1 << 15))
                chapters = chance.choice((1, 1, *[1 << CHAPTER] * 3, 1 << CHAPTER | 1 << 99, 1 << 61, 1 << 100))
                return Accredit(self.key, Accreditation(kinds, chapters, at(start), at(until)))
            case 5 | 6:
                return SuspendAccreditation(self.key, at(now - chance.choice((-1, 0, 0, 1, HOUR, 10 * DAY))))
            case 7 | 8 | 9 | 10:
                return SuspendAccreditation(self.key, None)
            case _:
                successors = (bytes(32), self.key, chance.randbytes(32))
                return RotateKey(self.key, chance.choice(successors))

    def questions(self, number: int) -> Iterator[tuple[int, int]]:
        """Moments of signing and of anchoring at the edges of what happened."""
        for _ in range(number):
            moment = max(0, self._edge())
            late = self.chance.choice((-300, 0, 0, 1, HOUR, 72 * HOUR - 1, 72 * HOUR, 72 * HOUR + 1, 80 * HOUR, None))
            yield moment, max(moment - 300, self._edge()) if late is None else max(0, moment + late)

    def _edge(self) -> int:
        return self.chance.choice(self.moments) + self.chance.choice(
            (-301, -300, -1, 0, 0, 1, 72 * HOUR, 72 * HOUR + 1)
        )


def _moments_in(call: LedgerCall) -> list[datetime]:
    terms = getattr(call, "accreditation", None)
    return [terms.valid_from, terms.valid_until] if terms else [m for m in [getattr(call, "since", None)] if m]


def histories(contract: Contract, seed: str, *, takes_over: bool = False) -> Iterator[History]:
    """Histories of one key after another."""
    for number in count():
        chance = random.Random(f"{seed} {number}")
        ledger = FakeLedger(Clock(at(contract.time)))
        if takes_over:
            ledger._state.taken_over_until = at(contract.ask("takenOverUntil"))
        yield History(contract, chance, ledger, chance.randbytes(32), [contract.time])


EVIDENCE = evidence_for(a_record(fields=certificate_fields(hsCode=f"{CHAPTER}0540")))
FACTS = facts_for(EVIDENCE)


def disagreement(history: History, moment: int, anchored: int) -> tuple[bool, str | None]:
    """Whether a certificate of these times is covered, and in what contract, verdict and program differ about it."""
    key, now = history.key, history.ledger.accreditation(history.key)
    ours = history.ledger.terms_of_signature(key, at(moment), at(anchored))
    covered = bool(history.contract.ask("wasAccredited", key, ORIGIN, CHAPTER, moment, anchored))
    if ours != history.contract.terms_of_signature(key, moment, anchored):
        return covered, "terms"
    if covered != (verdict_on(now, ours, moment, anchored) == "accredited"):
        return covered, "verdict"
    if covered != (program_on(now, ours, moment, anchored) == "accredited"):
        return covered, "program"
    return covered, None


def verdict_on(now: Accreditation | None, terms: SignatureTerms, moment: int, anchored: int) -> str:
    """What ISSUER_ACCREDITED says of a certificate of these times."""
    payload = {**EVIDENCE.record.payload, "validFrom": at(moment).isoformat()}
    evidence = replace(EVIDENCE, record=replace(EVIDENCE.record, payload=payload))
    facts = LedgerFacts(
        as_of=at(anchored),
        batch=replace(FACTS.batch, anchored_at=at(anchored)),
        status=0,
        accreditation=now,
        accreditation_at_issue=terms.signed_under,
        accreditation_at_anchoring=terms.anchored_under,
    )
    return issuer_accredited(_Case(evidence, facts, at(anchored)))[0].reason


def program_on(now: Accreditation | None, terms: SignatureTerms, moment: int, anchored: int) -> str:
    """What the program for verifying says of the same."""
    record = {
        "payload": {**EVIDENCE.record.payload, "validFrom": at(moment).isoformat()},
        "subject": dict(EVIDENCE.record.subject),
    }
    found = {
        "time": at(anchored),
        "accreditation": stated(now),
        "accreditationAtIssue": stated(terms.signed_under),
        "accreditationAtAnchoring": stated(terms.anchored_under),
    }
    one = {"record": record, "entry": {"kind": ORIGIN}}
    return verify.evaluate_issuer(one, found, None, at(anchored))[0][2]


def stated(terms: Accreditation | None):
    if terms is None:
        return None
    return {
        "kinds": terms.kinds,
        "chapters": terms.chapters,
        "from": terms.valid_from,
        "until": terms.valid_until,
        "since": terms.suspended_since,
    }


def compare(
    contract: Contract, keys: int, seed: str, *, asked: int = 2, takes_over: bool = False
) -> tuple[int, int, str | None]:
    """Grow so many keys' histories and compare after each step.

    Returns the number of histories (each beginning of one is a history too), that of covered questions, and the first
    disagreement.
    """
    grown = covered = 0
    for history, _ in zip(histories(contract, seed, takes_over=takes_over), range(keys), strict=False):
        for _ in range(STEPS):
            history.step()
            grown += 1
            for moment, anchored in history.questions(asked):
                is_covered, found = disagreement(history, moment, anchored)
                covered += is_covered
                if found is not None:
                    return grown, covered, f"{found}: {moment} {anchored} {history.ledger._state.history}"
    return grown, covered, None


@pytest.fixture(scope="module")
def contract(tmp_path_factory) -> Iterator[Contract]:
    with a_contract(tmp_path_factory.mktemp("terms")) as put:
        yield put


def test_contract_and_verdict_agree_on_histories(contract):
    grown, covered, found = compare(contract, 8, "few")
    assert found is None
    assert grown == 8 * STEPS
    assert covered > 40  # of what is asked, enough is covered


@pytest.mark.slow
def test_contract_and_verdict_agree_on_many_histories(contract):
    grown, covered, found = compare(contract, 400, "many", asked=1)
    assert found is None
    assert grown >= 10_000
    assert covered > 1000


def test_ledger_taking_over_agrees_too(tmp_path):
    with a_contract(tmp_path, takes_over=True) as put:
        until = put.ask("takenOverUntil")
        put.time = until - 3 * DAY
        _, covered, found = compare(put, 4, "taking over", takes_over=True)
        assert found is None
        assert covered > 10


FAULTS = {
    "a shorter grace": ((signature_terms, "GRACE", timedelta(hours=72, seconds=-1)), "terms"),
    "no tolerance of clocks": ((signature_terms, "CLOCK_TOLERANCE", timedelta(0)), "terms"),
    "lifted suspensions forgotten": ((signature_terms.Suspension, "touches", lambda *_: False), "terms"),
    "a longer grace in the program": ((verify, "GRACE", timedelta(hours=73)), "program"),
    "an end forgotten in the verdict": ((record_checks, "has_ended", lambda *_: False), "verdict"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(contract, monkeypatch, fault):
    (where, name, planted), expected = FAULTS[fault]
    monkeypatch.setattr(where, name, planted)
    _, _, found = compare(contract, 40, fault)
    assert found is not None
    assert found.startswith(expected)
