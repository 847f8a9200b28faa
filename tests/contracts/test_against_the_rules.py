"""Contracts and Python's rules say the same of random sequences of acts, over several anchorers and offices.

A sequence is drawn from a seed and tried on the embedded EVM, act by act: what was accepted, and what the contracts
hold of it then, is its trace. The rules, written here from ``backend.domain.ledger``, must accept the same acts and
hold the same. Rules with a planted fault must differ from every trace.
"""

import os
import random
import secrets
from dataclasses import dataclass, field

import pytest

from backend.domain.evidence import Tree
from backend.domain.ledger import (
    DOCUMENT_EDGES,
    OFFICE_EDGES,
    WITHDRAWAL_EDGES,
    DeclarationStatus,
    LedgerDrawdown,
    LedgerRecord,
    MakeDrawdowns,
)
from backend.services.anchoring.status_changes import REFUNDING
from tests.contracts.test_certificate_balance import NO_END, an_accredited_key

ANCHORERS, OFFICES = ("anchorer", "other_anchorer"), ("office", "other_office")
PEOPLE = (*ANCHORERS, *OFFICES, "stranger")
TREES, CERTIFICATES, ENDS, SIZE = 3, 3, (3, 4, 20, 20), 20
DECLARATIONS = range(4, 20)
ACTS, SEEDS = 500, 20
TRIED = int(os.environ.get("SEQUENCES", "4"))
"""How many sequences are tried on the contracts: each takes them 500 transactions, most of a minute."""
QUANTITY = 100


def drawn_acts(seed, count=ACTS):
    """Acts as tuples of a name and plain values. They do not depend on what is accepted."""
    chance = random.Random(seed)
    acts = [("anchor", by, tree, chance.choice([0, *OFFICES])) for tree in range(TREES) for by in ANCHORERS]
    chance.shuffle(acts)
    while len(acts) < count:
        by, other = chance.choice(ANCHORERS), chance.choice(ANCHORERS)
        tree, office = chance.randrange(TREES), chance.choice(OFFICES)
        anybody, declaration = chance.choice(PEOPLE), chance.choice(DECLARATIONS)
        certificate = chance.randrange(CERTIFICATES)
        own, batch, quantity = (by, tree), (other, chance.randrange(TREES)), chance.randint(1, 40)
        drawn = ("draw", by, batch, certificate, own, declaration, quantity)
        acts += chance.choices(
            [
                [("anchor", anybody, tree, chance.choice([0, *OFFICES]))],
                [("status", by, (other, tree), chance.randrange(SIZE), chance.randrange(9))],
                [("status", office, own, declaration, chance.randrange(9))],
                [("status", by, own, declaration, 8)],
                [("activate", by, own, certificate)],
                [("activate", anybody, own, chance.randrange(SIZE))],
                [("allow", by, other, chance.random() < 0.5)],
                [drawn],
                [("draw", anybody, own, certificate, batch, chance.randrange(SIZE), quantity)],
                [("refund", anybody, own, declaration)],
                # What belongs together in life, else it hardly ever meets.
                [drawn, ("status", by, own, declaration, 8), ("refund", by, own, declaration)],
                [("status", office, own, declaration, 4), ("draw", *drawn[1:6], 1)],
                [drawn, ("status", office, own, declaration, 4 + seed % 4), ("refund", by, own, declaration)],
                [("toggle", by), ("allow", by, other, True), drawn, ("toggle", by)],
                [("toggle", office), ("status", office, own, declaration, 1)],
            ],
            [1, 3, 6, 2, 6, 2, 3, 8, 2, 2, 8, 8, 8, 2, 2],
        )[0]
    return acts


