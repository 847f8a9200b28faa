"""The ledger's promises, each with the refusal that keeps it."""

import base64
import hashlib
import json
import os
import random
import secrets
from pathlib import Path

import pytest

from backend.domain.kinds import Lane
from backend.domain.statuses import DOCUMENT_EDGES, OFFICE_EDGES, WITHDRAWAL_EDGES, DeclarationStatus, DocumentStatus
from contracts import Artifact
from contracts import compile as build

DIGEST = b"\x2a" * 32
NO_DIGEST = b"\0" * 32
LARGEST = 1 << 24


def anchor(world, by="anchorer", *, origin_end=0, inspection_end=0, declaration_end=0, size=1, root=None):
    root = root or secrets.token_bytes(32)
    world.act(by, "TraceLedger", "anchor", root, origin_end, inspection_end, declaration_end, size)
    return root


def refused_anchor(world, by="anchorer", *, ends=(0, 0, 0), size=1, root=None):
    return world.refusal(by, "TraceLedger", "anchor", root or secrets.token_bytes(32), *ends, size)


def words(places):
    """The changes of each word, as the contract wants them."""
    wanted = {}
    for place, status in places.items():
        wanted[place // 64] = wanted.get(place // 64, 0) | (status + 1) << 4 * (place % 64)
    return sorted(wanted.items())


def change(world, by, root, places):
    return world.act(by, "TraceLedger", "changeStatuses", root, words(places), DIGEST)


def refused_change(world, by, root, places):
    return world.refusal(by, "TraceLedger", "changeStatuses", root, words(places), DIGEST)


def status(world, root, place):
    return world.ask("TraceLedger", "statusOf", root, place)


def declarations(world, root, index, agent="anchorer"):
    return world.ask("TraceLedger", "declarationsOf", world.address(agent), root, index)


def batch(world, root):
    return world.ask("TraceLedger", "batchOf", root)


def agent(world, person):
    return world.ask("TraceLedger", "agentOf", world.address(person))


# ---- deployment and agents


def test_a_deployment_is_known_by_its_number(world):
    assert world.ask("TraceLedger", "instanceId") == b"\7" * 32


def test_each_agent_has_its_roles_and_its_own_number(world):
    assert agent(world, "anchorer")[0] == 1
    assert agent(world, "office")[0] == 2
    assert agent(world, "authority")[0] == 4
    assert agent(world, "stranger") == (0, 0, 0)
    people = ("anchorer", "office", "authority", "other_anchorer", "other_office", "all_roles")
    assert len({agent(world, person)[1] for person in people}) == len(people)


@pytest.mark.parametrize("person", ["anchorer", "office", "all_roles", "stranger"])
def test_only_the_authority_registers_agents(world, person):
    refused = world.refusal(person, "TraceLedger", "registerAgent", world.address(person), 7)
    assert refused.error == "AccessManagedUnauthorized"


@pytest.mark.parametrize(("person", "roles"), [("stranger", 8), ("stranger", 255), ("anchorer", 8), ("stranger", 0)])
def test_roles_that_do_not_exist_are_refused(world, person, roles):
    refused = world.refusal("authority", "TraceLedger", "registerAgent", world.address(person), roles)
    assert refused.error == "TraceLedgerRolesUnknown"


def test_an_agent_without_roles_can_do_nothing_and_keeps_its_number(world):
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


def test_an_anchored_batch_is_found_under_its_root_with_time_number_and_lanes(world):
    root = anchor(world, origin_end=2, inspection_end=3, declaration_end=5, size=7)
    anchored_at, number, anchorer, *ends = batch(world, root)
    assert anchored_at == world.chain.head().time.timestamp()
    assert (number, anchorer) == (agent(world, "anchorer")[2], agent(world, "anchorer")[1])
    assert ends == [2, 3, 5, 7]


def test_anchoring_is_announced(world):
    root = secrets.token_bytes(32)
    (event,) = world.act("anchorer", "TraceLedger", "anchor", root, 0, 0, 0, 5).logs
    assert event.address == world.addresses["TraceLedger"]
    assert event.topics[1] == root
    assert event.topics[2][12:] == bytes.fromhex(world.address("anchorer")[2:])
    assert event.data == agent(world, "anchorer")[2].to_bytes(32, "big") + (5).to_bytes(32, "big")


def test_a_root_that_was_never_anchored_has_no_batch(world):
    assert batch(world, secrets.token_bytes(32)) == (0,) * 7


def test_a_root_is_anchored_once_by_whomever(world):
    root = anchor(world)
    for person in ("anchorer", "other_anchorer"):
        refused = refused_anchor(world, person, root=root)
        assert refused.error == "TraceLedgerAlreadyAnchored"
        assert refused.arguments == {"root": "0x" + root.hex(), "anchoredAt": batch(world, root)[0]}


def test_several_batches_are_anchored_together_or_not_at_all(world):
    before = agent(world, "anchorer")[2]
    roots = [secrets.token_bytes(32) for _ in range(5)]
    batches = [(root, 1, 2, 3, 4 + step) for step, root in enumerate(roots)]
    receipt = world.act("anchorer", "TraceLedger", "anchorMany", batches)
    assert [batch(world, root)[1:3] + batch(world, root)[6:] for root in roots] == [
        (before + step, agent(world, "anchorer")[1], 3 + step) for step in range(1, 6)
    ]
    assert [event.topics[1] for event in receipt.logs] == roots
    assert agent(world, "anchorer")[2] == before + 5
    again = [(secrets.token_bytes(32), 0, 0, 0, 1), batches[2]]
    refused = world.refusal("anchorer", "TraceLedger", "anchorMany", again)
    assert refused.error == "TraceLedgerAlreadyAnchored"
    assert world.refusal("anchorer", "TraceLedger", "anchorMany", again[:1] * 2).error == refused.error
    assert world.refusal("anchorer", "TraceLedger", "anchorMany", []).error == "TraceLedgerBatchesMissing"
    assert world.refusal("office", "TraceLedger", "anchorMany", again[:1]).error == "TraceLedgerRoleMissing"


def test_numbers_have_no_gap_for_each_anchorer_whatever_was_refused(world):
    before = {person: agent(world, person)[2] for person in ("anchorer", "other_anchorer")}
    first = anchor(world, "anchorer")
    anchor(world, "other_anchorer")
    assert refused_anchor(world, root=first)
    second = anchor(world, "anchorer")
    assert batch(world, first)[1] == before["anchorer"] + 1
    assert batch(world, second)[1] == before["anchorer"] + 2
    assert agent(world, "other_anchorer")[2] == before["other_anchorer"] + 1


@pytest.mark.parametrize("person", ["office", "authority", "other_office", "stranger"])
def test_only_an_anchorer_anchors(world, person):
    refused = refused_anchor(world, person)
    assert refused.error == "TraceLedgerRoleMissing"
    assert refused.arguments["roles"] == 1


@pytest.mark.parametrize("size", [0, LARGEST + 1, 2**32 - 1])
def test_a_batch_has_at_least_one_entry_and_not_too_many(world, size):
    assert refused_anchor(world, size=size).error == "TraceLedgerSizeRefused"


def test_the_largest_batch_is_taken_and_its_last_place_can_change(world):
    root = anchor(world, origin_end=1, inspection_end=2, declaration_end=LARGEST, size=LARGEST)
    assert batch(world, root)[3:] == (1, 2, LARGEST, LARGEST)
    change(world, "office", root, {LARGEST - 1: DeclarationStatus.RELEASED})
    assert status(world, root, LARGEST - 1) == DeclarationStatus.RELEASED
    assert refused_change(world, "office", root, {LARGEST: 1}).error == "TraceLedgerPlaceOutsideBatch"


@pytest.mark.parametrize("ends", [(2, 1, 3), (1, 3, 2), (1, 2, 5), (5, 5, 5), (2**32 - 1, 2**32 - 1, 4)])
def test_lanes_must_rise_and_stay_within_the_batch(world, ends):
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
    """One batch in which every status of every lane stands somewhere: (root, {place: (lane, status)})."""
    shown = [(lane, status) for lane in (Lane.ORIGIN, Lane.INSPECTION) for status in DocumentStatus]
    shown += [(Lane.DECLARATION, status) for status in DeclarationStatus]
    shown += [(Lane.OTHER, status) for status in DocumentStatus]
    root = anchor(world, origin_end=4, inspection_end=8, declaration_end=17, size=21)
    for place, (lane, wanted) in enumerate(shown):
        for person, step in path_to(wanted) if lane == Lane.DECLARATION else documents_path(wanted):
            change(world, person, root, {place: step})
        assert status(world, root, place) == wanted
    return root, dict(enumerate(shown))


ALLOWED = {
    "anchorer": (DOCUMENT_EDGES, WITHDRAWAL_EDGES),
    "other_anchorer": (frozenset(), frozenset()),
    "office": (frozenset(), OFFICE_EDGES),
    "other_office": (frozenset(), OFFICE_EDGES),
    "authority": (DOCUMENT_EDGES, frozenset()),
    "office_and_anchorer": (frozenset(), OFFICE_EDGES),
    "all_roles": (DOCUMENT_EDGES, OFFICE_EDGES),
}
"""For a batch of "anchorer": what each may do to documents and to declarations."""


@pytest.mark.parametrize("person", ALLOWED)
def test_every_edge_is_allowed_or_refused_as_the_rules_say(world, gallery, person):
    root, shown = gallery
    for place, (lane, standing) in shown.items():
        ours = ALLOWED[person][lane == Lane.DECLARATION]
        anyones = OFFICE_EDGES | WITHDRAWAL_EDGES if lane == Lane.DECLARATION else DOCUMENT_EDGES
        for target in range(15):
            refused = refused_change(world, person, root, {place: target})
            if (standing, target) in ours:
                assert refused is None, (person, lane, standing, target)
                continue
            known = (standing, target) in anyones
            assert refused.error == ("TraceLedgerEdgeNotAllowed" if known else "TraceLedgerEdgeForbidden")
            assert (refused.arguments["place"], refused.arguments["from"], refused.arguments["to"]) == (
                place,
                standing,
                target,
            )


def test_a_stranger_changes_nothing(world, gallery):
    root, _ = gallery
    assert refused_change(world, "stranger", root, {0: DocumentStatus.REVOKED}).error == "TraceLedgerRoleMissing"


def test_somebody_with_every_role_may_withdraw_in_an_own_batch(world):
    root = anchor(world, "all_roles", declaration_end=2, size=2)
    change(world, "all_roles", root, {0: DeclarationStatus.WITHDRAWN, 1: DeclarationStatus.RELEASED})
    assert [status(world, root, place) for place in (0, 1)] == [8, 4]


@pytest.mark.parametrize("edge", sorted(OFFICE_EDGES))
def test_every_office_edge_is_written(world, edge):
    root = anchor(world, declaration_end=1)
    for person, step in path_to(edge[0]):
        change(world, person, root, {0: step})
    change(world, "office", root, {0: edge[1]})
    assert status(world, root, 0) == edge[1]


# ---- statuses: words and places


def test_changes_are_announced_with_the_digest_of_their_reasons(world):
    root = anchor(world, declaration_end=1)
    (event,) = change(world, "office", root, {0: DeclarationStatus.EXAMINATION}).logs
    assert event.topics[1] == root
    assert event.topics[2][12:] == bytes.fromhex(world.address("office")[2:])
    assert event.data == DIGEST


def test_a_change_leaves_its_neighbours_as_they_are(world):
    root = anchor(world, declaration_end=128, size=128)
    change(world, "office", root, {62: 2, 63: 3, 64: 4, 65: 5})
    change(world, "office", root, {63: DeclarationStatus.RELEASED})
    assert [status(world, root, place) for place in (61, 62, 63, 64, 65, 66)] == [0, 2, 4, 4, 5, 0]
    assert world.ask("TraceLedger", "statusWord", root, 1) == 0x54


def test_one_call_changes_different_places_in_different_ways(world):
    root = anchor(world, origin_end=10, inspection_end=70, declaration_end=140, size=150)
    wanted = {0: 1, 9: 2, 10: 3, 69: 1, 145: 2}
    change(world, "anchorer", root, wanted | {70: DeclarationStatus.WITHDRAWN})
    change(world, "office", root, {71: 1, 72: 2, 73: 3, 139: 4})
    expected = wanted | {70: 8, 71: 1, 72: 2, 73: 3, 139: 4}
    assert {place: status(world, root, place) for place in range(150)} == dict.fromkeys(range(150), 0) | expected


def test_one_bad_change_refuses_all_of_them(world):
    root = anchor(world, origin_end=10, inspection_end=10, declaration_end=140, size=150)
    good = dict.fromkeys(range(10, 140), DeclarationStatus.RELEASED)
    assert refused_change(world, "office", root, good) is None
    for place, target in ((9, 1), (10, 0), (139, 9), (140, 1), (149, 2), (77, DeclarationStatus.WITHDRAWN)):
        refused = refused_change(world, "office", root, good | {place: target})
        assert refused.error in {"TraceLedgerEdgeForbidden", "TraceLedgerEdgeNotAllowed"}
        assert refused.arguments["place"] == place


@pytest.mark.parametrize("size", [1, 63, 64, 65, 128, 130])
def test_places_outside_the_batch_are_refused(world, size):
    root = anchor(world, declaration_end=size, size=size)
    change(world, "office", root, {size - 1: DeclarationStatus.RELEASED})
    for place in (size, size + 1, size + 63, size + 64, size + 1000, 2**32, 2**200):
        refused = refused_change(world, "office", root, {place: DeclarationStatus.RELEASED})
        assert refused.error == "TraceLedgerPlaceOutsideBatch"
        assert refused.arguments["place"] == place
        assert world.refusal("stranger", "TraceLedger", "statusOf", root, place).error == refused.error


@pytest.mark.parametrize("index", [2**18, 2**18 + 1, 2**32, 2**250, 2**256 - 1])
def test_an_index_beyond_all_batches_is_refused_too_and_reads_as_nothing(world, index):
    root = anchor(world, declaration_end=1)
    refused = world.refusal("office", "TraceLedger", "changeStatuses", root, [(index, 2)], DIGEST)
    assert refused.error == "TraceLedgerPlaceOutsideBatch"
    assert world.ask("TraceLedger", "statusWord", root, index) == 0
    assert declarations(world, root, index) == (True, 0, 0)


def test_a_call_that_changes_nothing_is_refused(world):
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


def test_what_a_draw_must_know_of_declarations_is_told_at_once(world):
    root = anchor(world, origin_end=10, inspection_end=70, declaration_end=131, size=150)
    change(world, "office", root, {72: DeclarationStatus.RELEASED})
    lane = [sum(15 << 4 * (place % 64) for place in range(70, 131) if place // 64 == index) for index in range(3)]
    statuses = [0, DeclarationStatus.RELEASED << 4 * (72 - 64), 0]
    assert [declarations(world, root, index) for index in range(3)] == [
        (True, lane[index], statuses[index]) for index in range(3)
    ]
    assert declarations(world, root, 1, "other_anchorer") == (False, lane[1], statuses[1])
    assert declarations(world, secrets.token_bytes(32), 0) == (False, 0, 0)
    for agent in ("office", "authority", "stranger"):
        asked = ("declarationsOf", world.address(agent), root, 1)
        assert world.refusal("anchorer", "TraceLedger", *asked).error == "TraceLedgerRoleMissing"


def test_a_batch_that_is_not_there_has_no_statuses(world):
    root = secrets.token_bytes(32)
    assert refused_change(world, "office", root, {0: 4}).error == "TraceLedgerBatchUnknown"
    assert world.refusal("stranger", "TraceLedger", "statusOf", root, 0).error == "TraceLedgerBatchUnknown"
    assert world.ask("TraceLedger", "statusWord", root, 0) == 0


def test_many_random_changes_agree_with_the_rules_kept_in_a_dictionary(world):
    chance = random.Random(1791)
    ends = {"origin_end": 40, "inspection_end": 75, "declaration_end": 230, "size": 260}
    root = anchor(world, **ends)
    standing = dict.fromkeys(range(260), 0)
    for _ in range(60):
        person = chance.choice(["anchorer", "office", "authority"])
        wanted = _random_changes(chance, person, standing, ends)
        if wanted:
            assert refused_change(world, person, root, wanted) is None
            change(world, person, root, wanted)
            standing |= wanted
        spoilt = wanted | {chance.randrange(260): chance.randrange(9, 15)}
        assert refused_change(world, person, root, spoilt).error == "TraceLedgerEdgeForbidden"
    read = [world.ask("TraceLedger", "statusWord", root, index) for index in range(5)]
    assert {place: read[place // 64] >> 4 * (place % 64) & 15 for place in range(260)} == standing


def _random_changes(chance, person, standing, ends):
    wanted = {}
    for place in chance.sample(range(260), chance.choice([1, 5, 60, 200])):
        is_declaration = ends["inspection_end"] <= place < ends["declaration_end"]
        ways = [to for start, to in ALLOWED[person][is_declaration] if start == standing[place]]
        # Mostly to what keeps the place open, or the walk would end soon.
        if ways and (to := chance.choice(ways)) in ((1, 2, 3) if is_declaration else (0, 1)):
            wanted[place] = int(to)
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


def tree_proof(place, leaves):
    """RFC 9162, section 2.1.3.1, as it is written there."""
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if place < split:
        return [*tree_proof(place, leaves[:split]), tree_root(leaves[split:])]
    return [*tree_proof(place - split, leaves[split:]), tree_root(leaves[:split])]


def _split(size):
    return 1 << (size - 1).bit_length() - 1


def entries(size):
    return [bytes([3]) + bytes(16) + secrets.token_bytes(32) for _ in range(size)]


def anchored_tree(world, size):
    ours = entries(size)
    leaves = [leaf_hash(entry) for entry in ours]
    return ours, leaves, anchor(world, root=tree_root(leaves), size=size)


def verify(world, root, place, entry, proof):
    return world.ask("TraceLedger", "verify", root, place, entry, proof)


SIZES = sorted({*range(1, 10), 15, 16, 17, 31, 32, 33, 63, 64, 65, *random.Random(9162).sample(range(10, 71), 6)})


@pytest.mark.parametrize("size", SIZES)
def test_every_entry_is_verified_at_its_place(world, size):
    ours, leaves, root = anchored_tree(world, size)
    for place in range(size):
        assert verify(world, root, place, ours[place], tree_proof(place, leaves)), place


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 8, 21, 33, 64, 70])
def test_no_altered_proof_is_accepted(world, size):
    ours, leaves, root = anchored_tree(world, size)
    for place in {0, size // 3, size // 2, size - 1}:
        proof = tree_proof(place, leaves)
        for altered in _altered(proof):
            assert not verify(world, root, place, ours[place], altered)
        for other in {*range(size), size, size + 1, 2 * size, place + 64, 2**255} - {place}:
            assert not verify(world, root, other, ours[place], proof)
        assert not verify(world, root, place, ours[place][:-1] + bytes([ours[place][-1] ^ 1]), proof)
        assert not verify(world, secrets.token_bytes(32), place, ours[place], proof)


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


def test_an_inner_node_is_not_taken_for_an_entry(world):
    _, leaves, root = anchored_tree(world, 4)
    pair = leaves[0] + leaves[1]
    right = hashlib.sha256(b"\1" + leaves[2] + leaves[3]).digest()
    for forged in (pair, b"\1" + pair, leaves[0]):
        assert not verify(world, root, 0, forged, [right])


def test_a_tree_of_another_size_is_not_the_batch(world):
    ours = entries(6)
    leaves = [leaf_hash(entry) for entry in ours]
    root = anchor(world, root=tree_root(leaves), size=5)
    assert not verify(world, root, 5, ours[5], tree_proof(5, leaves))
    assert not verify(world, root, 4, ours[4], tree_proof(4, leaves))


def test_nothing_stands_in_a_batch_that_is_not_there(world):
    (entry,) = entries(1)
    assert not verify(world, leaf_hash(entry), 0, entry, [])


@pytest.mark.contracts
def test_the_published_vectors_are_judged_as_published(world):
    if "PROVENPORT_SAMPLES" not in os.environ:
        pytest.skip("PROVENPORT_SAMPLES does not name the directory of published samples")
    vectors = json.loads(Path(os.environ["PROVENPORT_SAMPLES"], "rfc6962-merkle", "inclusion.json").read_text("utf-8"))
    includes = _harness(world)
    for vector in vectors:
        proof = [base64.b64decode(sibling) for sibling in vector["proof"] or []]
        root, leaf = base64.b64decode(vector["root"] or ""), base64.b64decode(vector["leafHash"] or "")
        place, size = vector["leafIdx"], vector["treeSize"]
        if not all(len(part) == 32 for part in (root, leaf, *proof)) or min(place, size) < 0:
            assert vector["wantErr"], "what cannot be put into a call must be a refusal"
            continue
        assert includes("includes", root, size, place, leaf, proof) != vector["wantErr"], vector["name"]
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
