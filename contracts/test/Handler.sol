// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";

import {IAccreditation} from "../src/IAccreditation.sol";
import {ICertificateBalance} from "../src/ICertificateBalance.sol";
import {IRevocations} from "../src/IRevocations.sol";
import {ITraceLedger} from "../src/ITraceLedger.sol";
import {Deployed} from "./Deployed.sol";
import {Vm, vm} from "./Vm.sol";

/// @dev Does what people do, rightly and wrongly, and keeps its own account of it. It judges each act by rules that are
/// written here a second time, from the words of the specification; what broke a rule is kept in `faults` by the number
/// of the invariant, since a failure inside an act would pass for a refusal.
contract Handler is Deployed {
    // Accounts: two anchorers, an office, an authority (on the ledger), somebody with all roles, and a stranger.
    uint256 internal constant PEOPLE = 6;
    uint8[PEOPLE] internal roles = [1, 1, 2, 4, 7, 0];
    uint256 internal constant MOST_BATCHES = 24;
    uint256 internal constant KEYS = 5;
    uint88 internal constant QUANTITY = 100;
    // A batch over three words: of its leaves four are looked at (slots), two certificates and two declarations, each in
    // another word than its like, at the same place of the word; all others are fillers, the same everywhere.
    uint256 internal constant SLOTS = 4;
    uint32 internal constant ORIGIN_END = 65;
    uint32 internal constant SIZE = 130;

    struct Known {
        bytes32 key;
        uint256 tree;
        uint256 by;
        ITraceLedger.Batch anchored;
        uint8[4] status;
        bool[4] held;
        bool[2] activated;
        bool[2] carried;
        uint256[2] issuer;
        uint256[2] outstanding;
        uint40[2] validUntil;
        // Who alone decides: 0 for any office, else one more than the person.
        uint256 office;
    }

    struct Version {
        uint40 time;
        IAccreditation.Terms terms;
    }

    struct DrawdownSet {
        bytes32 root;
        ICertificateBalance.Drawdown[] drawdowns;
        bool[3] refunded;
    }

    uint40 public pausedUntil;
    string[30] public faults;
    uint256[30] public successes;
    Known[] internal known;
    DrawdownSet[] internal sets;
    mapping(bytes32 key => uint256) internal indexOf;
    /// @dev A tree's number is that of its records in the lower half; trees of the same records differ in the upper half,
    /// and in the last leaf.
    uint256 internal treeCount;
    mapping(uint256 tree => mapping(uint256 leafIndex => bool)) internal isActivated;
    mapping(uint256 person => uint32) public counts;
    mapping(uint256 key => Version[]) internal versions;
    mapping(uint256 key => IAccreditation.Suspension[]) internal lifted;
    mapping(uint256 key => uint40) public rotatedAt;
    mapping(uint256 key => uint256) internal keyIds;
    mapping(uint256 person => uint160) internal moves;
    mapping(uint256 person => uint8) internal taken;
    mapping(uint256 allowing => mapping(uint256 allowed => bool)) internal consents;
    address[] internal retired;
    mapping(uint256 tree => mapping(uint256 slot => uint40)) public endedSince;
    mapping(uint256 tree => mapping(uint256 slot => uint8)) public endedAs;
    mapping(uint256 tree => mapping(uint256 slot => mapping(uint256 person => uint40))) public ownEndedSince;
    mapping(uint256 tree => mapping(uint256 leafIndex => mapping(uint256 person => bool))) internal isActivatedBy;
    uint256 internal nextKey = 100;
    /// @dev The certificate that goes on with another's account: batch and slot in one number, from 1.
    mapping(uint256 batch => mapping(uint256 slot => uint256)) internal heirs;
    uint256 internal constant MOST_UPGRADES = 2;
    uint256 internal upgrades;

    // What the events alone say.
    mapping(bytes32 key => uint256) public saidBatch;
    mapping(bytes32 certificate => uint256) public saidRemaining;
    mapping(bytes32 drawdownsRoot => uint256) public saidSet;
    mapping(bytes32 key => IAccreditation.Terms) internal saidTerms;
    mapping(address agent => uint8) public saidRoles;
    mapping(bytes32 leaf => uint256) public saidEnded;
    uint40 internal saidPausedUntil;

    constructor() {
        vm.warp(1_800_000_000);
        vm.recordLogs();
        deployAll();
        for (uint256 person; person < PEOPLE; ++person) {
            if (roles[person] != 0) ledger.registerAgent(account(person), roles[person]);
        }
        for (uint256 key; key < KEYS; ++key) {
            keyIds[key] = key + 1;
            if (key < 3) accredit(key, 0);
        }
        for (uint256 i; i < 2; ++i) {
            anchor(i, i, false);
            activate(i, i, 0, 0, 1);
        }
        allow(0, 1, true);
        _replay();
    }

    // ---- acts

    function anchor(uint256 person, uint256 seed, bool again) public {
        _anchor(person % PEOPLE, seed, again && known.length != 0 ? known[seed % known.length].tree : treeCount);
    }

    /// @dev An anchorer anchors its records once more, under another root.
    function anchorAnew(uint256 seed) public {
        if (known.length == 0) return;
        Known storage batch = known[seed % known.length];
        _anchor(batch.by, seed, batch.tree + (1 << 128));
    }

    function _anchor(uint256 person, uint256 seed, uint256 tree) private {
        if (known.length >= MOST_BATCHES) return;
        bytes32 root = _root(tree);
        bytes32 key = sha256(abi.encode(ledger.agentOf(account(person)).id, root));
        ITraceLedger.NewBatch[] memory batches = new ITraceLedger.NewBatch[](1);
        batches[0] = ITraceLedger.NewBatch(root, ORIGIN_END, ORIGIN_END, SIZE, SIZE);
        // Two offices there are: one that is nothing else, and the one with all roles.
        uint256 office = seed % 3 == 2 ? [uint256(3), 5][(seed >> 8) % 2] : 0;
        bytes memory data = seed % 3 == 0
            ? abi.encodeCall(ledger.anchorMany, (batches))
            : office != 0
                ? abi.encodeCall(ledger.anchorFor, (root, _fields(ledger.agentOf(account(office - 1)).id)))
                : abi.encodeCall(ledger.anchor, (root, ORIGIN_END, ORIGIN_END, SIZE, SIZE));
        bool had = indexOf[key] != 0;
        if (!_act(person, address(ledger), data)) {
            if (roles[person] & 1 == 1 && !paused() && !had) faults[22] = "refused, as another has this root";
            return;
        }
        ++successes[1];
        if (roles[person] & 1 == 0) faults[7] = "anchored without the role";
        if (paused()) faults[9] = "anchored during a pause";
        if (had) return; // Must not have happened: the batch will be seen to differ.
        if (tree == treeCount) ++treeCount;
        Known storage batch = known.push();
        (batch.key, batch.tree, batch.by, batch.office) = (key, tree, person, office);
        batch.anchored = ledger.batchOf(key);
        indexOf[key] = known.length;
        if (batch.anchored.number != ++counts[person]) faults[2] = "a number is not the next one";
        if (batch.anchored.anchoredAt != block.timestamp) faults[1] = "not the time of the block";
    }

    /// @dev An anchorer names an office that does not exist, or bits that mean nothing.
    function anchorForNobody(uint256 person, uint256 seed) external {
        uint256 fields = _fields(1 + PEOPLE + (seed % 1000)) | (seed % 7 == 0 ? seed % (1 << 104) : 0);
        bytes memory data = abi.encodeCall(ledger.anchorFor, (keccak256(abi.encode(seed)), fields));
        if (_act(person % PEOPLE, address(ledger), data)) faults[29] = "an office that nobody is";
    }

    /// @dev A record that its anchorer has ended is anchored once more by it, and activated there.
    function endAndActivateAnew(uint256 seed, uint256 slot, uint256 key, bool supersede) external {
        if (known.length == 0) return;
        uint256 at = seed % known.length;
        change(known[at].by, at, slot % 2, supersede ? 3 : 2);
        publish(seed, at, slot % 2, false);
        pass(seed);
        uint256 anew = known.length;
        anchorAnew(at);
        if (known.length != anew) activate(known[at].by, anew, slot, key % 3, 1);
    }

    /// @dev Another anchorer activates a copy first; then the certificate's own does, once more and once again.
    function nameTwice(uint256 leafIndex, uint256 key, bool anew) external {
        (uint256 at, uint256 slot) = (known.length, leafIndex % 2);
        anchor(0, key, false);
        if (known.length == at) return;
        copy(at);
        if (known.length == at + 1) return;
        for (uint256 i; i < 3; ++i) activate(1, at + 1, slot, i, 1);
        uint256 second = known.length;
        if (anew) anchorAnew(at);
        for (uint256 i; i < 3; ++i) _nameOwn(0, at, slot, key + i);
        for (uint256 i; i < 3; ++i) _nameOwn(0, known.length == second ? at : second, slot, key + i);
    }

    /// @dev Somebody lets another office decide in a batch.
    function setOffice(uint256 person, uint256 batchSeed, uint256 seed) public {
        if (known.length == 0) return;
        person %= PEOPLE;
        Known storage batch = known[batchSeed % known.length];
        uint256 office = [uint256(3), 5, 1, 0][seed % 4];
        uint256 id = seed % 16 == 15 ? 1 + PEOPLE + (seed >> 8) : office == 0 ? 0 : ledger.agentOf(account(office - 1)).id;
        bool may = roles[person] & 2 != 0 && batch.office == person + 1 && !paused() && id != 0 && id <= PEOPLE;
        if (_act(person, address(ledger), abi.encodeCall(ledger.setOffice, (batch.key, id))) != may) {
            faults[29] = may ? "an office may not let another decide" : "somebody else named another office";
        }
        if (!may) return;
        ++successes[29];
        batch.office = office;
    }

    /// @dev The office that stands lets another decide, and that one does; or the first goes on.
    function delegateAndDecide(uint256 batchSeed, uint256 leafIndex, uint256 to) external {
        if (known.length == 0) return;
        uint256 standing = known[batchSeed % known.length].office;
        if (standing != 0) setOffice(standing - 1, batchSeed, to % 4 == 3 ? 3 : to % 2);
        change(to % 3 == 0 ? 4 : 2, batchSeed, 2 + (leafIndex % 2), 1 + (to % 7));
    }

    /// @dev The office that stands has lost its role for a moment, and tries all the same.
    function handOnWithoutRole(uint256 batchSeed, uint256 seed) external {
        if (known.length == 0) return;
        uint256 standing = known[batchSeed % known.length].office;
        if (standing == 0 || roles[standing - 1] == 0) return;
        (uint256 person, uint8 had) = (standing - 1, roles[standing - 1]);
        if (!_govern(address(ledger), abi.encodeCall(ledger.registerAgent, (account(person), 0)))) return;
        (roles[person], taken[person]) = (0, 0);
        setOffice(person, batchSeed, seed % 2);
        if (_govern(address(ledger), abi.encodeCall(ledger.registerAgent, (account(person), had)))) roles[person] = had;
    }

    function _fields(uint256 office) private pure returns (uint256) {
        uint256 ends = (uint256(ORIGIN_END) << 104) | (uint256(ORIGIN_END) << 136);
        return ends | (uint256(SIZE) << 168) | (uint256(SIZE) << 200) | (office << 232);
    }

    /// @dev And activates a certificate in the copy.
    function copyAndActivate(uint256 seed, uint256 leafIndex) external {
        uint256 before = known.length;
        copy(seed);
        if (known.length != before) activate(known[before].by, before, leafIndex, 0, 1);
    }

    /// @dev An anchorer suspends a document, and lifts that during a pause.
    function liftInPause(uint256 batchSeed, uint256 leafIndex) external {
        if (known.length == 0) return;
        uint256 by = known[batchSeed % known.length].by;
        change(by, batchSeed, leafIndex % 2, 1);
        pause(0);
        change(by, batchSeed, leafIndex % 2, 0);
    }

    /// @dev Both certificates of a batch are drawn down for both of its declarations, some of which may have ended.
    function drawDownBoth(uint256 batchSeed, uint256 quantity, bool revoke, bool reject) external {
        if (known.length == 0) return;
        uint256 chosen = batchSeed % known.length;
        Known storage batch = known[chosen];
        _activateBoth(chosen);
        if (revoke) change(batch.by, chosen, 1, 2);
        if (reject) change(2, chosen, 3, 5);
        ICertificateBalance.Drawdown[] memory drawdowns = new ICertificateBalance.Drawdown[](2);
        for (uint256 i; i < 2; ++i) {
            drawdowns[i] = ICertificateBalance.Drawdown(
                batch.key,
                placeOf(revoke ? i : 0),
                batch.key,
                placeOf(revoke ? 2 : 2 + i),
                uint88(1 + (quantity % 20))
            );
        }
        _drawDown(batch.by, drawdowns);
    }

    /// @dev Somebody else anchors what an anchorer has anchored, as who copies a call would.
    function copy(uint256 seed) public {
        if (known.length != 0) anchor(known[seed % known.length].by + 1, seed, true);
    }

    function change(uint256 person, uint256 batchSeed, uint256 leafIndex, uint256 to) public {
        if (known.length == 0) return;
        (person, leafIndex, to) = (person % PEOPLE, leafIndex % SLOTS, to % 10);
        Known storage batch = known[batchSeed % known.length];
        uint8 from = batch.status[leafIndex];
        bool done = _act(person, address(ledger), _changeCall(batch.key, leafIndex, to));
        bool own = batch.by == person && roles[person] & 1 == 1;
        bool isDocument = leafIndex < 2;
        bool takesTrust = isDocument && (to == 1 || (own && to == 2));
        bool may = _may(person, batch, leafIndex, to);
        if (!done) {
            if (!may || (paused() && !takesTrust)) return;
            faults[paused() ? 9 : moves[person] != 0 ? 16 : 4] = "what somebody may do was refused";
            return;
        }
        ++successes[4];
        if (paused() && !takesTrust) faults[9] = "a status was given during a pause";
        if (roles[person] == 0) faults[7] = "a stranger changed a status";
        if (!may) {
            faults[4] = "a change that the rules do not know";
            if (isDocument && _documentEdge(from, to)) faults[5] = "revoked by somebody else";
            if (isDocument && to == 0) faults[15] = "lifted by somebody who had not suspended";
            if (!isDocument && from > 3) faults[12] = "a decision was undone";
            if (!isDocument && roles[person] & 2 != 0 && _officeEdge(from, to)) faults[29] = "decided by another office";
        }
        if (isDocument && !own) batch.held[leafIndex] = to == 1;
        else batch.status[leafIndex] = uint8(to);
    }

    function _changeCall(bytes32 key, uint256 leafIndex, uint256 to) private view returns (bytes memory) {
        ITraceLedger.WordChange[] memory changes = new ITraceLedger.WordChange[](1);
        uint32 place = placeOf(leafIndex);
        changes[0].wordIndex = place / 64;
        changes[0].change = (to + 1) << (4 * (place % 64));
        return abi.encodeCall(ledger.changeStatuses, (key, changes, bytes32(to)));
    }

    function _may(uint256 person, Known storage batch, uint256 leafIndex, uint256 to) private view returns (bool) {
        uint8 from = batch.status[leafIndex];
        bool own = batch.by == person && roles[person] & 1 == 1;
        if (leafIndex >= 2) {
            bool decides = roles[person] & 2 != 0 && (batch.office == 0 || batch.office == person + 1);
            return (decides && _officeEdge(from, to)) || (own && from < 2 && to == 8);
        }
        if (own) return _documentEdge(from, to);
        bool held = batch.held[leafIndex];
        return roles[person] & 4 != 0 && ((to == 1 && !held && from < 2) || (to == 0 && held));
    }

    /// @dev Somebody publishes that a record has ended, rightly or wrongly: from a place where it has not, from a
    /// declaration's, or by the proof of another batch.
    function publish(uint256 person, uint256 batchSeed, uint256 slot, bool wrongly) public {
        if (known.length == 0) return;
        (person, slot) = (person % PEOPLE, slot % 3);
        Known storage batch = known[batchSeed % known.length];
        uint256 proven = wrongly ? batch.tree + 1 : batch.tree;
        bytes memory data = abi.encodeCall(
            revocations.publish,
            (batch.key, placeOf(slot), _entry(proven, slot), _proof(proven, slot))
        );
        bool done = _act(person, address(revocations), data);
        bool may = !wrongly && slot < 2 && batch.status[slot] > 1 && _isNews(batch, slot);
        if (done != may) faults[28] = done ? "published without an end" : "an end was not published";
        if (done) _notePublished(batch, proven, slot);
    }

    function _isNews(Known storage batch, uint256 slot) private view returns (bool) {
        uint40 since = endedSince[uint128(batch.tree)][slot];
        uint40 own = ownEndedSince[uint128(batch.tree)][slot][batch.by];
        uint40 anchoredAt = batch.anchored.anchoredAt;
        return since == 0 || anchoredAt < since || own == 0 || anchoredAt < own;
    }

    function _notePublished(Known storage batch, uint256 tree, uint256 slot) private {
        ++successes[28];
        tree = uint128(tree);
        uint40 since = endedSince[tree][slot];
        uint40 own = ownEndedSince[tree][slot][batch.by];
        uint40 anchoredAt = batch.anchored.anchoredAt;
        if (since == 0 || anchoredAt < since) {
            (endedSince[tree][slot], endedAs[tree][slot]) = (anchoredAt, batch.status[slot]);
        }
        if (own == 0 || anchoredAt < own) ownEndedSince[tree][slot][batch.by] = anchoredAt;
    }

    /// @dev A record is copied, later as a rule, and ended here and there; what has ended is published in some order.
    function endCopies(uint256 seed, uint256 slot, uint8[3] calldata order) external {
        if (known.length == 0) return;
        uint256 chosen = seed % known.length;
        pass(seed);
        copy(chosen);
        for (uint256 i; i < order.length; ++i) {
            uint256 at = order[i] & 1 == 0 ? chosen : known.length - 1;
            if (order[i] & 2 != 0) change(known[at].by, at, slot % 2, 2 + (order[i] & 1));
            if (order[i] & 8 != 0) change(2, at, 2, 1 + (order[i] & 1));
            publish(order[i], at, slot, order[i] & 28 == 28);
        }
    }

    /// @dev Of two batches with the same record the end in the later one is published first.
    function endLaterFirst(uint256 seed, uint256 slot) external {
        if (known.length == 0) return;
        uint256 chosen = seed % known.length;
        for (uint256 at = known.length - 1; at > chosen; --at) {
            if (uint128(known[at].tree) != uint128(known[chosen].tree)) continue;
            uint256[2] memory order = [at, chosen];
            for (uint256 i; i < 2; ++i) {
                change(known[order[i]].by, order[i], slot % 2, 2);
                publish(0, order[i], slot % 2, false);
            }
            return;
        }
    }

    function activate(uint256 person, uint256 batchSeed, uint256 leafIndex, uint256 key, uint256 age) public {
        if (known.length == 0) return;
        (person, leafIndex, key, age) = (person % PEOPLE, leafIndex % 2, key % KEYS, age % 4000);
        uint256 at = batchSeed % known.length;
        Known storage batch = known[at];
        if (batch.anchored.anchoredAt < age) return; // It is not where it should be, which invariant 22 tells.
        uint40 issuedAt = batch.anchored.anchoredAt - uint40(age);
        uint40 until = age % 5 == 0 ? uint40(block.timestamp + age) : type(uint40).max;
        bytes memory data = abi.encodeCall(
            balance.open,
            (
                ICertificateBalance.Record(batch.key, placeOf(leafIndex)),
                _entry(batch.tree, leafIndex),
                _proof(batch.tree, leafIndex),
                ICertificateBalance.Statement(_key(key), 9, issuedAt, until)
            )
        );
        if (!_act(person, address(balance), data)) return;
        _noteActivation(person, batch, leafIndex, key, issuedAt);
        batch.validUntil[leafIndex] = until;
    }

    function _noteActivation(
        uint256 person,
        Known storage batch,
        uint256 leafIndex,
        uint256 key,
        uint40 issuedAt
    ) private {
        ++successes[5];
        if (isActivated[uint128(batch.tree)][leafIndex]) faults[upgrades == 0 ? 8 : 26] = "activated twice";
        _noteActivator(person, batch, leafIndex);
        if (roles[person] & 1 == 0) faults[7] = "activated without the role";
        if (paused()) faults[9] = "activated during a pause";
        if (batch.by != person) faults[5] = "activated by another anchorer";
        if (!_wasCovered(key, issuedAt, batch.anchored.anchoredAt)) faults[5] = "the issuer was not accredited when it signed";
        if (_isSuspended(key)) faults[5] = "the issuer is suspended";
        if (shown(batch, leafIndex) != 0) faults[6] = "activated, but not active";
        (batch.activated[leafIndex], batch.issuer[leafIndex]) = (true, key);
    }

    function _noteActivator(uint256 person, Known storage batch, uint256 leafIndex) private {
        if (isActivatedBy[uint128(batch.tree)][leafIndex][person]) faults[upgrades == 0 ? 8 : 26] = "activated twice by one";
        isActivated[uint128(batch.tree)][leafIndex] = isActivatedBy[uint128(batch.tree)][leafIndex][person] = true;
        uint40 ended = ownEndedSince[uint128(batch.tree)][leafIndex][person];
        if (ended != 0 && ended <= batch.anchored.anchoredAt) faults[6] = "activated, but ended where it stands too";
    }

    /// @dev An anchorer states that a certificate names it: where another has activated a copy, and where none has.
    function activateNamed(uint256 person, uint256 batchSeed, uint256 leafIndex, uint256 key, bool copied) external {
        if (known.length == 0) return;
        if (copied) copy(batchSeed % known.length);
        uint256 at = copied ? known.length - 1 : batchSeed % known.length;
        _nameOwn(person % 2 == 0 ? known[at].by : 1, at, leafIndex % 2, key);
    }

    /// @dev That others have activated it, and where else it stands, counts for nothing here.
    function _nameOwn(uint256 person, uint256 at, uint256 slot, uint256 key) private {
        Known storage batch = known[at];
        bool wasActivated = isActivated[uint128(batch.tree)][slot];
        isActivated[uint128(batch.tree)][slot] = false;
        bool done = _activateNamed(person, batch, slot, key % 3);
        if (!done) isActivated[uint128(batch.tree)][slot] = wasActivated;
    }

    function _activateNamed(
        uint256 person,
        Known storage batch,
        uint256 leafIndex,
        uint256 key
    ) private returns (bool done) {
        uint40 issuedAt = batch.anchored.anchoredAt;
        bytes memory data = abi.encodeCall(
            balance.openNamed,
            (
                ICertificateBalance.Record(batch.key, placeOf(leafIndex)),
                _entry(batch.tree, leafIndex),
                _proof(batch.tree, leafIndex),
                ICertificateBalance.Statement(_key(key), 9, issuedAt, type(uint40).max),
                ICertificateBalance.Record(0, 0)
            )
        );
        done = _act(person, address(balance), data);
        if (!done) return done;
        _noteActivation(person, batch, leafIndex, key, issuedAt);
        batch.validUntil[leafIndex] = type(uint40).max;
    }

    /// @dev A certificate goes on with the account of another, which its anchorer has superseded, or has not.
    function succeed(uint256 oldSeed, uint256 newSeed, uint256 slots, uint256 key, bool supersede) public {
        if (known.length == 0) return;
        (uint256 before, uint256 after_) = (oldSeed % known.length, newSeed % known.length);
        (uint256 oldSlot, uint256 newSlot) = (slots % 2, (slots / 2) % 2);
        if (supersede) change(known[before].by, before, oldSlot, 3);
        _succeed(before, oldSlot, after_, newSlot, key % 3);
    }

    /// @dev The likely way: drawn down, superseded, and anchored anew by the same anchorer, once or twice.
    function reissue(uint256 seed, uint256 key, uint256 count, bool twice) public {
        if (known.length == 0) return;
        uint256 before = seed % known.length;
        if (count % 3 != 0) _drawDownOwn(before, count % 3);
        change(known[before].by, before, 0, 3);
        uint256 after_ = known.length;
        anchor(known[before].by, seed, false);
        if (known.length == after_) return;
        for (uint256 i; i < 3; ++i) _succeed(before, 0, after_, 0, (key + i) % 3);
        if (twice) for (uint256 i; i < 3; ++i) _succeed(before, 0, after_, 1, (key + i) % 3);
    }

    /// @dev Another anchorer goes on with an account, which it may with the consent of who supersedes the certificate.
    function takeAccount(uint256 seed, bool afresh) external {
        if (known.length == 0) return;
        uint256 before = seed % known.length;
        uint256 other = (known[before].by + 1) % 2;
        _activateBoth(before);
        change(known[before].by, before, 0, 3);
        if (afresh) anchor(other, seed, false);
        for (uint256 at = known.length; at != 0; --at) {
            if (known[at - 1].by != other || known[at - 1].activated[0]) continue;
            for (uint256 key; key < 3; ++key) _succeed(before, 0, at - 1, 0, key);
            return;
        }
    }

    function _succeed(uint256 before, uint256 oldSlot, uint256 after_, uint256 newSlot, uint256 key) private {
        Known storage old = known[before];
        Known storage fresh = known[after_];
        uint256 person = fresh.by;
        {
            ICertificateBalance.Record memory superseded = ICertificateBalance.Record(old.key, placeOf(oldSlot));
            if (!_act(person, address(balance), _successionCall(fresh, newSlot, key, superseded))) return;
        }
        ++successes[25];
        if (!old.activated[oldSlot]) faults[25] = "went on with no account";
        if (old.status[oldSlot] != 3) faults[25] = "went on with what was not superseded";
        if (old.carried[oldSlot]) faults[25] = "went on with an account twice";
        if (old.by != person && !consents[old.by][person]) faults[25] = "went on with another's account";
        _noteActivation(person, fresh, newSlot, key, fresh.anchored.anchoredAt);
        fresh.validUntil[newSlot] = type(uint40).max;
        old.carried[oldSlot] = true;
        heirs[before][oldSlot] = 1 + 2 * after_ + newSlot;
        fresh.outstanding[newSlot] += old.outstanding[oldSlot];
        old.outstanding[oldSlot] = 0;
    }

    function _successionCall(
        Known storage fresh,
        uint256 slot,
        uint256 key,
        ICertificateBalance.Record memory superseded
    ) private view returns (bytes memory) {
        ICertificateBalance.Record memory certificate = ICertificateBalance.Record(fresh.key, placeOf(slot));
        ICertificateBalance.Statement memory statement = ICertificateBalance.Statement(
            _key(key),
            9,
            fresh.anchored.anchoredAt,
            type(uint40).max
        );
        (bytes memory entry, bytes32[] memory proof) = (_entry(fresh.tree, slot), _proof(fresh.tree, slot));
        return abi.encodeCall(balance.openSuccessor, (certificate, entry, proof, statement, superseded));
    }

    /// @dev An anchorer states anew what it had stated of a certificate.
    function correct(uint256 batchSeed, uint256 leafIndex, uint256 key, uint256 age, bool draw) public {
        if (known.length == 0) return;
        uint256 chosen = batchSeed % known.length;
        if (draw) _drawDownOwn(chosen, 1);
        (leafIndex, key, age) = (draw ? 0 : leafIndex % 2, key % KEYS, age % 4000);
        Known storage batch = known[chosen];
        uint40 issuedAt = batch.anchored.anchoredAt - uint40(age);
        bytes memory data = abi.encodeCall(
            balance.correct,
            (
                ICertificateBalance.Record(batch.key, placeOf(leafIndex)),
                ICertificateBalance.Statement(_key(key), 9, issuedAt, type(uint40).max)
            )
        );
        // The other anchorer tries first, every time: what it may not do is rare enough as it is.
        if (_act((batch.by + 1) % 2, address(balance), data)) faults[27] = "corrected by another anchorer";
        if (!_act(batch.by, address(balance), data)) return;
        ++successes[27];
        if (batch.outstanding[leafIndex] != 0) faults[27] = "corrected while it was drawn down";
        if (!batch.activated[leafIndex] || batch.carried[leafIndex]) faults[27] = "corrected without an account";
        if (paused()) faults[9] = "corrected during a pause";
        if (!_wasCovered(key, issuedAt, batch.anchored.anchoredAt)) faults[27] = "the issuer was not accredited";
        (batch.issuer[leafIndex], batch.validUntil[leafIndex]) = (key, type(uint40).max);
    }

    /// @dev Another contract takes over, after everybody has tried to let it count before, and to let the old one go on.
    function upgrade(uint256 person, uint256 seed) public {
        if (upgrades == MOST_UPGRADES || seed % 8 != 0) return;
        person %= PEOPLE;
        ICertificateBalance old = balance;
        ICertificateBalance first = _balanceAfter(address(0));
        ICertificateBalance fresh = _balanceAfter(address(old));
        _tryAll(first, person, "a second contract counted");
        _tryAll(fresh, person, "counted before its predecessor ended");
        if (_govern(address(old), abi.encodeCall(old.handOver, (address(fresh))))) faults[26] = "handed over to one not named";
        bytes4[] memory selectors = new bytes4[](2);
        (selectors[0], selectors[1]) = (old.begin.selector, old.handOver.selector);
        IAccessManager(manager).setTargetFunctionRole(address(fresh), selectors, 3);
        if (upgrades == 0) IAccessManager(manager).grantRole(3, address(this), 0);
        vm.prank(account(person));
        (bool seized, ) = address(old).call(abi.encodeCall(old.handOver, (address(fresh))));
        if (seized) faults[26] = "handed over by anybody";
        if (!_govern(address(old), abi.encodeCall(old.handOver, (address(fresh))))) return;
        ++successes[26];
        ++upgrades;
        balance = fresh;
        _tryAll(old, person, "went on after its end");
        // Consents are given anew.
        for (uint256 i; i < PEOPLE; ++i) for (uint256 j; j < PEOPLE; ++j) consents[i][j] = false;
        for (uint256 i; i < sets.length; ++i) {
            if (i == 3) break;
            vm.prank(account(0));
            (bool done, ) = address(fresh).call(abi.encodeCall(fresh.draw, (sets[i].drawdowns)));
            if (done) faults[26] = "drawn down once more in the next contract";
        }
    }

    function _tryAll(ICertificateBalance tried, uint256 person, string memory fault) private {
        bytes[4] memory calls = [
            abi.encodeCall(tried.begin, ()),
            abi.encodeCall(tried.takeOver, ()),
            abi.encodeCall(tried.handOver, (address(balance))),
            abi.encodeCall(tried.allowDrawdowns, (account(1), true))
        ];
        for (uint256 i; i < calls.length; ++i) {
            vm.prank(account(i == 3 ? 0 : person));
            (bool done, ) = address(tried).call(calls[i]);
            if (done) faults[26] = fault;
        }
        vm.getRecordedLogs();
    }

    function _balanceAfter(address before) private returns (ICertificateBalance) {
        return
            ICertificateBalance(
                _create("CertificateBalance", abi.encode(address(ledger), address(accreditation), before, address(revocations)))
            );
    }

    function drawDown(uint256 person, uint256 batchSeed, uint256 seed, uint256 count) public {
        if (known.length == 0) return;
        person %= PEOPLE;
        ICertificateBalance.Drawdown[] memory drawdowns = new ICertificateBalance.Drawdown[](1 + (count % 3));
        for (uint256 i; i < drawdowns.length; ++i) {
            uint256 chance = uint256(keccak256(abi.encode(seed, i)));
            drawdowns[i].certificateBatch = known[(chance >> 8) % known.length].key;
            drawdowns[i].certificateLeafIndex = placeOf((chance >> 16) % 2);
            drawdowns[i].declarationBatch = known[batchSeed % known.length].key;
            drawdowns[i].declarationLeafIndex = _declared(chance >> 32, (chance >> 24) % 8 == 0);
            drawdowns[i].quantity = uint88((chance >> 40) % 8 == 0 ? (chance >> 48) % 150 : 1 + ((chance >> 48) % 40));
        }
        _drawDown(person, drawdowns);
    }

    /// @dev Most certificates are not activated at random: this draws down what can be, so that long chains come about.
    function drawDownActivated(uint256 seed, uint256 quantity, uint256 count) public {
        if (known.length == 0) return;
        ICertificateBalance.Drawdown[] memory drawdowns = new ICertificateBalance.Drawdown[](1 + (count % 3));
        uint256 declared = seed % known.length;
        for (uint256 i; i < drawdowns.length; ++i) {
            uint256 start = uint256(keccak256(abi.encode(seed, i)));
            for (uint256 tried; tried < 2 * known.length; ++tried) {
                uint256 at = (start + tried) % (2 * known.length);
                if (!known[at / 2].activated[at % 2]) continue;
                drawdowns[i].certificateBatch = known[at / 2].key;
                drawdowns[i].certificateLeafIndex = placeOf(at % 2);
                break;
            }
            drawdowns[i].declarationBatch = known[declared].key;
            drawdowns[i].declarationLeafIndex = _declared(start, quantity % 7 == 0);
            drawdowns[i].quantity = uint88(1 + (quantity % 60) + i);
        }
        // Sometimes by the other anchorer, who has no declaration there.
        uint256 by = known[declared].by;
        _drawDown(quantity % 5 == 1 ? (by + 1) % 2 : by, drawdowns);
    }

    /// @dev What follows makes the likely acts likely: all parties and leaf indices being right by chance is rare.
    function anchorAndActivate(uint256 person, uint256 key, uint256 age) public {
        uint256 before = known.length;
        anchor(person % 2, person, false);
        if (known.length == before) return;
        activate(person % 2, before, 0, key, age % 100);
        activate(person % 2, before, 1, key, 1);
    }

    function activateOwn(uint256 batchSeed, uint256 leafIndex, uint256 key, uint256 age) public {
        if (known.length != 0) activate(known[batchSeed % known.length].by, batchSeed, leafIndex, key % 3, age % 60);
    }

    function decide(uint256 batchSeed, uint256 leafIndex, uint256 to) public {
        change(2, batchSeed % 4, 2 + (leafIndex % 2), 1 + (to % 7));
    }

    /// @dev Whoever is above the offices would like other decisions.
    function overrule(uint256 batchSeed, uint256 leafIndex, uint256 to) public {
        change(3 + (to % 2), batchSeed % 4, 2 + (leafIndex % 2), to % 9);
    }

    function revokeOwn(uint256 batchSeed, uint256 leafIndex, uint256 to) public {
        if (known.length != 0) change(known[batchSeed % known.length].by, batchSeed, leafIndex % 2, to % 4);
    }

    function drawDownOne(uint256 seed, uint256 quantity) public {
        drawDownActivated(seed, quantity, 0);
    }

    /// @dev The last of three drawdowns, from a position that a tree of two would give it.
    function misplace(uint256 seed) public {
        if (known.length == 0) return;
        uint256 before = sets.length;
        _drawDownOwn(seed % known.length, 3);
        if (sets.length != before) refund(seed % 2, before, 2, true, true);
    }

    /// @dev An anchorer activates what another anchored.
    function activateAnothers(uint256 batchSeed, uint256 leafIndex, uint256 key) external {
        if (known.length == 0) return;
        activate((known[batchSeed % known.length].by + 1) % 2, batchSeed, leafIndex, key % 3, 1);
    }

    /// @dev A certificate is drawn down just after its end.
    function drawDownLate(uint256 batchSeed, uint256 key) external {
        if (known.length == 0) return;
        uint256 chosen = batchSeed % known.length;
        activate(known[chosen].by, chosen, 0, key % 3, 5);
        pass(10);
        _drawDownOwn(chosen, 1);
    }

    /// @dev An anchorer lets another draw its certificates down, or no longer.
    function allow(uint256 person, uint256 other, bool isAllowed) public {
        (person, other) = (person % PEOPLE, other % PEOPLE);
        if (!_act(person, address(balance), abi.encodeCall(balance.allowDrawdowns, (account(other), isAllowed)))) return;
        ++successes[23];
        if (roles[person] & 1 == 0) faults[7] = "allowed without the role";
        if (paused()) faults[9] = "allowed during a pause";
        consents[person][other] = isAllowed;
    }

    /// @dev The second anchorer draws certificates down just after the first has allowed it, or no longer.
    function useUp(uint256 seed, uint256 quantity, bool isAllowed) public {
        allow(0, 1, isAllowed);
        for (uint256 i; i < known.length; ++i) {
            uint256 declared = (seed + i) % known.length;
            if (known[declared].by != 1) continue;
            drawDownActivated(declared, 5 * (quantity % 12), 0);
            return;
        }
    }

    function refundOwn(uint256 seed, uint256 position, bool reject, bool elsewhere) public {
        refund(seed % 2, seed, position, reject, elsewhere);
    }

    function refund(uint256 person, uint256 seed, uint256 position, bool reject, bool elsewhere) public {
        if (sets.length == 0) return;
        DrawdownSet storage set = sets[seed % sets.length];
        uint256 size = set.drawdowns.length;
        (person, position) = (person % PEOPLE, position % size);
        ICertificateBalance.Drawdown memory drawdown = set.drawdowns[position];
        Known storage declared = known[indexOf[drawdown.declarationBatch] - 1];
        if (reject) change(2, indexOf[drawdown.declarationBatch] - 1, _slotOf(drawdown.declarationLeafIndex), 5);
        bytes32[] memory proof = _setProof(set.drawdowns, position);
        uint256 claimed = elsewhere && size == 3 && position == 2 ? 1 : position;
        if (!_act(person, address(balance), abi.encodeCall(balance.giveBack, (drawdown, set.root, claimed, proof)))) {
            return;
        }
        ++successes[8];
        uint8 status = declared.status[_slotOf(drawdown.declarationLeafIndex)];
        if (roles[person] & 1 == 0) faults[7] = "refunded without the role";
        if (paused()) faults[9] = "refunded during a pause";
        if (claimed != position || set.refunded[position]) faults[8] = "refunded twice, or elsewhere";
        if (status != 5 && status != 6 && status != 8) faults[3] = "refunded although the declaration stands";
        set.refunded[position] = true;
        (uint256 at, uint256 slot) = (indexOf[drawdown.certificateBatch] - 1, _slotOf(drawdown.certificateLeafIndex));
        while (heirs[at][slot] != 0) (at, slot) = ((heirs[at][slot] - 1) / 2, (heirs[at][slot] - 1) % 2);
        Known storage certified = known[at];
        uint256 outstanding = certified.outstanding[slot];
        if (drawdown.quantity > outstanding) faults[3] = "more refunded than was drawn down";
        else certified.outstanding[slot] = outstanding - drawdown.quantity;
    }

    function accredit(uint256 key, uint256 seed) public {
        key %= KEYS;
        uint40 from = uint40(block.timestamp - 5000 + (seed % 6000));
        bytes memory data = abi.encodeCall(accreditation.accredit, (_key(key), 2, 1 << 9, from, from + 50_000));
        if (!_govern(address(accreditation), data)) return;
        if (rotatedAt[key] != 0) faults[14] = "a rotated key was accredited again";
        _learn(key, IAccreditation.Terms(2, 1 << 9, from, from + 50_000, _latest(key).suspendedSince));
    }

    function suspend(uint256 key, uint256 seed, bool lift) public {
        key %= KEYS;
        lift = lift || seed % 3 != 0;
        uint40 since = uint40(block.timestamp - 50 + (seed % 100));
        bytes memory data = lift
            ? abi.encodeCall(accreditation.reinstate, (_key(key)))
            : abi.encodeCall(accreditation.suspend, (_key(key), since));
        if (!_govern(address(accreditation), data)) return;
        IAccreditation.Terms memory terms = _latest(key);
        if (!lift && since > block.timestamp) faults[18] = "suspended from a moment ahead";
        if (!lift && terms.suspendedSince != 0 && since > terms.suspendedSince) faults[18] = "a suspension was lifted";
        if (lift) lifted[key].push(IAccreditation.Suspension(terms.suspendedSince, uint40(block.timestamp)));
        terms.suspendedSince = lift ? 0 : since;
        _learn(key, terms);
    }

    function rotate(uint256 key, uint256 chance) public {
        if (chance % 3 != 0) return;
        key %= KEYS;
        bytes32 successor = bytes32(nextKey);
        if (!_govern(address(accreditation), abi.encodeCall(accreditation.rotate, (_key(key), successor)))) return;
        ++nextKey;
        ++successes[14];
        if (rotatedAt[key] != 0) faults[14] = "a key was rotated twice";
        rotatedAt[key] = uint40(block.timestamp);
        IAccreditation.Terms memory terms = _latest(key);
        terms.validUntil = uint40(block.timestamp);
        _learn(key, terms);
    }

    function pause(uint256 chance) public {
        bool stop = chance % 4 == 0;
        bytes32 before = _reads();
        bytes memory data = stop ? abi.encodeCall(ledger.pause, ()) : abi.encodeCall(ledger.resume, ());
        if (!_govern(address(ledger), data)) return;
        if (stop && paused()) faults[9] = "paused twice";
        if (stop && ownPauseEnd <= block.timestamp) ownPauseEnd = uint40(block.timestamp + 72 hours);
        pausedUntil = stop ? ownPauseEnd : 0;
        if (_reads() != before) faults[9] = "a pause changed what is read";
    }

    uint40 internal ownPauseEnd;

    /// @dev An agent loses its roles, or moves to another account, which gets them.
    function replace(uint256 person, uint256 seed) public {
        person %= PEOPLE;
        if (seed % 4 == 0) {
            if (!_govern(address(ledger), abi.encodeCall(ledger.suspendAgent, (account(person))))) return;
            taken[person] |= roles[person];
            roles[person] = 0;
            if (seed % 8 == 0) return;
        }
        address old = account(person);
        address fresh = address(uint160(0xA000 + person) + (moves[person] + 1) * 0x100);
        if (seed % 8 == 1) fresh = account((person + 1) % 5);
        if (!_govern(address(ledger), abi.encodeCall(ledger.moveAgent, (old, fresh)))) return;
        ++successes[16];
        if (seed % 8 == 1) faults[16] = "moved to an account that was an agent's";
        ++moves[person];
        retired.push(old);
        roles[person] |= taken[person];
        taken[person] = 0;
    }

    /// @dev Issuer and authority suspend and lift the same document, in any order.
    function quarrel(uint256 batchSeed, uint256 leafIndex, uint8[4] calldata steps) public {
        if (known.length == 0) return;
        for (uint256 i; i < steps.length; ++i) {
            uint256 by = steps[i] & 2 == 0 ? known[batchSeed % known.length].by : 3;
            change(by, batchSeed, leafIndex % 2, steps[i] & 1);
        }
    }

    function suspendTwice(uint256 key, uint256 seed) public {
        suspend(key, 3 * (seed % 1000), false);
        suspend(key, 3 * ((seed >> 16) % 1000), false);
    }

    /// @dev Whoever has the key of an account that gave way tries everything, and the authority lets it back by mistake.
    function comeBack(uint256 seed, uint256 batchSeed, uint256 to) public {
        if (retired.length == 0 || known.length == 0) return;
        address old = retired[seed % retired.length];
        bytes memory data = _changeCall(known[batchSeed % known.length].key, batchSeed % SLOTS, to % 9);
        vm.prank(old);
        (bool done, ) = address(ledger).call(data);
        vm.prank(old);
        (bool anchored, ) = address(ledger).call(abi.encodeCall(ledger.anchor, (keccak256(abi.encode(seed)), 0, 0, 1, 1)));
        bool again = _govern(address(ledger), abi.encodeCall(ledger.registerAgent, (old, uint8(1 + (seed % 7)))));
        if (done || anchored || again) faults[16] = "an account that gave way acted again";
    }

    function pass(uint256 time) public {
        vm.warp(block.timestamp + 1 + (time % 300));
    }

    /// @dev Anything at all by the stranger, and the authority's acts by everybody else.
    function intrude(uint256 person, uint256 which, uint256 key) public {
        person %= PEOPLE;
        bytes[10] memory calls = [
            abi.encodeCall(ledger.suspendAgent, (account(0))),
            abi.encodeCall(ledger.moveAgent, (account(0), address(0xBAD))),
            abi.encodeCall(ledger.renewPause, ()),
            abi.encodeCall(ledger.registerAgent, (account(5), 7)),
            abi.encodeCall(ledger.pause, ()),
            abi.encodeCall(ledger.resume, ()),
            abi.encodeCall(accreditation.accredit, (_key(key % KEYS), 255, 1, 1, 1 << 33)),
            abi.encodeCall(accreditation.suspend, (_key(key % KEYS), 1)),
            abi.encodeCall(accreditation.reinstate, (_key(key % KEYS))),
            abi.encodeCall(accreditation.rotate, (_key(key % KEYS), bytes32(nextKey)))
        ];
        address target = which % 10 < 6 ? address(ledger) : address(accreditation);
        if (_act(person, target, calls[which % 10])) faults[7] = "an act of the authority by somebody else";
    }

    // ---- what the tests ask

    function contracts() external view returns (ITraceLedger, IAccreditation, ICertificateBalance) {
        return (ledger, accreditation, balance);
    }

    /// @dev What is published of a document of a batch.
    function publishedOf(uint256 batch, uint256 slot) external view returns (IRevocations.Revocation memory) {
        return revocations.revocationOf(leafOf(batch, slot));
    }

    /// @dev Since when a document of a batch has ended, as its own anchorer's batches say.
    function ownPublishedOf(uint256 batch, uint256 slot) external view returns (uint40) {
        uint32 id = ledger.agentOf(account(known[batch].by)).id;
        return revocations.revocationOf(sha256(abi.encode(id, leafOf(batch, slot)))).since;
    }

    function leafOf(uint256 batch, uint256 slot) public view returns (bytes32) {
        return _slotLeaf(known[batch].tree, slot);
    }

    function batchCount() external view returns (uint256) {
        return known.length;
    }

    function setCount() external view returns (uint256) {
        return sets.length;
    }

    function batchAt(uint256 i) external view returns (Known memory) {
        return known[i];
    }

    function setAt(uint256 i) external view returns (DrawdownSet memory) {
        return sets[i];
    }

    function versionsOf(uint256 key) external view returns (Version[] memory) {
        return versions[key];
    }

    function saidTermsOf(bytes32 key) external view returns (IAccreditation.Terms memory) {
        return saidTerms[key];
    }

    function account(uint256 person) public view returns (address) {
        return address(uint160(0xA000 + person) + moves[person] * 0x100);
    }

    /// @dev The leaf index of a slot; slots 2 and 3 are declarations.
    function placeOf(uint256 slot) public pure returns (uint32) {
        return slot == 0 ? 0 : slot == 1 ? 64 : slot == 2 ? 65 : 129;
    }

    function paused() public view returns (bool) {
        return block.timestamp < pausedUntil;
    }

    function saidPaused() external view returns (bool) {
        return block.timestamp < saidPausedUntil;
    }

    function shown(Known memory batch, uint256 leafIndex) public pure returns (uint8) {
        uint8 status = batch.status[leafIndex];
        return batch.held[leafIndex] && status == 0 ? 1 : status;
    }

    /// @dev The root of a batch's tree.
    function rootOf(uint256 batch) external view returns (bytes32) {
        return _root(known[batch].tree);
    }

    function rolesOf(uint256 person) external view returns (uint8) {
        return roles[person];
    }

    function keyAt(uint256 key) external view returns (bytes32) {
        return _key(key);
    }

    // ---- the handler's own ways

    /// @dev The slot of a leaf index; none of them for a filler, or outside of the batch.
    function _slotOf(uint256 place) private pure returns (uint256 slot) {
        while (slot < SLOTS && placeOf(slot) != place) ++slot;
    }

    /// @dev By any key that may.
    function _activateBoth(uint256 chosen) private {
        for (uint256 key; key < 3; ++key) {
            activate(known[chosen].by, chosen, 0, key, 1);
            activate(known[chosen].by, chosen, 1, key, 1);
        }
    }

    /// @dev Some drawdowns on a batch's first certificate for its first declaration.
    function _drawDownOwn(uint256 chosen, uint256 count) private {
        _activateBoth(chosen);
        bytes32 key = known[chosen].key;
        ICertificateBalance.Drawdown[] memory drawdowns = new ICertificateBalance.Drawdown[](count);
        for (uint256 i; i < count; ++i) {
            drawdowns[i] = ICertificateBalance.Drawdown(key, placeOf(0), key, placeOf(2), uint88(1 + i));
        }
        _drawDown(known[chosen].by, drawdowns);
    }

    function _declared(uint256 chance, bool wrongly) private pure returns (uint32) {
        return wrongly ? [uint32(0), 1, 64, 130, 131, 200][chance % 6] : placeOf(2 + (chance % 2));
    }

    function _drawDown(uint256 person, ICertificateBalance.Drawdown[] memory drawdowns) private {
        if (!_act(person, address(balance), abi.encodeCall(balance.draw, (drawdowns)))) return;
        ++successes[3];
        if (roles[person] & 1 == 0) faults[7] = "drawn down without the role";
        if (paused()) faults[9] = "drawn down during a pause";
        DrawdownSet storage set = sets.push();
        set.root = _setRoot(drawdowns);
        for (uint256 i; i + 1 < sets.length; ++i) {
            if (sets[i].root == set.root) faults[8] = "the same drawdowns were made twice";
        }
        for (uint256 i; i < drawdowns.length; ++i) {
            set.drawdowns.push(drawdowns[i]);
            Known storage certified = known[indexOf[drawdowns[i].certificateBatch] - 1];
            Known storage declared = known[indexOf[drawdowns[i].declarationBatch] - 1];
            uint256 leafIndex = _slotOf(drawdowns[i].certificateLeafIndex);
            if (!certified.activated[leafIndex]) faults[3] = "drawn down before it was activated";
            if (shown(certified, leafIndex) != 0) faults[6] = "drawn down, but not active";
            if (certified.validUntil[leafIndex] <= block.timestamp) faults[6] = "drawn down after its end";
            if (_isSuspended(certified.issuer[leafIndex])) faults[6] = "drawn down, but its issuer is suspended";
            if (declared.by != person) faults[7] = "drawn down for another anchorer's declaration";
            uint256 declaration = _slotOf(drawdowns[i].declarationLeafIndex);
            uint8 status = declaration < SLOTS ? declared.status[declaration] : 0;
            if (declaration < 2 || declaration >= SLOTS) faults[6] = "no declaration there";
            if (status > 3) faults[6] = "customs have decided";
            if (certified.by != person && !consents[certified.by][person]) faults[23] = "drawn down without consent";
            certified.outstanding[leafIndex] += drawdowns[i].quantity;
        }
    }

    function _act(uint256 person, address target, bytes memory data) private returns (bool done) {
        vm.record();
        vm.prank(account(person));
        (done, ) = target.call(data);
        if (roles[person] == 0) {
            (, bytes32[] memory a) = vm.accesses(address(ledger));
            (, bytes32[] memory b) = vm.accesses(address(balance));
            (, bytes32[] memory c) = vm.accesses(address(accreditation));
            if (done && a.length + b.length + c.length != 0) faults[7] = "a stranger wrote to a slot";
        }
        _replay();
    }

    function _govern(address target, bytes memory data) private returns (bool done) {
        (done, ) = target.call(data);
        _replay();
    }

    /// @dev Keeps what the events say, as somebody would who has only those.
    function _replay() private {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i; i < logs.length; ++i) {
            bytes32 event_ = logs[i].topics[0];
            bytes memory data = logs[i].data;
            if (event_ == ITraceLedger.BatchAnchored.selector) {
                (uint32 number, uint32 size) = abi.decode(data, (uint32, uint32));
                saidBatch[logs[i].topics[1]] = (uint256(number) << 32) | size;
            } else if (event_ == ITraceLedger.AgentRegistered.selector) {
                saidRoles[address(uint160(uint256(logs[i].topics[1])))] = abi.decode(data, (uint8));
            } else if (event_ == ITraceLedger.PauseEnds.selector) {
                saidPausedUntil = abi.decode(data, (uint40));
            } else if (event_ == ITraceLedger.Resumed.selector) {
                saidPausedUntil = 0;
            } else if (event_ == IRevocations.RevocationPublished.selector) {
                (, uint8 ended, uint40 since) = abi.decode(data, (uint256, uint8, uint40));
                uint256 said = saidEnded[logs[i].topics[1]];
                if (said == 0 || since < said >> 8) saidEnded[logs[i].topics[1]] = (uint256(since) << 8) | ended;
            } else if (event_ == ICertificateBalance.CertificateOpened.selector) {
                (uint88 quantity, ) = abi.decode(data, (uint88, ICertificateBalance.Statement));
                saidRemaining[keccak256(abi.encode(logs[i].topics[1], logs[i].topics[2]))] = quantity;
            } else if (event_ == ICertificateBalance.Drawn.selector) {
                ICertificateBalance.Drawdown[] memory drawdowns = abi.decode(data, (ICertificateBalance.Drawdown[]));
                saidSet[logs[i].topics[1]] = drawdowns.length << 248;
                for (uint256 j; j < drawdowns.length; ++j) {
                    unchecked {
                        saidRemaining[_certificate(drawdowns[j])] -= drawdowns[j].quantity;
                    }
                }
            } else if (event_ == ICertificateBalance.GivenBack.selector) {
                ICertificateBalance.Drawdown memory drawdown = abi.decode(data, (ICertificateBalance.Drawdown));
                saidSet[logs[i].topics[1]] |= 1 << uint256(logs[i].topics[2]);
                saidRemaining[_certificate(drawdown)] += drawdown.quantity;
            } else if (event_ == ICertificateBalance.CarriedOver.selector) {
                (uint32 leafIndex, uint88 remaining) = abi.decode(data, (uint32, uint88));
                saidRemaining[keccak256(abi.encode(logs[i].topics[1], logs[i].topics[2]))] = 0;
                saidRemaining[keccak256(abi.encode(logs[i].topics[3], uint256(leafIndex)))] = remaining;
            } else if (event_ == IAccreditation.KeyAccredited.selector) {
                IAccreditation.Terms storage terms = saidTerms[logs[i].topics[1]];
                (terms.kinds, terms.chapters, terms.validFrom, terms.validUntil) = abi.decode(
                    data,
                    (uint16, uint128, uint40, uint40)
                );
            } else if (event_ == IAccreditation.KeySuspended.selector) {
                saidTerms[logs[i].topics[1]].suspendedSince = abi.decode(data, (uint40));
            } else if (event_ == IAccreditation.KeyReinstated.selector) {
                saidTerms[logs[i].topics[1]].suspendedSince = 0;
            } else if (event_ == IAccreditation.KeyRotated.selector) {
                IAccreditation.Terms memory terms = saidTerms[logs[i].topics[1]];
                uint40 time = abi.decode(data, (uint40));
                saidTerms[logs[i].topics[2]] = IAccreditation.Terms(terms.kinds, terms.chapters, time, terms.validUntil, 0);
                saidTerms[logs[i].topics[1]].validUntil = time;
            }
        }
    }

    function _learn(uint256 key, IAccreditation.Terms memory terms) private {
        versions[key].push(Version(uint40(block.timestamp), terms));
    }

    function _latest(uint256 key) private view returns (IAccreditation.Terms memory terms) {
        uint256 count = versions[key].length;
        if (count != 0) terms = versions[key][count - 1].terms;
    }

    function _isSuspended(uint256 key) private view returns (bool) {
        uint40 since = _latest(key).suspendedSince;
        return since != 0 && since <= block.timestamp;
    }

    /// @dev By the terms of the moment, or the very first of the minutes after it, and outside every suspension until the
    /// anchoring. Batches here are anchored within the grace.
    function _wasCovered(uint256 key, uint40 moment, uint40 anchoredAt) private view returns (bool) {
        Version[] storage all = versions[key];
        if (all.length == 0) return false;
        IAccreditation.Terms memory then;
        uint40 by = all[0].time <= moment ? moment : moment + 5 minutes;
        for (uint256 i; i < all.length && all[i].time <= by; ++i) then = all[i].terms;
        uint40 standing = _latest(key).suspendedSince;
        if (standing != 0 && standing <= anchoredAt) return false;
        for (uint256 i; i < lifted[key].length; ++i) {
            if (lifted[key][i].since <= anchoredAt && moment < lifted[key][i].lifted) return false;
        }
        return _holds(then, moment);
    }

    function _holds(IAccreditation.Terms memory terms, uint40 moment) private pure returns (bool) {
        bool suspended = terms.suspendedSince != 0 && terms.suspendedSince <= moment;
        return terms.kinds != 0 && terms.validFrom <= moment && moment < terms.validUntil && !suspended;
    }

    function _documentEdge(uint256 from, uint256 to) private pure returns (bool) {
        return (from == 0 && to >= 1 && to <= 3) || (from == 1 && (to == 0 || to == 2 || to == 3));
    }

    function _officeEdge(uint256 from, uint256 to) private pure returns (bool) {
        return from <= 3 && to >= 1 && to <= 7 && from != to;
    }

    function _reads() private view returns (bytes32 all) {
        for (uint256 i; i < known.length; ++i) {
            (bytes32 key, uint256 tree) = (known[i].key, known[i].tree);
            all = keccak256(
                abi.encode(
                    all,
                    ledger.batchOf(key),
                    [ledger.statusWord(key, 0), ledger.statusWord(key, 1), ledger.statusWord(key, 2)],
                    ledger.verify(key, 0, _entry(tree, 0), _proof(tree, 0)),
                    balance.balanceOf(key, placeOf(0)),
                    balance.balanceOf(key, placeOf(1))
                )
            );
        }
        for (uint256 key; key < KEYS; ++key) all = keccak256(abi.encode(all, accreditation.accreditationOf(_key(key))));
    }

    function _key(uint256 key) private view returns (bytes32) {
        return keccak256(abi.encode("key", keyIds[key]));
    }

    function _certificate(ICertificateBalance.Drawdown memory drawdown) private pure returns (bytes32) {
        return keccak256(abi.encode(drawdown.certificateBatch, uint256(drawdown.certificateLeafIndex)));
    }

    // ---- trees, as RFC 9162 has them for one to four leaves

    function _entry(uint256 batch, uint256 leafIndex) private pure returns (bytes memory) {
        bool isCertificate = leafIndex < 2;
        return
            abi.encodePacked(
                isCertificate ? bytes1(0x01) : bytes1(0x03),
                isCertificate ? bytes16(uint128(QUANTITY)) : bytes16(0),
                keccak256(abi.encode(leafIndex == 3 ? batch : uint128(batch), leafIndex))
            );
    }

    function _leaf(bytes memory entry) private pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x00), entry));
    }

    function _node(bytes32 left, bytes32 right) private pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x01), left, right));
    }

    /// @dev The hash over 2^height fillers.
    function _fillers(uint256 height) private pure returns (bytes32 hash) {
        hash = _leaf(abi.encodePacked(bytes1(0x01), bytes16(0), bytes32(0)));
        for (uint256 i; i < height; ++i) hash = _node(hash, hash);
    }

    function _slotLeaf(uint256 batch, uint256 slot) private pure returns (bytes32) {
        return _leaf(_entry(batch, slot));
    }

    /// @dev The hash over leaves 0 to 63.
    function _firstWord(uint256 batch) private pure returns (bytes32 hash) {
        hash = _slotLeaf(batch, 0);
        for (uint256 i; i < 6; ++i) hash = _node(hash, _fillers(i));
    }

    /// @dev The hash over leaves 64 to 127.
    function _secondWord(uint256 batch) private pure returns (bytes32 hash) {
        hash = _node(_slotLeaf(batch, 1), _slotLeaf(batch, 2));
        for (uint256 i = 1; i < 6; ++i) hash = _node(hash, _fillers(i));
    }

    /// @dev The hash over leaves 128 and 129.
    function _lastWord(uint256 batch) private pure returns (bytes32) {
        return _node(_fillers(0), _slotLeaf(batch, 3));
    }

    function _root(uint256 batch) private pure returns (bytes32) {
        return _node(_node(_firstWord(batch), _secondWord(batch)), _lastWord(batch));
    }

    /// @dev The proof of a certificate, or of the first declaration.
    function _proof(uint256 batch, uint256 slot) private pure returns (bytes32[] memory proof) {
        proof = new bytes32[](8);
        for (uint256 i; i < 6; ++i) proof[i] = _fillers(i);
        if (slot != 0) proof[0] = _slotLeaf(batch, 3 - slot);
        proof[6] = slot == 0 ? _secondWord(batch) : _firstWord(batch);
        proof[7] = _lastWord(batch);
    }

    function _setRoot(ICertificateBalance.Drawdown[] memory drawdowns) private pure returns (bytes32 root) {
        root = _leaf(abi.encode(drawdowns[0]));
        for (uint256 i = 1; i < drawdowns.length; ++i) root = _node(root, _leaf(abi.encode(drawdowns[i])));
    }

    function _setProof(
        ICertificateBalance.Drawdown[] memory drawdowns,
        uint256 position
    ) private pure returns (bytes32[] memory proof) {
        proof = new bytes32[](drawdowns.length == 1 ? 0 : position == 2 ? 1 : drawdowns.length - 1);
        if (position == 2) proof[0] = _node(_leaf(abi.encode(drawdowns[0])), _leaf(abi.encode(drawdowns[1])));
        else if (drawdowns.length > 1) proof[0] = _leaf(abi.encode(drawdowns[1 - position]));
        if (position != 2 && drawdowns.length == 3) proof[1] = _leaf(abi.encode(drawdowns[2]));
    }
}
