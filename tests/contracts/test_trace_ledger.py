"""The ledger's promises, each with the refusal that keeps it."""

import base64
import hashlib
import json
import os
import random
import secrets
from pathlib import Path

import pytest

from backend.domain.kinds import Segment
from backend.domain.ledger import DOCUMENT_EDGES, OFFICE_EDGES, WITHDRAWAL_EDGES, DeclarationStatus, DocumentStatus
from contracts import Artifact
from contracts.tools import compile as build

DIGEST = b"\x2a" * 32
NO_DIGEST = b"\0" * 32
LARGEST = 1 << 24


def anchor(world, by="anchorer", *, origin_end=0, inspection_end=0, declaration_end=0, size=1, root=None):
    """Anchor a batch; give its key."""
    root = root or secrets.token_bytes(32)
    world.act(by, "TraceLedger", "anchor", root, origin_end, inspection_end, declaration_end, size)
    return world.batch_key(by, root)


def refused_anchor(world, by="anchorer", *, ends=(0, 0, 0), size=1, root=None):
    return world.refusal(by, "TraceLedger", "anchor", secrets.token_bytes(32) if root is None else root, *ends, size)


def words(statuses):
    """The changes of each word, as the contract wants them."""
    wanted = {}
    for leaf_index, status in statuses.items():
        wanted[leaf_index // 64] = wanted.get(leaf_index // 64, 0) | (status + 1) << 4 * (leaf_index % 64)
    return sorted(wanted.items())


def change(world, by, root, statuses):
    return world.act(by, "TraceLedger", "changeStatuses", root, words(statuses), DIGEST)


def refused_change(world, by, root, statuses):
    return world.refusal(by, "TraceLedger", "changeStatuses", root, words(statuses), DIGEST)


def status(world, root, leaf_index):
    return world.ask("TraceLedger", "statusOf", root, leaf_index)


def declarations(world, root, index, agent="anchorer"):
    return world.ask("TraceLedger", "declarationsOf", world.address(agent), root, index)


def batch(world, root):
    return world.ask("TraceLedger", "batchOf", root)


def agent(world, person):
    return world.ask("TraceLedger", "agentOf", world.address(person))


# ---- deployment and agents


def test_deployment_answers_its_number(world):
    assert world.ask("TraceLedger", "instanceId") == b"\7" * 32


def test_each_agent_has_roles_and_own_number(world):
    assert agent(world, "anchorer")[0] == 1
    assert agent(world, "office")[0] == 2
    assert agent(world, "authority")[0] == 4
    assert agent(world, "stranger") == (0, 0, 0)
    people = ("anchorer", "office", "authority", "other_anchorer", "other_office", "all_roles")
    assert len({agent(world, person)[1] for person in people}) == len(people)


@pytest.mark.parametrize("person", ["anchorer", "office", "all_roles", "stranger"])
def test_registration_by_others_than_authority_is_refused(world, person):
    refused = world.refusal(person, "TraceLedger", "registerAgent", world.address(person), 7)
    assert refused.error == "AccessManagedUnauthorized"


@pytest.mark.parametrize(("person", "roles"), [("stranger", 8), ("stranger", 255), ("anchorer", 8), ("stranger", 0)])
def test_unknown_roles_are_refused(world, person, roles):
    refused = world.refusal("authority", "TraceLedger", "registerAgent", world.address(person), roles)
    assert refused.error == "TraceLedgerRolesUnknown"


def test_agent_without_roles_is_refused_everything(world):
    """It keeps its number and the count of its batches, and gets them back with its next role."""
    address = world.address("newcomer")
    world.act("authority", "TraceLedger", "registerAgent", address, 3)
    root = anchor(world, "newcomer", declaration_end=1)
    before = agent(world, "newcomer")
    world.act("authority", "TraceLedger", "registerAgent", address, 0)
    assert refused_anchor(world, "newcomer").error == "TraceLedgerRoleMissing"
    assert refused_change(world, "newcomer", root, {0: DeclarationStatus.RELEASED}).error == "TraceLedgerRoleMissing"
    assert agent(world, "newcomer") == (0, before[1], before[2])
    world.act("authority", "TraceLedger", "registerAgent", address, 1)
    assert agent(world, "newcomer") == (1, before[1], before[2])


# ---- batches


def test_anchored_batch_is_answered_in_full(world):
    """With the time of its block, its number, its anchorer and the ends of its segments."""
    root = anchor(world, origin_end=2, inspection_end=3, declaration_end=5, size=7)
    anchored_at, number, anchorer, *ends = batch(world, root)
    assert anchored_at == world.chain.head().time.timestamp()
    assert (number, anchorer) == (agent(world, "anchorer")[2], agent(world, "anchorer")[1])
    assert ends == [2, 3, 5, 7]


def test_anchoring_emits_event(world):
    root = secrets.token_bytes(32)
    (event,) = world.act("anchorer", "TraceLedger", "anchor", root, 0, 0, 0, 5).logs
    assert event.address == world.addresses["TraceLedger"]
    assert event.topics[1] == world.batch_key("anchorer", root)
    assert event.topics[2][12:] == bytes.fromhex(world.address("anchorer")[2:])
    assert event.data == agent(world, "anchorer")[2].to_bytes(32, "big") + (5).to_bytes(32, "big")


def test_unknown_root_has_no_batch(world):
    assert batch(world, secrets.token_bytes(32)) == (0,) * 7


def test_root_anchored_twice_by_one_agent_is_refused(world):
    root = secrets.token_bytes(32)
    key = anchor(world, root=root)
    refused = refused_anchor(world, root=root)
    assert refused.error == "TraceLedgerAlreadyAnchored"
    assert refused.arguments == {"root": "0x" + root.hex(), "anchoredAt": batch(world, key)[0]}


def test_batch_key_is_hash_of_agent_and_root(world):
    root = secrets.token_bytes(32)
    number = agent(world, "anchorer")[1]
    expected = hashlib.sha256(bytes(31) + bytes([number]) + root).digest()
    assert anchor(world, root=root) == expected == world.ask("TraceLedger", "batchKeyOf", number, root)
    assert batch(world, root) == (0,) * 7, "a root alone names no batch"


@pytest.mark.parametrize("ends", [(0, 0, 2), (2, 2, 2), (0, 1, 1)], ids=["same segments", "certificates", "a report"])
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "second"])
def test_copied_anchoring_takes_nothing_from_its_owner(world, ends, is_first):
    """A registered anchorer anchors what it saw another send, before or after it, also again after a reorganisation."""
    ours = [bytes([3]) + bytes(16) + secrets.token_bytes(32) for _ in range(2)]
    root = tree_root([leaf_hash(entry) for entry in ours])
    for person in ("other_anchorer", "anchorer") if is_first else ("anchorer", "other_anchorer"):
        segments = ends if person == "other_anchorer" else (0, 0, 2)
        world.act(person, "TraceLedger", "anchor", root, *segments, 2)
    own, copied = world.batch_key("anchorer", root), world.batch_key("other_anchorer", root)
    assert batch(world, own)[2:] == (agent(world, "anchorer")[1], 0, 0, 2, 2)
    assert batch(world, copied)[2:] == (agent(world, "other_anchorer")[1], *ends, 2)
    withdrawal = {0: DeclarationStatus.WITHDRAWN}
    assert refused_change(world, "other_anchorer", own, withdrawal).error == "TraceLedgerEdgeNotAllowed"
    change(world, "anchorer", own, withdrawal)
    assert (status(world, own, 0), status(world, copied, 0)) == (DeclarationStatus.WITHDRAWN, 0)
    for key in (own, copied):
        assert verify(world, key, 0, ours[0], tree_proof(0, [leaf_hash(entry) for entry in ours]))
    assert declarations(world, own, 0, "other_anchorer")[0] == 0


