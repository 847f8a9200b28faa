"""A certificate's quantity: opened by proof, drawn, never beyond what stands, given back once."""

import secrets

import pytest

from backend.domain.ledger import Draw, DrawCertificates, LedgerRecord
from backend.domain.merkle import Tree
from backend.domain.statuses import DeclarationStatus, DocumentStatus

NO_END = 2**40 - 1
DIGEST = b"\x2a" * 32
COFFEE = 1 << 9
BALANCE = "CertificateBalance"


class Batch:
    """Eight certificates of 100 each, one report, ten declarations and an invoice, anchored."""

    def __init__(self, world, by="anchorer", quantity=100):
        kinds = [1] * 8 + [2] + [3] * 10 + [4]
        self.entries = [
            bytes([kind]) + (quantity if kind == 1 else 0).to_bytes(16, "big") + secrets.token_bytes(32)
            for kind in kinds
        ]
        self.tree = Tree(self.entries)
        self.root, self.world, self.by = self.tree.root, world, by
        world.act(by, "TraceLedger", "anchor", self.root, 8, 9, 19, 20)
        self.time = int(world.chain.head().time.timestamp())

    def opening(self, place, key, **stated):
        """The arguments that open a certificate of this batch."""
        parts = {"entry": self.entries[place], "chapter": 9, "issued_at": self.time - 5, "valid_until": NO_END} | stated
        statement = (key, parts["chapter"], parts["issued_at"], parts["valid_until"])
        return (self.root, place), parts["entry"], list(self.tree.proof(place).path), statement

    def change(self, place, status, by="office"):
        changes = [(place // 64, (status + 1) << 4 * (place % 64))]
        self.world.act(by, "TraceLedger", "changeStatuses", self.root, changes, DIGEST)


@pytest.fixture
def key(world):
    return an_accredited_key(world)


@pytest.fixture
def batch(world, key):
    batch = Batch(world)
    for place in (0, 1):
        world.act("anchorer", BALANCE, "open", *batch.opening(place, key))
    return batch


def an_accredited_key(world, **terms):
    key, now = secrets.token_bytes(32), int(world.chain.head().time.timestamp())
    stated = {"kinds": 1 << 1, "chapters": COFFEE, "valid_from": now - 1000, "valid_until": now + 10**6} | terms
    world.act("authority", "Accreditation", "accredit", key, *stated.values())
    return key


def a_draw(batch, certificate=0, declaration=9, quantity=30, declarations=None):
    return (batch.root, certificate, (declarations or batch).root, declaration, quantity)


def draw(world, *draws, by="anchorer"):
    return world.act(by, BALANCE, "draw", list(draws))


def refused(world, *draws, by="anchorer"):
    return world.refusal(by, BALANCE, "draw", list(draws))


def drawn(*draws):
    return DrawCertificates(tuple(Draw(LedgerRecord(d[0], d[1]), LedgerRecord(d[2], d[3]), d[4]) for d in draws))


def give_back(draws, position):
    """The arguments that give one of these draws back."""
    path = Tree([draw.leaf for draw in drawn(*draws).draws]).proof(position).path
    return draws[position], drawn(*draws).drawing, position, list(path)


def left(world, batch, place=0):
    return world.ask(BALANCE, "balanceOf", batch.root, place)[1]


# ---- opening


def test_an_opened_certificate_shows_what_it_covers(world, batch, key):
    quantity, left, issuer, valid_until = world.ask(BALANCE, "balanceOf", batch.root, 0)
    assert (quantity, left, valid_until) == (100, 100, NO_END)
    assert world.ask("Accreditation", "keyOf", issuer) == key
    assert world.ask(BALANCE, "balanceOf", batch.root, 2) == (0, 0, 0, 0)


def test_a_certificate_is_opened_once(world, batch, key):
    refusal = world.refusal("anchorer", BALANCE, "open", *batch.opening(0, key))
    assert refusal.error == "CertificateBalanceAlreadyOpened"


@pytest.mark.parametrize("person", ["other_anchorer", "office_and_anchorer", "office", "authority", "stranger"])
def test_only_the_anchorer_of_the_batch_opens(world, batch, key, person):
    expected = "CertificateBalanceNotOwnBatch" if "anchorer" in person else "TraceLedgerRoleMissing"
    assert world.refusal(person, BALANCE, "open", *batch.opening(2, key)).error == expected


def test_the_entry_must_be_the_one_at_its_place(world, batch, key):
    certificate, entry, path, statement = batch.opening(2, key)
    more = entry[:1] + (1000).to_bytes(16, "big") + entry[17:]
    for wrong in ((certificate, more, path), ((batch.root, 3), entry, path), (certificate, entry, path[1:])):
        refusal = world.refusal("anchorer", BALANCE, "open", *wrong, statement)
        assert refusal.error == "CertificateBalanceNotIncluded"


def test_only_a_certificate_of_origin_with_a_quantity_is_opened(world, batch, key):
    for place in (8, 9, 19):
        refusal = world.refusal("anchorer", BALANCE, "open", *batch.opening(place, key))
        assert refusal.error == "CertificateBalanceEntryRefused"
    for quantity in (0, 2**88, 2**128 - 1):
        odd = Batch(world, quantity=quantity)
        refusal = world.refusal("anchorer", BALANCE, "open", *odd.opening(0, key))
        assert refusal.error == "CertificateBalanceEntryRefused"
    largest = Batch(world, quantity=2**88 - 1)
    assert world.refusal("anchorer", BALANCE, "open", *largest.opening(0, key)) is None


def test_a_certificate_entry_outside_its_lane_is_not_opened(world, key):
    entry = bytes([1]) + (5).to_bytes(16, "big") + secrets.token_bytes(32)
    root = Tree([entry]).root
    world.act("anchorer", "TraceLedger", "anchor", root, 0, 0, 0, 1)
    statement = (key, 9, int(world.chain.head().time.timestamp()), NO_END)
    refusal = world.refusal("anchorer", BALANCE, "open", (root, 0), entry, [], statement)
    assert refusal.error == "CertificateBalanceNotIncluded"


def test_the_issuer_must_have_been_accredited_when_it_signed(world, batch, key):
    now = batch.time
    stated = [
        {"chapter": 10},
        {"issued_at": now - 10**5},
        {"key": secrets.token_bytes(32)},
        {"key": an_accredited_key(world, kinds=1 << 2)},
        {"key": an_accredited_key(world, valid_until=now - 100)},
    ]
    for change in stated:
        opening = batch.opening(2, change.pop("key", key), **change)
        assert world.refusal("anchorer", BALANCE, "open", *opening).error == "CertificateBalanceIssuerNotAccredited"


@pytest.mark.parametrize("moments", [{"issued_at": 10_000}, {"valid_until": -5}])
def test_moments_that_cannot_be_are_refused(world, batch, key, moments):
    opening = batch.opening(2, key, **{name: batch.time + offset for name, offset in moments.items()})
    assert world.refusal("anchorer", BALANCE, "open", *opening).error == "CertificateBalanceMomentsRefused"


def test_a_renewal_takes_nothing_from_what_was_signed_before(world, batch, key):
    later = int(world.chain.head().time.timestamp()) + 10
    signed_at = int(world.chain.head().time.timestamp())
    world.act("authority", "Accreditation", "accredit", key, 1 << 1, COFFEE, later, later + 10**6)
    assert not world.ask("Accreditation", "isAccredited", key, 1, 9, signed_at)
    assert world.ask("Accreditation", "wasAccredited", key, 1, 9, signed_at)
    assert world.refusal("anchorer", BALANCE, "open", *Batch(world).opening(0, key, issued_at=signed_at)) is None


# ---- drawing


def test_draws_take_from_what_is_left_and_are_known_by_their_root(world, batch):
    draws = [a_draw(batch), a_draw(batch, declaration=10, quantity=40), a_draw(batch, 1, 11, 100)]
    (event,) = draw(world, *draws).logs
    assert (left(world, batch), left(world, batch, 1)) == (30, 0)
    assert event.topics[1] == drawn(*draws).drawing
    assert world.ask(BALANCE, "drawingOf", drawn(*draws).drawing) == 3 << 248


def test_nothing_is_drawn_beyond_the_quantity(world, batch):
    for quantity in (0, 101, 2**88 - 1):
        assert refused(world, a_draw(batch, quantity=quantity)).error == "CertificateBalanceOverdrawn"
    split = refused(world, a_draw(batch, quantity=60), a_draw(batch, declaration=10, quantity=41))
    assert split.error == "CertificateBalanceOverdrawn"
    assert split.arguments["left"] == 40
    draw(world, a_draw(batch, quantity=100))
    assert refused(world, a_draw(batch, quantity=1)).error == "CertificateBalanceOverdrawn"


def test_the_same_draws_are_not_made_twice(world, batch):
    draw(world, a_draw(batch))
    assert refused(world, a_draw(batch)).error == "CertificateBalanceAlreadyDrawn"
    assert left(world, batch) == 70


def test_a_certificate_that_was_not_opened_is_not_drawn(world, batch):
    assert refused(world, a_draw(batch, certificate=2)).error == "CertificateBalanceNotOpened"


@pytest.mark.parametrize("status", [DocumentStatus.SUSPENDED, DocumentStatus.REVOKED, DocumentStatus.SUPERSEDED])
def test_a_certificate_that_is_not_active_is_neither_drawn_nor_opened(world, batch, key, status):
    for place in (0, 2):
        batch.change(place, status, by="anchorer")
    assert refused(world, a_draw(batch)).error == "CertificateBalanceNotActive"
    assert refused(world, a_draw(batch, 1), a_draw(batch)).error == "CertificateBalanceNotActive"
    assert refused(world, a_draw(batch, 1)) is None
    opening = batch.opening(2, key)
    assert world.refusal("anchorer", BALANCE, "open", *opening).error == "CertificateBalanceNotActive"


def test_a_suspended_issuers_certificates_are_neither_drawn_nor_opened(world, batch, key):
    now = int(world.chain.head().time.timestamp())
    world.act("authority", "Accreditation", "suspend", key, now)
    suspended = refused(world, a_draw(batch))
    assert suspended.error == "CertificateBalanceIssuerSuspended"
    assert suspended.arguments["issuerKey"] == "0x" + key.hex()
    opening = batch.opening(2, key)
    assert world.refusal("anchorer", BALANCE, "open", *opening).error == "CertificateBalanceIssuerSuspended"
    world.act("authority", "Accreditation", "reinstate", key)
    assert refused(world, a_draw(batch)) is None


def test_an_expired_certificate_is_not_drawn(world, key):
    batch = Batch(world)
    until = batch.time - 1
    world.act("anchorer", BALANCE, "open", *batch.opening(0, key, valid_until=until))
    assert refused(world, a_draw(batch)).error == "CertificateBalanceExpired"


def test_only_the_anchorer_of_the_declaration_draws_and_any_certificate(world, batch):
    assert refused(world, a_draw(batch), by="other_anchorer").error == "CertificateBalanceNotOwnBatch"
    assert refused(world, a_draw(batch), by="office").error == "TraceLedgerRoleMissing"
    elsewhere = Batch(world, "other_anchorer")
    draw(world, a_draw(batch, declarations=elsewhere), by="other_anchorer")
    assert left(world, batch) == 70


@pytest.mark.parametrize("place", [0, 8, 19, 20, 2**32 - 1])
def test_only_a_declaration_draws(world, batch, place):
    assert refused(world, a_draw(batch, declaration=place)).error == "CertificateBalanceDeclarationUnknown"


def test_a_declaration_that_gave_its_draws_back_draws_no_more(world, batch):
    batch.change(9, DeclarationStatus.REJECTED)
    batch.change(10, DeclarationStatus.RELEASED)
    assert refused(world, a_draw(batch)).error == "CertificateBalanceDeclarationEnded"
    assert refused(world, a_draw(batch, declaration=10)) is None


def test_a_call_has_at_least_one_draw_and_no_more_than_fit(world, batch):
    assert refused(world).error == "CertificateBalanceDrawsRefused"
    many = [a_draw(batch, quantity=1)] * 249
    assert refused(world, *many).error == "CertificateBalanceDrawsRefused"


# ---- giving back


@pytest.mark.parametrize(
    ("status", "by"),
    [
        (DeclarationStatus.REJECTED, "office"),
        (DeclarationStatus.RETURNED, "office"),
        (DeclarationStatus.WITHDRAWN, "anchorer"),
    ],
)
def test_a_draw_is_given_back_once_when_its_declaration_came_to_nothing(world, batch, status, by):
    draws = [a_draw(batch), a_draw(batch, declaration=10, quantity=40), a_draw(batch, declaration=9, quantity=5)]
    draw(world, *draws)
    batch.change(9, status, by)
    world.act("anchorer", BALANCE, "giveBack", *give_back(draws, 0))
    assert left(world, batch) == 55
    again = world.refusal("anchorer", BALANCE, "giveBack", *give_back(draws, 0))
    assert again.error == "CertificateBalanceAlreadyGivenBack"
    world.act("other_anchorer", BALANCE, "giveBack", *give_back(draws, 2))
    assert left(world, batch) == 60
    stands = world.refusal("anchorer", BALANCE, "giveBack", *give_back(draws, 1))
    assert stands.error == "CertificateBalanceDeclarationStands"


def test_no_draw_is_given_back_from_another_position(world, batch):
    """A root alone does not say how many leaves it has: the last of three would also be the second of two."""
    draws = [a_draw(batch), a_draw(batch, declaration=10), a_draw(batch, declaration=9, quantity=5)]
    draw(world, *draws)
    batch.change(9, DeclarationStatus.REJECTED)
    taken, drawing, _, path = give_back(draws, 2)
    for position in (0, 1, 3, 5, 247, 248, 255, 2**200):
        refusal = world.refusal("anchorer", BALANCE, "giveBack", taken, drawing, position, path)
        assert refusal.error == "CertificateBalanceDrawUnknown"
    larger = (*taken[:4], 6)
    for wrong in ((larger, drawing, 2, path), (taken, secrets.token_bytes(32), 2, path), (taken, drawing, 2, [])):
        assert world.refusal("anchorer", BALANCE, "giveBack", *wrong).error == "CertificateBalanceDrawUnknown"


@pytest.mark.parametrize("person", ["office", "authority", "stranger"])
def test_only_anchorers_give_back(world, batch, person):
    draw(world, a_draw(batch))
    batch.change(9, DeclarationStatus.REJECTED)
    assert world.refusal(person, BALANCE, "giveBack", *give_back([a_draw(batch)], 0)).error == "TraceLedgerRoleMissing"


# ---- pause


@pytest.fixture
def paused(world, batch):
    world.act("guardian", "TraceLedger", "pause")
    yield batch
    world.act("authority", "TraceLedger", "resume")


def test_a_pause_stops_what_gives_trust_and_nothing_that_takes_it(world, paused, key):
    for act in (
        ("anchorer", "TraceLedger", "anchor", secrets.token_bytes(32), 0, 0, 0, 1),
        ("anchorer", "TraceLedger", "anchorMany", [(secrets.token_bytes(32), 0, 0, 0, 1)]),
        ("office", "TraceLedger", "changeStatuses", paused.root, [(0, 5 << 36)], DIGEST),
        ("anchorer", "TraceLedger", "changeStatuses", paused.root, [(0, 9 << 36)], DIGEST),
        ("anchorer", "TraceLedger", "changeStatuses", paused.root, [(0, 4 << 12)], DIGEST),
        ("anchorer", BALANCE, "draw", [a_draw(paused)]),
        ("anchorer", BALANCE, "open", *paused.opening(2, key)),
        ("anchorer", BALANCE, "giveBack", *give_back([a_draw(paused)], 0)),
    ):
        assert world.refusal(*act).error == "TraceLedgerPaused"
    paused.change(3, DocumentStatus.SUSPENDED, by="anchorer")
    paused.change(3, DocumentStatus.REVOKED, by="authority")
    world.act("guardian", "Accreditation", "suspend", key, paused.time)
    assert world.ask("TraceLedger", "statusOf", paused.root, 3) == DocumentStatus.REVOKED
    assert world.ask("TraceLedger", "isPaused")
    assert left(world, paused) == 100


def test_the_brake_is_pulled_by_the_few_and_let_go_by_the_authority(world, paused):
    assert world.refusal("authority", "TraceLedger", "pause").error == "TraceLedgerPauseUnchanged"
    assert world.refusal("guardian", "TraceLedger", "resume").error == "AccessManagedUnauthorized"
    for person in ("anchorer", "office", "stranger"):
        assert world.refusal(person, "TraceLedger", "pause").error == "AccessManagedUnauthorized"
        assert world.refusal(person, "TraceLedger", "resume").error == "AccessManagedUnauthorized"