@dataclass
class Rules:
    """What the contracts hold, and which acts they accept; ``fault`` is what is wrong with it."""

    fault: str = ""
    suspended: set = field(default_factory=set)
    batches: dict = field(default_factory=dict)
    statuses: dict = field(default_factory=dict)
    remaining: dict = field(default_factory=dict)
    activated: set = field(default_factory=set)
    consents: set = field(default_factory=set)
    sets: set = field(default_factory=set)
    latest: dict = field(default_factory=dict)
    refunded: set = field(default_factory=set)

    def accepts(self, act):
        """Tell whether the act is accepted, and take it if so."""
        name, *arguments = act
        return getattr(self, f"_{name}")(*arguments)

    def holds(self, act):
        """What an act is about, as it stands now."""
        match act:
            case ("status", _, key, *_):
                return tuple(self.statuses.get((key, leaf), 0) for leaf in range(SIZE))
            case ("activate", _, key, leaf):
                return self.remaining.get((key, leaf), 0)
            case ("draw", _, key, leaf, *_):
                return self.remaining.get((key, leaf), 0)
            case ("refund", _, *declaration) if tuple(declaration) in self.latest:
                drawn = self.latest[tuple(declaration)]
                return self.remaining[drawn[:2]], drawn in self.refunded
        return None

    def _acts(self, person, those):
        return person in those and (person not in self.suspended or self.fault == "a suspended agent acts")

    def _toggle(self, person):
        self.suspended ^= {person}
        return True

    def _anchor(self, by, tree, office):
        is_new = (by, tree) not in self.batches
        if not self._acts(by, ANCHORERS) or not is_new:
            return False
        self.batches[by, tree] = office
        return True

    def _status(self, by, key, leaf, to):
        edge = self.statuses.get((key, leaf), 0), to
        if key not in self.batches:
            return False
        is_own = self._acts(by, ANCHORERS) and key[0] == by
        if leaf in DECLARATIONS:
            names = self.batches[key]
            may_decide = self._acts(by, OFFICES) and (names in (0, by) or self.fault == "any office decides")
            allowed = (is_own and edge in WITHDRAWAL_EDGES) or (may_decide and edge in OFFICE_EDGES)
        else:
            allowed = is_own and edge in DOCUMENT_EDGES
        if allowed:
            self.statuses[key, leaf] = to
        return allowed

    def _activate(self, by, key, leaf):
        entry = (key, leaf) if self.fault == "copies have accounts" else (key[1], leaf)
        if key not in self.batches or key[0] != by or not self._acts(by, ANCHORERS) or leaf >= CERTIFICATES:
            return False
        if self.statuses.get((key, leaf), 0) or entry in self.activated:
            return False
        self.activated.add(entry)
        self.remaining[key, leaf] = QUANTITY
        return True

    def _allow(self, by, other, is_allowed):
        if not self._acts(by, ANCHORERS):
            return False
        (self.consents.add if is_allowed else self.consents.discard)((by, other))
        return True

    def _draw(self, by, key, leaf, batch, declaration, quantity):
        drawn = key, leaf, batch, declaration, quantity
        if not self._acts(by, ANCHORERS) or batch not in self.batches or batch[0] != by or drawn in self.sets:
            return False
        if declaration not in DECLARATIONS or quantity > self.remaining.get((key, leaf), 0):
            return False
        status = DeclarationStatus(self.statuses.get((batch, declaration), 0))
        is_open = status.is_open or (self.fault == "released goods draw" and status is DeclarationStatus.RELEASED)
        is_allowed = key[0] == by or (key[0], by) in self.consents or self.fault == "nobody consents"
        if not is_open or not is_allowed or self.statuses.get((key, leaf), 0):
            return False
        self.sets.add(drawn)
        self.latest[batch, declaration] = drawn
        self.remaining[key, leaf] -= quantity
        return True

    def _refund(self, by, batch, declaration):
        """Refund what was drawn for a declaration last."""
        drawn = self.latest.get((batch, declaration))
        if not self._acts(by, ANCHORERS) or drawn is None or drawn in self.refunded:
            return False
        ends = REFUNDING if self.fault != "withdrawn goods stay drawn" else REFUNDING[:2]
        if self.statuses.get((batch, declaration), 0) not in ends:
            return False
        self.refunded.add(drawn)
        self.remaining[drawn[:2]] += drawn[-1]
        return True


FAULTS = (
    "a suspended agent acts",
    "any office decides",
    "copies have accounts",
    "released goods draw",
    "nobody consents",
    "withdrawn goods stay drawn",
)


def first_difference(rules, trace):
    """The first act of a trace of which the rules say something else, with what both say; None where there is none."""
    for act, accepted, held in trace:
        said = rules.accepts(act)
        if (said, rules.holds(act)) != (accepted, held):
            return act, (said, rules.holds(act)), (accepted, held)
    return None


def trace_of_rules(seed):
    """What the rules themselves make of a sequence."""
    rules = Rules()
    return [(act, rules.accepts(act), rules.holds(act)) for act in drawn_acts(seed)]


def an_entry(kind):
    return bytes([kind]) + (QUANTITY if kind == 1 else 0).to_bytes(16, "big") + secrets.token_bytes(32)


