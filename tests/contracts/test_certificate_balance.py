"""A certificate's quantity: activated by proof, drawn down never beyond what remains, refunded once."""

import secrets
from dataclasses import replace
from hashlib import sha256

import pytest

from backend.domain import sd_jwt
from backend.domain.evidence import Entry, Tree, leaf_hash
from backend.domain.kinds import Kind
from backend.domain.ledger import (
    DeclarationStatus,
    DocumentStatus,
    LedgerDrawdown,
    LedgerRecord,
    MakeDrawdowns,
    batch_key,
)
from tests.helpers.builders import a_record

NO_END = 2**40 - 1
DIGEST = b"\x2a" * 32
ALREADY = "CertificateBalanceAlreadyOpened"
COFFEE = 1 << 9
BALANCE = "CertificateBalance"


class Batch:
    """Eight certificates of 100 each, one report, ten declarations and an invoice, anchored; or other entries."""

    def __init__(self, world, by="anchorer", quantity=100, entries=None, ends=(8, 9, 19, 20)):
        kinds = [1] * 8 + [2] + [3] * 10 + [4]
        self.entries = entries or [
            bytes([kind]) + (quantity if kind == 1 else 0).to_bytes(16, "big") + secrets.token_bytes(32)
            for kind in kinds
        ]
        self.tree = Tree(self.entries)
        self.world, self.by = world, by
        world.act(by, "TraceLedger", "anchor", self.tree.root, *ends)
        self.key = world.batch_key(by, self.tree.root)
        self.time = int(world.chain.head().time.timestamp())

    def activation(self, leaf_index, key, **stated):
        """The arguments that activate a certificate of this batch."""
        parts = {
            "entry": self.entries[leaf_index],
            "chapter": 9,
            "issued_at": self.time - 5,
            "valid_until": NO_END,
        } | stated
        statement = (key, parts["chapter"], parts["issued_at"], parts["valid_until"])
        return (self.key, leaf_index), parts["entry"], list(self.tree.proof(leaf_index).path), statement

    def change(self, leaf_index, status, by="office"):
        changes = [(leaf_index // 64, (status + 1) << 4 * (leaf_index % 64))]
        self.world.act(by, "TraceLedger", "changeStatuses", self.key, changes, DIGEST)


@pytest.fixture
def key(world):
    return an_accredited_key(world)


@pytest.fixture
def batch(world, key):
    batch = Batch(world)
    for leaf_index in (0, 1):
        world.act("anchorer", BALANCE, "open", *batch.activation(leaf_index, key))
    return batch


def an_accredited_key(world, **terms):
    key, now = secrets.token_bytes(32), int(world.chain.head().time.timestamp())
    stated = {"kinds": 1 << 1, "chapters": COFFEE, "valid_from": now - 1000, "valid_until": now + 10**6} | terms
    world.act("authority", "Accreditation", "accredit", key, *stated.values())
    return key


def a_drawdown(batch, certificate=0, declaration=9, quantity=30, declarations=None):
    return (batch.key, certificate, (declarations or batch).key, declaration, quantity)


def draw_down(world, *drawdowns, by="anchorer"):
    return world.act(by, BALANCE, "draw", list(drawdowns))


def refused(world, *drawdowns, by="anchorer"):
    return world.refusal(by, BALANCE, "draw", list(drawdowns))


def drawn(*drawdowns):
    return MakeDrawdowns(
        tuple(LedgerDrawdown(LedgerRecord(d[0], d[1]), LedgerRecord(d[2], d[3]), d[4]) for d in drawdowns)
    )


def refund(drawdowns, position):
    """The arguments that refund one of these drawdowns."""
    path = Tree([draw.leaf for draw in drawn(*drawdowns).drawdowns]).proof(position).path
    return drawdowns[position], drawn(*drawdowns).set_root, position, list(path)


def remaining(world, batch, leaf_index=0):
    return world.ask(BALANCE, "balanceOf", batch.key, leaf_index)[1]


# ---- activation


def test_activated_certificate_shows_what_it_covers(world, batch, key):
    quantity, remaining, issuer, valid_until = world.ask(BALANCE, "balanceOf", batch.key, 0)
    assert (quantity, remaining, valid_until) == (100, 100, NO_END)
    assert world.ask("Accreditation", "keyOf", issuer) == key
    assert world.ask(BALANCE, "balanceOf", batch.key, 2) == (0, 0, 0, 0)


def test_certificate_activated_twice_is_refused(world, batch, key):
    refusal = world.refusal("anchorer", BALANCE, "open", *batch.activation(0, key))
    assert refusal.error == "CertificateBalanceAlreadyOpened"


@pytest.mark.parametrize("person", ["anchorer", "other_anchorer"])
def test_certificate_anchored_once_more_is_activated_once(world, batch, key, person):
    """By its own anchorer in another batch, or by somebody else: or its quantity would be there twice."""
    copies = [batch.entries[0], batch.entries[2], bytes([3]) + bytes(16) + secrets.token_bytes(32)]
    again = Batch(world, person, entries=copies, ends=(2, 2, 3, 3))
    refusal = world.refusal(person, BALANCE, "open", *again.activation(0, key))
    assert refusal.error == "CertificateBalanceAlreadyOpened"
    world.act(person, BALANCE, "open", *again.activation(1, key))
    assert world.refusal("anchorer", BALANCE, "open", *batch.activation(2, key)).error == refusal.error
    twice = Batch(world, person, entries=[batch.entries[3]] * 2, ends=(2, 2, 2, 2))
    world.act(person, BALANCE, "open", *twice.activation(1, key))
    assert world.refusal(person, BALANCE, "open", *twice.activation(0, key)).error == refusal.error


def test_signatures_other_form_is_another_certificate_here(world, key):
    """The contract sees a digest, and so takes (r, n - s) for another record: readers refuse it (decision 0033)."""
    record = a_record(anchorer={"agent": 1})
    texts = record.signed_jwt, sd_jwt.with_other_signature(record.signed_jwt)
    assert all(sd_jwt.is_signed_by_its_key(replace(record, signed_jwt=text)) for text in texts)
    entries = [Entry(Kind.CERTIFICATE_OF_ORIGIN, 100, sha256(text.encode()).digest()).encode() for text in texts]
    twins = Batch(world, entries=entries, ends=(2, 2, 2, 2))
    for leaf_index in range(2):
        world.act("anchorer", BALANCE, "open", *twins.activation(leaf_index, key))
    assert [sd_jwt.has_lower_s(text) for text in texts] == [True, False]


def named(batch, leaf_index, key, superseded=(bytes(32), 0)):
    return *batch.activation(leaf_index, key), superseded


def test_own_anchorer_activates_beside_anothers_copy(world, batch, key):
    """Once, and with an account of its own; the copy's stays what it was."""
    copies = Batch(world, "other_anchorer", entries=[batch.entries[2], batch.entries[3]], ends=(2, 2, 2, 2))
    assert world.refusal("anchorer", BALANCE, "openNamed", *named(batch, 4, key)) is None
    world.act("other_anchorer", BALANCE, "open", *copies.activation(0, key))
    assert world.refusal("anchorer", BALANCE, "open", *batch.activation(2, key)).error == ALREADY
    world.act("anchorer", BALANCE, "openNamed", *named(batch, 2, key))
    draw_down(world, a_drawdown(batch, certificate=2, quantity=70))
    assert (remaining(world, batch, 2), remaining(world, copies)) == (30, 100)
    leaf = leaf_hash(batch.entries[2])
    numbers = [world.ask("TraceLedger", "agentOf", world.address(who))[1] for who in ("other_anchorer", "anchorer")]
    assert world.ask(BALANCE, "activatorOf", leaf) == numbers[0]
    assert world.ask(BALANCE, "activatorOf", batch_key(numbers[1], leaf)) == numbers[1]
    assert world.ask(BALANCE, "activatorOf", leaf_hash(batch.entries[5])) == 0


@pytest.mark.parametrize("is_copied", [False, True])
def test_own_anchorer_activates_its_certificate_once(world, batch, key, is_copied):
    """Whoever was first: in another batch of its own it gets no second account."""
    if is_copied:
        copies = Batch(world, "other_anchorer", entries=[batch.entries[2]] * 2, ends=(2, 2, 2, 2))
        world.act("other_anchorer", BALANCE, "open", *copies.activation(0, key))
        assert world.refusal("other_anchorer", BALANCE, "openNamed", *named(copies, 1, key)).error == ALREADY
    world.act("anchorer", BALANCE, "openNamed", *named(batch, 2, key))
    again = Batch(world, entries=[batch.entries[2]] * 2, ends=(2, 2, 2, 2))
    for leaf_index in range(2):
        assert world.refusal("anchorer", BALANCE, "openNamed", *named(again, leaf_index, key)).error == ALREADY
        assert world.refusal("anchorer", BALANCE, "open", *again.activation(leaf_index, key)).error == ALREADY


def test_named_certificate_goes_on_with_its_account(world, batch, key):
    """openNamed carries over too, by the same rules."""
    newer = Batch(world, entries=[bytes([1]) + (100).to_bytes(16, "big") + secrets.token_bytes(32)], ends=(1, 1, 1, 1))
    copies = Batch(world, "other_anchorer", entries=newer.entries, ends=(1, 1, 1, 1))
    world.act("other_anchorer", BALANCE, "open", *copies.activation(0, key))
    draw_down(world, a_drawdown(batch, quantity=30))
    place = (batch.key, 0)
    refusal = world.refusal("anchorer", BALANCE, "openNamed", *named(newer, 0, key, place))
    assert refusal.error == "CertificateBalanceNotSuperseded"
    batch.change(0, DocumentStatus.SUPERSEDED, "anchorer")
    world.act("anchorer", BALANCE, "openNamed", *named(newer, 0, key, place))
    assert (remaining(world, newer), remaining(world, batch)) == (70, 0)


def test_revoked_certificates_copy_is_not_activated(world, batch, key):
    """By its own anchorer in a later batch; what another revokes of a copy stops nobody."""
    copies = Batch(world, "other_anchorer", entries=[batch.entries[3]] * 2, ends=(2, 2, 2, 2))
    for one, leaf_index, by in ((batch, 2, "anchorer"), (copies, 0, "other_anchorer")):
        one.change(leaf_index, DocumentStatus.REVOKED, by)
        path = list(one.tree.proof(leaf_index).path)
        world.act("stranger", "Revocations", "publish", one.key, leaf_index, one.entries[leaf_index], path)
    again = Batch(world, entries=[batch.entries[2], batch.entries[3]], ends=(2, 2, 2, 2))
    refusal = world.refusal("anchorer", BALANCE, "open", *again.activation(0, key))
    assert refusal.error == "CertificateBalanceRevokedElsewhere"
    assert world.refusal("other_anchorer", BALANCE, "open", *copies.activation(1, key)).error == refusal.error
    world.act("anchorer", BALANCE, "open", *again.activation(1, key))


# Why an anchorer gets no refund by itself where the agent of the declaration is gone: candidates of decision 0029


def drawn_by_one_that_is_gone(world, batch):
    """A whole certificate, drawn for a declaration of another anchorer, which then loses its role."""
    world.act("anchorer", BALANCE, "allowDrawdowns", world.address("other_anchorer"), True)
    others = Batch(world, "other_anchorer")
    draw_down(world, a_drawdown(batch, quantity=100, declarations=others), by="other_anchorer")
    world.act("authority", "TraceLedger", "suspendAgent", world.address("other_anchorer"))
    return others


@pytest.fixture
def comes_back(world):
    """The other anchorer has its role again after the test."""
    yield
    world.act("authority", "TraceLedger", "registerAgent", world.address("other_anchorer"), 1)
    world.act("anchorer", BALANCE, "allowDrawdowns", world.address("other_anchorer"), False)


@pytest.mark.parametrize("status", [s for s in DeclarationStatus if s.is_open])
def test_no_wait_keeps_an_office_from_releasing(world, batch, comes_back, status):
    """Candidates 1 and 2: whatever is open, in whatever block, can still be released; the goods have left on it."""
    others = drawn_by_one_that_is_gone(world, batch)
    if status:
        others.change(9, status)
    for _ in range(5):
        world.act("stranger", "TraceLedger", "isPaused")
    refusal = world.refusal("anchorer", BALANCE, "giveBack", *refund([a_drawdown(batch, 0, 9, 100, others)], 0))
    assert refusal.error == "CertificateBalanceDeclarationStands"
    others.change(9, DeclarationStatus.RELEASED)
    assert remaining(world, batch) == 0


def test_office_without_role_decides_again(world, batch, comes_back):
    """Candidate 3: a role that is gone comes back."""
    others = drawn_by_one_that_is_gone(world, batch)
    world.act("authority", "TraceLedger", "suspendAgent", world.address("office"))
    release = [(0, (DeclarationStatus.RELEASED + 1) << 4 * 9)]
    assert world.refusal("office", "TraceLedger", "changeStatuses", others.key, release, DIGEST) is not None
    world.act("authority", "TraceLedger", "registerAgent", world.address("office"), 2)
    others.change(9, DeclarationStatus.RELEASED)


def test_what_was_refunded_is_drawn_again(world, batch):
    """Candidate 4: of a refund that would have to be undone nothing is left."""
    first = a_drawdown(batch, declaration=9, quantity=100)
    draw_down(world, first)
    batch.change(9, DeclarationStatus.REJECTED)
    world.act("anchorer", BALANCE, "giveBack", *refund([first], 0))
    draw_down(world, a_drawdown(batch, declaration=10, quantity=100))
    batch.change(10, DeclarationStatus.RELEASED)
    assert remaining(world, batch) == 0


@pytest.mark.parametrize("person", ["other_anchorer", "office_and_anchorer", "office", "authority", "stranger"])
def test_activation_by_others_than_anchorer_is_refused(world, batch, key, person):
    expected = "CertificateBalanceNotOwnBatch" if "anchorer" in person else "TraceLedgerRoleMissing"
    assert world.refusal(person, BALANCE, "open", *batch.activation(2, key)).error == expected


def test_entry_not_at_its_leaf_is_refused(world, batch, key):
    certificate, entry, path, statement = batch.activation(2, key)
    more = entry[:1] + (1000).to_bytes(16, "big") + entry[17:]
    for wrong in ((certificate, more, path), ((batch.key, 3), entry, path), (certificate, entry, path[1:])):
        refusal = world.refusal("anchorer", BALANCE, "open", *wrong, statement)
        assert refusal.error == "CertificateBalanceNotIncluded"


def test_activation_without_certificate_or_quantity_is_refused(world, batch, key):
    for leaf_index in (8, 9, 19):
        refusal = world.refusal("anchorer", BALANCE, "open", *batch.activation(leaf_index, key))
        assert refusal.error == "CertificateBalanceEntryRefused"
    for quantity in (0, 2**88, 2**128 - 1):
        odd = Batch(world, quantity=quantity)
        refusal = world.refusal("anchorer", BALANCE, "open", *odd.activation(0, key))
        assert refusal.error == "CertificateBalanceEntryRefused"
    largest = Batch(world, quantity=2**88 - 1)
    assert world.refusal("anchorer", BALANCE, "open", *largest.activation(0, key)) is None


def test_certificate_entry_outside_its_segment_is_refused(world, key):
    entry = bytes([1]) + (5).to_bytes(16, "big") + secrets.token_bytes(32)
    root = Tree([entry]).root
    world.act("anchorer", "TraceLedger", "anchor", root, 0, 0, 0, 1)
    statement = (key, 9, int(world.chain.head().time.timestamp()), NO_END)
    refusal = world.refusal("anchorer", BALANCE, "open", (world.batch_key("anchorer", root), 0), entry, [], statement)
    assert refusal.error == "CertificateBalanceNotIncluded"


def test_issuer_not_accredited_when_signing_is_refused(world, batch, key):
    now = batch.time
    stated = [
        {"chapter": 10},
        {"issued_at": now - 10**5},
        {"key": secrets.token_bytes(32)},
        {"key": an_accredited_key(world, kinds=1 << 2)},
        {"key": an_accredited_key(world, valid_until=now - 100)},
    ]
    for change in stated:
        activation = batch.activation(2, change.pop("key", key), **change)
        assert world.refusal("anchorer", BALANCE, "open", *activation).error == "CertificateBalanceIssuerNotAccredited"


@pytest.mark.parametrize("moments", [{"issued_at": 10_000}, {"valid_until": -5}])
def test_impossible_moments_are_refused(world, batch, key, moments):
    activation = batch.activation(2, key, **{name: batch.time + offset for name, offset in moments.items()})
    assert world.refusal("anchorer", BALANCE, "open", *activation).error == "CertificateBalanceMomentsRefused"


def test_renewal_keeps_earlier_signature_covered(world, batch, key):
    """New terms that begin later take nothing from what was signed before."""
    later = int(world.chain.head().time.timestamp()) + 10
    signed_at = int(world.chain.head().time.timestamp())
    world.act("authority", "Accreditation", "accredit", key, 1 << 1, COFFEE, later, later + 10**6)
    assert not world.ask("Accreditation", "isAccredited", key, 1, 9, signed_at)
    assert world.ask("Accreditation", "wasAccredited", key, 1, 9, signed_at, signed_at)
    assert world.refusal("anchorer", BALANCE, "open", *Batch(world).activation(0, key, issued_at=signed_at)) is None


# ---- drawdown


def test_drawdowns_reduce_remaining_and_keep_their_root(world, batch):
    drawdowns = [a_drawdown(batch), a_drawdown(batch, declaration=10, quantity=40), a_drawdown(batch, 1, 11, 100)]
    (event,) = draw_down(world, *drawdowns).logs
    assert (remaining(world, batch), remaining(world, batch, 1)) == (30, 0)
    assert event.topics[1] == drawn(*drawdowns).set_root
    assert world.ask(BALANCE, "drawingOf", drawn(*drawdowns).set_root) == 3 << 248


def test_drawdown_beyond_remaining_quantity_is_refused(world, batch):
    for quantity in (0, 101, 2**88 - 1):
        assert refused(world, a_drawdown(batch, quantity=quantity)).error == "CertificateBalanceOverdrawn"
    split = refused(world, a_drawdown(batch, quantity=60), a_drawdown(batch, declaration=10, quantity=41))
    assert split.error == "CertificateBalanceOverdrawn"
    assert split.arguments["remaining"] == 40
    draw_down(world, a_drawdown(batch, quantity=100))
    assert refused(world, a_drawdown(batch, quantity=1)).error == "CertificateBalanceOverdrawn"


def test_same_drawdowns_made_twice_are_refused(world, batch):
    draw_down(world, a_drawdown(batch))
    assert refused(world, a_drawdown(batch)).error == "CertificateBalanceAlreadyDrawn"
    assert remaining(world, batch) == 70


def test_drawdown_of_unactivated_certificate_is_refused(world, batch):
    assert refused(world, a_drawdown(batch, certificate=2)).error == "CertificateBalanceNotOpened"


@pytest.mark.parametrize("status", [DocumentStatus.SUSPENDED, DocumentStatus.REVOKED, DocumentStatus.SUPERSEDED])
def test_certificate_not_active_is_refused(world, batch, key, status):
    """It is neither drawn down nor activated; its neighbour of the same word may be."""
    for leaf_index in (0, 2):
        batch.change(leaf_index, status, by="anchorer")
    assert refused(world, a_drawdown(batch)).error == "CertificateBalanceNotActive"
    assert refused(world, a_drawdown(batch, 1), a_drawdown(batch)).error == "CertificateBalanceNotActive"
    assert refused(world, a_drawdown(batch, 1)) is None
    activation = batch.activation(2, key)
    assert world.refusal("anchorer", BALANCE, "open", *activation).error == "CertificateBalanceNotActive"


def test_certificate_of_suspended_issuer_is_refused(world, batch, key):
    """It is neither drawn down nor activated, until the issuer is reinstated."""
    now = int(world.chain.head().time.timestamp())
    world.act("authority", "Accreditation", "suspend", key, now)
    suspended = refused(world, a_drawdown(batch))
    assert suspended.error == "CertificateBalanceIssuerSuspended"
    assert suspended.arguments["issuerKey"] == "0x" + key.hex()
    activation = batch.activation(2, key)
    assert world.refusal("anchorer", BALANCE, "open", *activation).error == "CertificateBalanceIssuerSuspended"
    world.act("authority", "Accreditation", "reinstate", key)
    assert refused(world, a_drawdown(batch)) is None


def test_drawdown_of_expired_certificate_is_refused(world, key):
    batch = Batch(world)
    until = batch.time - 1
    world.act("anchorer", BALANCE, "open", *batch.activation(0, key, valid_until=until))
    assert refused(world, a_drawdown(batch)).error == "CertificateBalanceExpired"


def test_drawdown_by_others_than_declarations_anchorer_is_refused(world, batch):
    assert refused(world, a_drawdown(batch), by="other_anchorer").error == "CertificateBalanceNotOwnBatch"
    assert refused(world, a_drawdown(batch), by="office").error == "TraceLedgerRoleMissing"


def allow(world, is_allowed, person="other_anchorer", by="anchorer"):
    return world.act(by, BALANCE, "allowDrawdowns", world.address(person), is_allowed)


def test_certificate_of_another_needs_its_anchorers_consent(world, batch):
    """Or any anchorer, or its thief, could use up what it has no goods for."""
    theirs = Batch(world, "other_anchorer")
    drawdown = a_drawdown(batch, declarations=theirs)
    refusal = refused(world, drawdown, by="other_anchorer")
    assert (refusal.error, remaining(world, batch)) == ("CertificateBalanceDrawdownNotAllowed", 100)
    assert refusal.arguments["caller"] == world.address("other_anchorer").lower()
    # Allowing the owner, oneself, or by somebody else allows nobody.
    allow(world, True, "anchorer", by="other_anchorer")
    allow(world, True, by="other_anchorer")
    assert refused(world, drawdown, by="other_anchorer").error == "CertificateBalanceDrawdownNotAllowed"
    (event,) = allow(world, True).logs
    numbers = [world.ask("TraceLedger", "agentOf", world.address(p))[1] for p in ("anchorer", "other_anchorer")]
    assert [int.from_bytes(topic) for topic in event.topics[1:]] == numbers
    assert world.ask(BALANCE, "mayDrawDown", *numbers)
    draw_down(world, drawdown, by="other_anchorer")
    assert remaining(world, batch) == 70
    allow(world, False)
    again = a_drawdown(batch, declaration=10, declarations=theirs)
    assert refused(world, again, by="other_anchorer").error == "CertificateBalanceDrawdownNotAllowed"
    assert not world.ask(BALANCE, "mayDrawDown", *numbers)


def test_consent_is_asked_for_each_certificates_batch(world, batch, key):
    """Also where an earlier drawdown of the same call needed none."""
    theirs = Batch(world, "other_anchorer")
    world.act("other_anchorer", BALANCE, "open", *theirs.activation(0, key))
    own, foreign = a_drawdown(theirs), a_drawdown(batch, declarations=theirs)
    assert refused(world, own, by="other_anchorer") is None
    for drawdowns in ((own, foreign), (foreign, own)):
        assert refused(world, *drawdowns, by="other_anchorer").error == "CertificateBalanceDrawdownNotAllowed"


def test_only_anchorers_allow_and_only_agents_are_allowed(world):
    for person in ("office", "authority", "stranger"):
        refusal = world.refusal(person, BALANCE, "allowDrawdowns", world.address("other_anchorer"), True)
        assert refusal.error == "TraceLedgerRoleMissing"
    refusal = world.refusal("anchorer", BALANCE, "allowDrawdowns", world.address("stranger"), True)
    assert refusal.error == "CertificateBalanceAgentUnknown"


@pytest.mark.parametrize("leaf_index", [0, 8, 19, 20, 2**32 - 1])
def test_drawdown_for_no_declaration_is_refused(world, batch, leaf_index):
    assert refused(world, a_drawdown(batch, declaration=leaf_index)).error == "CertificateBalanceDeclarationUnknown"


def test_drawdown_for_ended_declaration_is_refused(world, batch):
    """Nobody gives back what was drawn down for goods that customs have released or seized."""
    ends = [status for status in DeclarationStatus if not status.is_open]
    for leaf_index, status in enumerate(ends, 9):
        batch.change(leaf_index, status, by="anchorer" if status is DeclarationStatus.WITHDRAWN else "office")
        assert refused(world, a_drawdown(batch, declaration=leaf_index)).error == "CertificateBalanceDeclarationEnded"
    for leaf_index, status in enumerate((1, 2, 3), 9 + len(ends)):
        batch.change(leaf_index, status)
        assert refused(world, a_drawdown(batch, declaration=leaf_index)) is None


def test_too_few_or_many_drawdowns_are_refused(world, batch):
    assert refused(world).error == "CertificateBalanceDrawsRefused"
    many = [a_drawdown(batch, quantity=1)] * 249
    assert refused(world, *many).error == "CertificateBalanceDrawsRefused"


# ---- successors


def entry_of(quantity):
    return bytes([1]) + quantity.to_bytes(16, "big") + secrets.token_bytes(32)


def successors(world, *quantities, by="anchorer"):
    """A batch of certificates that supersede others."""
    return Batch(world, by, entries=[entry_of(quantity) for quantity in quantities], ends=[len(quantities)] * 4)


def carried(newer, leaf_index, key, superseded, of=0, **stated):
    """The arguments that activate a certificate which supersedes another."""
    return (*newer.activation(leaf_index, key, **stated), (superseded.key, of))


def supersede(batch, leaf_index=0):
    batch.change(leaf_index, DocumentStatus.SUPERSEDED, by=batch.by)


def balance_of(world, batch, leaf_index=0):
    return tuple(world.ask(BALANCE, "balanceOf", batch.key, leaf_index)[:2])


@pytest.mark.parametrize(
    ("drawn_before", "covered", "expected"),
    [(0, 100, (100, 100)), (60, 100, (100, 40)), (60, 80, (80, 20)), (60, 150, (100, 40)), (60, 60, (60, 0))],
)
def test_successor_goes_on_with_the_account(world, batch, key, drawn_before, covered, expected):
    """It gets at most what is left, and what was drawn down counts against it."""
    if drawn_before:
        draw_down(world, a_drawdown(batch, quantity=drawn_before))
    supersede(batch)
    newer = successors(world, covered)
    logs = world.act("anchorer", BALANCE, "openSuccessor", *carried(newer, 0, key, batch)).logs
    assert (balance_of(world, newer), remaining(world, batch)) == (expected, 0)
    assert int.from_bytes(logs[-1].data[-32:]) == expected[1]
    assert world.ask(BALANCE, "carriedTo", batch.key, 0) == (newer.key, 0)
    over = a_drawdown(newer, quantity=expected[1] + 1, declarations=batch)
    assert refused(world, over).error == "CertificateBalanceOverdrawn"
    if expected[1]:
        assert refused(world, a_drawdown(newer, quantity=expected[1], declarations=batch)) is None


def test_superseded_certificate_carries_over_once(world, batch, key):
    """To one successor, neither drawn down any more itself nor activated again, whatever the ledger says of it."""
    supersede(batch)
    newer = successors(world, 100, 100)
    world.act("anchorer", BALANCE, "openSuccessor", *carried(newer, 0, key, batch))
    again = world.refusal("anchorer", BALANCE, "openSuccessor", *carried(newer, 1, key, batch))
    assert again.error == "CertificateBalanceCarriedOver"
    same = world.refusal("anchorer", BALANCE, "openSuccessor", *carried(newer, 0, key, batch, 1))
    assert same.error == "CertificateBalanceAlreadyOpened"
    assert refused(world, a_drawdown(batch, quantity=1)).error == "CertificateBalanceOverdrawn"


def test_successor_of_certificate_not_superseded_is_refused(world, batch, key):
    newer = successors(world, 100)
    for status in (None, DocumentStatus.SUSPENDED, DocumentStatus.REVOKED):
        if status is not None:
            batch.change(0, status, by="anchorer")
        refusal = world.refusal("anchorer", BALANCE, "openSuccessor", *carried(newer, 0, key, batch))
        assert refusal.error == "CertificateBalanceNotSuperseded"
    itself = world.refusal("anchorer", BALANCE, "openSuccessor", *carried(newer, 0, key, newer))
    assert itself.error == "CertificateBalanceNotSuperseded"
    supersede(batch, 2)
    unopened = world.refusal("anchorer", BALANCE, "openSuccessor", *carried(newer, 0, key, batch, 2))
    assert unopened.error == "CertificateBalanceNotOpened"
    nowhere = (*newer.activation(0, key), (secrets.token_bytes(32), 0))
    assert world.refusal("anchorer", BALANCE, "openSuccessor", *nowhere).error in {
        "CertificateBalanceDrawdownNotAllowed",
        "CertificateBalanceNotSuperseded",
    }


def test_authoritys_hold_on_superseded_one_hinders_nothing(world, batch, key):
    """Its successor is judged by its own status."""
    batch.change(0, DocumentStatus.SUSPENDED, by="authority")
    supersede(batch)
    newer = successors(world, 100)
    assert world.refusal("anchorer", BALANCE, "openSuccessor", *carried(newer, 0, key, batch)) is None
    newer.change(0, DocumentStatus.SUSPENDED, by="authority")
    refusal = world.refusal("anchorer", BALANCE, "openSuccessor", *carried(newer, 0, key, batch))
    assert refusal.error == "CertificateBalanceNotActive"


def test_successor_smaller_than_what_was_drawn_is_refused(world, batch, key):
    draw_down(world, a_drawdown(batch, quantity=60))
    supersede(batch)
    newer = successors(world, 59)
    refusal = world.refusal("anchorer", BALANCE, "openSuccessor", *carried(newer, 0, key, batch))
    assert (refusal.error, refusal.arguments["drawn"]) == ("CertificateBalanceDrawnBeyond", 60)


def test_anothers_balance_is_carried_over_with_consent_only(world, batch, key):
    """Or any anchorer could take what somebody else's certificate has left."""
    supersede(batch)
    theirs = successors(world, 100, by="other_anchorer")
    call = carried(theirs, 0, key, batch)
    assert world.refusal("other_anchorer", BALANCE, "openSuccessor", *call).error == (
        "CertificateBalanceDrawdownNotAllowed"
    )
    assert world.refusal("anchorer", BALANCE, "openSuccessor", *call).error == "CertificateBalanceNotOwnBatch"
    allow(world, True)
    assert world.refusal("other_anchorer", BALANCE, "openSuccessor", *call) is None
    allow(world, False)


def test_refund_of_superseded_certificate_reaches_its_successor(world, batch, key):
    """Over two generations, and never beyond what the last one covers."""
    first = [a_drawdown(batch, quantity=60), a_drawdown(batch, declaration=10, quantity=20)]
    draw_down(world, *first)
    supersede(batch)
    second = successors(world, 90)
    world.act("anchorer", BALANCE, "openSuccessor", *carried(second, 0, key, batch))
    assert balance_of(world, second) == (90, 10)
    draw_down(world, a_drawdown(second, declaration=11, quantity=10, declarations=batch))
    supersede(second)
    third = successors(world, 200)
    world.act("anchorer", BALANCE, "openSuccessor", *carried(third, 0, key, second))
    assert balance_of(world, third) == (90, 0)
    for leaf_index, position, left in ((9, 0, 60), (10, 1, 80)):
        batch.change(leaf_index, DeclarationStatus.REJECTED)
        world.act("anchorer", BALANCE, "giveBack", *refund(first, position))
        assert (balance_of(world, third), remaining(world, batch), remaining(world, second)) == ((90, left), 0, 0)
    again = world.refusal("anchorer", BALANCE, "giveBack", *refund(first, 0))
    assert again.error == "CertificateBalanceAlreadyGivenBack"


# ---- corrections


def test_wrong_statement_is_corrected_while_nothing_is_drawn(world, key):
    batch = Batch(world)
    world.act("anchorer", BALANCE, "open", *batch.activation(0, key, valid_until=batch.time - 1))
    assert refused(world, a_drawdown(batch)).error == "CertificateBalanceExpired"
    other = an_accredited_key(world)
    statement = (other, 9, batch.time - 2, NO_END)
    (event,) = world.act("anchorer", BALANCE, "correct", (batch.key, 0), statement).logs
    assert event.topics[1] == batch.key
    assert world.ask("Accreditation", "keyOf", world.ask(BALANCE, "balanceOf", batch.key, 0)[2]) == other
    draw_down(world, a_drawdown(batch))
    in_use = world.refusal("anchorer", BALANCE, "correct", (batch.key, 0), statement)
    assert in_use.error == "CertificateBalanceInUse"
    batch.change(9, DeclarationStatus.REJECTED)
    world.act("anchorer", BALANCE, "giveBack", *refund([a_drawdown(batch)], 0))
    assert world.refusal("anchorer", BALANCE, "correct", (batch.key, 0), statement) is None


def test_correction_keeps_to_the_rules_of_activation(world, batch, key):
    """By its anchorer, with an accredited key and possible moments, of an active certificate that was activated."""
    place, time = (batch.key, 0), batch.time

    def refusal(statement=(key, 9, time - 5, NO_END), place=place, by="anchorer"):
        return world.refusal(by, BALANCE, "correct", place, statement).error

    assert refusal(by="other_anchorer") == "CertificateBalanceNotOwnBatch"
    assert refusal(by="authority") == refusal(by="stranger") == "TraceLedgerRoleMissing"
    assert refusal(place=(batch.key, 2)) == "CertificateBalanceNotOpened"
    assert refusal((key, 10, time - 5, NO_END)) == "CertificateBalanceIssuerNotAccredited"
    assert refusal((secrets.token_bytes(32), 9, time - 5, NO_END)) == "CertificateBalanceIssuerNotAccredited"
    assert refusal((key, 9, time + 10_000, NO_END)) == "CertificateBalanceMomentsRefused"
    assert refusal((key, 9, time - 5, time - 5)) == "CertificateBalanceMomentsRefused"
    batch.change(0, DocumentStatus.REVOKED, by="anchorer")
    assert refusal() == "CertificateBalanceNotActive"


def test_carried_over_certificate_cannot_be_corrected(world, batch, key):
    """What a successor took over stays drawn down."""
    draw_down(world, a_drawdown(batch))
    supersede(batch)
    newer = successors(world, 100)
    world.act("anchorer", BALANCE, "openSuccessor", *carried(newer, 0, key, batch))
    refusal = world.refusal("anchorer", BALANCE, "correct", (newer.key, 0), (key, 9, batch.time - 5, NO_END))
    assert (refusal.error, balance_of(world, newer)) == ("CertificateBalanceInUse", (100, 70))


# ---- refund


@pytest.mark.parametrize(
    ("status", "by"),
    [
        (DeclarationStatus.REJECTED, "office"),
        (DeclarationStatus.RETURNED, "office"),
        (DeclarationStatus.WITHDRAWN, "anchorer"),
    ],
)
def test_drawdown_of_ended_declaration_is_refunded_once(world, batch, status, by):
    drawdowns = [
        a_drawdown(batch),
        a_drawdown(batch, declaration=10, quantity=40),
        a_drawdown(batch, declaration=9, quantity=5),
    ]
    draw_down(world, *drawdowns)
    batch.change(9, status, by)
    world.act("anchorer", BALANCE, "giveBack", *refund(drawdowns, 0))
    assert remaining(world, batch) == 55
    again = world.refusal("anchorer", BALANCE, "giveBack", *refund(drawdowns, 0))
    assert again.error == "CertificateBalanceAlreadyGivenBack"
    world.act("other_anchorer", BALANCE, "giveBack", *refund(drawdowns, 2))
    assert remaining(world, batch) == 60
    stands = world.refusal("anchorer", BALANCE, "giveBack", *refund(drawdowns, 1))
    assert stands.error == "CertificateBalanceDeclarationStands"


def test_refund_at_another_position_is_refused(world, batch):
    """A root alone does not say how many leaves it has: the last of three would also be the second of two."""
    drawdowns = [a_drawdown(batch), a_drawdown(batch, declaration=10), a_drawdown(batch, declaration=9, quantity=5)]
    draw_down(world, *drawdowns)
    batch.change(9, DeclarationStatus.REJECTED)
    drawdown, root, _, path = refund(drawdowns, 2)
    for position in (0, 1, 3, 5, 247, 248, 255, 2**200):
        refusal = world.refusal("anchorer", BALANCE, "giveBack", drawdown, root, position, path)
        assert refusal.error == "CertificateBalanceDrawUnknown"
    larger = (*drawdown[:4], 6)
    for wrong in ((larger, root, 2, path), (drawdown, secrets.token_bytes(32), 2, path), (drawdown, root, 2, [])):
        assert world.refusal("anchorer", BALANCE, "giveBack", *wrong).error == "CertificateBalanceDrawUnknown"


@pytest.mark.parametrize("person", ["office", "authority", "stranger"])
def test_refund_by_others_than_anchorers_is_refused(world, batch, person):
    draw_down(world, a_drawdown(batch))
    batch.change(9, DeclarationStatus.REJECTED)
    assert world.refusal(person, BALANCE, "giveBack", *refund([a_drawdown(batch)], 0)).error == "TraceLedgerRoleMissing"


# ---- pause


@pytest.fixture
def paused(world, batch):
    world.act("guardian", "TraceLedger", "pause")
    yield batch
    world.act("authority", "TraceLedger", "resume")


def test_pause_stops_all_but_suspensions_and_revocations(world, paused, key):
    for act in (
        ("anchorer", "TraceLedger", "anchor", secrets.token_bytes(32), 0, 0, 0, 1),
        ("anchorer", "TraceLedger", "anchorMany", [(secrets.token_bytes(32), 0, 0, 0, 1)]),
        ("office", "TraceLedger", "changeStatuses", paused.key, [(0, 5 << 36)], DIGEST),
        ("anchorer", "TraceLedger", "changeStatuses", paused.key, [(0, 9 << 36)], DIGEST),
        ("anchorer", "TraceLedger", "changeStatuses", paused.key, [(0, 4 << 12)], DIGEST),
        ("anchorer", BALANCE, "draw", [a_drawdown(paused)]),
        ("anchorer", BALANCE, "open", *paused.activation(2, key)),
        ("anchorer", BALANCE, "giveBack", *refund([a_drawdown(paused)], 0)),
    ):
        assert world.refusal(*act).error == "TraceLedgerPaused"
    paused.change(3, DocumentStatus.SUSPENDED, by="anchorer")
    paused.change(3, DocumentStatus.SUSPENDED, by="authority")
    assert world.refusal("authority", "TraceLedger", "changeStatuses", paused.key, [(0, 1 << 12)], DIGEST)
    paused.change(3, DocumentStatus.REVOKED, by="anchorer")
    world.act("guardian", "Accreditation", "suspend", key, paused.time)
    assert world.ask("TraceLedger", "statusOf", paused.key, 3) == DocumentStatus.REVOKED
    assert world.ask("TraceLedger", "isPaused")
    assert remaining(world, paused) == 100


def test_pause_and_resume_by_others_are_refused(world, paused):
    assert world.refusal("authority", "TraceLedger", "pause").error == "TraceLedgerPauseUnchanged"
    assert world.refusal("guardian", "TraceLedger", "resume").error == "AccessManagedUnauthorized"
    for person in ("anchorer", "office", "stranger"):
        assert world.refusal(person, "TraceLedger", "pause").error == "AccessManagedUnauthorized"
        assert world.refusal(person, "TraceLedger", "resume").error == "AccessManagedUnauthorized"
