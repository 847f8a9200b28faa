// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccreditation} from "../src/IAccreditation.sol";
import {ICertificateBalance} from "../src/ICertificateBalance.sol";
import {ITraceLedger} from "../src/ITraceLedger.sol";
import {Deployed} from "./Deployed.sol";
import {Vm, vm} from "./Vm.sol";

/// @dev Does what people do, rightly and wrongly, and keeps its own account of it. It judges each act by rules that are
/// written here a second time, from the words of the specification; what broke a rule is kept in `faults` by the number
/// of the invariant, since a failure inside an act would pass for a refusal.
contract Handler is Deployed {
    // Accounts: two anchorers, an office, an authority (on the ledger), somebody with all roles, and a stranger.
    uint256 internal constant PEOPLE = 6;
    uint8[PEOPLE] internal ROLES = [1, 1, 2, 4, 7, 0];
    uint256 internal constant MOST_BATCHES = 24;
    uint256 internal constant KEYS = 5;
    uint88 internal constant QUANTITY = 100;
    // A batch: two certificates, two declarations.
    uint32 internal constant ORIGIN_END = 2;
    uint32 internal constant SIZE = 4;

    struct Known {
        bytes32 root;
        uint256 by;
        ITraceLedger.Batch anchored;
        uint8[4] status;
        bool[2] activated;
        uint256[2] key;
        uint256[2] outstanding;
        uint40[2] validUntil;
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

    bool public paused;
    string[15] public faults;
    uint256[15] public successes;
    Known[] internal known;
    DrawdownSet[] internal sets;
    mapping(bytes32 root => uint256) internal indexOf;
    mapping(uint256 person => uint32) public counts;
    mapping(uint256 key => Version[]) internal versions;
    mapping(uint256 key => uint40) public rotatedAt;
    mapping(uint256 key => uint256) internal keyIds;
    uint256 internal nextKey = 100;

    // What the events alone say.
    mapping(bytes32 root => uint256) public saidBatch;
    mapping(bytes32 certificate => uint256) public saidRemaining;
    mapping(bytes32 drawdownsRoot => uint256) public saidSet;
    mapping(bytes32 key => IAccreditation.Terms) internal saidTerms;
    mapping(address agent => uint8) public saidRoles;
    bool public saidPaused;

    constructor() {
        vm.warp(1_800_000_000);
        vm.recordLogs();
        deployAll();
        for (uint256 person; person < PEOPLE; ++person) {
            if (ROLES[person] != 0) ledger.registerAgent(account(person), ROLES[person]);
        }
        for (uint256 key; key < KEYS; ++key) {
            keyIds[key] = key + 1;
            if (key < 3) accredit(key, 0);
        }
        for (uint256 i; i < 2; ++i) {
            anchor(i, i, false);
            activate(i, i, 0, 0, 0);
        }
        _replay();
    }

    // ---- acts

    function anchor(uint256 person, uint256 seed, bool again) public {
        person %= PEOPLE;
        bytes32 root = again && known.length != 0 ? known[seed % known.length].root : _root(known.length);
        if (known.length >= MOST_BATCHES && !again) return;
        ITraceLedger.NewBatch[] memory batches = new ITraceLedger.NewBatch[](1);
        batches[0] = ITraceLedger.NewBatch(root, ORIGIN_END, ORIGIN_END, SIZE, SIZE);
        bytes memory data = seed % 3 == 0
            ? abi.encodeCall(ledger.anchorMany, (batches))
            : abi.encodeCall(ledger.anchor, (root, ORIGIN_END, ORIGIN_END, SIZE, SIZE));
        if (!_act(person, address(ledger), data)) return;
        ++successes[1];
        if (again) return; // Must not have happened: the batch will be seen to differ.
        if (ROLES[person] & 1 == 0) faults[7] = "anchored without the role";
        if (paused) faults[9] = "anchored during a pause";
        Known storage batch = known.push();
        (batch.root, batch.by) = (root, person);
        batch.anchored = ledger.batchOf(root);
        indexOf[root] = known.length;
        if (batch.anchored.number != ++counts[person]) faults[2] = "a number is not the next one";
        if (batch.anchored.anchoredAt != block.timestamp) faults[1] = "not the time of the block";
    }

    function change(uint256 person, uint256 batchSeed, uint256 leafIndex, uint256 to) public {
        if (known.length == 0) return;
        (person, leafIndex, to) = (person % PEOPLE, leafIndex % SIZE, to % 10);
        Known storage batch = known[batchSeed % known.length];
        uint8 from = batch.status[leafIndex];
        ITraceLedger.WordChange[] memory changes = new ITraceLedger.WordChange[](1);
        changes[0].change = (to + 1) << (4 * leafIndex);
        bytes memory data = abi.encodeCall(ledger.changeStatuses, (batch.root, changes, bytes32(to)));
        bool done = _act(person, address(ledger), data);
        bool own = batch.by == person && ROLES[person] & 1 == 1;
        bool isDocument = leafIndex < ORIGIN_END;
        bool may = isDocument
            ? _documentEdge(from, to) && (own || ROLES[person] & 4 != 0)
            : (ROLES[person] & 2 != 0 && _officeEdge(from, to)) || (own && from < 2 && to == 8);
        bool takesTrust = isDocument && (to == 1 || to == 2);
        if (paused && takesTrust && may && !done) faults[9] = "a revocation was stopped by a pause";
        if (!done) return;
        ++successes[4];
        if (paused && !takesTrust) faults[9] = "a status was given during a pause";
        if (ROLES[person] == 0) faults[7] = "a stranger changed a status";
        if (!may) {
            faults[4] = "a change that the rules do not know";
            if (isDocument && _documentEdge(from, to)) faults[5] = "revoked by somebody else";
            if (!isDocument && from > 3) faults[12] = "a decision was undone";
        }
        batch.status[leafIndex] = uint8(to);
    }

    function activate(uint256 person, uint256 batchSeed, uint256 leafIndex, uint256 key, uint256 age) public {
        if (known.length == 0) return;
        (person, leafIndex, key, age) = (person % PEOPLE, leafIndex % 2, key % KEYS, age % 4000);
        uint256 at = batchSeed % known.length;
        Known storage batch = known[at];
        uint40 issuedAt = batch.anchored.anchoredAt - uint40(age);
        uint40 until = age % 5 == 0 ? uint40(block.timestamp + age) : type(uint40).max;
        bytes memory data = abi.encodeCall(
            balance.open,
            (
                ICertificateBalance.Record(batch.root, uint32(leafIndex)),
                _entry(at, leafIndex),
                _proof(at, leafIndex),
                ICertificateBalance.Statement(_key(key), 9, issuedAt, until)
            )
        );
        if (!_act(person, address(balance), data)) return;
        ++successes[5];
        if (batch.activated[leafIndex]) faults[8] = "activated twice";
        if (ROLES[person] & 1 == 0) faults[7] = "activated without the role";
        if (paused) faults[9] = "activated during a pause";
        if (batch.by != person) faults[5] = "activated by another anchorer";
        if (!_wasCovered(key, issuedAt)) faults[5] = "the issuer was not accredited when it signed";
        if (_isSuspended(key)) faults[5] = "the issuer is suspended";
        if (batch.status[leafIndex] != 0) faults[6] = "activated, but not active";
        (batch.activated[leafIndex], batch.key[leafIndex], batch.validUntil[leafIndex]) = (true, key, until);
    }

    function drawDown(uint256 person, uint256 batchSeed, uint256 seed, uint256 count) public {
        if (known.length == 0) return;
        person %= PEOPLE;
        ICertificateBalance.Drawdown[] memory drawdowns = new ICertificateBalance.Drawdown[](1 + (count % 3));
        for (uint256 i; i < drawdowns.length; ++i) {
            uint256 chance = uint256(keccak256(abi.encode(seed, i)));
            drawdowns[i].certificateRoot = known[(chance >> 8) % known.length].root;
            drawdowns[i].certificateLeafIndex = uint32((chance >> 16) % 2);
            drawdowns[i].declarationRoot = known[batchSeed % known.length].root;
            drawdowns[i].declarationLeafIndex = uint32(
                (chance >> 24) % 8 == 0 ? (chance >> 32) % 6 : 2 + ((chance >> 32) % 2)
            );
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
                drawdowns[i].certificateRoot = known[at / 2].root;
                drawdowns[i].certificateLeafIndex = uint32(at % 2);
                break;
            }
            drawdowns[i].declarationRoot = known[declared].root;
            drawdowns[i].declarationLeafIndex = uint32(quantity % 7 == 0 ? start % 6 : 2 + (start % 2));
            drawdowns[i].quantity = uint88(1 + (quantity % 60) + i);
        }
        _drawDown(known[declared].by, drawdowns);
    }

    /// @dev What follows makes the likely acts likely: all parties and leaf indices being right by chance is rare.
    function anchorAndActivate(uint256 person, uint256 key, uint256 age) public {
        uint256 before = known.length;
        anchor(person % 2, person, false);
        if (known.length == before) return;
        activate(person % 2, before, 0, key, age % 100);
        activate(person % 2, before, 1, key, 0);
    }

    function activateOwn(uint256 batchSeed, uint256 leafIndex, uint256 key, uint256 age) public {
        if (known.length != 0) activate(known[batchSeed % known.length].by, batchSeed, leafIndex, key % 3, age);
    }

    function decide(uint256 batchSeed, uint256 leafIndex, uint256 to) public {
        change(2, batchSeed % 4, 2 + (leafIndex % 2), 1 + (to % 7));
    }

    function revokeOwn(uint256 batchSeed, uint256 leafIndex, uint256 to) public {
        if (known.length != 0) change(known[batchSeed % known.length].by, batchSeed, leafIndex % 2, to % 4);
    }

    function drawDownOne(uint256 seed, uint256 quantity) public {
        drawDownActivated(seed, quantity, 0);
    }

    /// @dev The last of three drawdowns, from a position that a tree of two would give it.
    function misplace(uint256 seed) public {
        uint256 before = sets.length;
        drawDownActivated(seed, 0, 2);
        if (sets.length != before) refund(seed % 2, before, 2, true, true);
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
        Known storage declared = known[indexOf[drawdown.declarationRoot] - 1];
        if (reject) change(2, indexOf[drawdown.declarationRoot] - 1, drawdown.declarationLeafIndex, 5);
        bytes32[] memory proof = _setProof(set.drawdowns, position);
        uint256 claimed = elsewhere && size == 3 && position == 2 ? 1 : position;
        if (!_act(person, address(balance), abi.encodeCall(balance.giveBack, (drawdown, set.root, claimed, proof)))) {
            return;
        }
        ++successes[8];
        uint8 status = declared.status[drawdown.declarationLeafIndex];
        if (ROLES[person] & 1 == 0) faults[7] = "refunded without the role";
        if (paused) faults[9] = "refunded during a pause";
        if (claimed != position || set.refunded[position]) faults[8] = "refunded twice, or elsewhere";
        if (status != 5 && status != 6 && status != 8) faults[3] = "refunded although the declaration stands";
        set.refunded[position] = true;
        Known storage certified = known[indexOf[drawdown.certificateRoot] - 1];
        uint256 outstanding = certified.outstanding[drawdown.certificateLeafIndex];
        if (drawdown.quantity > outstanding) faults[3] = "more refunded than was drawn down";
        else certified.outstanding[drawdown.certificateLeafIndex] = outstanding - drawdown.quantity;
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
        paused = stop;
        if (_reads() != before) faults[9] = "a pause changed what is read";
    }

    function pass(uint256 time) public {
        vm.warp(block.timestamp + 1 + (time % 300));
    }

    /// @dev Anything at all by the stranger, and the authority's acts by everybody else.
    function intrude(uint256 person, uint256 which, uint256 key) public {
        person %= PEOPLE;
        bytes[7] memory calls = [
            abi.encodeCall(ledger.registerAgent, (account(5), 7)),
            abi.encodeCall(ledger.pause, ()),
            abi.encodeCall(ledger.resume, ()),
            abi.encodeCall(accreditation.accredit, (_key(key % KEYS), 255, 1, 1, type(uint40).max)),
            abi.encodeCall(accreditation.suspend, (_key(key % KEYS), 1)),
            abi.encodeCall(accreditation.reinstate, (_key(key % KEYS))),
            abi.encodeCall(accreditation.rotate, (_key(key % KEYS), bytes32(nextKey)))
        ];
        address target = which % 7 < 3 ? address(ledger) : address(accreditation);
        if (_act(person, target, calls[which % 7])) faults[7] = "an act of the authority by somebody else";
    }

    // ---- what the tests ask

    function contracts() external view returns (ITraceLedger, IAccreditation, ICertificateBalance) {
        return (ledger, accreditation, balance);
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

    function account(uint256 person) public pure returns (address) {
        return address(uint160(0xA000 + person));
    }

    function rolesOf(uint256 person) external view returns (uint8) {
        return ROLES[person];
    }

    function keyAt(uint256 key) external view returns (bytes32) {
        return _key(key);
    }

    // ---- the handler's own ways

    function _drawDown(uint256 person, ICertificateBalance.Drawdown[] memory drawdowns) private {
        if (!_act(person, address(balance), abi.encodeCall(balance.draw, (drawdowns)))) return;
        ++successes[3];
        if (ROLES[person] & 1 == 0) faults[7] = "drawn down without the role";
        if (paused) faults[9] = "drawn down during a pause";
        DrawdownSet storage set = sets.push();
        set.root = _setRoot(drawdowns);
        for (uint256 i; i + 1 < sets.length; ++i) {
            if (sets[i].root == set.root) faults[8] = "the same drawdowns were made twice";
        }
        for (uint256 i; i < drawdowns.length; ++i) {
            set.drawdowns.push(drawdowns[i]);
            Known storage certified = known[indexOf[drawdowns[i].certificateRoot] - 1];
            Known storage declared = known[indexOf[drawdowns[i].declarationRoot] - 1];
            uint256 leafIndex = drawdowns[i].certificateLeafIndex;
            if (!certified.activated[leafIndex]) faults[3] = "drawn down before it was activated";
            if (certified.status[leafIndex] != 0) faults[6] = "drawn down, but not active";
            if (certified.validUntil[leafIndex] <= block.timestamp) faults[6] = "drawn down after its end";
            if (_isSuspended(certified.key[leafIndex])) faults[6] = "drawn down, but its issuer is suspended";
            if (declared.by != person) faults[7] = "drawn down for another anchorer's declaration";
            uint32 declaration = drawdowns[i].declarationLeafIndex;
            uint8 status = declaration < SIZE ? declared.status[declaration] : 0;
            if (declaration < 2 || declaration >= SIZE) faults[6] = "no declaration there";
            if (status == 5 || status == 6 || status == 8) faults[6] = "the declaration has ended";
            certified.outstanding[leafIndex] += drawdowns[i].quantity;
        }
    }

    function _act(uint256 person, address target, bytes memory data) private returns (bool done) {
        vm.record();
        vm.prank(account(person));
        (done, ) = target.call(data);
        if (ROLES[person] == 0) {
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
            } else if (event_ == ITraceLedger.Paused.selector) {
                saidPaused = true;
            } else if (event_ == ITraceLedger.Resumed.selector) {
                saidPaused = false;
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
            } else if (event_ == IAccreditation.KeyAccredited.selector) {
                IAccreditation.Terms storage terms = saidTerms[logs[i].topics[1]];
                (terms.kinds, terms.chapters, terms.validFrom, terms.validUntil) = abi.decode(
                    data,
                    (uint8, uint128, uint40, uint40)
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

    function _wasCovered(uint256 key, uint40 moment) private view returns (bool) {
        IAccreditation.Terms memory then;
        for (uint256 i; i < versions[key].length; ++i) {
            if (versions[key][i].time <= moment) then = versions[key][i].terms;
        }
        return _holds(_latest(key), moment) || _holds(then, moment);
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
            bytes32 root = known[i].root;
            all = keccak256(
                abi.encode(
                    all,
                    ledger.batchOf(root),
                    ledger.statusWord(root, 0),
                    ledger.verify(root, 0, _entry(i, 0), _proof(i, 0)),
                    balance.balanceOf(root, 0),
                    balance.balanceOf(root, 1)
                )
            );
        }
        for (uint256 key; key < KEYS; ++key) all = keccak256(abi.encode(all, accreditation.accreditationOf(_key(key))));
    }

    function _key(uint256 key) private view returns (bytes32) {
        return keccak256(abi.encode("key", keyIds[key]));
    }

    function _certificate(ICertificateBalance.Drawdown memory drawdown) private pure returns (bytes32) {
        return keccak256(abi.encode(drawdown.certificateRoot, uint256(drawdown.certificateLeafIndex)));
    }

    // ---- trees, as RFC 9162 has them for one to four leaves

    function _entry(uint256 batch, uint256 leafIndex) private pure returns (bytes memory) {
        bool isCertificate = leafIndex < ORIGIN_END;
        return
            abi.encodePacked(
                isCertificate ? bytes1(0x01) : bytes1(0x03),
                isCertificate ? bytes16(uint128(QUANTITY)) : bytes16(0),
                keccak256(abi.encode(batch, leafIndex))
            );
    }

    function _leaf(bytes memory entry) private pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x00), entry));
    }

    function _node(bytes32 left, bytes32 right) private pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x01), left, right));
    }

    function _root(uint256 batch) private pure returns (bytes32) {
        return
            _node(
                _node(_leaf(_entry(batch, 0)), _leaf(_entry(batch, 1))),
                _node(_leaf(_entry(batch, 2)), _leaf(_entry(batch, 3)))
            );
    }

    function _proof(uint256 batch, uint256 leafIndex) private pure returns (bytes32[] memory proof) {
        proof = new bytes32[](2);
        proof[0] = _leaf(_entry(batch, leafIndex ^ 1));
        uint256 other = leafIndex < 2 ? 2 : 0;
        proof[1] = _node(_leaf(_entry(batch, other)), _leaf(_entry(batch, other + 1)));
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