def test_one_copied_root_does_not_stop_the_others(world):
    roots = [secrets.token_bytes(32) for _ in range(3)]
    anchor(world, "other_anchorer", root=roots[1])
    world.act("anchorer", "TraceLedger", "anchorMany", [(root, 0, 0, 1, 1) for root in roots])
    numbers = [batch(world, world.batch_key("anchorer", root))[1] for root in roots]
    assert numbers == list(range(numbers[0], numbers[0] + 3))


def test_root_of_zeros_is_refused(world):
    assert refused_anchor(world, root=NO_DIGEST).error == "TraceLedgerRootMissing"
    many = [(secrets.token_bytes(32), 0, 0, 1, 1), (NO_DIGEST, 0, 0, 1, 1)]
    assert world.refusal("anchorer", "TraceLedger", "anchorMany", many).error == "TraceLedgerRootMissing"


def test_several_batches_are_anchored_all_or_none(world):
    before = agent(world, "anchorer")[2]
    roots = [secrets.token_bytes(32) for _ in range(5)]
    batches = [(root, 1, 2, 3, 4 + step) for step, root in enumerate(roots)]
    receipt = world.act("anchorer", "TraceLedger", "anchorMany", batches)
    keys = [world.batch_key("anchorer", root) for root in roots]
    assert [batch(world, key)[1:3] + batch(world, key)[6:] for key in keys] == [
        (before + step, agent(world, "anchorer")[1], 3 + step) for step in range(1, 6)
    ]
    assert [event.topics[1] for event in receipt.logs] == keys
    assert agent(world, "anchorer")[2] == before + 5
    again = [(secrets.token_bytes(32), 0, 0, 0, 1), batches[2]]
    refused = world.refusal("anchorer", "TraceLedger", "anchorMany", again)
    assert refused.error == "TraceLedgerAlreadyAnchored"
    assert world.refusal("anchorer", "TraceLedger", "anchorMany", again[:1] * 2).error == refused.error
    assert world.refusal("anchorer", "TraceLedger", "anchorMany", []).error == "TraceLedgerBatchesMissing"
    assert world.refusal("office", "TraceLedger", "anchorMany", again[:1]).error == "TraceLedgerRoleMissing"


