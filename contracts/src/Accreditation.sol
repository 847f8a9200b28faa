// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";

import {IAccreditation} from "./IAccreditation.sol";

/// @title Accreditation
/// @notice See {IAccreditation}.
/// @dev Terms are kept by the key's number, so that a contract that remembers an issuer needs four bytes for it. Each
/// version of a key's terms is one word: 34 bits (enough until 2514) each for the first moment, for that after the last,
/// for the moment of its suspension and for the time of its recording, 16 for kinds, 100 for chapters, and 4 for how many
/// suspensions were lifted before. The newest stands by itself, those before it in the order of recording, and their
/// count beside the key's number. Lifted suspensions stand by themselves, each as one word: its moment, and its end.
contract Accreditation is IAccreditation, AccessManaged {
    uint256 private constant UNTIL = 34;
    uint256 private constant SUSPENDED = 68;
    uint256 private constant RECORDED = 102;
    uint256 private constant KINDS = 136;
    uint256 private constant CHAPTERS = 152;
    uint256 private constant LIFTED_COUNT = 252;
    uint256 private constant MOMENT = (1 << 34) - 1;
    uint256 private constant CHAPTERS_MASK = (1 << 100) - 1;
    uint256 private constant MOST_LIFTED = 15;

    /// @dev Where the number of earlier versions stands beside a key's number.
    uint256 private constant PAST_COUNT = 32;
    /// @dev Where the end of a suspension stands beside its moment.
    uint256 private constant LIFTED = 40;

    /// @dev How much later than a signature of its first minutes a key may be recorded: blocks and signers have clocks of
    /// their own, and what is signed as soon as the block is seen may bear a time before it.
    uint256 private constant CLOCK_TOLERANCE = 5 minutes;
    /// @dev How long a record may lie between signing and anchoring before later terms must cover it too.
    uint256 private constant GRACE = 72 hours;
    uint40 private constant TAKING_OVER = 3 days;

    uint32 private _keyCount;
    uint40 private _takenOverUntil;
    mapping(bytes32 key => uint256) private _indices;
    mapping(uint32 number => bytes32) private _keys;
    mapping(uint32 number => uint256) private _newest;
    mapping(uint32 number => mapping(uint256 position => uint256)) private _past;
    mapping(uint32 number => mapping(uint256 position => uint256)) private _lifted;
    mapping(bytes32 key => bytes32) private _successors;
    mapping(bytes32 key => bytes32) private _predecessors;

    /// @param manager The access manager that knows who the authority is.
    constructor(address manager) AccessManaged(manager) {}

    /// @inheritdoc IAccreditation
    function takeOver() external restricted {
        if (_keyCount != 0) revert AccreditationInUse(_keyCount);
        uint40 until = uint40(block.timestamp) + TAKING_OVER;
        _takenOverUntil = until;
        emit HistoryTakenOver(until);
    }

    /// @inheritdoc IAccreditation
    function accredit(
        bytes32 key,
        uint16 kinds,
        uint128 chapters,
        uint40 validFrom,
        uint40 validUntil
    ) external restricted {
        if (key == 0) revert AccreditationKeyMissing();
        if (kinds == 0 || chapters == 0 || chapters >> 100 != 0) revert AccreditationCoversNothing(key, kinds, chapters);
        if (validFrom >= validUntil) revert AccreditationPeriodEmpty(key, validFrom, validUntil);
        if (validUntil > MOMENT) revert AccreditationMomentTooFar(key, validUntil);
        if (_successors[key] != 0) revert AccreditationRotated(key, _successors[key]);
        uint256 index = _indices[key];
        if (index == 0) index = _enrol(key);
        uint256 kept = _newest[uint32(index)] & ((MOMENT << SUSPENDED) | (MOST_LIFTED << LIFTED_COUNT));
        _append(
            key,
            index,
            validFrom |
                (uint256(validUntil) << UNTIL) |
                kept |
                (uint256(kinds) << KINDS) |
                (uint256(chapters) << CHAPTERS)
        );
        emit KeyAccredited(key, kinds, chapters, validFrom, validUntil);
    }

    /// @inheritdoc IAccreditation
    function suspend(bytes32 key, uint40 since) external restricted {
        uint256 index = _indexOf(key);
        if (since == 0) revert AccreditationMomentMissing(key);
        if (since > block.timestamp) revert AccreditationMomentAhead(key, since);
        uint256 word = _newest[uint32(index)];
        uint256 standing = _field(word, SUSPENDED);
        if (standing != 0 && since > standing) revert AccreditationSuspendedBefore(key, uint40(standing), since);
        _append(key, index, (word & ~(MOMENT << SUSPENDED)) | (uint256(since) << SUSPENDED));
        emit KeySuspended(key, since);
    }

    /// @inheritdoc IAccreditation
    function reinstate(bytes32 key) external restricted {
        uint256 index = _indexOf(key);
        uint256 word = _newest[uint32(index)];
        uint256 since = _field(word, SUSPENDED);
        uint256 count = word >> LIFTED_COUNT;
        if (since == 0) revert AccreditationNotSuspended(key);
        if (count == MOST_LIFTED) revert AccreditationSuspendedTooOften(key);
        _lifted[uint32(index)][count] = since | (block.timestamp << LIFTED);
        _append(key, index, (word & ~(MOMENT << SUSPENDED)) + (1 << LIFTED_COUNT));
        emit KeyReinstated(key);
    }

    /// @inheritdoc IAccreditation
    function rotate(bytes32 key, bytes32 successor) external restricted {
        uint256 index = _indexOf(key);
        uint40 time = uint40(block.timestamp);
        if (_successors[key] != 0) revert AccreditationRotated(key, _successors[key]);
        if (successor == 0 || _indices[successor] != 0) revert AccreditationSuccessorKnown(key, successor);
        uint256 word = _newest[uint32(index)];
        Terms memory terms = _termsIn(word);
        if (terms.validFrom >= time || terms.validUntil <= time) {
            revert AccreditationNotCurrent(key, terms.validFrom, terms.validUntil);
        }

        _successors[key] = successor;
        _predecessors[successor] = key;
        uint256 own = MOMENT | (MOMENT << SUSPENDED) | (MOST_LIFTED << LIFTED_COUNT);
        _append(successor, _enrol(successor), (word & ~own) | time);
        _append(key, index, (word & ~(MOMENT << UNTIL)) | (uint256(time) << UNTIL));
        emit KeyRotated(key, successor, time);
    }

    /// @inheritdoc IAccreditation
    function accreditationOf(bytes32 key) external view returns (Terms memory) {
        return _termsIn(_newest[uint32(_indices[key])]);
    }

    /// @inheritdoc IAccreditation
    function accreditationAt(bytes32 key, uint40 time) external view returns (Terms memory) {
        return _termsIn(_wordAt(_indices[key], time));
    }

    /// @inheritdoc IAccreditation
    function isAccredited(bytes32 key, uint8 kind, uint8 chapter, uint40 moment) external view returns (bool) {
        return _covers(_newest[uint32(_indices[key])], kind, chapter, moment);
    }

    /// @inheritdoc IAccreditation
    function wasAccredited(
        bytes32 key,
        uint8 kind,
        uint8 chapter,
        uint40 moment,
        uint40 anchoredAt
    ) external view returns (bool) {
        (uint256 word, uint256 late) = _signedUnder(key, moment, anchoredAt);
        return
            _covers(word, kind, chapter, moment) &&
            _covers(late, kind, chapter, moment) &&
            _field(late, SUSPENDED) == 0 &&
            _field(late, UNTIL) + GRACE > anchoredAt;
    }

    /// @inheritdoc IAccreditation
    function termsOfSignature(
        bytes32 key,
        uint40 moment,
        uint40 anchoredAt
    ) external view returns (Terms memory signedUnder, Terms memory anchoredUnder) {
        (uint256 word, uint256 late) = _signedUnder(key, moment, anchoredAt);
        return (_termsIn(word), _termsIn(late));
    }

    /// @inheritdoc IAccreditation
    function versionCount(bytes32 key) external view returns (uint256) {
        uint256 index = _indices[key];
        return index == 0 ? 0 : (index >> PAST_COUNT) + 1;
    }

    /// @inheritdoc IAccreditation
    function version(bytes32 key, uint256 position) external view returns (Terms memory terms, uint40 recordedAt) {
        uint256 index = _indices[key];
        uint256 last = index >> PAST_COUNT;
        if (index == 0 || position > last) revert AccreditationVersionUnknown(key, position);
        uint256 word = position == last ? _newest[uint32(index)] : _past[uint32(index)][position];
        return (_termsIn(word), uint40(_field(word, RECORDED)));
    }

    /// @inheritdoc IAccreditation
    function suspensionsOf(bytes32 key) external view returns (Suspension[] memory suspensions) {
        uint32 number = uint32(_indices[key]);
        uint256 word = _newest[number];
        uint256 count = word >> LIFTED_COUNT;
        uint256 since = _field(word, SUSPENDED);
        suspensions = new Suspension[](since == 0 ? count : count + 1);
        for (uint256 i; i < count; ++i) {
            uint256 interval = _lifted[number][i];
            suspensions[i] = Suspension(uint40(interval), uint40(interval >> LIFTED));
        }
        if (since != 0) suspensions[count] = Suspension(uint40(since), 0);
    }

    /// @inheritdoc IAccreditation
    function takenOverUntil() external view returns (uint40) {
        return _takenOverUntil;
    }

    /// @inheritdoc IAccreditation
    function numberOf(bytes32 key) external view returns (uint32) {
        return uint32(_indices[key]);
    }

    /// @inheritdoc IAccreditation
    function keyOf(uint32 number) external view returns (bytes32) {
        return _keys[number];
    }

    /// @inheritdoc IAccreditation
    function isSuspended(uint32 number) external view returns (bool) {
        uint256 since = _field(_newest[number], SUSPENDED);
        return since != 0 && since <= block.timestamp;
    }

    /// @inheritdoc IAccreditation
    function successorOf(bytes32 key) external view returns (bytes32) {
        return _successors[key];
    }

    /// @inheritdoc IAccreditation
    function predecessorOf(bytes32 key) external view returns (bytes32) {
        return _predecessors[key];
    }

    function _enrol(bytes32 key) private returns (uint256 index) {
        uint32 number = ++_keyCount;
        _keys[number] = key;
        index = number;
        _indices[key] = index;
    }

    /// @dev Records a version as the newest. The one before it, if any, joins the past; a key's first word is never 0.
    function _append(bytes32 key, uint256 index, uint256 word) private {
        uint32 number = uint32(index);
        uint256 before = _newest[number];
        if (before != 0) {
            _past[number][index >> PAST_COUNT] = before;
            _indices[key] = index + (1 << PAST_COUNT);
        }
        _newest[number] = (word & ~(MOMENT << RECORDED)) | (block.timestamp << RECORDED);
    }

    function _indexOf(bytes32 key) private view returns (uint256 index) {
        index = _indices[key];
        if (index == 0) revert AccreditationUnknown(key);
    }

    /// @dev The version by which a signature is judged and the one that must bear it out, each with the suspension that
    /// concerns it, if any: that of the moment of signing, and any until the anchoring. What was signed before a
    /// suspension, but not seen before it, may be a thief's, dated back.
    function _signedUnder(
        bytes32 key,
        uint256 moment,
        uint256 anchoredAt
    ) private view returns (uint256 word, uint256 late) {
        uint256 index = _indices[key];
        uint256 seen = anchoredAt > moment ? anchoredAt : moment;
        word = _versionOf(index, moment, seen);
        if (word == 0) return (0, 0);
        late = seen > moment + GRACE ? _wordAt(index, seen - GRACE) : word;
        if (late == 0) late = word;
        uint256 since = _suspendedWithin(uint32(index), moment, seen);
        late = (late & ~(MOMENT << SUSPENDED)) | (since << SUSPENDED);
        if (since > moment) since = 0;
        word = (word & ~(MOMENT << SUSPENDED)) | (since << SUSPENDED);
    }

    /// @dev The version of the moment of signing. A key that was not known yet is judged by what was recorded minutes
    /// later, or, in a ledger that takes over a history, by what was recorded when the record came.
    function _versionOf(uint256 index, uint256 moment, uint256 seen) private view returns (uint256 word) {
        word = _wordAt(index, moment);
        if (word == 0) word = _wordAt(index, moment + CLOCK_TOLERANCE);
        if (word != 0) return word;
        uint256 takenOver = _takenOverUntil;
        if (seen < takenOver) word = _wordAt(index, seen);
        if (word == 0) word = _wordAt(index, takenOver);
    }

    /// @dev The first moment of the earliest suspension that held at any time of a span; 0 where none did.
    function _suspendedWithin(uint32 number, uint256 first, uint256 last) private view returns (uint256 earliest) {
        uint256 word = _newest[number];
        uint256 standing = _field(word, SUSPENDED);
        if (standing <= last) earliest = standing;
        for (uint256 i = word >> LIFTED_COUNT; i != 0; --i) {
            uint256 interval = _lifted[number][i - 1];
            uint256 since = uint40(interval);
            if (since > last || first >= interval >> LIFTED) continue;
            if (earliest == 0 || since < earliest) earliest = since;
        }
    }

    /// @dev The version that stood at a time; 0 where there was none. Versions stand in the order of their recording.
    function _wordAt(uint256 index, uint256 time) private view returns (uint256 word) {
        uint32 number = uint32(index);
        word = _newest[number];
        if (_field(word, RECORDED) <= time) return word;
        uint256 end = index >> PAST_COUNT;
        if (end == 0) return 0;
        // Mostly the terms before the newest are asked for, as a renewal leaves papers that were signed before it.
        word = _past[number][end - 1];
        if (_field(word, RECORDED) <= time) return word;
        (uint256 low, uint256 high) = (0, end - 1);
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (_field(_past[number][middle], RECORDED) <= time) low = middle + 1;
            else high = middle;
        }
        return low == 0 ? 0 : _past[number][low - 1];
    }

    /// @dev One of the moments in a version's word.
    function _field(uint256 word, uint256 position) private pure returns (uint256) {
        return (word >> position) & MOMENT;
    }

    function _termsIn(uint256 word) private pure returns (Terms memory) {
        return
            Terms({
                kinds: uint16(word >> KINDS),
                chapters: uint128((word >> CHAPTERS) & CHAPTERS_MASK),
                validFrom: uint40(_field(word, 0)),
                validUntil: uint40(_field(word, UNTIL)),
                suspendedSince: uint40(_field(word, SUSPENDED))
            });
    }

    function _covers(uint256 word, uint8 kind, uint8 chapter, uint256 moment) private pure returns (bool) {
        Terms memory terms = _termsIn(word);
        bool coversKind = (terms.kinds >> kind) & 1 == 1;
        bool coversChapter = terms.chapters & 1 == 1 || (terms.chapters >> chapter) & 1 == 1;
        bool suspended = terms.suspendedSince != 0 && terms.suspendedSince <= moment;
        return coversKind && coversChapter && terms.validFrom <= moment && moment < terms.validUntil && !suspended;
    }
}