class Contracts:
    """The same questions to the contracts, on batches of this sequence's own."""

    def __init__(self, world):
        self.world, self.key = world, an_accredited_key(world)
        kinds = [1] * CERTIFICATES + [2] + [3] * len(DECLARATIONS)
        self.entries = [[an_entry(kind) for kind in kinds] for _ in range(TREES)]
        self.trees = [Tree(entries) for entries in self.entries]
        self.numbers = {who: world.ask("TraceLedger", "agentOf", world.address(who))[1] for who in PEOPLE[:4]}
        self.times, self.latest, self.suspended = {}, {}, set()
        for who in ANCHORERS:
            for other in ANCHORERS:
                world.act(who, "CertificateBalance", "allowDrawdowns", world.address(other), False)

    def batch(self, key):
        return self.world.batch_key(key[0], self.trees[key[1]].root)

    def accepts(self, act):
        call = self._call(act)
        if call is None or self.world.refusal(*call) is not None:
            return False
        self.world.act(*call)
        self._note(act)
        return True

    def _note(self, act):
        match act:
            case ("anchor", by, tree, _):
                self.times[by, tree] = int(self.world.chain.head().time.timestamp())
            case ("draw", _, key, leaf, batch, declaration, quantity):
                places = LedgerRecord(self.batch(key), leaf), LedgerRecord(self.batch(batch), declaration)
                self.latest[batch, declaration] = MakeDrawdowns((LedgerDrawdown(*places, quantity),))
            case ("toggle", person):
                self.suspended ^= {person}

    def _call(self, act):
        match act:
            case ("anchor", by, tree, office):
                fields = sum(end << bit for end, bit in zip(ENDS, (104, 136, 168, 200), strict=True))
                fields |= (self.numbers[office] if office else 0) << 232
                return by, "TraceLedger", "anchorFor", self.trees[tree].root, fields
            case ("status", by, key, leaf, to):
                change = [(0, (to + 1) << 4 * leaf)]
                return by, "TraceLedger", "changeStatuses", self.batch(key), change, b"\x2a" * 32
            case ("activate", by, key, leaf):
                path, time = list(self.trees[key[1]].proof(leaf).path), self.times.get(key, 10)
                place, entry = (self.batch(key), leaf), self.entries[key[1]][leaf]
                return by, "CertificateBalance", "open", place, entry, path, (self.key, 9, time - 5, NO_END)
            case ("allow", by, other, is_allowed):
                return by, "CertificateBalance", "allowDrawdowns", self.world.address(other), is_allowed
            case ("draw", by, key, leaf, batch, declaration, quantity):
                drawdown = (self.batch(key), leaf, self.batch(batch), declaration, quantity)
                return by, "CertificateBalance", "draw", [drawdown]
            case ("refund", by, *declaration):
                if tuple(declaration) not in self.latest:
                    return None
                made = self.latest[tuple(declaration)]
                (one,) = made.drawdowns
                places = one.certificate, one.declaration
                drawdown = (*(value for place in places for value in (place.batch_key, place.leaf_index)), one.quantity)
                return by, "CertificateBalance", "giveBack", drawdown, made.set_root, 0, []
            case ("toggle", person):
                account, role = self.world.address(person), 1 if person in ANCHORERS else 2
                if person in self.suspended:
                    return "authority", "TraceLedger", "registerAgent", account, role
                return "authority", "TraceLedger", "suspendAgent", account
        raise AssertionError(act)

    def holds(self, act):
        match act:
            case ("status", _, key, *_):
                word = self.world.ask("TraceLedger", "statusWord", self.batch(key), 0)
                return tuple(word >> 4 * leaf & 15 for leaf in range(SIZE))
            case ("activate", _, key, leaf) | ("draw", _, key, leaf, *_):
                return self.world.ask("CertificateBalance", "balanceOf", self.batch(key), leaf)[1]
            case ("refund", _, *declaration) if tuple(declaration) in self.latest:
                made = self.latest[tuple(declaration)]
                place = made.drawdowns[0].certificate.batch_key, made.drawdowns[0].certificate.leaf_index
                word = self.world.ask("CertificateBalance", "drawingOf", made.set_root)
                return self.world.ask("CertificateBalance", "balanceOf", *place)[1], word & 1 == 1
        return None

    def end(self):
        """Leave everybody in office, for the next sequence."""
        for person in sorted(self.suspended):
            self.world.act(*self._call(("toggle", person)))


@pytest.fixture(scope="module")
def traces(world):
    """What the contracts made of every sequence."""
    found = []
    for seed in range(TRIED):
        contracts = Contracts(world)
        found.append([(act, contracts.accepts(act), contracts.holds(act)) for act in drawn_acts(seed)])
        contracts.end()
    return found


@pytest.mark.slow
def test_contracts_and_rules_say_the_same(traces):
    assert [first_difference(Rules(), trace) for trace in traces] == [None] * TRIED


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_rules_with_a_fault_differ_from_contracts(traces, fault):
    assert all(first_difference(Rules(fault), trace) is not None for trace in traces)


@pytest.mark.slow
def test_every_act_is_accepted_and_refused(traces):
    """Else a sequence would compare nothing but refusals."""
    for name in ("anchor", "status", "activate", "allow", "draw", "refund"):
        answers = {accepted for trace in traces for act, accepted, _ in trace if act[0] == name}
        assert answers == {True, False}, name


@pytest.mark.parametrize("fault", FAULTS)
def test_sequences_reach_every_planted_fault(fault):
    """Without the contracts, as the rules alone say: so that every sequence is long enough."""
    assert all(first_difference(Rules(fault), trace_of_rules(seed)) for seed in range(SEEDS))