def test_batch_numbers_rise_without_gap_after_refusals(world):
    before = {person: agent(world, person)[2] for person in ("anchorer", "other_anchorer")}
    root = secrets.token_bytes(32)
    first = anchor(world, "anchorer", root=root)
    anchor(world, "other_anchorer")
    assert refused_anchor(world, root=root)
    second = anchor(world, "anchorer")
    assert batch(world, first)[1] == before["anchorer"] + 1
    assert batch(world, second)[1] == before["anchorer"] + 2
    assert agent(world, "other_anchorer")[2] == before["other_anchorer"] + 1


@pytest.mark.parametrize("person", ["office", "authority", "other_office", "stranger"])
def test_anchoring_by_others_than_anchorer_is_refused(world, person):
    refused = refused_anchor(world, person)
    assert refused.error == "TraceLedgerRoleMissing"
    assert refused.arguments["roles"] == 1


@pytest.mark.parametrize("size", [0, LARGEST + 1, 2**32 - 1])
def test_batch_of_impossible_size_is_refused(world, size):
    assert refused_anchor(world, size=size).error == "TraceLedgerSizeRefused"


def test_largest_batch_takes_status_at_last_leaf(world):
    root = anchor(world, origin_end=1, inspection_end=2, declaration_end=LARGEST, size=LARGEST)
    assert batch(world, root)[3:] == (1, 2, LARGEST, LARGEST)
    change(world, "office", root, {LARGEST - 1: DeclarationStatus.RELEASED})
    assert status(world, root, LARGEST - 1) == DeclarationStatus.RELEASED
    assert refused_change(world, "office", root, {LARGEST: 1}).error == "TraceLedgerPlaceOutsideBatch"


@pytest.mark.parametrize("ends", [(2, 1, 3), (1, 3, 2), (1, 2, 5), (5, 5, 5), (2**32 - 1, 2**32 - 1, 4)])
def test_unordered_segments_are_refused(world, ends):
    assert refused_anchor(world, ends=ends, size=4).error == "TraceLedgerLanesUnordered"


# ---- statuses: every edge, by everyone


def path_to(wanted):
    """The shortest legal way of a declaration to a status: who takes which step."""
    if wanted == DeclarationStatus.LODGED:
        return []
    return [("anchorer" if wanted == DeclarationStatus.WITHDRAWN else "office", wanted)]


def documents_path(wanted):
    return [] if wanted == DocumentStatus.ACTIVE else [("anchorer", wanted)]


@pytest.fixture(scope="module")
def gallery(world):
    """One batch in which every status of every segment stands somewhere: (root, {leaf_index: (segment, status)})."""
    shown = [(segment, status) for segment in (Segment.ORIGIN, Segment.INSPECTION) for status in DocumentStatus]
    shown += [(Segment.DECLARATION, status) for status in DeclarationStatus]
    shown += [(Segment.OTHER, status) for status in DocumentStatus]
    root = anchor(world, origin_end=4, inspection_end=8, declaration_end=17, size=21)
    for leaf_index, (segment, wanted) in enumerate(shown):
        for person, step in path_to(wanted) if segment == Segment.DECLARATION else documents_path(wanted):
            change(world, person, root, {leaf_index: step})
        assert status(world, root, leaf_index) == wanted
    return root, dict(enumerate(shown))


HOLDS = frozenset({(DocumentStatus.ACTIVE, DocumentStatus.SUSPENDED), (DocumentStatus.SUSPENDED,) * 2})
"""What an authority may do where only the issuer has suspended: suspend as well."""
ALLOWED = {
    "anchorer": (DOCUMENT_EDGES, WITHDRAWAL_EDGES),
    "other_anchorer": (frozenset(), frozenset()),
    "office": (frozenset(), OFFICE_EDGES),
    "other_office": (frozenset(), OFFICE_EDGES),
    "authority": (HOLDS, frozenset()),
    "office_and_anchorer": (frozenset(), OFFICE_EDGES),
    "all_roles": (HOLDS, OFFICE_EDGES),
}
"""For a batch of "anchorer", in which no authority suspends: what each may do to documents and to declarations."""


