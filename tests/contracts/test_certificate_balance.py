"""A certificate's quantity: activated by proof, drawn down never beyond what remains, refunded once."""

import secrets

import pytest

from backend.domain.evidence import Tree
from backend.domain.ledger import DeclarationStatus, DocumentStatus, LedgerDrawdown, LedgerRecord, MakeDrawdowns

NO_END = 2**40 - 1
DIGEST = b"\x2a" * 32
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
