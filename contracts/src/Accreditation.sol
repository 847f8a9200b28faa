// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";

import {IAccreditation} from "./IAccreditation.sol";

/// @title Accreditation
/// @notice See {IAccreditation}.
/// @dev Terms are kept by the key's number, so that a contract that remembers an issuer needs four bytes for it.
contract Accreditation is IAccreditation, AccessManaged {
    using Checkpoints for Checkpoints.Trace208;

    uint32 private _keyCount;
    mapping(bytes32 key => uint32) private _numbers;
    mapping(uint32 number => bytes32) private _keys;
    mapping(uint32 number => Terms) private _terms;
    mapping(uint32 number => Terms[]) private _versions;
    /// @dev At each time of a change, how many versions there were then: the last of those stood.
    mapping(uint32 number => Checkpoints.Trace208) private _changes;
    mapping(bytes32 key => bytes32) private _successors;
    mapping(bytes32 key => bytes32) private _predecessors;

    /// @param manager The access manager that knows who the authority is.
    constructor(address manager) AccessManaged(manager) {}

    /// @inheritdoc IAccreditation
    function accredit(
        bytes32 key,
        uint8 kinds,
        uint128 chapters,
        uint40 validFrom,
        uint40 validUntil
    ) external restricted {
        if (kinds == 0 || chapters == 0) revert AccreditationCoversNothing(key, kinds, chapters);
        if (validFrom >= validUntil) revert AccreditationPeriodEmpty(key, validFrom, validUntil);
        if (_successors[key] != 0) revert AccreditationRotated(key, _successors[key]);
        uint32 number = _numbers[key];
        if (number == 0) number = _enrol(key);
        _write(number, Terms(kinds, chapters, validFrom, validUntil, _terms[number].suspendedSince));
        emit KeyAccredited(key, kinds, chapters, validFrom, validUntil);
    }

    /// @inheritdoc IAccreditation
    function suspend(bytes32 key, uint40 since) external restricted {
        uint32 number = _numberOf(key);
        if (since == 0) revert AccreditationMomentMissing(key);
        Terms memory terms = _terms[number];
        terms.suspendedSince = since;
        _write(number, terms);
        emit KeySuspended(key, since);
    }

    /// @inheritdoc IAccreditation
    function reinstate(bytes32 key) external restricted {
        uint32 number = _numberOf(key);
        Terms memory terms = _terms[number];
        if (terms.suspendedSince == 0) revert AccreditationNotSuspended(key);
        terms.suspendedSince = 0;
        _write(number, terms);
        emit KeyReinstated(key);
    }

    /// @inheritdoc IAccreditation
    function rotate(bytes32 key, bytes32 successor) external restricted {
        uint32 number = _numberOf(key);
        uint40 time = uint40(block.timestamp);
        if (_successors[key] != 0) revert AccreditationRotated(key, _successors[key]);
        if (_numbers[successor] != 0) revert AccreditationSuccessorKnown(key, successor);
        Terms memory terms = _terms[number];
        if (terms.validFrom >= time || terms.validUntil <= time) {
            revert AccreditationNotCurrent(key, terms.validFrom, terms.validUntil);
        }

        _successors[key] = successor;
        _predecessors[successor] = key;
        _write(_enrol(successor), Terms(terms.kinds, terms.chapters, time, terms.validUntil, 0));
        terms.validUntil = time;
        _write(number, terms);
        emit KeyRotated(key, successor, time);
    }

    /// @inheritdoc IAccreditation
    function accreditationOf(bytes32 key) external view returns (Terms memory) {
        return _terms[_numbers[key]];
    }

    /// @inheritdoc IAccreditation
    function accreditationAt(bytes32 key, uint40 time) external view returns (Terms memory) {
        return _termsAt(_numbers[key], time);
    }

    /// @inheritdoc IAccreditation
    function isAccredited(bytes32 key, uint8 kind, uint8 chapter, uint40 moment) external view returns (bool) {
        return _covers(_terms[_numbers[key]], kind, chapter, moment);
    }

    /// @inheritdoc IAccreditation
    function wasAccredited(bytes32 key, uint8 kind, uint8 chapter, uint40 moment) external view returns (bool) {
        uint32 number = _numbers[key];
        return
            _covers(_terms[number], kind, chapter, moment) ||
            _covers(_termsAt(number, moment), kind, chapter, moment);
    }

    /// @inheritdoc IAccreditation
    function numberOf(bytes32 key) external view returns (uint32) {
        return _numbers[key];
    }

    /// @inheritdoc IAccreditation
    function keyOf(uint32 number) external view returns (bytes32) {
        return _keys[number];
    }

    /// @inheritdoc IAccreditation
    function isSuspended(uint32 number) external view returns (bool) {
        uint40 since = _terms[number].suspendedSince;
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

    function _enrol(bytes32 key) private returns (uint32 number) {
        number = ++_keyCount;
        _numbers[key] = number;
        _keys[number] = key;
    }

    function _write(uint32 number, Terms memory terms) private {
        _terms[number] = terms;
        _versions[number].push(terms);
        _changes[number].push(uint48(block.timestamp), uint208(_versions[number].length));
    }

    function _numberOf(bytes32 key) private view returns (uint32 number) {
        number = _numbers[key];
        if (number == 0) revert AccreditationUnknown(key);
    }

    function _termsAt(uint32 number, uint40 time) private view returns (Terms memory terms) {
        uint256 count = _changes[number].upperLookupRecent(time);
        if (count != 0) terms = _versions[number][count - 1];
    }

    function _covers(Terms memory terms, uint8 kind, uint8 chapter, uint40 moment) private pure returns (bool) {
        bool coversKind = (terms.kinds >> kind) & 1 == 1;
        bool coversChapter = terms.chapters & 1 == 1 || (terms.chapters >> chapter) & 1 == 1;
        bool suspended = terms.suspendedSince != 0 && terms.suspendedSince <= moment;
        return coversKind && coversChapter && terms.validFrom <= moment && moment < terms.validUntil && !suspended;
    }
}