@pytest.mark.parametrize("person", ALLOWED)
def test_every_edge_follows_the_rules(world, gallery, person):
    root, shown = gallery
    for leaf_index, (segment, standing) in shown.items():
        ours = ALLOWED[person][segment == Segment.DECLARATION]
        anyones = OFFICE_EDGES | WITHDRAWAL_EDGES if segment == Segment.DECLARATION else DOCUMENT_EDGES
        for target in range(15):
            refused = refused_change(world, person, root, {leaf_index: target})
            if (standing, target) in ours:
                assert refused is None, (person, segment, standing, target)
                continue
            known = (standing, target) in anyones
            assert refused.error == ("TraceLedgerEdgeNotAllowed" if known else "TraceLedgerEdgeForbidden")
            assert (refused.arguments["leafIndex"], refused.arguments["from"], refused.arguments["to"]) == (
                leaf_index,
                standing,
                target,
            )


def test_change_by_stranger_is_refused(world, gallery):
    root, _ = gallery
    assert refused_change(world, "stranger", root, {0: DocumentStatus.REVOKED}).error == "TraceLedgerRoleMissing"


def test_agent_with_every_role_withdraws_in_own_batch(world):
    root = anchor(world, "all_roles", declaration_end=2, size=2)
    change(world, "all_roles", root, {0: DeclarationStatus.WITHDRAWN, 1: DeclarationStatus.RELEASED})
    assert [status(world, root, leaf_index) for leaf_index in (0, 1)] == [8, 4]


@pytest.mark.parametrize("edge", sorted(OFFICE_EDGES))
def test_every_office_edge_is_written(world, edge):
    root = anchor(world, declaration_end=1)
    for person, step in path_to(edge[0]):
        change(world, person, root, {0: step})
    change(world, "office", root, {0: edge[1]})
    assert status(world, root, 0) == edge[1]


# ---- offices


def fields(office, ends=(0, 0, 1), size=1):
    """A batch's segments, size and office, as ``anchorFor`` takes them."""
    return sum(end << 104 + 32 * position for position, end in enumerate((*ends, size))) | office << 232


def anchor_for(world, office, by="anchorer", *, ends=(0, 0, 1), size=1):
    """Anchor a batch that names an office; give its key."""
    root = secrets.token_bytes(32)
    world.act(by, "TraceLedger", "anchorFor", root, fields(agent(world, office)[1] if office else 0, ends, size))
    return world.batch_key(by, root)


def named(world, key):
    return world.ask("TraceLedger", "decidingOffice", key)


def refused_office(world, by, key, office):
    number = office if isinstance(office, int) else agent(world, office)[1]
    return world.refusal(by, "TraceLedger", "setOffice", key, number)


def test_batch_for_an_office_is_a_batch(world):
    """Everything else is as for one that names none."""
    key = anchor_for(world, "office", ends=(2, 3, 5), size=7)
    assert batch(world, key)[3:] == (2, 3, 5, 7)
    assert batch(world, key)[2] == agent(world, "anchorer")[1]
    assert named(world, key) == agent(world, "office")[1]
    assert named(world, anchor(world)) == named(world, anchor_for(world, None)) == 0
    assert named(world, NO_DIGEST) == 0


@pytest.mark.parametrize("edge", sorted(OFFICE_EDGES))
def test_another_office_decides_nothing(world, edge):
    key = anchor_for(world, "office")
    for person, step in path_to(edge[0]):
        change(world, person, key, {0: step})
    for person in ("other_office", "office_and_anchorer", "all_roles"):
        refused = refused_change(world, person, key, {0: edge[1]})
        assert refused.error == "TraceLedgerOfficeOther"
        assert refused.arguments["office"] == agent(world, "office")[1]
    change(world, "office", key, {0: edge[1]})
    assert status(world, key, 0) == edge[1]


def test_where_none_is_named_every_office_decides(world):
    for person in ("office", "other_office", "office_and_anchorer", "all_roles"):
        key = anchor_for(world, None)
        change(world, person, key, {0: DeclarationStatus.RELEASED})
        assert status(world, key, 0) == DeclarationStatus.RELEASED


def test_named_office_gets_no_other_right(world):
    """Documents stay the anchorer's, and the merchant's withdrawal too."""
    key = anchor_for(world, "office", ends=(1, 1, 2), size=2)
    assert refused_change(world, "office", key, {0: DocumentStatus.REVOKED}).error == "TraceLedgerEdgeNotAllowed"
    assert refused_change(world, "office", key, {1: DeclarationStatus.WITHDRAWN}).error == "TraceLedgerEdgeNotAllowed"
    change(world, "anchorer", key, {0: DocumentStatus.REVOKED, 1: DeclarationStatus.WITHDRAWN})
    assert [status(world, key, leaf_index) for leaf_index in (0, 1)] == [2, 8]


def test_own_anchorer_that_is_an_office_only_withdraws(world):
    """Who anchors for another office may not decide in its place, whatever roles it has."""
    key = anchor_for(world, "office", "all_roles")
    assert refused_change(world, "all_roles", key, {0: DeclarationStatus.RELEASED}).error == "TraceLedgerOfficeOther"
    change(world, "all_roles", key, {0: DeclarationStatus.WITHDRAWN})


def test_stranger_as_office_is_refused(world):
    count = max(agent(world, person)[1] for person in world.accounts)
    for number in (count + 1, 2**24 - 1):
        refused = world.refusal("anchorer", "TraceLedger", "anchorFor", secrets.token_bytes(32), fields(number))
        assert refused.error == "TraceLedgerOfficeUnknown"
    refused = world.refusal("anchorer", "TraceLedger", "anchorFor", secrets.token_bytes(32), fields(0) | 1 << 103)
    assert refused.error == "TraceLedgerOfficeUnknown"


def test_agent_named_that_is_no_office_decides_nothing(world):
    key = anchor_for(world, "other_anchorer")
    released = {0: DeclarationStatus.RELEASED}
    assert refused_change(world, "other_anchorer", key, released).error == "TraceLedgerEdgeNotAllowed"
    assert refused_office(world, "other_anchorer", key, "office").error == "TraceLedgerRoleMissing"
    change(world, "anchorer", key, {0: DeclarationStatus.WITHDRAWN})


@pytest.mark.parametrize("person", ["office", "authority", "stranger"])
def test_only_anchorers_anchor_for_an_office(world, person):
    refused = world.refusal(person, "TraceLedger", "anchorFor", secrets.token_bytes(32), fields(0))
    assert refused.error == "TraceLedgerRoleMissing"


def test_batch_for_an_office_is_checked_like_any(world):
    root = secrets.token_bytes(32)
    refusals = {
        (root, fields(0, (2, 1, 3), 4)): "TraceLedgerLanesUnordered",
        (root, fields(0, (0, 0, 2), 1)): "TraceLedgerLanesUnordered",
        (root, fields(0, (0, 0, 0), 0)): "TraceLedgerSizeRefused",
        (root, fields(0, (0, 0, 0), LARGEST + 1)): "TraceLedgerSizeRefused",
        (NO_DIGEST, fields(0)): "TraceLedgerRootMissing",
    }
    for arguments, error in refusals.items():
        assert world.refusal("anchorer", "TraceLedger", "anchorFor", *arguments).error == error
    world.act("anchorer", "TraceLedger", "anchorFor", root, fields(0))
    assert refused_anchor(world, root=root).error == "TraceLedgerAlreadyAnchored"
    refused = world.refusal("anchorer", "TraceLedger", "anchorFor", root, fields(agent(world, "office")[1]))
    assert refused.error == "TraceLedgerAlreadyAnchored"


def test_standing_office_lets_another_decide(world):
    key = anchor_for(world, "office", ends=(2, 3, 5), size=7)
    before = batch(world, key)
    (event,) = world.act("office", "TraceLedger", "setOffice", key, agent(world, "other_office")[1]).logs
    assert event.topics[1] == key
    assert event.data == b"".join(agent(world, who)[1].to_bytes(32, "big") for who in ("office", "other_office"))
    assert batch(world, key) == before
    assert refused_change(world, "office", key, {3: DeclarationStatus.RELEASED}).error == "TraceLedgerOfficeOther"
    assert refused_office(world, "office", key, "office").error == "TraceLedgerOfficeOther"
    change(world, "other_office", key, {3: DeclarationStatus.RELEASED})
    world.act("other_office", "TraceLedger", "setOffice", key, agent(world, "office")[1])
    change(world, "office", key, {4: DeclarationStatus.REJECTED})


@pytest.mark.parametrize("person", ["other_office", "all_roles", "office_and_anchorer"])
def test_other_offices_take_no_batch(world, person):
    for key in (anchor_for(world, "office"), anchor_for(world, None), anchor(world), NO_DIGEST):
        assert refused_office(world, person, key, person).error == "TraceLedgerOfficeOther"


@pytest.mark.parametrize("person", ["anchorer", "authority", "stranger"])
def test_no_other_role_names_an_office(world, person):
    refused = refused_office(world, person, anchor_for(world, "office"), "other_office")
    assert refused.error == "TraceLedgerRoleMissing"


def test_office_hands_on_to_agents_only(world):
    key = anchor_for(world, "office")
    count = max(agent(world, person)[1] for person in world.accounts)
    for number in (0, count + 1, 2**24, 2**24 + 1, 2**256 - 1):
        assert refused_office(world, "office", key, number).error == "TraceLedgerOfficeUnknown"


# ---- statuses: words and leaf indices


def test_change_emits_event_with_reason_digest(world):
    root = anchor(world, declaration_end=1)
    (event,) = change(world, "office", root, {0: DeclarationStatus.EXAMINATION}).logs
    assert event.topics[1] == root
    assert event.topics[2][12:] == bytes.fromhex(world.address("office")[2:])
    assert event.data == DIGEST


def test_change_leaves_neighbours_as_they_are(world):
    root = anchor(world, declaration_end=128, size=128)
    change(world, "office", root, {62: 2, 63: 3, 64: 4, 65: 5})
    change(world, "office", root, {63: DeclarationStatus.RELEASED})
    assert [status(world, root, leaf_index) for leaf_index in (61, 62, 63, 64, 65, 66)] == [0, 2, 4, 4, 5, 0]
    assert world.ask("TraceLedger", "statusWord", root, 1) == 0x54


def test_one_call_changes_statuses_in_different_ways(world):
    root = anchor(world, origin_end=10, inspection_end=70, declaration_end=140, size=150)
    wanted = {0: 1, 9: 2, 10: 3, 69: 1, 145: 2}
    change(world, "anchorer", root, wanted | {70: DeclarationStatus.WITHDRAWN})
    change(world, "office", root, {71: 1, 72: 2, 73: 3, 139: 4})
    expected = wanted | {70: 8, 71: 1, 72: 2, 73: 3, 139: 4}
    assert {leaf_index: status(world, root, leaf_index) for leaf_index in range(150)} == dict.fromkeys(
        range(150), 0
    ) | expected


def test_one_bad_change_refuses_all(world):
    root = anchor(world, origin_end=10, inspection_end=10, declaration_end=140, size=150)
    good = dict.fromkeys(range(10, 140), DeclarationStatus.RELEASED)
    assert refused_change(world, "office", root, good) is None
    for leaf_index, target in ((9, 1), (10, 0), (139, 9), (140, 1), (149, 2), (77, DeclarationStatus.WITHDRAWN)):
        refused = refused_change(world, "office", root, good | {leaf_index: target})
        assert refused.error in {"TraceLedgerEdgeForbidden", "TraceLedgerEdgeNotAllowed"}
        assert refused.arguments["leafIndex"] == leaf_index


@pytest.mark.parametrize("size", [1, 63, 64, 65, 128, 130])
def test_leaf_index_outside_batch_is_refused(world, size):
    root = anchor(world, declaration_end=size, size=size)
    change(world, "office", root, {size - 1: DeclarationStatus.RELEASED})
    for leaf_index in (size, size + 1, size + 63, size + 64, size + 1000, 2**32, 2**200):
        refused = refused_change(world, "office", root, {leaf_index: DeclarationStatus.RELEASED})
        assert refused.error == "TraceLedgerPlaceOutsideBatch"
        assert refused.arguments["leafIndex"] == leaf_index
        assert world.refusal("stranger", "TraceLedger", "statusOf", root, leaf_index).error == refused.error


@pytest.mark.parametrize("index", [2**18, 2**18 + 1, 2**32, 2**250, 2**256 - 1])
def test_word_index_beyond_all_batches_is_refused(world, index):
    """A change is; a question is answered by nothing."""
    root = anchor(world, declaration_end=1)
    refused = world.refusal("office", "TraceLedger", "changeStatuses", root, [(index, 2)], DIGEST)
    assert refused.error == "TraceLedgerPlaceOutsideBatch"
    assert world.ask("TraceLedger", "statusWord", root, index) == 0
    assert declarations(world, root, index) == (agent(world, "anchorer")[1], 0, 0)


def test_call_that_changes_nothing_is_refused(world):
    root = anchor(world, declaration_end=100, size=100)
    nothing = ("TraceLedger", "changeStatuses", root)
    assert world.refusal("office", *nothing, [], DIGEST).error == "TraceLedgerChangesMissing"
    assert world.refusal("office", *nothing, [(0, 0)], DIGEST).error == "TraceLedgerNothingToChange"
    assert world.refusal("office", *nothing, [(0, 2), (1, 0)], DIGEST).error == "TraceLedgerNothingToChange"
    change(world, "office", root, {0: DeclarationStatus.EXAMINATION})
    assert refused_change(world, "office", root, {0: DeclarationStatus.EXAMINATION}).error == "TraceLedgerEdgeForbidden"


def test_indices_rise(world):
    root = anchor(world, declaration_end=200, size=200)
    act = ("TraceLedger", "changeStatuses", root)
    assert world.refusal("office", *act, [(1, 2), (1, 32)], DIGEST).error == "TraceLedgerIndicesNotAscending"
    assert world.refusal("office", *act, [(1, 2), (0, 2)], DIGEST).error == "TraceLedgerIndicesNotAscending"


def test_declarations_word_answers_segment_and_statuses(world):
    """All that a drawdown must know of declarations, in one question."""
    root = anchor(world, origin_end=10, inspection_end=70, declaration_end=131, size=150)
    change(world, "office", root, {72: DeclarationStatus.RELEASED})
    segment = [
        sum(15 << 4 * (leaf_index % 64) for leaf_index in range(70, 131) if leaf_index // 64 == index)
        for index in range(3)
    ]
    statuses = [0, DeclarationStatus.RELEASED << 4 * (72 - 64), 0]
    own = agent(world, "anchorer")[1]
    assert [declarations(world, root, index) for index in range(3)] == [
        (own, segment[index], statuses[index]) for index in range(3)
    ]
    assert declarations(world, root, 1, "other_anchorer") == (0, segment[1], statuses[1])
    assert declarations(world, secrets.token_bytes(32), 0) == (0, 0, 0)
    for person in ("office", "authority", "stranger"):
        asked = ("declarationsOf", world.address(person), root, 1)
        assert world.refusal("anchorer", "TraceLedger", *asked).error == "TraceLedgerRoleMissing"


def test_unknown_batch_has_no_statuses(world):
    root = secrets.token_bytes(32)
    assert refused_change(world, "office", root, {0: 4}).error == "TraceLedgerBatchUnknown"
    assert world.refusal("stranger", "TraceLedger", "statusOf", root, 0).error == "TraceLedgerBatchUnknown"
    assert world.ask("TraceLedger", "statusWord", root, 0) == 0


def test_random_changes_agree_with_rules_in_dictionary(world):
    chance = random.Random(1791)
    ends = {"origin_end": 40, "inspection_end": 75, "declaration_end": 230, "size": 260}
    root = anchor(world, **ends)
    standing, held = dict.fromkeys(range(260), 0), set()
    for _ in range(60):
        person = chance.choice(["anchorer", "office", "authority"])
        wanted = (
            _random_changes(chance, person, standing, ends)
            if person != "authority"
            else {
                leaf_index: int(leaf_index not in held)
                for leaf_index in chance.sample([*range(75), *range(230, 260)], 20)
                if standing[leaf_index] < DocumentStatus.REVOKED
            }
        )
        if wanted:
            assert refused_change(world, person, root, wanted) is None
            change(world, person, root, wanted)
            if person == "authority":
                held ^= wanted.keys()
            else:
                standing |= wanted
        leaf_index = chance.randrange(260)
        refused = refused_change(world, person, root, {leaf_index: chance.randrange(9, 15)})
        assert refused.error == "TraceLedgerEdgeForbidden"
        assert refused.arguments["leafIndex"] == leaf_index
    read = [world.ask("TraceLedger", "statusWord", root, index) for index in range(5)]
    shown = standing | {leaf_index: max(1, standing[leaf_index]) for leaf_index in held}
    assert {leaf_index: read[leaf_index // 64] >> 4 * (leaf_index % 64) & 15 for leaf_index in range(260)} == shown


def _random_changes(chance, person, standing, ends):
    wanted = {}
    for leaf_index in chance.sample(range(260), chance.choice([1, 5, 60, 200])):
        is_declaration = ends["inspection_end"] <= leaf_index < ends["declaration_end"]
        ways = [to for start, to in ALLOWED[person][is_declaration] if start == standing[leaf_index]]
        # Mostly to what keeps the declaration open, or the walk would end soon.
        if ways and (to := chance.choice(ways)) in ((1, 2, 3) if is_declaration else (0, 1)):
            wanted[leaf_index] = int(to)
    return wanted


# ---- inclusion proofs


def leaf_hash(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def tree_root(leaves):
    """RFC 9162, section 2.1.1, as it is written there."""
    if len(leaves) == 1:
        return leaves[0]
    split = _split(len(leaves))
    return hashlib.sha256(b"\1" + tree_root(leaves[:split]) + tree_root(leaves[split:])).digest()


def tree_proof(leaf_index, leaves):
    """RFC 9162, section 2.1.3.1, as it is written there."""
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if leaf_index < split:
        return [*tree_proof(leaf_index, leaves[:split]), tree_root(leaves[split:])]
    return [*tree_proof(leaf_index - split, leaves[split:]), tree_root(leaves[:split])]


def _split(size):
    return 1 << (size - 1).bit_length() - 1


def entries(size):
    return [bytes([3]) + bytes(16) + secrets.token_bytes(32) for _ in range(size)]


def anchored_tree(world, size):
    ours = entries(size)
    leaves = [leaf_hash(entry) for entry in ours]
    return ours, leaves, anchor(world, root=tree_root(leaves), size=size)


def verify(world, root, leaf_index, entry, proof):
    return world.ask("TraceLedger", "verify", root, leaf_index, entry, proof)


SIZES = sorted({*range(1, 10), 15, 16, 17, 31, 32, 33, 63, 64, 65, *random.Random(9162).sample(range(10, 71), 6)})


@pytest.mark.parametrize("size", SIZES)
def test_every_entry_verifies_at_its_leaf_index(world, size):
    ours, leaves, root = anchored_tree(world, size)
    for leaf_index in range(size):
        assert verify(world, root, leaf_index, ours[leaf_index], tree_proof(leaf_index, leaves)), leaf_index


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 8, 21, 33, 64, 70])
def test_altered_proof_fails(world, size):
    ours, leaves, root = anchored_tree(world, size)
    for leaf_index in {0, size // 3, size // 2, size - 1}:
        proof = tree_proof(leaf_index, leaves)
        for altered in _altered(proof):
            assert not verify(world, root, leaf_index, ours[leaf_index], altered)
        for other in {*range(size), size, size + 1, 2 * size, leaf_index + 64, 2**255} - {leaf_index}:
            assert not verify(world, root, other, ours[leaf_index], proof)
        assert not verify(world, root, leaf_index, ours[leaf_index][:-1] + bytes([ours[leaf_index][-1] ^ 1]), proof)
        assert not verify(world, secrets.token_bytes(32), leaf_index, ours[leaf_index], proof)


def _altered(proof):
    yield [*proof, NO_DIGEST]
    yield [*proof, *proof[-1:], DIGEST]
    yield [DIGEST, *proof]
    for level, sibling in enumerate(proof):
        yield proof[:level] + proof[level + 1 :]
        yield [*proof[:level], bytes([sibling[0] ^ 0x80]) + sibling[1:], *proof[level + 1 :]]
        yield [*proof[:level], sibling, *proof[level:]]
    if len(set(proof)) > 1:
        yield proof[::-1]
        yield [*proof[1:], proof[0]]


def test_inner_node_as_entry_fails(world):
    _, leaves, root = anchored_tree(world, 4)
    pair = leaves[0] + leaves[1]
    right = hashlib.sha256(b"\1" + leaves[2] + leaves[3]).digest()
    for forged in (pair, b"\1" + pair, leaves[0]):
        assert not verify(world, root, 0, forged, [right])


def test_proof_of_another_tree_size_fails(world):
    ours = entries(6)
    leaves = [leaf_hash(entry) for entry in ours]
    root = anchor(world, root=tree_root(leaves), size=5)
    assert not verify(world, root, 5, ours[5], tree_proof(5, leaves))
    assert not verify(world, root, 4, ours[4], tree_proof(4, leaves))


def test_entry_of_unknown_batch_fails(world):
    (entry,) = entries(1)
    assert not verify(world, leaf_hash(entry), 0, entry, [])


@pytest.mark.contracts
def test_published_vectors_are_judged_as_published(world):
    if "PROVENPORT_SAMPLES" not in os.environ:
        pytest.skip("PROVENPORT_SAMPLES does not name the directory of published samples")
    vectors = json.loads(Path(os.environ["PROVENPORT_SAMPLES"], "rfc6962-merkle", "inclusion.json").read_text("utf-8"))
    includes = _harness(world)
    for vector in vectors:
        proof = [base64.b64decode(sibling) for sibling in vector["proof"] or []]
        root, leaf = base64.b64decode(vector["root"] or ""), base64.b64decode(vector["leafHash"] or "")
        leaf_index, size = vector["leafIdx"], vector["treeSize"]
        if not all(len(part) == 32 for part in (root, leaf, *proof)) or min(leaf_index, size) < 0:
            assert vector["wantErr"], "what cannot be put into a call must be a refusal"
            continue
        assert includes("includes", root, size, leaf_index, leaf, proof) != vector["wantErr"], vector["name"]
    assert len(vectors) == 98


def _harness(world):
    source = Path(__file__).with_name("InclusionProofHarness.sol").read_text("utf-8")
    sources = {"harness.sol": source, **build.closure("src/InclusionProof.sol")}
    try:
        compiled = build.compile_sources(sources)["contracts"]["harness.sol"]["InclusionProofHarness"]
    except build.ToolchainMissing as missing:
        pytest.skip(str(missing))
    bytecode = bytes.fromhex(compiled["evm"]["bytecode"]["object"])
    return world.asker_of(Artifact("InclusionProofHarness", compiled["abi"], bytecode))
